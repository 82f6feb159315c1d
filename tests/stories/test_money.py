"""What makes one fact pay exactly once: what is owed, and what is taken back."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest

from bridge.flows import operate
from bridge.kit import ConfigError, Conflict
from bridge.store.rows import when
from providers import TARGETS
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, Builder, House, states

CHEER_RULE = """
[[rule]]
id = "cheer"
when = "twitch.cheer"
i_accept_the_platform_policy = true
limit = "{limit}"
send = {{ to = "hook", event = "cheer" }}
"""

WAIT_RULE = """
[[rule]]
id = "big-order"
when = "shop.order_paid"
where = "total >= 50.0"
limit = "per subject"
wait = "14 days"
send = { to = "hook", event = "order", data = { total = "=total" } }
"""


async def cheer(house: House, account: str = "1234") -> None:
    event = {
        "user_id": account,
        "user_login": "ann",
        "user_name": "Ann",
        "broadcaster_user_id": "1337",
        "bits": 100,
        "message": "hi",
        "is_anonymous": False,
    }
    answer = await house.twitch("channel.cheer", event)
    assert answer.status_code == 200, answer.text


# 1. Keys


async def test_1_two_sends_of_a_rule_are_owed_each_once(build_house: Builder) -> None:
    rule = """
[[rule]]
id = "order"
when = "shop.order_paid"
[[rule.send]]
to = "hook"
id = "first"
event = "one"
[[rule.send]]
to = "hook"
id = "second"
event = "two"
"""
    async with build_house(rule) as house:
        await house.order()
        await house.order(5002)
        await house.work()
        assert sorted(call.json["type"] for call in house.vendor.calls("POST", "hook.test")) == ["one", "two"]


async def test_1_two_sends_to_one_target_need_ids_of_their_own(build_house: Builder) -> None:
    rule = """
