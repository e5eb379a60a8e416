"""The files of the database are damaged, replaced, or cannot be written: nothing is begun on them.

What can be read of them is saved by `segment-bridge salvage`, and the bridge goes on with that.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.sight import rows, waiting
from tests.faults.small_disk import Small
from tests.faults.story import order, ping, profile
from tests.faults.worlds import Inside, Outside
from tests.processes import command

pytestmark = pytest.mark.slow

PAGE = 4096
USERS = 40


async def worked(inside: Inside) -> Path:
    """A database with pushes that are delivered, tags that are written, and work that waits; its path."""
    inside.people(USERS)
    async with inside.bridge() as here:
        await inside.post([order(number, f"o{number}") for number in range(USERS)])
        await here.settle()
        here.means.destination.writes.hold(3600)
        here.means.destination.sends.hold(3600)
        await inside.post([profile(number, f"p{number}") for number in range(USERS)])
        await inside.post([ping(number, f"m{number}") for number in range(USERS)])
        await here.still()
    assert waiting(inside.database) >= USERS
    return inside.database


def settings(database: Path) -> dict[str, str]:
    return {
        "BRIDGE_DATABASE_URL": f"sqlite:///{database}",
        "BRIDGE_SEGMENT_UNSIGNED": "allow",
        "BRIDGE_ONESIGNAL_APP_ID": "8a1b3c4d-0000-4000-8000-000000000001",
        "BRIDGE_ONESIGNAL_API_KEY": "key",
        "BRIDGE_ONESIGNAL_URL": "http://127.0.0.1:9",
    }


def content(path: Path) -> bytes:
    return path.read_bytes()


async def refused(database: Path) -> str:
    """What a `serve` says that does not start, and leaves everything as it is."""
    before = content(database)
    folder = database.parent
    async with command(folder.parent, "serve", "--port", "0", **settings(database)) as running:
        assert await running.ends(within=10) == 1, running.text
        assert "Traceback" not in running.text
        assert str(database) in running.text
        assert "hint" in running.text
        assert content(database) == before
        return running.text


async def salvaged(database: Path) -> str:
    """Salvage it and put the new one in its place, as the command says; its words."""
    async with command(database.parent, "salvage", **settings(database)) as running:
        assert await running.ends(within=20) == 0, running.text
        text = running.text
    database.with_name("bridge.db.lock").unlink(missing_ok=True)
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.with_name("bridge.db.salvaged").replace(database)
    return text


def overwrite(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek(page * PAGE)
        file.write(b"\xa5" * PAGE)


def page_with(path: Path, text: bytes) -> int:
    """The page on which this stands."""
    found = path.read_bytes().index(text)
    return found // PAGE


# Damage ----------------------------------------------------------------------------------------


async def test_a_page_in_the_middle_is_overwritten(inside: Inside) -> None:
    """Only what stood on it is lost; what was done is not done again, and the rest is done."""
    inside.told.expect_nothing("the command that refuses is looked at here")
    database = await worked(inside)
    overwrite(database, page_with(database, b'"messageId":"p20"'))
    text = await refused(database)
    assert "segment-bridge salvage" in text
    assert "event" in (said := await salvaged(database))
    assert "not all could be read" in said
    left = {message_id for (message_id,) in rows(database, "SELECT message_id FROM event")}
    lost = {key for key in inside.sent.acknowledged if key[1] not in left}
    assert 1 <= len(lost) <= PAGE // 100
    for key in lost:
        del inside.sent.acknowledged[key]
    async with inside.bridge() as here:
        await here.settle()


async def test_the_header_is_overwritten(inside: Inside) -> None:
    """Nothing is lost by it: a new journal begins with the same page."""
    inside.told.expect_nothing("the command that refuses is looked at here")
    database = await worked(inside)
    overwrite(database, 0)
    assert "segment-bridge salvage" in await refused(database)
    await salvaged(database)
    async with inside.bridge() as here:
        await here.settle()
        again = await inside.post([ping(number, f"m{number}") for number in range(USERS)])
        assert again["duplicates"] == USERS


@pytest.mark.parametrize("other", [b"", b"These are not the bytes of a database. " * 300], ids=len)
async def test_a_file_that_is_none_is_neither_used_nor_replaced(
    inside: Inside, other: bytes
) -> None:
    inside.told.expect_nothing("the command that refuses is looked at here")
    database = await worked(inside)
    whole = content(database)
    database.write_bytes(other)
    await refused(database)
    database.write_bytes(whole)


def tear(log: Path) -> None:
    """A frame that a commit never ended, and a part of the next one."""
    frame = content(log)[32 : 32 + 24 + PAGE]
    with log.open("ab") as file:
        file.write(frame + b"\xa5" * 1000)


async def test_the_log_ends_in_the_middle_of_something_and_its_index_is_gone(
    outside: Outside,
) -> None:
    """As after a power cut: what was not synced is there in part, and what was is whole."""
    outside.told.expect_line("bridge.cautious")
    outside.told.expect_metric("bridge_calls_total")
    await outside.people(10)
    async with outside.serving() as serving:
        await serving.sender.must([order(number, f"o{number}") for number in range(10)])
        serving.kill()
        await serving.command.ends(within=5)
    tear(outside.database.with_name("bridge.db-wal"))
    outside.database.with_name("bridge.db-shm").unlink()
    async with outside.resumed():
        await outside.settled()


def back_up(database: Path, to: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)


async def test_an_older_copy_is_refused_until_somebody_says_that_it_is_meant(
    inside: Inside,
) -> None:
    inside.told.expect_nothing("the command that refuses is looked at here")
    inside.people(USERS)
    async with inside.bridge() as here:
        await inside.post([order(number, f"o{number}") for number in range(5)])
        await here.settle()
        older = inside.folder / "older"
        back_up(inside.database, older)
        await inside.post([profile(number, f"p{number}") for number in range(5)])
        await here.settle()
    newer = inside.folder / "newer"
    inside.database.replace(newer)
    shutil.copyfile(older, inside.database)
    text = await refused(inside.database)
    assert "older copy" in text
    newer.replace(inside.database)
    async with inside.bridge() as here:
        await inside.post(ping(1, "m1"))
        await here.settle()


async def test_a_disk_that_cannot_be_written_is_said_to_be(small: Small, inside: Inside) -> None:
    inside.told.expect_nothing("the command that refuses is looked at here")
    inside.disk = small.folder
    database = await worked(inside)
    small.become("ro")
    await refused(database)
    small.become("rw")
    async with inside.bridge() as here:
        await here.settle()
