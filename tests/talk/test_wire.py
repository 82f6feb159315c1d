"""The wire over real sockets: TLS, reused and dropped connections, what each failure proves."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.kit import Outcome, Request, Talk, Verdict
from bridge.talk import Failed, Talker, Transport
from bridge.talk.wire import reachable

WITHIN = timedelta(seconds=5)
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def ask(url: str, method: str = "POST") -> Talk[Outcome]:
    response = yield Request(method, url, json={"a": 1} if method == "POST" else None)
    return Outcome(Verdict.DONE, f"{response.status} {response.body.decode()}")


@asynccontextmanager
async def serving(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)  # type: ignore[misc]
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    if b"content-length:" in lower:
        await reader.readexactly(int(lower.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0]))
    return head


@pytest.fixture
async def talker() -> AsyncIterator[Talker]:
    async with Transport(lambda: True) as transport:
        yield Talker(transport, lambda: datetime.now(UTC), "Test/1")


async def test_one_connection_serves_many_requests(talker: Talker) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await read_request(reader)
            writer.write(OK)

    async with serving(answer) as port:
        for _ in range(5):
            assert (await talker.hold(ask(f"http://127.0.0.1:{port}/"), within=WITHIN)).note == "200 {}"
    assert connections == 1


async def test_a_connection_the_other_side_has_closed_is_not_used_again(talker: Talker) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()

    async with serving(answer) as port:
        for _ in range(3):
            await talker.hold(ask(f"http://127.0.0.1:{port}/"), within=WITHIN)
            await asyncio.sleep(0.02)


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(60)


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.05)


async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"\x00\x01 this is no HTTP\r\n\r\n")
    await writer.drain()


@pytest.mark.parametrize("answer", [hang_up, say_nothing, trickle, garbage], ids=lambda one: one.__name__)
async def test_a_call_that_left_and_got_no_answer_may_have_arrived(talker: Talker, answer: object) -> None:
    async with serving(answer) as port:  # type: ignore[arg-type]
        for method, sent in (("POST", True), ("GET", False)):
            with pytest.raises(Failed) as failure:
                await talker.hold(ask(f"http://127.0.0.1:{port}/", method), within=timedelta(seconds=0.3))
            assert failure.value.sent is sent


async def test_a_refused_connection_proves_that_nothing_arrived(talker: Talker) -> None:
    async with serving(hang_up) as port:
        pass
    with pytest.raises(Failed) as failure:
        await talker.hold(ask(f"http://127.0.0.1:{port}/"), within=WITHIN)
    assert not failure.value.sent
    assert not failure.value.ours


async def test_a_second_request_that_fails_does_not_forget_what_the_first_did(talker: Talker) -> None:
    def two(url: str) -> Talk[Outcome]:
        yield Request("POST", url, json={})
        yield Request("GET", "http://127.0.0.1:1/")
        return Outcome(Verdict.DONE)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        await writer.drain()

    async with serving(answer) as port:
        with pytest.raises(Failed) as failure:
            await talker.hold(two(f"http://127.0.0.1:{port}/"), within=WITHIN)
    assert failure.value.sent


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


async def test_tls_is_spoken_and_a_certificate_nobody_vouches_for_is_refused(talker: Talker, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(OK)

    async with serving(answer, context) as port:
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(Failed) as failure:
            await talker.hold(ask(url), within=WITHIN)
        assert not failure.value.sent
        trusting = Transport(lambda: True)
        trusting._context.load_verify_locations(cert)
        async with trusting:
            friend = Talker(trusting, lambda: datetime.now(UTC), "Test/1")
            for _ in range(2):
                assert (await friend.hold(ask(url), within=WITHIN)).note == "200 {}"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "::"],
)  # fmt: skip
def test_private_addresses_are_not_reached(address: str) -> None:
    assert not reachable(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111"])
def test_public_addresses_are(address: str) -> None:
    assert reachable(address)


async def test_a_private_address_is_refused_before_anything_leaves() -> None:
    async with Transport(lambda: False) as transport:
        shy = Talker(transport, lambda: datetime.now(UTC), "Test/1")
        for url in ("http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://2130706433/"):
            with pytest.raises(Failed) as failure:
                await shy.hold(ask(url), within=WITHIN)
            assert not failure.value.sent
            assert failure.value.ours, url
