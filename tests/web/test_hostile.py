"""What a stranger can send to the platforms' door: refused in a word, kept for the operator, never a 5xx."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from bridge.flows import operate
from bridge.flows.watch import Ledger
from bridge.kit.errors import StoreError
from bridge.store import rejections
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, SECRETS, Builder, House

TWITCH = SECRETS["TWITCH_SECRET"]
SHOP = SECRETS["SHOP_SECRET"]
REVIEWS = "reviews-shared-secret"
STANDARD = "whsec_" + base64.b64encode(b"standard-standard-standard-stan!").decode()
HEXED = "00112233445566778899aabbccddeeff"

#: Beside the two of every story: sources whose keys are not text, so that one's key is no key of another's.
MORE = """
[source.reviews]
provider = "generic"
webhook_secret = "env:REVIEWS"
signature = { header = "x-reviews-signature", pairs = ",", field = "v1", sent_at = "t", signed = "{t}.{body}" }
[[source.reviews.evidence]]
action = "review"
key = "body.id"
account = "string(body.account)"
[source.hexed]
provider = "generic"
webhook_secret = "env:HEXED"
signature = { header = "x-hexed", key = "hex" }
[[source.hexed.evidence]]
action = "review"
key = "body.id"
account = "string(body.account)"
[source.events]
provider = "standard"
webhook_secret = "env:STANDARD"
[[source.events.evidence]]
action = "review"
key = "body.id"
account = "string(body.account)"
"""
KEYS = {"REVIEWS": REVIEWS, "STANDARD": STANDARD, "HEXED": HEXED}


@pytest.fixture
async def open_house(build_house: Builder) -> AsyncIterator[House]:
    """A bridge with every kind of signature."""
    async with build_house(FOLLOW_RULE, ORDER_RULE, head=HEAD + MORE, variables=KEYS) as made:
        yield made


Headers = dict[str, str]


def signed_twitch(house: House, body: bytes, *, at: timedelta = timedelta(0), key: str = TWITCH) -> Headers:
    stamp = (house.clock.now + at).isoformat().replace("+00:00", "Z")
    mac = hmac.new(key.encode(), b"m-1" + stamp.encode() + body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "twitch-eventsub-message-id": "m-1",
        "twitch-eventsub-message-timestamp": stamp,
        "twitch-eventsub-message-signature": f"sha256={mac}",
    }


def signed_shop(body: bytes, *, key: str = SHOP, topic: str = "orders/paid") -> Headers:
    mac = hmac.digest(key.encode(), body, "sha256")
    return {
        "content-type": "application/json",
        "x-shopify-topic": topic,
        "x-shopify-shop-domain": "example.myshopify.com",
        "x-shopify-webhook-id": "hook-1",
        "x-shopify-hmac-sha256": base64.b64encode(mac).decode(),
    }


def signed_reviews(house: House, body: bytes, *, at: timedelta = timedelta(0)) -> Headers:
    stamp = str(int((house.clock.now + at).timestamp()))
    mac = hmac.new(REVIEWS.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"content-type": "application/json", "x-reviews-signature": f"t={stamp},v1={mac}"}


def signed_events(house: House, body: bytes, *, at: timedelta = timedelta(0)) -> Headers:
    stamp = str(int((house.clock.now + at).timestamp()))
    key = base64.b64decode(STANDARD.removeprefix("whsec_"))
    mac = base64.b64encode(hmac.digest(key, b"msg_1." + stamp.encode() + b"." + body, "sha256")).decode()
    return {
        "content-type": "application/json",
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{mac}",
    }


async def post(
    house: House, path: str, body: bytes | AsyncIterator[bytes], headers: Mapping[str, Any], method: str = "POST"
) -> httpx2.Response:
    wire = [(name.encode(), value.encode() if isinstance(value, str) else value) for name, value in headers.items()]
    return await house.client.request(method, path, content=body, headers=wire)


async def refused(house: House, answer: httpx2.Response, status: int, reason: str) -> dict[str, Any]:
    """The answer is a refusal in RFC 9457's form, nothing was kept but one rejection: that row."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["status"], told["reason"]) == (status, reason)
    assert set(told) == {"type", "title", "status", "reason"}  # a stranger learns no more
    assert await house.rows("deliveries") == []
    assert await house.rows("evidence") == []
    await house.work()
    assert house.vendor.asked == []
    await house.bridge.chores.flush()
    [row] = await house.rows("rejections")
    assert row["reason"] == reason
    return row


def tells_no_secret(row: Mapping[str, Any], *secrets: str) -> None:
    """Neither a key nor a signature is kept: whoever reads the list cannot send anything with it."""
    whole = json.dumps(dict(row))
    for secret in (TWITCH, SHOP, REVIEWS, STANDARD, HEXED, *secrets):
        assert secret not in whole


