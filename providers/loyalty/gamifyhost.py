"""Awards points by event type, or records an event in a campaign, which may draw a prize.

The two differ in what doubt costs. An award carries a reference that GamifyHost takes once, so a repeat is
harmless. A campaign event carries none, and each is another play and another draw: it goes out again only after
the participant's count has shown that it did not happen.
https://docs.gamifyhost.com/reference/award-points/ and https://docs.gamifyhost.com/campaigns/record-event/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from bridge.kit import (
    Fact,
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

URL = "https://api.gamifyhost.com"
WAIT = timedelta(seconds=30)  # no page names a quota, or a wait
PAGES, ROWS = 10, 100  # of history; no page names a ceiling. https://docs.gamifyhost.com/reference/get-user-history

#: No page lets a reference expire (https://docs.gamifyhost.com/reference/game-api, Idempotency), and none promises that
#: it is kept. A month outlasts the schedule, and whoever replays what failed; after it the ledger itself is read.
REMEMBERED = timedelta(days=30)

#: What no words of theirs may carry into a note: a key, or a code that is worth a prize, which is up to four
#: characters of the slug and eight more. https://docs.gamifyhost.com/campaigns/generate-codes/
WORTH = re.compile(r"\b[sp]k_\w+|\b[A-Z0-9]{1,4}-[A-Z0-9]{8}\b")
LOST = "whether it won an instant prize stood in the lost answer: look the customer up in GamifyHost's dashboard"

#: What an answer tells, by its places there: in the answer to an event, then to an award.
SHOWS: Mapping[Sequence[str], Fact] = {
    ("pointsEarned", "pointsAwarded"): Fact("pointsEarned", "int", "points for this event or award"),
    ("totalPoints", "userBalance"): Fact("totalPoints", "int", "points in the campaign, or of all awards"),
    ("message",): Fact("message", "string", "what GamifyHost says of it"),
    ("instantWin.won",): Fact("won", "bool", "whether an instant prize was won"),
    ("instantWin.prizeTier",): Fact("prizeTier", "string", "the prize's name"),
    ("instantWin.pointsEarned",): Fact("prizePoints", "int", "points that come with the prize"),
    ("instantWin.message",): Fact("prizeMessage", "string", "what GamifyHost says to the winner"),
    ("instantWin.winCode",): Fact("winCode", "string", "the code with which the prize is redeemed"),
}


def fault(options: Mapping[str, Any]) -> str:
    """What is wrong with a send, as it follows "a send to gamifyhost"; empty where nothing is."""
    given = [name for name in ("award", "campaign", "event") if name in options]
    if given not in (["award"], ["campaign", "event"]):
        has = " and ".join(given) if len(given) > 1 else f"{given[0]} alone" if given else "none of them"
        return f"takes award (points by event type), or campaign and event (an event in a campaign); this has {has}"
    if empty := [name for name in given if not str(options[name] or "").strip()]:
        return f"leaves {' and '.join(empty)} empty"
    if (slug := str(options.get("campaign", ""))) in (".", "..") or (slug[:1] != "=" and set(slug) & set("/\\?#%")):
        return f"names its campaign by the slug alone, such as summer-promo, not {slug!r}"
    metadata = options.get("metadata", {})
    return "" if isinstance(metadata, Mapping) or str(metadata)[:1] == "=" else "has metadata that is no map"


def secret_fault(key: str) -> str:
    said = "is not the secret key, sk_live_... or sk_test_...; a key that begins with pk_ is public, for widgets"
    return "" if key.startswith("sk_") else said


def wrong(forward: Forward) -> str:
    """Why nothing can be sent. What is computed is known only now."""
    if (name := forward.customer.id or "") in ("", ".", ".."):  # part of addresses, where dots mean something else
        return f"{name!r} cannot be a customer's id at GamifyHost"
    return f"a send to GamifyHost {said}" if (said := fault(forward.options)) else ""


def awards(forward: Forward) -> bool:
    return "award" in forward.options


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    if why := wrong(forward):
        return Outcome(Verdict.REFUSED, why)
    options = forward.options
    # No e-mail and no name: GamifyHost knows people by id, and an award would overwrite what its record has.
    # bridge_ref it only keeps, for the person who compares both sides.
    body = {"userId": forward.customer.id, "metadata": {"bridge_ref": forward.id, **options.get("metadata", {})}}
    if awards(forward):
        path, own = ["points", "award"], {"eventType": str(options["award"]), "reference": forward.id}
    else:
        path, own = ["campaigns", str(options["campaign"]), "events"], {"eventType": str(options["event"])}
    response = yield ask(settings, *path, json=body | own)
    return taken(response, forward) if response.is_success else refused(response, forward)


def taken(response: Response, forward: Forward) -> Outcome:
    """A success is one only with what is documented. An award's is 201 on the newer page, 200 on the older."""
    answer = response.object()
    held = answer.get("data") if answer.get("status") != "error" else None
    data: Mapping[str, Any] = held if isinstance(held, dict) else {}
    seen, ledger = shown({"message": answer.get("message"), **data}), plain(data.get("ledgerId"))
    if ledger if awards(forward) else number(data.get("pointsEarned")) is not None:
        note = f"{seen.get('pointsEarned', 'some')} points{', and a prize was won' if seen.get('won') else ''}"
        return Outcome(Verdict.DONE, note, ledger, shown=seen)
    return Outcome(Verdict.UNCLEAR, f"GamifyHost answered {response.status} and not as documented", shown=seen)


