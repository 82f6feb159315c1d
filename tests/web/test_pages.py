"""The customers' pages: complete, valid and translated, whatever is in them and in whichever language."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_type_hints

import httpx2
import pytest
from babel.messages.pofile import read_po

from bridge.kit import errors
from bridge.kit.checks import Obstacle
from bridge.web import phrases, views
from bridge.web.pages import without_language
from bridge.web.words import languages
from tests.conftest import HEAD, Builder

from .gallery import CLAIM, GALLERY, GREETED, HANDLE, PATH, RULE, TICKET, gallery

LOCALE = Path(views.__file__).parent / "locale"
BRAND = """
[brand]
name = "Ravn & Søn"
logo = "logo.svg"
privacy = "https://shop.example.com/privacy"
"""
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40"><rect width="120" height="40" rx="8"/></svg>'


class Shown:
    """Pages as a browser gets them."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def answer(self, name: str, query: str = "", path: str = PATH, **headers: str) -> httpx2.Response:
        asked = {"x-page": name, **{key.replace("_", "-"): value for key, value in headers.items()}}
        return await self.client.get(f"{path}?{query}" if query else path, headers=asked)

    async def __call__(self, name: str, language: str = "en", **more: str) -> str:
        return (await self.answer(name, accept_language=language, **more)).text


@asynccontextmanager
async def showing(
    build_house: Builder, pages: Mapping[str, views.Page] = GALLERY, brand: str = BRAND
) -> AsyncIterator[Shown]:
    (build_house.path / "logo.svg").write_text(LOGO)
    async with build_house(head=HEAD + brand) as house:
        transport = httpx2.ASGITransport(gallery(house.bridge, pages))
        async with httpx2.AsyncClient(transport=transport, base_url="https://rewards.example.com") as client:
            yield Shown(client)


@pytest.fixture
async def shown(build_house: Builder) -> AsyncIterator[Shown]:
    async with showing(build_house) as made:
        yield made


# --- what a page is made of -----------------------------------------------------------------------------------------

VOID = {"meta", "link", "img", "input", "br", "path", "circle", "rect"}
#: What is said to people although it is no text.
SPOKEN = ("alt", "aria-label", "title", "placeholder")


