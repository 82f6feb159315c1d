"""A bridge.toml and its .env.example for the providers somebody chose, from what those declare about themselves."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge.kit import EVIDENCE, Action, Option, Setting, Source, Target

#: Comments stand beside what they explain, up to here; longer ones above it.
COLUMN, LONGEST = 44, 112


def toml(sources: Sequence[Source], targets: Sequence[Target], public_url: str) -> str:
    """bridge.toml, commented; `check` finds nothing wrong with it but unset environment variables."""
    needs = {target.customer for target in targets if target.find is None} - {"any"}
    shops = [source for source in sources if source.knows_customers]
    parts = [
        "# Who tells us what, and what it earns. `loyalty-bridge check` reads this file and says what it understood.",
        '# Secrets never stand here: "env:NAME" reads the environment, "file:/run/secrets/name" a file.',
        "",
        _line(f'public_url = "{public_url}"', "where the world reaches this bridge"),
        _line('timezone = "UTC"', "what days, weeks and times without a zone mean: Europe/Stockholm"),
        "",
        "[customers]",
        _line(f'key = "{min(needs, default="id")}"', "what the loyalty APIs call a customer: id, email or phone"),
        _line('same_when = ["email"]', "verified values only; joined into one person before limits are counted"),
        _line('# phone_country = "SE"', "phones without a country code are from here"),
        _line('retroactive = "30 days"', "what was done so long before the link still counts"),
        "",
        "[signing]",
        _line('secret = ["env:SIGNING_SECRET"]', "signs every call to a loyalty API (Standard Webhooks)"),
        "",
        "# [[alert]]" + " " * (COLUMN - 11) + "# told once when something goes wrong, and once when it is right again",
        '# to = "env:SLACK_URL"',
    ]
    for source in sources:
        prefix = f'customer_prefix = "{source.name}-"' if source in shops and len(shops) > 1 else ""
        parts += [
            "",
            *_table("source", source.name, source.title, source.docs, source.settings),
            *([prefix] * bool(prefix)),
        ]
        if any(setting.name == EVIDENCE.name for setting in source.settings):
            parts += ["", *_evidence(source)]
    for target in targets:
        parts += ["", *_table("target", target.name, target.title, target.docs, target.settings)]
    for source in sources:
        parts += ["", *_rule(source, targets)]
    return "\n".join(parts) + "\n"


def env_example(sources: Sequence[Source], targets: Sequence[Target]) -> str:
    """The variables that this bridge.toml reads, empty, with a comment each."""
    lines = [
        "# Copy this to .env, fill it in, and keep that out of version control.",
        "# `loyalty-bridge serve --env-file .env` reads it.",
        "",
        "# Encrypts what has to be kept secret; `loyalty-bridge key` prints one.",
        "BRIDGE_SECRET_KEY=",
        "",
        "# Signs every call to a loyalty API. Make one with: echo whsec_$(openssl rand -base64 32)",
        "SIGNING_SECRET=",
    ]
    providers: list[Source | Target] = [*sources, *targets]
    for provider in providers:
        for setting in provider.settings:
            if _from_environment(setting) and (setting.required or setting.kind in ("secret", "secrets")):
                name = f"{'' if setting.required else '# '}{variable(provider.name, setting)}="
                lines += ["", f"# {provider.title}: {setting.meaning}", name]
    return "\n".join(lines) + "\n"


def variable(table: str, setting: Setting) -> str:
    """The environment variable of a setting: TWITCH_WEBHOOK_SECRET."""
    return f"{table}_{setting.name}".upper().replace("-", "_")


def _from_environment(setting: Setting) -> bool:
    secret = setting.kind in ("secret", "secrets")
    return secret or (setting.kind == "text" and setting.default is None and not setting.example)


def _line(code: str, comment: str) -> str:
    if not comment:
        return code
    beside = f"{code:<{COLUMN}}# {comment}"
    if code and len(code) < COLUMN and len(beside) <= LONGEST + 8:
        return beside
    return "\n".join([*textwrap.wrap(comment, LONGEST, initial_indent="# ", subsequent_indent="# "), code])


def _table(kind: str, name: str, title: str, docs: str, settings: Sequence[Setting]) -> Iterator[str]:
    yield _line(f"[{kind}.{name}]", f"{title}: {docs}")
    for setting in sorted(settings, key=lambda one: not one.required):
        if setting.name == EVIDENCE.name and setting.kind == "tables":
            continue
        code = f"{setting.name} = {_value(name, setting)}"
        yield _line(code if setting.required else f"# {code}", setting.meaning)


def _value(table: str, setting: Setting) -> str:
    if setting.kind == "secrets":
        return f'["env:{variable(table, setting)}"]'
    if setting.kind == "secret" or (setting.required and _from_environment(setting)):
        return f'"env:{variable(table, setting)}"'
    if setting.kind in ("table", "tables"):
        return setting.example or "{}"
    if setting.default is not None:
        return json.dumps(setting.default, ensure_ascii=False)
    given = {"url": "https://example.com/", "duration": "24 hours", "bool": False, "int": 1, "number": 1.0}
    return json.dumps(setting.example or given.get(setting.kind, "..."), ensure_ascii=False)


def _evidence(source: Source) -> Iterator[str]:
    """What a delivery tells, after the source's own sample: `send` and this fit together."""
    sample = source.samples["event"]
    _, body = sample.make(sample.values, datetime(2026, 1, 1, tzinfo=UTC))
    paths = {name: _path(body, value) for name, value in sample.values.items()}
    yield _line(
        f"[[source.{source.name}.evidence]]", "what a delivery tells, in CEL over its body; one table for each action"
    )
    yield 'action = "review"'
    yield 'title = "Writes a review"'
    yield _line(f"when = \"{paths['type']} == '{sample.values['type']}'\"", "which deliveries tell it")
    yield _line(f'key = "string({paths["id"]})"', "names the fact, the same however often it is told")
    yield _line(f'account = "string({paths["account"]})"', "who did it")


