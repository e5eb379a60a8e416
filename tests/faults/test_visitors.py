"""One person's way from a browser to two phones, in any order: it ends as if nothing had gone wrong.

::

    browser   visits as w, signs up
    android   installed as p, logs in
    iphone    used as i, logs in, logs out (another visitor, j), and somebody else logs in

What Segment says of it comes in any order, in batches, twice, while OneSignal fails and the process ends
wherever it may. In the end both people are as they would be; nobody was told anything twice, and no
iPhone anything at all. Time is the loop's own, and a crash is what a kill -9 leaves (`orders/world.py`).
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

from bridge.sandbox.world import App
from tests.faults.orders.loop import START_MS, Loop
from tests.faults.orders.run import folder
from tests.faults.orders.world import World
from tests.harness import APP_ID, iso, mapping_of

pytestmark = pytest.mark.unchecked("the story has a model of its own")

MAPPING = """
version: 1
identity: {anonymous: %s}
push: {platforms: {exclude: [ios]}}
rules:
  - name: seen
    when: type in ["page", "screen"]
    do: {update_user: {tags: {seen: "{{ name }}"}}}
  - name: profile
    when: type = "identify" and audience.key = null
    do: {update_user: {tags: {tier: "{{ traits.tier }}", at: "{{ traits.at }}"}}}
  - name: account
    when: type = "group"
    do: {update_user: {tags: {account: "{{ groupId }}"}}}
  - name: hello
    when: event = "Hello"
    cap: off
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: once
    when: event = "Once"
    once_per: {time: 7d}
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: vip
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: "{{ messageId }}"}}
"""
VIP = {"personas": {"computation_class": "audience", "computation_key": "vip"}}


def story() -> list[dict[str, Any]]:
    """In the order in which it happened, a second apart, until now."""
    said: list[dict[str, Any]] = [
        {"type": "page", "name": "home", "anonymousId": "w"},
        {"type": "track", "event": "Once", "anonymousId": "w"},
        {"type": "track", "event": "Entered", "anonymousId": "w", "properties": {"vip": True}, "context": VIP},
        {"type": "page", "name": "shoes", "anonymousId": "w"},
        {"type": "screen", "name": "start", "anonymousId": "p"},
        {"type": "identify", "userId": "u1", "anonymousId": "w", "traits": {"tier": "silver", "at": "web"}},
        {"type": "track", "event": "Hello", "anonymousId": "w"},
        {"type": "identify", "userId": "u1", "anonymousId": "p", "traits": {"at": "android"}},
        {"type": "track", "event": "Once", "userId": "u1"},
        {"type": "identify", "userId": "u1", "traits": {"vip": True}, "context": VIP},
        {"type": "screen", "name": "offers", "userId": "u1", "anonymousId": "p"},
        {"type": "screen", "name": "start", "anonymousId": "i"},
        {"type": "identify", "userId": "u1", "anonymousId": "i", "traits": {"tier": "gold", "at": "iphone"}},
        {"type": "group", "userId": "u1", "groupId": "acct"},
        {"type": "track", "event": "Hello", "userId": "u1"},
        {"type": "alias", "userId": "u1", "previousId": "w0"},
        {"type": "page", "name": "back", "anonymousId": "w"},
        {"type": "screen", "name": "start", "anonymousId": "j"},
        {"type": "identify", "userId": "u2", "anonymousId": "j", "traits": {"tier": "new", "at": "iphone"}},
        {"type": "track", "event": "Hello", "userId": "u2"},
        {"type": "alias", "userId": "u2", "previousId": "u2-of-old"},
        {"type": "alias", "userId": "u2-of-old", "previousId": "u2"},
    ]  # fmt: skip
    began = START_MS - len(said) * 1000
    return [
        {"messageId": f"m{n:02}", "timestamp": iso(began + n * 1000), **one}
        for n, one in enumerate(said)
    ]


STORY = story()
TAGS = {
    "u1": {"seen": "back", "tier": "gold", "at": "iphone", "account": "acct"},
    "u2": {"seen": "start", "tier": "new", "at": "iphone"},
}
FAULTS: list[dict[str, Any]] = [
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "2"}},
    {"reset": True, "applied": True},
    {"reset": True, "applied": False},
]
Step = dict[str, Any]


@st.composite
def tellings(draw: st.DrawFn) -> list[Step]:
    """The story as it comes in: batches in any order with repeats, failures and ends between them."""
    events = draw(st.permutations(STORY))
    events += draw(st.lists(st.sampled_from(STORY), max_size=6))
    steps: list[Step] = []
    while events:
        size = draw(st.integers(1, 8))
        pause = draw(st.sampled_from([0.0, 0.0, 0.3, 1.1, 5.0]))
        steps.append({"pause": pause, "post": events[:size]})
        events = events[size:]
        if draw(st.integers(0, 3)) == 0:
            steps.append({"crash": draw(st.integers(1, 120))})
        if draw(st.integers(0, 3)) == 0:
            name = draw(st.sampled_from(["write", "write", "send", "view"]))
            answers = draw(st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4))
            steps.append({"class": name, "answers": answers})
    return steps


def with_devices(world: World, label: str, *, user_is_there: bool) -> None:
    """What the apps did by themselves, through OneSignal's SDK, by the end of the story."""
    app: App = world.sandbox.world.app(APP_ID)
    made = (
        ("w", "ChromePush", "browser"),
        ("p", "AndroidPush", "android"),
        ("j", "iOSPush", "iphone"),
    )
    for visitor, kind, token in made:
        user = app.add_user(START_MS)
        app.link(user, {label: visitor})
        app.subscribe(user, kind, token)
    if user_is_there:
        app.link(app.add_user(START_MS), {"external_id": "u1"})


