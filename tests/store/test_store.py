"""What a store promises to everything above it: groups, transactions, history that stays, facts that pay once."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bridge.flows import chain, operate
from bridge.kit import AuditEntry
from bridge.kit.errors import Busy, StoreError
from bridge.store import Store, Tx, audit, forwards, links, migrate, open_store
from bridge.store.migrations import MIGRATIONS
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, Builder, House
from tests.processes import ROOT


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Store]:
    made = await open_store(f"sqlite:///{tmp_path / 'bridge.db'}")
    await migrate(made, 0)
    await made.transact(lambda tx: tx.run("CREATE TABLE notes (id TEXT PRIMARY KEY, said TEXT)"))
    yield made
    await made.close()


async def write(tx: Tx, items: list[Any]) -> list[str]:
    """A group: stores each item's words; some words are poison."""
    for item in items:
        if item == "poison":
            raise ValueError("poison")
        await tx.run("INSERT INTO notes (id, said) VALUES (:id, :said)", id=str(item), said=str(item))
    return [f"wrote {item}" for item in items]


async def notes(db: Store) -> list[str]:
    rows = await db.read(lambda tx: tx.rows("SELECT id FROM notes ORDER BY id"))
    return [row["id"] for row in rows]


class Commits:
    """How many transactions are committed, as another connection sees it."""

    def __init__(self, db: Store) -> None:
        self.connection = sqlite3.connect(db.path)
        self.seen = self.version()

    def version(self) -> int:
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def since(self) -> int:
        before, self.seen = self.seen, self.version()
        return self.seen - before


# --- the group commit ------------------------------------------------------------------------------------------


async def test_what_waits_is_written_together_and_each_gets_its_own_result(db: Store) -> None:
    batches: list[int] = []

    async def counted(tx: Tx, items: list[int]) -> list[str]:
        batches.append(len(items))
        return await write(tx, items)

    found = await asyncio.gather(*(db.join(counted, number) for number in range(500)))
    assert found == [f"wrote {number}" for number in range(500)]
    assert sum(batches) == 500
    assert len(batches) < 20
    assert max(batches) <= db.LARGEST_GROUP


async def test_different_groups_share_a_transaction(db: Store) -> None:
    together: list[str] = []

    async def one(tx: Tx, items: list[str]) -> list[str]:
        together.append("one")
        return await write(tx, items)

    async def two(tx: Tx, items: list[str]) -> list[str]:
        together.append("two")
        return await write(tx, items)

    found = await asyncio.gather(db.join(one, "a"), db.join(two, "b"), db.join(one, "c"), db.join(two, "d"))
    assert found == ["wrote a", "wrote b", "wrote c", "wrote d"]
    assert len(together) <= 4


@pytest.mark.parametrize("poisonous", [1, 3, 10])
async def test_a_poisonous_member_hurts_only_itself(db: Store, poisonous: int) -> None:
    items: list[Any] = [*range(40), *["poison"] * poisonous]
    random.Random(poisonous).shuffle(items)
    found = await asyncio.gather(*(db.join(write, item) for item in items), return_exceptions=True)
    for item, result in zip(items, found, strict=True):
        if item == "poison":
            assert isinstance(result, ValueError)
        else:
            assert result == f"wrote {item}"
    assert len(await notes(db)) == 40


async def test_a_group_that_returns_too_few_results_fails_and_leaves_nothing(db: Store) -> None:
    async def forgetful(tx: Tx, items: list[str]) -> list[str]:
        return (await write(tx, items))[1:]

    found = await asyncio.gather(*(db.join(forgetful, f"f{n}") for n in range(3)), return_exceptions=True)
    assert all(isinstance(one, Exception) for one in found)
    assert await notes(db) == []
    assert await db.join(write, "after") == "wrote after"


async def test_what_a_member_wrote_before_it_failed_is_taken_back(db: Store) -> None:
    async def half(tx: Tx, items: list[str]) -> list[str]:
        await write(tx, items)
        raise ValueError("after the fact")

    with pytest.raises(ValueError, match="after the fact"):
        await db.join(half, "x")
    assert await notes(db) == []


