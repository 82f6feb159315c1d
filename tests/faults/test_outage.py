"""Loyalty APIs that are down, slow, lying or where they should not be: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bridge.app import open_bridge, read_config
from bridge.env import Env
from bridge.kit import ConfigError
from bridge.talk.wire import reachable
from bridge.web import build
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, SECRETS, Builder, Clock, House, Vendor, states

PACED = HEAD.replace("per_second = 1000", "per_second = 5")


def progress(count: int) -> tuple[int, list[dict[str, object]]]:
    terms = {"id": 7, "isRepeatable": True, "type": "SocialMedia"}
    return 200, [{"rewardsCampaignId": 7, "achievedCount": count, "rewardCampaignConfiguration": terms}]


async def pass_time(house: House, *, seconds: float, step: float) -> list[int]:
    """Let time go by and the worker work; how many calls left in each step."""
    calls = []
    for _ in range(round(seconds / step)):
        before = len(house.vendor.asked)
        await house.work()
        calls.append(len(house.vendor.asked) - before)
        house.clock.tick(seconds=step)
    return calls


# --- an hour without the API -----------------------------------------------------------------------------------

DOWN = [
    pytest.param(httpx2.ConnectError("connection refused"), id="refused connections"),
    pytest.param(httpx2.ConnectTimeout("no route"), id="no route"),
    pytest.param((503, {}), id="503"),
    pytest.param((503, {}, {"retry-after": "120"}), id="503 with Retry-After"),
    pytest.param((500, {}), id="500"),
    pytest.param(httpx2.ReadTimeout("silence"), id="silence"),
    pytest.param(httpx2.RemoteProtocolError("hung up"), id="hang-ups"),
    pytest.param((429, {}, {"retry-after": "30"}), id="429"),
]


@pytest.mark.parametrize("answer", DOWN)
async def test_an_hour_without_a_keyed_api_loses_and_doubles_nothing(build_house: Builder, answer: Any) -> None:
    async with build_house(ORDER_RULE, head=PACED) as house:
        house.vendor.always("POST", "hook.test", answer)
        for number in range(200):
            assert (await house.order(number, customer={"id": number, "email": None})).status_code == 200
        await pass_time(house, seconds=3600, step=5)
        rows = await house.forwards()
        assert states(rows) == ["pending"] * 200
        assert [row["id"] for row in rows if row["due_at"] is None and row["parked"] is None] == []
        tried = len(house.vendor.asked)
        if isinstance(answer, tuple) and answer[0] == 429:
            assert tried <= 3600 / 30 * 35
        else:  # the breaker: one call at a time, ever more rarely
            assert tried < 60

        house.vendor.always("POST", "hook.test", (200, {}))
        house.vendor.asked.clear()
        calls = await pass_time(house, seconds=7200, step=5)
        assert states(await house.forwards()) == ["delivered"] * 200
        keys = Counter(one.headers["webhook-id"] for one in house.vendor.asked)
        assert set(keys.values()) == {1}
        # What has piled up comes at the target's own rate and not all at once.
        assert max(calls) <= 5 * 5 + 5


@pytest.mark.parametrize("answer", DOWN)
async def test_an_hour_without_an_unkeyed_api_pays_each_reward_once(build_house: Builder, answer: Any) -> None:
    """Before it takes effect or after it has, on the way there or on the way back: nobody can see which."""
    async with build_house(FOLLOW_RULE, head=PACED) as house:
        paid: Counter[str] = Counter()
        house.vendor.always("GET", "gameball.test", lambda asked: progress(paid[customer_in(asked.path)]))

        def pay(asked: Any) -> Any:
            paid[asked.json["customerId"]] += 1
            return 202, {"customerId": asked.json["customerId"], "challengeId": 7}

        def half(asked: Any) -> Any:
            nothing_left = isinstance(answer, httpx2.ConnectError | httpx2.ConnectTimeout)
            told_so = isinstance(answer, tuple) and answer[0] in (429,)
            if int(asked.json["customerId"][1:]) % 2 and not nothing_left and not told_so:
                pay(asked)
            return answer

        house.vendor.always("POST", "gameball.test", half)
        for number in range(60):
            await house.link(f"c{number}", f"a{number}")
            await house.follow(f"a{number}")
        await pass_time(house, seconds=3600, step=10)
        assert max(paid.values(), default=0) <= 1

        house.vendor.always("POST", "gameball.test", pay)
        await pass_time(house, seconds=4 * 3600, step=20)
        assert states(await house.forwards()) == ["delivered"] * 60
        assert paid == {f"c{number}": 1 for number in range(60)}


def customer_in(path: str) -> str:
    return path.split("/customers/")[1].partition("/")[0]


async def test_reads_that_fail_for_an_hour_send_nothing_twice(build_house: Builder) -> None:
    """The API takes the calls and cannot be asked about them: that is no licence to call again."""
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(4))
        house.vendor.answers("POST", "gameball.test", httpx2.ReadTimeout("silence"))
        await house.link("ann", "1")
        await house.follow("1")
        await house.work()
        house.vendor.always("GET", "gameball.test", (503, {}))
        await pass_time(house, seconds=4 * 3600, step=60)
        assert len(house.vendor.calls("POST", "gameball.test")) == 1
        assert (await house.forward())["state"] == "pending"
        house.vendor.always("GET", "gameball.test", progress(5))
        await pass_time(house, seconds=1800, step=60)
        assert (await house.forward())["state"] == "delivered"
        assert len(house.vendor.calls("POST", "gameball.test")) == 1


async def test_an_api_that_never_does_it_is_not_called_until_the_end_of_time(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE) as house:
        house.vendor.always("GET", "gameball.test", progress(0))
        house.vendor.always("POST", "gameball.test", (500, {}))
        await house.link("ann", "1")
        await house.follow("1")
        await pass_time(house, seconds=10 * 86400, step=300)
        row = await house.forward()
        assert row["state"] == "failed"
        assert "used up" in row["reason"]
        assert len(house.vendor.calls("POST", "gameball.test")) < 15


async def test_the_bridge_may_restart_in_the_middle_of_an_outage(build_house: Builder) -> None:
    async with build_house(ORDER_RULE, head=PACED) as house:
        house.vendor.always("POST", "hook.test", (503, {}))
        for number in range(50):
            await house.order(number, customer={"id": number, "email": None})
        await pass_time(house, seconds=600, step=10)
    async with build_house(ORDER_RULE, head=PACED) as house:
        await pass_time(house, seconds=600, step=10)
        house.vendor.always("POST", "hook.test", (200, {}))
        await pass_time(house, seconds=7200, step=10)
        assert states(await house.forwards()) == ["delivered"] * 50


# --- slow and lying, over real sockets -------------------------------------------------------------------------

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def vendor_saying(*answers: bytes | Handler) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server of bytes: each request meets the next answer, the last one stays."""
    asked: list[bytes] = []
    left = list(answers)
    open_: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    (
                        int(line.split(b":")[1])
                        for line in head.lower().split(b"\r\n")
                        if line[:15] == b"content-length:"
                    ),
                    0,
                )
                asked.append(head + await reader.readexactly(length))
                answer = left.pop(0) if len(left) > 1 else left[0]
                if callable(answer):
                    await answer(reader, writer)
                else:
                    writer.write(answer)
                    await writer.drain()
                if b"connection: close" in (answer if isinstance(answer, bytes) else b"").lower():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            open_.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()
        for writer in list(open_):
            writer.close()