def _path(body: Any, wanted: object, at: str = "body") -> str:
    """Where a value stands in a body, as CEL writes it."""
    if isinstance(body, Mapping):
        return next((found for name, one in body.items() if (found := _path(one, wanted, f"{at}.{name}"))), "")
    return at if body == wanted else ""


def _rule(source: Source, targets: Sequence[Target]) -> Iterator[str]:
    actions = source.actions or {"review": Action("Writes a review")}
    free = {name: one for name, one in actions.items() if not (one.policy and one.policy.forbidden)}
    name, action = next(iter(free.items()), next(iter(actions.items())))
    others = ", ".join(one for one in actions if one != name)
    yield "[[rule]]"
    yield _line(f'id = "{source.name}-{name}"'.replace("_", "-"), "counts in the ledger for ever; `name` may change")
    yield f"name = {json.dumps(action.title, ensure_ascii=False)}"
    yield _line(f'when = "{source.name}.{name}"', f"one action or a list; there are also {others}" if others else "")
    if action.policy:
        yield _line("", f"The platform on rewarding this: {action.policy.text} ({action.policy.source})").rstrip()
        if action.policy.forbidden:
            yield "i_accept_the_platform_policy = true"
    if where := _where(action):
        facts = ", ".join(fact.name for fact in action.facts)
        yield _line(f'# where = "{where}"', f"a condition over the facts: {facts}")
    once = "once, daily, weekly, monthly, per subject, or for example 3 per week"
    yield _line(f'limit = "{"per subject" if action.total else "once"}"', once)
    off, asked = _asked_again(source, name)
    yield _line(f'{"# " if off else ""}wait = "{"14 days" if action.total else "24 hours"}"', asked)
    if len(targets) == 1:
        told = ", ".join(f"{key} = {value}" for key, value in _options(targets[0]))
        yield f"send = {{ {told} }}"
        return
    for target in targets:
        yield "[[rule.send]]"
        yield from (f"{key} = {value}" for key, value in _options(target))


def _asked_again(source: Source, name: str) -> tuple[bool, str]:
    """Whether `wait` must stay a comment until more is set, and what happens when it ends."""
    check = source.checks.get(name)
    if name not in source.rechecks and check is None:
        return False, "what is taken back until then earns nothing"
    if name not in source.rechecks and check is not None and check.once:
        return True, "not here: the sign-in itself is the proof, and cannot be asked again"
    needs = f"; needs {', '.join(source.recheck_needs)}" if source.recheck_needs else ""
    return bool(needs), f"then {source.title} is asked again{needs}"


def _where(action: Action) -> str:
    for fact in action.facts:
        if fact.kind == "double":
            return f"{fact.name} >= 50.0"
    return next((f"{fact.name} == '...'" for fact in action.facts if fact.kind == "string"), "")


def _options(target: Target) -> Iterator[tuple[str, str]]:
    yield "to", f'"{target.name}"'
    first = target.ways()[0]
    for option in target.options:
        if option.name in first:
            yield option.name, _example(option)


def _example(option: Option) -> str:
    if option.example:
        return json.dumps(option.example) if option.kind == "string" else option.example
    if option.default is not None:
        return json.dumps(option.default)
    least = option.least or 1
    blank = {"int": int(least), "double": float(least), "bool": True, "map": {}, "list": []}
    return json.dumps(blank.get(option.kind, "..."))
