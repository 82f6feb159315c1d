"""Follows, subscriptions, gifts, cheers and raids, told by EventSub; the first two can be asked about too.

Twitch signs the message's id, its timestamp and the body. The headers that name the type are not signed, so
what a delivery is, its body alone decides.
https://dev.twitch.tv/docs/eventsub/handling-webhook-events/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bridge.kit import (
    Action,
    Delivery,
    Evidence,
    Fact,
    Hmac,
    Ignored,
    Policy,
    Reply,
    Sample,
    Setting,
    Settings,
    Source,
    Unreadable,
)
from bridge.kit.reading import amount, maybe, text, when, whole

from ._twitch import BRAND, CHECKS, HELIX, NEEDS, OAUTH, REVOKE, SITE, key, recheck_follow, tier_suffix, whoami

ID = "twitch-eventsub-message-id"
AT = "twitch-eventsub-message-timestamp"

Event = Mapping[str, Any]


def read(delivery: Delivery, settings: Settings) -> Reply | Ignored | Iterable[Evidence]:
    match delivery.json():
        case {"challenge": str(challenge)}:
            return greeting(challenge)
        case {"subscription": {"type": str(kind)}, "event": dict(event)}:
            if kind not in READERS:
                return Ignored(reason=f"{kind} earns nothing here; read are {', '.join(READERS)}")
            evidence = READERS[kind](event, delivery)
            channel = settings.get("channel_id")
            if channel and evidence.subject != str(channel):
                return Ignored(reason=f"{kind} of channel {evidence.subject}; channel_id is {channel}")
            return [evidence]
        case {"subscription": {"type": str(kind), "status": str(status)}, **rest} if not {"event", "events"} & set(
            rest
        ):
            return Ignored(reason=f"Twitch ended the subscription to {kind}: {status}; register it again")
        case {"subscription": {"type": str(kind)}, "events": list()}:
            return Ignored(reason=f"{kind} earns nothing here; read are {', '.join(READERS)}")
    raise Unreadable("neither a challenge nor a notification nor a revocation")


def greeting(challenge: str) -> Reply:
    """The challenge, as plain text and short: it is signed, and still somebody else's words under our name."""
    if not 1 <= len(challenge) <= 256 or not (challenge.isascii() and challenge.isprintable()):
        raise Unreadable("the challenge is not 1 to 256 printable characters")
    return Reply(challenge.encode())


def follow(event: Event, delivery: Delivery) -> Evidence:
    # One follow for each pair for ever: whoever unfollows and follows again tells us nothing new.
    text(event, "user_id")  # nobody follows anonymously
    follow = told("follow", event, delivery, "", {})
    return replace(follow, occurred_at=when(event, "followed_at")) if event.get("followed_at") else follow


def subscribe(event: Event, delivery: Delivery) -> Evidence:
    tier, given = text(event, "tier"), event.get("is_gift") is True
    return told("subscribe", event, delivery, tier_suffix(tier, given), {"tier": tier, "is_gift": given})


def gift(event: Event, delivery: Delivery) -> Evidence:
    so_far = maybe(event, "cumulative_total")  # null where the giver does not share it
    facts = {"tier": text(event, "tier"), "gifts": amount(event, "total")}
    return told("gift", event, delivery, f":{so_far}" if so_far else None, facts)


def resub(event: Event, delivery: Delivery) -> Evidence:
    months = whole(event, "cumulative_months")
    return told("resub", event, delivery, f":{months}", {"tier": text(event, "tier"), "months": months})


def cheer(event: Event, delivery: Delivery) -> Evidence:
    return told("cheer", event, delivery, None, {"bits": amount(event, "bits")})


def raid(event: Event, delivery: Delivery) -> Evidence:
    facts = {"viewers": whole(event, "viewers")}
    return told("raid", event, delivery, None, facts, who="from_broadcaster_user", channel="to_broadcaster_user_id")


def told(
    action: str,
    event: Event,
    delivery: Delivery,
    suffix: str | None,
    facts: Mapping[str, Any],
    *,
    who: str = "user",
    channel: str = "broadcaster_user_id",
) -> Evidence:
    """What an account did to a channel, when the signed timestamp says so.

    `suffix`: what tells one such fact of the pair from the next; None where the body cannot, and the signed
    message id must.
    """
    account = None if event.get("is_anonymous") is True else maybe(event, f"{who}_id")
    subject = text(event, channel)
    return Evidence(
        action=action,
        key=delivery.header(ID) if suffix is None or account is None else key(subject, account, suffix),
        account=account,
        subject=subject,
        occurred_at=when({AT: delivery.header(AT)}, AT),
        facts={"login": (maybe(event, f"{who}_login") or "") if account else "", **facts},
    )


READERS: Mapping[str, Callable[[Event, Delivery], Evidence]] = {
    "channel.follow": follow,  # version 2; there is no event for an unfollow
    "channel.subscribe": subscribe,  # the first time; renewals are silent until the customer shares them
    "channel.subscription.gift": gift,  # told once for all gifts given together
    "channel.subscription.message": resub,  # a renewal the customer shared in the chat
    "channel.cheer": cheer,
    "channel.raid": raid,
}


