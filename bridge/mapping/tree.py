"""From the text of a YAML file to plain values, and to the place of each.

A YAML parser that keeps places takes over a millisecond for a rule, and a mapping may have hundreds of
which one was edited. So a file is read in pieces, one for each entry of `rules` and `examples` and one
for each other section, and a piece whose text was read before is not read again. A piece is read by the
same parser as a whole file would be; where the pieces do not fit together, and wherever something is
wrong, the whole file is read, and what that says counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.scalarbool import ScalarBoolean
from ruamel.yaml.scanner import RoundTripScanner

Path = tuple[str | int, ...]
Spot = tuple[int, int]
"""Line and column, both from 1."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SECTION: Final = re.compile(r"^([A-Za-z_]+):(?=[ \t]|$)", re.MULTILINE)
_ONE_BY_ONE: Final = re.compile(r"([A-Za-z_]+): *(?:#[^\n]*)?\n(?: *(?:#[^\n]*)?\n)*( *)- ")
_ONLY_COMMENTS: Final = re.compile(r"(?: *(?:#[^\n]*)?\n)*")
_PIECES: Final = 8192
MOST_VALUES: Final = 200_000
"""In one file, each as often as `*names` repeat it: twenty short lines of them can stand for billions."""
MOST_BRACKETS: Final = 50
"""Inside one another; the time that each takes grows with how many there are around it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Piece:
    """What was read by itself. Equal to itself alone: the same text is the same piece."""

    #: As Python has it.
    value: Any
    #: Where the key or the dash of each value stands.
    spots: dict[Path, Spot]
    #: Where an object is the key of an object, which is what `{{ a }}` without quotes is to YAML.
    unquoted: Path | None


Pieces = dict[Path, tuple[int, Piece]]
_NOTHING: Final = Piece(value=None, spots={}, unquoted=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A file as it was read."""

    #: What it says, as Python has it; None for an empty file.
    value: Any
    #: By the path of what it holds, each piece and the lines above it; `()` is the whole file.
    pieces: Pieces
    #: Where entries of `value` stood before others were left out.
    moved: dict[Path, Path] = field(default_factory=dict)

    @property
    def unquoted(self) -> Path | None:
        """The first place where a template lacks its quotes."""
        for path, (_, piece) in self.pieces.items():
            if piece.unquoted is not None:
                return path + piece.unquoted[2:] if len(path) == 2 else piece.unquoted
        return None

    def entry(self, name: str, number: int) -> Piece | None:
        """The piece of an entry of a list; None when it was not read by itself."""
        path: Path = (name, number)
        _, piece = self.pieces.get(self.moved.get(path, path), (0, None))
        return piece

    def place(self, path: Path) -> Spot:
        """Line and column of the deepest part of `path` that the file has."""
        path = self.moved.get(path[:2], path[:2]) + path[2:]
        own = next(path[:length] for length in (2, 1, 0) if path[:length] in self.pieces)
        above, piece = self.pieces[own]
        if len(own) == 2:  # an entry, which is the first and only one of its piece
            path = (path[0], 0, *path[2:])
        while path and path not in piece.spots:
            path = path[:-1]
        line, column = piece.spots.get(path, (1, 1))
        return line + above, column

    def without(self, left_out: Collection[Path]) -> Tree:
        """This tree without some sections and entries of lists, with the places of all others."""
        kept = {name: value for name, value in self.value.items() if (name,) not in left_out}
        moved: dict[Path, Path] = {}
        for name, entries in kept.items():
            if any(path[0] == name for path in left_out):
                stay = [n for n in range(len(entries)) if (name, n) not in left_out]
                kept[name] = [entries[n] for n in stay]
                was = ((name, old) for old in stay)
                moved |= {(name, new): self.moved.get(old, old) for new, old in enumerate(was)}
        return Tree(value=kept, pieces=self.pieces, moved={**self.moved, **moved})


def read_tree(text: str) -> Tree:
    """The tree of a YAML 1.2 text.

    Raises:
        Exception: what ruamel raises (`MarkedYAMLError`, and for odd tags and numbers anything else).
        ValueError: it stands for more than `MOST_VALUES`.
        UnicodeError: a text holds half of a character.
    """
    try:
        tree = _in_pieces(text)
    except Exception:  # noqa: BLE001 — whatever is wrong, the whole file says it better than a piece
        tree = None
    return tree or _as_one(text)


def _as_one(text: str) -> Tree:
    piece = _read(text)
    return Tree(value=piece.value, pieces={(): (0, piece)})


