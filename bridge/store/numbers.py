"""Numbers that only grow, or say when something was last seen: counters that outlive the process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .db import Row, Tx


async def add(tx: Tx, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to counters. `counts`: (name, label) -> how many more."""
    rows = [{"name": name, "label": label, "value": value} for (name, label), value in counts.items()]
    await tx.many("INSERT INTO numbers (name, label, value) VALUES (:name, :label, 0) ON CONFLICT DO NOTHING", rows)
    await tx.many("UPDATE numbers SET value = value + :value WHERE name = :name AND label = :label", rows)


async def put(tx: Tx, values: Mapping[tuple[str, str], int]) -> None:
    """Set numbers. `values`: (name, label) -> value."""
    rows = [{"name": name, "label": label, "value": value} for (name, label), value in values.items()]
    await tx.many("INSERT INTO numbers (name, label, value) VALUES (:name, :label, 0) ON CONFLICT DO NOTHING", rows)
    await tx.many("UPDATE numbers SET value = :value WHERE name = :name AND label = :label", rows)


async def named(tx: Tx, *, name: str) -> dict[str, int]:
    """All numbers of one name, by label."""
    rows: Sequence[Row] = await tx.rows("SELECT label, value FROM numbers WHERE name = :name", name=name)
    return {str(row["label"]): int(row["value"]) for row in rows}