[[rule]]
id = "order"
when = "shop.order_paid"
[[rule.send]]
to = "hook"
event = "one"
[[rule.send]]
to = "hook"
event = "two"
"""
    with pytest.raises(ConfigError, match="give each an id of its own"):
        async with build_house(rule):
            pass


async def test_1_three_per_week_pays_three_and_the_fourth_not(build_house: Builder) -> None:
    async with build_house(CHEER_RULE.format(limit="3 per week")) as house:
        await house.link("ann", "1234")
        for _ in range(5):
            await cheer(house)
        rows = await house.forwards()
        assert [row["bucket"] for row in rows] == ["2026-W47#1", "2026-W47#2", "2026-W47#3"]
        house.clock.tick(days=7)
        await cheer(house)
        assert (await house.forwards())[-1]["bucket"] == "2026-W48#1"


async def test_1_five_cheers_at_once_fill_three_slots(build_house: Builder) -> None:
    async with build_house(CHEER_RULE.format(limit="3 per week")) as house:
        await house.link("ann", "1234")
        await asyncio.gather(*(cheer(house) for _ in range(5)))
        assert len(await house.forwards()) == 3


async def test_1_a_bucket_withdrawn_before_it_left_is_free_again(house: House) -> None:
    await house.bridge.db.transact(
        lambda tx: operate.pause(tx, "hook", house.bridge.scene("operator:test"), "maintenance")
    )
    rule = house.bridge.config.rule("order")
    assert rule is not None
    await house.order()
    await house.cancel_order()
    assert states(await house.forwards()) == ["cancelled"]


async def test_1_a_forward_that_left_keeps_its_bucket_even_when_cancelled(build_house: Builder) -> None:
    rule = ORDER_RULE.replace('limit = "per subject"', 'limit = "once"')
    async with build_house(rule) as house:
        house.vendor.always("POST", "hook.test", (422, {}))
        await house.order()
        await house.work()
        row = await house.forward()
        assert row["state"] == "failed"
        assert row["sent"] == 1
        scene = house.bridge.scene("operator:test")
        await house.bridge.db.transact(lambda tx: operate.cancel(tx, row["id"], scene, "test"))
        await house.order(5002)
        assert len(await house.forwards()) == 1


# 2. Buckets


async def test_2_the_day_is_the_merchants(build_house: Builder) -> None:
    head = HEAD.replace("allow_private", 'timezone = "Asia/Tokyo"\nallow_private', 1)
    async with build_house(CHEER_RULE.format(limit="daily"), head=head) as house:
        await house.link("ann", "1234")
        house.clock.now = house.clock.now.replace(hour=14, minute=59)  # 23:59 in Tokyo
        await cheer(house)
        house.clock.tick(minutes=2)
        await cheer(house)
        assert [row["bucket"] for row in await house.forwards()] == ["2026-11-20", "2026-11-21"]


async def test_2_a_time_in_the_future_is_clamped_to_when_we_heard_of_it(house: House) -> None:
    at = house.clock.now
    await house.order(processed_at=(at + timedelta(days=400)).isoformat())
    [row] = await house.rows("evidence")
    assert when(row["occurred_at"]) == at


# 3. What is owed is fixed


async def test_3_a_changed_rule_does_not_change_what_is_owed(build_house: Builder) -> None:
    async with build_house(WAIT_RULE) as house:
        await house.order(total_price="60.00")
    async with build_house(WAIT_RULE.replace("50.0", "500.0")) as house:
        house.clock.tick(days=15)
        await house.work()
        assert states(await house.forwards()) == ["delivered"]


async def test_3_renaming_a_rule_pays_nobody_twice(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        await house.link("ann", "1234")
        await house.link("ann", "99")
        await house.follow()
        await house.work()
    renamed = FOLLOW_RULE.replace('id = "follow"', 'id = "welcome"\nwas = "follow"')
    async with build_house(renamed) as house:
        await house.follow("99")
        await house.work()
        assert len(house.vendor.calls("POST", "gameball.test")) == 1


async def test_3_a_rule_that_has_paid_and_disappears_stops_the_start(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        await house.link("ann", "1234")
        await house.follow()
        await house.work()
    with pytest.raises(ConfigError, match='say was = "follow"'):
        async with build_house(FOLLOW_RULE.replace('id = "follow"', 'id = "welcome"')):
            pass


async def test_3_a_renamed_source_keeps_its_ledger(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        await house.order()
        await house.work()
    head = HEAD.replace("[source.shop]", '[source.webshop]\nwas = "shop"')
    async with build_house(ORDER_RULE.replace("shop.order_paid", "webshop.order_paid"), head=head) as house:
        await house.shop("orders/paid", house.order_body(), source="webshop")
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1
    with pytest.raises(ConfigError, match='was = "shop"'):
        async with build_house(
            ORDER_RULE.replace("shop.order_paid", "webshop.order_paid"),
            head=HEAD.replace("[source.shop]", "[source.webshop]"),
        ):
            pass


# 4. Undone


@pytest.mark.parametrize("order", ["paid first", "cancelled first", "cancelled twice", "paid twice"])
async def test_4_a_cancelled_order_pays_nothing_whichever_came_first(build_house: Builder, order: str) -> None:
    async with build_house(WAIT_RULE) as house:
        steps = {
            "paid first": ["paid", "cancelled"],
            "cancelled first": ["cancelled", "paid"],
            "cancelled twice": ["cancelled", "paid", "cancelled"],
            "paid twice": ["paid", "cancelled", "paid"],
        }[order]
        body = house.order_body()
        for step in steps:
            house.clock.tick(minutes=1)
            if step == "paid":
                await house.shop("orders/paid", body)
            else:
                await house.cancel_order()
        house.clock.tick(days=15)
        await house.work()
        assert house.vendor.calls("POST", "hook.test") == []
        assert set(states(await house.forwards())) <= {"cancelled"}


@pytest.mark.parametrize("moment", ["before the payment", "before wait ends", "twice", "as wait ends"])
async def test_4_a_refund_around_wait_ends_in_the_same_result(build_house: Builder, moment: str) -> None:
    """Of 60 with 20 refunded 40 are left, and the rule wants 50: whenever the refund comes, nothing is paid."""
    async with build_house(WAIT_RULE) as house:
        body = house.order_body()
        if moment == "before the payment":
            await house.refund(refund=1)
        await house.shop("orders/paid", body)
        if moment != "before the payment":
            house.clock.tick(days=1)
            await house.refund(refund=1)
        if moment == "twice":
            await house.refund(refund=1)
        house.clock.tick(days=15)
        await house.work()
        assert house.vendor.calls("POST", "hook.test") == []


async def test_4_what_is_left_after_refunds_is_what_is_sent(build_house: Builder) -> None:
    async with build_house(WAIT_RULE) as house:
        await house.order(total_price="300.00")
        await house.refund(amount="200.00", refund=1)
        await house.refund(amount="30.00", refund=2)
        await house.refund(amount="30.00", refund=2)
        house.clock.tick(days=15)
        await house.work()
        [call] = house.vendor.calls("POST", "hook.test")
        assert call.json["data"]["total"] == 70.0


async def test_4_a_whole_refund_withdraws_even_where_the_rule_has_no_condition(build_house: Builder) -> None:
    async with build_house(WAIT_RULE.replace('where = "total >= 50.0"\n', "")) as house:
        await house.order()
        await house.refund(amount="60.00")
        assert states(await house.forwards()) == ["cancelled"]


async def test_4_what_was_undone_after_it_was_delivered_and_cannot_be_taken_back_is_a_persons(
    build_house: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS, "gameball", replace(TARGETS["gameball"], undo=None))  # a target that cannot
    rule = ORDER_RULE.replace(
        'to = "hook", event = "order", data = { total = "=total" }', 'to = "gameball", challenge_id = 7'
    )
    async with build_house(rule) as house:
        for count in (0, 1):
            progress = {"rewardsCampaignId": 7, "achievedCount": count, "canAchieve": count == 0}
            house.vendor.always("GET", "gameball.test", (200, [progress]))
            await house.order()
            await house.work()
            house.clock.tick(minutes=5)
        await house.cancel_order()
        row = await house.forward()
        assert (row["state"], row["wish"]) == ("delivered", "undo")
        assert "take it back by hand" in row["reason"]
        await house.operate_on(operate.confirm, row, "took 60 points back")
        assert (await house.forward())["wish"] == ""


async def test_18_a_claw_back_is_a_forward_of_its_own_where_the_target_can(house: House) -> None:
    await house.order()
    await house.work()
    house.clock.tick(days=1)
    await house.cancel_order()
    await house.cancel_order()
    await house.work()
    reward, undo = await house.forwards()
    assert (reward["kind"], undo["kind"], undo["undoes"]) == ("reward", "undo", reward["id"])
    assert f"taken back by {undo['id']}" in reward["reason"]
    calls = house.vendor.calls("POST", "hook.test")
    assert [call.json["type"] for call in calls] == ["order", "order.undone"]
    assert calls[1].headers["webhook-id"] == undo["id"]


# 5. Known evidence is considered again


async def test_5_replaying_a_delivery_a_hundred_times_owes_nothing_new(house: House) -> None:
    await house.order()
    await house.work()
    [delivery] = await house.rows("deliveries")
    for _ in range(100):
        scene = house.bridge.scene("operator:test")
        await house.bridge.db.transact(
            lambda tx, scene=scene: operate.replay_delivery(tx, delivery["id"], scene, "again")
        )
    await house.work()
    assert len(house.vendor.calls("POST", "hook.test")) == 1


async def test_5_a_new_rule_over_old_evidence_owes_once(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        await house.order()
        assert await house.forwards() == []
    async with build_house(FOLLOW_RULE, ORDER_RULE) as house:
        rows = await house.rows("evidence")
        rule = house.bridge.config.rule("order")
        for _ in range(2):
            scene = house.bridge.scene("operator:test")
            await house.bridge.db.transact(lambda tx, scene=scene: operate.reconsider(tx, rows, scene, rule=rule))
        assert len(await house.forwards()) == 1


# 6. Persons


SAME = HEAD.replace("[source.twitch]", '[customers]\nsame_when = ["email"]\n[source.twitch]', 1)
ONCE = ORDER_RULE.replace('limit = "per subject"', 'limit = "once"')


async def test_6_two_customers_with_one_verified_email_are_one_person(build_house: Builder) -> None:
    async with build_house(ONCE, head=SAME) as house:
        await house.order(1, customer={"id": 1, "email": "ann@example.com", "verified_email": True})
        await house.order(2, customer={"id": 2, "email": "Ann@Example.com", "verified_email": True})
        assert len(await house.forwards()) == 1


async def test_6_an_email_that_a_buyer_typed_joins_nobody(build_house: Builder) -> None:
    async with build_house(ONCE, head=SAME) as house:
        await house.order(1, customer={"id": 1, "email": "ann@example.com", "verified_email": True})
        await house.order(2, customer={"id": 2, "email": "ann@example.com", "verified_email": False})
        assert len(await house.forwards()) == 2


async def test_6_customers_joined_after_one_was_paid_are_not_paid_again(build_house: Builder) -> None:
    """Ben is paid while he is nobody's double; then his e-mail shows that he is Ann, who is older."""
    async with build_house(ONCE, head=SAME) as house:
        await house.shop("customers/create", {"id": 1, "email": "a@example.com", "verified_email": True,
                                              "created_at": house.clock.now.isoformat()})  # fmt: skip
        house.clock.tick(minutes=1)
        await house.order(2, customer={"id": 2, "email": None, "verified_email": False})
        assert [row["person"] for row in await house.forwards()] == ["2"]
        await house.shop("customers/update", {"id": 2, "email": "a@example.com", "verified_email": True,
                                              "created_at": house.clock.now.isoformat()})  # fmt: skip
        assert {row["person"] for row in await house.rows("customers")} == {"1"}
        await house.order(3, customer={"id": 1, "email": "a@example.com", "verified_email": True})
        await house.order(4, customer={"id": 2, "email": "a@example.com", "verified_email": True})
        assert len(await house.forwards()) == 1
        assert (await house.forward())["person"] == "2"  # later joins change no stored forward


