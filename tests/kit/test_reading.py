"""Values taken out of a signed body: as they are, or `Unreadable` with the name of what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.kit import Delivery, Unreadable
from bridge.kit.reading import amount, maybe, table, tables, text, when, whole


@pytest.mark.parametrize(
    ("take", "value", "seen"),
    [
        pytest.param(text, "a", "a", id="a text"),
        pytest.param(text, 820982911946154508, "820982911946154508", id="an id beyond 2^53"),
        pytest.param(maybe, None, None, id="null where it may be absent"),
        pytest.param(maybe, "", None, id="empty where it may be absent"),
        pytest.param(maybe, "a", "a", id="a text where it may be absent"),
        pytest.param(amount, "12.50", 12.5, id="an amount as text"),
        pytest.param(amount, 12, 12.0, id="an amount as number"),
        pytest.param(whole, 12, 12, id="a whole number"),
        pytest.param(when, "2026-11-20T12:00:00Z", datetime(2026, 11, 20, 12, tzinfo=UTC), id="a time"),
        pytest.param(when, 1700000000, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), id="a time as number"),
        pytest.param(table, {"a": 1}, {"a": 1}, id="an object"),
        pytest.param(tables, [{"a": 1}], [{"a": 1}], id="a list of objects"),
        pytest.param(tables, None, (), id="no list"),
    ],
)
def test_what_is_there_is_taken(take: Callable[[Any, str], Any], value: Any, seen: Any) -> None:
    assert take({"field": value}, "field") == seen


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"id": 98765432109876543210}', id="in an object"),
        pytest.param(b'{"id":-98765432109876543210}', id="below zero"),
        pytest.param(b"[1,98765432109876543210]", id="in a list"),
        pytest.param(b"98765432109876543210", id="alone"),
        pytest.param(b'{"id": 9223372036854775807, "other": 18446744073709551616}', id="just beyond what fits"),
    ],
)
def test_a_whole_number_keeps_every_digit_however_long_it_is(body: bytes) -> None:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    sent = Delivery(source="x", method="POST", url="/", headers={}, body=body, received_at=now, id="del_1", key="k")
    assert sent.json() == json.loads(body)
    assert "." not in repr(sent.json())


@pytest.mark.parametrize(
    ("take", "value"),
    [
        pytest.param(text, "", id="an empty text"),
        pytest.param(text, None, id="null"),
        pytest.param(text, True, id="true for a text"),
        pytest.param(text, 1.5, id="a fraction for an id"),
        pytest.param(text, ["a"], id="a list for a text"),
        pytest.param(maybe, {"a": 1}, id="an object where a text may be"),
        pytest.param(amount, "a lot", id="words for an amount"),
        pytest.param(amount, "NaN", id="no number"),
        pytest.param(amount, "Infinity", id="an infinite amount"),
        pytest.param(amount, "1e999", id="an amount beyond all"),
        pytest.param(amount, 10**400, id="a whole number beyond all"),
        pytest.param(amount, True, id="true for an amount"),
        pytest.param(whole, "12", id="a text for a whole number"),
        pytest.param(whole, 1.0, id="a fraction for a whole number"),
        pytest.param(whole, False, id="false for a whole number"),
        pytest.param(when, "soon", id="words for a time"),
        pytest.param(table, [], id="a list for an object"),
        pytest.param(tables, {}, id="an object for a list"),
        pytest.param(tables, [1], id="a list of numbers"),
    ],
)
def test_what_is_of_another_kind_is_named(take: Callable[[Any, str], Any], value: Any) -> None:
    with pytest.raises(Unreadable, match="field"):
        take({"field": value}, "field")


@pytest.mark.parametrize("take", [text, amount, whole, when, table])
def test_what_is_missing_is_named(take: Callable[[Any, str], Any]) -> None:
    with pytest.raises(Unreadable, match="field is missing"):
        take({}, "field")
    with pytest.raises(Unreadable, match="no object to read field from"):
        take([], "field")
