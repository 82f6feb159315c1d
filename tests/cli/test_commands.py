"""Every command of the contract is there, has help, and says so when it is not in this version."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from bridge.app import VERSION

from .conftest import Cli

BUILT = [
    ("serve", "--config", "--host", "--port", "--no-worker"),
    ("work", "--config"),
    ("demo", "--host", "--port"),
    ("key",),
    ("init", "--source", "--target", "--force"),
    ("providers", "--json"),
    ("setup", "--dry-run", "--json"),
    ("check", "--live"),
    ("try", "--now", "--save", "--all"),
    ("send", "--set", "--customer", "--times", "--to"),
    ("status", "--since", "--json"),
    ("why", "--json"),
    ("list", "--state", "--source", "--target", "--rule", "--customer", "--reason", "--since", "--until", "--limit"),
    ("list", "--by", "--json"),
    ("show", "--http", "--json"),
    ("replay", "--dry-run", "--rate", "--because", "--state", "--since"),
    ("hold", "--because"),
    ("release", "--because"),
    ("confirm", "--because"),
    ("cancel", "--because"),
    ("reconsider", "--rule", "--since", "--dry-run", "--because"),
    ("grant", "--again", "--because"),
    ("pause", "--because"),
    ("resume", "--because"),
    ("link", "--email", "--phone", "--import"),
    ("unlink", "--because"),
    ("ticket", "--email", "--phone", "--return-to", "--expires", "--import", "--json"),
    ("approve", "--because"),
    ("refuse", "--because"),
    ("rotate-key", "--json"),
    ("audit verify", "--json"),
    ("audit export", "--format", "--since"),
    ("alert test",),
    ("tail", "--json"),
]  # fmt: skip
LATER = [
    "token create ci --role viewer",
    "token list",
    "user add ann",
    "erase ann",
    "prune",
    "backup file.db",
    "migrate-to postgresql://host/db",
]


@pytest.mark.parametrize("command", BUILT, ids=lambda command: command[0])
def test_a_command_of_the_contract_has_its_options_and_a_sentence_of_help(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    name, *options = command
    said = cli(*name.split(), "--help")
    assert said.status == 0
    for option in (*options, "--env-file", "--config"):
        assert option in said.out
    sentence = said.out.split("\n")[3].strip()
    assert sentence[0].isupper()
    assert sentence.endswith(".")


@pytest.mark.parametrize("command", LATER)
def test_what_is_not_in_this_version_says_so(cli: Cli, command: str) -> None:
    said = cli(*command.split())
    assert said.status == 2
    assert "not in this version" in said.err
    assert said.out == ""


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"loyalty-bridge {VERSION}\n"


@pytest.mark.parametrize("args", ["nonsense", "list forwards --colour red", "list nonsense", "show", "hold"])
def test_wrong_use_is_status_2(cli: Cli, args: str) -> None:
    assert cli(*args.split()).status == 2


def test_help_is_quick_and_python_m_bridge_is_the_same_command() -> None:
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "bridge", "--help"], capture_output=True, check=True, text=True)
        best = min(best, time.perf_counter() - start)
    assert "loyalty-bridge" in done.stdout
    assert best < 2, "heavy modules are imported where they are needed, not before"


def test_keys_are_new_each_time(cli: Cli) -> None:
    first, second = cli("key"), cli("key")
    assert first.out != second.out
    assert len(first.out.strip()) == 44
