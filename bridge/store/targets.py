"""Targets: which are paused, by whom and why, and how their circuit breakers stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .db import Row, Tx
from .rows import idset


async def all(tx: Tx) -> dict[str, Row]:
    """Everything known of targets, by name."""
    return {str(row["name"]): row for row in await tx.rows("SELECT * FROM targets")}


async def _ensure(tx: Tx, *, name: str, now: int) -> None:
    await tx.run("INSERT INTO targets (name, at) VALUES (:name, :now) ON CONFLICT DO NOTHING", name=name, now=now)


async def pause(tx: Tx, *, name: str, pause: str, reason: str, now: int) -> bool:
    """Pause a target. `pause`: operator or misconfigured. False when it is paused already."""
    await _ensure(tx, name=name, now=now)
    return (
        await tx.run(
            """
            UPDATE targets SET paused_at = :now, pause = :pause, reason = :reason, at = :now
            WHERE name = :name AND paused_at IS NULL
            """,
            name=name,
            pause=pause,
            reason=reason,
            now=now,
        )
        == 1
    )


async def resume(tx: Tx, *, name: str, now: int) -> bool:
    """Resume a target. False when it was not paused."""
    return (
        await tx.run(
            """
            UPDATE targets SET paused_at = NULL, pause = '', reason = '', breaker = 'closed', failures = 0,
                               probe_at = NULL, at = :now
            WHERE name = :name AND paused_at IS NOT NULL
            """,
            name=name,
            now=now,
        )
        == 1
    )


async def breaker(tx: Tx, *, name: str, state: str, failures: int, probe_at: int | None, reason: str, now: int) -> None:
    """Record how a breaker stands, for whoever looks from another process and for the next start."""
    await _ensure(tx, name=name, now=now)
    await tx.run(
        """
        UPDATE targets SET breaker = :state, failures = :failures, probe_at = :probe_at, at = :now,
                           reason = CASE WHEN paused_at IS NULL THEN :reason ELSE reason END
        WHERE name = :name
        """,
        name=name,
        state=state,
        failures=failures,
        probe_at=probe_at,
        reason=reason,
        now=now,
    )


async def stranded(tx: Tx, *, known: Iterable[str]) -> Sequence[Row]:
    """What waits for targets that are not among the known ones, which nobody carries anything to."""
    return await tx.rows(
        """
        WITH RECURSIVE r (target) AS (
            SELECT min(target) FROM forwards WHERE due_at IS NOT NULL
            UNION ALL
            SELECT (SELECT min(target) FROM forwards WHERE due_at IS NOT NULL AND target > r.target)
            FROM r WHERE r.target IS NOT NULL
        )
        SELECT target, min(at) AS oldest, count(*) AS count
        FROM (SELECT forwards.target, forwards.at FROM r
              JOIN forwards ON forwards.due_at IS NOT NULL AND forwards.target = r.target
              WHERE r.target NOT IN (SELECT value ->> 'id' FROM json_each(:known))
              UNION ALL
              SELECT target, at FROM forwards
              WHERE parked IS NOT NULL AND target NOT IN (SELECT value ->> 'id' FROM json_each(:known))) AS waits
        GROUP BY target ORDER BY target
        """,
        known=idset(known),
    )
