r"""The patterns of FQL's `match`: `*`, `?`, `[abc]`, `[a-z]` and `\x`, over a whole text.

A pattern becomes a regular expression in which everything between two `*` is found once, as far
left as possible, and never tried again: time grows with pattern times text, whatever they hold.

A list has no negation: `[!a]` is `!` or `a`, as Segment documents it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

LONGEST: Final = 5 * 1024
"""As long as a condition may be; time grows with it, and a longer one can come from an event alone."""


class GlobError(ValueError):
    """A pattern that cannot match anything sensible, such as an unclosed list."""


# Patterns may come from events; the bound keeps a flood of different ones from growing memory.
@lru_cache(maxsize=256)
def compile_glob(pattern: str) -> Callable[[str], object | None]:
    """A function that answers None for a text that the pattern does not match; raises GlobError."""
    if len(pattern) > LONGEST:
        raise GlobError(f"the pattern has more than {LONGEST} characters")
    chunks = [""]
    at = 0
    while at < len(pattern):
        if pattern[at] == "*":
            chunks.append("")
            at += 1
        else:
            part, at = _one_character(pattern, at)
            chunks[-1] += part
    return re.compile(_joined(chunks), re.DOTALL).fullmatch


def _joined(chunks: list[str]) -> str:
    first, *others = chunks
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>.*?{chunk})" for chunk in middle if chunk) + f".*{last}"


def _one_character(pattern: str, at: int) -> tuple[str, int]:
    """What stands for one character at this place, as a regular expression, and where it ends."""
    match pattern[at]:
        case "?":
            return ".", at + 1
        case "[":
            return _list(pattern, at + 1)
        case _:
            character, end = _literal(pattern, at)
            return re.escape(character), end


def _literal(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at] != "\\":
        return pattern[at], at + 1
    if at + 1 == len(pattern):
        raise GlobError("the pattern ends with a backslash that escapes nothing")
    return pattern[at + 1], at + 2


def _list(pattern: str, at: int) -> tuple[str, int]:
    ranges: list[str] = []
    while at < len(pattern) and pattern[at] != "]":
        low, at = _literal(pattern, at)
        high = low
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in {"", "]"}:
            high, at = _literal(pattern, at + 1)
        if low > high:
            raise GlobError(f"the range [{low}-{high}] of the pattern runs backwards")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if at == len(pattern):
        raise GlobError("the pattern has a [ without its ]")
    if not ranges:
        raise GlobError("the pattern has an empty list []")
    return f"[{''.join(ranges)}]", at + 1