def http(status: str, body: bytes = b"{}", *headers: bytes, kind: bytes = b"application/json") -> bytes:
    lines = [b"HTTP/1.1 " + status.encode(), b"content-type: " + kind, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def house_at(path: Path, url: str, *, head: str = HEAD, private: bool = True) -> AsyncIterator[House]:
    """A bridge whose targets stand at a real address."""
    toml = path / "bridge.toml"
    whole = head.replace("https://hook.test/in", f"{url}/in").replace("https://gameball.test", url)
    whole = whole.replace("per_second = 1000", 'per_second = 1000\ntimeout = "1 second"')
    if not private:
        whole = whole.replace("allow_private_networks = true", "allow_private_networks = false")
    toml.write_text(whole + ORDER_RULE + FOLLOW_RULE)
    env = Env(toml, f"sqlite:///{path / 'bridge.db'}", ("test",), "test", SECRETS)
    clock = Clock()
    async with (
        open_bridge(env, read_config(env), clock=clock) as bridge,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(build(bridge)), base_url="https://x.test") as client,
    ):
        yield House(bridge, clock, Vendor(), client, toml=toml)


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b" " * 65536)
            await writer.drain()


async def endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    with contextlib.suppress(ConnectionError):
        for number in range(1_000_000):
            writer.write(b"x-%d: y\r\n" % number * 100)
            await writer.drain()


