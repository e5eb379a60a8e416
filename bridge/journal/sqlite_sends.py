"""Sends in a SQLite journal; see `bridge.journal.sends`."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from bridge import failpoints
from bridge.journal import sqlite_held as held, sqlite_rows as rows
from bridge.journal.membership import Heard, Membership, is_another_stay, learn
from bridge.journal.piles import EVERYTHING, Choice, Volume
from bridge.journal.queries import queries
from bridge.journal.records import SEND_WAITS, SENDS_DECIDED, Death, End, Waiting, operation_name
from bridge.journal.sends import (
    ALREADY_SENT,
    Bid,
    Contradicts,
    Decide,
    HeldSend,
    Hold,
    Known,
    Reached,
    Released,
    Ruling,
    Written,
)
from bridge.journal.sqlite_acks import Acks
from bridge.journal.sqlite_pace import UNCAPPED, keep_pace, pace

if TYPE_CHECKING:
    from bridge.journal.sends import Sends

T = TypeVar("T")

OWN = Ruling("wait", "already_written")
REACHED_DAYS = 30
DAY_MS = 86_400_000


class Read(Protocol):
    def __call__(self, query: Callable[[sqlite3.Connection], T]) -> Awaitable[T]: ...


class SqliteSends:
    """Transactions about sends, on the journal's writer."""

    def __init__(
        self,
        *,
        write: Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]],
        look: Read,
        acks: Acks,
        beside: Callable[[sqlite3.Connection, int, int], list[Waiting]],
    ) -> None:
        """`look` is for people; `beside` finds what a user waits for beside an event, in a transaction."""
        self._write = write
        self._look = look
        self._acks = acks
        self._beside = beside

    async def write(
        self,
        seq: int,
        bids: Sequence[Bid],
        *,
        decide: Decide,
        heard: Heard | None,
        contradicts: Contradicts,
        reached: Reached,
        last: bool,
        now_ms: int,
    ) -> Written:
        def write(connection: sqlite3.Connection) -> Written:
            if bids and not _is_of(connection, seq, bids[0].send.user_hash):
                return Written([], finished=False, gone=True)
            stay, passing = None, False
            if heard is not None and bids:
                app, user_hash = bids[0].send.app, bids[0].send.user_hash
                passing = contradicts(self._beside(connection, user_hash, seq))
                stay = _learn(connection, app, user_hash, heard, passing=passing)
            rulings = []
            for number, bid in enumerate(bids):
                known = _known(connection, bid, stay, passing=passing, now_ms=now_ms)
                ruling = decide(number, known) if isinstance(known, Known) else known
                _do(connection, bid, ruling, now_ms)
                rulings.append(ruling)
            failpoints.reached("send.writing")
            if reached.ends:
                failpoints.reached("event.acking")
            finished = last and not any(map(_is_left, bids, rulings))
            self._acks.learn(reached.learnt, now_ms)
            if finished:
                ends = [*reached.ends, *_stops(bids, rulings)]
                self._acks.finish(connection, seq, ends, reached.deaths, now_ms)
            else:
                _reach(connection, seq, bids, rulings, reached, now_ms)
            return Written(rulings, finished)

        result: Written = await self._write(write)
        failpoints.reached("send.written")
        return result

    async def learn(
        self, app: str, user_hash: int, heard: Heard, *, contradicts: Contradicts
    ) -> None:
        def write(connection: sqlite3.Connection) -> None:
            person = connection.execute(queries()["person_of"], {"id_hash": user_hash}).fetchone()
            whose = user_hash if person is None else person[0]
            passing = contradicts(self._beside(connection, whose, heard.seq))
            _learn(connection, app, whose, heard, passing=passing)

        await self._write(write)

    # Held -----------------------------------------------------------------------------------------

    async def hold(self, key: str, why: Hold) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(queries()["hold_send"], {"key": key, "hold": why})

        await self._write(write)

    async def keep_back(self, *, limit: int) -> int:
        def write(connection: sqlite3.Connection) -> int:
            return connection.execute(queries()["keep_back"], {"limit": limit}).rowcount

        return int(await self._write(write))

    async def held(self, choice: Choice = EVERYTHING, *, limit: int = 100) -> list[HeldSend]:
        return await self._look(lambda connection: held.page(connection, choice, limit))

    async def held_counts(self, choice: Choice = EVERYTHING) -> list[tuple[str, str, str, int]]:
        return await self._look(lambda connection: held.counts(connection, choice))

    async def release(
        self,
        choice: Choice,
        *,
        limit: int,
        volume: Volume | None = None,
        only_events: bool = False,
    ) -> Released:
        result: Released = await self._write(
            lambda connection: held.release(
                connection, choice, limit, volume, only_events=only_events
            )
        )
        return result

    async def discard(self, choice: Choice, *, limit: int, at_ms: int) -> int:
        return int(
            await self._write(lambda connection: held.discard(connection, choice, limit, at_ms))
        )


