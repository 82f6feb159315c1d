"""Twitch asked for a customer: who signed in, whether they follow, whether they subscribe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    BridgeError,
    Delivery,
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
from bridge.kit.oauth import callback, exchange, lacking, refresh, revoke
from providers.social.twitch import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTINGS = {"client_id": "client", "client_secret": "secret", "channel_id": "1337", "channel_name": "cool_brand"}
BRANDS = {**SETTINGS, "broadcaster_token": "brand"}
TOKENS = Tokens(access="theirs", refresh="more")
ANN = Account(id="1234", handle="ann")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW, tokens=TOKENS)
OAUTH = source.oauth
assert OAUTH is not None

FOLLOWED = {
    "broadcaster_id": "1337",
    "broadcaster_login": "cool_brand",
    "broadcaster_name": "Cool_Brand",
    "followed_at": "2022-05-24T22:22:08Z",
}
FOLLOWER = {"user_id": "1234", "user_login": "ann", "user_name": "Ann", "followed_at": "2022-05-24T22:22:08Z"}
SUBSCRIBED = {"broadcaster_id": "1337", "broadcaster_login": "cool_brand", "is_gift": False, "tier": "1000"}
NO_SUBSCRIPTION = {"error": "Not Found", "status": 404, "message": "ann has no subscription to cool_brand"}
PAGE = Response(404, b"<html>Not found</html>")


def rows(*found: Any, status: int = 200, **more: Any) -> Response:
    return Response(status, json.dumps({"data": list(found), "pagination": {}, **more}).encode())


def asked(action: str, ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks[action].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


# --- signing in -----------------------------------------------------------------------------------------------------

SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=("user:read:follows",))


def exchanged(response: Response) -> Tokens:
    return play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)[0]


def answer(code: int = 200, **body: Any) -> Response:
    return Response(code, json.dumps(body).encode())


def test_the_scopes_come_as_an_array() -> None:
    documented = answer(
        access_token="rfx2uswqe8l4g1mkagrvg5tv0ks3",
        expires_in=14124,
        refresh_token="5b93chm6hdve3mycz05zfzatkfdenfspp1h1ar2xxdalen01",
        scope=["user:read:follows"],
        token_type="bearer",
    )
    tokens = exchanged(documented)
    assert tokens.scopes == {"user:read:follows"}
    assert lacking(OAUTH, tokens, SIGN_IN.scopes) == ()
    assert lacking(OAUTH, replace(tokens, scopes=frozenset()), SIGN_IN.scopes) == ("user:read:follows",)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(400, status=400, message="Invalid authorization code"), SignInRefused, id="code is over"),
        pytest.param(answer(403, status=403, message="invalid client secret"), Misconfigured, id="secret is wrong"),
        pytest.param(answer(400, status=400, message="invalid client"), Misconfigured, id="nobody knows the client"),
        pytest.param(answer(400, status=400, message="missing client id"), Misconfigured, id="no client"),
        pytest.param(answer(200, status=400, message="?"), Unavailable, id="200 without a token"),
        pytest.param(answer(404, status=404, message="?"), Unavailable, id="404"),
        pytest.param(Response(503, b"<html>"), Unavailable, id="503"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_twitchs_own_errors_are_understood(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        exchanged(response)
    assert type(caught.value) is error


@pytest.mark.parametrize("status", [400, 401])
def test_a_refresh_token_that_is_over(status: int) -> None:
    over = answer(status, error="Bad Request", status=status, message="Invalid refresh token")
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), over)


def test_a_token_is_given_back() -> None:
    gone, [request] = play(revoke(OAUTH, TOKENS, SETTINGS), Response(200))
    assert gone
    assert (request.url, dict(request.form or {})) == (
        "https://id.twitch.tv/oauth2/revoke",
        {"client_id": "client", "token": "theirs"},
    )


def test_with_the_brands_token_nothing_is_asked_of_the_customer() -> None:
    follow, subscribe = source.checks["follow"], source.checks["subscribe"]
    ways = [follow.way(BRANDS), follow.way(SETTINGS), subscribe.way(BRANDS)]
    assert [(wanted(OAUTH, way), way.keep) for way in ways if way] == [
        ((), False),
        (("user:read:follows",), True),
        (("user:read:subscriptions",), True),
    ]
    assert source.door(SETTINGS) is OAUTH
    assert source.door({"client_id": "client"}) is None


# --- who ------------------------------------------------------------------------------------------------------------

USER = {"id": "1234", "login": "ann", "display_name": "Ann", "created_at": "2016-12-14T20:32:28Z", "email": "a@b.c"}


def test_who_signed_in() -> None:
    assert source.whoami is not None
    account, [request] = play(source.whoami(TOKENS, SETTINGS), rows(USER))
    assert account == Account(id="1234", handle="ann", created_at=datetime(2016, 12, 14, 20, 32, 28, tzinfo=UTC))
    assert (request.url, request.params) == ("https://api.twitch.tv/helix/users", {})
    assert request.headers == {"Authorization": "Bearer theirs", "Client-Id": "client"}


@pytest.mark.parametrize(
    "response",
    [
        rows(),
        rows({}),
        rows({**USER, "id": None}),
        rows({**USER, "id": ""}),
        rows({**USER, "created_at": "long ago"}),
        rows("ann"),
        rows(USER, status=401),
        Response(200, b"<html>"),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- follow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(rows(FOLLOWED, total=8), "verified", "", id="follows"),
        pytest.param(rows(total=8), "not_found", "", id="follows others"),
        pytest.param(rows(total=0), "not_found", "", id="follows nobody"),
        pytest.param(rows({**FOLLOWED, "broadcaster_id": "7"}), "unknown", "", id="about another channel"),
        pytest.param(Response(401, b'{"status":401}'), "unknown", "reconnect", id="401: token, scope or client"),
        pytest.param(Response(403), "unknown", "reconnect", id="403"),
        pytest.param(Response(429, headers={"retry-after": "7"}), "unknown", "busy", id="429"),
        pytest.param(Response(500), "unknown", "busy", id="500"),
        pytest.param(Response(503, b"<html>"), "unknown", "busy", id="503 and a page"),
        pytest.param(Response(400), "unknown", "", id="400"),
        pytest.param(Response(404), "unknown", "", id="404"),
        pytest.param(PAGE, "unknown", "", id="404 and a page"),
        pytest.param(Response(200, b"<html>"), "unknown", "", id="200 and a page"),
        pytest.param(Response(200, b"{}"), "unknown", "", id="200 and nothing in it"),
        pytest.param(Response(200, b'{"data":null}'), "unknown", "", id="no list"),
        pytest.param(Response(204), "unknown", "", id="204"),
        pytest.param(rows(FOLLOWED, status=203), "unknown", "", id="another success than 200"),
    ],
)
def test_a_follow_by_the_customers_word(response: Response, result: str, obstacle: str) -> None:
    found, [request] = asked("follow", ASK, response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert request.url == "https://api.twitch.tv/helix/channels/followed"
    assert request.params == {"user_id": "1234", "broadcaster_id": "1337"}
    assert request.headers == {"Authorization": "Bearer theirs", "Client-Id": "client"}


def test_how_long_twitch_wants_to_be_left_alone() -> None:
    found, _ = asked("follow", ASK, Response(429, headers={"retry-after": "7"}))
    assert found.retry_after is not None
    assert found.retry_after.seconds == 7


@pytest.mark.parametrize(
    ("answers", "result", "obstacle"),
    [
        pytest.param([rows(FOLLOWER, total=8)], "verified", "", id="listed"),
        pytest.param([rows(total=8), rows({**FOLLOWER, "user_id": "7"}, total=8)], "not_found", "", id="not listed"),
        pytest.param([rows(total=0)], "not_found", "", id="nobody is"),
        pytest.param([rows(total=8), rows(total=8)], "unknown", "brand", id="the token sees nobody"),
        pytest.param([Response(401)], "unknown", "brand", id="the brand's token is over"),
        pytest.param([Response(429)], "unknown", "busy", id="429"),
        pytest.param([Response(500)], "unknown", "busy", id="500"),
        pytest.param([Response(200, b"<html>")], "unknown", "", id="200 and a page"),
    ],
)
def test_a_follow_by_the_brands_word(answers: list[Response], result: str, obstacle: str) -> None:
    found, requests = asked("follow", replace(ASK, settings=BRANDS, tokens=None), *answers)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert all(request.headers["Authorization"] == "Bearer brand" for request in requests)


def delivered(kind: str, event: dict[str, Any]) -> Evidence:
    body = {"subscription": {"type": kind}, "event": {"broadcaster_user_id": "1337", "user_id": "1234", **event}}
    headers = {
        "twitch-eventsub-message-id": "m-1",
        "twitch-eventsub-message-timestamp": "2026-11-20T11:59:59Z",
    }
    delivery = Delivery(
        source="twitch", method="POST", url="https://bridge.example/", headers=headers,
        body=json.dumps(body).encode(), received_at=NOW, id="m-1", key="m-1",
    )  # fmt: skip
    assert source.read is not None
    read = source.read(delivery, SETTINGS)
    assert isinstance(read, Iterable)
    [evidence] = read
    assert isinstance(evidence, Evidence)
    return evidence


def test_one_follow_is_one_fact_by_whichever_door_it_comes() -> None:
    event = {"user_login": "ann", "followed_at": FOLLOWED["followed_at"]}
    told = delivered("channel.follow", event)
    theirs, _ = asked("follow", ASK, rows(FOLLOWED, total=1))
    brands, _ = asked("follow", replace(ASK, settings=BRANDS, tokens=None), rows(FOLLOWER, total=1))
    assert theirs.evidence == told
    assert brands.evidence == told


@pytest.mark.parametrize("given", [False, True])
def test_one_subscription_is_one_fact_by_whichever_door_it_comes(given: bool) -> None:
    told = delivered("channel.subscribe", {"user_login": "ann", "tier": "2000", "is_gift": given})
    found, _ = asked("subscribe", ASK, rows({**SUBSCRIBED, "tier": "2000", "is_gift": given}))
    assert found.evidence is not None
    assert replace(found.evidence, occurred_at=told.occurred_at) == told  # only the webhook knows when


def test_a_time_that_cannot_be_read_does_not_undo_the_follow() -> None:
    found, _ = asked("follow", ASK, rows({**FOLLOWED, "followed_at": "yesterday"}, total=1))
    assert found.evidence is not None
    assert found.evidence.occurred_at is None


# --- subscription ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(rows(SUBSCRIBED), "verified", "", id="subscribes"),
        pytest.param(Response(404, json.dumps(NO_SUBSCRIPTION).encode()), "not_found", "", id="does not"),
        pytest.param(PAGE, "unknown", "", id="404 and a page that is not Twitch's"),
        pytest.param(Response(404), "unknown", "", id="404 and nothing"),
        pytest.param(rows(), "unknown", "", id="an empty list, which is not documented"),
        pytest.param(rows({**SUBSCRIBED, "broadcaster_id": "7"}), "unknown", "", id="about another channel"),
        pytest.param(rows({**SUBSCRIBED, "tier": None}), "unknown", "", id="no tier"),
        pytest.param(Response(400), "unknown", "", id="400"),
        pytest.param(Response(401), "unknown", "reconnect", id="401"),
        pytest.param(Response(429), "unknown", "busy", id="429"),
        pytest.param(Response(502, b"<html>"), "unknown", "busy", id="502 and a page"),
    ],
)
def test_a_subscription(response: Response, result: str, obstacle: str) -> None:
    found, [request] = asked("subscribe", ASK, response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert request.url == "https://api.twitch.tv/helix/subscriptions/user"
    assert request.params == {"broadcaster_id": "1337", "user_id": "1234"}


@pytest.mark.parametrize("action", ["follow", "subscribe"])
def test_what_is_missing_is_said_without_asking(action: str) -> None:
    unset = replace(ASK, settings={"client_id": "client"})
    assert asked(action, unset)[0].obstacle == "brand"
    assert asked(action, replace(ASK, tokens=None))[0].obstacle == "reconnect"


def test_asked_again_it_is_about_the_same_channel() -> None:
    _, [request] = asked("follow", replace(ASK, subject="77"), rows(total=1))
    assert request.params["broadcaster_id"] == "77"


def test_where_it_is_done() -> None:
    for check in source.checks.values():
        assert check.page is not None
        assert check.page(SETTINGS, ANN) == "https://www.twitch.tv/cool_brand"
        assert check.page({}, None) == ""
