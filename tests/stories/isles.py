"""A platform that is many servers, as plugins bring them: each must be found, and knows us only after we register."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bridge.kit import (
    Account,
    Action,
    Answer,
    Ask,
    Check,
    Evidence,
    Here,
    Home,
    HomeUnknown,
    OAuth,
    Request,
    Server,
    Settings,
    Source,
    Talk,
    Tokens,
    Unavailable,
)


def read(typed: str) -> str:
    host = typed.lower().removeprefix("https://").rstrip("/")
    if not host.endswith(".test") or "/" in host:
        raise HomeUnknown()
    return host


def discover(home: str, here: Here, settings: Settings) -> Talk[Server]:
    response = yield Request("GET", f"https://{home}/.well-known")
    if response.status != 200:
        raise Unavailable(f"answered {response.status}")
    return Server(
        authorize_url=f"https://{home}/authorize", token_url=f"https://{home}/token", issuer=f"https://{home}"
    )


def register(server: Server, here: Here, settings: Settings) -> Talk[Server]:
    response = yield Request("POST", f"{server.issuer}/apps", json={"redirect_uri": here.redirect_uri})
    told = response.object()
    return replace(server, client_id=told["client_id"], client_secret=told["client_secret"])


def whoami(tokens: Tokens, settings: Settings) -> Talk[Account]:
    assert tokens.server is not None
    response = yield Request("GET", f"{tokens.server.issuer}/me", headers=tokens.bearer)
    return Account(id=f"{response.object()['id']}@{tokens.server.home}", handle=response.object()["id"])


def follow(ask: Ask) -> Talk[Answer]:
    name, _, home = ask.account.id.rpartition("@")
    response = yield Request("GET", f"https://{home}/follows/{name}")
    match response.object():
        case {"requested": True}:
            return Answer("pending")
        case {"following": True}:
            key = f"follow:{ask.account.id}"
            return Answer("verified", evidence=Evidence(action="follow", key=key, account=ask.account.id))
    return Answer("not_found") if response.status == 200 else Answer("unknown", obstacle="busy")


def document(here: Here, settings: Settings) -> Any:
    return {"client_id": here.document_url, "redirect_uris": [here.redirect_uri], "client_name": here.name}


source = Source(
    name="isles",
    title="Isles",
    docs="https://isles.test/docs",
    actions={"follow": Action("Follows your account")},
    settings=(),
    oauth=OAuth(needs=(), home=Home(kind="server", read=read), discover=discover, register=register, document=document),
    whoami=whoami,
    checks={"follow": Check(brand=follow)},
)
