"""Reddit asked for a customer: who signed in, whether they have joined the community."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    ConsentDenied,
    Disconnected,
    Evidence,
    Misconfigured,
    Request,
    Response,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange, lacking, refresh, revoke
from providers.social.reddit import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AGENT = "web:com.example.rewards:v1 (by /u/cool_brand)"
SETTINGS = {"client_id": "client", "client_secret": "secret", "user_agent": AGENT, "subreddit": "Cool_Brand"}
TOKENS = Tokens(access="theirs", refresh="more")
ANN = Account(id="1w72", handle="ann")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW, tokens=TOKENS)
OAUTH = source.oauth
assert OAUTH is not None
SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=("identity", "read"))


def answer(status: int = 200, body: Any = None, **more: Any) -> Response:
    return Response(status, json.dumps(more if body is None else body).encode())


def about(status: int = 200, **data: Any) -> Response:
    return answer(status, kind="t5", data={"display_name": "cool_brand", "id": "2qh0u", "subscribers": 9, **data})


def asked(ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks["join"].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


# --- signing in -----------------------------------------------------------------------------------------------------


def test_a_permission_lasts_only_where_it_will_be_needed() -> None:
    for keep, duration in ((True, ["permanent"]), (False, None)):
        address, _ = play(begin(OAUTH, SIGN_IN, "s" * 32, SETTINGS, NOW, keep=keep))
        query = parse_qs(urlsplit(address).query)
        assert query.get("duration") == duration
        assert query["scope"] == ["identity read"]
        assert "code_challenge" not in query
    way = source.checks["join"].way(SETTINGS)
    assert way is not None
    assert (wanted(OAUTH, way), way.keep) == (("identity", "read"), True)


def test_we_introduce_ourselves_wherever_we_ask() -> None:
    ok = answer(access_token="J1qK1c18UUGJFAzz9xnH56584l4", token_type="bearer", expires_in=3600, scope="identity read")
    tokens, [request] = play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), ok)
    assert lacking(OAUTH, tokens, SIGN_IN.scopes) == ()
    assert lacking(OAUTH, replace(tokens, scopes=frozenset({"identity"})), SIGN_IN.scopes) == ("read",)
    assert request.headers["User-Agent"] == AGENT
    assert request.headers["Authorization"].startswith("Basic ")
    assert "client_secret" not in (request.form or {})
    gone, requests = play(revoke(OAUTH, TOKENS, SETTINGS), Response(204), Response(204))
    assert gone
    assert [(one.form or {})["token"] for one in requests] == ["more", "theirs"]
    assert all(one.headers["User-Agent"] == AGENT for one in requests)
    assert source.door({"client_id": "client", "client_secret": "secret"}) is None


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(200, error="invalid_grant"), SignInRefused, id="200, and the code is used or over"),
        pytest.param(answer(401, message="Unauthorized", error=401), Misconfigured, id="the secret is wrong"),
        pytest.param(answer(400, error="unsupported_grant_type"), Misconfigured, id="grant_type got lost"),
        pytest.param(answer(403, message="Forbidden", error=403), Unavailable, id="403"),
        pytest.param(answer(429, message="Too Many Requests", error=429), Unavailable, id="429"),
        pytest.param(answer(200), Unavailable, id="200 and nothing in it"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
        pytest.param(Response(503, b"<html>"), Unavailable, id="503"),
    ],
)
def test_reddits_own_errors_are_understood(response: Response, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)
    assert type(caught.value) is error


def test_the_customer_says_no() -> None:
    with pytest.raises(ConsentDenied):
        play(exchange(OAUTH, SIGN_IN, callback("state=s&error=access_denied"), SETTINGS, NOW))


def test_a_permission_that_was_taken_back() -> None:
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), answer(400, message="Bad Request", error=400))


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_signed_in() -> None:
    assert source.whoami is not None
    me = answer(id="1w72", name="ann", created_utc=1161129600.0, total_karma=5)
    account, [request] = play(source.whoami(TOKENS, SETTINGS), me)
    assert account == Account(id="1w72", handle="ann", created_at=datetime(2006, 10, 18, tzinfo=UTC))
    assert request.url == "https://oauth.reddit.com/api/v1/me"
    assert request.headers == {"Authorization": "Bearer theirs", "User-Agent": AGENT}


@pytest.mark.parametrize("since", [None, "long ago", True, -1, 0, 1e300, float("inf"), [1]])
def test_an_age_that_cannot_be_read_is_none(since: Any) -> None:
    assert source.whoami is not None
    account, _ = play(source.whoami(TOKENS, SETTINGS), answer(id="1w72", name="ann", created_utc=since))
    assert account.created_at is None


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(id=None, name="ann"),
        answer(id="", name="ann"),
        answer(id="t2_1w72", name="ann"),
        answer(id="1w72"),
        answer(id="1w72", name="a\u0000b"),
        answer(201, id="1w72", name="ann"),
        answer(401, message="Unauthorized", error=401),
        answer(403, message="Forbidden", error=403),
        Response(200, b"<html>"),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- join -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(about(user_is_subscriber=True), "verified", "", id="has joined"),
        pytest.param(about(user_is_subscriber=True, display_name="Cool_Brand"), "verified", "", id="as they write it"),
        pytest.param(about(user_is_subscriber=False), "not_found", "", id="has not"),
        pytest.param(about(user_is_subscriber=None), "unknown", "", id="null: it cannot be seen"),
        pytest.param(about(), "unknown", "", id="not said"),
        pytest.param(about(user_is_subscriber="true"), "unknown", "", id="said in another way"),
        pytest.param(about(user_is_subscriber=True, display_name="other"), "unknown", "", id="about another community"),
        pytest.param(answer(kind="Listing", data={"children": []}), "unknown", "", id="a search in its place"),
        pytest.param(answer(403, reason="private", error=403), "unknown", "brand", id="the community is private"),
        pytest.param(answer(404, reason="banned", error=404), "unknown", "brand", id="the community is banned"),
        pytest.param(answer(404, message="Not Found", error=404), "unknown", "", id="404"),
        pytest.param(answer(403, message="Forbidden", error=403), "unknown", "reconnect", id="403: no scope"),
        pytest.param(answer(401, message="Unauthorized", error=401), "unknown", "reconnect", id="401"),
        pytest.param(answer(429, message="Too Many Requests", error=429), "unknown", "busy", id="429"),
        pytest.param(answer(500), "unknown", "busy", id="500"),
        pytest.param(Response(503, b"<html>"), "unknown", "busy", id="503 and a page"),
        pytest.param(Response(302), "unknown", "", id="sent elsewhere"),
        pytest.param(Response(200, b"<html>"), "unknown", "", id="200 and a page"),
        pytest.param(Response(200, b'{"kind":"t5","data":[]}'), "unknown", "", id="200 and a list in it"),
        pytest.param(Response(204), "unknown", "", id="204"),
        pytest.param(about(203, user_is_subscriber=True), "unknown", "", id="another success than 200"),
        pytest.param(about(203, user_is_subscriber=False), "unknown", "", id="another success than 200, with a no"),
    ],
)
def test_a_join(response: Response, result: str, obstacle: str) -> None:
    found, [request] = asked(ASK, response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert request.url == "https://oauth.reddit.com/r/cool_brand/about"
    assert request.headers == {"Authorization": "Bearer theirs", "User-Agent": AGENT}


def test_the_form_of_the_key_has_paid_and_never_changes() -> None:
    found, _ = asked(ASK, about(user_is_subscriber=True))
    assert found.evidence == Evidence(
        action="join", key="cool_brand:1w72", account="1w72", subject="cool_brand", facts={"name": "ann"}
    )


def test_how_long_reddit_wants_to_be_left_alone() -> None:
    found, _ = asked(ASK, Response(429, headers={"retry-after": "7"}))
    assert found.retry_after is not None
    assert found.retry_after.seconds == 7


def test_asked_again_it_is_about_the_same_community() -> None:
    _, [request] = asked(replace(ASK, subject="other"), about(user_is_subscriber=False))
    assert request.url.endswith("/r/other/about")


def test_what_is_missing_is_said_without_asking() -> None:
    assert asked(replace(ASK, settings={"user_agent": AGENT}))[0].obstacle == "brand"
    assert asked(replace(ASK, tokens=None))[0].obstacle == "reconnect"


def test_where_it_is_done() -> None:
    page = source.checks["join"].page
    assert page is not None
    assert page(SETTINGS, ANN) == "https://www.reddit.com/r/Cool_Brand/"
    assert page({}, None) == ""


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("subreddit", ["cool_brand"], ["r/cool_brand", "/r/cool_brand", "cool brand", "x", "a/../b", ""]),
        ("user_agent", [AGENT], ["Mozilla/5.0", "rewards", "", f"{AGENT}\n"]),
    ],
)
def test_what_reddit_would_refuse_is_a_fault(name: str, right: list[str], wrong: list[str]) -> None:
    [setting] = [one for one in source.settings if one.name == name]
    assert setting.fault is not None
    assert not any(setting.fault(one) for one in right)
    assert all(setting.fault(one) for one in wrong)
