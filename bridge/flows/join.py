"""A ticket leads to a claim: the one that goes on, or a new one."""

from __future__ import annotations

from bridge.config import SourceTable
from bridge.kit import Ticket
from bridge.kit.tickets import may_return
from bridge.store import Row, Tx, claims, links
from bridge.store.rows import ms

from . import people
from .scene import Scene
from .terms import number
from .verify import entry, over

GOING = ("open", "checking", "review")


def offered(source: SourceTable | None, action: str, scene: Scene) -> bool:
    """Whether customers can prove this here, and a rule pays for it."""
    if source is None or action not in source.provider.checks:
        return False
    return bool(scene.config.rules_for(source.ledger, action))


async def find(tx: Tx, id_: str) -> Row | None:
    """A claim as it stands."""
    return next(iter(await claims.of(tx, ids=[id_])), None)


async def standing_claim(tx: Tx, source: SourceTable, action: str, customer: str, scene: Scene) -> Row | None:
    """The claim that a customer's ticket leads to: the one that goes on, or the one that has said all there is."""
    row = await claims.newest(tx, source=source.ledger, action=action, customer=customer)
    if row is None or row["state"] in GOING:
        return row
    if row["state"] != "verified" or row["account"] is None:
        return None
    if any(rule.limit.period != "ever" for rule, _ in scene.config.rules_for(source.ledger, action)):
        return None  # it can be earned again
    link = (await links.whose(tx, [(source.ledger, row["account"])])).get((source.ledger, row["account"]))
    return row if link is not None and link["customer"] == customer else None


async def join(tx: Tx, source: SourceTable, action: str, ticket: Ticket, scene: Scene) -> Row:
    """The claim of a ticket; a new one where none goes on."""
    entry_ = people.known(ticket.named(), scene.config.customers, None)
    assert entry_ is not None
    await people.remember(tx, [entry_], scene.config.customers, now=scene.at)
    back = ticket.return_to if may_return(ticket.return_to, scene.config.return_to) else ""
    row = await standing_claim(tx, source, action, ticket.customer, scene)
    if row is not None and row["state"] in ("open", "checking") and scene.at >= row["expires_at"]:
        await over(tx, row, scene)  # the worker has not come by yet
        row = await standing_claim(tx, source, action, ticket.customer, scene)
    if row is not None:
        if back and back != row["back"]:
            await claims.change(tx, {**row, "back": back}, now=scene.at)
        return {**row, "back": back or row["back"]}
    id_ = scene.new_id("clm")
    ends = ms(scene.now + scene.config.connect.lasts)
    await claims.add(
        tx,
        {
            "id": id_,
            "number": number(id_),
            "source": source.ledger,
            "action": action,
            "customer": ticket.customer,
            "state": "open",
            "account": None,
            "handle": "",
            "back": back,
            "evidence": "",
            "expires_at": ends,
            "due_at": ends,
            "at": scene.at,
        },
    )
    await entry(tx, scene, "claim.opened", id_)
    [row] = await claims.of(tx, ids=[id_])
    return row
