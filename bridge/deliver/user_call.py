"""A write to one user that creates the user, whole, when OneSignal does not know it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.fold import update_of
from bridge.deliver.means import Means
from bridge.deliver.restore import ALIAS, Whole, chunks, whole
from bridge.deliver.state import Fact, Row, Values, doubted
from bridge.deliver.updates import Write
from bridge.deliver.work import Work
from bridge.journal.records import Learnt
from bridge.onesignal.operations import EXTERNAL_ID, SUBSCRIPTION_ID, Recipient, Request
from bridge.onesignal.user_model import create_aliases

UNKNOWN_USER = Ended(status="skipped", reason="unknown_user", http=404)
_CONFLICT = 409


@dataclass(slots=True)
class UserCall:
    means: Means
    works: Sequence[Work]
    user_hash: int
    to: Recipient
    operation: str
    #: What an attempt that may have been performed makes uncertain.
    doubt: Sequence[Learnt] = ()
    #: What the row learns beside the write itself, when the user was not there.
    restored: dict[str, Fact] = field(default_factory=dict)
    created: bool = False

    async def run(self, request: Callable[[], Request], row: Row, write: Values) -> Ended | Wait:
        """Ask for it of a user that is there; `write` is what a user is created with that is not."""
        # What is posted first goes to users that are there, too: they have the rest.
        before = {} if self.means.destination.post_first else row
        aliases = not self._aliases_apart
        everything = partial(whole, before, write, aliases=aliases)
        call = self._write(request, everything)
        ended = await call.run()
        if call.created and isinstance(ended, Ended) and ended.http == _CONFLICT:
            # An alias or a subscription that was this user's has become another's since.
            everything = partial(whole, row, write, identities=False, aliases=aliases)
            call = self._write(request, everything)
            ended = await call.run()
        for work in self.works:
            work.begun = True
        self.created = call.created and isinstance(ended, Ended) and ended.status == "delivered"
        if self.created and isinstance(ended, Ended):
            await self._restore(row, everything(), is_new=ended.http == 201)
            if not aliases:
                await self._restore_aliases(row, write)
            if not aliases and any(name.startswith(ALIAS) for name in write):
                return await self._write(request, everything, is_there=True).run()
        return ended

    @property
    def _aliases_apart(self) -> bool:
        """Whether the user is created without any: who has one, and no external id, would become this user.

        Visitors are known so; and whoever is created by an alias would become anybody who has another.
        """
        return self.to.label != EXTERNAL_ID or self.works[0].mapping.anonymous == "alias"

    async def plain(self, request: Request, absent: Ended) -> Ended | Wait:
        """Ask for it, and end so when what it is about is not there."""
        ended = await self._write(lambda: request, None, absent=absent).run()
        for work in self.works:
            work.begun = True
        return ended

    def _write(
        self,
        request: Callable[[], Request],
        create: Callable[[], Whole] | None,
        *,
        absent: Ended = UNKNOWN_USER,
        is_there: bool = False,
    ) -> Write:
        first, destination = self.works[0], self.means.destination
        wanted = first.mapping.unknown_user != "skip" and self.to.label != SUBSCRIPTION_ID
        may_create = wanted and destination.api.HAS_USERS
        return Write(
            means=self.means,
            row=first.row,
            seqs=[work.row.seq for work in self.works],
            attempt=max(work.row.attempt for work in self.works),
            operation=self.operation,
            user_hash=self.user_hash,
            request=request,
            create=(lambda: create().request(self.to, app_id=destination.app_id))
            if create and may_create
            else None,
            absent=absent,
            doubt=self.doubt[0] if self.doubt else None,
            is_there=is_there,
        )

    async def _restore(self, row: Row, created: Whole, *, is_new: bool) -> None:
        """Write what did not fit; what is not at OneSignal again is not taken for granted."""
        destination = self.means.destination
        post_first = destination.post_first
        if post_first and not is_new:
            return
        lost = [name for name, fact in row.items() if fact.value is not None]
        self.restored = doubted(row, lost)
        self._again(row, created.carried)
        later = whole(row, {}, identities=False) if post_first else created
        for values in chunks({**later.properties, **later.later} if post_first else later.later):
            update = update_of(values, to=self.to)
            request = destination.api.patch_user(update, app_id=destination.app_id)
            ended = await self.plain(request, UNKNOWN_USER)
            if isinstance(ended, Wait) or ended.status != "delivered":
                return
            self._again(row, values)

    async def _restore_aliases(self, row: Row, write: Values) -> None:
        """Those of before, as long as nobody else has one."""
        aliases = {
            name.removeprefix(ALIAS): str(fact.value)
            for name, fact in row.items()
            if name.startswith(ALIAS) and fact.value is not None and name not in write
        }
        if not aliases or self.means.destination.post_first:
            return
        request = create_aliases(self.to, aliases, app_id=self.means.destination.app_id)
        ended = await self.plain(request, UNKNOWN_USER)
        if isinstance(ended, Ended) and ended.status == "delivered":
            self._again(row, [f"{ALIAS}{label}" for label in aliases])

    def _again(self, row: Row, names: Iterable[str]) -> None:
        now = self.means.clock.now_ms()
        self.restored |= {
            name: row[name]._replace(accepted_ms=now) for name in names if name in row
        }
