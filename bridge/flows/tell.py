"""
Telling a target what we owe: judge once more, find the customer, read the baseline, send; and when in doubt, look.

An attempt has three steps, and a crash between any two of them is read off the store afterwards:

1. the lease opened it: nothing has left this house (`sent_at` is empty: it ends as `later`)
2. `begin` commits the baseline and `sent_at`: from here on the call may have arrived
3. the answer, or what its absence proves, closes it (`sent_at` and not closed: `unclear` by definition)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from bridge.kit import ForwardState, Kind, Outcome, Response, Unavailable, Verdict
from bridge.kit.errors import Sealed, StoreError
from bridge.store import Tx, attempts, forwards, names
from bridge.store.rows import fit, ms
from bridge.talk import Failed

from . import doubt, read
from .answer import SEALED, passed
from .batch import Company, Told
from .judge import judge
from .lease import Leased, begin, called, lane_of, ready
from .line import Line, failed, kept
from .scene import Scene
from .settle import Settled
from .steps import Step, after_missing, next_step

log = structlog.get_logger("tell")


class Teller:
    """Carries leased forwards to their targets. One instance for a worker."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.companies: dict[str, Company] = {}
        #: Whether a target has more that is due and may be leased; the worker knows.
        self.more: Callable[[str], bool] = lambda name: False

    async def run(self, leased: Leased, scene: Scene) -> Settled:
        """
        One leased forward, to its next settled state.

        A bug, ours or a provider's, is a try like any other: uncounted, it would be repeated for ever and unseen.
        """
        try:
            return await self._run(leased, scene)
        except StoreError:
            raise  # nothing could be written, so nothing ends: the lease runs out
        except Exception as error:
            if leased.open is not None:
                raise
            log.exception("a try met a bug", forward=leased.forward.id)
            verdict = Verdict.UNCLEAR if leased.begun else Verdict.LATER
            outcome = Outcome(verdict, f"a bug of the bridge: {type(error).__name__}")
            return self._settled(leased, outcome, scene, sent_at=leased.begun)

    async def close(self) -> None:
        """Call off the batches under way."""
        for company in self.companies.values():
            await company.close()

    async def _run(self, leased: Leased, scene: Scene) -> Settled:
        current = leased.open
        if current is None:
            return await self._send(leased, scene)
        if current["sent_at"] is None:
            said = "the worker stopped before anything left this house"
            return self._ended(leased, scene, ForwardState.PENDING, "", self.line.clock(), note=said)
        if current["ended_at"] is None:
            # Never closed, and so unclear by definition: crash and network doubt are one case.
            outcome = Outcome(Verdict.UNCLEAR, "the worker stopped after the call had left")
            return self._settled(leased, outcome, scene, sent_at=read.attempt(current).sent_at)
        if sealed := self._unseal(leased):  # without it nobody can tell what to look for
            return doubt.unanswered(self.line, leased, scene, f"in doubt, and {sealed}")
        if leased.row["state"] == ForwardState.ACCEPTED:
            return await doubt.confirm(self.line, leased, current, scene)
        return await doubt.reconcile(self.line, leased, current, scene)

    # --- a new attempt -----------------------------------------------------------------------------------------

    async def _send(self, leased: Leased, scene: Scene) -> Settled:
        table, target = leased.table, leased.table.provider
        if leased.forward.kind is Kind.UNDO and target.undo is None:  # it could when this was made
            return self._ended(leased, scene, ForwardState.HELD, f"{target.title} cannot take back")
        company = self._company(leased) if target.send_many and leased.forward.kind is Kind.REWARD else None
        heard: list[Response] = []
        with company.on_the_way() if company else nullcontext():
            stopped = await self._prepare(leased, scene, heard)
        if stopped is not None:
            return stopped
        if company is not None:
            told = await company.go(leased, scene)
        else:
            told = await self._alone(leased)
        if told.outcome.missing and not told.at_once and table.missing.create and target.create:
            created = await self._create(leased, heard)
            told = await self._again(leased) if created is None else replace(told, outcome=created)
        if told.at_once:
            now = self.line.clock()
            reason = told.outcome.note if told.sent_at else leased.row["reason"]
            return self._ended(leased, scene, ForwardState.PENDING, reason, now, note=told.outcome.note)
        return self._settled(
            leased, told.outcome, scene, sent_at=told.sent_at, heard=told.heard, trouble=told.trouble, sent=True
        )

    async def _prepare(self, leased: Leased, scene: Scene, heard: list[Response]) -> Settled | None:
        """Everything before anything leaves; how the attempt ends where it does not leave."""
        table, target = leased.table, leased.table.provider
        if leased.row["judge"]:
            still = await judge(self.line, leased, scene)
            if still.options is None or still.facts is None:
                ended = self._ended(leased, scene, still.state, still.reason, still.due_at)
                ended.until_at = still.until
                return ended
            leased.forward = replace(leased.forward, options=still.options, facts=still.facts)
        if table.dry_run and leased.forward.kind is Kind.UNDO:  # what it takes back was paid before
            return self._ended(leased, scene, ForwardState.HELD, "dry run: nothing is taken back; release it after it")
        if table.dry_run:
            return self._ended(leased, scene, ForwardState.CANCELLED, "dry run: it is recorded, and nothing was sent")
        if sealed := self._unseal(leased):
            return self._ended(leased, scene, ForwardState.HELD, sealed)
        if above := too_much(leased):
            return self._ended(leased, scene, ForwardState.HELD, above)
        if target.find and not leased.forward.known_as:
            stopped = await self._find(leased, scene, heard)
            if stopped is not None:
                return stopped
        if target.baseline and not leased.forward.baseline:
            found = await self._read_first(leased, target.baseline(leased.forward, table.settings), heard)
            if isinstance(found, Outcome):
                return self._settled(leased, found, scene, sent_at=None, heard=heard)
            leased.forward = replace(leased.forward, baseline=fit(found, 2000))
        return None

    def _unseal(self, leased: Leased) -> str:
        """Open what the forward passes on; why that cannot be done, in words."""
        if SEALED in leased.forward.options:
            try:
                leased.forward = replace(leased.forward, options=self.line.vault.open(leased.forward.options[SEALED]))
            except Sealed as error:
                return f"what it passes on is sealed: {error.message}"
        return ""

    async def _find(self, leased: Leased, scene: Scene, heard: list[Response]) -> Settled | None:
        """Ask the target what it calls the customer, and remember it."""
        table, target = leased.table, leased.table.provider
        assert target.find is not None
        found = await self._read_first(leased, target.find(leased.forward, table.settings), heard)
        if isinstance(found, Outcome) and found.missing and table.missing.create and target.create:
            created = await self._create(leased, heard)
            found = created or await self._read_first(leased, target.find(leased.forward, table.settings), heard)
        leased.found_now = True
        if isinstance(found, str) and (not found or fit(found, 200) != found or "\n" in found):
            found = Outcome(Verdict.LATER, "the target's name for the customer cannot be one")
        if isinstance(found, Outcome):
            return self._settled(leased, found, scene, sent_at=None, heard=heard)
        name = {"target": table.name, "customer": called(leased.row), "name": found, "at": ms(self.line.clock())}
        lane = lane_of(table, leased.forward, found)
        if not await self.line.db.join(named, {**name, "forward": leased.row["id"], "old": leased.lane,
                                               "number": leased.number, "lane": lane}):  # fmt: skip
            why = "another forward is at work for the same customer of the target's"
            return self._ended(leased, scene, ForwardState.PENDING, why, self.line.clock())
        baseline = leased.forward.baseline if lane == leased.lane else ""  # of another customer's record
        leased.forward = replace(leased.forward, known_as=found, baseline=baseline)
        leased.lane = lane
        return None

    async def _read_first(self, leased: Leased, talk: Any, heard: list[Response]) -> str | Outcome:
        """Read what must be known before the call. Whatever is unclear about a read has not happened."""
        try:
            found: str | Outcome = await self.line.read(talk, leased, heard)
        except Failed as failure:
            return failed(failure, sent=False)
        except Unavailable as failure:
            return Outcome(Verdict.LATER, failure.message)
        unclear = isinstance(found, Outcome) and found.verdict in (Verdict.UNCLEAR, Verdict.ACCEPTED)
        return replace(found, verdict=Verdict.LATER) if unclear and isinstance(found, Outcome) else found

    async def _create(self, leased: Leased, heard: list[Response]) -> Outcome | None:
        """Have the target know the customer. None: it does now; else what follows for the attempt."""
        table = leased.table
        assert table.provider.create is not None
        created = await self._read_first(leased, table.provider.create(leased.forward, table.settings), heard)
        if isinstance(created, str) or created.verdict in (Verdict.DONE, Verdict.DUPLICATE):
            return None
        return created

    async def _alone(self, leased: Leased) -> Told:
        """A call of one forward: commit that it leaves, then send."""
        now = leased.begun_at or self.line.clock()
        lane = leased.lane if leased.table.provider.baseline_keeps else ""
        row = ready(leased.row, leased.number, leased.forward.baseline, now, leased.table, lane)
        if leased.begun_at is None and not await self.line.db.join(begin, row):
            why = "it was held, withdrawn or taken by another worker before it left"
            return Told(Outcome(Verdict.LATER, why), None, at_once=True)
        leased.begun = now
        return await self._again(leased)

    async def _again(self, leased: Leased) -> Told:
        """Send what has been committed to leave."""
        forward, table = leased.forward, leased.table
        heard: list[Response] = []
        now = leased.begun or self.line.clock()
        try:
            tell = table.provider.undo if forward.kind is Kind.UNDO and table.provider.undo else table.provider.send
            outcome = await self.line.tell(tell(forward, table.settings), leased, heard)
        except Failed as failure:
            return Told(failed(failure, sent=failure.sent), now, heard, trouble=not failure.ours)
        except Unavailable as failure:
            return Told(Outcome(Verdict.UNCLEAR, failure.message), now, heard)
        return Told(outcome, now, heard)

    def _company(self, leased: Leased) -> Company:
        name = leased.table.name
        if name not in self.companies:
            self.companies[name] = Company(self.line, lambda: self.more(name))
        return self.companies[name]

    # --- how it ended ------------------------------------------------------------------------------------------

    def _ended(
        self,
        leased: Leased,
        scene: Scene,
        state: ForwardState,
        reason: str,
        due_at: datetime | None = None,
        *,
        note: str = "",
    ) -> Settled:
        """An attempt of which nothing has left, or nothing that counts."""
        step = Step(state, reason, due_at, resolution="did not happen")
        return Settled(leased, step, Outcome(Verdict.LATER, note or reason), self.line.at(scene))

    def _settled(
        self,
        leased: Leased,
        outcome: Outcome,
        scene: Scene,
        *,
        sent_at: datetime | None,
        heard: Sequence[Response] = (),
        trouble: bool | None = None,
        sent: bool = False,
    ) -> Settled:
        now, forward, table = self.line.at(scene), leased.forward, leased.table
        stale = outcome.missing and table.provider.find is not None and not leased.found_now
        if stale:  # it was merged or deleted there since we asked: ask once more
            said = f"the target no longer knows {forward.known_as}: asked again"
            step = Step(ForwardState.PENDING, said, now.now, resolution="did not happen")
        elif outcome.missing:
            step = after_missing(forward, outcome, table.missing.wait, now=now.now)
        else:
            step = self._next(leased, outcome, now.now, sent_at)
        told = passed(leased.row, forward, outcome, now, self.line.vault) if sent else None
        if told is not None and told.fault:
            step = replace(step, reason=f"{step.reason}; {told.fault}".strip("; "))
        if trouble is None and sent_at is None:
            trouble = outcome.verdict is Verdict.LATER and not (heard and heard[-1].status == 429)
        elif trouble is None and heard:
            trouble = heard[-1].status >= 500
        return Settled(
            leased,
            step,
            outcome,
            now,
            status=heard[-1].status if heard else None,
            kept=kept(heard, table.provider.bearer),
            trouble=trouble,
            forget=stale,
            passed=told,
        )

    def _next(self, leased: Leased, outcome: Outcome, now: datetime, sent_at: datetime | None) -> Step:
        first = leased.first_unclear
        return next_step(
            leased.forward,
            outcome,
            leased.table.provider,
            now=now,
            sent_at=sent_at,
            reconcile_after=leased.table.reconcile_after,
            first_unclear_at=read.attempt(first).sent_at if first is not None else None,
            lease_until=leased.attempt.lease_until if leased.attempt else None,
            roll=random.random(),
        )


def too_much(leased: Leased) -> str:
    """Which amount is above the target's ceiling, in words; empty where none is."""
    table, forward = leased.table, leased.forward
    if table.most is None or forward.kind is not Kind.REWARD:
        return ""
    for option in table.provider.options:
        value = forward.options.get(option.name)
        ceiling = f"most = {table.most:g} of [target.{table.name}]"
        if option.amount and value is not None and not isinstance(value, int | float):
            return f"{option.name} is no number that could be held against {ceiling}"
        if option.amount and isinstance(value, int | float) and not value <= table.most:
            return f"{option.name} {value:g} is above {ceiling}: raise that and release it, or cancel it"
    return ""


async def named(tx: Tx, rows: list[Mapping[str, Any]]) -> list[bool]:
    """The group that remembers what targets call customers; whether each attempt has the lane of that name."""
    await names.remember(tx, rows)
    found = []
    for row in rows:
        moved = await attempts.change_lane(tx, forward=row["forward"], number=row["number"], lane=row["lane"])
        found.append(moved)
    await forwards.wake(tx, keys={row["old"] for row in rows}, now=max(row["at"] for row in rows))
    return found
