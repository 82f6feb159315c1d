"""Signature schemes as data: how a source signs what it sends, and how we sign what we send.

Every scheme is a frozen value with the same two functions. `verify(inbound, keys, now)` returns
nothing or raises a `Rejected`: `MissingHeader` (401 where it is the signature that is missing),
`BadSignature`, `Stale`. `sign(inbound, key, now)` returns the headers a sender would add, for samples,
stand-ins and tests. Digests are compared as bytes and in constant time; a malformed header is a
refusal, never a crash; an empty key is refused by the configuration before it gets here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from string import Formatter
from typing import Literal, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from .errors import BadPayload, BadSignature, MissingHeader, Stale
from .types import Inbound

Encoding = Literal["hex", "base64", "base64url"]
KeyEncoding = Literal["text", "hex", "base64"]

#: What may stand between braces in a template besides header names and the pairs of the signature's header.
PARTS = ("body", "url", "method")


class Scheme(Protocol):
    """How a source signs."""

    @property
    def headers(self) -> frozenset[str]:
        """The headers that decide about trust, in lower case: none of them may come twice."""

    def verify(self, inbound: Inbound, keys: Sequence[str], now: datetime) -> None: ...

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]: ...


def decode(text: str, encoding: Encoding) -> bytes:
    """The bytes of a signature or key. Anything malformed: `ValueError`."""
    if not text.isascii():
        raise ValueError("not ASCII")
    if encoding == "hex":
        return binascii.unhexlify(text)  # unlike bytes.fromhex it takes no white space
    if encoding == "base64url":
        text = text.replace("-", "+").replace("_", "/")
    padded = text + "=" * (-len(text) % 4)
    try:
        return base64.b64decode(padded, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def encode(raw: bytes, encoding: Encoding) -> str:
    if encoding == "hex":
        return raw.hex()
    if encoding == "base64url":
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")
    return base64.b64encode(raw).decode()


def moment(text: str) -> datetime:
    """ISO 8601, or seconds or milliseconds since 1970. Anything else: `BadPayload`."""
    try:
        if text.isascii() and text.isdigit():
            number = int(text[:17])
            # The year 5138 in seconds is 1973 in milliseconds: nobody signs in either.
            return datetime.fromtimestamp(number / 1000 if number > 99_999_999_999 else number, UTC)
        parsed = datetime.fromisoformat(_trimmed(text))
    except (ValueError, OverflowError, OSError):
        raise BadPayload(f"the signed time is neither ISO 8601 nor seconds since 1970: {text[:40]!a}") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _trimmed(text: str) -> str:
    """Cut a fraction to microseconds: RFC 3339 allows nine digits, `fromisoformat` reads six."""
    head, dot, tail = text.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    return head + dot + tail[: min(digits, 6)] + tail[digits:] if dot else text


def _octets(text: str) -> bytes:
    """A header as it stood on the wire. What cannot have stood there: `BadSignature`."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise BadSignature("a signed header holds characters that no header can hold") from None


@lru_cache(maxsize=256)
def parsed(template: str) -> tuple[tuple[bytes, str], ...]:
    """A template as literals, each with the name in braces that follows it; empty where none does."""
    return tuple((text.encode(), name or "") for text, name, _, _ in Formatter().parse(template))


def names(template: str) -> tuple[str, ...]:
    """The names between braces in a template, in order."""
    return tuple(name for _, name in parsed(template) if name)


