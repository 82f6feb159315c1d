"""Whole sign-ins at an OpenID provider written in Python, which insists on PKCE and has never heard of Authlib."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bridge.kit import Disconnected, IdToken, IssuerMismatch, Misconfigured, OAuth, Server, SignInRefused
from bridge.kit.oauth import lacking
from bridge.kit.openid import discover

from .conftest import HERE, HOME, SECRET, VERIFIER, Flow, Opened, line_of, stopped

pytest.importorskip("idpyoidc", reason="needs idpyoidc, which the test extra brings")

OIDC = OAuth(scopes=("openid", "email"), id_token=IdToken())
KEEPING = replace(OIDC, scopes=(*OIDC.scopes, "offline_access"), keep_params={"prompt": "consent"})


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.oauth.idpy", HOME, SECRET],
        cwd=HERE.parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield str(line_of(process)["issuer"])
    finally:
        stopped(process)


async def at(issuer: str, opened: Opened, client: str = "rsa", oauth: OAuth = OIDC) -> Flow:
    flow = opened(oauth, Server(), client)
    found = await flow.hold(discover(issuer))
    # It does not decode what RFC 6749 2.3.1 has encoded, so an odd secret goes in the form.
    flow.sign_in = replace(flow.sign_in, server=replace(found, client_auth="post"))
    return flow


async def through(flow: Flow, *, keep: bool = False) -> Flow:
    await flow.out(keep=keep)
    await flow.browser.press("Sign in", username="ann", password="any")
    return flow


@pytest.mark.parametrize("client", ["rsa", "ec"])
async def test_a_whole_sign_in(issuer: str, opened: Opened, client: str) -> None:
    flow = await through(await at(issuer, opened, client))
    returned = flow.back()
    assert (returned.state, returned.iss) == (flow.state, issuer)
    tokens = await flow.tokens(returned)
    assert lacking(OIDC, tokens, OIDC.scopes) == ()
    assert tokens.claims["aud"] == [client]
    status, who = await flow.userinfo(tokens)
    assert (status, who["email"], who["sub"]) == (200, "ann@example.com", tokens.claims["sub"])


async def test_it_insists_on_pkce(issuer: str, opened: Opened) -> None:
    flow = await at(issuer, opened, oauth=replace(OIDC, pkce=False))
    await flow.out()
    returned = flow.back()
    assert (returned.error, returned.description) == ("invalid_request", "Missing required code_challenge")


async def test_a_wrong_verifier_and_a_code_that_was_used(issuer: str, opened: Opened) -> None:
    flow = await through(await at(issuer, opened))
    with pytest.raises(SignInRefused, match="invalid_grant: PKCE"):
        await flow.tokens(flow.back(), verifier=VERIFIER[::-1])
    await flow.tokens(flow.back())
    with pytest.raises(SignInRefused, match="invalid_grant"):
        await flow.tokens(flow.back())


async def test_a_way_back_that_is_not_registered(issuer: str, opened: Opened) -> None:
    flow = await at(issuer, opened)
    flow.sign_in = replace(flow.sign_in, redirect_uri=HOME + "/")
    await flow.out()
    assert flow.browser.status == 400
    flow.sign_in = replace(flow.sign_in, redirect_uri=HOME)
    await through(flow)
    with pytest.raises(SignInRefused):
        await flow.tokens(flow.back(), redirect_uri=HOME + "/")


async def test_an_answer_from_somebody_else(issuer: str, opened: Opened) -> None:
    flow = await through(await at(issuer, opened))
    flow.browser.url = flow.browser.url.replace("iss=http%3A%2F%2F127.0.0.1", "iss=http%3A%2F%2F127.0.0.2")
    with pytest.raises(IssuerMismatch):
        await flow.tokens(flow.back())


async def test_an_id_token_of_another_visit(issuer: str, opened: Opened) -> None:
    flow = await through(await at(issuer, opened))
    with pytest.raises(SignInRefused, match="nonce"):
        await flow.tokens(flow.back(), nonce="of-another-visit")


async def test_a_wrong_secret_is_the_operators(issuer: str, opened: Opened) -> None:
    flow = await through(await at(issuer, opened))
    flow.settings["client_secret"] = "wrong"
    with pytest.raises(Misconfigured):
        await flow.tokens(flow.back())


async def test_tokens_are_renewed_and_given_back(issuer: str, opened: Opened) -> None:
    flow = await through(await at(issuer, opened, oauth=KEEPING), keep=True)
    tokens = await flow.tokens(flow.back())
    fresh = await flow.refreshed(tokens)
    assert fresh.access != tokens.access
    assert (await flow.userinfo(fresh))[0] == 200
    assert await flow.revoked(fresh) is True
    assert (await flow.userinfo(fresh))[0] == 401
    with pytest.raises(Disconnected):
        await flow.refreshed(fresh)
