"""Times as operators type them: `9:00`, `12h`, ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from bridge.kit.fields import duration


def moment(text: str, now: datetime, zone: tzinfo, *, end: bool = False) -> datetime:
    """
    The time that `text` names. Anything else: `ValueError` that says what would be right.

    `9:00` is the last time it was nine o'clock in `zone`; `12h` is twelve hours ago; a day without a time
    begins at midnight, or with `end` is over then.
    """
    text = text.strip()
    here = now.astimezone(zone)
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        text = (here.date() - timedelta(days=text == "yesterday")).isoformat()
    if found := re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text):
        try:
            clock = time(int(found[1]), int(found[2]), int(found[3] or 0))
        except ValueError:
            raise ValueError(f"{text} is no time of day; the last one is 23:59") from None
        at = datetime.combine(here.date(), clock, zone)
        return (at if at <= now else datetime.combine(here.date() - timedelta(days=1), clock, zone)).astimezone(UTC)
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            day = date.fromisoformat(text) + timedelta(days=end)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text} is no day: {error}") from None
        return datetime.combine(day, time.min, zone).astimezone(UTC)
    try:
        return now - duration(text)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 9:00, 12h, 2026-11-20 or 2026-11-20T18:00") from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def said(iso: str | None, now: datetime, zone: tzinfo) -> str:
    """A row's time for a person: `09:12:33` today, `20 Nov 09:12` this year, else with the year."""
    if not iso:
        return "never"
    at, here = datetime.fromisoformat(iso).astimezone(zone), now.astimezone(zone)
    if at.date() == here.date():
        return f"{at:%H:%M:%S}"
    return f"{at.day} {at:%b %H:%M}" if at.year == here.year else f"{at:%Y-%m-%d %H:%M}"


def whole(iso: str | None, zone: tzinfo) -> str:
    """A row's time to the millisecond."""
    if not iso:
        return "never"
    at = datetime.fromisoformat(iso).astimezone(zone)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03}"


def distance(iso: str, now: datetime) -> str:
    """How far a time is from now: `2 min ago`, `in 3 days`."""
    seconds = (now - datetime.fromisoformat(iso)).total_seconds()
    size = abs(seconds)
    for unit, most, name in ((86400, 172800, "days"), (3600, 7200, "hours"), (60, 120, "min"), (1, 0, "s")):
        if size >= most:
            said = f"{int(size // unit)} {name}"
            return f"{said} ago" if seconds >= 0 else f"in {said}"
    return "now"
