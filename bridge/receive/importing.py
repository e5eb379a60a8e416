"""Rows of an import: taken as a webhook's events are, behind everybody else's, and never many at once.

Each row comes as an identify event of the source `import`. What makes an import safe to repeat is what
makes a webhook safe to repeat: a row's messageId is made of its file and its number, and one that was
heard before is a duplicate. Order, limits and everything else are the ordinary ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.receive.accept import Accepted
from bridge.receive.body import Rejected
from bridge.receive.webhook import Intake, keep, take
from bridge.segment.body import Element, NotJson, read_body

MOST_PENDING = 2000
"""Rows that are in the journal and not done; more of them would only wait there."""
MOST_AT_ONCE = 500
"""Rows of one request."""
_PATIENCE_SECONDS = 20.0
_LOOK_SECONDS = 0.1
_FULL = Rejected(
    status=429,
    code="import-full",
    message=f"{MOST_PENDING} rows wait for OneSignal; nothing of these was kept, send them again.",
    retry_after=1,
)


@dataclass(slots=True)
class Importing:
    """The door of the source `import`."""

    intake: Intake
    #: Rows that were pending when we last looked, by seq.
    _waiting: list[int] = field(default_factory=list)

    async def take(self, body: bytes) -> dict[str, Any] | Rejected:
        """Keep the events of a JSON array, as soon as there is room; the answer's object.

        It is the webhook's (`accepted`, `duplicates`, `rejected`), with how many rows are `pending`.
        """
        elements = read_body(body)
        if isinstance(elements, NotJson):
            return Rejected(status=400, code=elements.code, message=elements.message)
        if len(elements) > MOST_AT_ONCE:
            message = f"A request holds at most {MOST_AT_ONCE} rows."
            return Rejected(status=413, code="too-many-events", message=message)
        if not await self._room(len(elements)):
            return _FULL
        return await self._keep(elements)

    async def _keep(self, elements: list[Element]) -> dict[str, Any] | Rejected:
        accepted = take(self.intake, elements)
        kept = await keep(self.intake, accepted)
        if isinstance(kept, Rejected):
            return kept
        appended, result = kept
        # Also those that were heard before: a repeat after a restart may find them pending.
        self._waiting += _work(accepted, [one.seq for one in appended])
        return result | {"pending": len(self._waiting)}

    async def _room(self, rows: int) -> bool:
        """Wait until so many more are not too many; False when that takes too long."""
        clock = self.intake.clock
        until = clock.monotonic() + _PATIENCE_SECONDS
        while len(self._waiting) + rows > MOST_PENDING:
            self._waiting = await self.intake.journal.still_pending(self._waiting)
            if len(self._waiting) + rows <= MOST_PENDING:
                break
            if clock.monotonic() >= until:
                return False
            await clock.sleep(_LOOK_SECONDS)
        return True


def _work(accepted: Accepted, seqs: Sequence[int]) -> list[int]:
    return [
        seq for entry, seq in zip(accepted.entries, seqs, strict=True) if entry.rank is not None
    ]
