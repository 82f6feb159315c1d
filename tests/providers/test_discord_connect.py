"""Discord asked for a customer: who signed in, whether they are in the server, have the role, boost it."""

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
    Disconnected,
    Evidence,
    Misconfigured,
    Question,
    Request,
    Response,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import callback, exchange, lacking, refresh, revoke
from providers.social.discord import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
GUILD, ROLE, ANN = "613425648685547541", "613426354628722689", "80351110224678912"
SETTINGS = {"client_id": "client", "client_secret": "secret", "guild_id": GUILD, "role_id": ROLE, "invite": "cool"}
BOTS = {**SETTINGS, "bot_token": "robot"}
TOKENS = Tokens(access="theirs", refresh="more")
ACCOUNT = Account(id=ANN, handle="ann")
ASK = Ask(account=ACCOUNT, settings=SETTINGS, now=NOW, tokens=TOKENS)
BRANDS = replace(ASK, settings=BOTS, tokens=None)
OAUTH = source.oauth
assert OAUTH is not None
VERBS = ("member", "role", "boost")

MEMBER = {
    "user": {"id": ANN, "username": "ann", "discriminator": "0", "global_name": "Ann"},
    "nick": None,
    "roles": ["1", ROLE],
    "joined_at": "2026-11-19T10:00:00.123000+00:00",
    "premium_since": "2026-11-20T08:30:00+00:00",
    "pending": False,
    "flags": 0,
}
JOINED = datetime(2026, 11, 19, 10, 0, 0, 123000, tzinfo=UTC)
BOOSTED = datetime(2026, 11, 20, 8, 30, tzinfo=UTC)


def answer(status: int = 200, body: Any = None, **more: Any) -> Response:
    return Response(status, json.dumps(more if body is None else body).encode())


def member(**change: Any) -> Response:
    return answer(200, {**MEMBER, **change})


def without(*names: str) -> Response:
    return answer(200, {name: value for name, value in MEMBER.items() if name not in names})


def no(code: int, message: str) -> Response:
    return answer(404, code=code, message=message)


def asked(verb: str, ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks[verb].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


# --- signing in -----------------------------------------------------------------------------------------------------

SIGN_IN = SignIn(verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=("identify",))


def exchanged(response: Response) -> Tokens:
    return play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)[0]


def test_the_documented_token() -> None:
    tokens = exchanged(
        answer(
            access_token="6qrZcUqja7812RVdnEKjpzOL4CvHBFG",
            token_type="Bearer",
            expires_in=604800,
            refresh_token="D43f5y0ahjqew82jZ4NViEr2YafMKhue",
            scope="identify",
        )
    )
    assert lacking(OAUTH, tokens, SIGN_IN.scopes) == ()
    assert lacking(OAUTH, tokens, ("identify", "guilds.members.read")) == ("guilds.members.read",)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(400, error="invalid_grant"), SignInRefused, id="the code is used or over"),
        pytest.param(answer(401, error="invalid_client"), Misconfigured, id="the secret is wrong"),
        pytest.param(answer(400, client_id=["not a snowflake"]), Unavailable, id="Discord's own kind of error"),
        pytest.param(answer(429, message="You are being rate limited.", retry_after=1.3), Unavailable, id="429"),
        pytest.param(Response(502, b"<html>"), Unavailable, id="502 and a page"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_no_token(response: Response, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        exchanged(response)
    assert type(caught.value) is error


def test_a_permission_that_was_taken_back() -> None:
    with pytest.raises(Disconnected):
        play(refresh(OAUTH, TOKENS, SETTINGS, NOW), answer(400, error="invalid_grant"))


def test_one_token_given_back_ends_both() -> None:
    gone, [request] = play(revoke(OAUTH, TOKENS, SETTINGS), Response(200, b"{}"))
    assert gone
    assert (request.url, (request.form or {})["token"]) == ("https://discord.com/api/oauth2/token/revoke", "theirs")


@pytest.mark.parametrize("verb", VERBS)
def test_where_there_is_a_bot_nothing_but_a_name_is_asked_of_the_customer(verb: str) -> None:
    ways = [source.checks[verb].way(settings) for settings in (BOTS, SETTINGS)]
    assert [(wanted(OAUTH, way), way.keep) for way in ways if way] == [
        (("identify",), False),
        (("identify", "guilds.members.read"), True),
    ]


# --- who ------------------------------------------------------------------------------------------------------------


def test_who_signed_in_and_since_when_there_is_such_an_account() -> None:
    assert source.whoami is not None
    account, [request] = play(source.whoami(TOKENS, SETTINGS), answer(200, MEMBER["user"]))
    # The documentation's own example: 175928847299117063 was made on 2016-04-30 11:18:25.796 UTC.
    known, _ = play(source.whoami(TOKENS, SETTINGS), answer(id="175928847299117063", username="nelly"))
    assert (account.id, account.handle) == (ANN, "ann")
    assert known.created_at == datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=UTC)
    assert request.url == "https://discord.com/api/v10/users/@me"
    assert request.headers == {"Authorization": "Bearer theirs"}


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, []),
        answer(id=None),
        answer(id=""),
        answer(id="ann"),
        answer(id="9" * 21),
        answer(id="٣"),
        answer(id=True),
        answer(id="1", username=["ann"]),
        answer(id="1", username="a\nb"),
        answer(201, id="1"),
        answer(401, message="401: Unauthorized", code=0),
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


