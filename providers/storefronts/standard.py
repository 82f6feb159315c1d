"""Any sender that follows Standard Webhooks (Svix included); bridge.toml says what its payloads mean.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.kit import EVIDENCE, Sample, Setting, Settings, Source, StandardWebhooks, described, standard_fault


def configure(source: Source, settings: Settings) -> Source:
    known = replace(source, knows_customers=bool(settings.get("knows_customers")))
    # Of Svix's headers none is named here: beside a signature under webhook-signature they are not signed.
    return described(known, settings, signed_headers=("webhook-id", "webhook-timestamp"))


def fault(key: str) -> str:
    return standard_fault(key, signs=False)


def event(values: Mapping[str, Any], now: datetime) -> tuple[Mapping[str, str], Any]:
    """Standard Webhooks' own shape: type, timestamp, data."""
    data = {name: value for name, value in values.items() if name != "type"}
    return {"webhook-id": f"msg_{values['id']}"}, {"type": values["type"], "timestamp": now.isoformat(), "data": data}


source = Source(
    name="standard",
    title="Standard Webhooks",
    docs="https://www.standardwebhooks.com",
    actions={},  # the source's own table describes them
    settings=(
        Setting("webhook_secret", "whsec_ secrets, or whpk_ public keys", "secrets", required=True, fault=fault),
        Setting("knows_customers", "whether its accounts are the shop's own customers, no link needed", "bool"),
        EVIDENCE,
    ),
    scheme=StandardWebhooks(),
    delivery_id=("webhook-id", "svix-id"),
    delivery_id_signed=True,
    configure=configure,
    samples={
        "event": Sample("Something happens", {"id": "1", "type": "review.created", "account": "4711"}, event),
    },
    steps=("Give the sender {url} as its endpoint", "Put the secret it shows into webhook_secret"),
    room="storefronts",
)
