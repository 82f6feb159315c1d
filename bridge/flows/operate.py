"""The operators' verbs: replay, hold, release, confirm, cancel, pause, resume, link, unlink, reconsider, grant.

Each runs in one transaction together with its audit entry, which carries the operator's reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bridge.config import Config, Rule, SourceTable
from bridge.config.sends import TOLD
from bridge.kit import (
    AuditEntry,
    Conflict,
    DeliveryState,
    EvidenceState,
    ForwardState,
    Grade,
    Kind,
    NotFound,
    Recorded,
)
from bridge.store import Row, Tx, attempts, audit, customers, deliveries, evidence, forwards, links, targets
from bridge.store.rows import ms, text

from . import people, read, withdraw
from .consider import Considered, consider, lane_and_seat
from .decide import buckets, texts
from .ingest import delivery_of, understand
from .scene import Scene
from .withdraw import cancelled, moved


@dataclass(frozen=True, slots=True)
class Done:
    """What a verb did to one thing."""

    id: str
    done: bool
    said: str


async def _entry(tx: Tx, scene: Scene, action: str, object_: str, because: str, **detail: Any) -> None:
    told = {"because": because, **detail} if because else detail
    await audit.append(tx, [AuditEntry(actor=scene.actor, action=action, object=object_, detail=told)], now=scene.at)


async def _forward(tx: Tx, id_: str) -> Row:
    rows = await forwards.of(tx, ids=[id_])
    if not rows:
        raise NotFound(f"there is no forward {id_}")
    return rows[0]


# --- forwards --------------------------------------------------------------------------------------------------


async def replay_forward(tx: Tx, id_: str, scene: Scene, because: str, *, dry_run: bool = False) -> Done:
    """Send a failed forward again under the same key; where a try may have arrived, the target is asked first."""
    row = await _forward(tx, id_)
    if row["state"] != ForwardState.FAILED:
        return Done(id_, False, f"is {row['state']}; only failed ones are sent again")
    if row["target"] not in scene.config.targets:
        return Done(id_, False, f"there is no [target.{row['target']}] any more")
    doubt = (await attempts.doubts(tx, ids=[id_])).get(id_)
    said = "will be sent again"
    open_ = None
    if doubt is not None and not await _harmless(doubt, row, scene):
        if not await _reopen(tx, doubt, dry_run=dry_run):
            return Done(id_, False, "an earlier try may have arrived, and another forward is using its lane")
        open_, said = doubt["number"], "an earlier try may have arrived: the target is asked first"
    if not dry_run:
        move = moved(row, state="pending", reason="replayed", due_at=scene.at, tries=0, open=open_)
        await forwards.move(tx, [move], now=scene.at)
        await _entry(tx, scene, "forward.replayed", id_, because)
    return Done(id_, True, said)


async def _harmless(doubt: Row, row: Row, scene: Scene) -> bool:
    """Whether a repeat under the same key cannot pay twice."""
    safe = scene.config.targets[row["target"]].provider.repeat_harmless(read.forward(row))
    return bool(doubt["sent_at"] is not None and scene.at - doubt["sent_at"] < safe / timedelta(milliseconds=1))


async def _reopen(tx: Tx, doubt: Row, *, dry_run: bool) -> bool:
    """Make an attempt whose doubt was set aside the open one again: it is reconciled before anything is sent."""
    if doubt["resolved_at"] is None or dry_run:
        return True
    return await attempts.reopen(tx, forward=doubt["forward"], number=doubt["number"])


async def hold(tx: Tx, id_: str, scene: Scene, because: str) -> Done:
    """Keep a pending forward from leaving; one that is on its way is held when its answer allows it."""
    row = await _forward(tx, id_)
    if row["state"] != ForwardState.PENDING:
        return Done(id_, False, f"is {row['state']}; only pending ones can be held")
    if row["wish"] == "cancel":
        return Done(id_, False, "is being withdrawn; it is not sent again")
    if row["open"] is not None:
        await forwards.wish(tx, ids=[id_], wish="hold", reason=because, now=scene.at)
        said = "is on its way or in doubt; it is held as soon as that ends"
    else:
        await forwards.move(tx, [moved(row, state="held", reason=because, due_at=None)], now=scene.at)
        said = "is held"
    await _entry(tx, scene, "forward.held", id_, because)
    return Done(id_, True, said)


async def release(tx: Tx, id_: str, scene: Scene, because: str) -> Done:
    """Let a held forward go on; where an earlier try may have arrived, the target is asked before anything is sent."""
    row = await _forward(tx, id_)
    if row["wish"] == "hold" and row["state"] != ForwardState.HELD:
        await forwards.wish(tx, ids=[id_], wish="", reason=row["reason"], now=scene.at)
        await _entry(tx, scene, "forward.released", id_, because)
        return Done(id_, True, "is no longer to be held")
    if row["state"] != ForwardState.HELD:
        return Done(id_, False, f"is {row['state']}; only held ones can be released")
    if row["target"] not in scene.config.targets:
        return Done(id_, False, f"there is no [target.{row['target']}] any more")
    doubt = (await attempts.doubts(tx, ids=[id_])).get(id_)
    said, open_ = "is due now", row["open"]
    if open_ is not None:
        said = "an earlier try may have arrived: the target is asked first"
    elif doubt is not None and not await _harmless(doubt, row, scene):
        if not await _reopen(tx, doubt, dry_run=False):
            return Done(id_, False, "an earlier try may have arrived, and another forward is using its lane")
        open_, said = doubt["number"], "an earlier try may have arrived: the target is asked first"
    move = moved(row, state="pending", reason="released", due_at=scene.at, until_at=None, open=open_)
    await forwards.move(tx, [move], now=scene.at)
    await _entry(tx, scene, "forward.released", id_, because)
    return Done(id_, True, said)


async def confirm(tx: Tx, id_: str, scene: Scene, because: str) -> Done:
    """An operator has seen that the reward exists, or has taken back what was to be taken back."""
    row = await _forward(tx, id_)
    if row["wish"] == "undo":
        move = moved(row, wish="", reason=f"settled by hand: {because}")
        await forwards.move(tx, [move], now=scene.at)
        await _entry(tx, scene, "forward.confirmed", id_, because, undo=True)
        return Done(id_, True, "is settled")
    if row["state"] not in (ForwardState.HELD, ForwardState.FAILED, ForwardState.ACCEPTED):
        return Done(id_, False, f"is {row['state']}; held, failed and accepted ones can be confirmed")
    await _resolve(tx, row, scene, resolution="happened")
    move = moved(row, state="delivered", reason=f"confirmed by hand: {because}", due_at=None, open=None, wish="")
    said = "is delivered"
    if row["wish"] == "cancel":  # it was to be withdrawn, and turns out to have arrived
        taken = await withdraw.take_back(tx, row, scene, reason=f"{row['reason']}, but it had arrived")
        move = {**move, "wish": taken["wish"] if taken["wish"] == "undo" else "", "reason": taken["reason"]}
        said = f"is delivered, and was withdrawn meanwhile: {taken['reason']}"
    await forwards.move(tx, [move], now=scene.at)
    await _entry(tx, scene, "forward.confirmed", id_, because)
    return Done(id_, True, said)


async def cancel(tx: Tx, id_: str, scene: Scene, because: str) -> Done:
    """Withdraw a forward that has not left; of one in doubt the operator's word decides that it did not arrive."""
    row = await _forward(tx, id_)
    if row["state"] in (ForwardState.DELIVERED, ForwardState.CANCELLED, ForwardState.ACCEPTED):
        return Done(id_, False, f"is {row['state']}; pending, held and failed ones can be cancelled")
    if row["open"] is not None and row["state"] == ForwardState.PENDING:
        await forwards.wish(tx, ids=[id_], wish="cancel", reason=because, now=scene.at)
        said = "is on its way or in doubt; it is cancelled as soon as that ends"
    else:
        await _resolve(tx, row, scene, resolution="")
        move, said = {**cancelled(row, because), "open": None}, "is cancelled"
        # Of one that is held somebody has looked; of one that is about to be repeated nobody has.
        if row["state"] == ForwardState.PENDING and await attempts.doubts(tx, ids=[id_]):
            move = {**move, "wish": "undo", "reason": f"{because}; {withdraw.LOOK}"}
            said = f"is cancelled; {withdraw.LOOK}, then confirm that it is settled"
        await forwards.move(tx, [move], now=scene.at)
    await _entry(tx, scene, "forward.cancelled", id_, because)
    return Done(id_, True, said)


