"""`plan`: what events would do, as a table or as JSON, and never more than said."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from bridge.cli import app, main
from bridge.cli.planning.table import print_plan
from bridge.plan.lines import planned as show
from bridge.segment.events import read_event
from tests.harness import mapping_of

MAPPING = """\
version: 1
push: {platforms: {exclude: [ios]}, links: ["shop://"]}
rules:
  - name: profile
    when: type = "identify"
    do:
      update_user:
        tags: {tier: "{{ traits.tier }}", city: "{{ traits.city }}"}
  - name: shipped
    when: event = "Order Shipped"
    do:
      send_notification:
        contents: "{{ properties.product }} is on its way"
        app_url: "{{ properties.link }}"
"""
IDENTIFY = {"type": "identify", "userId": "u/1", "messageId": "m1", "traits": {"tier": "gold"}}
SHIPPED = {
    "type": "track",
    "event": "Order Shipped",
    "userId": "u1",
    "messageId": "m2",
    "properties": {"product": "Boots", "link": "https://evil.example/"},
}
OTHER = {"type": "track", "event": "Other", "userId": "u1", "messageId": "m3"}


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "mapping.yaml"
    path.write_text(MAPPING)
    return path


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BRIDGE_MAPPINGS", "BRIDGE_ONESIGNAL_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)


def plan(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["plan", *map(str, arguments)], input=stdin)


def planned(body: bytes, mapping: Path, *more: str) -> list[dict[str, Any]]:
    """The objects that --json prints for a body on standard input."""
    result = plan("-", "-m", mapping, "--json", *more, stdin=body)
    assert result.exit_code == 0, result.output
    return [orjson.loads(line) for line in result.output.splitlines()]


def reasons(lines: list[dict[str, Any]]) -> list[str]:
    return [line["skip"]["reason"] if "skip" in line else line["operation"] for line in lines]


def test_an_update_in_a_table(mapping: Path, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(orjson.dumps(IDENTIFY))

    result = plan(file, "-m", mapping)

    assert result.exit_code == 0
    assert result.output == (
        "profile              PATCH /apps/YOUR-APP-ID/users/by/external_id/u%2F1\n"
        "    {\n"
        '      "properties": {\n'
        '        "tags": {\n'
        '          "tier": "gold"\n'
        "        }\n"
        "      }\n"
        "    }\n"
        "    left out  tags.city: missing (traits.city)\n"
        "    guard     unchanged: what OneSignal has had from us for less than 7 days is left out\n"
        "    guard     overtaken: what a later event has said already is left out\n"
        "\n"
        "1 requests, 0 skips. Nothing was sent.\n"
    )


def test_skips_in_a_table(mapping: Path) -> None:
    missing = SHIPPED | {"properties": {}}

    result = plan("-", "-m", mapping, stdin=orjson.dumps([missing, OTHER]))

    assert result.exit_code == 0
    assert result.output == (
        "# m2 track Order Shipped\n"
        "shipped              skipped  missing: properties.product\n"
        "# m3 track Other\n"
        "(event)              skipped  no_rule\n"
        "\n"
        "0 requests, 2 skips. Nothing was sent.\n"
    )


def test_a_push_as_json(mapping: Path) -> None:
    (line,) = planned(orjson.dumps(SHIPPED), mapping)

    key = line["request"]["body"].pop("idempotency_key")
    assert len(key) == 36
    assert line == {
        "message_id": "m2",
        "rule": "shipped",
        "operation": "send_notification",
        "request": {
            "method": "POST",
            "path": "/notifications",
            "body": {
                "app_id": "YOUR-APP-ID",
                "contents": {"en": "Boots is on its way"},
                "isIos": False,
                "isAndroid": True,
                "isChromeWeb": True,
                "isFirefox": True,
                "include_aliases": {"external_id": ["u1"]},
                "target_channel": "push",
            },
        },
        "guards": ["max_age", "cap", "limit", "paused"],
        "notes": ["app_url: link_not_allowed"],
    }


def test_a_skip_as_json(mapping: Path) -> None:
    (line,) = planned(orjson.dumps(OTHER), mapping)

    assert line == {
        "message_id": "m3",
        "rule": "",
        "operation": "",
        "skip": {"reason": "no_rule", "detail": None},
    }


def test_json_holds_nothing_but_objects(mapping: Path) -> None:
    result = plan("-", "-m", mapping, "--json", stdin=orjson.dumps(IDENTIFY))

    assert "Nothing was sent" not in result.output
    assert orjson.loads(result.output)["operation"] == "update_user"


@pytest.mark.parametrize(
    "body",
    [
        orjson.dumps([IDENTIFY, SHIPPED, OTHER]),
        orjson.dumps([{"json": IDENTIFY}, {"json": SHIPPED}, {"json": OTHER}]),
        b"\n".join(map(orjson.dumps, (IDENTIFY, SHIPPED, OTHER))),
        b"\n\n".join(map(orjson.dumps, (IDENTIFY, SHIPPED, OTHER))) + b"\n\n",
        b"\r\n".join(map(orjson.dumps, (IDENTIFY, SHIPPED, OTHER))),
    ],
    ids=["array", "wrapped", "ndjson", "blank-lines", "crlf"],
)
def test_several_events_in_every_form(body: bytes, mapping: Path) -> None:
    assert reasons(planned(body, mapping)) == ["update_user", "send_notification", "no_rule"]


def test_several_files_are_planned_in_order(mapping: Path, tmp_path: Path) -> None:
    files = []
    for number, event in enumerate((SHIPPED, IDENTIFY)):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_bytes(orjson.dumps(event))

    result = plan(*files, "-m", mapping, "--json")

    lines = [orjson.loads(line) for line in result.output.splitlines()]
    assert reasons(lines) == ["send_notification", "update_user"]


def test_an_old_event_is_planned_as_of_its_own_time(mapping: Path) -> None:
    (line,) = planned(orjson.dumps(SHIPPED | {"timestamp": "2020-01-01T00:00:00Z"}), mapping)

    assert line["operation"] == "send_notification"


def test_an_element_that_is_no_event_is_a_skip(mapping: Path) -> None:
    lines = planned(b'[7, {"body": "a=1"}]', mapping)

    assert reasons(lines) == ["not_an_object", "form_encoded"]
    assert all(line["skip"]["detail"] for line in lines)


def test_without_a_mapping_the_starter_plans() -> None:
    event = {"type": "identify", "userId": "u1", "traits": {"plan": "pro"}}

    result = plan("-", "--json", stdin=orjson.dumps(event))

    assert orjson.loads(result.output)["request"]["body"] == {
        "properties": {"tags": {"plan": "pro"}}
    }


def test_an_event_that_no_rule_wants_is_told_which_nearly_does(mapping: Path) -> None:
    result = plan("-", "-m", str(mapping), stdin=orjson.dumps(SHIPPED | {"event": "order shipped"}))

    assert "skipped  no_rule: nearest is " in result.output
    assert 'which wants event = "Order Shipped"\n' in result.output


def test_a_shipped_mapping_is_named_by_its_name() -> None:
    result = plan("-", "-m", "engage-audiences", "--json", stdin=orjson.dumps(OTHER))

    assert orjson.loads(result.output)["skip"]["reason"] == "no_rule"


def test_the_environment_names_mapping_and_platforms(
    mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_MAPPINGS", str(mapping))
    monkeypatch.setenv("BRIDGE_ONESIGNAL_PLATFORMS", "android huawei,ios")

    result = plan("-", "--json", stdin=orjson.dumps(SHIPPED))

    body = orjson.loads(result.output)["request"]["body"]
    assert {name: on for name, on in body.items() if name.startswith("is")} == {
        "isIos": False,
        "isAndroid": True,
        "isHuawei": True,
    }


def test_the_key_of_a_push_is_the_same_each_time(mapping: Path) -> None:
    (first,), (second,) = (planned(orjson.dumps(SHIPPED), mapping) for _ in range(2))

    assert first == second


# --- what goes wrong: the exit codes ---------------------------------------------------------------


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The whole command, as a shell sees it: its exit code."""
    monkeypatch.setattr("sys.argv", ["segment-bridge", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_planning_ends_with_0_even_when_all_is_skipped(
    mapping: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(orjson.dumps(OTHER))

    assert run(monkeypatch, "plan", file, "-m", mapping) == 0
    assert capsys.readouterr().out.endswith("0 requests, 1 skips. Nothing was sent.\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("not json", "error[not-json]: The body is not JSON.\n  --> {file}:1\n"),
        (
            '{"type": "track"}\n{"type": ',
            "error[not-json]: The body is not JSON.\n  --> {file}:2\n",
        ),
        (
            "7",
            "error[neither-object-nor-array]: The body is neither a JSON object nor a JSON array of them.\n  --> {file}:1\n",
        ),
    ],
    ids=["text", "ndjson", "number"],
)
def test_a_bad_file_is_a_finding_with_its_line_and_exit_code_1(
    text: str,
    expected: str,
    mapping: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "event.json"
    file.write_text(text)

    assert run(monkeypatch, "plan", file, "-m", mapping) == 1
    said = capsys.readouterr()
    assert said.err == expected.format(file=file)
    assert said.out == ""


def test_a_bad_mapping_is_every_finding_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mapping = tmp_path / "bad.yaml"
    mapping.write_text("version: 1\nrulez: []\npush: {platforms: none}\n")
    (tmp_path / "event.json").write_bytes(orjson.dumps(OTHER))

    assert run(monkeypatch, "plan", tmp_path / "event.json", "-m", mapping) == 1
    said = capsys.readouterr().err
    assert "error[unknown-field]" in said
    assert f"{mapping}:2:1" in said
    assert "error[field-invalid]" in said
    assert f"{mapping}:3:8" in said


def test_a_mapping_that_is_not_there_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "event.json").write_bytes(orjson.dumps(OTHER))

    assert run(monkeypatch, "plan", tmp_path / "event.json", "-m", tmp_path / "no.yaml") == 1
    assert "error[mapping-unreadable]" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["no-such-file.json"], ["--nonsense"]], ids=str)
