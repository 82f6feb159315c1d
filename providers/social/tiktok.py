"""TikTok: whether somebody has posted a video with the brand's hashtag, asked with their own token.

Who follows, likes or comments TikTok tells nobody, and it has no webhook for anything a viewer does.
https://developers.tiktok.com/doc/tiktok-api-v2-video-list
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
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
    Response,
    Server,
    Setting,
    Settings,
    Source,
    Talk,
    Tokens,
    Unavailable,
    unanswered,
)

from ._names import shown

API = "https://open.tiktokapis.com/v2"
REVOKE = "https://open.tiktokapis.com/v2/oauth/revoke/"
FIELDS = "id,title,video_description,create_time,share_url"
#: How many pages of twenty are looked through: whoever is asked to post has done it lately.
PAGES = 5
#: https://developers.tiktok.com/doc/tiktok-api-v2-error-handling
RECONNECT = ("access_token_invalid", "scope_not_authorized", "scope_permission_missed")
BUSY = ("rate_limit_exceeded", "internal_error")


def key(video: str, account: str) -> str:
    """What names the fact between a video and who has posted it. It may never change."""
    return f"{video}:{account}"


def call(method: str, path: str, tokens: Tokens, settings: Settings, fields: str, json: Any = None) -> Request:
    # Without the slash at the end TikTok answers with a redirect.
    url = f"{(settings.get('api_url') or API).rstrip('/')}{path}/"
    return Request(method, url, params={"fields": fields}, headers=tokens.bearer, json=json, repeatable=True)


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://developers.tiktok.com/doc/tiktok-api-v2-get-user-info : scope user.info.basic.

    The id is this application's own name for the account: another application knows it by another.
    """
    response = yield call("GET", "/user/info", tokens, settings, "open_id,display_name")
    match said(response):
        case {"user": {"open_id": str(account), **user}} if re.fullmatch(r"[A-Za-z0-9._-]{1,128}", account):
            return Account(id=account, handle=shown(user.get("display_name")))
    raise Unavailable(f"TikTok answered {response.status} when it was asked who signed in: {code_of(response)}")


def ask_post(ask: Ask) -> Talk[Answer]:
    """With the customer's token, scope video.list: their public videos, the newest first.

    One that was posted after they were asked to counts before an earlier one. Asked again about a video, it alone
    counts. https://developers.tiktok.com/doc/tiktok-api-v2-video-query
    """
    tag = str(ask.settings.get("hashtag") or "")
    if not tag:
        return Answer("unknown", "hashtag is missing in the source's table", obstacle="brand")
    if ask.tokens is None:
        return Answer("unknown", "there is no token of the customer's", obstacle="reconnect")
    if ask.subject:
        query = {"filters": {"video_ids": [ask.subject]}}
        response = yield call("POST", "/video/query", ask.tokens, ask.settings, FIELDS, query)
        found = listed(response)
        if found is None:
            return refused(response)
        return judged([one for one in found if one.get("id") == ask.subject], tag, ask)
    videos: list[Mapping[str, Any]] = []
    page: dict[str, Any] = {"max_count": 20}
    for _ in range(PAGES):
        response = yield call("POST", "/video/list", ask.tokens, ask.settings, FIELDS, page)
        found = listed(response)
        if found is None:
            return refused(response)
        videos += found
        match said(response):
            case {"has_more": True, "cursor": int(cursor)} if not fits(videos, tag):
                page = {"max_count": 20, "cursor": cursor}
            case _:
                return judged(videos, tag, ask)
    return Answer("not_found", f"has not posted a video with #{tag} among the last {PAGES * 20}")


def judged(videos: list[Mapping[str, Any]], tag: str, ask: Ask) -> Answer:
    found = sorted(fits(videos, tag), key=lambda one: one[1])
    if not found:
        return Answer("not_found", f"has posted no video with #{tag}, or it is not public")
    since = ask.since or datetime.min.replace(tzinfo=UTC)
    # TikTok counts in whole seconds: a video of the very second in which they were asked was posted after it.
    later = [one for one in found if one[1] + timedelta(seconds=1) > since]
    video, at = later[0] if later else found[-1]
    told = str(video.get("video_description") or video.get("title") or "")
    facts = {"text": told[:500], "url": str(video.get("share_url") or "")[:500]}
    subject, account = str(video["id"]), ask.account.id
    name = key(subject, account)
    evidence = Evidence(
        action="post", key=name, account=account, subject=subject, occurred_at=min(at, ask.now), facts=facts
    )
    return Answer("verified", evidence=evidence)


