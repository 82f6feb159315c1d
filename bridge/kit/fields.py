"""What a provider declares about itself: its settings, its options, the facts its actions carry, its terms."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from .expressions import FactType
from .types import Grade

#: One provider's table in bridge.toml, with secrets resolved and durations read.
Settings: TypeAlias = Mapping[str, Any]

SettingKind = Literal["text", "secret", "secrets", "int", "number", "bool", "duration", "url", "table", "tables"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a provider's table in bridge.toml."""

    name: str
    meaning: str
    kind: SettingKind = "text"
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    example: str = ""
    fault: Callable[[str], str] | None = None  # what is wrong with a value, in words; empty: nothing


@dataclass(frozen=True, slots=True)
class Option:
    """One key of a rule's `send` table."""

    name: str
    meaning: str
    kind: FactType = "string"
    required: bool = False
    default: Any = None
    amount: bool = False  # a number that is owed: 0 or less means nothing is
    least: float | None = None  # the smallest value the API takes
    example: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something an action tells, for conditions and computed values. Amounts are always double."""

    name: str
    kind: FactType
    meaning: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the platform's own terms say about rewarding an action."""

    text: str
    source: str  # where it says so
    forbidden: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """Something a customer does at a source."""

    title: str  # what a merchant reads
    facts: Sequence[Fact] = ()
    grade: Grade = Grade.A
    policy: Policy | None = None
    total: str = ""  # the fact that is left after refunds; nothing left means the whole is undone


#: Facts that every action carries.
COMMON = (
    Fact("source", "string", "the source's table in bridge.toml"),
    Fact("action", "string", "what was done"),
    Fact("subject", "string", "what it was done to: a channel, an order"),
    Fact("account", "string", "who did it, as the source names them; empty where it does not"),
    Fact("occurred_at", "timestamp", "when it was done"),
)


def types(facts: Sequence[Fact]) -> dict[str, FactType]:
    """The facts' types by name, those that every action carries included."""
    return {fact.name: fact.kind for fact in (*COMMON, *facts)}


UNITS: Mapping[str, timedelta] = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "second": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "minute": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "hour": timedelta(hours=1),
    "d": timedelta(days=1),
    "day": timedelta(days=1),
    "w": timedelta(weeks=1),
    "week": timedelta(weeks=1),
}


def duration(text: str) -> timedelta:
    """`24 hours`, `30d`, `90 s`. Anything else: `ValueError` that says what would be right."""
    found = re.fullmatch(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([a-z]+)\s*", text.lower())
    unit = (UNITS.get(found[2]) or UNITS.get(found[2].removesuffix("s"))) if found else None
    if not found or unit is None:
        raise ValueError(f'{text!r} is not a duration; write "24 hours", "30 days", "90 s"')
    return float(found[1]) * unit


def said(value: timedelta) -> str:
    """A duration as a person says it: `24 hours`, `5 s`."""
    seconds = value.total_seconds()
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0 and not (name == "day" and seconds == size):
            count = int(seconds // size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return f"{seconds:g} s"
