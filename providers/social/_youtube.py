"""YouTube asked: whose channel it is, what it subscribes to, likes and has written.

https://developers.google.com/youtube/v3/docs
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import urlsplit

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Evidence,
    Request,
    Response,
    Settings,
    SignInRefused,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.checks import Obstacle
from bridge.kit.query import once, pairs
from bridge.kit.reading import maybe, text, when

API = "https://www.googleapis.com/youtube/v3"
#: What a refusal's `reason` stands in the way of. https://developers.google.com/youtube/v3/docs/errors
REASONS: Mapping[str, Obstacle] = {
    "youtubeSignupRequired": "incomplete",  # 401: the Google account has no channel
    "subscriberNotFound": "incomplete",
    "accountClosed": "reconnect",
    "accountSuspended": "reconnect",
    "subscriptionForbidden": "private",
    "insufficientPermissions": "reconnect",
    "authError": "reconnect",
    "quotaExceeded": "busy",  # the day's units are used up; they come back at midnight, Pacific time
    "dailyLimitExceeded": "busy",
    "rateLimitExceeded": "busy",
    "userRateLimitExceeded": "busy",
    "accessNotConfigured": "brand",  # the project has not switched the API on
    "keyInvalid": "brand",
    "keyExpired": "brand",
    "badRequest": "brand",  # with an API key: so is a key answered that is none
    "ipRefererBlocked": "brand",
    "videoNotFound": "brand",
}
DAILY = ("quotaExceeded", "dailyLimitExceeded")


def key(subject: str, account: str) -> str:
    """What names a fact between a channel or video of the brand's and a customer's channel. It may never change."""
    return f"{subject}:{account}"


def call(path: str, settings: Settings, tokens: Tokens | None = None, **query: str) -> Request:
    url = f"{(settings.get('api_url') or API).rstrip('/')}/{path}"
    if tokens is not None:
        return Request("GET", url, params=query, headers=tokens.bearer)
    # A key in a header stands in no proxy's log: https://cloud.google.com/docs/authentication/api-keys-use
    return Request("GET", url, params=query, headers={"X-Goog-Api-Key": str(settings.get("api_key") or "")})


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """The channel that was picked in the sign-in: one Google account may have several.

    https://developers.google.com/youtube/v3/docs/channels/list : `items` is left out where there is none.
    """
    response = yield call("channels", settings, tokens, part="id,snippet,statistics", mine="true")
    rows = listed(response, "youtube#channelListResponse")
    if rows is None:
        raise Unavailable(f"YouTube answered {response.status} when it was asked who signed in: {reason(response)}")
    if not rows:
        raise SignInRefused("This Google account has no YouTube channel: make one in YouTube, then begin again.")
    shown, counts = part(rows[0], "snippet"), part(rows[0], "statistics")
    try:
        handle = maybe(shown, "customUrl") or maybe(shown, "title") or ""
        return Account(
            id=text(rows[0], "id"), handle=handle, created_at=at(shown, "publishedAt"), followers=followers(counts)
        )
    except Unreadable as error:
        raise Unavailable(f"YouTube does not say readably who signed in: {error.message}") from None


def followers(counts: Mapping[str, Any]) -> int | None:
    count = counts.get("subscriberCount")
    if counts.get("hiddenSubscriberCount") is True or not re.fullmatch(r"[0-9]{1,12}", str(count)):
        return None
    return int(str(count))


def ask_subscribe(ask: Ask) -> Talk[Answer]:
    """https://developers.google.com/youtube/v3/docs/subscriptions/list : of the token's own channel; one or none."""
    channel = ask.subject or str(ask.settings.get("channel_id") or "")
    if fault := unaskable(ask, channel, "channel_id"):
        return fault
    query = {"part": "snippet", "mine": "true", "forChannelId": channel, "maxResults": "1"}
    response = yield call("subscriptions", ask.settings, ask.tokens, **query)
    rows = listed(response)
    if rows is None:
        return refused(response, whose="customer")
    for row in rows:
        shown = part(row, "snippet")
        # Whoever has several channels may have picked another one than the account we know.
        if shown.get("channelId", ask.account.id) != ask.account.id:
            return Answer("unknown", "YouTube answered about another of the customer's channels", obstacle="reconnect")
        if part(shown, "resourceId").get("channelId") == channel:
            return proved("subscribe", channel, ask.account, at(shown, "publishedAt"), {"handle": ask.account.handle})
    if rows:
        return Answer("unknown", "YouTube answered about another channel")
    return Answer("not_found", "does not subscribe to the channel")


def ask_like(ask: Ask) -> Talk[Answer]:
    """https://developers.google.com/youtube/v3/docs/videos/getRating : like, dislike, none; and `unspecified`."""
    video = ask.subject or str(ask.settings.get("video_id") or "")
    if fault := unaskable(ask, video, "video_id"):
        return fault
    response = yield call("videos/getRating", ask.settings, ask.tokens, id=video)
    rows = listed(response)
    if rows is None:
        return refused(response, whose="customer")
    for row in rows:
        if row.get("videoId") == video and row.get("rating") == "like":
            return proved("like", video, ask.account, None, {"handle": ask.account.handle})
        if row.get("videoId") == video and row.get("rating") in ("dislike", "none"):
            return Answer("not_found", "does not like the video")
    return Answer("unknown", "YouTube does not say how the video is rated")


