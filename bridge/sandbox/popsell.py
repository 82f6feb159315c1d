"""Popsell's API v2, those parts of it that pay ambassadors, as its documentation describes them.

https://apidoc.popsell.com/operation/operation-post-manager-ambassadors-parameter-challenge-histories and the pages
beside it. Every call that arrives pays. Errors and pages look as Laravel makes them, as those in the documentation do.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .community import Ambassador, Challenge, Community
from .standin import Clock, StandIn

ROOT = "/api/v2"
SORTED = ("id_ambassador", "firstname", "lastname", "customer_id", "email", "active", "status", "gamification_score")
MESSAGES = {401: "Unauthorized.", 429: "Too Many Attempts.", 500: "Server Error", 503: "Service Unavailable"}
PER_PAGE, MOST_PER_PAGE = 15, 100  # neither is documented; 15 is Laravel's own


class Refusal(Exception):
    """An error answer: a message, and with 422 what is wrong with each field."""

    def __init__(self, status: int, message: str, errors: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"message": message, **({"errors": errors} if errors else {})}


def invalid(errors: Mapping[str, Sequence[str]]) -> Refusal:
    """The first complaint, and how many there are besides."""
    said = [one for complaints in errors.values() for one in complaints]
    more = f" (and {len(said) - 1} more error{'s' if len(said) > 2 else ''})" if len(said) > 1 else ""
    return Refusal(422, said[0] + more, errors)


def missing(model: str, id_: int) -> Refusal:
    return Refusal(404, f"No query results for model [App\\Models\\{model}] {id_}")


class Gate:
    """First a token, for the key and domain of a user; then whatever that user may do."""

    def __init__(self, api_key: str, domain: str, clock: Clock, lasts: timedelta) -> None:
        self.api_key = api_key
        self.domain = domain
        self.clock = clock
        self.lasts = lasts
        self.manages = True  # whether the key's user may use the Manager
        self.tokens: dict[str, datetime] = {}  # and when each ends
        self.issued = 0

    def issue(self, domain: str, api_key: str) -> str:
        """The documentation has both messages and does not say which is whose."""
        if domain != self.domain:
            raise Refusal(401, MESSAGES[401])
        if not self.api_key or api_key != self.api_key:
            raise Refusal(401, "Invalid email or password")
        self.issued += 1
        token = f"{self.issued}|{secrets.token_hex(20)}"
        self.tokens[token] = self.clock() + self.lasts
        return token

    def admit(self, request: Request, *, manager: bool = True) -> None:
        """Passes, or raises the `Refusal` to answer with."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        ends = self.tokens.get(token)
        if kind != "Bearer" or ends is None or ends <= self.clock():
            raise Refusal(401, MESSAGES[401])
        if manager and not self.manages:
            raise Refusal(403, "You don't have permission to access this route")


def popsell(
    community: Community, *, api_key: str, domain: str, clock: Clock, lasts: timedelta = timedelta(hours=1)
) -> StandIn:
    """The API over one community. `lasts`: how long a token is good, which is not documented."""
    api = Api(community, Gate(api_key, domain, clock, lasts))
    vendor = Starlette(
        routes=[
            Route(f"{ROOT}/auth/token", api.token, methods=["POST"]),
            Route(f"{ROOT}/manager/ambassadors", api.ambassadors),
            Route(f"{ROOT}/manager/ambassadors/{{id:int}}/challenge-histories", api.pay, methods=["POST"]),
            Route(f"{ROOT}/manager/challenges/{{id:int}}", api.challenge),
            Route(f"{ROOT}/platform/ambassadors/{{id:int}}", api.ambassador),
        ],
        exception_handlers={Refusal: refuse, HTTPException: lost},
    )
    return StandIn(
        vendor,
        clock=clock,
        state=lambda: {**community.known(), "manages": api.gate.manages, "tokens": len(api.gate.tokens)},
        error=lambda status: {"message": MESSAGES.get(status, MESSAGES[500])},
        also=[
            Route("/sandbox/ambassadors", api.join, methods=["POST"]),
            Route("/sandbox/moves", api.move, methods=["POST"]),
            Route("/sandbox/key", api.change, methods=["POST"]),
        ],
    )


