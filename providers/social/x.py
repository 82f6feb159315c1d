"""X: who follows the brand, reposts or answers a post of it, told by the Activity API; can be asked about too.

X forbids every compensation for it, so all of it is off until the merchant insists. The signature covers the body alone
and no time, so the fact's key is what protects.
https://docs.x.com/x-api/webhooks/introduction
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from bridge.kit import (
    Action,
    BadPayload,
    BadSignature,
    Delivery,
    Evidence,
    Fact,
    Hmac,
    Ignored,
    Inbound,
    Misconfigured,
    Policy,
    Prepared,
    Reply,
    Request,
    Response,
    Sample,
    Setting,
    Settings,
    SetUp,
    Source,
    Talk,
    Unavailable,
    Unreadable,
)
from bridge.kit.query import once, pairs
from bridge.kit.reading import maybe, table, text

from ._x import API, OAUTH, REVOKE, at, bearer, call, complaint, follow, is_id, whoami
from ._x_posts import CHECKS, RECHECKS, answered, referenced, reply, repost

Payload = Mapping[str, Any]
#: What each action is told by.
EVENTS = {
    "follow": ("follow.follow", "follow.unfollow"),
    "repost": ("post.repost.create",),
    "reply": ("post.reply.create",),
}


def greet(inbound: Inbound, settings: Settings) -> Reply:
    """The challenge that X asks each hour. https://docs.x.com/x-api/webhooks/quickstart : the CRC check

    It is signed with the very key, and in the very way, that deliveries are: whoever could have any text signed
    would have an event signed. X's tokens are plain; what could be JSON is none of them.
    """
    try:
        token = once(pairs(urlsplit(inbound.url).query)).get("crc_token", "")
    except ValueError:
        token = ""
    if not re.fullmatch(r"[A-Za-z0-9_=+/.-]{1,128}", token, re.ASCII):
        raise BadPayload("crc_token is missing, or is none as X sends them")
    secrets = settings.get("webhook_secret") or ()
    if not secrets:
        raise BadSignature("webhook_secret is missing: the challenge cannot be answered")
    newest = secrets if isinstance(secrets, str) else secrets[0]
    answer = base64.b64encode(hmac.digest(str(newest).encode(), token.encode(), "sha256")).decode()
    return Reply(json.dumps({"response_token": f"sha256={answer}"}).encode(), media_type="application/json")


def read(delivery: Delivery, settings: Settings) -> Ignored | Iterable[Evidence]:
    """https://docs.x.com/x-api/activity/event-payloads"""
    data = table(delivery.json(), "data")
    kind, filtered, only = text(data, "event_type"), table(data, "filter"), settings.get("user_id")
    if not any(kind in kinds for kinds in EVENTS.values()):
        return Ignored(reason=f"{kind[:60]} earns nothing here")
    brand, payload = text(filtered, "user_id"), table(data, "payload")
    if only and brand != str(only):
        return Ignored(reason=f"{kind} of the account {brand}; user_id is {only}")
    match kind:
        case "follow.follow" | "follow.unfollow":
            return followed(kind, brand, payload)
        case "post.repost.create":
            return posted(kind, brand, payload, referenced(payload, "retweeted"), settings)
    return posted(kind, brand, payload, answered(payload), settings)


def followed(kind: str, brand: str, payload: Payload) -> Ignored | Iterable[Evidence]:
    """Told both of who follows the brand and of whom the brand follows. There is no time in it."""
    source, target = (table(table(payload, name), "data") for name in ("source", "target"))
    if text(target, "id") != brand:
        return Ignored(reason=f"the brand itself did it: {kind}")
    return [follow(brand, text(source, "id"), maybe(source, "username") or "", over=kind == "follow.unfollow")]


def posted(kind: str, brand: str, payload: Payload, post: str, settings: Settings) -> Ignored | Iterable[Evidence]:
    account, only = text(payload, "author_id"), settings.get("post_id")
    if not is_id(post):
        raise Unreadable("the post does not say which other post it is about")
    if account == brand:
        return Ignored(reason=f"the brand itself did it: {kind}")
    if only and post != str(only):
        return Ignored(reason=f"{kind} about the post {post}; post_id is {only}")
    if kind == "post.repost.create":
        return [repost(post, account, at(payload))]
    return [reply(post, account, payload)]


def set_up(wanted: SetUp) -> Talk[Prepared]:
    """Registers the webhook, and subscribes to follows. https://docs.x.com/x-api/activity/quickstart"""
    settings, did, left = wanted.settings, list[str](), list[str]()
    brand = str(settings.get("user_id") or "")
    if not bearer(settings) or not brand:
        return Prepared(left=["Put the application's bearer token and the brand's user_id into the source's table"])
    if not wanted.secret:
        return Prepared(left=["Put the application's API secret key into webhook_secret: X asks for a proof of it"])
    if urlsplit(wanted.url).port:
        left.append(f"X calls no address with a port in it, and not {wanted.url}")
        return Prepared(left=left)
    response = yield call("/webhooks", bearer(settings), settings)
    hook = next((row for row in told(response, "its webhooks") if row.get("url") == wanted.url), None)
    if hook is None and wanted.dry_run:
        did.append(f"would be set: X tells {wanted.url}")
    elif hook is None:
        response = yield post("/webhooks", settings, {"url": wanted.url})
        hook = made(response, "the webhook")
        did.append(f"X tells {wanted.url}")
    elif hook.get("valid") is not True:
        left.append(f"X has stopped telling {wanted.url}: ask it to look again, PUT /2/webhooks/{hook.get('id')}")
    response = yield call("/activity/subscriptions", bearer(settings), settings)
    heard = {
        str(row.get("event_type"))
        for row in told(response, "its subscriptions")
        if isinstance(row.get("filter"), dict) and row["filter"].get("user_id") == brand
    }
    for kind in (one for action in sorted(wanted.actions) for one in EVENTS.get(action, ()) if one not in heard):
        if not kind.startswith("follow."):
            left.append(f"Subscribe to {kind} with a token of the brand's own account: X takes no other for it")
        elif wanted.dry_run:
            did.append(f"would be set: {kind}")
        else:
            body = {"event_type": kind, "filter": {"user_id": brand}, "webhook_id": str((hook or {}).get("id"))}
            response = yield post("/activity/subscriptions", settings, body)
            made(response, kind)
            did.append(f"X tells of {kind}, each for money")
    return Prepared(did=did, left=left)


