"""Twitch and the shop sign as published, so that the kit's own schemes accept them and vendors' vectors agree."""

import base64
import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from bridge.kit import BadSignature, Hmac, Inbound, Stale
from bridge.sandbox import shop as shopify
from bridge.sandbox import twitch
from bridge.sandbox.helix import Channel, Viewer, helix
from bridge.sandbox.shop import Buyer, Shop
from bridge.sandbox.twitch import EventSub

SECRET = "s3cre77890ab"
TWITCH = Hmac(
    header="twitch-eventsub-message-signature",
    prefix="sha256=",
    signed="{twitch-eventsub-message-id}{twitch-eventsub-message-timestamp}{body}",
    sent_at="twitch-eventsub-message-timestamp",
    tolerance=timedelta(minutes=10),
)
SHOPIFY = Hmac(header="x-shopify-hmac-sha256", encoding="base64")
ANN = Viewer("1001", "Ann_Plays")
BUYER = Buyer(id=7001, first_name="Ann", email="ann@example.com")


def inbound(headers, body, now) -> Inbound:
    named = {name.lower(): value for name, value in headers.items()}
    url = "https://rewards.example.com/webhooks/any"
    return Inbound(source="any", method="POST", url=url, headers=named, body=body, received_at=now)


def published(file, start):
    """Vectors from vendors' own test suites, where this machine has them."""
    folder = os.environ.get("BRIDGE_TEST_VECTORS")
    found = json.loads((Path(folder) / file).read_text()) if folder else []
    return [
        pytest.param(one, id=one["id"])
        for one in (found if isinstance(found, list) else found["vectors"])
        if one["id"].startswith(start) and one["valid"]
    ]


