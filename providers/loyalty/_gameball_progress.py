"""Gameball's campaigns: how often a customer has achieved one, which settles doubt, and whether our calls can.

https://docs.gameball.co/api-reference/customers/progress/get-customer-campaigns-progress
https://docs.gameball.co/api-reference/configurations/program-configurations/campaigns
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bridge.kit import Forward, Outcome, Request, Response, Settings, Talk, Unavailable, Verdict

from ._gameball_answers import call, challenge, merged, named, number, said, speaks_of_version, time_of, whole

#: The baseline of a customer who did not exist: no count, and yet none can have been achieved.
NOBODY = "no such customer"

SOCIAL = "SocialMedia"  # what the API calls a campaign of type Social Activities


@dataclass(frozen=True, slots=True)
class Progress:
    """What a customer has achieved of one campaign."""

    count: int
    most: int | None  # None: no limit, or it does not say
    obstacle: str  # why nothing more can be achieved, as far as it says
    shown: Mapping[str, Any]


def asked(forward: Forward, settings: Settings) -> Request:
    path = f"/customers/{quote(named(forward), safe='')}/reward-campaigns-progress"
    return call("GET", path, settings, params={"campaignId": str(challenge(forward))})


def progress(response: Response, wanted: int) -> Progress | None:
    """None where the campaign does not exist, is hidden, or is not for this customer: one empty list says all three."""
    if response.status in (400, 404, 422):
        return None
    if response.status != 200:
        raise Unavailable(f"Gameball answered {response.status} when asked for the customer's progress")
    rows = response.json()
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Unavailable("Gameball answered 200 with something that is no list of campaigns")
    for row in rows:
        if number(row.get("rewardsCampaignId")) == wanted:
            count, found = number(row.get("achievedCount")), row.get("rewardCampaignConfiguration")
            terms = found if isinstance(found, dict) else {}
            if count is not None:
                return Progress(count, most(terms), obstacle(row, terms, response), shown(count, row, terms))
    return None


def most(terms: Mapping[str, Any]) -> int | None:
    """How often a customer may achieve it."""
    if terms.get("isRepeatable") is False:
        return 1
    limit = number(terms.get("maxAchievement"))
    return limit if limit and limit > 0 else None


def obstacle(row: Mapping[str, Any], terms: Mapping[str, Any], response: Response) -> str:
    if resting := outside(terms, response.at):
        return f"the campaign {resting}"
    return "Gameball says that the customer cannot achieve it" if row.get("canAchieve") is False else ""


def shown(count: int, row: Mapping[str, Any], terms: Mapping[str, Any]) -> Mapping[str, Any]:
    found: dict[str, Any] = {"achievedCount": count}
    if isinstance(name := row.get("rewardsCampaignName"), str):
        found["rewardsCampaignName"] = name[:200]
    rewards = terms.get("rewards")
    if isinstance(rewards, list) and len(rewards) == 1 and isinstance(rewards[0], dict):
        points = whole(rewards[0].get("walletReward"))
        if points and not rewards[0].get("walletRewardFactor"):  # by a factor: how many depends on what was spent
            found["points"] = float(points)
    return found


def before(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    """The count; empty where Gameball does not show one. Whoever is missing is for the call itself to say."""
    response = yield asked(forward, settings)
    if outcome := refused(response):
        return outcome
    # Where channels are merged the id alone need not be known: the call finds the profile by more than that.
    if response.status == 404 and not merged(forward, settings) and said(response).no_customer:
        return NOBODY
    seen = progress(response, challenge(forward))
    return "" if seen is None else str(seen.count)


def after(forward: Forward, baseline: str, settings: Settings, unchanged: str) -> Talk[Outcome]:
    """What the count says now, compared with the count before the call."""
    response = yield asked(forward, settings)
    if outcome := refused(response):
        return outcome
    seen = progress(response, challenge(forward))
    if seen is None:
        note = "Gameball shows no progress for this campaign: hidden, or not for this customer"
        return Outcome(Verdict.UNCLEAR, note)
    # One achievement of a customer who has come since is ours; of several nobody can say.
    verdict, note = compare(0 if baseline == NOBODY and seen.count <= 1 else number(baseline), seen, unchanged)
    return Outcome(verdict, note, left=str(seen.count), shown=seen.shown if verdict is Verdict.DONE else {})


def refused(response: Response) -> Outcome | None:
    """What cannot be read can be confirmed by nobody, so nothing is sent either."""
    if response.status not in (401, 403):
        return None
    note = f"Gameball answered {response.status} when asked for the customer's progress"
    return Outcome(Verdict.MISCONFIGURED, note)


def compare(before: int | None, seen: Progress, unchanged: str) -> tuple[Verdict, str]:
    if before is None and seen.most == 1 and seen.count >= 1:
        return Verdict.DONE, "achieved, and no customer can achieve it twice"
    if before is None or seen.count < before:
        was = "not known" if before is None else str(before)
        return Verdict.UNCLEAR, f"achieved {seen.count} times; before the call: {was}"
    if seen.count > before:
        return Verdict.DONE, f"achieved {seen.count} times, before the call {before}"
    if seen.most is not None and before >= seen.most:
        return Verdict.REFUSED, f"limit reached at the target: achieved {before} of {seen.most} times before"
    why = f"; {seen.obstacle}" if seen.obstacle else ""
    return Verdict.LATER, f"{unchanged}: achieved {seen.count} times, as before the call{why}"


def probe(sends: Sequence[Mapping[str, Any]], settings: Settings) -> Talk[Sequence[str]]:
    """Whether the keys are right and the campaigns are what `challenge_id` needs."""
    response = yield call("GET", "/configurations/reward-campaigns", settings)
    if fault := unasked(response, "campaigns"):
        return [fault]
    rows = response.json()
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return ["Gameball answered 200 with something that is no list of campaigns: base_url or version is wrong"]
    campaigns = {number(row.get("id")): row for row in rows}
    wanted = dict.fromkeys(number(send.get("challenge_id")) for send in sends)  # None: computed, so not known yet
    faults = [fault for id_ in wanted if id_ is not None and (fault := unfit(id_, campaigns.get(id_), response.at))]
    # v4.0 shows the campaigns without the secret key. This is also what a claw-back reads.
    response = yield call("GET", "/transactions", settings, params={"limit": "1"})
    if fault := unasked(response, "transactions"):
        faults.append(fault)
    return faults


def unasked(response: Response, what: str) -> str:
    """Why a question of `probe` was not answered; empty where it was."""
    one = said(response)
    asked = f"Gameball answered {one.note} when asked for {what}"
    if one.status == 200:
        return ""
    if speaks_of_version(one):
        return f'{asked}: it does not serve this version to you; set version = "v4.1"'
    if one.status in (401, 403):
        key = {1000: "api_key", 1001: "secret_key", 1006: "secret_key"}.get(one.code or 0, "api_key or secret_key")
        return f"{asked}: {key} is wrong, or may not do this"
    if one.status in (408, 425, 429) or one.status >= 500:
        return f"{asked}: ask again in a minute"
    return f"{asked}: base_url or version is wrong"


def unfit(id_: int, campaign: Mapping[str, Any] | None, now: datetime | None) -> str:
    """What keeps a campaign from being achieved by our calls; empty where nothing does."""
    if campaign is None:
        return f"challenge_id {id_}: Gameball has no active campaign of this id"
    if campaign.get("type") != SOCIAL:
        return f"challenge_id {id_}: is of type {str(campaign.get('type'))[:40]}, and {SOCIAL} is needed"
    if campaign.get("isActive") is False:
        return f"challenge_id {id_}: the campaign is not active"
    if campaign.get("visibility") == "NotVisible":  # then its progress is an empty list
        return f"challenge_id {id_}: the campaign is hidden, so nobody can read whether a reward was granted; show it"
    resting = outside(campaign, now)
    return f"challenge_id {id_}: the campaign {resting} (UTC)" if resting else ""


def outside(campaign: Mapping[str, Any], now: datetime | None) -> str:
    """Why a campaign is not active at this time; empty where it is, or does not say."""
    times = campaign.get("activation")
    if now is None or not isinstance(times, dict):
        return ""
    start, end = time_of(times.get("startDate")), time_of(times.get("endDate"))
    if start and now < start:
        return f"begins {start:%Y-%m-%d %H:%M}"
    return f"ended {end:%Y-%m-%d %H:%M}" if end and end < now else ""
