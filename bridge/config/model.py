"""What bridge.toml says, once it is understood: frozen values, secrets resolved, expressions compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal

from bridge.kit import Action, Source, Target
from bridge.kit.expressions import Expression
from bridge.kit.fields import said

CustomerKey = Literal["id", "email", "phone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customers:
    """How customers are named and who is the same person."""

    key: CustomerKey = "id"
    same_when: tuple[str, ...] = ()
    phone_country: str = ""
    retroactive: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """One `[source.NAME]`: the provider as this table configures it."""

    name: str  # the URL: /webhooks/NAME
    ledger: str  # the name that counts in the ledger: the table's first one
    provider: Source
    settings: Mapping[str, Any] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    customer: CustomerKey = "id"
    customer_prefix: str = ""
    quiet_after: timedelta | None = None
    max_body: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Missing:
    """What is done about a customer the target does not know: created where the API can, else waited for this long."""

    create: bool = False
    wait: timedelta = timedelta(days=30)  # nothing: the forward fails

    def __str__(self) -> str:
        return "create" if self.create else f"wait {said(self.wait)}" if self.wait else "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTable:
    """One `[target.NAME]`."""

    name: str
    provider: Target
    settings: Mapping[str, Any] = field(repr=False)
    base_url: str
    per_second: float
    timeout: timedelta
    reconcile_after: timedelta
    signed_headers: bool = True
    signing: tuple[str, ...] = field(default=(), repr=False)  # Standard Webhooks keys, newest first
    missing: Missing = Missing()
    most: float | None = None  # the ceiling of one call, for amounts that the caller sets
    dry_run: bool = False  # decide and record, send nothing
    gather: timedelta = timedelta(0)  # how long a batch waits for company that is not due yet


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one rule pays one person: `count` per `period`; a name for a bucket."""

    count: int = 1
    period: Literal["ever", "day", "week", "month", "subject"] = "ever"

    def __str__(self) -> str:
        if self.count == 1:
            return {"ever": "once", "day": "daily", "week": "weekly", "month": "monthly", "subject": "per subject"}[
                self.period
            ]
        return f"{self.count} times" if self.period == "ever" else f"{self.count} per {self.period}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Where what a target answered is passed on to, once."""

    to: str
    options: Mapping[str, Any]  # of a send to that target, as written; computed over `answer` and the facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One `send` of a rule: a target and what to tell it."""

    id: str  # counts in the ledger; the target's name where the rule does not say
    to: str
    options: Mapping[str, Any]  # literals and computed values, as written
    show: tuple[str, ...] = ()  # fields of the target's answer for the customer's own page
    tell: Tell | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """One action a rule listens to, and the rule's condition compiled over its facts."""

    source: str  # the table's name
    ledger: str
    action: str
    title: str
    fact_types: Mapping[str, Any]
    where: Expression | None
    computed: Mapping[str, Mapping[str, Expression]]  # send id -> expression text -> compiled
    asked_again: bool  # whether the source can be asked whether it still holds
    declared: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the merchant promises. The id counts in the ledger for ever; the name is a label."""

    id: str
    ledger: str  # the id under which it counts: `was`, where the rule was renamed
    name: str
    whens: tuple[When, ...]
    where: str
    limit: Limit
    wait: timedelta
    start: datetime | None
    end: datetime | None
    sends: tuple[Send, ...]
    line: int
    already: Literal["pay", "skip"] = "pay"  # those who had done it before they were asked
    review: Literal["never", "doubtful", "always"] = "doubtful"  # whether a person looks at it before it is owed
    min_account_age: timedelta = timedelta(0)  # where the platform tells
    min_followers: int = 0  # where the platform tells

    def listens_to(self, source: str, action: str) -> When | None:
        """The `when` for evidence of this ledger name and action."""
        return next((one for one in self.whens if one.ledger == source and one.action == action), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Where alerts go: a Slack-compatible URL, or any URL with `secret` for Standard Webhooks."""

    to: str = field(repr=False)
    secret: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """How customers connect accounts: `[connect]`."""

    lasts: timedelta = timedelta(days=7)  # how long a claim is asked about
    cool_down: timedelta = timedelta(days=30)  # before an account that has earned may become another customer's
    too_fast: timedelta = timedelta(seconds=2)  # proved sooner after being asked: a person looks
    accounts_a_day: int = 3  # more of one customer at one platform, or more customers in one browser: a person looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the customers' pages look: `[brand]`."""

    name: str = ""  # the shop's
    logo: str = ""  # an https address, or the picture itself as a data: address
    colour: str = ""  # of buttons and links, as #rrggbb
    colour_dark: str = ""  # the same where the customer's device is dark
    privacy: str = ""  # the address of the shop's privacy notice
    language: str = "en"  # for whoever asks for none that there is
    words: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # language -> catalogue, beside those we ship


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of bridge.toml."""

    path: Path
    public_url: str = "http://127.0.0.1:8000"
    timezone: tzinfo = UTC
    return_to: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    allow_private_networks: bool = False
    customers: Customers = Customers()
    tickets: tuple[str, ...] = field(default=(), repr=False)
    connect: Connect = Connect()
    look: Look = Look()
    signing: tuple[str, ...] = field(default=(), repr=False)
    alerts: tuple[Alert, ...] = ()
    heartbeat: str = field(default="", repr=False)
    sources: Mapping[str, SourceTable] = field(default_factory=dict)
    targets: Mapping[str, TargetTable] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    warnings: tuple[str, ...] = ()
    _ledgers: Mapping[str, SourceTable] = field(init=False, repr=False, compare=False)
    _listeners: Mapping[tuple[str, str], Sequence[tuple[Rule, When]]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ledgers", {source.ledger: source for source in self.sources.values()})
        listeners: dict[tuple[str, str], list[tuple[Rule, When]]] = {}
        for rule in self.rules:
            for one in rule.whens:
                listeners.setdefault((one.ledger, one.action), []).append((rule, one))
        object.__setattr__(self, "_listeners", listeners)

    def source_of(self, ledger: str) -> SourceTable | None:
        """The source whose facts stand in the ledger under this name."""
        return self._ledgers.get(ledger)

    def rule(self, id: str) -> Rule | None:
        return next((rule for rule in self.rules if id in (rule.id, rule.ledger)), None)

    def rules_for(self, source: str, action: str) -> Sequence[tuple[Rule, When]]:
        """The rules that listen to evidence of this ledger name and action."""
        return self._listeners.get((source, action), ())
