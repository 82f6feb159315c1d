"""Conditions and computed values: CEL, typed when the configuration is read, evaluated over facts.

The language is the Common Expression Language with three functions more: `least(a, b)`, `most(a, b)` and
`lower(s)`. Compiling checks every name and type; evaluating never guesses: an absent fact, a division
by zero or a result that is not a finite number is an `ExpressionError`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from cel_expr_python import cel

from .errors import ExpressionError

FactType = Literal["string", "double", "int", "bool", "timestamp", "list", "map", "any"]

TYPES: Mapping[FactType, Any] = {
    "string": cel.Type.STRING,
    "double": cel.Type.DOUBLE,
    "int": cel.Type.INT,
    "bool": cel.Type.BOOL,
    "timestamp": cel.Type.TIMESTAMP,
    "list": cel.Type.List(cel.Type.STRING),
    "map": cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    "any": cel.Type.DYN,
}

#: An expression is written by a person in one line of a file.
LONGEST = 2000


def _both(name: str, chosen: Any) -> Any:
    kinds = (("double", cel.Type.DOUBLE), ("int", cel.Type.INT))
    return cel.FunctionDecl(
        name,
        [
            cel.Overload(id=f"{name}_{kind}", return_type=type_, parameters=[type_, type_], impl=chosen)
            for kind, type_ in kinds
        ],
    )


FUNCTIONS = [
    _both("least", min),
    _both("most", max),
    cel.FunctionDecl(
        "lower",
        [
            cel.Overload(
                id="lower_string",
                return_type=cel.Type.STRING,
                parameters=[cel.Type.STRING],
                impl=lambda text: text.lower(),
            )
        ],
    ),
]


@lru_cache(maxsize=256)
def _environment(facts: tuple[tuple[str, FactType], ...]) -> Any:
    return cel.NewEnv(variables={name: TYPES[kind] for name, kind in facts}, functions=FUNCTIONS)


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    type: str  # bool, double, int, string, timestamp, list, map, any
    names: tuple[str, ...]  # the facts it mentions
    program: Any
    fact: str = ""  # where it is a fact's name and nothing else

    def __call__(self, facts: Mapping[str, Any]) -> Any:
        """The value over these facts: bool, int, finite float, str, datetime, list or dict."""
        if self.fact and self.fact in facts:
            return facts[self.fact]  # as it stands
        try:
            result = self.program.eval(data={name: facts[name] for name in self.names if name in facts})
            value = result.plain_value()
            failed = isinstance(value, str) and result.type() == cel.Type.ERROR  # an error's value is its text
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            raise ExpressionError(f"{self.text}: {_plain(str(error))}") from None
        if failed:
            raise ExpressionError(f"{self.text}: {_plain(str(value))}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ExpressionError(f"{self.text}: the result is not a finite number")
        return value


def compile(text: str, facts: Mapping[str, FactType], *, wants: tuple[str, ...] = ()) -> Expression:
    """Compile over facts of these types. `wants`: the result types allowed; empty allows all.

    Faults are `ExpressionError`s that say what would be right.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"an expression has at most {LONGEST} characters, this one has {len(text)}")
    try:
        program = _environment(tuple(sorted(facts.items()))).compile(text)
    except (RuntimeError, ValueError) as error:
        raise ExpressionError(_hint(str(error), text, facts)) from None
    kind = _kind(program.return_type())
    if wants and kind not in wants and kind != "any":
        raise ExpressionError(f"{text}: is a {kind}, and a {' or '.join(wants)} is needed here")
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))
    names = tuple(name for name in facts if name in words)
    return Expression(text, kind, names, program, fact=text if names == (text,) else "")


def _kind(type_: Any) -> str:
    name = type_.name() if hasattr(type_, "name") else str(type_)
    name = str(name).lower()
    return {"dyn": "any", "uint": "int"}.get(name, name.partition("<")[0])


def _plain(text: str) -> str:
    """The library's message without its status codes and source picture."""
    first = text.partition("\n")[0]
    first = re.sub(r"\s*\[[A-Z_]+\]$", "", first)
    first = re.sub(r"^(?:[A-Z_]+: )+", "", first)
    return re.sub(r"^ERROR: ", "", first)


def _hint(message: str, text: str, facts: Mapping[str, FactType]) -> str:
    plain = _plain(message)
    where = re.match(r"<input>:\d+:(\d+): (.*)", plain)
    said = f"{where[2]} (column {where[1]})" if where else plain
    if unknown := re.search(r"undeclared reference to '([^']+)'", plain):
        import difflib

        known = sorted([*facts, "least", "most", "lower"])
        close = difflib.get_close_matches(unknown[1], known, n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        return f"{text}: there is no fact {unknown[1]}{meant} Known here: {', '.join(sorted(facts)) or 'none'}"
    if "(double, int)" in plain or "(int, double)" in plain:
        return f"{text}: {said}. Amounts are doubles: write 50.0, not 50"
    return f"{text}: {said}"
