"""`rotate-key`: what is encrypted at rest, under the newest key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from .doors import Door, command, complain
from .words import plural

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.flows.rotate import Rotated


def rotate_key(door: Door) -> int:
    """Encrypt what is kept under the newest BRIDGE_SECRET_KEY; then the old one can be taken out."""

    async def act(bridge: Bridge) -> Rotated:
        from bridge.flows.rotate import rotate

        return await rotate(bridge.db, bridge.vault, bridge.scene(door.actor))

    done = door.bridge(act)
    if door.json:
        door.emit({"done": done.done, "lost": done.lost})
    else:
        door.paper().say(f"{plural(done.done, 'sealed value')} under the newest key.")
        if done.lost:
            complain(f"{plural(done.lost, 'value')} cannot be opened with any key: was one taken away too early?")
    return int(done.lost > 0)


def register(app: typer.Typer) -> None:
    command(app, "rotate-key", "Repair", rows=True)(rotate_key)
