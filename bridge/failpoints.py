"""Named places where a test may end the process, as a crash would: nothing is cleaned up.

`BRIDGE_FAIL_AT=send.written` ends it the first time that this place is reached, `send.written:3` the
third time. Without the variable the places cost nothing but a call that does nothing.

::

    accept.writing    events are written, and not committed
    accept.written    they are committed, and nobody knows
    accept.answering  their user is told to be looked at, and the 200 is about to leave
    tail.indexing     a tail is in the indexes, and that is not committed
    user.claimed      the events of some users are loaded, and nothing of them is begun
    update.leaving    an update is about to leave
    update.answered   its answer has come, and is not written
    event.acking      the ends of its updates are written, and not committed
    ids.linking       an id is another's, with all that waits for it, and that is not committed
    merge.asking      OneSignal is about to be asked to make two users one
    merge.joining     what is known of them is, and that is not committed
    merge.joined      it is
    merge.paid        what the user lacked is written, and only devices are left
    merge.found       which of them are to be moved yet is written
    merge.moving      one is about to be
    merge.moved       it is, and that is not written
    merge.ending      all are, and that is not committed
    operation.dying   a dead letter is written, and not committed
    dead.replaying    it has left the dead, and has not been put back to work; not committed
    dead.replayed     it has, and that is committed
    send.reached      a chain has come to the sends of an event
    send.writing      they are written, and not committed
    send.written      they are committed
    group.sealing     a call is written, its members have not joined it
    group.sealed      they have, and it is committed
    call.leaving      a call that was written is about to leave
    call.answered     its answer has come
    send.ending       the end of a send is written, and not committed
    group.ending      some members of a call have ended, and others have not
    user.swept        some of what is known of a user is removed, and that is committed
    user.erasing      the last of it is, and that is not committed
    event.finishing   nothing is left of an event, and that is not committed
    log.emptying      the write-ahead log is about to be copied into the database
    log.emptied       it has been
"""

from __future__ import annotations

import os

VARIABLE = "BRIDGE_FAIL_AT"
STATUS = 86
"""What the process ends with."""


class _Place:
    """Where to end, and how often to come by before."""

    def __init__(self, text: str) -> None:
        self.name, _, times = text.partition(":")
        self.left = int(times or 1)

    def reached(self, name: str) -> None:
        if name == self.name:
            self.left -= 1
            if not self.left:
                os._exit(STATUS)


def _never(name: str) -> None:
    """No test is under way."""


reached = _Place(os.environ[VARIABLE]).reached if os.environ.get(VARIABLE) else _never
"""Call it at a place, by its name."""
