"""Any sender that signs its requests; bridge.toml says how it signs and what its payloads mean.

There is no way to leave the signature out: a table without one is a fault, and so is one that does not cover
the body.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from bridge.kit import (
    EVIDENCE,
    Ed25519,
    ExpressionError,
    Hmac,
    Rsa,
    Sample,
    Setting,
    Settings,
    Source,
    described,
    duration,
    ed25519_fault,
    rsa_fault,
)

Signature = Hmac | Ed25519 | Rsa

ENCODINGS = ("hex", "base64", "base64url")
TEXTS = ("header", "prefix", "encoding", "signed", "sent_at", "tolerance", "separator", "pairs", "field")

#: What each algorithm takes besides: its key encodings and digests, the first being the default.
ALGORITHMS: Mapping[str, tuple[type[Signature], tuple[str, ...], tuple[str, ...]]] = {
    "hmac": (Hmac, ("text", "hex", "base64"), ("sha256", "sha512", "sha384", "sha1")),
    "ed25519": (Ed25519, ENCODINGS, ()),
    "rsa": (Rsa, (), ("sha256", "sha512")),
}


def configure(source: Source, settings: Settings) -> Source:
    scheme = signature(settings.get("signature"))
    keys = settings.get("webhook_secret") or ()
    if not keys:
        raise ExpressionError("webhook_secret is missing: without a key nothing can be verified")
    for number, key in enumerate([keys] if isinstance(keys, str) else keys, 1):
        if fault := key_fault(scheme, key):
            raise ExpressionError(f"webhook_secret {number}: {fault}")
    signed = scheme.headers - {scheme.header}
    header = str(settings.get("delivery_id") or "").lower()
    known = replace(
        source,
        scheme=scheme,
        delivery_id=(header,) if header else (),
        delivery_id_signed=header in signed,
        knows_customers=bool(settings.get("knows_customers")),
        media_types=media_types(settings.get("media_types") or source.media_types),
        samples={"event": sample(scheme, header)},
    )
    return described(known, settings, signed_headers=signed)


def signature(table: Any) -> Signature:
    """The scheme that the `signature` table describes. Every fault is an `ExpressionError` in words."""
    if not isinstance(table, Mapping) or not table.get("header"):
        raise ExpressionError('signature is missing: say at least signature = { header = "x-signature" }')
    algorithm = table.get("algorithm", "hmac")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise ExpressionError(f"signature.algorithm is {algorithm!r}; known are {', '.join(ALGORITHMS)}")
    made, keys, digests = ALGORITHMS[algorithm]
    choices = {"encoding": ENCODINGS, "key": keys, "digest": digests}
    known = {"algorithm", *TEXTS, *(name for name, allowed in choices.items() if allowed)}
    for name, value in table.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            raise ExpressionError(
                f"signature.{name} is unknown; {meant}Known for {algorithm}: {', '.join(sorted(known))}"
            )
        if not isinstance(value, str) or not value:
            raise ExpressionError(f"signature.{name} is {value!r}; a text is needed")
        if choices.get(name) and value not in choices[name]:
            raise ExpressionError(f"signature.{name} is {value!r}; known are {', '.join(choices[name])}")
    options = {name: value for name, value in table.items() if name != "algorithm"}
    options["header"] = options["header"].lower()
    try:
        if "tolerance" in options:
            options["tolerance"] = duration(options["tolerance"])
        scheme = made(**options)
    except ValueError as error:
        raise ExpressionError(f"signature: {error}") from None
    if "tolerance" in options and not scheme.sent_at:
        raise ExpressionError("signature.tolerance needs sent_at: the header or pair with the signed time")
    return scheme


def key_fault(scheme: Signature, key: str) -> str:
    """What is wrong with a key, in words; empty where nothing is."""
    match scheme:
        case Ed25519():
            return ed25519_fault(key, scheme.key)
        case Rsa():
            return rsa_fault(key)
    try:
        raw = scheme.secret(key)
    except ValueError:
        return f"is not {scheme.key}"
    return "" if len(raw) >= 8 else f"has {len(raw)} bytes; a secret of less than 8 can be guessed"


def media_types(value: Any) -> tuple[str, ...]:
    given = value.split(",") if isinstance(value, str) else value
    found = tuple(str(one).strip().lower() for one in given)
    for one in found:
        if one.count("/") != 1 or ";" in one:
            raise ExpressionError(f'media_types holds {one!r}; write for example "application/json"')
    return found


def sample(scheme: Signature, delivery_id: str) -> Sample:
    values = {"id": "1", "type": "review.created", "account": "4711"}
    named = (scheme.headers | {delivery_id}) - {scheme.header, scheme.sent_at.lower(), ""}
    return Sample("Something happens", values, event(sorted(named)))


def event(headers: list[str]) -> Callable[[Mapping[str, Any], datetime], tuple[Mapping[str, str], Any]]:
    return lambda values, now: ({name: str(values["id"]) for name in headers}, dict(values))


source = Source(
    name="generic",
    title="Anything that signs",
    docs="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    actions={},  # the source's own table describes them
    settings=(
        Setting("webhook_secret", "the shared secrets, or the sender's public keys", "secrets", required=True),
        Setting(
            "signature",
            "how it signs: header, prefix, encoding (hex, base64, base64url), signed (a template of {body}, {url}, "
            "{method} and header names), sent_at, tolerance, separator, pairs and field, key, digest; algorithm "
            "(hmac, ed25519, rsa)",
            "table",
            required=True,
            example='{ header = "x-signature", prefix = "sha256=" }',
        ),
        Setting("delivery_id", "the header that names a delivery; without one its bytes do", example="x-event-id"),
        Setting("media_types", "what it sends, separated by commas", default="application/json"),
        Setting("knows_customers", "whether its accounts are the shop's own customers, no link needed", "bool"),
        EVIDENCE,
    ),
    configure=configure,
    samples={"event": sample(Hmac(header="x-signature"), "")},
    steps=("Give the sender {url} as its endpoint", "Describe in bridge.toml how it signs and what it tells"),
    room="storefronts",
)
