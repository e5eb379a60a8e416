"""An alias for a user, and what becomes of it when another user has it: see `disputes`.

::

    PATCH …/identity {label: id}    409, once it is on disk that it is asked for
    GET …/users/by/{label}/{id}     who has it, one look a second for all of an app
    DELETE …/identity/{label}       of the user who had it, once it is on disk that it is in doubt there
    PATCH …/identity {label: id}    once more; a second 409 is dead, unless a third has stepped between

A user without an external id gets this one's (`PATCH …/users/by/{label}/{id}/identity`); when OneSignal
knows both, the devices of that user come over one by one, and then the alias.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from bridge.deliver.alone import NOTHING_THERE, Stepwise
from bridge.deliver.attempts import Ended, Wait, holds_everyone, look
from bridge.deliver.coming_over import bring_over
from bridge.deliver.disputes import last_said, whose
from bridge.deliver.given_up import given_up, may_have, noted
from bridge.deliver.holders import Holder, Owner, holder_of, owner_of
from bridge.deliver.means import About
from bridge.deliver.restore import ALIAS
from bridge.deliver.retry import GiveUp, after_failure
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.deliver.state import (
    ASKED,
    Fact,
    Moment,
    Row,
    accepted,
    asked,
    decode,
    doubted,
    join,
)
from bridge.deliver.steps import Decided, Step, steps_of
from bridge.deliver.together import Together
from bridge.deliver.updates import wait_of
from bridge.deliver.user_call import UserCall
from bridge.deliver.work import ack_all
from bridge.onesignal.operations import (
    EXTERNAL_ID,
    CreateAlias,
    MergeUsers,
    Recipient,
)
from bridge.onesignal.user_model import (
    delete_alias,
    merge_users,
    view_user,
)
from bridge.onesignal.verdict import Accepted, Closed, Failed, NoAnswer, Unknown

_CONFLICT = 409
_FULL_SECONDS = 5.0
_OVERTAKEN = Ended(status="skipped", reason="overtaken", http=_CONFLICT)
_NEVER = Moment(-1, -1)
_GONE = Ended(status="skipped", reason="nobody", http=404)
TAKEN = "another user had it before"
RENAMED = "the user who had it is this one now"
MOVED = "the user who had it, and no external id, has given up its devices, too"


@dataclass(slots=True)
class Aliasing(Stepwise[CreateAlias]):
    #: What others have lost by it.
    _lost: dict[int, Row] = field(default_factory=dict)
    #: What the user's row is in doubt of, because OneSignal's user is another one now.
    _doubt: dict[str, Fact] = field(default_factory=dict)
    _detail: str | None = None
    #: When it was looked who has it, milliseconds since 1970; and that nobody had it by then.
    _looked_ms: int = 0
    _nobody: bool = False

    @property
    def _fact(self) -> str:
        return f"{ALIAS}{self.update.label}"

    @property
    def _asked(self) -> str:
        return asked(self._fact, self.update.id)

    @property
    def _name(self) -> int:
        return self._hash_of(self.update.id)

    def _hash_of(self, alias: str) -> int:
        return self.means.journal.hash_of(self._app, self.update.label, alias)

    @property
    def _app(self) -> str:
        return self.means.destination.name

    async def decide(self, user: int) -> Decided:
        decided = steps_of(
            await self.known.row(user),
            self.update,
            self.work.at,
            self.means.clock.now_ms(),
            app_id=self.means.destination.app_id,
        )
        if decided.steps and await self._was_given_up():
            return Decided((), {}, "overtaken")
        return decided

    async def _was_given_up(self) -> bool:
        """Whether it was another's by a later word, who has another id by now."""
        last = decode(await self.means.journal.state(self._name)).get(ASKED)
        return last is not None and self.work.at.before(last.at)

    async def run(self, together: Together) -> Wait | None:
        disputes = self.means.disputes
        if disputes.is_full and disputes.is_known(self._name):
            return await together.flush() or wait_of(self.means, _FULL_SECONDS)
        return await Stepwise.run(self, together)

    async def write(self, user: int) -> Wait | None:
        """One at a time asks for an id, or gives it up: else one would get what another has just given up."""
        spacing, has = self.means.spacing, may_have(await self.known.row(user), self._fact)
        # Of a visitor whose own id is meant the turn is ours already.
        names = ({self._name} | {self._hash_of(one) for one in has}) - {user}
        if any(spacing.busy(name) for name in names):
            return wait_of(self.means, SPACING_SECONDS)
        with ExitStack() as turn:
            for name in names:
                turn.enter_context(spacing.writing(name))
            return await Stepwise.write(self, user)

    async def attempt(self, call: UserCall, row: Row, step: Step, decided: Decided) -> Ended | Wait:
        await self._asks(call.user_hash, row)
        ended = await call.run(lambda: step.request, row, decided.facts)
        if call.restored and (isinstance(ended, Wait) or ended.status != "delivered"):
            await self.learn(call.user_hash, call.restored)
        if isinstance(ended, Wait) or ended.http != _CONFLICT or ended.death is None:
            return ended
        found = await self._disputed(call, ended)
        if found is not None:
            return found
        again = await call.run(lambda: step.request, row, decided.facts)
        if isinstance(again, Wait) or again.status == "delivered":
            return again if isinstance(again, Wait) else again._replace(detail=self._detail)
        if again.http == _CONFLICT and (self._nobody or self._detail is not None):
            return await self._once_more()
        return _dead(again, "alias_conflict") if again.http == _CONFLICT else again

    async def _asks(self, user: int, row: Row) -> None:
        """From now on OneSignal may have it so, whether or not its answer is heard."""
        known, now_ms = row.get(self._asked), self.means.clock.now_ms()
        said = may_have(row, self._fact)
        others = {one: at for one, at in said.items() if one != self.update.id}
        left = given_up(row, {self._hash_of(one): at for one, at in others.items()}, now_ms)
        is_asked = known is not None and known.value is not None
        if known is not None and is_asked and not (left.ids or known.at.before(self.work.at)):
            return
        before = {asked(self._fact, one): Fact(one, at, now_ms) for one, at in others.items()}
        asks = accepted({self._asked: self.update.id}, self.work.at, now_ms)
        own = before | left.own | asks | doubted(row, [self._fact])
        await ack_all(self.known, [], left.ids | {user: own})

    async def _once_more(self) -> Wait:
        """A third has stepped between: all is asked again, which `disputes` puts an end to."""
        if self._nobody:
            self.means.disputes.changed(self._name, self.work.at)
        for whom, row in self._lost.items():
            await self.learn(whom, row)
        return wait_of(self.means, SPACING_SECONDS)

    def refused(self, row: Row, decided: Decided, ended: Ended) -> Row:
        """That another has it by a later word says nothing of the id that the user has."""
        if not self._is_in_vain(ended, row.get(self._asked)):
            return Stepwise.refused(self, row, decided, ended)
        not_its = accepted({self._asked: None}, self.work.at, self.means.clock.now_ms())
        if ended == _OVERTAKEN:
            return not_its | {name: row[name] for name in [self._fact] if name in row}
        return join(not_its, Stepwise.refused(self, row, decided, ended))

    def _is_in_vain(self, ended: Ended, before: Fact | None) -> bool:
        """Whether it was certainly not given: no attempt before this one can have been performed, either."""
        if ended.http == _CONFLICT:
            return True
        by_another = before is not None and before.value is not None and before.at != self.work.at
        is_first = self.work.row.attempt == 0 and not by_another
        return is_first and ended.http in range(400, 500)

    async def settle(self, user: int, ended: Ended, delta: Row) -> None:
        self.end(ended)
        deltas = {**self._lost, user: join(self._doubt, delta)}
        await ack_all(self.known, [self.work], deltas)

    # The dispute ----------------------------------------------------------------------------------

    async def _disputed(self, call: UserCall, refused: Ended) -> Ended | Wait | None:
        """How it ends; None: it may be asked for once more."""
        disputes, name = self.means.disputes, self._name
        disputes.found(name)
        if not self._may_decide:
            return _dead(refused, "alias_conflict")
        if (last := disputes.contested(name)) is not None:
            is_late = self.work.at.before(last)
            return _OVERTAKEN if is_late else _dead(refused, "alias_contested")
        if disputes.is_full:
            return wait_of(self.means, _FULL_SECONDS)
        with disputes.one_more():
            self._looked_ms = self.means.clock.now_ms()
            holder = await self._look(refused)
            if not isinstance(holder, Holder):
                self._nobody = holder is None
                return holder
            return await self._settled(call, holder, refused)

    @property
    def _may_decide(self) -> bool:
        """Whether the event may take anything from anybody: what a page sends, anybody can.

        Nor may it for who has other names beside this one, under which something else was said.
        """
        mapping = self.work.mapping
        if self.update.to.label not in {EXTERNAL_ID, mapping.anonymous_label}:
            return False
        return mapping.trust != "client" or self.work.row.source in mapping.merging_clients

    async def _look(self, refused: Ended) -> Holder | Ended | Wait | None:
        """Who has it; None: nobody any more."""
        means, alias = self.means, self.update
        request = view_user(Recipient(alias.label, alias.id), app_id=means.destination.app_id)
        about = About(alias.name, None, [self.work.row.seq], shows_another=True)
        while True:
            verdict, answer = await look(means, request.path, about=about)
            match verdict:
                case Accepted():
                    return holder_of(b"" if isinstance(answer, NoAnswer) else answer.body)
                case Unknown():
                    return None
                case Failed():
                    return await self._later(verdict, refused)
                case _ if not (isinstance(verdict, Closed) or holds_everyone(verdict)):
                    return _dead(refused, "alias_conflict")

    async def _later(self, failed: Failed, refused: Ended) -> Ended | Wait:
        """Nobody can say at this moment."""
        means, row = self.means, self.work.row
        now = means.clock.now_ms()
        age_ms = now - (row.first_try_ms or now)
        decided = after_failure(failed, attempts=row.attempt, age_ms=age_ms, roll=means.roll())
        if isinstance(decided, GiveUp):
            return _dead(refused, "alias_conflict")
        until = now + round(decided.after_seconds * 1000)
        await means.journal.postpone(
            row.seq,
            not_before_ms=until,
            attempt=decided.attempt,
            error=decided.error,
            now_ms=now,
        )
        return Wait(until_ms=until)

    async def _settled(self, call: UserCall, holder: Holder, refused: Ended) -> Ended | Wait | None:
        owner = await owner_of(self.means, holder) or await self._visitor(holder)
        if not self.means.restraint.lists(*self._touched(owner)):
            return _dead(refused, "alias_conflict")
        if owner is None:
            is_user = self.update.to.label == EXTERNAL_ID
            return await self._merged(call, holder) if is_user else _dead(refused, "alias_conflict")
        if owner.to == self.update.to:
            return None
        if call.user_hash in owner.hashes:
            # Another id of the very person has it.
            return await self._off(owner)
        if not all(self._may_take_from(one) for one in owner.hashes):
            # What it is being given at this moment, or is said to have, is on disk in a moment.
            return wait_of(self.means, SPACING_SECONDS)
        with ExitStack() as turn:
            for one in owner.hashes:
                turn.enter_context(self.means.spacing.writing(one))
            ended = await self._between(owner, refused)
            # Nobody writes to it before it is on disk that it has it no more, nor is it erased.
            self.known.keeps(turn.pop_all())
            return ended

    def _may_take_from(self, user: int) -> bool:
        """Where it goes by the very id that is asked for, the turn is ours already."""
        is_ours = user == self._name and not self.known.is_said_elsewhere(user)
        return is_ours or self.known.may_write(user)

    async def _visitor(self, holder: Holder) -> Owner | None:
        """Somebody who is known here by another alias, and was given this one under that."""
        for name in holder.names:
            id_hash = self.means.journal.hash_of(self._app, *name)
            row = await self.known.row(id_hash)
            if self._last_said(row) is not None:
                return Owner(name, id_hash, id_hash, name)
        return None

    def _touched(self, owner: Owner | None) -> Recipient:
        """By whatever is known of the one who would lose it."""
        if owner is None:
            return Recipient(self.update.label, self.update.id)
        return owner.person

    async def _between(self, owner: Owner, refused: Ended) -> Ended | Wait | None:
        """Two who are somebody each."""
        rows = {one: await self.known.row(one) for one in owner.hashes}
        found = {one: self._last_said(row) for one, row in rows.items()}
        its = max(found, key=lambda one: (found[one] or _NEVER)[:2])
        said = found[its]
        match whose(said, self.work.at):
            case "later":
                return _OVERTAKEN
            case "earlier" if said is not None:
                return await self._taken(owner, its, rows[its].get(self._fact), said)
            case _ if any(self._is_news(row.get(self._fact)) for row in rows.values()):
                # Since the look it was given another.
                return wait_of(self.means, SPACING_SECONDS)
            case _ if await self._is_being_erased(owner):
                return await self._off(owner)
            case _:
                return _dead(refused, "alias_conflict")

    def _last_said(self, row: Row) -> Moment | None:
        return last_said(row, self._fact, self.update.id) or noted(row).get(self._name)

    def _is_news(self, fact: Fact | None) -> bool:
        return fact is not None and (fact.accepted_ms or 0) >= self._looked_ms

    async def _is_being_erased(self, owner: Owner) -> bool:
        gone = await self.means.journal.erasures.gone(owner.hashes)
        return any(one.under_way for one in gone.values())

    async def _taken(
        self, owner: Owner, its: int, fact: Fact | None, said: Moment
    ) -> Ended | Wait | None:
        """Off the one who had it. When that was last said of the label stays: the next may be another id."""
        last = said if fact is None or fact.at.before(said) else fact.at
        now_ms = self.means.clock.now_ms()
        lost = accepted({self._fact: None}, last, now_ms)
        # It may have it still until the answer is heard; an event of its own asks for it again.
        await self.learn(its, lost | accepted({self._asked: self.update.id}, said, now_ms))
        ended = await self._off(owner)
        if ended is None:
            self._lost[its] = lost
        return ended

    async def _off(self, owner: Owner) -> Ended | Wait | None:
        return await self._off_from(owner.id_hash, owner.to)

    async def _off_from(self, user_hash: int, holder: Recipient) -> Ended | Wait | None:
        request = delete_alias(holder, self.update.label, app_id=self.means.destination.app_id)
        ended = await self._call_of(user_hash, holder).plain(request, NOTHING_THERE)
        if isinstance(ended, Wait) or ended.status != "delivered":
            return ended
        self._moved_hands(self._detail or TAKEN)
        return None

    def _moved_hands(self, detail: str) -> None:
        self.means.disputes.changed(self._name, self.work.at)
        self._detail = detail

    def _call_of(self, user_hash: int, to: Recipient) -> UserCall:
        return UserCall(self.means, [self.work], user_hash, to, operation=self.update.name)

    # Of nobody who is known -----------------------------------------------------------------------

    async def _merged(self, call: UserCall, holder: Holder) -> Ended | Wait | None:
        """The holder becomes this user, when OneSignal has no such user yet; else its devices come over."""
        means, app_id = self.means, self.means.destination.app_id
        other = Recipient(self.update.label, self.update.id)
        renaming = merge_users(MergeUsers(to=self.update.to, other=other), app_id=app_id)
        ended = await self._call_of(self._name, other).plain(renaming, _GONE)
        if isinstance(ended, Wait) or ended is _GONE:
            return None if ended is _GONE else ended
        if ended.status == "delivered":
            means.spacing.mark(call.user_hash)
            means.created.mark(call.user_hash, means.clock.monotonic())
            means.missing.drop(call.user_hash)
            row = await self.known.row(call.user_hash)
            self._doubt = doubted(row, row)
            self._moved_hands(RENAMED)
            return None
        if ended.http != _CONFLICT:
            return ended
        stopped = await bring_over(means, call, self._name, holder.subscriptions)
        if stopped is not None:
            return stopped if isinstance(stopped, Wait) else _full(stopped)
        self._detail = MOVED
        return await self._off_from(self._name, other)


def _full(ended: Ended) -> Ended:
    return _dead(ended, "subscription_limit") if ended.http == _CONFLICT else ended


def _dead(ended: Ended, reason: str) -> Ended:
    """Asking again would not change it."""
    death = None if ended.death is None else ended.death._replace(reason=reason)
    return ended._replace(reason=reason, death=death)
