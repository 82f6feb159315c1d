"""`[[rule]]` tables: what earns what, with every expression typed against the facts its actions declare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from bridge.kit import ExpressionError
from bridge.kit.expressions import Expression, compile
from bridge.kit.fields import types

from . import sends as sending
from .model import Limit, Rule, Send, SourceTable, TargetTable, When
from .reader import Document, Path_

KEYS = {
    "id", "name", "when", "where", "limit", "wait", "from", "until", "send", "was", "i_accept_the_platform_policy",
    "already", "review", "min_account_age", "min_followers",
}  # fmt: skip

PERIODS: Mapping[str, Limit] = {
    "once": Limit(),
    "daily": Limit(1, "day"),
    "weekly": Limit(1, "week"),
    "monthly": Limit(1, "month"),
    "per subject": Limit(1, "subject"),
}


def read(
    document: Document,
    sources: Mapping[str, SourceTable],
    targets: Mapping[str, TargetTable],
    zone: tzinfo,
) -> tuple[Rule, ...]:
    """All rules; faults are noted in the document."""
    tables = document.values.get("rule", [])
    if not isinstance(tables, list):
        document.fault(("rule",), "rules are written as [[rule]], with two brackets")
        return ()
    rules: list[Rule] = []
    ids: dict[str, int] = {}
    for number, table in enumerate(tables):
        at: Path_ = ("rule", number)
        if rule := _rule(document, table, at, sources, targets, zone):
            for name in {rule.id, rule.ledger}:
                if name in ids:
                    document.fault((*at, "id"), f"the rule id {name} is taken by the rule in line {ids[name]}")
                ids[name] = rule.line
            rules.append(rule)
    return tuple(rules)


def _rule(
    document: Document,
    table: Mapping[str, Any],
    at: Path_,
    sources: Mapping[str, SourceTable],
    targets: Mapping[str, TargetTable],
    zone: tzinfo,
) -> Rule | None:
    document.known(table, at, KEYS, what="a rule")
    id_ = document.text(table, at, "id")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", id_):
        document.fault((*at, "id"), "a rule needs an id of lower-case letters, digits, - and _: it counts for ever")
        return None
    wait = document.duration(table, at, "wait", timedelta(0))
    where = document.text(table, at, "where")
    sends = sending.read(document, table, at, targets)
    whens = _whens(document, table, at, sources, where, sends, targets)
    if wait:
        for one in whens:
            _check_wait(document, at, one, sources[one.source])
    return Rule(
        id=id_,
        ledger=document.text(table, at, "was") or id_,
        name=document.text(table, at, "name") or id_,
        whens=whens,
        where=where,
        limit=_limit(document, table, at),
        wait=wait,
        start=_date(document, table, at, "from", zone, end=False),
        end=_date(document, table, at, "until", zone, end=True),
        sends=sends,
        line=document.line((*at, "id")),
        already=document.choice(table, at, "already", ("pay", "skip"), "pay"),  # type: ignore[arg-type]
        review=document.choice(table, at, "review", ("never", "doubtful", "always"), "doubtful"),  # type: ignore[arg-type]
        min_account_age=document.duration(table, at, "min_account_age", timedelta(0)),
        min_followers=_followers(document, table, at),
    )


def _whens(
    document: Document,
    table: Mapping[str, Any],
    at: Path_,
    sources: Mapping[str, SourceTable],
    where: str,
    sends: tuple[Send, ...],
    targets: Mapping[str, TargetTable],
) -> tuple[When, ...]:
    named = document.texts(table, at, "when")
    if not named:
        document.fault((*at, "when"), 'a rule needs when = "source.action"')
    found: list[When] = []
    for name in named:
        source_name, _, action_name = name.rpartition(".")
        source = sources.get(source_name)
        if source is None and source_name in sending.written(document, "source"):
            continue  # its own faults have been told
        if source is None:
            known = ", ".join(f"{s.name}.{a}" for s in sources.values() for a in s.provider.actions) or "none yet"
            document.fault(
                (*at, "when"), f"{name}: there is no [source.{source_name or name}]; what can happen here: {known}"
            )
            continue
        action = source.provider.actions.get(action_name)
        if action is None:
            known = ", ".join(f"{source_name}.{one}" for one in source.provider.actions)
            document.fault((*at, "when"), f"{source.provider.title} has no action {action_name}; it has {known}")
            continue
        if action.policy and action.policy.forbidden and not table.get("i_accept_the_platform_policy"):
            document.fault(
                (*at, "when"),
                f"{name}: {source.provider.title} forbids rewarding this: {action.policy.text} "
                f"({action.policy.source}). It stays off until the rule says i_accept_the_platform_policy = true",
            )
        kinds = types(action.facts)
        condition = None
        if where:
            try:
                condition = compile(where, kinds, wants=("bool",))
            except ExpressionError as error:
                document.fault((*at, "where"), f"where, over the facts of {name}: {error.message}")
        computed: dict[str, dict[str, Expression]] = {}
        for number, send in enumerate(sends):
            target = targets.get(send.to)
            if target:
                place = (*at, "send", number) if isinstance(table.get("send"), list) else (*at, "send")
                computed[send.id] = sending.compute(document, place, name, send.options, target, kinds)
                sending.check_tell(document, place, name, send, targets, kinds)
        found.append(
            When(
                source=source_name,
                ledger=source.ledger,
                action=action_name,
                title=action.title,
                fact_types=kinds,
                where=condition,
                computed=computed,
                asked_again=action_name in source.provider.rechecks or action_name in source.provider.checks,
                declared=action,
            )
        )
    return tuple(found)


def _followers(document: Document, table: Mapping[str, Any], at: Path_) -> int:
    value = table.get("min_followers", 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        document.fault((*at, "min_followers"), "min_followers is a whole number without quotes: min_followers = 10")
        return 0
    return value


def _limit(document: Document, table: Mapping[str, Any], at: Path_) -> Limit:
    text = document.text(table, at, "limit", "once")
    if text in PERIODS:
        return PERIODS[text]
    if found := re.fullmatch(r"(\d{1,4}) (?:times )?per (day|week|month|subject)", text):
        if int(found[1]) > 0:
            return Limit(int(found[1]), found[2])  # type: ignore[arg-type]
    elif (found := re.fullmatch(r"(\d{1,4}) times", text)) and int(found[1]) > 0:
        return Limit(int(found[1]))
    document.fault(
        (*at, "limit"), f'limit is {", ".join(PERIODS)} or "3 per week" (day, week, month, subject), not {text!r}'
    )
    return Limit()


def _date(
    document: Document, table: Mapping[str, Any], at: Path_, key: str, zone: tzinfo, *, end: bool
) -> datetime | None:
    """A day means all of it: `until = 2026-12-31` ends with that day in the merchant's time zone."""
    value = table.get(key)
    if value is None:
        return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    if isinstance(value, date):
        day = value + timedelta(days=1) if end else value
        return datetime.combine(day, time.min, zone)
    document.fault((*at, key), f"{key} is a date without quotes: {key} = 2026-12-31, or 2026-12-31T18:00:00")
    return None


def _check_wait(document: Document, at: Path_, one: When, source: SourceTable) -> None:
    provider = source.provider
    missing = [name for name in provider.recheck_needs if not source.settings.get(name)]
    if provider.brand and missing == [provider.brand.setting]:
        return  # `setup` signs the brand in for it, and `doors.warnings` says so
    check = provider.checks.get(one.action)
    way = check.way(source.settings) if check else None
    theirs = way is not None and check is not None and way.ask is check.ask  # with what the customer has granted
    if way is not None and (not theirs or provider.door(source.settings)):
        if check is not None and theirs and check.once:
            document.fault(
                (*at, "wait"),
                f"{one.source}.{one.action} is proved by the sign-in itself, which cannot be asked again when wait "
                "ends: take wait out",
            )
        return  # what the customer has granted is kept until then
    if one.asked_again and missing:
        document.fault(
            (*at, "wait"),
            f"when wait ends, {source.provider.title} is asked whether {one.action} still holds, and for that "
            f"[source.{source.name}] needs {', '.join(missing)}",
        )
