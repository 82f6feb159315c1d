"""What platforms call people, as it can be kept and shown."""

from __future__ import annotations

from typing import Any

from bridge.kit.query import controls

LONGEST = 120


def shown(given: Any) -> str:
    """A name that its owner has typed, without what ends lines or controls terminals; '' where there is none."""
    return "".join(one for one in given[:LONGEST] if not controls(one)).strip() if isinstance(given, str) else ""
