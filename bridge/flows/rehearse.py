"""A recorded request, run through admit, understand and decide under a clock of its own. Sends and keeps nothing.

A recording is a request line, headers, an empty line and the body byte for byte. The .json beside it says under
which clock (`now`) and settings it was made and what it means: `evidence`, `customers`, `reply`, `ignored`,
`unreadable` or `rejected`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bridge.config import SourceTable
from bridge.kit import BadPayload, Customer, Delivery, Evidence, Grade, Ignored, Inbound, Owed, Rejected, Reply
from bridge.kit.errors import Unreadable

from .decide import NotOwed, Unjudged, decide
from .ingest import admit, diagnosis, understand
from .scene import Scene

ROLES = ("evidence", "customers", "reply", "ignored", "unreadable", "rejected")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the path, and what came of it."""

    name: str  # admit, understand, decide
    good: bool
    text: str


@dataclass(slots=True)
class Rehearsal:
    """What a recorded request came to."""

    steps: list[Step] = field(default_factory=list)
    means: dict[str, Any] = field(default_factory=dict)  # as the .json beside a recording says it
    owed: list[Owed] = field(default_factory=list)
    refused: bool = False


def recorded(raw: bytes, source: str, now: datetime, *, public_url: str = "") -> Inbound:
    """A recording as the request that it was. Without `public_url` its own Host is believed. `BadPayload`."""
    ends = sorted((place, mark) for mark in (b"\r\n\r\n", b"\n\n") if (place := raw.find(mark)) >= 0)
    if not ends:
        raise BadPayload("the file has no empty line between headers and body")
    place, mark = ends[0]
    first, *rest = raw[:place].decode("latin-1").replace("\r\n", "\n").split("\n")
    words = first.split(" ")
    if len(words) < 2 or not words[1].startswith("/"):
        raise BadPayload(f"the first line is POST /webhooks/{source} HTTP/1.1, not {first[:60]!r}")
    headers: dict[str, str] = {}
    repeated: set[str] = set()
    for number, line in enumerate(rest, 2):
        name, colon, value = line.partition(":")
        if not colon:
            raise BadPayload(f"line {number} is no header: {line[:60]!r}")
        name = name.strip().lower()
        if name in headers:
            repeated.add(name)
        headers[name] = value.strip()
    return Inbound(
        source=source,
        method=words[0].upper(),
        url=f"{public_url or 'https://' + headers.get('host', 'localhost')}{words[1]}",
        headers=headers,
        body=raw[place + len(mark) :],
        received_at=now,
        repeated=frozenset(repeated),
    )


def rehearse(inbound: Inbound, source: SourceTable, scene: Scene) -> Rehearsal:
    """Run a request through verification, reading and the rules of this scene."""
    found = Rehearsal()
    provider = source.provider
    try:
        delivery = admit(inbound, source, scene)
    except Rejected as refusal:
        hint = diagnosis(inbound, source, scene) if refusal.reason == "bad_signature" else ""
        said = f"refused with {refusal.status} {refusal.reason}: {refusal.message}"
        found.steps.append(Step("admit", False, f"{said} ({hint})" if hint else said))
        found.means, found.refused = {"rejected": refusal.reason}, True
        return found
    found.steps.append(Step("admit", True, f"the signature fits; it is known again by {delivery.key[:60]}"))
    found.means = meaning(source, delivery)
    arrival = understand(delivery, source, scene)
    if arrival.state == "failed":
        found.steps.append(Step("understand", False, arrival.reason))
        found.refused = True
        return found
    found.steps += [Step("understand", True, text) for text in _understood(found.means)]
    for one in arrival.told:
        if one.undone or one.part:
            found.steps.append(Step("decide", True, f"takes back what was owed for {one.action} {one.key}"))
            continue
        verdicts = decide(scene.config, one)
        if not verdicts:
            found.steps.append(Step("decide", True, f"no rule listens to {source.name}.{one.action}"))
        for verdict in verdicts:
            found.steps.append(_decided(verdict))
            if isinstance(verdict, Owed):
                found.owed.append(verdict)
    if arrival.told and not provider.knows_customers:
        whose = ", ".join(sorted({str(one.account) for one in arrival.told}))
        found.steps.append(Step("decide", True, f"whose account {whose} is, a link decides"))
    return found


