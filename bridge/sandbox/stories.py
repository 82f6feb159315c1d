"""What became of each press of a button, told from the bridge's rows: delivery, evidence, rule, forward,
attempts, reward. Pure: rows and stand-ins in, words out.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from .loyalty import Got, Row, Told, moment
from .stage import Played, Stage

#: How a send is called that passes an answer on.
TOLD = ".tell"


@dataclass(frozen=True, slots=True)
class Step:
    """One stop on the way."""

    name: str
    state: str  # the word, and what its colour follows
    text: str = ""
    real: bool = False  # whether it is what has arrived, and not what the bridge believes


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
    targets: Sequence[Row] = ()


#: What it means that nothing was taken.
REFUSED: Mapping[str, str] = {
    "rejected": "Refused before anything was read. It is kept among the rejections.",
    "unavailable": "It could not be written down, so it was not acknowledged: the sender will come again.",
    "unanswered": "The bridge did not answer; the sender will come again.",
}


def received(stage: Stage, rows: Rows) -> Mapping[str, Got]:
    """What has really come of each forward, by its id."""
    tries: dict[str, list[Row]] = defaultdict(list)
    for one in rows.attempts:
        tries[str(one.get("forward"))].append(one)
    looks = {api.name: api.arrived(api.stand_in) for api in stage.apis}
    found = {}
    for row in rows.forwards:
        look, id_ = looks.get(str(row.get("target"))), str(row.get("id"))
        customer = str(json.loads(row.get("customer") or "{}").get("id") or "")
        if look and (got := look(Told(id_, customer, tries[id_]))):
            found[id_] = got
    return found


def told(stage: Stage, rows: Rows, got: Mapping[str, Got], now: datetime) -> Sequence[Story]:
    """The stories, newest first. `got`: what `received` has found."""
    return [_story(played, stage, rows, got, now) for played in reversed(stage.played)]


def _story(played: Played, stage: Stage, rows: Rows, got: Mapping[str, Got], now: datetime) -> Story:
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
    follows = [row for one in found for row in _follows(one, rows)]
    if len(found) > 1:
        trunk.append(Step("Evidence", str(seen.get("state", "")), f"{len(found)} times {_action(seen)}"))
        return Story(played, trunk, _crowd(follows, stage, got))
    trunk.append(_evidence(seen, stage))
    branches = [_branch(row, stage, rows, got, now) for row in follows]
    return Story(played, trunk, branches, "" if branches else _why(seen))


def _crowd(follows: Sequence[Row], stage: Stage, got: Mapping[str, Got]) -> Sequence[Sequence[Step]]:
    """Many forwards of the same rules: one branch for each rule and target."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in follows:
        groups[str(row.get("rule")), str(row.get("target"))].append(row)
    branches = []
    for (rule, target), members in groups.items():
        states = Counter(str(row.get("state")) for row in members)
        slowest = next((one for one in ("held", "failed", "pending", "accepted") if one in states), "delivered")
        counted = ", ".join(f"{count} {state}" for state, count in states.items())
        steps = [Step("Rule", "applies", rule), Step("Forwards", slowest, counted)]
        there = [got[str(row["id"])] for row in members if str(row["id"]) in got]
        if there:
            calls = len({one.call for one in there})
            carried = f"{len(there)} in {'one call' if calls == 1 else f'{calls} calls'}"
            steps.append(Step("Calls", "done" if len(there) == len(members) else "open", carried))
            total = sum(one.times for one in there)
            even = "once each" if all(one.times == 1 for one in there) else "not once each"
            steps.append(Step(stage.api(target).title, there[0].state, f"{total} of {len(members)}, {even}", real=True))
        branches.append(steps)
    return branches


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
    account = str(row.get("account") or "")
    said = " by ".join(part for part in (_action(row), stage.names().get(account, account)) if part)
    return Step("Evidence", str(row.get("state", "")), said)


def _action(row: Row) -> str:
    return f"{row.get('source', '')}.{row.get('action', '')}{', undone' if row.get('undone') else ''}"


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


def _branch(row: Row, stage: Stage, rows: Rows, got: Mapping[str, Got], now: datetime) -> Sequence[Step]:
    forward = str(row.get("id"))
    state = str(row.get("state", ""))
    passes = str(row.get("send") or "").endswith(TOLD)
    why = "undo" if row.get("kind") == "undo" else "tells" if passes else "applies"
    steps = [Step("Rule", why, str(row.get("rule", "")))]
    tried = sorted((one for one in rows.attempts if one.get("forward") == forward), key=lambda one: one["number"])
    reason = str(row.get("reason") or "")
    for one in tried:  # what the attempt says itself need not be said twice
        reason = reason.replace(str(one.get("note") or ""), "").strip(": ")
    to = stage.api(str(row.get("target"))).title
    paused = {one.get("name") for one in rows.targets if one.get("paused_at") is not None}
    if state == "pending" and row.get("target") in paused:
        steps.append(Step("Forward", state, f"waits: {to} is paused"))
    else:
        steps.append(Step("Forward", state, _waits(row, reason, now, to) or f"to {to}"))
    for one in tried[-3:]:
        verdict = str(one.get("verdict") or "open")
        number = f"{one['number']}: " if len(tried) > 1 else ""
        steps.append(Step("Attempt", verdict, number + _learned(one)))
    if there := got.get(forward):
        steps.append(Step(to, there.state, there.text, real=True))
    return steps


def _learned(attempt: Row) -> str:
    """What an attempt taught, and how: by its answer, or by asking later where none came."""
    status, note = attempt.get("status"), str(attempt.get("note") or "")
    ended, resolved = attempt.get("ended_at"), attempt.get("resolved_at")
    if attempt.get("resolution") and ended is not None and resolved is not None and ended < resolved:
        return f"{f'answered {status}' if status else 'no answer'}; asked later: {note}"
    return note or (f"answered {status}" if status else "")


def _waits(row: Row, reason: str, now: datetime, to: str) -> str:
    due = moment(row.get("due_at"))
    if due is None or row.get("state") not in ("pending", "accepted"):
        return reason
    left = round((due - now).total_seconds())
    if row.get("state") == "accepted":
        return f"asks in {_long(max(left, 0))} whether it was granted"
    return f"due in {_long(left)}{': ' + reason if reason else ''}" if left > 0 else f"to {to}, now"


def _long(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
