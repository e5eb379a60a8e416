"""An anonymous visitor, a shop that hears of it, and OneSignal's view of both; for tests of merges."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.sandbox.world import User
from tests.harness import APP_ID, Rig, identify, track

SHOP = """
version: 1
identity: {anonymous: %s}
push: {platforms: {exclude: [ios]}}
rules:
  - name: seen
    when: type = "page"
    do: {update_user: {tags: {seen: "{{ name }}"}}}
  - name: profile
    when: type = "identify" and audience.key = null
    do: {update_user: {tags_from: {traits: {include: [tier, seen]}}}}
  - name: hello
    when: event = "Hello"
    do: {send_notification: {contents: "Hello {{ properties.to | default: 'you' }}"}}
  - name: once
    when: event = "Once"
    once_per: {time: 7d}
    do: {send_notification: {contents: "Once"}}
  - name: vip
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: "Welcome"}}
"""
ALIAS, EXTERNAL = SHOP % "alias", SHOP % "external_id"
POLICIES = pytest.mark.parametrize("mapping", [ALIAS, EXTERNAL], ids=["alias", "external_id"])
LABEL = "anonymous_id"


def visits(
    name: str = "home", anonymous: str = "a1", message_id: str | None = None, **more: Any
) -> dict[str, Any]:
    return {
        "type": "page",
        "name": name,
        "anonymousId": anonymous,
        "messageId": message_id or f"m-page-{name}-{anonymous}",
        **more,
    }


def signs_up(
    user: str = "u1", anonymous: str = "a1", message_id: str | None = None, **traits: Any
) -> dict[str, Any]:
    return identify(user, message_id or f"m-{anonymous}-is-{user}", **traits) | {
        "anonymousId": anonymous
    }


def alias(user: str, previous: str, message_id: str | None = None) -> dict[str, Any]:
    return {
        "type": "alias",
        "userId": user,
        "previousId": previous,
        "messageId": message_id or f"m-{previous}-was-{user}",
    }


def by(here: Rig, label: str, id_: str) -> User | None:
    return here.sandbox.world.find(APP_ID, label, id_)


def known(here: Rig, user: str = "u1") -> User:
    found = here.sandbox.user(user, app_id=APP_ID)
    assert found is not None
    return found


def visitor(here: Rig, mapping: str, anonymous: str = "a1") -> User | None:
    return by(here, LABEL if mapping is ALIAS else "external_id", anonymous)


def asked(here: Rig) -> list[str]:
    """Method, last parts of the path, and status of every call of a merge."""
    parts = ("identity", "owner")
    return [
        f"{call.method} {call.path.split('/')[-1]} {call.status}"
        for call in here.sandbox.calls
        if call.path.split("/")[-1] in parts or call.method == "GET"
    ]


async def say(here: Rig, *events: dict[str, Any]) -> None:
    for event in events:
        await here.post(event)
        await here.settle()


def anonymously(event: str, anonymous: str = "a1", **more: Any) -> dict[str, Any]:
    message_id = more.pop("message_id", f"m-{event}-{anonymous}")
    return track(event, message_id=message_id, anonymousId=anonymous, **more) | {"userId": None}


def entered(**who: Any) -> dict[str, Any]:
    personas = {"computation_class": "audience", "computation_key": "vip"}
    name = next(iter(who.values()))
    return {
        "type": "track",
        "event": "Audience Entered",
        "messageId": f"m-vip-{name}",
        "properties": {"audience_key": "vip", "vip": True},
        "context": {"personas": personas},
        **who,
    }
