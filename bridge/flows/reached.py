"""Where a customer's rewards are: what the pages of a claim and `why` tell of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from bridge.config import Rule
from bridge.kit.errors import Sealed
from bridge.kit.types import NOTHING
from bridge.store import Row, Tx, customers, evidence, forwards, names
from bridge.store.rows import when_or_none
from bridge.vault import Vault

from .scene import Scene

__all__ = ["Reached", "Row", "owner", "rewards", "when_or_none"]

Where = Literal["on its way", "waiting", "arrived", "the shop is looking at it", "withdrawn", "not owed"]


@dataclass(frozen=True, slots=True)
class Reached:
    """One rule's reward, as far as it is."""

    rule: Rule
    where: Where | None = None  # None: not decided yet
    why: str = ""  # already, limit, condition, refused
    until: datetime | None = None
    shown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


async def owner(tx: Tx, claim: Row) -> Row:
    """Whose claim it is, as the directory knows them: id, email, phone."""
    known = await customers.of(tx, ids=[claim["customer"]])
    return known.get(claim["customer"], {"id": claim["customer"], "email": None, "phone": None})


async def rewards(tx: Tx, claim: Row, scene: Scene, vault: Vault | None = None) -> list[Reached]:
    """Where each reward of a claim is. `vault`: this browser is the verified customer's own, and sees what is shown."""
    rules = [rule for rule, _ in scene.config.rules_for(claim["source"], claim["action"])]
    told = next(iter(await evidence.of(tx, ids=[claim["evidence"]])), None) if claim["evidence"] else None
    if told is None:
        return [Reached(rule) for rule in rules]
    fact = (told["source"], told["action"], told["key"])
    owed = [row for row in await forwards.of_facts(tx, [fact]) if row["kind"] == "reward"]
    # The account may have earned it for whoever it belonged to before: theirs is nobody else's to see.
    rows = [row for row in owed if json.loads(row["customer"])["id"] == claim["customer"]]
    elsewhere = {row["rule"] for row in owed} - {row["rule"] for row in rows}
    shown: dict[str, Mapping[str, Any]] = {}
    if vault is not None and rows:
        for one in await names.shown(tx, forwards=[row["id"] for row in rows]):
            try:
                shown[one["forward"]] = vault.open(one["sealed"])
            except Sealed:
                continue
    return [
        Reached(rule, "not owed", "limit")
        if rule.ledger in elsewhere
        else _reached(rule, told, [row for row in rows if row["rule"] == rule.ledger], shown)
        for rule in rules
    ]


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
