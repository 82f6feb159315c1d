"""Taking values out of a signed body. What is missing or of another kind is `Unreadable`, never a `KeyError`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .errors import BadPayload, Unreadable
from .signatures import moment


def table(of: Any, name: str) -> Mapping[str, Any]:
    """The object under this name."""
    value = _found(of, name)
    if not isinstance(value, dict):
        raise _fault(name, value, "an object")
    return value


def tables(of: Any, name: str) -> Sequence[Mapping[str, Any]]:
    """The objects in the list under this name; none where it is absent or null."""
    value = of.get(name) if isinstance(of, dict) else None
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _fault(name, value, "a list of objects")
    for one in value:
        if not isinstance(one, dict):
            raise _fault(name, value, "a list of objects")
    return value


def text(of: Any, name: str) -> str:
    """A text that is not empty. Whole numbers count: many platforms send ids either way."""
    value = _found(of, name)
    if type(value) is str and value:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise _fault(name, value, "a text or whole number")
    return str(value)


def maybe(of: Any, name: str) -> str | None:
    """A text, or None where it is absent, null or empty."""
    value = of.get(name) if isinstance(of, dict) else None
    return None if value is None or value == "" else text(of, name)


def amount(of: Any, name: str) -> float:
    """A finite number, or a text that is one."""
    value = _found(of, name)
    if not isinstance(value, bool) and isinstance(value, str | int | float):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise _fault(name, value, "a number")


def whole(of: Any, name: str) -> int:
    """A whole number."""
    value = _found(of, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _fault(name, value, "a whole number")
    return value


def when(of: Any, name: str) -> datetime:
    """A time: ISO 8601, or seconds or milliseconds since 1970."""
    try:
        return moment(text(of, name))
    except BadPayload:
        raise _fault(name, of[name], "a time") from None


def _found(of: Any, name: str) -> Any:
    if not isinstance(of, dict):
        raise Unreadable(f"there is no object to read {name} from")
    if name not in of:
        raise Unreadable(f"{name} is missing")
    return of[name]


def _fault(name: str, value: Any, wanted: str) -> Unreadable:
    shown = "null" if value is None else ascii(str(value)[:40])
    return Unreadable(f"{name} is {shown}, and {wanted} is needed")
