"""
What we owe: judge once more, read the baseline, sign, tell, settle; and when in doubt, ask the target.

An attempt has three steps, and a crash between any two of them is read off the store afterwards:

1. the lease opened it: nothing has left this house (`sent_at` is empty: it ends as `later`)
2. `begin` commits the baseline and `sent_at`: from here on the call may have arrived
3. the answer, or what its absence proves, closes it (`sent_at` and not closed: `unclear` by definition)

`next_step` is the whole policy, and pure.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from bridge.config import SourceTable, TargetTable
from bridge.kit import (
    Answer,
    AuditEntry,
    ExpressionError,
    Forward,
    ForwardState,
    Kind,
    Outcome,
    Question,
    Response,
    Target,
    Unavailable,
    Verdict,
    standard_headers,
)
from bridge.kit.errors import StoreError
from bridge.kit.fields import types
from bridge.store import Row, Tx, audit, evidence, forwards, targets
from bridge.store.rows import ms, text, when_or_none
from bridge.talk import Failed, Sign, Talker

from . import read
from .decide import judge_again
from .scene import Scene
from .withdraw import LOOK, moved, remaining, take_back

log = structlog.get_logger("forward")

#: When a try that did nothing is repeated. Printed in the README; a list an operator can read.
SCHEDULE = (
    timedelta(seconds=5),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=24),
    timedelta(hours=30),
)  # added up, about three days
JITTER = 0.1
#: When an accepted call is looked up, after the one before.
CONFIRM = (60, 120, 180, 240, 600, 600, 1200, 1800, 3600)
#: How long a lease outlasts the call it covers.
MARGIN = timedelta(seconds=20)
#: What of an answer is kept with the attempt.
KEPT_ANSWER = 2048
#: How long a confirming read that cannot be made is tried before a person must look.
CONFIRM_AT_MOST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Step:
    """What an outcome does to a forward and its attempt."""

    state: ForwardState
    reason: str = ""
    due_at: datetime | None = None
    counted: bool = False  # whether the try uses up a step of the schedule
    resolved: bool = True  # whether the attempt's doubt is over, and its lane free
    resolution: str = ""  # happened, did not happen; empty: nobody knows
    pause: str = ""  # pause the target, for this reason


def backoff(tries: int, retry_after: timedelta | None, roll: float) -> timedelta | None:
    """The wait after this many counted tries; None when the schedule is used up. `roll`: 0 to 1."""
    if tries >= len(SCHEDULE):
        return None
    wait = SCHEDULE[tries] * (1 + JITTER * (2 * roll - 1))
    return max(wait, retry_after) if retry_after else wait


def next_step(
    forward: Forward,
    outcome: Outcome,
    target: Target,
    *,
    now: datetime,
    sent_at: datetime | None,
    reconcile_after: timedelta,
    first_unclear_at: datetime | None = None,
    lease_until: datetime | None = None,
    roll: float = 0.5,
) -> Step:
    """What follows from the outcome of an attempt. Pure."""
    note = outcome.note
    match outcome.verdict:
        case Verdict.DONE | Verdict.DUPLICATE:
            return Step(ForwardState.DELIVERED, note, resolution="happened")
        case Verdict.ACCEPTED if target.granted:
            return Step(
                ForwardState.ACCEPTED,
                note or "taken, not yet granted",
                now + timedelta(seconds=CONFIRM[0]),
                resolved=False,
            )
        case Verdict.ACCEPTED:
            return Step(ForwardState.DELIVERED, note, resolution="happened")
        case Verdict.REFUSED:
            return Step(ForwardState.FAILED, note, resolution="did not happen")
        case Verdict.MISCONFIGURED:
            return Step(ForwardState.PENDING, note, now, resolution="did not happen", pause=note or "misconfigured")
        case Verdict.LATER:
            wait = backoff(forward.tries, outcome.retry_after, roll)
            if wait is None:
                return Step(ForwardState.FAILED, f"the schedule is used up; last: {note}", resolution="did not happen")
            return Step(ForwardState.PENDING, note, now + wait, counted=True, resolution="did not happen")
    # Unclear: it may have taken effect.
    since = min(first_unclear_at or now, sent_at or now)
    if now - since < target.repeat_safe_for:
        wait = backoff(forward.tries, outcome.retry_after, roll)
        if wait is None:
            return Step(ForwardState.FAILED, f"the schedule is used up; last: {note}")
        return Step(ForwardState.PENDING, note, now + wait, counted=True)
    if target.reconcile:
        # Never before the target can have finished with it, counted from the last moment the call may have run.
        after = max(lease_until or now, now) + reconcile_after
        return Step(ForwardState.PENDING, f"in doubt: {note}", after, resolved=False)
    return Step(ForwardState.HELD, f"in doubt, and this target cannot be asked: {note}", resolved=False)


def after_reconcile(forward: Forward, outcome: Outcome, *, now: datetime, early: bool) -> Step:
    """What follows from asking the target whether an unclear call took effect. Pure."""
    match outcome.verdict:
        case Verdict.DONE | Verdict.DUPLICATE | Verdict.ACCEPTED:
            note = outcome.note or "the target shows that it happened"
            return Step(ForwardState.DELIVERED, note, resolution="happened")
        case Verdict.LATER if not early and forward.tries >= len(SCHEDULE):
            why = f"the schedule is used up; last: {outcome.note}"
            return Step(ForwardState.FAILED, why, resolution="did not happen")
        case Verdict.LATER if not early:
            # A try like any other: a target that never answers and never does it is not asked for ever.
            note = outcome.note or "it did not happen"
            return Step(ForwardState.PENDING, note, now, counted=True, resolution="did not happen")
        case Verdict.LATER:
            return Step(ForwardState.HELD, "too early to tell: the target may still be working on it", resolved=False)
        case Verdict.REFUSED:
            return Step(ForwardState.FAILED, outcome.note, resolution="did not happen")
        case Verdict.MISCONFIGURED:
            return Step(ForwardState.PENDING, outcome.note, now, resolved=False, pause=outcome.note)
    return Step(ForwardState.HELD, f"nobody can tell whether it happened: {outcome.note}".rstrip(": "), resolved=False)


def after_confirm(
    forward: Forward, outcome: Outcome, target: Target, *, now: datetime, accepted_at: datetime, looked: int
) -> Step:
    """What follows from asking whether an accepted call was granted. Pure. `looked`: how often it was asked."""
    note = outcome.note
    match outcome.verdict:
        case Verdict.DONE | Verdict.DUPLICATE:
            return Step(ForwardState.DELIVERED, note, resolution="happened")
        case Verdict.REFUSED:
            return Step(ForwardState.FAILED, note, resolution="did not happen")
        case Verdict.MISCONFIGURED:
            return Step(ForwardState.ACCEPTED, note, now, resolved=False, pause=note)
        case Verdict.LATER if now - accepted_at >= target.confirm_within:
            why = f"accepted {accepted_at:%Y-%m-%d %H:%M} and never granted"
            return Step(ForwardState.FAILED, f"{why}: {note}" if note else why, resolution="did not happen")
    if now - accepted_at >= max(target.confirm_within, CONFIRM_AT_MOST):
        return Step(ForwardState.HELD, f"accepted, and whether it was granted cannot be read: {note}", resolved=False)
    wait = timedelta(seconds=CONFIRM[min(looked, len(CONFIRM) - 1)])
    return Step(ForwardState.ACCEPTED, note or "taken, not yet granted", now + wait, resolved=False)


@dataclass(slots=True)
class Leased:
    """A forward a worker has taken, with what it needs to go on."""

    row: Row
    forward: Forward
    table: TargetTable
    lease_until: datetime
    open: Row | None = None  # the open attempt, where the lease found one
    begun_at: datetime | None = None  # when the lease committed that it leaves, where nothing stands between
    first_unclear: Row | None = None
    begun: datetime | None = None  # when the call left, as far as this worker knows


@dataclass(slots=True)
class Settled:
    """How one piece of a worker's work ended: what `settle` writes."""

    leased: Leased
    step: Step
    outcome: Outcome
    number: int
    scene: Scene
    status: int | None = None
    answer: str = ""
    unsent: bool = False
    options: Mapping[str, Any] | None = None
    judge: int | None = None
    until_at: datetime | None = None
    resolved_by_read: bool = False
    trouble: bool | None = None  # whether the target was in trouble; None: it was not asked


