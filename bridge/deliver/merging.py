"""Making two users one: the first thing that the person's chain does, before any event.

::

    asked    PATCH …/users/by/{label}/{id}/identity {external_id}
               2xx   the other goes by the person's id now
               404   there is no other
               409   OneSignal knows both: the devices move, see `moving`
    owing    what the other had, and the person's user lacks, is written; of two aliases the earlier is free

Between the two, in one transaction, what was written for both becomes one row. The other's user, if
it is still there, is left alone: to delete it would destroy a device that came to it meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from bridge import failpoints
from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.fold import update_of
from bridge.deliver.given_up import given_up
from bridge.deliver.joining import Joined, What, joined
from bridge.deliver.known import Known
from bridge.deliver.means import CREATED_LATELY_SECONDS, Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.restore import ALIAS, chunks, is_property
from bridge.deliver.retry import is_early
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.deliver.state import Fact, Moment, Row, Values, decode, encode
from bridge.deliver.updates import Write, wait_of
from bridge.deliver.user_call import UserCall
from bridge.deliver.work import Work, ack_all
from bridge.journal.records import End, Merge, Waiting
from bridge.onesignal.operations import EXTERNAL_ID, CreateAlias, MergeUsers, Recipient, Request
from bridge.onesignal.user_model import (
    create_alias,
    delete_alias,
    merge_users,
    patch_user,
    set_enabled,
)

_NOT_FOUND, _CONFLICT = 404, 409
_NOBODY = Ended(status="skipped", reason="nobody_to_merge", http=_NOT_FOUND)
_NOT_THERE = Ended(status="delivered", http=_NOT_FOUND)


@dataclass(slots=True)
class Merging:
    """One merge, in the chain of the person."""

    means: Means
    known: Known
    row: Waiting
    merge: Merge
    _detail: list[str] = field(default_factory=list)
    #: Labels of which the person has the other's alias.
    _taken: set[str] = field(default_factory=set)

    async def run(self) -> Wait | None:
        """None when the chain has no more to do for it."""
        if is_early(self.row.not_before_ms, self.means.clock.now_ms()):
            return Wait(until_ms=self.row.not_before_ms)
        if (reason := self.means.restraint.reason(self._operation)) is not None:
            await self._restrained(reason)
            return None
        users = (self.merge.id_hash, self.merge.person_hash)
        spacing = self.means.spacing
        if not all(self.known.may_write(user) for user in users):
            return wait_of(self.means, SPACING_SECONDS)
        if (seconds := max(spacing.wait(user) for user in users)) > 0:
            return wait_of(self.means, seconds)
        with spacing.writing(users[0]), spacing.writing(users[1]):
            if self.merge.state == "asked" and (wait := await self._ask()) is not None:
                return wait
            return await self._pay()

    @property
    def _operation(self) -> MergeUsers:
        other = Recipient(self.merge.label, self.merge.id)
        return MergeUsers(to=Recipient(EXTERNAL_ID, self.merge.external_id), other=other)

    async def _restrained(self, reason: str) -> None:
        end = End("", MergeUsers.name, "skipped", reason)
        await self.means.journal.identities.ended(
            self.merge, end, death=None, at_ms=self.means.clock.now_ms()
        )
        tell(self.means, self.row, [end])

    # Asking ---------------------------------------------------------------------------------------

    async def _ask(self) -> Wait | None:
        own = await self.known.read(self.merge.person_hash)
        its = decode(await self.means.journal.state(self.merge.id_hash))
        failpoints.reached("merge.asking")
        ended = await self._asked(its)
        self.means.spacing.mark(self.merge.person_hash)
        if isinstance(ended, Wait):
            return ended
        what = self._what(ended, its)
        if what == "renamed":
            # Until OneSignal shows it everywhere, a 404 does not say that the person is not there.
            self.means.created.mark(self.merge.person_hash, self.means.clock.monotonic())
            self.means.missing.drop(self.merge.person_hash)
        await self._answered(ended, what, self._joined(own, its, what))
        return None

    def _joined(self, own: Row, its: Row, what: What) -> Joined:
        """Asked again after it was refused, the rows are one already; what was the other's was said then."""
        both = joined(own, its, what)
        before = self.merge.owed.get("left", []) if what == "moved" else []
        return both._replace(free=list(dict.fromkeys([*both.free, *(one[0] for one in before)])))

    async def _asked(self, its: Row) -> Ended | Wait:
        means, operation = self.means, self._operation
        call = Write(
            means=means,
            row=self.row,
            seqs=[self.merge.seq],
            attempt=self.row.attempt,
            operation=MergeUsers.name,
            user_hash=self.merge.id_hash,
            request=lambda: merge_users(operation, app_id=means.destination.app_id),
            create=None,
            absent=_NOBODY,
            new_until_ms=_new_until_ms(its),
        )
        return await call.run()

    def _what(self, ended: Ended, its: Row) -> What:
        if ended.http == _CONFLICT:
            return "moved"
        if ended.status == "delivered":
            return "renamed"
        # An attempt of which we did not hear, or a process before this one did not, may have done it:
        # nobody goes by the old id any more.
        was_there = self.row.attempt > 0 or any(one.accepted_ms is not None for one in its.values())
        lost = was_there and self.merge.label == EXTERNAL_ID
        return "unknown" if lost and ended.http == _NOT_FOUND else "absent"

    async def _answered(self, ended: Ended, what: What, both: Joined) -> None:
        if what == "unknown":
            ended = _NOT_THERE
        end = None if what == "moved" else ended.end("", MergeUsers.name)
        death = ended.death if what != "moved" else None
        http = None if death is not None else ended.http
        await self.means.journal.identities.answered(
            self.merge,
            http=http,
            owed=both.owed,
            join=lambda own, its: encode(joined(decode(own), decode(its), what).row) or None,
            death=death,
            end=end,
            at_ms=self.means.clock.now_ms(),
        )
        self.known.forget()
        self.merge = self.merge._replace(state="owing", http=http, owed=both.owed)
        if end is not None:
            tell(self.means, self.row, [end])

    # Paying ---------------------------------------------------------------------------------------

    async def _pay(self) -> Wait | None:
        """Write what the person's user lacks; what OneSignal refuses of it is told, and left."""
        await self._give_up()
        row = await self.known.row(self.merge.person_hash)
        lacking = [name for name in self.merge.owed["names"] if name in row]
        lacking = [name for name in lacking if row[name].accepted_ms is None]
        delta: dict[str, Fact] = {}
        for step in (self._properties, self._aliases):
            found = await step(row, lacking)
            if isinstance(found, Wait):
                return found
            delta |= found
        if (wait := await self._free() or await self._switch_off()) is not None:
            return wait
        await self._paid(delta)
        return None

    async def _give_up(self) -> None:
        """Of two aliases the person has the later: by nothing older the other is anybody's."""
        means, now_ms = self.means, self.means.clock.now_ms()
        ids = {
            means.journal.hash_of(means.destination.name, label, id_): Moment(event_ms, seq)
            for label, id_, event_ms, seq in self.merge.owed["left"]
        }
        left = given_up(await self.known.row(self.merge.person_hash), ids, now_ms)
        if left.ids:
            await ack_all(self.known, [], left.ids | {self.merge.person_hash: left.own})

    async def _free(self) -> Wait | None:
        """Take off its user what the person has not, or may have lost since to somebody else."""
        for label in [one for one in self.merge.owed["free"] if one not in self._taken]:
            ended = await self._take_off(label)
            if isinstance(ended, Wait):
                return ended
            if ended.status != "delivered":
                self._left(ended, [f"{ALIAS}{label}"])
        return None

    async def _take_off(self, label: str) -> Ended | Wait:
        """Off the other's user, if there is one beside the person's."""
        operation, is_there = self._operation, self.merge.http == _CONFLICT
        whose = operation.other if is_there else operation.to
        call = replace(
            self._call(),
            user_hash=self.merge.id_hash if is_there else self.merge.person_hash,
            to=whose,
        )
        return await call.plain(delete_alias(whose, label, app_id=self._app_id), _NOT_THERE)

    async def _properties(self, row: Row, names: Sequence[str]) -> Row | Wait:
        values = {name: row[name].value for name in names if is_property(name)}
        delta: dict[str, Fact] = {}
        for chunk in chunks(self._within_the_plan(row, values)):
            call = self._call()
            request = patch_user(update_of(chunk, to=call.to), app_id=self._app_id)
            ended = await call.run(lambda request=request: request, row, chunk)  # type: ignore[misc]  # a lambda's default has no type
            if isinstance(ended, Wait):
                return ended
            if ended.status == "delivered":
                delta |= call.restored | self._accepted(row, chunk)
            else:
                self._left(ended, chunk)
        return delta

    def _within_the_plan(self, row: Row, values: Values) -> Values:
        """Without the tags that find no room, the latest first to stay."""
        cap = self.means.mapping(self.row.source).tag_cap
        if cap is None:
            return values
        has = sum(
            name.startswith("tags.") and fact.value is not None and name not in values
            for name, fact in row.items()
        )
        new = [name for name in values if name.startswith("tags.") and values[name] is not None]
        new.sort(key=lambda name: row[name].at[:2], reverse=True)
        gone = new[max(0, cap - has) :]
        if gone:
            self._detail.append(f"tag_cap: {', '.join(sorted(gone))}")
        return {name: value for name, value in values.items() if name not in gone}

    async def _aliases(self, row: Row, names: Sequence[str]) -> Row | Wait:
        delta: dict[str, Fact] = {}
        for name in [name for name in names if name.startswith(ALIAS) and row[name].value]:
            ended = await self._take(name.removeprefix(ALIAS), str(row[name].value))
            self._taken.add(name.removeprefix(ALIAS))
            if isinstance(ended, Wait):
                return ended
            if ended.status == "delivered":
                delta |= self._accepted(row, [name])
            else:
                self._left(ended, [name])
        return delta

    async def _take(self, label: str, id_: str) -> Ended | Wait:
        """An alias of the other's, which cannot be two users' at once."""
        operation = self._operation
        if self.merge.http == _CONFLICT:
            taken = await self._take_off(label)
            if isinstance(taken, Wait):
                return taken
        given = CreateAlias(rule="", to=operation.to, label=label, id=id_)
        return await self._plain(create_alias(given, app_id=self._app_id))

    async def _switch_off(self) -> Wait | None:
        for kind, token in self.merge.owed["off"]:
            request = set_enabled(kind, token, app_id=self._app_id, enabled=False)
            ended = await self._plain(request)
            if isinstance(ended, Wait):
                return ended
            if ended.status != "delivered":
                self._left(ended, [kind])
        return None

    async def _paid(self, delta: Row) -> None:
        merge, now_ms = self.merge, self.means.clock.now_ms()
        moves, detail, end = merge.http == _CONFLICT, "; ".join(self._detail) or None, None
        if detail is not None and merge.http is not None and 200 <= merge.http < 300:
            end = End("", MergeUsers.name, "delivered", None, detail, merge.http)
        await self.means.journal.identities.paid(
            merge,
            moves=moves,
            detail=detail,
            end=end,
            learnt=self.known.learnt(merge.person_hash, delta),
            at_ms=now_ms,
        )
        self.known.remember(merge.person_hash, delta)
        if moves:
            self.means.to_move()

    # Calls ----------------------------------------------------------------------------------------

    @property
    def _app_id(self) -> str:
        return self.means.destination.app_id

    def _call(self) -> UserCall:
        mapping = self.means.mapping(self.row.source)
        work = Work(self.row, mapping, Progress(set(self.row.done)))
        return UserCall(
            self.means,
            [work],
            self.merge.person_hash,
            self._operation.to,
            operation=MergeUsers.name,
        )

    async def _plain(self, request: Request) -> Ended | Wait:
        return await self._call().plain(request, _NOT_THERE)

    def _accepted(self, row: Row, names: Sequence[str] | Values) -> dict[str, Fact]:
        now_ms = self.means.clock.now_ms()
        return {name: row[name]._replace(accepted_ms=now_ms) for name in names}

    def _left(self, ended: Ended, names: Sequence[str] | Values) -> None:
        self._detail.append(f"{ended.reason}: {', '.join(sorted(names))}")


def _new_until_ms(row: Row) -> int:
    """Until when a 404 does not say that a user is not there: it was created that lately."""
    accepted = [fact.accepted_ms for fact in row.values() if fact.accepted_ms is not None]
    return max(accepted, default=0) + round(CREATED_LATELY_SECONDS * 1000)
