"""Pushes, when something comes between two steps: nobody is forgotten, and nobody gets one twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.clock import ManualClock
from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES
from bridge.deliver.held import holdings, release, release_resumed
from bridge.deliver.replay import replay
from bridge.errors import JournalUnavailableError
from bridge.sandbox import create_sandbox
from tests.harness import APP_ID, Rig, SetClock, ends, mapping_of, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    do: {send_notification: {contents: "On its way"}}
  - name: offer
    when: event = "Order Shipped" or event = "Sale"
    group: 3s
    do: {send_notification: {contents: "Shoes for it"}}
"""
ALONE = MAPPING.replace("    group: 3s\n", "")
both_ways = pytest.mark.parametrize("mapping", [ALONE, MAPPING], ids=["alone", "in a group"])


def fail(here: Rig, *answers: dict[str, Any]) -> None:
    here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": 1})


def keys(here: Rig) -> list[str | None]:
    return [call.idempotency_key for call in here.sandbox.calls if call.endpoint_class == "send"]


async def test_a_push_in_a_group_leaves_though_another_of_its_event_finds_the_gate_shut(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, {"status": 429, "headers": {"Retry-After": "60"}})
        await here.post(track("Order Shipped"))
        await here.settle()
        assert sorted(push.text for push in here.sandbox.pushes) == ["On its way", "Shoes for it"]
        assert not here.sandbox.complaints


