"""`serve` and `work`: the processes that stay."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

import structlog
import uvicorn

from bridge.app import Bridge, open_bridge, working
from bridge.config import Config
from bridge.env import Env
from bridge.web import build
from bridge.web.wire import Wire

log = structlog.get_logger("serve")


class Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: the whole process drains, not only its sockets."""

    def capture_signals(self):  # type: ignore[no-untyped-def]
        from contextlib import nullcontext

        return nullcontext()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; taken before anything else starts, so that a taken port is an error at once. `OSError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
        taken.listen(2048)
    except OSError:
        taken.close()
        raise
    taken.set_inheritable(True)
    return taken


def server(app: object) -> Server:
    """The HTTP server: httptools and uvloop, which are 3.6 times as fast as h11 on asyncio."""
    return Server(
        uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=Wire,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=10,
            timeout_keep_alive=65,
            h11_max_incomplete_event_size=65536,
        )
    )


def address(taken: socket.socket) -> str:
    host, port = taken.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    env: Env,
    config: Config,
    taken: socket.socket | None,
    *,
    leases: bool = True,
    started: Callable[[Bridge], None] | None = None,
) -> None:
    """Run the web door, the worker or both, until SIGTERM or SIGINT; SIGHUP reads bridge.toml again."""
    # What is here now stays; of what comes, little outlives its request. The default looks far too often.
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[list[str]]] = set()
    async with open_bridge(env, config) as bridge:

        def reload() -> None:
            task = asyncio.ensure_future(bridge.reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        loop.add_signal_handler(signal.SIGHUP, reload)
        async with working(bridge, leases=leases):
            web: Server | None = None
            serving: asyncio.Task[None] | None = None
            if taken is not None:
                web = server(build(bridge))
                serving = asyncio.create_task(web.serve(sockets=[taken]))
                while not web.started and not serving.done():  # noqa: ASYNC110 (uvicorn tells it no other way)
                    await asyncio.sleep(0.005)
            if started is not None:
                started(bridge)
            waiting = asyncio.create_task(stop.wait())
            await asyncio.wait({waiting, *({serving} if serving else ())}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if web is not None and serving is not None:
                web.should_exit = True
                with suppress(asyncio.CancelledError):
                    await serving
    log.info("stopped")


def run(main: object) -> None:
    """Run a coroutine on uvloop where there is one."""
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)  # type: ignore[arg-type]


def say(text: str) -> None:
    """One line for whoever started us, on stdout: the logs are on stderr."""
    print(text, flush=True)