# --- what they did --------------------------------------------------------------------------------------------------

SAID = [
    pytest.param("member", member(), "verified", id="is in the server"),
    pytest.param("member", without("pending", "user"), "verified", id="pending is left out where it is false"),
    pytest.param("member", member(pending=True), "pending", id="has not passed the screening"),
    pytest.param("member", member(joined_at=None), "unknown", id="is the guest of a voice channel"),
    pytest.param("member", without("joined_at"), "unknown", id="no time of joining"),
    pytest.param("role", member(), "verified", id="has the role"),
    pytest.param("role", member(pending=True), "verified", id="has the role before the screening"),
    pytest.param("role", member(roles=["1"]), "not_found", id="has another role"),
    pytest.param("role", member(roles=[]), "not_found", id="has no role"),
    pytest.param("role", member(roles=[], pending=True), "pending", id="may get the role after the screening"),
    pytest.param("role", member(roles=None), "unknown", id="no list of roles"),
    pytest.param("role", without("roles"), "unknown", id="no roles at all"),
    pytest.param("boost", member(), "verified", id="boosts"),
    pytest.param("boost", member(premium_since=None), "not_found", id="does not boost"),
    pytest.param("boost", without("premium_since"), "unknown", id="not said whether it boosts"),
    pytest.param("member", member(user={"id": "7", "username": "bob"}), "unknown", id="about another account"),
    pytest.param("member", answer(200, {}), "unknown", id="nothing in it"),
    pytest.param("member", answer(200, []), "unknown", id="a list"),
    pytest.param("member", answer(203, MEMBER), "unknown", id="another success than 200"),
    pytest.param("member", Response(204), "unknown", id="204"),
    pytest.param("member", Response(200, b"<html>"), "unknown", id="200 and a page"),
    pytest.param("member", Response(404, b"<html>"), "unknown", id="404 and a page that is not Discord's"),
    pytest.param("member", no(0, "404: Not Found"), "unknown", id="404 for the path, not for the member"),
    pytest.param("member", no(10013, "Unknown User"), "unknown", id="404 for the account"),
    pytest.param("member", answer(400, code=50035, message="Invalid Form Body"), "unknown", id="400"),
]


