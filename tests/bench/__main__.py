"""`python -m tests.bench [NAME]...`: every measure, each beside its baseline in the same run; ratios and medians.

Nothing here is a test: these machines are noisy, and a figure is worth what its spread is.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from bridge import env as environment
from bridge.app import open_bridge
from bridge.flows import operate

from . import batches, calls, load, orders, servers, ways

BARE, BRIDGE, SINK = 20301, 20302, 20303
MEASURES: dict[str, tuple[str, Callable[[argparse.Namespace], None]]] = {}


def measure(words: str) -> Callable[[Callable[[argparse.Namespace], None]], Callable[[argparse.Namespace], None]]:
    def remember(function: Callable[[argparse.Namespace], None]) -> Callable[[argparse.Namespace], None]:
        MEASURES[function.__name__.replace("_", "-")] = (words, function)
        return function

    return remember


def told(what: str, ratios: list[float], *more: str) -> None:
    """One line: the median ratio, its spread, and what it was made of."""
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}" if len(ratios) > 1 else "one run"
    print(f"{what}: {statistics.median(ratios):.3f} ({spread})", *more, flush=True)


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-", dir=os.environ.get("BENCH_DIR")) as name:
        yield Path(name)


def with_bridge(at: Path, work: Callable[..., object]) -> None:
    """Do something to the store of a bridge that is not running."""

    async def run() -> None:
        async with open_bridge(environment.read(servers.environment(at))) as bridge:
            await bridge.db.transact(lambda tx: work(tx, bridge.scene("bench")))

    asyncio.run(run())


def pause(at: Path) -> None:
    with_bridge(at, lambda tx, scene: operate.pause(tx, "sink", scene, "benchmark"))


def resume(at: Path) -> None:
    with_bridge(at, lambda tx, scene: operate.resume(tx, "sink", scene, "benchmark"))


@contextmanager
def bare() -> Iterator[None]:
    with servers.process(servers.plain("bare", BARE), BARE):
        yield


@contextmanager
def bridge(at: Path, *, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with servers.process(servers.serve(BRIDGE), BRIDGE, env={**servers.environment(at), **(env or {})}) as started:
        yield started


def warm(count: int = 4000) -> list[bytes]:
    made = orders.orders(count)
    load.run(BRIDGE, iter(made), connections=64, seconds=2)
    return made


def side_by_side(args: argparse.Namespace, connections: int) -> tuple[list[float], float, float, load.Load]:
    """Rounds of bare, bridge, bare: the ratios, both medians, and the last run."""
    ratios, bares, fulls = [], [], []
    again = orders.orders(500)
    for _ in range(args.rounds):
        made = orders.orders(int(args.seconds * 14_000))
        first = load.run(BARE, orders.endless(again), connections=connections, seconds=args.seconds / 2)
        full = load.run(BRIDGE, iter(made), connections=connections, seconds=args.seconds)
        second = load.run(BARE, orders.endless(again), connections=connections, seconds=args.seconds / 2)
        assert set(full.statuses) == {200}, full.statuses
        base = (first.per_second + second.per_second) / 2
        ratios.append(full.per_second / base)
        bares.append(base)
        fulls.append(full.per_second)
    return ratios, statistics.median(bares), statistics.median(fulls), full


@measure("full intake, target paused, as a share of a bare ASGI answer: 64 and 8 connections")
def intake(args: argparse.Namespace) -> None:
    with folder() as at:
        servers.configure(at)
        pause(at)
        with bare(), bridge(at):
            warm()
            for connections in (64, 8):
                ratios, base, full, last = side_by_side(args, connections)
                told(
                    f"intake at {connections} connections, share of bare",
                    ratios,
                    f"bare {base:.0f}/s, bridge {full:.0f}/s,",
                    f"p50 {last.percentile(0.5) * 1e3:.1f} ms, p99 {last.percentile(0.99) * 1e3:.1f} ms",
                )


@measure("the same at 64 with every fsync slowed by 2 ms, as a multiple of one commit for each delivery")
def slow_disk(args: argparse.Namespace) -> None:
    with folder() as at:
        shim = servers.slow_fsync(at, milliseconds=2)
        if shim is None:
            print("slow-disk: skipped, there is no C compiler to build the slowing shim with")
            return
        servers.configure(at)
        pause(at)
        ratios = []
        made = orders.orders(2000)
        with bridge(at, env={"LD_PRELOAD": str(shim), "BENCH_FSYNC_US": "2000"}):
            load.run(BRIDGE, iter(made), connections=64, seconds=2)
            for _ in range(args.rounds):
                single = load.run(
                    BRIDGE, iter(orders.orders(int(args.seconds * 1000))), connections=1, seconds=args.seconds
                )
                full = load.run(
                    BRIDGE, iter(orders.orders(int(args.seconds * 14_000))), connections=64, seconds=args.seconds
                )
                ratios.append(full.per_second / single.per_second)
        told("intake on a slow disk, multiple of one commit for each delivery", ratios, f"{full.per_second:.0f}/s")


@measure("webhook in to call out on a quiet system, p50, against acknowledged p50 + a bare call + two commits")
def latency(args: argparse.Namespace) -> None:
    with folder() as at, servers.process(servers.plain("sink", SINK), SINK):
        servers.configure(at, sink_port=SINK)
        bare_call = asyncio.run(calls.bare_call(f"http://127.0.0.1:{SINK}/in", count=300))
        commit = calls.commit(at)
        port = calls.free_port()
        servers.configure(at, sink_port=port)
        with bridge(at):
            warm(500)
            time.sleep(2)
            seen = asyncio.run(calls.in_to_out(BRIDGE, port, orders.orders(300), gap=0.02))
        acked, out = statistics.median(seen.acknowledged), statistics.median(seen.called)
        bound = acked + bare_call + 2 * commit
        told(
            "webhook in to call out, p50, share of acknowledged + call + two commits",
            [out / bound],
            f"out {out * 1e3:.2f} ms; acknowledged {acked * 1e3:.2f} ms, call {bare_call * 1e3:.2f} ms,",
            f"commit {commit * 1e3:.2f} ms",
        )


@measure("forwards with 32 in flight, every attempt recorded, as a share of a bare httpx2 loop")
def forwards(args: argparse.Namespace) -> None:
    ratios, rates = [], []
    with servers.process(servers.plain("sink", SINK), SINK):
        for _ in range(args.rounds):
            with folder() as at:
                servers.configure(at, sink_port=SINK)
                pause(at)
                count = 6000
                with bridge(at):
                    load.run(BRIDGE, iter(orders.orders(count, customers=10**9)), connections=64, seconds=60)
                resume(at)
                base = asyncio.run(calls.bare_loop(f"http://127.0.0.1:{SINK}/in", seconds=args.seconds, slots=32))
                rate = asyncio.run(calls.drain(at, count))
                rates.append(rate)
                ratios.append(rate / base)
    told("forwards at 32 in flight, share of a bare httpx2 loop", ratios, f"{statistics.median(rates):.0f}/s")


@measure("50 customers at once from their ticket to the proof, as a multiple of the platform's own part of the way")
def flow(args: argparse.Namespace) -> None:
    medians, tails, alone, whole = [], [], [], []
    for _ in range(args.rounds):
        with folder() as at:
            first, second = asyncio.run(ways.taken(at, BRIDGE))
        alone.append((_at(first, 0.5), _at(first, 0.95)))
        whole.append((_at(second, 0.5), _at(second, 0.95)))
        medians.append(whole[-1][0] / alone[-1][0])
        tails.append(whole[-1][1] / alone[-1][1])
    for what, ratios, at in (("p50", medians, 0), ("p95", tails, 1)):
        bare, full = (statistics.median(one[at] for one in rows) for rows in (alone, whole))
        told(
            f"a customer's way among {ways.CUSTOMERS}, {what}, multiple of the platform's part",
            ratios,
            f"platform {bare * 1e3:.0f} ms, with the bridge {full * 1e3:.0f} ms",
        )


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


@measure("1,000 due rows at an API whose calls take many: rows a second, in shares of one call a row")
def batched(args: argparse.Namespace) -> None:
    rows = 1000
    read, kept, awards = [], [], []
    for _ in range(args.rounds):
        rates = {}
        for way in batches.WAYS:
            with folder() as at, servers.process(batches.standing(SINK, rows), SINK):
                rates[way], made = asyncio.run(batches.drained(at, way, SINK, rows))
                if way != "single":
                    awards.append(made["awards"])
        read.append(rates["reading"] / rates["single"])
        kept.append(rates["voyado"] / rates["single"])
    told("batched with baselines, times one call a row", read)
    told("batched where the last call's end is the baseline, times one call a row", kept)
    print(f"award calls for {rows} rows: at most {max(awards)}")


@measure("an unbounded backlog draining under saturated intake: shares of each alone")
def backlog(args: argparse.Namespace) -> None:
    intakes, outs = [], []
    with servers.process(servers.plain("sink", SINK), SINK):
        for _ in range(max(1, args.rounds // 2)):
            with folder() as at:
                servers.configure(at, sink_port=SINK)
                pause(at)
                with bridge(at):
                    warm()
                    made = orders.orders(int(args.seconds * 14_000), customers=10**9)
                    alone = load.run(BRIDGE, iter(made), connections=64, seconds=args.seconds)
                resume(at)
                shutil.copytree(at, at.with_name(at.name + "-alone"))
                drained = asyncio.run(calls.drain(at.with_name(at.name + "-alone"), 4000))
                shutil.rmtree(at.with_name(at.name + "-alone"))
                with bridge(at):
                    made = orders.orders(int(args.seconds * 14_000), customers=10**9)
                    before = calls.delivered(at)
                    together = load.run(BRIDGE, iter(made), connections=64, seconds=args.seconds)
                    after = calls.delivered(at)
                intakes.append(together.per_second / alone.per_second)
                outs.append((after - before) / together.seconds / drained)
    told("intake while a backlog drains, share of alone", intakes)
    told("forwards while intake is saturated, share of alone", outs)


@measure("intake and lease over a million rows already stored, against empty")
def million(args: argparse.Namespace) -> None:
    with folder() as at:
        empty, full = at / "empty", at / "full"
        for one in (empty, full):
            one.mkdir()
            servers.configure(one)
            pause(one)
        calls.fill(full, args.rows)
        ratios = []
        rates: dict[str, list[float]] = {"empty": [], "full": []}
        for turn in range(args.rounds + 1):
            for name, one in (("empty", empty), ("full", full)):
                with bridge(one):
                    load.run(BRIDGE, iter(orders.orders(3000)), connections=64, seconds=1)
                    made = orders.orders(int(args.seconds * 14_000))
                    run = load.run(BRIDGE, iter(made), connections=64, seconds=args.seconds)
                    if turn:  # the first is the warm-up
                        rates[name].append(run.per_second)
            if turn:
                ratios.append(rates["full"][-1] / rates["empty"][-1])
        told(f"intake with {args.rows} rows stored, share of empty", ratios)
        lease = [calls.lease_rate(one) for one in (empty, full)]
        told(f"leases with {args.rows} rows stored, share of empty", [lease[1] / lease[0]])


@measure("memory after 100,000 deliveries, and start to listening")
def footprint(args: argparse.Namespace) -> None:
    with folder() as at:
        servers.configure(at)
        pause(at)
        starts = []
        for _ in range(args.rounds):
            began = time.perf_counter()
            with bridge(at):
                starts.append(time.perf_counter() - began)
        with bridge(at) as started:
            for _ in range(10):
                load.run(BRIDGE, iter(orders.orders(10_000)), connections=64, seconds=60)
            status = Path(f"/proc/{started.pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        print(f"memory after 100,000 deliveries: {resident / 1024:.0f} MB")
        print(f"start to listening: {statistics.median(starts):.2f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="; ".join(f"{n}: {w}" for n, (w, _) in MEASURES.items())
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of load in each round")
    parser.add_argument("--rows", type=int, default=1_000_000, help="stored beforehand, for `million`")
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    for name in args.names or MEASURES:
        if name not in MEASURES:
            print(f"there is no measure {name}; there are {', '.join(MEASURES)}", file=sys.stderr)
            return 2
        MEASURES[name][1](args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
