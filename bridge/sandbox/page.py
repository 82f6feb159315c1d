"""The demo page: buttons that make something happen, and the story of what became of it.

Works without script: every button is a form, every answer a redirect back. With script the page asks for
what has changed once a second. It reads the bridge by `Bridge` and nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from . import weather
from .acts import Act, Operator, Press, Verb
from .buttons import ACTS, suggested
from .loyalty import Got, Row, moment
from .needs import DECIDED, needed
from .stage import Person, Played, Stage
from .stories import Rows, Story, received, told

HERE = Path(__file__).parent
Kind = Literal["deliveries", "rejections", "evidence", "forwards", "attempts", "targets", "links"]
KINDS: tuple[Kind, ...] = ("deliveries", "rejections", "evidence", "forwards", "attempts", "targets")
VERBS: Mapping[str, Verb] = {verb: verb for verb in get_args(Verb)}
SHOWN = 30  # stories on the page
PARTS = ("sums", "people", "weather", "latest", "rows", "next", "needs")

#: Nothing from elsewhere, and nobody may put the page into a frame and press its buttons.
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}


class Bridge(Operator, Protocol):
    """What the page needs from the bridge; what somebody does there comes with `Operator`.

    `lately` gives the newest rows of a kind, newest first, 200 or so, with the columns of the store: a
    delivery's id, source, state, reason, copies; a rejection's source, reason; evidence's source, action,
    key, account, subject, undone, delivery, state, reason; a forward's kind, rule, send, target, customer,
    evidence, state, reason, wish, due_at; an attempt's forward, number, verdict, status, note, sent_at,
    ended_at; a target's name, paused_at, reason; a link's source, customer; and `at` of each.
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
            Route("/operate", made.operate, methods=["POST"]),
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
        api = self.stage.api(request.query_params.get("which", ""))
        acts: dict[str, list[Act]] = defaultdict(list)
        for act in ACTS.values():
            acts[act.group].append(act)
        pressed = ACTS.get(self.stage.played[-1].act) if self.stage.played else None
        seen = await self._seen()
        words = {"acts": acts, "console": self.console, "toml": self.toml, "chosen": person, "which": api}
        words["open"] = pressed.group if pressed else ""
        return HTMLResponse(self.templates.get_template("page.html").render(**seen, **words), headers=HEADERS)

    async def now(self, request: Request) -> Response:
        """What has changed: nothing, or the parts of the page as they are now."""
        seen = await self._seen()
        part = self.templates.get_template("parts.html").make_module(seen)
        parts = {name: str(getattr(part, name)(**seen)) for name in PARTS}
        stories = [{"id": one.key, "html": str(part.story(one, _clock))} for one in seen["stories"]]  # type: ignore[attr-defined]
        body = {"parts": parts, "stories": stories, "said": seen["said"]}
        stamp = hashlib.sha256(repr(body).encode()).hexdigest()[:16]
        if request.query_params.get("stamp") == stamp:
            return JSONResponse({"stamp": stamp}, headers=HEADERS)
        return JSONResponse({"stamp": stamp, **body}, headers=HEADERS)

    async def act(self, request: Request) -> Response:
        if foreign(request):
            return JSONResponse({"error": "press the button on the page itself"}, 403)
        given = await form(request)
        act = ACTS.get(given.get("act", ""))
        if act is None:
            return JSONResponse({"error": f"an act is one of {', '.join(ACTS)}"}, 400)
        person, api = self.stage.person(given.get("who", "")), self.stage.api(given.get("which", ""))
        async with self.one_act:
            played = await act.play(Press(self.stage, person, api, self.bridge))
        return self._back(request, played, person.key, api.name)

    async def operate(self, request: Request) -> Response:
        """A person decides: about a forward that is held, or a target that is paused."""
        if foreign(request):
            return JSONResponse({"error": "press the button on the page itself"}, 403)
        given = await form(request)
        verb, name = VERBS.get(given.get("verb", "")), given.get("name", "")
        if verb is None:
            return JSONResponse({"error": f"a verb is one of {', '.join(VERBS)}"}, 400)
        async with self.one_act:
            said = await self.bridge.operate(verb, name)
            played = self.stage.note(verb, DECIDED[verb], None, note=said)
        return self._back(request, played, given.get("who", ""), given.get("which", ""))

    def _back(self, request: Request, played: Played, who: str, which: str) -> Response:
        """To the story of what was pressed, with the same choices as before."""
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"story": f"story-{played.number}"}, headers=HEADERS)
        who, which = self.stage.person(who).key, self.stage.api(which).name
        return RedirectResponse(f"./?who={who}&which={which}#story-{played.number}", 303)

    async def _seen(self) -> dict[str, Any]:
        now = self.stage.clock()
        rows = Rows(**{kind: await self.bridge.lately(kind) for kind in KINDS})
        got = received(self.stage, rows)
        stories = told(self.stage, rows, got, now)
        linked = {row["customer"] for row in await self.bridge.lately("links") if row["source"] == "twitch"}
        return {
            "sums": _sums(self.stage, rows, got),
            "people": [self._person(person, person.customer in linked) for person in self.stage.people],
            "apis": self.stage.apis,
            "weather": [(api, *weather.now(api)) for api in self.stage.apis],
            "next": suggested(self.stage),
            "needs": needed(self.stage, rows),
            "stories": stories[:SHOWN],
            "rows": rows,
            "said": _said(stories),
            "clock": _clock,
        }

    def _person(self, person: Person, linked: bool) -> dict[str, Any]:
        followers = self.stage.twitch.channel.followers
        return {
            "person": person,
            "holds": [(api.title, api.held_for(person.customer)) for api in self.stage.apis],
            "follows": [viewer.name for viewer in (person.first, person.second) if viewer in followers],
            "linked": linked or person.key in self.stage.linked,
        }


async def form(request: Request) -> Mapping[str, str]:
    given = parse_qs((await request.body())[:10_000].decode(errors="replace"))
    return {name: values[0] for name, values in given.items()}


def foreign(request: Request) -> bool:
    """Whether another site's page has sent this."""
    return request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def _sums(stage: Stage, rows: Rows, got: Mapping[str, Got]) -> Sums:
    # By the forward's id: a message that takes something back is none, and rows that have left the list count nowhere.
    rewards = [row for row in rows.forwards if row.get("kind", "reward") == "reward"]
    there = [got[str(row["id"])] for row in rewards if str(row.get("id")) in got]
    return Sums(
        sent=stage.sent,
        owed=sum(1 for row in rewards if row.get("state") != "cancelled"),
        called=sum(api.calls for api in stage.apis),
        granted=sum(one.times for one in there),
    )


def _clock(value: object) -> str:
    """A time as the clock on this machine shows it; empty where there is none."""
    at = moment(value)
    return f"{at.astimezone():%H:%M:%S}" if at else ""


def _said(stories: Sequence[Story]) -> str:
    """The newest story in one line, for those who listen."""
    if not stories:
        return ""
    story = stories[0]
    steps = [*story.trunk, *(branch[-1] for branch in story.branches if branch)]
    words = [f"{step.name} {step.state}{': ' + step.text if step.real else ''}" for step in steps]
    return ". ".join([story.played.title, *words, *([story.end] if story.end else [])])


__all__ = ["Bridge", "Kind", "Row", "page"]
