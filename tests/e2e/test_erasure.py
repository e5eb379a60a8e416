"""Erasing a user: at OneSignal and here, whatever is under way, and whatever comes late."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bridge.cli import app
from bridge.clock import ManualClock, SystemClock
from tests.harness import APP_ID, Rig, identify, iso, rig, track

SHOP = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {mail: "{{ traits.email }}"}}}
  - name: shipped
    when: event = "Order Shipped"
    max_age: 30d
    once_per: {time: 1d, key: "{{ messageId }}"}
    do: {send_notification: {contents: "On its way, {{ userId }}"}}
  - name: sale
    when: event = "Sale"
    max_age: 30d
    group: 30s
    do: {send_notification: {contents: "Sale"}}
"""
TOKEN = "let-me-in"
ADMIN = {"authorization": f"Bearer {TOKEN}"}
WITH_ADMIN: dict[str, Any] = {"admin_token": SecretStr(TOKEN)}
USER, MAIL = "ann-8812", "ann@secret.example"


def at(here: Rig, seconds: float = 0) -> str:
    return iso(here.clock.now_ms() + round(seconds * 1000))


def away(here: Rig, **match: str) -> None:
    """OneSignal answers nobody, until `here.sandbox.faults.clear`."""
    here.sandbox.faults.script(
        {"match": match, "answers": [{"status": 503}], "times": "until_cleared"}
    )


async def works(here: Rig, seconds: float) -> None:
    """OneSignal is back; after so long everything has been tried again."""
    here.sandbox.faults.clear()
    await here.settle(within=seconds)


def request(here: Rig, user: str = USER) -> dict[str, Any]:
    return {"type": "delete", "userId": user, "messageId": "d1", "timestamp": at(here)}


def deletions(here: Rig) -> int:
    return sum(one.method == "DELETE" for one in here.sandbox.calls)


async def forget(here: Rig, user: str = USER, query: str = "") -> Any:
    answer = await here.http.delete(f"/api/v1/users/{user}{query}", headers=ADMIN)
    return answer.status_code, answer.json()


def rows(here: Rig, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(here.bridge.journal.path)) as connection:
        return connection.execute(sql).fetchall()


async def scrubbed(here: Rig) -> bytes:
    """Every byte that the database has, some time after the erasure."""
    await here.pass_time(15)
    path = here.bridge.journal.path
    log = path.with_name(path.name + "-wal")
    return path.read_bytes() + (log.read_bytes() if log.exists() else b"")


def tables(here: Rig) -> bytes:
    """Every value in every table."""
    names = rows(here, "SELECT name FROM sqlite_master WHERE type = 'table'")
    values = [
        value for (name,) in names for row in rows(here, f"SELECT * FROM {name}") for value in row
    ]
    return b"\n".join(one if isinstance(one, bytes) else str(one).encode() for one in values)


