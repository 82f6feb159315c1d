"""
`/connect/...`: the customers' door.

| route | does |
|---|---|
| `GET /connect/{source}/{action}?ticket` | changes nothing: previews of messengers fetch every link |
| `POST /connect/{source}/{action}?ticket` | binds the ticket to this browser and begins |
| `GET /connect/{source}/callback` | the way back from a platform |
| `GET /connect/{source}/client.json` | who we are, for platforms that know applications by an address |
| `POST .../check`, `.../confirm`, `.../unlink` | the buttons of a claim's page |

A POST counts only from a page of ours. Nothing is written before a good ticket and a POST.
"""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from typing import Any

from joserfc.jwk import ECKey
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from bridge.flows import codes, connect, join, operate, setup, verify
from bridge.flows.desk import here
from bridge.flows.reached import Row
from bridge.kit import (
    BadTicket,
    ExpiredTicket,
    FlowError,
    HomeUnknown,
    Misconfigured,
    NotSignedIn,
    OAuth,
    StateMismatch,
    Ticket,
)
from bridge.kit import tickets as signing
from bridge.kit.query import once, pairs

from . import views
from .browser import in_app, remember, wants_json
from .telling import page_of, place, welcome
from .visit import Visitor, endpoint

#: How long the ticket is good that we sign for whom a shop's own proxy vouches for.
PROXIED = timedelta(minutes=5)

# --- the claim's page -------------------------------------------------------------------------------------------


async def look(visitor: Visitor) -> Response:
    """`GET`: where this customer's claim is, or what they are asked to begin. Changes nothing."""
    if not join.offered(visitor.source, visitor.action, visitor.scene):
        return visitor.show(views.Nothing())
    bridge, scene, source, action = visitor.bridge, visitor.scene, visitor.table, visitor.action
    if proxied := _proxied(visitor):
        return RedirectResponse(proxied, status_code=303)
    visitor.claim = mine = await visitor.bound()
    try:
        ticket = visitor.ticket()
    except BadTicket as error:
        if mine is None or ("sign=" in visitor.query and not isinstance(error, ExpiredTicket)):
            raise  # a link that is over still leads to what this browser has begun
        return visitor.show(await page_of(bridge, mine, source, visitor.browser, scene))
    claim = await bridge.db.read(lambda tx: join.standing_claim(tx, source, action, ticket.customer, scene))
    if claim is not None and (
        (mine is not None and mine["id"] == claim["id"])
        or (visitor.browser.mark and claim["browser"] == visitor.browser.mark)
    ):
        visitor.claim = claim
        return visitor.show(await page_of(bridge, claim, source, visitor.browser, scene))
    visitor.claim = None
    post = f"{place(source, action).path}?{visitor.query}"
    more: dict[str, Any] = {"in_app": in_app(visitor.request.headers), "again": claim is not None}
    return visitor.show(await welcome(bridge, source, action, scene, post=post, ticket=ticket, **more))


def _proxied(visitor: Visitor) -> str:
    """A shop's proxy vouches for its customer: the address with a ticket of ours; '': it does not."""
    try:
        given = once(pairs(visitor.query))
    except ValueError:
        return ""
    if "signature" not in given or "sign" in given:
        return ""
    scene, error = visitor.scene, None
    for shop in scene.config.sources.values():
        if shop.provider.ticket is None:
            continue
        try:
            told = shop.provider.ticket(visitor.query, shop.secrets, shop.settings, scene.now)
        except FlowError as refusal:
            error = refusal
            continue
        if shop.customer != "id" or not scene.config.tickets:
            raise Misconfigured("the proxy tells a customer's id; the shop must name customers by it")
        # The proxy takes cookies away, so the rest happens at our own address.
        own = Ticket(customer=f"{shop.customer_prefix}{told.customer}", expires=scene.now + PROXIED)
        query = signing.sign(scene.config.tickets[0], visitor.key, own)
        return f"{scene.config.public_url}{place(visitor.table, visitor.action).path}?{query}"
    raise error or NotSignedIn()


async def begin(visitor: Visitor) -> Response:
    """`POST`: the ticket, or the claim of this browser, goes on to the platform's sign-in or to a code."""
    if not join.offered(visitor.source, visitor.action, visitor.scene):
        return visitor.show(views.Nothing())
    bridge, scene, source, action = visitor.bridge, visitor.scene, visitor.table, visitor.action
    ticket: Ticket | None = None
    claim = await visitor.bound()
    if visitor.query or claim is None:
        ticket = visitor.ticket()
    form = await visitor.form()
    if claim is not None and ticket is None and claim["state"] == "expired":
        ticket = Ticket(customer=claim["customer"], return_to=claim["back"])  # this browser has shown one before
    if ticket is not None:
        asked_for = ticket
        name = f"{asked_for.customer} {visitor.key}"
        if wait := visitor.patience.wait(name):
            return visitor.show(views.TooOften(wait=wait, **visitor.known()))
        claim = await bridge.db.transact(lambda tx: join.join(tx, source, action, asked_for, scene))
    elif claim is not None and (wait := visitor.patience.wait(claim["id"])):
        return visitor.show(views.TooOften(wait=wait, **visitor.known()))
    assert claim is not None
    visitor.claim = claim
    visitor.browser.bind(visitor.key, claim["id"])
    if claim["state"] == "rejected":
        return remember(visitor.go(place(source, action).path), visitor.browser, bridge)
    if claim["state"] in ("review", "verified") and claim["browser"] == visitor.browser.mark:
        return remember(visitor.go(place(source, action).path), visitor.browser, bridge)
    if form.get("way") == "code" or source.provider.door(await bridge.desk.settings(source)) is None:
        await codes.give(bridge.desk, claim, source, visitor.browser.mark, scene, _digits)
        return remember(visitor.go(place(source, action).path), visitor.browser, bridge)
    chance = connect.Chance(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        key=lambda: json.dumps(ECKey.generate_key("P-256", private=True).as_dict(private=True)),
    )
    home = form.get("home", "")
    try:
        address = await connect.start(bridge.desk, claim, source, visitor.browser.mark, scene, chance, home=home)
    except HomeUnknown:
        post = place(source, action).path
        more: dict[str, Any] = {"status": 400, "typed": home[:512], "home_wrong": True, "began": True}
        page = await welcome(bridge, source, action, scene, post=post, claim=claim, **more)
        return remember(visitor.show(page), visitor.browser, bridge)
    return remember(visitor.go(address), visitor.browser, bridge)


