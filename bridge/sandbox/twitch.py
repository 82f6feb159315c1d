"""Twitch as it sends: EventSub notifications, signed and repeated as its documentation says.

https://dev.twitch.tv/docs/eventsub/handling-webhook-events/. The signature covers the message id, the time
and the raw body; a repeated message keeps its id and its body and counts in Twitch-Eventsub-Message-Retry.
There is no notification about somebody who stops following.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import httpx2

from .helix import Channel, Viewer
from .sending import Answered, at_once, post
from .standin import Clock

Type = Literal["webhook_callback_verification", "notification", "revocation"]

#: Version of each subscription type that is sent here.
VERSIONS: Mapping[str, str] = {"channel.follow": "2", "channel.subscribe": "1", "channel.cheer": "1"}


def sign(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The value of Twitch-Eventsub-Message-Signature."""
    made = hmac.new(secret.encode(), message_id.encode() + timestamp.encode() + body, hashlib.sha256)
    return "sha256=" + made.hexdigest()


def nanoseconds(moment: datetime) -> str:
    """RFC 3339 with nine digits, as Twitch writes its times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One EventSub message."""

    id: str
    timestamp: str
    type: Type
    about: str  # the subscription's type
    body: bytes
    retry: int = 0

    def headers(self, secret: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "Twitch-Eventsub-Message-Id": self.id,
            "Twitch-Eventsub-Message-Retry": str(self.retry),
            "Twitch-Eventsub-Message-Type": self.type,
            "Twitch-Eventsub-Message-Signature": sign(secret, self.id, self.timestamp, self.body),
            "Twitch-Eventsub-Message-Timestamp": self.timestamp,
            "Twitch-Eventsub-Subscription-Type": self.about,
            "Twitch-Eventsub-Subscription-Version": VERSIONS.get(self.about, "1"),
        }


class EventSub:
    """The sender: makes messages about a channel and posts them to one callback."""

    def __init__(
        self,
        channel: Channel,
        *,
        callback: str,
        secret: str,
        clock: Clock,
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.channel = channel
        self.callback = callback
        self.secret = secret
        self.clock = clock
        self.numbers = numbers or itertools.count(1)

    def challenge(
        self, about: str = "channel.follow", *, challenge: str = "pogchamp-kappa-360noscope-vohiyo"
    ) -> Message:
        """The question by which Twitch makes sure that the callback wants to be called."""
        described = self._subscription(about, status="webhook_callback_verification_pending")
        return self._message(
            "webhook_callback_verification", about, {"challenge": challenge, "subscription": described}
        )

    def follow(self, viewer: Viewer) -> Message:
        """The viewer follows from now on; the message says so."""
        since = self.channel.follow(viewer, self.clock())
        return self._notification("channel.follow", viewer, followed_at=nanoseconds(since))

    def unfollow(self, viewer: Viewer) -> None:
        """The viewer follows no longer. Nothing is sent: whoever wants to know asks Helix."""
        self.channel.unfollow(viewer)

    def subscribe(self, viewer: Viewer, *, tier: str = "1000", gift: bool = False) -> Message:
        return self._notification("channel.subscribe", viewer, tier=tier, is_gift=gift)

    def cheer(self, viewer: Viewer | None, *, bits: int, message: str = "pogchamp") -> Message:
        """Bits from a viewer, or from nobody who wants to be named."""
        return self._notification("channel.cheer", viewer, is_anonymous=viewer is None, message=message, bits=bits)

    def revocation(self, about: str = "channel.follow", *, status: str = "authorization_revoked") -> Message:
        """The subscription is over, and why."""
        return self._message("revocation", about, {"subscription": self._subscription(about, status=status)})

    async def post(self, client: httpx2.AsyncClient, message: Message, *, secret: str = "") -> Answered:
        """One delivery; with another `secret` it is a forgery."""
        return await post(client, self.callback, message.headers(secret or self.secret), message.body)

    async def verify(self, client: httpx2.AsyncClient, message: Message) -> bool:
        """Whether the callback answers a challenge as Twitch wants it: 2xx, plain text, the challenge itself."""
        answer = await self.post(client, message)
        challenge = json.loads(message.body)["challenge"]
        plain = answer.media_type.partition(";")[0].strip() == "text/plain"
        return answer.taken and plain and answer.body == challenge.encode()

    async def deliver(
        self, client: httpx2.AsyncClient, message: Message, *, pauses: Sequence[float] = (1, 5, 30)
    ) -> list[Answered]:
        """Deliver until it is taken, with a pause before each repetition."""
        answers = [await self.post(client, message)]
        for pause in pauses:
            if answers[-1].taken:
                break
            await asyncio.sleep(pause)
            message = replace(message, retry=message.retry + 1)
            answers.append(await self.post(client, message))
        return answers

    async def repeat(self, client: httpx2.AsyncClient, message: Message, times: int) -> list[Answered]:
        """The same message several times at once, as after an acknowledgement that came too late."""
        headers = [replace(message, retry=message.retry + one).headers(self.secret) for one in range(times)]
        return await at_once(client, self.callback, headers, message.body)

    def _notification(self, about: str, viewer: Viewer | None, **more: Any) -> Message:
        event = {
            "user_id": viewer.id if viewer else None,
            "user_login": viewer.name.lower() if viewer else None,
            "user_name": viewer.name if viewer else None,
            "broadcaster_user_id": self.channel.id,
            "broadcaster_user_login": self.channel.name.lower(),
            "broadcaster_user_name": self.channel.name,
            **more,
        }
        return self._message("notification", about, {"subscription": self._subscription(about), "event": event})

    def _subscription(self, about: str, *, status: str = "enabled") -> dict[str, Any]:
        condition = {"broadcaster_user_id": self.channel.id}
        if about == "channel.follow":
            condition["moderator_user_id"] = self.channel.id
        return {
            "id": "f1c2a387-161a-49f9-a165-0f21d7a4e1c4",
            "status": status,
            "type": about,
            "version": VERSIONS.get(about, "1"),
            "cost": 0,
            "condition": condition,
            "transport": {"method": "webhook", "callback": self.callback},
            "created_at": "2026-01-16T10:11:12.634234626Z",
        }

    def _message(self, kind: Type, about: str, body: Mapping[str, Any]) -> Message:
        return Message(
            id=f"ae2ff348-e102-16be-a3eb-{next(self.numbers):012x}",
            timestamp=nanoseconds(self.clock()),
            type=kind,
            about=about,
            body=json.dumps(body, separators=(",", ":")).encode(),
        )
