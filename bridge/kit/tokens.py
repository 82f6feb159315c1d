"""The nouns of signing in: what a platform's sign-in is like, what is kept of one, and what it brings."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias, TypeVar

from .fields import Settings
from .http import Request, Response, Talk
from .types import NOTHING, Json

#: How an application names itself where codes become tokens: its secret in the form, in `Authorization`, not at
#: all, or everything in the address of a GET.
ClientAuth = Literal["post", "basic", "none", "params"]

Body: TypeAlias = Mapping[str, Any]
Form: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Who we are to a platform: our addresses, and the name that its consent page shows."""

    redirect_uri: str  # {public_url}/connect/{source}/callback: one for each source, and no other
    document_url: str  # {public_url}/connect/{source}/client.json: where `OAuth.document` is read
    site: str  # public_url
    name: str  # the brand's


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where one sign-in happens and who we are there. Empty: what the settings, then the `OAuth` say."""

    authorize_url: str = ""
    token_url: str = ""
    revoke_url: str = ""
    userinfo_url: str = ""
    jwks_url: str = ""
    par_url: str = ""  # RFC 9126
    issuer: str = ""
    sends_iss: bool = False  # it has promised RFC 9207's `iss`: a callback without it is somebody else's
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    client_auth: ClientAuth | Literal[""] = ""
    home: str = ""  # the server or handle it was found by
    extras: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """One visit to a platform's sign-in, made by chance: kept encrypted, under a hash of its state, until it is used.

    The state itself is not in it: only the customer's browser and the platform know that.
    """

    verifier: str = field(repr=False)  # RFC 7636: 43 to 128 unreserved characters
    nonce: str = field(repr=False)  # comes back inside the id_token
    redirect_uri: str
    scopes: tuple[str, ...] = ()  # what was asked for
    server: Server | None = None  # where it had to be found
    key: str = field(default="", repr=False)  # a fresh private key as JWK, where `OAuth.bound`


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a platform gave for a code. Kept encrypted, for exactly as long as somebody must be asked with it."""

    access: str = field(repr=False)
    refresh: str = field(default="", repr=False)
    scopes: frozenset[str] | None = None  # what was granted; None: it did not say, which means all of it
    expires_at: datetime | None = None  # None: it did not say
    claims: Mapping[str, Any] = field(default_factory=lambda: NOTHING, repr=False)  # of the verified id_token
    extras: Mapping[str, Any] = field(default_factory=lambda: NOTHING, repr=False)  # as `OAuth.keeps` names them
    server: Server | None = None
    key: str = field(default="", repr=False)

    @property
    def bearer(self) -> Mapping[str, str]:
        """RFC 6750's header."""
        return {"Authorization": f"Bearer {self.access}"}

    def over(self, now: datetime, margin: timedelta = timedelta(minutes=1)) -> bool:
        """Whether it must be refreshed before it is used."""
        return self.expires_at is not None and self.expires_at - margin <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a customer's browser brought back. Nothing in it is true before its state is known."""

    state: str = field(repr=False)
    code: str = field(default="", repr=False)
    error: str = ""
    description: str = ""
    iss: str | None = None  # RFC 9207; None: it did not come
    fields: Form = field(default_factory=lambda: NOTHING, repr=False)  # all that came exactly once


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """What a customer must say before they can sign in, where a platform is many."""

    kind: Literal["server", "handle"]  # the page has words for each
    read: Callable[[str], str]  # what was typed -> the one form of it; anything else: `HomeUnknown`


