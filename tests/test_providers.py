"""Every source against what it was recorded to send, and against what it would never send.

`tests/vectors/<provider>/<case>.http` is a request as it came: request line, headers, an empty line, and then
the body byte for byte. `<case>.json` beside it says under which clock and settings, and what it means. The
signatures are made with fixed keys that are good for nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.kit import (
    BadSignature,
    Customer,
    Delivery,
    Evidence,
    Grade,
    Ignored,
    Inbound,
    MissingHeader,
    Rejected,
    Reply,
    Scheme,
    Source,
    Stale,
    Unreadable,
)
from bridge.kit.fields import types
from providers import SOURCES, TARGETS

VECTORS = Path(__file__).parent / "vectors"
KINDS: Mapping[str, Any] = {
    "string": str,
    "double": float,
    "int": int,
    "bool": bool,
    "timestamp": datetime,
    "list": list,
    "map": dict,
}


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded request and what it must mean."""

    provider: str
    name: str
    request: bytes
    expected: Mapping[str, Any]

    @property
    def settings(self) -> Mapping[str, Any]:
        settings: Mapping[str, Any] = self.expected["settings"]
        return settings

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self.expected["now"])

    @property
    def source(self) -> Source:
        made = SOURCES[self.provider]
        return made.configure(made, self.settings) if made.configure else made

    @property
    def keys(self) -> list[str]:
        return list(self.settings[self.source.secrets])

    @property
    def inbound(self) -> Inbound:
        head, _, body = self.request.partition(b"\n\n")
        first, *rest = head.decode("latin-1").split("\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        return Inbound(
            source=self.provider,
            method=method,
            url=f"https://{headers['host']}{path}",
            headers=headers,
            body=body,
            received_at=self.now,
        )


def recorded() -> list[Case]:
    return [
        Case(path.parent.name, path.stem, path.read_bytes(), json.loads(path.with_suffix(".json").read_text("utf-8")))
        for path in sorted(VECTORS.glob("*/*.http"))
    ]


CASES = recorded()
#: Sources that send a secret along and sign nothing: who sends is proved, and what they send is not.
UNSIGNED = {"telegram"}
#: Sources that send. The others are only asked.
SENDERS = [name for name, source in SOURCES.items() if source.scheme or not source.checks]
#: No time is signed: the fact's key is what protects.
UNTIMED = ("shopify", "generic", "line", "patreon", "x", "instagram", "messenger", *UNSIGNED)
EXAMPLES = {case.provider: case for case in reversed(CASES) if "evidence" in case.expected}
ROLES = ("evidence", "customers", "reply", "ignored", "unreadable", "rejected")


def scheme_of(source: Source) -> Scheme:
    assert source.scheme is not None
    return source.scheme


def delivered(inbound: Inbound) -> Delivery:
    names = ("source", "method", "url", "headers", "body", "received_at")
    return Delivery(**{name: getattr(inbound, name) for name in names}, id="del_1", key="key")


