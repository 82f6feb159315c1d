"""A customer with a browser, and a platform that signs them in from a script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from bridge.kit import Ticket
from bridge.kit.tickets import sign
from bridge.web import build
from tests.conftest import HEAD, Asked, House, Vendor

TICKETS = {"TICKET_SECRET": "tickets-of-the-shop", "TWITCH_CLIENT_SECRET": "client-secret-of-ours"}
OURS = {"sec-fetch-site": "same-origin"}

CONNECT = (
    HEAD.replace(
        'channel_id = "1337"',
        'channel_id = "1337"\nchannel_name = "brand"\nclient_id = "our-client"\n'
        'client_secret = "env:TWITCH_CLIENT_SECRET"',
    ).replace(
        "[signing]",
        '[tickets]\nsecret = "env:TICKET_SECRET"\n[signing]',
    )
).replace("allow_private", 'return_to = ["https://shop.example.com/"]\nallow_private')


@dataclass
class Platform:
    """Twitch, as far as a sign-in goes: who comes with which code, what they grant, whom they follow."""

    vendor: Vendor
    users: dict[str, str] = field(default_factory=lambda: {"1234": "ann"})  # id -> login
    follows: set[str] = field(default_factory=set)
    granted: list[str] = field(default_factory=lambda: ["user:read:follows"])
    token: Any = None  # the answer to a code, if it is not the usual one
    helix: Any = None  # the answer to everything else, the same
    revoked: list[str] = field(default_factory=list)
    created_at: str = "2020-01-01T00:00:00Z"
    followed_at: str = "2026-11-20T12:05:00Z"

    def __post_init__(self) -> None:
        self.vendor.always("POST", "id.twitch.tv", self.post)
        self.vendor.always("GET", "api.twitch.tv", self.get)

    def post(self, asked: Asked) -> Any:
        form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
        if asked.path.endswith("/revoke"):
            self.revoked.append(form["token"])
            return 200, {}
        if self.token is not None:
            return self.token(form) if callable(self.token) else self.token
        if form["grant_type"] == "refresh_token":
            who = form["refresh_token"].removeprefix("refresh-")
            return 200, {"access_token": f"access2-{who}", "refresh_token": f"refresh-{who}", "expires_in": 14400}
        who = form["code"].removeprefix("code-")
        told = {"access_token": f"access-{who}", "refresh_token": f"refresh-{who}", "expires_in": 14400}
        return 200, {**told, "scope": self.granted, "token_type": "bearer"}

    def get(self, asked: Asked) -> Any:
        if self.helix is not None:
            return self.helix(asked) if callable(self.helix) else self.helix
        who = asked.headers["authorization"].rpartition("-")[2]
        if asked.path.startswith("/helix/users"):
            return 200, {"data": [{"id": who, "login": self.users[who], "created_at": self.created_at}]}
        row = {"broadcaster_id": "1337", "broadcaster_login": "brand", "followed_at": self.followed_at}
        rows = [row] if who in self.follows else []
        return 200, {"total": len(rows), "data": rows}

    @property
    def asked_about(self) -> int:
        return sum("/channels/followed" in one.path for one in self.vendor.asked)


@dataclass
class Visitor:
    """Somebody's browser."""

    house: House
    client: httpx2.AsyncClient
    customer: str = "c-ann"

    def query(self, action: str = "twitch.follow", **changes: Any) -> str:
        told: dict[str, Any] = {
            "customer": self.customer,
            "email": f"{self.customer}@example.com",
            "return_to": "https://shop.example.com/points",
            "expires": self.house.clock.now + timedelta(days=1),
            **changes,
        }
        return sign(TICKETS["TICKET_SECRET"], action, Ticket(**told))

    async def get(self, path: str = "/connect/twitch/follow", query: str = "") -> httpx2.Response:
        whole = f"{path}?{query}" if query else path
        return await self.client.get(whole, headers={"accept": "application/json"})

    async def page(self, path: str = "/connect/twitch/follow", query: str = "") -> Mapping[str, Any]:
        found: Mapping[str, Any] = (await self.get(path, query)).json()
        return found

    async def post(self, path: str = "/connect/twitch/follow", query: str = "", **form: str) -> httpx2.Response:
        whole = f"{path}?{query}" if query else path
        return await self.client.post(whole, data=form, headers={"accept": "application/json", **OURS})

    async def begin(self, query: str | None = None, **form: str) -> str:
        """Press the button; where it leads."""
        answer = await self.post(query=self.query() if query is None else query, **form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["address"])

    async def back(self, address: str, who: str = "1234", **changes: str) -> Mapping[str, Any]:
        """Come back from the platform; the page that one sees then."""
        state = parse_qs(urlsplit(address).query)["state"][0]
        answer = await self.returned(state=state, **({"code": f"code-{who}"} | changes))
        told: Mapping[str, Any] = answer.json()
        return await self.page() if told["name"] == "leave" else told

    async def returned(self, **fields: str) -> httpx2.Response:
        return await self.client.get(
            "/connect/twitch/callback",
            params={name: value for name, value in fields.items() if value},
            headers={"accept": "application/json"},
        )

    async def connect(self, who: str = "1234") -> Mapping[str, Any]:
        return await self.back(await self.begin(), who)

    async def check(self) -> Mapping[str, Any]:
        self.house.clock.tick(seconds=30)
        answer = await self.post("/connect/twitch/follow/check")
        found: Mapping[str, Any] = answer.json()
        return found


@asynccontextmanager
async def visiting(house: House, customer: str = "c-ann") -> AsyncIterator[Visitor]:
    """A browser of its own."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(build(house.bridge)), base_url="https://rewards.example.com"
    ) as client:
        yield Visitor(house, client, customer)


async def rounds(house: House) -> None:
    """What is done for claims by itself, now."""
    assert house.bridge.worker.rounds is not None
    for target in await house.bridge.worker.rounds.go(house.bridge.scene("worker")):
        house.bridge.worker.wake(target)
    await house.bridge.worker.rounds.sweep(house.bridge.scene("worker"))


async def everything(house: House) -> str:
    """All that the store and the log of what was done hold, for looking for what must not be there."""
    tables = ("claims", "sign_ins", "grants", "codes", "links", "evidence", "forwards", "audit", "rejections", "brands")
    return json.dumps([await house.rows(name) for name in tables], default=str)
