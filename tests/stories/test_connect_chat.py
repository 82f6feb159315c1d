"""Ann has no sign-in there: she sends the brand six digits, or a login signs who she is. And a shop vouches for her."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.conftest import FOLLOW_RULE, SECRETS, Asked, Builder, House

from . import chat
from .customers import CONNECT, OURS, TICKETS, Platform, Visitor, everything, rounds, visiting

CHAT_SECRET = "chat-webhook-secret"
CHAT = (
    CONNECT.replace("public_url", 'plugins = ["tests.stories.chat"]\npublic_url', 1)
    + '[source.chat]\nwebhook_secret = "env:CHAT_SECRET"\n'
)
RULE = '[[rule]]\nid = "join"\nwhen = "chat.join"\nsend = { to = "hook", event = "joined" }\n'
PATH = "/connect/chat/join"


@asynccontextmanager
async def told(build_house: Builder, *, bot: bool = False) -> AsyncIterator[tuple[House, Chat, Visitor]]:
    head = CHAT + ('bot = "brand_bot"\n' if bot else "")
    opened = build_house(RULE, head=head, variables={**TICKETS, "CHAT_SECRET": CHAT_SECRET})
    async with opened as house, visiting(house) as ann:
        yield house, Chat(house), ann


class Chat:
    """The platform: who is in the group, what was written to the brand, what the brand has said."""

    def __init__(self, house: House) -> None:
        self.house, self.members, self.down = house, set[str](), False
        self.said: list[Any] = []
        house.vendor.always("GET", "chat.test", self.get)
        house.vendor.always("POST", "chat.test", self.post)

    def get(self, asked: Asked) -> Any:
        name = asked.path.rpartition("/")[2]
        if self.down:
            return 503, b"<html>down</html>"
        if asked.path.startswith("/users/"):
            return 200, {"handle": f"handle_{name}"}
        return (200, {}) if name in self.members else (404, {})

    def post(self, asked: Asked) -> Any:
        self.said.append(asked.json)
        return 200, {}

    async def writes(self, account: str, text: str, **more: Any) -> httpx2.Response:
        body = json.dumps({"messages": [{"from": account, "text": text, **more}]}).encode()
        mac = hmac.new(CHAT_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature": mac}
        answer = await self.house.client.post("/webhooks/chat", content=body, headers=headers)
        await self.house.bridge.heard()
        return answer


async def code(ann: Visitor) -> Mapping[str, Any]:
    answer = await ann.post(PATH, query=ann.query("chat.join"))
    assert answer.json()["name"] == "leave", answer.text
    return await ann.page(PATH)


async def test_six_digits_prove_whose_account_it_is(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        page = await ann.page(PATH, query=ann.query("chat.join"))
        assert (page["sign_in"], page["code"]) == (False, True)
        page = await code(ann)
        assert (page["name"], len(page["code"])) == ("code", 6)
        assert page["address"] == f"https://chat.test/brand?text={page['code']}"
        assert (await code(ann))["code"] == page["code"]  # reloading gives no second one

        await platform.writes("brand", page["code"], echo=True)
        assert (await ann.page(PATH))["name"] == "code"
        await platform.writes("77", f" {page['code'][:3]} {page['code'][3:]} ")
        asked = await ann.page(PATH)
        assert (asked["name"], asked["handle"]) == ("confirm", "handle_77")
        assert not await house.rows("links"), "linked before anybody has said yes"

        platform.members.add("77")
        done = await ann.post(f"{PATH}/confirm")
        assert done.json()["name"] == "verified"
        assert len(await house.forwards()) == 1
        assert platform.said
        await platform.writes("88", page["code"])  # used
        assert (await ann.post(f"{PATH}/confirm")).json()["reason"] == "claim_expired"
        assert [row["account"] for row in await house.rows("links")] == ["77"]
        assert page["code"] not in str(await house.rows("audit"))


async def test_a_code_is_shown_and_confirmed_in_one_browser(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann), visiting(house) as other, visiting(house, "c-eve") as eve:
        page = await code(ann)
        await platform.writes("77", page["code"])
        second = await code(other)  # the same customer elsewhere: a fresh code, and the first one is over
        assert second["code"] != page["code"]
        assert (await ann.post(f"{PATH}/confirm")).json()["name"] == "stopped"
        assert (await eve.post(f"{PATH}/confirm")).json()["reason"] == "state_mismatch"
        assert not await house.rows("links")


async def test_whoever_sends_a_code_first_has_sent_it(build_house: Builder) -> None:
    async with told(build_house) as (_, platform, ann):
        page = await code(ann)
        await platform.writes("77", page["code"])
        await platform.writes("88", page["code"])
        assert (await ann.page(PATH))["handle"] == "handle_77"


async def test_five_wrong_codes_an_hour(build_house: Builder) -> None:
    async with told(build_house) as (house, platform, ann):
        page = await code(ann)
        for number in range(5):
            await platform.writes("66", f"{(int(page['code']) + 1 + number) % 10**6:06d}")
        await platform.writes("66", page["code"])
        assert (await ann.page(PATH))["name"] == "code"
        await platform.writes("77", page["code"])
        assert (await ann.page(PATH))["handle"] == "handle_77"
        house.clock.tick(minutes=16)
        assert (await ann.post(f"{PATH}/confirm")).json()["reason"] == "claim_expired"
        assert (await ann.page(PATH))["name"] == "welcome"


async def test_the_platform_was_down_when_the_code_came(build_house: Builder) -> None:
    async with told(build_house) as (_, platform, ann):
        page = await code(ann)
        platform.down = True
        assert (await platform.writes("77", page["code"])).status_code == 200
        assert (await ann.page(PATH))["name"] == "code"
        platform.down = False
        assert (await ann.page(PATH))["handle"] == "handle_77"
        platform.down = True
        page = (await ann.post(f"{PATH}/confirm")).json()
        assert (page["name"], page["result"], page["obstacle"]) == ("checking", "unknown", "busy")


def widget(account: str, address: str, **more: str) -> dict[str, str]:
    """What a login signs and sends the browser back with: not our state, which stands beside it."""
    back = urlsplit(parse_qs(urlsplit(address).query)["return_to"][0])
    fields = {"id": account, "username": f"handle_{account}", "auth_date": "1795176000", **more}
    return {**fields, "hash": chat.signed(fields), "state": parse_qs(back.query)["state"][0]}


async def returned(ann: Visitor, fields: Mapping[str, str]) -> Mapping[str, Any]:
    answer = await ann.get("/connect/chat/callback", query=urlencode(fields))
    page: Mapping[str, Any] = answer.json()
    return await ann.page(PATH) if page["name"] == "leave" else page


async def test_a_login_that_signs_fields(build_house: Builder) -> None:
    async with told(build_house, bot=True) as (house, platform, ann), visiting(house, "c-eve") as eve:
        address = (await ann.post(PATH, query=ann.query("chat.join"))).json()["address"]
        assert address.startswith("https://chat.test/login?")
        forged = widget("77", address) | {"id": "78"}
        assert (await returned(ann, forged))["reason"] == "sign_in_refused"
        assert (await returned(ann, widget("77", address)))["reason"] == "state_mismatch"  # that state is used up

        address = (await ann.post(PATH, query=ann.query("chat.join"))).json()["address"]
        good = widget("77", address)
        assert (await returned(ann, good))["name"] == "act"
        theirs = (await eve.post(PATH, query=eve.query("chat.join"))).json()["address"]
        replayed = good | {"state": widget("77", theirs)["state"]}
        assert (await returned(eve, replayed))["reason"] == "sign_in_refused"  # signed once, good once
        platform.members.add("77")
        house.clock.tick(seconds=15)
        await rounds(house)
        assert (await ann.page(PATH))["name"] == "verified"
        assert good["hash"] not in await everything(house)


# --- a shop that vouches --------------------------------------------------------------------------------------------


def proxied(house: House, **more: str) -> str:
    fields = {"shop": "s.myshopify.com", "path_prefix": "/apps/x", "timestamp": str(house.now_ms // 1000), **more}
    message = "".join(sorted(f"{name}={value}" for name, value in fields.items()))
    mac = hmac.new(SECRETS["SHOP_SECRET"].encode(), message.encode(), hashlib.sha256).hexdigest()
    return urlencode({**fields, "signature": mac})


async def test_the_shops_own_proxy_is_a_ticket(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        platform = Platform(house.vendor, follows={"1234"})
        query = proxied(house, logged_in_customer_id="42", customer="7", return_to="https://evil.example")
        answer = await ann.get("/connect/twitch/follow", query=query)
        assert answer.status_code == 303
        assert not await house.rows("claims")
        ticket = urlsplit(answer.headers["location"])
        assert f"{ticket.scheme}://{ticket.netloc}{ticket.path}" == "https://rewards.example.com/connect/twitch/follow"
        assert (await ann.page(query=ticket.query))["name"] == "welcome"
        address = (await ann.post(query=ticket.query)).json()["address"]
        assert (await ann.back(address))["name"] == "verified"
        [forward] = await house.forwards()
        assert json.loads(forward["customer"])["id"] == "42"
        assert platform.asked_about == 1

        nobody = await ann.get("/connect/twitch/follow", query=proxied(house, logged_in_customer_id=""))
        assert (nobody.status_code, nobody.json()["reason"]) == (403, "not_signed_in")
        forged = await ann.get("/connect/twitch/follow", query=query.replace("=42", "=43"))
        assert forged.json()["reason"] == "forged_ticket"
        house.clock.tick(minutes=6)
        assert (await ann.client.post(f"/connect/twitch/follow?{ticket.query}", headers=OURS)).status_code == 410


@pytest.mark.parametrize("path", ["/connect/none/follow", "/connect/twitch/raid", "/connect/shop/order_paid"])
async def test_what_nobody_can_connect(build_house: Builder, path: str) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        assert (await ann.get(path)).json()["name"] == "nothing"
        assert (await ann.post(path)).json()["name"] == "nothing"
