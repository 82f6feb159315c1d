"""The stand-in platform, as people see it, as the bridge's own source meets it, and on its bad days."""

import json
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bridge.kit import (
    Account,
    Ask,
    ConsentDenied,
    Disconnected,
    Misconfigured,
    SignIn,
    SignInRefused,
    Unavailable,
    wanted,
)
from bridge.kit.oauth import begin, callback, exchange, lacking, refresh, revoke
from bridge.sandbox.platform import Application, People, platform
from bridge.sandbox.serving import serving
from bridge.sandbox.twitch import EventSub, sign
from bridge.talk import Talker, Transport
from providers import SOURCES
from tests.oauth.browsing import Browser

TWITCH = SOURCES["twitch"]
OAUTH = TWITCH.oauth
HOME = "http://127.0.0.1:9/connect/twitch/callback"
SHOP = Application("shop-client", "shop-secret", "The Mug Shop", (HOME,))
STRICT = Application("strict-client", "strict-secret", "The Strict Shop", (HOME,), pkce=True)
STATE = "a state/with+odd &characters=ü"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


@pytest.fixture
def people(clock):
    made = People(clock)
    made.join("EnamelMugs", id="1337")
    for name in ("Ann", "Ben"):
        made.join(name)
    made.join("Cleo", private=True)
    return made


@pytest.fixture
def app(people, client):
    return platform(people, SHOP, STRICT, client=client, pauses=())


@pytest.fixture
async def url(app):
    async with serving(app) as address:
        yield address


@pytest.fixture
async def browser():
    async with httpx2.AsyncClient(timeout=5) as made:
        yield Browser(made, HOME)


@pytest.fixture
def settings(url):
    return {
        "client_id": SHOP.client_id,
        "client_secret": SHOP.client_secret,
        "channel_id": "1337",
        "api_url": f"{url}/helix",
        **{f"{name}_url": f"{url}/oauth2/{name}" for name in ("authorize", "token", "revoke")},
    }


@pytest.fixture
async def hold(clock):
    transport = Transport(lambda: True)
    talker = Talker(transport, clock, "bridge-tests")
    yield lambda talk: talker.hold(talk, within=timedelta(seconds=5))
    await transport.aclose()


def sign_in(*scopes, oauth=OAUTH):
    return SignIn(verifier=VERIFIER, nonce="n", redirect_uri=HOME, scopes=scopes)


def query(address):
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


class Visit:
    """A customer who goes to the platform and comes back."""

    def __init__(self, browser, hold, settings, clock):
        self.browser, self.hold, self.settings, self.clock = browser, hold, settings, clock
        self.asked = sign_in("user:read:follows")

    async def out(self, who="Ann", **how):
        address = await self.hold(begin(OAUTH, self.asked, STATE, self.settings, self.clock(), **how))
        await self.browser.open(address)
        if "Sign in" in self.browser.text and who:
            await self.browser.press(who)
        return self.browser

    async def back(self, button="Allow", **how):
        return callback(urlsplit(await self.browser.press(button, **how)).query)

    async def tokens(self, returned):
        return await self.hold(exchange(OAUTH, self.asked, returned, self.settings, self.clock()))

    async def whole(self, who="Ann"):
        await self.out(who)
        return await self.tokens(await self.back())


@pytest.fixture
def visit(browser, hold, settings, clock):
    return Visit(browser, hold, settings, clock)


async def state(client, url):
    return (await client.get(f"{url}/sandbox/state")).json()


# --- the bridge's own source, whole -----------------------------------------------------------------------------------


async def test_from_signing_in_to_the_follow_and_back(visit, hold, settings, clock, url, client):
    asked = wanted(OAUTH, TWITCH.checks["follow"].way(settings))
    assert tuple(asked) == ("user:read:follows",)
    tokens = await visit.whole()
    assert lacking(OAUTH, tokens, asked) == ()
    assert tokens.expires_at == clock() + timedelta(hours=4)
    ann = await hold(TWITCH.whoami(tokens, settings))
    assert (ann.handle, ann.created_at) == ("ann", clock())

    def follow():
        ask = Ask(account=ann, settings=settings, now=clock(), tokens=tokens)
        return hold(TWITCH.checks["follow"].way(settings).ask(ask))

    assert (await follow()).result == "not_found"
    clock.go(minutes=1)
    await visit.browser.open(f"{url}/enamelmugs")
    await visit.browser.press("Follow")
    assert "You follow EnamelMugs." in visit.browser.text
    answer = await follow()
    assert (answer.result, answer.evidence.occurred_at) == ("verified", clock())
    await visit.browser.press("Unfollow")
    assert (await follow()).result == "not_found"

    assert await hold(revoke(OAUTH, tokens, settings)) is True
    gone = await follow()
    assert (gone.result, gone.obstacle) == ("unknown", "reconnect")
    assert [one["state"] for one in (await state(client, url))["tokens"]] == ["revoked", "good"]


