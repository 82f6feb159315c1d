"""The database behind `transact(work)`: one writer, one fsync for everything that waits, no half-done transaction.

A transaction is a function `work(tx)` that awaits nothing but its own statements. That rule is what makes
the same text fast on SQLite, where such a function runs without ever being suspended, and retryable on
an engine whose transactions can collide. It also means that a cancelled request never leaves a
transaction open: it is finished either way.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import aiosqlite

from bridge.kit.errors import Busy, StoreError

T = TypeVar("T")
Row: TypeAlias = Mapping[str, Any]


class Tx(Protocol):
    """One open transaction. The only way to run SQL."""

    skip_locked: str  # the one place where the engines' SQL differs

    async def rows(self, sql: str, **params: Any) -> Sequence[Row]:
        """The rows a statement returns."""
        ...

    async def run(self, sql: str, **params: Any) -> int:
        """Run a statement that returns nothing; how many rows it changed."""
        ...

    async def many(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> int:
        """Run one statement for each of these; how many rows they changed together."""
        ...


Work: TypeAlias = Callable[[Tx], Awaitable[T]]
Group: TypeAlias = Callable[[Tx, list[Any]], Awaitable[Sequence[Any]]]


class SqliteTx:
    """Statements on SQLite, run at once on the thread that owns the connection."""

    skip_locked = ""  # there is one writer: nothing to skip

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    async def rows(self, sql: str, **params: Any) -> Sequence[Row]:
        return self.connection.execute(sql, params).fetchall()

    async def run(self, sql: str, **params: Any) -> int:
        return self.connection.execute(sql, params).rowcount

    async def many(self, sql: str, rows: Sequence[Mapping[str, Any]]) -> int:
        names = values_of(sql)
        if not names:
            return self.connection.executemany(sql, rows).rowcount if rows else 0
        changed = 0
        for start in range(0, len(rows), WIDEST):
            chunk = rows[start : start + WIDEST]
            values = [row[name] for row in chunk for name in names]
            changed += self.connection.execute(widened(sql, len(chunk)), values).rowcount
        return changed


#: Rows of one INSERT. Each step of a statement gives up the interpreter and has to win it back from a busy event
#: loop, so one statement for 32 rows beats 32 statements. Texts of every width stay prepared.
WIDEST = 32
_VALUES = re.compile(r"\bVALUES\s*\(([^()]*)\)")


@lru_cache(maxsize=64)
def values_of(sql: str) -> tuple[str, ...]:
    """The parameters of `INSERT ... VALUES (:a, :b)`, in order; empty where it is any other statement."""
    found = _VALUES.search(sql)
    parts = [part.strip() for part in found[1].split(",")] if found else []
    return tuple(part[1:] for part in parts) if all(part.startswith(":") for part in parts) else ()


@lru_cache(maxsize=512)
def widened(sql: str, rows: int) -> str:
    """An INSERT of one row, for so many rows."""
    found = _VALUES.search(sql)
    assert found is not None
    one = "(" + ",".join("?" * len(values_of(sql))) + ")"
    return sql[: found.start()] + "VALUES " + ",".join([one] * rows) + sql[found.end() :]


def drive(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits."""
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError("a transaction awaits nothing but its own statements")


class Threaded(aiosqlite.Connection):
    """
    An aiosqlite connection for whole transactions, one at a time.

    `transact` runs one on the connection's own thread: for work that takes long or reads much. `quick` runs the
    statements where the caller is and only the COMMIT, which waits for the disk, on the thread: for a handful
    of statements that is faster, because a thread that shares the interpreter with a busy event loop
    spends most of its time winning it back, once for each statement.
    """

    #: How long a transaction waits for another process that is writing.
    PATIENCE = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._turn = asyncio.Lock()

    async def transact(self, work: Work[T], begin: str) -> T:
        async with self._turn:
            await self._begin(begin)
            return await _whole(self._execute(self._finish, work))  # type: ignore[no-untyped-call]

    async def quick(self, work: Work[T]) -> T:
        async with self._turn:
            await self._begin("BEGIN IMMEDIATE")
            connection = self._conn
            try:
                result: T = drive(work(SqliteTx(connection)))  # type: ignore[arg-type]
            except BaseException:
                self._undo()
                raise
            await _whole(self._execute(self._commit))  # type: ignore[no-untyped-call]
            return result

    async def version(self) -> int:
        """A number that changes when another connection has written."""
        async with self._turn:
            return int(self._conn.execute("PRAGMA data_version").fetchone()[0])

    async def _begin(self, begin: str) -> None:
        """Begin, waiting for whoever is writing without holding anybody up."""
        deadline = time.monotonic() + self.PATIENCE
        while True:
            try:
                self._conn.execute(begin)
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.002)

    def _finish(self, work: Work[T]) -> T:
        try:
            result: T = drive(work(SqliteTx(self._conn)))  # type: ignore[arg-type]
        except BaseException:
            self._undo()
            raise
        self._commit()
        return result

    def _commit(self) -> None:
        try:
            self._conn.execute("COMMIT")
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        if self._conn.in_transaction:  # a full disk has rolled back by itself
            self._conn.execute("ROLLBACK")


