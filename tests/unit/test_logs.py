"""What the log shows on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from bridge.telemetry import configure_logs, log


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Logs go where they went before."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_what_came_from_outside_gives_a_terminal_no_orders(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("pretty")
    try:
        raise ValueError("because of \x1b[2J")
    except ValueError as error:
        log().warning("send.failed", message_id="m\x1b[2J\r-é", exc_info=error)
    said = capsys.readouterr().err
    assert "m\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}-é" in said
    assert "because of \N{REPLACEMENT CHARACTER}[2J" in said
