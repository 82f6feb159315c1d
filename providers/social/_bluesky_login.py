"""Signing in with an account of the AT Protocol, wherever it lives: from a handle to the server that vouches for it.

    handle -> DID          and back again: each must name the other
    DID -> its document    where its data is kept
    the data's server      which authorization server speaks for it
    that server            pushed requests (RFC 9126), tokens bound to a key (DPoP, RFC 9449), no secret of ours

Anybody may run such a server, and write anything in these documents. None of it is taken for more than the account it
is about, and no refusal of such a server is taken for a fault of ours, unless it is Bluesky's own.
https://atproto.com/specs/oauth
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from bridge.kit import (
    Account,
    Here,
    Home,
    HomeUnknown,
    Misconfigured,
    OAuth,
    Request,
    Response,
    Server,
    Settings,
    SignIn,
    SignInRefused,
    Talk,
    Tokens,
    Unavailable,
    Unreadable,
)
from bridge.kit.openid import described
from bridge.kit.reading import when

from ._dpop import carry
from ._names import shown

API = "https://public.api.bsky.app/xrpc"
DIRECTORY = "https://plc.directory"
BLUESKY = "https://bsky.social"
#: https://atproto.com/specs/handle and https://atproto.com/specs/did : of web DIDs the bare hosts alone
HANDLE = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
PLC = re.compile(r"did:plc:[a-z2-7]{24}", re.ASCII)
#: What a server says where it refuses the application, not the customer.
OURS = ("invalid_client", "invalid_client_metadata", "unauthorized_client", "invalid_redirect_uri", "invalid_scope")


def is_did(given: Any) -> bool:
    if not isinstance(given, str):
        return False
    host = given.removeprefix("did:web:")
    return PLC.fullmatch(given) is not None or (host != given and HANDLE.fullmatch(host) is not None)


def typed(given: str) -> str:
    """A handle or DID as it was typed: with @ before it, with the address of the profile around it, in capitals."""
    found = re.sub(r"[\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", given).strip()  # pasted handles bring these along
    found = found.removeprefix("https://bsky.app/profile/").removeprefix("at://").removeprefix("@").rstrip("/").lower()
    if is_did(found) or HANDLE.fullmatch(found):
        return found
    raise HomeUnknown("write the whole handle, for example ann.bsky.social")


# --- finding the server ---------------------------------------------------------------------------------------------


def discover(home: str, here: Here, settings: Settings) -> Talk[Server]:
    did = home if is_did(home) else (yield from resolved(home, settings))
    kept_at = yield from located(did, home, settings)
    response = yield Request("GET", f"{kept_at}/.well-known/oauth-protected-resource")
    match documented(response, "the server of the account"):
        case {"authorization_servers": [str(named)]}:
            issuer = origin(named, settings)
        case _:
            raise Unavailable("the server of the account names no one authorization server")
    response = yield Request("GET", f"{issuer}/.well-known/oauth-authorization-server")
    said = documented(response, "the authorization server of the account")
    try:
        server = described(response, issuer)
    except Misconfigured as error:
        raise Unavailable(error.message) from None  # it is the customer's server, and nothing of ours
    can = (
        server.par_url
        and server.sends_iss
        and said.get("client_id_metadata_document_supported") is True
        and offers(said, "dpop_signing_alg_values_supported", "ES256")
        and offers(said, "scopes_supported", "atproto")
    )
    if not can:
        raise Unavailable("the authorization server of the account does not do what the AT Protocol asks of it")
    return replace(
        server, client_id=here.document_url, client_secret="", client_auth="none", home=home, extras={"did": did}
    )


def resolved(handle: str, settings: Settings) -> Talk[str]:
    """https://docs.bsky.app/docs/api/com-atproto-identity-resolve-handle"""
    response = yield public("com.atproto.identity.resolveHandle", settings, handle=handle)
    found = response.object()
    if response.status == 200 and is_did(found.get("did")):
        return str(found["did"])
    if response.status in (400, 404) and "error" in found:
        raise HomeUnknown("there is no account with this handle")
    raise Unavailable(f"Bluesky answered {response.status} when it was asked for a handle")


def located(did: str, home: str, settings: Settings) -> Talk[str]:
    """Where an account's data is kept, by the document of its DID, which must know the handle."""
    url = f"{directory(settings)}/{quote(did, safe=':')}" if did.startswith("did:plc:") else (
        f"https://{did.removeprefix('did:web:')}/.well-known/did.json"
    )  # fmt: skip
    response = yield Request("GET", url)
    if response.status in (404, 410):
        raise HomeUnknown("there is no such account, or it is no more")
    found = documented(response, "the document of the account")
    if found.get("id") != did:
        raise Unavailable("the document of the account is another's")
    names = found.get("alsoKnownAs")
    if home != did and not any(
        isinstance(one, str) and one.lower() == f"at://{home}" for one in (names if isinstance(names, list) else ())
    ):
        raise HomeUnknown("the account does not know this handle: is it an old one?")
    services = found.get("service")
    for service in services if isinstance(services, list) else ():
        match service:
            case {"id": str(name), "type": "AtprotoPersonalDataServer", "serviceEndpoint": str(endpoint)}:
                if name in ("#atproto_pds", f"{did}#atproto_pds"):
                    return origin(endpoint, settings)
    raise HomeUnknown("the account says nowhere where its data is kept")


