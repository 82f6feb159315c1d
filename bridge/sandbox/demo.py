"""`loyalty-bridge demo`: a real bridge among stand-ins, each a server of its own, and the page that explains them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from string import Template

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route

from bridge import env
from bridge.app import Bridge, clock, open_bridge, working
from bridge.web import build

from . import loyalty
from . import stage as stages
from .challenges import Engage
from .gameball import gameball
from .gamifyhost import gamifyhost
from .gate import UNLIMITED
from .helix import Channel
from .loyalty import Api, Busy
from .page import page
from .platform import Application, People, Platform, platform
from .popsell import popsell
from .program import Program
from .promotions import Partner
from .receiver import Inbox, receiver
from .reviews import Reviews
from .serving import bound, serving
from .shop import Shop
from .stage import Stage, Witnessed
from .standin import Clock
from .storefront import storefront
from .twitch import EventSub
from .voyado import voyado
from .window import Window

CLIENT_ID = "sandbox-client"
DOMAIN = "community.example"  # whose Popsell it is


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs."""

    url: str
    bridge: Bridge
    stage: Stage
    social: Platform


async def demo(host: str, port: int, *, say: Callable[[str], None] = print) -> None:
    """Run until SIGINT or SIGTERM. A port that is taken: `OSError`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, stop.set)
    try:
        async with playing(host, port) as running:
            say(f"The demo is at {running.url}/demo/ (stop it with Ctrl-C)")
            await stop.wait()
    finally:
        for one in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(one)


@asynccontextmanager
async def playing(host: str = "127.0.0.1", port: int = 0, *, pace: float = 1.0) -> AsyncIterator[Demo]:
    """Everything up, linked and listening, over a database that is gone when the block ends.

    `pace`: how long everything waits, as a part of what the page says.
    """
    listening = bound(host, port)
    inside = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (read, not bound)
    url = f"http://{f'[{inside}]' if ':' in inside else inside}:{listening.getsockname()[1]}"
    async with AsyncExitStack() as stack:
        stack.callback(listening.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loyalty-bridge-")))
        client = await stack.enter_async_context(httpx2.AsyncClient(timeout=10, trust_env=False))
        keys, community, channel = dict(throwaway()), Busy([loyalty.SUBSCRIBED]), stages.channel()
        apis = vendors(keys, community, clock, pace=pace)
        social = _social(url, keys, channel, client)
        social_url = await stack.enter_async_context(serving(social))
        at = {f"{api.name}_url": await stack.enter_async_context(serving(api.stand_in)) for api in apis}
        toml = Template((Path(__file__).parent / "demo.toml").read_text("utf-8")).substitute(
            at,
            public_url=url,
            channel_id=channel.id,
            client_id=CLIENT_ID,
            social_url=social_url,
            domain=DOMAIN,
            follow_wait=f"{6 * pace:g}",
            order_wait=f"{10 * pace:g}",
            doubt=f"{6 * pace:g}",
            gather=f"{1 * pace:g}",
            too_fast=f"{2 * pace:g}",
            follow_id=loyalty.FOLLOW.id,
            order_id=loyalty.ORDER.id,
            definition_id=loyalty.ORDERS.id,
            challenge_id=loyalty.SUBSCRIBED.id,
            campaign=loyalty.SPRING.slug,
        )
        file = folder / "bridge.toml"
        file.write_text(toml, "utf-8")
        variables = {
            **keys,
            "BRIDGE_CONFIG": str(file),
            "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_ACTOR": "sandbox",
        }
        bridge = await stack.enter_async_context(open_bridge(env.read(variables)))
        await stack.enter_async_context(working(bridge))
        stage = _stage(url, keys, channel, apis, community, client, pace)
        social.listeners.add(Witnessed(stage))
        window = Window(bridge)
        if faults := await window.greet():
            raise RuntimeError(f"a stand-in is not what demo.toml says: {'; '.join(faults)}")
        for person in stage.people:
            await window.link(person.customer, "reviews", person.customer)
            for viewer in (person.first, person.second) if person.linked else ():
                await window.link(person.customer, "twitch", viewer.id)
        app = Starlette(
            routes=[
                Route("/", _home),
                Mount("/demo", page(window, stage, toml=toml)),
                Mount("/shop", storefront(stage, url=url, secret=keys["TICKET_SECRET"])),
                Mount("/", build(bridge)),
            ]
        )
        await stack.enter_async_context(serving(app, listening=listening))
        yield Demo(url, bridge, stage, social)


def vendors(keys: Mapping[str, str], community: Busy, clock: Clock, *, pace: float = 1.0) -> Sequence[Api]:
    """The loyalty APIs, which know everybody from the start."""
    program = Program(
        [loyalty.FOLLOW, loyalty.ORDER],
        window=timedelta(seconds=30),
        delay=timedelta(seconds=2 * pace),
        spread=timedelta(seconds=1 * pace),
    )
    engage, partner = Engage([loyalty.ORDERS]), Partner([loyalty.SPRING], rules=loyalty.WELCOME, seed=25)
    for person in stages.PEOPLE:
        program.join(person.customer, email=person.buyer.email)
        community.join(person.buyer.id, firstname=person.name, customer_id=person.customer, email=person.buyer.email)
    for buyer in (*stages.CROWD, *(person.buyer for person in stages.PEOPLE)):
        engage.join(id=loyalty.contact(str(buyer.id)), email=buyer.email)
    return loyalty.apis(
        gameball=gameball(
            program,
            api_key=keys["GAMEBALL_API_KEY"],
            secret_key=keys["GAMEBALL_SECRET_KEY"],
            clock=clock,
            quotas=UNLIMITED,
        ),
        voyado=voyado(engage, api_key=keys["VOYADO_API_KEY"], clock=clock),
        popsell=popsell(
            community, api_key=keys["POPSELL_API_KEY"], domain=DOMAIN, clock=clock, lasts=timedelta(days=7)
        ),
        gamifyhost=gamifyhost(partner, api_secret=keys["GAMIFYHOST_API_SECRET"], clock=clock),
        crm=receiver(Inbox(), [keys["CRM_SECRET"]], clock=clock),
    )


def _social(url: str, keys: dict[str, str], channel: Channel, client: httpx2.AsyncClient) -> Platform:
    """Twitch with its pages, on which everybody has an account; the brand has signed in, and its token is a key."""
    people = People(clock)
    owner = people.join(channel.name, channel=channel)
    for person in stages.PEOPLE:
        for viewer in (person.first, person.second):
            people.join(viewer.name, id=viewer.id)
    places = (f"{url}/connect/twitch/callback",)
    shop = Application(CLIENT_ID, keys["TWITCH_CLIENT_SECRET"], "Enamel Mugs", places)
    # The brand's token is never refreshed here: it outlives every demo.
    made = platform(people, shop, client=client, token_lasts=timedelta(days=30), title="Sandbox Twitch")
    keys["TWITCH_TOKEN"] = made.grants.give(shop, owner, ["moderator:read:followers"]).access
    return made


def _stage(
    url: str,
    keys: Mapping[str, str],
    channel: Channel,
    apis: Sequence[Api],
    community: Busy,
    client: httpx2.AsyncClient,
    pace: float,
) -> Stage:
    numbers = itertools.count(int(time.time()) % 1_000_000 * 100)  # no two demos send the same ids
    callback = f"{url}/webhooks"
    return Stage(
        twitch=EventSub(
            channel, callback=f"{callback}/twitch", secret=keys["TWITCH_SECRET"], clock=clock, numbers=numbers
        ),
        shop=Shop(callback=f"{callback}/shop", secret=keys["SHOP_SECRET"], clock=clock, numbers=numbers),
        reviews=Reviews(callback=f"{callback}/reviews", secret=keys["REVIEWS_SECRET"], clock=clock, numbers=numbers),
        apis=apis,
        community=community,
        client=client,
        clock=clock,
        pace=pace,
    )


async def _home(request: Request) -> Response:
    return RedirectResponse("/demo/", 303)


def throwaway() -> Mapping[str, str]:
    """Keys that live as long as the demo."""

    def standard() -> str:
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

    return {
        "BRIDGE_SECRET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SIGNING_SECRET": standard(),
        "CRM_SECRET": standard(),
        "TWITCH_SECRET": secrets.token_hex(16),
        "TWITCH_CLIENT_SECRET": secrets.token_hex(15),
        "TICKET_SECRET": secrets.token_hex(32),
        "SHOP_SECRET": secrets.token_hex(16),
        "GAMEBALL_API_KEY": "gb_test_" + secrets.token_hex(8),
        "GAMEBALL_SECRET_KEY": secrets.token_hex(16),
        "VOYADO_API_KEY": secrets.token_hex(16),
        "POPSELL_API_KEY": secrets.token_hex(16),
        "GAMIFYHOST_API_SECRET": "sk_test_" + secrets.token_hex(16),
        "REVIEWS_SECRET": standard(),
    }
