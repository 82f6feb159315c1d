"""Attempts: every try to pay a forward, the lane it holds, and what it taught."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import idset, rowset


async def of(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """All attempts of these forwards, in order."""
    return await tx.rows(
        """
        SELECT * FROM attempts WHERE forward IN (SELECT value ->> 'id' FROM json_each(:ids)) ORDER BY forward, number
        """,
        ids=idset(ids),
    )


async def doubts(tx: Tx, *, ids: Iterable[str]) -> dict[str, Row]:
    """The first attempt of each of these forwards that left and has not been proven either way, by forward."""
    rows = await tx.rows(
        """
        SELECT * FROM attempts
        WHERE forward IN (SELECT value ->> 'id' FROM json_each(:ids))
          AND sent_at IS NOT NULL AND verdict IN ('', 'unclear') AND resolution = ''
        ORDER BY forward, number DESC
        """,
        ids=idset(ids),
    )
    return {str(row["forward"]): row for row in rows}


async def holders(tx: Tx, *, keys: Iterable[str]) -> dict[str, str]:
    """Which forward holds these lanes and seats."""
    rows = await tx.rows(
        """
        SELECT lane AS key, forward FROM attempts
        WHERE resolved_at IS NULL AND lane IN (SELECT value ->> 'id' FROM json_each(:keys))
        UNION ALL
        SELECT seat AS key, forward FROM attempts
        WHERE ended_at IS NULL AND seat IN (SELECT value ->> 'id' FROM json_each(:keys))
        """,
        keys=idset(keys),
    )
    return {str(row["key"]): str(row["forward"]) for row in rows}


async def left_behind(tx: Tx, *, lanes: Iterable[str], since: int) -> dict[str, str]:
    """What the target's record showed after the last call in each of these lanes, where that is known and fresh."""
    rows = await tx.rows(
        """
        SELECT lane, leaves FROM attempts
        WHERE leaves <> '' AND resolved_at >= :since
          AND lane IN (SELECT value ->> 'id' FROM json_each(:lanes))
        """,
        lanes=idset(lanes),
        since=since,
    )
    return {str(row["lane"]): str(row["leaves"]) for row in rows}


