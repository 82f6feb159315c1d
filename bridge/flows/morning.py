"""The first question of the morning: does anything need a person, and how does everything else stand?

`status` answers with groups: so many of one kind, at one place, for one reason. What waits by itself, or for
a customer to link an account, is a group too, but needs nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from bridge.config import Config
from bridge.kit.fields import said
from bridge.store import Row, Tx, attempts, claims, lists, numbers, targets

from .report import Shown, iso, when

#: What needs a person, in the order in which it is shown. Anything else does not.
NEEDS_A_PERSON = (
    "stranded",
    "paused",
    "held",
    "failed",
    "undo",
    "review",
    "asking",
    "unjudged",
    "unreadable",
    "quiet",
    "overdue",
)
#: Longer than this nothing that is due waits at a target that answers, unless nobody sends.
OVERDUE = timedelta(hours=1)
#: Refused requests are noise on a public address; those of the last day are worth a line.
LATELY = timedelta(days=1)


async def status(tx: Tx, config: Config | None, *, now: int, since: int = 0) -> list[Shown]:
    """All groups, those that need a person first. `since` leaves out what last changed before."""
    found = await lists.attention(tx, since=since)
    refused = found["rejections"]
    if not since:
        refused = (await lists.attention(tx, since=now - LATELY // timedelta(milliseconds=1)))["rejections"]
    names = [*(config.targets if config else ()), *await targets.all(tx)]
    groups = [
        *await _targets(tx, list(dict.fromkeys(names)), now),
        *(await _stranded(tx, config) if config else ()),
        *(_group(row["state"], row, target=row["target"], rule=row["rule"]) for row in found["forwards"]),
        *(_group("undo", row, target=row["target"], rule=row["rule"]) for row in found["undo"]),
        *(_group("unjudged", row, source=row["source"], action=row["action"]) for row in found["unjudged"]),
        *(_group("unreadable", row, source=row["source"]) for row in found["deliveries"]),
        *(_claims(row) for row in await claims.counted(tx) if row["state"] == "review" or row["obstacle"] == "brand"),
        *(_group("waiting", row, source=row["source"]) for row in found["waiting"]),
        *(_group("rejected", row, source=row["source"], hint=row["hint"]) for row in refused),
        *await _sources(tx, config, now),
    ]
    order = {kind: place for place, kind in enumerate(NEEDS_A_PERSON)}
    return sorted(groups, key=lambda group: order.get(group["kind"], len(order)))


def _group(kind: str, row: Row, **where: Any) -> Shown:
    last = row["last"] if "last" in row.keys() else None  # noqa: SIM118 (a row of SQLite has keys, and looks in values)
    return {
        "kind": kind,
        "person": kind in NEEDS_A_PERSON,
        "count": row["count"],
        **where,
        "reason": row["reason"],
        "oldest": iso(row["oldest"]),
        "newest": iso(row["newest"]),
        "last": last,
    }


def _claims(row: Row) -> Shown:
    """Claims that a person decides, or that the shop's own set-up keeps from being asked about."""
    kind = "review" if row["state"] == "review" else "asking"
    reason = "" if kind == "review" else "the brand's own token or set-up cannot ask: loyalty-bridge setup"
    named = {**{name: row[name] for name in ("count", "oldest", "newest", "last")}, "reason": reason}
    return _group(kind, named, source=row["source"], action=row["action"])


def _told(kind: str, *, count: int, reason: str, oldest: int | None, **where: Any) -> Shown:
    told = {"kind": kind, "person": kind in NEEDS_A_PERSON, "count": count, **where}
    return {**told, "reason": reason, "oldest": iso(oldest), "newest": None, "last": None}


async def _targets(tx: Tx, names: Sequence[str], now: int) -> list[Shown]:
    """Paused ones, those that do not answer, and what is on its way at each."""
    groups = []
    standing, parked = await targets.all(tx), await attempts.parked(tx)
    for name in names:
        row = standing.get(name)
        open_ = await lists.undelivered(tx, target=name, now=now)
        waits = {"due": open_["due"], "later": open_["later"] - open_["accepted"], "accepted": open_["accepted"]}
        waits = {**waits, "later": max(0, waits["later"]), "parked": parked.get(name, 0)}
        count, oldest = sum(waits.values()), open_["oldest_due"]
        paused = row is not None and row["paused_at"] is not None
        failing = row is not None and row["breaker"] != "closed"
        if paused and row is not None:
            where = {"target": name, "by": row["pause"]}
            groups.append(_told("paused", count=count, reason=row["reason"], oldest=row["paused_at"], **where))
        elif failing and row is not None:
            groups.append(_told("failing", count=count, reason=row["reason"], oldest=row["at"], target=name))
        elif oldest is not None and now - oldest > OVERDUE / timedelta(milliseconds=1):
            reason = "is due and does not leave: does a worker run?"
            groups.append(_told("overdue", count=open_["due"], reason=reason, oldest=oldest, target=name))
        if count:
            groups.append(_told("undelivered", count=count, reason="", oldest=oldest, target=name, **waits))
    return groups


async def _stranded(tx: Tx, config: Config) -> list[Shown]:
    """What is owed at targets that bridge.toml does not have any more: nobody carries it there."""
    groups = []
    for row in await targets.stranded(tx, known=config.targets):
        reason = f"there is no [target.{row['target']}] any more: bring it back, or cancel these"
        groups.append(_told("stranded", count=row["count"], reason=reason, oldest=row["oldest"], target=row["target"]))
    return groups


async def _sources(tx: Tx, config: Config | None, now: int) -> list[Shown]:
    """When each source was last heard, and which have been silent for unusually long."""
    heard = await numbers.named(tx, name="heard")
    groups = []
    for name, source in (config.sources if config else {}).items():
        last = heard.get(name)
        quiet = source.quiet_after is not None and last is not None and when(now) - when(last) > source.quiet_after
        reason = f"longer than {said(source.quiet_after)}" if quiet and source.quiet_after else ""
        groups.append(_told("quiet" if quiet else "heard", count=0, reason=reason, oldest=last, source=name))
    for name in sorted(set(heard) - {group["source"] for group in groups}):
        groups.append(_told("heard", count=0, reason="", oldest=heard[name], source=name))
    return groups


def needs_a_person(groups: Sequence[Mapping[str, Any]]) -> bool:
    return any(group["person"] for group in groups)
