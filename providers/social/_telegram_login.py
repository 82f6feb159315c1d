"""Signing in with Telegram: by OpenID Connect, or by the fields that its older widget signs.

https://core.telegram.org/bots/telegram-login
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from bridge.kit import (
    Account,
    BadPayload,
    ConsentDenied,
    IdToken,
    OAuth,
    Server,
    Settings,
    SignedLogin,
    SignInRefused,
    Talk,
    Tokens,
    Unavailable,
    moment,
)
from bridge.kit.query import controls

from ._telegram import is_id

ISSUER = "https://oauth.telegram.org"
#: How old the widget's signed fields may be. They are made when the customer says yes, and come back at once.
FRESH, AHEAD = timedelta(minutes=5), timedelta(minutes=1)


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    """Out of the id_token: `id` is the number that the Bot API knows, `sub` is OpenID's own.

    https://core.telegram.org/bots/telegram-login
    """
    yield from ()  # nobody is asked: there is no userinfo endpoint
    said = tokens.claims
    if not is_id(said.get("id")):
        raise Unavailable("Telegram does not say readably who signed in: the id_token has no id")
    name, phone = said.get("preferred_username"), said.get("phone_number")
    return Account(
        id=str(said["id"]),
        handle=name if isinstance(name, str) else "",
        phone=phone if isinstance(phone, str) else "",
        phone_verified=said.get("phone_number_verified") is True,
    )


def token_answer(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
    """An answer that has nothing but an id_token in it: there is nothing else that a token would open."""
    if isinstance(body.get("id_token"), str) and not body.get("access_token"):
        return {**body, "access_token": "none", "token_type": "Bearer"}
    return body


def token_form(form: Mapping[str, str], server: Server) -> Mapping[str, str]:
    return {**form, "client_id": server.client_id}  # beside the Basic header, as the documented example has it


OAUTH = OAuth(
    authorize_url=f"{ISSUER}/auth",
    token_url=f"{ISSUER}/token",
    issuer=ISSUER,
    jwks_url=f"{ISSUER}/.well-known/jwks.json",
    scopes=("openid", "profile"),  # the id comes with the profile
    client_auth="basic",
    id_token=IdToken(algorithms=("RS256", "ES256", "EdDSA")),  # the bot's owner chooses one of them
    normalise=token_answer,
    form=token_form,
)


def login_address(return_to: str, settings: Settings) -> str:
    """The page behind the legacy widget. Its answer comes back in the fragment, as `tgAuthResult`."""
    parts = urlsplit(return_to)
    query = {
        "bot_id": str(settings["bot_token"]).partition(":")[0],
        "origin": f"{parts.scheme}://{parts.netloc}",
        "return_to": return_to,
    }
    return f"{settings.get('authorize_url') or OAUTH.authorize_url}?{urlencode(query)}"


def signed_in(fields: Mapping[str, str], settings: Settings, now: datetime) -> Talk[Account]:
    """Who the widget's signed fields name, whether they came as a query or as one `tgAuthResult`.

    https://core.telegram.org/widgets/login#checking-authorization
    """
    yield from ()
    told = unpacked(fields["tgAuthResult"]) if "tgAuthResult" in fields else fields
    signed = {name: value for name, value in told.items() if name not in ("hash", "state")}
    # Lines are joined before they are signed: a newline in a name could pass for another field.
    if any(controls(value) or not re.fullmatch("[a-z_]{1,40}", name) for name, value in signed.items()):
        raise SignInRefused("Telegram's fields cannot be what it has signed: begin again.")
    text = "\n".join(sorted(f"{name}={value}" for name, value in signed.items()))
    mac = hmac.digest(hashlib.sha256(str(settings["bot_token"]).encode()).digest(), text.encode(), "sha256")
    if not hmac.compare_digest(mac.hex().encode(), told.get("hash", "").encode(errors="replace")):
        raise SignInRefused("Telegram has not signed who this is: begin again.")
    try:
        at = moment(signed.get("auth_date", ""))
    except BadPayload:
        raise SignInRefused("Telegram does not say when this was: begin again.") from None
    if not -AHEAD <= now - at <= FRESH:
        raise SignInRefused("This sign-in is too old: begin again.")
    if not is_id(signed.get("id")):
        raise SignInRefused("Telegram names the account by something that is no id: begin again.")
    return Account(id=signed["id"], handle=signed.get("username", ""))


def unpacked(packed: str) -> Mapping[str, str]:
    """The fields in a `tgAuthResult`: base64url of JSON; `false` where the customer said no."""
    try:
        raw = base64.urlsafe_b64decode(packed[:8192] + "=" * (-len(packed[:8192]) % 4))
        found = json.loads(raw)
    except (ValueError, binascii.Error, RecursionError):
        raise SignInRefused("Telegram's answer cannot be read: begin again.") from None
    if found is False:
        raise ConsentDenied()
    if not isinstance(found, dict) or not all(isinstance(one, str | int) for one in found.values()):
        raise SignInRefused("Telegram's answer cannot be read: begin again.")
    return {name: str(value) for name, value in found.items()}


LOGIN = SignedLogin(needs=("bot_token",), address=login_address, account=signed_in)
