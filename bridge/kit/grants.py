"""What a platform's answer means where codes become tokens: tokens, or which error of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from .errors import BridgeError, ConsentDenied, Misconfigured, Unavailable
from .http import Response
from .query import controls
from .tokens import OAuth, Tokens

#: What platforms say when the customer does not want to. RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6, LinkedIn.
DENIED = frozenset(
    {"access_denied", "user_denied", "user_cancelled_login", "user_cancelled_authorize", "consent_required",
     "interaction_required", "login_required", "account_selection_required"}
)  # fmt: skip
#: What they say when nobody can sign in until the operator mends something.
OURS = frozenset(
    {"invalid_client", "unauthorized_client", "invalid_scope", "unsupported_response_type", "unsupported_grant_type",
     "redirect_uri_mismatch", "incorrect_client_credentials", "invalid_redirect_uri", "invalid_client_metadata"}
)  # fmt: skip
#: What they say of a code or refresh token that is used, over, revoked or not theirs.
OVER = frozenset({"invalid_grant", "bad_verification_code", "bad_refresh_token", "invalid_request", "expired_token"})
LONGEST_LIFE = timedelta(days=3650)


def granted(oauth: OAuth, response: Response, *, over: type[BridgeError]) -> Mapping[str, Any]:
    """The answer with a token in it. Anything else says what it was, in our errors."""
    if response.status == 429 or response.status >= 500:
        raise Unavailable(f"the platform answered {response.status} instead of a token")
    body = response.json()
    if not isinstance(body, dict):
        raise Unavailable(f"the platform answered {response.status} with something that is no object")
    body = oauth.normalise(body, response.status) if oauth.normalise else body
    match body:
        case {"error": str(code), **rest} if code:
            raise fault(code, str(rest.get("error_description") or ""), over=over, otherwise=Unavailable)
        case {"error": dict(told)} if told:  # Meta writes an object
            word, said = str(told.get("type") or told.get("code")), str(told.get("message"))
            raise fault(word, said, over=over, otherwise=Unavailable)
    if not response.is_success:
        raise Unavailable(f"the platform answered {response.status} without saying why")
    return body


def fault(code: str, description: str, *, over: type[BridgeError], otherwise: type[BridgeError]) -> BridgeError:
    word = code.strip().lower()
    kind: type[BridgeError] = otherwise
    if word in DENIED:
        kind = ConsentDenied
    elif word in OURS:
        kind = Misconfigured
    elif word in ("server_error", "temporarily_unavailable", "slow_down"):
        kind = Unavailable
    elif word in OVER:
        kind = over
    if kind is ConsentDenied:
        return ConsentDenied()
    return kind(f"the platform said {short(code)}" + (f": {short(description)}" if description else ""))


def tokens_of(oauth: OAuth, body: Mapping[str, Any], now: datetime) -> Tokens:
    access, more, kind = body.get("access_token"), body.get("refresh_token"), body.get("token_type")
    if not isinstance(access, str) or not access:
        raise Unavailable("the platform answered without a token")
    if controls(access) or " " in access or not access.isascii():
        raise Unavailable("the platform answered with a token that no header can carry")
    if kind is not None and str(kind).lower() not in oauth.token_types:
        raise Unavailable(f"the platform gave a token of type {short(kind)}; known is {', '.join(oauth.token_types)}")
    life = body.get("expires_in")
    seconds = int(life) if isinstance(life, int | float | str) and re.fullmatch(r"\d{1,9}(\.0*)?", str(life)) else 0
    return Tokens(
        access=access,
        refresh=more if isinstance(more, str) else "",
        scopes=_scopes(oauth, body.get("scope")),
        expires_at=now + min(timedelta(seconds=seconds), LONGEST_LIFE) if seconds else None,
    )


def _scopes(oauth: OAuth, said: Any) -> frozenset[str] | None:
    """What was granted: RFC 6749's text, the commas of some and the arrays of others."""
    if said is None:
        return None
    if isinstance(said, str):
        said = re.split(r"[\s,]+", said)
    if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
        raise Unavailable("the platform did not say readably what was granted")
    return frozenset(oauth.scope_names.get(one, one) for one in said if one)


def short(text: object) -> str:
    return ascii(str(text)[:120])[1:-1]
