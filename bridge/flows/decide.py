"""The rules: evidence in, what is owed out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any, TypeAlias

from bridge.config import Config, Limit, Rule, Send, When
from bridge.kit import ExpressionError, Owed, Recorded
from bridge.kit.expressions import Expression, compile
from bridge.kit.fields import COMMON, Action

#: An amount that is left after refunds and is smaller than this is nothing: decimals become doubles.
NOTHING_LEFT = 0.005


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A rule whose condition or value could not be evaluated over this evidence."""

    rule: str
    fault: str


@dataclass(frozen=True, slots=True)
class NotOwed:
    """Why a rule that listens owes nothing; for `why` and `try`."""

    rule: str
    why: str


Decision: TypeAlias = Owed | Unjudged | NotOwed


def decide(config: Config, evidence: Recorded) -> list[Decision]:
    """What each rule that listens to this evidence makes of it."""
    found: list[Decision] = []
    for rule, one in config.rules_for(evidence.source, evidence.action):
        found.extend(_apply(config, rule, one, evidence))
    return found


def _apply(config: Config, rule: Rule, one: When, evidence: Recorded) -> list[Decision]:
    if rule.start and evidence.occurred_at < rule.start:
        return [NotOwed(rule.ledger, f"before the rule began on {rule.start:%Y-%m-%d %H:%M}")]
    if rule.end and evidence.occurred_at >= rule.end:
        return [NotOwed(rule.ledger, f"after the rule ended on {rule.end:%Y-%m-%d %H:%M}")]
    facts = context(evidence)
    try:
        if one.where is not None and one.where(facts) is not True:
            return [NotOwed(rule.ledger, f"the condition is not met: {rule.where}")]
    except ExpressionError as error:
        return [Unjudged(rule.ledger, f"where: {error.message}")]
    found: list[Decision] = []
    for send in rule.sends:
        amounts = amounts_of(config, send)
        try:
            options = render(send.options, one.computed.get(send.id, {}), facts)
            nothing = worthless(options, amounts)
        except ExpressionError as error:
            found.append(Unjudged(rule.ledger, f"send to {send.id}: {error.message}"))
            continue
        if nothing:
            found.append(NotOwed(rule.ledger, f"{nothing} is {options[nothing]:g}: nothing is owed"))
            continue
        found.append(
            Owed(
                rule=rule.ledger,
                send=send.id,
                target=send.to,
                buckets=buckets(rule.limit, evidence, config.timezone),
                options=options,
                wait=rule.wait,
                terms=_terms(rule, send, amounts),
                answered=bool(send.show or send.tell),
            )
        )
    return found


def _terms(rule: Rule, send: Send, amounts: list[str]) -> dict[str, Any]:
    """The rule's words as they stand, for what is judged again later and for what becomes of the answer."""
    terms: dict[str, Any] = {"where": rule.where, "options": send.options, "amounts": amounts}
    if send.show:
        terms["show"] = list(send.show)
    if send.tell:
        terms["tell"] = {"to": send.tell.to, "options": send.tell.options}
    return terms


def context(evidence: Recorded) -> dict[str, Any]:
    """The facts an expression sees: the action's own and those that every action carries."""
    return {
        **evidence.facts,
        "source": evidence.source,
        "action": evidence.action,
        "subject": evidence.subject,
        "account": evidence.account or "",
        "occurred_at": evidence.occurred_at,
    }


def left(evidence: Recorded, parts: Sequence[Recorded], action: Action | None) -> Mapping[str, Any] | None:
    """The facts after what was undone of them in parts; None where nothing is left of the whole."""
    facts = dict(evidence.facts)
    for part in parts:
        for name, amount in part.less.items():
            if isinstance(facts.get(name), int | float):
                facts[name] = max(0.0, round(float(facts[name]) - amount, 6))
    total = action.total if action else ""
    if total and parts and isinstance(facts.get(total), int | float) and facts[total] < NOTHING_LEFT:
        return None
    return facts


def buckets(limit: Limit, evidence: Recorded, zone: tzinfo) -> list[str]:
    """A limit is a name for a bucket: one forward per rule, send, bucket and person. The first free one counts."""
    match limit.period:
        case "ever":
            name = ""
        case "subject":
            name = evidence.subject or evidence.key
        case period:
            form = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}[period]
            name = evidence.occurred_at.astimezone(zone).strftime(form)
    return [name] if limit.count == 1 else [f"{name}#{slot}" for slot in range(1, limit.count + 1)]


def amounts_of(config: Config, send: Send) -> list[str]:
    """The options of a send that are amounts: 0 or less of one means nothing is owed."""
    target = config.targets.get(send.to)
    return [option.name for option in target.provider.options if option.amount] if target else []


def worthless(options: Mapping[str, Any], amounts: Sequence[str]) -> str:
    """The amount that is 0 or less; empty where none is."""
    for name in amounts:
        value = options.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            return name
    return ""


def render(value: Any, computed: Mapping[str, Expression], facts: Mapping[str, Any]) -> Any:
    """A send's options with every computed value in its place."""
    if isinstance(value, str) and value.startswith("="):
        return computed[value](facts)
    if isinstance(value, dict):
        return {key: render(one, computed, facts) for key, one in value.items()}
    if isinstance(value, list):
        return [render(one, computed, facts) for one in value]
    return value


@dataclass(frozen=True, slots=True)
class Again:
    """What judging the terms of a waiting forward again came to."""

    owed: bool
    options: Mapping[str, Any]
    why: str = ""


def judge_again(terms: Mapping[str, Any], evidence: Recorded, fact_types: Mapping[str, Any]) -> Again:
    """
    Judge a forward's own terms, as they stood when it was made, over the facts as they are now.

    A rule that was changed meanwhile changes nothing here. Cannot be evaluated: `ExpressionError`.
    """
    facts = context(evidence)
    kinds = {**{fact.name: fact.kind for fact in COMMON}, **fact_types}
    where = str(terms.get("where") or "")
    if where and compile(where, kinds, wants=("bool",))(facts) is not True:
        return Again(False, {}, f"no longer owed: {where}")
    computed = {text: compile(text[1:], kinds) for text in texts(terms["options"])}
    options = render(terms["options"], computed, facts)
    if nothing := worthless(options, terms.get("amounts", ())):
        return Again(False, {}, f"no longer owed: {nothing} is {options[nothing]:g}")
    return Again(True, options)


def texts(value: Any) -> list[str]:
    """Every computed value in a send's options, as written."""
    if isinstance(value, str):
        return [value] if value.startswith("=") else []
    if isinstance(value, Mapping):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return []


def asks_until(wait_ends: datetime) -> datetime:
    """How long a source that cannot answer is asked before a person must decide."""
    return wait_ends + timedelta(days=3)
