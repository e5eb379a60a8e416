r"""How a condition is written: the grammar of FQL; text in, tree out.

A path is one token with its dots, so that any word may follow a dot: `audience.in` is a path and
holds no operator. Imported with the first condition, because lark takes its time.

Escapes in a text: ``\\``, ``\"``, ``\'``, ``\n``, ``\t``, ``\r`` and ``\u00e9``. In front of any
other character the backslash stays, because Segment's own examples write globs as ``'ab\*d'``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Final, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from bridge.mapping.fql_errors import ConditionError, Scene, Word, explain

#: How deep brackets, lists, calls and `!` may stand inside one another.
DEEPEST: Final = 100

_NESTING = frozenset({"group", "list", "call", "negation"})

_GRAMMAR = r"""
start: disjunction

?disjunction: conjunction (_OR conjunction)*
?conjunction: term (_AND term)*
?term: "!" term                             -> negation
     | comparison
?comparison: value operator value
           | value
!operator: EQUAL | UNEQUAL | LESS | LESS_EQUAL | MORE | MORE_EQUAL | IN
?value: "(" disjunction ")"                 -> group
      | "[" (value ("," value)*)? "]"       -> list
      | PATH "(" (value ("," value)*)? ")"  -> call
      | PATH                                -> path
      | STRING                              -> string
      | NUMBER                              -> number
      | TRUE                                -> true
      | FALSE                               -> false
      | NULL                                -> null

_AND.2:  /and(?![A-Za-z0-9_.\\-])/
_OR.2:   /or(?![A-Za-z0-9_.\\-])/
IN.2:    /in(?![A-Za-z0-9_.\\-])/
TRUE.2:  /true(?![A-Za-z0-9_.\\-])/
FALSE.2: /false(?![A-Za-z0-9_.\\-])/
NULL.2:  /null(?![A-Za-z0-9_.\\-])/
PATH:    /(?:[A-Za-z_]|\\[^\r\n])(?:[A-Za-z0-9_-]|\\[^\r\n])*(?:\.(?:[A-Za-z0-9_-]|\\[^\r\n])+)*/
STRING:  /"(?:[^"\\\r\n]|\\[^\r\n])*"|'(?:[^'\\\r\n]|\\[^\r\n])*'/
NUMBER:  /[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.\\-])/
EQUAL: "="
UNEQUAL: "!="
LESS: "<"
LESS_EQUAL: "<="
MORE: ">"
MORE_EQUAL: ">="
BANG: "!"
LPAR: "("
RPAR: ")"
LSQB: "["
RSQB: "]"
COMMA: ","
%ignore /[ \t\r\n]+/
"""

_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_ESCAPED = {"\\": "\\", '"': '"', "'": "'", "n": "\n", "t": "\t", "r": "\r"}
_SEGMENT = re.compile(r"(?:[^.\\]|\\.)+")


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", propagate_positions=True)


def parse(text: str) -> Tree[Token]:
    """The tree of a condition; raises `ConditionError` where it cannot be read."""
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as stop:
        raise explain(_scene(text, stop)) from None
    _refuse_deep(text, tree)
    return tree


def path_of(token: Token) -> tuple[str, ...]:
    r"""`properties.first\ name` as `("properties", "first name")`."""
    return tuple(re.sub(r"\\(.)", r"\1", part) for part in _SEGMENT.findall(token))


def text_of(token: Token) -> str:
    """A quoted text without its quotes and escapes."""
    inner = _ESCAPE.sub(_unescaped, token[1:-1])
    # Characters beyond U+FFFF are written as two escapes and must become one character again.
    return inner.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def number_of(text: str, token: Token) -> int | float:
    number = float(token)
    if not math.isfinite(number):
        raise ConditionError("this number is too large", text=text, offset=token.start_pos or 0)
    # int() refuses thousands of digits, which a finite number has only as leading zeros.
    return int(token) if re.fullmatch(r"[+-]?[0-9]{1,400}", token) else number


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if len(code) > 1 else _ESCAPED.get(code, match[0])


def _refuse_deep(text: str, tree: Tree[Token]) -> None:
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        depth += node.data in _NESTING
        if depth > DEEPEST:
            message = f"more than {DEEPEST} levels inside one another"
            hint = "split the rule in several"
            raise ConditionError(message, text=text, offset=node.meta.start_pos, hint=hint)
        waiting += [(child, depth) for child in node.children if isinstance(child, Tree)]


def _scene(text: str, stop: UnexpectedInput) -> Scene:
    found, expected = None, frozenset[str]()
    if isinstance(stop, UnexpectedToken):
        found, expected = _word(stop.token, text), frozenset(stop.accepts or ())
    # lark declares the place of a character as None and always sets it.
    offset = found.begin if found else cast("int", stop.pos_in_stream)
    return Scene(
        text=text,
        offset=offset,
        found=found,
        before=tuple(word for word in _words(text) if word.begin < offset),
        wants_value="PATH" in expected,
    )


def _word(token: Token, text: str) -> Word:
    if token.type == "$END":
        return Word("$END", "", len(text), len(text))
    begin = token.start_pos or 0
    return Word(token.type, str(token), begin, begin + len(token))


def _words(text: str) -> Iterator[Word]:
    try:
        for token in _parser().lex(text):
            yield _word(token, text)
    except UnexpectedInput:
        return
