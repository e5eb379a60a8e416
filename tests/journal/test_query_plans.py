"""Each hot statement finds its rows by the index that was made for it, never by reading a table."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from importlib.resources import files
from typing import Any

import pytest

from bridge.journal.queries import queries
from bridge.journal.sqlite import SqliteJournal
from bridge.journal.sqlite_rows import finish
from tests.journal.making import dead_send, end, entry, new_send, select, write

#: statement: what its plan must name. `PRIMARY KEY` is a table without rowid by its key.
PLANS = {
    "heard": ["dedupe USING PRIMARY KEY (key=?)"],
    "lane_heads": ["p USING INDEX pending_lane (app=? AND <expr>=? AND rank=? AND seq>?)"],
    "chains": [
        "pending USING INDEX pending_user (user_hash=?)",
        "p USING INTEGER PRIMARY KEY (rowid=?)",
        "e USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "large_payload": ["event USING INTEGER PRIMARY KEY (rowid=?)"],
    "index_pending": ["pending USING INTEGER PRIMARY KEY (rowid>?)"],
    "state": ["state USING INTEGER PRIMARY KEY (rowid=?)"],
    "states": ["state USING INTEGER PRIMARY KEY (rowid=?)"],
    "state_page": ["state USING INTEGER PRIMARY KEY (rowid>?)"],
    "drop_unused": ["state USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "open_sends": ["s USING INDEX send_seq (seq=?)", "c USING PRIMARY KEY (key=?)"],
    "mark_done": [
        "pending USING INTEGER PRIMARY KEY (rowid=?)",
        "outcome USING PRIMARY KEY (seq=?)",
        "send USING INDEX send_seq (seq=?)",
    ],
    "end_send": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "reopen_send": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "end_call": [
        "call USING PRIMARY KEY (key=?)",
        "send USING INDEX send_call (call_key=?)",
    ],
    "retry_call": ["call USING PRIMARY KEY (key=?)"],
    "release_call": [
        "call USING PRIMARY KEY (key=?)",
        "r USING PRIMARY KEY (key=?)",
        "w USING PRIMARY KEY (key=?)",
    ],
    "postpone": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "remember": ["event USING INTEGER PRIMARY KEY (rowid=?)"],
    "finish_events": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "pending_among": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "keep_revived": [
        "pending USING INTEGER PRIMARY KEY (rowid=?)",
        "outcome USING PRIMARY KEY (seq=?)",
        "send USING INDEX send_seq (seq=?)",
    ],
    "finish_revived": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "event_of": ["event USING INTEGER PRIMARY KEY (rowid=?)"],
    "recent": ["event USING INTEGER PRIMARY KEY (rowid>?)"],
    "user_of": ["event USING INTEGER PRIMARY KEY (rowid=?)"],
    "dead_page": ["dead USING INTEGER PRIMARY KEY (rowid>?)"],
    "dead_one": ["dead USING INTEGER PRIMARY KEY (rowid=?)"],
    "was_uncertain": ["dead USING INDEX dead_user (user_hash=? AND seq=?)"],
    "leave_dead": ["dead USING INTEGER PRIMARY KEY (rowid=?)"],
    "forget_outcome": ["outcome USING PRIMARY KEY (seq=? AND rule=? AND operation=?)"],
    "restore_event": ["dead USING INTEGER PRIMARY KEY (rowid=?)"],
    "ended": ["outcome USING PRIMARY KEY (seq=?)"],
    "whose_event": ["event USING INTEGER PRIMARY KEY (rowid=?)"],
    "put_off": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "others": ["pending USING INDEX pending_user (user_hash=?)"],
    "standing": [
        "send USING INDEX sqlite_autoindex_send_1 (key=?)",
        "fired USING PRIMARY KEY (user_hash=? AND app=? AND audience=? AND rule=?)",
        "place USING PRIMARY KEY (person_hash=? AND app=? AND rule=? AND once=?)",
        "send USING COVERING INDEX send_person (person_hash=? AND ended_ms=? AND state=? AND counted=?)",
        "send USING COVERING INDEX send_person (person_hash=? AND ended_ms>?)",
    ],
    "membership": ["membership USING PRIMARY KEY (user_hash=? AND app=? AND audience=?)"],
    "forget_fired": ["fired USING PRIMARY KEY (user_hash=? AND app=? AND audience=?)"],
    "retake_place": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "forget_places": [
        "place USING PRIMARY KEY (person_hash=?)",
        "place USING COVERING INDEX place_until (until_ms<?)",
    ],
    "return_place": [
        "place USING PRIMARY KEY (person_hash=? AND app=? AND rule=? AND once=? AND seq=?)",
        "s USING INDEX sqlite_autoindex_send_1 (key=?)",
        "o USING INDEX send_seq (seq=?)",
        "e USING INTEGER PRIMARY KEY (rowid=?)",
        "d USING INDEX dead_user (user_hash=? AND seq=?)",
    ],
    "keep_place": [
        "place USING PRIMARY KEY (person_hash=? AND app=? AND rule=? AND once=? AND seq=?)",
        "s USING INDEX sqlite_autoindex_send_1 (key=?)",
        "o USING INDEX send_seq (seq=?)",
    ],
    "take_calls": [
        "call USING COVERING INDEX call_untried (run=?)",
        "meta USING PRIMARY KEY (key=?)",
    ],
    "pace": ["pace USING PRIMARY KEY (app=? AND rule=? AND slot_ms>?)"],
    "forget_pace": ["pace USING PRIMARY KEY (app=? AND rule=? AND slot_ms<?)"],
    "rule_held": ["send USING COVERING INDEX send_held (app=? AND rule=? AND hold=?)"],
    "people": [
        "reached_day USING PRIMARY KEY (app=? AND day>?)",
        "reached USING PRIMARY KEY (person_hash=? AND app=?)",
    ],
    "reach": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "hold_send": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "held_of_rule": [
        "send USING INDEX send_held (app=? AND rule=? AND hold=? AND created_ms>? AND created_ms<?)"
    ],
    "held_events_of_rule": ["send USING INDEX send_held_event (app=? AND rule=? AND hold=?)"],
    "held_some": ["send USING INDEX send_held (app=?)"],
    "release_send": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "discard_send": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "send_one": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "group_one": ["send_group USING PRIMARY KEY (id=?)"],
    "unsealed": ["send USING INDEX send_grouped (group_id=? AND state=? AND call_key=?)"],
    "join_call": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "group_call": [
        "c USING PRIMARY KEY (key=?)",
        "g USING PRIMARY KEY (id=?)",
        "s USING INDEX send_call (call_key=?)",
    ],
    "call_members": ["send USING INDEX send_call (call_key=?)"],
    "leave_call": ["send USING INDEX send_call (call_key=?)"],
    "drop_call": ["call USING PRIMARY KEY (key=?)"],
    "call_group": ["call USING PRIMARY KEY (key=?)"],
    "end_members": ["send USING COVERING INDEX sqlite_autoindex_send_1 (key=?)"],
    "end_member_outcomes": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "reach_members": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "with_places": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "end_group_call": [
        "call USING PRIMARY KEY (key=?)",
        "s USING INDEX send_call (call_key=?)",
        "d USING INDEX dead_once (seq=? AND rule=? AND operation=?)",
    ],
    "end_group": [
        "send_group USING PRIMARY KEY (id=?)",
        "send USING COVERING INDEX send_grouped (group_id=?)",
        "call USING COVERING INDEX call_group (group_id=?)",
    ],
    "hold_unsealed": [
        "send USING COVERING INDEX send_grouped (group_id=? AND state=? AND call_key=?)"
    ],
    "reopen_member": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "hold_members": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "dead_members": [
        "s USING INDEX send_call (call_key=?)",
        "d USING INDEX dead_once (seq=? AND rule=? AND operation=?)",
    ],
    "reopen_members": ["send USING INDEX send_call (call_key=?)"],
    "reopen_call": ["call USING PRIMARY KEY (key=?)"],
    "shared": [
        "s USING INDEX sqlite_autoindex_send_1 (key=?)",
        "c USING PRIMARY KEY (key=?) LEFT-JOIN",
        "g USING PRIMARY KEY (id=?) LEFT-JOIN",
    ],
    "append_members": ["send USING INDEX send_call (call_key=?)"],
    "forget_members_before": [
        "call_member USING COVERING INDEX call_member_call (call<?)",
    ],
    "forget_calls_before": [
        "call_log USING INTEGER PRIMARY KEY (rowid<?)",
        "call_member USING COVERING INDEX call_member_call (call<?)",
    ],
    "calls_of_user": [
        "call_member USING PRIMARY KEY (seq=?)",
        "call_member USING COVERING INDEX call_member_other (other_hash=?)",
    ],
    "forget_members": ["call_member USING COVERING INDEX call_member_call (call=?)"],
    "forget_calls": ["call_log USING INTEGER PRIMARY KEY (rowid=?)"],
    "trace_pending": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "trace_ends": ["outcome USING PRIMARY KEY (seq=?)"],
    "trace_sends": ["s USING INDEX send_seq (seq=?)", "c USING PRIMARY KEY (key=?) LEFT-JOIN"],
    "was_called": ["call_log USING COVERING INDEX call_log_key (call_key=?)"],
    "trace_calls": [
        "call_member USING PRIMARY KEY (seq=?)",
        "l USING INTEGER PRIMARY KEY (rowid=?)",
        "r USING INDEX call_log_key (call_key=?)",
        "call_member USING COVERING INDEX call_member_call (call=?)",
    ],
    "trace_dead": ["dead USING INDEX dead_once (seq=?)"],
    "trace_places": [
        "p USING PRIMARY KEY (person_hash=? AND app=?)",
        "e USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
    ],
    "trace_fired": [
        "f USING PRIMARY KEY (user_hash=? AND app=?)",
        "m USING PRIMARY KEY (user_hash=? AND app=? AND audience=?)",
        "e USING INTEGER PRIMARY KEY (rowid=?) LEFT-JOIN",
    ],
    "seqs_of_message": ["event USING INTEGER PRIMARY KEY (rowid>?)"],
    "drop_rule_tally": ["rule_tally USING PRIMARY KEY (slot_ms<?)"],
    "drop_traffic": ["traffic USING PRIMARY KEY (slot_ms<?)"],
    "tally_rules": ["rule_tally USING PRIMARY KEY (slot_ms>?)"],
    "tally_since": [],
    "tally_last": [],
    "tally_paths": [],
    "drop_rule_path": [],
    "tally_hours": ["rule_tally USING PRIMARY KEY (slot_ms>?)"],
    "tally_traffic": ["traffic USING PRIMARY KEY (slot_ms>?)"],
    "look_newest": [
        "e USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        "outcome USING PRIMARY KEY (seq=? AND rule=?)",
        "outcome USING PRIMARY KEY (seq=?)",
        "send USING INDEX send_seq (seq=?)",
        "pending USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "look_user": [
        "history USING PRIMARY KEY (user_hash=? AND seq<?)",
        "pending USING INDEX pending_user (user_hash=? AND seq<?)",
        "pending USING INTEGER PRIMARY KEY (rowid=?)",
        "send USING INDEX send_other (person_hash=?)",
    ],
    "look_revisions": [],
    "look_rules": [],
    "look_ends": ["outcome USING PRIMARY KEY (seq=?)", "send USING INDEX send_seq (seq=?)"],
    "look_apps": ["event USING INTEGER PRIMARY KEY (rowid>?)"],
    "look_names": ["event USING INTEGER PRIMARY KEY (rowid>?)"],
    "look_message": ["event USING INTEGER PRIMARY KEY (rowid>?)"],
    "look_trail": ["audit_trail USING INTEGER PRIMARY KEY (rowid<?)"],
    "in_force": ["mapping_log USING PRIMARY KEY (source=? AND since_ms<?)"],
    "keep_in_force": ["mapping_log USING PRIMARY KEY (source=?)"],
    "dead_ids": ["dead USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    "dead_send_of": [
        "d USING INTEGER PRIMARY KEY (rowid=?)",
        "s USING INDEX sqlite_autoindex_send_1 (key=?)",
    ],
    "discard_dead_send": ["send USING INDEX sqlite_autoindex_send_1 (key=?)"],
    "discard_dead_outcome": [
        "outcome USING PRIMARY KEY (seq=? AND rule=? AND operation=?)",
        "dead USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "held_one": [
        "s USING INDEX sqlite_autoindex_send_1 (key=?)",
        "e USING INTEGER PRIMARY KEY (rowid=?)",
        "c USING PRIMARY KEY (key=?) LEFT-JOIN",
        "g USING PRIMARY KEY (id=?) LEFT-JOIN",
    ],
    "too_old": [
        "o USING INDEX outcome_too_old (rule=? AND at_ms>? AND at_ms<?)",
        "e USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "replace_skipped_send": ["send USING INDEX send_seq (seq=?)"],
    "generations": ["send USING INDEX send_seq (seq=?)"],
    "pay_release": ["releasing USING PRIMARY KEY (app=? AND rule=? AND hold=?)"],
    "end_release": ["releasing USING PRIMARY KEY (app=? AND rule=? AND hold=?)"],
    "drop_alert": ["alert USING PRIMARY KEY (key=?)"],
    "audit_next": ["audit USING INDEX audit_due (app=?)"],
    "audit_done": ["audit USING PRIMARY KEY (id=?)"],
    "survived": ["suspect USING INTEGER PRIMARY KEY (rowid=?)"],
    "drop_gate": ["gate USING PRIMARY KEY (key=?)"],
    "meta_get": ["meta USING PRIMARY KEY (key=?)"],
    "last_heard": ["event USING INTEGER PRIMARY KEY (rowid=?)"],
    "run": ["meta USING PRIMARY KEY (key=?)"],
    "devices_of": ["device USING INDEX device_user (user_hash=? AND app=?)"],
    "device_holders": [
        "device USING INTEGER PRIMARY KEY (rowid=?)",
        "device USING COVERING INDEX device_token (app=? AND token=?)",
        "device USING COVERING INDEX device_installation (app=? AND installation=?)",
    ],
    "devices_called": ["device USING INDEX device_subscription (app=? AND subscription_id=?)"],
    "erased_when": ["erased USING INTEGER PRIMARY KEY (rowid=?)"],
    "device_erased": ["erased USING INTEGER PRIMARY KEY (rowid=?)"],
    "same_devices": [
        "device USING INTEGER PRIMARY KEY (rowid=?)",
        "device USING COVERING INDEX device_subscription (app=? AND subscription_id=?)",
        "device USING COVERING INDEX device_installation (app=? AND installation=?)",
        "device USING COVERING INDEX device_token (app=? AND token=?)",
    ],
    "drop_devices": ["device USING INTEGER PRIMARY KEY (rowid=?)"],
    "drop_most_devices": [
        "device USING INTEGER PRIMARY KEY (rowid=?)",
        "device USING INDEX device_user (user_hash=? AND app=?)",
    ],
    "forget_device": [
        "device USING INTEGER PRIMARY KEY (rowid=?)",
        "device USING COVERING INDEX device_subscription (app=? AND subscription_id=?)",
        "device USING COVERING INDEX device_installation (app=? AND installation=?)",
    ],
    "device_platforms": ["device USING INDEX device_subscription (app=? AND subscription_id=?)"],
}

#: These are about all of the tail, which is never long.
TAIL = {"tail", "index_dedupe", "index_done"}

#: These count: each over an index of nothing but what it counts.
COUNTS = {
    "counts": [
        "pending USING COVERING INDEX",
        "dead USING COVERING INDEX dead_reason",
        "held_tally",
        "send USING COVERING INDEX send_grouped",
        "event USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "held_page": ["s USING INDEX send_held", "e USING INTEGER PRIMARY KEY (rowid=?)"],
    "keep_back": [
        "send USING COVERING INDEX sqlite_autoindex_send_1 (key=?)",
        "s USING INDEX send_held",
        "c USING PRIMARY KEY (key=?)",
        "g USING PRIMARY KEY (id=?)",
    ],
    "groups_waiting": [
        "send USING COVERING INDEX send_grouped (group_id=? AND state=? AND call_key=?)"
    ],
    "calls_waiting": ["c USING INDEX call_group", "send USING INDEX send_call (call_key=?)"],
    "held_tallies": ["held_tally"],
    "held_counts": ["send USING COVERING INDEX send_held"],
    "held_counts_of_user": ["send USING INDEX send_held"],
    "too_old_counts": [
        "o USING INDEX outcome_too_old",
        "e USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "releases": ["releasing"],
    "releases_counted": ["SCAN r", "s USING COVERING INDEX send_held (app=? AND rule=? AND hold=?"],
    "alerts": ["alert"],
    "last_dead": ["dead"],
    "newest_dead": ["dead USING COVERING INDEX dead_reason"],
    "newest_held": ["send USING INDEX send_held"],
    "dead_count": ["dead USING COVERING INDEX dead_reason"],
    "gates": ["gate"],
    "suspects": ["suspect", "pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "seqs_of_user": [
        "history USING PRIMARY KEY (user_hash=?)",
        "pending USING INDEX pending_user (user_hash=?)",
        "pending USING INTEGER PRIMARY KEY (rowid=?)",
    ],
    "seqs_newest": [
        "history USING PRIMARY KEY (user_hash=?)",
        "pending USING INDEX pending_user (user_hash=?)",
        "pending USING INTEGER PRIMARY KEY (rowid=?)",
        "send USING INDEX send_person (person_hash=?)",
        "call_member USING COVERING INDEX call_member_other (other_hash=?)",
    ],
    "seqs_of_key": ["dedupe USING PRIMARY KEY (key=?)"],
    # The oldest rows, in their order, and no more of them than it is asked for.
    "calls_before": ["call_log"],
    "last_call": ["call_log"],
    "pending_apps": ["pending USING COVERING INDEX pending_lane"],
    "still_pending": ["pending USING INTEGER PRIMARY KEY (rowid=?)"],
    "last_seq": ["sqlite_sequence"],
    "devices_counted": ["device USING COVERING INDEX"],
}

#: What a JSON list becomes inside a statement may be scanned, and what was found for one event or user; and
#: tables that have a row for each rule, or for each path that it reads.
SMALL = (
    "CONSTANT ROW",
    "VIRTUAL TABLE",
    "(subquery",
    "SCAN asked",
    "SCAN own",
    "SCAN every",
    "SCAN rule_last",
    "SCAN rule_path",
    "SCAN mapping_log",
)


async def plan_of(journal: SqliteJournal, name: str) -> list[str]:
    sql, values = queries()[name], defaultdict[str, int](int)
    if sql.endswith(" IN"):
        sql = f"{sql} (x'00', x'01')"

    def explain(connection: sqlite3.Connection) -> list[str]:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]

    return await journal._read(explain)


@pytest.fixture(params=["empty", "ten thousand events, analysed"])
async def filled(request: pytest.FixtureRequest, journal: SqliteJournal) -> SqliteJournal:
    if request.param == "empty":
        return journal
    for batch in range(10):
        entries = [entry(f"m{batch}-{n}", user_hash=n) for n in range(1000)]
        await journal.append(entries)
    await journal._write(lambda connection: connection.execute("ANALYZE").fetchall())
    return journal


async def test_each_statement_uses_its_index(filled: SqliteJournal) -> None:
    assert await unindexed(filled) == {}


async def unindexed(journal: SqliteJournal) -> dict[str, Any]:
    """The statements that do not find their rows as they should: what their plans lack, and the plans."""
    wrong = {}
    for name, expected in PLANS.items():
        # Some versions of SQLite know that a partial index covers what it is about.
        plan = [
            step.replace("COVERING INDEX pending_user", "INDEX pending_user")
            for step in await plan_of(journal, name)
        ]
        missing = [part for part in expected if f"SEARCH {part}" not in plan]
        scanned = [step for step in plan if step.startswith("SCAN") and not _is_small(step)]
        if missing or scanned:
            wrong[name] = (missing, plan)
    return wrong


async def test_other_lanes_rows_are_passed_over_without_reading_the_table(
    journal: SqliteJournal,
) -> None:
    sql = queries()["lane_heads"]

    def opcodes(connection: sqlite3.Connection) -> list[tuple[str, int]]:
        program = connection.execute(f"EXPLAIN {sql}", defaultdict[str, int](int)).fetchall()
        return [(opcode, cursor) for _, opcode, cursor, *_ in program]

    program = await journal._read(opcodes)
    index = next(cursor for opcode, cursor in program if opcode == "SeekGT")
    compared = next(at for at, (opcode, _) in enumerate(program) if opcode == "Ne")
    asked = {cursor for opcode, cursor in program if opcode == "OpenEphemeral"}
    read = {cursor for opcode, cursor in program[:compared] if opcode == "Column"}
    assert read - asked == {index}


async def test_counting_reads_nothing_but_what_it_counts(journal: SqliteJournal) -> None:
    for name, expected in COUNTS.items():
        plan = await plan_of(journal, name)
        for part in expected:
            assert any(part in step for step in plan), (name, part, plan)
        assert not any(
            step == f"SCAN {table}" for step in plan for table in ("send", "event", "dead")
        )


def test_no_two_statements_have_one_name() -> None:
    folder = files("bridge.journal").joinpath("sql")
    text = "".join(file.read_text(encoding="utf-8") for file in folder.iterdir())
    assert len(re.findall(r"(?m)^-- \w+ --$", text)) == len(queries())


def _of_file(name: str) -> set[str]:
    text = files("bridge.journal").joinpath("sql", name).read_text(encoding="utf-8")
    return set(re.findall(r"(?m)^-- (\w+) --$", text))


#: What is removed, by whatever leads to it: see the next test.
ELSEWHERE = _of_file("erasures.sql") | _of_file("retention.sql") | _of_file("identities.sql")


#: What is about all of a table, and very rare.
WHOLE = _of_file("salvage.sql") | _of_file("setback.sql")


async def test_nothing_is_removed_by_reading_a_table(filled: SqliteJournal) -> None:
    # A row a day and app; and the rows of lists that are given.
    small = (
        "SCAN reached_day",
        "SCAN json_each",
        "SCAN o",
        "SCAN one",
        "SCAN CONSTANT ROW",
        "SCAN (subquery",
    )
    wrong = {
        name: step
        for name in ELSEWHERE
        if not name.startswith(("append_", "erase_", "are_"))
        for step in await plan_of(filled, name)
        if step.startswith("SCAN") and not step.startswith(small)
    }
    assert wrong == {}


async def test_every_statement_that_reads_is_in_the_table() -> None:
    writes = {name for name in queries() if name.startswith("append_")}
    writes |= {"write_call", "write_group", "revive", "meta_set", "set_gate"}
    writes |= {
        "keep_membership",
        "next_run",
        "take_place",
        "keep_pace",
        "learn",
        "learn_many",
        "write_group_call",
    }
    writes |= {
        "meta_keep",
        "works",
        "begin_alone",
        "keep_audit",
        "release_slowly",
        "hold_on",
        "keep_alert",
    }
    assert set(PLANS) | set(COUNTS) | TAIL | writes | ELSEWHERE | WHOLE == set(queries())


async def test_the_work_of_one_event_does_not_grow_with_the_journal(journal: SqliteJournal) -> None:
    """Steps of SQLite's machine for a send and its end, in a small journal and in a large one."""

    async def steps(name: str) -> int:
        ((seq, _),) = await journal.append([entry(name, user_hash=1)])
        await write(journal, new_send(seq, name))
        await journal.end_send(seq, name, end(key=name), death=None, at_ms=0)
        counted = [0]

        def count() -> int:
            counted[0] += 1
            return 0

        def work(connection: object) -> None:
            finish(journal._writer._connection, [seq])

        journal._writer._connection.set_progress_handler(count, 1)
        await journal._write(work)
        journal._writer._connection.set_progress_handler(None, 1)
        return counted[0]

    small = await steps("small")
    for number in range(3):
        await dead_send(journal, f"dead{number}", f"dead{number}")
    await journal.append([entry(f"m{n}") for n in range(20_000)])
    large = await steps("large")
    assert small > 0
    assert large <= small * 1.2
    assert await select(journal, "SELECT count(*) FROM pending") == [(20_000,)]


def _is_small(step: str) -> bool:
    return any(part in step for part in SMALL)
