"""Conditions and computed values: typed before the first event, and never guessing after it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.kit import ExpressionError
from bridge.kit.expressions import LONGEST, FactType, compile

FACTS: dict[str, FactType] = {
    "total": "double",
    "items": "int",
    "currency": "string",
    "paid": "bool",
    "occurred_at": "timestamp",
    "codes": "list",
    "body": "any",
}
ORDER: dict[str, Any] = {
    "total": 60.5,
    "items": 3,
    "currency": "EUR",
    "paid": True,
    "occurred_at": datetime(2026, 11, 20, 12, tzinfo=UTC),
    "codes": ["HELLO", "AGAIN"],
    "body": {"id": 820982911946154508, "name": "Zoë", "lines": [{"sku": "a"}], "none": None},
}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        pytest.param("currency == 'EUR' && total >= 50.0", "bool", True, id="a condition"),
        pytest.param("int(least(total / 10.0, 5.0))", "int", 5, id="the smaller of two amounts"),
        pytest.param("most(items, 10)", "int", 10, id="the larger of two numbers"),
        pytest.param("lower(currency)", "string", "eur", id="lower case"),
        pytest.param("'HELLO' in codes", "bool", True, id="one of a list"),
        pytest.param("codes.exists(code, code.startsWith('AG'))", "bool", True, id="some of a list"),
        pytest.param("occurred_at.getDayOfWeek() == 5", "bool", True, id="the day of the week"),
        pytest.param("string(body.id)", "string", "820982911946154508", id="an id beyond 2^53 stays what it is"),
        pytest.param("body.lines[0].sku", "any", "a", id="deep in a body"),
        pytest.param("has(body.missing) ? body.missing : 'none'", "any", "none", id="what may be absent"),
        pytest.param("paid ? total : 0.0", "double", 60.5, id="one or the other"),
        pytest.param("body.none == null", "bool", True, id="null"),
    ],
)
def test_an_expression_has_a_type_and_a_value(text: str, kind: str, value: Any) -> None:
    made = compile(text, FACTS)
    assert made.type == kind
    assert made(ORDER) == value


@pytest.mark.parametrize(
    ("text", "wants", "said"),
    [
        pytest.param("totl > 5.0", (), "did you mean total", id="a misspelt fact is guessed at"),
        pytest.param("nothing > 5.0", (), "Known here: body, codes", id="an unknown fact lists the known ones"),
        pytest.param("total > 50", (), "write 50.0, not 50", id="an amount compared with a whole number"),
        pytest.param("total", ("bool",), "is a double, and a bool is needed here", id="of another type"),
        pytest.param("total >", (), "column", id="broken off"),
        pytest.param("", (), "", id="empty"),
        pytest.param("'" + "a" * LONGEST + "'", (), "at most 2000 characters", id="longer than a line of a file"),
        pytest.param("open('/etc/passwd')", (), "open", id="a function that does not exist"),
    ],
)
def test_a_faulty_expression_says_what_would_be_right(text: str, wants: tuple[str, ...], said: str) -> None:
    with pytest.raises(ExpressionError) as fault:
        compile(text, FACTS, wants=wants)
    assert said in fault.value.message
    assert "\n" not in fault.value.message


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("items / 0", id="a division by zero"),
        pytest.param("total / 0.0", id="an infinite amount"),
        pytest.param("0.0 / 0.0", id="no number at all"),
        pytest.param("body.missing == 'a'", id="a field that is not there"),
        pytest.param("body.lines[7].sku", id="a place past the end"),
        pytest.param("int(body.name)", id="a number that is none"),
        pytest.param("timestamp(body.name)", id="a time that is none"),
        pytest.param("body.id + 'a'", id="types that do not add up"),
        pytest.param("int(1e300)", id="a number too large"),
        pytest.param("body.name.matches('(')", id="a pattern that is none"),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_and_never_a_guess(text: str) -> None:
    with pytest.raises(ExpressionError, match=r".+"):
        compile(text, FACTS)(ORDER)


def test_an_absent_fact_is_an_error() -> None:
    with pytest.raises(ExpressionError):
        compile("total > 5.0", FACTS)({"currency": "EUR"})


def test_the_same_text_over_other_facts_is_another_expression() -> None:
    assert compile("total", {"total": "double"}).type == "double"
    assert compile("total", {"total": "string"}).type == "string"
