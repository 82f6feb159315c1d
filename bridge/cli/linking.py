"""`link` and `unlink`: the shop knows already whose account it is."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .doors import Because, Door, Wrong, command, complain
from .repair import REPAIR
from .words import plural

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.flows.again import Linked, Wanted

COLUMNS = ("customer", "source", "account", "email", "phone")
NEEDED = COLUMNS[:3]
#: Rows linked at a time: as many as one transaction takes.
CHUNK = 200


def link(
    door: Door,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="What the shop calls them.")] = None,
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="Its name in bridge.toml.")] = None,
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="What the source calls them.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Their verified e-mail address.")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help="Their verified phone.")] = None,
    file: Annotated[
        Path | None, typer.Option("--import", metavar="FILE.csv", help=f"Rows of {', '.join(COLUMNS)}.")
    ] = None,
) -> int:
    """Link an account to a customer, or thousands from a CSV file; what waited for it is considered at once."""
    given = [one for one in (customer, source, account) if one is not None]
    if file is not None:
        if given or email or phone:
            raise Wrong("--import reads everything from the file; name nothing beside it")
        return _import(door, file)
    if customer is None or source is None or account is None:
        raise Wrong("write: loyalty-bridge link CUSTOMER SOURCE ACCOUNT, or --import FILE.csv")

    async def act(bridge: Bridge) -> Linked:
        from bridge.flows import again

        wanted = again.Wanted(customer=customer, source=source, account=account, email=email, phone=phone)
        scene = bridge.scene(door.actor)
        return await bridge.db.transact(lambda tx: again.link(tx, wanted, scene))

    made = door.bridge(act)
    if door.json:
        door.emit({"id": made.id, "new": made.new, "forwards": list(made.forwards)})
        return 0
    paper = door.paper()
    owed = f"; {plural(len(made.forwards), 'forward')} owed for what waited" if made.forwards else ""
    paper.say(f"{made.id}  {account} at {source} is {customer}{'' if made.new else ' already'}{owed}", hang=2)
    for id_ in made.forwards:
        paper.say(id_, indent=2)
    return 0


def _import(door: Door, file: Path) -> int:
    rows = list(_read(file))

    async def act(bridge: Bridge) -> int:
        from bridge.flows import again
        from bridge.kit import BridgeError

        from .progress import bar

        new = known = bad = owed = 0
        interrupted = False
        with bar("links", len(rows)) as step:
            try:
                for start in range(0, len(rows), CHUNK):
                    part = rows[start : start + CHUNK]
                    found = await again.link_many(bridge.db, lambda: bridge.scene(door.actor), [one for _, one in part])
                    for (line, _), made in zip(part, found, strict=True):
                        if isinstance(made, BridgeError):
                            bad += 1
                            complain(f"{file}:{line}: {made.message}")
                            continue
                        new, known, owed = new + made.new, known + (not made.new), owed + len(made.forwards)
                    step(len(part))
            except (KeyboardInterrupt, asyncio.CancelledError):
                interrupted = True
        if door.json:
            door.emit({"new": new, "known": known, "bad": bad, "forwards": owed})
        else:
            told = f"{plural(new, 'account')} linked, {known:,} linked already, {plural(bad, 'bad row')}"
            door.paper().say(f"{told}; {plural(owed, 'forward')} owed for what waited.")
        if interrupted:
            complain("Interrupted: what is linked stays linked; the same command goes on.")
            return 130
        return int(bad > 0)

    return door.bridge(act)


def _read(file: Path) -> Iterator[tuple[int, Wanted]]:
    """The rows of a CSV file with their lines. Not such a file: `Wrong`."""
    from bridge.flows.again import Wanted

    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    first = text.partition("\n")[0]
    # What a spreadsheet writes depends on where it is at home.
    reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count), restval="")
    names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        said = [f"the columns {', '.join(missing)} are missing"] * bool(missing)
        said += [f"there is no column {', '.join(unknown)}"] * bool(unknown)
        raise Wrong(f"{file}:1: {' and '.join(said)}; they are {', '.join(COLUMNS)}")
    for row in reader:
        told = {name: str(value).strip() for name, value in row.items() if name in COLUMNS}
        if any(told.values()):
            yield (
                reader.line_num,
                Wanted(
                    customer=told["customer"],
                    source=told["source"],
                    account=told["account"],
                    email=told.get("email") or None,
                    phone=told.get("phone") or None,
                    how="import",
                ),
            )


def unlink(
    door: Door,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its name in bridge.toml.")],
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="What the source calls them.")],
    because: Because = "",
) -> int:
    """Take a link away and withdraw what is pending for the account."""
    table = door.config.sources.get(source)
    if table is None:
        raise Wrong(f"there is no [source.{source}]; there are {', '.join(door.config.sources)}")
    reason = door.because(because)

    async def act(bridge: Bridge) -> list[str]:
        from bridge.flows import operate

        scene = bridge.scene(door.actor)
        return await bridge.db.transact(lambda tx: operate.unlink(tx, table, account, scene, reason))

    touched = door.bridge(act)
    if door.json:
        door.emit({"source": source, "account": account, "withdrawn": touched})
        return 0
    withdrawn = f"; {plural(len(touched), 'forward')} withdrawn" if touched else ""
    door.paper().say(f"{account} at {source} is linked to nobody now{withdrawn}")
    return 0


def register(app: typer.Typer) -> None:
    command(app, "link", REPAIR, rows=True)(link)
    command(app, "unlink", REPAIR, rows=True)(unlink)
