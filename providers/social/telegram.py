"""Telegram: who joins the brand's group or channel and who leaves it, told by its bot, which can be asked about it too.

Three ways lead to whose account it is: OpenID Connect, the older widget, and a message to the bot.
https://core.telegram.org/bots/api
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from bridge.kit import (
    Account,
    Action,
    BadSignature,
    Check,
    Delivery,
    Evidence,
    Fact,
    Ignored,
    Inbound,
    Misconfigured,
    MissingHeader,
    Prepared,
    Request,
    Sample,
    Setting,
    Settings,
    SetUp,
    Source,
    Talk,
    Unavailable,
    Unreadable,
)
from bridge.kit.reading import maybe, table, text, when

from ._telegram import API, CODES, ask_join, bot_id, call, complaint, inside, join, recheck_join, result
from ._telegram_login import ISSUER, LOGIN, OAUTH, whoami

HEADER = "x-telegram-bot-api-secret-token"
#: Without naming it nobody is told of members. https://core.telegram.org/bots/api#update : chat_member
UPDATES = ("message", "chat_member")
PORTS = (443, 80, 88, 8443)


@dataclass(frozen=True, slots=True)
class SecretToken:
    """A secret that comes with each delivery as it stands: who sent it is proved, and nothing is signed.

    https://core.telegram.org/bots/api#setwebhook : secret_token
    """

    header: str

    @property
    def headers(self) -> frozenset[str]:
        return frozenset({self.header})

    def verify(self, inbound: Inbound, keys: Sequence[str], now: datetime) -> None:
        given = inbound.headers.get(self.header, "")
        if not given:
            raise MissingHeader(f"the header {self.header} is missing", status=401)
        told = given.encode(errors="replace")
        # Every secret is compared, so that time does not tell which one it was.
        if not any([hmac.compare_digest(told, key.encode()) for key in keys]):  # noqa: C419
            raise BadSignature(f"{self.header} is none of {len(keys)} configured secrets")

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]:
        return {self.header: key}


def read(delivery: Delivery, settings: Settings) -> Ignored | Iterable[Evidence]:
    match delivery.json():
        case {"chat_member": dict(change)}:
            return moved(change, settings)
        case {"message": dict()}:
            return Ignored(reason="a message earns nothing; it may carry a customer's code")
        case {"my_chat_member": {"new_chat_member": {"status": str(status)}}}:
            return Ignored(reason=f"the bot itself is now {status[:40]!a}; to hear of joins it must be administrator")
        case {"update_id": int(), **rest}:
            kinds = [str(kind) for kind in rest if re.fullmatch("[a-z_]{1,40}", str(kind))]
            return Ignored(reason=f"{', '.join(kinds[:3]) or 'nothing'} earns nothing here")
    raise Unreadable("no update: update_id is missing")


def moved(change: Mapping[str, Any], settings: Settings) -> Ignored | Iterable[Evidence]:
    """Who came or went is the member; `from` is who brought it about, which may be an administrator.

    https://core.telegram.org/bots/api#chatmemberupdated
    """
    chat, member = text(table(change, "chat"), "id"), table(change, "new_chat_member")
    only = settings.get("chat_id")
    if only and chat != str(only):
        return Ignored(reason=f"somebody moved in chat {chat}; chat_id is {only}")
    user = table(member, "user")
    account = text(user, "id")
    was, now = inside(table(change, "old_chat_member")), inside(member)
    if was is None or now is None:
        raise Unreadable("whether they were or are in the chat is not said in a way that is known")
    if user.get("is_bot") is True:
        return Ignored(reason="a bot came or went")
    if was == now:
        return Ignored(reason="somebody's rights have changed; they stay " + ("in the chat" if now else "outside"))
    return [join(chat, account, maybe(user, "username") or "", when(change, "date"), left=was)]


def page(settings: Settings, account: Account | None) -> str:
    name = settings.get("chat_link")
    return f"https://t.me/{name}" if name else ""


def set_up(wanted: SetUp) -> Talk[Prepared]:
    """Tells Telegram where to, with which secret, and what of. https://core.telegram.org/bots/api#setwebhook"""
    settings, did, left = wanted.settings, list[str](), list[str]()
    bot = yield from told("getMe", settings)
    name = str(bot.get("username") or "the bot")[:64]
    if chat := str(settings.get("chat_id") or ""):
        response = yield call("getChatMember", settings, chat_id=chat, user_id=bot_id(settings))
        there = result(response)
        if not isinstance(there, dict) or there.get("status") not in ("administrator", "creator"):
            left.append(f"Make @{name} an administrator of the chat {chat}: else it hears of nobody, and is not told")
    else:
        left.append("Put the chat's numeric id into chat_id")
    if urlsplit(wanted.url).scheme != "https" or (urlsplit(wanted.url).port or 443) not in PORTS:
        left.append(f"Telegram calls https on port {', '.join(map(str, PORTS))} alone, and not {wanted.url}")
        return Prepared(did=did, left=left)
    if not wanted.secret:
        left.append("Put a secret into webhook_secret: openssl rand -hex 32")
        return Prepared(did=did, left=left)
    before = yield from told("getWebhookInfo", settings)
    there = str(before.get("url") or "")
    # Whether its secret is ours Telegram does not say: it is told anew each time, which changes nothing else.
    line = f"@{name} tells {wanted.url} of {', '.join(UPDATES)}"
    if there and there != wanted.url:
        line += f"; until now it told {urlsplit(there).hostname}"
    if wanted.dry_run:
        return Prepared(did=[f"would be set: {line}"], left=left)
    values = {"url": wanted.url, "secret_token": wanted.secret, "allowed_updates": list(UPDATES)}
    yield from told("setWebhook", settings, post=True, **values)
    return Prepared(did=[line], left=left)