def lease_length(table: TargetTable) -> timedelta:
    """Long enough for judging, a baseline and the call."""
    return table.timeout * 2 + MARGIN * 2


async def take(tx: Tx, table: TargetTable, scene: Scene, limit: int) -> list[Leased]:
    """Lease what is due at a target: first what has an attempt open, then new attempts."""
    until = scene.now + lease_length(table)
    name, at, end = table.name, scene.at, ms(until)
    reopened = await forwards.lease_open(tx, target=name, now=at, until=end, limit=limit)
    room = limit - len(reopened)
    fresh = await forwards.lease(tx, target=name, now=at, until=end, limit=room) if room else []
    found_open = {row["id"] for row in reopened}
    begun: set[str] = set()
    if table.provider.repeat_safe_for and table.provider.baseline is None:
        # Nothing is read first, and a repeat is harmless: the lease can say at once that it leaves.
        ready = [_ready(row, row["open"], "", scene.now, table) for row in fresh if not row["judge"]]
        begun = await forwards.begin(tx, ready) if ready else set()
    again = [row["id"] for row in (*reopened, *fresh) if row["attempts"] > 1 or row["id"] in found_open]
    tried: dict[str, list[Row]] = {}
    if again:
        for row in await forwards.attempts(tx, ids=again):
            tried.setdefault(str(row["forward"]), []).append(row)
    leased = []
    for row in (*reopened, *fresh):
        mine = tried.get(str(row["id"]), [])
        # What has been disproved is no doubt any more, and its baseline may be older than somebody else's reward.
        unclear = [
            one
            for one in mine
            if one["sent_at"] is not None and one["verdict"] in ("", "unclear") and one["resolution"] == ""
        ]
        current = next((one for one in mine if one["number"] == row["open"]), None) if row["id"] in found_open else None
        doubt = next((one for one in unclear if one is not current), None)
        leased.append(
            Leased(
                row=row,
                forward=read.forward(row, doubt),
                table=table,
                lease_until=until,
                open=current,
                begun_at=scene.now if row["id"] in begun else None,
                first_unclear=unclear[0] if unclear else None,
            )
        )
    return leased


