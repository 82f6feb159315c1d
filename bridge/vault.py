"""Encryption at rest, with key rotation: what is worth something to whoever reads the database is sealed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bridge.kit.errors import Sealed

#: So that a key used elsewhere too opens nothing here.
PURPOSE = b"loyalty-bridge vault 1"


class Vault:
    """Seals with the newest of `BRIDGE_SECRET_KEY`, and opens with any of them."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._box = MultiFernet([Fernet(_key(key)) for key in keys]) if keys else None

    def seal(self, value: Any) -> str:
        """A JSON value as text that only the key opens."""
        return self._open_box().encrypt(json.dumps(value).encode()).decode()

    def open(self, sealed: str) -> Any:
        """What was sealed. Under a key that is gone: `Sealed`."""
        try:
            return json.loads(self._open_box().decrypt(sealed.encode()))
        except InvalidToken:
            raise Sealed("none of the keys in BRIDGE_SECRET_KEY opens it; was an old one taken away?") from None

    def reseal(self, sealed: str) -> str:
        """The same under the newest key. Under a key that is gone: `Sealed`."""
        try:
            return self._open_box().rotate(sealed.encode()).decode()
        except InvalidToken:
            raise Sealed("none of the keys in BRIDGE_SECRET_KEY opens it; was an old one taken away?") from None

    def _open_box(self) -> MultiFernet:
        if self._box is None:
            raise Sealed("BRIDGE_SECRET_KEY is not set; `loyalty-bridge key` prints one")
        return self._box

    def __repr__(self) -> str:
        return "Vault()"


def _key(secret: str) -> bytes:
    """A Fernet key from whatever text the operator chose: the same text gives the same key for ever."""
    return base64.urlsafe_b64encode(hmac.digest(secret.encode(), PURPOSE, hashlib.sha256))
