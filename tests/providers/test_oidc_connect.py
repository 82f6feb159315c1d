"""Any OpenID Connect provider asked for a customer: found by its issuer, believed by its keys, judged by its claims."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from bridge.kit import (
    Account,
    Answer,
    Ask,
    Evidence,
    Here,
    IssuerMismatch,
    Misconfigured,
    Request,
    Response,
    Server,
    SignIn,
    SignInRefused,
    Source,
    Tokens,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import callback, exchange, lacking, locate, revoke
from providers.social.oidc import source

from .playing import play

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
ISSUER = "https://id.example/realm"
SETTINGS = {
    "issuer": ISSUER,
    "client_id": "client",
    "client_secret": "secret",
    "proof": "'member' in claims.groups",
    "page": "https://club.example/join",
}
HERE = Here(
    redirect_uri="https://bridge.example/cb",
    document_url="https://bridge.example/client.json",
    site="https://bridge.example",
    name="Cool Brand",
)
DESCRIBED = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://id.example/auth",
    "token_endpoint": "https://id.example/token",
    "userinfo_endpoint": "https://id.example/userinfo",
    "revocation_endpoint": "https://id.example/revoke",
    "jwks_uri": "https://id.example/keys",
}
RSA = RSAKey.generate_key(2048)
SAID = {
    "iss": ISSUER,
    "sub": "42",
    "aud": "client",
    "iat": AT,
    "exp": AT + 600,
    "nonce": "n-0S6",
    "groups": ["member"],
    "preferred_username": "ann",
}
ANN = Account(id=f"{ISSUER}#42", handle="ann", claims={"groups": ["member"]})
ASK = Ask(account=ANN, settings=SETTINGS, now=NOW)


def answer(status: int = 200, body: Any = None, **more: Any) -> Response:
    return Response(status, json.dumps(more if body is None else body).encode())


def configured(**settings: str) -> Source:
    assert source.configure is not None
    return source.configure(source, {**SETTINGS, **settings})


# --- signing in -----------------------------------------------------------------------------------------------------


def found(**change: Any) -> Server:
    oauth = configured().oauth
    assert oauth is not None
    left = {name: value for name, value in {**DESCRIBED, **change}.items() if value is not None}
    server, [request] = play(locate(oauth, "", HERE, SETTINGS), answer(200, left))
    assert request.url == f"{ISSUER}/.well-known/openid-configuration"
    assert server is not None
    return server


def signed_in(server: Server, query: str = "state=s&code=c", scope: Any = "openid", **change: Any) -> Tokens:
    oauth = configured().oauth
    assert oauth is not None
    visit = SignIn(
        verifier="v" * 43, nonce="n-0S6", redirect_uri="https://bridge.example/cb", scopes=oauth.scopes, server=server
    )
    raw = jwt.encode({"alg": "RS256"}, {**SAID, **change}, RSA, algorithms=["RS256"])
    body = {"access_token": "theirs", "token_type": "Bearer", "id_token": raw, "scope": scope}
    talk = exchange(oauth, visit, callback(query), SETTINGS, NOW)
    tokens, _ = play(talk, answer(200, body), answer(keys=[RSA.as_dict(private=False)]))
    assert lacking(oauth, tokens, oauth.scopes) == ()
    return tokens


@pytest.mark.parametrize("scope", ["openid", "https://www.googleapis.com/auth/userinfo.email", "", None])
def test_a_provider_is_found_by_its_issuer_and_believed_by_its_keys(scope: Any) -> None:
    tokens = signed_in(found(), scope=scope)
    assert tokens.claims["groups"] == ["member"]
    assert tokens.server is not None
    assert tokens.server.userinfo_url == "https://id.example/userinfo"


def test_a_provider_under_another_name_is_the_operators_to_mend() -> None:
    with pytest.raises(Misconfigured):
        found(issuer=ISSUER + "/")


def test_who_promises_to_name_itself_must() -> None:
    careful = found(authorization_response_iss_parameter_supported=True)
    signed_in(careful, f"state=s&code=c&iss={ISSUER}")
    for query in ("state=s&code=c", "state=s&code=c&iss=https://evil.example"):
        with pytest.raises(IssuerMismatch):
            signed_in(careful, query)


@pytest.mark.parametrize("change", [{"iss": "https://evil.example"}, {"aud": "other"}, {"nonce": "x"}, {"exp": 1}])
def test_a_word_about_another_sign_in_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SignInRefused):
        signed_in(found(), **change)


def test_the_scopes_are_the_operators_and_openid_always_one() -> None:
    for scopes, expected in (
        ("profile email", ("openid", "profile", "email")),
        ("groups openid  groups", ("openid", "groups")),
        ("", ("openid",)),
    ):
        one = configured(scopes=scopes)
        way = one.checks["member"].way(SETTINGS)
        assert one.oauth is not None
        assert way is not None
        assert wanted(one.oauth, way) == expected
        assert not way.keep
    assert configured(title="Is in the club").actions["member"].title == "Is in the club"
    assert source.door({"issuer": ISSUER, "client_id": "client"}) is None


def test_a_token_is_given_back_where_the_provider_takes_it() -> None:
    oauth = configured().oauth
    assert oauth is not None
    gone, [request] = play(revoke(oauth, signed_in(found()), SETTINGS), Response(200))
    assert gone
    assert request.url == "https://id.example/revoke"
    assert not play(revoke(oauth, signed_in(found(revocation_endpoint=None)), SETTINGS))[0]


# --- who ------------------------------------------------------------------------------------------------------------


def who(*answers: Response, server: Server | None = None, **claims: Any) -> tuple[Account, list[Request]]:
    assert source.whoami is not None
    left = {name: value for name, value in {"iss": ISSUER, "sub": "42", **claims}.items() if value is not None}
    return play(source.whoami(Tokens(access="theirs", claims=left, server=server), SETTINGS), *answers)


ASKED = Server(userinfo_url="https://id.example/userinfo")


def test_who_signed_in_is_known_by_issuer_and_subject() -> None:
    account, _ = who(preferred_username="ann", email="ann@example.com", email_verified=True, groups=["member"])
    assert (account.id, account.handle) == ("https://id.example/realm#42", "ann")
    assert (account.email, account.email_verified) == ("ann@example.com", True)
    assert account.claims["groups"] == ["member"]
    elsewhere, _ = who(iss="https://other.example")
    assert (elsewhere.id, elsewhere.handle) == ("https://other.example#42", "42")


@pytest.mark.parametrize("verified", ["true", 1, None, False, ["true"]])
def test_only_true_is_verified(verified: Any) -> None:
    account, _ = who(email="a@b.c", email_verified=verified, phone_number="+1", phone_number_verified=verified)
    assert (account.email_verified, account.phone_verified) == (False, False)


def test_userinfo_adds_what_the_id_token_leaves_out_and_changes_nothing_in_it() -> None:
    more = answer(sub="42", groups=["member"], preferred_username="eve", email_verified=True)
    account, [request] = who(more, server=ASKED, preferred_username="ann", email_verified=False)
    assert (account.handle, account.email_verified) == ("ann", False)
    assert account.claims["groups"] == ["member"]
    assert (request.url, request.headers) == ("https://id.example/userinfo", {"Authorization": "Bearer theirs"})


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(answer(sub="7", groups=["member"]), id="about somebody else"),
        pytest.param(answer(groups=["member"]), id="about nobody"),
        pytest.param(answer(sub=42), id="about a number"),
        pytest.param(answer(200, []), id="a list"),
        pytest.param(answer(201, sub="42"), id="another success than 200"),
        pytest.param(answer(401, error="invalid_token"), id="401"),
        pytest.param(answer(403, error="insufficient_scope"), id="403"),
        pytest.param(Response(429), id="429"),
        pytest.param(Response(500), id="500"),
        pytest.param(Response(200, b"<html>"), id="a page"),
        pytest.param(Response(200, b"eyJhbGciOiJub25lIn0.e30."), id="a JWT, which is not asked for"),
    ],
)
def test_userinfo_that_does_not_speak_of_who_signed_in_is_not_believed(response: Response) -> None:
    with pytest.raises(Unavailable):
        who(response, server=ASKED)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": None}, {"sub": ""}, {"sub": 42}, {"iss": None}, {"iss": ["x"]}, {"sub": "a\u0000b"}, {"sub": "x" * 600},
        {"name": "a\nb"}, {"email": "a\u2028b"},
    ],
)  # fmt: skip
def test_nobody_is_guessed(claims: dict[str, Any]) -> None:
    with pytest.raises(Unavailable):
        who(**claims)


# --- the proof ------------------------------------------------------------------------------------------------------


def judged(proof: str, claims: dict[str, Any], **change: Any) -> Answer:
    ask = replace(ASK, account=replace(ANN, claims=claims), settings={**SETTINGS, "proof": proof}, **change)
    way = source.checks["member"].way(ask.settings)
    assert way is not None
    found, requests = play(way.ask(ask))
    assert not requests
    return found


DEEP: Any = True
for _ in range(800):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("proof", "claims", "result"),
    [
        pytest.param("'member' in claims.groups", {"groups": ["member"]}, "verified", id="is in the group"),
        pytest.param("'member' in claims.groups", {"groups": ["other"]}, "not_found", id="is in another"),
        pytest.param("'member' in claims.groups", {"groups": []}, "not_found", id="is in none"),
        pytest.param("'member' in claims.groups", {"sub": "42"}, "unknown", id="no groups are told"),
        pytest.param("'member' in claims.groups", {"groups": None}, "unknown", id="null"),
        pytest.param("'member' in claims.groups", {"groups": "member"}, "unknown", id="a text in place of a list"),
        pytest.param("claims.vip", {"vip": True}, "verified", id="true"),
        pytest.param("claims.vip", {"vip": False}, "not_found", id="false"),
        pytest.param("claims.vip", {"vip": "true"}, "unknown", id="the word true"),
        pytest.param("claims.vip", {"vip": 1}, "unknown", id="one"),
        pytest.param("claims.vip", {"vip": None}, "unknown", id="neither"),
        pytest.param("claims.level >= 3", {"level": 4}, "verified", id="a number"),
        pytest.param("claims.level >= 3", {"level": "4"}, "unknown", id="a number as text"),
        pytest.param("claims['https://x/roles'].exists(r, r == 'a')", {"https://x/roles": ["a"]}, "verified", id="url"),
        pytest.param("has(claims.vip) && claims.vip", {"sub": "42"}, "not_found", id="the operator says: absent is no"),
        pytest.param("claims.vip", {}, "unknown", id="no claims"),
        pytest.param("", {"vip": True}, "unknown", id="no proof"),
        pytest.param("claims.", {"vip": True}, "unknown", id="no expression"),
        pytest.param("claims.n == 1", {"n": 10**30}, "unknown", id="a number beyond 64 bits"),
        pytest.param("claims.vip", {"vip": True, "s": "\ud800"}, "unknown", id="half a character"),
        pytest.param("claims.vip", {"vip": DEEP}, "unknown", id="nested deeply"),
    ],
)
def test_absent_or_no_yes_or_no_is_unknown(proof: str, claims: dict[str, Any], result: str) -> None:
    found = judged(proof, claims)
    assert found.result == result
    assert (found.evidence is not None) == (result == "verified")
    assert found.note or result == "verified"


def test_claims_come_with_a_sign_in_alone() -> None:
    assert judged("claims.vip", {}).obstacle == "reconnect"
    assert source.checks["member"].once
    assert not source.rechecks


def test_the_form_of_the_key_has_paid_and_never_changes() -> None:
    facts = {"handle": "ann"}
    for subject, change in ((ISSUER, {}), ("club", {"subject": "club"})):
        expected = Evidence(
            action="member",
            key=f"{subject}:https://id.example/realm#42",
            account="https://id.example/realm#42",
            subject=subject,
            facts=facts,
        )
        assert judged("claims.vip", {"vip": True}, **change).evidence == expected
    named = replace(ASK, settings={**SETTINGS, "subject": "club"})
    way = source.checks["member"].way(named.settings)
    assert way is not None
    assert play(way.ask(named))[0].evidence == expected


@pytest.mark.parametrize("proof", ["claims.", "claim.vip", "'member'", "1 + 1", "x" * 3000, ""])
def test_a_proof_that_is_none_is_a_fault(proof: str) -> None:
    [setting] = [one for one in source.settings if one.name == "proof"]
    assert setting.fault is not None
    assert setting.fault(proof)
    assert not setting.fault(setting.example)


def test_where_it_is_done() -> None:
    page = source.checks["member"].page
    assert page is not None
    assert [page(SETTINGS, ANN), page({}, None), page({"page": "javascript:x"}, None)] == [
        "https://club.example/join",
        "",
        "",
    ]
