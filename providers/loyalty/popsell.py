"""Adds a challenge history to an ambassador: points to spend and score to rise by, in amounts that we name.

Popsell has no idempotency key and no list of histories: whatever arrives, pays. After a lost answer the score is
compared with what it was before. Sales and chats move it too, so a match makes it likely that ours arrived, no more.
https://apidoc.popsell.com/operation/operation-post-manager-ambassadors-parameter-challenge-histories
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias
from urllib.parse import urlsplit

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

#: An ambassador. https://apidoc.popsell.com/operation/operation-get-manager-ambassadors
Row: TypeAlias = Mapping[str, Any]
FIELDS = {"ambassador_id": "id_ambassador", "customer_id": "customer_id", "email": "email"}  # by which one is found
MOVES = {"score": "gamification_score", "points": "sell_token_amount"}  # which move with a call
STATES: Mapping[int | None, str] = {0: "not activated", -1: "blocked", -2: "unsubscribed", -3: "unsubscribed"}
MOST = 2**31 - 1  # the score is an int32
LONGEST = 255  # of a message: their page names no limit; Laravel's columns hold so much unless told otherwise
ID = re.compile(r"[1-9][0-9]{0,17}")  # no leading zero: Popsell would take 07 and 7 for one, and we for two


def token(settings: Settings) -> Talk[str | Outcome]:
    """A token, or why there is none. https://apidoc.popsell.com/operation/operation-post-auth-token"""
    request = call("POST", "/auth/token", settings, {"api_key": settings["api_key"]})
    response = yield request
    status, given, said = response.status, response.object().get("token"), complaint(response)
    if status in (408, 425, 429) or status >= 500:
        raise Unavailable(f"Popsell answered {status} when asked for a token")
    if status == 200 and isinstance(given, str) and re.fullmatch(r"[!-~]{1,4096}", given):  # a header can hold it
        return given
    # Their page has two messages for 401 and says of neither when. This takes them as they sound.
    key = "api_key" if "password" in said else f"api_key or the domain {request.headers['X-Popsell-Domain']}"
    wrong = "base_url" if status < 400 or status == 404 else key
    return Outcome(Verdict.MISCONFIGURED, f"Popsell gives no token ({status}), {wrong} is wrong: {said}")


def look(forward: Forward, settings: Settings) -> Talk[Mapping[str, Row] | Outcome]:
    """By id, whom Popsell finds for the customer, and perhaps others; an Outcome where it does not let us look."""
    (by, name), rows = wanted(forward, settings), dict[str, Row]()
    if by == "ambassador_id":  # the search knows no ids. /operation/operation-get-platform-ambassadors-parameter
        response = yield call("GET", f"/platform/ambassadors/{forward.known_as}", settings)
        own = {forward.known_as: row} if is_called(row := response.object(), by, forward.known_as) else {}
        return {} if response.status in (403, 404) else refused(response) or own
    for page in range(1, 21):  # nobody's e-mail address is part of a thousand others
        query = {"filter[ambassador_search]": name, "sort": "id_ambassador", "page": str(page), "per_page": "50"}
        response = yield call("GET", "/manager/ambassadors", settings, **query)
        if said := refused(response):
            return said
        answer = response.object()
        if not isinstance(data := answer.get("data"), list):
            raise Unavailable("Popsell answered with something that is no list of ambassadors")
        known = [(number(row.get("id_ambassador")) or 0, row) for row in data if isinstance(row, dict)]
        rows |= {str(id_): row for id_, row in known if id_ > 0}  # a row can move to the next page and come twice
        if not data or page >= (number(answer.get("last_page")) or 0):  # its links to other pages are not followed
            return rows
    return Outcome(Verdict.REFUSED, f"Popsell finds more ambassadors by the customer's {by} than anybody could check")