class _Scanner(RoundTripScanner):
    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:  # noqa: N803 — ruamel's name
        if len(self.flow_context) >= MOST_BRACKETS:
            problem = f"more than {MOST_BRACKETS} brackets are open"
            raise MarkedYAMLError(problem=problem, problem_mark=self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


def _read(text: str) -> Piece:
    yaml = YAML(typ="rt", pure=True)
    yaml.version = (1, 2)
    # It would print the anchor, which may be a secret that lacks its quotes.
    yaml.composer.warn_double_anchors = False
    yaml.Scanner = _Scanner
    nodes = yaml.load(text)
    if _weight(nodes, {}) > MOST_VALUES:
        raise ValueError(f"with what `*` repeats it holds more than {MOST_VALUES:,} values")
    value = plain(nodes)
    # Ruamel's nodes are heavy, and thousands of them would make each garbage collection slow.
    return Piece(value=value, spots=dict(_spots(nodes, ())), unquoted=_unquoted(value, ()))


_piece = lru_cache(maxsize=_PIECES)(_read)


def _in_pieces(text: str) -> Tree | None:
    """The tree of a file of block style; None when it is to be read as one."""
    begins = [match.start() for match in _SECTION.finditer(text)]
    if not begins or _reaches_over(text) or not _ONLY_COMMENTS.fullmatch(text[: begins[0]]):
        return None
    value: dict[str, Any] = {}
    pieces: Pieces = {(): (0, _NOTHING)}
    line = text.count("\n", 0, begins[0])
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        if not _add(text[begin:end], line, value, pieces):
            return None
        line += text.count("\n", begin, end)
    return Tree(value=value, pieces=pieces)


def _reaches_over(text: str) -> bool:
    """Whether it has directives or documents, or ends lines in more ways than one."""
    marks = any(text.startswith(mark) or f"\n{mark}" in text for mark in ("%", "---", "..."))
    return marks or any(end in text for end in "\r\x85\u2028\u2029\ufeff")


def _add(section: str, line: int, value: dict[str, Any], pieces: Pieces) -> bool:
    """Read one section, entry by entry if it is a list; false when it is more than that."""
    name = section.partition(":")[0]
    if name in value:
        return False
    head = _ONE_BY_ONE.match(section)
    if head is not None:
        pieces[name,] = (line, Piece(value=None, spots={(name,): (1, 1)}, unquoted=None))
        value[name] = []
        return all(
            _add_entry(name, f"{name}:\n{entry}", line + above - 1, value[name], pieces)
            for above, entry in _entries(section, head)
        )
    piece = _piece(section)
    value[name], pieces[name,] = piece.value[name], (line, piece)
    return list(piece.value) == [name]


def _add_entry(name: str, text: str, line: int, entries: list[Any], pieces: Pieces) -> bool:
    piece = _piece(text)
    pieces[name, len(entries)] = (line, piece)
    entries += piece.value[name]
    return list(piece.value) == [name] and len(piece.value[name]) == 1


def _entries(section: str, head: re.Match[str]) -> Iterator[tuple[int, str]]:
    """The entries of a list in block style, each with the lines above it in its section."""
    begins = re.compile(rf"^{head[2]}-(?=[ \t]|$)", re.MULTILINE)
    found = [match.start() for match in begins.finditer(section, head.end() - 2 - len(head[2]))]
    above = section.count("\n", 0, found[0])
    for begin, end in zip(found, [*found[1:], len(section)], strict=True):
        yield above, section[begin:end]
        above += section.count("\n", begin, end)


def _weight(nodes: Any, known: dict[int, int]) -> int:
    """How many values it stands for; what is repeated is counted again, and not walked again."""
    if not isinstance(nodes, dict | list):
        return 1
    if id(nodes) not in known:
        known[id(nodes)] = 1
        inside = [*nodes, *nodes.values()] if isinstance(nodes, dict) else nodes
        known[id(nodes)] += sum(_weight(one, known) for one in inside)
    return known[id(nodes)]


def plain(nodes: Any) -> Any:
    """Ruamel's nodes as the plain values they stand for.

    Raises:
        UnicodeError: a text holds half of a character, which no request can carry.
    """
    if isinstance(nodes, dict):
        return {plain(key): plain(value) for key, value in nodes.items()}
    if isinstance(nodes, list):
        return [plain(value) for value in nodes]
    if isinstance(nodes, ScalarBoolean):  # one with an anchor, which Python has for a number
        return bool(nodes)
    if isinstance(nodes, str):
        return _whole(str(nodes))
    for kind in (bool, int, float):
        if isinstance(nodes, kind):
            return kind(nodes)
    return nodes


def _whole(text: str) -> str:
    """`text` with the halves of an emoji, which JSON writes as two escapes, put together."""
    if _SURROGATE.search(text) is None:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def _unquoted(value: Any, path: Path) -> Path | None:
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        if any(not isinstance(key, str | int | float | bool | None) for key in value):
            return path
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    found = (_unquoted(child, (*path, key)) for key, child in children)
    return next((one for one in found if one is not None), None)


def _spots(nodes: Any, path: Path) -> Iterator[tuple[Path, Spot]]:
    children: Iterable[tuple[Any, Any]] = ()
    if isinstance(nodes, CommentedMap):
        children = ((key, child) for key, child in nodes.items() if isinstance(key, str | int))
    elif isinstance(nodes, CommentedSeq):
        children = enumerate(nodes)
    for key, child in children:
        try:
            line, column = (nodes.lc.item if isinstance(nodes, CommentedSeq) else nodes.lc.key)(key)
        except (KeyError, TypeError, AttributeError):  # a key that came in by `<<`
            continue
        yield (*path, plain(key)), (line + 1, column + 1)
        yield from _spots(child, (*path, plain(key)))
