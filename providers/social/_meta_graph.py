"""The Graph API: who wrote to the brand, what the brand may read of them, how it answers, what a refusal means.

https://developers.facebook.com/docs/graph-api
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from bridge.kit import (
    Answer,
    Ask,
    Misconfigured,
    Prepared,
    Request,
    Response,
    Settings,
    SetUp,
    Talk,
    Unavailable,
    unanswered,
)

from ._meta import Event, Inbox, message_of
from ._names import shown

#: What Graph's error codes mean. https://developers.facebook.com/docs/graph-api/guides/error-handling
NO_CONSENT = 230
BUSY = frozenset({1, 2, 4, 17, 32, 341, 613, *range(80000, 80015)})
BRANDS = frozenset({3, 10, 102, 190, *range(200, 300)} - {NO_CONSENT})


def call(inbox: Inbox, path: str, settings: Settings, **query: str) -> Request:
    url = f"{(settings.get('api_url') or inbox.api).rstrip('/')}{path}"
    # In a header the token stands in no proxy's log.
    return Request("GET", url, params=query, headers={"Authorization": f"Bearer {settings.get('access_token') or ''}"})


def profile(inbox: Inbox, account: str, settings: Settings, fields: str) -> Talk[Event | Answer]:
    """What the brand may read of somebody who has written to it; else what stands in the way.

    https://developers.facebook.com/documentation/business-messaging/instagram-messaging/features/user-profile
    """
    response = yield call(inbox, f"/{quote(account, safe='')}", settings, fields=fields)
    found = response.object()
    if response.status != 200 or "error" in found or not found:
        return refused(response)
    if str(found.get("id", account)) != account:
        return Answer("unknown", f"{inbox.title} answered about another account")
    return found


def ask_message(inbox: Inbox) -> Callable[[Ask], Talk[Answer]]:
    def asked(ask: Ask) -> Talk[Answer]:
        """Whether somebody has written, by the brand's own conversations: the brand may have begun one, too.

        https://developers.facebook.com/docs/messenger-platform/conversations
        """
        own = ask.subject or own_of(inbox, ask.settings)
        query = {"platform": inbox.platform, "user_id": ask.account.id, "fields": "messages.limit(20){from}"}
        response = yield call(inbox, f"/{quote(own, safe='')}/conversations", ask.settings, **query)
        match response.object():
            case {"data": []} if response.status == 200:
                return Answer("not_found", "has not written")
            case {"data": list(rows)} if response.status == 200:
                if any(one == ask.account.id for one in senders(rows)):
                    return Answer("verified", evidence=message_of(own, ask.account.id))
                return Answer("unknown", "there is a conversation, and its latest messages are not theirs")
        return refused(response)

    return asked


def senders(conversations: Sequence[Any]) -> Iterator[str]:
    for conversation in conversations:
        match conversation:
            case {"messages": {"data": list(rows)}}:
                for row in rows:
                    match row:
                        case {"from": {"id": str(name)}}:
                            yield name


def own_of(inbox: Inbox, settings: Settings) -> str:
    return str(settings.get(inbox.own) or "")


def complaint(response: Response) -> str:
    match response.object():
        case {"error": {"message": str(said)}}:
            return shown(said)
    return "nothing"


def refused(response: Response) -> Answer:
    """What stands in the way, by Graph's number for it: nearly all of it comes with 400."""
    match response.object():
        case {"error": {"code": int(code), **more}}:
            note = f"error {code}: {complaint(response)}"
            if code == NO_CONSENT:
                # Whoever writes to the brand, with a new code for example, allows it.
                return Answer("unknown", note, obstacle="reconnect")
            if code in BUSY or more.get("is_transient") is True:
                return Answer("unknown", note, obstacle="busy", retry_after=response.retry_after)
            if code in BRANDS:
                return Answer("unknown", note, obstacle="brand")
            return Answer("unknown", note)
    return unanswered(response, whose="brand")


# --- set up ---------------------------------------------------------------------------------------------------------


def set_up(inbox: Inbox, me: str) -> Callable[[SetUp], Talk[Prepared]]:
    def done(wanted: SetUp) -> Talk[Prepared]:
        """Subscribes the application to the brand's inbox. The address itself only a person can enter, and the reads
        that come first show whether the token is the brand's.

        https://developers.facebook.com/docs/messenger-platform/webhooks
        """
        settings, did = wanted.settings, list[str]()
        left = [
            f"In the App Dashboard, Webhooks, enter {wanted.url} with the verify_token, and {', '.join(inbox.fields)}"
        ]
        if not settings.get("access_token"):
            return Prepared(left=["Put the brand's token into access_token", *left])
        response = yield call(inbox, "/me", settings, fields=me)
        own = str(told(response, "whose token it is").get(me) or "")
        if own != own_of(inbox, settings):
            left.insert(0, f'Put {inbox.own} = "{shown(own)}" into the source\'s table: the token is its')
            return Prepared(left=left)
        response = yield call(inbox, f"/{own}/subscribed_apps", settings)
        rows = told(response, "what it is subscribed to").get("data")
        heard = {
            field
            for row in (rows if isinstance(rows, list) else ())
            if isinstance(row, dict) and isinstance(row.get("subscribed_fields"), list)
            for field in row["subscribed_fields"]
        }
        if missing := [field for field in inbox.fields if field not in heard]:
            if not wanted.dry_run:
                request = call(inbox, f"/{own}/subscribed_apps", settings)
                # What was subscribed to before goes on: the list takes the place of the one there is.
                fields = ",".join(sorted(map(str, heard | set(inbox.fields))))
                response = yield Request(
                    "POST", request.url, headers=request.headers, form={"subscribed_fields": fields}
                )
                told(response, "to tell of messages")
            did.append(f"{'would be set: ' * wanted.dry_run}{inbox.title} tells of {', '.join(missing)}")
        return Prepared(did=did, left=left)

    return done


def told(response: Response, what: str) -> Mapping[str, Any]:
    if response.status == 200 and "error" not in response.object():
        return response.object()
    obstacle = refused(response).obstacle
    kind = Misconfigured if obstacle == "brand" else Unavailable
    raise kind(f"Meta answered {response.status} when it was asked {what}: {complaint(response)}")


def say(inbox: Inbox) -> Callable[[str, str, Settings], Talk[None]]:
    def said(account: str, words: str, settings: Settings) -> Talk[None]:
        """Within a day of their message. https://developers.facebook.com/docs/messenger-platform/reference/send-api"""
        request = call(inbox, f"/{own_of(inbox, settings)}/messages", settings)
        most = words.encode()[:1000].decode(errors="ignore")  # Instagram counts bytes
        body: dict[str, Any] = {"recipient": {"id": account}, "message": {"text": most}}
        if inbox.platform == "messenger":
            body["messaging_type"] = "RESPONSE"
        response = yield Request("POST", request.url, headers=request.headers, json=body)
        if response.status != 200:
            raise Unavailable(f"{inbox.title} answered {response.status} to a message: {complaint(response)}")

    return said
