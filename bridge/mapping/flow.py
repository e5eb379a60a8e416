"""A value as somebody would write it in a mapping file: for the reference page and for hints. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")


def flow(value: Any) -> str:
    """A value in YAML, on one line, without quotes where none are needed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {flow(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        bare = _PLAIN.fullmatch(value) or re.fullmatch(r"[0-9]+[smhd]", value)
        single = "'" not in value and '"' in value
        return value if bare else f"'{value}'" if single else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
