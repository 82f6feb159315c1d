"""Durations as people write and say them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.kit import Fact, duration
from bridge.kit.fields import said, types


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("24 hours", timedelta(hours=24), id="hours"),
        pytest.param("1 hour", timedelta(hours=1), id="one hour"),
        pytest.param("30d", timedelta(days=30), id="days in short"),
        pytest.param("90 s", timedelta(seconds=90), id="seconds"),
        pytest.param(" 1.5 Weeks ", timedelta(days=10.5), id="a fraction, in capitals, with spaces"),
        pytest.param("250ms", timedelta(milliseconds=250), id="milliseconds are no minutes"),
        pytest.param("5 min", timedelta(minutes=5), id="minutes in short"),
        pytest.param("0 s", timedelta(0), id="none at all"),
    ],
)
def test_a_duration_is_read(text: str, value: timedelta) -> None:
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "hours", "five minutes", "-5 s", "5 lightyears", "1e3 s", "5 m 3 s", "٥ s"])
def test_anything_else_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match='write "24 hours"'):
        duration(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(hours=24), "24 hours"),
        (timedelta(days=30), "30 days"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(seconds=90), "90 s"),
        (timedelta(0), "0 s"),
    ],
)
def test_a_duration_is_said_as_it_was_written(value: timedelta, text: str) -> None:
    assert said(value) == text
    assert duration(text) == value


def test_every_action_carries_the_common_facts() -> None:
    known = types((Fact("total", "double", "what was paid"),))
    assert known["total"] == "double"
    assert known["occurred_at"] == "timestamp"
    assert {"source", "action", "subject", "account"} <= set(known)
