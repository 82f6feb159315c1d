"""A social platform that people use in a browser: sign-in, follow buttons, consent, and an API that tells the truth.

In Twitch's shape, so that the bridge's own `twitch` source runs its real flow against it, and in Mastodon's, where a
request to follow may wait. It is people, grants, pages and answers, each in a file of its own beside this one.

POST /sandbox/people   adds somebody, {"name": "Ann", "private": false}, or a list of them
POST /sandbox/end      ends what somebody's tokens allow, {"login": "ann", "client_id": ...}: the app was disconnected
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .helix import error
from .platform_api import Fediverse, Helix
from .platform_eventsub import Listeners
from .platform_grants import Application, Grants
from .platform_oauth import MASTODON, TWITCH, Doors
from .platform_pages import Pages, form_of
from .platform_people import People
from .standin import Clock, StandIn

#: What a journal does not show, wherever it stands.
SECRET = frozenset(
    {"access_token", "client_secret", "code", "code_verifier", "id_token", "refresh_token", "secret", "ticket", "token"}
)


class Platform(StandIn):
    """The whole of it."""

    def __init__(
        self,
        people: People,
        grants: Grants,
        *,
        title: str = "Streamside",
        host: str = "",
        client: httpx2.AsyncClient | None = None,
        pauses: Sequence[float] = (1, 5, 30),
    ) -> None:
        self.people, self.grants = people, grants
        self.fediverse = Fediverse(people, grants, host)
        self.listeners = Listeners(people, grants, client, pauses=pauses)
        self.pages = Pages(people, grants, title, self.listeners.tell)
        routes = [
            Route("/.well-known/oauth-authorization-server", self._described),
            Route("/api/v1/apps", self._registered, methods=["POST"]),
            *Doors(TWITCH, self.pages, grants).routes(),
            *Doors(MASTODON, self.pages, grants).routes(),
            *Helix(people, grants).routes(),
            *self.listeners.routes(),
            *self.fediverse.routes(),
            *self.pages.routes(),
        ]
        super().__init__(
            Starlette(routes=routes),
            clock=people.clock,
            state=self._known,
            error=error,
            also=[
                Route("/sandbox/people", self._joined, methods=["POST"]),
                Route("/sandbox/end", self._ended, methods=["POST"]),
            ],
            secret=SECRET,
        )

    def _known(self) -> Mapping[str, Any]:
        inside = [account.login for account in self.pages.sessions.values()]
        heard = [{**one.row(), "about": list(one.about)} for one in self.listeners.known]
        return {"people": self.people.listed(), "signed_in": inside, "listeners": heard, **self.grants.listed()}

    async def _described(self, request: Request) -> Response:
        """RFC 8414, as https://docs.joinmastodon.org/methods/oauth/#authorization-server-metadata has it."""
        here = str(request.base_url).rstrip("/")
        places = {"authorization": "authorize", "token": "token", "revocation": "revoke", "userinfo": "userinfo"}
        return JSONResponse(
            {
                "issuer": f"{self.fediverse.here(request)}/",
                **{f"{name}_endpoint": f"{here}/oauth/{path}" for name, path in places.items()},
                "app_registration_endpoint": f"{here}/api/v1/apps",
                "scopes_supported": list(MASTODON.scopes),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _registered(self, request: Request) -> Response:
        """https://docs.joinmastodon.org/methods/apps/#create : a form or JSON; addresses one to a line or as a list."""
        typed = request.headers.get("content-type", "").partition(";")[0]
        try:
            form: Mapping[str, Any] = await request.json() if typed == "application/json" else await form_of(request)
            name, given = str(form["client_name"]), form["redirect_uris"]
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "Validation failed: client_name and redirect_uris can't be blank"}, 422)
        places = [str(one) for one in given] if isinstance(given, list) else str(given).split()
        text = str(form.get("scopes") or "read")
        if not places or not set(text.split()) <= MASTODON.scopes.keys():
            return JSONResponse({"error": "Validation failed: Scopes doesn't match configured on the server."}, 422)
        made = self.grants.register(
            Application(secrets.token_urlsafe(16), secrets.token_urlsafe(24), name, tuple(places), lasting=True)
        )
        body = {"id": str(len(self.grants.applications)), "name": name, "website": None, "scopes": text.split()}
        more = {"redirect_uris": places, "redirect_uri": "\n".join(places), "client_secret_expires_at": 0}
        return JSONResponse({**body, **more, "client_id": made.client_id, "client_secret": made.client_secret})

    async def _joined(self, request: Request) -> Response:
        try:
            given = await request.json()
            for one in given if isinstance(given, list) else [given]:
                self.people.join(str(one["name"]), id=str(one.get("id", "")), private=one.get("private") is True)
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            return JSONResponse({"error": str(fault)}, 400)
        return JSONResponse({"people": self.people.listed()})

    async def _ended(self, request: Request) -> Response:
        try:
            given = await request.json()
            account, client_id = self.people.named(str(given["login"])), str(given["client_id"])
        except (ValueError, TypeError, KeyError) as fault:
            return JSONResponse({"error": str(fault)}, 400)
        if account is None or client_id not in self.grants.applications:
            return JSONResponse({"error": "nobody has this login, or no application this id"}, 404)
        self.grants.disconnect(account, client_id)
        return JSONResponse(self.grants.listed())


def platform(
    people: People,
    *applications: Application,
    code_lasts: timedelta = timedelta(minutes=5),
    token_lasts: timedelta = timedelta(hours=4),
    rotates: bool = False,
    title: str = "Streamside",
    host: str = "",
    client: httpx2.AsyncClient | None = None,
    pauses: Sequence[float] = (1, 5, 30),
) -> Platform:
    """The platform with its people and the applications that are registered with it.

    `host`: its name in the fediverse, whatever address it is reached under.
    `client`: by which it tells listeners; without one it tells nobody. `pauses`: before each repetition.
    """
    grants = Grants(people.clock, code_lasts=code_lasts, token_lasts=token_lasts, rotates=rotates)
    for one in applications:
        grants.register(one)
    return Platform(people, grants, title=title, host=host, client=client, pauses=pauses)


__all__ = ["Application", "Clock", "People", "Platform", "platform"]
