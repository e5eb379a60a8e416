"""Templates of a mapping: Liquid, made strict about what an event does not say.

python-liquid parses, and walks the tree; what it would make of an absent value is not trusted.
Each place where a template reads is therefore one of three:

    {{ path | … }}  {% assign %}  `for … in`     strict: absent or null ends the rendering as `Missing`
    {% if %}  {% unless %}  {% case %}           calm: absent and null are nil, as Liquid has it
    path | … | default: …                        calm, and nil goes straight to the `default`

so no filter ever meets a value that is not there. Which tags there are, and what each may read, is
in `bridge.mapping.liquid_tags`; only `bridge.mapping.expression` imports this module, and only when
a value needs it, because python-liquid takes a while to load.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, ClassVar, Final

from liquid import Environment
from liquid.ast import Node
from liquid.builtin import content
from liquid.builtin.expressions import KeywordArgument, Path, StringLiteral
from liquid.builtin.expressions.filtered import Filter
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.parser import get_parser
from liquid.static_analysis import TemplateAnalysis
from liquid.template import BoundTemplate

from bridge.mapping.liquid_expressions import Chain, RangeEnd
from bridge.mapping.liquid_filters import MAX_ITEMS, offered
from bridge.mapping.liquid_tags import (
    TAGS,
    WITHHELD,
    Emit,
    NamingStream,
    Withheld,
    WithheldTagError,
)
from bridge.mapping.reading import (
    ABSENT,
    ExpressionError,
    Fields,
    Missing,
    Refused,
    Unresolved,
    leaves_open,
    runs_in,
)
from bridge.mapping.rendering import EventContext, Pieces

CLOCK_WORDS: Final = frozenset({"now", "today"})


class MappingEnvironment(Environment):
    """Liquid without other files, without the clock, and with an end to every loop."""

    loop_iteration_limit: ClassVar[int | None] = MAX_ITEMS

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        super().setup_tags_and_filters(extra=extra)
        self.filters = offered(self.filters)
        self.tags = {}
        for tag in TAGS:
            self.add_tag(tag)
        self.tags |= {name: Withheld(self) for name in WITHHELD}

    def _parse(self, source: str) -> list[Node]:
        return get_parser(self).parse(NamingStream(self.tokenizer()(source)))


@cache
def environment() -> MappingEnvironment:
    return MappingEnvironment()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template that has been read and checked; rendering it never raises."""

    tree: BoundTemplate
    #: Every path of the event that it may read.
    paths: frozenset[str]
    roots: frozenset[str]
    #: Percent-encode what is printed, for links.
    encode: bool
    #: The path, when the template is exactly one `{{ path }}`: its value keeps its type.
    whole: Path | None

    def resolve(self, fields: Fields) -> Any:
        context = EventContext(self.tree, fields)
        try:
            return self._render(context) if self.whole is None else _value(self.whole, context)
        except Unresolved as end:
            return end.outcome
        except Exception:  # noqa: BLE001  # whatever a stranger's event does to a template, others go on
            return Refused("render_error", None)

    def _render(self, context: EventContext) -> str:
        pieces = Pieces(encode=self.encode)
        for node in self.tree.nodes:
            node.render(context, pieces)
        text = pieces.checked()
        if not text and context.absent is not None:
            # An empty tag is deleted; only paths that are all present may say so.
            raise Unresolved(Missing(context.absent))
        return text


def _value(path: Path, context: EventContext) -> Any:
    keys = [key.evaluate(context) if isinstance(key, Path) else key for key in path.path]
    value = context.find(keys)
    if value is ABSENT:
        return Missing(str(path))
    return Refused("liquid_in_value", str(path)) if runs_in(value) else value


def compile_template(text: str, *, encode: bool) -> Template:
    """`text` read as Liquid; raises ExpressionError for what can never work."""
    tree = _parsed(text)
    analysis = tree.analyze(include_partials=False)
    _refuse_the_clock(analysis)
    for expression in _expressions(tree):
        _check(expression)
    _refuse_values_inside_liquid(tree)
    single = tree.nodes[0] if len(tree.nodes) == 1 else None
    alone = single if isinstance(single, Emit) else None
    return Template(
        tree=tree,
        paths=frozenset(str(v) for found in analysis.globals.values() for v in found),
        roots=frozenset(analysis.globals),
        encode=encode and alone is None,
        whole=_whole_path(text, alone),
    )


def _parsed(text: str) -> BoundTemplate:
    try:
        return environment().from_string(text)
    except LiquidError as error:
        raise _readable(error) from error


_AFTER_A_PATH: Final = (
    "after a path comes `|` and a filter, whose value follows a colon: `| default: 'you'`"
)


