"""The commands for what waits for a person, while the service runs: they ask it, and it does what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from bridge.cli import app
from bridge.cli.service import ServiceError
from tests.e2e.test_explain_command import serving
from tests.e2e.test_piles import (
    SHOP,
    TOKEN,
    WITH_ADMIN,
    phones,
    shipped,
    texts,
    with_dead,
    with_held,
)
from tests.harness import Rig, iso, rig, track


@dataclass
class Shell:
    """Where somebody types commands."""

    here: Rig
    environment: dict[str, str]

    async def run(self, line: str, said: str | None = None) -> str:
        """What a command prints that goes well; `said` is what it is answered when it asks."""
        arguments = [*line.split()]
        done = await asyncio.to_thread(
            CliRunner().invoke, app, arguments, env=self.environment, input=said
        )
        assert done.exit_code == 0, (line, done.output, done.exception)
        return done.output


@asynccontextmanager
async def shell(folder: Path, mapping: str = SHOP) -> AsyncIterator[Shell]:
    async with rig(folder, mapping, **WITH_ADMIN) as here, serving(here) as port:
        # Its database is another: what is done is done by the service.
        database = f"sqlite:///{folder}/no-such.db"
        yield Shell(
            here,
            {
                "BRIDGE_PORT": str(port),
                "BRIDGE_ADMIN_TOKEN": TOKEN,
                "BRIDGE_DATABASE_URL": database,
            },
        )


async def test_dead_letters_are_listed_shown_replayed_and_discarded(tmp_path: Path) -> None:
    async with shell(tmp_path) as at:
        await with_dead(at.here, 4)
        assert (await at.run("dead list --user u1")).endswith(
            "1 dead. segment-bridge dead show ID shows one.\n"
        )
        letter = orjson.loads((await at.run("dead list --user u1 --json")).splitlines()[0])
        shown = orjson.loads(await at.run(f"dead show {letter['id']}"))
        assert shown["payload"]["userId"] == "u1"
        assert shown["request"]["contents"] == {"en": "u1 is on its way"}
        assert (shown["http"], shown["answer"]) == (400, "")
        asked = await at.run("dead replay --reason http_400", said="n\n")
        assert asked.startswith("4 chosen, among them:\n")
        assert len(asked.splitlines()) == 1 + 3 + 1
        assert (await at.run("dead discard --user u0 --yes")).endswith("1 discarded.\n")
        assert (await at.run("dead replay --all", said="y\n")).endswith("3 replayed.\n")
        await at.here.settle()
        assert len(at.here.sandbox.pushes) == 3


async def test_held_pushes_are_listed_shown_released_at_a_rate_kept_and_discarded(
    tmp_path: Path,
) -> None:
    async with shell(tmp_path) as at:
        await with_held(at.here, 5)
        listed = await at.run("held list --rule welcome")
        assert listed.splitlines()[-1].startswith("5 held.")
        key = listed.splitlines()[1].split()[-1]
        shown = orjson.loads(await at.run(f"held show {key}"))
        assert shown["request"]["body"]["contents"] == {"en": "Hello"}
        line = "held release --rule welcome --rate 60/m --yes"
        assert (await at.run(line)).endswith("5 are released, 60 a minute.\n")
        listed = await at.run("held list")
        assert "releasing welcome (limit, default)" in listed
        held, _, leaving = listed.splitlines()[-1].partition(" held, ")
        assert int(leaving.partition(" of them on their way.")[0]) == int(held)
        assert "releasing" not in await at.run("held list --rule shipped")
        assert (await at.run("held hold --all")).startswith("1 release stopped:")
        assert await at.run("held hold --all") == "Nothing was leaving little by little.\n"
        left = int((await at.run("held list")).splitlines()[-1].split()[0])
        assert (await at.run(f"held discard {key} --yes")).endswith(" discarded.\n")
        released = await at.run("held release --rule welcome --yes")
        await at.here.settle()
        assert f"{left - 1} released.\n" in released
        assert len(at.here.sandbox.pushes) == 5


@pytest.mark.parametrize("rate", ["", " --rate 600/m"])
async def test_what_comes_to_be_held_while_somebody_thinks_about_it_is_asked_about_then(
    tmp_path: Path, rate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    asked: list[str] = []
    async with shell(tmp_path) as at:
        await with_held(at.here, 3)
        phones(at.here, ["late"])

        async def come() -> None:
            await at.here.post(track("Signed Up", "late"))
            await at.here.still()

        def confirm(question: str) -> bool:
            if not asked:
                at.here.clock.advance(1)
                asyncio.run_coroutine_threadsafe(come(), loop).result()
            asked.append(question)
            return True

        monkeypatch.setattr(typer, "confirm", confirm)
        said = await at.run(f"held release --rule welcome{rate}")
        await at.here.pass_time(60)
        if rate:
            assert asked == ["Release 3?"]
            assert (await at.here.bridge.journal.counts()).held == 1
            return
        assert asked == ["Release 3?", "1 more came to be held. Release them, too?"]
        assert "\n3 released.\n" in said
        assert said.endswith("1 more released, which came to be held meanwhile.\n")
        assert (await at.here.bridge.journal.counts()).held == 0
        assert texts(at.here) == ["Hello"] * 5
        # Nothing of it is held any more, so the rule counts anew.
        phones(at.here, ["next"])
        await at.here.post(track("Signed Up", "next"))
        await at.here.settle()
        assert len(texts(at.here)) == 6


async def test_who_lets_go_the_last_of_a_rule_that_no_mapping_has_is_told_that_they_went(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, SHOP) as here:
        await with_held(here, 2)
    async with shell(tmp_path, SHOP.replace("name: welcome", "name: hello")) as at:
        assert (await at.run("held release --rule welcome --yes")).endswith("\n2 released.\n")
        said = await _refused("held release --rule welcome --yes", at.environment)
        assert said.startswith("There is no rule welcome: no mapping in force has it")


async def test_what_was_too_old_and_the_brake(tmp_path: Path) -> None:
    async with shell(tmp_path) as at:
        here = at.here
        phones(here, ["u1"])
        then = iso(here.clock.now_ms() - 3_600_000)
        await here.post(track("Flash Sale", "u1", timestamp=then))
        await here.settle()
        line = "replay --reason too_old --rule flash --yes"
        assert (await at.run(line)).endswith("1 replayed.\n")
        await here.settle()
        assert texts(here) == ["Now!"]
        assert "Pushes are held until: segment-bridge resume rule shipped" in await at.run(
            "pause rule shipped"
        )
        await here.post(shipped("u1"))
        await here.settle()
        assert texts(here) == ["Now!"]
        assert "1 released." in await at.run("resume rule shipped")
        await here.settle()
        assert texts(here) == ["A7 is on its way", "Now!"]


async def test_forgetting_a_file_of_users(tmp_path: Path) -> None:
    async with shell(tmp_path) as at:
        phones(at.here, ["u1", "u2", "u3"])
        await at.here.post([shipped(user) for user in ("u1", "u2", "u3")])
        await at.here.settle()
        (tmp_path / "requests.txt").write_text("u1\nu2\n")
        said = await at.run(f"forget --file {tmp_path}/requests.txt", said="y\n")
        assert "Erase 2 users in every app, at OneSignal and here?" in said
        assert said.endswith(
            "2 users: on its way. `user.erased` in the log says when it is done.\n"
        )
        await at.here.settle()
        left: list[Any] = [user.external_id for user in at.here.sandbox.users]
        assert left == ["u3"]


async def test_a_wrong_token_changes_nothing(tmp_path: Path) -> None:
    async with shell(tmp_path) as at:
        await with_dead(at.here, 1)
        at.environment["BRIDGE_ADMIN_TOKEN"] = "wrong"
        done = await asyncio.to_thread(
            CliRunner().invoke, app, ["dead", "discard", "--all", "--yes"], env=at.environment
        )
        assert done.exit_code == 1
        assert (await at.here.bridge.journal.counts()).dead == 1


async def test_a_command_without_a_token_says_that_it_lacks_one_and_not_that_nothing_runs(
    tmp_path: Path,
) -> None:
    async with shell(tmp_path) as at:
        for line in ("status", "held list", "pause pushes"):
            said = await _refused(line, at.environment | {"BRIDGE_ADMIN_TOKEN": ""})
            assert "a bridge answers at http://127.0.0.1:" in said
            assert "BRIDGE_ADMIN_TOKEN is not set" in said


async def test_a_command_at_another_port_says_that_the_database_is_in_use(tmp_path: Path) -> None:
    async with shell(tmp_path) as at:
        database = f"sqlite:///{tmp_path}/bridge.db"
        elsewhere = {"BRIDGE_PORT": "1", "BRIDGE_DATABASE_URL": database}
        said = await _refused("held list", at.environment | elsewhere)
        assert said == (
            "no bridge answers at http://127.0.0.1:1, and one is using the database"
            f" {tmp_path}/bridge.db"
        )


async def _refused(line: str, environment: dict[str, str]) -> str:
    """What a command says that could not do it."""
    done = await asyncio.to_thread(CliRunner().invoke, app, line.split(), env=environment)
    assert isinstance(done.exception, ServiceError), (line, done.output, done.exception)
    return done.exception.message
