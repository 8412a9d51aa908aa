r"""Indexes of file systems: what stood where in a file system at one moment, to be searched without touching it.

Terms:

- **Index**: what one walk through one file system has found. `ix-` and a ULID.
- **Row**: one file, directory or whatever else has a name: directory, name, kind, size, mode, owner, group, and when
  content (`modified`) and inode (`changed`) were changed last. Names are text (`agent.files.walking.shown`): what is no
  UTF-8 is written as `\xNN`, so any name there can be has a text of its own. Times are UTC, to the microsecond.
- **Part**: a Parquet file of up to half a million rows, sorted by directory and name, sealed like all metadata.
- **Index head**: which parts an index has, what was walked and what could not be read. Written last: what no head
  leads to does not exist.

| key in the repository | content | written |
|---|---|---|
| `idx/<account>/<region>/<file system>/<index>` | sealed head | once, if absent, last |
| `catalogue/<account>/<region>/<file system>/<time id>` | sealed part | once, if absent |

Reading order: `walk` (finding), `parts` (rows to Parquet), `head` (what is kept), `search` (asking), `mounting`.
"""
