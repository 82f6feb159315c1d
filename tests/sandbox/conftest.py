"""Stand-ins on real ports, a client that talks to them, a clock that is a variable."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client():
    async with httpx2.AsyncClient(timeout=5) as made:
        yield made
