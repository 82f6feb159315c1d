"""Voyado Engage's API, v3, as its documentation describes it: challenges, and finding contacts.

https://developer.voyado.com/docs/loyalty/challenges and the pages beside it. A call with wrong rows is answered
200 all the same: the answer lists what was skipped.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from .challenges import STATUSES, Definition, Engage
from .standin import Clock, StandIn

ROWS = 1000  # in one call, says the client that Voyado generated
PER_SECOND = 200  # for each key. https://developer.voyado.com/docs/api/the-engage-api, Rate limit
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FILTERS = ("All", "Active", "Completed", "NotCompleted")
AT_LARGE = {
    401: ("Unauthorized", "The API key is missing or not valid."),
    429: ("TooManyRequests", "API calls quota exceeded."),
    500: ("", "An error has occurred."),
    503: ("", "The service is unavailable."),
}


class Refusal(Exception):
    """An error answer."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.status, self.code, self.message = status, code, message


def voyado(
    engage: Engage,
    *,
    api_key: str,
    clock: Clock,
    key_header: str = "apikey",
    custom_key: Literal["member", "external", ""] = "external",
    errors: Literal["object", "text"] = "object",
    fine: Any = None,
    per_second: int = PER_SECOND,
) -> StandIn:
    """
    The API over one tenant.

    What the pages leave open: which header carries the key, what `customKey` means, the shape of `errors`, and
    what is answered when all is `fine`; None: three empty lists.
    """
    api = Api(engage, clock, api_key, key_header, custom_key, errors, fine, per_second)
    root = "/api/v3"
    vendor = Starlette(
        routes=[
            Route(f"{root}/contacts/id", api.find),
            Route(f"{root}/contacts/{{type}}/byexternalid/{{external:path}}", api.by_external_id),
            Route(f"{root}/challenges", api.challenges),
            Route(f"{root}/challenges/checkpoints", api.checkpoints, methods=["POST"]),
            Route(f"{root}/challenges/definitions", api.definitions),
            Route(f"{root}/challenges/definitions/{{id}}", api.definition),
            Route(f"{root}/challenges/definitions/{{id}}/assign", api.assign, methods=["POST"]),
            Route(f"{root}/challenges/{{id}}", api.challenge),
        ],
        exception_handlers={Refusal: api.refuse, 404: nowhere},
    )
    return StandIn(
        vendor,
        clock=clock,
        state=engage.known,
        error=lambda status: api.error(*AT_LARGE.get(status, AT_LARGE[500])),
        also=[
            Route("/sandbox/contacts", api.add_contacts, methods=["POST"]),
            Route("/sandbox/definitions", api.add_definitions, methods=["POST"]),
        ],
    )


