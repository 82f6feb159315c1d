"""Withdrawing what is owed: before it left it is cancelled, in flight its answer decides, after it a person does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bridge.config.sends import TOLD
from bridge.kit import ExpressionError, ForwardState, Kind
from bridge.kit.fields import types
from bridge.store import Row, Tx, attempts, audit, evidence, forwards

from . import read
from .decide import judge_again, left
from .scene import Scene

Fact = tuple[str, str, str]

#: Said of what was withdrawn after a call whose answer was lost.
LOOK = "a call of it may have arrived: look at the target"


def moved(row: Row, **changes: Any) -> dict[str, Any]:
    """What `forwards.move` writes: the row as it stands, with these changes."""
    names = ("id", "state", "reason", "wish", "due_at", "until_at", "open", "tries", "judge")
    return {**{name: row[name] for name in names}, "options": None, "facts": None, **changes}


def cancelled(row: Row, reason: str) -> dict[str, Any]:
    return moved(row, state=ForwardState.CANCELLED.value, reason=reason, wish="", due_at=None, judge=0)


async def withdraw(tx: Tx, fact: Fact, scene: Scene, *, reason: str) -> list[str]:
    """Withdraw all forwards of a fact that no longer holds; the ids of those it touched."""
    rows = [row for row in await forwards.of_facts(tx, [fact]) if row["kind"] == "reward"]
    return await withdraw_rows(tx, rows, scene, reason=reason)


async def withdraw_rows(tx: Tx, rows: Sequence[Row], scene: Scene, *, reason: str) -> list[str]:
    """Withdraw these forwards; the ids of those it touched."""
    doubtful = await attempts.doubts(tx, ids=[row["id"] for row in rows if row["sent"]])
    moves, wishes, touched = [], [], []
    for row in rows:
        state = ForwardState(row["state"])
        if state is ForwardState.CANCELLED:
            continue
        touched.append(str(row["id"]))
        if state is ForwardState.DELIVERED:
            if not row["wish"]:
                moves.append(await take_back(tx, row, scene, reason=f"{reason} after it was delivered"))
        elif row["open"] is not None:
            wishes.append(str(row["id"]))  # its answer decides: settle carries the wish out
        elif row["id"] in doubtful:
            moves.append({**cancelled(row, f"{reason}; {LOOK}"), "wish": "undo"})
        else:
            moves.append(cancelled(row, reason))
    if moves:
        await forwards.move(tx, moves, now=scene.at)
    if wishes:
        await forwards.wish(tx, ids=wishes, wish="cancel", reason=reason, now=scene.at)
    return touched


async def take_back(tx: Tx, row: Row, scene: Scene, *, reason: str) -> dict[str, Any]:
    """
    Claw back a reward that was delivered: a forward of its own where the target can, else a person's to do.

    The move that says so on the reward's own row. It keeps its bucket either way. Taken back once, by a call or by
    hand, it is not taken back again.
    """
    if before := await forwards.undoing(tx, ids=[row["id"]]):
        return moved(row, reason=f"{reason}: taken back by {before[0]['id']}")
    if await audit.settled_by_hand(tx, forward=row["id"]):
        return moved(row)
    table = scene.config.targets.get(row["target"])
    if table is None or table.provider.undo is None:
        return moved(row, reason=f"{reason}: take it back by hand", wish="undo")
    id_ = scene.new_id("fwd")
    names = ("rule", "send", "bucket", "person", "source", "account", "action", "key", "subject", "target", "customer",
             "options", "facts", "evidence", "seat", "occurred_at")  # fmt: skip
    claw = {
        **{name: row[name] for name in names},
        "id": id_,
        "kind": Kind.UNDO.value,
        "terms": "",
        "judge": 0,
        "undoes": row["id"],
        "due_at": scene.at,
        "until_at": None,
        "lane": row["lane"] if table.provider.lane else f"lane {id_}",
        "created_at": scene.at,
        "state": "pending",
        "at": scene.at,
    }
    await forwards.owe(tx, [claw])
    return moved(row, reason=f"{reason}: taken back by {id_}")


async def lessen(tx: Tx, fact: Fact, scene: Scene) -> list[str]:
    """Part of a fact was undone: what waits is judged again when it comes due; what has left is judged now."""
    told = await evidence.named(tx, [fact])
    if not told:
        return []  # told before the fact itself; considering that will find it
    now = await remaining(tx, told[0], scene)
    if now is None:
        return await withdraw(tx, fact, scene, reason="all of it was undone at the source")
    owed = [row for row in await forwards.of_facts(tx, [fact]) if row["kind"] == "reward"]
    rows = [row for row in owed if row["terms"]]
    touched, moves = [], []
    for row in rows:
        if row["state"] == ForwardState.CANCELLED:
            continue
        if row["state"] == ForwardState.DELIVERED or row["open"] is not None:
            # It has left, or is leaving: judged now, because nobody judges it again.
            why = no_longer(row, told[0], now, scene)
            if why and row["state"] != ForwardState.DELIVERED and row["wish"] != "cancel":
                await forwards.wish(tx, ids=[row["id"]], wish="cancel", reason=why, now=scene.at)
                touched.append(str(row["id"]))
            elif why and not row["wish"]:
                moves.append(await take_back(tx, row, scene, reason=f"{why}, after it was delivered"))
                touched.append(str(row["id"]))
                # What passes its answer on has no terms of its own.
                told_on = [one for one in owed if (one["rule"], one["send"]) == (row["rule"], f"{row['send']}{TOLD}")]
                touched += await withdraw_rows(tx, told_on, scene, reason=why)
        if row["state"] in (ForwardState.PENDING, ForwardState.HELD, ForwardState.FAILED):
            await forwards.judge_again(tx, ids=[row["id"]])
            touched.append(str(row["id"]))
    touched = list(dict.fromkeys(touched))
    if moves:
        await forwards.move(tx, moves, now=scene.at)
    return touched


async def remaining(tx: Tx, row: Row, scene: Scene) -> Mapping[str, Any] | None:
    """The facts of an evidence row after everything that was undone of them in parts; None: nothing is left."""
    one = read.recorded(row)
    undoings = [read.recorded(r) for r in await evidence.withdrawals(tx, [(one.source, one.action, one.key)])]
    source = scene.config.source_of(one.source)
    action = source.provider.actions.get(one.action) if source else None
    return left(one, [undoing for undoing in undoings if not undoing.undone], action)


def no_longer(row: Row, told: Row, facts: Mapping[str, Any], scene: Scene) -> str:
    """Why a forward's own terms no longer hold over these facts; empty where they do, or cannot be judged."""
    from dataclasses import replace

    one = replace(read.recorded(told), facts=facts)
    source = scene.config.source_of(one.source)
    action = source.provider.actions.get(one.action) if source else None
    try:
        again = judge_again(json.loads(row["terms"]), one, types(action.facts if action else ()))
    except ExpressionError:
        return ""
    return "" if again.owed else again.why
