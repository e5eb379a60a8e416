"""What must be so of an event for a condition to be met: its cases, and those that contradict themselves.

A condition is taken apart into cases (`or`), each of which is a list of demands (`and`). A demand is
understood when it compares a path with literals; any other is kept as its text, and may always be met.
So a case that is called impossible is impossible; one that is not may be so all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import product
from typing import Any, Final, NamedTuple

from lark import Token, Tree

from bridge.mapping.fql_functions import kind_of
from bridge.mapping.fql_grammar import number_of, parse, path_of, text_of
from bridge.mapping.reading import dotted, json_text

#: More cases than this are not looked at one by one.
MOST_CASES: Final = 64
MOST_PAIRS: Final = 400

Path = tuple[str, ...]
Value = tuple[str, Any]
"""A literal with its kind, because 1 and true are equal to Python and not to a condition."""
NULL: Final[Value] = ("null", None)
_TRUE: Final[Value] = ("bool", True)
_FALSE: Final[Value] = ("bool", False)
_OPPOSITE: Final = {"=": "!=", "!=": "=", "in": "not in"}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Demand(NamedTuple):
    """What one comparison asks; `path` is None when it is not understood."""

    path: Path | None
    sign: str
    values: tuple[Value, ...]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What the value at a path may be."""

    #: None: anything but what `never` holds.
    among: frozenset[Value] | None = None
    never: frozenset[Value] = frozenset()
    above: float | None = None
    below: float | None = None

    @property
    def is_present(self) -> bool:
        """Whether the event must say something there."""
        named = self.among is not None and NULL not in self.among
        return named or self.above is not None or self.below is not None or NULL in self.never

    @property
    def is_empty(self) -> bool:
        if self.among is not None:
            return not any(self._takes(value) for value in self.among - self.never)
        return self.above is not None and self.below is not None and self.above > self.below

    def _takes(self, value: Value) -> bool:
        if self.above is None and self.below is None:
            return True
        kind, number = value
        low = -float("inf") if self.above is None else self.above
        high = float("inf") if self.below is None else self.below
        return kind == "number" and low <= number <= high

    def texts(self) -> frozenset[str] | None:
        """The texts that it is one of; None when it may be others."""
        if self.among is None:
            return None
        return frozenset(value for kind, value in self.among - self.never if kind == "string")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to meet a condition."""

    ranges: dict[Path, Range] = field(default_factory=dict)
    #: Demands that are not understood, as they are written.
    others: frozenset[str] = frozenset()
    #: Why no event can be so.
    contradiction: str | None = None

    def at(self, *path: str) -> Range:
        return self.ranges.get(path, Range())

    def and_also(self, other: Case) -> Case:
        """Both at once."""
        ranges = dict(self.ranges)
        for path, one in other.ranges.items():
            ranges[path] = _both(ranges[path], one) if path in ranges else one
        return _judged(Case(ranges=ranges, others=self.others | other.others))


ANYTHING: Final = Case()


@lru_cache(maxsize=2048)
def cases(condition: str) -> tuple[Case, ...]:
    """Every case of a condition that can be read, impossible ones too."""
    ways = _ways(parse(condition).children[0], condition, negated=False)
    return (ANYTHING,) if ways is None else tuple(_case(demands) for demands in ways)


def demands(condition: str) -> tuple[tuple[str, ...], ...]:
    """What each way to meet a condition asks, as it is written; none when there are too many ways."""
    ways = _ways(parse(condition).children[0], condition, negated=False)
    return tuple(tuple(one.text for one in asked) for asked in ways or ())


def possible(condition: str) -> tuple[Case, ...]:
    return tuple(case for case in cases(condition) if case.contradiction is None)


def meet(one: str, other: str) -> bool:
    """Whether some event may meet both conditions."""
    return any(a.and_also(b).contradiction is None for a in possible(one) for b in possible(other))


def types_of(condition: str) -> frozenset[str] | None:
    """The types of the events that meet it; None when there is more than one can say."""
    found: set[str] = set()
    for case in possible(condition):
        types = case.at("type").texts()
        if types is None:
            return None
        found |= types
    return frozenset(found)


# --- from the tree of a condition to its cases ---------------------------------------------------------

Ways = list[tuple[Demand, ...]]


def _ways(node: Any, text: str, *, negated: bool) -> Ways | None:
    """Lists of demands, one of which must hold; None: too many."""
    match node.data:
        case "group":
            return _ways(node.children[0], text, negated=negated)
        case "negation":
            return _ways(node.children[0], text, negated=not negated)
        case "conjunction" | "disjunction":
            below = [_ways(child, text, negated=negated) for child in _trees(node)]
            joins = (node.data == "conjunction") is not negated
            return _joined(below) if joins else _either(below)
        case _:
            return [(_demand(node, text, negated=negated),)]


def _trees(node: Tree[Token]) -> Iterator[Tree[Token]]:
    return (child for child in node.children if isinstance(child, Tree))


def _joined(below: list[Ways | None]) -> Ways | None:
    number = 1
    for ways in below:
        number *= MOST_CASES + 1 if ways is None else len(ways)
        if number > MOST_CASES:
            return None
    known = [ways for ways in below if ways is not None]
    return [tuple(one for demands in chosen for one in demands) for chosen in product(*known)]


def _either(below: list[Ways | None]) -> Ways | None:
    if any(ways is None for ways in below):
        return None
    found = [demands for ways in below if ways is not None for demands in ways]
    return found if len(found) <= MOST_CASES else None


def _demand(node: Tree[Token], text: str, *, negated: bool) -> Demand:
    written = text[node.meta.start_pos : node.meta.end_pos]
    other = Demand(None, "", (), f"!( {written} )" if negated else written)
    if node.data == "path":
        values = (_FALSE, NULL) if negated else (_TRUE,)
        return Demand(_path(node), "in", values, other.text)
    if node.data != "comparison":
        return other
    return _comparison(node, text, other, negated=negated) or other


def _comparison(node: Tree[Token], text: str, other: Demand, *, negated: bool) -> Demand | None:
    left, operator, right = (_bare(child) for child in _trees(node))
    sign = str(operator.children[0])
    if left.data != "path":
        left, right, sign = right, left, _MIRRORED.get(sign, sign if sign in {"=", "!="} else "")
    values = _literals(right, text)
    if (
        left.data != "path"
        or not sign
        or values is None
        or (right.data == "list") != (sign == "in")
    ):
        return None
    if negated and sign not in _OPPOSITE:
        return None  # not less is more, or no number at all
    chosen = _OPPOSITE[sign] if negated else sign
    if sign in _MIRRORED and values[0][0] != "number":
        return None
    return Demand(_path(left), chosen, values, other.text)


def _bare(node: Tree[Token]) -> Tree[Token]:
    """A value without the brackets around it."""
    while node.data == "group":
        (node,) = _trees(node)
    return node


def _path(node: Tree[Token]) -> Path:
    (token,) = node.children
    assert isinstance(token, Token)  # noqa: S101 — the grammar says so; this tells mypy
    return path_of(token)


def _literals(node: Tree[Token], text: str) -> tuple[Value, ...] | None:
    """The literal, or those of a list; None when there is something else."""
    if node.data == "list":
        items = [_literals(_bare(child), text) for child in _trees(node)]
        return None if None in items else tuple(value for one in items if one for value in one)
    if node.data not in {"string", "number", "true", "false", "null"}:
        return None
    (token,) = node.children
    assert isinstance(token, Token)  # noqa: S101 — as above
    value: Any = {"true": True, "false": False}.get(str(node.data))
    if node.data == "string":
        value = text_of(token)
    elif node.data == "number":
        value = number_of(text, token)
    return ((kind_of(value), value),)


# --- from demands to a case ------------------------------------------------------------------------------


def _case(demands: Iterable[Demand]) -> Case:
    ranges: dict[Path, Range] = {}
    others = set()
    for demand in demands:
        if demand.path is None:
            others.add(" ".join(demand.text.split()))
            continue
        wanted = _range(demand)
        known = ranges.get(demand.path)
        ranges[demand.path] = wanted if known is None else _both(known, wanted)
        if ranges[demand.path].is_empty:
            why = f"`{dotted(demand.path)}` is never all of this at once"
            return Case(ranges=ranges, contradiction=why)
    return _judged(Case(ranges=ranges, others=frozenset(others)))


def _range(demand: Demand) -> Range:
    match demand.sign:
        case "=" | "in":
            return Range(among=frozenset(demand.values))
        case "!=" | "not in":
            return Range(never=frozenset(demand.values))
        case ">" | ">=":
            return Range(above=float(demand.values[0][1]))
        case _:
            return Range(below=float(demand.values[0][1]))


def _both(one: Range, other: Range) -> Range:
    if one.among is None or other.among is None:
        among = one.among if other.among is None else other.among
    else:
        among = one.among & other.among
    lows = [bound for bound in (one.above, other.above) if bound is not None]
    highs = [bound for bound in (one.below, other.below) if bound is not None]
    return Range(
        among=among,
        never=one.never | other.never,
        above=max(lows, default=None),
        below=min(highs, default=None),
    )


def _judged(case: Case) -> Case:
    why = next(_contradictions(case), None)
    return case if why is None else replace(case, contradiction=why)


def _contradictions(case: Case) -> Iterator[str]:
    for path, one in case.ranges.items():
        if one.is_empty:
            yield f"`{dotted(path)}` is never all of this at once"
    types = case.at("type").texts()
    if types is not None:
        yield from _not_of_type(case, types)
    yield from _audiences(case)


#: What only some calls have (Segment, "Spec"); of the others it is always null.
HAVE: Final = {
    "event": frozenset({"track"}),
    "name": frozenset({"page", "screen"}),
    "properties": frozenset({"track", "page", "screen"}),
    "traits": frozenset({"identify", "group"}),
}


def _not_of_type(case: Case, types: frozenset[str]) -> Iterator[str]:
    for path, one in case.ranges.items():
        have = HAVE.get(path[0])
        if have is not None and one.is_present and types and not types & have:
            yield f"{', '.join(sorted(types))} calls have no `{path[0]}`"


def _audiences(case: Case) -> Iterator[str]:
    classes = case.at("audience", "class").texts()
    entered = case.at("audience", "entered")
    if classes is not None and not classes - {"trait"} and entered.is_present:
        what = "a computed trait" if classes else "an event without an audience"
        yield f"{what} is never entered or left"
    if classes == frozenset() and case.at("audience", "key").is_present:
        yield "an event without an `audience.class` has no `audience.key`"
    keys = case.at("audience", "key").texts()
    if keys == frozenset() and entered.is_present:
        yield "an event without an `audience.key` is never entered or left"


def shown(value: Value) -> str:
    """A literal as a condition writes it."""
    kind, literal = value
    return f'"{literal}"' if kind == "string" else str(json_text(literal) or "null")