# --- signatures ------------------------------------------------------------------------------------------------

SIGNATURES = {
    "twitch": "twitch-eventsub-message-signature",
    "shop": "x-shopify-hmac-sha256",
    "reviews": "x-reviews-signature",
    "events": "webhook-signature",
    "hexed": "x-hexed",
}


def good(house: House, source: str, body: bytes) -> Headers:
    match source:
        case "twitch":
            return signed_twitch(house, body)
        case "shop":
            return signed_shop(body)
        case "reviews":
            return signed_reviews(house, body)
        case "hexed":
            mac = hmac.new(bytes.fromhex(HEXED), body, hashlib.sha256).hexdigest()
            return {"content-type": "application/json", "x-hexed": mac}
    return signed_events(house, body)


@pytest.mark.parametrize("source", SIGNATURES)
async def test_a_right_signature_is_what_all_the_wrong_ones_differ_from(open_house: House, source: str) -> None:
    body = b'{"id":"1","account":"a"}'
    answer = await post(open_house, f"/webhooks/{source}", body, good(open_house, source, body))
    assert answer.status_code == 200


@pytest.mark.parametrize("source", SIGNATURES)
@pytest.mark.parametrize(
    ("twist", "reason"),
    [
        pytest.param(lambda s: None, "missing_header", id="a missing signature"),
        pytest.param(lambda s: "", "missing_header", id="an empty signature"),
        pytest.param(lambda s: " ", "missing_header", id="a blank signature"),
        pytest.param(lambda s: s[:-3], "bad_signature", id="a truncated signature"),
        pytest.param(lambda s: s[:20], "bad_signature", id="half a signature"),
        pytest.param(lambda s: s + "0", "bad_signature", id="a signature with something behind it"),
        pytest.param(lambda s: "sha256=", "bad_signature", id="a prefix and nothing else"),
        pytest.param(lambda s: "t=,v1=", "bad_signature", id="pairs without values"),
        pytest.param(lambda s: "v1,", "bad_signature", id="a version and nothing else"),
        pytest.param(lambda s: "=,=,=,", "bad_signature", id="nothing but separators"),
        pytest.param(lambda s: s.encode() + "é".encode("latin-1"), "bad_signature", id="a signature that is not ASCII"),
        pytest.param(lambda s: "٣".encode() * 32, "bad_signature", id="digits of another script"),
        pytest.param(lambda s: "zz" * 32, "bad_signature", id="letters that are not hex"),
        pytest.param(lambda s: "A" * 60_000, "bad_signature", id="a signature of sixty kilobytes"),
        pytest.param(lambda s: ",".join(["v1=00"] * 5000), "bad_signature", id="five thousand signatures"),
        pytest.param(lambda s: f"sha1={s[7:]}", "bad_signature", id="another prefix"),
    ],
)
async def test_a_wrong_signature_is_401(open_house: House, source: str, twist: Any, reason: str) -> None:
    body = b'{"id":"1","account":"a"}'
    headers: dict[str, Any] = good(open_house, source, body)
    whole = headers[SIGNATURES[source]]
    made = twist(whole)
    if made is None:
        del headers[SIGNATURES[source]]
    else:
        headers[SIGNATURES[source]] = made
    # An ASGI server hands header values over without the white space around them.
    if isinstance(made, str) and not made.strip():
        headers[SIGNATURES[source]] = ""
    row = await refused(open_house, await post(open_house, f"/webhooks/{source}", body, headers), 401, reason)
    tells_no_secret(row, whole, whole.rpartition("=")[2] or whole)


@pytest.mark.parametrize("source", SIGNATURES)
async def test_a_signature_made_with_an_unknown_secret_is_401(build_house: Builder, source: str) -> None:
    other = {
        **KEYS,
        "TWITCH_SECRET": "somebody-elses-secret",
        "SHOP_SECRET": "somebody-elses-secret",
        "REVIEWS": "somebody-elses-secret",
        "HEXED": "ff" * 16,
        "STANDARD": "whsec_" + base64.b64encode(b"somebody elses standard secret!!").decode(),
    }
    async with build_house(FOLLOW_RULE, ORDER_RULE, head=HEAD + MORE, variables=other) as house:
        body = b'{"id":"1","account":"a"}'
        headers = good(house, source, body)
        row = await refused(house, await post(house, f"/webhooks/{source}", body, headers), 401, "bad_signature")
        assert row["hint"] == ""
        tells_no_secret(row, *other.values())


