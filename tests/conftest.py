"""A whole bridge in a test: real SQLite, the real app, a clock that is a variable, vendors with a script."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bridge.app import Bridge, open_bridge, read_config
from bridge.env import Env
from bridge.flows import operate
from bridge.store.rows import ms
from bridge.web import build

SECRETS = {
    "TWITCH_SECRET": "twitch-eventsub-secret",
    "SHOP_SECRET": "shop-client-secret",
    "GAMEBALL_API_KEY": "gb-api-key",
    "GAMEBALL_SECRET_KEY": "gb-secret-key",
    "SIGNING_SECRET": "whsec_" + base64.b64encode(b"signing-signing-signing-signing!").decode(),
    "WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"webhook-webhook-webhook-webhook!").decode(),
}

HEAD = """
public_url = "https://rewards.example.com"
allow_private_networks = true
[signing]
secret = ["env:SIGNING_SECRET"]
[source.twitch]
webhook_secret = ["env:TWITCH_SECRET"]
channel_id = "1337"
[source.shop]
provider = "shopify"
webhook_secret = "env:SHOP_SECRET"
[target.gameball]
base_url = "https://gameball.test"
api_key = "env:GAMEBALL_API_KEY"
secret_key = "env:GAMEBALL_SECRET_KEY"
per_second = 1000
[target.hook]
provider = "webhook"
url = "https://hook.test/in"
secret = "env:WEBHOOK_SECRET"
per_second = 1000
"""

FOLLOW_RULE = """
[[rule]]
id = "follow"
when = "twitch.follow"
send = { to = "gameball", challenge_id = 7 }
"""

ORDER_RULE = """
[[rule]]
id = "order"
when = "shop.order_paid"
where = "total >= 50.0"
limit = "per subject"
send = { to = "hook", event = "order", data = { total = "=total" } }
"""


class Clock:
    """Time is a variable."""

    def __init__(self, now: datetime = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **kwargs: float) -> None:
        self.now += timedelta(**kwargs)


@dataclass
class Asked:
    """One call a vendor received."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer = Any  # a status, (status, json), (status, json, headers), an exception, or a function of the call


