"""Mastodon asked for a customer: at which server, who signed in there, whether they follow the brand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Evidence,
    Here,
    HomeUnknown,
    Misconfigured,
    Question,
    Request,
    Response,
    Server,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange, locate, revoke
from providers.social.mastodon import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
SETTINGS = {"handle": "@Cool_Brand@brand.example", "servers": "fine.example, mastodon.social"}
BRANDS = {**SETTINGS, "brand_token": "brand"}
HERE = Here(
    redirect_uri="https://bridge.example/cb",
    document_url="https://bridge.example/client.json",
    site="https://bridge.example",
    name="Cool Brand",
)
HOME = Server(
    authorize_url="https://mastodon.social/oauth/authorize",
    token_url="https://mastodon.social/oauth/token",
    revoke_url="https://mastodon.social/oauth/revoke",
    home="mastodon.social",
    client_id="client",
    client_secret="secret",
)
TOKENS = Tokens(access="theirs", server=HOME)
ANN = Account(id="ann@mastodon.social", handle="@ann@mastodon.social")
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW, tokens=TOKENS)
BRAND_ASKS = replace(ASK, settings=BRANDS, tokens=None)
OAUTH = source.oauth
assert OAUTH is not None
assert OAUTH.home is not None


def answer(status: int = 200, body: Any = None, **more: Any) -> Response:
    return Response(status, json.dumps(more if body is None else body).encode())


# --- which server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "home"),
    [
        ("mastodon.social", "mastodon.social"),
        ("  Mastodon.Social. ", "mastodon.social"),
        ("@ann@mastodon.social", "mastodon.social"),
        ("ann@mastodon.social", "mastodon.social"),
        ("https://mastodon.social/@ann", "mastodon.social"),
        ("https://Mastodon.social:443/", "mastodon.social"),
        ("mastodon.social/@ann", "mastodon.social"),
        ("https://user:pw@mastodon.social/", "mastodon.social"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_what_was_typed_becomes_one_name(typed: str, home: str) -> None:
    assert OAUTH is not None
    assert OAUTH.home is not None
    assert OAUTH.home.read(typed) == home


@pytest.mark.parametrize(
    "typed",
    ["", "@", "ann", "localhost", "127.0.0.1", "http://127.0.0.1/", "[::1]", "https://[::1", "2130706433", "0x7f.1",
     "a..b", "-a.example", "a.example:8080", "a.example?x=.y", "a b.example", "a.example\r\nHost: b.example",
     "\ud800.example", "a." * 200 + "example", "x" * 64 + ".example", "example.123", "a_b.example",
     "\u202eexample.com"],
)  # fmt: skip
def test_what_is_no_public_name_is_refused(typed: str) -> None:
    assert OAUTH is not None
    assert OAUTH.home is not None
    with pytest.raises(HomeUnknown):
        OAUTH.home.read(typed)


METADATA = answer(
    issuer="https://mastodon.social/",
    authorization_endpoint="https://evil.example/oauth/authorize",
    token_endpoint="https://evil.example/oauth/token",
    scopes_supported=["read", "profile", "read:follows"],
)
REGISTERED = answer(id="7", name="Cool Brand", client_id="client", client_secret="secret", client_secret_expires_at=0)


def test_a_server_is_asked_what_it_is_and_then_registered_with() -> None:
    assert OAUTH is not None
    server, [asked, registered] = play(locate(OAUTH, "mastodon.social", HERE, SETTINGS), METADATA, REGISTERED)
    assert server == HOME  # its doors are where they always are, whatever it says
    assert asked.url == "https://mastodon.social/.well-known/oauth-authorization-server"
    assert (registered.method, registered.url) == ("POST", "https://mastodon.social/api/v1/apps")
    assert registered.form == {
        "client_name": "Cool Brand",
        "redirect_uris": "https://bridge.example/cb",
        "scopes": "profile read:follows read:search",
        "website": "https://bridge.example",
    }


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        pytest.param([Response(404, b"<html>")], HomeUnknown, id="before 4.3, or something else"),
        pytest.param([Response(200, b"<html>")], HomeUnknown, id="a page"),
        pytest.param([answer(scopes_supported=["openid"])], HomeUnknown, id="another kind of server"),
        pytest.param([answer(scopes_supported="profile")], HomeUnknown, id="no list of scopes"),
        pytest.param([answer(200, [])], HomeUnknown, id="a list"),
        pytest.param([Response(302)], HomeUnknown, id="sent elsewhere"),
        pytest.param([Response(429)], Unavailable, id="429"),
        pytest.param([Response(503)], Unavailable, id="503"),
        pytest.param([METADATA, answer(422, error="Validation failed")], Unavailable, id="registration refused"),
        pytest.param([METADATA, answer(403, error="Forbidden")], Unavailable, id="registration forbidden"),
        pytest.param([METADATA, answer(200)], Unavailable, id="registered as nobody"),
        pytest.param([METADATA, answer(client_id="", client_secret="x")], Unavailable, id="registered unnamed"),
        pytest.param([METADATA, answer(client_id=7, client_secret="x")], Unavailable, id="registered as a number"),
        pytest.param([METADATA, Response(200, b"<html>")], Unavailable, id="registered by a page"),
    ],
)
def test_a_server_that_cannot_be_signed_in_at(answers: list[Response], error: type[Exception]) -> None:
    assert OAUTH is not None
    with pytest.raises(error) as caught:
        play(locate(OAUTH, "mastodon.social", HERE, SETTINGS), *answers)
    assert type(caught.value) is error


def test_a_stand_in_takes_the_place_of_every_server() -> None:
    assert OAUTH is not None
    settings = {**SETTINGS, "api_url": "http://127.0.0.1:9000/"}
    server, requests = play(locate(OAUTH, "mastodon.social", HERE, settings), METADATA, REGISTERED)
    assert server is not None
    assert server.token_url == "http://127.0.0.1:9000/oauth/token"
    assert all(one.url.startswith("http://127.0.0.1:9000/") for one in requests)


# --- signing in -----------------------------------------------------------------------------------------------------

SIGN_IN = SignIn(
    verifier="v" * 43, nonce="n", redirect_uri="https://bridge.example/cb", scopes=("profile",), server=HOME
)


def test_where_the_customer_is_sent() -> None:
    assert OAUTH is not None
    address, _ = play(begin(OAUTH, SIGN_IN, "s" * 32, SETTINGS, NOW, again=True))
    query = parse_qs(urlsplit(address).query)
    assert address.startswith("https://mastodon.social/oauth/authorize?")
    assert (query["client_id"], query["scope"], query["force_login"]) == (["client"], ["profile"], ["true"])
    assert query["code_challenge_method"] == ["S256"]
    assert source.door(SETTINGS) is OAUTH


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(400, error="invalid_grant"), SignInRefused, id="the code is used or over"),
        pytest.param(answer(401, error="invalid_client"), Misconfigured, id="the server has forgotten us"),
        pytest.param(answer(400, error="invalid_scope"), Misconfigured, id="a scope that was not registered"),
        pytest.param(Response(503), Unavailable, id="503"),
    ],
)
def test_no_token(response: Response, error: type[Exception]) -> None:
    assert OAUTH is not None
    with pytest.raises(error) as caught:
        play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), response)
    assert type(caught.value) is error


def test_a_token_goes_back_to_the_server_that_gave_it() -> None:
    assert OAUTH is not None
    documented = answer(access_token="ZA-Yj3aBD8U8Cm7lKUp", token_type="Bearer", scope="profile", created_at=1573979017)
    tokens, [request] = play(exchange(OAUTH, SIGN_IN, callback("state=s&code=c"), SETTINGS, NOW), documented)
    assert request.url == "https://mastodon.social/oauth/token"
    assert tokens.server == HOME
    gone, [request] = play(revoke(OAUTH, tokens, SETTINGS), answer())
    assert gone
    assert (request.url, dict(request.form or {})) == (
        "https://mastodon.social/oauth/revoke",
        {"token": "ZA-Yj3aBD8U8Cm7lKUp", "client_id": "client", "client_secret": "secret"},
    )


def test_with_the_brands_token_nothing_is_asked_of_the_customer() -> None:
    assert OAUTH is not None
    ways = [source.checks["follow"].way(settings) for settings in (BRANDS, SETTINGS)]
    assert [(wanted(OAUTH, way), way.keep) for way in ways if way] == [
        (("profile",), False),
        (("profile", "read:follows", "read:search"), True),
    ]


# --- who ------------------------------------------------------------------------------------------------------------

ME = {
    "id": "14715",
    "username": "Ann",
    "acct": "Ann",
    "url": "https://mastodon.social/@Ann",
    "created_at": "2016-11-24T10:02:12.085Z",
    "followers_count": 320,
}


def who(*answers: Response, tokens: Tokens = TOKENS) -> tuple[Account, list[Request]]:
    assert source.whoami is not None
    return play(source.whoami(tokens, SETTINGS), *answers)


def test_who_signed_in_is_a_name_at_a_server() -> None:
    account, [request] = who(answer(200, ME))
    born = datetime(2016, 11, 24, 10, 2, 12, 85000, tzinfo=UTC)
    assert account == Account(id="ann@mastodon.social", handle="@ann@mastodon.social", created_at=born, followers=320)
    assert request.url == "https://mastodon.social/api/v1/accounts/verify_credentials"
    assert request.headers == {"Authorization": "Bearer theirs"}


def test_what_cannot_be_read_of_an_account_is_left_out() -> None:
    account, _ = who(answer(200, {**ME, "created_at": "long ago", "followers_count": "many"}))
    assert (account.created_at, account.followers) == (None, None)


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(200, {**ME, "url": "https://victim.example/@Ann"}), id="another server's account"),
        pytest.param(answer(200, {**ME, "url": "https://mastodon.social/@bob"}), id="another account's address"),
        pytest.param(answer(200, {**ME, "url": None}), id="no address"),
        pytest.param(answer(200, {**ME, "acct": "ann@victim.example"}), id="an account from elsewhere"),
        pytest.param(
            answer(200, {**ME, "username": "ann@victim.example", "acct": "ann@victim.example"}), id="a handle"
        ),
        pytest.param(answer(200, {**ME, "username": None}), id="no name"),
        pytest.param(answer(200, {**ME, "username": "a\nb", "acct": "a\nb"}), id="a name in two lines"),
        pytest.param(answer(200, {**ME, "username": "../x", "acct": "../x"}), id="a path"),
        pytest.param(answer(200, {}), id="nothing"),
        pytest.param(answer(200, []), id="a list"),
        pytest.param(answer(203, ME), id="another success than 200"),
        pytest.param(answer(401, error="The access token is invalid"), id="401"),
        pytest.param(answer(403, error="This action is outside the authorized scopes"), id="403"),
        pytest.param(Response(429), id="429"),
        pytest.param(Response(500), id="500"),
        pytest.param(Response(200, b"<html>"), id="a page"),
    ],
)
def test_a_server_speaks_for_its_own_accounts_alone(response: Response) -> None:
    with pytest.raises(Unavailable):
        who(response)


def test_nobody_is_asked_where_nobody_knows_the_server() -> None:
    with pytest.raises(Unavailable):
        who(tokens=Tokens(access="theirs"))


# --- follow ---------------------------------------------------------------------------------------------------------


def found(name: str, home: str, id_: str = "23") -> Response:
    row = {"id": id_, "username": name, "acct": f"{name}@{home}", "url": f"https://{home}/@{name}"}
    return answer(accounts=[row], statuses=[], hashtags=[])


def relation(id_: Any = "23", **known: Any) -> Response:
    return answer(200, [{"id": id_, "blocking": False, **known}])


def asked(ask: Ask, *answers: Response) -> tuple[Answer, list[Request]]:
    way = source.checks["follow"].way(ask.settings)
    assert way is not None
    return play(way.ask(ask), *answers)


def rechecked(*answers: Response) -> tuple[Answer, list[Request]]:
    question = Question("ann@mastodon.social", "cool_brand@brand.example", "k")
    return play(source.rechecks["follow"](question, BRANDS), *answers)


CUSTOMER = found("ann", "mastodon.social")
BRAND = found("Cool_Brand", "brand.example")


@pytest.mark.parametrize(
    ("known", "result"),
    [
        pytest.param({"followed_by": True, "requested_by": False}, "verified", id="follows"),
        pytest.param({"followed_by": True}, "verified", id="follows, at an older server"),
        pytest.param({"followed_by": False, "requested_by": True}, "pending", id="has asked to"),
        pytest.param({"followed_by": False, "requested_by": False}, "not_found", id="does not"),
        pytest.param({"followed_by": False, "following": True}, "not_found", id="the brand follows"),
        pytest.param({"following": True}, "unknown", id="not said"),
        pytest.param({"followed_by": None}, "unknown", id="null"),
        pytest.param({"followed_by": "true"}, "unknown", id="said in another way"),
        pytest.param({"id": "7", "followed_by": True}, "unknown", id="about another account"),
    ],
)
def test_a_follow_by_the_brands_server(known: dict[str, Any], result: str) -> None:
    response = relation(known.get("id", "23"), **{name: value for name, value in known.items() if name != "id"})
    for answered, [searched, related] in (asked(BRAND_ASKS, CUSTOMER, response), rechecked(CUSTOMER, response)):
        assert (answered.result, answered.obstacle) == (result, "")
        assert (answered.evidence is not None) == (result == "verified")
        assert answered.note or result == "verified"
        assert searched.url == "https://brand.example/api/v2/search"
        assert searched.params["q"] == "https://mastodon.social/@ann"
        assert (searched.params["type"], searched.params["resolve"]) == ("accounts", "true")
        assert (related.url, related.params) == (
            "https://brand.example/api/v1/accounts/relationships",
            {"id[]": "23"},
        )
        assert all(one.headers == {"Authorization": "Bearer brand"} for one in (searched, related))


@pytest.mark.parametrize(
    ("known", "result"),
    [
        pytest.param({"following": True, "requested": False}, "verified", id="follows"),
        pytest.param({"following": False, "requested": True}, "pending", id="has asked to"),
        pytest.param({"following": False, "requested": False}, "not_found", id="does not"),
        pytest.param({"followed_by": True}, "unknown", id="the brand follows"),
    ],
)
def test_a_follow_by_the_word_of_a_server_that_counts(known: dict[str, Any], result: str) -> None:
    answered, [searched, related] = asked(ASK, BRAND, relation(**known))
    assert answered.result == result
    assert searched.url == "https://mastodon.social/api/v2/search"
    assert searched.params["q"] == "https://brand.example/@cool_brand"
    assert related.params == {"id[]": "23"}
    assert related.headers == {"Authorization": "Bearer theirs"}


def test_a_server_that_anybody_may_run_is_not_believed_about_itself() -> None:
    stranger = Account(id="eve@evil.example", handle="@eve@evil.example")
    answered, requests = asked(replace(ASK, account=stranger))
    assert (answered.result, answered.obstacle) == ("unknown", "brand")
    assert not requests
    at_home = replace(ASK, account=Account(id="ann@brand.example"), settings={**SETTINGS, "servers": ""})
    assert asked(at_home, BRAND, relation(following=True))[0].result == "verified"


@pytest.mark.parametrize("ask", [ASK, BRAND_ASKS], ids=["the customer", "the brand"])
@pytest.mark.parametrize(
    ("response", "obstacle"),
    [
        pytest.param(answer(401, error="The access token is invalid"), "theirs", id="401"),
        pytest.param(answer(403, error="This action is outside the authorized scopes"), "theirs", id="403"),
        pytest.param(answer(404, error="Record not found"), "", id="404"),
        pytest.param(answer(422, error="?"), "", id="422"),
        pytest.param(Response(429), "busy", id="429"),
        pytest.param(answer(500, error="?"), "busy", id="500"),
        pytest.param(Response(503, b"<html>"), "busy", id="503 and a page"),
        pytest.param(Response(200, b"<html>"), "", id="200 and a page"),
        pytest.param(answer(200, {}), "", id="200 and nothing in it"),
        pytest.param(answer(200, 7), "", id="200 and a number"),
        pytest.param(answer(200, [7]), "", id="200 and a list of numbers"),
        pytest.param(answer(203, [{"id": "23", "following": False, "followed_by": False}]), "", id="another success"),
        pytest.param(Response(200, b"[" * 5000), "", id="nested too deeply"),
    ],
)
def test_no_answer_is_no_no(ask: Ask, response: Response, obstacle: str) -> None:
    expected = ("reconnect" if ask.tokens else "brand") if obstacle == "theirs" else obstacle
    for before in ([], [BRAND if ask.tokens else CUSTOMER]):
        answered, _ = asked(ask, *before, response)
        assert (answered.result, answered.obstacle, answered.evidence) == ("unknown", expected, None)
        assert answered.note


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(accounts=[]), id="nobody"),
        pytest.param(found("bob", "mastodon.social"), id="somebody else"),
        pytest.param(found("ann", "evil.example"), id="the same name elsewhere"),
        pytest.param(answer(accounts=[7, {"id": "1"}]), id="nothing that can be read"),
    ],
)
def test_an_account_that_is_not_found_is_no_no(response: Response) -> None:
    answered, _ = asked(BRAND_ASKS, response)
    assert (answered.result, answered.evidence) == ("unknown", None)


@pytest.mark.parametrize(
    ("header", "waits"),
    [
        ("2026-11-20T12:05:00.000Z", timedelta(minutes=5)),
        ("2026-11-20T11:00:00.000Z", None),
        ("2027-11-20T12:00:00.000Z", None),
        ("soon", None),
        ("", None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(header: str, waits: timedelta | None) -> None:
    busy = Response(429, headers={"x-ratelimit-reset": header}, at=NOW)
    assert asked(BRAND_ASKS, busy)[0].retry_after == waits


def test_one_follow_is_one_fact_by_whichever_door_it_comes() -> None:
    expected = Evidence(
        action="follow",
        key="cool_brand@brand.example:ann@mastodon.social",
        account="ann@mastodon.social",
        subject="cool_brand@brand.example",
        facts={"handle": "@ann@mastodon.social"},
    )
    assert asked(ASK, BRAND, relation(following=True))[0].evidence == expected
    assert asked(BRAND_ASKS, CUSTOMER, relation(followed_by=True))[0].evidence == expected
    assert rechecked(CUSTOMER, relation(followed_by=True))[0].evidence == expected


def test_asked_again_it_is_about_the_same_account() -> None:
    _, [searched, _] = asked(
        replace(ASK, subject="other@fine.example"), found("other", "fine.example"), relation(following=False)
    )
    assert searched.params["q"] == "https://fine.example/@other"


def test_what_is_missing_is_said_without_asking() -> None:
    assert asked(replace(ASK, settings={"servers": "mastodon.social"}))[0].obstacle == "brand"
    assert asked(replace(ASK, tokens=None))[0].obstacle == "reconnect"


def test_whose_token_the_brands_is() -> None:
    assert source.brand is not None
    assert source.brand.fault is not None
    assert source.brand.fault(Account(id="cool_brand@brand.example"), SETTINGS) == ""
    assert "cool_brand@brand.example" in source.brand.fault(ANN, SETTINGS)


def test_where_it_is_done() -> None:
    page = source.checks["follow"].page
    assert page is not None
    assert [page(SETTINGS, ANN), page({}, None)] == ["https://brand.example/@cool_brand", ""]


@pytest.mark.parametrize(
    ("handle", "right"),
    [
        ("cool_brand@mastodon.social", True),
        ("@Cool.Brand@mastodon.social", True),
        ("cool_brand", False),
        ("https://mastodon.social/@cool_brand", False),
        ("cool_brand@localhost", False),
        ("cool brand@mastodon.social", False),
    ],
)
def test_half_a_handle_is_a_fault(handle: str, right: bool) -> None:
    [setting] = [one for one in source.settings if one.name == "handle"]
    assert setting.fault is not None
    assert (setting.fault(handle) == "") is right