async def test_a_row_that_breaks_a_constraint_takes_its_transaction_back_and_no_other(db: Store) -> None:
    await db.transact(lambda tx: tx.run("CREATE TABLE short (id TEXT PRIMARY KEY, said TEXT CHECK (length(said) < 5))"))

    async def several(tx: Tx, items: list[str]) -> list[int]:
        await write(tx, items)
        rows = [{"id": item, "said": item} for item in items]
        changed = await tx.many("INSERT INTO short (id, said) VALUES (:id, :said) ON CONFLICT DO NOTHING", rows)
        return [changed] * len(items)

    items = ["a", "b", "too long", "c"]
    found = await asyncio.gather(*(db.join(several, item) for item in items), return_exceptions=True)
    assert [found[0], found[1], found[3]] == [1, 1, 1]
    assert isinstance(found[2], sqlite3.IntegrityError)
    assert await notes(db) == ["a", "b", "c"]
    assert [row["id"] for row in await db.read(lambda tx: tx.rows("SELECT id FROM short ORDER BY id"))] == [
        "a",
        "b",
        "c",
    ]
    with pytest.raises(sqlite3.IntegrityError):
        await db.transact(lambda tx: several(tx, ["d", "too long as well"]))
    assert await notes(db) == ["a", "b", "c"]
    assert await db.join(write, "after") == "wrote after"


