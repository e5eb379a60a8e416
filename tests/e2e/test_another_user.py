"""Updates about somebody else than the event's user keep that person's spacing, order and row."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from tests.harness import APP_ID, Rig, identify, iso, rig, track

SHOP = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: referred
    when: event = "Referred"
    do: {update_user: {to: {external_id: "{{ properties.by }}"}, tags: {tier: "{{ properties.tier }}"}}}
"""


def tier(here: Rig, user: str) -> str | None:
    found = here.sandbox.user(user, app_id=APP_ID)
    assert found is not None
    return found.tags.get("tier")


async def test_two_chains_write_to_one_user_a_second_apart(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for user in ("ann", "bob", "eve"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        for n in range(6):
            by = {"by": "ann", "tier": f"r{n}"}
            await here.post(identify("ann", f"i{n}", tier=f"i{n}"))
            await here.post(track("Referred", "bob", f"b{n}", properties=by))
            await here.post(track("Referred", "eve", f"e{n}", properties=by))
            await here.pass_time(0.4)
        await here.settle()

        moments = [call.at_ms for call in here.sandbox.calls if call.user == "ann"]
        assert min(later - earlier for earlier, later in pairwise(moments)) >= 1000
        assert len(await here.outcomes()) == 18
        assert tier(here, "ann") == "r5"
        assert not here.sandbox.complaints


async def test_what_another_chain_wrote_is_known_to_the_users_own(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for user in ("ann", "bob"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await here.post(track("Referred", "bob", properties={"by": "ann", "tier": "gold"}))
        await here.settle()
        calls = len(here.sandbox.calls)
        await here.post(identify("ann", "i1", tier="gold"))
        await here.post(
            {**identify("ann", "i2", tier="old"), "timestamp": iso(here.clock.now_ms() - 60_000)}
        )
        await here.settle()
        assert len(here.sandbox.calls) == calls
        assert tier(here, "ann") == "gold"
        reasons = [reason for *_, reason in await here.outcomes()]
        assert reasons == [None, "unchanged", "overtaken"]


async def test_events_of_one_user_about_several_people_reach_each_of_them(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        people = [f"p{n}" for n in range(4)]
        await here.post(
            [
                track(
                    "Referred", "bob", f"b{n}-{person}", properties={"by": person, "tier": str(n)}
                )
                for n in range(3)
                for person in people
            ]
        )
        await here.settle()
        assert [tier(here, person) for person in people] == ["2"] * 4
        assert not here.sandbox.complaints


async def test_a_hot_user_is_folded_and_holds_up_nobody(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        for user in ("hot", "cold"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await here.post([identify("hot", f"h{n}", tier=str(n)) for n in range(1000)])
        await here.pass_time(0.5)
        start = here.clock.now_ms()
        await here.post(identify("cold", "c0", tier="gold"))
        await here.settle()
        (cold,) = [call for call in here.sandbox.calls if call.user == "cold"]
        assert cold.at_ms - start < 2000
        hot = [call for call in here.sandbox.calls if call.user == "hot"]
        assert len(hot) <= 1000 * 0.2
        assert tier(here, "hot") == "999"
        assert len(await here.outcomes()) == 1001
