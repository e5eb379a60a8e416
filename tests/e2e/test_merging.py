"""An anonymous visitor turns out to be somebody: nothing said before is lost, and nobody is told twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness import APP_ID, ends, identify, iso, mapping_of, rig, track
from tests.visitors import (
    ALIAS,
    EXTERNAL,
    POLICIES,
    SHOP,
    alias,
    anonymously,
    asked,
    by,
    entered,
    known,
    say,
    signs_up,
    visitor,
    visits,
)

# The visitor was known, the person was not -----------------------------------------------------


@POLICIES
async def test_a_visitor_who_signs_up_is_that_user_with_all_that_was_said(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"))
        before = visitor(here, mapping)
        assert before is not None
        assert before.tags == {"seen": "shoes"}
        await say(here, signs_up(tier="gold"))
        assert known(here) is before
        assert before.tags == {"seen": "shoes", "tier": "gold"}
        assert asked(here) == ["PATCH identity 200"]
        assert ("", "merge_users", "delivered", None) in [one[1:] for one in await here.outcomes()]
        assert not here.sandbox.complaints


@POLICIES
async def test_what_a_visitor_does_afterwards_is_the_users(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"), signs_up(), visits("hats"))
        assert known(here).tags == {"seen": "hats"}
        assert len(here.sandbox.users) == 1


@POLICIES
async def test_both_were_known_so_the_devices_move_and_the_visitors_user_is_left(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits("shoes"))
        before = visitor(here, mapping)
        assert before is not None
        device = here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        await say(here, signs_up(tier="gold"))
        assert device.owner is known(here)
        assert len(known(here).subscriptions) == 2
        assert known(here).tags == {"seen": "shoes", "tier": "gold"}
        assert before in here.sandbox.users
        assert before.subscriptions == {}
        assert asked(here) == ["PATCH identity 409", f"GET {'a1'} 200", "PATCH owner 200"]
        assert not here.sandbox.complaints


@POLICIES
async def test_who_was_never_heard_of_is_nobody_to_merge(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, signs_up(tier="gold"))
        assert asked(here) == ["PATCH identity 404"]
        assert known(here).tags == {"tier": "gold"}
        ended = ends(await here.outcomes())
        assert ended["/merge_users"] == ("skipped", "nobody_to_merge")
        assert ended["profile/update_user"] == ("delivered", None)


@POLICIES
async def test_what_waits_for_the_visitor_is_written_to_the_user(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": [{"status": 503}] * 3})
        await here.post(visits("shoes"))
        await here.post(track("Hello", anonymousId="a1", message_id="m-hello") | {"userId": None})
        await here.still()
        await say(here, signs_up(tier="gold"))
        assert known(here).tags == {"seen": "shoes", "tier": "gold"}
        assert len(here.sandbox.users) == 1
        assert not here.sandbox.complaints


@POLICIES
async def test_an_event_that_says_it_again_links_nothing_and_costs_no_call(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits(), signs_up(), signs_up(message_id="again"))
        await say(here, signs_up(message_id="and again", tier="gold"))
        assert asked(here) == ["PATCH identity 200"]
        merged = [one for one in await here.outcomes() if one[2] == "merge_users"]
        assert len(merged) == 1


async def test_a_link_that_no_rule_wants_and_is_no_news_is_over_when_it_is_accepted(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, ALIAS) as here:
        first = await here.post(alias("u1", "a1"))
        assert first["note"] == "two ids are one person's from now on, if that is news"
        await here.settle()
        await here.post(alias("u1", "a1", "again"))
        assert (2, "", "", "skipped", "no_rule") in await here.outcomes()


@POLICIES
async def test_a_late_event_of_the_visitor_overwrites_nothing_newer(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        earlier = iso(here.clock.now_ms() - 60_000)
        await say(here, visits("shoes"), signs_up(), visits("late", timestamp=earlier))
        assert known(here).tags == {"seen": "shoes"}


@POLICIES
@pytest.mark.parametrize("user_is_there", [True, False])
@pytest.mark.parametrize("visitor_is_later", [True, False])
async def test_of_two_words_the_later_counts_whoever_said_it(
    tmp_path: Path, mapping: str, *, user_is_there: bool, visitor_is_later: bool
) -> None:
    async with rig(tmp_path, mapping) as here:
        now = here.clock.now_ms()
        early, late = iso(now - 120_000), iso(now - 60_000)
        said = [visits("by visitor"), identify("u1", "m-u1", seen="by user", tier="gold")]
        times = (late, early) if visitor_is_later else (early, late)
        for event, at in zip(said, times, strict=True):
            await say(here, event | {"timestamp": at})
        if not user_is_there:
            user = known(here)
            here.sandbox.world.app(APP_ID).remove_user(user)
        await say(here, signs_up())
        seen = "by visitor" if visitor_is_later else "by user"
        assert known(here).tags == {"seen": seen, "tier": "gold"}
        assert not here.sandbox.complaints


# Pushes ---------------------------------------------------------------------------------------


@POLICIES
async def test_a_rule_fires_once_across_a_merge(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits())
        before = visitor(here, mapping)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        await say(here, anonymously("Once"), signs_up(), track("Once"))
        assert len(here.sandbox.pushes) == 1
        assert ends(await here.outcomes())["once/send_notification"] == ("skipped", "once_per")


@POLICIES
@pytest.mark.parametrize("merged_first", [True, False])
async def test_a_stay_in_an_audience_is_one_across_a_merge(
    tmp_path: Path, mapping: str, *, merged_first: bool
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits())
        before = visitor(here, mapping)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        if merged_first:
            await say(here, signs_up(), entered(anonymousId="a1"), entered(userId="u1"))
        else:
            await say(here, entered(anonymousId="a1"), signs_up(), entered(userId="u1"))
        assert (
            sum(
                1
                for *_, name, status, _ in await here.outcomes()
                if (name, status) == ("send_notification", "delivered")
            )
            == 1
        )
        assert ("vip", "send_notification", "skipped", "same_membership") in [
            one[1:] for one in await here.outcomes()
        ]


@POLICIES
async def test_what_the_visitor_got_counts_for_the_cap_of_the_user(
    tmp_path: Path, mapping: str
) -> None:
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits())
        before = visitor(here, mapping)
        assert before is not None
        here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", "browser")
        await here.post([anonymously("Hello", message_id=f"a{n}") for n in range(3)])
        await here.settle()
        await say(here, signs_up())
        await here.post([track("Hello", message_id=f"u{n}") for n in range(4)])
        await here.settle()
        reasons = [reason for *_, reason in await here.outcomes()]
        assert reasons.count("person_cap") == 2


# Chains of links, and links that cross ----------------------------------------------------------


async def test_links_that_cross_end_at_the_first(tmp_path: Path) -> None:
    async with rig(tmp_path, EXTERNAL) as here:
        await say(here, identify("a", "m1", tier="1"), identify("b", "m2", seen="2"))
        await here.post([alias("b", "a"), alias("a", "b")])
        await here.settle()
        assert known(here, "b").tags == {"tier": "1", "seen": "2"}
        await say(here, identify("a", "m3", tier="3"))
        assert known(here, "b").tags == {"tier": "3", "seen": "2"}
        merged = [one for one in await here.outcomes() if one[2] == "merge_users"]
        assert [one[3] for one in merged] == ["delivered"]
        assert (
            len(
                await here.bridge.journal.identities.ids(
                    here.bridge.journal.user_hash("default", "b")
                )
            )
            == 1
        )


@POLICIES
async def test_a_chain_of_links_is_followed_to_its_end(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(here, visits("shoes"), signs_up("u1", tier="gold"))
        await say(here, alias("u2", "u1"))
        assert known(here, "u2").tags == {"seen": "shoes", "tier": "gold"}
        await say(here, visits("hats"), identify("u1", "m-late", tier="black"))
        assert known(here, "u2").tags == {"seen": "hats", "tier": "black"}
        assert by(here, "external_id", "u1") is None
        assert not here.sandbox.complaints


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_a_chain_of_links_in_one_batch_is_followed_in_any_order(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    async with rig(tmp_path, EXTERNAL) as here:
        await say(here, identify("a", "m1", tier="1"), identify("b", "m2", seen="2"))
        batch = [alias("b", "a"), alias("c", "b"), identify("a", "m3", tier="3")]
        await here.post([batch[n] for n in order])
        await here.settle()
        assert known(here, "c").tags == {"tier": "3", "seen": "2"}
        assert not here.sandbox.complaints


@POLICIES
async def test_an_anonymous_id_is_the_first_persons_for_good(tmp_path: Path, mapping: str) -> None:
    async with rig(tmp_path, mapping) as here:
        await say(
            here, visits("shoes"), signs_up("u1"), signs_up("u2", message_id="m-u2", tier="gold")
        )
        assert known(here, "u1").tags == {"seen": "shoes"}
        assert known(here, "u2").tags == {"tier": "gold"}
        await say(here, visits("hats"))
        assert known(here, "u1").tags == {"seen": "hats"}


async def test_two_ids_of_one_visitor_are_both_the_users(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        await say(here, visits("web", "w1"), visits("app", "p1"))
        await here.post([signs_up("u1", "w1"), signs_up("u1", "p1")])
        await here.settle()
        assert known(here).tags == {"seen": "app"}
        assert sorted(asked(here))[-2:] == ["PATCH identity 200", "PATCH identity 409"]
        assert not here.sandbox.complaints


async def test_nobody_is_made_one_where_anonymous_ids_are_nobodys(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP % "skip") as here:
        await say(here, signs_up(tier="gold"), alias("u1", "u0"))
        assert asked(here) == []
        assert known(here).tags == {"tier": "gold"}


# Who is named ----------------------------------------------------------------------------------

GIFTS = (
    EXTERNAL
    + """
  - name: gift
    when: event = "Gift"
    do:
      update_user: {to: {external_id: "{{ properties.to }}"}, tags: {gift: "{{ properties.what }}"}}
      send_notification: {to: {external_id: "{{ properties.to }}"}, contents: "A gift"}
