"""Mastodon asked: who has signed in at which server, and whether they follow the brand.

https://docs.joinmastodon.org/methods/accounts/#relationships
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, Literal

from bridge.kit import (
    Account,
    Answer,
    Ask,
    BadPayload,
    Evidence,
    Question,
    Request,
    Response,
    Settings,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    moment,
    unanswered,
)
from bridge.kit.reading import maybe, when

#: A name of the public Internet: no port, no address, no name of a local network.
HOST = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])"
NAME = r"[a-z0-9_]+(?:[a-z0-9_.-]*[a-z0-9_]+)?"


def key(brand: str, account: str) -> str:
    """What names a follow between two accounts, both `name@server`. It may never change."""
    return f"{brand}:{account}"


def base_of(home: str, settings: Settings) -> str:
    return str(settings.get("api_url") or f"https://{home}").rstrip("/")


def brand_of(settings: Settings) -> str:
    """The brand's account as `name@server`; empty where the table names none."""
    return str(settings.get("handle") or "").strip().lstrip("@").lower()


def trusted(settings: Settings) -> list[str]:
    return [one.lower() for one in re.split(r"[\s,]+", str(settings.get("servers") or "")) if one]


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://docs.joinmastodon.org/methods/accounts/#verify_credentials : scope profile.

    Ids are a server's own and names nobody can change: an account is its name and its server. A server speaks for
    its own accounts alone, whatever it says.
    """
    home = tokens.server.home if tokens.server else ""
    if not home:
        raise Unavailable("nobody knows at which server this sign-in was")
    url = f"{base_of(home, settings)}/api/v1/accounts/verify_credentials"
    response = yield Request("GET", url, headers=tokens.bearer)
    found = response.object()
    name = str(found.get("username") or "").lower()
    if response.status != 200 or not re.fullmatch(NAME, name) or str(found.get("acct") or "").lower() != name:
        raise Unavailable(f"{home} answered {response.status} when it was asked who signed in")
    if place(found.get("url")) != profile(name, home):
        raise Unavailable(f"{home} says that the account is somewhere else")
    count = found.get("followers_count")
    try:
        born = when(found, "created_at") if maybe(found, "created_at") else None
    except Unreadable:
        born = None
    return Account(
        id=f"{name}@{home}",
        handle=f"@{name}@{home}",
        created_at=born,
        followers=count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None,
    )


def profile(name: str, home: str) -> str:
    return f"https://{home}/@{name}"


def place(url: Any) -> str:
    return url.lower() if isinstance(url, str) else ""


def ask_brand(ask: Ask) -> Talk[Answer]:
    """At the brand's server, with the brand's token: nothing is needed of the customer but who they are."""
    answer = yield from followed(ask.subject or brand_of(ask.settings), ask.account.id, ask.settings)
    return answer


def recheck_follow(question: Question, settings: Settings) -> Talk[Answer]:
    answer = yield from followed(question.subject, question.account, settings)
    return answer


def followed(brand: str, account: str, settings: Settings) -> Talk[Answer]:
    tokens = Tokens(access=str(settings.get("brand_token") or ""))
    return (yield from related(brand.rpartition("@")[2], tokens, account, brand, account, "brand", settings))


def ask_customer(ask: Ask) -> Talk[Answer]:
    """At the customer's server, with their token, if it is one whose word counts. Scopes read:follows, read:search."""
    brand, home = ask.subject or brand_of(ask.settings), ask.account.id.rpartition("@")[2]
    if not brand:
        return Answer("unknown", "handle is missing in the source's table", obstacle="brand")
    if home not in (brand.rpartition("@")[2], *trusted(ask.settings)):
        said = f"{home} may be anybody's own: only brand_token can tell, or name it in servers"
        return Answer("unknown", said, obstacle="brand")
    if ask.tokens is None:
        return Answer("unknown", "there is no token of the customer's", obstacle="reconnect")
    return (yield from related(home, ask.tokens, brand, brand, ask.account.id, "customer", ask.settings))


def related(
    home: str,
    tokens: Tokens,
    other: str,
    brand: str,
    account: str,
    whose: Literal["brand", "customer"],
    settings: Settings,
) -> Talk[Answer]:
    """What the server of `whose` token knows between it and `other`, which it first has to find.

    https://docs.joinmastodon.org/methods/search/#v2 : with an address and `resolve` it looks at other servers too.
    """
    name, _, there = other.rpartition("@")
    base, wanted = base_of(home, settings), profile(name, there)
    query = {"q": wanted, "type": "accounts", "resolve": "true", "limit": "1"}
    response = yield Request("GET", f"{base}/api/v2/search", params=query, headers=tokens.bearer)
    rows = response.object().get("accounts")
    if response.status != 200 or not isinstance(rows, list):
        return refused(response, whose)
    ids = [str(row.get("id")) for row in rows if isinstance(row, dict) and place(row.get("url")) == wanted]
    if not ids:
        return Answer("unknown", f"{home} does not find {other}")
    params = {"id[]": ids[0]}
    response = yield Request("GET", f"{base}/api/v1/accounts/relationships", params=params, headers=tokens.bearer)
    done, waits = ("followed_by", "requested_by") if whose == "brand" else ("following", "requested")
    match listed(response):
        case [{"id": id_, **relation}] if str(id_) == ids[0]:
            if relation.get(done) is True:
                return proved(brand, account)
            if relation.get(waits) is True:
                return Answer("pending", "has asked to follow, and the brand has not yet said yes")
            if relation.get(done) is False:
                return Answer("not_found", "does not follow the account")
            return Answer("unknown", f"{home} does not say whether they follow")
    return refused(response, whose)


def listed(response: Response) -> Any:
    """The list in an answer; None where it is no such answer."""
    try:
        return response.json() if response.status == 200 else None
    except Unavailable:
        return None


def refused(response: Response, whose: Literal["brand", "customer"]) -> Answer:
    """https://docs.joinmastodon.org/api/rate-limits/ : when it is over stands in a header of its own."""
    plain = unanswered(response, whose=whose)
    try:
        over = moment(response.headers.get("x-ratelimit-reset", "")) if response.status == 429 else None
    except BadPayload:
        over = None
    if over is None or response.at is None or not timedelta(0) < over - response.at <= timedelta(days=1):
        return plain
    return Answer("unknown", plain.note, obstacle=plain.obstacle, retry_after=over - response.at)


def proved(brand: str, account: str) -> Answer:
    evidence = Evidence(
        action="follow", key=key(brand, account), account=account, subject=brand, facts={"handle": f"@{account}"}
    )
    return Answer("verified", evidence=evidence)
