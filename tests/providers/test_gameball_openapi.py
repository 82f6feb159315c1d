"""Gameball: every call that can leave is one that its pages describe, byte for byte and header for header.

What they say about those calls stands in gameball_openapi.yaml. Where `BRIDGE_TEST_SEEDS` names a folder with
Gameball's own page, its own description judges too.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from werkzeug.datastructures import Headers, ImmutableMultiDict

from bridge.kit import Customer, Forward, Kind, Outcome, Talk, Verdict, standard_headers
from bridge.sandbox.gameball import gameball
from bridge.sandbox.program import Campaign, Program
from bridge.talk import Talker
from providers.loyalty.gameball import target

HERE = Path(__file__).parent
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEYS = {"api_key": "gb_test_key", "secret_key": "gb_secret"}
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ANN = Customer(id="till 17/ö", email="ann@example.com", phone="+46701234567")
FORWARD = Forward(
    id="fwd_1",
    rule="twitch-follow",
    send="gameball",
    target="gameball",
    customer=ANN,
    options={"challenge_id": 11664},
    source="twitch",
    action="follow",
    subject="1337",
    facts={},
    occurred_at=NOW,
    created_at=NOW,
    attempts=1,
)
#: What takes it back, an hour later.
CLAW = replace(FORWARD, id="fwd_2", kind=Kind.UNDO, undoes="fwd_1", created_at=NOW + timedelta(hours=1))


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Wire(httpx2.AsyncBaseTransport):
    """A stand-in at the other end. Keeps what passes; a connection that is hung up is one for the caller too."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx2.ASGITransport(app=app)
        self.passed: list[tuple[httpx2.Request, httpx2.Response]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            answer = await self._inner.handle_async_request(request)
            body = await answer.aread()
        except ConnectionResetError as error:
            raise httpx2.ReadError(str(error)) from error
        kept = httpx2.Response(answer.status_code, headers=answer.headers, content=body)
        self.passed.append((request, kept))
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body)


def stand_in(program: Program, clock: Callable[[], datetime], **more: Any) -> Any:
    return gameball(program, **KEYS, clock=clock, **more)


async def hold(wire: Wire, talk: Talk[Any], forward: Forward, clock: Clock, seconds: float = 20) -> Any:
    """What the engine's own talker and headers make of a provider's talk."""

    def sign(body: bytes) -> dict[str, str]:
        return {**standard_headers([SIGNING], forward.id, clock(), body), "idempotency-key": forward.id}

    talker = Talker(wire, clock, "LoyaltyBridge/test")
    return await talker.hold(talk, within=timedelta(seconds=seconds), sign=sign)


async def everything(merge_by: str, version: str) -> Wire:
    """Every conversation there is, in the order of a reward's life, against the stand-in."""
    clock = Clock()
    campaign = Campaign(id=11664, name="Follow us", points=50, starts=NOW - timedelta(days=1))
    program = Program([campaign], merge_by=merge_by, delay=timedelta(minutes=3))  # type: ignore[arg-type]
    wire = Wire(stand_in(program, clock))
    settings = {**KEYS, "version": version, "merge_by": merge_by}
    for talk in (target.baseline, target.reconcile, target.granted, target.create, target.undo, target.probe):
        assert talk is not None
    assert await hold(wire, target.probe([FORWARD.options], settings), FORWARD, clock) == []
    missing = await hold(wire, target.send(FORWARD, settings), FORWARD, clock)
    assert missing.missing
    assert (await hold(wire, target.create(FORWARD, settings), FORWARD, clock)).verdict is Verdict.DONE
    before = await hold(wire, target.baseline(FORWARD, settings), FORWARD, clock)
    assert before == "0"
    assert (await hold(wire, target.send(FORWARD, settings), FORWARD, clock)).verdict is Verdict.ACCEPTED
    assert (await hold(wire, target.granted(FORWARD, before, settings), FORWARD, clock)).verdict is Verdict.LATER
    clock.now += timedelta(minutes=5)
    for ask in (target.granted, target.reconcile):
        seen: Outcome = await hold(wire, ask(FORWARD, before, settings), FORWARD, clock)
        assert (seen.verdict, seen.left, seen.shown["points"]) == (Verdict.DONE, "1", 50.0)
    clock.now = CLAW.created_at
    points = await hold(wire, target.baseline(CLAW, settings), CLAW, clock)
    taken = await hold(wire, target.undo(replace(CLAW, baseline=points), settings), CLAW, clock)
    assert taken.verdict is Verdict.DONE
    again = await hold(wire, target.undo(replace(CLAW, baseline=points), settings), CLAW, clock)
    assert again.verdict is Verdict.DUPLICATE
    assert (await hold(wire, target.reconcile(CLAW, points, settings), CLAW, clock)).verdict is Verdict.DONE
    assert program.points(ANN.id or "") == 0
    return wire


