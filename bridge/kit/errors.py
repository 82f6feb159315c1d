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
├─ FlowError                a customer's connect flow stopped; the class has its own page with the next step
│  ├─ BadTicket             the link is not what a shop signs: not UTF-8, a control character, no time in expires
│  │  ├─ RepeatedField      a field came twice: which of the two was meant?
│  │  ├─ EmptyCustomer      it names no customer
│  │  ├─ TooLong            a field, or all of it, is longer than any shop's
│  │  ├─ ForgedTicket       the signature is missing or fits none of the secrets
│  │  └─ ExpiredTicket      signed, and over
│  ├─ NotSignedIn           the shop says that nobody is signed in there
│  ├─ StateMismatch         the way back is not the way out: foreign, used, expired, or from another browser
│  ├─ IssuerMismatch        the answer comes from another platform than the one that was asked
│  ├─ ConsentDenied         the customer said no
│  ├─ ScopesMissing         the customer said yes to too little
│  ├─ SignInRefused         the platform took the code or its own word back: begin again
│  ├─ Disconnected          the platform ended the permission: connect again
│  ├─ HomeUnknown           what the customer typed is no server or handle
│  └─ ClaimExpired          the time to prove it is over
├─ Unavailable              a third party did not answer as documented; worth trying again
│  └─ Misconfigured         a platform refuses this application itself: nothing helps until somebody mends it
├─ Unreadable               a signed delivery that its provider cannot read
├─ ExpressionError          an expression cannot be compiled, or cannot be evaluated over these facts
├─ Sealed                   what is encrypted at rest cannot be opened with the keys there are
└─ StoreError
   ├─ NotFound              there is no such thing; says what it looked for
   ├─ Conflict              the thing is not in a state that allows this
   └─ Busy                  the queue in front of the writer is full

The class says who must act: `ConfigError` the installer, `Rejected` the sender, `FlowError` the customer,
`Unavailable` the clock, `Misconfigured` the operator, `Unreadable` us, `Sealed` whoever has the keys, `StoreError`
the caller. The docstring is the default message.
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


def _snake(error: BridgeError) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()


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
        return _snake(self)


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


class FlowError(BridgeError):
    """The connect flow stopped."""

    status = 400

    @property
    def reason(self) -> str:
        """The class name in snake case: the page's name, the audit's word, the counter's label."""
        return _snake(self)


class BadTicket(FlowError):
    """This link is not one that the shop has made: follow it from the shop again."""


class RepeatedField(BadTicket):
    """A field of the link came more than once; each may stand in it once."""


class EmptyCustomer(BadTicket):
    """The link names no customer; the shop signs one for whoever is signed in."""


class TooLong(BadTicket):
    """The link is longer than a ticket can be."""


class ForgedTicket(BadTicket):
    """Nobody here has signed this link as it stands: follow it from the shop again."""

    status = 403


class ExpiredTicket(BadTicket):
    """This link was good until a time that is over: follow a fresh one from the shop."""

    status = 410


class NotSignedIn(FlowError):
    """Nobody is signed in at the shop: sign in there, then follow the link again."""

    status = 403


class StateMismatch(FlowError):
    """This is not the way back of a sign-in that was begun in this browser: begin again from the shop."""

    status = 403


class IssuerMismatch(FlowError):
    """The answer comes from another platform than the one that was asked: begin again."""

    status = 403


class ConsentDenied(FlowError):
    """The sign-in was cancelled at the platform: nothing was read, and it can be begun again."""


class ScopesMissing(FlowError):
    """The platform was allowed to tell less than the proof needs: begin again and leave everything ticked."""

    def __init__(self, missing: Sequence[str] = (), message: str = "") -> None:
        self.missing = tuple(missing)
        super().__init__(message)


class SignInRefused(FlowError):
    """The platform did not complete the sign-in: begin again."""


class Disconnected(FlowError):
    """The platform no longer lets us ask: connect the account again."""


class HomeUnknown(FlowError):
    """This is no server or handle that can be signed in at."""


class ClaimExpired(FlowError):
    """The time to prove it is over."""

    status = 410


class Unavailable(BridgeError):
    """A third party did not answer as documented."""


class Misconfigured(Unavailable):
    """The platform refuses this application: look at its credentials, its redirect address and its approval."""


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
