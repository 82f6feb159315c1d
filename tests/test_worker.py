"""The breaker, the rate and the loop around them: what paces calls, and what must never stop or spin."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from bridge.store import Tx
from bridge.worker import PROBES, Breaker, Rate
from tests.conftest import FOLLOW_RULE, ORDER_RULE, Builder, states

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


# --- the breaker -----------------------------------------------------------------------------------------------


def test_a_closed_breaker_lets_as_many_through_as_there_are_slots() -> None:
    assert Breaker().allows(T0, 0, 8) == 8
    assert Breaker().allows(T0, 5, 8) == 3
    assert Breaker().allows(T0, 8, 8) == 0


def test_trouble_opens_it_and_one_call_finds_out_whether_it_is_over() -> None:
    breaker = Breaker()
    assert breaker.learn(True, T0)
    assert breaker.state == "open"
    assert breaker.allows(at(PROBES[0] - 0.1), 0, 8) == 0
    assert breaker.allows(at(PROBES[0]), 0, 8) == 1
    assert breaker.allows(at(PROBES[0]), 1, 8) == 0, "one probe at a time"
    assert breaker.learn(False, at(PROBES[0] + 1))
    assert (breaker.state, breaker.failures) == ("closed", 0)
    assert breaker.allows(at(PROBES[0] + 1), 0, 8) == 8


def test_each_failed_probe_makes_the_next_wait_longer_up_to_a_bound() -> None:
    breaker, now, waits = Breaker(), T0, []
    for _ in range(len(PROBES) + 3):
        assert breaker.learn(True, now)
        assert breaker.probe_at is not None
        waits.append((breaker.probe_at - now).total_seconds())
        now = breaker.probe_at
    assert waits == [*PROBES, *[PROBES[-1]] * 3]


def test_calls_that_left_before_it_opened_make_it_no_worse() -> None:
    breaker = Breaker()
    breaker.learn(True, T0)
    for _ in range(31):
        assert not breaker.learn(True, at(1))
    assert breaker.failures == 1
    assert breaker.probe_at == at(PROBES[0])


def test_good_news_that_changes_nothing_says_so() -> None:
    assert not Breaker().learn(False, T0)


# --- the rate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_second", [0.2, 1, 7, 12, 1000])
def test_no_second_sees_more_than_a_burst_and_the_rate(per_second: float) -> None:
    rate, rolled, taken = Rate(per_second), random.Random(7), []
    now = 0.0
    for _ in range(2000):
        now += rolled.choice((0, 0, 0.001, 0.01, 0.3, 2))
        if granted := rate.take(at(now), rolled.choice((1, 3, 100))):
            taken.append((now, granted))
    burst = max(1.0, per_second)
    for start in range(0, len(taken), 7):
        for length in (1.0, 10.0, 60.0):
            within = itertools.takewhile(lambda one: one[0] < taken[start][0] + length, taken[start:])  # noqa: B023
            assert sum(granted for _, granted in within) <= burst + per_second * length + 1
    assert len(taken) > 10


def test_what_was_not_used_is_given_back() -> None:
    rate = Rate(10)
    assert rate.take(T0, 10) == 10
    rate.give_back(4)
    assert rate.take(T0, 10) == 4


def test_after_a_long_silence_there_is_one_burst_and_not_an_hours_worth() -> None:
    rate = Rate(10)
    assert rate.take(T0, 100) == 10
    assert rate.take(at(3600), 1000) == 10
    assert rate.take(at(3600), 1000) == 0


def test_it_says_when_the_next_one_may_leave() -> None:
    rate = Rate(0.5)
    assert rate.take(T0, 5) == 1
    assert rate.next(T0) == at(2)
    assert rate.take(at(1.99), 5) == 0
    assert rate.take(at(2.01), 5) == 1


def test_a_clock_that_is_set_back_gives_nothing_away_and_loses_nothing() -> None:
    rate = Rate(10)
    rate.take(T0, 10)
    assert rate.take(at(-3600), 10) == 0
    assert rate.take(at(-3599), 10) == 10


# --- the loop --------------------------------------------------------------------------------------------------


class Counting:
    """A clock that moves by itself, and counts how often somebody looks."""

    def __init__(self) -> None:
        self.looked = 0

    def __call__(self) -> datetime:
        self.looked += 1
        return T0 + timedelta(seconds=asyncio.get_running_loop().time() - self.began)

    began = 0.0


async def test_the_loop_sleeps_while_a_probe_is_under_way(build_house: Builder) -> None:
    """An outage is when everything is due: a loop that looks again at once would eat a whole processor."""
    clock = Counting()
    clock.began = asyncio.get_running_loop().time()
    build_house.clock = clock  # type: ignore[assignment]
    reached = asyncio.Event()

    async def never() -> tuple[int, dict[str, str]]:
        reached.set()
        await asyncio.sleep(3600)
        raise AssertionError

    async with build_house(ORDER_RULE) as house:
        worker = house.bridge.worker
        for number in range(30):
            house.clock.now = clock()  # type: ignore[misc]
            await house.order(number, customer={"id": number, "email": None})
        house.vendor.always("POST", "hook.test", httpx2.ConnectError("down"))
        running = asyncio.create_task(worker.run())
        try:
            while not any(gate.breaker.probe_at for gate in worker.gates.values()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            house.vendor.always("POST", "hook.test", lambda asked: never())
            # The time of the probe has come, and everything else is due as well.
            clock.began -= 3600
            worker.wake()
            await asyncio.wait_for(reached.wait(), 5)
            worker.wake()
            await asyncio.sleep(0.1)
            before = clock.looked
            await asyncio.sleep(0.5)
            assert clock.looked - before < 50
        finally:
            worker.stop()
            for task in list(worker._running):
                task.cancel()
            await running


async def test_the_loop_sleeps_while_intake_is_busy_and_calls_are_slow(build_house: Builder) -> None:
    clock = Counting()
    clock.began = asyncio.get_running_loop().time()
    build_house.clock = clock  # type: ignore[assignment]

    async def slow() -> tuple[int, dict[str, str]]:
        await asyncio.sleep(3600)
        raise AssertionError

    async with build_house(ORDER_RULE) as house:
        worker = house.bridge.worker
        for number in range(30):
            house.clock.now = clock()  # type: ignore[misc]
            await house.order(number, customer={"id": number, "email": None})
        house.vendor.always("POST", "hook.test", lambda asked: slow())
        worker.busy = lambda: True
        running = asyncio.create_task(worker.run())
        try:
            await asyncio.sleep(0.2)
            worker.wake()
            await asyncio.sleep(0.1)
            before = clock.looked
            await asyncio.sleep(0.5)
            assert clock.looked - before < 50
            assert 0 < len(worker._running) < 30
        finally:
            worker.stop()
            for task in list(worker._running):
                task.cancel()
            await running


async def test_what_one_commit_makes_due_is_not_overlooked_by_a_lease_of_the_same_commit(build_house: Builder) -> None:
    """The lease asks what is due next; then, in the same transaction, a call ends for which another order waits."""
    paid = asyncio.Event()

    async def slow() -> tuple[int, dict[str, str]]:
        await paid.wait()
        return 200, {}

    async def nothing(tx: Tx, items: list[int]) -> list[None]:
        return [None for _ in items]

    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", lambda asked: slow())
        db, worker = house.bridge.db, house.bridge.worker
        for number in (1, 2):
            await house.order(number, customer={"id": 1, "email": None})
        running = asyncio.create_task(worker.run())
        try:
            async with asyncio.timeout(5):
                while not await house.rows("forwards", "parked IS NOT NULL"):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.02)
            async with db._writer._turn:  # a transaction that takes its time
                first = asyncio.create_task(db.join(nothing, 0))
                await asyncio.sleep(0.01)
                worker.wake("hook")
                await asyncio.sleep(0.01)
                paid.set()
                async with asyncio.timeout(5):
                    while db.queued < 2:  # noqa: ASYNC110
                        await asyncio.sleep(0.001)
            await first
            async with asyncio.timeout(0.5):  # the housekeeping would find it in the end
                while states(await house.forwards()) != ["delivered"] * 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        finally:
            worker.stop()
            await running


async def test_a_row_that_nobody_can_read_does_not_stop_the_loop(build_house: Builder) -> None:
    """Written by hand, by a failing disk, by a version to come: whatever it is, other targets are still served."""
    async with build_house(FOLLOW_RULE, ORDER_RULE) as house:
        await house.link("ann", "1234")
        await house.follow()
        await house.bridge.db.transact(lambda tx: tx.run("UPDATE forwards SET customer = 'no JSON'"))
        running = asyncio.create_task(house.bridge.worker.run())
        try:
            await asyncio.sleep(0.1)
            assert not running.done()
            await house.order()
            async with asyncio.timeout(5):
                while "delivered" not in states(await house.forwards()):
                    house.bridge.worker.wake()
                    await asyncio.sleep(0.02)
            assert not running.done()
        finally:
            house.bridge.worker.stop()
            await running


async def test_a_store_that_refuses_for_a_while_does_not_stop_the_loop(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        await house.order()
        await house.bridge.db.transact(lambda tx: tx.run("ALTER TABLE targets RENAME TO elsewhere"))
        running = asyncio.create_task(house.bridge.worker.run())
        try:
            await asyncio.sleep(0.2)
            assert not running.done()
            await house.bridge.db.transact(lambda tx: tx.run("ALTER TABLE elsewhere RENAME TO targets"))
            async with asyncio.timeout(5):
                while states(await house.forwards()) != ["delivered"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        finally:
            house.bridge.worker.stop()
            await running
