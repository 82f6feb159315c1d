"""Ann's account lives on a server of her choice: found, registered with once, and asked without her permission."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.conftest import Asked, Builder, House

from .customers import CONNECT, TICKETS, Visitor, everything, rounds, visiting

HEAD = CONNECT.replace("public_url", 'plugins = ["tests.stories.isles"]\npublic_url', 1) + "[source.isles]\n"
RULE = '[[rule]]\nid = "isle"\nwhen = "isles.follow"\nsend = { to = "hook", event = "followed" }\n'
PATH = "/connect/isles/follow"


class Isle:
    """One server: who asked for what."""

    def __init__(self, house: House, host: str = "green.test") -> None:
        self.known, self.relation, self.number = "", dict[str, bool](), 0
        house.vendor.always("GET", host, self.get)
        house.vendor.always("POST", host, self.post)

    def get(self, asked: Asked) -> Any:
        if asked.path == "/me":
            return 200, {"id": "ann"}
        return 200, self.relation if asked.path.startswith("/follows") else {}

    def post(self, asked: Asked) -> Any:
        if asked.path == "/apps":
            self.number += 1
            self.known = f"client-{self.number}"
            return 200, {"client_id": self.known, "client_secret": "registered-secret"}
        form = parse_qs(asked.body.decode())
        if form["client_id"] != [self.known]:
            return 401, {"error": "invalid_client"}
        assert form["code_verifier"]
        return 200, {"access_token": "isle-access", "token_type": "Bearer"}


@asynccontextmanager
async def told(build_house: Builder) -> AsyncIterator[tuple[House, Isle, Visitor]]:
    async with build_house(RULE, head=HEAD, variables=TICKETS) as house, visiting(house) as ann:
        yield house, Isle(house), ann


async def came_back(ann: Visitor, address: str) -> Any:
    state = parse_qs(urlsplit(address).query)["state"][0]
    page = (await ann.get("/connect/isles/callback", query=f"state={state}&code=c&iss=https%3A%2F%2Fgreen.test")).json()
    return await ann.page(PATH) if page["name"] == "leave" else page


async def test_a_server_is_found_once_and_asked_by_public_read(build_house: Builder) -> None:
    async with told(build_house) as (house, isle, ann):
        page = await ann.page(PATH, query=ann.query("isles.follow"))
        assert (page["home"], page["kept"]) == ("server", "nothing")
        wrong = await ann.post(PATH, query=ann.query("isles.follow"), home="not a server <b>")
        page = wrong.json()
        assert (wrong.status_code, page["name"], page["home_wrong"], page["typed"]) == (
            400, "welcome", True, "not a server <b>",
        )  # fmt: skip
        answer = await ann.post(PATH, home=" https://GREEN.test/ ")  # the ticket is bound to this browser by now
        address = answer.json()["address"]
        assert address.startswith("https://green.test/authorize?")
        assert "client_id=client-1" in address
        isle.relation = {"requested": True}
        page = await came_back(ann, address)
        assert (page["name"], page["result"], page["handle"]) == ("checking", "pending", "ann")
        assert not await house.rows("grants")
        isle.relation = {"following": True}
        house.clock.tick(seconds=15)
        await rounds(house)
        assert (await ann.page(PATH))["name"] == "verified"
        async with visiting(house, "c-bob") as bob:
            await bob.post(PATH, query=bob.query("isles.follow"), home="green.test")
        assert isle.number == 1
        whole = str(await house.rows("servers")) + await everything(house)
        assert "registered-secret" not in whole
        assert "isle-access" not in whole


async def test_a_server_that_has_forgotten_us_is_asked_anew(build_house: Builder) -> None:
    async with told(build_house) as (house, isle, ann):
        address = (await ann.post(PATH, query=ann.query("isles.follow"), home="green.test")).json()["address"]
        isle.known = "somebody else"
        page = await came_back(ann, address)
        assert (page["name"], page["busy"]) == ("unavailable", False)
        assert not await house.rows("servers")
        address = (await ann.post(PATH, home="green.test")).json()["address"]
        assert "client_id=client-2" in address
        assert (await came_back(ann, address))["name"] == "act"


async def test_an_answer_from_another_server(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann):
        address = (await ann.post(PATH, query=ann.query("isles.follow"), home="green.test")).json()["address"]
        state = parse_qs(urlsplit(address).query)["state"][0]
        query = f"state={state}&code=c&iss=https%3A%2F%2Fevil.test"
        page = (await ann.get("/connect/isles/callback", query=query)).json()
        assert page["reason"] == "issuer_mismatch"
        assert not [one for one in house.vendor.asked if one.path == "/token"]


async def test_who_we_are_can_be_read(build_house: Builder) -> None:
    async with told(build_house) as (house, _, ann):
        told_ = (await ann.get("/connect/isles/client.json")).json()
        assert told_["client_id"] == "https://rewards.example.com/connect/isles/client.json"
        assert (await ann.get("/connect/twitch/client.json")).json()["name"] == "nothing"
        house.vendor.always("GET", "green.test", (503, {}))
        page = (await ann.post(PATH, query=ann.query("isles.follow"), home="green.test")).json()
        assert page["name"] == "unavailable"
        stopped = [row for row in await house.rows("audit") if row["action"] == "claim.stopped"]
        assert len(stopped) == 1
