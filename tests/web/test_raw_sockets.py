"""A real `serve` on a real socket: what is half, twice, too slow, too long or no HTTP at all, and what signals do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from bridge.sandbox.serving import serving
from bridge.web import wire
from tests.processes import HOOK, SOURCES, Bridge, Folder, order, running, shop_headers, until

UNREACHABLE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return Folder(tmp_path_factory.mktemp("raw"), SOURCES + HOOK.format(url=UNREACHABLE))


@pytest.fixture(scope="module")
def bridge(folder: Folder) -> Iterator[Bridge]:
    """One process for everything that must not disturb it: each test would notice what the one before broke."""
    with running(folder, "serve", "--port", "0", "--no-worker") as made:
        yield made
        assert made.alive
        assert "Traceback" not in folder.log()


@pytest.fixture(autouse=True)
async def still_answers(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Whatever a test did to the shared process: it lives, takes the next delivery, and holds nothing back."""
    yield
    if "bridge" in request.fixturenames:
        made: Bridge = request.getfixturevalue("bridge")
        assert made.alive
        answer = await deliver(made, *order(next(NUMBERS)))
        assert answer.status_code == 200


NUMBERS = iter(range(10_000, 20_000))


async def deliver(bridge: Bridge, headers: dict[str, str], body: bytes) -> httpx2.Response:
    async with httpx2.AsyncClient(timeout=20, trust_env=False) as client:
        return await client.post(f"{bridge.url}/webhooks/shop", content=body, headers=headers)


class Wire:
    """A connection, byte for byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            with contextlib.suppress(ConnectionError):
                await self.writer.drain()

    async def answer(self, within: float = 10) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body. 0: the connection was closed without one."""
        try:
            async with asyncio.timeout(within):
                head = await self.reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                headers = {
                    name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
                }
                body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, {}, b""
        return int(lines[0].split()[1]), headers, body

    async def closed(self, within: float = 10) -> bool:
        try:
            async with asyncio.timeout(within):
                while await self.reader.read(65536):
                    pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


@contextlib.asynccontextmanager
async def connected(bridge: Bridge) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", bridge.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def head(headers: dict[str, str], *more: bytes, path: bytes = b"/webhooks/shop", method: bytes = b"POST") -> bytes:
    lines = [method + b" " + path + b" HTTP/1.1", b"host: x"]
    lines += [f"{name}: {value}".encode() for name, value in headers.items()]
    return b"\r\n".join([*lines, *more, b"", b""])


def request(headers: dict[str, str], body: bytes) -> bytes:
    return head(headers, b"content-length: %d" % len(body)) + body


def stored(folder: Folder, name: str) -> int:
    rows = folder.rows("SELECT count(*) AS n FROM deliveries WHERE instr(headers, ?)", f'"{name}"')
    return int(rows[0]["n"])


# --- slow, half and cut off ------------------------------------------------------------------------------------


async def test_a_request_in_single_bytes_is_a_request(bridge: Bridge) -> None:
    headers, body = order(1)
    async with connected(bridge) as wire_:
        for byte in request(headers, body):
            wire_.writer.write(bytes([byte]))
            await wire_.writer.drain()
        status, _, said = await wire_.answer()
    assert (status, json.loads(said)["status"]) == (200, "accepted")


async def test_a_hundred_slow_bodies_keep_nobody_waiting(bridge: Bridge) -> None:
    headers, body = order(2)
    async with contextlib.AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(bridge)) for _ in range(100)]
        for one in slow:
            await one.say(head(headers, b"content-length: %d" % len(body)), body[:10])
        began = time.monotonic()
        assert (await deliver(bridge, *order(3))).status_code == 200
        assert time.monotonic() - began < 2
        for one in slow:
            await one.say(body[10:])
        answers = [await one.answer() for one in slow]
    assert [status for status, _, _ in answers] == [200] * 100
    assert sorted(json.loads(said)["status"] for _, _, said in answers) == ["accepted"] + ["duplicate"] * 99


HALVES = {
    "nothing": b"",
    "a letter": b"P",
    "a request line": b"POST /webhooks/shop HTTP/1.1\r\n",
    "a head": b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n",
    "half a body": b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345",
    "half a chunk": b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n123",
    "no last chunk": b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n",
}


