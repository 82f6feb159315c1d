"""Everything that is encrypted at rest, for changing the key: table by table, page by page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import rowset

#: Table, what names a row, the sealed column. A new sealed column belongs here, and a test looks.
PLACES: tuple[tuple[str, str, str], ...] = (
    ("shown", "forward", "sealed"),
    ("claims", "id", "about"),
    ("claims", "id", "given"),
    ("sign_ins", "state", "sealed"),
    ("grants", "id", "sealed"),
    ("codes", "id", "about"),
    ("brands", "source", "sealed"),
    ("servers", "source || ' ' || home", "sealed"),
)


async def page(tx: Tx, *, place: tuple[str, str, str], after: str, limit: int) -> Sequence[Row]:
    """What is sealed in one place, in the order of its names: name, sealed."""
    table, name, column = place
    return await tx.rows(
        f"""
        SELECT {name} AS name, {column} AS sealed FROM {table}
        WHERE {name} > :after AND {column} <> '' ORDER BY name LIMIT :limit
        """,  # noqa: S608 (a fixed set)
        after=after,
        limit=limit,
    )


async def replace(tx: Tx, *, place: tuple[str, str, str], rows: Sequence[Mapping[str, Any]]) -> int:
    """Put what was sealed anew in the place of what is still as it was. `rows`: name, old, new; how many that were."""
    table, name, column = place
    return await tx.run(
        f"""
        UPDATE {table} SET {column} = r.new
        FROM (SELECT value ->> 'name' AS name, value ->> 'old' AS old, value ->> 'new' AS new
              FROM json_each(:rows) WHERE true) AS r
        WHERE {name} = r.name AND {table}.{column} = r.old
        """,  # noqa: S608 (a fixed set)
        rows=rowset(rows),
    )


async def options(tx: Tx, *, after: str, limit: int) -> Sequence[Row]:
    """Forwards that carry something sealed in their options: id, options."""
    return await tx.rows(
        """
        SELECT id AS name, options FROM forwards
        WHERE id > :after AND options LIKE :sealed ORDER BY id LIMIT :limit
        """,
        sealed='{"sealed":%',
        after=after,
        limit=limit,
    )


async def replace_options(tx: Tx, *, rows: Sequence[Mapping[str, Any]]) -> int:
    """The same for those. `rows`: name, old, new."""
    return await tx.run(
        """
        UPDATE forwards SET options = r.new
        FROM (SELECT value ->> 'name' AS name, value ->> 'old' AS old, value ->> 'new' AS new
              FROM json_each(:rows) WHERE true) AS r
        WHERE forwards.id = r.name AND forwards.options = r.old
        """,
        rows=rowset(rows),
    )
