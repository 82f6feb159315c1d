"""The webhook target: what a receiver is told, and what its answers mean for us."""

from __future__ import annotations

import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.flows import operate
from bridge.kit import Attempt, Customer, Forward, Kind, Request, Response, Verdict
from providers.loyalty.webhook import target
from tests.conftest import HEAD, ORDER_RULE, SECRETS, Asked, Builder, states

from .playing import play

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = {"url": "https://loyalty.example.com/hooks", "secret": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)}
FORWARD = Forward(
    id="fwd_1",
    rule="big-order",
    send="webhook",
    target="webhook",
    customer=Customer(id="115", email="ann@example.com"),
    options={"event": "points.earned", "data": {"points": 60.0}},
    source="shop_de",
    action="order_paid",
    subject="820982911946154508",
    account="115",
    facts={"total": 60.0, "currency": "EUR", "discount_codes": ["WELCOME"]},
    occurred_at=NOW,
    created_at=NOW + timedelta(days=14),
)


def sent(forward: Forward = FORWARD) -> Request:
    outcome, asked = play(target.send(forward, SETTINGS), Response(204))
    assert outcome.verdict is Verdict.DONE
    return asked[0]


def test_the_receiver_is_told_what_it_needs() -> None:
    request = sent()
    assert (request.method, request.url) == ("POST", "https://loyalty.example.com/hooks")
    assert json.loads(request.body()[0]) == {
        "type": "points.earned",
        "timestamp": "2026-11-20T12:00:00Z",
        "data": {
            "id": "fwd_1",
            "rule": "big-order",
            "customer": {"id": "115", "email": "ann@example.com"},
            "source": "shop_de",
            "action": "order_paid",
            "account": "115",
            "subject": "820982911946154508",
            "occurred_at": "2026-11-20T12:00:00Z",
            "facts": {"total": 60.0, "currency": "EUR", "discount_codes": ["WELCOME"]},
            "points": 60.0,
        },
    }


def test_every_attempt_sends_the_same_bytes() -> None:
    later = replace(FORWARD, tries=4, attempts=5, lease=9, reason="answered 500")
    assert sent(later).body() == sent().body()


def test_without_an_event_source_and_action_name_it() -> None:
    assert sent(replace(FORWARD, options={})).json["type"] == "shop_de.order_paid"


def test_data_may_replace_what_is_told_by_itself() -> None:
    body = sent(replace(FORWARD, options={"data": {"customer": "115", "facts": {}}})).json["data"]
    assert (body["customer"], body["facts"], body["id"]) == ("115", {}, "fwd_1")


def test_times_are_told_as_iso_8601_however_deep() -> None:
    facts = {"at": NOW, "deep": {"list": [NOW, {"at": NOW}]}}
    body = json.loads(sent(replace(FORWARD, facts=facts, options={})).body()[0])
    assert body["data"]["facts"] == {
        "at": "2026-11-20T12:00:00Z",
        "deep": {"list": ["2026-11-20T12:00:00Z", {"at": "2026-11-20T12:00:00Z"}]},
    }


def test_taking_back_is_another_type_so_that_nobody_pays_twice() -> None:
    assert target.undo is not None
    undo = replace(FORWARD, id="fwd_2", kind=Kind.UNDO, undoes="fwd_1")
    _, asked = play(target.undo(undo, SETTINGS), Response(200))
    assert asked[0].json["type"] == "points.earned.undone"
    assert asked[0].json["data"]["id"] == "fwd_2"
    assert asked[0].json["data"]["undoes"] == "fwd_1"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DONE),
        (201, Verdict.DONE),
        (202, Verdict.DONE),
        (204, Verdict.DONE),
        (301, Verdict.MISCONFIGURED),
        (302, Verdict.MISCONFIGURED),
        (304, Verdict.MISCONFIGURED),
        (307, Verdict.MISCONFIGURED),
        (400, Verdict.REFUSED),
        (401, Verdict.MISCONFIGURED),
        (403, Verdict.MISCONFIGURED),
        (404, Verdict.REFUSED),
        (405, Verdict.REFUSED),
        (407, Verdict.MISCONFIGURED),
        (408, Verdict.LATER),
        (409, Verdict.REFUSED),
        (410, Verdict.MISCONFIGURED),
        (413, Verdict.REFUSED),
        (415, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (425, Verdict.LATER),
        (429, Verdict.LATER),
        (500, Verdict.UNCLEAR),
        (501, Verdict.UNCLEAR),
        (502, Verdict.UNCLEAR),
        (503, Verdict.LATER),
        (504, Verdict.UNCLEAR),
        (599, Verdict.UNCLEAR),
        (101, Verdict.UNCLEAR),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b'{"message": "no"}', b"<html>", b"\xff\xfe"], ids=["nothing", "JSON", "a page", "noise"]
)
def test_each_status_has_one_meaning_whatever_the_body(status: int, verdict: Verdict, body: bytes) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(status, body))
    in_between = verdict is Verdict.DONE and body == b"<html>"
    assert outcome.verdict is (Verdict.UNCLEAR if in_between else verdict)
    assert str(status) in outcome.note


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b"<!doctype html><title>Just a moment</title>", Verdict.UNCLEAR),
        (b"\r\n <!DOCTYPE HTML PUBLIC>", Verdict.UNCLEAR),
        (b"<HTML lang=en>", Verdict.UNCLEAR),
        (b"OK", Verdict.DONE),
        (b"<ok/>", Verdict.DONE),
        (b'{"message": "<html>"}', Verdict.DONE),
    ],
)
def test_a_page_is_not_the_receivers_word(body: bytes, verdict: Verdict) -> None:
    """And what it is called is no sign: PHP calls everything text/html."""
    answer = Response(200, body, {"content-type": "text/html; charset=utf-8"})
    outcome, _ = play(target.send(FORWARD, SETTINGS), answer)
    assert outcome.verdict is verdict