@pytest.mark.parametrize(
    ("header", "status"),
    [("twitch-eventsub-message-id", 400), ("twitch-eventsub-message-timestamp", 400)],
)
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
async def test_another_needed_header_that_does_not_come_is_400(
    open_house: House, header: str, status: int, value: str | None
) -> None:
    headers: dict[str, Any] = signed_twitch(open_house, b"{}")
    if value is None:
        del headers[header]
    else:
        headers[header] = value
    answer = await post(open_house, "/webhooks/twitch", b"{}", headers)
    row = await refused(open_house, answer, status, "missing_header")
    assert header in row["detail"]


@pytest.mark.parametrize(
    "stamp",
    ["yesterday", "-1", "1e9", "99999999999999999999999999", "0", "2026-13-45T99:99:99Z", "٢٠٢٦", "9" * 50_000, "+1"],
)
async def test_a_signed_time_that_is_none_is_refused_in_words(open_house: House, stamp: str) -> None:
    """Only the owner of the secret can sign one: 400 or 401, never a traceback."""
    body = b"{}"
    raw = stamp.encode()
    mac = hmac.new(TWITCH.encode(), b"m-1" + raw + body, hashlib.sha256).hexdigest()
    headers = {
        "content-type": "application/json",
        "twitch-eventsub-message-id": "m-1",
        "twitch-eventsub-message-timestamp": raw,
        "twitch-eventsub-message-signature": f"sha256={mac}",
    }
    answer = await post(open_house, "/webhooks/twitch", body, headers)
    assert answer.status_code in (400, 401)
    await refused(open_house, answer, answer.status_code, answer.json()["reason"])


@pytest.mark.parametrize(
    ("source", "minutes"),
    [("twitch", 11), ("twitch", -11), ("reviews", 6), ("reviews", -6), ("events", 6), ("events", -6)],
)
async def test_a_signature_from_another_time_is_stale_and_says_that_the_secret_is_right(
    open_house: House, source: str, minutes: int
) -> None:
    body, at = b'{"id":"1","account":"a"}', timedelta(minutes=minutes)
    make = {"twitch": signed_twitch, "reviews": signed_reviews, "events": signed_events}[source]
    answer = await post(open_house, f"/webhooks/{source}", body, make(open_house, body, at=at))
    row = await refused(open_house, answer, 401, "stale")
    assert ("in the future" if minutes > 0 else "too old") in row["detail"]
    assert "clock" in row["hint"]


# --- which mistake it looks like -------------------------------------------------------------------------------

ORDER = {"id": 1, "total_price": "60.00", "note": "Grüße", "customer": {"id": 7}}


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        pytest.param(
            lambda house, body: ("/webhooks/shop", body, signed_shop(body, key=HEXED)),
            "it was signed with the secret of [source.hexed]",
            id="the text of another key, which is hex there",
        ),
        pytest.param(
            lambda house, body: ("/webhooks/shop", body, signed_shop(body, key=TWITCH)),
            "it was signed with the secret of [source.twitch]",
            id="another source's secret",
        ),
        pytest.param(
            lambda house, body: ("/webhooks/shop", body + b"\n", signed_shop(body)),
            "a line end was added",
            id="a trailing newline",
        ),
        pytest.param(
            lambda house, body: ("/webhooks/shop", body.rstrip(b"\n"), signed_shop(body.rstrip(b"\n") + b"\n")),
            "the line end was taken off",
            id="a newline that was trimmed",
        ),
        pytest.param(
            lambda house, body: (
                "/webhooks/shop",
                json.dumps(json.loads(body), indent=2).encode(),
                signed_shop(json.dumps(json.loads(body), separators=(",", ":")).encode()),
            ),
            "it was parsed and written again",
            id="a body that a proxy wrote again",
        ),
        pytest.param(
            lambda house, body: (
                "/webhooks/shop",
                json.dumps(json.loads(body)).encode(),
                signed_shop(json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False).encode()),
            ),
            "it was parsed and written again",
            id="a body whose umlauts were escaped",
        ),
        pytest.param(
            lambda house, body: ("/webhooks/twitch", body + b"\r\n", signed_twitch(house, body)),
            "a line end was added",
            id="a newline at a source that signs the time",
        ),
        pytest.param(
            lambda house, body: (
                "/webhooks/twitch",
                body,
                signed_twitch(house, body, at=timedelta(hours=-9), key=SHOP),
            ),
            "it was signed with the secret of [source.shop]",
            id="another source's secret, a long time ago",
        ),
    ],
)
async def test_a_bad_signature_says_which_mistake_it_looks_like(open_house: House, make: Any, hint: str) -> None:
    path, body, headers = make(open_house, json.dumps(ORDER).encode())
    row = await refused(open_house, await post(open_house, path, body, headers), 401, "bad_signature")
    assert hint in row["hint"]
    assert bool(hint) == bool(row["hint"])