async def test_the_brand_signs_in_and_sees_who_follows(visit, hold, settings, clock, url, people):
    visit.asked = sign_in("moderator:read:followers")
    brands = {**settings, "broadcaster_token": (await visit.whole("EnamelMugs")).access}
    ann = people.named("ann")

    async def ask():
        way = TWITCH.checks["follow"].way(brands)
        who = Account(id=ann.id, handle="ann")
        return (await hold(way.ask(Ask(account=who, settings=brands, now=clock())))).result

    assert await ask() == "not_found"
    people.follow(people.named("ben"), people.named("enamelmugs"))
    assert await ask() == "not_found"
    people.follow(ann, people.named("enamelmugs"))
    assert await ask() == "verified"
    # Any other token sees the number and nobody: that is "unknown", and never "does not follow".
    visit.asked = sign_in()
    await visit.browser.open(f"{url}/")
    brands["broadcaster_token"] = (await Visit(visit.browser, hold, settings, clock).whole("Ann")).access
    people.unfollow(ann, people.named("enamelmugs"))
    assert await ask() == "unknown"


async def test_a_subscription(visit, hold, settings, clock, url):
    visit.asked = sign_in("user:read:subscriptions")
    tokens = await visit.whole()
    ann = await hold(TWITCH.whoami(tokens, settings))

    async def ask():
        way = TWITCH.checks["subscribe"].way(settings)
        return await hold(way.ask(Ask(account=ann, settings=settings, now=clock(), tokens=tokens)))

    assert (await ask()).result == "not_found"
    await visit.browser.open(f"{url}/enamelmugs")
    await visit.browser.press("Subscribe")
    assert (await ask()).evidence.facts == {"login": "ann", "tier": "1000", "is_gift": False}
    await visit.browser.press("End the subscription")
    assert (await ask()).result == "not_found"


# --- consent ----------------------------------------------------------------------------------------------------------


async def test_the_state_comes_back_as_it_went(visit):
    await visit.out()
    assert "The Mug Shop wants to use your account" in visit.browser.text
    returned = await visit.back()
    assert returned.state == STATE


async def test_refused(visit):
    await visit.out()
    returned = await visit.back("Refuse")
    assert (returned.state, returned.error, returned.code) == (STATE, "access_denied", "")
    with pytest.raises(ConsentDenied):
        await visit.tokens(returned)


async def test_a_scope_unticked(visit):
    visit.asked = sign_in("user:read:follows", "user:read:subscriptions")
    await visit.out()
    tokens = await visit.tokens(await visit.back(untick=("user:read:follows",)))
    assert lacking(OAUTH, tokens, visit.asked.scopes) == ("user:read:follows",)


async def test_all_scopes_unticked_is_still_a_token(visit, hold, settings):
    await visit.out()
    tokens = await visit.tokens(await visit.back(untick=("user:read:follows",)))
    assert (await hold(TWITCH.whoami(tokens, settings))).handle == "ann"


async def test_who_has_allowed_is_not_asked_again_unless_it_is_wanted(visit):
    await visit.whole()
    assert (await visit.out()).url.startswith(HOME)
    await visit.out(again=True)
    assert visit.browser.url.startswith(visit.settings["authorize_url"])
    await visit.browser.press("Not Ann? Use another account")
    await visit.browser.press("Ben")
    assert "signed in as Ben" in visit.browser.text
    tokens = await visit.tokens(await visit.back())
    assert (await visit.hold(TWITCH.whoami(tokens, visit.settings))).handle == "ben"


