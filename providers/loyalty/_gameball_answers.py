"""How Gameball is addressed, and what its answers prove: one verdict for each.

https://docs.gameball.co/api-reference/overview/status-error-codes, and the errors on the page of each call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bridge.kit import BadPayload, Forward, Kind, Outcome, Request, Response, Settings, Verdict, moment

URL = "https://api.gameball.co"

#: No answer names the wait. The quota is 360 calls in 30 s.
#: https://docs.gameball.co/api-reference/overview/rate-limiting
THROTTLED = timedelta(seconds=30)
BUSY = timedelta(seconds=5)

#: For how long "can't send this action multiple times" can still speak of an earlier attempt of ours. Their
#: page says "a short window" and no more; after this long the other one was sent by somebody else.
WINDOW = timedelta(hours=1)

CONCURRENT, TOO_OFTEN, REPEATED = 2001, 3011, 4000
EMAIL_TAKEN, KNOWN_ALREADY = 3008, 7001
NOT_FOUND, NO_CUSTOMER = 4004, 7000
SAME_TIME, SAME_ID, SHORT = 9003, 9004, 9008

#: What a code of an error means, whatever its status.
CODES: Mapping[int, Verdict] = {
    1000: Verdict.MISCONFIGURED,  # the API key is missing or wrong
    1001: Verdict.MISCONFIGURED,  # the secret key is missing or wrong
    1002: Verdict.MISCONFIGURED,  # no permission
    1006: Verdict.MISCONFIGURED,  # the secret key is missing; on the page of social campaigns alone
    6000: Verdict.MISCONFIGURED,  # the program is switched off
    6003: Verdict.MISCONFIGURED,  # no permission
    8000: Verdict.MISCONFIGURED,  # not in the plan
    2000: Verdict.REFUSED,  # a precondition
    3000: Verdict.REFUSED,  # something is missing: our fault
    3001: Verdict.REFUSED,  # a null value
    3002: Verdict.REFUSED,  # the media type
    3003: Verdict.REFUSED,  # an invalid value
    3004: Verdict.REFUSED,  # not achievable, or the customer is not eligible
    EMAIL_TAKEN: Verdict.REFUSED,  # another customer has this address
    3009: Verdict.REFUSED,  # the customer or the campaign is inactive
    TOO_OFTEN: Verdict.REFUSED,  # beyond a limit
    3013: Verdict.REFUSED,  # the media type
    3014: Verdict.REFUSED,  # locked
    3015: Verdict.REFUSED,  # locked
    3016: Verdict.REFUSED,  # malformed: our fault
    NOT_FOUND: Verdict.REFUSED,  # of an award: the customer does not exist
    NO_CUSTOMER: Verdict.REFUSED,  # the customer does not exist
    9002: Verdict.REFUSED,  # the transaction does not exist
    SHORT: Verdict.REFUSED,  # the customer has fewer points than that
}
#: Say no more than "failed", or blame a time that Gameball itself has set: tried a second time, then given up.
ONCE_MORE = (REPEATED, 4500, 9007)


def call(
    method: str,
    path: str,
    settings: Settings,
    *,
    json: Any = None,
    repeatable: bool = False,
    params: Mapping[str, str] | None = None,
) -> Request:
    url = f"{(settings.get('base_url') or URL).rstrip('/')}/api/{settings.get('version') or 'v4.1'}/integrations{path}"
    # v4.1 wants the secret key with every call, v4.0 with some; both together are always right.
    # https://docs.gameball.co/api-reference/introduction-v4.1 "Integrations v4.1 – What Changed"
    headers = {"apikey": settings["api_key"], "secretkey": settings["secret_key"]}
    return Request(method, url, params=params or {}, headers=headers, json=json, repeatable=repeatable)


def named(forward: Forward) -> str:
    return forward.customer.id or ""


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
    """A whole number, or a text that is one: their pages write ids either way."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def whole(value: Any) -> int | None:
    """A positive whole number of points; None where it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        return None
    return int(value) if value == int(value) else None


def time_of(value: Any) -> datetime | None:
    """A time without a zone: "in UTC" says the page about transactions, and the others say nothing."""
    try:
        return moment(value) if isinstance(value, str) else None
    except BadPayload:
        return None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, taken apart. Some calls say `{"error": 400, "message": ...}`, and then there is no code."""

    status: int
    code: int | None
    words: str
    answer: Mapping[str, Any]

    @property
    def note(self) -> str:
        return " ".join(str(part) for part in (self.status, self.code or "", self.words[:200]) if part)

    @property
    def no_customer(self) -> bool:
        """Whether the customer does not exist. 4004 is "not found" at large, and could speak of a campaign."""
        words = self.words.lower()
        of_another = "customer" not in words and re.search(r"campaign|challenge", words)
        return self.code == NO_CUSTOMER or (self.code == NOT_FOUND and not of_another)


def said(response: Response) -> Said:
    answer = response.object()
    words = str(answer.get("message") or "").strip("'\" ")
    return Said(response.status, number(answer.get("code")), words, answer)


def award(response: Response, forward: Forward) -> Outcome:
    """https://docs.gameball.co/api-reference/customers/management/achieve-social-campaign "Errors" """
    one = said(response)
    if response.is_success:
        if not one.answer:
            return unreadable(one)
        return switched_off(one) or Outcome(Verdict.ACCEPTED, "accepted; the reward follows within minutes")
    if outcome := at_large(one, response):
        return outcome
    if one.code == REPEATED and "multiple times" in one.words.lower():
        if within_window(forward, response):
            return Outcome(Verdict.ACCEPTED, f"our earlier attempt had arrived: {one.note}")
        return Outcome(Verdict.REFUSED, f"limit reached at the target: somebody else submitted it just now: {one.note}")
    if one.code == TOO_OFTEN or one.status == 409:
        if forward.earlier:
            return Outcome(Verdict.DUPLICATE, f"our earlier attempt had arrived: {one.note}")
        return Outcome(Verdict.REFUSED, f"limit reached at the target: {one.note}")
    return replace(by_code(one, forward), missing=one.no_customer)