@pytest.mark.parametrize("source", ["events", "hexed"])
async def test_a_diagnosis_survives_keys_that_are_none_of_this_scheme(open_house: House, source: str) -> None:
    """The other sources' secrets are tried on it, and most of them are neither base64 nor hex."""
    body = b'{"id":"1","account":"a"}'
    headers = good(open_house, source, body)
    answer = await post(open_house, f"/webhooks/{source}", b'{"id":"2","account":"a"}', headers)
    await refused(open_house, answer, 401, "bad_signature")


async def test_a_secret_with_white_space_around_it_is_named(build_house: Builder) -> None:
    async with build_house(ORDER_RULE, variables={"SHOP_SECRET": f" {SHOP} "}) as house:
        body = json.dumps(ORDER).encode()
        answer = await post(house, "/webhooks/shop", body, signed_shop(body))
        if answer.status_code != 200:  # a configuration that trims secrets is as good
            row = await refused(house, answer, 401, "bad_signature")
            assert "white space" in row["hint"]


# --- headers that come twice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("twitch", "twitch-eventsub-message-signature"),
        ("twitch", "twitch-eventsub-message-id"),
        ("twitch", "twitch-eventsub-message-timestamp"),
        ("shop", "x-shopify-hmac-sha256"),
        ("shop", "x-shopify-webhook-id"),
        ("events", "webhook-signature"),
        ("events", "webhook-id"),
        ("events", "svix-signature"),
        ("reviews", "x-reviews-signature"),
    ],
)
async def test_a_header_that_decides_about_trust_and_comes_twice_is_400(
    open_house: House, source: str, name: str
) -> None:
    """Whoever stands before us may have looked at the first and we at the last."""
    body = b'{"id":"1","account":"a"}'
    headers = good(open_house, source, body)
    both = [*headers.items(), (name, headers.get(name, "v1,AAAA")), (name.upper(), "x")]
    answer = await open_house.client.post(f"/webhooks/{source}", content=body, headers=both)
    await refused(open_house, answer, 400, "duplicate_header")


async def test_other_headers_may_come_as_often_as_they_like(open_house: House) -> None:
    body = b'{"id":"1","account":"a"}'
    noise = [(f"x-noise-{n % 50}", "x" * 100) for n in range(2000)]
    headers = [*noise, *good(open_house, "reviews", body).items(), *noise]
    answer = await open_house.client.post("/webhooks/reviews", content=body, headers=headers)
    assert answer.status_code == 200
    forged = [*headers[:-1], ("x-reviews-signature", "t=1,v1=00")]
    assert (await open_house.client.post("/webhooks/reviews", content=body, headers=forged)).status_code == 400
    await open_house.bridge.chores.flush()
    [row] = await open_house.rows("rejections")
    assert len(row["headers"]) < 15_000


# --- bodies ----------------------------------------------------------------------------------------------------


async def chunks(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: b"x" * (1024 * 1024 + 1), id="one byte more than a mebibyte"),
        pytest.param(lambda: chunks(64 * 1024, 17), id="too many chunks"),
        pytest.param(lambda: chunks(1, 1024 * 1024 + 2), id="a million chunks of one byte"),
    ],
)
async def test_a_body_that_is_too_large_is_413_and_is_not_read_to_its_end(open_house: House, body: Any) -> None:
    headers = signed_shop(b"")
    answer = await post(open_house, "/webhooks/shop", body(), headers)
    await refused(open_house, answer, 413, "too_large")


@pytest.mark.parametrize("length", ["99999999999999999999", "²", "-5", "ten", "1048577 ", "", "0x10", "٣"])
async def test_a_length_that_is_none_is_never_a_5xx(open_house: House, length: str) -> None:
    """The server in front of the app refuses most of these; the app must not depend on that."""
    headers = {**signed_shop(b"{}"), "content-length": length.encode()}
    answer = await post(open_house, "/webhooks/shop", b"{}", headers)
    assert answer.status_code in (200, 413)


async def test_an_empty_body_is_refused_unless_it_is_signed(open_house: House) -> None:
    answer = await post(open_house, "/webhooks/shop", b"", signed_shop(b"{}"))
    await refused(open_house, answer, 401, "bad_signature")


DEEP = b"[" * 100_000 + b"]" * 100_000

