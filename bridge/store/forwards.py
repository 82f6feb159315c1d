"""Forwards and their attempts: what we owe loyalty APIs, and every try to pay it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .db import Row, Tx
from .rows import idset, rowset

# --- owing -----------------------------------------------------------------------------------------------------

#: Persons are joined later than forwards are made, so the constraint on `person` is not enough by itself: whoever is
#: the same person today counts, under whatever name the forward was made.
OWE = """
    INSERT INTO forwards (id, kind, rule, send, bucket, person, source, account, action, key, subject, target, customer,
                          options, facts, terms, judge, evidence, undoes, state, due_at, until_at, lane, seat,
                          occurred_at, created_at, at)
    VALUES (:id, :kind, :rule, :send, :bucket, :person, :source, :account, :action, :key, :subject, :target, :customer,
            :options, :facts, :terms, :judge, :evidence, :undoes, :state, :due_at, :until_at, :lane, :seat,
            :occurred_at, :created_at, :at)
    ON CONFLICT DO NOTHING
"""


async def owe(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Record what is owed, unless it is owed already: by the fact, the person or the account. The ids of the new."""
    if not rows:
        return set()
    if await tx.many(OWE, rows) == len(rows):
        return {str(row["id"]) for row in rows}
    return await existing(tx, ids=(str(row["id"]) for row in rows))


async def existing(tx: Tx, *, ids: Iterable[str]) -> set[str]:
    """Which of these ids exist."""
    rows = await tx.rows(
        "SELECT id FROM forwards WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))", ids=idset(ids)
    )
    return {str(row["id"]) for row in rows}


async def taken(tx: Tx, *, owners: Iterable[str]) -> Sequence[Row]:
    """The buckets that these customers' forwards fill, under whichever person they were made."""
    return await tx.rows(
        """
        SELECT forwards.rule, forwards.send, forwards.bucket
        FROM evidence JOIN forwards
          ON forwards.source = evidence.source AND forwards.action = evidence.action AND forwards.key = evidence.key
        WHERE evidence.undone = 0 AND evidence.owner IN (SELECT value ->> 'id' FROM json_each(:ids))
          AND forwards.kind = 'reward' AND (forwards.state <> 'cancelled' OR forwards.sent = 1)
        """,
        ids=idset(owners),
    )


async def of_facts(tx: Tx, facts: Iterable[tuple[str, str, str]]) -> Sequence[Row]:
    """All forwards for these facts. `facts`: (source, action, key)."""
    return await tx.rows(
        """
        SELECT forwards.* FROM forwards
        JOIN (SELECT value ->> 'source' AS source, value ->> 'action' AS action, value ->> 'key' AS key
              FROM json_each(:rows) WHERE true) AS r
          ON forwards.source = r.source AND forwards.action = r.action AND forwards.key = r.key
        ORDER BY forwards.id
        """,
        rows=rowset({"source": source, "action": action, "key": key} for source, action, key in facts),
    )


