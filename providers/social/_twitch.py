"""Twitch asked: who has signed in, whether they follow, whether they subscribe.

https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/#authorization-code-grant-flow
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Brand,
    Check,
    Evidence,
    OAuth,
    Question,
    Request,
    Response,
    Settings,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.reading import maybe, text, when

HELIX = "https://api.twitch.tv/helix"
REVOKE = "https://id.twitch.tv/oauth2/revoke"
SITE = "https://www.twitch.tv"
#: Settings without which the brand's side cannot be asked.
NEEDS = ("client_id", "broadcaster_token")


def key(channel: str, account: str, suffix: str = "") -> str:
    """What names a fact between a channel and an account, however we learn of it. It may never change."""
    return f"{channel}:{account}{suffix}"


def tier_suffix(tier: str, given: bool) -> str:
    # Being given a subscription and buying one are two facts, and so is a higher tier.
    return f":{tier}:gift" if given else f":{tier}"


def helix(path: str, token: str, settings: Settings, **query: str) -> Request:
    # Every call names the client that its token was made for; 401 otherwise.
    headers = {"Authorization": f"Bearer {token}", "Client-Id": str(settings.get("client_id") or "")}
    return Request("GET", f"{(settings.get('api_url') or HELIX).rstrip('/')}{path}", params=query, headers=headers)


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://dev.twitch.tv/docs/api/reference/#get-users : without an id, the token's own user."""
    response = yield helix("/users", tokens.access, settings)
    rows = listed(response)
    if not rows:
        raise Unavailable(f"Twitch answered {response.status} when it was asked who signed in")
    try:
        return Account(id=text(rows[0], "id"), handle=text(rows[0], "login"), created_at=created(rows[0]))
    except Unreadable as error:
        raise Unavailable(f"Twitch does not say readably who signed in: {error.message}") from None


def created(row: Mapping[str, Any]) -> Any:
    return when(row, "created_at") if maybe(row, "created_at") else None


def ask_follow(ask: Ask) -> Talk[Answer]:
    """With the customer's token, scope user:read:follows.

    https://dev.twitch.tv/docs/api/reference/#get-followed-channels : filtered by channel, none or one.
    """
    if fault := unaskable(ask):
        return fault
    assert ask.tokens is not None
    channel = ask.subject or str(ask.settings["channel_id"])
    query = {"user_id": ask.account.id, "broadcaster_id": channel}
    response = yield helix("/channels/followed", ask.tokens.access, ask.settings, **query)
    rows = listed(response)
    if rows is None:
        return unanswered(response, whose="customer")
    for row in rows:
        if str(row.get("broadcaster_id")) == channel:
            return follows(channel, ask.account.id, ask.account.handle, row)
    return (
        Answer("unknown", "Twitch answered about another channel") if rows else Answer("not_found", "does not follow")
    )


def ask_brand(ask: Ask) -> Talk[Answer]:
    """With the brand's token: the customer's is not needed at all."""
    if not (channel := ask.subject or str(ask.settings.get("channel_id") or "")):
        return Answer("unknown", "channel_id is missing in the source's table", obstacle="brand")
    answer = yield from recheck_follow(Question(ask.account.id, channel, key(channel, ask.account.id)), ask.settings)
    return answer


def recheck_follow(question: Question, settings: Settings) -> Talk[Answer]:
    """Whether the account still follows, asked with the brand's token.

    A token without moderator:read:followers, or of somebody who neither owns nor moderates the channel, gets
    200 with the total and an empty list: the very answer that says "no". Whether the token may see followers
    at all is therefore asked before a "no" is believed.
    https://dev.twitch.tv/docs/api/reference/#get-channel-followers
    """
    response = yield followers(question, settings, user_id=question.account)
    total, rows = counted(response), listed(response)
    if total is None or rows is None:
        return unanswered(response, whose="brand")
    for row in rows:
        if str(row.get("user_id")) == question.account:
            return follows(question.subject, question.account, maybe(row, "user_login") or "", row)
    if rows:
        return Answer("unknown", "Twitch answered about another account")
    if total == 0:
        return Answer("not_found", "nobody follows the channel")
    response = yield followers(question, settings, first="1")
    total, rows = counted(response), listed(response)
    if total is None or rows is None:
        return unanswered(response, whose="brand")
    if not rows:
        said = "the token may not see followers; it needs moderator:read:followers for this channel"
        return Answer("unknown", said, obstacle="brand")
    return Answer("not_found", "does not follow the channel")


