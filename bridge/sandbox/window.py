"""What the demo page sees of a running bridge, and what it may do there: what an operator does at the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.app import Bridge
from bridge.flows import operate
from bridge.kit import BridgeError
from bridge.store import Tx, attempts, lists, targets

from .acts import Verb
from .page import Kind

MOST = 400


class Window:
    """The page's `Bridge` over the real one."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    async def lately(self, kind: Kind) -> Sequence[Mapping[str, Any]]:
        """The newest rows of a kind, newest first."""

        async def look(tx: Tx) -> Sequence[Mapping[str, Any]]:
            if kind == "targets":
                return list((await targets.all(tx)).values())
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

    async def operate(self, verb: Verb, name: str) -> str:
        """An operator's verb on a forward or a target; what it did, in words."""
        scene = self.bridge.scene("sandbox")
        do = operate.resume if verb == "resume" else operate.VERBS[verb]
        try:
            done: operate.Done = await self.bridge.db.transact(lambda tx: do(tx, name, scene, "pressed in the demo"))
        except BridgeError as error:
            return error.message
        self.bridge.worker.wake()
        return f"{name} {done.said}."

    async def greet(self) -> Sequence[str]:
        """Ask every loyalty API what `check --live` asks: whether the keys and the rules are right. The faults."""
        config, line = self.bridge.config, self.bridge.worker.teller.line
        faults: list[str] = []
        for name, table in config.targets.items():
            if table.provider.probe is not None:
                sends = [send.options for rule in config.rules for send in rule.sends if send.to == name]
                faults += await line.hold(table.provider.probe(sends, table.settings), table)
        return faults
