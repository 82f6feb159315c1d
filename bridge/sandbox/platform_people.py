"""The people of the stand-in platform: who follows whom, who wants to, who pays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from .helix import Channel, Viewer
from .standin import Clock

NAME = re.compile(r"[A-Za-z0-9]\w{2,24}", re.ASCII)
#: First parts of addresses that are pages and not people.
TAKEN = frozenset({"api", "helix", "login", "logout", "oauth", "oauth2", "sandbox", "settings", "style"})

Standing: TypeAlias = Literal["none", "requested", "follows"]


@dataclass(slots=True, eq=False)
class Account:
    """Somebody: as one who watches, and as a channel that is watched."""

    viewer: Viewer
    channel: Channel
    created_at: datetime
    private: bool = False  # whoever wants to follow must ask
    requests: dict[str, datetime] = field(default_factory=dict)  # logins of those who ask
    tiers: dict[str, str] = field(default_factory=dict)  # logins of those who pay -> 1000, 2000 or 3000

    @property
    def id(self) -> str:
        return self.viewer.id

    @property
    def name(self) -> str:
        return self.viewer.name

    @property
    def login(self) -> str:
        return self.viewer.name.lower()


class People:
    """Everybody with an account. A name is taken once, whatever its case; a private account has to be asked."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._known: dict[str, Account] = {}

    def join(self, name: str, *, id: str = "", private: bool = False, channel: Channel | None = None) -> Account:
        """A new account; with the id and the channel of a stand-in beside this one where they are given."""
        if not NAME.fullmatch(name) or name.lower() in TAKEN:
            raise ValueError("a name has 3 to 25 letters, digits and underscores, and is no page of ours")
        if name.lower() in self._known:
            raise ValueError(f"{name} is taken")
        id = id or (channel.id if channel else str(50_000_001 + len(self._known)))
        if any(one.id == id for one in self):
            raise ValueError(f"somebody has the id {id}")
        made = Account(Viewer(id, name), channel or Channel(id, name), self.clock(), private)
        self._known[made.login] = made
        return made

    def __iter__(self) -> Iterator[Account]:
        return iter(self._known.values())

    def named(self, login: str) -> Account | None:
        return self._known.get(login.lower())

    def numbered(self, id: str) -> Account | None:
        return next((one for one in self if one.id == id), None)

    def standing(self, who: Account, whom: Account) -> Standing:
        if who.viewer in whom.channel.followers:
            return "follows"
        return "requested" if who.login in whom.requests else "none"

    def follow(self, who: Account, whom: Account) -> bool:
        """Whether somebody follows who did not before: a private account is only asked, and nobody follows themself."""
        if who is whom or self.standing(who, whom) == "follows":
            return False
        if whom.private:
            whom.requests.setdefault(who.login, self.clock())
            return False
        whom.channel.follow(who.viewer, self.clock())
        return True

    def unfollow(self, who: Account, whom: Account) -> None:
        """Follows no longer, and asks no longer."""
        whom.channel.unfollow(who.viewer)
        whom.requests.pop(who.login, None)

    def decide(self, whom: Account, login: str, *, approve: bool) -> Account | None:
        """Whoever follows from now on because their request was approved."""
        who = self.named(login)
        if who is None or whom.requests.pop(login, None) is None or not approve:
            return None
        whom.channel.follow(who.viewer, self.clock())
        return who

    def followed(self, who: Account) -> list[tuple[Account, datetime]]:
        """Whom somebody follows, newest first."""
        found = [(one, one.channel.followers[who.viewer]) for one in self if who.viewer in one.channel.followers]
        return sorted(found, key=lambda pair: pair[1], reverse=True)

    def listed(self) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "login": one.login,
                "private": one.private,
                "follows": [whom.login for whom, _ in self.followed(one)],
                "asked_by": list(one.requests),
                "paid_by": dict(one.tiers),
            }
            for one in self
        ]
