"""TikTok asked for a customer: who signed in, whether they have posted a video with the hashtag."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    BridgeError,
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
from providers.social.tiktok import PAGES, source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
POSTED = datetime(2026, 11, 20, 11, 0, tzinfo=UTC)
SETTINGS = {"client_id": "key", "client_secret": "secret", "hashtag": "coolbrand"}
TOKENS = Tokens(access="theirs", refresh="more")
ANN = Account(id="723f24d7-e717-40f8-a2b6-cb8464cd23b4", handle="Ann")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW, tokens=TOKENS, since=POSTED - timedelta(hours=1))
SCOPES = ("user.info.basic", "video.list")
SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=SCOPES)
POST = source.checks["post"].ask
assert POST is not None
OAUTH = source.oauth
assert OAUTH is not None

VIDEO = {
    "id": "7080217258529732386",
    "title": "",
    "video_description": "Look at this #CoolBrand",
    "create_time": int(POSTED.timestamp()),
    "share_url": "https://www.tiktok.com/@ann/video/7080217258529732386",
}


def answer(code: int = 200, given: Any = None, **body: Any) -> Response:
    return Response(code, json.dumps(body if given is None else given).encode())


def videos(*found: Any, more: bool = False, code: int = 200) -> Response:
    data = {"videos": list(found), "cursor": 1643332803000, "has_more": more}
    return answer(code, data=data, error={"code": "ok", "message": "", "log_id": "2022"})


def no(error: str, code: int = 200) -> Response:
    return answer(code, data={}, error={"code": error, "message": "?", "log_id": "2022"})


def video(hours: float = 0, **changed: Any) -> dict[str, Any]:
    at = int((POSTED + timedelta(hours=hours)).timestamp())
    return {**VIDEO, "create_time": at, **changed}


# --- signing in -----------------------------------------------------------------------------------------------------


def test_tiktok_has_its_own_names_and_commas() -> None:
    address, _ = play(begin(OAUTH, SIGN_IN, "s", SETTINGS, NOW))
    asked = {name: value[0] for name, value in parse_qs(urlsplit(address).query).items()}
    assert address.startswith("https://www.tiktok.com/v2/auth/authorize/?")
    assert asked == {
        "response_type": "code",
        "client_key": "key",
        "redirect_uri": "https://bridge.example/cb",
        "scope": "user.info.basic,video.list",
        "state": "s",
    }


def exchanged(response: Response) -> tuple[Tokens, list[Request]]:
    return play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c%2A%210"), SETTINGS, NOW), response)


TOKEN = {
    "access_token": "act.example12345Example12345Example",
    "expires_in": 7200,
    "open_id": "723f24d7-e717-40f8-a2b6-cb8464cd23b4",
    "refresh_expires_in": 15552000,
    "refresh_token": "rft.example12345Example12345Example",
    "scope": "user.info.basic,video.list",
    "token_type": "Bearer",
}


@pytest.mark.parametrize("given", [TOKEN, {"data": TOKEN, "message": "success"}], ids=["plain", "wrapped"])
def test_a_code_becomes_a_token(given: dict[str, Any]) -> None:
    tokens, [request] = exchanged(answer(200, given))
    assert (tokens.access, tokens.scopes) == (TOKEN["access_token"], set(SCOPES))
    assert tokens.expires_at == NOW + timedelta(hours=2)
    assert request.url == "https://open.tiktokapis.com/v2/oauth/token/"
    assert request.form == {
        "client_key": "key",
        "client_secret": "secret",
        "grant_type": "authorization_code",
        "code": "c*!0",
        "redirect_uri": "https://bridge.example/cb",
    }
    assert lacking(OAUTH, replace(tokens, scopes=frozenset({"user.info.basic"})), SCOPES) == ("video.list",)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(200, error="invalid_grant", log_id="2022"), SignInRefused, id="200: the code is over"),
        pytest.param(answer(400, error="invalid_request"), SignInRefused, id="the redirect is another"),
        pytest.param(answer(401, error="invalid_client"), Misconfigured, id="the secret is wrong"),
        pytest.param(answer(400, error="invalid_scope"), Misconfigured, id="the scope is not approved"),
        pytest.param(answer(200, data={"error_code": 10007, "description": "?"}), Unavailable, id="200 and a number"),
        pytest.param(answer(429), Unavailable, id="429"),
        pytest.param(Response(503, b"<html>"), Unavailable, id="503 and a page"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_no_token(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        exchanged(response)
    assert type(caught.value) is error


def test_a_permission_that_was_taken_back() -> None:
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), answer(200, error="invalid_grant"))


@pytest.mark.parametrize(
    ("response", "gone"),
    [
        (Response(200), True),
        (answer(200, {}), True),
        (answer(200, error="invalid_request", error_description="?"), False),
        (Response(500), False),
    ],
)
def test_a_token_is_given_back(response: Response, gone: bool) -> None:
    found, [request] = play(revoke(OAUTH, TOKENS, SETTINGS), response)
    assert found is gone
    assert request.url == "https://open.tiktokapis.com/v2/oauth/revoke/"
    assert request.form == {"client_key": "key", "client_secret": "secret", "token": "theirs"}


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_signed_in() -> None:
    assert source.whoami is not None
    user = {"open_id": ANN.id, "display_name": "Ann\x00"}
    account, [request] = play(source.whoami(TOKENS, SETTINGS), answer(data={"user": user}, error={"code": "ok"}))
    assert account == ANN
    assert (request.url, request.params) == (
        "https://open.tiktokapis.com/v2/user/info/",
        {"fields": "open_id,display_name"},
    )
    assert request.headers == {"Authorization": "Bearer theirs"}


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(data={"user": {"open_id": "1"}}),
        answer(data={"user": {"open_id": "1"}}, error={"code": "internal_error"}),
        answer(data={"user": {"open_id": ""}}, error={"code": "ok"}),
        answer(data={"user": {"open_id": 1}}, error={"code": "ok"}),
        answer(data={"user": {"open_id": "a b"}}, error={"code": "ok"}),
        answer(data={"user": {"open_id": "a\n"}}, error={"code": "ok"}),
        answer(201, data={"user": {"open_id": "1"}}, error={"code": "ok"}),
        no("access_token_invalid", 401),
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


# --- what they have posted ------------------------------------------------------------------------------------------


def asked(*answers: Response, ask: Ask = ASK) -> tuple[Answer, list[Request]]:
    assert POST is not None
    return play(POST(ask), *answers)


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(videos(VIDEO), "verified", "", id="has posted it"),
        pytest.param(videos(video(video_description="", title="#coolbrand!")), "verified", "", id="in the title"),
        pytest.param(videos(video(video_description="＃COOLBRAND")), "verified", "", id="a full-width sign"),
        pytest.param(videos(video(video_description="coolbrand")), "not_found", "", id="no sign before it"),
        pytest.param(videos(video(video_description="#coolbrandfake")), "not_found", "", id="a longer hashtag"),
        pytest.param(videos(video(video_description="x#coolbrand")), "not_found", "", id="inside a word"),
        pytest.param(videos(video(video_description=None, title=None)), "not_found", "", id="no text at all"),
        pytest.param(videos(video(id="../7")), "not_found", "", id="an id that is none"),
        pytest.param(videos(video(create_time="now")), "not_found", "", id="a time that is none"),
        pytest.param(videos({**VIDEO, "create_time": 10**15}), "not_found", "", id="a time beyond all years"),
        pytest.param(videos(), "not_found", "", id="no videos"),
        pytest.param(
            answer(data={"videos": None, "has_more": False}, error={"code": "ok"}), "not_found", "", id="no list"
        ),
        pytest.param(videos("a", 7, None), "not_found", "", id="no objects"),
        pytest.param(answer(data={"videos": "many"}, error={"code": "ok"}), "unknown", "", id="a text for a list"),
        pytest.param(answer(data={"videos": [VIDEO]}), "unknown", "", id="without the word that it went well"),
        pytest.param(videos(VIDEO, code=203), "unknown", "", id="another success than 200"),
        pytest.param(no("access_token_invalid", 401), "unknown", "reconnect", id="401"),
        pytest.param(no("scope_not_authorized", 401), "unknown", "reconnect", id="the scope was unticked"),
        pytest.param(no("scope_permission_missed"), "unknown", "reconnect", id="200: the scope is missing"),
        pytest.param(no("rate_limit_exceeded"), "unknown", "busy", id="200: too many"),
        pytest.param(no("internal_error"), "unknown", "busy", id="200: TikTok is broken"),
        pytest.param(no("invalid_params", 400), "unknown", "", id="400"),
        pytest.param(Response(403), "unknown", "reconnect", id="403"),
        pytest.param(Response(404, b"<html>"), "unknown", "", id="404 and a page"),
        pytest.param(Response(429), "unknown", "busy", id="429"),
        pytest.param(Response(503, b"<html>"), "unknown", "busy", id="503 and a page"),
        pytest.param(answer(200, {}), "unknown", "", id="nothing in it"),
        pytest.param(Response(200, b"<html>"), "unknown", "", id="200 and a page"),
        pytest.param(Response(200, b"[" * 5000), "unknown", "", id="200 and a deep nest"),
    ],
)
def test_what_tiktok_says_of_their_videos(response: Response, result: str, obstacle: str) -> None:
    way = source.checks["post"].way(SETTINGS)
    assert way is not None
    assert (wanted(OAUTH, way), way.keep) == (SCOPES, True)
    found, [request] = asked(response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert (request.method, request.url) == ("POST", "https://open.tiktokapis.com/v2/video/list/")
    assert (request.params["fields"], request.json) == (
        "id,title,video_description,create_time,share_url",
        {"max_count": 20},
    )
    assert request.harmless


def test_the_fact_is_the_video_and_who_posted_it() -> None:
    found, _ = asked(videos(VIDEO))
    # The form of this key has paid: it may never change.
    assert found.evidence == Evidence(
        action="post",
        key="7080217258529732386:723f24d7-e717-40f8-a2b6-cb8464cd23b4",
        account=ANN.id,
        subject="7080217258529732386",
        occurred_at=POSTED,
        facts={"text": "Look at this #CoolBrand", "url": VIDEO["share_url"]},
    )


@pytest.mark.parametrize(
    ("posted", "taken"),
    [
        pytest.param([(3, "3"), (2, "2"), (-5, "1")], "2", id="the first since they were asked"),
        pytest.param([(-5, "2"), (-9, "1")], "2", id="else the last one before"),
    ],
)
def test_which_of_several_videos_counts(posted: list[tuple[int, str]], taken: str) -> None:
    found, _ = asked(videos(*(video(hours, id=name) for hours, name in posted)), ask=replace(ASK, now=NOW))
    assert found.evidence is not None
    assert found.evidence.subject == taken


def test_a_video_of_the_same_second_was_posted_since() -> None:
    since = POSTED + timedelta(milliseconds=900)
    found, _ = asked(videos(VIDEO, video(-1, id="1")), ask=replace(ASK, since=since))
    assert found.evidence is not None
    assert found.evidence.subject == VIDEO["id"]


def test_a_time_in_the_future_is_now() -> None:
    found, _ = asked(videos(video(99)))
    assert found.evidence is not None
    assert found.evidence.occurred_at == NOW


def test_the_list_is_read_on_until_one_is_found() -> None:
    other = video(video_description="#another")
    found, requests = asked(videos(other, more=True), videos(VIDEO, more=True))
    assert found.result == "verified"
    assert requests[1].json == {"max_count": 20, "cursor": 1643332803000}
    found, requests = asked(*[videos(other, more=True)] * PAGES)
    assert (found.result, len(requests)) == ("not_found", PAGES)
    found, _ = asked(videos(other, more=True), Response(500))
    assert found.obstacle == "busy"


@pytest.mark.parametrize(
    ("response", "result"),
    [
        pytest.param(videos(VIDEO), "verified", id="it is still there"),
        pytest.param(videos(), "not_found", id="it is gone"),
        pytest.param(videos(video(id="7")), "not_found", id="another one is there"),
        pytest.param(videos(video(video_description="#another")), "not_found", id="the hashtag is gone"),
        pytest.param(no("access_token_invalid", 401), "unknown", id="the token is over"),
    ],
)
def test_asked_again_it_is_about_the_same_video(response: Response, result: str) -> None:
    found, [request] = asked(response, ask=replace(ASK, subject="7080217258529732386", since=None))
    assert found.result == result
    assert request.url == "https://open.tiktokapis.com/v2/video/query/"
    assert request.json == {"filters": {"video_ids": ["7080217258529732386"]}}


def test_what_is_missing_is_said_without_asking() -> None:
    assert asked(ask=replace(ASK, settings={}))[0].obstacle == "brand"
    assert asked(ask=replace(ASK, tokens=None))[0].obstacle == "reconnect"


def test_where_it_is_done() -> None:
    page = source.checks["post"].page
    assert page is not None
    assert page({"hashtag": "köp"}, None) == "https://www.tiktok.com/tag/k%C3%B6p"
    assert page({}, None) == ""


@pytest.mark.parametrize(
    ("given", "right"), [("coolbrand", True), ("köp_nu", True), ("#coolbrand", False), ("", False)]
)
def test_a_hashtag_is_written_without_its_sign(given: str, right: bool) -> None:
    [setting] = [one for one in source.settings if one.name == "hashtag"]
    assert setting.fault is not None
    assert bool(setting.fault(given)) is not right
