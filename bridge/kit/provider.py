"""What a provider is: a value with functions in it. It touches neither network, database nor clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any, Literal, TypeAlias

from .checks import Account, Answer, Check, Question
from .codes import Codes
from .fields import Action, Fact, Option, Setting, Settings
from .http import Talk
from .signatures import Scheme
from .tickets import Ticket
from .tokens import Form, OAuth, Tokens
from .types import NOTHING, Customer, Delivery, Evidence, Forward, Ignored, Inbound, Outcome, Reply

#: What a delivery means: an answer to a handshake, nothing that counts, or what it tells.
Read: TypeAlias = Callable[[Delivery, Settings], Reply | Ignored | Iterable[Evidence | Customer]]

Room = Literal["social", "storefronts", "loyalty"]


@dataclass(frozen=True, slots=True)
class Sample:
    """An event a source would send, for `send`, the sandbox and whoever writes a rule."""

    title: str
    values: Mapping[str, Any]  # what --set may change, with the defaults
    make: Callable[[Mapping[str, Any], datetime], tuple[Mapping[str, str], Any]]  # -> headers, JSON body


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """The brand's own token: `setup` signs the brand in for it, or the source's table holds it."""

    setting: str  # under which name checks find it; the table's wins over the one that `setup` has got
    scopes: Sequence[str]
    fault: Callable[[Account, Settings], str] | None = None  # why this account is not the brand's, in words; '': it is


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What `setup` is to bring about at a vendor."""

    settings: Settings  # with the brand's token in it
    url: str  # where its webhooks are to arrive
    secret: str  # the newest of the source's, to sign them with
    actions: frozenset[str]  # what the rules need
    now: datetime
    dry_run: bool = False  # yield reads alone, and say what would be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `setup` has done, in words a person checks."""

    did: Sequence[str] = ()
    left: Sequence[str] = ()  # what only a person can do, in order


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedLogin:
    """A sign-in that answers with signed fields instead of a code: a widget, OpenID 2.0."""

    needs: Sequence[str]  # settings without which nobody can sign in
    address: Callable[[str, Settings], str]  # the return address, our state in it -> where to send the customer
    account: Callable[[Form, Settings, datetime], Talk[Account]]  # fields -> who; anything else: `SignInRefused`


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

    # Customers who connect an account of theirs, and prove by it what they did.
    oauth: OAuth | None = None
    whoami: Callable[[Tokens, Settings], Talk[Account]] | None = None  # whose tokens these are; needed with `oauth`
    login: SignedLogin | None = None  # where the settings do not reach for `oauth`
    codes: Codes | None = None  # an account proved by a message; beside a sign-in, or in its place
    checks: Mapping[str, Check] = field(default_factory=lambda: NOTHING)  # by action
    brand: Brand | None = None
    setup: Callable[[SetUp], Talk[Prepared]] | None = None
    ticket: Callable[[str, Sequence[str], Settings, datetime], Ticket] | None = None  # query and secrets: a customer
    # whom the shop itself vouches for; else a `FlowError`

    def door(self, settings: Settings) -> OAuth | SignedLogin | None:
        """Where customers sign in under these settings; None: they cannot."""
        doors = [one for one in (self.oauth, self.login) if one is not None]
        return next((one for one in doors if all(settings.get(name) for name in one.needs)), None)

    def addresses(self, public_url: str, name: str) -> Mapping[str, str]:
        """What of us its vendor must know, by this table's name: where it tells us, where customers come back to."""
        hears = {"webhook": f"{public_url}/webhooks/{name}"} if self.scheme or self.configure else {}
        returns = {"redirect": f"{public_url}/connect/{name}/callback"} if self.oauth or self.login else {}
        return {**hears, **returns}


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
    token: Callable[[Settings], Talk[str | Outcome]] | None = None  # a bearer token for `Request.authorized`; an
    # Outcome, or '': why there is none, and that somebody must mend it
    per_second: float = 10  # the documented rate, kept below
    timeout: timedelta = timedelta(seconds=30)
    signs_with: str = ""  # the setting with its own Standard Webhooks keys; empty: [signing] of bridge.toml

    # What its answers carry, for `show` and `tell`.
    shows: Sequence[Fact] = ()
    bearer: Sequence[str] = ()  # fields that are worth something to whoever reads them: kept sealed, masked elsewhere

    probe: Callable[[Sequence[Mapping[str, Any]], Settings], Talk[Sequence[str]]] | None = None  # `check --live`
    steps: Sequence[str] = ()
    room: Room = "loyalty"

    def ways(self) -> Sequence[Mapping[str, Any]]:
        """The smallest sends that it takes, as `fault` judges the options' own examples."""
        found: list[Mapping[str, Any]] = []
        needed = {one.name: one.example or one.default for one in self.options if one.required}
        for size in range(len(self.options) + 1):
            for some in combinations([one for one in self.options if not one.required], size):
                way = needed | {one.name: one.example for one in some}
                if not (self.fault and self.fault(way)) and not any(one.items() <= way.items() for one in found):
                    found.append(way)
        return found

    def repeat_harmless(self, forward: Forward) -> timedelta:
        """How long a repeat of this forward under the same key is harmless."""
        return self.repeat_safe(forward) if self.repeat_safe else self.repeat_safe_for
