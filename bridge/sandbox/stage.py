"""The stage: three customers of one shop, the stand-ins around them, and what has been played so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx2

from .helix import Channel, Viewer
from .program import Campaign, Program
from .receiver import Inbox
from .sending import Answered
from .shop import Buyer, Order, Shop, Webhook
from .standin import Clock, StandIn
from .twitch import EventSub, Message

FOLLOW = Campaign(id=11664, name="Follow us on Twitch", points=50)
ORDER = Campaign(id=11702, name="An order over 50 euro", points=100, repeatable=True, most=-1)


@dataclass(frozen=True, slots=True)
class Person:
    """A customer of the shop, with two accounts at Twitch, because people have two."""

    name: str
    buyer: Buyer
    first: Viewer
    second: Viewer
    linked: bool  # whether the shop knows at the start whose accounts these are

    @property
    def key(self) -> str:
        return self.name.lower()

    @property
    def customer(self) -> str:
        return str(self.buyer.id)


def channel() -> Channel:
    """The shop's own channel; nobody follows yet."""
    return Channel("1971641", "EnamelMugs")


def _person(name: str, number: int, *, linked: bool = True) -> Person:
    buyer = Buyer(id=7000 + number, first_name=name, email=f"{name.lower()}@example.com")
    viewers = (Viewer(f"{number}001", f"{name}Plays"), Viewer(f"{number}002", f"{name}OnTheBus"))
    return Person(name, buyer, *viewers, linked)


PEOPLE: Sequence[Person] = (_person("Ann", 1), _person("Ben", 2), _person("Cleo", 3, linked=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """One press of a button, and what the bridge answered to what it caused."""

    number: int
    at: datetime
    act: str
    title: str
    person: Person | None
    answers: Sequence[Answered] = ()
    note: str = ""  # in the place of answers, where nothing is sent

    @property
    def deliveries(self) -> frozenset[str]:
        """The ids under which the bridge keeps what was sent."""
        return frozenset(str(one.object()["delivery"]) for one in self.answers if one.object().get("delivery"))


class Stage:
    """Everybody and everything that an act needs."""

    def __init__(
        self,
        *,
        twitch: EventSub,
        shop: Shop,
        helix: StandIn,
        gameball: StandIn,
        program: Program,
        crm: StandIn,
        inbox: Inbox,
        client: httpx2.AsyncClient,
        clock: Clock,
        people: Sequence[Person] = PEOPLE,
    ) -> None:
        self.twitch = twitch
        self.shop = shop
        self.helix = helix
        self.gameball = gameball
        self.program = program
        self.crm = crm
        self.inbox = inbox
        self.client = client
        self.clock = clock
        self.people = people
        self.linked = {person.key for person in people if person.linked}
        self.last: Message | Webhook | None = None
        self.last_order: dict[str, Order] = {}
        self.played: list[Played] = []
        self.sent = 0
        for person in people:
            program.join(person.customer, email=person.buyer.email)

    def person(self, key: str) -> Person:
        """Whoever is meant; the first where nobody is."""
        return next((one for one in self.people if one.key == key), self.people[0])

    def owner(self, customer: str) -> Person | None:
        return next((one for one in self.people if one.customer == customer), None)

    async def send(self, message: Message | Webhook, *, secret: str = "") -> Answered:
        """Deliver once, and remember it as the last."""
        if not secret:
            self.last = message
        self.sent += 1
        if isinstance(message, Message):
            return await self.twitch.post(self.client, message, secret=secret)
        return await self.shop.post(self.client, message, secret=secret)

    async def repeat(self, times: int) -> Sequence[Answered]:
        """Deliver the last once more, several times at the same moment."""
        self.sent += times
        if isinstance(self.last, Message):
            return await self.twitch.repeat(self.client, self.last, times)
        if isinstance(self.last, Webhook):
            return await self.shop.repeat(self.client, self.last, times)
        return ()

    def note(
        self, act: str, title: str, person: Person | None, answers: Sequence[Answered] = (), note: str = ""
    ) -> Played:
        made = Played(
            number=len(self.played) + 1,
            at=self.clock(),
            act=act,
            title=title,
            person=person,
            answers=tuple(answers),
            note=note,
        )
        self.played.append(made)
        return made
