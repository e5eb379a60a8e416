"""What a page says after something was done; the address holds a code and a count, never words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bridge.console.api import number

Said = Callable[[Mapping[str, str]], str]


def _counted(one: str, many: str) -> Said:
    def said(query: Mapping[str, str]) -> str:
        count = number(query.get("count", "")) or 0
        return one if count == 1 else many.format(f"{count:,}")

    return said


def _replayed(query: Mapping[str, str]) -> str:
    """How many are tried again, and how many are not, and why."""
    nots = [
        said({"count": query[name]}) for name, said in _NOT.items() if number(query.get(name, ""))
    ]
    tried = [_TRIED(query)] if not nots or number(query.get("count", "")) else []
    return " ".join([*tried, *nots])


_TRIED = _counted("One is tried again.", "{} are tried again.")
_NOT: Final[dict[str, Said]] = {
    "no_events": _counted("One is not tried again: what was sent is no event.", "{} are not tried again: what was sent is no event."),
    "forgotten": _counted(
        "One is not tried again: it may have been sent, and after 30 days OneSignal would not know a repeat. Discard it.",
        "{} are not tried again: they may have been sent, and after 30 days OneSignal would not know a repeat. Discard them.",
    ),
}  # fmt: skip
"""By what the address names them: those of whom a replay makes nothing."""
NUMBERS: Final = frozenset({"count", *_NOT})
"""What an address says beside the code."""

SAID: Final[dict[str, Said]] = {
    "paused": lambda _: "Pushes are paused. What would have left is held; tags go on.",
    "resumed": _counted("Pushes leave again. One that was held is on its way.", "Pushes leave again. {} that were held are on their way."),
    "released": _counted("One push is on its way.", "{} pushes are on their way."),
    "releasing": _counted("One push leaves little by little.", "{} pushes leave little by little."),
    "kept": lambda _: "What left little by little stays, from now on.",
    "held-discarded": _counted("One push was discarded, unsent.", "{} pushes were discarded, unsent."),
    "replayed": _replayed,
    "replayed-one": lambda _: "It is tried again: what becomes of it stands here. Others that died alike wait under Dead and held.",
    "dead-discarded": _counted("One was discarded for good.", "{} were discarded for good."),
    "skipped-replayed": _counted("One is planned again.", "{} are planned again."),
    "erasing": lambda _: "The customer is being erased, at OneSignal and here.",
}  # fmt: skip
