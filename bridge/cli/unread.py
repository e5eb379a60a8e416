"""`bridge.env` beside which a command runs, and which nobody has read into its environment."""

from __future__ import annotations

import os
from pathlib import Path

_FILE = "bridge.env"
_SAYS = ("BRIDGE_CONFIG", "BRIDGE_ONESIGNAL_APP_ID", "BRIDGE_MAPPINGS")


def unread_settings() -> str | None:
    """What to type; None when there is no such file here, or the environment says what it would."""
    if any(name in os.environ for name in _SAYS) or not Path(_FILE).is_file():
        return None
    return f"note: {_FILE} in this folder was not read: set -a; . ./{_FILE}; set +a"
