"""From the tree of a condition to closures, from the leaves up, so that no depth can overflow.

On the way it writes down what the condition reads and compares, refuses what can never work
(an unknown function, the wrong number of arguments, `!` before a comparison), and notes in
`fql_suspicions` what is legal and probably not meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Final

from lark import Token, Tree

from bridge.mapping import fql_operators as operators
from bridge.mapping.fql_errors import ConditionError
from bridge.mapping.fql_functions import FUNCTIONS, OTHER_NAMES, Function, kind_of
from bridge.mapping.fql_glob import GlobError, compile_glob
from bridge.mapping.fql_grammar import number_of, path_of, text_of
from bridge.mapping.fql_operators import Reader, Test
from bridge.mapping.fql_suspicions import (
    ALWAYS_BOOL,
    about_argument,
    about_comparison,
    about_condition,
    about_path,
    about_pattern,
    about_type,
)

Pins = Mapping[tuple[str, ...], frozenset[str]]
NO_PINS: Final[Pins] = {}
PINNED: Final = frozenset({("type",), ("event",), ("source",)})
"""Of these a condition says, if it can, which values alone can meet it."""


class _Varies:
    """The constant of a part that is no literal."""


_VARIES: Final = _Varies()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A compiled piece: how to read it, where it stands, and what is known before any event."""

    read: Reader
    shape: str
    begin: int
    end: int
    #: What `typeof` will say, where that is certain (or, of a function, when it is not null).
    kind: str | None = None
    constant: Any = _VARIES
    path: tuple[str, ...] | None = None
    #: The text literals that it is made of: itself, or the items of a list.
    texts: tuple[str, ...] = ()
    #: Of a condition: what must be one of some texts wherever it is met.
    pins: Pins = field(default_factory=dict)

    @property
    def is_literal(self) -> bool:
        return self.constant is not _VARIES

    def test(self) -> Test:
        return self.read if self.kind == "bool" else operators.is_true(self.read)


def _kind_in_events(part: Part) -> str | None:
    """What it is wherever it is not null."""
    return "bool" if part.path in ALWAYS_BOOL else part.kind


def _pinned_by(left: Part, right: Part) -> Pins:
    """What a comparison by `=` or `in` pins, if it is one of `PINNED`."""
    values = right.constant if isinstance(right.constant, list) else [right.constant]
    if left.path not in PINNED or not all(isinstance(value, str) for value in values):
        return NO_PINS
    return {left.path: frozenset(values)}


def _pinned_together(parts: list[Part]) -> Pins:
    """What `and` pins: everything that a part pins."""
    pins: dict[tuple[str, ...], frozenset[str]] = {}
    for part in parts:
        for path, texts in part.pins.items():
            pins[path] = pins[path] & texts if path in pins else texts
    return pins


def _pinned_either_way(parts: list[Part]) -> Pins:
    """What `or` pins: what every part pins."""
    shared = set(parts[0].pins).intersection(*(part.pins for part in parts[1:]))
    return {path: frozenset().union(*(part.pins[path] for part in parts)) for path in shared}


