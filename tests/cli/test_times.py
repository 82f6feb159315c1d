"""Times as operators type them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from bridge.cli.times import distance, moment, said, whole

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)  # 10:30 in Stockholm


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9:00", "2026-11-20T08:00"),  # this morning
        ("09:00", "2026-11-20T08:00"),
        ("10:30", "2026-11-20T09:30"),
        ("18:00", "2026-11-19T17:00"),  # yesterday evening: today's is still to come
        ("18:00:30", "2026-11-19T17:00:30"),
        ("12h", "2026-11-19T21:30"),
        ("90 s", "2026-11-20T09:28:30"),
        ("30d", "2026-10-21T09:30"),
        ("2 weeks", "2026-11-06T09:30"),
        ("today", "2026-11-19T23:00"),
        ("yesterday", "2026-11-18T23:00"),
        ("now", "2026-11-20T09:30"),
        ("2026-11-20", "2026-11-19T23:00"),
        ("2026-07-01", "2026-06-30T22:00"),  # in summer
        ("2026-11-20T08:00", "2026-11-20T07:00"),
        ("2026-11-20 08:00", "2026-11-20T07:00"),
        ("2026-11-20T08:00:00Z", "2026-11-20T08:00"),
        ("2026-11-20T08:00:00+02:00", "2026-11-20T06:00"),
    ],
)
def test_a_time(text: str, expected: str) -> None:
    assert moment(text, NOW, STOCKHOLM) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_day_that_ends_is_over_at_midnight() -> None:
    assert moment("2026-11-20", NOW, UTC, end=True) == datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "noon", "25:00", "9", "12x", "2026-13-01", "2026-11-20T", "-1h"])
def test_what_is_no_time_says_what_would_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 9:00|23:59|is no day"):
        moment(text, NOW, UTC)


@pytest.mark.parametrize(
    ("iso", "expected"),
    [
        ("2026-11-20T08:00:01.500Z", "09:00:01"),
        ("2026-11-19T08:00:00.000Z", "19 Nov 09:00"),
        ("2025-12-31T08:00:00.000Z", "2025-12-31 09:00"),
        (None, "never"),
    ],
)
def test_a_time_is_said_as_short_as_it_can_be(iso: str | None, expected: str) -> None:
    assert said(iso, NOW, STOCKHOLM) == expected


def test_a_whole_time() -> None:
    assert whole("2026-11-20T08:00:01.500Z", STOCKHOLM) == "2026-11-20 09:00:01.500"


@pytest.mark.parametrize(
    ("iso", "expected"),
    [
        ("2026-11-20T09:29:55Z", "5 s ago"),
        ("2026-11-20T09:27:00Z", "3 min ago"),
        ("2026-11-20T04:00:00Z", "5 hours ago"),
        ("2026-11-10T09:30:00Z", "10 days ago"),
        ("2026-11-20T09:40:00Z", "in 10 min"),
    ],
)
def test_a_distance(iso: str, expected: str) -> None:
    assert distance(iso, NOW) == expected