async def test_6_two_shops_that_number_their_customers_need_prefixes(build_house: Builder) -> None:
    second = '[source.shop_de]\nprovider = "shopify"\nwebhook_secret = "env:SHOP_SECRET"\n'
    with pytest.raises(ConfigError, match="customer_prefix"):
        async with build_house(head=HEAD + second):
            pass
    async with build_house(
        ORDER_RULE.replace('"shop.order_paid"', '["shop.order_paid", "shop_de.order_paid"]'),
        head=HEAD + second + 'customer_prefix = "de-"\n',
    ) as house:
        await house.order(1)
        await house.shop("orders/paid", house.order_body(1), source="shop_de")
        assert sorted(json.loads(row["customer"])["id"] for row in await house.forwards()) == ["77", "de-77"]


# 7. wait


WAIT_FOLLOW = FOLLOW_RULE.replace("send =", 'wait = "24 hours"\nsend =')
TOKEN = HEAD.replace('channel_id = "1337"', 'channel_id = "1337"\nclient_id = "cid"\nbroadcaster_token = "env:TOKEN"')


async def test_7_wait_on_a_follow_needs_the_brands_token(build_house: Builder) -> None:
    with pytest.raises(ConfigError, match="broadcaster_token"):
        async with build_house(WAIT_FOLLOW):
            pass


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((200, {"total": 3, "data": [{"user_id": "1234", "followed_at": "2026-11-20T12:00:00Z"}]}), "accepted"),
        (
            lambda asked: (200, {"total": 3, "data": [] if "user_id=" in asked.path else [{"user_id": "9"}]}),
            "cancelled",
        ),
        ((200, {"total": 3, "data": []}), "pending"),
        ((401, {"error": "Unauthorized"}), "pending"),
        ((500, {}), "pending"),
        ((200, b"<html>maintenance</html>"), "pending"),
        (httpx2.ReadTimeout("slow"), "pending"),
    ],
    ids=[
        "still follows",
        "has unfollowed",
        "token may not see followers",
        "token dead",
        "platform down",
        "html",
        "no answer",
    ],
)
async def test_7_when_wait_ends_the_source_is_asked_again(build_house: Builder, answer: object, state: str) -> None:
    async with build_house(WAIT_FOLLOW, head=TOKEN, variables={"TOKEN": "brand-token"}) as house:
        house.vendor.always("GET", "api.twitch.tv", answer)
        await house.link("ann", "1234")
        await house.follow()
        assert await house.work() == 0
        house.clock.tick(hours=25)
        await house.work()
        row = await house.forward()
        assert row["state"] == state, row["reason"]
        assert len(house.vendor.calls("POST", "gameball.test")) == (state == "accepted")