def test_a_conflict_is_ours_only_after_an_unclear_attempt_of_ours() -> None:
    earlier = Attempt(forward="fwd_1", number=1, leased_at=NOW, lease_until=NOW, sent_at=NOW)
    outcome, _ = play(target.send(replace(FORWARD, earlier=earlier), SETTINGS), Response(409))
    assert outcome.verdict is Verdict.DUPLICATE


@pytest.mark.parametrize("status", [408, 410, 425, 429, 500, 502, 503, 504])
def test_the_receivers_own_wait_is_passed_on(status: int) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(status, headers={"retry-after": "90"}))
    assert outcome.retry_after == timedelta(seconds=90)
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(status))
    assert outcome.retry_after is None


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param({"message": "60 points"}, {"message": "60 points"}, id="a message"),
        pytest.param({"points": 60, "code": "SPRING-1"}, {"points": 60.0, "code": "SPRING-1"}, id="points and a code"),
        pytest.param({"message": "x" * 5000}, {"message": "x" * 500}, id="a long message"),
        pytest.param({"message": "", "points": None, "code": 7}, {}, id="nothing of the declared kinds"),
        pytest.param({"points": True, "message": ["hi"]}, {}, id="a yes and a list"),
        pytest.param({"points": 1e300}, {}, id="more points than there can be"),
        pytest.param({"balance": 900, "token": "secret"}, {}, id="what was not asked for"),
        pytest.param(["message"], {}, id="a list"),
    ],
)
def test_of_what_the_receiver_answers_the_declared_fields_can_be_shown(body: Any, shown: dict[str, Any]) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(200, json.dumps(body).encode()))
    assert outcome.shown == shown
    kinds = {fact.name: {"string": str, "double": float}[fact.kind] for fact in target.shows}
    assert all(type(value) is kinds[name] for name, value in outcome.shown.items())


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"points": NaN}', id="not a number"),
        pytest.param(b'{"points": Infinity}', id="infinity"),
        pytest.param(b"{", id="half an object"),
        pytest.param(b"\xff", id="noise"),
        pytest.param(b"[" * 100_000, id="nested without end"),
    ],
)
def test_noise_in_an_answer_is_not_shown_and_changes_nothing(body: bytes) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(200, body))
    assert (outcome.verdict, outcome.shown) == (Verdict.DONE, {})


def test_what_is_worth_something_is_declared_so() -> None:
    assert target.bearer == ("code",)
    assert set(target.bearer) <= {fact.name for fact in target.shows}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "cannot sign"),
        ("a plain text!", "base64"),
    ],
)
def test_its_keys_are_those_that_can_sign(key: str, said: str) -> None:
    secret: Any = next(setting for setting in target.settings if setting.name == target.signs_with)
    assert said in secret.fault(key)
    assert bool(secret.fault(key)) == bool(said)


# What really leaves

NEW, OLD = ("whsec_" + base64.b64encode(text).decode() for text in (b"new-new-new-new-new-new-new-new!", b"old" * 12))
SEED = b"an-ed25519-seed-that-signs-v1a!!"
ROTATING = HEAD.replace('secret = "env:WEBHOOK_SECRET"', 'secret = ["env:NEW", "env:OLD", "env:PRIVATE"]')
KEYS = {"NEW": NEW, "OLD": OLD, "PRIVATE": "whsk_" + base64.b64encode(SEED).decode()}


def signatures(call: Asked) -> list[tuple[str, bytes]]:
    """The versions and signatures that came, in their order."""
    parts = [one.split(",", 1) for one in call.headers["webhook-signature"].split(" ")]
    return [(version, base64.b64decode(text)) for version, text in parts]


def content(call: Asked) -> bytes:
    return f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode() + call.body


