"""The states of everything that has one, and the arrows between them.

One enum and one table per machine: two `StrEnum` members with the same text are equal, and in one
common table they would share a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class DeliveryState(StrEnum):
    PROCESSED = "processed"  # what follows from it is in the store
    IGNORED = "ignored"  # signed and read, but nothing in it counts; the reason says why
    FAILED = "failed"  # signed, but unreadable: acknowledged, kept byte for byte, replayable


class EvidenceState(StrEnum):
    CONSIDERED = "considered"  # the rules have spoken
    WAITING = "waiting"  # nobody has linked the account yet, or the directory lacks the customer
    UNJUDGED = "unjudged"  # a condition could not be evaluated; the reason names rule and fault


class ForwardState(StrEnum):
    PENDING = "pending"  # due now or later, the first time or again
    ACCEPTED = "accepted"  # an asynchronous target took it; its reward is not seen yet
    DELIVERED = "delivered"  # the target has it
    FAILED = "failed"  # will not be tried again by itself
    HELD = "held"  # a person decides
    CANCELLED = "cancelled"  # withdrawn


class ClaimState(StrEnum):
    OPEN = "open"  # a ticket was bound to a browser; nobody has signed in yet
    CHECKING = "checking"  # an account is connected; the source is asked about it
    REVIEW = "review"  # proved, and a person decides
    VERIFIED = "verified"  # proved
    REJECTED = "rejected"  # a person has said no
    EXPIRED = "expired"  # the time to prove it is over


D, E, F, C = DeliveryState, EvidenceState, ForwardState, ClaimState

DELIVERY: Mapping[DeliveryState, frozenset[DeliveryState]] = {
    D.FAILED: frozenset({D.PROCESSED, D.IGNORED}),  # replayed after the fix
    D.IGNORED: frozenset({D.PROCESSED}),  # replayed after the provider learned to read it
    D.PROCESSED: frozenset(),
}

EVIDENCE: Mapping[EvidenceState, frozenset[EvidenceState]] = {
    E.WAITING: frozenset({E.CONSIDERED, E.UNJUDGED}),  # the account was linked
    E.UNJUDGED: frozenset({E.CONSIDERED, E.WAITING}),  # replayed, or the rule was mended
    E.CONSIDERED: frozenset({E.UNJUDGED}),  # considered again under a rule that cannot judge it
}

FORWARD: Mapping[ForwardState, frozenset[ForwardState]] = {
    F.PENDING: frozenset(
        {
            F.DELIVERED,  # done, or the target shows that it already has ours
            F.ACCEPTED,  # taken, not yet granted
            F.FAILED,  # refused, or the schedule is used up
            F.HELD,  # unclear and nobody can tell; or an operator holds it
            F.CANCELLED,  # withdrawn before it left
        }
    ),
    F.ACCEPTED: frozenset(
        {
            F.DELIVERED,  # confirmed by the target's own record
            F.FAILED,  # never granted: not eligible
            F.HELD,  # nobody can tell whether it was granted
        }
    ),
    F.HELD: frozenset(
        {
            F.PENDING,  # released: asks the target first where an earlier try may have arrived
            F.DELIVERED,  # an operator has seen that the reward exists
            F.CANCELLED,  # withdrawn
        }
    ),
    F.FAILED: frozenset(
        {
            F.PENDING,  # replayed
            F.DELIVERED,  # an operator has seen that the reward exists
            F.CANCELLED,  # withdrawn
        }
    ),
    F.DELIVERED: frozenset(),
    F.CANCELLED: frozenset({F.DELIVERED}),  # a late answer shows that it had arrived after all
}

CLAIM: Mapping[ClaimState, frozenset[ClaimState]] = {
    C.OPEN: frozenset({C.CHECKING, C.EXPIRED}),  # the customer has signed in, or has let it be
    C.CHECKING: frozenset(
        {
            C.VERIFIED,  # the source says so, by its webhook or when it is asked
            C.REVIEW,  # the same, and something about it is doubtful or the rule always wants a look
            C.EXPIRED,  # it never did
        }
    ),
    C.REVIEW: frozenset({C.VERIFIED, C.REJECTED}),  # approved, refused
    C.VERIFIED: frozenset(),
    C.REJECTED: frozenset(),
    C.EXPIRED: frozenset(),
}


def before(state: ForwardState) -> tuple[ForwardState, ...]:
    """The states from which a forward may become `state`."""
    return tuple(start for start, ends in FORWARD.items() if state in ends)