async def test_a_consent_page_is_good_once_and_for_one_person(visit, browser):
    await visit.out()
    form = next(one for one in browser.page.forms if "Allow" in one.buttons)
    there = browser.url
    assert (await browser.send(form, {"press": "allow"})).startswith(HOME)
    browser.url = there
    await browser.send(form, {"press": "allow"})
    assert (browser.status, "This page is over" in browser.text) == (400, True)
    await visit.out(again=True)
    form = next(one for one in browser.page.forms if "Allow" in one.buttons)
    async with httpx2.AsyncClient() as other:
        stranger = Browser(other, HOME)
        await stranger.open(f"{urlsplit(there).scheme}://{urlsplit(there).netloc}/login")
        await stranger.press("Ben")
        await stranger.send(form, {"press": "allow"})
        assert stranger.status == 400


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"redirect_uri": HOME + "/"}, "redirect_uri does not match"),
        ({"redirect_uri": HOME + "?x=1"}, "redirect_uri does not match"),
        ({"redirect_uri": ""}, "redirect_uri does not match"),
        ({"client_id": "nobody"}, "No application is registered"),
    ],
)
async def test_whoever_cannot_be_trusted_is_not_sent_anybody(browser, url, changed, said):
    asked = {"client_id": SHOP.client_id, "redirect_uri": HOME, "response_type": "code", "scope": "", **changed}
    await browser.open(str(httpx2.URL(f"{url}/oauth2/authorize", params=asked)))
    assert (browser.status, said in browser.text) == (400, True)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "user:read:follows everything"}, "invalid_scope"),
        ({"client_id": STRICT.client_id}, "invalid_request"),
        ({"code_challenge": VERIFIER}, "invalid_request"),  # plain
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request"),
    ],
)
async def test_what_is_wrong_otherwise_is_said_on_the_way_back(browser, url, changed, word):
    asked = {"client_id": SHOP.client_id, "redirect_uri": HOME, "response_type": "code", "state": "s", **changed}
    there = query(await browser.open(str(httpx2.URL(f"{url}/oauth2/authorize", params=asked))))
    assert (there["error"], there["state"], "code" in there) == (word, "s", False)


async def test_nobody_is_led_to_another_site_by_signing_in(browser, url):
    for there in ("https://evil.test/", "//evil.test/", "/\\evil.test/", "javascript:1"):
        await browser.open(str(httpx2.URL(f"{url}/login", params={"next": there})))
        assert (await browser.press("Ann")).startswith(url)


async def test_a_form_from_another_site_does_nothing(client, url, people):
    browser = Browser(client, HOME)
    await browser.open(f"{url}/login")
    await browser.press("Ann")
    answer = await client.post(f"{url}/ben", data={"press": "follow"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert people.standing(people.named("ann"), people.named("ben")) == "none"


# --- codes and tokens -------------------------------------------------------------------------------------------------


async def test_a_code_is_good_once_and_twice_ends_what_came_of_it(visit, hold, settings):
    await visit.out()
    returned = await visit.back()
    tokens = await visit.tokens(returned)
    with pytest.raises(SignInRefused, match="Invalid authorization code"):
        await visit.tokens(returned)
    with pytest.raises(Unavailable, match="401"):
        await hold(TWITCH.whoami(tokens, settings))


async def test_a_code_is_good_for_minutes(visit, clock):
    await visit.out()
    returned = await visit.back()
    clock.go(minutes=5)
    with pytest.raises(SignInRefused):
        await visit.tokens(returned)


async def test_a_wrong_secret_is_the_operators(visit):
    await visit.out()
    returned = await visit.back()
    visit.settings["client_secret"] = "wrong"
    with pytest.raises(Misconfigured, match="invalid client secret"):
        await visit.tokens(returned)


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "x" * 43},
        {"code_verifier": ""},
        {"redirect_uri": HOME + "2"},
        {"client_id": SHOP.client_id, "client_secret": SHOP.client_secret},
    ],
)
async def test_a_code_is_for_whoever_asked(browser, client, url, changed):
    asked = {"client_id": STRICT.client_id, "redirect_uri": HOME, "response_type": "code"}
    asked |= {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "code_challenge_method": "S256"}
    await browser.open(str(httpx2.URL(f"{url}/oauth2/authorize", params=asked)))
    await browser.press("Ann")
    code = query(await browser.press("Allow"))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": HOME, "code_verifier": VERIFIER}
    form |= {"client_id": STRICT.client_id, "client_secret": STRICT.client_secret}
    answer = await client.post(f"{url}/oauth2/token", data={**form, **changed})
    assert (answer.status_code, set(answer.json())) == (400, {"status", "message"})
    assert (await client.post(f"{url}/oauth2/token", data=form)).status_code == 200


