"""
The customers' pages in their languages: catalogues, which of them a browser gets, how values are put into a sentence.

The sentences stand in English in `templates/` and `phrases.py`; `locale/LANGUAGE/LC_MESSAGES/connect.po` holds them in
another language. What a catalogue lacks is said in English. A value is never part of a word, and is kept apart from
what is around it: a handle that begins with an Arabic letter must not turn an English sentence round.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from babel import Locale, UnknownLocaleError, dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from markupsafe import Markup, escape

HERE = Path(__file__).parent
ENGLISH = "en"
#: Languages asked for beyond these are not looked at.
MOST_ASKED = 20

Catalogues = tuple[tuple[str, str], ...]  # language -> text of a .po file


@cache
def shipped() -> Catalogues:
    """The catalogues that come with the bridge."""
    files = sorted((HERE / "locale").glob("*/LC_MESSAGES/connect.po"))
    return tuple((file.parent.parent.name, file.read_text("utf-8")) for file in files)


@cache
def languages(own: Catalogues = ()) -> tuple[str, ...]:
    """The languages there are, English first. `own`: the shop's catalogues."""
    return (ENGLISH, *sorted({language for language, _ in (*shipped(), *own)} - {ENGLISH}))


@cache
def translations(language: str, own: Catalogues = ()) -> NullTranslations:
    """Sentences in a language: the shop's first, then ours, then English."""
    found: list[NullTranslations] = [NullTranslations()]
    for name, text in (*shipped(), *own):
        if name == language:
            compiled = BytesIO()
            write_mo(compiled, read_po(BytesIO(text.encode()), locale=name))
            compiled.seek(0)
            made = GNUTranslations(compiled)
            made.add_fallback(found[-1])
            found.append(made)
    return found[-1]


def asked(header: str) -> Iterator[str]:
    """The languages of an Accept-Language header, the dearest first. What cannot be read is left out."""
    weighed = []
    for place, part in enumerate(header[:1024].split(",")[:MOST_ASKED]):
        tag, _, rest = part.strip().partition(";")
        weight = re.fullmatch(r"\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", rest, re.ASCII)
        if re.fullmatch(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", tag) and (not rest or weight):
            value = float(weight[1]) if weight else 1.0
            if value:
                weighed.append((-value, place, tag))
    return (tag for _, _, tag in sorted(weighed))


def choose(wanted: Iterator[str] | Sequence[str], there: Sequence[str], otherwise: str) -> tuple[str, Locale]:
    """The first language wanted that is there, and the locale for its numbers and dates: en-GB is British English."""
    by_name = {name.lower(): name for name in there}
    for tag in wanted:
        parts = tag.replace("-", "_").lower().split("_")
        for length in range(len(parts), 0, -1):
            if name := by_name.get("_".join(parts[:length])):
                return name, _locale(tag) or Locale.parse(name)
    name = otherwise if otherwise in there else ENGLISH
    return name, Locale.parse(name)


def _locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag, sep="-" if "-" in tag else "_")
    except (ValueError, UnknownLocaleError):
        return None


@dataclass(frozen=True, slots=True)
class Words:
    """One language, for one page."""

    language: str
    locale: Locale
    sentences: NullTranslations
    zone: tzinfo
    now: datetime

    @property
    def tag(self) -> str:
        """As HTML and HTTP write it."""
        return self.language.replace("_", "-")

    @property
    def direction(self) -> str:
        return str(Locale.parse(self.language).text_direction)

    def say(self, text: str, **values: Any) -> Markup:
        """A sentence for a page: nothing in it is markup, and each value is an island."""
        return self._filled(self.sentences.gettext(text), values)

    def many(self, one: str, more: str, n: int, **values: Any) -> Markup:
        """A sentence that counts."""
        return self._filled(self.sentences.ngettext(one, more, n), {"n": self.number(n), **values})

    def plain(self, text: str, **values: Any) -> str:
        """A sentence where no markup can stand: a title, an attribute."""
        islands = {name: f"\u2068{value}\u2069" for name, value in values.items()}
        return self.sentences.gettext(text) % islands

    def _filled(self, text: str, values: Mapping[str, Any]) -> Markup:
        islands = {name: f"<bdi>{escape(value)}</bdi>" for name, value in values.items()}
        return Markup(str(escape(text)) % islands)  # noqa: S704 (every part of it is escaped)

    # --- numbers and times --------------------------------------------------------------------------------------

    def number(self, value: float) -> str:
        return numbers.format_decimal(value, locale=self.locale)

    def soon(self, at: datetime | float) -> str:
        """How far away a time or a number of seconds is: "in 20 seconds". What is over is now."""
        away = at - self.now if isinstance(at, datetime) else timedelta(seconds=at)
        away = max(away, timedelta(seconds=1))
        return dates.format_timedelta(away, add_direction=True, threshold=1.5, locale=self.locale)

    def at(self, when: datetime) -> str:
        """Date and time, in the shop's zone, which is named."""
        when = when.astimezone(self.zone)
        date = dates.format_date(when, "long", locale=self.locale)
        time = dates.format_time(when, "short", tzinfo=self.zone, locale=self.locale)
        zone = dates.get_timezone_name(when, "short", locale=self.locale)
        return f"{date}, {time} {zone}" if self.direction == "ltr" else f"{date}، {time} {zone}"

    def listed(self, texts: Sequence[str]) -> Markup:
        """A, B and C, each an island."""
        islands = [f"<bdi>{escape(text)}</bdi>" for text in texts]
        pattern = self.locale.list_patterns["standard"]
        if len(islands) < 2:
            return Markup("".join(islands))  # noqa: S704
        if len(islands) == 2:
            return Markup(pattern["2"].format(*islands))  # noqa: S704
        told = pattern["end"].format(*islands[-2:])
        for one in reversed(islands[1:-2]):
            told = pattern["middle"].format(one, told)
        return Markup(pattern["start"].format(islands[0], told))  # noqa: S704


def words(
    wanted: Iterator[str] | Sequence[str], own: Catalogues, otherwise: str, *, zone: tzinfo, now: datetime
) -> Words:
    """The words for whoever wants these languages, in this order."""
    language, locale = choose(wanted, languages(own), otherwise)
    return Words(language, locale, translations(language, own), zone, now)


def name_of(language: str) -> str:
    """What a language calls itself."""
    own = Locale.parse(language)
    return (own.get_display_name(own) or language).capitalize()
