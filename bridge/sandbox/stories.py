"""What became of each press of a button, told from the bridge's rows: delivery, evidence, rule, forward,
attempts, points. Pure: rows and stand-ins in, words out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

from .program import Program
from .receiver import Inbox
from .stage import Played, Stage

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One stop on the way."""

    name: str
    state: str  # the word, and what its colour follows
    text: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """One press of a button and everything that followed."""

    played: Played
    trunk: Sequence[Step]
    branches: Sequence[Sequence[Step]]  # one for each forward
    end: str = ""  # why nothing followed, where nothing did

    @property
    def key(self) -> str:
        return f"story-{self.played.number}"

    @property
    def last(self) -> Step | None:
        """Where it has got to."""
        ways = [branch for branch in self.branches if branch]
        return ways[-1][-1] if ways else self.trunk[-1] if self.trunk else None


@dataclass(frozen=True, slots=True)
class Rows:
    """What the bridge has lately, by kind."""

    deliveries: Sequence[Row] = ()
    rejections: Sequence[Row] = ()
    evidence: Sequence[Row] = ()
    forwards: Sequence[Row] = ()
    attempts: Sequence[Row] = ()


#: What it means that nothing was taken.
REFUSED: Mapping[str, str] = {
    "rejected": "Refused before anything was read. It is kept among the rejections.",
    "unavailable": "It could not be written down, so it was not acknowledged: the sender will come again.",
    "unanswered": "The bridge did not answer; the sender will come again.",
}


def told(stage: Stage, rows: Rows, now: datetime) -> Sequence[Story]:
    """The stories, newest first."""
    return [_story(played, stage, rows, now) for played in reversed(stage.played)]


def _story(played: Played, stage: Stage, rows: Rows, now: datetime) -> Story:
    if not played.answers:
        return Story(played, (), ())
    trunk = [_delivered(played)]
    if not any(answer.taken for answer in played.answers):
        return Story(played, trunk, (), REFUSED.get(trunk[0].state, ""))
    if all(_word(answer.status, answer.object()) == "duplicate" for answer in played.answers):
        return Story(played, trunk, (), "Known already: acknowledged, so that the sender stops, and nothing more.")
    found = [row for row in rows.evidence if row.get("delivery") in played.deliveries]
    if not found:
        return Story(played, trunk, (), "A new delivery of a fact that is known: it earns nothing again.")
    seen = found[0]
    trunk.append(_evidence(seen, stage))
    branches = [_branch(row, stage, rows, now) for row in _follows(seen, rows)]
    return Story(played, trunk, branches, "" if branches else _why(seen))


def _delivered(played: Played) -> Step:
    words = Counter(_word(answer.status, answer.object()) for answer in played.answers)
    state = next((word for word in ("accepted", "ignored", "duplicate") if word in words), next(iter(words)))
    state = {"accepted": "processed"}.get(state, state)
    statuses = sorted({answer.status for answer in played.answers})
    answered = " and ".join(str(status) if status else "nothing" for status in statuses)
    times = f"{len(played.answers)} times " if len(played.answers) > 1 else ""
    return Step("Delivery", state, f"{times}answered {answered}")


def _word(status: int, said: Row) -> str:
    if status == 0 or status >= 500:
        return "unanswered" if status == 0 else "unavailable"
    if not 200 <= status < 300:
        return "rejected"
    return str(said.get("status", "accepted"))


def _evidence(row: Row, stage: Stage) -> Step:
    action = f"{row.get('source', '')}.{row.get('action', '')}"
    if row.get("undone"):
        action += ", undone"
    account = str(row.get("account") or "")
    names = {viewer.id: viewer.name for person in stage.people for viewer in (person.first, person.second)}
    names |= {person.customer: person.name for person in stage.people}
    said = " by ".join(part for part in (action, names.get(account, account)) if part)
    return Step("Evidence", str(row.get("state", "")), said)


def _why(row: Row) -> str:
    """Why a fact is owed nothing."""
    if row.get("state") == "waiting":
        return "Nobody knows yet whose account this is. It waits until the customer is linked, and counts then."
    if row.get("undone"):
        return "There was nothing to withdraw."
    said = str(row.get("reason") or "")
    return f"No rule owes anything for it{': ' + said if said else ''}."


def _follows(seen: Row, rows: Rows) -> Sequence[Row]:
    """The forwards of this evidence; for something undone, those of what it undoes."""
    same = {seen.get("id")}
    if seen.get("undone"):
        same |= {
            row.get("id")
            for row in rows.evidence
            if (row.get("source"), row.get("key")) == (seen.get("source"), seen.get("key"))
        }
    return sorted((row for row in rows.forwards if row.get("evidence") in same), key=lambda row: str(row.get("id")))


def _branch(row: Row, stage: Stage, rows: Rows, now: datetime) -> Sequence[Step]:
    forward = str(row.get("id"))
    state = str(row.get("state", ""))
    steps = [Step("Rule", "undo" if row.get("kind") == "undo" else "applies", str(row.get("rule", "")))]
    tried = sorted((one for one in rows.attempts if one.get("forward") == forward), key=lambda one: one["number"])
    reason = str(row.get("reason") or "")
    for one in tried:  # what the attempt says itself need not be said twice
        reason = reason.replace(str(one.get("note") or ""), "").strip(": ")
    steps.append(Step("Forward", state, _waits(row, reason, now) or f"to {row.get('target', '')}"))
    for one in tried[-3:]:
        verdict = str(one.get("verdict") or "open")
        number = f"{one['number']}: " if len(tried) > 1 else ""
        steps.append(Step("Attempt", verdict, number + _learned(one)))
    if got := _got(row, forward, stage.program, stage.inbox):
        steps.append(got)
    return steps


def _learned(attempt: Row) -> str:
    """What an attempt taught, and how: by its answer, or by asking later where none came."""
    status, note = attempt.get("status"), str(attempt.get("note") or "")
    if attempt.get("resolution") and attempt.get("sent_at") and status is None:
        return f"no answer; asked later: {note}"
    return note or (f"answered {status}" if status else "")


def _waits(row: Row, reason: str, now: datetime) -> str:
    due = moment(row.get("due_at"))
    if due is None or row.get("state") not in ("pending", "accepted"):
        return reason
    left = round((due - now).total_seconds())
    if row.get("state") == "accepted":
        return f"asks in {_long(max(left, 0))} whether it was granted"
    return f"due in {_long(left)}{': ' + reason if reason else ''}" if left > 0 else f"to {row.get('target', '')}, now"


def _long(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


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


def _got(row: Row, forward: str, program: Program, inbox: Inbox) -> Step | None:
    """What really arrived at the other end, whatever the bridge believes."""
    mine = [one for one in program.submissions if one.key == forward]
    granted = [one for one in mine if one.fate == "granted"]
    if granted:
        points = sum(program.campaigns[one.campaign].points for one in granted)
        return Step("Points", "granted", f"+{points} points, {_times(len(granted))}")
    if any(one.fate == "waiting" for one in mine):
        return Step("Points", "promised", "accepted, not granted yet")
    if mine:
        return Step("Points", "none", mine[-1].why)
    if forward in inbox.times:
        came = inbox.times[forward]
        return Step("CRM", "received", "once" if came == 1 else f"came {_times(came)}, counted once")
    return None


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
