"""LINE asked for a customer: who signed in, whether they are a friend of the Official Account."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest

from bridge.kit import (
    Account,
    Ask,
    BridgeError,
    Disconnected,
    Evidence,
    Misconfigured,
    Question,
    Request,
    Response,
    SetUp,
    SignIn,
    SignInRefused,
    Source,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange, refresh, revoke
from providers.social.line import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
BOT, ANN = "Uf3d2c4a1b5e6978899aabbccddeeff00", "U206d25c2ea6bd87c17655609a1c37cb8"
SETTINGS = {
    "client_id": "client",
    "client_secret": "secret",
    "bot_id": BOT,
    "channel_token": "channel",
    "line_id": "@cool_brand",
}
TOKENS = Tokens(access="theirs", refresh="more")
ASK = Ask(account=Account(id=ANN, handle="Ann"), settings=SETTINGS, now=NOW, tokens=TOKENS)
SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=("profile",))
FRIEND = source.checks["friend"]
OAUTH = source.oauth
assert OAUTH is not None
#: The form of this key has paid: it may never change.
PROVED = Evidence(action="friend", key=f"{BOT}:{ANN}", account=ANN, subject=BOT)


def answer(code: int = 200, given: Any = None, **body: Any) -> Response:
    return Response(code, json.dumps(body if given is None else given).encode())


# --- signing in -----------------------------------------------------------------------------------------------------


def signs_in_at(made: Source, **more: bool) -> tuple[str, dict[str, str]]:
    assert made.oauth is not None
    address, _ = play(begin(made.oauth, SIGN_IN, "s", SETTINGS, NOW, **more))
    place, _, query = address.partition("?")
    return place, {name: value[0] for name, value in parse_qs(query).items()}


def test_whoever_signs_in_is_made_a_friend_only_where_the_merchant_wishes() -> None:
    assert source.configure is not None
    place, asked = signs_in_at(source.configure(source, SETTINGS))
    assert place == "https://access.line.me/oauth2/v2.1/authorize"
    assert (asked["scope"], asked["code_challenge_method"]) == ("profile", "S256")
    assert "bot_prompt" not in asked  # or nobody could tell who had been a friend before
    _, asked = signs_in_at(source.configure(source, {**SETTINGS, "bot_prompt": "aggressive"}), again=True)
    assert (asked["bot_prompt"], asked["disable_auto_login"]) == ("aggressive", "true")


def exchanged(response: Response) -> tuple[Tokens, list[Request]]:
    return play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c&friendship_status_changed=true"), SETTINGS, NOW),
                response)  # fmt: skip


def test_a_code_becomes_a_token() -> None:
    documented = answer(
        access_token="bNl4YEFPI/hjFWhTqexp4MuEw5YPs",
        expires_in=2592000,
        refresh_token="Aa1FdeggRhTnPNNpxr8p",
        scope="profile",
        token_type="Bearer",
    )
    tokens, [request] = exchanged(documented)
    assert (tokens.access, tokens.scopes) == ("bNl4YEFPI/hjFWhTqexp4MuEw5YPs", {"profile"})
    form = dict(request.form or {})
    assert (form["client_id"], form["client_secret"], form["code_verifier"]) == ("client", "secret", "v" * 43)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(
            answer(400, error="invalid_grant", error_description="invalid authorization code"),
            SignInRefused,
            id="the code is used or over",
        ),
        pytest.param(answer(400, error="invalid_request"), SignInRefused, id="the redirect is another"),
        pytest.param(
            answer(400, error="invalid_client", error_description="invalid client_secret"),
            Misconfigured,
            id="the secret is wrong",
        ),
        pytest.param(answer(400, message="?"), Unavailable, id="400 without saying why"),
        pytest.param(answer(429), Unavailable, id="429"),
        pytest.param(Response(500, b"<html>"), Unavailable, id="500 and a page"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_no_token(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        exchanged(response)
    assert type(caught.value) is error


def test_a_permission_that_was_taken_back() -> None:
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), answer(400, error="invalid_grant"))


def test_a_token_is_given_back_under_lines_own_name_for_it() -> None:
    gone, [request] = play(revoke(OAUTH, TOKENS, SETTINGS), Response(200))
    assert gone
    assert request.url == "https://api.line.me/oauth2/v2.1/revoke"
    assert request.form == {"access_token": "theirs", "client_id": "client", "client_secret": "secret"}


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_signed_in() -> None:
    assert source.whoami is not None
    account, [request] = play(source.whoami(TOKENS, SETTINGS), answer(userId=ANN, displayName="Ann\n\u2028 \U0001f600"))
    assert account == Account(id=ANN, handle="Ann \U0001f600")
    assert (request.url, request.headers) == ("https://api.line.me/v2/profile", {"Authorization": "Bearer theirs"})


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(userId=None),
        answer(userId=""),
        answer(userId="ann"),
        answer(userId=ANN.upper()),
        answer(userId=ANN + "\n"),
        answer(userId=[ANN]),
        answer(201, userId=ANN),
        answer(401, message="invalid token"),
        Response(200, b"<html>"),
        Response(200, b"[" * 5000),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- friend ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(answer(friendFlag=True), "verified", "", id="is a friend"),
        pytest.param(answer(friendFlag=False), "not_found", "", id="is none, or has blocked the account"),
        pytest.param(answer(200, {}), "unknown", "", id="not said"),
        pytest.param(answer(friendFlag=None), "unknown", "", id="null"),
        pytest.param(answer(friendFlag="true"), "unknown", "", id="a word"),
        pytest.param(answer(friendFlag=1), "unknown", "", id="a number"),
        pytest.param(answer(200, [True]), "unknown", "", id="a list"),
        pytest.param(answer(203, friendFlag=True), "unknown", "", id="another success than 200"),
        pytest.param(Response(204), "unknown", "", id="204"),
        pytest.param(answer(400, message="not linked"), "unknown", "brand", id="no account is linked to the channel"),
        pytest.param(answer(401, message="invalid token"), "unknown", "reconnect", id="401"),
        pytest.param(answer(403, message="insufficient scope"), "unknown", "reconnect", id="403"),
        pytest.param(Response(404, b"<html>"), "unknown", "", id="404 and a page"),
        pytest.param(Response(429), "unknown", "busy", id="429"),
        pytest.param(Response(500), "unknown", "busy", id="500"),
        pytest.param(Response(503, b"<html>"), "unknown", "busy", id="503 and a page"),
        pytest.param(Response(200, b"<html>"), "unknown", "", id="200 and a page"),
        pytest.param(Response(200, b"[" * 5000), "unknown", "", id="200 and a deep nest"),
    ],
)
def test_a_friend_by_the_customers_word(response: Response, result: str, obstacle: str) -> None:
    way = FRIEND.way(SETTINGS)
    assert way is not None
    assert (wanted(OAUTH, way), way.keep) == (("profile",), True)
    found, [request] = play(way.ask(ASK), response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert request.url == "https://api.line.me/friendship/v1/status"
    assert request.headers == {"Authorization": "Bearer theirs"}


def test_one_friendship_is_one_fact_by_whichever_door_it_comes() -> None:
    assert FRIEND.ask is not None
    assert play(FRIEND.ask(ASK), answer(friendFlag=True))[0].evidence == PROVED
    again = source.rechecks["friend"](Question(ANN, BOT, PROVED.key), SETTINGS)
    assert play(again, answer(userId=ANN))[0].evidence == PROVED
    # tests/vectors/line/friend.json holds the webhook to the same key, with its time.


def test_asked_again_it_is_about_the_same_account() -> None:
    assert FRIEND.ask is not None
    found, _ = play(FRIEND.ask(replace(ASK, subject="U7")), answer(friendFlag=True))
    assert found.evidence is not None
    assert found.evidence.subject == "U7"


def test_what_is_missing_is_said_without_asking() -> None:
    assert FRIEND.ask is not None
    assert play(FRIEND.ask(replace(ASK, settings={})))[0].obstacle == "brand"
    assert play(FRIEND.ask(replace(ASK, tokens=None)))[0].obstacle == "reconnect"


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(answer(userId=ANN, displayName="Ann"), "verified", "", id="can be read: has not blocked"),
        pytest.param(answer(userId=BOT), "unknown", "", id="about another account"),
        pytest.param(answer(200, {}), "unknown", "", id="nothing in it"),
        pytest.param(answer(404, message="Not found"), "unknown", "private", id="404: blocked, or never allowed"),
        pytest.param(answer(401, message="Authentication failed"), "unknown", "brand", id="401"),
        pytest.param(answer(403), "unknown", "brand", id="403"),
        pytest.param(Response(429), "unknown", "busy", id="429"),
        pytest.param(Response(500), "unknown", "busy", id="500"),
        pytest.param(Response(200, b"<html>"), "unknown", "", id="200 and a page"),
    ],
)
def test_whether_they_still_are_by_the_brands_word(response: Response, result: str, obstacle: str) -> None:
    found, [request] = play(source.rechecks["friend"](Question(ANN, BOT, PROVED.key), SETTINGS), response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert request.url == f"https://api.line.me/v2/bot/profile/{ANN}"
    assert request.headers == {"Authorization": "Bearer channel"}


def test_an_account_that_an_operator_mistyped_leads_to_no_other_path() -> None:
    _, [request] = play(source.rechecks["friend"](Question("../7?x", BOT, "k"), SETTINGS), Response(404))
    assert request.url.endswith("/v2/bot/profile/..%2F7%3Fx")


def test_where_it_is_done() -> None:
    assert FRIEND.page is not None
    assert FRIEND.page(SETTINGS, None) == "https://line.me/R/ti/p/@cool_brand"
    assert FRIEND.page({}, None) == ""


@pytest.mark.parametrize(("name", "right"), [("bot_id", BOT), ("line_id", "@cool_brand")])
def test_an_id_that_is_none_is_a_fault(name: str, right: str) -> None:
    [setting] = [one for one in source.settings if one.name == name]
    assert setting.fault is not None
    assert setting.fault(right) == ""
    assert setting.fault("cool brand")


# --- set up ---------------------------------------------------------------------------------------------------------

WANTED = SetUp(settings=SETTINGS, url="https://bridge.example/webhooks/line", secret="s", actions=frozenset(), now=NOW)
INFO = answer(userId=BOT, basicId="@cool_brand", displayName="Cool Brand")
THERE = answer(endpoint=WANTED.url, active=True)
assert source.setup is not None
SET_UP = source.setup


def test_the_webhook_is_set_once() -> None:
    done, asked = play(SET_UP(WANTED), INFO, answer(endpoint="https://old.example/", active=True), answer(200, {}))
    assert (done.did, done.left) == (["LINE tells https://bridge.example/webhooks/line"], [])
    assert (asked[-1].method, asked[-1].json) == ("PUT", {"endpoint": WANTED.url})
    done, asked = play(SET_UP(WANTED), INFO, THERE)
    assert [one.method for one in asked] == ["GET", "GET"]
    assert done.left == []


def test_a_dry_run_reads_alone() -> None:
    done, asked = play(SET_UP(replace(WANTED, dry_run=True)), INFO, answer(404, message="not found"))
    assert {one.method for one in asked} == {"GET"}
    assert done.did == ["would be set: LINE tells https://bridge.example/webhooks/line"]
    assert "Use webhook" in done.left[0]


def test_what_only_a_person_can_do_is_said() -> None:
    bare = {name: value for name, value in SETTINGS.items() if name != "bot_id"}
    done, _ = play(SET_UP(replace(WANTED, settings=bare)), INFO, THERE)
    assert done.left == [f'Put bot_id = "{BOT}" into the source\'s table']
    done, asked = play(SET_UP(replace(WANTED, settings={})))
    assert "channel_token" in done.left[0]
    assert not asked


@pytest.mark.parametrize(("status", "error"), [(401, Misconfigured), (403, Misconfigured), (500, Unavailable)])
def test_a_refused_set_up_says_whose_fault_it_is(status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        play(SET_UP(WANTED), Response(status))
    assert type(caught.value) is error