async def test_tokens_expire_and_are_renewed(visit, hold, settings, clock):
    tokens = await visit.whole()
    clock.go(hours=4)
    assert tokens.over(clock())
    with pytest.raises(Unavailable, match="401"):
        await hold(TWITCH.whoami(tokens, settings))
    fresh = await hold(refresh(OAUTH, tokens, settings, clock()))
    assert (fresh.refresh, fresh.scopes) == (tokens.refresh, tokens.scopes)
    assert (await hold(TWITCH.whoami(fresh, settings))).handle == "ann"


async def test_where_refresh_tokens_rotate_an_old_one_ends_it_all(visit, hold, settings, clock, app):
    app.grants.rotates = True
    tokens = await visit.whole()
    fresh = await hold(refresh(OAUTH, tokens, settings, clock()))
    assert fresh.refresh != tokens.refresh
    with pytest.raises(Disconnected):
        await hold(refresh(OAUTH, tokens, settings, clock()))
    with pytest.raises(Disconnected):
        await hold(refresh(OAUTH, fresh, settings, clock()))


async def test_the_customer_disconnects_the_shop(visit, hold, settings, clock, url):
    tokens = await visit.whole()
    await visit.browser.open(f"{url}/settings")
    assert "The Mug Shop" in visit.browser.text
    await visit.browser.press("Disconnect")
    assert "The Mug Shop" not in visit.browser.text
    with pytest.raises(Disconnected):
        await hold(refresh(OAUTH, tokens, settings, clock()))
    assert "wants to use your account" in (await visit.out()).text  # and is asked anew


# --- people -----------------------------------------------------------------------------------------------------------


async def test_somebody_new(browser, url):
    await browser.open(f"{url}/login")
    await browser.press("Make an account", name="a b")
    assert (browser.status, "3 to 25 letters" in browser.text) == (422, True)
    await browser.press("Make an account", name="helix")
    assert browser.status == 422
    await browser.press("Make an account", name="ANN")
    assert "taken" in browser.text
    await browser.press("Make an account", name="Dora")
    await browser.open(f"{url}/dora")
    assert "You follow" in browser.text


async def test_a_private_account_is_asked_and_answers(browser, client, url, people):
    await browser.open(f"{url}/login")
    await browser.press("Ann")
    await browser.open(f"{url}/cleo")
    await browser.press("Ask to follow")
    assert "Cleo has not answered yet" in browser.text
    ann, cleo = people.named("ann"), people.named("cleo")
    assert people.standing(ann, cleo) == "requested"
    cleos = Browser(client, HOME)
    await cleos.open(f"{url}/login")
    await cleos.press("Cleo")
    await cleos.open(f"{url}/cleo")
    await cleos.press("Approve")
    assert people.standing(ann, cleo) == "follows"


async def test_a_follower_is_told_of_by_eventsub(browser, client, url, app, people, clock):
    heard = []

    async def hook(request: Request):
        body = await request.body()
        heard.append((dict(request.headers), body))
        return PlainTextResponse(json.loads(body).get("challenge", ""))

    async with serving(Starlette(routes=[Route("/hook", hook, methods=["POST"])])) as there:
        brand = people.named("enamelmugs")
        app.listeners.add(EventSub(brand.channel, callback=f"{there}/hook", secret="s3cre77890ab", clock=clock))
        await browser.open(f"{url}/login")
        await browser.press("Ann")
        await browser.open(f"{url}/enamelmugs")
        await browser.press("Follow")
        await app.listeners.settled()
    [(headers, body)] = heard
    stamp, name = headers["twitch-eventsub-message-timestamp"], headers["twitch-eventsub-message-id"]
    assert headers["twitch-eventsub-message-signature"] == sign("s3cre77890ab", name, stamp, body)
    assert json.loads(body)["event"]["user_login"] == "ann"


async def test_webhooks_are_registered_by_api(client, url, app, people):
    async def hook(request: Request):
        return PlainTextResponse(json.loads(await request.body()).get("challenge", ""))

    own = {"client_id": SHOP.client_id, "client_secret": SHOP.client_secret, "grant_type": "client_credentials"}
    token = (await client.post(f"{url}/oauth2/token", data=own)).json()["access_token"]
    headers = {"authorization": f"Bearer {token}", "client-id": SHOP.client_id}
    there = f"{url}/helix/eventsub/subscriptions"
    async with serving(Starlette(routes=[Route("/hook", hook, methods=["POST"])])) as callback_url:
        body = {
            "type": "channel.follow",
            "version": "2",
            "condition": {"broadcaster_user_id": "1337", "moderator_user_id": "1337"},
            "transport": {"method": "webhook", "callback": f"{callback_url}/hook", "secret": "s3cre77890ab"},
        }
        refused = await client.post(there, json=body, headers=headers)
        assert refused.status_code == 403  # the channel has not allowed it
        app.grants.code(SHOP, people.named("enamelmugs"), ["moderator:read:followers"], HOME, "")
        made = await client.post(there, json=body, headers=headers)
        assert (made.status_code, made.json()["data"][0]["status"]) == (202, "webhook_callback_verification_pending")
        await app.listeners.settled()
        assert (await client.post(there, json=body, headers=headers)).status_code == 409
    [row] = (await client.get(there, headers=headers)).json()["data"]
    assert row["status"] == "enabled"
    assert "s3cre77890ab" not in json.dumps(row)
    assert (await client.delete(there, params={"id": row["id"]}, headers=headers)).status_code == 204
    assert (await client.get(there, headers=headers)).json()["data"] == []


