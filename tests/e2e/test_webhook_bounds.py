"""What a sender can cost: how much is read, held and tried before the answer is no.

These requests are made by hand, below HTTP, so that a test sees how much of a body was asked for.
"""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Message

from bridge.receive.body import BODY_SECONDS, Budget, Share
from bridge.receive.webhook import MAX_ELEMENTS, Webhook
from tests.harness import Rig, identify, rig, signature, signed

MAPPING = """
version: 1
rules: [{name: profile, when: 'type = "identify"', do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}}]
"""
UNSIGNED: dict[str, Any] = {"segment_secrets": (), "segment_unsigned": "allow"}
MB = 1 << 20
BUDGET = 64_000_000


class Sender:
    """A sender by hand: what it still has to send, and what it was answered."""

    def __init__(self, parts: Iterator[bytes], *, more: Callable[[], Awaitable[Message]]) -> None:
        self._parts = parts
        self._more = more
        self.sent = 0
        self.answered: list[Message] = []

    async def receive(self) -> Message:
        part = next(self._parts, None)
        if part is None:
            return await self._more()
        self.sent += len(part)
        return {"type": "http.request", "body": part, "more_body": True}

    async def send(self, message: Message) -> None:
        self.answered.append(message)

    async def post(self, here: Rig, headers: dict[str, str] | None = None) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/segment/default",
            "query_string": b"",
            "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        }
        await here.bridge.app(scope, self.receive, self.send)

    @property
    def status(self) -> int:
        status: int = self.answered[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.answered[0]["headers"])

    @property
    def answer(self) -> Any:
        return orjson.loads(self.answered[1]["body"])


async def end() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def disconnect() -> Message:
    return {"type": "http.disconnect"}


async def nothing_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def webhook(here: Rig) -> Webhook:
    front: Any = here.bridge.app
    assert isinstance(front._webhook, Webhook)
    return front._webhook


def budget(here: Rig) -> Budget:
    return webhook(here)._intakes["default"].budget


def endless(part: bytes) -> Iterator[bytes]:
    while True:
        yield part


async def test_a_body_that_announces_too_much_is_refused_before_any_of_it_is_read(
    tmp_path: Path,
) -> None:
    sender = Sender(endless(b" " * MB), more=end)
    async with rig(tmp_path, MAPPING) as here:
        await sender.post(here, {"content-length": "8000001"})
        allowed = Sender(iter([b"[]"]), more=end)
        await allowed.post(here, {"content-length": "8000000", "x-signature": signature(b"[]")})
    assert (sender.status, sender.answer["code"]) == (413, "body-too-large")
    assert sender.sent == 0
    assert allowed.status == 200