def fits(videos: list[Mapping[str, Any]], tag: str) -> list[tuple[Mapping[str, Any], datetime]]:
    """The videos with the hashtag as a word of its own, each with the time TikTok took it."""
    wanted = re.compile(rf"(?<![\w#])[#＃]{re.escape(tag)}(?!\w)", re.IGNORECASE)
    found = []
    for video in videos:
        match video:
            case {"id": str(name), "create_time": int(at)} if re.fullmatch(r"[0-9]{1,20}", name, re.ASCII):
                texts = [video.get(one) for one in ("video_description", "title")]
                if 0 < at < 99_999_999_999 and any(isinstance(one, str) and wanted.search(one) for one in texts):
                    found.append((video, datetime.fromtimestamp(at, UTC)))
    return found


def said(response: Response) -> Mapping[str, Any]:
    """What an answer is about; nothing where it is a refusal, which may come with 200."""
    match response.object():
        case {"data": dict(found), "error": {"code": "ok"}} if response.status == 200:
            return found
    return {}


def listed(response: Response) -> list[Mapping[str, Any]] | None:
    match said(response):
        case {"videos": list(rows)}:
            return [row for row in rows if isinstance(row, dict)]
        case {"has_more": False, **rest} if rest.get("videos") is None:
            return []  # an account without videos: the list is null
    return None


def code_of(response: Response) -> str:
    match response.object():
        case {"error": {"code": str(code)}}:
            return shown(code)
    return "no code"


def refused(response: Response) -> Answer:
    """What stands in the way, by TikTok's word for it, which may come with any status."""
    code = code_of(response)
    if code in RECONNECT:
        return Answer("unknown", f"TikTok said {code}", obstacle="reconnect")
    if code in BUSY:
        return Answer("unknown", f"TikTok said {code}", obstacle="busy", retry_after=response.retry_after)
    return unanswered(response, whose="customer")


def token_answer(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
    """The answer itself, where it comes wrapped as the pages on displaying videos still show it."""
    inner = body.get("data")
    return inner if isinstance(inner, dict) and inner.get("access_token") and not body.get("error") else body


def revoke(tokens: Tokens, server: Server, settings: Settings) -> Talk[bool]:
    """https://developers.tiktok.com/doc/oauth-user-access-token-management : an error may come with 200."""
    form = {"client_key": server.client_id, "client_secret": server.client_secret, "token": tokens.access}
    response = yield Request("POST", server.revoke_url, form=form)
    return response.is_success and not response.object().get("error")


def page(settings: Settings, account: Account | None) -> str:
    tag = settings.get("hashtag")
    return f"https://www.tiktok.com/tag/{quote(str(tag), safe='')}" if tag else ""


def tag_fault(given: str) -> str:
    return "" if re.fullmatch(r"\w{1,100}", given) else "is the hashtag alone, without #"


OAUTH = OAuth(
    authorize_url="https://www.tiktok.com/v2/auth/authorize/",
    token_url="https://open.tiktokapis.com/v2/oauth/token/",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=("user.info.basic",),
    separator=",",
    names={"client_id": "client_key"},
    again_params={"disable_auto_auth": "1"},
    pkce=False,  # for the web it is not documented, and for phones and desktops it is another one
    normalise=token_answer,
    revoke=revoke,
)

source = Source(
    name="tiktok",
    title="TikTok",
    docs="https://developers.tiktok.com/doc/tiktok-api-v2-video-list",
    actions={
        "post": Action(
            "Posts a video with your hashtag",
            (
                Fact("text", "string", "the first 500 characters of what stands under the video"),
                Fact("url", "string", "where the video is"),
            ),
            policy=Policy(
                "A video that is posted for a reward is commercial: whoever posts it must say so in its settings",
                "https://support.tiktok.com/en/business-and-creator/creator-and-business-accounts/promoting-a-brand-product-or-service",
            ),
        ),
    },
    settings=(
        Setting("client_id", "the client key of the application TikTok has approved"),
        Setting("client_secret", "the client secret of the application", "secret"),
        Setting("hashtag", "what must stand under the video, without #", example="coolbrand", fault=tag_fault),
        Setting("api_url", "where TikTok's API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    oauth=OAUTH,
    whoami=whoami,
    checks={"post": Check(ask=ask_post, scopes=("video.list",), page=page)},
    steps=(
        "Make an application at https://developers.tiktok.com/apps with Login Kit for the web",
        "Give it the redirect https://<your bridge>/connect/tiktok/callback",
        "Ask for the scopes user.info.basic and video.list, and send the application in for review",
    ),
    approval="days to weeks: TikTok reviews each application, and video.list with a film of how it is used",
    room="social",
)
