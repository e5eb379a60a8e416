"""Carries Segment events to OneSignal, and remembers every one.

Four verbs make the picture, and each is a module or a package here::

    Segment ──> receive ──> journal ──> plan ──> deliver ──> OneSignal

Three languages stand beside them: `segment` (the one we hear), `mapping` (the one operators write)
and `onesignal` (the one we speak).
"""

from __future__ import annotations

__version__ = "0.1.0"
