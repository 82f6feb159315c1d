"""Signed orders, as a shop sends them: made before the clock starts."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import time
from collections.abc import Iterator

SECRET = "bench-shop-secret"
_BODY = {
    "id": 0,
    "admin_graphql_api_id": "gid://shopify/Order/0",
    "name": "#1001",
    "financial_status": "paid",
    "test": False,
    "currency": "EUR",
    "total_price": "60.00",
    "subtotal_price": "50.00",
    "processed_at": "",
    "created_at": "",
    "cancelled_at": None,
    "source_name": "web",
    "note": "x" * 200,
    "customer": {"id": 0, "email": None, "phone": None, "verified_email": False},
    "line_items": [{"id": n, "quantity": 1, "title": "A thing that somebody buys", "price": "20.00"} for n in range(3)],
    "discount_codes": [],
}
_numbers = itertools.count(int(time.time()) * 1_000)


def orders(count: int, *, customers: int = 20_000, path: str = "/webhooks/shop") -> list[bytes]:
    """So many requests, each another order; about 1.2 KB of body each."""
    made = []
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for _ in range(count):
        number = next(_numbers)
        body = json.dumps(
            {
                **_BODY,
                "id": number,
                "processed_at": at,
                "created_at": at,
                "customer": {"id": number * 7919 % customers, "email": None, "phone": None, "verified_email": False},
            }
        ).encode()
        mac = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256")).decode()
        made.append(
            (
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                f"X-Shopify-Topic: orders/paid\r\nX-Shopify-Webhook-Id: {number:032x}\r\n"
                f"X-Shopify-Shop-Domain: bench.myshopify.com\r\nX-Shopify-Hmac-Sha256: {mac}\r\n"
                f"User-Agent: Shopify-Captain-Hook\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode()
            + body
        )
    return made


def endless(requests: list[bytes]) -> Iterator[bytes]:
    """The same requests for ever: for servers that do not care."""
    return itertools.cycle(requests)
