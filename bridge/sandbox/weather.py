"""The ways in which a loyalty API of the stage misbehaves when a visitor wants it to, and how it is just now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .acts import Act, Press
from .faults import Kind
from .loyalty import Api
from .stage import Played


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A way in which the chosen loyalty API misbehaves."""

    name: str
    button: str
    says: str
    kind: Kind
    more: Mapping[str, Any] = field(default_factory=dict)  # of the fault
    state: str  # how the API is then, in a word
    is_so: str  # and in a sentence that begins with its name


WAYS: Sequence[Bad] = (
    Bad(
        name="dropped",
        button="Hang up after doing the work",
        says="The next reward is granted, but the answer is lost. The bridge finds out; it does not try again blindly.",
        kind="drop_after",
        more={"on": "writes"},
        state="treacherous",
        is_so="will do the next call's work and hang up",
    ),
    Bad(
        name="broken",
        button="Say 500 after doing the work",
        says="The next reward is granted, and the answer says that it failed. Not to be believed either.",
        kind="500_after",
        more={"on": "writes"},
        state="lying",
        is_so="will do the next call's work and answer 500",
    ),
    Bad(
        name="slow",
        button="Answer slowly",
        says="Every reward takes five seconds to be answered. Nobody else waits for it.",
        kind="slow",
        more={"on": "writes", "times": None},
        state="slow",
        is_so="takes five seconds for every reward",
    ),
    Bad(
        name="throttled",
        button="Throttle the next call",
        says="429, with eight seconds in Retry-After. The call is tried again after that, and not before.",
        kind="429",
        more={"on": "writes", "retry_after": 8},
        state="busy",
        is_so="will answer the next call 429",
    ),
    Bad(
        name="down",
        button="Go down",
        says="Every call is answered 503. Forwards try again after five seconds, then a minute; nothing is lost.",
        kind="503",
        more={"times": None},
        state="down",
        is_so="answers 503 to everything",
    ),
    Bad(
        name="revoked",
        button="Revoke our key",
        says="401 to everything. The target is paused and says so once; make it well, then resume it.",
        kind="revoked",
        more={"times": None},
        state="closed",
        is_so="no longer knows our key",
    ),
)


def misbehaving(bad: Bad) -> Act:
    async def play(press: Press) -> Played:
        faults, more = press.api.stand_in.faults, dict(bad.more)
        if bad.kind == "slow":
            more["seconds"] = 5 * press.stage.pace
        faults.lift()
        faults.arm(bad.kind, **more)
        return press.stage.note(bad.name, f"{press.api.title} {bad.is_so}", None, note=bad.says)

    return Act(name=bad.name, group="api", button=bad.button, says=bad.says, play=play)


async def sale(press: Press) -> Played:
    api = press.stage.api("popsell")
    api.stand_in.faults.lift()
    api.stand_in.faults.arm("drop_after", on="writes")
    press.stage.community.sale = 7
    said = "The score then moves by more than the call adds, and nobody can tell from it whether the call arrived."
    return press.stage.note("sale", "Popsell will hang up once, while a sale moves the score", None, note=said)


async def up(press: Press) -> Played:
    press.api.stand_in.faults.lift()
    said = "Forwards that wait leave when they are due. If it is paused, somebody has to resume it."
    return press.stage.note("up", f"{press.api.title} is well again", None, note=said)


def now(api: Api) -> tuple[str, str]:
    """How a loyalty API is: in a word, and in a sentence that begins with its name."""
    armed = {fault.kind for fault in api.stand_in.faults}
    return next(((bad.state, bad.is_so) for bad in WAYS if bad.kind in armed), ("up", "answers as documented"))
