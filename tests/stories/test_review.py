"""What a hostile reading of the money paths found, as stories: each of these paid twice, never, or out of sight."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from bridge.flows import again, morning, operate
from bridge.kit import ConfigError, Conflict
from bridge.store import customers, evidence, lists, targets
from bridge.store import forwards as ledger
from bridge.store.db import Threaded
from providers import TARGETS
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, Builder, House, states

LOST = httpx2.ReadError("connection reset")

WAIT_RULE = ORDER_RULE.replace("send =", 'wait = "14 days"\nsend =')
TWO_RULES = FOLLOW_RULE + FOLLOW_RULE.replace('id = "follow"', 'id = "follow-too"')


def progress(count: int) -> tuple[int, list[dict[str, object]]]:
    terms = {"id": 7, "isRepeatable": True, "type": "SocialMedia"}
    return 200, [{"rewardsCampaignId": 7, "achievedCount": count, "rewardCampaignConfiguration": terms}]


class Stop:
    """A vendor's answer that waits until the story says go."""

    def __init__(self, answer: object) -> None:
        self.answer, self.reached, self.go = answer, asyncio.Event(), asyncio.Event()

    def __call__(self, asked: object) -> Awaitable[object]:
        return self._wait()

    async def _wait(self) -> object:
        self.reached.set()
        await self.go.wait()
        return self.answer


async def meanwhile(house: House, stop: Stop, act: Callable[[], Awaitable[Any]]) -> None:
    """Let the worker run into `stop`, act, and let it go on."""
    worker = asyncio.create_task(house.work())
    await asyncio.wait_for(stop.reached.wait(), 5)
    await act()
    stop.go.set()
    await asyncio.wait_for(worker, 5)


async def within(house: House, seconds: float = 5) -> int:
    """Let the worker carry what is due; a loop that never ends fails the story instead of hanging it."""
    return await asyncio.wait_for(house.work(), seconds)


async def pause(house: House, target: str) -> None:
    scene = house.bridge.scene("operator:test")
    await house.bridge.db.transact(lambda tx: operate.pause(tx, target, scene, "x"))


async def resume(house: House, target: str) -> None:
    scene = house.bridge.scene("operator:test")
    await house.bridge.db.transact(lambda tx: operate.resume(tx, target, scene, "x"))


async def unlink(house: House, account: str) -> list[str]:
    source, scene = house.bridge.config.sources["twitch"], house.bridge.scene("operator:test")
    return await house.bridge.db.transact(lambda tx: operate.unlink(tx, source, account, scene, "wrong"))


# --- withdrawn while in doubt ----------------------------------------------------------------------------------


async def test_an_order_cancelled_after_an_unclear_call_does_not_spin_and_is_shown(build_house: Builder) -> None:
    """
    The endpoint's answer is lost; before the repeat is due the order is cancelled.

    The call may have arrived, so a person must look. It must neither be sent again, nor be leased and
    handed back without end, each round leaving an attempt behind.
    """
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", LOST)
        await house.order()
        await house.work()
        await house.cancel_order()
        house.clock.tick(minutes=10)
        await within(house)
        row = (await house.forwards())[0]
        assert (row["state"], row["wish"]) == ("cancelled", "undo")
        assert "may have arrived" in row["reason"]
        assert len(house.vendor.calls("POST", "hook.test")) == 1
        assert len(await house.rows("attempts")) == 1


async def test_an_order_cancelled_during_a_call_whose_answer_is_lost_is_shown(build_house: Builder) -> None:
    """The order is cancelled while its call is under way, and then the answer is lost: it may have been paid."""
    async with build_house(ORDER_RULE) as house:
        stop = Stop(LOST)
        house.vendor.answers("POST", "hook.test", stop)
        await house.order()
        await meanwhile(house, stop, house.cancel_order)
        row = (await house.forwards())[0]
        assert (row["state"], row["wish"]) == ("cancelled", "undo")
        found = await house.bridge.db.read(lambda tx: lists.attention(tx, since=0))
        assert len(found["undo"]) == 1


async def test_a_refund_after_an_unclear_call_does_not_silently_cancel_what_may_have_been_paid(
    build_house: Builder,
) -> None:
    """The answer is lost; before the repeat a refund takes the order below the condition: somebody must look."""
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", LOST)
        await house.order()
        await house.work()
        await house.refund(amount="20.00")
        house.clock.tick(minutes=10)
        await within(house)
        row = (await house.forwards())[0]
        assert (row["state"], row["wish"]) == ("cancelled", "undo")
        assert len(house.vendor.calls("POST", "hook.test")) == 1


