"""A community as Popsell describes one: ambassadors, challenges, and histories that give points and score.

Nothing here knows HTTP. Nothing is given once only: whoever adds a history twice pays twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

#: What a search goes over. https://apidoc.popsell.com/operation/operation-get-manager-ambassadors
SEARCHED = ("firstname", "lastname", "full_name", "email", "email_tmp", "customer_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambassador:
    """Somebody in the community and what they have, by the names of the API."""

    id_ambassador: int
    id_brand: int = 3
    firstname: str = "Ann"
    lastname: str = "Lee"
    email: str = ""
    email_tmp: str | None = None
    customer_id: str | None = None
    active: int = 1  # 0 not activated, -1 blocked, -2 and -3 unsubscribed
    status: int = 0
    gamification_score: int = 0
    sell_token_amount: int = 0
    suspicious: bool = False
    suspicious_quarantine: bool = False
    anonymized: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.firstname} {self.lastname}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a history may complete. It gives nothing by itself: the caller names the amounts."""

    id: int
    title: str = "Follow us"
    points: int = 50
    active: bool = True

    def described(self) -> dict[str, Any]:
        titles = [{"id_i18n_content": self.id, "lang": "en_GB", "content": self.title}]
        words = {"titles": titles, "images": [], "descriptions": []}
        return {"id": self.id, **words, "points": self.points, "proportional_points": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One call, and what it gave."""

    id: int
    ambassador: int
    points: float
    score: float
    message: str | None
    challenge: int | None
    at: datetime
    key: str  # the caller's name for the call; the vendor ignores it, whoever watches does not


class Community:
    """What a brand has at Popsell."""

    def __init__(self, challenges: Iterable[Challenge] = ()) -> None:
        self.challenges = {challenge.id: challenge for challenge in challenges}
        self.ambassadors: dict[int, Ambassador] = {}
        self.histories: list[History] = []

    def join(self, id_: int, **fields: Any) -> Ambassador:
        """Add an ambassador or change one."""
        known = self.ambassadors.get(id_) or Ambassador(id_ambassador=id_)
        self.ambassadors[id_] = replace(known, **fields)
        return self.ambassadors[id_]

    def move(self, id_: int, *, score: float = 0, points: float = 0) -> None:
        """What an ambassador has changes, for whatever cause: a history, a sale, a chat, a reward they choose."""
        known = self.ambassadors[id_]
        score, points = known.gamification_score + score, known.sell_token_amount + points
        self.join(id_, gamification_score=round(score), sell_token_amount=round(points))

    def add(self, id_: int, given: Mapping[str, Any], now: datetime, *, key: str = "") -> History:
        """Give what was asked for, however often it is asked."""
        made = History(
            id=9000 + len(self.histories) + 1,
            ambassador=id_,
            points=given["points"],
            score=given["score"],
            message=given.get("message"),
            challenge=given.get("challenge_id"),
            at=now,
            key=key,
        )
        self.histories.append(made)
        self.move(id_, score=made.score, points=made.points)
        return made

    def wins(self, challenge: int) -> int:
        return sum(1 for one in self.histories if one.challenge == challenge)

    def search(self, text: str) -> list[Ambassador]:
        """As SQL's LIKE finds: anywhere, whatever the case, and `_` stands for any letter."""
        letters = {"_": ".", "%": ".*"}
        like = re.compile("".join(letters.get(one) or re.escape(one) for one in text), re.IGNORECASE | re.DOTALL)
        return [
            one
            for one in self.ambassadors.values()
            if any(like.search(getattr(one, field) or "") for field in SEARCHED)
        ]

    def known(self) -> dict[str, Any]:
        """Everything, for whoever watches. `got` is what calls gave, whatever else has moved the score."""
        told = {}
        for id_, one in self.ambassadors.items():
            mine = [history for history in self.histories if history.ambassador == id_]
            points, score = sum(history.points for history in mine), sum(history.score for history in mine)
            told[str(id_)] = {**asdict(one), "got": {"times": len(mine), "points": points, "score": score}}
        histories = [{**asdict(history), "at": history.at.isoformat()} for history in self.histories]
        return {"ambassadors": told, "histories": histories}
