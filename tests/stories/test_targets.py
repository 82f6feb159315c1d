"""Loyalty APIs whose calls take many, who have names of their own for customers, or who do not know them yet."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx2
import pytest

from bridge.kit import ConfigError
from tests.conftest import HEAD, Asked, Builder, House, states
from tests.stories.pool import PLUGIN, TABLE, Pool

RULE = """
[[rule]]
id = "order"
when = "shop.order_paid"
limit = "per subject"
send = { to = "pool", points = 5 }
"""


def head(**keys: str) -> str:
    more = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return PLUGIN + HEAD + TABLE + more


@pytest.fixture
def pool(build_house: Builder) -> Pool:
    made = Pool()
    for method in ("GET", "PUT", "POST"):
        build_house.vendor.always(method, "pool.test", made)
    return made


async def orders(house: House, *numbers: int, first: int = 0) -> None:
    for number in numbers:
        answer = await house.order(first + number, customer={"id": number, "email": f"c{number}@example.com"})
        assert answer.status_code == 200


def batches(pool: Pool) -> list[int]:
    return [len(json.loads(one.body)) for one in pool.calls("POST", "/awards")]


# --- many at once ----------------------------------------------------------------------------------------------


async def test_what_is_due_together_leaves_together(build_house: Builder, pool: Pool) -> None:
    """Two hundred orders are paid while nobody works; then one call carries them all, under a name of its own."""
    async with build_house(RULE, head=head()) as house:
        await orders(house, *range(200))
        await house.work()
        assert batches(pool) == [200]
        assert states(await house.forwards()) == ["delivered"] * 200
        assert set(pool.points.values()) == {5}
        [award] = pool.calls("POST", "/awards")
        assert award.headers["webhook-id"].startswith("bat_")
        assert "webhook-signature" in award.headers
        assert "idempotency-key" not in award.headers
        references = {row["reference"] for row in await house.rows("attempts")}
        assert references == {award.headers["webhook-id"]}


async def test_each_member_learns_its_own_fate(build_house: Builder, pool: Pool) -> None:
    """Three of ten have left the pool since it was asked for them: the other seven are paid by the same call."""
    async with build_house(RULE, head=head(missing_customer='"fail"')) as house:
        pool.gone = {"m1", "m4", "m7"}
        await orders(house, *range(10))
        await house.work()
        assert batches(pool) == [10]
        assert states(await house.forwards()) == ["delivered"] * 7 + ["failed"] * 3
        assert {row["reason"] for row in await house.rows("forwards", "state = 'failed'")} == {"gone from the pool"}


async def test_one_that_spoils_a_call_ends_alone(build_house: Builder, pool: Pool) -> None:
    """One row makes the pool refuse the whole call: halves find it, and nobody else is held up or paid twice."""
    async with build_house(RULE, head=head()) as house:
        pool.poison = {"m37"}
        await orders(house, *range(64))
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 63 + ["failed"]
        assert len(pool.points) == 63
        assert set(pool.points.values()) == {5}
        assert len(batches(pool)) <= 13
        [row] = await house.rows("forwards", "state = 'failed'")
        assert row["tries"] == 0  # being sent in smaller company used up nothing


async def test_a_lost_call_leaves_each_member_a_doubt_of_its_own(build_house: Builder, pool: Pool) -> None:
    """The answer to six is lost after two of them had been taken: reading tells which, and the rest are sent again."""
    async with build_house(RULE, head=head()) as house:
        await orders(house, *range(6))
        pool.before.append(httpx2.ReadTimeout("silence"))
        await house.work()
        assert states(await house.forwards()) == ["pending"] * 6
        pool.points.update({"m0": 5, "m1": 5})
        house.clock.tick(minutes=10)
        await house.work()
        await house.work()
        assert states(await house.forwards()) == ["delivered"] * 6
        assert {pool.points[f"m{number}"] for number in range(6)} == {5}
        assert batches(pool) == [6, 1, 3]  # the one finds out whether the trouble is over


async def test_of_an_outage_one_call_is_in_doubt_and_then_one_at_a_time_is_tried(
    build_house: Builder, pool: Pool
) -> None:
    async with build_house(RULE, head=head()) as house:
        pool.before = [(500, {})] * 3
        await orders(house, *range(30))
        await house.work()
        for _ in range(40):
            house.clock.tick(minutes=2)
            await house.work()
        sizes = batches(pool)
        assert sizes[0] == 30
        assert sizes[1] == 1
        assert states(await house.forwards()) == ["delivered"] * 30
        assert set(pool.points.values()) == {5}


async def test_two_facts_of_one_customer_never_share_a_call(build_house: Builder, pool: Pool) -> None:
    """Together, nobody could tell from the count which of the two had been taken."""
    async with build_house(RULE, head=head()) as house:
        await orders(house, 1, 2)
        await orders(house, 1, first=100)
        await house.work()
        assert sorted(batches(pool)) == [1, 2]
        assert pool.points == {"m1": 10, "m2": 5}


# --- what it was read from ---------------------------------------------------------------------------------------


async def test_what_a_call_left_behind_is_the_next_ones_baseline(build_house: Builder, pool: Pool) -> None:
    """Once: after an hour, or after a call whose end nobody knows, the pool is read again."""
    async with build_house(RULE, head=head()) as house:
        await orders(house, 1)
        await house.work()
        assert len(pool.calls("GET", "/points/")) == 1
        await orders(house, 1, first=100)
        await house.work()
        assert len(pool.calls("GET", "/points/")) == 1
        assert [row["baseline"] for row in await house.rows("attempts")] == ["0", "5"]
        house.clock.tick(hours=2)
        await orders(house, 1, first=200)
        await house.work()
        assert len(pool.calls("GET", "/points/")) == 2
        pool.after.append(httpx2.ReadTimeout("silence"))
        await orders(house, 1, first=300)
        await house.work()
        assert len(pool.calls("GET", "/points/")) == 2
        house.clock.tick(minutes=10)
        await house.work()  # the doubt is settled by a read
        assert len(pool.calls("GET", "/points/")) == 3
        await orders(house, 1, first=400)
        await house.work()
        assert len(pool.calls("GET", "/points/")) == 4  # the doubt has used it up
        assert pool.points["m1"] == 25
        assert states(await house.forwards()) == ["delivered"] * 5


# --- a long bad day ----------------------------------------------------------------------------------------------


async def test_a_day_of_answers_that_are_none_does_not_use_up_the_schedule(build_house: Builder, pool: Pool) -> None:
    """For a day a page answers in the pool's place, and each time the pool is asked, it has not happened.

    Each proof lets it be sent again, but not faster than any other try: else nine of them were over in ten minutes.
    """
    async with build_house(RULE, head=head()) as house:
        pool.before = [(200, b"<h1>Just a moment</h1>")] * 1000
        await orders(house, 1)
        for _ in range(24 * 12):
            await house.work()
            house.clock.tick(minutes=5)
        row = await house.forward()
        assert row["state"] == "pending", row["reason"]
        assert 5 <= len(batches(pool)) <= 9
        pool.before.clear()
        house.clock.tick(days=2)
        await house.work()
        assert (await house.forward())["state"] == "delivered"
        assert pool.points == {"m1": 5}


# --- customers -------------------------------------------------------------------------------------------------


async def test_a_customer_is_looked_up_once(build_house: Builder, pool: Pool) -> None:
    async with build_house(RULE, head=head()) as house:
        await orders(house, 1)
        await house.work()
        await orders(house, 1, first=100)
        await house.work()
        assert len(pool.calls("GET", "/members")) == 1
        assert pool.points["m1"] == 10


async def test_a_name_that_is_no_longer_good_is_asked_for_again(build_house: Builder, pool: Pool) -> None:
    """The pool has merged two members: the remembered one is gone, and the mail leads to the other."""
    async with build_house(RULE, head=head()) as house:
        await orders(house, 1)
        await house.work()
        pool.gone, pool.members["c1@example.com"] = {"m1"}, "m900"
        await orders(house, 1, first=100)
        await house.work()
        assert pool.points == {"m1": 5, "m900": 5}
        assert len(pool.calls("GET", "/members")) == 2
        assert states(await house.forwards()) == ["delivered"] * 2


async def test_two_of_ours_who_are_one_of_theirs_wait_for_each_other(build_house: Builder, pool: Pool) -> None:
    """A doubt about one member must be alone, by whatever name we know them."""
    async with build_house(RULE, head=head()) as house:
        pool.members["c2@example.com"] = "m1"
        await orders(house, 1)
        pool.after.append(httpx2.ReadTimeout("silence"))
        await house.work()
        await orders(house, 2)
        house.clock.tick(seconds=10)  # the breaker lets one try
        await house.work()
        assert batches(pool) == [1]
        [second] = await house.rows("forwards", "customer LIKE '%c2@%'")
        assert second["parked"] == (await house.rows("forwards", "customer LIKE '%c1@%'"))[0]["lane"]
        house.clock.tick(minutes=10)
        await house.work()
        assert pool.points == {"m1": 10}
        assert states(await house.forwards()) == ["delivered"] * 2


async def test_a_doubt_is_settled_under_the_name_it_left_with(build_house: Builder, pool: Pool) -> None:
    """Meanwhile the pool has moved the mail to another member: whose count the call has moved is the first."""
    async with build_house(RULE, head=head()) as house:
        pool.after.append(httpx2.ReadTimeout("silence"))
        await orders(house, 1)
        await house.work()
        pool.members["c1@example.com"] = "m900"
        await house.bridge.db.transact(lambda tx: tx.run("DELETE FROM names"))
        house.clock.tick(minutes=10)
        await house.work()
        assert pool.points == {"m1": 5}
        assert (await house.forward())["state"] == "delivered"


async def test_a_customer_the_target_does_not_know_is_waited_for(build_house: Builder, pool: Pool) -> None:
    async with build_house(RULE, head=head()) as house:
        del pool.members["c1@example.com"]
        await orders(house, 1)
        await house.work()
        row = await house.forward()
        assert row["state"] == "pending"
        assert row["reason"] == "the pool has no such member; waits for the customer until 2026-12-20"
        for _ in range(8):
            house.clock.tick(days=1)
            await house.work()
        assert len(pool.calls("GET", "/members")) < 60
        pool.members["c1@example.com"] = "m1"
        house.clock.tick(hours=7)
        await house.work()
        assert pool.points == {"m1": 5}
        assert (await house.forward())["tries"] == 0


async def test_who_never_comes_fails_after_the_time(build_house: Builder, pool: Pool) -> None:
    async with build_house(RULE, head=head(missing_customer='"wait 2 days"')) as house:
        del pool.members["c1@example.com"]
        await orders(house, 1)
        for _ in range(20):
            await house.work()
            house.clock.tick(hours=6)
        row = await house.forward()
        assert row["state"] == "failed"
        assert row["reason"] == "the pool has no such member; it was waited for since 2026-11-20 12:00"
        assert batches(pool) == []


async def test_who_is_not_known_can_be_made_known(build_house: Builder, pool: Pool) -> None:
    async with build_house(RULE, head=head(missing_customer='"create"')) as house:
        del pool.members["c1@example.com"]
        await orders(house, 1)
        await house.work()
        assert len(pool.calls("PUT", "/members")) == 1
        assert (await house.forward())["state"] == "delivered"
        assert sum(pool.points.values()) == 5


# --- ceilings and rehearsals -----------------------------------------------------------------------------------


async def test_an_amount_above_the_ceiling_is_held_and_not_cut_down(build_house: Builder, pool: Pool) -> None:
    rule = RULE.replace("points = 5", 'points = "=int(total)"')
    async with build_house(rule, head=head(most="50")) as house:
        await orders(house, 1)
        await house.work()
        row = await house.forward()
        assert row["state"] == "held"
        assert row["reason"] == "points 60 is above most = 50 of [target.pool]: raise that and release it, or cancel it"
        assert batches(pool) == []


async def test_a_literal_above_the_ceiling_does_not_start(build_house: Builder) -> None:
    with pytest.raises(ConfigError, match="points is at most 3, by `most` of"):
        async with build_house(RULE, head=head(most="3")):
            pass


async def test_a_dry_run_records_everything_and_sends_nothing(build_house: Builder, pool: Pool) -> None:
    async with build_house(RULE, head=head(dry_run="true")) as house:
        await orders(house, 1)
        await house.work()
        row = await house.forward()
        assert (row["state"], row["sent"]) == ("cancelled", 0)
        assert row["reason"] == "dry run: it is recorded, and nothing was sent"
        assert pool.asked == []


# --- tokens ----------------------------------------------------------------------------------------------------


async def test_a_token_is_fetched_once_and_again_when_it_is_refused(build_house: Builder, pool: Pool) -> None:
    async with build_house(RULE, head=head()) as house:
        await orders(house, *range(20))
        await house.work()
        assert len(pool.calls("POST", "/token")) == 1
        pool.token = "t2"
        await orders(house, 1, first=100)
        await house.work()
        assert len(pool.calls("POST", "/token")) == 2
        assert pool.points["m1"] == 10
        assert states(await house.forwards()) == ["delivered"] * 21


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        pytest.param((401, {}), "no token is given for our key: it is refused", id="no more is known"),
        pytest.param((302, {}), "the pool has moved: base_url is wrong", id="the provider knows more"),
    ],
)
async def test_a_key_that_gives_no_token_pauses_the_target(
    build_house: Builder, pool: Pool, answer: object, reason: str
) -> None:
    async with build_house(RULE, head=head()) as house:
        house.vendor.answers("POST", "pool.test", *[answer] * 5)
        await orders(house, *range(5))
        await house.work()
        [row] = await house.rows("targets")
        assert (row["pause"], row["reason"]) == ("misconfigured", reason)
        assert states(await house.forwards()) == ["pending"] * 5


# --- what it answered ------------------------------------------------------------------------------------------


def on_disk(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.glob("bridge.db*"))


SHOWN = """
[[rule]]
id = "order"
when = "shop.order_paid"
limit = "per subject"
[[rule.send]]
to = "pool"
points = 5
show = ["level", "code"]
tell = { to = "hook", event = "prize", data = { code = "=answer.code", order = "=subject" } }
"""


async def test_a_prize_reaches_whom_it_belongs_to_and_nobody_else_once(build_house: Builder, pool: Pool) -> None:
    """The code is passed on by one call, kept sealed for the customer's own page, and readable nowhere else."""
    async with build_house(SHOWN, head=head()) as house:
        await orders(house, 1)
        await house.order(1, customer={"id": 1, "email": "c1@example.com"})
        await house.work()
        [told] = house.vendor.calls("POST", "hook.test")
        assert told.json["type"] == "prize"
        assert told.json["data"]["code"] == "WIN-4711"
        assert told.json["data"]["order"] == "1"
        assert states(await house.forwards()) == ["delivered"] * 2
        [kept] = await house.rows("shown")
        assert house.bridge.vault.open(kept["sealed"]) == {"level": "gold", "code": "WIN-4711"}
        for table in ("forwards", "attempts", "audit", "shown", "evidence"):
            assert "WIN-4711" not in json.dumps(await house.rows(table))
    assert b"WIN-4711" not in on_disk(build_house.path)


