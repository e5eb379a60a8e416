"""When a rule may act: once, so many, so often, and not while somebody says stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.config import DEFAULT as APP
from bridge.deliver.brake import PUSHES, rule_target
from bridge.deliver.held import release_resumed
from bridge.deliver.replay import replay
from bridge.journal.piles import Choice
from tests.harness import APP_ID, Rig, ends, iso, rig, track

PUSH = 'do: {send_notification: {contents: "{{ event }}"}}'


def mapping(*rules: str, push: str = "") -> str:
    head = f"version: 1\npush: {{platforms: {{exclude: [ios]}}{push}}}\nrules:\n"
    return head + "".join(f"  - {{name: rule-{n}, {text}}}\n" for n, text in enumerate(rules))


def rule(event: str, terms: str = "") -> str:
    return f"when: 'event = \"{event}\"', {terms}{PUSH}"


def phones(here: Rig, *users: str) -> None:
    for user in users or ("u1",):
        here.sandbox.add_device(user, "android", app_id=APP_ID)


def texts(here: Rig) -> list[str | None]:
    return [push.text for push in here.sandbox.pushes]


async def reasons(here: Rig) -> list[str | None]:
    return [reason for *_, reason in await here.outcomes()]


def fail(here: Rig, *answers: dict[str, Any], times: int = 1) -> None:
    here.sandbox.faults.script({"match": {"class": "send"}, "answers": answers, "times": times})


# once_per -------------------------------------------------------------------------------------------

ONCE = mapping(rule("Price Drop", 'once_per: {time: 7d, key: "{{ properties.sku }}"}, '))
DAY = 86_400.0


async def drop(here: Rig, number: int, sku: str, user: str = "u1") -> None:
    at = iso(here.clock.now_ms())
    name = f"m{number}"
    await here.post(track("Price Drop", user, name, properties={"sku": sku}, timestamp=at))
    await here.settle()


async def test_a_rule_fires_once_per_time_person_and_key(tmp_path: Path) -> None:
    async with rig(tmp_path, ONCE) as here:
        phones(here, "u1", "u2")
        await drop(here, 1, "A")
        await drop(here, 2, "A")
        await drop(here, 3, "B")
        await drop(here, 4, "A", "u2")
        assert await reasons(here) == [None, "once_per", None, None]
        await here.pass_time(7 * DAY)
        await drop(here, 5, "A")
        assert await reasons(here) == [None, "once_per", None, None, None]
        assert len(texts(here)) == 4


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": 400}, "dead"),
        ({"status": 200, "body": {"id": "", "errors": []}}, "no_recipients"),
    ],
)
async def test_the_place_is_given_back_when_the_push_reached_nobody(
    tmp_path: Path, answer: dict[str, Any], status: str
) -> None:
    async with rig(tmp_path, ONCE) as here:
        phones(here)
        fail(here, answer)
        await drop(here, 1, "A")
        await drop(here, 2, "A")
        assert [one[3] for one in await here.outcomes()] == [status, "delivered"]


async def test_the_place_stays_taken_while_nobody_knows_what_became_of_the_push(
    tmp_path: Path,
) -> None:
    text = ONCE.replace("once_per", "max_age: 30m, once_per")
    async with rig(tmp_path, text) as here:
        phones(here)
        fail(here, {"status": 503, "headers": {"Retry-After": "3000"}})
        await drop(here, 1, "A")
        await drop(here, 2, "A")
        assert await reasons(here) == ["unknown_outcome", "once_per"]


# cap ------------------------------------------------------------------------------------------------

CAPPED = mapping(
    rule("One"), rule("Two"), rule("Chat", "cap: off, "), push=", cap: {max: 2, per: 15m}"
)


async def happen(here: Rig, event: str, number: int, user: str = "u1") -> None:
    at = iso(here.clock.now_ms())
    await here.post(track(event, user, f"m{number}", timestamp=at))


async def test_a_person_gets_so_many_pushes_over_all_rules(tmp_path: Path) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here, "u1", "u2")
        for number, event in enumerate(["One", "Two", "One"]):
            await happen(here, event, number)
            await here.settle()
        await happen(here, "One", 3, "u2")
        await here.settle()
        assert await reasons(here) == [None, None, "person_cap", None]
        await here.pass_time(900)
        await happen(here, "One", 4)
        await here.settle()
        assert texts(here) == ["One", "Two", "One", "One"]


async def test_pushes_that_reached_nobody_take_no_place(tmp_path: Path) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        fail(here, {"status": 400}, times=2)
        for number in range(5):
            await happen(here, "One", number)
            await here.settle()
        assert await reasons(here) == ["http_400", "http_400", None, None, "person_cap"]


async def test_a_push_that_a_person_replays_takes_a_place_for_those_after_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        fail(here, {"status": 400})
        await happen(here, "One", 0)
        await here.settle()
        (dead,) = await here.bridge.journal.dead_letters()
        await replay(here.bridge.journal, dead.id, now_ms=here.clock.now_ms())
        here.bridge.nudge(APP, frozenset({dead.user_hash}))
        await here.settle()
        for number in (1, 2):
            await happen(here, "One", number)
            await here.settle()
        assert await reasons(here) == [None, None, "person_cap"]


async def test_a_push_that_was_long_under_way_counts_when_it_arrives(tmp_path: Path) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        fail(here, {"status": 503, "headers": {"Retry-After": "1200"}})
        for number in range(4):
            await happen(here, "One", number)
        await here.settle()
        assert (await reasons(here)).count("person_cap") == 2
        assert len(texts(here)) == 2


async def test_conversations_wait_when_they_are_more_than_the_people_reached(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        for number in range(3):
            await happen(here, "Chat", number)
        await here.pass_time(60)
        assert texts(here) == ["Chat", "Chat"]
        (waiting,) = await here.bridge.journal.chains(
            [here.bridge.journal.user_hash(APP, "u1")], limit=9
        )
        del waiting
        assert (await here.bridge.journal.counts()).pending == 1
        await here.settle()
        assert texts(here) == ["Chat"] * 3
        assert await reasons(here) == [None] * 3


async def test_conversations_that_a_person_lets_go_count_for_those_that_come_after(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        await here.bridge.brake.pull(PUSHES)
        for number in range(3):
            await happen(here, "Chat", number)
        await here.settle()
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.pass_time(60)
        assert texts(here) == ["Chat"] * 3
        await happen(here, "Chat", 9)
        await here.pass_time(60)
        assert texts(here) == ["Chat"] * 3
        await here.settle()
        assert texts(here) == ["Chat"] * 4


# limit ----------------------------------------------------------------------------------------------

LIMITED = mapping(rule("Sale", "limit: {max: 2, per: 10m}, "), rule("Else"))


async def sell(here: Rig, numbers: range) -> None:
    for number in numbers:
        await happen(here, "Sale", number, f"u{number}")
    await here.settle()


async def test_what_exceeds_a_limit_is_held_until_somebody_releases_it(tmp_path: Path) -> None:
    async with rig(tmp_path, LIMITED) as here:
        phones(here, *(f"u{n}" for n in range(12)))
        with capture_logs() as logs:
            await sell(here, range(5))
            await here.pass_time(3600)
            await sell(here, range(5, 7))
            await happen(here, "Else", 100, "u0")
            await here.settle()
        assert texts(here) == ["Sale", "Sale", "Else"]
        alarms = [one for one in logs if one["event"] == "rule.held"]
        assert [(one["rule"], one["code"]) for one in alarms] == [("rule-0", "limit_reached")]
        sends = here.bridge.journal.sends
        assert await sends.held_counts() == [(APP, "rule-0", "limit", 5)]
        assert {one.rule for one in await sends.held()} == {"rule-0"}

        released = await sends.release(Choice(app=APP, rule="rule-0"), limit=3)
        assert (released.sends, len(released.users)) == (3, 3)
        for user in released.users:
            here.lanes.nudge(user)
        await here.settle()
        assert texts(here).count("Sale") == 5
        # Some are still held, so the next is, too.
        await sell(here, range(7, 8))
        assert texts(here).count("Sale") == 5

        for user in (await sends.release(Choice(app=APP), limit=100)).users:
            here.lanes.nudge(user)
        await here.settle()
        assert texts(here).count("Sale") == 8
        await sell(here, range(8, 10))
        assert texts(here).count("Sale") == 10
        assert (await here.bridge.journal.counts()).held == 0
        assert not here.sandbox.complaints


async def test_what_is_released_is_sent_however_old_it_is(tmp_path: Path) -> None:
    text = LIMITED.replace("limit", "max_age: 10m, limit")
    async with rig(tmp_path, text) as here:
        phones(here, *(f"u{n}" for n in range(3)))
        await sell(here, range(3))
        await here.pass_time(DAY)
        (one,) = await here.bridge.journal.sends.held()
        released = await here.bridge.journal.sends.release(Choice(app=APP, ids=(one.key,)), limit=1)
        here.lanes.nudge(*released.users)
        await here.settle()
        assert len(texts(here)) == 3


async def test_what_is_discarded_ends_and_gives_its_place_back(tmp_path: Path) -> None:
    terms = "limit: {max: 1, per: 10m}, once_per: {time: 7d}, "
    async with rig(tmp_path, mapping(rule("Sale", terms))) as here:
        phones(here, "u0", "u1")
        # One after the other: whose turn comes first is nobody's business.
        for number in range(2):
            await sell(here, range(number, number + 1))
        assert (
            await here.bridge.journal.sends.discard(
                Choice(app=APP), limit=9, at_ms=here.clock.now_ms()
            )
            == 1
        )
        assert [one[3:] for one in await here.outcomes()] == [
            ("delivered", None),
            ("discarded", "by_person"),
        ]
        await happen(here, "Sale", 7, "u1")
        await here.settle()
        assert len(texts(here)) == 2


async def test_a_limit_holds_over_every_window_of_its_time(tmp_path: Path) -> None:
    text = mapping(rule("Sale", "limit: {max: 20, per: 10m}, "))
    async with rig(tmp_path, text) as here:
        phones(here, *(f"u{n}" for n in range(60)))
        for number in range(60):
            await happen(here, "Sale", number, f"u{number}")
            await here.pass_time(29.5)
        held = (await here.bridge.journal.counts()).held
        assert held > 0
        at = [push.at_ms for push in here.sandbox.pushes]
        assert all(sum(one <= other < one + 600_000 for other in at) <= 20 for one in at)


async def test_rules_without_a_limit_and_transactional_ones_are_not_held(tmp_path: Path) -> None:
    text = mapping(rule("Sale", "limit: off, "), rule("Order", "transactional: true, "))
    async with rig(tmp_path, text) as here:
        phones(here)
        await happen(here, "Sale", 1)
        await happen(here, "Order", 2)
        await here.settle()
        assert texts(here) == ["Sale", "Order"]


# paused ---------------------------------------------------------------------------------------------


async def test_while_pushes_are_paused_they_are_held(tmp_path: Path) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        await here.bridge.brake.pull(rule_target("rule-0"))
        await happen(here, "One", 1)
        await happen(here, "Two", 2)
        await here.settle()
        assert texts(here) == ["Two"]
        assert await here.bridge.journal.sends.held_counts() == [(APP, "rule-0", "paused", 1)]
        await here.bridge.brake.let_go(rule_target("rule-0"))
        released = await here.bridge.journal.sends.release(
            Choice(app=APP, reason="paused"), limit=9
        )
        here.lanes.nudge(*released.users)
        await here.settle()
        assert texts(here) == ["Two", "One"]


async def test_a_push_that_waits_for_its_turn_is_held_when_pushes_are_paused(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, CAPPED) as here:
        phones(here)
        here.means.destination.sends.hold(60)
        await happen(here, "One", 1)
        await here.still()
        await here.bridge.brake.pull(PUSHES)
        await here.settle()
        assert (texts(here), (await here.bridge.journal.counts()).held) == ([], 1)


# max_age --------------------------------------------------------------------------------------------


async def test_what_is_too_old_when_its_turn_comes_is_not_sent(tmp_path: Path) -> None:
    async with rig(tmp_path, mapping(rule("Flash", "max_age: 10m, "))) as here:
        phones(here)
        here.means.destination.sends.hold(1200)
        await happen(here, "Flash", 1)
        await here.settle()
        assert texts(here) == []
        assert ends(await here.outcomes()) == {"rule-0/send_notification": ("skipped", "too_old")}


async def test_being_asked_to_wait_makes_no_outcome_uncertain(tmp_path: Path) -> None:
    """A push that was certainly not performed is too old after the wait, and no person's to decide about."""
    async with rig(tmp_path, mapping(rule("Flash", "max_age: 1h, "))) as here:
        phones(here)
        fail(here, {"status": 429, "headers": {"Retry-After": "3600"}}, times=3)
        await happen(here, "Flash", 1)
        await here.settle(within=4 * 3600)
        assert texts(here) == []
        assert ends(await here.outcomes()) == {"rule-0/send_notification": ("skipped", "too_old")}
        assert not here.means.attempted


