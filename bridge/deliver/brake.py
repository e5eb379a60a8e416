"""The brake: pushes of all rules, or of one, that somebody has stopped. Tags go on.

What is paused is kept in the journal's `gate` table, so that a restart finds it; whether a rule may
push is asked in memory, before a send is written and before each attempt, so that a pull acts at
once. `ios_reached` pulls it too: then only a person resumes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from bridge.clock import Clock
from bridge.journal import Journal
from bridge.journal.records import GateRow

PUSHES = "pushes"
BY_A_PERSON = "paused"
_RULE = "rule/"


class Pause(NamedTuple):
    """`what` is `pushes` or a rule's name with `rule/` before it; `reason` says who stopped it."""

    what: str
    reason: str
    since_ms: int


def rule_target(rule: str) -> str:
    """What is paused when one rule is."""
    return f"{_RULE}{rule}"


@dataclass(slots=True, kw_only=True)
class Brake:
    """What is paused now; made by `load_brake`."""

    journal: Journal
    clock: Clock
    #: By what is paused.
    pauses: dict[str, Pause] = field(default_factory=dict)

    def paused(self, rule: str) -> bool:
        """Whether a push of this rule must wait for a person."""
        pauses = self.pauses
        return bool(pauses) and (PUSHES in pauses or rule_target(rule) in pauses)

    def stops(self, rule: str) -> bool:
        """Whether everything of this rule must wait, not its pushes alone."""
        return rule_target(rule) in self.pauses

    @property
    def stops_rules(self) -> bool:
        return any(what != PUSHES for what in self.pauses)

    async def pull(self, what: str, *, reason: str = BY_A_PERSON) -> Pause:
        """Stop `pushes`, or a `rule_target`; no attempt begins after this was called.

        Pulled again it keeps its time; `ios_reached` outranks a person's pause.
        """
        before = self.pauses.get(what)
        if before is not None and reason in {before.reason, BY_A_PERSON}:
            return before
        since = self.clock.now_ms() if before is None else before.since_ms
        pause = self.pauses[what] = Pause(what, reason, since)
        await self.journal.set_gate(
            GateRow(key=what, state="paused", reason=reason, blocked_until_ms=0, changed_ms=since)
        )
        return pause

    async def let_go(self, what: str) -> bool:
        """Let pushes leave again; False when they were not paused.

        Whatever was held because of it is on disk by then: nothing is held for it any more.
        """
        pause = self.pauses.pop(what, None)
        if pause is None:
            return False
        try:
            await self.journal.drop_gate(what)
        except BaseException:
            self.pauses.setdefault(what, pause)
            raise
        return True


async def load_brake(journal: Journal, clock: Clock) -> Brake:
    """The brake as it was left."""
    pauses = {
        row.key: Pause(row.key, row.reason or BY_A_PERSON, row.changed_ms)
        for row in await journal.gates()
        if row.state == "paused"
    }
    return Brake(journal=journal, clock=clock, pauses=pauses)
