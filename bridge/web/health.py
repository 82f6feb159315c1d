"""`/healthz`, `/readyz` and `/metrics`: alive; ready, with one line for each dependency; Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bridge.app import VERSION, Bridge
from bridge.flows import report
from bridge.kit.errors import StoreError


async def healthz(request: Request) -> Response:
    """The process runs and its loop turns. Says nothing of anything else, so that nobody restarts it for that."""
    return PlainTextResponse("alive\n")


async def readyz(request: Request) -> Response:
    """Whether deliveries can be stored, and how every target stands. A paused target does not make us unready."""
    bridge: Bridge = request.app.state.bridge
    lines: list[str] = []
    ready = True

    try:
        async with asyncio.timeout(2):
            await bridge.db.transact(report.alive)
            standing = await bridge.db.read(report.standing)
        lines.append("store: ok")
    except (StoreError, TimeoutError) as error:
        said = error.message if isinstance(error, StoreError) else "no answer within 2 s"
        lines.append(f"store: failing ({said})")
        ready, standing = False, {}
    words = {"ok": "ok", "paused": "paused", "failing": "not answering, tried again by itself"}
    lines += [f"target {name}: {words[standing.get(name, 'ok')]}" for name in bridge.config.targets]
    lines.append(f"queue: {bridge.db.queued} waiting to be written")
    return PlainTextResponse("\n".join(lines) + "\n", status_code=200 if ready else 503)


async def metrics(request: Request) -> Response:
    """Prometheus' text format. Names and counts only: no ids, no customers."""
    bridge: Bridge = request.app.state.bridge
    now, names = bridge.scene().at, list(bridge.config.targets)
    snapshot = await bridge.db.read(lambda tx: report.snapshot(tx, names, now=now))
    registry = CollectorRegistry()
    registry.register(_Collector(bridge, snapshot))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


class _Collector:
    def __init__(self, bridge: Bridge, snapshot: dict[str, Any]) -> None:
        self.bridge, self.snapshot = bridge, snapshot

    def collect(self) -> Iterator[Metric]:
        bridge, seen = self.bridge, self.snapshot
        info = GaugeMetricFamily("bridge_info", "The running version", labels=["version"])
        info.add_metric([VERSION], 1)
        yield info
        stored = CounterMetricFamily("bridge_deliveries", "Deliveries acknowledged", labels=["source", "status"])
        for (source, status), count in bridge.stored.items():
            stored.add_metric([source, status], count)
        yield stored
        refused = CounterMetricFamily("bridge_rejected", "Requests refused, ever", labels=["source", "reason"])
        pending = bridge.ledger.counts
        for label, count in seen["rejected"].items():
            source, _, reason = label.rpartition(" ")
            refused.add_metric([source, reason], count + pending.get(("rejected", label), 0))
        yield refused
        ended = CounterMetricFamily("bridge_stopped", "Customers' ways that ended", labels=["source", "reason"])
        for label in {*seen["stopped"], *(one for name, one in pending if name == "stopped")}:
            source, _, reason = label.rpartition(" ")
            ended.add_metric([source, reason], seen["stopped"].get(label, 0) + pending.get(("stopped", label), 0))
        yield ended
        attempts = CounterMetricFamily("bridge_attempts", "Attempts at a target", labels=["target", "verdict"])
        for (target, verdict), count in bridge.settled.items():
            attempts.add_metric([target, verdict], count)
        yield attempts
        yield from self._targets()
        heard = GaugeMetricFamily("bridge_source_last_heard_seconds", "Seconds since a source spoke", labels=["source"])
        for source, at in {**seen["heard"], **bridge.ledger.heard}.items():
            heard.add_metric([source], max(0, seen["now"] - at) / 1000)
        yield heard
        yield GaugeMetricFamily("bridge_queue", "Deliveries waiting to be written", value=bridge.db.queued)

    def _targets(self) -> Iterator[Metric]:
        seen = self.snapshot
        open_ = GaugeMetricFamily("bridge_forwards", "Forwards not at their end", labels=["target", "state"])
        oldest = GaugeMetricFamily(
            "bridge_oldest_undelivered_seconds", "How long the oldest due forward waits", labels=["target"]
        )
        paused = GaugeMetricFamily("bridge_target_paused", "1 while a target is paused", labels=["target"])
        breaker = GaugeMetricFamily("bridge_breaker_open", "1 while a target does not answer", labels=["target"])
        for name, row in seen["undelivered"].items():
            for state in ("due", "later", "accepted", "held", "failed"):
                open_.add_metric([name, state], row[state])
            waits = seen["now"] - row["oldest_due"] if row["oldest_due"] is not None else 0
            oldest.add_metric([name], max(0, waits) / 1000)
            standing = seen["targets"].get(name)
            paused.add_metric([name], int(standing is not None and standing["paused_at"] is not None))
            gate = self.bridge.worker.gates.get(name)
            breaker.add_metric([name], int(gate is not None and gate.breaker.state == "open"))
        yield from (open_, oldest, paused, breaker)
