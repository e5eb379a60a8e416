"""Devices in the journal: whose they are, what they are known by, and when they are forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bridge.errors import JournalError
from bridge.journal.devices import MOST, NOBODY, Device, OfAnother
from bridge.journal.records import Acked
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import NOW, change, entry, select

APP = "default"
S1, S2 = "0b7a3c1e-0000-4000-8000-000000000001", "0b7a3c1e-0000-4000-8000-000000000002"


def device(user: int = 7, subscription_id: str | None = S1, **more: Any) -> Device:
    values = {"platform": "android", "subscription_id": subscription_id, "at_ms": NOW} | more
    return Device(APP, user, **values)


async def keep(
    journal: SqliteJournal, one: Device, *, of_another: OfAnother = "move", now_ms: int = NOW
) -> str:
    return await journal.devices.keep(one, of_another=of_another, now_ms=now_ms)


async def of(journal: SqliteJournal, user: int = 7, since_ms: int = 0) -> list[Device]:
    return await journal.devices.of(APP, user, since_ms=since_ms)


async def ids(journal: SqliteJournal, user: int = 7) -> list[str | None]:
    return [one.subscription_id for one in await of(journal, user)]


async def test_a_device_comes_back_as_it_was_given(journal: SqliteJournal) -> None:
    given = device(installation=5, token=6, subscribed=False, details='{"model":"Pixel 8"}')
    assert await keep(journal, given) == "written"
    assert await of(journal) == [given._replace(seen_ms=NOW)]
    assert await of(journal, 8) == []
    assert await journal.devices.of("club", 7, since_ms=0) == []
    assert await journal.devices.count() == 1


async def test_a_user_has_several_devices_the_last_seen_first(journal: SqliteJournal) -> None:
    await keep(journal, device(subscription_id=S1))
    await keep(journal, device(subscription_id=S2, platform="ios"), now_ms=NOW + 1)
    assert [(one.subscription_id, one.platform) for one in await of(journal)] == [
        (S2, "ios"),
        (S1, "android"),
    ]


@pytest.mark.parametrize(
    "again",
    [{"subscription_id": S1}, {"installation": 5}, {"token": 6}, {"installation": 5, "token": 6}],
)
async def test_what_shares_a_name_is_the_same_device(
    journal: SqliteJournal, again: dict[str, Any]
) -> None:
    await keep(journal, device(installation=5, token=6))
    await keep(journal, device(**({"subscription_id": S2} | again)), now_ms=NOW + 9)
    (one,) = await of(journal)
    assert one.subscription_id == again.get("subscription_id", S2)
    # What is not said of it this time it is known by still.
    assert (one.installation, one.token) == (5, 6)
    assert await select(journal, "SELECT first_ms, seen_ms FROM device") == [(NOW, NOW + 9)]


async def test_a_post_without_player_id_takes_it_away_and_an_event_does_not(
    journal: SqliteJournal,
) -> None:
    await keep(journal, device(installation=5, token=6, details='{"os":"iOS"}'))
    await keep(journal, device(subscription_id=None, token=6, seq=4))
    (one,) = await of(journal)
    assert (one.subscription_id, one.details) == (S1, '{"os":"iOS"}')
    await keep(journal, device(subscription_id=None, installation=5))
    assert await ids(journal) == [None]


async def test_a_device_of_another_moves_stays_or_is_shared(journal: SqliteJournal) -> None:
    await keep(journal, device(7, installation=5))
    assert await keep(journal, device(8, installation=5), of_another="refuse") == "of-another"
    assert (await ids(journal, 7), await ids(journal, 8)) == ([S1], [])
    assert await keep(journal, device(8, installation=5), of_another="share") == "written"
    assert (await ids(journal, 7), await ids(journal, 8)) == ([S1], [S1])
    assert await keep(journal, device(8, installation=5), of_another="move") == "written"
    assert (await ids(journal, 7), await ids(journal, 8)) == ([], [S1])


async def test_two_apps_have_their_devices_apart(journal: SqliteJournal) -> None:
    await keep(journal, device(7))
    await keep(journal, device(8)._replace(app="club"))
    assert await ids(journal, 7) == [S1]


async def test_the_holder_of_a_token_is_who_had_it_last(journal: SqliteJournal) -> None:
    assert await journal.devices.holders(APP, token=6, installation=None) == []
    await keep(journal, device(7, None, token=6, at_ms=NOW), of_another="share")
    await keep(journal, device(8, None, token=6, at_ms=NOW + 5), of_another="share")
    await keep(journal, device(9, None, token=6, at_ms=NOW + 5, seq=2), of_another="share")
    held = await journal.devices.holders(APP, token=6, installation=None)
    assert [(one.user_hash, one.seq) for one in held] == [(9, 2), (8, 0), (7, 0)]
    assert await journal.devices.holders(APP, token=None, installation=5) == []


async def test_a_phone_keeps_its_id_when_an_event_brings_it_to_somebody_else(
    journal: SqliteJournal,
) -> None:
    await keep(journal, device(7, S1, token=6))
    await keep(journal, device(8, None, token=6, at_ms=NOW + 1, seq=3))
    assert await ids(journal, 7) == []
    assert await ids(journal, 8) == [S1]
    assert [one.user_hash for one in await journal.devices.called(APP, S1)] == [8]


async def test_a_phone_that_its_user_has_left_is_known_and_nobodys(journal: SqliteJournal) -> None:
    await keep(journal, device(7, S1, token=6))
    await keep(journal, device(NOBODY, None, token=6, subscribed=False, at_ms=NOW + 1, seq=3))
    assert await ids(journal, 7) == []
    (held,) = await journal.devices.holders(APP, token=6, installation=None)
    assert (held.user_hash, held.at_ms) == (NOBODY, NOW + 1)
    for number in range(MOST + 3):
        left = device(NOBODY, None, token=100 + number, subscribed=False, at_ms=NOW + 1, seq=4)
        await keep(journal, left)
    assert await journal.devices.count() == MOST + 4


async def test_a_user_keeps_as_many_devices_as_onesignal_does(journal: SqliteJournal) -> None:
    for number in range(MOST + 3):
        await keep(journal, device(subscription_id=f"s{number}"), now_ms=NOW + number)
    found = await ids(journal)
    assert len(found) == MOST
    assert "s2" not in found
    assert "s3" in found


async def test_a_device_is_forgotten_by_either_name_and_by_its_user_alone(
    journal: SqliteJournal,
) -> None:
    async def forget(user: int | None, subscription_id: str = "", installation: int = 0) -> int:
        return await journal.devices.forget(
            APP, subscription_id=subscription_id, installation=installation, user_hash=user
        )

    for user in (7, 8, 9):
        await keep(journal, device(user, installation=5), of_another="share")
    assert await forget(10, S1) == 0
    assert await forget(7, S2) == 0
    assert await forget(7, S1) == 1
    assert await forget(8, installation=5) == 1
    assert await ids(journal, 9) == [S1]
    assert await forget(None, S1) == 1
    assert await journal.devices.count() == 0


async def test_what_was_not_seen_for_long_is_not_found_and_then_removed(
    journal: SqliteJournal,
) -> None:
    await keep(journal, device(subscription_id=S1), now_ms=NOW)
    await keep(journal, device(subscription_id=S2), now_ms=NOW + 10)
    assert [one.subscription_id for one in await of(journal, since_ms=NOW + 1)] == [S2]
    assert await journal.retention.devices(before_ms=NOW + 1, limit=1) is True
    assert await journal.retention.devices(before_ms=NOW + 1, limit=1) is False
    assert await ids(journal) == [S2]


async def test_an_erasure_takes_the_devices_along_and_lets_none_back(
    journal: SqliteJournal,
) -> None:
    await keep(journal, device(7, at_ms=NOW))
    await keep(journal, device(8, S2))
    erasing = entry("m1", type="delete", erases_ms=NOW + 300, payload=b'{"userId":"u1"}')
    await journal.append([erasing])
    assert await keep(journal, device(7, at_ms=NOW + 300)) == "erased"
    await journal.erasures.sweep(7, limit=100, at_ms=NOW, without=lambda body, _: body)
    assert (await ids(journal, 7), await ids(journal, 8)) == ([], [S2])
    assert await keep(journal, device(7, at_ms=NOW + 301)) == "written"


async def test_the_platforms_of_devices_are_known_by_their_ids(journal: SqliteJournal) -> None:
    await keep(journal, device(7, S1))
    await keep(journal, device(8, S2, platform="ios"))
    assert await journal.devices.platforms(APP, [S1, S2, "unknown"]) == {S1: "android", S2: "ios"}


async def test_an_ack_may_say_whose_a_device_is(journal: SqliteJournal) -> None:
    (kept,) = await journal.append([entry("m1")])
    one = device(7, None, token=6, seq=kept.seq)
    await journal.ack([Acked(kept.seq, [])], device=one, at_ms=NOW)
    assert await of(journal) == [one._replace(seen_ms=NOW)]
    assert (await journal.counts()).pending == 0


async def test_names_are_hashes_that_differ_by_app_and_kind(journal: SqliteJournal) -> None:
    devices = journal.devices
    names = {devices.name(app, "installation", "x") for app in ("a", "b")}
    names |= {devices.name(app, "token", "x") for app in ("a", "b")}
    assert len(names) == 4
    assert all(0 < name < 2**63 for name in names)


@pytest.mark.parametrize(
    "broken",
    [
        "user_hash = -1",
        "platform = ''",
        "subscription_id = NULL",
        "subscribed = 2",
        "details = 'no'",
        "seen_ms = 0",
    ],
)
async def test_the_table_takes_nothing_that_is_no_device(
    journal: SqliteJournal, broken: str
) -> None:
    await keep(journal, device())
    with pytest.raises(JournalError):
        await change(journal, f"UPDATE device SET {broken}")


names = st.none() | st.integers(1, 3)
posts = st.builds(
    device,
    st.integers(1, 3),
    st.none() | st.sampled_from([S1, S2]),
    installation=names,
    token=names,
    seq=st.integers(0, 1),
).filter(lambda one: (one.subscription_id, one.installation, one.token) != (None, None, None))


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None
)
@given(st.lists(posts, max_size=12))
def test_moved_devices_have_one_user_whatever_comes(
    tmp_path_factory: pytest.TempPathFactory, given_posts: list[Device]
) -> None:
    import anyio

    async def run() -> None:
        opened = open_sqlite(tmp_path_factory.mktemp("devices") / "bridge.db")
        for number, one in enumerate(given_posts):
            await keep(opened, one, now_ms=NOW + number)
            newest = (await of(opened, one.user_hash))[0]
            assert newest.seen_ms == NOW + number
        for column in ("subscription_id", "installation", "token"):
            sql = (
                f"SELECT count(*), count(DISTINCT {column}) FROM device WHERE {column} IS NOT NULL"
            )
            ((rows, different),) = await select(opened, sql)
            assert rows == different
        await opened.close()

    anyio.run(run)
