"""Who hears what happens at the stand-in platform: EventSub subscriptions, made by API or by whoever puts it together.

https://dev.twitch.tv/docs/eventsub/manage-subscriptions/. What is sent, twitch.py makes; the callback may be any
address, where Twitch takes https on port 443 alone.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from .helix import error
from .platform_api import Helix, No, rfc3339
from .platform_grants import Grants
from .platform_people import Account, People
from .twitch import VERSIONS, EventSub, Message

#: What must be allowed by the channel before an application hears of it.
SCOPES = {"channel.follow": "moderator:read:followers", "channel.subscribe": "channel:read:subscriptions"}


@dataclass(slots=True, eq=False)
class Listener:
    """A subscription, or all of those that somebody has put here by hand."""

    id: str
    about: Sequence[str]
    sender: EventSub
    client_id: str
    created_at: str
    status: str = "enabled"

    def row(self) -> dict[str, Any]:
        condition = {"broadcaster_user_id": self.sender.channel.id, "moderator_user_id": self.sender.channel.id}
        return {
            "id": self.id,
            "status": self.status,
            "type": self.about[0],
            "version": VERSIONS[self.about[0]],
            "condition": condition if self.about[0] == "channel.follow" else dict([*condition.items()][:1]),
            "created_at": self.created_at,
            "transport": {"method": "webhook", "callback": self.sender.callback},
            "cost": 0,
        }


class Listeners:
    """Everybody who hears. Messages leave in the background; `settled` waits for those on their way."""

    def __init__(
        self,
        people: People,
        grants: Grants,
        client: httpx2.AsyncClient | None,
        *,
        pauses: Sequence[float] = (1, 5, 30),
        chance: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self.people, self.grants, self.client, self.pauses, self.chance = people, grants, client, pauses, chance
        self.helix = Helix(people, grants)
        self.known: list[Listener] = []
        self._numbers = itertools.count(1)
        self._leaving: set[asyncio.Task[object]] = set()

    def routes(self) -> Sequence[BaseRoute]:
        path = "/helix/eventsub/subscriptions"
        return (
            Route(path, self.subscribe, methods=["POST"]),
            Route(path, self.show),
            Route(path, self.end, methods=["DELETE"]),
        )

    def add(self, sender: EventSub, *about: str, client_id: str = "") -> Listener:
        """Somebody who hears from now on, without being asked whether they want to."""
        about = about or tuple(VERSIONS)
        made = Listener(self.chance(), about, sender, client_id, rfc3339(self.people.clock()))
        self.known.append(made)
        return made

    def tell(self, about: str, who: Account, channel: Account) -> None:
        """Somebody has begun to follow or to pay."""
        for one in self.known:
            if about not in one.about or one.status != "enabled" or one.sender.channel is not channel.channel:
                continue
            made = one.sender.follow(who.viewer) if about == "channel.follow" else one.sender.subscribe(who.viewer)
            self._send(one.sender, made)

    async def settled(self) -> None:
        """Until everything has arrived, or was given up."""
        while self._leaving:
            await asyncio.gather(*self._leaving)

    def _send(self, sender: EventSub, message: Message) -> None:
        if self.client is None:
            return
        self._leave(sender.deliver(self.client, message, pauses=self.pauses))

    def _leave(self, on_its_way: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(on_its_way)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def subscribe(self, request: Request) -> Response:
        try:
            token = self.helix.token(request)
            if token.grant.account is not None:
                raise No(400, "invalid transport and auth combination")
            made = self._read(await request.json(), token.grant.application.client_id)
        except (ValueError, TypeError, KeyError, AttributeError):
            return JSONResponse(error(400, "The body is no subscription"), 400)
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        self.known.append(made)
        body = {"data": [made.row()], "total": len(self.known), "max_total_cost": 10000, "total_cost": 0}
        self._leave(self._ask(made))
        return JSONResponse(body, 202)

    def _read(self, body: Any, client_id: str) -> Listener:
        about, transport = body["type"], body["transport"]
        channel = self.people.numbered(body["condition"]["broadcaster_user_id"])
        if about not in SCOPES or body["version"] != VERSIONS[about]:
            raise No(400, "invalid subscription type and version")
        if transport["method"] != "webhook" or not 10 <= len(transport["secret"]) <= 100:
            raise No(400, "The secret must be an ASCII string of 10 to 100 characters")
        application = self.grants.applications[client_id]
        if channel is None or not self.grants.may(application, channel, SCOPES[about]):
            raise No(403, "subscription missing proper authorization")
        callback = str(transport["callback"])
        if any(one.about == (about,) and one.sender.callback == callback for one in self.known):
            raise No(409, "subscription already exists")
        sender = EventSub(
            channel.channel,
            callback=callback,
            secret=transport["secret"],
            clock=self.people.clock,
            numbers=self._numbers,
        )
        now, waits = rfc3339(self.people.clock()), "webhook_callback_verification_pending"
        return Listener(self.chance(), (about,), sender, client_id, now, waits)

    async def _ask(self, made: Listener) -> None:
        """Whether the callback wants to be called."""
        message = made.sender.challenge(made.about[0], challenge=self.chance())
        right = self.client is not None and await made.sender.verify(self.client, message)
        made.status = "enabled" if right else "webhook_callback_verification_failed"

    async def show(self, request: Request) -> Response:
        try:
            mine = self._mine(request)
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        data = [one.row() for one in mine]
        return JSONResponse({"data": data, "total": len(data), "max_total_cost": 10000, "pagination": {}})

    async def end(self, request: Request) -> Response:
        try:
            mine = self._mine(request)
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        found = [one for one in mine if one.id == request.query_params.get("id")]
        if not found:
            return JSONResponse(error(404, "The subscription was not found"), 404)
        self.known.remove(found[0])
        return Response(status_code=204)

    def _mine(self, request: Request) -> list[Listener]:
        client_id = self.helix.token(request).grant.application.client_id
        return [one for one in self.known if one.client_id == client_id]
