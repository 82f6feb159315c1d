"""The operators' verbs: each does what it says, once, with its reason in the audit log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import FOLLOW_RULE, ORDER_RULE, House

from .conftest import Cli, one_delivered, one_failed

Fill = Callable[..., None]


def state_of(cli: Cli, id_: str) -> str:
    return next(row["state"] for row in cli("list", "forwards", "--json").rows if row["id"] == id_)


def newest_act(cli: Cli) -> dict[str, object]:
    row = cli("list", "audit", "--limit", "1", "--json").rows[0]
    return {"actor": row["actor"], "action": row["action"], "because": row["detail"].get("because")}


@pytest.mark.parametrize(
    ("verbs", "state", "action"),
    [
        (["hold"], "held", "forward.held"),
        (["hold", "release"], "pending", "forward.released"),
        (["hold", "confirm"], "delivered", "forward.confirmed"),
        (["cancel"], "cancelled", "forward.cancelled"),
    ],
    ids=lambda value: " then ".join(value) if isinstance(value, list) else value,
)
def test_a_verb_over_a_pending_forward(cli: Cli, fill: Fill, verbs: list[str], state: str, action: str) -> None:
    async def order(house: House) -> None:
        await house.order()

    fill(order)
    [row] = cli("list", "forwards", "--json").rows
    for verb in verbs:
        assert cli(verb, row["id"], "--because", "we looked").status == 0
    assert state_of(cli, row["id"]) == state
    assert newest_act(cli) == {"actor": "operator:ann", "action": action, "because": "we looked"}


def test_a_verb_that_does_not_apply_says_why_and_changes_nothing(cli: Cli, fill: Fill) -> None:
    fill(one_delivered)
    [row] = cli("list", "forwards", "--json").rows
    said = cli("release", row["id"], "--because", "x")
    assert said.status == 1
    assert "is delivered; only held ones can be released" in said.out
    assert cli("hold", "fwd_none", "--because", "x").status == 1


@pytest.mark.parametrize(
    "command",
    ["hold fwd_1", "replay fwd_1", "pause hook", "grant order 77", "unlink twitch 1", "reconsider --rule order"],
)
@pytest.mark.parametrize("because", [[], ["--because", "  "]], ids=["absent", "blank"])
def test_without_a_reason_nothing_is_done(cli: Cli, fill: Fill, command: str, because: list[str]) -> None:
    fill()
    said = cli(*command.split(), *because)
    assert (said.status, "--because" in said.err) == (2, True)


def test_replaying_what_failed(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    dry = cli("replay", "--state", "failed", "--dry-run")
    assert "1 would be replayed, 0 skipped." in dry.out
    assert cli("list", "forwards", "--state", "failed", "--json").rows
    said = cli("replay", "--state", "failed", "--target", "hook", "--because", "the customer exists now")
    assert (said.status, "1 replayed, 0 skipped." in said.out) == (0, True)
    [row] = cli("list", "forwards", "--json").rows
    assert (row["state"], row["reason"]) == ("pending", "replayed")
    assert newest_act(cli)["because"] == "the customer exists now"


def test_what_has_not_failed_is_skipped_and_counted(cli: Cli, fill: Fill) -> None:
    fill(one_delivered)
    said = cli("replay", "forwards", "--source", "shop", "--because", "x", "--json")
    assert said.rows[0]["done"] is False
    assert "is delivered" in said.rows[0]["text"]
    assert "0 replayed, 1 skipped." in said.err


def test_replaying_deliveries_owes_nothing_twice(cli: Cli, fill: Fill) -> None:
    fill(one_delivered)
    said = cli("replay", "deliveries", "--source", "shop", "--because", "x")
    assert "1 replayed, 0 skipped." in said.out
    assert "0 forwards owed" in said.out
    assert len(cli("list", "forwards", "--json").rows) == 1


@pytest.mark.parametrize(
    "args", ["", "fwd_1 --state failed", "--rate 0 --state failed"], ids=["nothing", "ids and filters", "no rate"]
)
def test_replay_wants_ids_or_filters(cli: Cli, fill: Fill, args: str) -> None:
    fill()
    assert cli("replay", *args.split(), "--because", "x").status == 2


def test_many_are_walked_page_by_page(cli: Cli, fill: Fill) -> None:
    async def orders(house: House) -> None:
        house.vendor.always("POST", "hook.test", 422)
        for number in range(250):
            await house.order(6000 + number)
        await house.work()

    fill(orders)
    said = cli("replay", "--state", "failed", "--rate", "10000", "--because", "x")
    assert "250 replayed, 0 skipped." in said.out
    assert len(said.out.splitlines()) < 10
    assert cli("list", "forwards", "--state", "failed").out == ""


def test_pausing_and_resuming_a_target(cli: Cli, fill: Fill) -> None:
    fill()
    assert cli("pause", "hook", "--because", "maintenance").status == 0
    assert cli("pause", "hook", "--because", "maintenance").status == 1
    assert cli("resume", "hook", "--because", "done").status == 0
    assert cli("pause", "hok", "--because", "x").status == 2


def test_reconsidering_under_a_new_rule(cli: Cli, fill: Fill) -> None:
    async def orders(house: House) -> None:
        for number in range(3):
            await house.order(7000 + number)

    fill(orders, FOLLOW_RULE)
    fill(None, FOLLOW_RULE, ORDER_RULE)
    dry = cli("reconsider", "--rule", "order", "--dry-run", "--json").rows[0]
    assert (dry["looked_at"], dry["owed"]) == (3, 3)
    assert cli("list", "forwards", "--json").rows == []
    assert cli("list", "audit", "--state", "rule.reconsidered", "--json").rows == []
    said = cli("reconsider", "--rule", "order", "--because", "they deserve it")
    assert "3 forwards owed" in said.out
    assert newest_act(cli)["because"] == "they deserve it"
    assert "0 forwards owed" in cli("reconsider", "--rule", "order", "--because", "again").out


def test_a_dry_run_counts_a_person_once_over_several_pages(cli: Cli, fill: Fill) -> None:
    async def orders(house: House) -> None:
        for number in range(230):
            await house.order(7000 + number)

    once = ORDER_RULE.replace("per subject", "once")
    fill(orders, FOLLOW_RULE)
    fill(None, FOLLOW_RULE, once)
    assert cli("reconsider", "--rule", "order", "--dry-run", "--json").rows[0]["owed"] == 1
    assert "1 forward owed" in cli("reconsider", "--rule", "order", "--because", "x").out


def test_reconsidering_one_rule_leaves_alone_what_waits_under_another(cli: Cli, fill: Fill) -> None:
    async def follow(house: House) -> None:
        await house.follow("1")

    other = FOLLOW_RULE.replace('"follow"', '"other"').replace("send =", "where = \"login == 'nobody'\"\nsend =")
    fill(follow, FOLLOW_RULE)
    fill(None, FOLLOW_RULE, other)
    assert cli("reconsider", "--rule", "other", "--because", "x").status == 0
    [row] = cli("list", "evidence", "--json").rows
    assert row["state"] == "waiting"
    assert cli("link", "ann", "twitch", "1", "--json").rows[0]["forwards"]


def test_goodwill_is_granted_once_unless_it_is_said_again(cli: Cli, fill: Fill) -> None:
    async def known(house: House) -> None:
        await house.link("ann", "1")

    fill(known)
    assert cli("grant", "follow", "ann", "--because", "sorry").status == 0
    said = cli("grant", "follow", "ann", "--because", "sorry")
    assert (said.status, "--again" in said.err) == (1, True)
    assert cli("grant", "follow", "ann", "--again", "--because", "sorry").status == 0
    assert cli("grant", "folow", "ann", "--because", "x").status == 2
    assert cli("grant", "follow", "nobody", "--because", "x").status == 1


def test_linking_considers_what_waited(cli: Cli, fill: Fill) -> None:
    async def follow(house: House) -> None:
        await house.follow("1")

    fill(follow)
    said = cli("link", "ann", "twitch", "1", "--email", "ann@example.com", "--json")
    assert said.rows[0]["new"]
    assert len(said.rows[0]["forwards"]) == 1
    assert cli("link", "ann", "twitch", "1", "--json").rows[0]["new"] is False
    assert cli("link", "bob", "twitch", "1").status == 1
    assert cli("link", "ann", "shop", "77").status == 1
    assert cli("link", "ann", "twitch").status == 2
    assert cli("unlink", "twitch", "1", "--because", "wrong").status == 0
    assert cli("unlink", "twitch", "1", "--because", "wrong").status == 1
    assert cli("list", "forwards", "--json").rows[0]["state"] == "cancelled"


@pytest.mark.parametrize("comma", [",", ";"], ids=["comma", "semicolon"])
def test_importing_links_keeps_the_good_rows_and_names_the_bad(
    cli: Cli, fill: Fill, tmp_path: Path, comma: str
) -> None:
    async def follow(house: House) -> None:
        await house.follow("1")

    fill(follow)
    rows = ["customer,source,account,email,phone", "ann,twitch,1,ann@example.com,+46701234567", "bob,twitch,2,,"]
    rows += ["eve,twitch,1,,", ",twitch,3,,", "", "eve,myspace,4,,", "eve,twitch,5,not an address,"]
    file = tmp_path / "links.csv"
    file.write_text("\n".join(rows).replace(",", comma) + "\n")
    said = cli("link", "--import", file, "--json")
    assert said.status == 1
    assert said.rows == [{"new": 2, "known": 0, "bad": 4, "forwards": 1}]
    assert [line.split(":")[1] for line in said.err.splitlines()] == ["4", "5", "7", "8"]
    again = cli("link", "--import", file, "--json")
    assert again.rows == [{"new": 0, "known": 2, "bad": 4, "forwards": 0}]
    with sqlite3.connect(tmp_path / "bridge.db") as db:
        assert {id_ for (id_,) in db.execute("SELECT id FROM customers")} == {"ann", "bob"}


@pytest.mark.parametrize(
    "words", ["customer,account\nann,1\n", "customer,source,account,colour\n", ""], ids=["missing", "unknown", "empty"]
)
def test_a_file_that_is_no_list_of_links(cli: Cli, fill: Fill, tmp_path: Path, words: str) -> None:
    fill()
    file = tmp_path / "links.csv"
    file.write_text(words)
    said = cli("link", "--import", file)
    assert (said.status, "they are customer, source, account, email, phone" in said.err) == (2, True)