async def endless_hints(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 100)
            await writer.drain()
            await asyncio.sleep(0)


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


PAGE = b"<!doctype html><h1>Checking your browser</h1>"
BOMB = gzip.compress(b" " * 300_000_000)

LIES = [
    # what a keyed target made of it: state after one attempt
    pytest.param(http("200 OK", PAGE, kind=b"text/html"), "pending", id="200 and a page"),
    pytest.param(http("200 OK", b"not json"), "delivered", id="200 and no JSON"),
    pytest.param(http("204 No Content", b""), "delivered", id="204"),
    pytest.param(http("302 Found", b"", b"location: http://169.254.169.254/latest/"), "pending", id="a redirect"),
    pytest.param(http("308 Permanent Redirect", b"", b"location: /elsewhere"), "pending", id="a permanent redirect"),
    pytest.param(http("403 Forbidden"), "pending", id="403"),
    pytest.param(http("404 Not Found"), "failed", id="404"),
    pytest.param(http("410 Gone"), "pending", id="410"),
    pytest.param(http("429 Too Many Requests", b"{}", b"retry-after: soon"), "pending", id="429 and nonsense"),
    pytest.param(http("503 Service Unavailable", b"", b"retry-after: -99999999999999999999"), "pending", id="503"),
    pytest.param(http("503 Busy", b"", b"retry-after: Wed, 21 Oct 2999 07:28:00 GMT"), "pending", id="503 until 2999"),
    pytest.param(http("599 Whatever"), "pending", id="599"),
    pytest.param(http("999 Whatever"), "pending", id="999"),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" + http("200 OK"), "delivered", id="hints, then 200"
    ),
    pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "pending", id="101"),
    pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", "pending", id="a status of four digits"),
    pytest.param(b"ICY 200 OK\r\n\r\n", "pending", id="another protocol"),
    pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", "pending", id="TLS where none is spoken"),
    pytest.param(http("200 OK", b"{}", b"content-length: 7"), "pending", id="two lengths"),
    pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "pending", id="a negative length"),
    pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "pending", id="no chunk"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\n{}", "pending", id="half an answer"
    ),
    pytest.param(http("200 OK", b"\x00\xff\xfe" * 100), "delivered", id="200 and bytes"),
    pytest.param(http("200 OK", b" " * 3_000_000), "delivered", id="200 and three megabytes"),
    pytest.param(http("200 OK", BOMB, b"content-encoding: gzip"), "delivered", id="a bomb"),
    pytest.param(http("200 OK", b"\x1f\x8b no gzip", b"content-encoding: gzip"), None, id="gzip that is none"),
    pytest.param(http("200 OK", b"[" * 200_000), "delivered", id="brackets"),
    pytest.param(endless_body, "delivered", id="an answer without end"),
    pytest.param(endless_head, "pending", id="a head without end"),
    pytest.param(endless_hints, "pending", id="hints without end"),
    pytest.param(dripping, "pending", id="an answer that drips"),
    pytest.param(silence, "pending", id="silence"),
    pytest.param(hang_up, "pending", id="a reset"),
]


@pytest.mark.parametrize(("answer", "state"), LIES)
async def test_whatever_a_target_answers_the_worker_goes_on(tmp_path: Path, answer: Any, state: str | None) -> None:
    async with vendor_saying(answer) as (url, asked), house_at(tmp_path, url) as house:
        await house.order()
        async with asyncio.timeout(10):
            await house.work()
        row = await house.forward()
        assert state in (row["state"], None), (row["state"], row["reason"])
        assert row["state"] in ("delivered", "pending", "failed")
        assert len(asked) == 1
        assert b"GET " not in asked[0], "a redirect was followed"
        if row["state"] == "pending":
            assert row["reason"]
            assert row["due_at"] is not None
        [attempt] = await house.rows("attempts")
        assert attempt["ended_at"] is not None
        assert len(attempt["answer"]) <= 2048
        assert "\x00" not in attempt["answer"] + attempt["note"] + row["reason"]


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        pytest.param(http("200 OK", PAGE, kind=b"text/html"), {"pending"}, id="200 and a page"),
        pytest.param(http("202 Accepted", b"[]"), {"pending"}, id="202 and a list"),
        pytest.param(http("202 Accepted", b'{"gameballStatus":"disabled"}'), {"pending"}, id="switched off"),
        pytest.param(http("200 OK", b'{"error":"no"}'), {"accepted", "pending"}, id="200 with an error in it"),
        pytest.param(http("202 Accepted", b"[" * 100_000), {"pending"}, id="brackets"),
        pytest.param(http("400 Bad Request", b'{"code":{},"message":[]}'), {"failed"}, id="odder types"),
        pytest.param(http("500 Error", b"\xff"), {"pending"}, id="500 and bytes"),
        pytest.param(hang_up, {"pending"}, id="a reset"),
        pytest.param(silence, {"pending"}, id="silence"),
    ],
)
async def test_an_unkeyed_target_that_lies_is_not_called_again_before_it_was_asked(
    tmp_path: Path, answer: Any, allowed: set[str]
) -> None:
    count = b'[{"rewardsCampaignId":7,"achievedCount":0}]'
    answers = http("200 OK", count), answer, http("200 OK", count)
    async with vendor_saying(*answers) as (url, asked), house_at(tmp_path, url) as house:
        await house.link("ann", "1")
        await house.follow("1")
        async with asyncio.timeout(10):
            await house.work()
        row = await house.forward()
        assert row["state"] in allowed, row["reason"]
        house.clock.tick(minutes=3)
        await house.work()
    assert sum(1 for one in asked if one.startswith(b"POST")) <= 1


