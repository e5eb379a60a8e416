"""The process ends in the middle of a merge: the other id is the person's all the same, and once.

A visitor is known at OneSignal by an alias, with a browser that takes pushes; so is the person whom the
visitor turns out to be. In one batch the visitor looks at something, signs in, and orders.
"""

from __future__ import annotations

from typing import Any

import pytest

from bridge.clock import SystemClock
from bridge.failpoints import STATUS
from tests.faults.canary import API_KEY, person, trait
from tests.faults.story import Event, Story
from tests.faults.worlds import Company, Outside, Worlds
from tests.harness import APP_ID

pytestmark = pytest.mark.slow

MERGING = Story(
    mapping="""
version: 1
identity: {anonymous: alias}
push: {platforms: {exclude: [ios]}}
rules:
  - name: seen
    when: type = "page"
    do: {update_user: {tags: {seen: "{{ name }}"}}}
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: order
    when: event = "Order"
    do: {send_notification: {contents: "{{ messageId }}"}}
"""
)
PLACES = [
    "ids.linking",
    "merge.asking",
    "merge.joining",
    "merge.joined",
    "merge.paid",
    "merge.found",
    "merge.found:2",
    "merge.moving",
    "merge.moving:2",
    "merge.moved",
    "merge.moved:2",
    "merge.ending",
]


def events() -> list[Event]:
    visitor = trait("visitor")
    return [
        {"type": "page", "name": trait("shoes"), "anonymousId": visitor, "messageId": "page"},
        {
            "type": "identify",
            "userId": person(0),
            "anonymousId": visitor,
            "messageId": "signs in",
            "traits": {"tier": trait("gold")},
        },
        {"type": "track", "event": "Order", "anonymousId": visitor, "messageId": "order"},
    ]


async def visit(outside: Outside, *tokens: str) -> None:
    """The visitor is there, with a browser for each token."""
    body = {
        "identity": {"anonymous_id": trait("visitor")},
        "subscriptions": [{"type": "ChromePush", "token": token} for token in tokens],
    }
    headers = {"Authorization": f"Key {API_KEY}"}
    answer = await outside.onesignal.post(f"/apps/{APP_ID}/users", json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    # That was a write to the visitor, too, and OneSignal takes one a second.
    await SystemClock().sleep(1.1)


async def users(outside: Outside) -> dict[str, Any]:
    """By external id, or by what else they are called."""
    found = (await outside.onesignal.get("/sandbox/users")).json()["users"]
    return {
        user["identity"].get("external_id") or user["identity"]["anonymous_id"]: user
        for user in found
    }


@pytest.mark.parametrize("place", PLACES)
async def test_a_merge_that_was_interrupted_is_done_at_the_next_start(
    worlds: Worlds, company: Company, place: str
) -> None:
    await company.case(worlds, one_person, place, PLACES)


async def one_person(outside: Outside, place: str) -> None:
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_calls_total")
    await outside.people(1)
    await visit(outside, "one", "two")
    async with outside.serving(story=MERGING, BRIDGE_FAIL_AT=place) as serving:
        await serving.sender.post(events())
        assert await serving.command.ends(within=60) == STATUS
    async with outside.resumed(MERGING) as sender:
        if not outside.sent.acknowledged:
            await sender.must(events())
        await outside.settled()
    found = await users(outside)
    known = found[person(0)]
    assert known["properties"]["tags"] == {"seen": trait("shoes"), "tier": trait("gold")}
    assert sorted(one["type"] for one in known["devices"]) == [
        "AndroidPush",
        "ChromePush",
        "ChromePush",
        "iOSPush",
    ]
    assert found[trait("visitor")]["devices"] == []
    pushes = (await outside.onesignal.get("/sandbox/pushes")).json()["pushes"]
    assert {push["external_id"] for push in pushes} == {person(0)}
