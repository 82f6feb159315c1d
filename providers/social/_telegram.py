"""Telegram's Bot API: who wrote to the bot, and whether somebody is in the brand's group or channel.

https://core.telegram.org/bots/api
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Codes,
    Delivery,
    Evidence,
    Message,
    Question,
    Request,
    Response,
    Settings,
    Talk,
    Unavailable,
    moment,
    unanswered,
)

API = "https://api.telegram.org"
INSIDE, OUTSIDE = ("creator", "administrator", "member"), ("left", "kicked")
#: What the Bot API says where the bot is not what it should be in the chat.
BRANDS = ("chat not found", "member list is inaccessible", "bot is not a member", "bot was kicked", "not enough rights",
          "chat_admin_required", "need administrator rights", "group chat was upgraded")  # fmt: skip
#: What a message carries that its sender did not write.
RELAYED = ("forward_origin", "forward_date", "forward_from", "forward_sender_name", "via_bot", "sender_business_bot")


def key(chat: str, account: str) -> str:
    """What names the fact between a chat and an account, however we learn of it. It may never change."""
    return f"{chat}:{account}"


def call(method: str, settings: Settings, *, post: bool = False, **values: Any) -> Request:
    """A call of the Bot API. The token stands in the path: there is no other place for it."""
    base = str(settings.get("api_url") or API).rstrip("/")
    url = f"{base}/bot{quote(str(settings.get('bot_token') or ''), safe=':')}/{method}"
    if post:
        return Request("POST", url, json=values)
    return Request("GET", url, params={name: str(value) for name, value in values.items()})


def result(response: Response) -> Any:
    """What a call came to; None where it came to nothing."""
    match response.object():
        case {"ok": True, "result": found} if response.status == 200:
            return found
    return None


def complaint(response: Response) -> str:
    said = response.object().get("description")
    return said[:120] if isinstance(said, str) else ""


def is_id(given: Any) -> bool:
    """Whether it is a person's id: a whole number above 0, within 52 bits, though written as a text."""
    return not isinstance(given, bool) and re.fullmatch(r"[1-9][0-9]{0,15}", str(given), re.ASCII) is not None


# --- messages to the bot --------------------------------------------------------------------------------------------


def messages(delivery: Delivery, settings: Settings) -> Iterable[Message]:
    """What a person wrote to the bot, with nobody between them. `/start 123456` is what a followed link sends."""
    match delivery.json():
        case {"message": {"chat": {"type": "private", "id": chat}, "from": dict(who), "text": str(said), **more}}:
            sender, name, at = who.get("id"), who.get("username"), str(more.get("date"))
            if chat != sender or not is_id(sender) or who.get("is_bot") is True or any(one in more for one in RELAYED):
                return
            started = re.match(r"/start(?:@\w+)?(?:\s+|$)", said)
            yield Message(
                account=str(sender),
                text=said[started.end() :] if started else said,
                at=moment(at) if re.fullmatch(r"[0-9]{9,11}", at, re.ASCII) else None,
                handle=name if isinstance(name, str) else "",
            )


def chat_address(code: str, settings: Settings) -> str:
    """https://core.telegram.org/bots/features#deep-linking"""
    name = settings.get("bot_name")
    return f"https://t.me/{name}?start={quote(code, safe='')}" if name else ""


def writer(account: str, settings: Settings) -> Talk[Account]:
    """https://core.telegram.org/bots/api#getchat : a private chat has the id of the person in it."""
    response = yield call("getChat", settings, chat_id=account)
    found = result(response)
    if not isinstance(found, dict) or str(found.get("id")) != account or not is_id(account):
        raise Unavailable(f"Telegram answered {response.status} when it was asked who wrote: {complaint(response)}")
    name = found.get("username") or found.get("first_name")
    return Account(id=account, handle=name if isinstance(name, str) else "")


