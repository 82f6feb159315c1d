"""`audit verify`, `audit export`, `alert test`."""

from __future__ import annotations

import csv
import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .doors import Door, command
from .morning import EVERY_MORNING
from .words import plural

if TYPE_CHECKING:
    from bridge.app import Bridge

COLUMNS = ("id", "at", "actor", "action", "object", "detail")


def verify(door: Door) -> int:
    """Recompute the chain of seals over the audit log; exit 1 and where, if it breaks."""
    from bridge.app import open_database
    from bridge.flows import chain

    async def look() -> chain.Verified:
        db = await open_database(door.env)
        try:
            return await chain.verify(db)
        finally:
            await db.close()

    found = door.run(look()) if door.has_store else chain.Verified(0, 0, 0)
    if door.json:
        door.emit(found.row)
        return int(bool(found.broken))
    paper = door.paper()
    if found.broken:
        paper.say(("The audit log is broken: ", "bold red"), found.broken)
        paper.say(f"What is before entry {found.entry} is as it was: {plural(found.seals, 'seal')} fit.")
        return 1
    sealed = found.entries - found.unsealed
    paper.say(
        ("The audit log is whole: ", "green"),
        f"{plural(sealed, 'entry', 'entries')} under {plural(found.seals, 'seal')}.",
    )
    if found.unsealed:
        paper.say(
            f"{plural(found.unsealed, 'entry is', 'entries are')} not sealed yet; a running worker seals every second."
        )
    if found.newest:
        paper.say(f"The newest seal is {found.newest}: kept elsewhere, it proves all of this.", hang=2)
    return 0


def export(
    door: Door,
    format: Annotated[
        Literal["jsonl", "csv"], typer.Option("--format", help="One JSON object a line, or CSV.")
    ] = "jsonl",
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="Only from here on.")] = None,
) -> None:
    """Write the audit log to stdout, oldest first."""
    from bridge.app import open_database
    from bridge.flows import chain, report

    at = door.moment(since, "--since")
    writer: Any = csv.writer(sys.stdout, lineterminator="\n") if format == "csv" else None
    if writer:
        writer.writerow(COLUMNS)

    async def walk() -> None:
        db = await open_database(door.env)
        try:
            async for entry in chain.export(db, since=report.ms(at) if at else 0):
                if writer:
                    detail = json.dumps(entry["detail"], ensure_ascii=False)
                    writer.writerow([*(entry[name] for name in COLUMNS[:-1]), detail])
                else:
                    door.emit({name: entry[name] for name in COLUMNS})
        finally:
            await db.close()

    if door.has_store:
        door.run(walk())


def test(door: Door) -> int:
    """Send a test to everybody whom bridge.toml alerts."""
    if not door.config.alerts:
        door.paper().say("There is no [[alert]] in bridge.toml, so nobody is told.")
        return 1

    async def tell(bridge: Bridge) -> list[str]:
        scene = bridge.scene(door.actor)
        return await bridge.chores.tell(
            scene, "test", f"This is a test of the alerts, by {door.env.actor}", recovered=False
        )

    faults = door.bridge(tell)
    paper = door.paper()
    for fault in faults:
        paper.say((fault, "red"))
    if not faults:
        paper.say(f"{plural(len(door.config.alerts), 'alert')} sent.")
    return int(bool(faults))


def register(app: typer.Typer) -> None:
    audit = typer.Typer(help="Verify or export the audit log.", no_args_is_help=True)
    command(audit, "verify", rows=True)(verify)
    command(audit, "export", rows=True)(export)
    app.add_typer(audit, name="audit", rich_help_panel=EVERY_MORNING)
    alert = typer.Typer(help="Try the alerts.", no_args_is_help=True)
    command(alert, "test")(test)
    app.add_typer(alert, name="alert", rich_help_panel=EVERY_MORNING)