# Writing ------------------------------------------------------------------------------------------


def _is_of(connection: sqlite3.Connection, seq: int, user_hash: int) -> bool:
    """Whether a pending event is this user's still, and nobody's who was found to be the user."""
    values = {"seq": seq, "user_hash": user_hash}
    return connection.execute(queries()["is_of"], values).fetchone() is not None


def _learn(
    connection: sqlite3.Connection, app: str, user_hash: int, heard: Heard, *, passing: bool
) -> Membership | None:
    """What is known of the membership from now on."""
    whose = {"user_hash": user_hash, "app": app, "audience": heard.audience}
    before = membership(connection, whose)
    after = learn(before, heard, passing=passing)
    if after is None:
        return before
    connection.execute(queries()["keep_membership"], whose | after._asdict())
    if is_another_stay(before, after):
        connection.execute(queries()["forget_fired"], whose)
    return after


def membership(connection: sqlite3.Connection, whose: dict[str, Any]) -> Membership | None:
    row = connection.execute(queries()["membership"], whose).fetchone()
    return None if row is None else membership_of(row)


def membership_of(row: Sequence[int]) -> Membership:
    entered, since_ms, last_ms, last_seq, quiet = row
    return Membership(bool(entered), since_ms, last_ms, last_seq, bool(quiet))


def _known(
    connection: sqlite3.Connection,
    bid: Bid,
    stay: Membership | None,
    *,
    passing: bool,
    now_ms: int,
) -> Known | Ruling:
    """What speaks against a send, or what has become of it already; `stay` is what was just learnt."""
    send, guard = bid
    whose = {
        "key": send.key,
        "user_hash": send.user_hash,
        "person_hash": send.person_hash,
        "app": send.app,
        "rule": send.rule,
        "seq": send.seq,
        # What is not asked is NULL, and finds nothing.
        "audience": guard.audience,
        "once": guard.once,
        "since_ms": None if guard.cap_ms is None else now_ms - guard.cap_ms,
        "now_ms": now_ms,
    }
    found = connection.execute(queries()["standing"], whose).fetchone()
    written, fired, once_taken_ms, person_sends = found
    if written is not None:
        # Of this very event: who asks has not heard of it, and does after another look.
        is_own = written == send.seq
        return OWN._replace(until_ms=now_ms) if is_own else ALREADY_SENT
    known = Known(
        membership=None if guard.audience is None else stay or membership(connection, whose),
        passing=passing,
        fired=bool(fired),
        once_taken_ms=once_taken_ms,
        person_sends=person_sends,
    )
    return _with_pace(connection, known, bid, whose, now_ms)


