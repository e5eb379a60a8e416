"""The process ends between two calls by which something goes from one user to another: a phone, an alias.

Two people share a phone without OneSignal's SDK, whose token changes meanwhile, and an alias; one of them
has another phone, and withdraws permission. Whoever said something last has it, at whichever call it ends.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from bridge.failpoints import STATUS
from tests.faults.canary import person, trait
from tests.faults.story import Event, Story
from tests.faults.worlds import Company, Outside, Worlds
from tests.harness import iso, track

pytestmark = pytest.mark.slow

TAKING = Story(
    mapping="""
version: 1
push_tokens:
  platforms: [ios]
  withdrawn: event = "Push Permission" and properties.granted = false
rules:
  - name: crm
    when: event = "Linked"
    do: {create_alias: {label: crm, id: "{{ properties.crm }}"}}
"""
)
T1, T2, T3 = "a1" * 32, "b2" * 32, "c3" * 32
CALLS = range(1, 9)
"""Of each kind as many as there are in any order of the two people's chains."""
CASES = [f"{place}:{number}" for place in ("update.leaving", "update.answered") for number in CALLS]
CASES += [f"event.acking:{number}" for number in range(1, 6)]
FEW = CASES[2::4]


def events(now_ms: int) -> list[Event]:
    ann, bob = person(0), person(1)
    said: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("Opened", ann, phone(T1), {}),
        ("Linked", ann, {}, {"crm": trait("c7")}),
        ("Opened", bob, phone(T1), {}),
        ("Opened", bob, phone(T2), {}),
        ("Opened", bob, phone(T3, "two"), {}),
        ("Push Permission", bob, phone(T3, "two"), {"granted": False}),
        ("Opened", ann, phone(T2), {}),
        ("Linked", bob, {}, {"crm": trait("c7")}),
    ]
    return [
        track(
            name, user, f"m{at}", context=context, properties=properties, timestamp=iso(now_ms + at)
        )
        for at, (name, user, context, properties) in enumerate(said)
    ]


def phone(token: str, name: str = "one") -> dict[str, Any]:
    return {"device": {"type": "ios", "id": name, "token": token}}


async def interrupted(outside: Outside, place: str) -> None:
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_calls_total")
    await outside.people(2, platforms=("android",))
    told = events(1_800_000_000_000 - 3_600_000)
    async with outside.serving(story=TAKING, BRIDGE_FAIL_AT=place) as serving:
        await serving.sender.post(told)
        assert await serving.command.ends(within=60) == STATUS
    async with outside.resumed(TAKING) as sender:
        if not outside.sent.acknowledged:
            await sender.must(told)
        await outside.settled()
    found = (await outside.onesignal.get("/sandbox/users")).json()["users"]
    users = {user["identity"]["external_id"]: user for user in found}
    # A token that the phone had before may be left somewhere, switched off.
    assert [token for token, on in phones(users[person(0)]).items() if on] == [T2]
    assert not any(phones(users[person(1)]).values())
    assert T3 in phones(users[person(1)])
    aliases = {name: user["identity"].get("crm") for name, user in users.items()}
    assert aliases == {person(0): None, person(1): trait("c7")}


def phones(user: Any) -> dict[str, bool]:
    """Of the phones by their tokens, whether they take pushes."""
    return {
        one["token"]: one["enabled"]
        for one in user["devices"]
        if re.fullmatch(r"[abc0-9]{64}", one["token"])
    }


@pytest.mark.parametrize("place", FEW)
async def test_whoever_said_it_last_has_it_wherever_the_process_ends(
    worlds: Worlds, company: Company, place: str
) -> None:
    await company.case(worlds, interrupted, place, FEW)


@pytest.mark.long
@pytest.mark.parametrize("place", [case for case in CASES if case not in FEW])
async def test_whoever_said_it_last_has_it_at_every_call_that_there_is(
    outside: Outside, place: str
) -> None:
    await interrupted(outside, place)