async def test_a_queue_that_is_full_says_so_at_once(db: Store) -> None:
    before = db.LONGEST_QUEUE
    waiting = [asyncio.ensure_future(db.join(write, number)) for number in range(before + 200)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [one for one in results if isinstance(one, Busy)]
    assert 0 < len(refused) <= 200
    assert len(await notes(db)) == before + 200 - len(refused)
    assert db.queued == 0
    assert await db.join(write, "after") == "wrote after"


async def test_a_caller_that_leaves_changes_nothing_for_the_others(db: Store) -> None:
    """A sender hung up: what it sent is written or not, and nobody else notices."""
    rolled = random.Random(1)
    for round_ in range(30):
        waiting = [asyncio.ensure_future(db.join(write, f"{round_}-{n}")) for n in range(20)]
        await asyncio.sleep(rolled.choice((0, 0, 0.0005)))
        gone = set(rolled.sample(range(20), 7))
        for n in gone:
            waiting[n].cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        for n, result in enumerate(results):
            if n not in gone:
                assert result == f"wrote {round_}-{n}"
            else:
                assert isinstance(result, asyncio.CancelledError) or result == f"wrote {round_}-{n}"
    stored = set(await notes(db))
    assert {f"{round_}-{n}" for round_ in range(30) for n in range(20)} >= stored


async def test_a_cancelled_transaction_is_whole_or_not_there_and_never_in_the_way(db: Store) -> None:
    rolled = random.Random(2)

    async def two(tx: Tx, name: str) -> None:
        await tx.run("INSERT INTO notes (id, said) VALUES (:id, '')", id=f"{name}a")
        await tx.run("INSERT INTO notes (id, said) VALUES (:id, '')", id=f"{name}b")

    async def act(number: int) -> None:
        match number % 3:
            case 0:
                await db.transact(lambda tx: two(tx, str(number)))
            case 1:
                await db.join(write, f"{number}w")
            case _:
                await db.read(lambda tx: tx.rows("SELECT count(*) FROM notes"))

    tasks = [asyncio.ensure_future(act(number)) for number in range(300)]
    for task in rolled.sample(tasks, 200):
        await asyncio.sleep(0)
        task.cancel()
        if rolled.random() < 0.5:  # cancelled, and cancelled again while it is tidying up
            await asyncio.sleep(0)
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    stored = await notes(db)
    pairs = Counter(one.rstrip("ab") for one in stored if not one.endswith("w"))
    assert set(pairs.values()) <= {2}
    # Whatever happened: nothing is open, nobody is locked out.
    assert await asyncio.wait_for(db.join(write, "after"), 5) == "wrote after"
    await asyncio.wait_for(db.transact(lambda tx: two(tx, "z")), 5)
    other = sqlite3.connect(db.path, timeout=0.2)
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


async def test_what_is_written_is_on_disk_when_the_caller_hears_of_it(db: Store) -> None:
    other = sqlite3.connect(db.path)
    for number in range(20):
        await db.join(write, f"n{number}")
        assert other.execute("SELECT count(*) FROM notes").fetchone()[0] == number + 1
    assert other.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    other.close()
    assert (await db.transact(lambda tx: tx.rows("PRAGMA synchronous")))[0][0] == 2


async def test_the_disk_is_written_while_the_loop_is_busy(db: Store) -> None:
    """A loop that never rests would keep the COMMIT from beginning for as long as the interpreter lets it."""
    written: list[Any] = []

    async def noted(tx: Tx, items: list[Any]) -> list[str]:
        written.extend(items)
        return await write(tx, items)

    commits, before = Commits(db), sys.getswitchinterval()
    writing = asyncio.ensure_future(db.join(noted, "a"))
    sys.setswitchinterval(60)
    try:
        while not written:  # noqa: ASYNC110 (to be there in the very turn in which it is)
            await asyncio.sleep(0)
        ends = time.perf_counter() + 0.3
        while time.perf_counter() < ends:  # work that nothing interrupts
            pass
        assert commits.since() == 1
        assert not writing.done()
    finally:
        sys.setswitchinterval(before)
    assert await writing == "wrote a"


async def test_closing_waits_for_what_is_being_written(tmp_path: Path) -> None:
    made = await open_store(f"sqlite:///{tmp_path / 'x.db'}")
    await made.transact(lambda tx: tx.run("CREATE TABLE notes (id TEXT PRIMARY KEY, said TEXT)"))
    waiting = [asyncio.ensure_future(made.join(write, number)) for number in range(300)]
    await asyncio.sleep(0)
    await made.close()
    assert len(await asyncio.gather(*waiting)) == 300


# --- transactions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["transact", "read", "join"])
async def test_a_transaction_awaits_nothing_but_its_statements(db: Store, door: str) -> None:
    """A transaction that waits for the network would keep every delivery waiting."""

    async def sleeps(tx: Tx, items: Sequence[Any] = ()) -> list[None]:
        await tx.rows("SELECT 1")
        await asyncio.sleep(0)
        return [None]

    with pytest.raises(RuntimeError, match="awaits nothing but its own statements"):
        await (db.join(sleeps, 1) if door == "join" else getattr(db, door)(sleeps))
    assert await db.join(write, "after") == "wrote after"


async def test_a_read_sees_one_moment(db: Store) -> None:
    await db.join(write, "a")
    other = sqlite3.connect(db.path, isolation_level=None)

    async def look(tx: Tx) -> tuple[int, int]:
        [first] = await tx.rows("SELECT count(*) AS n FROM notes")
        other.execute("INSERT INTO notes (id, said) VALUES ('between', '')")
        [second] = await tx.rows("SELECT count(*) AS n FROM notes")
        return first["n"], second["n"]

    # sqlite3 forbids a connection to another thread, so this work opens its own there.
    other.close()
    other = sqlite3.connect(db.path, isolation_level=None, check_same_thread=False)
    assert await db.read(look) == (1, 1)
    other.close()
    assert await notes(db) == ["a", "between"]


async def test_a_read_cannot_write_what_others_see_half_of(db: Store) -> None:
    """Reads are for looking; whatever a bug in one writes must at least be a whole transaction."""
    with contextlib.suppress(StoreError, sqlite3.Error):
        await db.read(lambda tx: tx.run("INSERT INTO notes (id, said) VALUES ('r', '')"))
    assert await db.join(write, "after") == "wrote after"


async def test_another_process_that_is_writing_is_waited_for(db: Store) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO notes (id, said) VALUES ('theirs', '')")
    waiting = [asyncio.ensure_future(db.join(write, number)) for number in range(50)]
    turned = 0
    began = time.monotonic()
    while time.monotonic() - began < 0.3:
        await asyncio.sleep(0.005)
        turned += 1
        assert await asyncio.wait_for(notes(db), 1) == []  # reading goes on
    assert turned > 10, "the event loop stood still"
    other.execute("COMMIT")
    assert len(await asyncio.gather(*waiting)) == 50
    assert len(await notes(db)) == 51
    other.close()


async def test_a_file_that_stays_locked_is_refused_for_all_at_once(db: Store) -> None:
    """Tried one by one, a hundred deliveries would wait a hundred times as long, and their senders be gone."""
    db._writer.PATIENCE = 0.3
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    found = await asyncio.gather(*(db.join(write, number) for number in range(100)), return_exceptions=True)
    assert time.monotonic() - began < 2
    assert {type(one) for one in found} == {StoreError}
    with pytest.raises(StoreError):
        await db.transact(lambda tx: tx.rows("SELECT 1"))
    other.execute("ROLLBACK")
    other.close()
    assert await db.join(write, "after") == "wrote after"


async def test_it_notices_what_another_process_has_written(db: Store) -> None:
    first = await db.changes()
    await db.join(write, "ours")
    assert await db.changes() == first
    other = sqlite3.connect(db.path)
    other.execute("INSERT INTO notes (id, said) VALUES ('theirs', '')")
    other.commit()
    other.close()
    assert await db.changes() != first


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite://",
        "postgresql://x/y",
        "mysql://x",
        "",
        "x",
        "sqlite:////no/such/d/x",
    ],
)
async def test_what_is_no_store_is_refused_in_words(url: str) -> None:
    with pytest.raises(StoreError) as refused:
        await open_store(url)
    assert refused.value.message


