"""Patreon asked for a customer: who signed in, whether they are a member, whether they pay, whether they still do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    BridgeError,
    Delivery,
    Disconnected,
    Evidence,
    Ignored,
    Misconfigured,
    Question,
    Reply,
    Request,
    Response,
    SetUp,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import callback, exchange, refresh, revoke
from providers.social._patreon import PAGES
from providers.social.patreon import TRIGGERS, source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTINGS = {
    "client_id": "client",
    "client_secret": "secret",
    "campaign_id": "123456",
    "creator_token": "creator",
    "vanity": "cool_brand",
}
TOKENS = Tokens(access="theirs", refresh="more")
ANN = Account(id="987654321", handle="Ann")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW, tokens=TOKENS)
SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=("identity",))
VERBS = ("member", "paid")
OAUTH = source.oauth
assert OAUTH is not None

SAID = {
    "full_name": "Ann",
    "patron_status": "active_patron",
    "last_charge_status": "Paid",
    "last_charge_date": "2026-11-01T08:00:00.000+00:00",
    "pledge_relationship_start": "2026-10-01T08:00:00.000+00:00",
    "currently_entitled_amount_cents": 500,
    "is_free_trial": False,
    "is_gifted": False,
}


def answer(code: int = 200, given: Any = None, **body: Any) -> Response:
    return Response(code, json.dumps(body if given is None else given).encode())


def member(campaign: str = "123456", user: str = "987654321", **changed: Any) -> dict[str, Any]:
    return {
        "type": "member",
        "id": "d485d5ac-6c82-42c6-9c08-c50cf01b73d7",
        "attributes": {name: value for name, value in {**SAID, **changed}.items() if value is not ...},
        "relationships": {
            "campaign": {"data": {"type": "campaign", "id": campaign}},
            "user": {"data": {"type": "user", "id": user}},
            "currently_entitled_tiers": {"data": [{"type": "tier", "id": "88"}, {"type": "tier", "id": "77"}]},
        },
    }


def identity(*members: dict[str, Any], account: Any = "987654321", code: int = 200) -> Response:
    there = {"memberships": {"data": [{"type": "member", "id": one["id"]} for one in members]}}
    user = {"type": "user", "id": account, "attributes": {}, "relationships": there}
    return answer(code, data=user, included=[{"type": "tier", "id": "77"}, *members])


def listed(*members: dict[str, Any], following: str | None = None, code: int = 200) -> Response:
    pagination = {"cursors": {"next": following}, "total": 2}
    return answer(code, data=list(members), meta={"pagination": pagination})


def asked(verb: str, ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks[verb].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


# --- signing in -----------------------------------------------------------------------------------------------------


def exchanged(response: Response) -> Tokens:
    return play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)[0]


def test_a_code_becomes_a_token() -> None:
    documented = answer(
        access_token="a", refresh_token="r", expires_in="2678400", scope="identity", token_type="Bearer"
    )
    tokens = exchanged(documented)
    assert (tokens.access, tokens.refresh, tokens.scopes) == ("a", "r", {"identity"})
    way = source.checks["paid"].way(SETTINGS)
    assert way is not None
    assert wanted(OAUTH, way) == ("identity",)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(400, error="invalid_grant"), SignInRefused, id="the code is used or over"),
        pytest.param(answer(401, error="invalid_client"), Misconfigured, id="the secret is wrong"),
        pytest.param(answer(400, errors=[{"code": 1}]), Unavailable, id="Patreon's own kind of error"),
        pytest.param(answer(429), Unavailable, id="429"),
        pytest.param(Response(503, b"<html>"), Unavailable, id="503 and a page"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_no_token(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        exchanged(response)
    assert type(caught.value) is error


def test_a_permission_that_was_taken_back() -> None:
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), answer(400, error="invalid_grant"))


def test_both_tokens_are_given_back() -> None:
    gone, requests = play(revoke(OAUTH, TOKENS, SETTINGS), Response(200), Response(200))
    assert gone
    assert [(one.url, (one.form or {})["token"]) for one in requests] == [
        ("https://www.patreon.com/oauth2/revoke", "more"),
        ("https://www.patreon.com/oauth2/revoke", "theirs"),
    ]


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_signed_in_and_since_when_there_is_such_an_account() -> None:
    assert source.whoami is not None
    user = {"type": "user", "id": "987654321", "attributes": {"full_name": "Ann\n", "created": "2019-04-01T21:28:06Z"}}
    account, [request] = play(source.whoami(TOKENS, SETTINGS), answer(data=user))
    assert account == replace(ANN, created_at=datetime(2019, 4, 1, 21, 28, 6, tzinfo=UTC))
    assert (request.url, request.params) == (
        "https://www.patreon.com/api/oauth2/v2/identity",
        {"fields[user]": "full_name,created"},
    )


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(data=None),
        answer(data={"type": "user"}),
        answer(data={"type": "user", "id": ""}),
        answer(data={"type": "user", "id": None}),
        answer(data={"type": "user", "id": True}),
        answer(data={"type": "user", "id": "1\n2"}),
        answer(data={"type": "user", "id": ["1"]}),
        answer(data={"type": "campaign", "id": "1"}),
        answer(401, errors=[{"status": "401"}]),
        answer(201, data={"type": "user", "id": "1"}),
        Response(200, b"<html>"),
        Response(200, b"[" * 5000),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- what they are to the campaign ----------------------------------------------------------------------------------

STANDINGS = [
    pytest.param({}, "verified", "verified", id="pays"),
    pytest.param({"patron_status": None, "last_charge_status": None}, "verified", "not_found", id="a free member"),
    pytest.param({"last_charge_status": "Pending"}, "verified", "pending", id="the charge is pending"),
    pytest.param({"last_charge_status": None}, "verified", "pending", id="not charged yet"),
    pytest.param({"last_charge_status": "Declined"}, "verified", "not_found", id="the charge was declined"),
    pytest.param({"last_charge_status": "Refunded"}, "verified", "not_found", id="the charge was given back"),
    pytest.param({"last_charge_status": "Fraud"}, "verified", "not_found", id="the charge was a fraud"),
    pytest.param({"last_charge_status": "Other"}, "verified", "unknown", id="a charge of another kind"),
    pytest.param({"is_gifted": True}, "verified", "not_found", id="somebody else pays"),
    pytest.param({"is_free_trial": True}, "verified", "not_found", id="tries it out"),
    pytest.param({"patron_status": "declined_patron"}, "verified", "not_found", id="a payer whose card was declined"),
    pytest.param({"patron_status": "former_patron"}, "unknown", "not_found", id="has paid once"),
    pytest.param({"patron_status": "best_patron"}, "unknown", "unknown", id="a standing nobody knows"),
    pytest.param({"patron_status": ...}, "unknown", "unknown", id="the standing is left out"),
    pytest.param({"patron_status": True}, "unknown", "unknown", id="the standing is no word"),
]


@pytest.mark.parametrize(("changed", "joined", "paid"), STANDINGS)
def test_what_a_membership_says(changed: dict[str, Any], joined: str, paid: str) -> None:
    for verb, result in zip(VERBS, (joined, paid), strict=True):
        theirs, [request] = asked(verb, ASK, identity(member("7"), member(**changed)))
        question = Question(ANN.id, "123456", "123456:987654321")
        brands, [reread] = play(source.rechecks[verb](question, SETTINGS), listed(member(**changed)))
        assert theirs == brands
        assert theirs.result == result
        assert (theirs.evidence is not None) == (result == "verified")
        assert theirs.note or result == "verified"
        assert request.headers == {"Authorization": "Bearer theirs"}
        assert request.params["include"] == "memberships.campaign,memberships.currently_entitled_tiers"
        assert "is_gifted" in request.params["fields[member]"]
        assert (reread.url, reread.headers) == (
            "https://www.patreon.com/api/oauth2/v2/campaigns/123456/members",
            {"Authorization": "Bearer creator"},
        )


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(identity(), "not_found", "", id="is no member"),
        pytest.param(identity(member("7")), "unknown", "brand", id="a member of another campaign alone"),
        pytest.param(identity(member(), account="7"), "unknown", "", id="about another account"),
        pytest.param(identity(member(), code=203), "unknown", "", id="another success than 200"),
        pytest.param(answer(data={"type": "user", "id": "987654321"}), "unknown", "", id="no list of memberships"),
        pytest.param(answer(200, {}), "unknown", "", id="nothing in it"),
        pytest.param(answer(200, []), "unknown", "", id="a list"),
        pytest.param(answer(401, errors=[{"status": "401"}]), "unknown", "reconnect", id="401"),
        pytest.param(answer(403), "unknown", "reconnect", id="403"),
        pytest.param(answer(404), "unknown", "", id="404"),
        pytest.param(Response(429, headers={"retry-after": "5"}), "unknown", "busy", id="429"),
        pytest.param(Response(500), "unknown", "busy", id="500"),
        pytest.param(Response(503, b"<html>"), "unknown", "busy", id="503 and a page"),
        pytest.param(Response(200, b"<html>"), "unknown", "", id="200 and a page"),
        pytest.param(Response(200, b"[" * 5000), "unknown", "", id="200 and a deep nest"),
    ],
)
def test_what_patreon_says_to_the_customer(verb: str, response: Response, result: str, obstacle: str) -> None:
    found, _ = asked(verb, ASK, response)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert found.evidence is None


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_missing_is_said_without_asking(verb: str) -> None:
    assert asked(verb, replace(ASK, settings={}))[0].obstacle == "brand"
    assert asked(verb, replace(ASK, tokens=None))[0].obstacle == "reconnect"


# --- asked again ----------------------------------------------------------------------------------------------------

OTHER = member(user="7")


@pytest.mark.parametrize(
    ("answers", "result", "obstacle"),
    [
        pytest.param([listed(OTHER, following="b"), listed(member())], "verified", "", id="on the second page"),
        pytest.param([listed(OTHER, following="b"), listed(OTHER)], "not_found", "", id="on no page"),
        pytest.param([listed()], "not_found", "", id="there are no members"),
        pytest.param([listed(OTHER, following="b"), Response(429)], "unknown", "busy", id="429 in between"),
        pytest.param([listed(OTHER, following="b"), answer(data=[])], "unknown", "", id="a page without its cursor"),
        pytest.param([listed(OTHER, following="b")] * PAGES, "unknown", "", id="too many to look through"),
        pytest.param([answer(404, errors=[{"status": "404"}])], "unknown", "brand", id="another's campaign"),
        pytest.param([Response(404, b"<html>")], "unknown", "", id="404 and a page"),
        pytest.param([answer(401)], "unknown", "brand", id="401"),
        pytest.param([answer(403)], "unknown", "brand", id="403"),
        pytest.param([Response(500)], "unknown", "busy", id="500"),
        pytest.param([listed(member(), code=203)], "unknown", "", id="another success than 200"),
        pytest.param([Response(200, b"<html>")], "unknown", "", id="200 and a page"),
    ],
)
def test_no_is_only_believed_of_a_list_that_was_read_to_its_end(
    answers: list[Response], result: str, obstacle: str
) -> None:
    question = Question(ANN.id, "123456", "123456:987654321")
    found, requests = play(source.rechecks["paid"](question, SETTINGS), *answers)
    assert (found.result, found.obstacle) == (result, obstacle)
    assert [one.params.get("page[cursor]") for one in requests] == [None, *["b"] * (len(requests) - 1)]


# --- one fact -------------------------------------------------------------------------------------------------------


def delivered(event: str, body: dict[str, Any]) -> list[Evidence]:
    delivery = Delivery(
        source="patreon", method="POST", url="https://bridge.example/", headers={"x-patreon-event": event},
        body=json.dumps({"data": body}).encode(), received_at=NOW, id="d", key="k",
    )  # fmt: skip
    assert source.read is not None
    read = source.read(delivery, SETTINGS)
    assert not isinstance(read, Reply | Ignored)
    return [one for one in read if isinstance(one, Evidence)]


def test_one_fact_is_one_fact_by_whichever_door_it_comes() -> None:
    told = delivered("members:pledge:create", member())
    asked_for = [asked(verb, ASK, identity(member()))[0].evidence for verb in VERBS]
    assert told == asked_for
    facts: list[dict[str, Any]] = [
        {"name": "Ann", "tiers": "77,88", "paying": True},
        {"name": "Ann", "tiers": "77,88", "cents": 500.0},
    ]
    times = [datetime(2026, month, 1, 8, tzinfo=UTC) for month in (10, 11)]
    # The form of these keys has paid: it may never change.
    assert asked_for == [
        Evidence(action=verb, key="123456:987654321", account="987654321", subject="123456", occurred_at=at, facts=said)
        for verb, at, said in zip(VERBS, times, facts, strict=True)
    ]


def test_what_cannot_be_read_of_a_payer_undoes_nothing() -> None:
    odd = member(currently_entitled_amount_cents=True, last_charge_date="soon", full_name=7)
    odd["relationships"]["currently_entitled_tiers"] = {"data": [7, {"id": 77}]}
    found, _ = asked("paid", ASK, identity(odd))
    assert found.evidence is not None
    assert (found.evidence.occurred_at, found.evidence.facts) == (None, {"name": "", "tiers": "77", "cents": 0.0})


def test_where_it_is_done() -> None:
    for check in source.checks.values():
        assert check.page is not None
        assert check.page(SETTINGS, None) == "https://www.patreon.com/cool_brand"
        assert check.page({}, None) == ""


# --- set up ---------------------------------------------------------------------------------------------------------

WANTED = SetUp(
    settings=SETTINGS, url="https://bridge.example/webhooks/patreon", secret="s", actions=frozenset(), now=NOW
)
CAMPAIGNS = answer(data=[{"type": "campaign", "id": "123456"}])
assert source.setup is not None
SET_UP = source.setup


def hook(**changed: Any) -> Response:
    said = {"uri": WANTED.url, "triggers": list(TRIGGERS), "paused": False, **changed}
    return answer(data=[{"type": "webhook", "id": "9", "attributes": said}])


def test_a_webhook_that_runs_is_left_alone() -> None:
    done, asked = play(SET_UP(WANTED), CAMPAIGNS, hook())
    assert (done.did, done.left) == ([f"Patreon tells {WANTED.url}"], [])
    assert {one.method for one in asked} == {"GET"}


def test_a_paused_webhook_runs_again() -> None:
    done, asked = play(SET_UP(WANTED), CAMPAIGNS, hook(paused=True), answer(200, {}))
    assert (asked[-1].method, asked[-1].url) == ("PATCH", "https://www.patreon.com/api/oauth2/v2/webhooks/9")
    assert asked[-1].json["data"]["attributes"] == {"paused": False}
    assert "runs again" in done.did[0]
    done, asked = play(SET_UP(replace(WANTED, dry_run=True)), CAMPAIGNS, hook(paused=True))
    assert {one.method for one in asked} == {"GET"}
    assert done.did[0].startswith("would be set")


def test_what_only_a_person_can_do_is_said() -> None:
    done, _ = play(SET_UP(WANTED), answer(data=[{"type": "campaign", "id": "7"}]), hook(uri="https://old.example"))
    assert "the token's own are 7" in done.left[0]
    assert "register-webhooks" in done.left[1]
    done, _ = play(SET_UP(WANTED), CAMPAIGNS, hook(triggers=["members:create"]))
    assert "members:delete" in done.left[0]
    done, asked = play(SET_UP(replace(WANTED, settings={})))
    assert "creator_token" in done.left[0]
    assert not asked


@pytest.mark.parametrize(("status", "error"), [(401, Misconfigured), (403, Misconfigured), (500, Unavailable)])
def test_a_refused_set_up_says_whose_fault_it_is(status: int, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        play(SET_UP(WANTED), Response(status))
    assert type(caught.value) is error
