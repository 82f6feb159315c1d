"""What a target answered: what of it the customer is shown, and where it is passed on, once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bridge.config.sends import TOLD
from bridge.kit import ExpressionError, Forward, Kind, Outcome
from bridge.kit.expressions import compile
from bridge.kit.fields import types
from bridge.store import Row, Tx, forwards, names
from bridge.store.rows import text
from bridge.vault import Vault

from .consider import lane_and_seat
from .decide import render, texts
from .scene import Scene

log = structlog.get_logger("answer")

#: How options that are sealed at rest are kept.
SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Passed:
    """What is kept of an answer, sealed: it can carry prize codes."""

    show: str = ""
    call: Mapping[str, Any] | None = None  # what the forward that passes it on has of its own
    fault: str = ""  # why it could not be passed on


def passed(row: Row, forward: Forward, outcome: Outcome, scene: Scene, vault: Vault) -> Passed | None:
    """
    What of this answer its rule wants shown and passed on, as that stood when the forward was made.

    A bug on the way there makes no doubt of what has happened.
    """
    try:
        return _passed(row, forward, outcome, scene, vault)
    except Exception as error:  # without the traceback: it can show what it was about
        log.error("an answer met a bug", forward=forward.id, error=type(error).__name__)
        return Passed(fault=f"its answer could not be kept: a bug of the bridge: {type(error).__name__}")


def _passed(row: Row, forward: Forward, outcome: Outcome, scene: Scene, vault: Vault) -> Passed | None:
    terms = json.loads(row["terms"]) if row["terms"] else {}
    show, tell = terms.get("show") or (), terms.get("tell")
    if forward.kind is not Kind.REWARD or not outcome.shown or not (show or tell):
        return None
    seen = {name: outcome.shown[name] for name in show if name in outcome.shown}
    sealed = vault.seal(seen) if seen else ""
    if not tell:
        return Passed(sealed)
    source = scene.config.source_of(forward.source)
    action = source.provider.actions.get(forward.action) if source else None
    kinds = {**types(action.facts if action else ()), "answer": "map"}
    facts = {
        **forward.facts,
        "source": forward.source,
        "action": forward.action,
        "subject": forward.subject,
        "account": forward.account or "",
        "occurred_at": forward.occurred_at,
        "answer": dict(outcome.shown),
    }
    try:
        computed = {one: compile(one[1:], kinds) for one in texts(tell["options"])}
        options = json.loads(text(render(tell["options"], computed, facts)))  # times as the store keeps them
    except ExpressionError as error:
        return Passed(sealed, fault=f"its answer could not be passed on to {tell['to']}: {error.message}")
    id_, to = scene.new_id("fwd"), str(tell["to"])
    lane, seat = lane_and_seat(scene, to, options, json.loads(row["customer"]), id_, forward)
    call = {"id": id_, "target": to, "options": text({SEALED: vault.seal(options)}), "lane": lane, "seat": seat}
    return Passed(sealed, call)


async def keep(tx: Tx, delivered: Sequence[tuple[Row, Passed | None]], scene: Scene) -> None:
    """Keep what is shown, and owe the call that passes it on: once, because its fact and send are unique."""
    told = [(row, one) for row, one in delivered if one is not None]
    shows = [{"forward": row["id"], "sealed": one.show, "at": scene.at} for row, one in told if one.show]
    if shows:
        await names.show(tx, shows)
    calls = [_call(row, one.call, scene) for row, one in told if one.call]
    if calls:
        await forwards.owe(tx, calls)


def _call(row: Row, own: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    kept = ("rule", "bucket", "person", "source", "account", "action", "key", "subject", "customer", "facts",
            "evidence", "occurred_at")  # fmt: skip
    return {
        **{name: row[name] for name in kept},
        **own,
        "kind": Kind.REWARD.value,
        "send": f"{row['send']}{TOLD}",
        "terms": "",
        "judge": 0,
        "undoes": "",
        "due_at": scene.at,
        "until_at": None,
        "created_at": scene.at,
        "state": "pending",
        "at": scene.at,
    }