async def _resolve(tx: Tx, row: Row, scene: Scene, *, resolution: str) -> None:
    """End the doubt about an open attempt, and free its lane."""
    if row["open"] is None:
        return
    await attempts.resolve(tx, forward=row["id"], number=row["open"], resolution=resolution, now=scene.at)
    await forwards.wake(tx, keys=[row["lane"], row["seat"]], now=scene.at)


VERBS: Mapping[str, Callable[[Tx, str, Scene, str], Any]] = {
    "hold": hold,
    "release": release,
    "confirm": confirm,
    "cancel": cancel,
}


# --- deliveries and evidence -----------------------------------------------------------------------------------


async def replay_delivery(tx: Tx, id_: str, scene: Scene, because: str, *, dry_run: bool = False) -> Done:
    """Read a stored delivery again and consider what it tells; what is owed already is not owed again."""
    row = await deliveries.find(tx, id=id_)
    if row is None:
        raise NotFound(f"there is no delivery {id_}")
    source = scene.config.sources.get(row["source"])
    if source is None or source.provider.read is None:
        return Done(id_, False, f"there is no [source.{row['source']}] any more")
    arrival = understand(delivery_of(row), source, scene)
    said = f"reads as {arrival.state.value}" + (f": {arrival.reason}" if arrival.reason else "")
    if dry_run:
        told = ", ".join(f"{one.action} {one.key}" for one in arrival.told)
        return Done(id_, arrival.state is not DeliveryState.FAILED, f"{said}; {told}" if told else said)
    found = await _consider_told(tx, arrival.told, scene, arrival.directory)
    await deliveries.mark(tx, id=id_, state=arrival.state.value, reason=arrival.reason, now=scene.at)
    made = [id_ for one in found for id_ in one.forwards]
    await _entry(tx, scene, "delivery.replayed", id_, because, state=arrival.state.value, forwards=made)
    owed = f"; {len(made)} forward{'s' if len(made) != 1 else ''} owed" if arrival.told else ""
    return Done(id_, arrival.state is not DeliveryState.FAILED, said + owed)


