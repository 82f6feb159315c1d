"""The demo page: buttons that make something happen, and the story of what became of it.

Works without script: every button is a form, every answer a redirect back. With script the page asks for
what has changed once a second. It reads the bridge by `Bridge` and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .acts import ACTS, GROUPS, Links
from .stage import Person, Stage
from .stories import Row, Rows, Story, moment, told

HERE = Path(__file__).parent
Kind = Literal["deliveries", "rejections", "evidence", "forwards", "attempts"]
KINDS: tuple[Kind, ...] = ("deliveries", "rejections", "evidence", "forwards", "attempts")
SHOWN = 30  # stories on the page

#: Nothing from elsewhere, and nobody may put the page into a frame and press its buttons.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class Bridge(Links, Protocol):
    """What the page needs from the bridge; `link` comes with `Links`.

    `lately` gives the newest rows of a kind, newest first, 200 or so, with the columns of the store: a
    delivery's id, source, state, reason, copies; a rejection's source, reason; evidence's source, action,
    key, account, subject, undone, delivery, state, reason; a forward's kind, rule, target, customer,
    evidence, state, reason, due_at; an attempt's forward, number, verdict, status, note; and `at` of each.
    """

    async def lately(self, kind: Kind) -> Sequence[Mapping[str, Any]]: ...


def page(bridge: Bridge, stage: Stage, *, console: str = "", toml: str = "") -> Starlette:
    """The page as an application to be mounted. `console`: where the operator's pages are."""
    made = Page(bridge, stage, console, toml)
    return Starlette(
        routes=[
            Route("/", made.show),
            Route("/now", made.now),
            Route("/act", made.act, methods=["POST"]),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ]
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """The promise in four numbers."""

    sent: int  # webhooks
    owed: int  # rewards, those withdrawn left out
    called: int  # calls that ask for a reward
    granted: int  # rewards that exist at the other end

    @property
    def verdict(self) -> str:
        if self.granted > self.owed:
            return "More was granted than owed"
        if not self.owed:
            return "Nothing owed yet"
        if self.granted < self.owed:
            return f"{self.owed - self.granted} on the way"
        return "Paid exactly once"


class Page:
    """The routes."""

    def __init__(self, bridge: Bridge, stage: Stage, console: str, toml: str) -> None:
        self.bridge = bridge
        self.stage = stage
        self.console = console
        self.toml = toml
        self.one_act = asyncio.Lock()  # two presses at once would share "the last delivery"
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    async def show(self, request: Request) -> Response:
        person = self.stage.person(request.query_params.get("who", ""))
        seen = await self._seen()
        words = {"groups": GROUPS, "acts": ACTS.values(), "console": self.console, "toml": self.toml, "chosen": person}
        return HTMLResponse(self.templates.get_template("page.html").render(**seen, **words), headers=HEADERS)

    async def now(self, request: Request) -> Response:
        """What has changed: nothing, or the parts of the page as they are now."""
        seen = await self._seen()
        part = self.templates.get_template("parts.html").make_module(seen)
        parts = {name: str(getattr(part, name)(**seen)) for name in ("sums", "people", "weather", "latest", "rows")}
        stories = [{"id": one.key, "html": str(part.story(one, _clock))} for one in seen["stories"]]  # type: ignore[attr-defined]
        body = {"parts": parts, "stories": stories, "said": seen["said"]}
        stamp = hashlib.sha256(repr(body).encode()).hexdigest()[:16]
        if request.query_params.get("stamp") == stamp:
            return JSONResponse({"stamp": stamp}, headers=HEADERS)
        return JSONResponse({"stamp": stamp, **body}, headers=HEADERS)

    async def act(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return JSONResponse({"error": "press the button on the page itself"}, 403)
        given = parse_qs((await request.body())[:10_000].decode(errors="replace"))
        person = self.stage.person(given.get("who", [""])[0])
        act = ACTS.get(given.get("act", [""])[0])
        if act is None:
            return JSONResponse({"error": f"an act is one of {', '.join(ACTS)}"}, 400)
        async with self.one_act:
            played = await act.play(self.stage, person, self.bridge)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"story": f"story-{played.number}"}, headers=HEADERS)
        return RedirectResponse(f"./?who={person.key}#story-{played.number}", 303)

    async def _seen(self) -> dict[str, Any]:
        now = self.stage.clock()
        self.stage.program.settle(now)
        rows = Rows(**{kind: await self.bridge.lately(kind) for kind in KINDS})
        stories = told(self.stage, rows, now)
        return {
            "sums": _sums(self.stage, rows),
            "people": [self._person(person) for person in self.stage.people],
            "weather": _weather(self.stage),
            "stories": stories[:SHOWN],
            "rows": rows,
            "said": _said(stories),
            "clock": _clock,
        }

    def _person(self, person: Person) -> dict[str, Any]:
        followers = self.stage.twitch.channel.followers
        return {
            "person": person,
            "points": self.stage.program.points(person.customer),
            "follows": [viewer.name for viewer in (person.first, person.second) if viewer in followers],
            "linked": person.key in self.stage.linked,
        }


def _sums(stage: Stage, rows: Rows) -> Sums:
    rewards = [row for row in rows.forwards if row.get("kind", "reward") == "reward"]
    calls = [one for one in (*stage.gameball.journal, *stage.crm.journal) if one["method"] == "POST"]
    # By the forward's id: a message that takes something back is none, and rows that have left the list count nowhere.
    known = {str(row.get("id")) for row in rewards}
    granted = sum(1 for one in stage.program.submissions if one.fate == "granted" and one.key in known)
    return Sums(
        sent=stage.sent,
        owed=sum(1 for row in rewards if row.get("state") != "cancelled"),
        called=len(calls),
        granted=granted + len(known & stage.inbox.messages.keys()),
    )


def _clock(value: object) -> str:
    """A time as the clock on this machine shows it; empty where there is none."""
    at = moment(value)
    return f"{at.astimezone():%H:%M:%S}" if at else ""


def _weather(stage: Stage) -> tuple[str, str]:
    """How the loyalty API is: a state and a sentence."""
    kinds = [fault.kind for fault in stage.gameball.faults]
    if "503" in kinds:
        return "down", "answers 503 to everything"
    if "drop_after" in kinds:
        return "treacherous", "will do the next call's work and hang up"
    return "up", "answers as documented"


def _said(stories: Sequence[Story]) -> str:
    """The newest story in one line, for those who listen."""
    if not stories:
        return ""
    story = stories[0]
    steps = [*story.trunk, *(branch[-1] for branch in story.branches if branch)]
    words = [f"{step.name} {step.state}{': ' + step.text if step.name in ('Points', 'CRM') else ''}" for step in steps]
    return ". ".join([story.played.title, *words, *([story.end] if story.end else [])])


__all__ = ["Bridge", "Kind", "Row", "page"]