def refused(response: Response) -> Outcome | None:
    """Why a read was refused; None where it was not. One that failed is `Unavailable`."""
    outcome, status = at_large(response), response.status
    if outcome or (status == 200 and response.object()):
        return outcome
    if 400 <= status < 500:
        return Outcome(Verdict.REFUSED, f"Popsell refuses the search ({status}): {complaint(response)}")
    raise Unavailable(f"Popsell answered {status} and not what it was asked for")


def is_called(row: Row, by: str, name: str) -> bool:
    """The search is fuzzy, and goes over names too: one field counts, and all of it."""
    if not isinstance(value := row.get(FIELDS[by]), str | int):
        return False
    one, other = (text.encode("utf-8", "surrogatepass") for text in (str(value), name))
    # Bytes have case from a to z only. As texts, an address with a Kelvin sign would be the one with a k.
    return one.lower() == other.lower() if by == "email" else one == other


def meet(forward: Forward, settings: Settings) -> Talk[tuple[str, str] | Outcome]:
    """The only one who is called as the customer is, if they may be given anything: their id and how they stand."""
    by, name = wanted(forward, settings)
    rows = yield from look(forward, settings)
    if isinstance(rows, Outcome):
        return rows
    called = {id_: row for id_, row in rows.items() if is_called(row, by, name)}
    if not called:
        return Outcome(Verdict.REFUSED, f"Popsell has no ambassador with the customer's {by}", missing=True)
    if len(called) > 1:
        ids = ", ".join(list(called)[:5])
        return Outcome(Verdict.REFUSED, f"Popsell has {len(called)} ambassadors with the customer's {by}: {ids}")
    [(id_, row)] = called.items()
    state = 1 if row.get("active") is True else number(row.get("active"))
    faults = [name for name in ("anonymized", "suspicious_quarantine") if row.get(name) in (1, "1", "true")]
    if state != 1:
        faults.append(f"active is {state} ({STATES.get(state, 'not active')})")
    told = f"Popsell says of ambassador {id_}: {', '.join(faults)}"
    shown = {name: amount for name, field in MOVES.items() if (amount := number(row.get(field))) is not None}
    return Outcome(Verdict.REFUSED, told) if faults else (id_, text(shown))