async def _consider_told(
    tx: Tx, told: Sequence[Recorded], scene: Scene, directory: Sequence[Mapping[str, Any]]
) -> list[Considered]:
    """Consider evidence, new or known: known evidence is considered under the id it has."""
    if not told:
        return await consider(tx, [], scene, directory=directory) if directory else []
    known: dict[tuple[Any, ...], Row] = {}
    facts = {(one.source, one.action, one.key) for one in told}
    for row in (*await evidence.named(tx, facts), *await evidence.withdrawals(tx, facts)):
        known[row["source"], row["action"], row["key"], bool(row["undone"]), row["part"]] = row
    new: list[Recorded] = []
    old: list[Recorded] = []
    for one in told:
        stored = known.get((one.source, one.action, one.key, one.undone or bool(one.part), one.part))
        if stored is None:
            new.append(one)
        else:
            old.append(replace(read.recorded(stored), customer=one.customer))
    found = await consider(tx, new, scene, directory=directory)
    return found + (await consider(tx, old, scene, again=True) if old else [])


async def reconsider(
    tx: Tx, rows: Sequence[Row], scene: Scene, *, rule: Rule | None = None, dry_run: bool = False
) -> list[Considered]:
    """
    Consider stored evidence again, under all rules or one; what is owed already is not owed again.

    Under one rule, the others have not spoken: what waits or is unjudged because of them stays so.
    """
    told = [read.recorded(row) for row in rows if not row["undone"]]
    owners = read.owners(rows, scene.config)
    if rule is None:
        return await consider(tx, told, scene, again=True, owners=owners)
    alone = replace(scene, config=replace(scene.config, rules=(rule,)))
    found = await consider(tx, told, alone, again=True, owners=owners)
    before = {one.id: one for one in told}
    kept = []
    for one in found:
        was = before[one.evidence.id]
        reason = was.reason
        if was.state is EvidenceState.UNJUDGED:
            reason = "; ".join(said for said in reason.split("; ") if not said.startswith(f"{rule.ledger}: "))
        still = was.state is not EvidenceState.CONSIDERED and reason and not one.forwards
        if still and one.state is EvidenceState.CONSIDERED:
            kept.append({"id": was.id, "state": was.state.value, "reason": reason, "owner": None})
    if kept:
        await evidence.judge(tx, kept, now=scene.at)
    return found


