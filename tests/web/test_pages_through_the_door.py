"""Ann goes the whole way by what stands on the pages alone: their links, their forms, in German."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx2

from tests.conftest import FOLLOW_RULE, Builder
from tests.stories.customers import CONNECT, OURS, TICKETS, Platform, visiting

from .test_pages import Page

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": "en"}


def page(answer: httpx2.Response, title: str, status: int = 200) -> Page:
    """What a browser shows, which must be whole and have this title."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"
    found = Page(answer.text)
    assert not found.faults
    assert [text for text, around in found.texts if any(tag == "h1" for tag, _ in around)] == title.split("|")
    return found


async def test_from_the_shops_link_to_the_reward_and_back_out(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        platform, browser = Platform(house.vendor), ann.client

        async def press(found: Page, place: int = 0, **form: str) -> httpx2.Response:
            action = found.all("form")[place]["action"]
            answer = await browser.post(action, data=form, headers={**HTML, **OURS})
            if answer.status_code == 303 and answer.headers["location"].startswith("/"):
                return await browser.get(answer.headers["location"], headers=HTML)
            return answer

        path = "/connect/twitch/follow"
        welcome = page(await browser.get(f"{path}?{ann.query()}&lang=de", headers=HTML), "Folge uns auf|Twitch")
        assert "c***@example.com" in welcome.words
        away = await press(welcome)
        assert away.status_code == 303
        state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
        callback = f"/connect/twitch/callback?state={state}&code=code-1234"
        back = await browser.get(callback, headers=HTML)
        assert back.headers["location"] == path
        act = page(await browser.get(path, headers=HTML), "Folge uns auf|Twitch")
        assert any(one["href"] == "https://www.twitch.tv/brand" for one in act.all("a"))
        assert "https://shop.example.com/points" in [one["href"] for one in act.all("a")]
        [french, german] = [one["href"] for one in act.all("a") if one.get("hreflang") in ("fr", "de")][::-1]
        page(await browser.get(french, headers=HTML), "Suis-nous sur|Twitch")
        page(await browser.get(german, headers=HTML), "Folge uns auf|Twitch")

        # The same way back once more, and a button pressed too soon.
        page(await browser.get(callback, headers=HTML), "Diese Anmeldung kann hier nicht weitergehen", 403)
        house.clock.tick(seconds=30)
        missing = page(await press(act), "Noch nicht erledigt")
        slow = await press(missing)
        page(slow, "Bitte etwas langsamer", 429)
        assert int(slow.headers["retry-after"]) > 0

        platform.helix = (503, {})
        house.clock.tick(minutes=2)
        page(await press(missing), "Wir konnten gerade nicht fragen")
        platform.helix = None
        platform.follows.add("1234")
        house.clock.tick(minutes=2)
        done = page(await press(missing), "Geschafft, danke!")
        assert "Unterwegs" in done.words
        await house.work()
        unlink = [place for place, form in enumerate(done.all("form")) if form["action"].endswith("/unlink")]
        gone = page(await press(done, *unlink), "Getrennt")
        assert "ann" in gone.words


async def test_a_link_that_was_changed_has_a_page_of_its_own(build_house: Builder) -> None:
    async with build_house(FOLLOW_RULE, head=CONNECT, variables=TICKETS) as house, visiting(house) as ann:
        query = ann.query().replace("c-ann", "c-eve")
        answer = await ann.client.get(f"/connect/twitch/follow?{query}", headers=HTML)
        page(answer, "This link is not genuine", 403)
        page(await ann.client.get("/connect/twitch/yodel", headers=HTML), "There is nothing here", 404)
        elsewhere = await ann.client.post(f"/connect/twitch/follow?{ann.query()}", headers=HTML)
        page(elsewhere, "This came from another page", 403)
