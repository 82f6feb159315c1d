"""Verification vectors of other people's test suites, as schemes of the kit.

They are not part of this repository. The environment variable BRIDGE_TEST_VECTORS names a folder with
social.json, storefronts.json and gateways.json: lists of requests with their secret, their clock and whether
a verifier must take them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from bridge.kit import Ed25519, FirstPresent, Hmac, Inbound, Rsa, Scheme, StandardWebhooks

FOR_EVER = timedelta(days=40_000)
DAY = datetime(2026, 1, 1, tzinfo=UTC)

Raw: TypeAlias = Mapping[str, Any]
Made: TypeAlias = Callable[[Raw, timedelta], Scheme]


@dataclass(frozen=True, slots=True)
class Vector:
    """One request, how it is verified, and whether it must be taken."""

    name: str
    scheme: Scheme
    keys: tuple[str, ...]
    inbound: Inbound
    now: datetime
    valid: bool


def body_only(**options: Any) -> Made:
    return lambda raw, tolerance: Hmac(**options)


def paired(header: str, *, time: str, field: str, join: str, pairs: str = ",", **options: Any) -> Made:
    """Stripe's family: time and signature as pairs inside one header."""
    signed = f"{{{time}}}{join}{{body}}"
    return lambda raw, tolerance: Hmac(
        header=header, pairs=pairs, field=field, signed=signed, sent_at=time, tolerance=tolerance, **options
    )


def timed(header: str, signed: str, sent_at: str, made: Any = Hmac, **options: Any) -> Made:
    """A time in a header of its own."""
    return lambda raw, tolerance: made(header=header, signed=signed, sent_at=sent_at, tolerance=tolerance, **options)


def untimed(made: Any = Hmac, **options: Any) -> Made:
    """A signed header that is no time, or one whose age the vector does not judge."""
    return lambda raw, tolerance: made(**options)


def standard(**options: Any) -> Made:
    return lambda raw, tolerance: StandardWebhooks(tolerance=tolerance, **options)


X_HUB_256 = body_only(header="x-hub-signature-256", prefix="sha256=")
SHOPIFY = FirstPresent(
    tuple(Hmac(header=name, encoding="base64") for name in ("shopify-hmac-sha256", "x-shopify-hmac-sha256"))
)
TWITCH = timed(
    "twitch-eventsub-message-signature",
    "{twitch-eventsub-message-id}{twitch-eventsub-message-timestamp}{body}",
    "twitch-eventsub-message-timestamp",
    prefix="sha256=",
)
SLACK = timed("x-slack-signature", "v0:{x-slack-request-timestamp}:{body}", "x-slack-request-timestamp", prefix="v0=")
DISCORD = untimed(Ed25519, header="x-signature-ed25519", signed="{x-signature-timestamp}{body}")
SQUARE = body_only(header="x-square-hmacsha256-signature", encoding="base64", signed="{url}{body}")
STRIPE = paired("stripe-signature", time="t", field="v1", join=".")
PADDLE = paired("paddle-signature", time="ts", field="h1", join=":", pairs=";")
HUBSPOT = timed(
    "x-hubspot-signature-v3",
    "{method}{url}{body}{x-hubspot-request-timestamp}",
    "x-hubspot-request-timestamp",
    encoding="base64",
)
KICK = timed(
    "kick-event-signature",
    "{kick-event-message-id}.{kick-event-message-timestamp}.{body}",
    "kick-event-message-timestamp",
    made=Rsa,
)


def first_header(raw: Raw, tolerance: timedelta, *, encoding: Any = "hex", digest: str = "sha256") -> Scheme:
    """The signature is the only header that looks like one."""
    wanted = [name for name in raw["headers"] if "signature" in name.lower() or "hmac" in name.lower()]
    return Hmac(header=wanted[0].lower(), encoding=encoding, digest=digest)


