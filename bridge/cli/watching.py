"""`tail`: what happens, as it happens."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doors import Door, command
from .morning import EVERY_MORNING

if TYPE_CHECKING:
    from bridge.store import Tx

#: Lists that are followed, in the order in which things follow from one another.
FOLLOWED = ("deliveries", "rejections", "evidence", "forwards")
#: A change can be committed after one that began later: so far is looked back again, in milliseconds.
OVERLAP = 5_000
EVERY = 0.3


def tail(
    door: Door,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many to begin with.")] = 10,
) -> int | None:
    """Follow deliveries, forwards and attempts as they happen, until Ctrl-C."""
    door.run(_follow(door, lines))
    return None


async def _follow(door: Door, lines: int) -> None:
    from bridge.app import clock, open_database
    from bridge.flows import report

    db = await open_database(door.env)
    seen: OrderedDict[tuple[Any, ...], None] = OrderedDict()
    changes, since = None, report.ms(clock())
    try:
        for row in await db.read(lambda tx: _lately(tx, lines)):
            _tell(door, row, seen)
        while True:
            now = await db.changes()
            if now != changes:
                changes = now
                for row in await db.read(lambda tx, since=since: _changed(tx, since)):  # type: ignore[misc]
                    _tell(door, row, seen)
                    since = max(since, report.ms(_at(row)) - OVERLAP)
                while len(seen) > 50_000:
                    seen.popitem(last=False)
            await asyncio.sleep(EVERY)
    finally:
        await db.close()


def _at(row: Mapping[str, Any]) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(str(row["at"]))


async def _lately(tx: Tx, lines: int) -> list[dict[str, Any]]:
    from bridge.flows import report

    rows = [{"what": what, **row} for what in FOLLOWED for row in await report.lately(tx, what, limit=lines)]
    return sorted(rows, key=lambda row: str(row["at"]))[-lines:] if lines else []


async def _changed(tx: Tx, since: int) -> list[dict[str, Any]]:
    from bridge.flows import report, story

    rows = [{"what": what, **row} for what in FOLLOWED for row in await report.changes(tx, what, since=since)]
    tried = [row["id"] for row in rows if row["what"] == "forwards" and row["attempts"]]
    rows += [{**one, "what": "attempts"} for one in await story.tries(tx, tried, since=since)]
    order = {what: place for place, what in enumerate((*FOLLOWED, "attempts"))}
    return sorted(rows, key=lambda row: (str(row["at"]), order[row["what"]]))


def _tell(door: Door, row: dict[str, Any], seen: OrderedDict[tuple[Any, ...], None]) -> None:
    mark = (row["what"], row["id"], row.get("number"), row["state"], row.get("copies"), row.get("reason"))
    if mark in seen:
        return
    seen[mark] = None
    if door.json:
        door.emit(row)
        import sys

        sys.stdout.flush()
        return
    from . import times
    from .reading import _rest
    from .words import Part, state

    paper = door.paper()
    shown = door.row(row)
    head: list[Part] = [(times.whole(row["at"], door.zone)[11:], "dim"), f"  {ONE[row['what']]:<9} "]
    if row["what"] == "attempts":
        status = f" {row['status']}" if row["status"] else ""
        paper.say(
            *head, state(row["state"], 10), f" {row['id']}  number {row['number']}{status}  {shown['note']}", hang=34
        )
    else:
        rest, reason = _rest(row["what"], shown)
        paper.say(*head, state(row["state"], 10), f" {row['id']}  ", *rest, ("  " + reason, "dim"), hang=34)
    paper.console.file.flush()


ONE = {
    "deliveries": "delivery",
    "rejections": "rejected",
    "evidence": "evidence",
    "forwards": "forward",
    "attempts": "attempt",
}


def register(app: typer.Typer) -> None:
    command(app, "tail", EVERY_MORNING, rows=True, reveal=True)(tail)
