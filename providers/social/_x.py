"""X asked: who has signed in, whether they follow, and what X's answers mean.

https://docs.x.com/x-api/introduction
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Evidence,
    OAuth,
    Request,
    Response,
    Settings,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.reading import maybe, when

API = "https://api.x.com/2"
REVOKE = "https://api.x.com/2/oauth2/revoke"
#: What X says where it is the application that may not ask, or has not paid.
OURS = ("client-not-enrolled", "client-forbidden", "unsupported-authentication", "credits", "usage-capped")

Whose = Literal["customer", "brand"]


def key(subject: str, account: str) -> str:
    """What names a fact between the brand's account, or a post of it, and an account. It may never change."""
    return f"{subject}:{account}"


def call(path: str, token: str, settings: Settings, **query: str) -> Request:
    url = f"{(settings.get('api_url') or API).rstrip('/')}{path}"
    return Request("GET", url, params=query, headers={"Authorization": f"Bearer {token}"})


def is_id(given: Any) -> bool:
    return isinstance(given, str) and re.fullmatch(r"[0-9]{1,19}", given, re.ASCII) is not None


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://docs.x.com/x-api/users/get-my-user"""
    response = yield call(
        "/users/me", tokens.access, settings, **{"user.fields": "created_at,protected,public_metrics"}
    )
    match response.object():
        case {"data": {"id": account, "username": str(handle), **more}} if response.status == 200 and is_id(account):
            counts = more.get("public_metrics")
            followers = counts.get("followers_count") if isinstance(counts, dict) else None
            return Account(
                id=account,
                handle=handle,
                created_at=at(more),
                followers=followers if type(followers) is int else None,
                claims={"protected": more.get("protected") is True},
            )
    raise Unavailable(f"X answered {response.status} when it was asked who signed in: {complaint(response)}")


def at(found: Mapping[Any, Any]) -> datetime | None:
    try:
        return when(found, "created_at") if maybe(found, "created_at") else None
    except Unreadable:
        return None


def unaskable(ask: Ask, name: str) -> Answer | None:
    if not (ask.subject or ask.settings.get(name)):
        return Answer("unknown", f"{name} is missing in the source's table", obstacle="brand")
    return None


NO_TOKEN = Answer("unknown", "there is no token of the customer's", obstacle="reconnect")


# --- follow ---------------------------------------------------------------------------------------------------------


def follow(brand: str, account: str, username: str, *, over: bool = False) -> Evidence:
    facts = {"username": username}
    return Evidence(action="follow", key=key(brand, account), account=account, subject=brand, facts=facts, undone=over)


def ask_follow(ask: Ask) -> Talk[Answer]:
    """With the customer's token: what they are to the brand. Nothing at all is left out of the answer.

    https://docs.x.com/x-api/users/get-user-by-id : connection_status
    """
    if fault := unaskable(ask, "user_id"):
        return fault
    if ask.tokens is None:
        return NO_TOKEN
    brand = ask.subject or str(ask.settings["user_id"])
    query = {"user.fields": "connection_status"}
    response = yield call(f"/users/{quote(brand, safe='')}", ask.tokens.access, ask.settings, **query)
    found = response.object()
    match found:
        case {"data": {"id": str(named), **more}} if response.status == 200 and not found.get("errors"):
            if named != brand:
                return Answer("unknown", "X answered about another account")
            connected = more.get("connection_status", [])
            if not isinstance(connected, list):
                return Answer("unknown", "X does not say readably what they are to the brand")
            if "following" in connected:
                return Answer("verified", evidence=follow(brand, ask.account.id, ask.account.handle))
            if "follow_request_sent" in connected:
                return Answer("pending", "has asked to follow, and the brand has not said yes")
            return Answer("not_found", "does not follow the brand")
        case {"errors": list()} if response.status == 200:
            return Answer("unknown", f"X does not show the brand: {complaint(response)}", obstacle="brand")
    return refused(response, "customer")


# --- what X answers -------------------------------------------------------------------------------------------------


def listed(response: Response) -> list[Mapping[str, Any]] | None:
    """The rows of an answer, whose `data` is left out where there are none; None where it is no such answer."""
    match response.object():
        case {"meta": {"result_count": int()}, **rest} if response.status == 200 and not rest.get("errors"):
            rows = rest.get("data", [])
            return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None
    return None


def after(response: Response) -> str:
    meta = response.object().get("meta")
    following = meta.get("next_token") if isinstance(meta, dict) else None
    return following if isinstance(following, str) else ""


def complaint(response: Response) -> str:
    found = response.object()
    errors = found.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    words = [found.get(name) for name in ("reason", "title", "type")] + [first.get("title"), first.get("type")]
    return ", ".join(ascii(one[:80])[1:-1] for one in words if isinstance(one, str)) or "nothing"


def refused(response: Response, whose: Whose) -> Answer:
    """What stands in the way. https://docs.x.com/x-api/fundamentals/response-codes-and-errors"""
    said = complaint(response)
    plain = unanswered(response, whose=whose)
    note = f"{plain.note}: {said}"
    if response.status == 402 or (response.status in (401, 403) and any(one in said.lower() for one in OURS)):
        return Answer("unknown", note, obstacle="brand")
    return Answer("unknown", note, obstacle=plain.obstacle, retry_after=plain.retry_after or reset(response))


def reset(response: Response) -> timedelta | None:
    """https://docs.x.com/x-api/fundamentals/rate-limits : when the window ends, in seconds since 1970."""
    text_ = response.headers.get("x-rate-limit-reset", "")
    if response.status != 429 or response.at is None or not re.fullmatch(r"[0-9]{9,11}", text_, re.ASCII):
        return None
    left = datetime.fromtimestamp(int(text_), UTC) - response.at
    return max(timedelta(0), min(left, timedelta(days=1)))


def bearer(settings: Settings) -> str:
    return str(settings.get("bearer_token") or "")


# --- where it is done -----------------------------------------------------------------------------------------------


def follow_page(settings: Settings, account: Account | None) -> str:
    name = settings.get("username")
    return f"https://x.com/intent/follow?screen_name={quote(str(name), safe='')}" if name else ""


ME = ("tweet.read", "users.read")
OAUTH = OAuth(
    authorize_url="https://x.com/i/oauth2/authorize",
    token_url="https://api.x.com/2/oauth2/token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=ME,
    keep_scopes=("offline.access",),  # else the token is over after two hours, and nothing renews it
    client_auth="basic",
)
