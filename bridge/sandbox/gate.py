"""Who may call Gameball's stand-in, how often, and what a refusal looks like."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .standin import Clock

DOCS = "https://docs.gameball.co/api-reference/"
SOCIAL = "customers/management/achieve-social-challenge"

#: Calls in a second and in 30 seconds. https://docs.gameball.co/api-reference/overview/rate-limiting
QUOTAS: Mapping[str, tuple[int, int]] = {
    "POST customers": (30, 360),
    "GET customers": (100, 1200),
    "transactions": (30, 360),
    "other": (30, 360),
}
UNLIMITED: Mapping[str, tuple[int, int]] = {}

#: Type and code of the errors that are not about one field.
AT_LARGE = {
    401: (1000, "AUTHENTICATION_ERROR", "unauthorized"),
    429: (4000, "REQUEST_ERROR", "too many requests"),
    500: (5000, "SERVER_ERROR", "An error occurred while processing your request. Please try again later."),
    503: (5003, "SERVER_ERROR", "service unavailable"),
}


class Refusal(Exception):
    """An error answer of the documented shape."""

    def __init__(self, status: int, code: int, kind: str, message: str, page: str = SOCIAL) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "type": kind, "message": message, "documentationUrl": DOCS + page}


class Gate:
    """Keys first, then the quota of this kind of call."""

    def __init__(
        self,
        api_key: str,
        secret_key: str,
        clock: Clock,
        quotas: Mapping[str, tuple[int, int]],
        *,
        least: str = "v4.0",
    ) -> None:
        self.api_key = api_key
        self.secret_key = secret_key
        self.clock = clock
        self.quotas = quotas
        self.least = least  # the merchant's "minimum allowed version"
        self.calls: dict[str, deque[datetime]] = {name: deque() for name in quotas}
        self.refused = 0

    def admit(self, request: Request, resource: str, *, secret: bool = False, social: bool = False) -> None:
        """Passes, or raises the `Refusal` to answer with. v4.1 needs the secret key on every call."""
        version = request.path_params["version"]
        if version not in ("v4.0", "v4.1"):
            raise HTTPException(404)
        if request.headers.get("apikey") != self.api_key:
            raise Refusal(401, 1000, "AUTHENTICATION_ERROR", "unauthorized")
        if (secret or version == "v4.1") and request.headers.get("secretkey") != self.secret_key:
            if social:
                raise Refusal(401, 1006, "AUTHENTICATION_ERROR", "your request is missing the secret key.")
            raise Refusal(401, 1001, "AUTHENTICATION_ERROR", "a valid secret key is required")
        if version < self.least:  # that it is refused is documented, and how it is not
            raise Refusal(403, 1002, "AUTHENTICATION_ERROR", f"the minimum allowed version is {self.least}")
        if resource in self.quotas:
            self._count(resource)

    def _count(self, resource: str) -> None:
        """A rolling window; no header tells how much is left, as in the real thing."""
        now, calls = self.clock(), self.calls[resource]
        while calls and now - calls[0] >= timedelta(seconds=30):
            calls.popleft()
        in_a_second, in_thirty = self.quotas[resource]
        lately = sum(1 for at in list(calls)[-in_a_second:] if now - at < timedelta(seconds=1))
        if lately >= in_a_second or len(calls) >= in_thirty:
            code, kind, message = AT_LARGE[429]
            raise Refusal(429, code, kind, message, "overview/rate-limiting")
        calls.append(now)

    def error(self, status: int) -> dict[str, Any]:
        """The body of an error that is not about one field."""
        code, kind, message = AT_LARGE.get(status, AT_LARGE[500])
        return self._numbered({"code": code, "type": kind, "message": message, "documentationUrl": DOCS + SOCIAL})

    def _numbered(self, body: dict[str, Any]) -> dict[str, Any]:
        self.refused += 1
        return {**body, "requestId": f"req_{self.refused:08d}"}

    async def refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return JSONResponse(self._numbered(error.body), error.status)
