"""Message codes: six digits that prove an account by what it writes, each for one claim and a few minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .db import Row, Tx


async def add(tx: Tx, row: Mapping[str, Any]) -> bool:
    """Give out a code. False where the same digits are out already at this source."""
    return (
        await tx.run(
            """
            INSERT INTO codes (id, claim, source, code, browser, expires_at, at)
            VALUES (:id, :claim, :source, :code, :browser, :expires_at, :at) ON CONFLICT DO NOTHING
            """,
            **row,
        )
        == 1
    )


async def end(tx: Tx, *, claim: str, now: int) -> None:
    """The codes of a claim are good no longer."""
    await tx.run(
        "UPDATE codes SET used_at = :now, about = '' WHERE claim = :claim AND used_at IS NULL", claim=claim, now=now
    )


async def live(tx: Tx, *, claim: str, now: int) -> Row | None:
    """The code that is out for a claim."""
    rows = await tx.rows(
        """
        SELECT * FROM codes WHERE claim = :claim AND used_at IS NULL AND expires_at > :now ORDER BY id DESC LIMIT 1
        """,
        claim=claim,
        now=now,
    )
    return next(iter(rows), None)


async def sent(tx: Tx, *, source: str, code: str, account: str, now: int) -> Row | None:
    """An account has sent this code: whoever sends it first. None: there is no such code, or it has been sent."""
    rows = await tx.rows(
        """
        UPDATE codes SET account = :account
        WHERE source = :source AND code = :code AND used_at IS NULL AND expires_at > :now
          AND (account IS NULL OR account = :account)
        RETURNING *
        """,
        source=source,
        code=code,
        account=account,
        now=now,
    )
    return next(iter(rows), None)


async def describe(tx: Tx, *, id: str, about: str) -> None:
    """Keep, sealed, who has sent a code."""
    await tx.run("UPDATE codes SET about = :about WHERE id = :id AND used_at IS NULL", id=id, about=about)


async def missed(tx: Tx, *, source: str, account: str, hour: int) -> int:
    """An account has sent a wrong code; how many this hour."""
    rows = await tx.rows(
        """
        INSERT INTO misses (source, account, hour, count) VALUES (:source, :account, :hour, 1)
        ON CONFLICT (source, account, hour) DO UPDATE SET count = misses.count + 1
        RETURNING misses.count
        """,
        source=source,
        account=account,
        hour=hour,
    )
    return int(rows[0]["count"])


async def misses(tx: Tx, *, source: str, account: str, hour: int) -> int:
    """How many wrong codes an account has sent this hour."""
    rows = await tx.rows(
        "SELECT count FROM misses WHERE source = :source AND account = :account AND hour = :hour",
        source=source,
        account=account,
        hour=hour,
    )
    return int(rows[0]["count"]) if rows else 0


async def prune(tx: Tx, *, before: int, hour: int) -> None:
    """Forget codes that are over, and wrong ones of earlier hours."""
    await tx.run("DELETE FROM codes WHERE expires_at < :before", before=before)
    await tx.run("DELETE FROM misses WHERE hour < :hour", hour=hour)