class Asked:
    """A request that was sent, as openapi-core reads one."""

    def __init__(self, request: httpx2.Request) -> None:
        self.method = request.method.lower()
        self.body = request.content or None
        self.content_type = request.headers.get("content-type", "")
        self.host_url = f"{request.url.scheme}://{request.url.host}"
        self.path = request.url.raw_path.decode().partition("?")[0]
        self.parameters = RequestParameters(
            header=Headers(request.headers.multi_items()), query=ImmutableMultiDict(request.url.params.multi_items())
        )


class Answered:
    """An answer that came, as openapi-core reads one."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status_code = response.status_code
        self.data = response.content
        self.content_type = response.headers.get("content-type", "")
        self.headers = Headers(response.headers.multi_items())


def written() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HERE / "gameball_openapi.yaml").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def described() -> OpenAPI:
    return OpenAPI.from_dict(written())


VERSIONS = pytest.mark.parametrize("version", ["v4.0", "v4.1"])
MERGING = pytest.mark.parametrize("merge_by", ["none", "email", "mobile"])


@VERSIONS
@MERGING
async def test_every_call_and_every_answer_of_the_stand_in_is_as_described(
    described: OpenAPI, version: str, merge_by: str
) -> None:
    seen = set()
    for request, response in (await everything(merge_by, version)).passed:
        asked = Asked(request)
        described.validate_request(asked)
        described.validate_response(asked, Answered(response))
        path = re.sub(r"/customers/[^/]+/reward", "/customers/{customerId}/reward", asked.path)
        seen.add((path.removeprefix(f"/api/{version}/integrations"), asked.method))
    assert seen == {(path, method) for path, methods in written()["paths"].items() for method in methods}


@VERSIONS
@MERGING
async def test_what_merges_profiles_goes_with_every_call_that_changes_something(version: str, merge_by: str) -> None:
    posted = [request for request, _ in (await everything(merge_by, version)).passed if request.method == "POST"]
    assert len(posted) == 5
    for request in posted:
        names = set(re.findall(rb'"(email|mobile)":', request.content))
        upsert = {b"email", b"mobile"} if request.url.path.endswith("/customers") else set()
        assert names == upsert | ({merge_by.encode()} - {b"none"})


async def test_every_call_carries_both_keys_a_signature_and_no_more_than_it_must() -> None:
    for request, _ in (await everything("none", "v4.1")).passed:
        assert (request.headers["apikey"], request.headers["secretkey"]) == (KEYS["api_key"], KEYS["secret_key"])
        assert request.headers["webhook-id"] in ("fwd_1", "fwd_2")
        assert request.headers["webhook-signature"].startswith("v1,")
        assert request.headers["idempotency-key"] == request.headers["webhook-id"]
        assert ("content-type" in request.headers) == (request.method == "POST")
        assert "authorization" not in request.headers
        assert "cookie" not in request.headers


async def test_a_plus_is_encoded_and_an_id_stays_one_segment() -> None:
    lines = [str(request.url.raw_path, "ascii") for request, _ in (await everything("none", "v4.1")).passed]
    assert any("direction=%2B&" in line for line in lines)
    assert not any("direction=+" in line for line in lines)
    assert any("/customers/till%2017%2F%C3%B6/reward-campaigns-progress?campaignId=11664" in line for line in lines)


BODY = {"customerId": "customer_123", "challengeId": 11664}
MANUAL = {"customerId": "c", "transactionId": "fwd_2", "username": "u", "reason": "r", "points": -50}


@pytest.mark.parametrize(
    ("path", "change"),
    [
        pytest.param("/customers/social-challenges", {"challengeId": None}, id="no campaign"),
        pytest.param("/customers/social-challenges", {"challengeId": "11664"}, id="a campaign as a text"),
        pytest.param("/customers/social-challenges", {"challengeId": 0}, id="campaign 0"),
        pytest.param("/customers/social-challenges", {"customerId": None}, id="no customer"),
        pytest.param("/customers/social-challenges", {"customerId": 123}, id="a customer as a number"),
        pytest.param("/customers/social-challenges", {"customerId": "x" * 101}, id="a customer that is too long"),
        pytest.param("/customers/social-challenges", {"mobile": "0701234567"}, id="a number that is not E.164"),
        pytest.param("/customers/social-challenges", {"points": 50}, id="a field that no page knows"),
        pytest.param("/transactions/manual", {"transactionId": None}, id="a deduction without an id"),
        pytest.param("/transactions/manual", {"points": 50}, id="a deduction that gives"),
        pytest.param("/transactions/manual", {"points": -0.5}, id="half a point"),
    ],
)
def test_the_description_does_refuse_what_is_wrong(described: OpenAPI, path: str, change: dict[str, Any]) -> None:
    good = BODY if "social" in path else MANUAL
    described.validate_request(Asked(post(path, good)))
    wrong = {name: value for name, value in {**good, **change}.items() if value is not None}
    with pytest.raises(Exception, match=r"[Rr]equest body"):
        described.validate_request(Asked(post(path, wrong)))


@pytest.mark.parametrize("name", ["apikey", "secretkey"])
def test_the_description_does_refuse_a_call_without_a_key(described: OpenAPI, name: str) -> None:
    request = post("/customers/social-challenges", BODY)
    del request.headers[name]
    with pytest.raises(Exception, match=r"[Ss]ecurity"):
        described.validate_request(Asked(request))


def post(path: str, body: dict[str, Any]) -> httpx2.Request:
    headers = {"apikey": "a", "secretkey": "b"}
    return httpx2.Request("POST", f"https://api.gameball.co/api/v4.1/integrations{path}", json=body, headers=headers)


# Gameball's own page


def published() -> dict[str, Any]:
    """The description inside Gameball's own page about this call."""
    folder = os.environ.get("BRIDGE_TEST_SEEDS")
    if not folder:
        pytest.skip("BRIDGE_TEST_SEEDS names no folder with Gameball's page")
    for path in sorted(Path(folder).glob("*.txt")):
        found = re.search(r"````yaml[^\n]*social-challenges[^\n]*\n(.*?)````", path.read_text("utf-8"), re.DOTALL)
        if found:
            page: dict[str, Any] = yaml.safe_load(found[1])
            [(where, what)] = page["paths"].items()
            # "This endpoint is available on v4.0 and v4.1", and the description names the first alone.
            again = copy.deepcopy(what)
            del again["post"]["operationId"]
            page["paths"][where.replace("v4.0", "v4.1")] = again
            return page
    raise AssertionError("no page there describes social-challenges")