@pytest.mark.parametrize("ask", [ASK, BRANDS], ids=["the customer", "the bot"])
@pytest.mark.parametrize(("verb", "response", "result"), SAID)
def test_what_discord_says_of_a_member(verb: str, response: Response, result: str, ask: Ask) -> None:
    found, [request] = asked(verb, ask, response)
    assert found.result == result
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"
    assert found.obstacle == ""
    theirs = f"https://discord.com/api/v10/users/@me/guilds/{GUILD}/member"
    assert request.url == (theirs if ask.tokens else f"https://discord.com/api/v10/guilds/{GUILD}/members/{ANN}")
    assert request.headers == {"Authorization": "Bearer theirs" if ask.tokens else "Bot robot"}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("response", "customers", "bots"),
    [
        pytest.param(no(10004, "Unknown Guild"), ("not_found", ""), ("unknown", "brand"), id="unknown server"),
        pytest.param(no(10007, "Unknown Member"), ("not_found", ""), ("not_found", ""), id="unknown member"),
        pytest.param(answer(401, code=0), ("unknown", "reconnect"), ("unknown", "brand"), id="401"),
        pytest.param(answer(403, code=50001), ("unknown", "reconnect"), ("unknown", "brand"), id="403"),
        pytest.param(answer(429), ("unknown", "busy"), ("unknown", "busy"), id="429"),
        pytest.param(answer(500), ("unknown", "busy"), ("unknown", "busy"), id="500"),
        pytest.param(Response(503, b"<html>"), ("unknown", "busy"), ("unknown", "busy"), id="503 and a page"),
    ],
)
def test_the_same_answer_means_another_thing_to_a_bot(
    verb: str, response: Response, customers: tuple[str, str], bots: tuple[str, str]
) -> None:
    for ask, expected in ((ASK, customers), (BRANDS, bots)):
        found, _ = asked(verb, ask, response)
        assert (found.result, found.obstacle) == expected
        assert found.evidence is None


def test_how_long_discord_wants_to_be_left_alone() -> None:
    found, _ = asked("member", BRANDS, Response(429, headers={"retry-after": "65"}))
    assert found.retry_after is not None
    assert found.retry_after.seconds == 65


def told(verb: str, subject: str, at: datetime | None) -> Evidence:
    """The form of these keys has paid: it may never change."""
    key = f"{subject}:{ANN}"
    return Evidence(action=verb, key=key, account=ANN, subject=subject, occurred_at=at, facts={"username": "ann"})


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("member", told("member", "613425648685547541", JOINED)),
        ("role", told("role", "613425648685547541/613426354628722689", None)),
        ("boost", told("boost", "613425648685547541", BOOSTED)),
    ],
)
def test_one_fact_is_one_fact_by_whichever_door_it_comes(verb: str, expected: Evidence) -> None:
    question = Question(ANN, expected.subject, expected.key)
    assert asked(verb, ASK, member())[0].evidence == expected
    assert asked(verb, BRANDS, member())[0].evidence == expected
    assert play(source.rechecks[verb](question, BOTS), member())[0].evidence == expected
    assert play(source.rechecks[verb](question, BOTS), no(10007, "Unknown Member"))[0].result == "not_found"


def test_a_time_that_cannot_be_read_undoes_nothing() -> None:
    found, _ = asked("member", ASK, member(joined_at="yesterday", user={"id": ANN, "username": 7}))
    assert found.evidence is not None
    assert (found.evidence.occurred_at, found.evidence.facts) == (None, {"username": "ann"})


def test_asked_again_it_is_about_the_same_server_and_role() -> None:
    _, [request] = asked("role", replace(ASK, subject="7/8"), member(roles=["8"]))
    assert "/guilds/7/" in request.url
    _, [request] = play(source.rechecks["role"](Question(ANN, "7/8", "k"), BOTS), member(roles=["8"]))
    assert request.url.endswith(f"/guilds/7/members/{ANN}")


def test_an_account_that_an_operator_mistyped_leads_to_no_other_path() -> None:
    _, [request] = play(source.rechecks["member"](Question("../7?x", GUILD, "k"), BOTS), no(0, "404: Not Found"))
    assert request.url.endswith("/members/..%2F7%3Fx")


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_missing_is_said_without_asking(verb: str) -> None:
    assert asked(verb, replace(ASK, settings={"client_id": "client"}))[0].obstacle == "brand"
    assert asked(verb, replace(ASK, tokens=None))[0].obstacle == "reconnect"


def test_where_it_is_done() -> None:
    for check in source.checks.values():
        assert check.page is not None
        assert check.page(SETTINGS, ACCOUNT) == "https://discord.gg/cool"
        assert check.page({}, None) == ""


@pytest.mark.parametrize("name", ["guild_id", "role_id"])
def test_a_name_in_place_of_an_id_is_a_fault(name: str) -> None:
    [setting] = [one for one in source.settings if one.name == name]
    assert setting.fault is not None
    assert setting.fault(GUILD) == ""
    assert "Copy ID" in setting.fault("my server")