class Compiler:
    """Compiles one condition; afterwards holds what was found on the way."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.paths: set[tuple[str, ...]] = set()
        self.event_names: set[str] = set()
        self.types: set[str] = set()
        self.pins: Pins = NO_PINS
        self._suspicions: list[tuple[int, str]] = []
        self._build: dict[str, Callable[[Tree[Token], list[Part]], Part]] = {
            "path": self._path,
            "list": self._list,
            "group": self._group,
            "call": self._call,
            "comparison": self._comparison,
            "negation": self._negation,
            "conjunction": self._junction,
            "disjunction": self._junction,
        }

    def suspicions(self) -> list[str]:
        return [message for _, message in sorted(self._suspicions)]

    def compile(self, tree: Tree[Token]) -> Test:
        parts: dict[int, Part] = {}
        *inner, top = tree.iter_subtrees()
        for node in inner:
            if node.data != "operator":
                below = [c for c in node.children if isinstance(c, Tree) and c.data != "operator"]
                build = self._build.get(node.data, self._literal)
                parts[id(node)] = build(node, [parts[id(child)] for child in below])
        (child,) = top.children
        whole = parts[id(child)]
        self.pins = whole.pins
        return self._condition(whole)

    def _condition(self, part: Part) -> Test:
        self._suspect(part, about_condition(part.kind, self._source(part)))
        return part.test()

    # What stands on its own.

    def _literal(self, node: Tree[Token], _: list[Part]) -> Part:
        value: Any = {"true": True, "false": False, "null": None}.get(node.data)
        (token,) = node.children
        if isinstance(token, Token) and token.type == "STRING":
            value = text_of(token)
        elif isinstance(token, Token) and token.type == "NUMBER":
            value = number_of(self.text, token)
        return _constant(node, value)

    def _path(self, node: Tree[Token], _: list[Part]) -> Part:
        (token,) = node.children
        assert isinstance(token, Token)  # noqa: S101 - the grammar says so; this tells mypy
        path = path_of(token)
        self.paths.add(path)
        part = _part(node, operators.read(path), path=path)
        self._suspect(part, about_path(path, str(token)))
        return part

    def _list(self, node: Tree[Token], items: list[Part]) -> Part:
        texts = tuple(item.constant for item in items if isinstance(item.constant, str))
        if all(item.is_literal for item in items):
            return replace(_constant(node, [item.constant for item in items]), texts=texts)
        readers = tuple(item.read for item in items)
        part = _part(node, lambda fields: [read(fields) for read in readers], kind="list")
        return replace(part, texts=texts)

    def _group(self, node: Tree[Token], parts: list[Part]) -> Part:
        (part,) = parts
        return replace(part, shape="group", begin=_begin(node), end=_end(node))

    # Functions.

    def _call(self, node: Tree[Token], arguments: list[Part]) -> Part:
        name = str(node.children[0])
        function = FUNCTIONS.get(name)
        if function is None:
            raise self._unknown_function(node, name)
        if not function.accepts(len(arguments)):
            raise self._wrong_count(node, name, function, len(arguments))
        for index, argument in enumerate(arguments):
            takes = function.takes[min(index, len(function.takes) - 1)]
            source = self._source(argument)
            self._suspect(argument, about_argument(argument.kind, takes, source, function.usage))
        if name == "match" and arguments[1].is_literal and isinstance(arguments[1].constant, str):
            return self._match(node, arguments[0], arguments[1])
        return _part(node, _applied(function.call, arguments), kind=function.gives)

    def _match(self, node: Tree[Token], subject: Part, pattern: Part) -> Part:
        """A pattern that is known beforehand is made ready once, and refused when it is broken."""
        try:
            matches = compile_glob(pattern.constant)
        except GlobError as error:
            hint = "a backslash takes `*`, `?`, `[` and `]` literally"
            raise self._error(str(error), pattern.begin, hint) from None
        self._suspect(pattern, about_pattern(pattern.constant))
        read = subject.read

        def test(fields: operators.Fields) -> bool:
            value = read(fields)
            return isinstance(value, str) and matches(value) is not None

        return _part(node, test, kind="bool")

    def _unknown_function(self, node: Tree[Token], name: str) -> ConditionError:
        if name.lower() == "not":
            hint = 'negate with `!`: `!( type = "track" )`'
            return self._error(f"`{name}` is not a function", _begin(node), hint)
        near = OTHER_NAMES.get(name.lower()) or next(
            iter(get_close_matches(name.lower(), FUNCTIONS, n=1)), None
        )
        known = f"the functions are {', '.join(sorted(FUNCTIONS))}"
        hint = f"did you mean `{FUNCTIONS[near].usage}`?" if near else known
        return self._error(f"there is no function `{name}`", _begin(node), hint)

    def _wrong_count(
        self, node: Tree[Token], name: str, function: Function, count: int
    ) -> ConditionError:
        wanted = f"{len(function.takes)}{' or more' if function.repeats else ''}"
        things = "argument" if wanted == "1" else "arguments"
        message = f"`{name}` takes {wanted} {things}, and here it has {count}"
        return self._error(message, _begin(node), f"write `{function.usage}`")

    # Operators.

    def _comparison(self, node: Tree[Token], parts: list[Part]) -> Part:
        left, right = parts
        sign = self._sign(node)
        kinds = _kind_in_events(left), _kind_in_events(right)
        self._suspect(left, about_comparison(kinds[0], sign, kinds[1], self._source(node)))
        pins = NO_PINS
        match sign:
            case "=":
                self._note_texts(left, right)
                self._note_texts(right, left)
                test = _equality(left, right)
                pins = _pinned_by(left, right) or _pinned_by(right, left)
            case "!=":
                test = operators.negated(_equality(left, right))
            case "in":
                test = self._membership(left, right)
                pins = _pinned_by(left, right) if isinstance(right.constant, list) else NO_PINS
            case _:
                test = operators.ordered(sign, left.read, right.read)
        return replace(_part(node, test, kind="bool"), pins=pins)

    def _sign(self, node: Tree[Token]) -> str:
        _, sign, _ = node.children
        assert isinstance(sign, Tree)  # noqa: S101 - the grammar says so; this tells mypy
        return str(sign.children[0])

    def _membership(self, left: Part, right: Part) -> Test:
        if right.kind not in {"list", None}:
            source = self._source(right).strip("()").strip()
            is_text = isinstance(right.constant, str)
            hint = f"a list has square brackets: `[{source}]`"
            if is_text and right.shape != "group":
                hint += f"; to search a text: `contains({source}, …)`"
            raise self._error("`in` needs a list or a field on its right", right.begin, hint)
        self._note_texts(left, right)
        if right.is_literal:
            return operators.among(left.read, right.constant)
        return operators.within(left.read, right.read)

    def _negation(self, node: Tree[Token], parts: list[Part]) -> Part:
        (part,) = parts
        if part.shape == "comparison":
            hint = f"write `!( {self._source(part)} )`"
            message = "`!` in front of a comparison needs parentheses"
            raise self._error(message, _begin(node), hint)
        self._suspect(part, about_condition(part.kind, self._source(part)))
        negate = operators.negated if part.kind == "bool" else operators.is_not_true
        return _part(node, negate(part.read), kind="bool")

    def _junction(self, node: Tree[Token], parts: list[Part]) -> Part:
        both = node.data == "conjunction"
        join = operators.every if both else operators.some
        test = join([self._condition(part) for part in parts])
        pins = _pinned_together(parts) if both else _pinned_either_way(parts)
        return replace(_part(node, test, kind="bool"), pins=pins)

    # What is found on the way.

    def _note_texts(self, part: Part, other: Part) -> None:
        if part.path == ("event",):
            self.event_names.update(other.texts)
        if part.path == ("type",):
            self.types.update(other.texts)
            for text in other.texts:
                self._suspect(part, about_type(text))

    def _suspect(self, part: Part, message: str | None) -> None:
        if message:
            self._suspicions.append((part.begin, message))

    def _source(self, place: Part | Tree[Token]) -> str:
        if isinstance(place, Part):
            return self.text[place.begin : place.end]
        return self.text[_begin(place) : _end(place)]

    def _error(self, message: str, offset: int, hint: str) -> ConditionError:
        return ConditionError(message, text=self.text, offset=offset, hint=hint)


def _begin(node: Tree[Token]) -> int:
    begin: int = node.meta.start_pos
    return begin


def _end(node: Tree[Token]) -> int:
    end: int = node.meta.end_pos
    return end


def _part(
    node: Tree[Token], read: Reader, *, kind: str | None = None, path: tuple[str, ...] | None = None
) -> Part:
    begin, end = _begin(node), _end(node)
    return Part(read=read, shape=node.data, begin=begin, end=end, kind=kind, path=path)


def _constant(node: Tree[Token], value: Any) -> Part:
    part = _part(node, operators.constant(value), kind=kind_of(value))
    return replace(part, constant=value, texts=(value,) if isinstance(value, str) else ())


def _equality(left: Part, right: Part) -> Test:
    if left.is_literal:
        left, right = right, left
    if right.is_literal:
        return operators.equal_to(left.read, right.constant, left.path)
    return operators.equal(left.read, right.read)


def _applied(call: Callable[..., Any], arguments: list[Part]) -> Reader:
    readers = tuple(argument.read for argument in arguments)
    match readers:
        case (only,):
            return lambda fields: call(only(fields))
        case (first, second):
            return lambda fields: call(first(fields), second(fields))
        case _:
            return lambda fields: call(*[read(fields) for read in readers])
