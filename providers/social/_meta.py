"""What Instagram and Messenger share: how Meta signs, what a message is, and which code is in it.

A personal account cannot sign in at either for a shop. It writes to the brand instead: the signed webhook brings the
account and six digits, and from then on the brand's own token may read who that is.
https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from bridge.kit import (
    BadSignature,
    Delivery,
    Evidence,
    Hmac,
    Ignored,
    Inbound,
    Message,
    Policy,
    Reply,
    Sample,
    Setting,
    Settings,
    moment,
)
from bridge.kit.query import once, pairs
from bridge.kit.reading import table, tables, text, when

SIGNATURE = Hmac(header="x-hub-signature-256", prefix="sha256=")
Event: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Inbox:
    """Where people write to the brand."""

    title: str
    kind: str  # of the webhook's objects
    platform: str  # among the brand's conversations
    own: str  # the setting with the brand's own id there
    api: str
    fields: Sequence[str]  # what to be told of


# --- webhooks -------------------------------------------------------------------------------------------------------


def greet(inbound: Inbound, settings: Settings) -> Reply:
    """https://developers.facebook.com/docs/graph-api/webhooks/getting-started : verification requests"""
    try:
        given = once(pairs(urlsplit(inbound.url).query))
    except ValueError:
        given = {}
    ours, challenge = str(settings.get("verify_token") or ""), given.get("hub.challenge", "")
    theirs = given.get("hub.verify_token", "")
    known = hmac.compare_digest(theirs.encode(), ours.encode()) and bool(ours)
    if given.get("hub.mode") != "subscribe" or not known:
        raise BadSignature("hub.verify_token is not the one in verify_token", status=403)
    # It stands under our name, so it is nothing but what Meta documents: a number.
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", challenge, re.ASCII):
        raise BadSignature("hub.challenge is none as Meta sends them", status=403)
    return Reply(challenge.encode())


def entries(inbox: Inbox, delivery: Delivery, settings: Settings) -> Iterator[tuple[str, Event]]:
    """What concerns the brand in a delivery, which may hold up to a thousand things."""
    body, only = delivery.json(), settings.get(inbox.own)
    if text(body, "object") != inbox.kind:
        return
    for entry in tables(body, "entry"):
        own = text(entry, "id")
        if not only or own == str(only):
            yield own, entry


def read(
    inbox: Inbox, *readers: Callable[[str, Event], Iterable[Evidence]]
) -> Callable[[Delivery, Settings], Ignored | Iterable[Evidence]]:
    def found(delivery: Delivery, settings: Settings) -> Ignored | Iterable[Evidence]:
        told = [
            one
            for own, entry in entries(inbox, delivery, settings)
            for reader in (messaged, *readers)
            for one in reader(own, entry)
        ]
        return told or Ignored(reason=f"nothing in it is a customer's deed towards the account of {inbox.own}")

    return found


def written(own: str, entry: Event) -> Iterator[tuple[str, Event, Event]]:
    """The messages that somebody wrote to the brand: no echo of ours, nothing taken back, and for nobody else."""
    for event in tables(entry, "messaging"):
        match event:
            case {"message": dict(message)}:
                account = text(table(event, "sender"), "id")
                if account == own or any(message.get(one) is True for one in ("is_echo", "is_deleted")):
                    continue
                yield account, event, message


def messaged(own: str, entry: Event) -> Iterator[Evidence]:
    """Whoever writes has written: one fact for each pair, with the time of the first."""
    seen = set[str]()
    for account, event, _ in written(own, entry):
        if account not in seen:
            seen.add(account)
            yield message_of(own, account, when(event, "timestamp"))


def message_of(own: str, account: str, at: datetime | None = None) -> Evidence:
    return Evidence(action="message", key=key(own, account), account=account, subject=own, occurred_at=at)


def key(subject: str, account: str) -> str:
    """What names a fact between the brand, or something of it, and an account. It may never change."""
    return f"{subject}:{account}"


# --- codes ----------------------------------------------------------------------------------------------------------


def messages(inbox: Inbox) -> Callable[[Delivery, Settings], Iterable[Message]]:
    def found(delivery: Delivery, settings: Settings) -> Iterable[Message]:
        """What was written, and the `ref` of a link that was followed into the chat."""
        for own, entry in entries(inbox, delivery, settings):
            for account, event, message in written(own, entry):
                if isinstance(message.get("text"), str):
                    yield heard(account, message["text"], event)
                yield from referred(account, message, event)
            for event in tables(entry, "messaging"):
                if "message" in event:
                    continue
                account = text(table(event, "sender"), "id") if {"postback", "referral"} & set(event) else own
                if account != own:
                    yield from referred(account, event, event)
                    yield from referred(account, event.get("postback"), event)

    return found


def referred(account: str, of: Any, event: Event) -> Iterator[Message]:
    match of:
        case {"referral": {"ref": str(ref)}}:
            yield heard(account, ref, event)


def heard(account: str, said: str, event: Event) -> Message:
    at = str(event.get("timestamp"))
    return Message(account=account, text=said, at=moment(at) if re.fullmatch(r"[0-9]{9,14}", at, re.ASCII) else None)


# --- what both declare ----------------------------------------------------------------------------------------------

ALLOWED = Policy(
    "People may be rewarded for writing to a business with Messenger or Instagram",
    "https://developers.facebook.com/docs/development/terms-and-policies/app-dev-guidelines",
)
VERIFY_TOKEN = Setting(
    "verify_token", "a text of your own; Meta repeats it when the webhook is entered", "secret", True
)


def sample(inbox: Inbox, title: str, message: Mapping[str, Any], known: Mapping[str, Any]) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        at, own = int(now.timestamp() * 1000), str(values["own"])
        sent = {"mid": str(values["id"]), **message}
        event = {"sender": {"id": str(values["user_id"])}, "recipient": {"id": own}, "timestamp": at, "message": sent}
        return {}, {"object": inbox.kind, "entry": [{"id": own, "time": at, "messaging": [event]}]}

    return Sample(title, {"id": "aWdfZAG1faXRlbToxOk", "user_id": "1234567890123456", **known}, make)
