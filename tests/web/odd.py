"""A source of a plugin that has a bug: what it tells can be read, and cannot be kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bridge.kit import Action, Delivery, Evidence, Hmac, Setting, Settings, Source


class Grade:
    """No grade at all."""

    value = b"bytes where a text belongs"


def read(delivery: Delivery, settings: Settings) -> Iterable[Evidence]:
    body: Any = delivery.json()
    told = Evidence(action="done", key=str(body["id"]), account="a")
    return [replace(told, grade=Grade()) if body.get("odd") else told]  # type: ignore[arg-type]


source = Source(
    name="odd",
    title="Odd",
    docs="",
    actions={"done": Action("Does something")},
    settings=(Setting("webhook_secret", "the key", "secrets", True),),
    scheme=Hmac(header="x-odd"),
    read=read,
)
