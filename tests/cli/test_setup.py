"""`init`, `providers`, `check`: from nothing to a configuration that is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from providers import SOURCES, TARGETS
from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE

from .conftest import Cli, one_delivered

Fill = Callable[..., None]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_check_finds_nothing_wrong_with_what_init_writes_but_unset_variables(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, source: str, target: str
) -> None:
    assert cli("init", "house", "--source", source, "--target", target).status == 0
    for name in ("SIGNING_SECRET", "WEBHOOK_SECRET", "GAMEBALL_API_KEY", "GAMEBALL_SECRET_KEY"):
        monkeypatch.delenv(name)
    said = cli("check", "--config", "house/bridge.toml", "--json")
    assert said.status == 2
    assert all("is read from the environment variable" in row["text"] for row in said.rows), said.out
    named = {line.partition("=")[0] for line in Path("house/.env.example").read_text().splitlines() if "=" in line}
    asked = {row["text"].split("environment variable ")[1].partition(",")[0] for row in said.rows}
    assert asked <= named


def test_everything_at_once_can_be_chosen(cli: Cli) -> None:
    args = [word for name in SOURCES for word in ("--source", name)]
    args += [word for name in TARGETS for word in ("--target", name)]
    said = cli("init", "house", *args, "--public-url", "https://points.example.org/")
    assert said.status == 0
    assert "https://points.example.org/webhooks/twitch" in said.out
    rows = cli("check", "--config", "house/bridge.toml", "--json").rows
    assert all("environment variable" in row["text"] for row in rows), rows


def test_init_overwrites_nothing_unless_it_is_told_to(cli: Cli) -> None:
    args = ("init", "house", "--source", "twitch", "--target", "webhook")
    cli(*args)
    Path("house/bridge.toml").write_text("# mine")
    said = cli(*args)
    assert (said.status, "--force" in said.err) == (2, True)
    assert Path("house/bridge.toml").read_text() == "# mine"
    assert cli(*args, "--force").status == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--target", "webhook"], "say --source at least once"),
        (["--source", "twitch"], "say --target at least once"),
        (["--source", "twich", "--target", "webhook"], "did you mean twitch?"),
    ],
)
def test_init_says_what_it_needs(cli: Cli, args: list[str], words: str) -> None:
    said = cli("init", *args)
    assert (said.status, words in said.err) == (2, True)
    assert not Path("config").exists()


def test_providers_are_listed_and_told(cli: Cli) -> None:
    assert {row["name"] for row in cli("providers", "--json").rows} == {*SOURCES, *TARGETS}
    told = cli("providers", "twitch").out
    for words in ("twitch.follow", "login", "broadcaster_token", "Forbidden: Bits", "/webhooks/twitch"):
        assert words in told
    assert "challenge_id" in cli("providers", "gameball").out
    assert cli("providers", "twich").status == 2


def test_check_says_in_words_what_it_understood(cli: Cli, tmp_path: Path) -> None:
    wait = '\nwait = "24 hours"\nsend ='
    asked = HEAD.replace("[source.shop]", 'client_id = "x"\nbroadcaster_token = "env:TWITCH_SECRET"\n[source.shop]')
    rules = FOLLOW_RULE.replace("send =", wait) + ORDER_RULE.replace("send =", "until = 2027-12-31" + wait)
    (tmp_path / "bridge.toml").write_text(asked + rules)
    said = cli("check")
    assert said.status == 0, said.err
    for words in (
        "Whoever follows your channel (twitch.follow) earns a call to gameball with challenge_id 7.",
        "Twitch is asked again then",
        "where total >= 50.0,",
        "cannot be asked again: what the source said until then decides.",
        "once for each subject",
        "to the end of 2027-12-31",
        "https://rewards.example.com/webhooks/twitch",
    ):
        assert words in said.out


def test_check_reports_every_fault_at_once(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(HEAD + ORDER_RULE.replace("total >=", "totl >=") + '[[rule]]\nid = "x"\n')
    said = cli("check")
    assert said.status == 2
    assert "did you mean total?" in said.err
    assert "a rule needs when" in said.err
    assert "a rule needs send" in said.err
    assert cli("check", "--config", "nowhere.toml").status == 2


def test_check_misses_a_rule_that_has_paid(cli: Cli, fill: Fill, tmp_path: Path) -> None:
    fill(one_delivered)
    (tmp_path / "bridge.toml").write_text(HEAD + FOLLOW_RULE)
    said = cli("check")
    assert (said.status, "the rule order has paid and is gone" in said.err) == (2, True)


def test_check_live_asks_the_loyalty_apis(cli: Cli) -> None:
    Path("bridge.toml").write_text(HEAD.replace("https://gameball.test", "http://127.0.0.1:9") + FOLLOW_RULE)
    said = cli("check", "--live")
    assert said.status == 1
    assert "gameball  http://127.0.0.1:9 cannot be reached" in said.out
    assert "hook  cannot be asked without sending something" in said.out


def test_an_env_file_adds_what_the_environment_does_not_set(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("bridge.toml").write_text(HEAD + FOLLOW_RULE)
    monkeypatch.delenv("TWITCH_SECRET")
    assert cli("check").status == 2
    Path("more.env").write_text("TWITCH_SECRET='from the file, at least ten'\n")
    assert cli("check", "--env-file", "more.env").status == 0
    assert cli("check", "--env-file", "none.env").status == 2


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:geheim@h/db", "this version takes"),
        ("sqlite:////nowhere/at/all/bridge.db", "there is no directory"),
    ],
)
def test_a_database_that_cannot_be(cli: Cli, monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    Path("bridge.toml").write_text(HEAD + FOLLOW_RULE)
    monkeypatch.setenv("BRIDGE_DATABASE_URL", url)
    said = cli("status")
    assert (said.status, words in said.err) == (2, True)
    assert "geheim" not in said.err