class Callback:
    """An endpoint that answers from a script and remembers what it was sent."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.sent = []

    async def __call__(self, scope, receive, send):
        await Starlette(routes=[Route("/hook", self.take, methods=["POST"])])(scope, receive, send)

    async def take(self, request: Request):
        body = await request.body()
        self.sent.append((dict(request.headers), body))
        if self.answers:
            return self.answers.pop(0)
        if "challenge" in json.loads(body):
            return PlainTextResponse(json.loads(body)["challenge"])
        return JSONResponse({"status": "accepted"})


@pytest.fixture
def callback():
    return Callback()


@pytest.fixture
async def client(callback):
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=callback)) as made:
        yield made


@pytest.fixture
def channel():
    return Channel("1971641", "Mugs")


@pytest.fixture
def sender(channel, clock):
    return EventSub(channel, callback="http://bridge.test/hook", secret=SECRET, clock=clock)


@pytest.fixture
def store(clock):
    return Shop(callback="http://bridge.test/hook", secret=SECRET, clock=clock)


@pytest.mark.parametrize("vector", published("social.json", "twitch-"))
def test_twitch_signs_as_published(vector):
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    name, stamp = headers["twitch-eventsub-message-id"], headers["twitch-eventsub-message-timestamp"]
    made = twitch.sign(vector["secret"], name, stamp, vector["body"].encode())
    assert made == headers["twitch-eventsub-message-signature"]


@pytest.mark.parametrize("vector", published("storefronts.json", "shopify-webhook-"))
def test_the_shop_signs_as_published(vector):
    headers = {name.lower(): value for name, value in vector["headers"].items()}
    assert shopify.sign(vector["secret"], vector["body"].encode()) == headers["x-shopify-hmac-sha256"]


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda sender: sender.challenge(), id="challenge"),
        pytest.param(lambda sender: sender.follow(ANN), id="follow"),
        pytest.param(lambda sender: sender.subscribe(ANN, tier="2000"), id="subscribe"),
        pytest.param(lambda sender: sender.cheer(ANN, bits=100), id="cheer"),
        pytest.param(lambda sender: sender.revocation(), id="revocation"),
    ],
)
def test_the_kit_accepts_what_twitch_sends_and_refuses_what_was_changed(sender, clock, make):
    message = make(sender)
    sent = inbound(message.headers(SECRET), message.body, clock())
    TWITCH.verify(sent, ["an old secret", SECRET], clock())
    with pytest.raises(BadSignature):
        TWITCH.verify(replace(sent, body=message.body + b" "), [SECRET], clock())
    with pytest.raises(BadSignature):
        TWITCH.verify(inbound(message.headers("another"), message.body, clock()), [SECRET], clock())
    with pytest.raises(Stale):
        TWITCH.verify(sent, [SECRET], clock() + timedelta(minutes=11))


def test_what_a_follow_says(sender, channel):
    body = json.loads(sender.follow(ANN).body)
    assert body["subscription"]["type"] == "channel.follow"
    assert body["event"]["user_id"] == "1001"
    assert body["event"]["broadcaster_user_id"] == channel.id
    assert body["event"]["followed_at"] == "2026-11-20T12:00:00.000000000Z"


def test_an_anonymous_cheer_names_nobody(sender):
    body = json.loads(sender.cheer(None, bits=5).body)["event"]
    assert (body["is_anonymous"], body["user_id"], body["user_login"], body["bits"]) == (True, None, None, 5)


async def test_a_challenge_is_passed_only_with_the_bare_word_in_plain_text(sender, client, callback):
    assert await sender.verify(client, sender.challenge())
    callback.answers = [JSONResponse({"challenge": "pogchamp-kappa-360noscope-vohiyo"})]
    assert not await sender.verify(client, sender.challenge())


async def test_twitch_repeats_until_it_is_taken_under_the_same_id(sender, client, callback):
    callback.answers = [PlainTextResponse("", 503), PlainTextResponse("", 500)]
    answers = await sender.deliver(client, sender.follow(ANN), pauses=(0, 0, 0))
    assert [answer.status for answer in answers] == [503, 500, 200]
    assert len({headers["twitch-eventsub-message-id"] for headers, _ in callback.sent}) == 1
    assert [headers["twitch-eventsub-message-retry"] for headers, _ in callback.sent] == ["0", "1", "2"]
    assert len({body for _, body in callback.sent}) == 1


async def test_the_same_message_at_once(sender, client, callback):
    answers = await sender.repeat(client, sender.follow(ANN), 3)
    assert [answer.object()["status"] for answer in answers] == ["accepted"] * 3
    assert len({headers["twitch-eventsub-message-id"] for headers, _ in callback.sent}) == 1


async def test_a_callback_that_is_not_there(sender):
    async with httpx2.AsyncClient() as nowhere:
        sender.callback = "http://127.0.0.1:9/hook"
        answer = await sender.post(nowhere, sender.challenge())
    assert (answer.status, answer.fault, answer.taken) == (0, "ConnectError", False)


@pytest.fixture
async def ask(channel, clock):
    app = helix(channel, token="broadcaster", client_id="gp762", clock=clock)
    keys = {"Authorization": "Bearer broadcaster", "Client-Id": "gp762"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://helix.test", headers=keys) as made:
        yield made


FOLLOWERS = "/helix/channels/followers"


async def test_helix_knows_who_follows_and_who_stopped(sender, channel, ask, clock):
    query = {"broadcaster_id": channel.id, "user_id": ANN.id}
    sender.follow(ANN)
    clock.go(hours=1)
    sender.follow(ANN)
    said = (await ask.get(FOLLOWERS, params=query)).json()
    assert (said["total"], said["data"][0]["user_id"]) == (1, "1001")
    assert said["data"][0]["followed_at"] == "2026-11-20T12:00:00Z"
    sender.unfollow(ANN)
    assert (await ask.get(FOLLOWERS, params=query)).json() == {"total": 0, "data": [], "pagination": {}}


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        pytest.param({"Authorization": ""}, "OAuth token is missing", id="no token"),
        pytest.param({"Authorization": "Bearer x"}, "Invalid OAuth token", id="another token"),
        pytest.param({"Client-Id": "x"}, "Client ID and OAuth token do not match", id="another client"),
    ],
)
async def test_helix_refuses(channel, ask, headers, message):
    answer = await ask.get(FOLLOWERS, params={"broadcaster_id": channel.id}, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (401, message)


async def test_helix_needs_to_know_the_channel(ask):
    assert (await ask.get(FOLLOWERS)).status_code == 400


async def test_helix_without_the_scope_tells_only_how_many(sender, channel, clock):
    sender.follow(ANN)
    app = helix(channel, token="t", client_id="c", clock=clock, scoped=False)
    headers = {"Authorization": "Bearer t", "Client-Id": "c"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://helix.test") as ask:
        said = (await ask.get(FOLLOWERS, params={"broadcaster_id": channel.id}, headers=headers)).json()
    assert said == {"total": 1, "data": [], "pagination": {}}


async def test_helix_pages_through_many(sender, channel, ask, clock):
    for number in range(5):
        sender.follow(Viewer(str(number), f"viewer{number}"))
        clock.go(seconds=1)
    seen, cursor = [], {}
    while True:
        said = (await ask.get(FOLLOWERS, params={"broadcaster_id": channel.id, "first": "2", **cursor})).json()
        seen += [row["user_id"] for row in said["data"]]
        if not said["pagination"]:
            break
        cursor = {"after": said["pagination"]["cursor"]}
    assert seen == ["4", "3", "2", "1", "0"]


def test_the_kit_accepts_what_the_shop_sends_and_refuses_what_was_changed(store, clock):
    order = store.order(BUYER, "80.00")
    for webhook in (store.paid(order), store.refund(order, "20"), store.cancelled(order), store.joined(BUYER)):
        sent = inbound(webhook.headers(SECRET), webhook.body, clock())
        SHOPIFY.verify(sent, [SECRET], clock())
        with pytest.raises(BadSignature):
            SHOPIFY.verify(replace(sent, body=webhook.body.replace(b"80.00", b"8000.00") + b" "), [SECRET], clock())


def test_what_the_shop_says(store):
    order = store.order(BUYER, "80")
    body = json.loads(store.paid(order).body)
    assert (body["total_price"], body["currency"], body["customer"]["id"]) == ("80.00", "EUR", 7001)
    assert body["id"] == order.id > 2**53
    store.refund(order, "30")
    rest = json.loads(store.refund(order).body)
    assert (rest["order_id"], rest["transactions"][0]["amount"]) == (order.id, "50.00")
    assert json.loads(store.cancelled(order).body)["current_total_price"] == "0.00"
    assert json.loads(store.paid(store.order(None, "5")).body)["customer"] is None


async def test_the_shop_repeats_under_the_same_id(store, client, callback):
    webhook = store.paid(store.order(BUYER, "80"))
    await store.repeat(client, webhook, 3)
    assert {headers["x-shopify-webhook-id"] for headers, _ in callback.sent} == {webhook.id}
    assert len({body for _, body in callback.sent}) == 1
    other = webhook.under("somebody-elses-id")
    assert base64.b64decode(other.headers(SECRET)["X-Shopify-Hmac-Sha256"]) == base64.b64decode(
        webhook.headers(SECRET)["X-Shopify-Hmac-Sha256"]
    )
