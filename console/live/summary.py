"""How a session ended, in a few lines: status, figures, what failed and what to do, the receipt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.padding import Padding
from rich.text import Text

from console.output import COLOURS
from console.text import count, duration, plain, size

_MOST = 20
_GLYPHS = {"success": "✓", "failed": "✗", "stopped": "■"}


def summary(record: Mapping[str, Any], names: Mapping[str, str], *, unicode: bool = True) -> list[Text | Padding]:
    """Return the lines about a session record that has ended. Reasons fold under their own left edge."""
    status = record["status"]
    colour = COLOURS.get(status, "")
    glyph = _GLYPHS.get(status, "!") if unicode else "*"
    head = Text(f"{glyph} {status}", style=f"bold {colour}".strip())
    head.append(f"  {plain(record['operation'])} ", style="").append(record["id"], style="")
    lines: list[Text | Padding] = [head, Text(f"  {_figures(record)}")]
    if record.get("reason"):
        lines.append(Padding(Text(plain(record["reason"]), style="yellow"), (0, 0, 0, 2)))
    troubled = [one for one in record["resources"] if one["status"] in ("failed", "warning", "stopped")]
    for one in troubled[:_MOST]:
        lines += _trouble(one, names)
    if len(troubled) > _MOST:
        lines.append(Text(f"  and {len(troubled) - _MOST} more: daywork session show {record['id']}"))
    lines.append(receipt_line(record["receipt"]))
    if any(one["status"] == "failed" for one in troubled):
        lines.append(Text(f"  again, failed ones only: daywork session retry {record['id']}", style="bright_black"))
    return lines


def _figures(record: Mapping[str, Any]) -> str:
    parts = [count(record["resourceCount"], "resource")]
    parts += [f"{number:,} {name}" for name, number in record["counts"].items() if number]
    if record["startedAt"] and record["endedAt"]:
        span = datetime.fromisoformat(record["endedAt"]) - datetime.fromisoformat(record["startedAt"])
        parts.append(f"in {duration(span)}")
    done = record["progress"]["done"]
    if done and record["progress"]["unit"] == "bytes":
        parts.append(size(done))
    return ", ".join(parts)


def _trouble(one: Mapping[str, Any], names: Mapping[str, str]) -> list[Text | Padding]:
    place = f"{plain(names.get(one['account'], one['account']))}/{one['region']}/{plain(one['id'])}"
    line = Text("  ").append(place).append(f"  {one['status']}", style=COLOURS.get(one["status"], ""))
    lines: list[Text | Padding] = [line]
    if one["reason"]:
        lines.append(Padding(Text(plain(one["reason"])), (0, 0, 0, 6)))
    if one["remedy"]:
        lines.append(Padding(Text("do  ", style="bright_black").append(plain(one["remedy"])), (0, 0, 0, 6)))
    return lines


def receipt_line(receipt: Mapping[str, Any]) -> Text:
    """Return the receipt in one line: how much was made and removed, what stays on purpose, what is left behind."""
    made, removed = len(receipt["created"]), len(receipt["removed"])
    if not receipt["created"] and not receipt["remaining"]:
        return Text("  receipt: nothing was made")
    kinds = Counter(one["kind"] for one in receipt["kept"])
    kept = ", ".join(count(number, kind) for kind, number in sorted(kinds.items()))
    line = Text(f"  receipt: {made:,} made, {removed:,} removed, {f'kept {kept}' if kept else 'nothing kept'}, ")
    if receipt["remaining"]:
        named = ", ".join(f"{plain(one['kind'])} {plain(one['id'])}" for one in receipt["remaining"][:3])
        return line.append(f"{len(receipt['remaining'])} left behind ({named})", style="red")
    return line.append("nothing left behind", style="green")
