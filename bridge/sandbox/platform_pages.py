"""The pages of the stand-in platform: who is here, signing in, profiles with their buttons, settings.

No script, nothing from elsewhere. A password would prove nothing here: signing in is choosing who to be.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from .platform_grants import Grants
from .platform_people import Account, People

HERE = Path(__file__).parent
#: Cookies do not know ports: on one machine the bridge is sent this one too, so its name says whose it is.
COOKIE = "sandbox_platform"

STYLE = ("platform.css", "platform.svg")

#: Without form-action: Chromium holds redirects after a form to it, and consent ends in one to somebody else's site.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class Pages:
    """The routes. `told`: hears of everybody who begins to follow or to pay."""

    def __init__(
        self, people: People, grants: Grants, title: str, told: Callable[[str, Account, Account], None]
    ) -> None:
        self.people, self.grants, self.title, self.told = people, grants, title, told
        self.sessions: dict[str, Account] = {}
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> Sequence[BaseRoute]:
        posts = ["POST"]
        return (
            Route("/", self.home),
            Route("/style/{name}", self.style),
            Route("/login", self.login),
            Route("/login", self.sign_in, methods=posts),
            Route("/logout", self.sign_out, methods=posts),
            Route("/settings", self.settings),
            Route("/settings", self.change, methods=posts),
            Route("/@{login}", self.profile),
            Route("/{login}", self.profile),
            Route("/{login}", self.press, methods=posts),
        )

    def who(self, request: Request) -> Account | None:
        """Whoever is signed in."""
        return self.sessions.get(request.cookies.get(COOKIE, ""))

    def show(self, request: Request, view: str, *, status: int = 200, **words: Any) -> Response:
        told = {"title": self.title, "me": self.who(request), "view": view, **words}
        return HTMLResponse(self._templates.get_template(f"platform/{view}.html").render(told), status, HEADERS)

    def refusal(self, request: Request, said: str, status: int = 400) -> Response:
        return self.show(request, "refusal", status=status, said=said)

    async def style(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STYLE:
            return self.refusal(request, "There is no such page.", 404)
        return FileResponse(HERE / "static" / name)

    async def home(self, request: Request) -> Response:
        return self.show(request, "home", people=list(self.people))

    async def login(self, request: Request) -> Response:
        there = local(request.query_params.get("next", "/"))
        return self.show(request, "login", people=list(self.people), there=there, fault="", typed="")

    async def sign_in(self, request: Request) -> Response:
        form = await form_of(request)
        if elsewhere(request):
            return self.refusal(request, "This form came from another site.", 403)
        there, name = local(str(form.get("next", "/"))), str(form.get("name", "")).strip()
        account = self.people.named(str(form.get("who", "")))
        if account is None:
            try:
                account = self.people.join(name, private=form.get("private") == "yes")
            except ValueError as error:
                people, said = list(self.people), str(error)
                return self.show(request, "login", status=422, people=people, there=there, fault=said, typed=name)
        self.sessions.pop(request.cookies.get(COOKIE, ""), None)
        session = secrets.token_urlsafe(24)
        self.sessions[session] = account
        answer = RedirectResponse(there, 303, HEADERS)
        answer.set_cookie(COOKIE, session, httponly=True, samesite="lax", path="/")
        return answer

    async def sign_out(self, request: Request) -> Response:
        form = await form_of(request)
        if elsewhere(request):
            return self.refusal(request, "This form came from another site.", 403)
        self.sessions.pop(request.cookies.get(COOKIE, ""), None)
        answer = RedirectResponse(to_login(local(str(form.get("next", "/")))), 303, HEADERS)
        answer.delete_cookie(COOKIE, path="/")
        return answer

    async def profile(self, request: Request) -> Response:
        account = self.people.named(request.path_params["login"])
        if account is None:
            return self.refusal(request, "Nobody here has this name.", 404)
        me = self.who(request)
        standing = self.people.standing(me, account) if me else "none"
        tier, followed = account.tiers.get(me.login) if me else None, self.people.followed(account)
        return self.show(request, "profile", account=account, standing=standing, tier=tier, followed=followed)

    async def press(self, request: Request) -> Response:
        """A button on a profile."""
        form = await form_of(request)
        if elsewhere(request):
            return self.refusal(request, "This form came from another site.", 403)
        account, me = self.people.named(request.path_params["login"]), self.who(request)
        if account is None:
            return self.refusal(request, "Nobody here has this name.", 404)
        if me is None:
            return RedirectResponse(to_login(f"/{account.login}"), 303, HEADERS)
        match form.get("press"):
            case "follow":
                if self.people.follow(me, account):
                    self.told("channel.follow", me, account)
            case "unfollow":
                self.people.unfollow(me, account)
            case "subscribe" if me is not account:
                new = me.login not in account.tiers
                account.tiers[me.login] = "1000"
                if new:
                    self.told("channel.subscribe", me, account)
            case "unsubscribe":
                account.tiers.pop(me.login, None)
            case ("approve" | "decline") as word if me is account:
                if who := self.people.decide(me, str(form.get("who", "")), approve=word == "approve"):
                    self.told("channel.follow", who, me)
            case _:
                return self.refusal(request, "There is no such button.")
        return RedirectResponse(f"/{account.login}", 303, HEADERS)

    async def settings(self, request: Request) -> Response:
        me = self.who(request)
        if me is None:
            return RedirectResponse(to_login("/settings"), 303, HEADERS)
        return self.show(request, "settings", connected=self.grants.connected(me))

    async def change(self, request: Request) -> Response:
        form = await form_of(request)
        me = self.who(request)
        if elsewhere(request):
            return self.refusal(request, "This form came from another site.", 403)
        if me is None:
            return RedirectResponse(to_login("/settings"), 303, HEADERS)
        match form.get("press"):
            case "disconnect":
                self.grants.disconnect(me, str(form.get("client_id", "")))
            case "private" | "public" as word:
                me.private = word == "private"
            case _:
                return self.refusal(request, "There is no such button.")
        return RedirectResponse("/settings", 303, HEADERS)


async def form_of(request: Request) -> FormData:
    """What a page's form says, without a parser for uploads."""
    return FormData([*parse_qsl((await request.body())[:100_000].decode(errors="replace"), keep_blank_values=True)])


def local(address: str) -> str:
    """A page of ours; the first one where the address leads elsewhere."""
    plain = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if plain and address.isprintable() else "/"


def to_login(there: str) -> str:
    return f"/login?next={quote(there, safe='')}"


def elsewhere(request: Request) -> bool:
    """Whether another site's page sent this form. Browsers say so; what is no browser has nobody to deceive."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
