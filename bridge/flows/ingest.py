"""
Webhooks: admit, understand, remember; many at a time.

| # | where | what | ends here when |
|---|---|---|---|
| 1 | `web/webhooks.py` | body limit, raw bytes, `Inbound` | 404, 405, 413, 415 |
| 2 | `admit` | duplicated headers, `source.scheme.verify` -> `Delivery` | 400, 401, kept among the rejections |
| 3 | `understand` | `source.read` -> a reply, nothing that counts, or evidence | unreadable: stored as `failed` |
| 4 | the group commit | all that waits becomes one transaction, one fsync: `remember` | cannot store: 503 |
| 5 | `remember` | unique (source, key) | there already: acknowledged as duplicate |
| 6 | `consider` | whose, which rules, what is owed | |
| 7 | commit, then answer | we acknowledge only what is on disk | |

Think first, then lock: verifying and reading happen before the transaction, so that a forged request never
takes the writer's time. The delivery's id saves work, the fact's key is the truth: many sources do not sign
the id, so a captured request can come again under another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bridge.config import SourceTable
from bridge.kit import (
    AuditEntry,
    Customer,
    Delivery,
    DeliveryState,
    DuplicateHeader,
    Evidence,
    ExpressionError,
    Ignored,
    Inbound,
    Recorded,
    Rejected,
    Reply,
    Unreadable,
)
from bridge.store import Row, Tx, audit, deliveries
from bridge.store.rows import ms, text

from . import people, read
from .consider import consider
from .decide import Decision, decide
from .scene import Scene


@dataclass(slots=True)
class Arrival:
    """A delivery as it was understood, ready to be remembered with all that follows from it."""

    delivery: Delivery
    state: DeliveryState
    reason: str = ""
    reply: Reply | None = None
    told: list[Recorded] = field(default_factory=list)
    directory: list[Mapping[str, Any]] = field(default_factory=list)
    made: dict[str, Sequence[Decision]] = field(default_factory=dict)  # what the rules say of each, by evidence
    scene: Scene | None = None

    def __post_init__(self) -> None:
        if self.reason:
            self.reason = clean(self.reason)  # it can quote the body


@dataclass(frozen=True, slots=True)
class Remembered:
    """What became of an arrival."""

    status: str  # accepted, duplicate, ignored
    delivery: str  # the id under which it is stored
    targets: frozenset[str] = frozenset()  # where something is due now


def admit(inbound: Inbound, source: SourceTable, scene: Scene) -> Delivery:
    """An inbound request that is the source's own becomes a `Delivery`; anything else: `Rejected`."""
    scheme = source.provider.scheme
    assert scheme is not None, "a source without a scheme never gets a webhook route"
    if inbound.repeated and (deciding := inbound.repeated & (scheme.headers | set(source.provider.delivery_id))):
        raise DuplicateHeader(f"the header {', '.join(sorted(deciding))} came more than once")
    scheme.verify(inbound, source.secrets, scene.now)
    return Delivery(
        source=inbound.source,
        method=inbound.method,
        url=inbound.url,
        headers=inbound.headers,
        body=inbound.body,
        received_at=inbound.received_at,
        repeated=inbound.repeated,
        id=scene.new_id("del"),
        key=delivery_key(inbound, source),
    )


def delivery_key(inbound: Inbound, source: SourceTable) -> str:
    """By what the same delivery is recognised: its id, and the body's hash unless the id is signed."""
    provider = source.provider
    named = next((inbound.headers[name] for name in provider.delivery_id if inbound.headers.get(name)), "")
    if named and provider.delivery_id_signed and len(named) <= 200:
        return named
    return hashlib.sha256(named.encode() + b"\x00" + inbound.body).hexdigest()[:40]


def understand(delivery: Delivery, source: SourceTable, scene: Scene) -> Arrival:
    """What a delivery means. Never raises: what is signed but unreadable is our bug, and is kept for replay."""
    assert source.provider.read is not None
    try:
        meaning = source.provider.read(delivery, source.settings)
        if isinstance(meaning, Reply):
            return Arrival(delivery, DeliveryState.PROCESSED, meaning.reason, reply=meaning, scene=scene)
        if isinstance(meaning, Ignored):
            return Arrival(delivery, DeliveryState.IGNORED, meaning.reason, scene=scene)
        return _told(delivery, list(meaning), source, scene)
    except (Unreadable, ExpressionError, Rejected) as error:
        reason = error.message
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, LookupError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
    except RecursionError:
        reason = "nested too deeply"
    return Arrival(delivery, DeliveryState.FAILED, f"{source.provider.title} delivery: {reason}"[:500], scene=scene)


