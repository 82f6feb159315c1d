"""`[brand]`: a shop's name, logo, colours and words, and what is said of those that cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bridge.config import Look
from bridge.config.brand import GROUND, GROUND_DARK, READABLE, contrast, look, readable
from bridge.config.reader import Document
from bridge.kit import ConfigError
from bridge.web import pages

CSS = (Path(pages.__file__).parent / "static" / "pages.css").read_text("utf-8")


def read(text: str, folder: Path = Path()) -> Look:
    document = Document(folder / "bridge.toml", f"[brand]\n{text}")
    found = look(document)
    document.stop()
    return found


def fault(text: str, folder: Path = Path()) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text, folder)
    [one] = caught.value.faults
    return one.replace(str(folder / "bridge.toml"), "bridge.toml")


def test_without_a_table_the_pages_are_plain() -> None:
    assert look(Document(Path("bridge.toml"), "")) == Look()


def test_a_colour_that_can_be_read_is_taken_and_gets_one_for_the_dark() -> None:
    found = read('colour = "#1A5FB4"')
    assert found.colour == "#1a5fb4"
    assert contrast(found.colour_dark, GROUND_DARK) >= READABLE
    own = read('colour = "#1a5fb4"\ncolour_dark = "#99c1f1"')
    assert own.colour_dark == "#99c1f1"


NO_LOGO = "logo is an https:// address, or an .svg, .png, .jpg or .webp file beside this one"
NO_LANGUAGE = 'language is a code such as "en", "de" or "pt_BR", not '
NO_COLOUR = 'colour is written as "#1a5fb4", not '


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (
            'colour = "#ffcc00"',
            2,
            "colour #ffcc00 has a contrast of 1.4 to 1 on a light page, and words need 4.5: many could not read them. "
            'colour = "#876c00" would do',
        ),
        (
            'colour = "#1a5fb4"\ncolour_dark = "#1a5fb4"',
            3,
            "colour_dark #1a5fb4 has a contrast of 2.7 to 1 on a dark page, and words need 4.5: many could not read "
            'them. colour_dark = "#5387c7" would do',
        ),
        ('colour = "blue"', 2, f"{NO_COLOUR}'blue'"),
        ('colour = "#12345"', 2, f"{NO_COLOUR}'#12345'"),
        ('colour_dark = "#99c1f1"', 2, "colour_dark goes with colour, which is missing"),
        ('logo = "http://x.example/a.png"', 2, NO_LOGO),
        ('logo = "https://x.example/a; script-src *"', 2, NO_LOGO),
        ('logo = "a.exe"', 2, NO_LOGO),
        (
            'privacy = "javascript:alert(1)"',
            2,
            'privacy is an address: privacy = "https://shop.example.com/privacy"',
        ),
        ('language = "german"', 2, f"{NO_LANGUAGE}'german'"),
        ('language = ""', 2, f"{NO_LANGUAGE}''"),
        ('color = "#1a5fb4"', 2, "[brand] has no key color; did you mean colour?"),
    ],
)
def test_what_cannot_be_is_told_with_what_would_be_right(text: str, line: int, told: str) -> None:
    assert fault(text) == f"bridge.toml:{line}: {told}"


def test_a_table_is_a_table() -> None:
    document = Document(Path("bridge.toml"), "brand = 1")
    assert look(document) == Look()
    assert document.faults == [(1, "[brand] is a table")]


@pytest.mark.parametrize("colour", ["#ffcc00", "#ffffff", "#000000", "#ff0000", "#00ff00", "#0000ff", "#808080"])
def test_the_proposed_colour_is_always_readable(colour: str) -> None:
    for ground in (GROUND, GROUND_DARK):
        assert contrast(readable(colour, ground), ground) >= READABLE
    assert readable("#123456", GROUND) == "#123456"


def test_contrast_is_what_the_standard_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#abcdef", "#abcdef") == 1


def test_the_grounds_are_those_of_the_sheet() -> None:
    """And every colour of ours that words are written in stands out from them."""
    light, dark = (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", part)) for part in CSS.split("@media", 2)[:2])
    assert min((light["ground"], light["card"]), key=lambda one: contrast(one, "#000000")) == GROUND
    assert max((dark["ground"], dark["card"]), key=lambda one: contrast(one, "#000000")) == GROUND_DARK
    for scheme in (light, dark):
        for name in ("ink", "quiet", "colour", "good", "wait", "stop"):
            for ground in ("ground", "card"):
                assert contrast(scheme[name], scheme[ground]) >= READABLE, (name, ground)
        assert contrast(scheme["on-colour"], scheme["colour"]) >= READABLE
        for ground in ("ground", "card"):  # https://www.w3.org/TR/WCAG22/#non-text-contrast
            assert contrast(scheme["control"], scheme[ground]) >= 3


@pytest.mark.parametrize("colour", ["#ffcc00", "#d0021b", "#1a5fb4", "#26a269"])
def test_what_is_written_on_a_button_can_be_read_whatever_its_colour(colour: str) -> None:
    light, dark = readable(colour, GROUND), readable(colour, GROUND_DARK)
    [on_light, on_dark] = re.findall(r"--on-colour: (#[0-9a-f]{6})", CSS)
    assert contrast(on_light, light) >= READABLE
    assert contrast(on_dark, dark) >= READABLE


def test_a_logo_beside_the_file_travels_in_the_page(tmp_path: Path) -> None:
    (tmp_path / "logo.svg").write_text("<svg/>")
    assert read('logo = "logo.svg"', tmp_path).logo == "data:image/svg+xml;base64,PHN2Zy8+"
    assert read('logo = "https://shop.example.com/logo.png"').logo == "https://shop.example.com/logo.png"
    assert "cannot be read: No such file" in fault('logo = "none.png"', tmp_path)
    (tmp_path / "large.png").write_bytes(bytes(64 * 1024 + 1))
    assert fault('logo = "large.png"', tmp_path).endswith("large.png has more than 64 KB")


def test_words_of_the_shops_own(tmp_path: Path) -> None:
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'
    file = tmp_path / "words" / "nl" / "LC_MESSAGES" / "connect.po"
    assert "holds no LANGUAGE/LC_MESSAGES/connect.po" in fault('words = "words"', tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(f'{head}msgid "Go on to %(platform)s"\nmsgstr "Naar %(platform)s"\n')
    assert [language for language, _ in read('words = "words"', tmp_path).words] == ["nl"]
    file.write_text(f'{head}msgid "Go on to %(platform)s"\nmsgstr "Verder"\n')
    assert "'Verder' must name %(platform)s, as 'Go on to %(platform)s' does" in fault('words = "words"', tmp_path)
    file.write_text("no catalogue")
    assert "cannot be read" in fault('words = "words"', tmp_path)
    file.write_bytes(b"\xff")
    assert "cannot be read" in fault('words = "words"', tmp_path)
    file.rename(tmp_path / "words" / "connect.po")
    (tmp_path / "words" / "nl").rename(tmp_path / "words" / "dutch")
    (tmp_path / "words" / "connect.po").rename(tmp_path / "words" / "dutch" / "LC_MESSAGES" / "connect.po")
    assert "dutch is no language's code" in fault('words = "words"', tmp_path)


def test_the_shops_colour_is_in_the_sheet_and_its_hash() -> None:
    plain, own = pages.style(Look()), pages.style(read('colour = "#1a5fb4"'))
    assert ":root{--colour:#1a5fb4}" in own.text
    assert "#1a5fb4" not in plain.text
    assert plain.hash != own.hash