async def test_7_a_source_that_cannot_answer_for_three_days_leaves_it_to_a_person(build_house: Builder) -> None:
    async with build_house(WAIT_FOLLOW, head=TOKEN, variables={"TOKEN": "brand-token"}) as house:
        house.vendor.always("GET", "api.twitch.tv", (500, {}))
        await house.link("ann", "1234")
        await house.follow()
        house.clock.tick(hours=24)
        for _ in range(80):
            await house.work()
            house.clock.tick(hours=1)
        row = await house.forward()
        assert row["state"] == "held"
        assert "three days" in row["reason"]


# 20. Operators


async def test_20_a_second_grant_is_refused_without_again(house: House) -> None:
    await house.link("ann", "1234")
    rule = house.bridge.config.rule("follow")
    assert rule is not None

    async def grant(again: bool = False) -> str:
        scene = house.bridge.scene("operator:test")
        return await house.bridge.db.transact(lambda tx: operate.grant(tx, rule, "ann", scene, "sorry", again=again))

    await grant()
    with pytest.raises(Conflict, match="--again"):
        await grant()
    await grant(again=True)
    await grant(again=True)
    assert len(await house.forwards()) == 3
    await house.follow()
    assert len(await house.forwards()) == 3  # the goodwill has filled the bucket


async def test_20_unlink_withdraws_what_is_pending_of_the_account(house: House) -> None:
    await house.link("ann", "1234")
    scene = house.bridge.scene("operator:test")
    await house.bridge.db.transact(lambda tx: operate.pause(tx, "gameball", scene, "x"))
    await house.follow()
    await house.bridge.db.transact(
        lambda tx: operate.unlink(tx, house.bridge.config.sources["twitch"], "1234", scene, "wrong account")
    )
    assert states(await house.forwards()) == ["cancelled"]


