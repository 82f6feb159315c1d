"""
A customer connects an account: join, start, callback, link.

| # | where | what | ends here when |
|---|---|---|---|
| 1 | `web/connect.py` | a ticket, and a POST from our own page | `BadTicket`: nothing is written |
| 2 | `join` | the directory learns who it is; all tickets of one customer to one action join one claim | |
| 3 | `start` | a sign-in under the hash of its state; the address of the platform | `HomeUnknown`, `Unavailable` |
| 4 | the platform | the customer consents | |
| 5 | `callback` | the state is used up before anything else is looked at, `error` included | `StateMismatch` |
| 6 | `_signed_in` | code -> tokens, kept as something to be given back before they are used | `FlowError` |
| 7 | `_signed_in` | granted scopes against needed ones; tokens -> account | `ScopesMissing` |
| 8 | `link` | one account, one customer; what waited for the link is considered at once | `Taken` |
| 9 | `verify` | the baseline, then the page that asks for it | |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog

from bridge.config import SourceTable
from bridge.kit import (
    Account,
    BridgeError,
    Disconnected,
    FlowError,
    HomeUnknown,
    Misconfigured,
    OAuth,
    ScopesMissing,
    SignIn,
    SignInRefused,
    StateMismatch,
    Tokens,
    Unavailable,
    Way,
    kept,
    recall,
    wanted,
)
from bridge.kit import oauth as protocol
from bridge.store import Row, Tx, claims, grants, sign_ins
from bridge.store.rows import ms

from . import verify
from .desk import ORPHANED, Desk, here
from .link import link
from .scene import Scene
from .verify import Settled, entry

log = structlog.get_logger("connect")

#: How long a customer may take at the platform.
SIGN_IN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """What only a door can make: fresh secrets."""

    state: str
    nonce: str
    verifier: str
    key: Callable[[], str]  # a private key as JWK, where the platform binds tokens to one


@dataclass(frozen=True, slots=True)
class Ended:
    """How a visit to a platform ended: the claim as it is now, what went wrong, where something is due."""

    claim: Mapping[str, Any]
    error: BridgeError | None = None
    targets: frozenset[str] = frozenset()


def digest(text: str) -> str:
    """What is kept of a text that only a browser may know."""
    return hashlib.sha256(text.encode()).hexdigest()


async def start(
    desk: Desk, claim: Row, source: SourceTable, browser: str, scene: Scene, chance: Chance, *, home: str = ""
) -> str:
    """The address where the customer signs in. `browser`: a hash; `home`: what they typed, where it is asked for."""
    settings = await desk.settings(source)
    way, door = verify.way_of(claim, source, settings), source.provider.door(settings)
    if way is None or door is None:
        raise Misconfigured(f"customers cannot connect at [source.{source.name}] with the settings there are")
    place = here(source, scene)
    if isinstance(door, OAuth):
        address_of = door.home
        where = address_of.read(home.strip()[:512]) if address_of else ""
        if address_of and not where:
            raise HomeUnknown()
        sign_in = SignIn(
            verifier=chance.verifier,
            nonce=chance.nonce,
            redirect_uri=place.redirect_uri,
            scopes=wanted(door, way),
            server=await desk.server(door, where, source, scene),
            key=chance.key() if door.bound else "",
        )
        again = claim["account"] is not None
        try:
            address = await desk.hold(
                protocol.begin(door, sign_in, chance.state, settings, scene.now, again=again, keep=way.keep)
            )
        except Misconfigured:
            await desk.forget(where, source)
            raise
    else:
        sign_in = SignIn(verifier="", nonce="", redirect_uri=place.redirect_uri)
        address = door.address(f"{place.redirect_uri}?state={chance.state}", settings)
    row = {
        "state": digest(chance.state),
        "source": source.ledger,
        "claim": claim["id"],
        "browser": browser,
        "sealed": desk.vault.seal(kept(sign_in)),
        "expires_at": ms(scene.now + SIGN_IN),
    }

    async def write(tx: Tx) -> None:
        await sign_ins.add(tx, row)
        await entry(tx, scene, "claim.started", claim["id"])

    await desk.db.transact(write)
    return address


async def callback(desk: Desk, source: SourceTable, query: str, browser: str, scene: Scene) -> Ended:
    """What came back from a platform. Not the way back of a sign-in of this browser: `StateMismatch`."""
    returned = protocol.callback(query)
    used = await desk.db.transact(
        lambda tx: sign_ins.consume(
            tx, state=digest(returned.state), source=source.ledger, browser=browser, now=scene.at
        )
    )
    if used is None:
        raise StateMismatch()
    [claim] = await desk.db.read(lambda tx: claims.of(tx, ids=[used["claim"]]))
    if not used["sealed"]:
        return Ended(claim)  # it was decided in another tab, and its verifier is gone
    grant: list[str] = []
    try:
        settled = await _complete(desk, claim, source, used, returned, browser, scene, grant)
    except (FlowError, Unavailable) as error:
        reason = error.reason if isinstance(error, FlowError) else "unavailable"
        if isinstance(error, Misconfigured):
            reason = "misconfigured"
            log.error("a source refuses this application", source=source.name, error=error.message)

        async def stopped(tx: Tx) -> None:
            await entry(tx, scene, "claim.stopped", claim["id"], reason=reason)

        await desk.db.transact(stopped)
        await _let_go(desk, grant, source)
        [claim] = await desk.db.read(lambda tx: claims.of(tx, ids=[used["claim"]]))
        return Ended(claim, error)
    return Ended(settled.claim, None, settled.targets)


async def _complete(
    desk: Desk,
    claim: Row,
    source: SourceTable,
    used: Row,
    returned: Any,
    browser: str,
    scene: Scene,
    grant: list[str],
) -> Settled:
    settings = await desk.settings(source)
    way, door = verify.way_of(claim, source, settings), source.provider.door(settings)
    if way is None or door is None:
        raise Misconfigured(f"customers cannot connect at [source.{source.name}] with the settings there are")
    sign_in = recall(SignIn, desk.vault.open(used["sealed"]))
    tokens: Tokens | None = None
    if isinstance(door, OAuth):
        tokens, account = await _signed_in(desk, door, claim, source, sign_in, returned, scene, grant)
    else:
        signed = {name: value for name, value in returned.fields.items() if name != "state"}
        account = await desk.hold(door.account(signed, settings, scene.now))
        proof = digest("\n".join(f"{name}={signed[name]}" for name in sorted(signed)))
        fresh = await desk.db.transact(
            lambda tx: sign_ins.prove(tx, state=used["state"], source=source.ledger, proof=proof)
        )
        if not fresh:
            raise SignInRefused("what was signed has been used before")
    keep = grant[0] if grant and way.keep else ""
    linked = await desk.db.transact(lambda tx: link(tx, claim["id"], account, browser, source, desk, scene, keep=keep))
    if linked.claim["state"] != "checking" or not linked.leased:
        await _let_go(desk, grant, source)  # it was proved in another tab meanwhile
        return Settled(linked.claim, linked.targets)
    settled = await _asked(desk, linked.claim, source, scene, tokens, way, grant)
    return Settled(settled.claim, settled.targets | linked.targets)


async def _asked(
    desk: Desk, claim: Row, source: SourceTable, scene: Scene, tokens: Tokens | None, way: Way, grant: list[str]
) -> Settled:
    check = source.provider.checks[claim["action"]]
    theirs = tokens if way.keep or (check.once and way.ask is check.ask) else None
    if theirs is None:  # the brand's side is asked: the customer's permission has said who it is, and can go
        await _let_go(desk, grant, source)
    settled = await verify.asked(desk, claim, source, scene, theirs)
    if theirs is not None and not way.keep:
        await _let_go(desk, grant, source)
    return settled


async def _signed_in(
    desk: Desk,
    oauth: OAuth,
    claim: Row,
    source: SourceTable,
    sign_in: SignIn,
    returned: Any,
    scene: Scene,
    grant: list[str],
) -> tuple[Tokens, Account]:
    """Whose account it is. The tokens stand in the store as something to be given back before they are used."""
    settings = source.settings
    try:
        tokens = await desk.hold(protocol.exchange(oauth, sign_in, returned, settings, scene.now))
    except Misconfigured:
        if sign_in.server is not None:
            await desk.forget(sign_in.server.home, source)
        raise
    id_ = scene.new_id("grt")
    row = {
        "id": id_,
        "claim": claim["id"],
        "source": source.ledger,
        "sealed": desk.seal(tokens),
        "due_at": ms(scene.now + ORPHANED),
        "at": scene.at,
    }
    await desk.db.transact(lambda tx: grants.add(tx, row))
    grant.append(id_)
    if missing := protocol.lacking(oauth, tokens, sign_in.scopes):
        raise ScopesMissing(missing)
    assert source.provider.whoami is not None
    try:
        return tokens, await desk.hold(source.provider.whoami(tokens, settings))
    except Disconnected:
        raise SignInRefused("the platform took its permission back at once") from None


async def _let_go(desk: Desk, grant: list[str], source: SourceTable) -> None:
    """Give the customer's permission back now; where that fails, the worker does it."""
    for id_ in grant:
        until = ms(desk.clock() + ORPHANED)
        for row in await desk.db.transact(partial(grants.lease_one, id=id_, until=until)):
            await desk.give_back(row, source)
    grant.clear()
