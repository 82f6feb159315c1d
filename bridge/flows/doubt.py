"""Looking instead of guessing: did an unclear call take effect, was an accepted one granted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from bridge.kit import ForwardState, Outcome, Verdict
from bridge.store import Row

from . import read
from .answer import passed
from .lease import Leased
from .line import Line, Unread
from .scene import Scene
from .settle import Settled
from .steps import CONFIRM, CONFIRM_AT_MOST, Step, after_confirm, after_reconcile


async def reconcile(line: Line, leased: Leased, current: Row, scene: Scene) -> Settled:
    """Ask the target whether an unclear call took effect, by what it showed before the first unclear one."""
    table = leased.table
    first = leased.first_unclear if leased.first_unclear is not None else current
    if table.provider.reconcile is None:
        return _cannot_be_asked(line, leased, scene, "in doubt, and this target cannot be asked")
    # By the first unclear one's baseline, and so by the time that one left.
    forward = replace(leased.forward, earlier=read.attempt(first), baseline=first["baseline"])
    outcome = await line.look(table.provider.reconcile(forward, first["baseline"], table.settings), leased)
    now = line.clock()
    sent = read.attempt(current).sent_at or now
    unread = outcome.verdict is Verdict.UNCLEAR and isinstance(outcome, Unread)
    if unread and now - sent < CONFIRM_AT_MOST:
        # The target cannot be read just now: ask again later; after a day a person must look.
        step = Step(ForwardState.PENDING, f"in doubt: {outcome.note}", now + timedelta(minutes=5), resolved=False)
    else:
        step = after_reconcile(forward, outcome, now=now, sent_at=sent, early=now < sent + table.reconcile_after)
    return _looked(line, leased, step, outcome, scene)


async def confirm(line: Line, leased: Leased, current: Row, scene: Scene) -> Settled:
    """Ask the target whether what it accepted has been granted."""
    table = leased.table
    if table.provider.granted is None:  # the table has another provider than when this was accepted
        return _cannot_be_asked(line, leased, scene, "accepted, and this target cannot be asked")
    forward = replace(leased.forward, baseline=current["baseline"])
    outcome = await line.look(table.provider.granted(forward, current["baseline"], table.settings), leased)
    now = line.clock()
    accepted = read.attempt(current).ended_at or now
    looked = sum(1 for at in _after(CONFIRM) if at <= (now - accepted).total_seconds())
    step = after_confirm(forward, outcome, table.provider, now=now, accepted_at=accepted, looked=looked)
    return _looked(line, leased, step, outcome, scene)


def _looked(line: Line, leased: Leased, step: Step, outcome: Outcome, scene: Scene) -> Settled:
    """What a look taught: where it shows that the reward exists, it can show the prize too."""
    now = line.at(scene)
    happened = step.resolution == "happened"
    told = passed(leased.row, leased.forward, outcome, now, line.vault) if happened else None
    return Settled(leased, step, outcome, now, resolved_by_read=True, passed=told)


def _cannot_be_asked(line: Line, leased: Leased, scene: Scene, why: str) -> Settled:
    step = Step(ForwardState.HELD, why, resolved=False)
    return Settled(leased, step, Outcome(Verdict.UNCLEAR, why), line.at(scene), resolved_by_read=True)


def _after(steps: Sequence[int]) -> list[int]:
    total, found = 0, []
    for step in steps:
        total += step
        found.append(total)
    return found
