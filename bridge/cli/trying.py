"""`try` and `send`: recorded requests run through without consequences, and signed samples with all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doors import Door, Wrong, command

if TYPE_CHECKING:
    from bridge.config import Config, SourceTable
    from bridge.flows.rehearse import Rehearsal
    from bridge.flows.scene import Scene
    from bridge.kit import Inbound

TRY = "Try"


def try_(
    door: Door,
    source: Annotated[str | None, typer.Argument(metavar="[SOURCE]", help="Its name in bridge.toml.")] = None,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE.http]", help="A recorded request.")] = None,
    now: Annotated[
        str | None, typer.Option("--now", metavar="TIME", help="The clock; default: what its .json says.")
    ] = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="NAME", help="Keep it, signed with a key for tests.")
    ] = None,
    all_: Annotated[Path | None, typer.Option("--all", metavar="DIR", help="Try every .http below this.")] = None,
) -> int:
    """Run recorded requests through verification, reading and rules; send nothing; exit 1 if one is not as it says."""
    if all_ is not None:
        if source or save:
            raise Wrong("--all takes everything from the files; name nothing beside it")
        return _all(door, all_, now)
    if source is None or file is None:
        raise Wrong("write: loyalty-bridge try SOURCE FILE.http, or --all DIR")
    expected = _expected(file)
    from bridge.flows.rehearse import ROLES, differences, rehearse

    found = rehearse(*_read(door, source, file, expected, now))

    differs = differences(found.means, expected)
    foretold = any(role in expected for role in ROLES) and not differs
    if door.json:
        for step in found.steps:
            door.emit({"step": step.name, "ok": step.good, "text": step.text})
        for text in differs:
            door.emit({"step": "compare", "ok": False, "text": text})
    else:
        _steps(door, found, differs, foretold)
    if save:
        _save(door, source, file, save, now)
    return int(bool(differs) or (found.refused and not foretold))


def _steps(door: Door, found: Rehearsal, differs: list[str], foretold: bool) -> None:
    paper = door.paper()
    for step in found.steps:
        paper.say((f"{step.name:<11}", "bold"), ("" if step.good else "no: ", "red"), step.text, hang=11)
    for text in differs:
        paper.say(("differs    ", "bold red"), text, hang=11)
    if foretold:
        paper.say(("as its .json says", "green"))


def _expected(file: Path) -> dict[str, Any]:
    """What the .json beside a recording says; nothing where there is none."""
    beside = file.with_suffix(".json")
    if not beside.exists() or beside == file:
        return {}
    try:
        found = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Wrong(f"{beside} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Wrong(f"{beside} is not a JSON object")
    return found


def _read(
    door: Door, name: str, file: Path, expected: Mapping[str, Any], now: str | None
) -> tuple[Inbound, SourceTable, Scene]:
    """A recording, the source it is for, and the configuration and clock it is tried under."""
    from bridge.app import Ids
    from bridge.config import Config
    from bridge.flows.rehearse import recorded
    from bridge.flows.scene import Scene
    from bridge.kit import BadPayload

    said = now or expected.get("now")
    at = door.moment(said, "--now" if now else f"{file.with_suffix('.json')}: now") if said else door.now
    assert at is not None
    own = "settings" in expected
    known = door.config if not own else door.config_if_right if door.env.config.exists() else None
    source = _source(known, name, expected)
    try:
        inbound = recorded(file.read_bytes(), name, at, public_url=known.public_url if known and not own else "")
    except OSError as error:
        raise Wrong(f"{file} cannot be read: {error.strerror}") from None
    except BadPayload as error:
        raise Wrong(f"{file}: {error.message}") from None
    config = replace(known, sources={**known.sources, name: source}) if known else Config(path=door.env.config)
    return inbound, source, Scene(config, at, Ids())


def _source(config: Config | None, name: str, expected: Mapping[str, Any]) -> SourceTable:
    """The configured source, under the settings of the recording where that brings its own."""
    from bridge.app import catalogue
    from bridge.config import SourceTable
    from bridge.kit import ExpressionError

    table = config.sources.get(name) if config else None
    if "settings" not in expected:
        if table is None:
            known = ", ".join(config.sources) if config else "none"
            raise Wrong(f"there is no [source.{name}] in bridge.toml; there are: {known or 'none'}")
        return table
    shipped = catalogue().sources
    provider = shipped.get(table.provider.name if table else name)
    if provider is None:
        raise Wrong(f"there is no source provider {name}; there are {', '.join(shipped)}")
    settings = {one.name: one.default for one in provider.settings if one.default is not None} | expected["settings"]
    try:
        provider = provider.configure(provider, settings) if provider.configure else provider
    except (ExpressionError, ValueError) as error:
        raise Wrong(f"{name}: {error}") from None
    secrets = settings.get(provider.secrets) or ()
    own = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    if table:
        return replace(table, provider=provider, settings=settings, secrets=own)
    return SourceTable(name=name, ledger=name, provider=provider, settings=settings, secrets=own)


def _all(door: Door, folder: Path, now: str | None) -> int:
    from bridge.flows.rehearse import differences, rehearse

    files = sorted(folder.rglob("*.http"))
    if not files:
        raise Wrong(f"there is no .http file below {folder}")
    paper = None if door.json else door.paper()
    bad = 0
    for file in files:
        expected = _expected(file)
        found = rehearse(*_read(door, file.parent.name, file, expected, now))
        told = differences(found.means, expected)
        if not told and found.refused and not {"rejected", "unreadable"} & set(expected):
            told = [found.steps[-1].text]
        bad += bool(told)
        if paper is None:
            door.emit({"file": str(file), "ok": not told, "text": "; ".join(told)})
        elif told:
            paper.say(("differs  ", "red"), f"{file}: {'; '.join(told)}", hang=9)
        else:
            paper.say(("ok       ", "green"), f"{file}", (f"  {expected.get('says', '')}", "dim"), hang=9)
    if paper:
        paper.say(
            f"{len(files)} tried, {bad} differ." if bad else f"{len(files)} tried, all mean what their .json says."
        )
    return int(bad > 0)


def _save(door: Door, name: str, file: Path, save: str, now: str | None) -> None:
    """Keep a recording as a test vector: its signature made anew, so that no secret of yours is in it."""
    from .vectors import vector

    inbound, source, scene = _read(door, name, file, _expected(file), now)
    home = Path("tests/vectors") / source.provider.name
    folder = home if home.parent.is_dir() else file.parent
    for made in vector(inbound, source, scene, folder, save):
        door.paper().say(f"Wrote {made}")


def send(
    door: Door,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Its name in bridge.toml.")],
    event: Annotated[str, typer.Argument(metavar="EVENT", help="One of its samples; `providers NAME` lists them.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change a value of it.")] = None,
    customer: Annotated[str | None, typer.Option("--customer", help="Who does it: a customer or account.")] = None,
    times: Annotated[int, typer.Option("--times", min=1, max=1000, help="Send the very same bytes so often.")] = 1,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Where the bridge is.")] = "http://127.0.0.1:8000",
) -> int:
    """Sign a sample event as the source would, and post it to a running bridge."""
    from . import sending

    return sending.send(door, source, event, set_ or [], customer, times, to)


def register(app: typer.Typer) -> None:
    command(app, "try", TRY, rows=True)(try_)
    command(app, "send", TRY, rows=True)(send)
