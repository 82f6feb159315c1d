"""A refused request, as it is kept for the operator: what was wrong, which mistake it looks like, no secrets."""

from __future__ import annotations

import hashlib
from typing import Any

from bridge.config import SourceTable
from bridge.kit import FlowError, Inbound, Rejected
from bridge.store.rows import ms, text

from .ingest import clean, redacted


def refused(
    id_: str,
    inbound: Inbound,
    source: SourceTable | None,
    refusal: Rejected | FlowError,
    hint: str,
    *,
    public_url: str,
) -> dict[str, Any]:
    """A row of `rejections`."""
    times = source.provider.scheme.headers if source and source.provider.scheme else frozenset()
    return {
        "id": id_,
        "source": "".join(c for c in inbound.source[:64] if c.isalnum() or c in "-_."),
        "reason": refusal.reason,
        "detail": clean(refusal.message),
        "hint": clean(hint),
        "method": inbound.method[:10],
        "path": clean(inbound.url.partition("?")[0].removeprefix(public_url))[:200],
        "headers": text(redacted(inbound.headers, frozenset(n for n in times if "time" in n))),
        "size": len(inbound.body),
        "sha256": hashlib.sha256(inbound.body).hexdigest(),
        "at": ms(inbound.received_at),
    }
