"""SQL lives in `.sql` files; this reads them: `-- name --`, a sentence, the statement."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_FILES = (
    "queries.sql",
    "sends.sql",
    "groups.sql",
    "piles.sql",
    "calls.sql",
    "trace.sql",
    "devices.sql",
    "erasures.sql",
    "identities.sql",
    "retention.sql",
    "looks.sql",
    "tallies.sql",
    "salvage.sql",
    "setback.sql",
)
_NAME = re.compile(r"^-- ([a-z_]+) --$", re.MULTILINE)


@cache
def queries() -> dict[str, str]:
    """Every statement by its name."""
    parts = _NAME.split("".join(map(_read, _FILES)))
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def schema() -> str:
    return _read("schema.sql")


def _read(name: str) -> str:
    return files("bridge.journal").joinpath("sql", name).read_text(encoding="utf-8")
