"""What the demo page sees of a running bridge, and the one thing it may do there: say whose account it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.app import Bridge
from bridge.flows import operate
from bridge.store import Tx, attempts, lists

from .page import Kind

MOST = 200


class Window:
    """The page's `Bridge` over the real one."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    async def lately(self, kind: Kind) -> Sequence[Mapping[str, Any]]:
        """The newest rows of a kind, newest first."""

        async def look(tx: Tx) -> Sequence[Mapping[str, Any]]:
            if kind != "attempts":
                return await lists.page(tx, kind, {}, limit=MOST)
            newest = await lists.page(tx, "forwards", {}, limit=MOST)
            tried = await attempts.of(tx, ids=(str(row["id"]) for row in newest))
            return sorted(tried, key=lambda row: (row["leased_at"], row["number"]), reverse=True)

        return [dict(row) for row in await self.bridge.db.read(look)]

    async def link(self, customer: str, source: str, account: str) -> None:
        """As the shop would: what waited for it is considered at once."""
        scene = self.bridge.scene("sandbox")

        async def say(tx: Tx) -> None:
            await operate.link(tx, customer, scene.config.sources[source], account, scene, how="sandbox")

        await self.bridge.db.transact(say)
        self.bridge.worker.wake()
