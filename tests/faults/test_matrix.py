"""
The fault matrix: whatever a loyalty API does, and wherever we die, one fact pays exactly once or somebody sees why not.

Rows are targets, columns are faults, and each cell is a target of one bridge with a stand-in of its own. At the end of
the run the table is printed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bridge.app import open_bridge
from bridge.env import Env
from bridge.flows import operate
from bridge.sandbox.serving import serving
from bridge.talk import Transport
from providers import TARGETS
from tests.faults.conftest import Cells
from tests.faults.rows import ANN, ROWS, SECRETS, SLOW, ZOE, Row
from tests.faults.stage import BEGINNING, Lot, Stage, Street, Time

pytestmark = pytest.mark.asyncio(loop_scope="module")

FAULTS: dict[str, dict[str, Any]] = {
    "slow": {"kind": "slow", "seconds": SLOW},
    "slower": {"kind": "slow_before", "seconds": SLOW},
    "drop <": {"kind": "drop_before"},
    "drop >": {"kind": "drop_after"},
    "cut": {"kind": "cut"},
    "500 <": {"kind": "500_before"},
    "500 >": {"kind": "500_after"},
    "503": {"kind": "503"},
    "429": {"kind": "429"},
    "429 wait": {"kind": "429", "retry_after": 120},
    "html": {"kind": "html"},
    "redirect": {"kind": "redirect"},
    "json": {"kind": "wrong_json"},
    "revoked": {"kind": "revoked"},
}


#: A read takes effect by being answered: before and after are one.
OF_READS = [name for name in FAULTS if name not in ("slower", "drop >", "500 >")]


@dataclass(frozen=True, slots=True)
class Block:
    """A part of the table: the same faults, met in another way."""

    name: str
    on: str
    times: int | None
    known: bool = False  # whether the target has taken a call before: tokens are there
    lost: bool = False  # whether the answers to the first two calls have been lost before

    @property
    def of_variants(self) -> bool:
        return self.lost or (self.on == "writes" and self.times == 1)


BLOCKS = (
    Block("a write", "writes", 1),
    Block("a write, signed in", "writes", 1, known=True),
    Block("an hour's writes", "writes", None),
    Block("a read", "reads", 1),
    Block("an hour's reads", "reads", None),
    Block("an hour's reads, in doubt", "reads", None, known=True, lost=True),
)

Build = Callable[[Sequence[tuple[Row, str]], Path], Stage]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def build(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Build]:
    """Makes stages: they share an address, a time, and an empty database to begin with."""
    time, street, wire = Time(asyncio.get_running_loop()), Street(), Transport(lambda: True)
    empty = tmp_path_factory.mktemp("matrix")
    async with serving(street) as url:

        def made(lots: Sequence[tuple[Row, str]], folder: Path) -> Stage:
            time.now = BEGINNING
            stage = Stage(lots, time, street, url, wire, folder)
            shutil.copy(empty / "bridge.db", stage.database)
            return stage

        stage = Stage([(ROWS[0], "")], time, street, url, wire, empty)
        env = Env(stage.env.config, f"sqlite:///{empty / 'bridge.db'}", ("test",), "test", SECRETS)
        async with open_bridge(env, stage.config, clock=time):
            pass
        yield made
    await wire.aclose()


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.name)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_fault_pays_once(build: Build, tmp_path: Path, cells: Cells, row: Row, block: Block) -> None:
    if row.variant and not block.of_variants:
        pytest.skip("a variant of another row, which plays all")
    if block.on == "reads" and not row.reads:
        pytest.skip("it is never read from")
    if block.on == "writes" and block.known and not row.signs_in:
        pytest.skip("nobody signs in there")
    for one in BLOCKS:
        cells.setdefault(one.name, {})  # in this order
    stage = build([(row, fault) for fault in (OF_READS if block.on == "reads" else FAULTS)], tmp_path)
    async with stage.bridge():
        if block.known:
            await stage.tell(ZOE)
            await stage.rest()
        if block.lost:
            for lot in stage.lots:
                lot.api.faults.arm("drop_after", on="writes")
                lot.api.faults.arm("drop_before", on="writes")
        else:
            arm(stage, block)
        await stage.tell_all()
        await stage.work()
        if block.lost:
            arm(stage, block)
        begin = stage.time.now
        await stage.live(begin + timedelta(minutes=20))
        await stage.tell(ANN)  # the shop tells it again, while it lasts
        await stage.live(begin + timedelta(hours=1))
        stage.check()
        for lot in stage.lots:
            lot.api.faults.lift()
        await stage.rest()
        await stage.tell(ANN)  # and again when all is over
        await stage.work()
        stage.check()
        outcomes = {lot: stage.outcome(lot) for lot in stage.lots}
        await stage.mend_all()
        for lot, outcome in outcomes.items():
            cells.setdefault(block.name, {}).setdefault(row.name, {})[lot.name] = outcome + mark(stage, lot)
        unpaid = [lot.name for lot in stage.lots if not stage.paid(lot)]
    assert "\n".join(f"{lot.name}: {said}" for lot, said in stage.faults.items()) == ""
    assert not (row.tells and unpaid), "in the end everybody has it, where the target can say who has"


def arm(stage: Stage, block: Block) -> None:
    for lot in stage.lots:
        lot.api.faults.arm(**FAULTS[lot.name], on=block.on, times=block.times)


def mark(stage: Stage, lot: Lot) -> str:
    return "!" if lot in stage.faults else "" if stage.paid(lot) else "*"


# --- held ------------------------------------------------------------------------------------------------------


async def test_who_is_held_is_asked_about_again_and_what_that_proves_is_believed(build: Build, tmp_path: Path) -> None:
    """A call's answer is lost, and for a day the target cannot be read: an operator releases it twice."""
    lots = [
        (row, fate)
        for row in ROWS
        if row.tells and not (row.keyed or row.variant)
        for fate in ("drop_before", "drop_after")
    ]
    stage = build(lots, tmp_path)
    async with stage.bridge():
        await stage.tell(ZOE)
        await stage.rest()
        for lot in stage.lots:
            lot.api.faults.arm(lot.name, on="writes")
        await stage.tell(ANN)
        await stage.work()
        for lot in stage.lots:
            lot.api.faults.arm("500_before", on="reads", times=None)
        for _ in range(2):  # when the day is over; and once more, released while it still cannot be read
            await stage.passes(stage.time.now + timedelta(hours=25))
            await stage.work()
            stage.check()
            for lot in stage.lots:
                [row] = stage.forwards(lot, "held")
                await stage.house.operate_on(operate.release, row)
        await stage.work()
        given = {lot: len(lot.awards()) for lot in stage.lots}
        asked = {lot: lot.api.asked for lot in stage.lots}
        await stage.mend_all()
        for lot in stage.lots:
            assert [row["state"] for row in stage.forwards(lot)] == ["delivered"] * 2, lot.row.name
            assert stage.paid(lot)
            first = next(one for one in lot.api.journal if one["number"] == asked[lot] + 1)
            assert first["method"] == "GET", lot.row.name
            assert len(lot.awards()) - given[lot] == (1 if lot.name == "drop_before" else 0), lot.row.name
    assert stage.faults == {}


