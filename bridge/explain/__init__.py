"""What became of an event, told to a person: from the journal's rows to one story.

::

    journal.trace ──> Trace ──┐
                              ├──> story ──> Story ──> JSON, or lines on a terminal
    mapping ──> plan again ───┘

Pure: what is told depends on the rows, the mapping and the time that are handed in. Outcomes are
facts. Of rules that did not act the journal keeps nothing, so the event is planned again, with the
mapping of today, and the story says when that is another than the event was planned with.

Words: OneSignal *accepts*. Whether a phone showed anything is not ours to know.
"""

from __future__ import annotations
