"""Adds checkpoints to a customer's challenge in Voyado Engage.

Checkpoints add up, and Engage knows no key of ours: a repeat would pay twice. What happened is read from the
challenge itself, its count and the time of its latest checkpoint, compared with what they were before the call.
https://developer.voyado.com/docs/loyalty/challenges
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
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

AGREED = "the customer has agreed"
GUID = re.compile(r"(?![0-]+$)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # .NET says zeros where it has no id
PAGE, PAGES = 100, 20
SKEW = timedelta(seconds=2)  # how far their clock may be behind ours
#: No answer names the wait; 200 calls a second are the most. https://developer.voyado.com/docs/api/the-engage-api
THROTTLED = timedelta(seconds=10)
#: Their pages name two, https://developer.voyado.com/en/api/api-authentication.html and non-functional-requirements
HEADERS = ("apikey", "x-api-key")

#: By find_by: which of the customer's names is needed, and how `GET /contacts/id` calls it. Never `any`: it stops at
#: the first attribute a value could be. https://developer.voyado.com/docs/contacts/identify-contact/find-contact
NAMES: Mapping[str, tuple[Literal["id", "email", "phone"], str]] = {
    "contact_id": ("id", ""),
    "email": ("email", "email"),
    "phone": ("phone", "mobilePhone"),
    "external_id": ("id", "customKey"),  # the member number or the external id, as the tenant is set up
}

#: What a status means, with this code or with any, besides "refused" (4xx) and "perhaps" (5xx).
ANSWERS: Mapping[tuple[int, str], tuple[Verdict, str]] = {
    (401, ""): (Verdict.MISCONFIGURED, "api_key or key_header is wrong, or the key's allow-list lacks this machine"),
    (403, ""): (Verdict.MISCONFIGURED, "api_key or key_header is wrong, or the key's allow-list lacks this machine"),
    (404, ""): (Verdict.MISCONFIGURED, "no such path: base_url is not the tenant's"),
    (404, "ContactNotFound"): (Verdict.REFUSED, "it knows no such contact"),
    (407, ""): (Verdict.MISCONFIGURED, "a proxy wants credentials"),
    (408, ""): (Verdict.LATER, "it did not wait for the whole request"),
    (409, "MultipleMatches"): (Verdict.REFUSED, "several contacts match; merge them, or find them by another name"),
    (425, ""): (Verdict.LATER, "too early"),
    (429, ""): (Verdict.LATER, "it is throttling"),
    (500, "InvalidSystemConfiguration"): (Verdict.MISCONFIGURED, "the tenant is not set up to be asked so"),
}


def find(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    by, kind = settings.get("find_by") or "email", settings.get("contact_type") or ""
    field, parameter = NAMES[by]
    name = getattr(forward.customer, field) or ""
    if by == "contact_id":
        return guid(name) or Outcome(Verdict.REFUSED, "the customer's id is not a Voyado contact id")
    within = by == "external_id" and kind  # asked for in a path, where dots would ask for something else
    if not name or (within and {".", ".."} & set(re.split(r"[/\\]", name))):
        return Outcome(Verdict.REFUSED, f"the customer has no {field} that Voyado could know")
    unknown = None
    if within:
        request = call("GET", f"/contacts/{quote(kind, safe='')}/byexternalid/{quote(name, safe='')}", settings)
        unknown = Outcome(Verdict.REFUSED, "Voyado knows no such contact", missing=True)  # no page says how it says so
    else:
        request = call("GET", "/contacts/id", settings, {parameter: name, **({"contactType": kind} if kind else {})})
    response = yield request
    if not response.is_success:
        return refusal(response, unknown=unknown)
    told = response.json()
    found = guid(told.get("id") if isinstance(told, dict) else told)  # by external id it answers the whole contact
    if not found:
        raise Unavailable(f"Voyado answered {response.status} and no contact id")
    return found


def refusal(response: Response, *, left: bool = False, unknown: Outcome | None = None) -> Outcome:
    """What an answer other than 2xx means. `left`: it may have taken effect; `unknown`: what a 404 says here."""
    status, said = response.status, words(response)
    code = said.partition(" ")[0].rstrip(".:,;")
    known = ANSWERS.get((status, code)) if code else None
    if status == 404 and unknown and not known and not page(response) and not said.startswith("No HTTP resource"):
        return unknown
    perhaps = Verdict.UNCLEAR if left else Verdict.LATER
    verdict, why = known or ANSWERS.get((status, "")) or (Verdict.REFUSED if 400 <= status < 500 else perhaps, "")
    if 300 <= status < 400:
        verdict, why = Verdict.MISCONFIGURED, "it redirects: base_url is wrong"
    wait = max(response.retry_after or THROTTLED, THROTTLED) if status == 429 else response.retry_after
    note = ": ".join(part for part in (f"Voyado answered {status}", why, said) if part)
    return Outcome(verdict, note, retry_after=wait, missing=(status, code) == (404, "ContactNotFound"))


def words(response: Response) -> str:
    """What it says of an error. No page describes that: an object, a JSON text and plain text are all read."""
    if page(response):
        return ""
    told = {name.lower(): value for name, value in response.object().items()}
    parts = [told[name] for name in ("errorcode", "code", "title", "message") if isinstance(told.get(name), str)]
    text = " ".join(parts) or response.body[:200].decode("utf-8", "replace").strip('" ')
    return "".join(one if one.isprintable() else " " for one in text[:200]).strip()


def page(response: Response) -> bool:
    return response.body.lstrip()[:1] == b"<"


@dataclass(frozen=True, slots=True)
class Run:
    """One customer's way through a challenge. `id` names it: what Engage calls `challengeId` is the definition's."""

    id: str  # empty: there was none yet
    completed: int
    required: int | None
    latest: str  # when its latest checkpoint was added, in a baseline at the latest; empty: it has none
    over: bool = False  # completed
    live: bool = True  # takes checkpoints

    def __str__(self) -> str:
        """As a baseline keeps it, and `run` reads it."""
        known = {"id": self.id, "completedCheckpoints": self.completed, "requiredCheckpoints": self.required}
        return json.dumps({**known, "latestCheckpointAddedOn": self.latest}, separators=(",", ":"))


def run(told: Any) -> Run | None:
    """A challenge as Engage tells it. `status` is a number here and a word there, and decides nothing."""
    completed = number(told.get("completedCheckpoints")) if isinstance(told, dict) else None
    if completed is None:
        return None
    required = number(told.get("requiredCheckpoints"))
    over = told.get("isChallengeCompleted") is True or bool(required and completed >= required)
    live = told.get("isActive") is not False and not over
    latest = str(told.get("latestCheckpointAddedOn") or "")[:40]
    return Run(guid(told.get("id")), completed, required, latest, over, live)


def remembered(baseline: str) -> Run | None:
    try:
        return run(json.loads(baseline))
    except ValueError:
        return None


def runs(forward: Forward, settings: Settings) -> Talk[list[Run] | Outcome]:
    """All of this customer's runs through this challenge, those that are over too."""
    definition, contact, _ = row(forward)
    asked = {"contactId": contact, "definitionId": definition, "filter": "All"}
    rows = yield from pages("/challenges", settings, asked)
    if isinstance(rows, Outcome):
        return rows
    mine = [one for one in rows if (guid(one.get("challengeId")), guid(one.get("contactId"))) == (definition, contact)]
    found = [one for one in map(run, mine) if one and one.id]
    if len(found) < len(mine):
        raise Unavailable("Voyado answered with a challenge that has no id or no count")
    return found


