"""`[source.*]` and `[target.*]` tables: settings checked against what each provider declares, secrets resolved."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from bridge.kit import ExpressionError, Setting, Source, Target, duration, standard_fault

from .model import CustomerKey, Missing, SourceTable, TargetTable
from .reader import Document, Path_
from .secrets import resolve, resolve_all

SOURCE_KEYS = ("provider", "was", "customer", "customer_prefix", "quiet_after", "max_body")
TARGET_KEYS = (
    "provider", "base_url", "per_second", "timeout", "reconcile_after", "signed_headers", "missing_customer", "most",
    "dry_run",
)  # fmt: skip
#: Overrides every source takes: self-hosted platforms, proxies and stand-ins need them.
ADDRESSES = ("authorize_url", "token_url", "api_url")


def sources(document: Document, catalogue: Mapping[str, Source], environ: Mapping[str, str]) -> dict[str, SourceTable]:
    """All source tables; faults are noted in the document."""
    found: dict[str, SourceTable] = {}
    for name, table in _tables(document, "source").items():
        at: Path_ = ("source", name)
        if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
            document.fault(at, f"{name!r} is part of a URL: letters, digits, - and _")
        provider = _provider(document, table, at, name, catalogue, "source")
        if provider is None:
            continue
        before = len(document.faults)
        settings = _settings(
            document, table, at, provider.settings, (*SOURCE_KEYS, *ADDRESSES), environ, provider.title
        )
        for key in ADDRESSES:
            if key in table and key not in settings:
                settings[key] = _url(document, table, at, key)
        if provider.configure:
            if len(document.faults) > before:
                continue  # what follows from these faults need not be told as well
            try:
                provider = provider.configure(provider, settings)
            except (ExpressionError, ValueError) as error:
                document.fault(at, f"[source.{name}] {error}")
                continue
        secrets = settings.get(provider.secrets) or ()
        customer: CustomerKey = document.choice(table, at, "customer", ("id", "email", "phone"), "id")  # type: ignore[assignment]
        found[name] = SourceTable(
            name=name,
            ledger=document.text(table, at, "was") or name,
            provider=provider,
            settings=settings,
            secrets=(secrets,) if isinstance(secrets, str) else tuple(secrets),
            customer=customer,
            customer_prefix=document.text(table, at, "customer_prefix"),
            quiet_after=document.duration(table, at, "quiet_after", timedelta(0)) or provider.quiet_after,
            max_body=_size(document, table, at),
        )
    _check_overlap(document, found)
    return found


def targets(
    document: Document, catalogue: Mapping[str, Target], environ: Mapping[str, str], signing: tuple[str, ...]
) -> dict[str, TargetTable]:
    """All target tables; faults are noted in the document."""
    found: dict[str, TargetTable] = {}
    for name, table in _tables(document, "target").items():
        at: Path_ = ("target", name)
        provider = _provider(document, table, at, name, catalogue, "target")
        if provider is None:
            continue
        keys = (*TARGET_KEYS, "gather") if provider.send_many else TARGET_KEYS
        before = len(document.faults)
        settings = _settings(document, table, at, provider.settings, keys, environ, provider.title)
        base_url = _url(document, table, at, "base_url") if "base_url" in table else provider.base_url
        settings["base_url"] = base_url.rstrip("/")
        if provider.configure and len(document.faults) == before:
            try:
                provider = provider.configure(provider, settings)
            except ValueError as error:
                document.fault(at, f"[target.{name}] {error}")
                continue
        rate = table.get("per_second", provider.per_second)
        if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 100_000:
            document.fault(
                (*at, "per_second"), "per_second is how many calls a second this target gets: a number above 0"
            )
            rate = provider.per_second
        if provider.signs_with and not document.flag(table, at, "signed_headers", True):
            document.fault(
                (*at, "signed_headers"),
                f"{provider.title} is told apart by its signed headers: without them a repeat would count twice",
            )
        own = settings.get(provider.signs_with) or () if provider.signs_with else signing
        found[name] = TargetTable(
            name=name,
            provider=provider,
            settings=settings,
            base_url=settings["base_url"],
            per_second=float(rate),
            timeout=document.duration(table, at, "timeout", provider.timeout),
            reconcile_after=document.duration(table, at, "reconcile_after", provider.reconcile_after),
            signed_headers=document.flag(table, at, "signed_headers", True),
            signing=(own,) if isinstance(own, str) else tuple(own),
            missing=_missing(document, table, at, provider),
            most=_most(document, table, at, provider),
            dry_run=document.flag(table, at, "dry_run", False),
            gather=document.duration(table, at, "gather", timedelta(0)),
        )
    return found


def _missing(document: Document, table: Mapping[str, Any], at: Path_, provider: Target) -> Missing:
    """`missing_customer`: "wait 30 days", "create" where the API can, "fail"."""
    text = document.text(table, at, "missing_customer", "wait 30 days")
    place = (*at, "missing_customer")
    if text == "fail":
        return Missing(wait=timedelta(0))
    if text == "create":
        if provider.create is None:
            document.fault(place, f'{provider.title} cannot create customers by call; say "wait 30 days" or "fail"')
        return Missing(create=True)
    verb, _, length = text.partition(" ")
    try:
        if verb != "wait":
            raise ValueError(f"not {text!r}")
        return Missing(wait=duration(length))
    except ValueError as error:
        document.fault(place, f'missing_customer is "wait 30 days", "create" or "fail": {error}')
        return Missing()


def _most(document: Document, table: Mapping[str, Any], at: Path_, provider: Target) -> float | None:
    """`most`: the ceiling of one call for amounts that the caller sets."""
    if "most" not in table:
        return None
    most, place = table["most"], (*at, "most")
    if isinstance(most, bool) or not isinstance(most, int | float) or not most > 0:
        document.fault(place, "most is a number above 0: the ceiling of one call")
        return None
    if not any(option.amount for option in provider.options):
        document.fault(place, f"{provider.title} sets its amounts itself; there is nothing that most could bound")
    return float(most)


def _tables(document: Document, kind: str) -> dict[str, Mapping[str, Any]]:
    given = document.values.get(kind, {})
    if not isinstance(given, dict) or not all(isinstance(table, dict) for table in given.values()):
        document.fault((kind,), f"{kind}s are written as [{kind}.NAME]")
        return {}
    return given


def _provider(
    document: Document, table: Mapping[str, Any], at: Path_, name: str, catalogue: Mapping[str, Any], kind: str
) -> Any:
    wanted = document.text(table, at, "provider", name)
    if wanted in catalogue:
        return catalogue[wanted]
    close = difflib.get_close_matches(wanted, catalogue, n=1)
    meant = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(sorted(catalogue))}"
    hint = "" if "provider" in table else ' Where the table has a name of its own, say provider = "..."'
    document.fault(at, f"there is no {kind} provider {wanted}{meant}.{hint}")
    return None


def _settings(
    document: Document,
    table: Mapping[str, Any],
    at: Path_,
    declared: Sequence[Setting],
    common: Sequence[str],
    environ: Mapping[str, str],
    title: str,
) -> dict[str, Any]:
    document.known(table, at, [*(setting.name for setting in declared), *common], what=f"the table of {title}")
    settings: dict[str, Any] = {}
    for setting in declared:
        place = (*at, setting.name)
        if setting.name not in table:
            if setting.required:
                example = f" For example: {setting.example}" if setting.example else ""
                document.fault(at, f"[{at[0]}.{at[1]}] needs {setting.name}: {setting.meaning}.{example}")
            if setting.default is not None:
                settings[setting.name] = setting.default
            continue
        value = _value(document, table, at, setting, environ)
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, str) and one and setting.fault and (said := setting.fault(one)):
                document.fault(place, f"{setting.name} {said}")
        settings[setting.name] = value
    return settings


def _value(
    document: Document, table: Mapping[str, Any], at: Path_, setting: Setting, environ: Mapping[str, str]
) -> Any:
    name, place, given = setting.name, (*at, setting.name), table[setting.name]
    match setting.kind:
        case "secret":
            return resolve(given, document, place, environ, name)
        case "secrets":
            return resolve_all(given, document, place, environ, name)
        case "url":
            return _url(document, table, at, name)
        case "duration":
            try:
                return duration(given) if isinstance(given, str) else duration("")
            except ValueError as error:
                document.fault(place, str(error))
                return setting.default
        case "bool":
            return document.flag(table, at, name, bool(setting.default))
        case "int" | "number":
            if isinstance(given, bool) or not isinstance(given, int | (float if setting.kind == "number" else int)):
                document.fault(place, f"{name} is a number without quotes")
                return setting.default
            return given
        case "table":
            if not isinstance(given, dict):
                document.fault(place, f"{name} is a table: {name} = {{ ... }}")
                return {}
            return given
        case "tables":
            if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
                document.fault(place, f"{name} is a list of tables, written as [[{at[0]}.{at[1]}.{name}]]")
                return []
            return given
        case _:
            if setting.choices:
                return document.choice(table, at, name, setting.choices, str(setting.default or ""))
            if isinstance(given, int) and not isinstance(given, bool):
                document.fault(place, f'{name} is a text: {name} = "{given}"')
                return str(given)
            text = document.text(table, at, name)
            if text.startswith(("env:", "file:")):
                return resolve(text, document, place, environ, name)
            return text


def _url(document: Document, table: Mapping[str, Any], at: Path_, key: str) -> str:
    text = document.text(table, at, key)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 (raises where it is none)
    except ValueError:
        document.fault((*at, key), f"{key} is no address: look at what stands after the host's name")
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        document.fault((*at, key), f'{key} is an address: {key} = "https://..."')
    elif parts.username or parts.password:
        document.fault((*at, key), f"{key} carries a user name or password; secrets never stand in the file")
    return text


def _size(document: Document, table: Mapping[str, Any], at: Path_) -> int:
    value = table.get("max_body", 1024 * 1024)
    if isinstance(value, bool) or not isinstance(value, int) or not 1024 <= value <= 64 * 1024 * 1024:
        document.fault((*at, "max_body"), "max_body is a number of bytes from 1024 to 67108864")
        return 1024 * 1024
    return value


def _check_overlap(document: Document, found: Mapping[str, SourceTable]) -> None:
    """Two shops number their customers from 1: without a prefix one shop's customer 7 is paid for the other's."""
    shops = [s for s in found.values() if s.provider.knows_customers and s.customer == "id"]
    for one in shops:
        if one.customer_prefix:
            continue  # said on purpose: a review sender may share its shop's customers, and so its prefix
        same = [other.name for other in shops if other is not one and not other.customer_prefix]
        if same:
            document.fault(
                ("source", one.name),
                f"{one.name} and {', '.join(same)} both name customers by their own id; give each a customer_prefix, "
                'for example customer_prefix = "de-"',
            )
    ledgers: dict[str, str] = {}
    for source in found.values():
        if source.ledger in ledgers:
            document.fault(("source", source.name), f"{ledgers[source.ledger]} is already known as {source.ledger}")
        ledgers[source.ledger] = source.name


__all__ = ["sources", "standard_fault", "targets"]
