"""What every stand-in has besides its vendor's routes: a journal, a state to read, faults to arm.

GET    /sandbox/journal   every request the vendor's routes were sent, and how it was answered
GET    /sandbox/state     what the stand-in knows
GET    /sandbox/faults    the faults that wait; POST arms one or a list, DELETE lifts them all
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import faults as bad
from .faults import Answer, Fault, Faults

Clock: TypeAlias = Callable[[], datetime]

#: Headers that a journal shows; of all others it shows only that they came.
SHOWN = ("webhook-", "svix-", "idempotency-key", "content-type", "twitch-eventsub-", "x-shopify-topic")
KEPT = 5000  # requests; the numbers go on counting

#: The ASGI extension by which a server lets a stand-in hang up. serving.py provides it.
HANG_UP = "sandbox.hang_up"


def encode(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class StandIn:
    """A vendor's routes with a journal in front of them, and faults between.

    `secret`: names of fields whose values no journal shows. Where there are any, it shows no pages either.
    """

    def __init__(
        self,
        vendor: ASGIApp,
        *,
        clock: Clock,
        state: Callable[[], Mapping[str, Any]],
        error: Callable[[int], Any],
        also: Sequence[BaseRoute] = (),
        secret: Collection[str] = (),
    ) -> None:
        self.vendor = vendor
        self.clock = clock
        self.state = state
        self.error = error
        self.secret = secret
        self.faults = Faults()
        self.journal: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.asked = 0
        self._controls = Starlette(
            routes=[
                Route("/sandbox/journal", self._journal),
                Route("/sandbox/state", self._state),
                Route("/sandbox/faults", self._faults, methods=["GET", "POST", "DELETE"]),
                *also,
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/sandbox/"):
            await self._controls(scope, receive, send)
            return
        body = await _whole(receive)
        fault = self.faults.take(scope["method"], scope["path"])
        entry = self._entry(scope, body, fault)
        answer = await self._answer(scope, body, entry, fault)
        entry["status"] = answer.status if answer else None
        entry["answer"] = _readable(answer.body[:2048], self.secret) if answer else None
        if answer is None:
            await _hang_up(scope, receive)
        else:
            await _send(answer, scope, receive, send)

    async def _answer(self, scope: Scope, body: bytes, entry: dict[str, Any], fault: Fault | None) -> Answer | None:
        if fault is None:
            return await self._vendor(scope, body, entry)
        if fault.kind == "slow_before":
            await asyncio.sleep(fault.seconds)
        own = await self._vendor(scope, body, entry) if fault.kind in bad.AFTER else None
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "cut" and own:
            return Answer(own.status, own.headers, own.body[: len(own.body) // 2], whole=False)
        if fault.kind in ("slow", "slow_before"):
            return own
        return bad.instead(fault, self.error, encode)

    async def _vendor(self, scope: Scope, body: bytes, entry: dict[str, Any]) -> Answer:
        """Let the vendor's routes answer, and keep the answer to ourselves."""
        started: Message = {}
        parts: list[bytes] = []
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                await asyncio.Event().wait()  # nothing more will come, and nobody has left
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message
            else:
                parts.append(message.get("body", b""))

        await self.vendor({**scope, "sandbox.entry": entry}, receive, send)
        return Answer(started["status"], tuple(started.get("headers", ())), b"".join(parts))

    def _entry(self, scope: Scope, body: bytes, fault: Fault | None) -> dict[str, Any]:
        self.asked += 1
        names = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        entry: dict[str, Any] = {
            "number": self.asked,
            "at": self.clock().isoformat(),
            "method": scope["method"],
            "path": scope["path"],
            "query": _pairs(scope["query_string"].decode("latin-1"), self.secret),
            "headers": {name: value if name.startswith(SHOWN) else "redacted" for name, value in names},
            "body": _readable(body, self.secret),
            "fault": fault.kind if fault else None,
            "status": None,
            "answer": None,
        }
        self.journal.append(entry)
        return entry

    async def _journal(self, request: Request) -> Response:
        return JSONResponse({"asked": self.asked, "requests": list(self.journal)})

    async def _state(self, request: Request) -> Response:
        return JSONResponse({**self.state(), "faults": self.faults.listed()})

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.lift()
        elif request.method == "POST":
            try:
                given = await request.json()
                armed = [bad.read(one) for one in (given if isinstance(given, list) else [given])]
            except (ValueError, TypeError) as error:
                return JSONResponse({"error": str(error)}, 400)
            for fault in armed:
                self.faults.add(fault)
        return JSONResponse({"faults": self.faults.listed()})


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _readable(body: bytes, secret: Collection[str]) -> Any:
    try:
        return _hidden(json.loads(body), secret) if body else None
    except ValueError:
        text = body.decode(errors="replace")
    # What is neither JSON nor a form is a page, or JSON that was too long: either may hold what is not to be shown.
    return text if not secret else _pairs(text, secret) if "=" in text and text.isprintable() else "not shown"


def _hidden(value: Any, secret: Collection[str]) -> Any:
    match value:
        case dict():
            return {name: "redacted" if name in secret else _hidden(one, secret) for name, one in value.items()}
        case list():
            return [_hidden(one, secret) for one in value]
    return value


def _pairs(text: str, secret: Collection[str]) -> str:
    """A query or a form; as it came, where nothing in it is to be hidden."""
    if not secret:
        return text
    found = parse_qsl(text, keep_blank_values=True)
    return urlencode([(name, "redacted" if name in secret else value) for name, value in found])


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(name, value) for name, value in answer.headers if name != b"content-length"]
    promised = len(answer.body) + (0 if answer.whole else 20)
    headers.append((b"content-length", str(promised).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": not answer.whole})
    if not answer.whole:
        await _hang_up(scope, receive)


async def _hang_up(scope: Scope, receive: Receive) -> None:
    """Close the connection as it is. Without a server that can, the caller's task sees the exception."""
    extension = (scope.get("extensions") or {}).get(HANG_UP)
    if not extension:
        raise ConnectionResetError("the stand-in hung up, as it was told to")
    extension["now"]()
    while (await receive())["type"] != "http.disconnect":
        pass  # uvicorn would answer 500 for an application that returns before the connection is gone
