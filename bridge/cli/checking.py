"""`check`: every fault at once, or in words what was understood."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bridge.config import sentences
from bridge.kit import ConfigError

from .doors import Door, complain
from .words import Paper, plural

if TYPE_CHECKING:
    from bridge.config import Config


def check(door: Door, *, live: bool) -> int:
    faults: list[str] = []
    config: Config | None = None
    try:
        config = door.config
        _ledger(door, config)
    except ConfigError as error:
        faults += error.faults
    if config is None or faults:
        return _wrong(door, faults)
    warnings = [*config.warnings, *sentences.unused(config)]
    if not door.env.secret_keys:
        warnings.append("BRIDGE_SECRET_KEY is not set, and `serve` needs it; `loyalty-bridge key` prints one")
    lived = _live(door, config) if live else {}
    if door.json:
        _rows(door, config, warnings, lived)
    else:
        _words(door, config, warnings, lived)
    return 1 if any(lived.values()) else 0


def _ledger(door: Door, config: Config) -> None:
    """What has paid must still be there; and the brand, where rules need it to have signed in."""
    from bridge.app import check_ledger, open_database, unsigned
    from bridge.kit import ConfigError

    async def look() -> None:
        db = await open_database(door.env) if door.has_store else None
        try:
            if db is not None:
                await check_ledger(db, config)
            # A running bridge only warns: the brand signs in by way of it.
            if faults := await unsigned(db, config):
                raise ConfigError(faults)
        finally:
            if db is not None:
                await db.close()

    door.run(look())


def _wrong(door: Door, faults: list[str]) -> int:
    for fault in faults:
        if door.json:
            door.emit({"what": "fault", "text": fault})
        else:
            complain(fault)
    if not door.json:
        complain(f"\n{plural(len(faults), 'fault')}. Nothing starts with this; a running bridge keeps what it has.")
    return 2


def _live(door: Door, config: Config) -> dict[str, list[str]]:
    """What each loyalty API says when it is asked something harmless: faults by target."""
    from bridge.app import VERSION, clock
    from bridge.kit.errors import Unavailable
    from bridge.talk import Bearer, Talker, Transport

    async def ask() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        async with Transport(lambda: config.allow_private_networks) as http:
            talker = Talker(http, clock, f"LoyaltyBridge/{VERSION}")
            for name, table in config.targets.items():
                if table.provider.probe is None:
                    continue
                sends = [send.options for rule in config.rules for send in rule.sends if send.to == name]
                fetch = table.provider.token
                bearer = Bearer(partial(fetch, table.settings)) if fetch else None
                try:
                    probe = table.provider.probe(sends, table.settings)
                    said = await talker.hold(probe, within=table.timeout, bearer=bearer)
                    found[name] = list(said)
                except Unavailable as failure:
                    found[name] = [failure.message]
        return found

    answered: dict[str, list[str]] = door.run(ask())
    return answered


def _rows(door: Door, config: Config, warnings: list[str], lived: dict[str, list[str]]) -> None:
    for source in config.sources.values():
        callback = f"{config.public_url}/webhooks/{source.name}"
        door.emit({"what": "source", "name": source.name, "provider": source.provider.name, "callback": callback})
    for target in config.targets.values():
        faults = lived.get(target.name)
        door.emit({"what": "target", "name": target.name, "provider": target.provider.name, "live": faults})
    for rule in config.rules:
        text = " ".join(sentences.rule(rule, config))
        door.emit({"what": "rule", "id": rule.id, "name": rule.name, "line": rule.line, "text": text})
    for warning in warnings:
        door.emit({"what": "warning", "text": warning})


def _words(door: Door, config: Config, warnings: list[str], lived: dict[str, list[str]]) -> None:
    paper = door.paper()
    paper.say(f"{config.path} is right.")
    paper.blank()
    width = max((len(name) for name in (*config.sources, *config.targets)), default=0)
    for source in config.sources.values():
        callback = f"{config.public_url}/webhooks/{source.name}"
        paper.say(
            (source.name.ljust(width), "bold"), f"  {source.provider.title} tells us, at {callback}", hang=width + 2
        )
    for target in config.targets.values():
        paper.say((target.name.ljust(width), "bold"), f"  {target.provider.title} is told", hang=width + 2)
    paper.blank()
    for sentence in sentences.customers(config):
        paper.say(sentence)
    for rule in config.rules:
        paper.blank()
        paper.say((rule.id, "bold"), f"  {rule.name}", (f"  line {rule.line}", "dim"))
        for sentence in sentences.rule(rule, config):
            paper.say(sentence, indent=2, hang=2)
    if warnings:
        paper.blank()
        for warning in warnings:
            paper.say(("Warning: ", "yellow"), warning, hang=2)
    _answers(paper, config, lived)


def _answers(paper: Paper, config: Config, lived: dict[str, list[str]]) -> None:
    if not lived:
        return
    paper.blank()
    for name in config.targets:
        if name not in lived:
            paper.say((name, "bold"), "  cannot be asked without sending something")
        elif not lived[name]:
            paper.say((name, "bold"), "  ", ("answers", "green"), ", and has what the rules need")
        for fault in lived.get(name, ()):
            paper.say((name, "bold"), "  ", (fault, "red"), hang=2)
