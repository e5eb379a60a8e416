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


SAID: Final[dict[str, Said]] = {
    "paused": lambda _: "Pushes are paused. What would have left is held; tags go on.",
    "resumed": _counted("Pushes leave again. One that was held is on its way.", "Pushes leave again. {} that were held are on their way."),
    "released": _counted("One push is on its way.", "{} pushes are on their way."),
    "releasing": _counted("One push leaves little by little.", "{} pushes leave little by little."),
    "kept": lambda _: "What left little by little stays, from now on.",
    "held-discarded": _counted("One push was discarded, unsent.", "{} pushes were discarded, unsent."),
    "replayed": _counted("One is tried again.", "{} are tried again."),
    "replayed-one": lambda _: "It is tried again: what becomes of it stands here. Others that died alike wait under Dead and held.",
    "dead-discarded": _counted("One was discarded for good.", "{} were discarded for good."),
    "skipped-replayed": _counted("One is planned again.", "{} are planned again."),
    "erasing": lambda _: "The customer is being erased, at OneSignal and here.",
}  # fmt: skip
