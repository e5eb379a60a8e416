"""The check bites: each promise, broken on purpose, is reported; and a day on which all is well passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.canary import person
from tests.faults.invariants import Limits, Scene, violations
from tests.faults.sender import Sent
from tests.faults.sight import DeadRow, EventRow, OutcomeRow, Resources, SendRow, Sight
from tests.faults.story import SHOP, order, ping, profile
from tests.faults.told import Told
from tests.faults.worlds import Inside, Outside, Worlds

AT = 1_800_000_000_000
USER = person(1)


async def test_a_day_on_which_nothing_goes_wrong(inside: Inside) -> None:
    inside.told.expect_nothing("nothing goes wrong")
    inside.people(5)
    async with inside.bridge() as here:
        await inside.post([profile(n % 5, f"p{n}") for n in range(20)])
        await inside.post([order(n % 5, f"o{n}") for n in range(10)])
        await inside.post(ping(1, "x"))
        await here.settle()


@pytest.mark.slow
async def test_a_day_of_real_processes_on_which_nothing_goes_wrong(outside: Outside) -> None:
    outside.told.expect_nothing("nothing goes wrong")
    await outside.people(5)
    async with outside.serving() as serving:
        await serving.sender.must([profile(n % 5, f"p{n}") for n in range(20)])
        await serving.sender.must([order(n % 5, f"o{n}") for n in range(10)])
    # What is left is done by a bridge that the check starts.


async def test_a_world_that_a_test_makes_by_itself_is_checked_too(worlds: Worlds) -> None:
    with pytest.raises(AssertionError, match="nothing was accepted"):
        await _nothing_happens(worlds)


async def _nothing_happens(worlds: Worlds) -> None:
    async with worlds.inside("empty") as world:
        world.told.expect_nothing("nothing happens")
        async with world.bridge():
            pass


# A scene that is right, and what breaks it -----------------------------------------------------


def call(at_ms: int, endpoint_class: str, **more: Any) -> dict[str, Any]:
    return {
        "at_ms": at_ms,
        "endpoint_class": endpoint_class,
        "status": 200,
        "applied": True,
        "idempotency_key": None,
        "user": USER,
        "body": {},
    } | more


def push(key: str, text: str, device: str = "phone", **more: Any) -> dict[str, Any]:
    return {
        "at_ms": AT + 50,
        "idempotency_key": key,
        "notification_id": f"n-{key}",
        "subscription_id": device,
        "external_id": USER,
        "platform": "android",
        "text": text,
    } | more


def write(at_ms: int, message_id: str) -> dict[str, Any]:
    said = profile(1, message_id)["traits"]
    tags = {"tier": said["tier"], "mail": said["email"]}
    return call(at_ms, "write", body={"properties": {"tags": tags}})


def scene() -> Scene:
    """A profile, a push, and a profile after it."""
    events = [profile(1, "a"), ping(1, "b"), profile(1, "c")]
    sent = Sent(
        posted={("default", one["messageId"]): one for one in events},
        acknowledged={("default", one["messageId"]): 1 for one in events},
    )
    send = call(AT + 40, "send", idempotency_key="k", user=None)
    send["body"] = {"isIos": False, "isAndroid": True}
    sight = Sight(
        pending=0,
        events=[EventRow(n, "default", name, AT + n) for n, name in enumerate("abc", 1)],
        outcomes=[
            OutcomeRow(1, "profile", "update_user", "delivered", None),
            OutcomeRow(2, "ping", "send_notification", "delivered", None),
            OutcomeRow(3, "profile", "update_user", "delivered", None),
        ],
        sends=[SendRow("k", 2, "ping", USER, 0, "delivered", "k")],
        dead=[],
        calls=[write(AT, "a"), send, write(AT + 2000, "c")],
        pushes=[push("k", "b")],
        custom_events=[],
        users=[
            {
                "identity": {"external_id": USER},
                "tags": {"tier": "xylocopa c", "mail": "1@xylocopa.example"},
                "devices": [
                    {"subscription_id": "phone", "platform": "android"},
                    {"subscription_id": "iphone", "platform": "ios"},
                ],
            }
        ],
        complaints=[],
        resources=[Resources(rss_bytes=[90_000_000], descriptors=[30, 40])],
    )
    told = Told(
        pages={"the log": lambda: '{"event": "call.failed", "reason": "http_503"}\n'},
        scrapes=['bridge_calls_total{class="send",http="503"} 1.0\n'],
    )
    told.expect_line("call.failed", reason="http_503")
    told.expect_metric("bridge_calls_total", http="503")
    return Scene(story=SHOP, sent=sent, sight=sight, told=told, limits=Limits())


Break = Callable[[Scene], object]


def _lose_event(s: Scene) -> None:
    del s.sight.events[0], s.sight.outcomes[0]


def _swap_writes(s: Scene) -> None:
    """The push leaves before the update that came first."""
    s.sight.calls[0], s.sight.calls[1] = s.sight.calls[1], s.sight.calls[0]


def _leave_ios_in(s: Scene) -> None:
    s.sight.calls[1]["body"] = {"isIos": False}


def _name_an_iphone(s: Scene) -> None:
    s.sight.calls[1]["body"] = {"include_subscription_ids": ["phone", "iphone"]}


def _say(text: str) -> Break:
    return lambda s: s.told.others.append(text)


def _say_in_log(text: str) -> Break:
    return lambda s: s.told.pages.update(more=lambda: text)


def _too_many_tags(s: Scene) -> None:
    s.sight.calls[0]["body"]["properties"]["tags"] |= {f"t{n}": "1" for n in range(99)}


def _event_again(s: Scene) -> None:
    s.sight.events.append(EventRow(9, "default", "b", AT))
    s.sight.outcomes.append(OutcomeRow(9, "ping", "send_notification", "delivered", None))


def _another_key(s: Scene) -> None:
    s.sight.sends.append(SendRow("k2", 2, "ping", USER, 0, "delivered", "k"))


def _rush(endpoint_class: str, count: int) -> Break:
    def rush(s: Scene) -> None:
        more = [call(AT + 9000 + n % 999, endpoint_class, user=None) for n in range(count)]
        for one in more:
            one["body"] = {"isIos": False, "isAndroid": True}
        s.sight.calls.extend(more)

    return rush


def _tag(value: str) -> Break:
    return lambda s: s.sight.users[0]["tags"].update(tier=value)


def _outcome(at: int, **changed: Any) -> Break:
    def change(s: Scene) -> None:
        s.sight.outcomes[at] = s.sight.outcomes[at]._replace(**changed)

    return change


BREAKS: dict[str, tuple[str, Break]] = {
    "nothing was sent": ("I1", lambda s: s.sent.acknowledged.clear()),
    "acknowledged and lost": ("I1", _lose_event),
    "kept twice": ("I1", _event_again),
    "still pending": ("I1", lambda s: setattr(s.sight, "pending", 1)),
    "without an outcome": ("I1", lambda s: s.sight.outcomes.pop()),
    "an end that is none": ("I1", _outcome(0, status="pending")),
    "skipped for no reason": ("I1", _outcome(0, status="skipped")),
    "another operation than it owes": ("I1", _outcome(0, rule="ping")),
    "a send that has not ended": (
        "I1",
        lambda s: s.sight.sends.append(SendRow("k", 2, "ping", USER, 1, "held", "k")),
    ),
    "called delivered and never sent": ("I1", lambda s: s.sight.calls.pop(1)),
    "two notifications of a key": (
        "I2",
        lambda s: s.sight.pushes.append(push("k", "b", notification_id="n2", device="tablet")),
    ),
    "two keys of a message": ("I2", _another_key),
    "shown twice": ("I2", lambda s: s.sight.pushes.append(push("k2", "b"))),
    "a notification without a key": (
        "I2",
        lambda s: s.sight.pushes[0].update(idempotency_key=None),
    ),
    "an older value in the end": ("I3", _tag("xylocopa a")),
    "no value in the end": ("I3", lambda s: s.sight.users[0]["tags"].clear()),
    "a push before an earlier update": ("I3", _swap_writes),
    "too many sends in a second": ("I4", _rush("send", 151)),
    "too many writes in a second": ("I4", _rush("write", 1001)),
    "a user written to twice in a second": (
        "I4",
        lambda s: s.sight.calls[2].update(at_ms=AT + 999),
    ),
    "too many properties": ("I4", _too_many_tags),
    "a complaint": ("I4", lambda s: s.sight.complaints.append({"code": "key-reused", "text": ""})),
    "six pushes for a person": (
        "I4",
        lambda s: s.sight.pushes.extend(push(f"x{n}", f"x{n}") for n in range(5)),
    ),
    "too much memory": ("I5", lambda s: s.sight.resources[0].rss_bytes.append(300_000_000)),
    "sockets that nobody closes": ("I5", lambda s: s.sight.resources[0].descriptors.append(400)),
    "no log line": ("I6", lambda s: s.told.expect_line("call.failed", reason="http_500")),
    "no metric": ("I6", lambda s: s.told.expect_metric("bridge_calls_total", http="500")),
    "a metric at 0": (
        "I6",
        lambda s: s.told.scrapes.__setitem__(0, 'bridge_calls_total{http="503"} 0.0'),
    ),
    "no word of a log line": ("I6", lambda s: s.told.expected_lines.clear()),
    "no word of a metric": ("I6", lambda s: s.told.expected_metrics.clear()),
    "a trait in the log": ("I6", _say_in_log("tier=xylocopa a")),
    "a user in an error body": ("I6", _say(f'{{"message": "no such user {USER}"}}')),
    "an address in an alert": ("I6", lambda s: s.told.alerts.append("1@xylocopa.example")),
    "a user in a metric": ("I6", lambda s: s.told.scrapes.append(f'x{{user="{USER}"}} 1')),
    "a secret in an answer": ("I6", lambda s: s.sent.answers.append("xylocopa-secret")),
    "an iPhone reached": ("I7", lambda s: s.sight.pushes[0].update(platform="ios")),
    "without the allow-list": ("I7", _leave_ios_in),
    "an iPhone named": ("I7", _name_an_iphone),
}


@pytest.mark.unchecked("it makes a scene by hand")
def test_the_scene_is_right() -> None:
    assert violations(scene()) == []


@pytest.mark.unchecked("it makes a scene by hand")
@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_is_reported(name: str) -> None:
    code, do = BREAKS[name]
    broken = scene()
    do(broken)
    assert code in {one.code for one in violations(broken)}


@pytest.mark.unchecked("it makes scenes by hand")
def test_what_died_may_have_been_performed_and_nothing_is_said_of_it() -> None:
    for value in ("xylocopa a", "xylocopa c"):
        one = scene()
        _outcome(2, status="dead", reason="http_500")(one)
        one.sight.dead.append(DeadRow(3, "profile", "update_user", "http_500", "dead"))
        _tag(value)(one)
        assert violations(one) == []
