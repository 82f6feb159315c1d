"""What is done for claims by itself: asking again, ending what is over, giving permissions back, forgetting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from bridge.kit.errors import StoreError
from bridge.store import Row, Tx, claims, codes, grants, sign_ins
from bridge.store.rows import ms

from . import verify
from .desk import ORPHANED, Desk
from .scene import Scene
from .verify import LEASE

log = structlog.get_logger("rounds")

#: Claims and permissions looked after at a time: as many conversations with platforms are under way at once.
AT_ONCE = 16
HOUR = timedelta(hours=1)
#: How long what a login has signed is remembered. Telegram's own limit is a day; providers take no older one.
PROOFS = timedelta(days=2)


class Rounds:
    """Looks after the claims that are due. One round at a time."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def go(self, scene: Scene) -> set[str]:
        """One round; the targets where something is due now."""

        async def lease(tx: Tx) -> tuple[list[Row], list[Row]]:
            due = await claims.lease(tx, now=scene.at, until=ms(scene.now + LEASE), limit=AT_ONCE)
            until = ms(scene.now + ORPHANED)
            ending = await grants.lease_ending(tx, now=scene.at, until=until, limit=AT_ONCE)
            return list(due), list(ending)

        if not await self.desk.db.read(lambda tx: claims.any_due(tx, now=scene.at)):
            return set()
        due, ending = await self.desk.db.transact(lease)
        done = await asyncio.gather(
            *(self._claim(row, scene) for row in due), *(self._grant(row, scene) for row in ending)
        )
        return set().union(*done)

    async def _claim(self, row: Row, scene: Scene) -> set[str]:
        source = scene.config.source_of(row["source"])
        try:
            if row["state"] == "open" or source is None or scene.at >= row["expires_at"]:
                await self.desk.db.transact(lambda tx: verify.over(tx, row, scene))
                return set()
            settled = await verify.asked(self.desk, row, source, scene)
            return set(settled.targets)
        except StoreError as error:
            log.error("a claim could not be settled", claim=row["id"], error=error.message)
        except Exception:
            log.exception("a claim met a bug", claim=row["id"])
        return set()  # its lease runs out, and it is due again

    async def _grant(self, row: Row, scene: Scene) -> set[str]:
        try:
            await self.desk.give_back(row, scene.config.source_of(row["source"]))
        except StoreError as error:
            log.error("a permission could not be given back", grant=row["id"], error=error.message)
        except Exception:
            log.exception("giving a permission back met a bug", grant=row["id"])
        return set()

    async def run(self, scene: Callable[[], Scene], wake: Callable[[str], None]) -> None:
        """A round each second until it is cancelled: a platform that takes its time holds up nothing else."""
        tick = 0
        while True:
            await asyncio.sleep(1)
            tick += 1
            try:
                for target in await self.go(scene()):
                    wake(target)
                if tick % 60 == 0:
                    await self.sweep(scene())
            except StoreError as error:
                log.error("customers' claims", error=error.message)
            except Exception:
                log.exception("customers' claims")

    async def sweep(self, scene: Scene) -> None:
        """Forget what is over; end permissions that nothing waits for."""
        before = ms(scene.now - HOUR)

        async def work(tx: Tx) -> None:
            await grants.end_idle(tx, now=scene.at)
            await sign_ins.prune(tx, before=before, proofs_before=ms(scene.now - PROOFS))
            await codes.prune(tx, before=before, hour=before // (HOUR // timedelta(milliseconds=1)))

        await self.desk.db.transact(work)