@dataclass(frozen=True, slots=True, kw_only=True)
class IdToken:
    """What a platform's id_token must be like. OpenID Connect Core 1.0, section 3.1.3.7."""

    algorithms: Sequence[str] = ("RS256", "ES256")  # HS256 is keyed with the client's secret, the others by jwks_url
    nonce: bool = True  # ours must come back in it
    leeway: timedelta = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuth:
    """The authorization code flow as data. The hooks at the end are for what platforms do of their own."""

    authorize_url: str = ""
    token_url: str = ""
    revoke_url: str = ""  # RFC 7009; empty, without a hook: nothing can be revoked
    issuer: str = ""
    jwks_url: str = ""
    needs: Sequence[str] = ("client_id", "client_secret")  # settings without which nobody can sign in

    # What is asked for. Each check adds its own scopes.
    scopes: Sequence[str] = ()  # to learn who it is, and no more
    separator: str = " "
    scope_names: Mapping[str, str] = field(
        default_factory=lambda: NOTHING
    )  # what it calls a scope in its answers -> ours
    authorize_params: Form = field(default_factory=lambda: NOTHING)
    again_params: Form = field(default_factory=lambda: NOTHING)  # let the customer choose another account
    keep_params: Form = field(default_factory=lambda: NOTHING)  # only where the token will be needed later
    keep_scopes: Sequence[str] = ()  # the same

    # How it is asked.
    pkce: bool = True  # RFC 7636, always S256
    client_auth: ClientAuth = "post"
    revoke_auth: ClientAuth | None = None  # where it differs
    names: Form = field(default_factory=lambda: NOTHING)  # of parameters: {"client_id": "client_key"}
    headers: Callable[[Settings], Form] | None = None  # a User-Agent that the platform insists on
    revokes: Sequence[Literal["refresh", "access"]] = ("refresh", "access")  # which tokens it can be told to forget

    # What comes back.
    sends_iss: bool = False  # RFC 9207: it always names itself in the callback
    token_types: Sequence[str] = ("bearer",)
    id_token: IdToken | None = None
    keeps: Sequence[str] = ()  # fields of the callback and of the token answer that checks will need

    # Hooks, for what is not in the RFCs.
    normalise: Callable[[Body, int], Body] | None = None  # token answer and status -> as RFC 6749 writes it
    form: Callable[[Form, Server], Form] | None = None  # the last word on what is posted for tokens
    home: Home | None = None
    discover: Callable[[str, Here, Settings], Talk[Server]] | None = None  # by its home, where it has one
    register: Callable[[Server, Here, Settings], Talk[Server]] | None = None  # adds client_id and client_secret
    document: Callable[[Here, Settings], Json] | None = None  # about us, for platforms that know clients by an address
    bound: bool = False  # tokens are bound to `SignIn.key`
    prepare: Callable[[Form, SignIn, Server, Settings, datetime], Talk[Form]] | None = None  # RFC 9126: the authorize
    # parameters -> those that stand in the address
    carry: Callable[[Request, str, datetime], Talk[Response]] | None = None  # asks for tokens with a proof of the key
    revoke: Callable[[Tokens, Server, Settings], Talk[bool]] | None = None  # where it is not RFC 7009


Kept = TypeVar("Kept", Server, SignIn, Tokens)


def kept(value: Server | SignIn | Tokens) -> str:
    """A value as text, to be encrypted and stored. Plain ASCII: a platform may send halves of characters."""
    return json.dumps({one.name: _plain(getattr(value, one.name)) for one in fields(value)})


def recall(kind: type[Kept], text: str) -> Kept:
    """The value again. Fields of other versions are left out."""
    known = {one.name for one in fields(kind)}
    given = {name: value for name, value in json.loads(text).items() if name in known}
    if isinstance(given.get("server"), dict):
        given["server"] = recall(Server, json.dumps(given["server"]))
    if given.get("expires_at"):
        given["expires_at"] = datetime.fromisoformat(given["expires_at"])
    if given.get("scopes") is not None:
        given["scopes"] = (frozenset if kind is Tokens else tuple)(given["scopes"])
    return kind(**given)


def _plain(value: Any) -> Any:
    match value:
        case Server():
            return json.loads(kept(value))
        case datetime():
            return value.isoformat()
        case Mapping():
            return dict(value)
        case frozenset():
            return sorted(value)
    return value
