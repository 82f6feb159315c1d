"""Marks a Social Activities campaign as achieved for a customer.

Accepted is not yet rewarded: Gameball answers 202 and grants the reward minutes later, if at all. It forgets
what it accepted after a short while, so a repeat may pay twice. What happened is read from the customer's
progress, compared with what it showed before the call.
https://docs.gameball.co/api-reference/customers/management/achieve-social-campaign
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from bridge.kit import (
    Forward,
    Option,
    Outcome,
    Request,
    Response,
    Setting,
    Settings,
    Talk,
    Target,
    Unavailable,
    Verdict,
)

URL = "https://api.gameball.co"
SOCIAL = "SocialMedia"  # what the API calls a campaign of type Social Activities

#: No answer names the wait. The quota is 360 calls in 30 s.
#: https://docs.gameball.co/api-reference/overview/rate-limiting
THROTTLED = timedelta(seconds=30)
BUSY = timedelta(seconds=5)

#: For how long "can't send this action multiple times" can still speak of an earlier attempt of ours. Their
#: page says "a short window" and no more; after this long the other one was sent by somebody else.
WINDOW = timedelta(hours=1)

REPEATED, TOO_OFTEN, CONCURRENT = 4000, 3011, 2001

#: What a code of an error means, whatever its status. https://docs.gameball.co/api-reference/overview/status-error-codes
CODES: Mapping[int, Verdict] = {
    1000: Verdict.MISCONFIGURED,  # the API key is missing or wrong
    1001: Verdict.MISCONFIGURED,  # the API key is not valid
    1002: Verdict.MISCONFIGURED,  # no permission
    1006: Verdict.MISCONFIGURED,  # the secret key is missing
    6000: Verdict.MISCONFIGURED,  # the program is switched off
    6003: Verdict.MISCONFIGURED,  # no permission
    8000: Verdict.MISCONFIGURED,  # not in the plan
    2000: Verdict.REFUSED,  # a precondition
    CONCURRENT: Verdict.LATER,  # another request for this customer is at work
    3000: Verdict.REFUSED,  # something is missing: our fault
    3001: Verdict.REFUSED,  # a null value
    3002: Verdict.REFUSED,  # the media type
    3003: Verdict.REFUSED,  # an invalid value
    3004: Verdict.REFUSED,  # not achievable, or the customer is not eligible
    3009: Verdict.REFUSED,  # the customer or the campaign is inactive
    3013: Verdict.REFUSED,  # the media type
    3014: Verdict.REFUSED,  # locked
    3015: Verdict.REFUSED,  # locked
    3016: Verdict.REFUSED,  # malformed: our fault
    4004: Verdict.REFUSED,  # the customer does not exist
    7000: Verdict.REFUSED,  # the customer does not exist
    9002: Verdict.REFUSED,  # the transaction does not exist
}
ONCE_MORE = (REPEATED, 4500)  # say no more than "failed": tried a second time, then given up


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    name = forward.customer.id or ""
    if not 1 <= len(name) <= 100:
        return Outcome(Verdict.REFUSED, f"Gameball takes customer ids of 1 to 100 characters, this one has {len(name)}")
    body = {"customerId": name, "challengeId": challenge(forward), **merged(forward, settings)}
    response = yield call("POST", "/customers/social-challenges", settings, json=body)
    return judge(response, forward)


def judge(response: Response, forward: Forward) -> Outcome:
    status, problem = response.status, response.object()
    code, said = number(problem.get("code")), str(problem.get("message") or "").strip("'\" ")
    note = " ".join(str(part) for part in (status, code or "", said[:200]) if part)
    if response.is_success:
        return accepted(response, problem)
    if status >= 500 or status < 200:
        return Outcome(Verdict.UNCLEAR, f"Gameball answered {note}")
    if status < 400:
        return Outcome(Verdict.MISCONFIGURED, f"Gameball redirects ({status}): base_url is wrong")
    if status == 429:
        return Outcome(Verdict.LATER, "Gameball's quota is used up", retry_after=response.retry_after or THROTTLED)
    if status in (408, 425):
        return Outcome(Verdict.LATER, f"Gameball answered {note}", retry_after=response.retry_after)
    if code == CONCURRENT or "concurrent" in said.lower():
        return Outcome(Verdict.LATER, f"Gameball is at work for this customer: {note}", retry_after=BUSY)
    if status in (401, 403) or re.search(r"\bversion\b", said.lower()):
        return Outcome(Verdict.MISCONFIGURED, f"Gameball refuses us: {note}")
    if status == 404 and code is None:
        return Outcome(Verdict.MISCONFIGURED, "Gameball has no such path: base_url or version is wrong")
    if code == REPEATED and "multiple times" in said.lower():
        if within_window(forward, response):
            return Outcome(Verdict.ACCEPTED, f"our earlier attempt had arrived: {note}")
        return Outcome(Verdict.REFUSED, f"limit reached at the target: somebody else submitted it just now: {note}")
    if code == TOO_OFTEN or status == 409:
        if forward.earlier:
            return Outcome(Verdict.DUPLICATE, f"our earlier attempt had arrived: {note}")
        return Outcome(Verdict.REFUSED, f"limit reached at the target: {note}")
    if code in ONCE_MORE and forward.attempts <= 1:
        return Outcome(Verdict.LATER, f"Gameball says no more than: {note}")
    return Outcome(CODES.get(code or 0, Verdict.REFUSED), f"Gameball refused: {note}")


def accepted(response: Response, answer: Mapping[str, Any]) -> Outcome:
    if not answer:
        return Outcome(Verdict.UNCLEAR, f"Gameball answered {response.status} with something that is not its JSON")
    if answer.get("gameballStatus"):
        said = f"{answer['gameballStatus']} {answer.get('message') or ''}".strip()
        return Outcome(Verdict.MISCONFIGURED, f"the Gameball program is switched off: {said[:200]}", shown=answer)
    return Outcome(Verdict.ACCEPTED, "accepted; the reward follows within minutes", shown=answer)


def within_window(forward: Forward, response: Response) -> bool:
    earlier = forward.earlier
    if earlier is None:
        return False
    return not (earlier.sent_at and response.at) or response.at - earlier.sent_at <= WINDOW


@dataclass(frozen=True, slots=True)
class Progress:
    """What a customer has achieved of one campaign."""

    count: int
    most: int | None  # None: no limit, or it does not say


def ask(forward: Forward, settings: Settings) -> Request:
    path = f"/customers/{quote(forward.customer.id or '', safe='')}/reward-campaigns-progress"
    return call("GET", path, settings, campaignId=str(challenge(forward)))


def progress(response: Response, wanted: int) -> Progress | None:
    """None where the campaign does not exist, is hidden, or is not for this customer: one empty list says all three.

    https://docs.gameball.co/api-reference/customers/progress/get-customer-campaigns-progress
    """
    if response.status in (400, 404, 422):
        return None
    if response.status != 200 or not isinstance(rows := response.json(), list):
        raise Unavailable(f"Gameball answered {response.status} when asked for the customer's progress")
    for row in rows:
        if isinstance(row, dict) and number(row.get("rewardsCampaignId")) == wanted:
            count, terms = number(row.get("achievedCount")), row.get("rewardCampaignConfiguration")
            return None if count is None else Progress(count, most(terms if isinstance(terms, dict) else {}))
    return None


def most(terms: Mapping[str, Any]) -> int | None:
    """How often a customer may achieve it."""
    if terms.get("isRepeatable") is False:
        return 1
    limit = number(terms.get("maxAchievement"))
    return limit if limit and limit > 0 else None


def baseline(forward: Forward, settings: Settings) -> Talk[str]:
    """The count before the call; empty where Gameball does not show one."""
    response = yield ask(forward, settings)
    if response.status in (401, 403):
        return ""  # the call itself will be refused, and its outcome says what is wrong
    seen = progress(response, challenge(forward))
    return "" if seen is None else str(seen.count)


def compare(forward: Forward, baseline: str, settings: Settings, unchanged: str) -> Talk[Outcome]:
    response = yield ask(forward, settings)
    if response.status in (401, 403):
        return Outcome(Verdict.MISCONFIGURED, f"Gameball answered {response.status} when asked for the progress")
    before, seen = number(baseline), progress(response, challenge(forward))
    if seen is None:
        return Outcome(
            Verdict.UNCLEAR, "Gameball shows no progress for this campaign: hidden, or not for this customer"
        )
    if before is None and seen.most == 1 and seen.count >= 1:
        return Outcome(Verdict.DONE, "achieved, and no customer can achieve it twice")
    if before is None or seen.count < before:
        was = "not known" if before is None else str(before)
        return Outcome(Verdict.UNCLEAR, f"achieved {seen.count} times; before the call: {was}")
    if seen.count > before:
        return Outcome(Verdict.DONE, f"achieved {seen.count} times, before the call {before}")
    if seen.most is not None and before >= seen.most:
        return Outcome(Verdict.REFUSED, f"limit reached at the target: achieved {before} of {seen.most} times before")
    return Outcome(Verdict.LATER, f"{unchanged}: achieved {seen.count} times, as before the call")


def reconcile(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    return (yield from compare(forward, baseline, settings, "it did not happen"))


def granted(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    return (yield from compare(forward, baseline, settings, "not granted yet"))


def probe(sends: Sequence[Mapping[str, Any]], settings: Settings) -> Talk[Sequence[str]]:
    """Whether the keys are right and the campaigns are what `challenge_id` needs."""
    response = yield call("GET", "/configurations/reward-campaigns", settings)
    if response.status in (401, 403):
        return [f"Gameball answered {response.status}: api_key or secret_key is wrong"]
    if response.status != 200 or not isinstance(rows := response.json(), list):
        return [f"Gameball answered {response.status} when asked for the campaigns: base_url or version is wrong"]
    campaigns = {number(row.get("id")): row for row in rows if isinstance(row, dict)}
    faults = []
    for wanted in dict.fromkeys(number(send.get("challenge_id")) for send in sends):
        if wanted is None:
            continue  # computed, and so not known before there is evidence
        campaign = campaigns.get(wanted)
        if campaign is None:
            faults.append(f"challenge_id {wanted}: Gameball has no active campaign of this id")
        elif campaign.get("type") != SOCIAL:
            faults.append(f"challenge_id {wanted}: is of type {campaign.get('type')}, and {SOCIAL} is needed")
        elif campaign.get("isActive") is False:
            faults.append(f"challenge_id {wanted}: the campaign is not active")
    return faults


def call(method: str, path: str, settings: Settings, *, json: Any = None, **params: str) -> Request:
    url = f"{(settings.get('base_url') or URL).rstrip('/')}/api/{version(settings)}/integrations{path}"
    # v4.1 wants the secret key with every call, v4.0 with some; both together are always right.
    headers = {"apikey": settings["api_key"], "secretkey": settings["secret_key"]}
    return Request(method, url, params=params, headers=headers, json=json)


def version(settings: Settings) -> str:
    return settings.get("version") or "v4.1"


def challenge(forward: Forward) -> int:
    return int(forward.options["challenge_id"])


def merged(forward: Forward, settings: Settings) -> Mapping[str, str]:
    """What finds the right profile where ids differ between channels.

    https://docs.gameball.co/tutorials/experiences/more/omni-channel
    """
    by = settings.get("merge_by") or "none"
    value = {"email": forward.customer.email, "mobile": forward.customer.phone}.get(by)
    return {by: value} if value else {}


def number(value: Any) -> int | None:
    """A whole number, or a text that is one."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