def refused(response: Response, forward: Forward) -> Outcome:
    status, award, slug = response.status, forward.options.get("award"), forward.options.get("campaign")
    if status >= 500 or status < 200:
        return Outcome(Verdict.UNCLEAR, f"GamifyHost answered {status}", retry_after=response.retry_after)
    if status in (408, 425, 429):
        return Outcome(Verdict.LATER, f"GamifyHost answered {status}", retry_after=response.retry_after or WAIT)
    if stopped := barred(response):
        return stopped
    if status == 409 and (awards(forward) or forward.earlier):  # an award's reference is the forward's id: only ours
        return Outcome(Verdict.DUPLICATE, f"our earlier attempt had arrived{'' if awards(forward) else f'; {LOST}'}")
    if status == 409:
        return Outcome(Verdict.REFUSED, "limit reached at the target: no plays are left in this campaign")
    if status == 404:
        inactive = f"campaign {slug!r} is not found or not active: replay this once it is"
        return Outcome(Verdict.REFUSED, f"no reward rule for {award!r}" if awards(forward) else inactive)
    return Outcome(Verdict.REFUSED, f"GamifyHost refused: {words(response)}")


def barred(response: Response) -> Outcome | None:
    """What keeps out every call, reads as well, and is the operator's to mend."""
    status = response.status
    if 300 <= status < 400 or (status == 404 and not missing(response)):
        return Outcome(Verdict.MISCONFIGURED, f"GamifyHost has nothing at this address ({status}): base_url is wrong")
    if status in (401, 402, 403, 405, 407):  # their words tell a wrong key, a revoked one and an inactive application
        return Outcome(Verdict.MISCONFIGURED, f"GamifyHost keeps us out: {words(response)}")
    return None


def missing(response: Response) -> bool:
    """Whether a 404 is about what was asked for. Web frameworks say "Cannot GET /path" where nobody is asked."""
    said = plain(response.object().get("message")) if response.status == 404 else ""
    return bool(said) and not said.startswith("Cannot ")


def told(response: Response, asked: str) -> Mapping[str, Any] | Outcome:
    """What a read says; nothing where the question was refused. A read that failed is `Unavailable`."""
    status, answer = response.status, response.object()
    if status >= 500 or status < 200 or status in (408, 425, 429):
        raise Unavailable(f"GamifyHost answered {status} when asked for {asked}")
    if response.is_success and not answer:
        return Outcome(Verdict.MISCONFIGURED, f"somebody else answers ({status}, not {asked}): base_url is wrong")
    return barred(response) or (answer if response.is_success and answer.get("status") != "error" else {})


