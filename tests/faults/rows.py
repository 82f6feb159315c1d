"""The rows of the fault matrix: every loyalty API, how its stand-in is made, and how to read there who got what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from bridge.sandbox.challenges import Definition, Engage, name
from bridge.sandbox.community import Community
from bridge.sandbox.gameball import gameball
from bridge.sandbox.gamifyhost import gamifyhost
from bridge.sandbox.gate import UNLIMITED
from bridge.sandbox.popsell import popsell
from bridge.sandbox.program import Campaign, Program
from bridge.sandbox.promotions import Campaign as Promotion
from bridge.sandbox.promotions import Partner, Prize
from bridge.sandbox.receiver import Inbox, receiver
from bridge.sandbox.standin import Clock, StandIn
from bridge.sandbox.voyado import voyado
from tests.conftest import SECRETS as HOUSE_SECRETS

SECRETS = {
    **HOUSE_SECRETS,
    "VOYADO_API_KEY": "vy-api-key",
    "POPSELL_API_KEY": "ps-api-key",
    "GAMIFYHOST_API_SECRET": "sk_test_gamifyhost",
}

#: Times are variables, so no timeout is ever waited for; it only has to be shorter than what is slow.
TIMEOUT, SLOW = 10, 15

HEAD = """
public_url = "https://rewards.example.com"
allow_private_networks = true
[signing]
secret = ["env:SIGNING_SECRET"]
[source.shop]
provider = "shopify"
webhook_secret = "env:SHOP_SECRET"
"""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody at the shop."""

    number: int

    @property
    def id(self) -> str:
        return str(self.number)

    @property
    def email(self) -> str:
        return f"c{self.number}@example.com"


#: One fact of Ann's and two of Ben's, in one lane. The others come with the rows whose calls take many, and Zoe where
#: the target is to be known already.
ANN, BEN, ZOE = Person(1), Person(2), Person(9)
OTHERS = tuple(Person(number) for number in range(3, 5))


