"""One event on its way through its user's chain, and the transaction in which things of it end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.deliver.known import Known
from bridge.deliver.left import left_of_replay
from bridge.deliver.means import Means
from bridge.deliver.progress import Progress, tell
from bridge.deliver.state import Moment, Row
from bridge.journal.devices import Device
from bridge.journal.records import Acked, End, Learnt, Waiting
from bridge.mapping.rules import Mapping


@dataclass(slots=True, eq=False)
class Work:
    row: Waiting
    mapping: Mapping
    progress: Progress
    #: Updates of the event that have not ended.
    left: int = 0
    #: Sends or a deletion come after its updates.
    more: bool = False
    #: Its sends come next, and what its updates come to is written with them.
    joins: bool = False
    #: A write was made for it since it was loaded; what is known of it is in memory alone.
    begun: bool = False
    #: A write of its tags and properties was refused: what did not fit into that one is not tried.
    refused: bool = False
    #: Nothing is left to do of it, and that is on disk.
    over: bool = False

    @property
    def at(self) -> Moment:
        return Moment(self.row.event_ms, self.row.seq, self.row.message_id)

    def acked(self) -> Acked | None:
        """What is to be written of it; None while updates of it are to come."""
        row, progress = self.row, self.progress
        if self.left or self.over:
            return None
        if self.more:
            return Acked(row.seq, progress.ends, progress.deaths, sorted(progress.done))
        for rule, operation in left_of_replay(row, progress):
            progress.add(End(rule, operation, "skipped", "rule_gone"))
        if not (progress.done or progress.ends):
            progress.add(End("", "", "skipped", "no_rule"))
        return Acked(row.seq, progress.ends, progress.deaths)


async def ack(
    means: Means,
    works: Iterable[Work],
    learnt: Sequence[Learnt] = (),
    *,
    device: Device | None = None,
) -> None:
    """Write what has ended of these events, and what was learnt by it, at once."""
    acked = [(work, one) for work in works if (one := work.acked()) is not None]
    learnt = [*learnt, *(one for work, _ in acked for one in work.progress.learnt)]
    if not (acked or learnt or device):
        return
    now, ended = means.clock.now_ms(), [one for _, one in acked]
    await means.journal.ack(ended, learnt=learnt, device=device, at_ms=now)
    for work, one in acked:
        tell(means, work.row, one.ends)
        work.progress.written()
        if one.done is None:
            finished(means, work)


async def ack_all(
    known: Known,
    works: Iterable[Work],
    deltas: dict[int, Row],
    *,
    device: Device | None = None,
) -> None:
    """`ack`, with what its chain learnt of these users and all that it owes; after that it holds nobody up."""
    learnt = [one for user, delta in deltas.items() for one in known.learnt(user, delta)]
    await ack(known.means, works, [*learnt, *known.owing()], device=device)
    for user, delta in deltas.items():
        known.remember(user, delta)
    known.settled()


def finished(means: Means, work: Work) -> None:
    """Nothing is left to do of it, and that is on disk."""
    work.over = True
    means.alone.discard(work.row.seq)
    age_ms = means.clock.now_ms() - work.row.received_ms
    means.metrics.arrived(max(0, age_ms) / 1000)