UNREADABLE = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"not json", id="words"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'"text"', id="a text"),
    pytest.param(b"NaN", id="NaN"),
    pytest.param(b'{"id": NaN}', id="an id that is NaN"),
    pytest.param(b"\xff\xfe\x00", id="bytes that are not UTF-8"),
    pytest.param('{"id":"ü"}'.encode("utf-16"), id="UTF-16"),
    pytest.param(b'{"id":"\xed\xa0\x80"}', id="a surrogate in UTF-8"),
    pytest.param(b"\xef\xbb\xbf{}", id="a byte order mark"),
    pytest.param(DEEP, id="a hundred thousand brackets"),
    pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="fifty thousand objects"),
    pytest.param(b'{"id":' + b"9" * 20_000 + b"}", id="a number of twenty thousand digits"),
    pytest.param(b'{"id":1e999999}', id="a number beyond infinity"),
    pytest.param(b'{"subscription":{"type":"\\ud800"},"event":{"n":12345678901234567890}}', id="half a surrogate"),
    pytest.param(b'{"subscription":{"type":"\\u0000"},"event":{}}', id="NUL in a type"),
    pytest.param(b'{"subscription":{"type":"x\\u001b[2J"},"event":{}}', id="an escape sequence in a type"),
    pytest.param(b'{"subscription":{"type":"' + b"t" * 200_000 + b'"},"event":{}}', id="a type of 200 kB"),
    pytest.param(
        b'{"subscription":{"type":"channel.follow"},"event":{"user_id":"a\\u0000b","broadcaster_user_id":"1337"}}',
        id="NUL in an account",
    ),
    pytest.param(
        b'{"subscription":{"type":"channel.follow"},"event":{"user_id":"\\udc00","broadcaster_user_id":"1337",'
        b'"n":12345678901234567890}}',
        id="half a surrogate in an account",
    ),
    pytest.param(
        b'{"subscription":{"type":"channel.follow"},"event":{"user_id":"'
        + b"a" * 600
        + b'","broadcaster_user_id":"1"}}',
        id="an account of 600 characters",
    ),
    pytest.param(b'{"subscription":{"type":"channel.follow"},"event":{"user_id":{},"x":[]}}', id="objects for texts"),
    pytest.param(b'{"challenge":"\\ud83d","n":12345678901234567890}', id="half a surrogate as a challenge"),
    pytest.param(b'{"challenge":' + b'"' + b"a" * 5000 + b'"}', id="a long challenge"),
    pytest.param(b'{"challenge":"<script>\\u2028"}', id="a challenge that is not ASCII"),
    pytest.param(
        b'{"order_id":1,"id":1,"transactions":[{"amount":"1e400","kind":"refund","status":"success"}]}', id="1e400"
    ),
]


@pytest.mark.parametrize("source", ["twitch", "shop", "reviews"])
@pytest.mark.parametrize("body", UNREADABLE)
async def test_what_is_signed_is_acknowledged_and_kept_byte_for_byte_whatever_it_is(
    open_house: House, source: str, body: bytes
) -> None:
    """Signed but unreadable is our bug: a 4xx would make the platform disable the subscription."""
    headers = good(open_house, source, body)
    answer = await post(open_house, f"/webhooks/{source}", body, headers)
    assert answer.status_code == 200, answer.text
    [row] = await open_house.rows("deliveries")
    assert row["state"] in ("failed", "ignored")
    assert row["reason"]
    assert bytes(row["body"]) == body
    assert len(row["reason"]) <= 500
    assert row["reason"].isprintable(), "a reason is shown on a terminal"
    row["reason"].encode()
    await open_house.work()
    assert open_house.vendor.asked == []
    # Replayable: it is read again and says the same, and the platform's own repeat is a duplicate.
    scene = open_house.bridge.scene("operator:test")
    again = await open_house.bridge.db.transact(lambda tx: operate.replay_delivery(tx, row["id"], scene, "again"))
    assert row["state"] in again.said
    repeated = await post(open_house, f"/webhooks/{source}", body, headers)
    assert repeated.json()["status"] == "duplicate"


