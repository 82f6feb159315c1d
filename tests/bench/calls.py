"""What the outgoing half is measured with: a sink that notes its calls, bare calls, bare commits, full stores."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from bridge import env as environment
from bridge.app import open_bridge, working
from bridge.flows.lease import lease_length
from bridge.store import forwards
from bridge.store.rows import ms

from . import servers

BODY = json.dumps({"type": "order", "data": {"total": 60.0}, "pad": "x" * 350}).encode()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def bare_call(url: str, *, count: int) -> float:
    """The median time of a call with the client and nothing else."""
    spent = []
    async with httpx2.AsyncClient() as client:
        for _ in range(count):
            began = time.perf_counter()
            await client.post(url, content=BODY)
            spent.append(time.perf_counter() - began)
            await asyncio.sleep(0.002)
    return statistics.median(spent)


async def bare_loop(url: str, *, seconds: float, slots: int) -> float:
    """Calls a second with so many in flight, and nothing else."""
    done = 0
    ends = time.perf_counter() + seconds
    began = time.perf_counter()

    async def slot(client: httpx2.AsyncClient) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await client.post(url, content=BODY)
            done += 1

    limits = httpx2.Limits(max_connections=slots, max_keepalive_connections=slots)
    async with httpx2.AsyncClient(limits=limits) as client:
        await asyncio.gather(*(slot(client) for _ in range(slots)))
    return done / (time.perf_counter() - began)


def commit(at: Path) -> float:
    """The median time of a one-row commit on this disk, as the store makes it."""
    spent = []
    path = at / "commit.db"
    with sqlite3.connect(path, isolation_level=None) as one:
        one.execute("PRAGMA journal_mode=WAL")
        one.execute("PRAGMA synchronous=FULL")
        one.execute("CREATE TABLE t (a TEXT)")
        for _ in range(300):
            began = time.perf_counter()
            one.execute("INSERT INTO t VALUES ('x')")
            spent.append(time.perf_counter() - began)
            time.sleep(0.001)
    one.close()
    return statistics.median(spent)


@dataclass
class Seen:
    """Seconds from posting a webhook to its acknowledgement and to the call it caused."""

    acknowledged: list[float] = field(default_factory=list)
    called: list[float] = field(default_factory=list)


async def in_to_out(bridge: int, sink: int, requests: list[bytes], *, gap: float) -> Seen:
    """Post webhooks one after another and note when each is acknowledged and when its call comes out."""
    seen = Seen()
    called: asyncio.Queue[float] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                called.put_nowait(time.perf_counter())
                length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
                await reader.readexactly(length)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()  # also when the measure is over

    server = await asyncio.start_server(answer, "127.0.0.1", sink)
    while True:  # what the warm-up owed leaves first
        try:
            await asyncio.wait_for(called.get(), 3)
        except TimeoutError:
            break
    reader, writer = await asyncio.open_connection("127.0.0.1", bridge)
    for request in requests:
        began = time.perf_counter()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
        seen.acknowledged.append(time.perf_counter() - began)
        seen.called.append(await asyncio.wait_for(called.get(), 5) - began)
        await asyncio.sleep(gap)
    writer.close()
    server.close()
    return seen


async def drain(at: Path, count: int) -> float:
    """Forwards a second that a worker alone delivers, until so many are."""
    async with open_bridge(environment.read(servers.environment(at))) as bridge:
        before = delivered(at)
        began = time.perf_counter()
        async with working(bridge):
            while (done := delivered(at) - before) < count and time.perf_counter() - began < 60:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            spent = time.perf_counter() - began
    return done / spent


def delivered(at: Path) -> int:
    """How many forwards have been delivered; attempts are the smallest index that tells."""
    with sqlite3.connect(at / "bridge.db") as one:
        found = int(one.execute("SELECT count(*) FROM attempts WHERE ended_at IS NOT NULL").fetchone()[0])
    one.close()
    return found


def fill(at: Path, rows: int) -> None:
    """Put so many deliveries, pieces of evidence and delivered or waiting forwards into a store."""
    with sqlite3.connect(at / "bridge.db", isolation_level=None) as one:
        one.execute("PRAGMA synchronous=OFF")
        one.execute("BEGIN")
        now = int(time.time() * 1000) - 86_400_000
        one.execute("PRAGMA recursive_triggers=OFF")
        numbers = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        one.execute(
            numbers
            + "INSERT INTO deliveries SELECT printf('del_%024x', i), 'shop', lower(hex(randomblob(20))), 'POST',"
            " 'http://127.0.0.1/webhooks/shop', '{\"x\":\"' || hex(randomblob(150)) || '\"}', randomblob(1000), :now,"
            " 'processed', '', 0, :now FROM n",
            {"now": now},
        )
        one.execute(
            numbers + "INSERT INTO evidence SELECT printf('evi_%024x', i), 'shop', 'order_paid', 'old' || i, 0, '',"
            " 'o' || (abs(random()) % 200000), 'o' || (abs(random()) % 200000), 'old' || i, :now, :now, 'A',"
            " '{\"total\":60.0}', '{}', printf('del_%024x', i), 'considered', '', :now FROM n",
            {"now": now},
        )
        # Half are delivered, half wait for a target that is paused: the due index is as large as it gets.
        one.execute(
            numbers + "INSERT INTO forwards SELECT printf('fwd_%024x', i), 'reward', 'order', 'sink', 'old' || i,"
            " 'o' || i, 'shop', 'o' || i, 'order_paid', 'old' || i, 'old' || i, 'other', '{\"id\":\"o\"}', '{}', '{}',"
            " '', 0, printf('evi_%024x', i), '', CASE WHEN i % 2 THEN 'delivered' ELSE 'pending' END, '', '',"
            " CASE WHEN i % 2 THEN NULL ELSE :now END, NULL, 'lane' || i, 'seat' || i, NULL, NULL, i % 2, 0, i % 2,"
            " i % 2, :now, :now, :now FROM n",
            {"now": now},
        )
        one.execute("COMMIT")
        one.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    one.close()


def lease_rate(at: Path) -> float:
    """Leases a second of 32 forwards each, of a target with 2,000 due beside all that is stored."""

    async def run() -> float:
        async with open_bridge(environment.read(servers.environment(at))) as bridge:
            db, table = bridge.db, bridge.config.targets["sink"]
            await db.transact(
                lambda tx: tx.run("UPDATE forwards SET due_at = 1 WHERE target = 'sink' AND open IS NULL")
            )
            spent = []
            for _ in range(40):
                scene = bridge.scene("bench")
                until = ms(scene.now + lease_length(table))
                began = time.perf_counter()
                await db.transact(
                    lambda tx, scene=scene, until=until: forwards.lease(  # type: ignore[misc]
                        tx, target="sink", now=scene.at, until=until, limit=32
                    )
                )
                spent.append(time.perf_counter() - began)
            return 1 / statistics.median(spent)

    return asyncio.run(run())
