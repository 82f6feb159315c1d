"""`setup`: the brand's sign-in, the webhooks, and what is left for a person."""

from __future__ import annotations

import json
import secrets
import sys
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from .doors import Door, Wrong, command, complain
from .setup import SET_UP

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.config import SourceTable
    from bridge.flows.connect import Chance


def setup(
    door: Door,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its name in bridge.toml.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say what would be done.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Sign the brand in although it is signed in.")] = False,
    returned: Annotated[
        str, typer.Option("--returned", metavar="URL", help="Where the sign-in led, if no bridge answered there.")
    ] = "",
) -> int:
    """Sign the brand in where its token is needed, register the webhooks, and say what is left to do by hand."""
    table = door.config.sources.get(source)
    if table is None:
        raise Wrong(f"there is no [source.{source}]; there are {', '.join(door.config.sources)}")

    async def act(bridge: Bridge) -> int:
        waits = await _brand(door, bridge, table, dry_run=dry_run, again=again, returned=returned)
        if waits:
            return 1
        return await _webhooks(door, bridge, table, dry_run=dry_run)

    return door.bridge(act)


async def _brand(door: Door, bridge: Bridge, table: SourceTable, *, dry_run: bool, again: bool, returned: str) -> bool:
    """Whether the brand still has to sign in."""
    from bridge.flows import setup as flow

    scene = bridge.scene(door.actor)
    if returned:
        account = await flow.signed_in(bridge.desk, table, urlsplit(returned).query, scene)
        _say(door, "did", f"{account.handle or account.id} is signed in; its token is in the vault.")
        return False
    standing = await flow.standing(bridge.desk, table)
    if not standing.needed:
        return False
    if standing.by_hand or (standing.account and not again):
        who = standing.handle or standing.account or "the token in bridge.toml"
        _say(door, "did", f"The brand is signed in: {who}.")
        return False
    if dry_run:
        _say(door, "left", "The brand has to sign in; without --dry-run an address is printed for it.")
        return False
    address = await flow.sign_in(bridge.desk, table, scene, _chance())
    _say(door, "left", f"Sign in as the brand within 15 minutes: {address}")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        complain(f"Then: loyalty-bridge setup {table.name}   (with --returned URL, if no bridge answered there)")
        return True
    typed = str(typer.prompt("Enter when it is done, or paste the address you were led to", default="", err=True))
    if typed.strip():
        return await _brand(door, bridge, table, dry_run=False, again=again, returned=typed.strip())
    standing = await flow.standing(bridge.desk, table)
    if not standing.account:
        complain("Nobody has signed in yet.")
    return not standing.account


async def _webhooks(door: Door, bridge: Bridge, table: SourceTable, *, dry_run: bool) -> int:
    from bridge.flows import setup as flow

    done = await flow.prepare(bridge.desk, table, bridge.scene(door.actor), dry_run=dry_run)
    for one in done.did:
        _say(door, "did", f"would: {one}" if dry_run else one)
    url = f"{bridge.config.public_url}/webhooks/{table.name}"
    left = done.left if table.provider.setup is not None else table.provider.steps
    for one in left:
        _say(door, "left", one.replace("{url}", url))
    if table.provider.oauth is not None and table.provider.checks:
        _say(door, "left", f"Allow this redirect address: {bridge.config.public_url}/connect/{table.name}/callback")
    if table.provider.approval:
        _say(door, "left", f"The platform's approval takes {table.provider.approval}.")
    return 0


def _say(door: Door, what: str, text: str) -> None:
    if door.json:
        door.emit({"what": what, "text": text})
    else:
        mark = "done  " if what == "did" else "to do "
        door.paper().say((mark, "green" if what == "did" else "yellow"), text, hang=6)


def _chance() -> Chance:
    from joserfc.jwk import ECKey

    from bridge.flows.connect import Chance

    return Chance(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        key=lambda: json.dumps(ECKey.generate_key("P-256", private=True).as_dict(private=True)),
    )


def register(app: typer.Typer) -> None:
    command(app, "setup", SET_UP, rows=True)(setup)
