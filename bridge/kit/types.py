"""The nouns: what comes in, what it proves, what we owe for it and what became of that."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeAlias

import orjson

from .errors import MissingHeader, Unreadable
from .states import DeliveryState, EvidenceState, ForwardState

Json: TypeAlias = Any
_LONG_NUMBER = re.compile(rb":\s*-?[0-9]{19}")  # begins with a literal, which is searched for at memory speed
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Grade(StrEnum):
    """How strong evidence is."""

    A = "A"  # the platform states the very relation for this account
    B = "B"  # a listing or event on the brand's side, matched to the account
    C = "C"  # heuristic, or said by the customer


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """An HTTP request exactly as it came. Nobody has verified it."""

    source: str
    method: str
    url: str  # as the sender wrote it: public_url, path and query
    headers: Mapping[str, str]  # names in lower case; of a repeated one the last value
    body: bytes
    received_at: datetime
    repeated: frozenset[str] = frozenset()  # names of headers that came more than once

    def header(self, name: str) -> str:
        """The header's value. Missing or empty: `MissingHeader`."""
        value = self.headers.get(name, "")
        if not value:
            raise MissingHeader(f"the header {name} is missing")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Inbound):
    """An inbound request that is the source's own. Only `ingest.admit` makes one."""

    id: str
    key: str  # by which the same delivery is recognised

    def json(self) -> Json:
        """The body as JSON. Anything else: `Unreadable`."""
        try:
            # The fast parser turns whole numbers beyond 64 bits into doubles, and two ids into one.
            return json.loads(self.body) if _LONG_NUMBER.search(self.body) else orjson.loads(self.body)
        except RecursionError:
            raise Unreadable("the body is nested too deeply") from None
        except json.JSONDecodeError as error:  # orjson's is one too
            raise Unreadable(f"the body is not JSON: line {error.lineno}, column {error.colno}") from None
        except ValueError:
            raise Unreadable("the body is not UTF-8") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody at the shop, as far as the speaker knows them."""

    id: str | None = None
    email: str | None = None
    phone: str | None = None  # as it came; kept and sent as E.164
    email_verified: bool = False
    phone_verified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A source told us that an account did something. Nothing else earns a reward.

    `key` names the fact, not the message about it: `(source, action, key)` is the same however
    often and by whichever route we hear of it, and its form may never change, or it pays again.
    """

    action: str
    key: str
    account: str | None  # None where the source does not say who
    subject: str = ""  # what it was done to
    occurred_at: datetime | None = None  # only if the platform set it, never what a client claims
    grade: Grade = Grade.A
    facts: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    customer: Customer | None = None
    undone: bool = False  # the fact no longer holds: refunded, cancelled, unfollowed
    part: str = ""  # names the part of the fact that was undone, e.g. one refund of an order
    less: Mapping[str, float] = field(default_factory=lambda: NOTHING)  # what that part takes from the facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """The delivery was read and nothing in it counts; the reason is for the operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handshake is answered with."""

    body: bytes = b""
    status: int = 200
    media_type: str = "text/plain"
    reason: str = "handshake"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Evidence as the store keeps it."""

    id: str
    source: str
    action: str
    key: str
    account: str | None
    subject: str
    occurred_at: datetime  # clamped to received_at; received_at where the platform set no time
    received_at: datetime
    grade: Grade
    facts: Mapping[str, Any]
    customer: Customer | None
    undone: bool = False
    part: str = ""
    less: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    delivery: str = ""
    state: EvidenceState = EvidenceState.CONSIDERED
    reason: str = ""


class Kind(StrEnum):
    """What a forward does at the target."""

    REWARD = "reward"
    UNDO = "undo"  # takes a reward back


class Verdict(StrEnum):
    """What one attempt taught us, in one word."""

    DONE = "done"  # the target says, or shows, that the reward exists
    DUPLICATE = "duplicate"  # the target already has ours
    ACCEPTED = "accepted"  # an asynchronous target took it
    REFUSED = "refused"  # it can never succeed as written
    LATER = "later"  # nothing happened
    MISCONFIGURED = "misconfigured"  # every call to this target would fail
    UNCLEAR = "unclear"  # it may have taken effect


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one attempt taught us."""

    verdict: Verdict
    note: str = ""
    reference: str = ""  # the target's own id for what it did
    retry_after: timedelta | None = None  # may only lengthen the schedule
    shown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # as `Target.shows` names them
    missing: bool = False  # with REFUSED: the target does not know this customer; nothing happened
    taken: bool = False  # with MISCONFIGURED: it may have been kept, and be granted when the fault is mended
    left: str = ""  # what the target's record shows after this call: the baseline of the next one in its lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try: opened before the call, closed after it."""

    forward: str
    number: int
    leased_at: datetime
    lease_until: datetime
    baseline: str = ""  # what the target showed before the call
    sent_at: datetime | None = None  # None: nothing left this house
    ended_at: datetime | None = None
    resolved_at: datetime | None = None  # None: nobody can tell yet whether it took effect
    status: int | None = None
    verdict: Verdict | None = None
    note: str = ""
    reference: str = ""
    answer: str = ""  # at most 2 KiB of what the target said


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """One call we owe a loyalty API. Its id is the idempotency key of every attempt."""

    id: str
    rule: str
    send: str  # which of the rule's sends
    target: str
    customer: Customer
    options: Mapping[str, Any]  # the rule's `send`, computed
    source: str
    action: str
    subject: str
    facts: Mapping[str, Any]
    occurred_at: datetime
    created_at: datetime
    kind: Kind = Kind.REWARD
    account: str | None = None
    key: str = ""
    person: str = ""
    bucket: str = ""
    evidence: str = ""
    state: ForwardState = ForwardState.PENDING
    reason: str = ""
    tries: int = 0  # counted tries: the index into the schedule
    attempts: int = 0  # attempts opened
    lease: int = 0  # the fencing token
    earlier: Attempt | None = None  # the first unclear, sent attempt of this same forward
    undoes: str = ""  # for kind = undo: the forward it takes back
    known_as: str = ""  # the target's own name for the customer, where `Target.find` found one
    baseline: str = ""  # what the target showed before this call; empty until it has been read


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """What a rule promises for one piece of evidence at one target. `decide` makes them."""

    rule: str
    send: str
    target: str
    buckets: Sequence[str]  # the first free one is taken
    options: Mapping[str, Any]
    wait: timedelta
    terms: Mapping[str, Any]  # the rule's texts as they stood, where they are judged again later
    answered: bool = False  # whether the target's answer is shown or passed on, by `terms`


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Who did what to what; appended, never changed. Ids only, no personal data."""

    actor: str
    action: str
    object: str
    detail: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


__all__ = [
    "NOTHING",
    "Attempt",
    "AuditEntry",
    "Customer",
    "Delivery",
    "DeliveryState",
    "Evidence",
    "EvidenceState",
    "Forward",
    "ForwardState",
    "Grade",
    "Ignored",
    "Inbound",
    "Json",
    "Kind",
    "Outcome",
    "Owed",
    "Recorded",
    "Reply",
    "Verdict",
]