# --- Mastodon's shape -------------------------------------------------------------------------------------------------


async def test_a_request_to_follow_is_pending(browser, client, url, people):
    described = (await client.get(f"{url}/.well-known/oauth-authorization-server")).json()
    asked = {"client_name": "Shop", "redirect_uris": HOME, "scopes": "profile read:follows read:search"}
    ours = (await client.post(f"{url}/api/v1/apps", data=asked)).json()
    query_ = {"client_id": ours["client_id"], "redirect_uri": HOME, "response_type": "code", "state": "s"}
    query_ |= {"scope": asked["scopes"], "code_challenge_method": "S256"}
    query_ |= {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}
    await browser.open(str(httpx2.URL(described["authorization_endpoint"], params=query_)))
    await browser.press("Ann")
    code = query(await browser.press("Allow"))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": HOME, "code_verifier": VERIFIER}
    pair = (ours["client_id"], ours["client_secret"])
    granted = (await client.post(described["token_endpoint"], data=form, auth=pair)).json()
    assert set(granted) == {"access_token", "token_type", "scope", "created_at"}  # it lasts

    bearer = {"authorization": f"Bearer {granted['access_token']}"}
    assert (await client.get(described["userinfo_endpoint"])).status_code == 401
    who = (await client.get(described["userinfo_endpoint"], headers=bearer)).json()
    assert who["sub"] == f"{url}/users/ann"
    found = (await client.get(f"{url}/api/v2/search", params={"q": "@cleo"})).status_code
    assert found == 401
    found = (await client.get(f"{url}/api/v2/search", params={"q": "@cleo"}, headers=bearer)).json()["accounts"]
    assert found[0]["locked"] is True

    async def relation():
        params = {"id[]": found[0]["id"]}
        [row] = (await client.get(f"{url}/api/v1/accounts/relationships", params=params, headers=bearer)).json()
        return row["following"], row["requested"]

    assert await relation() == (False, False)
    await browser.open(f"{url}/@cleo")
    await browser.press("Ask to follow")
    assert await relation() == (False, True)
    people.decide(people.named("cleo"), "ann", approve=True)
    assert await relation() == (True, False)
    assert (
        await client.post(described["revocation_endpoint"], data={"token": granted["access_token"]}, auth=pair)
    ).json() == {}
    assert (await client.get(described["userinfo_endpoint"], headers=bearer)).status_code == 401
    used = await client.post(described["token_endpoint"], data=form, auth=pair)
    assert (used.status_code, used.json()["error"]) == (400, "invalid_grant")


async def test_it_is_called_as_it_is_told(client, people, clock):
    app = platform(people, SHOP, host="social.example")
    ann = app.grants.give(SHOP, people.named("ann"), ["profile", "read:search"]).access
    bearer = {"authorization": f"Bearer {ann}"}
    async with serving(app) as url:
        me = (await client.get(f"{url}/api/v1/accounts/verify_credentials", headers=bearer)).json()
        assert (me["acct"], me["url"]) == ("ann", "https://social.example/@ann")
        for name, found in (
            ("https://social.example/@cleo", ["cleo"]),
            ("@cleo@social.example", ["cleo"]),
            ("@cleo@other.example", []),
            ("https://other.example/@cleo", []),
        ):
            said = await client.get(f"{url}/api/v2/search", params={"q": name}, headers=bearer)
            assert [one["username"] for one in said.json()["accounts"]] == found


async def test_a_scope_that_was_not_given(client, url, app, people):
    text = app.grants.give(SHOP, people.named("ann"), ["profile"]).access
    answer = await client.get(f"{url}/api/v1/accounts/relationships", headers={"authorization": f"Bearer {text}"})
    assert (answer.status_code, answer.json()) == (403, {"error": "This action is outside the authorized scopes"})


