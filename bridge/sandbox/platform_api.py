"""What the stand-in platform tells programs: Helix as Twitch has it, and those methods of Mastodon's about follows.

https://dev.twitch.tv/docs/api/reference/ and https://docs.joinmastodon.org/methods/accounts/. Each answer depends
on whose token asks and on what it allows, as at the real ones: Helix hides followers from a token without the
scope behind a 200, Mastodon refuses with 403.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from .helix import error
from .platform_grants import Grants, Token
from .platform_people import Account, People


class No(Exception):
    """An answer that is a refusal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Helix:
    """Twitch's shape."""

    def __init__(self, people: People, grants: Grants) -> None:
        self.people, self.grants = people, grants

    def routes(self) -> Sequence[BaseRoute]:
        return (
            Route("/oauth2/validate", self.validate),
            Route("/helix/users", self.users),
            Route("/helix/channels/followed", self.followed),
            Route("/helix/channels/followers", self.followers),
            Route("/helix/subscriptions/user", self.subscription),
        )

    async def validate(self, request: Request) -> Response:
        """https://dev.twitch.tv/docs/authentication/validate-tokens/"""
        token = self.grants.bearer(request.headers.get("authorization", "").partition(" ")[2])
        if token is None:
            return JSONResponse({"status": 401, "message": "invalid access token"}, 401)
        grant, who = token.grant, token.grant.account
        left = int((token.expires_at - self.grants.clock()).total_seconds()) if token.expires_at else 0
        body: dict[str, Any] = {"client_id": grant.application.client_id, "scopes": list(grant.scopes) or None}
        return JSONResponse(body | {"expires_in": left} | ({"login": who.login, "user_id": who.id} if who else {}))

    async def users(self, request: Request) -> Response:
        try:
            token = self.token(request)
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        ids, logins = request.query_params.getlist("id"), request.query_params.getlist("login")
        found = [one for one in self.people if one.id in ids or one.login in logins]
        if not ids and not logins:
            if token.grant.account is None:
                said = "The ID or Login query parameter is required."
                return JSONResponse(error(400, said), 400)
            found = [token.grant.account]
        return JSONResponse({"data": [_user(one) for one in found]})

    async def followed(self, request: Request) -> Response:
        query = request.query_params
        try:
            me = self._own(request, "user:read:follows")
            rows = self.people.followed(me)
            wanted = [pair for pair in rows if query.get("broadcaster_id") in (None, "", pair[0].id)]
            page, cursor = _page(request, wanted)
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        data = [{**_named("broadcaster", one), "followed_at": rfc3339(at)} for one, at in page]
        return JSONResponse({"total": len(rows), "data": data, "pagination": cursor})

    async def followers(self, request: Request) -> Response:
        query = request.query_params
        try:
            token = self.token(request)
            if not query.get("broadcaster_id"):
                raise No(400, 'Missing required parameter "broadcaster_id"')
            whom = self.people.numbered(query["broadcaster_id"])
            known = whom.channel.followers if whom else {}
            newest = sorted(known.items(), key=lambda pair: pair[1], reverse=True)
            wanted = [pair for pair in newest if query.get("user_id") in (None, "", pair[0].id)]
            page, cursor = _page(request, wanted)
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        if token.grant.account is not whom or "moderator:read:followers" not in token.grant.scopes:
            return JSONResponse({"total": len(known), "data": [], "pagination": {}})
        data = [
            {"user_id": who.id, "user_login": who.name.lower(), "user_name": who.name, "followed_at": rfc3339(at)}
            for who, at in page
        ]
        return JSONResponse({"total": len(known), "data": data, "pagination": cursor})

    async def subscription(self, request: Request) -> Response:
        try:
            me = self._own(request, "user:read:subscriptions")
            whom = self.people.numbered(request.query_params.get("broadcaster_id", ""))
            if whom is None:
                raise No(400, 'The "broadcaster_id" is not somebody\'s')
            if me.login not in whom.tiers:
                raise No(404, f"{me.login} has no subscription to {whom.login}")
        except No as no:
            return JSONResponse(error(no.status, no.message), no.status)
        row = {**_named("broadcaster", whom), "is_gift": False, "tier": whom.tiers[me.login]}
        return JSONResponse({"data": [row]})

    def token(self, request: Request) -> Token:
        """The token of a call, when it is good and the call names the application that it was made for."""
        given = request.headers.get("authorization", "")
        if not given:
            raise No(401, "OAuth token is missing")
        token = self.grants.bearer(given.removeprefix("Bearer "))
        if token is None:
            raise No(401, "Invalid OAuth token")
        if request.headers.get("client-id") != token.grant.application.client_id:
            raise No(401, "Client ID and OAuth token do not match")
        return token

    def _own(self, request: Request, scope: str) -> Account:
        """Somebody who asks about themself."""
        grant = self.token(request).grant
        if scope not in grant.scopes:
            raise No(401, f"Missing scope: {scope}")
        if grant.account is None or request.query_params.get("user_id") != grant.account.id:
            raise No(401, "The ID in user_id must match the user ID found in the request's OAuth token.")
        return grant.account


