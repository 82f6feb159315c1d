"""Any OpenID Connect provider: who signed in there, and what it vouches for, as bridge.toml reads it from its claims.

A club, a union, a university, the brand's own accounts: whoever can say in a claim that somebody belongs to it.
https://openid.net/specs/openid-connect-core-1_0.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.kit import (
    Account,
    Action,
    Answer,
    Ask,
    Check,
    Evidence,
    ExpressionError,
    Fact,
    Here,
    IdToken,
    OAuth,
    Request,
    Server,
    Setting,
    Settings,
    Source,
    Talk,
    Tokens,
    Unavailable,
)
from bridge.kit.expressions import compile
from bridge.kit.openid import discover as described_by

TITLE = "Is a member, by the provider's word"
#: What may be called a name, the first that is there counts.
NAMES = ("preferred_username", "nickname", "name", "email", "sub")


def key(subject: str, account: str) -> str:
    """What names the fact between what is vouched for and an account. It may never change."""
    return f"{subject}:{account}"


def name_of(issuer: str, subject: str) -> str:
    """An account for the whole world: `sub` alone is only known to its issuer. An issuer has no # in it."""
    return f"{issuer}#{subject}"


def discover(home: str, here: Here, settings: Settings) -> Talk[Server]:
    found = yield from described_by(str(settings.get("issuer") or ""))
    return found


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """What the id_token says, and besides it what userinfo does: many put the most of it only there.

    Userinfo is believed only about the same `sub`. OpenID Connect Core 1.0, section 5.3.2.
    """
    said: Mapping[str, Any] = tokens.claims
    issuer, subject = said.get("iss"), said.get("sub")
    if not isinstance(issuer, str) or not isinstance(subject, str) or not issuer or not subject:
        raise Unavailable("the id_token does not say readably who signed in")
    if tokens.server is not None and tokens.server.userinfo_url:
        response = yield Request("GET", tokens.server.userinfo_url, headers=tokens.bearer)
        more = response.object()
        if response.status != 200 or more.get("sub") != subject:
            raise Unavailable(f"userinfo answered {response.status}, and not about who signed in")
        said = {**more, **said}  # where both speak, the signed one is believed
    email, phone = (said.get(name) for name in ("email", "phone_number"))
    return Account(
        id=name_of(issuer, subject),
        handle=next(value for name in NAMES if isinstance(value := said.get(name), str) and value),
        email=email if isinstance(email, str) else "",
        email_verified=said.get("email_verified") is True,
        phone=phone if isinstance(phone, str) else "",
        phone_verified=said.get("phone_number_verified") is True,
        claims=said,
    )


def ask_member(ask: Ask) -> Talk[Answer]:
    """The proof over the claims that came with the sign-in. Absent, or neither true nor false: nobody knows."""
    yield from ()
    if not ask.account.claims:
        return Answer("unknown", "the claims come with a sign-in alone", obstacle="reconnect")
    try:
        holds = compile(str(ask.settings.get("proof") or ""), {"claims": "map"})({"claims": dict(ask.account.claims)})
    except ExpressionError as error:
        return Answer("unknown", f"the proof cannot be judged over these claims: {error.message}")
    if holds is True:
        return proved(ask)
    if holds is False:
        return Answer("not_found", "the proof does not hold over the claims")
    return Answer("unknown", "the proof comes to neither true nor false")


def proved(ask: Ask) -> Answer:
    subject = ask.subject or subject_of(ask.settings)
    evidence = Evidence(
        action="member",
        key=key(subject, ask.account.id),
        account=ask.account.id,
        subject=subject,
        facts={"handle": ask.account.handle},
    )
    return Answer("verified", evidence=evidence)


def subject_of(settings: Settings) -> str:
    return str(settings.get("subject") or settings.get("issuer") or "")


def proof_fault(text: str) -> str:
    try:
        compile(text, {"claims": "map"}, wants=("bool",))
    except ExpressionError as error:
        return f"is an expression over claims: {error.message}"
    return ""


def unsaid(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
    """Without `scope`: providers rename scopes as they like, and what was left out shows in the claims."""
    return {name: value for name, value in body.items() if name != "scope"}


def configure(source: Source, settings: Settings) -> Source:
    """Which scopes are asked for, and what the action is called: both are the provider's own."""
    scopes = tuple(dict.fromkeys(("openid", *str(settings.get("scopes") or "").split())))
    title = str(settings.get("title") or TITLE)
    return replace(
        source,
        oauth=replace(OAUTH, scopes=scopes),
        actions={"member": replace(source.actions["member"], title=title)},
    )


def page(settings: Settings, account: Account | None) -> str:
    place = str(settings.get("page") or "")
    return place if place.startswith("https://") else ""


OAUTH = OAuth(
    scopes=("openid", "profile", "email"),
    needs=("issuer", "client_id", "client_secret"),
    again_params={"prompt": "login"},
    id_token=IdToken(algorithms=("RS256", "ES256", "EdDSA", "HS256")),
    normalise=unsaid,
    discover=discover,
)

source = Source(
    name="oidc",
    title="OpenID Connect",
    docs="https://openid.net/specs/openid-connect-core-1_0.html",
    actions={"member": Action(TITLE, (Fact("handle", "string", "what the provider calls the account"),))},
    settings=(
        Setting("issuer", "the provider, exactly as it names itself", "url", True, example="https://id.example"),
        Setting("client_id", "as registered with the provider", required=True),
        Setting("client_secret", "as registered with the provider", "secret", True),
        Setting(
            "proof",
            "what must be true of the claims, in CEL",
            required=True,
            example="'member' in claims.groups",
            fault=proof_fault,
        ),
        Setting("scopes", "asked for besides openid, with blanks between them", default="profile email"),
        Setting("title", "what customers do there, for people", example="Is a member of the club"),
        Setting("subject", "what is vouched for; counts in the ledger, and changed it pays again", example="club"),
        Setting("page", "where customers become members, for the button", "url", example="https://club.example/join"),
        Setting("authorize_url", "where customers sign in, if not where the provider says", "url"),
        Setting("token_url", "where codes become tokens, if not where the provider says", "url"),
        Setting("revoke_url", "where tokens are given back, if not where the provider says", "url"),
        Setting("jwks_url", "where its keys are, if not where the provider says", "url"),
    ),
    configure=configure,
    oauth=OAUTH,
    whoami=whoami,
    checks={"member": Check(ask=ask_member, page=page, once=True)},
    steps=(
        "Register a web application with the provider, and the redirect https://<your bridge>/connect/oidc/callback",
        "Write the issuer as its /.well-known/openid-configuration has it; Microsoft's has the tenant in it",
        "Say in proof which claim tells that somebody belongs: ask the provider for it under scopes",
    ),
    room="social",
)
