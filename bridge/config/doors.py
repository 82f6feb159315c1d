"""`[tickets]`, `[connect]` and `return_to`: the customers' door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from bridge.kit.tickets import may_return

from .model import Config, Connect
from .reader import Document
from .secrets import resolve_all


def tickets(document: Document, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets tickets are signed with, newest first."""
    table = _table(document, "tickets")
    document.known(table, ("tickets",), ("secret",), what="[tickets]")
    return resolve_all(table["secret"], document, ("tickets", "secret"), environ, "secret") if "secret" in table else ()


def return_to(document: Document) -> tuple[str, ...]:
    """Where customers may be sent back to."""
    found = document.texts(document.values, (), "return_to")
    for one in found:
        # An address that does not allow itself is one that a browser reads otherwise.
        if not may_return(one, [one]) or urlsplit(one).query or urlsplit(one).fragment:
            document.fault(
                ("return_to",), f'return_to is a list of addresses such as "https://shop.example.com/", not {one!r}'
            )
    return found


def connect(document: Document) -> Connect:
    """How customers connect accounts."""
    table, at = _table(document, "connect"), ("connect",)
    document.known(table, at, ("lasts", "cool_down", "too_fast", "accounts_a_day"), what="[connect]")
    plain = Connect()
    lasts = document.duration(table, at, "lasts", plain.lasts)
    if not timedelta(minutes=10) <= lasts <= timedelta(days=90):
        document.fault((*at, "lasts"), "lasts is from 10 minutes to 90 days: for so long a claim is asked about")
    most = table.get("accounts_a_day", plain.accounts_a_day)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        document.fault((*at, "accounts_a_day"), "accounts_a_day is a whole number above 0")
        most = plain.accounts_a_day
    return Connect(
        lasts=lasts,
        cool_down=document.duration(table, at, "cool_down", plain.cool_down),
        too_fast=document.duration(table, at, "too_fast", plain.too_fast),
        accounts_a_day=most,
    )


def warnings(config: Config) -> list[str]:
    """What customers will miss as the file stands."""
    found = []
    claimed = [
        (rule, when)
        for rule in config.rules
        for when in rule.whens
        if when.action in config.sources[when.source].provider.checks
    ]
    doors = {when.source for _, when in claimed}
    for name in sorted(doors):
        source = config.sources[name]
        door = source.provider.oauth or source.provider.login
        if config.tickets and door and source.provider.door(source.settings) is None and source.provider.codes is None:
            needs = " and ".join(door.needs)
            found.append(f"customers cannot connect at [source.{name}]: it has no {needs}")
    if doors and config.tickets and not config.return_to:
        found.append("there is no return_to: customers are not led back to the shop")
    return found + [
        f"{rule.id} waits and then asks {config.sources[name].provider.title}, for which the brand must be signed in: "
        f"loyalty-bridge setup {name}, or {brand} in [source.{name}]"
        for rule, name, brand in unsigned(config)
    ]


def unsigned(config: Config) -> list[tuple[Any, str, str]]:
    """Rules that wait, and whose source can only be asked with a brand's token that the file does not hold."""
    found = []
    for rule in config.rules:
        for when in rule.whens if rule.wait else ():
            provider, settings = config.sources[when.source].provider, config.sources[when.source].settings
            brand = provider.brand
            if brand and brand.setting in provider.recheck_needs and not settings.get(brand.setting):
                found.append((rule, when.source, brand.setting))
    return found


def _table(document: Document, name: str) -> Mapping[str, Any]:
    table = document.values.get(name, {})
    if not isinstance(table, dict):
        document.fault((name,), f"[{name}] is a table")
        return {}
    return table