def followers(question: Question, settings: Settings, **query: str) -> Request:
    token = str(settings["broadcaster_token"])
    return helix("/channels/followers", token, settings, broadcaster_id=question.subject, **query)


def follows(channel: str, account: str, login: str, row: Mapping[str, Any]) -> Answer:
    told = Evidence(
        action="follow", key=key(channel, account), account=account, subject=channel, facts={"login": login}
    )
    try:
        at = when(row, "followed_at") if maybe(row, "followed_at") else None
    except Unreadable:
        at = None  # that it is so does not depend on when
    return Answer("verified", evidence=replace(told, occurred_at=at))


def ask_subscription(ask: Ask) -> Talk[Answer]:
    """With the customer's token, scope user:read:subscriptions. "No" is a 404, and Twitch's own: a page is none.

    https://dev.twitch.tv/docs/api/reference/#check-user-subscription
    """
    if fault := unaskable(ask):
        return fault
    assert ask.tokens is not None
    channel = ask.subject or str(ask.settings["channel_id"])
    query = {"broadcaster_id": channel, "user_id": ask.account.id}
    response = yield helix("/subscriptions/user", ask.tokens.access, ask.settings, **query)
    if response.status == 404 and response.object().get("status") == 404:
        return Answer("not_found", "does not subscribe to the channel")
    for row in listed(response) or ():
        tier = str(row.get("tier") or "")
        if str(row.get("broadcaster_id")) == channel and tier:
            given = row.get("is_gift") is True
            facts = {"login": ask.account.handle, "tier": tier, "is_gift": given}
            name = key(channel, ask.account.id, tier_suffix(tier, given))
            told = Evidence(action="subscribe", key=name, account=ask.account.id, subject=channel, facts=facts)
            return Answer("verified", evidence=told)
    return unanswered(response, whose="customer")


def unaskable(ask: Ask) -> Answer | None:
    if not (ask.subject or ask.settings.get("channel_id")):
        return Answer("unknown", "channel_id is missing in the source's table", obstacle="brand")
    return None if ask.tokens else Answer("unknown", "there is no token of the customer's", obstacle="reconnect")


def listed(response: Response) -> list[Mapping[str, Any]] | None:
    """The rows in an answer; None where it is no such answer."""
    match response.object():
        case {"data": list(rows)} if response.status == 200:
            return [row for row in rows if isinstance(row, dict)]
    return None


def counted(response: Response) -> int | None:
    match response.object():
        case {"total": int(total)} if response.status == 200:
            return total
    return None


def token_answer(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
    """Twitch's own errors as RFC 6749 words: it writes `{"status": 400, "message": "Invalid refresh token"}`.

    Of a secret that is wrong or an application that is gone it says so in the message; what else it refuses
    is the code or the refresh token.
    https://dev.twitch.tv/docs/authentication/refresh-tokens/
    """
    if 200 <= status < 300 and "access_token" in body:
        return body
    said = str(body.get("message") or "")
    if status == 403 or "client" in said.lower():
        return {"error": "invalid_client", "error_description": said}
    if status in (400, 401):
        return {"error": "invalid_grant", "error_description": said}
    return body


def page(settings: Settings, account: Account | None) -> str:
    name = settings.get("channel_name")
    return f"{(settings.get('site_url') or SITE).rstrip('/')}/{name}" if name else ""


OAUTH = OAuth(
    authorize_url="https://id.twitch.tv/oauth2/authorize",
    token_url="https://id.twitch.tv/oauth2/token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=(),  # who it is, any token tells
    again_params={"force_verify": "true"},
    pkce=False,  # not documented: a parameter it does not know may be refused one day
    revoke_auth="none",  # client_id and token: https://dev.twitch.tv/docs/authentication/revoke-tokens/
    revokes=("access",),
    normalise=token_answer,
)
CHECKS = {
    "follow": Check(
        ask=ask_follow, scopes=("user:read:follows",), brand=ask_brand, brand_needs=(*NEEDS, "channel_id"), page=page
    ),
    "subscribe": Check(ask=ask_subscription, scopes=("user:read:subscriptions",), page=page),
}
BRAND = Brand(setting="broadcaster_token", scopes=("moderator:read:followers",))
