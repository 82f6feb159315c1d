"""The table that the fault matrix prints when all is over."""

from __future__ import annotations

from typing import TypeAlias

import pytest

#: By block, row and column: how a cell has ended.
Cells: TypeAlias = dict[str, dict[str, dict[str, str]]]

CELLS = pytest.StashKey[Cells]()

LEGEND = """
A cell: what is delivered, held, failed when nothing moves by itself any more, p: the target is paused / calls.
Then a person comes. *: not everybody has got it, which everybody can see. !: wrong.
< before it took effect, > after. death: under way (go), in doubt about a call that was lost (lost) or that was
not (took), or while what was accepted is awaited (wait); at the question or at the call that gives."""


@pytest.fixture
def cells(request: pytest.FixtureRequest) -> Cells:
    return request.config.stash.setdefault(CELLS, {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    cells = config.stash.get(CELLS, None)
    if not cells:
        return
    terminalreporter.section("the fault matrix")
    for block, rows in cells.items():
        if not rows:
            continue
        columns = list(dict.fromkeys(name for row in rows.values() for name in row))
        first = max(len(block), *map(len, rows))
        widths = [max(len(name), *(len(row.get(name, "")) for row in rows.values())) for name in columns]
        terminalreporter.line("")
        for title, row in ((block, {name: name for name in columns}), *rows.items()):
            told = (row.get(name, "-").ljust(width) for name, width in zip(columns, widths, strict=True))
            terminalreporter.line(f"{title:{first}}  {' '.join(told)}".rstrip())
    terminalreporter.line(LEGEND)
