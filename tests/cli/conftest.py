"""A command line over a real database, filled through the real flows."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from bridge.cli import app
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, SECRETS, Builder, Clock, House


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


Cli = Callable[..., Said]


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """Runs a command as its user would, in an environment of its own."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "bridge.toml"))
    monkeypatch.setenv("BRIDGE_DATABASE_URL", f"sqlite:///{tmp_path / 'bridge.db'}")
    monkeypatch.setenv("BRIDGE_SECRET_KEY", "test")
    monkeypatch.setenv("BRIDGE_ACTOR", "ann")
    monkeypatch.delenv("BRIDGE_LOG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*args: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app([str(arg) for arg in args], prog_name="loyalty-bridge")
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    yield run
    structlog.reset_defaults()
    logging.getLogger().handlers.clear()


@pytest.fixture
def fill(tmp_path: Path) -> Callable[..., None]:
    """Plays a story on a bridge over the command line's own database and bridge.toml."""

    def play(story: Callable[[House], Awaitable[None]] | None = None, *rules: str, head: str = HEAD) -> None:
        builder = Builder(tmp_path)
        builder.clock = Clock(datetime.now(UTC))

        async def whole() -> None:
            async with builder(*(rules or (FOLLOW_RULE, ORDER_RULE)), head=head) as house:
                if story:
                    await story(house)
                await house.bridge.chores.each_second(house.bridge.scene("worker"))

        asyncio.run(whole())

    return play


async def one_failed(house: House) -> None:
    """An order whose reward the hook refuses, and a follow of somebody nobody knows."""
    house.vendor.answers("POST", "hook.test", (422, {"error": "no such customer ann@example.com"}))
    await house.order()
    await house.follow()
    await house.work()


async def one_delivered(house: House) -> None:
    await house.order()
    await house.work()
