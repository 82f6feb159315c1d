"""Customers at once on their way from a ticket to the proof; and the platform's part of it alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2

from bridge.kit import Ticket
from bridge.kit.tickets import sign
from bridge.sandbox.platform import Application, People, platform
from bridge.sandbox.serving import serving
from tests.oauth.browsing import Browser

from . import servers

CUSTOMERS = 50
SECRETS = {"TWITCH_SECRET": "bench-twitch-secret", "CLIENT_SECRET": "bench-client", "TICKET_SECRET": "bench-tickets"}
CONFIG = """
public_url = "http://127.0.0.1:{port}"
allow_private_networks = true
[tickets]
secret = "env:TICKET_SECRET"
[connect]
too_fast = "0 s"
[source.twitch]
webhook_secret = "env:TWITCH_SECRET"
channel_id = "1337"
channel_name = "enamelmugs"
client_id = "bench"
client_secret = "env:CLIENT_SECRET"
authorize_url = "{social}/oauth2/authorize"
token_url = "{social}/oauth2/token"
revoke_url = "{social}/oauth2/revoke"
api_url = "{social}/helix"
site_url = "{social}"
[target.sink]
provider = "webhook"
url = "http://127.0.0.1:9/in"
secret = "env:HOOK_SECRET"
[[rule]]
id = "follow"
when = "twitch.follow"
limit = "once"
send = {{ to = "sink", event = "follow" }}
"""


async def taken(folder: Path, port: int) -> tuple[list[float], list[float]]:
    """How long each customer took: at the platform alone, and by way of the bridge. Seconds, each sorted."""
    people = People(lambda: datetime.now(UTC))
    people.join("EnamelMugs", id="1337")
    for number in range(CUSTOMERS):
        people.join(f"alone{number:03}")
        people.join(f"by{number:03}")
    ours, elsewhere = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/nobody/asks"
    shop = Application("bench", SECRETS["CLIENT_SECRET"], "Bench", (f"{ours}/connect/twitch/callback", elsewhere))
    async with AsyncExitStack() as stack:
        social = await stack.enter_async_context(serving(platform(people, shop)))
        (folder / "bridge.toml").write_text(CONFIG.format(port=port, social=social))
        environment = {**servers.environment(folder), **SECRETS}

        async def alone(client: httpx2.AsyncClient, number: int) -> None:
            browser = Browser(client, elsewhere)
            asked = {"client_id": "bench", "redirect_uri": elsewhere, "response_type": "code", "state": "s"}
            asked["scope"] = "user:read:follows"
            await browser.open(str(httpx2.URL(f"{social}/oauth2/authorize", params=asked)))
            await browser.press(f"alone{number:03}")
            code = httpx2.URL(await browser.press("Allow")).params["code"]
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": elsewhere}
            form |= {"client_id": "bench", "client_secret": SECRETS["CLIENT_SECRET"]}
            token = (await client.post(f"{social}/oauth2/token", data=form)).json()["access_token"]
            headers = {"authorization": f"Bearer {token}", "client-id": "bench"}
            me = (await client.get(f"{social}/helix/users", headers=headers)).json()["data"][0]["id"]
            asked = {"user_id": me, "broadcaster_id": "1337"}
            for follows in (0, 1):
                if follows:
                    await browser.open(f"{social}/enamelmugs")
                    await browser.press("Follow")
                answer = await client.get(f"{social}/helix/channels/followed", params=asked, headers=headers)
                assert len(answer.json()["data"]) == follows, answer.text
            await client.post(f"{social}/oauth2/revoke", data={"client_id": "bench", "token": token})

        async def by_the_bridge(client: httpx2.AsyncClient, number: int) -> None:
            browser = Browser(client, "nowhere:")
            until = datetime.now(UTC) + timedelta(hours=1)
            query = sign(SECRETS["TICKET_SECRET"], "twitch.follow", Ticket(customer=f"c-{number}", expires=until))
            await browser.open(f"{ours}/connect/twitch/follow?{query}")
            await browser.press("Go on to")  # the platform's name stands in an element of its own
            await browser.press(f"by{number:03}")
            await browser.press("Allow")
            claim, page = browser.url, browser.page
            await browser.open(f"{social}/enamelmugs")
            await browser.press("Follow")
            browser.url, browser.page = claim, page
            await browser.press("I have done it")
            assert "Done, thank you!" in browser.text, browser.text

        first = await _at_once(alone)
        with servers.process(servers.serve(port), port, env=environment):
            return first, await _at_once(by_the_bridge)


async def _at_once(way: Callable[[httpx2.AsyncClient, int], Awaitable[None]]) -> list[float]:
    """Everybody begins at the same moment, each with a browser of their own."""

    async def one(number: int) -> float:
        headers = {"sec-fetch-site": "same-origin"}
        async with httpx2.AsyncClient(timeout=60, verify=False, trust_env=False, headers=headers) as client:
            began = time.perf_counter()
            await way(client, number)
            return time.perf_counter() - began

    return sorted(await asyncio.gather(*(one(number) for number in range(CUSTOMERS))))
