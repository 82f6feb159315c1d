"""Asking a platform whether a customer did it: who is asked about, with whose token, and what an answer is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

from .errors import Unavailable
from .fields import Settings
from .http import Response, Talk
from .query import controls
from .tokens import OAuth, Tokens
from .types import NOTHING, Evidence

#: Of an id, handle or address. An issuer with a subject is the longest there is: 255 characters each, and more.
LONGEST_NAME = 512

Result = Literal["verified", "not_found", "pending", "unknown"]

#: What stands in the way of an answer, and so who can do something about it. The customer's page has words for each.
Obstacle = Literal[
    "",
    "busy",  # a limit or an outage: asked again by itself
    "private",  # the account hides it: its owner can show it for as long as it takes
    "reconnect",  # the customer's permission is over or was never enough: connect again
    "incomplete",  # the account lacks what the relation needs, for example a channel
    "given",  # what the customer pasted is not what was asked for
    "brand",  # the shop's own token or set-up cannot ask: the operator is told
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source says when it is asked whether something is so."""

    result: Result
    note: str = ""  # for the operator; the customer reads the page's own words
    evidence: Evidence | None = None  # with "verified": the fact, under the very key that the webhook would give it
    obstacle: Obstacle = ""  # with "unknown"
    retry_after: timedelta | None = None  # may only lengthen the schedule


@dataclass(frozen=True, slots=True)
class Question:
    """Does this still hold? Asked with the brand's own token, or by public read."""

    account: str
    subject: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody at a source, as the source itself names them."""

    id: str  # for ever theirs, and the very text that the webhooks carry as `Evidence.account`
    handle: str = ""  # as its owner would recognise it; may change hands
    created_at: datetime | None = None  # None: the platform does not tell
    followers: int | None = None
    email: str = ""
    email_verified: bool = False  # only if the platform says so, in as many words
    phone: str = ""
    phone_verified: bool = False
    claims: Mapping[str, Any] = field(default_factory=lambda: NOTHING, repr=False)  # what else a check needs to know

    def __post_init__(self) -> None:
        told = (self.id, self.handle, self.email, self.phone)
        if not self.id.strip() or any(len(one) > LONGEST_NAME or controls(one) for one in told):
            raise Unavailable("the platform names the account in a way that cannot be kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A question about an account that a customer has proved to be theirs."""

    account: Account
    settings: Settings
    now: datetime
    tokens: Tokens | None = None  # the customer's own; None where the way needs none
    subject: str = ""  # asked again: what it was done to; empty: what the settings name
    given: str = ""  # what the customer pasted, where `Check.asks_for` says what
    since: datetime | None = None  # when the customer was asked to do it


Asked: TypeAlias = Callable[[Ask], Talk[Answer]]


@dataclass(frozen=True, slots=True)
class Way:
    """How one claim is asked about under these settings."""

    ask: Asked
    scopes: Sequence[str] = ()  # what the customer must grant for it, beside who they are
    keep: bool = False  # whether asking again needs the customer's tokens; if not, they can go at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How an action is proved. At least one of `ask` and `brand`."""

    ask: Asked | None = None  # with the customer's tokens
    scopes: Sequence[str] = ()  # what `ask` needs
    brand: Asked | None = None  # without them: with the brand's token, or by public read. Preferred where it can ask
    brand_needs: Sequence[str] = ()  # settings without which `brand` cannot; none: it is public
    page: Callable[[Settings, Account | None], str] | None = None  # where it is done, for the button; '': nowhere known
    asks_for: Literal["", "link"] = ""  # what the customer must paste; the page has words for each
    once: bool = False  # the proof came with the sign-in: asking again takes another

    def way(self, settings: Settings) -> Way | None:
        """How to ask under these settings; None where nobody can."""
        if self.brand is not None and all(settings.get(name) for name in self.brand_needs):
            return Way(self.brand)
        return Way(self.ask, tuple(self.scopes), keep=not self.once) if self.ask is not None else None


def wanted(oauth: OAuth, way: Way) -> tuple[str, ...]:
    """The scopes of a sign-in: who it is, what the way needs, and what it takes to ask again later."""
    return tuple(dict.fromkeys((*oauth.scopes, *way.scopes, *(oauth.keep_scopes if way.keep else ()))))


def unanswered(response: Response, *, whose: Literal["customer", "brand", "nobody"]) -> Answer:
    """An answer that tells nothing, by its status: `unknown`, never "no". `whose` token asked."""
    note = f"answered {response.status}"
    if response.status == 429 or response.status >= 500:
        return Answer("unknown", note, obstacle="busy", retry_after=response.retry_after)
    if response.status in (401, 403) and whose != "nobody":
        return Answer("unknown", note, obstacle="reconnect" if whose == "customer" else "brand")
    return Answer("unknown", note)
