"""What a visitor of the demo can make happen. An act is a button, its sentence, and what is played then."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from .loyalty import Api
from .sending import Answered
from .shop import Buyer, Webhook
from .stage import Person, Played, Stage

Group = Literal["twitch", "shop", "crowd", "internet", "api"]
Verb = Literal["release", "confirm", "cancel", "resume"]


class Operator(Protocol):
    """What somebody does at the bridge itself."""

    async def link(self, customer: str, source: str, account: str) -> None:
        """Whose account it is, as the shop knows."""
        ...

    async def operate(self, verb: Verb, name: str) -> str:
        """A verb on a forward or a target; what it did, in words."""
        ...


@dataclass(frozen=True, slots=True)
class Press:
    """A button that was pressed, and what was chosen beside it."""

    stage: Stage
    person: Person
    api: Api
    bridge: Operator


Play: TypeAlias = Callable[[Press], Awaitable[Played]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A button and its sentence."""

    name: str
    group: Group
    button: str
    says: str  # what it does and what to expect
    play: Play


# --- a person ----------------------------------------------------------------------------------------------------


async def follow(press: Press) -> Played:
    stage, person = press.stage, press.person
    answer = await stage.send(stage.twitch, stage.twitch.follow(person.first))
    return stage.note("follow", f"{person.name} follows on Twitch", person, [answer])


async def second(press: Press) -> Played:
    stage, person = press.stage, press.person
    answer = await stage.send(stage.twitch, stage.twitch.follow(person.second))
    return stage.note("second", f"{person.name} follows with a second account", person, [answer])


async def unfollow(press: Press) -> Played:
    stage, person = press.stage, press.person
    stage.twitch.unfollow(person.first)
    said = "Nothing is sent: Twitch tells nobody. Before points leave, the bridge asks."
    return stage.note("unfollow", f"{person.name} stops following", person, note=said)


async def subscribe(press: Press) -> Played:
    stage, person = press.stage, press.person
    answer = await stage.send(stage.twitch, stage.twitch.subscribe(person.first))
    return stage.note("subscribe", f"{person.name} subscribes on Twitch", person, [answer])


async def link(press: Press) -> Played:
    stage, person = press.stage, press.person
    for viewer in (person.first, person.second):
        await press.bridge.link(person.customer, "twitch", viewer.id)
    stage.linked.add(person.key)
    said = f"The shop says that both Twitch accounts are {person.name}'s. What waited is considered now."
    return stage.note("link", f"{person.name} connects Twitch", person, note=said)


def ordering(name: str, total: str) -> Play:
    """Somebody orders for so much."""

    async def play(press: Press) -> Played:
        stage, person = press.stage, press.person
        made = stage.shop.order(person.buyer, f"{total}.00")
        stage.last_order[person.key] = made
        answer = await stage.send(stage.shop, stage.shop.paid(made))
        return stage.note(name, f"{person.name} orders for {total} euro", person, [answer])

    return play


async def refund(press: Press) -> Played:
    stage, person = press.stage, press.person
    known = stage.last_order.pop(person.key, None)
    title = f"{person.name} returns the last order"
    if known is None:
        return stage.note("refund", title, person, note=f"{person.name} has nothing to return. Order something first.")
    answer = await stage.send(stage.shop, stage.shop.refund(known))
    return stage.note("refund", title, person, [answer])


async def review(press: Press) -> Played:
    stage, person = press.stage, press.person
    answer = await stage.send(stage.reviews, stage.reviews.review(person.customer))
    return stage.note("review", f"{person.name} writes a review", person, [answer])


async def join(press: Press) -> Played:
    stage, person = press.stage, press.person
    answer = await stage.send(stage.shop, stage.shop.joined(person.buyer))
    return stage.note("join", f"{person.name} opens an account", person, [answer])


async def crowd(press: Press) -> Played:
    stage = press.stage

    async def one(buyer: Buyer) -> Answered:
        return await stage.send(stage.shop, stage.shop.paid(stage.shop.order(buyer, "20.00")))

    answers = await asyncio.gather(*map(one, stage.crowd))
    return stage.note("crowd", f"{len(stage.crowd)} customers order for 20 euro", None, answers)


# --- the internet ------------------------------------------------------------------------------------------------


async def thrice(press: Press) -> Played:
    answers = await press.stage.repeat(3)
    said = "" if answers else "Nothing has been delivered yet."
    return press.stage.note("thrice", "The last delivery comes three times more", None, answers, said)


async def captured(press: Press) -> Played:
    stage, title = press.stage, "A captured order under a new id"
    known = stage.last[1] if stage.last else None
    if not isinstance(known, Webhook):
        return stage.note("captured", title, None, note="The last delivery is no order of the shop. Order first.")
    answer = await stage.send(stage.shop, known.under(f"00000000-0000-4000-8000-{stage.sent:012d}"))
    stage.last = (stage.shop, known)
    return stage.note("captured", title, None, [answer])


async def forged(press: Press) -> Played:
    stage, person = press.stage, press.person
    made = stage.shop.paid(stage.shop.order(person.buyer, "9999.00"))
    answer = await stage.send(stage.shop, made, secret="a guess")
    return stage.note("forged", f"Somebody invents an order of {person.name}", person, [answer])
