"""`status` and `why`: the operator's first two."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from .doors import Door, command
from .words import Paper, Part, plural, state

EVERY_MORNING = "Every morning"

#: What a group is called: one, many.
CALLED = {
    "failed": ("forward failed", "forwards failed"),
    "held": ("forward is held", "forwards are held"),
    "undo": ("reward is to be taken back", "rewards are to be taken back"),
    "review": ("claim is to be approved or refused", "claims are to be approved or refused"),
    "asking": ("claim cannot be asked about", "claims cannot be asked about"),
    "unjudged": ("fact could not be judged", "facts could not be judged"),
    "unreadable": ("delivery could not be read", "deliveries could not be read"),
}


def status(
    door: Door,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Only what changed since 18:00, 12h or ISO 8601.")
    ] = None,
) -> int:
    """Say what needs a person and what waits by itself; exit 1 if a person is needed."""
    from bridge.flows import morning, report

    at = door.moment(since, "--since")
    config = door.config_if_right
    if not door.has_store:
        return _nothing_yet(door)
    start = report.ms(at) if at else 0
    groups = door.read(lambda tx: morning.status(tx, config, now=report.ms(door.now), since=start))
    needed = morning.needs_a_person(groups)
    if door.json:
        for group in groups:
            door.emit({**group, "next": next_of(group)})
    else:
        _status(door.paper(), [door.row(group) for group in groups], f"since {since}" if since else "")
    return int(needed)


def _nothing_yet(door: Door) -> int:
    if not door.json:
        door.paper().say(f"Nothing has come in yet: there is no {door.env.database_file}; `serve` makes it.")
    return 0


def next_of(group: Mapping[str, Any]) -> str:
    """The command to type next."""
    where = [f"--{name} {shlex.quote(str(group[name]))}" for name in ("source", "target", "rule") if group.get(name)]
    named = " ".join(where)
    match group["kind"]:
        case "failed" | "held":
            return f"loyalty-bridge list forwards --state {group['kind']} {named}"
        case "undo":
            return f"loyalty-bridge show {group['last']}"
        case "unjudged" if group["count"] == 1:
            return f"loyalty-bridge show {group['last']}"
        case "unjudged":
            return f"loyalty-bridge list evidence --state unjudged {named}"
        case "unreadable" if group["count"] == 1:
            return f"loyalty-bridge show {group['last']}"
        case "unreadable":
            return f"loyalty-bridge list deliveries --state failed {named}"
        case "review" if group["count"] == 1:
            return f"loyalty-bridge show {group['last']}"
        case "review":
            return f"loyalty-bridge list claims --state review {named}"
        case "asking":
            return f"loyalty-bridge list claims --state checking {named}"
        case "paused":
            return f"loyalty-bridge resume {shlex.quote(group['target'])}"
        case "quiet":
            return f"loyalty-bridge list rejections {named}"
        case "overdue":
            return "loyalty-bridge work"
        case "waiting":
            return f"loyalty-bridge list evidence --state waiting {named}"
        case "rejected":
            return f"loyalty-bridge list rejections {named} --reason {group['reason']}"
        case "failing" | "undelivered" | "stranded":
            return f"loyalty-bridge list forwards --state pending {named}"
    return ""


def _status(paper: Paper, groups: Sequence[Mapping[str, Any]], since: str) -> None:
    urgent = [group for group in groups if group["person"]]
    if urgent:
        paper.heading("Needs a person", since)
    else:
        well = not any(group["kind"] == "failing" for group in groups)
        words = "All is well." if well else "Nothing needs a person."
        paper.say((words, "green" if well else ""), *([("  " + since, "dim")] if since else []))
    for group in urgent:
        paper.blank()
        paper.say(*_headline(paper, group), indent=2, hang=2)
        if group["reason"]:
            paper.say(group["reason"], indent=4)
        paper.say((_when(paper, group), "dim"), indent=4, hang=2)
        paper.command(next_of(group), indent=4)
    calm = [group for group in groups if not group["person"] and group["kind"] not in ("heard",)]
    if calm:
        paper.blank()
        paper.heading("Waits by itself")
        for group in calm:
            paper.say(*_calm(paper, group), indent=2, hang=2)
    heard = [group for group in groups if group["kind"] == "heard"]
    if heard:
        paper.blank()
        paper.heading("Sources")
        width = max(len(group["source"]) for group in heard)
        for group in heard:
            said = f"heard {paper.ago(group['oldest'])}" if group["oldest"] else "not heard yet"
            paper.say(f"{group['source'].ljust(width)}  {said}", indent=2)


def _headline(paper: Paper, group: Mapping[str, Any]) -> list[Part]:
    kind, count = group["kind"], group["count"]
    match kind:
        case "paused":
            waits = f"; {plural(count, 'forward waits', 'forwards wait')}" if count else ""
            by = "by an operator" if group["by"] == "operator" else "by itself: it is not set up right"
            return [(f"{group['target']} is paused", "bold yellow"), f" {by}{waits}"]
        case "quiet":
            return [(f"{group['source']} has gone quiet", "bold yellow"), f", {group['reason']}"]
        case "stranded":
            return [(plural(count, "forward"), "bold red"), f" to {group['target']} will never leave"]
        case "overdue":
            return [(plural(count, "forward"), "bold yellow"), f" to {group['target']} should have left by now"]
    one, many = CALLED[kind]
    told = plural(count, one, many)
    place = {
        "review": f" at {group.get('source')}.{group.get('action')}",
        "asking": f" at {group.get('source')}.{group.get('action')}",
        "unjudged": f" at {group.get('source')}.{group.get('action')}",
        "unreadable": f" from {group.get('source')}",
    }.get(kind, f" at {group.get('target')} ({group.get('rule')})")
    return [(told, "bold red" if kind in ("failed", "unreadable", "unjudged") else "bold yellow"), place]


def _when(paper: Paper, group: Mapping[str, Any]) -> str:
    oldest, newest, last = group["oldest"], group["newest"], group["last"]
    if newest is None:
        return f"since {paper.time(oldest)}" if oldest else ""
    if group["count"] == 1:
        return f"{paper.time(newest)}  {last}"
    first, latest = paper.time(oldest), paper.time(newest)
    return f"{latest if first == latest else f'{first} to {latest}'}, the newest {last}"


def _calm(paper: Paper, group: Mapping[str, Any]) -> list[Part]:
    match group["kind"]:
        case "waiting":
            told = plural(group["count"], "fact waits", "facts wait")
            if "linked" in group["reason"]:
                return [f"{told} for a customer to link their {group['source']} account"]
            return [f"{told} at {group['source']}: {group['reason']}"]
        case "rejected":
            times = plural(group["count"], "request")
            hint = f": {group['hint']}" if group["hint"] else ""
            return [
                f"{times} to {group['source']} refused, {group['reason']}{hint}",
                (f"  {paper.time(group['newest'])}", "dim"),
            ]
        case "failing":
            return [f"{group['target']} does not answer and is tried again by itself: {group['reason']}"]
    words = {"due": "due", "later": "later", "accepted": "taken and not yet granted", "parked": "behind another"}
    told = ", ".join(f"{group[name]:,} {said}" for name, said in words.items() if group[name])
    since = f", the oldest since {paper.time(group['oldest'])}" if group["oldest"] else ""
    return [f"{group['target']}: {told}{since}"]


#: The colour of a result.
RESULTS = {
    "rewarded": "green",
    "failed": "red",
    "held": "yellow",
    "unjudged": "red",
    "on its way": "blue",
    "accepted": "cyan",
    "waiting": "cyan",
    "not linked": "cyan",
    "in review": "yellow",
}


def why(
    door: Door,
    name: Annotated[
        str, typer.Argument(metavar="WHO", help="A customer's id, e-mail or phone, or an account or handle.")
    ],
) -> int:
    """Say for each rule when and how somebody was rewarded, or why not."""
    from bridge.flows import why as whys
    from bridge.kit import NotFound

    if not door.has_store:
        raise NotFound(f"nobody is known as {name}: nothing has come in yet")
    who, rows = door.read(lambda tx: whys.why(tx, name, door.config, now=door.now))
    if door.json:
        for row in rows:
            door.emit(row)
        return 0
    paper = door.paper()
    _who(paper, door.row(who))
    for row in rows:
        paper.blank()
        _why(paper, door.row(row))
    if not rows:
        paper.say("There are no rules.")
    return 0


def _who(paper: Paper, who: Mapping[str, Any]) -> None:
    for place, customer in enumerate(who["customers"]):
        known = [str(customer[name]) for name in ("email", "phone") if customer[name]]
        more = f"  {', '.join(known)}" if known else ""
        paper.say("" if place == 0 else "the same person as ", (customer["id"], "bold"), more)
    for account in who["accounts"]:
        paper.say(f"{account['account']} at {account['source']}", indent=2)
    for claim in who["claims"][:10]:
        said = claim["obstacle"] or claim["result"] if claim["state"] == "checking" else claim["reason"]
        told = f"  {claim['source']}.{claim['action']}  {said}".rstrip()
        paper.say("claim ", (claim["number"], "bold"), "  ", state(claim["state"], 9), told, indent=2, hang=2)
    for account in who["strangers"]:
        paper.say((account["account"], "bold"), f" at {account['source']}, linked to nobody")
        paper.command(f"loyalty-bridge link CUSTOMER {account['source']} {shlex.quote(account['account'])}", indent=2)


def _why(paper: Paper, row: Mapping[str, Any]) -> None:
    paper.say((row["rule"], "bold"), f"  {row['name']}" if row["name"] != row["rule"] else "")
    at = f" {paper.time(row['at'])}" if row["at"] else ""
    paper.say((row["result"], RESULTS.get(row["result"], "dim")), (at, "dim"), f"  {row['text']}", indent=2, hang=2)
    if row["due_at"] and row["result"] in ("waiting", "on its way", "accepted"):
        paper.say((f"due {paper.time(row['due_at'])}", "dim"), indent=4)
    for forward in row["forwards"][:5] if row["count"] > 1 else ():
        told = f"  {forward['id']}  {paper.time(forward['at'])}  {forward['target']}"
        paper.say(state(forward["state"], 9), told, indent=4, hang=2)
    if len(row["forwards"]) > 5:
        paper.say((f"and {len(row['forwards']) - 5} more", "dim"), indent=4)
    paper.command(_after(row), indent=4)


def _after(row: Mapping[str, Any]) -> str:
    match row["result"]:
        case "failed" | "held" | "rewarded" | "accepted" | "on its way" | "waiting" | "withdrawn":
            return f"loyalty-bridge show {row['forward']}"
        case "not considered":
            return f"loyalty-bridge reconsider --rule {row['rule']} --dry-run"
        case _ if row["evidence"]:
            return f"loyalty-bridge show {row['evidence']}"
    return ""


def register(app: typer.Typer) -> None:
    command(app, "status", EVERY_MORNING, rows=True, reveal=True)(status)
    command(app, "why", EVERY_MORNING, rows=True, reveal=True)(why)
