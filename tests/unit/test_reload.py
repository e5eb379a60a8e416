"""Edits while the service runs: when files are looked at, what comes into force, what is refused."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.clock import ManualClock
from bridge.config import Config
from bridge.config.changes import renamed, restart_needed, rule_changes
from bridge.config.load import load_config
from bridge.config.mappings import Mappings, load_mappings
from bridge.config.reload import LOOK_SECONDS, Reload, Reloader
from tests.harness import mapping_of

APP = "8a1b3c4d-0000-4000-8000-000000000001"
CONFIG = f"""
apps: {{shop: {{app_id: {APP}, api_key_file: key}}}}
sources: {{backend: {{secrets_file: secrets, token_file: token, mappings: shop.yaml}}}}
"""
ONE = 'version: 1\nrules: [{name: one, when: "true", do: {update_user: {tags: {a: "1"}}}}]\n'
TWO = ONE.replace('a: "1"', 'a: "2"')
BAD = "version: 1\nrulez: []\n"


@dataclass
class Running:
    """A reloader over a folder, and everything that it has brought into force."""

    folder: Path
    clock: ManualClock
    reloader: Reloader
    swapped: list[tuple[Config, Mappings]] = field(default_factory=list)

    def write(self, name: str, text: str) -> None:
        """As an editor does: a new file in the place of the old one."""
        new = self.folder / f".{name}.new"
        new.write_text(text)
        os.replace(new, self.folder / name)  # noqa: PTH105

    async def look(self, times: int = 1) -> None:
        """Let so many looks happen, to their end."""
        for _ in range(times):
            self.clock.advance(LOOK_SECONDS)
            await self.rest()

    async def rest(self) -> None:
        """Until the reloader sleeps again."""
        turns = 0
        while turns < 3:
            await asyncio.to_thread(lambda: None)
            turns = 0 if self.clock.next_wake is None or self.reloader._now.is_set() else turns + 1

    @property
    def tag(self) -> str:
        """What the mapping in force writes."""
        (rule,) = self.reloader.mappings["backend"].rules
        assert rule.update is not None
        return rule.update.tags[0][1].text


@asynccontextmanager
async def watching(folder: Path) -> AsyncIterator[Running]:
    for name, text in (
        ("bridge.yaml", CONFIG),
        ("key", "key"),
        ("secrets", "s1"),
        ("token", "t1"),
        ("shop.yaml", ONE),
    ):
        (folder / name).write_text(text)

    def read() -> Config:
        return load_config({"BRIDGE_CONFIG": str(folder / "bridge.yaml")})

    clock = ManualClock()
    config = read()
    swapped: list[tuple[Config, Mappings]] = []
    reloader = Reloader(
        clock=clock,
        config=config,
        mappings=load_mappings(config)[0],
        read=read,
        swap=lambda *both: swapped.append(both),
        record=Reload(loaded_ms=clock.now_ms()),
    )
    task = asyncio.get_running_loop().create_task(reloader.watch())
    running = Running(folder, clock, reloader, swapped)
    await running.rest()
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_edit_comes_into_force_once_the_file_has_stood_still(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        here.write("shop.yaml", TWO)
        await here.look()
        assert here.tag == "1"
        with capture_logs() as logs:
            await here.look()
        assert here.tag == "2"
        assert here.reloader.record.version == 2
        assert here.reloader.record.loaded_ms == here.clock.now_ms()
        (told,) = [line for line in logs if line["event"] == "mapping.loaded"]
        assert (told["added"], told["removed"], told["changed"]) == ([], [], ["one"])
        await here.look(5)
        assert len(here.swapped) == 1


async def test_a_file_that_is_being_written_is_left_alone_until_it_is_whole(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        for size in range(10, len(TWO), 7):
            (tmp_path / "shop.yaml").write_text(TWO[:size])
            await here.look()
        (tmp_path / "shop.yaml").write_text(TWO)
        await here.look(2)
        assert here.tag == "2"
        assert here.reloader.record.last_refused is None
        assert len(here.swapped) == 1


async def test_an_edit_with_errors_is_refused_and_the_reason_is_kept_until_it_is_mended(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as here:
        here.write("shop.yaml", BAD)
        with capture_logs() as logs:
            await here.look(10)
        assert (here.tag, here.swapped) == ("1", [])
        refused = here.reloader.record.last_refused
        assert refused is not None
        assert {one.code for one in refused.findings} == {"unknown-field"}
        (told,) = [line for line in logs if line["event"] == "mapping.refused"]
        assert told["place"] == f"{tmp_path / 'shop.yaml'}:2:1"
        assert told["message"] == refused.findings[0].message
        assert told["hint"] == refused.findings[0].hint

        here.write("shop.yaml", ONE)
        await here.look(2)
        assert here.reloader.record.last_refused is None
        assert (here.reloader.record.version, here.swapped) == (1, [])


@pytest.mark.parametrize("name", ["shop.yaml", "bridge.yaml", "secrets"])
async def test_a_file_that_is_taken_away_changes_nothing_but_is_told(
    tmp_path: Path, name: str
) -> None:
    async with watching(tmp_path) as here:
        kept = (tmp_path / name).read_text()
        (tmp_path / name).unlink()
        await here.look(2)
        assert (here.tag, here.swapped) == ("1", [])
        assert here.reloader.record.last_refused is not None
        here.write(name, kept)
        await here.look(2)
        assert here.reloader.record.last_refused is None


async def test_a_file_that_only_got_a_new_time_is_not_a_new_version(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        here.write("shop.yaml", ONE)
        await here.look(3)
        assert (here.swapped, here.reloader.record.version) == ([], 1)


async def test_being_asked_reads_at_once(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        here.write("shop.yaml", TWO)
        here.reloader.ask()
        await here.rest()
        assert here.tag == "2"


async def test_secrets_and_tokens_come_into_force_without_a_mapping(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        here.write("secrets", "s2\ns1\n")
        here.write("token", "t2")
        await here.look(2)
        ((config, _),) = here.swapped
        source = config.sources["backend"]
        assert [one.get_secret_value() for one in source.secrets] == ["s2", "s1"]
        assert source.token is not None
        assert source.token.get_secret_value() == "t2"


async def test_a_mapping_that_becomes_a_folder_is_watched_with_what_is_in_it(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as here:
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "a.yaml").write_text(ONE)
        here.write("bridge.yaml", CONFIG.replace("shop.yaml", "rules"))
        await here.look(2)
        (tmp_path / "rules" / "b.yaml").write_text(TWO.replace("name: one", "name: two"))
        await here.look(2)
        rules = here.reloader.mappings["backend"].rules
        assert [rule.name for rule in rules] == ["one", "two"]


async def test_what_an_edit_names_is_not_read_a_second_time_for_being_new(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "a.yaml").write_text(TWO)
        here.write("bridge.yaml", CONFIG.replace("shop.yaml", "rules"))
        with capture_logs() as logs:
            await here.look(6)
        told = [line["event"] for line in logs if line["event"].startswith("mapping.")]
        assert told == ["mapping.loaded"]


async def test_a_file_in_anothers_place_is_another_whatever_its_time_and_size(
    tmp_path: Path,
) -> None:
    async with watching(tmp_path) as here:
        before = (tmp_path / "shop.yaml").stat()
        new = tmp_path / "new"
        new.write_text(TWO)
        os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (new.stat().st_size, new.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        os.replace(new, tmp_path / "shop.yaml")  # noqa: PTH105
        await here.look(3)
        assert here.tag == "2"


async def test_what_takes_a_restart_is_told_and_the_rest_comes_into_force(tmp_path: Path) -> None:
    async with watching(tmp_path) as here:
        more = CONFIG.replace("sources: {", "sources: {web: {secrets: w}, ")
        here.write("bridge.yaml", more.replace("app_id:", "plan: growth, app_id:"))
        here.write("shop.yaml", TWO)
        with capture_logs() as logs:
            await here.look(4)
        assert here.tag == "2"
        assert here.reloader.record.restart == ("app shop", "source web")
        assert list(here.reloader.config.sources) == ["backend"]
        assert here.reloader.config.apps["shop"].plan is None
        assert [one["what"] for one in logs if one["event"] == "config.restart_needed"] == [
            ["app shop", "source web"]
        ]


def test_nothing_takes_a_restart_when_nothing_changed(tmp_path: Path) -> None:
    (tmp_path / "bridge.yaml").write_text(f"apps: {{a: {{app_id: {APP}, api_key: k}}}}")
    environment = {
        "BRIDGE_CONFIG": str(tmp_path / "bridge.yaml"),
        "BRIDGE_SEGMENT_SECRETS": "s",
    }
    assert restart_needed(load_config(environment), load_config(environment)) == ()


# What an edit changed

PUSH = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: hello, when: event = "Hello", do: {send_notification: {contents: Hi}}}
  - {name: tags, when: event = "Tags", do: {update_user: {tags: {a: "1"}}}}
"""


