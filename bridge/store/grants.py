"""Grants: what customers and the brand let us do at a platform, sealed, and where platforms were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .db import Row, Tx

#: Claims that are not at their end.
GOING = "('open', 'checking', 'review')"


async def add(tx: Tx, row: Mapping[str, Any]) -> None:
    """Keep what a sign-in brought, to be given back unless somebody says in time that it is needed."""
    await tx.run(
        """
        INSERT INTO grants (id, claim, source, sealed, state, due_at, at)
        VALUES (:id, :claim, :source, :sealed, 'ending', :due_at, :at)
        """,
        **row,
    )


async def keep(tx: Tx, *, id: str, account: str, now: int) -> None:
    """It is needed: to ask again about this account. Earlier ones of the same claim are given back."""
    await tx.run(
        """
        UPDATE grants SET state = 'ending', due_at = :now, at = :now
        WHERE claim = (SELECT claim FROM grants WHERE id = :id) AND id <> :id AND state = 'kept'
        """,
        id=id,
        now=now,
    )
    await tx.run(
        "UPDATE grants SET state = 'kept', account = :account, due_at = NULL, at = :now WHERE id = :id",
        id=id,
        account=account,
        now=now,
    )


async def of_claim(tx: Tx, *, claim: str) -> Row | None:
    """What is kept to ask about a claim."""
    rows = await tx.rows(
        "SELECT * FROM grants WHERE claim = :claim AND state = 'kept' ORDER BY id DESC LIMIT 1", claim=claim
    )
    return next(iter(rows), None)


async def of_account(tx: Tx, *, source: str, account: str, action: str) -> Row | None:
    """What is kept to ask whether an account still does this."""
    rows = await tx.rows(
        """
        SELECT grants.* FROM grants JOIN claims ON claims.id = grants.claim
        WHERE grants.source = :source AND grants.account = :account AND grants.state = 'kept'
          AND claims.action = :action
        ORDER BY grants.id DESC LIMIT 1
        """,
        source=source,
        account=account,
        action=action,
    )
    return next(iter(rows), None)


async def take(tx: Tx, *, id: str, now: int, until: int) -> Row | None:
    """The right to refresh, which one has at a time. None: somebody has it, or the grant is gone."""
    rows = await tx.rows(
        """
        UPDATE grants SET lease = lease + 1, until_at = :until WHERE id = :id AND until_at <= :now AND state = 'kept'
        RETURNING *
        """,
        id=id,
        now=now,
        until=until,
    )
    return next(iter(rows), None)


async def replace(tx: Tx, *, id: str, lease: int, sealed: str, now: int) -> bool:
    """Keep refreshed tokens, before anybody uses them. False: somebody else was allowed to refresh meanwhile."""
    return (
        await tx.run(
            "UPDATE grants SET sealed = :sealed, until_at = 0, at = :now WHERE id = :id AND lease = :lease",
            id=id,
            lease=lease,
            sealed=sealed,
            now=now,
        )
        == 1
    )


async def end_of_claim(tx: Tx, *, claim: str, now: int) -> None:
    """A claim needs its grants no longer."""
    await tx.run(
        "UPDATE grants SET state = 'ending', due_at = :now, at = :now WHERE claim = :claim AND state = 'kept'",
        claim=claim,
        now=now,
    )


async def end_idle(tx: Tx, *, now: int) -> int:
    """End what is kept for nothing: its claim is at its end, and no reward waits to be asked about."""
    return await tx.run(
        f"""
        UPDATE grants SET state = 'ending', due_at = :now, at = :now
        WHERE state = 'kept'
          AND NOT EXISTS (SELECT 1 FROM claims WHERE claims.id = grants.claim AND claims.state IN {GOING})
          AND NOT EXISTS (
              SELECT 1 FROM claims
              JOIN evidence ON evidence.id = claims.evidence
              JOIN forwards ON forwards.source = evidence.source AND forwards.action = evidence.action
                           AND forwards.key = evidence.key
              WHERE claims.id = grants.claim AND forwards.judge = 1 AND forwards.state IN ('pending', 'held'))
        """,  # noqa: S608 (words of ours)
        now=now,
    )


async def lease_ending(tx: Tx, *, now: int, until: int, limit: int) -> Sequence[Row]:
    """Take what is to be given back."""
    return await tx.rows(
        f"""
        UPDATE grants SET due_at = :until, tries = tries + 1
        WHERE id IN (SELECT id FROM grants WHERE due_at <= :now AND state = 'ending'
                     ORDER BY due_at, id LIMIT :limit {tx.skip_locked})
        RETURNING *
        """,  # noqa: S608 (an attribute of the engine)
        now=now,
        until=until,
        limit=limit,
    )


async def lease_one(tx: Tx, *, id: str, until: int) -> Sequence[Row]:
    """Take one grant that is to be given back."""
    return await tx.rows(
        "UPDATE grants SET due_at = :until, tries = tries + 1 WHERE id = :id AND state = 'ending' RETURNING *",
        id=id,
        until=until,
    )


async def wipe(tx: Tx, *, id: str) -> None:
    """Forget it."""
    await tx.run("DELETE FROM grants WHERE id = :id", id=id)


# --- the brand's own --------------------------------------------------------------------------------------------


async def brand(tx: Tx, *, source: str) -> Row | None:
    """What `setup` has got for a source."""
    return next(iter(await tx.rows("SELECT * FROM brands WHERE source = :source", source=source)), None)


async def put_brand(tx: Tx, row: Mapping[str, Any]) -> None:
    """Keep the brand's tokens in the place of earlier ones."""
    await tx.run(
        """
        INSERT INTO brands (source, sealed, account, handle, at) VALUES (:source, :sealed, :account, :handle, :at)
        ON CONFLICT (source) DO UPDATE SET sealed = excluded.sealed, account = excluded.account,
                                           handle = excluded.handle, lease = brands.lease + 1, until_at = 0,
                                           at = excluded.at
        """,
        **row,
    )


