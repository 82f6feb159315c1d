"""Evidence: what sources told us that counts. Unique by (source, action, key, undone, part)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bridge.kit import Recorded

from .db import Row, Tx
from .rows import idset, ms, rowset

INSERT = """
    INSERT INTO evidence (id, source, action, key, undone, part, account, owner, subject, occurred_at, received_at,
                          grade, facts, less, delivery, state, reason, at)
    VALUES (:id, :source, :action, :key, :undone, :part, :account, :owner, :subject, :occurred_at, :received_at,
            :grade, :facts, :less, :delivery, :state, :reason, :at)
    ON CONFLICT DO NOTHING
"""


async def record(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Store what is new; the ids of those. A fact already known keeps its first telling."""
    ids = {str(row["id"]) for row in rows}
    if await tx.many(INSERT, rows) == len(rows):
        return ids
    stored = await tx.rows(
        "SELECT id FROM evidence WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))", ids=idset(ids)
    )
    return {str(row["id"]) for row in stored}


async def undone_later(tx: Tx, told: Iterable[Recorded]) -> set[str]:
    """Of undoings that are known already, those told with a later time: kept with that; the ids they came with."""
    changed = await tx.rows(
        """
        UPDATE evidence SET occurred_at = r.occurred_at
        FROM (SELECT value ->> 'id' AS id, value ->> 'source' AS source, value ->> 'action' AS action,
                     value ->> 'key' AS key, CAST(value ->> 'occurred_at' AS BIGINT) AS occurred_at
              FROM json_each(:rows) WHERE true) AS r
        WHERE evidence.source = r.source AND evidence.action = r.action AND evidence.key = r.key
          AND evidence.undone = 1 AND evidence.part = '' AND evidence.occurred_at < r.occurred_at
        RETURNING evidence.source, evidence.action, evidence.key
        """,
        rows=rowset(
            {"id": one.id, "source": one.source, "action": one.action, "key": one.key,
             "occurred_at": ms(one.occurred_at)} for one in told
        ),
    )  # fmt: skip
    facts = {(row["source"], row["action"], row["key"]) for row in changed}
    return {one.id for one in told if (one.source, one.action, one.key) in facts}


async def withdrawals(tx: Tx, facts: Iterable[tuple[str, str, str]]) -> Sequence[Row]:
    """All that undoes these facts, wholly or in part. `facts`: (source, action, key)."""
    return await tx.rows(
        """
        SELECT evidence.* FROM evidence
        JOIN (SELECT value ->> 'source' AS source, value ->> 'action' AS action, value ->> 'key' AS key
              FROM json_each(:rows) WHERE true) AS r
          ON evidence.source = r.source AND evidence.action = r.action AND evidence.key = r.key
         AND evidence.undone = 1
        ORDER BY evidence.id
        """,
        rows=rowset({"source": source, "action": action, "key": key} for source, action, key in facts),
    )


async def named(tx: Tx, facts: Iterable[tuple[str, str, str]]) -> Sequence[Row]:
    """The facts themselves, where we have been told them. `facts`: (source, action, key)."""
    return await tx.rows(
        """
        SELECT evidence.* FROM evidence
        JOIN (SELECT value ->> 'source' AS source, value ->> 'action' AS action, value ->> 'key' AS key
              FROM json_each(:rows) WHERE true) AS r
          ON evidence.source = r.source AND evidence.action = r.action AND evidence.key = r.key
         AND evidence.undone = 0
        ORDER BY evidence.id
        """,
        rows=rowset({"source": source, "action": action, "key": key} for source, action, key in facts),
    )


