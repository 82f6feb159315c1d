"""
What can go wrong.

BridgeError
├─ ConfigError              we refuse to start; every fault with its file, line and remedy
├─ Rejected                 an inbound request is refused; carries the status we answer
│  ├─ UnknownSource         404
│  ├─ MethodNotAllowed      405
│  ├─ TooLarge              413
│  ├─ UnsupportedMediaType  415
│  ├─ MissingHeader         400  (401 where the missing header is the signature)
│  ├─ DuplicateHeader       400
│  ├─ BadPayload            400
│  └─ BadSignature          401
│     └─ Stale              401  signed, but too old or from the future
├─ Unavailable              a third party did not answer as documented; worth trying again
├─ Unreadable               a signed delivery that its provider cannot read
├─ ExpressionError          an expression cannot be compiled, or cannot be evaluated over these facts
├─ Sealed                   what is encrypted at rest cannot be opened with the keys there are
└─ StoreError
   ├─ NotFound              there is no such thing; says what it looked for
   ├─ Conflict              the thing is not in a state that allows this
   └─ Busy                  the queue in front of the writer is full

The class says who must act: `ConfigError` the installer, `Rejected` the sender, `Unavailable` the clock,
`Unreadable` us,
`Sealed` whoever has the keys, `StoreError` the caller. The docstring is the default message.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence


class BridgeError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "") -> None:
        self.message = message or inspect.cleandoc(self.__doc__ or "")
        super().__init__(self.message)


class ConfigError(BridgeError):
    """The configuration has faults."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class Rejected(BridgeError):
    """The request was refused."""

    status = 400

    def __init__(self, message: str = "", *, status: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status

    @property
    def reason(self) -> str:
        """The class name in snake case: what the sender is told, what the counter is called."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()


class UnknownSource(Rejected):
    """There is no such source in bridge.toml."""

    status = 404


class MethodNotAllowed(Rejected):
    """A webhook is a POST; a GET is answered only where the source has a handshake."""

    status = 405


class TooLarge(Rejected):
    """The body is larger than this bridge reads."""

    status = 413


class UnsupportedMediaType(Rejected):
    """The body is not of a type this source sends."""

    status = 415


class MissingHeader(Rejected):
    """A header that this source always sends is missing."""


class DuplicateHeader(Rejected):
    """A header that decides about trust came more than once."""


class BadPayload(Rejected):
    """The request could not be read before it could be verified."""


class BadSignature(Rejected):
    """The signature fits none of the configured secrets."""

    status = 401


class Stale(BadSignature):
    """The signature is right, but its time is too old or in the future."""


class Unavailable(BridgeError):
    """A third party did not answer as documented."""


class Unreadable(BridgeError):
    """The delivery is signed, but its provider cannot read it."""


class ExpressionError(BridgeError):
    """The expression cannot be compiled or evaluated."""


class Sealed(BridgeError):
    """What is encrypted at rest cannot be opened."""


class StoreError(BridgeError):
    """The store refused."""


class NotFound(StoreError):
    """There is no such thing."""


class Conflict(StoreError):
    """The thing is not in a state that allows this."""


class Busy(StoreError):
    """Too much is waiting to be written."""