def test_a_wrong_command_line_is_exit_code_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "plan", *arguments) == 2
    assert capsys.readouterr().err


def test_help_shows_an_example() -> None:
    result = plan("--help")

    assert result.exit_code == 0
    assert "segment-bridge plan -m shop.yaml order-shipped.json" in result.output
    assert "Sends nothing." in " ".join(result.output.split())


# --- what may still stop it ------------------------------------------------------------------------

GUARDED = """\
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 3, per: 20m}}
rules:
  - name: welcome
    when: audience.key = "vip" and audience.entered = true
    max_age: 90m
    once_per: {time: 7d, key: "{{ properties.sku }}"}
    limit: {max: 2000, per: 10m}
    do: {send_notification: {contents: Welcome}}
  - name: chat
    when: event = "Message"
    cap: off
    limit: off
    do: {send_notification: {contents: Hi}}
  - name: always
    when: type = "identify"
    unchanged: send
    do: {update_user: {tags: {plan: "{{ traits.plan }}"}}}
"""
ENTERED = {
    "type": "track",
    "event": "Audience Entered",
    "userId": "u1",
    "properties": {"audience_key": "vip", "vip": True, "sku": "s-1"},
}


@pytest.fixture
def guarded(tmp_path: Path) -> Path:
    path = tmp_path / "guarded.yaml"
    path.write_text(GUARDED)
    return path