def standing(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    """Events/points of a participant; empty if not shown. https://docs.gamifyhost.com/campaigns/participant-progress/"""
    slug = forward.options["campaign"]
    response = yield ask(settings, "campaigns", slug, "participants", forward.customer.id)
    if missing(response):  # "Campaign or participant not found" is one answer for both: only the campaign can say which
        board = told((yield ask(settings, "campaigns", slug, "leaderboard", limit="1")), "the leaderboard")
        return board if isinstance(board, Outcome) else "0/0" if board else ""
    answer = told(response, "the participant")
    if isinstance(answer, Outcome):
        return answer
    data = answer.get("data")
    seen = [number(data.get(name)) if isinstance(data, dict) else None for name in ("eventsCount", "totalPoints")]
    return "" if None in seen else f"{seen[0]}/{seen[1]}"


def baseline(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    needless = awards(forward) or wrong(forward)  # an award is known by its reference; what is wrong is never sent
    return "" if needless else (yield from standing(forward, settings))


def reconcile(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    if awards(forward):
        return (yield from in_ledger(forward, settings))
    now = yield from standing(forward, settings)
    if isinstance(now, Outcome):
        return now
    before, after = (number(text.partition("/")[0]) for text in (baseline, now))
    change = f"events/points {now or 'are not shown'}, before the call {baseline or 'not known'}"
    if before is not None and now == baseline:
        return Outcome(Verdict.LATER, f"it did not happen: {change}")
    if before is not None and after == before + 1:
        return Outcome(Verdict.DONE, f"{change}; {LOST}")
    return Outcome(Verdict.UNCLEAR, change)


def in_ledger(forward: Forward, settings: Settings) -> Talk[Outcome]:
    """Look for our reference. To miss it while rows move costs nothing: the repeat is answered 409."""
    for page in range(1, PAGES + 1):
        response = yield ask(settings, "users", forward.customer.id, "history", page=str(page), limit=str(ROWS))
        if missing(response):
            return Outcome(Verdict.LATER, "it did not happen: GamifyHost does not know the customer")
        answer = told(response, "the customer's history")
        if isinstance(answer, Outcome):
            return answer
        rows, meta = answer.get("data"), answer.get("meta")
        pages = number(meta.get("totalPages")) if isinstance(meta, dict) else None
        if not isinstance(rows, list) or pages is None:
            return Outcome(Verdict.UNCLEAR, "GamifyHost does not show the customer's history as it documents it")
        for row in rows:
            if isinstance(row, dict) and row.get("reference") == forward.id:
                return Outcome(Verdict.DONE, "its reference stands in the customer's history", plain(row.get("id")))
        if page >= pages:
            return Outcome(Verdict.LATER, "it did not happen: its reference is not in the customer's history")
    return Outcome(Verdict.UNCLEAR, f"not among {PAGES * ROWS} rows of the customer's history, which has more")


def probe(sends: Sequence[Mapping[str, Any]], settings: Settings) -> Talk[Sequence[str]]:
    """Whether the key is right, and the campaigns that are named in full are there for it."""
    kind = next((one for one in ("sk_live_", "sk_test_") if settings["api_secret"].startswith(one)), "sk_")
    place = f"asked with the key {kind}...; test and live are apart"
    # Nobody is called loyalty-bridge-check: a right key is told that, and a wrong one is not.
    key = told((yield ask(settings, "users", "loyalty-bridge-check", "balance")), "a balance")
    if isinstance(key, Outcome):
        return [f"{key.note} ({place})"]
    faults = []
    for slug in dict.fromkeys(str(one["campaign"]) for one in sends if "campaign" in one):
        if slug[:1] != "=":  # else computed, and so not known before there is evidence
            answer = told((yield ask(settings, "campaigns", slug, "leaderboard", limit="1")), "its leaderboard")
            why = answer.note if isinstance(answer, Outcome) else "" if answer else "not found or not active"
            faults += [f"campaign {slug}: {why} ({place})"] if why else []
    return faults


def ask(settings: Settings, *path: Any, json: Any = None, **params: str) -> Request:
    """A call by the segments of its path, each quoted: a slash in a name stays in the name."""
    address = (settings.get("base_url") or URL).rstrip("/").removesuffix("/v1")  # their pages write it either way
    url = "/".join((address, "v1", *(quote(str(one), safe="") for one in path)))
    headers = {"X-API-Secret": settings["api_secret"]}
    return Request("POST" if json else "GET", url, params=params, headers=headers, json=json)


def shown(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an answer tells, flat. Of what is worth something only winCode holds it, which is kept sealed."""
    win = data.get("instantWin")
    flat = {**data, **({f"instantWin.{name}": one for name, one in win.items()} if isinstance(win, dict) else {})}
    code = plain(flat.get("instantWin.winCode"))[:200]
    found: dict[str, Any] = {}
    for places, fact in SHOWS.items():
        value = next((flat[place] for place in places if flat.get(place) is not None), None)
        text = WORTH.sub("***", plain(value).replace(code or "\x00", "***"))[:200]  # cut last: half a code is too much
        sure = value if isinstance(value, bool) else None
        found[fact.name] = {"int": number(value), "bool": sure, "string": text}[fact.kind]
    return {name: value for name, value in {**found, "winCode": code}.items() if value not in (None, "")}


def number(value: Any) -> int | None:
    return int(value) if re.fullmatch("[0-9]{1,18}", plain(value)) else None


def plain(value: Any) -> str:
    """A text of theirs as it can be kept; empty where it is none."""
    text = str(value) if isinstance(value, str | int) else ""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def words(response: Response) -> str:
    return f"{response.status} {shown(response.object()).get('message', '')}".rstrip()


target = Target(
    name="gamifyhost",
    title="GamifyHost",
    docs="https://docs.gamifyhost.com/campaigns/record-event/",
    settings=(
        Setting("api_secret", "the secret key, sk_...", "secret", required=True, fault=secret_fault),
        Setting("base_url", "where GamifyHost is", "url", default=URL),
    ),
    options=(
        Option("award", "the event type of a reward rule; alone, it awards points", example="purchase"),
        Option("campaign", "the slug of a campaign, to record an event in it", example="summer-promo"),
        Option("event", "the event type that the campaign counts", example="purchase"),
        Option("metadata", "kept with it; values may be computed", "map", example='{ amount = "=total" }'),
    ),
    send=send,
    base_url=URL,
    fault=fault,
    repeat_safe=lambda forward: REMEMBERED if awards(forward) else timedelta(0),
    lane=lambda forward: "" if awards(forward) else str(forward.options.get("campaign")).casefold(),
    baseline=baseline,
    reconcile=reconcile,
    reconcile_after=timedelta(seconds=10),  # it answers when it has finished
    per_second=5,
    customer="id",
    shows=tuple(SHOWS.values()),
    bearer=("winCode",),
    probe=probe,
    steps=(
        "Copy the API secret key from the dashboard. Test and live data are apart, and the key says which are meant",
        "For award: make a reward rule for the event type; it says how many points there are",
        "For campaign and event: let nobody else record events for its participants; lost answers are found by count",
    ),
)
