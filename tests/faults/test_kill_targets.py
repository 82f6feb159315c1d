"""kill -9 of a real `serve` while it is at every loyalty API at once: one fact still pays exactly once."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.sandbox.serving import serving
from bridge.sandbox.standin import HANG_UP
from bridge.talk import Transport
from tests.faults.conftest import Cells
from tests.faults.rows import ANN, BEN, ROWS, SECRETS
from tests.faults.stage import Stage, Street, Time
from tests.processes import Folder, order, running, sender, until

#: Real seconds have to pass until a doubt is looked into, so everything is a little faster than in the matrix.
SOON = 'reconcile_after = "1 s"\n'
TARGETS = [
    replace(row, world=partial(row.world, delay=timedelta(0))) if row.provider == "gameball" else row
    for row in ROWS
    if not row.variant
]


class Running(Time):
    """Goes by itself, as in the process beside us, until it is set."""

    _set: datetime | None = None

    @property
    def now(self) -> datetime:  # type: ignore[override]
        return self._set or datetime.now(UTC)

    @now.setter
    def now(self, moment: datetime) -> None:
        self._set = moment

    def run(self) -> None:
        self._set = None


class Ambush(Street):
    """
    A street on which nobody comes further than to one step.

    The first calls that give may get lost before: their connections break `before` or `after` they took effect.
    """

    def __init__(self, step: str, *, done: bool, lost: str) -> None:
        super().__init__()
        self.step, self.done, self.lost = step, done, lost
        self.over = False
        self.given: set[str] = set()  # who has been at the call that gives
        self.stopped: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        name = scope["path"].split("/")[1]
        gives = self.lots[name].row.gives(scope["method"], scope["path"])
        here = {"ask": not gives, "give": gives, "look": not gives and name in self.given}[self.step]
        loses = self.lost and gives and name not in self.given
        self.given |= {name} if gives else set()
        stops = name in self.stopped or (here and not loses)
        if self.over or not (stops or loses):
            await super().__call__(scope, receive, send)
            return
        if self.lost == "after" if loses else self.done and name not in self.stopped:
            await super().__call__(scope, receive, nowhere)
        if loses:
            scope["extensions"][HANG_UP]["now"]()
        else:
            self.stopped.add(name)
        while (await receive())["type"] != "http.disconnect":
            pass


async def nowhere(message: Any) -> None:
    """Answers that nobody hears."""


class Place(Folder):
    """Where the real process and the stage find the same database."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.folder, stage.env.config.read_text())
        self.database = stage.database

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **SECRETS}


@pytest.mark.parametrize(
    ("step", "done", "lost"),
    [
        pytest.param("ask", False, "", id="before anything has happened"),
        pytest.param("ask", True, "", id="when it has asked"),
        pytest.param("give", False, "", id="when the call has left"),
        pytest.param("give", True, "", id="when the call has taken effect"),
        pytest.param("look", True, "before", id="when it has looked for a call that was lost"),
        pytest.param("look", True, "after", id="when it has looked for a call whose answer was lost"),
    ],
)
async def test_a_real_death_pays_once(tmp_path: Path, cells: Cells, step: str, done: bool, lost: str) -> None:
    time, street, wire = (
        Running(asyncio.get_running_loop()),
        Ambush(step, done=done, lost=lost),
        Transport(lambda: True),
    )
    time.run()
    async with serving(street) as url:
        stage = Stage([(row, step) for row in TARGETS], time, street, url, wire, tmp_path, SOON)
        expected = {lot.table for lot in stage.lots if step == "give" or not lot.row.keyed}
        place = Place(stage)
        with running(place) as bridge:
            async with sender() as http:
                for who, number in ((ANN, 1), (BEN, 1), (BEN, 2)):
                    headers, body = order(who.number * 100 + number, customer=who.number)
                    answer = await http.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers)
                    assert answer.status_code == 200, answer.text
                    stage.told[who] = number
            assert await asyncio.to_thread(until, lambda: expected <= street.stopped, 20), street.stopped
            bridge.kill()
            assert bridge.process.returncode == -signal.SIGKILL
        assert "Traceback" not in place.log()
        street.over, time.now = True, datetime.now(UTC)
        async with stage.bridge():
            await stage.tell(ANN)
            await stage.rest()
            stage.check()
            for lot in stage.lots:
                told = cells.setdefault("kill -9", {}).setdefault(lot.row.name, {})
                point = f"{step}>" if done else f"<{step}"
                told[f"lost {lost}, {point}" if lost else point] = stage.outcome(lot)
            await stage.mend_all()
            unpaid = [lot.row.name for lot in stage.lots if not stage.paid(lot)]
    await wire.aclose()
    assert "\n".join(f"{lot.row.name}: {said}" for lot, said in stage.faults.items()) == ""
    assert unpaid == []
