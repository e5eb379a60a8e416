"""What commands that send nothing need to know of the settings: the mapping, the app's platforms."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.mapping.rules import Mapping

DEFAULT_PLATFORMS = ("android", "web")


def served_platforms() -> tuple[str, ...]:
    """The platforms of BRIDGE_ONESIGNAL_PLATFORMS, or its default."""
    text = os.environ.get("BRIDGE_ONESIGNAL_PLATFORMS", "")
    return tuple(part for part in re.split(r"[,\s]+", text) if part) or DEFAULT_PLATFORMS


def chosen_mapping(path: Path | None) -> Mapping:
    """The mapping at `path`; without one that of BRIDGE_MAPPINGS, else the starter.

    Raises:
        ConfigurationError: with everything that is wrong with it.
    """
    from bridge.mapping.load import load_mapping, preset, starter

    if path is None:
        named = os.environ.get("BRIDGE_MAPPINGS")
        path = Path(named) if named else starter()
    elif not path.exists() and path.suffix == "" and preset(str(path)).exists():
        path = preset(str(path))
    mapping, _ = load_mapping(path, serves=served_platforms(), tag_cap=tag_cap())
    return mapping


def tag_cap() -> int | None:
    """Tags that a user may have on the plan of BRIDGE_ONESIGNAL_PLAN; None when it is not known."""
    from bridge.settings import TAG_CAP

    return TAG_CAP.get(os.environ.get("BRIDGE_ONESIGNAL_PLAN", ""))
