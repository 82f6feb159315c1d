"""The whole policy of what an outcome does to a forward, as tables: pure functions, no clock, no store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.flows.steps import (
    CONFIRM,
    CONFIRM_AT_MOST,
    JITTER,
    SCHEDULE,
    Step,
    after_confirm,
    after_reconcile,
    backoff,
    next_step,
)
from bridge.kit import Customer, Forward, ForwardState, Outcome, Target, Verdict

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
S, M, H, D = (timedelta(**{name: 1}) for name in ("seconds", "minutes", "hours", "days"))
F, V = ForwardState, Verdict


def nothing(forward: Forward, *more: Any) -> Any:
    raise AssertionError("pure functions ask nobody")
    yield


def target(*, safe: timedelta = timedelta(0), reconcile: bool = False, granted: bool = False) -> Target:
    return Target(
        name="t",
        title="T",
        docs="",
        settings=(),
        options=(),
        send=nothing,
        repeat_safe_for=safe,
        reconcile=nothing if reconcile else None,
        granted=nothing if granted else None,
        confirm_within=H,
    )


KEYED = target(safe=7 * D)
ASKABLE = target(reconcile=True, granted=True)
MUTE = target()


def forward(tries: int = 0) -> Forward:
    return Forward(
        id="fwd_1",
        rule="r",
        send="t",
        target="t",
        customer=Customer(id="ann"),
        options={},
        source="s",
        action="a",
        subject="",
        facts={},
        occurred_at=NOW,
        created_at=NOW,
        tries=tries,
    )


def step(outcome: Outcome, at: Target, tries: int = 0, **more: Any) -> Step:
    return next_step(forward(tries), outcome, at, **{"now": NOW, "sent_at": NOW, "reconcile_after": 30 * M, **more})


# --- an attempt's answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verdict", "at", "state", "resolution", "counted", "resolved"),
    [
        pytest.param(V.DONE, MUTE, F.DELIVERED, "happened", False, True, id="done is delivered"),
        pytest.param(V.DONE, ASKABLE, F.DELIVERED, "happened", False, True, id="done needs no confirming read"),
        pytest.param(V.DUPLICATE, KEYED, F.DELIVERED, "happened", False, True, id="a duplicate of ours is delivered"),
        pytest.param(
            V.ACCEPTED, MUTE, F.DELIVERED, "happened", False, True, id="accepted ends where nothing tells more"
        ),
        pytest.param(V.ACCEPTED, ASKABLE, F.ACCEPTED, "", False, False, id="accepted waits and holds its lane"),
        pytest.param(V.REFUSED, KEYED, F.FAILED, "did not happen", False, True, id="refused has failed"),
        pytest.param(V.LATER, KEYED, F.PENDING, "did not happen", True, True, id="later uses up one step"),
        pytest.param(V.MISCONFIGURED, KEYED, F.PENDING, "did not happen", False, True, id="misconfigured uses up none"),
        pytest.param(V.UNCLEAR, KEYED, F.PENDING, "", True, True, id="unclear is repeated where that is harmless"),
        pytest.param(V.UNCLEAR, ASKABLE, F.PENDING, "", False, False, id="unclear is asked about and holds its lane"),
        pytest.param(V.UNCLEAR, MUTE, F.HELD, "", False, False, id="unclear is held where nobody can tell"),
    ],
)
def test_what_an_outcome_does(
    verdict: Verdict, at: Target, state: ForwardState, resolution: str, counted: bool, resolved: bool
) -> None:
    found = step(Outcome(verdict, "said"), at)
    assert (found.state, found.resolution, found.counted, found.resolved) == (state, resolution, counted, resolved)


def test_only_a_misconfigured_target_is_paused() -> None:
    for verdict in Verdict:
        assert bool(step(Outcome(verdict, "wrong key"), ASKABLE).pause) == (verdict is V.MISCONFIGURED)
    assert step(Outcome(V.MISCONFIGURED), ASKABLE).pause, "a pause always has a reason"


def test_whoever_waits_says_until_when_and_whoever_does_not_has_no_time() -> None:
    """Pending or accepted without a time would wait for ever; held with a time would leave by itself."""
    for verdict in Verdict:
        for at in (KEYED, ASKABLE, MUTE):
            for tries in range(len(SCHEDULE) + 1):
                found = step(Outcome(verdict, "said"), at, tries)
                assert (found.due_at is not None) == (found.state in (F.PENDING, F.ACCEPTED)), (verdict, at, tries)
                if found.state in (F.FAILED, F.HELD):
                    assert found.reason


@pytest.mark.parametrize("tries", range(len(SCHEDULE)))
def test_later_waits_as_the_schedule_says(tries: int) -> None:
    assert step(Outcome(V.LATER), KEYED, tries).due_at == NOW + SCHEDULE[tries]


@pytest.mark.parametrize(
    ("verdict", "at"),
    [(V.LATER, KEYED), (V.LATER, ASKABLE), (V.UNCLEAR, KEYED)],
    ids=["later", "later, asked", "unclear"],
)
def test_a_schedule_that_is_used_up_ends_as_failed(verdict: Verdict, at: Target) -> None:
    found = step(Outcome(verdict, "busy"), at, len(SCHEDULE))
    assert (found.state, found.due_at) == (F.FAILED, None)
    assert "used up" in found.reason
    assert "busy" in found.reason


def test_a_used_up_schedule_of_unclear_tries_does_not_claim_that_nothing_happened() -> None:
    """Replay asks or repeats only if the doubt is still known."""
    assert step(Outcome(V.UNCLEAR), KEYED, len(SCHEDULE)).resolution == ""


@pytest.mark.parametrize(
    ("first", "state"),
    [
        pytest.param(timedelta(0), F.PENDING, id="just now"),
        pytest.param(7 * D - S, F.PENDING, id="a second before the key is forgotten"),
        pytest.param(7 * D, F.HELD, id="when the key may be forgotten"),
        pytest.param(30 * D, F.HELD, id="a month later"),
    ],
)
def test_a_repeat_is_harmless_only_as_long_as_the_target_remembers_the_key(
    first: timedelta, state: ForwardState
) -> None:
    """Counted from the first unclear attempt: under that one's key a reward may exist."""
    assert step(Outcome(V.UNCLEAR), KEYED, first_unclear_at=NOW - first).state is state
    assert step(Outcome(V.UNCLEAR), KEYED, sent_at=NOW - first, first_unclear_at=None).state is state


