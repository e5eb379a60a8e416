"""Two users' chains that say something of one user, or of one alias, at once: the later word counts."""

from __future__ import annotations

import asyncio
import random
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bridge.deliver.disputes import AT_ONCE
from bridge.onesignal.operations import EXTERNAL_ID
from tests.e2e.test_aliases import HOUR, hear, holders, with_users
from tests.harness import APP_ID, Rig, iso, rig, track

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: crm
    when: event = "Linked" or event = "LinkedPush"
    do: {create_alias: {label: crm, id: "{{ properties.crm }}"}}
  - name: crm-of-another
    when: event = "LinkedBy"
    do: {create_alias: {to: {external_id: "{{ properties.who }}"}, label: crm, id: "{{ properties.crm }}"}}
  - name: tier
    when: event = "Tagged" or event = "TaggedPush"
    do: {update_user: {tags: {tier: "{{ properties.tier }}"}}}
  - name: tier-of-another
    when: event = "TaggedBy"
    do: {update_user: {to: {external_id: "{{ properties.who }}"}, tags: {tier: "{{ properties.tier }}"}}}
  - name: mail
    when: event = "Mail" or event = "MailPush"
    do: {update_user: {email: {address: "{{ properties.mail }}"}}}
  - name: mail-of-another
    when: event = "MailBy"
    do: {update_user: {to: {external_id: "{{ properties.who }}"}, email: {address: "{{ properties.mail }}"}}}
  - name: crm-beside-more
    when: event = "LinkedByBesideTag" or event = "LinkedByBesideMail"
    do: {create_alias: {to: {external_id: "{{ properties.who }}"}, label: crm, id: "{{ properties.crm }}"}}
  - name: a-tag
    when: event = "LinkedByBesideTag"
    do: {update_user: {tags: {seen: "yes"}}}
  - name: a-mail
    when: event = "LinkedByBesideMail"
    do: {update_user: {email: {address: "u9@shop.example"}}}
  - name: beside-a-push
    when: event = "LinkedByBesidePush" or event = "TaggedByBesidePush"
    limit: off
    do: {send_notification: {contents: "hi"}}
  - name: crm-beside-a-push
    when: event = "LinkedByBesidePush"
    do: {create_alias: {to: {external_id: "{{ properties.who }}"}, label: crm, id: "{{ properties.crm }}"}}
  - name: tier-beside-a-push
    when: event = "TaggedByBesidePush"
    do: {update_user: {to: {external_id: "{{ properties.who }}"}, tags: {tier: "{{ properties.tier }}"}}}
  - name: hello
    when: event = "LinkedPush" or event = "TaggedPush" or event = "MailPush"
    max_age: 6h
    do: {send_notification: {contents: "hello"}}