async def grant(tx: Tx, rule: Rule, customer: str, scene: Scene, because: str, *, again: bool = False) -> str:
    """Owe a rule's reward to a customer as goodwill, through the same ledger; the ids of the forwards."""
    found = await customers.known_as(tx, name=customer)
    if len(found) != 1:
        raise NotFound(f"{customer} names {len(found) or 'no'} customers" + ("" if found else "; `link` enters one"))
    who, named_by = found[0], scene.config.customers.key
    if not who[named_by]:
        raise Conflict(f"the directory does not know the {named_by} of {who['id']}, by which customers are paid")
    key = f"{rule.ledger} {who['id']}"
    everyone = [str(row["id"]) for row in await customers.members(tx, persons=[who["person"]])]
    earlier = [row for row in await forwards.of_owners(tx, ids=everyone) if row["rule"] == rule.ledger]
    counted = [row for row in earlier if row["state"] != ForwardState.CANCELLED or row["sent"]]
    if counted and not again:
        raise Conflict(
            f"{rule.id} has been owed to {who['id']} already ({counted[0]['id']}, {counted[0]['state']}); "
            "--again grants it once more"
        )
    number = sum(1 for row in earlier if row["source"] == "grant")
    if number:
        key += f" #{number + 1}"
    one = Recorded(
        id=scene.new_id("evi"),
        source="grant",
        action=rule.ledger,
        key=key,
        account=None,
        subject="",
        occurred_at=scene.now,
        received_at=scene.now,
        grade=Grade.C,
        facts={},
        customer=None,
    )
    named = {"id": who["id"], "email": who["email"], "phone": who["phone"]}
    made = []
    for send in rule.sends:
        if texts(send.options):
            raise Conflict(
                f"{rule.id} computes what it sends to {send.to} from the facts of what was done, and a grant has none"
            )
        id_ = scene.new_id("fwd")
        lane, seat = lane_and_seat(scene, send.to, send.options, named, id_, one)
        bucket = f"grant #{number + 1}" if counted else buckets(rule.limit, one, scene.config.timezone)[0]
        made.append(
            {
                "id": id_,
                "kind": Kind.REWARD.value,
                "rule": rule.ledger,
                "send": send.id,
                "bucket": bucket,
                "person": who["person"],
                "source": "grant",
                "account": None,
                "action": rule.ledger,
                "key": key,
                "subject": "",
                "target": send.to,
                "customer": text(named),
                "options": text(dict(send.options)),
                "facts": "{}",
                "terms": "",
                "judge": 0,
                "evidence": one.id,
                "undoes": "",
                "due_at": scene.at,
                "until_at": None,
                "lane": lane,
                "seat": seat,
                "occurred_at": scene.at,
                "created_at": scene.at,
                "state": "pending",
                "at": scene.at,
            }
        )
    await evidence.record(tx, [read.evidence_row(one, who["id"], one.state, because)])
    new = await forwards.owe(tx, made)
    if not new:
        raise Conflict(f"{rule.id} is owed to {who['id']} already")
    await _entry(tx, scene, "rule.granted", rule.ledger, because, forwards=sorted(new))
    return ", ".join(sorted(new))


# --- links and targets -----------------------------------------------------------------------------------------


async def link(
    tx: Tx,
    customer: str,
    source: SourceTable,
    account: str,
    scene: Scene,
    *,
    email: str | None = None,
    phone: str | None = None,
    how: str = "operator",
) -> tuple[str, list[Considered]]:
    """The shop knows whose account this is: remember it, and consider at once what waited for it."""
    settings = scene.config.customers
    mail = people.email(email)
    if email and not mail:
        raise Conflict(f"{email!r} is no e-mail address")
    number = people.e164(phone, settings.phone_country) if phone else None
    if phone and not number:
        raise Conflict(f"{phone!r} is no phone number; write it as +46701234567")
    entry = {
        "id": customer,
        "email": mail,
        "phone": number,
        "email_verified": int(bool(mail)),
        "phone_verified": int(bool(number)),
    }
    await people.remember(tx, [entry], settings, now=scene.at)
    row = {"id": scene.new_id("lnk"), "source": source.ledger, "account": account, "customer": customer, "how": how}
    made = await links.add(tx, {**row, "at": scene.at})
    id_ = row["id"]
    if not made:
        theirs = (await links.whose(tx, [(source.ledger, account)]))[source.ledger, account]
        if theirs["customer"] != customer:
            raise Conflict(f"{account} at {source.name} is linked to another customer; unlink it first")
        id_ = str(theirs["id"])
    else:
        await _entry(tx, scene, "link.made", id_, "", how=how)
    since = scene.now - settings.retroactive
    waiting = await evidence.waiting_for(tx, source=source.ledger, account=account, since=ms(since))
    found = await consider(tx, [read.recorded(one) for one in waiting], scene, again=True) if waiting else []
    return id_, found


