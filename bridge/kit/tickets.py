"""Tickets: links that say who the customer is, signed by the shop, in a form that a theme without a backend can make.

    sign = hex HMAC-SHA256(secret, "source.action" \\n customer \\n email \\n phone \\n return_to \\n expires)

over the values as they are, before they are encoded for the address; an absent one is an empty line.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

from .errors import BadTicket, EmptyCustomer, ExpiredTicket, ForgedTicket, RepeatedField, TooLong
from .query import LONGEST, controls, once, pairs, repeated
from .signatures import decode
from .types import Customer

#: The signed fields in the order in which they are signed, each with the most characters it may have.
FIELDS: Final[Mapping[str, int]] = {
    "customer": 255,
    "email": 254,  # RFC 5321, errata 1690
    "phone": 40,  # as people write it; E.164 allows 15 digits
    "return_to": 2048,
    "expires": 11,  # seconds since 1970, until the year 5138
}
SIGN = "sign"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """Whoever holds it is this customer, says the shop."""

    customer: str
    email: str = ""
    phone: str = ""
    return_to: str = ""  # the page to send them back to; counts only where `may_return` says so
    expires: datetime | None = None  # None: the shop set no end

    def named(self) -> Customer:
        """The customer as the shop names them. Its signature makes address and number verified ones."""
        return Customer(
            id=self.customer,
            email=self.email or None,
            phone=self.phone or None,
            email_verified=bool(self.email),
            phone_verified=bool(self.phone),
        )


def sign(secret: str, action: str, ticket: Ticket) -> str:
    """The query of a ticket for `source.action`, to be put after the question mark."""
    values = _values(ticket)
    if fault := _fault(values):
        raise fault
    given = {name: value for name, value in values.items() if value}
    return urlencode({**given, SIGN: _digest(secret, action, values).hex()}, quote_via=quote)


def read(query: str, secrets: Sequence[str], action: str, now: datetime) -> Ticket:
    """
    The ticket in a query. Anything else is a `BadTicket` that says what would be right.

    Fields it does not know are neither read nor refused: mail programs and advertisers add their own to
    every link. They are not signed, and so nothing may ever be concluded from them.
    """
    if len(query) > LONGEST:
        raise TooLong(f"the link has {len(query)} characters; a ticket has at most {LONGEST}")
    try:
        given = pairs(query)
    except ValueError:
        raise BadTicket("the link is not UTF-8, or has too many fields: encode each value for an address") from None
    if name := repeated(given, (*FIELDS, SIGN)):
        raise RepeatedField(f"{name} stands in the link more than once; put it there once")
    found = once(given)
    values = {name: found.get(name, "") for name in FIELDS}
    if fault := _fault(values):
        raise fault
    if not found.get(SIGN):
        raise ForgedTicket(f"the link is not signed: {SIGN} is missing")
    try:
        mac = decode(found[SIGN], "hex")
    except ValueError:
        raise ForgedTicket(f"{SIGN} is not hex; it is the hex HMAC-SHA256 over the fields") from None
    # All of them, always: how long it takes does not tell which one fitted.
    fits = [hmac.compare_digest(mac, _digest(secret, action, values)) for secret in secrets if secret]
    if not any(fits):
        raise ForgedTicket(f"{SIGN} fits none of the secrets for {action} and these fields, each decoded once")
    expires = _moment(values["expires"])
    if expires and expires <= now:
        raise ExpiredTicket(f"the link was good until {expires:%Y-%m-%d %H:%M} UTC; the shop makes a fresh one")
    texts = {name: value for name, value in values.items() if name != "expires"}
    return Ticket(**texts, expires=expires)


def may_return(address: str, allowed: Sequence[str]) -> bool:
    """Whether a customer may be sent to this address: same scheme, host and port as an allowed one, and below it."""
    if controls(address) or "\\" in address or " " in address:
        return False  # browsers read a backslash as a slash, and drop tabs and newlines
    try:
        wanted, port = urlsplit(address), urlsplit(address).port
        # A dot segment, plain or encoded, climbs out of the path that was allowed.
        steps = wanted.path.lower().replace("%2e", ".").split("/")
        if wanted.scheme not in ("http", "https") or "@" in wanted.netloc or ".." in steps:
            return False
        for one in map(urlsplit, allowed):
            same = (one.scheme, one.hostname, one.port) == (wanted.scheme, wanted.hostname, port)
            path = one.path.rstrip("/")
            if same and one.hostname and (wanted.path == path or wanted.path.startswith(f"{path}/")):
                return True
    except ValueError:  # a port that is none, brackets that hold no address
        return False
    return False


def _values(ticket: Ticket) -> dict[str, str]:
    expires = str(int(ticket.expires.timestamp())) if ticket.expires else ""
    texts = (ticket.customer, ticket.email, ticket.phone, ticket.return_to, expires)
    return dict(zip(FIELDS, texts, strict=True))


def _fault(values: Mapping[str, str]) -> BadTicket | None:
    """What keeps these values from being a ticket's, whoever signed them."""
    for name, most in FIELDS.items():
        if len(values[name]) > most:
            return TooLong(f"{name} has {len(values[name])} characters; at most {most}")
        if controls(values[name]):
            return BadTicket(f"{name} holds a control character; the fields are joined by newlines, and hold none")
    if not values["customer"].strip():
        return EmptyCustomer("customer is empty; the shop signs a ticket only for a customer who is signed in")
    if values["expires"] and not (values["expires"].isascii() and values["expires"].isdigit()):
        return BadTicket("expires is no time; write it as whole seconds since 1970")
    return None


def _moment(text: str) -> datetime | None:
    return datetime.fromtimestamp(int(text), UTC) if text else None


def _digest(secret: str, action: str, values: Mapping[str, str]) -> bytes:
    message = "\n".join((action, *(values[name] for name in FIELDS)))
    return hmac.digest(secret.encode(), message.encode(), "sha256")


__all__ = ["FIELDS", "SIGN", "Ticket", "may_return", "read", "sign"]
