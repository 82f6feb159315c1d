"""The servers that are measured: a bridge as `serve` runs it, and what it is measured against."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ECHO = b'{"status":"accepted","delivery":"del_000000000000000000000000"}'


async def bare(scope, receive, send):  # type: ignore[no-untyped-def]
    """The baseline: ASGI, and nothing else."""
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(ECHO)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": ECHO})


async def sink(scope, receive, send):  # type: ignore[no-untyped-def]
    """A loyalty API that takes everything."""
    while (await receive()).get("more_body"):
        pass
    await bare(scope, receive, send)


CONFIG = """
public_url = "http://127.0.0.1:8000"
allow_private_networks = true
[source.shop]
provider = "shopify"
webhook_secret = "env:SHOP_SECRET"
[target.sink]
provider = "webhook"
url = "http://127.0.0.1:{sink}/in"
secret = "env:HOOK_SECRET"
per_second = 100000
[[rule]]
id = "order"
when = "shop.order_paid"
where = "currency == 'EUR' && total >= 50.0"
limit = "per subject"
send = {{ to = "sink", event = "order", data = {{ total = "=total" }} }}
"""


def environment(folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "BRIDGE_CONFIG": str(folder / "bridge.toml"),
        "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
        "BRIDGE_SECRET_KEY": "bench",
        "BRIDGE_LOG": "warning",
        "SHOP_SECRET": "bench-shop-secret",
        "HOOK_SECRET": "whsec_" + "A" * 32,
    }


def configure(folder: Path, *, sink_port: int = 9) -> None:
    (folder / "bridge.toml").write_text(CONFIG.format(sink=sink_port))


@contextmanager
def process(
    arguments: list[str], port: int, *, env: Mapping[str, str] | None = None, path: str = "/healthz"
) -> Iterator[subprocess.Popen[bytes]]:
    """A server as a process of its own, until the block ends."""
    root = Path(__file__).resolve().parents[2]
    started = subprocess.Popen(arguments, env=dict(env or os.environ), cwd=root, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
                break
            except OSError:
                if started.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        yield started
    finally:
        started.terminate()
        started.wait(40)


SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>
static void wait_(void) { const char *us = getenv("BENCH_FSYNC_US"); if (us) usleep(atoi(us)); }
int fsync(int fd) { int (*real)(int) = dlsym(RTLD_NEXT, "fsync"); wait_(); return real(fd); }
int fdatasync(int fd) { int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync"); wait_(); return real(fd); }
"""


def slow_fsync(folder: Path, *, milliseconds: int) -> Path | None:
    """A library that makes every fsync of a process slower by that much; None where no C compiler is."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    source, made = folder / "slow.c", folder / "slow.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", made, source, "-ldl"], check=True)
    return made


def plain(app: str, port: int) -> list[str]:
    """A bare ASGI app under the same server as `serve` uses."""
    return [sys.executable, "-c", f"from tests.bench.servers import run; run({app!r}, {port})"]


def run(app: str, port: int) -> None:
    import uvloop

    from bridge.cli.serve import listen, server

    taken = listen("127.0.0.1", port)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server(globals()[app]).serve(sockets=[taken]))


def serve(port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "bridge", "serve", "--port", str(port), *more]