def x_hub(raw: Raw, tolerance: timedelta) -> Scheme:
    """WebSub: each hub chooses its own digest, and this list names it nowhere but in the header."""
    digest = raw["headers"]["X-Hub-Signature"].partition("=")[0]
    return Hmac(header="x-hub-signature", prefix=f"{digest}=", digest=digest)


def rsa_body(raw: Raw, tolerance: timedelta) -> Scheme:
    return Rsa(header=next(iter(raw["headers"])).lower())


def tiktok_shop(raw: Raw, tolerance: timedelta) -> Scheme:
    return Hmac(header="authorization", signed=f"{raw['app_key']}{{body}}")


def generic(raw: Raw, tolerance: timedelta) -> Scheme:
    """`params` say how, in the words of either list."""
    params = raw["params"]
    header, prefix = params.get("header", "X-Signature"), params.get("prefix", "")
    # Some senders write the prefix or leave it; we ask for it where the source's own file says so.
    wanted = params.get("prefix_required", True) or raw["headers"].get(header, "").startswith(prefix)
    return Hmac(
        header=header.lower(),
        prefix=prefix if wanted else "",
        digest=params.get("alg", "sha256"),
        encoding={"b64": "base64"}.get(named := params.get("encoding") or params.get("enc", "hex"), named),
        key=params.get("key_encoding", "text"),
        separator="," if params.get("comma_list") else "",
    )


def pairs_of(raw: Raw, tolerance: timedelta) -> Scheme:
    params = raw["params"]
    made = paired(
        params["header"].lower(),
        time=params["ts_key"],
        field=params["sig_key"],
        join=params["join"],
        pairs=params["item_sep"],
        digest=params.get("alg", "sha256"),
        encoding=params.get("encoding", "hex"),
    )
    return made(raw, tolerance)


def concatenated(raw: Raw, tolerance: timedelta) -> Scheme:
    params = raw["params"]
    template = "".join(
        part if part == "{body}" else part[4:] if part.startswith("lit:") else f"{{{part.lower()}}}"
        for part in params["message"]
    )
    sent_at = params.get("ts_header", "").lower()
    made = timed(
        params["header"].lower(),
        template,
        sent_at,
        prefix=params.get("prefix", ""),
        encoding=params.get("encoding", "hex"),
    )
    return made(raw, tolerance)


#: Every scheme of the lists that the kit can express. The others are handshakes, tokens, forms, signed
#: queries, certificates and plain hashes: not signatures over a body.
SCHEMES: Mapping[str, Made] = {
    "twitch": TWITCH,
    "slack": SLACK,
    "x-hub-256": X_HUB_256,
    "x-hub": x_hub,
    "line": body_only(header="x-line-signature", encoding="base64"),
    "viber": body_only(header="x-viber-content-signature"),
    "gitea": body_only(header="x-gitea-signature"),
    "standard-webhooks": standard(),
    "standard-webhooks-rawkey": standard(plain=True),
    "x-post": body_only(header="x-twitter-webhooks-signature", prefix="sha256=", encoding="base64"),
    "tiktok": paired("tiktok-signature", time="t", field="s", join="."),
    "tiktok-shop": tiktok_shop,
    "linkedin": body_only(header="x-li-signature", signed="hmacsha256={body}"),
    "patreon": body_only(header="x-patreon-signature", digest="md5"),
    "zoom": timed("x-zm-signature", "v0:{x-zm-request-timestamp}:{body}", "x-zm-request-timestamp", prefix="v0="),
    "typeform": body_only(header="typeform-signature", prefix="sha256=", encoding="base64"),
    "tally": body_only(header="tally-signature", encoding="base64"),
    "bmc": body_only(header="x-signature-sha256"),
    "surveymonkey": body_only(header="sm-signature", encoding="base64", digest="sha1"),
    "discourse": body_only(header="x-discourse-event-signature", prefix="sha256="),
    "discord": DISCORD,
    "kick": KICK,
    "shopify-webhook": lambda raw, tolerance: SHOPIFY,
    "stripe": STRIPE,
    "square": SQUARE,
    "hubspot-v3": HUBSPOT,
    "paddle": PADDLE,
    "hmac-sha256-hex-body": first_header,
    "hmac-sha256-b64-body": lambda raw, tolerance: first_header(raw, tolerance, encoding="base64"),
    "hmac-sha1-hex-body": lambda raw, tolerance: first_header(raw, tolerance, digest="sha1"),
    "rsa-sha256-b64-body": rsa_body,
    "recharge-v1": paired("x-recharge-webhook-signature", time="t", field="v1", join="."),
    "squarespace": body_only(header="squarespace-signature", key="hex"),
    "mailchimp": paired("x-mailchimp-signature", time="t", field="v1", join="."),
    "judgeme": body_only(header="judgeme-hmac-sha256"),
    "generic-hmac": generic,
    "klaviyo": untimed(header="klaviyo-signature", signed="{body}{klaviyo-timestamp}"),
    # The words of gateways.json.
    "standard_webhooks": standard(),
    "generic_hmac": generic,
    "kv_timestamped": pairs_of,
    "concat_headers": concatenated,
    "url_body": SQUARE,
    "hubspot": HUBSPOT,
    "hook0": paired("x-hook0-signature", time="t", field="v0", join="."),
}

