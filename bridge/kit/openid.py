"""OpenID Connect: where a provider's doors are, and whether its word about who signed in can be trusted."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError, SecurityWarning
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from .errors import Misconfigured, SignInRefused, Unavailable
from .http import Request, Response, Talk
from .tokens import IdToken, Server

#: The kind of key behind each algorithm. What is not here is not taken, whatever a header says.
KEYS: Mapping[str, type[RSAKey | ECKey | OKPKey | OctKey]] = {
    "RS256": RSAKey,
    "ES256": ECKey,
    "EdDSA": OKPKey,
    "HS256": OctKey,
}
#: No id_token is longer; what is, costs its checker more than its sender.
LONGEST = 16 * 1024
SMALLEST_RSA = 2048


def discover(issuer: str) -> Talk[Server]:
    """The provider's own description of itself. OpenID Connect Discovery 1.0, section 4.

    Its `issuer` must be the one that was asked, letter for letter: whoever else answers under this address
    would otherwise speak for it.
    """
    response = yield Request("GET", get_well_known_url(issuer, external=True))
    return described(response, issuer)


def described(response: Response, issuer: str) -> Server:
    """A server from its metadata, by OpenID Connect Discovery 1.0 or RFC 8414."""
    if response.status != 200:
        raise Unavailable(f"the description of {_short(issuer)} answered {response.status}")
    found = response.json()
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        said = found.get("issuer") if isinstance(found, dict) else None
        raise Misconfigured(f"{_short(issuer)} describes itself as {_short(said)}: write the issuer exactly like that")
    methods = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Server(
        authorize_url=_place(found, "authorization_endpoint", issuer, needed=True),
        token_url=_place(found, "token_endpoint", issuer, needed=True),
        revoke_url=_place(found, "revocation_endpoint", issuer),
        userinfo_url=_place(found, "userinfo_endpoint", issuer),
        jwks_url=_place(found, "jwks_uri", issuer),
        par_url=_place(found, "pushed_authorization_request_endpoint", issuer),
        issuer=issuer,
        sends_iss=found.get("authorization_response_iss_parameter_supported") is True,
        # The default is basic, by both standards; a server that names only the other one means it.
        client_auth="post" if "client_secret_basic" not in methods and "client_secret_post" in methods else "basic",
    )


def _place(found: Mapping[str, Any], name: str, issuer: str, *, needed: bool = False) -> str:
    """An address in a description: as well protected as its issuer, and without a name or password in it."""
    text = found.get(name)
    if not isinstance(text, str) or not text:
        if needed:
            raise Misconfigured(f"{_short(issuer)} names no {name}")
        return ""
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("https", urlsplit(issuer).scheme) and parts.hostname and "@" not in parts.netloc
    except ValueError:
        right = False
    if not right:
        raise Misconfigured(f"{_short(issuer)} names {_short(text)} as its {name}, which is no https address")
    return text


def claims(
    raw: str, terms: IdToken, server: Server, *, nonce: str, access: str, now: datetime
) -> Talk[Mapping[str, Any]]:
    """What a verified id_token says. The platform's keys are asked for where they are needed. Else `SignInRefused`."""
    header = _header(raw)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in terms.algorithms or algorithm not in KEYS:
        raise SignInRefused(f"the id_token is signed with {_short(algorithm)}; taken are {', '.join(terms.algorithms)}")
    if algorithm == "HS256":
        if not server.client_secret:
            raise Misconfigured("client_secret is missing, which its id_tokens are signed with")
        with unwarned():
            candidates: Sequence[Key] = [OctKey.import_key(server.client_secret.encode())]
    elif not server.jwks_url:
        raise Misconfigured("there is no address of the keys that its id_tokens are signed with")
    else:
        response = yield Request("GET", server.jwks_url)
        if response.status != 200:
            raise Unavailable(f"the keys of {_short(server.issuer)} answered {response.status}")
        candidates = list(published(response.json(), algorithm, header.get("kid")))
    for key in candidates:
        try:
            # Each key is tried for the one algorithm: what the header says has been judged above.
            registry = JWSRegistry(algorithms=[algorithm], strict_check_header=False)
            with unwarned():
                token = jwt.decode(raw, key, registry=registry)
        except BadSignatureError:
            continue
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise SignInRefused(f"the id_token cannot be read: {type(error).__name__}") from None
        return _true(token.header, token.claims, terms, server, nonce=nonce, access=access, now=now)
    raise SignInRefused("the id_token is signed with no key that the platform publishes")


def published(found: Any, algorithm: str, kid: Any) -> Iterator[Key]:
    """The platform's keys that may have signed it. What is no key, or none for this, is passed over."""
    rows = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise Unavailable("the platform's keys are no key set")
    kind = KEYS[algorithm]
    for row in rows[:50]:
        if not isinstance(row, dict) or row.get("kty") != kind.key_type or row.get("use", "sig") != "sig":
            continue
        if row.get("alg", algorithm) != algorithm or (kid is not None and row.get("kid", kid) != kid):
            continue
        try:
            with unwarned():
                key = kind.import_key(row)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, RSAKey) and key.raw_value.key_size < SMALLEST_RSA:
            continue
        yield key


@contextmanager
def unwarned() -> Iterator[None]:
    """The library warns of EdDSA's name (RFC 9864), short keys and odd secrets. Those are judged here instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        yield


def _true(
    header: Mapping[str, Any],
    said: dict[str, Any],
    terms: IdToken,
    server: Server,
    *,
    nonce: str,
    access: str,
    now: datetime,
) -> Mapping[str, Any]:
    if not server.issuer:
        raise Misconfigured("there is no issuer to compare the id_token with")
    # Authlib checks exp, iat, nbf, nonce, azp and at_hash; issuer and audience only where it is told to.
    wanted = {
        "iss": {"essential": True, "values": [server.issuer]},
        "aud": {"essential": True, "values": [server.client_id]},
    }
    about = {"client_id": server.client_id, "access_token": access}
    if terms.nonce:
        about["nonce"] = nonce
    try:
        CodeIDToken(said, header, wanted, about).validate(int(now.timestamp()), int(terms.leeway.total_seconds()))
    except (JoseError, ValueError, TypeError) as error:
        word = getattr(error, "description", "") or getattr(error, "error", "") or type(error).__name__
        raise SignInRefused(f"the id_token is not about this sign-in: {_short(word)}") from None
    if terms.nonce and not nonce:
        raise SignInRefused("the sign-in kept no nonce to compare the id_token with")
    return said


def _header(raw: str) -> Mapping[str, Any]:
    if len(raw) > LONGEST:
        raise SignInRefused(f"the id_token has {len(raw)} characters; at most {LONGEST} are read")
    first = raw.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SignInRefused("the id_token is no JSON Web Token")
    return found


def _short(text: object) -> str:
    return ascii(str(text)[:80])[1:-1] if text is not None else "nobody"
