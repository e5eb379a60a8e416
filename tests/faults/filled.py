"""A journal with a great many rows in each of its tables, written by SQL of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bridge.journal.sqlite_file import create

NOW = 1_800_000_000_000
#: Each row is of the event with its number; every fourth send is delivered, held, dead, or waits in a group.
_STATES = (
    "CASE i % 4 WHEN 0 THEN 'delivered' WHEN 1 THEN 'held' WHEN 2 THEN 'dead' ELSE 'pending' END"
)
_ENDED = f"CASE WHEN i % 4 IN (0, 2) THEN {NOW} END"
_ROWS = {
    "event": f"i, 'web', 'default', 'm' || i, 'track', 'Order Shipped', i, {NOW} + i, {NOW} + i, '{{}}'",
    "history": "i, i",
    "dedupe": "CAST('key-' || i AS BLOB), i",
    "pending": f"i, 'default', i % 256, i % 2, i, {NOW} + i, 0, 0, NULL, NULL, '[]', NULL, '[]', 1",
    "send": (
        "'key' || i, i, 'default', 'rule' || i % 3, 'send_notification', i, i, 'external_id', 'u' || i,"
        f" 0, 'r1', NULL, {_STATES}, CASE i % 4 WHEN 1 THEN CASE i % 8 WHEN 1 THEN 'limit' ELSE 'paused' END END,"
        f" 1, NULL, NULL, CASE i % 4 WHEN 3 THEN CAST(i % 16 AS BLOB) END, NULL,"
        f" CASE WHEN i % 4 <> 3 THEN 'key' || i END, {NOW} + i, {NOW} + i, {_ENDED}"
    ),
    "call": f"'key' || i, 'default', 'POST', '/notifications', '{{}}', i % 256, NULL, 0, 0, 0, 1, {NOW}, NULL",
    "call_log": (
        f"i, 'default', 'send', 'send_notification', 'POST', '/notifications', '{{}}', 'key' || i, 200, NULL,"
        f" '{{}}', {NOW} + i, 5"
    ),
    "call_member": "i, i, CASE i % 9 WHEN 0 THEN i END",
    "outcome": (
        "i, 'rule' || i % 3, 'send_notification', CASE i % 4 WHEN 2 THEN 'skipped' ELSE 'delivered' END,"
        f" CASE i % 4 WHEN 2 THEN 'too_old' END, NULL, 200, 'key' || i, {NOW} + i"
    ),
    "dead": (
        "i, i, 'rule' || i % 3, 'send_notification', 'web', 'default', 'm' || i, NULL, i,"
        f" {NOW}, '{{}}', '{{}}', 'no', 'http_400', 400, 1, 0, 'key' || i, {NOW} + i, 'dead', NULL"
    ),
    "state": f"i, '[[],{{}}]', {NOW}",
    "membership": f"i, 'default', 'vip', 1, {NOW}, {NOW}, i, 0",
    "fired": "i, 'default', 'vip', 'welcome', i",
    "place": f"i, 'default', 'rule0', 1, i, {NOW}, {NOW} + i",
    "reached": "i, 'default', 20000 + i % 30",
}  # fmt: skip
_GROUPS = "CAST(i AS BLOB), 'default', 'send', 256 + i % 16, 0, 'external_id', 'POST', '/notifications', '{}'"


def fill(path: Path, rows: int) -> None:
    """Make a journal at `path` with so many rows in each table that grows."""
    create(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        connection.execute("BEGIN")
        for table, values in _ROWS.items():
            connection.execute(_inserted(table, values), {"rows": rows})
        connection.execute(_inserted("send_group", _GROUPS), {"rows": 16})
        connection.execute("COMMIT")


def _inserted(table: str, values: str) -> str:
    numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)"
    return f"INSERT INTO {table} {numbers} SELECT {values} FROM n"
