"""
Claims: is it so? Asked when an account has been connected, when the customer presses the button, by itself on a
schedule, and once more when a webhook has told.

    take     the claim is leased: an answer that comes for somebody else's lease changes nothing
    ask      the platform, with the brand's own means where there are any, else with what the customer has granted
    settle   one transaction: the claim's state and, where it is so, `consider` with all that follows from it

Whatever keeps a platform from answering is "unknown", never "not found". The first answer that says yes or no is the
baseline: who had done it before they were asked had done it already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from bridge.config import SourceTable
from bridge.kit import (
    Answer,
    Ask,
    AuditEntry,
    Disconnected,
    EvidenceState,
    FlowError,
    Misconfigured,
    Recorded,
    Tokens,
    Unavailable,
    Way,
)
from bridge.kit.errors import Sealed
from bridge.store import Row, Tx, audit, claims, codes, evidence, grants, sign_ins, standing
from bridge.store.rows import ms, when

from . import read, terms
from .consider import consider
from .desk import Desk
from .ingest import record_of
from .scene import Scene

log = structlog.get_logger("verify")

#: When a claim is asked about by itself: so long after the answer before. The last one again and again, until it ends.
SCHEDULE = tuple(timedelta(seconds=one) for one in (10, 30, 2 * 60, 10 * 60, 30 * 60, 2 * 3600, 6 * 3600, 12 * 3600))
#: How long whoever has leased a claim may take to ask.
LEASE = timedelta(seconds=60)
#: How often the customer's own button asks.
PRESS = timedelta(seconds=10)

ENDED = {"about": "", "given": "", "due_at": None, "obstacle": ""}


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a claim, and where something is due by that."""

    claim: Mapping[str, Any]
    targets: frozenset[str] = frozenset()


def way_of(claim: Row, source: SourceTable, settings: Mapping[str, Any]) -> Way | None:
    """How a claim is asked about under these settings; None where nobody can."""
    check = source.provider.checks.get(claim["action"])
    return check.way(settings) if check else None


async def ask(desk: Desk, claim: Row, source: SourceTable, scene: Scene, tokens: Tokens | None = None) -> Answer:
    """Ask a source about a claim. Never raises: what keeps it from answering is an answer, too."""
    try:
        settings = await desk.settings(source)
        way = way_of(claim, source, settings)
        if way is None or not claim["about"]:
            return Answer("unknown", "nobody can be asked with the settings there are", obstacle="brand")
        if way.keep and tokens is None:
            row = await desk.db.read(lambda tx: grants.of_claim(tx, claim=claim["id"]))
            if row is None:
                return Answer("unknown", "the customer's permission is gone", obstacle="reconnect")
            tokens = await desk.usable(row, source)
        asked = Ask(
            account=desk.account(claim["about"]),
            settings=settings,
            now=scene.now,
            tokens=tokens,
            given=desk.vault.open(claim["given"]) if claim["given"] else "",
            since=when(claim["created_at"]),
        )
        answer = await desk.hold(way.ask(asked))
    except Misconfigured as failure:
        log.error("a source refuses this application", source=source.name, error=failure.message)
        return Answer("unknown", failure.message, obstacle="brand")
    except Unavailable as failure:
        return Answer("unknown", failure.message, obstacle="busy")
    except (Disconnected, Sealed) as error:
        return Answer("unknown", error.message, obstacle="reconnect")
    except FlowError as error:
        return Answer("unknown", error.message)
    except Exception as error:
        log.exception("asking a source met a bug", source=source.name)
        return Answer("unknown", f"a bug of the bridge: {type(error).__name__}")
    return believable(answer, claim)


def believable(answer: Answer, claim: Row) -> Answer:
    """An answer that proves what it says; a yes without proof for this very account and action is none."""
    if answer.result != "verified":
        return answer if answer.result in ("not_found", "pending", "unknown") else Answer("unknown", "no such answer")
    one = answer.evidence
    if one is None or one.undone or one.part:
        return Answer("unknown", "the source said yes and gave no evidence for it")
    if (one.action, one.account) != (claim["action"], claim["account"]):
        return Answer("unknown", "the source answered about something else")
    if unfit := read.plausible(one):
        return Answer("unknown", f"what the source says cannot be kept: {unfit}")
    return answer


