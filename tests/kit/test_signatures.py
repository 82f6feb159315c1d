"""Signature schemes: what other people's test suites say, known answers of our own, and what must never pass."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from bridge.kit import (
    BadPayload,
    BadSignature,
    Ed25519,
    FirstPresent,
    Hmac,
    Inbound,
    MissingHeader,
    Rejected,
    Rsa,
    Scheme,
    Stale,
    StandardWebhooks,
    ed25519_fault,
    moment,
    rsa_fault,
    standard_fault,
    standard_headers,
)

from . import vectors

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
GITHUB = Hmac(header="x-hub-signature-256", prefix="sha256=")
TWITCH = Hmac(
    header="x-signature", prefix="sha256=", signed="{x-id}{x-at}{body}", sent_at="x-at", tolerance=timedelta(minutes=10)
)
STRIPE = Hmac(header="stripe-signature", pairs=",", field="v1", signed="{t}.{body}", sent_at="t")


def request(headers: Mapping[str, str], body: bytes = b'{"a":1}', **more: Any) -> Inbound:
    url = "https://bridge.example.com/webhooks/test?shop=1"
    made = Inbound(source="test", method="POST", url=url, headers=headers, body=body, received_at=NOW)
    return replace(made, **more)


def signed(scheme: Scheme, key: str, headers: Mapping[str, str] | None = None, **more: Any) -> Inbound:
    bare = request(headers or {}, **more)
    return replace(bare, headers={**bare.headers, **scheme.sign(bare, key, NOW)})


def given_vectors() -> list[vectors.Vector]:
    folder = os.environ.get("BRIDGE_TEST_VECTORS")
    return list(vectors.read(Path(folder))) if folder else []


EXTERNAL = given_vectors()
needs_vectors = pytest.mark.skipif(
    not EXTERNAL, reason="BRIDGE_TEST_VECTORS names no folder with other people's vectors"
)


@needs_vectors
def test_the_vectors_have_not_become_fewer() -> None:
    assert len(EXTERNAL) >= 274
    assert sum(not vector.valid for vector in EXTERNAL) >= 90


@needs_vectors
@pytest.mark.parametrize("vector", EXTERNAL, ids=[vector.name for vector in EXTERNAL])
def test_other_peoples_vectors(vector: vectors.Vector) -> None:
    if vector.valid:
        vector.scheme.verify(vector.inbound, vector.keys, vector.now)
    else:
        with pytest.raises(Rejected):
            vector.scheme.verify(vector.inbound, vector.keys, vector.now)


def test_githubs_documented_answer() -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    known = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    GITHUB.verify(request({"x-hub-signature-256": known}, b"Hello, World!"), ["It's a Secret to Everybody"], NOW)


def test_slacks_documented_answer() -> None:
    # https://api.slack.com/authentication/verifying-requests-from-slack
    scheme = Hmac(header="x-slack-signature", prefix="v0=", signed="v0:{x-time}:{body}", sent_at="x-time")
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    known = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    at = datetime.fromtimestamp(1531420618, UTC)
    scheme.verify(
        request({"x-slack-signature": known, "x-time": "1531420618"}, body), ["8f742231b10e8888abcd99yyyzzz85a5"], at
    )


def test_standard_webhooks_documented_answer() -> None:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = datetime.fromtimestamp(1614265330, UTC)
    StandardWebhooks().verify(request(headers, b'{"test": 2432232314}'), [SECRET], at)


def test_an_rfc_8032_signature_is_taken() -> None:
    # RFC 8032 section 7.1, test 3
    key = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    known = (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    Ed25519(header="x-signature").verify(request({"x-signature": known}, bytes.fromhex("af82")), [key], NOW)


def ed25519_keys() -> tuple[bytes, bytes]:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    return bytes(range(32)), private.public_key().public_bytes_raw()


SEED, PUBLIC = ed25519_keys()


def rsa_keys() -> tuple[str, str, str]:
    private = generate_private_key(65537, 2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    shown = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = private.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), shown.decode(), base64.b64encode(der).decode()


RSA_PRIVATE, RSA_PEM, RSA_DER = rsa_keys()
IDS = {"x-id": "evt_1", "webhook-id": "msg_1"}


@pytest.mark.parametrize(
    ("scheme", "private", "public"),
    [
        pytest.param(GITHUB, "key", "key", id="hex with a prefix"),
        pytest.param(Hmac(header="x-signature", encoding="base64"), "key", "key", id="base64"),
        pytest.param(Hmac(header="x-signature", encoding="base64url"), "key", "key", id="base64url without padding"),
        pytest.param(Hmac(header="x-signature", digest="sha512"), "key", "key", id="another digest"),
        pytest.param(Hmac(header="x-signature", key="hex"), "6b6579", "6b6579", id="a key in hex"),
        pytest.param(Hmac(header="x-signature", key="base64"), "a2V5", "a2V5", id="a key in base64"),
        pytest.param(Hmac(header="x-signature", signed="{method} {url} {body}"), "key", "key", id="method and url"),
        pytest.param(TWITCH, "key", "key", id="headers and time with nothing between"),
        pytest.param(STRIPE, "key", "key", id="time and signature as pairs in one header"),
        pytest.param(
            Hmac(header="x-signature", signed="{timestamp}.{body}", sent_at="timestamp"),
            *("key", "key"),
            id="a time header without a dash",
        ),
        pytest.param(Ed25519(header="x-signature"), SEED.hex(), PUBLIC.hex(), id="Ed25519"),
        pytest.param(
            Rsa(header="x-signature", signed="{x-id}.{body}"), RSA_PRIVATE, RSA_PEM, id="RSA with a key as PEM"
        ),
        pytest.param(Rsa(header="x-signature"), RSA_PRIVATE, RSA_DER, id="RSA with a key as base64"),
        pytest.param(StandardWebhooks(), SECRET, SECRET, id="Standard Webhooks v1"),
        pytest.param(
            StandardWebhooks(),
            f"whsk_{base64.b64encode(SEED).decode()}",
            f"whpk_{base64.b64encode(PUBLIC).decode()}",
            id="Standard Webhooks v1a",
        ),
        pytest.param(StandardWebhooks(plain=True), "a plain text", "a plain text", id="Standard Webhooks, plain key"),
        pytest.param(FirstPresent((Hmac(header="x-new"), Hmac(header="x-old"))), "key", "key", id="two families"),
    ],
)
def test_what_we_sign_we_take_and_nothing_else(scheme: Scheme, private: str, public: str) -> None:
    good = signed(scheme, private, IDS)
    scheme.verify(good, [public], NOW)
    with pytest.raises(BadSignature):
        scheme.verify(replace(good, body=good.body + b" "), [public], NOW)
    with pytest.raises(BadSignature):
        scheme.verify(good, [], NOW)


def test_any_of_several_secrets_fits_while_they_are_rotated() -> None:
    for old in ("new", "old"):
        GITHUB.verify(signed(GITHUB, old), ["new", "old"], NOW)
    with pytest.raises(BadSignature, match="none of 2"):
        GITHUB.verify(signed(GITHUB, "other"), ["new", "old"], NOW)


@pytest.mark.parametrize(
    ("apart", "refused"),
    [
        pytest.param(timedelta(minutes=10), "", id="at the edge it is fresh"),
        pytest.param(timedelta(minutes=10, seconds=1), "too old", id="past the edge it is too old"),
        pytest.param(timedelta(minutes=-10, seconds=-1), "in the future", id="before the edge it is in the future"),
    ],
)
def test_a_signed_time_is_judged_both_ways(apart: timedelta, refused: str) -> None:
    good = signed(TWITCH, "key", IDS)
    if refused:
        with pytest.raises(Stale, match=refused):
            TWITCH.verify(good, ["key"], NOW + apart)
    else:
        TWITCH.verify(good, ["key"], NOW + apart)


def test_a_wrong_signature_is_no_matter_of_time() -> None:
    late = signed(TWITCH, "key", IDS)
    with pytest.raises(BadSignature) as refused:
        TWITCH.verify(late, ["other"], NOW + timedelta(days=1))
    assert not isinstance(refused.value, Stale)


def test_a_missing_signature_is_401_and_another_missing_header_is_400() -> None:
    with pytest.raises(MissingHeader) as refused:
        TWITCH.verify(request({}), ["key"], NOW)
    assert refused.value.status == 401
    good = signed(TWITCH, "key", IDS)
    with pytest.raises(MissingHeader) as refused:
        TWITCH.verify(
            replace(good, headers={name: v for name, v in good.headers.items() if name != "x-id"}), ["key"], NOW
        )
    assert refused.value.status == 400


def test_the_first_family_decides_alone() -> None:
    both = FirstPresent((Hmac(header="x-new"), Hmac(header="x-old")))
    good = signed(Hmac(header="x-old"), "key")
    both.verify(good, ["key"], NOW)
    with pytest.raises(BadSignature):
        both.verify(replace(good, headers={**good.headers, "x-new": "00" * 32}), ["key"], NOW)


def test_the_headers_that_decide_about_trust_are_named() -> None:
    assert TWITCH.headers == {"x-signature", "x-id", "x-at"}
    assert STRIPE.headers == {"stripe-signature"}
    assert Hmac(header="signature", signed="{timestamp}.{body}", sent_at="timestamp").headers == {
        "signature",
        "timestamp",
    }
    assert Hmac(header="x-signature", signed="{X-Time}.{body}").headers == {"x-signature", "x-time"}


def test_an_unsigned_id_beside_another_familys_signature_is_refused() -> None:
    scheme = StandardWebhooks()
    svix = standard_headers([SECRET], "msg_1", NOW, b"{}", family="svix")
    scheme.verify(request(svix, b"{}"), [SECRET], NOW)
    with pytest.raises(MissingHeader) as refused:
        scheme.verify(request({**svix, "webhook-id": "msg_2"}, b"{}"), [SECRET], NOW)
    assert refused.value.status == 401


def test_a_version_we_hold_no_key_for_is_passed_over() -> None:
    good = standard_headers([SECRET], "msg_1", NOW, b"{}")
    mixed = f"v2,AAAA v1a,AAAA {good['webhook-signature']}"
    StandardWebhooks().verify(request({**good, "webhook-signature": mixed}, b"{}"), [SECRET], NOW)
    with pytest.raises(BadSignature, match="no readable v1 signature"):
        StandardWebhooks().verify(
            request({**good, "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,")}, b"{}"),
            [SECRET],
            NOW,
        )


def test_the_reference_library_takes_what_we_sign() -> None:
    now = datetime.now(UTC)  # the library has no other clock
    body = json.dumps({"type": "points.earned", "data": {"name": "Zoë"}}, ensure_ascii=False).encode()
    headers = dict(standard_headers(["whsec_" + base64.b64encode(b"n" * 32).decode(), SECRET], "fwd_1", now, body))
    assert standardwebhooks.Webhook(SECRET).verify(body, headers)["data"] == {"name": "Zoë"}


def test_we_take_what_the_reference_library_signs() -> None:
    body = '{"type":"review.created"}'
    made = standardwebhooks.Webhook(SECRET).sign(msg_id="msg_1", timestamp=NOW, data=body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(NOW.timestamp())), "webhook-signature": made}
    StandardWebhooks().verify(request(headers, body.encode()), [SECRET], NOW)


@pytest.mark.parametrize(
    ("key", "signs", "said"),
    [
        pytest.param(SECRET, True, "", id="a whsec_ key signs"),
        pytest.param(SECRET.removeprefix("whsec_"), True, "", id="its prefix may be left out"),
        pytest.param("whsec_%%%", True, "followed by base64", id="not base64"),
        pytest.param("whsec_YWJj", True, "has 3 bytes", id="too short"),
        pytest.param("", True, "has 0 bytes", id="empty"),
        pytest.param("whpk_" + base64.b64encode(PUBLIC).decode(), True, "cannot sign", id="a public key signs nothing"),
        pytest.param("whpk_" + base64.b64encode(PUBLIC).decode(), False, "", id="a public key verifies"),
        pytest.param("whsk_" + base64.b64encode(SEED).decode(), True, "", id="a private key signs"),
        pytest.param("whsk_" + base64.b64encode(SEED + PUBLIC).decode(), True, "", id="with its public half beside it"),
        pytest.param("whsk_" + base64.b64encode(SEED).decode(), False, "private", id="a private key verifies nothing"),
        pytest.param("whpk_YWJj", False, "has 3 bytes", id="a public key of three bytes"),
    ],
)
def test_a_standard_webhooks_key_is_judged_in_words(key: str, signs: bool, said: str) -> None:
    fault = standard_fault(key, signs=signs)
    assert (said in fault) if said else fault == ""


def test_public_keys_are_judged_in_words() -> None:
    assert rsa_fault(RSA_PEM) == rsa_fault(RSA_DER) == ""
    assert "not an RSA public key" in rsa_fault("hello")
    assert "not an RSA public key" in rsa_fault(RSA_PRIVATE)
    small = generate_private_key(65537, 1024).public_key()
    pem = small.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    assert "1024 bits" in rsa_fault(pem)
    assert ed25519_fault(PUBLIC.hex(), "hex") == ""
    assert "not hex" in ed25519_fault("xyz", "hex")
    assert "has 3 bytes" in ed25519_fault("abcdef", "hex")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"header": "X-Signature"}, "lower case", id="a header in capitals"),
        pytest.param({"header": "x", "signed": "{x-id}"}, "proves nothing", id="a template without the body"),
        pytest.param({"header": "x", "sent_at": "x-time"}, "not signed", id="a time that is not signed"),
        pytest.param({"header": "x", "pairs": ","}, "go together", id="pairs without the signature's name"),
        pytest.param({"header": "x", "field": "v1"}, "go together", id="the signature's name without pairs"),
        pytest.param({"header": "x", "signed": "{body!r}"}, "between braces", id="a conversion"),
        pytest.param({"header": "x", "signed": "{body:>9}"}, "between braces", id="a format"),
        pytest.param({"header": "x", "signed": "{}{body}"}, "between braces", id="nothing between braces"),
        pytest.param({"header": "x", "signed": "{body"}, "expected", id="a brace that does not close"),
    ],
)
def test_a_scheme_that_would_prove_nothing_cannot_be_made(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Hmac(**options)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        pytest.param("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), id="seconds"),
        pytest.param("1700000000500", datetime(2023, 11, 14, 22, 13, 20, 500000, UTC), id="milliseconds"),
        pytest.param("2023-11-14T22:13:20Z", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), id="ISO 8601"),
        pytest.param("2023-11-14T23:13:20+01:00", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), id="with a zone"),
        pytest.param("2023-11-14T22:13:20", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), id="without one: UTC"),
        pytest.param(
            "2020-07-15T18:16:11.17106713Z", datetime(2020, 7, 15, 18, 16, 11, 171067, UTC), id="eight digits"
        ),
        pytest.param("", None, id="empty"),
        pytest.param("soon", None, id="words"),
        pytest.param("-5", None, id="negative"),
        pytest.param("99999999999999999999", None, id="beyond all time"),
        pytest.param("١٧٠٠٠٠٠٠٠٠", None, id="digits of another script"),
        pytest.param("2023-11-14T25:00:00Z", None, id="an hour that is none"),
    ],
)
def test_a_moment_is_read_or_refused(text: str, seen: datetime | None) -> None:
    if seen is None:
        with pytest.raises(BadPayload):
            moment(text)
    else:
        assert moment(text) == seen


def spoil(change: Callable[[str], str]) -> Callable[[Inbound], Inbound]:
    return lambda good: replace(good, headers={**good.headers, "x-signature": change(good.headers["x-signature"])})


def shifted(good: Inbound) -> Inbound:
    """Moves the last character of the id into the time: what is signed stays the same."""
    name, at = good.headers["x-id"], good.headers["x-at"]
    return replace(good, headers={**good.headers, "x-id": name[:-1], "x-at": name[-1] + at})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(spoil(lambda text: text.removeprefix("sha256=")), id="without the prefix"),
        pytest.param(spoil(lambda text: f"sha1={text.removeprefix('sha256=')}"), id="with another prefix"),
        pytest.param(spoil(lambda text: "sha256="), id="the prefix alone"),
        pytest.param(spoil(lambda text: text[:-2]), id="one byte short"),
        pytest.param(spoil(lambda text: text[:-1]), id="half a byte short"),
        pytest.param(spoil(lambda text: f"{text}00"), id="one byte long"),
        pytest.param(spoil(lambda text: f"{text[:20]}\t{text[20:]}"), id="white space inside"),
        pytest.param(spoil(lambda text: text.replace("a", "á")), id="not ASCII"),
        pytest.param(spoil(lambda text: "sha256=" + "☃" * 64), id="not even Latin-1"),
        pytest.param(spoil(lambda text: "sha256=" + "z" * 64), id="not hex"),
        pytest.param(spoil(lambda text: "sha256=" + "0" * 64), id="all zero"),
        pytest.param(spoil(lambda text: f"{text}\x00"), id="with NUL"),
        pytest.param(lambda good: replace(good, body=b""), id="without the body"),
        pytest.param(
            lambda good: replace(good, headers={**good.headers, "x-id": "☃"}), id="an id that no header can hold"
        ),
        pytest.param(shifted, id="the border between id and time moved"),
    ],
)
def test_what_is_malformed_is_refused_and_crashes_nothing(change: Callable[[Inbound], Inbound]) -> None:
    with pytest.raises(Rejected):
        TWITCH.verify(change(signed(TWITCH, "key", IDS)), ["key"], NOW)


def test_upper_case_hex_and_several_signatures_are_taken() -> None:
    body = b'{"a":1}'
    mac = hmac.new(b"key", body, hashlib.sha256).hexdigest()
    GITHUB.verify(request({"x-hub-signature-256": f"sha256={mac.upper()}"}, body), ["key"], NOW)
    listed = Hmac(header="x-signature", prefix="v1,", separator=" ")
    listed.verify(request({"x-signature": f"v1,{'0' * 64} v2,zz v1,{mac}"}, body), ["key"], NOW)