def _ready(row: Row, number: int, baseline: str, now: datetime, table: TargetTable) -> dict[str, Any]:
    """What `begin` is told of a call that is about to leave."""
    return {
        "id": row["id"],
        "lease": row["lease"],
        "number": number,
        "baseline": baseline,
        "now": ms(now),
        "latest": ms(now + table.timeout + timedelta(seconds=2)),
    }


class Teller:
    """Carries leased forwards to their targets. One instance for a worker."""

    def __init__(self, db: Any, talker: Talker) -> None:
        self.db, self.talker = db, talker

    async def run(self, leased: Leased, scene: Scene, clock: Any) -> Settled:
        """
        One leased forward, to its next settled state.

        A bug, ours or a provider's, is a try like any other: uncounted, it would be repeated for ever and unseen.
        """
        try:
            return await self._run(leased, scene, clock)
        except StoreError:
            raise  # nothing could be written, so nothing ends: the lease runs out
        except Exception as error:
            if leased.open is not None:
                raise
            log.exception("a try met a bug", forward=leased.forward.id)
            outcome = Outcome(
                Verdict.UNCLEAR if leased.begun else Verdict.LATER, f"a bug of the bridge: {type(error).__name__}"
            )
            number, at = leased.row["open"], _at(scene, clock())
            settled = self._settled(leased, outcome, number, at, sent_at=leased.begun)
            settled.unsent = leased.begun is None
            return settled

    async def _run(self, leased: Leased, scene: Scene, clock: Any) -> Settled:
        current = leased.open
        if current is None:
            return await self._send(leased, scene, clock)
        now = clock()
        if current["sent_at"] is None:
            step = Step(ForwardState.PENDING, "", now, resolution="did not happen")
            outcome = Outcome(Verdict.LATER, "the worker stopped before anything left this house")
            return Settled(leased, step, outcome, current["number"], _at(scene, now), unsent=True)
        if current["ended_at"] is None:
            return self._crashed(leased, current, _at(scene, now))
        if leased.row["state"] == ForwardState.ACCEPTED:
            return await self._confirm(leased, current, scene, clock)
        return await self._reconcile(leased, current, scene, clock)

    def _crashed(self, leased: Leased, current: Row, scene: Scene) -> Settled:
        """An attempt that was never closed is unclear by definition: crash and network doubt are one case."""
        outcome = Outcome(Verdict.UNCLEAR, "the worker stopped after the call had left")
        return self._settled(leased, outcome, current["number"], scene, sent_at=read.attempt(current).sent_at)

    def _settled(
        self,
        leased: Leased,
        outcome: Outcome,
        number: int,
        scene: Scene,
        *,
        sent_at: datetime | None,
        heard: Sequence[Response] = (),
        trouble: bool | None = None,
    ) -> Settled:
        first = read.attempt(leased.first_unclear).sent_at if leased.first_unclear is not None else None
        step = next_step(
            leased.forward,
            outcome,
            leased.table.provider,
            now=scene.now,
            sent_at=sent_at,
            reconcile_after=leased.table.reconcile_after,
            first_unclear_at=first,
            lease_until=read.attempt(leased.open).lease_until if leased.open is not None else None,
            roll=random.random(),
        )
        return Settled(
            leased,
            step,
            outcome,
            number,
            scene,
            status=heard[-1].status if heard else None,
            answer=kept(heard[-1].body) if heard else "",
            trouble=heard[-1].status >= 500 if heard and trouble is None else trouble,
        )

    async def _send(self, leased: Leased, scene: Scene, clock: Any) -> Settled:
        number, target = leased.row["open"], leased.table.provider
        if leased.forward.kind is Kind.UNDO and target.undo is None:  # it could when this was made
            step = Step(ForwardState.HELD, f"{target.title} cannot take back", resolution="did not happen")
            outcome = Outcome(Verdict.REFUSED, step.reason)
            return Settled(leased, step, outcome, number, _at(scene, clock()), unsent=True)
        if leased.row["judge"]:
            judged = await self._judge(leased, scene, clock)
            if isinstance(judged, Settled):
                return judged
            options, facts = judged
            leased.forward = replace(leased.forward, options=options, facts=facts)
        table, forward = leased.table, leased.forward
        baseline = ""
        heard: list[Response] = []
        if target.baseline:
            try:
                baseline = await self._hold(target.baseline(forward, table.settings), leased, scene, clock, heard)
            except Failed as failure:
                return self._unsent(leased, failed(failure, sent=False), number, _at(scene, clock()), heard)
            except Unavailable as failure:
                outcome = Outcome(Verdict.LATER, failure.message)
                return self._unsent(leased, outcome, number, _at(scene, clock()), heard)
        now = leased.begun_at or clock()
        if leased.begun_at is None and not await self.db.join(begin, _ready(leased.row, number, baseline, now, table)):
            outcome = Outcome(Verdict.LATER, "it was held, withdrawn or taken by another worker before it left")
            step = Step(ForwardState.PENDING, leased.row["reason"], now, resolution="did not happen")
            return Settled(leased, step, outcome, number, _at(scene, clock()), unsent=True)
        heard.clear()
        leased.begun = now
        trouble: bool | None = None
        try:
            tell = target.undo if forward.kind is Kind.UNDO and target.undo else target.send
            outcome = await self._hold(tell(forward, table.settings), leased, scene, clock, heard)
        except Failed as failure:
            outcome, trouble = failed(failure, sent=failure.sent), not failure.ours
        except Unavailable as failure:
            outcome = Outcome(Verdict.UNCLEAR, failure.message)
        return self._settled(leased, outcome, number, _at(scene, clock()), sent_at=now, heard=heard, trouble=trouble)

    def _unsent(
        self, leased: Leased, outcome: Outcome, number: int, scene: Scene, heard: Sequence[Response]
    ) -> Settled:
        trouble = outcome.verdict is not Verdict.MISCONFIGURED
        settled = self._settled(leased, outcome, number, scene, sent_at=None, trouble=trouble, heard=heard)
        settled.unsent = True
        return settled

    async def _hold(
        self, talk: Any, leased: Leased, scene: Scene, clock: Any, heard: list[Response] | None = None
    ) -> Any:
        return await self.talker.hold(talk, within=leased.table.timeout, sign=signer(leased, clock), heard=heard)

    async def _reconcile(self, leased: Leased, current: Row, scene: Scene, clock: Any) -> Settled:
        table, number = leased.table, current["number"]
        first = leased.first_unclear if leased.first_unclear is not None else current
        if table.provider.reconcile is None:
            step = Step(ForwardState.HELD, "in doubt, and this target cannot be asked", resolved=False)
            return Settled(leased, step, Outcome(Verdict.UNCLEAR, step.reason), number, _at(scene, clock()))
        forward = replace(leased.forward, earlier=read.attempt(current))
        outcome = await self._look(table.provider.reconcile(forward, first["baseline"], table.settings), leased, clock)
        now = clock()
        sent = read.attempt(current).sent_at or now
        early = now < sent + table.reconcile_after
        if outcome.verdict is Verdict.UNCLEAR and isinstance(outcome, Unread):
            # The target cannot be read just now: ask again later; after a day a person must look.
            if now - sent < CONFIRM_AT_MOST:
                step = Step(
                    ForwardState.PENDING, f"in doubt: {outcome.note}", now + timedelta(minutes=5), resolved=False
                )
            else:
                step = after_reconcile(forward, outcome, now=now, early=early)
        else:
            step = after_reconcile(forward, outcome, now=now, early=early)
        return Settled(leased, step, outcome, number, _at(scene, now), resolved_by_read=True)

    async def _confirm(self, leased: Leased, current: Row, scene: Scene, clock: Any) -> Settled:
        table = leased.table
        if table.provider.granted is None:  # the table has another provider than when this was accepted
            step = Step(ForwardState.HELD, "accepted, and this target cannot be asked", resolved=False)
            outcome, number = Outcome(Verdict.UNCLEAR, step.reason), current["number"]
            return Settled(leased, step, outcome, number, _at(scene, clock()), resolved_by_read=True)
        outcome = await self._look(
            table.provider.granted(leased.forward, current["baseline"], table.settings), leased, clock
        )
        now = clock()
        accepted = read.attempt(current).ended_at or now
        looked = sum(1 for at in _after(CONFIRM) if at <= (now - accepted).total_seconds())
        step = after_confirm(leased.forward, outcome, table.provider, now=now, accepted_at=accepted, looked=looked)
        return Settled(leased, step, outcome, current["number"], _at(scene, now), resolved_by_read=True)

    async def _look(self, talk: Any, leased: Leased, clock: Any) -> Outcome:
        """Hold a reading conversation; whatever keeps it from an answer is `Unread`."""
        try:
            found: Outcome = await self.talker.hold(talk, within=leased.table.timeout, sign=signer(leased, clock))
        except Failed as failure:
            if failure.ours:
                return Outcome(Verdict.MISCONFIGURED, failure.message)
            return Unread(Verdict.UNCLEAR, failure.message)
        except Unavailable as failure:
            return Unread(Verdict.UNCLEAR, failure.message)
        except Exception as error:
            log.exception("a look at the target met a bug", forward=leased.forward.id)
            return Unread(Verdict.UNCLEAR, f"a bug of the bridge: {type(error).__name__}")
        return found

    async def _judge(
        self, leased: Leased, scene: Scene, clock: Any
    ) -> Settled | tuple[Mapping[str, Any], Mapping[str, Any]]:
        """
        Is it still owed? The source is asked where it can be, and the terms are judged over what is left.

        The options and facts as they are now, or how the attempt ends where it is not owed.
        """
        row, number = leased.row, leased.row["open"]

        def ended(state: ForwardState, reason: str, due: datetime | None = None) -> Settled:
            now = clock()
            step = Step(state, reason, due, resolution="did not happen")
            settled = Settled(leased, step, Outcome(Verdict.LATER, reason), number, _at(scene, now), unsent=True)
            settled.until_at = until
            return settled

        until = when_or_none(row["until_at"]) or clock() + timedelta(days=3)
        told, facts = await self.db.read(lambda tx: _facts(tx, row, scene))
        if told is None or facts is None:
            return ended(ForwardState.CANCELLED, "all of it was undone at the source")
        source = scene.config.source_of(row["source"])
        one = read.recorded(told)
        recheck = source.provider.rechecks.get(row["action"]) if source else None
        if source and recheck:
            answer = await self._ask_source(recheck, source, one.account or "", one.subject, one.key)
            if answer.result == "not_found":
                return ended(ForwardState.CANCELLED, f"no longer true at the source: {answer.note}".rstrip(": "))
            if answer.result != "verified":
                if clock() >= until:
                    return ended(
                        ForwardState.HELD, f"{source.provider.title} could not say for three days whether it holds"
                    )
                return ended(
                    ForwardState.PENDING,
                    f"{source.provider.title} could not say whether it still holds: {answer.note}".rstrip(": "),
                    clock() + timedelta(hours=1),
                )
        action = source.provider.actions.get(row["action"]) if source else None
        try:
            again = judge_again(
                json.loads(row["terms"]), replace(one, facts=facts), types(action.facts if action else ())
            )
        except ExpressionError as error:
            return ended(ForwardState.HELD, f"its condition cannot be judged again: {error.message}")
        if not again.owed:
            return ended(ForwardState.CANCELLED, again.why)
        now = {"id": row["id"], "lease": row["lease"], "options": again.options, "facts": facts}
        if not await self.db.join(judged, now):
            return ended(ForwardState.PENDING, "", clock())
        return again.options, facts

    async def _ask_source(self, recheck: Any, source: SourceTable, account: str, subject: str, key: str) -> Answer:
        try:
            found: Answer = await self.talker.hold(
                recheck(Question(account, subject, key), source.settings), within=timedelta(seconds=20)
            )
        except Unavailable as failure:
            return Answer("unknown", failure.message)
        return found


