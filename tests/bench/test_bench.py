from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

ROOT = Path(__file__).parents[2]


def figures(*arguments: str) -> dict[str, Any]:
    """The JSON object that a benchmark prints last."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr.decode()
    found: dict[str, Any] = orjson.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
def test_single_events_are_measured_against_a_control_of_the_same_run() -> None:
    found = figures("accept", "--seconds", "0.5", "--rounds", "1", "--json")
    ours, control = found["bridge"], found["control"]
    quotient = ours["requests_per_second"] / control["requests_per_second"]
    assert found["ratio"] == pytest.approx(quotient, abs=0.001)
    assert found["events"] == found["pending"]
    assert ours["p50_ms"] <= ours["p99_ms"] <= ours["slowest_ms"]
    assert found["load_ceiling_per_second"] > control["requests_per_second"]


@pytest.mark.slow
def test_every_acknowledged_event_of_a_batch_is_counted() -> None:
    found = figures("accept-batch", "--seconds", "0.5", "--rounds", "1", "--json")
    assert found["events"] == found["pending"] >= 100
    assert found["events"] % 100 == 0
    assert found["events_per_second"] > 0


@pytest.mark.slow
def test_planning_makes_the_requests_that_the_mix_stands_for() -> None:
    found = figures("plan", "--seconds", "0.5", "--rounds", "1", "--json")
    assert found["requests_per_event"] == pytest.approx(0.9)
    assert set(found["condition_ns"]) == {"met", "not_met"}


@pytest.mark.slow
def test_an_unknown_benchmark_is_refused_with_the_names_of_all() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.bench", "nonsense"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert b"accept-batch" in run.stderr
