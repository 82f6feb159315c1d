"""Evidence described in bridge.toml: what a table may say, and what it then reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.kit import Customer, Delivery, Evidence, ExpressionError, Ignored, Source, Unreadable, described

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
REVIEW = {
    "action": "review",
    "title": "Writes a review",
    "when": "body.type == 'review.created'",
    "key": "body.review.id",
    "account": "string(body.review.author)",
    "subject": "body.review.product",
    "occurred_at": "body.review.at",
    "email": "body.review.email",
    "facts": {"stars": "int(body.review.stars)", "long": "size(string(body.review.text)) > 20"},
}
BODY = {
    "type": "review.created",
    "review": {
        "id": "rev_1",
        "author": 4711,
        "product": "socks",
        "at": "2026-11-19T08:00:00Z",
        "email": "ann@example.com",
        "stars": 5,
        "text": "Warm, and they stay warm.",
    },
}


def source(*tables: Mapping[str, Any], signed_headers: tuple[str, ...] = ()) -> Source:
    bare = Source(name="generic", title="Generic", docs="", actions={}, settings=())
    return described(bare, {"evidence": list(tables)}, signed_headers=signed_headers)


def read(made: Source, body: Any, headers: Mapping[str, str] | None = None) -> Any:
    assert made.read is not None
    delivery = Delivery(
        source="reviews",
        method="POST",
        url="https://bridge.example.com/webhooks/reviews",
        headers=headers or {},
        body=json.dumps(body).encode(),
        received_at=NOW,
        id="del_1",
        key="k",
    )
    return made.read(delivery, {})


def test_a_table_becomes_an_action_with_typed_facts() -> None:
    action = source(REVIEW).actions["review"]
    assert action.title == "Writes a review"
    assert [(fact.name, fact.kind) for fact in action.facts] == [("stars", "int"), ("long", "bool")]


def test_a_delivery_becomes_evidence() -> None:
    assert read(source(REVIEW), BODY) == [
        Evidence(
            action="review",
            key="rev_1",
            account="4711",
            subject="socks",
            occurred_at=datetime(2026, 11, 19, 8, tzinfo=UTC),
            facts={"stars": 5, "long": True},
            customer=Customer(email="ann@example.com"),
        )
    ]


def test_several_tables_may_apply_and_none_may() -> None:
    helpful = {"action": "helpful", "key": "body.review.id", "account": "string(body.review.author)"}
    assert [one.action for one in read(source(REVIEW, helpful), BODY)] == ["review", "helpful"]
    assert isinstance(read(source(REVIEW), {"type": "ping"}), Ignored)
    assert isinstance(read(source(REVIEW), {}), Ignored)  # it does not even have a type


def test_an_undoing_names_the_same_fact() -> None:
    deleted = {
        "action": "review",
        "when": "body.type == 'review.deleted'",
        "key": "body.review.id",
        "account": "string(body.review.author)",
        "undone": "true",
        "facts": REVIEW["facts"],
    }
    undone = read(source(REVIEW, deleted), {**BODY, "type": "review.deleted"})
    assert [(one.key, one.undone) for one in undone] == [("rev_1", True)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"key": None}, "key is", id="a key that is null"),
        pytest.param({"key": ""}, "key is", id="an empty key"),
        pytest.param({"key": True}, "key is", id="a key that is true"),
        pytest.param({"key": 1.5}, "key is", id="a key that is a fraction"),
        pytest.param({"at": "soon"}, "occurred_at", id="a time that is none"),
        pytest.param({"email": 5.5}, "email is", id="an email that is a number"),
        pytest.param({"stars": "many"}, "review", id="a fact that cannot be computed"),
    ],
)
def test_what_applies_and_cannot_be_read_is_unreadable(change: dict[str, Any], said: str) -> None:
    review = {**BODY["review"], **{"id" if name == "key" else name: value for name, value in change.items()}}  # type: ignore[dict-item]
    with pytest.raises(Unreadable, match=said):
        read(source(REVIEW), {**BODY, "review": review})


def test_undone_is_true_or_false_and_nothing_else() -> None:
    table = {"action": "review", "key": "'k'", "account": "'a'", "undone": "body.gone"}
    assert read(source(table), {"gone": False})[0].undone is False
    with pytest.raises(Unreadable, match="undone"):
        read(source(table), {"gone": "false"})  # every text that is not empty would be true


def test_a_body_that_is_no_json_is_unreadable() -> None:
    made = source(REVIEW)
    assert made.read is not None
    delivery = Delivery(
        source="reviews", method="POST", url="", headers={}, body=b"<xml/>", received_at=NOW, id="del_1", key="k"
    )
    with pytest.raises(Unreadable, match="not JSON"):
        made.read(delivery, {})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        pytest.param({**REVIEW, "wen": "true"}, "unknown key wen; known are", id="an unknown key"),
        pytest.param({**REVIEW, "action": "write a review"}, "in one word", id="an action of several words"),
        pytest.param({**REVIEW, "action": 5}, "in one word", id="an action that is a number"),
        pytest.param({**REVIEW, "key": ""}, "key is missing", id="no key"),
        pytest.param({**REVIEW, "account": None}, "account is missing", id="no account"),
        pytest.param({**REVIEW, "key": 5}, "key is a CEL expression", id="a key that is no expression"),
        pytest.param({**REVIEW, "when": "'yes'"}, "when: 'yes': is a string, and a bool", id="a when that is a text"),
        pytest.param({**REVIEW, "key": "boddy.id"}, "did you mean body", id="a misspelt name"),
        pytest.param({**REVIEW, "facts": {"x": "body.x"}}, "wrap it: double(body.x)", id="a fact without a type"),
        pytest.param({**REVIEW, "facts": {"a b": "1"}}, "in one word", id="a fact of two words"),
        pytest.param({**REVIEW, "facts": {"subject": "'x'"}}, "every action carries", id="a fact all actions carry"),
        pytest.param({**REVIEW, "facts": "x"}, "facts is a table", id="facts that are no table"),
        pytest.param({**REVIEW, "key": "headers['x-id']"}, "the header x-id is not signed", id="an unsigned header"),
    ],
)
def test_a_faulty_table_says_which_and_what_would_be_right(table: Any, said: str) -> None:
    with pytest.raises(ExpressionError) as fault:
        source(REVIEW, table)
    assert fault.value.message.startswith("evidence 2: ")
    assert said in fault.value.message


def test_two_tables_of_one_action_have_the_same_facts() -> None:
    with pytest.raises(ExpressionError, match="described twice with different facts"):
        source(REVIEW, {**REVIEW, "facts": {}})


def test_signed_headers_can_be_read_and_others_are_not_even_there() -> None:
    table = {"action": "review", "key": "headers['x-id']", "account": "'a'"}
    made = source(table, signed_headers=("x-id",))
    assert read(made, {}, {"x-id": "evt_1", "x-topic": "review"})[0].key == "evt_1"
    with pytest.raises(Unreadable):
        read(made, {}, {"x-topic": "review"})
    with pytest.raises(ExpressionError, match=r"x-topic is not signed.*signed are x-id"):
        source({**table, "when": "headers['x-topic'] == 'review'"}, signed_headers=("x-id",))
    hidden = source({**table, "when": "headers['x-' + 'topic'] == 'review'"}, signed_headers=("x-id",))
    assert isinstance(read(hidden, {}, {"x-id": "evt_1", "x-topic": "review"}), Ignored)