def _digits() -> str:
    return f"{secrets.randbelow(10**6):06d}"


async def back(visitor: Visitor) -> Response:
    """`GET .../callback`: what the platform sent the customer back with."""
    if visitor.source is None:
        return visitor.show(views.Nothing())
    brand = visitor.source.provider.brand
    if brand is not None and await setup.begun(visitor.bridge.desk, visitor.query):
        account = await setup.signed_in(visitor.bridge.desk, visitor.source, visitor.query, visitor.scene)
        return PlainTextResponse(f"{account.handle or account.id} is signed in. This page can be closed.\n")
    if not visitor.browser.mark:
        raise StateMismatch()  # nobody without our cookie has begun anything
    ended = await connect.callback(
        visitor.bridge.desk, visitor.table, visitor.query, visitor.browser.mark, visitor.scene
    )
    visitor.claim, visitor.action = ended.claim, ended.claim["action"]
    visitor.wake(ended.targets)
    if ended.error is not None:
        visitor.noted = True
        raise ended.error
    visitor.browser.bind(visitor.key, ended.claim["id"])
    return remember(visitor.go(place(visitor.table, visitor.action).path), visitor.browser, visitor.bridge)


# --- the buttons of a claim's page ------------------------------------------------------------------------------


async def _own(visitor: Visitor) -> Row:
    """The claim of this browser. There is none: `StateMismatch`."""
    claim = await visitor.bound() if join.offered(visitor.source, visitor.action, visitor.scene) else None
    if claim is None:
        raise StateMismatch()
    visitor.claim = claim
    return claim


async def _after(visitor: Visitor, claim: Row) -> Response:
    """After a button: the page by its own address, so that reloading it presses nothing."""
    if wants_json(visitor.request):
        scene = visitor.bridge.scene("customer")
        return visitor.show(await page_of(visitor.bridge, claim, visitor.table, visitor.browser, scene))
    return RedirectResponse(place(visitor.table, visitor.action).path, status_code=303)


async def check(visitor: Visitor) -> Response:
    """`POST .../check`: ask now."""
    claim = await _own(visitor)
    given = (await visitor.form()).get("given", "").strip()[:2048]
    settled, wait = await verify.press(visitor.bridge.desk, claim["id"], visitor.scene, given=given)
    if wait:
        return visitor.show(views.TooOften(wait=wait, **visitor.known()))
    visitor.wake(settled.targets)
    return await _after(visitor, settled.claim)


async def confirm(visitor: Visitor) -> Response:
    """`POST .../confirm`: yes, that account is mine."""
    claim = await _own(visitor)
    settled = await codes.confirm(visitor.bridge.desk, claim, visitor.browser.mark, visitor.table, visitor.scene)
    visitor.wake(settled.targets)
    return await _after(visitor, settled.claim)


async def unlink(visitor: Visitor) -> Response:
    """`POST .../unlink`: this account is no longer to be connected. Only for the browser that has signed in."""
    claim, source = await _own(visitor), visitor.table
    account = claim["account"]
    if account is None or claim["browser"] != visitor.browser.mark:
        raise StateMismatch()
    scene = visitor.scene

    async def work(tx: Any) -> list[str]:
        return await operate.unlink_own(tx, source, account, claim["customer"], scene)

    touched = await visitor.bridge.db.transact(work)
    return visitor.show(views.Unlinked(handle=claim["handle"], withdrawn=len(touched), **visitor.known()))


async def document(visitor: Visitor) -> Response:
    """`GET .../client.json`: who we are."""
    oauth = visitor.source.provider.door(visitor.source.settings) if visitor.source else None
    if not isinstance(oauth, OAuth) or oauth.document is None:
        return visitor.show(views.Nothing())
    told = oauth.document(here(visitor.table, visitor.scene), visitor.table.settings)
    return JSONResponse(told, headers={"cache-control": "public, max-age=300"})


ROUTES = [
    Route("/connect/{source}/callback", endpoint(back), methods=["GET"]),
    Route("/connect/{source}/client.json", endpoint(document), methods=["GET"]),
    Route("/connect/{source}/{action}", endpoint(look), methods=["GET"]),
    Route("/connect/{source}/{action}", endpoint(begin, posts=True), methods=["POST"]),
    Route("/connect/{source}/{action}/check", endpoint(check, posts=True), methods=["POST"]),
    Route("/connect/{source}/{action}/confirm", endpoint(confirm, posts=True), methods=["POST"]),
    Route("/connect/{source}/{action}/unlink", endpoint(unlink, posts=True), methods=["POST"]),
]
