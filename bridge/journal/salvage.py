"""What can still be read of a damaged database, as a new one.

The damaged files are only copied. Every table is read from both of its ends, and a rowid table also past
each place that cannot be read; what is left of one whose tree is damaged is looked for on every page, if
its rows have as many columns as no other's. Rows that contradict the schema are left out. The first page,
which says where everything is, is the same in every new journal: a damaged one is replaced. From what was
saved the rest follows: which events were heard, which are still to be worked on.
"""

from __future__ import annotations

import mmap
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from shutil import copyfile
from typing import Any, NamedTuple

from bridge.errors import JournalDamagedError, JournalError
from bridge.journal import hashing
from bridge.journal.pages import PAGE, cells
from bridge.journal.queries import queries
from bridge.journal.records import lane_of
from bridge.journal.sqlite_file import APPLICATION_ID, ITS_OWNERS, create, lock

_FARTHEST = 2**40
_TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
_MENDING = (
    "index_dedupe",
    "salvaged_orphans",
    "salvaged_work",
    "salvaged_dedupe",
    "salvaged_places",
    "salvaged_indexed",
    "index_done",
    "forget_tallies",
    "recount_held",
)

Row = tuple[Any, ...]


class Saved(NamedTuple):
    """What was saved: rows by table, and in which tables something could not be read."""

    rows: dict[str, int]
    damaged: tuple[str, ...]


def salvage(path: Path, target: Path) -> Saved:
    """Write what can be read of the database at `path` into a new one at `target`.

    Raises:
        JournalError: there is no `path`, there is a `target`, or a process is using either.
        JournalDamagedError: nothing can be read.
    """
    if not path.exists():
        raise JournalError(f"there is no database {path}", hint="BRIDGE_DATABASE_URL names it")
    if target.exists():
        raise JournalError(f"{target} is there already", hint="name another one with --to")
    copy = target.with_name(target.name + ".reading")
    with ExitStack() as stack:
        stack.enter_context(closing(lock(path)))
        stack.callback(_remove, copy)
        create(target)
        try:
            _copy(path, copy, target)
            saved = _save(copy, target)
        except BaseException:
            _remove(target)
            raise
    return saved


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(path: Path, copy: Path, whole: Path) -> None:
    _copy_file(path, copy)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        _copy_file(log, copy.with_name(copy.name + "-wal"))
    if not _is_readable(copy):
        _replace_first_page(copy, whole)


def _copy_file(path: Path, copy: Path) -> None:
    copy.touch(ITS_OWNERS)
    copyfile(path, copy)