async def test_a_prize_that_cannot_be_passed_on_yet_is_tried_until_it_can(build_house: Builder, pool: Pool) -> None:
    async with build_house(SHOWN, head=head()) as house:
        house.vendor.answers("POST", "hook.test", (503, {}))
        await orders(house, 1)
        await house.work()
        house.clock.tick(minutes=5)
        await house.work()
        codes = [one.json["data"]["code"] for one in house.vendor.calls("POST", "hook.test")]
        ids = {one.headers["webhook-id"] for one in house.vendor.calls("POST", "hook.test")}
        assert (codes, len(ids)) == (["WIN-4711"] * 2, 1)
        assert batches(pool) == [1]


FAULTS = [
    ('show = ["prize"]', "The pool answers with code, level; not prize"),
    ('tell = { to = "crm" }', "there is no [target.crm]"),
    ('tell = { to = "hook", data = { code = "=answer.prize" } }', "pool answers with code, level; not prize"),
    ('tell = { to = "hook", points = 3 }', "points"),
    ('id = "x.tell"', "ends as the ledger names what `tell` passes on"),
]


@pytest.mark.parametrize(("line", "said"), FAULTS, ids=[line for line, _ in FAULTS])
async def test_what_cannot_be_shown_or_passed_on_does_not_start(build_house: Builder, line: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        async with build_house(
            SHOWN.replace('show = ["level", "code"]', line, 1).replace(
                'tell = { to = "hook", event = "prize", data = { code = "=answer.code", order = "=subject" } }\n', ""
            ),
            head=head(),
        ):
            pass
    assert said in str(caught.value)


# --- stopping --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(6))
async def test_a_stop_does_not_wait_for_company(build_house: Builder, pool: Pool, steps: int) -> None:
    """One is ready and waits for another, of whom the pool says nothing: told to stop, nobody waits any longer.

    Who gives up stirs the company; a stop that comes in the same instant must not be taken for that.
    """

    async def silence() -> None:
        await asyncio.Event().wait()

    def answer(asked: Asked) -> object:
        return silence() if asked.path == "/points/m2" else pool(asked)

    async with build_house(RULE, head=head(gather='"1 hour"')) as house:
        house.vendor.always("GET", "pool.test", answer)
        await orders(house, 1, 2)
        worker = house.bridge.worker
        working = asyncio.ensure_future(house.work())
        while not (company := worker.teller.companies.get("pool")) or not company.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        late = [working, *worker._running]
        for one in late:
            one.cancel()
        for _ in range(steps):
            await asyncio.sleep(0)
        _, waits = await asyncio.wait({asyncio.ensure_future(worker.teller.close())}, timeout=2)
        assert not waits
        await asyncio.gather(*late, return_exceptions=True)
        assert batches(pool) == []
        assert {row["sent"] for row in await house.forwards()} == {0}
