"""The real commands as processes, for tests."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bridge
from tests.harness import eventually


class Running(Protocol):
    """What tests ask of a process."""

    @property
    def pid(self) -> int: ...
    @property
    def returncode(self) -> int | None: ...
    def send_signal(self, signal: int) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...


@dataclass
class Command:
    """A command of ours, running; `text` is all that it has written."""

    process: Running
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    async def says(self, pattern: re.Pattern[str]) -> str:
        async def look() -> str | None:
            found = pattern.search(self.text)
            assert found or self.process.returncode is None, self.text
            return found[1] if found else None

        return await eventually(look, within=20)

    async def ends(self, *, within: float) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()


_numbers = itertools.count()


def output_in(folder: Path) -> Path:
    """A new file for what a command writes."""
    return folder / f"output-{next(_numbers)}"


def surrounding(environment: dict[str, str]) -> dict[str, str]:
    """This environment in that of the tests, of which no setting of ours is left."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}
    return kept | {"PYTHONPATH": str(Path(bridge.__file__).parents[1])} | environment


@asynccontextmanager
async def command(folder: Path, *arguments: str, **environment: str) -> AsyncIterator[Command]:
    """`python -m bridge` with these arguments, in this folder; killed at the end of the block."""
    async with script(folder, ["-m", "bridge", *arguments], environment) as running:
        yield running


@asynccontextmanager
async def script(
    folder: Path, arguments: Sequence[str], environment: dict[str, str]
) -> AsyncIterator[Command]:
    """`python` with these arguments, in this folder; killed at the end of the block."""
    output = output_in(folder)
    with output.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments,
            cwd=folder, stdout=written, stderr=written,
            env=surrounding(environment),
        )  # fmt: skip
    try:
        yield Command(process, output)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
