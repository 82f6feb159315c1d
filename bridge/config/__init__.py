"""bridge.toml -> `Config`. Every mistake is named, with its line and what would be right, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bridge.kit import Source, Target, standard_fault

from . import rules, tables
from .model import Alert, Config, Customers, Limit, Rule, Send, SourceTable, TargetTable, When
from .reader import Document
from .secrets import resolve, resolve_all

TOP = {
    "public_url", "timezone", "return_to", "trusted_proxies", "allow_private_networks", "plugins", "customers",
    "tickets", "signing", "alert", "heartbeat", "source", "target", "rule",
}  # fmt: skip


def load(
    path: Path,
    environ: Mapping[str, str],
    sources: Mapping[str, Source],
    targets: Mapping[str, Target],
) -> Config:
    """Read and check bridge.toml. Anything wrong: `ConfigError` with every fault."""
    return understand(Document.read(path), environ, sources, targets)


def plugins(path: Path) -> tuple[str, ...]:
    """The modules that bring more providers, which must be imported before the file can be understood."""
    document = Document.read(path)
    named = document.texts(document.values, (), "plugins")
    document.stop()
    return named


def understand(
    document: Document, environ: Mapping[str, str], sources: Mapping[str, Source], targets: Mapping[str, Target]
) -> Config:
    """A document -> `Config`. Anything wrong: `ConfigError` with every fault."""
    values = document.values
    document.known(values, (), TOP, what="bridge.toml")
    warnings: list[str] = []
    zone: Any = ZoneInfo("UTC")
    try:
        zone = ZoneInfo(document.text(values, (), "timezone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        document.fault(("timezone",), f"there is no time zone {values['timezone']!r}; write Europe/Stockholm")
    signing = _signing(document, environ)
    source_tables = tables.sources(document, sources, environ)
    target_tables = tables.targets(document, targets, environ, signing)
    if not signing and any(not t.provider.signs_with and t.signed_headers for t in target_tables.values()):
        warnings.append("there is no [signing]: calls carry no webhook-id, webhook-timestamp and webhook-signature")
    public_url = document.text(values, (), "public_url", "http://127.0.0.1:8000").rstrip("/")
    if urlsplit(public_url).scheme not in ("http", "https") or not urlsplit(public_url).hostname:
        document.fault(
            ("public_url",), 'public_url is where the world reaches this bridge: "https://rewards.example.com"'
        )
    config = Config(
        path=document.path,
        public_url=public_url,
        timezone=zone,
        return_to=document.texts(values, (), "return_to"),
        trusted_proxies=document.texts(values, (), "trusted_proxies"),
        allow_private_networks=document.flag(values, (), "allow_private_networks", False),
        customers=_customers(document),
        tickets=_tickets(document, environ),
        signing=signing,
        alerts=_alerts(document, environ),
        heartbeat=_heartbeat(document, environ),
        sources=source_tables,
        targets=target_tables,
        rules=rules.read(document, source_tables, target_tables, zone),
        warnings=tuple(warnings),
    )
    _check_names(document, config)
    document.stop()
    return config


def _customers(document: Document) -> Customers:
    table, at = _table(document, "customers"), ("customers",)
    document.known(table, at, ("key", "same_when", "phone_country", "retroactive"), what="[customers]")
    same = document.texts(table, at, "same_when")
    for one in same:
        if one not in ("email", "phone"):
            document.fault((*at, "same_when"), f"same_when joins by email and phone, not by {one}")
    country = document.text(table, at, "phone_country")
    if country and not (len(country) == 2 and country.isalpha() and country.isupper()):
        document.fault((*at, "phone_country"), f'phone_country is two capital letters: "SE", not {country!r}')
    return Customers(
        key=document.choice(table, at, "key", ("id", "email", "phone"), "id"),  # type: ignore[arg-type]
        same_when=same,
        phone_country=country,
        retroactive=document.duration(table, at, "retroactive", Customers().retroactive),
    )


def _tickets(document: Document, environ: Mapping[str, str]) -> tuple[str, ...]:
    table = _table(document, "tickets")
    document.known(table, ("tickets",), ("secret",), what="[tickets]")
    return resolve_all(table["secret"], document, ("tickets", "secret"), environ, "secret") if "secret" in table else ()


def _signing(document: Document, environ: Mapping[str, str]) -> tuple[str, ...]:
    table = _table(document, "signing")
    document.known(table, ("signing",), ("secret",), what="[signing]")
    if "secret" not in table:
        return ()
    keys = resolve_all(table["secret"], document, ("signing", "secret"), environ, "secret")
    for key in keys:
        if said := standard_fault(key, signs=True):
            document.fault(
                ("signing", "secret"), f"secret {said}. Make one with: openssl rand -base64 32, after whsec_"
            )
    return keys


def _alerts(document: Document, environ: Mapping[str, str]) -> tuple[Alert, ...]:
    given = document.values.get("alert", [])
    if not isinstance(given, list):
        document.fault(("alert",), "alerts are written as [[alert]], with two brackets")
        return ()
    found = []
    for number, table in enumerate(given):
        at = ("alert", number)
        document.known(table, at, ("to", "secret"), what="an alert")
        to = resolve(table.get("to"), document, (*at, "to"), environ, "to")
        secret = resolve_all(table["secret"], document, (*at, "secret"), environ, "secret") if "secret" in table else ()
        for key in secret:
            if said := standard_fault(key, signs=True):
                document.fault((*at, "secret"), f"secret {said}")
        if to and urlsplit(to).scheme not in ("http", "https"):
            document.fault((*at, "to"), "to names no address that begins with https://")
        elif to:
            found.append(Alert(to=to, secret=secret))
    return tuple(found)


def _heartbeat(document: Document, environ: Mapping[str, str]) -> str:
    table = _table(document, "heartbeat")
    document.known(table, ("heartbeat",), ("to",), what="[heartbeat]")
    return resolve(table.get("to"), document, ("heartbeat", "to"), environ, "to") if table else ""


def _table(document: Document, name: str) -> Mapping[str, Any]:
    table = document.values.get(name, {})
    if not isinstance(table, dict):
        document.fault((name,), f"[{name}] is a table")
        return {}
    return table


def _check_names(document: Document, config: Config) -> None:
    """A target that cannot do without an e-mail or phone is useless where customers are named by something else."""
    key = config.customers.key
    for target in config.targets.values():
        if target.provider.find is None and target.provider.customer not in ("any", key):
            document.fault(
                ("target", target.name),
                f"{target.provider.title} names customers by {target.provider.customer}; [customers] key is {key!r}",
            )
    for source in config.sources.values():
        needs_country = source.customer == "phone" or "phone" in config.customers.same_when
        if needs_country and not config.customers.phone_country:
            document.fault(
                ("source", source.name), 'phones without a country code cannot be told apart; set phone_country = "SE"'
            )
            break


__all__ = [
    "Alert",
    "Config",
    "Customers",
    "Document",
    "Limit",
    "Rule",
    "Send",
    "SourceTable",
    "TargetTable",
    "When",
    "load",
    "plugins",
    "understand",
]