class Api:
    """The routes."""

    def __init__(self, community: Community, gate: Gate) -> None:
        self.community = community
        self.gate = gate

    async def token(self, request: Request) -> Response:
        api_key = (await form(request)).get("api_key")
        if not isinstance(api_key, str) or not api_key:
            raise invalid({"api_key": ["The api key field is required."]})
        return JSONResponse({"token": self.gate.issue(request.headers.get("x-popsell-domain", ""), api_key)})

    async def pay(self, request: Request) -> Response:
        self.gate.admit(request)
        who = self._ambassador(request)
        given = await form(request)
        if errors := self._errors(given):
            raise invalid(errors)
        headers = request.headers
        key = headers.get("webhook-id") or headers.get("idempotency-key", "")
        made = self.community.add(who.id_ambassador, given, self.gate.clock(), key=key)
        won = self.community.challenges.get(made.challenge or 0)
        stamp = made.at.isoformat().replace("+00:00", "Z")
        return JSONResponse(
            {
                "id": made.id,
                "ambassador": {**shown(who, "id_ambassador", "full_name", "status"), "online": False},
                "challenge": {**won.described(), "nb_wins": self.community.wins(won.id)} if won else None,
                "message": made.message,
                "score": made.score,
                "points": made.points,
                "created_at": stamp,
                "updated_at": stamp,
            }
        )

    def _errors(self, given: Mapping[str, Any]) -> dict[str, list[str]]:
        """What Laravel would say of each field."""
        errors: dict[str, list[str]] = {}
        for name in ("points", "score"):
            if given.get(name) is None:
                errors[name] = [f"The {name} field is required."]
            elif not is_number(given[name]):
                errors[name] = [f"The {name} field must be a number."]
        if not isinstance(given.get("message"), str | None):
            errors["message"] = ["The message field must be a string."]
        challenge = given.get("challenge_id")
        if challenge is not None and (not is_number(challenge) or challenge not in self.community.challenges):
            errors["challenge_id"] = ["The selected challenge id is invalid."]
        return errors

    async def ambassadors(self, request: Request) -> Response:
        self.gate.admit(request)
        query = request.query_params
        rows = self.community.search(query.get("filter[ambassador_search]", ""))
        for name in ("active", "status"):
            if wanted := query.get(f"filter[{name}]"):
                rows = [one for one in rows if str(getattr(one, name)) in wanted.split(",")]
        order = query.get("sort", "id_ambassador")
        field = order.removeprefix("-")
        if field not in SORTED:
            raise Refusal(400, f"Requested sort(s) `{field}` is not allowed.")
        rows.sort(key=lambda one: (getattr(one, field) is None, getattr(one, field)), reverse=order != field)
        return JSONResponse(page([{**asdict(one), "online": False} for one in rows], request))

    async def ambassador(self, request: Request) -> Response:
        self.gate.admit(request, manager=False)
        names = ("id_ambassador", "id_brand", "customer_id", "firstname", "lastname", "full_name")
        who = self._ambassador(request)
        return JSONResponse({**shown(who, *names, "gamification_score", "active", "status"), "online": False})

    async def challenge(self, request: Request) -> Response:
        self.gate.admit(request)
        challenge = self.community.challenges.get(request.path_params["id"])
        if challenge is None:
            raise missing(Challenge.__name__, request.path_params["id"])
        return JSONResponse({**challenge.described(), "active": challenge.active})

    def _ambassador(self, request: Request) -> Ambassador:
        found = self.community.ambassadors.get(request.path_params["id"])
        if found is None:
            raise missing(Ambassador.__name__, request.path_params["id"])
        return found

    async def join(self, request: Request) -> Response:
        """Ambassadors from outside the API: one or a list, as `{"id": 7, "email": "ann@example.com"}`."""
        given = await request.json()
        for one in given if isinstance(given, list) else [given]:
            self.community.join(int(one["id"]), **{name: value for name, value in one.items() if name != "id"})
        return JSONResponse(self.community.known())

    async def move(self, request: Request) -> Response:
        """Somebody else's doing: `{"id": 7, "score": 10, "points": 10}`."""
        given = await request.json()
        self.community.move(int(given["id"]), score=given.get("score", 0), points=given.get("points", 0))
        return JSONResponse(self.community.known())

    async def change(self, request: Request) -> Response:
        """All tokens end. `{"revoked": true}`: the key is good no longer; `{"manages": false}`: nor for the Manager."""
        given = await form(request)
        self.gate.tokens.clear()
        self.gate.api_key = "" if given.get("revoked") else self.gate.api_key
        self.gate.manages = bool(given.get("manages", self.gate.manages))
        return JSONResponse({"issued": self.gate.issued, "manages": self.gate.manages})


def shown(who: Ambassador, *names: str) -> dict[str, Any]:
    return {name: getattr(who, name) for name in names}


def page(rows: Sequence[dict[str, Any]], request: Request) -> dict[str, Any]:
    """One page of Laravel's paginator, with the addresses of the others."""
    query = request.query_params
    size = min(whole(query.get("per_page"), PER_PAGE), MOST_PER_PAGE)
    number, last = whole(query.get("page"), 1), max(1, -(-len(rows) // size))
    path = str(request.url.replace(query=""))

    def address(one: int) -> str | None:
        return f"{path}?{urlencode({'page': one})}" if 1 <= one <= last else None

    data = rows[(number - 1) * size : number * size]
    return {
        "current_page": number,
        "data": data,
        "first_page_url": address(1),
        "from": (number - 1) * size + 1 if data else None,
        "last_page": last,
        "last_page_url": address(last),
        "links": [{"url": address(one), "label": str(one), "active": one == number} for one in range(1, last + 1)],
        "next_page_url": address(number + 1),
        "path": path,
        "per_page": size,
        "prev_page_url": address(number - 1),
        "to": (number - 1) * size + len(data) if data else None,
        "total": len(rows),
    }


async def form(request: Request) -> dict[str, Any]:
    """The body; an empty one where it is not a JSON object, which Laravel takes for a form without fields."""
    try:
        given = json.loads(await request.body())
    except ValueError:
        given = None
    return given if isinstance(given, dict) else {}


def whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and int(text) else otherwise


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return JSONResponse(error.body, error.status)


async def lost(request: Request, error: Exception) -> Response:
    """A path that is none, or not for this method: in JSON to those who ask for JSON."""
    assert isinstance(error, HTTPException)
    path = request.url.path.lstrip("/")
    said = f"The route {path} could not be found."
    if error.status_code == 405:
        said = f"The {request.method} method is not supported for route {path}."
    if "json" in request.headers.get("accept", ""):
        return JSONResponse({"message": said}, error.status_code)
    return HTMLResponse(f"<!doctype html><title>{error.status_code}</title>", error.status_code)
