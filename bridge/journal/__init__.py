"""What we heard, what we owe, what became of it: the journal keeps events and promises.

It holds no opinion about either: it imports nothing of Segment, OneSignal or the mapping language.
`append` is the only way in and does not return before the event is on disk. Every other method
moves work along, each in one transaction, so that a crash leaves either side of it and never half.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bridge.journal.devices import Device, Devices
from bridge.journal.erasures import Erasures, Noted
from bridge.journal.groups import Groups
from bridge.journal.identities import Identities
from bridge.journal.looks import Looks
from bridge.journal.piles import EVERYTHING, Choice, DeadCount, Piles
from bridge.journal.records import (
    Acked,
    Appended,
    Audited,
    Called,
    Counts,
    Dead,
    Death,
    End,
    Entry,
    GateRow,
    Head,
    Learnt,
    Loaded,
    NewSend,
    Send,
)
from bridge.journal.retention import Retention
from bridge.journal.sends import Sends
from bridge.journal.tallies import Tallies
from bridge.journal.trace import Asked, Traces


class Journal(Protocol):
    """A durable record of events and of the work that they mean."""

    @property
    def is_new(self) -> bool:
        """Nothing was in it when it was opened."""

    @property
    def sends(self) -> Sends:
        """Writing sends, and what is held."""

    @property
    def groups(self) -> Groups:
        """Sends that share a call."""

    @property
    def devices(self) -> Devices:
        """Whose devices are whose."""

    @property
    def identities(self) -> Identities:
        """Ids of one person."""

    @property
    def erasures(self) -> Erasures:
        """Leaving nothing of a user."""

    @property
    def retention(self) -> Retention:
        """Removing what has been kept for long enough."""

    @property
    def looks(self) -> Looks:
        """What people look at."""

    @property
    def tallies(self) -> Tallies:
        """What is counted for people."""

    @property
    def piles(self) -> Piles:
        """What waits for a person."""

    def user_hash(self, app: str, external_id: str) -> int:
        """A keyed hash of a user of an app: 63 bits, never 0; tells nothing about the id."""

    def hash_of(self, app: str, label: str, id_: str) -> int:
        """The same of whoever goes by an id under a label; `external_id` is the user of that id."""

    def dedupe_key(self, source: str, message_id: str) -> bytes:
        """16 bytes by which a repeated messageId of a source is known."""

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        """Keep events; returns when all of them are on disk, in their order.

        Raises:
            JournalUnavailableError: none of them is kept; the sender should try again.
        """

    async def heads(
        self, lanes: Sequence[int], *, app: str, rank: int, after: Sequence[int], limit: int
    ) -> list[list[Head]]:
        """For each lane, users of the app with work in this rank, above that lane's cursor."""

    async def chains(self, users: Sequence[int], *, limit: int) -> dict[int, Loaded]:
        """The pending events of these users, at most `limit` for each, and their state."""

    async def state(self, user_hash: int) -> bytes | None:
        """What was written for a user, as it was last learnt."""

    async def ack(
        self,
        acked: Sequence[Acked],
        *,
        learnt: Sequence[Learnt] = (),
        device: Device | None = None,
        at_ms: int,
    ) -> None:
        """What one call did, or that none was needed: every end of it and what it taught, at once.

        `device` is this user's from now on, and nobody else's.
        """

    async def postpone(
        self,
        seq: int,
        *,
        not_before_ms: int,
        attempt: int,
        error: str,
        now_ms: int,
        learnt: Sequence[Learnt] = (),
    ) -> None:
        """An update will be tried again, not before that time."""

    async def last_heard_ms(self) -> int:
        """When the newest event was received, by the clock of then; 0: there is none."""

    async def set_back(self, *, by_ms: int, now_ms: int) -> None:
        """The clock was set back by so much: what was to wait until a time waits no longer for it.

        Nor does what was sent count for longer.
        """

    async def retry_call(
        self, key: str, *, not_before_ms: int, attempt: int, uncertain: bool, error: str
    ) -> None:
        """A call will be tried again; `uncertain` when the last attempt may have been performed."""

    async def end_send(
        self, seq: int, key: str, end: End, *, death: Death | None, at_ms: int
    ) -> None:
        """A send has ended, and with its last member the call."""

    async def finish(
        self, seq: int, ends: Sequence[End], *, deaths: Sequence[Death], at_ms: int
    ) -> None:
        """Nothing of the event is left to do; these are the ends not yet written."""

    async def drop_unused(self, *, after: int, before_ms: int, limit: int) -> int | None:
        """Look at the state of `limit` users, and drop what was not used since `before_ms`.

        The user hash after which to go on; None when there is none left.
        """

    async def dead_letters(
        self, choice: Choice = EVERYTHING, *, after: int = 0, limit: int = 100
    ) -> list[Dead]:
        """Dead letters in the order of their death, from the one after id `after`."""

    async def dead_letter(self, dead_id: int) -> Dead | None: ...

    async def dead_counts(self, choice: Choice = EVERYTHING) -> list[DeadCount]:
        """How many, by reason and rule, most first, and the newest of each."""

    async def user_of(self, seq: int) -> tuple[str, int] | None:
        """The app that an event goes to, and the hash of the user that it is about."""

    async def send(self, key: str) -> Send | None: ...

    async def revive(
        self, dead_id: int, *, send: NewSend | None, at_ms: int, replan: bool = False
    ) -> int:
        """Put a dead operation back to work, with all that can only be done with it.

        How many; 0 when it is not dead any more. A send comes with its call: under its own key when
        OneSignal may have performed it, under a key of the next generation when it certainly did
        not. `replan`: it certainly did not, and its event is to be planned for another.
        """

    def log_call(self, called: Called) -> None:
        """Keep an attempt at OneSignal: it is on disk no later than what is asked for after it."""

    async def drop_calls(self, *, before_ms: int, limit: int) -> int:
        """Forget some of the attempts before that time, oldest first; 0 when none of them is left.

        How many rows went, not more than about twice `limit`.
        """

    async def forget_calls(self, user_hash: int) -> int:
        """Forget every attempt that the events of a user made or that was about the user; how many.

        While the events are there: it is by them that the attempts are found.
        """

    async def traces(self, asked: Asked) -> Traces:
        """What became of a user's newest events, or of a message, up to this moment."""

    def note_mapping(self, source: str, revision: str, *, rules: Sequence[str], at_ms: int) -> None:
        """A source has this mapping, of these rules, from now on; nobody waits for that to be on disk."""

    async def begin_work(self) -> bool:
        """Say that work begins; whether the last to begin also ended. True for a new journal."""

    async def end_work(self) -> None:
        """Say that it has ended."""

    async def begin_alone(self, seq: int) -> int:
        """An event begins; how often it has now begun since it was last survived."""

    async def suspects(self, app: str) -> list[int]:
        """Users of whom an event was begun and not survived, the most suspicious first."""

    async def survived(self, seq: int) -> None:
        """It did not end us."""

    async def note(self, noted: Noted) -> None:
        """Add a line to the audit trail: returns when it is on disk."""

    async def gates(self) -> list[GateRow]:
        """Everything that holds calls back."""

    async def set_gate(self, gate: GateRow) -> None:
        """Keep this instead of what was kept under its key."""

    async def drop_gate(self, key: str) -> None: ...

    async def audit(self, audited: Audited) -> None:
        """Keep a notification that is to be looked at."""

    async def audit_next(self, app: str) -> Audited | None:
        """The first of an app's that is due, whenever that is."""

    async def audit_done(self, notification: str) -> None: ...

    async def counts(self) -> Counts: ...

    async def pending_apps(self) -> dict[str, int]:
        """How many events wait for each app; one that is not configured any more is nobody's work."""

    async def still_pending(self, seqs: Sequence[int]) -> list[int]:
        """Which of these events have operations that have not ended."""

    async def close(self) -> None:
        """Finish what was asked, then let go of the database."""
