"""Is it still owed? Asked once more before what had to wait leaves: of the source, and of the rule's own terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.config import SourceTable
from bridge.kit import (
    Account,
    Answer,
    Ask,
    ExpressionError,
    FlowError,
    ForwardState,
    Question,
    Recorded,
    Tokens,
    Unavailable,
)
from bridge.kit.errors import Sealed
from bridge.kit.fields import types
from bridge.store import Row, Tx, evidence, forwards, grants
from bridge.store.rows import text, when_or_none

from . import read
from .decide import judge_again
from .lease import Leased
from .line import Line
from .scene import Scene
from .withdraw import moved, remaining


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What asking again came to: still owed, with options and facts as they are now; or how the attempt ends."""

    options: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] | None = None
    state: ForwardState = ForwardState.PENDING
    reason: str = ""
    due_at: datetime | None = None
    until: datetime | None = None


async def judge(line: Line, leased: Leased, scene: Scene) -> Verdicts:
    """The source is asked where it can be, and the terms are judged over what is left."""
    row = leased.row
    until = when_or_none(row["until_at"]) or line.clock() + timedelta(days=3)

    def ended(state: ForwardState, reason: str, due_at: datetime | None = None) -> Verdicts:
        return Verdicts(state=state, reason=reason, due_at=due_at, until=until)

    told, facts = await line.db.read(lambda tx: _facts(tx, row, scene))
    if told is None or facts is None:
        return ended(ForwardState.CANCELLED, "all of it was undone at the source")
    source = scene.config.source_of(row["source"])
    one = read.recorded(told)
    answer = await _asked(line, source, row["action"], one, scene) if source else None
    if source and answer is not None:
        title = source.provider.title
        if answer.result == "not_found":
            return ended(ForwardState.CANCELLED, f"no longer true at the source: {answer.note}".rstrip(": "))
        if answer.result != "verified" and line.clock() >= until:
            return ended(ForwardState.HELD, f"{title} could not say for three days whether it holds")
        if answer.result != "verified":
            why = f"{title} could not say whether it still holds: {answer.note}".rstrip(": ")
            return ended(ForwardState.PENDING, why, line.clock() + timedelta(hours=1))
    action = source.provider.actions.get(row["action"]) if source else None
    try:
        again = judge_again(json.loads(row["terms"]), replace(one, facts=facts), types(action.facts if action else ()))
    except ExpressionError as error:
        return ended(ForwardState.HELD, f"its condition cannot be judged again: {error.message}")
    if not again.owed:
        return ended(ForwardState.CANCELLED, again.why)
    now = {"id": row["id"], "lease": row["lease"], "options": again.options, "facts": facts}
    if not await line.db.join(judged, now):
        return ended(ForwardState.PENDING, "", line.clock())
    return Verdicts(again.options, facts)


async def _asked(line: Line, source: SourceTable, action: str, one: Recorded, scene: Scene) -> Answer | None:
    """What the source says now; None where it cannot be asked. The brand's side first, then what was granted."""
    settings = await line.desk.settings(source)
    recheck, check = source.provider.rechecks.get(action), source.provider.checks.get(action)
    if recheck is not None and all(settings.get(name) for name in source.provider.recheck_needs):
        return await line.ask_source(recheck(Question(one.account or "", one.subject, one.key), settings))
    way = check.way(settings) if check is not None else None
    if way is None or check is None or (check.once and way.ask is check.ask):
        if recheck is None:
            return None
        return Answer("unknown", "the brand is not signed in")
    tokens: Tokens | None = None
    if way.keep:
        row = await line.db.read(
            lambda tx: grants.of_account(tx, source=source.ledger, account=one.account or "", action=action)
        )
        if row is None:
            return Answer("unknown", "nobody has granted it to be asked")
        try:
            tokens = await line.desk.usable(row, source)
        except (Unavailable, FlowError, Sealed) as error:
            return Answer("unknown", error.message)
    account = Account(id=one.account or "", handle=str(one.facts.get("login") or ""))
    ask = Ask(account=account, settings=settings, now=line.clock(), tokens=tokens, subject=one.subject)
    return await line.ask_source(way.ask(ask))


async def _facts(tx: Tx, row: Row, scene: Scene) -> tuple[Row | None, Mapping[str, Any] | None]:
    """The evidence of a forward and what is left of its facts; None where the fact no longer holds."""
    told = await evidence.of(tx, ids=[row["evidence"]])
    if not told:
        return None, None
    for undoing in await evidence.withdrawals(tx, [(row["source"], row["action"], row["key"])]):
        if not undoing["part"] and undoing["occurred_at"] >= told[0]["occurred_at"]:
            return told[0], None
    return told[0], await remaining(tx, told[0], scene)


async def judged(tx: Tx, rows: list[Mapping[str, Any]]) -> list[bool]:
    """The group that records that waiting forwards are still owed, with their options and facts as they are now."""
    current = await forwards.current(tx, ids=[one["id"] for one in rows])
    results, moves = [], []
    for one in rows:
        row = current.get(one["id"])
        mine = row is not None and row["lease"] == one["lease"] and not row["wish"] and row["state"] == "pending"
        if mine and row is not None:
            changes = moved(row, judge=0)
            moves.append({**changes, "options": text(dict(one["options"])), "facts": text(dict(one["facts"]))})
        results.append(mine)
    if moves:
        await forwards.move(tx, moves, now=max(current[one["id"]]["at"] for one in rows if one["id"] in current))
    return results
