"""A disk that can be told to fail, and that can be asked what would be left if the power went now.

`disk.c` stands between a process and its files. It can write down every write and sync, in their order;
`Replay` goes through that and keeps two versions of every file: what was written, and what is certainly
on disk, which is what was written before the last sync of it, under the names that were there at the
last sync of the folder.
"""

from __future__ import annotations

import mmap
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).with_name("disk.c")
DATA_FULL, LOG_FULL, TEMPORARY_FULL, SYNC_FAILS, END_AT_DATA_WRITE = range(5)
ENDED_AT_DATA_WRITE = 87
_HEAD = struct.Struct("<IIQQ")
_SECTOR = 512


def built(folder: Path) -> Path:
    """The library for LD_PRELOAD, built in this folder; without a compiler the test is left out."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to build the disk that fails with")
    library = folder / "disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True)
    return library


class Switches:
    """Faults that can be switched while a process runs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            self._bytes = mmap.mmap(file.fileno(), 4096)

    def __setitem__(self, switch: int, value: int) -> None:
        self._bytes[switch] = value

    def close(self) -> None:
        self._bytes.close()


@dataclass(slots=True, kw_only=True)
class Disk:
    """What a process's environment says of its disk; `folder` is where its database is."""

    folder: Path
    library: Path
    #: Beside the folder, where nothing of it is recorded.
    beside: Path

    @property
    def record(self) -> Path:
        return self.beside / "record"

    def recording(self) -> dict[str, str]:
        return self._environment(DISK_RECORD=str(self.record))

    def failing(self, switches: Switches) -> dict[str, str]:
        return self._environment(DISK_SWITCHES=str(switches.path))

    def _environment(self, **more: str) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "DISK_FOLDER": str(self.folder)} | more

    def operations(self) -> list[Operation]:
        return list(_operations(self.record.read_bytes()))


class What(IntEnum):
    WRITE = 1
    SYNC = 2
    TRUNCATE = 3
    CREATE = 4
    RENAME = 5
    UNLINK = 6
    FOLDER_SYNC = 7


class Operation(NamedTuple):
    what: What
    name: str
    offset: int
    data: bytes

    @property
    def is_sync(self) -> bool:
        return self.what in {What.SYNC, What.FOLDER_SYNC}


def _operations(record: bytes) -> Iterator[Operation]:
    position = 0
    while position + _HEAD.size <= len(record):
        what, name_length, offset, length = _HEAD.unpack_from(record, position)
        position += _HEAD.size
        name = record[position : position + name_length].decode()
        position += name_length
        yield Operation(What(what), name, offset, record[position : position + length])
        position += length


@dataclass(slots=True)
class _File:
    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    #: What was done to it since.
    since: list[Operation] = field(default_factory=list)

    def do(self, operation: Operation) -> None:
        _apply(self.now, operation)
        self.since.append(operation)

    def sync(self) -> None:
        self.synced = bytes(self.now)
        self.since.clear()

    def torn(self, dice: random.Random) -> bytes:
        """Some of what was not synced has reached the disk, and the last of it in part."""
        content = bytearray(self.synced)
        some = [one for one in self.since if dice.random() < 0.5]
        if some and some[-1].what == What.WRITE:
            sectors = dice.randint(0, len(some[-1].data) // _SECTOR)
            some[-1] = some[-1]._replace(data=some[-1].data[: sectors * _SECTOR])
        for operation in some:
            _apply(content, operation)
        return bytes(content)


def _apply(content: bytearray, operation: Operation) -> None:
    if operation.what == What.TRUNCATE:
        content.extend(bytes(max(0, operation.offset - len(content))))
        del content[operation.offset :]
        return
    content.extend(bytes(max(0, operation.offset - len(content))))
    content[operation.offset : operation.offset + len(operation.data)] = operation.data


class Replay:
    """The folder as it was after each operation, and as it would have come back from a power cut."""

    def __init__(self) -> None:
        self.names: dict[str, _File] = {}
        self._synced_names: dict[str, _File] = {}

    def do(self, operation: Operation) -> None:
        names, name = self.names, operation.name
        match operation.what:
            case What.WRITE | What.TRUNCATE:
                names[name].do(operation)
            case What.SYNC:
                names[name].sync()
            case What.CREATE:
                names[name] = _File()
            case What.RENAME:
                names[operation.data.decode()] = names.pop(name)
            case What.UNLINK:
                names.pop(name, None)
            case What.FOLDER_SYNC:
                self._synced_names = dict(names)

    def plain(self) -> dict[str, bytes]:
        """As a copy of the files would be, taken now."""
        return {name: bytes(file.now) for name, file in self.names.items()}

    def dropped(self) -> dict[str, bytes]:
        """Nothing but what was synced."""
        return {name: file.synced for name, file in self._synced_names.items()}

    def torn(self, dice: random.Random) -> dict[str, bytes]:
        """What was synced, and some of the rest."""
        return {name: file.torn(dice) for name, file in self._synced_names.items()}


def put(files: dict[str, bytes], folder: Path) -> Path:
    """These files in an empty folder; where the database is."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "bridge.db"