class Page(HTMLParser):
    """A page taken apart; whatever is not as it should be stands in `faults`."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.open: list[tuple[str, dict[str, str]]] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, tuple[tuple[str, dict[str, str]], ...]]] = []
        self.feed(text)
        self.close()
        self._judge(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if len(named) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        self.elements.append((tag, named))
        if tag not in VOID:
            self.open.append((tag, named))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-1][0] if self.open else 'nothing'}")
        else:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1][0] != "style":
            self.texts.append((" ".join(data.split()), tuple(self.open)))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self) -> str:
        return " ".join(text for text, _ in self.texts)

    def _judge(self, text: str) -> None:
        self.faults += [f"<{tag}> is never closed" for tag, _ in self.open]
        levels = [int(tag[1]) for tag, _ in self.elements if re.fullmatch("h[1-6]", tag)]
        if levels[:1] != [1] or levels.count(1) != 1 or any(b > a + 1 for a, b in pairwise(levels)):
            self.faults.append(f"headings {levels}")
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        named = [one["for"] for one in self.all("label")]
        self.faults += [f"id {one} twice" for one in ids if ids.count(one) > 1]
        self.faults += [f"{one} has no label" for one in (x.get("id") for x in self.all("input")) if one not in named]
        described = " ".join(attributes.get("aria-describedby", "") for _, attributes in self.elements).split()
        self.faults += [f"{one} is nowhere" for one in {*named, *described} - set(ids)]
        self.faults += [f"a picture without words: {one}" for one in self.all("img") if not one.get("alt")]
        for tag, attributes in self.elements:
            loud = [name for name in attributes if name.startswith("on") or name == "style"]
            if tag in ("script", "iframe", "object", "base") or loud:
                self.faults.append(f"<{tag} {loud}>")
            if tag == "a" and not re.match(r"https://|/connect/", attributes.get("href", "")):
                self.faults.append(f"a link to {attributes.get('href')}")
            if attributes.get("target") and "noopener" not in attributes.get("rel", ""):
                self.faults.append("another window that can reach back")
        for form in self.all("form"):
            if form.get("method") != "post" or not form.get("action", "").startswith("/connect/"):
                self.faults.append(f"a form to {form}")
        if {"{{", "{%", "None", "Undefined", "%("} & set(re.findall(r"\{\{|\{%|\bNone\b|\bUndefined\b|%\(", text)):
            self.faults.append("something was not put in")


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ar"])
async def test_every_page_is_whole_in_every_language(shown: Shown, language: str) -> None:
    for name, page in GALLERY.items():
        answer = await shown.answer(name, accept_language=language)
        assert answer.status_code == page.status, name
        assert answer.headers["content-language"] == language
        found = Page(answer.text)
        assert not found.faults, f"{name}: {found.faults}"
        [root] = found.all("html")
        assert (root["lang"], root["dir"]) == (language, "rtl" if language == "ar" else "ltr")


async def test_every_page_says_where_one_can_go_from_it(shown: Shown) -> None:
    for name in GALLERY:
        found = Page(await shown(name))
        ways = [one for one in found.all("a") if "hreflang" not in one and "privacy" not in one["href"]]
        told = "Open the link in the shop" in found.words or "Look in the shop" in found.words
        assert ways or found.all("form") or told, name


def test_the_gallery_has_every_page_reason_obstacle_and_place() -> None:
    values = GALLERY.values()
    assert {one.name for one in values} == set(views.PAGES) - {"leave"}
    assert {one.reason for one in values if isinstance(one, views.Stopped)} == set(views.STOPPED)
    assert {one.obstacle for one in values if isinstance(one, views.Checking)} == set(get_args(views.Obstacle))
    rewards = [reward for one in values for reward in getattr(one, "rewards", ())]
    assert {reward.where for reward in rewards} - {None} == set(get_args(views.Where))


def test_every_reason_obstacle_and_place_has_its_own_words() -> None:
    assert set(phrases.STOPPED) == set(views.STOPPED)
    reasons, left = set[str](), [errors.FlowError]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        if kind.__module__ == errors.__name__ and kind is not errors.FlowError:
            reasons.add(re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower())
    assert reasons == set(views.STOPPED)
    assert set(phrases.OBSTACLES) == set(get_args(views.Obstacle)) == set(get_args(Obstacle))
    assert set(phrases.WHERE) == {"", *get_args(views.Where)}
    assert set(phrases.KEPT) == set(get_args(get_type_hints(views.Claimed)["kept"]))
    for table in (phrases.STOPPED, phrases.OBSTACLES):
        told = [(one.text, one.then) for one in table.values()]
        assert len(set(told)) == len(told)
        assert all(one.then for one in table.values())


@pytest.mark.parametrize("language", ["en", "de", "fr", "es", "ar"])
async def test_we_could_not_ask_never_reads_like_you_did_not_do_it(shown: Shown, language: str) -> None:
    missing = Page(await shown("missing", language))
    [title] = [text for text, around in missing.texts if around[-1][0] == "h1"]
    leads = sentences(missing, "lead")
    for name, page in GALLERY.items():
        if isinstance(page, views.Checking | views.Unavailable | views.Broken | views.TooOften):
            found = Page(await shown(name, language))
            assert title not in found.words, name
            assert not leads & sentences(found, "lead"), name


def sentences(page: Page, kind: str) -> set[str]:
    return {
        part.strip()
        for text, around in page.texts
        if any(one.get("class") == kind for _, one in around)
        for part in re.split(r"[.،]", text)
        if len(part.strip()) > 12
    }


# --- what strangers have chosen -------------------------------------------------------------------------------------

HOSTILE = "<script>alert(1)</script>\u202e'\"&{{7*7}}%(platform)s%s"


async def test_whatever_a_stranger_has_chosen_stays_text(build_house: Builder) -> None:
    reward = views.Reward(rule=HOSTILE, where="arrived", shown={HOSTILE: HOSTILE})
    changed: dict[str, Any] = {"customer": HOSTILE, "handle": HOSTILE, "number": HOSTILE, "rewards": (reward,)}
    changed |= {"typed": HOSTILE, "missing": (HOSTILE,), "grants": (HOSTILE,), "code": HOSTILE}
    pages = {}
    for name, page in GALLERY.items():
        own = {key: value for key, value in changed.items() if hasattr(page, key) and not isinstance(value, bool)}
        if isinstance(page, views.Welcome):
            own["code"] = True
        pages[name] = replace(page, **own)
    async with showing(build_house, pages) as shown:
        for name in pages:
            text = await shown(name)
            assert not Page(text).all("script"), name
            for found, around in Page(text).texts:
                if "alert(1)" in found:  # an island: what turns the writing round ends with it
                    assert around[-1][0] in ("bdi", "code", "dt"), (name, around)


async def test_an_address_carries_its_ticket_and_no_stranger_puts_markup_into_it(shown: Shown) -> None:
    text = await shown("welcome in an app", query=f'{TICKET}&x="><script>&lang=de', path=PATH)
    page = Page(text)
    assert not page.all("script")
    [address] = [one["value"] for one in page.all("input") if one["id"] == "address"]
    assert address == f"https://rewards.example.com{PATH}?{TICKET}&x=%22%3E%3Cscript%3E"


# --- languages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,en;q=0.5", "de"),
        ("en;q=0.3, fr-CA;q=0.9, de;q=0.1", "fr"),
        ("ja,ko;q=0.9", "en"),
        ("ja,ar-EG;q=0.1", "ar"),
        ("es-419", "es"),
        ("de;q=0,fr", "fr"),
        ("*", "en"),
        ("de;q=7,;;,,\u00e4,fr;q=x,es", "es"),
        ("x" * 5000, "en"),
        ("../../etc", "en"),
    ],
)
async def test_the_browser_says_which_language(shown: Shown, asked: str, given: str) -> None:
    answer = await shown.client.get(PATH, headers={"x-page": "welcome", "accept-language": asked.encode("latin-1")})
    assert answer.headers["content-language"] == given


async def test_a_language_that_was_chosen_comes_along(shown: Shown) -> None:
    chosen = await shown.answer("welcome", f"{TICKET}&lang=fr", accept_language="de")
    assert chosen.headers["content-language"] == "fr"
    cookie = chosen.headers["set-cookie"]
    assert cookie.startswith("lang=fr;")
    assert {"HttpOnly", "Secure", "Path=/connect", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    # Away to the platform and back: the address says nothing any more.
    assert (await shown.answer("act", accept_language="de")).headers["content-language"] == "fr"
    again = await shown.answer("act", "lang=ar")
    assert again.headers["content-language"] == "ar"
    for odd in ("lang=tlh", "lang=", "lang=../de", "lang=%00"):
        answer = await shown.answer("act", odd)
        assert answer.headers["content-language"] == "ar"
        assert "set-cookie" not in answer.headers


async def test_the_other_languages_are_one_link_away_and_keep_the_ticket(shown: Shown) -> None:
    links = [one for one in Page(await shown("welcome", query=f"{TICKET}&lang=de")).all("a") if "hreflang" in one]
    assert [one["hreflang"] for one in links] == ["en", "ar", "de", "es", "fr"]
    assert links[1]["href"] == f"{PATH}?{TICKET}&lang=ar"
    assert [one["hreflang"] for one in links if "aria-current" in one] == ["de"]
    assert "secret" not in await shown("broken", path="/connect/tw/callback", query="state=secret")


def test_the_ticket_is_what_the_shop_has_signed() -> None:
    assert without_language(f"{TICKET}&lang=de") == TICKET
    assert without_language(f"lang=de&{TICKET}&lang=fr") == TICKET
    assert without_language("language=de&slang=x") == "language=de&slang=x"
    assert without_language("lang=de") == ""


async def test_numbers_dates_and_plurals_are_those_of_the_language(shown: Shown) -> None:
    assert "in 2 Minuten" in Page(await shown("too often", "de")).words
    words = {language: Page(await shown("unlinked, nobody known", language)).words for language in ("en", "de", "ar")}
    assert "3 rewards that were on their way have been withdrawn." in words["en"]
    assert "3 Belohnungen, die unterwegs waren, wurden zurückgezogen." in words["de"]
    assert "سُحبت 3 مكافآت" in words["ar"]
    assert "One reward that was on its way" in Page(await shown("unlinked")).words


async def test_british_dates_in_britain(shown: Shown) -> None:
    assert "27 November 2026, 12:00 UTC" in Page(await shown("act", "en-GB")).words
    assert "November 27, 2026, 12:00" in Page(await shown("act", "en-US")).words
    assert "27. November 2026, 12:00 UTC" in Page(await shown("act", "de-DE")).words


# --- words ----------------------------------------------------------------------------------------------------------


def pseudo(path: Path) -> None:
    """A language in which every sentence stands between brackets."""
    told = [
        'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=2; plural=n != 1;\\n"\n'
    ]
    with (LOCALE / "connect.pot").open("rb") as file:
        for message in read_po(file):
            if isinstance(message.id, tuple | list):
                one, more = message.id
                told.append(f'msgid "{one}"\nmsgid_plural "{more}"\nmsgstr[0] "⟦{one}⟧"\nmsgstr[1] "⟦{more}⟧"\n')
            elif message.id:
                told.append(f'msgid "{message.id}"\nmsgstr "⟦{message.id}⟧"\n')
    place = path / "words" / "nl" / "LC_MESSAGES"
    place.mkdir(parents=True)
    (place / "connect.po").write_text("\n".join(told))


async def test_no_sentence_stands_outside_the_catalogues(build_house: Builder) -> None:
    pseudo(build_house.path)
    async with showing(build_house, brand=BRAND + 'words = "words"\n') as shown:
        for name in GALLERY:
            page = Page(await shown(name, "nl"))
            # Values and other languages apart, all that is left is between brackets.
            told = "".join(
                "•" if any(tag in ("bdi", "code") or ("lang" in own and tag != "html") for tag, own in around) else text
                for text, around in page.texts
            )
            said = [one[key] for _, one in page.elements for key in SPOKEN if key in one]
            rest = re.sub(r"⟦[^⟦⟧]*⟧", "", told) + re.sub(r"⟦[^⟦⟧]*⟧", "", " ".join(said))
            rest = rest.replace("Ravn & Søn", "").replace("seatRow", "").replace("Does it", "")
            assert not re.search(r"\w", rest), f"{name}: {rest}"


async def test_a_shop_can_say_it_in_its_own_words(build_house: Builder) -> None:
    place = build_house.path / "words"
    for language, sentence in (
        ("de", "Auf geht’s zu %(platform)s"),
        ("en", "Off to %(platform)s"),
        ("nl", "Naar %(platform)s"),
    ):
        (place / language / "LC_MESSAGES").mkdir(parents=True)
        (place / language / "LC_MESSAGES" / "connect.po").write_text(
            f'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
            f'msgid "Go on to %(platform)s"\nmsgstr "{sentence}"\n'
        )
    async with showing(build_house, brand=BRAND + 'words = "words"\nlanguage = "nl"\n') as shown:
        assert "Auf geht’s zu Twitch" in Page(await shown("welcome", "de")).words
        assert "Folge uns auf Twitch" in Page(await shown("welcome", "de")).words
        assert "Off to Twitch" in Page(await shown("welcome", "en")).words
        dutch = await shown.answer("welcome", accept_language="ja")
        assert dutch.headers["content-language"] == "nl"
        assert "Follow us on Twitch" in Page(dutch.text).words  # what it lacks is said in English
        assert "Nederlands" in dutch.text


# --- answers --------------------------------------------------------------------------------------------------------


async def test_a_page_allows_its_own_style_and_nothing_else(shown: Shown) -> None:
    for name in GALLERY:
        answer = await shown.answer(name)
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        [sheet] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
        assert policy == {
            "default-src": "'none'",
            "style-src": f"'sha256-{digest}'",
            "img-src": "data:",
            "form-action": "'self' https:",
            "frame-ancestors": "'none'",
            "base-uri": "'none'",
        }
        assert "url(" not in sheet
        assert "@import" not in sheet
        assert answer.headers["cache-control"] == "no-store"
        assert {"Accept", "Accept-Language", "Cookie"} <= set(answer.headers["vary"].split(", "))


async def test_the_way_to_the_platform_is_a_redirect_or_json(build_house: Builder) -> None:
    pages = {"leave": views.Leave(address="https://id.twitch.example/?state=x")}
    async with showing(build_house, pages) as shown:
        answer = await shown.answer("leave", accept="text/html")
        assert (answer.status_code, answer.headers["location"]) == (303, "https://id.twitch.example/?state=x")
        told = await shown.answer("leave", accept="application/json")
        assert told.json()["address"] == "https://id.twitch.example/?state=x"


async def test_who_is_too_fast_is_told_how_long(shown: Shown) -> None:
    assert (await shown.answer("too often")).headers["retry-after"] == "90"


PAGE = {"name", "status", "place", "customer", "number", "back", "began"}
CLAIMED = PAGE | {"claim", "handle", "rewards", "kept", "again_at", "wait", "expires_at"}
#: What a shop that draws its own page relies on.
FIELDS: Mapping[str, set[str]] = {
    "welcome": PAGE | {"action", "grants", "kept", "rewards", "home", "typed", "home_wrong", "sign_in", "code",
                       "policy", "in_app", "again"},
    "leave": PAGE | {"address"},
    "act": CLAIMED | {"page", "asks_for"},
    "checking": CLAIMED | {"page", "asks_for", "result", "obstacle"},
    "missing": CLAIMED | {"page", "asks_for"},
    "review": CLAIMED,
    "verified": CLAIMED,
    "already": CLAIMED,
    "rejected": CLAIMED,
    "expired": CLAIMED,
    "code": CLAIMED | {"code", "address", "carries", "wrong"},
    "confirm": CLAIMED,
    "unlinked": PAGE | {"handle", "withdrawn"},
    "stopped": PAGE | {"reason", "missing"},
    "taken": PAGE | {"handle", "until"},
    "unavailable": PAGE | {"busy"},
    "too_often": PAGE | {"wait"},
    "elsewhere": PAGE,
    "nothing": PAGE,
    "broken": PAGE,
}  # fmt: skip


def test_the_fields_of_every_page_are_known() -> None:
    assert set(FIELDS) == set(views.PAGES)


async def test_the_same_as_json(shown: Shown) -> None:
    for name, page in GALLERY.items():
        answer = await shown.answer(name, accept="application/json")
        assert answer.status_code == page.status
        told = answer.json()
        assert told["name"] == page.name
        assert set(told) == FIELDS[page.name], name
        if told["place"]:
            assert set(told["place"]) == {"source", "title", "action", "action_title", "path"}
        for reward in told.get("rewards", ()):
            assert set(reward) == {"rule", "where", "why", "until", "shown"}
    act = (await shown.answer("act", accept="application/json")).json()
    assert act["expires_at"] == "2026-11-27T12:00:00Z"
    assert act["handle"] == HANDLE


async def test_what_a_target_answered_has_names_that_people_read(shown: Shown) -> None:
    words = Page(await shown("verified and arrived", "de")).words
    for told in ("Nachricht Well done!", "Dein Code GOLD-77", "Punkte 50", "Gewonnen Ja", "seatRow 12"):
        assert told in words
    assert "prizeTier" not in words


async def test_the_accounts_and_the_number_stand_on_every_page_of_a_claim(shown: Shown) -> None:
    for name, page in GALLERY.items():
        words = Page(await shown(name)).words
        if isinstance(page, views.Claimed):
            assert str(CLAIM["customer"]) in words, name
            assert page.handle in words, name
            assert (RULE in words) is (not isinstance(page, views.Expired)), name
        if page.number:
            assert f"quote the number {page.number}" in words, name
    assert str(GREETED["customer"]) in Page(await shown("welcome")).words


def test_there_are_five_languages() -> None:
    assert languages() == ("en", "ar", "de", "es", "fr")
