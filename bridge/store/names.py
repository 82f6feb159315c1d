"""What targets call our customers, and what of their answers customers are shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import idset, rowset


async def known(tx: Tx, *, target: str, customers: Iterable[str]) -> dict[str, str]:
    """The names this target has for these customers, as far as it was asked for them."""
    rows = await tx.rows(
        """
        SELECT customer, name FROM names
        WHERE target = :target AND customer IN (SELECT value ->> 'id' FROM json_each(:customers))
        """,
        target=target,
        customers=idset(customers),
    )
    return {str(row["customer"]): str(row["name"]) for row in rows}


async def remember(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what targets call customers. `rows`: target, customer, name, at."""
    await tx.run(
        """
        INSERT INTO names (target, customer, name, at)
        SELECT value ->> 'target', value ->> 'customer', value ->> 'name', CAST(value ->> 'at' AS BIGINT)
        FROM json_each(:rows) WHERE true
        ON CONFLICT (target, customer) DO UPDATE SET name = excluded.name, at = excluded.at
        """,
        rows=rowset(rows),
    )


async def forget(tx: Tx, *, target: str, customers: Iterable[str]) -> None:
    """Ask the target anew for these customers when they are needed again."""
    await tx.run(
        """
        DELETE FROM names
        WHERE target = :target AND customer IN (SELECT value ->> 'id' FROM json_each(:customers))
        """,
        target=target,
        customers=idset(customers),
    )


async def show(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what customers are shown of an answer. `rows`: forward, sealed, at; the first answer counts."""
    await tx.run(
        """
        INSERT INTO shown (forward, sealed, at)
        SELECT value ->> 'forward', value ->> 'sealed', CAST(value ->> 'at' AS BIGINT)
        FROM json_each(:rows) WHERE true
        ON CONFLICT DO NOTHING
        """,
        rows=rowset(rows),
    )


async def shown(tx: Tx, *, forwards: Iterable[str]) -> Sequence[Row]:
    """What is kept, sealed, of these forwards' answers."""
    return await tx.rows(
        "SELECT * FROM shown WHERE forward IN (SELECT value ->> 'id' FROM json_each(:ids))", ids=idset(forwards)
    )
