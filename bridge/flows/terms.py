"""What a rule asks beside its condition: that it was not so already, an account of some age, a person's look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.config import Rule
from bridge.kit import Owed, Recorded
from bridge.store import Row, Tx, claims, standing
from bridge.store.rows import when_or_none

from .decide import Decision, NotOwed
from .scene import Scene

#: Said of evidence that a person looks at first.
IN_REVIEW = "a person looks at it first: approve or refuse its claim"


def judge(
    decisions: Sequence[Decision], one: Recorded, link: Row | None, scene: Scene
) -> tuple[Sequence[Decision], bool]:
    """The decisions after these terms, and whether a person must look before the rest is owed. `link`: whose it is."""
    found: list[Decision] = []
    asked = False
    for decision in decisions:
        rule = scene.config.rule(decision.rule) if isinstance(decision, Owed) else None
        if rule is None:
            found.append(decision)
        elif why := refused(rule, one, link):
            found.append(NotOwed(rule.ledger, why))
        elif looks(rule, one, link):
            asked = True
        else:
            found.append(decision)
    return found, asked


def refused(rule: Rule, one: Recorded, link: Mapping[str, Any] | None) -> str:
    """Why a rule's terms are not met; empty where they are."""
    if rule.already == "skip" and one.already:
        return "it was so before the customer was asked"
    if rule.review != "never" and one.review == "refused":
        return "refused in review"
    if link is None or link["how"] != "customer":
        return ""  # whom the shop itself has linked, it vouches for
    made, followers = when_or_none(link["account_created_at"]), link["followers"]
    if rule.min_account_age and made is not None and one.received_at - made < rule.min_account_age:
        return "the account is too young"
    if rule.min_followers and followers is not None and followers < rule.min_followers:
        return f"the account has {followers} followers; {rule.min_followers} are needed"
    return ""


def looks(rule: Rule, one: Recorded, link: Mapping[str, Any] | None) -> bool:
    """Whether a person looks at it before this rule owes anything."""
    if rule.review == "never" or one.review == "approved":
        return False
    doubtful = one.review in ("doubtful", "asked") or bool(link is not None and link["doubt"])
    return rule.review == "always" or doubtful


async def file(tx: Tx, rows: Sequence[tuple[Recorded, str]], scene: Scene) -> None:
    """Have a person look: the evidence says so, and a claim carries the question. `rows`: evidence and customer."""
    await standing.review(tx, ids=[one.id for one, _ in rows], review="asked")
    for one, customer in rows:
        id_ = scene.new_id("clm")
        row = {
            "id": id_,
            "number": number(id_),
            "source": one.source,
            "action": one.action,
            "customer": customer,
            "state": "review",
            "account": one.account,
            "handle": str(one.facts.get("login") or ""),
            "back": "",
            "evidence": one.id,
            "expires_at": scene.at,
            "due_at": None,
            "at": scene.at,
        }
        if not await claims.add(tx, row):  # the customer's own claim goes on, and carries it
            await claims.carry(tx, source=one.source, action=one.action, customer=customer, evidence=one.id)


def number(id_: str) -> str:
    """The short number of a claim: the end of its id, which differs soonest, in letters that are told apart by ear."""
    letters, value, found = "23456789ACDEFHJKLMNPRTUVWXY", int(id_.rpartition("_")[2], 16), ""
    value ^= value >> 48  # the time, so that neighbours do not differ in one letter alone
    for _ in range(6):
        value, place = divmod(value, len(letters))
        found += letters[place]
    return f"{found[:3]}-{found[3:]}"
