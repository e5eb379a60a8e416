"""The tail of a SQLite journal: its newest events, known in memory until their indexes are written.

An event's messageId and its user each fall on a page of their own, in `dedupe` and in
`pending_user`: a group of fifty events would write a hundred pages of 4 KB for two kilobytes of
keys, and that is more than all else that a group writes. So what is new is only appended, to
`tail`, and found by two dictionaries. When there are `TAIL_ROWS`, one transaction puts all of
them into both indexes, each page once for many events; and one that has ended by then is spared
the index of its user altogether.

Nothing depends on the memory of a process: `tail` is written with the events and emptied with the
transaction that indexes them, so a tail is read back as it was. Whoever reads a user's events asks
for the tail's part *before* the reading begins: an event that leaves the tail in between is in the
index by then, and one that comes is nobody's yet.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from bridge import failpoints
from bridge.journal import sqlite_rows as rows
from bridge.journal.erasures import ERASED, NOT_GONE, Gone, late
from bridge.journal.identities import Person
from bridge.journal.queries import queries
from bridge.journal.records import Appended, Changed, Entry, Link, made
from bridge.journal.sqlite_erasures import ask
from bridge.journal.sqlite_identities import Linked, link, news, persons

TAIL_ROWS = 4000
"""More would save little, and whoever comes meanwhile waits 20 ms for this many to be indexed."""


BESIDE_ROWS = 100
"""So many events are written by the disk's thread while the loop goes on. With fewer of them the loop
is sooner done than the other thread, which waits for the interpreter after each statement."""


class Tail:
    """What was appended since the indexes were last written; only the writer's group changes it."""

    def __init__(self, connection: sqlite3.Connection, *, most: int) -> None:
        self._most = most
        self.last_seq: int = connection.execute(queries()["last_seq"]).fetchone()[0]
        self._rows = 0
        self._heard: dict[bytes, int] = {}
        self._users: dict[int, list[int]] = {}
        self._uncommitted: list[bytes] = []
        #: What writes the group's events, where that is left to the disk's thread.
        self._statements: list[rows.Statement] = []
        #: Somebody was found to be another, so it has to be asked whether this one was.
        self.linked: bool = connection.execute(queries()["are_linked"]).fetchone()[0] == 1
        #: Somebody was erased, so it has to be asked whether it was this one.
        self.erasures: bool = connection.execute(queries()["are_erased"]).fetchone()[0] == 1
        for seq, key, user in connection.execute(queries()["tail"]):
            self._add(seq, key, user)

    def __repr__(self) -> str:
        return f"<Tail of {self._rows} events, last seq {self.last_seq}>"

    @property
    def is_full(self) -> bool:
        return self._rows >= self._most

    def of(self, user: int) -> Sequence[int]:
        """The seqs of a user's events in the tail, ascending; some may have ended, or never begun."""
        return tuple(self._users.get(user, ()))

    def append(self, connection: sqlite3.Connection, entries: list[Entry]) -> list[Appended]:
        """Write those that were not heard before; part of a group's transaction."""
        heard = self._heard_of(connection, entries)
        known = self._known_of(connection, entries)
        erased = self._erased_of(connection, entries, known)
        appended: list[Appended] = []
        fresh: list[tuple[int, Entry]] = []
        #: What is done once they are written, in their order.
        after: list[tuple[int, Entry] | Linked] = []
        seq = self.last_seq
        for entry in entries:
            key = entry.dedupe_key
            before = None if key is None else self._heard.get(key) or heard.get(key)
            if before is not None:
                appended.append(made(Appended, (before, True)))
                continue
            seq += 1
            if known is None and not erased and entry.erases_ms is None:
                appended.append(made(Appended, (seq, False)))
            else:
                kept, links = _kept(entry, {} if known is None else known, erased)
                appended.append(_appended(seq, entry, kept, links))
                if kept.erases_ms is not None:
                    after.append((seq, kept))
                after += [Linked(seq, kept, *one) for one in links]
                entry = kept  # noqa: PLW2901 — what is kept is not always what came
            fresh.append((seq, entry))
            self._add(seq, key, None if entry.rank is None else entry.user_hash)
            if key is not None:
                self._uncommitted.append(key)
        # Also when the group fails: a seq that was given out once is never another event's.
        self.last_seq = seq
        dead = [entry for _, entry in fresh if entry.ended is not None and entry.is_dead]
        if after or dead or len(fresh) < BESIDE_ROWS:
            rows.insert_events(connection, fresh)
            rows.insert_dead(connection, fresh)
        else:
            self._statements = rows.event_statements(fresh)
        for one in after:
            self._follow(connection, one)
        return appended

    def _follow(self, connection: sqlite3.Connection, one: tuple[int, Entry] | Linked) -> None:
        if not isinstance(one, Linked):
            self.erasures = True
            ask(connection, *one)
            return
        self.linked = True
        other, person = one.link.id_hash, one.person.user_hash
        # The other's list stays: whoever reads by it finds that its events are another's.
        self._users[person] = sorted({*self.of(person), *self.of(other)})
        link(connection, one, self.of(other))

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write what `append` left for the disk's thread, before the group's commit."""
        statements, self._statements = self._statements, []
        rows.execute(connection, statements)

    def undo(self) -> None:
        """The group was not committed: what it appended was not heard."""
        for key in self._uncommitted:
            self._heard.pop(key, None)
        self._uncommitted.clear()
        self._statements = []

    def keep(self) -> None:
        """The group was committed."""
        self._uncommitted.clear()

    def index(self, connection: sqlite3.Connection) -> None:
        """Write all of it into the indexes, in a transaction of its own; then `forget` it."""
        connection.execute("BEGIN IMMEDIATE")
        for name in ("index_dedupe", "index_pending", "index_done"):
            connection.execute(queries()[name])
        failpoints.reached("tail.indexing")
        connection.execute("COMMIT")

    def forget(self) -> None:
        """Everything is in the indexes."""
        self._rows = 0
        self._heard, self._users = {}, {}

    def _heard_of(self, connection: sqlite3.Connection, entries: list[Entry]) -> dict[bytes, int]:
        """Which of these are in the index already."""
        known = self._heard
        keys = [key for e in entries if (key := e.dedupe_key) is not None and key not in known]
        return rows.heard(connection, keys)

    def _known_of(
        self, connection: sqlite3.Connection, entries: list[Entry]
    ) -> dict[int, Person] | None:
        """Whom they were found to be; None when nobody was, and none of them says so of anybody."""
        linking = [link.id_hash for entry in entries if entry.links for link in entry.links]
        if not (self.linked or linking):
            return None
        return persons(connection, list({*(entry.user_hash for entry in entries), *linking}))

    def _erased_of(
        self,
        connection: sqlite3.Connection,
        entries: list[Entry],
        known: dict[int, Person] | None,
    ) -> dict[int, Gone]:
        """Who of them was erased, or is to be."""
        if not self.erasures:
            return {}
        users = {entry.user_hash for entry in entries}
        users |= {person.user_hash for person in (known or {}).values()}
        users |= {link.id_hash for entry in entries if entry.links for link in entry.links}
        return rows.erased(connection, list(users))

    def _add(self, seq: int, key: bytes | None, user: int | None) -> None:
        self._rows += 1
        if key is not None:
            self._heard[key] = seq
        if user is not None:
            # Before the commit, because a reader may see the event before we hear of it.
            self._users.setdefault(user, []).append(seq)


def _kept(
    entry: Entry, known: dict[int, Person], erased: dict[int, Gone]
) -> tuple[Entry, list[tuple[Link, Person]]]:
    """What is kept of an entry, given who its user is and who was erased; and the links that are news."""
    said = entry.user_hash
    person = known.get(said)
    if person is not None:
        entry = entry._replace(user_hash=person.user_hash)
    if entry.erases_ms is not None:
        before = erased.get(entry.user_hash, NOT_GONE).before_ms
        erased[entry.user_hash] = Gone(max(entry.erases_ms, before), under_way=True)
        return entry, []
    # The id may have been erased before it was found to be anybody's.
    if any(erased.get(one, NOT_GONE).is_late(entry) for one in (said, entry.user_hash)):
        return late(entry), []
    if erased and entry.links:
        entry = _of_the_living(entry, erased)
    links = news(entry, known) if entry.links else []
    if not links and entry.unlinked is not None:
        entry = entry.unlinked._replace(user_hash=entry.user_hash)
    return entry, links


def _of_the_living(entry: Entry, erased: dict[int, Gone]) -> Entry:
    """Without links to those who were erased after the event; and with none while either side is being erased.

    What is erased is what was there when it was asked for: meanwhile nobody is given to another, who would
    go along, or be kept. Whoever signs up again is linked by the next event that says so.
    """
    if erased.get(entry.user_hash, NOT_GONE).under_way:
        links: list[Link] = []
    else:
        others = [(one, erased.get(one.id_hash, NOT_GONE)) for one in entry.links]
        links = [one for one, gone in others if not (gone.under_way or gone.is_late(entry))]
    if links or entry.unlinked is None:
        return entry._replace(links=links)
    return entry._replace(links=(), unlinked=entry.unlinked._replace(ended=ERASED))


def _appended(seq: int, came: Entry, kept: Entry, links: list[tuple[Link, Person]]) -> Appended:
    if kept is came and not links:
        return Appended(seq, duplicate=False)
    changed = Changed(seq, duplicate=False)
    changed.kept, changed.linked = kept, [one.id_hash for one, _ in links]
    return changed
