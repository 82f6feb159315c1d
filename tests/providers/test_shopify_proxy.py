"""Shopify's app proxy vouches for whoever is signed in at the shop, and for nothing else in the query."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode

import pytest

from bridge.kit import BadTicket, ExpiredTicket, FlowError, ForgedTicket, NotSignedIn, RepeatedField, Ticket, TooLong
from providers.storefronts.shopify import source

SECRET = "hush"
AT = 1317327555
NOW = datetime.fromtimestamp(AT, UTC)
#: shopify.dev, "Authenticate app proxies": the forwarded request, signed with the shared secret "hush".
DOCUMENTED = (
    "extra=1&extra=2&shop=shop-name.myshopify.com&logged_in_customer_id=1&path_prefix=%2Fapps%2Fawesome_reviews"
    "&timestamp=1317327555&signature=4c68c8624d737112c91818c11017d24d334b524cb5c2b8ba08daa056f7395ddb"
)
#: shopify_app, app_proxy_verification_test.rb; nobody is signed in.
LIBRARY = (
    "shop=some-random-store.myshopify.com&path_prefix=%2Fapps%2Fmy-app&timestamp=1466106083"
    "&signature=f5cd7233558b1c50102a6f33c0b63ad1e1072a2fc126cb58d4500f75223cefcd"
)
OWN = {"shop": "shop-name.myshopify.com", "path_prefix": "/apps/rewards", "timestamp": str(AT)}


def ticket(query: str, *secrets: str, now: datetime = NOW, **settings: str) -> Ticket:
    assert source.ticket is not None
    return source.ticket(query, secrets or (SECRET,), settings, now)


def signed(*pairs: tuple[str, str], secret: str = SECRET, **own: str) -> str:
    """A request as Shopify forwards it: what the visitor wrote, what Shopify adds, and the signature over all."""
    given = [*pairs, *{**OWN, **own}.items()]
    names = {name for name, _ in given}
    parts = sorted(f"{name}=" + ",".join(value for other, value in given if other == name) for name in names)
    mac = hmac.new(secret.encode(), "".join(parts).encode(), hashlib.sha256).hexdigest()
    return urlencode([*given, ("signature", mac)])


def test_the_documented_example() -> None:
    assert ticket(DOCUMENTED) == Ticket(customer="1", expires=NOW + timedelta(seconds=90))


def test_the_librarys_example_is_signed_and_nobodys() -> None:
    now = datetime.fromtimestamp(1466106083, UTC)
    with pytest.raises(NotSignedIn):
        ticket(LIBRARY, "secret", now=now)
    with pytest.raises(ForgedTicket):
        ticket(LIBRARY + "&evil=1", "secret", now=now)


def test_what_the_visitor_adds_is_not_the_shops_word() -> None:
    theirs = [("customer", "7"), ("email", "bob@example.com"), ("return_to", "https://evil.example"), ("expires", "9")]
    found = ticket(signed(*theirs, logged_in_customer_id="42"))
    assert found == Ticket(customer="42", expires=NOW + timedelta(seconds=90))


def test_old_and_new_secrets_while_the_app_rotates() -> None:
    assert ticket(DOCUMENTED, "the new one", SECRET).customer == "1"


@pytest.mark.parametrize("seconds", [-90, 0, 90])
def test_a_minute_and_a_half_either_way(seconds: int) -> None:
    assert ticket(DOCUMENTED, now=NOW + timedelta(seconds=seconds)).customer == "1"


@pytest.mark.parametrize(
    ("query", "error"),
    [
        pytest.param("", ForgedTicket, id="nothing"),
        pytest.param(DOCUMENTED.rpartition("&")[0], ForgedTicket, id="not signed"),
        pytest.param(DOCUMENTED.replace("4c68", "4c69"), ForgedTicket, id="another signature"),
        pytest.param(DOCUMENTED.replace("4c68", "zz68"), ForgedTicket, id="no hex"),
        pytest.param(DOCUMENTED.replace("customer_id=1", "customer_id=2"), ForgedTicket, id="another customer"),
        pytest.param(DOCUMENTED.replace("extra=2", "extra=3"), ForgedTicket, id="what the visitor wrote has changed"),
        pytest.param(DOCUMENTED + "&email=x%40y.example", ForgedTicket, id="a field added afterwards"),
        pytest.param(signed(logged_in_customer_id="1", secret="another"), ForgedTicket, id="another app"),
        pytest.param(signed(logged_in_customer_id="1", secret=""), ForgedTicket, id="no secret"),
        pytest.param(signed(logged_in_customer_id=""), NotSignedIn, id="a guest"),
        pytest.param(signed(), NotSignedIn, id="no customer at all"),
        pytest.param(
            signed(("logged_in_customer_id", "7"), logged_in_customer_id="1"), RepeatedField, id="the visitor's own id"
        ),
        pytest.param(
            signed(("logged_in_customer_id", "7"), logged_in_customer_id=""), RepeatedField, id="a guest with an id"
        ),
        pytest.param(signed(("shop", "x"), logged_in_customer_id="1"), RepeatedField, id="two shops"),
        pytest.param(signed(("timestamp", "9"), logged_in_customer_id="1"), RepeatedField, id="two times"),
        pytest.param(f"{DOCUMENTED}&signature=00", RepeatedField, id="two signatures"),
        pytest.param(signed(logged_in_customer_id="1,7"), BadTicket, id="two ids in one"),
        pytest.param(signed(logged_in_customer_id="1path_prefix=/x"), BadTicket, id="an id that swallowed a field"),
        pytest.param(signed(logged_in_customer_id="١"), BadTicket, id="a digit beyond ASCII"),
        pytest.param(signed(logged_in_customer_id="1", timestamp=""), BadTicket, id="no time"),
        pytest.param(signed(logged_in_customer_id="1", timestamp="-5"), BadTicket, id="a time before 1970"),
        pytest.param(signed(logged_in_customer_id="1", timestamp=str(AT - 91)), ExpiredTicket, id="too old"),
        pytest.param(signed(logged_in_customer_id="1", timestamp=str(AT + 91)), ExpiredTicket, id="from the future"),
        pytest.param("logged_in_customer_id=%ff", BadTicket, id="not UTF-8"),
        pytest.param("x" * 9000, TooLong, id="too long"),
    ],
)
def test_anything_else_is_refused(query: str, error: type[FlowError]) -> None:
    with pytest.raises(error) as caught:
        ticket(query)
    assert type(caught.value) is error
    assert caught.value.message


def test_a_field_cannot_be_moved_across_the_border_that_is_not_signed() -> None:
    """`a=1b=2` is signed alike as two fields and as one: no such reading may name a customer."""
    given = dict(parse_qsl(signed(logged_in_customer_id="4711")))
    moved = {**given, "logged_in_customer_id": "4711path_prefix=/apps/rewards"}
    del moved["path_prefix"]
    with pytest.raises(BadTicket, match="whole numbers"):
        ticket(urlencode(moved))


def test_another_shop_of_the_same_app_is_another_shop() -> None:
    assert ticket(DOCUMENTED, shop="shop-name.myshopify.com").customer == "1"
    with pytest.raises(ForgedTicket, match="another shop"):
        ticket(DOCUMENTED, shop="other.myshopify.com")
