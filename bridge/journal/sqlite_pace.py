"""How many sends of a rule were written lately, in a SQLite journal: by short stretches of time."""

from __future__ import annotations

import sqlite3

from bridge.journal.queries import queries

SLOTS = 60
"""Stretches into which the time of a limit is cut: it may hold by one of them too early, never late."""
UNCAPPED = ""
"""Stands for all rules with `cap: off`: they count together."""


def _slot(per_ms: int, now_ms: int) -> tuple[int, int]:
    """When the present stretch began, and when the last one ended that counts no more."""
    width = max(1, per_ms // SLOTS)
    return now_ms - now_ms % width, now_ms - per_ms - width


def pace(
    connection: sqlite3.Connection, app: str, rule: str, per_ms: int, now_ms: int
) -> tuple[int, int]:
    """How many within the time, at least, and when the oldest of them are out of it."""
    slot, since = _slot(per_ms, now_ms)
    values = {"app": app, "rule": rule, "since_ms": since}
    count, oldest = connection.execute(queries()["pace"], values).fetchone()
    return count, (slot if oldest is None else oldest) + now_ms - since


def keep_pace(
    connection: sqlite3.Connection, app: str, rule: str, per_ms: int, now_ms: int
) -> None:
    slot, since = _slot(per_ms, now_ms)
    values = {"app": app, "rule": rule, "slot_ms": slot, "since_ms": since}
    connection.execute(queries()["forget_pace"], values)
    connection.execute(queries()["keep_pace"], values)
