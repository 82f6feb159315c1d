"""YouTube: whether somebody subscribes to the brand's channel, likes its video, has written under it.

No webhook names a viewer. YouTube forbids engagement that is bought, so all of it is off until the merchant insists.
https://developers.google.com/youtube/v3/guides/authentication
"""

from __future__ import annotations

import re
from dataclasses import replace

from bridge.kit import (
    Account,
    Action,
    Check,
    Fact,
    OAuth,
    Policy,
    Request,
    Server,
    Setting,
    Settings,
    Source,
    Talk,
    Tokens,
)

from ._youtube import API, ask_comment, ask_like, ask_subscribe, whoami

REVOKE = "https://oauth2.googleapis.com/revoke"
SCOPES = "https://www.googleapis.com/auth/"
READ = f"{SCOPES}youtube.readonly"


def revoke(tokens: Tokens, server: Server, settings: Settings) -> Talk[bool]:
    """One token ends both, and whoever gives it back says nothing else.

    https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke
    """
    response = yield Request("POST", server.revoke_url, form={"token": tokens.refresh or tokens.access})
    return response.is_success or response.object().get("error") == "invalid_token"


def configure(source: Source, settings: Settings) -> Source:
    """Which scope a rating takes: the documentation names youtube.readonly in some editions, and in others not."""
    scope = f"{SCOPES}{settings.get('like_scope') or 'youtube.readonly'}"
    return replace(source, checks={**source.checks, "like": replace(source.checks["like"], scopes=(scope,))})


def channel_page(settings: Settings, account: Account | None) -> str:
    channel = settings.get("channel_id")
    return f"https://www.youtube.com/channel/{channel}?sub_confirmation=1" if channel else ""


def video_page(settings: Settings, account: Account | None) -> str:
    video = settings.get("video_id")
    return f"https://www.youtube.com/watch?v={video}" if video else ""


def comment_page(settings: Settings, account: Account | None) -> str:
    channel = settings.get("channel_id")
    return video_page(settings, account) or (f"https://www.youtube.com/channel/{channel}/videos" if channel else "")


def channel_fault(given: str) -> str:
    right = re.fullmatch(r"UC[A-Za-z0-9_-]{22}", given)
    return "" if right else "is no channel id; that begins with UC: YouTube, Settings, Advanced settings"


def video_fault(given: str) -> str:
    return "" if re.fullmatch(r"[A-Za-z0-9_-]{11}", given) else "is no video id: the 11 characters behind watch?v="


OAUTH = OAuth(
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=(READ,),  # nothing smaller tells which channel it is
    # Without offline there is no refresh token, and without consent only the first sign-in ever brings one.
    keep_params={"access_type": "offline", "prompt": "consent"},
    again_params={"prompt": "select_account consent"},  # both, because it takes the place of the one above
    revoke=revoke,
)
POLICY = Policy(
    "Engagement whose only purpose is financial gain, and content that exists to pay for it, is fake engagement",
    "https://support.google.com/youtube/answer/3399767",
    forbidden=True,
)
HANDLE = Fact("handle", "string", "the customer's channel as YouTube shows it; its owner may change it")

source = Source(
    name="youtube",
    title="YouTube",
    docs="https://developers.google.com/youtube/v3/docs",
    actions={
        "subscribe": Action("Subscribes to your channel", (HANDLE,), policy=POLICY),
        "like": Action("Likes your video", (HANDLE,), policy=POLICY),
        "comment": Action(
            "Comments on your video",
            (
                HANDLE,
                Fact("text", "string", "the first 500 characters of the comment"),
                Fact("reply", "bool", "whether it answers another comment"),
            ),
            policy=POLICY,
        ),
    },
    settings=(
        Setting("client_id", "of the OAuth client in the Google Cloud console; for signing in"),
        Setting("client_secret", "of the OAuth client", "secret"),
        Setting(
            "channel_id", "the brand's channel, by its id", example="UC_x5XG1OV2P6uZZ5FSM9Ttw", fault=channel_fault
        ),
        Setting(
            "video_id", "the only video that counts; for likes it is needed", fault=video_fault, example="wtLJPvx7-ys"
        ),
        Setting("api_key", "of the same project, to look comments up without the customer", "secret"),
        Setting(
            "like_scope",
            "what is asked for to see a like; youtube.force-ssl where YouTube refuses youtube.readonly",
            default="youtube.readonly",
            choices=("youtube.readonly", "youtube.force-ssl"),
        ),
        Setting("api_url", "where YouTube's API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    configure=configure,
    oauth=OAUTH,
    whoami=whoami,
    checks={
        "subscribe": Check(ask=ask_subscribe, scopes=(READ,), page=channel_page),
        "like": Check(ask=ask_like, scopes=(READ,), page=video_page),
        "comment": Check(brand=ask_comment, brand_needs=("api_key",), page=comment_page, asks_for="link"),
    },
    steps=(
        "In the Google Cloud console switch the YouTube Data API v3 on",
        "Make an OAuth client, web application, with the redirect https://<your bridge>/connect/youtube/callback",
        "Add the scope youtube.readonly to the consent screen, and publish it: while it is being tested, tokens end "
        "after seven days",
        "For comments make an API key and allow it the YouTube Data API v3 alone",
    ),
    approval="weeks: youtube.readonly is a sensitive scope, and Google verifies who asks for it; until then 100 people",
    room="social",
)
