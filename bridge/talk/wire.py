"""The wire: connections to third parties, behind the egress guard."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from typing import Any

import httpcore2
import httpx2


class Forbidden(httpcore2.ConnectError):
    """The address is one this bridge does not call."""


class Stream(httpcore2.AsyncNetworkStream):
    """
    A connection over asyncio's own streams.

    A read waits as long as the whole conversation may last, so it needs no timer of its own; the library's
    stream sets three timers for each request, which is a sixth of what a request costs.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.heard = False  # whether anything has come since we last said something

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            said = await self._reader.read(max_bytes)
            self.heard = True
            return said
        except (OSError, ssl.SSLError) as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not buffer:
            return
        self.heard = False
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except (OSError, ssl.SSLError, RuntimeError) as error:
            raise httpcore2.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()
        with suppress(OSError, ssl.SSLError, TimeoutError):
            async with asyncio.timeout(1):  # a peer that never says goodbye keeps nobody
                await self._writer.wait_closed()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no TLS in time") from error
        except (OSError, ssl.SSLError) as error:
            raise httpcore2.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Asked of an idle connection: has the other side closed it, or said what nobody asked for?
            unasked = bool(self._reader._buffer)  # type: ignore[attr-defined]
            return unasked or self._reader.at_eof() or self._writer.is_closing()
        if info == "ssl_object":
            return self._writer.get_extra_info("ssl_object")
        return self._writer.get_extra_info({"client_addr": "sockname", "server_addr": "peername"}.get(info, info))


class Guarded(httpcore2.AsyncNetworkBackend):
    """Looks a name up once, refuses what is private, and connects to the very address it has checked."""

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface of httpcore2)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                return await self._connect(host, port)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} could not be reached in time") from error

    async def _connect(self, host: str, port: int) -> httpcore2.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # UnicodeError: it is no name at all
            raise httpcore2.ConnectError(f"{host} could not be looked up: {error}") from error
        addresses = [str(info[4][0]) for info in found]
        allowed = addresses if self._allow_private() else [one for one in addresses if reachable(one)]
        if not allowed:
            raise Forbidden(
                f"{host} is a private address; allow_private_networks = true allows it, for tests and in-house APIs"
            )
        failure: Exception | None = None
        for address in allowed[:4]:
            try:
                return Stream(*await asyncio.open_connection(address, port))
            except (OSError, OverflowError) as error:  # OverflowError: there is no such port
                failure = error
        raise httpcore2.ConnectError(f"{host}: {failure}") from failure

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        raise Forbidden("this bridge calls no local sockets")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def reachable(address: str) -> bool:
    """Whether this is an address of the public network; an IPv4 address inside an IPv6 one counts as itself."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            ip = inner
        elif ip in ipaddress.ip_network("64:ff9b::/96"):
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        elif ip not in ipaddress.ip_network("2000::/3"):
            return False  # all that is public so far; elsewhere lie forms of IPv4 and of local addresses that stay
    return ip.is_global and not ip.is_multicast


class Transport(httpx2.AsyncBaseTransport):
    """
    Connections over the guarded backend.

    httpx2 has no public way to hand in a backend; and its pool polls the socket of every idle connection for each
    request, which at 32 in flight costs as much as the requests themselves.
    """

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._backend = Guarded(allow_private)
        self._context = httpx2.create_ssl_context()
        self._idle: dict[str, list[httpcore2.AsyncHTTPConnection]] = {}  # by origin
        self._open: set[httpcore2.AsyncHTTPConnection] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.raw_scheme not in (b"http", b"https"):
            raise httpcore2.UnsupportedProtocol(f"an address begins with https://, not {url.scheme!r}")
        wire = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connection = await self._connection(wire.url.origin)
        try:
            answer = await connection.handle_async_request(wire)
            stream = answer.extensions.get("network_stream")
            if isinstance(stream, Stream) and not stream.heard:
                # It lay there before we asked: the rest of an earlier answer, and none to this request.
                raise httpcore2.RemoteProtocolError("it answered before it was asked")
        except BaseException:
            await asyncio.shield(self._drop(connection))
            raise
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Stream(answer.stream, lambda: self._free(wire.url.origin, connection)),
            extensions=answer.extensions,
        )

    async def _connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        """One that is idle and still good, the last used first; else a new one."""
        idle = self._idle.setdefault(str(origin), [])
        while idle:
            connection = idle.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await self._drop(connection)
        made = httpcore2.AsyncHTTPConnection(
            origin, ssl_context=self._context, keepalive_expiry=30, network_backend=self._backend
        )
        self._open.add(made)
        return made

    def _free(self, origin: httpcore2.Origin, connection: httpcore2.AsyncHTTPConnection) -> None:
        """Whoever had it is done: it serves the next request, or it is closed already."""
        if connection.is_idle():
            self._idle[str(origin)].append(connection)
        else:
            self._open.discard(connection)

    async def _drop(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        self._open.discard(connection)
        await connection.aclose()

    async def aclose(self) -> None:
        for connection in tuple(self._open):
            await self._drop(connection)


class _Stream(httpx2.AsyncByteStream):
    """An answer's body; its connection is free for the next request once it is closed."""

    def __init__(self, stream: Any, free: Callable[[], None]) -> None:
        self._stream, self._free = stream, free

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
        free, self._free = self._free, lambda: None
        free()
