"""Everything that somebody is told of: once when it begins, once when it is over, and no word of anybody."""

from __future__ import annotations

import email.utils
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.alerts.causes import LOW_DISK_BYTES
from bridge.config.load import load_config
from bridge.deliver.brake import PUSHES
from tests.e2e.test_alerts import MINUTE, TOKEN, Chat, fail
from tests.harness import APP_ID, SECRET, Rig, identify, signed, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: welcome
    when: event = "Signed Up"
    limit: {max: 260, per: 1h}
    do: {send_notification: {contents: "Hello {{ properties.name }}"}}
  - name: flash
    when: event = "Flash"
    limit: {max: 1, per: 10m}
    do: {send_notification: {contents: "Now, {{ userId }}"}}
"""
PERSON, NAME = "xylocopa-17", "Xylocopa Violacea"
Act = Callable[[Rig, pytest.MonkeyPatch], Awaitable[None]]


async def ask(here: Rig, path: str, **body: Any) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = await here.http.post(f"/api/v1/{path}", headers=headers, json=body)
    assert answer.status_code == 200, answer.text


async def profile(here: Rig, message_id: str = "m1") -> None:
    await here.post(identify(PERSON, message_id, tier=NAME))


async def mended(here: Rig, _: pytest.MonkeyPatch) -> None:
    here.sandbox.faults.clear()


async def the_key_is_refused(here: Rig, _: pytest.MonkeyPatch) -> None:
    fail(here, "write", status=403, body={"errors": [NAME]})
    await profile(here)


async def onesignal_fails(here: Rig, _: pytest.MonkeyPatch) -> None:
    fail(here, "write", status=503)
    await here.post([identify(f"{PERSON}-{n}", f"m{n}", tier=NAME) for n in range(40)])


async def onesignal_asks_for_an_hour(here: Rig, _: pytest.MonkeyPatch) -> None:
    here.sandbox.faults.script(
        {"match": {}, "answers": [{"status": 429, "headers": {"Retry-After": "3600"}}]}
    )
    await profile(here)


async def an_hour_passes(here: Rig, _: pytest.MonkeyPatch) -> None:
    await here.pass_time(60 * MINUTE)


async def an_event_waits(here: Rig, _: pytest.MonkeyPatch) -> None:
    here.sandbox.faults.script(
        {"match": {}, "answers": [{"status": 503, "headers": {"Retry-After": "1800"}}]}
    )
    await profile(here)


async def pushes_are_paused(here: Rig, _: pytest.MonkeyPatch) -> None:
    await here.bridge.brake.pull(PUSHES)


async def an_iphone_was_reached(here: Rig, _: pytest.MonkeyPatch) -> None:
    await here.bridge.brake.pull(PUSHES, reason="ios_reached")


async def pushes_are_resumed(here: Rig, _: pytest.MonkeyPatch) -> None:
    await ask(here, "resume", what="pushes")


async def a_limit_holds(here: Rig, _: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await here.post(track("Flash", f"{PERSON}-{number}"))


async def it_is_released(here: Rig, _: pytest.MonkeyPatch) -> None:
    await ask(here, "held/release", rule="flash")


async def something_dies(here: Rig, _: pytest.MonkeyPatch) -> None:
    fail(here, "write", status=400, body={"errors": [NAME]})
    await profile(here)


async def it_is_discarded(here: Rig, _: pytest.MonkeyPatch) -> None:
    await ask(here, "dead/discard")


async def nobody_is_reached(here: Rig, _: pytest.MonkeyPatch) -> None:
    users = [f"{PERSON}-{number}" for number in range(200)]
    await here.post([track("Signed Up", user, properties={"name": NAME}) for user in users])


async def somebody_is(here: Rig, _: pytest.MonkeyPatch) -> None:
    users = [f"{PERSON}-late-{number}" for number in range(40)]
    for user in users:
        here.sandbox.add_device(user, "android", app_id=APP_ID)
    await here.post([track("Signed Up", user, properties={"name": NAME}) for user in users])


async def the_source_is_silent(here: Rig, _: pytest.MonkeyPatch) -> None:
    await profile(here)
    await here.pass_time(61 * MINUTE)


async def it_is_heard(here: Rig, _: pytest.MonkeyPatch) -> None:
    await profile(here, "m2")


async def its_secret_is_another(here: Rig, _: pytest.MonkeyPatch) -> None:
    for number in range(20):
        body, headers = signed(identify(PERSON, f"r{number}", tier=NAME), secret="another")
        answer = await here.http.post("/v1/segment/default", content=body, headers=headers)
        assert answer.status_code == 401


def clock(ahead_seconds: float) -> Act:
    async def change(here: Rig, _: pytest.MonkeyPatch) -> None:
        await here.pass_time(MINUTE)
        theirs = email.utils.formatdate(here.clock.now_ms() / 1000 - ahead_seconds, usegmt=True)
        here.sandbox.faults.clear()
        fail(here, "write", status=202, headers={"Date": theirs})
        # Another value each time: what OneSignal has already is not said again.
        await here.post(identify(PERSON, f"m{ahead_seconds}", tier=f"{NAME}{ahead_seconds}"))

    return change


def disk(free: int) -> Act:
    async def change(here: Rig, patch: pytest.MonkeyPatch) -> None:
        patch.setattr("bridge.app.seeing.free_bytes", lambda _: free)

    return change


def unready(why: str | None) -> Act:
    async def change(here: Rig, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(here.bridge.journal._pressure, "reason", lambda _: why)

    return change


def edit(text: str) -> Act:
    async def change(here: Rig, patch: pytest.MonkeyPatch) -> None:
        mapping = here.bridge.journal.path.with_name("edited.yaml")
        mapping.write_text(text)
        environment = {
            "BRIDGE_MAPPINGS": str(mapping),
            "BRIDGE_SEGMENT_SECRETS": SECRET,
            "BRIDGE_ONESIGNAL_APP_ID": APP_ID,
            "BRIDGE_ONESIGNAL_API_KEY": "os_v2_app_test",
        }
        here.bridge.reloader.read = lambda: load_config(environment)
        await here.bridge.reloader.reload()

    return change


ALERTS: dict[str, tuple[Act, Act]] = {
    "OneSignal refuses the API key": (the_key_is_refused, mended),
    "OneSignal fails for app default": (onesignal_fails, mended),
    "gate default/write held for": (onesignal_asks_for_an_hour, an_hour_passes),
    "this machine's clock is 7 minutes ahead of OneSignal's": (clock(420), clock(0)),
    "this machine's clock is 7 minutes behind OneSignal's": (clock(-420), clock(60)),
    "the oldest event waits for": (an_event_waits, an_hour_passes),
    "paused: pushes": (pushes_are_paused, pushes_are_resumed),
    "paused: pushes, because a push reached an iPhone": (
        an_iphone_was_reached,
        pushes_are_resumed,
    ),
    "2 held of rule flash": (a_limit_holds, it_is_released),
    "1 dead: http_400": (something_dies, it_is_discarded),
    "of rule welcome of app default reached nobody": (nobody_is_reached, somebody_is),
    "source default has sent nothing": (the_source_is_silent, it_is_heard),
    "events of source default are refused: signature-wrong": (its_secret_is_another, it_is_heard),
    "MB are free beside the database": (disk(LOW_DISK_BYTES - 1), disk(LOW_DISK_BYTES)),
    "unready: the disk is slow": (unready("the disk is slow"), unready(None)),
    "an edit was refused: unknown-field": (
        edit(MAPPING.replace("rules:", "rulez:")),
        edit(MAPPING),
    ),
}


@pytest.mark.parametrize(("words", "acts"), ALERTS.items(), ids=list(ALERTS))
async def test_it_is_told_once_when_it_begins_and_once_when_it_is_over(
    tmp_path: Path,
    words: str,
    acts: tuple[Act, Act],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin, end = acts
    chat = Chat()
    silence = timedelta(hours=1 if "source" in words else 0)
    async with chat.rig(tmp_path, MAPPING, silence=silence) as here:
        # The first look is at the start: what begins under its eyes is told of half.
        await here.still()
        await begin(here, monkeypatch)
        await here.pass_time(20 * MINUTE)
        # What waits because of it for longer than a quarter of an hour is a cause of its own.
        assert len([text for text in chat.texts if words in text]) == 1, chat.texts
        await end(here, monkeypatch)
        await here.pass_time(20 * MINUTE)
        (over,) = [text for text in chat.texts if words in text][1:]
        assert over.startswith("Over after ")
        # Nothing is left of anything that was told of.
        assert 2 * sum(text.startswith("Over after ") for text in chat.texts) == len(chat.texts)
        metrics = (await here.http.get("/metrics")).text
    everything = f"{chat.texts}{capsys.readouterr()}{metrics}".lower()
    assert "xylocopa" not in everything
    assert TOKEN not in everything
