"""Whose account it is: one account, one customer, by the account's own word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.config import SourceTable
from bridge.kit import Account, ClaimExpired, FlowError
from bridge.store import Row, Tx, claims, forwards, grants, links, standing
from bridge.store.rows import ms, ms_or_none, when

from . import operate, verify
from .desk import Desk
from .scene import Scene
from .verify import entry

DAY = timedelta(days=1)


class Taken(FlowError):
    """The account is another customer's."""

    status = 409

    def __init__(self, handle: str, until: datetime | None = None) -> None:
        self.handle, self.until = handle, until
        super().__init__()


@dataclass(frozen=True, slots=True)
class Linked:
    """A claim with its account. `leased`: it is ours to ask about."""

    claim: Row
    leased: bool
    targets: frozenset[str] = frozenset()


async def link(
    tx: Tx, id_: str, account: Account, browser: str, source: SourceTable, desk: Desk, scene: Scene, *, keep: str = ""
) -> Linked:
    """Make an account the customer's, and the claim's. Another customer's: `Taken`. `keep`: the grant it needs."""
    [claim] = await claims.of(tx, ids=[id_])
    if claim["state"] == "expired" or (claim["state"] in ("open", "checking") and scene.at >= claim["expires_at"]):
        raise ClaimExpired()
    if claim["state"] not in ("open", "checking"):
        if claim["account"] == account.id:  # its owner has shown who they are: this browser may see what is shown
            claim = {**claim, "browser": browser}
            await claims.change(tx, claim, now=scene.at)
        return Linked(claim, False)
    doubt = await _whose(tx, claim, account, browser, source, scene)
    await standing.already_before(
        tx, source=source.ledger, account=account.id, action=claim["action"], before=claim["created_at"]
    )
    about = {
        "source": source.ledger,
        "account": account.id,
        "handle": account.handle,
        "account_created_at": ms_or_none(account.created_at),
        "followers": account.followers,
        "doubt": doubt,
        "at": scene.at,
    }
    _, considered = await operate.link(tx, claim["customer"], source, account.id, scene, how="customer", about=about)
    taken = await claims.take(tx, id=id_, until=ms(scene.now + verify.LEASE))
    assert taken is not None
    changed = {
        **taken,
        "state": "checking",
        "account": account.id,
        "handle": account.handle,
        "about": desk.seal_account(account),
        "browser": browser,
    }
    if taken["account"] != account.id:
        changed.update(baseline="", result="", obstacle="", told_at=None, asked=0)
    await claims.change(tx, changed, now=scene.at)
    if keep:
        await grants.keep(tx, id=keep, account=account.id, now=scene.at)
    await entry(tx, scene, "claim.connected", id_, **({"doubt": doubt} if doubt else {}))
    return Linked(changed, True, frozenset(target for one in considered for target in one.targets))


async def _whose(tx: Tx, claim: Row, account: Account, browser: str, source: SourceTable, scene: Scene) -> str:
    """Whether the account may become this customer's, and what is strange about it. It may not: `Taken`."""
    terms, customer, pair = scene.config.connect, claim["customer"], (source.ledger, account.id)
    theirs = (await links.whose(tx, [pair])).get(pair)
    rows = await forwards.of_account(tx, source=source.ledger, account=account.id)
    earned = any(row["sent"] for row in rows)
    if theirs is not None and theirs["customer"] != customer:
        if earned:
            raise Taken(account.handle)
        # Whoever signs in owns it, and nothing was paid for it: most have connected it in the wrong place first.
        await operate.unlink(tx, source, account.id, scene, "its owner connects it for another customer")
    elif theirs is None:
        gone = await links.parted(tx, source=source.ledger, account=account.id)  # of one that had earned something
        if gone is not None and gone["customer"] != customer:
            until = when(gone["at"]) + terms.cool_down
            if scene.now < until:
                raise Taken(account.handle, until)
    since = ms(scene.now - DAY)
    mine = await links.of_customers(tx, ids=[customer])
    lately = {row["account"] for row in mine if row["source"] == source.ledger and row["linked_at"] >= since}
    if len(lately | {account.id}) > terms.accounts_a_day:
        return "many accounts of one customer"
    if await claims.browsers_customers(tx, browser=browser, since=since) > terms.accounts_a_day:
        return "many customers in one browser"
    return ""
