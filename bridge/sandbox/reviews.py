"""A site of reviews that signs as Standard Webhooks asks: the id, the time and the raw body under one secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md. The id stays the same
over all deliveries of one message; the time is that of the delivery.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx2

from .sending import Answered, at_once, post
from .standin import Clock


def sign(secret: str, name: str, at: datetime, body: bytes) -> str:
    """The value of webhook-signature."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, f"{name}.{int(at.timestamp())}.".encode() + body, hashlib.sha256)
    return "v1," + base64.b64encode(made.digest()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One message about one review."""

    id: str
    body: bytes


class Reviews:
    """The sender: makes messages and posts them to one callback."""

    def __init__(self, *, callback: str, secret: str, clock: Clock, numbers: Iterator[int] | None = None) -> None:
        self.callback = callback
        self.secret = secret
        self.clock = clock
        self.numbers = numbers or itertools.count(1)

    def review(self, reviewer: str, *, stars: int = 5, product: str = "enamel-mug") -> Review:
        number = next(self.numbers)
        told = {"id": f"rev_{number}", "reviewer_id": reviewer, "product": product, "stars": stars}
        body = {"type": "review.published", "timestamp": self.clock().isoformat(), "data": told}
        return Review(id=f"msg_{number}", body=json.dumps(body, separators=(",", ":")).encode())

    async def post(self, client: httpx2.AsyncClient, message: Review, *, secret: str = "") -> Answered:
        """One delivery; with another `secret` it is a forgery."""
        return await post(client, self.callback, self._headers(message, secret or self.secret), message.body)

    async def repeat(self, client: httpx2.AsyncClient, message: Review, times: int) -> list[Answered]:
        """The same message several times at once."""
        return await at_once(client, self.callback, [self._headers(message, self.secret)] * times, message.body)

    def _headers(self, message: Review, secret: str) -> dict[str, str]:
        now = self.clock()
        return {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": sign(secret, message.id, now, message.body),
        }
