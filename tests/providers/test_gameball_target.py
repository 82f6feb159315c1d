"""Gameball: what is sent, and what each of its answers means for us."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters

from bridge.kit import Attempt, Customer, Forward, Request, Response, Unavailable, Verdict
from providers.loyalty.gameball import target

from .playing import play

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = {"api_key": "gb_test_key", "secret_key": "gb_secret", "version": "v4.1", "merge_by": "none"}
FORWARD = Forward(
    id="fwd_1",
    rule="twitch-follow",
    send="gameball",
    target="gameball",
    customer=Customer(id="customer_123", email="ann@example.com", phone="+46701234567"),
    options={"challenge_id": 11664},
    source="twitch",
    action="follow",
    subject="1337",
    facts={},
    occurred_at=NOW,
    created_at=NOW,
    attempts=2,
)
EARLIER = Attempt(
    forward="fwd_1",
    number=1,
    leased_at=NOW,
    lease_until=NOW,
    sent_at=NOW,
    baseline="0",
)
HTML = b"<!doctype html><title>Just a moment...</title>"


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, raw, headers=headers, at=NOW + timedelta(minutes=1))


def problem(code: int, message: str = "") -> Mapping[str, Any]:
    return {"code": code, "type": "GENERAL_ERROR", "message": message, "documentationUrl": "...", "requestId": "r1"}


REPEATED = problem(4000, "can't send this action multiple times")


def sent(forward: Forward = FORWARD, **settings: str) -> Request:
    _, asked = play(target.send(forward, {**SETTINGS, **settings}), answer(202, {"customerId": "c", "challengeId": 1}))
    return asked[0]


def test_the_award_is_what_their_page_shows() -> None:
    request = sent()
    assert request.method == "POST"
    assert request.url == "https://api.gameball.co/api/v4.1/integrations/customers/social-challenges"
    assert request.headers == {"apikey": "gb_test_key", "secretkey": "gb_secret"}
    assert request.json == {"customerId": "customer_123", "challengeId": 11664}
    assert not request.harmless


@pytest.mark.parametrize(
    ("settings", "customer", "more"),
    [
        pytest.param({"merge_by": "email"}, FORWARD.customer, {"email": "ann@example.com"}, id="merged by email"),
        pytest.param({"merge_by": "mobile"}, FORWARD.customer, {"mobile": "+46701234567"}, id="merged by mobile"),
        pytest.param({"merge_by": "email"}, Customer(id="customer_123"), {}, id="an email nobody knows is left out"),
    ],
)
def test_what_merges_profiles_goes_with_every_call(
    settings: dict[str, str], customer: Customer, more: dict[str, str]
) -> None:
    request = sent(replace(FORWARD, customer=customer), **settings)
    assert request.json == {"customerId": "customer_123", "challengeId": 11664, **more}


def test_another_address_and_version_are_obeyed() -> None:
    request = sent(base_url="http://127.0.0.1:9000/", version="v4.0")
    assert request.url == "http://127.0.0.1:9000/api/v4.0/integrations/customers/social-challenges"


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_customer_id_it_would_refuse_is_never_sent(name: str) -> None:
    outcome, asked = play(target.send(replace(FORWARD, customer=Customer(id=name)), SETTINGS))
    assert outcome.verdict is Verdict.REFUSED
    assert not asked


ANSWERS = [
    pytest.param(202, {"customerId": "customer_123", "challengeId": 11664}, Verdict.ACCEPTED, "accepted", id="202"),
    pytest.param(200, {"customerId": "customer_123"}, Verdict.ACCEPTED, "accepted", id="200, as good as 202"),
    pytest.param(
        202,
        {"customerId": "customer_123", "gameballStatus": "disabled", "message": "Gameball is disabled"},
        *(Verdict.MISCONFIGURED, "switched off"),
        id="202 while the program is off",
    ),
    pytest.param(202, HTML, Verdict.UNCLEAR, "not its JSON", id="202 and a page"),
    pytest.param(202, None, Verdict.UNCLEAR, "not its JSON", id="202 and nothing"),
    pytest.param(202, ["ok"], Verdict.UNCLEAR, "not its JSON", id="202 and a list"),
    pytest.param(302, None, Verdict.MISCONFIGURED, "base_url is wrong", id="a redirect"),
    pytest.param(304, None, Verdict.MISCONFIGURED, "base_url is wrong", id="not modified"),
    pytest.param(400, problem(3000, "customer id is missing"), Verdict.REFUSED, "3000 customer id", id="400/3000"),
    pytest.param(400, REPEATED, Verdict.REFUSED, "somebody else submitted", id="400/4000, and none of ours"),
    pytest.param(400, problem(4000, "failed"), Verdict.REFUSED, "4000 failed", id="400/4000 for another reason"),
    pytest.param(400, problem(4500, "failed"), Verdict.REFUSED, "4500 failed", id="400/4500"),
    pytest.param(400, problem(3004, "not eligible"), Verdict.REFUSED, "not eligible", id="400/3004"),
    pytest.param(400, problem(3016, "malformed"), Verdict.REFUSED, "malformed", id="400/3016"),
    pytest.param(400, problem(2001), Verdict.LATER, "at work", id="400/2001"),
    pytest.param(422, problem(2001, "concurrent"), Verdict.LATER, "at work", id="422/2001"),
    pytest.param(
        422, problem(3999, "another concurrent request"), Verdict.LATER, "at work", id="concurrent, under another code"
    ),
    pytest.param(400, {"error": 400, "message": "no"}, Verdict.REFUSED, "400 no", id="400 in the other shape"),
    pytest.param(400, HTML, Verdict.REFUSED, "refused", id="400 and a page"),
    pytest.param(
        400, problem(4001, "this API version is not allowed"), Verdict.MISCONFIGURED, "refuses", id="the version"
    ),
    pytest.param(400, problem(4001, "no conversion"), Verdict.REFUSED, "refused", id="a word that holds 'version'"),
    pytest.param(401, problem(1006, "missing the secret key."), Verdict.MISCONFIGURED, "1006", id="401/1006"),
    pytest.param(401, problem(1000), Verdict.MISCONFIGURED, "1000", id="401/1000"),
    pytest.param(401, problem(1001), Verdict.MISCONFIGURED, "1001", id="401/1001"),
    pytest.param(401, None, Verdict.MISCONFIGURED, "401", id="401 and nothing"),
    pytest.param(403, problem(1002), Verdict.MISCONFIGURED, "1002", id="403/1002"),
    pytest.param(403, problem(6003), Verdict.MISCONFIGURED, "6003", id="403/6003"),
    pytest.param(403, problem(8000), Verdict.MISCONFIGURED, "8000", id="403/8000"),
    pytest.param(403, HTML, Verdict.MISCONFIGURED, "403", id="403 and a firewall's page"),
    pytest.param(404, problem(4004, "customer does not exist"), Verdict.REFUSED, "4004", id="404/4004"),
    pytest.param(404, problem(7000), Verdict.REFUSED, "7000", id="404/7000"),
    pytest.param(404, problem(9002), Verdict.REFUSED, "9002", id="404/9002"),
    pytest.param(404, HTML, Verdict.MISCONFIGURED, "no such path", id="404 and a page"),
    pytest.param(404, None, Verdict.MISCONFIGURED, "no such path", id="404 and nothing"),
    pytest.param(408, None, Verdict.LATER, "408", id="408"),
    pytest.param(409, None, Verdict.REFUSED, "limit reached", id="409, and none of ours"),
    pytest.param(412, problem(2000), Verdict.REFUSED, "2000", id="412/2000"),
    pytest.param(415, problem(3002), Verdict.REFUSED, "3002", id="415/3002"),
    pytest.param(415, problem(3013), Verdict.REFUSED, "3013", id="415/3013"),
    pytest.param(423, problem(3014), Verdict.REFUSED, "3014", id="423/3014"),
    pytest.param(423, problem(3015), Verdict.REFUSED, "3015", id="423/3015"),
    pytest.param(422, problem(3001), Verdict.REFUSED, "3001", id="422/3001"),
    pytest.param(422, problem(3003), Verdict.REFUSED, "3003", id="422/3003"),
    pytest.param(422, problem(3009, "inactive"), Verdict.REFUSED, "inactive", id="422/3009"),
    pytest.param(422, problem(3011), Verdict.REFUSED, "limit reached", id="422/3011, and none of ours"),
    pytest.param(422, problem(6000), Verdict.MISCONFIGURED, "6000", id="422/6000"),
    pytest.param(422, problem(1234, "new"), Verdict.REFUSED, "1234 new", id="a code nobody has documented"),
    pytest.param(425, None, Verdict.LATER, "425", id="425"),
    pytest.param(429, None, Verdict.LATER, "quota", id="429"),
    pytest.param(500, problem(5000), Verdict.UNCLEAR, "500 5000", id="500/5000"),
    pytest.param(500, HTML, Verdict.UNCLEAR, "500", id="500 and a page"),
    pytest.param(502, None, Verdict.UNCLEAR, "502", id="502"),
    pytest.param(503, problem(5003), Verdict.UNCLEAR, "503 5003", id="503/5003"),
    pytest.param(504, None, Verdict.UNCLEAR, "504", id="504"),
]


@pytest.mark.parametrize(("status", "body", "verdict", "note"), ANSWERS)
def test_each_answer_has_one_meaning(status: int, body: Any, verdict: Verdict, note: str) -> None:
    outcome, asked = play(target.send(FORWARD, SETTINGS), answer(status, body))
    assert outcome.verdict is verdict
    assert note in outcome.note
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        pytest.param(400, REPEATED, Verdict.ACCEPTED, id="the earlier one had been accepted"),
        pytest.param(422, problem(3011), Verdict.DUPLICATE, id="the earlier one had reached the limit"),
        pytest.param(409, None, Verdict.DUPLICATE, id="the earlier one conflicts"),
    ],
)
def test_a_refusal_is_ours_only_after_an_unclear_attempt_of_ours(status: int, body: Any, verdict: Verdict) -> None:
    outcome, _ = play(target.send(replace(FORWARD, earlier=EARLIER), SETTINGS), answer(status, body))
    assert outcome.verdict is verdict
    outcome, _ = play(target.send(FORWARD, SETTINGS), answer(status, body))
    assert outcome.verdict is Verdict.REFUSED
    assert "limit reached at the target" in outcome.note


def test_a_repetition_long_after_our_attempt_is_somebody_elses() -> None:
    long_ago = replace(EARLIER, sent_at=NOW - timedelta(hours=2))
    outcome, _ = play(target.send(replace(FORWARD, earlier=long_ago), SETTINGS), answer(400, REPEATED))
    assert outcome.verdict is Verdict.REFUSED


@pytest.mark.parametrize("code", [4000, 4500])
def test_a_bare_failure_is_tried_once_more(code: int) -> None:
    first = replace(FORWARD, attempts=1)
    outcome, _ = play(target.send(first, SETTINGS), answer(400, problem(code, "failed")))
    assert outcome.verdict is Verdict.LATER


@pytest.mark.parametrize(
    ("response", "wait"),
    [
        pytest.param(answer(429), timedelta(seconds=30), id="429 names no wait: the quota's window"),
        pytest.param(answer(429, **{"retry-after": "120"}), timedelta(minutes=2), id="429 names one"),
        pytest.param(answer(422, problem(2001)), timedelta(seconds=5), id="busy with this customer"),
    ],
)
def test_how_long_to_wait(response: Response, wait: timedelta) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), response)
    assert outcome.retry_after == wait


def test_their_words_are_cut_and_the_keys_never_shown() -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), answer(400, problem(3016, "x" * 5000)))
    assert len(outcome.note) < 300
    for _, body, *_ in (param.values for param in ANSWERS):
        outcome, _ = play(target.send(FORWARD, SETTINGS), answer(401, body))
        assert SETTINGS["secret_key"] not in outcome.note


def progress(count: Any, *, repeatable: bool = True, most: int = -1, id: int = 11664) -> list[dict[str, Any]]:
    terms = {"id": id, "isRepeatable": repeatable, "maxAchievement": most, "type": "SocialMedia"}
    return [
        {
            "rewardsCampaignId": id,
            "achievedCount": count,
            "canAchieve": True,
            "rewardCampaignConfiguration": terms,
        }
    ]


@pytest.mark.parametrize(
    ("response", "text"),
    [
        pytest.param(answer(200, progress(0)), "0", id="never achieved"),
        pytest.param(answer(200, progress(3)), "3", id="achieved three times"),
        pytest.param(answer(200, []), "", id="unknown, hidden or not for this customer"),
        pytest.param(answer(200, progress(3, id=1)), "", id="another campaign"),
        pytest.param(answer(200, progress(None)), "", id="no count"),
        pytest.param(answer(404, problem(4004)), "", id="no such customer: the call itself will say so"),
        pytest.param(answer(401), "", id="a wrong key: the call itself will say so"),
        pytest.param(answer(403, HTML), "", id="a firewall: the call itself will say so"),
        pytest.param(answer(422, problem(3003)), "", id="no such campaign: the call itself will say so"),
    ],
)
def test_the_baseline_is_the_count(response: Response, text: str) -> None:
    assert target.baseline is not None
    seen, asked = play(target.baseline(FORWARD, SETTINGS), response)
    assert seen == text
    assert asked[0].harmless
    assert asked[0].url.endswith("/api/v4.1/integrations/customers/customer_123/reward-campaigns-progress")
    assert asked[0].params == {"campaignId": "11664"}


@pytest.mark.parametrize("response", [answer(500), answer(503), answer(429), answer(302), answer(200, HTML)])
def test_nothing_is_sent_while_the_baseline_cannot_be_read(response: Response) -> None:
    assert target.baseline is not None
    with pytest.raises(Unavailable):
        play(target.baseline(FORWARD, SETTINGS), response)


def test_an_id_stays_one_segment_of_the_path() -> None:
    assert target.baseline is not None
    forward = replace(FORWARD, customer=Customer(id="../a/b?c#d e"))
    _, asked = play(target.baseline(forward, SETTINGS), answer(200, []))
    assert asked[0].url.endswith("/customers/..%2Fa%2Fb%3Fc%23d%20e/reward-campaigns-progress")


COMPARED = [
    pytest.param("0", progress(1), Verdict.DONE, id="one more than before"),
    pytest.param("0", progress(1, repeatable=False, most=1), Verdict.DONE, id="the one time"),
    pytest.param("0", progress(0), Verdict.LATER, id="as before"),
    pytest.param("2", progress(2), Verdict.LATER, id="as before, of a campaign without a limit"),
    pytest.param("1", progress(1, repeatable=False), Verdict.REFUSED, id="achieved before, and only once for anybody"),
    pytest.param("3", progress(3, most=3), Verdict.REFUSED, id="achieved before as often as anybody may"),
    pytest.param("", progress(1, repeatable=False), Verdict.DONE, id="not known before, and nobody can have it twice"),
    pytest.param("", progress(1), Verdict.UNCLEAR, id="not known before, and it may be repeated"),
    pytest.param("", progress(0, repeatable=False), Verdict.UNCLEAR, id="not known before, and not there now"),
    pytest.param("2", progress(1), Verdict.UNCLEAR, id="fewer than before"),
    pytest.param("0", [], Verdict.UNCLEAR, id="not shown any more"),
    pytest.param("garbled", progress(1), Verdict.UNCLEAR, id="a baseline that is none"),
]


@pytest.mark.parametrize(("before", "now", "verdict"), COMPARED)
def test_what_happened_is_read_from_the_count(before: str, now: Any, verdict: Verdict) -> None:
    for ask in (target.reconcile, target.granted):
        assert ask is not None
        outcome, asked = play(ask(FORWARD, before, SETTINGS), answer(200, now))
        assert outcome.verdict is verdict
        assert outcome.note
        assert all(request.harmless for request in asked)


@pytest.mark.parametrize("response", [answer(401, problem(1006)), answer(403, HTML)])
def test_a_read_that_is_refused_is_for_the_operator(response: Response) -> None:
    for ask in (target.reconcile, target.granted):
        assert ask is not None
        outcome, _ = play(ask(FORWARD, "0", SETTINGS), response)
        assert outcome.verdict is Verdict.MISCONFIGURED


@pytest.mark.parametrize("response", [answer(302), answer(429), answer(500), answer(503), answer(200, HTML)])
def test_a_read_that_fails_settles_nothing(response: Response) -> None:
    for ask in (target.reconcile, target.granted):
        assert ask is not None
        with pytest.raises(Unavailable):
            play(ask(FORWARD, "0", SETTINGS), response)


@pytest.mark.parametrize(
    ("sends", "response", "faults"),
    [
        pytest.param(
            [{"challenge_id": 11664}],
            answer(200, [{"id": 11664, "type": "SocialMedia", "isActive": True}]),
            [],
            id="good",
        ),
        pytest.param([{"challenge_id": 5}], answer(200, []), ["no active campaign"], id="an unknown campaign"),
        pytest.param(
            [{"challenge_id": 7}, {"challenge_id": 7}, {"challenge_id": 8}],
            answer(200, [{"id": 7, "type": "Streak"}, {"id": 8, "type": "SocialMedia", "isActive": False}]),
            ["challenge_id 7: is of type Streak", "challenge_id 8: the campaign is not active"],
            id="campaigns of another type and at rest",
        ),
        pytest.param([{"challenge_id": "=int(total)"}], answer(200, []), [], id="computed, and not known yet"),
        pytest.param([], answer(401, problem(1006)), ["secret_key is wrong"], id="a wrong key"),
        pytest.param([], answer(403, HTML), ["api_key or secret_key"], id="a firewall"),
        pytest.param([], answer(404), ["base_url or version is wrong"], id="a wrong address"),
        pytest.param([], answer(200, {"page": 1}), ["base_url or version is wrong"], id="not a list"),
    ],
)
def test_the_probe_says_what_is_wrong(sends: list[dict[str, Any]], response: Response, faults: list[str]) -> None:
    assert target.probe is not None
    found, asked = play(target.probe(sends, SETTINGS), response)
    assert len(found) == len(faults)
    assert all(part in fault for part, fault in zip(faults, found, strict=True))
    assert all(request.harmless for request in asked)


def test_what_the_engine_must_know() -> None:
    assert target.lane is not None
    assert target.lane(FORWARD) == "11664"
    assert target.repeat_safe_for == timedelta(0)
    assert target.reconcile_after == timedelta(minutes=30)
    assert target.confirm_within == timedelta(minutes=60)
    assert target.per_second == 12
    assert target.customer == "id"


class Recorded:
    """A request of ours as openapi-core reads one."""

    def __init__(self, request: Request) -> None:
        self.body, self.content_type = request.body()
        self.host_url, _, path = request.url.partition("/api/")
        self.path = f"/api/{path}"
        self.method = request.method.lower()
        self.parameters = RequestParameters(header=request.headers)


def published() -> OpenAPI:
    """The description inside Gameball's own page about this call."""
    folder = os.environ.get("BRIDGE_TEST_SEEDS")
    if not folder:
        pytest.skip("BRIDGE_TEST_SEEDS names no folder with Gameball's page")
    for path in sorted(Path(folder).glob("*.txt")):
        found = re.search(r"````yaml[^\n]*social-challenges[^\n]*\n(.*?)````", path.read_text("utf-8"), re.DOTALL)
        if found:
            return OpenAPI.from_dict(yaml.safe_load(found[1]))
    raise AssertionError("no page there describes social-challenges")


@pytest.mark.parametrize("merge_by", ["none", "email", "mobile"])
def test_the_award_is_valid_by_gameballs_own_description(merge_by: str) -> None:
    request = sent(version="v4.0", merge_by=merge_by)
    published().validate_request(Recorded(request))


def test_their_description_does_refuse_what_is_wrong() -> None:
    request = replace(sent(version="v4.0"), json={"customerId": "customer_123"})
    with pytest.raises(Exception, match=r"challengeId|[Bb]ody"):
        published().validate_request(Recorded(request))
