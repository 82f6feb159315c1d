"""The receiver takes what the kit signs, once, and nothing else."""

import base64
import json

import httpx2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.kit import standard_headers
from bridge.sandbox.receiver import Inbox, fault, receiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SEED = bytes(range(32))
PRIVATE = "whsk_" + base64.b64encode(SEED).decode()
PUBLIC = "whpk_" + base64.b64encode(Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()).decode()
BODY = b'{"type":"order.paid","data":{"total":80.0}}'


@pytest.fixture
def inbox():
    return Inbox()


@pytest.fixture
async def ask(inbox, clock):
    app = receiver(inbox, [SECRET, PUBLIC], clock=clock)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://crm.test") as made:
        yield made


def headers(clock, *keys, name="fwd_1", body=BODY):
    return {**standard_headers(keys, name, clock(), body), "content-type": "application/json"}


def test_it_verifies_the_example_of_the_specification(clock):
    from datetime import UTC, datetime

    given = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert fault(given, b'{"test": 2432232314}', [SECRET], datetime.fromtimestamp(1614265330, UTC)) == ""


@pytest.mark.parametrize("key", [pytest.param(SECRET, id="v1"), pytest.param(PRIVATE, id="v1a")])
async def test_it_takes_what_the_kit_signs_and_counts_it_once(ask, inbox, clock, key):
    for new in (True, False, False):
        answer = await ask.post("/hook", content=BODY, headers=headers(clock, key))
        assert answer.json() == {"received": True, "new": new}
        clock.go(seconds=5)
    assert inbox.messages == {"fwd_1": json.loads(BODY)}
    assert (inbox.times, inbox.duplicates) == ({"fwd_1": 3}, 2)


async def test_two_signatures_while_keys_are_rotated(ask, clock):
    old = "whsec_" + base64.b64encode(b"x" * 24).decode()
    assert (await ask.post("/hook", content=BODY, headers=headers(clock, old, SECRET))).status_code == 200


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"webhook-id": "fwd_2"}, "fits no key", id="another id"),
        pytest.param({"webhook-signature": "v1,AAAA"}, "fits no key", id="another signature"),
        pytest.param({"webhook-signature": "v2,AAAA"}, "fits no key", id="an unknown version"),
        pytest.param({"webhook-signature": ""}, "are needed", id="no signature"),
        pytest.param({"webhook-timestamp": "soon"}, "not seconds", id="no time"),
    ],
)
async def test_what_it_refuses(ask, inbox, clock, change, why):
    answer = await ask.post("/hook", content=BODY, headers={**headers(clock, SECRET), **change})
    assert answer.status_code == 401
    assert why in answer.json()["error"]
    assert inbox.messages == {}


@pytest.mark.parametrize("minutes", [-6, 6])
async def test_it_refuses_the_past_and_the_future(ask, clock, minutes):
    signed = headers(clock, SECRET)
    clock.go(minutes=minutes)
    assert (await ask.post("/hook", content=BODY, headers=signed)).status_code == 401


async def test_it_misbehaves_on_request(ask, inbox, clock):
    await ask.post("/sandbox/faults", json=[{"kind": "500_after"}, {"kind": "503", "retry_after": 2}])
    assert (await ask.post("/hook", content=BODY, headers=headers(clock, SECRET))).status_code == 500
    assert (await ask.post("/hook", content=BODY, headers=headers(clock, SECRET))).headers["retry-after"] == "2"
    assert (await ask.post("/hook", content=BODY, headers=headers(clock, SECRET))).json()["new"] is False
    assert inbox.duplicates == 1
