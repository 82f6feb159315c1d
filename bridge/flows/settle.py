"""How attempts end: the attempt is closed, its forward moved, wishes carried out, targets paused; set by set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.kit import AuditEntry, ForwardState, Outcome
from bridge.store import Row, Tx, attempts, audit, forwards, names, targets
from bridge.store.rows import fit, ms

from . import answer
from .lease import Leased, called
from .scene import Scene
from .steps import Step
from .withdraw import LOOK, moved, take_back


@dataclass(slots=True)
class Settled:
    """How one piece of a worker's work ended: what `settle` writes."""

    leased: Leased
    step: Step
    outcome: Outcome
    scene: Scene
    status: int | None = None
    kept: str = ""  # of what the target said
    until_at: datetime | None = None
    resolved_by_read: bool = False
    trouble: bool | None = None  # whether the target was in trouble; None: it was not asked
    forget: bool = False  # the target no longer knows the customer by the name it gave
    passed: answer.Passed | None = None  # what of the answer is shown and passed on

    @property
    def number(self) -> int:
        """The attempt that ended."""
        return self.leased.number


async def settle(tx: Tx, ended: list[Settled]) -> list[ForwardState | None]:
    """
    The group that writes how attempts ended; the state each forward is in now, None where the lease was lost.

    The attempt is closed either way, unless another worker is at it. Good news settles the forward even after a
    lost lease: the reward exists, whoever holds the row. A wish that came while the attempt was open is carried
    out. What an operator has decided meanwhile, or another worker has found out, is not overwritten.
    """
    current = await forwards.current(tx, ids=[one.leased.forward.id for one in ended])
    closes, moves, freed, entries = [], [], set(), []
    pauses: dict[str, str] = {}
    withdrawn: set[str] = set()
    results: list[ForwardState | None] = []
    scene = ended[-1].scene
    for one in ended:
        row = current[one.leased.forward.id]
        step, now = one.step, one.scene.at
        mine = all(row[name] == one.leased.row[name] for name in ("lease", "state")) and row["open"] == one.number
        good = step.resolution == "happened" or (step.state is ForwardState.ACCEPTED and not one.resolved_by_read)
        lost = not mine and not (good and row["state"] in ("pending", "held", "failed", "cancelled"))
        if lost and row["open"] == one.number:
            results.append(None)
            continue
        closes.append(
            {
                "forward": row["id"],
                "number": one.number,
                "ended_at": now,
                "resolved_at": now if step.resolved or lost else None,  # nobody would ever resolve it
                "resolution": step.resolution,
                "status": one.status,
                "verdict": _verdict(one),
                "note": fit(one.outcome.note),
                "reference": fit(one.outcome.reference, 200),
                "answer": one.kept,
                "leaves": fit(one.outcome.left, 2000) if step.resolved else "",
            }
        )
        attempt_lane, attempt_seat = row["lane"], row["seat"]
        freed.add(attempt_seat)
        if step.resolved:
            freed.add(attempt_lane)
        if step.pause and row["target"] not in pauses:
            pauses[row["target"]] = step.pause
        if lost:
            late = good and one.passed and row["state"] == "delivered" and not row["wish"]
            if late and not await forwards.undoing(tx, ids=[row["id"]]):
                await answer.keep(tx, [(row, one.passed)], scene)  # whoever found out first need not have seen it
            results.append(None)
            continue
        if not mine and row["open"] not in (None, one.number):  # a repeat that is under way, or died: it is over
            await attempts.resolve(tx, forward=row["id"], number=row["open"], resolution="", now=now)
        if row["state"] == "cancelled":
            row = {**row, "wish": "cancel"}  # it was withdrawn, and had arrived
        if row["wish"] == "cancel":
            withdrawn.add(row["id"])
        move = _after_wish(row, one)
        if move["state"] == "delivered" and move["wish"] == "undo" and row["wish"] == "cancel":
            move = {**move, **_only(await take_back(tx, row, one.scene, reason=f"{row['reason']}, but it had arrived"))}
        moves.append(move)
        # Another of this batch may be about the same forward: it meets the row as it is from here on.
        current[row["id"]] = {**row, **{name: move[name] for name in ("state", "wish", "open", "reason")}}
        results.append(ForwardState(move["state"]))
        if move["state"] != row["state"] or step.pause:
            entries.append(
                AuditEntry(
                    actor="worker",
                    action=f"forward.{move['state']}",
                    object=row["id"],
                    detail={"attempt": one.number, "verdict": one.outcome.verdict.value},
                )
            )
    await attempts.close(tx, closes)
    await forwards.move(tx, moves, now=scene.at)
    await forwards.wake(tx, keys=freed, now=scene.at)
    delivered = [
        (one.leased.row, one.passed)
        for one, state in zip(ended, results, strict=True)
        # What is to be taken back is not passed on as well.
        if one.passed and state is ForwardState.DELIVERED and one.leased.forward.id not in withdrawn
    ]
    if delivered:
        await answer.keep(tx, delivered, scene)
    for one in ended:
        if one.forget:
            await names.forget(tx, target=one.leased.table.name, customers=[called(one.leased.row)])
    for name, reason in pauses.items():
        if await targets.pause(tx, name=name, pause="misconfigured", reason=fit(reason), now=scene.at):
            entries.append(
                AuditEntry(actor="worker", action="target.paused", object=name, detail={"why": "misconfigured"})
            )
    await audit.append(tx, entries, now=scene.at)
    return results


