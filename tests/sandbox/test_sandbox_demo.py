"""The demo as it is shipped: a real bridge, real connections, and what the loyalty API really granted."""

import asyncio
import time

import httpx2
import pytest

from bridge.sandbox.demo import playing

PACE = 0.05


@pytest.fixture
async def demo():
    async with playing(pace=PACE) as running:
        yield running


@pytest.fixture
async def visit(demo):
    async with httpx2.AsyncClient(base_url=demo.url, timeout=10) as made:
        yield made


async def press(visit, act, who="ann"):
    answer = await visit.post("/demo/act", data={"act": act, "who": who})
    assert answer.status_code == 303


async def until(demo, reached, seconds=8.0):
    """Wait until the stand-ins are as expected."""
    before = time.monotonic()
    while time.monotonic() - before < seconds:
        demo.stage.program.settle(demo.stage.clock())
        if reached():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to that")


def points(demo, person):
    return demo.stage.program.points(demo.stage.person(person).customer)


async def forwards(demo, rule):
    """The states of a rule's forwards, oldest first."""
    from bridge.sandbox.window import Window

    rows = await Window(demo.bridge).lately("forwards")
    return [row["state"] for row in reversed(rows) if row["rule"] == rule]


async def test_a_follow_earns_once_however_often_and_by_whichever_account(demo, visit):
    await press(visit, "follow")
    await press(visit, "thrice")
    await press(visit, "second")
    assert [answer.status for answer in demo.stage.played[1].answers] == [200, 200, 200]
    await until(demo, lambda: points(demo, "ann") == 50)
    await asyncio.sleep(20 * PACE)
    assert points(demo, "ann") == 50
    assert len(demo.stage.program.submissions) == 1


async def test_a_dropped_connection_pays_once(demo, visit):
    await press(visit, "dropped")
    await press(visit, "order", "ben")
    await until(demo, lambda: points(demo, "ben") == 100)
    before = time.monotonic()
    while await forwards(demo, "big-order") != ["delivered"]:
        assert time.monotonic() - before < 20
        await asyncio.sleep(0.05)
    assert points(demo, "ben") == 100
    assert len(demo.stage.program.submissions) == 1


async def test_an_order_returned_in_time_earns_nothing():
    async with playing(pace=0.3) as slower, httpx2.AsyncClient(base_url=slower.url) as theirs:
        await press(theirs, "order")
        await until(slower, lambda: len(slower.stage.inbox.messages) == 1)
        await press(theirs, "refund")
        await asyncio.sleep(3.5)
        assert await forwards(slower, "big-order") == ["cancelled"]
        assert slower.stage.program.submissions == []
        assert next(iter(slower.stage.inbox.messages.values()))["type"] == "order.paid"
        assert "Paid exactly once" in (await theirs.get("/demo/")).text


async def test_who_stops_following_in_time_earns_nothing():
    async with playing(pace=0.3) as slower, httpx2.AsyncClient(base_url=slower.url) as theirs:
        await press(theirs, "follow")
        await press(theirs, "unfollow")
        await asyncio.sleep(2.5)
        assert await forwards(slower, "twitch-follow") == ["cancelled"]
        assert slower.stage.program.submissions == []


async def test_a_forgery_is_refused_and_a_capture_earns_nothing_again(demo, visit):
    await press(visit, "order")
    await press(visit, "captured")
    await press(visit, "forged")
    assert [played.answers[0].status for played in demo.stage.played] == [200, 200, 401]
    await until(demo, lambda: points(demo, "ann") == 100)
    await asyncio.sleep(20 * PACE)
    assert points(demo, "ann") == 100
    assert len(demo.stage.inbox.messages) == 1


async def test_what_waited_for_a_link_is_considered_at_once(demo, visit):
    await press(visit, "follow", "cleo")
    await asyncio.sleep(10 * PACE)
    assert points(demo, "cleo") == 0
    await press(visit, "link", "cleo")
    await until(demo, lambda: points(demo, "cleo") == 50)


async def test_the_page_stands_at_the_root_and_the_bridge_beside_it(demo, visit):
    assert (await visit.get("/")).headers["location"] == "/demo/"
    page = await visit.get("/demo/")
    assert "One fact earns once." in page.text
    assert "env:TWITCH_SECRET" in page.text
    assert demo.bridge.env.variables["TWITCH_SECRET"] not in page.text
    assert (await visit.get("/healthz")).status_code == 200


async def test_a_port_that_is_taken_is_said_at_once(demo):
    with pytest.raises(OSError, match="in use"):
        async with playing(port=int(demo.url.rpartition(":")[2])):
            pass
