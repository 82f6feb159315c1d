"""Bluesky: from a handle to a signed-in account with pushed requests and bound tokens; what it has done, in public."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from bridge.kit import (
    Account,
    Answer,
    Ask,
    BridgeError,
    Evidence,
    Here,
    HomeUnknown,
    IssuerMismatch,
    Misconfigured,
    Question,
    Request,
    Response,
    Server,
    SignIn,
    SignInRefused,
    Tokens,
    Unavailable,
    kept,
    recall,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange, lacking, locate, revoke
from providers.social.bluesky import PAGES, VERBS, source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
ANN, BRAND = "did:plc:ewvi7nxzyoun6zhxrhs64oiz", "did:plc:z72i7hdynmk6r22z27h6tvur"
POST = f"at://{BRAND}/app.bsky.feed.post/3k43tv4rft22g"
PDS, ISSUER = "https://oyster.us-east.host.bsky.network", "https://bsky.social"
SETTINGS: dict[str, Any] = {"did": BRAND, "post": POST}
HERE = Here(
    redirect_uri="https://bridge.example/connect/bluesky/callback",
    document_url="https://bridge.example/connect/bluesky/client.json",
    site="https://bridge.example",
    name="Cool Brand",
)
KEY = ECKey.generate_key("P-256")
SIGN_IN = SignIn(
    verifier="v" * 43,
    nonce="n",
    redirect_uri=HERE.redirect_uri,
    scopes=("atproto",),
    key=json.dumps(KEY.as_dict(private=True)),
)
OAUTH = source.oauth
assert OAUTH is not None


def answer(code: int = 200, given: Any = None, headers: Mapping[str, str] | None = None, **body: Any) -> Response:
    return Response(code, json.dumps(body if given is None else given).encode(), headers or {})


# --- the handle -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("ann.bsky.social", "ann.bsky.social"),
        (" @Ann.Bsky.Social ", "ann.bsky.social"),
        ("\u202aann.bsky.social\u202c", "ann.bsky.social"),
        ("https://bsky.app/profile/ann.example", "ann.example"),
        ("at://ann.example/", "ann.example"),
        ("ann.example\n", "ann.example"),
        ("xn--mgbh0fb.example", "xn--mgbh0fb.example"),
        (ANN, ANN),
        ("did:web:ann.example", "did:web:ann.example"),
    ],
)
def test_a_handle_as_people_type_it(given: str, read: str) -> None:
    assert OAUTH is not None
    assert OAUTH.home is not None
    assert OAUTH.home.read(given) == read


@pytest.mark.parametrize(
    "given",
    [
        "",
        "ann",
        "ann@bsky.social",
        "ann bsky.social",
        "ann.bsky.social/7",
        "https://evil.example/ann.example",
        "127.0.0.1",
        "localhost",
        "ann.example:8080",
        "did:plc:short",
        "did:web:127.0.0.1",
        "did:web:ann.example%3A80",
        "did:web:ann.example:path",
        "did:key:zQ3sh",
        "-ann.example",
        "ann.\nexample",
        "änn.example",
        "a" * 64 + ".example",
        "a." * 130 + "example",
    ],
)
def test_what_is_no_handle_is_looked_for_nowhere(given: str) -> None:
    assert OAUTH is not None
    assert OAUTH.home is not None
    with pytest.raises(HomeUnknown):
        OAUTH.home.read(given)


# --- finding the server ---------------------------------------------------------------------------------------------

DOCUMENT: dict[str, Any] = {
    "@context": ["https://www.w3.org/ns/did/v1"],
    "id": ANN,
    "alsoKnownAs": ["at://Ann.bsky.social"],
    "service": [
        {"id": "#bsky_notif", "type": "BskyNotificationService", "serviceEndpoint": "https://x.example"},
        {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": PDS},
    ],
}
RESOURCE = {"resource": PDS, "authorization_servers": [ISSUER], "scopes_supported": []}
METADATA: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/oauth/authorize",
    "token_endpoint": f"{ISSUER}/oauth/token",
    "pushed_authorization_request_endpoint": f"{ISSUER}/oauth/par",
    "revocation_endpoint": f"{ISSUER}/oauth/revoke",
    "jwks_uri": f"{ISSUER}/oauth/jwks",
    "require_pushed_authorization_requests": True,
    "authorization_response_iss_parameter_supported": True,
    "client_id_metadata_document_supported": True,
    "dpop_signing_alg_values_supported": ["RS256", "ES256"],
    "scopes_supported": ["atproto", "transition:email"],
    "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
}
STEPS = [answer(did=ANN), answer(200, DOCUMENT), answer(200, RESOURCE), answer(200, METADATA)]


def found(*answers: Response, home: str = "ann.bsky.social", settings: Any = SETTINGS) -> tuple[Any, list[Request]]:
    assert OAUTH is not None
    return play(locate(OAUTH, home, HERE, settings), *answers)


def test_from_a_handle_to_its_authorization_server() -> None:
    server, asked = found(*STEPS)
    assert [one.url for one in asked] == [
        "https://public.api.bsky.app/xrpc/com.atproto.identity.resolveHandle",
        f"https://plc.directory/{ANN}",
        f"{PDS}/.well-known/oauth-protected-resource",
        f"{ISSUER}/.well-known/oauth-authorization-server",
    ]
    assert asked[0].params == {"handle": "ann.bsky.social"}
    assert (server.issuer, server.par_url, server.sends_iss) == (ISSUER, f"{ISSUER}/oauth/par", True)
    assert (server.client_id, server.client_auth, server.client_secret) == (HERE.document_url, "none", "")
    assert (server.home, server.extras) == ("ann.bsky.social", {"did": ANN})
    assert recall(Server, kept(server)) == server


def test_from_a_did_nobody_is_asked_for_the_handle() -> None:
    _, asked = found(*STEPS[1:], home=ANN)
    assert asked[0].url == f"https://plc.directory/{ANN}"
    web = {**DOCUMENT, "id": "did:web:ann.example"}
    _, asked = found(answer(200, web), *STEPS[2:], home="did:web:ann.example")
    assert asked[0].url == "https://ann.example/.well-known/did.json"


def test_other_addresses_are_obeyed() -> None:
    settings = {**SETTINGS, "api_url": "http://127.0.0.1:1/xrpc/", "plc_url": "http://127.0.0.1:2/"}
    local = {**DOCUMENT, "service": [{**DOCUMENT["service"][1], "serviceEndpoint": "http://127.0.0.1:3/"}]}
    _, asked = found(STEPS[0], answer(200, local), *STEPS[2:], settings=settings)
    assert [one.url for one in asked[:3]] == [
        "http://127.0.0.1:1/xrpc/com.atproto.identity.resolveHandle",
        f"http://127.0.0.1:2/{ANN}",
        "http://127.0.0.1:3/.well-known/oauth-protected-resource",
    ]


def at(step: int, response: Response) -> list[Response]:
    return [*STEPS[:step], response]


def document(**changed: Any) -> Response:
    return answer(200, {**DOCUMENT, **changed})


def pds(endpoint: Any, **changed: Any) -> Response:
    return document(service=[{**DOCUMENT["service"][1], "serviceEndpoint": endpoint, **changed}])


def metadata(**changed: Any) -> Response:
    return answer(200, {name: value for name, value in {**METADATA, **changed}.items() if value is not ...})


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        pytest.param(at(0, answer(400, error="InvalidRequest")), HomeUnknown, id="there is no such handle"),
        pytest.param(at(0, answer(did="did:key:z")), Unavailable, id="the handle leads to no DID of the network"),
        pytest.param(at(0, answer(did=7)), Unavailable, id="the handle leads to a number"),
        pytest.param(at(0, Response(502, b"<html>")), Unavailable, id="the handle cannot be looked up"),
        pytest.param(at(0, Response(400, b"<html>")), Unavailable, id="400 and a page"),
        pytest.param(at(1, answer(404, message="DID not registered")), HomeUnknown, id="there is no such account"),
        pytest.param(at(1, answer(410)), HomeUnknown, id="the account is gone"),
        pytest.param(at(1, document(id=BRAND)), Unavailable, id="the document is another's"),
        pytest.param(
            at(1, document(alsoKnownAs=["at://bob.example"])), HomeUnknown, id="the account has another handle"
        ),
        pytest.param(at(1, document(alsoKnownAs=None)), HomeUnknown, id="the account has no handle"),
        pytest.param(at(1, document(alsoKnownAs=[7])), HomeUnknown, id="the account's handle is a number"),
        pytest.param(at(1, document(service=None)), HomeUnknown, id="the data is kept nowhere"),
        pytest.param(at(1, pds(PDS, type="Other")), HomeUnknown, id="the server is of another kind"),
        pytest.param(at(1, pds(PDS, id="#other")), HomeUnknown, id="the server is for something else"),
        pytest.param(at(1, pds("http://pds.example")), Unavailable, id="the server is not protected"),
        pytest.param(at(1, pds("https://pds.example/x")), Unavailable, id="the server has a path"),
        pytest.param(at(1, pds("https://a:b@pds.example")), Unavailable, id="the server has a password"),
        pytest.param(at(1, pds("https://pds.example:x")), Unavailable, id="the server has no port"),
        pytest.param(at(1, pds("https://[::1")), Unavailable, id="the server is no address"),
        pytest.param(at(1, pds("file:///etc/passwd")), Unavailable, id="the server is a file"),
        pytest.param(at(1, pds(7)), HomeUnknown, id="the server is a number"),
        pytest.param(at(2, answer(404)), Unavailable, id="the server does not speak of authorization"),
        pytest.param(at(2, answer(authorization_servers=[])), Unavailable, id="no authorization server"),
        pytest.param(at(2, answer(authorization_servers=[ISSUER, ISSUER])), Unavailable, id="two of them"),
        pytest.param(at(2, answer(authorization_servers=["http://x.example"])), Unavailable, id="an unprotected one"),
        pytest.param(at(2, Response(200, b"[" * 5000)), Unavailable, id="a deep nest"),
        pytest.param(at(3, answer(404)), Unavailable, id="it does not describe itself"),
        pytest.param(at(3, metadata(issuer="https://evil.example")), Unavailable, id="it is somebody else"),
        pytest.param(at(3, metadata(token_endpoint="http://x.example/t")), Unavailable, id="tokens are unprotected"),
        pytest.param(at(3, metadata(token_endpoint=...)), Unavailable, id="there are no tokens"),
        pytest.param(at(3, metadata(pushed_authorization_request_endpoint=...)), Unavailable, id="no pushed requests"),
        pytest.param(at(3, metadata(authorization_response_iss_parameter_supported=False)), Unavailable, id="no iss"),
        pytest.param(at(3, metadata(client_id_metadata_document_supported=...)), Unavailable, id="no documents"),
        pytest.param(at(3, metadata(dpop_signing_alg_values_supported=["RS256"])), Unavailable, id="no ES256"),
        pytest.param(at(3, metadata(scopes_supported=["email"])), Unavailable, id="no scope atproto"),
        pytest.param(at(3, metadata(scopes_supported="atproto")), Unavailable, id="a text for a list"),
    ],
)
def test_no_stranger_leads_anywhere_else(answers: list[Response], error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        found(*answers)
    assert type(caught.value) is error


# --- signing in -----------------------------------------------------------------------------------------------------

SERVER = found(*STEPS)[0]
GOES = replace(SIGN_IN, server=SERVER)
NONCE = {"dpop-nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"}
PUSHED = answer(201, request_uri="urn:ietf:params:oauth:request_uri:req-1", expires_in=299)
WANTS = answer(400, error="use_dpop_nonce", headers=NONCE)


def proof(request: Request) -> dict[str, Any]:
    """The claims of a proof, checked as a server checks them."""
    raw = request.headers["DPoP"]
    token = jwt.decode(raw, KEY, algorithms=["ES256"])
    assert token.header["typ"] == "dpop+jwt"
    shown: Any = token.header["jwk"]
    assert shown == {name: KEY.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
    assert "d" not in shown
    assert token.claims["htm"] == request.method
    assert token.claims["htu"] == request.url
    assert token.claims["iat"] == int(NOW.timestamp())
    return token.claims


def test_the_request_goes_ahead_and_the_customer_carries_a_reference() -> None:
    address, asked = play(begin(OAUTH, GOES, "the state", SETTINGS, NOW), WANTS, PUSHED)
    assert address == (
        f"{ISSUER}/oauth/authorize?client_id=https%3A%2F%2Fbridge.example%2Fconnect%2Fbluesky%2Fclient.json"
        "&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Areq-1"
    )
    challenge = base64.urlsafe_b64encode(hashlib.sha256(b"v" * 43).digest()).decode().rstrip("=")
    for request in asked:
        assert (request.method, request.url) == ("POST", f"{ISSUER}/oauth/par")
        assert request.form == {
            "response_type": "code",
            "client_id": HERE.document_url,
            "redirect_uri": HERE.redirect_uri,
            "scope": "atproto",
            "state": "the state",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "login_hint": "ann.bsky.social",
        }
    first, second = (proof(request) for request in asked)
    assert "nonce" not in first
    assert second["nonce"] == NONCE["dpop-nonce"]
    assert first["jti"] != second["jti"]
    assert KEY.as_dict(private=True)["d"] not in str(asked)


def test_a_proof_is_made_anew_for_each_request() -> None:
    ids = set()
    for sign_in, now in ((GOES, NOW), (GOES, NOW + timedelta(seconds=1)), (replace(GOES, verifier="w" * 43), NOW)):
        _, [request] = play(begin(OAUTH, sign_in, "s", SETTINGS, now), PUSHED)
        ids.add(jwt.decode(request.headers["DPoP"], KEY, algorithms=["ES256"]).claims["jti"])
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        pytest.param([answer(400, error="invalid_request")], SignInRefused, id="the request is not taken"),
        pytest.param([answer(400, error="invalid_client_metadata")], Misconfigured, id="Bluesky cannot read us"),
        pytest.param([WANTS, WANTS], Unavailable, id="a nonce again and again"),
        pytest.param([answer(400, error="use_dpop_nonce")], Unavailable, id="a nonce that is not named"),
        pytest.param(
            [answer(400, error="use_dpop_nonce", headers={"dpop-nonce": 'a"b'})], Unavailable, id="a nonce with a quote"
        ),
        pytest.param([answer(201, request_uri="")], Unavailable, id="an empty reference"),
        pytest.param([answer(201, request_uri=["x"])], Unavailable, id="a list for a reference"),
        pytest.param([answer(202, request_uri="x")], Unavailable, id="another success"),
        pytest.param([answer(429, error="rate_limit")], Unavailable, id="429"),
        pytest.param([Response(500)], Unavailable, id="500"),
        pytest.param([Response(201, b"<html>")], Unavailable, id="201 and a page"),
    ],
)
def test_a_request_that_is_not_taken(answers: list[Response], error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        play(begin(OAUTH, GOES, "s", SETTINGS, NOW), *answers)
    assert type(caught.value) is error


def test_a_strangers_server_cannot_alarm_the_operator() -> None:
    strange = replace(GOES, server=replace(SERVER, issuer="https://pds.example"))
    for word in ("invalid_client", "invalid_client_metadata"):
        with pytest.raises(Unavailable) as caught:
            play(begin(OAUTH, strange, "s", SETTINGS, NOW), answer(400, error=word))
        assert type(caught.value) is Unavailable
    back = callback("state=s&code=c&iss=https://pds.example")
    with pytest.raises(Unavailable) as caught:
        play(exchange(OAUTH, strange, back, SETTINGS, NOW), answer(401, error="invalid_client"))
    assert type(caught.value) is Unavailable


TOKEN = {"access_token": "at", "token_type": "DPoP", "expires_in": 3600, "scope": "atproto", "sub": ANN}
BACK = callback(f"state=s&code=cod-1&iss={ISSUER}")


def test_a_code_becomes_a_token_that_is_bound_to_the_key() -> None:
    tokens, asked = play(exchange(OAUTH, GOES, BACK, SETTINGS, NOW), WANTS, answer(200, TOKEN))
    assert (tokens.access, tokens.extras, tokens.key) == ("at", {"sub": ANN}, GOES.key)
    assert lacking(OAUTH, tokens, ("atproto",)) == ()
    for request in asked:
        assert request.url == f"{ISSUER}/oauth/token"
        assert request.form == {
            "grant_type": "authorization_code",
            "code": "cod-1",
            "redirect_uri": HERE.redirect_uri,
            "code_verifier": "v" * 43,
            "client_id": HERE.document_url,
        }
    assert proof(asked[1])["nonce"] == NONCE["dpop-nonce"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        pytest.param("state=s&code=c", IssuerMismatch, id="nobody says who answers"),
        pytest.param("state=s&code=c&iss=https://evil.example", IssuerMismatch, id="somebody else answers"),
        pytest.param(f"state=s&iss={ISSUER}", SignInRefused, id="no code"),
    ],
)
def test_only_the_server_that_was_asked_may_answer(query: str, error: type[BridgeError]) -> None:
    with pytest.raises(error):
        play(exchange(OAUTH, GOES, callback(query), SETTINGS, NOW))


@pytest.mark.parametrize(
    ("response", "error"),
    [
        pytest.param(answer(400, error="invalid_grant"), SignInRefused, id="the code is over"),
        pytest.param(answer(200, {**TOKEN, "token_type": "Bearer"}), Unavailable, id="a token that is not bound"),
        pytest.param(answer(400, error="use_dpop_nonce"), Unavailable, id="a nonce that is not named"),
        pytest.param(Response(502, b"<html>"), Unavailable, id="502 and a page"),
        pytest.param(Response(200, b"<html>"), Unavailable, id="200 and a page"),
    ],
)
def test_no_token(response: Response, error: type[BridgeError]) -> None:
    with pytest.raises(error) as caught:
        play(exchange(OAUTH, GOES, BACK, SETTINGS, NOW), response)
    assert type(caught.value) is error


TOKENS = Tokens(access="at", server=SERVER, extras={"sub": ANN})


def test_the_token_is_given_back() -> None:
    gone, [request] = play(revoke(OAUTH, TOKENS, SETTINGS), Response(200))
    assert gone
    assert (request.url, request.form) == (f"{ISSUER}/oauth/revoke", {"token": "at", "client_id": HERE.document_url})


def test_servers_read_who_we_are() -> None:
    assert OAUTH is not None
    assert OAUTH.document is not None
    assert OAUTH.document(HERE, SETTINGS) == {
        "client_id": HERE.document_url,
        "client_name": "Cool Brand",
        "client_uri": "https://bridge.example",
        "application_type": "web",
        "redirect_uris": [HERE.redirect_uri],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "scope": "atproto",
        "token_endpoint_auth_method": "none",
        "dpop_bound_access_tokens": True,
    }


# --- who ------------------------------------------------------------------------------------------------------------

PROFILE = {"did": ANN, "handle": "ann.bsky.social", "followersCount": 7, "createdAt": "2001-01-01T00:00:00.000Z"}
LOG = [{"did": ANN, "operation": {}, "cid": "b", "createdAt": "2022-11-17T00:35:16.391Z"}, {"did": ANN}]


def test_who_signed_in_and_since_when_by_the_directorys_clock() -> None:
    assert source.whoami is not None
    account, asked = play(source.whoami(TOKENS, SETTINGS), answer(200, PROFILE), answer(200, LOG))
    assert account == Account(
        id=ANN,
        handle="ann.bsky.social",
        followers=7,
        created_at=datetime(2022, 11, 17, 0, 35, 16, 391000, tzinfo=UTC),
    )
    assert [one.url for one in asked] == [
        "https://public.api.bsky.app/xrpc/app.bsky.actor.getProfile",
        f"https://plc.directory/{ANN}/log/audit",
    ]
    assert not any("Authorization" in one.headers for one in asked)


@pytest.mark.parametrize(
    "response",
    [
        answer(200, []),
        answer(200, [{"did": BRAND, "createdAt": "2022-11-17T00:35:16.391Z"}]),
        answer(200, [{"did": ANN, "createdAt": "long ago"}]),
        answer(200, [{"did": ANN, "createdAt": 7}]),
        answer(200, {"did": ANN}),
        answer(404),
        Response(200, b"<html>"),
        Response(500),
    ],
)
def test_how_old_an_account_is_may_stay_unknown(response: Response) -> None:
    assert source.whoami is not None
    hidden = {**PROFILE, "handle": "handle.invalid", "followersCount": "7"}
    account, _ = play(source.whoami(TOKENS, SETTINGS), answer(200, hidden), response)
    assert account == Account(id=ANN, handle=ANN)


def test_a_web_did_stands_in_no_directory() -> None:
    assert source.whoami is not None
    web = "did:web:ann.example"
    tokens = replace(TOKENS, extras={"sub": web}, server=replace(SERVER, extras={"did": web}))
    account, _ = play(source.whoami(tokens, SETTINGS), answer(200, {**PROFILE, "did": web}))
    assert (account.id, account.created_at) == (web, None)


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param(replace(TOKENS, extras={"sub": BRAND}), id="the server vouches for somebody else"),
        pytest.param(replace(TOKENS, extras={}), id="the server vouches for nobody"),
        pytest.param(replace(TOKENS, extras={"sub": [ANN]}), id="the server vouches for a list"),
        pytest.param(replace(TOKENS, server=None), id="no server was asked"),
        pytest.param(replace(TOKENS, server=replace(SERVER, extras={})), id="nobody was to sign in"),
    ],
)
def test_no_server_speaks_for_the_accounts_of_others(tokens: Tokens) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(tokens, SETTINGS))


@pytest.mark.parametrize(
    "response",
    [
        answer(200, {}),
        answer(200, {**PROFILE, "did": BRAND}),
        answer(400, error="InvalidRequest", message="Profile not found"),
        Response(200, b"<html>"),
        Response(429),
        Response(500),
    ],
)
def test_nobody_is_guessed(response: Response) -> None:
    assert source.whoami is not None
    with pytest.raises(Unavailable):
        play(source.whoami(TOKENS, SETTINGS), response)


# --- what they have done --------------------------------------------------------------------------------------------

ASK = Ask(account=Account(id=ANN, handle="ann.bsky.social"), settings=SETTINGS, now=NOW)
SUBJECTS = {"follow": BRAND, "like": POST, "repost": POST}


def asked(verb: str, *answers: Response, ask: Ask = ASK) -> tuple[Answer, list[Request]]:
    way = source.checks[verb].way(SETTINGS)
    assert way is not None
    assert OAUTH is not None
    assert (wanted(OAUTH, way), way.keep) == (("atproto",), False)
    return play(way.ask(ask), *answers)


def relation(actor: str = ANN, **row: Any) -> Response:
    return answer(actor=actor, relationships=[row])


FOLLOW = f"at://{ANN}/app.bsky.graph.follow/3k44deefqdk2g"


@pytest.mark.parametrize(
    ("response", "result", "obstacle"),
    [
        pytest.param(relation(did=BRAND, following=FOLLOW), "verified", "", id="follows"),
        pytest.param(relation(did=BRAND), "not_found", "", id="does not"),
        pytest.param(relation(did=BRAND, followedBy=FOLLOW), "not_found", "", id="is followed"),
        pytest.param(relation(did=BRAND, following=True), "unknown", "", id="no address"),
        pytest.param(relation(did=BRAND, following=FOLLOW.replace(ANN, BRAND)), "unknown", "", id="another's record"),
        pytest.param(relation(did=ANN, following=FOLLOW), "unknown", "", id="about another brand"),
        pytest.param(relation(BRAND, did=BRAND, following=FOLLOW), "unknown", "", id="about another account"),
        pytest.param(relation(actor=ANN, notFound=True), "unknown", "brand", id="there is no such brand"),
        pytest.param(answer(actor=ANN, relationships=[]), "unknown", "", id="nothing in the list"),
        pytest.param(answer(actor=ANN, relationships=[7]), "unknown", "", id="a number in the list"),
        pytest.param(answer(400, error="ActorNotFound"), "unknown", "", id="the account is deactivated"),
    ],
)
def test_a_follow(response: Response, result: str, obstacle: str) -> None:
    answered, [request] = asked("follow", response)
    assert (answered.result, answered.obstacle) == (result, obstacle)
    assert answered.note or result == "verified"
    assert request.url == "https://public.api.bsky.app/xrpc/app.bsky.graph.getRelationships"
    assert request.params == {"actor": ANN, "others": BRAND}
    assert request.headers == {}


def people(verb: str, *dids: Any, cursor: Any = None, uri: str = POST) -> Response:
    rows = [{"actor": {"did": one}, "createdAt": "2001-01-01T00:00:00Z"} if verb == "like" else {"did": one}
            for one in dids]  # fmt: skip
    name = "likes" if verb == "like" else "repostedBy"
    return answer(200, {"uri": uri, name: rows, **({"cursor": cursor} if cursor is not None else {})})


@pytest.mark.parametrize("verb", ["like", "repost"])
@pytest.mark.parametrize(
    ("pages", "result"),
    [
        pytest.param([((BRAND, ANN), None)], "verified", id="listed"),
        pytest.param([((BRAND,), "2"), ((ANN,), None)], "verified", id="on the second page"),
        pytest.param([((BRAND,), "2"), ((BRAND,), None)], "not_found", id="on no page"),
        pytest.param([((), None)], "not_found", id="nobody has"),
        pytest.param([((BRAND,), "2"), ((), "3")], "not_found", id="an empty page is the last"),
        pytest.param([((BRAND,), "2")] * PAGES, "unknown", id="too many to look through"),
        pytest.param([((7, None), None)], "not_found", id="rows that are none"),
    ],
)
def test_a_list_is_read_to_its_end(verb: str, pages: list[tuple[Any, Any]], result: str) -> None:
    answered, requests = asked(verb, *(people(verb, *dids, cursor=cursor) for dids, cursor in pages))
    assert answered.result == result
    method = "getLikes" if verb == "like" else "getRepostedBy"
    assert {one.url for one in requests} == {f"https://public.api.bsky.app/xrpc/app.bsky.feed.{method}"}
    assert requests[0].params == {"uri": POST, "limit": "100"}
    assert [one.params.get("cursor") for one in requests[1:]] == ["2"] * (len(requests) - 1)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("response", "obstacle"),
    [
        pytest.param(answer(400, error="InvalidRequest", message="?"), "", id="400"),
        pytest.param(answer(401), "", id="401"),
        pytest.param(answer(403), "", id="403"),
        pytest.param(Response(404, b"<html>"), "", id="404 and a page"),
        pytest.param(Response(429), "busy", id="429"),
        pytest.param(Response(500), "busy", id="500"),
        pytest.param(Response(503, b"<html>"), "busy", id="503 and a page"),
        pytest.param(answer(200, {}), "", id="nothing in it"),
        pytest.param(answer(200, []), "", id="a list"),
        pytest.param(Response(204), "", id="204"),
        pytest.param(Response(200, b"<html>"), "", id="200 and a page"),
        pytest.param(Response(200, b"[" * 5000), "", id="200 and a deep nest"),
        pytest.param(people("like", ANN, uri="at://another"), "", id="about another post"),
    ],
)
def test_what_says_nothing_is_never_a_no(verb: str, response: Response, obstacle: str) -> None:
    for answered in (
        asked(verb, response)[0],
        play(source.rechecks[verb](Question(ANN, SUBJECTS[verb], "k"), SETTINGS), response)[0],
    ):
        assert (answered.result, answered.obstacle) == ("unknown", obstacle)
        assert answered.note


@pytest.mark.parametrize("verb", VERBS)
def test_the_fact_is_the_pair_and_its_time_is_nobodys(verb: str) -> None:
    said = relation(did=BRAND, following=FOLLOW) if verb == "follow" else people(verb, ANN)
    subject = SUBJECTS[verb]
    # The form of this key has paid: it may never change.
    fact = Evidence(action=verb, key=f"{subject}|{ANN}", account=ANN, subject=subject)
    assert asked(verb, said)[0].evidence == fact
    again, _ = play(source.rechecks[verb](Question(ANN, subject, fact.key), {}), said)
    assert again.evidence == fact
    assert fact.occurred_at is None


def test_asked_again_it_is_about_the_same_brand() -> None:
    _, [request] = asked("follow", relation(did=ANN), ask=replace(ASK, subject=ANN))
    assert request.params["others"] == ANN


def test_where_it_is_done() -> None:
    pages = [source.checks[verb].page for verb in VERBS]
    assert [page(SETTINGS, None) for page in pages if page] == [
        f"https://bsky.app/profile/{BRAND}",
        *[f"https://bsky.app/profile/{BRAND}/post/3k43tv4rft22g"] * 2,
    ]
    assert [page({}, None) for page in pages if page] == [""] * 3
    assert [page({"did": "//evil", "post": "javascript:"}, None) for page in pages if page] == [""] * 3


@pytest.mark.parametrize(("name", "right"), [("did", BRAND), ("post", POST)])
def test_a_handle_in_place_of_a_did_is_a_fault(name: str, right: str) -> None:
    [setting] = [one for one in source.settings if one.name == name]
    assert setting.fault is not None
    assert setting.fault(right) == ""
    assert setting.fault(right.replace(BRAND, "brand.bsky.social"))


def test_nothing_but_the_wish_is_needed_to_sign_in() -> None:
    assert source.door({}) is OAUTH
    address = urlsplit(play(begin(OAUTH, GOES, "s", {}, NOW), PUSHED)[0])
    assert set(parse_qs(address.query)) == {"client_id", "request_uri"}
