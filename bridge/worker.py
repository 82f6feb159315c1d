"""The loop: lease, run, settle. Woken by the commit, not polling; stops when told to, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from bridge.config import Config, TargetTable
from bridge.flows import watch
from bridge.flows.lease import LONGEST_GATHER, Leased, take
from bridge.flows.rounds import Rounds
from bridge.flows.scene import Scene
from bridge.flows.settle import Settled, settle
from bridge.flows.tell import Teller
from bridge.kit import ForwardState
from bridge.kit.errors import StoreError
from bridge.store import Store, Tx, forwards, targets
from bridge.store.rows import ms, when

log = structlog.get_logger("worker")

#: Calls in flight at one target. Fewer where a lost answer leaves doubt: so many are in doubt when it goes down.
SLOTS, SLOTS_IN_DOUBT = 32, 8
#: How long a breaker stays open before one call is tried, after the first failure, the second, ...
PROBES = (5, 10, 20, 40, 80, 160, 320, 600)
#: How long a stopping worker waits for calls that have left.
GRACE = timedelta(seconds=25)


@dataclass(slots=True)
class Breaker:
    """A circuit breaker: trouble at the target opens it, and then one call at a time finds out whether it is over."""

    failures: int = 0
    probe_at: datetime | None = None  # None: closed

    def allows(self, now: datetime, in_flight: int, slots: int) -> int:
        """How many more calls may leave now."""
        if self.probe_at is None:
            return slots - in_flight
        return 1 if now >= self.probe_at and in_flight == 0 else 0

    def learn(self, trouble: bool, now: datetime) -> bool:
        """Take in how a call ended. True when the breaker's state has changed."""
        if not trouble:
            changed = self.probe_at is not None
            self.failures, self.probe_at = 0, None
            return changed
        if self.probe_at is not None and now < self.probe_at:
            return False  # it left before the breaker opened
        self.failures += 1
        self.probe_at = now + timedelta(seconds=PROBES[min(self.failures, len(PROBES)) - 1])
        return True

    @property
    def state(self) -> str:
        return "closed" if self.probe_at is None else "open"


@dataclass(slots=True)
class Rate:
    """A token bucket: so many calls a second, and no more than a second's worth at once."""

    per_second: float
    tokens: float = -1.0
    at: datetime | None = None

    def __post_init__(self) -> None:
        self.tokens = max(1.0, self.per_second)

    def take(self, now: datetime, most: int) -> int:
        """How many of `most` calls may leave now."""
        if self.at is not None:
            gained = max(0.0, (now - self.at).total_seconds()) * self.per_second
            self.tokens = min(max(1.0, self.per_second), self.tokens + gained)
        self.at = now
        granted = min(most, int(self.tokens))
        self.tokens -= granted
        return granted

    def give_back(self, count: int) -> None:
        self.tokens += count

    def next(self, now: datetime) -> datetime:
        """When the next call may leave."""
        return now + timedelta(seconds=max(0.0, 1.0 - self.tokens) / self.per_second)


@dataclass(slots=True)
class Gate:
    """One target as the worker sees it: its rate, its breaker, what is in flight and when it has something to do."""

    table: TargetTable
    rate: Rate
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    due: datetime | None = None  # when something is due as far as we know; None: nothing is
    stirred: bool = False  # whether something has become due since it was asked for more
    not_before: datetime | None = None  # the target said Retry-After
    paused: bool = False

    @property
    def batches(self) -> bool:
        """Whether a call takes many forwards: then what bounds it is reading baselines, which has a pace of its own."""
        return self.table.provider.send_many is not None

    @property
    def slots(self) -> int:
        if self.batches:
            read_in_time = int(self.table.per_second * LONGEST_GATHER.total_seconds())
            return max(1, min(self.table.provider.most_at_once, read_in_time))
        return SLOTS if self.table.provider.repeat_safe_for else SLOTS_IN_DOUBT


@dataclass(frozen=True, slots=True)
class Ask:
    """A request to lease."""

    table: TargetTable
    scene: Scene
    limit: int


@dataclass(frozen=True, slots=True)
class Got:
    """What a lease brought."""

    leased: list[Leased]
    paused: bool
    next_due: datetime | None


async def lease(tx: Tx, asks: list[Ask]) -> list[Got]:
    """The group that leases: one transaction for all targets, together with whatever else is being written."""
    standing = await targets.all(tx)
    found = []
    for ask in asks:
        row = standing.get(ask.table.name)
        if row is not None and row["paused_at"] is not None:
            found.append(Got([], True, None))
            continue
        leased = await take(tx, ask.table, ask.scene, ask.limit)
        due = await forwards.next_due(tx, target=ask.table.name)
        found.append(Got(leased, False, when(due) if due is not None else None))
    return found