def post(path: str, settings: Settings, body: Mapping[str, Any]) -> Request:
    request = call(path, bearer(settings), settings)
    return Request("POST", request.url, headers=request.headers, json=body)


def told(response: Response, what: str) -> list[Mapping[str, Any]]:
    rows = response.object().get("data", [])
    if response.status != 200 or not isinstance(rows, list):
        kind = Misconfigured if response.status in (401, 402, 403) else Unavailable
        raise kind(f"X answered {response.status} when it was asked for {what}: {complaint(response)}")
    return [row for row in rows if isinstance(row, dict)]


def made(response: Response, what: str) -> Mapping[str, Any]:
    if response.status not in (200, 201):
        kind = Misconfigured if response.status in (400, 401, 402, 403) else Unavailable
        raise kind(f"X answered {response.status} and did not make {what}: {complaint(response)}")
    found = response.object().get("data")
    return found if isinstance(found, dict) else {}


def id_fault(given: str) -> str:
    return "" if is_id(given) else "is a number of up to 19 digits"


def sample(title: str, kind: str) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        who = {"id": str(values["user_id"]), "username": str(values["username"])}
        payload: dict[str, Any] = {"source": {"data": who}, "target": {"data": {"id": str(values["brand"])}}}
        if kind.startswith("post."):
            relation = "retweeted" if kind == "post.repost.create" else "replied_to"
            payload = {
                "id": str(values["id"]),
                "author_id": who["id"],
                "text": "So good",
                "created_at": f"{now:%Y-%m-%dT%H:%M:%S.000Z}",
                "referenced_tweets": [{"type": relation, "id": str(values["post"])}],
            }
        event = {"event_uuid": str(values["id"]), "filter": {"user_id": str(values["brand"])}, "event_type": kind}
        return {}, {"data": {**event, "payload": payload}}

    known = {"id": "2080761390344937796", "user_id": "1111111111111111111", "username": "ann"}
    return Sample(title, {**known, "brand": "2244994945", "post": "2080000000000000000"}, make)


POLICY = Policy(
    "Nobody may be compensated, with money or otherwise, for posts, follows, reposts, likes or replies",
    "https://docs.x.com/developer-terms/policy",
    forbidden=True,
)

source = Source(
    name="x",
    title="X",
    docs="https://docs.x.com/x-api/activity/introduction",
    actions={
        "follow": Action(
            "Follows you on X",
            (Fact("username", "string", "the account's name at the time; its owner may change it"),),
            policy=POLICY,
        ),
        "repost": Action("Reposts your post", policy=POLICY),
        "reply": Action(
            "Replies to your post", (Fact("text", "string", "the first 500 characters of the reply"),), policy=POLICY
        ),
    },
    settings=(
        Setting("webhook_secret", "the application's API secret key (consumer secret), to hear of it", "secrets"),
        Setting("user_id", "the brand's account, by its numeric id", example="2244994945", fault=id_fault),
        Setting(
            "post_id",
            "the only post that counts; for asking it is needed",
            example="2080000000000000000",
            fault=id_fault,
        ),
        Setting("client_id", "OAuth 2.0 client id of the application; for signing in"),
        Setting("client_secret", "OAuth 2.0 client secret of the application, a confidential one", "secret"),
        Setting("bearer_token", "app-only bearer token; asks for reposts and replies without the customer", "secret"),
        Setting("username", "the brand's name without @, for the button", example="cool_brand"),
        Setting("api_url", "where X's API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    scheme=Hmac(header="x-twitter-webhooks-signature", prefix="sha256=", encoding="base64"),
    read=read,
    greet=greet,
    rechecks=RECHECKS,
    recheck_needs=("bearer_token",),
    oauth=OAUTH,
    whoami=whoami,
    checks=CHECKS,
    setup=set_up,
    samples={
        "follow": sample("Somebody follows", "follow.follow"),
        "unfollow": sample("Somebody unfollows", "follow.unfollow"),
        "repost": sample("Somebody reposts", "post.repost.create"),
        "reply": sample("Somebody replies", "post.reply.create"),
    },
    steps=(
        "Make an application at https://console.x.com inside a project with credit: each answer and event is paid for",
        "Switch OAuth 2.0 on for it as a web app, with the callback https://<your bridge>/connect/x/callback",
        "To hear of follows and who unfollows, register {url} as a webhook and subscribe to follow.follow and "
        "follow.unfollow of the Activity API",
    ),
    approval="none, but X's policy forbids to reward any of it: ask X before you do",
    room="social",
)
