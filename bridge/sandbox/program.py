"""A loyalty program as Gameball describes one: campaigns, members, what was submitted, what was granted.

Nothing here knows HTTP, and nothing waits: what is due is granted whenever somebody looks.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from .ledger import WHEN, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """A reward campaign. Only those of type SocialMedia are achieved by a call."""

    id: int
    name: str
    points: int = 0
    repeatable: bool = False
    most: int = 1  # achievements of one customer; -1: no limit
    type: str = "SocialMedia"
    starts: datetime | None = None
    ends: datetime | None = None
    audience: frozenset[str] | None = None  # customers; None: everybody
    active: bool = True  # as the merchant switches it
    visibility: Literal["AlwaysVisible", "NotVisible", "VisibleIfEarned"] = "AlwaysVisible"

    def open_to(self, customer: str, now: datetime) -> bool:
        started = self.starts is None or self.starts <= now
        ended = self.ends is not None and self.ends <= now
        return self.active and started and not ended and (self.audience is None or customer in self.audience)

    def described(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "isRepeatable": self.repeatable,
            "maxAchievement": self.most,
            "type": self.type,
            "visibility": self.visibility,
            "icon": None,
            "redirectionButtonText": None,
            "redirectionButtonLink": None,
            "activation": {
                "startDate": self.starts.strftime(WHEN) if self.starts else None,
                "endDate": self.ends.strftime(WHEN) if self.ends else None,
            },
            "rewards": [{"rankReward": 0, "walletReward": self.points, "walletRewardFactor": None}],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A customer as the program knows them."""

    id: str
    number: int  # the program's own id
    email: str = ""
    mobile: str = ""
    active: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)


Fate = Literal["waiting", "granted", "ignored"]
DISABLED = "the program is disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One accepted call: not a reward yet, and perhaps never one."""

    number: int
    customer: str
    campaign: int
    due_at: datetime
    key: str = ""  # the caller's name for the call; the vendor ignores it, whoever watches does not
    fate: Fate = "waiting"
    why: str = ""


