"""An alias that two users are to have: the later word counts, and nothing is taken that is not known."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import SecretStr

from bridge.deliver.disputes import AT_ONCE, MOST_CHANGES
from bridge.journal.devices import Device
from bridge.onesignal.operations import EXTERNAL_ID
from tests.harness import APP_ID, Rig, iso, rig, track

LINKS = """
version: 1
rules:
  - name: crm
    when: event = "Linked"
    do: {create_alias: {label: crm, id: "{{ properties.crm }}"}}
  - name: seen
    when: event = "Seen"
    do: {update_user: {tags: {seen: "yes"}}}
"""
HOUR = 3_600_000
_numbers = iter(range(1_000_000))


def links(user: str = "u1", crm: str = "c7", *, at_ms: int, name: str = "") -> dict[str, Any]:
    message_id = name or f"m{next(_numbers)}"
    return track("Linked", user, message_id, properties={"crm": crm}, timestamp=iso(at_ms))


async def hear(here: Rig, *events: dict[str, Any]) -> None:
    for event in events:
        await here.post(event)
        await here.settle()


def with_users(here: Rig, *users: str) -> None:
    for user in users:
        here.sandbox.add_device(user, "android", app_id=APP_ID)


def holders(here: Rig, alias: str = "c7") -> list[str | None]:
    """Whose it is, by external id."""
    users = here.sandbox.world.app(APP_ID).users.values()
    return [user.external_id for user in users if user.aliases.get("crm") == alias]


def asked(here: Rig) -> list[str]:
    last = [call.path.split(f"/apps/{APP_ID}/")[1] for call in here.sandbox.calls]
    return [
        f"{call.method} {path} {call.status}"
        for call, path in zip(here.sandbox.calls, last, strict=True)
    ]


async def how(here: Rig) -> list[tuple[str, str | None]]:
    return [(one[3], one[4]) for one in await here.outcomes()]


async def test_a_user_comes_back_without_what_is_another_users_by_now(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        await hear(here, links("u1", at_ms=here.clock.now_ms()))
        app = here.sandbox.world.app(APP_ID)
        for user in list(app.users.values()):
            if user.external_id == "u1":
                app.remove_user(user)
            else:
                app.link(user, {"crm": "c7"})
        await here.pass_time(120)
        await hear(here, track("Seen", "u1"))
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert (found.tags, holders(here)) == ({"seen": "yes"}, ["u2"])
        assert [status for status, _ in await how(here)] == ["delivered", "delivered"]


# The later word --------------------------------------------------------------------------------------


async def test_who_says_so_later_has_it_and_the_other_no_more(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - HOUR), links("u2", at_ms=now))
        assert holders(here) == ["u2"]
        assert asked(here)[1:] == [
            "PATCH users/by/external_id/u2/identity 409",
            "GET users/by/crm/c7 200",
            "DELETE users/by/external_id/u1/identity/crm 200",
            "PATCH users/by/external_id/u2/identity 200",
        ]
        assert await how(here) == [("delivered", None), ("delivered", None)]
        assert not here.sandbox.complaints


async def test_who_said_so_earlier_and_is_heard_later_takes_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now), links("u2", at_ms=now - HOUR))
        assert holders(here) == ["u1"]
        assert await how(here) == [("delivered", None), ("skipped", "overtaken")]
        assert not [one for one in asked(here) if one.startswith("DELETE")]


async def test_that_it_was_said_again_counts_too(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - 3 * HOUR), links("u1", at_ms=now - HOUR))
        await hear(here, links("u2", at_ms=now - 2 * HOUR))
        assert holders(here) == ["u1"]
        assert (await how(here))[-1] == ("skipped", "overtaken")


async def test_who_lost_it_gets_it_back_by_a_later_word_and_by_no_earlier_one(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - 4 * HOUR), links("u2", at_ms=now - 2 * HOUR))
        await hear(here, links("u1", at_ms=now - 3 * HOUR))
        assert holders(here) == ["u2"]
        await hear(here, links("u1", at_ms=now - HOUR))
        assert holders(here) == ["u1"]


async def test_a_user_who_is_created_again_does_not_claim_what_it_lost(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - HOUR), links("u2", at_ms=now))
        app = here.sandbox.world.app(APP_ID)
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        app.remove_user(found)
        await hear(here, track("Seen", "u1", "seen", timestamp=iso(here.clock.now_ms())))
        again = here.sandbox.user("u1", app_id=APP_ID)
        assert again is not None
        assert (again.tags, again.aliases) == ({"seen": "yes"}, {"external_id": "u1"})
        assert holders(here) == ["u2"]


async def test_a_user_who_is_not_there_is_created_with_it(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - HOUR), links("u2", at_ms=now))
        assert holders(here) == ["u2"]
        assert (await how(here))[-1] == ("delivered", None)


async def test_whose_it_is_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS, admin_token=SecretStr("let-me-in")) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - HOUR), links("u2", at_ms=now))
        await hear(here, links("u1", at_ms=now - HOUR // 2))
        assert "another user had it before" in await words(here, "u2")
        assert "a later event had said something else already" in await words(here, "u1")


async def words(here: Rig, user: str) -> str:
    answer = await here.http.get(
        "/api/v1/explain", params={"user": user}, headers={"authorization": "Bearer let-me-in"}
    )
    return " ".join(
        str(one["words"]) for event in answer.json()["events"] for one in event["operations"]
    )


async def test_nothing_is_taken_off_a_user_while_it_may_be_said_again(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now, u1 = here.clock.now_ms(), hash_of(here, "u1")
        await hear(here, links("u1", at_ms=now - HOUR))
        here.means.spacing.confirms(u1)
        await here.post(links("u2", at_ms=now))
        await here.pass_time(10)
        assert holders(here) == ["u1"]
        here.means.spacing.confirmed(u1)
        await here.settle()
        assert holders(here) == ["u2"]


async def test_it_is_not_said_again_of_a_user_off_whom_it_is_being_taken(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now, u1 = here.clock.now_ms(), hash_of(here, "u1")
        await hear(here, links("u1", at_ms=now - 2 * HOUR))
        with here.means.spacing.writing(u1):
            await here.post(links("u1", at_ms=now))
            await here.pass_time(10)
            assert len(await how(here)) == 1
        await here.settle()
        await hear(here, links("u2", at_ms=now - HOUR))
        assert holders(here) == ["u1"]
        assert [one[1] for one in await how(here)] == [None, "unchanged", "overtaken"]


def hash_of(here: Rig, user: str) -> int:
    return here.bridge.journal.hash_of(here.means.destination.name, EXTERNAL_ID, user)


_SAID = st.lists(
    st.tuples(st.sampled_from(["u1", "u2"]), st.integers(0, 5)),
    min_size=1,
    max_size=4,
    unique_by=lambda one: one[1],
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_SAID, st.randoms(use_true_random=False), st.sampled_from(["together", "apart"]))
def test_in_whatever_order_it_is_heard_the_last_word_has_it(
    said: list[tuple[str, int]], random: Any, pace: str
) -> None:
    shuffled = [*said, *random.sample(said, 1)]
    random.shuffle(shuffled)

    async def play(folder: Path) -> tuple[list[str | None], int]:
        async with rig(folder, LINKS) as here:
            with_users(here, "u1", "u2")
            began = here.clock.now_ms() - HOUR
            for user, at in shuffled:
                await here.post(links(user, at_ms=began + at * 60_000, name=f"m-{at}"))
                if pace == "apart":
                    await here.settle()
            await here.settle()
            return holders(here), len(await here.bridge.journal.dead_letters())

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(play(Path(folder)))
    assert found == ([max(said, key=lambda one: one[1])[0]], 0)


@pytest.mark.parametrize(
    "fault", [{"reset": True, "applied": True}, {"reset": True}, {"status": 503}, {"status": 429}]
)
@pytest.mark.parametrize("number", range(4))
async def test_an_answer_that_is_lost_leaves_it_with_the_last_all_the_same(
    tmp_path: Path, fault: dict[str, Any], number: int
) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - 3 * HOUR))
        answers = [{"ordinary": True}] * number + [fault]
        here.sandbox.faults.script({"match": {}, "answers": answers, "times": 1})
        await hear(here, links("u2", at_ms=now - 2 * HOUR))
        assert holders(here) == ["u2"]
        await hear(here, links("u1", at_ms=now - HOUR))
        assert holders(here) == ["u1"]


# Of users without an external id ---------------------------------------------------------------------


def stranger(here: Rig, *tokens: str) -> Any:
    """Somebody whom another system made, and knows by that alias alone."""
    app = here.sandbox.world.app(APP_ID)
    found = app.add_user(here.clock.now_ms())
    app.link(found, {"crm": "c7"})
    for token in tokens:
        app.subscribe(found, "ChromePush", token)
    return found


async def test_a_user_of_no_external_id_becomes_this_one(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        found = stranger(here, "browser")
        await hear(here, links("u1", at_ms=here.clock.now_ms()))
        assert found.external_id == "u1"
        assert holders(here) == ["u1"]
        assert await how(here) == [("delivered", None)]


async def test_of_a_user_of_no_external_id_the_devices_come_over_when_this_one_is_there(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1")
        found = stranger(here, "browser", "other")
        await hear(here, links("u1", at_ms=here.clock.now_ms()))
        known = here.sandbox.user("u1", app_id=APP_ID)
        assert known is not None
        assert holders(here) == ["u1"]
        assert sorted(one.type for one in known.subscriptions.values()) == [
            "AndroidPush",
            "ChromePush",
            "ChromePush",
        ]
        assert not found.subscriptions
        assert await how(here) == [("delivered", None)]
        assert not here.sandbox.complaints


async def test_a_device_on_which_somebody_else_is_known_to_be_stays_there(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        found = stranger(here, "browser")
        (device,) = found.subscriptions.values()
        journal = here.bridge.journal
        owned = Device("default", journal.user_hash("default", "u2"), "web", device.id)
        await journal.devices.keep(owned, of_another="move", now_ms=here.clock.now_ms())
        await hear(here, links("u1", at_ms=here.clock.now_ms()))
        assert (holders(here), device.owner) == (["u1"], found)


# What is a person's to decide ------------------------------------------------------------------------


async def test_what_nothing_here_gave_away_is_taken_from_nobody(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS, admin_token=SecretStr("let-me-in")) as here:
        with_users(here, "u1", "u2")
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        here.sandbox.world.app(APP_ID).link(found, {"crm": "c7"})
        await hear(here, links("u2", at_ms=here.clock.now_ms()))
        (dead,) = await here.bridge.journal.dead_letters()
        assert (dead.reason, dead.http, dead.operation) == ("alias_conflict", 409, "create_alias")
        assert holders(here) == ["u1"]
        # A person takes it off there, and has it asked for again.
        here.sandbox.world.app(APP_ID).unlink(found, "crm")
        token = {"authorization": "Bearer let-me-in"}
        answer = await here.http.post(f"/api/v1/dead/{dead.id}/replay", headers=token)
        assert answer.status_code == 200
        await here.settle()
        assert holders(here) == ["u2"]


async def test_what_anybody_can_send_takes_nothing_from_anybody(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - HOUR))
        mappings = here.bridge.mappings
        for name, mapping in list(mappings.items()):
            mappings[name] = replace(mapping, trust="client")
        await hear(here, links("u2", at_ms=now))
        assert holders(here) == ["u1"]
        assert (await how(here))[-1] == ("dead", "alias_conflict")
        assert not [one for one in asked(here) if one.startswith(("GET", "DELETE"))]


async def test_of_those_who_are_not_to_be_touched_nothing_is_taken(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS, only_users=("u2",)) as here:
        with_users(here, "u1", "u2")
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        app = here.sandbox.world.app(APP_ID)
        app.link(stranger(here, "browser"), {"crm": "c8"})
        app.link(found, {"crm": "c7"})
        now = here.clock.now_ms()
        await hear(here, links("u1", at_ms=now - HOUR), links("u2", at_ms=now))
        await hear(here, links("u2", "c8", at_ms=now))
        assert [one.status for one in here.sandbox.calls if one.method == "DELETE"] == []
        assert (holders(here), holders(here, "c8")) == (["u1"], [None])
        reasons = [one.reason for one in await here.bridge.journal.dead_letters()]
        assert reasons == ["alias_conflict", "alias_conflict"]


async def test_what_goes_from_user_to_user_is_no_id_of_one_person(tmp_path: Path) -> None:
    async with rig(tmp_path, LINKS) as here:
        users = [f"u{number}" for number in range(MOST_CHANGES + 4)]
        with_users(here, *users)
        began = here.clock.now_ms() - HOUR
        for number, user in enumerate(users):
            await hear(here, links(user, at_ms=began + number))
        assert holders(here) == [users[MOST_CHANGES]]
        dead = await here.bridge.journal.dead_letters()
        assert [one.reason for one in dead] == ["alias_contested"] * 3
        assert sum(one.startswith("GET") for one in asked(here)) == MOST_CHANGES
        # An hour later it may be another's again.
        await here.pass_time(3600)
        await hear(here, links("u0", at_ms=here.clock.now_ms()))
        assert holders(here) == ["u0"]


async def test_many_disputes_wait_for_their_look_and_hold_up_nobody_else(tmp_path: Path) -> None:
    count = 3 * AT_ONCE
    async with rig(tmp_path, LINKS) as here:
        with_users(here, *(f"{kind}{number}" for kind in "ab" for number in range(count)))
        began = here.clock.now_ms() - HOUR
        for kind in "ab":
            events = [
                links(f"{kind}{number}", f"c{number}", at_ms=began + ord(kind))
                for number in range(count)
            ]
            await here.post(events)
            if kind == "a":
                await here.settle()
        await here.post(track("Seen", "b", "seen", timestamp=iso(began)))
        await here.pass_time(4)
        found = here.sandbox.user("b", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"seen": "yes"}
        assert not all(holders(here, f"c{number}") == [f"b{number}"] for number in range(count))
        await here.settle()
        assert all(holders(here, f"c{number}") == [f"b{number}"] for number in range(count))
