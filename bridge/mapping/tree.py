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
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarbool import ScalarBoolean

Path = tuple[str | int, ...]
Spot = tuple[int, int]
"""Line and column, both from 1."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SECTION: Final = re.compile(r"^([A-Za-z_]+):(?=[ \t]|$)", re.MULTILINE)
_ONE_BY_ONE: Final = re.compile(r"([A-Za-z_]+): *(?:#[^\n]*)?\n(?: *(?:#[^\n]*)?\n)*( *)- ")
_NOT_IN_PIECES: Final = re.compile(r"^(?:%|---|\.\.\.)|[\r\x85\u2028\u2029\ufeff]", re.MULTILINE)
"""Directives and documents reach over pieces; the rest ends lines that `\\n` does not."""
_ONLY_COMMENTS: Final = re.compile(r"(?: *(?:#[^\n]*)?\n)*")
_PIECES: Final = 8192


class Piece(NamedTuple):
    """What was read by itself: plain values, and where the key or the dash of each stands."""

    value: Any
    spots: dict[Path, Spot]


Pieces = dict[Path, tuple[int, dict[Path, Spot]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A file as it was read."""

    #: What it says, as Python has it; None for an empty file.
    value: Any
    #: For the path of each piece, the lines above it and its spots; `()` is the whole file.
    pieces: Pieces
    #: Where entries of `value` stood before others were left out.
    moved: dict[Path, Path] = field(default_factory=dict)

    def place(self, path: Path) -> Spot:
        """Line and column of the deepest part of `path` that the file has."""
        path = self.moved.get(path[:2], path[:2]) + path[2:]
        own = next(path[:length] for length in (2, 1, 0) if path[:length] in self.pieces)
        above, spots = self.pieces[own]
        if len(own) == 2:  # an entry, which is the first and only one of its piece
            path = (path[0], 0, *path[2:])
        while path and path not in spots:
            path = path[:-1]
        line, column = spots.get(path, (1, 1))
        return line + above, column

    def without(self, left_out: Collection[Path]) -> Tree:
        """This tree without some sections and entries of lists, with the places of all others."""
        kept = {name: value for name, value in self.value.items() if (name,) not in left_out}
        moved: dict[Path, Path] = {}
        for name, entries in kept.items():
            if any(path[0] == name for path in left_out):
                stay = [n for n in range(len(entries)) if (name, n) not in left_out]
                kept[name] = [entries[n] for n in stay]
                moved |= {(name, new): (name, old) for new, old in enumerate(stay)}
        return Tree(value=kept, pieces=self.pieces, moved={**self.moved, **moved})


def read_tree(text: str) -> Tree:
    """The tree of a YAML 1.2 text.

    Raises:
        Exception: what ruamel raises (`MarkedYAMLError`, and for odd tags and numbers anything else).
        UnicodeError: a text holds half of a character.
    """
    try:
        tree = _in_pieces(text)
    except Exception:  # noqa: BLE001 — whatever is wrong, the whole file says it better than a piece
        tree = None
    return tree or _as_one(text)


def _as_one(text: str) -> Tree:
    value, spots = _read(text)
    return Tree(value=value, pieces={(): (0, spots)})


def _read(text: str) -> Piece:
    yaml = YAML(typ="rt", pure=True)
    yaml.version = (1, 2)
    nodes = yaml.load(text)
    # Ruamel's nodes are heavy, and thousands of them would make each garbage collection slow.
    return Piece(plain(nodes), dict(_spots(nodes, ())))


_piece = lru_cache(maxsize=_PIECES)(_read)


def _in_pieces(text: str) -> Tree | None:
    """The tree of a file of block style; None when it is to be read as one."""
    begins = [match.start() for match in _SECTION.finditer(text)]
    if not begins or _NOT_IN_PIECES.search(text) or not _ONLY_COMMENTS.fullmatch(text[: begins[0]]):
        return None
    value: dict[str, Any] = {}
    pieces: Pieces = {(): (0, {})}
    line = text.count("\n", 0, begins[0])
    for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
        if not _add(text[begin:end], line, value, pieces):
            return None
        line += text.count("\n", begin, end)
    return Tree(value=value, pieces=pieces)


def _add(section: str, line: int, value: dict[str, Any], pieces: Pieces) -> bool:
    """Read one section, entry by entry if it is a list; false when it is more than that."""
    name = section.partition(":")[0]
    if name in value:
        return False
    head = _ONE_BY_ONE.match(section)
    if head is not None:
        pieces[name,] = (line, {(name,): (1, 1)})
        value[name] = []
        return all(
            _add_entry(name, f"{name}:\n{entry}", line + above - 1, value[name], pieces)
            for above, entry in _entries(section, head)
        )
    said, spots = _piece(section)
    value[name], pieces[name,] = said[name], (line, spots)
    return list(said) == [name]


def _add_entry(name: str, text: str, line: int, entries: list[Any], pieces: Pieces) -> bool:
    said, spots = _piece(text)
    pieces[name, len(entries)] = (line, spots)
    entries += said[name]
    return list(said) == [name] and len(said[name]) == 1


def _entries(section: str, head: re.Match[str]) -> Iterator[tuple[int, str]]:
    """The entries of a list in block style, each with the lines above it in its section."""
    begins = re.compile(rf"^{head[2]}-(?=[ \t]|$)", re.MULTILINE)
    found = [match.start() for match in begins.finditer(section, head.end() - 2 - len(head[2]))]
    above = section.count("\n", 0, found[0])
    for begin, end in zip(found, [*found[1:], len(section)], strict=True):
        yield above, section[begin:end]
        above += section.count("\n", begin, end)


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
