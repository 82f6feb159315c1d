"""Sign-ins: one row for each visit to a platform, good once, in one browser, for a few minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .db import Row, Tx


async def add(tx: Tx, row: Mapping[str, Any]) -> None:
    """Keep a sign-in under the hash of its state."""
    await tx.run(
        """
        INSERT INTO sign_ins (state, source, claim, browser, sealed, expires_at)
        VALUES (:state, :source, :claim, :browser, :sealed, :expires_at)
        """,
        **row,
    )


async def consume(tx: Tx, *, state: str, source: str, browser: str, now: int) -> Row | None:
    """A state works once, for one source, in one browser. None: it does not."""
    found = await tx.rows("SELECT * FROM sign_ins WHERE state = :state", state=state)
    used = await tx.run(
        """
        UPDATE sign_ins SET consumed_at = :now, sealed = ''
        WHERE state = :state AND source = :source AND browser = :browser AND consumed_at IS NULL AND expires_at > :now
        """,
        state=state,
        source=source,
        browser=browser,
        now=now,
    )
    return found[0] if used == 1 else None


async def is_for(tx: Tx, *, state: str, claim: str) -> bool:
    """Whether a state was begun for this: asked without taking the writer's time."""
    return bool(
        await tx.rows("SELECT 1 AS one FROM sign_ins WHERE state = :state AND claim = :claim", state=state, claim=claim)
    )


async def prove(tx: Tx, *, state: str, source: str, proof: str) -> bool:
    """Keep what a login has signed. False where it has been used before."""
    used = await tx.rows(
        "SELECT state FROM sign_ins WHERE source = :source AND proof = :proof AND state <> :state",
        source=source,
        proof=proof,
        state=state,
    )
    if used:
        return False
    await tx.run("UPDATE sign_ins SET proof = :proof WHERE state = :state", proof=proof, state=state)
    return True


async def prune(tx: Tx, *, before: int, proofs_before: int) -> int:
    """Forget what is over; what a login has signed is remembered for longer, because it is good for longer."""
    return await tx.run(
        "DELETE FROM sign_ins WHERE expires_at < :before AND (proof IS NULL OR expires_at < :proofs_before)",
        before=before,
        proofs_before=proofs_before,
    )


async def wipe(tx: Tx, *, claim: str) -> None:
    """Forget the verifiers of a claim that is at its end; whoever comes back late in another tab sees how it ended."""
    await tx.run("UPDATE sign_ins SET sealed = '' WHERE claim = :claim AND consumed_at IS NULL", claim=claim)
