"""The events of files: an object, an array, NDJSON or a webhook's body."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from bridge.clock import SystemClock
from bridge.config import Source
from bridge.errors import ConfigurationError, Finding
from bridge.segment.body import Element, NotJson, read_body
from bridge.segment.events import Event, Unusable, parse_timestamp, read_event


def read_events(file: str, *, source: Source) -> Iterator[Event | Unusable]:
    """Every event of a file (`-` is standard input), each as if it had come in when it happened.

    Raises:
        ConfigurationError: with the line that is not JSON.
    """
    for element in _elements(file):
        at = element.value.get("timestamp") if isinstance(element.value, dict) else None
        now_ms = parse_timestamp(at) or SystemClock().now_ms()
        yield read_event(
            element.value,
            raw=element.raw,
            source=source.name,
            received_ms=now_ms,
            reverse_etl=source.reverse_etl,
        )


def _elements(file: str) -> Iterator[Element]:
    try:
        body = typer.get_binary_stream("stdin").read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from None
    whole = read_body(body)
    numbered = _lines(body) if isinstance(whole, NotJson) else [(1, body)]
    for number, line in numbered:
        part = read_body(line)
        if isinstance(part, NotJson):
            raise ConfigurationError(
                [Finding(code=part.code, message=part.message, file=file, line=number)]
            )
        yield from part


def _lines(body: bytes) -> list[tuple[int, bytes]]:
    """NDJSON: every line that is not empty, with its number."""
    return [(number, line) for number, line in enumerate(body.splitlines(), 1) if line.strip()]