def _readable(error: LiquidError) -> ExpressionError:
    place = error.token.start_index if error.token is not None else -1
    offset = place if place >= 0 else None
    if isinstance(error, WithheldTagError):
        return ExpressionError(error.code, str(error.message), error.hint, offset)
    said = str(error.message).replace("end of expression", "the end")
    said = said.replace("a primitive expression", "a path or a value")
    message = f"this template cannot be read: {said}"
    hint = _AFTER_A_PATH if said.startswith("expected the end, found") else ""
    return ExpressionError("template-syntax", message, hint, offset)


def _whole_path(text: str, alone: Emit | None) -> Path | None:
    """The path, when `text` is one `{{ path }}` and nothing else (no filter, no `{{-`)."""
    if alone is None or not text.startswith("{{") or not text.endswith("}}"):
        return None
    if text.startswith("{{-") or text.endswith("-}}") or alone.chain.filters:
        return None
    return alone.chain.left if isinstance(alone.chain.left, Path) else None


def _nodes(tree: BoundTemplate) -> Iterator[Node]:
    context = EventContext(tree, {})
    pending = list(tree.nodes)
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.children(context, include_partials=False))


def _expressions(tree: BoundTemplate) -> Iterator[Expression]:
    pending = [expression for node in _nodes(tree) for expression in node.expressions()]
    while pending:
        expression = pending.pop()
        yield expression
        pending.extend(expression.children())


def _check(expression: Expression) -> None:
    if isinstance(expression, Chain):
        for step in expression.filters:
            _check_filter(step)
        _refuse_now_as_text(expression)
    elif isinstance(expression, RangeLiteral) and not isinstance(expression.stop, RangeEnd):
        expression.stop = RangeEnd(expression.start, expression.stop)


def _check_filter(step: Filter) -> None:
    filters = environment().filters
    if step.name not in filters:
        close = get_close_matches(step.name, filters, n=1)
        raise ExpressionError(
            "unknown-filter",
            f"there is no filter `{step.name}`",
            f"did you mean `{close[0]}`?" if close else f"filters: {', '.join(sorted(filters))}",
            step.token.start_index,
        )
    _check_arguments(step, inspect.signature(filters[step.name]))


def _check_arguments(step: Filter, signature: inspect.Signature) -> None:
    named = {arg.name: None for arg in step.args if isinstance(arg, KeywordArgument)}
    given = [None] * (len(step.args) - len(named))
    if "environment" in signature.parameters:
        named["environment"] = None
    try:
        signature.bind(None, *given, **named)
    except TypeError as error:
        raise ExpressionError(
            "filter-arguments",
            f"the filter `{step.name}` cannot take these arguments: {error}",
            _usage(step.name, signature),
            step.token.start_index,
        ) from error


def _usage(name: str, signature: inspect.Signature) -> str:
    known = [p.name.strip("_") for p in list(signature.parameters.values())[1:]]
    wanted = ", ".join(argument for argument in known if argument != "environment")
    return f"write `| {name}: {wanted}`" if wanted else f"write `| {name}`"


def _refuse_the_clock(analysis: TemplateAnalysis) -> None:
    for word in CLOCK_WORDS & analysis.globals.keys():
        raise clock_error(word, analysis.globals[word][0].span.index)


def _refuse_now_as_text(chain: Chain) -> None:
    """`'now' | date: …` asks the clock in Liquid, wherever in the chain the text comes from."""
    texts: list[Expression] = [chain.left]
    for step in chain.filters:
        if step.name in {"date", "unix"}:
            for text in texts:
                if isinstance(text, StringLiteral) and text.value.strip().lower() in CLOCK_WORDS:
                    raise clock_error(text.value, text.token.start_index)
        texts.extend(step.children())


def clock_error(word: str, offset: int) -> ExpressionError:
    return ExpressionError(
        "template-not-allowed",
        f"`{word}` is not offered: the same event must always give the same text",
        "use the event's own time, `timestamp`",
        offset,
    )


def _refuse_values_inside_liquid(tree: BoundTemplate) -> None:
    """What an event says must not become part of the Liquid that OneSignal executes."""
    is_open = False
    for node in tree.nodes:
        if isinstance(node, content.ContentNode):
            is_open = leaves_open(node.text, already=is_open)
        elif isinstance(node, Emit) and is_open:
            raise ExpressionError(
                "template-not-allowed",
                "a value of the event stands inside Liquid that is meant for OneSignal",
                "close the `{{ }}` that {% raw %} began before the value, or pass it as custom_data",
                node.token.start_index,
            )
