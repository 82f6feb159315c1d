"""The loyalty APIs of the stage: what each really holds for a customer, and what of a call of ours has arrived.

Everything here is read from the stand-ins' own state and journal, whatever the bridge believes. To show another API,
add one to `apis`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from .challenges import Definition, name
from .community import Challenge, Community, History
from .faults import AFTER
from .program import Campaign
from .promotions import Campaign as Draw
from .promotions import Prize
from .standin import StandIn

Row: TypeAlias = Mapping[str, Any]

FOLLOW = Campaign(id=11664, name="Follow us on Twitch", points=50)
ORDER = Campaign(id=11702, name="An order over 50 euro", points=100, repeatable=True, most=-1)
ORDERS = Definition(id=name("definition", 1), name="Five orders", required=5, recurring=True, consent=False)
SUBSCRIBED = Challenge(id=42, title="Subscribe on Twitch")
SPRING = Draw(slug="spring-draw", points={"review": 10}, prizes=(Prize("gold", 500), Prize("silver", 50)), odds=0.5)
WELCOME = {"welcome": 25}  # points by event type


@dataclass(frozen=True, slots=True)
class Told:
    """A forward as an API can know it: by its id, by whom it is for, by when it was tried."""

    id: str
    customer: str
    tries: Sequence[Row] = ()


@dataclass(frozen=True, slots=True)
class Got:
    """What became of a forward at the other end."""

    state: str  # granted, received, promised, none
    text: str
    times: int = 0  # how often the reward exists
    call: str = ""  # which call brought it: one can bring many


Arrived: TypeAlias = Callable[[Told], Got | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A loyalty API of the stage. `name` is that of its table in demo.toml."""

    name: str
    title: str
    stand_in: StandIn
    rewards: tuple[str, ...]  # how the paths of calls that ask for a reward end
    holds: Callable[[Mapping[str, Any], str], str]  # of its state and a customer: what the customer has, in words
    arrived: Callable[[StandIn], Arrived]  # of what it is now: what has come of each forward

    @property
    def calls(self) -> int:
        """How many calls have asked it for a reward."""
        asked = [one for one in self.stand_in.journal if one["method"] == "POST"]
        return sum(1 for one in asked if one["path"].endswith(self.rewards))

    def held_for(self, customer: str) -> str:
        return self.holds(self.stand_in.state(), customer)


class Busy(Community):
    """A community in which, once it is told to, a sale moves the score of whoever is paid next."""

    sale = 0

    def add(self, id_: int, given: Mapping[str, Any], now: datetime, *, key: str = "") -> History:
        made = super().add(id_, given, now, key=key)
        self.move(id_, score=self.sale, points=self.sale)
        self.sale = 0
        return made


def contact(customer: str) -> str:
    """The id of a customer's contact at Voyado."""
    return name(f"customer/{customer}", 0)


def apis(*, gameball: StandIn, voyado: StandIn, popsell: StandIn, gamifyhost: StandIn, crm: StandIn) -> Sequence[Api]:
    """All of them, in the order in which the page shows them."""
    return (
        Api(
            name="gameball",
            title="Gameball",
            stand_in=gameball,
            rewards=("/social-challenges",),
            holds=lambda state, customer: f"{state['customers'][customer]['points']} points",
            arrived=_submissions,
        ),
        Api(
            name="voyado",
            title="Voyado",
            stand_in=voyado,
            rewards=("/checkpoints",),
            holds=_checkpoints,
            arrived=_rows,
        ),
        Api(
            name="popsell",
            title="Popsell",
            stand_in=popsell,
            rewards=("/challenge-histories",),
            holds=_score,
            arrived=_histories,
        ),
        Api(
            name="gamifyhost",
            title="GamifyHost",
            stand_in=gamifyhost,
            rewards=("/events", "/points/award"),
            holds=_plays,
            arrived=_entries,
        ),
        Api(name="crm", title="CRM", stand_in=crm, rewards=("/hook",), holds=_messages, arrived=_received),
    )


# --- what a customer has -----------------------------------------------------------------------------------------


def _checkpoints(state: Mapping[str, Any], customer: str) -> str:
    runs = state["contacts"][contact(customer)]["challenges"]
    over = sum(1 for run in runs if run["isChallengeCompleted"])
    now = next((run for run in reversed(runs) if not run["isChallengeCompleted"]), None)
    done = now["completedCheckpoints"] if now else 0
    return f"{done} of {ORDERS.required} checkpoints" + (f", {over} times full" if over else "")


def _score(state: Mapping[str, Any], customer: str) -> str:
    one = state["ambassadors"][customer]
    return f"{one['sell_token_amount']} points, score {one['gamification_score']}"


