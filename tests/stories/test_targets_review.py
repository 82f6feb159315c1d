"""What could pay twice, pay the wrong one or tell too much: a bad moment between any two lines of the way out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from bridge.flows import operate
from bridge.flows.line import kept
from bridge.kit import Request, Response, Talk
from bridge.talk import Bearer, Failed, Talker
from tests.conftest import HEAD, ORDER_RULE, Asked, Builder, states
from tests.stories.pool import Pool
from tests.stories.test_targets import RULE, SHOWN, batches, head, orders


@pytest.fixture
def pool(build_house: Builder) -> Pool:
    made = Pool()
    for method in ("GET", "PUT", "POST"):
        build_house.vendor.always(method, "pool.test", made)
    return made


async def test_the_same_forward_never_goes_twice_in_one_company(build_house: Builder, pool: Pool) -> None:
    """The clock jumps while a company gathers: its members' leases are over, and they come into it once more."""
    answered = asyncio.Event()

    async def slowly(asked: Asked) -> Any:
        await answered.wait()
        return pool(asked)

    async with build_house(RULE, head=head()) as house:
        build_house.vendor.always(
            "GET", "pool.test", lambda asked: slowly(asked) if asked.path == "/points/m2" else pool(asked)
        )
        await orders(house, 1, 2)
        working = asyncio.ensure_future(house.work())
        worker = house.bridge.worker
        while not (company := worker.teller.companies.get("pool")) or not company.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        house.clock.tick(hours=3)
        worker.wake()
        while len(company.waiting) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        answered.set()
        await working
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 2
        assert pool.points == {"m1": 5, "m2": 5}


async def test_what_is_tried_again_goes_into_the_lane_of_the_name_it_goes_to(build_house: Builder, pool: Pool) -> None:
    """Between two tries the mail has moved to another member: in doubt, it is that one's count that is looked at."""
    async with build_house(RULE, head=head()) as house:
        pool.before.append(httpx2.ConnectError("nobody there"))
        await orders(house, 1)
        await house.work()
        assert (await house.forward())["state"] == "pending"
        # Another forward of this customer has asked for the name meanwhile.
        pool.members["c1@example.com"] = "m900"
        await house.bridge.db.transact(lambda tx: tx.run("UPDATE names SET name = 'm900'"))
        pool.after.append(httpx2.ReadTimeout("silence"))
        house.clock.tick(seconds=10)
        await house.work()
        for _ in range(3):
            house.clock.tick(minutes=10)
            await house.work()
        assert pool.points == {"m900": 5}
        assert (await house.forward())["state"] == "delivered"


async def test_a_prize_of_what_was_withdrawn_on_its_way_is_not_passed_on(build_house: Builder, pool: Pool) -> None:
    """The order is cancelled while the call is under way: it arrives, is to be taken back, and nobody gets its code."""
    async with build_house(SHOWN, head=head()) as house:

        async def meanwhile() -> Any:
            await house.cancel_order(1, customer={"id": 1, "email": "c1@example.com"})
            return 200, {"gone": [], "code": "WIN-4711"}

        pool.before.append(meanwhile())
        await orders(house, 1)
        await house.work()
        row = await house.forward()
        assert (row["state"], row["wish"]) == ("delivered", "undo")
        assert house.vendor.calls("POST", "hook.test") == []
        assert await house.rows("shown") == []


async def test_a_prize_that_waits_is_not_passed_on_once_its_reward_is_taken_back(
    build_house: Builder, pool: Pool
) -> None:
    """Part of the order is refunded, and what is left earns nothing."""
    rule = SHOWN.replace('limit = "per subject"', 'where = "total >= 50.0"\nlimit = "per subject"', 1)
    async with build_house(rule, head=head()) as house:
        house.vendor.answers("POST", "hook.test", (503, {}))
        await orders(house, 1)
        await house.work()
        assert states(await house.forwards()) == ["delivered", "pending"]
        await house.refund(1, "20.00")
        house.clock.tick(minutes=5)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1
        assert states(await house.forwards()) == ["cancelled", "delivered"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"code": ["WIN-4711", "WIN-4712"]}',
        b'{"code": {"id": 7, "text": "WIN-4711", "more": [1, "WIN-4712"]}}',
        b'{"rows": [{"code": "WIN-4711"}, {"code": {"a": 1, "b": "WIN-4712"}}]}',
        b'{"code": ["a", "WIN-4711", "' + b"x" * 5000 + b'"]}',
        b'{"code": ["a", "WIN-4711", "WIN',
    ],
)
def test_a_code_is_masked_in_whatever_form_it_comes(body: bytes) -> None:
    assert "WIN-" not in kept([Response(200, body)], ("code",))


