"""Stand-ins on real ports, a client that talks to them, a clock that is a variable."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2
import pytest


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def words(html: str) -> str:
    """What somebody reads of it."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client():
    async with httpx2.AsyncClient(timeout=5) as made:
        yield made
