"""
How a customers' page is shown: as JSON to whoever asks for it, else as HTML in the customer's language.

No script, and nothing from elsewhere but a logo for which the shop has named an address. The one sheet of style stands
in the page, allowed by its hash, so that a page on a poor line is one answer.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from bridge.app import Bridge
from bridge.config import Look

from . import phrases, views
from .browser import wants_json
from .words import Words, asked, languages, name_of, words

HERE = Path(__file__).parent
#: The parameter of an address that chooses a language, and the cookie that remembers it while the customer is away.
LANGUAGE = "lang"
REMEMBERED = 90 * 24 * 3600

TEMPLATES = Environment(
    loader=PackageLoader("bridge.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.globals |= {
    name: getattr(phrases, name) for name in ("DEEDS", "CONNECT", "KEPT", "OBSTACLES", "STOPPED", "WHERE", "WHY")
}


def render(page: views.Page, request: Request) -> Response:
    """The answer to a request that ends with this page."""
    if wants_json(request):
        response: Response = JSONResponse(views.told(page), status_code=page.status)
    elif isinstance(page, views.Leave):
        response = RedirectResponse(page.address, status_code=303)
    else:
        response = _html(page, request)
    if isinstance(page, views.TooOften):
        response.headers["retry-after"] = str(page.wait)
    response.headers["cache-control"] = "no-store"
    MutableHeaders(raw=response.raw_headers).add_vary_header("Accept, Accept-Language, Cookie")
    return response


def without_language(query: str) -> str:
    """A query without the parameter that chooses a language: the ticket that the shop has signed."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != LANGUAGE)


# --- HTML -----------------------------------------------------------------------------------------------------------


def _html(page: views.Page, request: Request) -> Response:
    bridge: Bridge = request.app.state.bridge
    look, chosen = bridge.config.look, _chosen(request, bridge.config.look)
    said = words(_wanted(request, chosen), look.words, look.language, zone=bridge.config.timezone, now=bridge.clock())
    sheet = style(look)
    place = _where(page, request)
    text = TEMPLATES.get_template(f"{page.name}.html").render(
        page=page,
        look=look,
        style=sheet.text,
        tag=said.tag,
        direction=said.direction,
        _=said.say,
        plain=said.plain,
        ngettext=said.many,
        at=said.at,
        soon=said.soon,
        shown=lambda answer: _shown(answer, said),
        platform=page.place.title if page.place else said.plain(phrases.PLATFORM),
        path=page.place.path if page.place else "",
        here=place,
        address=f"{bridge.config.public_url}{place}",
        tongues=_tongues(place, look),
        moving=any(one.where in ("on its way", "waiting", None) for one in getattr(page, "rewards", ())),
    )
    response = HTMLResponse(text, status_code=page.status)
    response.headers["content-language"] = said.tag
    response.headers["content-security-policy"] = _allowed(sheet, look, bridge.config.public_url)
    if chosen:
        response.set_cookie(
            LANGUAGE,
            chosen,
            max_age=REMEMBERED,
            path="/connect",
            secure=bridge.config.public_url.startswith("https://"),
            httponly=True,
            samesite="lax",
        )
    return response


def _where(page: views.Page, request: Request) -> str:
    """The address, on this host, of the page that this is about, with its ticket if the customer is on it; '': none."""
    if page.place is None:
        return ""
    path, query = page.place.path, ""
    if request.url.path == path:
        raw: bytes = request.scope.get("query_string", b"")
        query = without_language(quote(raw, safe="%/?:@!$&'()*+,;=-._~"))
    return f"{path}?{query}" if query else path


def _shown(answer: Mapping[str, Any], said: Words) -> Iterator[tuple[str, str]]:
    """What a target answered, with names that a customer reads."""
    for name, value in answer.items():
        label = phrases.SHOWN.get(name.lower().replace("_", ""))
        called = said.plain(label) if label else name
        if isinstance(value, bool):
            yield called, said.plain(phrases.YES if value else phrases.NO)
        elif isinstance(value, int | float):
            yield called, said.number(value)
        elif value is not None:
            yield called, str(value)


# --- languages ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language to change to."""

    tag: str
    name: str
    address: str


def _chosen(request: Request, look: Look) -> str:
    """The language that the address asks for; '': none that there is."""
    given = [part.partition("=")[2] for part in request.url.query.split("&") if part.startswith(f"{LANGUAGE}=")]
    by_tag = {name.replace("_", "-").lower(): name for name in languages(look.words)}
    return by_tag.get(given[-1].replace("_", "-").lower(), "") if given else ""


def _wanted(request: Request, chosen: str) -> Iterator[str]:
    """The languages a customer wants: what they have chosen, now or before, then what their browser says."""
    for one in (chosen, request.cookies.get(LANGUAGE, "")[:20]):
        if one:
            yield one
    yield from asked(request.headers.get("accept-language", ""))


def _tongues(place: str, look: Look) -> list[Tongue]:
    joint = "&" if "?" in place else "?"
    found = [(name.replace("_", "-"), name) for name in languages(look.words)]
    return [Tongue(tag, name_of(name), f"{place}{joint}{LANGUAGE}={tag}") for tag, name in found] if place else []


# --- style ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sheet:
    """The style of a page, and the hash by which browsers know it."""

    text: Markup
    hash: str


@cache
def style(look: Look) -> Sheet:
    """The style with the shop's colours in it."""
    text = (HERE / "static" / "pages.css").read_text("utf-8")
    if look.colour:
        text += (
            f":root{{--colour:{look.colour}}}@media(prefers-color-scheme:dark){{:root{{--colour:{look.colour_dark}}}}}"
        )
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Sheet(Markup(text), f"sha256-{digest}")  # noqa: S704 (ours, and colours that are six hex digits)


def _allowed(sheet: Sheet, look: Look, public_url: str) -> str:
    logo = urlsplit(look.logo)
    images = f"data: {logo.scheme}://{logo.netloc}" if logo.scheme == "https" else "data:"
    # A form's answer leads to the platform, and browsers hold that redirect to `form-action` as well.
    leads = "https:" if public_url.startswith("https://") else "https: http:"
    return (
        f"default-src 'none'; style-src '{sheet.hash}'; img-src {images}; form-action 'self' {leads}; "
        "frame-ancestors 'none'; base-uri 'none'"
    )
