"""The demo page in Chromium: readable, reachable, in both schemes and down to 320 pixels, with script and without."""

import shutil

import pytest

from bridge.sandbox.buttons import ACTS
from bridge.sandbox.demo import playing
from bridge.sandbox.weather import WAYS

playwright = pytest.importorskip("playwright.async_api", reason="needs playwright")
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

#: What is hard to read, hard to hit, or too wide.
LOOK = """() => {
  const light = (parts) => {
    const [r, g, b] = parts.map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const pen = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgba(getComputedStyle(element).backgroundColor);
      if (colour[3] > 250) return colour.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.textContent.trim();
    if (!text || !element.checkVisibility() || element.closest(".hidden, .skip, noscript, script")) continue;
    const [high, low] = [light(rgba(getComputedStyle(element).color).slice(0, 3)), light(behind(element))]
      .sort((one, other) => other - one);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.push(`${text}: contrast ${contrast.toFixed(2)}`);
  }
  for (const element of document.querySelectorAll("button, a, summary, .choice label")) {
    const box = element.getBoundingClientRect();
    if (element.checkVisibility() && !element.closest(".skip") && (box.height < 24 || box.width < 24))
      found.push(`${element.textContent.trim()}: ${box.width} x ${box.height}`);
  }
  for (const element of document.querySelectorAll("button, input, a")) {
    if (!element.checkVisibility()) continue;
    const named = element.textContent.trim() || element.labels?.[0]?.textContent.trim() || element.ariaLabel;
    if (!named) found.push(`${element.outerHTML}: no name`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push("wider than the window");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return found.concat(ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => `${id}: twice`));
}"""


@pytest.fixture
async def demo():
    async with playing(pace=0.05) as running:
        yield running


@pytest.fixture
async def browser():
    async with playwright.async_playwright() as made:
        chromium = await made.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        await chromium.close()


async def test_it_can_be_read_and_pressed_at_every_width_in_both_schemes(demo, browser):
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    await page.goto(f"{demo.url}/demo/")
    for summary in await page.locator("summary").all():
        await summary.click()
    for number, name in enumerate(ACTS, 1):
        await page.locator(f".act button[value={name}]").click()
        await page.locator(f"#story-{number}").wait_for()
    # A target is paused, so that what a person has to decide is on the page as well.
    await page.locator("input[value=crm]").check(force=True)
    await page.locator(".act button[value=revoked]").click()
    await page.locator(".act button[value=small]").click()
    await page.get_by_role("button", name="Resume").first.wait_for()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        for width in (1280, 768, 390, 320):
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate(LOOK) == [], f"{scheme}, {width} px"
    assert faults == []


async def test_the_story_comes_by_itself_and_is_said(demo, browser):
    page = await browser.new_page()
    await page.goto(f"{demo.url}/demo/")
    await page.locator(".act button[value=follow]").focus()
    await page.keyboard.press("Enter")
    await page.locator("#story-1 [data-state=granted]").first.wait_for()
    assert await page.evaluate("document.activeElement.value") == "follow"
    said = page.get_by_role("status")
    await playwright.expect(said).to_contain_text("Gameball granted: +50 points, once")
    await page.get_by_role("button", name="Pause live view").click()
    await page.get_by_role("button", name="Resume live view").wait_for()


async def test_the_next_button_leads_on_by_keyboard(demo, browser):
    page = await browser.new_page()
    await page.goto(f"{demo.url}/demo/")
    await page.locator("#next button").focus()
    await page.keyboard.press("Enter")
    await page.locator("#next button[value=thrice]").wait_for()
    assert await page.evaluate("document.activeElement.value") == "thrice"
    await page.keyboard.press("Enter")
    await page.locator("#story-2").wait_for()


async def test_each_loyalty_api_can_be_made_ill_and_well_again(demo, browser):
    page = await browser.new_page()
    await page.goto(f"{demo.url}/demo/")
    await page.get_by_text("A loyalty API does something").click()
    weather = page.locator("#weather")
    for api in demo.stage.apis:
        await page.locator(f"input[value={api.name}]").check(force=True)
        for bad in WAYS:
            await page.locator(f".act button[value={bad.name}]").click()
            await playwright.expect(weather).to_contain_text(f"{api.title} is {bad.state} and {bad.is_so}.")
        await page.locator(".act button[value=up]").click()
        await playwright.expect(weather).to_contain_text("All are up")


async def test_a_person_decides_what_nobody_can_tell(demo, browser):
    page = await browser.new_page()
    await page.goto(f"{demo.url}/demo/")
    await page.get_by_text("A loyalty API does something").click()
    await page.locator(".act button[value=sale]").click()
    await page.locator(".act button[value=subscribe]").click()
    await page.get_by_text("twitch-subscribe for Ann at Popsell is held").wait_for()
    await page.get_by_role("button", name="I see it there").click()
    await page.locator(".need").wait_for(state="detached")
    await page.locator("#story-2 [data-state=delivered]").first.wait_for()
    people = page.locator("#people")
    await playwright.expect(people).to_contain_text("27 points, score 27")


async def test_a_revoked_key_pauses_and_a_person_resumes(demo, browser):
    page = await browser.new_page()
    await page.goto(f"{demo.url}/demo/")
    await page.get_by_text("A loyalty API does something").click()
    await page.locator("input[value=gamifyhost]").check(force=True)
    await page.locator(".act button[value=revoked]").click()
    await page.locator(".act button[value=join]").click()
    await page.get_by_role("heading", name="GamifyHost is paused").wait_for()
    await page.get_by_role("button", name="Make it well").click()
    await page.get_by_role("button", name="Resume").click()
    await page.locator("#story-2 [data-state=granted]").first.wait_for()
    await playwright.expect(page.locator("#needs")).to_be_empty()


async def test_it_works_without_script(demo, browser):
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{demo.url}/demo/")
    await page.locator("input[value=ben]").check(force=True)
    await page.get_by_role("button", name="Order for 80 euro").click()
    assert page.url.endswith("?who=ben&which=gameball#story-1")
    assert await page.locator("#story-1 h3").text_content() == "Ben orders for 80 euro"
    assert await page.locator("input[value=ben]").is_checked()
    await page.get_by_role("link", name="Show what changed").click()
    await page.locator("#story-1 [data-state=delivered]").first.wait_for()
    # What was opened to press a button stays open after it, and what was chosen stays chosen.
    await page.get_by_text("A loyalty API does something").click()
    await page.locator("input[value=popsell]").check(force=True)
    await page.get_by_role("button", name="Revoke our key").click()
    assert await page.locator("input[value=popsell]").is_checked()
    assert await page.get_by_role("button", name="Be well again").is_visible()
    await page.locator(".act button[value=subscribe]").click()
    while not await page.get_by_role("button", name="Resume").count():
        await page.get_by_role("link", name="Show what changed").click()
    await page.get_by_role("button", name="Make it well").click()
    await page.get_by_role("button", name="Resume").click()
    assert await page.locator("#story-5 h3").text_content() == "Somebody resumes it"
    while await page.locator("#story-3 [data-state=granted]").count() == 0:
        await page.get_by_role("link", name="Show what changed").click()
