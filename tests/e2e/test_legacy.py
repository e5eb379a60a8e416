"""An app that speaks OneSignal's legacy API: the same people, once; what it has not, said; nothing twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from bridge.clock import ManualClock
from bridge.deliver.brake import PUSHES
from bridge.deliver.held import release_resumed
from bridge.deliver.replay import replay
from bridge.errors import ConfigurationError
from bridge.sandbox import Behaviour, create_sandbox
from bridge.sandbox.ledger import Call
from tests.harness import APP_ID, Rig, ends, identify, iso, rig, track

SHOP = """
version: 1
push: {platforms: all}
rules:
  - name: profile
    when: type = "identify"
    do:
      update_user:
        tags: {tier: "{{ traits.tier }}", shoe: "{{ traits.shoe }}"}
        language: "{{ traits.locale }}"
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    do: {send_notification: {contents: "{{ properties.id }} is on its way"}}
  - name: sale
    when: event = "Sale"
    max_age: 1h
    limit: off
    group: 3s
    do: {send_notification: {contents: "Sale"}}
"""
MODERN_ONLY = """
version: 1
rules:
  - name: everything
    when: type = "identify"
    do:
      update_user: {tags: {tier: "{{ traits.tier }}"}, email: "{{ traits.email }}"}
      create_alias: {label: crm, id: "{{ traits.crm }}"}
      track_custom_event: {name: seen}
  - name: phone
    when: type = "identify"
    do: {update_user: {phone: "{{ traits.phone }}"}}
