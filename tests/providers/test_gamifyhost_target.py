"""GamifyHost: what is sent, what each of its answers means for us, and that doubt never pays twice."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from bridge.kit import Attempt, Customer, Forward, Outcome, Request, Response, Talk, Unavailable, Verdict
from bridge.sandbox.faults import KINDS
from bridge.sandbox.gamifyhost import gamifyhost
from bridge.sandbox.promotions import Campaign, Partner, Prize
from bridge.sandbox.standin import StandIn
from bridge.talk import Failed, Talker
from providers.loyalty.gamifyhost import PAGES, ROWS, target

from .playing import play

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KEY = "sk_test_0123456789abcdef"
SETTINGS = {"api_secret": KEY, "base_url": "https://api.gamifyhost.com"}
EVENT = Forward(
    id="fwd_1",
    rule="big-order",
    send="gamifyhost",
    target="gamifyhost",
    customer=Customer(id="user_12345", email="ann@example.com", phone="+46701234567"),
    options={"campaign": "summer-promo", "event": "purchase", "metadata": {"amount": 49.99}},
    source="shop",
    action="order_paid",
    subject="1001",
    facts={},
    occurred_at=NOW,
    created_at=NOW,
)
AWARD = replace(EVENT, options={"award": "purchase", "metadata": {"amount": 49.99}})
EARLIER = Attempt(forward="fwd_1", number=1, leased_at=NOW, lease_until=NOW, sent_at=NOW, baseline="0/0")
HTML = b"<!doctype html><title>Just a moment...</title>"
CODE = "SUMM-AX7K9M2P"
MODES = [pytest.param(EVENT, id="event"), pytest.param(AWARD, id="award")]


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, raw, headers=headers, at=NOW + timedelta(minutes=1))


def problem(code: int, message: Any) -> Mapping[str, Any]:
    return {"message": message, "code": code, "status": "error"}


def recorded(**changes: Any) -> Mapping[str, Any]:
    data = {"pointsEarned": 100, "totalPoints": 750, "message": "Event recorded successfully", **changes}
    return {"status": "success", "data": data}


def awarded(**changes: Any) -> Mapping[str, Any]:
    data = {
        "ledgerId": "f1e2d3c4-b5a6-7890",
        "pointsAwarded": 500,
        "userBalance": 5500,
        "reference": "fwd_1",
        **changes,
    }
    return {"message": "Points awarded successfully", "code": 201, "status": "success", "data": data}


WON = {"won": True, "prizeTier": "Gold", "pointsEarned": 500, "winCode": CODE, "message": "You won the Gold prize!"}


# --- what is sent ---------------------------------------------------------------------------------------------------

#: The tables of their pages: field, type, whether it is needed.
#: https://docs.gamifyhost.com/campaigns/record-event/ and https://docs.gamifyhost.com/reference/award-points/
FIELDS: Mapping[str, Mapping[str, tuple[type, bool]]] = {
    "/v1/campaigns/summer-promo/events": {
        "userId": (str, True),
        "eventType": (str, True),
        "metadata": (dict, False),
    },
    "/v1/points/award": {
        "userId": (str, True),
        "eventType": (str, True),
        "displayName": (str, False),
        "email": (str, False),
        "metadata": (dict, False),
        "reference": (str, False),
        "sendPlayLink": (bool, False),
        "linkExpiresInHours": (int, False),
    },
}
HEADERS = {"X-API-Secret": True, "Content-Type": True}


def undocumented(request: Request) -> list[str]:
    """Where a request leaves the tables of its page."""
    fields = FIELDS[request.url.removeprefix("https://api.gamifyhost.com")]
    raw, media_type = request.body()
    body = json.loads(raw)
    sent = {*request.headers, *(["Content-Type"] if media_type == "application/json" else [])}
    return [
        *(f"{name} is no field" for name in body if name not in fields),
        *(f"{name} is missing" for name, (_, needed) in fields.items() if needed and not body.get(name)),
        *(
            f"{name} is no {kind.__name__}"
            for name, (kind, _) in fields.items()
            if type(body.get(name, kind())) is not kind
        ),
        *(f"the header {name} is missing" for name in HEADERS if name not in sent),
    ]


def sent(forward: Forward, **settings: str) -> Request:
    reply = answer(201, awarded()) if "award" in forward.options else answer(200, recorded())
    _, asked = play(target.send(forward, {**SETTINGS, **settings}), reply)
    return asked[0]


@pytest.mark.parametrize("forward", MODES)
@pytest.mark.parametrize("metadata", [{}, {"amount": 49.99}, {"order": {"lines": [1, 2]}, "at": NOW}])
def test_what_is_sent_is_as_their_tables_say(forward: Forward, metadata: dict[str, Any]) -> None:
    request = sent(replace(forward, options={**forward.options, "metadata": metadata}))
    assert undocumented(request) == []
    assert request.method == "POST"
    assert not request.harmless


def test_the_tables_do_refuse_what_is_wrong() -> None:
    good = sent(EVENT)
    assert isinstance(good.json, Mapping)
    wrong = {**good.json, "userId": "", "metadata": "a=1", "reference": "fwd_1"}
    found = undocumented(replace(good, json=wrong, headers={}))
    assert found == [
        "reference is no field",
        "userId is missing",
        "metadata is no dict",
        "the header X-API-Secret is missing",
    ]


def test_an_event_is_what_their_page_shows() -> None:
    request = sent(EVENT)
    assert request.url == "https://api.gamifyhost.com/v1/campaigns/summer-promo/events"
    assert request.headers == {"X-API-Secret": KEY}
    metadata = {"bridge_ref": "fwd_1", "amount": 49.99}
    assert request.json == {"userId": "user_12345", "eventType": "purchase", "metadata": metadata}


def test_an_award_carries_the_forwards_id_as_its_reference() -> None:
    request = sent(AWARD)
    assert request.url == "https://api.gamifyhost.com/v1/points/award"
    metadata = {"bridge_ref": "fwd_1", "amount": 49.99}
    told = {"userId": "user_12345", "eventType": "purchase", "metadata": metadata, "reference": "fwd_1"}
    assert request.json == told


@pytest.mark.parametrize("forward", MODES)
def test_nothing_of_the_customer_but_the_id_leaves(forward: Forward) -> None:
    raw, _ = sent(forward).body()
    assert b"ann@" not in raw
    assert b"4670" not in raw


@pytest.mark.parametrize("forward", MODES)
def test_a_bridge_ref_of_the_rule_stays(forward: Forward) -> None:
    request = sent(replace(forward, options={**forward.options, "metadata": {"bridge_ref": "mine"}}))
    assert request.json["metadata"] == {"bridge_ref": "mine"}


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:9000", "http://127.0.0.1:9000/", "http://127.0.0.1:9000/v1", "http://127.0.0.1:9000/v1/"],
)
def test_another_address_is_obeyed_with_the_version_or_without(base_url: str) -> None:
    assert sent(AWARD, base_url=base_url).url == "http://127.0.0.1:9000/v1/points/award"


def test_names_stay_one_segment_of_the_path() -> None:
    assert target.baseline is not None
    options = {"campaign": "été &co", "event": "purchase"}
    forward = replace(EVENT, customer=Customer(id="../a/b?c#d e%2e"), options=options)
    assert sent(forward).url.endswith("/v1/campaigns/%C3%A9t%C3%A9%20%26co/events")
    _, asked = play(target.baseline(forward, SETTINGS), answer(200, standing(0, 0)))
    assert asked[0].url.endswith("/v1/campaigns/%C3%A9t%C3%A9%20%26co/participants/..%2Fa%2Fb%3Fc%23d%20e%252e")


# --- what is never sent ---------------------------------------------------------------------------------------------

UNSENDABLE = [
    pytest.param({}, "none of them", id="neither"),
    pytest.param({"metadata": {}}, "none of them", id="metadata alone"),
    pytest.param({"award": "a", "campaign": "c", "event": "e"}, "award and campaign and event", id="both"),
    pytest.param({"award": "a", "campaign": "c"}, "award and campaign", id="an award and half an event"),
    pytest.param({"award": "a", "event": "e"}, "award and event", id="an award and the other half"),
    pytest.param({"campaign": "c"}, "campaign alone", id="a campaign without an event"),
    pytest.param({"event": "e"}, "event alone", id="an event without a campaign"),
    pytest.param({"award": " "}, "award empty", id="an empty award"),
    pytest.param({"award": None}, "award empty", id="an award that is null"),
    pytest.param({"campaign": "", "event": ""}, "campaign and event empty", id="an empty event"),
    pytest.param({"campaign": "..", "event": "e"}, "slug alone", id="a slug that climbs"),
    pytest.param({"campaign": "a/../b", "event": "e"}, "slug alone", id="a slug that climbs in its middle"),
    pytest.param({"campaign": "a%2fb", "event": "e"}, "slug alone", id="a slug that is quoted already"),
    pytest.param({"campaign": "https://x/promo", "event": "e"}, "slug alone", id="an address for a slug"),
    pytest.param({"award": "a", "metadata": "x"}, "no map", id="metadata that is a text"),
    pytest.param({"award": "a", "metadata": None}, "no map", id="metadata that is null"),
]


@pytest.mark.parametrize(("options", "words"), UNSENDABLE)
def test_a_send_that_is_none_is_told_before_and_never_leaves(options: dict[str, Any], words: str) -> None:
    assert target.fault is not None
    assert target.baseline is not None
    assert words in target.fault(options)
    forward = replace(EVENT, options=options)
    outcome, asked = play(target.send(forward, SETTINGS))
    assert (outcome.verdict, asked) == (Verdict.REFUSED, [])
    assert words in outcome.note
    assert play(target.baseline(forward, SETTINGS)) == ("", [])


@pytest.mark.parametrize(
    "options",
    [
        {"award": "purchase"},
        {"award": "=action", "metadata": {"amount": "=total"}},
        {"campaign": "summer-promo", "event": "purchase"},
        {"campaign": "='promo/' + source", "event": "=action", "metadata": "=facts"},
    ],
)
def test_a_send_that_is_right_has_no_fault(options: dict[str, Any]) -> None:
    assert target.fault is not None
    assert target.fault(options) == ""


@pytest.mark.parametrize("forward", MODES)
@pytest.mark.parametrize("name", [None, "", ".", ".."])
def test_a_customer_id_that_would_mean_another_address_is_never_sent(forward: Forward, name: str | None) -> None:
    outcome, asked = play(target.send(replace(forward, customer=Customer(id=name)), SETTINGS))
    assert (outcome.verdict, asked) == (Verdict.REFUSED, [])


@pytest.mark.parametrize(
    ("key", "words"),
    [
        pytest.param("pk_live_4e1baec9e705789e", "pk_ is public", id="the widgets' key"),
        pytest.param("whsec_abc", "sk_live_", id="another vendor's"),
        pytest.param("SK_LIVE_a3b8", "sk_live_", id="in capitals"),
        pytest.param("sk_live_a3b8c9d0e1f2", "", id="live"),
        pytest.param(KEY, "", id="test"),
    ],
)
def test_only_a_secret_key_is_taken_and_none_is_repeated(key: str, words: str) -> None:
    setting = next(one for one in target.settings if one.name == "api_secret")
    assert setting.fault is not None
    said = setting.fault(key)
    assert bool(said) == bool(words)
    assert words in said
    assert key not in said


# --- what answers mean ----------------------------------------------------------------------------------------------

#: What means the same to both: nothing of it depends on what was asked for.
EITHER: list[tuple[str, int, Any, Verdict, str]] = [
    ("a page in place of an answer", 200, HTML, Verdict.UNCLEAR, "not as documented"),
    ("nothing in place of an answer", 200, None, Verdict.UNCLEAR, "not as documented"),
    ("no content", 204, None, Verdict.UNCLEAR, "not as documented"),
    ("a list", 200, ["ok"], Verdict.UNCLEAR, "not as documented"),
    ("success without data", 200, {"status": "success"}, Verdict.UNCLEAR, "not as documented"),
    ("success with a list for data", 200, {"status": "success", "data": [1]}, Verdict.UNCLEAR, "not as documented"),
    ("success with empty data", 200, {"status": "success", "data": {}}, Verdict.UNCLEAR, "not as documented"),
    ("an error that calls itself 200", 200, problem(200, "no"), Verdict.UNCLEAR, "not as documented"),
    ("100", 100, None, Verdict.UNCLEAR, "100"),
    ("a redirect", 302, None, Verdict.MISCONFIGURED, "base_url is wrong"),
    ("not modified", 304, None, Verdict.MISCONFIGURED, "base_url is wrong"),
    ("400", 400, problem(400, "Invalid request body"), Verdict.REFUSED, "400 Invalid request body"),
    ("400 and a page", 400, HTML, Verdict.REFUSED, "400"),
    ("401, no key", 401, problem(401, "Missing X-API-Secret header"), Verdict.MISCONFIGURED, "401 Missing X-API"),
    ("401, a wrong key", 401, problem(401, "Invalid API key"), Verdict.MISCONFIGURED, "401 Invalid API key"),
    ("401 and nothing", 401, None, Verdict.MISCONFIGURED, "401"),
    ("402", 402, problem(402, "the plan has ended"), Verdict.MISCONFIGURED, "the plan has ended"),
    ("403, revoked", 403, problem(403, "API key has been revoked"), Verdict.MISCONFIGURED, "has been revoked"),
    ("403, at rest", 403, problem(403, "Application is not active"), Verdict.MISCONFIGURED, "is not active"),
    ("403, nobody", 403, problem(403, "Partner account not found"), Verdict.MISCONFIGURED, "Partner account"),
    ("403 and a firewall's page", 403, HTML, Verdict.MISCONFIGURED, "403"),
    ("404 and a page", 404, HTML, Verdict.MISCONFIGURED, "base_url is wrong"),
    ("404 and nothing", 404, None, Verdict.MISCONFIGURED, "base_url is wrong"),
    ("404 of a framework", 404, {"message": "Cannot POST /v2/x", "statusCode": 404}, Verdict.MISCONFIGURED, "base_url"),
    ("405", 405, None, Verdict.MISCONFIGURED, "405"),
    ("407", 407, HTML, Verdict.MISCONFIGURED, "407"),
    ("408", 408, None, Verdict.LATER, "408"),
    ("413", 413, HTML, Verdict.REFUSED, "413"),
    ("415", 415, problem(415, "not JSON"), Verdict.REFUSED, "not JSON"),
    ("422", 422, problem(422, ["userId is empty"]), Verdict.REFUSED, "422"),
    ("425", 425, None, Verdict.LATER, "425"),
    ("429", 429, problem(429, "Too many requests"), Verdict.LATER, "429"),
    ("500", 500, problem(500, "Internal server error"), Verdict.UNCLEAR, "500"),
    ("502 and a page", 502, HTML, Verdict.UNCLEAR, "502"),
    ("503", 503, None, Verdict.UNCLEAR, "503"),
    ("504", 504, None, Verdict.UNCLEAR, "504"),
]
EVENTS: list[tuple[str, int, Any, Verdict, str]] = [
    *EITHER,
    ("200", 200, recorded(), Verdict.DONE, "100 points"),
    ("201, as good as 200", 201, recorded(), Verdict.DONE, "100 points"),
    ("no points are points", 200, recorded(pointsEarned=0), Verdict.DONE, "0 points"),
    ("points as a text", 200, recorded(pointsEarned="100"), Verdict.DONE, "100 points"),
    ("a prize", 200, recorded(instantWin=WON), Verdict.DONE, "a prize was won"),
    ("no prize", 200, recorded(instantWin={"won": False}), Verdict.DONE, "100 points"),
    ("a success without its points", 200, recorded(pointsEarned=None), Verdict.UNCLEAR, "not as documented"),
    ("points that are true", 200, recorded(pointsEarned=True), Verdict.UNCLEAR, "not as documented"),
    ("the answer to an award", 200, awarded(), Verdict.UNCLEAR, "not as documented"),
    ("a failure with points", 200, {**recorded(), "status": "error"}, Verdict.UNCLEAR, "not as documented"),
    ("404", 404, problem(404, "Campaign not found or not active"), Verdict.REFUSED, "not active: replay this once"),
    ("409, none of ours", 409, problem(409, "User has exceeded maximum plays"), Verdict.REFUSED, "limit reached at"),
]
AWARDS: list[tuple[str, int, Any, Verdict, str]] = [
    *EITHER,
    ("201", 201, awarded(), Verdict.DONE, "500 points"),
    ("200, on the older page", 200, awarded(), Verdict.DONE, "500 points"),
    ("no points are points", 201, awarded(pointsAwarded=0), Verdict.DONE, "0 points"),
    ("an award without its number", 201, awarded(pointsAwarded=None), Verdict.DONE, "some points"),
    ("an award without its line", 201, awarded(ledgerId=None), Verdict.UNCLEAR, "not as documented"),
    ("an award whose line is a list", 201, awarded(ledgerId=["x"]), Verdict.UNCLEAR, "not as documented"),
    ("the answer to an event", 200, recorded(), Verdict.UNCLEAR, "not as documented"),
    ("404", 404, problem(404, "No reward rule found for event type"), Verdict.REFUSED, "no reward rule for 'purchase'"),
    ("409", 409, problem(409, "Duplicate reference"), Verdict.DUPLICATE, "earlier attempt had arrived"),
    ("409 and nothing", 409, None, Verdict.DUPLICATE, "earlier attempt had arrived"),
]
ANSWERS = [
    pytest.param(forward, status, body, verdict, note, id=f"{mode}: {name}")
    for mode, forward, rows in (("event", EVENT, EVENTS), ("award", AWARD, AWARDS))
    for name, status, body, verdict, note in rows
]


@pytest.mark.parametrize(("forward", "status", "body", "verdict", "note"), ANSWERS)
def test_each_answer_has_one_meaning(forward: Forward, status: int, body: Any, verdict: Verdict, note: str) -> None:
    outcome, asked = play(target.send(forward, SETTINGS), answer(status, body))
    assert outcome.verdict is verdict
    assert note in outcome.note
    assert outcome.note == outcome.note.strip()
    assert len(asked) == 1


def test_the_line_of_the_ledger_is_the_reference() -> None:
    outcome, _ = play(target.send(AWARD, SETTINGS), answer(201, awarded()))
    assert outcome.reference == "f1e2d3c4-b5a6-7890"


def test_no_plays_left_are_ours_only_after_an_unclear_attempt_of_ours() -> None:
    exceeded = answer(409, problem(409, "User has exceeded maximum plays"))
    outcome, _ = play(target.send(replace(EVENT, earlier=EARLIER), SETTINGS), exceeded)
    assert outcome.verdict is Verdict.DUPLICATE
    assert "look the customer up in GamifyHost's dashboard" in outcome.note
    outcome, _ = play(target.send(EVENT, SETTINGS), exceeded)
    assert outcome.verdict is Verdict.REFUSED


@pytest.mark.parametrize("forward", MODES)
@pytest.mark.parametrize(
    ("response", "wait"),
    [
        pytest.param(answer(429), timedelta(seconds=30), id="429 names no wait"),
        pytest.param(answer(429, **{"retry-after": "120"}), timedelta(minutes=2), id="429 names one"),
        pytest.param(answer(503, **{"retry-after": "7"}), timedelta(seconds=7), id="503 names one"),
        pytest.param(answer(503), None, id="503 names none"),
    ],
)
def test_how_long_to_wait(forward: Forward, response: Response, wait: timedelta | None) -> None:
    outcome, _ = play(target.send(forward, SETTINGS), response)
    assert outcome.retry_after == wait


# --- what answers show ----------------------------------------------------------------------------------------------


def test_an_event_shows_its_fields_flat() -> None:
    outcome, _ = play(target.send(EVENT, SETTINGS), answer(200, recorded(instantWin=WON)))
    assert outcome.shown == {
        "pointsEarned": 100,
        "totalPoints": 750,
        "message": "Event recorded successfully",
        "won": True,
        "prizeTier": "Gold",
        "prizePoints": 500,
        "prizeMessage": "You won the Gold prize!",
        "winCode": CODE,
    }


def test_an_award_shows_the_same_under_the_same_names() -> None:
    outcome, _ = play(target.send(AWARD, SETTINGS), answer(201, awarded()))
    assert outcome.shown == {"pointsEarned": 500, "totalPoints": 5500, "message": "Points awarded successfully"}


def test_a_draw_that_wins_nothing_shows_no_code() -> None:
    win = {"won": False, "prizeTier": None, "winCode": None, "message": "Better luck next time"}
    outcome, _ = play(target.send(EVENT, SETTINGS), answer(200, recorded(instantWin=win)))
    shown = {name: one for name, one in outcome.shown.items() if name not in ("pointsEarned", "totalPoints", "message")}
    assert shown == {"won": False, "prizeMessage": "Better luck next time"}


KINDS_OF = {"int": int, "string": str, "bool": bool}


@pytest.mark.parametrize(("forward", "status", "body", "verdict", "note"), ANSWERS)
def test_what_is_shown_is_declared_and_of_its_type(
    forward: Forward, status: int, body: Any, verdict: Verdict, note: str
) -> None:
    declared = {fact.name: KINDS_OF[fact.kind] for fact in target.shows}
    outcome, _ = play(target.send(forward, SETTINGS), answer(status, body))
    assert all(type(value) is declared[name] for name, value in outcome.shown.items())
    assert set(target.bearer) <= set(declared)


LEAKS = [
    pytest.param(200, recorded(instantWin=WON), id="a prize"),
    pytest.param(200, recorded(message=f"Your code: {CODE}", instantWin=WON), id="the message repeats the code"),
    pytest.param(200, recorded(instantWin={**WON, "message": f"Use {CODE}!"}), id="the winner's message repeats it"),
    pytest.param(200, recorded(instantWin={**WON, "prizeTier": f"Gold {CODE}"}), id="the prize's name repeats it"),
    pytest.param(
        200, recorded(message=f"{'x' * 192}{CODE}", instantWin={"won": True}), id="a cut would leave half of the code"
    ),
    pytest.param(
        200, recorded(pointsEarned=None, instantWin=WON, message=CODE), id="a success that is none carries the code"
    ),
    pytest.param(200, problem(200, f"You won {CODE}"), id="an error that calls itself 200"),
    pytest.param(400, problem(400, f"{CODE} is won already"), id="400 names the code"),
    pytest.param(403, problem(403, f"{CODE}"), id="403 is the code"),
    pytest.param(404, problem(404, f"{CODE}: not found"), id="404 names the code"),
    pytest.param(409, problem(409, f"You have won {CODE} already"), id="409 names the code"),
    pytest.param(409, {**recorded(instantWin=WON), "message": CODE}, id="409 carries the whole win"),
    pytest.param(500, {**recorded(instantWin=WON), "message": CODE}, id="500 carries the whole win"),
]


@pytest.mark.parametrize("forward", [*MODES, pytest.param(replace(EVENT, earlier=EARLIER), id="event, after doubt")])
@pytest.mark.parametrize(("status", "body"), LEAKS)
def test_a_win_code_never_stands_in_a_note_nor_in_any_field_but_its_own(
    forward: Forward, status: int, body: Any
) -> None:
    outcome, _ = play(target.send(forward, SETTINGS), answer(status, body))
    told = [outcome.note, outcome.reference, *(str(one) for name, one in outcome.shown.items() if name != "winCode")]
    assert not [text for text in told if CODE in text or CODE[-8:] in text or CODE[:-4] in text]


def test_a_code_of_another_form_is_taken_out_of_the_texts_as_well() -> None:
    win = {**WON, "winCode": "golden ticket 7", "message": "Show your golden ticket 7 at the till"}
    outcome, _ = play(target.send(EVENT, SETTINGS), answer(200, recorded(instantWin=win)))
    assert outcome.shown["winCode"] == "golden ticket 7"
    assert outcome.shown["prizeMessage"] == "Show your *** at the till"


def test_a_win_that_came_with_an_unclear_answer_is_not_lost() -> None:
    outcome, _ = play(target.send(EVENT, SETTINGS), answer(200, recorded(pointsEarned=None, instantWin=WON)))
    assert outcome.verdict is Verdict.UNCLEAR
    assert outcome.shown["winCode"] == CODE


@pytest.mark.parametrize("forward", MODES)
def test_their_words_are_cut_and_the_key_is_never_among_them(forward: Forward) -> None:
    outcome, _ = play(target.send(forward, SETTINGS), answer(400, problem(400, "x" * 5000)))
    assert len(outcome.note) < 300
    outcome, _ = play(target.send(forward, SETTINGS), answer(401, problem(401, f"Invalid API key {KEY}")))
    assert KEY not in outcome.note
    assert "Invalid API key ***" in outcome.note


# --- how doubt is settled: events -----------------------------------------------------------------------------------


def standing(events: Any, points: Any = 0) -> Mapping[str, Any]:
    data = {"userId": "user_12345", "displayName": "Ann", "totalPoints": points, "eventsCount": events, "rank": 3}
    return {"status": "success", "data": data}


BOARD = answer(200, {"status": "success", "data": {"entries": [], "totalParticipants": 0}})
NOBODY = answer(404, problem(404, "Campaign or participant not found"))
NO_CAMPAIGN = answer(404, problem(404, "Campaign not found"))

SEEN = [
    pytest.param([answer(200, standing(12, 2500))], "12/2500", id="a participant"),
    pytest.param([answer(200, standing(0, 0))], "0/0", id="a participant without events"),
    pytest.param([NOBODY, BOARD], "0/0", id="nobody yet, in a campaign that is there"),
    pytest.param([NOBODY, NO_CAMPAIGN], "", id="no such campaign: the call itself will say so"),
    pytest.param([answer(404, problem(404, "Participant not found")), BOARD], "0/0", id="nobody yet, in other words"),
    pytest.param([answer(400, problem(400, "bad id"))], "", id="a question it refuses: the call itself will say so"),
    pytest.param([answer(200, standing(None))], "", id="no count"),
    pytest.param([answer(200, standing(3, None))], "", id="no points"),
    pytest.param([answer(200, standing(True, 3))], "", id="a count that is true"),
    pytest.param([answer(200, {"status": "success", "data": []})], "", id="a list for a participant"),
    pytest.param([answer(200, problem(200, "no"))], "", id="an error that calls itself 200"),
]


@pytest.mark.parametrize(("answers", "text"), SEEN)
def test_the_baseline_is_events_and_points(answers: list[Response], text: str) -> None:
    assert target.baseline is not None
    seen, asked = play(target.baseline(EVENT, SETTINGS), *answers)
    assert seen == text
    assert all(request.harmless for request in asked)
    assert asked[0].url.endswith("/v1/campaigns/summer-promo/participants/user_12345")
    if len(asked) > 1:
        assert asked[1].url.endswith("/v1/campaigns/summer-promo/leaderboard")
        assert asked[1].params == {"limit": "1"}


def test_an_award_needs_no_baseline() -> None:
    assert target.baseline is not None
    assert play(target.baseline(AWARD, SETTINGS)) == ("", [])


#: Reads that tell nothing: what is the operator's to mend, and what only time mends.
STOPPED = [
    pytest.param(answer(302), id="a redirect"),
    pytest.param(answer(401, problem(401, "Invalid API key")), id="a wrong key"),
    pytest.param(answer(403, problem(403, "API key has been revoked")), id="a revoked key"),
    pytest.param(answer(403, HTML), id="a firewall"),
    pytest.param(answer(404, HTML), id="a path that is not there"),
    pytest.param(answer(404, {"message": "Cannot GET /v2/x"}), id="a path that a framework does not know"),
    pytest.param(answer(200, HTML), id="a page in place of an answer"),
    pytest.param(answer(200), id="nothing in place of an answer"),
    pytest.param(answer(200, ["ok"]), id="a list in place of an answer"),
]
FAILED = [answer(408), answer(425), answer(429), answer(500), answer(502, HTML), answer(503), answer(100)]
READS = [
    pytest.param(lambda: target.baseline(EVENT, SETTINGS), (), id="the baseline"),  # type: ignore[misc]
    pytest.param(lambda: target.baseline(EVENT, SETTINGS), (NOBODY,), id="the baseline's second look"),  # type: ignore[misc]
    pytest.param(lambda: target.reconcile(EVENT, "0/0", SETTINGS), (), id="reconciling an event"),  # type: ignore[misc]
    pytest.param(lambda: target.reconcile(AWARD, "", SETTINGS), (), id="reconciling an award"),  # type: ignore[misc]
]


@pytest.mark.parametrize(("read", "before"), READS)
@pytest.mark.parametrize("response", STOPPED)
def test_a_read_that_is_refused_is_for_the_operator(
    read: Any, before: tuple[Response, ...], response: Response
) -> None:
    outcome, _ = play(read(), *before, response)
    assert isinstance(outcome, Outcome)
    assert outcome.verdict is Verdict.MISCONFIGURED
    assert outcome.note


@pytest.mark.parametrize(("read", "before"), READS)
@pytest.mark.parametrize("response", FAILED, ids=lambda response: str(response.status))
def test_a_read_that_fails_settles_nothing(read: Any, before: tuple[Response, ...], response: Response) -> None:
    with pytest.raises(Unavailable):
        play(read(), *before, response)


COMPARED = [
    pytest.param("12/650", [answer(200, standing(13, 750))], Verdict.DONE, id="one more event than before"),
    pytest.param("12/650", [answer(200, standing(13, 650))], Verdict.DONE, id="one more event, which brought nothing"),
    pytest.param("0/0", [answer(200, standing(1, 100))], Verdict.DONE, id="the first event"),
    pytest.param("12/650", [answer(200, standing(12, 650))], Verdict.LATER, id="as before"),
    pytest.param("0/0", [NOBODY, BOARD], Verdict.LATER, id="still nobody"),
    pytest.param("12/650", [answer(200, standing(14, 850))], Verdict.UNCLEAR, id="two more: one is somebody else's"),
    pytest.param("12/650", [answer(200, standing(11, 650))], Verdict.UNCLEAR, id="fewer than before"),
    pytest.param("12/650", [answer(200, standing(12, 750))], Verdict.UNCLEAR, id="more points by as many events"),
    pytest.param("12/650", [NOBODY, BOARD], Verdict.UNCLEAR, id="nobody any more"),
    pytest.param("0/0", [NOBODY, NO_CAMPAIGN], Verdict.UNCLEAR, id="a campaign that is not shown any more"),
    pytest.param("12/650", [answer(200, standing(None))], Verdict.UNCLEAR, id="no count any more"),
    pytest.param("", [answer(200, standing(1, 100))], Verdict.UNCLEAR, id="not known before"),
    pytest.param("", [NOBODY, NO_CAMPAIGN], Verdict.UNCLEAR, id="not known before, and not shown now"),
    pytest.param("garbled", [answer(200, standing(1, 100))], Verdict.UNCLEAR, id="a baseline that is none"),
    pytest.param("-1/0", [answer(200, standing(0, 0))], Verdict.UNCLEAR, id="a baseline below nothing"),
]


@pytest.mark.parametrize(("before", "answers", "verdict"), COMPARED)
def test_whether_an_event_happened_is_read_from_the_count(
    before: str, answers: list[Response], verdict: Verdict
) -> None:
    assert target.reconcile is not None
    outcome, asked = play(target.reconcile(EVENT, before, SETTINGS), *answers)
    assert outcome.verdict is verdict
    assert outcome.note
    assert all(request.harmless for request in asked)
    assert ("look the customer up" in outcome.note) == (verdict is Verdict.DONE)


# --- how doubt is settled: awards -----------------------------------------------------------------------------------


def history(*references: str | None, pages: Any = 1) -> Response:
    rows = [{"id": f"line of {one}", "eventType": "purchase", "points": 100, "reference": one} for one in references]
    said = {"message": "User history retrieved", "code": 200, "status": "success"}
    return answer(200, {**said, "data": rows, "meta": {"page": 1, "limit": ROWS, "totalPages": pages}})


LEDGERS = [
    pytest.param([history("fwd_0", "fwd_1")], Verdict.DONE, id="on the only page"),
    pytest.param([history("a", pages=3), history(None, pages=3), history("fwd_1", pages=3)], Verdict.DONE, id="last"),
    pytest.param([history("a", pages=3), history("fwd_1", pages=3)], Verdict.DONE, id="on the second page: enough"),
    pytest.param([history("fwd_10", "xfwd_1", "FWD_1", None)], Verdict.LATER, id="others, however alike"),
    pytest.param([history("a", pages=2), history("b", pages=2)], Verdict.LATER, id="on none of two pages"),
    pytest.param([history(pages=0)], Verdict.LATER, id="an empty ledger"),
    pytest.param([answer(404, problem(404, "User not found"))], Verdict.LATER, id="a customer nobody knows there"),
    pytest.param([history("a", pages=10**9)] * PAGES, Verdict.UNCLEAR, id="more than is read"),
    pytest.param([history("a", pages=None)], Verdict.UNCLEAR, id="no end is named"),
    pytest.param([answer(200, {"status": "success", "data": {}})], Verdict.UNCLEAR, id="no list"),
    pytest.param([answer(200, {"data": [1, None, ["fwd_1"]], "meta": {"totalPages": 1}})], Verdict.LATER, id="no rows"),
    pytest.param([answer(400, problem(400, "limit"))], Verdict.UNCLEAR, id="a question it refuses"),
]


@pytest.mark.parametrize(("answers", "verdict"), LEDGERS)
def test_whether_an_award_happened_is_read_from_the_ledger(answers: list[Response], verdict: Verdict) -> None:
    assert target.reconcile is not None
    outcome, asked = play(target.reconcile(AWARD, "", SETTINGS), *answers)
    assert outcome.verdict is verdict
    assert outcome.note
    assert outcome.reference == ("line of fwd_1" if verdict is Verdict.DONE else "")
    assert all(request.harmless for request in asked)
    for number, request in enumerate(asked, 1):
        assert request.url.endswith("/v1/users/user_12345/history")
        assert request.params == {"page": str(number), "limit": str(ROWS)}


def test_what_the_engine_must_know() -> None:
    assert target.lane is not None
    assert target.lane(EVENT) == "summer-promo"
    assert target.lane(replace(EVENT, options={**EVENT.options, "event": "signup"})) == "summer-promo"
    assert target.lane(replace(EVENT, options={**EVENT.options, "campaign": "Summer-Promo"})) == "summer-promo"
    assert target.lane(AWARD) == ""
    assert target.repeat_harmless(EVENT) == timedelta(0)
    assert timedelta(days=7) < target.repeat_harmless(AWARD) <= timedelta(days=60)
    assert target.repeat_safe_for == timedelta(0)
    assert target.reconcile_after == timedelta(seconds=10)
    assert target.per_second == 5
    assert target.customer == "id"
    assert target.bearer == ("winCode",)


# --- check --live ---------------------------------------------------------------------------------------------------

RIGHT = answer(404, problem(404, "User not found"))
SENDS = [{"campaign": "summer-promo", "event": "purchase"}, {"campaign": "=subject", "event": "e"}, {"award": "a"}]


@pytest.mark.parametrize(
    ("sends", "answers", "faults"),
    [
        pytest.param(SENDS, [RIGHT, BOARD], [], id="all is well"),
        pytest.param([], [RIGHT], [], id="a key and no campaigns"),
        pytest.param([], [answer(200, standing(0))], [], id="somebody has that name: the key is right all the same"),
        pytest.param(SENDS, [RIGHT, NO_CAMPAIGN], ["campaign summer-promo: not found"], id="an unknown campaign"),
        pytest.param(
            [*SENDS, *SENDS, {"campaign": "b", "event": "e"}], [RIGHT, NO_CAMPAIGN, NO_CAMPAIGN],
            ["campaign summer-promo", "campaign b"], id="each campaign is asked for once",
        ),
        pytest.param(SENDS, [answer(401, problem(401, "Invalid API key"))], ["401 Invalid API key"], id="a wrong key"),
        pytest.param(SENDS, [answer(403, problem(403, "API key has been revoked"))], ["been revoked"], id="revoked"),
        pytest.param(SENDS, [answer(403, problem(403, "Application is not active"))], ["not active"], id="at rest"),
        pytest.param(SENDS, [answer(200, HTML)], ["base_url is wrong"], id="a page in place of an answer"),
        pytest.param(
            SENDS, [RIGHT, answer(403, problem(403, "not for campaigns"))], ["summer-promo: GamifyHost keeps us out"],
            id="a key that is right elsewhere",
        ),
        pytest.param(SENDS, [answer(404, HTML)], ["base_url is wrong"], id="a wrong address"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["test", "live"])
def test_the_probe_says_what_is_wrong_and_in_which_environment(
    sends: list[dict[str, Any]], answers: list[Response], faults: list[str], kind: str
) -> None:
    assert target.probe is not None
    key = f"sk_{kind}_0123456789abcdef"
    found, asked = play(target.probe(sends, {**SETTINGS, "api_secret": key}), *answers)
    assert len(found) == len(faults)
    for part, fault in zip(faults, found, strict=True):
        assert part in fault
        assert f"sk_{kind}_..." in fault
        assert key not in fault
    assert all(request.harmless for request in asked)


def test_the_probe_of_a_target_that_is_down_says_so() -> None:
    assert target.probe is not None
    with pytest.raises(Unavailable, match="503"):
        play(target.probe([], SETTINGS), answer(503))


# --- answers that mean harm -----------------------------------------------------------------------------------------


def raw(value: Any) -> bytes:
    return json.dumps(value).encode()


SURROGATE_WIN = {"won": "yes", "prizeTier": "\ud800", "winCode": "\udc00\x00", "message": "\ud83d"}
OBJECTS: dict[str, Any] = {name: {} for name in ("ledgerId", "pointsEarned", "eventsCount", "totalPoints")}
HUGE = 10**400
HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "a page": HTML,
    "not UTF-8": b'{"message":"\xff\xfe"}',
    "NUL bytes": b"\x00" * 40,
    "null": b"null",
    "a text": b'"ok"',
    "a number of five thousand digits": b"9" * 5000,
    "no numbers": b'{"data":{"pointsEarned":NaN,"eventsCount":Infinity,"totalPoints":-1e999}}',
    "nested to the end": b'{"data":' * 5000 + b"1" + b"}" * 5000,
    "nested deeply, and readable": b'{"message":' * 400 + b"1" + b"}" * 400,
    "lone surrogates and NUL": raw(
        {"message": "\ud800\x00", "data": {"ledgerId": "\udfff", "pointsEarned": 1, "instantWin": SURROGATE_WIN}}
    ),
    "everything a list": raw({"status": [], "message": [], "data": [[]], "meta": []}),
    "everything an object": raw(
        {"status": {}, "message": {}, "data": OBJECTS | {"instantWin": {"winCode": {}}}, "meta": {"totalPages": {}}}
    ),
    "a win that is a text": raw({"data": {"pointsEarned": 1, "instantWin": "yes"}}),
    "a win of odd things": raw({"data": {"pointsEarned": 1, "instantWin": {"": 1, "won": 1, "winCode": [7]}}}),
    "numbers beyond all bounds": raw(
        {"data": {"pointsEarned": HUGE, "ledgerId": HUGE, "eventsCount": HUGE, "totalPoints": -HUGE}}
    ),
    "counts below nothing": raw({"data": {"pointsEarned": -1, "eventsCount": -1, "totalPoints": -1}}),
    "rows of odd things": raw({"data": [1, [], {}, {"reference": {}}], "meta": {"totalPages": "9" * 30}}),
    "pages below nothing": raw({"data": [], "meta": {"totalPages": -5}}),
    "a megabyte of one word": raw({"message": "a" * 1_000_000, "data": {"ledgerId": "b" * 1_000_000}}),
    "a megabyte of codes": raw({"message": f"{CODE} " * 70_000}),
}
STATUSES = [100, 200, 201, 204, 299, 302, 400, 401, 403, 404, 409, 418, 429, 500, 599]


def talks() -> Iterator[Talk[Any]]:
    assert target.baseline is not None
    assert target.reconcile is not None
    assert target.probe is not None
    for forward in (EVENT, AWARD, replace(EVENT, earlier=EARLIER)):
        yield target.send(forward, SETTINGS)
        yield target.baseline(forward, SETTINGS)
        yield target.reconcile(forward, "1/100", SETTINGS)
    yield target.probe(SENDS, SETTINGS)


def endure(talk: Talk[Any], response: Response) -> Any:
    """The same answer to every question."""
    asked = 0
    try:
        next(talk)
        while True:
            asked += 1
            assert asked < 50, "it never stops asking"
            talk.send(response)
    except StopIteration as stop:
        return stop.value
    except Unavailable as failure:
        return failure.message


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=list(HOSTILE))
def test_no_answer_breaks_anything_and_all_that_is_kept_can_be_stored(body: bytes, status: int) -> None:
    for talk in talks():
        told = endure(talk, answer(status, body))
        kept = [told.note, told.reference, *told.shown.values()] if isinstance(told, Outcome) else [told]
        json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()
        assert "\x00" not in "".join(str(one) for one in kept)
        assert all(-(2**63) <= one < 2**63 for one in kept if isinstance(one, int))
        if isinstance(told, Outcome):
            assert len(told.note) < 600
            assert "AX7K9M2P" not in told.note


# --- against the stand-in -------------------------------------------------------------------------------------------


class Hanging(httpx2.AsyncBaseTransport):
    """ASGI without a server has no connection to drop: what the stand-in raises then is what a client would see."""

    def __init__(self, app: StandIn) -> None:
        self.inner = httpx2.ASGITransport(app=app)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return await self.inner.handle_async_request(request)
        except ConnectionResetError as error:
            raise httpx2.RemoteProtocolError(str(error)) from None


class House:
    """A partner account, the API over it, and whoever tells it things as the bridge does."""

    def __init__(self, *, patience: float = 10, **campaign: Any) -> None:
        self.patience = timedelta(seconds=patience)
        promo = Campaign(slug="summer-promo", points={"purchase": 100}, **campaign)
        self.partner = Partner([promo], rules={"purchase": 500}, seed=3)
        self.vendor = gamifyhost(self.partner, api_secret=KEY, clock=lambda: NOW)
        self.talker = Talker(Hanging(self.vendor), lambda: NOW, "bridge")

    async def hold(self, talk: Talk[Any]) -> Any:
        return await self.talker.hold(talk, within=self.patience)

    async def read(self, talk: Talk[Any]) -> Any:
        """A read: what keeps it from an answer is a matter of time, and is LATER here as nothing has left."""
        try:
            return await self.hold(talk)
        except Unavailable as failure:
            return Outcome(Verdict.LATER, failure.message)

    async def attempt(self, forward: Forward) -> tuple[str, Outcome]:
        """The baseline, and the call if that could be read."""
        assert target.baseline is not None
        before = await self.read(target.baseline(forward, SETTINGS))
        if isinstance(before, Outcome):
            return "", before
        try:
            return before, await self.hold(target.send(replace(forward, baseline=before), SETTINGS))
        except Failed as failure:
            unsent = Verdict.MISCONFIGURED if failure.ours else Verdict.LATER
            return before, Outcome(Verdict.UNCLEAR if failure.sent else unsent, failure.message)

    async def settle(self, forward: Forward) -> list[Outcome]:
        """
        Try until the forward has an end, the last of the outcomes.

        After doubt it is repeated where that is harmless, and else read until the record tells. A target that was
        paused is resumed, as an operator would.
        """
        assert target.reconcile is not None
        outcomes: list[Outcome] = []
        while not outcomes or outcomes[-1].verdict in (Verdict.LATER, Verdict.MISCONFIGURED, Verdict.UNCLEAR):
            assert len(outcomes) < 12, [one.note for one in outcomes]
            before, outcome = await self.attempt(forward)
            outcomes.append(outcome)
            if outcome.verdict is Verdict.UNCLEAR and target.repeat_harmless(forward):
                forward = replace(forward, earlier=EARLIER)
            elif outcome.verdict is Verdict.UNCLEAR:
                try:
                    outcomes.append(await self.hold(target.reconcile(forward, before, SETTINGS)))
                except Unavailable:
                    outcomes.append(await self.hold(target.reconcile(forward, before, SETTINGS)))
        return outcomes

    def got(self, forward: Forward) -> tuple[int, int]:
        """How often the customer was rewarded, and with how many points."""
        name = str(forward.customer.id)
        if "award" in forward.options:
            return len(self.partner.entries.get(name, ())), self.partner.balance(name)
        return self.partner.played("summer-promo", name), self.partner.points("summer-promo", name)


ONCE = {"event": (1, 100), "award": (1, 500)}
#: How a fault is armed, where its kind alone is not enough.
MORE: Mapping[str, Mapping[str, Any]] = {
    "slow": {"seconds": 60},  # longer than anybody waits
    "slow_before": {"seconds": 0.05},
    "503": {"retry_after": 7},
    "says": {"status": 425, "body": {"message": "too early"}},
}
PATIENCE = {"slow": 0.3}  # seconds
#: What the first try is, where the call meets the fault; the rest is "in doubt".
FIRST = {
    "slow_before": Verdict.DONE,
    "429": Verdict.LATER,
    "says": Verdict.LATER,
    "redirect": Verdict.MISCONFIGURED,
    "revoked": Verdict.MISCONFIGURED,
}


@pytest.mark.parametrize("mode", ["event", "award"])
@pytest.mark.parametrize("on", ["writes", "reads", "all"])
@pytest.mark.parametrize("kind", KINDS)
async def test_whatever_goes_wrong_the_customer_is_rewarded_once(kind: str, on: str, mode: str) -> None:
    house, forward = House(patience=PATIENCE.get(kind, 10)), EVENT if mode == "event" else AWARD
    house.vendor.faults.arm(kind, on=on, **MORE.get(kind, {}))  # type: ignore[arg-type]
    outcomes = await house.settle(forward)
    assert outcomes[-1].verdict in (Verdict.DONE, Verdict.DUPLICATE)
    assert house.got(forward) == ONCE[mode]
    if on == "writes":
        assert outcomes[0].verdict is FIRST.get(kind, Verdict.UNCLEAR)


@pytest.mark.parametrize("mode", ["event", "award"])
@pytest.mark.parametrize("kind", ["drop_after", "500_after", "cut", "wrong_json", "slow"])
async def test_two_lost_answers_in_a_row_pay_neither_twice_nor_for_another(kind: str, mode: str) -> None:
    house, forward = House(patience=PATIENCE.get(kind, 10)), EVENT if mode == "event" else AWARD
    await house.settle(replace(forward, id="fwd_0"))
    house.vendor.faults.arm(kind, on="writes", times=2, **MORE.get(kind, {}))  # type: ignore[arg-type]
    await house.settle(forward)
    times, points = ONCE[mode]
    assert house.got(forward) == (2 * times, 2 * points)


@pytest.mark.parametrize("mode", ["event", "award"])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_has_happened_is_never_read_as_not_having_happened(kind: str, mode: str) -> None:
    assert target.reconcile is not None
    house, forward = House(patience=PATIENCE.get(kind, 10)), EVENT if mode == "event" else AWARD
    before, _ = await house.attempt(forward)
    house.vendor.faults.arm(kind, on="reads", times=None, **MORE.get(kind, {}))  # type: ignore[arg-type]
    try:
        outcome = await house.hold(target.reconcile(forward, before, SETTINGS))
    except Unavailable:
        assert kind not in ("slow_before", "redirect", "revoked", "html", "wrong_json")
    else:
        assert outcome.verdict is (Verdict.DONE if kind == "slow_before" else Verdict.MISCONFIGURED)


async def test_a_prize_of_a_lost_answer_is_looked_up_by_a_person_and_never_drawn_again() -> None:
    house = House(prizes=[Prize("Gold", 500)], odds=1.0)
    house.vendor.faults.arm("drop_after", on="writes")
    outcomes = await house.settle(EVENT)
    state = house.partner.known()["users"]["user_12345"]
    assert [one.verdict for one in outcomes] == [Verdict.UNCLEAR, Verdict.DONE]
    assert "look the customer up in GamifyHost's dashboard" in outcomes[-1].note
    assert (state["draws"], len(state["codes"])) == (1, 1)
    assert not [one for one in outcomes if state["codes"][0] in one.note]


async def test_a_prize_arrives_with_its_code_sealed_away_from_the_words() -> None:
    house = House(prizes=[Prize("Gold", 500)], odds=1.0)
    outcomes = await house.settle(EVENT)
    code = house.partner.known()["users"]["user_12345"]["codes"][0]
    assert outcomes[0].shown["winCode"] == code
    assert outcomes[0].shown["prizeTier"] == "Gold"
    assert code not in outcomes[0].note


async def test_a_limit_that_was_used_up_elsewhere_is_not_ours_and_after_our_own_doubt_it_is() -> None:
    house = House(most=1)
    await house.settle(replace(EVENT, id="fwd_0"))
    assert (await house.settle(EVENT))[-1].verdict is Verdict.REFUSED
    released = await house.settle(replace(EVENT, earlier=EARLIER))
    assert released[-1].verdict is Verdict.DUPLICATE
    assert house.got(EVENT) == (1, 100)


async def test_a_campaign_that_has_not_begun_is_refused_until_it_is_replayed() -> None:
    house = House(active=False)
    assert (await house.settle(EVENT))[-1].verdict is Verdict.REFUSED
    house.partner.switch("summer-promo", active=True)
    assert (await house.settle(EVENT))[-1].verdict is Verdict.DONE


async def test_a_campaign_that_is_not_there_has_no_baseline_and_is_refused() -> None:
    house = House()
    house.partner.campaigns.clear()
    before, outcome = await house.attempt(EVENT)
    assert (before, outcome.verdict) == ("", Verdict.REFUSED)


async def test_an_award_without_a_rule_is_refused() -> None:
    house = House()
    house.partner.rules.clear()
    assert (await house.settle(AWARD))[-1].verdict is Verdict.REFUSED


async def test_the_ledger_is_read_to_its_end_over_the_wire() -> None:
    assert target.reconcile is not None
    house = House()
    for number in range(2 * ROWS + 1):
        await house.hold(target.send(replace(AWARD, id=f"fwd_x{number}"), SETTINGS))
    missing = await house.hold(target.reconcile(AWARD, "", SETTINGS))
    assert missing.verdict is Verdict.LATER
    await house.hold(target.send(AWARD, SETTINGS))
    found = await house.hold(target.reconcile(AWARD, "", SETTINGS))
    assert (found.verdict, found.reference) == (Verdict.DONE, house.partner.entries["user_12345"][-1].id)


@pytest.mark.parametrize("name", ["ann@example.com", "Åsa Öberg", "a b?c#d&e=f", "%2e%2e", "7"])
async def test_ids_of_every_kind_arrive_as_they_are(name: str) -> None:
    house = House()
    for forward in (EVENT, AWARD):
        mine = replace(forward, customer=Customer(id=name))
        house.vendor.faults.arm("drop_after", on="writes")
        await house.settle(mine)
        assert house.got(mine)[0] == 1


async def test_the_probe_against_the_stand_in() -> None:
    assert target.probe is not None
    house = House()
    assert await house.hold(target.probe(SENDS, SETTINGS)) == []
    unknown = await house.hold(target.probe([{"campaign": "winter-promo", "event": "e"}], SETTINGS))
    assert len(unknown) == 1
    house.partner.standing = "revoked"
    assert "API key has been revoked" in (await house.hold(target.probe(SENDS, SETTINGS)))[0]