async def test_an_operators_cancel_of_a_doubtful_forward_says_that_it_may_have_arrived(build_house: Builder) -> None:
    """The answer is lost and an operator cancels before the repeat: he is told what he may not know."""
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", LOST)
        await house.order()
        await house.work()
        done = await house.operate_on(operate.cancel, await house.forward())
        assert "may have arrived" in done.said
        assert (await house.forward())["wish"] == "undo"


# --- part refunds ----------------------------------------------------------------------------------------------


async def test_a_refund_while_the_call_is_under_way_takes_the_reward_back(build_house: Builder) -> None:
    """A refund that takes the order below the condition arrives while the call is in flight, which then succeeds."""
    async with build_house(ORDER_RULE) as house:
        stop = Stop((200, {}))
        house.vendor.answers("POST", "hook.test", stop)
        await house.order()
        await meanwhile(house, stop, lambda: house.refund(amount="20.00"))
        rows = await house.forwards()
        assert [row["kind"] for row in rows] == ["reward", "undo"]


async def test_a_refund_of_a_held_forward_is_judged_when_it_is_released(build_house: Builder) -> None:
    """Held by an operator; a refund takes the order below the condition; released, nothing may be paid."""
    async with build_house(ORDER_RULE) as house:
        await house.order()
        await house.operate_on(operate.hold, await house.forward())
        await house.refund(amount="20.00")
        await house.operate_on(operate.release, await house.forward())
        await house.work()
        assert house.vendor.calls("POST", "hook.test") == []
        assert (await house.forward())["state"] == "cancelled"


async def test_a_refund_of_a_failed_forward_is_judged_when_it_is_replayed(build_house: Builder) -> None:
    """Refused by the endpoint; a refund takes the order below the condition; replayed, nothing may be paid."""
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", (422, {}))
        await house.order()
        await house.work()
        await house.refund(amount="20.00")
        await house.operate_on(operate.replay_forward, await house.forward())
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1


async def test_the_facts_told_after_a_refund_are_those_that_are_left(build_house: Builder) -> None:
    """What a receiver reads under `facts` is what is left, on every attempt, not the total before the refund."""
    async with build_house(WAIT_RULE) as house:
        house.vendor.answers("POST", "hook.test", (429, {}))
        await house.order(total_price="300.00")
        await house.refund(amount="200.00")
        house.clock.tick(days=15)
        await house.work()
        house.clock.tick(minutes=1)
        await house.work()
        calls = house.vendor.calls("POST", "hook.test")
        assert [call.json["data"]["facts"]["total"] for call in calls] == [100.0, 100.0]
        assert len({call.body for call in calls}) == 1


