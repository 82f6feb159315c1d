"""Sample events, signed with the configured secret and posted to a running bridge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bridge.kit import Customer, Delivery, Evidence, Ignored, Inbound, Reply, Request, Response, Talk
from bridge.kit.errors import BridgeError, Unavailable

from .doors import Door, Wrong

if TYPE_CHECKING:
    from bridge.config import SourceTable
    from bridge.kit import Sample


def send(door: Door, name: str, event: str, sets: Sequence[str], customer: str | None, times: int, to: str) -> int:
    source = door.config.sources.get(name)
    if source is None:
        raise Wrong(f"there is no [source.{name}]; there are {', '.join(door.config.sources)}")
    samples = source.provider.samples
    if event not in samples:
        raise Wrong(f"{source.provider.title} has no sample {event}; it has {', '.join(samples) or 'none'}")
    address = _address(to, name)
    values = _values(door, source, samples[event], sets, customer)
    inbound = _made(source, samples[event], values, door.now, f"{door.config.public_url}/webhooks/{name}")
    failed = 0
    for _ in range(times):
        answer = _posted(door, address, inbound)
        failed += not answer.is_success
        _tell(door, name, event, answer)
    return int(failed > 0)


def _address(to: str, name: str) -> str:
    parts = urlsplit(to)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Wrong(f"--to is an address: http://127.0.0.1:8000, not {to}")
    return to if "/webhooks/" in parts.path else f"{to.rstrip('/')}/webhooks/{name}"


def _values(
    door: Door, source: SourceTable, sample: Sample, sets: Sequence[str], customer: str | None
) -> dict[str, Any]:
    """The sample's values: its own, those that the source's table knows better, fresh ids, then what was asked for."""
    values = dict(sample.values)
    for key in values:
        for setting in (key, f"{key}_id"):
            if isinstance(known := source.settings.get(setting), str) and known:
                values[key] = known
    if "id" in values:
        values["id"] = _fresh(values["id"], door.now)
    if customer is not None:
        values[_who(source, sample, values, customer, door.now)] = customer
    for one in sets:
        key, equals, text = one.partition("=")
        if not equals or key not in values:
            raise Wrong(f"--set {one}: this sample has {', '.join(f'{k}={v}' for k, v in sample.values.items())}")
        values[key] = _like(values[key], text, key)
    return values


def _fresh(old: Any, now: datetime) -> Any:
    stamp = int(now.timestamp() * 1_000_000)
    return stamp if isinstance(old, int) else f"{stamp:x}"


def _like(old: Any, text: str, key: str) -> Any:
    """A value of the kind that the sample has."""
    kinds: dict[type, tuple[str, Callable[[str], Any]]] = {int: ("a whole number", int), float: ("a number", float)}
    if isinstance(old, bool):
        if text not in ("true", "false"):
            raise Wrong(f"--set {key}: true or false, not {text}")
        return text == "true"
    said, kind = kinds.get(type(old), ("a text", str))
    try:
        return kind(text)
    except ValueError:
        raise Wrong(f"--set {key}: {said}, not {text}") from None


def _who(source: SourceTable, sample: Sample, values: Mapping[str, Any], customer: str, now: datetime) -> str:
    """The value that says who does it: the one that, changed, changes whom the source speaks of."""
    for key in values:
        try:
            inbound = _made(source, sample, {**values, key: customer}, now, "http://localhost/")
            if customer in _named(source, inbound):
                return key
        except (BridgeError, ValueError, TypeError):
            continue
    raise Wrong(f"no value of this sample says who does it; use --set with one of {', '.join(values)}")


def _named(source: SourceTable, inbound: Inbound) -> set[str]:
    """Everybody a request names, as the source of this table names them."""
    names = ("source", "method", "url", "headers", "body", "received_at")
    delivery = Delivery(**{name: getattr(inbound, name) for name in names}, id="del_0", key="0")
    assert source.provider.read is not None
    told = source.provider.read(delivery, source.settings)
    if isinstance(told, Reply | Ignored):
        return set()
    found: set[str] = set()
    for one in told:
        who = one if isinstance(one, Customer) else one.customer
        if isinstance(one, Evidence) and source.customer == "id":
            found.add(str(one.account))
        if who is not None and (value := getattr(who, source.customer)):
            found.add(str(value))
    return found


def _made(source: SourceTable, sample: Sample, values: Mapping[str, Any], now: datetime, url: str) -> Inbound:
    """The request, signed with the first secret."""
    headers, body = sample.make(values, now)
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    kind = source.provider.media_types[0] if source.provider.media_types else "application/json"
    lower = {name.lower(): value for name, value in headers.items()}
    bare = Inbound(
        source=source.name,
        method="POST",
        url=url,
        headers={"content-type": kind, **lower},
        body=raw,
        received_at=now,
    )
    scheme = source.provider.scheme
    assert scheme is not None
    try:
        signed = scheme.sign(bare, source.secrets[0], now)
    except ValueError:
        raise Wrong(
            f"{source.name} signs with a key that is not ours: with its public key nothing can be signed"
        ) from None
    whole = {**bare.headers, **{name.lower(): value for name, value in signed.items()}}
    return Inbound(source=source.name, method="POST", url=url, headers=whole, body=raw, received_at=now)


def _posted(door: Door, address: str, inbound: Inbound) -> Response:
    from bridge.app import VERSION, clock
    from bridge.talk import Talker, Transport

    def post() -> Talk[Response]:
        return (yield Request("POST", address, headers=inbound.headers, content=inbound.body))

    async def ask() -> Response:
        async with Transport(lambda: True) as http:
            from datetime import timedelta

            return await Talker(http, clock, f"LoyaltyBridge/{VERSION}").hold(post(), within=timedelta(seconds=30))

    try:
        answer: Response = door.run(ask())
    except Unavailable as failure:
        raise Unavailable(f"{failure.message}. Does `loyalty-bridge serve` run there? --to says where it is") from None
    return answer


def _tell(door: Door, name: str, event: str, answer: Response) -> None:
    said = answer.object()
    if door.json:
        door.emit({"source": name, "event": event, "status": answer.status, "answer": said})
        return
    words = said.get("status") if isinstance(said.get("status"), str) else said.get("reason", "")
    plain = answer.body[:200].decode(errors="replace")
    style = "green" if answer.is_success else "red"
    told = [str(words or plain), str(said.get("delivery", ""))]
    door.paper().say((f"{answer.status} ", style), "  ".join(one for one in told if one))
