"""What a visitor of the demo can make happen: one act for each button."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from .shop import Webhook
from .stage import Person, Played, Stage

Group = Literal["person", "internet", "api"]


class Links(Protocol):
    """The one thing that an act asks of the bridge itself: whose account it is."""

    async def link(self, customer: str, source: str, account: str) -> None: ...


Play: TypeAlias = Callable[[Stage, Person, Links], Awaitable[Played]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A button and its sentence."""

    name: str
    group: Group
    button: str
    says: str  # what it does and what to expect
    play: Play


async def follow(stage: Stage, person: Person, links: Links) -> Played:
    answer = await stage.send(stage.twitch.follow(person.first))
    return stage.note("follow", f"{person.name} follows on Twitch", person, [answer])


async def second(stage: Stage, person: Person, links: Links) -> Played:
    answer = await stage.send(stage.twitch.follow(person.second))
    return stage.note("second", f"{person.name} follows with a second account", person, [answer])


async def unfollow(stage: Stage, person: Person, links: Links) -> Played:
    stage.twitch.unfollow(person.first)
    said = "Nothing is sent: Twitch tells nobody. Before points leave, the bridge asks."
    return stage.note("unfollow", f"{person.name} stops following", person, note=said)


async def order(stage: Stage, person: Person, links: Links) -> Played:
    made = stage.shop.order(person.buyer, "80.00")
    stage.last_order[person.key] = made
    answer = await stage.send(stage.shop.paid(made))
    return stage.note("order", f"{person.name} orders for 80 euro", person, [answer])


async def small(stage: Stage, person: Person, links: Links) -> Played:
    made = stage.shop.order(person.buyer, "30.00")
    stage.last_order[person.key] = made
    answer = await stage.send(stage.shop.paid(made))
    return stage.note("small", f"{person.name} orders for 30 euro", person, [answer])


async def refund(stage: Stage, person: Person, links: Links) -> Played:
    known = stage.last_order.pop(person.key, None)
    title = f"{person.name} returns the last order"
    if known is None:
        return stage.note("refund", title, person, note=f"{person.name} has nothing to return. Order something first.")
    answer = await stage.send(stage.shop.refund(known))
    return stage.note("refund", title, person, [answer])


async def link(stage: Stage, person: Person, links: Links) -> Played:
    for viewer in (person.first, person.second):
        await links.link(person.customer, "twitch", viewer.id)
    stage.linked.add(person.key)
    said = f"The shop says that both Twitch accounts are {person.name}'s. What waited is considered now."
    return stage.note("link", f"{person.name} connects Twitch", person, note=said)


async def thrice(stage: Stage, person: Person, links: Links) -> Played:
    answers = await stage.repeat(3)
    said = "" if answers else "Nothing has been delivered yet."
    return stage.note("thrice", "The last delivery comes three times more", None, answers, said)


async def captured(stage: Stage, person: Person, links: Links) -> Played:
    title = "A captured order under a new id"
    if not isinstance(stage.last, Webhook):
        return stage.note("captured", title, None, note="The last delivery is no order of the shop. Order first.")
    known = stage.last
    answer = await stage.send(known.under(f"00000000-0000-4000-8000-{stage.sent:012d}"))
    stage.last = known
    return stage.note("captured", title, None, [answer])


async def forged(stage: Stage, person: Person, links: Links) -> Played:
    answer = await stage.send(stage.shop.paid(stage.shop.order(person.buyer, "9999.00")), secret="a guess")
    return stage.note("forged", f"Somebody invents an order of {person.name}", person, [answer])


async def down(stage: Stage, person: Person, links: Links) -> Played:
    stage.gameball.faults.lift()
    stage.gameball.faults.arm("503", times=None)
    return stage.note("down", "The loyalty API is down", None, note="Every call is answered 503 from now on.")


async def up(stage: Stage, person: Person, links: Links) -> Played:
    stage.gameball.faults.lift()
    return stage.note("up", "The loyalty API is up again", None, note="Forwards that wait leave when they are due.")


async def dropped(stage: Stage, person: Person, links: Links) -> Played:
    stage.gameball.faults.arm("drop_after", on="writes")
    said = "The next reward will be granted, and the connection closed without an answer."
    return stage.note("dropped", "The loyalty API will hang up once", None, note=said)


LISTED = (
    Act(
        name="follow",
        group="person",
        button="Follow on Twitch",
        says="Twitch sends a signed webhook. Six seconds later, if they still follow, 50 points. Once, however often.",
        play=follow,
    ),
    Act(
        name="unfollow",
        group="person",
        button="Stop following",
        says="Within the six seconds it withdraws the points. Twitch sends nothing, so the bridge asks before it pays.",
        play=unfollow,
    ),
    Act(
        name="second",
        group="person",
        button="Follow with a second account",
        says="Another Twitch account of the same customer. Expect evidence, and no second reward.",
        play=second,
    ),
    Act(
        name="order",
        group="person",
        button="Order for 80 euro",
        says="The shop sends a signed webhook. The CRM hears at once; 100 points follow in ten seconds.",
        play=order,
    ),
    Act(
        name="small",
        group="person",
        button="Order for 30 euro",
        says="Below the 50 euro of the rule. The CRM hears of it; no points.",
        play=small,
    ),
    Act(
        name="refund",
        group="person",
        button="Return the last order",
        says="Within ten seconds it withdraws the points. Later they are delivered already, and a person decides.",
        play=refund,
    ),
    Act(
        name="link",
        group="person",
        button="Connect Twitch",
        says="Nobody knows yet which Twitch accounts are Cleo's, so her follow waits. This tells the bridge.",
        play=link,
    ),
    Act(
        name="thrice",
        group="internet",
        button="Deliver it three times more",
        says="The last webhook again, three at the same moment. Expect three acknowledgements and nothing else.",
        play=thrice,
    ),
    Act(
        name="captured",
        group="internet",
        button="Replay it under a new id",
        says="The shop's signature does not cover the webhook's id. The order is known all the same.",
        play=captured,
    ),
    Act(
        name="forged",
        group="internet",
        button="Forge a webhook",
        says="An order for 9999 euro, signed with a guess. Expect 401 and a line among the rejections.",
        play=forged,
    ),
    Act(
        name="dropped",
        group="api",
        button="Hang up after doing the work",
        says="The next reward is granted, but the answer is lost. The bridge must find out, not try again.",
        play=dropped,
    ),
    Act(
        name="down",
        group="api",
        button="Go down",
        says="Every call is answered 503. Forwards try again after five seconds, then a minute; nothing is lost.",
        play=down,
    ),
    Act(name="up", group="api", button="Come up again", says="Lifts whatever is wrong with it.", play=up),
)

ACTS: Mapping[str, Act] = {act.name: act for act in LISTED}
GROUPS: Mapping[Group, str] = {
    "person": "does something",
    "internet": "The internet does something",
    "api": "The loyalty API does something",
}
