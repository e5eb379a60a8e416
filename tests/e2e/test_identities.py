"""Aliases, subscriptions, addresses and deletions: done once, in order, and never taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bridge.sandbox.ledger import Call
from bridge.sandbox.world import Subscription
from tests.harness import APP_ID, Rig, ends, identify, iso, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do:
      update_user:
        tags_from: {traits: {include: [tier]}}
        email: {address: "{{ traits.email }}", opted_in: "{{ traits.news }}"}
  - name: crm
    when: event = "Linked"
    do: {create_alias: {label: crm, id: "{{ properties.crm }}"}}
  - name: device
    when: event = "Installed"
    do: {add_subscription: {type: AndroidPush, token: "{{ properties.token }}"}}
  - name: gone
    when: event = "Uninstalled"
    do: {remove_subscription: {type: AndroidPush, token: "{{ properties.token }}"}}
  - name: bye
    when: event = "Account Closed"
    do: {delete_user: {}}
  - name: hello
    when: event = "Hello"
    do: {send_notification: {contents: "Hello"}}
"""


def writes(here: Rig) -> list[Call]:
    return [call for call in here.sandbox.calls if call.endpoint_class == "write"]


def asked(here: Rig) -> list[tuple[str, str]]:
    """Method and last part of the path that says what it was, of every write that was accepted."""
    names = ("subscriptions_by_token", "subscriptions", "identity", "by", "users")
    return [
        (call.method, next(name for name in names if name in call.path.split("/")))
        for call in writes(here)
        if 200 <= call.status < 300
    ]


def emails(here: Rig, user: str = "u1") -> dict[str, bool]:
    found = here.sandbox.user(user, app_id=APP_ID)
    assert found is not None
    return {one.token: one.enabled for one in found.subscriptions.values() if one.type == "Email"}


