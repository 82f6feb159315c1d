"""`replay`, `hold`, `release`, `confirm`, `cancel`: operators' verbs over forwards and deliveries."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doors import Because, Door, Wrong, command
from .reading import Customer, Reason, RuleName, Since, SourceName, State, TargetName, Until, filters, understood

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.flows.operate import Done

REPAIR = "Repair"
Ids = Annotated[list[str], typer.Argument(metavar="FORWARD...", help="Their ids, or beginnings of them.")]
#: Of the things done one by one, so many are told one by one.
TOLD = 20


def replay(
    door: Door,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ID... | deliveries | forwards]", help="Ids, or which of the two the filters are about."
        ),
    ] = None,
    state: State = None,
    source: SourceName = None,
    target: TargetName = None,
    rule: RuleName = None,
    customer: Customer = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")] = False,
    rate: Annotated[float, typer.Option("--rate", help="At most so many a second.")] = 5,
    because: Because = "",
) -> int:
    """Read deliveries again, and send failed forwards again under the same key; others are skipped and counted."""
    if not 0 < rate <= 10_000:
        raise Wrong("--rate is how many a second, above 0")
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
    ids = list(what or ())
    kinds = [one for one in ids if one in ("deliveries", "forwards")]
    ids = [one for one in ids if one not in kinds]
    if ids and (given or kinds):
        raise Wrong("name ids or filters, not both")
    if not ids and not given:
        raise Wrong("say what to replay: ids, or filters such as --state failed --target gameball")
    reason_ = "" if dry_run else door.because(because)
    kinds = kinds or (["forwards"] if {"target", "rule", "customer"} & set(given) else ["deliveries", "forwards"])

    async def act(bridge: Bridge) -> int:
        counts = _Counts(door, dry_run)
        for kind, found, total in await _plan(bridge, door, ids, kinds, given):
            from bridge.flows import again

            walk = again.replay(
                bridge.db, lambda: bridge.scene(door.actor), kind, found, reason_, dry_run=dry_run, rate=rate
            )
            await counts.follow(kind, walk, total)
        return counts.end(bool(ids))

    return door.bridge(act)


async def _plan(
    bridge: Bridge, door: Door, ids: Sequence[str], kinds: Sequence[str], given: Mapping[str, Any]
) -> list[tuple[str, AsyncIterator[str], int]]:
    """What to walk: which list, its ids one after the other, how many they are."""
    from bridge.flows import again, report

    if ids:
        places = [
            await bridge.db.read(lambda tx, one=one: report.find(tx, one, among=("deliveries", "forwards")))  # type: ignore[misc]
            for one in dict.fromkeys(ids)
        ]
        found = []
        for kind in ("deliveries", "forwards"):
            if mine := [id_ for place, id_ in places if place == kind]:
                found.append((kind, again.named(mine), len(mine)))
        return found
    plan = []
    for kind in kinds:
        asked = await bridge.db.read(lambda tx, kind=kind: understood(tx, kind, given, door))  # type: ignore[misc]
        total = await bridge.db.read(lambda tx, kind=kind, asked=asked: report.count(tx, kind, asked))  # type: ignore[misc]
        plan.append((kind, again.found(bridge.db, kind, asked), total))
    return plan


class _Counts:
    """What became of them, while it happens and in the end."""

    def __init__(self, door: Door, dry_run: bool) -> None:
        self.door, self.dry_run = door, dry_run
        self.done: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.interrupted = False

    async def follow(self, kind: str, walk: AsyncIterator[Done], total: int) -> None:
        if self.interrupted:
            return
        from .progress import bar

        paper = self.door.paper()
        few = total <= TOLD
        with bar(kind, 0 if few else total) as step:
            try:
                async for one in walk:
                    (self.done if one.done else self.skipped)[f"{kind}: {one.said}"] += 1
                    if self.door.json:
                        self.door.emit({"id": one.id, "done": one.done, "text": one.said})
                    elif few:
                        paper.say(f"{one.id}  ", ("" if one.done else "skipped: ", "dim"), one.said, hang=2)
                    step()
            except (KeyboardInterrupt, asyncio.CancelledError):
                self.interrupted = True

    def end(self, named: bool) -> int:
        paper = self.door.paper(err=self.door.json)
        done, skipped = sum(self.done.values()), sum(self.skipped.values())
        would = "would be replayed" if self.dry_run else "replayed"
        paper.say(f"{done:,} {would}, {skipped:,} skipped.")
        if done + skipped > TOLD:
            for said, count in [*self.done.most_common(10), *self.skipped.most_common(10)]:
                paper.say(f"{count:>8,}  {said}", hang=10)
        if self.interrupted:
            paper.say("Interrupted: each was either done or left as it was; the same command goes on.")
            return 130
        return int(named and not done)


def _verb(door: Door, name: str, ids: Sequence[str], because: str) -> int:
    reason = door.because(because)

    async def act(bridge: Bridge) -> list[Done]:
        from bridge.flows import operate, report

        found = []
        for id_ in dict.fromkeys(ids):
            _, whole = await bridge.db.read(lambda tx, id_=id_: report.find(tx, id_, among=("forwards",)))  # type: ignore[misc]
            found.append(whole)
        scene = bridge.scene(door.actor)
        verb = operate.VERBS[name]
        return [await bridge.db.transact(lambda tx, one=one: verb(tx, one, scene, reason)) for one in found]  # type: ignore[misc]

    return _tell(door, door.bridge(act))


def _tell(door: Door, results: Sequence[Done]) -> int:
    paper = None if door.json else door.paper()
    for one in results:
        if paper is None:
            door.emit({"id": one.id, "done": one.done, "text": one.said})
        else:
            paper.say(one.id, " ", (one.said, "" if one.done else "yellow"), hang=2)
    return int(not all(one.done for one in results))


def hold(door: Door, forward: Ids, because: Because = "") -> int:
    """Keep pending forwards from leaving; those on their way are held when their answer allows it."""
    return _verb(door, "hold", forward, because)


def release(door: Door, forward: Ids, because: Because = "") -> int:
    """Let held forwards go on; where an earlier try may have arrived, the target is asked first."""
    return _verb(door, "release", forward, because)


def confirm(door: Door, forward: Ids, because: Because = "") -> int:
    """Say that you have seen that the reward exists, or have taken back what was to be taken back."""
    return _verb(door, "confirm", forward, because)


def cancel(door: Door, forward: Ids, because: Because = "") -> int:
    """Withdraw forwards that have not arrived."""
    return _verb(door, "cancel", forward, because)


def register(app: typer.Typer) -> None:
    command(app, "replay", REPAIR, rows=True)(replay)
    command(app, "hold", REPAIR, rows=True)(hold)
    command(app, "release", REPAIR, rows=True)(release)
    command(app, "confirm", REPAIR, rows=True)(confirm)
    command(app, "cancel", REPAIR, rows=True)(cancel)
