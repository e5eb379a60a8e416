"""A person asks why somebody did or did not get a push, and is told, whatever the ending was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bridge.deliver.brake import PUSHES, rule_target
from bridge.explain.words import LOGIN_HINT
from bridge.journal.piles import Choice
from tests.harness import APP_ID, Rig, identify, iso, mapping_of, rig, track
from tests.journal.making import change

TOKEN = "let-me-in"
MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 2, per: 15m}}
rules:
  - name: profile
    when: type = "identify" and audience.class = null
    do: {update_user: {tags: {tier: "{{ traits.tier }}"}}}
  - name: order
    when: event = "Order Shipped" and properties.total > 100
    max_age: 4h
    do: {send_notification: {contents: "{{ properties.item }} is on its way"}}
  - name: drop
    when: event = "Price Drop"
    once_per: {time: 7d, key: "{{ properties.sku }}"}
    cap: off
    do: {send_notification: {contents: "{{ properties.sku }} is cheaper"}}
  - name: chat
    when: event = "Chat"
    do: {send_notification: {contents: "Hello"}}
  - name: flash
    when: event = "Flash"
    limit: {max: 1, per: 10m}
    do: {send_notification: {contents: "Now"}}
  - name: sale
    when: event = "Sale"
    limit: off
    group: 3s
    do: {send_notification: {contents: "Sale"}}
  - name: bought
    when: event = "Bought"
    do: {track_custom_event: {name: bought, properties: {total: "{{ properties.total }}"}}}
  - name: vip
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: "Welcome"}}
  - name: marketing
    when: event = "Newsletter"
    consent: [Marketing]
    do: {send_notification: {contents: "News"}}
  - name: letters
    when: event = "Signed Up"
    do:
      update_user:
        tags: {ad: "{{ context.device.advertisingId }}"}
        email: "{{ properties.email }}"
"""


def phones(here: Rig, *users: str, **more: Any) -> None:
    for user in users or ("u1",):
        here.sandbox.add_device(user, "android", app_id=APP_ID, **more)


def fail(here: Rig, *answers: dict[str, Any], kind: str = "send", times: int = 1) -> None:
    here.sandbox.faults.script({"match": {"class": kind}, "answers": answers, "times": times})


def rigged(folder: Path, mapping: str = MAPPING, **more: Any) -> Any:
    return rig(folder, mapping, admin_token=SecretStr(TOKEN), **more)


async def happen(here: Rig, event: str, name: str = "m1", user: str = "u1", **more: Any) -> None:
    at = {"timestamp": iso(here.clock.now_ms())}
    properties = {"item": "Kettle", "total": 120, "sku": "A"} | more.pop("properties", {})
    await here.post(track(event, user, name, properties=properties, **(at | more)))


