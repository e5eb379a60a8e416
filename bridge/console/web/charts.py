"""Small pictures of numbers: where each stroke goes. Pure; templates draw them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bridge.console.views.figures import Figures, Span
from bridge.console.views.words import number, seconds

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
    for place, value in enumerate(values):
        tall = max(1.5, value / top * height) if value else 0.0
        found.append(Bar(round(place * step, 2), round(height - tall, 2), round(tall, 2), value))
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
    for place, value in enumerate(values):
        if value is None:
            continue
        x, y = round(place * across, 1), round(HEIGHT - min(value / top, 1.0) * HEIGHT, 1)
        begins = place == 0 or values[place - 1] is None
        pieces.append(f"{'M' if begins else 'L'}{x:g} {y:g}")
        if begins and (place + 1 == len(values) or values[place + 1] is None):
            pieces.append("h1.5")  # alone between two gaps it is a dot
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


def charts_of(figures: Figures, span: Span, *, offset_ms: int = 0) -> list[Chart]:
    """The pictures of one span."""
    series = figures.series
    end = series.start_ms + span.steps * span.step_ms
    marks = ticks(series.start_ms, end, span.tick_ms, offset_ms=offset_ms)
    top = ceiling(max([*series.events, *series.calls, 1]))
    slowest = ceiling(max([one for one in series.most if one is not None], default=0.001))
    in_out = [
        line("events in", "one", series.events, top=top, filled=True),
        line("calls to OneSignal", "two", series.calls, top=top),
    ]
    failed_top = ceiling(max([*series.failures, 1]))
    failures = [line("failed calls", "three", series.failures, top=failed_top, filled=True)]
    took = [line("95 in 100 within", "one", series.most, top=slowest)]
    return [
        Chart("In and out", in_out, top, marks, _in_words(figures, span)),
        Chart("How long it took", took, slowest, marks, _took_words(figures, span)),
        Chart("Failed calls", failures, failed_top, marks, _failed_words(figures, span)),
    ]


def _in_words(figures: Figures, span: Span) -> str:
    series = figures.series
    return (
        f"{number(figures.events)} events came in and {number(figures.calls)} calls went out in {span.name};"
        f" at most {number(max(series.events))} and {number(max(series.calls))} at once."
    )


def _took_words(figures: Figures, span: Span) -> str:
    half, most = figures.half, figures.most
    if half is None or most is None:
        return f"Nothing was delivered in {span.name}."
    return f"In {span.name} half of the events were delivered within {seconds(half)}, 95 in 100 within {seconds(most)}."


def _failed_words(figures: Figures, span: Span) -> str:
    return f"{number(figures.failures)} calls failed in {span.name}."
