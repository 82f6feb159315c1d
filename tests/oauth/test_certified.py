"""Whole sign-ins at a certified OpenID provider that insists on PKCE: its pages, its codes, its refusals.

https://github.com/panva/node-oidc-provider, certified by the OpenID Foundation.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from bridge.kit import (
    ConsentDenied,
    Disconnected,
    IdToken,
    IssuerMismatch,
    Misconfigured,
    OAuth,
    Server,
    SignInRefused,
)
from bridge.kit.oauth import callback, lacking
from bridge.kit.openid import discover

from .conftest import HOME, VERIFIER, Flow, Opened, Servers, now

OIDC = OAuth(scopes=("openid", "email"), id_token=IdToken(algorithms=("RS256", "ES256", "EdDSA", "HS256")))
#: The provider gives refresh tokens for one scope, and asks for it every time.
KEEPING = replace(OIDC, scopes=(*OIDC.scopes, "offline_access"), keep_params={"prompt": "consent"})


async def at(servers: Servers, opened: Opened, client: str = "rsa", oauth: OAuth = OIDC) -> Flow:
    flow = opened(oauth, Server(), client)
    found = await flow.hold(discover(servers.certified))
    # The last is registered to send its secret in the form, which the provider takes as well.
    flow.sign_in = replace(flow.sign_in, server=replace(found, client_auth="post") if client == "shared" else found)
    return flow


async def through(flow: Flow, who: str = "ann", *, keep: bool = False) -> Flow:
    """Through the login page and the consent page, as people go."""
    await flow.out(keep=keep)
    await flow.browser.press("Sign-in", login=who, password="any")
    await flow.browser.press("Continue")
    return flow


@pytest.fixture
async def flow(servers: Servers, opened: Opened) -> Flow:
    return await at(servers, opened)


@pytest.mark.parametrize("client", ["rsa", "ec", "ed", "shared"])
async def test_a_whole_sign_in(servers: Servers, opened: Opened, client: str) -> None:
    flow = await through(await at(servers, opened, client))
    returned = flow.back()
    assert (returned.state, returned.iss) == (flow.state, servers.certified)
    tokens = await flow.tokens(returned)
    assert lacking(OIDC, tokens, OIDC.scopes) == ()
    assert (tokens.claims["sub"], tokens.claims["aud"]) == ("ann", client)
    assert tokens.expires_at is not None
    assert tokens.expires_at > now()
    status, who = await flow.userinfo(tokens)
    assert (status, who) == (200, {"sub": "ann", "email": "ann@example.com", "email_verified": True})


async def test_it_describes_itself_as_the_kit_reads_it(flow: Flow, servers: Servers) -> None:
    assert flow.server.issuer == servers.certified
    assert flow.server.sends_iss
    for place in (flow.server.authorize_url, flow.server.token_url, flow.server.revoke_url, flow.server.jwks_url):
        assert place.startswith(servers.certified)


@pytest.mark.parametrize("other", ["localhost", "127.1"])
async def test_a_name_that_is_not_quite_its_own(flow: Flow, servers: Servers, other: str) -> None:
    with pytest.raises(Misconfigured, match="describes itself as http://127"):
        await flow.hold(discover(servers.certified.replace("127.0.0.1", other)))


async def test_it_insists_on_pkce(flow: Flow) -> None:
    flow.oauth = replace(OIDC, pkce=False)
    await flow.out()
    returned = flow.back()
    assert (returned.error, returned.code) == ("invalid_request", "")
    assert "PKCE" in returned.description
    with pytest.raises(SignInRefused):
        await flow.tokens(returned)


async def test_a_wrong_verifier(flow: Flow) -> None:
    await through(flow)
    with pytest.raises(SignInRefused, match="invalid_grant"):
        await flow.tokens(flow.back(), verifier=VERIFIER[::-1])


async def test_a_code_that_was_used(flow: Flow) -> None:
    returned = (await through(flow)).back()
    tokens = await flow.tokens(returned)
    with pytest.raises(SignInRefused, match="invalid_grant"):
        await flow.tokens(returned)
    assert (await flow.userinfo(tokens))[0] == 401  # it ends what came of the code


async def test_a_code_for_another_client(servers: Servers, opened: Opened, flow: Flow) -> None:
    returned = (await through(flow)).back()
    other = await at(servers, opened, "ec")
    with pytest.raises(SignInRefused, match="invalid_grant"):
        await other.tokens(returned)


async def test_another_way_back_when_codes_become_tokens(flow: Flow) -> None:
    await through(flow)
    with pytest.raises(SignInRefused, match="invalid_grant"):
        await flow.tokens(flow.back(), redirect_uri=HOME + "/")


@pytest.mark.parametrize("end", ["/", "?x=1", "/../callback", "#x"])
async def test_a_way_back_that_is_not_registered_leads_nowhere(flow: Flow, end: str) -> None:
    flow.sign_in = replace(flow.sign_in, redirect_uri=HOME + end)
    await flow.out()
    assert flow.browser.status == 400
    assert "redirect_uri" in flow.browser.text


async def test_the_customer_turns_back(flow: Flow) -> None:
    await flow.out()
    await flow.browser.open(flow.browser.page.links["[ Cancel ]"])
    returned = flow.back()
    assert (returned.state, returned.error) == (flow.state, "access_denied")
    with pytest.raises(ConsentDenied):
        await flow.tokens(returned)


@pytest.mark.parametrize("iss", [None, "https://evil.example", "{own}/", ""])
async def test_an_answer_from_somebody_else(flow: Flow, servers: Servers, iss: str | None) -> None:
    await through(flow)
    given = dict(parse_qsl(urlsplit(flow.browser.url).query))
    assert given.pop("iss") == servers.certified
    if iss is not None:
        given["iss"] = iss.format(own=servers.certified)
    with pytest.raises(IssuerMismatch):
        await flow.tokens(callback(urlencode(given)))


async def test_an_id_token_of_another_visit(flow: Flow) -> None:
    await through(flow)
    with pytest.raises(SignInRefused, match="nonce"):
        await flow.tokens(flow.back(), nonce="of-another-visit")


async def test_a_wrong_secret_is_the_operators(flow: Flow) -> None:
    await through(flow)
    flow.settings["client_secret"] = "wrong"
    with pytest.raises(Misconfigured, match="invalid_client"):
        await flow.tokens(flow.back())


async def test_a_scope_it_does_not_know_is_not_given(servers: Servers, opened: Opened) -> None:
    flow = await at(servers, opened, oauth=replace(OIDC, scopes=("openid", "follows")))
    tokens = await flow.tokens((await through(flow)).back())
    assert lacking(OIDC, tokens, flow.sign_in.scopes) == ("follows",)


async def test_who_is_signed_in_and_has_allowed_is_not_asked_again(flow: Flow) -> None:
    first = await flow.tokens((await through(flow)).back())
    await flow.out()
    second = await flow.tokens(flow.back())
    assert first.claims["sub"] == second.claims["sub"]
    assert first.access != second.access


async def test_tokens_are_renewed_once_each(servers: Servers, opened: Opened) -> None:
    flow = await at(servers, opened, oauth=KEEPING)
    tokens = await flow.tokens((await through(flow, keep=True)).back())
    fresh = await flow.refreshed(tokens)
    assert fresh.refresh not in ("", tokens.refresh)
    assert (fresh.claims, fresh.scopes) == (tokens.claims, tokens.scopes)
    assert (await flow.userinfo(fresh))[0] == 200
    with pytest.raises(Disconnected):
        await flow.refreshed(tokens)
    with pytest.raises(Disconnected):  # whoever showed an old one ended them all
        await flow.refreshed(fresh)


async def test_tokens_are_given_back(servers: Servers, opened: Opened) -> None:
    flow = await at(servers, opened, oauth=KEEPING)
    tokens = await flow.tokens((await through(flow, keep=True)).back())
    assert await flow.revoked(tokens) is True
    assert (await flow.userinfo(tokens))[0] == 401
    with pytest.raises(Disconnected):
        await flow.refreshed(tokens)
    assert await flow.revoked(tokens) is True  # RFC 7009 2.2: a token it does not know is gone as well