@pytest.mark.parametrize("topic", ["orders/paid", "refunds/create", "customers/update", "customers/create"])
@pytest.mark.parametrize(
    "poison",
    [
        pytest.param({"email": "a\x00b@example.com"}, id="NUL in an e-mail address"),
        pytest.param({"email": "\ud800@example.com"}, id="half a surrogate in an e-mail address"),
        pytest.param({"id": "\udfff"}, id="half a surrogate in an id"),
        pytest.param({"id": "7\x00"}, id="NUL in an id"),
        pytest.param({"id": 10**400}, id="an id of 400 digits"),
        pytest.param({"phone": "\x00+46\ud800"}, id="poison in a phone"),
        pytest.param({"id": "x" * 100_000}, id="an id of a hundred kilobytes"),
    ],
)
async def test_poison_in_a_customer_hurts_only_its_own_delivery(
    build_house: Builder, topic: str, poison: dict[str, Any]
) -> None:
    async with build_house(FOLLOW_RULE, ORDER_RULE, head=HEAD + MORE, variables=KEYS) as house:
        who = {"id": 7, "email": "ann@example.com", "verified_email": True, "phone": None, **poison}
        value = {**house.order_body(), "customer": who} if topic.startswith("orders") else who
        if topic == "refunds/create":
            value = {
                "id": who["id"],
                "order_id": who["id"],
                "created_at": house.clock.now.isoformat(),
                "transactions": [{"kind": "refund", "status": "success", "amount": "20.00", "currency": "EUR"}],
            }
        # The long number makes the slower reader read it, which lets half of a surrogate pair pass.
        body = json.dumps({**value, "n": 12345678901234567890}).encode()
        bad, *others = await asyncio.gather(
            post(house, "/webhooks/shop", body, signed_shop(body, topic=topic)),
            *(house.order(5100 + n, customer={"id": 100 + n, "email": None}) for n in range(20)),
        )
        assert bad.status_code == 200, bad.text
        assert {answer.status_code for answer in others} == {200}
        await house.work()
        kept = {bytes(row["body"]): row for row in await house.rows("deliveries")}
        assert kept[body]["state"] in ("failed", "processed", "ignored")
        delivered = [row for row in await house.forwards() if row["state"] == "delivered"]
        assert len(delivered) >= 20


ODD = """
[source.odd]
webhook_secret = "env:REVIEWS"
"""


async def test_what_only_the_store_finds_unfit_is_kept_as_failed_and_hurts_nobody_else(build_house: Builder) -> None:
    """A bug of a provider's is no reason to let the sender repeat for days, nor to lose what it sent."""
    head = 'plugins = ["tests.web.odd"]\n' + HEAD + ODD
    async with build_house(FOLLOW_RULE, ORDER_RULE, head=head, variables=KEYS) as house:

        async def odd(number: int) -> httpx2.Response:
            body = json.dumps({"id": number, "odd": number % 2}).encode()
            mac = hmac.new(REVIEWS.encode(), body, hashlib.sha256).hexdigest()
            return await post(house, "/webhooks/odd", body, {"content-type": "application/json", "x-odd": mac})

        answers = await asyncio.gather(*(odd(number) for number in range(40)), *(house.order(n) for n in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        rows = [row for row in await house.rows("deliveries") if row["source"] == "odd"]
        assert [json.loads(row["body"])["odd"] for row in rows if row["state"] == "failed"] == [1] * 20
        assert len(rows) == 40
        assert all("cannot be kept" in row["reason"] for row in rows if row["state"] == "failed")
        assert len(await house.forwards()) == 10
        assert (await odd(1)).json()["status"] == "duplicate"


# --- content type, method, path --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "image/png", "x", ";"],
)
async def test_a_wrong_content_type_is_415(open_house: House, kind: str) -> None:
    headers = {**signed_shop(b"{}"), "content-type": kind}
    await refused(open_house, await post(open_house, "/webhooks/shop", b"{}", headers), 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/nobody",
        "/webhooks/TWITCH",
        "/webhooks/twitch%00",
        "/webhooks/twitch%20",
        "/webhooks/%2e%2e%2fetc%2fpasswd",
        "/webhooks/..%2f..%2fbridge.toml",
        "/webhooks/twitch%2Fshop",
        "/webhooks/twitch/",
        "/webhooks/twitch/../shop/x",
        "/webhooks//twitch",
        "/webhooks/%F0%9F%92%A9",
        "/webhooks/%ff%fe",
        "/webhooks/%D9%A3",
        "/webhooks/a%0d%0aset-cookie:%20x=y",
        "/webhooks/<script>alert(1)</script>",
        "/webhooks/%1b%5b2J",
        "/webhooks/'%3B%20DROP%20TABLE%20forwards--",
        "/webhooks/{source}",
        "/webhooks/" + "a" * 5000,
        "/webhooks/__proto__",
        "/webhooks/",
        "/webhooks/*",
    ],
)
async def test_an_unknown_source_is_404_however_it_is_written(open_house: House, path: str) -> None:
    url = httpx2.URL("https://rewards.example.com").copy_with(raw_path=path.encode())
    answer = await open_house.client.post(url, content=b"{}", headers=signed_shop(b"{}"))
    row = await refused(open_house, answer, 404, "unknown_source")
    for name in ("source", "path", "detail", "method"):
        assert row[name].isprintable(), name
        assert len(row[name]) <= 500
    assert "set-cookie" not in answer.headers


async def test_a_percent_encoded_name_is_the_same_source_and_no_way_around_its_signature(open_house: House) -> None:
    url = httpx2.URL("https://rewards.example.com").copy_with(raw_path=b"/webhooks/%74witch")
    answer = await open_house.client.post(url, content=b"{}", headers={"content-type": "application/json"})
    await refused(open_house, answer, 401, "missing_header")


