"""Everything that can be wrong, in words, and what to do about it. Pure.

One list for `status`, which shows every cause at once, and for alerts, which wait until a cause is
worth a message: `is_grave`. A cause is named by the same key for as long as it lasts. No words name
a user, or a value that was sent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

LONG_SECONDS = 15 * 60
"""What waits longer is not well, and a gate that is held for longer than a minute neither."""
HELD_SECONDS = 60.0
CLOSED_SECONDS = 60.0
ASKED_LONG_SECONDS = 3_540.0
"""OneSignal asked to be left alone for an hour, which is as long as anybody is, or for longer."""
CLOCK_SECONDS = 120.0
"""A clock that is further away than that is wrong, and not only asked late."""
PAUSED_MS = 10 * 60_000
LOW_DISK_BYTES = 512 * 1024 * 1024
"""Eight times the room below which no more events are taken."""
PUSHES = 200
"""The last of a rule, by which is judged whether they reach anybody."""
UNREACHED_PERCENT = 90
DAY_MS = 86_400_000
NAMED = 3
"""Rules that a message names, of more."""
IOS_REACHED = "ios_reached"
_REFUSALS = ("http_401", "http_403")
SURE, UNSURE = 3, 20
"""Refused requests that are worth a message: with the source's token, and without."""
_LOST = "if it is Segment that asks, it throws them away, and not one has been taken since"
_REFUSED = {
    "signature-mismatch": "put Segment's shared secret among the source's; Segment repeats for four hours",
    "batch-refused": "switch batching off in Segment, or BRIDGE_SEGMENT_BATCHES=accept: it throws them away",
    "token-wrong": f"{_LOST}: is the token the same on both sides?",
    "signature-wrong": f"{_LOST}: is the shared secret the same on both sides?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    app: str
    name: str
    #: Why it lets only one call at a time through; None: it is open.
    closed: str | None
    closed_seconds: float
    held_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsState:
    """Calls of an app that OneSignal has not answered."""

    app: str
    count: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    source: str
    app: str
    per_minute: int
    #: None: nothing since the start.
    last_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalState:
    """What a source's door refuses of late, because it did not show who sent it."""

    source: str
    code: str
    count: int
    #: Surely Segment's; otherwise anybody's, and nothing else was taken since.
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseState:
    """`what` is `pushes` or `rule/NAME`."""

    what: str
    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldState:
    app: str
    rule: str
    #: limit, paused or ios_reached.
    reason: str
    count: int
    #: How many of them a person has let go, little by little.
    leaving: int = 0

    @property
    def stays(self) -> int:
        return self.count - self.leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachState:
    """Of a rule's last pushes, how many reached nobody."""

    app: str
    rule: str
    pushes: int
    unreached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A bridge at one moment."""

    now_ms: int
    unready: str | None = None
    dry_run: bool = False
    pending: int = 0
    oldest_seconds: float = 0.0
    #: Events that wait for an app that is not configured any more.
    left_behind: dict[str, int] = field(default_factory=dict)
    gates: tuple[GateState, ...] = ()
    #: Of those apps that have any.
    calls_out: tuple[CallsState, ...] = ()
    paused: tuple[PauseState, ...] = ()
    held: tuple[HeldState, ...] = ()
    #: How many are dead, by reason.
    dead: dict[str, int] = field(default_factory=dict)
    #: Of which rules, by reason.
    dead_rules: dict[str, list[str]] = field(default_factory=dict)
    sources: tuple[SourceState, ...] = ()
    refusals: tuple[RefusalState, ...] = ()
    #: A source that is silent for longer should not be; 0: nobody asks.
    silence_ms: int = 0
    reach: tuple[ReachState, ...] = ()
    #: How far this machine's clock is ahead of OneSignal's, or behind (below 0).
    clock_seconds: float = 0.0
    #: None: it is not known.
    free_bytes: int | None = None
    #: What is wrong with the last edit, which is not in force.
    refused: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    key: str
    words: str
    todo: str
    #: Worth a message by now.
    is_grave: bool = True
    #: Of something that grows while nobody looks; 0: it cannot be counted.
    count: int = 0


def causes(seen: Seen, told: Collection[str] = ()) -> Iterator[Cause]:
    """Why a person should look, the gravest first; `told` are the keys that somebody was told of."""
    if seen.unready is not None:
        yield _unready(seen.unready)
    if not seen.dry_run:
        yield from _gates(seen)
        yield from _oldest(seen)
    yield from _clock(seen)
    yield from _disk(seen)
    yield from _strangers(seen)
    for app, count in seen.left_behind.items():
        yield Cause(
            key=f"nobody/{app}",
            words=f"{count} events wait for app {app}, which is not configured",
            todo="configure it again, or let the version that knew it deliver them",
            is_grave=False,
        )
    yield from (_paused(one, seen.now_ms) for one in seen.paused)
    # What leaves little by little is as somebody wants it.
    yield from (_held(one) for one in seen.held if one.stays)
    yield from (_dead(reason, count, seen.dead_rules) for reason, count in seen.dead.items())
    yield from _unreached(seen, told)
    yield from _silent(seen, told)
    yield from _edits(seen)


def _unready(why: str) -> Cause:
    return Cause(
        key="unready",
        words=f"unready: {why}",
        todo="events are refused until it is over; Segment tries again for four hours",
        is_grave=why != "draining",
    )


def _gates(seen: Seen) -> Iterator[Cause]:
    for app in dict.fromkeys(gate.app for gate in seen.gates):
        closed = [one for one in seen.gates if one.app == app and one.closed is not None]
        refused = [one for one in closed if one.closed in _REFUSALS]
        if refused:
            yield Cause(
                key=f"key/{app}",
                words=f"OneSignal refuses the API key of app {app} ({refused[0].closed})",
                todo="put a valid key in its place; what waits is delivered then",
            )
        elif closed:
            named = ", ".join(one.name for one in closed)
            yield Cause(
                key=f"closed/{app}",
                words=f"OneSignal fails for app {app} ({named}: {closed[0].closed})",
                todo="nothing is lost; what waits is delivered when OneSignal is back",
                is_grave=max(one.closed_seconds for one in closed) > CLOSED_SECONDS,
            )
    for gate in seen.gates:
        if gate.closed is None and gate.held_seconds > HELD_SECONDS:
            yield Cause(
                key=f"asked/{gate.app}/{gate.name}",
                words=f"gate {gate.app}/{gate.name} held for {gate.held_seconds:.0f} s",
                todo="OneSignal asked to wait so long: does something else use up the app's limits?",
                is_grave=gate.held_seconds > ASKED_LONG_SECONDS,
            )


def _oldest(seen: Seen) -> Iterator[Cause]:
    if seen.oldest_seconds > LONG_SECONDS:
        yield Cause(
            key="oldest",
            words=f"the oldest event waits for {seen.oldest_seconds / 60:.0f} minutes",
            todo="segment-bridge status says what it waits for",
        )


def _clock(seen: Seen) -> Iterator[Cause]:
    if abs(seen.clock_seconds) > CLOCK_SECONDS:
        way = "ahead of" if seen.clock_seconds > 0 else "behind"
        yield Cause(
            key="clock",
            words=f"this machine's clock is {abs(seen.clock_seconds) / 60:.0f} minutes {way} OneSignal's",
            todo="run an NTP client: ages, order and limits go by this clock",
        )


def _disk(seen: Seen) -> Iterator[Cause]:
    if seen.free_bytes is not None and seen.free_bytes < LOW_DISK_BYTES:
        yield Cause(
            key="disk",
            words=f"{seen.free_bytes // 1_000_000} MB are free beside the database",
            todo="make room: below 64 MB no more events are taken",
        )


def _strangers(seen: Seen) -> Iterator[Cause]:
    for one in seen.refusals:
        if one.count >= (SURE if one.is_known else UNSURE):
            yield Cause(
                key=f"stranger/{one.source}/{one.code}",
                words=f"events of source {one.source} are refused: {one.code}",
                todo=_REFUSED[one.code],
            )


def _paused(pause: PauseState, now_ms: int) -> Cause:
    command = f"segment-bridge resume {pause.what.replace('/', ' ', 1)}"
    if pause.reason == IOS_REACHED:
        return Cause(
            key=IOS_REACHED,
            words=f"paused: {pause.what}, because a push reached an iPhone ({IOS_REACHED})",
            todo=f"find out why (the log has the notification), then {command}",
        )
    return Cause(
        key=f"paused/{pause.what}",
        words=f"paused: {pause.what}",
        todo=f"{command} lets pushes leave again",
        is_grave=now_ms - pause.since_ms > PAUSED_MS,
    )


def _held(held: HeldState) -> Cause:
    way = "resume" if held.reason == "paused" else "held release"
    # Somebody is told once, of the first that is held: not how many there will be.
    more = (
        "later ones of the rule are held, too, until somebody acts: "
        if held.reason == "limit"
        else ""
    )
    return Cause(
        key=f"held/{held.app}/{held.rule}/{held.reason}",
        words=f"{held.stays} held of rule {held.rule} of app {held.app} ({held.reason})",
        todo=f"{more}segment-bridge held list, then {way} or held discard --rule {held.rule}",
        # What a pause holds is told by the pause.
        is_grave=held.reason != "paused",
    )


def _dead(reason: str, count: int, rules: dict[str, list[str]]) -> Cause:
    named = [rule for rule in rules.get(reason, ()) if rule]
    more = ", …" if len(named) > NAMED else ""
    of = f" of {', '.join(named[:NAMED])}{more}" if named else ""
    return Cause(
        key=f"dead/{reason}",
        words=f"{count} dead: {reason}{of}",
        todo=f"segment-bridge dead list --reason {reason}",
        count=count,
    )


def _unreached(seen: Seen, told: Collection[str]) -> Iterator[Cause]:
    for one in seen.reach:
        key = f"unreached/{one.app}/{one.rule}"
        enough = one.pushes >= PUSHES
        most = one.unreached * 100 >= one.pushes * UNREACHED_PERCENT
        # After a restart too few have been sent to say that it is over.
        if most if enough else key in told:
            yield _unreached_cause(key, one)


def _unreached_cause(key: str, one: ReachState) -> Cause:
    return Cause(
        key=key,
        words=f"{one.unreached} of the last {one.pushes} pushes of rule {one.rule} of app {one.app} reached nobody",
        todo="do your apps call OneSignal.login with Segment's userId?",
    )


def _silent(seen: Seen, told: Collection[str]) -> Iterator[Cause]:
    for one in seen.sources if seen.silence_ms else ():
        key = f"silent/{one.source}"
        if one.last_ms is None:
            # Since a restart nothing has come, so what was told is not over.
            is_silent, heard = key in told, "since the start"
        else:
            age_ms = seen.now_ms - one.last_ms
            is_silent = age_ms > seen.silence_ms and (age_ms < DAY_MS or key in told)
            heard = f"for {age_ms / 60_000:.0f} minutes"
        if is_silent:
            yield Cause(
                key=key,
                words=f"source {one.source} has sent nothing {heard}",
                todo="is its destination in Segment switched on, and its address and secret right?",
            )


def _edits(seen: Seen) -> Iterator[Cause]:
    """What was edited and is not in force."""
    if seen.refused:
        more = f" (and {len(seen.refused) - 1} more)" if len(seen.refused) > 1 else ""
        yield Cause(
            key="refused",
            words=f"an edit was refused: {seen.refused[0]}{more}",
            todo="segment-bridge check says where; what was in force before stays",
        )
    if seen.restart:
        yield Cause(
            key="restart",
            words=f"restart needed: {', '.join(seen.restart)}",
            todo="restart the bridge",
            is_grave=False,
        )
