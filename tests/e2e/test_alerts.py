"""Somebody is told of what is wrong, once, and when it is over, once."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.clock import ManualClock
from bridge.config.load import load_config
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, SECRET, Rig, identify, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: welcome
    when: event = "Signed Up"
    limit: {max: 300, per: 1h}
    do: {send_notification: {contents: "Hello {{ properties.name }}"}}
"""
ADDRESS = "https://chat.test/hooks/T0/s3cret-token"
TOKEN = "let-me-in"
MINUTE = 60.0


class Chat:
    """A chat's webhook, of the kind that takes {"text": …}."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refused = 0
        #: What it answers.
        self.status = 200
        self._app = Starlette(
            routes=[Route("/hooks/T0/s3cret-token", self._hear, methods=["POST"])]
        )

    async def _hear(self, request: Request) -> Response:
        body = await request.json()
        assert list(body) == ["text"]
        if self.status == 200:
            self.texts.append(body["text"])
        else:
            self.refused += 1
        return Response(status_code=self.status)

    def rig(
        self, folder: Path, mapping: str = SHOP, **more: Any
    ) -> AbstractAsyncContextManager[Rig]:
        return rig(
            folder,
            mapping,
            alerts=httpx.ASGITransport(self._app),
            alert_url=SecretStr(ADDRESS),
            admin_token=SecretStr(TOKEN),
            **more,
        )


@pytest.fixture
def chat() -> Chat:
    return Chat()


def fail(here: Rig, endpoint_class: str, **answer: Any) -> None:
    fault = {"match": {"class": endpoint_class}, "answers": [answer], "times": "until_cleared"}
    here.sandbox.faults.script(fault)


async def test_a_bridge_that_is_well_says_nothing(tmp_path: Path, chat: Chat) -> None:
    async with chat.rig(tmp_path) as here:
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(20 * MINUTE)
    assert chat.texts == []


async def test_a_refused_key_is_one_message_however_many_gates_it_closes(
    tmp_path: Path, chat: Chat
) -> None:
    async with chat.rig(tmp_path) as here:
        fail(here, "write", status=403, body={"errors": ["no"]})
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(10 * MINUTE)
        (begin,) = chat.texts
        assert begin.startswith("OneSignal refuses the API key of app default (http_403). Put a")
        here.sandbox.faults.clear()
        await here.pass_time(10 * MINUTE)
        (end,) = chat.texts[1:]
        assert end.startswith("Over after ")
        assert "OneSignal refuses the API key of app default (http_403)." in end


async def test_the_last_message_is_that_the_database_has_failed(tmp_path: Path, chat: Chat) -> None:
    async with chat.rig(tmp_path) as here:
        here.bridge.journal.broken.set_result("the database failed (SQLITE_CORRUPT)")
    (last,) = chat.texts
    assert last.startswith(
        "The bridge has stopped: the database failed (SQLITE_CORRUPT). Start it again"
    )
    assert "segment-bridge salvage" in last


async def test_a_death_is_told_at_once_and_more_of_them_once_in_a_quarter_of_an_hour(
    tmp_path: Path, chat: Chat
) -> None:
    async with chat.rig(tmp_path) as here:
        fail(here, "write", status=400)
        for number in range(20):
            await here.post(identify(f"u{number}", tier="gold"))
            await here.pass_time(MINUTE)
        first, second = chat.texts
        assert first == "1 dead: http_400 of profile. segment-bridge dead list --reason http_400."
        assert second.startswith("Still: 1")
        here.sandbox.faults.clear()
        answer = await here.http.post(
            "/api/v1/dead/replay", headers={"authorization": f"Bearer {TOKEN}"}, json={}
        )
        assert answer.json()["replayed"] == 20
        await here.pass_time(MINUTE)
        (over,) = chat.texts[2:]
        assert over.startswith("Over after 20 min")


async def test_a_pause_is_told_when_it_lasts(tmp_path: Path, chat: Chat) -> None:
    async with chat.rig(tmp_path) as here:
        await here.bridge.brake.pull("rule/welcome")
        await here.pass_time(9 * MINUTE)
        assert chat.texts == []
        await here.pass_time(2 * MINUTE)
        await here.bridge.brake.let_go("rule/welcome")
        await here.pass_time(MINUTE)
        assert chat.texts == [
            "paused: rule/welcome. segment-bridge resume rule welcome lets pushes leave again.",
            "Over after 1 min: paused: rule/welcome.",
        ]


async def test_an_iphone_that_was_reached_is_told_at_once(tmp_path: Path, chat: Chat) -> None:
    async with chat.rig(tmp_path) as here:
        await here.bridge.brake.pull("pushes", reason="ios_reached")
        await here.pass_time(MINUTE)
        (text,) = chat.texts
        assert "a push reached an iPhone (ios_reached)" in text


async def test_what_a_limit_holds_is_told_once_for_its_rule(tmp_path: Path, chat: Chat) -> None:
    async with chat.rig(tmp_path, SHOP.replace("max: 300", "max: 1")) as here:
        for number in range(4):
            here.sandbox.add_device(f"u{number}", "android", app_id=APP_ID)
            await here.post(track("Signed Up", f"u{number}", properties={"name": "Ann"}))
            await here.pass_time(MINUTE)
        (text,) = chat.texts
        assert text.startswith("1 held of rule welcome of app default (limit).")


async def test_a_rule_whose_pushes_reach_nobody_is_told_with_the_question_to_ask(
    tmp_path: Path, chat: Chat
) -> None:
    async with chat.rig(tmp_path) as here:
        users = [f"u{number}" for number in range(200)]
        for user in users[:30]:
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        for some in (users[30:], users[:15]):
            await here.post([track("Signed Up", user, properties={"name": user}) for user in some])
            await here.settle()
            await here.pass_time(MINUTE)
        assert chat.texts == []
        late = [f"late{number}" for number in range(25)]
        await here.post([track("Signed Up", user, properties={"name": user}) for user in late])
        await here.settle()
        await here.pass_time(MINUTE)
        (text,) = chat.texts
        assert "of the last 200 pushes of rule welcome of app default reached nobody" in text
        assert text.endswith("Do your apps call OneSignal.login with Segment's userId?")


async def test_an_edit_that_is_refused_is_told_until_it_is_right(
    tmp_path: Path, chat: Chat
) -> None:
    async with chat.rig(tmp_path) as here:
        mapping = tmp_path / "shop.yaml"
        environment = {
            "BRIDGE_MAPPINGS": str(mapping),
            "BRIDGE_SEGMENT_SECRETS": SECRET,
            "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
            "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        }
        here.bridge.reloader.read = lambda: load_config(environment)
        for text in ("version: 1\nrulez: []\n", SHOP):
            mapping.write_text(text)
            await here.bridge.reloader.reload()
            await here.pass_time(MINUTE)
        begin, end = chat.texts
        assert begin.startswith("an edit was refused: unknown-field, ")
        assert "shop.yaml:2:1" in begin
        assert begin.endswith("segment-bridge check says where; what was in force before stays.")
        assert "Over after 1 min: an edit was refused: unknown-field, " in end


async def test_a_source_that_falls_silent_is_told_when_somebody_asked(
    tmp_path: Path, chat: Chat
) -> None:
    async with chat.rig(tmp_path, silence=timedelta(hours=1), sources=("web", "app")) as here:
        await here.post(track("Ping"), "/v1/segment/web")
        await here.pass_time(61 * MINUTE)
        (text,) = chat.texts
        assert text.startswith("source web has sent nothing for 60 minutes.")
        await here.post(track("Ping", "u2"), "/v1/segment/web")
        await here.pass_time(MINUTE)
        assert chat.texts[1].startswith("Over after ")


async def test_a_restart_repeats_nothing_and_tells_the_end(tmp_path: Path, chat: Chat) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with chat.rig(tmp_path, clock=clock, onesignal=onesignal) as here:
        fail(here, "write", status=403, body={"errors": ["no"]})
        await here.post(identify("u1", tier="gold"))
        await here.pass_time(MINUTE)
    assert len(chat.texts) == 1
    async with chat.rig(tmp_path, clock=clock, onesignal=onesignal) as here:
        await here.pass_time(10 * MINUTE)
        assert len(chat.texts) == 1
        here.sandbox.faults.clear()
        await here.pass_time(10 * MINUTE)
    assert [text.split()[0] for text in chat.texts] == ["OneSignal", "Over"]


async def test_a_message_that_is_not_taken_is_said_later_and_delivery_goes_on(
    tmp_path: Path, chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.status = 500
    async with chat.rig(tmp_path) as here:
        fail(here, "send", status=400)
        here.sandbox.add_device("person-7", "android", app_id=APP_ID)
        await here.post(track("Signed Up", "person-7", "m1", properties={"name": "Ann Lee"}))
        await here.post(identify("person-7", "m2", tier="gold"))
        await here.pass_time(60 * MINUTE)
        assert chat.texts == []
        # Of 240 looks in an hour: it is asked less and less often, down to every five minutes.
        assert 10 <= chat.refused <= 20
        user = here.sandbox.user("person-7", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}
        chat.status = 200
        await here.pass_time(6 * MINUTE)
        (text,) = chat.texts
        assert text.startswith("1 dead: http_400 of ")
    told = capsys.readouterr()
    everything = f"{told.out}{told.err}{chat.texts}"
    assert "alert.not_sent" in everything
    for private in ("s3cret-token", "Ann Lee", "person-7", "gold"):
        assert private not in everything


async def test_status_has_the_same_causes_with_what_to_do(tmp_path: Path, chat: Chat) -> None:
    async with chat.rig(tmp_path) as here:
        await here.bridge.brake.pull("pushes")
        answer = await here.http.get("/api/v1/status", headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.json()["causes"] == [
            {
                "key": "paused/pushes",
                "words": "paused: pushes",
                "todo": "segment-bridge resume pushes lets pushes leave again",
            }
        ]
