"""What every flow is handed: the configuration in force, the time, and names for new things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from bridge.config import Config
from bridge.store.rows import ms


@dataclass(frozen=True, slots=True)
class Scene:
    """One moment of one configuration."""

    config: Config
    now: datetime
    new_id: Callable[[str], str]  # prefix -> an id that sorts by time
    actor: str = "bridge"  # who acts: a source, an operator, the worker

    @property
    def at(self) -> int:
        """Now, as the store keeps it."""
        return ms(self.now)
