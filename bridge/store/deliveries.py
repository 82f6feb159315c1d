"""Deliveries: what came in, signed, byte for byte."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import idset, rowset

INSERT = """
    INSERT INTO deliveries (id, source, key, method, url, headers, body, received_at, state, reason, at)
    VALUES (:id, :source, :key, :method, :url, :headers, :body, :received_at, :state, :reason, :at)
    ON CONFLICT DO NOTHING
"""


async def remember(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Store what is new. Of what is not: the id under which we already have it, by the id it came with."""
    if await tx.many(INSERT, rows) == len(rows):
        return {}
    stored = await tx.rows(
        "SELECT id FROM deliveries WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))",
        ids=idset(str(row["id"]) for row in rows),
    )
    new = {str(row["id"]) for row in stored}
    known = await tx.rows(
        """
        UPDATE deliveries SET copies = deliveries.copies + r.copies
        FROM (SELECT value ->> 'source' AS source, value ->> 'key' AS key, CAST(count(*) AS BIGINT) AS copies
              FROM json_each(:rows) WHERE true GROUP BY value ->> 'source', value ->> 'key') AS r
        WHERE deliveries.source = r.source AND deliveries.key = r.key
        RETURNING deliveries.id, deliveries.source, deliveries.key
        """,
        rows=rowset({"source": row["source"], "key": row["key"]} for row in rows if row["id"] not in new),
    )
    first = {(row["source"], row["key"]): str(row["id"]) for row in known}
    return {str(row["id"]): first[row["source"], row["key"]] for row in rows if row["id"] not in new}


async def find(tx: Tx, *, id: str) -> Row | None:
    """One delivery with its bytes."""
    return next(iter(await tx.rows("SELECT * FROM deliveries WHERE id = :id", id=id)), None)


async def mark(tx: Tx, *, id: str, state: str, reason: str, now: int) -> None:
    """Record how a replayed delivery was read this time."""
    await tx.run(
        "UPDATE deliveries SET state = :state, reason = :reason, at = :now WHERE id = :id",
        id=id,
        state=state,
        reason=reason,
        now=now,
    )


async def of(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """Several deliveries with their bytes, oldest first."""
    return await tx.rows(
        "SELECT * FROM deliveries WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids)) ORDER BY id",
        ids=idset(ids),
    )
