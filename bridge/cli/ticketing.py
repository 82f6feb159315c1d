"""`ticket`, `approve`, `refuse`: links that the shop signs, and claims that a person decides."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doors import Because, Door, Wrong, command, complain
from .repair import REPAIR, _tell

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.flows.operate import Done

COLUMNS = ("customer", "action", "email", "phone", "return_to", "expires")
EXPIRES = "7d"


def ticket(
    door: Door,
    customer: Annotated[str | None, typer.Argument(metavar="CUSTOMER", help="What the shop calls them.")] = None,
    action: Annotated[str | None, typer.Argument(metavar="SOURCE.ACTION", help="What they are to prove.")] = None,
    email: Annotated[str, typer.Option("--email", help="Their verified e-mail address.")] = "",
    phone: Annotated[str, typer.Option("--phone", help="Their verified phone.")] = "",
    return_to: Annotated[str, typer.Option("--return-to", metavar="URL", help="Where to lead them back to.")] = "",
    expires: Annotated[
        str, typer.Option("--expires", metavar="TIME", help="How long it is good: 7d, 12h; never: for ever.")
    ] = EXPIRES,
    file: Annotated[
        Path | None, typer.Option("--import", metavar="FILE.csv", help=f"Rows of {', '.join(COLUMNS)}.")
    ] = None,
) -> int:
    """Print a signed link to a customer's page, or thousands from a CSV file."""
    if not door.config.tickets:
        raise Wrong('bridge.toml has no [tickets] secret = "env:TICKET_SECRET": nothing can be signed')
    given = {"email": email, "phone": phone, "return_to": return_to, "expires": expires}
    if file is not None:
        if customer or action or email or phone:
            raise Wrong("--import reads customers and actions from the file; name none beside it")
        return _import(door, file, given)
    if not customer or not action:
        raise Wrong("write: loyalty-bridge ticket CUSTOMER SOURCE.ACTION, or --import FILE.csv")
    _print(door, _signed(door, {**given, "customer": customer, "action": action}))
    return 0


def _signed(door: Door, told: Mapping[str, str]) -> dict[str, Any]:
    """A row with its link. What keeps it from being one: `Wrong`."""
    from bridge.kit import BadTicket, Ticket, duration
    from bridge.kit.tickets import may_return, sign

    config, action = door.config, told["action"]
    name, _, verb = action.rpartition(".")
    source = config.sources.get(name)
    if source is None or verb not in source.provider.checks:
        known = [f"{one.name}.{verb}" for one in config.sources.values() for verb in one.provider.checks]
        raise Wrong(f"nobody can prove {action!r} here; there are {', '.join(known) or 'none yet'}")
    if told["return_to"] and not may_return(told["return_to"], config.return_to):
        raise Wrong(f"{told['return_to']} is not at or below an address in return_to of bridge.toml")
    end = None
    if told["expires"] != "never":
        try:
            end = door.now + duration(told["expires"] or EXPIRES)
        except ValueError as error:
            raise Wrong(f"--expires: {error}") from None
        end = end.replace(microsecond=0) + timedelta(seconds=1)
    made = Ticket(
        customer=told["customer"],
        email=told["email"],
        phone=told["phone"],
        return_to=told["return_to"],
        expires=end,
    )
    try:
        query = sign(config.tickets[0], action, made)
    except BadTicket as error:
        raise Wrong(error.message) from None
    url = f"{config.public_url}/connect/{name}/{verb}?{query}"
    return {"customer": made.customer, "action": action, "expires": end.isoformat() if end else None, "url": url}


def _print(door: Door, row: Mapping[str, Any]) -> None:
    if door.json:
        door.emit(row)
    else:
        print(row["url"])  # as it is: it is to be copied, whatever the terminal's width


def _import(door: Door, file: Path, given: Mapping[str, str]) -> int:
    bad = 0
    for line, told in _read(file):
        try:
            _print(door, _signed(door, {**given, **{name: value for name, value in told.items() if value}}))
        except Wrong as error:
            bad += 1
            complain(f"{file}:{line}: {error}")
    return int(bad > 0)


def _read(file: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count), restval="")
    names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    missing = [name for name in COLUMNS[:2] if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown:
        raise Wrong(f"{file}:1: the columns are {', '.join(COLUMNS)}, of which customer and action are needed")
    rows = []
    for row in reader:
        told = {name: str(value).strip() for name, value in row.items() if name in COLUMNS}
        if any(told.values()):
            rows.append((reader.line_num, told))
    return rows


Ids = Annotated[list[str], typer.Argument(metavar="CLAIM...", help="Their ids, beginnings of them, or short numbers.")]


def _decide(door: Door, ids: Sequence[str], because: str, *, approved: bool) -> int:
    reason = door.because(because)

    async def act(bridge: Bridge) -> list[Done]:
        from bridge.flows import report, review

        found = []
        for id_ in dict.fromkeys(ids):
            found.append(await bridge.db.read(lambda tx, id_=id_: report.claim(tx, id_)))  # type: ignore[misc]
        scene = bridge.scene(door.actor)
        verb = review.approve if approved else review.refuse
        return [await bridge.db.transact(lambda tx, one=one: verb(tx, one, scene, reason)) for one in found]  # type: ignore[misc]

    return _tell(door, door.bridge(act))


def approve(door: Door, claim: Ids, because: Because = "") -> int:
    """Decide for claims in review: what was proved counts."""
    return _decide(door, claim, because, approved=True)


def refuse(door: Door, claim: Ids, because: Because = "") -> int:
    """Decide against claims in review: what was proved does not count, now or later."""
    return _decide(door, claim, because, approved=False)


def register(app: typer.Typer) -> None:
    command(app, "ticket", REPAIR, rows=True)(ticket)
    command(app, "approve", REPAIR, rows=True)(approve)
    command(app, "refuse", REPAIR, rows=True)(refuse)
