"""The filters of templates: Liquid's own, kept from guessing, plus `unix`, `fixed` and `date`.

python-liquid, like Liquid, takes anything for anything: `'abc' | plus: 1` is 1, a list is joined by
Python's own `str`, a missing key is an empty text. In a message to a customer, or in a tag, such a
guess looks like data. So each filter here gets what it is made for, or stops with a reason:

    text filters      scalars, as JSON prints them; a list or an object is `not_text`
    number filters    numbers and texts that spell one; anything else is `not_a_number`
    list filters      an item that is absent or null is missing, unless `compact` takes it out

A filter never sees an absent value: `bridge.mapping.liquid` ends the rendering before that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import wraps
from typing import Any, Final

from bridge.mapping import dates
from bridge.mapping.reading import ABSENT, json_text, walk

Filter = Callable[..., Any]

#: Between two filters: longer texts and lists than these come only from templates gone wild.
MAX_INTERMEDIATE: Final = 100_000
MAX_ITEMS: Final = 10_000
MAX_BITS: Final = 4_096

#: The reason of a `Stop` for an absent or null item of a list.
MISSING: Final = "missing"


class Stop(Exception):  # noqa: N818  # a way out of a filter, caught by the chain that called it
    """A filter cannot use what it was given."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def offered(library: Mapping[str, Filter]) -> dict[str, Filter]:
    """The filters a template may use, made from python-liquid's by the module they come from."""
    filters = {name: guard(library[name]) for name, guard in _guards(library)}
    own: dict[str, Filter] = {
        "default": library["default"],  # known by name to the chain, which never calls it
        "date": date_,
        "fixed": fixed,
        "join": join,
        "map": map_,
        "replace": replace,
        "size": library["size"],
        "slice": _slice(library["slice"]),
        "sum": sum_,
        "unix": unix,
    }
    return filters | own


def _guards(library: Mapping[str, Filter]) -> Iterator[tuple[str, Callable[[Filter], Filter]]]:
    guards = {"string": _on_text, "math": _on_numbers, "array": _on_list}
    for name, original in library.items():
        package, _, module = original.__module__.rpartition(".")
        if package == "liquid.builtin.filters" and module in guards:
            yield name, guards[module]


def _on_list(original: Filter) -> Filter:
    return original


def bounded(value: Any) -> Any:
    """`value`, unless a template has let it grow beyond anything an event holds."""
    if isinstance(value, (str, list)):
        _bound(len(value), MAX_INTERMEDIATE if isinstance(value, str) else MAX_ITEMS)
    elif isinstance(value, int):
        _bound(value.bit_length(), MAX_BITS)
    return value


def _bound(size: int, limit: int) -> None:
    if size > limit:
        raise Stop("too_long")


def text(value: Any) -> str:
    """A scalar as text; null only where the template itself says `nil`."""
    written = "" if value is None else json_text(value)
    if written is None:
        raise Stop("not_text")
    return written


_NUMBER: Final = re.compile(r"[+-]?\d{1,400}(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def number(value: Any) -> int | float:
    """A number, or a text that spells one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        spelled = value.strip().lstrip("+")
        value = int(spelled) if spelled.lstrip("-").isdigit() else float(spelled)
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise Stop("not_a_number")


def _on_text(original: Filter) -> Filter:
    @wraps(original)
    def filtered(value: Any, *args: Any, **kwargs: Any) -> Any:
        return original(text(value), *map(_argument, args), **kwargs)

    return filtered


def _argument(value: Any) -> Any:
    # Whole numbers stay numbers: `truncate: 5` counts, and `append: 5` writes them itself.
    return value if type(value) is int else text(value)


def _on_numbers(original: Filter) -> Filter:
    @wraps(original)
    def filtered(value: Any, *args: Any, **kwargs: Any) -> Any:
        return original(number(value), *map(number, args), **kwargs)

    return filtered


def _slice(original: Filter) -> Filter:
    @wraps(original)
    def filtered(value: Any, *args: Any, **kwargs: Any) -> Any:
        return original(value if isinstance(value, list) else text(value), *args, **kwargs)

    return filtered


def replace(value: Any, sought: Any, by: Any = "") -> str:
    """Every `sought` in a text replaced; measured first, for the result may be the product."""
    whole, old, new = text(value), text(sought), text(by)
    _bound(len(whole) + whole.count(old) * len(new), MAX_INTERMEDIATE)
    return whole.replace(old, new)


def _items(value: Any, depth: int = 5) -> Iterator[Any]:
    """The items of a list, lists in lists unrolled as Liquid does; another value is its own item."""
    if not isinstance(value, (list, tuple, range)):
        yield value
        return
    _bound(len(value), MAX_ITEMS)
    for item in value:
        if depth and isinstance(item, (list, tuple)):
            yield from _items(item, depth - 1)
        else:
            yield item


def _present(item: Any) -> Any:
    if item is None:
        raise Stop(MISSING)
    return item


def join(value: Any, separator: Any = " ") -> str:
    """The items of a list as one text; an item that is absent or null makes it missing."""
    pieces = [text(_present(item)) for item in _items(value)]
    between = text(separator)
    _bound(sum(map(len, pieces)) + len(between) * len(pieces), MAX_INTERMEDIATE)
    return between.join(pieces)


def map_(value: Any, key: Any) -> list[Any]:
    """One property of every item; null where an item has none, for `compact` to take out."""
    return [_property(item, text(key)) for item in _items(value)]


def _property(item: Any, key: str) -> Any:
    found = walk(item, [key]) if isinstance(item, dict) else ABSENT
    return None if found is ABSENT else found


def sum_(value: Any, key: Any = None) -> int | float:
    """The sum of a list of numbers, or of one property of its items."""
    items = list(_items(value)) if key is None else map_(value, key)
    numbers = [number(_present(item)) for item in items]
    if all(isinstance(each, int) for each in numbers):
        return sum(numbers)
    return float(sum(Decimal(str(each)) for each in numbers))


def unix(value: Any) -> int:
    """Whole seconds since 1970 of an ISO 8601 time with zone."""
    seconds = dates.unix_seconds(value) if isinstance(value, str) else None
    if seconds is None:
        raise Stop("not_a_date")
    return seconds


def date_(value: Any, pattern: Any) -> str:
    """A date as text, in its own time zone, or in UTC when it names none."""
    moment = dates.parse(value)
    if moment is None:
        raise Stop("not_a_date")
    return dates.formatted(moment, text(pattern))


def fixed(value: Any, digits: Any) -> str:
    """A decimal with exactly `digits` digits after the point, halves rounded away from zero."""
    places = number(digits)
    if not isinstance(places, int) or not 0 <= places <= 20:
        raise Stop("not_a_number")
    rounded = Decimal(str(number(value))).quantize(
        Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP, context=Context(prec=MAX_BITS)
    )
    return format(rounded or abs(rounded), "f")  # never -0
