"""LINE asked: who has signed in, whether they are a friend of the Official Account, whether they still are.

https://developers.line.biz/en/reference/line-login/
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Evidence,
    OAuth,
    Question,
    Request,
    Settings,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.reading import text

from ._names import shown

API = "https://api.line.me"
REVOKE = "https://api.line.me/oauth2/v2.1/revoke"


def key(bot: str, account: str) -> str:
    """What names the fact between an Official Account and a person, however we learn of it. It may never change."""
    return f"{bot}:{account}"


def is_id(given: str) -> bool:
    return re.fullmatch(r"U[0-9a-f]{32}", given) is not None


def friend(bot: str, account: str, at: datetime | None = None, *, left: bool = False) -> Evidence:
    name = key(bot, account)
    return Evidence(action="friend", key=name, account=account, subject=bot, occurred_at=at, undone=left)


def call(path: str, token: str, settings: Settings) -> Request:
    url = f"{(settings.get('api_url') or API).rstrip('/')}{path}"
    return Request("GET", url, headers={"Authorization": f"Bearer {token}"})


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://developers.line.biz/en/reference/line-login/#get-user-profile : scope profile.

    The id is the same for all channels of one provider: the webhooks' only if both channels are the same one's.
    """
    response = yield call("/v2/profile", tokens.access, settings)
    if response.status != 200:
        raise Unavailable(f"LINE answered {response.status} when it was asked who signed in")
    found = response.object()
    try:
        account = text(found, "userId")
    except Unreadable as error:
        raise Unavailable(f"LINE does not say readably who signed in: {error.message}") from None
    if not is_id(account):
        raise Unavailable("LINE names the account by something that is no user id")
    return Account(id=account, handle=shown(found.get("displayName")))


def ask_friend(ask: Ask) -> Talk[Answer]:
    """With the customer's token, scope profile: whether they are a friend of the account that the channel is linked to.

    The brand's own side cannot say it: it may read the profile of whoever has written, friend or not.
    https://developers.line.biz/en/reference/line-login/#get-friendship-status : blocked is false, too.
    """
    bot = ask.subject or str(ask.settings.get("bot_id") or "")
    if not bot:
        return Answer("unknown", "bot_id is missing in the source's table", obstacle="brand")
    if ask.tokens is None:
        return Answer("unknown", "there is no token of the customer's", obstacle="reconnect")
    response = yield call("/friendship/v1/status", ask.tokens.access, ask.settings)
    match response.object():
        case {"friendFlag": True} if response.status == 200:
            return Answer("verified", evidence=friend(bot, ask.account.id))
        case {"friendFlag": False} if response.status == 200:
            return Answer("not_found", "is no friend of the account, or has blocked it")
    if response.status == 400:
        said = "LINE refuses the question: is the Official Account linked to the login channel?"
        return Answer("unknown", said, obstacle="brand")
    return unanswered(response, whose="customer")


def recheck_friend(question: Question, settings: Settings) -> Talk[Answer]:
    """Whether somebody who has been a friend still is: whoever has blocked the account cannot be read by it.

    A 404 has other reasons besides, and is therefore no "no": who blocks the account is told by webhook.
    https://developers.line.biz/en/reference/messaging-api/#get-profile
    """
    path = f"/v2/bot/profile/{quote(question.account, safe='')}"
    response = yield call(path, str(settings.get("channel_token") or ""), settings)
    found = response.object()
    if response.status == 200 and "userId" in found:
        if found["userId"] != question.account:
            return Answer("unknown", "LINE answered about another account")
        return Answer("verified", evidence=friend(question.subject, question.account))
    if response.status == 404:
        return Answer("unknown", "has blocked the account, or never allowed it to see the profile", obstacle="private")
    return unanswered(response, whose="brand")


def page(settings: Settings, account: Account | None) -> str:
    """https://developers.line.biz/en/docs/line-login/using-line-url-scheme/#add-friend"""
    name = settings.get("line_id")
    return f"https://line.me/R/ti/p/{quote(str(name), safe='@')}" if name else ""


OAUTH = OAuth(
    authorize_url="https://access.line.me/oauth2/v2.1/authorize",
    token_url="https://api.line.me/oauth2/v2.1/token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=("profile",),
    again_params={"disable_auto_login": "true"},
    names={"token": "access_token"},  # https://developers.line.biz/en/reference/line-login/#revoke-access-token
    revokes=("access",),
)
