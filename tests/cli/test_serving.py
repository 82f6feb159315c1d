"""The real command in a process of its own: `serve` and those who talk to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FOLLOW_RULE, HEAD, ORDER_RULE, SECRETS


class Machine:
    """A directory with a bridge.toml, and the command in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "bridge.toml").write_text(HEAD + FOLLOW_RULE + ORDER_RULE)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        self.env = {**kept, **SECRETS, "BRIDGE_CONFIG": "bridge.toml", "BRIDGE_SECRET_KEY": "test"}
        self.env["PYTHONPATH"] = str(Path(__file__).parents[2])
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        made = subprocess.Popen(
            [sys.executable, "-u", "-m", "bridge", *args],
            cwd=self.home,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(made)
        return made

    def run(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        made = self.start(*args, **env)
        out, err = made.communicate(timeout=60)
        return subprocess.CompletedProcess(args, made.returncode, out, err)

    def rows(self, *args: str) -> list[Any]:
        return [json.loads(line) for line in self.run(*args, "--json").stdout.splitlines()]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    yield made
    for process in made.running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_serve_receives_what_send_sends_and_hears_what_operators_do(machine: Machine) -> None:
    serving = machine.start("serve", "--port", "0", "--no-worker")
    address = first_line(serving).removeprefix("listening on ")
    assert address.startswith("http://127.0.0.1:")
    sent = machine.rows("send", "shop", "order_paid", "--set", "total=60", "--customer", "77", "--to", address)
    assert (sent[0]["status"], sent[0]["answer"]["status"]) == (200, "accepted")
    twice = machine.rows("send", "twitch", "follow", "--customer", "1234", "--times", "2", "--to", address)
    assert [one["answer"]["status"] for one in twice] == ["accepted", "duplicate"]
    assert machine.rows("why", "77")[1]["result"] == "on its way"
    assert machine.run("link", "ann", "twitch", "1234").returncode == 0
    assert len(machine.rows("list", "forwards")) == 2
    serving.send_signal(signal.SIGTERM)
    out, err = serving.communicate(timeout=20)
    assert (serving.returncode, out) == (0, "")
    assert [json.loads(line)["event"] for line in err.splitlines()][-1] == "stopped"


def test_send_without_anybody_there(machine: Machine) -> None:
    said = machine.run("send", "twitch", "follow", "--to", "http://127.0.0.1:9")
    assert (said.returncode, "loyalty-bridge serve" in said.stderr) == (1, True)
    assert machine.run("send", "twitch", "wave").returncode == 2
    assert machine.run("send", "twitch", "cheer", "--set", "bits=many").returncode == 2


def test_serve_refuses_to_start_without_a_key_and_with_a_wrong_configuration(machine: Machine) -> None:
    said = machine.run("serve", BRIDGE_SECRET_KEY="")
    assert (said.returncode, "`loyalty-bridge key` prints one" in said.stderr) == (2, True)
    said = machine.run("serve", TWITCH_SECRET="", SHOP_SECRET="")
    assert said.returncode == 2
    assert len(said.stderr.splitlines()) == 2
    assert said.stdout == ""


def test_a_taken_port_is_an_error_at_once(machine: Machine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = machine.run("serve", "--port", str(taken.getsockname()[1]))
    assert (said.returncode, "is taken by another process" in said.stderr) == (2, True)


def test_whoever_stops_reading_has_seen_enough(machine: Machine) -> None:
    shown = machine.start("providers", "--json")
    assert shown.stdout is not None
    shown.stdout.close()
    assert shown.stderr is not None
    assert shown.stderr.read() == ""
    shown.wait(timeout=20)


def test_tail_follows_what_happens(machine: Machine) -> None:
    machine.run("pause", "hook", "--because", "so that there is a database")
    tailing = machine.start("tail", "--json")
    serving = machine.start("serve", "--port", "0", "--no-worker")
    address = first_line(serving).removeprefix("listening on ")
    time.sleep(0.5)
    machine.run("send", "shop", "order_paid", "--set", "total=60", "--to", address)
    assert tailing.stdout is not None
    seen = [json.loads(tailing.stdout.readline())["what"] for _ in range(3)]
    assert seen == ["deliveries", "evidence", "forwards"]
    tailing.send_signal(signal.SIGINT)
    assert tailing.wait(timeout=20) == 130


def test_replay_can_be_interrupted_and_goes_on(machine: Machine) -> None:
    serving = machine.start("serve", "--port", "0", "--no-worker")
    address = first_line(serving).removeprefix("listening on ")
    for total in ("60", "61", "62"):
        machine.run("send", "shop", "order_paid", "--set", f"total={total}", "--to", address)
    slow = machine.start("replay", "deliveries", "--source", "shop", "--rate", "0.5", "--because", "x", "--json")
    first_line(slow)
    slow.send_signal(signal.SIGINT)
    _, err = slow.communicate(timeout=20)
    assert (slow.returncode, "Interrupted" in err) == (130, True), err
    assert (
        "3 replayed" in machine.run("replay", "deliveries", "--source", "shop", "--rate", "50", "--because", "x").stdout
    )