"""
_numbers = iter(range(1_000_000))


def said(event: str, user: str, *, at_ms: int, **properties: str) -> dict[str, Any]:
    name = f"m{next(_numbers)}"
    return track(event, user, name, properties=properties, timestamp=iso(at_ms))


def tier(here: Rig, user: str = "u1") -> str | None:
    found = here.sandbox.user(user, app_id=APP_ID)
    return None if found is None else found.tags.get("tier")


def violations(here: Rig) -> float:
    (metric,) = here.means.metrics.order_violations.collect()
    return sum(one.value for one in metric.samples if one.name.endswith("_total"))


def pushes_take(here: Rig, answer: dict[str, Any]) -> None:
    here.sandbox.faults.script({"match": {"class": "send"}, "answers": [answer], "times": 1})


# What is said again --------------------------------------------------------------------------------


async def test_what_was_said_again_is_known_though_the_push_behind_it_has_to_wait(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        pushes_take(here, {"status": 503})
        await hear(here, said("LinkedPush", "u1", at_ms=now - HOUR, crm="c7"))
        await hear(here, said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c7"))
        assert holders(here) == ["u1"]


async def test_what_another_wrote_is_seen_by_a_chain_that_stood_for_long(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u9")
        now = here.clock.now_ms()
        pushes_take(here, {"delay": 90})
        await here.post(
            [
                said("TaggedPush", "u1", at_ms=now - 3 * HOUR, tier="bronze"),
                said("Tagged", "u1", at_ms=now - 2 * HOUR, tier="silver"),
            ]
        )
        await here.pass_time(5)
        await here.post(said("TaggedBy", "u9", at_ms=now - HOUR, who="u1", tier="gold"))
        await here.settle()
        assert (tier(here), violations(here)) == ("gold", 0)
        assert ("skipped", "overtaken") in {one[3:] for one in await here.outcomes()}


@pytest.mark.parametrize("alias", ["c7", "c8"])
async def test_what_another_says_again_of_a_user_is_known(tmp_path: Path, alias: str) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u9")
        now, taker = here.clock.now_ms(), "u2" if alias == "c7" else "u1"
        await hear(
            here,
            said("LinkedBy", "u9", at_ms=now - 3 * HOUR, who="u1", crm="c7"),
            said("LinkedBy", "u9", at_ms=now - HOUR, who="u1", crm="c7"),
            said("Linked", taker, at_ms=now - 2 * HOUR, crm=alias),
        )
        assert (holders(here), holders(here, "c8")) == (["u1"], [])


@pytest.mark.parametrize("event", ["LinkedByBesideTag", "LinkedByBesideMail"])
async def test_nor_is_it_lost_when_the_event_ends_with_a_call_of_its_own(
    tmp_path: Path, event: str
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u9")
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"),
            said(event, "u9", at_ms=now - HOUR, who="u1", crm="c7"),
            said("Linked", "u2", at_ms=now - 2 * HOUR, crm="c7"),
        )
        assert holders(here) == ["u1"]


@pytest.mark.parametrize("event", ["LinkedByBesidePush", "TaggedByBesidePush"])
async def test_many_who_say_the_same_again_of_one_user_do_not_wait_for_each_other(
    tmp_path: Path, event: str
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        guests = [f"g{number}" for number in range(40)]
        with_users(here, "host", *guests)
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "host", at_ms=now - 3 * HOUR, crm="c7"),
            said("Tagged", "host", at_ms=now - 3 * HOUR, tier="gold"),
        )
        await here.pass_time(5)
        began = here.clock.monotonic()
        for guest in guests:
            more = {"who": "host", "crm": "c7", "tier": "gold"}
            await here.post(said(event, guest, at_ms=now - HOUR, **more))
        await here.settle()
        assert here.clock.monotonic() - began < 1


async def test_nobody_writes_to_a_user_of_whom_something_is_being_said_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u9")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        pushes_take(here, {"delay": 5})
        await here.post(said("LinkedPush", "u1", at_ms=now - HOUR, crm="c7"))
        await here.still()
        await here.post(said("LinkedBy", "u9", at_ms=now - 2 * HOUR, who="u1", crm="c8"))
        await here.settle()
        assert (holders(here), holders(here, "c8")) == (["u1"], [])


async def test_nor_does_anybody_change_an_address_that_is_being_said_again(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u9")
        now = here.clock.now_ms()
        await hear(here, said("Mail", "u1", at_ms=now - 3 * HOUR, mail="a@shop.example"))
        pushes_take(here, {"delay": 5})
        await here.post(said("MailPush", "u1", at_ms=now - HOUR, mail="a@shop.example"))
        await here.still()
        other = said("MailBy", "u9", at_ms=now - 2 * HOUR, who="u1", mail="b@shop.example")
        await here.post(other)
        await here.settle()
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        mails = [one for one in found.subscriptions.values() if one.type == "Email"]
        assert [one.token for one in mails if one.enabled] == ["a@shop.example"]


async def test_who_asks_for_an_alias_meanwhile_is_not_kept_by_a_push_that_hangs(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        await here.pass_time(5)
        pushes_take(here, {"delay": 80})
        await here.post(said("LinkedPush", "u1", at_ms=now - 2 * HOUR, crm="c7"))
        await here.still()
        await here.post(said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        await here.pass_time(10)
        assert holders(here) == ["u2"]
        assert [call.status for call in here.sandbox.calls].count(409) == 1


async def test_what_has_gathered_leaves_though_another_user_is_busy(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u9")
        now = here.clock.now_ms()
        u9 = here.bridge.journal.hash_of(here.means.destination.name, EXTERNAL_ID, "u9")
        with here.means.spacing.writing(u9):
            await here.post(
                [
                    said("Tagged", "u1", at_ms=now - 3 * HOUR, tier="gold"),
                    said("LinkedBy", "u1", at_ms=now - 2 * HOUR, who="u9", crm="c7"),
                ]
            )
            await here.pass_time(5)
            assert (tier(here), holders(here)) == ("gold", [])
        await here.settle()
        assert holders(here) == ["u9"]


async def test_nor_does_it_wait_for_an_alias_that_many_others_stand_before(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1")
        now, disputes = here.clock.now_ms(), here.means.disputes
        disputes.found(here.bridge.journal.hash_of(here.means.destination.name, "crm", "c7"))
        with ExitStack() as others:
            for _ in range(AT_ONCE):
                others.enter_context(disputes.one_more())
            await here.post(
                [
                    said("Tagged", "u1", at_ms=now - 3 * HOUR, tier="gold"),
                    said("Linked", "u1", at_ms=now - 2 * HOUR, crm="c7"),
                ]
            )
            await here.pass_time(12)
            assert (tier(here), holders(here)) == ("gold", [])
        await here.settle()
        assert holders(here) == ["u1"]


# What is written and not on disk yet -----------------------------------------------------------------


async def test_who_writes_to_a_user_sees_what_the_user_was_just_given(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u9")
        now = here.clock.now_ms()
        await hear(here, said("Tagged", "u1", at_ms=now - 3 * HOUR, tier="silver"))
        await here.pass_time(5)
        go, sends = asyncio.Event(), here.bridge.journal.sends
        write = sends.write

        async def slowly(*values: Any, **more: Any) -> Any:
            await go.wait()
            return await write(*values, **more)

        sends.write = slowly  # type: ignore[method-assign] # between the answer and its commit
        await here.post(said("TaggedPush", "u1", at_ms=now - 2 * HOUR, tier="gold"))
        await here.still()
        assert tier(here) == "gold"
        await here.post(said("TaggedBy", "u9", at_ms=now - HOUR, who="u1", tier="silver"))
        await here.still()
        go.set()
        await here.settle()
        assert (tier(here), violations(here)) == ("silver", 0)


async def test_a_doubtful_write_of_anothers_is_heard_of_by_the_users_own_chain(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u9")
        now = here.clock.now_ms()
        await hear(here, said("Tagged", "u1", at_ms=now - 3 * HOUR, tier="gold"))
        await here.pass_time(5)
        pushes_take(here, {"delay": 0.3})
        lost = {"reset": True, "applied": True}
        match = {"method": "PATCH", "text": "silver"}
        here.sandbox.faults.script({"match": match, "answers": [lost], "times": 1})
        await here.post(
            [
                said("TaggedPush", "u1", at_ms=now - 2 * HOUR, tier="gold"),
                said("Tagged", "u1", at_ms=now, tier="gold"),
            ]
        )
        await here.still()
        await here.post(said("TaggedBy", "u9", at_ms=now - HOUR, who="u1", tier="silver"))
        await here.settle()
        assert tier(here) == "gold"


# Aliases ---------------------------------------------------------------------------------------------


async def test_a_third_who_steps_between_does_not_keep_what_was_said_later(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u3")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c7"))
        await here.pass_time(5)
        await here.post(said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        await here.still()
        await here.post(said("Linked", "u3", at_ms=now - 2 * HOUR, crm="c7"))
        await here.settle()
        assert holders(here) == ["u2"]
        assert not await here.bridge.journal.dead_letters()


async def test_nor_does_a_third_who_takes_what_nobody_has_any_more(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u2", "u3")
        now = here.clock.now_ms()
        await hear(here, said("Linked", "u1", at_ms=now - 4 * HOUR, crm="c7"))
        await here.pass_time(5)
        slow = {"match": {"method": "GET"}, "answers": [{"delay": 0.5}], "times": 1}
        here.sandbox.faults.script(slow)
        await here.post(said("Linked", "u2", at_ms=now - HOUR, crm="c7"))
        await here.still()
        await here.post(said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c8"))
        await here.pass_time(0.6)
        await here.post(said("Linked", "u3", at_ms=now - 2 * HOUR, crm="c7"))
        await here.settle()
        assert holders(here) == ["u2"]
        assert not await here.bridge.journal.dead_letters()


async def test_who_asks_in_vain_for_an_id_keeps_the_other_no_longer_than_it_was_said(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u0", "u1", "u3")
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "u3", at_ms=now - 5 * HOUR, crm="c2"),
            said("Linked", "u0", at_ms=now - HOUR, crm="c1"),
            said("Linked", "u3", at_ms=now - 2 * HOUR, crm="c1"),
            said("Linked", "u1", at_ms=now - 3 * HOUR, crm="c2"),
        )
        assert (holders(here, "c1"), holders(here, "c2")) == (["u0"], ["u1"])


async def test_who_has_lost_one_id_is_given_another_that_was_said_before(tmp_path: Path) -> None:
    async with rig(tmp_path, MAPPING) as here:
        with_users(here, "u1", "u6")
        now = here.clock.now_ms()
        await hear(
            here,
            said("Linked", "u1", at_ms=now - 6 * HOUR, crm="c5"),
            said("Linked", "u6", at_ms=now - HOUR, crm="c5"),
            said("Linked", "u1", at_ms=now - 2 * HOUR, crm="c4"),
        )
        assert (holders(here, "c5"), holders(here, "c4")) == (["u6"], ["u1"])


@pytest.mark.parametrize("seed", range(12))
async def test_of_many_at_once_the_last_to_be_given_an_alias_has_it(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.deliver.disputes.MOST_CHANGES", 1000)
    rolled = random.Random(seed)
    async with rig(tmp_path, MAPPING) as here:
        users = ["u1", "u2", "u3"]
        with_users(here, *users, "u9")
        for match in ({"method": "PATCH"}, {"method": "DELETE"}, {"class": "send"}):
            delays = [{"delay": rolled.choice([0.01, 0.1, 0.5, 2.0])} for _ in range(40)]
            here.sandbox.faults.script({"match": match, "answers": delays, "times": 1})
        began, last = here.clock.now_ms() - 3 * HOUR, (-1, "")
        for at in rolled.sample(range(100), 8):
            user, event = rolled.choice(users), rolled.choice(["Linked", "LinkedPush", "LinkedBy"])
            who = rolled.choice(["u9", *users]) if event == "LinkedBy" else user
            await here.post(said(event, who, at_ms=began + at * 60_000, who=user, crm="c7"))
            last = max(last, (at, user))
            await here.pass_time(rolled.choice([0.0, 0.01, 0.3, 1.0, 2.0]))
        await here.settle()
        assert (holders(here), violations(here)) == ([last[1]], 0)
        assert not await here.bridge.journal.dead_letters()
        assert not here.means.spacing._confirming