@dataclass
class Api:
    """The routes."""

    engage: Engage
    clock: Clock
    api_key: str
    key_header: str
    custom_key: str
    errors: str
    fine: Any
    per_second: int
    calls: deque[datetime] = field(default_factory=deque)  # of the last second

    def admit(self, request: Request) -> None:
        """Passes, or raises what to answer. https://developer.voyado.com/en/api/api-authentication.html"""
        if request.headers.get(self.key_header) != self.api_key:
            raise Refusal(401, *AT_LARGE[401])
        if not re.match(r"[^/\s]+/\S+", request.headers.get("user-agent", "")):
            raise Refusal(400, "MissingUserAgent", "User-Agent must name the system and its version.")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refusal(500, *AT_LARGE[500])  # so they say, of a GET too
        now = self.clock()
        while self.calls and now - self.calls[0] >= timedelta(seconds=1):
            self.calls.popleft()
        if len(self.calls) >= self.per_second:
            raise Refusal(429, *AT_LARGE[429])
        self.calls.append(now)

    async def find(self, request: Request) -> Response:
        """https://developer.voyado.com/docs/contacts/identify-contact/find-contact"""
        self.admit(request)
        query = request.query_params
        email, mobile, key = (query.get(name, "") for name in ("email", "mobilePhone", "customKey"))
        if not (email or mobile or key):
            raise Refusal(400, "InvalidSearchQuery")
        if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            raise Refusal(400, "InvalidEmailAddress")
        if mobile and not re.fullmatch(r"\+[0-9]{6,15}", mobile):
            raise Refusal(400, "InvalidPhoneNumber")
        if key and not self.custom_key:
            raise Refusal(500, "InvalidSystemConfiguration")
        names = {"email": email, "mobile": mobile, "type": self._type(query.get("contactType", ""))}
        found = self.engage.known_by(**names, **({self.custom_key: key} if key else {}))
        if not found:
            raise Refusal(404, "ContactNotFound")
        if len(found) > 1:
            raise Refusal(409, "MultipleMatches")
        return JSONResponse(found[0].id)

    async def by_external_id(self, request: Request) -> Response:
        self.admit(request)
        external, kind = request.path_params["external"], self._type(request.path_params["type"])
        for one in self.engage.known_by(external=external, type=kind):
            attributes = {"externalId": one.external, "memberNumber": one.member, "email": one.email}
            return JSONResponse({"id": one.id, "attributes": attributes, "meta": {}, "preferences": {}, "consents": []})
        return Response(status_code=404)

    def _type(self, named: str) -> str:
        types = {one.type.lower(): one.type for one in self.engage.contacts.values()}
        if named and named.lower() not in types:
            raise Refusal(400, "InvalidContactType")
        return types.get(named.lower(), "")

    async def challenges(self, request: Request) -> Response:
        self.admit(request)
        query = request.query_params
        contact = self._guid(query.get("contactId", ""), "contactId")
        definition = self._guid(query["definitionId"], "definitionId") if query.get("definitionId") else ""
        wanted = query.get("filter", "All")
        if wanted not in FILTERS:
            raise Refusal(400, "InvalidFilter")
        if contact not in self.engage.contacts:
            raise Refusal(404, "ContactNotFound")
        found = [one for one in self.engage.of(contact, definition) if wanted in one.filters]
        return self._page(request, [self.engage.challenge(one) for one in found])

    async def challenge(self, request: Request) -> Response:
        self.admit(request)
        found = self.engage.challenges.get(self._guid(request.path_params["id"], "challengeId"))
        if found is None:
            raise Refusal(404, "ChallengeNotFound")
        shown = self.engage.challenge(found)
        root = f"{request.base_url}api/v3/challenges"
        links = [
            {"id": found.id, "href": f"{root}/{found.id}", "method": "GET", "rel": "self"},
            {"id": found.definition.id, "href": f"{root}/definitions/{found.definition.id}", "method": "GET"}
            | {"rel": "definition"},
        ]
        return JSONResponse(shown | {"links": links})

    async def definitions(self, request: Request) -> Response:
        self.admit(request)
        wanted = request.query_params.get("status", "All")
        if wanted not in STATUSES:
            raise Refusal(400, "InvalidStatus")
        found = [one for one in self.engage.definitions.values() if wanted in ("All", one.status)]
        return self._page(request, [self.engage.definition(one) for one in found])

    async def definition(self, request: Request) -> Response:
        self.admit(request)
        return JSONResponse(self.engage.definition(self._definition(request)))

    async def assign(self, request: Request) -> Response:
        """Always activates: whether the contact agreed is the caller's to know. True where it was assigned before."""
        self.admit(request)
        definition = self._definition(request)
        contact = self._guid(request.query_params.get("contactId", ""), "contactId")
        if contact not in self.engage.contacts:
            raise Refusal(404, "ContactNotFound")
        self.engage.assign(contact, definition.id, self.clock())
        return JSONResponse(True)

    async def checkpoints(self, request: Request) -> Response:
        self.admit(request)
        try:
            rows = json.loads(await request.body())
        except ValueError:
            rows = None
        if not isinstance(rows, list) or len(rows) > ROWS:
            raise Refusal(400, "InvalidRequest", f"A list of at most {ROWS} rows is needed.")
        key = request.headers.get("webhook-id") or request.headers.get("idempotency-key", "")
        contacts, definitions, skipped = list[str](), list[str](), list[Any]()
        for row in rows:
            definition, contact, amount = _read(row)
            if definition and definition not in self.engage.definitions:
                definitions.append(definition)
            if contact and contact not in self.engage.contacts:
                contacts.append(contact)
            good = definition and contact and amount > 0
            if not (good and self.engage.add(contact, definition, amount, self.clock(), key=key)):
                skipped.append(row)
        if not skipped and self.fine is not None:
            return JSONResponse(self.fine)
        missing = {"missingContactIds": contacts, "missingDefinitionIds": definitions}
        return JSONResponse({**missing, "notAccepted": skipped})

    def _definition(self, request: Request) -> Definition:
        found = self.engage.definitions.get(self._guid(request.path_params["id"], "definitionId"))
        if found is None:
            raise Refusal(404, "ChallengeDefinitionNotFound")
        return found

    def _guid(self, text: str, field: str) -> str:
        if not GUID.fullmatch(text):
            raise Refusal(400, "InvalidRequest", f"{field} is not valid.")
        return text.lower()

    def _page(self, request: Request, rows: Sequence[Any]) -> Response:
        """A part of a list, with links to those before and after."""
        try:
            offset = int(request.query_params.get("offset", 0))
            count = int(request.query_params.get("count", 100))
        except ValueError:
            raise Refusal(400, "InvalidRequest", "offset and count are numbers.") from None
        if offset < 0 or count < 1:
            raise Refusal(400, "InvalidRequest", "offset begins at 0, count at 1.")
        shown = list(rows[offset : offset + count])

        def link(rel: str, at: int, there: bool) -> dict[str, str]:
            href = str(request.url.include_query_params(offset=at, count=count)) if there else ""
            return {"href": href, "method": "GET", "rel": rel}

        links = [
            link("previous", max(0, offset - count), offset > 0),
            link("next", offset + count, offset + count < len(rows)),
        ]
        told = {"links": links, "count": len(shown), "offset": offset, "items": shown, "totalCount": len(rows)}
        return JSONResponse(told)

    async def add_contacts(self, request: Request) -> Response:
        """Contacts from outside the API: one, or a list."""
        given = await request.json()
        for one in given if isinstance(given, list) else [given]:
            self.engage.join(**{str(field): str(value) for field, value in one.items()})
        return JSONResponse(self.engage.known())

    async def add_definitions(self, request: Request) -> Response:
        given = await request.json()
        for one in given if isinstance(given, list) else [given]:
            self.engage.offer(Definition(**one))
        return JSONResponse(self.engage.known())

    def error(self, code: str, message: str) -> Any:
        return {"errorCode": code, "message": message} if self.errors == "object" else code or message

    async def refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return JSONResponse(self.error(error.code, error.message), error.status)


def _read(row: Any) -> tuple[str, str, int]:
    """Definition, contact, amount; what is none of those is empty, or 0."""
    given = row if isinstance(row, dict) else {}
    definition, contact, amount = (given.get(name) for name in ("definitionId", "contactId", "checkpointAmount"))
    ids = [one.lower() if isinstance(one, str) and GUID.fullmatch(one) else "" for one in (definition, contact)]
    return ids[0], ids[1], amount if isinstance(amount, int) and not isinstance(amount, bool) else 0


async def nowhere(request: Request, error: Exception) -> Response:
    """Whatever stands at an address that is no tenant's."""
    return HTMLResponse("<!doctype html><title>404</title><h1>Not found</h1>", 404)
