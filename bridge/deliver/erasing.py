"""Erasing a user: every trace here, the user at OneSignal, and what was under way meanwhile.

The user's own chain does it, before anything else: what waits for the user ends as discarded,
`erased`, and is not attempted any more, however long OneSignal is away. The event that asked for it stays
pending until nothing is left, so that a process that ends in between goes on at its next start; each
step may be done again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.deliver.alone import Alone
from bridge.deliver.attempts import Wait
from bridge.deliver.given_up import is_nobodys, noted
from bridge.deliver.known import Known
from bridge.deliver.means import Means
from bridge.deliver.restore import ALIAS
from bridge.deliver.state import TAG, Row, blanked, decode
from bridge.deliver.together import Together
from bridge.deliver.updates import wait_of
from bridge.deliver.work import Work, ack, finished
from bridge.journal import Journal
from bridge.journal.records import LIVE, Changed, End, Entry, Loaded, operation_name
from bridge.onesignal.api import without
from bridge.onesignal.operations import DeleteUser, Operation, Recipient, UpdateUser
from bridge.plan import Plan, plan_erasure
from bridge.plan.restraint import restrain
from bridge.segment.deletion import DELETE, ERASED_FOR_MS, deleted_id, deletion
from bridge.telemetry import log

SOURCE = "bridge"
"""The source of what nobody sent: the person who runs this asks for it."""
EVENTS_AT_ONCE = 200
"""In one transaction: a few milliseconds of the loop."""
_UNDER_WAY_SECONDS = 10.0


async def forget(journal: Journal, app: str, external_id: str, *, now_ms: int) -> int:
    """Ask for a user of an app to be erased; the hash of the user, whose chain has to hear of it."""
    user_hash, message_id = journal.user_hash(app, external_id), f"forget-{uuid.uuid4()}"
    entry = Entry(
        source=SOURCE,
        app=app,
        message_id=message_id,
        dedupe_key=None,
        type=DELETE,
        name=None,
        user_hash=user_hash,
        received_ms=now_ms,
        event_ms=now_ms,
        payload=deletion(external_id, message_id=message_id, at_ms=now_ms),
        rank=LIVE,
        erases_ms=now_ms + ERASED_FOR_MS,
    )
    (appended,) = await journal.append([entry])
    return appended.kept.user_hash if isinstance(appended, Changed) else user_hash


async def sweep(
    journal: Journal,
    user_hash: int,
    *,
    others: Sequence[int],
    given_up: Sequence[int] = (),
    now_ms: int,
    keep_names: bool = False,
) -> tuple[dict[str, int], int]:
    """Remove all that can be; how many operations that ended, by rule, and what is under way yet.

    `keep_names`: the names of the tags that were written are needed until the erasure is done.
    """
    discarded: dict[str, int] = {}
    while True:
        swept = await journal.erasures.sweep(
            user_hash,
            others=others,
            given_up=given_up,
            limit=EVENTS_AT_ONCE,
            at_ms=now_ms,
            without=without,
            blank=blanked if keep_names else None,
        )
        for rule, count in swept.discarded.items():
            discarded[rule] = discarded.get(rule, 0) + count
        if not swept.more:
            return discarded, swept.under_way


@dataclass(slots=True)
class Erasing:
    """The erasure of one user, in the user's chain."""

    means: Means
    user_hash: int
    #: What is there under other names, of the same person: found when the row is read, before it goes.
    others: tuple[int, ...] = ()
    #: Ids that the user had before, and of which nothing else is known than that.
    given_up: tuple[int, ...] = ()
    #: The user's, when others were found to be the user: one of those may have been named.
    external_id: str | None = None

    async def begin(self, loaded: Loaded, before_ms: int) -> Loaded:
        """Sweep, and leave of what was loaded what the chain has still to do."""
        await self._look(loaded.state)
        self.external_id = loaded.external_id
        await self._sweep()
        rows = [row for row in loaded.rows if row.type == DELETE or row.event_ms > before_ms]
        return Loaded(rows, blanked(loaded.state) if self._keeps_names else None)

    @property
    def _keeps_names(self) -> bool:
        """Who cannot be deleted there has at least those tags emptied that were written."""
        return not self.means.destination.api.HAS_USERS

    async def _look(self, state: bytes | None) -> None:
        """Which ids the user has, and has had, while there are the rows that say so."""
        journal, rows = self.means.journal, [decode(state)]
        if journal.identities.any:
            ids = await journal.identities.ids(self.user_hash)
            rows += [decode(await journal.state(one.id_hash)) for one in ids]
        self.others = tuple(hash_ for row in rows for hash_ in self._aliases(row))
        before = [one for row in rows for one in noted(row).items()]
        known = [(name, await journal.state(name), at) for name, at in before]
        self.given_up = tuple(name for name, blob, at in known if is_nobodys(blob, at))

    def _aliases(self, row: Row) -> list[int]:
        app, journal = self.means.destination.name, self.means.journal
        return [
            journal.hash_of(app, name.removeprefix(ALIAS), str(fact.value))
            for name, fact in row.items()
            if name.startswith(ALIAS) and fact.value is not None
        ]

    async def run(self, work: Work, known: Known, together: Together) -> Wait | None:
        """Carry out the event that asks for it; None when nothing is left to do of it."""
        planned = restrain(await self._planned(work, known), self.means.restraint)
        # Nothing ends the event but its last step.
        work.more = True
        if planned.skips and not work.progress.done:
            for skip in planned.skips:
                work.progress.add(
                    End(skip.rule, skip.operation, "skipped", skip.reason, skip.detail)
                )
            await ack(self.means, [work])
        left = [
            one for one in planned.operations if operation_name("", one.name) not in work.row.done
        ]
        work.left = len(left)
        for one in left:
            wait = await self._at_onesignal(work, known, together, one)
            if wait is not None:
                return wait
        if (wait := await together.flush()) is not None:
            return wait
        return await self._finish(work)

    async def _planned(self, work: Work, known: Known) -> Plan:
        row = await known.row(self.user_hash) if self._keeps_names else {}
        tags = [name.removeprefix(TAG) for name in row if name.startswith(TAG)]
        external_id = self.external_id or deleted_id(work.row.payload)
        ids = await self.means.journal.identities.ids(self.user_hash)
        others = [Recipient(one.label, one.id) for one in ids]
        return plan_erasure(external_id, self.means.destination.api, tags, others=others)

    async def _at_onesignal(
        self, work: Work, known: Known, together: Together, one: Operation
    ) -> Wait | None:
        if isinstance(one, UpdateUser):
            return await together.add(work, one)
        if isinstance(one, DeleteUser):
            return await Alone(self.means, known, work, one).run(together)
        return None

    async def _finish(self, work: Work) -> Wait | None:
        """What was under way may have left something; it goes before the request itself does."""
        if await self._sweep():
            return wait_of(self.means, _UNDER_WAY_SECONDS)
        now_ms = self.means.clock.now_ms()
        erased = await self.means.journal.erasures.finish(
            work.row.seq, self.user_hash, at_ms=now_ms
        )
        finished(self.means, work)
        if erased is not None:
            log().info("user.erased", **erased.detail)
            self.means.erased()
        return None

    async def _sweep(self) -> int:
        """How many things are under way that have to be swept later."""
        means, now_ms = self.means, self.means.clock.now_ms()
        discarded, under_way = await sweep(
            means.journal,
            self.user_hash,
            others=self.others,
            given_up=self.given_up,
            now_ms=now_ms,
            keep_names=self._keeps_names,
        )
        for rule, count in discarded.items():
            means.metrics.ended(rule, "", "discarded", "erased", count)
        return under_way
