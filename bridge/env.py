"""The machine's half of the configuration: environment variables, each also as `..._FILE`."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.kit import ConfigError


@dataclass(frozen=True, slots=True)
class Env:
    """What the environment says."""

    config: Path
    database_url: str
    secret_keys: tuple[str, ...]  # newest first
    actor: str  # who acts on the command line
    variables: Mapping[str, str]

    @property
    def database_file(self) -> Path | None:
        """The file that `database_url` names; None where it names no file of SQLite's."""
        scheme, _, rest = self.database_url.partition("://")
        path = rest.removeprefix("/")
        return Path(path) if scheme == "sqlite" and path not in ("", ":memory:") else None

    def __repr__(self) -> str:
        return f"Env(config={self.config}, {len(self.secret_keys)} secret keys, actor={self.actor})"


def read(environ: Mapping[str, str] | None = None, *, env_file: Path | None = None) -> Env:
    """Read the environment; `env_file` adds what the environment does not set. Faults: `ConfigError`."""
    variables = dict(_file(env_file)) if env_file else {}
    variables.update(os.environ if environ is None else environ)
    for name in ("BRIDGE_CONFIG", "BRIDGE_DATABASE_URL", "BRIDGE_SECRET_KEY", "BRIDGE_ACTOR"):
        path = variables.get(f"{name}_FILE", "")
        if path and not variables.get(name):
            try:
                variables[name] = Path(path).read_text("utf-8").strip()
            except OSError as error:
                raise ConfigError([f"{name}_FILE names {path}, which cannot be read: {error.strerror}"]) from None
    keys = tuple(key.strip() for key in variables.get("BRIDGE_SECRET_KEY", "").split(",") if key.strip())
    return Env(
        config=Path(variables.get("BRIDGE_CONFIG") or "config/bridge.toml"),
        database_url=variables.get("BRIDGE_DATABASE_URL") or "sqlite:///bridge.db",
        secret_keys=keys,
        actor=variables.get("BRIDGE_ACTOR") or _user(),
        variables=variables,
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def _file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; `#` begins a comment, quotes around a value are taken off."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"--env-file {path} cannot be read: {error.strerror}"]) from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigError([f"{path}:{number}: write NAME=value"])
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
