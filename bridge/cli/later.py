"""What belongs to the product and not to this version. It says so, and never pretends."""

from __future__ import annotations

import typer

from .doors import complain

#: Command -> what it will do.
LATER = {
    "token": "Create, list and revoke API tokens.",
    "user": "Add, list and remove console accounts.",
    "erase": "Forget a customer, and keep what keeps from paying twice.",
    "prune": "Let go of what is older than it has to be kept.",
    "backup": "Copy the database while it is in use.",
    "migrate-to": "Copy everything to another database.",
}


def register(app: typer.Typer) -> None:
    for name, does in LATER.items():
        _register(app, name, does)


def _register(app: typer.Typer, name: str, does: str) -> None:
    def later(ctx: typer.Context) -> None:
        complain(f"{name} is not in this version")
        raise typer.Exit(2)

    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
    app.command(name, help=f"Not in this version: {does}", hidden=True, context_settings=settings)(later)
