"""LINE: who adds the brand's Official Account as a friend and who blocks it, told by webhook; can be asked about too.

The webhook's signature covers the body alone and no time, so the fact's key is what protects against a repetition.
https://developers.line.biz/en/reference/messaging-api/#webhooks
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.kit import (
    Action,
    Check,
    Delivery,
    Evidence,
    Hmac,
    Ignored,
    Misconfigured,
    Prepared,
    Request,
    Response,
    Sample,
    Setting,
    Settings,
    SetUp,
    Source,
    Talk,
    Unavailable,
)
from bridge.kit.reading import table, tables, text, when

from ._line import API, OAUTH, REVOKE, ask_friend, call, friend, is_id, page, recheck_friend, whoami
from ._names import shown


def read(delivery: Delivery, settings: Settings) -> Ignored | Iterable[Evidence]:
    body = delivery.json()
    bot, events, only = text(body, "destination"), tables(body, "events"), settings.get("bot_id")
    if only and bot != str(only):
        return Ignored(reason=f"events of the account {bot}; bot_id is {only}")
    told = [one for event in events for one in friendship(bot, event)]
    if told:
        return told
    if not events:
        return Ignored(reason="LINE tries the address out: there is no event in it")
    kinds = sorted({str(event.get("type"))[:40] for event in events})
    return Ignored(reason=f"{', '.join(kinds)}: nobody came as a friend or left")


def friendship(bot: str, event: Mapping[str, Any]) -> Iterable[Evidence]:
    """https://developers.line.biz/en/reference/messaging-api/#follow-event

    `standby` means that another module of the account answers for this chat, and has been told the same.
    """
    match event:
        case {"mode": "standby"}:
            return
        case {"type": "follow", "follow": {"isUnblocked": True}}:
            return  # was a friend before, and blocked the account in between: that is no second friendship
        case {"type": "follow" | "unfollow" as kind, "source": {"type": "user"}}:
            account = text(table(event, "source"), "userId")
            yield friend(bot, account, when(event, "timestamp"), left=kind == "unfollow")


# --- set up ---------------------------------------------------------------------------------------------------------


def set_up(wanted: SetUp) -> Talk[Prepared]:
    """Tells LINE the webhook's address. https://developers.line.biz/en/reference/messaging-api/#set-webhook-endpoint-url"""
    did, left, settings = list[str](), list[str](), wanted.settings
    token = str(settings.get("channel_token") or "")
    if not token:
        return Prepared(left=["Issue a long-lived channel access token, and put it into channel_token"])
    response = yield call("/v2/bot/info", token, settings)
    bot = str(told(response, "about the account").get("userId") or "")
    if bot != str(settings.get("bot_id") or ""):
        left.append(f'Put bot_id = "{shown(bot)}" into the source\'s table')
    response = yield call("/v2/bot/channel/webhook/endpoint", token, settings)
    # 404: none has been set yet.
    there = {} if response.status == 404 else told(response, "about the webhook")
    if there.get("endpoint") == wanted.url:
        did.append(f"LINE tells {wanted.url} already")
    elif wanted.dry_run:
        did.append(f"would be set: LINE tells {wanted.url}")
    else:
        request = call("/v2/bot/channel/webhook/endpoint", token, settings)
        response = yield Request("PUT", request.url, headers=request.headers, json={"endpoint": wanted.url})
        told(response, "to set the webhook")
        did.append(f"LINE tells {wanted.url}")
    if there.get("active") is not True:
        left.append("Switch Use webhook on, and Webhook redelivery too, in the LINE Developers Console")
    return Prepared(did=did, left=left)


def told(response: Response, what: str) -> Mapping[str, Any]:
    if response.status == 200:
        return response.object()
    kind = Misconfigured if response.status in (400, 401, 403) else Unavailable
    raise kind(f"LINE answered {response.status} when it was asked {what}")


def configure(source: Source, settings: Settings) -> Source:
    """LINE can offer to add the account while customers sign in. https://developers.line.biz/en/docs/line-login/link-a-bot/

    Not by itself: whoever takes the offer is a friend before anybody has looked, and so had been one already.
    """
    prompt = settings.get("bot_prompt")
    return replace(source, oauth=replace(OAUTH, authorize_params={"bot_prompt": prompt})) if prompt else source


def id_fault(given: str) -> str:
    return "" if is_id(given) else "is U and 32 hex digits, as GET /v2/bot/info tells it"


def name_fault(given: str) -> str:
    return "" if re.fullmatch(r"@[a-z0-9._-]{2,30}", given) else "is the basic or premium id, which begins with @"


def sample(title: str, kind: str, **more: Any) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        event = {
            "type": kind,
            "mode": "active",
            "timestamp": int(now.timestamp() * 1000),
            "source": {"type": "user", "userId": str(values["user_id"])},
            "webhookEventId": str(values["id"]),
            "deliveryContext": {"isRedelivery": False},
            **more,
        }
        return {}, {"destination": str(values["bot"]), "events": [event]}

    user, bot = "U206d25c2ea6bd87c17655609a1c37cb8", "Uf3d2c4a1b5e6978899aabbccddeeff00"
    return Sample(title, {"id": "01FZ74A0TDDPYRVKNK77XKC3ZR", "user_id": user, "bot": bot}, make)


source = Source(
    name="line",
    title="LINE",
    docs="https://developers.line.biz/en/reference/messaging-api/#follow-event",
    actions={"friend": Action("Adds your Official Account as a friend")},
    settings=(
        Setting("webhook_secret", "the channel secret of the Messaging API channel", "secrets", True),
        Setting(
            "bot_id",
            "the Official Account's user id, the only one that counts",
            fault=id_fault,
            example="Uf3d2c4a1b5e6978899aabbccddeeff00",
        ),
        Setting(
            "channel_token",
            "long-lived channel access token of the Messaging API; asks whether they still are, and sets the webhook",
            "secret",
        ),
        Setting("client_id", "channel id of the LINE Login channel; of the same provider as the Messaging API's"),
        Setting("client_secret", "channel secret of the LINE Login channel", "secret"),
        Setting("line_id", "the account's @ id, for the button", example="@cool_brand", fault=name_fault),
        Setting(
            "bot_prompt",
            "offers to add the account while customers sign in; a rule with already = skip pays none of those who do",
            choices=("normal", "aggressive"),
        ),
        Setting("api_url", "where LINE's APIs are", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    scheme=Hmac(header="x-line-signature", encoding="base64"),
    read=read,
    configure=configure,
    rechecks={"friend": recheck_friend},
    recheck_needs=("channel_token",),
    oauth=OAUTH,
    whoami=whoami,
    checks={"friend": Check(ask=ask_friend, scopes=("profile",), page=page)},
    setup=set_up,
    samples={
        "friend": sample("Somebody becomes a friend", "follow", follow={"isUnblocked": False}),
        "left": sample("Somebody blocks the account", "unfollow"),
    },
    steps=(
        "Make a provider in the LINE Developers Console, and both channels in it: Messaging API and LINE Login",
        "In the LINE Login channel link the Official Account, and add the callback "
        "https://<your bridge>/connect/line/callback",
        "In the Messaging API channel set the webhook to {url}, switch Use webhook and Webhook redelivery on",
    ),
    room="social",
)
