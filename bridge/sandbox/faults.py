"""Misbehaviour on request: what a loyalty API, a platform or the network between does on a bad day.

A fault says whether the request took effect before it went wrong, because that is the difference a
caller cannot see and must not guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

Kind = Literal[
    "slow",  # takes effect, answers `seconds` later: the caller's timeout may come first
    "slow_before",  # waits `seconds`, then takes effect and answers
    "drop_before",  # the connection closes without an answer; nothing happened
    "drop_after",  # takes effect; the connection closes without an answer
    "cut",  # takes effect; the answer breaks off in its middle
    "500_before",  # nothing happened
    "500_after",  # takes effect, says that it did not
    "503",  # nothing happened; Retry-After where `retry_after` is given
    "429",  # nothing happened; Retry-After where `retry_after` is given
    "html",  # 200 and a page: a firewall or a portal answers in the vendor's place; nothing happened
    "html_503",  # 503 and a page, as load balancers write it; nothing happened
    "redirect",  # 302 to another host; nothing happened
    "wrong_json",  # takes effect; 200 and JSON of a shape that no documentation knows
    "revoked",  # 401: the key is no longer good; nothing happened
    "says",  # exactly `status` and `body`; nothing happened
]
On = Literal["all", "writes", "reads"]

KINDS: tuple[Kind, ...] = get_args(Kind)
ONS: tuple[On, ...] = get_args(On)
READS = frozenset({"GET", "HEAD", "OPTIONS"})

#: A page of somebody who stands between caller and vendor.
PAGE = b"<!doctype html><title>Just a moment</title><h1>Checking your browser</h1>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to go wrong, and for how many requests."""

    kind: Kind
    times: int | None = 1  # None: until it is lifted
    on: On = "all"
    path: str = ""  # only requests whose path begins so
    seconds: float = 0.0
    retry_after: int | None = None
    status: int = 500
    body: Any = None

    def meets(self, method: str, path: str) -> bool:
        return path.startswith(self.path) and (self.on == "all" or (method in READS) == (self.on == "reads"))


def read(given: object) -> Fault:
    """A fault as JSON: `{"kind": "503", "times": null, "on": "writes"}`. Anything else: `ValueError`."""
    if not isinstance(given, Mapping):
        raise ValueError("a fault is a JSON object")
    known = set(Fault.__dataclass_fields__)
    if unknown := sorted(set(given) - known):
        raise ValueError(f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    if given.get("kind") not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}")
    if given.get("on", "all") not in ONS:
        raise ValueError(f"on is one of {', '.join(ONS)}")
    if not isinstance(given.get("path", ""), str):
        raise ValueError("path is how a request's path begins")
    if not (given.get("times", 1) is None or _counts(given.get("times", 1))):
        raise ValueError("times is a whole number from 1, or null until the fault is lifted")
    if not isinstance(given.get("seconds", 0), int | float) or not 0 <= given.get("seconds", 0) <= 600:
        raise ValueError("seconds is a number from 0 to 600")
    if not (given.get("retry_after") is None or _counts(given["retry_after"])):
        raise ValueError("retry_after is a whole number of seconds")
    if not (_counts(given.get("status", 500)) and 200 <= given.get("status", 500) <= 599):
        raise ValueError("status is an HTTP status from 200 to 599")
    return Fault(**given)


def _counts(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class Faults:
    """The faults that wait for requests. Those with a number of times come before those that stay."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def arm(self, kind: Kind, **more: Any) -> None:
        self.add(read({"kind": kind, **more}))

    def add(self, fault: Fault) -> None:
        self._waiting.append(fault)

    def lift(self) -> None:
        """From now on everything works again."""
        self._waiting.clear()

    def take(self, method: str, path: str = "/") -> Fault | None:
        """The fault that this request meets, counted down."""
        fitting = [at for at, fault in enumerate(self._waiting) if fault.meets(method, path)]
        if not fitting:
            return None
        at = next((one for one in fitting if self._waiting[one].times is not None), fitting[0])
        fault = self._waiting[at]
        if fault.times == 1:
            del self._waiting[at]
        elif fault.times is not None:
            self._waiting[at] = replace(fault, times=fault.times - 1)
        return fault

    def __iter__(self) -> Any:
        return iter(tuple(self._waiting))

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._waiting]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as a value; `None` stands for no answer at all."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    whole: bool = True  # False: breaks off in the middle


def instead(fault: Fault, error: Callable[[int], Any], encode: Callable[[Any], bytes]) -> Answer | None:
    """What is answered in the place of the vendor's own answer. `error` is the vendor's error body."""

    def json(status: int, said: Any, *more: tuple[bytes, bytes]) -> Answer:
        return Answer(status, ((b"content-type", b"application/json; charset=utf-8"), *more), encode(said))

    later = ((b"retry-after", str(fault.retry_after).encode()),) if fault.retry_after else ()
    match fault.kind:
        case "500_before" | "500_after":
            return json(500, error(500))
        case "503":
            return json(503, error(503), *later)
        case "429":
            return json(429, error(429), *later)
        case "revoked":
            return json(401, error(401))
        case "says":
            return json(fault.status, fault.body, *later)
        case "wrong_json":
            return json(200, ["ok", {"result": {"status": "perhaps"}}])
        case "html":
            return Answer(200, ((b"content-type", b"text/html; charset=utf-8"),), PAGE)
        case "html_503":
            return Answer(503, ((b"content-type", b"text/html; charset=utf-8"), *later), PAGE)
        case "redirect":
            return Answer(302, ((b"location", b"https://login.invalid/"), (b"content-type", b"text/plain")), b"")
    return None


#: The faults whose request takes effect first.
AFTER: frozenset[Kind] = frozenset({"slow", "slow_before", "drop_after", "cut", "500_after", "wrong_json"})
