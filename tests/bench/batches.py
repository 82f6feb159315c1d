"""What batches are measured with: Voyado's stand-in as a process, and the same target three ways."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from bridge import env as environment
from bridge.app import Bridge, open_bridge, working
from bridge.web import build
from providers.loyalty.voyado import target as voyado

from . import servers

#: The same target three ways: one call a row, batches that read every baseline, and as it is shipped.
SINGLE = replace(voyado, name="single", send_many=None, most_at_once=1, baseline_keeps=timedelta(0))
READING = replace(voyado, name="reading", baseline_keeps=timedelta(0))
WAYS = ("single", "reading", "voyado")

TABLES = """
public_url = "http://127.0.0.1:8000"
allow_private_networks = true
plugins = ["tests.bench.single", "tests.bench.reading"]
[source.shop]
provider = "shopify"
webhook_secret = "env:SHOP_SECRET"
[target.{way}]
base_url = "http://127.0.0.1:{port}"
api_key = "env:VOYADO_API_KEY"
find_by = "email"
per_second = 100000
[[rule]]
id = "order"
when = "shop.order_paid"
limit = "per subject"
send = {{ to = "{way}", definition_id = "{definition}", assign = "the customer has agreed" }}
"""
KEY, DEFINITION = "bench-key", "bbf8d0a3-7057-4b21-9fd1-a9ba21116d5c"


def stand(port: int, contacts: int) -> None:
    """Voyado's stand-in on this port, until it is ended; `/counts` tells how many award calls came."""
    from bridge.sandbox.challenges import Definition, Engage
    from bridge.sandbox.serving import bound, serving
    from bridge.sandbox.voyado import voyado as stand_in

    engage = Engage([Definition(id=DEFINITION, name="Orders", required=10**6)])
    for number in range(contacts):
        engage.join(email=f"c{number}@example.com")
    app = stand_in(engage, clock=lambda: datetime.now(UTC), api_key=KEY, per_second=10**9)
    calls = {"awards": 0, "reads": 0}

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] in ("/counts", "/healthz"):
            body = json.dumps(calls).encode()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/json")]})
            await send({"type": "http.response.body", "body": body})
            return
        if scope["type"] == "http":
            calls["awards" if scope["method"] == "POST" and scope["path"].endswith("/checkpoints") else "reads"] += 1
        await app(scope, receive, send)

    async def run() -> None:
        async with serving(counted, listening=bound("127.0.0.1", port)):
            await asyncio.Event().wait()

    asyncio.run(run())


def standing(port: int, contacts: int) -> list[str]:
    return [sys.executable, "-c", f"from tests.bench.batches import stand; stand({port}, {contacts})"]


def counts(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts", timeout=5) as answer:
        return dict(json.load(answer))


async def drained(at: Path, way: str, port: int, rows: int) -> tuple[float, dict[str, int]]:
    """Rows a second, and the calls they took, of the second award to each of so many customers."""
    (at / "bridge.toml").write_text(TABLES.format(way=way, port=port, definition=DEFINITION))
    variables = {**servers.environment(at), "VOYADO_API_KEY": KEY}
    variables["BRIDGE_DATABASE_URL"] = f"sqlite:///{at / f'{way}.db'}"
    made: dict[str, int] = {}
    for award in (1, 2):  # with the first, contacts are found and challenges assigned
        async with open_bridge(environment.read(variables)) as bridge:
            await _order(bridge, range(rows), award * rows)
            before, began = counts(port), time.perf_counter()
            async with working(bridge):
                while _delivered(at / f"{way}.db") < award * rows:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                spent, after = time.perf_counter() - began, counts(port)
            made = {name: after[name] - before[name] for name in after}
    return rows / spent, made


async def _order(bridge: Bridge, customers: Sequence[int], first: int) -> None:
    transport = httpx2.ASGITransport(build(bridge))
    async with httpx2.AsyncClient(transport=transport, base_url="http://bench") as client:
        for number in customers:
            body = json.dumps(_body(first + number, number)).encode()
            mac = base64.b64encode(hmac.digest(b"bench-shop-secret", body, "sha256")).decode()
            headers = {
                "content-type": "application/json",
                "x-shopify-topic": "orders/paid",
                "x-shopify-webhook-id": f"{first + number}",
                "x-shopify-hmac-sha256": mac,
            }
            answer = await client.post("/webhooks/shop", content=body, headers=headers)
            answer.raise_for_status()


def _body(order: int, customer: int) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {
        "id": 1_000_000 + order,
        "financial_status": "paid",
        "test": False,
        "currency": "EUR",
        "total_price": "60.00",
        "subtotal_price": "50.00",
        "processed_at": at,
        "created_at": at,
        "cancelled_at": None,
        "customer": {"id": 1 + customer, "email": f"c{customer}@example.com", "verified_email": True},
        "line_items": [],
    }


def _delivered(path: Path) -> int:
    with sqlite3.connect(path) as one:
        found = int(one.execute("SELECT count(*) FROM forwards WHERE state = 'delivered'").fetchone()[0])
    one.close()
    return found
