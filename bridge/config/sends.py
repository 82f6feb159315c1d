"""`send` tables of a rule: where to, with what, and what becomes of the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bridge.kit import ExpressionError, Target
from bridge.kit.expressions import Expression, compile
from bridge.kit.fields import Option

from .model import Send, TargetTable, Tell
from .reader import Document, Path_

#: The keys of a send that are not the target's options.
KEYS = {"to", "id", "show", "tell"}
#: How the ledger names the send that passes an answer on: the send's own id and this.
TOLD = ".tell"


def read(
    document: Document, table: Mapping[str, Any], at: Path_, targets: Mapping[str, TargetTable]
) -> tuple[Send, ...]:
    given = table.get("send")
    tables = given if isinstance(given, list) else [given] if isinstance(given, dict) else []
    if not tables:
        document.fault((*at, "send"), 'a rule needs send = { to = "target", ... }, or several [[rule.send]]')
    sends: list[Send] = []
    for number, one in enumerate(tables):
        place = (*at, "send", number) if isinstance(given, list) else (*at, "send")
        to = document.text(one, place, "to")
        if to not in targets and to in written(document, "target"):
            continue  # its own faults have been told
        if to not in targets:
            known = ", ".join(targets) or "none yet"
            document.fault((*place, "to"), f"there is no [target.{to or '?'}]; there are: {known}")
            continue
        provider = targets[to].provider
        options = _options(document, one, place, to, provider)
        if provider.fault and (said := provider.fault(options)):
            document.fault(place, f"a send to {to} {said}")
        send = Send(
            id=document.text(one, place, "id") or to,
            to=to,
            options=options,
            show=_show(document, one, place, provider),
            tell=_tell(document, one, place, targets, provider),
        )
        if send.id.endswith(TOLD):
            document.fault((*place, "id"), f"{send.id} ends as the ledger names what `tell` passes on; choose another")
        if any(send.id == other.id for other in sends):
            document.fault(
                place, f"two sends of this rule go to {to}; give each an id of its own: it counts in the ledger"
            )
        sends.append(send)
    return tuple(sends)


def _options(document: Document, table: Mapping[str, Any], place: Path_, to: str, provider: Target) -> dict[str, Any]:
    """What of a table goes to the target, with defaults for what is not said."""
    options = {key: value for key, value in table.items() if key not in KEYS}
    document.known(options, place, (option.name for option in provider.options), what=f"a send to {to}")
    for option in provider.options:
        if option.name not in options:
            if option.required:
                document.fault(place, f"a send to {to} needs {option.name}: {option.meaning}")
            elif option.default is not None:
                options[option.name] = option.default
    return options


def _show(document: Document, table: Mapping[str, Any], place: Path_, provider: Target) -> tuple[str, ...]:
    """`show`: fields of the target's answer for the customer's own page."""
    names = tuple(document.texts(table, place, "show")) if "show" in table else ()
    known = [fact.name for fact in provider.shows]
    for name in names:
        if name not in known:
            what = f"answers with {', '.join(known)}" if known else "answers with nothing that could be shown"
            document.fault((*place, "show"), f"{provider.title} {what}; not {name}")
    return names


def _tell(
    document: Document, table: Mapping[str, Any], place: Path_, targets: Mapping[str, TargetTable], provider: Target
) -> Tell | None:
    """`tell`: where the target's answer is passed on to, once."""
    given, at = table.get("tell"), (*place, "tell")
    if given is None:
        return None
    if not isinstance(given, dict):
        document.fault(at, 'tell is a table: tell = { to = "crm", data = { code = "=answer.code" } }')
        return None
    to = document.text(given, at, "to")
    if to not in targets:
        if to not in written(document, "target"):
            document.fault((*at, "to"), f"there is no [target.{to or '?'}]; there are: {', '.join(targets)}")
        return None
    if not provider.shows:
        document.fault(at, f"{provider.title} answers with nothing that could be passed on")
    if nested := sorted({"show", "tell", "id"} & set(given)):
        document.fault(at, f"{nested[0]} has no place in tell")
    return Tell(to=to, options=_options(document, given, at, to, targets[to].provider))


def check_tell(
    document: Document,
    place: Path_,
    name: str,
    send: Send,
    targets: Mapping[str, TargetTable],
    kinds: Mapping[str, Any],
) -> None:
    """Whether what `tell` computes can be computed: over `answer`, which is what the target said, and the facts."""
    if send.tell is None or send.tell.to not in targets:
        return
    at = (*place, "tell")
    compute(document, at, name, send.tell.options, targets[send.tell.to], {**kinds, "answer": "map"})
    known = {fact.name for fact in targets[send.to].provider.shows}
    for text in _expressions(send.tell.options):
        for field in re.findall(r"\banswer\.(\w+)", text):
            if field not in known:
                document.fault(at, f"{send.to} answers with {', '.join(sorted(known))}; not {field}")


def written(document: Document, kind: str) -> Mapping[str, Any]:
    """The tables of a kind as they stand in the file, right or wrong."""
    tables = document.values.get(kind)
    return tables if isinstance(tables, dict) else {}


def compute(
    document: Document,
    place: Path_,
    name: str,
    options: Mapping[str, Any],
    target: TargetTable,
    kinds: Mapping[str, Any],
) -> dict[str, Expression]:
    """Compile every `=` text of a send, and check its literals against the option's type and the target's ceiling."""
    compiled: dict[str, Expression] = {}
    for option in target.provider.options:
        if option.name not in options:
            continue
        value = options[option.name]
        top = isinstance(value, str) and value.startswith("=")
        for text in _expressions(value):
            try:
                wants = (option.kind,) if top and option.kind not in ("any", "map") else ()
                compiled[text] = compile(text[1:], kinds, wants=_wanted(wants))
            except ExpressionError as error:
                document.fault((*place, option.name), f"{option.name}, over the facts of {name}: {error.message}")
        if not top and (said := fault(option, value)):
            document.fault((*place, option.name), f"{option.name} {said}")
        elif not top and option.amount and target.most is not None and value > target.most:
            document.fault(
                (*place, option.name), f"{option.name} is at most {target.most:g}, by `most` of [target.{target.name}]"
            )
    return compiled


def _wanted(wants: tuple[str, ...]) -> tuple[str, ...]:
    return ("double", "int") if wants == ("double",) else wants


def _expressions(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("="):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _expressions(one)
    elif isinstance(value, list):
        for one in value:
            yield from _expressions(one)


def fault(option: Option, value: Any) -> str:
    """What is wrong with an option's value, in words; empty where nothing is."""
    right = {
        "string": isinstance(value, str),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "double": isinstance(value, int | float) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "map": isinstance(value, Mapping),
        "list": isinstance(value, list),
    }.get(option.kind, True)
    if not right:
        return f"is a {option.kind}, not {value!r}" + (f"; for example {option.example}" if option.example else "")
    if option.least is not None and isinstance(value, int | float) and value < option.least:
        return f"is at least {option.least:g}, not {value!r}"
    return ""