async def _whole(work: Awaitable[T]) -> T:
    """Wait for what runs on the thread even when we are cancelled, and cancelled again: the turn is its own."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({running})
        raise


async def _connect(path: str) -> Threaded:
    def connector() -> sqlite3.Connection:
        # Two threads use it, never at once: the turn sees to that.
        connection = sqlite3.connect(path, isolation_level=None, cached_statements=512, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        # FULL, because we acknowledge what we have committed. 4000 pages: a checkpoint syncs the file twice.
        for pragma in (
            "busy_timeout=2000",  # while the file is opened
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "wal_autocheckpoint=4000",
            "cache_size=-32768",
            "temp_store=MEMORY",
            "recursive_triggers=ON",  # or REPLACE would delete from the audit log without its trigger
            "busy_timeout=0",  # from here on `_begin` waits
        ):
            try:
                connection.execute(f"PRAGMA {pragma}")
            except sqlite3.Error:
                connection.close()
                raise
        return connection

    made = Threaded(connector, iter_chunk_size=64)
    try:
        await made
    except BaseException:
        made._thread.join(1)  # it has been told to stop, and must not outlive the loop it answers to
        raise
    return made


class Sqlite:
    """One file, one writer connection in WAL mode, one reader beside it."""

    engine = "sqlite"

    #: What one transaction takes at most, and what may wait for one. Beyond it: `Busy`.
    LARGEST_GROUP = 128
    LONGEST_QUEUE = 4096

    def __init__(self, writer: Threaded, reader: Threaded, path: str) -> None:
        self.path = path
        self._writer, self._reader = writer, reader
        self._waiting: deque[tuple[Group, Any, asyncio.Future[Any]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: str | Path) -> Sqlite:
        opened: list[Threaded] = []
        try:
            opened.append(await _connect(str(path)))
            opened.append(await _connect(str(path)))
        except BaseException as error:
            for one in opened:
                await one.close()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{path} cannot be opened: {error}") from None
            raise
        writer, reader = opened
        return cls(writer, reader, str(path))

    async def transact(self, work: Work[T]) -> T:
        """Run `work(tx)` in a transaction of its own and commit it. Nothing of it remains if it raises."""
        return await self._guard(self._writer.transact(work, "BEGIN IMMEDIATE"))

    async def _quick(self, work: Work[T]) -> T:
        return await self._guard(self._writer.quick(work))

    async def read(self, work: Work[T]) -> T:
        """Run `work(tx)` over one snapshot, beside whatever is being written."""
        return await self._guard(self._reader.transact(work, "BEGIN DEFERRED"))

    async def join(self, group: Group, item: Any) -> Any:
        """
        Have `item` written together with everything else that waits; its result, once that is on disk.

        Whatever arrives while one transaction commits becomes the next: the running commit is the linger.
        `group(tx, items)` returns one result for each item. If a transaction fails, its members are
        tried one by one, so that a poisonous one hurts only itself.
        """
        if len(self._waiting) >= self.LONGEST_QUEUE:
            raise Busy
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((group, item, future))
        if self._committing is None:
            self._committing = asyncio.ensure_future(self._commit())
        return await future

    @property
    def queued(self) -> int:
        """How many items wait to be written."""
        return len(self._waiting)

    async def _commit(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self.LARGEST_GROUP)
                batch = [self._waiting.popleft() for _ in range(size)]
                try:
                    results = await self._quick(lambda tx, batch=batch: _grouped(tx, batch))  # type: ignore[misc]
                except Exception as error:
                    await self._one_by_one(batch, error)
                else:
                    for (_, _, future), result in zip(batch, results, strict=True):
                        if not future.done():
                            future.set_result(result)
        finally:
            self._committing = None

    async def _one_by_one(self, batch: Sequence[tuple[Group, Any, asyncio.Future[Any]]], error: Exception) -> None:
        for member in batch:
            future = member[2]
            if future.done():
                continue
            if len(batch) == 1 or _locked(error):  # another process writes: each alone would wait as long again
                future.set_exception(error)
                continue
            try:
                [result] = await self._quick(lambda tx, member=member: _grouped(tx, [member]))  # type: ignore[misc]
            except Exception as alone:
                future.set_exception(alone)
            else:
                future.set_result(result)

    async def changes(self) -> int:
        """A number that changes when another process has written: `PRAGMA data_version`."""
        return await self._writer.version()

    async def _guard(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except sqlite3.DatabaseError as error:
            # Its plain class says that the file is damaged; the other subclasses, that what was asked is wrong.
            if type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError):
                raise
            raise StoreError(f"the store answered: {error}") from error

    async def close(self) -> None:
        while self._committing is not None:
            await asyncio.wait({self._committing})
        await self._reader.close()
        await self._writer.close()


def _locked(error: Exception) -> bool:
    return isinstance(error.__cause__, sqlite3.OperationalError) and "locked" in str(error.__cause__)


async def _grouped(tx: Tx, batch: Sequence[tuple[Group, Any, Any]]) -> list[Any]:
    """Run each group's items together, in the order in which the groups first appear."""
    places: dict[Group, list[int]] = {}
    for place, (group, _, _) in enumerate(batch):
        places.setdefault(group, []).append(place)
    results: list[Any] = [None] * len(batch)
    for group, mine in places.items():
        found = await group(tx, [batch[place][1] for place in mine])
        for place, result in zip(mine, found, strict=True):
            results[place] = result
    return results


Store: TypeAlias = Sqlite


async def open_store(url: str) -> Store:
    """Open what `BRIDGE_DATABASE_URL` names. Anything but SQLite: `StoreError`, in words."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        path = rest.removeprefix("/")  # three slashes are relative, four absolute, as everywhere
        if not path or path == ":memory:":
            raise StoreError(f"{url} names no file; write sqlite:///bridge.db, or sqlite:////var/lib/bridge.db")
        return await Sqlite.open(path)
    if scheme.startswith("postgres"):
        raise StoreError("PostgreSQL is not in this version; BRIDGE_DATABASE_URL takes sqlite:///bridge.db")
    raise StoreError(f"{scheme}:// is no store; BRIDGE_DATABASE_URL takes sqlite:///bridge.db")
