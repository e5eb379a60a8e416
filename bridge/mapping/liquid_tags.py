"""The tags of templates, and where each of them reads strictly and where calmly.

Every tag is python-liquid's own, with the expressions of its node wrapped: conditions in
`Condition`, whatever can have filters in `Chain` (`bridge.mapping.liquid_expressions`).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final, TextIO, cast

from liquid import RenderContext
from liquid.ast import Node
from liquid.builtin import content, illegal, output
from liquid.builtin.expressions import (
    FilteredExpression,
)
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    decrement_tag,
    doc_tag,
    echo_tag,
    for_tag,
    if_tag,
    increment_tag,
    inline_comment_tag,
    liquid_tag,
    unless_tag,
)
from liquid.exceptions import LiquidSyntaxError
from liquid.mode import Mode
from liquid.stream import TokenStream
from liquid.tag import Tag
from liquid.token import TOKEN_DOT, TOKEN_OUTPUT, TOKEN_TAG, TOKEN_WORD, Token

from bridge.mapping.liquid_expressions import Chain, Condition
from bridge.mapping.liquid_filters import Stop, text
from bridge.mapping.reading import Refused, Unresolved
from bridge.mapping.rendering import Pieces

#: Filters after which a text may stand in a link as it is.
ENCODING: Final = frozenset({"url_encode"})


class Emit(output.OutputNode):
    """`{{ … }}` and `{% echo … %}`."""

    __slots__ = ()

    @property
    def chain(self) -> Chain:
        return cast("Chain", self.expression)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.chain.evaluate(context)
        try:
            written = text(value)
        except Stop as stop:
            raise Unresolved(Refused(stop.reason, self.chain.path)) from stop
        filters = self.chain.filters
        encoded = bool(filters) and filters[-1].name in ENCODING
        return cast("Pieces", buffer).put(written, self.chain.path, encoded=encoded)


class NamingStream(TokenStream):
    """Tokens of a template in which a property may be called what it likes: `properties.limit`.

    python-liquid takes Liquid's own words (`limit`, `for`, `empty`, …) for words after a dot, too.
    """

    def into_inner(self, *, tag: Token | None = None, eat: bool = True) -> TokenStream:
        inner = super().into_inner(tag=tag, eat=eat)
        inner.tokens = [
            token._replace(kind=TOKEN_WORD) if before == TOKEN_DOT and _is_word(token) else token
            for before, token in zip(_kinds_before(inner.tokens), inner.tokens, strict=True)
        ]
        return inner


def _kinds_before(tokens: list[Token]) -> list[str]:
    return ["", *(token.kind for token in tokens)][: len(tokens)]


def _is_word(token: Token) -> bool:
    # The kind of one of Liquid's words is the word itself.
    return token.kind == token.value and token.value.isalpha()


class OutputTag(output.Output):
    def parse(self, stream: TokenStream) -> output.OutputNode:
        token = stream.eat(TOKEN_OUTPUT)
        tokens = stream.into_inner(tag=token, eat=False)
        return Emit(token, Chain(FilteredExpression.parse(self.env, tokens)))


class EchoTag(echo_tag.EchoTag):
    def parse(self, stream: TokenStream) -> Node:
        node = cast("echo_tag.EchoNode", super().parse(stream))
        if not isinstance(node.expression, FilteredExpression):
            raise LiquidSyntaxError("missing expression", token=node.token)
        return Emit(node.token, Chain(node.expression))


class AssignTag(assign_tag.AssignTag):
    def parse(self, stream: TokenStream) -> assign_tag.AssignNode:
        node = super().parse(stream)
        node.expression = Chain(node.expression)
        return node


class IfTag(if_tag.IfTag):
    mode = Mode.STRICT

    def parse(self, stream: TokenStream) -> Node:
        node = cast("if_tag.IfNode", super().parse(stream))
        node.condition = Condition(node.condition)
        for alternative in node.alternatives:
            alternative.expression = Condition(alternative.expression)
        return node


class UnlessTag(unless_tag.UnlessTag):
    mode = Mode.STRICT

    def parse(self, stream: TokenStream) -> Node:
        node = cast("unless_tag.UnlessNode", super().parse(stream))
        node.condition = Condition(node.condition)
        for alternative in node.alternatives:
            alternative.expression = Condition(alternative.expression)
        return node


class CaseTag(case_tag.CaseTag):
    def parse(self, stream: TokenStream) -> Node:
        node = cast("case_tag.CaseNode", super().parse(stream))
        for block in node.blocks:
            if isinstance(block, case_tag.MultiExpressionBlockNode):
                # The node only evaluates its expression, whatever the class says.
                block.expression = cast("Any", Condition(block.expression))
        return node


class WithheldTagError(LiquidSyntaxError):
    """A tag that a mapping cannot use."""

    def __init__(self, message: str, *, code: str, hint: str, token: Token) -> None:
        super().__init__(message, token=token)
        self.code = code
        self.hint = hint


_ONE_FILE: Final = "a value is a template of its own: write the text here"
_NOT_IN_TEXT: Final = "write the text out, or use {% for %} and {% if %}"

#: Tags of Liquid and its relatives that are not offered, and what to do instead.
WITHHELD: Final = {
    "include": _ONE_FILE,
    "render": _ONE_FILE,
    "extends": _ONE_FILE,
    "layout": _ONE_FILE,
    "block": _ONE_FILE,
    "section": _ONE_FILE,
    "import": _ONE_FILE,
    "macro": _ONE_FILE,
    "call": _ONE_FILE,
    "snippet": _ONE_FILE,
    "with": "use {% assign %}",
    "translate": "write one text per language: contents: {en: …, de: …}",
    "tablerow": _NOT_IN_TEXT,
    "cycle": _NOT_IN_TEXT,
    "ifchanged": _NOT_IN_TEXT,
}


class Withheld(Tag):
    block = False

    def parse(self, stream: TokenStream) -> Node:
        token = stream.expect(TOKEN_TAG)
        raise WithheldTagError(
            f"{{% {token.value} %}} is not offered in a mapping",
            code="template-not-allowed",
            hint=WITHHELD[token.value],
            token=token,
        )


class UnknownTag(illegal.Illegal):
    def parse(self, stream: TokenStream) -> Any:
        token = stream.expect(TOKEN_TAG)
        if token.value in {"else", "elsif", "when"} or token.value.startswith("end"):
            raise WithheldTagError(
                f"{{% {token.value} %}} stands where nothing is open that it could belong to",
                code="template-syntax",
                hint="",
                token=token,
            )
        close = get_close_matches(token.value, [tag.name for tag in TAGS], n=1)
        raise WithheldTagError(
            f"there is no tag {{% {token.value} %}}",
            code="unknown-tag",
            hint=f"did you mean {{% {close[0]} %}}?" if close else "",
            token=token,
        )


TAGS: Final[tuple[type[Tag], ...]] = (
    content.Literal,
    OutputTag,
    UnknownTag,
    AssignTag,
    capture_tag.CaptureTag,
    CaseTag,
    comment_tag.CommentTag,
    decrement_tag.DecrementTag,
    doc_tag.DocTag,
    EchoTag,
    for_tag.BreakTag,
    for_tag.ContinueTag,
    for_tag.ForTag,
    IfTag,
    increment_tag.IncrementTag,
    inline_comment_tag.InlineCommentTag,
    liquid_tag.LiquidTag,
    UnlessTag,
)
