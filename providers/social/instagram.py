"""Instagram: who writes to the brand, mentions it in a story or comments on it, told by webhook; who follows, asked.

No webhook tells of follows, and a personal account cannot sign in. Of whoever has written to it the brand may read
whether they follow: the account is proved by a code that it sends.
https://developers.facebook.com/documentation/instagram-platform/webhooks
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from bridge.kit import (
    Account,
    Action,
    Answer,
    Ask,
    Check,
    Codes,
    Evidence,
    Fact,
    Grade,
    Policy,
    Question,
    Sample,
    Setting,
    Settings,
    Source,
    Talk,
    Unavailable,
)
from bridge.kit.reading import table, tables, text, when

from ._meta import (
    ALLOWED,
    SIGNATURE,
    VERIFY_TOKEN,
    Event,
    Inbox,
    greet,
    key,
    messages,
    read,
    sample,
    written,
)
from ._meta_graph import ask_message, profile, say, set_up
from ._names import shown

INBOX = Inbox(
    title="Instagram",
    kind="instagram",
    platform="instagram",
    own="account_id",
    api="https://graph.instagram.com/v26.0",
    fields=("messages", "messaging_postbacks", "messaging_referral", "comments"),
)


def storied(own: str, entry: Event) -> Iterator[Evidence]:
    """A mention in a story comes as a message with the story in it. Each is a deed of its own, named by its signed id.

    https://developers.facebook.com/documentation/instagram-platform/webhooks/examples
    """
    for account, event, message in written(own, entry):
        kinds = [attachment.get("type") for attachment in tables(message, "attachments")]
        if "story_mention" in kinds:
            name = f"{key(own, account)}:{text(message, 'mid')}"
            at = when(event, "timestamp")
            yield Evidence(action="story", key=name, account=account, subject=own, occurred_at=at)


def commented(own: str, entry: Event) -> Iterator[Evidence]:
    """Either login writes it its own way: in `changes`, or in the entry itself; `id` or `comment_id`.

    When it was written nobody says: the entry's time is when it was sent.
    """
    for change in (*tables(entry, "changes"), *([entry] if "field" in entry else [])):
        if change.get("field") not in ("comments", "live_comments"):
            continue
        said = table(change, "value")
        who, media = table(said, "from"), text(table(said, "media"), "id")
        account = text(who, "id")
        if account == own or who.get("self_ig_scoped_id"):
            continue  # the brand's own
        words = said.get("text")
        facts = {
            "username": shown(who.get("username")),
            "text": words[:500] if isinstance(words, str) else "",
            "reply": bool(said.get("parent_id")),
        }
        yield Evidence(
            action="comment", key=key(media, account), account=account, subject=media, grade=Grade.B, facts=facts
        )


def whoami(account: str, settings: Settings) -> Talk[Account]:
    found = yield from profile(INBOX, account, settings, "name,username,follower_count")
    if isinstance(found, Answer):
        raise Unavailable(f"Instagram does not say who wrote: {found.note}")
    followers = found.get("follower_count")
    return Account(
        id=account,
        handle=shown(found.get("username")) or shown(found.get("name")),
        followers=followers if type(followers) is int else None,
    )


def ask_follow(ask: Ask) -> Talk[Answer]:
    """With the brand's token: nothing is needed of the customer but that they have written."""
    own = ask.subject or str(ask.settings["account_id"])
    answer = yield from recheck_follow(Question(ask.account.id, own, key(own, ask.account.id)), ask.settings)
    return answer


def recheck_follow(question: Question, settings: Settings) -> Talk[Answer]:
    found = yield from profile(INBOX, question.account, settings, "username,is_user_follow_business")
    if isinstance(found, Answer):
        return found
    match found.get("is_user_follow_business"):
        case True:
            evidence = Evidence(
                action="follow",
                key=key(question.subject, question.account),
                account=question.account,
                subject=question.subject,
                facts={"username": shown(found.get("username"))},
            )
            return Answer("verified", evidence=evidence)
        case False:
            return Answer("not_found", "does not follow the brand")
    return Answer("unknown", "Instagram does not say whether they follow: have they blocked the brand?")


def chat(code: str, settings: Settings) -> str:
    """https://developers.facebook.com/documentation/business-messaging/instagram-messaging/features/ig-me-links

    The code in it arrives only where the brand has ice breakers, so the page asks to send it.
    """
    name = settings.get("username")
    return f"https://ig.me/m/{name}?ref={code}" if name else ""


