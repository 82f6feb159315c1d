"""The stand-in platform in Chromium: there and back by its buttons, readable on a phone in both schemes."""

from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from bridge.kit.oauth import callback
from bridge.sandbox.platform import Application, People, platform
from bridge.sandbox.serving import serving

from .test_sandbox_page_in_a_browser import LOOK, browser, pytestmark  # noqa: F401 (a fixture, and the marks)


@pytest.fixture
async def shop():
    """Another site, to which the customer comes back."""

    async def home(request: Request):
        return HTMLResponse(
            '<!doctype html><title>Shop</title><link rel="icon" href="data:,"><h1>Back at the shop</h1>'
        )

    async with serving(Starlette(routes=[Route("/connect/twitch/callback", home)])) as address:
        yield f"{address}/connect/twitch/callback"


@pytest.fixture
async def there(clock, shop):
    people = People(clock)
    for name in ("EnamelMugs", "Ann", "Ben"):
        people.join(name)
    people.join("Cleo", private=True)
    async with serving(platform(people, Application("shop", "secret", "The Mug Shop", (shop,)))) as address:
        yield address


async def test_there_and_back_on_a_phone(browser, there, shop):  # noqa: F811
    context = await browser.new_context(viewport={"width": 360, "height": 740})
    page = await context.new_page()
    faults = []
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)

    async def press(name):
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            for width in (320, 360, 1280):
                await page.set_viewport_size({"width": width, "height": 740})
                assert await page.evaluate(LOOK) == [], f"before {name}: {scheme}, {width} px"
        async with page.expect_navigation():
            await page.get_by_role("button", name=name, exact=True).click()

    asked = {"client_id": "shop", "redirect_uri": shop, "response_type": "code", "state": "a b", "force_verify": "true"}
    asked["scope"] = "user:read:follows user:read:subscriptions"
    address = str(httpx2.URL(f"{there}/oauth2/authorize", params=asked))

    await page.goto(address)
    await press("Ben")
    await press("Not Ben? Use another account")
    await press("Ann")
    await page.get_by_label("See which channels you subscribe to").uncheck()
    await press("Allow")
    assert await page.locator("h1").text_content() == "Back at the shop"
    returned = callback(urlsplit(page.url).query)
    assert (returned.state, returned.fields["scope"]) == ("a b", "user:read:follows")
    assert returned.code

    await page.goto(address)
    await press("Refuse")
    assert callback(urlsplit(page.url).query).error == "access_denied"

    await page.goto(f"{there}/enamelmugs")
    await press("Follow")
    assert await page.get_by_role("status").text_content() == "You follow EnamelMugs."
    await press("Subscribe")
    await press("End the subscription")
    await press("Unfollow")
    await page.goto(f"{there}/cleo")
    await press("Ask to follow")
    await press("Sign out")
    await press("Cleo")
    await page.goto(f"{there}/cleo")
    await press("Approve")
    await page.goto(f"{there}/settings")
    await press("Let everybody follow")
    await page.goto(f"{there}/")
    await press("Sign out")
    await page.get_by_label("Name").fill("Dora")
    await page.get_by_label("Whoever wants to follow me must ask").check()
    await press("Make an account")
    await page.get_by_role("link", name="Dora").first.click()
    assert await page.locator("h1").text_content() == "Dora"
    assert faults == []
