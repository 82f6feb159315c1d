"""The transactions of a loyalty program as Gameball lists them: what came, what went, what is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

#: `transactionTime` as the documentation shows it: no zone, milliseconds.
WHEN = "%Y-%m-%dT%H:%M:%S.%f"

Status = Literal["Active", "Pending", "Blocked", "Expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the ledger."""

    number: int
    customer: str
    points: int
    at: datetime
    type: str
    balance: int  # after it
    campaign: int | None = None
    name: str = ""
    transaction: str = ""
    reason: str = ""
    status: Status = "Active"

    @property
    def direction(self) -> str:
        return "+" if self.points >= 0 else "-"

    def described(self) -> dict[str, Any]:
        return {
            "transactionId": self.transaction or None,
            "gameballTransactionId": str(self.number),
            "type": self.type,
            "direction": self.direction,
            "customerId": self.customer,
            "points": abs(self.points),
            "amount": 0,
            "transactionTime": self.at.strftime(WHEN)[:-3],
            "status": self.status,
            "reason": self.reason or None,
            "achievementName": self.name or None,
            "pointsBalanceBefore": self.balance - self.points,
            "pointsBalanceAfter": self.balance,
            "achievedRewardCampaignId": str(self.campaign) if self.campaign else None,
        }


class Ledger:
    """Lines in the order in which they were written, and what each customer has."""

    def __init__(self) -> None:
        self._lines: list[Entry] = []
        self._balance: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._lines))

    def __len__(self) -> int:
        return len(self._lines)

    def enter(
        self,
        customer: str,
        points: int,
        at: datetime,
        type_: str,
        *,
        campaign: int | None = None,
        name: str = "",
        transaction: str = "",
        reason: str = "",
    ) -> Entry:
        self._balance[customer] += points
        entry = Entry(
            number=11_034_000 + len(self._lines) + 1,
            customer=customer,
            points=points,
            at=at,
            type=type_,
            balance=self._balance[customer],
            campaign=campaign,
            name=name,
            transaction=transaction,
            reason=reason,
        )
        self._lines.append(entry)
        return entry

    def mark(self, number: int, status: Status) -> None:
        """What the vendor does to a line later: hold it back, block it, let it expire."""
        self._lines = [replace(one, status=status) if one.number == number else one for one in self._lines]

    def points(self, customer: str) -> int:
        return self._balance[customer]

    def has(self, transaction: str) -> bool:
        return any(one.transaction == transaction for one in self._lines)

    def has_at(self, customer: str, at: datetime) -> bool:
        """Whether a manual transaction of this customer has exactly this time."""
        return any(one.customer == customer and one.at == at and one.transaction for one in self._lines)

    def listed(self, *, after: int, customer: str = "", direction: str = "", status: str = "") -> Sequence[Entry]:
        """The lines after this number, oldest first; an empty filter lets everything through."""
        return [
            one
            for one in self._lines
            if one.number > after
            and customer in ("", one.customer)
            and direction in ("", one.direction)
            and status in ("", one.status)
        ]
