"""Rows of the store -> the nouns of the kit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.config import Config
from bridge.kit import Attempt, Customer, Evidence, EvidenceState, Forward, ForwardState, Grade, Kind, Recorded, Verdict
from bridge.store import Row
from bridge.store.rows import ms, text, when, when_or_none


def recorded(row: Row) -> Recorded:
    """A row of `evidence`."""
    return Recorded(
        id=row["id"],
        source=row["source"],
        action=row["action"],
        key=row["key"],
        account=row["account"],
        subject=row["subject"],
        occurred_at=when(row["occurred_at"]),
        received_at=when(row["received_at"]),
        grade=Grade(row["grade"]),
        facts=json.loads(row["facts"]),
        customer=None,
        undone=bool(row["undone"]) and not row["part"],
        part=row["part"],
        less=json.loads(row["less"]),
        delivery=row["delivery"],
        state=EvidenceState(row["state"]),
        reason=row["reason"],
        already=bool(row["already"]),
        review=row["review"],
    )


def evidence_row(evidence: Recorded, owner: str | None, state: EvidenceState, reason: str) -> dict[str, Any]:
    """A row of `evidence` from the noun."""
    return {
        "id": evidence.id,
        "source": evidence.source,
        "action": evidence.action,
        "key": evidence.key,
        "undone": int(evidence.undone or bool(evidence.part)),
        "part": evidence.part,
        "account": evidence.account,
        "owner": owner,
        "subject": evidence.subject,
        "occurred_at": ms(evidence.occurred_at),
        "received_at": ms(evidence.received_at),
        "grade": evidence.grade.value,
        "facts": text(dict(evidence.facts)),
        "less": text(dict(evidence.less)) if evidence.less else "{}",
        "delivery": evidence.delivery,
        "state": state.value,
        "reason": reason,
        "at": ms(evidence.received_at),
    }


def owners(rows: Iterable[Row], config: Config) -> dict[str, str]:
    """Whose evidence this is, by its id, where the source itself knows: an account's owner is whoever is linked now."""
    found: dict[str, str] = {}
    for row in rows:
        source = config.source_of(row["source"])
        if row["owner"] and (row["source"] == "grant" or (source and source.provider.knows_customers)):
            found[row["id"]] = str(row["owner"])
    return found


def forward(row: Row, earlier: Row | None = None, *, known_as: str = "", baseline: str = "") -> Forward:
    """A row of `forwards`, with the attempt of its own that is in doubt."""
    return Forward(
        id=row["id"],
        kind=Kind(row["kind"]),
        rule=row["rule"],
        send=row["send"],
        bucket=row["bucket"],
        target=row["target"],
        customer=customer(json.loads(row["customer"])),
        person=row["person"],
        options=json.loads(row["options"]),
        source=row["source"],
        account=row["account"],
        action=row["action"],
        key=row["key"],
        subject=row["subject"],
        facts=json.loads(row["facts"]),
        occurred_at=when(row["occurred_at"]),
        created_at=when(row["created_at"]),
        evidence=row["evidence"],
        state=ForwardState(row["state"]),
        reason=row["reason"],
        tries=row["tries"],
        attempts=row["attempts"],
        lease=row["lease"],
        earlier=attempt(earlier) if earlier is not None else None,
        undoes=row["undoes"],
        known_as=known_as,
        baseline=baseline,
    )


def attempt(row: Row) -> Attempt:
    """A row of `attempts`."""
    return Attempt(
        forward=row["forward"],
        number=row["number"],
        leased_at=when(row["leased_at"]),
        lease_until=when(row["lease_until"]),
        baseline=row["baseline"],
        sent_at=when_or_none(row["sent_at"]),
        ended_at=when_or_none(row["ended_at"]),
        resolved_at=when_or_none(row["resolved_at"]),
        status=row["status"],
        verdict=Verdict(row["verdict"]) if row["verdict"] else None,
        note=row["note"],
        reference=row["reference"],
        answer=row["answer"],
    )


def customer(value: Mapping[str, Any]) -> Customer:
    """The customer a forward names."""
    return Customer(id=value.get("id"), email=value.get("email"), phone=value.get("phone"))


def plausible(evidence: Evidence) -> str:
    """What makes evidence unfit to be stored, in words; empty where nothing does."""
    for name, value in (
        ("action", evidence.action),
        ("key", evidence.key),
        ("account", evidence.account or ""),
        ("subject", evidence.subject),
        ("part", evidence.part),
    ):
        if not isinstance(value, str):
            return f"{name} is a {type(value).__name__}, not a text"
        if len(value) > 512:
            return f"{name} has {len(value)} characters; 512 are the most"
    if not evidence.key:
        return "it has no key"
    who = evidence.customer
    named = (who.id, who.email, who.phone) if who else ()
    try:
        whole = text([evidence.key, evidence.account, evidence.subject, evidence.part, dict(evidence.facts), *named])
    except (TypeError, ValueError, RecursionError) as error:
        return f"its facts cannot be kept: {error}"
    return poison(whole)


def poison(whole: str) -> str:
    """Lone surrogates break both engines, NUL breaks one; JSON escapes let a signed body carry either."""
    if "\x00" in whole or "\\u0000" in whole:
        return "a text in it contains NUL"
    try:
        whole.encode()
    except UnicodeEncodeError:
        return "a text in it contains half of a surrogate pair"
    return ""