async def of_evidence(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """What followed from these pieces of evidence: found by the fact, which both name."""
    return await tx.rows(
        """
        SELECT forwards.* FROM evidence JOIN forwards
          ON forwards.source = evidence.source AND forwards.action = evidence.action AND forwards.key = evidence.key
        WHERE evidence.id IN (SELECT value ->> 'id' FROM json_each(:ids)) AND forwards.evidence = evidence.id
        ORDER BY forwards.id
        """,
        ids=idset(ids),
    )


async def of_owners(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """All that is or was owed to these customers, newest first."""
    return await tx.rows(
        """
        SELECT forwards.* FROM evidence JOIN forwards
          ON forwards.source = evidence.source AND forwards.action = evidence.action AND forwards.key = evidence.key
        WHERE evidence.undone = 0 AND evidence.owner IN (SELECT value ->> 'id' FROM json_each(:ids))
        ORDER BY forwards.id DESC LIMIT 500
        """,
        ids=idset(ids),
    )


async def of_account(tx: Tx, *, source: str, account: str) -> Sequence[Row]:
    """All that is or was owed for what this account did, while it is linked."""
    return await tx.rows(
        """
        SELECT forwards.* FROM links
        JOIN evidence ON evidence.owner = links.customer AND evidence.source = links.source
                     AND evidence.account = links.account
        JOIN forwards ON forwards.source = evidence.source AND forwards.action = evidence.action
                     AND forwards.key = evidence.key
        WHERE links.source = :source AND links.account = :account AND evidence.undone = 0
        ORDER BY forwards.id
        """,
        source=source,
        account=account,
    )


async def in_buckets(tx: Tx, rows: Iterable[Mapping[str, Any]]) -> Sequence[Row]:
    """What fills these buckets, whoever it was for. `rows`: rule, send, bucket, source, account."""
    return await tx.rows(
        """
        SELECT forwards.* FROM forwards
        JOIN (SELECT value ->> 'rule' AS rule, value ->> 'send' AS send, value ->> 'bucket' AS bucket,
                     value ->> 'source' AS source, value ->> 'account' AS account
              FROM json_each(:rows) WHERE true) AS r
          ON forwards.rule = r.rule AND forwards.send = r.send AND forwards.bucket = r.bucket
         AND forwards.source = r.source AND forwards.account = r.account
        WHERE forwards.kind = 'reward' AND (forwards.state <> 'cancelled' OR forwards.sent = 1)
          AND forwards.account IS NOT NULL
        ORDER BY forwards.id
        """,
        rows=rowset(rows),
    )


async def of(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """Several forwards, oldest first."""
    return await tx.rows(
        "SELECT * FROM forwards WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids)) ORDER BY id", ids=idset(ids)
    )


async def undoing(tx: Tx, *, ids: Iterable[str]) -> Sequence[Row]:
    """The claw-backs of these forwards: found by the fact, which both name."""
    return await tx.rows(
        """
        SELECT forwards.* FROM forwards AS whole JOIN forwards
          ON forwards.source = whole.source AND forwards.action = whole.action AND forwards.key = whole.key
         AND forwards.rule = whole.rule AND forwards.send = whole.send AND forwards.kind = 'undo'
        WHERE whole.id IN (SELECT value ->> 'id' FROM json_each(:ids)) AND forwards.undoes = whole.id
        ORDER BY forwards.id
        """,
        ids=idset(ids),
    )


async def ledger(tx: Tx) -> Sequence[Row]:
    """The rules that have sent something, and the sources and targets still in use, by a walk over the index."""
    return await tx.rows(
        """
        WITH RECURSIVE r (rule) AS (
            SELECT min(rule) FROM forwards WHERE sent = 1
            UNION ALL
            SELECT (SELECT min(rule) FROM forwards WHERE sent = 1 AND rule > r.rule) FROM r WHERE r.rule IS NOT NULL
        )
        SELECT rule FROM r WHERE rule IS NOT NULL
        """
    )


async def ledger_sends(tx: Tx, *, rule: str) -> Sequence[Row]:
    """The sends under which this rule owes or has paid, by a walk over the index."""
    counts = "kind = 'reward' AND (state <> 'cancelled' OR sent = 1) AND rule = :rule"
    return await tx.rows(
        f"""
        WITH RECURSIVE r (send) AS (
            SELECT min(send) FROM forwards WHERE {counts}
            UNION ALL
            SELECT (SELECT min(send) FROM forwards WHERE {counts} AND send > r.send) FROM r WHERE r.send IS NOT NULL
        )
        SELECT send FROM r WHERE send IS NOT NULL
        """,  # noqa: S608 (words of ours)
        rule=rule,
    )


async def ledger_sources(tx: Tx) -> Sequence[Row]:
    """The sources whose facts the ledger knows, by a walk over the index."""
    return await tx.rows(
        """
        WITH RECURSIVE r (source) AS (
            SELECT min(source) FROM forwards
            UNION ALL
            SELECT (SELECT min(source) FROM forwards WHERE source > r.source) FROM r WHERE r.source IS NOT NULL
        )
        SELECT source FROM r WHERE source IS NOT NULL
        """
    )


# --- leasing ---------------------------------------------------------------------------------------------------


async def due(tx: Tx, *, target: str, now: int, limit: int) -> Sequence[Row]:
    """The forwards that `lease` would take next."""
    return await tx.rows(
        """
        SELECT * FROM forwards WHERE target = :target AND due_at <= :now AND open IS NULL
        ORDER BY due_at, id LIMIT :limit
        """,
        target=target,
        now=now,
        limit=limit,
    )


async def put_in_lanes(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give forwards that have no attempt open other lanes. `rows`: id, lane."""
    await tx.run(
        """
        UPDATE forwards SET lane = r.lane
        FROM (SELECT value ->> 'id' AS id, value ->> 'lane' AS lane FROM json_each(:rows) WHERE true) AS r
        WHERE forwards.id = r.id AND forwards.open IS NULL
        """,
        rows=rowset(rows),
    )


async def lease(tx: Tx, *, target: str, now: int, until: int, limit: int) -> Sequence[Row]:
    """
    Take up to `limit` due forwards of a target that have no attempt open, and open one for each.

    The attempt takes its forward's lane and seat; where another forward holds one of them, this one is
    parked until that is free. A worker that dies needs no rescue: its forwards become due again, with
    the attempt still open, which `lease_open` finds.
    """
    opened = await tx.rows(
        f"""
        WITH due AS MATERIALIZED (
            SELECT id, attempts, lane, seat FROM forwards
            WHERE target = :target AND due_at <= :now AND open IS NULL
            ORDER BY due_at, id
            LIMIT :limit
            {tx.skip_locked}
        )
        INSERT INTO attempts (forward, number, lane, seat, leased_at, lease_until)
        SELECT due.id, due.attempts + 1, due.lane, due.seat, :now, :until FROM due WHERE true
        ON CONFLICT DO NOTHING
        RETURNING forward
        """,  # noqa: S608 (an attribute of the engine)
        target=target,
        now=now,
        until=until,
        limit=limit,
    )
    leased: Sequence[Row] = []
    if opened:
        leased = await tx.rows(
            """
            UPDATE forwards SET due_at = :until, lease = lease + 1, attempts = attempts + 1, open = attempts + 1
            WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))
            RETURNING *
            """,
            until=until,
            ids=idset(str(row["forward"]) for row in opened),
        )
    if len(opened) < limit:
        # Whatever is still due among the first `limit` found its lane or seat taken.
        await tx.run(
            """
            UPDATE forwards SET due_at = NULL, parked =
                CASE WHEN EXISTS (SELECT 1 FROM attempts
                                  WHERE attempts.lane = forwards.lane AND attempts.resolved_at IS NULL)
                     THEN forwards.lane ELSE forwards.seat END
            WHERE id IN (SELECT id FROM forwards WHERE target = :target AND due_at <= :now AND open IS NULL
                         ORDER BY due_at, id LIMIT :limit)
            """,
            target=target,
            now=now,
            limit=limit - len(opened),
        )
    return sorted(leased, key=lambda row: str(row["id"]))  # RETURNING promises no order


async def look_later(tx: Tx, *, target: str, at: int) -> None:
    """Ask no earlier about the calls of this target that are in doubt."""
    await tx.run(
        """
        UPDATE forwards SET due_at = :at
        WHERE target = :target AND due_at < :at AND open IS NOT NULL AND state = 'pending'
          AND EXISTS (SELECT 1 FROM attempts WHERE attempts.forward = forwards.id AND attempts.number = forwards.open
                      AND attempts.ended_at IS NOT NULL)
        """,
        target=target,
        at=at,
    )


async def lease_open(tx: Tx, *, target: str, now: int, until: int, limit: int) -> Sequence[Row]:
    """Take due forwards whose last attempt is open: left by a worker that died, in doubt, or accepted."""
    rows = await tx.rows(
        f"""
        UPDATE forwards SET due_at = :until, lease = lease + 1
        WHERE id IN (SELECT id FROM forwards WHERE target = :target AND due_at <= :now AND open IS NOT NULL
                     ORDER BY due_at, id LIMIT :limit {tx.skip_locked})
        RETURNING *
        """,  # noqa: S608 (an attribute of the engine)
        target=target,
        now=now,
        until=until,
        limit=limit,
    )
    return sorted(rows, key=lambda row: str(row["id"]))


async def next_due(tx: Tx, *, target: str) -> int | None:
    """When this target has something to do next."""
    rows = await tx.rows(
        "SELECT due_at FROM forwards WHERE target = :target AND due_at IS NOT NULL ORDER BY due_at LIMIT 1",
        target=target,
    )
    return int(rows[0]["due_at"]) if rows else None


# --- settling --------------------------------------------------------------------------------------------------


async def current(tx: Tx, *, ids: Iterable[str]) -> dict[str, Row]:
    """These forwards as they stand, by id."""
    return {str(row["id"]): row for row in await of(tx, ids=ids)}


async def move(tx: Tx, rows: Sequence[Mapping[str, Any]], *, now: int) -> None:
    """Write new states. `rows`: id, state, reason, wish, due_at, until_at, open, tries, judge, options, facts."""
    await tx.run(
        """
        UPDATE forwards SET state = r.state, reason = r.reason, wish = r.wish, due_at = r.due_at,
                            until_at = r.until_at, open = r.open, tries = r.tries, judge = r.judge,
                            options = coalesce(r.options, forwards.options),
                            facts = coalesce(r.facts, forwards.facts), parked = NULL, at = :now
        FROM (SELECT value ->> 'id' AS id, value ->> 'state' AS state, value ->> 'reason' AS reason,
                     value ->> 'wish' AS wish, CAST(value ->> 'due_at' AS BIGINT) AS due_at,
                     CAST(value ->> 'until_at' AS BIGINT) AS until_at, CAST(value ->> 'open' AS BIGINT) AS open,
                     CAST(value ->> 'tries' AS BIGINT) AS tries, CAST(value ->> 'judge' AS BIGINT) AS judge,
                     value ->> 'options' AS options, value ->> 'facts' AS facts
              FROM json_each(:rows) WHERE true) AS r
        WHERE forwards.id = r.id
        """,
        rows=rowset(rows),
        now=now,
    )


async def wish(tx: Tx, *, ids: Iterable[str], wish: str, reason: str, now: int) -> None:
    """Have something done to forwards whose attempt is open, as soon as it ends."""
    await tx.run(
        """
        UPDATE forwards SET wish = :wish, reason = :reason, at = :now
        WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))
        """,
        ids=idset(ids),
        wish=wish,
        reason=reason,
        now=now,
    )


async def judge_again(tx: Tx, *, ids: Iterable[str]) -> None:
    """Ask once more whether these are owed, before they leave."""
    await tx.run(
        "UPDATE forwards SET judge = 1 WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))", ids=idset(ids)
    )


async def wake(tx: Tx, *, keys: Iterable[str], now: int) -> None:
    """A lane or seat is free: the forward that has waited longest for it becomes due."""
    await tx.run(
        """
        UPDATE forwards SET parked = NULL, due_at = :now
        WHERE id IN (SELECT min(id) FROM forwards
                     WHERE parked IN (SELECT value ->> 'id' FROM json_each(:keys)) GROUP BY parked)
        """,
        keys=idset(keys),
        now=now,
    )


async def wake_forgotten(tx: Tx, *, now: int) -> int:
    """Make due what is parked for something nobody holds any more."""
    return await tx.run(
        """
        UPDATE forwards SET parked = NULL, due_at = :now
        WHERE parked IS NOT NULL
          AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.lane = forwards.parked AND attempts.resolved_at IS NULL)
          AND NOT EXISTS (SELECT 1 FROM attempts WHERE attempts.seat = forwards.parked AND attempts.ended_at IS NULL)
        """,
        now=now,
    )
