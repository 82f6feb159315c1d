"""Rules as English sentences: what `check` understood, for whoever wrote the rule and for whoever pays for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bridge.kit.fields import said

from .model import Config, Limit, Rule, Send, When

TIMES = {1: "once", 2: "twice"}


def rule(one: Rule, config: Config) -> list[str]:
    """What the rule promises, what bounds it, and when it leaves."""
    told = [_promise(one, config), _limit(one.limit)]
    told += [_wait(one, when, config) for when in one.whens] if one.wait else []
    told += _terms(one, config)
    if dates := _dates(one):
        told.append(dates)
    for when in one.whens:
        if (policy := when.declared.policy) and policy.forbidden:
            told.append(f"{config.sources[when.source].provider.title} forbids rewarding this: {policy.text}.")
    if one.ledger != one.id:
        told.append(f"In the ledger it counts as {one.ledger}.")
    return list(dict.fromkeys(told))


def _promise(one: Rule, config: Config) -> str:
    whats = " or ".join(f"{_lower(when.title)} ({when.source}.{when.action})" for when in one.whens)
    where = f", where {one.where}," if one.where else ""
    sends = " and ".join(_send(send) for send in one.sends)
    return f"Whoever {whats}{where} earns {sends}."


def _send(send: Send) -> str:
    options = ", ".join(f"{name} {_value(value)}" for name, value in send.options.items() if value not in ("", None))
    return f"a call to {send.to}" + (f" with {options}" if options else "")


def _value(value: Any) -> str:
    if isinstance(value, str):
        return f"computed as {value[1:].strip()}" if value.startswith("=") else value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_value(one)}" for name, one in value.items()) + "}"
    return f"{value}"


def _lower(title: str) -> str:
    return title[:1].lower() + title[1:]


def _limit(limit: Limit) -> str:
    times = TIMES.get(limit.count, f"{limit.count} times")
    if limit.period == "ever":
        return f"Each person earns it {'once' if limit.count == 1 else f'at most {times}'}, for ever."
    if limit.period == "subject":
        each = "once for each subject" if limit.count == 1 else f"at most {times} for each subject"
        return f"Each person earns it {each} (an order, a channel)."
    return f"Each person earns it at most {times} a {limit.period}."


def _wait(one: Rule, when: When, config: Config) -> str:
    wait, title = said(one.wait), config.sources[when.source].provider.title
    if when.asked_again and when.action not in config.sources[when.source].provider.rechecks:
        return (
            f"It leaves after {wait}; {title} is asked again then, with what the customer has granted where the brand "
            "cannot ask, and whoever no longer does it earns nothing."
        )
    if when.asked_again:
        return f"It leaves after {wait}; {title} is asked again then, and whoever no longer does it earns nothing."
    return (
        f"It leaves after {wait}. {when.source}.{when.action} cannot be asked again: "
        "what the source said until then decides."
    )


def _terms(one: Rule, config: Config) -> list[str]:
    told = []
    if one.already == "skip":
        told.append("Whoever had done it before they were asked earns nothing.")
    if one.min_account_age:
        told.append(f"Where the platform tells, the account must be older than {said(one.min_account_age)}.")
    if one.min_followers:
        told.append(f"Where the platform tells, the account must have at least {one.min_followers} followers.")
    if one.review == "always":
        told.append("A person looks at each one first: `approve` or `refuse`.")
    if one.review == "never":
        told.append("Nobody looks at it first, however doubtful it is.")
    return told


def _dates(one: Rule) -> str:
    start = f" from {_date(one.start)}" if one.start else ""
    end = ""
    if one.end:
        whole = (one.end.hour, one.end.minute) == (0, 0)  # until = a day means all of that day
        end = f" to the end of {one.end - timedelta(days=1):%Y-%m-%d}" if whole else f" until {_date(one.end)}"
    return f"It counts{start}{end}." if start or end else ""


def _date(at: datetime) -> str:
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute) == (0, 0) else f"{at:%Y-%m-%d %H:%M}"


def customers(config: Config) -> list[str]:
    """How customers are named, joined and credited backwards."""
    own = config.customers
    told = [f"The loyalty APIs are told a customer's {own.key}."]
    if own.same_when:
        told.append(f"Customers with the same verified {' or '.join(own.same_when)} count as one person.")
    if any(not source.provider.knows_customers for source in config.sources.values()):
        back = said(own.retroactive) if own.retroactive > timedelta(0) else ""
        told.append(
            f"What an account did up to {back} before it was linked still counts."
            if back
            else "What an account did before it was linked does not count."
        )
    if config.tickets:
        lasts, cool = said(config.connect.lasts), said(config.connect.cool_down)
        told.append(f"A customer has {lasts} to prove it.")
        told.append(f"An account that has earned something can become another customer's {cool} after it was let go.")
    return told


def unused(config: Config) -> Sequence[str]:
    """What is configured and plays no part in any rule."""
    heard = {when.source for rule in config.rules for when in rule.whens}
    told = {send.to for rule in config.rules for send in rule.sends}
    found = [f"no rule listens to [source.{name}]" for name in config.sources if name not in heard]
    found += [f"no rule sends to [target.{name}]" for name in config.targets if name not in told]
    return found if config.rules else ["there are no [[rule]] tables: nothing earns anything"]
