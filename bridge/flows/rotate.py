"""A new key: everything that is encrypted at rest is encrypted again under the newest one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bridge.kit import AuditEntry
from bridge.kit.errors import Sealed
from bridge.store import Row, Store, Tx, audit, sealed
from bridge.store.rows import text
from bridge.vault import Vault

from .answer import SEALED
from .scene import Scene

PAGE = 200


@dataclass(slots=True)
class Rotated:
    """How far it has come."""

    done: int = 0
    lost: int = 0  # no key that is left opens these


async def rotate(db: Store, vault: Vault, scene: Scene) -> Rotated:
    """
    Page by page, each a transaction of its own: whatever stops it, the same command goes on.

    What a running bridge writes meanwhile is under its own newest key, and what it changes meanwhile stays as it has.
    """
    total = Rotated()
    for place in sealed.PLACES:
        after = ""
        while rows := await db.read(partial(sealed.page, place=place, after=after, limit=PAGE)):
            after = str(rows[-1]["name"])
            fresh = [{**one, "old": one["sealed"]} for one in _fresh(rows, vault, total)]
            total.done += await db.transact(partial(sealed.replace, place=place, rows=fresh))
    after = ""
    while rows := await db.read(partial(sealed.options, after=after, limit=PAGE)):
        after = str(rows[-1]["name"])
        told = [{**dict(row), "sealed": json.loads(row["options"])[SEALED]} for row in rows]
        fresh = [
            {"name": one["name"], "old": one["options"], "new": text({SEALED: one["new"]})}
            for one in _fresh(told, vault, total)
        ]
        total.done += await db.transact(partial(sealed.replace_options, rows=fresh))

    async def written(tx: Tx) -> None:
        told = {"done": total.done, "lost": total.lost}
        entry = AuditEntry(actor=scene.actor, action="key.rotated", object="vault", detail=told)
        await audit.append(tx, [entry], now=scene.at)

    await db.transact(written)
    return total


def _fresh(rows: Sequence[Row], vault: Vault, total: Rotated) -> list[dict[str, Any]]:
    """The rows that can be opened, each with what it is to be under the newest key."""
    found: list[dict[str, Any]] = []
    for row in rows:
        try:
            found.append({**dict(row), "new": vault.reseal(row["sealed"])})
        except Sealed:
            total.lost += 1
    return found
