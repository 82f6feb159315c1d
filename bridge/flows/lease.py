"""Taking what is due: a forward with an attempt of its own, in its lane, with what is known of earlier ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge.config import TargetTable
from bridge.kit import Attempt, Forward
from bridge.store import Row, Tx, attempts, forwards, names
from bridge.store.rows import ms

from . import read
from .answer import SEALED
from .scene import Scene

#: How long a lease outlasts the call it covers.
MARGIN = timedelta(seconds=20)
#: How long a batch may take to form while more is due: at ten reads a second, six hundred baselines.
LONGEST_GATHER = timedelta(seconds=60)


@dataclass(slots=True)
class Leased:
    """A forward a worker has taken, with what it needs to go on."""

    row: Row
    forward: Forward
    table: TargetTable
    lease_until: datetime
    lane: str
    open: Row | None = None  # the open attempt, where the lease found one
    begun_at: datetime | None = None  # when the lease committed that it leaves, where nothing stands between
    first_unclear: Row | None = None
    begun: datetime | None = None  # when the call left, as far as this worker knows
    found_now: bool = False  # the target has just been asked what it calls the customer

    @property
    def number(self) -> int:
        """The attempt this lease opened or found open."""
        return int(self.row["open"])

    @property
    def attempt(self) -> Attempt | None:
        """The open attempt, where the lease found one."""
        return read.attempt(self.open) if self.open is not None else None


def lease_length(table: TargetTable) -> timedelta:
    """Long enough for judging, a baseline and the call; and for company, where calls take several forwards."""
    gathers = LONGEST_GATHER + table.gather + table.timeout if table.provider.send_many else timedelta(0)
    return table.timeout * 2 + MARGIN * 2 + gathers


async def take(tx: Tx, table: TargetTable, scene: Scene, limit: int) -> list[Leased]:
    """Lease what is due at a target: first what has an attempt open, then new attempts."""
    until = scene.now + lease_length(table)
    name, at, end = table.name, scene.at, ms(until)
    reopened = await forwards.lease_open(tx, target=name, now=at, until=end, limit=limit)
    room = limit - len(reopened)
    if room and table.provider.find:
        await _into_lanes(tx, table, scene, room)
    fresh = await forwards.lease(tx, target=name, now=at, until=end, limit=room) if room else []
    found_open = {row["id"] for row in reopened}
    begun: set[tuple[str, int]] = set()
    if table.provider.repeat_safe_for and table.provider.baseline is None and not (table.dry_run or table.most):
        # Nothing is read first, and a repeat is harmless: the lease can say at once that it leaves.
        now_leaving = [ready(row, row["open"], "", scene.now, table) for row in fresh if not row["judge"]]
        begun = await attempts.begin(tx, now_leaving) if now_leaving else set()
    again = [row["id"] for row in (*reopened, *fresh) if row["attempts"] > 1 or row["id"] in found_open]
    tried: dict[str, list[Row]] = {}
    if again:
        for row in await attempts.of(tx, ids=again):
            tried.setdefault(str(row["forward"]), []).append(row)
    known = await _called(tx, table, (*reopened, *fresh))
    left = await _left(tx, table, fresh, scene)
    leased = []
    for row in (*reopened, *fresh):
        mine = tried.get(str(row["id"]), [])
        # What has been disproved is no doubt any more, and its baseline may be older than somebody else's reward.
        unclear = [
            one
            for one in mine
            if one["sent_at"] is not None and one["verdict"] in ("", "unclear") and one["resolution"] == ""
        ]
        current = next((one for one in mine if one["number"] == row["open"]), None) if row["id"] in found_open else None
        doubt = next((one for one in unclear if one is not current), None)
        # What has left, left under the name of its lane, whatever the target calls the customer by now.
        name = (_name_in(current["lane"]) if current is not None else "") or known.get(row["id"], "")
        forward = read.forward(row, doubt, known_as=name, baseline=left.get(row["lane"], ""))
        leased.append(
            Leased(
                row=row,
                forward=forward,
                table=table,
                lease_until=until,
                lane=row["lane"],
                open=current,
                begun_at=scene.now if (row["id"], row["open"]) in begun else None,
                first_unclear=unclear[0] if unclear else None,
            )
        )
    return leased


def ready(row: Row, number: int, baseline: str, now: datetime, table: TargetTable, lane: str = "") -> dict[str, Any]:
    """What `begin` is told of a call that is about to leave."""
    return {
        "id": row["id"],
        "lease": row["lease"],
        "number": number,
        "baseline": baseline,
        "now": ms(now),
        "latest": ms(now + table.timeout + timedelta(seconds=2)),
        "lane": lane,
    }


def called(row: Mapping[str, Any]) -> str:
    """By what a target's name for a forward's customer is remembered: all that the call knows of them."""
    return hashlib.sha256(str(row["customer"]).encode()).hexdigest()


def lane_of(table: TargetTable, forward: Forward, name: str) -> str:
    """The lane of a forward whose customer the target calls `name`: two customers of ours can be one of theirs."""
    reward = table.provider.lane(forward) if table.provider.lane else ""
    # A line end stands where our own names have a space: no customer id can imitate it, target names hold neither.
    return f"lane {table.name}\n{name}\n{reward}" if reward else f"lane {forward.id}"


def _name_in(lane: str) -> str:
    return lane.partition("\n")[2].partition("\n")[0]  # a name holds no line end; what names a reward can


async def _called(tx: Tx, table: TargetTable, rows: Sequence[Row]) -> dict[str, str]:
    """What the target calls the customers of these forwards, by forward, as far as it was asked."""
    if table.provider.find is None or not rows:
        return {}
    # Of what is sealed the reward cannot be told here, and so not its lane: whoever opens it asks for the name.
    keys = {str(row["id"]): called(row) for row in rows if SEALED not in json.loads(row["options"])}
    known = await names.known(tx, target=table.name, customers=set(keys.values()))
    return {id_: known[key] for id_, key in keys.items() if key in known}


async def _into_lanes(tx: Tx, table: TargetTable, scene: Scene, limit: int) -> None:
    """Put what is due and named by the target into the lanes of those names, before it is leased."""
    due = [
        row
        for row in await forwards.due(tx, target=table.name, now=scene.at, limit=limit)
        if not str(row["lane"]).startswith(f"lane {row['id']}")
    ]
    known = await _called(tx, table, due)
    # Those of an earlier try too: since then the target may have named another, whom the next try goes to.
    lanes = {row["id"]: lane_of(table, read.forward(row), known[row["id"]]) for row in due if row["id"] in known}
    if moves := [{"id": row["id"], "lane": lanes[row["id"]]} for row in due if lanes.get(row["id"], "") != row["lane"]
                 and row["id"] in lanes]:  # fmt: skip
        await forwards.put_in_lanes(tx, moves)


async def _left(tx: Tx, table: TargetTable, rows: Sequence[Row], scene: Scene) -> dict[str, str]:
    """What the last call in each lane left behind, where that may stand in for a baseline."""
    if not table.provider.baseline_keeps or not rows:
        return {}
    since = ms(scene.now - table.provider.baseline_keeps)
    return await attempts.left_behind(tx, lanes={str(row["lane"]) for row in rows}, since=since)


async def begin(tx: Tx, rows: list[Mapping[str, Any]]) -> list[bool]:
    """The group that commits what is about to leave: whether each may."""
    begun = await attempts.begin(tx, rows)
    return [(one["id"], one["number"]) in begun for one in rows]
