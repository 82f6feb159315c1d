"""Whether the audit log is what it was: the seals recomputed, the numbers counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from bridge.store import Row, Store, audit

from .report import Shown, iso, shown

#: Entries read at a time.
PAGE = 2000


@dataclass(frozen=True, slots=True)
class Verified:
    """What verifying came to."""

    entries: int  # how many there are
    seals: int  # how many fit
    unsealed: int  # entries that no seal covers yet
    newest: str = ""  # the newest seal's hash: kept elsewhere, it proves everything up to it
    broken: str = ""  # what is wrong first, in words; empty: nothing is
    seal: int | None = None  # the first seal that does not fit
    entry: int | None = None  # the entry that is missing, or the first of those that the seal covers

    @property
    def row(self) -> Shown:
        names = ("entries", "seals", "unsealed", "newest", "broken", "seal", "entry")
        return {"ok": not self.broken, **{name: getattr(self, name) for name in names}}


async def verify(db: Store) -> Verified:
    """Recompute every seal, and look for gaps in the numbers, up to the first thing that is wrong."""
    seals = await db.read(audit.seals)
    entries = await db.read(audit.newest)
    good = Verified(entries=entries, seals=0, unsealed=entries)
    after = 0
    for place, seal in enumerate(seals, 1):
        number, upto, made = int(seal["number"]), int(seal["upto"]), iso(seal["at"])
        if number != place:
            return replace(good, broken=f"seal {place} is missing", seal=place, entry=after + 1)
        rows = await _between(db, after, upto)
        if (gap := _gap(rows, after, upto)) is not None:
            return replace(good, broken=f"entry {gap} is missing; seal {number} covers it", seal=number, entry=gap)
        if audit.chained(good.newest, rows) != seal["hash"]:
            which = f"entries {after + 1} to {upto}" if upto > after + 1 else f"entry {upto}"
            said = f"seal {number} does not fit {which}: something there was changed after {made}"
            return replace(good, broken=said, seal=number, entry=after + 1)
        after = upto
        good = replace(good, seals=number, unsealed=entries - upto, newest=str(seal["hash"]))
    if (gap := _gap(await _between(db, after, entries), after, entries)) is not None:
        return replace(good, broken=f"entry {gap} is missing; no seal covers it yet", entry=gap)
    return good


async def _between(db: Store, after: int, upto: int) -> list[Row]:
    rows: list[Row] = []
    while after < upto:
        end = min(upto, after + PAGE)
        rows += await db.read(lambda tx, after=after, end=end: audit.between(tx, after=after, upto=end))  # type: ignore[misc]
        after = end
    return rows


def _gap(rows: list[Row], after: int, upto: int) -> int | None:
    """The first number that is missing."""
    for number, row in enumerate(rows, after + 1):
        if row["number"] != number:
            return number
    return None if len(rows) == upto - after else after + len(rows) + 1


async def export(db: Store, *, since: int = 0) -> AsyncIterator[Shown]:
    """Every entry made since then, oldest first."""
    after = 0
    while rows := await db.read(lambda tx, after=after: audit.page(tx, after=after, since=since, limit=PAGE)):  # type: ignore[misc]
        after = int(rows[-1]["number"])
        entries: list[dict[str, Any]] = await db.read(lambda tx, rows=rows: shown(tx, "audit", rows))  # type: ignore[misc]
        for entry in entries:
            yield entry