async def of(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """Several pieces of evidence, oldest first."""
    return await tx.rows(
        "SELECT * FROM evidence WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids)) ORDER BY id", ids=idset(ids)
    )


async def of_delivery(tx: Tx, *, delivery: str) -> Sequence[Row]:
    """What one delivery told."""
    return await tx.rows("SELECT * FROM evidence WHERE delivery = :delivery ORDER BY id LIMIT 500", delivery=delivery)


async def judge(tx: Tx, rows: Iterable[Mapping[str, Any]], *, now: int) -> None:
    """Record what considering came to. `rows`: id, state, reason, owner."""
    await tx.run(
        """
        UPDATE evidence SET state = r.state, reason = r.reason, owner = coalesce(r.owner, evidence.owner), at = :now
        FROM (SELECT value ->> 'id' AS id, value ->> 'state' AS state, value ->> 'reason' AS reason,
                     value ->> 'owner' AS owner FROM json_each(:rows) WHERE true) AS r
        WHERE evidence.id = r.id
        """,
        rows=rowset(rows),
        now=now,
    )


async def waiting_for(tx: Tx, *, source: str, account: str, since: int) -> Sequence[Row]:
    """What waits for this account to be linked, received since then."""
    return await tx.rows(
        """
        SELECT * FROM evidence
        WHERE state <> 'considered' -- the index is for these
          AND state = 'waiting' AND source = :source AND account = :account AND received_at >= :since
        ORDER BY id
        """,
        source=source,
        account=account,
        since=since,
    )


async def disown(tx: Tx, *, source: str, account: str) -> None:
    """Forget whose this account's open evidence was: it is not linked any more. What was judged keeps its owner."""
    await tx.run(
        """
        UPDATE evidence SET owner = NULL
        WHERE state <> 'considered' AND state IN ('waiting', 'unjudged') AND source = :source AND account = :account
        """,
        source=source,
        account=account,
    )


async def no_longer_waiting(tx: Tx, *, back: int, key: str, shops: Iterable[str], limit: int) -> Sequence[Row]:
    """
    What waits although its account is linked and its customer known by now: link and ingest can miss each other.

    `back`: how many milliseconds before the link still count. `key`: by what customers must be known. `shops`: the
    sources that know their customers; there the evidence names its owner, elsewhere the link does.
    """
    return await tx.rows(
        f"""
        SELECT evidence.* FROM evidence
        JOIN links ON links.source = evidence.source AND links.account = evidence.account
        JOIN customers ON customers.id = links.customer
        WHERE evidence.state <> 'considered' AND evidence.state = 'waiting' AND evidence.review <> 'asked'
          AND evidence.received_at >= links.linked_at - :back AND customers.{key} IS NOT NULL
        UNION ALL
        SELECT evidence.* FROM evidence JOIN customers ON customers.id = evidence.owner
        WHERE evidence.state <> 'considered' AND evidence.state = 'waiting' AND evidence.review <> 'asked'
          AND evidence.source IN (SELECT value ->> 'id' FROM json_each(:shops)) AND customers.{key} IS NOT NULL
        LIMIT :limit
        """,  # noqa: S608 (`key` is one of three words of ours)
        back=back,
        shops=idset(shops),
        limit=limit,
    )


async def for_rule(tx: Tx, *, pairs: Iterable[tuple[str, str]], since: int, after: str, limit: int) -> Sequence[Row]:
    """Evidence of these (source, action) pairs that happened since then, page by page in order of id."""
    return await tx.rows(
        """
        SELECT evidence.* FROM evidence
        WHERE evidence.id > :after AND evidence.undone = 0 AND evidence.occurred_at >= :since
          AND (evidence.source || ' ' || evidence.action) IN (SELECT value ->> 'id' FROM json_each(:pairs))
        ORDER BY evidence.id LIMIT :limit
        """,
        pairs=idset(f"{source} {action}" for source, action in pairs),
        since=since,
        after=after,
        limit=limit,
    )


async def of_accounts(tx: Tx, *, pairs: Iterable[tuple[str, str]]) -> Sequence[Row]:
    """What these accounts have done, as far as somebody has linked them or it waits. `pairs`: (source, account)."""
    return await tx.rows(
        """
        WITH r AS MATERIALIZED (SELECT value ->> 'source' AS source, value ->> 'account' AS account
                                FROM json_each(:rows) WHERE true)
        SELECT evidence.* FROM r
        JOIN links ON links.source = r.source AND links.account = r.account
        JOIN evidence ON evidence.owner = links.customer AND evidence.source = r.source
                     AND evidence.account = r.account
        UNION
        SELECT evidence.* FROM r
        JOIN evidence ON evidence.state <> 'considered' AND evidence.state IN ('waiting', 'unjudged')
                     AND evidence.source = r.source AND evidence.account = r.account
        ORDER BY id DESC LIMIT 500
        """,
        rows=rowset({"source": source, "account": account} for source, account in pairs),
    )


async def of_owners(tx: Tx, *, owners: Iterable[str]) -> Sequence[Row]:
    """What these customers have done, newest first."""
    return await tx.rows(
        """
        SELECT * FROM evidence WHERE owner IN (SELECT value ->> 'id' FROM json_each(:ids))
        ORDER BY id DESC LIMIT 500
        """,
        ids=idset(owners),
    )


async def of_account(tx: Tx, *, account: str) -> Sequence[Row]:
    """The sources at which an account of this name has done something that waits: source, account."""
    return await tx.rows(
        """
        SELECT DISTINCT source, account FROM evidence
        WHERE state <> 'considered' AND state IN ('waiting', 'unjudged') AND account = :account
        """,
        account=account,
    )


async def of_handle(tx: Tx, *, handle: str, limit: int) -> Sequence[Row]:
    """The accounts that were called this when they did something: source, account. Reads the whole table."""
    escaped = handle.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return await tx.rows(
        """
        SELECT DISTINCT source, account FROM evidence
        WHERE account IS NOT NULL
          AND (facts LIKE :login ESCAPE '\\' OR facts LIKE :handle ESCAPE '\\' OR facts LIKE :username ESCAPE '\\')
        LIMIT :limit
        """,
        **{name: f'%"{name}":"{escaped}"%' for name in ("login", "handle", "username")},
        limit=limit,
    )


async def count_for_rule(tx: Tx, *, pairs: Iterable[tuple[str, str]], since: int) -> int:
    """How much evidence of these (source, action) pairs happened since then."""
    [row] = await tx.rows(
        """
        SELECT count(*) AS count FROM evidence
        WHERE undone = 0 AND occurred_at >= :since
          AND (source || ' ' || action) IN (SELECT value ->> 'id' FROM json_each(:pairs))
        """,
        pairs=idset(f"{source} {action}" for source, action in pairs),
        since=since,
    )
    return int(row["count"])
