"""`/webhooks/{source}`: the platforms' door. Raw ASGI, because this path carries the load."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import structlog

from bridge.app import Bridge
from bridge.config import SourceTable
from bridge.flows.ingest import admit, diagnosis, understand, unfit
from bridge.flows.refuse import refused
from bridge.kit import (
    BadSignature,
    Inbound,
    MethodNotAllowed,
    Rejected,
    Reply,
    Stale,
    UnknownSource,
    UnsupportedMediaType,
)
from bridge.kit.errors import StoreError

from .guard import Scope, body_of, headers_of

log = structlog.get_logger("webhooks")

#: Diagnoses of bad signatures cost hashing; a flood of forgeries gets so many a second and no more.
DIAGNOSES_A_SECOND = 20
TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    415: "Unsupported Media Type",
}


class Webhooks:
    """Receives deliveries and answers once they are on disk."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self._second = 0
        self._diagnosed = 0

    async def __call__(self, scope: Scope, receive: Any, send: Any, name: str) -> None:
        try:
            await self._handle(scope, receive, send, name)
        except Exception:
            log.exception("a webhook met a bug of ours", source=name)
            await answer(send, 500, {"type": "about:blank", "title": "Internal Server Error", "status": 500})

    async def _handle(self, scope: Scope, receive: Any, send: Any, name: str) -> None:
        headers, repeated = headers_of(scope)
        scene = self.bridge.scene()
        source = scene.config.sources.get(name)
        body = b""

        def inbound() -> Inbound:
            return Inbound(
                source=name,
                method=scope["method"],
                url=self._url(scope),
                headers=headers,
                body=body,
                received_at=scene.now,
                repeated=repeated,
            )

        try:
            if source is None:
                raise UnknownSource(f"there is no [source.{name[:60]}] in bridge.toml")
            if source.provider.scheme is None:
                raise UnknownSource(f"{source.provider.title} sends no webhooks: it is asked")
            if scope["method"] != "POST":
                await self._greet(source, inbound(), send)
                return
            _check_type(source, headers)
            body = await body_of(headers, receive, source.max_body)
            arrival = understand(admit(inbound(), source, scene), source, scene)
        except Rejected as refusal:
            await self._refuse(source, inbound(), refusal, send)
            return
        except ConnectionError:
            return
        try:
            try:
                found = await self.bridge.take_in(arrival)
            except StoreError:
                raise
            except Exception as error:
                # It fails by itself and not for the store's sake: what it says is kept, and nothing follows from it.
                log.error("a delivery could not be kept as it was read", source=name, error=type(error).__name__)
                found = await self.bridge.take_in(unfit(arrival, error))
        except StoreError as error:
            log.error("a delivery could not be stored", source=name, error=error.message)
            await answer(send, 503, {"status": "not stored", "reason": "try_again"}, [(b"retry-after", b"5")])
            return
        if arrival.reply is not None:
            await reply(send, arrival.reply)
            return
        told = b'{"status":"%b","delivery":"%b"}' % (found.status.encode(), found.delivery.encode())
        await _send(send, 200, told, [(b"content-type", b"application/json")])

    def _url(self, scope: Scope) -> str:
        query = scope.get("query_string", b"")
        path = scope.get("raw_path") or scope["path"].encode()
        whole = path + b"?" + query if query else path
        return f"{self.bridge.config.public_url}{whole.decode('latin-1')}"

    async def _greet(self, source: SourceTable, inbound: Inbound, send: Any) -> None:
        if inbound.method not in ("GET", "HEAD") or source.provider.greet is None:
            raise MethodNotAllowed(f"{inbound.method} is not what {source.provider.title} sends")
        await reply(send, source.provider.greet(inbound, source.settings))

    async def _refuse(self, source: SourceTable | None, inbound: Inbound, refusal: Rejected, send: Any) -> None:
        reason = refusal.reason
        self.bridge.ledger.count("rejected", f"{source.name if source else '(unknown)'} {reason}")
        hint = ""
        if source and isinstance(refusal, BadSignature) and not isinstance(refusal, Stale) and self._may_diagnose():
            hint = diagnosis(inbound, source, self.bridge.scene())
        elif isinstance(refusal, Stale):
            hint = "the secret is right: a clock is wrong, or this is an old delivery played again"
        row = refused(self.bridge.ids("rej"), inbound, source, refusal, hint, public_url=self.bridge.config.public_url)
        self.bridge.ledger.refuse(row)
        extra = [(b"allow", b"POST")] if refusal.status == 405 else []
        await answer(
            send,
            refusal.status,
            {
                "type": "about:blank",
                "title": TITLES.get(refusal.status, "Refused"),
                "status": refusal.status,
                "reason": reason,
            },
            extra,
            media_type=b"application/problem+json",
        )

    def _may_diagnose(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._diagnosed = second, 0
        self._diagnosed += 1
        return self._diagnosed <= DIAGNOSES_A_SECOND


def _check_type(source: SourceTable, headers: Mapping[str, str]) -> None:
    given = headers.get("content-type", "")
    if not given or not source.provider.media_types:
        return
    kind = given.partition(";")[0].strip().lower()
    for wanted in source.provider.media_types:
        if kind == wanted or (wanted == "application/json" and kind.endswith("+json")):
            return
    raise UnsupportedMediaType(
        f"{source.provider.title} sends {' or '.join(source.provider.media_types)}, not {kind[:60]}"
    )


async def answer(
    send: Any,
    status: int,
    value: Any,
    headers: list[tuple[bytes, bytes]] | None = None,
    media_type: bytes = b"application/json",
) -> None:
    """Answer with JSON."""
    body = json.dumps(value, separators=(",", ":")).encode()
    await _send(send, status, body, [(b"content-type", media_type), *(headers or [])])


async def reply(send: Any, made: Reply) -> None:
    """Answer a handshake."""
    kind = f"{made.media_type}; charset=utf-8" if made.media_type == "text/plain" else made.media_type
    nosniff = (b"x-content-type-options", b"nosniff")
    await _send(send, made.status, made.body, [(b"content-type", kind.encode()), nosniff])


async def _send(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
