"""`list` and `show`: everything there is, and the whole story of one thing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doors import Door, Wrong, command, complain
from .morning import EVERY_MORNING
from .words import Paper, Part, plural, state

if TYPE_CHECKING:
    from bridge.store import Tx

WHATS = ("deliveries", "rejections", "evidence", "links", "claims", "forwards", "audit")
#: Rows read at a time.
PAGE = 500

State = Annotated[str | None, typer.Option("--state", help="Only in this state; of audit: only this action.")]
SourceName = Annotated[str | None, typer.Option("--source", help="Only from this source.")]
TargetName = Annotated[str | None, typer.Option("--target", help="Only to this target.")]
RuleName = Annotated[str | None, typer.Option("--rule", help="Only of this rule.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Only of this person: id, e-mail or phone.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only where the reason contains this.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="Changed since 9:00, 12h or ISO 8601.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Changed before 9:00, 12h or ISO 8601.")]


def filters(door: Door, **given: str | None) -> dict[str, Any]:
    """The filters that were given, times read."""
    from bridge.flows import report

    since = door.moment(given.pop("since"), "--since")
    until = door.moment(given.pop("until"), "--until", end=True)
    times = {"since": since and report.ms(since), "until": until and report.ms(until)}
    return {name: value for name, value in {**given, **times}.items() if value is not None}


async def understood(tx: Tx, what: str, given: Mapping[str, Any], door: Door) -> dict[str, Any]:
    """Filters as the store takes them; one that does not apply is wrong use."""
    from bridge.flows import report
    from bridge.kit import Conflict

    try:
        return await report.filters(tx, what, given, door.config_if_right)
    except Conflict as error:
        raise Wrong(error.message) from None


def list_(
    door: Door,
    what: Annotated[str, typer.Argument(metavar="WHAT", help=", ".join(WHATS))],
    state: State = None,
    source: SourceName = None,
    target: TargetName = None,
    rule: RuleName = None,
    customer: Customer = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="How many at most, the newest first; 0 for all.")] = 50,
    by: Annotated[str | None, typer.Option("--by", metavar="FIELD", help="Count them by this field instead.")] = None,
) -> int | None:
    """List deliveries, rejections, evidence, links, claims, forwards or the audit log, newest first."""
    if what not in WHATS:
        raise Wrong(f"there is no list of {what}; there are {', '.join(WHATS)}")
    given = filters(
        door,
        state=state,
        source=source,
        target=target,
        rule=rule,
        customer=customer,
        reason=reason,
        since=since,
        until=until,
    )
    if not door.has_store:
        if not door.json:
            complain(f"No {what}: nothing has come in yet.")
        return None
    if by:
        _grouped(door, what, given, by)
    else:
        _listed(door, what, given, limit)
    return None


def _grouped(door: Door, what: str, given: Mapping[str, Any], by: str) -> None:
    from bridge.flows import report
    from bridge.kit import Conflict

    async def look(tx: Tx) -> list[report.Shown]:
        try:
            return await report.grouped(tx, what, await understood(tx, what, given, door), by=by)
        except Conflict as error:
            raise Wrong(error.message) from None

    rows = door.read(look)
    paper = None if door.json else door.paper()
    for row in rows:
        if paper is None:
            door.emit(row)
        else:
            paper.say(
                f"{row['count']:>8,}  ", (f"{paper.time(row['newest']):<16}", "dim"), row["value"] or "-", hang=26
            )
    if not rows and paper:
        complain(f"No {what}.")


def _listed(door: Door, what: str, given: Mapping[str, Any], limit: int) -> None:
    from bridge.flows import report

    async def look(tx: Tx) -> tuple[list[report.Shown], int]:
        asked = await understood(tx, what, given, door)
        rows: list[report.Shown] = []
        while not limit or len(rows) < limit:
            size = min(PAGE, limit - len(rows)) if limit else PAGE
            before = rows[-1]["id"] if rows else None
            page = await report.listing(tx, what, asked, limit=size, before=before)
            rows += page
            if len(page) < size:
                break
        return rows, await report.count(tx, what, asked) if limit and len(rows) == limit else len(rows)

    rows, total = door.read(look)
    paper = None if door.json else door.paper()
    for row in rows:
        if paper is None:
            door.emit(row)
        else:
            brief(paper, what, door.row(row))
    if total > len(rows):
        complain(f"The newest {len(rows):,} of {total:,}; --limit 0 shows all.")
    elif not rows and paper:
        complain(f"No {what}{' like that' if given else ''}.")


def brief(paper: Paper, what: str, row: Mapping[str, Any]) -> None:
    """A row for people: what it is and when on one line, the rest where there is room."""
    head: list[Part] = [
        *([state(row["state"], 10), " "] if row["state"] else []),
        f"{row['id']:>6}  ",
        (f"{paper.time(row['at']):<12}  ", "dim"),
    ]
    rest, reason = _rest(what, row)
    if paper.fits([*head, *rest]) or paper.wide:
        tail: list[Part] = [("  " + reason, "dim")] if reason and paper.wide else []
        paper.say(*head, *rest, *tail)
    else:
        paper.say(*head)
        paper.say(*rest, indent=11)
    if reason and not paper.wide:
        paper.say((reason, "dim"), indent=11)


def _rest(what: str, row: Mapping[str, Any]) -> tuple[list[Part], str]:
    match what:
        case "forwards":
            behind = f"  waits behind {row['waits_behind']}" if row["waits_behind"] else ""
            undo = "takes back " if row["kind"] == "undo" else ""
            return [f"{undo}{row['rule']} -> {row['target']}  {row['customer']['id']}{behind}"], row["reason"]
        case "evidence":
            who = f" ({row['customer']['id']})" if row["customer"] and row["customer"]["id"] != row["account"] else ""
            undone = "no longer: " if row["undone"] else ""
            return [f"{undone}{row['source']}.{row['action']} by {row['account'] or 'nobody known'}{who}"], row[
                "reason"
            ]
        case "deliveries":
            copies = f", came {plural(row['copies'], 'time')} more" if row["copies"] else ""
            return [f"{row['source']}, {row['size']:,} bytes{copies}"], row["reason"]
        case "rejections":
            hint = f" ({row['hint']})" if row["hint"] else ""
            return [(row["reason"], "red"), f" {row['method']} {row['path']}"], f"{row['detail']}{hint}"
        case "links":
            return [f"{row['account']} at {row['source']} is {row['customer']['id']}, by {row['how']}"], ""
        case "claims":
            who = f" as {row['handle'] or row['account']}" if row["account"] else ""
            said = row["obstacle"] or row["result"]
            told = f"{row['source']}.{row['action']} by {row['customer']['id']}{who}"
            return [f"{row['number']}  {told}", (f"  {said}" if row["state"] == "checking" else "", "dim")], row[
                "reason"
            ]
    because = str(row["detail"].get("because", ""))
    return [f"{row['actor']}  {row['action']}  {row['object']}"], f'"{because}"' if because else ""


def show(
    door: Door,
    id: Annotated[str, typer.Argument(metavar="ID", help="del_, evi_, fwd_, clm_, rej_ or lnk_..., or its beginning.")],
    http: Annotated[bool, typer.Option("--http", help="Print the request byte for byte as it was received.")] = False,
) -> int | None:
    """Tell the whole story of one thing: delivery, evidence, rule, forward, every attempt with the answer."""
    from bridge.flows import story
    from bridge.kit import NotFound

    if not door.has_store:
        raise NotFound(f"there is no {id}: nothing has come in yet")
    if http:
        sys.stdout.buffer.write(door.read(lambda tx: story.as_it_came(tx, id)))
        sys.stdout.buffer.flush()
        return None
    config = door.config_if_right
    parts = door.read(lambda tx: story.story(tx, id, config))
    if door.json:
        for part in parts:
            door.emit(part)
        return None
    from .telling import tell

    tell(door.paper(), [door.row(part) for part in parts])
    return None


def register(app: typer.Typer) -> None:
    command(app, "list", EVERY_MORNING, rows=True, reveal=True)(list_)
    command(app, "show", EVERY_MORNING, rows=True, reveal=True)(show)
