"""Claw-backs: what a reward gave is read in Gameball's ledger, and taken back by a manual transaction.

https://docs.gameball.co/api-reference/transactions/transaction-management/list-transactions
https://docs.gameball.co/api-reference/transactions/transaction-management/manual-transaction
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from bridge.kit import Forward, Outcome, Settings, Talk, Unavailable, Verdict

from ._gameball_answers import (
    by_hand,
    call,
    challenge,
    deduction,
    merged,
    named,
    number,
    said,
    time_of,
    whole,
)

Row: TypeAlias = Mapping[str, Any]

#: The largest page they serve, and how many are read: a customer with more rows is a person's to look at.
PAGE, PAGES = 200, 10

#: How far their clock and ours may be apart.
SKEW = timedelta(minutes=5)

#: Who did it, as the merchant's dashboard shows it beside the transaction.
USERNAME = "loyalty-bridge"


def given(forward: Forward, settings: Settings) -> Talk[int | Outcome]:
    """
    How many points the reward gave that this forward takes back; an Outcome where that cannot be told exactly.

    A row names the campaign and not the call. Ours came after the fact and before it was withdrawn; several rows in
    between tell it as exactly as one where all of them gave the same.
    """
    rows = yield from listed(forward, "+", settings)
    if isinstance(rows, Outcome):
        return rows if rows.verdict is Verdict.MISCONFIGURED else by_hand(rows.note, forward)
    amounts = set()
    for row in rows:
        if number(row.get("achievedRewardCampaignId")) != challenge(forward) or row.get("customerId") != named(forward):
            continue
        at = time_of(row.get("transactionTime"))
        if at is None:
            return by_hand("Gameball lists a reward of this campaign without its time", forward)
        if not forward.occurred_at - SKEW <= at <= forward.created_at + SKEW:
            continue
        if row.get("status") != "Active":  # Pending, Blocked, Expired: not, or no longer, the customer's to lose
            return by_hand(f"the points of the reward are {str(row.get('status'))[:20]}, not Active", forward)
        amounts.add(whole(row.get("points")))
    if not amounts:
        return by_hand("Gameball lists no points for this reward; perhaps it gave something else", forward)
    if len(amounts) > 1:
        return by_hand("Gameball lists several rewards of this campaign that gave different points", forward)
    return amounts.pop() or by_hand("Gameball does not say in whole points what the reward gave", forward)


def deduct(forward: Forward, points: int, settings: Settings) -> Talk[Outcome]:
    """Take so many points away, once for this forward's id."""
    why = f"{forward.undoes or 'a reward'} is taken back: {forward.source}.{forward.action} no longer holds"
    body = {
        "customerId": named(forward),
        **merged(forward, settings),
        "transactionId": forward.id,
        "username": USERNAME,
        "reason": why[:200],
        "points": -points,
    }  # no transactionTime: Gameball's own is never in the future, and seldom that of another transaction
    response = yield call("POST", "/transactions/manual", settings, json=body)
    return deduction(response, forward)


def deducted(forward: Forward, settings: Settings) -> Talk[Outcome]:
    """Whether the ledger shows what `deduct` wrote."""
    rows = yield from listed(forward, "-", settings)
    if isinstance(rows, Outcome):
        return rows
    for row in rows:
        if row.get("transactionId") == forward.id:
            return Outcome(Verdict.DONE, "taken back", reference=str(row.get("gameballTransactionId") or ""))
    return Outcome(Verdict.LATER, "it did not happen: Gameball lists no transaction of this id")


def listed(forward: Forward, direction: str, settings: Settings) -> Talk[Sequence[Row] | Outcome]:
    """All the customer's transactions of a direction; an Outcome where they are not all to be had."""
    found: list[Row] = []
    after = 0
    for _ in range(PAGES):
        params = {"customerId": named(forward), "direction": direction, "limit": str(PAGE), "startAfter": str(after)}
        response = yield call("GET", "/transactions", settings, params=params)
        if response.status in (401, 403):
            return Outcome(Verdict.MISCONFIGURED, f"Gameball answered {response.status} when asked for transactions")
        if response.status == 404 and said(response).no_customer:
            return found
        if response.status != 200:
            raise Unavailable(f"Gameball answered {response.status} when asked for transactions")
        answer = response.object()
        rows = answer.get("transactions")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Unavailable("Gameball answered 200 with something that is no list of transactions")
        found += rows
        if not answer.get("hasMore", len(rows) >= PAGE):
            return found
        ids = [number(row.get("gameballTransactionId")) or 0 for row in rows]
        if not ids or ids[0] <= after or ids != sorted(ids):  # the page after this one would leave some out
            return Outcome(Verdict.UNCLEAR, "Gameball's pages of transactions do not follow on each other")
        after = ids[-1]
    return Outcome(Verdict.UNCLEAR, f"Gameball lists more transactions of the customer than are read: {PAGES} pages")


def kept(points: int) -> str:
    """The amount as the attempt keeps it: not to be mistaken for the count that rewards keep there."""
    return f"{points} points"


def points_of(baseline: str) -> int | None:
    """What `kept` wrote; None where it was something else, or nothing."""
    found = re.fullmatch(r"([1-9][0-9]{0,15}) points", baseline)
    return int(found[1]) if found else None
