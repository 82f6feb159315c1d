"""Requests with a proof that a key is held, which tokens are bound to: DPoP, RFC 9449."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import replace
from datetime import datetime

from joserfc import jwt
from joserfc.jwk import ECKey

from bridge.kit import Request, Response, Talk


def carry(request: Request, key: str, now: datetime) -> Talk[Response]:
    """Asks with a proof of the key, and once more with the nonce that the server then names. RFC 9449, section 8."""
    response = yield proved(request, key, now, "")
    nonce = response.headers.get("dpop-nonce", "")
    wants = response.status in (400, 401) and response.object().get("error") == "use_dpop_nonce"
    if wants and re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}", nonce, re.ASCII):
        response = yield proved(request, key, now, nonce)
    return response


def proved(request: Request, key: str, now: datetime, nonce: str) -> Request:
    """RFC 9449, section 4.2. Nothing here makes chance: the id follows from the key, the time and what is asked."""
    held = ECKey.import_key(json.loads(key))
    url = request.url.partition("?")[0].partition("#")[0]
    about = "\n".join((request.method, url, now.isoformat(), nonce)).encode() + request.body()[0]
    name = base64.urlsafe_b64encode(hmac.digest(hashlib.sha256(key.encode()).digest(), about, "sha256")).decode()
    claims = {"jti": name.rstrip("="), "htm": request.method, "htu": url, "iat": int(now.timestamp())}
    public = {part: held.as_dict(private=False)[part] for part in ("kty", "crv", "x", "y")}
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": public}
    proof = jwt.encode(header, {**claims, **({"nonce": nonce} if nonce else {})}, held, algorithms=["ES256"])
    return replace(request, headers={**request.headers, "DPoP": proof})
