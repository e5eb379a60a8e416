"""Which users have work, and who works on it: lanes hand users to chains.

A lane is one in 256 of all users. For each lane and rank a cursor says how far its pending events
have been seen; a lane is *dirty* when there may be more. Seen users get a chain, live ones first,
as far as the credit for events in memory goes; the rest stays on disk. A user whose chain has to
wait is *parked* until then. A chain reloads its user before it ends, so an event that came while it
was at work is never left behind.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable

from bridge.deliver.attempts import Wait
from bridge.deliver.chain import Chain
from bridge.deliver.gate import StoppingError
from bridge.deliver.means import Means
from bridge.errors import JournalUnavailableError
from bridge.journal.records import BULK, LANES, LIVE, Head, Waiting, lane_of
from bridge.telemetry import log

CREDIT = 5000
"""Events in memory at once; bulk leaves a tenth of it to live."""
ROWS_PER_CHAIN = 50
_HEADS_PER_LANE = 40
_TROUBLE_SECONDS = 5.0


class Lanes:
    """All 256 lanes, owned by this process."""

    def __init__(self, means: Means, *, credit: int = CREDIT) -> None:
        self._means = means
        self._credit = credit
        self._cursors = {LIVE: [0] * LANES, BULK: [0] * LANES}
        self._dirty = {LIVE: set(range(LANES)), BULK: set(range(LANES))}
        self._chains: dict[int, asyncio.Task[None]] = {}
        self._held: dict[int, int] = {}
        self._again: set[int] = set()
        self._parked: list[tuple[int, int]] = []
        self._parked_until: dict[int, int] = {}
        self._due: list[int] = []
        self._wake = asyncio.Event()
        self._stopping = False

    def __repr__(self) -> str:
        return (
            f"<Lanes: {len(self._chains)} chains with {sum(self._held.values())} events,"
            f" {len(self._parked_until)} parked>"
        )

    @property
    def idle(self) -> bool:
        """Nothing is being worked on, and nothing waits to be looked at."""
        return not (self._chains or self._due or self._dirty[LIVE] or self._dirty[BULK])

    def dirty(self, user_hash: int, rank: int) -> None:
        """There may be a new event of this user."""
        self._dirty[rank].add(lane_of(user_hash))
        self._wake.set()

    def nudge(self, user_hash: int) -> None:
        """Look at this user again, wherever the cursors are."""
        self._parked_until.pop(user_hash, None)
        if user_hash in self._chains:
            self._again.add(user_hash)
        else:
            self._due.append(user_hash)
        self._wake.set()

    async def run(self) -> None:
        """Find work and hand it out, until `stop`."""
        while not self._stopping:
            self._wake.clear()
            try:
                worked = await self._round()
            except JournalUnavailableError as error:
                log().error("lanes.troubled", reason=error.code)
                await self._means.clock.sleep(_TROUBLE_SECONDS)
                continue
            if not worked:
                await self._rest()

    async def stop(self, seconds: float) -> None:
        """Begin nothing more; give what is out so many seconds, then let it go, still pending."""
        self._stopping = True
        self._wake.set()
        self._means.destination.writes.stop()
        self._means.destination.sends.stop()
        if not self._chains:
            return
        _, late = await asyncio.wait(self._chains.values(), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    # Finding --------------------------------------------------------------------------------------

    async def _round(self) -> bool:
        users = self._take_due()
        users += await self._heads(LIVE, room=self._room(LIVE) - len(users))
        users += await self._heads(BULK, room=self._room(BULK) - len(users))
        fresh = [user for user in dict.fromkeys(users) if user not in self._chains]
        if fresh:
            chains = await self._means.journal.chains(fresh, limit=ROWS_PER_CHAIN)
            for user, rows in chains.items():
                if rows:
                    self._begin(user, rows)
        return bool(fresh)

    def _room(self, rank: int) -> int:
        credit = self._credit if rank == LIVE else self._credit * 9 // 10
        return max(0, credit - sum(self._held.values()))

    def _take_due(self) -> list[int]:
        now = self._means.clock.now_ms()
        while self._parked and self._parked[0][0] <= now:
            until, user = heapq.heappop(self._parked)
            if self._parked_until.get(user) == until:
                del self._parked_until[user]
                self._due.append(user)
        due, self._due = self._due, []
        return due

    async def _heads(self, rank: int, *, room: int) -> list[int]:
        dirty = self._dirty[rank]
        if not dirty or room <= 0:
            return []
        lanes = sorted(dirty)
        dirty.clear()
        limit = max(1, min(_HEADS_PER_LANE, room // len(lanes)))
        after = [self._cursors[rank][lane] for lane in lanes]
        try:
            found = await self._means.journal.heads(lanes, rank=rank, after=after, limit=limit)
        except BaseException:
            dirty.update(lanes)
            raise
        users: list[int] = []
        for lane, heads in zip(lanes, found, strict=True):
            if len(heads) == limit:
                dirty.add(lane)
            users += self._seen(rank, lane, heads)
        return users

    def _seen(self, rank: int, lane: int, heads: list[Head]) -> Iterable[int]:
        """Move the cursor; the users among these heads who are neither at work nor parked."""
        if heads:
            self._cursors[rank][lane] = heads[-1].seq
        for head in heads:
            if head.user_hash in self._chains:
                self._again.add(head.user_hash)
            elif head.user_hash not in self._parked_until:
                yield head.user_hash

    async def _rest(self) -> None:
        """Until something is new, or the first parked user is due."""
        waits: list[asyncio.Future[object]] = [asyncio.ensure_future(self._wake.wait())]
        if self._parked:
            seconds = (self._parked[0][0] - self._means.clock.now_ms()) / 1000
            waits.append(asyncio.ensure_future(self._means.clock.sleep(max(seconds, 0.001))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    # Working --------------------------------------------------------------------------------------

    def _begin(self, user: int, rows: list[Waiting]) -> None:
        self._held[user] = len(rows)
        self._chains[user] = asyncio.get_running_loop().create_task(self._work(user, rows))

    async def _work(self, user: int, rows: list[Waiting]) -> None:
        wait: Wait | None = None
        try:
            while rows and not self._stopping:
                self._again.discard(user)
                wait = await Chain(self._means).run(rows)
                more = user in self._again or len(rows) == ROWS_PER_CHAIN
                rows = await self._reload(user) if more and wait is None else []
        except StoppingError:
            wait = None
        except Exception as error:  # noqa: BLE001 — one user's trouble, whatever it is, is not another's
            log().error("chain.troubled", error=type(error).__name__, exc_info=error)
            wait = Wait(until_ms=self._means.clock.now_ms() + round(_TROUBLE_SECONDS * 1000))
        finally:
            self._end(user, wait)

    async def _reload(self, user: int) -> list[Waiting]:
        rows = (await self._means.journal.chains([user], limit=ROWS_PER_CHAIN))[user]
        self._held[user] = len(rows)
        return rows

    def _end(self, user: int, wait: Wait | None) -> None:
        del self._chains[user], self._held[user]
        if wait is not None:
            self._parked_until[user] = wait.until_ms
            heapq.heappush(self._parked, (wait.until_ms, user))
        elif user in self._again:
            self._due.append(user)
        self._again.discard(user)
        self._wake.set()
