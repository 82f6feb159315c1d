"""Rejections: requests that were refused, within a bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .db import Tx

#: How many are kept. They are counted for ever.
KEPT = 10_000


async def keep(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows, and let the oldest go beyond the bound."""
    await tx.many(
        """
        INSERT INTO rejections (id, source, reason, detail, hint, method, path, headers, size, sha256, at)
        VALUES (:id, :source, :reason, :detail, :hint, :method, :path, :headers, :size, :sha256, :at)
        ON CONFLICT DO NOTHING
        """,
        rows,
    )
    await tx.run(
        """
        DELETE FROM rejections WHERE id <= (SELECT id FROM rejections ORDER BY id DESC LIMIT 1 OFFSET :kept)
        """,
        kept=KEPT,
    )
