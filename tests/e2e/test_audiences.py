"""A rule fires once for each stay in an audience, however often and in whatever order Segment says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness import APP_ID, Rig, iso, rig

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 7, per: 15m}}
rules:
  - name: tags
    when: audience.class = "audience"
    do: {update_user: {tags_from: {audience: {prefix: aud_}}}}
  - name: welcome
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: "Welcome"}}
  - name: goodbye
    when: audience.key = "vip" and audience.entered = false
    do: {send_notification: {contents: "Goodbye"}}
  - name: step
    when: audience.class = "journey_step"
    do: {send_notification: {contents: "Step"}}
"""


class Told:
    """Tells of one person's memberships, with a moment of its own for each event."""

    def __init__(self, here: Rig) -> None:
        self.here = here
        self.count = 0
        here.sandbox.add_device("u1", "android", app_id=APP_ID)

    def event(self, *, entered: bool, ago: float = 0, kind: str = "track", key: str = "vip") -> Any:
        self.count += 1
        at = iso(self.here.clock.now_ms() - round(ago * 1000))
        klass = "journey_step" if key.startswith("j_o_") else "audience"
        event = {
            "type": kind,
            "userId": "u1",
            "messageId": f"m{self.count}",
            "timestamp": at,
            "context": {"personas": {"computation_class": klass, "computation_key": key}},
        }
        if kind == "identify":
            return event | {"traits": {key: entered}}
        name = "Audience Entered" if entered else "Audience Exited"
        return event | {"event": name, "properties": {"audience_key": key, key: entered}}

    async def post(self, *events: Any) -> None:
        for one in events:
            await self.here.post(one)
        await self.here.settle()
        await self.here.pass_time(2)

    @property
    def pushes(self) -> list[str | None]:
        return [push.text for push in self.here.sandbox.pushes]

    async def reasons(self) -> list[str | None]:
        found = await self.here.outcomes()
        return [reason for *_, name, status, reason in found if name == "send_notification"]


async def test_a_stay_is_one_push_however_often_it_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        told = Told(here)
        await told.post(told.event(entered=True))
        await told.post(told.event(entered=True, kind="identify"), told.event(entered=True))
        assert told.pushes == ["Welcome"]
        assert await told.reasons() == [None, "same_membership", "same_membership"]
        await told.post(told.event(entered=False))
        await told.post(told.event(entered=False, kind="identify"))
        await told.post(told.event(entered=True))
        assert told.pushes == ["Welcome", "Goodbye", "Welcome"]


async def test_what_a_later_event_has_overtaken_says_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        told = Told(here)
        await told.post(told.event(entered=False))
        await told.post(told.event(entered=True, ago=60))
        assert told.pushes == ["Goodbye"]
        assert await told.reasons() == [None, "membership_over"]


async def test_entering_and_leaving_before_anything_was_sent_sends_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        told = Told(here)
        await told.post(told.event(entered=True, ago=5), told.event(entered=False))
        assert told.pushes == []
        assert await told.reasons() == ["membership_over", "same_membership"]
        # Swapped on their way, and once more for somebody who has been welcomed.
        leaves = told.event(entered=False)
        await told.post(leaves, told.event(entered=True, ago=5))
        assert told.pushes == []
        await told.post(told.event(entered=True))
        assert told.pushes == ["Welcome"]
        await told.post(told.event(entered=False, ago=1), told.event(entered=True))
        assert told.pushes == ["Welcome"]
        assert (user := here.sandbox.user("u1", app_id=APP_ID)) is not None
        assert user.tags == {"aud_vip": "true"}


async def test_an_exit_that_comes_while_the_enter_is_being_worked_on_cancels_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        told = Told(here)
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": [{"delay": 3}]})
        await here.post(told.event(entered=True))
        await here.pass_time(1)
        await here.post(told.event(entered=False))
        await here.settle()
        assert told.pushes == []


async def test_memberships_are_learnt_though_no_rule_acts(tmp_path: Path) -> None:
    only = MAPPING.replace("  - name: goodbye", "  - name: other", 1).replace(
        "audience.entered = false", 'audience.entered = false and event = "never"'
    )
    only = only.replace('when: audience.class = "audience"', 'when: type = "group"')
    async with rig(tmp_path, only) as here:
        told = Told(here)
        await told.post(told.event(entered=True))
        await told.post(told.event(entered=False))
        await told.post(told.event(entered=True))
        assert told.pushes == ["Welcome", "Welcome"]
        assert [one[3:] for one in await here.outcomes()] == [
            ("delivered", None),
            ("skipped", "no_rule"),
            ("delivered", None),
        ]


async def test_a_stay_from_before_a_rule_began_is_no_news(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        told = Told(here)
        await told.post(told.event(entered=True, key="gold"))
        starts = iso(here.clock.now_ms() + 3_600_000)
        begun = MAPPING.replace(
            '"vip" and audience.entered = true', '"gold" and audience.entered = true'
        ).replace("  - name: welcome", f'  - name: welcome\n    starts: "{starts}"')
        clock = here.clock
    async with rig(tmp_path, begun, clock=clock) as here:
        told = Told(here)
        told.count = 10
        await here.pass_time(7200)
        await told.post(told.event(entered=True, key="gold", kind="identify"))
        assert told.pushes == []
        assert await told.reasons() == ["same_membership"]
        await told.post(told.event(entered=False, key="gold"))
        await told.post(told.event(entered=True, key="gold"))
        assert told.pushes == ["Welcome"]


async def test_journey_steps_always_count(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        told = Told(here)
        for _ in range(3):
            await told.post(told.event(entered=True, key="j_o_spring"))
        assert told.pushes == ["Step"] * 3


async def test_two_sends_of_one_rule_are_one_firing(tmp_path: Path) -> None:
    text = MAPPING.replace(
        'do: {send_notification: {contents: "Welcome"}}',
        'once_per: {time: 7d}\n    do: {send_notification: {contents: "Welcome"}, track_custom_event: {name: welcomed}}',
    )
    async with rig(tmp_path, text) as here:
        told = Told(here)
        await told.post(told.event(entered=True))
        assert told.pushes == ["Welcome"]
        assert [event.name for event in here.sandbox.events] == ["welcomed"]