def test_a_target_that_forgot_the_key_is_asked_where_it_can_be() -> None:
    both = target(safe=D, reconcile=True)
    found = step(Outcome(V.UNCLEAR), both, first_unclear_at=NOW - 2 * D)
    assert (found.state, found.resolved, found.counted) == (F.PENDING, False, False)


@pytest.mark.parametrize(
    ("lease", "due"),
    [
        pytest.param(None, 30 * M, id="counted from now where we heard the call fail"),
        pytest.param(NOW - M, 30 * M, id="never from a lease that is over"),
        pytest.param(NOW + M, 31 * M, id="counted from the lease's end where the process died"),
    ],
)
def test_a_doubt_is_asked_about_when_the_target_can_have_finished(lease: datetime | None, due: timedelta) -> None:
    assert step(Outcome(V.UNCLEAR), ASKABLE, lease_until=lease).due_at == NOW + due


# --- the schedule ----------------------------------------------------------------------------------------------


def test_the_schedule_adds_up_to_three_days() -> None:
    assert 2.8 * D < sum(SCHEDULE, timedelta(0)) < 3.2 * D
    assert list(SCHEDULE) == sorted(SCHEDULE)


@pytest.mark.parametrize("tries", range(len(SCHEDULE)))
@pytest.mark.parametrize("roll", [0.0, 0.5, 1.0])
def test_the_jitter_is_ten_percent_either_way(tries: int, roll: float) -> None:
    found = backoff(tries, None, roll)
    assert found is not None
    assert abs(found / SCHEDULE[tries] - (1 + JITTER * (2 * roll - 1))) < 1e-9


@pytest.mark.parametrize(
    ("wanted", "waits"),
    [
        pytest.param(None, 5 * S, id="nothing said"),
        pytest.param(timedelta(0), 5 * S, id="at once"),
        pytest.param(S, 5 * S, id="sooner than we would"),
        pytest.param(H, H, id="later than we would"),
        pytest.param(D, D, id="a day"),
    ],
)
def test_retry_after_may_only_lengthen(wanted: timedelta | None, waits: timedelta) -> None:
    assert backoff(0, wanted, 0.5) == waits
    assert step(Outcome(V.LATER, retry_after=wanted), KEYED).due_at == NOW + waits
    assert step(Outcome(V.UNCLEAR, retry_after=wanted), KEYED).due_at == NOW + waits


def test_no_retry_after_makes_a_used_up_schedule_longer() -> None:
    assert backoff(len(SCHEDULE), H, 0.5) is None
    assert backoff(len(SCHEDULE) + 100, None, 0.5) is None