async def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    file.write_bytes(b"this is no database, whatever else it is" * 1000)
    with pytest.raises(StoreError, match="cannot be opened"):
        await open_store(f"sqlite:///{file}")


# --- history ---------------------------------------------------------------------------------------------------


async def test_migrating_twice_changes_nothing(db: Store) -> None:
    before = await db.read(lambda tx: tx.rows("SELECT sql FROM sqlite_master ORDER BY name"))
    assert await migrate(db, 1) == []
    after = await db.read(lambda tx: tx.rows("SELECT sql FROM sqlite_master ORDER BY name"))
    assert [row["sql"] for row in before] == [row["sql"] for row in after]
    row, *_ = await db.read(lambda tx: tx.rows("SELECT * FROM migrations ORDER BY name"))
    assert (row["name"], row["at"]) == (MIGRATIONS[0][0], 0)


async def test_several_processes_may_start_on_an_empty_file_at_once(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys\n"
        "from bridge.store import open_store, migrate\n"
        "async def main():\n"
        "    db = await open_store(sys.argv[1])\n"
        "    print(len(await migrate(db, 0)))\n"
        "    await db.close()\n"
        "asyncio.run(main())"
    )
    url = f"sqlite:///{tmp_path / 'bridge.db'}"

    def start() -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([sys.executable, "-c", code, url], cwd=ROOT, capture_output=True, timeout=30)

    done = await asyncio.gather(*(asyncio.to_thread(start) for _ in range(4)))
    assert [one.returncode for one in done] == [0] * 4, [one.stderr.decode()[-300:] for one in done]
    assert sorted(one.stdout.strip() for one in done) == [b"0", b"0", b"0", str(len(MIGRATIONS)).encode()]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE number = 1",
        "INSERT OR REPLACE INTO audit (number, at, actor, action, object, detail) VALUES (1, 0, 'x', 'x', 'x', '{}')",
        "UPDATE seals SET hash = 'x'",
        "DELETE FROM seals",
        "INSERT OR REPLACE INTO seals (number, upto, hash, at) VALUES (1, 1, 'x', 0)",
    ],
)
async def test_the_audit_log_takes_entries_and_gives_none_away(db: Store, statement: str) -> None:
    await db.transact(lambda tx: audit.append(tx, [AuditEntry(actor="a", action="b", object="c")], now=1))
    await db.transact(lambda tx: audit.seal(tx, now=1))
    with pytest.raises(Exception, match="append-only"):
        await db.transact(lambda tx: tx.run(statement))
    assert (await chain.verify(db)).broken == ""


