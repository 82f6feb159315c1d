"""The webhook target: what a receiver is told, and what its answers mean for us."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.kit import Attempt, Customer, Forward, Kind, Request, Response, Verdict
from providers.loyalty.webhook import target

from .playing import play

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SETTINGS = {"url": "https://loyalty.example.com/hooks", "secret": ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",)}
FORWARD = Forward(
    id="fwd_1",
    rule="big-order",
    send="webhook",
    target="webhook",
    customer=Customer(id="115", email="ann@example.com"),
    options={"event": "points.earned", "data": {"points": 60.0}},
    source="shop_de",
    action="order_paid",
    subject="820982911946154508",
    account="115",
    facts={"total": 60.0, "currency": "EUR", "discount_codes": ["WELCOME"]},
    occurred_at=NOW,
    created_at=NOW + timedelta(days=14),
)


def sent(forward: Forward = FORWARD) -> Request:
    outcome, asked = play(target.send(forward, SETTINGS), Response(204))
    assert outcome.verdict is Verdict.DONE
    return asked[0]


def test_the_receiver_is_told_what_it_needs() -> None:
    request = sent()
    assert (request.method, request.url) == ("POST", "https://loyalty.example.com/hooks")
    assert json.loads(request.body()[0]) == {
        "type": "points.earned",
        "timestamp": "2026-11-20T12:00:00Z",
        "data": {
            "id": "fwd_1",
            "rule": "big-order",
            "customer": {"id": "115", "email": "ann@example.com"},
            "source": "shop_de",
            "action": "order_paid",
            "account": "115",
            "subject": "820982911946154508",
            "occurred_at": "2026-11-20T12:00:00Z",
            "facts": {"total": 60.0, "currency": "EUR", "discount_codes": ["WELCOME"]},
            "points": 60.0,
        },
    }


def test_every_attempt_sends_the_same_bytes() -> None:
    later = replace(FORWARD, tries=4, attempts=5, lease=9, reason="answered 500")
    assert sent(later).body() == sent().body()


def test_without_an_event_source_and_action_name_it() -> None:
    assert sent(replace(FORWARD, options={})).json["type"] == "shop_de.order_paid"


def test_data_may_replace_what_is_told_by_itself() -> None:
    body = sent(replace(FORWARD, options={"data": {"customer": "115", "facts": {}}})).json["data"]
    assert (body["customer"], body["facts"], body["id"]) == ("115", {}, "fwd_1")


def test_times_are_told_as_iso_8601_however_deep() -> None:
    facts = {"at": NOW, "deep": {"list": [NOW, {"at": NOW}]}}
    body = json.loads(sent(replace(FORWARD, facts=facts, options={})).body()[0])
    assert body["data"]["facts"] == {
        "at": "2026-11-20T12:00:00Z",
        "deep": {"list": ["2026-11-20T12:00:00Z", {"at": "2026-11-20T12:00:00Z"}]},
    }


def test_taking_back_is_another_type_so_that_nobody_pays_twice() -> None:
    assert target.undo is not None
    undo = replace(FORWARD, id="fwd_2", kind=Kind.UNDO, undoes="fwd_1")
    _, asked = play(target.undo(undo, SETTINGS), Response(200))
    assert asked[0].json["type"] == "points.earned.undone"
    assert asked[0].json["data"]["id"] == "fwd_2"
    assert asked[0].json["data"]["undoes"] == "fwd_1"


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DONE),
        (201, Verdict.DONE),
        (202, Verdict.DONE),
        (204, Verdict.DONE),
        (301, Verdict.MISCONFIGURED),
        (302, Verdict.MISCONFIGURED),
        (304, Verdict.MISCONFIGURED),
        (307, Verdict.MISCONFIGURED),
        (400, Verdict.REFUSED),
        (401, Verdict.MISCONFIGURED),
        (403, Verdict.MISCONFIGURED),
        (404, Verdict.REFUSED),
        (405, Verdict.REFUSED),
        (407, Verdict.MISCONFIGURED),
        (408, Verdict.LATER),
        (409, Verdict.REFUSED),
        (410, Verdict.MISCONFIGURED),
        (413, Verdict.REFUSED),
        (415, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (425, Verdict.LATER),
        (429, Verdict.LATER),
        (500, Verdict.UNCLEAR),
        (501, Verdict.UNCLEAR),
        (502, Verdict.UNCLEAR),
        (503, Verdict.LATER),
        (504, Verdict.UNCLEAR),
        (599, Verdict.UNCLEAR),
        (101, Verdict.UNCLEAR),
    ],
)
@pytest.mark.parametrize(
    "body", [b"", b'{"message": "no"}', b"<html>", b"\xff\xfe"], ids=["nothing", "JSON", "a page", "noise"]
)
def test_each_status_has_one_meaning_whatever_the_body(status: int, verdict: Verdict, body: bytes) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(status, body))
    assert outcome.verdict is verdict
    assert str(status) in outcome.note


def test_a_conflict_is_ours_only_after_an_unclear_attempt_of_ours() -> None:
    earlier = Attempt(forward="fwd_1", number=1, leased_at=NOW, lease_until=NOW, sent_at=NOW)
    outcome, _ = play(target.send(replace(FORWARD, earlier=earlier), SETTINGS), Response(409))
    assert outcome.verdict is Verdict.DUPLICATE


@pytest.mark.parametrize("status", [429, 503, 500])
def test_the_receivers_own_wait_is_passed_on(status: int) -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(status, headers={"retry-after": "90"}))
    assert outcome.retry_after == timedelta(seconds=90)
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(status))
    assert outcome.retry_after is None


def test_what_the_receiver_answers_can_be_shown() -> None:
    outcome, _ = play(target.send(FORWARD, SETTINGS), Response(200, b'{"message": "60 points"}'))
    assert outcome.shown == {"message": "60 points"}


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ""),
        ("whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "cannot sign"),
        ("a plain text!", "base64"),
    ],
)
def test_its_keys_are_those_that_can_sign(key: str, said: str) -> None:
    secret: Any = next(setting for setting in target.settings if setting.name == target.signs_with)
    assert said in secret.fault(key)
    assert bool(secret.fault(key)) == bool(said)