def page(settings: Settings, account: Account | None) -> str:
    name = settings.get("username")
    return f"https://www.instagram.com/{name}/" if name else ""


def chat_page(settings: Settings, account: Account | None) -> str:
    name = settings.get("username")
    return f"https://ig.me/m/{name}" if name else ""


def name_fault(given: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z0-9._]{1,30}", given) else "is the account's name without @"


def id_fault(given: str) -> str:
    return "" if re.fullmatch(r"[0-9]{5,20}", given) else "is a number: user_id of GET /me?fields=user_id"


def comment_sample(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
    value = {
        "id": str(values["id"]),
        "from": {"id": str(values["user_id"]), "username": str(values["username"])},
        "text": "So good",
        "media": {"id": str(values["media"]), "media_product_type": "FEED"},
    }
    entry = {"id": str(values["own"]), "time": int(now.timestamp()), "field": "comments", "value": value}
    return {}, {"object": "instagram", "entry": [entry]}


OWN = {"own": "17841405309211844"}
STORY = {"attachments": [{"type": "story_mention", "payload": {"url": "https://lookaside.example/story"}}]}
FORBIDDEN = Policy(
    "Nothing may be given for followers, comments or other engagement",
    "https://help.instagram.com/477434105621119",
    forbidden=True,
)
USERNAME = Fact("username", "string", "the account's name at the time; its owner may change it")

source = Source(
    name="instagram",
    title="Instagram",
    docs="https://developers.facebook.com/documentation/instagram-platform/webhooks",
    actions={
        "follow": Action("Follows you on Instagram", (USERNAME,), policy=FORBIDDEN),
        "message": Action("Writes to you on Instagram", policy=ALLOWED),
        "story": Action("Mentions you in a story", policy=FORBIDDEN),
        "comment": Action(
            "Comments on your post",
            (
                USERNAME,
                Fact("text", "string", "the first 500 characters of the comment"),
                Fact("reply", "bool", "whether it answers another comment"),
            ),
            grade=Grade.B,
            policy=FORBIDDEN,
        ),
    },
    settings=(
        Setting("webhook_secret", "the Instagram app secret, and with Facebook Login the app secret", "secrets", True),
        VERIFY_TOKEN,
        Setting("account_id", "the brand's professional account, by its id", example=OWN["own"], fault=id_fault),
        Setting(
            "access_token",
            "of the brand's account with instagram_business_basic and "
            "instagram_business_manage_messages; asks and answers",
            "secret",
        ),
        Setting("username", "the brand's name without @, for the buttons", example="cool_brand", fault=name_fault),
        Setting("api_url", "where the Graph API is, its version included", "url", default=INBOX.api),
    ),
    scheme=SIGNATURE,
    read=read(INBOX, storied, commented),
    greet=greet,
    rechecks={"follow": recheck_follow},
    recheck_needs=("access_token",),
    codes=Codes(messages=messages(INBOX), address=chat, whoami=whoami, say=say(INBOX)),
    checks={
        "follow": Check(brand=ask_follow, brand_needs=("access_token", "account_id"), page=page),
        "message": Check(brand=ask_message(INBOX), brand_needs=("access_token", "account_id"), page=chat_page),
    },
    setup=set_up(INBOX, "user_id"),
    samples={
        "message": sample(INBOX, "Somebody writes", {"text": "Hello"}, OWN),
        "story": sample(INBOX, "Somebody mentions you in a story", STORY, OWN),
        "comment": Sample(
            "Somebody comments",
            {
                "id": "17858893269000001",
                "user_id": "1234567890123456",
                "username": "ann",
                "media": "17918195224117851",
                **OWN,
            },
            comment_sample,
        ),
    },
    steps=(
        "Make the brand's account a professional one, and let others' messages in: Settings, Messages, Connected tools",
        "Make an app at https://developers.facebook.com/apps with the product Instagram, and a token of the account",
        "Under Webhooks enter {url} with your verify_token, and subscribe to messages, messaging_postbacks, "
        "messaging_referral and comments",
        "Publish the app: while it is being developed Meta tells of its own testers alone",
    ),
    approval="none for an account of your own; Advanced Access for others' takes Meta days to weeks",
    room="social",
)
