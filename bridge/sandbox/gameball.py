"""Gameball's Integrations API, v4.0 and v4.1, as its documentation describes it.

https://docs.gameball.co/api-reference/customers/management/achieve-social-campaign and the pages beside
it. Accepted is not rewarded: a call is answered 202, and the reward comes later or never.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .gate import QUOTAS, Gate, Refusal
from .ledger import Entry
from .program import Member, Program
from .standin import Clock, StandIn

MANUAL = "transactions/transaction-management/manual-transaction"


def gameball(
    program: Program,
    *,
    api_key: str,
    secret_key: str,
    clock: Clock,
    quotas: Mapping[str, tuple[int, int]] = QUOTAS,
    thinks: float = 0.0,
    least: str = "v4.0",
) -> StandIn:
    """
    The API over one merchant's program.

    `thinks`: seconds for which a customer's request occupies the customer. `least`: the oldest version served.
    """
    gate = Gate(api_key, secret_key, clock, quotas, least=least)
    api = Api(program, gate, clock, thinks)
    root = "/api/{version}/integrations"
    vendor = Starlette(
        routes=[
            Route(f"{root}/customers/social-challenges", api.achieve, methods=["POST"]),
            Route(f"{root}/customers", api.upsert, methods=["POST"]),
            # A customer's id may hold a slash, which arrives encoded and is decoded before it is routed.
            Route(f"{root}/customers/{{customer:path}}/reward-campaigns-progress", api.progress),
            Route(f"{root}/customers/{{customer:path}}", api.customer),
            Route(f"{root}/configurations/reward-campaigns", api.campaigns),
            Route(f"{root}/transactions", api.transactions),
            Route(f"{root}/transactions/manual", api.manual, methods=["POST"]),
        ],
        exception_handlers={Refusal: gate.refuse},
    )
    return StandIn(
        vendor,
        clock=clock,
        state=lambda: program.known(clock()),
        error=gate.error,
        also=[Route("/sandbox/customers", api.add, methods=["POST"])],
    )


class Api:
    """The routes."""

    def __init__(self, program: Program, gate: Gate, clock: Clock, thinks: float) -> None:
        self.program = program
        self.gate = gate
        self.clock = clock
        self.thinks = thinks
        self.busy: set[str] = set()

    async def achieve(self, request: Request) -> Response:
        self.gate.admit(request, "other", secret=True, social=True)
        given = await self._object(request)
        name = given.get("customerId")
        if not name:
            raise Refusal(400, 3000, "PAYLOAD_ERROR", "customer id is missing")
        if not given.get("challengeId"):
            raise Refusal(400, 3000, "PAYLOAD_ERROR", "rewards campaign handle is missing")
        campaign = given["challengeId"]
        if not isinstance(name, str) or len(name) > 100:
            raise Refusal(422, 3003, "PAYLOAD_ERROR", "invalid customerId value")
        if not isinstance(campaign, int) or isinstance(campaign, bool) or campaign < 1:
            raise Refusal(422, 3003, "PAYLOAD_ERROR", "invalid challengeId value")
        member = self.program.find(name, email=_text(given, "email"), mobile=_text(given, "mobile"))
        if member is None:
            raise Refusal(404, 4004, "GENERAL_ERROR", "customer does not exist")
        async with self._alone(member):
            if self.program.repeated(member, campaign, self.clock()):
                raise Refusal(400, 4000, "GENERAL_ERROR", "can't send this action multiple times")
            headers = request.headers
            key = headers.get("webhook-id") or headers.get("idempotency-key", "")
            self.program.submit(member, campaign, self.clock(), key=key)
        return JSONResponse({"customerId": name, "challengeId": campaign, **self._status()}, 202)

    @asynccontextmanager
    async def _alone(self, member: Member) -> AsyncIterator[None]:
        """One request of a customer at a time; another one is refused, not made to wait."""
        if member.id in self.busy:
            raise Refusal(422, 2001, "REQUEST_ERROR", "another concurrent request is in progress for this customer")
        self.busy.add(member.id)
        try:
            if self.thinks:
                await asyncio.sleep(self.thinks)
            yield
        finally:
            self.busy.discard(member.id)

    def _status(self) -> dict[str, str]:
        if self.program.enabled:
            return {}
        return {
            "gameballStatus": "disabled",
            "message": "Gameball is currently disabled for this account.",
            "learnMore": "https://help.gameball.co/",
        }

    async def upsert(self, request: Request) -> Response:
        self.gate.admit(request, "POST customers")
        given = await self._object(request)
        if not _text(given, "customerId"):
            raise Refusal(400, 3000, "PAYLOAD_ERROR", "customer id is missing", "customers/management/create-customer")
        attributes = given.get("customerAttributes")
        email, mobile = _text(given, "email"), _text(given, "mobile")
        known = self.program.find(given["customerId"], email=email, mobile=mobile)
        member = self.program.join(
            known.id if known else given["customerId"],
            email=email,
            mobile=mobile,
            **(attributes if isinstance(attributes, dict) else {}),
        )
        return JSONResponse({"gameballId": member.number})

    async def add(self, request: Request) -> Response:
        """Customers from outside the API: one, or a list of names or objects."""
        given = await request.json()
        for one in given if isinstance(given, list) else [given]:
            wanted = {"id": one} if isinstance(one, str) else dict(one)
            self.program.join(str(wanted.pop("id")), **wanted)
        return JSONResponse(self.program.known(self.clock()))

    async def customer(self, request: Request) -> Response:
        self.gate.admit(request, "GET customers")
        member = self._member(request)
        return JSONResponse(
            {
                "gameballId": member.number,
                "customerId": member.id,
                "customerAttributes": {"custom": {}, "tags": []},
                "referralCode": f"REF{member.number}",
                "isReferred": False,
            }
        )

    async def progress(self, request: Request) -> Response:
        self.gate.admit(request, "GET customers", secret=True)
        asked = request.query_params.get("campaignId")
        campaign = None
        if asked is not None:
            try:
                campaign = int(asked)
            except ValueError:
                message = "The value is not valid for campaignId."
                raise Refusal(400, 3016, "PAYLOAD_ERROR", message) from None
            if campaign <= 0:
                message = "invalid campaignid value. the campaign id must be a positive integer."
                raise Refusal(422, 3003, "PAYLOAD_ERROR", message)
        return JSONResponse(self.program.progress(self._member(request), self.clock(), campaign=campaign))

    async def campaigns(self, request: Request) -> Response:
        self.gate.admit(request, "other")
        customer = request.query_params.get("customerId", "")
        now = self.clock()
        return JSONResponse(
            [
                one.described()
                for one in self.program.campaigns.values()
                if one.active and (not customer or one.open_to(customer, now))
            ]
        )

    async def transactions(self, request: Request) -> Response:
        self.gate.admit(request, "transactions", secret=True)
        self.program.settle(self.clock())
        query = request.query_params
        customer, direction, status = (query.get(name, "") for name in ("customerId", "direction", "status"))
        try:
            limit, after = min(int(query.get("limit", 50)), 200), int(query.get("startAfter", 0))
        except ValueError:
            raise Refusal(422, 3003, "PAYLOAD_ERROR", "invalid paging value") from None
        if direction not in ("", "+", "-"):  # a + that nobody encoded arrives as a space
            raise Refusal(422, 3003, "PAYLOAD_ERROR", "invalid direction value", "transactions/list-transactions")
        rows = self.program.ledger.listed(after=after, customer=customer, direction=direction, status=status)
        page = [one.described() for one in rows[: max(1, limit)]]
        return JSONResponse({"transactions": page, "count": len(page), "hasMore": len(page) < len(rows)})

    async def manual(self, request: Request) -> Response:
        self.gate.admit(request, "transactions", secret=True)
        given = await self._object(request)
        for name in ("customerId", "transactionId", "username", "reason"):
            if not _text(given, name):
                raise Refusal(400, 3000, "PAYLOAD_ERROR", f"{name} is missing", MANUAL)
        points, amount, expiry = given.get("points"), given.get("amount"), given.get("expiryAfter") or 0
        if points is None and amount is None:
            return _plain("A rewarding criteria is required")
        if points is not None and amount is not None:
            return _plain("Only one rewarding method may be specified")
        worth = points if points is not None else amount
        if not isinstance(worth, int | float) or isinstance(worth, bool) or worth != int(worth) or not worth:
            raise Refusal(422, 3003, "PAYLOAD_ERROR", "invalid points value", MANUAL)
        if expiry < 0:
            return _plain("Expiry cannot be negative")
        if expiry and worth < 0:
            return _plain("Deduction cannot have expiry")
        if not self.program.enabled:
            raise Refusal(422, 6000, "CONFIGURATIONS_ERROR", "gameball is disabled", MANUAL)
        member = self.program.find(given["customerId"], email=_text(given, "email"), mobile=_text(given, "mobile"))
        if member is None:
            raise Refusal(404, 7000, "CUSTOMER_ERROR", "customer not found", MANUAL)
        async with self._alone(member):
            entry = self._enter(member, int(worth), given)
        return JSONResponse(
            {"customerId": member.id, "gameballTransactionId": entry.number, "transactionId": entry.transaction}
            | {"points": entry.points, "amount": amount or 0}
        )

    def _enter(self, member: Member, worth: int, given: Mapping[str, Any]) -> Entry:
        """Write a manual transaction into the ledger, or say why not."""
        ledger, now = self.program.ledger, self.clock()
        at = _time(_text(given, "transactionTime")) if given.get("transactionTime") else now
        if not member.active:
            raise Refusal(422, 3009, "PAYLOAD_ERROR", "the customer is inactive", MANUAL)
        if ledger.has(given["transactionId"]):
            raise Refusal(422, 9004, "TRANSACTIONS_ERROR", "transaction id already exists", MANUAL)
        if at is None or at > now:
            raise Refusal(422, 9007, "TRANSACTIONS_ERROR", "transaction time is not valid", MANUAL)
        if ledger.has_at(member.id, at):
            raise Refusal(422, 9003, "TRANSACTIONS_ERROR", "transaction time already exists", MANUAL)
        if worth < 0 and not self.program.overdraw and ledger.points(member.id) + worth < 0:
            raise Refusal(422, 9008, "TRANSACTIONS_ERROR", "insufficient balance points", MANUAL)
        kind = "ManualReward" if worth > 0 else "ManualDeduction"
        told = {"transaction": given["transactionId"], "reason": given["reason"]}
        return ledger.enter(member.id, worth, at, kind, **told)

    def _member(self, request: Request) -> Member:
        member = self.program.find(request.path_params["customer"])
        if member is None:
            raise Refusal(404, 4004, "GENERAL_ERROR", "customer does not exist", "customers/management/get-customer")
        return member

    async def _object(self, request: Request) -> dict[str, Any]:
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Refusal(415, 3013, "PAYLOAD_ERROR", "the request is not JSON")
        try:
            given = json.loads(await request.body())
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise Refusal(400, 3016, "PAYLOAD_ERROR", "the payload is malformed")
        return given


def _text(given: Mapping[str, Any], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""


def _time(text: str) -> datetime | None:
    """'Must be in UTC', with or without a zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _plain(message: str) -> Response:
    """The other shape of an error, which the page of manual transactions shows."""
    return JSONResponse({"error": 400, "message": message}, 400)
