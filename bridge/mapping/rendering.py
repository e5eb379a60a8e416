"""One rendering of a template: what it has read of the event, and what it has printed so far."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO
from itertools import groupby
from typing import Any, NamedTuple, TextIO
from urllib.parse import quote

from liquid.context import RenderContext
from liquid.expression import Expression
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.undefined import UNDEFINED, is_undefined
from liquid.utils import ReadOnlyChainMap

from bridge.mapping.reading import (
    ABSENT,
    MAX_TEXT,
    Fields,
    Missing,
    Refused,
    Unresolved,
    culprit,
    dotted,
    leaves_open,
    runs,
    runs_beyond,
    walk,
)


class EventContext(RenderContext):
    """The names a template can read: its own variables, then the event's fields."""

    __slots__ = ("_calm", "absent")

    def __init__(self, template: BoundTemplate, fields: Fields) -> None:
        super().__init__(template, globals=fields)
        # Without Liquid's built-in `now` and `today`.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self._calm = 0
        #: The first path found absent where that is allowed.
        self.absent: str | None = None

    def find(self, keys: list[object]) -> Any:
        """The value at a path whose keys are known, or `ABSENT`."""
        root = keys[0]
        holder = self.scope.get(root, ABSENT) if isinstance(root, str) else ABSENT
        value = walk(holder, keys[1:])
        return ABSENT if is_undefined(value) else value

    def get(
        self,
        path: list[object],
        *,
        token: Token | None,  # noqa: ARG002  # python-liquid's signature
        default: object = UNDEFINED,  # noqa: ARG002  # as above
    ) -> object:
        """What every path of a template evaluates to; the one place where reading is strict."""
        value = self.find(path)
        if value is not ABSENT and value is not None:
            return value
        if not self._calm:
            raise Unresolved(Missing(dotted(path)))
        if value is ABSENT and self.absent is None:
            self.absent = dotted(path)
        return None

    def calmly(self, expression: Expression) -> Any:
        """`expression`, with nil for what the event does not say."""
        self._calm += 1
        try:
            return expression.evaluate(self)
        finally:
            self._calm -= 1

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:  # noqa: ARG002  # python-liquid's signature
        """The buffer of a `capture`: encoded, if at all, when the variable is printed."""
        return Pieces(encode=False)


class Piece(NamedTuple):
    text: str
    is_literal: bool
    path: str | None


class Pieces(StringIO):
    """A text in the making that remembers which pieces came from the event."""

    def __init__(self, *, encode: bool) -> None:
        super().__init__()
        self._encode = encode
        self._pieces: list[Piece] = []
        self._size = 0

    def write(self, text: str, /) -> int:
        """What the author of the mapping wrote."""
        return self._add(Piece(text, is_literal=True, path=None))

    def put(self, text: str, path: str | None, *, encoded: bool) -> int:
        """What `{{ }}` prints; `path` is where it was read."""
        if self._encode and not encoded:
            if runs(text):
                raise Unresolved(Refused("liquid_in_value", path))
            text = quote(text, safe="", errors="replace")
        return self._add(Piece(text, is_literal=False, path=path))

    def _add(self, piece: Piece) -> int:
        self._size += len(piece.text)
        if self._size > MAX_TEXT:
            raise Unresolved(Refused("too_long", piece.path))
        self._pieces.append(piece)
        return len(piece.text)

    def getvalue(self) -> str:
        return "".join(piece.text for piece in self._pieces)

    def checked(self) -> str:
        """The whole text, unless the event brought Liquid into it."""
        text = self.getvalue()
        if "{" not in text:
            return text
        if (path := self._inside_liquid()) is not None:
            raise Unresolved(Refused("liquid_in_value", path))
        if runs_beyond(self._literals(), text):
            raise Unresolved(Refused("liquid_in_value", culprit(self._values())))
        return text

    def _literals(self) -> Iterator[str]:
        for is_literal, run in groupby(self._pieces, key=lambda piece: piece.is_literal):
            if is_literal:
                yield "".join(piece.text for piece in run)

    def _inside_liquid(self) -> str | None:
        """The path of a value that stands inside Liquid meant for OneSignal."""
        is_open = False
        for piece in self._pieces:
            if piece.is_literal:
                is_open = leaves_open(piece.text, already=is_open)
            elif is_open and piece.path is not None:
                return piece.path
        return None

    def _values(self) -> Iterator[tuple[str | None, str]]:
        return ((piece.path, piece.text) for piece in self._pieces if not piece.is_literal)
