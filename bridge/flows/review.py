"""Claims in review: a person approves or refuses, and what was proved is considered once more."""

from __future__ import annotations

from bridge.kit import NotFound
from bridge.store import Row, Tx, claims, evidence, links, standing

from . import read, verify
from .consider import consider
from .operate import Done
from .scene import Scene


async def approve(tx: Tx, id_: str, scene: Scene, because: str) -> Done:
    """What was proved counts."""
    return await _decide(tx, id_, scene, because, approved=True)


async def refuse(tx: Tx, id_: str, scene: Scene, because: str) -> Done:
    """What was proved does not count, now or later."""
    return await _decide(tx, id_, scene, because, approved=False)


async def _decide(tx: Tx, id_: str, scene: Scene, because: str, *, approved: bool) -> Done:
    claim = next(iter(await claims.of(tx, ids=[id_])), None)
    if claim is None:
        raise NotFound(f"there is no claim {id_}")
    if claim["state"] != "review":
        return Done(id_, False, f"is {claim['state']}; only claims in review are decided")
    rows = await _asked(tx, claim)
    await standing.review(tx, ids=[row["id"] for row in rows], review="approved" if approved else "refused")
    if approved:
        await links.trust(tx, source=claim["source"], account=claim["account"])
    fresh = await evidence.of(tx, ids=[row["id"] for row in rows])
    considered = await consider(
        tx, [read.recorded(row) for row in fresh], scene, again=True, owners=read.owners(fresh, scene.config)
    )
    made = [id_ for one in considered for id_ in one.forwards]
    state = "verified" if approved else "rejected"
    changed = {**claim, **verify.ENDED, "state": state, "reason": "" if approved else "refused in review"}
    await claims.change(tx, changed, now=scene.at)
    await verify.end(tx, changed, scene)
    verb = "approved" if approved else "refused"
    await verify.entry(tx, scene, f"claim.{verb}", id_, because, **({"forwards": made} if made else {}))
    owed = f"; {', '.join(made)} owed" if made else ""
    return Done(id_, True, f"is {state}{owed}")


async def _asked(tx: Tx, claim: Row) -> list[Row]:
    """All the evidence that a claim carries the question about: its own, and what came after it."""
    rows = [*await evidence.of(tx, ids=[claim["evidence"]])] if claim["evidence"] else []
    if claim["account"]:
        rows += await standing.in_review(tx, source=claim["source"], account=claim["account"], action=claim["action"])
    return list({row["id"]: row for row in rows}.values())
