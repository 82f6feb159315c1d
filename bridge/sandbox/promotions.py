"""A partner account as GamifyHost describes one: campaigns with draws, reward rules, what everybody really got.

Nothing here knows HTTP, and chance has a seed: the same calls win the same prizes.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

#: The first four characters of the slug and eight of these, of which none looks like another.
#: https://docs.gamifyhost.com/campaigns/generate-codes/
LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"

Standing = Literal["good", "revoked", "not active", "no partner"]


@dataclass(frozen=True, slots=True)
class Prize:
    """What a draw can win."""

    tier: str
    points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A promotion. With prizes every event is also a draw."""

    slug: str
    points: Mapping[str, int] = field(default_factory=dict)  # by event type; any other type counts and brings none
    most: int | None = None  # plays of one user; None: no limit
    prizes: Sequence[Prize] = ()
    odds: float = 0.0  # that a draw wins
    active: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One event that was recorded."""

    type: str
    at: datetime
    points: int
    key: str  # the caller's name for the call; the vendor only keeps it
    drawn: bool = False
    prize: Prize | None = None
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger."""

    id: str
    type: str
    points: int
    at: datetime
    reference: str = ""
    metadata: Any = None

    def described(self) -> dict[str, Any]:
        told = {"id": self.id, "eventType": self.type, "points": self.points, "reference": self.reference or None}
        return {**told, "metadata": self.metadata, "createdAt": moment(self.at)}


class Partner:
    """What a partner account holds in one environment; test and live never meet."""

    def __init__(self, campaigns: Iterable[Campaign] = (), *, rules: Mapping[str, int] | None = None, seed: int = 0):
        self.campaigns = {campaign.slug: campaign for campaign in campaigns}
        self.rules = dict(rules or {})  # points by event type
        self.standing: Standing = "good"
        self.plays: dict[tuple[str, str], list[Play]] = {}  # by campaign and user
        self.entries: dict[str, list[Entry]] = {}  # by user
        self._points: Counter[tuple[str, str]] = Counter()
        self._references: set[tuple[str, str]] = set()
        self._chance = random.Random(seed)

    def switch(self, slug: str, *, active: bool) -> None:
        """A campaign starts or ends. What was recorded stays."""
        self.campaigns[slug] = replace(self.campaigns[slug], active=active)

    def record(self, campaign: Campaign, user: str, type_: str, now: datetime, *, key: str = "") -> Play:
        """One more event, and a draw where there are prizes."""
        won = bool(campaign.prizes) and self._chance.random() < campaign.odds
        made = Play(
            type=type_,
            at=now,
            points=campaign.points.get(type_, 0),
            key=key,
            drawn=bool(campaign.prizes),
            prize=self._chance.choice(campaign.prizes) if won else None,
            code=f"{campaign.slug[:4].upper()}-{''.join(self._chance.choices(LETTERS, k=8))}" if won else "",
        )
        at = (campaign.slug, user)
        self.plays.setdefault(at, []).append(made)
        self._points[at] += made.points + (made.prize.points if made.prize else 0)
        return made

    def award(self, user: str, type_: str, now: datetime, *, reference: str = "", metadata: Any = None) -> Entry:
        """One more line, and a user where there was none."""
        name = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        points = self.rules[type_]
        made = Entry(id=name, type=type_, points=points, at=now, reference=reference, metadata=metadata)
        self.entries.setdefault(user, []).append(made)
        self._references |= {(type_, reference)} if reference else set()
        return made

    def has(self, type_: str, reference: str) -> bool:
        """Whether this event type has had this reference, for whomever."""
        return (type_, reference) in self._references

    def played(self, slug: str, user: str) -> int:
        return len(self.plays.get((slug, user), ()))

    def points(self, slug: str, user: str) -> int:
        return self._points[slug, user]

    def balance(self, user: str) -> int:
        return sum(entry.points for entry in self.entries.get(user, ()))

    def participants(self, slug: str) -> list[dict[str, Any]]:
        """Everybody in a campaign, the first first."""
        rows = [(user, self.points(slug, user)) for at, user in self.plays if at == slug]
        rows.sort(key=lambda row: -row[1])
        return [
            {"rank": rank, "userId": user, "displayName": user, "totalPoints": points}
            | {"eventsCount": self.played(slug, user)}
            for rank, (user, points) in enumerate(rows, 1)
        ]

    def known(self) -> dict[str, Any]:
        """What everybody really got, for whoever watches."""
        users: dict[str, dict[str, Any]] = {}
        for user in [*self.entries, *(user for _, user in self.plays)]:
            users[user] = {"balance": self.balance(user), "awards": len(self.entries.get(user, ()))}
            users[user] |= {"campaigns": {}, "draws": 0, "codes": []}
        for (slug, user), plays in self.plays.items():
            users[user]["campaigns"][slug] = {"events": len(plays), "points": self.points(slug, user)}
            users[user]["draws"] += sum(play.drawn for play in plays)
            users[user]["codes"] += [play.code for play in plays if play.code]
        return {
            "campaigns": {slug: {"active": one.active} for slug, one in self.campaigns.items()},
            "users": users,
            "events": [
                {"campaign": slug, "user": user, "type": play.type, "key": play.key}
                for (slug, user), plays in self.plays.items()
                for play in plays
            ],
            "awards": [{"user": user, **one.described()} for user, rows in self.entries.items() for one in rows],
        }


def moment(at: datetime) -> str:
    """A time as the documentation shows it."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