def secret_fault(secret: str) -> str:
    fits = secret.isascii() and 10 <= len(secret) <= 100
    return "" if fits else f"has {len(secret)} characters; Twitch takes 10 to 100, all of them ASCII"


def sample(title: str, kind: str, *, who: str = "user", channel: str = "broadcaster_user_id", **own: Any) -> Sample:
    def make(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
        at = f"{now:%Y-%m-%dT%H:%M:%S.%f}Z"
        headers = {ID: str(values["id"]), AT: at, "twitch-eventsub-message-type": "notification"}
        subscription = {"id": "f1c2a387-161a-49f9-a165-0f21d7a4e1c4", "type": kind, "version": "1", "status": "enabled"}
        event = {
            f"{who}_id": str(values["user_id"]),
            f"{who}_login": str(values["user_login"]),
            channel: str(values["channel"]),
            **{name: type(default)(values[name]) for name, default in own.items()},
            **({"followed_at": at} if kind == "channel.follow" else {}),
        }
        return headers, {"subscription": subscription, "event": event}

    known = {"id": "befa7b53-d79d", "user_id": "1234", "user_login": "cool_user", "channel": "1971641"}
    return Sample(title, {**known, **own}, make)


LOGIN = Fact("login", "string", "the account's name at the time; its owner may change it; empty where anonymous")
TIER = Fact("tier", "string", "1000, 2000 or 3000")

source = Source(
    name="twitch",
    title="Twitch",
    docs="https://dev.twitch.tv/docs/eventsub/eventsub-subscription-types/",
    actions={
        "follow": Action(
            "Follows your channel",
            (LOGIN,),
            policy=Policy(
                "Fake engagement, such as traded follows, is forbidden; a reward for a real follow is not named",
                "https://safety.twitch.tv/s/article/Community-Guidelines",
            ),
        ),
        "subscribe": Action(
            "Subscribes to your channel",
            (LOGIN, TIER, Fact("is_gift", "bool", "whether somebody else paid for it")),
        ),
        "gift": Action("Gives subscriptions away", (LOGIN, TIER, Fact("gifts", "double", "how many at once"))),
        "resub": Action("Shares a renewed subscription", (LOGIN, TIER, Fact("months", "int", "months in all"))),
        "cheer": Action(
            "Cheers with Bits",
            (LOGIN, Fact("bits", "double", "how many Bits")),
            policy=Policy(
                "Bits may not be exchanged for items or services that have a value",
                "https://legal.twitch.com/legal/bits-acceptable-use/",
                forbidden=True,
            ),
        ),
        "raid": Action("Raids your channel", (LOGIN, Fact("viewers", "int", "how many viewers came along"))),
    },
    settings=(
        Setting("webhook_secret", "the secrets given with the subscriptions", "secrets", True, fault=secret_fault),
        Setting("channel_id", "the only channel that counts, by its numeric id", example="1971641"),
        Setting("client_id", "of the application at dev.twitch.tv; for signing in and for asking again"),
        Setting("client_secret", "of the application at dev.twitch.tv; for signing in", "secret"),
        Setting("broadcaster_token", "user token of the channel with moderator:read:followers, to ask again", "secret"),
        Setting("api_url", "where Helix is", "url", default=HELIX),
        Setting("channel_name", "the channel as in its address, for the button that leads there", example="cool_brand"),
        Setting("site_url", "where channels have their pages", "url", default=SITE),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    scheme=Hmac(
        header="twitch-eventsub-message-signature",
        prefix="sha256=",
        signed=f"{{{ID}}}{{{AT}}}{{body}}",  # as they came, nothing between them
        sent_at=AT,
        tolerance=timedelta(minutes=10),
    ),
    read=read,
    delivery_id=(ID,),
    delivery_id_signed=True,
    rechecks={"follow": recheck_follow},
    recheck_needs=NEEDS,
    oauth=OAUTH,
    whoami=whoami,
    checks=CHECKS,
    brand=BRAND,
    samples={
        "follow": sample("Somebody follows", "channel.follow"),
        "subscribe": sample("Somebody subscribes", "channel.subscribe", tier="1000"),
        "gift": sample("Somebody gives subscriptions away", "channel.subscription.gift", tier="1000", total=5),
        "resub": sample("Somebody shares a renewal", "channel.subscription.message", tier="1000", cumulative_months=7),
        "cheer": sample("Somebody cheers", "channel.cheer", bits=100),
        "raid": sample(
            "Somebody raids",
            "channel.raid",
            who="from_broadcaster_user",
            channel="to_broadcaster_user_id",
            viewers=9001,
        ),
    },
    steps=(
        "Register an application at dev.twitch.tv/console",
        "Subscribe to channel.follow (version 2) and what else your rules need, with {url} as the callback",
    ),
    room="social",
)
