"""Mappings and secrets again while the service runs: all of an edit that is right, or nothing of it.

Files are looked at every second, and read when they have stood still for one look, so that half a
file is not taken for a whole one; a SIGHUP reads them at once. What they say is read and compiled
in a thread and comes into force in one step on the loop. An edit with errors is refused: the old
one stays, and the reason is logged and kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bridge.clock import Clock
from bridge.config import Config
from bridge.config.changes import RuleChanges, live, renamed, restart_needed, rule_changes
from bridge.config.mappings import Mappings, load_mappings
from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import starter
from bridge.telemetry import log

LOOK_SECONDS = 1.0

Stamps = tuple[tuple[str, int, int, int], ...]
"""Path, time of the last change, size and inode of every file; of a folder also those in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An edit that is not in force, and why."""

    at_ms: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What the files say now, compiled, beside what is in force."""

    config: Config
    mappings: Mappings
    is_new: bool
    changes: RuleChanges
    warnings: tuple[Finding, ...]
    restart: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class Reload:
    """What is in force, since when, and the edit that is not."""

    loaded_ms: int
    #: Counts what came into force since the start, the first included.
    version: int = 1
    last_refused: Refused | None = None
    #: Warnings about what is in force.
    warnings: tuple[Finding, ...] = ()
    #: What was edited and waits for a restart.
    restart: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Reloader:
    """Keeps a running bridge to what its files say."""

    clock: Clock
    config: Config
    mappings: Mappings
    #: Reads the environment and the file again.
    read: Callable[[], Config]
    #: Brings into force.
    swap: Callable[[Config, Mappings], None]
    record: Reload
    _seen: Stamps = ()
    _now: asyncio.Event = field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """Read again now, whether or not anything seems to have changed."""
        self._now.set()

    async def watch(self) -> None:
        """Look until cancelled."""
        self._seen = last = await self._look()
        while True:
            asked = await self._wait()
            stamps = await self._look()
            if asked or (stamps != self._seen and stamps == last):
                self._seen = stamps
                await self.reload()
                # What is read may name other files now.
                self._seen = stamps = await self._unless_changed(stamps)
            last = stamps

    async def _unless_changed(self, stamps: Stamps) -> Stamps:
        """The stamps to compare with from now on; a file that changed meanwhile is read again."""
        now = await self._look()
        before = {path: rest for path, *rest in stamps}
        return stamps if any(before.get(path, rest) != rest for path, *rest in now) else now

    async def _wait(self) -> bool:
        """Until the next look; whether it was asked for."""
        waits = [
            asyncio.ensure_future(self.clock.sleep(LOOK_SECONDS)),
            asyncio.ensure_future(self._now.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        asked = self._now.is_set()
        self._now.clear()
        return asked

    async def _look(self) -> Stamps:
        return await asyncio.to_thread(stamps_of, _files(self.config))

    async def reload(self) -> None:
        """Read everything, and bring it into force if all of it is right."""
        try:
            edit = await asyncio.to_thread(self._read)
        except ConfigurationError as error:
            self._refuse(error.findings)
        except Exception as error:  # noqa: BLE001 — whatever an edit does to us, what is in force stays
            log().error("mapping.reload_troubled", error=type(error).__name__, exc_info=error)
            self._refuse((Finding(code="internal-error", message=type(error).__name__),))
        else:
            self._accept(edit)

    def _read(self) -> Edit:
        """Everything that takes time, off the loop."""
        new = self.read()
        config = live(self.config, new)
        mappings, findings = load_mappings(config)
        return Edit(
            config=config,
            mappings=mappings,
            is_new=config != self.config or revisions(mappings) != revisions(self.mappings),
            changes=rule_changes(self.mappings, mappings),
            warnings=(*renamed(self.mappings, mappings), *findings),
            restart=restart_needed(self.config, new),
        )

    def _refuse(self, findings: tuple[Finding, ...]) -> None:
        self.record.last_refused = Refused(at_ms=self.clock.now_ms(), findings=findings)
        for one in findings:
            if one.is_error:
                log().error(
                    "mapping.refused",
                    code=one.code,
                    message=one.message,
                    hint=one.hint,
                    place=place_of(one),
                )

    def _accept(self, edit: Edit) -> None:
        record = self.record
        record.last_refused = None
        if edit.restart and edit.restart != record.restart:
            log().warning("config.restart_needed", what=list(edit.restart))
        record.restart = edit.restart
        if not edit.is_new:
            log().info("mapping.unchanged", version=record.version)
            return
        self.config, self.mappings = edit.config, edit.mappings
        self.swap(edit.config, edit.mappings)
        record.version += 1
        record.loaded_ms = self.clock.now_ms()
        record.warnings = edit.warnings
        log().info(
            "mapping.loaded",
            version=record.version,
            revision=revisions(edit.mappings),
            added=list(edit.changes.added),
            removed=list(edit.changes.removed),
            changed=list(edit.changes.changed),
        )
        for one in edit.warnings:
            log().warning(one.code, message=one.message, hint=one.hint, place=place_of(one))


def revisions(mappings: Mappings) -> dict[str, str]:
    """By source; only what is said counts, not when a file was written."""
    return {source: one.revision for source, one in mappings.items()}


def place_of(finding: Finding) -> str | None:
    """`file:line:column`, as far as it is known."""
    parts = (finding.file, finding.line, finding.column)
    return ":".join(str(part) for part in parts if part is not None) or None


def _files(config: Config) -> list[Path]:
    mappings = (source.mappings or starter() for source in config.sources.values())
    return list(dict.fromkeys((*config.files, *mappings)))


def stamps_of(paths: list[Path]) -> Stamps:
    """What tells that a file was written, replaced, made or taken away."""
    return tuple(stamp for path in paths for stamp in _stamps(path))


def _stamps(path: Path) -> Iterator[tuple[str, int, int, int]]:
    yield _stamp(path)
    try:
        inside = sorted(path.iterdir())
    except OSError:  # a file, or nothing
        return
    yield from (_stamp(one) for one in inside if one.suffix in {".yaml", ".yml"})


def _stamp(path: Path) -> tuple[str, int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), 0, -1, 0
    return str(path), found.st_mtime_ns, found.st_size, found.st_ino