# --- our own death ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scene:
    """What has happened before a bridge dies, and what its last hours are about."""

    name: str
    fault: str = ""  # which all first calls have met
    after: timedelta = timedelta(0)  # and how long ago that was
    steps: int = 100  # at how many requests it dies


SCENES = (
    Scene("go"),
    Scene("lost", "drop_before", timedelta(minutes=31), steps=8),
    Scene("took", "drop_after", timedelta(minutes=31), steps=8),
    Scene("wait", "", timedelta(seconds=61)),
)


async def prepare(stage: Stage, scene: Scene) -> None:
    """Up to where the last hours of a bridge begin."""
    if scene.after:
        await stage.tell(ZOE)
        await stage.rest()
        for lot in stage.lots if scene.fault else ():
            lot.api.faults.arm(scene.fault, on="writes", times=None)
    await stage.tell_all()
    if scene.after:
        await stage.work()
        for lot in stage.lots:
            lot.api.faults.lift()
        await stage.passes(stage.time.now + scene.after)
    stage.way.asked.clear()


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
async def test_a_death_between_any_two_steps_pays_once(
    build: Build, tmp_path: Path, cells: Cells, scene: Scene
) -> None:
    """Killed before and after each request of one look at what is due: what is committed then is all that is left."""
    lots = [(row, "") for row in ROWS if not row.variant and (scene.name != "wait" or TARGETS[row.provider].granted)]
    (tmp_path / "whole").mkdir()
    stage = build(lots, tmp_path / "whole")
    async with stage.bridge():
        await prepare(stage, scene)
        await stage.work()
        requests = Counter({lot: stage.way.asked[lot.table] for lot in stage.lots})
    faults = []
    for number in range(min(scene.steps, max(requests.values()))):
        for after in (False, True):
            folder = tmp_path / f"{number}{after}"
            folder.mkdir()
            stage = build(lots, folder)
            async with stage.bridge():
                await prepare(stage, scene)
                stage.way.end = (number, after)
                dying = [lot for lot, seen in zip(stage.lots, requests.values(), strict=True) if seen > number]
                await stage.die(dying)
                points = {
                    lot: f"{scene.name} {point(stage, lot, after)}" for lot in dying if lot.table in stage.way.stopped
                }
            async with stage.bridge():
                await stage.tell(ANN)
                await stage.rest()
                stage.check()
                outcomes = {lot: stage.outcome(lot) for lot in points}
                await stage.mend_all()
                for lot, name in points.items():
                    row = cells.setdefault("death", {}).setdefault(lot.row.name, {})
                    told = outcomes[lot].partition("/")[0] + mark(stage, lot)
                    row[name] = " ".join(dict.fromkeys([*row.get(name, "").split(), told]))
                faults += [f"{lot.row.name}, {points.get(lot)}: {said}" for lot, said in stage.faults.items()]
                unpaid = [lot for lot in stage.lots if lot.row.tells and not stage.paid(lot)]
                faults += [f"{lot.row.name}, {points.get(lot)}: not everybody has it" for lot in unpaid]
    assert "\n".join(faults) == ""


def point(stage: Stage, lot: Lot, after: bool) -> str:
    """Where it died: before or after asking the target something, before or after giving."""
    request = stage.way.stopped[lot.table]
    step = "give" if lot.row.gives(request.method, request.url.path) else "ask"
    return f"{step}>" if after else f"<{step}"