class Program:
    """What a merchant's account at the vendor holds."""

    def __init__(
        self,
        campaigns: Iterable[Campaign] = (),
        *,
        window: timedelta = timedelta(seconds=60),
        delay: timedelta = timedelta(seconds=2),
        spread: timedelta = timedelta(0),
        merge_by: Literal["none", "email", "mobile"] = "none",
        enabled: bool = True,
        overdraw: bool = True,
        keeps: bool = False,
    ) -> None:
        self.campaigns = {campaign.id: campaign for campaign in campaigns}
        self.window = window  # in which the same customer and campaign are refused; undocumented, so adjustable
        self.delay = delay  # from accepted to granted
        self.spread = spread  # added at random: "a short, randomized delay"
        self.merge_by = merge_by
        self.enabled = enabled
        self.keeps = keeps  # whether what comes while it is disabled is granted afterwards; undocumented, too
        self.overdraw = overdraw  # whether a deduction may leave less than nothing; undocumented, so adjustable
        self.members: dict[str, Member] = {}
        self.submissions: list[Submission] = []
        self.ledger = Ledger()
        self.achieved: Counter[tuple[str, int]] = Counter()
        self._last: dict[tuple[str, int], datetime] = {}
        self._waiting: list[tuple[datetime, int]] = []  # a heap: what is due first comes first

    def join(self, customer: str, *, email: str = "", mobile: str = "", **attributes: Any) -> Member:
        """Add a customer or change one; the same call twice changes nothing."""
        known = self.members.get(customer)
        if known is None:
            known = Member(id=customer, number=90_000_000 + len(self.members) + 1)
        changed = replace(
            known,
            email=email or known.email,
            mobile=mobile or known.mobile,
            attributes={**known.attributes, **attributes},
        )
        self.members[customer] = changed
        return changed

    def opt(self, customer: str, *, active: bool) -> None:
        """Out of the program or back into it: who is out earns nothing."""
        self.members[customer] = replace(self.members[customer], active=active)

    def find(self, customer: str, *, email: str = "", mobile: str = "") -> Member | None:
        """The profile a call means; with merging on, the e-mail or mobile number decides first."""
        sought = {"email": email, "mobile": mobile}.get(self.merge_by, "")
        if sought:
            for member in self.members.values():
                if getattr(member, self.merge_by) == sought:
                    return member
        return self.members.get(customer)

    def repeated(self, member: Member, campaign: int, now: datetime) -> bool:
        """Whether the same was submitted a short while ago."""
        last = self._last.get((member.id, campaign))
        return last is not None and now - last < self.window

    def submit(self, member: Member, campaign: int, now: datetime, *, key: str = "") -> Submission:
        """Take a call; what becomes of it shows later."""
        self._last[member.id, campaign] = now
        late = self.spread * random.random()
        made = Submission(
            number=len(self.submissions) + 1,
            customer=member.id,
            campaign=campaign,
            due_at=now + self.delay + late,
            key=key,
        )
        if not (self.enabled or self.keeps):
            made = replace(made, fate="ignored", why=DISABLED)
        else:
            heapq.heappush(self._waiting, (made.due_at, made.number))
        self.submissions.append(made)
        return made

    def settle(self, now: datetime) -> None:
        """Grant what has become due, in the order in which it became so."""
        while self._waiting and self._waiting[0][0] <= now and (self.enabled or not self.keeps):
            one = self.submissions[heapq.heappop(self._waiting)[1] - 1]
            why = self._obstacle(one)
            self.submissions[one.number - 1] = replace(one, fate="ignored" if why else "granted", why=why)
            if not why:
                self._grant(one)

    def _obstacle(self, one: Submission) -> str:
        """Why nothing is granted; empty where it is."""
        campaign = self.campaigns.get(one.campaign)
        if not self.enabled:
            return DISABLED
        if campaign is None or campaign.type != "SocialMedia":
            return "there is no such social campaign"
        if not self.members[one.customer].active:
            return "the customer is not in the program"
        if not campaign.open_to(one.customer, one.due_at):
            return "the campaign is not open to this customer"
        if not self.can_achieve(one.customer, campaign):
            return "already achieved"
        return ""

    def can_achieve(self, customer: str, campaign: Campaign) -> bool:
        had = self.achieved[customer, campaign.id]
        most = campaign.most if campaign.repeatable else 1
        return most < 0 or had < most

    def _grant(self, one: Submission) -> None:
        campaign = self.campaigns[one.campaign]
        self.achieved[one.customer, one.campaign] += 1
        if campaign.points:
            self.ledger.enter(
                one.customer,
                campaign.points,
                one.due_at,
                "AchievementReward",
                campaign=campaign.id,
                name=campaign.name,
            )

    def points(self, customer: str) -> int:
        return self.ledger.points(customer)

    def progress(self, member: Member, now: datetime, *, campaign: int | None = None) -> Sequence[dict[str, Any]]:
        """Every campaign open to this customer, as they stand in it."""
        self.settle(now)
        return [
            {
                "rewardsCampaignName": one.name,
                "rewardsCampaignId": one.id,
                "isUnlocked": True,
                "highScoreAmount": None,
                "currentStreak": None,
                "highestStreak": None,
                "completionPercentage": 100.0 if self.achieved[member.id, one.id] else 0.0,
                "achievedCount": self.achieved[member.id, one.id],
                "canAchieve": member.active and self.can_achieve(member.id, one),
                "rewardCampaignConfiguration": one.described(),
            }
            for one in self.campaigns.values()
            if (campaign is None or one.id == campaign) and self._visible(one, member, now)
        ]

    def _visible(self, campaign: Campaign, member: Member, now: datetime) -> bool:
        shown = campaign.visibility == "AlwaysVisible" or (
            campaign.visibility == "VisibleIfEarned" and self.achieved[member.id, campaign.id] > 0
        )
        return shown and campaign.open_to(member.id, now)

    def known(self, now: datetime) -> dict[str, Any]:
        """Everything, for whoever watches."""
        self.settle(now)
        return {
            "enabled": self.enabled,
            "customers": {
                member.id: {
                    "points": self.points(member.id),
                    "achieved": {
                        str(campaign): count
                        for (customer, campaign), count in self.achieved.items()
                        if customer == member.id and count
                    },
                    "active": member.active,
                }
                for member in self.members.values()
            },
            "submissions": [
                {name: getattr(one, name) for name in ("number", "customer", "campaign", "key", "fate", "why")}
                for one in self.submissions
            ],
        }
