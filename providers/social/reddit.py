"""Reddit: whether somebody has joined the brand's community, asked with their own token.

No application token and no moderator's is told who the members are. Votes can be asked about nowhere, and must not be.
https://www.reddit.com/dev/api#GET_r_{subreddit}_about
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bridge.kit import (
    Account,
    Action,
    Answer,
    Ask,
    Check,
    Evidence,
    Fact,
    OAuth,
    Policy,
    Request,
    Setting,
    Settings,
    Source,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.reading import text, when

API = "https://oauth.reddit.com"
REVOKE = "https://www.reddit.com/api/v1/revoke_token"
#: Why a community shows nobody anything: it is the brand's to open it. reddit-archive/reddit, r2/lib/errors.py
CLOSED = ("private", "quarantined", "banned", "gold_only")


def key(community: str, account: str) -> str:
    """What names the fact between a community and an account. It may never change."""
    return f"{community}:{account}"


def agent(settings: Settings) -> Mapping[str, str]:
    # Whoever does not say who he is gets 429. https://github.com/reddit-archive/reddit/wiki/API : User-Agent
    return {"User-Agent": str(settings.get("user_agent") or "")}


def call(path: str, tokens: Tokens, settings: Settings) -> Request:
    url = f"{(settings.get('api_url') or API).rstrip('/')}{path}"
    # Without raw_json the texts are escaped for HTML.
    return Request("GET", url, params={"raw_json": "1"}, headers={**tokens.bearer, **agent(settings)})


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://www.reddit.com/dev/api#GET_api_v1_me : scope identity. The id is the one without its kind, `t2_`."""
    response = yield call("/api/v1/me", tokens, settings)
    if response.status != 200:
        raise Unavailable(f"Reddit answered {response.status} when it was asked who signed in")
    found = response.object()
    try:
        account, handle = text(found, "id"), text(found, "name")
    except Unreadable as error:
        raise Unavailable(f"Reddit does not say readably who signed in: {error.message}") from None
    if not re.fullmatch(r"[a-z0-9]{1,13}", account):
        raise Unavailable("Reddit names the account by something that is no id of its own")
    return Account(id=account, handle=handle, created_at=born(found))


def born(found: Mapping[str, Any]) -> datetime | None:
    """Seconds since 1970, written as a fraction."""
    since = found.get("created_utc")
    if isinstance(since, bool) or not isinstance(since, int | float) or not 0 < since < 99_999_999_999:
        return None
    return when({"at": int(since)}, "at")


def ask_join(ask: Ask) -> Talk[Answer]:
    """With the customer's token, scope read: `user_is_subscriber` of the community. null: it cannot be seen."""
    community = ask.subject or name_of(ask.settings)
    if not community:
        return Answer("unknown", "subreddit is missing in the source's table", obstacle="brand")
    if ask.tokens is None:
        return Answer("unknown", "there is no token of the customer's", obstacle="reconnect")
    response = yield call(f"/r/{quote(community, safe='')}/about", ask.tokens, ask.settings)
    found = response.object()
    match found:
        case {"kind": "t5", "data": {"display_name": str(named), "user_is_subscriber": bool(joined)}} if (
            response.status == 200
        ):
            if named.lower() != community:
                return Answer("unknown", "Reddit answered about another community")
            return proved(community, ask.account) if joined else Answer("not_found", "has not joined the community")
        case {"kind": "t5"} if response.status == 200:
            return Answer("unknown", "Reddit does not say whether the account has joined")
        case {"reason": str(reason)} if reason in CLOSED and response.status in (403, 404):
            return Answer("unknown", f"the community is closed: {reason}", obstacle="brand")
    return unanswered(response, whose="customer")


def proved(community: str, account: Account) -> Answer:
    evidence = Evidence(
        action="join",
        key=key(community, account.id),
        account=account.id,
        subject=community,
        facts={"name": account.handle},
    )
    return Answer("verified", evidence=evidence)


def name_of(settings: Settings) -> str:
    """The community in lower case: Reddit takes every spelling for the same, and never renames one."""
    return str(settings.get("subreddit") or "").lower()


def name_fault(given: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z0-9_]{2,21}", given) else "is the name alone, as it stands behind /r/"


def agent_fault(given: str) -> str:
    right = given.isascii() and given.isprintable() and re.fullmatch(r"\S+:\S+:\S+ \(by /?u/\S+\)", given)
    return "" if right else 'is "platform:application:version (by /u/name)"; Reddit throttles whoever writes another'


def page(settings: Settings, account: Account | None) -> str:
    name = settings.get("subreddit")
    return f"https://www.reddit.com/r/{name}/" if name else ""


def token_answer(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
    """Reddit's own errors as RFC 6749 words: some are the status as a number, `{"message": ..., "error": 401}`."""
    if isinstance(body.get("error"), int):
        said = str(body.get("message") or "")
        word = {401: "invalid_client", 400: "invalid_grant"}.get(status, "server_error")
        return {"error": word, "error_description": said}
    return body


OAUTH = OAuth(
    authorize_url="https://www.reddit.com/api/v1/authorize",
    token_url="https://www.reddit.com/api/v1/access_token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    needs=("client_id", "client_secret", "user_agent"),
    scopes=("identity",),
    keep_params={"duration": "permanent"},  # else there is nothing to renew with after an hour
    pkce=False,  # not documented
    client_auth="basic",
    headers=agent,
    normalise=token_answer,
)

source = Source(
    name="reddit",
    title="Reddit",
    docs="https://github.com/reddit-archive/reddit/wiki/OAuth2",
    actions={
        "join": Action(
            "Joins your community",
            (Fact("name", "string", "the account's name, without u/; nobody can change it"),),
            policy=Policy(
                "Votes may be neither asked for nor rewarded; a reward for joining is not named",
                "https://redditinc.com/policies/reddit-rules",
            ),
        ),
    },
    settings=(
        Setting("client_id", "of the application Reddit has approved"),
        Setting("client_secret", "of the application", "secret"),
        Setting(
            "user_agent",
            "how we introduce ourselves: platform:application:version (by /u/name)",
            required=True,
            example="web:com.example.rewards:v1 (by /u/cool_brand)",
            fault=agent_fault,
        ),
        Setting("subreddit", "the community, as it stands behind /r/", example="cool_brand", fault=name_fault),
        Setting("api_url", "where Reddit's API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    oauth=OAUTH,
    whoami=whoami,
    checks={"join": Check(ask=ask_join, scopes=("read",), page=page)},
    steps=(
        "Ask Reddit for access to its Data API, for commercial use",
        "Once it is granted make a web app at https://www.reddit.com/prefs/apps",
        "Give it the redirect https://<your bridge>/connect/reddit/callback",
    ),
    approval="weeks: since November 2025 Reddit approves each application, and promises no time",
    room="social",
)