def render(template: str, inbound: Inbound, pairs: Mapping[str, str]) -> bytes:
    """What was signed: the template over the request's headers, parts and the signature's own pairs."""
    parts: list[bytes] = []
    for text, name in parsed(template):
        if text:
            parts.append(text)
        if not name:
            continue
        if name == "body":
            parts.append(inbound.body)
        elif name == "url":
            parts.append(inbound.url.encode())
        elif name == "method":
            parts.append(inbound.method.encode())
        elif name in pairs:
            parts.append(_octets(pairs[name]))
        else:
            parts.append(_octets(inbound.header(name.lower())))
    return b"".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What every scheme shares: where the signature stands, what it covers, when it was made."""

    header: str
    prefix: str = ""  # stands before the signature: "sha256=", "v0=", "v1,"
    encoding: Encoding = "hex"
    signed: str = "{body}"  # header names, body, url, method, or pairs of the header, in braces
    sent_at: str = ""  # the header or pair with the time; empty where the source signs no time
    tolerance: timedelta = timedelta(minutes=5)
    separator: str = ""  # between several signatures in one header
    pairs: str = ""  # what separates name=value pairs inside the header
    field: str = ""  # the pair that holds the signature

    def __post_init__(self) -> None:
        if self.header != self.header.lower():
            raise ValueError(f"write {self.header!r} in lower case")
        if bool(self.pairs) != bool(self.field):
            raise ValueError("pairs and field go together: one separates, the other names the signature")
        for _, name, form, conversion in Formatter().parse(self.signed):
            if name == "" or form or conversion:
                raise ValueError(f"{self.signed!r}: between braces stands a name and nothing else")
        covered = names(self.signed)
        if "body" not in covered:
            raise ValueError("a signature that does not cover {body} proves nothing about it")
        if self.sent_at and self.sent_at not in covered:
            raise ValueError(f"{{{self.sent_at}}} is not signed: its time would prove nothing")

    @property
    def headers(self) -> frozenset[str]:
        return _deciding(self)

    def _deciding(self) -> frozenset[str]:
        mine = {*names(self.signed), self.sent_at} - {"", *PARTS}
        return frozenset(name.lower() for name in mine if not self._is_pair(name)) | {self.header}

    def _is_pair(self, name: str) -> bool:
        """Whether a name in the template is a pair inside the header; other headers then have a dash."""
        return bool(self.pairs) and "-" not in name

    def take(self, inbound: Inbound) -> tuple[list[bytes], dict[str, str]]:
        """The signatures in the header, decoded, and its pairs."""
        text = inbound.headers.get(self.header, "")
        if not text:
            raise MissingHeader(f"the signature header {self.header} is missing", status=401)
        pairs: dict[str, str] = {}
        if self.pairs:
            given: list[str] = []
            for part in text.split(self.pairs):
                name, _, value = part.strip().partition("=")
                if name == self.field:
                    given.append(value)
                else:
                    pairs.setdefault(name, value)
            for name in names(self.signed):
                if name not in PARTS and self._is_pair(name) and not pairs.get(name):
                    raise BadSignature(f"{self.header} has no {name}= in it")
        else:
            given = text.split(self.separator) if self.separator else [text]
        ours = [one.strip().removeprefix(self.prefix) for one in given if one.strip().startswith(self.prefix)]
        if not ours:
            wanted = f"{self.field}= in it" if self.field else f"beginning with {self.prefix}"
            raise BadSignature(f"{self.header} has no signature {wanted}")
        found: list[bytes] = []
        for one in ours[:8]:  # a rotation needs two; nobody needs more than eight
            try:
                found.append(decode(one, self.encoding))
            except ValueError:
                continue
        if not found:
            raise BadSignature(f"{self.header} is not {self.encoding}")
        return found, pairs

    def check_time(self, inbound: Inbound, pairs: Mapping[str, str], now: datetime) -> None:
        if not self.sent_at:
            return
        text = pairs.get(self.sent_at) or inbound.header(self.sent_at.lower())
        sent = moment(text)
        if abs(now - sent) > self.tolerance:
            when = "too old" if sent < now else "in the future"
            raise Stale(
                f"signed at {sent:%Y-%m-%dT%H:%M:%SZ}, it is {now:%Y-%m-%dT%H:%M:%SZ}: {when}, "
                f"more than {int(self.tolerance.total_seconds())} s apart"
            )

    def stamp(self, inbound: Inbound, now: datetime, raw: Callable[[bytes], bytes]) -> Mapping[str, str]:
        """The headers a sender would add; `raw` makes the signature over the message."""
        pairs: dict[str, str] = {}
        added: dict[str, str] = {}
        if self.sent_at and self._is_pair(self.sent_at):
            pairs[self.sent_at] = str(int(now.timestamp()))
        elif self.sent_at and self.sent_at.lower() not in inbound.headers:
            added[self.sent_at.lower()] = str(int(now.timestamp()))
        complete = replace(inbound, headers={**inbound.headers, **added})
        signature = self.prefix + encode(raw(render(self.signed, complete, pairs)), self.encoding)
        if self.pairs:
            listed = [f"{name}={value}" for name, value in pairs.items()]
            signature = self.pairs.join([*listed, f"{self.field}={signature}"])
        return {**added, self.header: signature}


@lru_cache(maxsize=256)
def _deciding(shape: Shape | FirstPresent) -> frozenset[str]:
    """The headers that decide about trust: a scheme never changes, and every request asks for them."""
    return shape._deciding()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hmac(Shape):
    """The scheme of nine sources in ten. The defaults are those of the plainest sender: hex over the body."""

    digest: str = "sha256"
    key: KeyEncoding = "text"

    def secret(self, key: str) -> bytes:
        return key.encode() if self.key == "text" else decode(key, self.key)

    def mac(self, key: str, message: bytes) -> bytes:
        return hmac.digest(self.secret(key), message, self.digest)

    def verify(self, inbound: Inbound, keys: Sequence[str], now: datetime) -> None:
        given, pairs = self.take(inbound)
        message = render(self.signed, inbound, pairs)
        macs = [self.mac(key, message) for key in keys]
        # Every pair is compared, so that time does not tell which key it was.
        if not any([hmac.compare_digest(one, mac) for one in given for mac in macs]):  # noqa: C419
            raise BadSignature(f"{self.header} fits none of {len(macs)} configured secrets")
        self.check_time(inbound, pairs, now)

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]:
        return self.stamp(inbound, now, lambda message: self.mac(key, message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asymmetric(Shape):
    """What schemes with a public key share: `keys` verify, `sign` takes the private half."""

    def verify(self, inbound: Inbound, keys: Sequence[str], now: datetime) -> None:
        given, pairs = self.take(inbound)
        message = render(self.signed, inbound, pairs)
        if not any(self._fits(key, one, message) for key in keys for one in given):
            raise BadSignature(f"{self.header} fits none of {len(keys)} configured public keys")
        self.check_time(inbound, pairs, now)

    def _fits(self, key: str, given: bytes, message: bytes) -> bool:
        raise TypeError(f"{type(self).__name__} does not say when a signature fits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ed25519(Asymmetric):
    """An asymmetric scheme: `keys` are public keys of 32 bytes, `sign` takes the private seed."""

    key: Encoding = "hex"

    def _fits(self, key: str, given: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(decode(key, self.key)).verify(given, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]:
        private = Ed25519PrivateKey.from_private_bytes(decode(key, self.key))
        return self.stamp(inbound, now, private.sign)


DIGESTS: Mapping[str, type[hashes.HashAlgorithm]] = {"sha256": hashes.SHA256, "sha512": hashes.SHA512}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rsa(Asymmetric):
    """RSA with PKCS#1 v1.5 padding: `keys` are public keys as PEM or as the base64 of their DER."""

    encoding: Encoding = "base64"
    digest: str = "sha256"

    def _fits(self, key: str, given: bytes, message: bytes) -> bool:
        try:
            _rsa_public(key).verify(given, message, padding.PKCS1v15(), DIGESTS[self.digest]())
        except (InvalidSignature, ValueError):
            return False
        return True

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]:
        private = serialization.load_pem_private_key(key.encode(), password=None)
        if not isinstance(private, RSAPrivateKey):
            raise ValueError("not an RSA private key")
        digest = DIGESTS[self.digest]()
        return self.stamp(inbound, now, lambda message: private.sign(message, padding.PKCS1v15(), digest))


