"""
Evidence: whose is it, what do the rules say, what do we owe.

Both doors end here: a webhook and a customer's own proof. Everything runs inside the transaction that
records the evidence, set by set:

1. the directory learns what the evidence says of its customer
2. whose account is this? a storefront's account is the customer; any other needs a link, or it waits
3. what has been undone of it, whichever came first?
4. the rules decide (pure)
5. the evidence is recorded, unique by (source, action, key, undone, part); a known fact stops here
6. what is owed is recorded, unique by fact, by person and by account
7. evidence that undoes something withdraws what has not left, and asks back what has
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bridge.config import SourceTable
from bridge.kit import Customer, EvidenceState, Forward, Kind, Owed, Recorded
from bridge.kit.types import NOTHING
from bridge.store import Tx, evidence, forwards, links
from bridge.store.rows import ms, text

from . import people, read, withdraw
from .decide import Decision, Unjudged, decide, left
from .scene import Scene

Judged: TypeAlias = tuple[EvidenceState, str]


@dataclass(slots=True)
class Considered:
    """What considering one piece of evidence came to."""

    evidence: Recorded
    state: EvidenceState = EvidenceState.CONSIDERED
    reason: str = ""
    new: bool = True
    owner: str | None = None
    forwards: list[str] = field(default_factory=list)
    targets: set[str] = field(default_factory=set)  # where the forwards go
    withdrawn: list[str] = field(default_factory=list)


async def consider(
    tx: Tx,
    told: Sequence[Recorded],
    scene: Scene,
    *,
    again: bool = False,
    directory: Iterable[Mapping[str, Any]] = (),
    owners: Mapping[str, str] | None = None,
    made: Mapping[str, Sequence[Decision]] = NOTHING,
) -> list[Considered]:
    """
    Record evidence and all that follows from it. `again`: it is in the store already and is considered
    once more; the constraints on forwards see to it that nothing is owed twice.

    `directory`: more entries to remember. `owners`: customers the caller already knows, by evidence id.
    `made`: what the rules say where they were asked beforehand, by evidence id.
    """
    entries = list(directory)
    facts: list[Recorded] = []
    undone: list[Recorded] = []
    owned: dict[str, str] = dict(owners or {})
    for one in told:
        (undone if one.undone or one.part else facts).append(one)
        source = scene.config.source_of(one.source)
        if source and source.provider.knows_customers and one.id not in owned:
            entry = _entry(one, source, scene)
            if entry:
                entries.append(entry)
                owned[one.id] = entry["id"]
    settings = scene.config.customers
    known = await people.remember(tx, entries, settings, now=scene.at) if entries else {}
    waiting = await _owners(tx, facts, owned, scene)
    directory_rows, everyone = await people.persons(tx, list(owned.values()), known, settings) if owned else ({}, {})
    judged, candidates = await _judge(tx, facts, owned, waiting, directory_rows, scene, made)

    plain = (EvidenceState.CONSIDERED, "")
    considered = {one.id: Considered(one, *judged.get(one.id, plain), owner=owned.get(one.id)) for one in told}
    if again:
        await evidence.judge(
            tx,
            [
                {"id": c.evidence.id, "state": c.state.value, "reason": c.reason, "owner": c.owner}
                for c in considered.values()
            ],
            now=scene.at,
        )
    else:
        new = await evidence.record(
            tx, [read.evidence_row(c.evidence, c.owner, c.state, c.reason) for c in considered.values()]
        )
        for id_, each in considered.items():
            each.new = id_ in new
    fresh = [row for row in candidates if considered[row["evidence"]].new]
    if fresh:
        made_now = await _owe(tx, fresh, everyone)
        for row in made_now:
            considered[row["evidence"]].forwards.append(row["id"])
            considered[row["evidence"]].targets.add(row["target"])
        if len(made_now) < len(fresh) and not again:
            await _explain(tx, fresh, considered, scene)
    # A fact can be undone, be done again and be undone once more: the latest undoing counts.
    again_undone = [one for one in undone if one.undone and not considered[one.id].new]
    later = await evidence.undone_later(tx, again_undone) if again_undone else set()
    await _undo(tx, [one for one in undone if considered[one.id].new or one.id in later], considered, scene)
    return list(considered.values())


def _entry(one: Recorded, source: SourceTable, scene: Scene) -> dict[str, Any] | None:
    said = one.customer or Customer(id=one.account)
    return people.known(said if said.id else replace(said, id=one.account), scene.config.customers, source)


async def _owners(tx: Tx, facts: Sequence[Recorded], owned: dict[str, str], scene: Scene) -> dict[str, str]:
    """Fill in whose accounts these are; the reasons of those that must wait, by evidence id."""
    waiting: dict[str, str] = {}
    asked: list[Recorded] = []
    for one in facts:
        if one.id in owned:
            continue
        source = scene.config.source_of(one.source)
        if one.account is None:
            waiting[one.id] = "the source does not say who did it"
        elif source and source.provider.knows_customers:
            waiting[one.id] = f"the shop does not tell this customer's {source.customer}"
        else:
            asked.append(one)
    if asked:
        found = await links.whose(tx, {(one.source, one.account or "") for one in asked})
        for one in asked:
            link = found.get((one.source, one.account or ""))
            if link:
                owned[one.id] = str(link["customer"])
            else:
                waiting[one.id] = "nobody has linked this account yet"
    return waiting


async def _judge(
    tx: Tx,
    facts: Sequence[Recorded],
    owned: Mapping[str, str],
    waiting: Mapping[str, str],
    directory: Mapping[str, Mapping[str, Any]],
    scene: Scene,
    made: Mapping[str, Sequence[Decision]],
) -> tuple[dict[str, Judged], list[dict[str, Any]]]:
    """Each fact's state and reason, and the rows of what would be owed for it."""
    judged: dict[str, Judged] = {}
    candidates: list[dict[str, Any]] = []
    taken_back: dict[tuple[str, str, str], list[Recorded]] = {}
    if facts:
        for row in await evidence.withdrawals(tx, {(one.source, one.action, one.key) for one in facts}):
            taken_back.setdefault((row["source"], row["action"], row["key"]), []).append(read.recorded(row))
    for one in facts:
        undoings = taken_back.get((one.source, one.action, one.key), [])
        if any(undoing.undone and undoing.occurred_at >= one.occurred_at for undoing in undoings):
            judged[one.id] = (EvidenceState.CONSIDERED, "it was undone before it could count")
            continue
        parts = [undoing for undoing in undoings if not undoing.undone]
        subject = one
        if parts:
            source = scene.config.source_of(one.source)
            remaining = left(one, parts, source.provider.actions.get(one.action) if source else None)
            if remaining is None:
                judged[one.id] = (EvidenceState.CONSIDERED, "all of it was undone before it could count")
                continue
            subject = replace(one, facts=remaining)
        verdicts = made[one.id] if subject is one and one.id in made else decide(scene.config, subject)
        faults = [f"{verdict.rule}: {verdict.fault}" for verdict in verdicts if isinstance(verdict, Unjudged)]
        owed = [verdict for verdict in verdicts if isinstance(verdict, Owed)]
        reason = waiting.get(one.id, "")
        customer = directory.get(owned.get(one.id, ""))
        if not reason and (customer is None or not customer[scene.config.customers.key]):
            reason = f"the directory does not know this customer's {scene.config.customers.key}"
        if reason and (owed or faults):
            judged[one.id] = (EvidenceState.WAITING, reason)
            continue
        state = EvidenceState.UNJUDGED if faults else EvidenceState.CONSIDERED
        judged[one.id] = (state, "; ".join(faults) or ("" if owed else _why_nothing(verdicts)))
        if customer is not None and not reason:
            candidates.extend(_row(each, subject, customer, scene) for each in owed)
    return judged, candidates


