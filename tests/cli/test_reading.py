"""`list` and `show`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import FOLLOW_RULE, HEAD, House

from .conftest import Cli, one_failed

Fill = Callable[..., None]

EVERY = {"id", "state", "at"}
FIELDS = {
    "deliveries": {"source", "reason", "copies", "received_at", "size"},
    "rejections": {"source", "reason", "detail", "hint", "method", "path", "headers", "size"},
    "evidence": {"source", "action", "account", "customer", "facts", "reason", "delivery", "occurred_at"},
    "links": {"source", "account", "customer", "how"},
    "forwards": {"source", "target", "rule", "customer", "reason", "attempts", "waits_behind", "due_at"},
    "audit": {"actor", "action", "object", "detail"},
}


async def everything(house: House) -> None:
    await one_failed(house)
    await house.link("ann", "1234", email="ann@example.com")
    await house.shop("orders/paid", {"id": 1}, secret="a guess")


@pytest.mark.parametrize("what", FIELDS)
def test_every_row_is_a_json_object_with_the_promised_fields(cli: Cli, fill: Fill, what: str) -> None:
    fill(everything)
    said = cli("list", what, "--json")
    assert said.status == 0
    assert said.rows
    for row in said.rows:
        assert row.keys() >= EVERY | FIELDS[what]
        assert row["at"].endswith("Z")


@pytest.mark.parametrize("what", FIELDS)
def test_a_list_for_people_has_a_line_for_each_row_when_it_is_piped(cli: Cli, fill: Fill, what: str) -> None:
    fill(everything)
    rows = cli("list", what, "--json").rows
    lines = cli("list", what).out.splitlines()
    assert len(lines) == len(rows)
    assert all(str(row["id"]) in line for row, line in zip(rows, lines, strict=True))


def test_customers_are_masked_unless_they_are_to_be_revealed(cli: Cli, fill: Fill) -> None:
    fill(everything)
    [row] = cli("list", "forwards", "--source", "shop", "--json").rows
    assert row["customer"] == {"id": "77", "email": "a***@example.com", "phone": None}
    assert "a***@example.com" in row["reason"]
    [row] = cli("list", "forwards", "--source", "shop", "--json", "--reveal").rows
    assert row["customer"]["email"] == "ann@example.com"


@pytest.mark.parametrize(
    ("args", "count"),
    [
        ("forwards --state failed", 1),
        ("forwards --state pending", 1),
        ("forwards --target hook", 1),
        ("forwards --rule follow", 1),
        ("forwards --customer ann@example.com", 2),
        ("forwards --customer 77", 2),  # the same person as ann, by a verified e-mail
        ("forwards --reason customer", 1),
        ("forwards --since 1h", 2),
        ("forwards --until 1h", 0),
        ("forwards --limit 1", 1),
        ("evidence --customer ann", 2),
        ("deliveries --source twitch", 1),
        ("audit --state link.made", 1),
    ],
)
def test_filters(cli: Cli, fill: Fill, args: str, count: int) -> None:
    fill(everything, head=HEAD.replace("[signing]", '[customers]\nsame_when = ["email"]\n[signing]'))
    said = cli("list", *args.split(), "--json")
    assert len(said.rows) == count, said


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("forwards --state sent", "there is no state sent; forwards are pending"),
        ("links --state made", "--state does not apply to links"),
        ("forwards --by colour", "--by colour does not apply"),
        ("forwards --since noon", "write 9:00, 12h"),
        ("nonsense", "there is no list of nonsense"),
    ],
)
def test_a_filter_that_makes_no_sense_is_wrong_use(cli: Cli, fill: Fill, args: str, words: str) -> None:
    fill()
    said = cli("list", *args.split())
    assert (said.status, words in said.err) == (2, True), said.err


def test_counting_by_a_field(cli: Cli, fill: Fill) -> None:
    fill(everything)
    rows = cli("list", "forwards", "--by", "state", "--json").rows
    assert {row["value"]: row["count"] for row in rows} == {"failed": 1, "pending": 1}


def test_a_list_says_when_there_is_more(cli: Cli, fill: Fill) -> None:
    fill(everything)
    said = cli("list", "forwards", "--limit", "1")
    assert "The newest 1 of 2" in said.err


def test_looking_makes_no_database(cli: Cli, fill: Fill, tmp_path) -> None:
    fill()
    (tmp_path / "bridge.db").unlink()
    for command in ("list forwards", "status", "audit verify"):
        assert cli(*command.split()).status == 0
    assert not (tmp_path / "bridge.db").exists()


def test_looking_needs_neither_bridge_toml_nor_secrets(cli: Cli, fill: Fill, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(everything)
    monkeypatch.delenv("SHOP_SECRET")
    said = cli("list", "forwards", "--json")
    assert len(said.rows) == 2
    assert "SHOP_SECRET" in said.err


def test_the_story_of_a_forward(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    [forward] = cli("list", "forwards", "--json").rows
    parts = cli("show", forward["id"], "--json").rows
    assert [part["what"] for part in parts] == ["delivery", "evidence", "forward", "attempt"]
    assert parts[2]["asked"]
    assert parts[3]["status"] == 422
    assert "a***@example.com" in parts[3]["answer"]
    told = cli("show", forward["id"]).out
    for words in ("delivery from shop", "shop.order_paid by 77", "owed to hook for 77", "attempt 1", "refused 422"):
        assert words in told
    assert f"loyalty-bridge replay {forward['id']}" in told


def test_a_story_begins_anywhere_and_holds_what_operators_did(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    [forward] = cli("list", "forwards", "--json").rows
    cli("cancel", forward["id"], "--because", "a test order")
    [evidence] = cli("list", "evidence", "--source", "shop", "--json").rows
    for start in (evidence["delivery"], evidence["id"], forward["id"], forward["id"][:20]):
        told = cli("show", start).out
        assert forward["id"] in told
        assert '"a test order"' in told
        assert "operator:ann" in told


def test_the_story_of_a_refusal_and_of_a_link(cli: Cli, fill: Fill) -> None:
    fill(everything)
    [refused] = cli("list", "rejections", "--json").rows
    assert "bad_signature" in cli("show", refused["id"]).out
    assert cli("show", refused["id"], "--http").status == 1
    [link] = cli("list", "links", "--json").rows
    assert "1234 at twitch" in cli("show", link["id"]).out


def test_an_id_that_is_none(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    assert cli("show", "fwd_nothing").status == 1
    said = cli("show", "del_")
    assert (said.status, "several" in said.err) == (1, True)
    assert "begin with del_" in cli("show", "5001").err


def test_a_parked_forward_says_whom_it_waits_behind(cli: Cli, fill: Fill) -> None:
    async def two(house: House) -> None:
        house.vendor.answers("POST", "gameball.test", 500)
        await house.link("ann", "1")
        await house.follow("1")
        await house.work()
        house.clock.tick(seconds=10)  # the breaker lets one through
        await house.twitch("channel.subscribe", {"user_id": "1", "broadcaster_user_id": "1337", "tier": "1000"})
        await house.work()

    fill(two, FOLLOW_RULE, FOLLOW_RULE.replace('"follow"', '"sub"').replace("twitch.follow", "twitch.subscribe"))
    second, first = cli("list", "forwards", "--json").rows
    assert second["waits_behind"] == first["id"]
    assert f"waits behind {first['id']}" in cli("show", second["id"]).out


def test_the_request_byte_for_byte(cli: Cli, fill: Fill) -> None:
    fill(one_failed)
    [delivery] = cli("list", "deliveries", "--source", "shop", "--json").rows
    head, _, body = cli("show", delivery["id"], "--http").out.partition("\n\n")
    assert head.startswith("POST /webhooks/shop HTTP/1.1\n")
    assert len(body) == delivery["size"]
