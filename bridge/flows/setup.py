"""`setup`: the brand signs in where its token is needed, and webhooks are registered."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.config import SourceTable
from bridge.kit import (
    Account,
    Conflict,
    OAuth,
    Prepared,
    ScopesMissing,
    SetUp,
    SignIn,
    SignInRefused,
    StateMismatch,
    kept,
    recall,
)
from bridge.kit import oauth as protocol
from bridge.store import Tx, grants, sign_ins
from bridge.store.rows import ms

from .connect import SIGN_IN, Chance, digest
from .desk import Desk, here
from .scene import Scene
from .verify import entry

#: What stands in the place of a claim where it is the brand that signs in.
BRAND = "setup"


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a source's brand."""

    needed: bool = False  # a check can ask with the brand's token
    by_hand: bool = False  # the file holds it
    account: str = ""  # who is signed in
    handle: str = ""


async def standing(desk: Desk, source: SourceTable) -> Standing:
    """Whether the brand's token is needed, and where it comes from."""
    brand = source.provider.brand
    if brand is None:
        return Standing()
    if source.settings.get(brand.setting):
        return Standing(needed=True, by_hand=True)
    row = await desk.db.read(lambda tx: grants.brand(tx, source=source.ledger))
    return Standing(True, False, row["account"], row["handle"]) if row is not None else Standing(needed=True)


async def sign_in(desk: Desk, source: SourceTable, scene: Scene, chance: Chance) -> str:
    """The address at which whoever owns the brand's account signs in."""
    brand, door = source.provider.brand, source.provider.oauth
    if brand is None or door is None:
        raise Conflict(f"{source.provider.title} needs no brand's token")
    if missing := [name for name in door.needs if not source.settings.get(name)]:
        raise Conflict(f"[source.{source.name}] needs {' and '.join(missing)} before anybody can sign in")
    place = here(source, scene)
    visit = SignIn(
        verifier=chance.verifier,
        nonce=chance.nonce,
        redirect_uri=place.redirect_uri,
        scopes=tuple(dict.fromkeys((*door.scopes, *brand.scopes, *door.keep_scopes))),
        server=await desk.server(door, "", source, scene),
        key=chance.key() if door.bound else "",
    )
    talk = protocol.begin(door, visit, chance.state, source.settings, scene.now, again=True, keep=True)
    address = await desk.hold(talk)
    row = {
        "state": digest(chance.state),
        "source": source.ledger,
        "claim": BRAND,
        "browser": "",  # the operator's browser is another machine's than the command line
        "sealed": desk.vault.seal(kept(visit)),
        "expires_at": ms(scene.now + SIGN_IN),
    }
    await desk.db.transact(lambda tx: sign_ins.add(tx, row))
    return address


async def begun(desk: Desk, query: str) -> bool:
    """Whether what came back belongs to a sign-in of the brand."""
    state = digest(protocol.callback(query).state)
    found: bool = await desk.db.read(lambda tx: sign_ins.is_for(tx, state=state, claim=BRAND))
    return found


async def signed_in(desk: Desk, source: SourceTable, query: str, scene: Scene) -> Account:
    """The brand came back: its tokens go into the vault. Not a sign-in that `setup` began: `StateMismatch`."""
    if not await begun(desk, query):
        raise StateMismatch()
    returned = protocol.callback(query)
    state = digest(returned.state)
    used = await desk.db.transact(
        lambda tx: sign_ins.consume(tx, state=state, source=source.ledger, browser="", now=scene.at)
    )
    brand, oauth = source.provider.brand, source.provider.oauth
    if used is None or brand is None or not isinstance(oauth, OAuth) or source.provider.whoami is None:
        raise StateMismatch()
    visit = recall(SignIn, desk.vault.open(used["sealed"]))
    tokens = await desk.hold(protocol.exchange(oauth, visit, returned, source.settings, scene.now))
    keep = False
    try:
        if missing := protocol.lacking(oauth, tokens, visit.scopes):
            raise ScopesMissing(missing)
        account = await desk.hold(source.provider.whoami(tokens, source.settings))
        if brand.fault is not None and (fault := brand.fault(account, source.settings)):
            raise SignInRefused(fault)
        keep = True
    finally:
        if not keep:
            await desk.hold(protocol.revoke(oauth, tokens, source.settings))
    row = {
        "source": source.ledger,
        "sealed": desk.seal(tokens),
        "account": account.id,
        "handle": account.handle,
        "at": scene.at,
    }

    async def write(tx: Tx) -> None:
        await grants.put_brand(tx, row)
        await entry(tx, scene, "brand.signed_in", source.ledger)

    await desk.db.transact(write)
    return account


async def prepare(desk: Desk, source: SourceTable, scene: Scene, *, dry_run: bool) -> Prepared:
    """Have the webhooks registered that the rules need; in a dry run, say what would be done."""
    if source.provider.setup is None:
        return Prepared()
    actions = {when.action for rule in scene.config.rules for when in rule.whens if when.source == source.name}
    wanted = SetUp(
        settings=await desk.settings(source),
        url=f"{scene.config.public_url}/webhooks/{source.name}",
        secret=source.secrets[0] if source.secrets else "",
        actions=frozenset(actions),
        now=scene.now,
        dry_run=dry_run,
    )
    done = await desk.hold(source.provider.setup(wanted))
    if done.did and not dry_run:
        await desk.db.transact(lambda tx: entry(tx, scene, "source.set_up", source.ledger, did=list(done.did)))
    return done
