"""The rows of a CSV or NDJSON file, one at a time, each as an identify event or as what is wrong with it.

A row's messageId is made of the file's hash and the row's number: the same row of the same file is the
same event, however often it is sent.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bridge.errors import BridgeError
from bridge.segment.ids import id_text

USER_COLUMNS = ("external_id", "userId", "user_id", "id")
"""Where a row's user is looked for, unless somebody says where it stands."""
_JSON_LINES = (".ndjson", ".jsonl", ".json")
_LONGEST_ROW = 400_000


class ImportFileError(BridgeError):
    """The file cannot be imported as it is."""

    code = "import-file"


class Row(NamedTuple):
    """A row that is an event: its number, from 1, and the event as JSON."""

    number: int
    event: bytes


class Bad(NamedTuple):
    """A row that is none; the message names no value of it."""

    number: int
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A file, and how its rows are read."""

    path: Path
    #: The column that names the user; None: the first of `USER_COLUMNS` that there is.
    user_column: str | None
    #: Milliseconds since 1970: since when what the rows say has been true.
    at_ms: int
    #: Makes other events of the same rows.
    run: str = ""

    def rows(self) -> Iterator[Row | Bad]:
        """All of them, in memory of one.

        Raises:
            ImportFileError: no row of it can be read.
        """
        naming = _Naming(self)
        is_json = self.path.suffix.lower() in _JSON_LINES
        found = self._objects() if is_json else self._records()
        for number, one in enumerate(found, 1):
            yield Bad(number, *one) if isinstance(one, tuple) else naming.row(number, one)

    def _objects(self) -> Iterator[dict[str, Any] | tuple[str, str]]:
        with self.path.open("rb") as file:
            for line in file:
                if line.strip():
                    yield _object(line)

    def _records(self) -> Iterator[dict[str, Any] | tuple[str, str]]:
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            head = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=_delimiter(head), restkey="")
            columns = reader.fieldnames or []
            if not {self.user_column} & {*columns} and not {*USER_COLUMNS} & {*columns}:
                raise ImportFileError(
                    f"{self.path} has no column that names the user",
                    hint="name it with --user-id COLUMN, or call it external_id",
                )
            for record in reader:
                yield _cells(record)


@dataclass(slots=True)
class _Naming:
    """Makes events of rows."""

    reading: Reading
    _prefix: str = field(init=False)
    _at: str = field(init=False)

    def __post_init__(self) -> None:
        self._prefix = f"import-{_digest(self.reading)}"
        at = datetime.fromtimestamp(self.reading.at_ms / 1000, UTC)
        self._at = at.isoformat(timespec="milliseconds")

    def row(self, number: int, record: dict[str, Any]) -> Row | Bad:
        column = self.reading.user_column or next((c for c in USER_COLUMNS if c in record), None)
        user = None if column is None else id_text(record.pop(column, None))
        if user is None:
            return Bad(number, "no-user", f"The row names no user in {column or 'any column'}.")
        traits = record["traits"] if type(record.get("traits")) is dict else record
        event = {
            "type": "identify",
            "messageId": f"{self._prefix}-{number}",
            "userId": user,
            "timestamp": self._at,
            # What was true yesterday is no occasion for a push.
            "replay": True,
            "traits": traits,
        }
        encoded = orjson.dumps(event)
        if len(encoded) > _LONGEST_ROW:
            return Bad(number, "row-too-long", f"The row has more than {_LONGEST_ROW} bytes.")
        return Row(number, encoded)


def _digest(reading: Reading) -> str:
    with reading.path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
    found.update(reading.run.encode())
    return found.hexdigest()[:16]


def _object(line: bytes) -> dict[str, Any] | tuple[str, str]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not-json", "The line is not JSON."
    return value if type(value) is dict else ("not-an-object", "The line is not a JSON object.")


def _cells(record: dict[str, Any]) -> dict[str, Any] | tuple[str, str]:
    """An empty cell says nothing: it is no wish to delete what is there."""
    if "" in record:
        return "too-many-cells", "The row has more cells than the first line has names."
    return {name: text for name, text in record.items() if text}


def _delimiter(head: str) -> str:
    return max(",;\t", key=head.count)
