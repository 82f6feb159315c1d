"""Why somebody was rewarded, or was not: for each rule what happened, or the first thing that is missing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bridge.config import Config, Rule, When
from bridge.kit import ForwardState, NotFound, Owed
from bridge.kit.fields import said
from bridge.store import Row, Tx, claims, customers, evidence, forwards, links

from . import read, report
from .decide import NotOwed, Unjudged, decide
from .report import Shown, iso

#: A claim's short number.
NUMBER = re.compile(r"[2-9A-Z]{3}-[2-9A-Z]{3}")

Result = Literal[
    "rewarded",  # delivered
    "on its way",  # pending, due now or to be tried again
    "accepted",  # taken by the target, not yet granted
    "waiting",  # for the end of the rule's wait
    "failed",
    "held",
    "withdrawn",
    "in review",  # it was proved, and a person approves or refuses the claim
    "not linked",  # it was seen, and nobody has linked the account
    "unjudged",
    "condition",  # it was seen, and the rule's condition or dates are not met
    "limit",  # it was seen, and the account has earned it for somebody else
    "not considered",  # it was seen before the rule was there: `reconsider` looks again
    "undone",
    "not seen",
]


@dataclass(slots=True)
class Known:
    """Everything known of one person."""

    customers: list[Row] = field(default_factory=list)
    accounts: list[tuple[str, str]] = field(default_factory=list)  # (source's ledger name, account), linked
    claims: list[Row] = field(default_factory=list)  # newest first
    strangers: list[tuple[str, str]] = field(default_factory=list)  # seen, linked to nobody
    evidence: list[Row] = field(default_factory=list)
    forwards: list[Row] = field(default_factory=list)
    elsewhere: list[Row] = field(default_factory=list)  # what these accounts earned for somebody else


async def why(tx: Tx, name: str, config: Config, *, now: datetime) -> tuple[Shown, list[Shown]]:
    """
    Who this is, and a row for each rule. `name`: a customer's id, e-mail or phone, an account or its handle.

    Nobody is known by it: `NotFound`.
    """
    known = await _known(tx, name, config)
    who = {
        "customers": [{name: row[name] for name in ("id", "email", "phone")} for row in known.customers],
        "accounts": [{"source": source, "account": account} for source, account in known.accounts],
        "claims": await report.shown(tx, "claims", known.claims),
        "strangers": [{"source": source, "account": account} for source, account in known.strangers],
    }
    first = who["customers"][0] if known.customers else None
    rows = [{"id": rule.ledger, **_judged(rule, known, config, now), "customer": first} for rule in config.rules]
    listed = {rule.ledger for rule in config.rules}
    gone = [row for row in known.forwards if row["rule"] not in listed]
    for id_ in sorted({str(row["rule"]) for row in gone}):
        told = _forwarded([row for row in gone if row["rule"] == id_], now)
        rows.append({"id": id_, "rule": id_, "name": "no longer in bridge.toml", **told, "customer": first})
    return who, rows


async def _known(tx: Tx, name: str, config: Config) -> Known:
    if name.startswith("clm_") or NUMBER.fullmatch(name.upper()):
        with suppress(NotFound):
            [claimed] = await claims.of(tx, ids=[await report.claim(tx, name)])
            name = str(claimed["customer"])
    rows = list(await report.known_as(tx, name, config))
    accounts: set[tuple[str, str]] = set()
    if not rows:
        accounts = await _accounts(tx, name)
        owners = {str(row["customer"]) for row in (await links.whose(tx, accounts)).values()} if accounts else set()
        rows = list((await customers.of(tx, ids=owners)).values()) if owners else []
    ids = await report.same_person(tx, rows)
    known = Known(customers=sorted((await customers.of(tx, ids=ids)).values(), key=lambda row: str(row["id"])))
    known.customers.sort(key=lambda row: row["id"] != name)  # the one that was asked for comes first
    linked = [(str(row["source"]), str(row["account"])) for row in await links.of_customers(tx, ids=ids)]
    known.accounts = sorted(set(linked))
    known.claims = list(await claims.of_customers(tx, ids=ids)) if ids else []
    known.strangers = sorted(accounts - set(linked))
    if not known.customers and not known.strangers:
        raise NotFound(f"nobody is known as {name}: no customer, e-mail, phone, account or handle")
    pairs = [*known.accounts, *known.strangers]
    seen = [*(await evidence.of_accounts(tx, pairs=pairs) if pairs else ()), *await evidence.of_owners(tx, owners=ids)]
    known.evidence = sorted({row["id"]: row for row in seen}.values(), key=lambda row: str(row["id"]), reverse=True)
    owed = [*await forwards.of_owners(tx, ids=ids)]
    mine = {row["id"] for row in owed}
    known.elsewhere = [row for row in await _elsewhere(tx, pairs, config) if row["id"] not in mine]
    known.forwards = sorted({row["id"]: row for row in owed}.values(), key=lambda row: str(row["id"]), reverse=True)
    return known


async def _elsewhere(tx: Tx, pairs: Sequence[tuple[str, str]], config: Config) -> Sequence[Row]:
    """What these accounts have earned under rules that pay once for ever, for whomever."""
    asked = [
        {"rule": rule.ledger, "send": send.id, "bucket": bucket, "source": source, "account": account}
        for rule in config.rules
        if rule.limit.period == "ever"
        for send in rule.sends
        for bucket in ([""] if rule.limit.count == 1 else [f"#{slot}" for slot in range(1, rule.limit.count + 1)])
        for source, account in pairs
    ]
    return await forwards.in_buckets(tx, asked) if asked else []


async def _accounts(tx: Tx, name: str) -> set[tuple[str, str]]:
    handle = name.removeprefix("@")
    found = [*await links.of_account(tx, account=handle), *await evidence.of_account(tx, account=handle)]
    if not found:
        found = [*await evidence.of_handle(tx, handle=handle, limit=20)]
    return {(str(row["source"]), str(row["account"])) for row in found}


def _judged(rule: Rule, known: Known, config: Config, now: datetime) -> Shown:
    """What one rule came to, for this person."""
    named = {"rule": rule.id, "name": rule.name}
    mine = [row for row in known.forwards if row["rule"] == rule.ledger and row["kind"] == "reward"]
    if mine:
        return {**named, **_forwarded(mine, now)}
    for one in known.elsewhere:
        if one["rule"] == rule.ledger:
            text = f"this account has earned it for another customer already ({one['id']})"
            return {**named, **_plain("limit", text, evidence=one["evidence"], at=one["at"])}
    for row in known.evidence:
        when = next((one for one in rule.whens if (one.ledger, one.action) == (row["source"], row["action"])), None)
        if row["undone"] or when is None:
            continue
        result, text = _seen(rule, when, row, known, config)
        return {**named, **_plain(result, text, evidence=row["id"], at=row["at"])}
    return {**named, **_plain("not seen", _not_seen(rule, known, config))}


def _plain(result: Result, text: str, *, evidence: str | None = None, at: int | None = None) -> Shown:
    told = {"result": result, "state": None, "text": text, "at": iso(at)}
    return {**told, "forward": None, "target": None, "evidence": evidence, "due_at": None, "count": 0, "forwards": []}


def _forwarded(mine: Sequence[Row], now: datetime) -> Shown:
    """Of several forwards the one that a person must look at, else the newest that still counts."""
    urgent = [row for row in mine if row["state"] in (ForwardState.HELD, ForwardState.FAILED) or row["wish"] == "undo"]
    standing = [row for row in mine if row["state"] != ForwardState.CANCELLED]
    row = (urgent or standing or list(mine))[0]
    result, text = _state(row, now)
    told = {"result": result, "state": row["state"], "text": text, "at": iso(row["at"]), "forward": row["id"]}
    more = {"target": row["target"], "evidence": row["evidence"], "due_at": iso(row["due_at"]), "count": len(mine)}
    listed = [{"id": one["id"], "state": one["state"], "at": iso(one["at"]), "target": one["target"]} for one in mine]
    return {**told, **more, "forwards": listed}


def _state(row: Row, now: datetime) -> tuple[Result, str]:
    target, reason = row["target"], str(row["reason"])
    behind = f": {reason}" if reason else ""
    match row["state"]:
        case ForwardState.DELIVERED if row["wish"] == "undo":
            return "rewarded", f"{target} has it, and it is to be taken back by hand{behind}"
        case ForwardState.DELIVERED:
            return "rewarded", f"{target} has it{behind}"
        case ForwardState.ACCEPTED:
            return "accepted", f"{target} took it and has not granted it yet"
        case ForwardState.FAILED:
            return "failed", f"{target} does not get it{behind}"
        case ForwardState.HELD:
            return "held", f"a person must decide{behind}"
        case ForwardState.CANCELLED:
            return "withdrawn", reason or "it was withdrawn"
    if row["parked"]:
        return "on its way", "it waits until another one for this customer has ended"
    if row["judge"] and not row["attempts"]:
        return "waiting", "it leaves when its wait is over, if it is still owed then"
    if row["due_at"] and row["due_at"] > report.ms(now) and row["tries"]:
        return "on its way", f"it is tried again{behind}"
    return "on its way", f"it is due{behind}"


def _seen(rule: Rule, when: When, row: Row, known: Known, config: Config) -> tuple[Result, str]:
    """It was seen and nothing is owed for it: why not."""
    reason = str(row["reason"])
    if row["state"] == "waiting" and row["review"] == "asked":
        return "in review", reason
    if row["state"] == "waiting":
        if (row["source"], row["account"]) in known.accounts:
            back = said(config.customers.retroactive)
            return "condition", f"it happened longer before the link than retroactive = {back} allows"
        return "not linked", reason
    verdicts = [v for v in decide(config, read.recorded(row)) if v.rule == rule.ledger]
    for verdict in verdicts:
        if isinstance(verdict, Unjudged):
            return "unjudged", verdict.fault
    if "undone" in reason:
        return "undone", reason
    if not any(isinstance(verdict, Owed) for verdict in verdicts):
        whys = [verdict.why for verdict in verdicts if isinstance(verdict, NotOwed)]
        return "condition", whys[0] if whys else reason
    if row["owner"] is None:
        return "not linked", reason or "nobody has linked this account yet"
    return "not considered", f"{when.title}: it was seen before this rule was there"


#: What the last answer about a claim was, in words.
ANSWERS = {"not_found": ": the source says no", "pending": ": somebody else must say yes at the source"}


def _said(claim: Row) -> str:
    if claim["state"] != "checking":
        return ""
    unknown = f": the source could not be asked ({claim['obstacle'] or claim['note'] or 'not yet'})"
    return ANSWERS.get(claim["result"], unknown)


def _not_seen(rule: Rule, known: Known, config: Config) -> str:
    linked = {source for source, _ in (*known.accounts, *known.strangers)}
    told: dict[str, str] = {}
    for when in rule.whens:
        source = config.sources[when.source]
        what = f"{source.provider.title} has not told of it"
        if not source.provider.knows_customers and when.ledger not in linked:
            what = f"no account at {when.source} is linked"
        claimed = [one for one in known.claims if (one["source"], one["action"]) == (when.ledger, when.action)]
        if claimed:
            what = f"claim {claimed[0]['number']} is {claimed[0]['state']}" + _said(claimed[0])
        told[when.source] = what
    return "; ".join(dict.fromkeys(told.values()))