@pytest.mark.parametrize("baseline", [
    http("200 OK", PAGE, kind=b"text/html"), http("200 OK", b"{}"), http("500 Error"), silence, hang_up, dripping,
    http("302 Found", b"", b"location: http://10.0.0.1/"), http("200 OK", b"[" * 100_000),
    http("200 OK", b'[{"rewardsCampaignId":7,"achievedCount":1e999}]'),
], ids=["a page", "an object", "500", "silence", "a reset", "drops", "a redirect", "brackets", "infinity"])  # fmt: skip
async def test_what_could_not_be_read_before_the_call_is_a_try_and_not_a_loop(tmp_path: Path, baseline: Any) -> None:
    async with vendor_saying(baseline) as (url, asked), house_at(tmp_path, url) as house:
        await house.link("ann", "1")
        await house.follow("1")
        async with asyncio.timeout(10):
            await house.work()
        row = await house.forward()
        [attempt, *_] = await house.rows("attempts")
        assert attempt["ended_at"] is not None
        assert row["state"] in ("pending", "accepted", "failed")
        assert row["reason"]
        if row["state"] == "pending" and not any(one.startswith(b"POST") for one in asked):
            assert row["sent"] == 0
            assert row["tries"] == 1


async def test_an_answer_that_comes_twice_is_no_answer_to_the_next_call(tmp_path: Path) -> None:
    """What lies about on a kept connection belongs to nobody: read as the next answer it would lose a reward."""
    answers = [http("200 OK") + http("200 OK"), http("422 Unprocessable", b'{"error":"no"}')]
    async with vendor_saying(*answers) as (url, asked), house_at(tmp_path, url) as house:
        await house.order(1, customer={"id": 1, "email": None})
        await house.work()
        await asyncio.sleep(0.05)
        await house.order(2, customer={"id": 2, "email": None})
        await house.work()
        assert states(await house.forwards()) == ["delivered", "pending"]
        house.clock.tick(minutes=2)
        await house.work()
        assert states(await house.forwards()) == ["delivered", "failed"]
        assert len(asked) == 3


