"""`reconsider`, `grant`, `pause`, `resume`: the same ledger, by an operator's word."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from .doors import Because, Door, Wrong, command
from .repair import REPAIR, _tell
from .words import plural

if TYPE_CHECKING:
    from bridge.app import Bridge
    from bridge.config import Rule
    from bridge.flows.operate import Done


def _rule(door: Door, id_: str) -> Rule:
    rule = door.config.rule(id_)
    if rule is None:
        raise Wrong(f"there is no rule {id_}; there are {', '.join(one.id for one in door.config.rules) or 'none'}")
    return rule


def reconsider(
    door: Door,
    rule: Annotated[str, typer.Option("--rule", metavar="ID", help="The rule that looks again.")],
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="What happened since then: 30d, ISO 8601.")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; say how many would be owed.")] = False,
    because: Because = "",
) -> int:
    """Consider old evidence under a rule, for example a new one; what is owed already is not owed again."""
    chosen = _rule(door, rule)
    at = door.moment(since, "--since")
    assert at is not None
    reason = "" if dry_run else door.because(because)

    async def act(bridge: Bridge) -> int:
        from bridge.flows import again, report

        from .progress import bar

        start, done, interrupted = report.ms(at), again.Reconsidered(), False
        total = await bridge.db.read(lambda tx: again.to_consider(tx, chosen, since=start))
        with bar("evidence", total) as step:
            try:
                async for so_far in again.reconsider(
                    bridge.db, lambda: bridge.scene(door.actor), chosen, since=start, because=reason, dry_run=dry_run
                ):
                    done = so_far
                    step(min(again.PAGE, total))
            except (KeyboardInterrupt, asyncio.CancelledError):
                interrupted = True
        if door.json:
            told = {"rule": chosen.id, "dry_run": dry_run, "looked_at": done.looked_at, "owed": done.owed}
            door.emit({**told, "waiting": done.waiting, "unjudged": done.unjudged})
        else:
            paper = door.paper()
            would = "would be owed" if dry_run else "owed"
            looked = plural(done.looked_at, "piece of evidence", "pieces of evidence")
            paper.say(
                f"{looked} looked at since {paper.time(report.iso(start))}: {plural(done.owed, 'forward')} {would}."
            )
            if done.waiting:
                paper.say(f"{plural(done.waiting, 'waits', 'wait')} for a link; linking considers them again.")
            if done.unjudged:
                paper.say(f"{done.unjudged:,} could not be judged: loyalty-bridge list evidence --state unjudged")
            if interrupted:
                paper.say("Interrupted: what was owed so far is owed; the same command goes on.")
        return 130 if interrupted else 0

    return door.bridge(act)


def grant(
    door: Door,
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Whose reward.")],
    customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="Who gets it: id, e-mail or phone.")],
    again: Annotated[bool, typer.Option("--again", help="Even though they have had it before.")] = False,
    because: Because = "",
) -> int:
    """Owe a rule's reward to a customer as goodwill, once unless --again."""
    chosen = _rule(door, rule)
    reason = door.because(because)

    async def act(bridge: Bridge) -> str:
        from bridge.flows import operate

        scene = bridge.scene(door.actor)
        return await bridge.db.transact(lambda tx: operate.grant(tx, chosen, customer, scene, reason, again=again))

    made = door.bridge(act).split(", ")
    for id_ in made:
        if door.json:
            door.emit({"id": id_, "rule": chosen.id})
        else:
            door.paper().say(f"{id_}  is owed")
    return 0


def _target(door: Door, name: str, because: str, *, pause: bool) -> int:
    if name not in door.config.targets:
        raise Wrong(f"there is no [target.{name}]; there are {', '.join(door.config.targets)}")
    reason = door.because(because)

    async def act(bridge: Bridge) -> Done:
        from bridge.flows import operate

        verb = operate.pause if pause else operate.resume
        scene = bridge.scene(door.actor)
        return await bridge.db.transact(lambda tx: verb(tx, name, scene, reason))

    return _tell(door, [door.bridge(act)])


Target = Annotated[str, typer.Argument(metavar="TARGET", help="Its name in bridge.toml.")]


def pause(door: Door, target: Target, because: Because = "") -> int:
    """Let a target's forwards wait; nothing is lost."""
    return _target(door, target, because, pause=True)


def resume(door: Door, target: Target, because: Because = "") -> int:
    """Let a target's forwards go on."""
    return _target(door, target, because, pause=False)


def register(app: typer.Typer) -> None:
    command(app, "reconsider", REPAIR, rows=True)(reconsider)
    command(app, "grant", REPAIR, rows=True)(grant)
    command(app, "pause", REPAIR, rows=True)(pause)
    command(app, "resume", REPAIR, rows=True)(resume)
