"""What `doctor` is made of: questions to this machine, to OneSignal, and to the bridge's public address.

::

    here        settings, mappings, where the database is
    onesignal   the key, the clock, templates, one user's devices
    public      signed events through the address that Segment posts to
    probe       OneSignal's open questions, with a user that is deleted again

Each answers with `Check` values. None of them sends a notification to anybody.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "warning", "error"]


class Check(NamedTuple):
    """One question and its answer."""

    name: str
    level: Level
    said: str
    hint: str | None = None
    #: What it settles, as a line of the settings.
    setting: str | None = None
