"""`providers`: what exists, from what the providers declare."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bridge.kit import ConfigError, Customer, Forward, Setting, Source, Target
from bridge.kit.fields import COMMON, said

from .doors import Door, Wrong
from .words import Paper


def show(door: Door, name: str) -> int | None:
    from bridge import config as configuration
    from bridge.app import catalogue

    try:
        found = catalogue(configuration.plugins(door.env.config) if door.env.config.exists() else ())
    except ConfigError:
        found = catalogue()
    known: list[Source | Target] = [*found.sources.values(), *found.targets.values()]
    chosen = [one for one in known if name in ("", one.name)]
    if not chosen:
        close = difflib.get_close_matches(name, [one.name for one in known], n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(one.name for one in known)}"
        raise Wrong(f"there is no provider {name}; {meant}")
    if door.json:
        for one in chosen:
            door.emit(row(one))
        return None
    paper = Paper(door.now.astimezone().tzinfo or door.now.tzinfo, door.now)  # type: ignore[arg-type]
    if name:
        for one in chosen:
            _whole(paper, row(one))
        return None
    for heading, kind in (("Sources, who tell us", Source), ("Targets, whom we tell", Target)):
        paper.heading(heading)
        for one in (one for one in chosen if isinstance(one, kind)):
            what = ", ".join(one.actions) if isinstance(one, Source) else ", ".join(o.name for o in one.options)
            paper.say(
                (f"{one.name:<12}", "bold"),
                f"{one.title}: {what or 'whatever bridge.toml describes'}",
                indent=2,
                hang=12,
            )
        paper.blank()
    paper.say("loyalty-bridge providers NAME says more about one.", indent=0)
    return None


def row(one: Source | Target) -> dict[str, Any]:
    """A provider as a plain value."""
    common = {
        "name": one.name,
        "kind": "source" if isinstance(one, Source) else "target",
        "room": one.room,
        "title": one.title,
        "docs": one.docs,
        "settings": [_setting(setting) for setting in one.settings],
        "steps": list(one.steps),
    }
    if isinstance(one, Target):
        options = [
            {"name": o.name, "kind": o.kind, "required": o.required, "meaning": o.meaning, "default": o.default}
            for o in one.options
        ]
        more = {"options": options, "customer": one.customer, "per_second": one.per_second}
        reconcile = said(one.reconcile_after) if one.reconcile else "cannot be asked"
        able = {"live": one.probe is not None, "creates_customers": one.create is not None, "at_once": one.most_at_once}
        shows = [{"name": fact.name, "kind": fact.kind, "meaning": fact.meaning} for fact in one.shows]
        doubt = {"repeat_safe_for": repeats(one), "reconcile_after": reconcile}
        return {**common, **more, **doubt, **able, "answers": shows}
    actions = [
        {
            "name": name,
            "title": action.title,
            "grade": action.grade.value,
            "facts": [{"name": fact.name, "kind": fact.kind, "meaning": fact.meaning} for fact in action.facts],
            "policy": _policy(action.policy),
            "asked_again": name in one.rechecks,
        }
        for name, action in one.actions.items()
    ]
    return {
        **common,
        "actions": actions,
        "knows_customers": one.knows_customers,
        "approval": one.approval,
        "samples": {name: {"title": s.title, "set": dict(s.values)} for name, s in one.samples.items()},
    }


def repeats(target: Target) -> str:
    """For how long a repeat is harmless; where that depends on what is sent, for each way of sending."""

    def told(harmless: timedelta) -> str:
        return said(harmless) if harmless else "never"

    if target.repeat_safe is None:
        return told(target.repeat_safe_for)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sketch = Forward(
        id="fwd_1", rule="", send="", target=target.name, customer=Customer(id="ann"), options={}, source="", action="",
        subject="", facts={}, occurred_at=at, created_at=at,
    )  # fmt: skip
    ways = [(told(target.repeat_harmless(replace(sketch, options=way))), way) for way in target.ways()]
    if len({harmless for harmless, _ in ways}) == 1:
        return ways[0][0]
    return ", ".join(f"{harmless} with {' and '.join(f'`{name}`' for name in way)}" for harmless, way in ways)


def _setting(setting: Setting) -> dict[str, Any]:
    names = ("name", "kind", "required", "meaning", "default", "example")
    return {**{name: getattr(setting, name) for name in names}, "choices": list(setting.choices)}


def _policy(policy: Any) -> dict[str, Any] | None:
    return {"text": policy.text, "source": policy.source, "forbidden": policy.forbidden} if policy else None


def _whole(paper: Paper, told: Mapping[str, Any]) -> None:
    paper.say((told["title"], "bold"), f"  {told['kind']} {told['name']}, {told['docs']}", hang=2)
    if "actions" in told:
        who = (
            "names the shop's own customers; no link is needed"
            if told["knows_customers"]
            else "names accounts of its own; a link says whose they are"
        )
        paper.say(f"It {who}.", indent=2, hang=2)
        for action in told["actions"]:
            paper.blank()
            again = ", can be asked again" if action["asked_again"] else ""
            paper.say(
                (f"{told['name']}.{action['name']}", "bold"),
                f"  {action['title']} (grade {action['grade']}{again})",
                indent=2,
                hang=2,
            )
            for fact in action["facts"]:
                paper.say(f"{fact['name']:<16}", (f"{fact['kind']:<10}", "dim"), fact["meaning"], indent=4, hang=26)
            if policy := action["policy"]:
                word = "Forbidden" if policy["forbidden"] else "Policy"
                style = "yellow" if policy["forbidden"] else "dim"
                paper.say((f"{word}: {policy['text']} ({policy['source']})", style), indent=4, hang=2)
        if told["actions"]:
            paper.blank()
            paper.say("Facts of every action: " + ", ".join(fact.name for fact in COMMON), indent=2, hang=2)
        for name, sample in told["samples"].items():
            sets = " ".join(f"--set {key}={value}" for key, value in sample["set"].items())
            paper.say((f"send {told['name']} {name} {sets}", "dim"), indent=2, hang=4)
    if "options" in told:
        paper.blank()
        paper.heading("  A rule's send")
        for option in told["options"]:
            _field(paper, option)
        paper.say(
            f"A repeat is harmless for: {told['repeat_safe_for']}. After an unclear call: {told['reconcile_after']}.",
            indent=2,
            hang=2,
        )
        if told["at_once"] > 1:
            paper.say(f"One call takes up to {told['at_once']} forwards.", indent=2, hang=2)
        if told["answers"]:
            paper.blank()
            paper.heading("  What it answers, for `show` and `tell`")
        for fact in told["answers"]:
            paper.say(f"{fact['name']:<18}", (f"{fact['kind']:<10}", "dim"), fact["meaning"], indent=4, hang=28)
    paper.blank()
    paper.heading("  Settings")
    for setting in told["settings"]:
        _field(paper, setting)
    if told["steps"]:
        paper.blank()
        paper.heading("  To set it up")
        for number, step in enumerate(told["steps"], 1):
            callback = f"https://<your bridge>/webhooks/{told['name']}"
            paper.say(f"{number}. {step.replace('{url}', callback)}", indent=4, hang=3)
    if told.get("approval"):
        paper.say(f"Approval takes {told['approval']}.", indent=4)


def _field(paper: Paper, field: Mapping[str, Any]) -> None:
    need = "needed" if field["required"] else f"default {field['default']}" if field["default"] is not None else ""
    choices = f"; {', '.join(field['choices'])}" if field.get("choices") else ""
    meaning = field["meaning"] + choices + (f" ({need})" if need else "")
    paper.say(f"{field['name']:<18}", (f"{field['kind']:<10}", "dim"), meaning, indent=4, hang=28)
