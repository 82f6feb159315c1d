"""Shopify's app proxy: a link on the shop's own address that Shopify signs for whoever is signed in there.

https://shopify.dev/docs/apps/build/online-store/app-proxies/authenticate-app-proxies
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.kit import BadTicket, ExpiredTicket, ForgedTicket, NotSignedIn, RepeatedField, Settings, Ticket, TooLong
from bridge.kit.query import LONGEST, Pairs, once, pairs, repeated
from bridge.kit.signatures import decode

#: How far the request's time may be from ours, as Shopify's own libraries have it (shopify-app-js, validate hmac).
FRESH = timedelta(seconds=90)
#: What Shopify adds itself. Whatever else stands in the query, the visitor has put there, and Shopify signs it too.
OWN = ("logged_in_customer_id", "shop", "path_prefix", "timestamp", "signature")


def proxied(query: str, secrets: Sequence[str], settings: Settings, now: datetime) -> Ticket:
    """
    The customer who is signed in at the shop. Nobody: `NotSignedIn`; anything else that is wrong: a `BadTicket`.

    Only Shopify's own fields count, each of them once. A customer, an email or a return address in the query is
    the visitor's word under Shopify's signature.
    """
    if len(query) > LONGEST:
        raise TooLong(f"the request has {len(query)} characters; at most {LONGEST} are read")
    try:
        given = pairs(query)
    except ValueError:
        raise BadTicket("the request is not UTF-8, or has too many fields") from None
    if name := repeated(given, OWN):
        raise RepeatedField(f"{name} came more than once; Shopify adds it once")
    found = once(given)
    try:
        mac = decode(found.get("signature", ""), "hex")
    except ValueError:
        raise ForgedTicket("signature is not hex; Shopify writes the hex HMAC-SHA256 of the other fields") from None
    message = signed(given).encode()
    fits = [hmac.compare_digest(mac, hmac.digest(secret.encode(), message, "sha256")) for secret in secrets if secret]
    if not any(fits):
        raise ForgedTicket("signature fits none of the secrets; the proxy signs with the app's client secret")
    shop = settings.get("shop")
    if shop and found.get("shop") != shop:
        raise ForgedTicket(f"signed for another shop; this one is {shop}")  # one app's secret serves all its shops
    at = found.get("timestamp", "")
    if not (at.isascii() and at.isdigit() and len(at) <= 11):
        raise BadTicket("timestamp is not seconds since 1970")
    sent = datetime.fromtimestamp(int(at), UTC)
    if abs(now - sent) > FRESH:
        raise ExpiredTicket(f"signed at {sent:%Y-%m-%d %H:%M:%S} UTC; good for {FRESH.seconds} s: open it once more")
    customer = found.get("logged_in_customer_id", "")
    if not customer:
        raise NotSignedIn()
    # Nothing separates the signed fields. An id that is all digits cannot have swallowed the field behind it.
    if not (customer.isascii() and customer.isdigit() and len(customer) <= 20):
        raise BadTicket("logged_in_customer_id is no customer's id: those are whole numbers")
    return Ticket(customer=customer, expires=sent + FRESH)


def signed(given: Pairs) -> str:
    """What the proxy signs: the decoded fields, values of one name joined by commas, sorted, with nothing between."""
    values: dict[str, list[str]] = {}
    for name, value in given:
        if name != "signature":
            values.setdefault(name, []).append(value)
    return "".join(sorted(f"{name}={','.join(many)}" for name, many in values.items()))
