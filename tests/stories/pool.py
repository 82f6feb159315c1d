"""A loyalty API of the stories' own: calls take many, customers have other names there, and a repeat pays again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bridge.kit import Forward, Option, Outcome, Request, Setting, Settings, Talk, Target, Verdict
from bridge.kit.fields import Fact
from tests.conftest import Asked

PLUGIN = 'plugins = ["tests.stories.pool"]\n'
TABLE = """
[target.pool]
base_url = "https://pool.test"
per_second = 10000
"""


def find(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    response = yield call("GET", settings, "/members", email=forward.customer.email or "")
    if response.status == 404:
        return Outcome(Verdict.REFUSED, "the pool has no such member", missing=True)
    return str(response.json()["member"])


def create(forward: Forward, settings: Settings) -> Talk[Outcome]:
    response = yield call("PUT", settings, "/members", json={"email": forward.customer.email}, repeatable=True)
    return Outcome(Verdict.DONE if response.is_success else Verdict.REFUSED)


def baseline(forward: Forward, settings: Settings) -> Talk[str | Outcome]:
    response = yield call("GET", settings, f"/points/{forward.known_as}")
    return str(response.json()["points"])


def send(forward: Forward, settings: Settings) -> Talk[Outcome]:
    answered = yield from send_many([forward], settings)
    return answered if isinstance(answered, Outcome) else answered[0]


def send_many(forwards: Sequence[Forward], settings: Settings) -> Talk[Sequence[Outcome] | Outcome]:
    rows = [{"member": one.known_as, "points": one.options["points"]} for one in forwards]
    response = yield call("POST", settings, "/awards", json=rows)
    if response.status == 400:
        return Outcome(Verdict.REFUSED, "the pool cannot read this")
    if not response.is_success:
        return Outcome(Verdict.UNCLEAR, f"the pool answered {response.status}")
    said = response.json()
    return [row(one, int(one.baseline), said) for one in forwards]


def row(forward: Forward, before: int, said: Any) -> Outcome:
    if forward.known_as in said.get("gone", ()):
        return Outcome(Verdict.REFUSED, "gone from the pool", missing=True)
    left = str(before + forward.options["points"])
    return Outcome(Verdict.DONE, "paid", left=left, shown={"code": said.get("code", ""), "level": "gold"})


def reconcile(forward: Forward, baseline: str, settings: Settings) -> Talk[Outcome]:
    response = yield call("GET", settings, f"/points/{forward.known_as}")
    moved = int(response.json()["points"]) - int(baseline)
    verdict = {forward.options["points"]: Verdict.DONE, 0: Verdict.LATER}.get(moved, Verdict.UNCLEAR)
    return Outcome(verdict, f"moved by {moved}")


def call(
    method: str, settings: Settings, path: str, *, json: Any = None, repeatable: bool = False, **params: str
) -> Request:
    return Request(
        method, f"{settings['base_url']}{path}", params=params, json=json, repeatable=repeatable, authorized=True
    )


def token(settings: Settings) -> Talk[str | Outcome]:
    response = yield Request("POST", f"{settings['base_url']}/token", json={"key": "k"}, repeatable=True)
    if response.status == 302:
        return Outcome(Verdict.MISCONFIGURED, "the pool has moved: base_url is wrong")
    return str(response.object().get("token") or "")


target = Target(
    name="pool",
    title="The pool",
    docs="https://pool.test",
    settings=(Setting("base_url", "where it is", "url", required=True),),
    options=(Option("points", "how many", "int", required=True, amount=True),),
    send=send,
    send_many=send_many,
    most_at_once=1000,
    find=find,
    create=create,
    baseline=baseline,
    baseline_keeps=timedelta(hours=1),
    reconcile=reconcile,
    lane=lambda forward: "points",
    token=token,
    shows=(Fact("code", "string", "a code"), Fact("level", "string", "a level")),
    bearer=("code",),
)


class Pool:
    """What stands at pool.test."""

    def __init__(self) -> None:
        self.members = {f"c{number}@example.com": f"m{number}" for number in range(2000)}
        self.points: Counter[str] = Counter()
        self.asked: list[Asked] = []
        self.gone: set[str] = set()
        self.poison: set[str] = set()
        self.before: list[Any] = []  # how the next awards go wrong without taking effect
        self.after: list[Any] = []  # how they go wrong after it
        self.token = "t1"

    def calls(self, method: str, path: str) -> list[Asked]:
        return [one for one in self.asked if one.method == method and one.path.startswith(path)]

    def __call__(self, asked: Asked) -> Any:
        self.asked.append(asked)
        path = asked.path
        if path == "/token":
            return 200, {"token": self.token}
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}
        if path.startswith("/members") and asked.method == "PUT":
            self.members[asked.json["email"]] = f"new-{len(self.members)}"
            return 200, {}
        if path.startswith("/members"):
            from urllib.parse import parse_qs

            member = self.members.get(parse_qs(path.partition("?")[2])["email"][0])
            return (200, {"member": member}) if member else (404, {})
        if path.startswith("/points/"):
            return 200, {"points": self.points[path.rpartition("/")[2]]}
        if self.before:
            return self.before.pop(0)
        rows = json.loads(asked.body)
        if any(one["member"] in self.poison for one in rows):
            return 400, {}
        for one in rows:
            if one["member"] not in self.gone:
                self.points[one["member"]] += one["points"]
        if self.after:
            return self.after.pop(0)
        return 200, {"gone": sorted(self.gone), "code": "WIN-4711"}
