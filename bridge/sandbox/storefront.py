"""The shop as its customers see it: one page, and on it a link that only the shop can make.

The link is signed here as the project's README tells a shop to sign it, with nothing of the bridge's own: what a theme
or a backend must do, these few lines do.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from .stage import Person, Stage

HERE = Path(__file__).parent
WHAT = "twitch.follow"
#: How long a link is good. It is made anew whenever the page is.
LASTS = timedelta(hours=1)
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


def ticket(secret: str, action: str, *, customer: str, email: str, return_to: str, expires: int) -> str:
    """The query of a signed link: an HMAC over the action and the values, a line each, the phone's left empty."""
    text = "\n".join((action, customer, email, "", return_to, str(expires)))
    sign = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    values = {"customer": customer, "email": email, "return_to": return_to, "expires": expires, "sign": sign}
    return urlencode(values, quote_via=quote)


def storefront(stage: Stage, *, url: str, secret: str) -> Starlette:
    """The page as an application to be mounted at /shop. `url`: where customers reach it and the bridge."""
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def link(person: Person) -> str:
        query = ticket(
            secret,
            WHAT,
            customer=person.customer,
            email=person.buyer.email,
            return_to=f"{url}/shop/?who={person.key}",
            expires=int((stage.clock() + LASTS).timestamp()),
        )
        return f"{url}/connect/{WHAT.replace('.', '/')}?{query}"

    async def show(request: Request) -> Response:
        # Cleo's accounts at Twitch are nobody's yet: with her there is the most to see.
        person = stage.person(request.query_params.get("who", stage.people[-1].key))
        words = {
            "people": stage.people,
            "person": person,
            "held": stage.api("gameball").held_for(person.customer),
            "link": link(person),
        }
        return HTMLResponse(templates.get_template("shop.html").render(words), headers=HEADERS)

    return Starlette(routes=[Route("/", show)])