"""
NO_IPHONES = SHOP.replace("platforms: all", "platforms: {exclude: [ios]}")
EVERYWHERE = ("android", "web", "ios")
OLD_KEY = "NGEwMGZmMjItY2NkNy0xMWUzLTk5ZDUtMDAwYzI5NDBlNjJj"
LEGACY: dict[str, Any] = {
    "onesignal_api": "legacy",
    "onesignal_platforms": EVERYWHERE,
    "onesignal_api_key": (SecretStr(OLD_KEY),),
}
TRUSTED = LEGACY | {"onesignal_legacy_flags": "trust"}


def with_phones(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        for platform in ("android", "ios"):
            here.sandbox.add_device(user, platform, app_id=APP_ID)


def shipped(user: str = "u1", message_id: str | None = None) -> dict[str, Any]:
    return track("Order Shipped", user, message_id, properties={"id": "A7"})


def sends(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "send"]


def writes(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "write"]


def fail(here: Rig, endpoint_class: str, *answers: dict[str, Any], times: Any = 1) -> None:
    here.sandbox.faults.script(
        {"match": {"class": endpoint_class}, "answers": answers, "times": times}
    )


async def statuses(here: Rig, rule: str) -> Counter[tuple[str, str | None]]:
    return Counter(
        (status, reason) for _, name, _, status, reason in await here.outcomes() if name == rule
    )


# What it can do -------------------------------------------------------------------------------------


async def test_tags_and_pushes_reach_a_person_by_the_legacy_paths(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        with_phones(here, "a/b")
        await here.post([identify("a/b", tier="gold", shoe="42"), shipped("a/b")])
        await here.settle()
        await here.post(identify("a/b", "m2", tier="gold", shoe=None))
        await here.settle()

        user = here.sandbox.user("a/b")
        assert user is not None
        assert user.tags == {"tier": "gold"}
        assert [(call.method, call.path, call.status) for call in writes(here)] == [
            ("PUT", f"/apps/{APP_ID}/users/a%2Fb", 200)
        ] * 2
        # A value that OneSignal has is not said twice, and "" deletes.
        assert writes(here)[1].body == {"tags": {"shoe": ""}}
        (push,) = sends(here)
        assert push.body["include_external_user_ids"] == ["a/b"]
        assert push.body["channel_for_external_user_ids"] == "push"
        assert all(call.is_legacy for call in here.sandbox.calls)
        assert len(here.sandbox.pushes) == 2
        assert not here.sandbox.complaints


async def test_a_person_without_a_device_is_skipped_and_written_once_there_is_one(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        await here.post(identify("u1", "m1", tier="gold"))
        await here.settle()
        assert await statuses(here, "profile") == {("skipped", "unknown_user"): 1}
        with_phones(here)
        await here.post(identify("u1", "m2", tier="gold"))
        await here.settle()
        user = here.sandbox.user("u1")
        assert user is not None
        assert user.tags == {"tier": "gold"}
        assert {call.method for call in writes(here)} == {"PUT"}


async def test_equal_pushes_share_a_call_of_2000_whose_members_end_each_on_its_own(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        for number in range(2_050):
            here.sandbox.add_device(
                f"u{number}", "android", app_id=APP_ID, enabled=number not in {3, 2_001}
            )
        at = iso(here.clock.now_ms())
        events = [track("Sale", f"u{number}", timestamp=at) for number in range(2_050)]
        for begin in range(0, len(events), 500):
            await here.post(events[begin : begin + 500])
        await here.settle()
        assert sorted(len(call.body["include_external_user_ids"]) for call in sends(here)) == [
            50,
            2_000,
        ]
        assert await statuses(here, "sale") == {
            ("delivered", None): 2_048,
            ("no_recipients", "not_subscribed"): 2,
        }
        assert set(Counter(push.external_id for push in here.sandbox.pushes).values()) == {1}


async def test_nobody_reached_is_an_end_and_no_failure(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID, enabled=False)
        await here.post([shipped(), track("Sale")])
        await here.settle()
        assert await statuses(here, "shipped") == {("no_recipients", "not_subscribed"): 1}
        assert len(sends(here)) == 2


# Trouble --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"timeout": 60, "applied": True}, {"status": 502}])
async def test_what_may_have_been_sent_is_sent_again_as_it_was(
    tmp_path: Path, answer: dict[str, Any]
) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        with_phones(here)
        fail(here, "send", answer)
        await here.post([shipped(), track("Sale")])
        await here.settle()
        bodies = Counter(repr(call.body) for call in sends(here))
        assert sorted(bodies.values()) == [1, 2]
        assert len({call.idempotency_key for call in sends(here)}) == 2
        assert len(here.sandbox.pushes) == 4
        assert not here.sandbox.complaints


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 401, "body": "Unauthorized"},
        {"status": 403, "body": {"errors": ["Access denied.  Please include an …"]}},
        None,
    ],
)
async def test_a_refused_key_in_any_of_its_words_stops_everything_and_kills_nothing(
    tmp_path: Path, refusal: dict[str, Any] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock, api_keys=[OLD_KEY] if refusal else ["other"])
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **LEGACY) as here:
        with_phones(here, "u1", "u2")
        if refusal:
            here.sandbox.faults.script({"answers": [refusal], "times": "until_cleared"})
        await here.post([identify("u1", tier="gold"), shipped("u1"), shipped("u2")])
        await here.pass_time(300)
        assert len(here.sandbox.pushes) == 0
        assert (await here.bridge.journal.counts()).dead == 0
        assert capsys.readouterr().out.count("gates.closed") == 1
        here.sandbox.faults.clear()
        here.sandbox.api_keys = frozenset([OLD_KEY])
        await here.settle()
        assert (await here.bridge.journal.counts()).dead == 0
        assert Counter(push.external_id for push in here.sandbox.pushes) == {"u1": 2, "u2": 2}


async def test_two_keys_of_two_kinds_are_each_shown_in_their_way(tmp_path: Path) -> None:
    clock = ManualClock()
    keys = (SecretStr("os_v2_app_new"), SecretStr(OLD_KEY))
    onesignal = create_sandbox(clock=clock, api_keys=[OLD_KEY])
    settings = LEGACY | {"onesignal_api_key": keys}
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **settings) as here:
        with_phones(here)
        await here.post(shipped())
        await here.settle()
        assert [call.status for call in sends(here)] == [400, 200]
        assert len(here.sandbox.pushes) == 2


async def test_a_push_that_is_refused_dies_alone_and_is_replayed_where_it_belongs(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        with_phones(here, *(f"u{number}" for number in range(5)))
        here.sandbox.faults.script(
            {
                "match": {"class": "send", "text": '"u3"'},
                "answers": [{"status": 400, "body": {"errors": ["No"]}}],
                "times": "until_cleared",
            }
        )
        await here.post([track("Sale", f"u{number}") for number in range(5)])
        await here.settle()
        assert await statuses(here, "sale") == {("delivered", None): 4, ("dead", "http_400"): 1}
        (dead,) = await here.bridge.journal.dead_letters()
        assert dead.request is not None
        assert b'"include_external_user_ids":["u3"]' in dead.request
        here.sandbox.faults.clear()
        await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
        here.bridge.nudge("default", frozenset({dead.user_hash}))
        await here.settle()
        assert all(call.is_legacy for call in sends(here))
        assert Counter(push.external_id for push in here.sandbox.pushes) == {
            f"u{number}": 2 for number in range(5)
        }


async def test_a_flood_of_writes_waits_in_any_of_the_words_for_it(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        with_phones(here)
        body = {
            "errors": ["API rate limit exceeded"],
            "limit": "Subscription/User Update Per Device",
        }
        fail(
            here, "write", {"status": 429, "body": body}, {"status": 429, "body": {"errors": ["x"]}}
        )
        await here.post(identify(tier="gold"))
        await here.settle()
        assert [call.status for call in writes(here)] == [429, 429, 200]


# What it cannot do ----------------------------------------------------------------------------------


async def test_what_it_has_not_is_skipped_and_said(tmp_path: Path) -> None:
    async with rig(tmp_path, MODERN_ONLY, **LEGACY) as here:
        with_phones(here)
        event = identify("u1", tier="gold", email="a@b.example", crm="17", phone="+43123456")
        await here.post(event)
        await here.settle()
        assert ends(await here.outcomes()) == {
            "everything/update_user": ("delivered", None),
            "everything/create_alias": ("skipped", "legacy_api"),
            "everything/track_custom_event": ("skipped", "legacy_api"),
            "phone/update_user": ("skipped", "legacy_api"),
        }
        (call,) = here.sandbox.calls
        assert call.body == {"tags": {"tier": "gold"}}


# iPhones (I7) ---------------------------------------------------------------------------------------


async def test_a_push_that_leaves_iphones_out_by_flags_is_not_served_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        async with rig(tmp_path, NO_IPHONES, **LEGACY):
            pass
    errors = {one.code for one in refusal.value.findings if one.is_error}
    assert errors == {"legacy-flags-refused"}


async def test_flags_that_are_trusted_and_work_leave_iphones_out(tmp_path: Path) -> None:
    async with rig(tmp_path, NO_IPHONES, **TRUSTED) as here:
        here.sandbox.behaviour = Behaviour(external_user_ids_ignore_flags=False)
        with_phones(here, "u1", "u2")
        await here.post([shipped("u1"), track("Sale", "u1"), track("Sale", "u2")])
        await here.settle()
        assert Counter(push.platform for push in here.sandbox.pushes) == {"android": 3}
        await here.pass_time(400)
        assert here.bridge.brake.pauses == {}
        assert not here.sandbox.complaints


async def test_flags_that_are_trusted_and_do_not_work_are_noticed_and_stop_pushes(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, NO_IPHONES, **TRUSTED) as here:
        with_phones(here, "u1", "u2")
        await here.post(shipped("u1"))
        await here.settle()
        assert {push.platform for push in here.sandbox.pushes} == {"android", "ios"}
        await here.pass_time(400)
        (pause,) = here.bridge.brake.pauses.values()
        assert (pause.what, pause.reason) == ("pushes", "ios_reached")
        await here.post(shipped("u2"))
        await here.settle()
        assert len(here.sandbox.pushes) == 2


# A switch of the API --------------------------------------------------------------------------------

MODERN: dict[str, Any] = {"onesignal_platforms": EVERYWHERE}


@pytest.mark.parametrize(("before", "after"), [(LEGACY, MODERN), (MODERN, LEGACY)])
@pytest.mark.parametrize("lost", [False, True])
async def test_what_is_written_when_the_api_is_switched_leaves_once_as_it_was_written(
    tmp_path: Path, before: dict[str, Any], after: dict[str, Any], *, lost: bool
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    events = [shipped("u1"), track("Sale", "u2"), track("Sale", "u3")]
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, drain=0, **before) as here:
        with_phones(here, "u1", "u2", "u3", "u4")
        if lost:
            fail(here, "send", {"timeout": 60, "applied": True}, times="until_cleared")
        else:
            here.means.destination.sends.hold(3600)
        await here.post(events)
        await here.pass_time(8)
        here.sandbox.faults.clear()
    was_legacy = before is LEGACY
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **after) as here:
        await here.post(events)
        await here.settle()
        assert {call.is_legacy for call in sends(here)} == {was_legacy}
        await here.post(shipped("u4"))
        await here.settle()
        assert sends(here)[-1].is_legacy is not was_legacy
        reached = Counter(push.external_id for push in here.sandbox.pushes)
        assert reached == dict.fromkeys(("u1", "u2", "u3", "u4"), 2)
        assert not here.sandbox.complaints


async def test_flags_that_were_written_for_the_user_model_are_not_taken_to_where_they_may_do_nothing(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(
        tmp_path, NO_IPHONES, clock=clock, onesignal=onesignal, drain=0, **MODERN
    ) as here:
        with_phones(here, "u1", "u2", "u3")
        here.means.destination.sends.hold(3600)
        await here.post([shipped("u1"), track("Sale", "u2"), track("Sale", "u3")])
        await here.pass_time(8)
        assert sends(here) == []
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **LEGACY) as here:
        await here.settle()
        assert {call.is_legacy for call in sends(here)} == {False}
        assert Counter(push.platform for push in here.sandbox.pushes) == {"android": 3}


async def test_what_was_held_before_the_switch_is_released_as_it_was_written(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **LEGACY) as here:
        with_phones(here)
        await here.bridge.brake.pull(PUSHES)
        await here.post([shipped(), track("Sale")])
        await here.settle()
        assert sends(here) == []
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **MODERN) as here:
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        assert [call.is_legacy for call in sends(here)] == [True, True]
        assert len(here.sandbox.pushes) == 4


# Erasure --------------------------------------------------------------------------------------------


def deletion(here: Rig, user: str = "u1") -> dict[str, Any]:
    at = iso(here.clock.now_ms())
    return {"type": "delete", "userId": user, "messageId": "d1", "timestamp": at}


def trail(here: Rig) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(here.bridge.journal.path)) as connection:
        sql = "SELECT detail FROM audit_trail WHERE what = 'user.erased'"
        return [orjson.loads(detail) for (detail,) in connection.execute(sql)]


def state_of(here: Rig) -> list[Any]:
    with closing(sqlite3.connect(here.bridge.journal.path)) as connection:
        return [orjson.loads(facts) for (facts,) in connection.execute("SELECT facts FROM state")]


async def test_who_is_erased_is_gone_here_and_has_no_tag_of_ours_there(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        with_phones(here)
        await here.post(identify(tier="gold", shoe="42"))
        await here.settle()
        user = here.sandbox.user("u1")
        assert user is not None
        user.tags["theirs"] = "kept"
        await here.pass_time(60)

        told = await here.post(deletion(here))
        await here.settle()

        assert "devices are yours to delete" in told["note"]
        assert user.tags == {"theirs": "kept"}
        assert writes(here)[-1].body == {"tags": {"tier": "", "shoe": ""}}
        assert ends(await here.outcomes()) == {
            "profile/update_user": ("delivered", None),
            "/delete_user": ("skipped", "legacy_api"),
            "/update_user": ("delivered", None),
        }
        assert [one["onesignal"] for one in trail(here)] == ["legacy_api"]
        assert state_of(here) == []


async def test_while_onesignal_is_away_only_names_of_tags_are_kept_over_a_restart(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    onesignal = create_sandbox(clock=clock)
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **LEGACY) as here:
        with_phones(here)
        await here.post(identify(tier="a-secret-tier"))
        await here.settle()
        await here.pass_time(60)
        here.sandbox.faults.script({"answers": [{"status": 503}], "times": "until_cleared"})
        await here.post(deletion(here))
        await here.pass_time(30)
        assert trail(here) == []
        assert [list(facts) for _, facts in state_of(here)] == [["tags.tier"]]
        assert "a-secret-tier" not in repr(state_of(here))
    async with rig(tmp_path, SHOP, clock=clock, onesignal=onesignal, **LEGACY) as here:
        here.sandbox.faults.clear()
        await here.settle()
        user = here.sandbox.user("u1")
        assert user is not None
        assert user.tags == {}
        assert len(trail(here)) == 1
        assert state_of(here) == []


async def test_who_is_unknown_there_is_erased_and_not_created(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **LEGACY) as here:
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        await here.pass_time(60)
        await here.post(deletion(here))
        await here.settle()
        assert {call.method for call in here.sandbox.calls} == {"PUT"}
        assert here.sandbox.users == []
        assert len(trail(here)) == 1
        assert state_of(here) == []


async def test_a_rule_that_deletes_is_a_skip_and_touches_no_tag(tmp_path: Path) -> None:
    mapping = SHOP + '  - name: gone\n    when: event = "Left"\n    do: {delete_user: {}}\n'
    async with rig(tmp_path, mapping, **LEGACY) as here:
        with_phones(here)
        await here.post([identify(tier="gold"), track("Left")])
        await here.settle()
        assert await statuses(here, "gone") == {("skipped", "legacy_api"): 1}
        user = here.sandbox.user("u1")
        assert user is not None
        assert user.tags == {"tier": "gold"}