def _with_pace(
    connection: sqlite3.Connection, known: Known, bid: Bid, whose: dict[str, Any], now_ms: int
) -> Known:
    """And how many its rule has sent lately, or all rules without a cap, where that is asked."""
    send, guard = bid
    if guard.limit_ms is not None:
        count, _ = pace(connection, send.app, send.rule, guard.limit_ms, now_ms)
        held = connection.execute(queries()["rule_held"], whose).fetchone() is not None
        known = known._replace(rule_sends=count, rule_held=held)
    if guard.volume_ms is not None:
        count, until = pace(connection, send.app, UNCAPPED, guard.volume_ms, now_ms)
        day = {"day": now_ms // DAY_MS - REACHED_DAYS}
        (people,) = connection.execute(queries()["people"], whose | day).fetchone()
        known = known._replace(volume_sends=count, volume_until_ms=until, people=people)
    return known


def _do(connection: sqlite3.Connection, bid: Bid, ruling: Ruling, now_ms: int) -> None:
    """Write the send, and take the places that it takes."""
    if ruling.verdict not in {"go", "hold"}:
        return
    send, guard = bid
    is_held = ruling.verdict == "hold"
    rows.insert_send(connection, send, hold=ruling.reason if is_held else None)
    if guard.audience is not None:
        fired = (send.user_hash, send.app, guard.audience, send.rule, send.seq)
        rows.insert(connection, "append_fired", [fired])
    if guard.once is not None:
        connection.execute(queries()["forget_places"], {"now_ms": now_ms})
        connection.execute(queries()["take_place"], send._asdict() | {"now_ms": now_ms})
    if guard.limit_ms is not None and not is_held:
        keep_pace(connection, send.app, send.rule, guard.limit_ms, now_ms)
    if guard.volume_ms is not None and not is_held:
        keep_pace(connection, send.app, UNCAPPED, guard.volume_ms, now_ms)


def _is_left(bid: Bid, ruling: Ruling) -> bool:
    """Whether the chain has something to do for a send yet."""
    return ruling.verdict == "wait" or (ruling.verdict == "go" and bid.send.group is None)


def _stops(bids: Sequence[Bid], rulings: Sequence[Ruling]) -> list[End]:
    return [
        End(bid.send.rule, bid.send.operation, "skipped", ruling.reason)
        for bid, ruling in zip(bids, rulings, strict=True)
        if ruling.verdict == "stop"
    ]


def _reach(
    connection: sqlite3.Connection,
    seq: int,
    bids: Sequence[Bid],
    rulings: list[Ruling],
    reached: Reached,
    now_ms: int,
) -> None:
    """Write how far the event has come, with what these rulings end."""
    ends = [*reached.ends, *_stops(bids, rulings)]
    rows.insert_ends(connection, seq, ends, reached.deaths, now_ms)
    waits = [ruling for ruling in rulings if ruling.verdict == "wait"]
    decided = {name for name in reached.done if not name.startswith(SEND_WAITS)}
    done, left = set(decided), set()
    for bid, ruling in zip(bids, rulings, strict=True):
        name = operation_name(bid.send.rule, bid.send.operation)
        if ruling.verdict != "wait" or ruling.reason == OWN.reason:
            done.add(name)
        else:
            left.add(f"{SEND_WAITS}{name}")
    if not waits:
        done |= {SENDS_DECIDED}
    elif len(left) < len(bids) or decided != reached.done:
        done |= left
    rows.mark_done(connection, seq, sorted(done))
    if waits:
        until = min(ruling.until_ms for ruling in waits)
        why = waits[0].reason
        wait = {"seq": seq, "not_before_ms": until, "last_error": why, "now_ms": now_ms}
        connection.execute(queries()["put_off"], wait)


# Ending -------------------------------------------------------------------------------------------


def end(
    connection: sqlite3.Connection,
    seq: int,
    key: str,
    ended: End,
    death: Death | None,
    at_ms: int,
) -> None:
    """A send has ended; what it took and did not use is given back."""
    kept = ended.status == "delivered" or (death is not None and death.uncertain)
    values = {"key": key, "state": ended.status, "at_ms": at_ms, "kept": kept}
    failpoints.reached("send.ending")
    connection.execute(queries()["end_send"], values)
    if ended.status == "delivered":
        connection.execute(queries()["reach"], values | {"day": at_ms // DAY_MS})
    if not kept:
        connection.execute(queries()["return_place"], values)
    connection.execute(queries()["keep_place"], values)
    connection.execute(queries()["end_call"], {"key": ended.call_key})
    rows.insert_ends(connection, seq, [ended], [death] if death else [], at_ms)


if TYPE_CHECKING:
    _: type[Sends] = SqliteSends
