"""The stand-in platform's sign-in for applications: the authorization code flow in two dialects.

Twitch's, https://dev.twitch.tv/docs/authentication/getting-tokens-oauth/: scopes as an array, errors as a
status with a sentence. Mastodon's, https://docs.joinmastodon.org/methods/oauth/: RFC 6749 as it is written,
tokens that last, and any program registers itself. Both take PKCE (RFC 7636, S256 alone) from whoever sends it.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus, urlencode

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from .platform_grants import Application, Grants, Issued, Refused
from .platform_pages import HEADERS, Pages, elsewhere, form_of, to_login


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the two do differently. `scopes`: each with what it allows, as the consent page says it."""

    path: str
    scopes: Mapping[str, str]
    twitch: bool

    def granted(self, issued: Issued, now: float) -> dict[str, Any]:
        body: dict[str, Any] = {"access_token": issued.access, "token_type": "bearer" if self.twitch else "Bearer"}
        if issued.expires_in is not None:
            body |= {"expires_in": issued.expires_in}
        if issued.refresh:
            body |= {"refresh_token": issued.refresh}
        if self.twitch:
            return body | ({"scope": list(issued.scopes)} if issued.scopes else {})
        return body | {"scope": " ".join(issued.scopes), "created_at": int(now)}

    def refused(self, error: Refused) -> Response:
        if self.twitch:
            return JSONResponse({"status": error.status, "message": error.said}, error.status)
        status = 401 if error.word == "invalid_client" else 400
        return JSONResponse({"error": error.word, "error_description": error.said}, status)


