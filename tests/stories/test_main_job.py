"""The main job, as stories: each is a paragraph first and a test second."""

from __future__ import annotations

import asyncio
import json

from bridge.kit import Inbound, StandardWebhooks
from tests.conftest import SECRETS, Builder, House, states


async def test_ann_orders_for_sixty_euro_and_the_shops_endpoint_is_told_once(house: House) -> None:
    answer = await house.order()
    assert answer.status_code == 200
    assert answer.json()["status"] == "accepted"

    assert await house.work() == 1

    [call] = house.vendor.calls("POST", "hook.test")
    row = await house.forward()
    assert row["state"] == "delivered"
    assert call.headers["webhook-id"] == row["id"] == call.headers["idempotency-key"]
    signed = Inbound(
        source="x", method="POST", url="", headers=call.headers, body=call.body, received_at=house.clock.now
    )
    StandardWebhooks().verify(signed, [SECRETS["WEBHOOK_SECRET"]], house.clock.now)
    assert call.json["data"]["total"] == 60.0


async def test_a_follow_of_a_linked_account_becomes_one_gameball_call_with_the_documented_headers(house: House) -> None:
    await house.link("ann", "1234")
    await house.follow()
    await house.work()

    [call] = house.vendor.calls("POST", "gameball.test")
    assert call.path == "/api/v4.1/integrations/customers/social-challenges"
    assert call.json == {"customerId": "ann", "challengeId": 7}
    assert call.headers["apikey"] == "gb-api-key"
    assert call.headers["secretkey"] == "gb-secret-key"
    signed = Inbound(
        source="x", method="POST", url="", headers=call.headers, body=call.body, received_at=house.clock.now
    )
    StandardWebhooks().verify(signed, [SECRETS["SIGNING_SECRET"]], house.clock.now)
    assert (await house.forward())["state"] == "accepted"


async def test_a_follow_waits_for_the_link_and_is_credited_when_it_is_made(house: House) -> None:
    await house.follow()
    assert await house.forwards() == []
    [waiting] = await house.rows("evidence")
    assert waiting["state"] == "waiting"

    await house.link("ann", "1234")
    assert (await house.rows("evidence"))[0]["state"] == "considered"
    assert (await house.forward())["state"] == "pending"


async def test_events_older_than_the_retroactive_window_are_not_credited(house: House) -> None:
    await house.follow()
    house.clock.tick(days=31)
    await house.link("ann", "1234")
    assert await house.forwards() == []


async def test_ten_concurrent_copies_of_a_delivery_make_one_call(house: House) -> None:
    body = house.order_body()
    answers = await asyncio.gather(*(house.shop("orders/paid", body, id_="same") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["duplicate"] * 9
    await house.work()
    assert len(house.vendor.calls("POST", "hook.test")) == 1
    [delivery] = await house.rows("deliveries")
    assert delivery["copies"] == 9


async def test_the_same_fact_under_another_delivery_id_makes_no_second_call(house: House) -> None:
    body = house.order_body()
    await asyncio.gather(*(house.shop("orders/paid", body, id_=f"other-{n}") for n in range(10)))
    await house.work()
    assert len(house.vendor.calls("POST", "hook.test")) == 1


async def test_two_accounts_of_one_customer_earn_once(house: House) -> None:
    await house.link("ann", "1")
    await house.link("ann", "2")
    await asyncio.gather(house.follow("1"), house.follow("2"))
    await house.work()
    assert len(await house.forwards()) == 1


async def test_one_account_passed_on_to_another_customer_earns_once(house: House) -> None:
    from bridge.flows import operate

    await house.link("ann", "1")
    await house.follow("1")
    await house.work()
    source = house.bridge.config.sources["twitch"]
    scene = house.bridge.scene("operator:test")
    await house.bridge.db.transact(lambda tx: operate.unlink(tx, source, "1", scene, "sold"))
    await house.link("ben", "1")
    await house.twitch(
        "channel.follow",
        {"user_id": "1", "user_login": "x", "broadcaster_user_id": "1337", "followed_at": "2026-11-20T11:59:59Z"},
    )
    await house.work()
    assert len(house.vendor.calls("POST", "gameball.test")) == 1


async def test_an_order_below_the_condition_earns_nothing_and_says_why(house: House) -> None:
    await house.order(total_price="49.99")
    assert await house.forwards() == []
    [one] = await house.rows("evidence")
    assert "the condition is not met" in one["reason"]


async def test_a_signed_delivery_that_cannot_be_read_is_acknowledged_kept_and_replayed_after_the_fix(
    build_house: Builder,
) -> None:
    from bridge.flows import operate
    from tests.conftest import ORDER_RULE

    async with build_house(ORDER_RULE) as house:
        body = house.order_body()
        del body["total_price"]
        answer = await house.shop("orders/paid", body)
        assert answer.status_code == 200
        [row] = await house.rows("deliveries")
        assert row["state"] == "failed"
        assert json.loads(row["body"])["id"] == 5001
        scene = house.bridge.scene("operator:test")
        done = await house.bridge.db.transact(lambda tx: operate.replay_delivery(tx, row["id"], scene, "fixed"))
        assert not done.done
        assert "failed" in done.said


async def test_every_step_stands_in_the_audit_log(house: House) -> None:
    await house.order()
    await house.work()
    actions = [row["action"] for row in await house.rows("audit")]
    assert actions == ["delivery.stored", "forward.delivered"]
    assert states(await house.forwards()) == ["delivered"]
