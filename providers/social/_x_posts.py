"""X asked about posts: who has reposted one, and who has replied to it.

Each user and post in an answer costs money, so lists are read no further than they must be.
https://docs.x.com/x-api/introduction
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from bridge.kit import Account, Answer, Ask, Check, Evidence, Question, Settings, Talk

from ._x import (
    ME,
    NO_TOKEN,
    Whose,
    after,
    ask_follow,
    at,
    bearer,
    call,
    follow_page,
    is_id,
    key,
    listed,
    refused,
    unaskable,
)

#: Post ids count milliseconds from here. https://docs.x.com/fundamentals/x-ids
EPOCH = datetime(2010, 11, 4, 1, 42, 54, 657000, tzinfo=UTC)
#: How far search reaches back. https://docs.x.com/x-api/posts/search/introduction
RECENT = timedelta(days=7)
PAGES = 5


# --- repost ---------------------------------------------------------------------------------------------------------


def repost(post: str, account: str, when_: datetime | None = None) -> Evidence:
    return Evidence(action="repost", key=key(post, account), account=account, subject=post, occurred_at=when_)


def ask_repost(ask: Ask) -> Talk[Answer]:
    """With the customer's token, which is asked for nothing more than who they are."""
    if fault := unaskable(ask, "post_id"):
        return fault
    if ask.tokens is None:
        return NO_TOKEN
    post = ask.subject or str(ask.settings["post_id"])
    answer = yield from reposted(post, ask.account.id, ask.tokens.access, "customer", ask.settings)
    return hidden(answer, ask)


def ask_repost_as_brand(ask: Ask) -> Talk[Answer]:
    if fault := unaskable(ask, "post_id"):
        return fault
    post = ask.subject or str(ask.settings["post_id"])
    answer = yield from reposted(post, ask.account.id, bearer(ask.settings), "brand", ask.settings)
    return hidden(answer, ask)


def recheck_repost(question: Question, settings: Settings) -> Talk[Answer]:
    answer = yield from reposted(question.subject, question.account, bearer(settings), "brand", settings)
    return answer


def reposted(post: str, account: str, token: str, whose: Whose, settings: Settings) -> Talk[Answer]:
    """The accounts that have reposted it, the last first. https://docs.x.com/x-api/posts/get-reposted-by"""
    following = ""
    for _ in range(PAGES):
        query = {"max_results": "100", **({"pagination_token": following} if following else {})}
        response = yield call(f"/tweets/{quote(post, safe='')}/retweeted_by", token, settings, **query)
        rows = listed(response)
        if rows is None:
            return refused(response, whose)
        if any(row.get("id") == account for row in rows):
            return Answer("verified", evidence=repost(post, account))
        following = after(response)
        if not following:
            return Answer("not_found", "has not reposted it")
    return Answer("unknown", f"is not among the last {PAGES * 100} who have reposted it, and there are more")


# --- reply ----------------------------------------------------------------------------------------------------------


def reply(post: str, account: str, said: Mapping[str, Any]) -> Evidence:
    written = said.get("text")
    facts = {"text": written[:500] if isinstance(written, str) else ""}
    return Evidence(
        action="reply", key=key(post, account), account=account, subject=post, occurred_at=at(said), facts=facts
    )


def ask_reply(ask: Ask) -> Talk[Answer]:
    if fault := unaskable(ask, "post_id"):
        return fault
    if ask.tokens is None:
        return NO_TOKEN
    post = ask.subject or str(ask.settings["post_id"])
    answer = yield from replied(post, ask.account.id, ask.tokens.access, "customer", ask.settings, reaches(post, ask))
    return hidden(answer, ask)


def ask_reply_as_brand(ask: Ask) -> Talk[Answer]:
    if fault := unaskable(ask, "post_id"):
        return fault
    post = ask.subject or str(ask.settings["post_id"])
    answer = yield from replied(post, ask.account.id, bearer(ask.settings), "brand", ask.settings, reaches(post, ask))
    return hidden(answer, ask)


def recheck_reply(question: Question, settings: Settings) -> Talk[Answer]:
    """Search forgets after a week, and nobody says here how old the reply is: a "no" would prove nothing."""
    answer = yield from replied(question.subject, question.account, bearer(settings), "brand", settings, False)
    return answer


def reaches(post: str, ask: Ask) -> bool:
    """Whether search reaches back to all that counts: to the post itself, or to when they were asked to reply."""
    born = EPOCH + timedelta(milliseconds=int(post) >> 22) if is_id(post) else ask.now - 2 * RECENT
    return max(born, ask.since or born) > ask.now - RECENT


def replied(post: str, account: str, token: str, whose: Whose, settings: Settings, reaches: bool) -> Talk[Answer]:
    """Their direct replies of the last week. https://docs.x.com/x-api/posts/search-recent-posts"""
    query = {
        "query": f"from:{account} conversation_id:{post}",
        "tweet.fields": "author_id,created_at,referenced_tweets",
        "max_results": "100",
    }
    if not is_id(post) or not is_id(account):
        return Answer("unknown", "post_id is none of X's ids", obstacle="brand")
    found: list[Mapping[str, Any]] = []
    for _ in range(PAGES):
        response = yield call("/tweets/search/recent", token, settings, **query)
        rows = listed(response)
        if rows is None:
            return refused(response, whose)
        found += [row for row in rows if row.get("author_id") == account and answered(row) == post]
        if not (following := after(response)):
            break
        query["next_token"] = following
    else:
        if not found:
            return Answer("unknown", f"is not among their last {PAGES * 100} posts in that conversation")
    if found:
        # The first of them, so that the fact stays the same however many follow.
        first = min(found, key=lambda row: int(row["id"]) if is_id(row.get("id")) else 0)
        return Answer("verified", evidence=reply(post, account, first))
    if not reaches:
        return Answer("unknown", "has not replied in the last seven days; X does not show what was before")
    return Answer("not_found", "has not replied to it")


def answered(post: Mapping[str, Any]) -> str:
    """The post that this one directly answers; '': none."""
    told = post.get("in_reply_to_tweet_id")
    return referenced(post, "replied_to") or (told if isinstance(told, str) else "")


def referenced(post: Mapping[str, Any], kind: str) -> str:
    rows = post.get("referenced_tweets")
    for row in rows if isinstance(rows, list) else ():
        match row:
            case {"type": str(found), "id": str(name)} if found == kind:
                return name
    return ""


def hidden(answer: Answer, ask: Ask) -> Answer:
    """The posts of a protected account are shown to its followers alone, so a "no" says nothing."""
    if answer.result == "not_found" and ask.account.claims.get("protected") is True:
        return Answer("unknown", "the account is protected: its posts are not shown", obstacle="private")
    return answer


def repost_page(settings: Settings, account: Account | None) -> str:
    post = settings.get("post_id")
    return f"https://x.com/intent/retweet?tweet_id={quote(str(post), safe='')}" if post else ""


def reply_page(settings: Settings, account: Account | None) -> str:
    post = settings.get("post_id")
    return f"https://x.com/intent/post?in_reply_to={quote(str(post), safe='')}" if post else ""


CHECKS = {
    "follow": Check(ask=ask_follow, scopes=(*ME, "follows.read"), page=follow_page),
    "repost": Check(
        ask=ask_repost, scopes=ME, brand=ask_repost_as_brand, brand_needs=("bearer_token", "post_id"), page=repost_page
    ),
    "reply": Check(
        ask=ask_reply, scopes=ME, brand=ask_reply_as_brand, brand_needs=("bearer_token", "post_id"), page=reply_page
    ),
}
RECHECKS = {"repost": recheck_repost, "reply": recheck_reply}
