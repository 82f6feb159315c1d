"""Sign-ins at an OpenID server that does as it is told: answers that are wrong in one thing each.

https://github.com/axa-group/oauth2-mock-server. Real keys, real signatures, real HTTP: what is refused here was
refused for the one thing that is wrong with it, because the same answer without it is taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bridge.kit import (
    BridgeError,
    Disconnected,
    IdToken,
    Misconfigured,
    OAuth,
    Server,
    SignInRefused,
    StateMismatch,
    Unavailable,
)
from bridge.kit.openid import discover

from .conftest import Flow, Opened, Servers

OIDC = OAuth(scopes=("openid", "follows"), id_token=IdToken())
WELL_KNOWN = "/.well-known/openid-configuration"


@pytest.fixture
async def flow(servers: Servers, opened: Opened) -> AsyncIterator[Flow]:
    servers.tell()
    flow = opened(OIDC, Server(), "bridge")
    flow.sign_in = replace(flow.sign_in, server=await flow.hold(discover(servers.told)))
    yield flow
    servers.tell()


async def test_told_nothing_it_does_what_is_right(flow: Flow) -> None:
    await flow.out()
    tokens = await flow.tokens(flow.back())
    assert (tokens.claims["sub"], tokens.claims["nonce"]) == ("johndoe", flow.sign_in.nonce)


RIGHT: dict[str, dict[str, Any]] = {
    "a minute of another clock": {"claims": {"iat": 60, "nbf": 60}},
    "over since a minute": {"claims": {"exp": -60}},
    "ours among the audiences": {"claims": {"aud": ["bridge", "other"], "azp": "bridge"}},
    "no time before which it is not good": {"claims": {"nbf": None}},
}


@pytest.mark.parametrize("told", RIGHT.values(), ids=RIGHT)
async def test_what_is_odd_and_right(flow: Flow, servers: Servers, told: dict[str, Any]) -> None:
    servers.tell(**told)
    await flow.out()
    assert (await flow.tokens(flow.back())).claims["sub"] == "johndoe"


FORGED: dict[str, dict[str, Any]] = {
    "for another": {"claims": {"aud": "another"}},
    "for another, asked by us": {"claims": {"aud": "another", "azp": "bridge"}},
    "for two others, asked by us": {"claims": {"aud": ["another", "other"], "azp": "bridge"}},
    "for nobody": {"claims": {"aud": []}},
    "for two, and the other asked": {"claims": {"aud": ["bridge", "other"], "azp": "other"}},
    "of another visit": {"claims": {"nonce": "of-another-visit"}},
    "of no visit": {"claims": {"nonce": None}},
    "over": {"claims": {"exp": -3600, "iat": -7200}},
    "without an end": {"claims": {"exp": None}},
    "not yet": {"claims": {"nbf": 3600}},
    "made tomorrow": {"claims": {"iat": 86400}},
    "from another": {"claims": {"iss": "https://evil.example"}},
    "from nobody": {"claims": {"iss": None}},
    "about nobody": {"claims": {"sub": None}},
    "about another token": {"claims": {"at_hash": "of-another-token"}},
    "not signed": {"forge": "none"},
    "signed by a stranger": {"forge": "stranger"},
    "changed afterwards": {"forge": "changed"},
    "no token at all": {"answer": {"id_token": "not.a.token"}},
    "too long": {"answer": {"id_token": "e30." + "A" * 20_000 + ".x"}},
}


@pytest.mark.parametrize("told", FORGED.values(), ids=FORGED)
async def test_an_id_token_that_proves_nothing(flow: Flow, servers: Servers, told: dict[str, Any]) -> None:
    servers.tell(**told)
    await flow.out()
    with pytest.raises(SignInRefused, match="id_token"):
        await flow.tokens(flow.back())


PAGE = {"status": 200, "type": "text/html", "body": "<!doctype html><title>Just a moment</title>"}
BROKEN: dict[str, dict[str, Any]] = {
    "no token": {"answer": {"access_token": None}},
    "an empty token": {"answer": {"access_token": ""}},
    "a token that is none": {"answer": {"access_token": {"a": 1}}},
    "a token that no header can carry": {"answer": {"access_token": "a\r\nb"}},
    "a token of another kind": {"answer": {"token_type": "mac"}},
    "no id_token": {"answer": {"id_token": None}},
    "an error inside 200": {"body": {"error": "server_error"}},
    "an error nobody knows": {"body": {"error": "perhaps"}},
    "an error as an object": {"body": {"error": {"type": "OAuthException", "message": "no", "code": 1}}},
    "an empty object": {"body": {}},
    "no object": {"body": ["ok"]},
    "nothing but null": {"body": None},
    "400 without a word": {"body": {"error_message": "Matching code was not found"}, "status": 400},
    "429": {"body": {"error": "slow_down"}, "status": 429},
    "500": {"body": {"error": "invalid_grant"}, "status": 500},
    "a page": {"instead": {"/token": PAGE}},
    "a page with 502": {"instead": {"/token": {**PAGE, "status": 502}}},
    "keys that are a page": {"instead": {"/jwks": PAGE}},
    "keys that are not there": {"instead": {"/jwks": {"status": 500, "type": "application/json", "body": "{}"}}},
    "keys that are none": {"instead": {"/jwks": {"status": 200, "type": "application/json", "body": "[]"}}},
}


@pytest.mark.parametrize("told", BROKEN.values(), ids=BROKEN)
async def test_an_answer_without_what_was_asked_for(flow: Flow, servers: Servers, told: dict[str, Any]) -> None:
    """Nothing is known about the customer then: it can be tried again, and it is nobody's refusal."""
    servers.tell(**told)
    await flow.out()
    returned = flow.back()
    with pytest.raises(Unavailable) as failure:
        await flow.tokens(returned)
    assert not isinstance(failure.value, SignInRefused | Misconfigured)


