"""Operators' work on many things: replaying what a filter finds, reconsidering under a rule, importing links.

Everything here walks page by page, one small transaction after the other: memory stays flat, intake is never
kept waiting, and whatever stops it leaves every thing either done or untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bridge.config import Rule
from bridge.kit import AuditEntry, BridgeError, Conflict, ForwardState, NotFound
from bridge.store import Row, Store, Tx, audit, evidence, forwards, links, lists

from . import operate
from .operate import Done
from .scene import Scene

Now = Callable[[], Scene]

PAGE = 200


async def replay(
    db: Store, now: Now, what: str, ids: AsyncIterator[str], because: str, *, dry_run: bool = False, rate: float = 5
) -> AsyncIterator[Done]:
    """
    Replay these, one transaction each; what became of each as it happens.

    At most `rate` a second. What is skipped costs nothing of it.
    """
    verb = operate.replay_delivery if what == "deliveries" else operate.replay_forward
    loop = asyncio.get_running_loop()
    next_at = loop.time()
    async for id_ in ids:
        if what == "forwards" and (said := await db.read(lambda tx, id_=id_: _not_failed(tx, id_))):  # type: ignore[misc]
            yield Done(id_, False, said)
            continue
        if not dry_run:
            await asyncio.sleep(max(0.0, next_at - loop.time()))
            next_at = max(next_at, loop.time()) + 1 / rate
        scene = now()
        if dry_run:
            yield await db.read(lambda tx, id_=id_, scene=scene: verb(tx, id_, scene, because, dry_run=True))  # type: ignore[misc]
        else:
            yield await db.transact(lambda tx, id_=id_, scene=scene: verb(tx, id_, scene, because))  # type: ignore[misc]


async def _not_failed(tx: Tx, id_: str) -> str:
    """Why a forward is skipped; empty where it is not. Asked without taking the writer's time."""
    rows = await forwards.of(tx, ids=[id_])
    if rows and rows[0]["state"] != ForwardState.FAILED:
        return f"is {rows[0]['state']}; only failed ones are sent again"
    return ""


async def found(db: Store, what: str, asked: Mapping[str, Any]) -> AsyncIterator[str]:
    """The ids of everything that passes the filters, oldest first."""
    after = ""
    while page := await db.read(lambda tx, after=after: lists.ids(tx, what, asked, after=after, limit=PAGE)):  # type: ignore[misc]
        for id_ in page:
            yield id_
        after = page[-1]


async def named(ids: Iterable[str]) -> AsyncIterator[str]:
    """Ids that somebody has named."""
    for id_ in ids:
        yield id_


class _Undo(Exception):
    """Raised inside a transaction so that nothing of it remains."""


@dataclass(slots=True)
class Reconsidered:
    """How far reconsidering has come."""

    looked_at: int = 0
    owed: int = 0
    waiting: int = 0
    unjudged: int = 0
    _filled: dict[tuple[str, ...], int] = field(default_factory=dict)


async def reconsider(
    db: Store, now: Now, rule: Rule, *, since: int, because: str, dry_run: bool = False
) -> AsyncIterator[Reconsidered]:
    """Consider old evidence under a rule, page by page. A dry run does the same and takes each page back."""
    pairs = [(one.ledger, one.action) for one in rule.whens]
    after, total = "", Reconsidered()
    while rows := await db.read(
        lambda tx, after=after: evidence.for_rule(tx, pairs=pairs, since=since, after=after, limit=PAGE)  # type: ignore[misc]
    ):
        after = str(rows[-1]["id"])
        scene = now()
        done: list[tuple[list[Row], list[str]]] = []

        async def work(tx: Tx, rows: Sequence[Row] = rows, scene: Scene = scene, done: list[Any] = done) -> None:
            considered = await operate.reconsider(tx, rows, scene, rule=rule)
            made = [id_ for one in considered for id_ in one.forwards]
            done.append((list(await forwards.of(tx, ids=made)), [one.state.value for one in considered]))
            if dry_run:
                raise _Undo
            if made:
                told = {"because": because, "forwards": made}
                entry = AuditEntry(actor=scene.actor, action="rule.reconsidered", object=rule.ledger, detail=told)
                await audit.append(tx, [entry], now=scene.at)

        with suppress(_Undo):
            await db.transact(work)
        [(made, states)] = done
        total.looked_at += len(rows)
        total.waiting += states.count("waiting")
        total.unjudged += states.count("unjudged")
        total.owed += sum(_counts(row, rule, total) for row in made) if dry_run else len(made)
        yield total


def _counts(row: Row, rule: Rule, total: Reconsidered) -> bool:
    """Whether a forward that was taken back would have found its bucket free, after those of the pages before."""
    bucket = str(row["bucket"]).partition("#")[0]
    keys = [("person", str(row["send"]), bucket, str(row["person"]))]
    if row["account"] is not None:
        keys.append(("account", str(row["send"]), bucket, f"{row['source']} {row['account']}"))
    if any(total._filled.get(key, 0) >= rule.limit.count for key in keys):
        return False
    for key in keys:
        total._filled[key] = total._filled.get(key, 0) + 1
    return True


async def to_consider(tx: Tx, rule: Rule, *, since: int) -> int:
    """How much evidence reconsidering a rule will look at."""
    return await evidence.count_for_rule(tx, pairs=[(one.ledger, one.action) for one in rule.whens], since=since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A link that somebody asks for."""

    customer: str
    source: str  # the table's name
    account: str
    email: str | None = None
    phone: str | None = None
    how: str = "operator"


@dataclass(frozen=True, slots=True)
class Linked:
    """What became of it."""

    id: str
    new: bool
    forwards: Sequence[str] = ()


async def link(tx: Tx, wanted: Wanted, scene: Scene) -> Linked:
    """Link one account. What is wrong with it: `BridgeError`."""
    source = scene.config.sources.get(wanted.source)
    if source is None:
        known = ", ".join(scene.config.sources)
        raise NotFound(f"there is no [source.{wanted.source}]; there are: {known or 'none'}")
    if source.provider.knows_customers:
        raise Conflict(f"{source.name} names its customers itself; its accounts need no link")
    if not wanted.customer.strip() or not wanted.account.strip():
        raise Conflict("a link needs a customer and an account")
    before = await links.whose(tx, [(source.ledger, wanted.account)])
    id_, considered = await operate.link(
        tx,
        wanted.customer,
        source,
        wanted.account,
        scene,
        email=wanted.email,
        phone=wanted.phone,
        how=wanted.how,
    )
    return Linked(id_, not before, [made for one in considered for made in one.forwards])


async def link_many(db: Store, now: Now, wanted: Sequence[Wanted]) -> list[Linked | BridgeError]:
    """Link accounts, as many in one transaction as go; a bad one hurts only itself. In the order given."""
    scene = now()

    async def group(tx: Tx, items: list[Wanted]) -> list[Linked]:
        return [await link(tx, one, scene) for one in items]

    results = await asyncio.gather(*(db.join(group, one) for one in wanted), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, BridgeError):
            raise result
    return results  # type: ignore[return-value]