def say(account: str, text: str, settings: Settings) -> Talk[None]:
    """https://core.telegram.org/bots/api#sendmessage : plain text, 4096 characters at most."""
    response = yield call("sendMessage", settings, post=True, chat_id=account, text=text[:4096])
    if result(response) is None:
        raise Unavailable(f"Telegram answered {response.status} to a message: {complaint(response)}")


CODES = Codes(messages=messages, address=chat_address, whoami=writer, say=say, carries=True)


# --- membership -----------------------------------------------------------------------------------------------------


def ask_join(ask: Ask) -> Talk[Answer]:
    """With the bot's token: nothing is needed of the customer but their id."""
    chat = ask.subject or str(ask.settings.get("chat_id") or "")
    if not chat:
        return Answer("unknown", "chat_id is missing in the source's table", obstacle="brand")
    answer = yield from asked(chat, ask.account.id, ask.account.handle, ask.settings)
    return answer


def recheck_join(question: Question, settings: Settings) -> Talk[Answer]:
    answer = yield from asked(question.subject, question.account, "", settings)
    return answer


def asked(chat: str, account: str, handle: str, settings: Settings) -> Talk[Answer]:
    """Whether an account is in a chat.

    Of others than itself a bot is told for certain only where it is an administrator: whether it is one is
    therefore asked before "left" is believed. https://core.telegram.org/bots/api#getchatmember
    """
    response = yield call("getChatMember", settings, chat_id=chat, user_id=account)
    found = result(response)
    if not isinstance(found, dict):
        return refused(response)
    user = found.get("user")
    if isinstance(user, dict) and str(user.get("id", account)) != account:
        return Answer("unknown", "Telegram answered about another account")
    match inside(found):
        case True:
            name = user.get("username") if isinstance(user, dict) else None
            return Answer("verified", evidence=join(chat, account, name if isinstance(name, str) else handle))
        case None:
            return Answer("unknown", "Telegram does not say readably whether the account is in the chat")
    if found["status"] == "kicked":
        return Answer("not_found", "was removed from the chat")
    response = yield call("getChatMember", settings, chat_id=chat, user_id=bot_id(settings))
    bot = result(response)
    if not isinstance(bot, dict):
        return refused(response)
    if bot.get("status") not in ("administrator", "creator"):
        said = "the bot is no administrator of the chat, and cannot know for certain who is in it"
        return Answer("unknown", said, obstacle="brand")
    return Answer("not_found", "is not in the chat")


def inside(member: Mapping[str, Any]) -> bool | None:
    """Whether a ChatMember is one; None where it does not say. https://core.telegram.org/bots/api#chatmember"""
    match member:
        case {"status": "restricted", "is_member": bool(still)}:
            return still
        case {"status": str(status)} if status in INSIDE:
            return True
        case {"status": str(status)} if status in OUTSIDE:
            return False
    return None


def join(chat: str, account: str, username: str, at: datetime | None = None, *, left: bool = False) -> Evidence:
    return Evidence(
        action="join",
        key=key(chat, account),
        account=account,
        subject=chat,
        occurred_at=at,
        facts={"username": username},
        undone=left,
    )


def bot_id(settings: Settings) -> str:
    return str(settings.get("bot_token") or "").partition(":")[0]


def refused(response: Response) -> Answer:
    """What stands in the way. The Bot API says it in words, and how long to wait in the body."""
    said = complaint(response)
    plain = unanswered(response, whose="brand")
    note = f"{plain.note}: {said}" if said else plain.note
    if any(one in said.lower() for one in BRANDS) or (response.status == 404 and said == "Not Found"):
        return Answer("unknown", note, obstacle="brand")  # 404 is how a token is answered that is none
    match response.object().get("parameters"):
        case {"retry_after": int(seconds)} if response.status == 429 and 0 < seconds <= 86400:
            return Answer("unknown", note, obstacle="busy", retry_after=timedelta(seconds=seconds))
    return Answer("unknown", note, obstacle=plain.obstacle, retry_after=plain.retry_after)
