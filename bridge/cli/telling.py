"""A story as a vertical timeline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .words import Paper, Part, plural, state

Told = Mapping[str, Any]


def tell(paper: Paper, parts: Sequence[Told]) -> None:
    """Every part with its time, one below the other; the one that was asked for stands out."""
    day = ""
    for place, part in enumerate(parts):
        whole = paper.whole(part["leased_at"] if part["what"] == "attempt" else _began(part))
        if whole[:10] != day:
            day = whole[:10]
            if place:
                paper.say(("│", "dim"))
            paper.say((day, "dim"))
        last = place == len(parts) - 1
        head, lines = _told(paper, part)
        mark: Part = ("● ", "bold") if part["asked"] else ("├ " if not last else "└ ", "dim")
        paper.say(mark, (whole[11:], "dim"), "  ", *head, hang=16)
        for line in lines:
            bar: Part = ("  " if last else "│ ", "dim")
            _under(paper, bar, line)


def _began(part: Told) -> str | None:
    for name in ("received_at", "created_at", "linked_at"):
        if part.get(name):
            return str(part[name])
    return str(part["at"])


def _under(paper: Paper, bar: Part, line: str | tuple[str, str]) -> None:
    words, style = line if isinstance(line, tuple) else (line, "")
    if paper.wide:
        paper.say(bar, " " * 14, (words, style))
        return
    from .words import text

    for wrapped in text([(words, style)]).wrap(paper.console, max(20, paper.width - 16)):
        wrapped.rstrip()
        paper.say(bar, " " * 14, (str(wrapped), style))


def _told(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    kinds = {
        "delivery": _delivery,
        "evidence": _evidence,
        "forward": _forward,
        "attempt": _attempt,
        "operator": _operator,
        "rejection": _rejection,
        "link": _link,
        "claim": _claim,
    }
    head, lines = kinds[part["what"]](paper, part)
    return head, [line for line in lines if (line[0] if isinstance(line, tuple) else line)]


def _delivery(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    copies = f"It came {plural(part['copies'], 'time')} more." if part["copies"] else ""
    head: list[Part] = ["delivery from ", (part["source"], "bold"), "  ", state(part["state"])]
    return head, [(part["id"], "dim"), part["reason"], copies]


def _evidence(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    who = part["customer"]["id"] if part["customer"] else ""
    who = f", who is {who}" if who and who != part["account"] else ""
    on = f" on {part['subject']}" if part["subject"] else ""
    title = "no longer true: " if part["undone"] else "evidence: "
    facts = ", ".join(f"{name} {_plain(value)}" for name, value in part["facts"].items())
    head: list[Part] = [
        title,
        (f"{part['source']}.{part['action']}", "bold"),
        f" by {part['account'] or 'nobody known'}{who}{on}  ",
        state(part["state"]),
    ]
    happened = f"happened {paper.time(part['occurred_at'])}, grade {part['grade']}, known by {part['key']}"
    rules: list[str | tuple[str, str]] = [f"{one['rule']}: {one['text']}" for one in part["rules"]]
    reason = "" if rules else part["reason"]
    return head, [(part["id"], "dim"), reason, happened, facts, *rules]


def _forward(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    options = ", ".join(f"{name} {_plain(value)}" for name, value in part["options"].items())
    lines: list[str | tuple[str, str]] = [
        (part["id"], "dim"),
        f"{part['rule_name']} ({part['rule']}{', ' + part['bucket'] if part['bucket'] else ''})",
        f"with {options}" if options else "",
        part["reason"],
    ]
    if part["undoes"]:
        lines.append(f"takes back {part['undoes']}")
    if part["wish"]:
        wishes = {"hold": "is to be held", "cancel": "is to be withdrawn", "undo": "is to be taken back by hand"}
        lines.append((wishes.get(part["wish"], ""), "yellow"))
    if part["waits_behind"]:
        lines.append(f"waits behind {part['waits_behind']}")
    elif part["due_at"]:
        lines.append(f"due {paper.time(part['due_at'])}")
    lines.append((_next(part), "cyan"))
    head: list[Part] = ["owed to ", (part["target"], "bold"), f" for {part['customer']['id']}  ", state(part["state"])]
    return head, lines


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _next(part: Told) -> str:
    if part["wish"] == "undo":
        return f"-> loyalty-bridge confirm {part['id']}  (once it is taken back)"
    return {
        "failed": f"-> loyalty-bridge replay {part['id']}",
        "held": f"-> loyalty-bridge release {part['id']}  (or confirm, or cancel)",
    }.get(part["state"], "")


def _attempt(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    sent = "" if part["sent_at"] else ", nothing left this house"
    status = f" {part['status']}" if part["status"] else ""
    ended = ""
    if part["resolution"] and part["resolved_at"] and part["verdict"] in ("accepted", "unclear"):
        ended = f"{part['resolution']}, seen {paper.time(part['resolved_at'])}"
    elif part["ended_at"] and not part["resolved_at"]:
        accepted = part["verdict"] == "accepted"
        ended = "the target's own record does not show it yet" if accepted else "nobody can tell whether it took effect"
    head: list[Part] = [f"attempt {part['number']}  ", state(part["state"]), f"{status}{sent}"]
    said = " ".join(str(part["answer"]).split())
    answer = f"answer: {said}" if said and said not in part["note"] else ""
    reference = f"reference {part['reference']}" if part["reference"] else ""
    before = f"before the call: {part['baseline']}" if part["baseline"] else ""
    return head, [part["note"], ended, reference, before, (answer, "dim")]


def _operator(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    because = part["detail"].get("because", "")
    head: list[Part] = [f"{part['actor']}  ", (part["action"], "bold")]
    return head, [(part["id"], "dim"), f'"{because}"' if because else ""]


def _rejection(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    head: list[Part] = ["refused: ", (part["reason"], "red"), f" {part['method']} {part['path']}"]
    headers = [f"{name}: {value}" for name, value in part["headers"].items()]
    size = f"{part['size']:,} bytes, sha256 {part['sha256']}"
    return head, [(part["id"], "dim"), part["detail"], (part["hint"], "yellow"), size, *headers]


def _claim(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    head: list[Part] = [
        "claim: ",
        (f"{part['source']}.{part['action']}", "bold"),
        f" by {part['customer']['id']}  ",
        state(part["state"]),
    ]
    who = f"{part['handle'] or part['account']} ({part['account']})" if part["account"] else "no account is connected"
    said = f"the last answer: {part['result']} {part['note']}".rstrip() if part["result"] else ""
    due = f"asked again {paper.time(part['due_at'])}" if part["due_at"] and part["state"] == "checking" else ""
    decide = f"-> loyalty-bridge approve {part['id']}  (or refuse)" if part["state"] == "review" else ""
    return head, [(f"{part['id']}, number {part['number']}", "dim"), who, part["reason"], said, due, (decide, "cyan")]


def _link(paper: Paper, part: Told) -> tuple[list[Part], list[str | tuple[str, str]]]:
    head: list[Part] = [
        "link: ",
        (f"{part['account']} at {part['source']}", "bold"),
        f" is {part['customer']['id']}, by {part['how']}",
    ]
    return head, [(part["id"], "dim")]
