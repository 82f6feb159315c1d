"""The code flow: what is asked, what comes back, and what a platform can do wrong on the way."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from bridge.kit import (
    Account,
    BridgeError,
    Check,
    ConsentDenied,
    Disconnected,
    Here,
    IssuerMismatch,
    Misconfigured,
    OAuth,
    Request,
    Response,
    Server,
    SignIn,
    SignInRefused,
    StateMismatch,
    Talk,
    Tokens,
    Unavailable,
    kept,
    recall,
    wanted,
)
from bridge.kit.oauth import (
    accepted,
    at,
    begin,
    callback,
    client_token,
    exchange,
    lacking,
    locate,
    refresh,
    revoke,
)
from tests.providers.playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STATE = "af0ifjsldkj"
#: RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

HERE = "https://bridge.example/connect/x/callback"
SETTINGS = {"client_id": "client", "client_secret": "s ecret/ä"}
X = OAuth(
    authorize_url="https://x.example/authorize?brand=1",
    token_url="https://x.example/token",
    revoke_url="https://x.example/revoke",
    issuer="https://x.example",
    scopes=("me",),
)
SIGN_IN = SignIn(verifier=VERIFIER, nonce="n-0S6_WzA2Mj", redirect_uri=HERE, scopes=("me", "follows"))


def answer(status: int = 200, **body: Any) -> Response:
    return Response(status, json.dumps(body).encode(), {"content-type": "application/json"})


def granted(**more: Any) -> Response:
    return answer(**{"access_token": "a-token", "token_type": "bearer", "scope": "me follows", **more})


def went(oauth: OAuth, sign_in: SignIn = SIGN_IN, **how: Any) -> dict[str, str]:
    address, asked = play(begin(oauth, sign_in, STATE, SETTINGS, NOW, **how))
    assert not asked
    assert urlsplit(address).netloc == "x.example"
    pairs = parse_qsl(urlsplit(address).query)
    assert len(pairs) == len(dict(pairs)), "a parameter stands twice"
    return dict(pairs)


def took(response: Response, oauth: OAuth = X, query: str = f"state={STATE}&code=abc") -> Tokens:
    return play(exchange(oauth, SIGN_IN, callback(query), SETTINGS, NOW), response)[0]


def form(request: Request) -> dict[str, str]:
    return dict(request.form or {})


# --- out ------------------------------------------------------------------------------------------------------------


def test_the_address_carries_the_challenge_of_rfc_7636() -> None:
    assert went(X) == {
        "brand": "1",  # what the address already had
        "response_type": "code",
        "client_id": "client",
        "redirect_uri": HERE,
        "scope": "me follows",
        "state": STATE,
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }


@pytest.mark.parametrize("verifier", ["", "short", "a" * 42, "a" * 129, "a" * 43 + "\n", "ä" * 43, "+" * 43])
def test_a_verifier_that_is_none_never_leaves(verifier: str) -> None:
    with pytest.raises(ValueError, match="43 to 128"):
        play(begin(X, SignIn(verifier=verifier, nonce="n", redirect_uri=HERE), STATE, SETTINGS, NOW))


def test_parameters_under_other_names_with_other_separators() -> None:
    oauth = OAuth(
        authorize_url="https://x.example/a",
        pkce=False,
        separator=",",
        names={"client_id": "client_key"},
        authorize_params={"bot_prompt": "normal"},
        again_params={"prompt": "select_account"},
        keep_params={"access_type": "offline"},
    )
    plain = went(oauth)
    assert (plain["client_key"], plain["scope"], plain["bot_prompt"]) == ("client", "me,follows", "normal")
    assert not {"client_id", "code_challenge", "prompt", "access_type", "nonce"} & set(plain)
    assert went(oauth, again=True)["prompt"] == "select_account"
    assert went(oauth, keep=True)["access_type"] == "offline"


def test_without_a_client_nobody_is_sent_anywhere() -> None:
    with pytest.raises(Misconfigured):
        play(begin(X, SIGN_IN, STATE, {}, NOW))


def test_the_tables_addresses_come_before_the_platforms() -> None:
    settings = {**SETTINGS, "authorize_url": "http://127.0.0.1:9/a", "token_url": "http://127.0.0.1:9/t"}
    found = at(X, settings, Server(token_url="https://found.example/t", revoke_url="https://found.example/r"))
    assert (found.authorize_url, found.token_url) == ("http://127.0.0.1:9/a", "http://127.0.0.1:9/t")
    assert (found.revoke_url, found.issuer) == ("https://found.example/r", "https://x.example")


def test_who_registered_us_knows_us_by_no_other_name() -> None:
    found = at(X, SETTINGS, Server(client_id="theirs", client_secret=""))
    assert (found.client_id, found.client_secret) == ("theirs", "")
    assert at(X, SETTINGS).client_id == "client"


def test_what_is_asked_for_depends_on_whose_token_is_asked_with() -> None:
    oauth = OAuth(scopes=("me",), keep_scopes=("offline",))

    def ask(_: Any) -> Any:
        raise NotImplementedError

    check = Check(ask=ask, scopes=("follows",), brand=ask, brand_needs=("brand_token",))
    theirs, ours = check.way({}), check.way({"brand_token": "b"})
    assert theirs is not None
    assert ours is not None
    assert (wanted(oauth, theirs), theirs.keep) == (("me", "follows", "offline"), True)
    assert (wanted(oauth, ours), ours.keep) == (("me",), False)
    assert Check(brand=ask, brand_needs=("brand_token",)).way({}) is None
    at_once = Check(ask=ask, once=True).way({})
    assert at_once is not None
    assert not at_once.keep


# --- back -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("", id="nothing"),
        pytest.param("code=abc", id="no state"),
        pytest.param("error=access_denied", id="an error without a state"),
        pytest.param("state=&code=abc", id="an empty state"),
        pytest.param(f"state={'s' * 513}", id="a long state"),
        pytest.param("state=a&state=b&code=abc", id="two states"),
        pytest.param("state=a&state=a&code=abc", id="the same state twice"),
        pytest.param("state=a&code=abc&code=def", id="two codes"),
        pytest.param("state=a&error=x&error=y", id="two errors"),
        pytest.param("state=a&code=b&iss=c&iss=d", id="two issuers"),
        pytest.param("state=a%00&code=b", id="NUL"),
        pytest.param("state=a&code=b%0d%0aSet-Cookie:x", id="a newline in the code"),
        pytest.param("state=%ff&code=b", id="not UTF-8"),
        pytest.param("state=a&" + "x" * 9000, id="too long"),
        pytest.param("state=a&" + "&".join(["x=1"] * 101), id="too many"),
    ],
)
def test_the_state_comes_before_everything_else(query: str) -> None:
    with pytest.raises(StateMismatch):
        callback(query)


def test_a_description_may_hold_anything_and_is_only_quoted() -> None:
    returned = callback("state=a&error=server_error&error_description=one%0Atwo%00")
    with pytest.raises(Unavailable, match=r"one\\ntwo\\x00"):
        accepted(returned, Server())


def test_an_error_is_not_believed_before_its_state() -> None:
    assert callback("error=access_denied&state=WRONG").state == "WRONG"  # the engine looks for it, and finds none


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("error=access_denied", ConsentDenied),
        ("error=access_denied&code=abc", ConsentDenied),
        ("error=user_cancelled_login", ConsentDenied),
        ("error=server_error", Unavailable),
        ("error=temporarily_unavailable", Unavailable),
        ("error=invalid_scope&error_description=No+such+scope", Misconfigured),
        ("error=unauthorized_client", Misconfigured),
        ("error=redirect_uri_mismatch", Misconfigured),
        ("error=%3Cscript%3E", SignInRefused),
        ("", SignInRefused),
        ("code=", SignInRefused),
    ],
)
def test_what_went_wrong_over_there(query: str, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        took(granted(), query=f"state={STATE}&{query}") if "code=abc" in query else play(
            exchange(X, SIGN_IN, callback(f"state={STATE}&{query}"), SETTINGS, NOW)
        )
    assert type(caught.value) is error


def server(**more: Any) -> Server:
    return Server(issuer="https://honest.example", **more)


@pytest.mark.parametrize(
    ("query", "where", "error"),
    [
        pytest.param("iss=https%3A%2F%2Fhonest.example", server(sends_iss=True), None, id="its own name"),
        pytest.param("iss=https%3A%2F%2Fhonest.example", server(), None, id="its own name, not promised"),
        pytest.param("", server(), None, id="no name, and none promised"),
        pytest.param("", server(sends_iss=True), IssuerMismatch, id="no name where one is promised"),
        pytest.param("iss=", server(sends_iss=True), IssuerMismatch, id="an empty name"),
        pytest.param("iss=https%3A%2F%2Fattacker.example", server(), IssuerMismatch, id="the attacker's name"),
        pytest.param("iss=https%3A%2F%2Fhonest.example%2F", server(), IssuerMismatch, id="a slash more"),
        pytest.param("iss=https%3A%2F%2FHONEST.example", server(), IssuerMismatch, id="in capitals"),
        pytest.param(
            "iss=https%3A%2F%2Fattacker.example&error=access_denied", server(), IssuerMismatch, id="with an error"
        ),
        pytest.param("iss=https%3A%2F%2Fany.example", Server(), None, id="of a platform whose name nobody told us"),
    ],
)
def test_a_code_from_another_platform_is_not_taken(query: str, where: Server, error: type[BridgeError] | None) -> None:
    """RFC 9207, section 4: the mix-up."""
    returned = callback(f"state={STATE}&code=abc&{query}")
    if error is None:
        assert accepted(returned, where) == "abc"
    else:
        with pytest.raises(error):
            accepted(returned, where)


def test_a_mixed_up_code_is_never_sent_to_anybody() -> None:
    oauth = OAuth(token_url="https://x.example/token", issuer="https://x.example", sends_iss=True)
    for query in ("iss=https%3A%2F%2Fattacker.example", ""):
        with pytest.raises(IssuerMismatch):  # and not a single request: `play` was given no answer
            play(exchange(oauth, SIGN_IN, callback(f"state={STATE}&code=abc&{query}"), SETTINGS, NOW))


# --- the code for tokens --------------------------------------------------------------------------------------------


def test_the_code_goes_out_with_the_verifier() -> None:
    tokens, [asked] = play(
        exchange(X, SIGN_IN, callback(f"state={STATE}&code=a%2Bb"), SETTINGS, NOW),
        granted(refresh_token="r-token", expires_in=3600),
    )
    assert (asked.method, asked.url) == ("POST", "https://x.example/token")
    assert form(asked) == {
        "grant_type": "authorization_code",
        "code": "a+b",
        "redirect_uri": HERE,
        "code_verifier": VERIFIER,
        "client_id": "client",
        "client_secret": SETTINGS["client_secret"],
    }
    assert "Authorization" not in asked.headers
    assert tokens == Tokens(
        access="a-token", refresh="r-token", scopes=frozenset({"me", "follows"}), expires_at=NOW + timedelta(hours=1)
    )
    assert tokens.bearer == {"Authorization": "Bearer a-token"}
    assert not tokens.over(NOW + timedelta(minutes=58))
    assert tokens.over(NOW + timedelta(minutes=59))


def with_(**fields: Any) -> OAuth:
    return OAuth(authorize_url="https://x.example/a", token_url="https://x.example/token", **fields)


def sent(oauth: OAuth) -> Request:
    return play(exchange(oauth, SIGN_IN, callback(f"state={STATE}&code=abc"), SETTINGS, NOW), granted())[1][0]


def test_a_basic_header_is_encoded_as_rfc_6749_wants_it() -> None:
    asked = sent(with_(client_auth="basic"))
    pair = base64.b64decode(asked.headers["Authorization"].removeprefix("Basic ")).decode()
    assert pair == "client:s+ecret%2F%C3%A4"
    assert not {"client_id", "client_secret"} & set(form(asked))


def test_a_public_client_has_no_secret() -> None:
    asked = sent(with_(client_auth="none"))
    assert form(asked)["client_id"] == "client"
    assert "client_secret" not in form(asked)


def test_everything_in_the_address_of_a_get() -> None:
    asked = sent(with_(client_auth="params", pkce=False))
    assert (asked.method, asked.form) == ("GET", None)
    assert asked.params["client_secret"] == SETTINGS["client_secret"]
    assert "code_verifier" not in asked.params


def test_names_headers_and_the_form_as_the_platform_has_them() -> None:
    def more(form: Mapping[str, str], server: Server) -> Mapping[str, str]:
        return {**form, "client_id": server.client_id}

    agent = {"User-Agent": "web:x:1"}
    asked = sent(with_(names={"client_id": "client_key"}, headers=lambda _: agent, client_auth="basic", form=more))
    assert form(asked)["client_key"] == "client"
    assert asked.headers["User-Agent"] == "web:x:1"


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ("me follows", {"me", "follows"}),
        ("me,follows", {"me", "follows"}),
        ("me, follows", {"me", "follows"}),
        (["me", "follows"], {"me", "follows"}),
        ("", set()),
        ([], set()),
        (None, None),
    ],
)
def test_what_was_granted_however_it_is_written(said: Any, scopes: set[str] | None) -> None:
    assert took(granted(scope=said)).scopes == (None if scopes is None else frozenset(scopes))


@pytest.mark.parametrize("said", [7, {"me": 1}, [7], [None], True])
def test_a_grant_that_cannot_be_read_is_no_full_grant(said: Any) -> None:
    with pytest.raises(Unavailable, match="granted"):
        took(granted(scope=said))


@pytest.mark.parametrize(
    ("said", "missing"),
    [("me follows", ()), ("follows me more", ()), ("me", ("follows",)), ("", ("me", "follows")), (None, ())],
)
def test_a_subset_of_scopes_is_noticed(said: str | None, missing: tuple[str, ...]) -> None:
    assert lacking(X, took(granted(scope=said)), SIGN_IN.scopes) == missing


def test_scopes_that_come_back_under_another_name() -> None:
    oauth = with_(scope_names={"https://www.googleapis.com/auth/userinfo.email": "follows"})
    tokens = took(granted(scope="me https://www.googleapis.com/auth/userinfo.email"), oauth)
    assert lacking(oauth, tokens, SIGN_IN.scopes) == ()


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(), Unavailable, id="a token answer without a token"),
        pytest.param(granted(access_token=""), Unavailable, id="an empty token"),
        pytest.param(granted(access_token=None), Unavailable, id="no token"),
        pytest.param(granted(access_token={"a": 1}), Unavailable, id="a token that is an object"),
        pytest.param(granted(access_token="a\r\nX: y"), Unavailable, id="a token that would be a header more"),
        pytest.param(granted(access_token="ä"), Unavailable, id="a token beyond ASCII"),
        pytest.param(granted(access_token="a b"), Unavailable, id="a token of two words"),
        pytest.param(granted(token_type="mac"), Unavailable, id="a type of token nobody here can use"),
        pytest.param(granted(token_type="DPoP"), Unavailable, id="a bound token where none is expected"),
        pytest.param(
            answer(400, error_type="OAuthException", error_message="Invalid"), Unavailable, id="400 without `error`"
        ),
        pytest.param(answer(200, error="bad_verification_code"), SignInRefused, id="an error inside 200"),
        pytest.param(granted(error="invalid_grant"), SignInRefused, id="an error beside a token"),
        pytest.param(answer(400, error="invalid_grant"), SignInRefused, id="the code is over"),
        pytest.param(answer(400, error="INVALID_GRANT "), SignInRefused, id="the same, shouted"),
        pytest.param(answer(401, error="invalid_client"), Misconfigured, id="the secret is wrong"),
        pytest.param(answer(400, error="unauthorized_client"), Misconfigured, id="the application may not"),
        pytest.param(answer(400, error="redirect_uri_mismatch"), Misconfigured, id="another redirect address"),
        pytest.param(answer(400, error="access_denied"), ConsentDenied, id="refused at the last moment"),
        pytest.param(answer(400, error={"type": "OAuthException", "code": 100}), Unavailable, id="an error object"),
        pytest.param(answer(400, error="teapot"), Unavailable, id="an error nobody knows"),
        pytest.param(answer(400), Unavailable, id="400 and nothing"),
        pytest.param(Response(403, b"{}"), Unavailable, id="403 and nothing"),
        pytest.param(Response(200, b"<html>Sign in</html>"), Unavailable, id="200 and a page"),
        pytest.param(Response(502, b"<html>Bad gateway</html>"), Unavailable, id="502 and a page"),
        pytest.param(Response(429, b'{"error":"invalid_grant"}'), Unavailable, id="429, whatever it says"),
        pytest.param(Response(500, b'{"error":"invalid_grant"}'), Unavailable, id="500, whatever it says"),
        pytest.param(Response(302, b"", {"location": "https://x.example/login"}), Unavailable, id="302"),
        pytest.param(Response(200, b"[]"), Unavailable, id="a list"),
        pytest.param(Response(200, b'"token"'), Unavailable, id="a text"),
        pytest.param(Response(200, b""), Unavailable, id="nothing"),
        pytest.param(Response(200, b"access_token=a&token_type=bearer"), Unavailable, id="a form"),
        pytest.param(Response(200, b"[" * 5000), Unavailable, id="too deep"),
    ],
)
def test_whatever_is_no_token_is_none(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        took(response)
    assert type(caught.value) is error
    for secret in ("a-token", VERIFIER, SETTINGS["client_secret"]):
        assert secret not in caught.value.message


def test_a_platform_that_wraps_its_answer() -> None:
    def unwrap(body: Mapping[str, Any], status: int) -> Mapping[str, Any]:
        match body:
            case {"data": [dict(first), *_]}:
                return first
        return body

    oauth = with_(normalise=unwrap)
    assert took(answer(data=[{"access_token": "wrapped"}]), oauth).access == "wrapped"
    assert took(answer(access_token="flat"), oauth).access == "flat"
    with pytest.raises(Unavailable, match="without a token"):
        took(answer(data=[]), oauth)


@pytest.mark.parametrize(
    ("life", "seconds"),
    [(3600, 3600), ("3600", 3600), (3600.0, 3600), (0, None), (-1, None), (None, None), ("soon", None), (True, None),
     ([], None), ("3600\n", None), (10**9, None), (999_999_999, 3650 * 86400)],
)  # fmt: skip
def test_how_long_it_lives(life: Any, seconds: int | None) -> None:
    expires = took(granted(expires_in=life)).expires_at
    assert expires == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_only_what_a_check_will_need_is_kept() -> None:
    oauth = with_(keeps=("sub", "friendship_status_changed"))
    query = f"state={STATE}&code=abc&friendship_status_changed=true&sub=theirs&more=1"
    tokens = took(granted(sub="did:plc:x", id_token="unasked", athlete={"id": 1}), oauth, query)
    assert tokens.extras == {"friendship_status_changed": "true", "sub": "did:plc:x"}
    assert tokens.claims == {}


# --- again, and gone ------------------------------------------------------------------------------------------------

OLD = Tokens(
    access="old", refresh="r1", scopes=frozenset({"me"}), expires_at=NOW, claims={"sub": "1"}, extras={"a": "b"}
)


def test_what_a_refresh_leaves_out_stays() -> None:
    fresh, [asked] = play(refresh(X, OLD, SETTINGS, NOW), answer(access_token="new", expires_in=60))
    assert form(asked) == {
        "grant_type": "refresh_token",
        "refresh_token": "r1",
        "client_id": "client",
        "client_secret": SETTINGS["client_secret"],
    }
    assert (fresh.access, fresh.refresh, fresh.scopes) == ("new", "r1", OLD.scopes)
    assert (fresh.claims, fresh.extras) == (OLD.claims, OLD.extras)
    assert fresh.expires_at == NOW + timedelta(minutes=1)
    rotated, _ = play(refresh(X, OLD, SETTINGS, NOW), answer(access_token="new", refresh_token="r2", scope="me more"))
    assert (rotated.refresh, rotated.scopes, rotated.expires_at) == ("r2", {"me", "more"}, None)


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (answer(400, error="invalid_grant"), Disconnected),
        (answer(200, error="bad_refresh_token"), Disconnected),
        (answer(401, error="invalid_client"), Misconfigured),
        (Response(503), Unavailable),
        (Response(200, b"<html>"), Unavailable),
        (answer(), Unavailable),
    ],
)
def test_a_permission_that_is_over_is_told_from_an_outage(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        play(refresh(X, OLD, SETTINGS, NOW), response)
    assert type(caught.value) is error


def test_nothing_to_renew_it_with() -> None:
    with pytest.raises(Disconnected):
        play(refresh(X, Tokens(access="a"), SETTINGS, NOW))


def test_both_tokens_are_given_back() -> None:
    gone, asked = play(revoke(X, OLD, SETTINGS), Response(200), Response(200))
    assert gone is True
    assert [(one.url, form(one)["token"]) for one in asked] == [
        ("https://x.example/revoke", "r1"),
        ("https://x.example/revoke", "old"),
    ]


@pytest.mark.parametrize(("first", "second", "gone"), [(200, 204, True), (503, 200, False), (200, 400, False)])
def test_whether_they_are_gone(first: int, second: int, gone: bool) -> None:
    assert play(revoke(X, OLD, SETTINGS), Response(first), Response(second))[0] is gone


def test_where_nothing_can_be_revoked_nothing_is_asked() -> None:
    assert play(revoke(with_(), OLD, SETTINGS)) == (False, [])


def test_revocation_as_the_platform_has_it() -> None:
    oauth = with_(
        revoke_url="https://x.example/r", revokes=("access",), revoke_auth="none", names={"token": "access_token"}
    )
    _, [asked] = play(revoke(oauth, OLD, SETTINGS), Response(200))
    assert form(asked) == {"access_token": "old", "client_id": "client"}

    def forget(tokens: Tokens, server: Server, settings: Mapping[str, Any]) -> Talk[bool]:
        response = yield Request("DELETE", f"{server.token_url}/{tokens.access}")
        return response.status == 204

    gone, [asked] = play(revoke(with_(revoke=forget), OLD, SETTINGS), Response(204))
    assert (gone, asked.method) == (True, "DELETE")


def test_the_applications_own_token() -> None:
    tokens, [asked] = play(client_token(X, SETTINGS, NOW, ("a", "b")), granted())
    assert (form(asked)["grant_type"], form(asked)["scope"]) == ("client_credentials", "a b")
    assert tokens.access == "a-token"


# --- platforms that must be found -----------------------------------------------------------------------------------


def find(home: str, here: Here, settings: Mapping[str, Any]) -> Talk[Server]:
    response = yield Request("GET", f"https://{home}/meta")
    return Server(authorize_url=f"https://{home}/a", token_url=response.json()["token"])


def enrol(found: Server, here: Here, settings: Mapping[str, Any]) -> Talk[Server]:
    from dataclasses import replace

    yield Request("POST", "https://x.example/apps", form={"redirect_uris": here.redirect_uri})
    return replace(found, client_id="registered", client_secret="there")


def test_a_server_is_found_registered_with_and_kept() -> None:
    here = Here(redirect_uri=HERE, document_url=HERE, site="https://bridge.example", name="Brand")
    oauth = OAuth(discover=find, register=enrol)
    found, asked = play(locate(oauth, "x.example", here, {}), answer(token="https://x.example/t"), answer())
    assert [one.method for one in asked] == ["GET", "POST"]
    assert found is not None
    assert recall(Server, kept(found)) == found
    sign_in = SignIn(verifier=VERIFIER, nonce="n", redirect_uri=HERE, server=found, scopes=("me",), key='{"kty":"EC"}')
    again = recall(SignIn, kept(sign_in))
    assert again == sign_in
    tokens, [asked_for] = play(exchange(oauth, again, callback(f"state={STATE}&code=c"), {}, NOW), granted())
    assert (asked_for.url, form(asked_for)["client_id"]) == ("https://x.example/t", "registered")
    assert (tokens.server, tokens.key) == (found, sign_in.key)
    assert recall(Tokens, kept(tokens)) == tokens
    assert play(locate(X, "", here, SETTINGS)) == (None, [])


def test_parameters_can_be_pushed_ahead() -> None:
    def push(params: Mapping[str, str], sign_in: SignIn, server: Server, settings: Any, now: Any) -> Talk[Any]:
        response = yield Request("POST", server.par_url, form=params)
        return {"client_id": params["client_id"], "request_uri": response.json()["request_uri"]}

    place = Server(authorize_url="https://x.example/a", par_url="https://x.example/par", client_id="me")
    sign_in = SignIn(verifier=VERIFIER, nonce="n", redirect_uri=HERE, server=place)
    oauth = OAuth(prepare=push)
    address, [asked] = play(begin(oauth, sign_in, STATE, {}, NOW), answer(201, request_uri="urn:x:1"))
    assert form(asked)["code_challenge"] == CHALLENGE
    assert parse_qs(urlsplit(address).query) == {"client_id": ["me"], "request_uri": ["urn:x:1"]}


def test_a_request_can_carry_a_proof_and_be_asked_again() -> None:
    def carry(request: Request, key: str, now: datetime) -> Talk[Response]:
        response = yield request
        if response.object().get("error") == "use_dpop_nonce":
            response = yield Request(request.method, request.url, form=request.form, headers={"DPoP": key})
        return response

    oauth = with_(carry=carry, bound=True, token_types=("dpop",))
    sign_in = SignIn(verifier=VERIFIER, nonce="n", redirect_uri=HERE, key="a key")
    tokens, asked = play(
        exchange(oauth, sign_in, callback(f"state={STATE}&code=c"), SETTINGS, NOW),
        answer(400, error="use_dpop_nonce"),
        granted(token_type="DPoP"),
    )
    assert [one.headers.get("DPoP") for one in asked] == [None, "a key"]
    assert tokens.key == "a key"


def test_half_a_character_can_be_kept() -> None:
    """A lone surrogate is JSON, and no text that a store could take."""
    tokens = Tokens(access="a", claims={"name": "\ud800"}, extras={"x": "\x00"})
    text = kept(tokens)
    assert text.encode("ascii")
    assert recall(Tokens, text) == tokens


@pytest.mark.parametrize(
    "named",
    [{"id": ""}, {"id": " "}, {"id": "\ud800"}, {"id": "1\x00"}, {"id": "x" * 513}, {"id": "1", "handle": "a\nb"}],
)
def test_an_account_that_cannot_be_kept_is_nobodys(named: dict[str, str]) -> None:
    with pytest.raises(Unavailable):
        Account(**named)  # type: ignore[arg-type]


def test_what_is_kept_survives_a_version_that_knows_more() -> None:
    text = json.dumps({**json.loads(kept(OLD)), "of_tomorrow": 1})
    assert recall(Tokens, text) == OLD


def test_nothing_secret_stands_in_a_repr() -> None:
    place = Server(client_secret="hidden", client_id="c")
    tokens = Tokens(access="hidden", refresh="hidden", claims={"email": "hidden"}, server=place, key="hidden")
    for one in (SignIn(verifier="hidden", nonce="hidden", redirect_uri=HERE, server=place, key="hidden"), tokens):
        assert "hidden" not in repr(one)
    assert "hidden" not in repr(callback("state=hidden&code=hidden"))