def _is_readable(path: Path) -> bool:
    """Whether the first page says that it is a journal, and where its tables are."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            names = connection.execute(_TABLES).fetchall()
    except sqlite3.DatabaseError:
        return False
    return application == APPLICATION_ID and ("event",) in names


def _replace_first_page(copy: Path, whole: Path) -> None:
    """By that of a new journal, but for how long the file is and that no page of it is free."""
    page = bytearray(whole.read_bytes()[:PAGE])
    pages = copy.stat().st_size // PAGE
    page[28:32] = pages.to_bytes(4)
    page[32:40] = bytes(8)
    # The length counts only while these two, which count changes, agree.
    page[24:28] = page[92:96] = (1).to_bytes(4)
    has_log = copy.with_name(copy.name + "-wal").exists()
    page[18:20] = bytes([2, 2]) if has_log else bytes([1, 1])
    with copy.open("r+b") as file:
        file.write(page)


def _save(copy: Path, target: Path) -> Saved:
    with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(target)) as kept:
        kept.isolation_level = None
        kept.execute("PRAGMA synchronous = FULL")
        kept.create_function("lane_of", 1, lane_of, deterministic=True)
        kept.create_function("dedupe_key", 2, hashing.dedupe_key, deterministic=True)
        tables = [name for (name,) in kept.execute(_TABLES)]
        kept.execute("BEGIN")
        damaged = tuple(table for table in tables if not _save_table(source, kept, table))
        _save_strays(copy, kept, damaged)
        for query in _MENDING:
            kept.execute(queries()[query])
        rows = {table: _count(kept, table) for table in tables}
        if not rows["event"] and not rows["dead"]:
            raise JournalDamagedError(
                "nothing could be read of the database",
                hint="bring a backup back, or move the database away to begin a new one",
            )
        kept.execute("COMMIT")
    return Saved(rows, damaged)


def _count(kept: sqlite3.Connection, table: str) -> int:
    (count,) = kept.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 — a name of our own schema
    return int(count)


def _save_table(source: sqlite3.Connection, kept: sqlite3.Connection, table: str) -> bool:
    """Whether all of it could be read."""
    reading = _Reading(source, table, _keys(kept, table))
    columns = kept.execute(f"PRAGMA table_info({table})").fetchall()
    insert = f"INSERT OR REPLACE INTO {table} VALUES ({','.join('?' * len(columns))})"  # noqa: S608 — a name of our own schema
    is_whole = True
    for row in reading.rows():
        try:
            kept.execute(insert, row)
        except sqlite3.Error:
            is_whole = False
    return is_whole and not reading.is_damaged


def _save_strays(copy: Path, kept: sqlite3.Connection, damaged: tuple[str, ...]) -> None:
    """Rows of damaged tables that stand on some page, and were not found by their tree."""
    widths = Counter(_width(kept, table) for (table,) in kept.execute(_TABLES).fetchall())
    tables = {_width(kept, one): one for one in damaged if _has_number(kept, one)}
    tables = {width: table for width, table in tables.items() if widths[width] == 1}
    if not tables:
        return
    with copy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for cell in cells(content):
            table = tables.get(len(cell.values))
            if table is None:
                continue
            places = ",".join("?" * len(cell.values))
            with suppress(sqlite3.Error):
                kept.execute(
                    f"INSERT OR IGNORE INTO {table} VALUES ({places})",  # noqa: S608 — a name of our own schema
                    (cell.rowid, *cell.values[1:]),
                )


def _width(kept: sqlite3.Connection, table: str) -> int:
    return len(kept.execute(f"PRAGMA table_info({table})").fetchall())


def _has_number(kept: sqlite3.Connection, table: str) -> bool:
    """Whether its first column is its rowid, which then stands beside the row and not in it."""
    first = kept.execute(f"PRAGMA table_info({table})").fetchone()
    return _keys(kept, table) == ("rowid",) and (first[2], first[5]) == ("INTEGER", 1)


def _keys(kept: sqlite3.Connection, table: str) -> tuple[str, ...]:
    """What its rows are in the order of: the rowid, or the columns of its primary key."""
    with suppress(sqlite3.OperationalError):
        kept.execute(f"SELECT rowid FROM {table} LIMIT 0")  # noqa: S608 — a name of our own schema
        return ("rowid",)
    columns = kept.execute(f"PRAGMA table_info({table})").fetchall()
    return tuple(name for at, name in sorted((one[5], one[1]) for one in columns) if at)


class _Reading:
    """Reads a table of which some pages may be lost."""

    def __init__(self, source: sqlite3.Connection, table: str, keys: tuple[str, ...]) -> None:
        self._source = source
        self._table = table
        self._keys = keys
        self.is_damaged = False

    def rows(self) -> Iterator[Row]:
        """Upwards, past what cannot be read where there is a way past it; else from the other end, too."""
        last, has_ended = yield from self._beyond(None)
        while not has_ended:
            start = self._past(last)
            if start is None:
                yield from self._beyond(None, down=True)
                return
            last, has_ended = yield from self._beyond(start)

    def _beyond(
        self, key: Row | None, *, down: bool = False
    ) -> Generator[Row, None, tuple[Row | None, bool]]:
        """Rows after a key until one cannot be read; the last key that could, and whether it was the end."""
        width = len(self._keys)
        try:
            for row in self._source.execute(self._query(key, down=down), key or ()):
                key = row[:width]
                yield row[width:]
        except sqlite3.DatabaseError:
            self.is_damaged = True
            return key, False
        return key, True

    def _query(self, key: Row | None, *, down: bool = False) -> str:
        names = ", ".join(self._keys)
        order = ", ".join(f"{name} DESC" if down else name for name in self._keys)
        places = ", ".join("?" * len(self._keys))
        where = f"WHERE ({names}) > ({places})" if key else ""
        return f"SELECT {names}, * FROM {self._table} {where} ORDER BY {order}"  # noqa: S608 — names of our own schema

    def _past(self, key: Row | None) -> Row | None:
        """The first rowid after which rows can be read again; None when there is none."""
        if self._keys != ("rowid",):
            return None
        bad, step = (key[0] if key else 0), 1
        while not self._can_read(bad + step):
            step *= 2
            if step > _FARTHEST:
                return None
        low, good = bad, bad + step
        while good - low > 1:
            middle = (low + good) // 2
            low, good = (low, middle) if self._can_read(middle) else (middle, good)
        return (good,)

    def _can_read(self, rowid: int) -> bool:
        """Whether there is a row after it, and it can be read."""
        try:
            return self._source.execute(self._query((rowid,)), (rowid,)).fetchone() is not None
        except sqlite3.DatabaseError:
            return False
