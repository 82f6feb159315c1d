"""The progress bar of long work: on a terminal, on stderr, gone when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .words import console


@contextmanager
def bar(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar of `total` steps, or none where there is no terminal or nothing to show. Yields what counts a step."""
    screen = console(err=True)
    if not total or not screen.is_terminal:
        yield lambda count=1: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count=1: progress.advance(task, count)
