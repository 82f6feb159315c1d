"""Secrets: never in the file. `env:NAME` reads the environment, `file:/run/secrets/name` a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .reader import Document, Path_

#: What people write where a secret should be, and nobody meant as one.
HOLLOW = {"changeme", "change-me", "change_me", "secret", "password", "test", "xxx", "todo", "none", "null"}


def resolve(value: object, document: Document, at: Path_, environ: Mapping[str, str], what: str) -> str:
    """The secret that `value` names; an empty text where there is none, which is a fault and is noted as one."""
    if not isinstance(value, str) or not value.startswith(("env:", "file:")):
        name = "_".join(str(part) for part in at if isinstance(part, str)).upper().replace("-", "_")
        document.fault(
            at, f'{what} stands in the file; secrets never do. Write "env:{name}" or "file:/run/secrets/{name.lower()}"'
        )
        return ""
    kind, _, name = value.partition(":")
    if kind == "env":
        found = environ.get(name, "")
        if not found:
            state = "is empty" if name in environ else "is not set"
            document.fault(at, f"{what} is read from the environment variable {name}, which {state}")
            return ""
    else:
        try:
            found = Path(name).read_text("utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            document.fault(at, f"{what} is read from the file {name}, which cannot be read: {reason}")
            return ""
        if not found:
            document.fault(at, f"{what} is read from the file {name}, which is empty")
            return ""
    if not found.strip() or found.strip().lower() in HOLLOW:
        document.fault(at, f"{what} ({value}) is not a secret; anybody could guess it")
        return ""
    return found


def resolve_all(value: object, document: Document, at: Path_, environ: Mapping[str, str], what: str) -> tuple[str, ...]:
    """One secret or a list of them, newest first."""
    given = value if isinstance(value, list) else [value]
    if not given:
        document.fault(at, f'{what} is an empty list; write ["env:NAME"]')
    return tuple(found for one in given if (found := resolve(one, document, at, environ, what)))