def customer(response: Response, forward: Forward) -> Outcome:
    """An upsert: a repeat changes nothing, so nothing is ever in doubt.

    https://docs.gameball.co/api-reference/customers/management/create-customer
    """
    one = said(response)
    if response.is_success and (id_ := number(one.answer.get("gameballId"))) is not None:
        return Outcome(Verdict.DONE, "Gameball knows the customer now", reference=str(id_))
    if response.is_success:
        return switched_off(one) or replace(unreadable(one), verdict=Verdict.LATER)
    if outcome := at_large(one, response):
        return outcome if outcome.verdict is not Verdict.UNCLEAR else replace(outcome, verdict=Verdict.LATER)
    if one.code == KNOWN_ALREADY:
        return Outcome(Verdict.DONE, f"Gameball knows the customer: {one.note}")
    if one.code == EMAIL_TAKEN:
        why = f"another customer at Gameball has this e-mail address: {one.note}"
        return Outcome(Verdict.REFUSED, f'{why}; if they are one person, set merge_by = "email"')
    return by_code(one, forward)


def deduction(response: Response, forward: Forward) -> Outcome:
    """A manual transaction: `transactionId` is the forward's own id, which nobody else can have used.

    https://docs.gameball.co/api-reference/transactions/transaction-management/manual-transaction
    """
    one = said(response)
    if response.is_success and (id_ := number(one.answer.get("gameballTransactionId"))) is not None:
        return Outcome(Verdict.DONE, "taken back", reference=str(id_))
    if response.is_success:
        return switched_off(one) or unreadable(one)
    if outcome := at_large(one, response):
        return outcome
    if one.code == SAME_ID:
        return Outcome(Verdict.DUPLICATE, f"our earlier attempt had arrived: {one.note}")
    if one.code == SAME_TIME:  # without transactionTime the time is Gameball's own, and the next try has another
        return Outcome(Verdict.LATER, f"another transaction has the same time: {one.note}", retry_after=BUSY)
    if one.code == SHORT:
        return by_hand(f"the customer has fewer points than the reward gave ({one.note})", forward)
    if one.no_customer:
        return by_hand(f"the customer does not exist any more ({one.note})", forward)
    return by_code(one, forward)


def at_large(one: Said, response: Response) -> Outcome | None:
    """What a refusal means whatever was asked; None where its code decides."""
    if one.status >= 500 or one.status < 200:
        return Outcome(Verdict.UNCLEAR, f"Gameball answered {one.note}")
    if one.status < 400:
        return Outcome(Verdict.MISCONFIGURED, f"Gameball redirects ({one.status}): base_url is wrong")
    if one.status == 429:
        return Outcome(Verdict.LATER, "Gameball's quota is used up", retry_after=response.retry_after or THROTTLED)
    if one.status in (408, 425):
        return Outcome(Verdict.LATER, f"Gameball answered {one.note}", retry_after=response.retry_after)
    if one.code == CONCURRENT or "concurrent" in one.words.lower():
        return Outcome(Verdict.LATER, f"Gameball is at work for this customer: {one.note}", retry_after=BUSY)
    if one.status in (401, 403) or speaks_of_version(one):
        return Outcome(Verdict.MISCONFIGURED, f"Gameball refuses us: {one.note}")
    if one.status == 404 and one.code is None:
        return Outcome(Verdict.MISCONFIGURED, "Gameball has no such path: base_url or version is wrong")
    return None


def by_code(one: Said, forward: Forward) -> Outcome:
    if one.code in ONCE_MORE and forward.attempts <= 1:
        return Outcome(Verdict.LATER, f"Gameball says no more than: {one.note}")
    verdict, why = CODES.get(one.code or 0, Verdict.REFUSED), f"Gameball refused: {one.note}"
    return by_hand(why, forward) if forward.kind is Kind.UNDO and verdict is Verdict.REFUSED else Outcome(verdict, why)


def speaks_of_version(one: Said) -> bool:
    """A merchant can set the least version that is served; how older ones are refused is not documented.

    https://docs.gameball.co/api-reference/introduction-v4.1 "Minimum Secure Version"
    """
    return bool(re.search(r"\bversion\b", one.words.lower()))


def switched_off(one: Said) -> Outcome | None:
    """While the program is disabled a call is answered as ever, with a status besides."""
    if not one.answer.get("gameballStatus"):
        return None
    told = f"{one.answer['gameballStatus']} {one.words}".strip()
    # Whether it keeps what it took meanwhile, and grants it once it is on again, no page says.
    return Outcome(Verdict.MISCONFIGURED, f"the Gameball program is switched off: {told[:200]}", taken=True)


def unreadable(one: Said) -> Outcome:
    return Outcome(Verdict.UNCLEAR, f"Gameball answered {one.status} with something that is not its JSON")


def by_hand(why: str, forward: Forward) -> Outcome:
    """A claw-back that a person makes. Where a call of ours may have arrived it must not be made twice."""
    first = f"look in Gameball for the transaction {forward.id}, and if it is not there " if forward.earlier else ""
    return Outcome(Verdict.REFUSED, f"{why}: {first}take it back by hand in Gameball, then confirm this forward")


def within_window(forward: Forward, response: Response) -> bool:
    earlier = forward.earlier
    if earlier is None:
        return False
    return not (earlier.sent_at and response.at) or response.at - earlier.sent_at <= WINDOW
