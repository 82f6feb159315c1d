"""The composition root: environment and configuration in, a running bridge out. The only place that knows providers."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import httpx2
import structlog

import providers
from bridge import config as configuration
from bridge import store
from bridge.config import Config, doors
from bridge.env import Env
from bridge.flows import codes, operate
from bridge.flows.desk import Desk
from bridge.flows.ingest import Arrival, Remembered, remember
from bridge.flows.lease import Leased
from bridge.flows.line import Line
from bridge.flows.rounds import Rounds
from bridge.flows.scene import Scene
from bridge.flows.settle import Settled
from bridge.flows.tell import Teller
from bridge.flows.watch import Chores, Ledger
from bridge.kit import BridgeError, ConfigError, ForwardState, Source, Target
from bridge.store import Store, Tx, forwards, grants
from bridge.store.rows import ms
from bridge.talk import Talker, Transport
from bridge.vault import Vault
from bridge.worker import Worker

log = structlog.get_logger("app")

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The providers there are: those we ship and those a plugin brings."""

    sources: Mapping[str, Source]
    targets: Mapping[str, Target]


def catalogue(plugins: tuple[str, ...] = ()) -> Catalogue:
    """Every provider, by name. A plugin that cannot be imported: `ConfigError`."""
    sources, targets = dict(providers.SOURCES), dict(providers.TARGETS)
    for name in plugins:
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise ConfigError([f"the plugin {name} cannot be imported: {error}"]) from None
        found = False
        if isinstance(source := getattr(module, "source", None), Source):
            sources[source.name], found = source, True
        if isinstance(target := getattr(module, "target", None), Target):
            targets[target.name], found = target, True
        if not found:
            raise ConfigError([f"the plugin {name} has neither a `source` nor a `target` made with bridge.kit"])
    return Catalogue(sources, targets)


def read_config(env: Env) -> Config:
    """bridge.toml, understood. Anything wrong: `ConfigError` with every fault."""
    found = catalogue(configuration.plugins(env.config))
    return configuration.load(env.config, env.variables, found.sources, found.targets)


class Ids:
    """Names for new things: a prefix, the milliseconds since 1970 and a number, in hex; they sort by time."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, prefix: str) -> str:
        now = time.time_ns() // 1_000_000 << 48
        # Within a millisecond they count on from a random start, so that two processes do not meet.
        self._last = self._last + 1 if now <= self._last else now | int.from_bytes(os.urandom(5))
        return f"{prefix}_{self._last:024x}"


Clock: TypeAlias = Callable[[], datetime]


def clock() -> datetime:
    """Now."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Bridge:
    """Everything a door needs. `config` is replaced whole when bridge.toml is read again."""

    env: Env
    config: Config
    db: Store
    talker: Talker
    worker: Worker
    ledger: Ledger
    chores: Chores
    vault: Vault
    ids: Ids
    clock: Clock
    settled: dict[tuple[str, str], int] = field(default_factory=dict)
    stored: dict[tuple[str, str], int] = field(default_factory=dict)
    _arrivals: float = 0.0
    _hearing: set[asyncio.Task[None]] = field(default_factory=set)

    def scene(self, actor: str = "bridge") -> Scene:
        """Now, under the configuration in force."""
        return Scene(self.config, self.clock(), self.ids, actor)

    async def take_in(self, arrival: Arrival) -> Remembered:
        """Have an arrival written with everything that follows from it; returns once that is on disk."""
        self._arrivals = time.monotonic()
        found: Remembered = await self.db.join(remember, arrival)
        source = arrival.delivery.source
        self.ledger.heard[source] = ms(arrival.delivery.received_at)
        key = (source, found.status)
        self.stored[key] = self.stored.get(key, 0) + 1
        for target in found.targets:
            self.worker.wake(target)
        table = self.config.sources.get(source)
        if found.status != "duplicate" and table is not None and table.provider.codes is not None:
            # Who wrote must be asked at the platform, and its delivery must not wait for that.
            task = asyncio.create_task(codes.hear(self.desk, arrival.delivery, table, self.scene(f"source:{source}")))
            self._hearing.add(task)
            task.add_done_callback(self._hearing.discard)
        return found

    async def heard(self) -> None:
        """Until what was written to the brand has been heard."""
        while self._hearing:
            await asyncio.wait(set(self._hearing))

    @property
    def desk(self) -> Desk:
        """Where customers are served."""
        return Desk(self.db, self.talker, self.vault, self.clock)

    def busy(self) -> bool:
        """Whether webhooks are coming in so fast that calls should make room for them."""
        return self.db.queued > 4

    def seen(self, leased: Leased, settled: Settled, state: ForwardState | None) -> None:
        key = (leased.forward.target, settled.outcome.verdict.value)
        self.settled[key] = self.settled.get(key, 0) + 1

    async def reload(self) -> list[str]:
        """Read bridge.toml again. Refused: the old one stays in force, and the faults are returned."""
        try:
            config = read_config(self.env)
            await check_ledger(self.db, config)
        except ConfigError as error:
            for fault in error.faults:
                log.error("bridge.toml was refused; the old one stays in force", fault=fault)
            return list(error.faults)
        except BridgeError as error:  # the ledger could not be asked
            log.error("bridge.toml was refused; the old one stays in force", fault=error.message)
            return [error.message]
        self.config = config
        log.info("bridge.toml was read again", rules=len(config.rules))
        self.worker.wake()
        return []


