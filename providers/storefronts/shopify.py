"""Paid orders, what became of them, and new customers, told by webhook.

Only the body is signed, neither the topic nor the delivery's id. A body therefore counts only where topic and
shape agree: an order for `orders/paid` must itself say that it is paid.
https://shopify.dev/docs/apps/build/webhooks/subscribe/https
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from bridge.kit import (
    Action,
    Customer,
    Delivery,
    Evidence,
    Fact,
    FirstPresent,
    Hmac,
    Ignored,
    Sample,
    Setting,
    Settings,
    Source,
    Unreadable,
)
from bridge.kit.reading import amount, maybe, table, tables, text, when, whole

from ._proxy import proxied

Body = Mapping[str, Any]
Told = Ignored | Iterable[Evidence | Customer]

TOPICS = ("x-shopify-topic", "shopify-topic")
SIGNATURES = ("shopify-hmac-sha256", "x-shopify-hmac-sha256")


def read(delivery: Delivery, settings: Settings) -> Told:
    body = delivery.json()
    if not isinstance(body, dict):
        raise Unreadable("the body is not an object")
    topics = [topic.lower() for name in TOPICS if (topic := delivery.headers.get(name))]
    if not topics:
        raise Unreadable("no header tells the topic")
    for topic in topics:
        if topic in NOTICES:
            return Ignored(reason=NOTICES[topic])
        if topic in READERS:
            return READERS[topic](body)
    return Ignored(reason=f"{topics[0][:60]} earns nothing here; read are {', '.join(READERS)}")


def paid(order: Body) -> Told:
    if fault := not_counted(order):
        return Ignored(reason=fault)
    if (status := maybe(order, "financial_status") or "paid") != "paid" or maybe(order, "cancelled_at"):
        return Ignored(reason=f"the order says {'cancelled' if status == 'paid' else status}, not paid")
    return [order_evidence(order, at="processed_at")]


def cancelled(order: Body) -> Told:
    if fault := not_counted(order):
        return Ignored(reason=fault)
    if not maybe(order, "cancelled_at"):
        return Ignored(reason="the order does not say that it was cancelled")
    return [order_evidence(order, at="cancelled_at", undone=True)]


def not_counted(order: Body) -> str:
    """Why an order cannot earn, in words; empty where it can."""
    if not is_order(order):
        raise Unreadable("the topic names an order and the body is none")
    if order.get("test"):
        return "a test order"
    return "" if order.get("customer") else "a guest's order: nobody to reward"


def is_order(body: Body) -> bool:
    """Whether a body is an order's: a checkout and a refund have amounts too, and the topic is not signed."""
    if "order_id" in body or "abandoned_checkout_url" in body or "total_price" not in body:
        return False
    return "/Order/" in (maybe(body, "admin_graphql_api_id") or "gid://shopify/Order/")


def order_evidence(order: Body, *, at: str, undone: bool = False) -> Evidence:
    who = customer(table(order, "customer"))
    name = text(order, "id")
    return Evidence(
        action="order_paid",
        key=name,
        account=who.id,
        subject=name,
        occurred_at=when(order, at) if maybe(order, at) else None,
        facts={
            # Never current_total_price: refunds have already been taken from it, and are told by themselves.
            "total": amount(order, "total_price"),
            "subtotal": amount(order, "subtotal_price" if "subtotal_price" in order else "total_price"),
            "currency": text(order, "currency"),
            "items": sum(whole(line, "quantity") if "quantity" in line else 1 for line in tables(order, "line_items")),
            "order_number": maybe(order, "name") or maybe(order, "order_number") or "",
            "discount_codes": [text(one, "code") for one in tables(order, "discount_codes")],
            "channel": maybe(order, "source_name") or "",
        },
        customer=who,
        undone=undone,
    )


