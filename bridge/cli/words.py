"""Where commands write for people: colour and wrapping on a terminal, plain whole lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from . import times

#: A piece of text, or one with its style.
Part: TypeAlias = str | tuple[str, str]

STYLES = {
    "pending": "blue",
    "accepted": "cyan",
    "delivered": "green",
    "failed": "red",
    "held": "yellow",
    "cancelled": "dim",
    "processed": "green",
    "ignored": "dim",
    "considered": "green",
    "waiting": "cyan",
    "unjudged": "red",
    "done": "green",
    "duplicate": "green",
    "refused": "red",
    "later": "blue",
    "misconfigured": "red",
    "unclear": "yellow",
}


def console(*, err: bool = False) -> Console:
    stream = sys.stderr if err else sys.stdout
    # rich takes 80 columns where there is no terminal; what is piped is not to be cut.
    width = None if stream.isatty() else 1_000_000
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=width is not None)


def clean(value: object) -> str:
    """A stranger's words, harmless to a terminal."""
    return "".join(c if c.isprintable() else "�" for c in str(value))


def text(parts: Sequence[Part]) -> Text:
    made = Text()
    for part in parts:
        made.append(clean(part[0]), part[1]) if isinstance(part, tuple) else made.append(clean(part))
    return made


class Paper:
    """What a command writes on. Times are told in the merchant's zone."""

    def __init__(self, zone: tzinfo, now: datetime, *, err: bool = False) -> None:
        self.zone, self.now = zone, now
        self.console = console(err=err)
        self.wide = not self.console.is_terminal

    @property
    def width(self) -> int:
        return self.console.width

    def say(self, *parts: Part, indent: int = 0, hang: int = 0) -> None:
        """One line; on a terminal wrapped, with the rest of it `hang` further in."""
        made = text(parts)
        made.rstrip()
        if self.wide:
            self.console.print(Text(" " * indent) + made, soft_wrap=True)
            return
        lines = made.wrap(self.console, max(20, self.width - indent - hang))
        for place, line in enumerate(lines):
            line.rstrip()
            self.console.print(Text(" " * (indent + (hang if place else 0))) + line, soft_wrap=True)

    def command(self, words: str, indent: int = 0) -> None:
        """What to type next; never broken into lines, so that it can be copied."""
        if words:
            self.console.print(Text(" " * indent + "-> " + clean(words), style="cyan"), soft_wrap=True)

    def blank(self) -> None:
        self.console.print()

    def heading(self, words: str, aside: str = "") -> None:
        self.say((words, "bold"), *([("  " + aside, "dim")] if aside else []))

    def fits(self, parts: Sequence[Part], indent: int = 0) -> bool:
        return self.wide or len(text(parts)) + indent <= self.width

    def time(self, iso: str | None) -> str:
        return times.said(iso, self.now, self.zone)

    def whole(self, iso: str | None) -> str:
        return times.whole(iso, self.zone)

    def ago(self, iso: str) -> str:
        return times.distance(iso, self.now)


def state(name: str | None, width: int = 0) -> Part:
    """A state in its colour."""
    return ((name or "").ljust(width), STYLES.get(name or "", ""))


def plural(count: int, one: str, many: str = "") -> str:
    """`1 forward`, `2,000 forwards`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