# --- bad days ---------------------------------------------------------------------------------------------------------

BODIES = {
    "a token answer without a token": {"kind": "says", "status": 200, "body": {"token_type": "bearer", "scope": []}},
    "an error inside 200": {"kind": "says", "status": 200, "body": {"error": "server_error"}},
    "JSON that is no object": {"kind": "wrong_json"},
    "somebody else's page": {"kind": "html"},
    "an error page": {"kind": "html_503"},
    "an outage": {"kind": "503", "retry_after": 5},
    "too many": {"kind": "429"},
    "another host": {"kind": "redirect"},
    "no answer": {"kind": "drop_after"},
    "half an answer": {"kind": "cut"},
}


@pytest.mark.parametrize("fault", BODIES.values(), ids=BODIES)
async def test_when_codes_become_tokens(visit, client, url, fault):
    await visit.out()
    returned = await visit.back()
    await client.post(f"{url}/sandbox/faults", json={**fault, "path": "/oauth2/token"})
    with pytest.raises(Unavailable) as failure:
        await visit.tokens(returned)
    assert not isinstance(failure.value, SignInRefused)


@pytest.mark.parametrize("fault", BODIES.values(), ids=BODIES)
async def test_when_a_follow_is_asked_about(visit, hold, settings, clock, client, url, people, fault):
    tokens = await visit.whole()
    ann = await hold(TWITCH.whoami(tokens, settings))
    people.follow(people.named("ann"), people.named("enamelmugs"))
    await client.post(f"{url}/sandbox/faults", json={**fault, "path": "/helix"})
    ask = Ask(account=ann, settings=settings, now=clock(), tokens=tokens)
    try:
        answer = await hold(TWITCH.checks["follow"].way(settings).ask(ask))
    except Unavailable:
        return
    assert answer.result == "unknown"


async def test_a_fault_is_for_its_path_alone(client, url):
    await client.post(f"{url}/sandbox/faults", json={"kind": "html_503", "times": None, "path": "/oauth2/token"})
    assert (await client.get(f"{url}/")).status_code == 200
    answer = await client.post(f"{url}/oauth2/token")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")


# --- the back door ----------------------------------------------------------------------------------------------------


async def test_no_journal_and_no_state_shows_what_opens_doors(visit, hold, settings, clock, client, url):
    await visit.out()
    returned = await visit.back()
    tokens = await visit.tokens(returned)
    fresh = await hold(refresh(OAUTH, tokens, settings, clock()))
    await hold(revoke(OAUTH, fresh, settings))
    cookie = visit.browser.client.cookies["sandbox_platform"]
    seen = (await client.get(f"{url}/sandbox/journal")).text + (await client.get(f"{url}/sandbox/state")).text
    secrets = [returned.code, tokens.access, tokens.refresh, fresh.access, SHOP.client_secret, cookie]
    assert not [one for one in secrets if one in seen]
    requests = (await client.get(f"{url}/sandbox/journal")).json()["requests"]
    [exchanged, *_] = [one for one in requests if one["path"] == "/oauth2/token"]
    assert "grant_type=authorization_code" in exchanged["body"]
    assert exchanged["answer"]["access_token"] == "redacted"


async def test_the_state_says_who_is_in_and_what_was_allowed(visit, client, url):
    await visit.whole()
    found = await state(client, url)
    assert found["signed_in"] == ["ann"]
    assert [(one["account"], one["state"]) for one in found["codes"]] == [("ann", "used")]
    assert {one["kind"] for one in found["tokens"]} == {"access", "refresh"}
    ended = await client.post(f"{url}/sandbox/end", json={"login": "ann", "client_id": SHOP.client_id})
    assert {one["state"] for one in ended.json()["tokens"]} == {"revoked"}
    added = await client.post(f"{url}/sandbox/people", json=[{"name": "Eve"}, {"name": "Fay", "private": True}])
    assert [one["login"] for one in added.json()["people"]][-2:] == ["eve", "fay"]
    assert (await client.post(f"{url}/sandbox/people", json={"name": "Eve"})).status_code == 400


async def test_every_page_has_its_words_and_no_script(visit, browser, url, client):
    for path in ("/", "/login", "/ann", "/nobody"):
        answer = await client.get(url + path)
        assert "script" not in answer.text
        assert answer.text.count("<h1>") == 1
        assert "default-src 'none'" in answer.headers["content-security-policy"]