#: Windows that a list means without saying so.
TOLERANCES = {
    "recharge-v1": timedelta(hours=48),
    "paddle": timedelta(seconds=5),
}

#: Where we differ on purpose.
STRICTER = {
    "discord-064": "a signed header that is empty is refused as missing",
}


def read(folder: Path) -> Iterator[Vector]:
    """All vectors whose scheme the kit can express."""
    for name in ("social.json", "storefronts.json", "gateways.json"):
        listed = json.loads((folder / name).read_text("utf-8"))
        for raw in listed if isinstance(listed, list) else listed["vectors"]:
            if raw["scheme"] in SCHEMES and expressible(raw) and raw["id"] not in STRICTER:
                yield vector(name.removesuffix(".json"), raw)


def expressible(raw: Raw) -> bool:
    if raw["scheme"] == "hubspot":
        return bool(raw["params"]["version"] == "v3")  # v1 and v2 are plain hashes with the secret in front
    if raw["scheme"] == "hook0":
        return "v1=" not in raw["headers"]["X-Hook0-Signature"]  # v1 names the headers it covers in the header
    return True


def vector(listed: str, raw: Raw) -> Vector:
    text = raw.get("payload", raw.get("body")) or ""
    given = raw.get("public_key") or raw["secret"]
    keys = tuple(given) if isinstance(given, list) else (given,)
    if raw["scheme"] == "surveymonkey":
        keys = (f"{raw['api_key']}&{raw['secret']}",)
    if raw["provider"] == "woocommerce":
        keys = tuple(html.unescape(key) for key in keys)  # WordPress stores it escaped and signs with the plain text
    # Without a clock, or with a tolerance of 0, the vector does not judge the age.
    judged = raw.get("now") is not None and raw.get("tolerance_s", 300) != 0
    usual = timedelta(seconds=raw.get("tolerance_s") or 300)
    tolerance = TOLERANCES.get(raw["scheme"], usual) if judged else FOR_EVER
    return Vector(
        name=f"{listed} {raw['id']}",
        scheme=SCHEMES[raw["scheme"]](raw, tolerance),
        keys=keys,
        inbound=Inbound(
            source="test",
            method=(raw.get("params") or {}).get("method") or raw.get("method") or "POST",
            url=raw.get("url") or "https://bridge.example.com/webhooks/test",
            headers={name.lower(): value for name, value in raw["headers"].items()},
            body=bytes.fromhex(text) if raw.get("payload_encoding") == "hex" else text.encode(),
            received_at=DAY,
        ),
        now=datetime.fromtimestamp(raw["now"], UTC) if judged else DAY,
        valid=raw["expected"] == "valid" if "expected" in raw else raw["valid"] and raw.get("accept", True),
    )
