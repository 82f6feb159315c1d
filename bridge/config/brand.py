"""`[brand]`: how the customers' pages look and speak, checked so that everybody can read them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from babel import Locale, UnknownLocaleError
from babel.messages.pofile import PoFileError, read_po

from .model import Look
from .reader import Document, Path_

KEYS = ("name", "logo", "colour", "colour_dark", "privacy", "language", "words")
#: The grounds a colour must stand out from: in light and in dark, whichever of page and card is harder.
GROUND, GROUND_DARK = "#f4f5f7", "#1a1e25"
#: What words need to be read, by https://www.w3.org/TR/WCAG22/#contrast-minimum. White on a colour that has it
#: against GROUND has it too, and so has our darkest ground under a colour that has it against GROUND_DARK.
READABLE = 4.5
PICTURES = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
LARGEST_PICTURE = 64 * 1024  # it travels with every page
LARGEST_CATALOGUE = 1024 * 1024
PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|%)?")


def look(document: Document) -> Look:
    """How the customers' pages look; faults are noted in the document."""
    table, at = document.values.get("brand", {}), ("brand",)
    if not isinstance(table, dict):
        document.fault(at, "[brand] is a table")
        return Look()
    document.known(table, at, KEYS, what="[brand]")
    privacy = document.text(table, at, "privacy")
    if privacy and not _address(privacy):
        document.fault((*at, "privacy"), 'privacy is an address: privacy = "https://shop.example.com/privacy"')
        privacy = ""
    colour, dark = _colours(document, table, at)
    return Look(
        name=document.text(table, at, "name").strip(),
        logo=_logo(document, table, at),
        colour=colour,
        colour_dark=dark,
        privacy=privacy,
        language=_language(document, table, at),
        words=tuple(_words(document, table, at)),
    )


# --- colours --------------------------------------------------------------------------------------------------------


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white), as https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio has it."""
    low, high = sorted((_light(one), _light(other)))
    return (high + 0.05) / (low + 0.05)


def readable(colour: str, ground: str) -> str:
    """The nearest colour of the same kind that can be read on this ground."""
    towards = 0 if _light(ground) > 0.18 else 255
    for step in range(101):
        parts = [round(part + (towards - part) * step / 100) for part in _parts(colour)]
        found = "#" + "".join(f"{part:02x}" for part in parts)
        if contrast(found, ground) >= READABLE:
            return found
    return "#000000" if towards == 0 else "#ffffff"


def _colours(document: Document, table: Mapping[str, Any], at: Path_) -> tuple[str, str]:
    found = {name: document.text(table, at, name).lower() for name in ("colour", "colour_dark")}
    for name, ground, page in (("colour", GROUND, "light"), ("colour_dark", GROUND_DARK, "dark")):
        value = found[name]
        if value and not re.fullmatch(r"#[0-9a-f]{6}", value):
            document.fault((*at, name), f'{name} is written as "#1a5fb4", not {table[name]!r}')
            found[name] = ""
        elif value and (ratio := contrast(value, ground)) < READABLE:
            document.fault(
                (*at, name),
                f"{name} {value} has a contrast of {ratio:.1f} to 1 on a {page} page, and words need {READABLE}: "
                f'many could not read them. {name} = "{readable(value, ground)}" would do',
            )
    if found["colour_dark"] and not found["colour"]:
        document.fault((*at, "colour_dark"), "colour_dark goes with colour, which is missing")
    if found["colour"] and not found["colour_dark"]:
        found["colour_dark"] = readable(found["colour"], GROUND_DARK)
    return found["colour"], found["colour_dark"]


def _parts(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _light(colour: str) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    shares = [part / 255 for part in _parts(colour)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# --- the logo -------------------------------------------------------------------------------------------------------


def _logo(document: Document, table: Mapping[str, Any], at: Path_) -> str:
    """An address, or the picture itself as a `data:` address."""
    given, place = document.text(table, at, "logo"), (*at, "logo")
    if not given or _address(given):
        return given
    file = document.path.parent / given
    kind = PICTURES.get(file.suffix.lower())
    if "://" in given or kind is None:
        document.fault(place, "logo is an https:// address, or an .svg, .png, .jpg or .webp file beside this one")
        return ""
    body = _read(document, place, file, LARGEST_PICTURE)
    return f"data:{kind};base64,{base64.b64encode(body).decode()}" if body else ""


def _address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    odd = any(sign in text for sign in " ;,'\"") or not text.isascii() or not text.isprintable()
    return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc and not odd


def _read(document: Document, place: Path_, file: Path, most: int) -> bytes:
    try:
        with file.open("rb") as opened:
            body = opened.read(most + 1)
    except OSError as error:
        document.fault(place, f"{file} cannot be read: {error.strerror}")
        return b""
    if len(body) > most:
        document.fault(place, f"{file} has more than {most // 1024} KB")
        return b""
    return body


# --- words ----------------------------------------------------------------------------------------------------------


def _language(document: Document, table: Mapping[str, Any], at: Path_) -> str:
    name = document.text(table, at, "language", "en")
    if not _known(name):
        document.fault((*at, "language"), f'language is a code such as "en", "de" or "pt_BR", not {name!r}')
        return "en"
    return name


def _known(language: str) -> bool:
    try:
        return str(Locale.parse(language)) == language
    except (ValueError, UnknownLocaleError):
        return False


def _words(document: Document, table: Mapping[str, Any], at: Path_) -> Iterator[tuple[str, str]]:
    """Language -> catalogue, from a folder laid out as gettext has it: nl/LC_MESSAGES/connect.po."""
    given, place = document.text(table, at, "words"), (*at, "words")
    if not given:
        return
    folder = document.path.parent / given
    files = sorted(folder.glob("*/LC_MESSAGES/connect.po"))
    if not files:
        document.fault(place, f"{folder} holds no LANGUAGE/LC_MESSAGES/connect.po")
    for file in files:
        language = file.parent.parent.name
        if not _known(language):
            document.fault(place, f"{file}: {language} is no language's code; write nl or pt_BR")
            continue
        try:
            text = _read(document, place, file, LARGEST_CATALOGUE).decode()
            faults = list(amiss(text, language))
        except (UnicodeDecodeError, PoFileError, ValueError) as error:
            faults = [f"cannot be read: {error}"]
        for fault in faults:
            document.fault(place, f"{file}: {fault}")
        if not faults:
            yield language, text


def amiss(catalogue: str, language: str) -> Iterator[str]:
    """What would break a page: a translation that names other values than the sentence it translates."""
    for message in read_po(BytesIO(catalogue.encode()), locale=language, abort_invalid=True):
        if message.id and not message.fuzzy:
            whole = frozenset[str]().union(*(_named(text) for text in _texts(message.id)))
            for text in _texts(message.string):
                # "One" needs no number.
                if text and not whole - {"n"} <= _named(text) <= whole:
                    names = ", ".join(f"%({name})s" for name in sorted(whole)) or "no value"
                    yield f"line {message.lineno}: {text!r} must name {names}, as {_texts(message.id)[-1]!r} does"


def _texts(said: str | Sequence[str] | None) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said or ())


def _named(text: str) -> frozenset[str]:
    """The values a text names. A lone % is a name that nothing has."""
    return frozenset(found[1] or "%" for found in PLACEHOLDER.finditer(text) if found[0] != "%%")
