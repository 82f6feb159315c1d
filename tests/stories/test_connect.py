"""Ann connects her Twitch account from the shop's page, follows the channel, and is rewarded. Nobody else is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.app import working
from bridge.flows import review
from bridge.store import names
from tests.conftest import FOLLOW_RULE, Builder, House

from .customers import CONNECT, TICKETS, Platform, Visitor, everything, rounds, visiting

SECRETS = ("access-1234", "access2-1234", "refresh-1234", "code-1234", TICKETS["TWITCH_CLIENT_SECRET"])


@asynccontextmanager
async def told(
    build_house: Builder, *rules: str, head: str = CONNECT
) -> AsyncIterator[tuple[House, Platform, Visitor]]:
    opened = build_house(*(rules or (FOLLOW_RULE,)), head=head, variables=TICKETS)
    async with opened as house, visiting(house) as ann:
        yield house, Platform(house.vendor), ann


def rule(**more: str) -> str:
    lines = "".join(f"{name} = {value}\n" for name, value in more.items())
    return FOLLOW_RULE.replace("send =", f"{lines}send =")


async def test_ann_follows_and_is_paid_once(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        query = ann.query()
        page = await ann.page(query=query)
        assert (page["name"], page["customer"], page["grants"]) == (
            "welcome",
            "c***@example.com",
            ["user:read:follows"],
        )
        assert not await house.rows("claims"), "looking at a link has written something"

        address = await ann.begin(query)
        assert address.startswith("https://id.twitch.tv/oauth2/authorize?")
        assert "redirect_uri=https%3A%2F%2Frewards.example.com%2Fconnect%2Ftwitch%2Fcallback" in address
        page = await ann.back(address)
        assert (page["name"], page["handle"], page["page"]) == ("act", "ann", "https://www.twitch.tv/brand")
        assert page["back"] == "https://shop.example.com/points"
        assert not await house.forwards()

        platform.follows.add("1234")
        page = await ann.check()
        assert page["name"] == "verified"
        assert page["rewards"][0]["where"] == "on its way"
        await house.work()
        [forward] = await house.forwards()
        assert forward["state"] == "accepted"
        [claim] = await house.rows("claims")
        assert (claim["state"], claim["about"], claim["evidence"]) == ("verified", "", forward["evidence"])

        await rounds(house)
        assert "access-1234" in platform.revoked
        assert not await house.rows("grants")

        assert (await ann.page(query=query))["name"] == "verified"
        await house.follow()  # the same fact by webhook
        assert len(await house.forwards()) == 1
        whole = await everything(house)
        assert not [one for one in SECRETS if one in whole]
        actions = [row["action"] for row in await house.rows("audit", "object LIKE 'clm_%'")]
        assert actions == ["claim.opened", "claim.started", "claim.connected", "claim.asked", "claim.verified"]


async def test_a_webhook_is_faster_than_the_button(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        asked = platform.asked_about
        house.clock.tick(seconds=5)
        await house.follow()
        assert len(await house.forwards()) == 1
        platform.helix = (500, {})  # and the platform cannot even be asked
        await rounds(house)
        assert platform.asked_about == asked + 1
        assert (await ann.page())["name"] == "verified"
        assert len(await house.forwards()) == 1


async def test_what_was_told_before_the_link_is_credited(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await house.follow()
        assert not await house.forwards()
        platform.helix = lambda asked: (
            (200, {"data": [{"id": "1234", "login": "ann"}]}) if "/users" in asked.path else (503, b"<html>down</html>")
        )
        page = await ann.connect()
        assert page["name"] == "verified"
        assert len(await house.forwards()) == 1


async def test_it_is_asked_again_by_itself(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        await rounds(house)
        assert platform.asked_about == 1
        platform.follows.add("1234")
        house.clock.tick(seconds=11)
        await rounds(house)
        assert (await ann.page())["name"] == "verified"
        assert len(await house.forwards()) == 1


async def test_nobody_is_paid_when_the_time_is_over(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        house.clock.tick(days=8)
        await rounds(house)
        assert (await ann.page())["name"] == "expired"
        house.clock.tick(seconds=1)
        await rounds(house)
        assert platform.revoked
        assert not await house.rows("grants")
        assert not await house.forwards()
        platform.follows.add("1234")
        page = await ann.connect()  # and begins again
        assert page["name"] == "verified"


# --- tickets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        pytest.param(lambda q: q.replace("c-ann", "c-eve"), 403, "forged_ticket", id="another customer"),
        pytest.param(lambda q: q.partition("&sign")[0], 403, "forged_ticket", id="not signed"),
        pytest.param(lambda q: q + "&customer=c-eve", 400, "repeated_field", id="a field twice"),
        pytest.param(lambda q: q + "%00", 403, "forged_ticket", id="a control character in the signature"),
        pytest.param(lambda q: "customer=%ff&" + q, 400, "bad_ticket", id="not UTF-8"),
        pytest.param(lambda q: q + "&x=" + "y" * 9000, 400, "too_long", id="too long"),
        pytest.param(lambda q: "", 403, "forged_ticket", id="nothing at all"),
    ],
)
async def test_a_ticket_that_is_none(build_house: Builder, change: Any, status: int, reason: str) -> None:
    async with told(build_house) as (house, _, ann):
        query = change(ann.query())
        for answer in (await ann.get(query=query), await ann.post(query=query)):
            page = answer.json()
            if not query:
                assert page["reason"] in ("empty_customer", "forged_ticket")
            else:
                assert (answer.status_code, page["name"], page["reason"]) == (status, "stopped", reason)
        assert not await house.rows("claims")
        assert not await house.rows("customers")


async def test_a_ticket_is_over_and_is_for_one_action(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann):
        query, other = ann.query(), ann.query("twitch.subscribe")
        assert (await ann.get(query=other)).json()["reason"] == "forged_ticket"
        house.clock.tick(days=2)
        answer = await ann.post(query=query)
        assert (answer.status_code, answer.json()["reason"]) == (410, "expired_ticket")
        assert not await house.rows("claims")


async def test_where_customers_are_sent_back_to_is_allow_listed(build_house: Builder) -> None:
    async with told(build_house) as (_, __, ann):
        page = await ann.page(query=ann.query(return_to="https://evil.example/"))
        assert page["back"] == ""


async def test_another_sites_page_presses_nothing(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann):
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}, {"origin": "null"}):
            told_apart = {"accept": "application/json", **headers}
            answer = await ann.client.post(f"/connect/twitch/follow?{ann.query()}", headers=told_apart)
            assert (answer.status_code, answer.json()["name"]) == (403, "elsewhere")
        assert not await house.rows("claims")
        ours = {"origin": "https://rewards.example.com", "accept": "application/json"}
        answer = await ann.client.post(f"/connect/twitch/follow?{ann.query()}", headers=ours)
        assert answer.json()["name"] == "leave"


async def test_every_answer_is_kept_by_nobody(build_house: Builder) -> None:
    async with told(build_house) as (_, __, ann):
        for answer in (await ann.get(query=ann.query()), await ann.get(query="x=y"), await ann.post(query=ann.query())):
            assert answer.headers["cache-control"] == "no-store"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["referrer-policy"] == "same-origin"
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-bridge=")
        assert all(word in cookie.lower() for word in ("httponly", "secure", "samesite=lax", "path=/"))


# --- states ---------------------------------------------------------------------------------------------------------


async def test_a_state_works_once_here_and_in_time(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann), visiting(house, "c-eve") as eve:
        platform.follows.add("1234")
        address = await ann.begin()
        assert (await ann.returned(state="made-up", code="code-1234")).json()["reason"] == "state_mismatch"
        assert (await ann.returned(code="code-1234")).json()["reason"] == "state_mismatch"
        assert (await eve.back(address))["reason"] == "state_mismatch"  # without a cookie of ours
        await eve.begin()
        assert (await eve.back(address))["reason"] == "state_mismatch"  # from another browser
        assert (await ann.back(address))["name"] == "verified"
        assert (await ann.back(address))["reason"] == "state_mismatch"  # used
        late = await eve.begin()
        house.clock.tick(minutes=16)
        assert (await eve.back(late))["reason"] == "state_mismatch"
        [forward] = await house.forwards()
        assert "c-ann" in forward["customer"]


async def test_two_tabs_do_not_kill_each_other(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        platform.follows.add("1234")
        first, second = await ann.begin(), await ann.begin()
        assert len(await house.rows("claims")) == 1
        assert (await ann.back(second))["name"] == "verified"
        assert (await ann.back(first))["name"] == "verified"
        assert len(await house.forwards()) == 1
        await rounds(house)
        assert platform.revoked == ["access-1234"]
        assert not await house.rows("grants")


async def test_a_second_browser_joins_the_claim_and_sees_it_after_signing_in(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann), visiting(house) as phone:
        await ann.connect()
        page = await phone.page(query=phone.query())
        assert (page["name"], page["again"], page["number"]) == ("welcome", True, "")
        assert "ann" not in str(page["rewards"])
        platform.follows.add("1234")
        house.clock.tick(minutes=1)
        assert (await phone.connect())["name"] == "verified"
        assert len(await house.rows("claims")) == 1
        assert (await ann.page())["name"] == "verified"


# --- what platforms answer ------------------------------------------------------------------------------------------


async def test_consent_refused(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann):
        page = await ann.back(await ann.begin(), code="", error="access_denied")
        assert (page["name"], page["reason"]) == ("stopped", "consent_denied")
        stopped = [row for row in await house.rows("audit") if row["action"] == "claim.stopped"]
        assert "consent_denied" in stopped[0]["detail"]
        assert (await ann.connect())["name"] == "act"  # and thinks better of it


async def test_less_was_granted_than_is_needed(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        platform.granted, platform.follows = [], {"1234"}
        page = await ann.connect()
        assert (page["reason"], page["missing"]) == ("scopes_missing", ["user:read:follows"])
        assert platform.revoked == ["access-1234"]
        assert not await house.rows("grants")
        assert not await house.rows("links")


@pytest.mark.parametrize(
    ("answer", "name", "reason"),
    [
        pytest.param((200, {"scope": [], "token_type": "bearer"}), "unavailable", "", id="no token in it"),
        pytest.param((200, {"error": "invalid_grant"}), "stopped", "sign_in_refused", id="an error inside 200"),
        pytest.param((200, b"<html>sorry</html>"), "unavailable", "", id="a page"),
        pytest.param((502, b"<html>bad gateway</html>"), "unavailable", "", id="down"),
        pytest.param((429, {}, {"retry-after": "60"}), "unavailable", "", id="a limit"),
        pytest.param((400, {"status": 400, "message": "Invalid code"}), "stopped", "sign_in_refused", id="over"),
        pytest.param((403, {"status": 403, "message": "invalid client secret"}), "unavailable", "", id="our secret"),
    ],
)  # fmt: skip
async def test_no_token_no_reward(build_house: Builder, answer: Any, name: str, reason: str) -> None:
    async with told(build_house) as (house, platform, ann):
        platform.follows.add("1234")
        platform.token = answer
        page = await ann.connect()
        assert page["name"] == name
        assert page.get("reason", "") == reason
        assert not await house.rows("links")
        assert not await house.forwards()


@pytest.mark.parametrize(
    ("answer", "obstacle"),
    [
        pytest.param((401, {"status": 401}), "reconnect", id="revoked"),
        pytest.param((429, {}), "busy", id="a limit"),
        pytest.param((500, {}), "busy", id="down"),
        pytest.param((200, b"<html>maintenance</html>"), "", id="a page"),
        pytest.param((200, {"error": "oops"}), "", id="an error inside 200"),
        pytest.param((404, {}), "", id="404"),
    ],
)
async def test_not_being_able_to_ask_is_never_a_no(build_house: Builder, answer: Any, obstacle: str) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        platform.helix = answer
        page = await ann.check()
        assert (page["name"], page["result"], page["obstacle"]) == ("checking", "unknown", obstacle)
        [claim] = await house.rows("claims")
        assert claim["state"] == "checking"
        assert claim["due_at"] > house.now_ms
        assert not await house.forwards()
        platform.helix, platform.follows = None, {"1234"}
        house.clock.tick(minutes=2)
        assert (await ann.check())["name"] == "verified"


async def test_the_button_has_a_limit(build_house: Builder) -> None:
    async with told(build_house) as (_, platform, ann):
        await ann.connect()
        await ann.check()
        asked = platform.asked_about
        answer = await ann.post("/connect/twitch/follow/check")
        assert (answer.status_code, answer.json()["name"]) == (429, "too_often")
        assert platform.asked_about == asked


async def test_a_token_that_is_over_is_renewed_before_it_is_used(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        house.clock.tick(hours=5)
        platform.follows.add("1234")
        await rounds(house)
        assert (await ann.page())["name"] == "verified"
        tokens = [one.headers["authorization"] for one in house.vendor.asked if "/channels" in one.path]
        assert tokens == ["Bearer access-1234", "Bearer access2-1234"]


# --- whose account --------------------------------------------------------------------------------------------------


async def test_the_wrong_account_can_be_changed_at_once(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        platform.users["77"] = "anns_mother"
        assert (await ann.connect("77"))["handle"] == "anns_mother"
        page = await ann.connect("1234")
        assert (page["name"], page["handle"]) == ("act", "ann")
        platform.follows.add("1234")
        assert (await ann.check())["name"] == "verified"
        async with visiting(house, "c-mum") as mum:  # whose account has earned nothing, and is hers
            assert (await mum.connect("77"))["handle"] == "anns_mother"
            owners = {row["account"]: row["customer"] for row in await house.rows("links")}
            assert owners == {"1234": "c-ann", "77": "c-mum"}


async def test_an_account_that_has_earned_stays_whose_it_is(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann), visiting(house, "c-eve") as eve:
        platform.follows.add("1234")
        await ann.connect()
        await house.work()
        page = await eve.connect("1234")
        assert (page["name"], page["until"]) == ("taken", None)
        answer = await ann.post("/connect/twitch/follow/unlink")
        assert answer.json()["name"] == "unlinked"
        page = await eve.connect("1234")
        assert (page["name"], page["until"]) == ("taken", "2026-12-20T12:00:00Z")
        house.clock.tick(days=31)
        platform.followed_at = "2026-12-21T12:00:00Z"
        page = await eve.connect("1234")
        assert (page["name"], page["rewards"][0]["where"]) == ("verified", "not owed")
        assert len(await house.forwards()) == 1  # and an account earns once, whoever has it


async def test_only_the_browser_that_signed_in_lets_go(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann), visiting(house) as other:
        await ann.connect()
        await other.begin()
        assert (await other.post("/connect/twitch/follow/unlink")).json()["reason"] == "state_mismatch"
        assert len(await house.rows("links")) == 1


# --- terms ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_webhook", [False, True], ids=["asked", "told before"])
async def test_who_had_followed_before_earns_nothing_where_the_rule_says_so(
    build_house: Builder, by_webhook: bool
) -> None:
    async with told(build_house, rule(already='"skip"')) as (house, platform, ann):
        if by_webhook:
            await house.follow()
        house.clock.tick(minutes=10)
        platform.follows, platform.followed_at = {"1234"}, "2026-11-20T12:00:00Z"
        page = await ann.connect()
        assert page["name"] == "already"
        assert not await house.forwards()
        async with visiting(house, "c-bob") as bob:
            platform.users["5"] = "bob"
            assert (await bob.connect("5"))["name"] == "act"
            platform.follows.add("5")
            platform.followed_at = house.clock.now.isoformat()
            assert (await bob.check())["name"] == "verified"
            assert len(await house.forwards()) == 1


async def test_an_account_that_is_too_young(build_house: Builder) -> None:
    async with told(build_house, rule(min_account_age='"30 days"')) as (house, platform, ann):
        platform.follows, platform.created_at = {"1234"}, "2026-11-19T00:00:00Z"
        page = await ann.connect()
        assert (page["name"], page["rewards"][0]["where"]) == ("verified", "not owed")
        await house.follow()
        assert not await house.forwards()


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("by_webhook", [False, True], ids=["asked", "told"])
async def test_a_person_looks_first(build_house: Builder, approved: bool, by_webhook: bool) -> None:
    async with told(build_house, rule(review='"always"')) as (house, platform, ann):
        if by_webhook:
            await ann.connect()
            house.clock.tick(seconds=20)
            await house.follow()
            await rounds(house)
            page = await ann.page()
        else:
            platform.follows.add("1234")
            page = await ann.connect()
        assert (page["name"], page["rewards"][0]["where"]) == ("review", "the shop is looking at it")
        await house.sweep()
        assert not await house.forwards()
        [claim] = await house.rows("claims")
        scene = house.bridge.scene("operator:test")
        verb = review.approve if approved else review.refuse
        done = await house.bridge.db.transact(lambda tx: verb(tx, claim["id"], scene, "looked at"))
        assert done.done
        await house.follow()
        await house.sweep()
        assert len(await house.forwards()) == (1 if approved else 0)
        assert (await ann.page())["name"] == ("verified" if approved else "rejected")
        again = await house.bridge.db.transact(lambda tx: verb(tx, claim["id"], scene, "again"))
        assert not again.done


async def test_too_fast_to_be_true(build_house: Builder) -> None:
    head = CONNECT.replace("[signing]", '[connect]\ntoo_fast = "1 minute"\n[signing]')
    async with told(build_house, head=head) as (house, platform, ann):
        await ann.connect()
        platform.follows.add("1234")
        assert (await ann.check())["name"] == "review"
        assert not await house.forwards()


# --- wait -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("still", [True, False])
async def test_a_reward_that_waits_is_asked_about_with_what_was_granted(build_house: Builder, still: bool) -> None:
    async with told(build_house, rule(wait='"24 hours"')) as (house, platform, ann):
        platform.follows.add("1234")
        page = await ann.connect()
        assert (page["kept"], page["rewards"][0]["where"]) == ("until the wait ends", "waiting")
        await rounds(house)
        assert len(await house.rows("grants")) == 1
        house.clock.tick(hours=25)
        if not still:
            platform.follows.clear()
        await house.work()
        assert (await house.forward())["state"] == ("accepted" if still else "cancelled")
        house.clock.tick(seconds=1)
        await rounds(house)
        house.clock.tick(seconds=1)
        await rounds(house)
        assert not await house.rows("grants")
        assert platform.revoked


# --- what is noted, and what is shown -------------------------------------------------------------------------------


async def test_every_way_that_ends_is_noted(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.get(query=ann.query().replace("c-ann", "c-eve"))
        await ann.returned(state="made-up")
        platform.token = (503, b"")
        await ann.connect()
        await house.bridge.chores.flush()
        refused = {(row["reason"], row["path"]) for row in await house.rows("rejections")}
        assert refused == {
            ("forged_ticket", "/connect/twitch/follow"),
            ("state_mismatch", "/connect/twitch/callback"),
        }
        stopped = [row["detail"] for row in await house.rows("audit") if row["action"] == "claim.stopped"]
        assert stopped == ['{"reason":"unavailable"}']
        metrics = (await house.client.get("/metrics")).text
        assert 'bridge_stopped_total{reason="forged_ticket",source="twitch"} 1.0' in metrics
        assert "c-eve" not in str(await house.rows("rejections"))


async def test_a_platform_that_refuses_us_is_told_to_the_operator(build_house: Builder) -> None:
    head = CONNECT.replace("[source.shop]", 'broadcaster_token = "env:BRAND"\n[source.shop]', 1)
    opened = build_house(FOLLOW_RULE, head=head, variables={**TICKETS, "BRAND": "brands"})
    async with opened as house, visiting(house) as ann:
        platform = Platform(house.vendor, granted=[])
        platform.helix = lambda asked: (
            (200, {"data": [{"id": "1234", "login": "ann"}]}) if "/users" in asked.path else (401, {"status": 401})
        )
        page = await ann.connect()
        assert (page["name"], page["obstacle"]) == ("checking", "brand")
        await house.sweep()
        assert [row["name"] for row in await house.rows("alerts")] == ["asking twitch.follow"]


async def test_a_flood_of_starts_is_held_up(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann):
        answers = [await ann.post(query=ann.query()) for _ in range(15)]
        assert [one.json()["name"] for one in answers] == ["leave"] * 12 + ["too_often"] * 3
        assert answers[-1].status_code == 429
        assert len(await house.rows("sign_ins")) == 12


async def test_many_accounts_of_one_customer_are_looked_at(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        for number in range(5, 9):
            platform.users[str(number)] = f"user{number}"
            house.clock.tick(minutes=20)
            await ann.connect(str(number))
        assert [row["doubt"] for row in await house.rows("links")] == ["", "", "", "many accounts of one customer"]
        await house.follow("8")
        assert not await house.forwards()
        await house.follow("7")
        assert len(await house.forwards()) == 1


async def test_what_the_target_gave_is_for_the_verified_customers_own_browser(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann), visiting(house) as other:
        platform.follows.add("1234")
        page = await ann.connect()
        await house.work()
        forward = await house.forward()
        sealed = house.bridge.vault.seal({"winCode": "PRIZE-77"})
        row = {"forward": forward["id"], "sealed": sealed, "at": house.now_ms}
        await house.bridge.db.transact(lambda tx: names.show(tx, [row]))
        page = await ann.page()
        assert page["rewards"][0]["shown"] == {"winCode": "PRIZE-77"}
        assert "PRIZE" not in (await other.get(query=other.query())).text
        await other.begin()  # bound, and nobody has signed in there
        assert (await other.page())["name"] == "verified"
        assert "PRIZE" not in (await other.get()).text


async def test_nothing_secret_is_logged(build_house: Builder, caplog: Any, capsys: pytest.CaptureFixture[str]) -> None:
    async with told(build_house) as (_, platform, ann):
        address = await ann.begin()
        await ann.back(address)
        platform.helix = (401, {"message": "access-1234 is over"})
        await ann.check()
        await ann.returned(state="x" * 20, code="code-1234")
        logged = "".join(capsys.readouterr()) + caplog.text
        assert "state_mismatch" in logged
        assert not [one for one in (*SECRETS, "sign=", "c-ann@") if one in logged]


async def test_a_question_that_came_by_webhook_is_never_lost(build_house: Builder) -> None:
    async with told(build_house, rule(review='"always"')) as (house, _, ann):
        await ann.begin()  # and never signs in; the shop has linked the account itself
        await house.link("c-ann", "1234")
        await house.follow()
        assert not await house.forwards()
        house.clock.tick(days=8)
        await rounds(house)
        [claim] = await house.rows("claims")
        assert (claim["state"], claim["account"]) == ("review", "1234")
        scene = house.bridge.scene("operator:test")
        await house.bridge.db.transact(lambda tx: review.approve(tx, claim["id"], scene, "looked at"))
        assert len(await house.forwards()) == 1


async def test_what_advertisers_add_to_an_address_changes_nothing(build_house: Builder) -> None:
    async with told(build_house) as (_, __, ann):
        await ann.connect()
        assert (await ann.page(query="utm_source=mail"))["name"] == "act"
        assert (await ann.page(query=ann.query() + "&utm_source=mail"))["name"] == "act"


async def test_a_running_worker_looks_after_claims(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        platform.follows.add("1234")
        house.clock.tick(minutes=1)
        async with working(house.bridge), asyncio.timeout(20):
            while not await house.rows("forwards", "state = 'accepted'") or await house.rows("grants"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert platform.revoked == ["access-1234"]


async def test_a_platform_that_hangs_holds_up_nothing_else(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        await ann.connect()
        hangs, hanging = asyncio.Event(), asyncio.Event()

        async def hang() -> Any:
            hanging.set()
            await hangs.wait()
            return 503, {}

        platform.helix = lambda asked: hang()
        house.clock.tick(minutes=1)
        asking = asyncio.create_task(rounds(house))
        await hanging.wait()
        assert (await ann.page())["name"] == "act"  # pages answer meanwhile
        await house.follow()  # and webhooks
        assert len(await house.forwards()) == 1
        hangs.set()
        await asking
        assert (await ann.page())["name"] == "verified"  # by what was heard, though the platform could not be asked
