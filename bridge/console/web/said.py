"""What a page says after something was done; the address holds a code and counts, never words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from bridge.console.api import number


class Sign(NamedTuple):
    words: str
    #: All that was asked for was done; otherwise nothing was, or not all.
    is_good: bool = True


Said = Callable[[Mapping[str, str]], Sign]


def _always(words: str) -> Said:
    return lambda _: Sign(words)


def _counted(one: str, many: str, none: str) -> Said:
    def said(query: Mapping[str, str]) -> Sign:
        count = _number(query, "count")
        if not count:
            return Sign(none, is_good=False)
        return Sign(one if count == 1 else many.format(f"{count:,}"))

    return said


def _resumed(query: Mapping[str, str]) -> Sign:
    """It is done, whether or not anything leaves at once."""
    return Sign(_RESUMED(query).words)


def _replayed(query: Mapping[str, str]) -> Sign:
    """How many are tried again, and how many are not, and why."""
    nots = [
        (one if count == 1 else many.format(f"{count:,}"))
        for name, (one, many) in _NOT.items()
        if (count := _number(query, name))
    ]
    tried = [_TRIED(query).words] if not nots or _number(query, "count") else []
    return Sign(" ".join([*tried, *nots]), is_good=_TRIED(query).is_good and not nots)


def _number(query: Mapping[str, str], name: str) -> int:
    return number(query.get(name, "")) or 0


_TRIED = _counted(
    "One is tried again.",
    "{} are tried again.",
    "Nothing is tried again: none of it is dead any more.",
)
_RESUMED = _counted(
    "Pushes leave again. One that was held is on its way.",
    "Pushes leave again. {} that were held are on their way.",
    "Pushes leave again.",
)
_NOT: Final = {
    "no_events": ("One is not tried again: what was sent is no event.", "{} are not tried again: what was sent is no event."),
    "forgotten": (
        "One is not tried again: it may have been sent, and after 30 days OneSignal would not know a repeat. Discard it.",
        "{} are not tried again: they may have been sent, and after 30 days OneSignal would not know a repeat. Discard them.",
    ),
}  # fmt: skip
"""By what the address names them: those of whom a replay makes nothing."""
NUMBERS: Final = frozenset({"count", *_NOT})
"""What an address says beside the code."""
_KEPT: Final = "What left little by little stays, from now on."
_NONE_HELD: Final = "none of it is held any more."

SAID: Final[dict[str, Said]] = {
    "paused": _always("Pushes are paused. What would have left is held; tags go on."),
    "resumed": _resumed,
    "released": _counted("One push is on its way.", "{} pushes are on their way.", f"Nothing is released: {_NONE_HELD}"),
    "releasing": _counted("One push leaves little by little.", "{} pushes leave little by little.", f"Nothing is released: {_NONE_HELD}"),
    "kept": _counted(_KEPT, _KEPT, "Nothing left little by little any more."),
    "held-discarded": _counted("One push was discarded, unsent.", "{} pushes were discarded, unsent.", f"Nothing was discarded: {_NONE_HELD}"),
    "replayed": _replayed,
    "replayed-one": _always("It is tried again: what becomes of it stands here. Others that died alike wait under Dead and held."),
    "dead-discarded": _counted("One was discarded for good.", "{} were discarded for good.", "Nothing was discarded: none of it is dead any more."),
    "skipped-replayed": _counted("One is planned again.", "{} are planned again.", "Nothing is planned again: none of it is left of which the content is kept."),
    "erasing": _always("The customer is being erased, at OneSignal and here."),
}  # fmt: skip
