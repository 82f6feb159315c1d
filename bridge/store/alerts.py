"""Alerts: what is wrong right now and has been told."""

from __future__ import annotations

from .db import Tx


async def standing(tx: Tx) -> dict[str, str]:
    """What has been told and not yet recovered: name -> text."""
    return {str(row["name"]): str(row["text"]) for row in await tx.rows("SELECT name, text FROM alerts")}


async def raised(tx: Tx, *, name: str, text: str, now: int) -> bool:
    """Remember that this was told. False when another worker was faster."""
    return (
        await tx.run(
            "INSERT INTO alerts (name, text, since) VALUES (:name, :text, :now) ON CONFLICT DO NOTHING",
            name=name,
            text=text,
            now=now,
        )
        == 1
    )


async def recovered(tx: Tx, *, name: str) -> bool:
    """Forget it. False when another worker was faster."""
    return await tx.run("DELETE FROM alerts WHERE name = :name", name=name) == 1
