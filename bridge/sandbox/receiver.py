"""Somebody who receives Standard Webhooks and does as the specification asks of a receiver.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: verify `v1` or
`v1a` over the raw bytes, refuse what is older than five minutes, do nothing twice for one `webhook-id`.
Verification is written out here and shares nothing with the bridge's own.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .standin import Clock, StandIn

TOLERANCE = timedelta(minutes=5)


def fault(headers: Mapping[str, str], body: bytes, keys: Sequence[str], now: datetime) -> str:
    """What is wrong with a message; empty where it is the sender's own and fresh.

    A key is `whsec_...` for v1 or `whpk_...` for v1a.
    """
    name, stamp, given = (headers.get(f"webhook-{end}", "") for end in ("id", "timestamp", "signature"))
    if not (name and stamp and given):
        return "webhook-id, webhook-timestamp and webhook-signature are needed"
    if not (stamp.isascii() and stamp.isdigit()):
        return "webhook-timestamp is not seconds since 1970"
    if abs(now - datetime.fromtimestamp(int(stamp[:12]), UTC)) > TOLERANCE:
        return "webhook-timestamp is more than five minutes away"
    signed = f"{name}.{stamp}.".encode() + body
    for one in given.split(" "):
        version, _, value = one.partition(",")
        try:
            signature = base64.b64decode(value, validate=True)
        except ValueError:
            continue
        if any(_fits(version, key, signature, signed) for key in keys):
            return ""
    return "webhook-signature fits no key"


def _fits(version: str, key: str, signature: bytes, signed: bytes) -> bool:
    if version == "v1" and key.startswith("whsec_"):
        secret = base64.b64decode(key.removeprefix("whsec_"))
        return hmac.compare_digest(hmac.new(secret, signed, hashlib.sha256).digest(), signature)
    if version == "v1a" and key.startswith("whpk_"):
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key.removeprefix("whpk_")))
        try:
            public.verify(signature, signed)
        except InvalidSignature:
            return False
        return True
    return False


class Inbox:
    """What was received: every message once, however often it came."""

    def __init__(self) -> None:
        self.messages: dict[str, Any] = {}
        self.times: dict[str, int] = {}  # how often each came
        self.refused: list[str] = []

    @property
    def duplicates(self) -> int:
        return sum(self.times.values()) - len(self.times)

    def take(self, name: str, message: Any) -> bool:
        """Whether it is new."""
        self.times[name] = self.times.get(name, 0) + 1
        if name in self.messages:
            return False
        self.messages[name] = message
        return True

    def known(self) -> dict[str, Any]:
        return {
            "messages": self.messages,
            "times": self.times,
            "duplicates": self.duplicates,
            "refused": self.refused,
        }


def receiver(inbox: Inbox, keys: Sequence[str], *, clock: Clock, path: str = "/hook") -> StandIn:
    """An endpoint that takes messages into an inbox."""

    async def take(request: Request) -> Response:
        body = await request.body()
        if wrong := fault(request.headers, body, keys, clock()):
            inbox.refused.append(wrong)
            return JSONResponse({"error": wrong}, 401)
        try:
            message = json.loads(body)
        except ValueError:
            inbox.refused.append("the body is not JSON")
            return JSONResponse({"error": "the body is not JSON"}, 400)
        new = inbox.take(request.headers["webhook-id"], message)
        return JSONResponse({"received": True, "new": new})

    return StandIn(
        Starlette(routes=[Route(path, take, methods=["POST"])]),
        clock=clock,
        state=inbox.known,
        error=lambda status: {"error": f"the receiver answers {status}"},
    )