class Unread(Outcome):
    """The target could not be read: not the same as having read that nobody can tell."""


def _at(scene: Scene, now: datetime) -> Scene:
    return replace(scene, now=now)


def _after(steps: Sequence[int]) -> list[int]:
    total, found = 0, []
    for step in steps:
        total += step
        found.append(total)
    return found


async def _facts(tx: Tx, row: Row, scene: Scene) -> tuple[Row | None, Mapping[str, Any] | None]:
    """The evidence of a forward and what is left of its facts; None where the fact no longer holds."""
    told = await evidence.of(tx, ids=[row["evidence"]])
    if not told:
        return None, None
    for undoing in await evidence.withdrawals(tx, [(row["source"], row["action"], row["key"])]):
        if not undoing["part"] and undoing["occurred_at"] >= told[0]["occurred_at"]:
            return told[0], None
    return told[0], await remaining(tx, told[0], scene)


def failed(failure: Failed, *, sent: bool) -> Outcome:
    """What a conversation that broke off proves."""
    if sent:
        return Outcome(Verdict.UNCLEAR, failure.message)
    return Outcome(Verdict.MISCONFIGURED if failure.ours else Verdict.LATER, failure.message)


def signer(leased: Leased, clock: Any) -> Sign | None:
    """Standard Webhooks headers over exactly the bytes sent, the forward's id as their id, and an Idempotency-Key."""
    table, id_ = leased.table, leased.forward.id
    if not table.signed_headers:
        return None
    if not table.signing:
        return lambda body: {"idempotency-key": id_} if body else {}

    def sign(body: bytes) -> Mapping[str, str]:
        return {**standard_headers(table.signing, id_, clock(), body), "idempotency-key": id_}

    return sign


