"""What a value of a mapping reads from an event, and how what it read becomes text.

Shared by the quick path of `bridge.mapping.expression` and by the Liquid templates of
`bridge.mapping.liquid`, so that both agree, word by word, on three questions:

    is it there?       `walk`        absent is not null, and an absent `size` is not a count
    is it text?        `json_text`   numbers and booleans as JSON prints them; lists and objects are not text
    would it run?      `runs_in`     OneSignal executes Liquid, so an event must never bring any
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: An event's own top-level fields, plus the computed ones.

Fields = Mapping[str, Any]
Key = str | int

#: The longest text a template may give, in characters.
MAX_TEXT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Missing:
    """The event does not say: nothing may be written from this value."""

    #: The first path found absent (or null inside a template), as Liquid writes it.
    path: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The event says something that cannot be used."""

    #: not_text, not_a_date, not_a_number, liquid_in_value, too_long or render_error.
    reason: str
    path: str | None


class Unresolved(Exception):  # noqa: N818  # a way out of a template, caught by the one who renders it
    """Ends the rendering of a template, and carries the outcome."""

    def __init__(self, outcome: Missing | Refused) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class ExpressionError(ValueError):
    """A value of a mapping that can never work, found when the mapping is read.

    `code` is kebab-case and countable; `offset` counts characters from the start of the value.
    """

    def __init__(self, code: str, message: str, hint: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.offset = offset


class _Absent:
    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


#: What `walk` answers when nothing is there; never equal to a JSON value.
ABSENT: Final = _Absent()


def walk(holder: Any, keys: Iterable[object]) -> Any:
    """The value at `keys` below `holder`, or `ABSENT`."""
    for key in keys:
        if isinstance(holder, Mapping):
            holder = _in_object(holder, key)
        elif isinstance(holder, (list, tuple, range)):
            holder = _in_list(holder, key)
        elif isinstance(holder, str) and key == "size":
            holder = len(holder)
        else:
            return ABSENT
        if holder is ABSENT:
            return ABSENT
    return holder


def _in_object(holder: Mapping[Any, Any], key: object) -> Any:
    # Liquid also counts an object's keys for `.size`; here an absent property stays absent.
    return holder.get(key, ABSENT) if isinstance(key, str) else ABSENT


def _in_list(holder: Sequence[Any], key: object) -> Any:
    if key == "size":
        return len(holder)
    index = {"first": 0, "last": -1}.get(key) if isinstance(key, str) else key
    if type(index) is not int or not -len(holder) <= index < len(holder):
        return ABSENT
    return holder[index]


_WORD: Final = re.compile(r"[^\W\d](?:[\w-]*\w)?\??")


def dotted(keys: Iterable[object]) -> str:
    """A path as Liquid writes it: `properties.products[0].name`, `traits['first name']`."""
    first, *rest = keys
    return str(first) + "".join(map(_segment, rest))


def _segment(key: object) -> str:
    if isinstance(key, str):
        return f".{key}" if _WORD.fullmatch(key) else f"[{key!r}]"
    return f"[{key}]"


def json_text(value: Any) -> str | None:
    """A scalar as text, numbers and booleans as JSON prints them; None for anything else."""
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return _integer_text(value)
    if kind is float and math.isfinite(value):
        return repr(value)
    return str(value) if isinstance(value, str) else None


def _integer_text(value: int) -> str | None:
    try:
        return str(value)
    except ValueError:  # Python refuses to print more than 4300 digits
        return None


_RUNS: Final = re.compile(r"\{(?=[{%])")
_OPENS: Final = re.compile(r"\{[{%]|[%}]\}")


def runs(text: str) -> bool:
    """Whether OneSignal would take part of `text` for Liquid and execute it."""
    return "{" in text and _RUNS.search(text) is not None


def runs_in(value: Any) -> bool:
    """`runs`, for every text of a JSON value, keys included."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if runs(item):
                return True
        elif isinstance(item, dict):
            pending.extend(item)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False


def runs_beyond(literals: Iterable[str], text: str) -> bool:
    """Whether `text` holds Liquid that is not wholly inside one of its `literals`.

    A literal is an unbroken run of what the mapping's author wrote. Counting is enough: every
    occurrence inside a literal survives in the text, so one more touches what an event brought.
    """
    return len(_RUNS.findall(text)) > sum(len(_RUNS.findall(literal)) for literal in literals)


def culprit(values: Iterable[tuple[str | None, str]]) -> str | None:
    """The path to name when the values (path, text) of a text bring Liquid into it."""
    suspects = [(path, text) for path, text in values if "{" in text]
    alone = (path for path, text in suspects if runs(text))
    return next(alone, suspects[0][0] if suspects else None)


def leaves_open(literal: str, *, already: bool) -> bool:
    """Whether Liquid meant for OneSignal is still open after `literal`."""
    brackets = _OPENS.findall(literal)
    return brackets[-1][0] == "{" if brackets else already
