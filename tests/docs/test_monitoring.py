"""The dashboard and the alert rules: every metric and label that they name is one that the bridge has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML

from bridge.telemetry import Metrics

DOCS = Path(__file__).parents[2] / "docs"
#: Not metrics of ours: Prometheus's own, and what a histogram adds.
OTHERS = {"le", "job"}


def labels_of_metrics() -> dict[str, set[str]]:
    """Of every series that may be exposed its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if not isinstance(metric, MetricWrapperBase):
            continue
        ends = {Counter: ["_total"], Histogram: ["_bucket", "_sum", "_count"]}
        for end in ends.get(type(metric), [""]):
            found[metric._name + end] = {*metric._labelnames}
    return found


def dashboard_expressions() -> Iterator[str]:
    board = orjson.loads((DOCS / "grafana-dashboard.json").read_bytes())
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def alert_expressions() -> Iterator[str]:
    rules = YAML(typ="safe").load((DOCS / "prometheus-alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
            yield from re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])


EXPRESSIONS = list(dict.fromkeys([*dashboard_expressions(), *alert_expressions()]))


def test_there_is_something_to_look_at() -> None:
    assert len([one for one in EXPRESSIONS if "bridge_" in one]) > 30


@pytest.mark.parametrize("expression", [one for one in EXPRESSIONS if "bridge_" in one])
def test_an_expression_names_only_metrics_and_labels_that_there_are(expression: str) -> None:
    known = labels_of_metrics()
    names = re.findall(r"bridge_\w+", expression)
    assert set(names) <= known.keys()
    grouped = [
        one.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for one in by.split(",")
    ]
    chosen = re.findall(r'(\w+)\s*(?:=~|!=|=)\s*"', expression)
    allowed = OTHERS.union(*(known[name] for name in names))
    assert {*grouped, *chosen} <= allowed


def test_no_metric_is_left_out_of_the_dashboard_but_those_that_say_how_it_is_set_up() -> None:
    shown = " ".join(dashboard_expressions())
    stems = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in labels_of_metrics()}
    unseen = {stem for stem in stems if stem not in shown}
    assert unseen == {"bridge_dry_run", "bridge_only_users", "bridge_lanes_owned"}