def told(method: str, settings: Settings, *, post: bool = False, **values: Any) -> Talk[Mapping[str, Any]]:
    """What a call of the Bot API came to. `Misconfigured` where the token is refused."""
    request: Request = call(method, settings, post=post, **values)
    response = yield request
    found = result(response)
    if found is None:
        kind = Misconfigured if response.status in (401, 404) else Unavailable
        raise kind(f"Telegram answered {response.status} to {method}: {complaint(response) or 'nothing'}")
    return found if isinstance(found, dict) else {}


def secret_fault(secret: str) -> str:
    # It is no key but a password: whoever guesses it can write whatever he likes.
    right = re.fullmatch(r"[A-Za-z0-9_-]{16,256}", secret)
    return "" if right else "has to be 16 to 256 of A-Z, a-z, 0-9, _ and -: openssl rand -hex 32"


def token_fault(token: str) -> str:
    return "" if re.fullmatch(r"[0-9]{5,16}:[A-Za-z0-9_-]{30,64}", token) else "is no token as BotFather gives them"


def chat_fault(chat: str) -> str:
    right = re.fullmatch(r"-[0-9]{1,16}", chat)
    return "" if right else "is the numeric id, which begins with -, and not the name: names change hands"


def name_fault(name: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{3,31}", name) else "is the bot's name without @"


def sample(title: str, before: str, after: str) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        user = {"id": int(values["user_id"]), "is_bot": False, "first_name": "Ann", "username": str(values["username"])}
        change = {
            "chat": {"id": int(values["chat"]), "title": "Cool Brand", "type": "channel"},
            "from": user,
            "date": int(now.timestamp()),
            "old_chat_member": {"user": user, "status": before},
            "new_chat_member": {"user": user, "status": after},
        }
        return {}, {"update_id": int(values["id"]), "chat_member": change}

    return Sample(title, {"id": 10000, "user_id": "4242", "username": "ann", "chat": "-1001234567890"}, make)


source = Source(
    name="telegram",
    title="Telegram",
    docs="https://core.telegram.org/bots/api#chatmemberupdated",
    actions={
        "join": Action(
            "Joins your group or channel",
            (Fact("username", "string", "the account's name at the time; empty where it has none"),),
        ),
    },
    settings=(
        Setting("webhook_secret", "sent with each update", "secrets", True, fault=secret_fault),
        Setting("bot_token", "as BotFather gives it; asks, answers, and signs the widget", "secret", fault=token_fault),
        Setting("bot_name", "the bot's name without @, for codes", example="cool_brand_bot", fault=name_fault),
        Setting("chat_id", "the group or channel, by its numeric id", example="-1001234567890", fault=chat_fault),
        Setting("chat_link", "where customers join: what stands behind t.me/", example="cool_brand"),
        Setting("client_id", "of Web Login, which BotFather shows; for signing in"),
        Setting("client_secret", "of Web Login; not the bot's token", "secret"),
        Setting("api_url", "where the Bot API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("jwks_url", "where the keys are that id_tokens are signed with", "url", default=OAUTH.jwks_url),
        Setting("issuer", "who signs them", "url", default=ISSUER),
    ),
    scheme=SecretToken(HEADER),
    read=read,
    rechecks={"join": recheck_join},
    recheck_needs=("bot_token",),
    oauth=OAUTH,
    whoami=whoami,
    login=LOGIN,
    codes=CODES,
    checks={"join": Check(brand=ask_join, brand_needs=("bot_token", "chat_id"), page=page)},
    setup=set_up,
    samples={
        "join": sample("Somebody joins", "left", "member"),
        "leave": sample("Somebody leaves", "member", "left"),
    },
    steps=(
        "Make a bot with @BotFather, and put its token into bot_token",
        "Make the bot an administrator of your group or channel: else it hears of nobody",
        "For signing in: Bot Settings, Web Login, add https://<your bridge>/connect/telegram/callback",
        "Set the webhook to {url} with secret_token and allowed_updates message and chat_member",
    ),
    room="social",
)
