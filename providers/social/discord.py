"""Discord: whether somebody is in the brand's server, has a role there, boosts it.

No webhook tells any of it: joins are heard on the Gateway alone, a connection that stays open. So Discord is asked: by
the brand's bot where there is one, and then the customer has said no more than who they are; else with their token.
https://discord.com/developers/docs/resources/guild#get-guild-member
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal
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
    Question,
    Request,
    Response,
    Setting,
    Settings,
    Source,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
    unanswered,
)
from bridge.kit.reading import maybe, text, when

API = "https://discord.com/api/v10"
REVOKE = "https://discord.com/api/oauth2/token/revoke"
#: Snowflakes count milliseconds from here. https://discord.com/developers/docs/reference#snowflakes
EPOCH = datetime(2015, 1, 1, tzinfo=UTC)
UNKNOWN_GUILD, UNKNOWN_MEMBER = 10004, 10007

Verb = Literal["member", "role", "boost"]


def key(subject: str, account: str) -> str:
    """What names a fact between a server, or a role in it, and an account. It may never change."""
    return f"{subject}:{account}"


def call(path: str, authorization: str, settings: Settings) -> Request:
    url = f"{(settings.get('api_url') or API).rstrip('/')}{path}"
    return Request("GET", url, headers={"Authorization": authorization})


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """https://discord.com/developers/docs/resources/user#get-current-user : scope identify."""
    response = yield call("/users/@me", f"Bearer {tokens.access}", settings)
    if response.status != 200:
        raise Unavailable(f"Discord answered {response.status} when it was asked who signed in")
    try:
        found = response.object()
        account, handle = text(found, "id"), maybe(found, "username") or ""
    except Unreadable as error:
        raise Unavailable(f"Discord does not say readably who signed in: {error.message}") from None
    if not is_id(account):
        raise Unavailable("Discord names the account by something that is no snowflake")
    return Account(id=account, handle=handle, created_at=born(account))


def is_id(given: str) -> bool:
    return given.isascii() and given.isdigit() and len(given) <= 20


def born(snowflake: str) -> datetime:
    return EPOCH + timedelta(milliseconds=int(snowflake) >> 22)


def subject_of(verb: Verb, settings: Settings) -> str:
    """The server, for a role `server/role`; empty where the settings name none."""
    names = ("guild_id", "role_id") if verb == "role" else ("guild_id",)
    found = [str(settings.get(name) or "") for name in names]
    return "/".join(found) if all(found) else ""


def by_customer(verb: Verb, ask: Ask) -> Talk[Answer]:
    """With the customer's token, scope guilds.members.read.

    https://discord.com/developers/docs/resources/user#get-current-user-guild-member
    """
    if not (subject := ask.subject or subject_of(verb, ask.settings)):
        return unset(verb)
    if ask.tokens is None:
        return Answer("unknown", "there is no token of the customer's", obstacle="reconnect")
    guild = quote(subject.partition("/")[0], safe="")
    response = yield call(f"/users/@me/guilds/{guild}/member", f"Bearer {ask.tokens.access}", ask.settings)
    if response.status == 404 and response.object().get("code") in (UNKNOWN_GUILD, UNKNOWN_MEMBER):
        return Answer("not_found", "is not in the server")
    return judged(verb, response, subject, ask.account.id, ask.account.handle) or unanswered(response, whose="customer")


def by_bot(verb: Verb, ask: Ask) -> Talk[Answer]:
    """With the bot's token: nothing is needed of the customer but their id."""
    if not (subject := ask.subject or subject_of(verb, ask.settings)):
        return unset(verb)
    answer = yield from asked(verb, subject, ask.account.id, ask.account.handle, ask.settings)
    return answer


def recheck(verb: Verb, question: Question, settings: Settings) -> Talk[Answer]:
    answer = yield from asked(verb, question.subject, question.account, "", settings)
    return answer


def asked(verb: Verb, subject: str, account: str, handle: str, settings: Settings) -> Talk[Answer]:
    """https://discord.com/developers/docs/resources/guild#get-guild-member : for one member no intent is needed."""
    guild = quote(subject.partition("/")[0], safe="")
    path = f"/guilds/{guild}/members/{quote(account, safe='')}"
    response = yield call(path, f"Bot {settings.get('bot_token') or ''}", settings)
    if response.status == 404 and response.object().get("code") == UNKNOWN_MEMBER:
        return Answer("not_found", "is not in the server")
    if response.status == 404 and response.object().get("code") == UNKNOWN_GUILD:
        # To a bot, a server it was never invited to is unknown: that says nothing about the customer.
        return Answer("unknown", "the bot is not in the server, or guild_id is another's", obstacle="brand")
    return judged(verb, response, subject, account, handle) or unanswered(response, whose="brand")


def unset(verb: Verb) -> Answer:
    missing = "guild_id or role_id" if verb == "role" else "guild_id"
    return Answer("unknown", f"{missing} is missing in the source's table", obstacle="brand")


