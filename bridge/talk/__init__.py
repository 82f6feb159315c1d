"""The only network: drives a provider's talk over HTTP, and says what a failure proves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

import httpcore2
import httpx2

from bridge.kit import Outcome, Request, Response, Talk, Unavailable

from .wire import Forbidden, Transport

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


class Bearer:
    """A bearer token that is fetched when it is first needed, kept, and fetched once more when it is refused."""

    def __init__(self, fetch: Callable[[], Talk[str | Outcome]]) -> None:
        self.fetch = fetch
        self.token = ""
        self.turn = asyncio.Lock()


class Talker:
    """
    Talks to third parties on the providers' behalf.

    It hands requests straight to the transport: no redirects are followed (they would carry secret headers
    elsewhere), no cookies kept, nothing read from the environment, and so nothing of a client is needed.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, clock: Callable[[], datetime], agent: str) -> None:
        self._transport, self._clock, self._agent = transport, clock, agent

    async def hold(
        self,
        talk: Talk[T],
        *,
        within: timedelta,
        sign: Sign | None = None,
        heard: list[Response] | None = None,
        bearer: Bearer | None = None,
    ) -> T:
        """
        Hold a conversation to its end and return what it learned.

        `heard` collects the answers. Could not be held: `Failed`, whose `sent` is true if a request
        that changes something may have arrived without an answer. `bearer`: for requests that say `authorized`.
        """
        earlier = now = False  # whether something was risked: by what came before, and with what is asked now
        try:
            async with asyncio.timeout(within.total_seconds()):
                try:
                    request = next(talk)
                    while True:
                        risky, asked, token = earlier or not request.harmless, request, ""
                        with_token = request.authorized and bearer is not None
                        for last in (False, True) if with_token else (True,):
                            # While a token is fetched, nothing is risked; refused with 401, nothing has happened.
                            now = earlier
                            if with_token and bearer is not None:
                                token = await self._token(bearer, earlier, stale=token)
                                asked = _with_token(request, token)
                            now = risky
                            response = await self._ask(asked, sign, earlier, now)
                            if last or response.status != 401:
                                break
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

    async def _token(self, bearer: Bearer, earlier: bool, *, stale: str) -> str:
        """The token; another than `stale`, which was refused."""
        async with bearer.turn:
            if bearer.token and bearer.token != stale:
                return bearer.token
            talk = bearer.fetch()
            try:
                request = next(talk)
                while True:
                    request = talk.send(await self._ask(request, None, earlier, earlier))
            except StopIteration as stop:
                given: str | Outcome = stop.value
                bearer.token = given if isinstance(given, str) else ""
            except Unavailable as failure:
                if isinstance(failure, Failed):
                    raise
                raise Failed(failure.message, sent=earlier) from None
            finally:
                talk.close()
            if not bearer.token:
                why = given.note if isinstance(given, Outcome) else "no token is given for our key: it is refused"
                raise Failed(why, sent=earlier, ours=not earlier)
            return bearer.token

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
                    _url(request.url),
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


@lru_cache(maxsize=256)
def _url(url: str) -> httpx2.URL:
    """An address, parsed once: that costs as much as signing a call."""
    return httpx2.URL(url)


def _with_token(request: Request, token: str) -> Request:
    return replace(request, headers={**request.headers, "authorization": f"Bearer {token}"})


def _place(url: str) -> str:
    """An address as it may be written down: without what follows the host, which can carry tokens."""
    try:
        parts = httpx2.URL(url)
    except httpx2.InvalidURL:
        return "an address that is none"
    return f"{parts.scheme}://{parts.host}" + (f":{parts.port}" if parts.port else "")


__all__ = ["Bearer", "Failed", "Sign", "Talker", "Transport"]