async def test_half_a_request_is_nothing_and_no_forgery_either(bridge: Bridge, folder: Folder) -> None:
    """A hang-up is no wrong signature: the operator would look for a mistake that nobody made."""

    def kept() -> int:
        return int(folder.rows("SELECT coalesce(sum(value), 0) AS n FROM numbers WHERE name = 'rejected'")[0]["n"])

    await asyncio.sleep(1.2)  # what earlier tests were refused is written down within a second
    before = kept()
    for part in HALVES.values():
        for rude in (False, True):
            made = socket.create_connection(("127.0.0.1", bridge.port))
            made.sendall(part)
            await asyncio.sleep(0.02)
            if rude:  # a reset instead of a farewell
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            made.close()
    assert (await deliver(bridge, *order(next(NUMBERS)))).status_code == 200
    await asyncio.sleep(1.2)
    assert kept() == before


async def test_a_body_cut_off_after_its_signature_is_not_taken_for_the_whole(bridge: Bridge, folder: Folder) -> None:
    headers, body = order(4)
    async with connected(bridge) as wire_:
        await wire_.say(head(headers, b"content-length: %d" % (len(body) + 5)), body)
    await asyncio.sleep(0.1)
    assert stored(folder, "hook-4") == 0
    assert (await deliver(bridge, headers, body)).json()["status"] == "accepted"


async def test_a_sender_that_leaves_before_the_answer_has_been_heard_all_the_same(
    bridge: Bridge, folder: Folder
) -> None:
    """It will send again, and is told that we know."""
    headers, body = order(5)
    made = socket.create_connection(("127.0.0.1", bridge.port))
    made.sendall(request(headers, body))
    made.close()
    await asyncio.to_thread(until, lambda: stored(folder, "hook-5"))
    assert (await deliver(bridge, headers, body)).json()["status"] == "duplicate"


# --- one connection, several requests --------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order(bridge: Bridge) -> None:
    orders = [order(100 + n) for n in range(20)]
    async with connected(bridge) as wire_:
        await wire_.say(b"".join(request(*one) for one in orders))
        answers = [await wire_.answer() for _ in orders]
    assert [status for status, _, _ in answers] == [200] * 20
    ids = [json.loads(said)["delivery"] for _, _, said in answers]
    assert ids == sorted(ids)
    assert len(set(ids)) == 20


async def test_good_and_bad_requests_share_a_connection(bridge: Bridge) -> None:
    headers, body = order(130)
    bad = {**headers, "x-shopify-hmac-sha256": "AAAA"}
    async with connected(bridge) as wire_:
        await wire_.say(
            request(bad, body), request(headers, body), head(headers, method=b"GET"), request(headers, body)
        )
        found = [(await wire_.answer())[0] for _ in range(4)]
    assert found == [401, 200, 405, 200]


async def test_an_early_refusal_does_not_take_the_rest_of_the_body_for_a_request(bridge: Bridge) -> None:
    """404 is answered before the body is there; what is in the body is still a body."""
    inner = request(*order(131))
    async with connected(bridge) as wire_:
        await wire_.say(head({}, b"content-length: %d" % len(inner), path=b"/webhooks/nobody"))
        status, _, _ = await wire_.answer()
        assert status == 404
        await wire_.say(inner, head({}, path=b"/healthz", method=b"GET"))
        status, _, said = await wire_.answer()
    assert (status, said) == (200, b"alive\n")


# --- how long a message is, said twice -------------------------------------------------------------------------