async def test_a_push_that_waits_because_it_was_asked_to_is_held_when_pushes_are_paused(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, mapping(rule("Flash", "max_age: 1h, "))) as here:
        phones(here)
        fail(here, {"status": 429, "headers": {"Retry-After": "600"}})
        await happen(here, "Flash", 1)
        await here.still()
        await here.bridge.brake.pull(PUSHES)
        await here.settle()
        assert await here.bridge.journal.sends.held_counts() == [(APP, "rule-0", "paused", 1)]


async def test_the_end_of_a_pause_gives_nobody_another_limit(tmp_path: Path) -> None:
    text = mapping(rule("Flash", "limit: {max: 2, per: 10m}, "))
    async with rig(tmp_path, text) as here:
        phones(here)
        for number in range(2):
            await happen(here, "Flash", number)
        await here.settle()
        await here.bridge.brake.pull(PUSHES)
        await happen(here, "Flash", 2)
        await here.settle()
        await here.bridge.brake.let_go(PUSHES)
        await release_resumed(here.bridge.journal, here.bridge.brake, nudge=here.bridge.nudge)
        await here.settle()
        await happen(here, "Flash", 3)
        await here.settle()
        assert len(texts(here)) == 3
        assert await here.bridge.journal.sends.held_counts() == [(APP, "rule-0", "limit", 1)]