async def take_brand(tx: Tx, *, source: str, now: int, until: int) -> Row | None:
    """The right to refresh the brand's tokens. None: somebody has it."""
    rows = await tx.rows(
        """
        UPDATE brands SET lease = lease + 1, until_at = :until WHERE source = :source AND until_at <= :now
        RETURNING *
        """,
        source=source,
        now=now,
        until=until,
    )
    return next(iter(rows), None)


async def replace_brand(tx: Tx, *, source: str, lease: int, sealed: str, now: int) -> bool:
    """Keep the brand's refreshed tokens, before anybody uses them."""
    return (
        await tx.run(
            "UPDATE brands SET sealed = :sealed, until_at = 0, at = :now WHERE source = :source AND lease = :lease",
            source=source,
            lease=lease,
            sealed=sealed,
            now=now,
        )
        == 1
    )


async def signed_in(tx: Tx) -> set[str]:
    """The sources at which the brand is signed in."""
    return {str(row["source"]) for row in await tx.rows("SELECT source FROM brands")}


# --- servers that had to be found -------------------------------------------------------------------------------


async def server(tx: Tx, *, source: str, home: str) -> Row | None:
    """A server as it was found."""
    rows = await tx.rows("SELECT * FROM servers WHERE source = :source AND home = :home", source=source, home=home)
    return next(iter(rows), None)


async def put_server(tx: Tx, row: Mapping[str, Any]) -> None:
    """Remember where a server is and who we are there; the first one to register counts."""
    await tx.run(
        """
        INSERT INTO servers (source, home, sealed, at) VALUES (:source, :home, :sealed, :at)
        ON CONFLICT (source, home) DO NOTHING
        """,
        **row,
    )


async def forget_server(tx: Tx, *, source: str, home: str) -> None:
    """Find it anew."""
    await tx.run("DELETE FROM servers WHERE source = :source AND home = :home", source=source, home=home)
