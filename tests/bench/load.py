"""A closed-loop load generator: so many connections, one request in flight on each, requests made beforehand.

One thread over epoll and raw sockets, because a client library costs ten times what the server does.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """What one run came to."""

    requests: int
    seconds: float
    latencies: list[float]  # seconds, sorted
    statuses: dict[int, int]

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))] if self.latencies else 0.0


def run(port: int, requests: Iterator[bytes], *, connections: int, seconds: float) -> Load:
    """Send `requests` over `connections` to a loopback port for so long; ends early when there are no more."""
    poll = select.epoll()
    by_fd: dict[int, socket.socket] = {}
    sent_at: dict[int, float] = {}
    partial: dict[int, bytes] = {}
    statuses: dict[int, int] = {}
    latencies: list[float] = []
    clock = time.perf_counter
    for _ in range(connections):
        one = socket.create_connection(("127.0.0.1", port))
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        by_fd[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
    began = clock()
    ends = began + seconds
    open_ = 0
    for fd, one in by_fd.items():
        if (request := next(requests, None)) is None:
            break
        one.sendall(request)
        sent_at[fd] = clock()
        open_ += 1
    while open_:
        for fd, _ in poll.poll(1):
            data = partial.pop(fd, b"") + by_fd[fd].recv(65536)
            if not _complete(data):
                if not data:
                    raise ConnectionError("the server closed a connection")
                partial[fd] = data
                continue
            now = clock()
            latencies.append(now - sent_at[fd])
            status = int(data[9:12])
            statuses[status] = statuses.get(status, 0) + 1
            if now < ends and (request := next(requests, None)) is not None:
                by_fd[fd].sendall(request)
                sent_at[fd] = now
            else:
                open_ -= 1
    spent = clock() - began
    for one in by_fd.values():
        one.close()
    poll.close()
    return Load(len(latencies), spent, sorted(latencies), statuses)


def _complete(data: bytes) -> bool:
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    at = head.lower().find(b"content-length:")
    if at < 0:
        return True
    length = int(head[at + 15 :].split(b"\r\n", 1)[0])
    return len(body) >= length