def smuggled(number: int) -> list[tuple[str, bytes, str]]:
    headers, body = order(number)
    inner = request(headers, body)
    size = b"content-length: %d" % len(inner)
    chunked = b"transfer-encoding: chunked"
    ended = b"0\r\n\r\n"
    base = head({}, path=b"/webhooks/nobody").removesuffix(b"\r\n\r\n") + b"\r\n"
    return [
        ("two lengths", base + size + b"\r\ncontent-length: 0\r\n\r\n" + inner, f"hook-{number}"),
        ("a list of lengths", base + b"content-length: 0, %d\r\n\r\n" % len(inner) + inner, f"hook-{number}"),
        ("a length and chunks", base + size + b"\r\n" + chunked + b"\r\n\r\n" + ended + inner, f"hook-{number}"),
        ("chunks and a length", base + chunked + b"\r\ncontent-length: 4\r\n\r\n" + ended + inner, f"hook-{number}"),
        (
            "chunks twice",
            base + chunked + b"\r\n" + b"transfer-encoding: identity\r\n\r\n" + ended + inner,
            f"hook-{number}",
        ),
        ("misspelt chunks", base + b"transfer-encoding: xchunked\r\n\r\n" + ended + inner, f"hook-{number}"),
        ("a blank before the colon", base + b"content-length : 0\r\n\r\n" + inner, f"hook-{number}"),
        ("a folded header", base + b"x: y\r\n content-length: 0\r\n\r\n" + inner, f"hook-{number}"),
        ("a line feed alone", base + b"x: y\ncontent-length: 0\r\n\r\n" + inner, f"hook-{number}"),
        ("a negative length", base + b"content-length: -1\r\n\r\n" + inner, f"hook-{number}"),
        ("a plus sign", base + b"content-length: +5\r\n\r\n" + inner, f"hook-{number}"),
        (
            "a length beyond all numbers",
            base + b"content-length: 99999999999999999999999\r\n\r\n" + inner,
            f"hook-{number}",
        ),
        ("NUL in a header", base + b"x: a\0b\r\ncontent-length: 0\r\n\r\n" + inner, f"hook-{number}"),
        ("a chunk of endless size", base + chunked + b"\r\n\r\nffffffffffffffffff\r\n" + inner, f"hook-{number}"),
        ("a chunk of negative size", base + chunked + b"\r\n\r\n-5\r\n" + inner, f"hook-{number}"),
    ]


@pytest.mark.parametrize("case", range(len(smuggled(0))), ids=[name for name, _, _ in smuggled(0)])
async def test_a_message_whose_length_is_ambiguous_is_refused_whole(bridge: Bridge, folder: Folder, case: int) -> None:
    """If a proxy before us counted differently, what is inside would be a request of our own making."""
    _, raw, name = smuggled(200 + case)[case]
    async with connected(bridge) as wire_:
        await wire_.say(raw)
        status, _, _ = await wire_.answer()
        assert status in (400, 404)
        if status == 400:
            assert await wire_.closed()
        await asyncio.sleep(0.05)
    if status == 400:
        assert stored(folder, name) == 0


# --- chunks and continue ---------------------------------------------------------------------------------------


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x;ext=1\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\nx-trailer: 1\r\n\r\n"


async def test_a_chunked_body_is_signed_like_any_other(bridge: Bridge) -> None:
    headers, body = order(300)
    async with connected(bridge) as wire_:
        await wire_.say(head(headers, b"transfer-encoding: chunked"), chunked(body, 7))
        status, _, said = await wire_.answer()
    assert (status, json.loads(said)["status"]) == (200, "accepted")


async def test_a_trailer_is_no_header(bridge: Bridge) -> None:
    """A signature that comes after the body has not come."""
    headers, body = order(301)
    mac = headers.pop("x-shopify-hmac-sha256")
    ended = chunked(body, 100).replace(b"x-trailer: 1", f"x-shopify-hmac-sha256: {mac}".encode())
    async with connected(bridge) as wire_:
        await wire_.say(head(headers, b"transfer-encoding: chunked"), ended)
        status, _, _ = await wire_.answer()
    assert status == 401


