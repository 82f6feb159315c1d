"""A platform as plugins bring them: accounts are proved by a message to the brand, or by a login that signs fields."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from urllib.parse import urlencode

from bridge.kit import (
    Account,
    Action,
    Answer,
    Ask,
    Check,
    Delivery,
    Evidence,
    Hmac,
    Ignored,
    Request,
    Setting,
    Settings,
    SignedLogin,
    SignInRefused,
    Source,
    Talk,
    Unavailable,
)
from bridge.kit.codes import Codes, Message

KEY = "bot-token-of-the-brand"


def read(delivery: Delivery, settings: Settings) -> Ignored:
    return Ignored(reason="messages earn nothing")


def messages(delivery: Delivery, settings: Settings) -> Iterable[Message]:
    for row in delivery.json()["messages"]:
        if not row.get("echo"):
            yield Message(account=row["from"], text=row["text"])


def whoami(account: str, settings: Settings) -> Talk[Account]:
    response = yield Request("GET", f"https://chat.test/users/{account}")
    if response.status != 200:
        raise Unavailable(f"answered {response.status}")
    return Account(id=account, handle=response.object()["handle"])


def say(account: str, text: str, settings: Settings) -> Talk[None]:
    yield Request("POST", "https://chat.test/say", json={"to": account, "text": text})


def member(ask: Ask) -> Talk[Answer]:
    response = yield Request("GET", f"https://chat.test/members/{ask.account.id}")
    if response.status == 404:
        return Answer("not_found")
    if response.status != 200:
        return Answer("unknown", obstacle="busy")
    return Answer("verified", evidence=Evidence(action="join", key=f"join:{ask.account.id}", account=ask.account.id))


def signed(fields: Mapping[str, str]) -> str:
    text = "\n".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "hash")
    return hmac.new(hashlib.sha256(KEY.encode()).digest(), text.encode(), "sha256").hexdigest()


def account(fields: Mapping[str, str], settings: Settings, now: datetime) -> Talk[Account]:
    if not hmac.compare_digest(fields.get("hash", ""), signed(fields)):
        raise SignInRefused("what came back is not signed")
    yield from ()
    return Account(id=fields["id"], handle=fields.get("username", ""))


def address(back: str, settings: Settings) -> str:
    return f"https://chat.test/login?{urlencode({'return_to': back})}"


source = Source(
    name="chat",
    title="Chat",
    docs="https://chat.test/docs",
    actions={"join": Action("Joins your group")},
    settings=(
        Setting("webhook_secret", "signs", "secret", True),
        Setting("bot", "the brand's bot, for signing in"),
    ),
    scheme=Hmac(header="x-signature"),
    read=read,
    codes=Codes(
        messages=messages, address=lambda code, _: f"https://chat.test/brand?text={code}", whoami=whoami, say=say
    ),
    login=SignedLogin(needs=("bot",), address=address, account=account),
    checks={"join": Check(brand=member, page=lambda _settings, _account: "https://chat.test/brand")},
)
