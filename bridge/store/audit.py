"""The audit log: appended, never changed, sealed in a chain."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from bridge.kit import AuditEntry

from .db import Row, Tx
from .rows import text


async def append(tx: Tx, entries: Sequence[AuditEntry], *, now: int) -> None:
    """Add entries. Their numbers follow the last one without a gap: a missing entry shows."""
    if not entries:
        return
    last = await newest(tx)
    await tx.many(
        """
        INSERT INTO audit (number, at, actor, action, object, detail)
        VALUES (:number, :at, :actor, :action, :object, :detail)
        """,
        [
            {
                "number": number,
                "at": now,
                "actor": entry.actor,
                "action": entry.action,
                "object": entry.object,
                "detail": text(entry.detail) if entry.detail else "{}",
            }
            for number, entry in enumerate(entries, last + 1)
        ],
    )


async def seal(tx: Tx, *, now: int, limit: int = 20_000) -> bool:
    """Seal what has no seal yet, at most `limit` entries. False when there was nothing."""
    last = next(iter(await tx.rows("SELECT * FROM seals ORDER BY number DESC LIMIT 1")), None)
    after = int(last["upto"]) if last else 0
    rows = await between(tx, after=after, upto=after + limit)
    if not rows:
        return False
    await tx.run(
        "INSERT INTO seals (number, upto, hash, at) VALUES (:number, :upto, :hash, :at)",
        number=int(last["number"]) + 1 if last else 1,
        upto=int(rows[-1]["number"]),
        hash=chained(str(last["hash"]) if last else "", rows),
        at=now,
    )
    return True


async def between(tx: Tx, *, after: int, upto: int) -> Sequence[Row]:
    """The entries with after < number <= upto, in order."""
    return await tx.rows(
        "SELECT * FROM audit WHERE number > :after AND number <= :upto ORDER BY number", after=after, upto=upto
    )


async def seals(tx: Tx) -> Sequence[Row]:
    """All seals, oldest first."""
    return await tx.rows("SELECT * FROM seals ORDER BY number")


async def newest(tx: Tx) -> int:
    """The number of the newest entry; 0 where there is none."""
    [row] = await tx.rows("SELECT coalesce(max(number), 0) AS number FROM audit")
    return int(row["number"])


async def about(tx: Tx, *, objects: Iterable[str]) -> Sequence[Row]:
    """The entries about these things, oldest first."""
    found: list[Row] = []
    for one in objects:
        found.extend(
            await tx.rows(
                "SELECT * FROM audit WHERE object = :object AND action <> 'delivery.stored' ORDER BY number LIMIT 200",
                object=one,
            )
        )
    return sorted(found, key=lambda row: int(row["number"]))


async def settled_by_hand(tx: Tx, *, forward: str) -> bool:
    """Whether an operator has said that he has taken this reward back."""
    rows = await tx.rows(
        """
        SELECT 1 AS one FROM audit
        WHERE object = :forward AND action <> 'delivery.stored' AND action = 'forward.confirmed'
          AND detail LIKE :undo
        LIMIT 1
        """,
        forward=forward,
        undo='%"undo":true%',
    )
    return bool(rows)


def chained(before: str, rows: Iterable[Row]) -> str:
    """The seal over these entries and the seal before: SHA-256 over one line for each, hex."""
    digest = hashlib.sha256(before.encode())
    for row in rows:
        fields = (row["number"], row["at"], row["actor"], row["action"], row["object"], row["detail"])
        digest.update("\x1f".join(map(str, fields)).encode() + b"\x1e")
    return digest.hexdigest()


async def page(tx: Tx, *, after: int, since: int, limit: int) -> Sequence[Row]:
    """Entries made since then, oldest first, page by page in order of number."""
    return await tx.rows(
        "SELECT * FROM audit WHERE number > :after AND at >= :since ORDER BY number LIMIT :limit",
        after=after,
        since=since,
        limit=limit,
    )