async def test_the_chain_says_where_it_was_broken(db: Store) -> None:
    for start in range(0, 30, 10):
        entries = [AuditEntry(actor="a", action="b", object=f"o{n}", detail={"n": n}) for n in range(start, start + 10)]
        await db.transact(lambda tx, entries=entries: audit.append(tx, entries, now=1))
        await db.transact(lambda tx: audit.seal(tx, now=1))
    good = await chain.verify(db)
    assert (good.entries, good.seals, good.unsealed, good.broken) == (30, 3, 0, "")
    # Somebody with the file and without scruples: the triggers do not stop them, the chain tells.
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("DROP TRIGGER audit_keeps")
    other.execute("UPDATE audit SET detail = '{\"n\":99}' WHERE number = 15")
    found = await chain.verify(db)
    assert (found.seal, found.seals) == (2, 1)
    other.execute("UPDATE audit SET detail = '{\"n\":14}' WHERE number = 15")
    assert (await chain.verify(db)).broken == ""
    other.execute("DROP TRIGGER audit_stays")
    other.execute("DELETE FROM audit WHERE number = 30")
    assert (await chain.verify(db)).broken
    other.close()


async def test_entries_are_numbered_without_a_gap_whoever_writes_at_once(db: Store) -> None:
    async def group(tx: Tx, items: list[int]) -> list[None]:
        if any(n % 7 == 0 for n in items) and len(items) > 1:
            raise ValueError("together they fail")
        entries = [AuditEntry(actor="a", action="b", object=str(n)) for n in items]
        await audit.append(tx, entries, now=1)
        return [None] * len(items)

    await asyncio.gather(*(db.join(group, n) for n in range(200)))
    rows = await db.read(lambda tx: audit.between(tx, after=0, upto=10_000))
    assert [row["number"] for row in rows] == list(range(1, 201))


# --- what pays once --------------------------------------------------------------------------------------------


def owed(id_: str, **changes: Any) -> dict[str, Any]:
    """A row of `forwards`."""
    return {
        "id": id_, "kind": "reward", "rule": "r", "send": "t", "bucket": "", "person": f"p-{id_}", "source": "s",
        "account": f"a-{id_}", "action": "x", "key": f"k-{id_}", "subject": "", "target": "t", "customer": "{}",
        "options": "{}", "facts": "{}", "terms": "", "judge": 0, "evidence": "e", "undoes": "", "state": "pending",
        "due_at": 0, "until_at": None, "lane": f"lane {id_}", "seat": f"seat {id_}", "occurred_at": 0,
        "created_at": 0, "at": 0, **changes,
    }  # fmt: skip


