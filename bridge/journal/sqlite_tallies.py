"""What was counted for people, in a SQLite journal; see `bridge.journal.tallies`."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bridge.journal.queries import queries
from bridge.journal.sqlite_sends import Read
from bridge.journal.tallies import (
    HOUR_MS,
    KEEP_RULES_MS,
    KEEP_TRAFFIC_MS,
    LOOKED_MOST,
    MINUTE_MS,
    Counted,
    Met,
    PathCount,
    RuleCount,
    RuleSlots,
    TrafficCount,
)

if TYPE_CHECKING:
    from bridge.journal.tallies import Tallies


class SqliteTallies:
    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        look: Read,
    ) -> None:
        self._write = write
        self._look = look

    async def add(self, counted: Counted, *, at_ms: int) -> None:
        await self._write(lambda connection: _add(connection, counted, at_ms))

    async def rules(self, *, since_ms: int, hours_ms: int) -> RuleSlots:
        def read(connection: sqlite3.Connection) -> RuleSlots:
            # The hour that a time is in counts as a whole.
            values = {"since_ms": _begin(since_ms, HOUR_MS)}
            counts = [
                RuleCount(*row) for row in connection.execute(queries()["tally_rules"], values)
            ]
            hours: dict[str, dict[int, int]] = {}
            values = {"since_ms": _begin(hours_ms, HOUR_MS)}
            for rule, slot, times in connection.execute(queries()["tally_hours"], values):
                hours.setdefault(rule, {})[slot] = times
            (since,) = connection.execute(queries()["tally_since"]).fetchone()
            return RuleSlots(counts, hours, since)

        return await self._look(read)

    async def traffic(self, *, since_ms: int, step_ms: int) -> list[tuple[int, TrafficCount]]:
        values = {"since_ms": _begin(since_ms, step_ms), "step_ms": step_ms}

        def read(connection: sqlite3.Connection) -> list[tuple[int, TrafficCount]]:
            rows = connection.execute(queries()["tally_traffic"], values)
            return [(step, TrafficCount(*row)) for step, *row in rows]

        return await self._look(read)

    async def last(self) -> dict[str, Met]:
        def read(connection: sqlite3.Connection) -> dict[str, Met]:
            return {row[0]: Met(*row) for row in connection.execute(queries()["tally_last"])}

        return await self._look(read)

    async def paths(self) -> list[PathCount]:
        return await self._look(
            lambda connection: [
                PathCount(*row) for row in connection.execute(queries()["tally_paths"])
            ]
        )


def _begin(at_ms: int, step_ms: int) -> int:
    return at_ms // step_ms * step_ms


def _add(connection: sqlite3.Connection, counted: Counted, at_ms: int) -> None:
    hour, minute = _begin(at_ms, HOUR_MS), _begin(at_ms, MINUTE_MS)
    for rule in counted.rules:
        connection.execute(queries()["append_rule_tally"], rule._asdict() | {"slot_ms": hour})
    for one in counted.traffic:
        connection.execute(queries()["append_traffic"], one._asdict() | {"slot_ms": minute})
    for met in counted.last:
        connection.execute(queries()["append_rule_last"], met._asdict())
    for path in counted.paths:
        values = path._asdict() | {"at_ms": at_ms, "most": LOOKED_MOST}
        connection.execute(queries()["append_rule_path"], values)
    connection.execute(queries()["drop_rule_tally"], {"before_ms": at_ms - KEEP_RULES_MS})
    connection.execute(queries()["drop_traffic"], {"before_ms": at_ms - KEEP_TRAFFIC_MS})
    connection.execute(queries()["drop_rule_path"], {"before_ms": at_ms - KEEP_RULES_MS})


if TYPE_CHECKING:
    _: type[Tallies] = SqliteTallies