async def test_a_token_that_does_not_come_leaves_no_doubt() -> None:
    """The call has been refused with 401, and where tokens come from there is silence: nothing has happened."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/token":
            await asyncio.Event().wait()
        return httpx2.Response(401)

    def fetch() -> Talk[str]:
        response = yield Request("POST", "https://pool.test/token", json={}, repeatable=True)
        return str(response.object()["token"])

    def pay() -> Talk[int]:
        response = yield Request("POST", "https://pool.test/awards", json={}, authorized=True)
        return response.status

    talker = Talker(httpx2.MockTransport(handle), lambda: datetime(2026, 11, 20, tzinfo=UTC), "test")
    bearer = Bearer(fetch)
    bearer.token = "old"
    with pytest.raises(Failed) as caught:
        await talker.hold(pay(), within=timedelta(milliseconds=50), bearer=bearer)
    assert not caught.value.sent


BACK = """
[[rule]]
id = "order"
when = "shop.order_paid"
limit = "per subject"
[[rule.send]]
to = "pool"
points = 5
tell = { to = "pool", points = "=answer.code == 'WIN-4711' ? 3 : 1" }
"""


async def test_a_doubt_about_what_is_passed_on_is_settled_like_any_other(build_house: Builder, pool: Pool) -> None:
    """Its options are sealed: whoever looks at the target must open them first."""
    async with build_house(BACK, head=head()) as house:
        pool.after = [(200, {"code": "WIN-4711"}), httpx2.ReadTimeout("silence")]
        await orders(house, 1)
        await house.work()
        assert states(await house.forwards()) == ["delivered", "pending"]
        assert pool.points == {"m1": 8}
        house.clock.tick(minutes=10)
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 2
        assert pool.points == {"m1": 8}


async def test_a_prize_is_passed_on_with_its_time(build_house: Builder, pool: Pool) -> None:
    rule = SHOWN.replace('order = "=subject"', 'order = "=subject", at = "=occurred_at", all = "=answer"')
    async with build_house(rule, head=head()) as house:
        await orders(house, 1)
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 2
        [told] = house.vendor.calls("POST", "hook.test")
        assert told.json["data"]["code"] == "WIN-4711"
        assert told.json["data"]["at"]


async def test_an_amount_that_is_no_number_is_not_below_the_ceiling(build_house: Builder, pool: Pool) -> None:
    """What `tell` computes of an answer has the type the answer gave it."""
    rule = BACK.replace("=answer.code == 'WIN-4711' ? 3 : 1", "=answer.code")
    async with build_house(rule, head=head(most="50")) as house:
        pool.after = [(200, {"code": "9000"})]
        await orders(house, 1)
        await house.work()
        [told] = await house.rows("forwards", "send LIKE '%.tell'")
        assert told["state"] == "held"
        assert "9000" not in told["reason"]
        assert len(batches(pool)) == 1


async def test_a_dry_run_does_not_use_up_a_claw_back(build_house: Builder) -> None:
    """What was paid before it is still to be taken back after it."""
    async with build_house(ORDER_RULE) as house:
        await house.order(1)
        await house.work()
    dry = HEAD.replace('url = "https://hook.test/in"', 'url = "https://hook.test/in"\ndry_run = true')
    async with build_house(ORDER_RULE, head=dry) as house:
        await house.cancel_order(1)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1
    async with build_house(ORDER_RULE) as house:
        [claw] = await house.rows("forwards", "kind = 'undo'")
        await house.operate_on(operate.release, claw)
        house.bridge.worker.wake()
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 2
        assert len(house.vendor.calls("POST", "hook.test")) == 2


async def test_a_prize_that_comes_late_still_comes(build_house: Builder, pool: Pool) -> None:
    """The answer outlasts its lease, and meanwhile a look has shown that it happened, but not the prize."""
    async with build_house(SHOWN, head=head()) as house:
        answered = asyncio.Event()

        async def late() -> Any:
            await answered.wait()
            return 200, {"gone": [], "code": "WIN-4711"}

        pool.before.append(late())
        await orders(house, 1)
        working = asyncio.ensure_future(house.work())
        while not batches(pool):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        pool.points["m1"] = 5
        for _ in range(2):
            house.clock.tick(hours=1)
            house.bridge.worker.wake()
            for _ in range(200):
                await asyncio.sleep(0.001)
        assert states(await house.forwards()) == ["delivered"]
        answered.set()
        await working
        await house.work()
        [told] = house.vendor.calls("POST", "hook.test")
        assert told.json["data"]["code"] == "WIN-4711"
        assert states(await house.forwards()) == ["delivered"] * 2
