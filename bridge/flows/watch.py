"""What the worker does besides calls: flushing what is counted, sealing the audit log, sweeping, alerting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from bridge.kit import Outcome, Request, Talk, Verdict, standard_headers
from bridge.kit.errors import StoreError, Unavailable
from bridge.kit.fields import said
from bridge.store import Store, Tx, alerts, audit, claims, evidence, forwards, lists, numbers, rejections, targets
from bridge.store.rows import when
from bridge.talk import Talker

from . import read
from .consider import consider
from .scene import Scene

log = structlog.get_logger("watch")


@dataclass(slots=True)
class Ledger:
    """What is counted in memory between two flushes: bounded, and worth at most a second if the process dies."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    refused: list[Mapping[str, Any]] = field(default_factory=list)
    #: At most so many refusals are kept of each second; the rest is only counted.
    most: int = 200

    def count(self, name: str, label: str) -> None:
        key = (name, label)
        self.counts[key] = self.counts.get(key, 0) + 1

    def refuse(self, row: Mapping[str, Any]) -> None:
        if len(self.refused) < self.most:
            self.refused.append(row)


class Chores:
    """The worker's chores, by how often they are done."""

    def __init__(self, db: Store, talker: Talker, ledger: Ledger, clock: Callable[[], datetime]) -> None:
        self.db, self.talker, self.ledger, self.clock = db, talker, ledger, clock

    async def each_second(self, scene: Scene) -> bool:
        """Write down what was counted and refused, and seal the audit log. Nothing becomes due by it."""
        await self.flush()
        await self.db.transact(lambda tx: audit.seal(tx, now=scene.at))
        return False

    async def flush(self) -> None:
        """Write down what was counted and refused."""
        ledger = self.ledger
        counts, ledger.counts = ledger.counts, {}
        heard, ledger.heard = ledger.heard, {}
        refused, ledger.refused = ledger.refused, []
        if not counts and not heard and not refused:
            return

        async def write(tx: Tx) -> None:
            if counts:
                await numbers.add(tx, counts)
            if heard:
                await numbers.put(tx, {("heard", source): at for source, at in heard.items()})
            if refused:
                await rejections.keep(tx, refused)

        try:
            await self.db.transact(write)
        except StoreError:
            for key, value in counts.items():
                ledger.counts[key] = ledger.counts.get(key, 0) + value
            ledger.heard = {**heard, **ledger.heard}
            ledger.refused = [*refused, *ledger.refused][: ledger.most]
            raise

    async def each_ten_seconds(self, scene: Scene, breakers: Mapping[str, Any]) -> bool:
        """Sweep up what link and ingest, or a cancelled holder, left behind; then tell what is wrong."""

        async def sweep(tx: Tx) -> int:
            woken = await forwards.wake_forgotten(tx, now=scene.at)
            back = scene.config.customers.retroactive // timedelta(milliseconds=1)
            shops = [one.ledger for one in scene.config.sources.values() if one.provider.knows_customers]
            key = scene.config.customers.key
            rows = await evidence.no_longer_waiting(tx, back=back, key=key, shops=shops, limit=200)
            owners = read.owners(rows, scene.config)
            found = await consider(tx, [read.recorded(row) for row in rows], scene, again=True, owners=owners)
            return woken + sum(len(one.forwards) for one in found)

        due = await self.db.transact(sweep)
        await self.alert(scene, breakers)
        return due > 0

    async def each_minute(self, scene: Scene) -> None:
        """Tell whoever watches us that all is well, while it is."""
        to = scene.config.heartbeat
        if not to or len(await self.db.read(alerts.standing)) > 0:
            return
        try:
            await self.talker.hold(_call(to, b"", {}), within=timedelta(seconds=10))
        except Unavailable as failure:
            log.warning("the heartbeat was not heard", error=failure.message)

    async def alert(self, scene: Scene, breakers: Mapping[str, Any]) -> None:
        """Tell what has gone wrong since last time and what has recovered, each once."""
        wrong = await self.db.read(lambda tx: _wrong(tx, scene, breakers))
        told = await self.db.read(alerts.standing)
        for name, text in wrong.items():
            if name not in told and await self.db.transact(
                lambda tx, name=name, text=text: alerts.raised(tx, name=name, text=text, now=scene.at)  # type: ignore[misc]
            ):
                await self.tell(scene, name, text, recovered=False)
        for name in set(told) - set(wrong):
            if await self.db.transact(lambda tx, name=name: alerts.recovered(tx, name=name)):  # type: ignore[misc]
                await self.tell(scene, name, told[name], recovered=True)

    async def tell(self, scene: Scene, name: str, text: str, *, recovered: bool) -> list[str]:
        """Send one alert to everybody who wants it; what went wrong with it, in words."""
        words = f"Recovered: {text}" if recovered else text
        log.log(20 if recovered else 40, "alert", name=name, text=words)
        faults = []
        for to in scene.config.alerts:
            body = _alert_body(name, words, recovered, scene.now)
            headers: Mapping[str, str] = {}
            if to.secret:
                headers = standard_headers(to.secret, scene.new_id("alr"), scene.now, body)
            try:
                outcome = await self.talker.hold(_call(to.to, body, headers), within=timedelta(seconds=10))
            except Unavailable as failure:
                faults.append(failure.message)
                log.error("an alert could not be sent", error=failure.message)
                continue
            if outcome.verdict is not Verdict.DONE:
                faults.append(outcome.note)
                log.error("an alert was refused", note=outcome.note)
        return faults


