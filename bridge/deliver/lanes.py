"""Which users have work, and who works on it: lanes hand users to chains.

::

    pending rows ──> seen (cursors) ──> due ──> at work (a chain) ──> nothing left
                                         ^            │
                                         └── parked <─┘  has to wait

A lane is one in 256 of all users of an app; each app has lanes, credit and gates of its own, so that
one whose key is refused takes nothing from another. For each lane and rank a cursor says how far its pending events
have been seen; a lane is *dirty* when there may be more. Users that were seen are *due* and get a
chain, live ones first, as far as the credit for events in memory goes; the rest stays on disk. A
user whose chain has to wait is *parked* until then; one that found a gate shut waits in that gate's
lot, and not in memory. There is room for so many of both, and beyond it a lane is *forgotten*: it is
looked at from its beginning when there is room again. What is heard of a user while its chain is at
work marks the user: the chain then reads its user again before it ends, and the mark is taken off
before the reading begins, so that nothing can come between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import islice

from bridge import failpoints
from bridge.deliver.attempts import Wait
from bridge.deliver.chain import Chain
from bridge.deliver.credit import Credit
from bridge.deliver.gate import ShutError, StoppingError
from bridge.deliver.lots import LOT_SIZE, Lots
from bridge.deliver.means import Means
from bridge.deliver.parking import PARKED, Parking, with_news
from bridge.journal.records import BULK, LANES, LIVE, Head, Loaded, lane_of
from bridge.telemetry import log

CREDIT = 5000
"""Events in memory at once."""
CHAINS = 800
"""Users at work at once: several times what can be out at OneSignal, and more would only wait at its
gate, and be walked through by the collector of garbage again and again."""
ROWS_PER_CHAIN = 50
ENOUGH_WAIT = 1000
"""Users at shut gates, when all are shut: to look for more would be work for nothing."""
_HEADS_PER_LANE = 40
_HEADS_WORTH_A_LANE = 4
"""With little room fewer lanes are looked at, and each for so many: a look at a lane is a statement."""
_EVENTS_PER_LOOK = 4
"""Credit that a user is reckoned with when users are looked for: one look finds many."""
_EVENTS_PER_CHAIN = 25
"""And when chains are begun: the events that a chain has are those that can share a call, so that a
backlog of few users is no backlog of calls."""
_AT_ONCE = 40
"""Chains that are begun together when there is more work than room: to look for one whenever one has
ended would cost as much again."""
_TROUBLE_SECONDS = 5.0


class Lanes:
    """All 256 lanes of one app, owned by this process."""

    def __init__(
        self,
        means: Means,
        *,
        credit: int = CREDIT,
        chains: int = CHAINS,
        parked: int = PARKED,
        lot: int = LOT_SIZE,
    ) -> None:
        self._means = means
        self._lots = Lots(means.destination.gates, size=lot)
        self._parked = Parking(size=parked)
        self._forgotten: dict[int, set[int]] = {LIVE: set(), BULK: set()}
        self._credit = Credit(credit)
        self._places = Credit(chains)
        self._cursors = {LIVE: [0] * LANES, BULK: [0] * LANES}
        self._dirty = {LIVE: set(range(LANES)), BULK: set(range(LANES))}
        self._first_lane = {LIVE: 0, BULK: 0}
        # Dictionaries for their order: who was seen first is first in turn.
        self._due: dict[int, dict[int, None]] = {LIVE: {}, BULK: {}}
        self._chains: dict[int, asyncio.Task[None]] = {}
        self._again: set[int] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._suspected = False
        #: Users whose chain may not begin before that of somebody who was found to be them has ended.
        self._behind: dict[int, set[int]] = {}
        for gate in means.destination.gates:
            gate.listen(self._wake.set)
        means.setback.listen(self._set_back)

    def __repr__(self) -> str:
        return (
            f"<Lanes: {len(self._chains)} chains with {self._credit.lent} events,"
            f" {len(self._parked)} parked, {len(self._lots)} at a shut gate, {sum(map(len, self._due.values()))} due,"
            f" {sum(map(len, self._dirty.values()))} dirty>"
        )

    @property
    def idle(self) -> bool:
        """Nothing is being worked on, and nothing waits to be looked at."""
        waiting = [*self._due.values(), *self._dirty.values()]
        return not self._chains and not any(waiting)

    @property
    def users(self) -> dict[str, int]:
        """How many users are known to have work, by what they wait for."""
        return {
            "at_work": len(self._chains),
            "due": sum(map(len, self._due.values())),
            "parked": len(self._parked),
            "gate": len(self._lots),
        }

    def dirty(self, users: Iterable[int], rank: int) -> None:
        """There may be new events of these users."""
        self._dirty[rank].update(map(lane_of, users))
        # Without credit, or with every gate shut, there is nothing to wake up for: who changes that wakes the search.
        if not self._wake.is_set() and self._room(rank, 1) and not self._is_hopeless():
            self._wake.set()

    def nudge(self, user_hash: int, rank: int = LIVE) -> None:
        """Look at this user again, wherever the cursors are; in this rank's turn, or in a more urgent one's."""
        rank = min(rank, self._parked.leave(user_hash, rank), self._lots.leave(user_hash))
        if len(self._due[rank]) < self._parked.size:
            self._due[rank][user_hash] = None
        else:
            for forgotten in self._forgotten.values():
                forgotten.add(lane_of(user_hash))
        self._wake.set()

    def linked(self, person_hash: int, others: Iterable[int]) -> None:
        """Whatever waits for these, whom this one was found to be, waits for this one."""
        self._means.gone.update(user for user in others if user in self._chains)
        self.nudge(person_hash)

    async def run(self) -> None:
        """Find work and hand it out, until `stop`."""
        while not self._stopping:
            self._wake.clear()
            try:
                await self._suspects_first()
                worked = await self._round()
            except Exception as error:  # noqa: BLE001 — whatever the journal does to us, the search goes on
                log().error("lanes.troubled", error=type(error).__name__, exc_info=error)
                await self._means.clock.sleep(_TROUBLE_SECONDS)
                continue
            if not worked:
                if self.idle:
                    self._means.caution.relax()
                await self._rest()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more; give what is out so many seconds, then let it go, still pending."""
        self._stopping = True
        self._wake.set()
        self._means.destination.stop()
        if not self._chains:
            return
        _, late = await asyncio.wait(self._chains.values(), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # Finding --------------------------------------------------------------------------------------

    async def _suspects_first(self) -> None:
        if self._means.caution.is_on and not self._suspected:
            for user in await self._means.journal.suspects(self._means.destination.name):
                self._due[LIVE][user] = None
            await self._hand_out(LIVE)
            self._suspected = True

    async def _round(self) -> bool:
        """Look once at each rank, live first; whether there may be more to do at once."""
        await self._means.setback.look()
        for user, rank in self._parked.ready(self._means.clock.now_ms()):
            self._due[rank][user] = None
        for user, rank in self._lots.ready(self._is_busy):
            self._due[rank][user] = None
        self._remember()
        worked = False
        for rank in (LIVE, BULK):
            worked |= await self._look(rank)
            worked |= await self._hand_out(rank)
        return worked

    def _set_back(self, by_ms: int) -> None:
        self._parked.set_back(by_ms)
        self._wake.set()

    def _is_busy(self, user: int) -> bool:
        return user in self._chains or any(user in due for due in self._due.values())

    def _remember(self) -> None:
        """Look again at lanes of which users were forgotten, when half of the room is free."""
        parked, lots = len(self._parked) * 2, len(self._lots) * 2
        due = sum(map(len, self._due.values())) * 2
        if max(parked, due) >= self._parked.size or lots >= self._lots.size:
            return
        for rank, lanes in self._forgotten.items():
            for lane in lanes:
                self._cursors[rank][lane] = 0
            self._dirty[rank] |= lanes
            lanes.clear()

    async def _look(self, rank: int) -> bool:
        """Make users due whose events have not been seen; whether there was a lane to look at.

        A look moves a cursor or cleans a lane, so it comes to an end.
        """
        dirty = self._dirty[rank]
        room = self._room(rank, _EVENTS_PER_LOOK) - len(self._due[rank])
        # With users that cannot be written to there is no end of them to be had.
        if not dirty or room <= 0 or self._lots.is_full("write") or self._is_hopeless():
            return False
        lanes = self._next_lanes(rank, room)
        limit = max(1, min(_HEADS_PER_LANE, room // len(lanes)))
        after = [self._cursors[rank][lane] for lane in lanes]
        dirty.difference_update(lanes)
        try:
            found = await self._means.journal.heads(
                lanes, app=self._means.destination.name, rank=rank, after=after, limit=limit
            )
        except BaseException:
            dirty.update(lanes)
            raise
        for lane, heads in zip(lanes, found, strict=True):
            if len(heads) == limit:
                dirty.add(lane)
            self._see(rank, lane, heads)
        return True

    def _is_hopeless(self) -> bool:
        """Nothing can be written or sent now, and enough wait already to ask whether it can again.

        What comes meanwhile is planned when its turn has come, and costs only what accepting does.
        """
        gates = self._means.destination.gates.by_class
        is_shut = not (gates["write"].is_open or gates["send"].is_open)
        return is_shut and len(self._lots) >= ENOUGH_WAIT

    def _room(self, rank: int, events: int) -> int:
        """Users that there is still credit for, with so many events each, and a place."""
        places = self._places.room(rank)
        if places < _AT_ONCE <= self._places.lent_to(rank):
            return 0
        return min(places, -(-self._credit.room(rank) // events))

    def _next_lanes(self, rank: int, room: int) -> list[int]:
        """Dirty lanes, not more than there is room for, each in its turn."""
        first, most = self._first_lane[rank], -(-room // _HEADS_WORTH_A_LANE)
        lanes = sorted(self._dirty[rank], key=lambda lane: (lane - first) % LANES)[:most]
        self._first_lane[rank] = (lanes[-1] + 1) % LANES
        return lanes

    def _see(self, rank: int, lane: int, heads: list[Head]) -> None:
        """Move the cursor; users who are neither at work nor parked become due."""
        if heads:
            self._cursors[rank][lane] = heads[-1].seq
        for head in heads:
            user = head.user_hash
            if user in self._chains:
                self._again.add(user)
            elif user in self._parked:
                self._parked.hear(user, rank)
            elif user in self._lots:
                self._lots.raise_rank(user, rank)
            else:
                self._due[rank][user] = None

    async def _hand_out(self, rank: int) -> bool:
        """Give chains to users that are due, as far as the credit goes; whether there were any."""
        due = self._take_due(rank)
        self._again.update(user for user in due if user in self._chains)
        users = [user for user in due if user not in self._chains]
        if not users:
            return bool(due)
        limit = self._limit(self._credit.room(rank) // len(users))
        try:
            chains = await self._means.journal.chains(users, limit=limit)
        except BaseException:
            self._due[rank] |= dict.fromkeys(users)
            raise
        failpoints.reached("user.claimed")
        for user, loaded in chains.items():
            if loaded.rows and not self._is_behind(user, loaded):
                self._begin(user, rank, loaded, limit)
        return True

    def _take_due(self, rank: int) -> list[int]:
        due = self._due[rank]
        users = list(islice(due, self._room(rank, _EVENTS_PER_CHAIN)))
        for user in users:
            del due[user]
        return users

    async def _rest(self) -> None:
        """Until something is new, or the first parked user is due."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        if (seconds := self._until_next()) is not None:
            waits.append(asyncio.ensure_future(self._means.clock.sleep(max(seconds, 0.001))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _until_next(self) -> float | None:
        """Seconds until the first parked user is due, or a gate may be ready."""
        waits = [] if (ready := self._lots.seconds()) is None else [ready]
        if (first_ms := self._parked.first_ms) is not None:
            waits.append((first_ms - self._means.clock.now_ms()) / 1000)
        return min(waits, default=None)

    # Working --------------------------------------------------------------------------------------

    def _is_behind(self, user: int, loaded: Loaded) -> bool:
        """Whether somebody who was found to be this user is still worked on; then it is looked at after."""
        others = [one.id_hash for one in loaded.merges if one.id_hash in self._chains]
        for other in others:
            self._behind.setdefault(other, set()).add(user)
        return bool(others)

    def _begin(self, user: int, rank: int, loaded: Loaded, limit: int) -> None:
        self._credit.lend(user, rank, len(loaded.rows))
        self._places.lend(user, rank, 1)
        work = self._work(user, rank, loaded, limit)
        self._chains[user] = asyncio.get_running_loop().create_task(work)

    async def _work(self, user: int, rank: int, loaded: Loaded, limit: int) -> None:
        wait: Wait | ShutError | None = None
        try:
            while loaded.rows and not self._stopping:
                size = len(loaded.rows)
                wait = await self._run(loaded, whole=size < limit)
                # What was replayed while its event was pending is left when that has ended.
                more = user in self._again or size == limit or _were_revived(loaded)
                if wait is not None or not more:
                    break
                limit = self._limit(size + self._credit.room(rank))
                loaded = await self._reload(user, rank, limit)
                if self._is_behind(user, loaded):
                    break
        except ShutError as shut:
            wait = shut
        except StoppingError:
            pass
        except Exception as error:  # noqa: BLE001 — one user's trouble, whatever it is, is not another's
            log().error("chain.troubled", error=type(error).__name__, exc_info=error)
            wait = Wait(until_ms=self._means.clock.now_ms() + round(_TROUBLE_SECONDS * 1000))
        finally:
            self._end(user, rank, wait)

    async def _run(self, loaded: Loaded, *, whole: bool) -> Wait | None:
        chain, caution = Chain(self._means), self._means.caution
        if caution.is_on:
            return await caution.run(chain, loaded)
        return await chain.run(loaded, whole=whole)

    def _limit(self, most: int) -> int:
        """Events that a chain may have at once; one while they begin alone."""
        return 1 if self._means.caution.is_on else max(1, min(ROWS_PER_CHAIN, most))

    async def _reload(self, user: int, rank: int, limit: int) -> Loaded:
        self._again.discard(user)
        loaded = (await self._means.journal.chains([user], limit=limit))[user]
        self._credit.lend(user, rank, len(loaded.rows))
        return loaded

    def _end(self, user: int, rank: int, wait: Wait | ShutError | None) -> None:
        del self._chains[user]
        self._credit.give_back(user)
        self._places.give_back(user)
        self._means.gone.discard(user)
        for person in self._behind.pop(user, ()):
            self.nudge(person)
        if wait is not None:
            if not self._park(user, rank, wait):
                self._forgotten[rank].add(lane_of(user))
        elif user in self._again:
            self._due[rank][user] = None
        self._again.discard(user)
        if not self._chains or self._room(LIVE, 1) or self._room(BULK, 1):
            self._wake.set()

    def _park(self, user: int, rank: int, wait: Wait | ShutError) -> bool:
        """Remember who waits, and for what; False when there is no room."""
        if isinstance(wait, ShutError):
            return self._lots.park(wait.gate, user, rank)
        return self._parked.park(user, rank, with_news(wait) if user in self._again else wait)


def _were_revived(loaded: Loaded) -> bool:
    return any(row.revived for row in loaded.rows)
