"""The pages of a SQLite file, read without its trees: rows whose tree is damaged, but not themselves.

Only leaves of rowid tables are read (https://www.sqlite.org/fileformat2.html): they hold the rows, and say
how many columns each has. What was removed is not found, because the journal overwrites it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

PAGE = 4096
_LEAF = 13
_FILE_HEADER = 100
_MOST_LOCAL = PAGE - 35
_LEAST_LOCAL = (PAGE - 12) * 32 // 255 - 23
_INTEGERS = (0, 1, 2, 3, 4, 6, 8)
"""Bytes of an integer, by its serial type."""

Content = bytes | mmap
Value = int | float | str | bytes | None


class Cell(NamedTuple):
    rowid: int
    values: tuple[Value, ...]


def cells(content: Content) -> Iterator[Cell]:
    """Every row that stands on a leaf; what makes no sense is passed over."""
    for start in range(0, len(content) - PAGE + 1, PAGE):
        head = start + (_FILE_HEADER if start == 0 else 0)
        if content[head] != _LEAF:
            continue
        (count,) = struct.unpack_from(">H", content, head + 3)
        for number in range(min(count, PAGE // 4)):
            try:
                (offset,) = struct.unpack_from(">H", content, head + 8 + 2 * number)
                yield _cell(content, start, offset)
            except (ValueError, IndexError, struct.error):
                continue


def _cell(content: Content, start: int, offset: int) -> Cell:
    at = start + offset
    length, at = _varint(content, at)
    rowid, at = _varint(content, at)
    if not 0 < length <= len(content):
        raise ValueError("no length")
    local = _local(length)
    record = content[at : at + min(local, start + PAGE - at)]
    if len(record) != local:
        raise ValueError("it leaves its page")
    if local < length:
        (following,) = struct.unpack_from(">I", content, at + local)
        record += _overflow(content, following, length - local)
    return Cell(rowid, tuple(_values(record)))


def _local(length: int) -> int:
    """How much of a record is on its leaf."""
    if length <= _MOST_LOCAL:
        return length
    some = _LEAST_LOCAL + (length - _LEAST_LOCAL) % (PAGE - 4)
    return some if some <= _MOST_LOCAL else _LEAST_LOCAL


def _overflow(content: Content, page: int, left: int) -> bytes:
    parts = []
    while left > 0:
        start = (page - 1) * PAGE
        if page < 1 or start + PAGE > len(content):
            raise ValueError("no such page")
        (page,) = struct.unpack_from(">I", content, start)
        parts.append(content[start + 4 : start + 4 + min(left, PAGE - 4)])
        left -= len(parts[-1])
    return b"".join(parts)


def _values(record: bytes) -> Iterator[Value]:
    size, at = _varint(record, 0)
    if not 0 < size <= len(record):
        raise ValueError("no header")
    body = size
    while at < size:
        kind, at = _varint(record, at)
        width = _width(kind)
        if body + width > len(record):
            raise ValueError("it leaves its record")
        yield _value(kind, record[body : body + width])
        body += width


def _width(kind: int) -> int:
    if kind >= 12:
        return (kind - 12) // 2
    if kind in {10, 11}:
        raise ValueError("no such type")
    return 8 if kind == 7 else 0 if kind >= 8 else _INTEGERS[kind]


def _value(kind: int, data: bytes) -> Value:
    if kind >= 12:
        return data if kind % 2 == 0 else data.decode()
    if kind == 0:
        return None
    if kind == 7:
        value: float = struct.unpack_from(">d", data)[0]
        return value
    return kind - 8 if kind >= 8 else int.from_bytes(data, signed=True)


def _varint(content: Content, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for number in range(8):
        byte = content[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    value = value << 8 | content[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, at + 9
