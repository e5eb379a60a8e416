"""The journal against a plain dictionary: whatever is done in whatever order, nothing is lost."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bridge.journal.piles import Choice
from bridge.journal.records import End
from bridge.journal.sqlite import SqliteJournal, open_sqlite
from tests.journal.making import NOW, chain, death, end, entry, new_send, outcomes, select, write

T = TypeVar("T")
USERS = (7, 8, 7 + 256)
RULES = ("one", "two")
OPERATION = "send_notification"
ENDS = ("delivered", "no_recipients", "skipped", "dead")


@dataclass
class Known:
    """What a dictionary knows of an event: whether it waits, and how its operations ended."""

    user: int
    pending: bool
    done: set[str] = field(default_factory=set)
    ends: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)
    only: set[str] | None = None
    #: Replayed while it waited: who works on it may not know.
    revived: set[str] = field(default_factory=set)


class JournalMachine(RuleBasedStateMachine):
    """Each run has a file and a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "bridge.db"
        self.journal = self.run(self._open())
        self.messages: dict[str, int] = {}
        self.events: dict[int, Known] = {}
        self.sends: dict[str, tuple[int, str, str]] = {}
        self.generation: dict[tuple[int, str], int] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def _open(self) -> SqliteJournal:
        # Some events are in the tail, and some are not.
        return open_sqlite(self.path, tail_rows=4)

    def teardown(self) -> None:
        self.run(self.journal.close())
        self.runner.close()
        self.folder.cleanup()

    def pick(self, data: st.DataObject, seqs: list[int]) -> int:
        return data.draw(st.sampled_from(sorted(seqs)), label="seq")

    # What may happen ------------------------------------------------------------------------------

    @initialize()
    def begins_empty(self) -> None:
        assert self.journal.is_new

    @rule(
        names=st.lists(st.integers(0, 30), max_size=5),
        user=st.sampled_from(USERS),
        works=st.booleans(),
    )
    def append(self, names: list[int], user: int, works: bool) -> None:  # noqa: FBT001 — hypothesis passes by name
        ended = None if works else End("", "", "skipped", "no_rule")
        entries = [
            entry(f"m{name}", user_hash=user, rank=0 if works else None, ended=ended)
            for name in names
        ]
        for one, kept in zip(entries, self.run(self.journal.append(entries)), strict=True):
            assert kept.duplicate == (one.message_id in self.messages)
            assert kept.seq == self.messages.setdefault(one.message_id, kept.seq)
            if not kept.duplicate:
                assert kept.seq > max(self.events, default=0)
                self.events[kept.seq] = Known(user, pending=works)
                if not works:
                    self.events[kept.seq].ends["/"] = "skipped"

    def writable(self) -> list[tuple[int, str]]:
        """Events, and rules of which a send of them may be written."""
        return [
            (seq, name)
            for seq, one in self.events.items()
            for name in RULES
            if one.pending and (one.only is None or self._mark(name) in one.only - one.done)
        ]

    def _mark(self, name: str) -> str:
        return f"{name}/{OPERATION}"

    @precondition(lambda self: self.writable())
    @rule(data=st.data())
    def write_send(self, data: st.DataObject) -> None:
        seq, name = data.draw(st.sampled_from(self.writable()))
        known, mark = self.events[seq], self._mark(name)
        generation = self.generation.setdefault((seq, name), 0)
        key = f"{seq}-{name}-{generation}"
        row = next(one for one in self.run(chain(self.journal, known.user)) if one.seq == seq)
        assert row.generations.get(mark, 0) == generation
        done = known.done | {mark}
        new = new_send(seq, key, rule=name, user_hash=known.user, generation=generation)
        written = self.run(write(self.journal, new, done=done))
        assert written == (key not in self.sends)
        if written:
            self.sends[key] = (seq, name, "pending")
            known.done = done
            known.open[mark] = key

    def with_sends(self) -> list[int]:
        return [seq for seq, one in self.events.items() if one.open]

    @precondition(lambda self: self.with_sends())
    @rule(data=st.data(), status=st.sampled_from(ENDS))
    def end_send(self, data: st.DataObject, status: str) -> None:
        seq = self.pick(data, self.with_sends())
        known = self.events[seq]
        mark = data.draw(st.sampled_from(sorted(known.open)))
        key, name = known.open.pop(mark), mark.split("/")[0]
        died = death(rule=name, key=key) if status == "dead" else None
        ended = end(status, key=key, rule=name)
        self.run(self.journal.end_send(seq, key, ended, death=died, at_ms=NOW))
        self.sends[key] = (seq, name, status)
        known.ends[mark] = status

    def finishable(self) -> list[int]:
        """Not while a send that is planned anew has not been written."""
        unwritten = {
            seq
            for seq, name in self.writable()
            if self._mark(name) in (self.events[seq].only or ())
        }
        waits = {seq for seq, one in self.events.items() if one.pending and not one.open}
        return sorted(waits - unwritten)

    @precondition(lambda self: self.finishable())
    @rule(data=st.data(), status=st.sampled_from(("delivered", "dead")))
    def finish(self, data: st.DataObject, status: str) -> None:
        """The updates of the event end, and with them the event, but for what was replayed meanwhile."""
        seq = self.pick(data, self.finishable())
        known = self.events[seq]
        mark = "tags/update_user"
        ends, deaths = [], []
        if mark not in known.ends and (known.only is None or mark in known.only):
            ends = [end(status, key=None, rule="tags", operation="update_user")]
            known.ends[mark] = status
        if ends and status == "dead":
            deaths = [death(rule="tags", operation="update_user", key=None)]
        self.run(self.journal.finish(seq, ends, deaths=deaths, at_ms=NOW))
        left = known.revived - known.ends.keys()
        known.pending = bool(left)
        known.done, known.only, known.revived = set(), left or None, set()

    def dead(self) -> list[tuple[int, str]]:
        return sorted(
            (seq, mark)
            for seq, one in self.events.items()
            for mark, status in one.ends.items()
            if status == "dead"
        )

    @precondition(lambda self: self.dead())
    @rule(data=st.data(), how=st.sampled_from(("same key", "new key", "planned anew")))
    def revive(self, data: st.DataObject, how: str) -> None:
        seq, mark = data.draw(st.sampled_from(self.dead()))
        known, name, same_key = self.events[seq], mark.split("/")[0], how == "same key"
        letters = self.run(self.journal.dead_letters(Choice(rule=name), limit=1000))
        (dead,) = [letter for letter in letters if letter.seq == seq]
        send, replan = None, how == "planned anew"
        if dead.send_key is not None and replan:
            self.sends[dead.send_key] = (*self.sends[dead.send_key][:2], "replayed")
            self.generation[seq, name] += 1
        elif dead.send_key is not None:
            was = self.sends[dead.send_key]
            self.generation[seq, name] += not same_key
            generation = self.generation[seq, name]
            key = dead.send_key if same_key else f"{seq}-{name}-{generation}"
            if not same_key:
                self.sends[dead.send_key] = (*was[:2], "replayed")
            self.sends[key] = (*was[:2], "pending")
            send = new_send(seq, key, rule=name, user_hash=known.user, generation=generation)
            known.open[mark] = key
        for times in (1, 0):
            revived = self.journal.revive(dead.id, send=send, at_ms=NOW, replan=replan)
            assert self.run(revived) == times
        self._revived(known, mark, sends=send is not None)

    def _revived(self, known: Known, mark: str, *, sends: bool) -> None:
        del known.ends[mark]
        if not known.pending:
            known.only, known.done = {mark}, set()
        else:
            known.revived.add(mark)
            if known.only is not None:
                known.only.add(mark)
        known.pending = True
        known.done.discard(mark)
        if sends:
            known.done.add(mark)

    @rule()
    def reopen(self) -> None:
        self.run(self.journal.close())
        self.journal = self.run(self._open())
        kept = not self.journal.is_new
        assert kept

    # What must always be so -----------------------------------------------------------------------

    @invariant()
    def what_waits_is_what_should(self) -> None:
        waiting = {row.seq: row for user in USERS for row in self.run(chain(self.journal, user))}
        assert set(waiting) == {seq for seq, one in self.events.items() if one.pending}
        for seq, row in waiting.items():
            known = self.events[seq]
            assert (row.done, row.user_hash) == (frozenset(known.done), known.user)
            assert row.only == (None if known.only is None else frozenset(known.only))
            assert {send.key for send in row.sends} == set(known.open.values())

    @invariant()
    def what_does_not_wait_has_ended(self) -> None:
        kept = {
            (seq, f"{name}/{operation}"): status
            for seq, name, operation, status, _ in self.run(outcomes(self.journal))
        }
        assert kept == {
            (seq, mark): status
            for seq, one in self.events.items()
            for mark, status in one.ends.items()
        }
        assert all(one.pending or one.ends for one in self.events.values())

    @invariant()
    def each_send_is_there_once_and_open_ones_have_their_call(self) -> None:
        rows = self.run(select(self.journal, "SELECT key, seq, rule, state FROM send"))
        assert len(rows) == len(self.sends)
        assert {key: (seq, name, state) for key, seq, name, state in rows} == self.sends
        calls = self.run(select(self.journal, "SELECT key FROM call"))
        assert {key for (key,) in calls} == {
            key for key, (_, _, state) in self.sends.items() if state == "pending"
        }

    @invariant()
    def counts_agree(self) -> None:
        counts = self.run(self.journal.counts())
        assert counts.pending == sum(one.pending for one in self.events.values())
        assert counts.dead == len(self.dead())


@pytest.mark.slow
def test_nothing_is_lost_whatever_happens_in_whatever_order() -> None:
    run_state_machine_as_test(
        JournalMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
