"""What a provider is: a value with functions in it. It touches neither network, database nor clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from .fields import Action, Fact, Option, Setting, Settings
from .http import Talk
from .signatures import Scheme
from .types import NOTHING, Customer, Delivery, Evidence, Forward, Ignored, Inbound, Outcome, Reply

#: What a delivery means: an answer to a handshake, nothing that counts, or what it tells.
Read: TypeAlias = Callable[[Delivery, Settings], Reply | Ignored | Iterable[Evidence | Customer]]

Room = Literal["social", "storefronts", "loyalty"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source says when it is asked whether a fact still holds."""

    result: Literal["verified", "not_found", "pending", "unknown"]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Does this still hold? Asked with the brand's own token, or by public read."""

    account: str
    subject: str
    key: str


@dataclass(frozen=True, slots=True)
class Sample:
    """An event a source would send, for `send`, the sandbox and whoever writes a rule."""

    title: str
    values: Mapping[str, Any]  # what --set may change, with the defaults
    make: Callable[[Mapping[str, Any], datetime], tuple[Mapping[str, str], Any]]  # -> headers, JSON body


@dataclass(frozen=True, slots=True)
class Source:
    """A provider we hear from or ask."""

    name: str
    title: str
    docs: str
    actions: Mapping[str, Action]
    settings: Sequence[Setting]
    scheme: Scheme | None = None
    secrets: str = "webhook_secret"  # the setting with the keys that `scheme` verifies with
    read: Read | None = None
    greet: Callable[[Inbound, Settings], Reply] | None = None  # answers a GET
    delivery_id: Sequence[str] = ()  # headers that name a delivery, the first present counts; none: the body's hash
    delivery_id_signed: bool = False  # whether the signature covers it; if not, the body's hash stands beside it
    knows_customers: bool = False  # a storefront: its accounts are the customers, no link needed
    media_types: Sequence[str] = ("application/json",)
    rechecks: Mapping[str, Callable[[Question, Settings], Talk[Answer]]] = field(default_factory=lambda: NOTHING)
    recheck_needs: Sequence[str] = ()  # settings without which a recheck cannot ask
    samples: Mapping[str, Sample] = field(default_factory=lambda: NOTHING)
    steps: Sequence[str] = ()  # what a person does at the vendor, in order; {url} is the callback
    approval: str = ""  # how long the vendor takes, where it must approve
    quiet_after: timedelta | None = None  # unusually long silence; None: silence says nothing
    configure: Callable[[Source, Settings], Source] | None = None  # a source that its own table describes
    room: Room = "social"


@dataclass(frozen=True, slots=True)
class Target:
    """A provider we tell. Only `send` is needed; everything else says how far it can be trusted, and asked."""

    name: str
    title: str
    docs: str
    settings: Sequence[Setting]
    options: Sequence[Option]
    send: Callable[[Forward, Settings], Talk[Outcome]]
    base_url: str = ""  # the vendor's address, where it has one for all
    configure: Callable[[Target, Settings], Target] | None = None  # a target that its own table describes
    fault: Callable[[Mapping[str, Any]], str] | None = None  # what is wrong with a rule's send as a whole, in words

    # Doubt: what a repeat does, whose calls must be alone, and how to find out what happened.
    repeat_safe_for: timedelta = timedelta(0)  # how long a repeat under the same key is harmless; zero: never
    repeat_safe: Callable[[Forward], timedelta] | None = None  # the same, where it depends on what is sent
    lane: Callable[[Forward], str] | None = None  # the reward whose doubt must be alone; None or '': keyed, none needed
    baseline: Callable[[Forward, Settings], Talk[str | Outcome]] | None = None  # read before the call, kept with the
    # attempt; an Outcome ends the attempt before anything has left
    baseline_keeps: timedelta = timedelta(0)  # how long `Outcome.left` may stand in for reading the next baseline
    reconcile: Callable[[Forward, str, Settings], Talk[Outcome]] | None = None  # after an unclear one: did it happen?
    granted: Callable[[Forward, str, Settings], Talk[Outcome]] | None = None  # after an accepted one: was it granted?
    reconcile_after: timedelta = timedelta(seconds=30)  # how long the target may still be working on it
    confirm_within: timedelta = timedelta(hours=1)  # how long an accepted one may take to be granted
    undo: Callable[[Forward, Settings], Talk[Outcome]] | None = None  # claw back, where the API can

    # Customers: what it calls them, and what can be done about one it does not know.
    customer: Literal["id", "email", "phone", "any"] = "any"  # which of the customer's names it cannot do without
    find: Callable[[Forward, Settings], Talk[str | Outcome]] | None = None  # its own name for the customer; remembered
    create: Callable[[Forward, Settings], Talk[Outcome]] | None = None  # make the customer known; repeating is harmless

    # Calls: many at once, how fast, and how they are authorized.
    send_many: Callable[[Sequence[Forward], Settings], Talk[Sequence[Outcome] | Outcome]] | None = None  # one call, an
    # outcome for each in order; a single Outcome: the call as a whole was answered so
    most_at_once: int = 1  # forwards in one `send_many`
    token: Callable[[Settings], Talk[str]] | None = None  # a bearer token for `Request.authorized`; '': refused
    per_second: float = 10  # the documented rate, kept below
    timeout: timedelta = timedelta(seconds=30)
    signs_with: str = ""  # the setting with its own Standard Webhooks keys; empty: [signing] of bridge.toml

    # What its answers carry, for `show` and `tell`.
    shows: Sequence[Fact] = ()
    bearer: Sequence[str] = ()  # fields that are worth something to whoever reads them: kept sealed, masked elsewhere

    probe: Callable[[Sequence[Mapping[str, Any]], Settings], Talk[Sequence[str]]] | None = None  # `check --live`
    steps: Sequence[str] = ()
    room: Room = "loyalty"

    def repeat_harmless(self, forward: Forward) -> timedelta:
        """How long a repeat of this forward under the same key is harmless."""
        return self.repeat_safe(forward) if self.repeat_safe else self.repeat_safe_for
