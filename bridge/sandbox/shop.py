"""A shop that signs as Shopify does.

https://shopify.dev/docs/apps/build/webhooks: X-Shopify-Hmac-Sha256 is the base64 of the HMAC-SHA256 over
the raw body under the app's client secret. No time is signed, and the webhook's id is not either; it
stays the same over all deliveries of one webhook. Amounts are text in the shop's currency.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx2

from .sending import Answered, at_once, post
from .standin import Clock

VERSION = "2026-07"


def sign(secret: str, body: bytes) -> str:
    """The value of X-Shopify-Hmac-Sha256."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook, however often it is delivered."""

    id: str
    topic: str
    shop: str
    triggered_at: str
    body: bytes

    def headers(self, secret: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "X-Shopify-Topic": self.topic,
            "X-Shopify-Hmac-Sha256": sign(secret, self.body),
            "X-Shopify-Shop-Domain": self.shop,
            "X-Shopify-API-Version": VERSION,
            "X-Shopify-Webhook-Id": self.id,
            "X-Shopify-Event-Id": f"98880550-7158-44d4-b7cd-{self.id[-12:]}",
            "X-Shopify-Triggered-At": self.triggered_at,
        }

    def under(self, id: str) -> Webhook:
        """The same bytes under another id: what somebody who captured them can send, because the id is not signed."""
        return replace(self, id=id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """A customer of the shop."""

    id: int
    first_name: str
    email: str
    phone: str = ""
    verified: bool = True

    def described(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "email": self.email,
            "phone": self.phone or None,
            "first_name": self.first_name,
            "last_name": "Sample",
            "verified_email": self.verified,
            "state": "enabled",
            "currency": "EUR",
            "admin_graphql_api_id": f"gid://shopify/Customer/{self.id}",
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the shop keeps it."""

    id: int
    number: int
    buyer: Buyer | None  # None: a guest
    total: Decimal
    currency: str
    at: datetime
    refunded: Decimal = Decimal(0)
    test: bool = False


class Shop:
    """The sender: keeps orders and posts webhooks about them to one callback."""

    def __init__(
        self,
        *,
        callback: str,
        secret: str,
        clock: Clock,
        domain: str = "sandbox-shop.myshopify.com",
        numbers: Iterator[int] | None = None,
    ) -> None:
        self.callback = callback
        self.secret = secret
        self.clock = clock
        self.domain = domain
        self.numbers = numbers or itertools.count(1)
        self.orders: dict[int, Order] = {}

    def order(self, buyer: Buyer | None, total: str | Decimal, *, currency: str = "EUR", test: bool = False) -> Order:
        """Somebody orders and pays; nothing is sent yet."""
        number = next(self.numbers)
        # Real order ids are beyond 2^53 in Shopify's own test payloads: a float would change them.
        made = Order(
            id=820_982_911_946_000_000 + number,
            number=1000 + number,
            buyer=buyer,
            total=Decimal(total),
            currency=currency,
            at=self.clock(),
            test=test,
        )
        self.orders[made.id] = made
        return made

    def paid(self, order: Order) -> Webhook:
        return self._webhook("orders/paid", self._described(order, "paid"))

    def cancelled(self, order: Order, *, why: str = "customer") -> Webhook:
        gone = replace(order, refunded=order.total)
        self.orders[order.id] = gone
        body = self._described(gone, "refunded") | {"cancelled_at": _iso(self.clock()), "cancel_reason": why}
        return self._webhook("orders/cancelled", body)

    def refund(self, order: Order, amount: str | Decimal | None = None) -> Webhook:
        """Money back for an order: a part of it, or all that is left."""
        known = self.orders[order.id]
        back = known.total - known.refunded if amount is None else Decimal(amount)
        self.orders[order.id] = replace(known, refunded=known.refunded + back)
        number = next(self.numbers)
        money = {"amount": _money(back), "currency_code": order.currency}
        moved = {
            "id": 389_404_469 + number,
            "order_id": order.id,
            "kind": "refund",
            "status": "success",
            "gateway": "bogus",
            "amount": _money(back),
            "currency": order.currency,
            "test": order.test,
            "created_at": _iso(self.clock()),
        }
        line = {
            "id": 104_689_539 + number,
            "quantity": 1,
            "line_item_id": order.id - 7,
            "restock_type": "return",
            "subtotal": float(back),
            "subtotal_set": {"shop_money": money, "presentment_money": money},
            "total_tax": 0.0,
        }
        body = {
            "id": 890_088_186_000_000 + number,
            "order_id": order.id,
            "created_at": _iso(self.clock()),
            "processed_at": _iso(self.clock()),
            "note": "Returned by the customer",
            "user_id": 548_380_009,
            "restock": True,
            "transactions": [moved],
            "refund_line_items": [line],
            "order_adjustments": [],
            "admin_graphql_api_id": f"gid://shopify/Refund/{890_088_186_000_000 + number}",
        }
        return self._webhook("refunds/create", body)

    def joined(self, buyer: Buyer) -> Webhook:
        now = _iso(self.clock())
        consent = {"state": "not_subscribed", "opt_in_level": "single_opt_in", "consent_updated_at": None}
        body = buyer.described() | {"created_at": now, "updated_at": now, "email_marketing_consent": consent}
        return self._webhook("customers/create", body)

    async def post(self, client: httpx2.AsyncClient, webhook: Webhook, *, secret: str = "") -> Answered:
        """One delivery; with another `secret` it is a forgery."""
        return await post(client, self.callback, webhook.headers(secret or self.secret), webhook.body)

    async def repeat(self, client: httpx2.AsyncClient, webhook: Webhook, times: int) -> list[Answered]:
        """The same webhook several times at once."""
        return await at_once(client, self.callback, [webhook.headers(self.secret)] * times, webhook.body)

    def _described(self, order: Order, status: str) -> dict[str, Any]:
        total, left = _money(order.total), _money(order.total - order.refunded)
        money = {"amount": total, "currency_code": order.currency}
        line = {"id": order.id - 7, "title": "Enamel mug", "quantity": 1, "price": total, "sku": "MUG-1"}
        return {
            "id": order.id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order.id}",
            "name": f"#{order.number}",
            "order_number": order.number,
            "email": order.buyer.email if order.buyer else "guest@example.com",
            "contact_email": order.buyer.email if order.buyer else "guest@example.com",
            "phone": None,
            "created_at": _iso(order.at),
            "processed_at": _iso(order.at),
            "updated_at": _iso(self.clock()),
            "cancelled_at": None,
            "cancel_reason": None,
            "currency": order.currency,
            "presentment_currency": order.currency,
            "total_price": total,
            "current_total_price": left,
            "subtotal_price": total,
            "total_tax": "0.00",
            "total_discounts": "0.00",
            "total_price_set": {"shop_money": money, "presentment_money": money},
            "financial_status": status,
            "test": order.test,
            "discount_codes": [],
            "line_items": [line],
            "customer": order.buyer.described() if order.buyer else None,
        }

    def _webhook(self, topic: str, body: Mapping[str, Any]) -> Webhook:
        return Webhook(
            id=f"b54557e4-bdd9-4b37-8a5f-{next(self.numbers):012x}",
            topic=topic,
            shop=self.domain,
            triggered_at=_iso(self.clock()),
            body=json.dumps(body, separators=(",", ":")).encode(),
        )


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
