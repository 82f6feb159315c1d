"""Signed links from the command line, claims that a person decides, and a new key over everything sealed."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bridge.flows.rotate import rotate
from bridge.kit.tickets import read
from bridge.store import sealed
from bridge.vault import Vault
from tests.conftest import FOLLOW_RULE, Builder
from tests.stories.customers import CONNECT, TICKETS, Platform, visiting

from .conftest import Cli


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from tests.conftest import SECRETS

    for name, value in {**SECRETS, **TICKETS}.items():
        monkeypatch.setenv(name, value)
    file = tmp_path / "shop.toml"
    file.write_text(CONNECT + FOLLOW_RULE)
    return file


def test_a_ticket_is_one_that_the_door_reads(cli: Cli, shop: Path) -> None:
    back = "https://shop.example.com/points"
    said = cli("ticket", "c-1", "twitch.follow", "--email", "a@b.se", "--return-to", back, "--config", str(shop))
    assert said.status == 0, said.err
    url = urlsplit(said.out.strip())
    assert url.path == "/connect/twitch/follow"
    from bridge.app import clock

    ticket = read(url.query, [TICKETS["TICKET_SECRET"]], "twitch.follow", clock())
    assert (ticket.customer, ticket.email, ticket.return_to) == ("c-1", "a@b.se", back)
    assert ticket.expires is not None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("c-1", "twitch.dance"), "nobody can prove"),
        (("c-1", "twitch.follow", "--return-to", "https://evil.example/"), "return_to"),
        (("c-1", "twitch.follow", "--expires", "soon"), "--expires"),
        ((" ", "twitch.follow"), "customer"),
        (("c-1",), "write:"),
    ],
)
def test_what_cannot_be_signed_says_why(cli: Cli, shop: Path, words: tuple[str, ...], why: str) -> None:
    said = cli("ticket", *words, "--config", str(shop))
    assert (said.status, said.out) == (2, "")
    assert why in said.err


def test_thousands_from_a_file(cli: Cli, shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    rows = "".join(f"c-{number};twitch.follow\n" for number in range(1000))
    file.write_text(f"customer;action\n{rows}c-bad;twitch.dance\n")
    said = cli("ticket", "--import", str(file), "--json", "--config", str(shop))
    assert said.status == 1
    told = [json.loads(line) for line in said.out.splitlines()]
    assert len({one["url"] for one in told}) == 1000
    assert f"{file}:1002" in said.err


async def test_a_new_key_opens_everything_and_the_old_one_can_go(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house:
        Platform(house.vendor)
        async with visiting(house) as ann:
            await ann.connect()
            await ann.begin()
        before = [dict(row) for row in await house.rows("grants")]
        both = Vault(("new", "test"))
        done = await rotate(house.bridge.db, both, house.bridge.scene("operator:test"))
        assert (done.lost, done.done) == (0, 3)  # the account, its permission, the second sign-in
        fresh = Vault(("new",))
        [grant] = await house.rows("grants")
        assert grant["sealed"] != before[0]["sealed"]
        assert "access-1234" in str(fresh.open(grant["sealed"]))
        gone = await rotate(house.bridge.db, Vault(("another",)), house.bridge.scene("operator:test"))
        assert gone.lost == 3


async def test_no_sealed_column_is_forgotten(build_house: Builder) -> None:
    async with build_house() as house:
        tables = {row["name"] for row in await house.rows("sqlite_master", "type = 'table'")}
        found = set()
        for table in tables:
            for column in await house.bridge.db.read(
                lambda tx, table=table: tx.rows(f"SELECT name FROM pragma_table_info('{table}')")  # type: ignore[misc]
            ):
                if column["name"] in ("sealed", "about", "given"):
                    found.add((table, column["name"]))
        assert found == {(table, column) for table, _, column in sealed.PLACES}


async def test_claims_are_listed_shown_and_told_of(build_house: Builder) -> None:
    from bridge.flows import morning, report, story, why

    rule = FOLLOW_RULE.replace("send =", 'review = "always"\nsend =')
    async with build_house(rule, head=CONNECT, variables=TICKETS) as house:
        platform = Platform(house.vendor, follows={"1234"})
        async with visiting(house) as ann:
            page = await ann.connect()
        assert platform.revoked or await house.rows("grants")
        db, config, now = house.bridge.db, house.bridge.config, house.now_ms
        [row] = await db.read(lambda tx: report.listing(tx, "claims", {"state": "review"}, limit=10))
        assert (row["number"], row["customer"]["id"], row["handle"]) == (page["number"], "c-ann", "ann")
        assert await db.read(lambda tx: report.claim(tx, page["number"].lower())) == row["id"]
        told = await db.read(lambda tx: story.story(tx, row["id"], config))
        assert told[0]["what"] == "claim"
        assert "evidence" in {one["what"] for one in told}
        groups = await db.read(lambda tx: morning.status(tx, config, now=now))
        assert [(one["kind"], one["person"], one["count"]) for one in groups if one["kind"] == "review"] == [
            ("review", True, 1)
        ]
        for name in ("c-ann", page["number"], row["id"]):
            who, [judged] = await db.read(lambda tx, name=name: why.why(tx, name, config, now=house.clock.now))  # type: ignore[misc]
            assert judged["result"] == "in review"
            assert who["claims"][0]["id"] == row["id"]