def _alert_body(name: str, words: str, recovered: bool, now: datetime) -> bytes:
    import json

    told = {
        "text": words,  # what Slack and its compatibles show
        "type": "alert.recovered" if recovered else "alert.raised",
        "timestamp": now.isoformat(),
        "data": {"name": name, "text": words, "recovered": recovered},
    }
    return json.dumps(told, ensure_ascii=False).encode()


def _call(url: str, body: bytes, headers: Mapping[str, str]) -> Talk[Outcome]:
    sent = {"content-type": "application/json", **headers} if body else dict(headers)
    response = yield Request("POST" if body else "GET", url, headers=sent, content=body or None, repeatable=True)
    if response.is_success:
        return Outcome(Verdict.DONE)
    return Outcome(Verdict.REFUSED, f"answered {response.status}")


async def _wrong(tx: Tx, scene: Scene, breakers: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong right now: name -> words."""
    found: dict[str, str] = {}
    for name, row in (await targets.all(tx)).items():
        if row["paused_at"] is not None and row["pause"] == "misconfigured":
            found[f"paused {name}"] = f"{name} is paused: {row['reason']}. Mend it, then `loyalty-bridge resume {name}`"
    for name, breaker in breakers.items():
        if breaker.state == "open" and breaker.failures >= 3:
            found[f"down {name}"] = f"{name} does not answer; its forwards wait"
    for row in (await lists.attention(tx, since=0))["forwards"]:
        key = f"{row['state']} {row['target']}"
        count = row["count"] + int(found.get(key, "0").partition(" ")[0])
        what = "forward" if count == 1 else "forwards"
        # Not the reason: a target's words can name a customer, and this leaves the house.
        found[key] = f"{count} {what} to {row['target']} {row['state']}; `loyalty-bridge status` says why"
    for row in await claims.counted(tx):
        place, what = f"{row['source']}.{row['action']}", "claim" if row["count"] == 1 else "claims"
        if row["state"] == "review":
            found[f"review {place}"] = f"{row['count']} {what} to {place} to be approved or refused"
        elif row["obstacle"] == "brand":
            found[f"asking {place}"] = f"{row['count']} {what} to {place} cannot be asked about: loyalty-bridge setup"
    for row in await targets.stranded(tx, known=scene.config.targets):
        name, what = row["target"], "forward" if row["count"] == 1 else "forwards"
        found[f"stranded {name}"] = f"{row['count']} {what} to {name}, and there is no [target.{name}] any more"
    heard = await numbers.named(tx, name="heard")
    for source in scene.config.sources.values():
        if source.quiet_after and (last := heard.get(source.name)):
            silence = scene.now - when(last)
            if silence > source.quiet_after:
                found[f"quiet {source.name}"] = (
                    f"{source.name} has not been heard since {when(last):%Y-%m-%d %H:%M} UTC, "
                    f"which is longer than {said(source.quiet_after)}"
                )
    return found