def kept(body: bytes) -> str:
    """What of an answer is kept: at most 2 KiB of text, nothing that breaks a store."""
    return body[:KEPT_ANSWER].decode("utf-8", "replace").replace("\x00", "�")


async def begin(tx: Tx, ready: list[Mapping[str, Any]]) -> list[bool]:
    """The group that commits what is about to leave."""
    begun = await forwards.begin(tx, ready)
    return [one["id"] in begun for one in ready]


async def judged(tx: Tx, rows: list[Mapping[str, Any]]) -> list[bool]:
    """The group that records that waiting forwards are still owed, with their options and facts as they are now."""
    current = await forwards.current(tx, ids=[one["id"] for one in rows])
    results, moves = [], []
    for one in rows:
        row = current.get(one["id"])
        mine = row is not None and row["lease"] == one["lease"] and not row["wish"] and row["state"] == "pending"
        if mine and row is not None:
            changes = moved(row, judge=0)
            moves.append({**changes, "options": text(dict(one["options"])), "facts": text(dict(one["facts"]))})
        results.append(mine)
    if moves:
        await forwards.move(tx, moves, now=max(current[one["id"]]["at"] for one in rows if one["id"] in current))
    return results


async def settle(tx: Tx, ended: list[Settled]) -> list[ForwardState | None]:
    """
    The group that writes how attempts ended; the state each forward is in now, None where the lease was lost.

    The attempt is closed either way, unless another worker is at it. Good news settles the forward even after a
    lost lease: the reward exists, whoever holds the row. A wish that came while the attempt was open is carried
    out. What an operator has decided meanwhile, or another worker has found out, is not overwritten.
    """
    current = await forwards.current(tx, ids=[one.leased.forward.id for one in ended])
    closes, moves, freed, entries = [], [], set(), []
    pauses: dict[str, str] = {}
    results: list[ForwardState | None] = []
    scene = ended[-1].scene
    for one in ended:
        row = current[one.leased.forward.id]
        step, now = one.step, one.scene.at
        mine = all(row[name] == one.leased.row[name] for name in ("lease", "state")) and row["open"] == one.number
        good = step.resolution == "happened" or (step.state is ForwardState.ACCEPTED and not one.resolved_by_read)
        lost = not mine and not (good and row["state"] in ("pending", "held", "failed", "cancelled"))
        if lost and row["open"] == one.number:
            results.append(None)
            continue
        closes.append(
            {
                "forward": row["id"],
                "number": one.number,
                "ended_at": now,
                "resolved_at": now if step.resolved or lost else None,  # nobody would ever resolve it
                "resolution": step.resolution,
                "status": one.status,
                "verdict": _verdict(one),
                "note": one.outcome.note[:500],
                "reference": one.outcome.reference[:200],
                "answer": one.answer,
            }
        )
        attempt_lane, attempt_seat = row["lane"], row["seat"]
        freed.add(attempt_seat)
        if step.resolved:
            freed.add(attempt_lane)
        if step.pause and row["target"] not in pauses:
            pauses[row["target"]] = step.pause
        if lost:
            results.append(None)
            continue
        if not mine and row["open"] not in (None, one.number):  # a repeat that is under way, or died: it is over
            await forwards.resolve(tx, forward=row["id"], number=row["open"], resolution="", now=now)
        if row["state"] == "cancelled":
            row = {**row, "wish": "cancel"}  # it was withdrawn, and had arrived
        move = _after_wish(row, one)
        if move["state"] == "delivered" and move["wish"] == "undo" and row["wish"] == "cancel":
            move = {**move, **_only(await take_back(tx, row, one.scene, reason=f"{row['reason']}, but it had arrived"))}
        moves.append(move)
        # Another of this batch may be about the same forward: it meets the row as it is from here on.
        current[row["id"]] = {**row, **{name: move[name] for name in ("state", "wish", "open", "reason")}}
        results.append(ForwardState(move["state"]))
        if move["state"] != row["state"] or step.pause:
            entries.append(
                AuditEntry(
                    actor="worker",
                    action=f"forward.{move['state']}",
                    object=row["id"],
                    detail={"attempt": one.number, "verdict": one.outcome.verdict.value},
                )
            )
    await forwards.close(tx, closes)
    await forwards.move(tx, moves, now=scene.at)
    await forwards.wake(tx, keys=freed, now=scene.at)
    for name, reason in pauses.items():
        if await targets.pause(tx, name=name, pause="misconfigured", reason=reason[:500], now=scene.at):
            entries.append(
                AuditEntry(actor="worker", action="target.paused", object=name, detail={"why": "misconfigured"})
            )
    await audit.append(tx, entries, now=scene.at)
    return results