def guards(body: Any, mapping: Path) -> list[str]:
    result = plan("-", "-m", mapping, stdin=orjson.dumps(body))
    return [
        line.split("guard", 1)[1].strip() for line in result.output.splitlines() if "guard " in line
    ]


def test_every_guard_is_told_with_its_numbers(guarded: Path) -> None:
    assert guards(ENTERED, guarded) == [
        "max_age: not when the event is older than 90m by then",
        "membership: once for each stay in vip, and only while it lasts",
        "once_per: once in 7d for this person for 's-1'",
        "cap: not above 3 in 20m to this person, over all rules",
        "limit: held for you above 2,000 in 10m of this rule",
        "paused: held while this rule or all pushes are paused",
    ]


def test_the_names_of_guards_are_in_json(guarded: Path) -> None:
    (line,) = planned(orjson.dumps(ENTERED), guarded)

    assert line["guards"] == ["max_age", "membership", "once_per", "cap", "limit", "paused"]


def test_a_rule_for_conversations_has_other_guards(guarded: Path) -> None:
    (line,) = planned(orjson.dumps(OTHER | {"event": "Message"}), guarded)

    assert line["guards"] == ["max_age", "volume_guard", "paused"]


def test_what_is_always_written_is_not_left_out_as_unchanged(guarded: Path) -> None:
    (line,) = planned(orjson.dumps(IDENTIFY | {"traits": {"plan": "pro"}}), guarded)

    assert line["guards"] == ["overtaken"]