# --- asked about a doubt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False], ids=["early", "in time"])
@pytest.mark.parametrize(
    ("verdict", "states", "resolution"),
    [
        pytest.param(V.DONE, (F.DELIVERED, F.DELIVERED), "happened", id="the target shows it"),
        pytest.param(V.DUPLICATE, (F.DELIVERED, F.DELIVERED), "happened", id="the target knows it"),
        pytest.param(V.ACCEPTED, (F.DELIVERED, F.DELIVERED), "happened", id="the target took it"),
        pytest.param(V.REFUSED, (F.FAILED, F.FAILED), "did not happen", id="the limit was reached before"),
        pytest.param(V.UNCLEAR, (F.HELD, F.HELD), "", id="the target cannot tell"),
        pytest.param(V.MISCONFIGURED, (F.PENDING, F.PENDING), "", id="the key is wrong"),
        pytest.param(V.LATER, (F.HELD, F.PENDING), "did not happen", id="the target does not show it"),
    ],
)
def test_what_asking_the_target_comes_to(
    verdict: Verdict, states: tuple[ForwardState, ForwardState], resolution: str, early: bool
) -> None:
    found = after_reconcile(forward(), Outcome(verdict, "said"), now=NOW, sent_at=NOW - H, early=early)
    assert found.state is states[0 if early else 1]
    # "It did not happen" before the target can have finished counts as "cannot tell".
    assert found.resolution == ("" if verdict is V.LATER and early else resolution)
    # The lane is free exactly when the doubt is over.
    assert found.resolved == bool(found.resolution)
    assert (found.due_at is not None) == (found.state is F.PENDING)


def test_what_did_not_happen_was_a_try_and_is_due_as_after_any_other() -> None:
    """A target that always answers 500 and never does it would otherwise be tried until the end of time.

    The wait counts from the call: what has passed while the doubt lasted has been waited already.
    """
    found = after_reconcile(forward(), Outcome(V.LATER), now=NOW, sent_at=NOW - H, early=False)
    assert (found.due_at, found.counted) == (NOW, True)
    fifth = after_reconcile(forward(4), Outcome(V.LATER), now=NOW, sent_at=NOW - H, early=False)
    assert fifth.due_at == NOW - H + SCHEDULE[4] == NOW + H
    last = after_reconcile(forward(len(SCHEDULE)), Outcome(V.LATER, "not there"), now=NOW, sent_at=NOW - H, early=False)
    assert (last.state, last.resolution, last.due_at) == (F.FAILED, "did not happen", None)
    assert "used up" in last.reason


def test_a_doubt_behind_a_wrong_key_stays_a_doubt() -> None:
    found = after_reconcile(forward(), Outcome(V.MISCONFIGURED, "401"), now=NOW, sent_at=NOW - H, early=False)
    assert (found.pause, found.resolved) == ("401", False)


# --- asked about what was accepted -----------------------------------------------------------------------------


def confirm(verdict: Verdict, after: timedelta, looked: int = 0, within: timedelta = H) -> Step:
    at = Target(
        name="t", title="T", docs="", settings=(), options=(), send=nothing, granted=nothing, confirm_within=within
    )
    return after_confirm(forward(), Outcome(verdict, "said"), at, now=NOW, accepted_at=NOW - after, looked=looked)


@pytest.mark.parametrize(
    ("verdict", "after", "state", "resolution"),
    [
        pytest.param(V.DONE, M, F.DELIVERED, "happened", id="granted after a minute"),
        pytest.param(V.DONE, 3 * D, F.DELIVERED, "happened", id="granted after three days is granted"),
        pytest.param(V.DUPLICATE, M, F.DELIVERED, "happened", id="known to the target"),
        pytest.param(V.REFUSED, M, F.FAILED, "did not happen", id="not eligible"),
        pytest.param(V.LATER, M, F.ACCEPTED, "", id="not granted yet"),
        pytest.param(V.LATER, H, F.FAILED, "did not happen", id="never granted"),
        pytest.param(V.UNCLEAR, M, F.ACCEPTED, "", id="cannot be read just now"),
        pytest.param(V.UNCLEAR, 2 * H, F.ACCEPTED, "", id="cannot be read for two hours"),
        pytest.param(V.UNCLEAR, CONFIRM_AT_MOST, F.HELD, "", id="cannot be read for a day"),
        pytest.param(V.MISCONFIGURED, M, F.ACCEPTED, "", id="the key is wrong"),
        pytest.param(V.MISCONFIGURED, 2 * D, F.ACCEPTED, "", id="the key has been wrong for days"),
    ],
)
def test_what_asking_for_the_reward_comes_to(
    verdict: Verdict, after: timedelta, state: ForwardState, resolution: str
) -> None:
    found = confirm(verdict, after)
    assert (found.state, found.resolution) == (state, resolution)
    assert found.resolved == bool(resolution)
    assert (found.due_at is not None) == (state is F.ACCEPTED)
    assert bool(found.pause) == (verdict is V.MISCONFIGURED)


@pytest.mark.parametrize("looked", range(len(CONFIRM) + 3))
def test_it_is_looked_for_less_and_less_often(looked: int) -> None:
    wait = CONFIRM[min(looked, len(CONFIRM) - 1)]
    assert confirm(V.LATER, M, looked, within=30 * D).due_at == NOW + wait * S


def test_a_target_that_takes_longer_than_a_day_is_waited_for() -> None:
    assert confirm(V.UNCLEAR, 2 * D, within=5 * D).state is F.ACCEPTED
    assert confirm(V.UNCLEAR, 5 * D, within=5 * D).state is F.HELD