def _verdict(one: Settled) -> str:
    """The attempt's verdict: of an accepted or unclear call it stays what it was until the doubt is over."""
    if one.resolved_by_read and not one.step.resolved:
        return "accepted" if one.step.state is ForwardState.ACCEPTED else "unclear"
    if one.resolved_by_read and one.step.resolution == "did not happen":
        return "accepted" if one.leased.row["state"] == ForwardState.ACCEPTED else "unclear"
    return one.outcome.verdict.value


def _after_wish(row: Row, one: Settled) -> dict[str, Any]:
    """The forward's new row: what the step says, or what was wished for meanwhile where nothing has happened yet."""
    step = one.step
    tries = row["tries"] + int(step.counted)
    open_ = None if step.resolved else one.number
    move = moved(
        row,
        state=step.state.value,
        reason=step.reason[:500],
        due_at=ms(step.due_at) if step.due_at else None,
        until_at=ms(one.until_at) if one.until_at else row["until_at"],
        open=open_,
        tries=tries,
    )
    # A call whose answer was lost may have arrived, this one or one before: cancelled, it is a person's to look.
    doubtful = step.resolution == "" or one.leased.forward.earlier is not None
    if not row["wish"] or row["wish"] == "undo":
        return _withdrawn(move, step.reason, doubtful) if step.state is ForwardState.CANCELLED else move
    cancel = row["wish"] == "cancel"
    if step.state is ForwardState.DELIVERED:
        if cancel:
            return {**move, "wish": "undo", "reason": f"{row['reason']}, but it had arrived: take it back by hand"}
        return {**move, "wish": ""}
    if step.state is ForwardState.HELD and not cancel:
        return {**move, "wish": ""}
    if step.state is ForwardState.ACCEPTED or not step.resolved:
        return {**move, "reason": f"{step.reason} (to be withdrawn: {row['reason']})"[:500]} if cancel else move
    if step.state is ForwardState.FAILED:
        return {**move, "wish": ""} if not cancel else _withdrawn(move, row["reason"], doubtful)
    return (
        _withdrawn(move, row["reason"], doubtful)
        if cancel
        else {**move, "state": "held", "wish": "", "due_at": None, "reason": row["reason"]}
    )


def _only(taken: Mapping[str, Any]) -> dict[str, Any]:
    """Of a taken-back row what concerns the taking back; the rest is what the attempt came to."""
    return {"wish": "undo" if taken["wish"] == "undo" else "", "reason": taken["reason"]}


def _withdrawn(move: dict[str, Any], reason: str, doubtful: bool) -> dict[str, Any]:
    told = {"wish": "undo", "reason": f"{reason}; {LOOK}"[:500]} if doubtful else {"wish": "", "reason": reason}
    return {**move, "state": "cancelled", "due_at": None, "judge": 0, **told}
