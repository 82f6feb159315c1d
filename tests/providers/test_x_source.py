"""X's challenge is answered without becoming an oracle, and its webhooks are registered."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bridge.kit import Inbound, Misconfigured, Rejected, Response, SetUp, Unavailable
from providers.social.x import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SECRETS = {"webhook_secret": ("consumer_secret_123", "the old one")}


def challenge(query: str, settings: Any = SECRETS) -> Any:
    inbound = Inbound(
        source="x", method="GET", url=f"https://bridge.example/webhooks/x?{query}", headers={}, body=b"",
        received_at=NOW,
    )  # fmt: skip
    assert source.greet is not None
    return source.greet(inbound, settings)


def test_the_challenge_is_answered_with_the_newest_secret() -> None:
    reply = challenge("crc_token=challenge_string&nonce=1")
    # The documentation's challenge, under a key of ours: computed once with openssl.
    assert json.loads(reply.body) == {"response_token": "sha256=nlOKxWI2Uwxtwtl+bywm0k5qOSl+OxlF7zwxasJkyNo="}
    assert (reply.status, reply.media_type) == (200, "application/json")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "crc_token=",
        "crc_token=a&crc_token=b",
        "crc_token=%7B%22data%22%3A%7B%7D%7D",
        "crc_token=%22",
        "crc_token=a b",
        "crc_token=%0A",
        "crc_token=a%0A",
        "crc_token=%FF",
        "crc_token=%D9%A3",
        "crc_token=" + "a" * 129,
        "crc_token=" + "a" * 9000,
    ],
)
def test_what_could_be_an_event_is_not_signed(query: str) -> None:
    with pytest.raises(Rejected) as refused:
        challenge(query)
    assert refused.value.status == 400


def test_without_a_secret_nothing_is_signed() -> None:
    for settings in ({}, {"webhook_secret": ()}):
        with pytest.raises(Rejected):
            challenge("crc_token=challenge_string", settings)


FOLDER = os.environ.get("BRIDGE_TEST_VECTORS")
PUBLISHED = json.loads((Path(FOLDER) / "social.json").read_text("utf-8")) if FOLDER else []


@pytest.mark.skipif(not FOLDER, reason="BRIDGE_TEST_VECTORS names no folder with other people's vectors")
def test_the_published_challenges_and_forgeries() -> None:
    seen = 0
    for one in PUBLISHED:
        if one["scheme"] == "x-crc":
            found = json.loads(
                challenge(f"crc_token={one['query']['crc_token']}", {"webhook_secret": one["secret"]}).body
            )
            assert found == one["response"]
        elif one["scheme"] == "oracle-refusal" and one["provider"] == "x" and not one["valid"]:
            with pytest.raises(Rejected):
                challenge(f"crc_token={quote(one['token'])}")
        elif one["scheme"] == "oracle-refusal" and one["provider"] == "x":
            assert challenge(f"crc_token={quote(one['token'])}").status == 200
        else:
            continue
        seen += 1
    assert seen >= 3


# --- set up ---------------------------------------------------------------------------------------------------------

SETTINGS = {"user_id": "44", "bearer_token": "app"}
WANTED = SetUp(
    settings=SETTINGS, url="https://bridge.example/webhooks/x", secret="s", actions=frozenset({"follow"}), now=NOW
)
assert source.setup is not None
SET_UP = source.setup


def rows(*found: dict[str, Any], code: int = 200) -> Response:
    return Response(code, json.dumps({"data": list(found), "meta": {"result_count": len(found)}}).encode())


def hook(**changed: Any) -> dict[str, Any]:
    return {"id": "9", "url": WANTED.url, "valid": True, **changed}


def heard(*kinds: str, brand: str = "44") -> Response:
    return rows(*({"event_type": kind, "filter": {"user_id": brand}} for kind in kinds))


MADE = Response(200, json.dumps({"data": hook()}).encode())


def test_what_is_missing_is_registered() -> None:
    done, asked = play(SET_UP(WANTED), rows(), MADE, heard("follow.follow"), MADE)
    posted = [(one.url, one.json) for one in asked if one.method == "POST"]
    assert posted == [
        ("https://api.x.com/2/webhooks", {"url": WANTED.url}),
        (
            "https://api.x.com/2/activity/subscriptions",
            {"event_type": "follow.unfollow", "filter": {"user_id": "44"}, "webhook_id": "9"},
        ),
    ]
    assert {one.headers["Authorization"] for one in asked} == {"Bearer app"}
    assert len(done.did) == 2
    assert not done.left


def test_what_stands_is_left_alone() -> None:
    both = heard("follow.follow", "follow.unfollow")
    done, asked = play(SET_UP(WANTED), rows(hook()), both)
    assert {one.method for one in asked} == {"GET"}
    assert (done.did, done.left) == ([], [])
    done, _ = play(SET_UP(WANTED), rows(hook(valid=False)), both)
    assert "PUT /2/webhooks/9" in done.left[0]


def test_another_accounts_subscriptions_are_none_of_ours() -> None:
    done, asked = play(SET_UP(replace(WANTED, dry_run=True)), rows(), heard("follow.follow", brand="7"))
    assert {one.method for one in asked} == {"GET"}
    assert len(done.did) == 3


def test_what_only_a_person_can_do_is_said() -> None:
    done, _ = play(SET_UP(replace(WANTED, actions=frozenset({"repost", "reply"}))), rows(hook()), heard())
    assert ["post.reply.create" in done.left[0], "post.repost.create" in done.left[1]] == [True, True]
    for wanted in (
        replace(WANTED, settings={}),
        replace(WANTED, secret=""),
        replace(WANTED, url="https://bridge.example:8443/x"),
    ):
        done, asked = play(SET_UP(wanted))
        assert done.left
        assert not asked


@pytest.mark.parametrize(
    ("status", "error"), [(401, Misconfigured), (402, Misconfigured), (403, Misconfigured), (500, Unavailable)]
)
def test_a_refused_set_up_says_whose_fault_it_is(status: int, error: type[Exception]) -> None:
    for answers in ([Response(status)], [rows(), Response(status)], [rows(hook()), Response(status)]):
        with pytest.raises(error) as caught:
            play(SET_UP(WANTED), *answers)
        assert type(caught.value) is error