FACT = {"key": "k"}
PERSON = {"person": "p"}
ACCOUNT = {"account": "a"}


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        pytest.param(FACT, FACT, False, id="one fact earns once"),
        pytest.param(FACT, {**FACT, "rule": "other"}, True, id="two rules pay one fact"),
        pytest.param(FACT, {**FACT, "send": "other"}, True, id="two sends pay one fact"),
        pytest.param(FACT, {**FACT, "kind": "undo"}, True, id="a claw-back stands beside its reward"),
        pytest.param(FACT, {**FACT, "bucket": "b", "person": "q"}, False, id="no other bucket pays the fact again"),
        pytest.param({**FACT, "state": "cancelled"}, FACT, False, id="a withdrawn fact does not come back"),
        pytest.param(PERSON, PERSON, False, id="one person earns once"),
        pytest.param(PERSON, {**PERSON, "bucket": "b"}, True, id="one person earns in two buckets"),
        pytest.param(PERSON, {**PERSON, "kind": "undo"}, True, id="a claw-back fills no bucket"),
        pytest.param({**PERSON, "state": "cancelled"}, PERSON, True, id="withdrawn before it left frees the bucket"),
        pytest.param({**PERSON, "state": "failed"}, PERSON, False, id="failed keeps the bucket"),
        pytest.param({**PERSON, "state": "held"}, PERSON, False, id="held keeps the bucket"),
        pytest.param(ACCOUNT, ACCOUNT, False, id="one account earns once"),
        pytest.param(ACCOUNT, {**ACCOUNT, "source": "other"}, True, id="an account is its source's"),
        pytest.param({"account": None}, {"account": None}, True, id="unknown accounts are not one account"),
        pytest.param({**ACCOUNT, "state": "cancelled"}, ACCOUNT, True, id="withdrawn frees the account's bucket"),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after another"])
async def test_what_may_be_owed_beside_what(
    db: Store, first: dict[str, Any], second: dict[str, Any], both: bool, together: bool
) -> None:
    rows = [owed("1", **first), owed("2", **second)]
    if together:
        new = await db.transact(lambda tx: forwards.owe(tx, rows))
    else:
        new = set()
        for row in rows:
            new |= await db.transact(lambda tx, row=row: forwards.owe(tx, [row]))
    assert new == ({"1", "2"} if both else {"1"})


async def test_what_was_withdrawn_after_it_left_keeps_its_bucket(db: Store) -> None:
    await db.transact(lambda tx: forwards.owe(tx, [owed("1", **PERSON, state="cancelled")]))
    await db.transact(lambda tx: tx.run("UPDATE forwards SET sent = 1"))
    assert await db.transact(lambda tx: forwards.owe(tx, [owed("2", **PERSON)])) == set()


async def test_one_account_has_one_customer(db: Store) -> None:
    row = {"id": "l1", "source": "s", "account": "a", "customer": "ann", "how": "test", "at": 0}
    assert await db.transact(lambda tx: links.add(tx, row))
    assert not await db.transact(lambda tx: links.add(tx, {**row, "id": "l2", "customer": "ben"}))
    assert await db.transact(lambda tx: links.remove(tx, source="s", account="a"))
    assert not await db.transact(lambda tx: links.remove(tx, source="s", account="a"))


async def test_of_a_big_batch_only_what_is_new_is_new(db: Store) -> None:
    """Wide statements are filled in chunks; a duplicate at any place of any chunk hurts nothing beside it."""
    rolled = random.Random(3)
    keys = [str(rolled.randrange(400)) for _ in range(1000)]
    rows = [owed(f"{n:04}", key=key, person=key, account=None) for n, key in enumerate(keys)]
    new: set[str] = set()
    for start in range(0, 1000, 333):
        new |= await db.transact(lambda tx, part=rows[start : start + 333]: forwards.owe(tx, part))
    firsts = {f"{keys.index(key):04}" for key in set(keys)}
    assert new == firsts


# --- leases ----------------------------------------------------------------------------------------------------


async def test_two_that_share_a_seat_or_a_lane_are_never_leased_together(db: Store) -> None:
    rows = [
        owed("1", seat="s1", lane="l1"),
        owed("2", seat="s1", lane="l2"),
        owed("3", seat="s3", lane="l1"),
        owed("4", seat="s4", lane="l4"),
    ]
    await db.transact(lambda tx: forwards.owe(tx, rows))
    leased = await db.transact(lambda tx: forwards.lease(tx, target="t", now=1, until=100, limit=10))
    assert [row["id"] for row in leased] == ["1", "4"]
    parked = {row["id"]: row["parked"] for row in await db.read(lambda tx: forwards.of(tx, ids=["2", "3"]))}
    assert parked == {"2": "s1", "3": "l1"}
    assert await db.transact(lambda tx: forwards.lease(tx, target="t", now=1, until=100, limit=10)) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
