"""Any URL of yours, told with Standard Webhooks: for loyalty programs without a file here.

The receiver verifies webhook-signature and takes each webhook-id once.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from bridge.kit import (
    Customer,
    Fact,
    Forward,
    Kind,
    Option,
    Outcome,
    Request,
    Response,
    Setting,
    Settings,
    Talk,
    Target,
    Verdict,
    standard_fault,
)

#: What else a status means than "refused" (4xx) and "perhaps" (5xx).
STATUSES: Mapping[int, tuple[Verdict, str]] = {
    401: (Verdict.MISCONFIGURED, "it does not accept our signature"),
    403: (Verdict.MISCONFIGURED, "it does not accept our signature"),
    407: (Verdict.MISCONFIGURED, "a proxy wants credentials"),
    408: (Verdict.LATER, "it did not wait for the whole request"),
    410: (Verdict.MISCONFIGURED, "the endpoint is gone and disabled itself"),  # the specification's own meaning
    425: (Verdict.LATER, "too early"),
    429: (Verdict.LATER, "it is throttling"),
    # Overloaded, says the specification of these two, but a gateway cannot know how far the call has come. The breaker
    # throttles, and a repeat under the same id is harmless.
    502: (Verdict.UNCLEAR, "it is overloaded"),
    503: (Verdict.LATER, "it is not available"),
    504: (Verdict.UNCLEAR, "it is overloaded"),
}

#: What a receiver may answer with, as JSON, for the customer to see.
SHOWS = (
    Fact("message", "string", "what the receiver says to the customer"),
    Fact("points", "double", "how many points it has given"),
    Fact("code", "string", "a coupon or the like: worth something to whoever reads it"),
)
#: No answer shows more of a text than this.
LONGEST = 500


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    response = yield Request("POST", settings["url"], json=message(forward))
    return judge(response, forward)


def message(forward: Forward) -> Mapping[str, Any]:
    """The same on every attempt: nothing in it changes once the forward is made."""
    event = str(forward.options.get("event") or f"{forward.source}.{forward.action}")
    undoes = forward.kind is Kind.UNDO
    data = {
        "id": forward.id,
        "rule": forward.rule,
        "customer": customer(forward.customer),
        "source": forward.source,
        "action": forward.action,
        "account": forward.account,
        "subject": forward.subject,
        "occurred_at": forward.occurred_at,
        "facts": forward.facts,
        **({"undoes": forward.undoes} if undoes else {}),
        **(forward.options.get("data") or {}),
    }
    # Another type, not another field: a receiver that knows of no undoing must not pay a second time.
    kind = f"{event}.undone" if undoes else event
    return {"type": kind, "timestamp": plain(forward.occurred_at), "data": plain(data)}


def customer(who: Customer) -> Mapping[str, str]:
    known = {"id": who.id, "email": who.email, "phone": who.phone}
    return {name: value for name, value in known.items() if value}


def plain(value: Any) -> Any:
    """As JSON has it: times as ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def judge(response: Response, forward: Forward) -> Outcome:
    status = response.status
    if response.is_success and is_page(response.body):
        why = "somebody answers in the receiver's place"
        return Outcome(Verdict.UNCLEAR, f"answered {status} with a page, so perhaps {why}")
    if response.is_success:
        return Outcome(Verdict.DONE, f"answered {status}", shown=shown(response.object()))
    if status in STATUSES:
        verdict, why = STATUSES[status]
        return Outcome(verdict, f"answered {status}: {why}", retry_after=response.retry_after)
    if 300 <= status < 400:
        return Outcome(Verdict.MISCONFIGURED, f"redirects ({status}): url must be the final address")
    if status == 409 and forward.earlier:
        return Outcome(Verdict.DUPLICATE, "answered 409: our earlier attempt had arrived")
    if 400 <= status < 500:
        return Outcome(
            Verdict.REFUSED, f"answered {status}: {response.body[:200].decode(errors='replace')}".rstrip(": ")
        )
    return Outcome(Verdict.UNCLEAR, f"answered {status}", retry_after=response.retry_after)


def is_page(body: bytes) -> bool:
    """Nobody takes a webhook and answers with a page: firewalls, portals and parked domains do, with 200 as well.

    A page is told by how it begins. The type says nothing: PHP says text/html of whatever a script prints.
    """
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower().startswith((b"<!doctype html", b"<html"))


def shown(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The declared fields of an answer that are what they are declared to be; the rest is the receiver's own."""
    found: dict[str, Any] = {}
    for name in ("message", "code"):
        if isinstance(value := answer.get(name), str) and value:
            found[name] = value[:LONGEST]
    points = answer.get("points")
    if isinstance(points, int | float) and not isinstance(points, bool) and abs(points) < 2**53:
        found["points"] = float(points)
    return found


def fault(key: str) -> str:
    return standard_fault(key, signs=True)


target = Target(
    name="webhook",
    title="Webhook",
    docs="https://www.standardwebhooks.com",
    settings=(
        Setting("url", "where to post", "url", required=True),
        Setting("secret", "whsec_ or whsk_ keys, newest first", "secrets", required=True, fault=fault),
    ),
    options=(
        Option("event", "the type the receiver sees; else source and action", example="points.earned"),
        Option(
            "data", "what the receiver is told besides; values may be computed", "map", example='{ points = "=50" }'
        ),
    ),
    send=send,
    undo=send,
    # The specification asks receivers to take each webhook-id once, and names no time for which they remember
    # them. A week outlasts every attempt of the schedule; after that a person decides.
    repeat_safe_for=timedelta(days=7),
    signs_with="secret",
    shows=SHOWS,
    bearer=("code",),
    steps=(
        "Verify webhook-signature with the secret",
        "Take each webhook-id once and answer a repeat with 200",
        "Answer 410 to be told nothing more: the target pauses until somebody resumes it",
    ),
)
