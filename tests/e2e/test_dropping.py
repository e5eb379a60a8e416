"""What is not to be stored is not stored: not in an event, not in a dead letter, not in a call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness import Rig, identify, rig, signed

MAPPING = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}", mail: "{{ traits.email }}"}}}
"""
DROP: dict[str, Any] = {"drop": ("traits.email", "context.ip"), "keep_unmatched": "3d"}
SECRETS = (b"ann@secret.example", b"203.0.113.7")
CONTEXT = {"ip": "203.0.113.7", "locale": "de"}


async def kept(here: Rig) -> bytes:
    await here.settle()
    path = here.bridge.journal.path
    return path.read_bytes() + path.with_name(path.name + "-wal").read_bytes()


async def test_dropped_paths_reach_neither_the_disk_nor_onesignal(tmp_path: Path) -> None:
    event = identify("u1", "m1", email="ann@secret.example", tier="gold") | {"context": CONTEXT}
    unwanted = {"type": "group", "userId": "u1", "groupId": "g", "messageId": "m2"}
    async with rig(tmp_path, MAPPING, **DROP) as here:
        await here.post(event)
        await here.post([unwanted | {"context": CONTEXT}])
        text = await kept(here)
        assert b"gold" in text
        assert b'"locale":"de"' in text
        assert not any(secret in text for secret in SECRETS)
        user = here.sandbox.user("u1")
        assert user is not None
        assert user.tags == {"tier": "gold"}


async def test_the_signature_is_of_what_was_sent_and_a_repeat_is_known_by_it(
    tmp_path: Path,
) -> None:
    event = identify("u1", email="ann@secret.example", tier="gold")
    del event["messageId"]
    raw, headers = signed(event)
    async with rig(tmp_path, MAPPING, **DROP) as here:
        told = [
            (await here.http.post("/v1/segment", content=raw, headers=headers)).json()
            for _ in range(2)
        ]
        assert [(one["accepted"], one["duplicates"]) for one in told] == [(1, 0), (0, 1)]
        await here.settle()
        assert [end[3] for end in await here.outcomes()] == ["delivered"]


async def test_what_is_no_event_is_kept_without_what_was_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, **DROP) as here:
        told = await here.post(["203.0.113.7"])
        assert told["rejected"][0]["code"] == "not-an-object"
        text = await kept(here)
        assert not any(secret in text for secret in SECRETS)
        (letter,) = await here.bridge.journal.dead_letters()
        assert (letter.reason, letter.payload) == ("not_an_object", None)
