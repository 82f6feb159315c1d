"""The line to targets and sources: conversations held with the right signature, token, deadline and pace."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from bridge.config import TargetTable
from bridge.kit import Answer, FlowError, Outcome, Response, Talk, Unavailable, Verdict, standard_headers
from bridge.store import Store
from bridge.talk import Bearer, Failed, Sign, Talker
from bridge.vault import Vault

from .desk import Desk
from .lease import Leased
from .scene import Scene

log = structlog.get_logger("line")

#: What of an answer is kept with the attempt.
KEPT_ANSWER = 2048
#: Reads under way at a target whose calls take many forwards.
READS = 16


class Unread(Outcome):
    """The target could not be read: not the same as having read that nobody can tell."""


@dataclass(slots=True)
class Pace:
    """So many a second, and no more than a second's worth at once."""

    at: float = 0.0  # when the next would leave if they left evenly

    async def turn(self, per_second: float) -> None:
        """Wait until the next may leave."""
        now = asyncio.get_running_loop().time()
        self.at = max(self.at, now - 1) + 1 / per_second
        if self.at > now:
            await asyncio.sleep(self.at - now)


@dataclass(slots=True)
class Line:
    """What telling needs of the world."""

    db: Store
    talker: Talker
    vault: Vault
    clock: Callable[[], datetime]
    _bearers: dict[str, tuple[TargetTable, Bearer]] = field(default_factory=dict)
    _paces: dict[str, tuple[Pace, asyncio.Semaphore]] = field(default_factory=dict)

    def at(self, scene: Scene) -> Scene:
        """The scene, now."""
        return replace(scene, now=self.clock())

    def bearer(self, table: TargetTable) -> Bearer | None:
        """The token of a target that wants one; it is fetched when it is first needed, and kept."""
        fetch = table.provider.token
        if fetch is None:
            return None
        known = self._bearers.get(table.name)
        if known is None or known[0] is not table:  # bridge.toml was read again: the key may be another
            known = (table, Bearer(lambda: fetch(table.settings)))
            self._bearers[table.name] = known
        return known[1]

    def pace(self, table: TargetTable) -> tuple[Pace, asyncio.Semaphore]:
        """How fast a target is read whose calls take many forwards: leasing those does not bound the reading."""
        return self._paces.setdefault(table.name, (Pace(), asyncio.Semaphore(READS)))

    async def tell(self, talk: Any, leased: Leased, heard: list[Response] | None = None) -> Any:
        """Hold a conversation about one forward, under its name."""
        return await self.hold(talk, leased.table, heard, signer(leased.table, leased.forward.id, self.clock))

    async def read(self, talk: Any, leased: Leased, heard: list[Response] | None = None) -> Any:
        """Hold a conversation that only reads, at the target's pace."""
        if leased.table.provider.send_many is None:  # leasing has taken its turn
            return await self.tell(talk, leased, heard)
        pace, reads = self.pace(leased.table)
        async with reads:
            await pace.turn(leased.table.per_second)
            return await self.tell(talk, leased, heard)

    async def hold(
        self, talk: Any, table: TargetTable, heard: list[Response] | None = None, sign: Sign | None = None
    ) -> Any:
        """Hold a conversation with a target within its timeout."""
        return await self.talker.hold(talk, within=table.timeout, sign=sign, heard=heard, bearer=self.bearer(table))

    async def look(self, talk: Any, leased: Leased) -> Outcome:
        """Hold a reading conversation; whatever keeps it from an answer is `Unread`."""
        try:
            found: Outcome = await self.read(talk, leased)
        except Failed as failure:
            if failure.ours:
                return Outcome(Verdict.MISCONFIGURED, failure.message)
            return Unread(Verdict.UNCLEAR, failure.message)
        except Unavailable as failure:
            return Unread(Verdict.UNCLEAR, failure.message)
        except Exception as error:
            log.exception("a look at the target met a bug", forward=leased.forward.id)
            return Unread(Verdict.UNCLEAR, f"a bug of the bridge: {type(error).__name__}")
        return found

    @property
    def desk(self) -> Desk:
        """Where sources are asked from, with the brand's and the customers' permissions."""
        return Desk(self.db, self.talker, self.vault, self.clock)

    async def ask_source(self, talk: Talk[Answer]) -> Answer:
        """Ask a source whether something still holds."""
        try:
            return await self.desk.hold(talk)
        except (Unavailable, FlowError) as failure:
            return Answer("unknown", failure.message)


def failed(failure: Failed, *, sent: bool) -> Outcome:
    """What a conversation that broke off proves."""
    if sent:
        return Outcome(Verdict.UNCLEAR, failure.message)
    return Outcome(Verdict.MISCONFIGURED if failure.ours else Verdict.LATER, failure.message)


def signer(table: TargetTable, id_: str, clock: Callable[[], datetime], *, key: bool = True) -> Sign | None:
    """
    Standard Webhooks headers over exactly the bytes sent, with this id, and an Idempotency-Key.

    `key=False`: no key; what travels under one id now travels in other company next time.
    """
    if not table.signed_headers:
        return None

    def sign(body: bytes) -> Mapping[str, str]:
        if not table.signing:
            return {"idempotency-key": id_} if body and key else {}
        headers = standard_headers(table.signing, id_, clock(), body)
        return {**headers, "idempotency-key": id_} if key else headers

    return sign


def kept(heard: Sequence[Response], bearer: Sequence[str]) -> str:
    """What of the last answer is kept: at most 2 KiB of text, nothing that breaks a store, nothing worth stealing."""
    if not heard:
        return ""
    body = heard[-1].body
    said = body[: KEPT_ANSWER * 2].decode("utf-8", "replace").replace("\x00", "\ufffd")
    for name in bearer:
        # Of a list or an object nobody knows here where it ends: nothing that follows is kept.
        value = r'(?:"(?:[^"\\]|\\.)*(?:"|$)|[\[{].*|[^\s,}\]]+)'
        said = re.sub(rf'("{re.escape(name)}"\s*:\s*){value}', r'\1"masked"', said, flags=re.DOTALL)
    return said.encode()[:KEPT_ANSWER].decode("utf-8", "ignore")
