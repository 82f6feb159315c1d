"""The lines that README.md gives a shop make tickets that the door reads, in every language that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bridge.kit import Ticket
from bridge.kit.tickets import read

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
SECTION = README[README.index("## Customers prove it themselves") : README.index("## Rules")]
SECRET, CUSTOMER, EMAIL, BACK = "s3cret & more", "Ann/42", "ann+shop@exämple.com", "https://shop.example.com/?a=b&c=d e"


def block(language: str) -> str:
    found = re.findall(rf"```{language}\n(.*?)```", SECTION, re.S)
    assert len(found) == 1
    return str(found[0])


def ticket(url: str, secret: str = SECRET) -> Ticket:
    parts = urlsplit(url.strip())
    assert parts.path == "/connect/twitch/follow"
    return read(parts.query, [secret], "twitch.follow", datetime.now(UTC))


def run(*words: str, given: str = "", **variables: str) -> str:
    done = subprocess.run(words, input=given, capture_output=True, text=True, timeout=60, env=variables or None)
    assert done.returncode == 0, done.stderr
    return done.stdout


def needs(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def full(url: str) -> None:
    found = ticket(url)
    assert (found.customer, found.email, found.phone, found.return_to) == (CUSTOMER, EMAIL, "", BACK)


def test_python() -> None:
    call = f"\nprint(link({SECRET!r}, {CUSTOMER!r}, {EMAIL!r}, return_to={BACK!r}))"
    full(run(sys.executable, "-X", "utf8", "-c", block("python") + call))


def test_node() -> None:
    call = f"\nconsole.log(link({SECRET!r}, {CUSTOMER!r}, {EMAIL!r}, '', {BACK!r}))"
    full(run(needs("node"), "-", given=block("js") + call))


def test_php() -> None:
    call = f"\necho link_for({SECRET!r}, {CUSTOMER!r}, {EMAIL!r}, '', {BACK!r});"
    full(run(needs("php"), given="<?php\n" + block("php") + call))


def test_openssl_alone() -> None:
    needs("openssl")
    told = run("sh", "-c", block("sh"), CUSTOMER="42", TICKET_SECRET="plain-secret", PATH="/usr/bin:/bin")
    assert ticket(told, "plain-secret").customer == "42"


def test_a_theme() -> None:
    """Liquid is not installed anywhere but in shops: its filters are played, the template is the README's own."""
    import hashlib
    import hmac

    text = block("liquid")
    named = re.search(r"\{% capture text %\}(.*?)\{% endcapture %\}", text, re.S)
    assert named
    values = {"nl": "\n", "customer.id": "42", "customer.email": "a@b.se", "expires": "1900000000"}
    message = re.sub(r"\{\{ (\S+) \}\}", lambda found: values[found[1]], named[1])
    mac = hmac.new(b"plain-secret", message.encode(), hashlib.sha256).hexdigest()
    href = re.search(r'href="(.*?)"', text)
    assert href
    url = href[1].replace("{{ text | hmac_sha256: settings.ticket_secret }}", mac)
    url = url.replace("{{ customer.email | url_encode }}", "a%40b.se")
    url = re.sub(r"\{\{ (\S+) \}\}", lambda found: values[found[1]], url)
    found = ticket(url, "plain-secret")
    assert (found.customer, found.email) == ("42", "a@b.se")
