"""What waits for a person: counted before anything acts, with some of it to look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import orjson

from bridge.console.views.drawing import PUSH, Drawn, drawn
from bridge.journal import Journal
from bridge.journal.piles import Choice, Skipped
from bridge.journal.records import Dead
from bridge.journal.sends import HeldSend
from bridge.segment import raw_json

One = TypeVar("One")


class Counted(Protocol):
    """Pushes that are held alike."""

    @property
    def app(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def count(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Preview(Generic[One]):
    """What an act would be about."""

    count: int
    #: Of the newest of them: an act up to then is about no more than was counted. None: there are none.
    until_ms: int | None
    some: Sequence[One]
    #: The first push among them, as a phone would show it.
    push: Drawn | None = None
    #: Of how many more the content is not kept any more.
    gone: int = 0


@dataclass(slots=True, kw_only=True)
class Waiting:
    journal: Journal
    counts: Callable[[Choice], Awaitable[Sequence[Counted]]]

    async def dead(self, choice: Choice, *, sample: int) -> Preview[Dead]:
        journal = self.journal
        count = sum(one.many for one in await journal.dead_counts(choice))
        some = await journal.dead_letters(choice, limit=sample)
        first = next((one for one in some if one.operation == PUSH), None)
        push = None if first is None else _drawn(first.request)
        return Preview(count, await journal.piles.newest_dead(choice), some, push)

    async def held(self, choice: Choice, *, sample: int) -> Preview[HeldSend]:
        journal = self.journal
        count = sum(one.count for one in await self.counts(choice))
        some = await journal.sends.held(choice, limit=sample)
        first = next((one for one in some if one.operation == PUSH), None)
        whole = None if first is None else await journal.piles.held_one(first.key)
        push = None if whole is None else _drawn(whole.body)
        return Preview(count, await journal.piles.newest_held(choice), some, push)

    async def leaving(self, choice: Choice) -> int:
        """How many of a rule, or of all, and a reason somebody has let go little by little."""
        releases = await self.journal.piles.releases(counted=True)
        return sum(
            one.left
            for one in releases
            if one.hold == choice.reason and choice.rule in {None, one.rule}
        )

    async def skipped(self, choice: Choice, *, sample: int) -> Preview[Skipped]:
        """Of a rule; without one nothing is shown."""
        piles = self.journal.piles
        counts = await piles.skipped_counts(choice)
        some = await piles.skipped(choice, limit=sample) if choice.rule else []
        return Preview(
            sum(one.kept for one in counts),
            max((one.newest_ms for one in counts), default=None),
            some,
            gone=sum(one.gone for one in counts),
        )


def _drawn(body: bytes | None) -> Drawn | None:
    found = text(body)
    return drawn(found) if isinstance(found, dict) else None


def text(body: bytes | None) -> Any:
    """A body as JSON where it is, else as it reads."""
    if body is None:
        return None
    try:
        # What nests too deep can be read, and not be written again.
        return body.decode() if raw_json.is_too_deep(body) else orjson.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