def meaning(source: Source, delivery: Delivery, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a delivery means, as the .json of a vector says it."""
    assert source.read is not None
    try:
        told = source.read(delivery, settings)
    except Unreadable as error:
        return {"unreadable": error.message}
    if isinstance(told, Ignored):
        return {"ignored": told.reason}
    if isinstance(told, Reply):
        return {"reply": {"status": told.status, "media_type": told.media_type, "body": told.body.decode()}}
    listed = list(told)
    evidence = [said(one, source) for one in listed if isinstance(one, Evidence)]
    customers = [customer(one) for one in listed if isinstance(one, Customer)]
    return {**({"evidence": evidence} if evidence else {}), **({"customers": customers} if customers else {})}


def said(one: Evidence, source: Source) -> dict[str, Any]:
    facts = {name: shown(value) for name, value in one.facts.items()}
    optional = {
        "subject": one.subject,
        "occurred_at": shown(one.occurred_at),
        "grade": "" if one.grade is Grade.A else one.grade.value,
        "facts": facts,
        "customer": customer(one.customer) if one.customer else None,
        "undone": one.undone,
        "part": one.part,
        "less": dict(one.less),
    }
    known = {"action": one.action, "key": one.key, "account": one.account}
    return known | {name: value for name, value in optional.items() if value}


def customer(who: Customer) -> dict[str, Any]:
    names = ("id", "email", "phone", "email_verified", "phone_verified")
    return {name: value for name in names if (value := getattr(who, name))}


def shown(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.mark.parametrize("case", CASES, ids=[f"{case.provider}: {case.expected['says']}" for case in CASES])
def test_a_recorded_request_means_what_its_json_says(case: Case) -> None:
    expected = {role: case.expected[role] for role in ROLES if role in case.expected}
    assert expected, "its .json says nothing about what it means"
    try:
        scheme_of(case.source).verify(case.inbound, case.keys, case.now)
        found = meaning(case.source, delivered(case.inbound), case.settings)
    except Rejected as refused:
        found = {"rejected": refused.reason}
    assert found == expected


@pytest.mark.parametrize("case", CASES, ids=[f"{case.provider} {case.name}" for case in CASES])
def test_evidence_carries_the_facts_its_action_declares(case: Case) -> None:
    if "evidence" not in case.expected:
        return
    assert case.source.read is not None
    told = case.source.read(delivered(case.inbound), case.settings)
    assert not isinstance(told, Reply | Ignored)
    for one in told:
        if not isinstance(one, Evidence) or one.part:
            continue
        declared = {fact.name: fact.kind for fact in case.source.actions[one.action].facts}
        assert set(one.facts) == set(declared)
        for name, kind in declared.items():
            assert type(one.facts[name]) is KINDS[kind], f"{name} is declared {kind}"


@pytest.mark.parametrize("name", SENDERS)
def test_every_source_has_a_vector_for_each_of_its_actions(name: str) -> None:
    told = {one["action"] for case in CASES if case.provider == name for one in case.expected.get("evidence", ())}
    assert told, "no vector of it holds evidence"
    assert set(SOURCES[name].actions) - set(SOURCES[name].checks) <= told, "neither told nor asked about"


@pytest.mark.parametrize("name", SENDERS)
def test_every_source_has_a_vector_that_is_refused(name: str) -> None:
    assert any("rejected" in case.expected for case in CASES if case.provider == name)


Change = Callable[[Inbound, str], Inbound]


def header(change: Callable[[str], str | None]) -> Change:
    """Changes the signature's header; None takes it away."""

    def changed(good: Inbound, name: str) -> Inbound:
        value = change(good.headers[name])
        headers = {one: text for one, text in good.headers.items() if one != name}
        return replace(good, headers=headers if value is None else {**headers, name: value})

    return changed


HOSTILE = [
    pytest.param(header(lambda text: None), MissingHeader, id="the signature is missing"),
    pytest.param(header(lambda text: ""), MissingHeader, id="the signature is empty"),
    pytest.param(header(lambda text: " "), BadSignature, id="the signature is a blank"),
    pytest.param(header(lambda text: text[: len(text) // 2]), BadSignature, id="the signature is cut in half"),
    pytest.param(header(lambda text: text[:-6]), BadSignature, id="the signature lacks its end"),
    pytest.param(header(lambda text: f"md5={text}"), BadSignature, id="the signature has another prefix"),
    pytest.param(header(lambda text: "%!" * 32), BadSignature, id="the signature is neither hex nor base64"),
    pytest.param(header(lambda text: f"{text[:12]} \t{text[12:]}"), BadSignature, id="the signature has white space"),
    pytest.param(header(lambda text: "é" * 64), BadSignature, id="the signature is not ASCII"),
    pytest.param(header(lambda text: f"{text[:-4]}☃☃☃☃"), BadSignature, id="the signature is not even Latin-1"),
    pytest.param(header(lambda text: f"{text}\x00"), BadSignature, id="the signature ends in NUL"),
    pytest.param(header(lambda text: "A" * 65536), BadSignature, id="the signature is 64 KiB long"),
    pytest.param(header(lambda text: "," * 65536), BadSignature, id="the signature is nothing but commas"),
    pytest.param(lambda good, name: replace(good, body=b""), BadSignature, id="the body is empty"),
    pytest.param(lambda good, name: replace(good, body=good.body + b" "), BadSignature, id="the body has a blank more"),
    pytest.param(
        lambda good, name: replace(good, body=json.dumps(json.loads(good.body), indent=1).encode()),
        BadSignature,
        id="the body was parsed and written again",
    ),
]


def signature_header(case: Case) -> str:
    """The header that holds the signature: without it the request is refused with 401."""
    for name in scheme_of(case.source).headers & set(case.inbound.headers):
        bare = {one: value for one, value in case.inbound.headers.items() if one != name}
        try:
            scheme_of(case.source).verify(replace(case.inbound, headers=bare), case.keys, case.now)
        except MissingHeader as missing:
            if missing.status == 401:
                return name
        except Rejected:
            continue
    raise AssertionError("no header of it is the signature")


@pytest.mark.parametrize("name", SENDERS)
@pytest.mark.parametrize(("change", "refusal"), HOSTILE)
def test_a_hostile_request_is_refused_and_crashes_nothing(name: str, change: Change, refusal: type[Rejected]) -> None:
    case = EXAMPLES[name]
    hostile = change(case.inbound, signature_header(case))
    if name in UNSIGNED and hostile.body != case.inbound.body:
        scheme_of(case.source).verify(hostile, case.keys, case.now)  # nothing protects the body but TLS
        return
    with pytest.raises(refusal) as refused:
        scheme_of(case.source).verify(hostile, case.keys, case.now)
    assert refused.value.status == 401


@pytest.mark.parametrize("name", SENDERS)
def test_another_secret_or_none_fits_nothing(name: str) -> None:
    case = EXAMPLES[name]
    for keys in ([], ["whsec_" + "QUFB" * 8], ["0" * 64]):
        with pytest.raises(BadSignature):
            scheme_of(case.source).verify(case.inbound, keys, case.now)


@pytest.mark.parametrize("name", SENDERS)
@pytest.mark.parametrize("apart", [timedelta(days=1), timedelta(days=-1)], ids=["a day late", "a day early"])
def test_a_signed_time_is_judged_where_there_is_one(name: str, apart: timedelta) -> None:
    case = EXAMPLES[name]
    scheme = scheme_of(case.source)
    if name in UNTIMED:
        scheme.verify(case.inbound, case.keys, case.now + apart)
    else:
        with pytest.raises(Stale):
            scheme.verify(case.inbound, case.keys, case.now + apart)


@pytest.mark.parametrize("name", SENDERS)
def test_every_other_signed_header_is_needed(name: str) -> None:
    case = EXAMPLES[name]
    needed = scheme_of(case.source).headers & set(case.inbound.headers) - {signature_header(case)}
    for one in needed:
        bare = {header: value for header, value in case.inbound.headers.items() if header != one}
        with pytest.raises(MissingHeader) as refused:
            scheme_of(case.source).verify(replace(case.inbound, headers=bare), case.keys, case.now)
        assert refused.value.status == 400


SAMPLES = [(name, event) for name, source in SOURCES.items() for event in source.samples]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(("name", "event"), SAMPLES, ids=[f"{name} {event}" for name, event in SAMPLES])
def test_a_sample_is_taken_and_read_as_the_source_itself_would_be(name: str, event: str) -> None:
    case = EXAMPLES[name]
    source = case.source
    sample = source.samples[event]
    settings = {name: value for name, value in case.settings.items() if name != "channel_id"}
    if name in ("standard", "generic"):
        where = "body.data" if name == "standard" else "body"
        settings["evidence"] = [{"action": "review", "key": f"{where}.id", "account": f"string({where}.account)"}]
        assert source.configure is not None
        source = source.configure(SOURCES[name], settings)
        sample = source.samples[event]
    headers, body = sample.make(sample.values, NOW)
    bare = Inbound(
        source=name,
        method="POST",
        url=case.inbound.url,
        headers={"content-type": "application/json", **headers},
        body=json.dumps(body).encode(),
        received_at=NOW,
    )
    key = settings[source.secrets][0]
    sent = replace(bare, headers={**bare.headers, **scheme_of(source).sign(bare, key, NOW)})
    scheme_of(source).verify(sent, [key], NOW)
    assert "evidence" in meaning(source, delivered(sent), settings)


@pytest.mark.parametrize(("name", "event"), SAMPLES, ids=[f"{name} {event}" for name, event in SAMPLES])
def test_a_sample_takes_its_values_as_the_command_line_gives_them(name: str, event: str) -> None:
    sample = SOURCES[name].samples[event]
    as_text = {one: str(value) for one, value in sample.values.items()}
    json.dumps(sample.make(as_text, NOW)[1])


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_described_for_people(name: str) -> None:
    source = SOURCES[name]
    assert source.title
    assert source.docs.startswith("https://")
    assert source.steps
    assert source.settings
    names = [setting.name for setting in source.settings]
    assert len(names) == len(set(names))
    assert source.scheme is None or source.secrets in names
    assert source.scheme or source.configure or source.checks, "it neither sends nor can be asked"
    assert set(source.recheck_needs) <= set(names)
    assert set(source.rechecks) <= set(source.actions)
    for action in source.actions.values():
        assert action.title
        assert len(types(action.facts)) == len(action.facts) + 5, "a fact hides one that every action carries"
        assert action.total in {"", *(fact.name for fact in action.facts)}


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_described_for_people(name: str) -> None:
    target = TARGETS[name]
    assert target.title
    assert target.docs.startswith("https://")
    assert target.steps
    names = [setting.name for setting in target.settings]
    assert len(names) == len(set(names))
    assert target.signs_with in {"", *names}
    keyed = bool(target.repeat_safe_for)
    assert keyed or target.lane, "without a memory for keys a target's doubt must be alone"
    assert keyed or (target.baseline and target.reconcile), "without a memory for keys doubt must be settled by reading"


def test_the_registry_knows_every_provider_by_its_own_name() -> None:
    stems = {path.stem for path in (Path(__file__).parent.parent / "providers").glob("*/*.py")}
    files = {stem for stem in stems if not stem.startswith("_")}
    assert files == {*SOURCES, *TARGETS}
    assert all(name == source.name for name, source in SOURCES.items())
    assert all(name == target.name for name, target in TARGETS.items())
