"""Popsell: who is paid, what is sent, and what each of its answers means for us."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.kit import Customer, Forward, Outcome, Request, Response, Settings, Talk, Unavailable, Verdict
from providers.loyalty.popsell import target

from .playing import play

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS: Settings = {"base_url": "https://rewards.example.com", "api_key": "pop_key", "find_by": "email"}
FORWARD = Forward(
    id="fwd_01a1f9f7702b00195ec5a23b",
    rule="twitch-follow",
    send="popsell",
    target="popsell",
    customer=Customer(id="C-9", email="ann@example.com"),
    options={"points": 50, "score": 40, "challenge_id": 42, "message": "Thank you"},
    source="twitch",
    action="follow",
    subject="1337",
    facts={},
    occurred_at=NOW,
    created_at=NOW,
    known_as="7",
    baseline='{"score":10,"points":5}',
)
HTML = b"<!doctype html><title>Just a moment...</title>"
HISTORY = {"id": 9001, "ambassador": {"id_ambassador": 7}, "score": 40.0, "points": 50.0, "message": "Thank you"}

#: The call's fields: type, and whether it is required. The path's id is an integer, the host's root is /api/v2.
#: https://apidoc.popsell.com/operation/operation-post-manager-ambassadors-parameter-challenge-histories
FIELDS = {
    "points": ("number", True),
    "score": ("number", True),
    "message": ("string", False),
    "challenge_id": ("number", False),
}
PATH = r"https://[a-z.]+/api/v2/manager/ambassadors/[0-9]+/challenge-histories"


def wrong(body: Any) -> list[str]:
    """What their page would say against a body."""
    if not isinstance(body, dict):
        return ["it is no object"]
    kinds: Mapping[str, Any] = {"number": int | float, "string": str}
    faults = [f"{name} is not documented" for name in body if name not in FIELDS]
    for name, (kind, required) in FIELDS.items():
        value = body.get(name)
        if name not in body:
            faults += [f"{name} is required"] if required else []
        elif isinstance(value, bool) or not isinstance(value, kinds[kind]):
            faults.append(f"{name} is no {kind}")
    return faults


def answer(status: int, body: Any = None, **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return Response(status, raw, headers=headers, at=NOW)


def said(message: str, /, **errors: Any) -> Mapping[str, Any]:
    return {"message": message, **({"errors": errors} if errors else {})}


def sent(forward: Forward = FORWARD, **settings: str) -> Request:
    _, asked = play(target.send(forward, {**SETTINGS, **settings}), answer(200, HISTORY))
    return asked[0]


def award(**options: Any) -> Forward:
    return replace(FORWARD, options={**FORWARD.options, **options})


# --- the call -------------------------------------------------------------------------------------------------------


def test_the_award_is_what_their_page_shows() -> None:
    request = sent()
    assert request.method == "POST"
    assert request.url == "https://rewards.example.com/api/v2/manager/ambassadors/7/challenge-histories"
    assert re.fullmatch(PATH, request.url)
    assert request.json == {
        "points": 50,
        "score": 40,
        "message": "Thank you [lb:fwd_01a1f9f7702b00195ec5a23b]",
        "challenge_id": 42,
    }
    assert request.headers == {"X-Popsell-Domain": "rewards.example.com"}
    assert request.authorized
    assert not request.harmless


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"points": 1, "score": 0}, id="the least"),
        pytest.param({"points": 50, "score": 50}, id="no challenge and no words"),
        pytest.param(
            {"points": 2**31 - 1, "score": 2**31 - 1, "challenge_id": 1, "message": "x" * 5000}, id="the most"
        ),
        pytest.param({"points": 5, "score": 5, "challenge_id": None, "message": ""}, id="nothing where nothing is"),
        pytest.param({"points": 5.0, "score": "5"}, id="whole numbers in another guise"),
    ],
)
def test_whatever_a_rule_says_the_body_is_valid_by_their_page(options: dict[str, Any]) -> None:
    body = sent(replace(FORWARD, options=options)).json
    assert wrong(body) == []
    assert wrong(json.loads(json.dumps(body))) == []


@pytest.mark.parametrize(
    "body",
    [{"points": 1}, {"score": 1}, {"points": "1", "score": 1}, {"points": 1, "score": 1, "reference": "x"}, []],
)
def test_their_page_does_refuse_what_is_wrong(body: Any) -> None:
    assert wrong(body)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://rewards.example.com",
        "https://rewards.example.com/",
        "https://rewards.example.com/api/v2",
        "https://rewards.example.com/api/v2/",
    ],
)
def test_the_path_of_the_api_is_added_unless_it_is_there(base_url: str) -> None:
    assert re.fullmatch(PATH, sent(base_url=base_url).url)


def test_a_domain_and_a_brand_of_its_own_go_with_every_call() -> None:
    request = sent(base_url="http://127.0.0.1:9000", domain="shop.example", brand="3")
    assert request.url.startswith("http://127.0.0.1:9000/api/v2/manager/")
    assert request.headers == {"X-Popsell-Domain": "shop.example", "X-Popsell-Brand": "3"}
    assert sent(base_url="http://127.0.0.1:9000").headers == {"X-Popsell-Domain": "127.0.0.1"}


KEY = "[lb:fwd_01a1f9f7702b00195ec5a23b]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param("Thank you", f"Thank you {KEY}", id="the merchant's words"),
        pytest.param(None, f"twitch follow {KEY}", id="none: what was done, and where"),
        pytest.param("", f"twitch follow {KEY}", id="empty: the same"),
        pytest.param("a\r\nb\x00c\u200bd\ud800e", f"a b c d e {KEY}", id="what cannot be printed"),
        pytest.param("by [lb:fwd_2]", f"by (lb:fwd_2] {KEY}", id="another call's key in a stranger's name"),
        pytest.param("x" * 5000, f"{'x' * 221} {KEY}", id="too many"),
        pytest.param("👍" * 5000, f"{'👍' * 221} {KEY}", id="too many of the widest"),
    ],
)
def test_the_message_is_words_for_people_and_then_the_key(words: str | None, message: str) -> None:
    request = sent(award(message=words))
    assert request.json["message"] == message
    assert len(message) <= 255
    request.body()  # and it can be sent


@pytest.mark.parametrize(
    ("forward", "note"),
    [
        *(
            pytest.param(replace(FORWARD, known_as=name), "id of the ambassador", id=f"ambassador {name!r}")
            for name in ("", "0", "07", "-7", "7a", "٧", "7/x", "../7", "7\n", "1" * 19)
        ),
        pytest.param(award(points=0), "points are 1", id="no points"),
        pytest.param(award(points=-5), "points are 1", id="points to take away"),
        pytest.param(award(points=None), "points are 1", id="points unknown"),
        pytest.param(award(points=1.5), "points are 1", id="half a point"),
        pytest.param(award(points=float("nan")), "points are 1", id="not a number of points"),
        pytest.param(award(points=True), "points are 1", id="yes, points"),
        pytest.param(award(points=2**31), "points are 1", id="more points than their number holds"),
        pytest.param(award(score=-1), "score 0", id="score to take away"),
        pytest.param(award(score=None), "score 0", id="score unknown"),
        pytest.param(award(score=2**31), "score 0", id="more score than their number holds"),
    ],
)
def test_what_popsell_would_take_amiss_is_never_sent(forward: Forward, note: str) -> None:
    outcome, asked = play(target.send(forward, SETTINGS))
    assert outcome.verdict is Verdict.REFUSED
    assert note in outcome.note
    assert not asked


# --- what its answers mean ------------------------------------------------------------------------------------------

NO_AMBASSADOR = said("No query results for model [App\\Models\\Ambassador] 7")
NO_CHALLENGE = said("No query results for model [App\\Models\\Challenge] 42")
NO_ROUTE = said("The route api/v2/manager/ambassadors/7/challenge-histories could not be found.")

ANSWERS = [
    pytest.param(200, HISTORY, Verdict.DONE, "challenge history 9001", id="200 with the history"),
    pytest.param(201, HISTORY, Verdict.DONE, "challenge history 9001", id="201, as good as 200"),
    pytest.param(200, {"id": "9001"}, Verdict.DONE, "9001", id="200 with the id as text"),
    pytest.param(200, {"message": "ok"}, Verdict.UNCLEAR, "without the id", id="200 without an id"),
    pytest.param(200, {"id": None}, Verdict.UNCLEAR, "without the id", id="200 and no id"),
    pytest.param(200, {"id": True}, Verdict.UNCLEAR, "without the id", id="200 and yes for an id"),
    pytest.param(200, [HISTORY], Verdict.UNCLEAR, "without the id", id="200 and a list"),
    pytest.param(200, HTML, Verdict.UNCLEAR, "without the id", id="200 and a page"),
    pytest.param(200, None, Verdict.UNCLEAR, "without the id", id="200 and nothing"),
    pytest.param(202, None, Verdict.UNCLEAR, "without the id", id="202, which is not documented"),
    pytest.param(204, None, Verdict.UNCLEAR, "without the id", id="204"),
    pytest.param(101, None, Verdict.UNCLEAR, "101", id="less than 200"),
    pytest.param(301, None, Verdict.MISCONFIGURED, "base_url is wrong", id="a redirect"),
    pytest.param(302, HTML, Verdict.MISCONFIGURED, "base_url is wrong", id="a redirect to a sign-in"),
    pytest.param(400, said("Bad request"), Verdict.REFUSED, "400: Bad request", id="400"),
    pytest.param(400, HTML, Verdict.REFUSED, "no reason given", id="400 and a page"),
    pytest.param(401, said("Unauthorized."), Verdict.MISCONFIGURED, "a new token too", id="401, a new token too"),
    pytest.param(401, HTML, Verdict.MISCONFIGURED, "a new token too", id="401 and a page"),
    pytest.param(403, said("You don't have permission"), Verdict.MISCONFIGURED, "no permission", id="403"),
    pytest.param(403, HTML, Verdict.MISCONFIGURED, "no permission", id="403 and a firewall's page"),
    pytest.param(404, NO_AMBASSADOR, Verdict.REFUSED, "no ambassador 7", id="404 in JSON"),
    pytest.param(404, NO_ROUTE, Verdict.MISCONFIGURED, "base_url is wrong", id="404 in JSON, of the path"),
    pytest.param(404, HTML, Verdict.MISCONFIGURED, "base_url is wrong", id="404 and a page"),
    pytest.param(404, None, Verdict.MISCONFIGURED, "base_url is wrong", id="404 and nothing"),
    pytest.param(404, NO_CHALLENGE, Verdict.REFUSED, "challenge_id 42", id="404, of the challenge"),
    pytest.param(405, said("Not supported"), Verdict.MISCONFIGURED, "base_url is wrong", id="405"),
    pytest.param(408, None, Verdict.LATER, "408", id="408"),
    pytest.param(409, said("Conflict"), Verdict.REFUSED, "409: Conflict", id="409, which is not documented"),
    pytest.param(413, HTML, Verdict.REFUSED, "413", id="413"),
    pytest.param(422, said("x", points=["too many"]), Verdict.REFUSED, "points: too many", id="422 of a field"),
    pytest.param(
        422, said("x", challenge_id=["invalid."]), Verdict.REFUSED, "challenge_id 42", id="422, the challenge"
    ),
    pytest.param(422, said("Unprocessable"), Verdict.REFUSED, "422: Unprocessable", id="422 without fields"),
    pytest.param(425, None, Verdict.LATER, "425", id="425"),
    pytest.param(429, said("Too Many Attempts."), Verdict.LATER, "Too Many", id="429"),
    pytest.param(500, said("Server Error"), Verdict.UNCLEAR, "500: Server Error", id="500"),
    pytest.param(500, said("x", challenge_id=["x"]), Verdict.UNCLEAR, "500", id="500 that speaks of the challenge"),
    pytest.param(500, NO_AMBASSADOR, Verdict.UNCLEAR, "500", id="500 that speaks of the ambassador"),
    pytest.param(500, NO_CHALLENGE, Verdict.UNCLEAR, "500", id="500 that speaks of the challenge by name"),
    pytest.param(500, HTML, Verdict.UNCLEAR, "500", id="500 and a page"),
    pytest.param(502, HTML, Verdict.UNCLEAR, "502", id="502"),
    pytest.param(503, None, Verdict.UNCLEAR, "503", id="503"),
    pytest.param(504, None, Verdict.UNCLEAR, "504", id="504"),
    pytest.param(999, None, Verdict.UNCLEAR, "999", id="a status that is none"),
]


@pytest.mark.parametrize(("status", "body", "verdict", "note"), ANSWERS)
def test_each_answer_has_one_meaning(status: int, body: Any, verdict: Verdict, note: str) -> None:
    outcome, asked = play(target.send(FORWARD, SETTINGS), answer(status, body))
    assert outcome.verdict is verdict
    assert note in outcome.note
    assert len(asked) == 1
    assert outcome.reference == ("9001" if verdict is Verdict.DONE else "")
    assert outcome.missing == (body is NO_AMBASSADOR and status == 404)


@pytest.mark.parametrize(
    ("before", "left"),
    [
        pytest.param('{"score":10,"points":5}', '{"score":50,"points":55}', id="both are known"),
        pytest.param('{"score":-10}', '{"score":30}', id="the points are not shown"),
        pytest.param('{"points":5}', "", id="the score is not"),
        pytest.param("", "", id="nothing was read"),
        pytest.param("garbled", "", id="a baseline that is none"),
    ],
)
def test_what_is_left_after_a_call_is_the_baseline_moved_on(before: str, left: str) -> None:
    outcome, _ = play(target.send(replace(FORWARD, baseline=before), SETTINGS), answer(200, HISTORY))
    assert outcome.left == left


@pytest.mark.parametrize(
    ("response", "wait"),
    [
        pytest.param(answer(429), timedelta(minutes=1), id="429 names no wait"),
        pytest.param(answer(429, **{"retry-after": "17"}), timedelta(seconds=17), id="429 names one"),
        pytest.param(answer(429, **{"retry-after": "soon"}), timedelta(minutes=1), id="429 names one nobody can read"),
        pytest.param(answer(408), None, id="408 names none"),
    ],
)
def test_how_long_to_wait(response: Response, wait: timedelta | None) -> None:
    for talk in (target.send(FORWARD, SETTINGS), looked(), found()):
        outcome, _ = play(talk, response)
        assert outcome.verdict is Verdict.LATER
        assert outcome.retry_after == wait


def test_every_field_is_told_with_its_messages_and_all_of_it_is_bounded() -> None:
    errors = {"points": ["The points field is required.", "It is a number."], "score": "too high", "message": [7, None]}
    outcome, _ = play(target.send(FORWARD, SETTINGS), answer(422, said("3 errors", **errors)))
    assert "points: The points field is required. It is a number.; score: too high; message:" in outcome.note
    flood = {f"{'f' * 500}{number}": ["x" * 500] * 5 for number in range(99)}
    outcome, _ = play(target.send(FORWARD, SETTINGS), answer(422, said("y" * 5000, **flood)))
    assert len(outcome.note) < 500


# --- the token ------------------------------------------------------------------------------------------------------


def token() -> Talk[str | Outcome]:
    assert target.token is not None
    return target.token(SETTINGS)


@pytest.mark.parametrize(
    ("response", "given"),
    [
        pytest.param(answer(200, {"token": "12|abc"}), "12|abc", id="one of Sanctum's"),
        pytest.param(answer(200, {"token": "eyJ.eyJ.x-_="}), "eyJ.eyJ.x-_=", id="a JWT"),
        pytest.param(answer(401, said("Unauthorized.")), "", id="refused"),
        pytest.param(answer(401, {"token": "12|abc"}), "", id="refused, whatever it holds"),
        pytest.param(answer(403, HTML), "", id="a firewall"),
        pytest.param(answer(404), "", id="no such path"),
        pytest.param(answer(302), "", id="a redirect"),
        pytest.param(answer(422, said("x", api_key=["x"])), "", id="a key it cannot read"),
        pytest.param(answer(200, {}), "", id="none"),
        pytest.param(answer(200, HTML), "", id="a page"),
        pytest.param(answer(200, {"token": ""}), "", id="an empty one"),
        pytest.param(answer(200, {"token": 5}), "", id="a number"),
        pytest.param(answer(200, {"token": "a\r\nX-Evil: 1"}), "", id="one with a header behind it"),
        pytest.param(answer(200, {"token": "12|abc "}), "", id="one with a blank behind"),
        pytest.param(answer(200, {"token": "12|abc\n"}), "", id="one with a line end"),
        pytest.param(answer(200, {"token": "schlüssel"}), "", id="one that no header can hold"),
        pytest.param(answer(200, {"token": "x" * 5000}), "", id="one that is too long"),
    ],
)
def test_a_token_or_none(response: Response, given: str) -> None:
    received, asked = play(token(), response)
    if given:
        assert received == given
    else:
        assert isinstance(received, Outcome)
        assert received.verdict is Verdict.MISCONFIGURED
        assert f"({response.status})" in received.note
    assert asked[0].url == "https://rewards.example.com/api/v2/auth/token"
    assert asked[0].json == {"api_key": "pop_key"}
    assert asked[0].headers == {"X-Popsell-Domain": "rewards.example.com"}
    assert asked[0].harmless
    assert not asked[0].authorized


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_token_that_cannot_be_had_just_now_is_not_refused(status: int) -> None:
    with pytest.raises(Unavailable):
        play(token(), answer(status, HTML))


# --- who is meant ---------------------------------------------------------------------------------------------------


def row(id_: Any = 7, **fields: Any) -> dict[str, Any]:
    known = {"customer_id": "C-9", "email": "ann@example.com", "active": 1, "status": 0}
    return {"id_ambassador": id_, **known, "gamification_score": 10, "sell_token_amount": 5, **fields}


def listed(*rows: Any, page: int = 1, of: int = 1) -> Response:
    return answer(200, {"current_page": page, "data": rows, "last_page": of, "per_page": 50})


def found(customer: Customer = FORWARD.customer, by: str = "email") -> Talk[Any]:
    assert target.find is not None
    return target.find(replace(FORWARD, customer=customer, known_as=""), {**SETTINGS, "find_by": by})


def known(forward: Forward, by: str) -> Forward:
    """Where customers are ambassadors by number, this one is number 7."""
    return replace(forward, customer=Customer(id="7")) if by == "ambassador_id" else forward


def looked(forward: Forward = FORWARD, by: str = "email") -> Talk[Any]:
    assert target.baseline is not None
    return target.baseline(known(forward, by), {**SETTINGS, "find_by": by})


def told(forward: Forward = FORWARD, before: str = '{"score":10,"points":5}', by: str = "email") -> Talk[Outcome]:
    assert target.reconcile is not None
    return target.reconcile(known(forward, by), before, {**SETTINGS, "find_by": by})


def test_ambassadors_are_searched_for_by_page() -> None:
    _, asked = play(found(), listed(row()))
    assert asked[0].method == "GET"
    assert asked[0].url == "https://rewards.example.com/api/v2/manager/ambassadors"
    assert asked[0].params["filter[ambassador_search]"] == "ann@example.com"
    assert (asked[0].params["page"], asked[0].params["per_page"]) == ("1", "50")
    assert "filter[active]" not in asked[0].params  # who is blocked is to be told from who is not there
    assert asked[0].authorized
    assert asked[0].harmless


MAIL, NUMBER = Customer(email="ann@example.com"), Customer(id="C-9")


@pytest.mark.parametrize(
    ("customer", "by", "rows"),
    [
        pytest.param(MAIL, "email", [row()], id="the address"),
        pytest.param(Customer(email="Ann@Example.COM"), "email", [row(email="aNN@eXAMPLE.com")], id="in any case"),
        pytest.param(MAIL, "email", [row(6, email="joann@example.com"), row(), row(8, email="x")], id="among others"),
        pytest.param(MAIL, "email", [row(), row()], id="twice the same row"),
        pytest.param(MAIL, "email", [row(active=True)], id="active, in the other type"),
        pytest.param(MAIL, "email", [row(suspicious=True, suspicious_quarantine=False)], id="suspicious and not held"),
        pytest.param(MAIL, "email", [row("7")], id="the id as text"),
        pytest.param(NUMBER, "customer_id", [row()], id="the customer id"),
        pytest.param(Customer(id="12"), "customer_id", [row(customer_id=12)], id="the customer id as a number"),
    ],
)
def test_only_who_is_called_exactly_so_is_meant(customer: Customer, by: str, rows: list[Any]) -> None:
    who, _ = play(found(customer, by), listed(*rows))
    assert who == "7"


@pytest.mark.parametrize(
    ("customer", "by", "rows"),
    [
        pytest.param(MAIL, "email", [], id="nobody"),
        pytest.param(MAIL, "email", [row(email="joann@example.com")], id="one whose address ends so"),
        pytest.param(MAIL, "email", [row(email="ann@example.com.evil.test")], id="one whose address begins so"),
        pytest.param(
            MAIL, "email", [row(email="x@y.z", firstname="ann@example.com")], id="one whose name is the address"
        ),
        pytest.param(MAIL, "email", [row(email="x@y.z", email_tmp="ann@example.com")], id="one who never confirmed it"),
        pytest.param(MAIL, "email", [row(email="ann@example.com ")], id="with a blank behind"),
        pytest.param(MAIL, "email", [row(email=None), row(8, email=["ann@example.com"])], id="no texts"),
        pytest.param(
            Customer(email="mark@x.y"), "email", [row(email="mar\u212a@x.y")], id="with a Kelvin sign for a k"
        ),
        pytest.param(Customer(email="strasse@x.y"), "email", [row(email="straße@x.y")], id="with an ß for ss"),
        pytest.param(Customer(email="a_n@x.y"), "email", [row(email="abn@x.y")], id="a letter for the wildcard"),
        pytest.param(NUMBER, "customer_id", [row(customer_id="c-9")], id="a customer id in another case"),
        pytest.param(NUMBER, "customer_id", [row(customer_id="C-99")], id="a longer customer id"),
        pytest.param(NUMBER, "customer_id", [row(customer_id=None)], id="no customer id"),
        pytest.param(Customer(id="None"), "customer_id", [row(customer_id=None)], id="a customer called None"),
        pytest.param(
            Customer(id="1"), "customer_id", [row(customer_id=1.0)], id="a customer id that is no whole number"
        ),
        pytest.param(
            MAIL, "email", [row(None), row(0), row(-7), row("x"), row([]), row(True)], id="rows without an id"
        ),
        pytest.param(MAIL, "email", [None, 7, "ann@example.com", []], id="rows that are none"),
    ],
)
def test_whoever_is_called_otherwise_is_not_there(customer: Customer, by: str, rows: list[Any]) -> None:
    outcome, _ = play(found(customer, by), listed(*rows))
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.missing
    assert "no ambassador" in outcome.note


def test_two_who_are_called_so_are_nobody_we_could_pay() -> None:
    outcome, _ = play(found(), listed(row(7), row(8, email="ANN@example.com")))
    assert outcome.verdict is Verdict.REFUSED
    assert not outcome.missing
    assert "2 ambassadors" in outcome.note
    assert "7, 8" in outcome.note


HELD = [
    pytest.param({"active": 0}, "not activated", id="not activated"),
    pytest.param({"active": -1}, "blocked", id="blocked"),
    pytest.param({"active": -2}, "unsubscribed", id="unsubscribed"),
    pytest.param({"active": -3}, "unsubscribed", id="unsubscribed by the brand"),
    pytest.param({"active": -5}, "not active", id="a state that is not documented"),
    pytest.param({"active": 2}, "not active", id="more than active"),
    pytest.param({"active": False}, "not active", id="no"),
    pytest.param({"active": None}, "active is None", id="not said"),
    pytest.param({"suspicious_quarantine": True}, "suspicious_quarantine", id="in quarantine"),
    pytest.param({"suspicious_quarantine": 1}, "suspicious_quarantine", id="in quarantine, in the other type"),
    pytest.param({"anonymized": True}, "anonymized", id="anonymized"),
]


@pytest.mark.parametrize(("fields", "why"), HELD)
def test_who_may_not_be_paid_is_not(fields: dict[str, Any], why: str) -> None:
    for talk in (found(), looked()):
        outcome, _ = play(talk, listed(row(**fields)))
        assert outcome.verdict is Verdict.REFUSED
        assert not outcome.missing
        assert "ambassador 7" in outcome.note
        assert why in outcome.note


def test_all_pages_are_looked_through_for_a_second_of_the_same_name() -> None:
    pages = [listed(row(1, email="x@y.z"), page=1, of=3), listed(row(7), page=2, of=3), listed(row(9), page=3, of=3)]
    outcome, asked = play(found(), *pages)
    assert "2 ambassadors" in outcome.note
    assert [request.params["page"] for request in asked] == ["1", "2", "3"]
    pages[2] = listed(row(9, email="x@y.z"), page=3, of=3)
    who, _ = play(found(), *pages)
    assert who == "7"


def test_a_row_that_moved_to_the_next_page_is_still_one_ambassador() -> None:
    who, _ = play(found(), listed(row(7), page=1, of=2), listed(row(7), page=2, of=2))
    assert who == "7"


def test_an_address_of_the_next_page_is_never_gone_to() -> None:
    body = {"data": [row(7)], "last_page": 2, "next_page_url": "https://evil.test/?page=2"}
    _, asked = play(found(), answer(200, body), listed(row(8, email="x@y.z"), page=2, of=2))
    assert {request.url for request in asked} == {"https://rewards.example.com/api/v2/manager/ambassadors"}


@pytest.mark.parametrize("last", [1, None, "x", -3, 2.5])
def test_a_page_that_does_not_say_how_many_there_are_is_the_last(last: Any) -> None:
    who, asked = play(found(), answer(200, {"data": [row()], "last_page": last}))
    assert (who, len(asked)) == ("7", 1)


def test_a_list_without_end_ends() -> None:
    outcome, asked = heard(found(), listed(row(), of=10**9))
    assert outcome.verdict is Verdict.REFUSED
    assert not outcome.missing
    assert len(asked) == 20
    outcome, asked = heard(found(), listed(of=10**9))
    assert outcome.missing
    assert len(asked) == 1


def test_by_its_own_id_an_ambassador_needs_no_search() -> None:
    who, asked = play(found(Customer(id="42"), "ambassador_id"))
    assert (who, asked) == ("42", [])


@pytest.mark.parametrize(
    ("customer", "by"),
    [
        *(
            pytest.param(Customer(id=one), "ambassador_id", id=f"the id {one!r}")
            for one in (None, "", "0", "07", "C-9")
        ),
        *(
            pytest.param(Customer(id=one), "ambassador_id", id=f"the id {one!r}")
            for one in ("7/8", "-7", "٧", "9" * 50)
        ),
        pytest.param(Customer(id="7"), "email", id="no address"),
        pytest.param(Customer(email="ann@example.com"), "customer_id", id="no customer id"),
    ],
)
def test_a_customer_without_the_name_that_counts_is_not_searched_for(customer: Customer, by: str) -> None:
    outcome, asked = play(found(customer, by))
    assert outcome.verdict is Verdict.REFUSED
    assert not outcome.missing
    assert by in outcome.note
    assert not asked


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        pytest.param(answer(301), Verdict.MISCONFIGURED, id="a redirect"),
        pytest.param(answer(401, said("Unauthorized.")), Verdict.MISCONFIGURED, id="401"),
        pytest.param(answer(403), Verdict.MISCONFIGURED, id="403"),
        pytest.param(answer(404, NO_ROUTE), Verdict.MISCONFIGURED, id="404"),
        pytest.param(answer(404, HTML), Verdict.MISCONFIGURED, id="404 and a page"),
        pytest.param(answer(400, said("no such filter")), Verdict.REFUSED, id="400"),
        pytest.param(answer(422, said("x", filter=["x"])), Verdict.REFUSED, id="422"),
    ],
)
def test_a_search_that_is_refused_says_why_and_nothing_is_sent(response: Response, verdict: Verdict) -> None:
    for talk in (found(), looked()):
        outcome, _ = play(talk, response)
        assert outcome.verdict is verdict
        assert outcome.note
        assert not outcome.missing


FAILED = [
    pytest.param(answer(500, said("Server Error")), id="500"),
    pytest.param(answer(503, HTML), id="503"),
    pytest.param(answer(200, HTML), id="a page"),
    pytest.param(answer(200), id="nothing"),
    pytest.param(answer(204), id="204"),
    pytest.param(answer(200, [row()]), id="a bare list"),
    pytest.param(answer(200, {"data": {"7": row()}}), id="a table for a list"),
    pytest.param(answer(200, {"message": "ok"}), id="no rows at all"),
]


@pytest.mark.parametrize("response", FAILED)
def test_a_read_that_fails_settles_nothing(response: Response) -> None:
    for talk in (found(), looked(), told()):
        with pytest.raises(Unavailable):
            play(talk, response)


# --- before the call, and after a lost answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        pytest.param({}, '{"score":10,"points":5}', id="both"),
        pytest.param({"sell_token_amount": None}, '{"score":10}', id="the score alone"),
        pytest.param({"gamification_score": 0, "sell_token_amount": 0}, '{"score":0,"points":0}', id="nothing yet"),
        pytest.param(
            {"gamification_score": "12", "sell_token_amount": 3.0}, '{"score":12,"points":3}', id="other types"
        ),
        pytest.param({"gamification_score": None}, "", id="no score: nothing to compare"),
        pytest.param({"gamification_score": 1.5}, "", id="half a score"),
        pytest.param({"gamification_score": 10**30}, "", id="a score beyond all measure"),
        pytest.param({"gamification_score": [10]}, "", id="a score that is none"),
    ],
)
def test_the_baseline_is_what_the_ambassador_has(fields: dict[str, Any], text: str) -> None:
    seen, asked = play(looked(), listed(row(**fields)))
    assert seen == text
    assert all(request.harmless for request in asked)


def test_an_address_that_has_changed_hands_is_looked_up_again_before_anything_is_sent() -> None:
    outcome, _ = play(looked(), listed(row(7, email="old@example.com"), row(8)))
    assert outcome.verdict is Verdict.REFUSED
    assert outcome.missing
    assert "ambassador 8" in outcome.note
    outcome, _ = play(looked(), listed(row(7, email="new@example.com")))
    assert outcome.missing


def test_a_customer_id_that_happens_to_be_an_ambassadors_is_still_no_ambassadors_id() -> None:
    forward = replace(FORWARD, customer=Customer(id="7"))
    outcome, _ = play(looked(forward, by="customer_id"), listed(row(7)))
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, True)


ALONE = "https://rewards.example.com/api/v2/platform/ambassadors/7"


def test_by_id_the_score_is_read_from_the_ambassadors_own_page() -> None:
    seen, asked = play(looked(by="ambassador_id"), answer(200, row(sell_token_amount=None)))
    assert seen == '{"score":10}'
    assert (asked[0].method, asked[0].url, asked[0].authorized) == ("GET", ALONE, True)
    outcome, _ = play(looked(by="ambassador_id"), answer(200, row(active=-1)))
    assert outcome.verdict is Verdict.REFUSED


def test_by_id_too_a_customer_of_another_number_is_looked_up_again() -> None:
    outcome, _ = play(looked(replace(FORWARD, known_as="8"), by="ambassador_id"), answer(200, row(8)))
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, True)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(403), id="the key may not see it"),
        pytest.param(answer(404, NO_AMBASSADOR), id="there is none, which the call itself will say"),
        pytest.param(answer(404, HTML), id="there is no such page"),
        pytest.param(answer(200, row(8)), id="another's page"),
        pytest.param(answer(200, {"message": "ok"}), id="a page without an ambassador"),
    ],
)
def test_by_id_a_score_that_is_not_shown_is_not_known(response: Response) -> None:
    seen, _ = play(looked(by="ambassador_id"), response)
    assert seen == ""
    outcome, _ = play(told(by="ambassador_id"), response)
    assert outcome.verdict is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        pytest.param(answer(401), Verdict.MISCONFIGURED, id="401"),
        pytest.param(answer(302), Verdict.MISCONFIGURED, id="a redirect"),
        pytest.param(answer(429), Verdict.LATER, id="429"),
    ],
)
def test_by_id_too_a_refused_read_ends_the_attempt(response: Response, verdict: Verdict) -> None:
    outcome, _ = play(looked(by="ambassador_id"), response)
    assert outcome.verdict is verdict


@pytest.mark.parametrize("response", [answer(500), answer(200, HTML), answer(200, []), answer(204)])
def test_by_id_too_a_read_that_fails_settles_nothing(response: Response) -> None:
    for talk in (looked(by="ambassador_id"), told(by="ambassador_id")):
        with pytest.raises(Unavailable):
            play(talk, response)


COMPARED = [
    pytest.param('{"score":10,"points":5}', 50, Verdict.DONE, "inferred", id="by as much as the call adds"),
    pytest.param('{"score":10}', 50, Verdict.DONE, "inferred", id="the points were never known"),
    pytest.param('{"score":-40}', 0, Verdict.DONE, "inferred", id="up to nothing"),
    pytest.param('{"score":10}', 10, Verdict.LATER, "did not happen", id="as before"),
    pytest.param('{"score":10}', 49, Verdict.UNCLEAR, "was 10, is 49", id="by less"),
    pytest.param('{"score":10}', 90, Verdict.UNCLEAR, "was 10, is 90", id="by twice as much"),
    pytest.param('{"score":10}', 51, Verdict.UNCLEAR, "was 10, is 51", id="by a little more"),
    pytest.param('{"score":10}', 9, Verdict.UNCLEAR, "was 10, is 9", id="down"),
    pytest.param('{"score":10}', None, Verdict.UNCLEAR, "not shown", id="hidden now"),
]


@pytest.mark.parametrize(("before", "now", "verdict", "note"), COMPARED)
def test_what_happened_is_read_from_the_score(before: str, now: Any, verdict: Verdict, note: str) -> None:
    for by, response in (
        ("email", listed(row(gamification_score=now))),
        ("ambassador_id", answer(200, row(gamification_score=now))),
    ):
        outcome, asked = play(told(before=before, by=by), response)
        assert outcome.verdict is verdict
        assert note in outcome.note
        assert all(request.harmless for request in asked)


@pytest.mark.parametrize(
    ("forward", "before"),
    [
        pytest.param(award(score=0), '{"score":10}', id="a call that adds nothing to the score"),
        pytest.param(FORWARD, "", id="a score that was not known"),
        pytest.param(FORWARD, '{"points":5}', id="points that were known, and no score"),
        pytest.param(FORWARD, "garbled", id="a baseline that is none"),
        pytest.param(FORWARD, "[10]", id="a baseline of another kind"),
        pytest.param(FORWARD, '{"score":"ten"}', id="a score that is none"),
    ],
)
def test_what_cannot_be_read_back_is_not_even_asked(forward: Forward, before: str) -> None:
    outcome, asked = play(told(forward, before))
    assert outcome.verdict is Verdict.UNCLEAR
    assert "cannot be told" in outcome.note
    assert not asked


def test_who_was_blocked_after_the_call_is_still_compared() -> None:
    outcome, _ = play(told(), listed(row(gamification_score=50, active=-1, suspicious_quarantine=True)))
    assert outcome.verdict is Verdict.DONE


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        pytest.param(answer(401), Verdict.MISCONFIGURED, id="401"),
        pytest.param(answer(403, HTML), Verdict.MISCONFIGURED, id="403"),
        pytest.param(answer(302), Verdict.MISCONFIGURED, id="a redirect"),
        pytest.param(answer(400), Verdict.UNCLEAR, id="a search it refuses"),
        pytest.param(listed(), Verdict.UNCLEAR, id="nobody any more"),
        pytest.param(listed(row(8)), Verdict.UNCLEAR, id="somebody else by that name"),
    ],
)
def test_a_read_that_does_not_tell_is_never_taken_for_nothing_happened(response: Response, verdict: Verdict) -> None:
    outcome, _ = play(told(), response)
    assert outcome.verdict is verdict


@pytest.mark.parametrize("status", [408, 425, 429])
def test_a_throttled_read_is_not_a_call_that_did_not_happen(status: int) -> None:
    for by in ("email", "ambassador_id"):
        with pytest.raises(Unavailable):
            play(told(by=by), answer(status))


# --- check --live ---------------------------------------------------------------------------------------------------

TOKEN = answer(200, {"token": "1|x"})


@pytest.mark.parametrize(
    ("sends", "responses", "faults"),
    [
        pytest.param([{"points": 1, "score": 1}], [TOKEN, listed(row())], [], id="good, and no challenge"),
        pytest.param(
            [{"challenge_id": 7}, {"challenge_id": 7}, {"challenge_id": 8}],
            [TOKEN, listed(), answer(200, {"id": 7, "active": True}), answer(200, {"id": 8})],
            [],
            id="good, each challenge once",
        ),
        pytest.param(
            [{"challenge_id": 7}, {"challenge_id": 8}],
            [TOKEN, listed(), answer(404, NO_CHALLENGE), answer(200, {"id": 8, "active": False})],
            ["challenge_id 7: Popsell has no such", "challenge_id 8: the challenge is not active"],
            id="challenges that are not there, and at rest",
        ),
        pytest.param([{"challenge_id": 7}], [TOKEN, listed(), answer(403)], [], id="a challenge it may not see"),
        pytest.param([{"challenge_id": 7}], [TOKEN, listed(), answer(200, HTML)], [], id="a challenge behind a page"),
        pytest.param([{"challenge_id": "=int(total)"}], [TOKEN, listed()], [], id="computed, and not known yet"),
        pytest.param(
            [],
            [answer(401, said("Invalid email or password"))],
            ["(401), api_key is wrong: Invalid"],
            id="a wrong key",
        ),
        pytest.param(
            [],
            [answer(401, said("Unauthorized."))],
            ["the domain rewards.example.com is wrong: Unauthorized."],
            id="a wrong domain, or a wrong key",
        ),
        pytest.param([], [answer(404, HTML)], ["(404), base_url is wrong"], id="a wrong address"),
        pytest.param([], [answer(200, HTML)], ["(200), base_url is wrong"], id="somebody else's address"),
        pytest.param([], [answer(308)], ["(308), base_url is wrong"], id="an address that has moved"),
        pytest.param([], [TOKEN, answer(403)], ["no permission"], id="no permission for the Manager"),
        pytest.param([], [TOKEN, answer(404)], ["base_url is wrong"], id="no Manager there"),
        pytest.param([], [TOKEN, answer(401)], ["401"], id="a token that is good for nothing"),
    ],
)
def test_the_probe_says_what_is_wrong(sends: list[Any], responses: list[Response], faults: list[str]) -> None:
    assert target.probe is not None
    told, asked = play(target.probe(sends, SETTINGS), *responses)
    assert len(told) == len(faults)
    assert all(part in fault for part, fault in zip(faults, told, strict=True))
    assert all(request.harmless for request in asked)
    assert [request.authorized for request in asked] == [False, *(True for _ in asked[1:])]
    assert not [fault for fault in told if SETTINGS["api_key"] in fault]


# --- whatever it says -----------------------------------------------------------------------------------------------


def heard(talk: Talk[Any], response: Response) -> tuple[Any, list[Request]]:
    """What a talk learns from somebody who always says the same."""
    asked: list[Request] = []
    try:
        asked.append(next(talk))
        while len(asked) < 100:
            asked.append(talk.send(response))
    except StopIteration as stop:
        return stop.value, asked
    raise AssertionError("it never stops asking")


ODD: list[Any] = [None, True, -1, 10**400, 1.5, "x", "\x00\ud800", [], {}, [[]], {"x": [None]}, ["x" * 9999]]
HOSTILE: list[bytes] = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe{}",
    b"[" * 100_000,
    b'{"message": NaN, "id": Infinity, "data": [NaN]}',
    b'{"id": ' + b"9" * 5000 + b"}",
    *(json.dumps({name: odd}).encode() for name in ("id", "data", "message", "errors", "token") for odd in ODD),
    *(json.dumps({"errors": {"\x1b[31m": odd, "challenge_id": odd}}).encode() for odd in ODD),
    *(json.dumps({"data": [row(odd), row(email=odd), row(active=odd)], "last_page": odd}).encode() for odd in ODD),
    *(json.dumps({"data": [{"id_ambassador": 7, "email": odd, "gamification_score": odd}]}).encode() for odd in ODD),
    *(json.dumps(row(7, active=odd, anonymized=odd, gamification_score=odd)).encode() for odd in ODD),
]
TALKS: list[Callable[[], Talk[Any]]] = [
    lambda: target.send(FORWARD, SETTINGS),
    token,
    found,
    looked,
    told,
    lambda: looked(by="ambassador_id"),
    lambda: told(by="ambassador_id"),
    lambda: target.probe([{"challenge_id": 7}], SETTINGS) if target.probe else token(),
]


@pytest.mark.parametrize("status", [200, 302, 401, 404, 422, 429, 500])
def test_no_answer_whatsoever_is_more_than_unavailable(status: int) -> None:
    for body in HOSTILE:
        for talk in TALKS:
            try:
                learned, _ = heard(talk(), answer(status, body))
            except Unavailable:
                continue
            words = learned.note if isinstance(learned, Outcome) else "".join(learned)
            assert len(words) < 5000
            assert words.isprintable()


def test_what_the_engine_must_know() -> None:
    assert target.lane is not None
    assert target.lane(FORWARD) == target.lane(award(challenge_id=43)) == "score"
    assert target.repeat_safe_for == timedelta(0)
    assert target.repeat_harmless(FORWARD) == timedelta(0)
    assert target.reconcile_after == timedelta(seconds=60)
    assert target.baseline_keeps == timedelta(0)
    assert target.granted is None
    assert target.undo is None
    assert [option.name for option in target.options if option.amount] == ["points"]
    assert [setting.name for setting in target.settings if setting.required] == ["base_url", "api_key"]
