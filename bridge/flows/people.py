"""The customer directory: what a source or an operator knows of customers, normalised, remembered and joined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from bridge.config import Customers, SourceTable
from bridge.kit import Customer
from bridge.kit.types import NOTHING
from bridge.store import Row, Tx, customers


@lru_cache(maxsize=4096)
def e164(text: str, country: str) -> str | None:
    """A phone as E.164; None where it is no possible number."""
    import phonenumbers  # 30 ms to import, and many shops never send a phone

    try:
        parsed = phonenumbers.parse(text, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def email(text: str | None) -> str | None:
    """An e-mail address as it is kept and compared; None where it is none."""
    text = (text or "").strip().lower()
    return text if "@" in text and " " not in text else None


def known(customer: Customer, settings: Customers, source: SourceTable | None) -> dict[str, Any] | None:
    """A directory entry for what a source says of one of its customers; None where it does not name them."""
    mail = email(customer.email)
    phone = e164(customer.phone, settings.phone_country) if customer.phone else None
    name = {"id": customer.id, "email": mail, "phone": phone}[source.customer if source else "id"]
    if not name:
        return None
    prefix = source.customer_prefix if source and source.customer == "id" else ""
    return {
        "id": prefix + name,
        "email": mail,
        "phone": phone,
        "email_verified": int(bool(mail and customer.email_verified)),
        "phone_verified": int(bool(phone and customer.phone_verified)),
    }


async def remember(
    tx: Tx, entries: Iterable[Mapping[str, Any]], settings: Customers, *, now: int
) -> Mapping[str, Mapping[str, Any]]:
    """
    Enter what is new, replace what has changed, and join those who are now known to be one person.

    The entries as they stand now, by id; empty where somebody was joined, and so must be looked up again.
    """
    wanted: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        wanted[entry["id"]] = _merged(wanted[entry["id"]], entry) if entry["id"] in wanted else entry
    if not wanted:
        return {}
    stored = await customers.of(tx, ids=wanted)
    new = [{**entry, "at": now} for id_, entry in wanted.items() if id_ not in stored]
    changed = [
        {**merged, "at": now}
        for id_, entry in wanted.items()
        if (entry["email"] or entry["phone"])  # most say no more than who it is
        and id_ in stored
        and (merged := _merged(stored[id_], entry)) != _plain(stored[id_])
    ]
    if new:
        await customers.add(tx, new)
    if changed:
        await customers.change(tx, changed)
    joined = False
    for by in settings.same_when:
        if verified := [one for one in (*new, *changed) if one[f"{by}_verified"]]:
            joined |= await _join(tx, by, {str(one[by]) for one in verified})
    if joined:
        return {}
    known = {one["id"]: {**one, "person": one["id"]} for one in new}
    known.update({one["id"]: {**one, "person": stored[one["id"]]["person"]} for one in changed})
    return {**stored, **known}


async def _join(tx: Tx, by: str, values: set[str]) -> bool:
    joined = False
    groups: dict[str, list[Row]] = {}
    for row in await customers.sharing(tx, by=by, values=values):
        groups.setdefault(str(row[by]), []).append(row)
    for rows in groups.values():
        persons = {str(row["person"]) for row in rows}
        if len(persons) > 1:
            await customers.join(tx, person=str(rows[0]["person"]), persons=persons)
            joined = True
    return joined


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("id", "email", "phone", "email_verified", "phone_verified")}


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What was known and what is said now. Silence forgets nothing; another value is not verified by the old one."""
    merged = _plain(old)
    for name in ("email", "phone"):
        same, better = new[name] == old[name], new[f"{name}_verified"] >= old[f"{name}_verified"]
        # What a buyer typed at the till never replaces what somebody has verified.
        if new[name] and better and not (same and new[f"{name}_verified"] == old[f"{name}_verified"]):
            merged[name], merged[f"{name}_verified"] = new[name], new[f"{name}_verified"]
    return merged


async def persons(
    tx: Tx, ids: Sequence[str], known: Mapping[str, Mapping[str, Any]] = NOTHING, settings: Customers | None = None
) -> tuple[dict[str, Mapping[str, Any]], dict[str, list[str]]]:
    """Directory entries by id, and all the customers each person is, where it may be several. `known`: seen before."""
    rows = {id_: known[id_] for id_ in ids if id_ in known}
    if missing := set(ids) - set(rows):
        rows.update(await customers.of(tx, ids=missing))
    if settings is not None and not settings.same_when and all(row["person"] == row["id"] for row in rows.values()):
        return rows, {}
    joined = {str(row["person"]) for row in rows.values()}
    everyone: dict[str, list[str]] = {person: [] for person in joined}
    for row in await customers.members(tx, persons=joined):
        everyone.setdefault(str(row["person"]), []).append(str(row["id"]))
    return rows, everyone
