"""The id that a visitor goes by, given to somebody: to the visitor, or to another user. Nobody waits for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.harness import APP_ID, Rig, iso, rig, track

MAPPING = """
version: 1
identity: {anonymous: alias}
push: {platforms: {exclude: [ios]}}
rules:
  - name: seen
    when: event = "Seen"
    do: {update_user: {tags: {seen: "yes"}}}
  - name: own
    when: event = "Own"
    do: {create_alias: {label: anonymous_id, id: "{{ anonymousId }}"}}
  - name: takes
    when: event = "Takes"
    do: {create_alias: {label: anonymous_id, id: "{{ properties.visitor }}"}}
"""
BY_VISITOR = {"type": "track", "anonymousId": "v1", "properties": {}}
SEEN, OWN = BY_VISITOR | {"event": "Seen"}, BY_VISITOR | {"event": "Own"}
LINKED = {"type": "identify", "userId": "u2", "anonymousId": "v1", "traits": {}}
TAKES = track("Takes", "u3", properties={"visitor": "v1"})


async def how_it_ends(here: Rig, *events: dict[str, Any]) -> tuple[str, str | None]:
    """Of the last of these, which happen one after the other."""
    for user in ("u2", "u3"):
        here.sandbox.add_device(user, "android", app_id=APP_ID)
    first_ms = here.clock.now_ms()
    for number, event in enumerate(events):
        at = iso(first_ms + 1000 * number)
        await here.post(event | {"messageId": f"m{number}", "timestamp": at})
        await here.settle(within=30)
        await here.pass_time(3)
    return (await here.outcomes())[-1][3:]


@pytest.mark.parametrize(
    ("before", "end"),
    [
        ([SEEN], ("delivered", None)),
        ([SEEN, OWN], ("delivered", None)),
        # It is the other person's by now, and nothing here gave it away.
        ([SEEN, LINKED], ("dead", "alias_conflict")),
        ([SEEN, OWN, LINKED], ("delivered", None)),
    ],
    ids=["unknown", "said", "linked", "said-and-linked"],
)
async def test_whoever_takes_the_id_of_a_visitor_hears_of_it(
    tmp_path: Path, before: list[dict[str, Any]], end: tuple[str, str | None]
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        assert await how_it_ends(here, *before, TAKES) == end
        holder = here.sandbox.user("u3", app_id=APP_ID)
        assert holder is not None
        assert (holder.aliases.get("anonymous_id") == "v1") is (end[0] == "delivered")


@pytest.mark.parametrize("before", [[], [SEEN], [OWN]], ids=["new", "seen", "said"])
async def test_a_visitor_may_be_given_the_id_that_it_goes_by(
    tmp_path: Path, before: list[dict[str, Any]]
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        status, reason = await how_it_ends(here, *before, OWN)
        assert (status, reason) in {("delivered", None), ("skipped", "unchanged")}
