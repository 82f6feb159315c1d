"""The only network: drives a provider's talk over HTTP, and says what a failure proves."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

import httpcore2
import httpx2

from bridge.kit import Request, Response, Talk, Unavailable

T = TypeVar("T")

#: What is read of an answer. No loyalty API says anything useful after this.
LARGEST_ANSWER = 1024 * 1024
#: Seconds for each step; the whole conversation has a deadline besides.
TIMEOUTS = {"timeout": {"connect": 5.0, "pool": 5.0, "write": 10.0, "read": 30.0}}


class Failed(Unavailable):
    """A conversation broke off. `sent`: whether a request may have arrived; `ours`: it can never work."""

    def __init__(self, message: str, *, sent: bool, ours: bool = False) -> None:
        self.sent = sent
        self.ours = ours
        super().__init__(message)


class Forbidden(httpcore2.ConnectError):
    """The address is one this bridge does not call."""


class Guarded(httpcore2.AsyncNetworkBackend):
    """Looks a name up once, refuses what is private, and connects to the very address it has checked."""

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._inner = httpcore2.AnyIOBackend()
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the interface of httpcore2)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if self._allow_private():
            return await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        try:
            async with asyncio.timeout(timeout):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(f"{host} could not be looked up in time") from error
        except OSError as error:
            raise httpcore2.ConnectError(f"{host} could not be looked up: {error}") from error
        public = [info[4][0] for info in found if reachable(str(info[4][0]))]
        if not public:
            raise Forbidden(
                f"{host} is a private address; allow_private_networks = true allows it, for tests and in-house APIs"
            )
        failure: Exception | None = None
        for address in public[:4]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure or httpcore2.ConnectError(f"{host} has no address")

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
    return ip.is_global and not ip.is_multicast


class Transport(httpx2.AsyncBaseTransport):
    """
    Connections over the guarded backend, each in a pool of its own.

    httpx2 has no public way to hand in a backend; and a pool of many polls the socket of every idle
    connection for each request, which at 32 in flight costs as much as the requests themselves.
    """

    def __init__(self, allow_private: Callable[[], bool]) -> None:
        self._backend = Guarded(allow_private)
        self._context = httpx2.create_ssl_context()
        self._idle: dict[tuple[bytes, bytes, int | None], list[httpcore2.AsyncConnectionPool]] = {}
        self._pools: set[httpcore2.AsyncConnectionPool] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        idle = self._idle.setdefault((url.raw_scheme, url.raw_host, url.port), [])
        pool = idle.pop() if idle else self._pool()
        wire = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            answer = await pool.handle_async_request(wire)
        except BaseException:
            self._pools.discard(pool)
            await asyncio.shield(pool.aclose())
            raise
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Stream(answer.stream, lambda: idle.append(pool)),
            extensions=answer.extensions,
        )

    def _pool(self) -> httpcore2.AsyncConnectionPool:
        made = httpcore2.AsyncConnectionPool(
            ssl_context=self._context, max_connections=1, keepalive_expiry=30, network_backend=self._backend
        )
        self._pools.add(made)
        return made

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


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


#: Raised before a single byte of the request has left: nothing happened.
NEVER_SENT = (
    httpcore2.ConnectError,
    httpcore2.ConnectTimeout,
    httpcore2.PoolTimeout,
    httpcore2.ProxyError,
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
)
#: The address or the request itself is wrong: no repeat helps.
NEVER_RIGHT = (
    httpcore2.UnsupportedProtocol,
    httpcore2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.InvalidURL,
)

#: Adds headers over the exact bytes that are sent.
Sign = Callable[[bytes], Mapping[str, str]]


class Talker:
    """
    Talks to third parties on the providers' behalf.

    It hands requests straight to the transport: no redirects are followed (they would carry secret headers
    elsewhere), no cookies kept, nothing read from the environment, and so nothing of a client is needed.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, clock: Callable[[], datetime], agent: str) -> None:
        self._transport, self._clock, self._agent = transport, clock, agent

    async def hold(
        self, talk: Talk[T], *, within: timedelta, sign: Sign | None = None, heard: list[Response] | None = None
    ) -> T:
        """
        Hold a conversation to its end and return what it learned.

        `heard` collects the answers. Could not be held: `Failed`, whose `sent` is true if a request
        that changes something may have arrived without an answer.
        """
        earlier = now = False  # whether something was risked: by what came before, and with what is asked now
        try:
            async with asyncio.timeout(within.total_seconds()):
                try:
                    request = next(talk)
                    while True:
                        now = earlier or not request.harmless
                        response = await self._ask(request, sign, earlier, now)
                        earlier = now  # what was answered once stays done
                        if heard is not None:
                            heard.append(response)
                        request = talk.send(response)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]
        except TimeoutError:
            raise Failed(f"no answer within {within.total_seconds():g} s", sent=now) from None
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A provider that stumbles over an answer knows no less than one that got none.
            raise Failed(f"the answer could not be read: {type(error).__name__}: {error}", sent=now) from None
        finally:
            talk.close()

    async def _ask(self, request: Request, sign: Sign | None, earlier: bool, now: bool) -> Response:
        body, media_type = request.body()
        headers = {"user-agent": self._agent, "accept": "application/json", "accept-encoding": "identity"}
        if media_type:
            headers["content-type"] = media_type
        headers.update({name.lower(): value for name, value in request.headers.items()})
        if sign is not None:
            headers.update(sign(body))
        parts, size = [], 0
        try:
            answer = await self._transport.handle_async_request(
                httpx2.Request(
                    request.method,
                    request.url,
                    params=dict(request.params) or None,
                    content=body or None,
                    headers=headers,
                    extensions=TIMEOUTS,
                )
            )
            try:
                async for part in answer.stream:  # type: ignore[union-attr]
                    parts.append(part)
                    size += len(part)
                    if size > LARGEST_ANSWER:
                        break
            finally:
                await answer.aclose()
        except NEVER_RIGHT as error:
            said = f"{request.method} {_place(request.url)}: {error}"
            raise Failed(said, sent=earlier, ours=not earlier) from None
        except NEVER_SENT as error:
            said = f"{_place(request.url)} cannot be reached: {error}"
            raise Failed(said, sent=earlier, ours=isinstance(error, Forbidden) and not earlier) from None
        except (httpcore2.TimeoutException, httpx2.TimeoutException):
            raise Failed(f"{_place(request.url)} did not answer in time", sent=now) from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpx2.HTTPError) as error:
            raise Failed(f"{_place(request.url)} broke off: {error}", sent=now) from None
        return Response(
            status=answer.status_code,
            body=b"".join(parts)[:LARGEST_ANSWER],
            headers={name.lower(): value for name, value in answer.headers.items()},
            at=self._clock(),
        )


def _place(url: str) -> str:
    """An address as it may be written down: without what follows the host, which can carry tokens."""
    parts = httpx2.URL(url)
    return f"{parts.scheme}://{parts.host}" + (f":{parts.port}" if parts.port else "")
