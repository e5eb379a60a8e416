"""The composition root: the only package that knows everyone.

`compose` makes a bridge of its settings, `bridge` is what it made, `doors` is where it is reached.
"""

from __future__ import annotations

from bridge.app.bridge import Bridge
from bridge.app.compose import running

__all__ = ["Bridge", "running"]