TWITCH = Dialect(
    "/oauth2",
    {
        "user:read:follows": "See whom you follow",
        "user:read:subscriptions": "See which channels you subscribe to",
        "user:read:email": "See your email address",
        "moderator:read:followers": "See who follows your channel",
        "channel:read:subscriptions": "See who subscribes to your channel",
        "bits:read": "See who cheers in your channel",
    },
    True,
)
MASTODON = Dialect(
    "/oauth",
    {
        "profile": "See your name and address",
        "read": "Read everything in your account",
        "read:accounts": "See accounts",
        "read:follows": "See whom you follow and who follows you",
        "read:search": "Search on your behalf",
        "read:statuses": "See posts",
    },
    False,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an application asks somebody for."""

    dialect: Dialect
    application: Application
    redirect_uri: str
    scopes: Sequence[str]
    state: str | None
    challenge: str

    def back(self, **said: str) -> Response:
        """The customer's way back, with the state as it came."""
        sent = {**said, **({} if self.state is None else {"state": self.state})}
        mark = "&" if "?" in self.redirect_uri else "?"
        return RedirectResponse(f"{self.redirect_uri}{mark}{urlencode(sent)}", 302, HEADERS)


class Doors:
    """The routes of one dialect."""

    def __init__(self, dialect: Dialect, pages: Pages, grants: Grants) -> None:
        self.dialect, self.pages, self.grants = dialect, pages, grants
        self._waiting: dict[str, tuple[Asked, str]] = {}  # consent pages that are open, and whose

    def routes(self) -> Sequence[BaseRoute]:
        path = self.dialect.path
        return (
            Route(f"{path}/authorize", self.authorize),
            Route(f"{path}/authorize", self.answered, methods=["POST"]),
            Route(f"{path}/token", self.token, methods=["POST"]),
            Route(f"{path}/revoke", self.revoke, methods=["POST"]),
        )

    async def authorize(self, request: Request) -> Response:
        found = self._asked(request)
        if not isinstance(found, Asked):
            return found
        me, query = self.pages.who(request), request.query_params
        if me is None:
            return RedirectResponse(to_login(f"{request.url.path}?{request.url.query}"), 302, HEADERS)
        again = query.get("force_verify") == "true" or query.get("force_login") == "true"
        if not again and self.grants.allows(me, found.application, found.scopes):
            return self._allowed(found, me.login, found.scopes)
        ticket = secrets.token_urlsafe(16)
        self._waiting[ticket] = (found, me.login)
        words = {scope: self.dialect.scopes[scope] for scope in found.scopes}
        return self.pages.show(request, "consent", asked=found, words=words, ticket=ticket, here=_here(request))

    async def answered(self, request: Request) -> Response:
        """Allow or refuse, once, by the one who was asked."""
        form = await form_of(request)
        me = self.pages.who(request)
        found, login = self._waiting.pop(str(form.get("ticket", "")), (None, ""))
        if found is None or me is None or me.login != login or elsewhere(request):
            return self.pages.refusal(request, "This page is over. Go back to where you came from and begin again.")
        if form.get("press") != "allow":
            return found.back(error="access_denied", error_description="The user denied you access")
        ticked = {str(one) for one in form.getlist("scope")}
        return self._allowed(found, login, [one for one in found.scopes if one in ticked])

    def _allowed(self, asked: Asked, login: str, scopes: Sequence[str]) -> Response:
        account = self.pages.people.named(login)
        assert account is not None
        code = self.grants.code(asked.application, account, scopes, asked.redirect_uri, asked.challenge)
        return asked.back(code=code, **({"scope": " ".join(scopes)} if self.dialect.twitch else {}))

    def _asked(self, request: Request) -> Asked | Response:
        """What is asked, or the page or the way back that says what is wrong with it. RFC 6749 4.1.2.1."""
        query = request.query_params
        if len(query.multi_items()) != len(query):
            return self.pages.refusal(request, "A parameter stands twice in the address.")
        application = self.grants.applications.get(query.get("client_id", ""))
        if application is None:
            return self.pages.refusal(request, "No application is registered under this client_id.")
        there = query.get("redirect_uri", "")
        if there not in application.redirect_uris:  # letter for letter: RFC 9700 2.1
            return self.pages.refusal(request, "Parameter redirect_uri does not match registered URI")
        challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method", "plain")
        wanted = list(dict.fromkeys(query.get("scope", "").split()))
        asked = Asked(self.dialect, application, there, wanted, query.get("state"), challenge)
        if query.get("response_type") != "code":
            return asked.back(error="unsupported_response_type", error_description="only code is known here")
        if unknown := [one for one in wanted if one not in self.dialect.scopes]:
            return asked.back(error="invalid_scope", error_description=f"invalid scope requested: '{unknown[0]}'")
        if (application.pkce and not challenge) or (
            challenge and (method != "S256" or not re.fullmatch(r"[\w-]{43}", challenge, re.ASCII))
        ):
            return asked.back(error="invalid_request", error_description="code_challenge with S256 is needed")
        return asked

    async def token(self, request: Request) -> Response:
        form = await form_of(request)
        try:
            issued = self._issue(request, form)
        except Refused as error:
            return self.dialect.refused(error)
        body = self.dialect.granted(issued, self.grants.clock().timestamp())
        return JSONResponse(body, headers={"cache-control": "no-store"})

    def _issue(self, request: Request, form: FormData) -> Issued:
        application = self.grants.client(*_credentials(request, form))
        match form.get("grant_type"):
            case "authorization_code":
                given = (str(form.get(name, "")) for name in ("code", "redirect_uri", "code_verifier"))
                return self.grants.exchange(application, *given)
            case "refresh_token":
                return self.grants.refresh(application, str(form.get("refresh_token", "")))
            case "client_credentials":
                return self.grants.own(application)
        raise Refused("unsupported_grant_type", "Invalid grant type")

    async def revoke(self, request: Request) -> Response:
        """Twitch's asks for the client's id alone, and is honest about what it does not know; RFC 7009 is neither."""
        form = await form_of(request)
        try:
            client_id, secret = _credentials(request, form)
            application = self.grants.client(client_id, None if self.dialect.twitch and not secret else secret)
        except Refused as error:
            return self.dialect.refused(error)
        known = self.grants.revoke(application, str(form.get("token", "")))
        if not known and self.dialect.twitch:
            return self.dialect.refused(Refused("invalid_request", "Invalid token"))
        return JSONResponse({}) if not self.dialect.twitch else Response(status_code=200)


def _credentials(request: Request, form: FormData) -> tuple[str, str]:
    """Who asks: in the form, or as RFC 6749 2.3.1 writes Basic, each part encoded before they are joined."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return str(form.get("client_id", "")), str(form.get("client_secret", ""))
    try:
        client_id, _, secret = base64.b64decode(given, validate=True).decode("ascii").partition(":")
    except (binascii.Error, ValueError):
        raise Refused("invalid_client", "invalid client") from None
    return unquote_plus(client_id), unquote_plus(secret)


def _here(request: Request) -> str:
    """This very page, for whoever wants to come back to it as somebody else."""
    return f"{quote(request.url.path)}?{request.url.query}"