def pages(path: str, settings: Settings, asked: Mapping[str, str]) -> Talk[list[Mapping[str, Any]] | Outcome]:
    """A whole list. Its links are not followed: no answer says where our key goes."""
    rows: dict[str, Mapping[str, Any]] = {}
    offset = 0
    for _ in range(PAGES):
        response = yield call("GET", path, settings, {**asked, "offset": str(offset), "count": str(PAGE)})
        if not response.is_success:
            return refusal(response)
        told = response.json()
        items = told.get("items") if isinstance(told, dict) else None
        if not isinstance(items, list) or not all(isinstance(one, dict) for one in items):
            raise Unavailable(f"Voyado answered {response.status} and no list")
        known, offset, total = len(rows), offset + len(items), number(told.get("totalCount"))
        rows.update((str(one.get("id")), one) for one in items)
        if len(items) < PAGE if total is None else len(rows) >= total:
            return list(rows.values())
        if len(rows) == known:
            break
    raise Unavailable("Voyado's list does not come to its end")


def baseline(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    """The run that takes checkpoints, as it is before the call; empty where several do: nothing could be proved."""
    if wrong := unfit(forward):
        return wrong
    found = yield from runs(forward, settings)
    if isinstance(found, Outcome):
        return found
    earlier, agreed = forward.earlier, forward.options.get("assign") == AGREED
    if earlier and compare(forward, remembered(earlier.baseline), found).verdict is Verdict.DONE:
        return Outcome(Verdict.DUPLICATE, "our earlier call had arrived")
    if agreed and not any(one.live or one.over for one in found):
        found = yield from assigned(forward, settings)
        if isinstance(found, Outcome):
            return found
    live, over = [one for one in found if one.live], any(one.over for one in found)
    if len(live) > 1:
        return ""
    if live or not found:  # where there is none, Engage begins one by itself, or does not accept the row
        return str(live[0] if live else Run("", 0, None, ""))
    if over and earlier:
        return Outcome(Verdict.DUPLICATE, "the challenge has been completed since our earlier call")
    why = "completed" if over else "not active: it has ended, or waits for the customer's consent"
    return Outcome(Verdict.REFUSED, f"limit reached at the target: this customer's challenge is {why}")


def assigned(forward: Forward, settings: Settings) -> Talk[list[Run] | Outcome]:
    """Begin the challenge, which changes nothing where it has begun: the merchant says that the customer agreed."""
    definition, contact, _ = row(forward)
    path = f"/challenges/definitions/{definition}/assign"
    response = yield call("POST", path, settings, {"contactId": contact}, repeatable=True)
    if not response.is_success:
        return refusal(response, unknown=Outcome(Verdict.REFUSED, f"Voyado has no challenge definition {definition}"))
    if (told := response.json()) is False:
        return Outcome(Verdict.REFUSED, "Voyado did not assign the challenge")
    if told is not True:
        raise Unavailable(f"Voyado answered {response.status} and not whether it assigned the challenge")
    return (yield from runs(forward, settings))


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    outcomes = yield from send_many([forward], settings)
    return outcomes if isinstance(outcomes, Outcome) else outcomes[0]


def send_many(forwards: Sequence[Forward], settings: Settings) -> Talk[Sequence[Outcome] | Outcome]:
    wrong = [unfit(one) for one in forwards]
    sent = [one for one, fault in zip(forwards, wrong, strict=True) if not fault]
    if not sent:
        return [one for one in wrong if one]
    names = ("definitionId", "contactId", "checkpointAmount")
    rows = [dict(zip(names, row(one), strict=True)) for one in sent]
    response = yield call("POST", "/challenges/checkpoints", settings, json=rows)
    judged = judge(response, sent)
    if isinstance(judged, Outcome) and len(sent) == len(forwards):
        return judged
    each = iter([judged] * len(sent) if isinstance(judged, Outcome) else judged)
    return [one or next(each) for one in wrong]


def judge(response: Response, sent: Sequence[Forward]) -> Sequence[Outcome] | Outcome:
    """Row by row: 200 says that the call was read, and lists the rows that were skipped."""
    if not response.is_success:
        whole = refusal(response, left=True)
        return replace(whole, missing=whole.missing and len(sent) == 1)
    try:
        told = response.json()
    except Unavailable as failure:
        return Outcome(Verdict.UNCLEAR, f"Voyado {failure.message}")
    told = {} if told in (None, []) else told  # no page shows how it says that none was skipped
    keys = ("missingContactIds", "missingDefinitionIds", "notAccepted")
    lists = [[] if told.get(key) is None else told[key] for key in keys] if isinstance(told, dict) else [told]
    if len(lists) < 3 or not all(isinstance(one, list) for one in lists) or (told and not told.keys() & set(keys)):
        return Outcome(Verdict.UNCLEAR, f"Voyado answered {response.status} with JSON of no known shape")
    contacts, definitions = ({guid(one) for one in listed} for listed in lists[:2])
    skipped, rows = Counter(map(triple, lists[2])), [row(one) for one in sent]
    strange = skipped - Counter(rows) or contacts - {one[1] for one in rows} or definitions - {one[0] for one in rows}
    alone = Counter(one[:2] for one in rows)
    outcomes = []
    for forward, mine in zip(sent, rows, strict=True):
        listed, skipped[mine] = skipped[mine] > 0, skipped[mine] - 1
        if mine[0] in definitions:
            outcome = Outcome(Verdict.REFUSED, f"Voyado has no challenge definition {mine[0]}")
        elif mine[1] in contacts:
            outcome = Outcome(Verdict.REFUSED, "Voyado knows this contact no more", missing=True)
        elif listed:
            outcome = not_accepted(forward)
        elif strange:
            outcome = Outcome(Verdict.UNCLEAR, "Voyado skipped rows that nobody sent: what it took is not known")
        else:
            before = remembered(forward.baseline)
            left = after(before, mine[2], response.at) if before and alone[mine[:2]] == 1 else ""
            note = f"{mine[2]} checkpoint{'s' if mine[2] > 1 else ''} added"
            outcome = Outcome(Verdict.DONE, note, reference=before.id if before else "", left=left)
        outcomes.append(outcome)
    return outcomes


def not_accepted(forward: Forward) -> Outcome:
    earlier = forward.earlier
    if earlier is None:
        why = "not assigned to this customer or not agreed to, completed, or ended"
        return Outcome(Verdict.REFUSED, f"Voyado did not accept it: the challenge is {why}")
    before = remembered(earlier.baseline)
    if before and before.required and before.completed + row(forward)[2] >= before.required:
        return Outcome(Verdict.DUPLICATE, "not accepted: our earlier call had completed the challenge")
    return Outcome(Verdict.UNCLEAR, "not accepted, and of an earlier call of ours nobody knows whether it arrived")


def after(before: Run, amount: int, at: datetime | None) -> str:
    """What a call that was taken leaves: the next baseline. Empty where the challenge may have come to its end."""
    completed = before.completed + amount
    if not before.id or at is None or completed >= (before.required or 0):
        return ""
    return str(replace(before, completed=completed, latest=(at + SKEW).isoformat()))


def reconcile(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    if wrong := unfit(forward):
        return replace(wrong, verdict=Verdict.UNCLEAR)
    before, found = remembered(baseline), (yield from runs(forward, settings))
    if before and isinstance(found, list) and before.id not in ("", *(one.id for one in found)):
        response = yield call("GET", f"/challenges/{before.id}", settings)
        gone = Outcome(Verdict.UNCLEAR, "the challenge that was counted before the call is gone")
        one = run(response.json()) if response.is_success else None
        found = [*found, one] if one else refusal(response, unknown=gone)
    if isinstance(found, list):
        return compare(forward, before, found)
    if found.verdict is Verdict.LATER:
        raise Unavailable(found.note)  # it was the read that did not happen
    return found if found.verdict is Verdict.MISCONFIGURED else Outcome(Verdict.UNCLEAR, found.note)


def compare(forward: Forward, before: Run | None, found: Sequence[Run]) -> Outcome:
    """Whether the call of `forward.earlier` shows. What somebody else could have done as well is unclear."""
    sent = forward.earlier.sent_at if forward.earlier else None
    if before is None or sent is None:
        return Outcome(Verdict.UNCLEAR, "how far the customer was before the call is not known")
    same = [one for one in found if before.id in ("", one.id)]
    if not found and not before.id:
        return Outcome(Verdict.LATER, "it did not happen: the customer still has no such challenge")
    if len(same) != 1:
        return Outcome(Verdict.UNCLEAR, "the challenge that was counted before the call cannot be told from others")
    now, latest, known = same[0], instant(same[0].latest), instant(before.latest)
    moved, late = now.completed - before.completed, latest is not None and latest >= sent - SKEW
    still = moved == 0 and (now.latest == before.latest or bool(latest and known and latest <= known))
    note = f"{now.completed} of {now.required or '?'} checkpoints, {before.completed} before the call"
    if moved == row(forward)[2] and late:
        return Outcome(Verdict.DONE, note)
    if still and [one.id for one in found if one.live] == [now.id]:
        return Outcome(Verdict.LATER, f"it did not happen: {note}")
    why = "somebody else adds to it as well"
    if still:
        why = "but it has ended, or another has begun that may have ours"
    elif moved == row(forward)[2]:
        why = "but the latest was not added since our call"
    return Outcome(Verdict.UNCLEAR, f"{note}; {why}")


def probe(sends: Sequence[Mapping[str, Any]], settings: Settings) -> Talk[Sequence[str]]:
    """Whether the key and the address are right, and the challenges are there, active, and ours to fill."""
    path = "/challenges/definitions"
    response = yield call("GET", path, settings, {"count": "1"})
    others = [name for name in HEADERS if name != (settings.get("key_header") or HEADERS[0])]
    for name in others if response.status in (401, 403) else ():
        again = yield call("GET", path, {**settings, "key_header": name}, {"count": "1"})
        if again.is_success and not page(again):
            return [f'Voyado takes the key under another name: key_header = "{name}"']
    if not response.is_success or page(response):
        return [
            "Voyado answered with a page: base_url is not the tenant's" if page(response) else refusal(response).note
        ]
    active = yield from pages(path, settings, {"status": "Active"})
    if isinstance(active, Outcome):
        return [active.note]
    known = {guid(one.get("id")): one for one in active}
    faults = []
    for wanted in dict.fromkeys(guid(send.get("definition_id")) for send in sends):
        if not wanted:
            continue  # computed, and so not known before there is evidence
        filled = known.get(wanted, {}).get("checkpointAssignOn")
        if wanted not in known:
            response = yield call("GET", f"{path}/{wanted}", settings)
            what = "Voyado has no such challenge" if response.status == 404 else refusal(response).note
            faults.append(f"definition_id {wanted}: {'the challenge is not active' if response.is_success else what}")
        elif filled not in (None, 0, "None"):  # numbers in their examples, words in their client
            faults.append(f"definition_id {wanted}: receipts fill it already (checkpointAssignOn {str(filled)[:40]!a})")
    return faults


def call(
    method: str,
    path: str,
    settings: Settings,
    params: Mapping[str, str] | None = None,
    *,
    json: Any = None,
    repeatable: bool = False,
) -> Request:
    url = f"{settings['base_url'].rstrip('/')}/api/v3{path}"
    # Without the type Engage answers 500, to a GET too. https://developer.voyado.com/en/api/api-authentication.html
    headers = {settings.get("key_header") or HEADERS[0]: settings["api_key"], "Content-Type": "application/json"}
    return Request(method, url, params=params or {}, headers=headers, json=json, repeatable=repeatable)


def row(forward: Forward) -> tuple[str, str, int]:
    """Definition, contact and number of checkpoints; what is not one of those is empty, or 0."""
    options = forward.options
    return guid(options.get("definition_id")), guid(forward.known_as), number(options.get("checkpoints", 1)) or 0


def triple(told: Any) -> tuple[str, str, int]:
    """A row as Engage lists it."""
    told = told if isinstance(told, dict) else {}
    return guid(told.get("definitionId")), guid(told.get("contactId")), number(told.get("checkpointAmount")) or 0


def unfit(forward: Forward) -> Outcome | None:
    """Why it is not worth a call."""
    named = zip(("definition_id", "the customer's contact id", "checkpoints"), row(forward), strict=True)
    missing = [name for name, value in named if not value]
    return Outcome(Verdict.REFUSED, f"{missing[0]} is not one that Voyado takes") if missing else None


def guid(value: Any) -> str:
    """An id in lower case; empty where it is none."""
    text = value.lower() if isinstance(value, str) else ""
    return text if GUID.fullmatch(text) else ""


def number(value: Any) -> int | None:
    """A count as .NET has it."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else None


def instant(text: str) -> datetime | None:
    """A time with its zone; what has none cannot be compared."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return read if read.tzinfo else None


def fault(send: Mapping[str, Any]) -> str:
    wanted, agreed = send.get("definition_id"), send.get("assign")
    if isinstance(wanted, str) and not wanted.startswith("=") and not guid(wanted):
        return f'definition_id is an id like "bbf8d0a3-7057-4b21-9fd1-a9ba21116d5c", not {wanted[:60]!r}'
    if agreed not in (None, AGREED):
        return f'assign takes one text, and only where it is true: assign = "{AGREED}"'
    return ""


def address_fault(text: str) -> str:
    return "ends before /api: the tenant's address alone" if "/api/" in f"{text}/" else ""


def configured(target: Target, settings: Settings) -> Target:
    return replace(target, customer=NAMES[settings.get("find_by") or "email"][0])


target = Target(
    name="voyado",
    title="Voyado Engage",
    docs="https://developer.voyado.com/docs/loyalty/challenges",
    settings=(
        Setting(
            *("base_url", "the tenant's address", "url"),
            required=True,
            example="https://example.voyado.com",
            fault=address_fault,
        ),
        Setting("api_key", "a key of the bridge's own, from Config Hub > API Connections", "secret", required=True),
        Setting("key_header", "the header that carries it", default=HEADERS[0], choices=HEADERS),
        Setting("find_by", "which of the customer's names finds the contact", default="email", choices=tuple(NAMES)),
        Setting(
            "contact_type",
            "finds contacts of this type alone; with external_id it asks for that field",
            example="Member",
        ),
    ),
    options=(
        Option(
            "definition_id",
            "the challenge's definition id",
            required=True,
            example="bbf8d0a3-7057-4b21-9fd1-a9ba21116d5c",
        ),
        Option("checkpoints", "how many", "int", default=1, amount=True, least=1),
        Option("assign", f'"{AGREED}": begins the challenge for who has none; consent is yours to have asked for'),
    ),
    send=send,
    send_many=send_many,
    most_at_once=1000,  # github.com/liblaber/voyado-engage-2.0.0-typescript-1.0.0, ChallengesService.md
    configure=configured,
    fault=fault,
    find=find,
    repeat_safe_for=timedelta(0),
    lane=lambda forward: str(forward.options.get("definition_id")).lower(),
    baseline=baseline,
    # What our last call left behind stays good as long as nobody else adds. Where somebody does, a doubt that arises
    # within the hour is a person's to settle, not ours to settle wrongly.
    baseline_keeps=timedelta(hours=1),
    reconcile=reconcile,
    probe=probe,
    per_second=10,  # below 50 is asked for
    timeout=timedelta(seconds=45),  # "wait for the response": 30 s of silence, after connecting and writing
    steps=(
        "Add a connection under Config Hub > API Connections and copy its key; an allow-list must name this machine",
        "Make a challenge under Loyalty > Challenges that receipts do not fill; its definition's id is definition_id",
        "Try it on https://NAME.staging.voyado.com first: loyalty-bridge check --live",
    ),
)
