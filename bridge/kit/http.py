"""Requests that providers yield and responses they are handed: HTTP as values, no library, no network."""

from __future__ import annotations

import json as _json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias, TypeVar

import orjson

from .errors import Unavailable
from .types import NOTHING, Json

T = TypeVar("T")

#: A conversation without a network: yields requests, is sent responses, returns what it learned.
Talk: TypeAlias = Generator["Request", "Response", T]

READS = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request to a third party. `json` and `form` exclude each other and `content`."""

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    json: Any = None
    form: Mapping[str, str] | None = None
    content: bytes | None = None
    repeatable: bool = False  # a POST that changes nothing when it is repeated: a search, an upsert
    authorized: bool = False  # carries `Authorization: Bearer` with the token that `Target.token` fetches

    @property
    def harmless(self) -> bool:
        """Whether a lost answer leaves no doubt behind."""
        return self.repeatable or self.method in READS

    def body(self) -> tuple[bytes, str]:
        """The exact bytes to send and their media type; both empty where there is no body."""
        if self.json is not None:
            return _bytes(self.json), "application/json"
        if self.form is not None:
            from urllib.parse import urlencode

            return urlencode(self.form).encode(), "application/x-www-form-urlencoded"
        return self.content or b"", ""


def _bytes(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:  # whole numbers beyond 64 bits
        return _json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of a third party; header names in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    at: datetime | None = None  # when it arrived: what Retry-After's dates are relative to

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Json:
        """The body as JSON. Anything else: `Unavailable`, because the API did not answer as documented."""
        try:
            return _json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no content type")
            raise Unavailable(f"answered {self.status} with something that is not JSON ({kind})") from None

    def object(self) -> Mapping[str, Any]:
        """The body as a JSON object; an empty one where it is anything else. For error bodies."""
        try:
            value = _json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def retry_after(self) -> timedelta | None:
        """RFC 9110 Retry-After, seconds or a date; at most a day, None where absent or unreadable."""
        text = self.headers.get("retry-after", "").strip()
        if not text:
            return None
        if text.isascii() and text.isdigit():
            return timedelta(seconds=min(int(text[:9]), 86400))
        try:
            until = parsedate_to_datetime(text)
        except (ValueError, TypeError):
            return None
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        left = until - (self.at or datetime.fromtimestamp(0, UTC))
        return max(timedelta(0), min(left, timedelta(days=1))) if self.at else None