def _verdict(one: Settled) -> str:
    """The attempt's verdict: of an accepted or unclear call it stays what it was until the doubt is over."""
    if one.outcome.taken and not one.step.resolved:
        return "unclear"  # refused, and perhaps kept all the same
    if one.resolved_by_read and not one.step.resolved:
        return "accepted" if one.step.state is ForwardState.ACCEPTED else "unclear"
    if one.resolved_by_read and one.step.resolution == "did not happen":
        return "accepted" if one.leased.row["state"] == ForwardState.ACCEPTED else "unclear"
    return one.outcome.verdict.value


def _after_wish(row: Row, one: Settled) -> dict[str, Any]:
    """The forward's new row: what the step says, or what was wished for meanwhile where nothing has happened yet."""
    step = one.step
    tries = row["tries"] + int(step.counted)
    open_ = None if step.resolved else one.number
    move = moved(
        row,
        state=step.state.value,
        reason=fit(step.reason),
        due_at=ms(step.due_at) if step.due_at else None,
        until_at=ms(one.until_at) if one.until_at else row["until_at"],
        open=open_,
        tries=tries,
    )
    # A call whose answer was lost may have arrived, this one or one before: cancelled, it is a person's to look.
    doubtful = step.resolution == "" or one.leased.forward.earlier is not None
    if not row["wish"] or row["wish"] == "undo":
        return _withdrawn(move, step.reason, doubtful) if step.state is ForwardState.CANCELLED else move
    cancel = row["wish"] == "cancel"
    if step.state is ForwardState.DELIVERED:
        if cancel:
            return {**move, "wish": "undo", "reason": f"{row['reason']}, but it had arrived: take it back by hand"}
        return {**move, "wish": ""}
    if step.state is ForwardState.HELD and not cancel:
        return {**move, "wish": ""}
    if step.state is ForwardState.ACCEPTED or not step.resolved:
        return {**move, "reason": fit(f"{step.reason} (to be withdrawn: {row['reason']})")} if cancel else move
    if step.state is ForwardState.FAILED:
        return {**move, "wish": ""} if not cancel else _withdrawn(move, row["reason"], doubtful)
    return (
        _withdrawn(move, row["reason"], doubtful)
        if cancel
        else {**move, "state": "held", "wish": "", "due_at": None, "reason": row["reason"]}
    )


def _only(taken: Mapping[str, Any]) -> dict[str, Any]:
    """Of a taken-back row what concerns the taking back; the rest is what the attempt came to."""
    return {"wish": "undo" if taken["wish"] == "undo" else "", "reason": taken["reason"]}


def _withdrawn(move: dict[str, Any], reason: str, doubtful: bool) -> dict[str, Any]:
    told = {"wish": "undo", "reason": fit(f"{reason}; {LOOK}")} if doubtful else {"wish": "", "reason": reason}
    return {**move, "state": "cancelled", "due_at": None, "judge": 0, **told}
