"""`loyalty-bridge demo`: a real bridge among stand-ins, each a server of its own, and the page that explains them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
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

from . import stage as stages
from .gameball import gameball
from .gate import UNLIMITED
from .helix import helix
from .page import page
from .program import Program
from .receiver import Inbox, receiver
from .serving import bound, serving
from .shop import Shop
from .stage import Stage
from .twitch import EventSub
from .window import Window

CLIENT_ID = "sandbox-client"


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs."""

    url: str
    bridge: Bridge
    stage: Stage


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
        keys = _keys()
        program = Program(
            [stages.FOLLOW, stages.ORDER],
            window=timedelta(seconds=30),
            delay=timedelta(seconds=2 * pace),
            spread=timedelta(seconds=1 * pace),
        )
        channel, inbox = stages.channel(), Inbox()
        api = gameball(
            program,
            api_key=keys["GAMEBALL_API_KEY"],
            secret_key=keys["GAMEBALL_SECRET_KEY"],
            clock=clock,
            quotas=UNLIMITED,
        )
        asked = helix(channel, token=keys["TWITCH_TOKEN"], client_id=CLIENT_ID, clock=clock)
        crm = receiver(inbox, [keys["CRM_SECRET"]], clock=clock)
        toml = Template((Path(__file__).parent / "demo.toml").read_text("utf-8")).substitute(
            public_url=url,
            channel_id=channel.id,
            client_id=CLIENT_ID,
            helix_url=await stack.enter_async_context(serving(asked)),
            gameball_url=await stack.enter_async_context(serving(api)),
            crm_url=await stack.enter_async_context(serving(crm)),
            follow_wait=f"{6 * pace:g}",
            order_wait=f"{10 * pace:g}",
            doubt=f"{6 * pace:g}",
            follow_id=stages.FOLLOW.id,
            order_id=stages.ORDER.id,
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
        numbers = itertools.count(int(time.time()) % 1_000_000 * 100)  # no two demos send the same ids
        stage = Stage(
            twitch=EventSub(
                channel,
                callback=f"{url}/webhooks/twitch",
                secret=keys["TWITCH_SECRET"],
                clock=clock,
                numbers=numbers,
            ),
            shop=Shop(callback=f"{url}/webhooks/shop", secret=keys["SHOP_SECRET"], clock=clock, numbers=numbers),
            helix=asked,
            gameball=api,
            program=program,
            crm=crm,
            inbox=inbox,
            client=await stack.enter_async_context(httpx2.AsyncClient(timeout=10, trust_env=False)),
            clock=clock,
        )
        window = Window(bridge)
        for person in stage.people:
            for viewer in (person.first, person.second) if person.linked else ():
                await window.link(person.customer, "twitch", viewer.id)
        app = Starlette(
            routes=[
                Route("/", _home),
                Mount("/demo", page(window, stage, toml=toml)),
                Mount("/", build(bridge)),
            ]
        )
        await stack.enter_async_context(serving(app, listening=listening))
        yield Demo(url, bridge, stage)


async def _home(request: Request) -> Response:
    return RedirectResponse("/demo/", 303)


def _keys() -> Mapping[str, str]:
    """Keys that live as long as the demo."""

    def standard() -> str:
        return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()

    return {
        "BRIDGE_SECRET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "SIGNING_SECRET": standard(),
        "CRM_SECRET": standard(),
        "TWITCH_SECRET": secrets.token_hex(16),
        "TWITCH_TOKEN": secrets.token_hex(15),
        "SHOP_SECRET": secrets.token_hex(16),
        "GAMEBALL_API_KEY": "gb_test_" + secrets.token_hex(8),
        "GAMEBALL_SECRET_KEY": secrets.token_hex(16),
    }
