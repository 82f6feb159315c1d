"""What applications may do at the stand-in platform: consents, codes and tokens.

RFC 6749, 7009 and 7636. A code is good once and for minutes, and one that comes twice ends what came of it
(RFC 6749 4.1.2); with `rotates` a refresh token is good once too, and one that comes twice ends its grant
(RFC 9700 4.14.2). Texts of codes and tokens are known to those who hold them: what is listed has numbers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from .platform_people import Account
from .standin import Clock


@dataclass(frozen=True, slots=True)
class Application:
    """Somebody else's program, as it was registered."""

    client_id: str
    client_secret: str
    name: str
    redirect_uris: Sequence[str]
    pkce: bool = False  # whether it must prove that it asked
    lasting: bool = False  # whether its tokens are good for ever, and so never refreshed


class Refused(Exception):
    """A request for a token that is not granted: RFC 6749's word, Twitch's sentence and its status."""

    def __init__(self, word: str, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.word, self.said, self.status = word, said, status


@dataclass(slots=True, kw_only=True, eq=False)
class Grant:
    """What one person once allowed one application, and all that came of it. Without a person: its own."""

    number: int
    application: Application
    account: Account | None
    scopes: Sequence[str]
    over: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Code:
    number: int
    grant: Grant
    redirect_uri: str
    challenge: str
    expires_at: datetime
    used: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Token:
    number: int
    kind: Literal["access", "refresh"]
    grant: Grant
    expires_at: datetime | None
    over: bool = False

    def state(self, now: datetime) -> str:
        if self.over or self.grant.over:
            return "revoked"
        return "expired" if self.expires_at and self.expires_at <= now else "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """What is handed out: texts that are nowhere else."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    scopes: Sequence[str]
    expires_in: int | None


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


class Grants:
    """Everything that was allowed."""

    def __init__(
        self,
        clock: Clock,
        *,
        code_lasts: timedelta = timedelta(minutes=5),
        token_lasts: timedelta = timedelta(hours=4),
        rotates: bool = False,
        chance: Callable[[], str] = lambda: secrets.token_hex(15),
    ) -> None:
        self.clock, self.chance = clock, chance
        self.code_lasts, self.token_lasts, self.rotates = code_lasts, token_lasts, rotates
        self.applications: dict[str, Application] = {}
        self._numbers = itertools.count(1)
        self._codes: dict[str, Code] = {}
        self._tokens: dict[str, Token] = {}
        self._allowed: dict[tuple[str, str], frozenset[str]] = {}  # account and application -> scopes

    def register(self, application: Application) -> Application:
        self.applications[application.client_id] = application
        return application

    def client(self, client_id: str, secret: str | None) -> Application:
        """The application that says who it is. `secret` None: it need not prove it."""
        application = self.applications.get(client_id)
        if application is None:
            raise Refused("invalid_client", "invalid client")
        if secret is not None and not hmac.compare_digest(application.client_secret.encode(), secret.encode()):
            raise Refused("invalid_client", "invalid client secret", 403)
        return application

    def allows(self, account: Account, application: Application, scopes: Sequence[str]) -> bool:
        """Whether somebody has allowed all this already, so that they need not be asked."""
        known = self._allowed.get((account.id, application.client_id))
        return known is not None and known.issuperset(scopes)

    def code(
        self, application: Application, account: Account, scopes: Sequence[str], redirect_uri: str, challenge: str
    ) -> str:
        """A code for what somebody allows, and remembers to have allowed."""
        place = (account.id, application.client_id)
        self._allowed[place] = self._allowed.get(place, frozenset()) | set(scopes)
        text = self.chance()
        self._codes[text] = Code(
            number=next(self._numbers),
            grant=self._grant(application, account, scopes),
            redirect_uri=redirect_uri,
            challenge=challenge,
            expires_at=self.clock() + self.code_lasts,
        )
        return text

    def exchange(self, application: Application, text: str, redirect_uri: str, verifier: str) -> Issued:
        code = self._codes.get(text)
        if code is None or code.grant.application is not application:
            raise Refused("invalid_grant", "Invalid authorization code")
        if code.used:
            code.grant.over = True  # it is in two hands, and one of them stole it
            raise Refused("invalid_grant", "Invalid authorization code")
        if code.grant.over or code.expires_at <= self.clock():
            raise Refused("invalid_grant", "Invalid authorization code")
        if code.redirect_uri != redirect_uri:
            raise Refused("invalid_grant", "Parameter redirect_uri does not match registered URI")
        if code.challenge != (challenge_of(verifier) if verifier else ""):
            raise Refused("invalid_grant", "Invalid code verifier")
        code.used = True
        return self._issue(code.grant)

    def refresh(self, application: Application, text: str) -> Issued:
        token = self._tokens.get(text)
        if token is None or token.kind != "refresh" or token.grant.application is not application:
            raise Refused("invalid_grant", "Invalid refresh token")
        if token.state(self.clock()) != "good":
            token.grant.over = token.grant.over or self.rotates
            raise Refused("invalid_grant", "Invalid refresh token", 401)
        if not self.rotates:
            return self._issue(token.grant, refresh=text)
        token.over = True
        return self._issue(token.grant)

    def own(self, application: Application) -> Issued:
        """A token of the application itself."""
        return self._issue(self._grant(application, None, ()), refreshable=False)

    def give(self, application: Application, account: Account, scopes: Sequence[str]) -> Issued:
        """Tokens without a sign-in: for those who put a demo together."""
        return self._issue(self._grant(application, account, scopes))

    def bearer(self, text: str) -> Token | None:
        """The token that a call carries, while it is good."""
        token = self._tokens.get(text)
        return token if token and token.kind == "access" and token.state(self.clock()) == "good" else None

    def revoke(self, application: Application, text: str) -> bool:
        """End one token; a refresh token ends its whole grant (RFC 7009 2.1). False: it is none of theirs."""
        token = self._tokens.get(text)
        if token is None or token.grant.application is not application or token.state(self.clock()) != "good":
            return False
        token.over = True
        token.grant.over = token.grant.over or token.kind == "refresh"
        return True

    def disconnect(self, account: Account, client_id: str) -> None:
        """Somebody takes back whatever they allowed an application."""
        self._allowed.pop((account.id, client_id), None)
        for token in self._tokens.values():
            if token.grant.account is account and token.grant.application.client_id == client_id:
                token.grant.over = True

    def connected(self, account: Account) -> list[tuple[Application, frozenset[str]]]:
        return [
            (self.applications[client], scopes)
            for (id, client), scopes in self._allowed.items()
            if id == account.id and client in self.applications
        ]

    def may(self, application: Application, account: Account, scope: str) -> bool:
        """Whether somebody has allowed an application this, and not taken it back."""
        return scope in self._allowed.get((account.id, application.client_id), ())

    def listed(self) -> dict[str, Any]:
        """Everything but the texts."""
        now = self.clock()
        codes = [
            {
                **_of(one.grant, one.number),
                "state": "used" if one.used else "expired" if one.expires_at <= now else "waits",
            }
            for one in self._codes.values()
        ]
        tokens = [
            {**_of(one.grant, one.number), "kind": one.kind, "state": one.state(now)} for one in self._tokens.values()
        ]
        return {"codes": codes, "tokens": tokens}

    def _grant(self, application: Application, account: Account | None, scopes: Sequence[str]) -> Grant:
        return Grant(number=next(self._numbers), application=application, account=account, scopes=tuple(scopes))

    def _issue(self, grant: Grant, *, refresh: str = "", refreshable: bool = True) -> Issued:
        now = self.clock()
        access = self.chance()
        lasts = None if grant.application.lasting else self.token_lasts
        until = now + lasts if lasts else None
        self._tokens[access] = Token(number=next(self._numbers), kind="access", grant=grant, expires_at=until)
        if refreshable and until and not refresh:
            refresh = self.chance()
            self._tokens[refresh] = Token(number=next(self._numbers), kind="refresh", grant=grant, expires_at=None)
        life = int(lasts.total_seconds()) if lasts else None
        return Issued(access=access, refresh=refresh, scopes=grant.scopes, expires_in=life)


def _of(grant: Grant, number: int) -> dict[str, Any]:
    return {
        "number": number,
        "grant": grant.number,
        "application": grant.application.client_id,
        "account": grant.account.login if grant.account else None,
        "scopes": list(grant.scopes),
    }
