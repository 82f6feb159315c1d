"""kill -9, a full disk, a locked file: what was acknowledged is there, what was paid is paid once, and work goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bridge import env as environment
from bridge.app import open_bridge
from bridge.flows import chain
from bridge.sandbox.gameball import gameball
from bridge.sandbox.gate import UNLIMITED
from bridge.sandbox.program import Campaign, Program
from bridge.sandbox.serving import serving
from tests.conftest import SECRETS
from tests.processes import (
    GAMEBALL,
    HOOK,
    SOURCES,
    Bridge,
    Folder,
    follow,
    link_accounts,
    order,
    running,
    sender,
    start,
    until,
)

#: A second rule with the same challenge: one customer's two rewards must not be taken for one another.
SECOND = """
[[rule]]
id = "follow-too"
when = "twitch.follow"
send = { to = "gameball", challenge_id = 7 }
"""


def now() -> datetime:
    return datetime.now(UTC)


class Receiver:
    """Takes every webhook-id once, as the specification asks; remembers how often each came, and for which order."""

    def __init__(self) -> None:
        self.times: Counter[str] = Counter()
        self.orders: dict[str, set[str]] = defaultdict(set)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if message["type"] == "http.disconnect":
            return
        name = dict(scope["headers"])[b"webhook-id"].decode()
        self.times[name] += 1
        self.orders[json.loads(body)["data"]["subject"]].add(name)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


class Gameball:
    """The stand-in without any protection of its own: nothing is refused as a repeat, every call pays."""

    def __init__(self) -> None:
        campaign = Campaign(id=7, name="Follow", points=10, repeatable=True, most=-1)
        self.program = Program([campaign], window=timedelta(0), delay=timedelta(milliseconds=20))
        self.api = gameball(
            self.program,
            api_key=SECRETS["GAMEBALL_API_KEY"],
            secret_key=SECRETS["GAMEBALL_SECRET_KEY"],
            clock=now,
            quotas=UNLIMITED,
        )

    @property
    def paid(self) -> Counter[str]:
        return Counter(one.customer for one in self.program.submissions)


async def later(folder: Folder, *, steps: int = 80) -> list[dict[str, Any]]:
    """The same database hours later, worked by a bridge in this process, until nothing is left to do by itself."""
    shift = timedelta(0)
    env = environment.read(folder.environment)
    async with open_bridge(env, clock=lambda: now() + shift) as bridge:
        for _ in range(steps):
            shift += timedelta(minutes=2)
            await bridge.chores.each_ten_seconds(bridge.scene("worker"), bridge.worker.breakers())
            await bridge.worker.catch_up()
            if not folder.rows("SELECT 1 FROM forwards WHERE state IN ('pending', 'accepted')"):
                break
        await bridge.chores.each_second(bridge.scene("worker"))
        verified = await chain.verify(bridge.db)
        assert not verified.broken
    assert folder.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    return folder.rows("SELECT * FROM forwards ORDER BY id")


def consistent(folder: Folder) -> None:
    """What must hold in every database, whenever it was torn away."""
    assert folder.rows("SELECT forward FROM attempts WHERE ended_at IS NULL GROUP BY seat HAVING count(*) > 1") == []
    assert folder.rows("SELECT forward FROM attempts WHERE resolved_at IS NULL GROUP BY lane HAVING count(*) > 1") == []
    assert folder.rows("SELECT id FROM forwards WHERE state = 'pending' AND due_at IS NULL AND parked IS NULL") == []
    assert folder.rows("SELECT id FROM forwards WHERE state = 'accepted' AND (due_at IS NULL OR open IS NULL)") == []
    assert folder.rows("SELECT id FROM forwards WHERE evidence NOT IN (SELECT id FROM evidence)") == []
    assert folder.rows("SELECT id FROM evidence WHERE delivery NOT IN (SELECT id FROM deliveries)") == []
    [audit] = folder.rows("SELECT count(*) AS n, coalesce(max(number), 0) AS top FROM audit")
    assert audit["n"] == audit["top"]


# --- at random instants ----------------------------------------------------------------------------------------


class Senders:
    """Platforms: they send until they are acknowledged, and know what was."""

    def __init__(self) -> None:
        self.numbers = iter(range(1, 1_000_000))
        self.acknowledged: dict[str, str] = {}  # hook or message -> the delivery's id
        self.unheard: list[tuple[str, str, dict[str, str], bytes]] = []

    def next(self) -> tuple[str, str, dict[str, str], bytes]:
        number = next(self.numbers)
        if number % 3:
            return (f"order {number}", "/webhooks/shop", *order(number))
        return (f"follow {number}", "/webhooks/twitch", *follow(f"a{number}"))

    async def pour(self, bridge: Bridge, http: httpx2.AsyncClient) -> None:
        while True:
            one = self.unheard.pop() if self.unheard and random.random() < 0.5 else self.next()
            name, path, headers, body = one
            try:
                answer = await http.post(bridge.url + path, content=body, headers=headers)
            except (httpx2.HTTPError, asyncio.CancelledError) as error:
                self.unheard.append(one)  # it may or may not be in the store: a platform sends it again
                if isinstance(error, asyncio.CancelledError) or not bridge.alive:
                    return
                await asyncio.sleep(0.01)
                continue
            assert answer.status_code == 200, answer.text
            self.acknowledged[name] = answer.json()["delivery"]
            await asyncio.sleep(random.uniform(0, 0.03))


async def test_whatever_instant_it_is_killed_at_nothing_is_lost_and_nothing_paid_twice(tmp_path: Path) -> None:
    random.seed(20261120)
    vendor, receiver, senders = Gameball(), Receiver(), Senders()
    async with serving(vendor.api) as gb, serving(receiver) as hook:
        folder = Folder(tmp_path, SOURCES + HOOK.format(url=hook) + GAMEBALL.format(url=gb) + SECOND)
        accounts = {f"a{number}": f"c{number}" for number in range(3, 20_000, 3)}
        for customer in accounts.values():
            vendor.program.join(customer)
        for round_ in range(8):
            bridge = await asyncio.to_thread(start, folder)
            if round_ == 0:
                link_accounts(folder, accounts)
            async with sender() as http:
                pouring = [asyncio.create_task(senders.pour(bridge, http)) for _ in range(6)]
                await asyncio.sleep(random.uniform(0.05, 0.7))
                await asyncio.to_thread(bridge.kill)
                await asyncio.gather(*pouring)
            consistent(folder)
        assert len(senders.acknowledged) > 100

        # The platforms repeat what was not acknowledged, some of it is known already.
        with running(folder) as bridge:
            async with sender() as http:
                for name, path, headers, body in senders.unheard:
                    answer = await http.post(bridge.url + path, content=body, headers=headers)
                    assert answer.status_code == 200
                    senders.acknowledged[name] = answer.json()["delivery"]
        rows = await later(folder)
    consistent(folder)

    stored = {row["id"] for row in folder.rows("SELECT id FROM deliveries")}
    assert set(senders.acknowledged.values()) <= stored
    owed = Counter(f"{row['action'].partition('_')[0]} {row['key'].rpartition(':a')[2]}" for row in rows)
    for name in senders.acknowledged:
        assert owed[name] == (1 if name.startswith("order") else 2), name
    assert len(owed) == len(senders.acknowledged)

    states = Counter(row["state"] for row in rows)
    assert set(states) <= {"delivered", "held"}
    assert states["held"] <= len(rows) // 20
    assert all(row["reason"] for row in rows if row["state"] == "held")
    # A keyed target takes each order under one key; the unkeyed one was called once for each reward.
    assert {len(ids) for ids in receiver.orders.values()} == {1}
    assert len(receiver.orders) == sum(1 for name in senders.acknowledged if name.startswith("order"))
    mine: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row["target"] == "gameball":
            mine[json.loads(row["customer"])["id"]][row["state"]] += 1
    for customer, ended in mine.items():
        assert ended["delivered"] <= vendor.paid[customer] <= ended["delivered"] + ended["held"], customer


# --- at chosen instants ----------------------------------------------------------------------------------------


class Assassin:
    """A vendor that kills its caller: at which request, and before or after that has taken effect."""

    def __init__(self, app: Any, method: str, which: int, *, after: bool) -> None:
        self.app, self.method, self.which, self.after = app, method, which, after
        self.pid = 0
        self.seen = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == self.method and not scope["path"].startswith("/sandbox"):
            self.seen += 1
        if not self.pid or scope["method"] != self.method or self.seen != self.which:
            await self.app(scope, receive, send)
            return
        if self.after:

            async def nowhere(message: Any) -> None:
                pass

            await self.app(scope, receive, nowhere)
        pid, self.pid = self.pid, 0
        os.kill(pid, signal.SIGKILL)
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.mark.parametrize(
    ("method", "which", "after", "dropped"),
    [
        pytest.param("GET", 1, False, False, id="between the lease and the commit before the call"),
        pytest.param("GET", 1, True, False, id="when the baseline was read"),
        pytest.param("POST", 1, False, False, id="when the call has left and nothing has happened"),
        pytest.param("POST", 1, True, False, id="when the call has taken effect"),
        pytest.param("GET", 2, False, True, id="while the target is asked about an earlier doubt"),
        pytest.param("POST", 2, True, True, id="after the second of two calls that should be one"),
    ],
)
async def test_a_crash_at_this_instant_pays_once(
    tmp_path: Path, method: str, which: int, after: bool, dropped: bool
) -> None:
    vendor = Gameball()
    vendor.program.join("ann")
    if dropped:
        # The first call's connection breaks: before it took effect where a second one must follow, else after.
        vendor.api.faults.arm("drop_before" if method == "POST" else "drop_after", on="writes")
    assassin = Assassin(vendor.api, method, which, after=after)
    async with serving(assassin) as url:
        folder = Folder(tmp_path, SOURCES + GAMEBALL.format(url=url))
        with running(folder) as bridge:
            link_accounts(folder, {"a1": "ann"})
            assassin.pid = bridge.process.pid
            headers, body = follow("a1")
            async with sender() as http:
                answer = await http.post(f"{bridge.url}/webhooks/twitch", content=body, headers=headers)
            assert answer.status_code == 200
            assert await asyncio.to_thread(until, lambda: not bridge.alive, 15)
            assert bridge.process.returncode == -signal.SIGKILL
        consistent(folder)
        [row] = await later(folder)
    assert row["state"] == "delivered", row["reason"]
    assert vendor.paid["ann"] == 1


async def test_a_crash_before_the_answer_is_an_unheard_delivery_and_not_a_lost_one(tmp_path: Path) -> None:
    """Killed in the middle of a burst: what was stored without being acknowledged is acknowledged as known."""
    receiver, orders = Receiver(), [order(number) for number in range(200)]
    async with serving(receiver) as url:
        folder = Folder(tmp_path, SOURCES + HOOK.format(url=url))
        with running(folder, "serve", "--port", "0", "--no-worker") as bridge:
            async with sender() as http:
                posts = [
                    asyncio.create_task(http.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers))
                    for headers, body in orders
                ]
                await asyncio.wait(posts, return_when=asyncio.FIRST_COMPLETED)
                bridge.kill()
                answers = await asyncio.gather(*posts, return_exceptions=True)
        heard = [one.json()["delivery"] for one in answers if isinstance(one, httpx2.Response)]
        stored = {row["id"] for row in folder.rows("SELECT id FROM deliveries")}
        assert heard
        assert set(heard) <= stored
        with running(folder) as bridge:
            async with sender() as http:
                again = await asyncio.gather(
                    *(
                        http.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers)
                        for headers, body in orders
                    )
                )
        assert Counter(one.json()["status"] for one in again)["duplicate"] == len(stored)
        rows = await later(folder)
    assert Counter(row["state"] for row in rows) == {"delivered": 200}
    assert {len(ids) for ids in receiver.orders.values()} == {1}


# --- the disk --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot give a running process more room")
async def test_a_full_disk_is_503_until_there_is_room_again(tmp_path: Path) -> None:
    receiver = Receiver()
    async with serving(receiver) as url:
        folder = Folder(tmp_path, SOURCES + HOOK.format(url=url))
        with running(folder, limit=1_500_000) as bridge:
            heard, full = [], None
            async with sender() as http:
                for number in range(2000):
                    headers, body = order(number, note="x" * 5000)
                    answer = await http.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers)
                    if answer.status_code != 200:
                        full = (answer, headers, body)
                        break
                    heard.append(answer.json()["delivery"])
                assert full is not None
                assert full[0].status_code == 503
                assert int(full[0].headers["retry-after"]) > 0
                for _ in range(20):
                    headers, body = order(next(iter(random.sample(range(3000, 9000), 1))), note="y" * 5000)
                    again = await http.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers)
                    assert again.status_code in (503, 200)
                assert (await http.get(f"{bridge.url}/healthz")).status_code == 200
                assert bridge.alive
                stored = {row["id"] for row in folder.rows("SELECT id FROM deliveries")}
                assert set(heard) <= stored

                resource.prlimit(
                    bridge.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                )
                answer = await http.post(f"{bridge.url}/webhooks/shop", content=full[2], headers=full[1])
                assert answer.status_code == 200
                assert answer.json()["status"] == "accepted", "it was not stored when we said that it was not"
                assert (await http.get(f"{bridge.url}/readyz")).status_code == 200
        rows = await later(folder)
    consistent(folder)
    assert {row["state"] for row in rows} == {"delivered"}
    assert len(rows) >= len(heard) + 1
    assert {len(ids) for ids in receiver.orders.values()} == {1}


@contextlib.asynccontextmanager
async def locked(folder: Folder, how: str = "IMMEDIATE") -> AsyncIterator[None]:
    """Another process that is writing and takes its time."""
    connection = sqlite3.connect(folder.database, isolation_level=None, timeout=20)
    await asyncio.sleep(0)
    connection.execute(f"BEGIN {how}")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_a_file_that_another_process_locks_for_seconds_delays_and_loses_nothing(tmp_path: Path) -> None:
    receiver = Receiver()
    async with serving(receiver) as url:
        folder = Folder(tmp_path, SOURCES + HOOK.format(url=url))
        with running(folder) as bridge:
            async with sender() as http, sender() as others:

                async def post(number: int) -> int:
                    headers, body = order(number)
                    return (await others.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers)).status_code

                async with locked(folder):
                    posts = [asyncio.create_task(post(number)) for number in range(100)]
                    began = time.monotonic()
                    while time.monotonic() - began < 2.5:
                        # The loop turns meanwhile: strangers are refused and health is told without the store.
                        asked = time.monotonic()
                        assert (await http.get(f"{bridge.url}/healthz")).status_code == 200
                        forged = await http.post(f"{bridge.url}/webhooks/shop", content=b"{}")
                        assert forged.status_code == 401
                        assert time.monotonic() - asked < 1
                        await asyncio.sleep(0.1)
                    assert not any(one.done() for one in posts)
                assert set(await asyncio.gather(*posts)) == {200}
            delivered = "SELECT count(*) AS n FROM forwards WHERE state = 'delivered'"
            assert await asyncio.to_thread(until, lambda: folder.rows(delivered)[0]["n"] == 100, 15)
    assert {len(ids) for ids in receiver.orders.values()} == {1}
    assert set(receiver.times.values()) == {1}


# --- several processes on one file -----------------------------------------------------------------------------


async def test_two_workers_on_one_file_share_the_work_and_either_may_die(tmp_path: Path) -> None:
    vendor, receiver = Gameball(), Receiver()
    async with serving(vendor.api) as gb, serving(receiver) as hook:
        folder = Folder(tmp_path, SOURCES + HOOK.format(url=hook) + GAMEBALL.format(url=gb))
        accounts = {f"b{number}": f"c{number}" for number in range(60)}
        for customer in accounts.values():
            vendor.program.join(customer)
        with (
            running(folder, "serve", "--port", "0", "--no-worker") as bridge,
            running(folder, "work", log="one") as one,
            running(folder, "work", log="two"),
        ):
            link_accounts(folder, accounts)
            async with sender() as http:

                async def post(path: str, told: tuple[dict[str, str], bytes]) -> int:
                    answer = await http.post(f"{bridge.url}/webhooks/{path}", content=told[1], headers=told[0])
                    return answer.status_code

                posts = [post("shop", order(number)) for number in range(150)]
                posts += [post("twitch", follow(account)) for account in accounts]
                found = [await asyncio.gather(*posts[at : at + 30]) for at in range(0, len(posts), 30)]
                assert {status for some in found for status in some} == {200}
                some_sent: Callable[[], bool] = lambda: sum(receiver.times.values()) > 20  # noqa: E731
                assert await asyncio.to_thread(until, some_sent)
                one.kill()
                left = "SELECT count(*) AS n FROM forwards WHERE state = 'pending' AND open IS NULL"
                assert await asyncio.to_thread(until, lambda: folder.rows(left)[0]["n"] == 0, 20)
        consistent(folder)
        rows = await later(folder)
    assert {row["state"] for row in rows} == {"delivered"}
    assert len(rows) == 210
    assert {len(ids) for ids in receiver.orders.values()} == {1}
    assert {vendor.paid[customer] for customer in accounts.values()} == {1}
    assert "Traceback" not in folder.log("two")
    assert "Traceback" not in folder.log()