async def test_an_answer_nobody_asked_for_is_no_answer_to_the_next_call(tmp_path: Path) -> None:
    """Proxies say 408 to a connection that has been idle for long, and close it."""

    async def then_408(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(http("200 OK"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(http("200 Not Yours", b"{}"))
        await writer.drain()

    async with vendor_saying(then_408, http("422 Unprocessable")) as (url, _), house_at(tmp_path, url) as house:
        await house.order(1, customer={"id": 1, "email": None})
        await house.work()
        await asyncio.sleep(0.2)
        await house.order(2, customer={"id": 2, "email": None})
        await house.work()
        assert states(await house.forwards()) == ["delivered", "failed"]


# --- where a target may be -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0",
        "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_of_the_public_network_is_not_called(address: str) -> None:
    assert not reachable(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_an_address_of_the_public_network_is_called(address: str) -> None:
    assert reachable(address)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """Something private that must hear nothing."""
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(5)
    made.setblocking(False)
    yield made
    made.close()


def heard(listening: socket.socket) -> bool:
    try:
        listening.accept()[0].close()
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "0.0.0.0", "2130706433", "0x7f000001", "0x7f.1", "127.1",
        "0177.0.0.1", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::]",
        "①②⑦.0.0.1",
    ],
)  # fmt: skip
async def test_a_private_target_is_never_connected_to_however_it_is_written(
    tmp_path: Path, listening: socket.socket, host: str
) -> None:
    port = listening.getsockname()[1]
    async with house_at(tmp_path, f"http://{host}:{port}", private=False) as house:
        await house.order()
        await house.work()
        row = await house.forward()
        assert row["state"] == "pending"
        assert row["sent"] == 0 or (await house.rows("attempts"))[0]["resolution"] == "did not happen"
        assert not heard(listening)
        assert row["tries"] in (0, 1)


async def test_a_name_that_leads_to_a_private_address_is_refused_at_the_very_address(
    tmp_path: Path, listening: socket.socket
) -> None:
    """The loop's resolver is the only thing replaced: what the guard has checked is what is connected to."""
    loop, asked = asyncio.get_running_loop(), []
    real = loop.getaddrinfo
    answers = [["127.0.0.1"], ["127.0.0.1", "::1"], ["10.0.0.1", "169.254.169.254"]]

    async def resolve(host: Any, port: Any, **more: Any) -> Any:
        asked.append(host)
        if host != "rebound.test":
            return await real(host, port, **more)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in answers[len(asked) % len(answers)]]

    loop.getaddrinfo = resolve  # type: ignore[method-assign]
    port = listening.getsockname()[1]
    async with house_at(tmp_path, f"http://rebound.test:{port}", private=False) as house:
        await house.order()
        for _ in range(4):
            await house.work()
            house.clock.tick(hours=1)
        assert (await house.forward())["state"] == "pending"
        assert asked
        assert not heard(listening)


async def test_switching_private_networks_on_and_off_takes_effect_with_the_file(
    tmp_path: Path, listening: socket.socket
) -> None:
    port = listening.getsockname()[1]
    async with house_at(tmp_path, f"http://127.0.0.1:{port}", private=False) as house:
        await house.order()
        await house.work()
        assert not heard(listening)
        house.toml.write_text(house.toml.read_text().replace("networks = false", "networks = true"))
        assert await house.bridge.reload() == []
        await house.bridge.db.transact(lambda tx: tx.run("UPDATE targets SET paused_at = NULL"))
        house.clock.tick(minutes=30)
        await house.work()
        assert heard(listening)


@pytest.mark.parametrize(
    "url",
    [
        "http://nobody.invalid", "http://a..b", "http://" + "a" * 64 + ".example", "http://" + "a." * 200 + "example",
        "http://-.example", "http://xn--a", "http://127.0.0.1:1",
    ],
    ids=["no such name", "an empty label", "a long label", "a long name", "a dash", "a broken IDN", "nobody listens"],
)  # fmt: skip
async def test_a_name_that_cannot_be_looked_up_is_no_doubt_and_is_tried_again(tmp_path: Path, url: str) -> None:
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def resolve(host: Any, port: Any, **more: Any) -> Any:
        if str(host).endswith((".invalid", "example")) and len(host) < 60:  # asks no real resolver
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await real(host, port, **more)

    loop.getaddrinfo = resolve  # type: ignore[method-assign]
    async with house_at(tmp_path, url) as house:
        await house.order()
        await house.link("ann", "1")
        await house.follow("1")
        await house.work()
        for row in await house.forwards():
            assert row["state"] == "pending"
            assert row["reason"]
            assert row["tries"] == 1
            assert row["open"] is None
        assert {one["resolution"] for one in await house.rows("attempts")} == {"did not happen"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999", "http://127.0.0.1:0", "ftp://127.0.0.1", "http://[::1"])
async def test_an_address_that_cannot_be_one_is_refused_or_leaves_no_doubt(tmp_path: Path, url: str) -> None:
    toml = tmp_path / "bridge.toml"
    toml.write_text(HEAD.replace("https://hook.test/in", url) + ORDER_RULE)
    with contextlib.suppress(ConfigError):
        read_config(Env(toml, f"sqlite:///{tmp_path / 'bridge.db'}", ("test",), "test", SECRETS))
        async with house_at(tmp_path, url) as house:
            await house.order()
            await house.work()
            row = await house.forward()
            assert row["state"] == "pending"
            assert {one["resolution"] for one in await house.rows("attempts")} == {"did not happen"}
