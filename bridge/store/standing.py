"""What is known of evidence beside the fact itself: that it was so already, and what a person has said of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .db import Row, Tx
from .rows import idset


async def already(tx: Tx, *, ids: Iterable[str]) -> None:
    """These were so before the customer was asked."""
    await tx.run(
        "UPDATE evidence SET already = 1 WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))", ids=idset(ids)
    )


async def already_before(tx: Tx, *, source: str, account: str, action: str, before: int) -> None:
    """What waits for this account's link, and was done before then, was so before the customer was asked."""
    await tx.run(
        """
        UPDATE evidence SET already = 1
        WHERE state <> 'considered' AND state IN ('waiting', 'unjudged') AND source = :source AND account = :account
          AND action = :action AND occurred_at < :before
        """,
        source=source,
        account=account,
        action=action,
        before=before,
    )


async def review(tx: Tx, *, ids: Iterable[str], review: str) -> None:
    """A person is asked about these, or has said what they think."""
    await tx.run(
        "UPDATE evidence SET review = :review WHERE id IN (SELECT value ->> 'id' FROM json_each(:ids))",
        ids=idset(ids),
        review=review,
    )


async def in_review(tx: Tx, *, source: str, account: str, action: str) -> Sequence[Row]:
    """What of this account a person is asked about."""
    return await tx.rows(
        """
        SELECT * FROM evidence
        WHERE state <> 'considered' AND state IN ('waiting', 'unjudged') AND source = :source AND account = :account
          AND action = :action AND review = 'asked'
        ORDER BY id
        """,
        source=source,
        account=account,
        action=action,
    )


async def deed(tx: Tx, *, owner: str, source: str, account: str, action: str, since: int) -> Row | None:
    """What this customer's account was heard to have done since then, if it still stands."""
    rows = await tx.rows(
        """
        SELECT evidence.* FROM evidence
        WHERE owner = :owner AND source = :source AND account = :account AND action = :action AND undone = 0
          AND received_at >= :since
          AND NOT EXISTS (SELECT 1 FROM evidence AS u
                          WHERE u.source = evidence.source AND u.action = evidence.action AND u.key = evidence.key
                            AND u.undone = 1 AND u.part = '' AND u.occurred_at >= evidence.occurred_at)
        ORDER BY id DESC LIMIT 1
        """,
        owner=owner,
        source=source,
        account=account,
        action=action,
        since=since,
    )
    return next(iter(rows), None)
