"""A customer's whole way in Chromium: the shop's page, the bridge's, the platform's, back, and the points."""

import asyncio
import time
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from bridge.sandbox.demo import playing
from bridge.sandbox.window import Window
from bridge.web.words import translations

from .test_sandbox_page_in_a_browser import LOOK, browser, pytestmark  # noqa: F401 (a fixture, and the marks)

LINK = "Follow us on Twitch and earn points"
DESK = {"locale": "en-GB", "viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture
async def demo():
    async with playing(pace=0.05) as running:
        yield running


class Customer:
    """Cleo in her browser, which speaks one language."""

    def __init__(self, context, demo, language):
        self.context, self.demo, self.language = context, demo, language
        self.faults, self.refusal = [], "none"  # the status of the one page that is to refuse her
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("console", self._hear)

    def _hear(self, said):
        if said.type == "error" and f"status of {self.refusal}" not in said.text:
            self.faults.append(said.text)

    def says(self, text, platform="Twitch"):
        """A sentence of the bridge's pages, in her language."""
        said = translations(self.language).gettext(text) if self.language != "en" else text
        return said.replace("%(platform)s", platform)

    async def open(self):
        self.page = await self.context.new_page()
        await self.page.goto(f"{self.demo.url}/shop/")
        await self.look(self.page)

    async def look(self, page):
        """Nothing is wider than her window."""
        assert not await page.evaluate("document.documentElement.scrollWidth > innerWidth"), page.url

    async def press(self, name, page=None, role="button"):
        page = page or self.page
        async with page.expect_navigation():
            await page.get_by_role(role, name=name, exact=True).click()
        await self.look(page)

    async def reads(self, title):
        """The heading: in her language where it is the bridge's."""
        said = await self.page.locator("h1").inner_text()
        marks = str.maketrans("", "", "\u2066\u2067\u2068\u2069")  # what isolates a name in a sentence
        assert said.translate(marks).strip() == self.says(title)

    async def signs_in(self, answer):
        """From the shop to the platform, and back with an answer to what it asks."""
        await self.press(LINK, role="link")
        await self.press(self.says("Go on to %(platform)s"))
        await self.press("CleoPlays")
        await self.press(answer)

    async def follows(self):
        """By the bridge's own button, at the platform, in a tab that she closes then."""
        name = self.says("Open %(platform)s")
        async with self.context.expect_page() as opened:
            await self.page.get_by_role("link", name=name).click()
        tab = await opened.value
        assert urlsplit(tab.url).path == "/enamelmugs"
        assert urlsplit(tab.url).hostname == "127.0.0.1"
        await self.press("Follow", tab)
        await tab.close()

    async def is_proved(self):
        """Until the bridge, which the platform has told of it, has looked for itself."""
        await self.demo.social.listeners.settled()
        before = time.monotonic()
        while [row["state"] for row in await Window(self.demo.bridge).lately("claims")] != ["verified"]:
            assert time.monotonic() - before < 10, "it was never proved"
            await asyncio.sleep(0.05)

    async def has(self, points):
        """Until the shop's page says that Gameball holds so much for her."""
        before = time.monotonic()
        while await self.page.locator("#held").inner_text() != points:
            assert time.monotonic() - before < 10, f"there were never {points}"
            await self.page.reload()


@pytest.fixture
async def arrive(browser, demo):  # noqa: F811
    """Customers who have opened the shop's page."""
    met = []

    async def made(language="en", **looks):
        context = await browser.new_context(**{**DESK, **looks})
        customer = Customer(context, demo, language)
        met.append(customer)
        await customer.open()
        return customer

    yield made
    assert [customer.faults for customer in met] == [[] for _ in met]


def granted(demo):
    """What Gameball has really granted."""
    state = demo.stage.api("gameball").stand_in.state()
    return {id: one["points"] for id, one in state["customers"].items() if one["points"]}


@pytest.mark.parametrize(
    ("language", "looks"),
    [("en", {}), ("ar", {**PHONE, "locale": "ar"}), ("de", {**PHONE, "locale": "de-DE"})],
)
async def test_from_the_shop_to_the_points(arrive, demo, language, looks):
    cleo = await arrive(language, **looks)
    assert await cleo.page.locator("#held").inner_text() == "0 points"
    await cleo.signs_in("Allow")
    await cleo.reads("Follow us on %(platform)s")
    assert await cleo.page.locator("html").get_attribute("dir") == ("rtl" if language == "ar" else "ltr")
    await cleo.press(cleo.says("I have done it"))  # she has not, and the platform knows
    await cleo.reads("Not there yet")
    assert granted(demo) == {}
    await cleo.follows()
    await cleo.is_proved()
    await cleo.press(cleo.says("Check again"))
    await cleo.reads("Done, thank you!")
    await cleo.press(cleo.says("Back to the shop"), role="link")
    await cleo.has("50 points")
    assert granted(demo) == {"7003": 50}
    # The customer's permission has said who she is, and was given back.
    tokens = [one for one in demo.social.state()["tokens"] if one["account"] == "cleoplays"]
    assert {one["state"] for one in tokens if one["kind"] == "access"} == {"revoked"}
    await cleo.press("See what the bridge made of it", role="link")
    said = await cleo.page.locator("#story-1").inner_text()
    assert "CleoPlays follows on Twitch, by its own page" in said
    assert "+50 points, once" in said
    assert "not connected" not in await cleo.page.locator("#people").inner_text()


async def test_consent_refused_connects_nothing_and_she_may_begin_again(arrive, demo):
    cleo = await arrive()
    cleo.refusal = "400"
    await cleo.signs_in("Refuse")
    await cleo.reads("You cancelled the sign-in")
    window = Window(demo.bridge)
    assert "7003" not in {row["customer"] for row in await window.lately("links") if row["source"] == "twitch"}
    assert "cleoplays" not in {one["account"] for one in demo.social.state()["tokens"]}
    await cleo.press("Begin again")
    await cleo.press("Allow")
    await cleo.reads("Follow us on %(platform)s")


async def test_a_link_that_somebody_has_changed_opens_nothing(arrive):
    cleo = await arrive()
    cleo.refusal = "403"
    link = await cleo.page.get_by_role("link", name=LINK).get_attribute("href")
    values = {**dict(parse_qsl(urlsplit(link).query)), "customer": "7001"}
    answer = await cleo.page.goto(f"{link.partition('?')[0]}?{urlencode(values)}")
    assert answer.status == 403
    assert await cleo.page.get_by_role("button").count() == 0


async def test_the_shops_page_can_be_read_and_pressed_at_every_width_in_both_schemes(arrive):
    cleo = await arrive()
    for scheme in ("light", "dark"):
        await cleo.page.emulate_media(color_scheme=scheme)
        for width in (1280, 390, 320):
            await cleo.page.set_viewport_size({"width": width, "height": 800})
            assert await cleo.page.evaluate(LOOK) == [], f"{scheme}, {width} px"
