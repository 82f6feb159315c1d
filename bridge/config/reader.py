"""Reading TOML so that every fault can name its line: the parsed values, where each stands, and what is wrong."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

from bridge.kit import ConfigError
from bridge.kit.fields import duration

Path_: TypeAlias = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


class Document:
    """One TOML file, its faults, and the line of everything in it."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.faults: list[tuple[int, str]] = []
        try:
            self.values: Mapping[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"at line (\d+)", str(error))
            line = f":{found[1]}" if found else ""
            said = re.sub(r"\s*\(at .*\)$", "", str(error))
            raise ConfigError([f"{path}{line}: this is not TOML: {said}"]) from None
        except RecursionError:
            raise ConfigError([f"{path}: this is not TOML: it is nested too deeply"]) from None
        self.lines = _lines(text)

    @classmethod
    def read(cls, path: Path) -> Document:
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            raise ConfigError(
                [f"{path}: there is no such file; `loyalty-bridge init` writes one, --config names another"]
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: cannot be read: {error}"]) from None
        return cls(path, text)

    def line(self, at: Path_) -> int:
        """The line of a value, or of the nearest table around it."""
        while at:
            if at in self.lines:
                return self.lines[at]
            at = at[:-1]
        return 1

    def fault(self, at: Path_, text: str) -> None:
        """Note a fault; reading goes on, so that all of them are told at once."""
        self.faults.append((self.line(at), text))

    def stop(self) -> None:
        """Raise `ConfigError` if anything was wrong."""
        if self.faults:
            told = sorted(set(self.faults))
            raise ConfigError([f"{self.path}:{line}: {text}" for line, text in told])

    def known(self, table: Mapping[str, Any], at: Path_, names: Iterable[str], *, what: str) -> None:
        """Fault every key that is not one of `names`, with the one that was probably meant."""
        names = list(names)
        for key in table:
            if key not in names:
                close = difflib.get_close_matches(str(key), names, n=1, cutoff=0.6)
                meant = f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(names))}"
                self.fault((*at, key), f"{what} has no key {key}{meant}")

    def text(self, table: Mapping[str, Any], at: Path_, key: str, default: str = "") -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            self.fault((*at, key), f'{key} is a text: {key} = "..."')
            return default
        return value

    def flag(self, table: Mapping[str, Any], at: Path_, key: str, default: bool) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            self.fault((*at, key), f"{key} is true or false, without quotes")
            return default
        return value

    def texts(self, table: Mapping[str, Any], at: Path_, key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.fault((*at, key), f'{key} is a list of texts: {key} = ["..."]')
            return ()
        return tuple(value)

    def duration(self, table: Mapping[str, Any], at: Path_, key: str, default: timedelta) -> timedelta:
        value = table.get(key)
        if value is None:
            return default
        try:
            if not isinstance(value, str):
                raise ValueError(f'{key} is a duration in quotes: {key} = "24 hours"')
            return duration(value)
        except ValueError as error:
            self.fault((*at, key), str(error))
            return default

    def choice(self, table: Mapping[str, Any], at: Path_, key: str, choices: Iterable[str], default: str) -> str:
        value = self.text(table, at, key, default)
        choices = tuple(choices)
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            self.fault((*at, key), f"{key} is one of {', '.join(choices)}, not {value!r}{meant}")
            return default
        return value


def _lines(text: str) -> dict[Path_, int]:
    """Where tables and keys begin; what an inline table or a string of several lines holds begins where it does."""
    lines: dict[Path_, int] = {}
    counts: dict[Path_, int] = {}
    here: Path_ = ()
    quoted = ""
    for number, line in enumerate(text.splitlines(), 1):
        if quoted:
            if quoted in line:
                quoted = ""
            continue
        if header := _HEADER.match(line):
            name = _resolved(_parts(header[2]), counts)
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                here = (*name, counts[name])
            else:
                here = name
            lines.setdefault(here, number)
            lines.setdefault(name, number)
        elif key := _KEY.match(line):
            lines.setdefault((*here, *_parts(key[1])), number)
            for mark in ('"""', "'''"):
                if line.count(mark) == 1:
                    quoted = mark
            for inner in re.finditer(r"[{,]\s*([A-Za-z0-9_-]+)\s*=", line[key.end() :]):
                lines.setdefault((*here, *_parts(key[1]), inner[1]), number)
    return lines


def _parts(name: str) -> Path_:
    return tuple(part.strip().strip("\"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.\s]+", name) if part.strip())


def _resolved(name: Path_, counts: Mapping[Path_, int]) -> Path_:
    """`[[rule.send]]` belongs to the newest `[[rule]]`."""
    done: Path_ = ()
    for place, part in enumerate(name):
        done = (*done, part)
        if place < len(name) - 1 and done in counts:
            done = (*done, counts[done])
    return done
