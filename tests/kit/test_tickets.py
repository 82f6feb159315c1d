"""Tickets as a shop's theme signs them, and what an enemy makes of them."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from bridge.kit import BadTicket, EmptyCustomer, ExpiredTicket, FlowError, ForgedTicket, RepeatedField, Ticket, TooLong
from bridge.kit.tickets import may_return, read, sign

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=7)
SECRET = "a ticket secret for tests"
ACTION = "twitch.follow"
ANN = Ticket(
    customer="1001",
    email="ann+shop@example.com",
    phone="+46 70 123 45 67",
    return_to="https://shop.example.com/rewards?tab=1&x=%20",
    expires=LATER,
)


def by_hand(secret: str = SECRET, action: str = ACTION, **values: str) -> str:
    """A ticket as somebody writes it who has read CONTRACT.md and none of our code."""
    names = ("customer", "email", "phone", "return_to", "expires")
    message = "\n".join([action, *(values.get(name, "") for name in names)])
    mac = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
    return urlencode({**values, "sign": mac})


def test_what_we_sign_is_what_we_read() -> None:
    assert read(sign(SECRET, ACTION, ANN), [SECRET], ACTION, NOW) == ANN


def test_a_ticket_made_by_hand_is_read() -> None:
    query = by_hand(customer="1001", email="ann@example.com", expires=str(int(LATER.timestamp())))
    assert read(query, [SECRET], ACTION, NOW) == Ticket(customer="1001", email="ann@example.com", expires=LATER)


def test_we_sign_what_others_would() -> None:
    expires = str(int(LATER.timestamp()))
    mine = dict(parse_qsl(by_hand(customer="1001", expires=expires)))
    assert dict(parse_qsl(sign(SECRET, ACTION, Ticket(customer="1001", expires=LATER)))) == mine


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_openssl_alone_can_sign_one() -> None:
    line = (
        "printf '%s\\n' twitch.follow 1001 ann@example.com '' '' | "  # each line with its newline
        "{ cat; printf %s 1795780800; } | "  # the last one without
        f"openssl dgst -sha256 -hmac '{SECRET}' -r | cut -d' ' -f1"
    )
    mac = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=20).stdout.strip()
    query = f"customer=1001&email=ann%40example.com&expires=1795780800&sign={mac}"
    found = read(query, [SECRET], ACTION, NOW)
    assert (found.customer, found.email) == ("1001", "ann@example.com")


def test_the_customer_is_named_with_verified_addresses() -> None:
    named = ANN.named()
    assert (named.id, named.email, named.email_verified, named.phone_verified) == ("1001", ANN.email, True, True)
    bare = Ticket(customer="1001").named()
    assert (bare.email, bare.phone, bare.email_verified, bare.phone_verified) == (None, None, False, False)


def test_the_order_of_the_fields_does_not_matter() -> None:
    query = "&".join(reversed(sign(SECRET, ACTION, ANN).split("&")))
    assert read(query, [SECRET], ACTION, NOW) == ANN


def test_two_secrets_while_one_is_rotated() -> None:
    query = by_hand(customer="1001")
    assert read(query, ["the new one", SECRET], ACTION, NOW).customer == "1001"


def test_a_ticket_without_an_end_does_not_end() -> None:
    assert read(by_hand(customer="1001"), [SECRET], ACTION, NOW + timedelta(days=9000)).expires is None


def test_what_mail_programs_and_advertisers_add_is_not_read() -> None:
    query = f"utm_source=mail&utm_source=again&{by_hand(customer='1001')}&fbclid=%00&lang=sv&Customer=2002"
    assert read(query, [SECRET], ACTION, NOW) == Ticket(customer="1001")


GOOD = by_hand(customer="1001", email="ann@example.com", expires=str(int(LATER.timestamp())))
LONG = "x" * 256


@pytest.mark.parametrize(
    ("query", "error", "said"),
    [
        pytest.param("", EmptyCustomer, "signed in", id="nothing"),
        pytest.param("sign=00", EmptyCustomer, "signed in", id="a signature and nothing else"),
        pytest.param(by_hand(customer=""), EmptyCustomer, "empty", id="an empty customer, signed"),
        pytest.param(by_hand(customer=" \u00a0 "), EmptyCustomer, "empty", id="a customer of spaces, signed"),
        pytest.param(by_hand(email="ann@example.com"), EmptyCustomer, "empty", id="no customer, signed"),
        pytest.param(GOOD.replace("1001", "1002"), ForgedTicket, "fits none", id="another customer"),
        pytest.param(GOOD.replace("ann%40", "bob%40"), ForgedTicket, "fits none", id="another email"),
        pytest.param(f"{GOOD}&phone=%2B46701234567", ForgedTicket, "fits none", id="a phone added"),
        pytest.param(f"{GOOD}&return_to=https://evil.example/", ForgedTicket, "fits none", id="a way back added"),
        pytest.param("customer=1001", ForgedTicket, "sign is missing", id="not signed"),
        pytest.param("customer=1001&sign=", ForgedTicket, "sign is missing", id="signed with nothing"),
        pytest.param("customer=1001&sign=zz", ForgedTicket, "not hex", id="signed with no hex"),
        pytest.param("customer=1001&sign=%C3%A4%C3%A4", ForgedTicket, "not hex", id="signed beyond ASCII"),
        pytest.param("customer=1001&sign=abc", ForgedTicket, "not hex", id="half a byte"),
        pytest.param(GOOD[:-2], ForgedTicket, "fits none", id="a byte short"),
        pytest.param(by_hand(action="twitch.subscribe", customer="1"), ForgedTicket, "fits", id="for another action"),
        pytest.param(by_hand(action="youtube.follow", customer="1"), ForgedTicket, "fits", id="for another source"),
        pytest.param(by_hand(secret="another", customer="1"), ForgedTicket, "fits none", id="another shop's secret"),
        pytest.param(by_hand(secret="", customer="1"), ForgedTicket, "fits none", id="no secret at all"),
        pytest.param(f"{GOOD}&customer=1001", RepeatedField, "customer", id="the same customer twice"),
        pytest.param(f"customer=1002&{GOOD}", RepeatedField, "customer", id="another customer first"),
        pytest.param(f"{GOOD}&email=", RepeatedField, "email", id="an empty email besides"),
        pytest.param(f"{GOOD}&sign=00", RepeatedField, "sign", id="two signatures"),
        pytest.param(by_hand(customer="10\n01"), BadTicket, "control", id="a newline in a field"),
        pytest.param(by_hand(customer="1001\n"), BadTicket, "control", id="a newline at the end"),
        pytest.param(by_hand(customer="1\x00"), BadTicket, "control", id="NUL"),
        pytest.param(by_hand(customer="1\x7f"), BadTicket, "control", id="DEL"),
        pytest.param(by_hand(customer="1\u0085"), BadTicket, "control", id="the newline of Latin-1"),
        pytest.param(by_hand(customer="1\u2028"), BadTicket, "control", id="a line separator"),
        pytest.param(by_hand(customer="1", email="a@b\t"), BadTicket, "control", id="a tab in the email"),
        pytest.param("customer=%ff&sign=00", BadTicket, "UTF-8", id="not UTF-8"),
        pytest.param("customer=%ed%a0%80&sign=00", BadTicket, "UTF-8", id="a lone surrogate"),
        pytest.param("customer=\ud800&sign=00", BadTicket, "UTF-8", id="a lone surrogate as it is"),
        pytest.param("&".join(["x=1"] * 101), BadTicket, "too many", id="a hundred and one fields"),
        pytest.param(by_hand(customer=LONG), TooLong, "at most 255", id="a long customer"),
        pytest.param(by_hand(customer="1", email=LONG), TooLong, "at most 254", id="a long email"),
        pytest.param(by_hand(customer="1", phone="1" * 41), TooLong, "at most 40", id="a long phone"),
        pytest.param(by_hand(customer="1", expires="9" * 12), TooLong, "at most 11", id="a long time"),
        pytest.param("x" * 8193, TooLong, "8192", id="a long link"),
        pytest.param(by_hand(customer="1", expires="soon"), BadTicket, "seconds since", id="a time in words"),
        pytest.param(by_hand(customer="1", expires="-1"), BadTicket, "seconds since", id="a time before 1970"),
        pytest.param(by_hand(customer="1", expires="1e9"), BadTicket, "seconds since", id="a time in powers"),
        pytest.param(by_hand(customer="1", expires="١٢٣٤"), BadTicket, "seconds since", id="digits beyond ASCII"),
        pytest.param(by_hand(customer="1", expires="1"), ExpiredTicket, "1970-01-01", id="over long ago"),
        pytest.param(
            by_hand(customer="1", expires=str(int(NOW.timestamp()))), ExpiredTicket, "12:00 UTC", id="over this second"
        ),
        pytest.param(
            by_hand(customer="1", email="a@b", phone="2").replace("email", "fax"), ForgedTicket, "fits", id="renamed"
        ),
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(query: str, error: type[FlowError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        read(query, [SECRET], ACTION, NOW)
    assert type(caught.value) is error
    assert SECRET not in caught.value.message


def test_values_cannot_move_from_one_field_to_the_next() -> None:
    """With newlines refused, what stands in one line cannot be read as two."""
    mac = dict(parse_qsl(by_hand(customer="1", email="2")))["sign"]
    with pytest.raises(BadTicket, match="control"):
        read(f"customer={quote(chr(10).join('12'))}&sign={mac}", [SECRET], ACTION, NOW)


def test_a_plus_is_a_space_as_in_every_form() -> None:
    mac = dict(parse_qsl(by_hand(customer="1", email="ann+x@example.com")))["sign"]
    assert read(f"customer=1&email=ann%2Bx%40example.com&sign={mac}", [SECRET], ACTION, NOW).email.startswith("ann+x")
    with pytest.raises(ForgedTicket):
        read(f"customer=1&email=ann+x@example.com&sign={mac}", [SECRET], ACTION, NOW)


def test_an_empty_secret_never_signs() -> None:
    with pytest.raises(ForgedTicket):
        read(by_hand(secret="", customer="1"), ["", SECRET], ACTION, NOW)


@pytest.mark.parametrize("ticket", [Ticket(customer=""), Ticket(customer="1\n2"), Ticket(customer=LONG)])
def test_we_sign_nothing_that_we_would_not_read(ticket: Ticket) -> None:
    with pytest.raises(BadTicket):
        sign(SECRET, ACTION, ticket)


@pytest.mark.parametrize(
    ("error", "reason", "status"),
    [
        (ForgedTicket, "forged_ticket", 403),
        (ExpiredTicket, "expired_ticket", 410),
        (EmptyCustomer, "empty_customer", 400),
    ],
)
def test_each_refusal_has_its_word_and_status(error: type[FlowError], reason: str, status: int) -> None:
    assert (error().reason, error().status) == (reason, status)
    assert error().message


ALLOWED = ["https://shop.example.com/", "http://127.0.0.1:8000/shop", "https://other.example:8443"]


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("https://shop.example.com/", True),
        ("https://shop.example.com/rewards?x=1#y", True),
        ("https://SHOP.example.com/rewards", True),
        ("http://127.0.0.1:8000/shop", True),
        ("http://127.0.0.1:8000/shop/x", True),
        ("https://other.example:8443", True),
        ("https://other.example:8443/any", True),
        ("", False),
        ("/rewards", False),
        ("//shop.example.com/", False),
        ("http://shop.example.com/", False),
        ("https://shop.example.com:444/", False),
        ("https://shop.example.com:x/", False),
        ("https://shop.example.com.evil.example/", False),
        ("https://shop.example.com@evil.example/", False),
        ("https://evil@shop.example.com/", False),
        ("https://evil.example/https://shop.example.com/", False),
        ("https://shop.example.com\\@evil.example/", False),
        ("https://evil.example\\.shop.example.com/", False),
        ("https://shop.example.com\t.evil.example/", False),
        ("\x00https://shop.example.com/", False),
        ("javascript:alert(1)//https://shop.example.com/", False),
        ("data:text/html,x", False),
        ("http://127.0.0.1:8000/shopping", False),
        ("http://127.0.0.1:8000/", False),
        ("http://127.0.0.1:8000/shop/../admin", False),
        ("http://127.0.0.1:8000/shop/%2e%2E/admin", False),
        ("https://[::1/", False),
        ("https://other.example/", False),
    ],
)
def test_customers_go_back_to_the_shop_and_nowhere_else(address: str, may: bool) -> None:
    assert may_return(address, ALLOWED) is may


def test_nobody_goes_anywhere_where_nothing_is_allowed() -> None:
    assert not may_return("https://shop.example.com/", [])
    assert not may_return("https://shop.example.com/", ["", "https://"])