SAID: dict[str, tuple[type[BridgeError], dict[str, Any]]] = {
    "refused inside 200": (SignInRefused, {"body": {"error": "bad_verification_code"}}),
    "refused": (SignInRefused, {"body": {"error": "invalid_grant"}, "status": 400}),
    "a wrong client inside 200": (Misconfigured, {"body": {"error": "incorrect_client_credentials"}}),
    "a wrong client": (Misconfigured, {"body": {"error": "invalid_client"}, "status": 401}),
}


@pytest.mark.parametrize(("error", "told"), SAID.values(), ids=SAID)
async def test_a_refusal_has_its_own_word(
    flow: Flow, servers: Servers, error: type[BridgeError], told: dict[str, Any]
) -> None:
    servers.tell(**told)
    await flow.out()
    with pytest.raises(error):
        await flow.tokens(flow.back())


@pytest.mark.parametrize("name", ["state", "code", "iss"])
async def test_a_way_back_with_two_of_one(flow: Flow, servers: Servers, name: str) -> None:
    servers.tell(callback={name: "another"} if name != "iss" else {"iss": "one"})
    await flow.out()
    if name == "iss":
        flow.browser.url += "&iss=two"
    with pytest.raises(StateMismatch, match="more than once"):
        flow.back()


async def test_a_way_back_without_a_state(flow: Flow, servers: Servers) -> None:
    servers.tell(callback={"state": None})
    await flow.out()
    with pytest.raises(StateMismatch):
        flow.back()


async def test_a_way_back_without_a_code(flow: Flow, servers: Servers) -> None:
    servers.tell(callback={"code": None})
    await flow.out()
    with pytest.raises(SignInRefused, match="neither a code nor an error"):
        await flow.tokens(flow.back())


async def test_an_error_beside_a_code(flow: Flow, servers: Servers) -> None:
    servers.tell(callback={"error": "access_denied"})
    await flow.out()
    with pytest.raises(BridgeError) as refused:
        await flow.tokens(flow.back())
    assert refused.value.reason == "consent_denied"


async def test_a_refresh_that_is_refused_and_one_that_cannot_be_asked(flow: Flow, servers: Servers) -> None:
    await flow.out()
    tokens = await flow.tokens(flow.back())
    servers.tell(body={"error": "invalid_grant"}, status=400)
    with pytest.raises(Disconnected):
        await flow.refreshed(tokens)
    for told in ({"answer": {"access_token": None}}, {"instead": {"/token": PAGE}}, {"body": {}, "status": 503}):
        servers.tell(**told)
        with pytest.raises(Unavailable):
            await flow.refreshed(tokens)
    servers.tell(answer={"refresh_token": None, "scope": None})
    fresh = await flow.refreshed(tokens)
    assert (fresh.refresh, fresh.scopes) == (tokens.refresh, tokens.scopes)


DESCRIBED: dict[str, tuple[type[BridgeError], dict[str, Any]]] = {
    "another issuer": (Misconfigured, {"body": '{"issuer": "https://evil.example"}'}),
    "no doors": (Misconfigured, {"body": '{"issuer": "{own}"}'}),
    "a page": (Unavailable, {"body": "<!doctype html>"}),
    "an outage": (Unavailable, {"status": 503}),
    "another place": (Unavailable, {"status": 302}),
}


@pytest.mark.parametrize(("error", "told"), DESCRIBED.values(), ids=DESCRIBED)
async def test_a_description_that_is_none(
    flow: Flow, servers: Servers, error: type[BridgeError], told: dict[str, Any]
) -> None:
    answer = {"status": 200, "type": "application/json", "body": "{}", **told}
    answer["body"] = answer["body"].replace("{own}", servers.told)
    servers.tell(instead={WELL_KNOWN: answer})
    with pytest.raises(error):
        await flow.hold(discover(servers.told))
