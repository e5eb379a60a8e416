"""`plan --recent`: what stored events would do, and what an edited mapping would change of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from bridge.cli import app
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import NOW, entry

BEFORE = """\
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: profile, when: type = "identify", do: {update_user: {tags: {plan: "{{ traits.plan }}"}}}}
  - {name: shipped, when: event = "Order Shipped", do: {send_notification: {contents: "{{ properties.product }} is on its way"}}}
  - {name: quiet, when: event = "Never", do: {send_notification: {contents: Hi}}}
"""
AFTER = """\
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: profile, when: type = "identify", do: {update_user: {tags: {tier: "{{ traits.plan }}"}}}}
  - {name: shipped, when: event = "Order Shipped" and properties.total > 10, do: {send_notification: {contents: "{{ properties.product }} left"}}}
  - {name: ordered, when: event = "Order Completed", once_per: {time: 1d}, do: {send_notification: {contents: Thanks}}}
"""


def sent(message_id: str, kind: str, event: str | None = None, **more: Any) -> Any:
    body = {"type": kind, "userId": "u1", "messageId": message_id, **more}
    payload = orjson.dumps(body | ({"event": event} if event else {}))
    return entry(message_id, payload=payload, received_ms=NOW, event_ms=NOW)


EVENTS = [
    sent("m0", "identify", traits={"plan": "old"}),
    sent("m1", "identify", traits={"plan": "pro"}),
    sent("m2", "track", "Order Shipped", properties={"product": "Boots", "total": 100}),
    sent("m3", "track", "Order Shipped", properties={"product": "Hat", "total": 1}),
    sent("m4", "track", "Order Shipped", properties={"total": 100}),
    sent("m5", "track", "Order Completed"),
    sent("m6", "track", "Order Completed"),
    entry("m7", payload=None, rank=None),
]


@pytest.fixture
async def stored(tmp_path: Path) -> Any:
    """A journal that is open, as a running service has it."""
    journal = open_sqlite(tmp_path / "bridge.db")
    await journal.append(EVENTS)
    yield journal
    await journal.close()


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "before.yaml").write_text(BEFORE)
    (tmp_path / "after.yaml").write_text(AFTER)
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(tmp_path / "before.yaml"))
    monkeypatch.setenv("BRIDGE_DATABASE_URL", f"sqlite:///{tmp_path / 'bridge.db'}")


def plan(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def as_json(*arguments: object) -> dict[str, Any]:
    result = plan(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = orjson.loads(result.output)
    return found


async def test_the_newest_events_are_counted_by_rule_beside_the_running_service(
    stored: SqliteJournal,
) -> None:
    found = as_json("--recent", 7)

    assert (found["events"], found["without_payload"]) == (7, 1)
    assert found["rules"] == {
        "profile": {"events": 1, "pushes": 0, "custom_events": 0, "updates": 1, "skips": {}},
        "shipped": {
            "events": 3,
            "pushes": 2,
            "custom_events": 0,
            "updates": 0,
            "skips": {"missing": 1},
        },
    }


async def test_more_than_there_are_is_all(stored: SqliteJournal) -> None:
    assert as_json("--recent", 1000)["events"] == len(EVENTS)


async def test_what_an_edited_mapping_would_change(stored: SqliteJournal, tmp_path: Path) -> None:
    found = as_json("--recent", 100, "--diff", tmp_path / "after.yaml")

    nothing = {
        "pushes_more": 0, "pushes_fewer": 0, "pushes_other": 0, "tags": 0, "updates": 0, "custom_events": 0,
    }  # fmt: skip
    assert found["changes"] == {
        "profile": nothing | {"tags": 2, "samples": ["m0", "m1"]},
        "shipped": nothing | {"pushes_fewer": 1, "pushes_other": 1, "samples": ["m2", "m3"]},
        "ordered": nothing | {"pushes_more": 1, "samples": ["m5"]},
    }
    assert found["rules_after"]["ordered"]["skips"] == {"once_per": 1}


async def test_the_tables_say_it_for_people(stored: SqliteJournal, tmp_path: Path) -> None:
    result = plan("--recent", 100, "--diff", tmp_path / "after.yaml")

    assert result.exit_code == 0
    text = result.output
    assert text.startswith("The newest 8 events, 1 of them without a payload to plan.\n")
    assert "Under before.yaml (" in text
    assert "Under after.yaml (" in text
    assert "missing 1" in text
    assert "quiet" in text
    assert "+1 pushes" in text
    assert "1 pushes say something else" in text
    assert "tags of 2 events" in text
    assert text.endswith("The record of what was sent before began empty. Nothing was sent.\n")


async def test_the_same_mapping_changes_nothing(stored: SqliteJournal, tmp_path: Path) -> None:
    result = plan("--recent", 100, "--diff", tmp_path / "before.yaml")

    assert "The edited mapping would change nothing." in result.output


async def test_three_samples_are_enough(stored: SqliteJournal, tmp_path: Path) -> None:
    (tmp_path / "none.yaml").write_text("version: 1\n")

    found = as_json(
        "--recent", 100, "-m", tmp_path / "after.yaml", "--diff", tmp_path / "none.yaml"
    )

    assert all(len(change["samples"]) <= 3 for change in found["changes"].values())
    assert found["changes"]["profile"]["samples"] == ["m0", "m1"]


async def test_a_source_is_looked_at_alone(stored: SqliteJournal) -> None:
    assert as_json("--recent", 100, "--source", "web")["events"] == len(EVENTS)
    assert as_json("--recent", 100, "--source", "other")["events"] == 0


async def test_nothing_is_written(stored: SqliteJournal, tmp_path: Path) -> None:
    before = files(tmp_path)

    plan("--recent", 100)

    assert files(tmp_path) == before


def files(folder: Path) -> dict[str, bytes]:
    """The database and its log; a reader marks what it reads in the shared memory beside them."""
    return {
        path.name: path.read_bytes()
        for path in folder.glob("bridge.db*")
        if path.suffix != ".db-shm"
    }


def test_no_database_is_told() -> None:
    result = plan("--recent", 5)

    assert result.exit_code == 1
    assert "there is no database" in str(result.exception)


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "bridge.db").write_bytes(b"nonsense" * 1000)

    result = plan("--recent", 5)

    assert result.exit_code == 1
    assert "damaged" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name the events: FILE…, or --recent N"),
        (["e.json", "--recent", "5"], "name the events: FILE…, or --recent N"),
        (["e.json", "--diff", "x.yaml"], "--diff goes with --recent"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], why: str) -> None:
    result = plan(*arguments)

    assert result.exit_code == 2
    assert why in " ".join(result.output.replace("│", " ").split())
