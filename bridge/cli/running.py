"""`serve`, `work`, `demo`: the commands that stay."""

from __future__ import annotations

from typing import Annotated

import typer

from .doors import Door, Wrong, command

RUN = "Run"

Host = Annotated[str, typer.Option("--host", help="Where to listen.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes a free one.")]


def serve(
    door: Door,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Only receive; a `work` elsewhere sends.")] = False,
) -> None:
    """Receive webhooks and send what is owed, in one process; SIGTERM drains and stops it."""
    _ready(door)
    from . import serve as house

    taken = _listen(host, port)
    try:
        told = f"listening on {house.address(taken)}"
        house.run(
            house.serve(door.env, door.config, taken, leases=not no_worker, started=lambda bridge: house.say(told))
        )
    finally:
        taken.close()


def work(door: Door) -> None:
    """Send what is owed, without receiving anything."""
    _ready(door)
    from . import serve as house

    house.run(house.serve(door.env, door.config, None, started=lambda bridge: house.say("working")))


def demo(door: Door, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Run the bridge among stand-ins for platforms, shop and loyalty APIs, with a page that explains what to click."""
    door.logs("warning")
    from bridge.sandbox.demo import demo as playing

    from . import serve as house

    try:
        house.run(playing(host, port, say=house.say))
    except OSError as error:
        raise Wrong(_taken(host, port, error)) from None


def _ready(door: Door) -> None:
    """Everything that keeps a bridge from starting, told at once."""
    import structlog

    from bridge.kit import ConfigError

    door.logs("info")
    faults: list[str] = []
    if not door.env.secret_keys:
        faults.append("BRIDGE_SECRET_KEY is not set; `loyalty-bridge key` prints one")
    try:
        _ = door.has_store
    except ConfigError as error:
        faults += error.faults
    try:
        warnings = door.config.warnings
    except ConfigError as error:
        raise ConfigError([*error.faults, *faults]) from None
    if faults:
        raise ConfigError(faults)
    for warning in warnings:
        structlog.get_logger("config").warning(warning)


def _listen(host: str, port: int):  # type: ignore[no-untyped-def]
    from .serve import listen

    try:
        return listen(host, port)
    except (OSError, UnicodeError) as error:
        raise Wrong(_taken(host, port, error)) from None


def _taken(host: str, port: int, error: Exception) -> str:
    import errno

    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return f"{place} is taken by another process; --port names another"
    return f"cannot listen on {place}: {getattr(error, 'strerror', None) or error}"


def register(app: typer.Typer) -> None:
    command(app, "serve", RUN)(serve)
    command(app, "work", RUN)(work)
    command(app, "demo", RUN)(demo)
