"""Links: whose account at a source is whose. One account, one customer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import rowset


async def whose(tx: Tx, accounts: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """The links of these (source, account) pairs."""
    rows = await tx.rows(
        """
        SELECT links.* FROM links
        JOIN (SELECT value ->> 'source' AS source, value ->> 'account' AS account FROM json_each(:rows) WHERE true) AS r
          ON links.source = r.source AND links.account = r.account
        """,
        rows=rowset({"source": source, "account": account} for source, account in accounts),
    )
    return {(str(row["source"]), str(row["account"])): row for row in rows}


async def add(tx: Tx, row: Mapping[str, Any]) -> bool:
    """Link an account. False when it is linked already, to whomever."""
    return (
        await tx.run(
            """
            INSERT INTO links (id, source, account, customer, how, linked_at, at)
            VALUES (:id, :source, :account, :customer, :how, :at, :at) ON CONFLICT DO NOTHING
            """,
            **row,
        )
        == 1
    )


async def remove(tx: Tx, *, source: str, account: str) -> bool:
    """Unlink. False when it was not linked."""
    return (
        await tx.run("DELETE FROM links WHERE source = :source AND account = :account", source=source, account=account)
        == 1
    )


async def of_customers(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """All links of these customers."""
    return await tx.rows(
        """
        SELECT * FROM links WHERE customer IN (SELECT value ->> 'id' FROM json_each(:rows)) ORDER BY id
        """,
        rows=rowset({"id": one} for one in ids),
    )


async def of_account(tx: Tx, *, account: str) -> Sequence[Row]:
    """Links of an account of this name at any source."""
    return await tx.rows("SELECT * FROM links WHERE account = :account ORDER BY id", account=account)


async def describe(tx: Tx, row: Mapping[str, Any]) -> None:
    """What the platform says of an account, and what is strange about its link."""
    await tx.run(
        """
        UPDATE links SET handle = :handle, account_created_at = :account_created_at, followers = :followers,
                         doubt = :doubt, at = :at
        WHERE source = :source AND account = :account
        """,
        **row,
    )


async def part(tx: Tx, *, source: str, account: str, customer: str, now: int) -> None:
    """Remember whose an account was."""
    await tx.run(
        """
        INSERT INTO partings (source, account, customer, at) VALUES (:source, :account, :customer, :now)
        ON CONFLICT (source, account) DO UPDATE SET customer = excluded.customer, at = excluded.at
        """,
        source=source,
        account=account,
        customer=customer,
        now=now,
    )


async def parted(tx: Tx, *, source: str, account: str) -> Row | None:
    """Whose an account was last, and since when it is not."""
    rows = await tx.rows(
        "SELECT * FROM partings WHERE source = :source AND account = :account", source=source, account=account
    )
    return next(iter(rows), None)


async def trust(tx: Tx, *, source: str, account: str) -> None:
    """A person has looked at this link."""
    await tx.run(
        "UPDATE links SET doubt = '' WHERE source = :source AND account = :account", source=source, account=account
    )
