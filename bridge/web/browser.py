"""The customer's browser: what it may remember, what it may ask for, and what our pages allow it."""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

from bridge.app import Bridge
from bridge.flows.connect import digest

#: How long a browser is remembered: as long as the longest claim.
REMEMBERED = 90 * 24 * 3600
#: How many claims a browser remembers.
MOST = 12
#: Browsers inside apps, by what they leave out or say themselves; some platforms refuse to sign anybody in there.
IN_APP = re.compile(r"; wv\)|\b(?:FBAN|FBAV|FB_IAB)\b|(?:iPhone|iPad)(?!.*(?:Safari/|CriOS|FxiOS|EdgiOS)).*AppleWebKit")


@dataclass(slots=True)
class Browser:
    """One browser: a text that only it knows, and the claims it has begun, by source and action."""

    nonce: str = ""
    claims: dict[str, str] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        """What the store keeps of it; '': it is a stranger."""
        return digest(self.nonce) if self.nonce else ""

    def bind(self, key: str, claim: str) -> None:
        """A ticket was brought here, and the customer has pressed the button."""
        self.nonce = self.nonce or secrets.token_urlsafe(32)
        self.claims.pop(key, None)
        self.claims[key] = claim
        while len(self.claims) > MOST:
            del self.claims[next(iter(self.claims))]


def cookie_name(bridge: Bridge) -> str:
    # The prefix has browsers see to it that no other host or path can set it; it needs https.
    return "__Host-bridge" if bridge.config.public_url.startswith("https://") else "bridge"


def _serializer(bridge: Bridge) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(list(reversed(bridge.env.secret_keys)), salt="loyalty-bridge connect 1")


def browser_of(request: Request, bridge: Bridge) -> Browser:
    """Who asks. Nobody we know, or a cookie that is not ours: a stranger."""
    raw = request.cookies.get(cookie_name(bridge), "")
    try:
        told = _serializer(bridge).loads(raw, max_age=REMEMBERED) if 0 < len(raw) <= 4096 else None
    except BadData:
        told = None
    match told:
        case {"b": str(nonce), "c": dict(claims)} if nonce:
            return Browser(nonce, {str(key): str(value) for key, value in claims.items()})
    return Browser()


def remember(response: Response, browser: Browser, bridge: Bridge) -> Response:
    """Have the browser remember."""
    response.set_cookie(
        cookie_name(bridge),
        _serializer(bridge).dumps({"b": browser.nonce, "c": browser.claims}),
        max_age=REMEMBERED,
        path="/",
        secure=bridge.config.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",  # the way back from a platform is a navigation of another site's making
    )
    return response


def from_our_page(headers: Mapping[str, str], public_url: str) -> bool:
    """Whether a POST was sent by a page of ours: browsers say so, the newer ones in Sec-Fetch-Site."""
    if site := headers.get("sec-fetch-site"):
        return site == "same-origin"
    ours, told = urlsplit(public_url), urlsplit(headers.get("origin", ""))
    return bool(told.hostname) and (told.scheme, told.netloc.lower()) == (ours.scheme, ours.netloc.lower())


def in_app(headers: Mapping[str, str]) -> bool:
    """Whether this looks like the browser inside an app."""
    return bool(IN_APP.search(headers.get("user-agent", "")[:500]))


def shielded(response: Response, bridge: Bridge) -> Response:
    """What no page of ours allows: to be kept, framed, or to load and run what is not ours."""
    config = bridge.config
    logo = urlsplit(config.look.logo)
    images = f"'self' {logo.scheme}://{logo.netloc}" if config.look.logo else "'self'"
    # A form's answer leads to the platform, and browsers hold a redirect to `form-action`, too.
    leads = "https:" if config.public_url.startswith("https://") else "https: http:"
    for name, value in {
        "cache-control": "no-store",
        "content-security-policy": (
            f"default-src 'none'; style-src 'self'; img-src {images}; form-action 'self' {leads}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        # Without any referrer browsers name no origin when a form is posted, and we could not tell our own.
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "x-robots-tag": "noindex",
    }.items():
        response.headers.setdefault(name, value)
    return response


class Patience:
    """So many in a while for each name; what is remembered of it is bounded."""

    def __init__(self, most: int, seconds: float, names: int = 10_000) -> None:
        self.most, self.seconds, self.names = most, seconds, names
        self._seen: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, name: str, now: float | None = None) -> int:
        """How many seconds until this name may again; 0: now, and it is counted."""
        now = time.monotonic() if now is None else now
        seen = [at for at in self._seen.pop(name, []) if now - at < self.seconds]
        self._seen[name] = seen
        while len(self._seen) > self.names:
            self._seen.popitem(last=False)
        if len(seen) >= self.most:
            return max(1, round(self.seconds - (now - seen[0])))
        seen.append(now)
        return 0


def wants_json(request: Request) -> bool:
    """Whether a shop that draws its own page asks."""
    accept = request.headers.get("accept", "")
    return "application/json" in accept and "text/html" not in accept