async def unlink(tx: Tx, source: SourceTable, account: str, scene: Scene, because: str) -> list[str]:
    """Take a link away and withdraw what is pending for the account; the ids of the forwards it touched."""
    found = await links.whose(tx, [(source.ledger, account)])
    if not found:
        raise NotFound(f"{account} at {source.name} is not linked")
    rows = await forwards.of_account(tx, source=source.ledger, account=account)
    await links.remove(tx, source=source.ledger, account=account)
    await evidence.disown(tx, source=source.ledger, account=account)
    open_ = (ForwardState.PENDING, ForwardState.HELD, ForwardState.FAILED)
    pending = [row for row in rows if row["kind"] == Kind.REWARD and row["state"] in open_]
    touched = await withdraw.withdraw_rows(tx, pending, scene, reason="the account was unlinked")
    [row] = found.values()
    await _entry(tx, scene, "link.taken", row["id"], because, withdrawn=touched)
    return touched


async def pause(tx: Tx, name: str, scene: Scene, because: str) -> Done:
    """Let a target's forwards wait."""
    if name not in scene.config.targets:
        raise NotFound(f"there is no [target.{name}]; there are: {', '.join(scene.config.targets)}")
    if not await targets.pause(tx, name=name, pause="operator", reason=because, now=scene.at):
        return Done(name, False, "is paused already")
    await _entry(tx, scene, "target.paused", name, because)
    return Done(name, True, "is paused; its forwards wait")


async def resume(tx: Tx, name: str, scene: Scene, because: str) -> Done:
    """Let a target's forwards go on."""
    if name not in scene.config.targets:
        raise NotFound(f"there is no [target.{name}]; there are: {', '.join(scene.config.targets)}")
    if not await targets.resume(tx, name=name, now=scene.at):
        return Done(name, False, "is not paused")
    # What it kept while it was refusing us it may do only now.
    mended = scene.now + scene.config.targets[name].reconcile_after
    await forwards.look_later(tx, target=name, at=ms(mended))
    await _entry(tx, scene, "target.resumed", name, because)
    return Done(name, True, "goes on")


def vanished(
    config: Config, rules: Iterable[str], sources: Iterable[str], sends: Mapping[str, Iterable[str]]
) -> list[str]:
    """
    What the ledger knows and bridge.toml no longer does: going on without it could pay again.

    `sends`: under which names each rule has sent. One that is gone harms nothing unless another has come.
    """
    faults = []
    known_rules = {rule.ledger for rule in config.rules}
    for id_ in rules:
        if id_ not in known_rules:
            faults.append(
                f'{config.path}: the rule {id_} has paid and is gone. If it was renamed, say was = "{id_}" in the rule '
                "that it has become; if it has ended, keep it and give it until = a date"
            )
    for rule in config.rules:
        before = {name for name in sends.get(rule.ledger, ()) if not name.endswith(TOLD)}
        now = {send.id for send in rule.sends}
        if (gone := sorted(before - now)) and (new := sorted(now - before)):
            faults.append(
                f"{config.path}: the rule {rule.id} has sent to {', '.join(gone)} and now sends to {', '.join(new)}, "
                f'which would pay everybody once more. If it is the same promise, say id = "{gone[0]}" in that send; '
                "if it is another, give it a rule of its own and this one until = a date"
            )
    known_sources = {source.ledger for source in config.sources.values()} | {"grant"}
    for name in sources:
        if name not in known_sources:
            faults.append(
                f"{config.path}: [source.{name}] has earned rewards and is gone. If it was renamed, say "
                f'was = "{name}" in its new table; otherwise keep it: its facts could pay again under another name'
            )
    return faults
