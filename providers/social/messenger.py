"""Messenger: who writes to the brand's Facebook Page, told by webhook; can be asked about too.

To reward a conversation is what Meta allows. The account is proved by a code that it sends, and the answer comes in
the same chat.
https://developers.facebook.com/docs/messenger-platform/webhooks
"""

from __future__ import annotations

import re

from bridge.kit import Account, Action, Answer, Check, Codes, Setting, Settings, Source, Talk, Unavailable

from ._meta import (
    ALLOWED,
    SIGNATURE,
    VERIFY_TOKEN,
    Inbox,
    greet,
    messages,
    read,
    sample,
)
from ._meta_graph import ask_message, profile, say, set_up
from ._names import shown

INBOX = Inbox(
    title="Messenger",
    kind="page",
    platform="messenger",
    own="page_id",
    api="https://graph.facebook.com/v26.0",
    fields=("messages", "messaging_postbacks", "messaging_referrals"),
)


def whoami(account: str, settings: Settings) -> Talk[Account]:
    """https://developers.facebook.com/documentation/business-messaging/messenger-platform/identity/user-profile"""
    found = yield from profile(INBOX, account, settings, "first_name,last_name")
    if isinstance(found, Answer):
        raise Unavailable(f"Messenger does not say who wrote: {found.note}")
    names = (shown(found.get("first_name")), shown(found.get("last_name")))
    return Account(id=account, handle=" ".join(name for name in names if name))


def chat(code: str, settings: Settings) -> str:
    """https://developers.facebook.com/documentation/business-messaging/messenger-platform/discovery/m-me-links

    In a new conversation the code in it arrives only where the Page has a Get Started button, so the page asks to
    send it.
    """
    name = settings.get("page_name") or settings.get("page_id")
    return f"https://m.me/{name}?ref={code}" if name else ""


def page(settings: Settings, account: Account | None) -> str:
    name = settings.get("page_name") or settings.get("page_id")
    return f"https://m.me/{name}" if name else ""


def id_fault(given: str) -> str:
    return "" if re.fullmatch(r"[0-9]{5,20}", given) else "is a number: id of GET /me with the Page's token"


def name_fault(given: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z0-9.]{5,50}", given) else "is the Page's name as it stands behind facebook.com/"


OWN = {"own": "103149398319188"}

source = Source(
    name="messenger",
    title="Messenger",
    docs="https://developers.facebook.com/docs/messenger-platform/webhooks",
    actions={"message": Action("Writes to your Page", policy=ALLOWED)},
    settings=(
        Setting("webhook_secret", "the app secret", "secrets", True),
        VERIFY_TOKEN,
        Setting("page_id", "the brand's Page, by its id", example=OWN["own"], fault=id_fault),
        Setting("access_token", "of the Page with pages_messaging; asks and answers", "secret"),
        Setting("page_name", "the Page's name, for the button; else its id", example="cool.brand", fault=name_fault),
        Setting("api_url", "where the Graph API is, its version included", "url", default=INBOX.api),
    ),
    scheme=SIGNATURE,
    read=read(INBOX),
    greet=greet,
    codes=Codes(messages=messages(INBOX), address=chat, whoami=whoami, say=say(INBOX)),
    checks={"message": Check(brand=ask_message(INBOX), brand_needs=("access_token", "page_id"), page=page)},
    setup=set_up(INBOX, "id"),
    samples={"message": sample(INBOX, "Somebody writes", {"text": "Hello"}, OWN)},
    steps=(
        "Make an app at https://developers.facebook.com/apps with the product Messenger, and a token of your Page",
        "Under Webhooks enter {url} with your verify_token, and subscribe the Page to messages, messaging_postbacks "
        "and messaging_referrals",
        "Publish the app: while it is being developed Meta tells of its own testers alone",
    ),
    approval="days to weeks: pages_messaging needs Advanced Access before strangers' messages arrive",
    room="social",
)
