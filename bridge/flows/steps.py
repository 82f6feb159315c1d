"""What follows from an outcome: the whole policy of trying, doubting and giving up. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.kit import Forward, ForwardState, Outcome, Target, Verdict

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
#: How long a confirming read that cannot be made is tried before a person must look.
CONFIRM_AT_MOST = timedelta(days=1)
#: How often a target is asked for a customer it does not know yet: after a quarter of the time waited so far.
WAITS_LEAST, WAITS_MOST = timedelta(minutes=5), timedelta(hours=6)


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
        case Verdict.MISCONFIGURED if outcome.taken and target.reconcile:
            return Step(ForwardState.PENDING, note, now + reconcile_after, resolved=False, pause=note)
        case Verdict.MISCONFIGURED:
            return Step(ForwardState.PENDING, note, now, resolution="did not happen", pause=note or "misconfigured")
        case Verdict.LATER:
            wait = backoff(forward.tries, outcome.retry_after, roll)
            if wait is None:
                return Step(ForwardState.FAILED, f"the schedule is used up; last: {note}", resolution="did not happen")
            return Step(ForwardState.PENDING, note, now + wait, counted=True, resolution="did not happen")
    # Unclear: it may have taken effect.
    since = min(first_unclear_at or now, sent_at or now)
    if now - since < target.repeat_harmless(forward):
        wait = backoff(forward.tries, outcome.retry_after, roll)
        if wait is None:
            return Step(ForwardState.FAILED, f"the schedule is used up; last: {note}")
        return Step(ForwardState.PENDING, note, now + wait, counted=True)
    if target.reconcile:
        # Never before the target can have finished with it, counted from the last moment the call may have run.
        after = max(lease_until or now, now) + reconcile_after
        return Step(ForwardState.PENDING, f"in doubt: {note}", after, resolved=False)
    return Step(ForwardState.HELD, f"in doubt, and this target cannot be asked: {note}", resolved=False)


def after_missing(forward: Forward, outcome: Outcome, waits: timedelta, *, now: datetime) -> Step:
    """What follows where the target does not know the customer: wait for them, ever more rarely, or fail. Pure."""
    until = forward.created_at + waits
    if now >= until:
        waited = f"; it was waited for since {forward.created_at:%Y-%m-%d %H:%M}" if waits else ""
        return Step(ForwardState.FAILED, f"{outcome.note}{waited}", resolution="did not happen")
    pace = max(WAITS_LEAST, min((now - forward.created_at) / 4, WAITS_MOST))
    reason = f"{outcome.note}; waits for the customer until {until:%Y-%m-%d}"
    return Step(ForwardState.PENDING, reason, min(now + pace, until), resolution="did not happen")


def after_reconcile(forward: Forward, outcome: Outcome, *, now: datetime, sent_at: datetime, early: bool) -> Step:
    """What follows from asking the target whether an unclear call, sent then, took effect. Pure."""
    match outcome.verdict:
        case Verdict.DONE | Verdict.DUPLICATE | Verdict.ACCEPTED:
            note = outcome.note or "the target shows that it happened"
            return Step(ForwardState.DELIVERED, note, resolution="happened")
        case Verdict.LATER if not early:
            # A try like any other: a target that never does it is not asked for ever, and not all at once.
            wait = backoff(forward.tries, outcome.retry_after, 0.5)
            if wait is None:
                why = f"the schedule is used up; last: {outcome.note}"
                return Step(ForwardState.FAILED, why, resolution="did not happen")
            note, due_at = outcome.note or "it did not happen", max(now, sent_at + wait)
            return Step(ForwardState.PENDING, note, due_at, counted=True, resolution="did not happen")
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