def judged(verb: Verb, response: Response, subject: str, account: str, handle: str) -> Answer | None:
    """What a member object says; None where the answer is none.

    https://discord.com/developers/docs/resources/guild#guild-member-object : `pending` is left out where it is false.
    """
    found = response.object()
    roles = found.get("roles")
    if response.status != 200 or not isinstance(roles, list) or "joined_at" not in found:
        return None
    user = found.get("user")
    if isinstance(user, dict):
        if "id" in user and str(user["id"]) != account:
            return Answer("unknown", "Discord answered about another account")
        handle = user["username"] if isinstance(user.get("username"), str) else handle
    screened = found.get("pending") is not True
    match verb:
        case "member":
            if not screened:
                return Answer("pending", "has not passed the server's membership screening")
            if found["joined_at"] is None:
                return Answer("unknown", "is a guest of one voice channel, who may or may not stay")
            return proved(verb, subject, account, handle, at(found, "joined_at"))
        case "role":
            if subject.partition("/")[2] in map(str, roles):
                return proved(verb, subject, account, handle, None)
            if not screened:
                return Answer("pending", "has not passed the server's membership screening, and has not got the role")
            return Answer("not_found", "is in the server, without the role")
        case "boost":
            if "premium_since" not in found:
                return Answer("unknown", "Discord does not say whether the member boosts the server")
            if found["premium_since"] is None:
                return Answer("not_found", "is in the server, and does not boost it")
            return proved(verb, subject, account, handle, at(found, "premium_since"))


def proved(verb: Verb, subject: str, account: str, handle: str, since: datetime | None) -> Answer:
    evidence = Evidence(
        action=verb,
        key=key(subject, account),
        account=account,
        subject=subject,
        occurred_at=since,
        facts={"username": handle},
    )
    return Answer("verified", evidence=evidence)


def at(found: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return when(found, name) if maybe(found, name) else None
    except Unreadable:
        return None  # that it is so does not depend on since when


def check(verb: Verb) -> Check:
    return Check(
        ask=partial(by_customer, verb),
        scopes=("guilds.members.read",),
        brand=partial(by_bot, verb),
        brand_needs=("bot_token", "guild_id", *(("role_id",) if verb == "role" else ())),
        page=page,
    )


def page(settings: Settings, account: Account | None) -> str:
    invite = settings.get("invite")
    return f"https://discord.gg/{invite}" if invite else ""


def id_fault(given: str) -> str:
    return "" if is_id(given) else "is a number of up to 20 digits: in Discord, developer mode, Copy ID"


OAUTH = OAuth(
    authorize_url="https://discord.com/oauth2/authorize",
    token_url="https://discord.com/api/oauth2/token",  # noqa: S106 (an address)
    revoke_url=REVOKE,
    scopes=("identify",),
    again_params={"prompt": "consent"},  # a page with "Not you?" on it
    revokes=("access",),  # either kind ends all that came of the same consent
)
USERNAME = Fact("username", "string", "the account's name at the time; its owner may change it")
VERBS: tuple[Verb, ...] = ("member", "role", "boost")

source = Source(
    name="discord",
    title="Discord",
    docs="https://discord.com/developers/docs/topics/oauth2",
    actions={
        "member": Action("Is a member of your server", (USERNAME,)),
        "role": Action("Has a role in your server", (USERNAME,)),
        "boost": Action("Boosts your server", (USERNAME,)),
    },
    settings=(
        Setting("client_id", "of the application in the developer portal; for signing in"),
        Setting("client_secret", "of the application; for signing in", "secret"),
        Setting("guild_id", "the server, by its id", example="613425648685547541", fault=id_fault),
        Setting("role_id", "the role that counts, by its id", example="613426354628722689", fault=id_fault),
        Setting("bot_token", "of the application's bot, once it is in the server; asks without the customer", "secret"),
        Setting("invite", "the invitation for the button: what stands behind discord.gg/", example="cool-brand"),
        Setting("api_url", "where Discord's API is", "url", default=API),
        Setting("authorize_url", "where customers sign in", "url", default=OAUTH.authorize_url),
        Setting("token_url", "where codes become tokens", "url", default=OAUTH.token_url),
        Setting("revoke_url", "where tokens are given back", "url", default=REVOKE),
    ),
    rechecks={verb: partial(recheck, verb) for verb in VERBS},
    recheck_needs=("bot_token",),
    oauth=OAUTH,
    whoami=whoami,
    checks={verb: check(verb) for verb in VERBS},
    steps=(
        "Make an application at https://discord.com/developers/applications",
        "Under OAuth2 add the redirect https://<your bridge>/connect/discord/callback",
        "Under Bot make a token, and invite the bot into your server with the scope bot and no permissions",
        "Copy the ids of the server and the role: User Settings, Advanced, Developer Mode, then Copy ID",
    ),
    room="social",
)