def find(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    by, name = wanted(forward, settings)
    if by == "ambassador_id" or not name:
        why = f"Popsell is to find customers by {by}, and of this one it is {name[:40] or 'not known'}"
        return name if ID.fullmatch(name) else Outcome(Verdict.REFUSED, why)
    met = yield from meet(forward, settings)
    return met if isinstance(met, Outcome) else met[0]


def baseline(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    """Score and points before the call; empty where they are not shown. Who was blocked meanwhile gets no call."""
    met, (by, name) = (yield from meet(forward, settings)), wanted(forward, settings)
    if isinstance(met, Outcome):  # by id, who is not shown may still be there: the call itself will say
        return "" if met.missing and (by, name) == ("ambassador_id", forward.known_as) else met
    if met[0] == forward.known_as:
        return met[1]
    return Outcome(Verdict.REFUSED, f"the customer's {by} is that of ambassador {met[0]} now", missing=True)


def text(amounts: Mapping[str, int]) -> str:
    return json.dumps(amounts, separators=(",", ":")) if "score" in amounts else ""


def amounts(text: str) -> Mapping[str, int]:
    known = Response(200, text.encode()).object()
    return {name: amount for name in MOVES if (amount := number(known.get(name))) is not None}


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    points, score, challenge = (number(forward.options.get(name)) for name in ("points", "score", "challenge_id"))
    if points is None or score is None or not (0 < points <= MOST and 0 <= score <= MOST):
        return Outcome(Verdict.REFUSED, f"points are 1 to {MOST} and score 0 to {MOST}, not {points} and {score}")
    if not ID.fullmatch(forward.known_as):
        return Outcome(Verdict.REFUSED, "Popsell's id of the ambassador is not known")
    path = f"/manager/ambassadors/{forward.known_as}/challenge-histories"
    body = {"points": points, "score": score, "message": message(forward), "challenge_id": challenge}
    response = yield call("POST", path, settings, {name: value for name, value in body.items() if value is not None})
    return judge(response, forward)


def message(forward: Forward) -> str:
    """Words for people, then the key by which an operator finds this very call in the Manager."""
    key = f"[lb:{forward.id}]"
    words = str(forward.options.get("message") or f"{forward.source} {forward.action}").replace("[lb:", "(lb:")
    return f"{plain(words, LONGEST - 1 - len(key))} {key}"  # a stranger's name among the words is no other call's key


def judge(response: Response, forward: Forward) -> Outcome:
    status, said, answer = response.status, complaint(response), response.object()
    errors, options = answer.get("errors"), forward.options
    if response.is_success:
        history = number(answer.get("id"))
        if history is None:
            return Outcome(Verdict.UNCLEAR, f"Popsell answered {status} without the id of a history")
        left = text({name: was + int(options[name]) for name, was in amounts(forward.baseline).items()})
        return Outcome(Verdict.DONE, f"challenge history {history}", reference=str(history), left=left)
    of_challenge = isinstance(errors, dict) and "challenge_id" in errors
    if (status == 422 and of_challenge) or (status == 404 and r"\challenge]" in said.lower()):
        return Outcome(Verdict.REFUSED, f"Popsell refuses challenge_id {options.get('challenge_id')}: {said}")
    if status == 404 and answer and not re.search(r"\broute\b", said):  # Laravel says in JSON that it has no such path
        return Outcome(Verdict.REFUSED, f"Popsell has no ambassador {forward.known_as}: {said}", missing=True)
    if outcome := at_large(response):
        return outcome
    refuses = 400 <= status < 500
    return Outcome(Verdict.REFUSED if refuses else Verdict.UNCLEAR, f"Popsell answered {status}: {said}")


def at_large(response: Response) -> Outcome | None:
    """What an answer says about every call alike."""
    status, said = response.status, complaint(response)
    if status in (408, 425, 429):  # Laravel, whose error bodies these are, counts by the minute
        wait = response.retry_after or (timedelta(minutes=1) if status == 429 else None)
        return Outcome(Verdict.LATER, f"Popsell answered {status}: {said}", retry_after=wait)
    elsewhere = "base_url is wrong" if 300 <= status < 400 or status in (404, 405) else ""
    why = {401: "it refuses a new token too", 403: "api_key has no permission for this"}.get(status, elsewhere)
    return Outcome(Verdict.MISCONFIGURED, f"Popsell answered {status}, {why}: {said}") if why else None


def complaint(response: Response) -> str:
    """What Laravel says is wrong, field by field, cut to what a person reads."""
    errors, told = response.object().get("errors"), []
    for name, said in list(errors.items())[:5] if isinstance(errors, dict) else ():
        first = [plain(one, 80) for one in (said if isinstance(said, list) else [said])[:2]]
        told.append(f"{plain(name, 40)}: {' '.join(first)}")
    return plain("; ".join(told), 400) or plain(response.object().get("message"), 200) or "no reason given"


def plain(words: Any, most: int) -> str:
    """One line of what can be printed; nothing of what is no text."""
    shown = "".join(one if one.isprintable() else " " for one in words[: 4 * most]) if isinstance(words, str) else ""
    return " ".join(shown.split())[:most]


def reconcile(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    adds, before = number(forward.options.get("score")), amounts(baseline).get("score")
    if not adds or before is None:
        return Outcome(Verdict.UNCLEAR, f"cannot be told: the score was {before}, and this call adds {adds}")
    rows = yield from look(forward, settings)
    if isinstance(rows, Outcome) and rows.verdict is Verdict.LATER:
        raise Unavailable(rows.note)  # said of the read; of the call it would mean that nothing happened
    if isinstance(rows, Outcome):
        return rows if rows.verdict is Verdict.MISCONFIGURED else Outcome(Verdict.UNCLEAR, rows.note)
    now = number(rows.get(forward.known_as, {}).get(MOVES["score"]))
    if now == before:  # a score never falls, so nothing hides ours. https://tech.popsell.com/doc/gamification-engine-v6
        return Outcome(Verdict.LATER, f"it did not happen: the score is {now}, as before the call")
    seen = f"the score was {before}, is {'not shown' if now is None else now}, and this call adds {adds}"
    if now is not None and now - before == adds:
        return Outcome(Verdict.DONE, f"inferred: {seen}; a sale or a chat could have added as much")
    return Outcome(Verdict.UNCLEAR, seen)


def probe(sends: Sequence[Mapping[str, Any]], settings: Settings) -> Talk[Sequence[str]]:
    """Whether the key is right for this domain and allowed into the Manager, and whether the challenges exist."""
    given = yield from token(settings)
    if isinstance(given, Outcome):
        return [given.note]
    response = yield call("GET", "/manager/ambassadors", settings, per_page="1")
    if outcome := refused(response):
        return [outcome.note]
    faults = []
    for challenge in filter(None, dict.fromkeys(number(send.get("challenge_id")) for send in sends)):  # None: computed
        response = yield call("GET", f"/manager/challenges/{challenge}", settings)
        if response.status == 404:
            faults.append(f"challenge_id {challenge}: Popsell has no such challenge")
        elif response.status == 200 and response.object().get("active") is False:
            faults.append(f"challenge_id {challenge}: the challenge is not active")
    return faults


def wanted(forward: Forward, settings: Settings) -> tuple[str, str]:
    by = settings.get("find_by") or "email"
    return by, (forward.customer.email if by == "email" else forward.customer.id) or ""


def call(method: str, path: str, settings: Settings, json: Any = None, **query: str) -> Request:
    base, first = settings["base_url"].rstrip("/").removesuffix("/api/v2"), path == "/auth/token"
    headers = {"X-Popsell-Domain": settings.get("domain") or urlsplit(base).hostname or ""}
    headers |= {"X-Popsell-Brand": settings["brand"]} if settings.get("brand") else {}
    return Request(method, f"{base}/api/v2{path}", query, headers, json, repeatable=first, authorized=not first)


def number(value: Any) -> int | None:
    """A whole number, or a text or a double that is one."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    sane = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**18
    return int(value) if sane and value == int(value) else None


target = Target(
    name="popsell",
    title="Popsell",
    docs="https://apidoc.popsell.com/operation/operation-post-manager-ambassadors-parameter-challenge-histories",
    settings=(
        Setting("base_url", "the address of your Popsell", "url", required=True, example="https://rewards.example.com"),
        Setting("api_key", "of a user of the Manager", "secret", required=True),
        Setting("domain", "sent as X-Popsell-Domain; else the host of base_url", example="rewards.example.com"),
        Setting("brand", "sent as X-Popsell-Brand, where there are several", example="3"),
        Setting("find_by", "which of the customer's names Popsell knows", default="email", choices=tuple(FIELDS)),
    ),
    options=(
        Option("points", "to spend", "int", required=True, amount=True, least=1, example="50"),
        Option("score", "to rise by; 0 cannot be read back after doubt", "int", required=True, least=0, example="50"),
        Option("challenge_id", "the challenge this completes", "int", least=1, example="42"),
        Option("message", "what the ambassador's history says", example="Thank you for following us"),
    ),
    send=send,
    token=token,
    find=find,
    lane=lambda forward: "score",  # every call moves the same score, so one at a time for each ambassador
    baseline=baseline,
    baseline_keeps=timedelta(0),  # what a call left says little a moment later: sales and chats move the score too
    reconcile=reconcile,
    reconcile_after=timedelta(minutes=1),
    probe=probe,
    per_second=1,  # nothing is documented; Laravel's own default is 60 requests a minute
    steps=("Make an API key for a user of the Manager", "For challenge_id make a challenge of the category Manual"),
)
