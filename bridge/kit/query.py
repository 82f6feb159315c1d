"""A query string as pairs, exactly as it came: nothing is merged, mended or guessed."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import parse_qsl

Pairs: TypeAlias = Sequence[tuple[str, str]]

#: No platform and no shop sends more; a header line of most servers ends here too.
LONGEST = 8192


def pairs(query: str) -> Pairs:
    """The names and values in order, empty ones included. Too long, too many or not UTF-8: `ValueError`."""
    if len(query) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    query.encode()  # half a character: `UnicodeEncodeError`, which is a `ValueError`
    return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=100)


def once(given: Pairs) -> Mapping[str, str]:
    """The fields that came exactly once."""
    names = [name for name, _ in given]
    return {name: value for name, value in given if names.count(name) == 1}


def repeated(given: Pairs, names: Sequence[str]) -> str:
    """The first of these names that came more than once; empty where none did."""
    told = [name for name, _ in given]
    return next((name for name in names if told.count(name) > 1), "")


def controls(text: str) -> bool:
    """Whether a text holds what ends lines or controls terminals: NUL and newlines, and their kin beyond ASCII."""
    return any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in text)