def _rsa_public(key: str) -> RSAPublicKey:
    """The key. Anything else: `ValueError`."""
    try:
        if key.lstrip().startswith("-----BEGIN"):
            public = serialization.load_pem_public_key(key.encode())
        else:
            public = serialization.load_der_public_key(decode("".join(key.split()), "base64"))
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(public, RSAPublicKey):
        raise ValueError("not an RSA public key")
    return public


def rsa_fault(key: str) -> str:
    """What is wrong with an RSA public key, in words; empty where nothing is."""
    try:
        size = _rsa_public(key).key_size
    except ValueError:
        return "is not an RSA public key, as PEM or as base64"
    return "" if size >= 2048 else f"has {size} bits; an RSA key under 2048 can be broken"


def ed25519_fault(key: str, encoding: Encoding) -> str:
    """What is wrong with an Ed25519 public key, in words; empty where nothing is."""
    try:
        raw = decode(key, encoding)
    except ValueError:
        return f"is not {encoding}"
    return "" if len(raw) == 32 else f"has {len(raw)} bytes; an Ed25519 public key has 32"


@dataclass(frozen=True, slots=True)
class FirstPresent:
    """Several schemes of one vendor; the first whose header came decides, and only that one."""

    schemes: tuple[Hmac | Ed25519 | Rsa, ...]

    @property
    def headers(self) -> frozenset[str]:
        return _deciding(self)

    def _deciding(self) -> frozenset[str]:
        return frozenset().union(*(scheme.headers for scheme in self.schemes))

    def verify(self, inbound: Inbound, keys: Sequence[str], now: datetime) -> None:
        self._chosen(inbound).verify(inbound, keys, now)

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]:
        return self.schemes[-1].sign(inbound, key, now)

    def _chosen(self, inbound: Inbound) -> Hmac | Ed25519 | Rsa:
        for scheme in self.schemes:
            if inbound.headers.get(scheme.header):
                return scheme
        wanted = " or ".join(scheme.header for scheme in self.schemes)
        raise MissingHeader(f"the signature header {wanted} is missing", status=401)


