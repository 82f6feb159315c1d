"""Gameball: what is sent, and what each of its answers means for us."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.kit import Attempt, Customer, Forward, Kind, Outcome, Request, Response, Unavailable, Verdict
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
    pytest.param(404, problem(4004, "campaign not found"), Verdict.REFUSED, "4004", id="404/4004 about the campaign"),
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


def test_whoever_is_not_there_is_missing_and_nobody_else_is() -> None:
    missing = {
        param.id: outcome
        for param in ANSWERS
        for outcome, _ in [play(target.send(FORWARD, SETTINGS), answer(param.values[0], param.values[1]))]
        if outcome.missing
    }
    assert sorted(missing) == ["404/4004", "404/7000"]
    assert {outcome.verdict for outcome in missing.values()} == {Verdict.REFUSED}


def test_a_202_of_a_program_that_is_switched_off_is_no_reward_and_is_not_shown() -> None:
    body = {"customerId": "c", "challengeId": 1, "gameballStatus": "disabled", "message": "off", "learnMore": "..."}
    outcome, _ = play(target.send(FORWARD, SETTINGS), answer(202, body))
    assert (outcome.verdict, outcome.shown, outcome.left) == (Verdict.MISCONFIGURED, {}, "")


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


def progress(
    count: Any, *, repeatable: bool = True, most: int = -1, id: int = 11664, can: bool = True, **more: Any
) -> list[dict[str, Any]]:
    terms = {"id": id, "isRepeatable": repeatable, "maxAchievement": most, "type": "SocialMedia", **more}
    return [
        {
            "rewardsCampaignName": "Follow us",
            "rewardsCampaignId": id,
            "achievedCount": count,
            "canAchieve": can,
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
        pytest.param(answer(200, progress(True)), "", id="a count that is none"),
        pytest.param(answer(200, [{}]), "", id="a row without a name"),
        pytest.param(answer(404, HTML), "", id="no such path: the call itself will say so"),
        pytest.param(answer(404, problem(4004, "campaign not found")), "", id="no such campaign, in other words"),
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


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(401, problem(1001)), id="a wrong key"),
        pytest.param(answer(403, HTML), id="a firewall"),
    ],
)
def test_what_cannot_be_read_is_not_sent_either(response: Response) -> None:
    assert target.baseline is not None
    outcome, _ = play(target.baseline(FORWARD, SETTINGS), response)
    assert isinstance(outcome, Outcome)
    assert outcome.verdict is Verdict.MISCONFIGURED


@pytest.mark.parametrize(
    ("count", "verdict"),
    [
        pytest.param(0, Verdict.LATER, id="nothing yet"),
        pytest.param(1, Verdict.DONE, id="one, and it can only be ours"),
        pytest.param(2, Verdict.UNCLEAR, id="two, and one of them may be all there was"),
    ],
)
@pytest.mark.parametrize("code", [4004, 7000])
def test_whoever_did_not_exist_had_achieved_nothing(code: int, count: int, verdict: Verdict) -> None:
    assert target.baseline is not None
    assert target.granted is not None
    before, _ = play(target.baseline(FORWARD, SETTINGS), answer(404, problem(code, "customer does not exist")))
    assert isinstance(before, str)
    outcome, _ = play(target.granted(FORWARD, before, SETTINGS), answer(200, progress(count)))
    assert outcome.verdict is verdict


def test_where_channels_are_merged_an_unknown_id_may_still_be_found_by_the_call() -> None:
    assert target.baseline is not None
    unknown = answer(404, problem(4004, "customer does not exist"))
    seen, _ = play(target.baseline(FORWARD, {**SETTINGS, "merge_by": "email"}), unknown)
    assert seen == ""  # and so no count of it proves anything
    nobody = replace(FORWARD, customer=Customer(id="customer_123"))  # nothing to merge by
    seen, _ = play(target.baseline(nobody, {**SETTINGS, "merge_by": "email"}), unknown)
    assert seen == "no such customer"


UNREAD = [answer(500), answer(503), answer(429), answer(302), answer(200, HTML), answer(200, {}), answer(200, ["ok"])]


@pytest.mark.parametrize("response", UNREAD)
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
        assert outcome.left == (str(now[0]["achievedCount"]) if now else "")
        assert bool(outcome.shown) == (verdict is Verdict.DONE)
        assert all(request.harmless for request in asked)


@pytest.mark.parametrize(
    ("rewards", "points"),
    [
        pytest.param([{"walletReward": 50, "walletRewardFactor": None}], 50.0, id="so many points"),
        pytest.param([{"walletReward": 0, "couponReward": {"couponType": "free_shipping"}}], None, id="a coupon"),
        pytest.param([{"walletReward": 2, "walletRewardFactor": 2}], None, id="as many as were spent, times two"),
        pytest.param([{"walletReward": 5}, {"walletReward": 7}], None, id="one of two, and it does not say which"),
        pytest.param([{"walletReward": "50"}], None, id="a text"),
        pytest.param(None, None, id="nothing"),
        pytest.param({"walletReward": 50}, None, id="not a list"),
    ],
)
def test_what_the_customer_may_be_shown_is_declared_and_of_the_declared_kind(rewards: Any, points: Any) -> None:
    assert target.granted is not None
    outcome, _ = play(target.granted(FORWARD, "0", SETTINGS), answer(200, progress(1, rewards=rewards)))
    expected = {"rewardsCampaignName": "Follow us", "achievedCount": 1}
    assert outcome.shown == (expected if points is None else {**expected, "points": points})
    kinds = {fact.name: {"string": str, "double": float, "int": int}[fact.kind] for fact in target.shows}
    assert all(type(value) is kinds[name] for name, value in outcome.shown.items())


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        pytest.param(progress(0, can=False), "cannot achieve it", id="not for this customer"),
        pytest.param(
            progress(0, activation={"startDate": None, "endDate": "2026-11-01T00:00:00"}),
            "the campaign ended 2026-11-01 00:00",
            id="over",
        ),
        pytest.param(
            progress(0, activation={"startDate": "2026-12-01T00:00:00", "endDate": None}),
            "the campaign begins 2026-12-01 00:00",
            id="not begun",
        ),
    ],
)
def test_why_a_reward_is_never_granted_is_said_where_it_can_be_seen(seen: Any, said: str) -> None:
    assert target.granted is not None
    outcome, _ = play(target.granted(FORWARD, "0", SETTINGS), answer(200, seen))
    assert outcome.verdict is Verdict.LATER
    assert said in outcome.note


@pytest.mark.parametrize("response", [answer(401, problem(1006)), answer(403, HTML)])
def test_a_read_that_is_refused_is_for_the_operator(response: Response) -> None:
    for ask in (target.reconcile, target.granted):
        assert ask is not None
        outcome, _ = play(ask(FORWARD, "0", SETTINGS), response)
        assert outcome.verdict is Verdict.MISCONFIGURED


@pytest.mark.parametrize("response", UNREAD)
def test_a_read_that_fails_settles_nothing(response: Response) -> None:
    for ask in (target.reconcile, target.granted):
        assert ask is not None
        with pytest.raises(Unavailable):
            play(ask(FORWARD, "0", SETTINGS), response)


# Customers that Gameball does not know yet


def test_a_customer_is_made_known_with_all_that_is_known() -> None:
    assert target.create is not None
    outcome, [request] = play(target.create(FORWARD, SETTINGS), answer(200, {"gameballId": 90000001}))
    assert (request.method, request.url) == ("POST", "https://api.gameball.co/api/v4.1/integrations/customers")
    assert request.json == {"customerId": "customer_123", "email": "ann@example.com", "mobile": "+46701234567"}
    assert request.harmless  # an upsert: a lost answer leaves no doubt
    assert (outcome.verdict, outcome.reference) == (Verdict.DONE, "90000001")


def test_what_nobody_knows_of_a_customer_is_left_out() -> None:
    assert target.create is not None
    forward = replace(FORWARD, customer=Customer(id="customer_123", email=""))
    _, [request] = play(target.create(forward, SETTINGS), answer(200, {"gameballId": 1}))
    assert request.json == {"customerId": "customer_123"}


@pytest.mark.parametrize("name", [None, "", "x" * 101])
def test_a_customer_that_could_never_be_rewarded_is_not_created(name: str | None) -> None:
    assert target.create is not None
    outcome, asked = play(target.create(replace(FORWARD, customer=Customer(id=name)), SETTINGS))
    assert (outcome.verdict, outcome.missing, asked) == (Verdict.REFUSED, False, [])


OFF = {"gameballId": None, "gameballStatus": "disabled", "message": "Gameball is disabled"}
CREATED = [
    pytest.param(200, {"gameballId": 1}, Verdict.DONE, "knows the customer now", id="200"),
    pytest.param(201, {"gameballId": "1"}, Verdict.DONE, "knows the customer now", id="201, as good as 200"),
    pytest.param(200, OFF, Verdict.MISCONFIGURED, "switched off", id="200 while the program is off"),
    pytest.param(200, {}, Verdict.LATER, "not its JSON", id="200 and an empty object"),
    pytest.param(200, HTML, Verdict.LATER, "not its JSON", id="200 and a page"),
    pytest.param(200, ["ok"], Verdict.LATER, "not its JSON", id="200 and a list"),
    pytest.param(302, None, Verdict.MISCONFIGURED, "base_url is wrong", id="a redirect"),
    pytest.param(400, problem(3000, "customer id is missing"), Verdict.REFUSED, "3000", id="400/3000"),
    pytest.param(401, problem(1001), Verdict.MISCONFIGURED, "1001", id="401/1001"),
    pytest.param(403, problem(8000), Verdict.MISCONFIGURED, "8000", id="403/8000"),
    pytest.param(404, problem(4004), Verdict.REFUSED, "4004", id="404/4004"),
    pytest.param(404, None, Verdict.MISCONFIGURED, "no such path", id="404 and nothing"),
    pytest.param(409, None, Verdict.REFUSED, "409", id="409"),
    pytest.param(422, problem(2001), Verdict.LATER, "at work", id="422/2001"),
    pytest.param(422, problem(3003, "invalid mobile"), Verdict.REFUSED, "invalid mobile", id="422/3003"),
    pytest.param(422, problem(3008), Verdict.REFUSED, "merge_by", id="422/3008, the address is another's"),
    pytest.param(422, problem(7001), Verdict.DONE, "knows the customer", id="422/7001, there already"),
    pytest.param(429, None, Verdict.LATER, "quota", id="429"),
    pytest.param(500, problem(5000), Verdict.LATER, "500", id="500"),
    pytest.param(502, HTML, Verdict.LATER, "502", id="502"),
    pytest.param(503, problem(5003), Verdict.LATER, "503", id="503"),
]


@pytest.mark.parametrize(("status", "body", "verdict", "note"), CREATED)
def test_creating_is_never_in_doubt_and_never_asks_to_create(
    status: int, body: Any, verdict: Verdict, note: str
) -> None:
    assert target.create is not None
    outcome, _ = play(target.create(FORWARD, SETTINGS), answer(status, body))
    assert outcome.verdict is verdict
    assert note in outcome.note
    assert not outcome.missing


# Taking a reward back

CLAW = replace(FORWARD, id="fwd_2", kind=Kind.UNDO, undoes="fwd_1", created_at=NOW + timedelta(days=2), attempts=1)


def row(number: Any = 1, **changes: Any) -> dict[str, Any]:
    """A line of the ledger: what the reward gave, ten minutes after the fact."""
    return {
        "transactionId": None,
        "gameballTransactionId": str(11034736 + number) if isinstance(number, int) else number,
        "type": "AchievementReward",
        "direction": "+",
        "customerId": "customer_123",
        "points": 50,
        "transactionTime": "2026-11-20T12:10:00.249",
        "status": "Active",
        "achievedRewardCampaignId": "11664",
        **changes,
    }


def page(*rows: Any, more: Any = False) -> Response:
    return answer(200, {"transactions": list(rows), "count": len(rows), "hasMore": more})


def test_what_the_reward_gave_is_read_from_the_ledger() -> None:
    assert target.baseline is not None
    kept, [request] = play(target.baseline(CLAW, SETTINGS), page(row()))
    assert kept == "50 points"
    assert (request.method, request.url) == ("GET", "https://api.gameball.co/api/v4.1/integrations/transactions")
    assert request.params == {"customerId": "customer_123", "direction": "+", "limit": "200", "startAfter": "0"}


TOLD = [
    pytest.param([row(), row(2, achievedRewardCampaignId="7", points=9)], 50, id="another campaign's are not ours"),
    pytest.param([row(), row(2, achievedRewardCampaignId=None, points=9)], 50, id="nor those of none"),
    pytest.param([row(), row(2, customerId="customer_124", points=9)], 50, id="nor another customer's"),
    pytest.param([row(0, transactionTime="2026-11-20T11:54:59", points=9), row()], 50, id="nor one before the fact"),
    pytest.param(
        [row(), row(2, transactionTime="2026-11-22T12:06:00", points=9)], 50, id="nor one after it was undone"
    ),
    pytest.param([row(transactionTime="2026-11-20T11:57:00")], 50, id="their clock is three minutes behind"),
    pytest.param([row(transactionTime="2026-11-20T13:10:00+01:00")], 50, id="a time with a zone"),
    pytest.param([row(achievedRewardCampaignId=11664)], 50, id="the campaign as a number"),
    pytest.param([row(points=50.0)], 50, id="points as a fraction that is none"),
    pytest.param([row(), row(2)], 50, id="two that gave the same: whichever is ours gave that"),
]


@pytest.mark.parametrize(("rows", "points"), TOLD)
def test_the_amount_is_told_where_there_is_only_one(rows: list[Any], points: int) -> None:
    assert target.baseline is not None
    kept, _ = play(target.baseline(CLAW, SETTINGS), page(*rows))
    assert kept == f"{points} points"


NOT_TOLD = [
    pytest.param([page()], "no points", id="none"),
    pytest.param([page(row(achievedRewardCampaignId="7"))], "no points", id="none of this campaign"),
    pytest.param([page(row(), row(2, points=60))], "different points", id="several, and they differ"),
    pytest.param([page(row(points="50"))], "whole points", id="a text"),
    pytest.param([page(row(points=None))], "whole points", id="nothing"),
    pytest.param([page(row(points=50.5))], "whole points", id="half a point"),
    pytest.param([page(row(points=0))], "whole points", id="no points at all"),
    pytest.param([page(row(points=-50))], "whole points", id="less than none"),
    pytest.param([page(row(points=True))], "whole points", id="yes"),
    pytest.param([page(row(points=[50]))], "whole points", id="a list"),
    pytest.param([page(row(points=1e300))], "whole points", id="more than there can be"),
    pytest.param([page(row(transactionTime=None))], "without its time", id="no time"),
    pytest.param([page(row(transactionTime="yesterday"))], "without its time", id="a time that is none"),
    pytest.param([page(row(status="Pending"))], "Pending", id="not yet the customer's"),
    pytest.param([page(row(status="Blocked"))], "Blocked", id="taken for fraud"),
    pytest.param([page(row(status="Expired"))], "Expired", id="gone already"),
    pytest.param([page(row(status=None))], "not Active", id="no status"),
    pytest.param([page(row(), row(2, status="Blocked"))], "Blocked", id="one of two, and it may be ours"),
    pytest.param([answer(404, problem(7000))], "no points", id="the customer is gone"),
    pytest.param([page(row(2), row(1), more=True)], "do not follow", id="pages in another order"),
    pytest.param([page(more=True)], "do not follow", id="an empty page before more"),
    pytest.param([page(row("x"), more=True)], "do not follow", id="no number to go on from"),
    pytest.param([page(row(1), more=True), page(row(1), more=True)], "do not follow", id="the same page again"),
    pytest.param([page(row(n), more=True) for n in range(1, 11)], "than are read: 10 pages", id="no end of it"),
]


@pytest.mark.parametrize(("answers", "said"), NOT_TOLD)
def test_what_cannot_be_told_exactly_is_a_persons(answers: list[Response], said: str) -> None:
    assert target.baseline is not None
    outcome, asked = play(target.baseline(CLAW, SETTINGS), *answers)
    assert isinstance(outcome, Outcome)
    assert outcome.verdict is Verdict.REFUSED
    assert said in outcome.note
    assert "take it back by hand in Gameball, then confirm this forward" in outcome.note
    assert not outcome.missing
    assert all(request.harmless for request in asked)


def test_all_pages_are_read_and_each_begins_where_the_last_one_ended() -> None:
    assert target.baseline is not None
    full = [row(n, achievedRewardCampaignId="7") for n in range(200)]
    last = answer(200, {"transactions": [row(300)]})  # without hasMore: a page that is not full is the last
    kept, asked = play(target.baseline(CLAW, SETTINGS), page(*full, more=True), last)
    assert kept == "50 points"
    assert [request.params["startAfter"] for request in asked] == ["0", "11034935"]
    full_and_silent = answer(200, {"transactions": full})
    kept, asked = play(target.baseline(CLAW, SETTINGS), full_and_silent, page(row(300)))
    assert (kept, len(asked)) == ("50 points", 2)


@pytest.mark.parametrize(
    "response",
    [answer(500), answer(503), answer(429), answer(302), answer(422, problem(3003)), answer(200, HTML),
     answer(200, []), answer(200, {"transactions": None}), answer(200, {"transactions": [1]})],
)  # fmt: skip
def test_nothing_is_taken_while_the_ledger_cannot_be_read(response: Response) -> None:
    assert target.baseline is not None
    assert target.reconcile is not None
    assert target.undo is not None
    for ask in (target.baseline(CLAW, SETTINGS), target.reconcile(CLAW, "50 points", SETTINGS)):
        with pytest.raises(Unavailable):
            play(ask, response)
    outcome, [request] = play(target.undo(CLAW, SETTINGS), response)
    assert outcome.verdict is Verdict.LATER  # and not in doubt
    assert request.method == "GET"


@pytest.mark.parametrize("response", [answer(401, problem(1001)), answer(403, HTML)])
def test_a_ledger_that_is_refused_is_for_the_operator(response: Response) -> None:
    assert target.baseline is not None
    assert target.reconcile is not None
    for ask in (target.baseline(CLAW, SETTINGS), target.reconcile(CLAW, "50 points", SETTINGS)):
        outcome, _ = play(ask, response)
        assert isinstance(outcome, Outcome)
        assert outcome.verdict is Verdict.MISCONFIGURED


@pytest.mark.parametrize("merge_by", ["none", "email", "mobile"])
def test_the_points_are_taken_once_for_the_claw_backs_own_id(merge_by: str) -> None:
    assert target.undo is not None
    forward = replace(CLAW, baseline="50 points")
    done = answer(200, {"customerId": "customer_123", "gameballTransactionId": 11035201, "points": -50})
    outcome, [request] = play(target.undo(forward, {**SETTINGS, "merge_by": merge_by}), done)
    assert (request.method, request.url) == (
        "POST",
        "https://api.gameball.co/api/v4.1/integrations/transactions/manual",
    )
    who = {"email": {"email": "ann@example.com"}, "mobile": {"mobile": "+46701234567"}}.get(merge_by, {})
    assert request.json == {
        "customerId": "customer_123",
        **who,
        "transactionId": "fwd_2",
        "username": "loyalty-bridge",
        "reason": "fwd_1 is taken back: twitch.follow no longer holds",
        "points": -50,
    }
    assert not request.harmless
    assert (outcome.verdict, outcome.reference) == (Verdict.DONE, "11035201")


def test_where_the_attempt_keeps_no_amount_it_is_read_first() -> None:
    assert target.undo is not None
    for kept in ("", "3", "0 points", "-50 points", "50 points!"):  # the count of a reward is no amount
        done = answer(200, {"gameballTransactionId": 1})
        outcome, asked = play(target.undo(replace(CLAW, baseline=kept), SETTINGS), page(row(points=70)), done)
        assert [request.method for request in asked] == ["GET", "POST"]
        assert (outcome.verdict, asked[1].json["points"]) == (Verdict.DONE, -70)


def test_what_cannot_be_told_is_not_guessed_by_the_call_either() -> None:
    assert target.undo is not None
    outcome, [request] = play(target.undo(CLAW, SETTINGS), page(row(), row(2, points=60)))
    assert (outcome.verdict, request.method) == (Verdict.REFUSED, "GET")


def test_a_second_attempt_takes_what_the_first_one_took() -> None:
    """The first call may have arrived, and the ledger may show something else by now."""
    assert target.baseline is not None
    assert target.undo is not None
    again = replace(CLAW, attempts=2, earlier=replace(EARLIER, forward="fwd_2", baseline="50 points"))
    kept, asked = play(target.baseline(again, SETTINGS))
    assert (kept, asked) == ("50 points", [])
    _, [request] = play(target.undo(again, SETTINGS), answer(422, problem(9004)))
    assert request.json["points"] == -50


DEDUCTED = [
    pytest.param(200, {"gameballTransactionId": 7}, Verdict.DONE, "taken back", id="200"),
    pytest.param(200, {"gameballTransactionId": "7"}, Verdict.DONE, "taken back", id="200, the id as a text"),
    pytest.param(
        200, {"gameballStatus": "disabled", "message": "off"}, Verdict.MISCONFIGURED, "switched off", id="200, and off"
    ),
    pytest.param(200, {"status": "ok"}, Verdict.UNCLEAR, "not its JSON", id="200 and no id"),
    pytest.param(200, HTML, Verdict.UNCLEAR, "not its JSON", id="200 and a page"),
    pytest.param(200, ["ok"], Verdict.UNCLEAR, "not its JSON", id="200 and a list"),
    pytest.param(302, None, Verdict.MISCONFIGURED, "base_url is wrong", id="a redirect"),
    pytest.param(400, problem(3000, "reason is missing"), Verdict.REFUSED, "by hand", id="400/3000"),
    pytest.param(
        400, {"error": 400, "message": "A rewarding criteria is required"}, Verdict.REFUSED, "by hand", id="400, bare"
    ),
    pytest.param(400, problem(4000, "failed"), Verdict.LATER, "no more than", id="400/4000, the first time"),
    pytest.param(401, problem(1001), Verdict.MISCONFIGURED, "1001", id="401/1001"),
    pytest.param(403, problem(1002), Verdict.MISCONFIGURED, "1002", id="403/1002"),
    pytest.param(404, problem(4004), Verdict.REFUSED, "does not exist any more", id="404/4004"),
    pytest.param(404, problem(7000), Verdict.REFUSED, "does not exist any more", id="404/7000"),
    pytest.param(404, HTML, Verdict.MISCONFIGURED, "no such path", id="404 and a page"),
    pytest.param(409, None, Verdict.REFUSED, "by hand", id="409"),
    pytest.param(422, problem(2001), Verdict.LATER, "at work", id="422/2001"),
    pytest.param(422, problem(3009, "inactive"), Verdict.REFUSED, "by hand", id="422/3009"),
    pytest.param(422, problem(3011), Verdict.REFUSED, "by hand", id="422/3011"),
    pytest.param(422, problem(6000), Verdict.MISCONFIGURED, "6000", id="422/6000"),
    pytest.param(422, problem(9003), Verdict.LATER, "same time", id="422/9003"),
    pytest.param(422, problem(9004), Verdict.DUPLICATE, "had arrived", id="422/9004"),
    pytest.param(422, problem(9007), Verdict.LATER, "no more than", id="422/9007, the first time"),
    pytest.param(422, problem(9008), Verdict.REFUSED, "fewer points", id="422/9008"),
    pytest.param(429, None, Verdict.LATER, "quota", id="429"),
    pytest.param(500, problem(5000), Verdict.UNCLEAR, "500 5000", id="500/5000"),
    pytest.param(502, HTML, Verdict.UNCLEAR, "502", id="502"),
    pytest.param(503, problem(5003), Verdict.UNCLEAR, "503 5003", id="503/5003"),
]


@pytest.mark.parametrize(("status", "body", "verdict", "note"), DEDUCTED)
def test_each_answer_to_a_claw_back_has_one_meaning(status: int, body: Any, verdict: Verdict, note: str) -> None:
    assert target.undo is not None
    outcome, _ = play(target.undo(replace(CLAW, baseline="50 points"), SETTINGS), answer(status, body))
    assert outcome.verdict is verdict
    assert note in outcome.note
    assert not outcome.missing  # nobody is created in order to be taken from
    assert ("by hand" in outcome.note) == (verdict is Verdict.REFUSED)


def test_before_taking_back_by_hand_a_person_looks_whether_an_earlier_call_had_arrived() -> None:
    assert target.undo is not None
    again = replace(CLAW, attempts=2, earlier=replace(EARLIER, forward="fwd_2", baseline="50 points"))
    outcome, _ = play(target.undo(again, SETTINGS), answer(422, problem(3009, "inactive")))
    assert "look in Gameball for the transaction fwd_2, and if it is not there take it back by hand" in outcome.note


@pytest.mark.parametrize("code", [4000, 4500, 9007])
def test_a_claw_back_that_fails_without_a_reason_is_given_up_the_second_time(code: int) -> None:
    assert target.undo is not None
    second = replace(CLAW, baseline="50 points", attempts=2)
    outcome, _ = play(target.undo(second, SETTINGS), answer(400, problem(code)))
    assert outcome.verdict is Verdict.REFUSED


@pytest.mark.parametrize(
    ("answers", "verdict", "said"),
    [
        pytest.param(
            [page(row(1, direction="-"), row(2, transactionId="fwd_2", direction="-"))],
            Verdict.DONE,
            "taken",
            id="there",
        ),
        pytest.param([page(row(1, transactionId="fwd_1"))], Verdict.LATER, "did not happen", id="not there"),
        pytest.param([page()], Verdict.LATER, "did not happen", id="nothing there"),
        pytest.param(
            [page(row(1), more=True), page(row(2, transactionId="fwd_2"))], Verdict.DONE, "taken", id="on page two"
        ),
        pytest.param([page(row(2), row(1), more=True)], Verdict.UNCLEAR, "do not follow", id="pages in another order"),
        pytest.param(
            [page(row(n), more=True) for n in range(1, 11)],
            Verdict.UNCLEAR,
            "than are read: 10 pages",
            id="no end of it",
        ),
    ],
)
def test_whether_the_points_were_taken_is_read_from_the_ledger(
    answers: list[Response], verdict: Verdict, said: str
) -> None:
    assert target.reconcile is not None
    outcome, asked = play(target.reconcile(CLAW, "50 points", SETTINGS), *answers)
    assert outcome.verdict is verdict
    assert said in outcome.note
    assert all(request.params["direction"] == "-" for request in asked)


# What `check --live` asks


def campaign(id: int = 11664, **changes: Any) -> dict[str, Any]:
    times = {"startDate": "2026-11-01T00:00:00", "endDate": "2026-11-30T23:59:59"}
    return {"id": id, "type": "SocialMedia", "activation": times, **changes}


ALL_WELL = page(row())
OVER, SOON = (
    {"startDate": None, "endDate": "2026-11-20T11:00:00"},
    {"startDate": "2026-12-01T08:00:00", "endDate": None},
)


@pytest.mark.parametrize(
    ("sends", "answers", "faults"),
    [
        pytest.param([{"challenge_id": 11664}], [answer(200, [campaign()]), ALL_WELL], [], id="good"),
        pytest.param(
            [{"challenge_id": 11664}], [answer(200, [campaign(activation=None)]), ALL_WELL], [], id="always active"
        ),
        pytest.param([{"challenge_id": 5}], [answer(200, []), ALL_WELL], ["no active campaign"], id="unknown"),
        pytest.param(
            [{"challenge_id": 7}, {"challenge_id": 7}, {"challenge_id": 8}],
            [answer(200, [campaign(7, type="Streak"), campaign(8, isActive=False)]), ALL_WELL],
            ["challenge_id 7: is of type Streak", "challenge_id 8: the campaign is not active"],
            id="of another type, and at rest",
        ),
        pytest.param(
            [{"challenge_id": 7}, {"challenge_id": 8}],
            [answer(200, [campaign(7, visibility="NotVisible"), campaign(8, visibility="VisibleIfEarned")]), ALL_WELL],
            ["challenge_id 7: the campaign is hidden"],
            id="hidden: its progress cannot be read",
        ),
        pytest.param(
            [{"challenge_id": 7}, {"challenge_id": 8}],
            [answer(200, [campaign(7, activation=OVER), campaign(8, activation=SOON)]), ALL_WELL],
            ["challenge_id 7: the campaign ended 2026-11-20 11:00", "challenge_id 8: the campaign begins 2026-12-01"],
            id="over, and not begun",
        ),
        pytest.param(
            [{"challenge_id": 7}],
            [answer(200, [campaign(7, activation={"startDate": 5, "endDate": "soon"})]), ALL_WELL],
            [],
            id="dates that are none say nothing",
        ),
        pytest.param([{"challenge_id": "=int(total)"}], [answer(200, []), ALL_WELL], [], id="computed, not known yet"),
        pytest.param([], [answer(401, problem(1000))], ["api_key is wrong"], id="a wrong API key"),
        pytest.param([], [answer(401, problem(1006))], ["secret_key is wrong"], id="a wrong secret key"),
        pytest.param([], [answer(403, HTML)], ["api_key or secret_key is wrong"], id="a firewall"),
        pytest.param(
            [], [answer(403, problem(1002, "minimum allowed version is v4.1"))], ['set version = "v4.1"'], id="too old"
        ),
        pytest.param([], [answer(404)], ["base_url or version is wrong"], id="a wrong address"),
        pytest.param([], [answer(302)], ["base_url or version is wrong"], id="a redirect"),
        pytest.param([], [answer(200, {"page": 1})], ["base_url or version is wrong"], id="not a list"),
        pytest.param([], [answer(429)], ["ask again"], id="throttled"),
        pytest.param([], [answer(503, problem(5003))], ["ask again"], id="down"),
        pytest.param(
            [{"challenge_id": 5}],
            [answer(200, []), answer(401, problem(1001))],
            ["no active campaign", "asked for transactions: secret_key is wrong"],
            id="v4.0: the campaigns are shown without the secret key, the ledger is not",
        ),
        pytest.param([], [answer(200, []), answer(403, problem(8000))], ["asked for transactions"], id="no ledger"),
    ],
)
def test_the_probe_says_what_is_wrong(sends: list[dict[str, Any]], answers: list[Response], faults: list[str]) -> None:
    assert target.probe is not None
    found, asked = play(target.probe(sends, SETTINGS), *answers)
    assert len(found) == len(faults), found
    assert all(part in fault for part, fault in zip(faults, found, strict=True)), found
    assert all(request.harmless for request in asked)


def test_a_probe_that_meets_a_page_in_gameballs_place_says_so() -> None:
    assert target.probe is not None
    with pytest.raises(Unavailable, match="not JSON"):
        play(target.probe([], SETTINGS), answer(200, HTML))


def test_what_the_engine_must_know() -> None:
    assert target.lane is not None
    assert target.lane(FORWARD) == "11664"
    assert target.repeat_harmless(FORWARD) == timedelta(0)
    assert target.repeat_harmless(CLAW) == timedelta(days=7)  # transactionId is remembered, a challenge is not
    assert target.baseline_keeps == timedelta(0)
    assert target.reconcile_after == timedelta(minutes=30)
    assert target.confirm_within == timedelta(minutes=60)
    assert target.per_second == 12
    assert target.customer == "id"