def ask_comment(ask: Ask) -> Talk[Answer]:
    """By public read, with an API key: the comment the customer links to is looked up, and its author compared.

    https://developers.google.com/youtube/v3/docs/comments#resource : `channelId` is the channel of the video.
    """
    channel, video = str(ask.settings.get("channel_id") or ""), ask.subject or str(ask.settings.get("video_id") or "")
    if not channel and not video:
        return Answer("unknown", "channel_id and video_id are missing in the source's table", obstacle="brand")
    if not (comment := comment_of(ask.given)):
        return Answer("unknown", "the link names no comment", obstacle="given")
    response = yield call("comments", ask.settings, part="snippet", id=comment, textFormat="plainText")
    rows = listed(response)
    if rows == [] or (response.status == 404 and reason(response) == "commentNotFound"):
        return Answer("not_found", "there is no such comment, or no longer")
    if rows is None:
        return refused(response, whose="brand")
    shown = part(rows[0], "snippet")
    if rows[0].get("id") != comment or not isinstance(author := part(shown, "authorChannelId").get("value"), str):
        return Answer("unknown", "YouTube does not say who wrote the comment")
    if author != ask.account.id:
        return Answer("unknown", "the comment is somebody else's", obstacle="given")
    there = shown.get("videoId") if isinstance(shown.get("videoId"), str) else None
    if there is None:
        # Of what a comment stands under, its thread tells more. A reply's id begins with its thread's.
        response = yield call("commentThreads", ask.settings, part="snippet", id=comment.partition(".")[0])
        threads = listed(response)
        if threads is None:
            return refused(response, whose="brand")
        shown = {**part(threads[0], "snippet"), **shown} if threads else shown
        there = shown.get("videoId") if isinstance(shown.get("videoId"), str) else None
    if there is None:
        return Answer("unknown", "YouTube does not say under which video the comment stands")
    if video and there != video:
        return Answer("unknown", f"the comment stands under another video: {there[:20]}", obstacle="given")
    if not video and shown.get("channelId") != channel:
        return Answer("unknown", "the comment does not stand under a video of the brand's", obstacle="given")
    said = shown.get("textDisplay")
    facts = {
        "handle": ask.account.handle,
        "text": said[:500] if isinstance(said, str) else "",
        "reply": "parentId" in shown or "." in comment,
    }
    return proved("comment", there, ask.account, at(shown, "publishedAt"), facts)


def comment_of(link: str) -> str:
    """The comment's id out of a link to it: `https://www.youtube.com/watch?v=...&lc=...`; empty where there is none."""
    try:
        parts = urlsplit(link.strip()[:2000])
        host = parts.hostname or ""
        found = once(pairs(parts.query)).get("lc", "")
    except ValueError:
        return ""
    ours = host in ("youtube.com", "youtu.be") or host.endswith(".youtube.com")
    return found if ours and re.fullmatch(r"[A-Za-z0-9_.-]{10,120}", found) else ""


def unaskable(ask: Ask, subject: str, setting: str) -> Answer | None:
    if not subject:
        return Answer("unknown", f"{setting} is missing in the source's table", obstacle="brand")
    return None if ask.tokens else Answer("unknown", "there is no token of the customer's", obstacle="reconnect")


def proved(action: str, subject: str, account: Account, since: datetime | None, facts: Mapping[str, Any]) -> Answer:
    evidence = Evidence(
        action=action,
        key=key(subject, account.id),
        account=account.id,
        subject=subject,
        occurred_at=since,
        facts=facts,
    )
    return Answer("verified", evidence=evidence)


def refused(response: Response, *, whose: Literal["customer", "brand"]) -> Answer:
    """What stands in the way, by the reason that YouTube gives; where it gives none, by the status."""
    said = reason(response)
    plain = unanswered(response, whose=whose)
    if response.is_success or said not in REASONS or (said == "badRequest" and whose == "customer"):
        return plain
    obstacle = REASONS[said]
    if whose == "brand" and obstacle != "busy":
        obstacle = "brand"
    rest = timedelta(hours=1) if said in DAILY else plain.retry_after
    return Answer("unknown", f"{plain.note}: {said}", obstacle=obstacle, retry_after=rest)


def reason(response: Response) -> str:
    match response.object():
        case {"error": {"errors": [{"reason": str(said)}, *_]}}:
            return said[:60]
    return ""


def listed(response: Response, kind: str = "") -> list[Mapping[str, Any]] | None:
    """The rows in an answer; None where it is no such answer. `kind`: which answer may leave an empty list out."""
    if response.status != 200:
        return None
    match response.object():
        case {"items": list(rows)}:
            return (
                [row for row in rows if isinstance(row, dict)] if all(isinstance(one, dict) for one in rows) else None
            )
        case {"kind": str(said), **rest} if kind and said == kind and "items" not in rest:
            return []
    return None


def part(of: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = of.get(name)
    return value if isinstance(value, dict) else {}


def at(of: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return when(of, name) if maybe(of, name) else None
    except Unreadable:
        return None  # that it is so does not depend on since when
