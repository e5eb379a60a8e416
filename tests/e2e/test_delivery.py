"""From a webhook to OneSignal: the whole way, in one process, with time under control."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from bridge.clock import ManualClock
from bridge.sandbox.wire import EndpointClass
from tests.harness import APP_ID, Rig, ends, identify, iso, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    do:
      update_user: {tags: {last_order: "{{ properties.id }}"}}
      send_notification: {contents: "{{ properties.id }} is on its way"}
"""


async def test_an_identify_becomes_tags_of_a_new_user(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(identify("u1", tier="gold"))
        await here.settle()

        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}
        assert await here.outcomes() == [(1, "profile", "update_user", "delivered", None)]
        assert not here.sandbox.complaints


async def test_a_push_reaches_the_android_phone_and_never_the_iphone(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device("u1", "ios", app_id=APP_ID)
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()

        assert [(push.platform, push.text) for push in here.sandbox.pushes] == [
            ("android", "A7 is on its way")
        ]
        assert not here.sandbox.complaints


# Order -----------------------------------------------------------------------------------------


COUNTER = """
version: 1
rules:
  - name: count
    when: event = "Count"
    do: {update_user: {tags: {n: "{{ properties.n }}"}}}
"""


def counted(n: int, user: str = "u1", **more: Any) -> dict[str, Any]:
    return track("Count", user, f"m-{user}-{n}", properties={"n": n}, **more)


def written(here: Rig, user: str) -> list[str]:
    """The values of the tag `n` that OneSignal took for a user, in their order."""
    return [
        call.body["properties"]["tags"]["n"]
        for call in here.sandbox.calls
        if call.user == user and 200 <= call.status < 300
    ]


def in_order(values: list[str], *, until: int) -> bool:
    """Never back, and all the way; what was folded into a later value is not written itself."""
    numbers = [int(value) for value in values]
    return numbers == sorted(set(numbers)) and numbers[-1] == until


async def test_the_events_of_a_user_arrive_in_their_order(tmp_path: Path) -> None:
    async with rig(tmp_path, COUNTER) as here:
        for n in range(5):
            await here.post(counted(n))
        await here.post([counted(n) for n in range(5, 9)])
        await here.settle()

        assert in_order(written(here, "u1"), until=8)
        assert not here.sandbox.complaints


async def test_events_that_came_together_go_by_the_time_they_happened(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(tmp_path, COUNTER, clock=clock) as here:
        await here.post(
            [counted(n, timestamp=iso(clock.now_ms() - 1000 * (9 - n))) for n in (3, 1, 2, 4)]
        )
        await here.settle()
        assert written(here, "u1") == ["4"]


async def test_writes_to_one_user_are_a_second_apart_and_others_do_not_wait(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, COUNTER) as here:
        await here.post([counted(0), counted(0, "u2")])
        await here.still()
        assert {call.user for call in here.sandbox.calls} == {"u1", "u2"}
        for n in range(1, 40):
            await here.post(counted(n))
            await here.pass_time(0.1)
        await here.settle()

        moments = [call.at_ms for call in here.sandbox.calls if call.user == "u1"]
        # As often as may be, and no more: the first found no user there.
        assert 4 <= len(moments) <= 6
        assert in_order(written(here, "u1"), until=39)
        assert min(later - earlier for earlier, later in pairwise(moments)) >= 1000
        assert not here.sandbox.complaints


async def test_more_users_than_onesignal_takes_in_a_second(tmp_path: Path) -> None:
    async with rig(tmp_path, COUNTER) as here:
        for user in range(1500):
            here.sandbox.add_device(f"u{user}", "android", app_id=APP_ID)
        await here.post([counted(0, f"u{user}") for user in range(1500)])
        await here.settle(step=0.02)

        writes = here.sandbox.ledger.per_second[EndpointClass.WRITE]
        assert sum(writes.values()) == 1500
        assert max(writes.values()) > 900
        assert here.sandbox.ledger.statuses == {(EndpointClass.WRITE, 202): 1500}
        assert not here.sandbox.complaints


async def test_a_push_waits_for_the_updates_of_every_earlier_event(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        here.sandbox.faults.script(
            {"match": {"class": "write"}, "answers": [{"status": 500}], "times": 3}
        )
        await here.post(identify("u1", tier="gold"))
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()

        done = [call for call in here.sandbox.calls if call.applied]
        assert [call.endpoint_class for call in done] == ["write", "send"]
        assert done[0].body["properties"]["tags"] == {"tier": "gold", "last_order": "A7"}


async def test_a_push_that_is_tried_again_waits_for_an_earlier_event_that_came_late(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        slow = {"status": 503, "headers": {"Retry-After": "60"}}
        here.sandbox.faults.script({"match": {"class": "send"}, "answers": [slow]})
        now = here.clock.now_ms()
        await here.post(track("Order Shipped", properties={"id": "A7"}, timestamp=iso(now)))
        await here.pass_time(1)
        await here.post({**identify("u1", tier="gold"), "timestamp": iso(now - 60_000)})
        await here.settle()
        done = [call.endpoint_class for call in here.sandbox.calls if call.applied]
        assert done == ["write", "write", "send"]


async def test_live_goes_before_bulk_and_bulk_is_not_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, COUNTER) as here:
        users = [f"{kind}{n}" for kind in ("bulk", "live") for n in range(400)]
        for user in users:
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        here.means.destination.writes.hold(1)
        await here.post([counted(0, user, replay=True) for user in users[:400]])
        await here.post([counted(0, user) for user in users[400:]])
        await here.settle(step=0.05)

        order = [call.user[:4] for call in here.sandbox.calls if call.user]
        assert len(order) == 800
        assert order[:9] == ["live"] * 9
        # A whole tenth while live waits, and the rest afterwards.
        assert order[:400].count("bulk") == 40


async def test_a_long_chain_of_one_user_is_worked_through(tmp_path: Path) -> None:
    async with rig(tmp_path, COUNTER) as here:
        await here.post([counted(n) for n in range(120)])
        await here.settle()
        assert in_order(written(here, "u1"), until=119)
        assert len(await here.outcomes()) == 120
        assert not here.sandbox.complaints


# Requests --------------------------------------------------------------------------------------


WIDE = """
version: 1
rules:
  - name: wide
    when: type = "identify"
    do: {update_user: {tags_from: {traits: {include: ["*"]}}}}
"""


async def test_more_tags_than_a_request_holds_go_in_several(tmp_path: Path) -> None:
    traits = {f"t{n:03}": str(n) for n in range(250)}
    async with rig(tmp_path, WIDE) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await here.post(identify("u1", **traits))
        await here.settle()

        sizes = [len(call.body["properties"]["tags"]) for call in here.sandbox.calls]
        assert sizes == [100, 100, 50]
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == traits
        assert await here.outcomes() == [(1, "wide", "update_user", "delivered", None)]
        assert not here.sandbox.complaints


async def test_a_push_to_nobody_is_said_to_have_reached_nobody(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device("u1", "ios", app_id=APP_ID)
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        assert ends(await here.outcomes())["shipped/send_notification"] == (
            "no_recipients",
            "not_subscribed",
        )


async def test_a_push_to_a_phone_that_unsubscribed_reached_nobody(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device("u1", "android", enabled=False, app_id=APP_ID)
        here.sandbox.faults.script(
            {
                "match": {"class": "send"},
                "answers": [
                    {
                        "status": 200,
                        "body": {
                            "id": "n1",
                            "errors": {"invalid_aliases": {"external_id": ["u1", "u1"]}},
                        },
                    }
                ],
            }
        )
        await here.post(track("Order Shipped", properties={"id": "A7"}))
        await here.settle()
        assert ends(await here.outcomes())["shipped/send_notification"] == (
            "no_recipients",
            "not_subscribed",
        )


async def test_one_message_through_two_sources_says_nothing_twice_and_pushes_once(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, sources=("backend", "mobile")) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        event = track("Order Shipped", message_id="m1", properties={"id": "A7"})
        await here.post(event, "/v1/segment/backend")
        await here.post(event, "/v1/segment/mobile")
        await here.settle()

        assert len(here.sandbox.pushes) == 1
        assert [(seq, status, reason) for seq, _, _, status, reason in await here.outcomes()] == [
            (1, "delivered", None),
            (1, "delivered", None),
            (2, "skipped", "already_sent"),
            (2, "skipped", "unchanged"),
        ]
        assert not here.sandbox.complaints
