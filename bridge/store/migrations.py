"""The schema's history: an ordered list; what is missing is applied in one transaction."""

from __future__ import annotations

import re
from importlib.resources import files

from .db import Row, Store, Tx

#: Name and files, in order. `{engine}` is the store's. A migration that has landed is never edited.
MIGRATIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("0001 the house", ("schema.sql", "triggers_{engine}.sql")),
    ("0002 what targets know", ("0002_targets.sql",)),
    ("0003 what customers say", ("0003_claims.sql",)),
)


async def migrate(db: Store, now: int) -> list[str]:
    """Bring the schema up to date; the names of what was applied."""

    async def known(tx: Tx) -> set[str]:
        rows = await tx.rows("SELECT name FROM sqlite_master WHERE name = 'migrations'")
        return {str(row["name"]) for row in await tx.rows("SELECT name FROM migrations")} if rows else set()

    async def apply(tx: Tx) -> list[str]:
        await tx.run("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, at BIGINT NOT NULL)")
        done: list[Row] = list(await tx.rows("SELECT name FROM migrations"))
        applied = {str(row["name"]) for row in done}
        missing = [(name, parts) for name, parts in MIGRATIONS if name not in applied]
        for name, parts in missing:
            for part in parts:
                for statement in statements(part.format(engine=db.engine)):
                    await tx.run(statement)
            await tx.run("INSERT INTO migrations (name, at) VALUES (:name, :at)", name=name, at=now)
        return [name for name, _ in missing]

    if {name for name, _ in MIGRATIONS} <= await db.read(known):
        return []  # nothing to do takes no lock, so that a command never waits for a busy writer to learn that
    return await db.transact(apply)


def statements(name: str) -> list[str]:
    """The statements of a file: separated by a semicolon at the end of a line, `END;` closing a trigger."""
    text = (files("bridge.store") / name).read_text("utf-8")
    text = re.sub(r"--[^\n]*", "", text)
    return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", text) if part.strip()]