@pytest.mark.parametrize("source", ["twitch", "shop", "events", "reviews"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "BREW"])
async def test_what_is_no_post_is_405_where_there_is_no_handshake(open_house: House, source: str, method: str) -> None:
    body = b'{"id":"1","account":"a"}'
    url = f"/webhooks/{source}?hub.mode=subscribe&hub.challenge=1&crc_token=x&challenge=y"
    answer = await post(open_house, url, body, good(open_house, source, body), method)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert b"hub" not in answer.content  # nothing of the query comes back
    if method != "HEAD":
        await refused(open_house, answer, 405, "method_not_allowed")


async def test_a_very_long_url_is_kept_short(open_house: House) -> None:
    answer = await post(open_house, "/webhooks/shop?" + "q=" + "x" * 50_000, b"{}", {})
    row = await refused(open_house, answer, 401, "missing_header")
    assert len(row["path"]) <= 200
    assert "xxx" not in row["path"]  # a query can carry tokens


async def test_a_url_of_a_signed_delivery_is_stored_as_it_came(open_house: House) -> None:
    answer = await post(open_house, "/webhooks/shop?a=%00&b=\xc3", b"{}", signed_shop(b"{}"))
    assert answer.status_code == 200
    [row] = await open_house.rows("deliveries")
    assert row["url"].startswith("https://rewards.example.com/webhooks/shop?a=%00&b=")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/healthz/x", "/webhooks", "/%2e%2e/x", "/console", "//webhooks/x"])
async def test_anything_else_is_a_problem_in_the_same_form(open_house: House, path: str) -> None:
    url = httpx2.URL("https://rewards.example.com").copy_with(raw_path=path.encode())
    answer = await open_house.client.post(url, content=b"{}")
    assert 400 <= answer.status_code < 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == answer.status_code


# --- the list of rejections ------------------------------------------------------------------------------------


async def test_a_rejections_headers_say_what_came_and_not_what_was_in_it(open_house: House) -> None:
    headers = {
        **signed_shop(b"{}"),
        "authorization": "Bearer very-secret-token",
        "cookie": "session=very-secret-token",
        "x-api-key": "very-secret-token",
        "user-agent": "curl/8",
    }
    row = await refused(open_house, await post(open_house, "/webhooks/shop", b"{ }", headers), 401, "bad_signature")
    shown = json.loads(row["headers"])
    assert shown["user-agent"] == "curl/8"
    assert shown["x-shopify-topic"] == "orders/paid"
    assert shown["x-shopify-hmac-sha256"] == "(44 characters)"
    tells_no_secret(row, "very-secret-token", headers["x-shopify-hmac-sha256"])
    assert row["sha256"] == hashlib.sha256(b"{ }").hexdigest()
    assert row["size"] == 3


class Writes:
    """How many transactions a store has committed, by the number SQLite keeps for other connections."""

    def __init__(self, house: House) -> None:
        import sqlite3

        self.connection = sqlite3.connect(house.bridge.db.path)

    def version(self) -> int:
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])


async def test_a_flood_of_forgeries_writes_nothing_until_the_flush_and_little_then(open_house: House) -> None:
    watcher = Writes(open_house)
    before = watcher.version()
    body = b'{"id":"1","account":"a"}'
    for start in range(0, 3000, 100):
        answers = await asyncio.gather(
            *(
                post(open_house, "/webhooks/shop", body, {"x-shopify-hmac-sha256": base64.b64encode(b"%032d" % n)})
                for n in range(start, start + 100)
            )
        )
        assert {answer.status_code for answer in answers} == {401}
    assert watcher.version() == before, "a stranger took the writer's time"
    assert len(open_house.bridge.ledger.refused) <= Ledger().most
    assert len(open_house.bridge.ledger.counts) == 1
    # Good traffic is not in anybody's way.
    assert (await open_house.order()).status_code == 200
    await open_house.bridge.chores.flush()
    assert len(await open_house.rows("rejections")) <= Ledger().most
    [number] = [row for row in await open_house.rows("numbers") if row["name"] == "rejected"]
    assert (number["label"], number["value"]) == ("shop bad_signature", 3000)
    watcher.connection.close()


