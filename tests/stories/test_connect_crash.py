"""The process dies between any two steps of a customer's way: nobody is paid for nothing, nobody is paid twice."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.kit import StoreError
from tests.conftest import FOLLOW_RULE, Builder, House

from .customers import CONNECT, TICKETS, Platform, rounds, visiting

WAIT_RULE = FOLLOW_RULE.replace("send =", 'wait = "24 hours"\nsend =')


class Died(BaseException):
    """As by kill -9: nothing of ours catches it."""


def die(house: House, at: int, *, after: bool) -> list[int]:
    """Have the process die at its `at`-th transaction: before it, or right after it is on disk."""
    count = [0]
    transact = house.bridge.db.transact

    async def dying(work: Any) -> Any:
        count[0] += 1
        if count[0] == at and not after:
            raise Died
        found = await transact(work)
        if count[0] == at:
            raise Died
        return found

    house.bridge.db.transact = dying  # type: ignore[method-assign]
    return count


@pytest.mark.parametrize("rule", [FOLLOW_RULE, WAIT_RULE], ids=["at once", "waits"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, 9))
async def test_dying_on_the_way(build_house: Builder, rule: str, after: bool, at: int) -> None:
    cookies: Any = None
    async with build_house(rule, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        platform = Platform(house.vendor, follows={"1234"})
        address = await ann.begin()
        cookies = ann.client.cookies
        count = die(house, at, after=after)
        try:
            await ann.back(address)
        except Died:
            pass
        else:
            # There are no more steps than these, and the test knows it.
            assert count[0] < at
    async with build_house(rule, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        ann.client.cookies = cookies
        before = await house.forwards()
        assert len(before) <= 1
        for _ in range(3):
            house.clock.tick(minutes=6)
            await rounds(house)
        [claim] = await house.rows("claims")
        if claim["state"] != "verified":  # it begins again where it stood
            assert (await ann.connect())["name"] == "verified"
        house.clock.tick(minutes=6)
        await rounds(house)
        assert len(await house.forwards()) == 1
        assert len(await house.rows("links")) == 1
        # What is kept is kept for the wait; everything else was given back.
        kept = await house.rows("grants")
        assert len(kept) == (1 if rule is WAIT_RULE else 0)
        assert all(row["state"] == "kept" for row in kept)
        assert platform.revoked or kept
        sealed = [row for row in await house.rows("sign_ins") if row["sealed"] and row["consumed_at"]]
        assert not sealed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_dying_while_it_is_asked_by_itself(build_house: Builder, after: bool) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        platform = Platform(house.vendor)
        await ann.connect()
        platform.follows.add("1234")
        house.clock.tick(seconds=20)
        die(house, 2, after=after)
        with pytest.raises(Died):
            await rounds(house)
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house:
        assert len(await house.forwards()) == int(after)
        house.clock.tick(minutes=2)
        await rounds(house)
        [claim] = await house.rows("claims")
        assert claim["state"] == "verified"
        assert len(await house.forwards()) == 1


async def test_the_store_is_full(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        Platform(house.vendor, follows={"1234"})
        address = await ann.begin()
        transact = house.bridge.db.transact

        async def full(work: Any) -> Any:
            raise StoreError("the store answered: database or disk is full")

        house.bridge.db.transact = full  # type: ignore[method-assign]
        page = await ann.back(address)
        assert (page["name"], page["status"]) == ("unavailable", 503)
        house.bridge.db.transact = transact  # type: ignore[method-assign]
        assert (await ann.back(address))["name"] == "verified"  # nothing was used up