async def test_a_push_in_a_group_is_no_business_of_a_chain_that_waits_for_another(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        wait = [{"status": 503, "headers": {"Retry-After": seconds}} for seconds in ("60", "120")]
        fail(here, *wait)
        await here.post(track("Order Shipped"))
        await here.settle()
        assert sorted(Counter(keys(here)).values()) == [2, 2]
        assert {one[3] for one in await here.outcomes()} == {"delivered"}


@both_ways
async def test_what_grows_too_old_at_a_shut_gate_while_it_is_paused_is_held(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.means.destination.sends.hold(5 * 3600)
        await here.post(track("Sale"))
        await here.pass_time(60)
        await here.bridge.brake.pull(PUSHES)
        await here.settle(within=6 * 3600)
        assert await here.bridge.journal.sends.held_counts() == [(APP, "offer", "paused", 1)]
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert [push.text for push in here.sandbox.pushes] == ["Shoes for it"]


@dataclass
class LateJournal:
    """A journal in which something of groups is on disk for a while before who asked for it hears so."""

    inner: Any
    what: str
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)
        if name == "groups":
            return LateJournal(method, self.what, self.heard)
        return self._late if name == self.what else method

    async def _late(self, *args: Any, **named: Any) -> Any:
        done = await getattr(self.inner, self.what)(*args, **named)
        await self.heard.wait()
        return done


async def test_a_call_that_is_found_before_who_seals_it_hears_of_it_is_made_once(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        journal = LateJournal(here.bridge.journal, "seal")
        here.means.journal = journal
        await here.post([track("Sale", "u1"), track("Sale", "u2")])
        await here.pass_time(3)
        # Somebody has released something, so that it is looked for what waits.
        here.groups.look()
        # What may not be made twice: were it, this answer would have it split.
        fail(here, {"ordinary": True}, {"status": 400})
        await here.pass_time(3)
        journal.heard.set()
        await here.settle()
        await here.pass_time(10)
        assert len(keys(here)) == 1
        assert sorted(str(push.external_id) for push in here.sandbox.pushes) == ["u1", "u2"]
        assert here.groups.idle


async def test_what_is_asked_for_again_before_who_tried_it_hears_of_its_end_is_not_forgotten(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        journal = LateJournal(here.bridge.journal, "end_some")
        here.means.journal = journal
        fail(here, {"reset": True}, {"status": 400})
        await here.post(track("Sale"))
        await here.pass_time(10)
        (dead,) = await here.bridge.journal.dead_letters()
        await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
        here.bridge.nudge(APP, frozenset({dead.user_hash}))
        await here.pass_time(10)
        journal.heard.set()
        await here.settle()
        assert ends(await here.outcomes()) == {"offer/send_notification": ("delivered", None)}
        assert len(here.sandbox.pushes) == 1


async def test_who_comes_while_others_are_sealed_is_not_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        here.means.journal = journal = LateJournal(here.bridge.journal, "seal")
        await here.post(track("Sale", "u1"))
        await here.pass_time(3)
        await here.post(track("Sale", "u2"))
        await here.pass_time(1)
        journal.heard.set()
        await here.settle()
        assert sorted(str(push.external_id) for push in here.sandbox.pushes) == ["u1", "u2"]


@dataclass
class FullJournal:
    """A journal that cannot say of an attempt that it failed, as often as this."""

    inner: Any
    times: int

    def __getattr__(self, name: str) -> Any:
        return self._retry_call if name == "retry_call" else getattr(self.inner, name)

    async def _retry_call(self, *args: Any, **named: Any) -> None:
        if self.times:
            self.times -= 1
            raise JournalUnavailableError("the disk is full")
        await self.inner.retry_call(*args, **named)


@both_ways
@pytest.mark.parametrize("before", [0, 1])
async def test_a_push_that_may_have_arrived_is_not_forgotten_to_have_been_tried_while_it_is_paused(
    tmp_path: Path, mapping: str, before: int
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        journal = FullJournal(here.bridge.journal, times=0)
        here.means.journal = journal
        # Those before it were certainly not performed, and that is on disk.
        fail(here, *[{"status": 302}] * before, {"reset": True, "applied": True}, {"status": 400})
        await here.post(track("Sale"))
        while len(keys(here)) < before:
            await here.pass_time(0.1)
        journal.times = 1
        while journal.times:
            await here.pass_time(0.1)
        await here.bridge.brake.pull(PUSHES)
        calls = len(keys(here))
        await here.pass_time(60)
        assert len(keys(here)) == calls
        # It is no person's to discard, because it may be on a phone.
        assert (await here.bridge.journal.counts()).held == 0
        await here.bridge.brake.let_go(PUSHES)
        await here.settle()
        assert ends(await here.outcomes()) == {"offer/send_notification": ("dead", "http_400")}
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.uncertain
        assert len(set(keys(here))) == 1
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_nor_while_onesignal_asks_to_wait(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.means.journal = FullJournal(here.bridge.journal, times=1)
        asked = {"status": 429, "headers": {"Retry-After": "60"}}
        fail(here, {"reset": True, "applied": True}, asked, {"status": 400})
        await here.post(track("Sale"))
        while len(keys(here)) < 2:
            await here.pass_time(0.1)
        await here.bridge.brake.pull(PUSHES)
        await here.pass_time(90)
        assert (await here.bridge.journal.counts()).held == 0
        await here.bridge.brake.let_go(PUSHES)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, dead.uncertain) == ("http_400", True)
        assert not here.means.attempted


@both_ways
async def test_a_failure_that_is_certain_makes_none_before_it_so(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        moved = {"status": 302, "headers": {"Retry-After": "3600"}}
        fail(here, {"reset": True, "applied": True}, *[moved] * 6)
        await here.post(track("Sale"))
        await here.settle(within=6 * 3600)
        assert ends(await here.outcomes()) == {
            "offer/send_notification": ("dead", "unknown_outcome")
        }
        assert len(here.sandbox.pushes) == 1


@both_ways
async def test_what_was_held_for_days_is_tried_for_as_long_as_what_is_new(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.bridge.brake.pull(PUSHES)
        await here.post(track("Sale"))
        await here.settle()
        here.clock.advance(3 * 86_400)
        fail(here, *[{"status": 503}] * 12)
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert len(keys(here)) == 13
        assert ends(await here.outcomes()) == {"offer/send_notification": ("delivered", None)}


async def test_what_was_held_over_a_restart_is_certainly_not_sent_when_it_is_refused(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    app = create_sandbox(clock=clock)
    async with rig(tmp_path, ALONE, clock=clock, onesignal=app) as here:
        await here.bridge.brake.pull(PUSHES)
        await here.post(track("Sale"))
        await here.settle()
    async with rig(tmp_path, ALONE, clock=clock, onesignal=app) as here:
        fail(here, {"status": 400})
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, dead.uncertain) == ("http_400", False)


@both_ways
async def test_what_was_given_up_and_is_replayed_is_tried_more_than_once(
    tmp_path: Path, mapping: str
) -> None:
    mapping = mapping.replace('"Sale"\n', '"Sale"\n    max_age: 90d\n')
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        fail(here, *[{"status": 503, "headers": {"Retry-After": "3600"}}] * 30)
        await here.post(track("Sale"))
        await here.settle(within=2 * 86_400)
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.reason == "exhausted"
        here.sandbox.faults.clear()
        fail(here, {"status": 503})
        await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
        here.bridge.nudge(APP, frozenset({dead.user_hash}))
        await here.settle()
        assert ends(await here.outcomes()) == {"offer/send_notification": ("delivered", None)}


COUNTED = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: capped
    when: event = "Sale"
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: limited
    when: event = "News"
    limit: {max: 5, per: 10m}
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: once
    when: event = "Hello"
    once_per: {time: 20m}
    do: {send_notification: {contents: "{{ messageId }}"}}
"""


async def test_what_was_sent_counts_for_no_longer_because_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    clock = SetClock()
    async with rig(tmp_path, COUNTED, clock=clock) as here:
        for user in ("u1", "u2", "u3", "u4", "u5", "u6"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        for number in range(5):
            await here.post(track("Sale", "u1", f"sale-{number}"))
            await here.post(track("News", f"u{number + 2}", f"news-{number}"))
        await here.post(track("Hello", "u2", "hello"))
        await here.settle()
        assert len(here.sandbox.pushes) == 11
        clock.set_by(-86_400)
        # It counts still, because no time has passed.
        assert await again(here, "at once") == {("skipped", "person_cap"), ("skipped", "once_per")}
        assert (await here.bridge.journal.counts()).held == 1
        await release(
            here.bridge.journal,
            await holdings(here.bridge.journal),
            now_ms=clock.now_ms(),
            nudge=here.bridge.nudge,
        )
        await here.pass_time(25 * 60)
        assert await again(here, "later") == {("delivered", None)}
        assert (await here.bridge.journal.counts()).held == 0


async def test_so_it_is_of_what_was_sent_long_after_anything_was_heard(tmp_path: Path) -> None:
    clock = SetClock()
    app = create_sandbox(clock=clock)
    async with rig(tmp_path, COUNTED, clock=clock, onesignal=app) as here:
        users = [f"u{number}" for number in range(1, 7)]
        for user in users:
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        here.means.destination.sends.hold(20 * 60)
        for user in users:
            # What comes after it is not written before it has left.
            await here.post(track("Sale", user, f"sale-{user}"))
        for number in range(4):
            await here.post(track("Sale", "u1", f"sale-{number}"))
        for user in users[1:]:
            await here.post(track("News", user, f"news-{user}"))
        await here.post(track("Hello", "u2", "hello"))
        await here.settle()
        assert len(here.sandbox.pushes) == 16
    clock.set_by(-86_400)
    async with rig(tmp_path, COUNTED, clock=clock, onesignal=app) as here:
        assert await again(here, "at once") == {("skipped", "person_cap"), ("skipped", "once_per")}
        assert (await here.bridge.journal.counts()).held == 1
        await here.pass_time(25 * 60)
        assert await again(here, "later") == {("delivered", None)}


async def again(here: Rig, when: str) -> set[tuple[str, str | None]]:
    """One more of each; how they end."""
    ended = len(await here.outcomes())
    for event, user in (("Sale", "u1"), ("News", "u3"), ("Hello", "u2")):
        await here.post(track(event, user, f"{event} {when}"))
    await here.pass_time(5)
    return {(status, reason) for _, _, _, status, reason in (await here.outcomes())[ended:]}


async def test_who_was_erased_is_in_no_call_that_others_may_be_sent_again(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        for user in ("u1", "erased"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        fail(here, {"reset": True}, {"status": 400})
        await here.post([track("Sale", "u1"), track("Sale", "erased")])
        await here.settle()
        letters = await here.bridge.journal.dead_letters()
        assert [one.uncertain for one in letters] == [True, True]
        await here.post({"type": "delete", "userId": "erased", "messageId": "d"})
        await here.settle()
        bodies = await here.bridge.journal._read(
            lambda connection: connection.execute("SELECT key, body FROM call").fetchall()
        )
        assert [b"erased" in body for _, body in bodies] == [False]
        # As somebody who is a customer again.
        here.sandbox.add_device("erased", "android", app_id=APP_ID)
        (letter,) = await here.bridge.journal.dead_letters()
        await replay(here.bridge.journal, letter.id, now_ms=here.clock.now_ms())
        here.bridge.nudge(APP, frozenset({letter.user_hash}))
        await here.settle()
        assert [push.external_id for push in here.sandbox.pushes] == ["u1"]
        assert set(keys(here)) == {key for key, _ in bodies}


async def test_a_pause_counts_that_comes_while_it_is_looked_who_may_leave(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING, only_users=("u1",)) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        journal = LateJournal(here.bridge.journal, "all_may_leave")
        here.means.journal = journal
        fail(here, {"status": 429, "headers": {"Retry-After": "10"}})
        await here.post(track("Sale"))
        await here.pass_time(30)
        assert len(keys(here)) == 1
        await here.bridge.brake.pull(PUSHES)
        journal.heard.set()
        await here.settle()
        assert len(keys(here)) == 1
        assert (await here.bridge.journal.counts()).held == 1


TWO_RULES = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: shipped
    when: event = "Order Shipped"
    do: {send_notification: {contents: "On its way"}}
  - name: chat
    when: event = "Order Shipped" or event = "Chat"
    cap: off
    do: {send_notification: {contents: "Chat"}}
"""


@pytest.mark.parametrize("renamed", ["shipped", "chat"])
async def test_a_rule_that_is_renamed_while_another_of_its_event_waits_sends_no_second_push(
    tmp_path: Path, renamed: str
) -> None:
    async with rig(tmp_path, TWO_RULES) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        for number in range(2):
            await here.post(track("Chat", message_id=f"m{number}"))
        await here.settle()
        await here.post(track("Order Shipped"))
        await here.pass_time(5)
        # The volume of pushes without a cap is used up.
        assert [push.text for push in here.sandbox.pushes] == ["Chat", "Chat", "On its way"]
        mapping = mapping_of(TWO_RULES.replace(f"name: {renamed}", "name: another"))
        config = here.bridge.config
        here.bridge.bring_into_force(config, dict.fromkeys(config.sources, mapping))
        await here.settle()
        last = ("delivered", None) if renamed == "shipped" else ("skipped", "rule_gone")
        assert ends((await here.outcomes())[2:]) == {
            "shipped/send_notification": ("delivered", None),
            "chat/send_notification": last,
        }
        texts = [push.text for push in here.sandbox.pushes]
        assert texts.count("On its way") == 1
        assert texts.count("Chat") == 2 + (renamed == "shipped")
