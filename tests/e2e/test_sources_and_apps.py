"""Several sources, each with its mapping, to several apps, each with its own pace."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from tests.harness import APP_ID, identify, rig

TAGS = """
version: 1
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
"""


async def test_what_a_source_that_is_gone_has_left_waits_for_a_person_and_can_be_replayed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TAGS, sources=("backend", "old")) as here:
        here.means.destination.writes.hold(3600)
        await here.post(identify("u1", tier="gold"), "/v1/segment/old")
    async with rig(tmp_path, TAGS, sources=("backend",), clock=here.clock) as here:
        await here.settle()
        assert [one[3:] for one in await here.outcomes()] == [("dead", "source_gone")]
        (letter,) = await here.bridge.journal.dead_letters()
    async with rig(
        tmp_path,
        TAGS,
        sources=("backend", "old"),
        clock=here.clock,
        admin_token=SecretStr("admin"),
    ) as here:
        answer = await here.http.post(
            f"/api/v1/dead/{letter.id}/replay", headers={"authorization": "Bearer admin"}
        )
        assert answer.status_code == 200
        await here.settle()
        user = here.sandbox.user("u1", app_id=APP_ID)
        assert user is not None
        assert user.tags == {"tier": "gold"}
