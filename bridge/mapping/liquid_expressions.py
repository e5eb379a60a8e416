"""What a template evaluates: values with their filters, conditions, and the ends of ranges.

python-liquid parses these expressions; here they are wrapped, so that an absent value decides
nothing but conditions, and never reaches a filter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from liquid import RenderContext
from liquid.builtin.expressions import (
    FilteredExpression,
    KeywordArgument,
    Path,
    PositionalArgument,
    is_empty,
)
from liquid.builtin.expressions.filtered import Filter
from liquid.expression import Expression

from bridge.mapping.liquid_filters import MAX_ITEMS, MISSING, Stop, bounded, number
from bridge.mapping.reading import Missing, Refused, Unresolved
from bridge.mapping.rendering import EventContext


class Condition(Expression):
    """An expression that only decides: nothing it reads is missing, for nothing is written from it."""

    __slots__ = ("inner",)

    def __init__(self, inner: Expression) -> None:
        super().__init__(inner.token)
        self.inner = inner

    def evaluate(self, context: RenderContext) -> Any:
        return cast("EventContext", context).calmly(self.inner)

    def children(self) -> list[Expression]:
        return [self.inner]


class RangeEnd(Expression):
    """The end of `(1..n)`, refused when the range would be longer than any list may be."""

    __slots__ = ("start", "stop")

    def __init__(self, start: Expression, stop: Expression) -> None:
        super().__init__(stop.token)
        self.start = start
        self.stop = stop

    def evaluate(self, context: RenderContext) -> int:
        start, stop = self.start.evaluate(context), _whole(self.stop.evaluate(context))
        if stop is None or (first := _whole(start)) is None or stop - first > MAX_ITEMS:
            raise Unresolved(Refused("render_error", str(self.stop)))
        return stop

    def children(self) -> list[Expression]:
        return [self.stop]

    def __str__(self) -> str:
        return str(self.stop)


def _whole(value: object) -> int | None:
    try:
        number_ = number(value)
    except Stop:
        return None
    return int(number_) if number_ == number_ // 1 else None


class Chain(Expression):
    """`value | filter | filter`: a value, and what happens to it on the way to the page.

    nil passes by every filter until a `default`; where none follows, the value is missing.
    """

    __slots__ = ("filters", "inner", "left", "path")

    def __init__(self, inner: Expression) -> None:
        super().__init__(inner.token)
        # Ternaries, the other kind of chain, are off in this environment.
        chain = cast("FilteredExpression", inner)
        self.inner = inner
        self.left = chain.left
        self.filters: Sequence[Filter] = tuple(chain.filters or ())
        #: The path to name when the outcome is to be explained; None when the event is not read.
        self.path = next((str(e) for e in chain.children() if isinstance(e, Path)), None)

    def children(self) -> list[Expression]:
        return [self.inner]

    def evaluate(self, context: RenderContext) -> Any:
        try:
            return self._evaluate(cast("EventContext", context))
        except Stop as stop:
            raise Unresolved(self._outcome(stop.reason)) from stop
        except Unresolved:
            raise
        except Exception as error:
            raise Unresolved(Refused("render_error", self.path)) from error

    def _outcome(self, reason: str) -> Missing | Refused:
        return Missing(self.path or "nil") if reason == MISSING else Refused(reason, self.path)

    def _evaluate(self, context: EventContext) -> Any:
        value = bounded(self._read(self.left, context, before=0))
        for index, step in enumerate(self.filters):
            if step.name == "default":
                value = self._default(step, value, context, before=index + 1)
            elif value is not None or self.path is None:
                value = bounded(_filtered(step, value, context))
            elif not self._defaults(index):
                break
        if value is None and self.path is not None:
            raise Stop(MISSING)
        return value

    def _defaults(self, before: int) -> bool:
        return any(step.name == "default" for step in self.filters[before:])

    def _read(self, expression: Expression, context: EventContext, *, before: int) -> Any:
        """A value that runs through the filters from `before` on: one of them may stand in for it."""
        if isinstance(expression, Path) and self._defaults(before):
            return context.calmly(expression)
        return expression.evaluate(context)

    def _default(self, step: Filter, value: Any, context: EventContext, *, before: int) -> Any:
        fallbacks = [arg.value for arg in step.args if isinstance(arg, PositionalArgument)]
        options = dict(
            arg.evaluate(context) for arg in step.args if isinstance(arg, KeywordArgument)
        )
        keeps_false = value is False and options.get("allow_false") is True
        if keeps_false or not (value is None or value is False or is_empty(value)):
            return value
        # Read only now: the path of a fallback that is not needed may be absent.
        return bounded(self._read(fallbacks[0], context, before=before)) if fallbacks else ""


def _filtered(step: Filter, value: Any, context: EventContext) -> Any:
    positional, named = step.evaluate_args(context)
    return context.filter(step.name, token=step.token)(value, *positional, **named)