async def test_what_was_taken_back_by_hand_is_not_asked_back_again(
    build_house: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refund; a person takes the points back and says so; a second refund of the same order asks for nothing."""
    monkeypatch.setitem(TARGETS, "gameball", replace(TARGETS["gameball"], undo=None))  # a target that cannot
    rule = ORDER_RULE.replace(
        'to = "hook", event = "order", data = { total = "=total" }', 'to = "gameball", challenge_id = 7'
    )
    async with build_house(rule) as house:
        for count in (0, 1):
            house.vendor.always("GET", "gameball.test", progress(count))
            await house.order()
            await house.work()
            house.clock.tick(minutes=5)
        await house.refund(amount="20.00")
        await house.operate_on(operate.confirm, await house.forward(), "took 60 points back")
        await house.refund(amount="10.00")
        assert (await house.forward())["wish"] == ""


async def test_a_reason_names_the_claw_back_that_exists(build_house: Builder) -> None:
    """A refund takes the reward back; then the order is cancelled: the reason still names the one claw-back."""
    async with build_house(ORDER_RULE) as house:
        await house.order()
        await house.work()
        await house.refund(amount="20.00")
        await house.cancel_order()
        reward, undo = await house.forwards()
        assert undo["id"] in reward["reason"]


async def test_a_fact_undone_a_second_time_withdraws_too(build_house: Builder) -> None:
    """Ended, begun again, ended again: an undoing under a known name with a later time still counts."""
    head = HEAD.replace(
        "[target.gameball]",
        '[source.member]\nprovider = "standard"\nwebhook_secret = "env:SIGNING_SECRET"\nknows_customers = true\n'
        'customer_prefix = "m-"\n'
        '[[source.member.evidence]]\naction = "member"\nkey = "body.who"\naccount = "body.who"\n'
        'occurred_at = "body.at"\nundone = "body.ended"\n[target.gameball]',
        1,
    )
    rule = '[[rule]]\nid = "member"\nwhen = "member.member"\nsend = { to = "hook", event = "member" }\n'
    async with build_house(rule, head=head) as house:
        for ended in (True, False, True):
            await tell(house, {"who": "ann", "ended": ended, "at": house.clock.now.isoformat()})
            await house.work()
            house.clock.tick(minutes=1)
        assert [row["kind"] for row in await house.forwards()] == ["reward", "undo"]


async def tell(house: House, body: dict[str, Any]) -> None:
    from bridge.kit import standard_headers
    from tests.conftest import SECRETS

    raw = json.dumps(body).encode()
    headers = standard_headers([SECRETS["SIGNING_SECRET"]], f"msg_{house._next()}", house.clock.now, raw)
    answer = await house.client.post(
        "/webhooks/member", content=raw, headers={**headers, "content-type": "application/json"}
    )
    assert answer.status_code == 200, answer.text


# --- wishes and operators --------------------------------------------------------------------------------------


async def test_a_hold_does_not_overwrite_a_withdrawal(build_house: Builder) -> None:
    """Cancelled at the shop while the call is under way, then held by an operator: released, it may not be paid."""
    async with build_house(ORDER_RULE) as house:
        stop = Stop((429, {}))
        house.vendor.answers("POST", "hook.test", stop)
        await house.order()

        async def act() -> None:
            await house.cancel_order()
            await house.operate_on(operate.hold, await house.forward())

        await meanwhile(house, stop, act)
        await house.operate_on(operate.release, await house.forward())
        house.clock.tick(minutes=1)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1
        assert (await house.forward())["state"] == "cancelled"


async def test_confirming_a_doubt_that_was_withdrawn_meanwhile_asks_to_take_it_back(
    build_house: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In doubt and held; undone at the source; the operator then sees that the reward exists: it is to be undone."""
    monkeypatch.setitem(TARGETS, "gameball", replace(TARGETS["gameball"], undo=None))  # a target that cannot
    rule = ORDER_RULE.replace(
        'to = "hook", event = "order", data = { total = "=total" }', 'to = "gameball", challenge_id = 7'
    )
    async with build_house(rule) as house:
        house.vendor.always("GET", "gameball.test", (200, []))  # shows nothing: nobody can tell
        house.vendor.answers("POST", "gameball.test", LOST)
        await house.order()
        await house.work()
        house.clock.tick(minutes=40)
        await house.work()
        assert (await house.forward())["state"] == "held"
        await house.cancel_order()
        await house.operate_on(operate.confirm, await house.forward())
        row = await house.forward()
        assert (row["state"], row["wish"]) == ("delivered", "undo")


async def test_an_operators_word_is_not_overwritten_by_a_read_that_was_under_way(build_house: Builder) -> None:
    """The confirming read of an accepted call is under way while an operator confirms by hand: his word stands."""
    async with build_house(TWO_RULES) as house:
        house.vendor.always("GET", "gameball.test", progress(0))
        await house.link("ann", "1234")
        await house.follow()
        await house.work()
        [first] = [row for row in await house.forwards() if row["state"] == "accepted"]
        house.clock.tick(hours=2)
        stop = Stop(progress(0))
        house.vendor.answers("GET", "gameball.test", stop)
        await meanwhile(house, stop, lambda: house.operate_on(operate.confirm, first))
        rows = {row["id"]: row for row in await house.forwards()}
        assert rows[first["id"]]["state"] == "delivered"
        assert states(rows.values()) == ["accepted", "delivered"]  # and the lane is free for the other


async def test_a_forward_held_out_of_a_doubt_can_be_released_at_once(build_house: Builder) -> None:
    """A hold is wished for while the forward is in doubt; the doubt cannot be settled; one release is enough."""
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", (200, []))
        house.vendor.answers("POST", "gameball.test", LOST)
        await house.link("ann", "1234")
        await house.follow()
        await house.work()
        await house.operate_on(operate.hold, await house.forward())
        house.clock.tick(minutes=40)
        await house.work()
        assert (await house.forward())["state"] == "held"
        await house.operate_on(operate.release, await house.forward())
        row = await house.forward()
        assert (row["state"], row["wish"]) == ("pending", "")


async def test_a_doubt_past_the_targets_memory_can_be_released(build_house: Builder) -> None:
    """
    In doubt on the first day, replayed on the sixth, unclear again on the eighth: held.

    Released, it is looked at again; it is not refused because "another forward" (itself) is using its lane.
    """
    async with build_house(ORDER_RULE) as house:
        house.vendor.always("POST", "hook.test", LOST)
        await house.order()
        began = house.clock.now
        for _ in range(200):
            await house.work()
            house.clock.tick(hours=1)
            if (await house.forward())["state"] == "failed":
                break
        house.clock.now = began + timedelta(days=6, hours=23)
        await house.operate_on(operate.replay_forward, await house.forward())
        for _ in range(40):
            await house.work()
            house.clock.tick(hours=1)
        row = await house.forward()
        assert row["state"] == "held", row["reason"]
        done = await house.operate_on(operate.release, row)
        assert done.done, done.said
        await house.work()
        row = await house.forward()
        assert row["state"] == "held"
        [still] = [one for one in await house.rows("attempts") if one["resolved_at"] is None]
        assert still["number"] == row["open"]


async def test_unlinking_leaves_a_claw_back_alone(build_house: Builder) -> None:
    """The reward was delivered and is being taken back; unlinking the account must not stop that."""
    head = HEAD.replace(
        "[target.gameball]",
        '[source.member]\nprovider = "standard"\nwebhook_secret = "env:SIGNING_SECRET"\n'
        '[[source.member.evidence]]\naction = "member"\nkey = "body.who"\naccount = "body.who"\n'
        'occurred_at = "body.at"\nundone = "body.ended"\n[target.gameball]',
        1,
    )
    rule = '[[rule]]\nid = "member"\nwhen = "member.member"\nsend = { to = "hook", event = "member" }\n'
    async with build_house(rule, head=head) as house:
        await house.link("ann", "1", source="member")
        await tell(house, {"who": "1", "ended": False, "at": house.clock.now.isoformat()})
        await house.work()
        await pause(house, "hook")
        await tell(house, {"who": "1", "ended": True, "at": house.clock.now.isoformat()})
        source, scene = house.bridge.config.sources["member"], house.bridge.scene("operator:test")
        await house.bridge.db.transact(lambda tx: operate.unlink(tx, source, "1", scene, "left"))
        await resume(house, "hook")
        await house.work()
        assert [call.json["type"] for call in house.vendor.calls("POST", "hook.test")] == ["member", "member.undone"]


async def test_reconsidering_pays_whose_account_it_is_now(build_house: Builder) -> None:
    """
    An account is linked to the wrong customer, unlinked, and linked to the right one; then a rule is added.

    Old evidence under the new rule is owed to the account's customer of today, not to the wrong one.
    """
    async with build_house(FOLLOW_RULE) as house:
        await house.link("ann", "1234")
        await pause(house, "gameball")
        await house.follow()
        await unlink(house, "1234")
        await house.link("ben", "1234")
    more = '[[rule]]\nid = "new"\nwhen = "twitch.follow"\nsend = { to = "hook", event = "follow" }\n'
    async with build_house(FOLLOW_RULE, more) as house:
        rule = house.bridge.config.rule("new")
        assert rule is not None
        scene = house.bridge.scene
        async for _ in again.reconsider(house.bridge.db, scene, rule, since=0, because="new"):
            pass
        [row] = [row for row in await house.forwards() if row["rule"] == "new"]
        assert json.loads(row["customer"])["id"] == "ben"


async def test_a_grant_needs_the_name_the_loyalty_apis_know_the_customer_by(build_house: Builder) -> None:
    """[customers] key is email and the customer has none: the grant is refused instead of being sent to nobody."""
    head = (
        HEAD[: HEAD.index("[source.twitch]")] + '[customers]\nkey = "email"\n' + HEAD[HEAD.index("[source.twitch]") :]
    )
    head = head[: head.index("[target.gameball]")] + head[head.index("[target.hook]") :]
    rule = '[[rule]]\nid = "hello"\nwhen = "twitch.follow"\nsend = { to = "hook", event = "hello" }\n'
    async with build_house(rule, head=head) as house:
        await house.link("ann", "1234")
        wanted = house.bridge.config.rule("hello")
        assert wanted is not None
        scene = house.bridge.scene("operator:test")
        with pytest.raises(Conflict, match="email"):
            await house.bridge.db.transact(lambda tx: operate.grant(tx, wanted, "ann", scene, "sorry"))


# --- late answers and fencing ----------------------------------------------------------------------------------


async def stalled(house: House, stop: Stop, meanwhile_: Callable[[], Awaitable[Any]]) -> None:
    """A worker stands still in the middle of a call, far beyond its lease, while another carries on."""
    worker = asyncio.create_task(house.work())
    await asyncio.wait_for(stop.reached.wait(), 5)
    await meanwhile_()
    stop.go.set()
    await asyncio.wait_for(worker, 5)


async def test_a_late_answer_does_not_hold_a_lane_for_ever(build_house: Builder) -> None:
    """
    A worker stalls in a call; another reconciles it as done; then the first wakes up with "accepted".

    The attempt is long resolved. If it became unresolved again, every later forward of this customer and
    reward would be parked behind a delivered one, for ever.
    """
    async with build_house(FOLLOW_RULE) as house, build_house(FOLLOW_RULE) as other:
        house.vendor.always("GET", "gameball.test", progress(0))
        await house.link("ann", "1234")
        await house.follow()
        stop = Stop((202, {"customerId": "ann", "challengeId": 7}))
        house.vendor.answers("POST", "gameball.test", stop)

        async def carry_on() -> None:
            house.clock.tick(minutes=3)
            await other.work()
            house.vendor.always("GET", "gameball.test", progress(1))
            house.clock.tick(minutes=31)
            await other.work()
            assert states(await house.forwards()) == ["delivered"]

        await stalled(house, stop, carry_on)
        assert (await house.forward())["state"] == "delivered"
        assert [one for one in await house.rows("attempts") if one["resolved_at"] is None] == []


async def test_a_late_done_leaves_no_orphaned_attempt_behind(build_house: Builder) -> None:
    """
    A worker stalls in a call; another repeats it under the same key and dies; then the first is told "done".

    The forward is delivered, and the second attempt may not keep the customer's seat for ever.
    """
    async with build_house(ORDER_RULE) as house, build_house(ORDER_RULE) as other:
        first, second = Stop((200, {})), Stop((200, {}))
        house.vendor.answers("POST", "hook.test", first, second)
        await house.order()

        async def carry_on() -> None:
            house.clock.tick(minutes=3)
            await other.work()  # closes the first as unclear
            house.clock.tick(minutes=3)
            dying = asyncio.create_task(other.work())
            await asyncio.wait_for(second.reached.wait(), 5)
            for task in other.bridge.worker._running:
                task.cancel()
            await asyncio.gather(dying, return_exceptions=True)

        await stalled(house, first, carry_on)
        assert (await house.forward())["state"] == "delivered"
        assert [one for one in await house.rows("attempts") if one["ended_at"] is None] == []
        await house.order(5002)
        await house.work()
        assert states(await house.forwards()) == ["delivered", "delivered"]


async def test_a_delivered_forward_is_not_moved_back_by_the_attempt_that_came_after(build_house: Builder) -> None:
    """A stalled worker's late "done" arrives while a repeat is under way, which is then answered 503: it stays done."""
    async with build_house(ORDER_RULE) as house, build_house(ORDER_RULE) as other:
        first, second = Stop((200, {})), Stop((503, {}))
        house.vendor.answers("POST", "hook.test", first, second)
        await house.order()
        worker = asyncio.create_task(house.work())
        await asyncio.wait_for(first.reached.wait(), 5)
        house.clock.tick(minutes=3)
        await other.work()
        house.clock.tick(minutes=3)
        repeat = asyncio.create_task(other.work())
        await asyncio.wait_for(second.reached.wait(), 5)
        first.go.set()
        await asyncio.wait_for(worker, 5)
        assert (await house.forward())["state"] == "delivered"
        second.go.set()
        await asyncio.wait_for(repeat, 5)
        assert (await house.forward())["state"] == "delivered"


async def test_late_good_news_settles_a_forward_that_has_failed_meanwhile(build_house: Builder) -> None:
    """A stalled worker's "done" comes after another one gave up: failed would invite a replay that pays twice."""
    async with build_house(ORDER_RULE) as house, build_house(ORDER_RULE) as other:
        stop = Stop((200, {}))
        house.vendor.answers("POST", "hook.test", stop, (422, {}))
        await house.order()

        async def carry_on() -> None:
            for _ in range(3):
                house.clock.tick(minutes=3)
                await other.work()
            assert (await house.forward())["state"] == "failed"

        await stalled(house, stop, carry_on)
        assert (await house.forward())["state"] == "delivered"


async def test_a_doubt_is_compared_with_its_own_baseline_once_an_earlier_one_is_disproved(
    build_house: Builder,
) -> None:
    """
    The first try did not happen. Then the customer's other reward of the same challenge is granted. Then a later
    try of the first is lost: the count has not moved since before that try, so it has not been paid.
    """
    async with build_house(TWO_RULES) as house:
        house.vendor.always("GET", "gameball.test", progress(2))
        house.vendor.answers("POST", "gameball.test", LOST, (429, {}))
        await house.link("ann", "1234")
        await house.follow()
        await house.work()
        house.clock.tick(minutes=35)
        await house.work()  # it did not happen; sent again and throttled; the lane is free
        await within(house)
        first, second = await house.forwards()
        assert (first["state"], second["state"]) == ("pending", "pending")
        house.vendor.answers("POST", "gameball.test", (202, {"customerId": "ann", "challengeId": 7}))
        house.bridge.worker.gates["gameball"].not_before = None
        await house.bridge.db.transact(
            lambda tx: tx.run("UPDATE forwards SET due_at = due_at + 300000 WHERE id = :id", id=first["id"])
        )
        await house.sweep()
        await house.work()  # the other one's turn
        assert (await house.forwards())[1]["state"] == "accepted"
        house.vendor.always("GET", "gameball.test", progress(3))
        house.clock.tick(minutes=4)
        await house.work()
        assert (await house.forwards())[1]["state"] == "delivered"
        house.vendor.answers("POST", "gameball.test", LOST)
        house.clock.tick(minutes=10)
        await house.work()
        assert (await house.forwards())[0]["open"] is not None
        house.clock.tick(minutes=35)
        await house.work()
        assert (await house.forwards())[0]["state"] == "accepted"  # sent once more, not taken for paid


# --- nothing vanishes ------------------------------------------------------------------------------------------


async def test_what_is_owed_at_a_target_that_is_gone_is_shown(build_house: Builder) -> None:
    """A target's table is renamed while forwards wait for it: nothing will ever send them, so a person must know."""
    async with build_house(ORDER_RULE) as house:
        await pause(house, "hook")
        await house.order()
        await house.bridge.db.transact(lambda tx: tx.run("DELETE FROM targets"))
    head = HEAD.replace("[target.hook]", "[target.newhook]")
    async with build_house(ORDER_RULE.replace('to = "hook"', 'id = "hook", to = "newhook"'), head=head) as house:
        await house.work()
        found = await house.bridge.db.read(lambda tx: morning.status(tx, house.bridge.config, now=house.now_ms))
        assert [one["target"] for one in found if one["kind"] == "stranded"] == ["hook"]
        assert morning.needs_a_person(found)


async def test_a_held_doubt_at_a_target_that_is_gone_is_refused_in_words(build_house: Builder) -> None:
    """Released, it would wait for ever at a target that nobody carries anything to."""
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", LOST)
        await house.order()
        await house.work()
        await house.operate_on(operate.hold, await house.forward())
    head = HEAD.replace("[target.hook]", "[target.newhook]")
    async with build_house(ORDER_RULE.replace('to = "hook"', 'id = "hook", to = "newhook"'), head=head) as house:
        done = await house.operate_on(operate.release, await house.forward())
        assert not done.done
        assert "target.hook" in done.said


async def test_a_renamed_target_does_not_pay_everybody_again(build_house: Builder) -> None:
    """
    "Once" is counted by rule and send, and a send is called like its target: renaming the table would open every
    bucket again. The start is refused, and says how to keep the name.
    """
    once = ORDER_RULE.replace('limit = "per subject"', 'limit = "once"')
    async with build_house(once) as house:
        await house.order(1)
        await house.work()
    head = HEAD.replace("[target.hook]", "[target.newhook]")
    renamed = once.replace('to = "hook"', 'to = "newhook"')
    with pytest.raises(ConfigError, match='id = "hook"'):
        async with build_house(renamed, head=head):
            pass
    kept = once.replace('to = "hook"', 'id = "hook", to = "newhook"')
    async with build_house(kept, head=head) as house:
        await house.order(2)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1


async def test_a_customer_known_in_the_same_instant_is_not_waited_for_for_ever(build_house: Builder) -> None:
    """Shopify tells of the order and of the customer at once, and the second may be stamped no later."""
    head = (
        HEAD[: HEAD.index("[source.twitch]")] + '[customers]\nkey = "email"\n' + HEAD[HEAD.index("[source.twitch]") :]
    )
    head = head[: head.index("[target.gameball]")] + head[head.index("[target.hook]") :]
    async with build_house(ORDER_RULE, head=head) as house:
        await house.order(1, customer={"id": 1, "email": None, "verified_email": False})
        at = house.clock.now
        house.clock.tick(milliseconds=-5)
        await house.shop(
            "customers/update",
            {"id": 1, "email": "ann@example.com", "verified_email": True, "created_at": at.isoformat()},
        )
        house.clock.now = at
        await house.sweep()
        assert states(await house.forwards()) == ["pending"]


async def test_a_source_whose_customers_wait_does_not_pay_after_unlink(build_house: Builder) -> None:
    """Linked to Ann, whose e-mail nobody knows; unlinked; then her e-mail becomes known: it is not hers any more."""
    head = (
        HEAD[: HEAD.index("[source.twitch]")] + '[customers]\nkey = "email"\n' + HEAD[HEAD.index("[source.twitch]") :]
    )
    head = head[: head.index("[target.gameball]")] + head[head.index("[target.hook]") :]
    rule = '[[rule]]\nid = "hello"\nwhen = "twitch.follow"\nsend = { to = "hook", event = "hello" }\n'
    async with build_house(rule, head=head) as house:
        await house.link("77", "1234")
        await house.follow()
        await unlink(house, "1234")
        house.clock.tick(minutes=1)
        await house.link("77", "999", email="ann@example.com")
        await house.sweep()
        assert await house.forwards() == []


# --- the worker and the store ----------------------------------------------------------------------------------


async def test_an_error_nobody_thought_of_does_not_end_the_worker(house: House, monkeypatch: Any) -> None:
    """One round of the worker meets a bug: the next one still carries what is due."""
    worker = house.bridge.worker
    round_ = worker._round
    failed: list[bool] = []

    async def once() -> float:
        if not failed:
            failed.append(True)
            raise RuntimeError("a bug")
        return await round_()

    monkeypatch.setattr(worker, "_round", once)
    await house.order()
    running = asyncio.create_task(worker.run())
    for _ in range(300):
        await asyncio.sleep(0.01)
        if states(await house.forwards()) == ["delivered"]:
            break
    worker.stop()
    await asyncio.wait_for(running, 5)
    assert states(await house.forwards()) == ["delivered"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_bug_in_a_conversation_is_a_counted_try(build_house: Builder, method: str) -> None:
    """
    Something nobody thought of is raised while a target is read or told.

    Left to its lease it would be leased again and again, for ever, in no list that anybody looks at.
    """
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.answers(method, "gameball.test", OverflowError("port must be 0-65535"))
        await house.link("ann", "1234")
        await house.follow()
        await house.work()
        [attempt] = await house.rows("attempts")
        assert attempt["ended_at"] is not None
        assert attempt["verdict"] == {"GET": "later", "POST": "unclear"}[method]
        row = await house.forward()
        assert (row["tries"], row["open"]) == {"GET": (1, None), "POST": (0, 1)}[method]


@pytest.mark.parametrize("url", ["https://hook.test:99999/in", "https://[hook/in", "https://hook.test:x/in"])
async def test_an_address_that_is_none_is_refused_at_the_start(build_house: Builder, url: str) -> None:
    """A typing error in a port is told by `check`, not by a target that never answers."""
    with pytest.raises(ConfigError, match="url is no address"):
        async with build_house(ORDER_RULE, head=HEAD.replace("https://hook.test/in", url)):
            pass


async def test_a_locked_file_is_waited_for_once_and_not_once_for_each_delivery(
    build_house: Builder, monkeypatch: Any
) -> None:
    """Another process holds the file: the platforms get their 503 together, not one after the other."""
    monkeypatch.setattr(Threaded, "PATIENCE", 0.3)
    async with build_house(ORDER_RULE) as house:
        other = sqlite3.connect(house.bridge.db.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        answers = await asyncio.gather(*(house.order(number) for number in range(30)))
        took = time.monotonic() - began
        other.execute("ROLLBACK")
        other.close()
        assert {answer.status_code for answer in answers} == {503}
        assert took < 3


async def test_a_transaction_cancelled_twice_is_finished_before_the_next_begins(house: House) -> None:
    """Shutdown cancels a task that is already being cancelled: the connection stays whole."""
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def slow(tx: Any) -> None:
        loop.call_soon_threadsafe(began.set)
        time.sleep(0.2)  # noqa: ASYNC251 (on the connection's thread, as a slow disk is)
        await tx.run("INSERT INTO alerts (name, text, since) VALUES ('slow', '', 0)")

    task = asyncio.create_task(house.bridge.db.transact(slow))
    await began.wait()
    task.cancel()
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def quick(tx: Any) -> None:
        await tx.run("INSERT INTO alerts (name, text, since) VALUES ('quick', '', 0)")

    await house.bridge.db.transact(quick)
    assert {row["name"] for row in await house.rows("alerts")} == {"slow", "quick"}


async def test_no_hot_statement_reads_a_whole_table(house: House, monkeypatch: Any) -> None:
    """Two hundred thousand forwards and as much evidence: what runs each second or each webhook finds its rows."""
    plans: dict[str, list[str]] = {}

    class Explaining:
        skip_locked = ""

        def __init__(self, tx: Any) -> None:
            self.tx = tx

        async def rows(self, sql: str, **params: Any) -> Any:
            found = await self.tx.rows(f"EXPLAIN QUERY PLAN {sql}", **params)
            plans[" ".join(sql.split())] = [str(row["detail"]) for row in found]
            return await self.tx.rows(sql, **params)

        async def run(self, sql: str, **params: Any) -> int:
            await self.rows(sql, **params)
            return 0

    async def all_(real: Any) -> None:
        tx: Any = Explaining(real)
        now = house.now_ms
        await ledger.lease(tx, target="hook", now=now, until=now, limit=8)
        await ledger.lease_open(tx, target="hook", now=now, until=now, limit=8)
        await ledger.next_due(tx, target="hook")
        await ledger.wake(tx, keys=["lane"], now=now)
        await ledger.wake_forgotten(tx, now=now)
        await ledger.undoing(tx, ids=["fwd_1"])
        await ledger.ledger(tx)
        await evidence.waiting_for(tx, source="twitch", account="1", since=0)
        await evidence.no_longer_waiting(tx, back=0, key="id", shops=["shop"], limit=10)
        await evidence.of_accounts(tx, pairs=[("twitch", "1")])
        await customers.join(tx, person="a", persons=["b"])
        await lists.attention(tx, since=0)
        await lists.undelivered(tx, target="hook", now=now)
        await targets.stranded(tx, known=["hook"])

    await house.bridge.db.transact(all_)
    tables = ("forwards", "evidence", "customers", "deliveries", "attempts", "links")
    partial = ("deliveries_failed", "forwards_wish", "forwards_parked", "forwards_attention", "evidence_open")
    for sql, plan in plans.items():
        for line in plan:
            scanned = line.startswith("SCAN ") and line.split()[1] in tables
            assert not scanned or line.split()[-1] in partial, f"{line}\n{sql}"
    waiting = [plan for sql, plan in plans.items() if "state = 'waiting'" in sql and "account = :account" in sql]
    assert "evidence_open" in " ".join(waiting[0])


# --- what is written down --------------------------------------------------------------------------------------


async def test_a_targets_words_about_a_customer_stay_out_of_the_logs(house: House, monkeypatch: Any) -> None:
    """An endpoint that repeats the customer's e-mail in its refusal must not put it into the log."""
    import structlog

    from bridge import worker

    house.vendor.answers("POST", "hook.test", (422, {"error": "ann@example.com is blocked"}))
    await house.order()
    with structlog.testing.capture_logs() as logs:
        monkeypatch.setattr(worker, "log", structlog.get_logger("worker"))
        await house.work()
    assert logs
    assert "ann@example.com" not in json.dumps(logs, default=str)
    assert "ann@example.com" in (await house.forward())["reason"]
