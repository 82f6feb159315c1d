"""What every request passes first: a body within bounds, headers that are unambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.kit import TooLarge

Scope = Mapping[str, Any]


def headers_of(scope: Scope) -> tuple[dict[str, str], frozenset[str]]:
    """The headers by lower-case name, and the names that came more than once."""
    found: dict[str, str] = {}
    repeated: set[str] = set()
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1")
        if name in found:
            repeated.add(name)
        found[name] = raw_value.decode("latin-1")
    return found, frozenset(repeated)


async def body_of(headers: Mapping[str, str], receive: Any, most: int) -> bytes:
    """The raw bytes. More than `most`: `TooLarge`, without reading on."""
    declared = headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:12]) > most:
        raise TooLarge(f"the body has {declared[:12]} bytes; {most} are read here")
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ConnectionError("the sender hung up")
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > most:
            raise TooLarge(f"the body has more than {most} bytes")
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        if size > most:
            raise TooLarge(f"the body has more than {most} bytes")
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the sender hung up")
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
    if size > most:
        raise TooLarge(f"the body has more than {most} bytes")
    return b"".join(parts)
