"""Phones without OneSignal's SDK: the push token in Segment's events is all that anybody knows of them."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import SecretStr

from bridge.config import DEFAULT as APP
from bridge.sandbox.world import Subscription
from tests.harness import APP_ID, Rig, ends, identify, iso, rig, track

TOKENS = """
version: 1
push: {platforms: {exclude: [ios]}}
push_tokens:
  platforms: [ios, android]
  withdrawn: event = "Push Permission" and properties.granted = false
  granted: event = "Push Permission" and properties.granted = true
  logged_out: event = "Logged Out"
  development: context.app.namespace = "com.example.shop.dev"
rules:
  - name: hello
    when: event = "Hello"
    do: {send_notification: {platforms: all, contents: "Hello"}}
  - name: registered
    when: event = "Shipped"
    do: {send_notification: {to: {devices: "{{ userId }}"}, contents: "On its way"}}
  - name: seen
    when: event = "Seen"
    do: {update_user: {tags: {seen: "yes"}}}
"""
T1, T2, T3 = "a1" * 32, "b2" * 32, "c3" * 32
HOUR = 3_600_000


def phone(token: str | None = T1, id_: str | None = "phone-1", kind: str = "ios") -> dict[str, Any]:
    device = {"type": kind, "id": id_, "token": token}
    return {"device": {name: value for name, value in device.items() if value is not None}}


def opens(
    user: str = "u1",
    token: str | None = T1,
    device: str | None = "phone-1",
    *,
    name: str = "Application Opened",
    at_ms: int | None = None,
    message_id: str = "",
    kind: str = "ios",
    **more: Any,
) -> dict[str, Any]:
    """Any event of an app: all of them carry the token."""
    context = phone(token, device, kind) | more.pop("context", {})
    when = {} if at_ms is None else {"timestamp": iso(at_ms)}
    return track(name, user, message_id or f"m{next(_numbers)}", context=context, **when, **more)


_numbers = iter(range(1_000_000))


async def hear(here: Rig, *events: dict[str, Any]) -> None:
    for event in events:
        event.setdefault("timestamp", iso(here.clock.now_ms()))
        await here.post(event)
        await here.settle()
        await here.pass_time(2)


def phones(here: Rig, user: str = "u1") -> dict[str, Subscription]:
    found = here.sandbox.user(user, app_id=APP_ID)
    return {} if found is None else {one.token: one for one in found.subscriptions.values()}


def on(here: Rig, user: str = "u1") -> list[str]:
    return sorted(token for token, one in phones(here, user).items() if one.is_reachable)


def asked(here: Rig) -> list[str]:
    return [f"{call.method} {call.status}" for call in here.sandbox.calls]


# Created once ----------------------------------------------------------------------------------------


async def test_a_token_becomes_a_device_once(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await hear(here, opens(), opens(), opens(name="Seen"))

        assert T1 in on(here)
        assert [call.path.split("/")[-1] for call in here.sandbox.calls].count("subscriptions") == 1
        assert phones(here)[T1].type == "iOSPush"
        outcomes = await here.outcomes()
        first, second, third = (ends(one for one in outcomes if one[0] == seq) for seq in (1, 2, 3))
        assert first == {"/push_token": ("delivered", None)}
        assert second == {"/push_token": ("skipped", "unchanged")}
        assert third["/push_token"] == ("skipped", "unchanged")


async def test_a_user_who_is_not_known_is_created_with_it(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens(kind="android", token="fcm:abc-DEF_123"))
        assert on(here) == ["fcm:abc-DEF_123"]
        assert phones(here)["fcm:abc-DEF_123"].type == "AndroidPush"


async def test_nothing_is_done_with_tokens_unless_the_mapping_says_so(tmp_path: Path) -> None:
    silent = TOKENS.split("push_tokens:", maxsplit=1)[0] + "rules:" + TOKENS.split("rules:")[1]
    async with rig(tmp_path, silent) as here:
        await hear(here, opens())
        assert ends(await here.outcomes()) == {"/": ("skipped", "no_rule")}
        assert not here.sandbox.calls


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (opens(kind="web"), "no_rule"),
        (opens(token=None), "no_rule"),
        (opens(token=""), "no_rule"),
        (opens(token="not a token"), "bad_token"),
        (opens(token="../../users"), "bad_token"),
        (opens(token="."), "bad_token"),
    ],
)
async def test_what_is_no_token_makes_no_device(
    tmp_path: Path, event: dict[str, Any], reason: str
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, event)
        ((_, _, _, status, why),) = await here.outcomes()
        assert (status, why) == ("skipped", reason)
        assert not here.sandbox.calls


async def test_two_phones_are_two_devices(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(
            here, opens(), opens(token=T2, device="phone-2"), opens(), opens(token=T3, device=None)
        )
        assert on(here) == [T1, T2, T3]


# Replaced --------------------------------------------------------------------------------------------


async def test_a_new_token_of_the_same_phone_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens())
        before = phones(here)[T1].id
        await hear(here, opens(token=T2))
        assert {token: one.id for token, one in phones(here).items()} == {T2: before}


async def test_when_onesignal_does_not_have_the_old_token_the_new_one_is_given(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens(), opens(name="Seen"))
        here.sandbox.world.app(APP_ID).unsubscribe(phones(here)[T1])
        await hear(here, opens(token=T2), opens(token=T2))
        assert on(here) == [T2]
        assert asked(here)[-3:] == ["PATCH 404", "POST 201", "PATCH 404"]


async def test_a_token_that_onesignal_will_not_have_is_one_dead_letter(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        answers = [{"status": 400, "body": {"errors": ["token is invalid"]}}]
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": answers, "times": 1})
        await hear(here, opens(), opens(), opens())
        assert [one[3:] for one in await here.outcomes()] == [
            ("dead", "http_400"),
            ("skipped", "unchanged"),
            ("skipped", "unchanged"),
        ]
        await hear(here, opens(token=T2))
        assert T2 in on(here)


# Whether it takes pushes -----------------------------------------------------------------------------


def permission(*, granted: bool, **more: Any) -> dict[str, Any]:
    return opens(name="Push Permission", properties={"granted": granted}, **more)


def says(status: str, kind: str = "IOS_PUSH") -> dict[str, Any]:
    return {"messaging_subscriptions": [{"type": kind, "key": T1, "status": status}]}


async def test_a_phone_whose_owner_withdraws_permission_is_switched_off(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens(), permission(granted=False, token=None))
        assert (on(here), list(phones(here))) == ([], [T1])

        await hear(here, opens(), opens(token=T2))
        assert (on(here), list(phones(here))) == ([], [T2])  # silence is no permission

        await hear(here, permission(granted=True, token=T2), permission(granted=True, token=T2))
        assert on(here) == [T2]
        assert len(here.sandbox.calls) == 5


async def test_what_twilio_engage_says_of_a_phone_is_heeded(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens(context=says("SUBSCRIBED")))
        assert on(here) == [T1]
        await hear(here, opens(context=says("DID_NOT_SUBSCRIBE")), opens())
        assert on(here) == []
        await hear(here, opens(context=says("SUBSCRIBED")))
        assert on(here) == [T1]
        await hear(here, opens(context=says("UNSUBSCRIBED", "ANDROID_PUSH")))
        assert on(here) == [T1]  # of another kind


async def test_who_unsubscribed_at_onesignal_stays_unsubscribed(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens())
        phones(here)[T1].enabled = False
        await here.pass_time(8 * 86_400)
        await hear(here, opens(), opens(name="Seen"))
        assert on(here) == []


async def test_a_development_build_of_a_user_who_is_there_is_marked(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await hear(here, opens(context={"app": {"namespace": "com.example.shop.dev"}}))
        assert phones(here)[T1].details["test_type"] == 1


async def test_a_development_build_is_marked_and_a_later_one_is_not(tmp_path: Path) -> None:
    def build(space: str) -> dict[str, Any]:
        return opens(context={"app": {"namespace": space}})

    async with rig(tmp_path, TOKENS) as here:
        await hear(here, build("com.example.shop.dev"))
        assert phones(here)[T1].details["test_type"] == 1
        await hear(here, build("com.example.shop"), build("com.example.shop"))
        assert phones(here)[T1].details["test_type"] == 0
        assert len(here.sandbox.calls) == 3  # one found that the user was not there


# Another user ----------------------------------------------------------------------------------------


async def test_a_phone_moves_when_another_user_logs_in(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens("u1"), opens("u2"))
        assert (on(here, "u1"), on(here, "u2")) == ([], [T1])
        await hear(here, opens("u1"), opens("u1"))
        assert (on(here, "u1"), on(here, "u2")) == ([T1], [])
        await hear(here, opens("u2"))
        assert (on(here, "u1"), on(here, "u2")) == ([], [T1])


async def test_a_phone_that_moves_with_a_new_token_leaves_the_old_one_silent(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens("u1", T1), opens("u2", T2))
        assert (on(here, "u1"), on(here, "u2")) == ([], [T2])
        await hear(here, opens("u1", T2))
        assert (on(here, "u1"), on(here, "u2")) == ([T2], [])


async def test_an_older_event_of_somebody_else_does_not_take_it_back(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        now = here.clock.now_ms()
        await hear(here, opens("u1", at_ms=now))
        await hear(here, opens("u2", at_ms=now - HOUR), opens("u1", T2, at_ms=now - HOUR))
        assert (on(here, "u1"), on(here, "u2")) == ([T1], [])
        assert [one[4] for one in await here.outcomes()] == [None, "overtaken", "overtaken"]


async def test_an_event_that_asks_for_nothing_counts_against_older_ones(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        now = here.clock.now_ms()
        await hear(here, opens("u1", at_ms=now - 3 * HOUR), opens("u1", at_ms=now - HOUR))
        await hear(here, opens("u2", at_ms=now - 2 * HOUR))
        assert (on(here, "u1"), on(here, "u2")) == ([T1], [])


async def test_a_token_that_comes_back_from_somebody_else_is_the_only_one_of_the_phone(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        began = here.clock.now_ms() - HOUR
        for number, (user, token) in enumerate((("u1", T2), ("u2", T1), ("u2", T2))):
            await here.post(opens(user, token, "phone-1", at_ms=began + number * 60_000))
        await here.settle()
        assert (on(here, "u1"), on(here, "u2")) == ([], [T2])


async def test_who_logs_out_gets_no_more_pushes_on_that_phone(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens("u1"), opens("u1", name="Logged Out"))
        assert on(here, "u1") == []
        assert await here.bridge.journal.devices.of(APP, _hash(here, "u1"), since_ms=0) == []
        await hear(here, opens("u1", at_ms=here.clock.now_ms() - HOUR))
        await hear(here, opens("u2", at_ms=here.clock.now_ms() - HOUR))
        assert (on(here, "u1"), on(here, "u2")) == ([], [])
        await hear(here, opens("u2"))
        assert (on(here, "u1"), on(here, "u2")) == ([], [T1])
        await hear(here, opens("u1"))
        assert (on(here, "u1"), on(here, "u2")) == ([T1], [])


def _hash(here: Rig, user: str) -> int:
    return here.bridge.journal.user_hash(APP, user)


class Login(NamedTuple):
    user: str
    token: str
    device: str
    at: int


_LOGINS = st.lists(
    st.builds(
        Login,
        st.sampled_from(["u1", "u2", "u3"]),
        st.sampled_from([T1, T2]),
        st.just("phone-1"),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.at,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(_LOGINS, st.randoms(use_true_random=False), st.sampled_from(["together", "apart"]))
def test_in_whatever_order_it_is_heard_the_last_login_has_the_phone(
    logins: list[Login], random: Any, pace: str
) -> None:
    shuffled = [*logins, *random.sample(logins, min(2, len(logins)))]
    random.shuffle(shuffled)

    async def play(folder: Path) -> dict[str, list[str]]:
        async with rig(folder, TOKENS) as here:
            now = here.clock.now_ms()
            for one in shuffled:
                name = f"m-{one.at}"
                at_ms = now - HOUR + one.at * 60_000
                event = opens(one.user, one.token, one.device, at_ms=at_ms, message_id=name)
                await here.post(event)
                if pace == "apart":
                    await here.settle()
            await here.settle()
            return {user: on(here, user) for user in ("u1", "u2", "u3")}

    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(play(Path(folder)))
    last = max(logins, key=lambda one: one.at)
    assert found[last.user] == [last.token]
    assert all(not tokens for user, tokens in found.items() if user != last.user)


@pytest.mark.parametrize(
    "fault", [{"reset": True, "applied": True}, {"reset": True}, {"status": 503}]
)
@pytest.mark.parametrize("number", range(4))
async def test_an_answer_that_is_lost_changes_nothing(
    tmp_path: Path, fault: dict[str, Any], number: int
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        here.sandbox.add_device("u2", "android", app_id=APP_ID)
        await hear(here, opens("u1", T1))
        answers = [{"ordinary": True}] * number + [fault]
        here.sandbox.faults.script({"match": {"class": "write"}, "answers": answers, "times": 1})
        await hear(here, opens("u2", T2), opens("u2", T3), opens("u1", T3))
        assert on(here, "u1") == [T3]
        assert [one for one in on(here, "u2") if one in {T1, T2, T3}] == []


# The registry ----------------------------------------------------------------------------------------


async def test_a_token_is_a_registered_device(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(
            here,
            opens("u1", token="fcm:abc-DEF_123", kind="android"),
            opens("u2", device="phone-2"),
        )
        await hear(here, track("Shipped", "u1", "s1"), track("Shipped", "u2", "s2"))
        (push,) = here.sandbox.pushes
        (registered,) = phones(here, "u1").values()
        assert push.subscription_id == registered.id
        shipped = [(one[3], one[4]) for one in await here.outcomes() if one[1] == "registered"]
        assert shipped == [("delivered", None), ("skipped", "only_ios")]


async def test_a_phone_of_which_nothing_is_new_is_seen_again_once_a_day(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        await hear(here, opens())
        first = (await _registered(here))[0].seen_ms
        await hear(here, opens())
        assert (await _registered(here))[0].seen_ms == first
        await here.pass_time(25 * 3600)
        await hear(here, opens())
        (one,) = await _registered(here)
        assert one.seen_ms > first + 24 * HOUR
        assert one.subscription_id == phones(here)[T1].id


async def _registered(here: Rig, user: str = "u1") -> list[Any]:
    return await here.bridge.journal.devices.of(APP, _hash(here, user), since_ms=0)


async def test_who_is_erased_has_no_phone_either(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS, admin_token=SecretStr("let-me-in")) as here:
        await hear(here, opens())
        token = {"authorization": "Bearer let-me-in"}
        assert (await here.http.delete("/api/v1/users/u1", headers=token)).status_code == 202
        await here.settle()
        assert (phones(here), await _registered(here)) == ({}, [])
        await hear(here, opens(at_ms=here.clock.now_ms() - HOUR))
        assert (phones(here), await _registered(here)) == ({}, [])


# With anonymous visitors ------------------------------------------------------------------------------


@pytest.mark.parametrize("anonymous", ["alias", "external_id"])
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_visitors_phone_is_the_persons_once_it_is_known_who_that_is(
    tmp_path: Path, anonymous: str, *, is_known: bool
) -> None:
    mapping = TOKENS.replace("version: 1", f"version: 1\nidentity: {{anonymous: {anonymous}}}")
    async with rig(tmp_path, mapping) as here:
        if is_known:
            here.sandbox.add_device("u1", "android", app_id=APP_ID)
        visit = {**opens(), "anonymousId": "a1"}
        del visit["userId"]
        await hear(here, visit)
        context = phone()
        await hear(here, {**identify("u1", "i1"), "anonymousId": "a1", "context": context})
        assert T1 in on(here, "u1")
        assert [one.token for one in here.sandbox.world.app(APP_ID).subscriptions.values()].count(
            T1
        ) == 1
        (one,) = [one for one in await _registered(here) if one.platform == "ios"]
        assert one.subscription_id == phones(here)[T1].id


async def test_a_new_token_counts_though_the_event_that_brings_it_links_nobody_any_more(
    tmp_path: Path,
) -> None:
    mapping = TOKENS.replace("version: 1", "version: 1\nidentity: {anonymous: alias}")
    async with rig(tmp_path, mapping) as here:
        for number, token in enumerate((T1, T2)):
            login = identify("u1", f"i{number}") | {"anonymousId": "a1", "context": phone(token)}
            await hear(here, login)
        assert on(here, "u1") == [T2]


async def test_the_answer_says_that_only_the_phone_is_of_interest(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        told = await here.post(opens())
        assert told["note"] == (
            "no rule acts on this event; what it says of its phone is remembered"
        )


async def test_a_phone_on_which_somebody_else_has_logged_in_is_not_moved_by_a_merge(
    tmp_path: Path,
) -> None:
    mapping = TOKENS.replace("version: 1", "version: 1\nidentity: {anonymous: external_id}")
    async with rig(tmp_path, mapping) as here:
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        visit = {**opens(), "anonymousId": "a1"}
        del visit["userId"]
        await hear(here, visit)
        limit = {"errors": ["too many"], "limit": "Subscription/User Update Per Device"}
        answer = {"status": 429, "body": limit, "headers": {"retry-after": "60"}}
        here.sandbox.faults.script({"match": {"path": "*/owner"}, "answers": [answer], "times": 1})
        await here.post({**identify("u1", "i1"), "anonymousId": "a1"})
        await here.pass_time(5)
        await here.post(opens("u2"))
        await here.pass_time(120)
        assert (T1 in on(here, "u1"), on(here, "u2")) == (False, [T1])


async def test_a_phone_on_which_somebody_logs_in_just_before_it_is_moved_stays_theirs(
    tmp_path: Path,
) -> None:
    mapping = TOKENS.replace("version: 1", "version: 1\nidentity: {anonymous: external_id}")
    async with rig(tmp_path, mapping) as here:
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        for token, device in ((T1, "phone-1"), (T2, "phone-2")):
            visit = {**opens(token=token, device=device), "anonymousId": "a1"}
            del visit["userId"]
            await hear(here, visit)
        await here.post({**identify("u1", "i1"), "anonymousId": "a1"})
        while not any(call.path.endswith("owner") for call in here.sandbox.calls):
            await here.pass_time(0.05)
        # The second is next, a second after the first: nobody is written to more often.
        (left,) = {T1, T2} - set(on(here, "u1"))
        await here.post(opens("u2", left, "phone-1" if left == T1 else "phone-2"))
        await here.settle()
        assert left not in on(here, "u1")
        assert left not in on(here, "u1")
        assert left in on(here, "u2")
        assert not here.sandbox.complaints


async def test_what_is_switched_off_of_another_is_a_write_to_them_too(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS) as here:
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await hear(here, opens("u2", T1))
        # The phone is another's by now, under a new token; its owner before has something to write each second.
        await here.post([opens("u1", T2), opens("u2", T3, "phone-2")])
        for number in range(8):
            tags = track("Seen", "u2", f"seen-{number}", context=phone(T3, "phone-2"))
            await here.post([tags, opens("u2", f"{number}d" * 32, f"phone-{number + 3}")])
            await here.pass_time(0.525)
        await here.settle()
        assert on(here, "u1")[-1] == T2
        assert T1 not in on(here, "u2")
        assert not here.sandbox.complaints


# Who may say so --------------------------------------------------------------------------------------


async def test_it_is_told_in_plain_words(tmp_path: Path) -> None:
    async with rig(tmp_path, TOKENS, admin_token=SecretStr("let-me-in")) as here:
        now = here.clock.now_ms()
        await hear(here, opens("u1", at_ms=now), opens("u1", at_ms=now - HOUR, token=T2))
        answer = await here.http.get(
            "/api/v1/explain", params={"user": "u1"}, headers={"authorization": "Bearer let-me-in"}
        )
        words = [one["operations"][0]["words"] for one in answer.json()["events"]]
        assert "a later event had said something else already" in words
        assert any("accepted by OneSignal" in one for one in words)


# Two users at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["busy", "refused"])
async def test_who_is_back_on_a_phone_has_it_alone_though_the_other_was_not_done_yet(
    tmp_path: Path, trouble: str
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        now = here.clock.now_ms()
        for user in ("u1", "u2"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        await hear(here, opens("u1", T1, "p", at_ms=now - 3 * HOUR))
        u1 = here.bridge.journal.hash_of(here.means.destination.name, "external_id", "u1")
        other = opens("u2", T2, "p", at_ms=now - 2 * HOUR)
        if trouble == "busy":
            with here.means.spacing.writing(u1):
                await here.post(other)
                await here.still()
        else:
            match, unavailable = {"method": "PATCH"}, {"status": 503}
            here.sandbox.faults.script({"match": match, "answers": [unavailable], "times": 1})
            await here.post(other)
            await here.pass_time(0.5)
        await hear(here, opens("u1", T1, "p", at_ms=now - HOUR))
        assert T1 in on(here, "u1")
        assert T2 not in on(here, "u2")


async def test_what_has_gathered_leaves_though_another_is_at_work_on_the_phone(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        named = here.bridge.journal.devices.name(here.means.destination.name, "token", T1)
        now = here.clock.now_ms()
        with here.means.spacing.writing(named):
            seen = track("Seen", "u1", timestamp=iso(now - HOUR))
            await here.post([seen, opens("u1", at_ms=now)])
            await here.pass_time(5)
            found = here.sandbox.user("u1", app_id=APP_ID)
            assert found is not None
            assert (found.tags, len(found.subscriptions)) == ({"seen": "yes"}, 0)
        await here.settle()
        assert len(found.subscriptions) == 1


async def test_whose_phone_it_still_is_is_known_though_the_push_behind_it_had_to_wait(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, TOKENS) as here:
        now = here.clock.now_ms()
        here.sandbox.add_device("u1", "android", app_id=APP_ID)
        await hear(here, opens("u1", T1, "p", at_ms=now - 3 * HOUR))
        unavailable = {"match": {"class": "send"}, "answers": [{"status": 503}], "times": 1}
        here.sandbox.faults.script(unavailable)
        await hear(here, opens("u1", T1, "p", name="Hello", at_ms=now - HOUR))
        here.means.phones._last.clear()  # as after a restart
        await hear(here, opens("u2", T1, "p", at_ms=now - 2 * HOUR))
        assert T1 in on(here, "u1")
