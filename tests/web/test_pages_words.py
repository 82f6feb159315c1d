"""The catalogues of the customers' pages: whole, fresh, and nothing in them that a page could break over."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from bridge.config.brand import amiss
from bridge.web import words

WEB = Path(words.__file__).parent
METHODS = [("phrases.py", "python"), ("templates/*.html", "jinja2")]
OPTIONS = {"templates/*.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
KEYWORDS = {"_": None, "N_": None, "plain": None, "ngettext": (1, 2), "many": (1, 2)}
OURS = ["ar", "de", "es", "fr"]
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def said() -> set[str | tuple[str, ...]]:
    """Every sentence of the pages."""
    found = extract_from_dir(str(WEB), METHODS, OPTIONS, keywords=KEYWORDS, comment_tags=())
    return {message for _, _, message, _, _ in found}


def catalogue(file: Path, language: str | None = None) -> Catalog:
    return read_po(io.BytesIO(file.read_bytes()), locale=language, abort_invalid=True)


def messages(catalogue: Catalog) -> Iterator[Message]:
    return (message for message in catalogue if message.id)


def key(message: Message) -> str | tuple[str, ...]:
    return message.id if isinstance(message.id, str) else tuple(message.id)


def po(language: str) -> Path:
    return WEB / "locale" / language / "LC_MESSAGES" / "connect.po"


def test_the_template_for_translators_is_fresh() -> None:
    wanted = said()
    assert len(wanted) > 150
    assert {key(one) for one in messages(catalogue(WEB / "locale" / "connect.pot"))} == wanted


@pytest.mark.parametrize("language", OURS)
def test_every_sentence_is_translated_and_none_is_left_over(language: str) -> None:
    found = catalogue(po(language), language)
    assert {key(one) for one in messages(found)} == said()
    for one in messages(found):
        told = [one.string] if isinstance(one.string, str) else list(one.string)
        assert all(text.strip() for text in told), one.id
        assert not one.fuzzy, one.id
        if one.pluralizable:
            assert len(told) == found.num_plurals, one.id
    assert not found.obsolete


@pytest.mark.parametrize("language", OURS)
def test_a_translation_names_the_same_values(language: str) -> None:
    assert not list(amiss(po(language).read_text("utf-8"), language))


def test_what_names_other_values_is_told_with_its_line() -> None:
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
    for text in ("Los", "%(handle)s", "%(platform)d", "100% %(platform)s", "%s %(platform)s"):
        [fault] = amiss(f'{head}msgid "Go on to %(platform)s"\nmsgstr "{text}"\n', "de")
        assert fault.startswith("line 4: ")
        assert "must name %(platform)s" in fault
    assert not list(amiss(f'{head}msgid "Go on to %(platform)s"\nmsgstr "100%% %(platform)s"\n', "de"))
    assert not list(amiss(f'{head}msgid "Go on to %(platform)s"\nmsgstr ""\n', "de"))


@pytest.mark.parametrize("language", OURS)
def test_a_sentence_ends_as_it_does_in_english(language: str) -> None:
    ends = {".": ".", "!": "!", "?": "?؟", ":": ":", ")": ")"}
    for one in messages(catalogue(po(language), language)):
        for text in [one.string] if isinstance(one.string, str) else one.string:
            whole = one.id if isinstance(one.id, str) else one.id[0]
            wanted = ends.get(whole[-1])
            # Titles and buttons have no stop. A translation may thank without shouting, never the other way round.
            assert text[-1] in wanted if wanted else text[-1] not in ".!?؟:", (whole, text)
            assert "<" not in text
            assert "  " not in text
            assert text == text.strip()


FORMAL = {
    "de": r"\b(Sie (?:können|müssen|haben|sind)|Ihr[em]?|Ihnen)\b",
    "fr": r"\b(vous|votre|vos)\b|ez\b(?<!chez)(?<!assez)",
    "es": r"\b(usted|ustedes|su cuenta|vuestra)\b",
}


@pytest.mark.parametrize("language", FORMAL)
def test_customers_are_addressed_in_one_way(language: str) -> None:
    for one in messages(catalogue(po(language), language)):
        for text in [one.string] if isinstance(one.string, str) else one.string:
            assert not re.search(FORMAL[language], text), text


def test_french_keeps_its_thin_spaces_and_its_apostrophes() -> None:
    for one in messages(catalogue(po("fr"), "fr")):
        for text in [one.string] if isinstance(one.string, str) else one.string:
            assert "'" not in text
            assert not re.search(r"[^\u202f][?!;]|[^\u00a0]:|«[^\u00a0]|[^\u00a0]»", text), text


@pytest.mark.parametrize("language", OURS)
def test_two_sentences_that_differ_in_english_differ_in_every_language(language: str) -> None:
    there: dict[str, str] = {}
    for one in messages(catalogue(po(language), language)):
        if isinstance(one.id, str) and len(one.id) > 40:
            assert one.string not in there, (one.id, there[one.string])
            there[one.string] = one.id


# --- languages ------------------------------------------------------------------------------------------------------


def test_a_language_is_found_by_its_nearest_name() -> None:
    there = ("en", "pt", "pt_BR", "zh_Hant")
    for asked, language, locale in (
        ("pt-BR", "pt_BR", "pt_BR"),
        ("pt-PT", "pt", "pt_PT"),
        ("zh-Hant-TW", "zh_Hant", "zh_Hant_TW"),
        ("zh-Hans", "en", "en"),
        ("EN-us", "en", "en_US"),
        ("en-XX", "en", "en"),
    ):
        name, found = words.choose([asked], there, "en")
        assert (name, str(found)) == (language, locale), asked
    assert words.choose([], there, "pt")[0] == "pt"
    assert words.choose([], there, "tlh")[0] == "en"


def told(language: str) -> words.Words:
    return words.words([language], (), "en", zone=UTC, now=NOW)


def test_a_value_is_an_island_in_a_sentence_and_its_markup_is_none() -> None:
    said = told("ar").say("%(handle)s is no longer connected with your loyalty account.", handle="<b>\u202e")
    assert "<bdi>&lt;b&gt;\u202e</bdi>" in said
    assert told("en").plain("Follow us on %(platform)s", platform="X") == "Follow us on \u2068X\u2069"


def test_what_has_just_passed_is_in_a_moment() -> None:
    assert told("en").soon(NOW) == "in 1 second"
    assert told("en").soon(-5) == "in 1 second"
    assert told("de").soon(3 * 86400) == "in 3 Tagen"
    assert told("fr").soon(20) == "dans 20 secondes"


def test_languages_call_themselves_by_their_own_name() -> None:
    assert [words.name_of(one) for one in words.languages()] == ["English", "العربية", "Deutsch", "Español", "Français"]
    assert Locale.parse("ar").text_direction == told("ar").direction == "rtl"