def test_the_source_is_what_conditions_see(tmp_path: Path) -> None:
    file = tmp_path / "source.yaml"
    file.write_text(
        'version: 1\nrules: [{name: r, when: source = "shop", do: {update_user: {tags: {a: "1"}}}}]\n'
    )

    assert reasons(planned(orjson.dumps(OTHER), file)) == ["no_rule"]
    assert reasons(planned(orjson.dumps(OTHER), file, "--source", "shop")) == ["update_user"]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_gets_a_table_that_fits(guarded: Path, width: int) -> None:
    text = io.StringIO()
    long = ENTERED | {"messageId": "m1"}
    event = read_event(long, raw=orjson.dumps(long), source="default", received_ms=1)
    mapping = mapping_of(guarded.read_text())
    skipped = read_event(OTHER, raw=b"{}", source="default", received_ms=1)

    events = [show(event, mapping), show(skipped, mapping)]
    print_plan(events, Console(file=text, force_terminal=True, width=width, color_system=None))

    lines = text.getvalue().splitlines()
    assert all(len(line) <= width for line in lines[:-1])
    assert any("welcome" in line for line in lines)
    assert "no_rule" in text.getvalue()
    assert lines[-1].endswith("1 requests, 1 skips. Nothing was sent.")


# --- several sources -------------------------------------------------------------------------------


@pytest.fixture
def two_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = "version: 1\npush: {{platforms: all}}\nrules: [{{name: {0}, when: 'true', do: {{send_notification: {{contents: Hi}}}}}}]\n"
    for name in ("shop", "club"):
        (tmp_path / f"{name}.yaml").write_text(rule.format(name))
    (tmp_path / "bridge.yaml").write_text(
        "apps:\n"
        "  one: {app_id: 8a1b3c4d-0000-4000-8000-000000000001, api_key: k, platforms: [android]}\n"
        "  two: {app_id: 8a1b3c4d-0000-4000-8000-000000000002, api_key: k, platforms: [huawei]}\n"
        "sources:\n"
        "  backend: {app: one, secrets: s, mappings: shop.yaml}\n"
        "  members: {app: two, secrets: s, mappings: club.yaml}\n"
    )
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "bridge.yaml"))


@pytest.mark.parametrize(
    ("source", "rule", "flag"), [("backend", "shop", "isAndroid"), ("members", "club", "isHuawei")]
)
def test_a_source_of_the_file_has_its_mapping_and_its_app(
    two_sources: None, source: str, rule: str, flag: str
) -> None:
    result = plan("-", "--source", source, "--json", stdin=orjson.dumps(OTHER))

    line = orjson.loads(result.output)
    assert line["rule"] == rule
    assert line["request"]["body"][flag] is True


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name one of the sources: --source backend | members"),
        (["--source", "shop"], "there is no source shop: there are backend, members"),
    ],
)
def test_which_source_has_to_be_said(two_sources: None, arguments: list[str], why: str) -> None:
    result = plan("-", *arguments, stdin=orjson.dumps(OTHER))

    assert result.exit_code == 2
    assert why in " ".join(result.output.replace("│", " ").split())
