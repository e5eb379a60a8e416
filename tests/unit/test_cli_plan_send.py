"""`plan --send`: one push, to one user, after it was shown; never more, and never somebody else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from typer.testing import CliRunner, Result

from bridge.cli import app
from bridge.clock import SystemClock
from bridge.sandbox import create_sandbox
from tests.serving import served

APP_ID = "8a1b3c4d-0000-4000-8000-000000000001"
MAPPING = """\
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: profile, when: type = "identify", do: {update_user: {tags: {plan: "{{ traits.plan }}"}}}}
  - {name: shipped, when: event = "Order Shipped", do: {send_notification: {contents: "{{ properties.product }} is on its way"}}}
  - {name: thanks, when: event = "Order Shipped" and properties.total > 100, do: {send_notification: {contents: Thank you}}}
"""
SHIPPED: dict[str, Any] = {
    "type": "track",
    "event": "Order Shipped",
    "userId": "customer",
    "messageId": "m1",
    "properties": {"product": "Boots", "total": 10},
}
DEAR = SHIPPED | {"properties": {"product": "Boots", "total": 1000}}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Starlette, str]]:
    made = create_sandbox(clock=SystemClock())
    with served(made) as url:
        yield made, url


@pytest.fixture
def onesignal(running: tuple[Starlette, str]) -> Starlette:
    made, _ = running
    made.state.sandbox.reset()
    made.state.sandbox.add_device("me", "android", app_id=APP_ID)
    return made


@pytest.fixture
def address(
    onesignal: Starlette, running: tuple[Starlette, str], monkeypatch: pytest.MonkeyPatch
) -> str:
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    for name, value in (
        ("ONESIGNAL_URL", running[1]),
        ("ONESIGNAL_APP_ID", APP_ID),
        ("ONESIGNAL_API_KEY", "os_v2_app_test"),
        ("SEGMENT_SECRETS", "abc123"),
    ):
        monkeypatch.setenv(f"BRIDGE_{name}", value)
    return running[1]


@pytest.fixture
def send(address: str, tmp_path: Path) -> Any:
    """Run `plan --send` on an event; what is typed is the answer to its question."""
    mapping, file = tmp_path / "shop.yaml", tmp_path / "event.json"
    mapping.write_text(MAPPING)

    def run(*arguments: str, event: Any = SHIPPED, typed: str = "y\n", to: str = "me") -> Result:
        file.write_bytes(orjson.dumps(event))
        command = ["plan", str(file), "-m", str(mapping), "--send", "--to", to, *arguments]
        return CliRunner().invoke(app, command, input=typed)

    return run


def pushes(onesignal: Starlette) -> list[Any]:
    return list(onesignal.state.sandbox.pushes)


def creations(onesignal: Starlette) -> list[dict[str, Any]]:
    return [
        call.body for call in onesignal.state.sandbox.calls if call.path.endswith("/notifications")
    ]


def test_it_shows_the_request_asks_and_sends_it_to_you_alone(
    send: Any, onesignal: Starlette
) -> None:
    result = send()

    assert result.exit_code == 0, result.output
    assert '"contents": {\n    "en": "Boots is on its way"' in result.output
    assert f"One push, by rule shipped, to the user me of app {APP_ID}." in result.output
    assert "Send it? [y/N]: y" in result.output
    assert "Accepted by OneSignal (message " in result.output
    (push,) = pushes(onesignal)
    assert (push.external_id, push.platform) == ("me", "android")
    (body,) = creations(onesignal)
    assert body["include_aliases"] == {"external_id": ["me"]}
    assert body["isIos"] is False


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_whoever_does_not_say_yes_sends_nothing(
    send: Any, onesignal: Starlette, typed: str
) -> None:
    result = send(typed=typed)

    assert result.exit_code == 1
    assert "Nothing was sent." in result.output
    assert creations(onesignal) == []


def test_nobody_to_ask_is_nothing_sent(send: Any, onesignal: Starlette) -> None:
    assert send(typed="").exit_code == 1
    assert creations(onesignal) == []


def test_yes_does_not_ask(send: Any, onesignal: Starlette) -> None:
    result = send("--yes", typed="")

    assert result.exit_code == 0
    assert "[y/N]" not in result.output
    assert len(pushes(onesignal)) == 1


def test_each_try_has_a_key_of_its_own(send: Any, onesignal: Starlette) -> None:
    send()
    send()

    first, second = creations(onesignal)
    assert first["idempotency_key"] != second["idempotency_key"]
    assert len(pushes(onesignal)) == 2


def test_a_user_without_a_device_is_told(send: Any) -> None:
    result = send(to="nobody")

    assert result.exit_code == 1
    assert "Nobody was reached: nobody has no subscribed device" in result.output


def test_an_iphone_is_not_reached_when_the_mapping_excludes_iphones(
    send: Any, onesignal: Starlette
) -> None:
    onesignal.state.sandbox.add_device("apple", "ios", app_id=APP_ID)

    result = send(to="apple")

    assert result.exit_code == 1
    assert "on the platforms of this push" in result.output
    assert pushes(onesignal) == []


def test_several_pushes_are_refused_until_one_rule_is_named(
    send: Any, onesignal: Starlette
) -> None:
    both = send(event=DEAR)

    assert both.exit_code == 1
    assert str(both.exception) == (
        "these events make 2 pushes (shipped, thanks), and one is sent at a time"
    )
    assert creations(onesignal) == []
    assert send("--rule", "thanks", event=DEAR).exit_code == 0
    assert creations(onesignal)[0]["contents"] == {"en": "Thank you"}


@pytest.mark.parametrize(
    ("event", "arguments", "why"),
    [
        ({"type": "identify", "userId": "u", "traits": {"plan": "x"}}, (), "these events make no push"),
        (SHIPPED, ("--rule", "thanks"), "these events make no push of rule thanks"),
        ([SHIPPED, SHIPPED], (), "these events make 2 pushes (shipped), and one is sent at a time"),
    ],
)  # fmt: skip
def test_what_is_not_one_push_is_refused(
    send: Any, event: Any, arguments: tuple[str, ...], why: str
) -> None:
    result = send(*arguments, event=event)

    assert result.exit_code == 1
    assert str(result.exception) == why


def test_a_refused_key_is_told(send: Any, onesignal: Starlette) -> None:
    onesignal.state.sandbox.faults.script({"answers": [{"status": 401}]})

    result = send()

    assert result.exit_code == 1
    assert "OneSignal refuses the key (401)" in result.output
    assert "Nothing was sent." in result.output


def test_during_a_rotation_the_key_that_is_taken_counts(
    send: Any, onesignal: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ONESIGNAL_API_KEY", "os_v2_app_new,os_v2_app_old")
    onesignal.state.sandbox.faults.script({"answers": [{"status": 401}], "times": 1})

    assert send().exit_code == 0
    assert len(pushes(onesignal)) == 1


def test_nobody_there_is_told(send: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_ONESIGNAL_URL", "http://127.0.0.1:9")

    result = send()

    assert result.exit_code == 1
    assert "OneSignal was not reached" in result.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["plan", "e.json", "--send"], "--send needs --to USER"),
        (["plan", "--send", "--to", "me", "--recent", "5"], "--send goes with a file"),
        (["plan", "e.json", "--to", "me"], "--to, --rule and --yes go with --send"),
        (["plan", "-", "--send", "--to", "me"], "standard input cannot be asked"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], why: str) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert why in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [("DRY_RUN", "yes", "nothing is sent: dry_run"), ("ONLY_USERS", "you", "nothing is sent: not_listed")],
)  # fmt: skip
def test_what_the_settings_forbid_is_not_sent(
    send: Any, onesignal: Starlette, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, why: str
) -> None:  # fmt: skip
    monkeypatch.setenv(f"BRIDGE_{setting}", value)

    result = send("--yes")

    assert result.exit_code == 1
    assert str(result.exception) == why
    assert creations(onesignal) == []


def test_whom_the_settings_list_gets_it(
    send: Any, onesignal: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ONLY_USERS", "you,me")

    assert send().exit_code == 0
    assert len(pushes(onesignal)) == 1


# The legacy API ------------------------------------------------------------------------------------

LEGACY = {
    "ONESIGNAL_API": "legacy",
    "ONESIGNAL_API_KEY": "NGEwMGZmMjItY2NkNy0xMWUzLTk5ZDUtMDAwYzI5NDBlNjJj",
    "ONESIGNAL_PLATFORMS": "android,web,ios",
}


def speak_legacy(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    for name, value in (LEGACY | more).items():
        monkeypatch.setenv(f"BRIDGE_{name}", value)


def test_to_an_app_of_the_legacy_api_it_sends_as_the_service_would(
    send: Any, onesignal: Starlette, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop.yaml").write_text(MAPPING.replace("{exclude: [ios]}", "all"))
    speak_legacy(monkeypatch)

    result = send()

    assert result.exit_code == 0, result.output
    assert "/api/v1/notifications" in result.output
    (body,) = creations(onesignal)
    assert body["include_external_user_ids"] == ["me"]
    assert len(pushes(onesignal)) == 1


@pytest.mark.parametrize(
    ("trusts", "code"), [({}, 1), ({"ONESIGNAL_LEGACY_FLAGS": "trust"}, 0)], ids=["refuse", "trust"]
)
def test_what_the_service_would_send_to_devices_is_not_sent_by_flags_that_may_do_nothing(
    send: Any,
    onesignal: Starlette,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trusts: dict[str, str],
    code: int,
) -> None:
    by_devices = MAPPING.replace("{exclude: [ios]}", "{exclude: [ios], by: devices}")
    (tmp_path / "shop.yaml").write_text(by_devices)
    speak_legacy(monkeypatch, **trusts)

    result = send()

    assert result.exit_code == code, result.output
    assert len(creations(onesignal)) == 1 - code


def test_a_mapping_that_the_service_would_refuse_there_is_refused_here(
    send: Any, onesignal: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak_legacy(monkeypatch)

    assert "legacy-flags-refused" in str(send().exception)
    assert creations(onesignal) == []
