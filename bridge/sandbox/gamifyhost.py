"""GamifyHost's API: campaign events with their draws, points by event type, what is read back of both.

https://docs.gamifyhost.com/campaigns/record-event/ and the pages beside it. An award's reference counts once; a
campaign event has none, and each is another play.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .promotions import Entry, Partner, Play, Standing, moment
from .standin import Clock, StandIn

#: https://docs.gamifyhost.com/guides/authentication
KEPT_OUT: Mapping[Standing, str] = {
    "revoked": "API key has been revoked",
    "not active": "Application is not active",
    "no partner": "Partner account not found",
}
AT_LARGE = {401: "Invalid API key", 429: "Too many requests", 503: "Service unavailable"}


class Refusal(Exception):
    """An error answer of the documented shape."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def error(status: int, message: str = "") -> dict[str, Any]:
    return {"message": message or AT_LARGE.get(status, "Internal server error"), "code": status, "status": "error"}


async def refuse(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return JSONResponse(error(refusal.status, refusal.message), refusal.status)


def gamifyhost(partner: Partner, *, api_secret: str, clock: Clock) -> StandIn:
    """The API over one partner account, in the environment of this key."""
    api = Api(partner, api_secret, clock)
    vendor = Starlette(
        routes=[
            Route("/v1/campaigns/{slug}/events", api.event, methods=["POST"]),
            Route("/v1/campaigns/{slug}/participants/{user}", api.participant),
            Route("/v1/campaigns/{slug}/leaderboard", api.leaderboard),
            Route("/v1/points/award", api.award, methods=["POST"]),
            Route("/v1/users/{user}/balance", api.balance),
            Route("/v1/users/{user}/history", api.history),
        ],
        exception_handlers={Refusal: refuse},
    )
    return StandIn(vendor, clock=clock, state=partner.known, error=error)


class Api:
    """The routes."""

    def __init__(self, partner: Partner, api_secret: str, clock: Clock) -> None:
        self.partner, self.api_secret, self.clock = partner, api_secret, clock

    async def event(self, request: Request) -> Response:
        self._admit(request)
        given = await self._object(request)
        campaign = self.partner.campaigns.get(request.path_params["slug"])
        if campaign is None or not campaign.active:
            raise Refusal(404, "Campaign not found or not active")
        user = given["userId"]
        if campaign.most is not None and self.partner.played(campaign.slug, user) >= campaign.most:
            raise Refusal(409, "User has exceeded maximum plays")
        play = self.partner.record(campaign, user, given["eventType"], self.clock(), key=_key(request, given))
        # Their example has 100 points, 500 with the prize and 750 in all: that a prize's points count is our reading.
        told: dict[str, Any] = {"pointsEarned": play.points, "totalPoints": self.partner.points(campaign.slug, user)}
        if play.drawn:
            told["instantWin"] = _win(play)
        return JSONResponse({"status": "success", "data": {**told, "message": "Event recorded successfully"}})

    async def participant(self, request: Request) -> Response:
        self._admit(request)
        slug, user = request.path_params["slug"], request.path_params["user"]
        rows = [row for row in self.partner.participants(slug) if row["userId"] == user]
        if not rows:  # one sentence for both, as documented
            raise Refusal(404, "Campaign or participant not found")
        joined = moment(self.partner.plays[slug, user][0].at)
        return JSONResponse({"status": "success", "data": {**rows[0], "joinedAt": joined}})

    async def leaderboard(self, request: Request) -> Response:
        self._admit(request)
        slug = request.path_params["slug"]
        if slug not in self.partner.campaigns:
            raise Refusal(404, "Campaign not found")
        rows, limit = self.partner.participants(slug), _whole(request, "limit", 20)
        return JSONResponse({"status": "success", "data": {"entries": rows[:limit], "totalParticipants": len(rows)}})

    async def award(self, request: Request) -> Response:
        self._admit(request)
        given = await self._object(request)
        user, type_, reference = given["userId"], given["eventType"], given.get("reference") or ""
        if not isinstance(reference, str):
            raise Refusal(400, "Invalid request body")
        if type_ not in self.partner.rules:
            raise Refusal(404, "No reward rule found for event type")
        if reference and self.partner.has(type_, reference):
            raise Refusal(409, "Duplicate reference")
        entry = self.partner.award(user, type_, self.clock(), reference=reference, metadata=given.get("metadata"))
        told = {"ledgerId": entry.id, "userId": user, "eventType": type_, "pointsAwarded": entry.points}
        more = {
            "userBalance": self.partner.balance(user),
            "reference": reference or None,
            "createdAt": moment(entry.at),
        }
        return _answer("Points awarded successfully", {**told, **more}, 201)

    async def balance(self, request: Request) -> Response:
        rows = self._rows(request)
        user = request.path_params["user"]
        told = {"userId": user, "totalPoints": self.partner.balance(user), "createdAt": moment(rows[0].at)}
        return _answer("User balance retrieved", told)

    async def history(self, request: Request) -> Response:
        rows = self._rows(request)
        page, limit = _whole(request, "page", 1, most=10**9), _whole(request, "limit", 20)
        meta = {"page": page, "limit": limit, "total": len(rows), "totalPages": -(-len(rows) // limit)}
        shown = [row.described() for row in rows[(page - 1) * limit : page * limit]]
        return _answer("User history retrieved", shown, meta=meta)

    def _rows(self, request: Request) -> list[Entry]:
        """A user's ledger, the oldest first as in the example; who has none is not known."""
        self._admit(request)
        rows = self.partner.entries.get(request.path_params["user"], [])
        if not rows:
            raise Refusal(404, "User not found")
        return rows

    def _admit(self, request: Request) -> None:
        given = request.headers.get("x-api-secret")
        if given is None:
            raise Refusal(401, "Missing X-API-Secret header")
        if given != self.api_secret:
            raise Refusal(401, "Invalid API key")
        if self.partner.standing != "good":
            raise Refusal(403, KEPT_OUT[self.partner.standing])

    async def _object(self, request: Request) -> dict[str, Any]:
        media = request.headers.get("content-type", "").partition(";")[0].strip()
        try:
            read = json.loads(await request.body()) if media == "application/json" else None
        except ValueError:
            read = None
        given: dict[str, Any] = read if isinstance(read, dict) else {}
        texts = [given.get(name) for name in ("userId", "eventType")]
        if not all(isinstance(text, str) and text for text in texts) or not isinstance(given.get("metadata", {}), dict):
            raise Refusal(400, "Invalid request body")
        return given


def _win(play: Play) -> dict[str, Any]:
    if play.prize is None:
        return {"won": False, "message": "Better luck next time!"}
    told = {"won": True, "prizeTier": play.prize.tier, "pointsEarned": play.prize.points, "winCode": play.code}
    return {**told, "message": f"Congratulations! You won the {play.prize.tier} prize!"}


def _answer(message: str, told: Any, status: int = 200, **more: Any) -> Response:
    return JSONResponse({"message": message, "code": status, "status": "success", "data": told, **more}, status)


def _key(request: Request, given: Mapping[str, Any]) -> str:
    """By what name the caller knows this call; the vendor does not care."""
    return str(given.get("metadata", {}).get("bridge_ref") or request.headers.get("webhook-id", ""))


def _whole(request: Request, name: str, default: int, *, most: int = 100) -> int:
    """A number of the query. Only the leaderboard's page names a ceiling, 100; the history is given the same."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10) or not 1 <= int(text) <= most:
        raise Refusal(400, f"{name} is a number from 1 to {most}")
    return int(text)