async def begin(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> set[tuple[str, int]]:
    """
    Commit that these calls are about to leave. `rows`: id, lease, number, baseline, now, latest, and the lane where
    what its last call left behind is kept.

    The (forward, number) that may be sent: those whose lease still holds and outlasts the call (`latest`), and of
    which nobody has wished anything else meanwhile. A forward may stand among the rows twice, under a lease that is
    lost and under the one that followed: one of them leaves.
    """
    begun = await tx.rows(
        """
        UPDATE attempts SET sent_at = r.now, baseline = r.baseline
        FROM (SELECT value ->> 'id' AS id, CAST(value ->> 'lease' AS BIGINT) AS lease,
                     CAST(value ->> 'number' AS BIGINT) AS number, value ->> 'baseline' AS baseline,
                     CAST(value ->> 'now' AS BIGINT) AS now, CAST(value ->> 'latest' AS BIGINT) AS latest
              FROM json_each(:rows) WHERE true) AS r
        WHERE attempts.forward = r.id AND attempts.number = r.number AND attempts.ended_at IS NULL
          AND attempts.lease_until >= r.latest
          AND EXISTS (SELECT 1 FROM forwards WHERE forwards.id = r.id AND forwards.lease = r.lease
                      AND forwards.open = r.number AND forwards.wish = '' AND forwards.judge = 0)
        RETURNING attempts.forward, attempts.number
        """,
        rows=rowset(rows),
    )
    left = {(str(row["forward"]), int(row["number"])) for row in begun}
    ids = {forward for forward, _ in left}
    if ids:
        await tx.run(
            "UPDATE forwards SET sent = 1 WHERE sent = 0 AND id IN (SELECT value ->> 'id' FROM json_each(:ids))",
            ids=idset(ids),
        )
    # What the target showed before these calls it no longer shows after them.
    if lanes := {str(row["lane"]) for row in rows if row["id"] in ids and row["lane"]}:
        await tx.run(
            """
            UPDATE attempts SET leaves = ''
            WHERE leaves <> '' AND lane IN (SELECT value ->> 'id' FROM json_each(:lanes))
            """,
            lanes=idset(lanes),
        )
    return left


async def change_lane(tx: Tx, *, forward: str, number: int, lane: str) -> bool:
    """
    Move a forward and its open attempt into another lane. False where that lane is taken: then only the forward.

    An attempt that is no longer the open one moves nothing: another has taken its place, in a lane of its own.
    """
    mine = await tx.rows(
        "UPDATE forwards SET lane = :lane WHERE id = :forward AND open = :number RETURNING forwards.id",
        forward=forward,
        number=number,
        lane=lane,
    )
    if not mine:
        return False
    moved = await tx.rows(
        """
        UPDATE attempts SET lane = :lane
        WHERE forward = :forward AND number = :number
          AND NOT EXISTS (SELECT 1 FROM attempts AS other WHERE other.lane = :lane AND other.resolved_at IS NULL
                          AND other.forward <> :forward)
        RETURNING attempts.forward
        """,
        forward=forward,
        number=number,
        lane=lane,
    )
    return bool(moved)


async def close(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Close attempts: forward, number, ended_at, resolved_at, resolution, status, verdict, note, reference, answer and
    leaves, which is what the target's record shows after it.

    What is resolved stays so: a worker that was late by more than its lease adds good news and nothing else.
    """
    await tx.run(
        """
        UPDATE attempts SET ended_at = coalesce(attempts.ended_at, r.ended_at),
                            resolved_at = coalesce(attempts.resolved_at, r.resolved_at),
                            resolution = r.resolution, status = coalesce(r.status, attempts.status),
                            verdict = r.verdict, note = r.note, reference = r.reference,
                            answer = CASE WHEN r.answer = '' THEN attempts.answer ELSE r.answer END,
                            leaves = CASE WHEN attempts.resolved_at IS NULL THEN r.leaves ELSE attempts.leaves END
        FROM (SELECT value ->> 'forward' AS forward, CAST(value ->> 'number' AS BIGINT) AS number,
                     CAST(value ->> 'ended_at' AS BIGINT) AS ended_at,
                     CAST(value ->> 'resolved_at' AS BIGINT) AS resolved_at, value ->> 'resolution' AS resolution,
                     CAST(value ->> 'status' AS BIGINT) AS status, value ->> 'verdict' AS verdict,
                     value ->> 'note' AS note, value ->> 'reference' AS reference, value ->> 'answer' AS answer,
                     value ->> 'leaves' AS leaves
              FROM json_each(:rows) WHERE true) AS r
        WHERE attempts.forward = r.forward AND attempts.number = r.number
          AND (attempts.resolved_at IS NULL OR r.resolution = 'happened' OR r.verdict = 'accepted')
        """,
        rows=rowset(rows),
    )


async def reopen(tx: Tx, *, forward: str, number: int) -> bool:
    """Make an attempt's doubt open again. False when another forward holds its lane."""
    changed = await tx.rows(
        """
        UPDATE attempts SET resolved_at = NULL
        WHERE forward = :forward AND number = :number
          AND NOT EXISTS (SELECT 1 FROM attempts AS other WHERE other.lane = attempts.lane
                          AND other.resolved_at IS NULL)
        RETURNING attempts.forward
        """,
        forward=forward,
        number=number,
    )
    return bool(changed)


async def resolve(tx: Tx, *, forward: str, number: int, resolution: str, now: int) -> None:
    """End the doubt about an attempt."""
    await tx.run(
        """
        UPDATE attempts SET resolved_at = :now, ended_at = coalesce(ended_at, :now), resolution = :resolution
        WHERE forward = :forward AND number = :number
        """,
        forward=forward,
        number=number,
        resolution=resolution,
        now=now,
    )


async def parked(tx: Tx) -> dict[str, int]:
    """How many forwards wait behind another one, by target."""
    rows = await tx.rows("SELECT target, count(*) AS count FROM forwards WHERE parked IS NOT NULL GROUP BY target")
    return {str(row["target"]): int(row["count"]) for row in rows}