async def test_a_deletion_request_of_segments_erases_the_user_there_and_here(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        here.sandbox.add_device(USER, "android", app_id=APP_ID)
        await here.post(identify(USER, "m1", email=MAIL))
        await here.post(track("Order Shipped", USER, "m2"))
        await here.settle()
        assert MAIL.encode() in tables(here)
        await here.pass_time(60)
        told = await here.post(request(here))
        assert told["note"] == "the user is erased, at OneSignal and here"
        await here.settle()
        assert deletions(here) == 1
        assert here.sandbox.user(USER) is None
        kept = await scrubbed(here)
        assert USER.encode() not in kept
        assert MAIL.encode() not in kept
        assert (3, "", "delete_user", "delivered", None) in await here.outcomes()
        ((who, what),) = rows(here, "SELECT who, what FROM audit_trail WHERE what = 'user.erased'")
        assert (who, what) == ("default", "user.erased")


async def test_a_user_whom_onesignal_does_not_know_is_erased_all_the_same(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert await forget(here, "never-heard-of") == (202, {"erasing": ["default"]})
        await here.settle()
        assert [end[3] for end in await here.outcomes()] == ["delivered"]
        assert b"never-heard-of" not in await scrubbed(here)


# What is under way ---------------------------------------------------------------------------------


async def test_what_waits_for_the_user_is_discarded_at_once_though_onesignal_is_away(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        here.sandbox.add_device(USER, "android", app_id=APP_ID)
        away(here)
        await here.post(identify(USER, "m1", email=MAIL))
        await here.post(track("Order Shipped", USER, "m2"))
        await here.post(track("Sale", USER, "m3"))
        await here.pass_time(5)
        assert (await forget(here))[0] == 202
        await here.pass_time(1)
        assert MAIL.encode() not in tables(here)
        ends = [end[1:] for end in await here.outcomes() if end[0] < 4]
        assert ("", "", "discarded", "erased") in ends
        assert {end[2] for end in ends} == {"discarded"}
        await works(here, 7200)
        assert not here.sandbox.pushes
        assert here.sandbox.user(USER) is None
        assert USER.encode() not in await scrubbed(here)


async def test_pushes_that_are_held_or_wait_in_a_group_go_with_the_user_and_no_others(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        for number, user in enumerate((USER, "bob")):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
            await here.post(track("Sale", user, f"s-{number}"))
        await here.still()
        await here.http.post(
            "/api/v1/pause", json={"what": "rule", "rule": "shipped"}, headers=ADMIN
        )
        for number, user in enumerate((USER, "bob")):
            await here.post(track("Order Shipped", user, f"o-{number}"))
        await here.still()
        assert (await here.bridge.journal.counts()).held == 2
        await forget(here)
        await here.pass_time(5)
        assert (await here.bridge.journal.counts()).held == 1
        await here.http.post(
            "/api/v1/resume", json={"what": "rule", "rule": "shipped"}, headers=ADMIN
        )
        await here.settle()
        pushes = sorted((push.external_id, push.text) for push in here.sandbox.pushes)
        assert pushes == [("bob", "On its way, bob"), ("bob", "Sale")]
        assert USER.encode() not in await scrubbed(here)


async def test_a_call_that_is_out_ends_before_the_erasure_does(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        for user in (USER, "bob"):
            here.sandbox.add_device(user, "android", app_id=APP_ID)
        away(here, path="/notifications")
        for number, user in enumerate((USER, "bob")):
            await here.post(track("Sale", user, f"s-{number}"))
        await here.pass_time(40)
        assert len(rows(here, "SELECT 1 FROM call WHERE group_id IS NOT NULL")) == 1
        await forget(here)
        await here.pass_time(30)
        assert here.sandbox.user(USER) is None
        assert len(rows(here, "SELECT 1 FROM erased WHERE done_ms IS NULL")) == 1
        await works(here, 7200)
        assert [push.external_id for push in here.sandbox.pushes] == ["bob"]
        assert len(rows(here, "SELECT 1 FROM erased WHERE done_ms IS NOT NULL")) == 1
        assert USER.encode() not in await scrubbed(here)


async def test_dead_letters_of_the_user_go_with_their_event_request_and_answer(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        here.sandbox.faults.script(
            {
                "match": {"method": "PATCH"},
                "answers": [{"status": 400, "body": {"errors": [MAIL]}}],
                "times": 1,
            }
        )
        await here.post(identify(USER, "m1", email=MAIL))
        await here.settle()
        assert (await here.bridge.journal.counts()).dead == 1
        await forget(here)
        await here.settle()
        assert (await here.bridge.journal.counts()).dead == 0
        assert (1, "profile", "update_user", "discarded", "erased") in await here.outcomes()
        kept = await scrubbed(here)
        assert MAIL.encode() not in kept
        assert USER.encode() not in kept


async def test_a_process_that_ends_in_between_goes_on_at_its_next_start(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await here.post(identify(USER, "m1", email=MAIL))
        await here.settle()
        away(here)
        await forget(here)
        await here.pass_time(5)
        assert MAIL.encode() not in tables(here)
        assert USER.encode() in tables(here)
        before, clock = here.sandbox, here.clock
    async with rig(tmp_path, SHOP, clock=clock, **WITH_ADMIN) as here:
        assert here.sandbox is not before
        await here.settle(within=7200)
        assert deletions(here) == 1
        assert USER.encode() not in await scrubbed(here)


async def test_a_deletion_that_onesignal_refuses_is_a_dead_letter_and_done_when_replayed(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        here.sandbox.faults.script(
            {"match": {"method": "DELETE"}, "answers": [{"status": 400}], "times": 1}
        )
        await here.post(identify(USER, "m1", email=MAIL))
        await here.settle()
        await forget(here)
        await here.settle()
        ((number, operation),) = rows(here, "SELECT id, operation FROM dead WHERE state = 'dead'")
        assert operation == "delete_user"
        assert rows(here, "SELECT 1 FROM audit_trail WHERE what = 'user.erased'") == []
        await here.http.post(f"/api/v1/dead/{number}/replay", headers=ADMIN)
        await here.settle()
        assert here.sandbox.user(USER) is None
        assert len(rows(here, "SELECT 1 FROM audit_trail WHERE what = 'user.erased'")) == 1
        assert USER.encode() not in await scrubbed(here)


# What comes late ------------------------------------------------------------------------------------


async def test_what_happened_before_the_erasure_is_not_taken_any_more(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        before = at(here, -60)
        await here.post(identify(USER, "m1", email=MAIL))
        await here.settle()
        await forget(here)
        await here.settle()
        late = identify(USER, "m2", email=MAIL)
        await here.post(late | {"timestamp": before})
        # Its clock is a little ahead, or its app a little slow to hear that it is over.
        await here.post(track("Order Shipped", USER, "m3", timestamp=at(here, 240)))
        await here.settle()
        assert [end[1:] for end in await here.outcomes() if end[0] > 2] == [
            ("", "", "skipped", "erased")
        ] * 2
        assert here.sandbox.user(USER) is None
        assert USER.encode() not in await scrubbed(here)


async def test_nor_is_what_others_said_of_the_user_before_it(tmp_path: Path) -> None:
    named = f"""
  - name: referred
    when: event = "Referred"
    do: {{update_user: {{to: {{external_id: "{USER}"}}, tags: {{referred: "yes"}}}}}}
"""
    async with rig(tmp_path, SHOP + named, **WITH_ADMIN) as here:
        here.sandbox.add_device(USER, "android", app_id=APP_ID)
        before = here.clock.now_ms()
        await forget(here)
        await here.settle()
        await here.pass_time(1200)
        late = track("Referred", "bob", "m1", timestamp=iso(before))
        await here.post([late, track("Referred", "bob", "m2", timestamp=at(here))])
        await here.settle()
        found = await here.outcomes()
        assert [one[4] for one in found if one[1] == "referred"] == ["erased", None]
        assert deletions(here) == 1


async def test_who_signs_up_again_under_the_same_id_is_a_new_user(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await here.post(identify(USER, "m1", email=MAIL))
        await here.settle()
        await forget(here)
        await here.settle()
        await here.pass_time(3600)
        await here.post(identify(USER, "m2", email="new@mail.example"))
        await here.settle()
        user = here.sandbox.user(USER)
        assert user is not None
        assert user.tags == {"mail": "new@mail.example"}


async def test_what_the_user_does_again_while_the_erasure_waits_is_done_after_it(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await here.post(identify(USER, "m1", email=MAIL))
        await here.settle()
        away(here)
        await forget(here)
        await here.pass_time(3600)
        await here.post(identify(USER, "m2", email="new@mail.example"))
        await works(here, 3 * 3600)
        methods = [one.method for one in here.sandbox.calls if one.status != 503]
        assert methods.index("DELETE") < len(methods) - 1
        user = here.sandbox.user(USER)
        assert user is not None
        assert user.tags == {"mail": "new@mail.example"}


EVERYTHING = """
version: 1
identity: {external_id: "{{ userId }}", anonymous: alias}
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify" and audience.class = null
    do:
      update_user:
        tags: {name: "{{ traits.name }}"}
        email: {address: "{{ traits.email }}"}
        phone: {address: "{{ traits.phone }}"}
  - name: alias
    when: type = "identify" and audience.class = null
    do: {create_alias: {label: crm, id: "{{ traits.crm }}"}}
  - name: shipped
    when: event = "Order Shipped"
    once_per: {time: 1d, key: "{{ properties.item }}"}
    do: {send_notification: {contents: "{{ properties.item }} for {{ properties.name }}"}}
  - name: sale
    when: event = "Sale"
    group: 30s
    do: {send_notification: {contents: "Sale"}}
  - name: flash
    when: event = "Flash"
    limit: {max: 1, per: 1h}
    do: {send_notification: {contents: "{{ properties.name }}"}}
  - name: bought
    when: event = "Bought"
    do: {track_custom_event: {name: bought, properties: {item: "{{ properties.item }}"}}}
  - name: vip
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: "Welcome"}}
"""
WORD = "xylocopa"
TRAITS = {
    "name": f"{WORD} Violacea",
    "email": f"x@{WORD}.example",
    "phone": "+4366012345678",
    "crm": f"crm-{WORD}",
}
LEFT_BEHIND = (WORD.encode(), b"6601234567")


async def lives(here: Rig, user: str, traits: dict[str, str]) -> None:
    """Everything that can be known of somebody: done, refused, held, under way, known by other names."""
    numbers = itertools.count()

    def named(event: dict[str, Any]) -> dict[str, Any]:
        """The messageId stays, so that it says nothing of anybody."""
        return event | {"messageId": f"n{next(numbers)}"}

    said = {"item": f"kettle of {traits['name']}", "name": traits["name"]}
    here.sandbox.add_device(user, "android", app_id=APP_ID)
    anonymous = f"anonymous-{user}"
    unknown = {"type": "track", "event": "Bought", "anonymousId": anonymous, "properties": said}
    await here.post(named(unknown))
    await here.post(named(identify(user, **traits) | {"anonymousId": anonymous}))
    await here.settle(within=7200)
    for event in ("Order Shipped", "Sale", "Bought", "Flash", "Flash"):
        await here.post(named(track(event, user, properties=said)))
        await here.settle(within=7200)
    context = {"personas": {"computation_class": "audience", "computation_key": "vip"}}
    await here.post(named(identify(user, vip=True) | {"context": context}))
    await here.settle(within=7200)
    here.sandbox.faults.script(
        {
            "match": {"class": "send"},
            "answers": [{"status": 400, "body": {"errors": [traits["name"]]}}],
        }
    )
    await here.post(named(track("Order Shipped", user, properties=said | {"item": "x"})))
    await here.settle(within=7200)
    here.means.destination.writes.hold(60)
    here.means.destination.sends.hold(60)
    await here.post(named(identify(user, **traits | {"name": f"late {traits['name']}"})))
    await here.post(named(track("Sale", user, properties=said)))
    await here.still()


async def test_nothing_at_all_is_left_of_who_was_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path, EVERYTHING, **WITH_ADMIN) as here:
        await lives(here, f"{WORD}-8812", TRAITS)
        there = tables(here)
        # It is no use if there was nothing to be found.
        assert all(word in there for word in LEFT_BEHIND)
        counts = await here.bridge.journal.counts()
        assert (counts.held, counts.dead) == (1, 1)
        assert counts.pending == 2
        await here.pass_time(1)
        assert (await forget(here, f"{WORD}-8812"))[0] == 202
        await here.settle(within=7200)
        kept = await scrubbed(here)
        everything = tables(here)
        for word in LEFT_BEHIND:
            assert word not in kept
            assert word not in everything
        assert here.sandbox.user(f"{WORD}-8812") is None
        answer = await here.http.get(f"/api/v1/explain?user={WORD}-8812", headers=ADMIN)
        told = answer.json()
        assert told["events"] == []
        erased = [(one["app"], one["under_way"]) for one in told["erased"]]
        assert erased == [("default", False)]


# Who may ask, and for whom --------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["null", "0", "x" * 513])
async def test_what_is_no_id_is_refused(tmp_path: Path, user: str) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert (await forget(here, user))[1]["code"] == "id-invalid"
        assert await here.outcomes() == []


async def test_an_app_that_there_is_not_is_said_to_be_a_slip(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        assert await forget(here, USER, "?app=shop") == (
            404,
            {
                "code": "unknown-app",
                "message": "There is no app shop: no setting names it; there is default.",
            },
        )
        assert (await forget(here, USER, "?app=default"))[0] == 202


async def test_nobody_erases_without_the_admin_token(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        answer = await here.http.delete(f"/api/v1/users/{USER}")
        assert answer.status_code == 401
    async with rig(tmp_path, SHOP) as here:
        answer = await here.http.delete(f"/api/v1/users/{USER}")
        assert answer.status_code == 403


async def test_a_request_that_names_nobody_is_skipped(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.post({"type": "delete", "messageId": "d1"})
        await here.post(request(here, "null") | {"messageId": "d2"})
        await here.settle()
        assert [end[4] for end in await here.outcomes()] == [
            "no_external_id",
            "blocked_external_id",
        ]


# Commands -------------------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BRIDGE_DATABASE_URL", f"sqlite:///{tmp_path}/bridge.db")
    monkeypatch.setenv("BRIDGE_PORT", "1")
    return tmp_path


def told(*arguments: str, said: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["forget", *arguments], input=said)
    return done.exit_code, done.output


async def heard(folder: Path, *users: str) -> None:
    """An hour ago, for commands that look at the machine's clock."""
    async with rig(folder, SHOP, clock=ManualClock(SystemClock().now_ms() - 3_600_000)) as here:
        for number, user in enumerate(users):
            await here.post(identify(user, f"m{number}", email=MAIL))
        await here.settle()


async def test_forget_says_how_many_and_does_nothing_unless_one_agrees(database: Path) -> None:
    await heard(database, USER)
    code, said = await asyncio.to_thread(told, USER, "bob", USER, said="n\n")
    assert code == 1
    assert "Erase 2 users in every app, at OneSignal and here?" in said
    assert USER.encode() in (database / "bridge.db").read_bytes()


async def test_forget_erases_here_at_once_and_at_onesignal_when_the_bridge_runs(
    database: Path,
) -> None:
    await heard(database, USER, "bob")
    requests = database / "requests.txt"
    requests.write_text(f"{USER}\n\nbob\n")
    code, said = await asyncio.to_thread(told, "--file", str(requests), "--yes")
    assert (code, said) == (
        0,
        "2 users: nothing is left here; OneSignal is asked when the bridge runs.\n",
    )
    assert MAIL.encode() not in (database / "bridge.db").read_bytes()
    async with rig(database, SHOP) as here:
        await here.settle()
        assert deletions(here) == 2
        assert USER.encode() not in await scrubbed(here)


@pytest.mark.parametrize("wrong", [[], ["null"], ["--app", "shop"]])
async def test_forget_refuses_what_it_cannot_mean(database: Path, wrong: list[str]) -> None:
    await heard(database, USER)
    named = [*wrong, USER, "--yes"] if "--app" in wrong else wrong
    code, _ = await asyncio.to_thread(told, *named)
    assert code != 0
    assert USER.encode() in (database / "bridge.db").read_bytes()


# Restraint ------------------------------------------------------------------------------------------


async def test_a_dry_run_asks_onesignal_for_nothing_and_says_so(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, dry_run="yes", **WITH_ADMIN) as here:
        await forget(here)
        await here.settle()
        assert deletions(here) == 0
        assert [end[1:] for end in await here.outcomes()] == [
            ("", "delete_user", "skipped", "dry_run")
        ]
        assert (
            '"onesignal":"dry_run"'
            in rows(here, "SELECT detail FROM audit_trail WHERE what = 'user.erased'")[0][0]
        )


async def test_erasing_twice_ends_once_for_each_request(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP, **WITH_ADMIN) as here:
        await forget(here)
        await here.post(request(here))
        await forget(here)
        await here.settle()
        assert [end[3] for end in await here.outcomes()] == ["delivered"] * 3
        assert len(rows(here, "SELECT 1 FROM audit_trail WHERE what = 'user.erased'")) == 1


async def test_a_payload_is_kept_while_the_backlog_is_older_than_payloads_are(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP, keep_payloads="1h") as here:
        away(here)
        for number in range(20):
            await here.post(identify(f"u{number}", f"m{number}", email=MAIL))
        await here.pass_time(4 * 3600)
        kept = "SELECT count(*) FROM event WHERE payload NOTNULL"
        assert rows(here, kept) == [(20,)]
        await works(here, 6 * 3600)
        assert sum(user.tags == {"mail": MAIL} for user in here.sandbox.users) == 20
        await here.pass_time(3 * 3600)
        assert rows(here, kept) == [(0,)]
