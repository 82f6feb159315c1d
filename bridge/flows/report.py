"""What operators ask for, as plain values: the rows of every list, and how everything stands right now.

The command line prints these rows and the API answers with them, so a field is named in one place. Every row
has `id`, `state` and `at` (its last change); times are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from bridge.config import Config
from bridge.kit import Conflict, DeliveryState, EvidenceState, ForwardState, NotFound
from bridge.kit.states import ClaimState
from bridge.store import Row, Tx, attempts, claims, customers, lists, numbers, targets
from bridge.store.rows import ms, when

from . import people

Shown: TypeAlias = dict[str, Any]

__all__ = ["Shown", "find", "grouped", "iso", "listing", "masked", "ms", "shown", "snapshot", "when"]

#: The states that `--state` takes, by list.
STATES: Mapping[str, type[DeliveryState] | type[EvidenceState] | type[ForwardState] | type[ClaimState]] = {
    "claims": ClaimState,
    "deliveries": DeliveryState,
    "evidence": EvidenceState,
    "forwards": ForwardState,
}
#: Lists that know a source by the name that counts in the ledger.
LEDGERED = ("evidence", "forwards", "links", "claims")
#: Which list a name belongs to.
PREFIXES: Mapping[str, str] = {
    "del": "deliveries",
    "evi": "evidence",
    "fwd": "forwards",
    "rej": "rejections",
    "lnk": "links",
    "clm": "claims",
}


def iso(value: int | None) -> str | None:
    """A time of the store as the rows show it."""
    return None if value is None else when(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def shown(tx: Tx, what: str, rows: Sequence[Row]) -> list[Shown]:
    """Rows of a list as they are shown: with the customers they are about, and whom parked forwards wait for."""
    match what:
        case "evidence" | "links" | "claims":
            named = "owner" if what == "evidence" else "customer"
            known = await customers.of(tx, ids={str(row[named]) for row in rows if row[named]})
            make = {"evidence": _evidence, "links": _link, "claims": _claim}[what]
            return [make(row, _who(row[named], known)) for row in rows]
        case "forwards":
            keys = {str(row["parked"]) for row in rows if row["parked"]}
            holders = await attempts.holders(tx, keys=keys) if keys else {}
            return [_forward(row, holders) for row in rows]
    return [{"deliveries": _delivery, "rejections": _rejection, "audit": _entry}[what](row) for row in rows]


def _who(id_: str | None, known: Mapping[str, Row]) -> Shown | None:
    if not id_:
        return None
    row = known.get(str(id_))
    return {"id": str(id_), "email": row["email"] if row else None, "phone": row["phone"] if row else None}


def _delivery(row: Row) -> Shown:
    return {
        "id": row["id"],
        "state": row["state"],
        "at": iso(row["at"]),
        "source": row["source"],
        "reason": row["reason"],
        "copies": row["copies"],
        "received_at": iso(row["received_at"]),
        "size": row["size"],
    }


def _rejection(row: Row) -> Shown:
    names = ("source", "reason", "detail", "hint", "method", "path", "size", "sha256")
    told = {"id": row["id"], "state": None, "at": iso(row["at"]), **{name: row[name] for name in names}}
    return {**told, "headers": json.loads(row["headers"])}


def _evidence(row: Row, customer: Shown | None) -> Shown:
    return {
        "id": row["id"],
        "state": row["state"],
        "at": iso(row["at"]),
        "source": row["source"],
        "action": row["action"],
        "account": row["account"],
        "customer": customer,
        "subject": row["subject"],
        "key": row["key"],
        "undone": bool(row["undone"]),
        "part": row["part"],
        "occurred_at": iso(row["occurred_at"]),
        "grade": row["grade"],
        "facts": json.loads(row["facts"]),
        "reason": row["reason"],
        "delivery": row["delivery"],
    }


def _link(row: Row, customer: Shown | None) -> Shown:
    told = {"id": row["id"], "state": None, "at": iso(row["at"]), "source": row["source"], "account": row["account"]}
    return {**told, "customer": customer, "how": row["how"], "linked_at": iso(row["linked_at"])}


def _claim(row: Row, customer: Shown | None) -> Shown:
    names = ("number", "source", "action", "account", "handle", "reason", "result", "obstacle", "note", "evidence")
    told = {"id": row["id"], "state": row["state"], "at": iso(row["at"]), **{name: row[name] for name in names}}
    times = {name: iso(row[name]) for name in ("due_at", "expires_at", "created_at")}
    return {**told, "customer": customer, **times}


async def claim(tx: Tx, name: str) -> str:
    """The id of a claim, by its id, the beginning of one, or its short number. Nothing or several: `NotFound`."""
    if name.startswith("clm_"):
        return (await find(tx, name, among=("claims",)))[1]
    rows = await claims.numbered(tx, number=name.upper())
    if len(rows) != 1:
        raise NotFound(f"{name} names {len(rows) or 'no'} claims; ids begin with clm_, numbers are like 7KF-2PX")
    return str(rows[0]["id"])


def _forward(row: Row, holders: Mapping[str, str]) -> Shown:
    return {
        "id": row["id"],
        "state": row["state"],
        "at": iso(row["at"]),
        "kind": row["kind"],
        "source": row["source"],
        "target": row["target"],
        "rule": row["rule"],
        "send": row["send"],
        "bucket": row["bucket"],
        "customer": json.loads(row["customer"]),
        "account": row["account"],
        "action": row["action"],
        "subject": row["subject"],
        "reason": row["reason"],
        "wish": row["wish"],
        "attempts": row["attempts"],
        "due_at": iso(row["due_at"]),
        "waits_behind": holders.get(str(row["parked"])) if row["parked"] else None,
        "evidence": row["evidence"],
        "created_at": iso(row["created_at"]),
    }


def _entry(row: Row) -> Shown:
    told = {"id": row["number"], "state": None, "at": iso(row["at"]), "actor": row["actor"], "action": row["action"]}
    return {**told, "object": row["object"], "detail": json.loads(row["detail"])}


async def filters(tx: Tx, what: str, given: Mapping[str, Any], config: Config | None) -> dict[str, Any]:
    """Filters as the store takes them: the names that count in the ledger, all ids of one person."""
    asked = {name: value for name, value in given.items() if value is not None}
    allowed = lists.LISTS[what].filters
    for name in asked:
        if name not in allowed:
            raise Conflict(f"--{name} does not apply to {what}; known are {', '.join('--' + one for one in allowed)}")
    if "state" in asked and what in STATES and asked["state"] not in list(STATES[what]):
        raise Conflict(f"there is no state {asked['state']}; {what} are {', '.join(STATES[what])}")
    if config is not None:
        if (source := config.sources.get(asked.get("source", ""))) and what in LEDGERED:
            asked["source"] = source.ledger
        if rule := config.rule(asked.get("rule", "")):
            asked["rule"] = rule.ledger
    if "customer" in asked:
        asked["customer"] = await ids_of(tx, str(asked["customer"]), config)
    return asked


async def ids_of(tx: Tx, name: str, config: Config | None) -> list[str]:
    """Every id of the person whom this customer id, e-mail or phone names; the name itself where nobody is known."""
    return sorted(await same_person(tx, await known_as(tx, name, config))) or [name]


async def same_person(tx: Tx, rows: Sequence[Row]) -> set[str]:
    """The ids of everybody who is the same person as one of these customers."""
    persons = {str(row["person"]) for row in rows}
    members = await customers.members(tx, persons=persons) if persons else []
    return persons | {str(row["id"]) for row in members}


async def known_as(tx: Tx, name: str, config: Config | None) -> Sequence[Row]:
    """Customers of this id, e-mail or phone, however the phone is written."""
    if rows := await customers.known_as(tx, name=name):
        return rows
    number = people.e164(name, config.customers.phone_country if config else "")
    return await customers.known_as(tx, name=number) if number else []


async def listing(
    tx: Tx, what: str, asked: Mapping[str, Any], *, limit: int, before: str | int | None = None
) -> list[Shown]:
    """The newest rows that pass all filters, newest first. `asked`: as `filters` made them."""
    return await shown(tx, what, await lists.page(tx, what, asked, limit=limit, before=before))


async def grouped(tx: Tx, what: str, asked: Mapping[str, Any], *, by: str) -> list[Shown]:
    """How many rows pass all filters, by the values of one column."""
    if by not in lists.LISTS[what].groups:
        raise Conflict(f"--by {by} does not apply to {what}; known are {', '.join(lists.LISTS[what].groups)}")
    rows = await lists.grouped(tx, what, asked, by=by)
    return [{"by": by, "value": row["value"], "count": row["count"], "newest": iso(row["newest"])} for row in rows]


async def count(tx: Tx, what: str, asked: Mapping[str, Any]) -> int:
    """How many rows pass all filters."""
    return await lists.count(tx, what, asked)


async def find(tx: Tx, name: str, *, among: Sequence[str] = tuple(PREFIXES.values())) -> tuple[str, str]:
    """The list and the whole id that an id, or the beginning of one, stands for. Nothing or several: `NotFound`."""
    what = PREFIXES.get(name.partition("_")[0])
    if what is None or "_" not in name or what not in among:
        known = ", ".join(f"{prefix}_..." for prefix, one in PREFIXES.items() if one in among)
        raise NotFound(f"{name} is no id here; ids begin with {known}")
    found = await lists.starting(tx, what, prefix=name)
    if name in found or len(found) == 1:
        return what, name if name in found else found[0]
    if not found:
        raise NotFound(f"there is no {name}")
    raise NotFound(f"{name} is the beginning of several: {', '.join(found[:2])} ...; write more of it")


async def changes(tx: Tx, what: str, *, since: int, limit: int = 500) -> list[Shown]:
    """What has changed in a list since then, in the order of the changes."""
    return await shown(tx, what, await lists.changed(tx, what, since=since, limit=limit))


async def lately(tx: Tx, what: str, *, limit: int) -> list[Shown]:
    """The newest rows of a list, oldest of them first."""
    return list(reversed(await listing(tx, what, {}, limit=limit)))


async def snapshot(tx: Tx, names: Sequence[str], *, now: int) -> Shown:
    """The numbers behind /metrics: `names` are the targets of the configuration."""
    return {
        "now": now,
        "targets": {name: dict(row) for name, row in (await targets.all(tx)).items()},
        "undelivered": {name: dict(await lists.undelivered(tx, target=name, now=now)) for name in names},
        "rejected": await numbers.named(tx, name="rejected"),
        "stopped": await numbers.named(tx, name="stopped"),
        "heard": await numbers.named(tx, name="heard"),
    }


async def standing(tx: Tx) -> dict[str, str]:
    """How each target stands, in a word: ok, paused, failing."""
    return {
        name: "paused" if row["paused_at"] is not None else "ok" if row["breaker"] == "closed" else "failing"
        for name, row in (await targets.all(tx)).items()
    }


async def alive(tx: Tx) -> None:
    """Whether the store takes a transaction."""
    await lists.alive(tx)


_ADDRESS = re.compile(r"([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")


def masked(value: Any) -> Any:
    """The same with customers' e-mail addresses and phones masked: a***@example.com, +4670…67."""
    if isinstance(value, Mapping):
        return {name: _masked(name, one) for name, one in value.items()}
    return [masked(one) for one in value] if isinstance(value, list | tuple) else value


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if name == "phone":
            return f"{value[:5]}…{value[-2:]}" if len(value) > 8 else "…"
        if name in ("email", "answer", "note", "reason", "text"):
            return _ADDRESS.sub(r"\1***@\2", value)
    return masked(value)