"""
)


async def test_whoever_names_an_id_of_before_means_the_person(tmp_path: Path) -> None:
    async with rig(tmp_path, GIFTS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, identify("old", "m1", tier="gold"), alias("u1", "old"))
        await say(here, track("Gift", "bob", properties={"to": "old", "what": "book"}))
        assert known(here).tags == {"tier": "gold", "gift": "book"}
        assert [push.external_id for push in here.sandbox.pushes] == ["u1"]
        assert not here.sandbox.complaints


# Sources that anybody can send to ----------------------------------------------------------------


@POLICIES
async def test_what_anybody_can_send_makes_nobody_one_unless_the_mapping_says_so(
    tmp_path: Path, mapping: str
) -> None:
    mine = replace(mapping_of(mapping), trust="client")
    allowing = replace(mine, merging_clients=frozenset({"default"}))
    async with rig(tmp_path, mapping) as here:
        here.bridge.mappings = {"default": mine}
        await say(here, visits("shoes"), signs_up(tier="gold"))
        assert known(here).tags == {"tier": "gold"}
        assert asked(here) == []
        ended = ends([one for one in await here.outcomes() if one[0] == 2])
        assert ended["/merge_users"] == ("skipped", "client_source")
        here.bridge.mappings = {"default": allowing}
        await say(here, signs_up(message_id="again"))
        assert known(here).tags == {"seen": "shoes", "tier": "gold"}


async def test_an_id_that_is_nobodys_is_never_linked(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        for number, nobody in enumerate(("undefined", "null", "0", "{{ anonymousId }}")):
            await say(here, signs_up(f"u{number}", nobody, message_id=f"m{number}", tier="1"))
        assert asked(here) == []


# Refused, slow, away ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [{"status": 503}, {"reset": True, "applied": True}, {"status": 429}]
)
@POLICIES
@pytest.mark.parametrize("user_is_there", [True, False])
async def test_a_merge_survives_a_failure_at_every_call(
    tmp_path: Path, mapping: str, *, user_is_there: bool, answer: dict[str, Any]
) -> None:
    for skipped in range(4):
        folder = tmp_path / str(skipped)
        folder.mkdir()
        async with rig(folder, mapping) as here:
            if user_is_there:
                here.sandbox.add_device("u1", "android", app_id=APP_ID)
            await say(here, visits("shoes"))
            before = visitor(here, mapping)
            assert before is not None
            devices = [
                here.sandbox.world.app(APP_ID).subscribe(before, "ChromePush", token)
                for token in ("one", "two")
            ]
            answers = [{"ordinary": True}] * skipped + [answer]
            here.sandbox.faults.script({"match": {}, "answers": answers})
            await say(here, signs_up(tier="gold"))
            assert known(here).tags == {"seen": "shoes", "tier": "gold"}
            assert {device.owner for device in devices} == {known(here)}
            assert not here.sandbox.complaints
            assert {status for *_, status, _ in await here.outcomes()} == {"delivered"}


async def test_a_visitor_who_was_only_just_created_is_waited_for(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        await say(here, visits("shoes"))
        answers = [{"status": 404}] * 3
        here.sandbox.faults.script({"match": {"path": "*identity"}, "answers": answers})
        await say(here, signs_up(tier="gold"))
        assert known(here).tags == {"seen": "shoes", "tier": "gold"}
        assert asked(here) == [*["PATCH identity 404"] * 3, "PATCH identity 200"]


async def test_a_device_that_somebody_else_has_by_then_is_left_with_them(tmp_path: Path) -> None:
    async with rig(tmp_path, ALIAS) as here:
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await say(here, visits("shoes"))
        before = visitor(here, ALIAS)
        assert before is not None
        app = here.sandbox.world.app(APP_ID)
        device = app.subscribe(before, "ChromePush", "browser")
        lost = {"reset": True, "applied": False}
        here.sandbox.faults.script({"match": {"path": "*owner"}, "answers": [lost]})
        here.means.roll = lambda: 0.9  # not again before somebody has logged in
        await here.post(signs_up(tier="gold"))
        while not any(call.path.endswith("owner") for call in here.sandbox.calls):
            await here.pass_time(0.25)
        app.move(device, known(here, "u2"))  # who logs in on it meanwhile
        await here.settle()
        assert device.owner is known(here, "u2")
        assert asked(here)[-1].startswith("GET")


async def test_what_a_visitor_had_of_aliases_and_addresses_is_the_users(tmp_path: Path) -> None:
    mapping = (
        ALIAS
        + """
  - name: crm
    when: traits.crm != null
    do: {create_alias: {label: crm, id: "{{ traits.crm }}"}}
  - name: mail
    when: traits.email != null
    do: {update_user: {email: "{{ traits.email }}"}}
