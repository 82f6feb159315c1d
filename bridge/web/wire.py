"""HTTP off the wire, with bounds on what a stranger can make us hold: how long a head is, how long a request takes.

httptools collects headers without end, and copies a long one again with every packet; uvicorn takes trailers for
headers, and its timer begins only after a response. The body's bound is the door's own (`guard`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: What a request line and all headers may come to. The longest signature header anybody sends is 1 KiB.
LARGEST_HEAD = 64 * 1024
#: What may come after the head besides the body: the sizes of chunks, and trailers.
LARGEST_FRAME = 1024 * 1024
#: Seconds within which a whole request has arrived. Platforms themselves give up after 5 to 30.
PATIENCE = 60.0
#: What is read and thrown away of a body that is refused already. Closing at once would reset the connection, and a
#: sender that is still writing would never hear why.
SWALLOWED = 16 * 1024 * 1024
#: Seconds that a stopping process still waits for the rest of a request.
GRACE = 3.0


class Whole:
    """What a cycle writes to: the head of an answer waits for its body, so that both are one call and one packet."""

    def __init__(self, wire: Wire, transport: asyncio.Transport) -> None:
        self._wire = wire
        self._answering: object = None  # the cycle whose head has been written
        self._head = b""
        self._transport = transport
        self._write, self.is_closing = transport.write, transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        cycle = self._wire.cycle
        if self._head:
            data, self._head = self._head + data, b""
        elif cycle is not self._answering and cycle is not None and cycle.response_started:
            self._answering, self._head = cycle, data
            return
        self._write(data)

    def flush(self) -> None:
        if self._head:
            self.write(b"")  # an answer without a body

    def close(self) -> None:
        self.flush()
        self._transport.close()


class Wire(HttpToolsProtocol):
    """uvicorn's protocol, counting bytes; it looks at the clock twice in a patience, once for a connection."""

    patience = PATIENCE

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.transport = Whole(self, transport)  # type: ignore[assignment]
        self._head = True  # whether what comes belongs to a head
        self._message = self._size = self._thrown = 0
        self._begun: float | None = self.loop.time()  # when the request began that has not arrived; None: it has
        self._idle: float | None = None  # since when nothing is under way
        self._timer = self.loop.call_later(self.patience / 2, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        message, head = self._message, self._head
        if not head:
            self._size += len(data)  # and `on_body` takes off what was body
        super().data_received(data)
        if message == self._message:
            if head and self._head:
                self._size += len(data)
            if self._size > (LARGEST_HEAD if self._head else LARGEST_FRAME):
                self._refuse(b"431 Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = True
        self._message += 1
        self._size = self._thrown = 0
        self._begun = self.loop.time()
        self._idle = None

    def on_headers_complete(self) -> None:
        self._head = False
        self._size = 0
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []  # the scope has its own; what comes after the body is no header

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._size -= len(body)
        if self.cycle.response_complete:
            self._thrown += len(body)
            if self._thrown > SWALLOWED:
                self.transport.close()

    def on_message_complete(self) -> None:
        self._begun = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each answer: `_look` finds the connection that nobody uses any more."""
        self.transport.flush()  # type: ignore[attr-defined]
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle = self.loop.time()

    def shutdown(self) -> None:
        super().shutdown()
        self._timer.cancel()
        self._timer = self.loop.call_later(GRACE, self._late)

    def _late(self) -> None:
        if self._begun is not None:
            self._refuse(b"408 Request Timeout")

    def _look(self) -> None:
        if self.transport.is_closing():
            return
        now = self.loop.time()
        if self._begun is not None and now - self._begun >= self.patience:
            self._refuse(b"408 Request Timeout")
            return
        if self._idle is not None and now - self._idle >= self.timeout_keep_alive:
            self.transport.close()
            return
        self._timer = self.loop.call_later(self.patience / 2, self._look)

    def _refuse(self, status: bytes) -> None:
        if self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if cycle is None or not cycle.response_started or (self._head and cycle.response_complete):
            words = status.partition(b" ")[2]
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%b" % (status, len(words), words)
            )
        self.transport.close()