async def test_a_trailer_without_end_is_refused_before_it_fills_the_memory(bridge: Bridge) -> None:
    before = bridge.memory()
    for part in (b"a" * 65536, b"x-t: y\r\n" * 8000):
        async with connected(bridge) as wire_:
            await wire_.say(head({}, b"transfer-encoding: chunked"), b"1\r\nx\r\n0\r\nx-long: ")
            sent = 0
            while sent < 200 * 1024 * 1024:
                try:
                    wire_.writer.write(part)
                    await wire_.writer.drain()
                except ConnectionError:
                    break
                sent += len(part)
            assert sent < 50 * 1024 * 1024
    assert bridge.memory() - before < 40 * 1024 * 1024


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("mebibytes", [2, 8, 64])
async def test_a_body_beyond_the_bound_is_413_and_fills_no_memory(
    bridge: Bridge, declared: bool, mebibytes: int
) -> None:
    before = bridge.memory()
    size = mebibytes * 1024 * 1024
    how = b"content-length: %d" % size if declared else b"transfer-encoding: chunked"
    part = b"x" * 65536 if declared else b"10000\r\n" + b"x" * 65536 + b"\r\n"
    async with connected(bridge) as wire_:
        # As most senders do it: first everything is written, then the answer is read.
        await wire_.say(head(shop_headers(b""), how), *[part] * (size // 65536))
        status, headers, said = await wire_.answer()
        if mebibytes == 64:  # beyond what is swallowed the connection is closed, and the reset may come first
            assert await wire_.closed()
            assert status in (413, 0)
        else:
            assert status == 413
    if status:
        assert headers["content-type"] == "application/problem+json"
        assert json.loads(said)["reason"] == "too_large"
    assert bridge.memory() - before < 40 * 1024 * 1024


async def test_whoever_asks_before_sending_is_told_to_go_on(bridge: Bridge) -> None:
    headers, body = order(302)
    async with connected(bridge) as wire_:
        await wire_.say(head(headers, b"content-length: %d" % len(body), b"expect: 100-continue"))
        assert await asyncio.wait_for(wire_.reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire_.say(body)
        assert (await wire_.answer())[0] == 200


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [(b"/webhooks/shop", 64 * 1024 * 1024, 413), (b"/webhooks/nobody", 100, 404)],
)
async def test_whoever_asks_before_sending_is_refused_before_sending(
    bridge: Bridge, path: bytes, length: int, status: int
) -> None:
    async with connected(bridge) as wire_:
        await wire_.say(head({}, b"content-length: %d" % length, b"expect: 100-continue", path=path))
        assert (await wire_.answer())[0] == status


# --- no HTTP at all --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"\x00" * 1000,
        b"GET\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /webhooks/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /webhooks/shop HTTP/9.9\r\nhost: x\r\n\r\n",
        b"POST http://other.example/webhooks/shop HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT 10.0.0.1:22 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST webhooks/shop HTTP/1.1\r\nhost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /webhooks/shop HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n",
        b"GET /webhooks/shop HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nrange: bytes=0-99999999999\r\n\r\n",
        os.urandom(4096),
    ],
    ids=[
        "a TLS hello", "NULs", "no path", "SSH", "HTTP/2", "bytes in a path", "HTTP/9.9", "another host", "CONNECT",
        "no slash", "a star", "a websocket", "h2c", "a range", "noise",
    ],
)  # fmt: skip
async def test_garbage_is_refused_and_disturbs_nobody(bridge: Bridge, raw: bytes) -> None:
    async with connected(bridge) as wire_:
        await wire_.say(raw)
        with contextlib.suppress(OSError):
            wire_.writer.write_eof()
        with contextlib.suppress(TimeoutError):
            status, _, _ = await wire_.answer(within=1)
            assert status < 500
            assert status != 101


