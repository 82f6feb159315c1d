"""Where the fault matrix is played: one bridge, many stand-ins behind a real socket, one time for all of them."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from bridge.app import open_bridge, read_config
from bridge.env import Env
from bridge.flows import operate
from bridge.sandbox.standin import StandIn
from bridge.store.rows import when
from bridge.web import build
from tests.conftest import Clock, House, Vendor
from tests.faults.rows import ANN, BEN, HEAD, SECRETS, SLOW, TIMEOUT, ZOE, Person, Row, World

BEGINNING = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
#: After so long nothing moves by itself any more: the schedule is over in three days, a doubt in one.
AT_REST = timedelta(days=8)
SLOWLY = ("slow", "slow_before")

#: What no operator should have to read: stack traces, names of exceptions, pages, what only we can mend.
UNREADABLE = re.compile(r"Traceback|File \"|\n|<html|<!doctype|\bbug\b|\b\w+(?<!\bAn)(Error|Exception)\b")

RULE = """
[[rule]]
id = "order"
when = "shop.order_paid"
limit = "per subject"
"""


class Time(Clock):
    """The bridge's clock, the stand-ins', and that of the loop's timers: when hours pass, they pass for all three."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(BEGINNING)
        self.ahead, real = 0.0, loop.time
        loop.time = lambda: real() + self.ahead  # type: ignore[method-assign]

    def to(self, moment: datetime) -> None:
        self.ahead += max(0.0, (moment - self.now).total_seconds()) + 0.001
        self.now = moment


@dataclass(slots=True, eq=False)
class Lot:
    """One cell of the matrix: a target with a stand-in of its own."""

    row: Row
    name: str  # the column
    table: str  # what bridge.toml calls it
    world: World

    @property
    def api(self) -> StandIn:
        return self.world.api

    def awards(self) -> list[dict[str, Any]]:
        return [one for one in self.api.journal if self.row.gives(one["method"], one["path"])]


class Street:
    """One address for all stand-ins; the path begins with whose it is."""

    def __init__(self) -> None:
        self.lots: dict[str, Lot] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        _, name, path = scope["path"].split("/", 2)
        await self.lots[name].api({**scope, "path": f"/{path}", "raw_path": b"/" + path.encode()}, receive, send)


class Way(httpx2.AsyncBaseTransport):
    """A bridge's way out. With `end`, nobody comes further than to that request, counted for each target."""

    def __init__(self, wire: httpx2.AsyncBaseTransport) -> None:
        self.wire = wire
        self.out: Counter[str] = Counter()  # requests without an answer
        self.asked: Counter[str] = Counter()
        self.end: tuple[int, bool] | None = None  # which request, and whether after it took effect
        self.stopped: dict[str, httpx2.Request] = {}  # who has come to it
        self.dead = False

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        table = request.url.path.split("/")[1]
        number = self.asked[table]
        self.asked[table] += 1
        if self.dead or (self.end and (number, False) >= self.end):
            await self._stop(table, request)
        self.out[table] += 1
        try:
            answer = await self.wire.handle_async_request(request)
        finally:
            self.out[table] -= 1
        if self.dead or self.end == (number, True):
            await answer.aread()
            await answer.aclose()
            await self._stop(table, request)
        return answer

    async def _stop(self, table: str, request: httpx2.Request) -> None:
        self.stopped.setdefault(table, request)
        await asyncio.Event().wait()  # from here on nobody goes on

    async def aclose(self) -> None:
        """The wire is everybody's."""


