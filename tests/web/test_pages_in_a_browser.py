"""The customers' pages in Chromium: axe finds nothing, on phones and desks, by day and night, from left and right."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import httpx2
import pytest

from bridge.web.words import languages
from tests.conftest import HEAD, Builder

from .gallery import GALLERY, PATH, TICKET, gallery
from .test_pages import BRAND, LOGO

playwright = pytest.importorskip("playwright.async_api", reason="needs playwright")
axe = pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python, which the test extra brings")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    # Playwright leaves its pipes to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
QUIET = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SITE = "https://rewards.example.com"
#: Those that differ in more than their sentences.
DRAWN = [
    *(name for name in GALLERY if not name.startswith(("stopped, ", "not owed, "))),
    *("stopped, forged_ticket", "stopped, disconnected", "not owed, limit"),
]
AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
#: Everything the engine knows: the rules of WCAG up to 2.2 AA and its best practices.
RUN = """async () => (await axe.run(document, {
    resultTypes: ["violations"],
    rules: {"target-size": {enabled: true}},
  })).violations
  .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target} ${node.failureSummary}`))"""
#: What is too small for a thumb, too wide for a phone, or hides behind something.
SIZES = """() => {
  const found = [];
  for (const one of document.querySelectorAll("button, a, summary, input")) {
    const box = one.getBoundingClientRect();
    const inside = one.closest("p.quiet, blockquote");  // a link among words
    if (one.checkVisibility() && !inside && (box.height < 44 || box.width < 44))
      found.push(`${one.outerHTML}: ${box.width} x ${box.height}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the window by
    ${document.documentElement.scrollWidth - innerWidth}`);
  return found;
}"""


class Reader:
    """A browser at the gallery. Nothing leaves it: every request is answered here or refused."""

    def __init__(self, client: httpx2.AsyncClient, browser: Any) -> None:
        self.client, self.browser = client, browser
        self.elsewhere: list[str] = []

    async def page(self, **context: Any) -> Any:
        made = await (await self.browser.new_context(**context)).new_page()
        await made.route("**/*", self._answer)
        return made

    async def _answer(self, route: Any) -> None:
        asked = route.request
        if not asked.url.startswith(SITE):
            self.elsewhere.append(asked.url)
            await route.abort()
            return
        path, _, name = asked.url.removeprefix(SITE).partition("#")
        headers = {**asked.headers, "x-page": name or self.name}
        answer = await self.client.request(asked.method, path, headers=headers, content=asked.post_data_buffer or b"")
        await route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)

    name: str = "welcome"

    async def open(self, page: Any, name: str, language: str = "en") -> None:
        self.name = name
        await page.goto(f"{SITE}{PATH}?{TICKET}&lang={language}")


@pytest.fixture
async def reader(build_house: Builder) -> AsyncIterator[Reader]:
    (build_house.path / "logo.svg").write_text(LOGO)
    async with build_house(head=HEAD + BRAND) as house:
        transport = httpx2.ASGITransport(gallery(house.bridge))
        async with (
            httpx2.AsyncClient(transport=transport, base_url=SITE) as client,
            playwright.async_playwright() as made,
        ):
            chromium = await made.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            yield Reader(client, chromium)
            await chromium.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ar"])
async def test_the_engine_finds_nothing(reader: Reader, width: int, scheme: str, language: str) -> None:
    # The policy of the page itself would refuse the engine; that it is kept has a test of its own.
    page = await reader.page(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    found: dict[str, list[str]] = {}
    for name in DRAWN:
        await reader.open(page, name, language)
        for summary in await page.locator("summary").all():
            await summary.click()
        await page.evaluate(AXE)
        if faults := await page.evaluate(RUN) + await page.evaluate(SIZES):
            found[name] = faults
    assert not found


async def test_the_engine_would_find_what_is_wrong(reader: Reader) -> None:
    page = await reader.page(bypass_csp=True)
    await reader.open(page, "act, a link is asked for")
    await page.evaluate(AXE)
    await page.add_style_tag(content=".quiet { color: #bbb } label { display: none }")
    told = " ".join(await page.evaluate(RUN))
    assert "color-contrast" in told
    assert "label" in told


async def test_long_words_and_the_narrowest_phone(reader: Reader) -> None:
    page = await reader.page(viewport={"width": 320, "height": 640})
    for language in languages():
        for name in DRAWN:
            await reader.open(page, name, language)
            assert await page.evaluate(SIZES) == [], f"{name} in {language}"


async def test_letters_twice_as_large_still_fit(reader: Reader) -> None:
    page = await reader.page(viewport={"width": 390, "height": 844}, bypass_csp=True)
    for name in DRAWN:
        await reader.open(page, name, "de")
        await page.add_style_tag(content="html { font-size: 200% }")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


async def test_nothing_is_refused_and_nothing_comes_from_elsewhere(reader: Reader) -> None:
    page = await reader.page(java_script_enabled=False)
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    for name in DRAWN:
        await reader.open(page, name)
        # The style is there: the page's own policy lets it through.
        assert await page.locator(".card").evaluate("(one) => getComputedStyle(one).display") == "grid", name
    # What a browser says of an answer that is no 200 is no complaint about the page.
    assert not [one for one in faults if "the server responded with a status of" not in one]
    assert reader.elsewhere == []


async def test_a_keyboard_reaches_every_button_in_order_and_shows_where_it_is(reader: Reader) -> None:
    page = await reader.page()
    await reader.open(page, "act, a link is asked for")
    reached = []
    for _ in range(6):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.tagName.toLowerCase()"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached
    assert reached == ["a", "input", "button", "summary", "a", "a"]


async def test_nothing_moves_for_whoever_wants_it_still(reader: Reader) -> None:
    page = await reader.page(reduced_motion="reduce")
    await reader.open(page, "unknown, busy")
    assert await page.evaluate("document.getAnimations().length") == 0
    await page.emulate_media(reduced_motion="no-preference")
    assert await page.evaluate("document.getAnimations().length") == 1


async def test_pressing_without_script_posts_the_form(reader: Reader) -> None:
    page = await reader.page(java_script_enabled=False)
    posted: list[tuple[str, str]] = []
    page.on("request", lambda asked: posted.append((asked.method, asked.url)))
    await reader.open(page, "act, a link is asked for")
    await page.get_by_label("Link to what you wrote").fill("https://twitch.example/post/1")
    await page.get_by_role("button", name="I have done it").click()
    assert posted[-1] == ("POST", f"{SITE}{PATH}/check")
    await reader.open(page, "welcome")
    await page.get_by_role("button", name="Go on to Twitch").click()
    assert posted[-1] == ("POST", f"{SITE}{PATH}?{TICKET}")
    await page.get_by_role("link", name="Deutsch").click()
    assert await page.locator("h1").text_content() == "Folge uns auf Twitch"
