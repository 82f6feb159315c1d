"""Every page that a customer can meet, as values, and an application that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.app import Bridge
from bridge.web import views
from bridge.web.pages import render

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PATH = "/connect/tw/follow"
TICKET = "customer=ann%40example.com&sign=abc"
#: Words that a stranger has chosen, or a merchant; each is shown as it is.
HANDLE, RULE = "@ann_plays", "50 points for a follow"
PLACE = views.Place(source="tw", title="Twitch", action="follow", action_title="Follows your channel", path=PATH)

KNOWN: Mapping[str, Any] = {
    "place": PLACE,
    "customer": "a***@example.com",
    "number": "4711",
    "back": "https://shop.example.com/account",
    "began": True,
}
CLAIM: Mapping[str, Any] = {
    **KNOWN,
    "claim": "clm_1",
    "handle": HANDLE,
    "rewards": (views.Reward(rule=RULE),),
    "expires_at": NOW + timedelta(days=7),
}
GOING: Mapping[str, Any] = {**CLAIM, "again_at": NOW + timedelta(seconds=30)}
DO: Mapping[str, Any] = {"page": "https://twitch.example/brand"}
GREETED: Mapping[str, Any] = {
    **KNOWN,
    "began": False,
    "number": "",
    "action": f"{PATH}?{TICKET}",
    "rewards": (views.Reward(rule=RULE), views.Reward(rule="A badge")),
}
WRONG: Mapping[str, Any] = {**KNOWN, "customer": ""}


def place(action: str) -> views.Place:
    return views.Place(source="tw", title="Twitch", action=action, action_title="Does it", path=f"/connect/tw/{action}")


def earned(*rewards: views.Reward) -> views.Verified:
    return views.Verified(**{**CLAIM, "rewards": rewards})


def _pages() -> dict[str, views.Page]:
    shown: dict[str, Any] = {
        "message": "Well done!", "winCode": "GOLD-77", "points": 50.0, "won": True, "prizeTier": None, "seatRow": "12",
    }  # fmt: skip
    found: dict[str, views.Page] = {
        "welcome": views.Welcome(**GREETED),
        "welcome, much is asked": views.Welcome(
            grants=("user:read:follows", "openid"),
            kept="until the wait ends",
            code=True,
            policy=views.Policy(text="nothing is said against rewards", source="https://twitch.example/policy"),
            again=True,
            **GREETED,
        ),
        "welcome in an app": views.Welcome(in_app=True, kept="until checked", **GREETED),
        "welcome, a server is asked for": views.Welcome(home="server", **GREETED),
        "welcome, a wrong handle": views.Welcome(home="handle", typed='"><x', home_wrong=True, status=400, **GREETED),
        "welcome, by a code alone": views.Welcome(sign_in=False, code=True, **GREETED),
        "welcome, no way in": views.Welcome(sign_in=False, **GREETED),
        "welcome, an action of a plugin": views.Welcome(**{**GREETED, "place": place("yodel")}),
        "act": views.Act(**DO, **GOING),
        "act, a link is asked for": views.Act(asks_for="link", wait=20, **DO, **GOING),
        "act, nowhere to go": views.Act(**{**GOING, "place": place("yodel"), "number": "", "back": ""}),
        "pending": views.Checking(result="pending", **DO, **GOING),
        "missing": views.Missing(wait=45, **DO, **GOING),
        "missing, a link is asked for": views.Missing(asks_for="link", **{**GOING, "kept": "until checked"}),
        "review": views.Review(**CLAIM),
        "verified": earned(
            views.Reward(rule=RULE, where="on its way"),
            views.Reward(rule="A badge", where="waiting", until=NOW + timedelta(days=1)),
        ),
        "verified and arrived": earned(views.Reward(rule=RULE, where="arrived", shown=shown)),
        "verified, the shop looks": earned(views.Reward(rule=RULE, where="the shop is looking at it")),
        "verified, withdrawn": earned(views.Reward(rule=RULE, where="withdrawn")),
        "already": views.Already(**{**CLAIM, "rewards": (views.Reward(rule=RULE, where="not owed", why="already"),)}),
        "rejected": views.Rejected(**{**CLAIM, "rewards": (views.Reward(rule=RULE, where="not owed", why="refused"),)}),
        "expired": views.Expired(**CLAIM),
        "code": views.Code(code="012345", address="https://chat.example/brand", **{**GOING, "handle": ""}),
        "code, carried and wrong": views.Code(
            code="012345", address="https://chat.example/brand", carries=True, wrong=2, **{**GOING, "handle": ""}
        ),
        "confirm": views.Confirm(**CLAIM),
        "unlinked": views.Unlinked(handle=HANDLE, withdrawn=1, **KNOWN),
        "unlinked, nobody known": views.Unlinked(withdrawn=3, **KNOWN),
        "scopes missing": views.Stopped(reason="scopes_missing", missing=("user:read:follows",), **WRONG),
        "stopped, nowhere known": views.Stopped(reason="state_mismatch", status=403),
        "taken": views.Taken(handle=HANDLE, until=NOW + timedelta(days=12), **KNOWN),
        "taken for good": views.Taken(**KNOWN),
        "unavailable": views.Unavailable(**WRONG),
        "unavailable for long": views.Unavailable(busy=False, **{**WRONG, "began": False}),
        "too often": views.TooOften(wait=90, **WRONG),
        "elsewhere": views.Elsewhere(place=PLACE),
        "nothing": views.Nothing(),
        "broken": views.Broken(**WRONG),
    }  # fmt: skip
    for obstacle in ("", "busy", "private", "reconnect", "incomplete", "given", "brand"):
        asks: Any = "link" if obstacle == "given" else ""
        found[f"unknown, {obstacle or 'no obstacle'}"] = views.Checking(
            result="unknown", obstacle=obstacle, asks_for=asks, **DO, **GOING
        )
    for reason in views.STOPPED:
        found[f"stopped, {reason}"] = views.Stopped(reason=reason, **WRONG)
    for why in ("limit", "condition", "already", "age", "followers", "account", "refused", "another"):
        found[f"not owed, {why}"] = earned(views.Reward(rule=RULE, where="not owed", why=why))
    return found


GALLERY: Mapping[str, views.Page] = _pages()


def gallery(bridge: Bridge, pages: Mapping[str, views.Page] = GALLERY) -> Starlette:
    """Shows the page that the header `x-page` names, at any address."""

    async def show(request: Request) -> Response:
        return render(pages[request.headers["x-page"]], request)

    app = Starlette(routes=[Route("/{path:path}", show, methods=["GET", "POST"])])
    app.state.bridge = bridge
    return app
