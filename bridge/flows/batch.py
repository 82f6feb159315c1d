"""
Calls that take many forwards: whatever is ready goes together, and nobody shares a bad fate.

A batch forms by itself. While one call is under way, or baselines are being read, forwards gather; a call leaves
when it is full, or when nobody else is on the way. Each forward keeps its own attempt, lane, baseline and outcome.
What is refused as a whole is sent again in halves until the one that spoils it stands alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from bridge.kit import Outcome, Response, Unavailable, Verdict
from bridge.store import attempts
from bridge.talk import Failed

from .lease import LONGEST_GATHER, Leased, ready
from .line import Line, failed, signer
from .scene import Scene

log = structlog.get_logger("batch")


@dataclass(frozen=True, slots=True)
class Told:
    """How a call ended for one forward."""

    outcome: Outcome
    sent_at: datetime | None  # None: it did not leave
    heard: Sequence[Response] = ()
    trouble: bool | None = None  # whether the target was in trouble; None: its answer says
    at_once: bool = False  # nothing happened, and it is to be sent again in smaller company


@dataclass(slots=True)
class Member:
    """One forward that is ready to go."""

    leased: Leased
    scene: Scene
    told: asyncio.Future[Told]


class Company:
    """The forwards of one target that go together."""

    def __init__(self, line: Line, more: Callable[[], bool]) -> None:
        self.line, self.more = line, more
        self.coming = 0  # leased, and still being judged, found or read
        self.waiting: list[Member] = []
        self.apart: dict[str, int] = {}  # forward -> in how large a company it may go, after a refusal as a whole
        self._stirred = asyncio.Event()
        self._leaving: asyncio.Task[None] | None = None

    @contextmanager
    def on_the_way(self) -> Iterator[None]:
        """While this lasts, the next call waits."""
        self.coming += 1
        try:
            yield
        finally:
            self.coming -= 1
            self._stirred.set()

    async def go(self, leased: Leased, scene: Scene) -> Told:
        """Leave with whoever else is ready; how that ended for this one."""
        member = Member(leased, scene, asyncio.get_running_loop().create_future())
        self.waiting.append(member)
        self._stirred.set()
        if self._leaving is None:
            self._leaving = asyncio.ensure_future(self._leave())
        return await member.told

    async def close(self) -> None:
        """Call off what has not been answered: it is read off the store next time."""
        if self._leaving is not None:
            self._leaving.cancel()
            with suppress(asyncio.CancelledError):
                await self._leaving

    async def _leave(self) -> None:
        try:
            while self.waiting:
                await self._gather()
                members = self._next()
                try:
                    await self._call(members)
                except BaseException as error:
                    for one in members:
                        if not one.told.done():
                            one.told.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._leaving = None
            for one in self.waiting:
                one.told.cancel()

    async def _gather(self) -> None:
        """Wait until the company is complete: full, or nobody else is on the way and nobody else is waited for."""
        clock, table = asyncio.get_running_loop().time, self.waiting[0].leased.table
        began, patience = clock(), table.gather.total_seconds()
        while len(self.waiting) < self._size(self.waiting[0]):
            expecting = self.coming > 0 or self.more()
            left = began + patience + (LONGEST_GATHER.total_seconds() if expecting else 0) - clock()
            if left <= 0:
                return
            self._stirred.clear()
            # Not `wait_for`: before Python 3.12 it takes a stop that comes together with a stir for the stir.
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.05) if expecting else left):
                    # What the worker is about to lease does not stir anybody: it is looked for.
                    await self._stirred.wait()

    def _size(self, member: Member) -> int:
        most = member.leased.table.provider.most_at_once
        return min(most, self.apart.get(member.leased.forward.id, most))

    def _next(self) -> list[Member]:
        """Who goes together: those who have waited longest, of one table, and who may all go in this company."""
        first = self.waiting[0]
        size = self._size(first)
        fit = [one for one in self.waiting if one.leased.table is first.leased.table and self._size(one) == size]
        chosen = fit[:size]
        ids = {id(one) for one in chosen}
        self.waiting = [one for one in self.waiting if id(one) not in ids]
        return chosen

    async def _call(self, members: Sequence[Member]) -> None:
        table = members[0].leased.table
        pace, _ = self.line.pace(table)
        await pace.turn(table.per_second)
        members = await self._begin(members)
        if not members or table.provider.send_many is None:
            return
        now, batch = self.line.clock(), members[0].scene.new_id("bat")
        heard: list[Response] = []
        sign = signer(table, batch, self.line.clock, key=False)  # its own id: in other company it is another call
        try:
            talk = table.provider.send_many([one.leased.forward for one in members], table.settings)
            answered = await self.line.hold(talk, table, heard, sign)
        except Failed as failure:
            self._all(members, failed(failure, sent=failure.sent), now, heard, trouble=not failure.ours)
        except Unavailable as failure:
            self._all(members, Outcome(Verdict.UNCLEAR, failure.message), now, heard)
        except Exception as error:
            log.exception("a batch met a bug", batch=batch)
            self._all(members, Outcome(Verdict.UNCLEAR, f"a bug of the bridge: {type(error).__name__}"), now, heard)
        else:
            if isinstance(answered, Outcome):
                self._all(members, answered, now, heard)
            elif len(answered) != len(members):
                said = f"it answered for {len(answered)} of {len(members)}"
                self._all(members, Outcome(Verdict.UNCLEAR, said), now, heard)
            else:
                for one, outcome in zip(members, answered, strict=True):
                    self.apart.pop(one.leased.forward.id, None)
                    outcome = outcome if outcome.reference else replace(outcome, reference=batch)
                    # Not the answer: it speaks of everybody in the company.
                    self._tell(one, Told(outcome, now, trouble=heard[-1].status >= 500 if heard else None))

    async def _begin(self, members: Sequence[Member]) -> Sequence[Member]:
        """Commit, in one transaction, that these leave; those who may."""
        now = self.line.clock()
        rows = [
            ready(
                one.leased.row, one.leased.number, one.leased.forward.baseline, now, one.leased.table, one.leased.lane
            )
            for one in members
            if not one.told.done()
        ]
        begun = await self.line.db.transact(lambda tx: attempts.begin(tx, rows))
        left = []
        for one in members:
            if (one.leased.forward.id, one.leased.number) in begun:
                one.leased.begun = now
                left.append(one)
            else:
                why = "it was held, withdrawn or taken by another worker before it left"
                self._tell(one, Told(Outcome(Verdict.LATER, why), None, trouble=None, at_once=True))
        return left

    def _all(
        self,
        members: Sequence[Member],
        outcome: Outcome,
        now: datetime,
        heard: Sequence[Response],
        *,
        trouble: bool | None = None,
    ) -> None:
        """The call as a whole was answered so, or was not answered."""
        spoilt = outcome.verdict is Verdict.REFUSED and len(members) > 1
        for one in members:
            if spoilt:
                self.apart[one.leased.forward.id] = max(1, len(members) // 2)
                note = f"refused as part of {len(members)}, sent again in smaller company: {outcome.note}"
                self._tell(one, Told(Outcome(Verdict.LATER, note), now, heard, trouble, at_once=True))
            else:
                self.apart.pop(one.leased.forward.id, None)
                self._tell(one, Told(outcome, now, heard, trouble))

    def _tell(self, member: Member, told: Told) -> None:
        if not member.told.done():
            member.told.set_result(told)
