"""`try`: recorded requests run through without consequences."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE

from .conftest import Cli, one_failed

Fill = Callable[..., None]
VECTORS = Path(__file__).parent.parent / "vectors"


@pytest.fixture
def follow(tmp_path: Path) -> Path:
    """A recorded follow with its .json."""
    for end in ("http", "json"):
        shutil.copy(VECTORS / f"twitch/follow.{end}", tmp_path)
    return tmp_path / "follow.http"


def change(file: Path, **values: object) -> None:
    beside = file.with_suffix(".json")
    beside.write_text(json.dumps({**json.loads(beside.read_text()), **values}))


@pytest.mark.parametrize("provider", ["twitch", "shopify", "standard"])
def test_every_vector_means_what_its_json_says(cli: Cli, provider: str) -> None:
    said = cli("try", "--all", VECTORS / provider, "--json")
    assert said.status == 0, [row for row in said.rows if not row["ok"]]
    assert len(said.rows) == len(list((VECTORS / provider).glob("*.http")))


def test_each_step_is_told(cli: Cli, follow: Path) -> None:
    Path("bridge.toml").write_text(HEAD + FOLLOW_RULE)
    said = cli("try", "twitch", follow)
    assert said.status == 0
    for words in (
        "the signature fits",
        "follow by 1234 on 1337, known by 1337:1234",
        "follow: owed to gameball; challenge_id 7",
        "as its .json says",
    ):
        assert words in said.out
    assert not Path("bridge.db").exists()


def test_what_means_something_else_than_its_json_says_is_status_1(cli: Cli, follow: Path) -> None:
    change(follow, evidence=[])
    said = cli("try", "twitch", follow)
    assert (said.status, "differs" in said.out) == (1, True)
    assert cli("try", "--all", follow.parent / "..").status in (1, 2)


def test_a_refusal_is_status_1_with_its_reason(cli: Cli, follow: Path) -> None:
    said = cli("try", "twitch", follow, "--now", "2030-01-01")
    assert (said.status, "stale" in said.out) == (1, True)
    change(follow, settings={"webhook_secret": ["another key for tests"]})
    said = cli("try", "twitch", follow)
    assert (said.status, "bad_signature" in said.out) == (1, True)


def test_a_refusal_that_was_foretold_is_right(cli: Cli) -> None:
    said = cli("try", "twitch", VECTORS / "twitch/follow-forged.http")
    assert (said.status, "as its .json says" in said.out) == (0, True)


def test_what_the_bridge_received_can_be_tried_and_kept(cli: Cli, fill: Fill) -> None:
    fill(one_failed, ORDER_RULE, FOLLOW_RULE)
    [delivery] = cli("list", "deliveries", "--source", "shop", "--json").rows
    Path("order.http").write_text(cli("show", delivery["id"], "--http").out)
    said = cli("try", "shop", "order.http", "--save", "an-order")
    assert said.status == 0
    assert "order: owed to hook; event 'order', data {'total': 60.0}" in said.out
    kept = json.loads(Path("an-order.json").read_text())
    assert kept["evidence"][0]["facts"]["total"] == 60.0
    assert "shop-client-secret" not in Path("an-order.json").read_text() + Path("an-order.http").read_text()
    said = cli("try", "shop", "an-order.http")
    assert (said.status, "as its .json says" in said.out) == (0, True)
    assert cli("try", "shop", "order.http", "--save", "an-order").status == 2


@pytest.mark.parametrize("words", ["", "no request line\n\n", "POST /webhooks/twitch HTTP/1.1\nno colon\n\n{}"])
def test_a_file_that_is_no_recording(cli: Cli, words: str) -> None:
    Path("bridge.toml").write_text(HEAD + FOLLOW_RULE)
    Path("bad.http").write_text(words)
    assert cli("try", "twitch", "bad.http").status == 2


@pytest.mark.parametrize("args", ["", "twitch", "twitch none.http", "myspace follow.http", "--all nowhere"])
def test_wrong_use(cli: Cli, follow: Path, args: str) -> None:
    Path("bridge.toml").write_text(HEAD + FOLLOW_RULE)
    assert cli("try", *args.split()).status == 2