@dataclass(frozen=True, slots=True)
class World:
    """A stand-in, and how many rewards it has really given somebody."""

    api: StandIn
    got: Callable[[Person], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One loyalty API and one way to use it."""

    name: str
    provider: str
    toml: str  # the rest of its table in bridge.toml; {url} is where the stand-in is
    send: str  # what a rule says of it besides `to`
    world: Callable[[Clock, Sequence[Person]], World]
    award: str  # the path of the call that gives, as a pattern
    reads: bool = True  # whether it is ever read from
    keyed: bool = False  # whether it knows our calls again, so that a repeat is harmless
    variant: bool = False  # of the row before: not everything has to be seen once more
    tells: bool = True  # whether what it shows can settle a doubt; else a person must look there
    most: int = 100  # rewards of this kind that one customer can have
    signs_in: bool = False  # whether its calls need a token that is fetched first
    others: Sequence[Person] = ()  # who orders at the same time as Ann and Ben

    def toml_of(self, table: str, url: str) -> str:
        common = f'per_second = 1000\ntimeout = "{TIMEOUT} s"\n'
        return f'[target.{table}]\nprovider = "{self.provider}"\n{self.toml.strip()}\n{common}'.replace("{url}", url)

    def gives(self, method: str, path: str) -> bool:
        """Whether a request is the one that gives."""
        return method == "POST" and re.search(self.award, path) is not None

    def owed(self, facts: int) -> int:
        return min(facts, self.most)


def at_gameball(
    clock: Clock, people: Sequence[Person], *, repeatable: bool, delay: timedelta = timedelta(seconds=30)
) -> World:
    campaign = Campaign(id=7, name="Order", points=10, repeatable=repeatable, most=-1 if repeatable else 1)
    program = Program([campaign], delay=delay)
    for one in people:
        program.join(one.id)
    keys = {"api_key": SECRETS["GAMEBALL_API_KEY"], "secret_key": SECRETS["GAMEBALL_SECRET_KEY"]}

    def got(one: Person) -> float:
        program.settle(clock())
        return program.points(one.id) / campaign.points

    return World(gameball(program, **keys, clock=clock, quotas=UNLIMITED), got)


STAMPS = name("definition", 0)


def at_voyado(
    clock: Clock, people: Sequence[Person], *, required: int = 100, recurring: bool = False, consent: bool = True
) -> World:
    engage = Engage([Definition(id=STAMPS, required=required, recurring=recurring, consent=consent)])
    contacts = {one: engage.join(external=one.id, email=one.email) for one in people}
    api = voyado(engage, api_key=SECRETS["VOYADO_API_KEY"], clock=clock, per_second=10**6)
    return World(api, lambda one: engage.got[contacts[one].id, STAMPS] / 2)


def at_popsell(clock: Clock, people: Sequence[Person]) -> World:
    community = Community()
    for one in people:
        community.join(1000 + one.number, customer_id=one.id, email=one.email)
    api = popsell(community, api_key=SECRETS["POPSELL_API_KEY"], domain="shop.example.com", clock=clock)

    def got(one: Person) -> float:
        mine = [history for history in community.histories if history.ambassador == 1000 + one.number]
        return sum(history.points for history in mine) / 50

    return World(api, got)


def at_gamifyhost(clock: Clock, people: Sequence[Person], *, most: int | None = None) -> World:
    promotion = Promotion(slug="summer", points={"order": 10}, most=most, prizes=[Prize("mug", 5)], odds=0.5)
    partner = Partner([promotion], rules={"order": 10})
    api = gamifyhost(partner, api_secret=SECRETS["GAMIFYHOST_API_SECRET"], clock=clock)
    return World(api, lambda one: partner.played("summer", one.id) + partner.balance(one.id) / 10)


def at_webhook(clock: Clock, people: Sequence[Person]) -> World:
    inbox = Inbox()

    def got(one: Person) -> float:
        return sum(1 for message in inbox.messages.values() if message["data"]["customer"]["id"] == one.id)

    return World(receiver(inbox, [SECRETS["WEBHOOK_SECRET"]], clock=clock), got)


GAMEBALL = """
base_url = "{url}"
api_key = "env:GAMEBALL_API_KEY"
secret_key = "env:GAMEBALL_SECRET_KEY"
"""
VOYADO = """
base_url = "{url}"
api_key = "env:VOYADO_API_KEY"
find_by = "external_id"
"""
CHECKPOINTS = f'definition_id = "{STAMPS}"\ncheckpoints = 2'
AGREED = 'assign = "the customer has agreed"'
POPSELL = """
base_url = "{url}"
api_key = "env:POPSELL_API_KEY"
domain = "shop.example.com"
find_by = "customer_id"
"""
GAMIFYHOST = """
base_url = "{url}"
api_secret = "env:GAMIFYHOST_API_SECRET"
"""
WEBHOOK = """
url = "{url}/hook"
secret = "env:WEBHOOK_SECRET"
"""

ROWS = (
    Row(
        name="gameball once",
        provider="gameball",
        toml=GAMEBALL,
        send="challenge_id = 7",
        world=partial(at_gameball, repeatable=False),
        award="/social-challenges$",
        most=1,
    ),
    Row(
        name="gameball again",
        provider="gameball",
        toml=GAMEBALL,
        send="challenge_id = 7",
        world=partial(at_gameball, repeatable=True),
        award="/social-challenges$",
    ),
    Row(
        name="voyado one",
        provider="voyado",
        toml=VOYADO,
        send=CHECKPOINTS,
        world=partial(at_voyado, consent=False),
        award="/challenges/checkpoints$",
    ),
    Row(
        name="voyado many",
        provider="voyado",
        toml=VOYADO,
        send=CHECKPOINTS,
        world=partial(at_voyado, consent=False),
        award="/challenges/checkpoints$",
        others=OTHERS,
    ),
    Row(
        name="voyado anew",
        provider="voyado",
        toml=VOYADO,
        send=f"{CHECKPOINTS}\n{AGREED}",
        world=partial(at_voyado, required=2, recurring=True),
        variant=True,
        award="/challenges/checkpoints$",
    ),
    Row(
        name="popsell",
        provider="popsell",
        toml=POPSELL,
        send="points = 50\nscore = 5",
        world=at_popsell,
        award="/challenge-histories$",
        signs_in=True,
    ),
    Row(
        name="popsell unscored",
        provider="popsell",
        toml=POPSELL,
        send="points = 50\nscore = 0",
        world=at_popsell,
        variant=True,
        tells=False,
        award="/challenge-histories$",
        signs_in=True,
    ),
    Row(
        name="gamifyhost award",
        provider="gamifyhost",
        toml=GAMIFYHOST,
        send='award = "order"',
        world=at_gamifyhost,
        award="/points/award$",
        keyed=True,
    ),
    Row(
        name="gamifyhost event",
        provider="gamifyhost",
        toml=GAMIFYHOST,
        send='campaign = "summer"\nevent = "order"',
        world=at_gamifyhost,
        award="/campaigns/summer/events$",
    ),
    Row(
        name="gamifyhost once",
        provider="gamifyhost",
        toml=GAMIFYHOST,
        send='campaign = "summer"\nevent = "order"',
        world=partial(at_gamifyhost, most=1),
        variant=True,
        award="/campaigns/summer/events$",
        most=1,
    ),
    Row(
        name="webhook",
        provider="webhook",
        toml=WEBHOOK,
        send='event = "order"\ndata = { total = "=total" }',
        world=at_webhook,
        award="/hook$",
        reads=False,
        keyed=True,
    ),
)
