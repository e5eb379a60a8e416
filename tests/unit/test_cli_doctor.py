"""`doctor`: what it looks at, what it says of what is wrong, and that nobody gets anything of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from typer.testing import CliRunner, Result

from bridge import __version__
from bridge.cli import app
from bridge.cli.doctoring import onesignal
from bridge.cli.doctoring.here import filesystem, room
from bridge.cli.doctoring.onesignal import Device, reaches
from bridge.cli.doctoring.probe import written
from bridge.clock import SystemClock
from bridge.onesignal.platforms import Policy, allowed, flags
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, SECRET, signature
from tests.serving import served

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: shipped, when: event = "Order Shipped", do: {send_notification: {contents: on its way}}}
  - {name: welcome, when: event = "Signed Up", do: {send_notification: {template_id: 5f6c3a52-3d0b-4f57-9d5e-1f0a6f5f7c11}}}
"""


def test_too_little_room_is_an_error_and_is_told_in_megabytes() -> None:
    assert [room(free).level for free in (22_000_000, 700_000_000, 9_000_000_000)] == [
        "error",
        "warning",
        "ok",
    ]
    assert (room(22_000_000).said, room(9_000_000_000).said) == (
        "22 MB are free",
        "9.0 GB are free",
    )


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"segment-bridge {__version__}\n"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Starlette, str]]:
    made = create_sandbox(clock=SystemClock())
    with served(made) as url:
        yield made, url


