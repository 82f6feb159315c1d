"""The desk where customers are served: conversations with platforms, and what must be sealed for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog

from bridge.config import SourceTable
from bridge.kit import (
    Account,
    BridgeError,
    Disconnected,
    Here,
    OAuth,
    Server,
    Settings,
    Talk,
    Tokens,
    Unavailable,
    kept,
    recall,
)
from bridge.kit import oauth as protocol
from bridge.store import Row, Store, grants
from bridge.store.rows import ms
from bridge.talk import Talker
from bridge.vault import Vault

from .scene import Scene

log = structlog.get_logger("desk")

T = TypeVar("T")

#: How long a platform may take for one conversation.
PATIENCE = timedelta(seconds=20)
#: How long whoever may refresh tokens has for it.
TURN = timedelta(seconds=60)
#: How long a grant that nobody has claimed stays before it is given back: longer than a sign-in takes to be completed.
ORPHANED = timedelta(minutes=5)
#: How often giving back is tried before a grant is only forgotten.
TRIES = 5
#: How long a server that was found is believed; one that has registered us, until it refuses us.
FOUND = timedelta(days=1)


@dataclass(slots=True)
class Desk:
    """What serving customers needs of the world."""

    db: Store
    talker: Talker
    vault: Vault
    clock: Callable[[], datetime]

    async def hold(self, talk: Talk[T]) -> T:
        """Hold a conversation with a platform."""
        return await self.talker.hold(talk, within=PATIENCE)

    # --- what is sealed ---------------------------------------------------------------------------------------

    def seal(self, value: Any) -> str:
        return self.vault.seal(kept(value))

    def tokens(self, row: Row) -> Tokens:
        return recall(Tokens, self.vault.open(row["sealed"]))

    def seal_account(self, account: Account) -> str:
        told = {one.name: getattr(account, one.name) for one in fields(account)}
        made = account.created_at.isoformat() if account.created_at else None
        return self.vault.seal(json.loads(json.dumps({**told, "created_at": made, "claims": dict(account.claims)})))

    def account(self, sealed: str) -> Account:
        told = self.vault.open(sealed)
        made = datetime.fromisoformat(told["created_at"]) if told["created_at"] else None
        return Account(**{**told, "created_at": made})

    # --- the customer's tokens --------------------------------------------------------------------------------

    async def usable(self, row: Row, source: SourceTable) -> Tokens:
        """A grant's tokens, refreshed where they are over: under the row's lock, stored before they are used."""
        tokens, oauth = self.tokens(row), source.provider.oauth
        if oauth is None or not tokens.over(self.clock()):
            return tokens
        now = self.clock()
        mine = await self.db.transact(lambda tx: grants.take(tx, id=row["id"], now=ms(now), until=ms(now + TURN)))
        if mine is None:
            raise Unavailable("its permission is being renewed")
        tokens = self.tokens(mine)
        if not tokens.over(now):
            return tokens
        fresh = await self.hold(protocol.refresh(oauth, tokens, source.settings, now))
        sealed = self.seal(fresh)
        stored = await self.db.transact(
            lambda tx: grants.replace(tx, id=mine["id"], lease=mine["lease"], sealed=sealed, now=ms(now))
        )
        if not stored:
            raise Unavailable("its permission was renewed by somebody else")
        return fresh

    async def give_back(self, row: Row, source: SourceTable | None) -> bool:
        """Have a platform forget a grant, then forget it here. Not possible now: it is tried again, so many times."""
        gone = False
        try:
            if source is not None and source.provider.oauth is not None:
                tokens = self.tokens(row)
                await self.hold(protocol.revoke(source.provider.oauth, tokens, source.settings))
            gone = True
        except Unavailable as failure:
            log.warning("a permission could not be given back", source=row["source"], error=failure.message)
        except BridgeError as error:  # a key that is gone, a source that has changed: nobody can give it back any more
            log.warning("a permission cannot be given back", source=row["source"], error=type(error).__name__)
            gone = True
        if gone or row["tries"] >= TRIES:
            await self.db.transact(lambda tx: grants.wipe(tx, id=row["id"]))
        return gone

    # --- the brand's tokens -----------------------------------------------------------------------------------

    async def settings(self, source: SourceTable) -> Settings:
        """A source's settings, with the token that `setup` has got where the file holds none."""
        brand, oauth = source.provider.brand, source.provider.oauth
        if brand is None or oauth is None or source.settings.get(brand.setting):
            return source.settings
        row = await self.db.read(lambda tx: grants.brand(tx, source=source.ledger))
        if row is None:
            return source.settings
        tokens = self.tokens(row)
        if tokens.over(self.clock()):
            tokens = await self._renewed(row, tokens, source, oauth)
        return {**source.settings, brand.setting: tokens.access}

    async def _renewed(self, row: Row, tokens: Tokens, source: SourceTable, oauth: OAuth) -> Tokens:
        """The brand's tokens, fresh. Where that fails the old ones are tried: what they are refused says why."""
        now = self.clock()
        mine = await self.db.transact(
            lambda tx: grants.take_brand(tx, source=row["source"], now=ms(now), until=ms(now + TURN))
        )
        if mine is None or not self.tokens(mine).over(now):
            return self.tokens(mine) if mine is not None else tokens
        try:
            fresh = await self.hold(protocol.refresh(oauth, self.tokens(mine), source.settings, now))
        except (Unavailable, Disconnected) as failure:
            log.error("the brand's token could not be renewed", source=source.name, error=failure.message)
            return tokens
        sealed = self.seal(fresh)
        await self.db.transact(
            lambda tx: grants.replace_brand(tx, source=row["source"], lease=mine["lease"], sealed=sealed, now=ms(now))
        )
        return fresh

    # --- servers that must be found ---------------------------------------------------------------------------

    async def server(self, oauth: OAuth, home: str, source: SourceTable, scene: Scene) -> Server | None:
        """Where this sign-in happens: as found before, or found now and remembered."""
        if oauth.discover is None:
            return None
        name = source.ledger
        row = await self.db.read(lambda tx: grants.server(tx, source=name, home=home))
        if row is not None:
            found = recall(Server, self.vault.open(row["sealed"]))
            if found.client_id or scene.at - row["at"] < FOUND / timedelta(milliseconds=1):
                return found
            await self.forget(home, source)
        fresh = await self.hold(protocol.locate(oauth, home, here(source, scene), source.settings))
        assert fresh is not None
        kept_row = {"source": name, "home": home, "sealed": self.seal(fresh), "at": scene.at}
        await self.db.transact(lambda tx: grants.put_server(tx, kept_row))
        # Two who found it at once have registered us twice: the name that was kept first is ours.
        row = await self.db.read(lambda tx: grants.server(tx, source=name, home=home))
        return recall(Server, self.vault.open(row["sealed"])) if row is not None else fresh

    async def forget(self, home: str, source: SourceTable) -> None:
        """A server has refused us: it is found anew next time."""
        await self.db.transact(lambda tx: grants.forget_server(tx, source=source.ledger, home=home))


def here(source: SourceTable, scene: Scene) -> Here:
    """Who we are to a platform. One redirect address for each source."""
    site = scene.config.public_url
    name = scene.config.look.name or "loyalty-bridge"
    place = f"{site}/connect/{source.name}"
    return Here(redirect_uri=f"{place}/callback", document_url=f"{place}/client.json", site=site, name=name)