@pytest.mark.parametrize("headers", [{}, {"content-length": "10"}, {"content-length": "-1"}])
async def test_a_body_without_a_true_length_is_read_no_further_than_the_limit(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    sender = Sender(endless(b" " * MB), more=end)
    async with rig(tmp_path, MAPPING) as here:
        await sender.post(here, headers)
        assert budget(here).left == BUDGET
    assert (sender.status, sender.answer["code"]) == (413, "body-too-large")
    assert 8_000_000 < sender.sent <= 8_000_000 + MB


async def test_a_wrong_token_is_refused_before_any_of_the_body_is_read(tmp_path: Path) -> None:
    sender = Sender(endless(b" "), more=end)
    async with rig(tmp_path, MAPPING, segment_token="the token") as here:
        await sender.post(here, {"content-length": "100", "x-bridge-token": "another"})
    assert sender.status == 401
    assert sender.sent == 0


async def test_a_body_in_parts_is_the_body(tmp_path: Path) -> None:
    raw, headers = signed(identify("u1", "m1"))
    sender = Sender((raw[i : i + 7] for i in range(0, len(raw), 7)), more=end)
    async with rig(tmp_path, MAPPING) as here:
        await sender.post(here, headers)
        assert (sender.status, sender.answer["accepted"]) == (200, 1)
        assert budget(here).left == BUDGET


def bomb(packed_bytes: int) -> bytes:
    """A gzip body that unpacks to a thousand times its size."""
    packer = zlib.compressobj(9, wbits=31)
    block = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block + again * (packed_bytes // len(again))


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_refused_and_never_held_unpacked(tmp_path: Path, encoding: str) -> None:
    packed = bomb(7_500_000)
    assert len(packed) < 8_000_000
    sender = Sender(iter([packed]), more=end)
    async with rig(tmp_path, MAPPING, **UNSIGNED) as here:
        tracemalloc.start()
        try:
            await sender.post(here, {"content-encoding": encoding})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert budget(here).left == BUDGET
    assert (sender.status, sender.answer["code"]) == (413, "body-too-large")
    assert peak < 40 * MB


async def test_many_small_parts_weigh_no_more_than_their_bytes(tmp_path: Path) -> None:
    def parts() -> Iterator[bytes]:
        for number in range(200_000):
            yield b"%06d" % number

    sender = Sender(parts(), more=end)
    async with rig(tmp_path, MAPPING) as here:
        tracemalloc.start()
        try:
            await sender.post(here)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert sender.status == 401
    assert peak < 5 * sender.sent


@pytest.mark.parametrize(
    ("element", "odd"),
    [(b"0", False), (b"NaN", True), (b'{"a":1}', False), (b'{"a":NaN}', True), (b"[]", False)],
)
async def test_a_batch_of_very_many_elements_is_refused_before_they_are_read(
    tmp_path: Path, element: bytes, *, odd: bool
) -> None:
    body = b"[" + b",".join([element] * (200_000 if odd else MAX_ELEMENTS + 1)) + b"]"
    sender = Sender(iter([body]), more=end)
    async with rig(tmp_path, MAPPING, **UNSIGNED) as here:
        await sender.post(here)
        assert here.bridge.journal._tail.last_seq == 0
    assert (sender.status, sender.answer["code"]) == (413, "too-many-events")


@pytest.mark.parametrize("element", [b'{"a":[1,2]}', b' {"a":[1,2]}', b'{"a":[1,NaN]}'])
async def test_a_batch_of_as_many_elements_as_are_allowed_is_taken(
    tmp_path: Path, element: bytes
) -> None:
    body = b"[" + b",".join([element] * MAX_ELEMENTS) + b"]"
    sender = Sender(iter([body]), more=end)
    async with rig(tmp_path, MAPPING, **UNSIGNED) as here:
        await sender.post(here)
        assert sender.status == 200
        assert sender.answer["accepted"] + sender.answer["duplicates"] == MAX_ELEMENTS


async def test_many_values_inside_one_event_are_not_many_events(tmp_path: Path) -> None:
    event = identify("u1", "m1", list=list(range(3 * MAX_ELEMENTS)))
    async with rig(tmp_path, MAPPING) as here:
        assert (await here.post([event]))["accepted"] == 1


# Who is slow, who leaves, and who else has to wait for them


async def test_a_sender_that_leaves_is_not_answered_and_holds_nothing(tmp_path: Path) -> None:
    sender = Sender(iter([b'{"type":"track"', b',"userId":']), more=disconnect)
    async with rig(tmp_path, MAPPING, **UNSIGNED) as here:
        await sender.post(here)
        assert sender.answered == []
        assert budget(here).left == BUDGET
        assert here.bridge.journal._tail.last_seq == 0


async def test_senders_that_announce_much_and_send_nothing_keep_nobody_out(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        silent = [Sender(iter([]), more=nothing_more) for _ in range(50)]
        posts = [
            asyncio.ensure_future(one.post(here, {"content-length": "8000000"})) for one in silent
        ]
        await here.still()
        assert (await here.post(identify()))["accepted"] == 1
        assert not any(post.done() for post in posts)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        assert budget(here).left == BUDGET


async def test_a_body_that_stops_coming_is_asked_for_again_and_what_came_is_let_go(
    tmp_path: Path,
) -> None:
    sender = Sender(iter([b" " * MB]), more=nothing_more)
    async with rig(tmp_path, MAPPING) as here:
        post = asyncio.ensure_future(sender.post(here, {"content-length": "8000000"}))
        await here.still()
        assert budget(here).left == BUDGET - MB
        here.clock.advance(BODY_SECONDS - 1)
        await here.still()
        assert not post.done()
        here.clock.advance(1)
        await post
        assert budget(here).left == BUDGET
    assert (sender.status, sender.answer["code"]) == (503, "body-too-slow")
    assert int(sender.headers[b"retry-after"]) > 0


async def test_bodies_above_the_budget_are_asked_to_come_again(tmp_path: Path) -> None:
    raw, headers = signed(identify("u1", "m1"))
    async with rig(tmp_path, MAPPING) as here:
        others = Share(budget(here))
        assert others.hold(BUDGET - len(raw) + 1)
        answer = await here.http.post("/v1/segment", content=raw, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (503, "too-much-at-once")
        assert int(answer.headers["retry-after"]) > 0

        assert others.hold(BUDGET - len(raw))
        answer = await here.http.post("/v1/segment", content=raw, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


async def test_the_budget_counts_what_a_body_unpacks_to(tmp_path: Path) -> None:
    raw = b'{"type":"identify","userId":"u1"' + b" " * MB + b"}"
    packed = zlib.compress(raw)
    async with rig(tmp_path, MAPPING) as here:
        assert Share(budget(here)).hold(BUDGET - MB)
        answer = await here.http.post(
            "/v1/segment",
            content=packed,
            headers={"content-encoding": "deflate", "x-signature": signature(raw)},
        )
        assert (answer.status_code, answer.json()["code"]) == (503, "too-much-at-once")
        assert budget(here).left == MB