async def test_whatever_the_limit_everything_is_leased_or_parked_in_the_end(db: Store, limit: int) -> None:
    rolled = random.Random(limit)
    rows = [owed(f"{n:03}", seat=f"s{rolled.randrange(20)}", lane=f"l{rolled.randrange(30)}") for n in range(120)]
    await db.transact(lambda tx: forwards.owe(tx, rows))
    taken: set[str] = set()
    for _ in range(400):
        leased = await db.transact(lambda tx: forwards.lease(tx, target="t", now=1, until=100, limit=limit))
        taken |= {row["id"] for row in leased}
        assert len(leased) <= limit
        if await db.read(lambda tx: forwards.next_due(tx, target="t")) == 100:
            break
    rows = list(await db.read(lambda tx: tx.rows("SELECT * FROM forwards")))
    assert all((row["id"] in taken) == (row["open"] is not None) for row in rows)
    assert all(row["parked"] or row["open"] for row in rows)
    held = await db.read(lambda tx: tx.rows("SELECT * FROM attempts"))
    assert len({row["seat"] for row in held}) == len(held)
    assert len({row["lane"] for row in held}) == len(held)


# --- five thousand operations ----------------------------------------------------------------------------------

WAIT_RULE = ORDER_RULE.replace('id = "order"', 'id = "later"').replace("send =", 'wait = "1 day"\nsend =')
TWO = FOLLOW_RULE.replace('id = "follow"', 'id = "follow-too"')


