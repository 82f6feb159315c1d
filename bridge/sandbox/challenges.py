"""Challenges as Voyado Engage describes them: contacts, definitions, and each contact's way through them.

Nothing here knows HTTP. Checkpoints add up: whoever sends a row twice has given twice.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

#: The client that Voyado generated knows these words; its v3 examples show numbers, which count them from 0.
STATUSES = ("All", "Active", "Draft", "Scheduled", "Ended")
ASSIGN_ON = ("None", "ReceiptTotal", "ReceiptLineQuantity", "ReceiptLineTotal")
PROGRESS = ("Unknown", "Completed", "NotCompleted", "Active")

LOCAL = timezone(timedelta(hours=1))  # the tenant's


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody the merchant knows."""

    id: str
    email: str = ""
    mobile: str = ""
    external: str = ""
    member: str = ""  # the member number
    type: str = "Member"


@dataclass(slots=True, kw_only=True)
class Definition:
    """A challenge as the merchant made it."""

    id: str
    name: str = ""
    required: int = 5
    recurring: bool = False
    consent: bool = True  # whether contacts must agree first; else the first checkpoint begins it
    assign_on: str = "None"
    status: str = "Active"


@dataclass(slots=True, kw_only=True)
class Challenge:
    """One contact's run through a definition."""

    id: str
    contact: str
    definition: Definition
    started: datetime
    completed: int = 0
    latest: datetime | None = None
    completed_on: datetime | None = None
    active: bool = True  # False: it waits for consent, is completed, or has ended
    ended: bool = False

    @property
    def open(self) -> bool:
        return self.active and self.completed_on is None

    @property
    def filters(self) -> set[str]:
        """By which a list shows it."""
        return {"All", "Completed" if self.completed_on else "NotCompleted", "Active" if self.open else "All"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One row of one call, and what became of it."""

    contact: str
    definition: str
    amount: int
    key: str  # the caller's name for the call; Engage ignores it, whoever watches does not
    why: str = ""  # why it was skipped; empty: it was added


class Engage:
    """What a merchant's tenant holds."""

    def __init__(self, definitions: Iterable[Definition] = (), *, words: bool = False, surplus: bool = False) -> None:
        """`words`: statuses as words, not numbers; `surplus`: counts may go beyond what is required."""
        self.definitions = {one.id: one for one in definitions}
        self.words = words
        self.surplus = surplus
        self.contacts: dict[str, Contact] = {}
        self.challenges: dict[str, Challenge] = {}
        self.given: list[Given] = []
        self.got: Counter[tuple[str, str]] = Counter()  # checkpoints, by contact and definition

    def join(self, id: str = "", **names: str) -> Contact:
        made = Contact(id=(id or name("contact", len(self.contacts))).lower(), **names)
        self.contacts[made.id] = made
        return made

    def offer(self, definition: Definition) -> Definition:
        self.definitions[definition.id] = definition
        return definition

    def known_by(self, **names: str) -> list[Contact]:
        """Contacts that all of these names fit; those that are not given fit anybody."""
        asked = {field: value for field, value in names.items() if value}
        return [one for one in self.contacts.values() if all(getattr(one, field) == asked[field] for field in asked)]

    def of(self, contact: str, definition: str = "") -> list[Challenge]:
        """A contact's challenges, in the order in which they began."""
        return [
            one for one in self.challenges.values() if one.contact == contact and definition in ("", one.definition.id)
        ]

    def invite(self, contact: str, definition: str, now: datetime) -> Challenge:
        """Assign it without the contact's consent: it waits."""
        made = self._begin(contact, self.definitions[definition], now)
        made.active = False
        return made

    def assign(self, contact: str, definition: str, now: datetime) -> None:
        """Begin it, once; what waits for consent becomes active."""
        had = self.of(contact, definition)
        for one in had:
            one.active = not one.ended and one.completed_on is None
        if not had:
            self._begin(contact, self.definitions[definition], now)

    def end(self, contact: str, definition: str) -> None:
        """Its time is up."""
        for one in self.of(contact, definition):
            one.active, one.ended = False, True

    def add(self, contact: str, definition: str, amount: int, now: datetime, *, key: str = "") -> bool:
        """Add checkpoints for a contact; whether they were taken."""
        why, challenge = self._open(contact, definition, now)
        self.given.append(Given(contact=contact, definition=definition, amount=amount, key=key, why=why))
        if challenge is None:
            return False
        rules = challenge.definition
        room = amount if self.surplus else min(amount, rules.required - challenge.completed)
        challenge.completed += room
        challenge.latest = now
        self.got[contact, definition] += room
        if challenge.completed >= rules.required:
            challenge.completed_on, challenge.active = now, False
            if rules.recurring:
                self._begin(contact, rules, now)
        return True

    def _open(self, contact: str, definition: str, now: datetime) -> tuple[str, Challenge | None]:
        """The challenge that takes checkpoints now, or why there is none."""
        rules = self.definitions.get(definition)
        if contact not in self.contacts or rules is None:
            return "there is no such contact or definition", None
        if rules.status != "Active":
            return "the definition is not active", None
        had = self.of(contact, definition)
        found = next((one for one in had if one.open), None)
        if found is None and not had and not rules.consent:
            found = self._begin(contact, rules, now)
        if found:
            return "", found
        return ("completed or ended" if had else "not assigned"), None

    def _begin(self, contact: str, definition: Definition, now: datetime) -> Challenge:
        id_ = name("challenge", len(self.challenges))
        made = Challenge(id=id_, contact=contact, definition=definition, started=now)
        self.challenges[id_] = made
        return made

    # What the API shows of it.

    def challenge(self, one: Challenge) -> dict[str, Any]:
        """`challengeId` is the definition's id: so it stands in their example, whatever the name says."""
        state = "Completed" if one.completed_on else "Active" if one.active else "NotCompleted"
        return {
            "challengeId": one.definition.id,
            "challengeStart": stamp(one.started),
            "challengeCompletedOn": stamp(one.completed_on),
            "completedCheckpoints": one.completed,
            "contactId": one.contact,
            "id": one.id,
            "isActive": one.active,
            "isChallengeCompleted": one.completed_on is not None,
            "latestCheckpointAddedOn": stamp(one.latest),
            "requiredCheckpoints": one.definition.required,
            "status": self._said(state, PROGRESS),
            "links": [],
        }

    def definition(self, one: Definition) -> dict[str, Any]:
        return {
            "checkpointAssignOn": self._said(one.assign_on, ASSIGN_ON),
            "checkpointAssignOnAmount": 1,
            "createdBy": "Joe Doe",
            "description": "",
            "expirationMonths": None,
            "id": one.id,
            "isContactConsentRequired": one.consent,
            "isScheduled": one.status == "Scheduled",
            "name": one.name,
            "requiredNumberOfCheckpoints": one.required,
            "status": self._said(one.status, STATUSES),
            "links": [],
        }

    def _said(self, word: str, words: Sequence[str]) -> str | int:
        return word if self.words else words.index(word)

    def known(self) -> dict[str, Any]:
        """Everything, for whoever watches."""
        return {
            "contacts": {
                contact: {
                    "got": {definition: self.got[contact, definition] for definition in self.definitions},
                    "challenges": [self.challenge(one) for one in self.of(contact)],
                }
                for contact in self.contacts
            },
            "given": [
                {field: getattr(one, field) for field in ("contact", "definition", "amount", "key", "why")}
                for one in self.given
            ],
        }


def name(what: str, number: int) -> str:
    """A GUID, the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://engage.invalid/{what}/{number}"))


def stamp(at: datetime | None) -> str | None:
    """A time as .NET writes it: seven digits of a second, and the tenant's zone."""
    return f"{at.astimezone(LOCAL):%Y-%m-%dT%H:%M:%S.%f}0+01:00" if at else None
