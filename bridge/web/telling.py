"""A claim as the page that tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from bridge.app import Bridge
from bridge.config import SourceTable
from bridge.flows import codes, reached, verify
from bridge.flows.reached import Row, when_or_none
from bridge.flows.scene import Scene
from bridge.kit import OAuth, Ticket, wanted
from bridge.kit.tickets import may_return

from . import views
from .browser import Browser

Kept = Literal["nothing", "until checked", "until the wait ends"]


def place(source: SourceTable, action: str) -> views.Place:
    declared = source.provider.actions[action]
    return views.Place(
        source=source.name,
        title=source.provider.title,
        action=action,
        action_title=declared.title,
        path=f"/connect/{source.name}/{action}",
    )


def masked(email: str | None, phone: str | None, id_: str) -> str:
    """A loyalty account as its owner recognises it, and nobody else learns it."""
    if email and "@" in email:
        return f"{email[:1]}***@{email.rpartition('@')[2]}"
    if phone and len(phone) > 8:
        return f"{phone[:5]}…{phone[-2:]}"
    return f"…{id_[-4:]}" if len(id_) > 6 else "…"


def _kept(source: SourceTable, action: str, settings: Mapping[str, Any], scene: Scene) -> Kept:
    check = source.provider.checks[action]
    way = check.way(settings)
    if way is None or not way.keep:
        return "nothing"
    waits = any(rule.wait for rule, _ in scene.config.rules_for(source.ledger, action))
    return "until the wait ends" if waits else "until checked"


async def welcome(
    bridge: Bridge,
    source: SourceTable,
    action: str,
    scene: Scene,
    *,
    post: str,
    ticket: Ticket | None = None,
    claim: Row | None = None,
    **more: Any,
) -> views.Welcome:
    """The page before anything has begun. `post`: where its button leads."""
    settings = await bridge.desk.settings(source)
    check, door = source.provider.checks[action], source.provider.door(settings)
    way = check.way(settings)
    sign_in = door is not None and way is not None
    policy = source.provider.actions[action].policy
    home = door.home.kind if isinstance(door, OAuth) and door.home else ""
    rules = [rule for rule, _ in scene.config.rules_for(source.ledger, action)]
    if ticket is not None:
        who = masked(ticket.email or None, ticket.phone or None, ticket.customer)
        back = ticket.return_to if may_return(ticket.return_to, scene.config.return_to) else ""
    else:
        assert claim is not None
        who, back = await _who(bridge, claim), claim["back"]
    return views.Welcome(
        place=place(source, action),
        customer=who,
        number=claim["number"] if claim is not None else "",
        back=back,
        action=post,
        grants=tuple(wanted(door, way)) if isinstance(door, OAuth) and way is not None else (),
        kept=_kept(source, action, settings, scene),
        rewards=tuple(views.Reward(rule=rule.name) for rule in rules),
        home=home,
        sign_in=sign_in,
        code=source.provider.codes is not None and way is not None and not way.keep,
        policy=views.Policy(text=policy.text, source=policy.source) if policy else None,
        **more,
    )


async def _who(bridge: Bridge, claim: Row) -> str:
    row = await bridge.db.read(lambda tx: reached.owner(tx, claim))
    return masked(row["email"], row["phone"], row["id"])


async def page_of(
    bridge: Bridge, claim: Row, source: SourceTable, browser: Browser, scene: Scene, **more: Any
) -> views.Page:
    """Where a claim is, for the browser that it is bound to."""
    action, state = claim["action"], claim["state"]
    if state == "open":
        out, handle = await codes.out(bridge.desk, claim, browser.mark, source, scene)
        if out is None:
            post = place(source, action).path
            return await welcome(bridge, source, action, scene, post=post, claim=claim, began=True, **more)
    else:
        out, handle = None, ""
    own = bool(browser.mark) and claim["browser"] == browser.mark
    settings = await bridge.desk.settings(source)
    told = await bridge.db.read(lambda tx: reached.rewards(tx, claim, scene, vault=bridge.vault if own else None))
    facts: dict[str, Any] = {
        "place": place(source, action),
        "customer": await _who(bridge, claim),
        "number": claim["number"],
        "back": claim["back"],
        "began": True,
        "claim": claim["id"],
        "handle": handle or claim["handle"],
        "rewards": _rewards(told),
        "kept": _kept(source, action, settings, scene),
        "expires_at": when_or_none(claim["expires_at"]),
    }
    if out is not None:
        if handle:
            return views.Confirm(**facts)
        assert source.provider.codes is not None
        facts["expires_at"] = when_or_none(out["expires_at"])
        address = source.provider.codes.address(out["code"], settings)
        return views.Code(code=out["code"], address=address, carries=source.provider.codes.carries, **facts)
    if state in ("review", "rejected", "expired"):
        kind = {"review": views.Review, "rejected": views.Rejected, "expired": views.Expired}[state]
        return kind(**facts)
    if state == "verified":
        whys = [(one.where, one.why) for one in told]
        done_before = bool(whys) and all(one == ("not owed", "already") for one in whys)
        return views.Already(**facts) if done_before else views.Verified(**facts)
    return _going(claim, source, settings, facts, scene, bridge)


def _going(
    claim: Row, source: SourceTable, settings: Mapping[str, Any], facts: dict[str, Any], scene: Scene, bridge: Bridge
) -> views.Page:
    check = source.provider.checks[claim["action"]]
    account = bridge.desk.account(claim["about"]) if claim["about"] else None
    facts |= {"again_at": _later(claim, scene), "wait": verify.patience(claim, scene)}
    do: dict[str, Any] = {
        "page": check.page(settings, account) if check.page else "",
        "asks_for": check.asks_for,
    }
    match claim["result"]:
        case "not_found" if claim["pressed_at"] is None:
            return views.Act(**do, **facts)
        case "not_found":
            return views.Missing(**do, **facts)
        case "pending":
            return views.Checking(result="pending", **do, **facts)
    return views.Checking(result="unknown", obstacle=claim["obstacle"], **do, **facts)


def _later(claim: Row, scene: Scene) -> datetime | None:
    return when_or_none(claim["due_at"]) if claim["due_at"] is None or claim["due_at"] < claim["expires_at"] else None


def _rewards(told: Sequence[reached.Reached]) -> tuple[views.Reward, ...]:
    return tuple(
        views.Reward(rule=one.rule.name, where=one.where, why=one.why, until=one.until, shown=one.shown) for one in told
    )