async def check_ledger(db: Store, config: Config) -> None:
    """Refuse a configuration that has lost a rule, a rule's send or a source that has paid: `ConfigError`."""

    async def known(tx: Tx) -> tuple[list[str], list[str], dict[str, list[str]]]:
        rules = [str(row["rule"]) for row in await forwards.ledger(tx)]
        sources = [str(row["source"]) for row in await forwards.ledger_sources(tx)]
        sends = {
            rule.ledger: [str(row["send"]) for row in await forwards.ledger_sends(tx, rule=rule.ledger)]
            for rule in config.rules
        }
        return rules, sources, sends

    if faults := operate.vanished(config, *await db.read(known)):
        raise ConfigError(faults)


async def unsigned(db: Store | None, config: Config) -> list[str]:
    """Why rules that wait could not be asked about in the end: no brand has signed in, by the file or by `setup`."""
    wanting = doors.unsigned(config)
    signed = await db.read(grants.signed_in) if wanting and db is not None else set()
    return [
        f"{config.path}: {rule.id} waits, and then {config.sources[name].provider.title} is asked with the brand's "
        f"token, of which there is none: loyalty-bridge setup {name}, or {setting} in [source.{name}]"
        for rule, name, setting in wanting
        if config.sources[name].ledger not in signed
    ]


async def open_database(env: Env) -> Store:
    """The store that the environment names, with its schema up to date."""
    db = await store.open_store(env.database_url)
    try:
        await store.migrate(db, ms(clock()))
    except BaseException:
        await db.close()
        raise
    return db


@asynccontextmanager
async def open_bridge(
    env: Env, config: Config | None = None, *, clock: Clock = clock, http: httpx2.AsyncBaseTransport | None = None
) -> AsyncIterator[Bridge]:
    """A bridge with its store open and its worker ready, not running. Wrong configuration: `ConfigError`."""
    config = config or read_config(env)
    db = await open_database(env)
    ids, ledger = Ids(), Ledger()
    found: list[Bridge] = []
    http = http or Transport(lambda: found[0].config.allow_private_networks)
    try:
        await check_ledger(db, config)
        talker = Talker(http, clock, f"LoyaltyBridge/{VERSION}")
        vault = Vault(env.secret_keys)
        chores = Chores(db, talker, ledger, clock)
        worker = Worker(
            db,
            Teller(Line(db, talker, vault, clock)),
            lambda: found[0].scene("worker"),
            clock,
            chores,
            rounds=Rounds(Desk(db, talker, vault, clock)),
            seen=lambda *seen: found[0].seen(*seen),
            busy=lambda: found[0].busy(),
        )
        bridge = Bridge(env, config, db, talker, worker, ledger, chores, vault, ids, clock)
        found.append(bridge)
        yield bridge
        await bridge.heard()
        await chores.flush()
    finally:
        await http.aclose()
        await db.close()


@asynccontextmanager
async def working(bridge: Bridge, *, leases: bool = True) -> AsyncIterator[None]:
    """Run the bridge's worker, or with `leases=False` only its flushing, until the block ends; then drain."""
    if leases:
        task: asyncio.Task[None] = asyncio.create_task(bridge.worker.run())
    else:
        task = asyncio.create_task(_flushing(bridge))
    try:
        yield
    finally:
        bridge.worker.stop()
        if not leases:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _flushing(bridge: Bridge) -> None:
    while True:
        await asyncio.sleep(timedelta(seconds=1).total_seconds())
        try:
            await bridge.chores.flush()
        except Exception:
            log.exception("flushing")
