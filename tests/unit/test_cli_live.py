"""The line that `serve` keeps at the bottom of a terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.cli import live
from bridge.cli.live import LATE_SECONDS, Live, Rates, StatusLine, words
from tests.harness import rig, settings_of, track

CLEAR = "\r\x1b[2K"
MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules: [{name: shipped, when: event = "Order Shipped", do: {send_notification: {contents: on its way}}}]
"""


class Screen(io.StringIO):
    """What somebody sees in the end."""

    @property
    def lines(self) -> list[str]:
        return [one.rpartition(CLEAR)[2] for one in self.getvalue().split("\n")]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("log"), st.text("ab \n")), st.tuples(st.just("show"), st.text("xyz"))
        )
    )
)
def test_logs_stand_above_it_whole_and_in_their_order(said: list[tuple[str, str]]) -> None:
    screen = Screen()
    line = StatusLine(screen)
    above, logged = line.above(screen), ""
    for what, text in said:
        if what == "log":
            above.write(text)
            logged += text
        else:
            line.show(text)
    line.end()
    assert screen.lines == [*logged.split("\n")[:-1], ""]


def test_it_stays_one_line_however_narrow_the_terminal_is() -> None:
    screen = Screen()
    StatusLine(screen).show("x" * 500)
    assert screen.lines[0].count("x") == 79


def test_it_says_what_is_wrong_and_what_is_paused() -> None:
    found: dict[str, Any] = {
        "well": False, "problems": ["a", "b"], "pending": 1204, "oldest_waiting_seconds": 200, "held": 3, "dead": 1,
        "gates": [{"app": "shop", "name": "send", "closed": "http_500", "held_seconds": 0.0}], "paused": ["rule/cheap"],
    }  # fmt: skip
    assert words(found, Rates(1234.56, 0.0)) == (
        "2 to look at (segment-bridge status) | 1,234.6 events/s in, 0.0 calls/s out"
        " | 1204 waiting, the oldest for 3 min | 3 held, 1 dead | gates shut: shop/send | PAUSED: rule/cheap"
    )


async def test_it_counts_what_comes_and_goes(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        screen = Screen()
        shown = Live(bridge=here.bridge, line=StatusLine(screen))
        await shown._look()
        shown._rates()
        await here.post([track("Order Shipped", f"u{n}") for n in range(30)])
        await here.settle()
        rates = shown._rates()
        assert (rates.events, rates.calls > 0) == (6, True)
        for _ in range(LATE_SECONDS + 1):
            here.clock.advance(1)
            rates = shown._rates()
        assert rates.events == rates.calls == 0
        assert words(shown._found, rates).startswith("well | ")


@pytest.mark.parametrize(
    ("is_terminal", "term", "ephemeral", "shown"),
    [
        (True, "xterm", None, True),
        (False, "xterm", None, False),
        (True, "dumb", None, False),
        (True, "xterm", "no", False),
        (True, "xterm", "yes", False),
    ],
)
def test_it_is_there_only_for_somebody_at_a_terminal(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_terminal: bool,
    term: str,
    ephemeral: str | None,
    shown: bool,
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    settings = settings_of(tmp_path / "bridge.db", ephemeral=ephemeral)
    assert (live.status_line(settings) is not None) is shown
