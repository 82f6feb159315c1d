"""The database behind `transact(work)`: one writer, one fsync for everything that waits, no half-done transaction.

A transaction is a function `work(tx)` that awaits nothing but its own statements. That rule is what makes
the same text fast on SQLite, where such a function runs without ever being suspended, and retryable on
an engine whose transactions can collide. It also means that a cancelled request never leaves a
transaction open: it is finished either way.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from bridge.kit.errors import Busy, StoreError

from .threaded import Row, T, Threaded, Tx, Work, connect

Group: TypeAlias = Callable[[Tx, list[Any]], Awaitable[Sequence[Any]]]


class Sqlite:
    """One file, one writer connection in WAL mode, one reader beside it."""

    engine = "sqlite"

    #: What one transaction takes at most, and what may wait for one. Beyond it: `Busy`.
    LARGEST_GROUP = 128
    LONGEST_QUEUE = 4096

    def __init__(self, writer: Threaded, reader: Threaded, path: str) -> None:
        self.path = path
        self._writer, self._reader = writer, reader
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Group, Any, asyncio.Future[Any]]] = deque()
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, path: str | Path) -> Sqlite:
        opened: list[Threaded] = []
        try:
            opened.append(await connect(str(path)))
            opened.append(await connect(str(path)))
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
        future: asyncio.Future[Any] = self._loop.create_future()
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


__all__ = ["Row", "Sqlite", "Store", "Tx", "open_store"]
