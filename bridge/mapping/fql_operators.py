"""What the operators of FQL do, as closures over readers.

`=` is strict by type: 1 is 1.0, and neither is "1" or true. Order is between numbers alone. `in`
looks for a text, number, boolean or null in a list. None of them raises, however deep or odd the
values are. Readers of one and two steps, and comparisons with a text, have closures of their own:
nearly every condition is made of them, and each event meets every rule's.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Fields = Mapping[str, Any]
Reader = Callable[[Fields], Any]
Test = Callable[[Fields], bool]

_NUMBERS = (int, float)
_NESTED = (list, dict)
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def constant(value: Any) -> Reader:
    return lambda _: value


def read(path: tuple[str, ...]) -> Reader:
    """Reads a path; null where a step is missing or what holds it is no object."""
    match path:
        case (name,):
            return lambda fields: fields.get(name)
        case (outer, name):
            return _read_second(outer, name)
        case _:
            return _read_deep(path)


def _read_second(outer: str, name: str) -> Reader:
    def reader(fields: Fields) -> Any:
        inner = fields.get(outer)
        return inner.get(name) if isinstance(inner, dict) else None

    return reader


def _read_deep(path: tuple[str, ...]) -> Reader:
    first, *rest = path
    steps = tuple(rest)

    def reader(fields: Fields) -> Any:
        value = fields.get(first)
        for step in steps:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    return reader


def same(left: Any, right: Any) -> bool:
    """Strict equality of two JSON values; lists and objects by their items."""
    # Not by recursion, and not by Python's own `==`, which recurses: JSON can be nested deeper.
    waiting = [(left, right)]
    while waiting:
        one, other = waiting.pop()
        if isinstance(one, list) and isinstance(other, list):
            if len(one) != len(other):
                return False
            waiting.extend(zip(one, other, strict=True))
        elif isinstance(one, dict) and isinstance(other, dict):
            if one.keys() != other.keys():
                return False
            waiting.extend((value, other[name]) for name, value in one.items())
        elif one != other or isinstance(one, bool) is not isinstance(other, bool):
            return False
    return True


def equal(left: Reader, right: Reader) -> Test:
    return lambda fields: same(left(fields), right(fields))


def equal_to(left: Reader, value: Any, path: tuple[str, ...] | None) -> Test:
    """Equality with a literal; `path` is what `left` reads, if it only reads one."""
    if isinstance(value, str):
        return _equal_to_text(left, value, path)
    if value is None or isinstance(value, bool):
        return lambda fields: left(fields) is value
    return lambda fields: same(left(fields), value)


def _equal_to_text(left: Reader, text: str, path: tuple[str, ...] | None) -> Test:
    if path is None or len(path) > 2:
        return lambda fields: same(left(fields), text)
    if len(path) == 1:
        (name,) = path
        return lambda fields: fields.get(name) == text
    outer, inner = path

    def test(fields: Fields) -> bool:
        holder = fields.get(outer)
        return isinstance(holder, dict) and holder.get(inner) == text

    return test


def negated(test: Test) -> Test:
    return lambda fields: not test(fields)


def is_true(value: Reader) -> Test:
    """A value as a condition: only true counts; null and everything else do not."""
    return lambda fields: value(fields) is True


def is_not_true(value: Reader) -> Test:
    """`!` of a value: of false and null it is true; a text or number has no opposite."""

    def test(fields: Fields) -> bool:
        found = value(fields)
        return found is False or found is None

    return test


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def ordered(sign: str, left: Reader, right: Reader) -> Test:
    compare = _ORDERS[sign]

    def test(fields: Fields) -> bool:
        one, other = left(fields), right(fields)
        return _is_number(one) and _is_number(other) and compare(one, other)

    return test


def among(left: Reader, values: Sequence[Any]) -> Test:
    """`in` a list of literals."""
    if all(isinstance(value, str) for value in values):
        texts = frozenset(values)

        def test(fields: Fields) -> bool:
            value = left(fields)
            return isinstance(value, str) and value in texts

        return test
    return lambda fields: _holds(values, left(fields))


def within(left: Reader, right: Reader) -> Test:
    """`in` a list that the event holds; false when it holds something else there."""

    def test(fields: Fields) -> bool:
        values = right(fields)
        return isinstance(values, list) and _holds(values, left(fields))

    return test


def _holds(values: Sequence[Any], wanted: Any) -> bool:
    return not isinstance(wanted, _NESTED) and any(same(value, wanted) for value in values)


def every(tests: Sequence[Test]) -> Test:
    """`and`, from left to right, no further than needed."""
    if len(tests) == 2:
        first, second = tests
        return lambda fields: first(fields) and second(fields)
    fixed = tuple(tests)

    def test(fields: Fields) -> bool:
        for part in fixed:  # noqa: SIM110 - all() would start a generator for each event
            if not part(fields):
                return False
        return True

    return test


def some(tests: Sequence[Test]) -> Test:
    """`or`, from left to right, no further than needed."""
    if len(tests) == 2:
        first, second = tests
        return lambda fields: first(fields) or second(fields)
    fixed = tuple(tests)

    def test(fields: Fields) -> bool:
        for part in fixed:  # noqa: SIM110 - any() would start a generator for each event
            if part(fields):
                return True
        return False

    return test