async def invariants(house: House, told: set[str]) -> None:
    """What holds after every operation, whatever came before."""
    look = house.bridge.db.read
    for column, still in (("lane", "resolved_at"), ("seat", "ended_at")):
        twice = await look(
            lambda tx, c=column, s=still: tx.rows(
                f"SELECT {c} FROM attempts WHERE {s} IS NULL GROUP BY {c} HAVING count(*) > 1"
            )
        )
        assert list(twice) == []
    lost = await look(
        lambda tx: tx.rows(
            """
            SELECT id, state, reason, wish FROM forwards
            WHERE state IN ('pending', 'accepted') AND due_at IS NULL AND parked IS NULL
            """
        )
    )
    assert [dict(row) for row in lost] == []
    ended = await look(
        lambda tx: tx.rows(
            "SELECT id FROM forwards WHERE state IN ('delivered', 'failed', 'cancelled') AND due_at IS NOT NULL"
        )
    )
    assert list(ended) == []
    for columns in ("rule, send, bucket, person", "rule, send, bucket, source, account"):
        double = await look(
            lambda tx, c=columns: tx.rows(
                f"""
                SELECT {c}, count(*) FROM forwards
                WHERE kind = 'reward' AND (state <> 'cancelled' OR sent = 1) AND account IS NOT NULL
                GROUP BY {c} HAVING count(*) > 1
                """
            )
        )
        assert list(double) == []
    stored = await look(lambda tx: tx.rows("SELECT id FROM deliveries"))
    assert told <= {row["id"] for row in stored}
    orphans = await look(
        lambda tx: tx.rows(
            """
            SELECT evidence.id FROM evidence
            WHERE state = 'considered' AND reason = '' AND undone = 0 AND owner IS NOT NULL
              AND NOT EXISTS (SELECT 1 FROM forwards WHERE forwards.evidence = evidence.id)
              AND NOT EXISTS (SELECT 1 FROM forwards
                              WHERE forwards.source = evidence.source AND forwards.action = evidence.action
                                AND (forwards.account = evidence.account OR forwards.person = evidence.owner))
            """
        )
    )
    assert [row["id"] for row in orphans] == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_thousands_of_operations_in_any_order_keep_the_books(build_house: Builder, seed: int) -> None:
    rolled = random.Random(seed)
    async with build_house(FOLLOW_RULE, TWO, ORDER_RULE, WAIT_RULE, head=HEAD) as house:
        told: set[str] = set()
        paid: Counter[tuple[str, int]] = Counter()

        def progress(asked: Any) -> Any:
            customer = asked.path.split("/customers/")[1].partition("/")[0]
            if rolled.random() < 0.1:
                return rolled.choice([(503, {}), (200, {"odd": True}), httpx2.ReadError("x")])
            terms = {"id": 7, "isRepeatable": True, "type": "SocialMedia"}
            row = {"rewardsCampaignId": 7, "achievedCount": paid[customer, 7], "rewardCampaignConfiguration": terms}
            return 200, [row]

        def pay(asked: Any) -> Any:
            rolled_now = rolled.random()
            if rolled_now < 0.15:
                return rolled.choice([(500, {}), (429, {}), (422, {"code": 4004}), (401, {})])
            paid[asked.json["customerId"], 7] += 1
            if rolled_now < 0.3:
                return rolled.choice([(500, {}), httpx2.ReadTimeout("x"), (200, b"<html>")])
            return 202, {"customerId": "c", "challengeId": 7}

        house.vendor.always("GET", "gameball.test", progress)
        house.vendor.always("POST", "gameball.test", pay)
        house.vendor.always("POST", "hook.test", lambda asked: rolled.choice([200, 200, 200, 500, 429, 422, 503]))

        async def deliver(made: Any) -> None:
            answer = await made
            assert answer.status_code == 200, answer.text
            told.add(answer.json()["delivery"])

        async def operated() -> None:
            rows = await house.forwards()
            if not rows:
                return
            row = rolled.choice(rows)
            verbs = (operate.hold, operate.release, operate.cancel, operate.replay_forward, operate.confirm)
            await house.operate_on(rolled.choice(verbs), row)

        async def resumed() -> None:
            scene = house.bridge.scene("operator:test")
            for name in ("gameball", "hook"):
                await house.bridge.db.transact(lambda tx, n=name: operate.resume(tx, n, scene, "mended"))

        async def relinked(account: str) -> None:
            scene, source = house.bridge.scene("operator:test"), house.bridge.config.sources["twitch"]
            with contextlib.suppress(StoreError):
                await house.bridge.db.transact(lambda tx: operate.unlink(tx, source, account, scene, "test"))

        def one() -> Any:
            number = rolled.randrange(60)
            account = str(rolled.randrange(25))
            customer = {"id": number % 20, "email": None}
            return rolled.choice(
                [
                    lambda: deliver(house.order(number, customer=customer)),
                    lambda: deliver(house.order(number, customer=customer)),
                    lambda: deliver(house.cancel_order(number, customer=customer)),
                    lambda: deliver(house.refund(number, rolled.choice(("5.00", "30.00", "60.00")))),
                    lambda: deliver(house.follow(account)),
                    lambda: deliver(house.follow(account)),
                    lambda: linked(house, f"c{number % 15}", account),
                    lambda: relinked(account),
                    operated,
                    operated,
                    resumed,
                    house.sweep,
                ]
            )()

        for _ in range(100):
            acts = [one() for _ in range(rolled.randrange(1, 50))]
            if rolled.random() < 0.7:
                acts.append(house.work())
            await asyncio.gather(*acts)
            await invariants(house, told)
            house.clock.tick(minutes=rolled.choice((0, 1, 5, 45, 600)))

        # And then everything calms down: no operator, no faults, time enough.
        house.vendor.always("POST", "hook.test", (200, {}))
        house.vendor.always("POST", "gameball.test", (202, {"customerId": "c", "challengeId": 7}))
        for _ in range(60):
            await resumed()
            await house.sweep()
            await house.work()
            house.clock.tick(hours=3)
        await invariants(house, told)
        rows = await house.forwards()
        assert {row["state"] for row in rows} <= {"delivered", "failed", "held", "cancelled"}
        assert all(row["reason"] for row in rows if row["state"] in ("failed", "held", "cancelled"))
        assert (await chain.verify(house.bridge.db)).broken == ""


async def linked(house: House, customer: str, account: str) -> None:
    with contextlib.suppress(StoreError):
        await house.link(customer, account)