def unfit(arrival: Arrival, error: Exception) -> Arrival:
    """An arrival the store cannot hold as it was understood: its bytes alone, for replay after the fix."""
    reason = f"it was read, and what it says cannot be kept: {type(error).__name__}"
    return Arrival(arrival.delivery, DeliveryState.FAILED, reason, reply=arrival.reply, scene=arrival.scene)


def _told(delivery: Delivery, meaning: Sequence[Evidence | Customer], source: SourceTable, scene: Scene) -> Arrival:
    arrival = Arrival(delivery, DeliveryState.PROCESSED, scene=scene)
    for one in meaning:
        if isinstance(one, Customer):
            if entry := people.known(one, scene.config.customers, source):
                if unfit := read.poison(text(entry)):
                    raise Unreadable(unfit)
                arrival.directory.append(entry)
            continue
        if unfit := read.plausible(one):
            raise Unreadable(unfit)
        if one.action not in source.provider.actions:
            raise Unreadable(f"{one.action} is no action of {source.provider.title}")
        told = record_of(one, source, delivery.received_at, scene, delivery=delivery.id)
        arrival.told.append(told)
        if not told.undone and not told.part:
            arrival.made[told.id] = decide(scene.config, told)
    if not arrival.told and not arrival.directory:
        return replace(arrival, state=DeliveryState.IGNORED, reason="nothing in it counts")
    return arrival


def record_of(one: Evidence, source: SourceTable, received_at: datetime, scene: Scene, *, delivery: str) -> Recorded:
    """Evidence as the store keeps it: named, and its time clamped to when we heard of it."""
    occurred = min(one.occurred_at, received_at) if one.occurred_at else received_at
    account = one.account
    if source.provider.knows_customers and account is None and one.customer:
        account = one.customer.id
    return Recorded(
        id=scene.new_id("evi"),
        source=source.ledger,
        action=one.action,
        key=one.key,
        account=account,
        subject=one.subject,
        occurred_at=occurred,
        received_at=received_at,
        grade=one.grade,
        facts=one.facts,
        customer=one.customer,
        undone=one.undone and not one.part,
        part=one.part,
        less=one.less,
        delivery=delivery,
    )


def row_of(arrival: Arrival) -> dict[str, Any]:
    """A row of `deliveries`."""
    delivery, received_at = arrival.delivery, ms(arrival.delivery.received_at)
    return {
        "id": delivery.id,
        "source": delivery.source,
        "key": delivery.key,
        "method": delivery.method,
        "url": delivery.url,
        "headers": text(delivery.headers),
        "body": delivery.body,
        "received_at": received_at,
        "at": received_at,
        "state": arrival.state.value,
        "reason": arrival.reason,
    }


async def remember(tx: Tx, arrivals: list[Arrival]) -> list[Remembered]:
    """Store what arrived together with all that follows from it: the group that intake joins."""
    known = await deliveries.remember(tx, [row_of(arrival) for arrival in arrivals])
    scene = arrivals[-1].scene
    assert scene is not None
    fresh = [arrival for arrival in arrivals if arrival.delivery.id not in known]
    told = [one for arrival in fresh for one in arrival.told]
    directory = [entry for arrival in fresh for entry in arrival.directory]
    made = {id_: one for arrival in fresh if same(arrival, scene)
            for id_, one in arrival.made.items()}  # fmt: skip
    considered = await consider(tx, told, scene, directory=directory, made=made) if told or directory else []
    owed: dict[str, set[str]] = {}
    entries = []
    detail: dict[str, dict[str, Any]] = {}
    for one in considered:
        mine = detail.setdefault(one.evidence.delivery, {})
        mine["evidence" if one.new else "known"] = mine.get("evidence" if one.new else "known", 0) + 1
        if one.forwards:
            mine.setdefault("forwards", []).extend(one.forwards)
            owed.setdefault(one.evidence.delivery, set()).update(one.targets)
        if one.withdrawn:
            mine.setdefault("withdrawn", []).extend(one.withdrawn)
            # What had left is taken back by a call, where the target can.
            owed.setdefault(one.evidence.delivery, set()).update(scene.config.targets)
    for arrival in fresh:
        id_ = arrival.delivery.id
        told_of = {"state": arrival.state.value, **detail.get(id_, {})}
        entries.append(
            AuditEntry(actor=f"source:{arrival.delivery.source}", action="delivery.stored", object=id_, detail=told_of)
        )
    await audit.append(tx, entries, now=scene.at)
    return [
        Remembered("duplicate", known[arrival.delivery.id])
        if arrival.delivery.id in known
        else Remembered(
            "ignored" if arrival.state is DeliveryState.IGNORED else "accepted",
            arrival.delivery.id,
            frozenset(owed.get(arrival.delivery.id, ())),
        )
        for arrival in arrivals
    ]


