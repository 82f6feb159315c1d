"""Twitch as it is asked: who follows a channel, by Helix.

https://dev.twitch.tv/docs/api/reference/#get-channel-followers. Needs a token with
`moderator:read:followers`; without the scope it answers 200 with the total and an empty list, which
looks like "does not follow" to whoever forgets to ask.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .standin import Clock, StandIn

NAMES = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Viewer:
    """An account at Twitch."""

    id: str
    name: str


class Channel:
    """A channel and who follows it."""

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self.followers: dict[Viewer, datetime] = {}

    def follow(self, viewer: Viewer, now: datetime) -> datetime:
        """Since when the viewer follows: from now on, or as before."""
        return self.followers.setdefault(viewer, now)

    def unfollow(self, viewer: Viewer) -> None:
        self.followers.pop(viewer, None)


def error(status: int, message: str = "") -> dict[str, Any]:
    name = NAMES.get(status, "Internal Server Error")
    return {"error": name, "status": status, "message": message}


def helix(channel: Channel, *, token: str, client_id: str, clock: Clock, scoped: bool = True) -> StandIn:
    """The API as one app with one token sees it. `scoped`: whether the token may read followers."""

    async def followers(request: Request) -> Response:
        if refused := _refusal(request, token, client_id):
            return refused
        query = request.query_params
        if not query.get("broadcaster_id"):
            return JSONResponse(error(400, 'Missing required parameter "broadcaster_id"'), 400)
        if query["broadcaster_id"] != channel.id:
            return JSONResponse({"total": 0, "data": [], "pagination": {}})
        total = len(channel.followers)
        if not scoped:
            return JSONResponse({"total": total, "data": [], "pagination": {}})
        newest = sorted(channel.followers.items(), key=lambda pair: pair[1], reverse=True)
        wanted = [pair for pair in newest if query.get("user_id") in (None, "", pair[0].id)]
        try:
            first = int(query.get("first", 20))
            start = int(base64.b64decode(query.get("after", "MA==")))
        except ValueError:
            return JSONResponse(error(400, "The parameter is malformed"), 400)
        if not 1 <= first <= 100:
            return JSONResponse(error(400, 'The parameter "first" was malformed: the value must be 1 to 100'), 400)
        page = wanted[start : start + first]
        more = start + first < len(wanted)
        cursor = {"cursor": base64.b64encode(str(start + first).encode()).decode()} if more else {}
        return JSONResponse({"total": total, "data": [_row(*pair) for pair in page], "pagination": cursor})

    return StandIn(
        Starlette(routes=[Route("/helix/channels/followers", followers)]),
        clock=clock,
        state=lambda: {"followers": [_row(*pair) for pair in channel.followers.items()]},
        error=error,
    )


def _refusal(request: Request, token: str, client_id: str) -> Response | None:
    given = request.headers.get("authorization", "")
    if not given:
        return JSONResponse(error(401, "OAuth token is missing"), 401)
    if given != f"Bearer {token}":
        return JSONResponse(error(401, "Invalid OAuth token"), 401)
    if request.headers.get("client-id") != client_id:
        return JSONResponse(error(401, "Client ID and OAuth token do not match"), 401)
    return None


def _row(viewer: Viewer, since: datetime) -> dict[str, str]:
    return {
        "user_id": viewer.id,
        "user_login": viewer.name.lower(),
        "user_name": viewer.name,
        "followed_at": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
