"""What is played in memory is what is delivered: the same sends, the same skips, for the same reasons."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.clock import ManualClock
from bridge.rehearsal.stage import Stage
from bridge.segment.events import Event, read_event
from tests.harness import APP_ID, Rig, iso, mapping_of, rig

MAPPING = """\
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 2, per: 10m}}
rules:
  - name: welcome
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: Welcome}, track_custom_event: {name: welcomed}}
  - name: farewell
    when: audience.key = "vip" and audience.entered = false
    max_age: 20m
    do: {send_notification: {contents: Goodbye}}
  - name: sale
    when: event = "Sale"
    once_per: {time: 15m, key: "{{ properties.sku }}"}
    do: {send_notification: {contents: "{{ properties.sku }} is on sale"}}
  - name: friend
    when: event = "Wave"
    do: {send_notification: {contents: Hello, to: {external_id: "{{ properties.friend }}"}}}
"""
USERS = ("u1", "u2")


def happening(chance: random.Random, number: int, now_ms: int) -> dict[str, Any]:
    """One event that may meet a rule, now or some time ago."""
    ago = chance.choice([0, 0, 0, 90, 1000, 3000])
    sent: dict[str, Any] = {
        "messageId": f"m{number}",
        "userId": chance.choice(USERS),
        "timestamp": iso(now_ms - ago * 1000),
    }
    kind = chance.choice(["in", "in", "out", "sale", "wave"])
    if kind in {"in", "out"}:
        entered = kind == "in"
        name = "Audience Entered" if entered else "Audience Exited"
        return sent | {
            "type": "track",
            "event": name,
            "properties": {"audience_key": "vip", "vip": entered},
        }
    if kind == "sale":
        properties = chance.choice([{"sku": "a"}, {"sku": "b"}, {}])
        return sent | {"type": "track", "event": "Sale", "properties": properties}
    properties = {"friend": chance.choice(USERS)}
    return sent | {"type": "track", "event": "Wave", "properties": properties}


def read(sent: dict[str, Any], now_ms: int) -> Event:
    event = read_event(sent, raw=orjson.dumps(sent), source="default", received_ms=now_ms)
    assert isinstance(event, Event)
    return event


async def delivered(run: Rig) -> list[tuple[int, str, str, str | None]]:
    """Event (from 1), rule, operation, and why not, of everything that has ended."""
    return [
        (seq, rule, operation, reason if status == "skipped" else None)
        for seq, rule, operation, status, reason in await run.outcomes()
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_played_is_what_is_delivered(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    stage = Stage(mapping_of(MAPPING))
    played: list[tuple[int, str, str, str | None]] = []
    async with rig(tmp_path, MAPPING, clock=ManualClock()) as run:
        for user in USERS:
            run.sandbox.add_device(user, "android", app_id=APP_ID)
        for number in range(1, 31):
            now_ms = run.clock.now_ms()
            sent = happening(chance, number, now_ms)
            act = stage.hear(read(sent, now_ms), now_ms=now_ms)
            played += [(number, one.rule, one.operation.name, None) for one in act.happenings]
            played += [(number, skip.rule, skip.operation, skip.reason) for skip in act.skips]
            await run.post(sent)
            await run.settle()
            await run.pass_time(chance.choice([1, 30, 120, 700]))
        assert sorted(await delivered(run), key=str) == sorted(played, key=str)
        assert len({reason for *_, reason in played}) >= 4