def refunded(refund: Body) -> Told:
    """What a refund takes from its order. It names no customer: whose order it was, the order has told."""
    name, order = text(refund, "id"), text(refund, "order_id")
    back = [one for one in tables(refund, "transactions") if counts(one)]
    money = shop_rate(refund, back) * added(back, "amount")
    if money <= 0:
        return Ignored(reason="a refund of no money")
    goods = added(tables(refund, "refund_line_items"), "subtotal")
    if not any(refund.get(name) for name in ("refund_line_items", "refund_shipping_lines", "order_adjustments")):
        goods = money  # neither pieces nor shipping: an allowance on the goods
    return [
        Evidence(
            action="order_paid",
            key=order,
            account=None,
            subject=order,
            occurred_at=when(refund, "created_at") if maybe(refund, "created_at") else None,
            undone=True,
            part=f"refund-{name}",
            less={"total": float(round(money, 4)), "subtotal": float(round(min(goods, money), 4))},
        )
    ]


def counts(transaction: Body) -> bool:
    """Whether money went back or is on its way; what failed did not."""
    return transaction.get("kind") == "refund" and transaction.get("status") in ("success", "pending")


def added(rows: Iterable[Body], name: str) -> Decimal:
    return sum((Decimal(str(amount(row, name))) for row in rows), Decimal(0))


def shop_rate(refund: Body, back: Iterable[Body]) -> Decimal:
    """What one unit of the transactions' currency is in the order's, which is the shop's.

    A transaction is in the currency the customer paid in. What that was in the shop's, only the pairs of
    amounts elsewhere in the refund tell.
    """
    paid_in = {said for one in back if (said := maybe(one, "currency"))}
    pairs = list(money_pairs(refund))
    ours = {said for shop, _ in pairs if (said := maybe(shop, "currency_code"))}
    if not paid_in or not ours or paid_in == ours:
        return Decimal(1)
    for shop, theirs in pairs:
        if maybe(theirs, "currency_code") in paid_in and (divisor := added([theirs], "amount")):
            return added([shop], "amount") / divisor
    raise Unreadable(f"refunded in {'/'.join(sorted(paid_in))}, and nothing tells what that is in the shop's currency")


def money_pairs(value: Any) -> Iterator[tuple[Body, Body]]:
    match value:
        case {"shop_money": dict(shop), "presentment_money": dict(theirs)}:
            yield shop, theirs
        case dict():
            for one in value.values():
                yield from money_pairs(one)
        case list():
            for one in value:
                yield from money_pairs(one)


def created(body: Body) -> Told:
    who = shopper(body)
    # A customer is also created by a purchase as a guest; `state` and `accepts_marketing` tell more.
    consent = body.get("email_marketing_consent")
    facts = {
        "state": maybe(body, "state") or "",
        "accepts_marketing": isinstance(consent, dict) and consent.get("state") == "subscribed",
    }
    name, at = text(body, "id"), when(body, "created_at") if maybe(body, "created_at") else None
    made = Evidence(action="customer_created", key=name, account=name, occurred_at=at, facts=facts, customer=who)
    return [who, made]


def shopper(body: Body) -> Customer:
    if "financial_status" in body or "order_id" in body or "email" not in body:
        raise Unreadable("the topic names a customer and the body is none")
    return customer(body)


def customer(body: Body) -> Customer:
    """The customer as the shop knows it: never what a buyer typed into the order.

    Without approval for protected customer data everything but the id is null, in an ordinary 200.
    https://shopify.dev/docs/apps/launch/protected-customer-data
    """
    email = maybe(body, "email")
    verified = body.get("verified_email") is True and email is not None
    return Customer(id=text(body, "id"), email=email, phone=maybe(body, "phone"), email_verified=verified)


READERS: Mapping[str, Callable[[Body], Told]] = {
    "orders/paid": paid,
    "orders/cancelled": cancelled,
    "refunds/create": refunded,
    "customers/create": created,
    "customers/update": lambda body: [shopper(body)],  # for the directory; it earns nothing
}
NOTICES = {
    "app/uninstalled": "the app was uninstalled: this shop will tell nothing more",
    "customers/data_request": "a customer asks what is kept about them: answer within 30 days",
    "customers/redact": "a customer is to be erased within 30 days: run `loyalty-bridge erase`",
    "shop/redact": "the shop left 48 hours ago and asks for its data to be erased within 30 days",
}


