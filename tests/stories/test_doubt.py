"""Single flight ends with certainty, not with the answer: lanes, leases, doubt, the breaker, what operators may do."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx2
import pytest

from bridge.flows import operate
from bridge.flows.steps import SCHEDULE
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, Builder, House, states

LOST = httpx2.ReadError("connection reset")
REFUSED = httpx2.ConnectError("connection refused")


def progress(count: int) -> tuple[int, list[dict[str, object]]]:
    return 200, [
        {
            "rewardsCampaignId": 7,
            "achievedCount": count,
            "canAchieve": True,
            "rewardCampaignConfiguration": {"id": 7, "isRepeatable": True, "type": "SocialMedia"},
        }
    ]


async def followed(house: House) -> None:
    await house.link("ann", "1234")
    await house.follow()
    await house.work()


# 9. The lane


TWO_RULES = FOLLOW_RULE + FOLLOW_RULE.replace('id = "follow"', 'id = "follow-too"')


async def test_9_a_forward_in_doubt_holds_its_lane_until_the_doubt_is_over(build_house: Builder) -> None:
    """Two rewards of one challenge for one customer: the second may not leave while the first is in doubt."""
    async with build_house(TWO_RULES) as house:
        house.vendor.always("GET", "gameball.test", progress(0))
        house.vendor.answers("POST", "gameball.test", LOST)
        await followed(house)
        first, second = sorted(await house.forwards(), key=lambda row: row["open"] is None)
        assert len(house.vendor.calls("POST", "gameball.test")) == 1
        assert first["open"] == 1
        assert second["parked"] == first["lane"]
        # Half an hour later the target shows that it did happen; only then the other may go.
        house.vendor.always("GET", "gameball.test", progress(1))
        house.clock.tick(minutes=40)
        await house.work()
        rows = {row["id"]: row for row in await house.forwards()}
        assert rows[first["id"]]["state"] == "delivered"
        assert rows[second["id"]]["state"] == "accepted"
        assert len(house.vendor.calls("POST", "gameball.test")) == 2


async def test_9_an_accepted_forward_holds_its_lane_until_it_is_confirmed(build_house: Builder) -> None:
    async with build_house(TWO_RULES) as house:
        house.vendor.always("GET", "gameball.test", progress(0))
        await followed(house)
        assert states(await house.forwards()) == ["accepted", "pending"]
        house.vendor.always("GET", "gameball.test", progress(1))
        house.clock.tick(minutes=2)
        await house.work()
        assert states(await house.forwards()) == ["accepted", "delivered"]


async def test_9_one_call_at_a_time_for_one_customer_at_one_target(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        flying = most = 0

        async def slow() -> tuple[int, dict[str, object]]:
            nonlocal flying, most
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0.01)
            flying -= 1
            return 200, {}

        house.vendor.always("POST", "hook.test", lambda asked: slow())
        for order in range(10):
            await house.order(order)
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 10
        assert most == 1


# 10. Leases


async def test_10_two_workers_never_share_a_forward(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house, build_house(ORDER_RULE) as other:
        for order in range(30):
            await house.order(order, customer={"id": order, "email": None})
        await asyncio.gather(house.work(), other.work())
        await asyncio.gather(house.work(), other.work())
        assert states(await house.forwards()) == ["delivered"] * 30
        assert len(house.vendor.calls("POST", "hook.test")) == 30


# 11. Three steps


async def test_11_an_attempt_that_never_left_is_no_doubt(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.answers("GET", "gameball.test", LOST)  # the baseline could not be read
        await followed(house)
        row = await house.forward()
        assert row["state"] == "pending"
        assert row["sent"] == 0
        assert row["open"] is None
        assert house.vendor.calls("POST", "gameball.test") == []


async def test_11_a_worker_that_died_before_sending_leaves_no_doubt(house: House) -> None:
    await house.link("ann", "1234")
    await house.follow()
    await lease_and_die(house)
    house.clock.tick(minutes=5)
    await house.work()
    assert len(house.vendor.calls("POST", "gameball.test")) == 1


async def lease_and_die(house: House) -> None:
    """What a worker that is killed right after its lease has committed leaves behind."""
    from bridge.flows.lease import take

    table = house.bridge.config.targets["gameball"]
    await house.bridge.db.transact(lambda tx: take(tx, table, house.bridge.scene("worker"), 10))


async def test_11_a_worker_that_died_after_sending_leaves_a_doubt_that_is_asked_about(build_house: Builder) -> None:
    """The call left and the process was killed: whether it happened is read off the target, never guessed."""
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(3))
        await house.link("ann", "1234")
        await house.follow()
        reached = asyncio.Event()

        async def never() -> object:
            reached.set()
            await asyncio.sleep(3600)
            raise AssertionError

        house.vendor.answers("POST", "gameball.test", lambda asked: never())
        worker = asyncio.create_task(house.work())
        await asyncio.wait_for(reached.wait(), 5)
        for task in house.bridge.worker._running:
            task.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        [attempt] = await house.rows("attempts")
        assert attempt["sent_at"] is not None
        assert attempt["ended_at"] is None

    async with build_house(FOLLOW_RULE) as house:
        house.clock.tick(minutes=5)
        await house.work()  # the lease has run out: the attempt is closed as unclear
        assert (await house.forward())["reason"].startswith("in doubt")
        house.clock.tick(minutes=29)
        await house.work()
        assert (await house.forward())["open"] == 1  # not before reconcile_after past the lease's end
        house.vendor.always("GET", "gameball.test", progress(4))
        house.clock.tick(minutes=5)
        await house.work()
        assert (await house.forward())["state"] == "delivered"
        assert len(house.vendor.calls("POST", "gameball.test")) == 1


async def test_11_what_did_not_happen_is_sent_again(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(2))
        house.vendor.answers("POST", "gameball.test", LOST)
        await followed(house)
        house.clock.tick(minutes=35)
        await house.work()
        assert len(house.vendor.calls("POST", "gameball.test")) == 2
        assert (await house.forward())["state"] == "accepted"


async def test_11_too_early_did_not_happen_counts_as_cannot_tell(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(2))
        house.vendor.answers("POST", "gameball.test", LOST)
        await followed(house)
        row = await house.forward()
        await house.operate_on(operate.hold, row)
        await house.operate_on(operate.release, row)
        house.clock.tick(minutes=1)
        await house.work()
        assert len(house.vendor.calls("POST", "gameball.test")) == 1


# 12. settle always closes the attempt, and carries out what was wished


@pytest.mark.parametrize(
    ("answer", "state", "wish"),
    [((200, {}), "delivered", ""), ((503, {}), "cancelled", ""), ((422, {}), "cancelled", "")],
)
async def test_12_an_order_cancelled_while_its_call_is_under_way(
    build_house: Builder, answer: object, state: str, wish: str
) -> None:
    async with build_house(ORDER_RULE) as house:
        reached, go = asyncio.Event(), asyncio.Event()

        async def wait() -> object:
            reached.set()
            await go.wait()
            return answer

        house.vendor.answers("POST", "hook.test", lambda asked: wait())
        await house.order()
        worker = asyncio.create_task(house.work())
        await asyncio.wait_for(reached.wait(), 5)
        await house.cancel_order()
        assert (await house.forward())["state"] == "pending"
        go.set()
        await worker
        row = (await house.forwards())[0]
        assert (row["state"], row["wish"]) == (state, wish)
        if state == "delivered":  # it had arrived: what takes it back is under way
            assert (await house.forwards())[1]["undoes"] == row["id"]


async def test_12_a_hold_while_a_call_is_under_way_is_carried_out_if_nothing_happened(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        reached, go = asyncio.Event(), asyncio.Event()

        async def wait() -> object:
            reached.set()
            await go.wait()
            return 429, {}

        house.vendor.answers("POST", "hook.test", lambda asked: wait())
        await house.order()
        worker = asyncio.create_task(house.work())
        await asyncio.wait_for(reached.wait(), 5)
        await house.operate_on(operate.hold, await house.forward())
        go.set()
        await worker
        assert (await house.forward())["state"] == "held"


async def test_12_late_good_news_settles_a_forward_whose_lease_was_lost(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        reached, go = asyncio.Event(), asyncio.Event()

        async def wait() -> object:
            reached.set()
            await go.wait()
            return 200, {}

        house.vendor.answers("POST", "hook.test", lambda asked: wait())
        await house.order()
        worker = asyncio.create_task(house.work())
        await asyncio.wait_for(reached.wait(), 5)
        await house.bridge.db.transact(lambda tx: tx.run("UPDATE forwards SET lease = lease + 1"))
        go.set()
        await worker
        assert (await house.forward())["state"] == "delivered"


# 13. Ours or somebody else's


REPEATED = (400, {"code": 4000, "type": "GENERAL_ERROR", "message": "can't send this action multiple times"})


async def test_13_a_4000_without_a_doubt_of_ours_is_somebody_elses(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.answers("POST", "gameball.test", REPEATED)
        await followed(house)
        row = await house.forward()
        assert row["state"] == "failed"


async def test_13_counting_leases_is_not_a_doubt(build_house: Builder) -> None:
    """The first try never left (the connection was refused), so the 4000 that the second meets is not ours."""
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.answers("POST", "gameball.test", REFUSED, REPEATED)
        await followed(house)
        house.clock.tick(minutes=1)
        await house.work()
        row = await house.forward()
        assert row["attempts"] == 2
        assert row["state"] == "failed"


# 14. How long a repeat is harmless


async def test_14_a_keyed_target_is_asked_again_under_the_same_key(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", LOST, (500, {}))
        await house.order()
        await house.work()
        house.clock.tick(minutes=2)
        await house.work()
        house.clock.tick(minutes=2)
        await house.work()
        calls = house.vendor.calls("POST", "hook.test")
        assert len(calls) == 3
        assert len({call.headers["webhook-id"] for call in calls}) == 1
        assert len({call.body for call in calls}) == 1
        assert (await house.forward())["state"] == "delivered"


# 15. Tries index the schedule, leases do not


async def test_15_pauses_and_misconfiguration_use_up_no_tries(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        for _ in range(20):
            house.vendor.answers("POST", "hook.test", (401, {}))
            if not await house.forwards():
                await house.order()
            await house.work()
            row = await house.forward()
            assert (row["state"], row["tries"]) == ("pending", 0)
            scene = house.bridge.scene("operator:test")
            await house.bridge.db.transact(lambda tx, scene=scene: operate.resume(tx, "hook", scene, "mended"))
        await house.work()
        assert (await house.forward())["state"] == "delivered"


async def test_15_the_schedule_ends_after_three_days(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        house.vendor.always("POST", "hook.test", (429, {}))
        await house.order()
        began = house.clock.now
        for _ in range(4000):
            await house.work()
            row = await house.forward()
            if row["state"] != "pending":
                break
            house.clock.tick(minutes=2)
        assert row["state"] == "failed"
        assert row["tries"] == len(SCHEDULE)
        assert timedelta(days=2.6) < house.clock.now - began < timedelta(days=3.4)


async def test_15_retry_after_may_only_lengthen(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", (429, {}, {"retry-after": "3600"}))
        await house.order()
        await house.work()
        house.clock.tick(minutes=59)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1
        house.clock.tick(minutes=2)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 2


# 16. The breaker


async def test_16_an_hour_of_500s_with_ten_thousand_due_leaves_few_in_doubt(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(0))
        house.vendor.always("POST", "gameball.test", (500, {}))
        rows = []
        for number in range(10_000):
            rows.append({"id": f"c{number}", "account": f"a{number}", "link": f"lnk_{number:05}"})
        await house.bridge.db.transact(
            lambda tx: tx.many(
                "INSERT INTO links (id, source, account, customer, how, linked_at, at) "
                "VALUES (:link, 'twitch', :account, :id, 'test', 0, 0)",
                rows,
            )
        )
        await house.bridge.db.transact(
            lambda tx: tx.many("INSERT INTO customers (id, person, at) VALUES (:id, :id, 0)", rows)
        )
        for start in range(0, 10_000, 200):
            await asyncio.gather(*(house.follow(f"a{number}") for number in range(start, start + 200)))
        for _ in range(360):
            await house.work()
            house.clock.tick(seconds=10)
        doubtful = await house.rows("forwards", "sent = 1")
        assert 1 <= len(doubtful) <= 20
        assert len(await house.rows("attempts")) < 100
        # The target comes back: the rest leaves, paced by the rate, and the doubtful are asked about.
        house.vendor.always("POST", "gameball.test", (202, {"customerId": "c", "challengeId": 7}))
        house.bridge.worker.gates["gameball"].rate.per_second = 100
        house.clock.tick(minutes=10)
        for _ in range(20):
            await house.work()
            house.clock.tick(seconds=1)
        accepted = await house.rows("forwards", "state = 'accepted'")
        assert 1900 <= len(accepted) <= 2200


# 19. Replay and release


async def test_19_only_failed_forwards_are_replayed(house: House) -> None:
    await house.order()
    await house.work()
    row = await house.forward()
    done = await house.operate_on(operate.replay_forward, row)
    assert not done.done
    assert "delivered" in done.said


async def test_19_release_of_a_doubt_asks_the_target_before_it_sends(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(5))
        house.vendor.answers("POST", "gameball.test", LOST)
        await followed(house)
        house.vendor.always("GET", "gameball.test", (200, {"unexpected": "shape"}))
        house.clock.tick(minutes=40)
        for _ in range(300):
            await house.work()
            house.clock.tick(minutes=10)
        row = await house.forward()
        assert row["state"] == "held", row["reason"]
        await house.operate_on(operate.release, row)
        await house.work()
        assert len(house.vendor.calls("POST", "gameball.test")) == 1  # still cannot tell
        for _ in range(300):
            await house.work()
            house.clock.tick(minutes=10)
        row = await house.forward()
        house.vendor.always("GET", "gameball.test", progress(6))
        await house.operate_on(operate.release, row)
        await house.work()
        assert (await house.forward())["state"] == "delivered"
        assert len(house.vendor.calls("POST", "gameball.test")) == 1


async def test_a_target_with_a_wrong_key_is_paused_and_the_operator_told_once(build_house: Builder) -> None:
    head = HEAD + '[[alert]]\nto = "env:SLACK"\n'
    async with build_house(ORDER_RULE, head=head, variables={"SLACK": "https://slack.test/x"}) as house:
        house.vendor.always("POST", "slack.test", (200, {}))
        house.vendor.always("POST", "hook.test", (401, {}))
        for order in range(5):
            await house.order(order, customer={"id": order, "email": None})
        await house.work()
        for _ in range(3):
            await house.sweep()
        told = house.vendor.calls("POST", "slack.test")
        assert len(told) == 1
        assert "hook is paused" in told[0].json["text"]
        assert states(await house.forwards()) == ["pending"] * 5
        house.vendor.always("POST", "hook.test", (200, {}))
        scene = house.bridge.scene("operator:test")
        await house.bridge.db.transact(lambda tx: operate.resume(tx, "hook", scene, "new key"))
        await house.work()
        await house.sweep()
        assert "Recovered" in house.vendor.calls("POST", "slack.test")[-1].json["text"]
        assert states(await house.forwards()) == ["delivered"] * 5


async def test_words_that_break_a_store_do_not_keep_an_attempt_open(house: House) -> None:
    """NUL and half a surrogate pair in a refusal: it ends as failed, and is not sent again for ever."""
    poison = b'{"code": 3000, "type": "x", "message": "no \\u0000 such \\ud800 thing", "requestId": "r"}'
    house.vendor.answers("POST", "gameball.test", (400, poison))
    await house.link("ann", "1")
    await house.follow("1")
    await house.work()
    row = await house.forward()
    assert (row["state"], row["open"]) == ("failed", None)
    assert "such" in row["reason"]