async def test_a_head_without_end_is_refused_before_it_fills_the_memory(bridge: Bridge) -> None:
    before = bridge.memory()
    for part in (b"a" * 65536, b"x-%d: y\r\n" * 6000):
        async with connected(bridge) as wire_:
            await wire_.say(b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\nx-long: ")
            began = time.monotonic()
            sent = 0
            while sent < 200 * 1024 * 1024 and not wire_.writer.is_closing():
                try:
                    wire_.writer.write(part)
                    await wire_.writer.drain()
                except ConnectionError:
                    break
                sent += len(part)
            assert sent < 50 * 1024 * 1024
            assert time.monotonic() - began < 5
    assert bridge.memory() - before < 40 * 1024 * 1024


async def test_a_head_just_within_the_bound_is_read(bridge: Bridge) -> None:
    headers, body = order(303)
    noise = b"x-noise: " + b"n" * (wire.LARGEST_HEAD - 4096)
    async with connected(bridge) as wire_:
        await wire_.say(head(headers, noise, b"content-length: %d" % len(body)), body)
        assert (await wire_.answer())[0] == 200


async def test_who_sends_too_long_a_head_is_told_so(bridge: Bridge) -> None:
    async with connected(bridge) as wire_:
        await wire_.say(b"POST /webhooks/shop HTTP/1.1\r\nhost: x\r\nx-long: ")
        for _ in range(wire.LARGEST_HEAD // 4096 + 32):  # what came with the first packet is not counted
            await wire_.say(b"a" * 4096)
            await asyncio.sleep(0.001)
        status, headers, _ = await wire_.answer()
    assert status in (431, 0)  # 0: the reset of what was still under way came first
    if status:
        assert headers["connection"] == "close"


async def test_whoever_does_not_finish_in_time_is_let_go() -> None:
    """A connection that never says anything, half a head, half a body: each would keep a place for ever."""

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    class Hasty(wire.Wire):
        patience = 0.4

    async with hosted(app, Hasty) as port:
        made = Bridge(None, port)  # type: ignore[arg-type]
        for part, status in (
            (b"", 408),
            (b"POST / HT", 408),
            (head({}, b"content-length: 9") + b"1234", 408),
            (head({}, b"content-length: 0") + b"POST / HTTP/1.1\r\n", 408),
        ):
            async with connected(made) as one:
                await one.say(part)
                if b"length: 0" in part:
                    assert (await one.answer())[0] == 200
                assert (await one.answer(within=3))[0] == status
                assert await one.closed(within=1)
        async with connected(made) as idle:  # between two requests the keep-alive time counts, which is longer
            await idle.say(head({}, b"content-length: 0"))
            assert (await idle.answer())[0] == 200
            await asyncio.sleep(1)
            await idle.say(head({}, b"content-length: 0"))
            assert (await idle.answer())[0] == 200
    async with hosted(app, Hasty, timeout_keep_alive=1) as port, connected(Bridge(None, port)) as idle:  # type: ignore[arg-type]
        await idle.say(head({}, b"content-length: 0"))
        assert (await idle.answer())[0] == 200
        assert (await idle.answer(within=3))[0] == 0  # nothing more is said
        assert await idle.closed(within=1)


async def test_an_answer_leaves_in_one_piece_however_it_is_made() -> None:
    """The head waits for what comes next, and never for what does not come."""

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]
        path = scope["path"]
        headers = [] if path == "/chunks" else [(b"content-length", b"0" if path == "/empty" else b"4")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if path == "/breaks":
            raise RuntimeError("after its head")
        if path == "/chunks":
            await send({"type": "http.response.body", "body": b"one", "more_body": True})
            await send({"type": "http.response.body", "body": b"two"})
            return
        await send({"type": "http.response.body", "body": b"" if path == "/empty" else b"four"})

    async with hosted(app, wire.Wire) as port:
        for line, ending in (
            (b"GET /four", b"\r\n\r\nfour"),
            (b"HEAD /four", b"content-length: 4\r\n\r\n"),
            (b"GET /empty", b"content-length: 0\r\n\r\n"),
            (b"GET /chunks", b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
            (b"GET /breaks", b"content-length: 4\r\n\r\n"),
        ):
            async with connected(Bridge(None, port)) as one:  # type: ignore[arg-type]
                for _ in range(1 if line == b"GET /breaks" else 3):
                    await one.say(line + b" HTTP/1.1\r\nhost: x\r\n\r\n")
                    said = await asyncio.wait_for(one.reader.readuntil(ending), 5)
                    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
                    assert said.count(b"HTTP/1.1") == 1


@contextlib.asynccontextmanager
async def hosted(app: object, protocol: type, **more: int) -> AsyncIterator[int]:
    import uvicorn

    from bridge.sandbox.serving import Guest, bound

    taken = bound("127.0.0.1", 0)
    fixed = {"ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    server = Guest(uvicorn.Config(app, http=protocol, **fixed, **more))  # type: ignore[arg-type]
    task = asyncio.create_task(server.serve(sockets=[taken]))
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    try:
        yield taken.getsockname()[1]
    finally:
        server.should_exit = True
        await task


# --- signals ---------------------------------------------------------------------------------------------------


async def test_sigterm_answers_what_is_under_way_and_ends_with_0(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SOURCES + HOOK.format(url=UNREACHABLE))
    headers, body = order(1)
    with running(folder) as bridge:
        async with connected(bridge) as under_way, connected(bridge) as idle, connected(bridge) as half:
            await under_way.say(head(headers, b"content-length: %d" % len(body)), body[:20])
            await half.say(b"POST /webhooks/shop HT")
            await idle.say(head({}, path=b"/healthz", method=b"GET"))
            assert (await idle.answer())[0] == 200
            bridge.signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            assert bridge.alive
            await under_way.say(body[20:])
            status, _, said = await under_way.answer()
            assert (status, json.loads(said)["status"]) == (200, "accepted")
            began = time.monotonic()
            assert await asyncio.to_thread(bridge.process.wait, 15) == 0
            assert time.monotonic() - began < 5
    assert len(folder.rows("SELECT id FROM deliveries")) == 1
    assert "Traceback" not in folder.log()


async def test_sigterm_waits_for_the_call_that_has_left(tmp_path: Path) -> None:
    """Its answer is written down: a call whose end nobody saw would be in doubt after every deployment."""
    reached, go = asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):  # type: ignore[no-untyped-def]
        while (await receive()).get("more_body"):
            pass
        reached.set()
        await go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    async with serving(slow) as url:
        folder = Folder(tmp_path, SOURCES + HOOK.format(url=url).replace("1 second", "20 seconds"))
        with running(folder) as bridge:
            assert (await deliver(bridge, *order(1))).status_code == 200
            await asyncio.wait_for(reached.wait(), 10)
            bridge.signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert bridge.alive
            go.set()
            assert await asyncio.to_thread(bridge.process.wait, 15) == 0
    [row] = folder.rows("SELECT state FROM forwards")
    assert row["state"] == "delivered"


async def test_a_body_that_never_ends_does_not_keep_a_stopping_process(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SOURCES + HOOK.format(url=UNREACHABLE))
    headers, body = order(1)
    with running(folder) as bridge:
        async with connected(bridge) as never:
            await never.say(head(headers, b"content-length: %d" % len(body)), body[:20])
            await asyncio.sleep(0.1)
            began = time.monotonic()
            bridge.signal(signal.SIGTERM)
            assert await asyncio.to_thread(bridge.process.wait, 20) == 0
            assert time.monotonic() - began < 8
    assert folder.rows("SELECT id FROM deliveries") == []


BROKEN = {
    "nothing": b"",
    "no TOML": b"[source.twitch\n",
    "not UTF-8": b"\xff\xfe[source]",
    "a lost source": SOURCES.replace("[source.shop]", "[source.other]").encode()
    + HOOK.format(url=UNREACHABLE).encode(),
    "an unknown key": (SOURCES + HOOK.format(url=UNREACHABLE)).replace("per_second", "per_scond").encode(),
    "a lost secret": (SOURCES + HOOK.format(url=UNREACHABLE)).replace("SHOP_SECRET", "NOWHERE").encode(),
    "deep": b"a = " + b"[" * 5000 + b"]" * 5000,
}


async def test_sighup_with_a_broken_file_leaves_the_old_one_in_force_and_a_good_one_applies(tmp_path: Path) -> None:
    folder = Folder(tmp_path, SOURCES + HOOK.format(url=UNREACHABLE))
    good = folder.toml.read_text()
    with running(folder) as bridge:
        assert (await deliver(bridge, *order(1))).status_code == 200
        for number, (what, broken) in enumerate(BROKEN.items(), 2):
            folder.toml.write_bytes(broken)
            size = len(folder.log())
            bridge.signal(signal.SIGHUP)
            assert await asyncio.to_thread(until, lambda: "refused" in folder.log()[size:], 5), what  # noqa: B023
            assert bridge.alive, what
            assert (await deliver(bridge, *order(number))).status_code == 200, what
        folder.toml.unlink()
        size = len(folder.log())
        bridge.signal(signal.SIGHUP)
        assert await asyncio.to_thread(until, lambda: "refused" in folder.log()[size:], 5)
        assert (await deliver(bridge, *order(50))).status_code == 200

        folder.toml.write_text(good.replace("[source.twitch]", "[source.second]\nprovider = 'twitch'"))
        for _ in range(20):  # nobody counts how often
            bridge.signal(signal.SIGHUP)

        async def known() -> int:
            async with httpx2.AsyncClient(trust_env=False) as client:
                return (await client.post(f"{bridge.url}/webhooks/second", content=b"{}")).status_code

        for _ in range(100):
            if await known() != 404:
                break
            await asyncio.sleep(0.05)
        assert await known() == 401
        assert (await deliver(bridge, *order(51))).status_code == 200
    assert not re.search(r"Traceback|never retrieved", folder.log())


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="this system cannot limit a running process")
async def test_more_connections_than_the_process_may_open_are_survived(tmp_path: Path) -> None:
    """Whoever opens connections and says nothing may keep others out for a while, and never for good."""
    folder = Folder(tmp_path, SOURCES + HOOK.format(url=UNREACHABLE))
    with running(folder) as bridge:
        resource.prlimit(bridge.process.pid, resource.RLIMIT_NOFILE, (60, 60))
        opened = []
        for _ in range(120):
            made = socket.create_connection(("127.0.0.1", bridge.port))
            made.setblocking(False)
            opened.append(made)
        await asyncio.sleep(0.3)
        assert bridge.alive
        for made in opened:
            made.close()
        assert (await deliver(bridge, *order(1))).status_code == 200
    assert len(folder.rows("SELECT id FROM deliveries")) == 1