def order_sample(values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    total, code = f"{float(values['total']):.2f}", str(values["discount_code"])
    line = {"id": 866550311766439020, "title": "Wool socks", "quantity": int(values["items"])}
    order = {"id": values["id"], "name": "#9999", "test": False, "source_name": "web", "financial_status": "paid"}
    money = {"total_price": total, "subtotal_price": total, "currency": str(values["currency"])}
    codes = [{"code": code}] if code else []
    lists = {"line_items": [line], "discount_codes": codes, "customer": customer_sample(values, now)}
    return order | money | {"processed_at": now.isoformat(), "cancelled_at": None} | lists


def cancelled_sample(values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    return order_sample(values, now) | {"cancelled_at": now.isoformat()}


def refund_sample(values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    money, currency = f"{float(values['total']):.2f}", str(values["currency"])
    back = {"kind": "refund", "status": "success", "amount": money, "currency": currency}
    line = {"id": 104689539, "quantity": 1, "subtotal": float(money)}
    refund = {"id": f"9{values['id']}", "order_id": values["id"], "created_at": now.isoformat()}
    return refund | {"refund_line_items": [line], "transactions": [back]}


def customer_sample(values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    names = {"id": values["customer"], "email": values["email"] or None, "phone": values["phone"] or None}
    return names | {"verified_email": True, "state": "enabled", "created_at": now.isoformat()}


def sample(
    title: str, topic: str, body: Callable[[Mapping[str, Any], datetime], dict[str, Any]], values: Mapping[str, Any]
) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        name = f"{topic.replace('/', '-')}-{values.get('id', values.get('customer'))}"
        return {"x-shopify-topic": topic, "x-shopify-webhook-id": name}, body(values, now)

    return Sample(title, values, make)


WHO = {"customer": 115310627314723954, "email": "ann@example.com", "phone": ""}
MONEY = {"id": 820982911946154508, "total": 60.0, "currency": "EUR"}
ORDER = {**MONEY, **WHO, "items": 2, "discount_code": ""}

source = Source(
    name="shopify",
    title="Shopify",
    docs="https://shopify.dev/docs/api/webhooks",
    actions={
        "order_paid": Action(
            "Pays for an order",
            (
                Fact("total", "double", "what was paid, shipping and taxes included, in the shop's currency"),
                Fact("subtotal", "double", "what the goods cost after discounts, in the shop's currency"),
                Fact("currency", "string", "the shop's currency, for example EUR"),
                Fact("items", "int", "how many pieces"),
                Fact("order_number", "string", "the order's name, for example #1001"),
                Fact("discount_codes", "list", "the codes the customer used"),
                Fact("channel", "string", "where it was sold: web, pos, ..."),
            ),
            total="total",
        ),
        "customer_created": Action(
            "Becomes a customer",
            (
                Fact("state", "string", "enabled, disabled (no account yet), invited or declined"),
                Fact("accepts_marketing", "bool", "whether they agreed to marketing by email"),
            ),
        ),
    },
    settings=(
        Setting("webhook_secret", "the app's client secret, or the one the admin shows", "secrets", required=True),
        Setting("shop", "the only shop whose app proxy counts", example="example.myshopify.com"),
    ),
    # "Events" deliveries (2026) sign under a header without x-. Where both came, the official code takes that one.
    # https://github.com/Shopify/shopify-app-js lib/webhooks/validate.ts
    scheme=FirstPresent(tuple(Hmac(header=name, encoding="base64") for name in SIGNATURES)),
    read=read,
    delivery_id=("shopify-webhook-id", "x-shopify-webhook-id"),
    knows_customers=True,
    ticket=proxied,
    samples={
        "order_paid": sample("An order is paid", "orders/paid", order_sample, ORDER),
        "order_cancelled": sample("An order is cancelled", "orders/cancelled", cancelled_sample, ORDER),
        "refund": sample("Money goes back", "refunds/create", refund_sample, MONEY),
        "customer_created": sample("A customer is created", "customers/create", customer_sample, WHO),
    },
    steps=(
        "Subscribe to orders/paid, orders/cancelled, refunds/create, customers/create and customers/update with {url}",
        "Ask for protected customer data, or names, emails and phones arrive empty",
    ),
    quiet_after=timedelta(days=7),  # after eight failures in a row Shopify deletes the subscription
    room="storefronts",
)