def _understood(means: Mapping[str, Any]) -> list[str]:
    texts = []
    for role, value in means.items():
        match role:
            case "evidence":
                texts += [_told(one) for one in value]
            case "customers":
                texts += [f"customer {one.get('id', '(no id)')}, for the directory" for one in value]
            case "reply":
                texts.append(f"a handshake, answered with {value['status']} {value['body'][:60]!r}")
            case _:
                texts.append(f"{role}: {value}")
    return texts or ["nothing in it counts"]


def _told(one: Mapping[str, Any]) -> str:
    facts = ", ".join(f"{name} {value!r}" for name, value in one.get("facts", {}).items())
    undone = "no longer: " if one.get("undone") else ""
    on = f" on {one['subject']}" if one.get("subject") else ""
    return f"{undone}{one['action']} by {one['account']}{on}, known by {one['key']}" + (f"; {facts}" if facts else "")


def _decided(verdict: Owed | Unjudged | NotOwed) -> Step:
    match verdict:
        case Owed():
            options = ", ".join(f"{name} {value!r}" for name, value in verdict.options.items())
            wait = f", after {verdict.wait}" if verdict.wait else ""
            return Step("decide", True, f"{verdict.rule}: owed to {verdict.target}{wait}; {options}".rstrip("; "))
        case Unjudged():
            return Step("decide", False, f"{verdict.rule}: cannot be judged: {verdict.fault}")
    return Step("decide", True, f"{verdict.rule}: nothing is owed: {verdict.why}")


def differences(means: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Where a request means something else than its .json says; empty where it does not, or says nothing."""
    wanted = {role: expected[role] for role in ROLES if role in expected}
    if not wanted or wanted == means:
        return []
    return [
        f"{role}: it says {_short(wanted.get(role))}, and it is {_short(means.get(role))}"
        for role in ROLES
        if wanted.get(role) != means.get(role)
    ]


def _short(value: Any) -> str:
    return "nothing" if value is None else f"{value!r}"


def meaning(source: SourceTable, delivery: Delivery) -> dict[str, Any]:
    """What a delivery means, in plain values."""
    assert source.provider.read is not None
    try:
        told = source.provider.read(delivery, source.settings)
        if isinstance(told, Ignored):
            return {"ignored": told.reason}
        if isinstance(told, Reply):
            return {"reply": {"status": told.status, "media_type": told.media_type, "body": told.body.decode()}}
        listed: Sequence[Evidence | Customer] = list(told)
    except Unreadable as error:
        return {"unreadable": error.message}
    except Exception as error:  # a provider's bug: `understand` says the same, and keeps the delivery
        return {"unreadable": f"{type(error).__name__}: {error}"}
    evidence = [_said(one) for one in listed if isinstance(one, Evidence)]
    customers = [_customer(one) for one in listed if isinstance(one, Customer)]
    return {**({"evidence": evidence} if evidence else {}), **({"customers": customers} if customers else {})}


def _said(one: Evidence) -> dict[str, Any]:
    optional = {
        "subject": one.subject,
        "occurred_at": _plain(one.occurred_at),
        "grade": "" if one.grade is Grade.A else one.grade.value,
        "facts": {name: _plain(value) for name, value in one.facts.items()},
        "customer": _customer(one.customer) if one.customer else None,
        "undone": one.undone,
        "part": one.part,
        "less": dict(one.less),
    }
    known = {"action": one.action, "key": one.key, "account": one.account}
    return known | {name: value for name, value in optional.items() if value}


def _customer(who: Customer) -> dict[str, Any]:
    names = ("id", "email", "phone", "email_verified", "phone_verified")
    return {name: value for name in names if (value := getattr(who, name))}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
