from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.bench.receiver import Rate, Seen
from tests.bench.trace import session_events

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
    # What is looked at, taken out or identified is tags; what is added a custom event, too; what is
    # ordered a push beside both; what ships or costs less a push.
    assert found["requests_per_event"] == pytest.approx((6 + 3 * 2 + 1 + 3 + 3 + 1 + 1) / 20)
    assert found["mapping"] == "preset ecommerce, 12 rules"
    assert set(found["condition_ns"]) == {"met", "not_met"}


@pytest.mark.slow
def test_a_live_push_leaves_while_bulk_waits() -> None:
    found = figures("live", "--seconds", "0.5", "--json")
    assert found["pushed"] == found["orders"] == 10
    assert found["p50_s"] <= found["p99_s"] <= found["slowest_s"] < 10


@pytest.mark.slow
def test_a_backlog_is_still_there_after_a_kill() -> None:
    found = figures("backlog", "--seconds", "0.5", "--json")
    assert found["pending"] == found["pending_after_kill"] == found["events"] == 4_000
    assert 0 < found["claim_p50_ms"] <= found["claim_p99_ms"]


def test_sessions_are_the_same_every_time_and_of_the_kind_that_is_said() -> None:
    happenings = session_events(500, 10.0)
    assert happenings == session_events(500, 10.0)
    identifies = [one for one in happenings if one.event["type"] == "identify"]
    assert len(identifies) / len(happenings) == pytest.approx(0.4, abs=0.03)
    assert len(happenings) / 500 == pytest.approx(7.5, abs=0.3)


def test_the_receiver_finds_the_fullest_second_wherever_it_begins() -> None:
    rate = Rate()
    for at in (0.0, 0.6, 0.7, 1.5, 1.59, 1.61, 3.0):
        rate.add(at)
    assert rate.peak == 4


def test_the_receiver_counts_what_is_sent_again_once() -> None:
    seen = Seen()
    body = {"idempotency_key": "k", "include_aliases": {"external_id": ["u1", "u2"]}}
    first = seen.send(body, 1.0)
    assert seen.send(body, 2.0) == first
    assert (seen.recipients, len(seen.sends.times)) == (2, 2)


@pytest.mark.slow
def test_a_mapping_of_500_rules_is_read_again_in_time() -> None:
    found = figures("reload", "--seconds", "2", "--rounds", "1", "--json")
    assert found["rules"] == 500
    assert found["reloads"] >= 20
    assert found["p50_ms"] <= found["p99_ms"] <= found["slowest_ms"]
    assert found["p50_ms"] < found["first_ms"] / 2, "an edit is cheaper than a start"
    assert found["p99_ms"] < 200


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
