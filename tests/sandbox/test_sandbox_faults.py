"""Faults do what they say, over a real connection: whether it took effect, and what the caller saw."""

import time

import httpx2
import pytest

from bridge.sandbox.faults import KINDS, Faults, read
from bridge.sandbox.gameball import gameball
from bridge.sandbox.program import Campaign, Program
from bridge.sandbox.serving import serving

KEYS = {"apikey": "gb_test_key", "secretkey": "secret"}
SOCIAL = "/api/v4.1/integrations/customers/social-challenges"
BODY = {"customerId": "ann", "challengeId": 11664}


@pytest.fixture
def program() -> Program:
    made = Program([Campaign(id=11664, name="Follow us", points=50)])
    made.join("ann")
    return made


@pytest.fixture
async def url(program, clock):
    app = gameball(program, api_key=KEYS["apikey"], secret_key=KEYS["secretkey"], clock=clock)
    async with serving(app) as address:
        yield address


async def arm(client, url, **fault):
    assert (await client.post(f"{url}/sandbox/faults", json=fault)).status_code == 200


async def achieve(client, url):
    return await client.post(url + SOCIAL, json=BODY, headers=KEYS)


@pytest.mark.parametrize(("kind", "effect"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_dropped_connection_is_one_for_the_caller_too(client, url, program, kind, effect):
    await arm(client, url, kind=kind)
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending a response"):
        await achieve(client, url)
    assert len(program.submissions) == effect
    row = (await client.get(f"{url}/sandbox/journal")).json()["requests"][-1]
    assert (row["fault"], row["status"]) == (kind, None)


async def test_an_answer_that_breaks_off(client, url, program):
    await arm(client, url, kind="cut")
    with pytest.raises(httpx2.RemoteProtocolError, match="without sending complete message body"):
        await achieve(client, url)
    assert len(program.submissions) == 1


async def test_after_a_drop_the_next_call_is_served(client, url):
    await arm(client, url, kind="drop_before")
    with pytest.raises(httpx2.RemoteProtocolError):
        await achieve(client, url)
    assert (await achieve(client, url)).status_code == 202


@pytest.mark.parametrize(
    ("fault", "status", "effect"),
    [
        pytest.param({"kind": "500_before"}, 500, 0, id="500 and nothing happened"),
        pytest.param({"kind": "500_after"}, 500, 1, id="500 and it happened"),
        pytest.param({"kind": "503"}, 503, 0, id="503"),
        pytest.param({"kind": "429"}, 429, 0, id="429"),
        pytest.param({"kind": "revoked"}, 401, 0, id="a revoked key"),
        pytest.param({"kind": "redirect"}, 302, 0, id="a redirect"),
        pytest.param({"kind": "html"}, 200, 0, id="a page of somebody else"),
        pytest.param({"kind": "wrong_json"}, 200, 1, id="JSON of no known shape"),
        pytest.param({"kind": "says", "status": 422, "body": {"code": 2001}}, 422, 0, id="exactly this"),
    ],
)
async def test_what_is_answered_and_what_happened(client, url, program, fault, status, effect):
    await arm(client, url, **fault)
    assert (await achieve(client, url)).status_code == status
    assert len(program.submissions) == effect


@pytest.mark.parametrize("kind", ["503", "429"])
async def test_retry_after_only_where_asked_for(client, url, kind):
    await arm(client, url, kind=kind)
    await arm(client, url, kind=kind, retry_after=7)
    assert "retry-after" not in (await achieve(client, url)).headers
    assert (await achieve(client, url)).headers["retry-after"] == "7"


async def test_errors_have_the_vendors_own_shape(client, url):
    await arm(client, url, kind="revoked")
    assert (await achieve(client, url)).json()["type"] == "AUTHENTICATION_ERROR"
    await arm(client, url, kind="html")
    assert (await achieve(client, url)).headers["content-type"].startswith("text/html")


async def test_slow_takes_effect_although_the_caller_has_gone(client, url, program):
    await arm(client, url, kind="slow", seconds=0.4)
    with pytest.raises(httpx2.ReadTimeout):
        await client.post(url + SOCIAL, json=BODY, headers=KEYS, timeout=0.1)
    assert len(program.submissions) == 1


async def test_slow_answers_after_its_time(client, url):
    await arm(client, url, kind="slow_before", seconds=0.2)
    started = time.monotonic()
    assert (await achieve(client, url)).status_code == 202
    assert time.monotonic() - started >= 0.2


async def test_a_fault_that_stays_goes_when_it_is_lifted(client, url):
    await arm(client, url, kind="503", times=None)
    assert [(await achieve(client, url)).status_code for _ in range(3)] == [503, 503, 503]
    await client.delete(f"{url}/sandbox/faults")
    assert (await achieve(client, url)).status_code == 202


async def test_a_fault_for_writes_leaves_reads_alone(client, url):
    await arm(client, url, kind="drop_after", on="writes")
    assert (await client.get(f"{url}/api/v4.1/integrations/customers/ann", headers=KEYS)).status_code == 200
    with pytest.raises(httpx2.RemoteProtocolError):
        await achieve(client, url)


async def test_a_fault_that_does_not_exist_is_refused(client, url):
    answer = await client.post(f"{url}/sandbox/faults", json={"kind": "earthquake"})
    assert answer.status_code == 400
    assert "drop_after" in answer.json()["error"]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"kind": "503", "times": 0}, id="no times"),
        pytest.param({"kind": "503", "times": True}, id="a times that is no number"),
        pytest.param({"kind": "slow", "seconds": -1}, id="back in time"),
        pytest.param({"kind": "503", "on": "sundays"}, id="on what"),
        pytest.param({"kind": "503", "colour": "red"}, id="an unknown key"),
        pytest.param({"kind": "says", "status": 99}, id="no status"),
        pytest.param("503", id="not an object"),
    ],
)
def test_a_fault_is_read_strictly(given):
    with pytest.raises(ValueError):
        read(given)


def test_faults_with_a_number_come_before_those_that_stay():
    faults = Faults()
    faults.arm("503", times=None)
    faults.arm("drop_after", times=2)
    assert [faults.take("POST").kind for _ in range(4)] == ["drop_after", "drop_after", "503", "503"]


def test_every_kind_can_be_armed():
    assert {read({"kind": kind}).kind for kind in KINDS} == set(KINDS)


async def test_two_servers_beside_each_other_and_a_port_that_is_taken(client, program, clock):
    app = gameball(program, api_key="a", secret_key="b", clock=clock)
    async with serving(app) as one, serving(app) as two:
        assert one != two
        port = int(one.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with serving(app, port=port):
                pass
        assert (await client.get(f"{two}/sandbox/state")).status_code == 200
