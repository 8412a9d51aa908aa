"""What a database says when it cannot do its work, in words that tell a person where to look.

Only the kind of trouble travels on: a driver's own text may quote an address or a row.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

#: Said of an empty database, and of one of an earlier version.
NO_TABLES: Final = "it has not the tables of this version"

#: SQLite's names of errors; an extended name (`SQLITE_IOERR_WRITE`) is looked up by its beginning.
_SQLITE: Final = MappingProxyType(
    {
        "SQLITE_FULL": "the disk of its file is full",
        "SQLITE_BUSY": "another process holds its write lock and does not let go",
        "SQLITE_LOCKED": "another process holds its write lock and does not let go",
        "SQLITE_READONLY": "its file may not be written",
        "SQLITE_PERM": "its file may not be opened",
        "SQLITE_CANTOPEN": "its file is not there or cannot be opened",
        "SQLITE_NOTADB": "its file is not a database",
        "SQLITE_CORRUPT": "its file is damaged: restore it from a backup",
        "SQLITE_IOERR": "its file cannot be read or written: the disk has a fault or is full",
    }
)

#: PostgreSQL's SQLSTATE codes; two characters stand for a whole class.
_POSTGRESQL: Final = MappingProxyType(
    {
        "28": "it refuses the user or the password",
        "3D": "the database does not exist on its server",
        "42P01": NO_TABLES,
        "53100": "the disk of its server is full",
        "53200": "its server has no memory left",
        "53300": "its server has no connection left",
        "55P03": "a lock was not given in time",
        "57014": "a statement took too long",
        "57P01": "its server is being stopped",
        "57P02": "its server has crashed and recovers",
        "57P03": "its server is starting or stopping",
        "25006": "its server takes no writes: it is a standby",
    }
)

#: What PostgreSQL says to whoever it does not let in: there is no code with it.
_REFUSALS: Final = MappingProxyType(
    {
        "authentication failed": _POSTGRESQL["28"],
        "no pg_hba.conf entry": _POSTGRESQL["28"],
        "does not exist": _POSTGRESQL["3D"],
        "too many clients": _POSTGRESQL["53300"],
        "starting up": _POSTGRESQL["57P03"],
        "shutting down": _POSTGRESQL["57P03"],
        "recovery mode": _POSTGRESQL["57P02"],
    }
)

#: The driver's own classes, where the server has said nothing.
_SILENCE: Final = MappingProxyType(
    {
        "ConnectionTimeout": "its server did not answer in time",
        "OperationalError": "its server cannot be reached",
    }
)

#: What is reported as other classes than "operational", and says of the database that it cannot be used as it is.
_BROKEN: Final = frozenset({"SQLITE_NOTADB", "SQLITE_CORRUPT", "42P01"})


def is_broken(error: BaseException | None) -> bool:
    """Whether a driver's error means that the database is damaged or empty, and not that a statement is wrong."""
    return error is not None and (sqlite_name(error) in _BROKEN or getattr(error, "sqlstate", None) in _BROKEN)


def words(error: BaseException | None) -> str:
    """Return what a driver's error means, or its class when it is none of the known ones."""
    if error is None:
        return "no reason given"
    name = sqlite_name(error)
    if name is not None:
        known = next((text for start, text in _SQLITE.items() if name.startswith(start)), None)
        if known is not None:
            return known
        return NO_TABLES if "no such table" in str(error) else name
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str):
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2]) or f"SQLSTATE {state}"
    text = str(error)
    refusal = next((meaning for words_of_it, meaning in _REFUSALS.items() if words_of_it in text), None)
    return refusal or _SILENCE.get(type(error).__name__, type(error).__name__)


def sqlite_name(error: BaseException) -> str | None:
    """Return SQLite's name of an error, or None when it is not SQLite's."""
    name = getattr(error, "sqlite_errorname", None)
    return name if isinstance(name, str) else None
