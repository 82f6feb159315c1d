"""Claims: what customers say they did, until it is proved, refused or over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import idset, rowset

#: What a claim's work may change; `change` writes all of it.
CHANGES = (
    "state", "reason", "account", "handle", "browser", "about", "given", "back", "baseline", "result", "obstacle",
    "note", "evidence", "asked", "pressed_at", "told_at", "due_at", "expires_at",
)  # fmt: skip


async def add(tx: Tx, row: Mapping[str, Any]) -> bool:
    """Open a claim. False where one of the same customer, source and action is going on."""
    return (
        await tx.run(
            """
            INSERT INTO claims (id, number, source, action, customer, state, account, handle, back, evidence,
                                expires_at, due_at, created_at, at)
            VALUES (:id, :number, :source, :action, :customer, :state, :account, :handle, :back, :evidence,
                    :expires_at, :due_at, :at, :at) ON CONFLICT DO NOTHING
            """,
            **row,
        )
        == 1
    )


async def carry(tx: Tx, *, source: str, action: str, customer: str, evidence: str) -> None:
    """A claim that nobody has signed in for carries a question that came by another way."""
    await tx.run(
        """
        UPDATE claims SET evidence = :evidence
        WHERE source = :source AND action = :action AND customer = :customer AND state = 'open'
        """,
        source=source,
        action=action,
        customer=customer,
        evidence=evidence,
    )


async def of(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """These claims, in order of their ids."""
    return await tx.rows(
        "SELECT * FROM claims WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids)) ORDER BY id", ids=idset(ids)
    )


async def newest(tx: Tx, *, source: str, action: str, customer: str) -> Row | None:
    """The last claim of a customer to this action."""
    rows = await tx.rows(
        """
        SELECT * FROM claims WHERE source = :source AND action = :action AND customer = :customer
        ORDER BY id DESC LIMIT 1
        """,
        source=source,
        action=action,
        customer=customer,
    )
    return next(iter(rows), None)


async def of_customers(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """All claims of these customers, newest first."""
    return await tx.rows(
        """
        SELECT * FROM claims WHERE customer IN (SELECT value ->> 'id' FROM json_each(:ids))
        ORDER BY id DESC LIMIT 500
        """,
        ids=idset(ids),
    )


async def of_account(tx: Tx, *, source: str, account: str) -> Sequence[Row]:
    """The claims that go on with this account."""
    return await tx.rows(
        """
        SELECT * FROM claims
        WHERE source = :source AND account = :account AND state IN ('open', 'checking', 'review') ORDER BY id
        """,
        source=source,
        account=account,
    )


async def numbered(tx: Tx, *, number: str) -> Sequence[Row]:
    """The claims with this short number, newest first."""
    return await tx.rows("SELECT * FROM claims WHERE number = :number ORDER BY id DESC LIMIT 20", number=number)


async def change(tx: Tx, row: Mapping[str, Any], *, now: int) -> bool:
    """Write a claim as it is to be, if nobody has leased it since `row` was read. False where somebody has."""
    written = ", ".join(f"{name} = :{name}" for name in CHANGES)
    return (
        await tx.run(
            f"UPDATE claims SET {written}, at = :now WHERE id = :id AND lease = :lease",  # noqa: S608 (a fixed set)
            **{name: row[name] for name in CHANGES},
            id=row["id"],
            lease=row["lease"],
            now=now,
        )
        == 1
    )


async def lease(tx: Tx, *, now: int, until: int, limit: int) -> Sequence[Row]:
    """Take claims that are due: to be asked about, or over."""
    return await tx.rows(
        f"""
        UPDATE claims SET lease = lease + 1, due_at = :until
        WHERE id IN (SELECT id FROM claims WHERE due_at <= :now AND state IN ('open', 'checking')
                     ORDER BY due_at, id LIMIT :limit {tx.skip_locked})
        RETURNING *
        """,  # noqa: S608 (an attribute of the engine)
        now=now,
        until=until,
        limit=limit,
    )


async def any_due(tx: Tx, *, now: int) -> bool:
    """Whether a claim is due, or a permission is to be given back: asked without taking the writer's time."""
    rows = await tx.rows(
        """
        SELECT 1 AS one FROM claims WHERE due_at <= :now
        UNION ALL SELECT 1 AS one FROM grants WHERE due_at <= :now LIMIT 1
        """,
        now=now,
    )
    return bool(rows)


async def take(tx: Tx, *, id: str, until: int) -> Row | None:
    """Take one claim that goes on, whoever has it: an answer that is on its way to another is then too late."""
    rows = await tx.rows(
        """
        UPDATE claims SET lease = lease + 1, due_at = :until WHERE id = :id AND state IN ('open', 'checking')
        RETURNING *
        """,
        id=id,
        until=until,
    )
    return next(iter(rows), None)


async def let_go(tx: Tx, *, id: str, due: int, now: int) -> None:
    """A claim has lost its account: it begins again with the next one."""
    await tx.run(
        """
        UPDATE claims SET state = 'open', account = NULL, handle = '', browser = '', about = '', given = '',
                          baseline = '', result = '', obstacle = '', note = '', evidence = '', told_at = NULL,
                          lease = lease + 1, due_at = :due, at = :now
        WHERE id = :id AND state IN ('open', 'checking')
        """,
        id=id,
        due=due,
        now=now,
    )


async def browsers_customers(tx: Tx, *, browser: str, since: int) -> int:
    """For how many customers one browser has connected accounts since then."""
    [row] = await tx.rows(
        """
        SELECT count(DISTINCT claims.customer) AS count FROM sign_ins JOIN claims ON claims.id = sign_ins.claim
        WHERE sign_ins.browser = :browser AND sign_ins.consumed_at >= :since
        """,
        browser=browser,
        since=since,
    )
    return int(row["count"])


async def wake(tx: Tx, rows: Iterable[Mapping[str, Any]], *, now: int) -> None:
    """Something was heard of these accounts: look at their claims now. `rows`: source, account, action."""
    await tx.run(
        """
        UPDATE claims SET due_at = :now
        WHERE state = 'checking' AND due_at > :now AND id IN (
            SELECT c.id FROM claims AS c
            JOIN (SELECT value ->> 'source' AS source, value ->> 'account' AS account, value ->> 'action' AS action
                  FROM json_each(:rows) WHERE true) AS r
              ON c.source = r.source AND c.account = r.account AND c.action = r.action)
        """,
        rows=rowset(rows),
        now=now,
    )


async def counted(tx: Tx) -> Sequence[Row]:
    """How many claims stand how, since when the oldest."""
    return await tx.rows(
        """
        SELECT source, action, state, obstacle, count(*) AS count, min(at) AS oldest, max(at) AS newest, max(id) AS last
        FROM claims WHERE state IN ('open', 'checking', 'review') GROUP BY source, action, state, obstacle
        """
    )
