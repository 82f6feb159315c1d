"""`try --save`: a recorded request as a test vector, with a signature of its own and without secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.config import SourceTable
from bridge.flows.rehearse import rehearse
from bridge.flows.scene import Scene
from bridge.kit import Inbound, Rejected, Stale

from .doors import Wrong

#: Sign what is kept; good for nothing else.
FIXED = ("a fixed key for tests", "whsec_YSBmaXhlZCBrZXkgZm9yIHRlc3RzIG9ubHkhISE=")


def vector(inbound: Inbound, source: SourceTable, scene: Scene, folder: Path, name: str) -> list[Path]:
    """Write NAME.http and NAME.json into a folder."""
    if not name.replace("-", "").replace("_", "").isalnum():
        raise Wrong(f"--save {name}: letters, digits, - and _")
    files = [folder / f"{name}.http", folder / f"{name}.json"]
    if there := [str(file) for file in files if file.exists()]:
        raise Wrong(f"{' and '.join(there)} exists already")
    now = scene.now
    key, headers = _signed(inbound, source, now)
    means = rehearse(replace(inbound, headers=headers), replace(source, secrets=(key,)), scene).means
    path = inbound.url.partition("://")[2].partition("/")[2]
    lines = [f"{inbound.method} /{path} HTTP/1.1", *(f"{one.title()}: {value}" for one, value in headers.items())]
    told = {"says": name.replace("-", " ").capitalize(), "now": now.isoformat().replace("+00:00", "Z")}
    settings = {source.provider.secrets: [key], **_plain(source)}
    folder.mkdir(parents=True, exist_ok=True)
    files[0].write_bytes("\n".join(lines).encode("latin-1") + b"\n\n" + inbound.body)
    words = json.dumps({**told, "settings": settings, **means}, indent=2, ensure_ascii=False, default=str)
    files[1].write_text(words + "\n", "utf-8")
    return files


def _signed(inbound: Inbound, source: SourceTable, now: datetime) -> tuple[str, dict[str, str]]:
    scheme = source.provider.scheme
    assert scheme is not None
    host = inbound.headers.get("host") or inbound.url.partition("://")[2].partition("/")[0]
    plain = replace(inbound, headers={**inbound.headers, "host": host})
    for key in FIXED:
        try:
            made = scheme.sign(plain, key, now)
            headers = {**plain.headers, **{name.lower(): value for name, value in made.items()}}
            scheme.verify(replace(plain, headers=headers), [key], now)
        except Stale:
            raise Wrong("the recording is too old for this clock; --now says when it was made") from None
        except (ValueError, Rejected):
            continue
        return key, headers
    raise Wrong(f"what {source.provider.title} sends cannot be signed anew here; write the vector by hand")


def _plain(source: SourceTable) -> dict[str, Any]:
    """The settings that a reader needs, without anything secret and without defaults."""
    return {
        one.name: source.settings[one.name]
        for one in source.provider.settings
        if one.kind not in ("secret", "secrets", "url") and source.settings.get(one.name) not in (None, "", one.default)
    }