def same(arrival: Arrival, scene: Scene) -> bool:
    """Whether an arrival was judged under the configuration that is in force now."""
    return arrival.scene is not None and arrival.scene.config is scene.config


def delivery_of(row: Row) -> Delivery:
    """A stored delivery, byte for byte as it came."""
    import json

    from bridge.store.rows import when

    return Delivery(
        source=row["source"],
        method=row["method"],
        url=row["url"],
        headers=json.loads(row["headers"]),
        body=bytes(row["body"]),
        received_at=when(row["received_at"]),
        id=row["id"],
        key=row["key"],
    )


def clean(value: str) -> str:
    """A stranger's words, fit for a terminal and a store."""
    return "".join(c if c.isprintable() else "�" for c in value[:500])


#: Shown as they are in rejections: they tell what was sent, and none of them can carry a secret.
SHOWN = {"content-type", "content-length", "user-agent", "accept", "host", "date", "transfer-encoding"}


def redacted(headers: Mapping[str, str], times: frozenset[str] = frozenset()) -> dict[str, str]:
    """A refused request's headers, fit to be kept and shown: of most only that they came, and how long they were."""
    shown: dict[str, str] = {}
    for name, value in list(headers.items())[:50]:
        telling = name in SHOWN or name in times or name.endswith(("-topic", "-timestamp", "-type", "-event"))
        shown[name[:100]] = value[:200].encode("ascii", "replace").decode() if telling else f"({len(value)} characters)"
    return shown


def diagnosis(inbound: Inbound, source: SourceTable, scene: Scene) -> str:
    """Which mistake a bad signature looks like, in words; empty where it looks like none we know."""
    scheme = source.provider.scheme
    if scheme is None or len(inbound.body) > 65_536:
        return ""

    def fits(request: Inbound, secrets: Sequence[str]) -> bool:
        from bridge.kit import Stale

        try:
            scheme.verify(request, secrets, scene.now)
        except Stale:
            return True
        except (Rejected, ValueError):  # another source's key need not be one of this scheme at all
            return False
        return True

    for other in scene.config.sources.values():
        if other.name != source.name and other.secrets and fits(inbound, other.secrets):
            return f"it was signed with the secret of [source.{other.name}]"
    for what, body in _reshaped(inbound.body):
        if body != inbound.body and fits(replace(inbound, body=body), source.secrets):
            return f"the secret is right, but the body was changed on its way here: {what}"
    for trimmed in {secret.strip() for secret in source.secrets} - set(source.secrets):
        if fits(inbound, [trimmed]):
            return "the configured secret has white space around it"
    return ""


def _reshaped(body: bytes) -> list[tuple[str, bytes]]:
    import json

    shapes = [("a line end was added", body.rstrip(b"\r\n")), ("the line end was taken off", body + b"\n")]
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return shapes
    if not isinstance(value, dict | list):
        return shapes
    try:
        for ascii_ in (True, False):
            shapes.append(
                (
                    "it was parsed and written again",
                    json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_).encode(),
                )
            )
            shapes.append(("it was parsed and written again", json.dumps(value, ensure_ascii=ascii_).encode()))
    except (UnicodeEncodeError, RecursionError):
        pass
    return shapes