# 34. A customer the directory does not know


async def test_34_a_customer_whose_email_nobody_knows_waits_until_somebody_says_it(build_house: Builder) -> None:
    head = HEAD.replace("[source.twitch]", '[customers]\nkey = "email"\n[source.twitch]', 1)
    head = head.replace("[target.gameball]", "[target.unused]\nprovider = \"webhook\"\nurl = \"https://hook.test/x\"\n"
                        "secret = \"env:WEBHOOK_SECRET\"\n[source.unused]\nprovider = \"twitch\"\n"
                        "webhook_secret = \"env:TWITCH_SECRET\"\n[target.gameball]")  # fmt: skip
    head = head[: head.index("[target.gameball]")] + head[head.index("[target.hook]") :]
    async with build_house(ORDER_RULE, head=head) as house:
        await house.order(1, customer={"id": 1, "email": None, "verified_email": False})
        [one] = await house.rows("evidence")
        assert one["state"] == "waiting"
        assert "email" in one["reason"]
        house.clock.tick(minutes=1)
        await house.shop("customers/update", {"id": 1, "email": "ann@example.com", "verified_email": True,
                                              "created_at": house.clock.now.isoformat()})  # fmt: skip
        await house.sweep()
        assert states(await house.forwards()) == ["pending"]


# 26. Delivery dedup