async def settle(tx: Tx, claim: Row, answer: Answer, source: SourceTable, scene: Scene) -> Settled:
    """Write down what an answer means for a claim, with all that follows. `claim`: as it was leased."""
    row = next(iter(await claims.of(tx, ids=[claim["id"]])), None)
    if row is None or row["lease"] != claim["lease"] or row["state"] not in ("open", "checking"):
        return Settled(row or claim)  # somebody else has asked meanwhile, or it is at its end
    changed = {**row, "result": answer.result, "note": answer.note[:500]}
    if answer.result == "verified":
        return await _proved(tx, changed, proof(row, answer, source, scene), scene)
    if told := await _told(tx, row, answer, scene):
        return await _proved(tx, {**changed, "result": "verified"}, told, scene, known=True)
    if scene.at >= row["expires_at"]:
        return Settled(await expire(tx, row, scene))
    if answer.result != "unknown" and not row["baseline"]:
        changed.update(baseline=answer.result, told_at=scene.at)
    pause = max(SCHEDULE[min(row["asked"], len(SCHEDULE) - 1)], answer.retry_after or timedelta(0))
    changed.update(
        obstacle=answer.obstacle if answer.result == "unknown" else "",
        asked=row["asked"] + 1,
        due_at=min(ms(scene.now + pause), row["expires_at"]),
    )
    await claims.change(tx, changed, now=scene.at)
    if (row["result"], row["obstacle"]) != (changed["result"], changed["obstacle"]):
        told_of = {"result": answer.result, "obstacle": changed["obstacle"]}
        await entry(tx, scene, "claim.asked", row["id"], **told_of)
    return Settled(changed)


async def _told(tx: Tx, claim: Row, answer: Answer, scene: Scene) -> Recorded | None:
    """What a webhook has told of it since the claim began; where the source cannot say, earlier, too."""
    if claim["account"] is None:
        return None
    rules = scene.config.rules_for(claim["source"], claim["action"])
    ever = answer.result == "unknown" and all(rule.limit.period == "ever" for rule, _ in rules)
    row = await standing.deed(
        tx,
        owner=claim["customer"],
        source=claim["source"],
        account=claim["account"],
        action=claim["action"],
        since=0 if ever else claim["created_at"],
    )
    return read.recorded(row) if row is not None else None


def proof(claim: Row, answer: Answer, source: SourceTable, scene: Scene) -> Recorded:
    """The evidence of a yes, with what is known of it: that it was so already, that something is doubtful."""
    assert answer.evidence is not None
    told = record_of(answer.evidence, source, scene.now, scene, delivery=claim["id"])
    rules = [rule for rule, _ in scene.config.rules_for(claim["source"], claim["action"])]
    already = doubtful = False
    if claim["baseline"]:  # it was not so when they were asked
        quick = claim["told_at"] is not None and scene.now - when(claim["told_at"]) < scene.config.connect.too_fast
        doubtful = quick
    elif answer.evidence.occurred_at is not None:
        already = ms(answer.evidence.occurred_at) < claim["created_at"]
    elif claim["result"] in ("", "verified"):
        already = True  # so at the first look
    else:
        # Nobody could say how it was when they were asked: where that decides, a person does.
        doubtful = any(rule.already == "skip" for rule in rules)
    return replace(told, already=already, review="doubtful" if doubtful else "")


async def _proved(tx: Tx, changed: dict[str, Any], told: Recorded, scene: Scene, *, known: bool = False) -> Settled:
    """It is so: through the same hall as a webhook. `known`: it is in the store already."""
    targets: set[str] = set()
    forwards: list[str] = []
    looked, id_ = False, told.id
    if not known:
        [one] = await consider(tx, [told], scene)
        forwards, targets = one.forwards, one.targets
        looked, known = one.reason == terms.IN_REVIEW, not one.new
        if one.new and told.already:
            await standing.already(tx, ids=[told.id])
    if known:
        [row] = await evidence.named(tx, [(told.source, told.action, told.key)])
        id_, looked = row["id"], row["review"] == "asked"
        if row["state"] == EvidenceState.WAITING and not looked:
            [one] = await consider(tx, [read.recorded(row)], scene, again=True)
            forwards, targets, looked = one.forwards, one.targets, one.reason == terms.IN_REVIEW
    changed.update(ENDED, state="review" if looked else "verified", evidence=id_, reason="")
    await claims.change(tx, changed, now=scene.at)
    await end(tx, changed, scene)
    detail: dict[str, Any] = {"evidence": id_, **({"forwards": forwards} if forwards else {})}
    await entry(tx, scene, f"claim.{changed['state']}", changed["id"], **detail)
    return Settled(changed, frozenset(targets))