@dataclass(frozen=True, slots=True)
class StandardWebhooks:
    """Standard Webhooks: v1 (HMAC-SHA256) and v1a (Ed25519), under its own header names and Svix's.

    A key is `whsec_` and base64 for v1 (the prefix may be left out), `whpk_` and base64 for v1a. With
    `plain`, a key without a prefix is taken as it stands: some senders sign with the text itself.
    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """

    families: tuple[str, ...] = ("webhook", "svix")
    tolerance: timedelta = timedelta(minutes=5)
    plain: bool = False

    @property
    def headers(self) -> frozenset[str]:
        ends = ("id", "timestamp", "signature")
        return frozenset(f"{family}-{end}" for family in self.families for end in ends)

    def verify(self, inbound: Inbound, keys: Sequence[str], now: datetime) -> None:
        family = self._family(inbound)
        text = inbound.headers[f"{family}-signature"]
        name, stamp = inbound.header(f"{family}-id"), inbound.header(f"{family}-timestamp")
        message = b"%b.%b.%b" % (_octets(name), _octets(stamp), inbound.body)
        known = [_standard_key(key, self.plain) for key in keys]
        versions = {version for version, _ in known}
        tried = 0
        fits = False
        for one in text.split(" ")[:8]:
            version, _, value = one.partition(",")
            if version not in versions:
                continue
            try:
                given = decode(value, "base64")
            except ValueError:
                continue
            tried += 1
            for kind, key in known:
                if kind == version:
                    fits |= _standard_fits(kind, key, given, message)
        if not fits:
            wanted = " or ".join(sorted(versions))
            why = f"fits none of {len(keys)} configured secrets" if tried else f"has no readable {wanted} signature"
            raise BadSignature(f"{family}-signature {why}")
        sent = moment(stamp)
        if abs(now - sent) > self.tolerance:
            when = "too old" if sent < now else "in the future"
            raise Stale(f"signed at {sent:%Y-%m-%dT%H:%M:%SZ}, it is {now:%Y-%m-%dT%H:%M:%SZ}: {when}")

    def sign(self, inbound: Inbound, key: str, now: datetime) -> Mapping[str, str]:
        family = self.families[0]
        name = inbound.headers.get(f"{family}-id") or "msg_" + hashlib.sha256(inbound.body).hexdigest()[:24]
        return standard_headers([key], name, now, inbound.body, family=family, plain=self.plain)

    def _family(self, inbound: Inbound) -> str:
        # The first family of which anything came decides: the id of one family beside the signature of
        # the other would be taken for signed, and is not.
        ends = ("id", "timestamp", "signature")
        came = (f for f in self.families if any(inbound.headers.get(f"{f}-{end}") for end in ends))
        family = next(came, self.families[0])
        if not inbound.headers.get(f"{family}-signature"):
            raise MissingHeader(f"the signature header {family}-signature is missing", status=401)
        return family


def _standard_key(key: str, plain: bool = False) -> tuple[str, bytes]:
    for prefix, version in (("whpk_", "v1a"), ("whsk_", "v1a"), ("whsec_", "v1")):
        if key.startswith(prefix):
            return version, decode(key.removeprefix(prefix), "base64")
    return "v1", key.encode() if plain else decode(key, "base64")


def _standard_fits(version: str, key: bytes, given: bytes, message: bytes) -> bool:
    if version == "v1":
        return hmac.compare_digest(hmac.digest(key, message, "sha256"), given)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(given, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def standard_headers(
    keys: Sequence[str], name: str, now: datetime, body: bytes, *, family: str = "webhook", plain: bool = False
) -> Mapping[str, str]:
    """The three headers of Standard Webhooks over exactly these bytes, one signature for each key.

    A key is `whsec_…` (v1) or `whsk_…` (v1a, the 32 byte seed, or seed and public key together).
    """
    stamp = str(int(now.timestamp()))
    message = b"%b.%b.%b" % (name.encode(), stamp.encode(), body)
    signatures = []
    for key in keys:
        version, raw = _standard_key(key, plain)
        if version == "v1":
            made = hmac.digest(raw, message, "sha256")
        else:
            made = Ed25519PrivateKey.from_private_bytes(raw[:32]).sign(message)
        signatures.append(f"{version},{base64.b64encode(made).decode()}")
    return {
        f"{family}-id": name,
        f"{family}-timestamp": stamp,
        f"{family}-signature": " ".join(signatures),
    }


def standard_fault(key: str, *, signs: bool) -> str:
    """What is wrong with a Standard Webhooks key, in words; empty where nothing is."""
    if signs and key.startswith("whpk_"):
        return "whpk_ is a public key and cannot sign; give the whsk_ or whsec_ key"
    if not signs and key.startswith("whsk_"):
        return "whsk_ is a private key; to verify, give the whpk_ key"
    try:
        version, raw = _standard_key(key)
    except ValueError:
        return "is not whsec_, whsk_ or whpk_ followed by base64"
    if version == "v1" and not 16 <= len(raw) <= 75:
        return f"has {len(raw)} bytes; a Standard Webhooks secret has 24 to 64"
    if version == "v1a" and len(raw) not in ((32, 64) if signs else (32,)):
        return f"has {len(raw)} bytes; an Ed25519 key has 32"
    return ""
