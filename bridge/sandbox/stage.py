"""The stage: three customers of one shop and a crowd, the stand-ins around them, and what has been played so far."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import httpx2

from .helix import Channel, Viewer
from .loyalty import Api, Busy
from .reviews import Reviews
from .sending import Answered, Sender
from .shop import Buyer, Order, Shop
from .standin import Clock
from .twitch import EventSub, Message

Sent = TypeVar("Sent")


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

#: Customers who do nothing but order, all at once.
CROWD: Sequence[Buyer] = tuple(
    Buyer(id=7100 + number, first_name=f"Customer {number}", email=f"customer{number}@example.com")
    for number in range(1, 21)
)


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
        reviews: Reviews,
        apis: Sequence[Api],
        community: Busy,
        client: httpx2.AsyncClient,
        clock: Clock,
        people: Sequence[Person] = PEOPLE,
        crowd: Sequence[Buyer] = CROWD,
        pace: float = 1.0,
    ) -> None:
        self.twitch = twitch
        self.shop = shop
        self.reviews = reviews
        self.apis = apis
        self.community = community
        self.client = client
        self.clock = clock
        self.people = people
        self.crowd = crowd
        self.pace = pace
        self.linked = {person.key for person in people if person.linked}
        self.last: tuple[Sender[Any], Any] | None = None
        self.last_order: dict[str, Order] = {}
        self.played: list[Played] = []
        self.sent = 0

    def person(self, key: str) -> Person:
        """Whoever is meant; the first where nobody is."""
        return next((one for one in self.people if one.key == key), self.people[0])

    def api(self, name: str) -> Api:
        """The loyalty API that is meant; the first where none is."""
        return next((one for one in self.apis if one.name == name), self.apis[0])

    def names(self) -> dict[str, str]:
        """What everybody is called, by every account and id they have."""
        found = {viewer.id: viewer.name for person in self.people for viewer in (person.first, person.second)}
        return found | {person.customer: person.name for person in self.people}

    async def send(self, sender: Sender[Sent], message: Sent, *, secret: str = "") -> Answered:
        """Deliver once, and remember it as the last."""
        if not secret:
            self.last = (sender, message)
        self.sent += 1
        return await sender.post(self.client, message, secret=secret)

    async def repeat(self, times: int) -> Sequence[Answered]:
        """Deliver the last once more, several times at the same moment."""
        if self.last is None:
            return ()
        self.sent += times
        sender, message = self.last
        return await sender.repeat(self.client, message, times)

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

    def witness(self, sender: Sender[Message], message: Message, answers: Sequence[Answered]) -> None:
        """Somebody has pressed a button at the platform, and it has told the bridge: noted like an act of the page."""
        self.sent += len(answers)
        self.last = (sender, message)
        told, act = json.loads(message.body), message.about.removeprefix("channel.")
        viewer = str(told["event"]["user_id"])
        person = next((one for one in self.people if viewer in (one.first.id, one.second.id)), None)
        does = {"follow": "follows", "subscribe": "subscribes"}.get(act, act)
        self.note(act, f"{told['event']['user_name']} {does} on Twitch, by its own page", person, answers)


class Witnessed(EventSub):
    """Twitch's sender for what happens on its own pages, so that the demo tells of it as of everything else."""

    def __init__(self, stage: Stage) -> None:
        ours = stage.twitch
        super().__init__(
            ours.channel, callback=ours.callback, secret=ours.secret, clock=ours.clock, numbers=ours.numbers
        )
        self.stage = stage

    async def deliver(
        self, client: httpx2.AsyncClient, message: Message, *, pauses: Sequence[float] = (1, 5, 30)
    ) -> list[Answered]:
        answers = await super().deliver(client, message, pauses=pauses)
        self.stage.witness(self, message, answers)
        return answers
