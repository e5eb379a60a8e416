"""Small pictures of numbers: where each stroke goes. Pure; templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

WIDTH, HEIGHT = 320.0, 84.0
_STEPS: Final = (1, 2, 5)


class Bar(NamedTuple):
    x: float
    y: float
    height: float
    value: int


class Line(NamedTuple):
    name: str
    #: Of its colour: one, two, three.
    colour: str
    path: str
    #: Down to the ground; "" when it is not to be filled.
    area: str


class Tick(NamedTuple):
    x: float
    at_ms: int


class Chart(NamedTuple):
    title: str
    lines: list[Line]
    #: What the top of it stands for.
    top: float
    ticks: list[Tick]
    #: The same in words.
    words: str


def bars(values: Sequence[int], *, height: float = 28.0, step: float = 5.0) -> list[Bar]:
    """One beside the other; something is never drawn as nothing."""
    top = max([*values, 1])
    found = []
    for number, value in enumerate(values):
        tall = max(1.5, value / top * height) if value else 0.0
        found.append(Bar(round(number * step, 2), round(height - tall, 2), round(tall, 2), value))
    return found


def ceiling(value: float) -> float:
    """The next number that is easy to say: 1, 2, 5, 10, 20 and so on."""
    size = 1.0 if value >= 1 else 0.001
    while True:
        for step in _STEPS:
            if value <= step * size:
                return step * size
        size *= 10


def line(
    name: str, colour: str, values: Sequence[float | None], *, top: float, filled: bool = False
) -> Line:
    """A line over equal steps; where nothing is known it has a gap."""
    across = WIDTH / max(1, len(values) - 1)
    pieces = []
    for number, value in enumerate(values):
        if value is None:
            continue
        x, y = round(number * across, 1), round(HEIGHT - min(value / top, 1.0) * HEIGHT, 1)
        begins = number == 0 or values[number - 1] is None
        pieces.append(f"{'M' if begins else 'L'}{x:g} {y:g}")
        if begins and (number + 1 == len(values) or values[number + 1] is None):
            pieces.append("h.01")  # alone between two gaps it is a dot
    path = "".join(pieces)
    area = f"{path}L{WIDTH:g} {HEIGHT:g}L0 {HEIGHT:g}Z" if filled and path else ""
    return Line(name, colour, path, area)


def ticks(start_ms: int, end_ms: int, step_ms: int, *, offset_ms: int = 0) -> list[Tick]:
    """Moments that are easy to say, where the person is."""
    first = (start_ms + offset_ms) // step_ms * step_ms + step_ms - offset_ms
    return [
        Tick(round((at - start_ms) / (end_ms - start_ms) * WIDTH, 1), at)
        for at in range(first, end_ms, step_ms)
    ]
