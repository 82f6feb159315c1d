"""Where a customer's rewards are: what the pages of a claim and `why` tell of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bridge.config import Rule
from bridge.kit.errors import Sealed
from bridge.kit.types import NOTHING
from bridge.store import Row, Tx, evidence, forwards, names
from bridge.store.rows import when_or_none
from bridge.vault import Vault

from .scene import Scene

Where = Literal["on its way", "waiting", "arrived", "the shop is looking at it", "withdrawn", "not owed"]


@dataclass(frozen=True, slots=True)
class Reached:
    """One rule's reward, as far as it is."""

    rule: Rule
    where: Where | None = None  # None: not decided yet
    why: str = ""  # already, limit, condition, refused
    until: datetime | None = None
    shown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


async def rewards(tx: Tx, claim: Row, scene: Scene, vault: Vault | None = None) -> list[Reached]:
    """Where each reward of a claim is. `vault`: this browser is the verified customer's own, and sees what is shown."""
    rules = [rule for rule, _ in scene.config.rules_for(claim["source"], claim["action"])]
    told = next(iter(await evidence.of(tx, ids=[claim["evidence"]])), None) if claim["evidence"] else None
    if told is None:
        return [Reached(rule) for rule in rules]
    rows = [
        row
        for row in await forwards.of_facts(tx, [(told["source"], told["action"], told["key"])])
        if row["kind"] == "reward"
    ]
    shown: dict[str, Mapping[str, Any]] = {}
    if vault is not None and rows:
        for one in await names.shown(tx, forwards=[row["id"] for row in rows]):
            try:
                shown[one["forward"]] = vault.open(one["sealed"])
            except Sealed:
                continue
    return [_reached(rule, told, [row for row in rows if row["rule"] == rule.ledger], shown) for rule in rules]


def _reached(rule: Rule, told: Row, rows: Sequence[Row], shown: Mapping[str, Mapping[str, Any]]) -> Reached:
    if not rows:
        if told["review"] == "asked":
            return Reached(rule, "the shop is looking at it")
        return Reached(rule, "not owed", _why_not(rule, told))
    states = {row["state"] for row in rows}
    seen: dict[str, Any] = {}
    for row in rows:
        seen.update(shown.get(row["id"], {}))
    if states & {"held", "failed"}:
        return Reached(rule, "the shop is looking at it", shown=seen)
    if states & {"pending", "accepted"}:
        waiting = [row for row in rows if row["state"] == "pending" and row["judge"] and row["due_at"]]
        if waiting:
            return Reached(rule, "waiting", until=when_or_none(min(row["due_at"] for row in waiting)))
        return Reached(rule, "on its way", shown=seen)
    return Reached(rule, "arrived" if "delivered" in states else "withdrawn", shown=seen)


def _why_not(rule: Rule, told: Row) -> str:
    if rule.already == "skip" and told["already"]:
        return "already"
    if told["review"] == "refused":
        return "refused"
    if f"{rule.ledger}: the account" in told["reason"]:
        return "account"
    return "limit" if "owed already" in told["reason"] else "condition"
