"""What the bridge told while a test ran: log lines, metrics, answers, alerts; and what it had to tell."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TextIO, cast

import orjson
import structlog

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Told:
    #: Where a bridge writes its log, by a name, and how to read it.
    pages: dict[str, Callable[[], str]] = field(default_factory=dict)
    scrapes: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    #: Error bodies and the like that a test read by itself.
    others: list[str] = field(default_factory=list)
    expected_lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    expected_metrics: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    #: Why there is nothing that the bridge could tell.
    quiet: str | None = None

    def expect_line(self, event: str, **fields: Any) -> None:
        """There must have been such a log line by the end; of `fields`, all have to be equal."""
        self.expected_lines.append((event, fields))

    def expect_metric(self, name: str, **labels: str) -> None:
        """A metric of this name and these labels (and maybe others) must have been above 0."""
        self.expected_metrics.append((name, labels))

    def expect_nothing(self, why: str) -> None:
        self.quiet = why

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [line for read in self.pages.values() for line in _json_lines(read())]

    def has_line(self, event: str, fields: dict[str, Any]) -> bool:
        return any(
            line.get("event") == event and fields.items() <= line.items() for line in self.lines
        )

    def has_metric(self, name: str, labels: dict[str, str]) -> bool:
        return any(
            found == name and value > 0 and labels.items() <= its.items()
            for scrape in self.scrapes
            for found, its, value in samples(scrape)
        )

    def everything(self) -> Iterator[tuple[str, str]]:
        """All of it, with where it was said."""
        yield from ((name, read()) for name, read in self.pages.items())
        for name in ("scrapes", "alerts", "others"):
            yield from ((name, text) for text in getattr(self, name))


def samples(scrape: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Every sample of a page of metrics: name, labels, value."""
    for name, labels, value in _SAMPLE.findall(scrape):
        yield name, dict(_LABEL.findall(labels)), float(value)


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                # A process that was killed may have ended in the middle of one.
                continue


class _Pages:
    """Where this process writes its log: to the world that is at work, or to all when nobody knows whose it is."""

    def __init__(self) -> None:
        self.open: list[io.StringIO] = []
        #: Until the last page is closed.
        self.logging = ExitStack()
        self.mine: ContextVar[io.StringIO | None] = ContextVar("page", default=None)

    def write(self, text: str) -> int:
        mine = self.mine.get()
        for page in [mine] if mine in self.open else self.open:
            page.write(text)
        return len(text)

    def flush(self) -> None:
        """Everything is written already."""


_pages = _Pages()


@contextmanager
def written_down() -> Iterator[io.StringIO]:
    """All that a bridge in this process logs, one JSON object a line, and every library's warnings."""
    page = io.StringIO()
    if not _pages.open:
        _pages.logging.enter_context(_logging())
    _pages.open.append(page)
    _pages.mine.set(page)
    try:
        yield page
    finally:
        _pages.open.remove(page)
        if not _pages.open:
            _pages.logging.close()


@contextmanager
def _logging() -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _pages)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(cast(TextIO, _pages))
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        structlog.configure(**before)