async def test_26_two_orders_that_share_an_unsigned_delivery_id_are_both_kept(house: House) -> None:
    first = await house.shop("orders/paid", house.order_body(1), id_="same")
    second = await house.shop("orders/paid", house.order_body(2), id_="same")
    assert [first.json()["status"], second.json()["status"]] == ["accepted", "accepted"]
    assert len(await house.forwards()) == 2


async def test_26_a_signed_delivery_id_is_enough(house: House) -> None:
    first = await house.follow("1", message="m1")
    second = await house.follow("1", message="m1")
    assert [first.json()["status"], second.json()["status"]] == ["accepted", "duplicate"]


# 32. Link and ingest can miss each other


async def test_32_what_waits_although_its_account_is_linked_is_swept_up(house: House) -> None:
    """On an engine with many writers a link and the evidence it should free can commit side by side."""
    await house.follow("1234")
    await house.bridge.db.transact(
        lambda tx: tx.run(
            "INSERT INTO links (id, source, account, customer, how, linked_at, at) "
            "VALUES ('lnk_1', 'twitch', '1234', 'ann', 'elsewhere', 0, 0)"
        )
    )
    await house.bridge.db.transact(lambda tx: tx.run("INSERT INTO customers (id, person, at) VALUES ('ann', 'ann', 0)"))
    assert await house.forwards() == []
    await house.sweep()
    assert states(await house.forwards()) == ["pending"]


# 33. Another process' writes


async def test_33_what_the_command_line_writes_reaches_a_running_worker_within_a_second_or_so(
    build_house: Builder,
) -> None:
    async with build_house(ORDER_RULE) as house, build_house(ORDER_RULE) as elsewhere:
        scene = elsewhere.bridge.scene("operator:test")
        await elsewhere.bridge.db.transact(lambda tx: operate.pause(tx, "hook", scene, "maintenance"))
        await house.order()
        worker = asyncio.create_task(house.bridge.worker.run())
        try:
            await asyncio.sleep(0.2)
            assert states(await house.forwards()) == ["pending"]
            await elsewhere.bridge.db.transact(lambda tx: operate.resume(tx, "hook", scene, "done"))
            async with asyncio.timeout(5):
                while states(await house.forwards()) != ["delivered"]:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            house.bridge.worker.stop()
            await worker


# 34. Without [signing]


async def test_34_without_signing_the_extra_headers_are_off_and_check_says_so(build_house: Builder) -> None:
    head = HEAD.replace('[signing]\nsecret = ["env:SIGNING_SECRET"]\n', "")
    async with build_house(FOLLOW_RULE, head=head) as house:
        await house.link("ann", "1234")
        await house.follow()
        await house.work()
        [call] = house.vendor.calls("POST", "gameball.test")
        assert not [name for name in call.headers if name.startswith("webhook-")]
        assert any("there is no [signing]" in one for one in house.bridge.config.warnings)


async def test_14_a_target_that_knows_a_repeat_by_its_signed_headers_keeps_them(build_house: Builder) -> None:
    head = HEAD.replace('secret = "env:WEBHOOK_SECRET"', 'secret = "env:WEBHOOK_SECRET"\nsigned_headers = false')
    with pytest.raises(ConfigError, match="a repeat would count twice"):
        async with build_house(head=head):
            pass
