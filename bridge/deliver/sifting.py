"""Who of those that share a call may leave, after all that was said since they were written. See `groups`.

::

    not in the list of the only people to be reached     skipped, `not_listed`
    of a rule that is paused                             held, `paused`
    older than its rule allows                           skipped, `too_old`

It is held before it is asked how old it is, however long its gate has been shut: that is asked no more of what a
person lets go.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.deliver.means import Means
from bridge.journal.groups import Member, MemberEnd, Sealed
from bridge.journal.records import SendGroup
from bridge.journal.sends import Hold
from bridge.onesignal.operations import KEYS_KEPT_MS


@dataclass(slots=True)
class Sifting:
    means: Means

    def sift(self, group: SendGroup, member: Member) -> MemberEnd | Hold | None:
        """How one that was never sent ends, or why it is held; None: it may leave."""
        means, brake = self.means, self.means.brake
        if (end := self.unlisted(group, member)) is not None:
            return end
        # Pausing pushes lets custom events go on, and pausing their rule does not.
        if (brake.stops if group.endpoint == "event" else brake.paused)(member.rule):
            return "paused"
        if member.expires_ms is not None and means.clock.now_ms() > member.expires_ms:
            return MemberEnd("skipped", "too_old")
        return None

    def unlisted(self, _: SendGroup, member: Member) -> MemberEnd | None:
        is_listed = self.means.restraint.lists(member.label, member.recipient)
        return None if is_listed else MemberEnd("skipped", "not_listed")

    async def stops(self, call: Sealed) -> bool:
        """Whether one of the members of a call that was sealed must not leave with it any more."""
        means = self.means
        if _is_over(call, means.clock.now_ms()):
            return True
        # What may have arrived is repeated, whoever has paused its rule.
        is_stopped = means.brake.stops_rules and not call.uncertain
        if not is_stopped and means.restraint.only is None:
            return False
        sift = self.unlisted if call.uncertain else self.sift
        return not await means.journal.groups.all_may_leave(call.key, sift=sift)


def _is_over(call: Sealed, now_ms: int) -> bool:
    """One of its members is too old, or what may have arrived would not be known for a repeat."""
    is_forgotten = call.uncertain and now_ms > call.created_ms + KEYS_KEPT_MS
    is_push = call.endpoint == "send"
    return (is_push and is_forgotten) or (call.expires_ms is not None and now_ms > call.expires_ms)
