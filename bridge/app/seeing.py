"""A running bridge, looked at: what `status` shows, and what alerts are about."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from bridge.alerts.causes import (
    CallsState,
    GateState,
    HeldState,
    PauseState,
    ReachState,
    RefusalState,
    Seen,
    SourceState,
)
from bridge.config import Config
from bridge.config.reload import Reload, place_of
from bridge.errors import Finding
from bridge.journal import Journal
from bridge.journal.piles import Releasing
from bridge.journal.pressure import free_bytes

if TYPE_CHECKING:
    from bridge.app.bridge import Bridge


async def see(bridge: Bridge) -> Seen:
    journal, settings, now_ms = bridge.journal, bridge.settings, bridge.clock.now_ms()
    counts = await journal.counts()
    oldest_ms = 0 if counts.oldest_ms is None else now_ms - counts.oldest_ms
    dead: Counter[str] = Counter()
    dead_rules: dict[str, list[str]] = {}
    for one in await journal.dead_counts():
        dead[one.reason] += one.many
        dead_rules.setdefault(one.reason, []).append(one.rule)
    return Seen(
        now_ms=now_ms,
        unready=bridge.unready(),
        dry_run=bridge.config.restraint.dry_run,
        pending=counts.pending,
        oldest_seconds=max(0, oldest_ms) / 1000,
        left_behind=left_behind(await journal.pending_apps(), bridge.config),
        gates=_gates(bridge),
        calls_out=_calls_out(bridge),
        paused=tuple(PauseState(**one._asdict()) for one in bridge.brake.pauses.values()),
        held=tuple(await _held(bridge)),
        dead=dict(dead),
        dead_rules=dead_rules,
        sources=_sources(bridge),
        refusals=_refusals(bridge),
        silence_ms=settings.silence // timedelta(milliseconds=1),
        reach=_reach(bridge),
        clock_seconds=max((one.apart.seconds for one in bridge.means.values()), key=abs),
        free_bytes=free_bytes(journal.path),
        refused=_refused(bridge.reloader.record),
        restart=bridge.reloader.record.restart,
    )


async def _held(bridge: Bridge) -> list[HeldState]:
    journal = bridge.journal
    releases = {
        (one.app, one.rule, one.hold): one
        for one in await journal.piles.releases()
        # A pause stops it.
        if not bridge.brake.paused(one.rule)
    }
    held = [
        HeldState(app=app, rule=rule, reason=hold, count=count)
        for app, rule, hold, count in await journal.sends.held_counts()
    ]
    return [
        one if found is None else replace(one, leaving=await _leaving(journal, found, one.count))
        for one in held
        for found in [releases.get((one.app, one.rule, one.reason))]
    ]


async def _leaving(journal: Journal, one: Releasing, count: int) -> int:
    """What a release is about: counted is what it is not about, which is little."""
    stays = [n for other in one.others() for *_, n in await journal.sends.held_counts(other)]
    return max(0, count - sum(stays))


def left_behind(waiting: dict[str, int], config: Config) -> dict[str, int]:
    """How many events wait for each app that is not configured any more."""
    return {app: count for app, count in waiting.items() if app not in config.apps}


def _gates(bridge: Bridge) -> tuple[GateState, ...]:
    return tuple(
        GateState(
            app=app,
            name=gate.name,
            closed=gate.closed,
            closed_seconds=gate.closed_seconds,
            held_seconds=gate.held_seconds,
        )
        for app, means in bridge.means.items()
        for gate in means.destination.gates
        # What is only looked at is asked for once a second, and never urgent.
        if gate.name != "view"
    )


def _calls_out(bridge: Bridge) -> tuple[CallsState, ...]:
    return tuple(
        CallsState(app=app, count=len(means.calls_out), oldest_seconds=oldest)
        for app, means in bridge.means.items()
        if (oldest := means.calls_out.oldest_seconds) is not None
    )


def _sources(bridge: Bridge) -> tuple[SourceState, ...]:
    return tuple(
        SourceState(
            source=name,
            app=intake.source.app,
            per_minute=intake.pulse.per_minute,
            last_ms=intake.pulse.last_ms,
        )
        for name, intake in bridge.intakes.items()
    )


def _refusals(bridge: Bridge) -> tuple[RefusalState, ...]:
    return tuple(
        RefusalState(source=name, code=one.code, count=one.times, is_known=one.is_known)
        for name, intake in bridge.intakes.items()
        for one in intake.refusals.recent
    )


def _reach(bridge: Bridge) -> tuple[ReachState, ...]:
    return tuple(
        ReachState(app=app, rule=rule, pushes=pushes, unreached=unreached)
        for app, means in bridge.means.items()
        for rule, pushes, unreached in means.reach.figures()
    )


def _refused(record: Reload) -> tuple[str, ...]:
    """The errors for which the last edit is not in force, with the places where they are to be mended."""
    if record.last_refused is None:
        return ()
    return tuple(_told(one) for one in record.last_refused.findings if one.is_error)


def _told(finding: Finding) -> str:
    place = place_of(finding)
    # In one line: `check` draws the condition, with a mark where it is wrong.
    return f"{finding.code}, {finding.message.partition(chr(10))[0]}" + (
        f" at {place}" if place else ""
    )