class Vendor:
    """Third parties that answer from a script, and remember what they were asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: dict[tuple[str, str], list[Answer]] = {}
        self.default: dict[tuple[str, str], Answer] = {
            ("POST", "hook.test"): (200, {}),
            ("GET", "gameball.test"): (200, []),
            ("POST", "gameball.test"): (202, {"customerId": "c", "challengeId": 7}),
        }

    def answers(self, method: str, host: str, *answers: Answer) -> None:
        """The next answers to calls of this method at this host; then the default again."""
        self.script.setdefault((method, host), []).extend(answers)

    def always(self, method: str, host: str, answer: Answer) -> None:
        self.default[method, host] = answer

    def calls(self, method: str, host: str) -> list[Asked]:
        return [one for one in self.asked if one.method == method and one.headers["host"] == host]

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        asked = Asked(request.method, path, dict(request.headers), await request.aread())
        self.asked.append(asked)
        place = (request.method, request.url.host)
        waiting = self.script.get(place)
        answer = waiting.pop(0) if waiting else self.default[place]
        if callable(answer) and not isinstance(answer, type):
            answer = answer(asked)
        if hasattr(answer, "__await__"):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            answer = (answer, {})
        status, value, *rest = answer
        if isinstance(value, bytes):
            return httpx2.Response(status, content=value, headers=rest[0] if rest else {})
        return httpx2.Response(status, json=value, headers=rest[0] if rest else {})


@dataclass
class House:
    """A bridge with its doors, for a story to play in."""

    bridge: Bridge
    clock: Clock
    vendor: Vendor
    client: httpx2.AsyncClient
    number: int = 0
    toml: Path = field(default_factory=Path)

    def _next(self) -> int:
        self.number += 1
        return self.number

    async def twitch(
        self, type_: str, event: Mapping[str, Any], *, message: str = "", at: datetime | None = None, secret: str = ""
    ) -> httpx2.Response:
        body = json.dumps(
            {"subscription": {"id": "s1", "type": type_, "version": "2", "status": "enabled"}, "event": dict(event)}
        ).encode()
        message = message or f"message-{self._next()}"
        stamp = (at or self.clock.now).isoformat().replace("+00:00", "Z")
        key = (secret or SECRETS["TWITCH_SECRET"]).encode()
        mac = hmac.new(key, message.encode() + stamp.encode() + body, hashlib.sha256).hexdigest()
        return await self.client.post(
            "/webhooks/twitch",
            content=body,
            headers={
                "content-type": "application/json",
                "twitch-eventsub-message-id": message,
                "twitch-eventsub-message-timestamp": stamp,
                "twitch-eventsub-message-type": "notification",
                "twitch-eventsub-message-signature": f"sha256={mac}",
            },
        )

    async def follow(self, account: str = "1234", **kwargs: Any) -> httpx2.Response:
        event = {
            "user_id": account,
            "user_login": f"user{account}",
            "user_name": f"User{account}",
            "broadcaster_user_id": "1337",
            "broadcaster_user_login": "brand",
            "broadcaster_user_name": "Brand",
            "followed_at": self.clock.now.isoformat().replace("+00:00", "Z"),
        }
        return await self.twitch("channel.follow", event, **kwargs)

    async def shop(
        self, topic: str, value: Mapping[str, Any], *, id_: str = "", secret: str = "", source: str = "shop"
    ) -> httpx2.Response:
        body = json.dumps(dict(value)).encode()
        mac = hmac.digest((secret or SECRETS["SHOP_SECRET"]).encode(), body, "sha256")
        return await self.client.post(
            f"/webhooks/{source}",
            content=body,
            headers={
                "content-type": "application/json",
                "x-shopify-topic": topic,
                "x-shopify-shop-domain": "example.myshopify.com",
                "x-shopify-webhook-id": id_ or f"hook-{self._next()}",
                "x-shopify-hmac-sha256": base64.b64encode(mac).decode(),
            },
        )

    def order_body(self, order: int = 5001, **changes: Any) -> dict[str, Any]:
        customer = changes.pop("customer", {"id": 77, "email": "ann@example.com", "verified_email": True})
        at = self.clock.now.isoformat()
        return {
            "id": order,
            "name": f"#{order}",
            "financial_status": "paid",
            "test": False,
            "currency": "EUR",
            "total_price": "60.00",
            "subtotal_price": "55.00",
            "processed_at": at,
            "created_at": at,
            "cancelled_at": None,
            "customer": customer,
            "line_items": [{"quantity": 1}],
            "discount_codes": [],
            **changes,
        }

    async def order(self, order: int = 5001, **changes: Any) -> httpx2.Response:
        return await self.shop("orders/paid", self.order_body(order, **changes))

    async def cancel_order(self, order: int = 5001, **changes: Any) -> httpx2.Response:
        at = self.clock.now.isoformat()
        return await self.shop("orders/cancelled", self.order_body(order, cancelled_at=at, **changes))

    async def refund(self, order: int = 5001, amount: str = "20.00", refund: int = 0) -> httpx2.Response:
        return await self.shop(
            "refunds/create",
            {
                "id": refund or 900_000 + self._next(),
                "order_id": order,
                "created_at": self.clock.now.isoformat(),
                "transactions": [{"kind": "refund", "status": "success", "amount": amount, "currency": "EUR"}],
                "refund_line_items": [{"quantity": 1, "subtotal": float(amount)}],
            },
        )

    async def link(self, customer: str, account: str, source: str = "twitch", **kwargs: Any) -> Any:
        table = self.bridge.config.sources[source]
        scene = self.bridge.scene("operator:test")
        found = await self.bridge.db.transact(lambda tx: operate.link(tx, customer, table, account, scene, **kwargs))
        self.bridge.worker.wake()
        return found

    async def operate_on(self, verb: Callable[..., Any], row: Mapping[str, Any], because: str = "test") -> Any:
        """An operator's verb on one forward."""
        scene = self.bridge.scene("operator:test")
        return await self.bridge.db.transact(lambda tx: verb(tx, row["id"], scene, because))

    async def work(self) -> int:
        """Let the worker carry everything that is due now."""
        return await self.bridge.worker.catch_up()

    async def sweep(self) -> None:
        await self.bridge.chores.each_ten_seconds(self.bridge.scene("worker"), self.bridge.worker.breakers())

    async def rows(self, table: str, where: str = "1 = 1") -> list[dict[str, Any]]:
        order = {"audit": "number", "attempts": "forward, number", "customers": "id"}.get(table, "1")
        found = await self.bridge.db.read(lambda tx: tx.rows(f"SELECT * FROM {table} WHERE {where} ORDER BY {order}"))
        return [dict(row) for row in found]

    async def forwards(self) -> list[dict[str, Any]]:
        return await self.rows("forwards")

    async def forward(self) -> dict[str, Any]:
        """The one forward there is."""
        [row] = await self.forwards()
        return row

    @property
    def now_ms(self) -> int:
        return ms(self.clock.now)


class Builder:
    """Opens houses over one database file, one after another or several at once."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock, self.vendor = path, Clock(), Vendor()

    @asynccontextmanager
    async def __call__(
        self, *rules: str, head: str = HEAD, variables: Mapping[str, str] | None = None
    ) -> AsyncIterator[House]:
        toml = self.path / "bridge.toml"
        toml.write_text(head + "".join(rules))
        env = Env(
            config=toml,
            database_url=f"sqlite:///{self.path / 'bridge.db'}",
            secret_keys=("test",),
            actor="test",
            variables={**SECRETS, **(variables or {})},
        )
        async with AsyncExitStack() as stack:
            http = httpx2.MockTransport(self.vendor.handle)
            bridge = await stack.enter_async_context(open_bridge(env, read_config(env), clock=self.clock, http=http))
            client = await stack.enter_async_context(
                httpx2.AsyncClient(
                    transport=httpx2.ASGITransport(build(bridge)), base_url="https://rewards.example.com"
                )
            )
            yield House(bridge, self.clock, self.vendor, client, toml=toml)


@pytest.fixture
def build_house(tmp_path: Path) -> Builder:
    return Builder(tmp_path)


@pytest.fixture
async def house(build_house: Builder) -> AsyncIterator[House]:
    """A bridge with one rule for follows and one for orders."""
    async with build_house(FOLLOW_RULE, ORDER_RULE) as made:
        yield made


def states(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The states of rows, sorted: what most stories end with."""
    return sorted(str(row["state"]) for row in rows)
