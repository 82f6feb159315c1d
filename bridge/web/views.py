"""
What the customers' pages say, as plain values: `connect.py` makes one, `pages.render(page, request)` shows it.

The same value is the page's JSON (`told`). Nothing in it is marked up, nothing is secret, and everything that
a stranger has chosen (handles, names of servers, what a target answered) is plain text that a page must escape.

Every page carries

    name       which page it is: one of `PAGES`; `status` of the answer
    place      where we are: source, its title, action, what a merchant calls it, the path; None: nowhere known
    customer   the loyalty account, masked: 'a***@example.com', '+4670…67', '…0042'; '': nobody is known
    number     the short number a customer can quote; `back`: the shop's page to go back to, allow-listed; '': none
    began      whether this browser is the one that the claim belongs to

Before a claim:

    welcome    a ticket that is good. The button is a POST to `action` (the ticket stands in its query). `grants`: what
               the platform will be asked to allow, in the platform's words; empty: only who they are. `kept`: 'nothing'
               (the permission is given back at once), 'until checked' or 'until the wait ends'. `rewards`: what it
               earns. `home`: 'server' or 'handle' where the customer must type one (field `home`), `typed` what they
               did, `home_wrong` whether it was none. `sign_in`, `code`: which ways there are. `policy`: the platform's
               own words on rewards and their source. `in_app`: the browser inside an app, where platforms refuse
               sign-in: offer the real one first. `again`: a claim is open in another browser, and the button goes on
    leave      JSON only: where the browser must go to sign in; as a page it is a 303

A claim, once this browser has signed in:

    act        now do it: `page` is the address of the button that leads there; '': nowhere known. `asks_for`: 'link'
               where something must be pasted (field `given`). `handle`: the connected account
    checking   asked, and no answer yet that counts. `result`: 'pending' (the platform waits for somebody else) or
               'unknown' (we could not ask), and then `obstacle`: '', busy, private, reconnect, incomplete, given, brand
    missing    asked, and the platform says no: do it, or wait a little. `page` and `asks_for` as in `act`
    review     proved, and the shop looks at it first
    verified   proved. `rewards`: where each reward is
    already    it was so before they were asked, and the rule pays only for what is done now
    rejected   the shop has said no
    expired    the time to prove it is over; the button begins again
    code       send this `code` to the brand: `address` opens the chat, `carries`: it brings the code by itself.
               `wrong`: how many wrong codes have come from the account; `expires_at`
    confirm    a message with the code has come from `handle`: is this you? POST to `path`/confirm
    unlinked   the account is disconnected; `withdrawn`: how many rewards that were on their way are withdrawn

`checking`, `act`, `missing` and `code` say in `again_at` when it is asked next by itself, and in `wait` how many
seconds until the customer's own button (POST to `path`/check) may be pressed again; 0: now.

What went wrong, each with its next step:

    stopped    `reason` is a FlowError's (`STOPPED` lists them); `missing` the scopes that were not granted
    taken      the account is another customer's. `until`: when it can be connected; None: not before it is disconnected
    unavailable  the platform could not be asked: nothing was decided. `busy`: it comes back by itself
    too_often  the button was pressed too often. `wait` seconds
    elsewhere  the request came from another site's page, or carried no origin: nothing was done
    nothing    there is no such thing to connect here; `broken`: a bug of ours
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from bridge.kit.types import NOTHING

#: Where a reward is.
Where = Literal[
    "on its way",  # owed, and being told to the loyalty program
    "waiting",  # owed, and leaves when `until` has come and it is still true
    "arrived",
    "the shop is looking at it",  # held, failed, or in review
    "withdrawn",
    "not owed",  # `why`: limit, condition, already, age, followers, refused
]
Obstacle = Literal["", "busy", "private", "reconnect", "incomplete", "given", "brand"]
#: The reasons of `Stopped`, which are the names of the kit's FlowErrors.
STOPPED = (
    "bad_ticket", "repeated_field", "empty_customer", "too_long", "forged_ticket", "expired_ticket", "not_signed_in",
    "state_mismatch", "issuer_mismatch", "consent_denied", "scopes_missing", "sign_in_refused", "disconnected",
    "home_unknown", "claim_expired",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What is connected for what."""

    source: str  # the table's name: part of the path
    title: str  # the platform's name
    action: str
    action_title: str  # as a merchant reads it: "Follows your channel"
    path: str  # /connect/{source}/{action}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """One reward of a rule, as far as it is."""

    rule: str  # the rule's name
    where: Where | None = None  # None: not decided yet
    why: str = ""
    until: datetime | None = None
    shown: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # the target's own words, for this customer alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What every page carries."""

    name: ClassVar[str] = ""
    status: int = 200
    place: Place | None = None
    customer: str = ""
    number: str = ""
    back: str = ""
    began: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the platform itself says about rewarding this."""

    text: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Page):
    name: ClassVar[str] = "welcome"
    action: str  # where the button posts to, the ticket in it
    grants: tuple[str, ...] = ()
    kept: Literal["nothing", "until checked", "until the wait ends"] = "nothing"
    rewards: tuple[Reward, ...] = ()
    home: Literal["", "server", "handle"] = ""
    typed: str = ""
    home_wrong: bool = False
    sign_in: bool = True
    code: bool = False
    policy: Policy | None = None
    in_app: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Page):
    name: ClassVar[str] = "leave"
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Page):
    """What every page of a claim carries."""

    claim: str
    handle: str = ""
    rewards: tuple[Reward, ...] = ()
    kept: Literal["nothing", "until checked", "until the wait ends"] = "nothing"
    again_at: datetime | None = None
    wait: int = 0
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act(Claimed):
    name: ClassVar[str] = "act"
    page: str = ""
    asks_for: Literal["", "link"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking(Claimed):
    name: ClassVar[str] = "checking"
    result: Literal["pending", "unknown"] = "unknown"
    obstacle: Obstacle = ""
    page: str = ""
    asks_for: Literal["", "link"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing(Claimed):
    name: ClassVar[str] = "missing"
    page: str = ""
    asks_for: Literal["", "link"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review(Claimed):
    name: ClassVar[str] = "review"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Claimed):
    name: ClassVar[str] = "verified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Already(Claimed):
    name: ClassVar[str] = "already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Claimed):
    name: ClassVar[str] = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(Claimed):
    name: ClassVar[str] = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code(Claimed):
    name: ClassVar[str] = "code"
    code: str
    address: str
    carries: bool = False
    wrong: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Claimed):
    name: ClassVar[str] = "confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlinked(Page):
    name: ClassVar[str] = "unlinked"
    handle: str = ""
    withdrawn: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(Page):
    name: ClassVar[str] = "stopped"
    status: int = 400
    reason: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(Page):
    name: ClassVar[str] = "taken"
    status: int = 409
    handle: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable(Page):
    name: ClassVar[str] = "unavailable"
    status: int = 503
    busy: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TooOften(Page):
    name: ClassVar[str] = "too_often"
    status: int = 429
    wait: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Page):
    name: ClassVar[str] = "elsewhere"
    status: int = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing(Page):
    name: ClassVar[str] = "nothing"
    status: int = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Page):
    name: ClassVar[str] = "broken"
    status: int = 500


PAGES: Mapping[str, type[Page]] = {
    one.name: one
    for one in (
        Welcome, Leave, Act, Checking, Missing, Review, Verified, Already, Rejected, Expired, Code, Confirm, Unlinked,
        Stopped, Taken, Unavailable, TooOften, Elsewhere, Nothing, Broken,
    )
}  # fmt: skip


def told(page: Page) -> dict[str, Any]:
    """A page as JSON."""
    return {"name": page.name, **{one.name: _plain(getattr(page, one.name)) for one in fields(page)}}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return dict(value) if isinstance(value, Mapping) else value