async def test_every_key_signs_what_leaves_the_newest_first(build_house: Builder) -> None:
    """While keys are rotated a receiver with any one of them can verify, by the reference library and by hand."""
    build_house.clock.now = datetime.now(UTC)  # the library has no other clock
    async with build_house(ORDER_RULE, head=ROTATING, variables=KEYS) as house:
        await house.order()
        await house.work()
        [call] = house.vendor.calls("POST", "hook.test")
        [row] = await house.forwards()
    for secret in (NEW, OLD):
        assert standardwebhooks.Webhook(secret).verify(call.body, dict(call.headers))["data"]["id"] == row["id"]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(NEW).verify(call.body + b" ", dict(call.headers))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SETTINGS["secret"][0]).verify(call.body, dict(call.headers))
    made = signatures(call)
    assert [version for version, _ in made] == ["v1", "v1", "v1a"]
    assert made[0][1] == hmac.digest(b"new-new-new-new-new-new-new-new!", content(call), "sha256")
    assert made[1][1] == hmac.digest(b"old" * 12, content(call), "sha256")
    Ed25519PrivateKey.from_private_bytes(SEED).public_key().verify(made[2][1], content(call))
    assert call.headers["webhook-id"] == call.headers["idempotency-key"] == row["id"]


async def test_a_repeat_has_the_same_id_and_bytes_and_a_signature_of_its_own_time(build_house: Builder) -> None:
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", (500, {}), httpx2.ReadError("connection reset"))
        await house.order()
        for _ in range(3):
            await house.work()
            house.clock.tick(minutes=2)
        calls = house.vendor.calls("POST", "hook.test")
        assert (await house.forward())["state"] == "delivered"
    assert len(calls) == 3
    assert len({(call.headers["webhook-id"], call.body) for call in calls}) == 1
    assert len({call.headers["webhook-timestamp"] for call in calls}) == 3
    key = base64.b64decode(SECRETS["WEBHOOK_SECRET"].removeprefix("whsec_"))
    for call in calls:
        assert signatures(call) == [("v1", hmac.digest(key, content(call), "sha256"))]


async def test_taking_back_is_signed_under_an_id_of_its_own(build_house: Builder) -> None:
    build_house.clock.now = datetime.now(UTC)
    async with build_house(ORDER_RULE) as house:
        await house.order()
        await house.work()
        await house.cancel_order()
        await house.work()
        reward, undo = house.vendor.calls("POST", "hook.test")
    told = standardwebhooks.Webhook(SECRETS["WEBHOOK_SECRET"]).verify(undo.body, dict(undo.headers))
    assert (told["type"], told["data"]["undoes"]) == ("order.undone", reward.headers["webhook-id"])
    assert undo.headers["webhook-id"] != reward.headers["webhook-id"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((410, {}), id="gone: it has disabled itself"),
        pytest.param((301, {}, {"location": "https://elsewhere.test/in"}), id="moved"),
        pytest.param((302, {}, {"location": "https://hook.test/in"}), id="sent on to itself"),
        pytest.param((401, {}), id="it does not accept our signature"),
    ],
)
async def test_an_endpoint_that_is_gone_or_moved_is_told_nothing_more_until_somebody_resumes_it(
    build_house: Builder, answer: Any
) -> None:
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", answer)
        for order in (5001, 5002):
            await house.order(order, customer={"id": order, "email": None})
            await house.work()
        house.clock.tick(days=2)
        await house.work()
        assert len(house.vendor.asked) == 1  # and nothing was asked elsewhere
        assert states(await house.forwards()) == ["pending", "pending"]
        [table] = [row for row in await house.rows("targets") if row["name"] == "hook"]
        assert table["paused_at"] is not None
        scene = house.bridge.scene("operator:test")
        await house.bridge.db.transact(lambda tx: operate.resume(tx, "hook", scene, "it is back"))
        await house.work()
        assert states(await house.forwards()) == ["delivered", "delivered"]
        ids = [call.headers["webhook-id"] for call in house.vendor.calls("POST", "hook.test")]
        assert len(ids) == 3
        assert len(set(ids)) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_receiver_that_is_overloaded_is_left_alone_for_as_long_as_it_says(
    build_house: Builder, status: int
) -> None:
    async with build_house(ORDER_RULE) as house:
        house.vendor.answers("POST", "hook.test", (status, {}, {"retry-after": "90"}))
        await house.order()
        await house.work()
        house.clock.tick(seconds=89)
        await house.work()
        assert len(house.vendor.calls("POST", "hook.test")) == 1
        house.clock.tick(seconds=2)
        await house.work()
        first, second = house.vendor.calls("POST", "hook.test")
        assert first.headers["webhook-id"] == second.headers["webhook-id"]
        assert (await house.forward())["state"] == "delivered"
