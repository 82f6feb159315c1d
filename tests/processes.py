"""Real bridges for tests: `serve` and `work` as processes of their own, over one folder with a file and a database."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import SECRETS

ROOT = Path(__file__).resolve().parents[1]

SOURCES = """
public_url = "https://rewards.example.com"
allow_private_networks = true
[signing]
secret = ["env:SIGNING_SECRET"]
[source.twitch]
webhook_secret = ["env:TWITCH_SECRET"]
[source.shop]
provider = "shopify"
webhook_secret = "env:SHOP_SECRET"
"""

HOOK = """
[target.hook]
provider = "webhook"
url = "{url}/in"
secret = "env:WEBHOOK_SECRET"
per_second = 1000
timeout = "1 second"
[[rule]]
id = "order"
when = "shop.order_paid"
limit = "per subject"
send = {{ to = "hook", event = "order", data = {{ total = "=total" }} }}
"""

GAMEBALL = """
[target.gameball]
base_url = "{url}"
api_key = "env:GAMEBALL_API_KEY"
secret_key = "env:GAMEBALL_SECRET_KEY"
per_second = 1000
timeout = "1 second"
reconcile_after = "2 seconds"
[[rule]]
id = "follow"
when = "twitch.follow"
send = {{ to = "gameball", challenge_id = 7 }}
"""


class Folder:
    """Where a bridge lives: its file, its database, its environment."""

    def __init__(self, path: Path, toml: str) -> None:
        self.path, self.toml, self.database = path, path / "bridge.toml", path / "bridge.db"
        self.toml.write_text(toml)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
        return {
            **kept,
            **SECRETS,
            "BRIDGE_CONFIG": str(self.toml),
            "BRIDGE_DATABASE_URL": f"sqlite:///{self.database}",
            "BRIDGE_SECRET_KEY": "test",
            "BRIDGE_LOG": "warning",
        }

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """What another process sees in the database."""
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]

    def run(self, sql: str, *values: Any) -> None:
        with contextlib.closing(sqlite3.connect(self.database, timeout=20)) as connection, connection:
            connection.execute(sql, values)

    def log(self, name: str = "serve") -> str:
        return (self.path / f"{name}.log").read_text("utf-8", "replace")


class Bridge:
    """One running process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process, self.port = process, port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would: nothing is flushed, nothing is told."""
        self.process.kill()
        self.process.wait(10)

    def end(self, within: float = 20) -> int:
        """SIGTERM; the exit status."""
        self.process.terminate()
        return self.process.wait(within)

    def memory(self) -> int:
        """Resident bytes; 0 where the system does not tell."""
        if not Path("/proc/self/status").exists():
            return 0
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


def start(folder: Folder, *arguments: str, log: str = "serve", limit: int = 0) -> Bridge:
    """Start a bridge and wait until it says that it is there. `limit`: no file may grow beyond so many bytes."""
    command = [sys.executable, "-m", "bridge", *(arguments or ("serve", "--port", "0"))]
    if limit:
        # In a wrapper and not in preexec_fn, which is not safe beside threads.
        wrapper = (
            "import os, resource, sys; n = int(sys.argv[1]);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (n, resource.RLIM_INFINITY));"
            "os.execv(sys.argv[2], sys.argv[2:])"
        )
        command = [sys.executable, "-c", wrapper, str(limit), *command]
    with (folder.path / f"{log}.log").open("ab") as errors:
        process = subprocess.Popen(
            command, env=folder.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL
        )
    assert process.stdout is not None
    with process.stdout as said:
        ready, _, _ = select.select([said], [], [], 20)
        line = said.readline().decode() if ready else ""
    if not line:
        process.kill()
        process.wait(10)
        raise AssertionError(f"it did not start: {folder.log(log)[-2000:]}")
    return Bridge(process, int(line.rsplit(":", 1)[1]) if "http" in line else 0)


@contextlib.contextmanager
def running(folder: Folder, *arguments: str, log: str = "serve", limit: int = 0) -> Iterator[Bridge]:
    """A bridge until the block ends."""
    bridge = start(folder, *arguments, log=log, limit=limit)
    try:
        yield bridge
    finally:
        if bridge.alive:
            bridge.signal(signal.SIGTERM)
            try:
                bridge.process.wait(20)
            except subprocess.TimeoutExpired:
                bridge.kill()


@contextlib.asynccontextmanager
async def sender() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=15, trust_env=False) as client:
        yield client


def order(number: int, customer: object = None, **changes: Any) -> tuple[dict[str, str], bytes]:
    """A signed order of a shop."""
    at = datetime.now(UTC).isoformat()
    body = json.dumps(
        {
            "id": number,
            "name": f"#{number}",
            "financial_status": "paid",
            "test": False,
            "currency": "EUR",
            "total_price": "60.00",
            "subtotal_price": "55.00",
            "processed_at": at,
            "created_at": at,
            "cancelled_at": None,
            "customer": {"id": number if customer is None else customer, "email": None},
            "line_items": [{"quantity": 1}],
            "discount_codes": [],
            **changes,
        }
    ).encode()
    return shop_headers(body, f"hook-{number}"), body


def shop_headers(body: bytes, name: str = "hook-1") -> dict[str, str]:
    mac = hmac.digest(SECRETS["SHOP_SECRET"].encode(), body, "sha256")
    return {
        "content-type": "application/json",
        "x-shopify-topic": "orders/paid",
        "x-shopify-shop-domain": "example.myshopify.com",
        "x-shopify-webhook-id": name,
        "x-shopify-hmac-sha256": base64.b64encode(mac).decode(),
    }


def follow(account: str) -> tuple[dict[str, str], bytes]:
    """A signed follow, told for the first time now."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    body = json.dumps(
        {
            "subscription": {"id": "s1", "type": "channel.follow", "version": "2", "status": "enabled"},
            "event": {
                "user_id": account,
                "user_login": f"user{account}",
                "broadcaster_user_id": "1337",
                "followed_at": at,
            },
        }
    ).encode()
    message = f"follow-{account}"
    mac = hmac.new(SECRETS["TWITCH_SECRET"].encode(), message.encode() + at.encode() + body, hashlib.sha256).hexdigest()
    return {
        "content-type": "application/json",
        "twitch-eventsub-message-id": message,
        "twitch-eventsub-message-timestamp": at,
        "twitch-eventsub-message-type": "notification",
        "twitch-eventsub-message-signature": f"sha256={mac}",
    }, body


def link_accounts(folder: Folder, accounts: Mapping[str, str]) -> None:
    """Account -> customer, in the file: as an import on the command line does."""
    with contextlib.closing(sqlite3.connect(folder.database, timeout=20)) as connection, connection:
        connection.executemany(
            "INSERT INTO customers (id, person, at) VALUES (:id, :id, 0) ON CONFLICT DO NOTHING",
            [{"id": customer} for customer in accounts.values()],
        )
        connection.executemany(
            "INSERT INTO links (id, source, account, customer, how, linked_at, at) "
            "VALUES (?, 'twitch', ?, ?, 't', 0, 0)",
            [(f"lnk_{account}", account, customer) for account, customer in accounts.items()],
        )


def until(condition: Any, within: float = 10, every: float = 0.02) -> bool:
    """Wait for something in another process."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(every)
    return bool(condition())
