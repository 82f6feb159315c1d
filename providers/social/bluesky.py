"""Bluesky: whether somebody follows the brand, likes or has reposted its post. All of it stands in public.

Signing in says who somebody is, and nothing more is asked with it. When a record was made is what its owner's software
claims, so it counts for nothing: the times are those at which we looked.
https://docs.bsky.app/docs/api/app-bsky-graph-get-relationships
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

from bridge.kit import (
    Account,
    Action,
    Answer,
    Ask,
    Check,
    Evidence,
    Question,
    Response,
    Setting,
    Settings,
    Source,
    Talk,
    unanswered,
)

from ._bluesky_login import API, DIRECTORY, OAUTH, is_did, public, whoami

#: How many pages of a hundred are read to find one account; the latest stand first.
PAGES = 20

Verb = Literal["follow", "like", "repost"]
#: Where each is listed: the method, and the list in its answer.
LISTS: Mapping[str, tuple[str, str]] = {
    "like": ("app.bsky.feed.getLikes", "likes"),
    "repost": ("app.bsky.feed.getRepostedBy", "repostedBy"),
}


def key(subject: str, account: str) -> str:
    """What names a fact between the brand, or a post of it, and an account. It may never change. DIDs have colons."""
    return f"{subject}|{account}"


def told(verb: Verb, subject: str, account: str) -> Answer:
    return Answer(
        "verified", evidence=Evidence(action=verb, key=key(subject, account), account=account, subject=subject)
    )


def subject_of(verb: Verb, settings: Settings) -> str:
    return str(settings.get("did" if verb == "follow" else "post") or "")


def ask(verb: Verb, question: Ask) -> Talk[Answer]:
    """By public read: nothing is needed of the customer but who they are."""
    subject = question.subject or subject_of(verb, question.settings)
    answer = yield from recheck(verb, Question(question.account.id, subject, ""), question.settings)
    return answer


def recheck(verb: Verb, question: Question, settings: Settings) -> Talk[Answer]:
    if verb == "follow":
        answer = yield from followed(question.subject, question.account, settings)
    else:
        answer = yield from listed(verb, question.subject, question.account, settings)
    return answer


def followed(brand: str, account: str, settings: Settings) -> Talk[Answer]:
    """`following` holds the record's address, and is left out where there is none.

    https://docs.bsky.app/docs/api/app-bsky-graph-get-relationships
    """
    response = yield public("app.bsky.graph.getRelationships", settings, actor=account, others=brand)
    match response.object():
        case {"actor": str(actor), "relationships": [{**relation}]} if response.status == 200:
            if actor != account:
                return Answer("unknown", "Bluesky answered about another account")
            if relation.get("notFound") is True:
                return Answer("unknown", "Bluesky knows no account with the DID in did", obstacle="brand")
            record = relation.get("following")
            if relation.get("did") != brand or not (record is None or isinstance(record, str)):
                return Answer("unknown", "Bluesky does not say readably whether they follow")
            if record is None:
                return Answer("not_found", "does not follow the brand")
            if not record.startswith(f"at://{account}/app.bsky.graph.follow/"):
                return Answer("unknown", "the record of the follow is not the account's own")
            return told("follow", brand, account)
    return silent(response)


def listed(verb: Verb, post: str, account: str, settings: Settings) -> Talk[Answer]:
    """https://docs.bsky.app/docs/api/app-bsky-feed-get-likes and -get-reposted-by"""
    method, name = LISTS[verb]
    query = {"uri": post, "limit": "100"}
    for _ in range(PAGES):
        response = yield public(method, settings, **query)
        found = response.object()
        rows, following = found.get(name), found.get("cursor")
        if response.status != 200 or not isinstance(rows, list) or found.get("uri") != post:
            return silent(response)
        if any(who(row) == account for row in rows):
            return told(verb, post, account)
        if not rows or not isinstance(following, str) or not following:
            return Answer("not_found", f"is not among those who {verb} it")
        query["cursor"] = following
    return Answer("unknown", f"is not among the last {PAGES * 100}, and there are more")


def who(row: Any) -> str:
    """The account in a row: of a like it is the actor, of a repost the row itself."""
    match row:
        case {"actor": {"did": str(did)}} | {"did": str(did)}:
            return did
    return ""


def silent(response: Response) -> Answer:
    found = response.object()
    if response.status == 400 and found.get("error") in ("ActorNotFound", "NotFound", "InvalidRequest"):
        return Answer("unknown", "Bluesky does not show the account or the post: are did and post right?")
    return unanswered(response, whose="nobody")


def page(verb: Verb, settings: Settings, account: Account | None) -> str:
    subject = subject_of(verb, settings)
    if verb == "follow":
        return f"https://bsky.app/profile/{subject}" if is_did(subject) else ""
    found = re.fullmatch(r"at://(did:[^/]+)/app\.bsky\.feed\.post/([A-Za-z0-9._~-]{1,64})", subject)
    return f"https://bsky.app/profile/{found[1]}/post/{found[2]}" if found else ""


def did_fault(given: str) -> str:
    return "" if is_did(given) else "is the DID, which begins with did:plc: and stays when the handle changes"


def post_fault(given: str) -> str:
    right = re.fullmatch(r"at://([^/]+)/app\.bsky\.feed\.post/[A-Za-z0-9._~-]{1,64}", given)
    return "" if right and is_did(right[1]) else "is at://did:plc:.../app.bsky.feed.post/..., with the DID in it"


def check(verb: Verb) -> Check:
    needs = ("did",) if verb == "follow" else ("post",)
    return Check(brand=partial(ask, verb), brand_needs=needs, page=partial(page, verb))


VERBS: tuple[Verb, ...] = ("follow", "like", "repost")

source = Source(
    name="bluesky",
    title="Bluesky",
    docs="https://docs.bsky.app/docs/api/at-protocol-xrpc-api",
    actions={
        "follow": Action("Follows you on Bluesky"),
        "like": Action("Likes your post"),
        "repost": Action("Reposts your post"),
    },
    settings=(
        Setting("did", "the brand's account", example="did:plc:z72i7hdynmk6r22z27h6tvur", fault=did_fault),
        Setting(
            "post",
            "the post that counts, for likes and reposts",
            example="at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3k43tv4rft22g",
            fault=post_fault,
        ),
        Setting("api_url", "where everything public is read", "url", default=API),
        Setting("plc_url", "the directory of DIDs", "url", default=DIRECTORY),
    ),
    rechecks={verb: partial(recheck, verb) for verb in VERBS},
    oauth=OAUTH,
    whoami=whoami,
    checks={verb: check(verb) for verb in VERBS},
    steps=(
        "Nothing has to be registered: servers read https://<your bridge>/connect/bluesky/client.json, which must be "
        "reachable for all the world",
        "Look the brand's DID up: https://public.api.bsky.app/xrpc/com.atproto.identity.resolveHandle?handle=<handle>",
    ),
    room="social",
)
