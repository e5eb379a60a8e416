"""What the journal keeps of groups: sends that may share a call, and the calls that they share.

::

    written ──> unsealed ──seal──> call ──> ended, one by one
                   ^                 │
                   └────unseal───────┤      certainly not performed, and a member has grown too old
                                     └─split──> two calls       certainly refused: one of them may go

Sealing persists the exact bytes, the key and the members of a call before its first attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from bridge.journal.records import Death, SendGroup, Status
from bridge.journal.sends import Hold

Endpoint = Literal["send", "event"]


class Member(NamedTuple):
    """A send that shares a call."""

    key: str
    rule: str
    recipient: str
    part: bytes | None
    expires_ms: int | None
    #: By which its recipient is named.
    label: str


class Sealed(NamedTuple):
    """A call with its members' bytes, as every attempt sends it."""

    key: str
    group: bytes
    endpoint: Endpoint
    rank: int
    #: Of one of its members; all members of a push have the same.
    rule: str
    method: str
    path: str
    body: bytes
    not_before_ms: int
    attempt: int
    created_ms: int
    #: An attempt may have been performed.
    uncertain: bool
    members: int
    #: When the first of its members is too old; None: never.
    expires_ms: int | None


class OpenGroup(NamedTuple):
    """How many sends of a group wait to be sealed."""

    id: bytes
    endpoint: Endpoint
    rank: int
    members: int


class OpenCall(NamedTuple):
    """A call that was sealed and has not ended."""

    key: str
    endpoint: Endpoint
    rank: int
    not_before_ms: int


class Sealing(NamedTuple):
    """What came of sealing: a call, if there was anybody for one, and how many were looked at."""

    call: Sealed | None
    #: Those that were sealed, and those that may not leave.
    taken: int
    #: By rule, how many of the latter ended, and how.
    ended: list[tuple[str, MemberEnd, int]]


class MemberEnd(NamedTuple):
    status: Status
    reason: str | None = None
    http: int | None = None
    death: Death | None = None


class EndedMember(NamedTuple):
    rule: str
    end: MemberEnd
    #: When what it is about happened; None when its event is not kept any more.
    event_ms: int | None


class EndedSome(NamedTuple):
    members: list[EndedMember]
    #: Some are left. Once there are none, those of whom it is asked again are back for another attempt.
    more: bool


Sift = Callable[[SendGroup, Member], "MemberEnd | Hold | None"]
"""Whether one that waits may leave: None; else how it ends, or why it is held."""
Choose = Callable[[SendGroup, Sequence[Member]], Sequence[Member]]
"""Those of the members that may share one call; at least one."""
Make = Callable[[SendGroup, Sequence[Member]], tuple[str, bytes]]
"""The key and the bytes of their call."""
EndOf = Callable[[Member], MemberEnd]


class Groups(Protocol):
    """The part of a journal that is about groups."""

    async def waiting(self, app: str, *, limit: int) -> tuple[list[OpenGroup], list[OpenCall]]:
        """What of an app is under way in groups; at most `limit` of each."""

    async def seal(
        self, group: bytes, *, sift: Sift, choose: Choose, make: Make, limit: int, now_ms: int
    ) -> Sealing:
        """Make a call of at most `limit` of those that wait, oldest first, and may leave."""

    async def all_may_leave(self, key: str, *, sift: Sift) -> bool:
        """Whether each member of a call that was sealed would be sealed again."""

    async def call(self, key: str) -> Sealed | None:
        """A call with its bytes; None when it has ended."""

    async def unseal(self, key: str) -> None:
        """Of a call that was certainly not performed the members wait again."""

    async def split(self, key: str, *, make: Make, now_ms: int) -> list[OpenCall]:
        """Of a call that was certainly refused make two, of half of the members each."""

    async def end_some(self, key: str, *, end_of: EndOf, at_ms: int) -> EndedSome:
        """End some members of a call, and with the last the call.

        A call with a member that died of an unknown outcome is kept:
        only its own bytes may ever be sent again.
        """

    async def hold_unsealed(self, group: bytes, why: Hold) -> int:
        """Some of what waits in a group waits for a person; how many, 0 when none is left."""