async def test_what_was_refused_while_nothing_could_be_written_is_written_later(open_house: House) -> None:
    import sqlite3

    open_house.bridge.db._writer.PATIENCE = 0.05
    other = sqlite3.connect(open_house.bridge.db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        await post(open_house, "/webhooks/shop", b"{}", {})
        with pytest.raises(StoreError):
            await open_house.bridge.chores.flush()
    other.execute("ROLLBACK")
    other.close()
    await open_house.bridge.chores.flush()
    assert len(await open_house.rows("rejections")) == 3
    assert (await open_house.rows("numbers"))[0]["value"] == 3


async def test_strangers_cannot_make_the_counters_grow(open_house: House) -> None:
    """A label for each made-up source would be a table that fills up."""
    for n in range(300):
        await post(open_house, f"/webhooks/made-up-{n}", b"{}", {})
    await open_house.bridge.chores.flush()
    labels = [row["label"] for row in await open_house.rows("numbers")]
    assert labels == ["(unknown) unknown_source"]


async def test_the_list_of_rejections_is_bounded_and_keeps_the_newest(open_house: House) -> None:
    row = {
        "source": "shop", "reason": "bad_signature", "detail": "", "hint": "", "method": "POST", "path": "/",
        "headers": "{}", "size": 0, "sha256": "", "at": 0,
    }  # fmt: skip
    for start in range(0, rejections.KEPT + 600, 200):
        rows = [{**row, "id": f"rej_{n:09}"} for n in range(start, start + 200)]
        await open_house.bridge.db.transact(lambda tx, rows=rows: rejections.keep(tx, rows))
    kept = await open_house.rows("rejections")
    assert len(kept) == rejections.KEPT
    assert kept[-1]["id"] == f"rej_{rejections.KEPT + 599:09}"


# --- Twitch's challenge ----------------------------------------------------------------------------------------


async def test_a_signed_challenge_is_echoed_as_plain_text(open_house: House) -> None:
    body = b'{"challenge":"pogchamp-kappa-360noscope-vohiyo","subscription":{"id":"s","type":"channel.follow"}}'
    answer = await post(open_house, "/webhooks/twitch", body, signed_twitch(open_house, body))
    assert answer.status_code == 200
    assert answer.content == b"pogchamp-kappa-360noscope-vohiyo"
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    again = await post(open_house, "/webhooks/twitch", body, signed_twitch(open_house, body))
    assert again.content == answer.content  # Twitch asks again if it did not hear us


@pytest.mark.parametrize(
    "headers",
    [{}, {"twitch-eventsub-message-type": "webhook_callback_verification"}],
    ids=["nothing", "the type's header, which is not signed"],
)
async def test_an_unsigned_challenge_is_not_echoed(open_house: House, headers: Headers) -> None:
    body = b'{"challenge":"<h1>hello</h1>"}'
    answer = await post(open_house, "/webhooks/twitch", body, {"content-type": "application/json", **headers})
    await refused(open_house, answer, 401, "missing_header")
    assert b"hello" not in answer.content


async def test_nothing_a_stranger_chose_comes_back_signed(open_house: House) -> None:
    """A handshake that signs whatever it is asked to is an oracle for forged deliveries."""
    forged = '{"challenge":"x"}'
    mac = {hmac.new(key.encode(), forged.encode(), hashlib.sha256).hexdigest() for key in (TWITCH, SHOP, REVIEWS)} | {
        base64.b64encode(hmac.digest(key.encode(), forged.encode(), "sha256")).decode()
        for key in (TWITCH, SHOP, REVIEWS)
    }
    for source in SIGNATURES:
        for query in ("crc_token", "challengeCode", "hub.challenge", "challenge", "plainToken"):
            answer = await open_house.client.get(f"/webhooks/{source}", params={query: forged})
            whole = answer.text + json.dumps(dict(answer.headers))
            assert forged not in whole
            assert not [one for one in mac if one in whole]


# --- and in between, good traffic ------------------------------------------------------------------------------


async def test_forgeries_and_good_orders_at_the_same_time(open_house: House) -> None:
    async def forge(n: int) -> int:
        answer = await post(open_house, "/webhooks/shop", b"{}", {"x-shopify-hmac-sha256": f"{n:044}"})
        return answer.status_code

    async def order(n: int) -> int:
        return (await open_house.order(7000 + n, customer={"id": n, "email": None})).status_code

    found = await asyncio.gather(*(forge(n) if n % 4 else order(n) for n in range(400)))
    assert found.count(200) == 100
    assert found.count(401) == 300
    await open_house.work()
    assert len(open_house.vendor.calls("POST", "hook.test")) == 100


async def test_a_source_that_is_only_asked_hears_nothing(build_house: Builder) -> None:
    asked_only = '[source.discord]\nclient_id = "1"\nclient_secret = "env:SHOP_SECRET"\nguild_id = "2"\n'
    async with build_house(head=HEAD + asked_only) as house:
        answer = await house.client.post("/webhooks/discord", json={})
        assert answer.status_code == 404
        await refused(house, answer, 404, "unknown_source")
