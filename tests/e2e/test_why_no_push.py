"""Why did this user not get the push? One command tells, whatever the reason was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bridge.deliver.brake import rule_target
from bridge.explain.words import LOGIN_HINT
from tests.e2e.test_commands_beside_the_service import shell
from tests.e2e.test_explain import MAPPING, fail, happen, phones
from tests.harness import APP_ID, Rig, identify, iso

Case = Callable[[Rig], Awaitable[None]]


async def no_rule(here: Rig) -> None:
    await happen(here, "Wished")


async def misnamed(here: Rig) -> None:
    await happen(here, "order shipped")


async def only_an_iphone(here: Rig) -> None:
    here.sandbox.add_device("u1", "ios", app_id=APP_ID)
    await happen(here, "Chat")


async def condition_false(here: Rig) -> None:
    await happen(here, "Order Shipped", properties={"total": 20})


async def missing_value(here: Rig) -> None:
    await happen(here, "Order Shipped", properties={"item": None})


async def too_old(here: Rig) -> None:
    await happen(here, "Order Shipped", timestamp=iso(here.clock.now_ms() - 5 * 3_600_000))


async def once_per(here: Rig) -> None:
    phones(here)
    await happen(here, "Price Drop", "before")
    await here.settle()
    await here.pass_time(3 * 86_400)
    await happen(here, "Price Drop")


async def under_way(here: Rig) -> None:
    phones(here)
    await here.bridge.brake.pull("pushes")
    await happen(here, "Price Drop", "before")
    await here.settle()
    await here.pass_time(8 * 86_400)
    await happen(here, "Price Drop")


async def cap(here: Rig) -> None:
    phones(here)
    for number in range(3):
        await happen(here, "Chat", f"m{number}")
        await here.settle()


async def limit(here: Rig) -> None:
    phones(here, "u1", "u2")
    await happen(here, "Flash", "other", "u2")
    await here.settle()
    await happen(here, "Flash")


async def paused(here: Rig) -> None:
    await here.bridge.brake.pull(rule_target("chat"))
    await happen(here, "Chat")


async def same_membership(here: Rig) -> None:
    phones(here)
    for name in ("m1", "m2"):
        context = {"personas": {"computation_class": "audience", "computation_key": "vip"}}
        at = iso(here.clock.now_ms())
        await here.post(identify(message_id=name, vip=True) | {"context": context, "timestamp": at})
        await here.settle()


async def only_unsubscribed_devices(here: Rig) -> None:
    phones(here, enabled=False)
    await happen(here, "Chat")


async def refused(here: Rig) -> None:
    fail(here, {"status": 400, "body": {"errors": ["Message too long"]}})
    await happen(here, "Chat")


async def down(here: Rig) -> None:
    fail(here, {"reset": True}, times=999)
    await here.post([identify(f"u{n}", f"i{n}", tier="x") for n in range(2, 30)])
    for number in range(40):
        await happen(here, "Bought", f"b{number}", f"u{number}")
    await happen(here, "Chat")
    await here.pass_time(30)


async def not_yet(here: Rig) -> None:
    fail(here, {"status": 429, "headers": {"Retry-After": "600"}})
    await happen(here, "Chat")
    await here.still()


CASES: dict[str, tuple[Case, tuple[str, ...]]] = {
    "no rule": (no_rule, ("no rule wants this event",)),
    "misnamed": (
        misnamed,
        ("no rule wants this event; the nearest event name in the mapping is Order Shipped",),
    ),
    "only an iPhone": (
        only_an_iphone,
        ("reached nobody: no subscribed device, iPhones aside, which this push leaves out.",),
    ),
    "condition false": (
        condition_false,
        ("order: did not act", "its condition is not met: properties.total > 100\n"),
    ),
    "missing value": (missing_value, ("the event has no value for properties.item",)),
    "too old": (too_old, ("too old: 5 h, max_age 4h",)),
    "once_per": (once_per, ("got drop for 'A' 3 days before (once_per 7d), by message before",)),
    "once_per, under way": (
        under_way,
        ("drop for 'A' was under way already (once_per 7d), by message before",),
    ),
    "cap": (cap, ("the person had got 2 pushes in 15 minutes (push.cap)",)),
    "limit": (
        limit,
        (
            "held: the rule has sent more than 1 in 10m (limit); a person decides",
            "what to do: segment-bridge held release --rule flash",
        ),
    ),
    "paused": (
        paused,
        ("held: pushes are paused; a person decides", "segment-bridge resume rule chat"),
    ),
    "same_membership": (
        same_membership,
        ("it had fired for this stay in vip already, by message m1",),
    ),
    "only unsubscribed devices": (
        only_unsubscribed_devices,
        ("accepted by OneSignal, and reached nobody: no subscribed device", LOGIN_HINT),
    ),
    "OneSignal refused": (
        refused,
        ("OneSignal refused it (400)", "Message too long", "segment-bridge dead show 1"),
    ),
    "OneSignal down": (
        down,
        ("chat send_notification: pending", "lost", "OneSignal may have performed it"),
    ),
    "not yet": (not_yet, ("chat send_notification: pending", "not yet: ", "again in 10 min")),
}


@pytest.mark.parametrize(("case", "words"), CASES.values(), ids=list(CASES))
async def test_one_command_tells_why(tmp_path: Path, case: Case, words: tuple[str, ...]) -> None:
    async with shell(tmp_path, MAPPING) as at:
        await case(at.here)
        if case not in {down, not_yet}:
            await at.here.settle()
        said = await at.run("explain --user u1")
        for some in words:
            assert some in said, said
        # OneSignal accepts; what a phone shows is not ours to know.
        assert not any(word in said for word in ("delivered", "the phone"))


def test_no_words_of_the_story_claim_that_a_phone_showed_anything() -> None:
    folder = Path(__file__).parents[2] / "bridge" / "explain"
    for module in folder.glob("*.py"):
        for line in module.read_text().splitlines():
            assert "delivered to" not in line, f"{module.name}: {line}"