"""
    )
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, identify("u1", "m0", email="old@shop.example"))
        said = {"type": "identify", "anonymousId": "a1", "messageId": "m1"}
        await say(here, said | {"traits": {"crm": "c7", "email": "new@shop.example"}})
        await say(here, signs_up(tier="gold"))
        found = known(here)
        assert found.aliases == {"external_id": "u1", "crm": "c7"}
        emails = {
            one.token: one.enabled for one in found.subscriptions.values() if one.type == "Email"
        }
        assert emails == {"old@shop.example": False, "new@shop.example": True}
        await say(here, signs_up(message_id="m2", crm="c7", email="new@shop.example"))
        assert ends([one for one in await here.outcomes() if one[0] == 4])["crm/create_alias"] == (
            "skipped",
            "unchanged",
        )
        assert not here.sandbox.complaints


async def test_the_tags_of_both_keep_to_the_plan(tmp_path: Path) -> None:
    mapping = ALIAS.replace("[tier, seen]", "[tier, seen, a, b]")
    async with rig(tmp_path, mapping, onesignal_plan="growth") as here:
        here.bridge.mappings = {"default": mapping_of(mapping, tag_cap=2)}
        here.sandbox.world.app(APP_ID).tag_cap = 2
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await say(here, visits("shoes"), identify("u1", "m1", a="1", b="2"), signs_up())
        assert known(here).tags == {"a": "1", "b": "2"}
        assert not await here.bridge.journal.dead_letters()
