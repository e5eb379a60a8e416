"""`segment-bridge import`: rows become events that are the same whenever they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.importing.carried import carry
from bridge.cli.importing.forecast import forecast
from bridge.cli.importing.rows import Bad, ImportFileError, Reading, Row
from bridge.errors import ConfigurationError
from tests.harness import mapping_of

MAPPING = """
version: 1
rules:
  - name: profile
    when: type = "identify" and source = "import"
    do:
      update_user:
        tags: {tier: "{{ traits.tier }}", orders: "{{ traits.orders }}", city: "{{ traits.city }}"}
"""
NOW = 1_800_000_000_000


def read(path: Path, **more: Any) -> list[Row | Bad]:
    return list(Reading(path=path, user_column=None, at_ms=NOW, **more).rows())


def events(rows: list[Row | Bad]) -> list[dict[str, Any]]:
    return [orjson.loads(row.event) for row in rows if isinstance(row, Row)]


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users.csv"
    path.write_text("external_id,tier,orders\nu1,gold,7\nu2,,3\n,silver,1\nu4,a,b,c\n")
    return path


def test_a_row_of_a_csv_file_is_an_identify_event_that_cannot_push(users: Path) -> None:
    first, second = events(read(users))
    assert first.pop("messageId").startswith("import-")
    assert first == {
        "type": "identify",
        "userId": "u1",
        "timestamp": "2027-01-15T08:00:00.000+00:00",
        "replay": True,
        "traits": {"tier": "gold", "orders": "7"},
    }
    assert second["traits"] == {"orders": "3"}, "an empty cell is no wish to delete"


def test_rows_that_are_no_events_are_told_by_number_and_without_a_value(users: Path) -> None:
    bad = [(row.number, row.code) for row in read(users) if isinstance(row, Bad)]
    assert bad == [(3, "no-user"), (4, "too-many-cells")]
    assert "silver" not in str([row for row in read(users) if isinstance(row, Bad)])


def test_a_row_has_the_same_message_id_whenever_it_is_read_and_another_in_another_run(
    users: Path,
) -> None:
    ids = [event["messageId"] for event in events(read(users))]
    assert ids == [event["messageId"] for event in events(read(users))]
    assert len(set(ids)) == 2
    assert not set(ids) & {event["messageId"] for event in events(read(users, run="again"))}
    users.write_text(users.read_text() + "u5,gold,1\n")
    assert not set(ids) & {event["messageId"] for event in events(read(users))}


def test_lines_of_json_keep_their_types_and_may_be_segments_own_shape(tmp_path: Path) -> None:
    path = tmp_path / "users.ndjson"
    path.write_bytes(
        b'{"user_id": 7, "tier": null, "orders": 3}\n\n{"userId": "u2", "traits": {"tier": "gold"}}\n'
        b'[1]\n{"id"\n'
    )
    rows = read(path)
    assert [(one["userId"], one["traits"]) for one in events(rows)] == [
        ("7", {"tier": None, "orders": 3}),
        ("u2", {"tier": "gold"}),
    ]
    assert [row.code for row in rows if isinstance(row, Bad)] == ["not-an-object", "not-json"]


def test_semicolons_tabs_and_a_byte_order_mark_are_what_spreadsheets_write(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    for mark in (";", "\t"):
        path.write_text(f"\ufeffexternal_id{mark}tier\nu1{mark}gold, really\n")
        (event,) = events(read(path))
        assert (event["userId"], event["traits"]) == ("u1", {"tier": "gold, really"})


def test_a_file_in_which_no_column_names_the_user_is_refused_with_the_way_out(
    tmp_path: Path,
) -> None:
    path = tmp_path / "users.csv"
    path.write_text("email,tier\na@shop.example,gold\n")
    with pytest.raises(ImportFileError, match="no column") as refused:
        read(path)
    assert "--user-id" in str(refused.value.finding())
    named = Reading(path=path, user_column="email", at_ms=NOW).rows()
    assert [event["userId"] for event in events(list(named))] == ["a@shop.example"]


def test_the_forecast_counts_calls_minutes_skips_and_tags_that_do_not_fit(users: Path) -> None:
    found = forecast(read(users), mapping_of(MAPPING, tag_cap=1), now_ms=NOW)
    assert (found.rows, found.calls["update_user"], found.capped) == (4, 2, 1)
    assert found.bad == {"no-user": 1, "too-many-cells": 1}
    assert found.minutes == pytest.approx(2 / 60_000)
    pushes = mapping_of(
        'version: 1\npush: {platforms: all}\nrules: [{name: hello, when: type = "identify", do: {send_notification: {contents: hi}}}]'
    )
    pushed = forecast(read(users), pushes, now_ms=NOW)
    assert (pushed.calls.total(), pushed.skips) == (0, {"replay": 2})


def test_what_the_service_rejects_is_reported_by_the_row_it_was() -> None:
    rows: list[Row | Bad] = [Row(1, b"{}"), Bad(2, "no-user", "no"), Row(3, b"[]")]
    rejected = [{"index": 1, "code": "not-an-object", "message": "no event"}]
    answer = {"accepted": 1, "duplicates": 0, "rejected": rejected, "pending": 1}
    told: list[Bad] = []
    sent: list[bytes] = []

    def send(body: bytes) -> dict[str, Any]:
        sent.append(body)
        return answer

    (so_far,) = carry(rows, send, told.append)
    assert sent == [b"[{},[]]"]
    assert [(bad.number, bad.code) for bad in told] == [(2, "no-user"), (3, "not-an-object")]
    assert (so_far.accepted, so_far.bad, so_far.rows) == (1, 2, 3)


def test_a_plan_sends_nothing_and_says_so(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING)
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(tmp_path / "m.yaml"))
    ran = CliRunner().invoke(app, ["import", str(users), "--plan"])
    assert ran.exit_code == 0, ran.output
    assert "2 calls: update_user" in ran.output
    assert ran.output.rstrip().endswith("Nothing was sent.")


def test_of_several_sources_one_has_to_be_called_import(
    users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.yaml").write_text(MAPPING)
    text = """
apps: {shop: {app_id: 8a1b3c4d-0000-4000-8000-000000000001, api_key: os_v2_app_x}}
sources:
  web: {secrets: [abcdefghijkl], mappings: m.yaml}
  app: {secrets: [abcdefghijkl], mappings: m.yaml}
"""
    config = tmp_path / "bridge.yaml"
    monkeypatch.setenv("BRIDGE_CONFIG", str(config))
    config.write_text(text)
    undecided = CliRunner().invoke(app, ["import", str(users), "--plan"])
    assert isinstance(undecided.exception, ConfigurationError)
    assert [finding.code for finding in undecided.exception.findings] == ["import-undecided"]
    config.write_text(text + "  import: {app: shop, mappings: m.yaml}\n")
    ran = CliRunner().invoke(app, ["import", str(users), "--plan"])
    assert ran.exit_code == 0, ran.output
