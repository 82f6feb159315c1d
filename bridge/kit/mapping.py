"""Evidence described in bridge.toml: for sources whose payloads no provider file knows.

Each `[[source.NAME.evidence]]` table says, in CEL over `body` (the parsed JSON), when a delivery counts and
what it tells. `headers` holds those headers that the source's scheme signs, and no others: whoever replays a
captured delivery can write what he likes into the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from .errors import BadPayload, ExpressionError, Unreadable
from .expressions import Expression, FactType, compile
from .fields import COMMON, Action, Fact, Setting, Settings
from .provider import Source
from .signatures import moment
from .types import Customer, Delivery, Evidence, Grade, Ignored

EVIDENCE = Setting(
    "evidence",
    "what a delivery tells: a list of tables with action, key and account, and optionally title, when, subject, "
    "occurred_at, undone, email, phone and facts; each a CEL expression over body",
    kind="tables",
    required=True,
)

TEXTS = {"action", "title"}
EXPRESSIONS = {
    "when": ("bool",),
    "key": ("string", "int"),
    "account": ("string", "int"),
    "subject": ("string", "int"),
    "occurred_at": ("timestamp", "string", "int", "double"),
    "undone": ("bool",),
    "email": ("string",),
    "phone": ("string",),
}
NEEDED = {
    "key": "an expression that names the fact, the same however often it is told",
    "account": "an expression that says who did it",
}
KINDS = ("string", "double", "int", "bool", "timestamp")


@dataclass(frozen=True, slots=True)
class Rung:
    """One compiled evidence table."""

    action: str
    parts: Mapping[str, Expression]
    facts: Mapping[str, Expression]


def described(source: Source, settings: Settings, *, signed_headers: Iterable[str] = ()) -> Source:
    """The source that its own table describes: actions, facts and reading. Faults are `ExpressionError`s.

    `signed_headers`: names in lower case of the headers that the scheme covers.
    """
    tables = settings.get("evidence") or []
    signed = frozenset(signed_headers)
    rungs: list[Rung] = []
    actions: dict[str, Action] = {}
    for number, table in enumerate(tables, 1):
        try:
            rung, action = _rung(table, signed)
        except ExpressionError as error:
            raise ExpressionError(f"evidence {number}: {error.message}") from None
        known = actions.get(rung.action)
        if known and {f.name: f.kind for f in known.facts} != {f.name: f.kind for f in action.facts}:
            raise ExpressionError(f"evidence {number}: {rung.action} is described twice with different facts")
        rungs.append(rung)
        actions.setdefault(rung.action, action)
    return replace(source, actions=actions, read=_reader(rungs, signed))


def _rung(table: Mapping[str, Any], signed: frozenset[str]) -> tuple[Rung, Action]:
    unknown = set(table) - TEXTS - set(EXPRESSIONS) - {"facts"}
    if unknown:
        known = ", ".join([*sorted(TEXTS), *EXPRESSIONS, "facts"])
        raise ExpressionError(f"unknown key {', '.join(sorted(unknown))}; known are {known}")
    action = table.get("action", "")
    if not isinstance(action, str) or not action.isidentifier():
        raise ExpressionError('action names what was done in one word, for example action = "review"')
    for needed, meaning in NEEDED.items():
        if not table.get(needed):
            raise ExpressionError(f"{needed} is missing: {meaning}")
    parts = {name: _compiled(table[name], name, signed, wants) for name, wants in EXPRESSIONS.items() if name in table}
    facts, declared = {}, []
    for name, text in _facts(table).items():
        made = _compiled(text, f"facts.{name}", signed)
        if made.type not in KINDS:
            raise ExpressionError(
                f"facts.{name}: the type of {text} is not known; wrap it: double({text}), string({text}), int({text})"
            )
        facts[name] = made
        declared.append(Fact(name, made.type, text))  # type: ignore[arg-type]
    title = str(table.get("title") or action.replace("_", " ").capitalize())
    return Rung(action, parts, facts), Action(title, tuple(declared), grade=Grade.A)


def _facts(table: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = table.get("facts", {})
    if not isinstance(facts, Mapping):
        raise ExpressionError('facts is a table of expressions, for example facts = { total = "double(body.total)" }')
    taken = {fact.name for fact in COMMON}
    for name in facts:
        if not name.isidentifier() or name in taken:
            why = "every action carries one of this name" if name in taken else "a fact is named in one word"
            raise ExpressionError(f"facts.{name}: {why}; choose another name")
    return facts


def _compiled(value: Any, name: str, signed: frozenset[str], wants: tuple[str, ...] = ()) -> Expression:
    if not isinstance(value, str) or not value.strip():
        raise ExpressionError(f"{name} is a CEL expression over body, in quotes")
    for header in re.findall(r"""headers\s*\[\s*["']([^"']*)["']\s*\]""", value):
        if header not in signed:
            known = f"signed are {', '.join(sorted(signed))}" if signed else "this source signs no header"
            raise ExpressionError(f"{name}: the header {header} is not signed, so anybody could write it; {known}")
    known_names: dict[str, FactType] = {"body": "any", "headers": "map"} if signed else {"body": "any"}
    try:
        return compile(value, known_names, wants=wants)
    except ExpressionError as error:
        raise ExpressionError(f"{name}: {error.message}") from None


Reader = Callable[[Delivery, Settings], Ignored | Iterable[Evidence | Customer]]


def _reader(rungs: Sequence[Rung], signed: frozenset[str]) -> Reader:
    def read(delivery: Delivery, settings: Settings) -> Ignored | Iterable[Evidence | Customer]:
        headers = {name: delivery.headers[name] for name in signed if name in delivery.headers}
        context = {"body": delivery.json(), **({"headers": headers} if signed else {})}
        found = [one for rung in rungs if (one := _apply(rung, context)) is not None]
        return found or Ignored(reason="no evidence table of this source applies to it")

    return read


def _apply(rung: Rung, context: Mapping[str, Any]) -> Evidence | None:
    def value(name: str) -> Any:
        return rung.parts[name](context) if name in rung.parts else None

    try:
        if "when" in rung.parts and value("when") is not True:
            return None
    except ExpressionError:
        return None  # a `when` that names a field this delivery does not have does not apply to it
    try:
        key, account = _name(value("key"), "key"), _name(value("account"), "account")
        email, phone = _maybe(value("email"), "email"), _maybe(value("phone"), "phone")
        known = Customer(email=email, phone=phone) if email or phone else None
        return Evidence(
            action=rung.action,
            key=key,
            account=account,
            subject=_maybe(value("subject"), "subject") or "",
            occurred_at=_time(value("occurred_at")),
            facts={name: one(context) for name, one in rung.facts.items()},
            customer=known,
            undone=_flag(value("undone")),
        )
    except ExpressionError as error:
        raise Unreadable(f"{rung.action}: {error.message}") from None


def _name(value: Any, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unreadable(f"{what} is {value!r}, and a text or whole number is needed")
    return str(value)


def _maybe(value: Any, what: str) -> str | None:
    return None if value is None or value == "" else _name(value, what)


def _flag(value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise Unreadable(f"undone is {value!r}, and true or false is needed")
    return value is True


def _time(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        return moment(str(int(value)) if isinstance(value, float) else str(value))
    except BadPayload:
        raise Unreadable(f"occurred_at is {str(value)[:40]!a}, and a time is needed") from None