def documented(response: Response, what: str) -> Mapping[str, Any]:
    found = response.object()
    if response.status != 200 or not found:
        raise Unavailable(f"{what} answered {response.status}")
    return found


def origin(address: str, settings: Settings) -> str:
    """A server's address, and nothing else in it. https alone; a stand-in may speak as its directory does."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    right = (
        parts.scheme in ("https", urlsplit(directory(settings)).scheme) and parts.hostname and "@" not in parts.netloc
    )
    if not right or parts.path not in ("", "/") or parts.query or parts.fragment or len(address) > 300:
        raise Unavailable("the account names a server by something that is no plain https address")
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")


def offers(said: Mapping[str, Any], name: str, wanted: str) -> bool:
    found = said.get(name)
    return isinstance(found, list) and wanted in found


def directory(settings: Settings) -> str:
    return str(settings.get("plc_url") or DIRECTORY).rstrip("/")


def public(method: str, settings: Settings, **query: str) -> Request:
    return Request("GET", f"{(settings.get('api_url') or API).rstrip('/')}/{method}", params=query)


# --- the request that goes ahead --------------------------------------------------------------------------------------


def push(form: Mapping[str, str], sign_in: SignIn, server: Server, settings: Settings, now: datetime) -> Talk[Any]:
    """The request goes ahead of the customer, who carries but a reference to it. RFC 9126"""
    sent = {**form, "login_hint": server.home}
    request = Request("POST", server.par_url, form=sent, headers={"Accept": "application/json"})
    response = yield from carry(request, sign_in.key, now)
    match response.object():
        case {"request_uri": str(reference)} if response.status in (200, 201) and 0 < len(reference) <= 2000:
            return {"client_id": server.client_id, "request_uri": reference}
        case {"error": str(word)} if word in OURS and server.issuer == BLUESKY:
            raise Misconfigured(f"Bluesky refuses this application, {word}: can it read {server.client_id}?")
        case {"error": str(word)} if response.status in (400, 401, 403) and word not in (*OURS, "use_dpop_nonce"):
            raise SignInRefused(f"the server of the account said {shown(word)}")
    raise Unavailable(f"the server of the account answered {response.status} and took no request")


def token_answer(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
    """A server that took the request ahead knows the application: what it says against it now is its own fault."""
    return {**body, "error": "temporarily_unavailable"} if body.get("error") in OURS else body


# --- who ------------------------------------------------------------------------------------------------------------


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """The account that the tokens are for, which must be the one whose server was asked: no other speaks for it."""
    did, server = tokens.extras.get("sub"), tokens.server
    if not is_did(did) or server is None or server.extras.get("did") != did:
        raise Unavailable("the server vouches for another account than the one that was to sign in")
    response = yield public("app.bsky.actor.getProfile", settings, actor=str(did))
    found = response.object()
    if response.status != 200 or found.get("did") != did:
        raise Unavailable(f"Bluesky answered {response.status} when it was asked about the account")
    handle, followers = shown(found.get("handle")), found.get("followersCount")
    since = yield from born(str(did), settings)
    return Account(
        id=str(did),
        handle=handle if handle and handle != "handle.invalid" else str(did),
        created_at=since,
        followers=followers if type(followers) is int else None,
    )


def born(did: str, settings: Settings) -> Talk[datetime | None]:
    """By the directory's own clock. The profile's `createdAt` is what its owner says, and counts for nothing.

    https://web.plc.directory/api/redoc#operation/GetPlcAuditLog
    """
    if not did.startswith("did:plc:"):
        return None
    response = yield Request("GET", f"{directory(settings)}/{quote(did, safe=':')}/log/audit")
    try:
        found = response.json() if response.status == 200 else None
    except Unavailable:
        return None
    match found:
        case [{"did": str(named), "createdAt": str()} as first, *_] if named == did:
            try:
                return when(first, "createdAt")
            except Unreadable:
                return None
    return None


def document(here: Here, settings: Settings) -> Mapping[str, Any]:
    """https://atproto.com/specs/oauth#client-id-metadata-document"""
    return {
        "client_id": here.document_url,
        "client_name": here.name,
        "client_uri": here.site,
        "application_type": "web",
        "redirect_uris": [here.redirect_uri],
        "grant_types": ["authorization_code"],  # nothing is asked with the token, so nothing renews it
        "response_types": ["code"],
        "scope": "atproto",
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": True,
    }


OAUTH = OAuth(
    needs=(),  # the address of our document is our name
    scopes=("atproto",),  # who it is, and no more
    client_auth="none",
    sends_iss=True,
    token_types=("dpop",),
    keeps=("sub",),
    revokes=("access",),
    normalise=token_answer,
    home=Home(kind="handle", read=typed),
    discover=discover,
    document=document,
    bound=True,
    prepare=push,
    carry=carry,
)