async def tell(world: World, steps: list[Step]) -> None:
    await world.start()
    try:
        for step in steps:
            await world.clock.sleep(step.get("pause", 0.0))
            if world.is_dead:
                await world.restart()
            await _do(world, step)
        world.spare()
        world.sandbox.faults.clear()
        if world.is_dead:
            await world.restart()
        await _settle(world)
    finally:
        await world.stop()


async def _do(world: World, step: Step) -> None:
    if "crash" in step:
        world.crash_after(step["crash"])
    elif "answers" in step:
        match = {"class": step["class"]}
        world.sandbox.faults.script({"match": match, "answers": step["answers"], "times": 1})
    else:
        while not await world.post("default", step["post"]):
            await world.clock.sleep(0.5)
            if world.is_dead:
                await world.restart()


async def _settle(world: World) -> None:
    for _ in range(60):
        await world.clock.sleep(30.0)
        if not (await world.bridge.journal.counts()).pending:
            return
    raise AssertionError(f"something is never over: {world.bridge!r}")


def play(where: Path, policy: str, steps: list[Step], seed: int, *, user_is_there: bool) -> World:
    loop = Loop(random.Random(seed))
    asyncio.set_event_loop(loop)
    own = where / f"{random.random()}"
    own.mkdir()
    try:
        mapping = mapping_of(MAPPING % policy)
        world = World(loop, random.Random(seed), own, where / "empty.db", mapping)
        label = "anonymous_id" if policy == "alias" else "external_id"
        with_devices(world, label, user_is_there=user_is_there)
        loop.run_until_complete(tell(world, steps))
        return world
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def step_of(steps: list[Step], message_id: str) -> int:
    """By which step an event came in first."""
    return next(
        number
        for number, step in enumerate(steps)
        if any(event["messageId"] == message_id for event in step.get("post", ()))
    )


def check(world: World, steps: list[Step]) -> None:
    sandbox = world.sandbox
    # The two names of the second person cross: it goes by the one that was the user of the first link.
    for names, tags, devices in (
        (("u1",), TAGS["u1"], {"browser", "android"}),
        (("u2", "u2-of-old"), TAGS["u2"], {"iphone"}),
    ):
        found = [sandbox.user(name, app_id=APP_ID) for name in names]
        (user,) = (one for one in found if one is not None and one.subscriptions)
        assert user.tags == tags, names
        assert {one.token for one in user.subscriptions.values()} == devices, names
    assert not [push for push in sandbox.pushes if push.platform == "ios"], "an iPhone was pushed"
    told = {push.text for push in sandbox.pushes}
    linked = step_of(steps, "m05")
    for pair in ({"m01", "m08"}, {"m02", "m09"}):
        # Before anybody has said that they are one, the visitor and the user are two.
        if linked <= max(step_of(steps, one) for one in pair):
            assert len(told & pair) <= 1, "told twice"
    sends = [call for call in sandbox.calls if call.endpoint_class == "send"]
    keys = {(call.body["contents"]["en"], call.idempotency_key) for call in sends}
    assert len(keys) == len({text for text, _ in keys}), "one event, two pushes"
    assert not sandbox.complaints, list(sandbox.complaints)


@pytest.mark.parametrize("policy", ["alias", "external_id"])
@pytest.mark.parametrize("user_is_there", [True, False])
def test_told_in_its_order_it_is_so(policy: str, *, user_is_there: bool) -> None:
    with folder() as where:
        steps = [{"pause": 3.0, "post": [event]} for event in STORY]
        check(play(where, policy, steps, 1, user_is_there=user_is_there), steps)


def holds(policy: str, steps: list[Step], seed: int, *, user_is_there: bool) -> None:
    with folder() as where:
        check(play(where, policy, steps, seed, user_is_there=user_is_there), steps)


played = given(
    policy=st.sampled_from(["alias", "external_id"]),
    steps=tellings(),
    seed=st.integers(0, 999),
    user_is_there=st.booleans(),
)
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@played
@settings(max_examples=25, deadline=None, suppress_health_check=_SLOW)
def test_told_in_any_order_it_ends_the_same(
    *, policy: str, steps: list[Step], seed: int, user_is_there: bool
) -> None:
    holds(policy, steps, seed, user_is_there=user_is_there)


@pytest.mark.long
@played
@settings(max_examples=3000, deadline=None, suppress_health_check=_SLOW)
def test_told_in_very_many_orders_it_ends_the_same(
    *, policy: str, steps: list[Step], seed: int, user_is_there: bool
) -> None:
    holds(policy, steps, seed, user_is_there=user_is_there)


async def _nothing(*_: Any) -> dict[str, Any]:
    return {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "instead", "soon"),
    [
        ("bridge.journal.sqlite_identities._join_memberships", lambda *_: None, 7),
        ("bridge.journal.sqlite_sends._is_of", lambda *_: True, 1),
        ("bridge.deliver.merging.Merging._properties", _nothing, 2),
    ],
    ids=["memberships", "fence", "values"],
)
def test_a_bridge_that_joins_half_is_found_out(
    monkeypatch: pytest.MonkeyPatch, what: str, instead: Any, soon: int
) -> None:
    """Whatever it begins with; `soon` is with what it need not look for long."""
    monkeypatch.setattr(what, instead)

    @seed(soon)
    @played
    @settings(
        max_examples=400,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=_SLOW,
    )
    def hold(*, policy: str, steps: list[Step], seed: int, user_is_there: bool) -> None:
        holds(policy, steps, seed, user_is_there=user_is_there)

    with pytest.raises(AssertionError):
        hold()
