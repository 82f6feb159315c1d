"""
Message codes: where a login cannot prove an account, what it writes to the brand does.

The page shows six digits; the customer sends them; the signed webhook brings account and code; the page that shows
the code says who has sent it and asks "is this you?" before anything is linked. Fifteen minutes, one claim, five wrong
ones for each account and hour.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import structlog

from bridge.config import SourceTable
from bridge.kit import (
    ClaimExpired,
    Delivery,
    FlowError,
    Message,
    Misconfigured,
    SignInRefused,
    StateMismatch,
    Unavailable,
    code_of,
)
from bridge.kit.query import controls
from bridge.store import Row, Tx, codes
from bridge.store.rows import ms

from . import read, verify
from .desk import Desk
from .link import link
from .scene import Scene
from .verify import Settled, entry

log = structlog.get_logger("codes")

LASTS = timedelta(minutes=15)
WRONG = 5
HOUR = timedelta(hours=1)


async def give(
    desk: Desk, claim: Row, source: SourceTable, browser: str, scene: Scene, digits: Callable[[], str]
) -> Row:
    """The code that a claim's page shows: the one that is out in this browser, or a fresh one."""

    async def work(tx: Tx) -> Row:
        out = await codes.live(tx, claim=claim["id"], now=scene.at)
        if out is not None and out["browser"] == browser and out["account"] is None:
            return out
        await codes.end(tx, claim=claim["id"], now=scene.at)
        for _ in range(20):  # the same digits may be out for somebody else
            row = {
                "id": scene.new_id("cod"),
                "claim": claim["id"],
                "source": source.ledger,
                "code": digits(),
                "browser": browser,
                "expires_at": ms(scene.now + LASTS),
                "at": scene.at,
            }
            if await codes.add(tx, row):
                await entry(tx, scene, "claim.started", claim["id"], how="code")
                return {**row, "account": None, "about": "", "used_at": None}
        raise Unavailable("no code is free")

    if source.provider.codes is None:
        raise Misconfigured(f"[source.{source.name}] takes no codes")
    given: Row = await desk.db.transact(work)
    return given


async def hear(desk: Desk, delivery: Delivery, source: SourceTable, scene: Scene) -> None:
    """What a signed delivery says to the brand. Never raises: the delivery is stored, whatever becomes of its codes."""
    terms = source.provider.codes
    if terms is None:
        return
    try:
        for message in list(terms.messages(delivery, source.settings))[:50]:
            await _message(desk, message, source, scene)
    except Exception as error:
        log.error("messages could not be read", source=source.name, error=type(error).__name__)


async def _message(desk: Desk, message: Message, source: SourceTable, scene: Scene) -> None:
    code, account = code_of(message), message.account
    if code is None or not account or len(account) > 512 or controls(account) or read.poison(account):
        return
    hour = scene.at // (HOUR // timedelta(milliseconds=1))

    async def work(tx: Tx) -> Row | None:
        wrong = await codes.misses(tx, source=source.ledger, account=account, hour=hour)
        if wrong >= WRONG:
            return None
        found = await codes.sent(tx, source=source.ledger, code=code, account=account, now=scene.at)
        if found is None:
            await codes.missed(tx, source=source.ledger, account=account, hour=hour)
        else:
            await entry(tx, scene, "claim.code_sent", found["claim"])
        return found

    row = await desk.db.transact(work)
    assert source.provider.codes is not None
    if row is None:
        return
    try:
        who = await desk.hold(source.provider.codes.whoami(account, await desk.settings(source)))
    except (Unavailable, FlowError) as failure:
        log.warning("who sent a code could not be asked", source=source.name, error=failure.message)
        return  # the page asks again when it is looked at
    if who.id != account:
        log.error("a source names another account than wrote", source=source.name)
        return
    sealed = desk.seal_account(who)
    await desk.db.transact(lambda tx: codes.describe(tx, id=row["id"], about=sealed))


async def out(desk: Desk, claim: Row, browser: str, source: SourceTable, scene: Scene) -> tuple[Row | None, str]:
    """The code that is out in this browser, and the handle of who has sent it; '': nobody yet."""
    row = await desk.db.read(lambda tx: codes.live(tx, claim=claim["id"], now=scene.at))
    if row is None or row["browser"] != browser:
        return None, ""
    if row["account"] and not row["about"] and source.provider.codes is not None:
        try:  # it was sent, and nobody could say by whom
            who = await desk.hold(source.provider.codes.whoami(row["account"], await desk.settings(source)))
        except (Unavailable, FlowError):
            return row, ""
        if who.id == row["account"]:
            sealed = desk.seal_account(who)
            id_ = str(row["id"])
            await desk.db.transact(lambda tx: codes.describe(tx, id=id_, about=sealed))
            row = {**row, "about": sealed}
    if not row["about"]:
        return row, ""
    who = desk.account(row["about"])
    return row, who.handle or who.id


async def confirm(desk: Desk, claim: Row, browser: str, source: SourceTable, scene: Scene) -> Settled:
    """ "Yes, that is me": the account that has sent the code is linked, and the claim is asked about."""
    row = await desk.db.read(lambda tx: codes.live(tx, claim=claim["id"], now=scene.at))
    if row is None:
        raise ClaimExpired()
    if row["browser"] != browser:
        raise StateMismatch()
    if not row["about"]:
        raise SignInRefused("the code has not come yet")
    account, shown = desk.account(row["about"]), row["id"]

    async def work(tx: Tx) -> tuple[Row, bool, frozenset[str]]:
        again = await codes.live(tx, claim=claim["id"], now=scene.at)
        if again is None or again["id"] != shown:
            raise StateMismatch()  # it was used in another tab
        await codes.end(tx, claim=claim["id"], now=scene.at)
        linked = await link(tx, claim["id"], account, browser, source, desk, scene)
        return linked.claim, linked.leased, linked.targets

    now, leased, targets = await desk.db.transact(work)
    if not leased:
        return Settled(now, targets)
    settled = await verify.asked(desk, now, source, scene)
    terms = source.provider.codes
    if terms is not None and terms.say is not None and settled.claim["state"] == "verified":
        try:
            await desk.hold(terms.say(account.id, "Thank you, it is done.", await desk.settings(source)))
        except (Unavailable, FlowError) as failure:
            log.warning("the chat could not be answered", source=source.name, error=failure.message)
    return Settled(settled.claim, settled.targets | targets)