target = Target(
    name="gameball",
    title="Gameball",
    docs="https://docs.gameball.co/api-reference/customers/management/achieve-social-campaign",
    settings=(
        Setting("api_key", "the API key, from the Gameball dashboard", "secret", required=True),
        Setting("secret_key", "the secret key, shown beside it", "secret", required=True),
        Setting("base_url", "where Gameball is", "url", default=URL),
        Setting("version", "of the API", default="v4.1", choices=("v4.0", "v4.1")),
        Setting("merge_by", "sent with every call", default="none", choices=("none", "email", "mobile")),
    ),
    options=(Option("challenge_id", "the campaign's id", "int", required=True, least=1, example="11664"),),
    send=send,
    base_url=URL,
    repeat_safe_for=timedelta(0),  # it has no idempotency key, and forgets duplicates after "a short window"
    lane=lambda forward: str(challenge(forward)),
    baseline=baseline,
    reconcile=reconcile,
    granted=granted,
    reconcile_after=timedelta(minutes=30),  # "within a few minutes (a short, randomized delay)", with room
    confirm_within=timedelta(minutes=60),
    probe=probe,
    per_second=12,  # the social challenges' quota: 360 in 30 s
    customer="id",
    steps=(
        "Make a campaign of type Social Activities; its id is challenge_id",
        "Copy the API key and the secret key from the dashboard; live and test differ in the API key alone",
    ),
)
