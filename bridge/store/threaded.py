"""One SQLite connection with a thread of its own: statements, and whole transactions one at a time."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, TypeVar

import aiosqlite

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
    """
    An INSERT of one row, for so many rows.

    What violates a constraint takes the whole transaction back, as it would anyway. A statement that had to be taken
    back by itself would copy every page before it writes to it, and that is a third of its time.
    """
    found = _VALUES.search(sql)
    assert found is not None
    one = "(" + ",".join("?" * len(values_of(sql))) + ")"
    into = sql[: found.start()].replace("INSERT INTO", "INSERT OR ROLLBACK INTO", 1)
    return into + "VALUES " + ",".join([one] * rows) + sql[found.end() :]


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
        self._begun = threading.Lock()  # held until the thread has begun what it was handed

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
            await _whole(self._hand_over(self._commit))
            return result

    def _hand_over(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """
        Have the thread do this, and see it begin.

        A thread that wakes beside a busy loop waits up to five milliseconds for the interpreter. So the loop stands
        aside for the few microseconds until `work` has begun, and goes on while the disk is being written.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def begin() -> T:
            self._begun.release()
            return work()

        self._begun.acquire(blocking=False)
        self._tx.put_nowait((future, begin))
        self._begun.acquire(timeout=0.005)
        return future

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


async def connect(path: str) -> Threaded:
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
