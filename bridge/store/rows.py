"""Values as the store keeps them: milliseconds, JSON text, one JSON object for a set of rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return (at - EPOCH) // MS


def ms_or_none(at: datetime | None) -> int | None:
    return None if at is None else ms(at)


def when(value: int) -> datetime:
    return EPOCH + timedelta(milliseconds=value)


def when_or_none(value: int | None) -> datetime | None:
    return None if value is None else when(value)


def text(value: Any) -> str:
    """JSON as the store keeps it: compact, unescaped, keys as they come, times as ISO 8601."""
    try:
        return orjson.dumps(value, default=_said).decode()
    except TypeError:  # what the fast one refuses: whole numbers beyond 64 bits, lone surrogates
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_said)


def _said(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be kept")


def fit(said: str, most: int = 500) -> str:
    """A text from outside as both engines take it: cut to length, without NUL and halves of surrogate pairs."""
    return said[:most].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def rowset(items: Iterable[Mapping[str, Any]]) -> str:
    """A set of rows as one parameter: a JSON object keyed by position, which both engines read with json_each."""
    return text({str(place): item for place, item in enumerate(items)})


def idset(ids: Iterable[str]) -> str:
    """A set of ids as one parameter, for `IN (SELECT value ->> 'id' FROM json_each(:ids))`."""
    return rowset({"id": one} for one in ids)
