"""Twitch asked again whether somebody still follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bridge.kit import Question, Response
from providers.social.twitch import source

from .playing import play

SETTINGS = {"client_id": "client", "broadcaster_token": "token", "channel_id": "1337"}
QUESTION = Question(account="1234", subject="1337", key="1337:1234")
ASK = source.rechecks["follow"]


def page(total: Any, *accounts: str) -> Response:
    rows = [{"user_id": one, "user_login": "x", "followed_at": "2026-11-20T11:59:57Z"} for one in accounts]
    return Response(200, json.dumps({"total": total, "data": rows, "pagination": {}}).encode())


def test_the_question_names_channel_and_account() -> None:
    answer, asked = play(ASK(QUESTION, SETTINGS), page(8, "1234"))
    assert answer.result == "verified"
    assert asked[0].method == "GET"
    assert asked[0].url == "https://api.twitch.tv/helix/channels/followers"
    assert asked[0].params == {"broadcaster_id": "1337", "user_id": "1234"}
    assert asked[0].headers == {"Authorization": "Bearer token", "Client-Id": "client"}


def test_another_address_is_obeyed() -> None:
    _, asked = play(ASK(QUESTION, {**SETTINGS, "api_url": "http://127.0.0.1:9000/helix/"}), page(1, "1234"))
    assert asked[0].url == "http://127.0.0.1:9000/helix/channels/followers"


@pytest.mark.parametrize(
    ("answers", "result"),
    [
        pytest.param([page(8, "1234")], "verified", id="the account is listed"),
        pytest.param([page(8), page(8, "77")], "not_found", id="not listed, while the token sees others"),
        pytest.param([page(0)], "not_found", id="nobody follows at all"),
        pytest.param([page(8), page(8)], "unknown", id="the token sees nobody: it lacks the scope"),
        pytest.param([page(8), Response(500)], "unknown", id="whether the token sees anybody cannot be told"),
        pytest.param([page(8), Response(401)], "unknown", id="the token ends between two questions"),
        pytest.param([page(8, "77")], "unknown", id="an answer about somebody else"),
        pytest.param([Response(400)], "unknown", id="400"),
        pytest.param([Response(401, b'{"status":401,"message":"Invalid OAuth token"}')], "unknown", id="401"),
        pytest.param([Response(403)], "unknown", id="403"),
        pytest.param([Response(404)], "unknown", id="404"),
        pytest.param([Response(429, headers={"ratelimit-reset": "1"})], "unknown", id="429"),
        pytest.param([Response(500)], "unknown", id="500"),
        pytest.param([Response(503)], "unknown", id="503"),
        pytest.param([Response(200, b"<html>")], "unknown", id="200 and a page"),
        pytest.param([Response(200, b"")], "unknown", id="200 and nothing"),
        pytest.param([Response(200, b"[]")], "unknown", id="200 and a list"),
        pytest.param([Response(200, b'{"data":[]}')], "unknown", id="200 without the total"),
        pytest.param([Response(200, b'{"total":8,"data":null}')], "unknown", id="200 without the list"),
        pytest.param([Response(203, b'{"total":0,"data":[]}')], "unknown", id="another success than 200"),
    ],
)
def test_no_is_only_believed_of_a_token_that_can_see(answers: list[Response], result: str) -> None:
    answer, asked = play(ASK(QUESTION, SETTINGS), *answers)
    assert answer.result == result
    assert answer.note or result == "verified"
    assert "token" not in str([request.params for request in asked])


@pytest.mark.parametrize(
    ("secret", "said"),
    [("s" * 9, "has 9 characters"), ("s" * 10, ""), ("s" * 100, ""), ("s" * 101, "10 to 100"), ("ä" * 20, "ASCII")],
)
def test_the_secret_is_as_twitch_takes_it(secret: str, said: str) -> None:
    setting = next(one for one in source.settings if one.name == "webhook_secret")
    assert setting.fault is not None
    assert said in setting.fault(secret)
    assert bool(setting.fault(secret)) == bool(said)


def test_what_the_platform_forbids_is_marked() -> None:
    forbidden = {name for name, action in source.actions.items() if action.policy and action.policy.forbidden}
    assert forbidden == {"cheer"}