@pytest.fixture
def sandbox(running: tuple[Starlette, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made, url = running
    made.state.sandbox.reset()
    (tmp_path / "m.yaml").write_text(MAPPING)
    for name in [name for name in os.environ if name.startswith("BRIDGE_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "MAPPINGS": str(tmp_path / "m.yaml"),
        "DATABASE_URL": f"sqlite:///{tmp_path}/bridge.db",
        "SEGMENT_SECRETS": SECRET,
        "SEGMENT_TOKEN": "a-token-of-many-letters",
        "ONESIGNAL_APP_ID": APP_ID,
        "ONESIGNAL_API_KEY": "os_v2_app_test",
        "ONESIGNAL_URL": url,
        "ONESIGNAL_PLAN": "growth",
    }.items():
        monkeypatch.setenv(f"BRIDGE_{name}", value)
    monkeypatch.setattr(onesignal, "VIEWS_APART_SECONDS", 0.0)
    return made.state.sandbox


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def checks(*arguments: str) -> dict[str, dict[str, Any]]:
    ran = doctor("--json", *arguments)
    return {one["name"]: one for one in map(orjson.loads, ran.output.splitlines())}


def test_what_is_right_is_said_to_be_and_nothing_is_sent(sandbox: Any) -> None:
    ran = doctor()
    assert ran.exit_code == 0, ran.output
    for part in (
        "settings: ",
        "storage: ",
        "key of default: OneSignal knows",
        "plan growth",
        "is there",
    ):
        assert part in ran.output
    assert ran.output.endswith("0 errors. Nothing was sent to anyone.\n")
    assert {call.method for call in sandbox.calls} == {"GET"}


def test_a_key_that_onesignal_refuses_is_an_error_with_the_place_of_the_right_one(
    sandbox: Any,
) -> None:
    sandbox.faults.script({"match": {"class": "view"}, "answers": [{"status": 403}], "times": 1})
    ran = doctor()
    assert ran.exit_code == 1
    assert "ERROR    key of default: OneSignal refuses the key (403)" in ran.output
    assert "Keys & IDs" in ran.output
    assert "os_v2_app_test" not in ran.output


def test_a_template_that_is_not_there_names_its_rule(sandbox: Any) -> None:
    missing = {"match": {"path": "/templates/*"}, "answers": [{"status": 404}], "times": 1}
    sandbox.faults.script(missing)
    assert checks()["template of welcome"]["level"] == "error"


def test_a_wrong_setting_is_said_before_anybody_is_asked(
    sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_ONESIGNAL_APP_ID", "no-id")
    assert checks()["settings"]["said"] == "errors: setting-invalid"
    assert not sandbox.calls


def test_of_a_user_it_says_which_devices_a_push_would_reach(sandbox: Any) -> None:
    sandbox.add_device("u1", "android", app_id=APP_ID)
    sandbox.add_device("u1", "ios", app_id=APP_ID)
    ran = doctor("--user", "u1")
    assert ran.exit_code == 0, ran.output
    assert "device: iOSPush" in ran.output
    reached = next(line for line in ran.output.splitlines() if "push shipped" in line)
    assert "AndroidPush" in reached
    assert "iOSPush" not in reached


def test_a_push_that_would_reach_none_of_a_users_devices_says_for_which_it_is(
    sandbox: Any,
) -> None:
    sandbox.add_device("u1", "ios", app_id=APP_ID)
    found = checks("--user", "u1")["push shipped"]
    assert (found["level"], found["said"]) == ("warning", "would reach none of these devices")
    assert found["hint"].startswith("it is for android, web: ")


def test_of_several_apps_each_says_whose_device_and_push_it_is_and_a_shared_mapping_counts_once(
    sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(tmp_path, monkeypatch)
    config = tmp_path / "bridge.yaml"
    club = f"  club: {{app_id: {APP_ID[:-1]}2, api_key: os_v2_app_of_a_club}}\nsources:\n"
    shared = "mappings: m.yaml, secrets: the-secret-of-another"
    text = config.read_text().replace("sources:\n", club) + f"  club: {{app: club, {shared}}}\n"
    config.write_text(text.replace("secrets: the-secret-of-the-backend", shared))
    config.write_text(
        config.read_text().replace("app: shop, secrets", "app: shop, mappings: m.yaml, secrets")
    )
    sandbox.add_device("u1", "android", app_id=APP_ID)
    rows = [orjson.loads(line) for line in doctor("--json", "--user", "u1").output.splitlines()]
    names = [one["name"] for one in rows]
    for name in (
        "device of shop",
        "push shipped of shop",
        "template of welcome of shop",
        "user of club",
    ):
        assert names.count(name) == 1, names


def test_a_push_for_registered_devices_is_said_to_be(sandbox: Any, tmp_path: Path) -> None:
    text = MAPPING.replace("{exclude: [ios]}", "{exclude: [ios], by: devices}")
    (tmp_path / "m.yaml").write_text(text)
    sandbox.add_device("u1", "android", app_id=APP_ID)
    assert "registered here alone" in checks("--user", "u1")["push shipped"]["said"]


def test_a_user_nobody_knows_is_what_a_forgotten_login_looks_like(sandbox: Any) -> None:
    ran = doctor("--user", "nobody")
    assert ran.exit_code == 1
    assert "OneSignal.login" in ran.output
    assert sandbox.calls


@pytest.mark.parametrize("right", [True, False])
def test_an_app_of_the_legacy_api_is_asked_by_it(
    sandbox: Any, monkeypatch: pytest.MonkeyPatch, *, right: bool
) -> None:
    monkeypatch.setenv("BRIDGE_ONESIGNAL_API", "legacy")
    monkeypatch.setenv("BRIDGE_ONESIGNAL_LEGACY_FLAGS", "trust")
    sandbox.add_device("u1", "ios", app_id=APP_ID)
    monkeypatch.setattr(sandbox, "api_keys", None if right else frozenset(["another"]))
    found = checks("--user", "u1")
    assert found["key of default"]["level"] == ("ok" if right else "error")
    if right:
        assert found["user"]["said"] == "the legacy API shows nobody's devices"
        assert not [name for name in found if name.startswith("push")]
    else:
        assert "refuses the key (400)" in found["key of default"]["said"]
    assert sandbox.calls[0].is_legacy


@pytest.mark.parametrize("kind", sorted(onesignal.PLATFORM))
def test_a_policy_without_ios_reaches_no_apple_phone(kind: str) -> None:
    device = Device({"type": kind, "enabled": True, "notification_types": 1})
    served_ = ("android", "web", "ios", "huawei", "amazon", "windows")
    out = flags(allowed(Policy(kind="exclude", names=frozenset({"ios"})), served_))
    assert reaches(out, device) is (device.platform not in {"ios", "ios_web"})
    assert reaches(flags(allowed(Policy(kind="all"), served_)), device)


@pytest.mark.slow
def test_the_probe_says_its_settings_writes_them_and_leaves_nobody(
    sandbox: Any, tmp_path: Path
) -> None:
    file = tmp_path / "bridge.env"
    file.write_text("BRIDGE_PORT=8080\nBRIDGE_ONESIGNAL_UPSERT=post-first\n")
    ran = doctor("--probe", "--write", str(file))
    assert ran.exit_code == 0, ran.output
    lines = file.read_text().splitlines()
    assert lines[0] == "BRIDGE_PORT=8080"
    assert [line for line in lines if "UPSERT" in line] == ["BRIDGE_ONESIGNAL_UPSERT=patch-first"]
    assert {line.partition("=")[0] for line in lines[1:]} == {
        "BRIDGE_ONESIGNAL_UPSERT",
        "BRIDGE_ONESIGNAL_EVENT_KEY",
        "BRIDGE_ONESIGNAL_ALIAS_CHUNK",
    }
    assert sandbox.users == []
    assert "Nothing was sent to anyone" in ran.output


def test_lines_of_settings_replace_what_the_file_said_of_them() -> None:
    assert written("A=1\nB=2\n# B=3\n", ["B=4"]) == "A=1\n# B=3\nB=4\n"


# The public address


def test_a_bridge_behind_its_address_takes_small_and_large_and_no_strangers(sandbox: Any) -> None:
    async def take(request: Request) -> Response:
        body = await request.body()
        if request.headers.get("x-signature") != signature(body):
            return Response(b'{"code": "token-wrong", "message": "no"}', 401)
        return Response(b'{"accepted": 1, "duplicates": 0, "rejected": []}')

    with served(Starlette(routes=[Route("/v1/segment", take, methods=["POST"])])) as url:
        found = checks("--url", f"{url}/v1/segment")
    assert found["public address"]["level"] == "ok"
    large = found["4 MB through the address"]
    assert large["level"] == "ok"
    assert large["said"] > "3,9"
    assert found["strangers"]["level"] == "ok"
    assert found["what is inside"]["level"] == "ok"
    assert sandbox.calls


def test_what_is_inside_is_not_to_be_reached_from_outside(sandbox: Any) -> None:
    async def say(_: Request) -> Response:
        return Response(b'{"accepted": 1, "duplicates": 0, "rejected": []}')

    routes = [Route("/v1/segment", say, methods=["POST"]), Route("/metrics", say)]
    with served(Starlette(routes=routes)) as url:
        found = checks("--url", f"{url}/v1/segment")["what is inside"]
    assert (found["level"], found["said"].split(" ")[0]) == ("warning", "/metrics")
    assert "BRIDGE_ADMIN_PORT" in found["hint"]
    assert sandbox.calls


def test_it_says_where_the_bridge_is_reached_and_by_whom(
    sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks()["ports"]["said"].endswith("console, API and metrics there, too")
    monkeypatch.setenv("BRIDGE_ADMIN_PORT", "8081")
    assert checks()["ports"]["said"].endswith("console, API and metrics on 127.0.0.1:8081")
    assert sandbox.calls


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (RedirectResponse("/elsewhere"), "redirects"),
        (PlainTextResponse("too large", 413), "too large"),
        (PlainTextResponse("<html>welcome</html>"), "is no bridge"),
        (
            Response(b'{"code": "signature-mismatch", "message": "compare"}', 503),
            "signature-mismatch",
        ),
    ],
)
def test_what_stands_in_the_way_of_the_address_is_named(
    sandbox: Any, answer: Response, said: str
) -> None:
    async def refuse(_: Request) -> Response:
        return answer

    with served(Starlette(routes=[Route("/v1/segment", refuse, methods=["POST"])])) as url:
        ran = doctor("--url", f"{url}/v1/segment")
    assert ran.exit_code == 1
    assert said in ran.output
    assert sandbox.calls


def test_a_source_that_there_is_not_is_told_which_there_is(sandbox: Any) -> None:
    async def refuse(_: Request) -> Response:
        return Response(b'{"code": "source-unknown", "message": "There is no source."}', 404)

    with served(Starlette(routes=[Route("/v1/segment/x", refuse, methods=["POST"])])) as url:
        ran = doctor("--url", f"{url}/v1/segment/x")
    assert "There is no source. The address ends in /v1/segment/default" in ran.output
    assert sandbox.calls


SOURCES = """
apps:
  shop: {{app_id: {app_id}, api_key: os_v2_app_of_a_shop}}
sources:
  backend: {{app: shop, secrets: the-secret-of-the-backend}}
  web: {{app: shop, secrets: {secret}}}
"""


def several(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources, of which the harness signs for one."""
    text = SOURCES.format(app_id=APP_ID, secret=SECRET)
    (folder / "bridge.yaml").write_text(text)
    monkeypatch.setenv("BRIDGE_CONFIG", str(folder / "bridge.yaml"))
    for name in (
        "ONESIGNAL_APP_ID",
        "ONESIGNAL_API_KEY",
        "SEGMENT_SECRETS",
        "SEGMENT_TOKEN",
        "MAPPINGS",
    ):
        monkeypatch.delenv(f"BRIDGE_{name}")


@pytest.mark.parametrize(
    ("path", "more", "level"),
    [
        ("/v1/segment/web", [], "ok"),
        ("/v1/segment/web/a-token", [], "ok"),
        ("/v1/segment/backend", ["--source", "web"], "ok"),
        ("/v1/segment/backend", [], "error"),
    ],
)
def test_of_several_sources_the_address_says_which_it_is(
    sandbox: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    more: list[str],
    level: str,
) -> None:
    async def take(request: Request) -> Response:
        if request.headers.get("x-signature") != signature(await request.body()):
            return Response(b'{"code": "signature-wrong", "message": "no"}', 401)
        return Response(b'{"accepted": 1, "duplicates": 0, "rejected": []}')

    several(tmp_path, monkeypatch)
    with served(
        Starlette(routes=[Route("/v1/segment/{rest:path}", take, methods=["POST"])])
    ) as url:
        found = checks("--url", f"{url}{path}", *more)
        assert found["public address"]["level"] == level
    assert sandbox.calls


def test_who_has_to_name_a_source_hears_so_before_anything_is_asked(
    sandbox: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(sandbox.calls)
    several(tmp_path, monkeypatch)
    ran = doctor("--url", "http://127.0.0.1:9/v1/segment")
    assert ran.exit_code == 2
    assert "name one of the sources: --source backend | web" in ran.output
    assert "settings" not in ran.output
    assert len(sandbox.calls) == before


def test_an_address_that_answers_no_longer_is_told_as_a_finding(sandbox: Any) -> None:
    async def take(request: Request) -> Response:
        await request.body()
        if "x-signature" in request.headers:
            return Response(b'{"accepted": 1, "duplicates": 0, "rejected": []}')
        # Less than it says: whoever reads meets the end of the connection.
        return Response(b"", headers={"content-length": "10"})

    with served(Starlette(routes=[Route("/v1/segment", take, methods=["POST"])])) as url:
        found = checks("--url", f"{url}/v1/segment")
    assert found["4 MB through the address"]["level"] == "ok"
    assert found["the rest"]["level"] == "error"
    assert sandbox.calls


def test_the_file_system_of_a_folder_is_the_one_mounted_deepest(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("a / ext4 rw\nb /data nfs4 rw\nc /data/fast xfs rw\n")
    assert filesystem(Path("/data/bridge"), mounts) == "nfs4"
    assert filesystem(Path("/data/fast/x"), mounts) == "xfs"
    assert filesystem(Path("/var"), mounts) == "ext4"
    assert filesystem(Path("/var"), tmp_path / "none") == ""
