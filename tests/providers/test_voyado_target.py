"""Voyado Engage: what is sent, what each of its answers means for us, and what its record proves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from bridge import env
from bridge.app import read_config
from bridge.kit import Attempt, ConfigError, Customer, Forward, Outcome, Request, Response, Unavailable, Verdict
from providers.loyalty.voyado import AGREED, target

from .playing import play

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DEFINITION = "081225de-8a42-45f8-a3b7-03d9c97ee19c"
CONTACT = "2285d25b-622c-45ce-bc13-fccdd1147d4d"
RUN, NEXT = "3a4a81c3-ea2c-4f4c-866b-6dcadf257759", "9f1d9c1e-0b5e-4d6c-8a55-0b6f4a1f9e21"
NOBODY = "00000000-0000-0000-0000-000000000000"
SETTINGS = {"base_url": "https://acme.voyado.com", "api_key": "vy_test_key"}
FORWARD = Forward(
    id="fwd_1",
    rule="review",
    send="voyado",
    target="voyado",
    customer=Customer(id="ext-77", email="ann+news@example.com", phone="+46701234567"),
    options={"definition_id": DEFINITION, "checkpoints": 1},
    source="reviews",
    action="review",
    subject="p1",
    facts={},
    occurred_at=NOW,
    created_at=NOW,
    known_as=CONTACT,
)
BEFORE_THE_CALL = "2026-11-20T11:58:00.2535557+01:00"
SINCE_THE_CALL = "2026-11-20T13:00:01.2535557+01:00"  # 12:00:01 in UTC
HTML = b"<!doctype html><title>Just a moment...</title>"
ROUTE = {"message": "No HTTP resource was found that matches the request URI 'https://acme.voyado.com/api/v3/x'."}


def answer(status: int, body: Any = ..., **headers: str) -> Response:
    raw = body if isinstance(body, bytes) else b"" if body is ... else json.dumps(body).encode()
    return Response(status, raw, headers=headers, at=NOW + timedelta(seconds=1))


def said(code: str, message: str = "") -> dict[str, str]:
    return {"errorCode": code, "message": message}


def challenge(completed: Any = 2, latest: Any = BEFORE_THE_CALL, **more: Any) -> dict[str, Any]:
    """As their page shows one, and active."""
    return {
        "challengeId": DEFINITION,
        "challengeStart": "2026-11-01T10:52:38.2535557+01:00",
        "completedCheckpoints": completed,
        "contactId": CONTACT,
        "id": RUN,
        "isActive": True,
        "isChallengeCompleted": False,
        "latestCheckpointAddedOn": latest,
        "requiredCheckpoints": 5,
        "status": 3,
        "links": [],
        **more,
    }


def listed(*items: Any, total: Any = None, offset: int = 0) -> Response:
    links = [{"href": "", "method": "GET", "rel": rel} for rel in ("previous", "next")]
    count = len(items) if total is None else total
    told = {"links": links, "count": len(items), "offset": offset, "items": list(items), "totalCount": count}
    return answer(200, told)


def kept(completed: int = 2, latest: str = BEFORE_THE_CALL, id: str = RUN, required: int | None = 5) -> str:
    told = {"id": id, "completedCheckpoints": completed, "requiredCheckpoints": required}
    return json.dumps({**told, "latestCheckpointAddedOn": latest}, separators=(",", ":"))


def earlier(baseline: str = "", sent_at: datetime | None = NOW) -> Attempt:
    return Attempt(forward="fwd_1", number=1, leased_at=NOW, lease_until=NOW, sent_at=sent_at, baseline=baseline)


def contact(number: int) -> str:
    return f"96465573-53e7-453f-a2d9-{number:012x}"


def many(count: int) -> list[Forward]:
    return [replace(FORWARD, id=f"fwd_{n}", known_as=contact(n), baseline=kept()) for n in range(count)]


def tell(*forwards: Forward, response: Response) -> list[Outcome]:
    """What a call says of each forward."""
    assert target.send_many is not None
    told, _ = play(target.send_many(forwards, SETTINGS), response)
    return [told] * len(forwards) if isinstance(told, Outcome) else list(told)


def skipped(*rows: Forward, **more: Any) -> Response:
    """An answer that lists these rows, as their page shows one."""
    triples = [
        {"definitionId": one.options["definition_id"], "contactId": one.known_as}
        | {"checkpointAmount": one.options["checkpoints"]}
        for one in rows
    ]
    return answer(200, {"missingContactIds": [], "missingDefinitionIds": [], "notAccepted": triples, **more})


# --- what is sent -----------------------------------------------------------------------------------------------------

#: The fields that their page lists for each call: name, type, whether it is needed. Ids are typed `int` there, and
#: are GUIDs in every example of the same page.
FIELDS: Mapping[tuple[str, str], Mapping[str, tuple[str, bool]]] = {
    ("GET", "/api/v3/challenges"): {
        "contactId": ("guid", True),
        "definitionId": ("guid", False),
        "offset": ("int", False),
        "count": ("int", False),
        "filter": ("string", False),
    },
    ("GET", "/api/v3/challenges/{challengeId}"): {},
    ("GET", "/api/v3/challenges/definitions"): {
        "offset": ("int", False),
        "count": ("int", False),
        "status": ("string", False),
    },
    ("GET", "/api/v3/challenges/definitions/{definitionId}"): {},
    ("POST", "/api/v3/challenges/definitions/{definitionId}/assign"): {
        "contactId": ("guid", True),
        "definitionId": ("guid", True),
    },
    ("POST", "/api/v3/challenges/checkpoints"): {
        "definitionId": ("guid", True),
        "contactId": ("guid", True),
        "checkpointAmount": ("int", True),
    },
}
WORDS = {
    "filter": {"All", "Active", "Completed", "NotCompleted"},
    "status": {"All", "Active", "Draft", "Scheduled", "Ended"},
}
GUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def every_request() -> Iterator[Request]:
    """Each kind of request that leaves for the challenges API."""
    assert target.baseline
    assert target.reconcile
    assert target.send_many
    assert target.probe
    agreed = replace(FORWARD, options={**FORWARD.options, "assign": AGREED})
    yield from play(target.baseline(agreed, SETTINGS), listed(), answer(200, True), listed(challenge(0)))[1]
    yield from play(target.send_many(many(3), SETTINGS), answer(200, {}))[1]
    doubt = replace(FORWARD, earlier=earlier())
    yield from play(target.reconcile(doubt, kept(), SETTINGS), listed(), answer(200, challenge(3)))[1]
    sends = [{"definition_id": DEFINITION}]
    yield from play(target.probe(sends, SETTINGS), listed(), listed(), answer(200, {"id": DEFINITION}))[1]


def place(request: Request) -> tuple[tuple[str, str], dict[str, str]]:
    """Which of their calls a request is, and what stands in its path."""
    path = urlsplit(request.url).path
    for method, template in FIELDS:
        pattern = re.sub(r"\{(\w+)\}", rf"(?P<\1>{GUID})", template)
        if method == request.method and (found := re.fullmatch(pattern, path)):
            return (method, template), found.groupdict()
    raise AssertionError(f"their page knows no {request.method} {path}")


def fits(name: str, kind: str, value: Any, *, typed: bool) -> bool:
    if kind == "guid":
        return isinstance(value, str) and re.fullmatch(GUID, value) is not None
    if kind == "int":
        return type(value) is int if typed else isinstance(value, str) and value.isdigit()
    return value in WORDS[name]


def test_every_request_is_one_of_theirs_with_their_fields_and_no_others() -> None:
    seen = set()
    for request in every_request():
        call, in_path = place(request)
        fields = FIELDS[call]
        rows = request.json if request.json is not None else [{**request.params, **in_path}]
        in_query = call[1].endswith("assign") or request.json is None
        for row in rows:
            given = {name: value for name, value in row.items() if name in fields or name in request.params}
            assert given.keys() <= fields.keys(), call
            assert {name for name, (_, needed) in fields.items() if needed} <= given.keys(), call
            for name, value in given.items():
                assert fits(name, fields[name][0], value, typed=not in_query), (call, name, value)
        seen.add(call)
    assert seen == FIELDS.keys()


def test_the_fields_are_those_of_their_own_page() -> None:
    folder = os.environ.get("BRIDGE_TEST_SEEDS")
    if not folder:
        pytest.skip("BRIDGE_TEST_SEEDS names no folder with Voyado's page")
    pages = [path.read_text("utf-8") for path in sorted(Path(folder).glob("*.txt"))]
    page = next(one for one in pages if "/api/v3/challenges/checkpoints" in one)
    sections = re.split(r"\n## ", page[page.index("## Get all challenges for contact") :])
    read = {}
    for section in sections:
        call = re.search(r"```http theme=\{null\}\n(GET|POST) (\S+)\n```", section)
        assert call, section[:80]
        fields = re.findall(r'<ResponseField name="(\w+)" type="(\w+)"( required)?>', section)
        read[call[1], call[2]] = {name: (kind, bool(needed)) for name, kind, needed in fields}
        if call[2].endswith("checkpoints"):  # a body, told by its example
            example = json.loads(re.search(r"```json theme=\{null\}\n(\[.*?\])\n```", section, re.DOTALL)[1])  # type: ignore[index]
            read[call[1], call[2]] = dict.fromkeys(example[0], ("int", True))
    ours = {
        call: {name: ("int" if kind == "guid" else kind, needed) for name, (kind, needed) in fields.items()}
        for call, fields in FIELDS.items()
    }
    assert read == ours


def test_every_request_carries_the_key_and_the_type_without_which_they_answer_500() -> None:
    for request in every_request():
        assert request.headers == {"apikey": "vy_test_key", "Content-Type": "application/json"}
        assert request.url.startswith("https://acme.voyado.com/api/v3/")
        assert "vy_test_key" not in request.url
        assert request.harmless is not request.url.endswith("/checkpoints")


def test_the_rows_are_what_their_page_shows() -> None:
    dogs, cats = "bbf8d0a3-7057-4b21-9fd1-a9ba21116d5c", "2b84e222-2f84-4553-a775-7755ea912e52"
    rows = [
        (dogs, "96465573-53e7-453f-a2d9-fa65a68de111", 1),
        (dogs, "63706fea-10d9-459e-a78a-1011486fb46f", 2),
        (cats, "be541846-34e2-4bb2-b693-b4c5a31c27b9", 1),
    ]
    forwards = [
        replace(FORWARD, known_as=known, options={"definition_id": definition, "checkpoints": count})
        for definition, known, count in rows
    ]
    assert target.send_many is not None
    _, asked = play(target.send_many(forwards, SETTINGS), answer(200, {}))
    assert len(asked) == 1
    names = ("definitionId", "contactId", "checkpointAmount")
    assert asked[0].json == [dict(zip(names, row, strict=True)) for row in rows]


def test_ids_in_capitals_are_the_same_ids() -> None:
    loud = replace(FORWARD, known_as=CONTACT.upper(), options={"definition_id": DEFINITION.upper(), "checkpoints": 1})
    _, asked = play(target.send(loud, SETTINGS), answer(200, {}))
    assert asked[0].json == [{"definitionId": DEFINITION, "contactId": CONTACT, "checkpointAmount": 1}]


def test_another_header_and_address_are_obeyed() -> None:
    settings = {**SETTINGS, "key_header": "x-api-key", "base_url": "http://127.0.0.1:9000/"}
    _, asked = play(target.send(FORWARD, settings), answer(200, {}))
    assert asked[0].headers["x-api-key"] == "vy_test_key"
    assert asked[0].url == "http://127.0.0.1:9000/api/v3/challenges/checkpoints"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        pytest.param({"options": {"definition_id": "dogs", "checkpoints": 1}}, "definition_id", id="no definition id"),
        pytest.param({"options": {"definition_id": 7, "checkpoints": 1}}, "definition_id", id="a number for one"),
        pytest.param({"known_as": ""}, "contact id", id="a contact that was not found"),
        pytest.param({"known_as": NOBODY}, "contact id", id="the id that .NET has for nobody"),
        pytest.param({"options": {"definition_id": DEFINITION, "checkpoints": 0}}, "checkpoints", id="none"),
        pytest.param(
            {"options": {"definition_id": DEFINITION, "checkpoints": -3}}, "checkpoints", id="fewer than none"
        ),
        pytest.param({"options": {"definition_id": DEFINITION, "checkpoints": True}}, "checkpoints", id="yes"),
        pytest.param({"options": {"definition_id": DEFINITION, "checkpoints": 2**31}}, "checkpoints", id="a flood"),
    ],
)
def test_what_it_would_refuse_is_never_sent(change: dict[str, Any], what: str) -> None:
    assert target.baseline
    assert target.send_many
    bad = replace(FORWARD, **change)
    for talk in (target.baseline(bad, SETTINGS), target.send(bad, SETTINGS)):
        outcome, asked = play(talk)
        assert isinstance(outcome, Outcome)
        assert (outcome.verdict, asked) == (Verdict.REFUSED, [])
        assert what in outcome.note
    outcomes, asked = play(target.send_many([FORWARD, bad], SETTINGS), answer(200, {}))
    assert isinstance(outcomes, list)
    assert [one.verdict for one in outcomes] == [Verdict.DONE, Verdict.REFUSED]
    assert len(asked[0].json) == 1


def test_a_row_that_was_not_sent_keeps_its_own_fault_when_the_call_fails() -> None:
    bad = replace(FORWARD, known_as="")
    assert [one.verdict for one in tell(FORWARD, bad, response=answer(500))] == [Verdict.UNCLEAR, Verdict.REFUSED]


# --- finding the contact ----------------------------------------------------------------------------------------------


def found(response: Response, customer: Customer = FORWARD.customer, **settings: str) -> tuple[Any, list[Request]]:
    assert target.find is not None
    return play(target.find(replace(FORWARD, customer=customer, known_as=""), {**SETTINGS, **settings}), response)


@pytest.mark.parametrize(
    ("settings", "path", "params"),
    [
        pytest.param({}, "contacts/id", {"email": "ann+news@example.com"}, id="by e-mail, unless it is said"),
        pytest.param({"find_by": "phone"}, "contacts/id", {"mobilePhone": "+46701234567"}, id="by phone"),
        pytest.param({"find_by": "external_id"}, "contacts/id", {"customKey": "ext-77"}, id="by the tenant's key"),
        pytest.param(
            {"find_by": "email", "contact_type": "Member"},
            "contacts/id",
            {"email": "ann+news@example.com", "contactType": "Member"},
            id="among contacts of a type",
        ),
        pytest.param(
            {"find_by": "external_id", "contact_type": "Member"},
            *("contacts/Member/byexternalid/ext-77", {}),
            id="by the external id itself, where the type is known",
        ),
    ],
)
def test_how_a_contact_is_asked_for(settings: dict[str, str], path: str, params: dict[str, str]) -> None:
    told, asked = found(answer(200, CONTACT.upper()), **settings)
    assert told == CONTACT
    assert asked[0].url == f"https://acme.voyado.com/api/v3/{path}"
    assert asked[0].params == params
    assert asked[0].harmless
    assert asked[0].headers == {"apikey": "vy_test_key", "Content-Type": "application/json"}


def test_by_external_id_the_whole_contact_is_answered() -> None:
    settings = {"find_by": "external_id", "contact_type": "Member"}
    told, _ = found(answer(200, {"id": CONTACT, "attributes": {"externalId": "ext-77"}}), **settings)
    assert told == CONTACT


@pytest.mark.parametrize("name", ["a/b", "a&email=boss@example.com", "a?x=1", "a#b", "a%2fb", "ö +", "..."])
def test_an_id_stays_one_segment_of_the_path(name: str) -> None:
    settings = {"find_by": "external_id", "contact_type": "Member"}
    _, asked = found(answer(200, CONTACT), Customer(id=name), **settings)
    path = asked[0].url.removeprefix("https://acme.voyado.com/api/v3/contacts/Member/byexternalid/")
    assert "/" not in path
    assert not {"?", "#", "&", "+", " "} & set(path)
    assert unquote(path) == name
    assert not asked[0].params


@pytest.mark.parametrize("name", ["..", ".", "../../challenges", "a/../b", "..\\x", ""])
def test_an_id_of_dots_asks_for_nothing(name: str) -> None:
    assert target.find is not None
    forward = replace(FORWARD, customer=Customer(id=name))
    told, asked = play(target.find(forward, {**SETTINGS, "find_by": "external_id", "contact_type": "Member"}))
    assert isinstance(told, Outcome)
    assert (told.verdict, told.missing, asked) == (Verdict.REFUSED, False, [])


@pytest.mark.parametrize(
    ("name", "right"),
    [
        pytest.param(CONTACT, CONTACT, id="a contact id"),
        pytest.param(CONTACT.upper(), CONTACT, id="in capitals"),
        pytest.param("7001", None, id="the shop's own number"),
        pytest.param(f"{CONTACT}\n", None, id="with a line end"),
        pytest.param(f"{CONTACT}&x", None, id="with more"),
        pytest.param(NOBODY, None, id="nobody's"),
        pytest.param(f"{NOBODY[:-1]}1", f"{NOBODY[:-1]}1", id="one that is nearly nobody's"),
        pytest.param(None, None, id="none"),
    ],
)
def test_a_contact_id_is_taken_as_it_is_or_not_at_all(name: str | None, right: str | None) -> None:
    assert target.find is not None
    forward = replace(FORWARD, customer=Customer(id=name))
    told, asked = play(target.find(forward, {**SETTINGS, "find_by": "contact_id"}))
    assert not asked
    if right:
        assert told == right
    else:
        assert isinstance(told, Outcome)
        assert told.verdict is Verdict.REFUSED


READS = [
    pytest.param(301, ..., Verdict.MISCONFIGURED, "redirects", id="a redirect"),
    pytest.param(400, said("InvalidRequest"), Verdict.REFUSED, "InvalidRequest", id="400"),
    pytest.param(401, said("Unauthorized"), Verdict.MISCONFIGURED, "api_key", id="401"),
    pytest.param(403, HTML, Verdict.MISCONFIGURED, "allow-list", id="403 and a firewall's page"),
    pytest.param(404, HTML, Verdict.MISCONFIGURED, "base_url", id="404 and a page: another tenant's address"),
    pytest.param(404, ..., Verdict.MISCONFIGURED, "base_url", id="404 and nothing"),
    pytest.param(404, ROUTE, Verdict.MISCONFIGURED, "base_url", id="404, and no such route"),
    pytest.param(408, ..., Verdict.LATER, "408", id="408"),
    pytest.param(415, ..., Verdict.REFUSED, "415", id="415"),
    pytest.param(429, ..., Verdict.LATER, "throttling", id="429"),
    pytest.param(500, {"message": "An error has occurred."}, Verdict.LATER, "An error", id="500"),
    pytest.param(
        500,
        *(said("InvalidSystemConfiguration"), Verdict.MISCONFIGURED, "not set up"),
        id="500/InvalidSystemConfiguration",
    ),
    pytest.param(502, HTML, Verdict.LATER, "502", id="502"),
    pytest.param(503, ..., Verdict.LATER, "503", id="503"),
    pytest.param(504, HTML, Verdict.LATER, "504", id="504"),
]


@pytest.mark.parametrize(
    ("status", "body", "verdict", "note"),
    [
        *READS,
        pytest.param(400, said("InvalidEmailAddress"), Verdict.REFUSED, "InvalidEmail", id="400/InvalidEmailAddress"),
        pytest.param(400, "InvalidPhoneNumber", Verdict.REFUSED, "InvalidPhone", id="400/InvalidPhoneNumber as a text"),
        pytest.param(400, b"InvalidContactType", Verdict.REFUSED, "InvalidContact", id="400/InvalidContactType, plain"),
        pytest.param(409, said("MultipleMatches"), Verdict.REFUSED, "several", id="409/MultipleMatches"),
        pytest.param(409, "MultipleMatches", Verdict.REFUSED, "several", id="409/MultipleMatches as a text"),
        pytest.param(
            500,
            *(said("", "InvalidSystemConfiguration@example.com is no address"), Verdict.LATER, "500"),
            id="500 that quotes an address which reads like a code",
        ),
    ],
)
def test_what_an_answer_to_the_search_means(status: int, body: Any, verdict: Verdict, note: str) -> None:
    told, _ = found(answer(status, body))
    assert isinstance(told, Outcome)
    assert (told.verdict, told.missing) == (verdict, False)
    assert note in told.note


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(said("ContactNotFound", "No contact."), id="an object"),
        pytest.param({"Message": "ContactNotFound"}, id="an object with nothing but a message"),
        pytest.param("ContactNotFound", id="a JSON text"),
        pytest.param(b"ContactNotFound", id="plain text"),
    ],
)
def test_a_contact_that_is_not_there_is_missing(body: Any) -> None:
    told, _ = found(answer(404, body))
    assert isinstance(told, Outcome)
    assert (told.verdict, told.missing) == (Verdict.REFUSED, True)


@pytest.mark.parametrize(
    ("body", "verdict", "missing"),
    [
        pytest.param(..., Verdict.REFUSED, True, id="nothing, as .NET says it"),
        pytest.param({"message": "Not found"}, Verdict.REFUSED, True, id="in other words"),
        pytest.param(HTML, Verdict.MISCONFIGURED, False, id="a page"),
        pytest.param(ROUTE, Verdict.MISCONFIGURED, False, id="no such route"),
    ],
)
def test_by_external_id_a_404_is_about_the_contact_unless_it_is_about_the_address(
    body: Any, verdict: Verdict, missing: bool
) -> None:
    told, _ = found(answer(404, body), find_by="external_id", contact_type="Member")
    assert isinstance(told, Outcome)
    assert (told.verdict, told.missing) == (verdict, missing)


@pytest.mark.parametrize("body", [HTML, ..., "", None, NOBODY, "7001", 7, [CONTACT], {"id": 7}, {"contactId": CONTACT}])
def test_an_answer_that_names_no_contact_is_none(body: Any) -> None:
    with pytest.raises(Unavailable):
        found(answer(200, body))


# --- the call ---------------------------------------------------------------------------------------------------------

WHOLE = [
    pytest.param(200, HTML, Verdict.UNCLEAR, "not JSON", id="200 and a page"),
    pytest.param(200, ..., Verdict.UNCLEAR, "not JSON", id="200 and nothing"),
    pytest.param(200, ["ok", {"result": 1}], Verdict.UNCLEAR, "no known shape", id="200 and a list of something"),
    pytest.param(200, "ok", Verdict.UNCLEAR, "no known shape", id="200 and a text"),
    pytest.param(200, 0, Verdict.UNCLEAR, "no known shape", id="200 and a number"),
    pytest.param(200, False, Verdict.UNCLEAR, "no known shape", id="200 and no"),
    pytest.param(200, {"status": "perhaps"}, Verdict.UNCLEAR, "no known shape", id="200 and another object"),
    pytest.param(200, {"notAccepted": "none"}, Verdict.UNCLEAR, "no known shape", id="200 and a text for a list"),
    pytest.param(200, {"missingContactIds": {}}, Verdict.UNCLEAR, "no known shape", id="200 and an object for a list"),
    pytest.param(200, {"missingContactIds": 0}, Verdict.UNCLEAR, "no known shape", id="200 and a number for a list"),
    pytest.param(200, b"[" * 100_000, Verdict.UNCLEAR, "not JSON", id="200 and brackets without end"),
    pytest.param(200, b'{"notAccepted": [', Verdict.UNCLEAR, "not JSON", id="200 and half of it"),
    pytest.param(302, ..., Verdict.MISCONFIGURED, "redirects", id="a redirect"),
    pytest.param(304, ..., Verdict.MISCONFIGURED, "redirects", id="not modified"),
    pytest.param(400, said("InvalidRequest"), Verdict.REFUSED, "InvalidRequest", id="400"),
    pytest.param(400, HTML, Verdict.REFUSED, "400", id="400 and a page"),
    pytest.param(401, said("Unauthorized"), Verdict.MISCONFIGURED, "key_header", id="401"),
    pytest.param(403, HTML, Verdict.MISCONFIGURED, "allow-list", id="403 and a firewall's page"),
    pytest.param(404, HTML, Verdict.MISCONFIGURED, "base_url", id="404 and a page"),
    pytest.param(404, ..., Verdict.MISCONFIGURED, "base_url", id="404 and nothing"),
    pytest.param(407, ..., Verdict.MISCONFIGURED, "proxy", id="407"),
    pytest.param(408, ..., Verdict.LATER, "408", id="408"),
    pytest.param(413, HTML, Verdict.REFUSED, "413", id="413"),
    pytest.param(415, ..., Verdict.REFUSED, "415", id="415"),
    pytest.param(425, ..., Verdict.LATER, "too early", id="425"),
    pytest.param(429, ..., Verdict.LATER, "throttling", id="429"),
    pytest.param(500, {"message": "An error has occurred."}, Verdict.UNCLEAR, "An error", id="500"),
    pytest.param(500, HTML, Verdict.UNCLEAR, "500", id="500 and a page"),
    pytest.param(
        500,
        *(said("InvalidSystemConfiguration"), Verdict.MISCONFIGURED, "not set up"),
        id="500/InvalidSystemConfiguration",
    ),
    pytest.param(502, HTML, Verdict.UNCLEAR, "502", id="502"),
    pytest.param(503, ..., Verdict.UNCLEAR, "503", id="503"),
    pytest.param(504, HTML, Verdict.UNCLEAR, "504", id="504"),
    pytest.param(600, ..., Verdict.UNCLEAR, "600", id="a status that is none"),
]


@pytest.mark.parametrize(("status", "body", "verdict", "note"), WHOLE)
def test_a_call_that_was_not_read_has_one_answer_for_all(status: int, body: Any, verdict: Verdict, note: str) -> None:
    assert target.send_many is not None
    told, asked = play(target.send_many(many(3), SETTINGS), answer(status, body))
    assert isinstance(told, Outcome)
    assert (told.verdict, told.missing, told.left) == (verdict, False, "")
    assert note in told.note
    assert len(asked) == 1
    alone, _ = play(target.send(FORWARD, SETTINGS), answer(status, body))
    assert alone == told


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="an empty object"),
        pytest.param(None, id="null"),
        pytest.param([], id="an empty list"),
        pytest.param({"missingContactIds": [], "missingDefinitionIds": [], "notAccepted": []}, id="three empty lists"),
        pytest.param({"missingContactIds": None, "missingDefinitionIds": None, "notAccepted": None}, id="three nulls"),
        pytest.param({"notAccepted": []}, id="one empty list"),
    ],
)
def test_whichever_way_it_says_so_all_were_taken(body: Any) -> None:
    told = tell(*many(3), response=answer(200, body))
    assert [one.verdict for one in told] == [Verdict.DONE] * 3
    assert {(one.note, one.reference) for one in told} == {("1 checkpoint added", RUN)}


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param({}, timedelta(seconds=10), id="429 names no wait"),
        pytest.param({"retry-after": "3"}, timedelta(seconds=10), id="429 names a short one"),
        pytest.param({"retry-after": "120"}, timedelta(minutes=2), id="429 names a long one"),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], wait: timedelta) -> None:
    assert tell(FORWARD, response=answer(429, **headers))[0].retry_after == wait


def test_a_batch_does_not_say_which_contact_is_unknown() -> None:
    whole = answer(404, said("ContactNotFound"))
    assert [(one.verdict, one.missing) for one in tell(FORWARD, response=whole)] == [(Verdict.REFUSED, True)]
    assert {(one.verdict, one.missing) for one in tell(*many(2), response=whole)} == {(Verdict.REFUSED, False)}


def test_their_words_are_cut_and_fit_to_be_kept() -> None:
    for body in (said("X", "x" * 5000), {"message": "\ud800\x00\n\u202e bad"}, b"\xff\x00" * 5000):
        note = tell(FORWARD, response=answer(400, body))[0].note
        assert len(note) < 300
        assert note.isprintable()
        note.encode()


# --- row by row -------------------------------------------------------------------------------------------------------


def test_of_a_thousand_rows_ten_bad_ones_fail_each_for_its_own_reason() -> None:
    forwards = many(1000)
    unknown, wrong, full = forwards[3:7], forwards[500:503], forwards[997:]
    elsewhere = "4524db0c-4d43-417e-b437-d75ca2cda3a6"
    for number in range(500, 503):
        forwards[number] = replace(forwards[number], options={"definition_id": elsewhere, "checkpoints": 1})
    wrong = forwards[500:503]
    response = skipped(
        *(*reversed(full), *wrong, *unknown),
        missingContactIds=[one.known_as.upper() for one in unknown],
        missingDefinitionIds=[elsewhere.upper()],
    )
    assert target.send_many is not None
    outcomes, asked = play(target.send_many(forwards, SETTINGS), response)
    assert len(asked) == 1
    assert len(asked[0].json) == target.most_at_once == 1000
    assert isinstance(outcomes, list)
    done = [one for one in outcomes if one.verdict is Verdict.DONE]
    assert len(done) == 990
    bad = {number: one for number, one in enumerate(outcomes) if one.verdict is not Verdict.DONE}
    assert list(bad) == [3, 4, 5, 6, 500, 501, 502, 997, 998, 999]
    assert {one.verdict for one in bad.values()} == {Verdict.REFUSED}
    assert [number for number, one in bad.items() if one.missing] == [3, 4, 5, 6]
    assert all(elsewhere in bad[number].note for number in (500, 501, 502))
    assert all("not assigned" in bad[number].note for number in (997, 998, 999))
    assert not any(one.left for one in bad.values())


def test_their_own_example_of_an_answer() -> None:
    definition, unknown = "4524db0c-4d43-417e-b437-d75ca2cda3a6", "a311f9f9-9bdc-4b85-9f6c-b269ab204038"
    first = replace(
        FORWARD,
        known_as="aace6d91-3f0f-472e-9583-b9e5c4acbaa1",
        options={"definition_id": definition, "checkpoints": 2},
    )
    options = {"definition_id": "0c469396-d94d-4f86-934d-244d6080c353", "checkpoints": 1}
    second = replace(FORWARD, known_as=unknown, options=options)
    response = skipped(first, second, missingContactIds=[unknown], missingDefinitionIds=[definition])
    told = tell(first, FORWARD, second, response=response)
    assert [(one.verdict, one.missing) for one in told] == [
        (Verdict.REFUSED, False),
        (Verdict.DONE, False),
        (Verdict.REFUSED, True),
    ]
    assert definition in told[0].note


def test_a_contact_listed_as_missing_is_so_in_all_its_rows_and_nobody_elses() -> None:
    twice = replace(FORWARD, options={"definition_id": "0c469396-d94d-4f86-934d-244d6080c353", "checkpoints": 1})
    other = many(1)[0]
    told = tell(FORWARD, other, twice, response=answer(200, {"missingContactIds": [CONTACT]}))
    assert [one.missing for one in told] == [True, False, True]
    assert told[1].verdict is Verdict.DONE


def test_each_listed_row_is_one_of_ours_once() -> None:
    same = [replace(FORWARD, id=f"fwd_{n}", baseline=kept()) for n in range(3)]
    verdicts = [one.verdict for one in tell(*same, response=skipped(same[0]))]
    assert sorted(verdicts) == [Verdict.DONE, Verdict.DONE, Verdict.REFUSED]
    verdicts = [one.verdict for one in tell(*same, response=skipped(*same))]
    assert verdicts == [Verdict.REFUSED] * 3


def test_rows_of_one_contact_are_told_apart_by_their_amount() -> None:
    one, three = (replace(FORWARD, options={"definition_id": DEFINITION, "checkpoints": n}) for n in (1, 3))
    assert [told.verdict for told in tell(one, three, response=skipped(three))] == [Verdict.DONE, Verdict.REFUSED]


def test_capitals_make_no_difference() -> None:
    loud = replace(FORWARD, known_as=CONTACT.upper(), options={"definition_id": DEFINITION.upper(), "checkpoints": 1})
    assert tell(FORWARD, response=skipped(loud))[0].verdict is Verdict.REFUSED


def listed_row(number: int, amount: Any) -> dict[str, Any]:
    return {"definitionId": DEFINITION, "contactId": contact(number), "checkpointAmount": amount}


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param({"notAccepted": [listed_row(9, 1)]}, id="a row nobody sent"),
        pytest.param({"notAccepted": [listed_row(0, 2)]}, id="another amount"),
        pytest.param({"notAccepted": [listed_row(0, "1")]}, id="an amount as a text"),
        pytest.param({"notAccepted": [listed_row(0, True)]}, id="yes for an amount"),
        pytest.param({"notAccepted": [listed_row(0, None)]}, id="a row without an amount"),
        pytest.param({"notAccepted": [{"contactId": {"a": [1]}}]}, id="an object for an id"),
        pytest.param({"notAccepted": [None]}, id="null for a row"),
        pytest.param({"notAccepted": [[1], "x", 7]}, id="rows that are none"),
        pytest.param({"missingContactIds": [contact(9)]}, id="a contact nobody named"),
        pytest.param({"missingContactIds": [{}, 7, None]}, id="contacts that are none"),
        pytest.param({"missingDefinitionIds": [RUN]}, id="a definition nobody named"),
        pytest.param({"missingDefinitionIds": [""]}, id="a definition without a name"),
        pytest.param({"notAccepted": [{}] * 20_000}, id="more rows than anybody sent"),
        pytest.param({"missingContactIds": [contact(n) for n in range(5, 20_000)]}, id="more contacts than there are"),
    ],
)
def test_after_rows_that_nobody_sent_none_of_ours_counts_as_taken(strange: dict[str, Any]) -> None:
    told = tell(*many(3), response=answer(200, strange))
    assert {one.verdict for one in told} == {Verdict.UNCLEAR}
    assert not any(one.left for one in told)


def test_what_is_named_beside_strangers_is_refused_all_the_same() -> None:
    forwards = many(3)
    response = skipped(forwards[1], many(9)[8], missingContactIds=[forwards[0].known_as])
    verdicts = [one.verdict for one in tell(*forwards, response=response)]
    assert verdicts == [Verdict.REFUSED, Verdict.REFUSED, Verdict.UNCLEAR]


def test_a_row_listed_more_often_than_it_was_sent_is_strange() -> None:
    forwards = many(2)
    told = tell(*forwards, response=skipped(forwards[0], forwards[0]))
    assert [one.verdict for one in told] == [Verdict.REFUSED, Verdict.UNCLEAR]


@pytest.mark.parametrize(
    ("baseline", "verdict"),
    [
        pytest.param(None, Verdict.REFUSED, id="none of ours came before"),
        pytest.param(kept(4), Verdict.DUPLICATE, id="ours in doubt would have completed it"),
        pytest.param(kept(3), Verdict.UNCLEAR, id="ours in doubt would not"),
        pytest.param(kept(4, required=None), Verdict.UNCLEAR, id="how many are required is not known"),
        pytest.param("", Verdict.UNCLEAR, id="nothing is known of the time before it"),
    ],
)
def test_what_was_not_accepted_is_ours_only_after_an_unclear_attempt_of_ours(
    baseline: str | None, verdict: Verdict
) -> None:
    forward = FORWARD if baseline is None else replace(FORWARD, earlier=earlier(baseline))
    assert tell(forward, response=skipped(forward))[0].verdict is verdict


# --- before the call --------------------------------------------------------------------------------------------------


def before(*responses: Response, forward: Forward = FORWARD, **options: Any) -> tuple[Any, list[Request]]:
    assert target.baseline is not None
    forward = replace(forward, options={**forward.options, **options})
    return play(target.baseline(forward, SETTINGS), *responses)


def test_the_baseline_is_the_run_that_takes_checkpoints() -> None:
    text, asked = before(listed(challenge(5, id=NEXT, isActive=False, isChallengeCompleted=True), challenge(2)))
    assert text == kept(2)
    assert asked[0].params == {
        "contactId": CONTACT,
        "definitionId": DEFINITION,
        "filter": "All",
        "offset": "0",
        "count": "100",
    }
    assert all(request.harmless for request in asked)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        pytest.param(challenge(0, latest=None), kept(0, ""), id="none yet"),
        pytest.param(challenge(2, requiredCheckpoints=None), kept(2, required=None), id="it does not say how many"),
        pytest.param(challenge(2, status="Active"), kept(2), id="a status in words"),
        pytest.param(challenge(2, status="Completed"), kept(2), id="a status that says otherwise"),
        pytest.param(challenge(2, id=RUN.upper(), contactId=CONTACT.upper()), kept(2), id="in capitals"),
        pytest.param(
            {name: value for name, value in challenge(2).items() if name not in ("isActive", "isChallengeCompleted")},
            kept(2),
            id="the counts alone",
        ),
    ],
)
def test_what_is_kept_of_a_challenge(item: dict[str, Any], text: str) -> None:
    assert before(listed(item))[0] == text


def test_a_time_that_is_none_is_cut_and_escaped() -> None:
    text, _ = before(listed(challenge(2, latest="\ud800" * 9000)))
    text.encode()
    assert len(text) < 500


@pytest.mark.parametrize(
    ("item", "why"),
    [
        pytest.param(challenge(5, isActive=False, isChallengeCompleted=True), "completed", id="completed"),
        pytest.param(challenge(5, isChallengeCompleted=False), "completed", id="completed by its counts"),
        pytest.param(challenge(3, isChallengeCompleted=True), "completed", id="completed, whatever the counts say"),
        pytest.param(challenge(2, isActive=False), "not active", id="not active"),
        pytest.param(challenge(2, isActive=False, status=3), "not active", id="not active, as in their example"),
    ],
)
def test_nothing_is_sent_to_a_challenge_that_takes_none(item: dict[str, Any], why: str) -> None:
    outcome, asked = before(listed(item))
    assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, False)
    assert "limit reached at the target" in outcome.note
    assert why in outcome.note
    assert len(asked) == 1


def test_two_runs_at_once_prove_nothing() -> None:
    assert before(listed(challenge(2), challenge(1, id=NEXT)))[0] == ""


def test_other_challenges_and_other_peoples_are_not_this_one() -> None:
    others = [
        challenge(4, id=NEXT, challengeId=NEXT),
        challenge(4, id=contact(1), contactId=contact(2)),
        challenge(4, id=contact(3), contactId=None),
        # The trap of their own example: `challengeId` is the definition's, and `id` the challenge's.
        challenge(4, id=DEFINITION, challengeId=RUN),
    ]
    assert before(listed(*others))[0] == kept(0, "", id="", required=None)
    assert before(listed(*others, challenge(2)))[0] == kept(2)


def test_without_any_run_it_goes_on_from_none_and_assigns_nothing() -> None:
    text, asked = before(listed())
    assert text == kept(0, "", id="", required=None)
    assert len(asked) == 1


def test_where_the_customer_has_agreed_the_challenge_is_begun() -> None:
    text, asked = before(listed(), answer(200, True), listed(challenge(0)), assign=AGREED)
    assert text == kept(0)
    assign = asked[1]
    assert (assign.method, assign.params) == ("POST", {"contactId": CONTACT})
    assert assign.url == f"https://acme.voyado.com/api/v3/challenges/definitions/{DEFINITION}/assign"
    assert assign.harmless  # repeating it changes nothing, so a lost answer leaves no doubt
    assert assign.body() == (b"", "")


def test_what_waits_for_consent_is_begun_too() -> None:
    text, asked = before(listed(challenge(0, isActive=False)), answer(200, True), listed(challenge(0)), assign=AGREED)
    assert text == kept(0)
    assert len(asked) == 3


def test_an_assignment_that_does_not_show_yet_begins_at_none() -> None:
    assert before(listed(), answer(200, True), listed(), assign=AGREED)[0] == kept(0, "", id="", required=None)


@pytest.mark.parametrize(
    "item",
    [
        pytest.param(challenge(2), id="it runs"),
        pytest.param(challenge(5, isActive=False, isChallengeCompleted=True), id="it is completed"),
    ],
)
def test_what_has_begun_is_not_begun_again(item: dict[str, Any]) -> None:
    assert len(before(listed(item), assign=AGREED)[1]) == 1


@pytest.mark.parametrize("word", ["yes", "", True, "The customer has agreed", None])
def test_no_other_word_assigns(word: Any) -> None:
    assert len(before(listed(), assign=word)[1]) == 1


@pytest.mark.parametrize(
    ("response", "verdict", "note"),
    [
        pytest.param(answer(404, said("DefinitionNotFound")), Verdict.REFUSED, DEFINITION, id="an unknown definition"),
        pytest.param(answer(404), Verdict.REFUSED, DEFINITION, id="404 and nothing"),
        pytest.param(answer(404, HTML), Verdict.MISCONFIGURED, "base_url", id="404 and a page"),
        pytest.param(answer(400, said("NotActive")), Verdict.REFUSED, "NotActive", id="400"),
        pytest.param(answer(200, False), Verdict.REFUSED, "did not assign", id="no"),
        pytest.param(answer(500), Verdict.LATER, "500", id="500: nothing has left"),
        pytest.param(answer(429), Verdict.LATER, "throttling", id="429"),
        pytest.param(answer(401), Verdict.MISCONFIGURED, "api_key", id="401"),
    ],
)
def test_what_an_answer_to_the_assignment_means(response: Response, verdict: Verdict, note: str) -> None:
    outcome, _ = before(listed(), response, assign=AGREED)
    assert (outcome.verdict, outcome.missing) == (verdict, False)
    assert note in outcome.note


@pytest.mark.parametrize("told", [["ok"], {"result": True}, "true", 1, None, HTML])
def test_an_answer_of_another_shape_is_no_refusal_to_assign(told: Any) -> None:
    """Somebody between has answered: the next try asks again, and assigning twice changes nothing."""
    with pytest.raises(Unavailable):
        before(listed(), answer(200, told), assign=AGREED)


def test_an_unknown_contact_is_missing_wherever_it_is_said() -> None:
    nobody = answer(404, said("ContactNotFound"))
    for outcome in (before(nobody)[0], before(listed(), nobody, assign=AGREED)[0]):
        assert (outcome.verdict, outcome.missing) == (Verdict.REFUSED, True)


@pytest.mark.parametrize(("status", "body", "verdict", "note"), READS)
def test_what_an_answer_to_the_baseline_means(status: int, body: Any, verdict: Verdict, note: str) -> None:
    outcome, _ = before(answer(status, body))
    assert (outcome.verdict, outcome.missing) == (verdict, False)
    assert note in outcome.note


ODD = [
    pytest.param(answer(200, HTML), id="a page"),
    pytest.param(answer(200), id="nothing"),
    pytest.param(answer(200, None), id="null"),
    pytest.param(answer(200, []), id="a list"),
    pytest.param(answer(200, {"items": None}), id="no items"),
    pytest.param(answer(200, {"items": {}}), id="an object for items"),
    pytest.param(answer(200, {"items": ["x"]}), id="items that are none"),
    pytest.param(listed(challenge(None)), id="no count"),
    pytest.param(listed(challenge("2")), id="a count in words"),
    pytest.param(listed(challenge(True)), id="yes for a count"),
    pytest.param(listed(challenge(-1)), id="a count below none"),
    pytest.param(listed(challenge(10**30)), id="a count beyond all"),
    pytest.param(listed(challenge(2, id=7)), id="an id that is none"),
    pytest.param(listed(challenge(2, id=NOBODY)), id="nobody's id"),
]


@pytest.mark.parametrize("response", ODD)
def test_nothing_is_sent_while_the_baseline_cannot_be_read(response: Response) -> None:
    with pytest.raises(Unavailable):
        before(response)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        pytest.param([challenge(3, SINCE_THE_CALL)], Verdict.DUPLICATE, id="it shows"),
        pytest.param(
            [challenge(5, SINCE_THE_CALL, isChallengeCompleted=True)],
            *(Verdict.DUPLICATE,),
            id="it was completed since",
        ),
        pytest.param([challenge(2)], None, id="it does not show"),
    ],
)
def test_what_an_earlier_call_of_ours_did_is_not_done_again(found: list[Any], verdict: Verdict | None) -> None:
    forward = replace(FORWARD, earlier=earlier(kept(2)))
    told, _ = before(listed(*found), forward=forward)
    assert (told.verdict if isinstance(told, Outcome) else None) is verdict


# --- long lists -------------------------------------------------------------------------------------------------------


def run(number: int, **more: Any) -> dict[str, Any]:
    return challenge(5, id=contact(number), isActive=False, isChallengeCompleted=True, **more)


def test_a_long_list_is_read_to_its_end() -> None:
    rows = [*(run(n) for n in range(203)), challenge(2)]
    responses = [listed(*rows[at : at + 100], total=204, offset=at) for at in (0, 100, 200)]
    text, asked = before(*responses)
    assert text == kept(2)
    assert [request.params["offset"] for request in asked] == ["0", "100", "200"]


def test_smaller_pages_than_asked_for_are_put_together() -> None:
    text, asked = before(listed(run(1), run(2), total=3), listed(challenge(2), total=3, offset=2))
    assert text == kept(2)
    assert [request.params["offset"] for request in asked] == ["0", "2"]


@pytest.mark.parametrize("total", [pytest.param("many", id="a text"), pytest.param(-1, id="below none")])
def test_without_a_total_a_short_page_is_the_last(total: Any) -> None:
    assert before(listed(challenge(2), total=total))[0] == kept(2)


def test_links_are_not_followed() -> None:
    told = {
        "links": [{"href": "https://evil.example/api/v3/challenges?offset=1", "method": "GET", "rel": "next"}],
        "items": [run(1)],
        "totalCount": 2,
    }
    _, asked = before(answer(200, told), listed(challenge(2), total=2))
    assert {urlsplit(request.url).netloc for request in asked} == {"acme.voyado.com"}


@pytest.mark.parametrize(
    "pages",
    [
        pytest.param([listed(run(1), total=9), listed(run(1), total=9)], id="the same page again"),
        pytest.param([listed(run(1), total=9), listed(total=9)], id="an empty page before the end"),
        pytest.param([listed(run(n), total=10**6) for n in range(20)], id="a list without an end"),
    ],
)
def test_a_list_that_does_not_come_to_its_end_settles_nothing(pages: list[Response]) -> None:
    assert target.reconcile is not None
    with pytest.raises(Unavailable):
        before(*pages)
    with pytest.raises(Unavailable):
        play(target.reconcile(replace(FORWARD, earlier=earlier()), kept(), SETTINGS), *pages)


# --- after an unclear call --------------------------------------------------------------------------------------------


def after(
    baseline: str, *responses: Response, forward: Forward = FORWARD, sent_at: datetime | None = NOW
) -> tuple[Outcome, list[Request]]:
    assert target.reconcile is not None
    return play(target.reconcile(replace(forward, earlier=earlier(baseline, sent_at)), baseline, SETTINGS), *responses)


def since(completed: int, **more: Any) -> dict[str, Any]:
    return challenge(completed, SINCE_THE_CALL, **more)


OVER = {"isActive": False, "isChallengeCompleted": True}
NONE_YET = kept(0, "", id="", required=None)
NEW = challenge(0, None)

SHOWS = [
    pytest.param(kept(2), [since(3)], id="one more, and since the call"),
    pytest.param(kept(4), [since(5, **OVER)], id="ours completed it"),
    pytest.param(kept(4), [since(5, **OVER), {**NEW, "id": NEXT}], id="ours completed it, and the next one has begun"),
    pytest.param(kept(2), [challenge(3, "2026-11-20T11:59:58Z")], id="their clock is two seconds behind"),
    pytest.param(NONE_YET, [since(1)], id="a challenge now, with ours in it"),
]
SHOWS_NOT = [
    pytest.param(kept(2), [challenge(2)], id="as before"),
    pytest.param(kept(2), [challenge(2, "2026-11-20T10:58:00.253555Z")], id="as before, in another zone"),
    pytest.param(kept(2), [challenge(2), since(5, id=NEXT, **OVER)], id="as before, beside one that is completed"),
    pytest.param(kept(0, ""), [NEW], id="still none"),
    pytest.param(NONE_YET, [], id="still no challenge"),
    pytest.param(NONE_YET, [NEW], id="a challenge now, and none in it"),
]
#: What the operator is told, what was known before, what stands there now.
UNDECIDED = [
    pytest.param("told from others", NONE_YET, [since(1), since(1, id=NEXT)], id="two challenges now, before none"),
    pytest.param("not added since", kept(2), [challenge(3)], id="one more, and none since the call"),
    pytest.param("not added since", kept(2), [challenge(3, "2026-11-20T11:59:57Z")], id="one more, before the call"),
    pytest.param("not added since", kept(2), [challenge(3, None)], id="one more, and no time"),
    pytest.param("not added since", kept(2), [challenge(3, "2026-11-20T13:00:01")], id="one more, and no zone"),
    pytest.param("not added since", kept(2), [challenge(3, "soon")], id="one more, at a time that is none"),
    pytest.param("not added since", kept(2), [challenge(3, ["2026"])], id="one more, and a list for its time"),
    pytest.param("somebody else", kept(2), [since(2)], id="as many, and yet one was added"),
    pytest.param("somebody else", kept(2), [challenge(2, None)], id="as many, and their time is gone"),
    pytest.param("somebody else", kept(2), [since(4)], id="two more: somebody else's too"),
    pytest.param("somebody else", kept(2), [since(1)], id="fewer than before"),
    pytest.param("ended", kept(2), [challenge(2, isActive=False)], id="as before, and it has ended"),
    pytest.param("another", kept(2), [challenge(2), since(1, id=NEXT)], id="as before, and another one runs"),
    pytest.param("another", kept(2), [challenge(2, isActive=False), since(1, id=NEXT)], id="ours may be in the next"),
    pytest.param("not known", "", [since(3)], id="nothing was known before"),
    pytest.param("not known", "garbled", [since(3)], id="a baseline that is none"),
    pytest.param("not known", "[]", [since(3)], id="a baseline that is a list"),
    pytest.param("not known", '{"id":"x"}', [since(3)], id="a baseline without a count"),
]


@pytest.mark.parametrize(("baseline", "items"), SHOWS)
def test_a_call_that_shows_in_the_challenge_has_happened(baseline: str, items: list[Any]) -> None:
    outcome, asked = after(baseline, listed(*items))
    assert outcome.verdict is Verdict.DONE
    assert "checkpoints, " in outcome.note
    assert all(request.harmless for request in asked)


@pytest.mark.parametrize(("baseline", "items"), SHOWS_NOT)
def test_a_challenge_that_is_as_it_was_proves_that_nothing_happened(baseline: str, items: list[Any]) -> None:
    outcome, _ = after(baseline, listed(*items))
    assert outcome.verdict is Verdict.LATER
    assert "did not happen" in outcome.note


@pytest.mark.parametrize(("note", "baseline", "items"), UNDECIDED)
def test_what_somebody_else_could_have_done_is_for_a_person(note: str, baseline: str, items: list[Any]) -> None:
    outcome, _ = after(baseline, listed(*items))
    assert outcome.verdict is Verdict.UNCLEAR
    assert note in outcome.note


@pytest.mark.parametrize(
    ("amount", "completed", "verdict"),
    [
        pytest.param(3, 5, Verdict.DONE, id="all three"),
        pytest.param(3, 3, Verdict.UNCLEAR, id="one of three"),
        pytest.param(3, 2, Verdict.UNCLEAR, id="none of three, and yet one was added"),
        pytest.param(4, 5, Verdict.UNCLEAR, id="four, of which three had room"),
    ],
)
def test_a_part_is_not_the_whole(amount: int, completed: int, verdict: Verdict) -> None:
    forward = replace(FORWARD, options={"definition_id": DEFINITION, "checkpoints": amount})
    assert after(kept(2), listed(since(completed)), forward=forward)[0].verdict is verdict


def test_without_the_time_it_left_nothing_is_proved() -> None:
    for items in ([since(3)], [challenge(2)]):
        assert after(kept(2), listed(*items), sent_at=None)[0].verdict is Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("response", "verdict"),
    [
        pytest.param(answer(200, since(3)), Verdict.DONE, id="it is there, and shows it"),
        pytest.param(answer(200, challenge(2, isActive=False)), Verdict.UNCLEAR, id="it is there, and has ended"),
        pytest.param(answer(200, since(3, id=NEXT)), Verdict.UNCLEAR, id="another one is answered"),
        pytest.param(answer(404, said("ChallengeNotFound")), Verdict.UNCLEAR, id="it is gone"),
        pytest.param(answer(404), Verdict.UNCLEAR, id="404 and nothing"),
        pytest.param(answer(404, HTML), Verdict.MISCONFIGURED, id="404 and a page"),
        pytest.param(answer(401), Verdict.MISCONFIGURED, id="401"),
    ],
)
def test_a_challenge_that_the_list_leaves_out_is_asked_for_by_itself(response: Response, verdict: Verdict) -> None:
    outcome, asked = after(kept(2), listed(since(1, id=NEXT)), response)
    assert outcome.verdict is verdict
    assert asked[1].url == f"https://acme.voyado.com/api/v3/challenges/{RUN}"


@pytest.mark.parametrize(("status", "body", "verdict", "note"), READS)
def test_a_read_that_fails_never_says_that_nothing_happened(
    status: int, body: Any, verdict: Verdict, note: str
) -> None:
    if verdict is Verdict.LATER:
        with pytest.raises(Unavailable, match=note):
            after(kept(), answer(status, body))
        return
    outcome, _ = after(kept(), answer(status, body))
    assert outcome.verdict is (Verdict.MISCONFIGURED if verdict is Verdict.MISCONFIGURED else Verdict.UNCLEAR)


@pytest.mark.parametrize("response", ODD)
def test_a_read_that_cannot_be_read_settles_nothing(response: Response) -> None:
    with pytest.raises(Unavailable):
        after(kept(), response)


def test_a_contact_that_has_gone_since_is_a_persons_to_settle() -> None:
    outcome, _ = after(kept(), answer(404, said("ContactNotFound")))
    assert (outcome.verdict, outcome.missing) == (Verdict.UNCLEAR, False)


def test_a_forward_that_names_nobody_cannot_be_looked_up() -> None:
    outcome, asked = after(kept(), forward=replace(FORWARD, known_as=""))
    assert (outcome.verdict, asked) == (Verdict.UNCLEAR, [])


# --- what a call leaves -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("baseline", "amount", "count"),
    [
        pytest.param(kept(2), 1, 3, id="one more"),
        pytest.param(kept(0, ""), 4, 4, id="the first four"),
        pytest.param(kept(4), 1, None, id="completed: the next may be another run"),
        pytest.param(kept(2), 7, None, id="more than there was room for"),
        pytest.param(kept(2, required=None), 1, None, id="how many are required is not known"),
        pytest.param(NONE_YET, 1, None, id="the run has no name yet"),
        pytest.param("", 1, None, id="nothing was known before"),
        pytest.param("garbled", 1, None, id="a baseline that is none"),
    ],
)
def test_a_call_that_was_taken_leaves_the_next_baseline(baseline: str, amount: int, count: int | None) -> None:
    forward = replace(FORWARD, baseline=baseline, options={"definition_id": DEFINITION, "checkpoints": amount})
    outcome = tell(forward, response=answer(200, {}))[0]
    assert outcome.verdict is Verdict.DONE
    assert (json.loads(outcome.left)["completedCheckpoints"] if outcome.left else None) == count


def test_what_is_left_serves_as_the_next_baseline() -> None:
    left = tell(replace(FORWARD, baseline=kept(2)), response=answer(200, {}))[0].left
    later = NOW + timedelta(minutes=10)
    next_ = "2026-11-20T12:10:00.1234567Z"
    for item, verdict in (
        (challenge(3, latest="2026-11-20T12:00:00.1234567Z"), Verdict.LATER),
        (challenge(3, latest="2026-11-20T12:00:03Z"), Verdict.LATER),  # their clock is two seconds before ours
        (challenge(3, latest="2026-11-20T12:00:04Z"), Verdict.UNCLEAR),
        (challenge(4, latest=next_), Verdict.DONE),
        (challenge(4, latest="2026-11-20T12:05:00Z"), Verdict.UNCLEAR),  # somebody else's, in between
        (challenge(3, latest=next_), Verdict.UNCLEAR),
        (challenge(5, latest=next_), Verdict.UNCLEAR),
    ):
        assert after(left, listed(item), sent_at=later)[0].verdict is verdict


def test_two_rows_for_one_challenge_leave_nothing_to_go_by() -> None:
    both = [replace(FORWARD, id=f"fwd_{n}", baseline=kept(1)) for n in range(2)]
    assert [(one.verdict, one.left) for one in tell(*both, response=answer(200, {}))] == [(Verdict.DONE, "")] * 2


# --- check --live, settings -------------------------------------------------------------------------------------------


def definition(**more: Any) -> dict[str, Any]:
    return {"id": DEFINITION, "checkpointAssignOn": 0, "requiredNumberOfCheckpoints": 5, "status": 1, **more}


SENDS = [{"definition_id": DEFINITION}]
UP = listed()
REFUSES = answer(401, said("Unauthorized"))


@pytest.mark.parametrize(
    ("sends", "responses", "faults"),
    [
        pytest.param(SENDS, [UP, listed(definition())], [], id="good"),
        pytest.param(SENDS, [UP, listed(definition(checkpointAssignOn="None"))], [], id="good, in words"),
        pytest.param(SENDS, [UP, listed(definition(checkpointAssignOn=None))], [], id="good, and nothing said"),
        pytest.param([{"definition_id": DEFINITION.upper()}], [UP, listed(definition())], [], id="good, in capitals"),
        pytest.param(
            SENDS, [UP, listed(definition(checkpointAssignOn=2))], ["receipts fill it already"], id="receipts"
        ),
        pytest.param(
            SENDS,
            *([UP, listed(definition(checkpointAssignOn="ReceiptTotal"))], ["(checkpointAssignOn 'ReceiptTotal')"]),
            id="receipts, in words",
        ),
        pytest.param(SENDS, [UP, UP, answer(404)], [f"{DEFINITION}: Voyado has no such"], id="an unknown definition"),
        pytest.param(SENDS, [UP, UP, answer(200, definition(status=2))], ["not active"], id="a draft"),
        pytest.param(SENDS, [UP, UP, answer(500)], ["answered 500"], id="a definition that cannot be read"),
        pytest.param(
            [*SENDS, *SENDS, {"definition_id": NEXT}],
            *([UP, listed(definition()), answer(404)], [NEXT]),
            id="each is looked at once",
        ),
        pytest.param([{"definition_id": "=id"}, {}], [UP, UP], [], id="computed, and not known yet"),
        pytest.param(
            SENDS,
            [
                UP,
                listed(*(definition(id=contact(n)) for n in range(100)), total=101),
                listed(definition(), total=101, offset=100),
            ],
            [],
            id="on the second page",
        ),
        pytest.param([], [REFUSES, UP], ['key_header = "x-api-key"'], id="the key under its other name"),
        pytest.param([], [REFUSES, REFUSES], ["answered 401: api_key or key_header"], id="a wrong key"),
        pytest.param([], [answer(403, HTML), answer(403, HTML)], ["base_url"], id="a firewall"),
        pytest.param(
            [], [REFUSES, answer(200, HTML)], ["answered 401"], id="a page under its other name proves nothing"
        ),
        pytest.param([], [answer(404, HTML)], ["base_url is not the tenant's"], id="another tenant's address"),
        pytest.param([], [answer(404, ROUTE)], ["base_url"], id="another version's address"),
        pytest.param([], [answer(200, HTML)], ["base_url"], id="a page"),
        pytest.param([], [answer(302)], ["redirects"], id="a redirect"),
        pytest.param([], [answer(500, {"message": "An error has occurred."})], ["An error"], id="500"),
        pytest.param([], [UP, answer(429)], ["throttling"], id="the list cannot be read"),
    ],
)
def test_the_probe_says_what_is_wrong(sends: list[Any], responses: list[Response], faults: list[str]) -> None:
    assert target.probe is not None
    told, asked = play(target.probe(sends, SETTINGS), *responses)
    assert len(told) == len(faults)
    assert all(part in fault for part, fault in zip(faults, told, strict=True))
    assert all(request.harmless for request in asked)
    assert not any("vy_test_key" in fault for fault in told)


def test_the_other_name_of_the_header_is_tried_from_either_side() -> None:
    assert target.probe is not None
    told, asked = play(target.probe([], {**SETTINGS, "key_header": "x-api-key"}), REFUSES, UP)
    assert 'key_header = "apikey"' in told[0]
    assert [sorted(request.headers) for request in asked] == [["Content-Type", "x-api-key"], ["Content-Type", "apikey"]]


@pytest.mark.parametrize(
    ("send", "fault"),
    [
        pytest.param({"definition_id": DEFINITION}, "", id="good"),
        pytest.param({"definition_id": DEFINITION.upper(), "assign": AGREED}, "", id="good, and agreed"),
        pytest.param({"definition_id": "=code", "checkpoints": "=int(total)"}, "", id="computed"),
        pytest.param({"definition_id": "Dog food"}, "definition_id", id="a name for an id"),
        pytest.param({"definition_id": NOBODY}, "definition_id", id="nobody's id"),
        pytest.param({"definition_id": DEFINITION, "assign": "yes"}, AGREED, id="another word"),
        pytest.param({"definition_id": DEFINITION, "assign": True}, AGREED, id="true"),
        pytest.param({"definition_id": DEFINITION, "assign": ""}, AGREED, id="an empty word"),
        pytest.param({"definition_id": DEFINITION, "assign": "=consent"}, AGREED, id="a computed word"),
        pytest.param({}, "", id="nothing, which is told elsewhere"),
    ],
)
def test_what_is_wrong_with_a_rules_send(send: dict[str, Any], fault: str) -> None:
    assert target.fault is not None
    told = target.fault(send)
    assert fault in told
    assert bool(told) is bool(fault)


@pytest.mark.parametrize(
    ("find_by", "needs"),
    [("contact_id", "id"), ("email", "email"), ("phone", "phone"), ("external_id", "id"), (None, "email")],
)
def test_which_of_the_customers_names_it_needs(find_by: str | None, needs: str) -> None:
    assert target.configure is not None
    settings = {**SETTINGS, **({"find_by": find_by} if find_by else {})}
    assert target.configure(target, settings).customer == needs


def test_what_the_engine_must_know() -> None:
    assert target.lane is not None
    loud = replace(FORWARD, options={"definition_id": DEFINITION.upper()})
    assert target.lane(FORWARD) == target.lane(loud) == DEFINITION
    assert target.lane(replace(FORWARD, options={})) != ""  # without a lane it would count as keyed
    assert target.repeat_harmless(FORWARD) == timedelta(0)
    assert target.reconcile_after == timedelta(seconds=30)
    assert target.baseline_keeps == timedelta(hours=1)
    assert target.per_second == 10
    assert target.timeout >= timedelta(seconds=30)
    assert target.undo is None
    assert target.granted is None


TOML = """
[customers]
key = "id"
[source.shop]
provider = "shopify"
webhook_secret = "env:SECRET"
[target.voyado]
base_url = "https://acme.voyado.com/"
api_key = "env:KEY"
find_by = "email"
[[rule]]
id = "big-order"
when = "shop.order_paid"
send = { to = "voyado", definition_id = "081225de-8a42-45f8-a3b7-03d9c97ee19c", checkpoints = "=int(total / 100.0)" }
"""


def configured(folder: Path, text: str) -> Any:
    file = folder / "bridge.toml"
    file.write_text(text)
    return read_config(env.read({"BRIDGE_CONFIG": str(file), "SECRET": "a secret for tests", "KEY": "vy_test_key"}))


def test_its_table_in_the_configuration(tmp_path: Path) -> None:
    config = configured(tmp_path, TOML)
    settings = config.targets["voyado"].settings
    assert (settings["base_url"], settings["api_key"]) == ("https://acme.voyado.com", "vy_test_key")
    assert (settings["find_by"], settings["key_header"]) == ("email", "apikey")
    send = config.rules[0].sends[0]
    assert send.options == {"definition_id": DEFINITION, "checkpoints": "=int(total / 100.0)"}


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        pytest.param('base_url = "https://acme.voyado.com/"', "", "needs base_url", id="no address"),
        pytest.param("voyado.com/", "voyado.com/api/v3", "ends before /api", id="an address that goes on"),
        pytest.param('api_key = "env:KEY"', 'api_key = "vy_key"', "api_key", id="a key that stands in the file"),
        pytest.param('find_by = "email"', 'find_by = "any"', "find_by", id="any name at all"),
        pytest.param('find_by = "email"', 'key_header = "cookie"', "key_header", id="another header"),
        pytest.param('"=int(total / 100.0)"', "0", "checkpoints", id="no checkpoints"),
        pytest.param('"=int(total / 100.0)"', "1, points = 5", "points", id="points"),
    ],
)
def test_what_is_wrong_with_its_table(tmp_path: Path, right: str, wrong: str, fault: str) -> None:
    assert right in TOML
    with pytest.raises(ConfigError, match=fault):
        configured(tmp_path, TOML.replace(right, wrong))