@VERSIONS
@MERGING
async def test_the_award_is_valid_by_gameballs_own_description(version: str, merge_by: str) -> None:
    theirs = OpenAPI.from_dict(published())
    awards = [
        (request, response)
        for request, response in (await everything(merge_by, version)).passed
        if request.url.path.endswith("/social-challenges")
    ]
    assert [response.status_code for _, response in awards] == [404, 202]
    for request, response in awards:
        theirs.validate_request(Asked(request))
        theirs.validate_response(Asked(request), Answered(response))


def test_their_description_does_refuse_what_is_wrong() -> None:
    theirs = OpenAPI.from_dict(published())
    theirs.validate_request(Asked(post("/customers/social-challenges", BODY)))
    with pytest.raises(Exception, match=r"[Rr]equest body"):
        theirs.validate_request(Asked(post("/customers/social-challenges", {"customerId": "customer_123"})))


def test_what_is_written_down_here_is_what_their_description_says() -> None:
    ours, theirs = (
        page["paths"][path]["post"]
        for page, path in (
            (written(), "/customers/social-challenges"),
            (published(), "/api/v4.0/integrations/customers/social-challenges"),
        )
    )
    said, says = (one["requestBody"]["content"]["application/json"]["schema"] for one in (ours, theirs))
    assert sorted(said["required"]) == sorted(says["required"])
    assert said["properties"].keys() == says["properties"].keys()
    for name, bounds in says["properties"].items():
        facts = {key: value for key, value in bounds.items() if key not in ("description", "example")}
        mine = said["properties"][name]
        if "$ref" in mine:
            mine = written()["components"]["schemas"][mine["$ref"].rpartition("/")[2]]
        assert facts.items() <= mine.items(), name
    [(taken, _)] = [(status, one) for status, one in theirs["responses"].items() if status.startswith("2")]
    assert taken in ours["responses"]
    fields = theirs["responses"][taken]["content"]["application/json"]["schema"]["properties"]
    assert fields.keys() == ours["responses"][taken]["content"]["application/json"]["schema"]["properties"].keys()
