"""What needs a person, and what that person can decide: paused targets, held forwards, what is to be taken back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from . import weather
from .acts import Verb
from .loyalty import Row
from .stage import Stage
from .stories import Rows


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to decide. The verb `up` is no operator's: it lifts what is wrong with the stand-in."""

    verb: Verb | Literal["up"]
    button: str


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for somebody."""

    name: str  # the target's or the forward's
    api: str  # where
    title: str
    why: str
    choices: Sequence[Choice]


RESUME = (Choice("resume", "Resume"),)
MEND = (Choice("up", "Make it well"), *RESUME)
DECIDE = (
    Choice("release", "Ask it again"),
    Choice("confirm", "I see it there"),
    Choice("cancel", "It is not there: withdraw it"),
)
SETTLE = (Choice("confirm", "I have taken it back"),)

#: How the story of a decision begins.
DECIDED: Mapping[Verb, str] = {
    "release": "Somebody has it asked again",
    "confirm": "Somebody has looked, and confirms it",
    "cancel": "Somebody has looked, and withdraws it",
    "resume": "Somebody resumes it",
}


def needed(stage: Stage, rows: Rows) -> Sequence[Need]:
    """The targets first: while one is paused, nothing else there moves."""
    return [*_paused(stage, rows), *_forwards(stage, rows)]


def _paused(stage: Stage, rows: Rows) -> Iterator[Need]:
    for row in rows.targets:
        if row.get("paused_at") is None:
            continue
        api, name = stage.api(str(row["name"])), str(row["name"])
        state, is_so = weather.now(api)
        ill = state != "up"
        first = f" {api.title} {is_so}: make it well first." if ill else ""
        why = f"{str(row.get('reason') or '').rstrip('.')}.{first}"
        yield Need(name, name, f"{api.title} is paused", why, MEND if ill else RESUME)


def _forwards(stage: Stage, rows: Rows) -> Iterator[Need]:
    for row in rows.forwards:
        api = stage.api(str(row.get("target")))
        what = f"{row.get('rule')} for {_whose(row, stage)} at {api.title}"
        why = str(row.get("reason") or "")
        if row.get("state") == "held":
            yield Need(str(row["id"]), api.name, f"{what} is held", why, DECIDE)
        elif row.get("wish") == "undo":
            yield Need(str(row["id"]), api.name, f"{what} is to be taken back by hand", why, SETTLE)


def _whose(row: Row, stage: Stage) -> str:
    customer = str(json.loads(row.get("customer") or "{}").get("id") or "somebody")
    return stage.names().get(customer, customer)
