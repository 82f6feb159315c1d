"""Marks a Social Activities campaign as achieved for a customer.

Accepted is not yet rewarded: Gameball answers 202 and grants the reward minutes later, if at all. It forgets
what it accepted after a short while, so a repeat may pay twice. What happened is read from the customer's
progress, compared with what it showed before the call. A reward is taken back by a manual transaction, which
Gameball takes once for its id.
https://docs.gameball.co/api-reference/customers/management/achieve-social-campaign
"""

from __future__ import annotations

from datetime import timedelta

from bridge.kit import Fact, Forward, Kind, Option, Outcome, Setting, Settings, Talk, Target, Unavailable, Verdict

from . import _gameball_answers as answers
from . import _gameball_ledger as ledger
from . import _gameball_progress as progress
from ._gameball_answers import URL, call, challenge, merged, named

#: For how long the id of a manual transaction is known to be refused a second time (9004). Their page names no end
#: of it; a week outlasts every attempt of the schedule, and after that the ledger is read.
REMEMBERED = timedelta(days=7)


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    if unfit := misnamed(forward):
        return unfit
    body = {"customerId": named(forward), "challengeId": challenge(forward), **merged(forward, settings)}
    response = yield call("POST", "/customers/social-challenges", settings, json=body)
    return answers.award(response, forward)


def misnamed(forward: Forward) -> Outcome | None:
    length = len(named(forward))
    if 1 <= length <= 100:
        return None
    return Outcome(Verdict.REFUSED, f"Gameball takes customer ids of 1 to 100 characters, this one has {length}")


def create(forward: Forward, settings: Settings) -> Talk[Outcome]:
    """Make the customer known. That may start what the merchant gives to whoever joins, a welcome bonus say."""
    if unfit := misnamed(forward):
        return unfit
    who = forward.customer
    known = {"customerId": who.id, "email": who.email, "mobile": who.phone}
    body = {name: value for name, value in known.items() if value}
    response = yield call("POST", "/customers", settings, json=body, repeatable=True)
    return answers.customer(response, forward)


def baseline(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    """Before an award the customer's count; before a claw-back the points that it is about to take."""
    if forward.kind is Kind.UNDO:
        found = yield from points(forward, settings)
        return found if isinstance(found, Outcome) else ledger.kept(found)
    return misnamed(forward) or (yield from progress.before(forward, settings))


def points(forward: Forward, settings: Settings) -> Talk[int | Outcome]:
    """What a claw-back takes: read once, and the same on every attempt, because an earlier one may have arrived."""
    for known in (forward.baseline, forward.earlier.baseline if forward.earlier else ""):
        if found := ledger.points_of(known):
            return found
    return (yield from ledger.given(forward, settings))


def undo(forward: Forward, settings: Settings) -> Talk[Outcome]:
    try:
        found = yield from points(forward, settings)
    except Unavailable as failure:
        return Outcome(Verdict.LATER, failure.message)  # nothing but reads has left
    return found if isinstance(found, Outcome) else (yield from ledger.deduct(forward, found, settings))


def reconcile(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    if forward.kind is Kind.UNDO:
        return (yield from ledger.deducted(forward, settings))
    return (yield from progress.after(forward, baseline, settings, "it did not happen"))


def granted(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    return (yield from progress.after(forward, baseline, settings, "not granted yet"))


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
    repeat_safe=lambda forward: REMEMBERED if forward.kind is Kind.UNDO else timedelta(0),
    lane=lambda forward: str(challenge(forward)),
    baseline=baseline,
    # Never: others write too, the widget first of all. What they add after a confirming read would be read as ours.
    baseline_keeps=timedelta(0),
    reconcile=reconcile,
    granted=granted,
    reconcile_after=timedelta(minutes=30),  # "within a few minutes (a short, randomized delay)", with room
    confirm_within=timedelta(minutes=60),
    undo=undo,
    customer="id",
    create=create,
    per_second=12,  # the social challenges' quota: 360 in 30 s
    shows=(  # of the record that shows the reward: the call itself is answered with what was sent
        Fact("rewardsCampaignName", "string", "the campaign's name"),
        Fact("achievedCount", "int", "how often the customer has achieved it"),
        Fact("points", "double", "what the campaign gives, where it gives a fixed number of points"),
    ),
    probe=progress.probe,
    steps=(
        "Make a campaign of type Social Activities; its id is challenge_id",
        "Copy the API key and the secret key from the dashboard; live and test differ in the API key alone",
    ),
)
