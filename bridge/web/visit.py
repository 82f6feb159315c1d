"""One request at the customers' door: who asks, for what, and how it is answered when something is wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bridge.app import Bridge
from bridge.config import SourceTable
from bridge.flows import join, verify
from bridge.flows.link import Taken
from bridge.flows.reached import Row
from bridge.flows.refuse import refused
from bridge.flows.scene import Scene
from bridge.kit import FlowError, Inbound, Misconfigured, ScopesMissing, Ticket, TooLarge, Unavailable
from bridge.kit import tickets as signing
from bridge.kit.errors import StoreError
from bridge.kit.query import once, pairs

from . import views
from .browser import Browser, Patience, browser_of, from_our_page, shielded, wants_json
from .guard import body_of, headers_of
from .pages import render
from .telling import place

log = structlog.get_logger("connect")

#: What a form of ours may come to: a handle, or a link that was pasted.
LARGEST_FORM = 16 * 1024

#: Endpoint of one visit: what everything here is made of.
Visit = Callable[["Visitor"], Awaitable[Response]]


class Visitor:
    """One request at this door: who asks, for what, when."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.bridge: Bridge = request.app.state.bridge
        self.scene: Scene = self.bridge.scene("customer")
        self.browser: Browser = browser_of(request, self.bridge)
        self.query: str = request.scope.get("query_string", b"").decode("utf-8", "surrogateescape")
        self.source: SourceTable | None = self.scene.config.sources.get(request.path_params.get("source", ""))
        self.action: str = request.path_params.get("action", "")
        self.claim: Row | None = None
        self.noted = False  # whether the audit log knows how it ended
        self.patience: Patience = request.app.state.patience  # starts for each customer and action

    @property
    def table(self) -> SourceTable:
        assert self.source is not None
        return self.source

    @property
    def key(self) -> str:
        return f"{self.table.name}.{self.action}"

    def show(self, page: views.Page) -> Response:
        return render(page, self.request)

    def go(self, address: str) -> Response:
        """Lead the browser on; whoever draws their own page is told where to."""
        if wants_json(self.request):
            return self.show(views.Leave(address=address, **self.known()))
        return RedirectResponse(address, status_code=303)

    def known(self) -> dict[str, Any]:
        """What every page can say, whatever went wrong."""
        found: dict[str, Any] = {}
        if join.offered(self.source, self.action, self.scene):
            found["place"] = place(self.table, self.action)
        if self.claim is not None:
            found |= {"number": self.claim["number"], "back": self.claim["back"], "began": True}
        return found

    def ticket(self) -> Ticket:
        """The ticket in the address. Anything else: `BadTicket`."""
        return signing.read(self.query, self.scene.config.tickets, self.key, self.scene.now)

    async def bound(self) -> Row | None:
        """The claim that this browser has begun here."""
        id_ = self.browser.claims.get(self.key)
        if id_ is None:
            return None
        row = await self.bridge.db.read(lambda tx: join.find(tx, id_))
        fits = row is not None and (row["source"], row["action"]) == (self.table.ledger, self.action)
        return row if fits else None

    async def form(self) -> Mapping[str, str]:
        """The fields of a form of ours, each of which came once."""
        body = await body_of(self.request.headers, self.request.receive, LARGEST_FORM)
        try:
            return once(pairs(body.decode()))
        except ValueError:
            return {}

    def wake(self, targets: frozenset[str]) -> None:
        for target in targets:
            self.bridge.worker.wake(target)


def endpoint(visit: Visit, *, posts: bool = False) -> Callable[[Request], Awaitable[Response]]:
    """A visit with its errors as pages, and what no page of ours allows."""

    async def answer(request: Request) -> Response:
        visitor = Visitor(request)
        try:
            if posts and not from_our_page(request.headers, visitor.scene.config.public_url):
                response = visitor.show(views.Elsewhere(**visitor.known()))
            else:
                response = await visit(visitor)
        except (FlowError, Unavailable, TooLarge) as error:
            response = visitor.show(wrong(visitor, error))
            await _noted(visitor, error)
        except StoreError as error:
            log.error("a customer could not be served", error=error.message)
            response = visitor.show(views.Unavailable(**visitor.known()))
        except Exception:
            log.exception("a customer met a bug of ours", path=request.url.path)
            response = visitor.show(views.Broken(**visitor.known()))
        return shielded(response, visitor.bridge)

    return answer


async def _noted(visitor: Visitor, error: Exception) -> None:
    """Every way that ended is noted: with its claim in the audit log, without one among the refused requests."""
    bridge, claim = visitor.bridge, visitor.claim
    reason = error.reason if isinstance(error, FlowError) else "unavailable"
    if claim is not None:
        if not visitor.noted:

            async def write(tx: Any) -> None:
                await verify.entry(tx, visitor.scene, "claim.stopped", claim["id"], reason=reason)

            with suppress(StoreError):
                await bridge.db.transact(write)
    elif isinstance(error, FlowError):
        headers, repeated = headers_of(visitor.request.scope)
        inbound = Inbound(
            source=visitor.source.name if visitor.source else "(unknown)",
            method=visitor.request.method,
            url=f"{bridge.config.public_url}{visitor.request.url.path}",  # what follows is the customer's
            headers=headers,
            body=b"",
            received_at=visitor.scene.now,
            repeated=repeated,
        )
        bridge.ledger.refuse(
            refused(bridge.ids("rej"), inbound, visitor.source, error, "", public_url=bridge.config.public_url)
        )


def wrong(visitor: Visitor, error: Exception) -> views.Page:
    """What went wrong, as the page with the next step."""
    known, name = visitor.known(), visitor.source.name if visitor.source else "(unknown)"
    if isinstance(error, Taken):
        reason: str = error.reason
        page: views.Page = views.Taken(handle=error.handle, until=error.until, **known)
    elif isinstance(error, FlowError):
        reason = error.reason
        missing = error.missing if isinstance(error, ScopesMissing) else ()
        page = views.Stopped(status=error.status, reason=reason, missing=missing, **known)
    elif isinstance(error, TooLarge):
        reason, page = "too_long", views.Stopped(status=413, reason="too_long", **known)
    else:
        ours = isinstance(error, Misconfigured)
        reason, page = "misconfigured" if ours else "unavailable", views.Unavailable(busy=not ours, **known)
    visitor.bridge.ledger.count("stopped", f"{name} {reason}")
    log.info("a customer's way ended", source=name, action=visitor.action, reason=reason)
    return page
