"""`key`, `init`, `providers`, `check`: from nothing to a configuration that is right."""

from __future__ import annotations

import base64
import difflib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .doors import Door, Wrong, command, complain

if TYPE_CHECKING:
    from bridge.kit import Source, Target

    from .words import Paper

SET_UP = "Set up"


def key(door: Door) -> None:
    """Print a new BRIDGE_SECRET_KEY."""
    print(base64.urlsafe_b64encode(os.urandom(32)).decode())


def init(
    door: Door,
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to write.", show_default=True)] = Path(
        "config"
    ),
    source: Annotated[list[str] | None, typer.Option("--source", help="Who tells us; may be repeated.")] = None,
    target: Annotated[list[str] | None, typer.Option("--target", help="Whom we tell; may be repeated.")] = None,
    public_url: Annotated[
        str, typer.Option("--public-url", help="Where the world will reach this bridge.")
    ] = "https://rewards.example.com",
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there.")] = False,
) -> None:
    """Write a commented bridge.toml and .env.example for the providers you choose."""
    from bridge.app import catalogue

    from . import blueprint

    known = catalogue()
    sources = _chosen("source", source, known.sources)
    targets = _chosen("target", target, known.targets)
    files = {
        folder / "bridge.toml": blueprint.toml(sources, targets, public_url.rstrip("/")),
        folder / ".env.example": blueprint.env_example(sources, targets),
    }
    if there := [str(file) for file in files if file.exists() and not force]:
        raise Wrong(f"there is {' and '.join(there)} already; --force overwrites")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, words in files.items():
            file.write_text(words, "utf-8")
    except OSError as error:
        raise Wrong(f"{folder}: {error.strerror}") from None
    _after_init(door, folder, list(files), sources, targets, public_url.rstrip("/"))


def _chosen(kind: str, names: Sequence[str] | None, known: Mapping[str, Any]) -> list[Any]:
    names = [name for given in names or () for name in given.replace(",", " ").split()]
    if not names and sys.stdin.isatty() and sys.stderr.isatty():
        for name, one in known.items():
            complain(f"  {name:<12} {one.title}")
        asked = typer.prompt(f"Which {kind}s, separated by commas", err=True)
        names = str(asked).replace(",", " ").split()
    if not names:
        raise Wrong(f"say --{kind} at least once; there are {', '.join(known)}")
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise Wrong(f"there is no {kind} provider {name}; {meant}")
    return [known[name] for name in dict.fromkeys(names)]


#: What vendors call the addresses of ours that they must know.
CALLED = {"webhook": "callback URL", "redirect": "redirect URL"}


def _after_init(
    door: Door, folder: Path, files: Iterable[Path], sources: Sequence[Source], targets: Sequence[Target], url: str
) -> None:
    from .words import Paper

    paper = Paper(door.now.tzinfo or door.now.astimezone().tzinfo, door.now)  # type: ignore[arg-type]
    for file in files:
        paper.say(f"Wrote {file}")
    for source in sources:
        paper.blank()
        paper.heading(source.title)
        for what, address in source.addresses(url, source.name).items():
            paper.say(f"{CALLED[what]}: {address}", indent=2)
        _steps(paper, source.steps, f"{url}/webhooks/{source.name}", source.approval)
    for target in targets:
        paper.blank()
        paper.heading(target.title)
        _steps(paper, target.steps, "", "")
    at = "" if folder == Path("config") else f" --config {folder / 'bridge.toml'}"
    paper.blank()
    paper.heading("Next")
    paper.say(f"cp {folder / '.env.example'} .env", indent=2)
    paper.say("(fill in .env)", indent=2)
    paper.say(f"loyalty-bridge check --env-file .env{at}", indent=2)
    paper.say(f"loyalty-bridge serve --env-file .env{at}", indent=2)


def _steps(paper: Paper, steps: Sequence[str], url: str, approval: str) -> None:
    for number, step in enumerate(steps, 1):
        paper.say(f"{number}. {step.replace('{url}', url)}", indent=2, hang=3)
    if approval:
        paper.say(f"Approval takes {approval}.", indent=2)


def providers(
    door: Door, name: Annotated[str, typer.Argument(metavar="[NAME]", help="One of them, in full.")] = ""
) -> int | None:
    """What exists: actions with their facts, settings, what the platform says about rewarding, steps to set it up."""
    from . import catalogue

    return catalogue.show(door, name)


def check(
    door: Door,
    live: Annotated[bool, typer.Option("--live", help="Also ask every loyalty API a harmless question.")] = False,
) -> int | None:
    """Read the configuration, report every fault at once, and say in words what was understood."""
    from . import checking

    return checking.check(door, live=live)


def register(app: typer.Typer) -> None:
    command(app, "key", SET_UP)(key)
    command(app, "init", SET_UP)(init)
    command(app, "providers", SET_UP, rows=True)(providers)
    command(app, "check", SET_UP, rows=True)(check)