async def over(tx: Tx, row: Row, scene: Scene) -> None:
    """A claim's time is over, or its source is gone: one last look at what has been heard."""
    current = next(iter(await claims.of(tx, ids=[row["id"]])), None)
    if current is None or current["lease"] != row["lease"] or current["state"] not in ("open", "checking"):
        return
    if current["state"] == "open" and current["evidence"]:  # it was told of an account that somebody else has linked
        [known] = await evidence.of(tx, ids=[current["evidence"]])
        if known["review"] == "asked":
            changed = {**current, **ENDED, "state": "review", "account": known["account"]}
            await claims.change(tx, changed, now=scene.at)
            await entry(tx, scene, "claim.review", row["id"], evidence=known["id"])
            return
    if told := await _told(tx, current, Answer("not_found"), scene):
        await _proved(tx, {**current, "result": "verified"}, told, scene, known=True)
    else:
        await expire(tx, current, scene)


async def expire(tx: Tx, row: Row, scene: Scene) -> Mapping[str, Any]:
    """The time to prove it is over."""
    changed = {**row, **ENDED, "state": "expired", "reason": "it was not proved in time"}
    if await claims.change(tx, changed, now=scene.at):
        await end(tx, changed, scene)
        await entry(tx, scene, "claim.expired", row["id"])
    return changed


async def end(tx: Tx, claim: Mapping[str, Any], scene: Scene) -> None:
    """Let go of what a claim needed: verifiers, codes, and the customer's permission unless a reward waits for it."""
    await sign_ins.wipe(tx, claim=claim["id"])
    await codes.end(tx, claim=claim["id"], now=scene.at)
    rules = scene.config.rules_for(claim["source"], claim["action"])
    if claim["state"] in ("rejected", "expired") or not any(rule.wait for rule, _ in rules):
        await grants.end_of_claim(tx, claim=claim["id"], now=scene.at)


async def press(desk: Desk, id_: str, scene: Scene, *, given: str = "") -> tuple[Settled, int]:
    """The customer's own button: what became of the claim, and how many seconds to wait where it is too soon."""

    async def take(tx: Tx) -> tuple[Row | None, int]:
        row = next(iter(await claims.of(tx, ids=[id_])), None)
        if row is None or row["state"] != "checking":
            return row, 0
        if wait := patience(row, scene):
            return row, wait
        taken = await claims.take(tx, id=id_, until=ms(scene.now + LEASE))
        assert taken is not None
        changed = {**taken, "pressed_at": scene.at, "asked": 0}
        if given:
            changed["given"] = desk.vault.seal(given)
        await claims.change(tx, changed, now=scene.at)
        return changed, -1

    row, wait = await desk.db.transact(take)
    source = scene.config.source_of(row["source"]) if row else None
    if row is None or wait >= 0 or source is None:
        return Settled(row or {}), max(wait, 0)
    return await asked(desk, row, source, scene), 0


def patience(claim: Row, scene: Scene) -> int:
    """How many seconds until the customer's button asks again; 0: now."""
    soonest = claim["pressed_at"] + PRESS / timedelta(milliseconds=1) if claim["pressed_at"] is not None else 0
    if claim["obstacle"] == "busy" and claim["due_at"] is not None:
        soonest = max(soonest, min(claim["due_at"], claim["at"] + 60_000))  # what it asked for, and at most a minute
    return max(0, -int((scene.at - soonest) // 1000))


async def asked(desk: Desk, claim: Row, source: SourceTable, scene: Scene, tokens: Tokens | None = None) -> Settled:
    """Ask about a leased claim and settle what comes back."""
    answer = await ask(desk, claim, source, scene, tokens)
    later = replace(scene, now=desk.clock())
    settled: Settled = await desk.db.transact(lambda tx: settle(tx, claim, answer, source, later))
    return settled


async def entry(tx: Tx, scene: Scene, action: str, object_: str, because: str = "", **detail: Any) -> None:
    told = {"because": because, **detail} if because else detail
    await audit.append(tx, [AuditEntry(actor=scene.actor, action=action, object=object_, detail=told)], now=scene.at)
