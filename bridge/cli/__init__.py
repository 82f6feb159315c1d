"""The command line: `loyalty-bridge`. Each command is a thin door; what it does stands in `flows`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import (
    auditing,
    changing,
    keys,
    later,
    linking,
    morning,
    reading,
    repair,
    running,
    setup,
    signing,
    ticketing,
    trying,
    watching,
)  # fmt: skip
from .doors import quiet_pipe

app = typer.Typer(
    name="loyalty-bridge",
    help="Verifies that a customer really did it, then pays the loyalty points exactly once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from bridge.app import VERSION

        print(f"loyalty-bridge {VERSION}")
        raise typer.Exit


@app.callback()
def _everything(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Verifies that a customer really did it, then pays the loyalty points exactly once."""


# In the order of the help: what runs, what sets up, what an operator does every morning, what repairs, what tries.
PARTS = (
    running, setup, signing, morning, reading, watching, auditing, repair, changing, linking, ticketing, keys, trying,
    later,
)  # fmt: skip
for part in PARTS:
    part.register(app)


def main() -> None:
    """The entry point."""
    quiet_pipe(lambda: app(prog_name="loyalty-bridge"))


__all__ = ["app", "main"]
