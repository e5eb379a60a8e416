"""Whatever happens in whatever order, and wherever the process ends: no push twice, nothing out of order.

A seed makes a schedule of users, failures, pauses, crashes, replays; the whole bridge plays it in a time
of its own, and what comes of it is held against a model that knows nothing of the bridge. See
`orders/schedule.py`, `orders/reference.py`. A seed plays again with::

    python -m tests.faults.orders --seed 337
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.orders.many import Played, many, played
from tests.faults.orders.run import folder, run

SCHEDULES = 80
LONG_MINUTES = 12.0
FIRST_OF_LONG = 100_000

pytestmark = pytest.mark.unchecked("the schedules have a model of their own, which is stricter")


@pytest.mark.slow
def test_randomised_orders_keep_the_promises() -> None:
    result = Played()
    with folder() as where:
        for report in played(range(SCHEDULES), where):
            result.add(report)
    assert not result.wrong, f"{result}"
    # It is no use if nothing of what it is about was met.
    for what in ("crashes", "failed_calls", "died", "ended_dead", "ended_discarded"):
        assert result.met[what] > 0, f"{result}"


@pytest.mark.long
def test_as_many_randomised_orders_as_there_is_time_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = many(FIRST_OF_LONG, minutes=LONG_MINUTES)
    with capsys.disabled():
        print(f"\n{result}")  # noqa: T201 — how many there was time for is the result
    assert not result.wrong, f"{result}"


def test_a_seed_is_played_the_same_every_time() -> None:
    with folder() as where:
        first, again = (run(11, where) for _ in range(2))
    assert first.seen is not None
    assert again.seen is not None
    # A look at what became of a notification names it by an id of OneSignal's.
    ours = [
        [call for call in one.seen.calls if " GET " not in call]
        for one in (first, again)
        if one.seen
    ]
    assert ours[0] == ours[1]
    assert first.met == again.met
    assert first.met["crashes"] == 3


def _never(*_: Any) -> bool:
    return False


def _backwards(rows: Any, **_: Any) -> list[Any]:
    return list(rows)[::-1]


def _another_key(**_: Any) -> str:
    return str(uuid4())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "instead", "words"),
    [
        ("bridge.deliver.state.Moment.before", _never, "and may be"),
        ("bridge.deliver.sends.key_of", _another_key, "was pushed 2 times"),
        ("bridge.deliver.spacing.Spacing.wait", lambda *_: 0.0, "hurried-write"),
        ("bridge.deliver.chain.sorted", _backwards, "left before"),
    ],
)
def test_a_bridge_that_breaks_a_promise_is_found_out(
    monkeypatch: pytest.MonkeyPatch, what: str, instead: Callable[..., Any], words: str
) -> None:
    monkeypatch.setattr(what, instead, raising=False)
    with folder() as where:
        found = (wrong for report in played(range(60), where) for wrong in report.wrong)
        assert any(words in wrong for wrong in found)