@pytest.mark.parametrize(
    ("old", "new", "warned"),
    [
        ("name: hello", "name: hi", True),
        ('name: hello, when: event = "Hello"', 'name: hi, when: event = "Hi"', True),
        ("name: hello, when: event = \"Hello\", do: {send_notification: {contents: Hi}}",
         "name: hi, when: event = \"Hello\", do: {send_notification: {contents: Ho}}", True),
        ("name: hello, when: event = \"Hello\", do: {send_notification: {contents: Hi}}",
         "name: hi, when: event = \"Hi\", do: {send_notification: {contents: Ho}}", False),
        ("name: tags", "name: labels", False),
        ("contents: Hi", "contents: Ho", False),
    ],
)  # fmt: skip
def test_a_rule_that_goes_on_under_another_name_is_warned_about(
    old: str, new: str, *, warned: bool
) -> None:
    before, after = {"s": mapping_of(PUSH)}, {"s": mapping_of(PUSH.replace(old, new))}
    assert [one.code for one in renamed(before, after)] == ["rule-renamed"] * warned


def test_what_was_added_removed_and_changed_is_named() -> None:
    before, after = mapping_of(PUSH), mapping_of(PUSH.replace("name: tags", "name: labels"))
    changes = rule_changes({"s": before}, {"s": after})
    assert (changes.added, changes.removed, changes.changed) == (("labels",), ("tags",), ())
    changes = rule_changes({"s": before}, {"s": mapping_of(PUSH.replace("Hi}", "Ho}"))})
    assert (changes.added, changes.removed, changes.changed) == ((), (), ("hello",))