class Fediverse:
    """Mastodon's shape. `host`: the server's name in the fediverse; empty: the address that it is asked under."""

    def __init__(self, people: People, grants: Grants, host: str = "") -> None:
        self.people, self.grants, self.host = people, grants, host

    def here(self, request: Request) -> str:
        return f"https://{self.host}" if self.host else str(request.base_url).rstrip("/")

    def routes(self) -> Sequence[BaseRoute]:
        return (
            Route("/oauth/userinfo", self.userinfo),
            Route("/api/v1/accounts/verify_credentials", self.myself),
            Route("/api/v1/accounts/lookup", self.lookup),
            Route("/api/v1/accounts/relationships", self.relationships),
            Route("/api/v2/search", self.search),
        )

    async def userinfo(self, request: Request) -> Response:
        """https://docs.joinmastodon.org/methods/oauth/#userinfo"""
        try:
            me = self._me(request, "profile")
        except No as no:
            return JSONResponse({"error": no.message}, no.status)
        here = self.here(request)
        body = {"iss": f"{here}/", "sub": f"{here}/users/{me.login}", "name": me.name, "preferred_username": me.login}
        return JSONResponse(body | {"profile": f"{here}/@{me.login}", "picture": ""})

    async def myself(self, request: Request) -> Response:
        try:
            me = self._me(request, "profile", "read:accounts")
        except No as no:
            return JSONResponse({"error": no.message}, no.status)
        return JSONResponse({**self._account(request, me), "source": {"privacy": "public"}})

    async def lookup(self, request: Request) -> Response:
        found = self._named(request, request.query_params.get("acct", ""))
        return JSONResponse(self._account(request, found) if found else {"error": "Record not found"}, _ok(found))

    async def search(self, request: Request) -> Response:
        try:
            self._me(request, "read:search")
        except No as no:
            return JSONResponse({"error": no.message}, no.status)
        found = self._named(request, request.query_params.get("q", ""))
        accounts = [self._account(request, found)] if found else []
        return JSONResponse({"accounts": accounts, "statuses": [], "hashtags": []})

    async def relationships(self, request: Request) -> Response:
        """https://docs.joinmastodon.org/entities/Relationship/"""
        try:
            me = self._me(request, "read:follows")
        except No as no:
            return JSONResponse({"error": no.message}, no.status)
        query = request.query_params
        ids = query.getlist("id[]") or query.getlist("id")
        known = [one for one in map(self.people.numbered, ids) if one is not None]
        return JSONResponse([self._relationship(me, one) for one in known])

    def _relationship(self, me: Account, other: Account) -> dict[str, Any]:
        mine, theirs = self.people.standing(me, other), self.people.standing(other, me)
        said = {"following": mine == "follows", "requested": mine == "requested", "followed_by": theirs == "follows"}
        no = ("blocking", "blocked_by", "muting", "muting_notifications", "domain_blocking", "endorsed", "notifying")
        more = {"requested_by": theirs == "requested", "showing_reblogs": True, "note": ""}
        return {"id": other.id, **said, **more, **dict.fromkeys(no, False)}

    def _me(self, request: Request, *scopes: str) -> Account:
        """Whose token it is, when it allows any of these; `read` allows all that begins with it."""
        token = self.grants.bearer(request.headers.get("authorization", "").removeprefix("Bearer "))
        if token is None or token.grant.account is None:
            raise No(401, "The access token is invalid")
        given = set(token.grant.scopes)
        if not given & set(scopes) and not ("read" in given and any(one.startswith("read:") for one in scopes)):
            raise No(403, "This action is outside the authorized scopes")
        return token.grant.account

    def _named(self, request: Request, text: str) -> Account | None:
        """Somebody by `name`, `@name`, `@name@host` or the address of their page, where the host is ours."""
        here = self.here(request)
        name, _, host = text.removeprefix(f"{here}/").removeprefix("@").partition("@")
        return self.people.named(name) if host in ("", here.partition("//")[2]) else None

    def _account(self, request: Request, one: Account) -> Mapping[str, Any]:
        here = self.here(request)
        return {
            "id": one.id,
            "username": one.login,
            "acct": one.login,
            "display_name": one.name,
            "locked": one.private,
            "bot": False,
            "created_at": one.created_at.astimezone(UTC).strftime("%Y-%m-%dT00:00:00.000Z"),  # Mastodon tells the day
            "url": f"{here}/@{one.login}",
            "uri": f"{here}/users/{one.login}",
            "followers_count": len(one.channel.followers),
            "following_count": len(self.people.followed(one)),
            "statuses_count": 0,
        }


def _ok(found: object) -> int:
    return 200 if found else 404


def _named(role: str, one: Account) -> dict[str, str]:
    return {f"{role}_id": one.id, f"{role}_login": one.login, f"{role}_name": one.name}


def _user(one: Account) -> dict[str, str]:
    """https://dev.twitch.tv/docs/api/reference/#get-users"""
    empty = dict.fromkeys(("type", "broadcaster_type", "description", "profile_image_url", "offline_image_url"), "")
    return {"id": one.id, "login": one.login, "display_name": one.name, **empty, "created_at": rfc3339(one.created_at)}


def _page(request: Request, rows: Sequence[Any]) -> tuple[Sequence[Any], dict[str, str]]:
    """A page of rows and the cursor to the next."""
    query = request.query_params
    try:
        first = int(query.get("first", 20))
        start = int(base64.b64decode(query.get("after", "MA==")))
    except ValueError:
        raise No(400, "The parameter is malformed") from None
    if not 1 <= first <= 100 or start < 0:
        raise No(400, 'The parameter "first" was malformed: the value must be 1 to 100')
    after = start + first
    cursor = {"cursor": base64.b64encode(str(after).encode()).decode()} if after < len(rows) else {}
    return rows[start:after], cursor
