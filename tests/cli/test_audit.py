"""The audit log is verified, and where it breaks is said."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import House

from .conftest import Cli

Fill = Callable[..., None]


async def three_seals(house: House) -> None:
    for order in range(3):
        await house.order(5000 + order)
        await house.order(5100 + order)
        await house.work()
        await house.bridge.chores.each_second(house.bridge.scene("worker"))


def tamper(path: Path, *statements: str) -> None:
    with sqlite3.connect(path / "bridge.db") as db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            db.execute(statement)
    db.close()


def test_a_whole_log(cli: Cli, fill: Fill) -> None:
    fill(three_seals)
    said = cli("audit", "verify", "--json")
    assert said.status == 0
    [row] = said.rows
    assert (row["ok"], row["seals"], row["unsealed"], row["broken"]) == (True, 3, 0, "")
    assert row["entries"] == len(cli("audit", "export").rows)


@pytest.mark.parametrize(
    ("statement", "seal", "entry"),
    [
        ("UPDATE audit SET detail = '{}' WHERE number = 6", 2, 5),
        ("UPDATE audit SET actor = 'nobody' WHERE number = 1", 1, 1),
        ("DELETE FROM audit WHERE number = 7", 2, 7),
        ("DELETE FROM audit WHERE number = 12", 3, 12),
        ("UPDATE seals SET hash = 'x' WHERE number = 2", 2, 5),
        ("DELETE FROM seals WHERE number = 2", 2, 5),
        ("INSERT INTO audit SELECT 20, at, actor, action, object, detail FROM audit WHERE number = 1", None, 13),
    ],
    ids=[
        "an entry was changed",
        "the first entry was changed",
        "an entry is missing",
        "the last entry is missing",
        "a seal was changed",
        "a seal is missing",
        "an entry is missing that no seal covers",
    ],
)
def test_a_broken_log(cli: Cli, fill: Fill, tmp_path: Path, statement: str, seal: int | None, entry: int) -> None:
    fill(three_seals)
    assert cli("audit", "verify", "--json").rows[0]["entries"] == 12
    tamper(tmp_path, statement)
    said = cli("audit", "verify", "--json")
    assert said.status == 1
    assert (said.rows[0]["ok"], said.rows[0]["seal"], said.rows[0]["entry"]) == (False, seal, entry)
    told = cli("audit", "verify")
    assert (told.status, "broken" in told.out) == (1, True)


def test_entries_that_are_not_sealed_yet_are_counted(cli: Cli, fill: Fill) -> None:
    fill(three_seals)
    cli("pause", "hook", "--because", "x")
    said = cli("audit", "verify", "--json")
    assert (said.status, said.rows[0]["unsealed"]) == (0, 1)


def test_the_log_is_exported_oldest_first(cli: Cli, fill: Fill) -> None:
    fill(three_seals)
    rows = cli("audit", "export").rows
    assert [row["id"] for row in rows] == list(range(1, 13))
    table = list(csv.DictReader(io.StringIO(cli("audit", "export", "--format", "csv").out)))
    assert [int(row["id"]) for row in table] == list(range(1, 13))
    assert json.loads(table[0]["detail"]) == rows[0]["detail"]
    assert cli("audit", "export", "--since", "0s").out == ""
    assert cli("audit", "export", "--format", "xml").status == 2


def test_alerts_are_tried(cli: Cli, fill: Fill) -> None:
    fill()
    said = cli("alert", "test")
    assert (said.status, "no [[alert]]" in said.out) == (1, True)