class Stage:
    """Some targets, one database, and one bridge after the other."""

    def __init__(
        self,
        lots: Sequence[tuple[Row, str]],
        time: Time,
        street: Street,
        url: str,
        wire: httpx2.AsyncBaseTransport,
        folder: Path,
        more: str = "",  # keys of every target's table
    ) -> None:
        self.time, self.wire, self.folder = time, wire, folder
        alone = len({row.name for row, _ in lots}) == 1
        self.people = (ANN, BEN, *(lots[0][0].others if alone else ()), ZOE)
        self.lots = [
            Lot(row, name, f"t{number}", row.world(time, self.people)) for number, (row, name) in enumerate(lots)
        ]
        street.lots = {lot.table: lot for lot in self.lots}
        self.told: Counter[Person] = Counter()
        self.silent: list[Lot] = []  # who may be slow
        self.faults: dict[Lot, str] = {}  # what does not hold, by cell
        self.files = 0
        self.house: House
        self.way: Way
        self._seen: sqlite3.Connection | None = None
        tables = [lot.row.toml_of(lot.table, f"{url}/{lot.table}") + more for lot in self.lots]
        sends = [f'[[rule.send]]\nto = "{lot.table}"\n{lot.row.send}\n' for lot in self.lots]
        toml = folder / "bridge.toml"
        toml.write_text(HEAD + "".join(tables) + RULE + "".join(sends))
        self.env = Env(toml, "", ("test",), "test", SECRETS)
        self.config = read_config(self.env)

    @property
    def database(self) -> Path:
        return self.folder / f"bridge{self.files}.db"

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[None]:
        """A bridge over what the last one left."""
        env = Env(self.env.config, f"sqlite:///{self.database}", self.env.secret_keys, self.env.actor, SECRETS)
        self.way = Way(self.wire)
        async with (
            open_bridge(env, self.config, clock=self.time, http=self.way) as bridge,
            httpx2.AsyncClient(transport=httpx2.ASGITransport(build(bridge)), base_url="https://x.test") as client,
        ):
            self.house = House(bridge, self.time, Vendor(), client)
            with closing(sqlite3.connect(self.database)) as self._seen:
                self._seen.row_factory = sqlite3.Row
                yield

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """What is committed."""
        assert self._seen is not None
        return [dict(row) for row in self._seen.execute(sql, values)]

    # --- what happens ----------------------------------------------------------------------------------------------

    async def tell(self, who: Person, number: int = 1) -> None:
        """The shop tells of somebody's order, as a platform does: each time under another name."""
        customer = {"id": who.number, "email": who.email, "verified_email": True}
        answer = await self.house.order(who.number * 100 + number, customer=customer)
        assert answer.status_code == 200, answer.text
        self.told[who] = max(self.told[who], number)

    async def tell_all(self) -> None:
        """Everybody has ordered, and Ben twice."""
        for one in self.people:
            if one != ZOE:
                await self.tell(one)
        await self.tell(BEN, 2)

    async def live(self, until: datetime) -> None:
        """Let time go by and the bridge work."""
        while True:
            await self.work()
            moment = self.next_moment()
            if moment is None or moment > until:
                break
            await self.passes(moment)
        await self.passes(until)

    async def rest(self) -> None:
        """Let time go by until nothing moves by itself any more."""
        patience = self.time.now + AT_REST
        while True:
            await self.work()
            moment = self.next_moment()
            if moment is None:
                return
            assert moment < patience, "it never comes to rest"
            await self.passes(moment)

    async def work(self) -> None:
        """Let the bridge do all that is due now; where it waits for silent targets, until it has waited enough."""
        working = asyncio.ensure_future(self.house.work())
        silent = [lot for lot in self.lots if any(fault.kind in SLOWLY for fault in lot.api.faults)]
        self.silent = list(dict.fromkeys([*self.silent, *silent]))
        while not working.done():
            await asyncio.wait({working}, timeout=0.002 if silent else None)
            if silent and not working.done() and 0 < self.way.out.total() <= self._waited_for():
                await self.passes(self.time.now + timedelta(seconds=TIMEOUT + 0.5))
        await working
        for lot in self.lots:
            for one, number in self.told.items():
                if (got := lot.world.got(one)) > lot.row.owed(number):
                    self.faults.setdefault(lot, f"customer {one.id} has got {got:g} for {number}")

    async def die(self, expected: Sequence[Lot]) -> None:
        """Work until these have come to their end, and be gone: the next bridge finds what is committed then."""
        worker, tables = self.house.bridge.worker, {lot.table for lot in expected}
        working = asyncio.ensure_future(worker.run())
        seen, still = self.way.asked.total(), 0
        while (self.way.out.total() or not tables <= self.way.stopped.keys()) and still < 100:
            await asyncio.wait({working}, timeout=0.002)
            assert not working.done()
            # Those who go together need not come in the same order each time: then somebody never gets there.
            still = still + 1 if seen == self.way.asked.total() else 0
            seen = self.way.asked.total()
        self.way.dead = True
        before, self.files = self.database, self.files + 1
        with closing(sqlite3.connect(before)) as left, closing(sqlite3.connect(self.database)) as found:
            left.backup(found)
        # Whatever this one still writes goes into a file that nobody will read.
        tasks = [working, *worker._running]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await worker.teller.close()

    def _waited_for(self) -> int:
        """How many requests the stand-ins let wait, of those that somebody still waits for."""
        since = self.time.now - timedelta(seconds=TIMEOUT)
        return sum(1 for at in self._waiting() if at > since)

    def _waiting(self) -> list[datetime]:
        found = []
        for lot in self.silent:
            lately = list(lot.api.journal)[-20:]
            waiting = [one for one in lately if one["fault"] in SLOWLY and one["status"] is None]
            found += [datetime.fromisoformat(one["at"]) for one in waiting]
        return found

    async def passes(self, moment: datetime) -> None:
        """Let time go by to a moment; what stand-ins were slow about happens on the way."""
        while True:
            ends = [at + timedelta(seconds=SLOW) for at in self._waiting()]
            stop = min([moment, *(end for end in ends if end > self.time.now)])
            self.time.to(stop)
            for _ in range(2000):
                await asyncio.sleep(0)
                if all(at + timedelta(seconds=SLOW) > stop for at in self._waiting()):
                    break
            else:
                raise AssertionError("a stand-in is slower than it was told to be")
            for _ in range(5):
                await asyncio.sleep(0)  # connections that have been idle for long close
            if stop == moment:
                return

    def next_moment(self) -> datetime | None:
        """When there is something to do; None: never, by itself."""
        found = []
        for row in self.rows(
            "SELECT target, min(due_at) AS due FROM forwards WHERE due_at IS NOT NULL AND target NOT IN "
            "(SELECT name FROM targets WHERE paused_at IS NOT NULL) GROUP BY target"
        ):
            gate = self.house.bridge.worker.gates[row["target"]]
            moment = max([when(row["due"]), *(at for at in (gate.breaker.probe_at, gate.not_before) if at)])
            assert moment > self.time.now, f"it is due and is not carried: {row}"
            found.append(moment)
        return min(found, default=None)

    # --- what must hold --------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Look at every cell."""
        for lot in self.lots:
            with self._noting(lot):
                self.honest(lot)

    @contextmanager
    def _noting(self, lot: Lot) -> Iterator[None]:
        try:
            yield
        except AssertionError as error:
            self.faults.setdefault(lot, str(error).partition("\nassert")[0])

    def honest(self, lot: Lot) -> None:
        """What the bridge says is true; whatever is not delivered says why; nothing waits for nothing."""
        forwards = self.forwards(lot)
        attempts = self.rows(
            "SELECT attempts.* FROM attempts JOIN forwards ON forwards.id = forward WHERE target = :name",
            name=lot.table,
        )
        paused = self.paused(lot)
        alive = {row["id"] for row in forwards if row["state"] in ("pending", "accepted", "held")}
        holding = [one for one in attempts if one["forward"] in alive]
        held = {one["lane"] for one in holding if one["resolved_at"] is None}
        held |= {one["seat"] for one in holding if one["ended_at"] is None}
        doubts = {one["forward"] for one in attempts if one["sent_at"] is not None and one["resolution"] == ""}
        for who in self.people:
            mine = [row for row in forwards if whose(row) == who.id]
            assert len(mine) == self.told[who], f"customer {who.id} is owed {len(mine)}, for {self.told[who]}"
            delivered = sum(1 for row in mine if row["state"] == "delivered")
            doubtful = sum(1 for row in mine if row["state"] != "delivered" and row["id"] in doubts)
            got = lot.world.got(who)
            assert delivered <= got <= delivered + doubtful, (
                f"customer {who.id} has got {got}: {[(row['state'], row['reason']) for row in mine]}"
            )
        for row in forwards:
            if row["state"] == "delivered" or row["parked"] in held:
                continue  # of one that is parked, every list says behind which one it waits
            assert row["state"] not in ("pending", "accepted") or row["due_at"] is not None, f"waits for nothing: {row}"
            assert paused or understood(row["reason"]), f"{row['state']}: {row['reason']!r}"
        assert not paused or understood(paused), f"paused: {paused!r}"
        for one in attempts:
            assert not one["note"] or understood(one["note"]), f"noted: {one['note']!r}"

    def forwards(self, lot: Lot, state: str = "") -> list[dict[str, Any]]:
        where = "AND state = :state" if state else ""
        return self.rows(
            f"SELECT * FROM forwards WHERE target = :name {where} ORDER BY id", name=lot.table, state=state
        )

    def paused(self, lot: Lot) -> str:
        """Why the target is paused; empty where it is not."""
        found = self.rows("SELECT reason FROM targets WHERE name = :name AND paused_at IS NOT NULL", name=lot.table)
        return found[0]["reason"] or "\n" if found else ""

    def outcome(self, lot: Lot) -> str:
        """How it stands in a few letters, and how many calls that took."""
        states = Counter(row["state"] for row in self.forwards(lot))
        letters = "".join(f"{states[one]}{one[0]}" for one in ("delivered", "held", "failed") if states[one])
        return f"{letters}{'p' if self.paused(lot) else ''}/{lot.api.asked}"

    def paid(self, lot: Lot) -> bool:
        """Whether everybody has what they should have."""
        return all(lot.world.got(one) == lot.row.owed(self.told[one]) for one in self.people)

    # --- a person comes --------------------------------------------------------------------------------------------

    async def mend_all(self) -> None:
        """Targets are repaired, and an operator does what there is to do."""
        for lot in self.lots:
            lot.api.faults.lift()
        for lot in self.lots:
            with self._noting(lot):
                await self.mend(lot)

    async def mend(self, lot: Lot) -> None:
        if self.paused(lot):
            scene = self.house.bridge.scene("operator:test")
            await self.house.bridge.db.transact(lambda tx: operate.resume(tx, lot.table, scene, "mended"))
            await self.rest()
            self.honest(lot)
            assert not self.paused(lot), f"paused again: {self.paused(lot)}"
        for row in self.forwards(lot, "held"):
            await self.release(lot, row)
        for row in self.forwards(lot, "failed"):
            if lot.world.got(self._who(row)) < lot.row.owed(self.told[self._who(row)]):
                await self.house.operate_on(operate.replay_forward, row)
                await self.rest()
        self.honest(lot)
        left = {row["state"] for row in self.forwards(lot)} - {"delivered", "failed", "cancelled"}
        assert not left, f"in the end some are {left}"

    async def release(self, lot: Lot, row: Any) -> None:
        """The target is asked again before anything is sent; where it still cannot tell, a person decides."""
        asked, got = lot.api.asked, lot.world.got(self._who(row))
        await self.house.operate_on(operate.release, row)
        await self.rest()
        since = [one for one in lot.api.journal if one["number"] > asked]
        if self.config.targets[lot.table].provider.reconcile is not None and lot.row.tells:
            assert since, "it was released, and the target was not asked"
        for one in since[:1]:
            assert not lot.row.gives(one["method"], one["path"]), "it was sent again before the target was asked"
        self.honest(lot)
        [now] = [one for one in self.forwards(lot) if one["id"] == row["id"]]
        assert now["state"] not in ("pending", "accepted"), now["reason"]
        if now["state"] == "held":
            mine = [one for one in self.forwards(lot, "delivered") if whose(one) == whose(row)]
            verb = operate.confirm if got > len(mine) else operate.cancel
            await self.house.operate_on(verb, now)
            await self.rest()
            self.honest(lot)

    def _who(self, row: Any) -> Person:
        return next(one for one in self.people if one.id == whose(row))


def whose(row: Any) -> str:
    return str(json.loads(row["customer"])["id"])


def understood(text: str) -> bool:
    """Whether an operator may be shown this, and learns something from it."""
    return bool(text.strip()) and not UNREADABLE.search(text) and not any(one in text for one in SECRETS.values())