def _why_nothing(made: Sequence[Any]) -> str:
    if made:
        return "; ".join(f"{verdict.rule}: {verdict.why}" for verdict in made)
    return "no rule listens to it"


def _row(owed: Owed, one: Recorded, customer: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """A row of `forwards` for what is owed; `buckets` beside it, of which the first free one is taken."""
    named = {"id": customer["id"], "email": customer["email"], "phone": customer["phone"]}
    id_ = scene.new_id("fwd")
    due = max(scene.now, one.occurred_at + owed.wait) if owed.wait else scene.now
    source = scene.config.source_of(one.source)
    action = source.provider.actions.get(one.action) if source else None
    divisible = bool(action and action.total)
    lane, seat = lane_and_seat(scene, owed.target, owed.options, named, id_, one)
    return {
        "id": id_,
        "kind": Kind.REWARD.value,
        "rule": owed.rule,
        "send": owed.send,
        "bucket": owed.buckets[0],
        "buckets": list(owed.buckets),
        "person": customer["person"],
        "source": one.source,
        "account": one.account,
        "action": one.action,
        "key": one.key,
        "subject": one.subject,
        "target": owed.target,
        "customer": text(named),
        "options": text(dict(owed.options)),
        "facts": text(dict(one.facts)),
        "terms": text(dict(owed.terms)) if owed.wait or divisible or owed.answered else "",
        "judge": int(bool(owed.wait)),
        "evidence": one.id,
        "undoes": "",
        "due_at": ms(due),
        "until_at": None,
        "lane": lane,
        "seat": seat,
        "occurred_at": ms(one.occurred_at),
        "created_at": scene.at,
        "state": "pending",
        "at": scene.at,
    }


def lane_and_seat(
    scene: Scene, target: str, options: Mapping[str, Any], named: Mapping[str, Any], id_: str, one: Recorded | Forward
) -> tuple[str, str]:
    """Whose doubt must be alone, and whose call: the target and the customer as the target names them."""
    customer = str(named[scene.config.customers.key])
    seat = f"seat {target} {customer}"
    table = scene.config.targets.get(target)
    if table is None or table.provider.lane is None:
        return f"lane {id_}", seat
    sketch = Forward(
        id=id_,
        rule="",
        send="",
        target=target,
        customer=read.customer(named),
        options=options,
        source=one.source,
        action=one.action,
        subject=one.subject,
        facts=one.facts,
        occurred_at=one.occurred_at,
        created_at=scene.now,
    )
    reward = table.provider.lane(sketch)  # '': it is known by its key, and nobody's doubt touches it
    return f"lane {target} {customer} {reward}" if reward else f"lane {id_}", seat


async def _owe(
    tx: Tx, candidates: Sequence[dict[str, Any]], everyone: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Record what is owed, each in the first bucket that is free; the rows that are new."""
    filled: dict[str, set[tuple[str, str, str]]] = {}
    for person in {row["person"] for row in candidates}:
        if len(everyone.get(person, ())) > 1:  # joined after forwards were made: they count under every name
            rows = await forwards.taken(tx, owners=everyone[person])
            filled[person] = {(row["rule"], row["send"], row["bucket"]) for row in rows}
    done: list[dict[str, Any]] = []
    trying = list(candidates)
    slot = 0
    while trying:
        batch = [row for row in trying if _place(row, slot, filled.get(row["person"], set()))]
        new = await forwards.owe(tx, batch)
        done += [row for row in batch if row["id"] in new]
        slot += 1
        trying = [row for row in batch if row["id"] not in new and len(row["buckets"]) > slot]
    return done


def _place(row: dict[str, Any], slot: int, filled: set[tuple[str, str, str]]) -> bool:
    """Put what is owed into its first bucket from `slot` on that is not filled; False where all are."""
    buckets = row["buckets"]
    if filled:
        buckets[slot:] = [name for name in buckets[slot:] if (row["rule"], row["send"], name) not in filled]
    if len(buckets) <= slot:
        return False
    row["bucket"] = buckets[slot]
    return True


async def _explain(
    tx: Tx, fresh: Sequence[Mapping[str, Any]], considered: Mapping[str, Considered], scene: Scene
) -> None:
    """Say of evidence that earned nothing that its limit is used up."""
    told = {}
    for row in fresh:
        one = considered[row["evidence"]]
        rule = scene.config.rule(row["rule"])
        if not one.forwards and one.state is EvidenceState.CONSIDERED:
            one.reason = f"{row['rule']}: {rule.limit if rule else 'its limit'}, and that is owed already"
            told[one.evidence.id] = one
    await evidence.judge(
        tx,
        [{"id": id_, "state": one.state.value, "reason": one.reason, "owner": None} for id_, one in told.items()],
        now=scene.at,
    )


async def _undo(tx: Tx, undone: Sequence[Recorded], considered: Mapping[str, Considered], scene: Scene) -> None:
    for one in undone:
        fact = (one.source, one.action, one.key)
        if one.undone:
            told = await evidence.named(tx, [fact])
            # Somebody who did it again after it was undone has done it: the undoing is older than the fact.
            if any(row["occurred_at"] > ms(one.occurred_at) for row in told):
                continue
            considered[one.id].withdrawn += await withdraw.withdraw(tx, fact, scene, reason="undone at the source")
        else:
            considered[one.id].withdrawn += await withdraw.lessen(tx, fact, scene)
