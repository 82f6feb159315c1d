"""The customer directory, and who is the same person as whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import idset, rowset


async def of(tx: Tx, *, ids: Iterable[str]) -> dict[str, Row]:
    """The directory's entries for these customers, by id."""
    rows = await tx.rows(
        "SELECT * FROM customers WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))", ids=idset(ids)
    )
    return {str(row["id"]): row for row in rows}


async def add(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Enter customers, each a person of their own."""
    await tx.many(
        """
        INSERT INTO customers (id, email, phone, email_verified, phone_verified, person, at)
        VALUES (:id, :email, :phone, :email_verified, :phone_verified, :id, :at) ON CONFLICT DO NOTHING
        """,
        rows,
    )


async def change(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace what is known of customers."""
    await tx.many(
        """
        UPDATE customers SET email = :email, phone = :phone, email_verified = :email_verified,
                             phone_verified = :phone_verified, at = :at
        WHERE id = :id
        """,
        rows,
    )


async def sharing(tx: Tx, *, by: str, values: Iterable[str]) -> Sequence[Row]:
    """Customers with a verified e-mail or phone (`by`) out of these, oldest first."""
    return await tx.rows(
        f"""
        SELECT * FROM customers
        WHERE {by} IN (SELECT value ->> 'id' FROM json_each(:values)) AND {by}_verified = 1
        ORDER BY at, id
        """,  # noqa: S608 (`by` is one of two words of ours)
        values=idset(values),
    )


async def join(tx: Tx, *, person: str, persons: Iterable[str]) -> None:
    """Make these persons one. Forwards that exist keep the person they were made for."""
    await tx.run(
        """
        UPDATE customers SET person = :person
        WHERE person <> :person AND id IN (
            SELECT id FROM customers WHERE person <> id AND person IN (SELECT value ->> 'id' FROM json_each(:ids))
            UNION ALL
            SELECT value ->> 'id' FROM json_each(:ids))
        """,
        person=person,
        ids=idset(persons),
    )


async def members(tx: Tx, *, persons: Iterable[str]) -> Sequence[Row]:
    """All customers who are these persons. Only joined ones have an index entry; the rest are themselves."""
    return await tx.rows(
        """
        SELECT * FROM customers WHERE person <> id AND person IN (SELECT value ->> 'id' FROM json_each(:ids))
        UNION ALL
        SELECT * FROM customers WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))
        """,
        ids=idset(persons),
    )


async def known_as(tx: Tx, *, name: str) -> Sequence[Row]:
    """Customers with this id, e-mail or phone."""
    return await tx.rows(
        """
        SELECT * FROM customers WHERE id = :name
        UNION SELECT * FROM customers WHERE email = :lower
        UNION SELECT * FROM customers WHERE phone = :name
        """,
        name=name,
        lower=name.lower(),
    )


def pairs(rows: Iterable[Row]) -> str:
    """(id, person) of customers as one parameter."""
    return rowset({"id": row["id"], "person": row["person"]} for row in rows)
