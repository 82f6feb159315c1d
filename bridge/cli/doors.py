"""What every command passes through: --config and --env-file, errors in words, exit statuses, one event loop."""

from __future__ import annotations

import inspect
import json as _json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.config import Config
    from bridge.env import Env
    from bridge.store import Tx

    from .words import Paper

T = TypeVar("T")

EVERYWHERE = "Everywhere"
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Another bridge.toml (BRIDGE_CONFIG).", rich_help_panel=EVERYWHERE),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="NAME=value lines to read first.", rich_help_panel=EVERYWHERE),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line, as the API answers.", rich_help_panel=EVERYWHERE)
]
Reveal = Annotated[
    bool, typer.Option("--reveal", help="Show e-mail addresses and phones in full.", rich_help_panel=EVERYWHERE)
]
Because = Annotated[str, typer.Option("--because", metavar="TEXT", help="The reason, for the audit log.")]


class Wrong(Exception):
    """The command was used wrongly; says what would be right. Exit status 2."""


class Door:
    """One command's way in: the environment and the configuration it was given, and how it speaks."""

    def __init__(self, config: Path | None, env_file: Path | None, json: bool, reveal: bool) -> None:
        self._config, self._env_file, self.json, self.reveal = config, env_file, json, reveal

    @cached_property
    def env(self) -> Env:
        from bridge import env

        found = env.read(env_file=self._env_file)
        return replace(found, config=self._config) if self._config else found

    @cached_property
    def config(self) -> Config:
        """bridge.toml. Anything wrong: `ConfigError`."""
        from bridge.app import read_config

        return read_config(self.env)

    @cached_property
    def config_if_right(self) -> Config | None:
        """bridge.toml, or None with a word about it: whoever only looks needs neither the file nor its secrets."""
        from bridge.kit import ConfigError

        try:
            return self.config
        except ConfigError as error:
            more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
            complain(
                f"bridge.toml cannot be read, so names and times are as the store has them: {error.faults[0]}{more}"
            )
            return None

    @property
    def zone(self) -> tzinfo:
        return self.config_if_right.timezone if self.config_if_right else UTC

    @cached_property
    def now(self) -> datetime:
        from bridge.app import clock

        return clock()

    @property
    def actor(self) -> str:
        return f"operator:{self.env.actor}"

    def paper(self, *, err: bool = False) -> Paper:
        from .words import Paper

        return Paper(self.zone, self.now, err=err)

    def logs(self, level: str = "warning") -> None:
        """Have logs written; `level` is the default where BRIDGE_LOG says nothing."""
        from .logs import configure

        configure(self.env.variables.get("BRIDGE_LOG") or level)

    def row(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """A row as this command may show it."""
        from bridge.flows.report import masked

        shown: Mapping[str, Any] = row if self.reveal else masked(row)
        return shown

    def emit(self, row: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own."""
        print(_json.dumps(self.row(row), ensure_ascii=False))

    def moment(self, text: str | None, option: str, *, end: bool = False) -> datetime | None:
        from .times import moment

        if text is None:
            return None
        try:
            return moment(text, self.now, self.zone, end=end)
        except ValueError as error:
            raise Wrong(f"{option}: {error}") from None

    def because(self, given: str) -> str:
        """The operator's reason; asked for on a terminal."""
        if given.strip():
            return given.strip()
        if sys.stdin.isatty() and sys.stderr.isatty():
            asked = str(typer.prompt("Because", err=True)).strip()
            if asked:
                return asked
        raise Wrong('say why, for the audit log: --because "..."')

    @property
    def has_store(self) -> bool:
        """Whether there is a database yet: whoever only looks makes none. It cannot be one: `ConfigError`."""
        from bridge.kit import ConfigError

        file = self.env.database_file
        if file is None:
            scheme = self.env.database_url.partition(":")[0]
            raise ConfigError([f"BRIDGE_DATABASE_URL ({scheme}:...): this version takes sqlite:///bridge.db"])
        if not file.parent.is_dir():
            raise ConfigError([f"BRIDGE_DATABASE_URL: there is no directory {file.parent}"])
        return file.exists()

    def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` over one snapshot of the store."""
        from bridge.app import open_database

        async def look() -> T:
            db = await open_database(self.env)
            try:
                return await db.read(work)
            finally:
                await db.close()

        found: T = self.run(look())
        return found

    def bridge(self, act: Callable[[Bridge], Awaitable[T]]) -> T:
        """Run `act` with a bridge whose store is open and whose worker does not run."""
        from bridge.app import open_bridge

        self.logs()
        _ = self.config, self.has_store

        async def opened() -> T:
            async with open_bridge(self.env, self.config) as bridge:
                return await act(bridge)

        done: T = self.run(opened())
        return done

    def run(self, main: Any) -> Any:
        """Run a coroutine to its end."""
        import asyncio

        with asyncio.Runner() as runner:
            return runner.run(main)


def complain(words: str) -> None:
    from .words import clean, console

    for line in words.splitlines() or [""]:
        console(err=True).print(clean(line), soft_wrap=True)


def guarded(act: Callable[[], Any]) -> int:
    """Run a command; its exit status, with what went wrong told on stderr."""
    from bridge.kit.errors import BridgeError, ConfigError

    try:
        return int(act() or 0)
    except Wrong as error:
        complain(f"Error: {error}")
        return 2
    except ConfigError as error:
        complain("\n".join(error.faults))
        return 2
    except BridgeError as error:
        complain(f"Error: {error.message}")
        return 1
    except KeyboardInterrupt:
        return 130


def command(
    app: typer.Typer, name: str, panel: str | None = None, *, rows: bool = False, reveal: bool = False, **more: Any
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """
    Register a command. Its function takes a `Door` and its own parameters, and returns its exit status.

    `rows`: it prints rows and takes --json. `reveal`: it shows customers and takes --reveal.
    """

    def registered(function: Callable[..., int | None]) -> Callable[..., int | None]:
        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        extra: list[tuple[str, Any, Any]] = [("config", ConfigFile, None), ("env_file", EnvFile, None)]
        extra += [("json", Json, False)] * rows + [("reveal", Reveal, False)] * reveal
        known = {parameter.name for parameter in own}
        added = [
            inspect.Parameter(word, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
            for word, kind, default in extra
            if word not in known
        ]

        @wraps(function)
        def called(**given: Any) -> None:
            door = Door(
                given.pop("config"), given.pop("env_file"), given.pop("json", False), given.pop("reveal", False)
            )
            raise typer.Exit(guarded(lambda: function(door, **given)))

        parameters = [*(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own), *added]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {one.name: one.annotation for one in parameters}
        app.command(name, rich_help_panel=panel, **more)(called)
        return function

    return registered


def quiet_pipe(act: Callable[[], None]) -> None:
    """Run; whoever stops reading our output has seen enough, and that is no error."""
    try:
        act()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
