"""The whole story of one thing: delivery, evidence, rule, forward, every attempt, and what operators did about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from bridge.config import Config
from bridge.kit import NotFound, Owed
from bridge.store import Row, Tx, attempts, audit, deliveries, evidence, forwards, lists

from . import read, report
from .answer import SEALED
from .decide import Unjudged, decide
from .report import Shown, iso

#: Audit entries that only repeat what the rows themselves say.
SAID_ALREADY = ("delivery.stored", "forward.delivered", "forward.accepted", "forward.failed", "forward.pending")


async def story(tx: Tx, id_: str, config: Config | None = None) -> list[Shown]:
    """
    Everything that belongs to the thing with this id, in the order in which it happened.

    Each part has `what` it is, its `id`, its `state` and `at`; the thing itself has `asked` set. A
    forward's parts lead back to the delivery behind it and on to its attempts.
    """
    what, whole = await report.find(tx, id_)
    match what:
        case "deliveries":
            told = list(await evidence.of_delivery(tx, delivery=whole))
            owed = await forwards.of_evidence(tx, ids=[row["id"] for row in told])
            parts = await _parts(tx, [whole], told, owed, config)
        case "evidence":
            told = list(await evidence.of(tx, ids=[whole]))
            owed = await forwards.of_facts(tx, {_fact(row) for row in told})
            parts = await _parts(tx, [row["delivery"] for row in told], await _same(tx, told), owed, config)
        case "forwards":
            owed = list(await forwards.of(tx, ids=[whole]))
            owed = [*owed, *await forwards.undoing(tx, ids=[whole])]
            told = list(await evidence.of(tx, ids={row["evidence"] for row in owed}))
            parts = await _parts(tx, [row["delivery"] for row in told], await _same(tx, told), owed, config)
        case "links":
            parts = await _link(tx, whole)
        case "claims":
            parts = await _claim(tx, whole, config)
        case _:
            row = await lists.one(tx, what, id=whole)
            assert row is not None
            parts = [{"what": "rejection", **(await report.shown(tx, what, [row]))[0]}]
    for part in parts:
        part["asked"] = part["id"] == whole and part["what"] not in ("operator", "attempt")
    return parts


async def _same(tx: Tx, told: Sequence[Row]) -> list[Row]:
    """These facts and all that undoes them."""
    facts = {_fact(row) for row in told}
    found = [*told, *await evidence.withdrawals(tx, facts)] if facts else list(told)
    return list({row["id"]: row for row in found}.values())


async def _parts(
    tx: Tx, came: Iterable[str], told: Sequence[Row], owed: Sequence[Row], config: Config | None
) -> list[Shown]:
    ids = {*came, *(row["delivery"] for row in told)} - {""}
    parts: list[tuple[Any, Shown]] = []
    for row in await deliveries.of(tx, ids=ids):
        shown = (await report.shown(tx, "deliveries", [{**dict(row), "size": len(row["body"])}]))[0]
        parts.append(((row["received_at"], 0), {"what": "delivery", **shown}))
    followed = await forwards.of_facts(tx, {_fact(row) for row in told}) if told else []
    for row, shown in zip(told, await report.shown(tx, "evidence", told), strict=True):
        more = {"received_at": iso(row["received_at"]), "rules": _rules(row, followed, config)}
        parts.append(((row["received_at"], 1), {"what": "evidence", **shown, **more}))
    for row, shown in zip(owed, await report.shown(tx, "forwards", owed), strict=True):
        rule = config.rule(row["rule"]) if config else None
        named = {"rule_name": rule.name if rule else row["rule"], "options": _options(row["options"])}
        parts.append(((row["created_at"], 2), {"what": "forward", **shown, **named, "undoes": row["undoes"]}))
    for row in await attempts.of(tx, ids=[row["id"] for row in owed]):
        parts.append(((row["leased_at"], 3), _attempt(row)))
    objects = [*ids, *(row["id"] for row in told), *(row["id"] for row in owed)]
    for row in await audit.about(tx, objects=objects):
        if row["action"] not in SAID_ALREADY:
            parts.append(((row["at"], 4), _operator(row)))
    return [part for _, part in sorted(parts, key=lambda pair: pair[0])]


def _fact(row: Row) -> tuple[str, str, str]:
    return str(row["source"]), str(row["action"]), str(row["key"])


def _rules(row: Row, followed: Sequence[Row], config: Config | None) -> list[Shown]:
    """What each rule of today makes of a fact. What was owed for it stays as it was."""
    if config is None or row["undone"]:
        return []
    made = {str(one["rule"]) for one in followed if _fact(one) == _fact(row)}
    told = []
    for verdict in decide(config, read.recorded(row)):
        match verdict:
            case Owed() if verdict.rule in made:
                text = "owed"
            case Owed():
                rule = config.rule(verdict.rule)
                text = f"nothing more is owed: it waits, or its limit ({rule.limit if rule else ''}) is used up"
            case Unjudged():
                text = f"cannot be judged: {verdict.fault}"
            case _:
                text = f"nothing is owed: {verdict.why}"
        told.append({"rule": verdict.rule, "text": text})
    return told


def _attempt(row: Row) -> Shown:
    return {
        "what": "attempt",
        "id": row["forward"],
        "state": row["verdict"] or "open",
        "at": iso(row["ended_at"] or row["sent_at"] or row["leased_at"]),
        "number": row["number"],
        "leased_at": iso(row["leased_at"]),
        "sent_at": iso(row["sent_at"]),
        "ended_at": iso(row["ended_at"]),
        "status": row["status"],
        "verdict": row["verdict"],
        "resolution": row["resolution"],
        "resolved_at": iso(row["resolved_at"]),
        "note": row["note"],
        "reference": row["reference"],
        "baseline": row["baseline"],
        "answer": row["answer"],
    }


def _operator(row: Row) -> Shown:
    entry = {"at": iso(row["at"]), "actor": row["actor"], "action": row["action"], "detail": json.loads(row["detail"])}
    return {"what": "operator", "id": row["object"], "state": None, **entry}


async def _claim(tx: Tx, id_: str, config: Config | None) -> list[Shown]:
    row = await lists.one(tx, "claims", id=id_)
    assert row is not None
    told = list(await evidence.of(tx, ids=[row["evidence"]])) if row["evidence"] else []
    owed = await forwards.of_facts(tx, {_fact(one) for one in told}) if told else []
    parts: list[Shown] = [{"what": "claim", **(await report.shown(tx, "claims", [row]))[0]}]
    parts += [_operator(entry) for entry in await audit.about(tx, objects=[id_])]
    return parts + (await _parts(tx, [one["delivery"] for one in told], told, owed, config) if told else [])


async def _link(tx: Tx, id_: str) -> list[Shown]:
    row = await lists.one(tx, "links", id=id_)
    assert row is not None
    parts = [{"what": "link", **(await report.shown(tx, "links", [row]))[0]}]
    parts += [_operator(entry) for entry in await audit.about(tx, objects=[id_])]
    done = await evidence.of_accounts(tx, pairs=[(row["source"], row["account"])])
    parts += [
        {"what": "evidence", **one, "rules": []}
        for one in await report.shown(tx, "evidence", list(reversed(done[:20])))
    ]
    return sorted(parts, key=lambda part: str(part["at"]))


async def as_it_came(tx: Tx, id_: str) -> bytes:
    """The request behind a delivery, evidence or forward: head, an empty line, the body byte for byte."""
    what, whole = await report.find(tx, id_)
    if what == "forwards":
        owed = await forwards.of(tx, ids=[whole])
        what, whole = "evidence", str(owed[0]["evidence"])
    if what == "evidence":
        told = await evidence.of(tx, ids=[whole])
        what, whole = "deliveries", str(told[0]["delivery"]) if told else ""
    row = await deliveries.find(tx, id=whole) if what == "deliveries" and whole else None
    if row is None:
        raise NotFound(f"no request is kept behind {id_}: of refused requests and granted rewards there is none")
    url = str(row["url"])
    path = "/" + url.partition("://")[2].partition("/")[2]
    lines = [f"{row['method']} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in _headers(row).items())]
    return "\n".join(lines).encode("latin-1", "replace") + b"\n\n" + bytes(row["body"])


def _headers(row: Row) -> dict[str, str]:
    headers: dict[str, str] = json.loads(row["headers"])
    host = str(row["url"]).partition("://")[2].partition("/")[0]
    return headers if "host" in headers else {"host": host, **headers}


def _options(kept: str) -> Shown:
    """A forward's options as they are told: what is sealed stays so."""
    found: Shown = json.loads(kept)
    return {"answer": "sealed"} if SEALED in found else found


async def tries(tx: Tx, ids: Sequence[str], *, since: int) -> list[Shown]:
    """The attempts of these forwards that have ended since then."""
    rows = await attempts.of(tx, ids=ids) if ids else []
    return [_attempt(row) for row in rows if row["ended_at"] is not None and row["ended_at"] >= since]