def with_user(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        here.sandbox.add_device(user, "android", app_id=APP_ID)


async def say(here: Rig, message_id: str, **traits: Any) -> None:
    await here.post(identify("u1", message_id, **traits))
    await here.settle()


# Aliases and subscriptions ---------------------------------------------------------------------


async def test_an_alias_is_written_once(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        for n in range(3):
            await here.post(track("Linked", message_id=f"m{n}", properties={"crm": "c7"}))
            await here.settle()
        assert asked(here) == [("PATCH", "identity")]
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.aliases["crm"] == "c7"
        reasons = [(status, reason) for *_, status, reason in await here.outcomes()]
        assert reasons == [("delivered", None), ("skipped", "unchanged"), ("skipped", "unchanged")]


async def test_the_twenty_first_alias_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    labels = [f"label_{number}" for number in range(21)]
    rules = [
        f'  - {{name: {label}, when: event = "{label}", '
        f'do: {{create_alias: {{label: {label}, id: "{{{{ userId }}}}"}}}}}}'
        for label in labels
    ]
    mapping = "\n".join(["version: 1", "rules:", *rules])
    async with rig(tmp_path, mapping) as here:
        for label in labels:
            await here.post(track(label))
        await here.settle()
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert set(found.aliases) & set(labels) == set(labels[:20])
        skipped = [one for one in await here.outcomes() if one[3] == "skipped"]
        assert [(rule, reason) for _, rule, _, _, reason in skipped] == [("label_20", "alias_cap")]


async def test_an_alias_of_a_user_who_is_not_there_creates_the_user(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(track("Linked", properties={"crm": "c7"}))
        await here.settle()
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.aliases == {"external_id": "u1", "crm": "c7"}


async def test_a_subscription_is_added_once_whatever_time_has_passed(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        for n in range(2):
            await here.post(track("Installed", message_id=f"m{n}", properties={"token": "t1"}))
            await here.settle()
            await here.pass_time(8 * 86_400)
        assert asked(here) == [("POST", "subscriptions")]


async def test_a_subscription_that_is_removed_is_off_and_one_that_comes_back_is_on(
    tmp_path: Path,
) -> None:
    def token(n: int) -> dict[str, Any]:
        return {"message_id": f"m{n}", "properties": {"token": "t1"}}

    async with rig(tmp_path, SHOP) as here:
        with_user(here)

        def found() -> Subscription:
            return here.sandbox.world.app(APP_ID).by_token["AndroidPush", "t1"]

        await here.post(track("Installed", **token(0)))
        await here.settle()
        await here.post(track("Uninstalled", **token(1)))
        await here.settle()
        assert not found().enabled
        await here.post(track("Uninstalled", **token(2)))
        await here.settle()
        assert len(writes(here)) == 2
        await here.post(track("Installed", **token(3)))
        await here.settle()
        assert found().enabled


async def test_removing_what_is_not_there_is_done(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(track("Uninstalled", properties={"token": "t1"}))
        await here.settle()
        assert ends(await here.outcomes()) == {"gone/remove_subscription": ("delivered", None)}
        assert [call.status for call in writes(here)] == [404]


# Addresses -------------------------------------------------------------------------------------


async def test_an_address_is_added_once_and_never_touched_again(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m0", email="a@shop.example", tier="gold")
        assert emails(here) == {"a@shop.example": True}
        added = [call for call in writes(here) if "subscriptions" in call.path]
        assert [set(call.body["subscription"]) for call in added] == [{"type", "token"}]

        # The customer unsubscribes, and logs in again and again.
        here.sandbox.world.app(APP_ID).by_token["Email", "a@shop.example"].enabled = False
        for n in range(1, 4):
            await here.pass_time(8 * 86_400)
            await say(here, f"m{n}", email="a@shop.example", tier=str(n), news=True)
        assert emails(here) == {"a@shop.example": False}


async def test_only_a_change_from_no_to_yes_switches_an_address_on(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m0", email="a@shop.example", news=True)
        await say(here, "m1", email="a@shop.example", news=False)
        assert emails(here) == {"a@shop.example": False}
        await say(here, "m2", email="a@shop.example", news=False)
        await say(here, "m3", email="a@shop.example")
        assert emails(here) == {"a@shop.example": False}
        assert len(writes(here)) == 2
        await say(here, "m4", email="a@shop.example", news=True)
        assert emails(here) == {"a@shop.example": True}
        assert len(writes(here)) == 3


async def test_a_no_about_an_address_that_is_not_there_is_done_and_a_yes_adds_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m0", email="a@shop.example", news=False)
        assert emails(here) == {}
        assert [call.status for call in writes(here)] == [404]
        await say(here, "m1", email="a@shop.example", news=True)
        assert emails(here) == {"a@shop.example": True}


async def test_a_changed_address_replaces_ours_and_null_switches_it_off(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m0", email="a@shop.example")
        await say(here, "m1", email="b@shop.example")
        assert emails(here) == {"a@shop.example": False, "b@shop.example": True}
        await say(here, "m2", email=None)
        assert emails(here) == {"a@shop.example": False, "b@shop.example": False}
        await say(here, "m3", email="a@shop.example")
        assert emails(here) == {"a@shop.example": True, "b@shop.example": False}
        assert {status for *_, status, _ in await here.outcomes()} == {"delivered"}


async def test_an_older_address_never_replaces_a_newer_one(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        earlier = iso(here.clock.now_ms() - 60_000)
        await say(here, "m0", email="b@shop.example")
        await here.post({**identify("u1", "m1", email="a@shop.example"), "timestamp": earlier})
        await here.settle()
        assert emails(here) == {"b@shop.example": True}
        assert (2, "profile", "update_user", "skipped", "overtaken") in await here.outcomes()


async def test_an_address_that_is_there_holds_up_no_fold(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m0", email="a@shop.example", tier="0")
        before = len(writes(here))
        await here.pass_time(5)
        await here.post(
            [identify("u1", f"n{n}", email="a@shop.example", tier=str(n)) for n in range(1, 6)]
        )
        await here.settle()
        assert len(writes(here)) == before + 1
        assert [status for *_, status, _ in await here.outcomes()] == ["delivered"] * 6


async def test_tags_and_an_address_are_one_operation_with_one_end(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        here.sandbox.faults.script(
            {"match": {"class": "write", "text": "Email"}, "answers": [{"status": 400}]}
        )
        await say(here, "m0", email="a@shop.example", tier="gold")
        assert ends(await here.outcomes()) == {"profile/update_user": ("dead", "http_400")}
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"tier": "gold"}
        assert not here.sandbox.complaints


@pytest.mark.parametrize("answer", [{"status": 503}, {"reset": True, "applied": True}])
async def test_an_address_survives_a_failure_at_every_step(tmp_path: Path, answer: Any) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        await say(here, "m0", email="a@shop.example", tier="0")
        for skipped in range(3):
            here.sandbox.faults.clear()
            answers = [{"ordinary": True}] * skipped + [answer]
            here.sandbox.faults.script({"match": {"class": "write"}, "answers": answers})
            await say(
                here, f"m{skipped + 1}", email=f"{skipped}@shop.example", tier=f"{skipped + 1}"
            )
            assert [address for address, on in emails(here).items() if on] == [
                f"{skipped}@shop.example"
            ]
        assert {status for *_, status, _ in await here.outcomes()} == {"delivered"}
        assert not here.sandbox.complaints


# Deletion --------------------------------------------------------------------------------------


def deletion(message_id: str = "d1", **more: Any) -> dict[str, Any]:
    return track("Account Closed", "u1", message_id, **more)


async def test_a_user_is_deleted_and_what_was_said_before_does_not_bring_it_back(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        earlier = iso(here.clock.now_ms() - 60_000)
        await say(here, "m0", tier="gold")
        await here.post(deletion())
        await here.settle()
        assert here.sandbox.user("u1", app_id=APP_ID) is None
        await here.post({**identify("u1", "m1", tier="old"), "timestamp": earlier})
        await here.settle()
        assert here.sandbox.user("u1", app_id=APP_ID) is None

        await here.pass_time(5)
        await say(here, "m2", email="a@shop.example")
        assert emails(here) == {"a@shop.example": True}
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.tags == {}
        assert not here.sandbox.complaints


async def test_a_user_who_is_not_there_is_deleted(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post(deletion())
        await here.settle()
        assert ends(await here.outcomes()) == {"bye/delete_user": ("delivered", None)}


async def test_a_deletion_that_comes_late_is_done_and_what_was_said_since_comes_back(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        with_user(here)
        earlier = iso(here.clock.now_ms() - 60_000)
        await say(here, "m0", tier="gold")
        await here.post(deletion(timestamp=earlier))
        await here.settle()
        assert here.sandbox.user("u1", app_id=APP_ID) is None
        await say(here, "m1", tier="gold")
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert found.tags == {"tier": "gold"}
