"""Logs, configured in one place: JSON lines on stderr, or coloured text where stderr is a terminal."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from bridge.kit import ConfigError

LEVELS = ("debug", "info", "warning", "error", "critical")


class _Named(structlog.WriteLogger):
    """Writes to stderr, and remembers who logs."""

    def __init__(self, name: str = "") -> None:
        super().__init__(sys.stderr)
        self.name = name


def _name(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    name = getattr(logger, "name", "") or getattr(event.get("_record"), "name", "")
    return {"logger": name, **event} if name else event


def _ordered(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    first = {name: event[name] for name in ("timestamp", "level", "logger", "event") if name in event}
    return {**first, **event}


def configure(level: str) -> None:
    """From here on everything that logs does it like this, the libraries included. `level`: one of LEVELS."""
    level = level.lower()
    if level not in LEVELS:
        raise ConfigError([f"BRIDGE_LOG is one of {', '.join(LEVELS)}, not {level!r}"])
    number = getattr(logging, level.upper())
    terminal = sys.stderr.isatty()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if terminal else "iso", utc=not terminal),
    ]
    # A traceback with the locals of each frame would print keys and prize codes.
    plain = structlog.dev.plain_traceback
    last: list[Any] = [
        structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ, pad_event_to=20, exception_formatter=plain)
    ]
    if not terminal:
        last = [structlog.processors.format_exc_info, _ordered, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=_Named,
        cache_logger_on_first_use=False,
    )
    # What is not ours logs through the standard library, and only what is worth a person's time.
    theirs = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    theirs.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *last]),
    )
    logging.basicConfig(handlers=[theirs], level=max(number, logging.WARNING), force=True)
