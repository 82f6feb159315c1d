"""A third party that says its lines: drives a talk by hand, without a network."""

from __future__ import annotations

from typing import TypeVar

from bridge.kit import Request, Response, Talk

T = TypeVar("T")


def play(talk: Talk[T], *answers: Response) -> tuple[T, list[Request]]:
    """What the talk learned, and what it asked. It must ask exactly as often as it is answered."""
    asked: list[Request] = []
    waiting = list(answers)
    try:
        request = next(talk)
        while True:
            asked.append(request)
            assert waiting, f"asked once more than it was answered: {request.method} {request.url}"
            request = talk.send(waiting.pop(0))
    except StopIteration as stop:
        assert not waiting, f"{len(waiting)} answers were never asked for"
        return stop.value, asked