class Worker:
    """Carries forwards to their targets until it is told to stop."""

    def __init__(
        self,
        db: Store,
        teller: Teller,
        scene: Callable[[], Scene],
        clock: Callable[[], datetime],
        chores: watch.Chores,
        rounds: Rounds | None = None,
        seen: Callable[[Leased, Settled, ForwardState | None], None] | None = None,
        busy: Callable[[], bool] | None = None,
    ) -> None:
        self.db, self.teller, self.scene, self.clock, self.chores = db, teller, scene, clock, chores
        self.rounds, self.seen, self.busy = rounds, seen, busy
        self.gates: dict[str, Gate] = {}
        teller.more = self.more
        self._woken = asyncio.Event()
        self._stopping = False
        self._running: set[asyncio.Task[None]] = set()

    def wake(self, target: str | None = None) -> None:
        """Something is due: at this target, or perhaps anywhere. A pause is noticed by looking anywhere."""
        now = self.clock()
        for name, gate in self.gates.items():
            if target is None or (target == name and not gate.paused):
                gate.due, gate.stirred = now, True
        self._woken.set()

    async def catch_up(self) -> int:
        """Carry everything that is due now, and whatever becomes due by that; how many attempts that took."""
        self._reload(self.scene().config)
        carried = 0
        while True:
            self.wake()
            self._woken.clear()
            before = set(self._running)
            wait = await self._round()
            carried += len(self._running - before)
            if wait <= 0 or self._woken.is_set():
                continue  # what was leased left room, or something has ended meanwhile
            if all(one.done() for one in self._running):
                return carried
            await self._woken.wait()

    def stop(self) -> None:
        """Lease nothing more; `run` returns when what is in flight has ended."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop`."""
        self._reload(self.scene().config)
        house = [self._keep_house(), *([self.rounds.run(self.scene, self.wake)] if self.rounds else [])]
        chores = asyncio.gather(*house)
        try:
            while not self._stopping:
                self._woken.clear()
                self._reload(self.scene().config)
                try:
                    wait = await self._round()
                except Exception:  # the loop is the last to stop: without it nothing leaves, and nobody notices
                    log.exception("a round of the worker")
                    wait = 1.0
                if not self._stopping:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(wait):
                            await self._woken.wait()
        finally:
            chores.cancel()
            await self._drain()
            with suppress(asyncio.CancelledError):
                await chores

    def _reload(self, config: Config) -> None:
        for name, table in config.targets.items():
            gate = self.gates.get(name)
            if gate is None:
                self.gates[name] = Gate(table, Rate(table.per_second), due=self.clock())
            elif gate.table is not table:
                gate.table, gate.rate.per_second, gate.due = table, table.per_second, self.clock()
        for name in set(self.gates) - set(config.targets):
            del self.gates[name]

    async def _round(self) -> float:
        """Lease what may leave now at every target; how many seconds until there can be more."""
        now, asked = self.clock(), []
        for gate in self.gates.values():
            room = self._room(gate, now)
            if room > 0:
                asked.append((gate, room))
                gate.stirred = False
        if asked:
            scene = self.scene()
            asking = (self.db.join(lease, Ask(gate.table, scene, room)) for gate, room in asked)
            found = await asyncio.gather(*asking, return_exceptions=True)
            for (gate, room), got in zip(asked, found, strict=True):
                if isinstance(got, BaseException):  # what the others have leased must not wait for its lease to end
                    log.error("nothing could be leased", target=gate.table.name, error=f"{type(got).__name__}: {got}")
                    if not gate.batches:
                        gate.rate.give_back(room)
                    gate.due = self.clock() + timedelta(seconds=1)
                else:
                    self._start(gate, room, got, scene)
        now = self.clock()
        waits = [self._wait(gate, now) for gate in self.gates.values()]
        return max(0.0, min([5.0, *waits]))

    def _room(self, gate: Gate, now: datetime) -> int:
        if gate.due is None or gate.due > now or (gate.not_before and gate.not_before > now):
            return 0
        allowed = max(0, gate.breaker.allows(now, gate.in_flight, self._slots(gate)))
        return allowed if gate.batches else gate.rate.take(now, allowed)

    def more(self, target: str) -> bool:
        """Whether this target has more that is due and can be leased in the next round."""
        gate = self.gates.get(target)
        if gate is None or gate.paused or self._stopping:
            return False
        return gate.batches and self._room(gate, self.clock()) > 0

    def _slots(self, gate: Gate) -> int:
        busy = self.busy is not None and self.busy()
        return max(2, gate.slots // 8) if busy else gate.slots

    def _wait(self, gate: Gate, now: datetime) -> float:
        if gate.due is None:
            return 5.0
        moments = [gate.due]
        if gate.not_before:
            moments.append(gate.not_before)
        if gate.breaker.probe_at:
            moments.append(gate.breaker.probe_at)
        slots = self._slots(gate)
        if gate.in_flight and gate.breaker.allows(now, gate.in_flight, slots) <= 0:
            return 5.0 if slots == gate.slots else 0.25  # whatever ends wakes us
        if gate.rate.tokens < 1 and not gate.batches:
            moments.append(gate.rate.next(now))
        return (max(moments) - now).total_seconds()

    def _start(self, gate: Gate, room: int, got: Got, scene: Scene) -> None:
        gate.paused = got.paused
        # What is due next was read where it was leased; what another of that commit made due, it did not see.
        gate.due = self.clock() if gate.stirred else got.next_due
        if not gate.batches:
            gate.rate.give_back(room - len(got.leased))
        for leased in got.leased:
            gate.in_flight += 1
            task = asyncio.create_task(self._carry(gate, leased, scene))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _carry(self, gate: Gate, leased: Leased, scene: Scene) -> None:
        try:
            settled = await self.teller.run(leased, scene)
            state = await self.db.join(settle, settled)
        except StoreError as error:
            # Nothing is lost: the attempt stays open, and comes due again when its lease runs out.
            log.error("an attempt could not be settled", forward=leased.forward.id, error=error.message)
        except Exception:
            log.exception("an attempt ended unexpectedly", forward=leased.forward.id)
        else:
            await self._learn(gate, settled)
            if self.seen is not None:
                self.seen(leased, settled, state)
            log.info(
                "attempt",
                forward=leased.forward.id,
                target=gate.table.name,
                number=settled.number,
                verdict=settled.outcome.verdict.value,
                state=state.value if state else "lost",
                status=settled.status,  # not the note: it can quote the target, and the target the customer
            )
        finally:
            gate.in_flight -= 1
            gate.due, gate.stirred = self.clock(), True  # whatever was parked behind it may go
            self._woken.set()

    async def _learn(self, gate: Gate, settled: Settled) -> None:
        now = self.clock()
        if settled.step.pause:
            gate.paused = True
        if settled.status in (429, 503) and settled.outcome.retry_after:
            gate.not_before = now + settled.outcome.retry_after
        if settled.trouble is None or not gate.breaker.learn(settled.trouble, now):
            return
        breaker = gate.breaker
        log.warning("breaker", target=gate.table.name, state=breaker.state, failures=breaker.failures)
        reason = settled.outcome.note if breaker.state == "open" else ""
        with suppress(StoreError):
            await self.db.transact(
                lambda tx: targets.breaker(
                    tx,
                    name=gate.table.name,
                    state=breaker.state,
                    failures=breaker.failures,
                    probe_at=ms(breaker.probe_at) if breaker.probe_at else None,
                    reason=reason[:500],
                    now=ms(now),
                )
            )

    async def _keep_house(self) -> None:
        """Everything that is not a call: other processes' writes, seals, sweeps, alerts, the heartbeat."""
        changes = -1
        tick = 0
        while True:
            await asyncio.sleep(1)
            tick += 1
            try:
                now_changes = await self.db.changes()
                if now_changes != changes:
                    changes = now_changes
                    self.wake()  # the command line has written something
                if await self.chores.each_second(self.scene()):
                    self.wake()
                if tick % 10 == 0:
                    await self.chores.each_ten_seconds(self.scene(), self.breakers())
                    self.wake()  # whatever nobody thought of is found now at the latest
                if tick % 60 == 0:
                    await self.chores.each_minute(self.scene())
            except StoreError as error:
                log.error("housekeeping", error=error.message)
            except Exception:
                log.exception("housekeeping")

    def breakers(self) -> Mapping[str, Breaker]:
        """How the breakers stand, by target."""
        return {name: gate.breaker for name, gate in self.gates.items()}

    async def _drain(self) -> None:
        """Let what has left come back, within the grace; what has not ended then is read off the store next time."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=GRACE.total_seconds())
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
        await self.teller.close()
