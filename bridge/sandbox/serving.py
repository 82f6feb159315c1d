"""A stand-in on a port of its own, so that what reaches it is real HTTP over a real connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Generator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from .standin import HANG_UP


class Droppable(HttpToolsProtocol):
    """HTTP whose application may hang up: ASGI has no message for that, so the transport's `close` rides along."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {HANG_UP: {"now": self.transport.close}}


class Guest(uvicorn.Server):
    """A server beside others in one process: the signals belong to whoever owns the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, *, host: str = "127.0.0.1", port: int = 0, listening: socket.socket | None = None
) -> AsyncIterator[str]:
    """Serve until the block ends; gives the address. Port 0: whichever is free."""
    listening = listening or bound(host, port)
    host, chosen = listening.getsockname()[:2]
    server = Guest(
        uvicorn.Config(
            app,
            http=Droppable,
            ws="none",
            lifespan="off",
            log_config=None,  # the logging of this process is set up elsewhere
            access_log=False,
            timeout_graceful_shutdown=2,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            if running.done():
                await running
                raise RuntimeError(f"no server came up at {host}:{chosen}")
            await asyncio.sleep(0.005)
        yield f"http://{f'[{host}]' if ':' in host else host}:{chosen}"
    finally:
        server.should_exit = True
        await running


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. A port that is taken: `OSError` now, not a log line later."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named: of a socket that does not name it asyncio leaves Nagle's algorithm on, and a body that
    # follows its head waits 40 ms for the caller's delayed acknowledgement.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made
