"""
The authorization code flow, in pure functions and talks.

    server   = hold(locate(oauth, home, here, settings))     only where a platform is many; else nothing is asked
    address  = hold(begin(oauth, sign_in, state, settings, now))
    -- the customer signs in, and comes back --
    returned = callback(query)                               then the engine consumes the state, once
    tokens   = hold(exchange(oauth, sign_in, returned, settings, now))
    missing  = lacking(oauth, tokens, sign_in.scopes)
    tokens   = hold(refresh(oauth, tokens, settings, now))   under a lock: many platforms take a refresh token once
    gone     = hold(revoke(oauth, tokens, settings))

Authlib writes the address and the challenge here, and judges id_tokens in `openid`. What it does otherwise is
done anew, because it could not stay: its reader of callbacks takes the last of two states and looks for a code
before it looks at the state; its token asks the clock; its Basic header leaves out RFC 6749's encoding; an
answer of 400 without the word `error` is a token to it; and its client is a network client.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from . import openid
from .errors import (
    Disconnected,
    IssuerMismatch,
    Misconfigured,
    SignInRefused,
    StateMismatch,
    Unavailable,
)
from .fields import Settings
from .grants import fault, granted, short, tokens_of
from .http import Request, Response, Talk
from .query import controls, once, pairs, repeated
from .tokens import ClientAuth, Form, Here, OAuth, Returned, Server, SignIn, Tokens
from .types import NOTHING


def at(oauth: OAuth, settings: Settings, found: Server | None = None) -> Server:
    """Where to sign in and who we are there: the table's own addresses, then what was found, then the platform's."""
    found = found or Server()

    def place(name: str) -> str:
        return str(settings.get(name) or getattr(found, name) or getattr(oauth, name, ""))

    return replace(
        found,
        authorize_url=place("authorize_url"),
        token_url=place("token_url"),
        revoke_url=place("revoke_url"),
        jwks_url=place("jwks_url"),
        issuer=place("issuer"),
        sends_iss=found.sends_iss or oauth.sends_iss,
        # A server that has registered us knows us by that name alone.
        client_id=found.client_id or str(settings.get("client_id") or ""),
        client_secret=found.client_secret if found.client_id else str(settings.get("client_secret") or ""),
        client_auth=found.client_auth or oauth.client_auth,
    )


def locate(oauth: OAuth, home: str, here: Here, settings: Settings) -> Talk[Server | None]:
    """Find the server and register with it where that is needed. None: there is nothing to find."""
    if oauth.discover is None:
        return None
    found = yield from oauth.discover(home, here, settings)
    if oauth.register is not None and not found.client_id:
        found = yield from oauth.register(found, here, settings)
    return replace(found, home=found.home or home)


def begin(
    oauth: OAuth,
    sign_in: SignIn,
    state: str,
    settings: Settings,
    now: datetime,
    *,
    again: bool = False,
    keep: bool = False,
) -> Talk[str]:
    """The address to send the customer to. `again`: another account is wanted; `keep`: the token is needed later."""
    server = at(oauth, settings, sign_in.server)
    if not server.client_id or not server.authorize_url:
        raise Misconfigured("client_id or authorize_url is missing: nobody can sign in")
    params = {
        "response_type": "code",
        "client_id": server.client_id,
        "redirect_uri": sign_in.redirect_uri,
        "scope": oauth.separator.join(sign_in.scopes),
        "state": state,
        **oauth.authorize_params,
        **(oauth.keep_params if keep else {}),
        **(oauth.again_params if again else {}),
    }
    if oauth.pkce:
        if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", sign_in.verifier):
            raise ValueError("a verifier has 43 to 128 unreserved characters")
        params["code_challenge"] = create_s256_code_challenge(sign_in.verifier)
        params["code_challenge_method"] = "S256"
    if oauth.id_token and oauth.id_token.nonce:
        params["nonce"] = sign_in.nonce
    named: Form = {oauth.names.get(name, name): value for name, value in params.items() if value}
    if oauth.prepare is not None:
        named = yield from oauth.prepare(named, sign_in, server, settings, now)
    return str(add_params_to_uri(server.authorize_url, list(named.items())))


def callback(query: str) -> Returned:
    """What came back, of which nothing is believed yet. Without one readable state: `StateMismatch`."""
    try:
        given = pairs(query)
    except ValueError:
        raise StateMismatch("the way back cannot be read") from None
    if name := repeated(given, ("state", "code", "error", "iss")):
        raise StateMismatch(f"{name} came back more than once")  # RFC 6749 3.1: no parameter may
    found = once(given)
    ours = [found.get(name, "") for name in ("state", "code", "error", "iss")]
    if not 1 <= len(ours[0]) <= 512 or any(map(controls, ours)):
        raise StateMismatch("the way back carries no state of ours")
    return Returned(
        state=found["state"],
        code=found.get("code", ""),
        error=found.get("error", ""),
        description=found.get("error_description", "")[:200],
        iss=found.get("iss"),
        fields=found,
    )


def accepted(returned: Returned, server: Server) -> str:
    """The code that came back, after the state has been consumed: from whom it is, what went wrong, then the code."""
    if returned.iss is None:
        if server.sends_iss:
            raise IssuerMismatch("the platform names itself in every answer (iss), and this one does not")
    elif server.issuer and returned.iss != server.issuer:  # RFC 9207 2.4: compared as they are
        raise IssuerMismatch(f"the answer is from {short(returned.iss)}; asked was {short(server.issuer)}")
    if returned.error:
        raise fault(returned.error, returned.description, over=SignInRefused, otherwise=SignInRefused)
    if not returned.code:
        raise SignInRefused("the platform sent neither a code nor an error")
    return returned.code


def exchange(oauth: OAuth, sign_in: SignIn, returned: Returned, settings: Settings, now: datetime) -> Talk[Tokens]:
    """The tokens for what came back. A code is good for seconds at some platforms: exchange it at once."""
    server = at(oauth, settings, sign_in.server)
    form = {
        "grant_type": "authorization_code",
        "code": accepted(returned, server),
        "redirect_uri": sign_in.redirect_uri,
    }
    if oauth.pkce:
        form["code_verifier"] = sign_in.verifier
    response = yield from _ask(oauth, server, form, settings, sign_in.key, now)
    body = granted(oauth, response, over=SignInRefused)
    tokens = tokens_of(oauth, body, now)
    said: Mapping[str, Any] = NOTHING
    if oauth.id_token:
        raw = body.get("id_token")
        if not isinstance(raw, str):
            raise Unavailable("the platform answered without an id_token")
        said = yield from openid.claims(raw, oauth.id_token, server, nonce=sign_in.nonce, access=tokens.access, now=now)
    extras = {name: of[name] for of in (returned.fields, body) for name in oauth.keeps if name in of}
    return replace(tokens, claims=said, extras=extras, server=sign_in.server, key=sign_in.key)


def refresh(oauth: OAuth, tokens: Tokens, settings: Settings, now: datetime) -> Talk[Tokens]:
    """Fresh tokens; whatever the answer leaves out stays as it was. Ended by the platform: `Disconnected`."""
    if not tokens.refresh:
        raise Disconnected("the permission is over, and the platform gave nothing to renew it with")
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
    response = yield from _ask(oauth, at(oauth, settings, tokens.server), form, settings, tokens.key, now)
    fresh = tokens_of(oauth, granted(oauth, response, over=Disconnected), now)
    return replace(
        tokens,
        access=fresh.access,
        refresh=fresh.refresh or tokens.refresh,
        scopes=tokens.scopes if fresh.scopes is None else fresh.scopes,
        expires_at=fresh.expires_at,
    )


def revoke(oauth: OAuth, tokens: Tokens, settings: Settings) -> Talk[bool]:
    """Whether the platform has forgotten the tokens. Ours are wiped either way; RFC 7009 knows no doubt about 200."""
    server = at(oauth, settings, tokens.server)
    if oauth.revoke is not None:
        return (yield from oauth.revoke(tokens, server, settings))
    if not server.revoke_url:
        return False
    gone = True
    for kind in oauth.revokes:
        token = tokens.refresh if kind == "refresh" else tokens.access
        if token:
            auth = oauth.revoke_auth or server.client_auth or oauth.client_auth
            response = yield _request(oauth, server, server.revoke_url, {"token": token}, settings, auth)
            gone = response.is_success and gone
    return gone


def client_token(oauth: OAuth, settings: Settings, now: datetime, scopes: Sequence[str] = ()) -> Talk[Tokens]:
    """A token of the application itself (RFC 6749 4.4), for registering webhooks and the like."""
    form = {"grant_type": "client_credentials", "scope": oauth.separator.join(scopes)}
    response = yield from _ask(oauth, at(oauth, settings), form, settings, "", now)
    return tokens_of(oauth, granted(oauth, response, over=Misconfigured), now)


def lacking(oauth: OAuth, tokens: Tokens, wanted: Sequence[str]) -> tuple[str, ...]:
    """Which of the wanted scopes were not granted. A platform that does not say has granted all (RFC 6749 5.1)."""
    if tokens.scopes is None:
        return ()
    return tuple(one for one in wanted if one not in tokens.scopes)


def _ask(oauth: OAuth, server: Server, form: Form, settings: Settings, key: str, now: datetime) -> Talk[Response]:
    if not server.token_url or not server.client_id:
        raise Misconfigured("client_id or token_url is missing")
    request = _request(oauth, server, server.token_url, form, settings, server.client_auth or oauth.client_auth)
    if oauth.carry is not None:
        return (yield from oauth.carry(request, key, now))
    return (yield request)


def _request(oauth: OAuth, server: Server, url: str, form: Form, settings: Settings, auth: ClientAuth) -> Request:
    headers = {"Accept": "application/json", **(oauth.headers(settings) if oauth.headers else {})}
    given = {name: value for name, value in form.items() if value}
    if auth == "basic":
        # RFC 6749 2.3.1: each part is encoded as in a form before they are joined.
        pair = f"{quote_plus(server.client_id)}:{quote_plus(server.client_secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    else:
        given["client_id"] = server.client_id
        if auth != "none":
            given["client_secret"] = server.client_secret
    if oauth.form is not None and "grant_type" in given:
        given = dict(oauth.form(given, server))
    named = {oauth.names.get(name, name): value for name, value in given.items()}
    if auth == "params":
        return Request("GET", url, params=named, headers=headers)
    return Request("POST", url, form=named, headers=headers)