def _plays(state: Mapping[str, Any], customer: str) -> str:
    one = state["users"].get(customer, {"balance": 0, "campaigns": {}, "codes": []})
    drawn = one["campaigns"].get(SPRING.slug, {"events": 0, "points": 0})
    said = [f"{one['balance'] + drawn['points']} points"]
    if drawn["events"]:
        said.append(f"{drawn['events']} play{'s' if drawn['events'] > 1 else ''}")
    if codes := one["codes"]:
        said.append(f"{f'{len(codes)} prizes' if len(codes) > 1 else 'prize'} {masked(codes[-1])}")
    return ", ".join(said)


def _messages(state: Mapping[str, Any], customer: str) -> str:
    mine = [one for one in state["messages"].values() if one["data"]["customer"]["id"] == customer]
    return f"told {times(len(mine))}" if mine else "not told yet"


def masked(code: str) -> str:
    """Enough of a prize code to tell two campaigns apart, and nothing that redeems it."""
    return code.partition("-")[0] + "-********"


# --- what has come of a forward ----------------------------------------------------------------------------------


def _submissions(api: StandIn) -> Arrived:
    points, mine = {one.id: one.points for one in (FOLLOW, ORDER)}, _by("key", api.state()["submissions"])

    def arrived(told: Told) -> Got | None:
        rows = mine[told.id]
        granted = [row for row in rows if row["fate"] == "granted"]
        if granted:
            total = sum(points[row["campaign"]] for row in granted)
            return Got("granted", f"+{total} points, {times(len(granted))}", len(granted), told.id)
        if any(row["fate"] == "waiting" for row in rows):
            return Got("promised", "accepted, not granted yet", call=told.id)
        return Got("none", rows[-1]["why"], call=told.id) if rows else None

    return arrived


def _rows(api: StandIn) -> Arrived:
    """A call of many rows has a name of its own, so a forward is known by its contact and its time."""
    taken = {(row["key"], row["contact"]): row["amount"] for row in api.state()["given"] if not row["why"]}
    came: dict[str, list[tuple[datetime, str, int]]] = defaultdict(list)
    for one in api.journal:
        took_effect = one["fault"] is None or one["fault"] in AFTER
        if one["path"].endswith("/checkpoints") and took_effect and isinstance(one["body"], list):
            at, call = datetime.fromisoformat(one["at"]), one["headers"].get("webhook-id", "")
            for row in one["body"]:
                came[row["contactId"]].append((at, call, len(one["body"])))

    def arrived(told: Told) -> Got | None:
        who = contact(told.customer)
        calls = {
            (call, size)
            for at, call, size in came[who]
            if (call, who) in taken and any(_during(at, one) for one in told.tries)
        }
        if not calls:
            return None
        total, (call, size) = sum(taken[one, who] for one, _ in calls), max(calls)
        among = f", in a call of {size}" if size > 1 else ""
        return Got(
            "granted", f"+{total} checkpoint{'s' if total > 1 else ''}, {times(len(calls))}{among}", len(calls), call
        )

    return arrived


def _during(at: datetime, attempt: Row) -> bool:
    """Whether a call came while this attempt was under way; a contact has one at a time."""
    sent, ended = attempt.get("sent_at"), attempt.get("ended_at")
    came = int(at.timestamp() * 1000)
    return sent is not None and sent <= came and (ended is None or came <= ended)


def _histories(api: StandIn) -> Arrived:
    mine = _by("key", api.state()["histories"])

    def arrived(told: Told) -> Got | None:
        rows = mine[told.id]
        points, score = (sum(row[field] for row in rows) for field in ("points", "score"))
        said = f"+{points} points, +{score} score, {times(len(rows))}"
        return Got("granted", said, len(rows), told.id) if rows else None

    return arrived


def _entries(api: StandIn) -> Arrived:
    state = api.state()
    plays, awards = _by("key", state["events"]), _by("reference", state["awards"])

    def arrived(told: Told) -> Got | None:
        if played := plays[told.id]:
            return Got("granted", f"a play in {played[0]['campaign']}, {times(len(played))}", len(played), told.id)
        given = awards[told.id]
        total = sum(row["points"] for row in given)
        return Got("granted", f"+{total} points, {times(len(given))}", len(given), told.id) if given else None

    return arrived


def _received(api: StandIn) -> Arrived:
    state = api.state()

    def arrived(told: Told) -> Got | None:
        if told.id not in state["messages"]:
            return None
        came, code = state["times"][told.id], state["messages"][told.id]["data"].get("code")
        prize = f", with the prize code {masked(code)}" if code else ""
        said = "once" if came == 1 else f"came {times(came)}, counted once"
        return Got("received", said + prize, 1, told.id)

    return arrived


def _by(field: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[str(row[field])].append(row)
    return found


def times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def moment(value: object) -> datetime | None:
    """A time from a row: a datetime, ISO 8601, or milliseconds since 1970."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value / 1000, UTC)
    if isinstance(value, str) and value:
        parsed = datetime.fromisoformat(value)
        return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return None
