"""One signed message on its way to a callback, as often as it takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import httpx2


@dataclass(frozen=True, slots=True)
class Answered:
    """What the callback said; status 0 where it said nothing."""

    status: int
    body: bytes = b""
    media_type: str = ""
    fault: str = ""

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    def object(self) -> Mapping[str, Any]:
        """The body as a JSON object; an empty one where it is anything else."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


Sent_contra = TypeVar("Sent_contra", contravariant=True)


class Sender(Protocol[Sent_contra]):
    """Somebody who delivers messages of a kind of their own."""

    async def post(self, client: httpx2.AsyncClient, message: Sent_contra, /, *, secret: str = "") -> Answered:
        """One delivery; with another `secret` it is a forgery."""
        ...

    async def repeat(self, client: httpx2.AsyncClient, message: Sent_contra, times: int, /) -> Sequence[Answered]:
        """The same message several times at once."""
        ...


async def post(client: httpx2.AsyncClient, url: str, headers: Mapping[str, str], body: bytes) -> Answered:
    """One POST; redirects are not followed, because no sender of webhooks follows them."""
    try:
        response = await client.post(url, headers=dict(headers), content=body, follow_redirects=False)
    except httpx2.HTTPError as error:
        return Answered(0, fault=type(error).__name__)
    return Answered(response.status_code, response.content, response.headers.get("content-type", ""))


async def at_once(
    client: httpx2.AsyncClient, url: str, all_headers: Sequence[Mapping[str, str]], body: bytes
) -> list[Answered]:
    """The same bytes several times at the same moment: the race that a slow acknowledgement causes."""
    return list(await asyncio.gather(*(post(client, url, headers, body) for headers in all_headers)))
