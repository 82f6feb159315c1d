"""The brand signs in once, and customers are asked about without their own permission from then on."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.app import unsigned
from bridge.flows import setup
from bridge.flows.connect import Chance
from bridge.kit import ScopesMissing, StateMismatch
from tests.conftest import FOLLOW_RULE, Asked, Builder, House
from tests.stories.customers import CONNECT, TICKETS, Platform, rounds, visiting


def chance() -> Chance:
    return Chance(state="s" * 43, nonce="n" * 43, verifier="v" * 43, key=lambda: "")


async def begun(house: House) -> str:
    table = house.bridge.config.sources["twitch"]
    address = await setup.sign_in(house.bridge.desk, table, house.bridge.scene("operator:test"), chance())
    state: str = parse_qs(urlsplit(address).query)["state"][0]
    assert "moderator%3Aread%3Afollowers" in address
    return state


async def test_the_brand_signs_in_and_the_customers_permission_goes_at_once(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        platform = Platform(house.vendor, users={"1234": "ann", "1337": "brand"})
        platform.granted = ["moderator:read:followers"]
        state = await begun(house)
        answer = await house.client.get(f"/connect/twitch/callback?state={state}&code=code-1337")
        assert answer.text.startswith("brand is signed in")
        [row] = await house.rows("brands")
        assert row["account"] == "1337"
        assert "access-1337" not in str(row)
        address = f"/connect/twitch/callback?state={state}&code=code-1337"
        again = await house.client.get(address, headers={"accept": "application/json"})
        assert again.json()["reason"] == "state_mismatch"

        def helix(asked: Asked) -> Any:
            if asked.path.startswith("/helix/users"):
                return 200, {"data": [{"id": "1234", "login": "ann"}]}
            assert asked.headers["authorization"] == "Bearer access-1337"
            found = [{"user_id": "1234", "user_login": "ann"}] if "1234" in platform.follows else []
            if "user_id=" not in asked.path:
                found = [{"user_id": "9"}]
            return 200, {"total": 5, "data": found}

        platform.helix, platform.granted = helix, []
        page = await ann.page(query=ann.query())
        assert (page["grants"], page["kept"]) == ([], "nothing")
        assert (await ann.connect())["name"] == "act"
        assert platform.revoked == ["access-1234"]
        assert not await house.rows("grants")
        platform.follows.add("1234")
        house.clock.tick(seconds=15)
        await rounds(house)
        assert (await ann.page())["name"] == "verified"
        assert len(await house.forwards()) == 1


async def test_a_brand_that_grants_too_little_is_not_kept(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house:
        platform = Platform(house.vendor, granted=[])
        table, scene = house.bridge.config.sources["twitch"], house.bridge.scene("operator:test")
        state = await begun(house)
        with pytest.raises(ScopesMissing):
            await setup.signed_in(house.bridge.desk, table, f"state={state}&code=code-1337", scene)
        assert platform.revoked == ["access-1337"]
        with pytest.raises(StateMismatch):
            await setup.signed_in(house.bridge.desk, table, f"state={state}&code=code-1337", scene)
        assert not await house.rows("brands")


async def test_check_refuses_a_wait_that_nobody_could_be_asked_about(build_house: Builder) -> None:
    rule = FOLLOW_RULE.replace("send =", 'wait = "24 hours"\nsend =')
    async with build_house(rule, head=CONNECT, variables=TICKETS) as house:
        platform = Platform(house.vendor, users={"1337": "brand"}, granted=["moderator:read:followers"])
        db, config = house.bridge.db, house.bridge.config
        [fault] = await unsigned(db, config)
        assert "loyalty-bridge setup twitch" in fault
        assert "loyalty-bridge setup twitch" in config.warnings[-1]
        table = config.sources["twitch"]
        state = await begun(house)
        query = f"state={state}&code=code-1337"
        await setup.signed_in(house.bridge.desk, table, query, house.bridge.scene("operator:test"))
        assert await unsigned(db, config) == []
        assert not platform.revoked
