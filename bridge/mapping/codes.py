"""Every code that a finding can have, explained: what it means, what to do, before and after.

The explanations are prose and stand in `codes.md`, a section for each code, so that they can also be
read there. Nothing needs them until somebody asks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final

_SECTION: Final = re.compile(
    r"^## (?P<code>[a-z]+(?:-[a-z]+)+)\n"
    r"(?P<title>\S[^\n]*)\n\n"
    r"(?P<meaning>\S.*?)\n\n"
    r"```(?P<language>yaml|sh)\n(?P<before>.*?)```\n"
    r"```(?P=language)\n(?P<after>.*?)```\n",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One code, explained."""

    code: str
    title: str
    meaning: str
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.code}: {self.title}\n\n{self.meaning}\n\n"
            f"before:\n{_indented(self.before)}\nafter:\n{_indented(self.after)}"
        )


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


@cache
def codes() -> dict[str, Code]:
    """Every code, in the order of `codes.md`."""
    text = files("bridge.mapping").joinpath("codes.md").read_text(encoding="utf-8")
    return {
        found["code"]: Code(
            code=found["code"],
            title=found["title"],
            meaning=found["meaning"],
            before=found["before"],
            after=found["after"],
        )
        for found in _SECTION.finditer(text)
    }


def nearest_code(written: str) -> str | None:
    """The code that `written` may be a misspelling of."""
    near = get_close_matches(written, codes(), n=1)
    return near[0] if near else None