async def explain(here: Rig, **query: Any) -> dict[str, Any]:
    answer = await here.http.get(
        "/api/v1/explain",
        params=query or {"user": "u1"},
        headers={"authorization": f"Bearer {TOKEN}"},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def told(here: Rig, rule: str, **query: Any) -> dict[str, Any]:
    """The only operation of a rule in the newest event."""
    found = await explain(here, **query)
    (one,) = [one for one in found["events"][0]["operations"] if one["rule"] == rule]
    result: dict[str, Any] = one
    return result


# How it ends --------------------------------------------------------------------------------------


async def test_a_push_that_onesignal_accepted(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        await happen(here, "Order Shipped")
        await here.settle()
        found = await explain(here)
        (event,) = found["events"]
        assert (event["state"], event["rank"], event["source"]) == ("delivered", "live", "default")
        (push,) = event["operations"]
        assert (push["rule"], push["status"], push["http"]) == ("order", "delivered", 200)
        assert push["words"] == "accepted by OneSignal"
        (call,) = event["calls"]
        assert (call["method"], call["path"], call["status"]) == ("POST", "/notifications", 200)
        assert call["body"]["include_aliases"] == {"external_id": ["u1"]}
        assert call["body"]["contents"] == {"en": "Kettle is on its way"}
        assert call["answer"]["id"]
        assert call["key"] == push["key"] == call["body"]["idempotency_key"]
        assert "phone" not in str([event["operations"], event["remarks"]])
        assert await explain(here, message_id="m1") == found | {"user": None, "message_id": "m1"}


@pytest.mark.parametrize("devices", [0, 1])
async def test_a_push_that_reached_nobody(tmp_path: Path, devices: int) -> None:
    async with rigged(tmp_path) as here:
        for _ in range(devices):
            phones(here, enabled=False)
        await happen(here, "Order Shipped")
        await here.settle()
        push = await told(here, "order")
        assert push["status"] == "no_recipients"
        assert "reached nobody" in push["words"]
        assert LOGIN_HINT in push["words"]


async def test_a_push_that_onesignal_refused_is_dead_and_says_what_to_do(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        fail(here, {"status": 400, "body": {"errors": ["Message too long"]}})
        await happen(here, "Order Shipped")
        await here.settle()
        push = await told(here, "order")
        assert (push["status"], push["reason"]) == ("dead", "http_400")
        assert "OneSignal refused it (400)" in push["words"]
        assert "Message too long" in push["words"]
        assert push["todo"] == "segment-bridge dead show 1, then dead replay 1"


async def test_a_push_of_which_nobody_knows(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        fail(here, {"status": 503, "headers": {"Retry-After": "3600"}}, times=9)
        await happen(here, "Order Shipped")
        await here.settle(within=5 * 3600)
        push = await told(here, "order")
        assert (push["status"], push["reason"]) == ("dead", "unknown_outcome")
        assert push["attempts"] == len((await explain(here))["events"][0]["calls"]) > 1
        assert "nobody knows" in push["words"]


async def test_an_update_that_is_unchanged_and_one_that_shares_a_call(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        here.means.destination.writes.hold(10)
        await here.post([identify(message_id=f"m{n}", tier=str(n)) for n in range(3)])
        await here.settle()
        one, *others = (await explain(here))["events"]
        assert one["operations"][0]["words"] == "accepted by OneSignal, in one call for 3 events"
        assert one["calls"] == others[0]["calls"] == others[1]["calls"]
        assert one["calls"][0]["body"] == {"properties": {"tags": {"tier": "2"}}}
        await here.pass_time(60)
        await here.post(identify(message_id="m9", tier="2"))
        await here.settle()
        again = await told(here, "profile")
        assert (again["status"], again["reason"]) == ("skipped", "unchanged")
        assert "OneSignal has had these values" in again["words"]


async def test_a_push_in_a_shared_call_shows_nobody_else(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here, "u1", "u2")
        here.sandbox.add_device("nobody-3", "android", app_id=APP_ID, enabled=False)
        for user in ("u1", "u2", "nobody-3"):
            await happen(here, "Sale", f"m-{user}", user)
        await here.settle()
        found = await explain(here)
        (call,) = found["events"][0]["calls"]
        assert call["events"] == 3
        assert call["body"]["include_aliases"] == {"external_id": ["u1", "and 2 others"]}
        assert "u2" not in str(found)
        assert "nobody-3" not in str(found)
        push = await told(here, "sale")
        assert push["words"] == "accepted by OneSignal, in one call for 3 events"
        unreached = await told(here, "sale", user="nobody-3")
        assert unreached["status"] == "no_recipients"
        assert "nobody-3" in str((await explain(here, user="nobody-3"))["events"][0]["calls"])


async def test_a_custom_event(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here, "u1", "u2")
        # So that the first does not leave before the other has come.
        here.means.destination.events.hold(1)
        await happen(here, "Bought", "m1")
        await happen(here, "Bought", "m2", "u2", properties={"total": 777})
        await here.settle()
        found = await explain(here)
        (event,) = found["events"]
        assert event["operations"][0]["operation"] == "track_custom_event"
        (call,) = event["calls"]
        assert [one if isinstance(one, str) else one["name"] for one in call["body"]["events"]] == [
            "bought",
            "and 1 others",
        ]
        assert "777" not in str(found)


# What stops a rule --------------------------------------------------------------------------------


async def test_the_same_person_and_key_again(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        await happen(here, "Price Drop", "m1")
        await here.settle()
        await here.pass_time(3 * 86_400)
        await happen(here, "Price Drop", "m2")
        await here.settle()
        drop = await told(here, "drop")
        assert drop["words"] == "got drop for 'A' 3 days before (once_per 7d), by message m1"


async def test_a_person_who_got_enough(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        for number in range(3):
            await happen(here, "Chat", f"m{number}")
            await here.settle()
        chat = await told(here, "chat")
        assert (chat["status"], chat["reason"]) == ("skipped", "person_cap")
        assert chat["words"] == "the person had got 2 pushes in 15 minutes (push.cap)"


async def test_an_event_that_is_too_old(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        await happen(here, "Order Shipped", timestamp=iso(here.clock.now_ms() - 5 * 3_600_000))
        await here.settle()
        order = await told(here, "order")
        assert order["words"] == "too old: 5 h, max_age 4h"
        assert (await explain(here))["events"][0]["rank"] == "bulk"


async def test_a_condition_that_is_not_met(tmp_path: Path) -> None:
    text = MAPPING + "  - {name: every, when: type = 'track', do: {update_user: {tags: {a: b}}}}\n"
    async with rigged(tmp_path, text) as here:
        await happen(here, "Order Shipped", properties={"total": 20})
        await here.settle()
        (event,) = (await explain(here))["events"]
        order = next(one for one in event["rules_not_met"] if one["rule"] == "order")
        assert order["words"] == (
            "its condition is not met: properties.total > 100 (properties.total is 20)"
        )
        others = {one["rule"] for one in event["rules_not_met"] if one["other_event"]}
        assert others == {one["rule"] for one in event["rules_not_met"]} - {"order"}


async def test_an_event_that_no_rule_wants(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        await happen(here, "Order Shipped", properties={"total": 20})
        (event,) = (await explain(here))["events"]
        assert event["operations"][0]["words"] == "no rule wants this event"
        assert [one for one in event["rules_not_met"] if not one["other_event"]] != []
        order = next(one for one in event["rules_not_met"] if one["rule"] == "order")
        assert "properties.total > 100" in order["words"]
        assert "KEEP_UNMATCHED" in event["remarks"][0]


async def test_a_value_that_is_missing(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        await happen(here, "Order Shipped", properties={"item": None})
        await here.settle()
        order = await told(here, "order")
        assert (order["reason"], order["words"]) == (
            "missing",
            "the event has no value for properties.item",
        )


async def test_no_consent(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        await happen(here, "Newsletter")
        await here.settle()
        assert (await told(here, "marketing"))["words"] == "its person has not agreed to Marketing"


async def test_what_a_person_does_not_allow(tmp_path: Path) -> None:
    said = {"key": "ada@shop.example", "type": "EMAIL", "status": "UNSUBSCRIBED"}
    device = {"advertisingId": "AD-1", "adTrackingEnabled": False}
    async with rigged(tmp_path) as here:
        phones(here)
        await happen(
            here,
            "Signed Up",
            properties={"email": "ada@shop.example"},
            context={"device": device, "messaging_subscriptions": [said]},
        )
        await here.settle()

        (event,) = (await explain(here))["events"]
        ad, letters = event["left_out"]
        assert "ad tracking (context.device.advertisingId)" in ad
        assert "the person has unsubscribed (context.messaging_subscriptions)" in letters
        found = here.sandbox.user("u1", app_id=APP_ID)
        assert found is not None
        assert not any(one.type == "Email" for one in found.subscriptions.values())


async def test_a_stay_for_which_the_rule_has_fired(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        for name in ("m1", "m2"):
            at = iso(here.clock.now_ms())
            context = {"personas": {"computation_class": "audience", "computation_key": "vip"}}
            body = identify(message_id=name, vip=True) | {"context": context, "timestamp": at}
            await here.post(body)
            await here.settle()
        vip = await told(here, "vip")
        assert vip["reason"] == "same_membership"
        assert vip["words"] == "it had fired for this stay in vip already, by message m1"


async def test_a_limit_holds_and_the_brake_too(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here, "u1", "u2")
        await happen(here, "Flash", "m1", "u2")
        await here.settle()
        await happen(here, "Flash", "m2")
        await here.settle()
        flash = await told(here, "flash")
        assert (flash["status"], flash["reason"]) == ("held", "limit")
        assert "more than 1 in 10m (limit); a person decides" in flash["words"]
        assert flash["todo"] == (
            "segment-bridge held release --rule flash, or held discard --rule flash"
        )
        for what, command in ((rule_target("chat"), "rule chat"), (PUSHES, "pushes")):
            await here.bridge.brake.pull(what)
            await happen(here, "Chat", f"m-{command}")
            await here.settle()
            chat = await told(here, "chat")
            assert (chat["status"], chat["todo"]) == ("held", f"segment-bridge resume {command}")
        await here.bridge.journal.sends.discard(
            Choice(app="default", rule="flash"), limit=9, at_ms=here.clock.now_ms()
        )
        assert (await told(here, "flash", message_id="m2"))["words"] == (
            "discarded by a person, unsent"
        )


async def test_the_same_message_through_two_sources(tmp_path: Path) -> None:
    async with rigged(tmp_path, sources=("web", "backend")) as here:
        phones(here)
        at = iso(here.clock.now_ms())
        for source in ("web", "backend"):
            body = track("Chat", "u1", "m1", timestamp=at)
            await here.post(body, f"/v1/segment/{source}")
            # Segment repeats a webhook; a repeat leaves nothing to be told.
            assert (await here.post(body, f"/v1/segment/{source}"))["duplicates"] == 1
            await here.settle()
        second, first = (await explain(here, message_id="m1"))["events"]
        assert (first["source"], first["state"]) == ("web", "delivered")
        assert second["operations"][0]["reason"] == "already_sent"
        assert "sent before" in second["operations"][0]["words"]


# Not yet ------------------------------------------------------------------------------------------


async def test_what_waits_says_for_what_and_until_when(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        fail(here, {"status": 503, "headers": {"Retry-After": "600"}})
        await happen(here, "Order Shipped")
        await here.pass_time(60)
        order = await told(here, "order")
        assert (order["status"], order["attempts"]) == ("pending", 1)
        assert "OneSignal answered 503; attempt 1, again in 9 min" in order["words"]
        assert "OneSignal may have performed it" in order["words"]


async def test_an_update_that_is_tried_again(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        fail(here, {"status": 500, "headers": {"Retry-After": "120"}}, kind="write")
        await here.post(identify(tier="gold"))
        await here.pass_time(1)
        profile = await told(here, "profile")
        assert profile["status"] == "pending"
        assert profile["words"] == "not yet: OneSignal answered 500; tried 1 times, again in 2 min"
        assert profile["planned"]["body"] == {"properties": {"tags": {"tier": "gold"}}}
        (call,) = (await explain(here))["events"][0]["calls"]
        assert (call["status"], call["operation"]) == (500, "update_user")


async def test_a_key_that_is_refused(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        fail(here, {"status": 401}, kind="write", times=99)
        await here.post(identify(tier="gold"))
        await here.pass_time(5)
        profile = await told(here, "profile")
        assert "the way to OneSignal is closed" in profile["words"]
        assert (await explain(here))["events"][0]["calls"][0]["status"] == 401


async def test_no_answer_at_all(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        fail(here, {"reset": True})
        await happen(here, "Order Shipped")
        await here.settle()
        first, second = (await explain(here))["events"][0]["calls"]
        assert (first["status"], second["status"]) == (None, 200)
        assert first["failure"]
        order = await told(here, "order")
        assert order["words"] == "accepted by OneSignal, after 2 attempts"


async def test_an_event_of_which_nothing_was_tried(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        here.means.destination.sends.hold(30)
        await happen(here, "Sale")
        await here.still()
        sale = await told(here, "sale")
        assert sale["status"] == "pending"
        assert "to share a call" in sale["words"]


async def test_conversations_that_wait_for_the_volume_guard(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        for number in range(3):
            await happen(here, "Price Drop", f"m{number}", properties={"sku": str(number)})
        await here.pass_time(60)
        drop = await told(here, "drop")
        assert (drop["status"], drop["reason"]) == ("pending", "volume_guard")
        assert "more than is safe (volume_guard), again in 1" in drop["words"]


async def test_somebody_who_is_not_listed_and_a_dry_run(tmp_path: Path) -> None:
    async with rigged(tmp_path, only_users=("u2",)) as here:
        await happen(here, "Chat")
        await here.settle()
        assert (await told(here, "chat"))["words"] == "BRIDGE_ONLY_USERS does not list this person"
    (tmp_path / "dry").mkdir()
    async with rigged(tmp_path / "dry", dry_run="yes") as here:
        await happen(here, "Chat")
        await here.settle()
        assert "dry run" in (await told(here, "chat"))["words"]


async def test_an_event_in_the_tail_and_one_that_was_indexed(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        here.means.destination.writes.hold(60)
        await here.post(identify(message_id="m1", tier="a"))
        await change(here.bridge.journal, "UPDATE pending SET indexed = 1")
        await change(here.bridge.journal, "DELETE FROM tail")
        await here.post(identify(message_id="m2", tier="b"))
        assert [one["message_id"] for one in (await explain(here))["events"]] == ["m2", "m1"]


# Around it ----------------------------------------------------------------------------------------


async def test_a_source_that_is_gone(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        phones(here)
        here.means.destination.writes.hold(30)
        await here.post(identify(tier="gold"))
        await here.still()
        here.bridge.mappings = {}
        await here.settle()
        (event,) = (await explain(here))["events"]
        (lost,) = event["operations"]
        assert (lost["status"], lost["reason"]) == ("dead", "source_gone")
        assert "not configured any more" in lost["words"]
        assert event["mapping_today"] is None


async def test_a_mapping_that_has_changed_since(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        await here.post(identify(tier="gold"))
        await here.settle()
        (event,) = (await explain(here))["events"]
        assert event["planned_with"] == event["mapping_today"]
        assert event["remarks"] == []
        await here.pass_time(60)
        text = MAPPING.replace("tier:", "level:") + (
            "  - {name: new, when: type = 'identify', do: {send_notification: {contents: Hi}}}\n"
        )
        here.bridge.bring_into_force(here.bridge.config, {"default": mapping_of(text)})
        await here.still()
        (event,) = (await explain(here))["events"]
        assert event["planned_with"] != event["mapping_today"]
        assert "The mapping has changed since" in event["remarks"][0]
        new = next(one for one in event["operations"] if one["rule"] == "new")
        assert new["status"] == "not_done"
        assert event["state"] == "delivered"


async def test_the_newest_events_are_told_and_that_there_are_more(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        for number in range(5):
            await here.post(identify(message_id=f"m{number}", tier=str(number)))
        found = await explain(here, user="u1", limit="3")
        assert [one["message_id"] for one in found["events"]] == ["m4", "m3", "m2"]
        assert found["more"]
        assert not (await explain(here, user="u1", limit="5"))["more"]
        assert (await explain(here, user="somebody else"))["events"] == []
        assert (await explain(here, message_id="never heard"))["events"] == []


async def test_a_test_event_of_segments_is_found_by_its_id(tmp_path: Path) -> None:
    name = "segment-test-message-abc"
    async with rigged(tmp_path) as here:
        phones(here)
        for _ in range(2):
            await happen(here, "Chat", name)
            await here.settle()
        assert len((await explain(here, message_id=name))["events"]) == 2


async def test_an_event_of_somebody_elses_that_was_sent_to_the_user(tmp_path: Path) -> None:
    text = MAPPING + (
        "  - {name: message, when: event = 'Wrote', cap: off,"
        " do: {send_notification: {to: {external_id: '{{ properties.to }}'}, contents: Hi}}}\n"
    )
    async with rigged(tmp_path, text) as here:
        phones(here, "u1", "u2")
        await happen(here, "Wrote", "m1", "u2", properties={"to": "u1"})
        await here.settle()
        push = await told(here, "message")
        assert push["status"] == "delivered"


async def test_what_is_no_event(tmp_path: Path) -> None:
    async with rigged(tmp_path) as here:
        await here.post({"body": "a=1&b=x"})
        (letter,) = await here.bridge.journal.dead_letters()
        (event,) = (await explain(here, message_id=letter.message_id))["events"]
        assert (event["state"], event["type"]) == ("dead", "")


@pytest.mark.parametrize(
    "query", [{}, {"user": ""}, {"user": "u", "message_id": "m"}, {"user": "u", "limit": "x"}]
)
async def test_a_question_that_is_not_clear(tmp_path: Path, query: dict[str, str]) -> None:
    async with rigged(tmp_path) as here:
        answer = await here.http.get(
            "/api/v1/explain", params=query, headers={"authorization": f"Bearer {TOKEN}"}
        )
        assert (answer.status_code, answer.json()["code"]) == (400, "choice-invalid")
        assert (await here.http.get("/api/v1/explain?user=u1")).status_code == 401


async def test_no_key_and_no_secret_is_in_what_is_told_or_logged(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with rigged(tmp_path) as here:
            phones(here)
            fail(here, {"status": 401}, kind="write", times=1)
            fail(here, {"status": 400})
            await here.post(identify(tier="gold-tier"))
            await happen(here, "Order Shipped")
            await here.settle()
            found = str(await explain(here))
            for secret in ("os_v2_app_test", TOKEN, "abc123", "authorization", "Key os"):
                assert secret not in found
    for private in ("gold-tier", "Kettle", "external_id/u1"):
        assert private not in str(logs)
