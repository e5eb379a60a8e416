"""What to say when a condition cannot be read: the error, and the mistakes we know by sight.

People bring habits from SQL, JavaScript, Python and Liquid to a condition. Each habit has a row in
a table or a guess of its own below, which names it and shows FQL's own way. The guesses are tried
in order; the first that recognises the scene speaks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


class ConditionError(ValueError):
    """A condition that cannot be read: what is wrong, where, and what to write instead."""

    def __init__(self, message: str, *, text: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        #: Where in `text`, in characters from 0; `len(text)` when something is missing at the end.
        self.offset = offset
        #: What to write instead; empty when there is nothing to suggest.
        self.hint = hint

    def caret(self) -> str:
        """The line of the text that holds the mistake, and below it a `^` under the place."""
        begin = self.text.rfind("\n", 0, self.offset) + 1
        end = self.text.find("\n", begin)
        line = self.text[begin : end if end >= 0 else None].rstrip("\r").replace("\t", " ")
        return f"{line}\n{' ' * (self.offset - begin)}^"


@dataclass(frozen=True, slots=True)
class Word:
    """One token of a condition: the name of its terminal, its text, and where it stands."""

    kind: str
    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where reading stopped. `found` is None when the character there begins no token at all."""

    text: str
    offset: int
    found: Word | None
    before: tuple[Word, ...]
    wants_value: bool

    @property
    def last(self) -> Word | None:
        return self.before[-1] if self.before else None

    def unclosed(self) -> Word | None:
        """The innermost bracket that is open here."""
        opened: list[Word] = []
        for word in self.before:
            if word.kind in {"LPAR", "LSQB"}:
                opened.append(word)
            elif word.kind in {"RPAR", "RSQB"}:
                opened.pop()
        return opened[-1] if opened else None

    def called(self) -> Word | None:
        """The name in front of the innermost open parenthesis, as of a function."""
        opened = self.unclosed()
        if opened is None or opened.kind != "LPAR":
            return None
        before = [word for word in self.before if word.end <= opened.begin]
        return before[-1] if before and before[-1].kind == "PATH" else None

    def error(self, message: str, hint: str = "", *, at: int | None = None) -> ConditionError:
        offset = self.offset if at is None else at
        return ConditionError(message, text=self.text, offset=offset, hint=hint)


_Guess = Callable[[Scene], ConditionError | None]

_MATCH = 'use `match(event, "Order *")`'

#: Signs of other languages: pattern, message (None: "is not an operator"), hint.
_SIGNS: tuple[tuple[str, str | None, str], ...] = (
    (r"={2,}", None, "compare with a single `=`"),
    (r"!={2,}", None, "write `!=`"),
    (r"&&?", None, "write `and`"),
    (r"\|\|?", None, "write `or`"),
    (r"<>", None, "write `!=`"),
    (r"=<", None, "write `<=`"),
    (r"=>", None, "write `>=`"),
    (r"[=!]?~", None, _MATCH),
    (
        "[\u201c\u201d\u201e\u201f\u2018\u2019\u201a\u201b\u00ab\u00bb\u00b4`]",
        "{found} is not a quote in a condition",
        "use straight quotes, \" or '",
    ),
    (
        "[\u00a0\u2000-\u200f\u202f\u2060\u3000\ufeff]",
        "an invisible character that is not a plain space",
        "type a plain space in its place",
    ),
    (r"\{+", "{found} does not belong in a condition", "write the path alone: `traits.plan`"),
    ("#", "conditions have no comments", "put the comment on a line of its own, above `when`"),
    (r"[\"']", "this text is not closed", "end it with {found} on the same line"),
    (r"[+-]?\d+\.(?!\d)", "{found} is not a number", "write digits after the point, or no point"),
    (
        r"[+-]?\d[A-Za-z0-9_.\\-]*",
        "{found} is neither a number nor a field",
        "a text needs quotes; a field that begins with a digit needs a backslash: `\\{found}`",
    ),
    (r"\\", "a backslash needs the character that it escapes", "`first\\ name`, for example"),
    (r"\.", "a part of the path is missing here", "`properties.order_id`, or as a number `0.5`"),
)
_SIGN_PATTERNS = tuple((re.compile(p, re.ASCII), message, hint) for p, message, hint in _SIGNS)

#: Words of other languages, in lower case, and what FQL has instead.
_WORDS: dict[str, str] = {
    "and": "keywords are in lower case: `and`",
    "or": "keywords are in lower case: `or`",
    "in": "keywords are in lower case: `in`",
    "xor": "there are `and`, `or` and `!`",
    "not": 'negate with `!` and parentheses: `!( type = "track" )`',
    "is": "compare with `=`, null as well: `userId = null`",
    "equals": "compare with `=`",
    "eq": "compare with `=`",
    "ne": "compare with `!=`",
    "like": _MATCH,
    "matches": _MATCH,
    "match": f"it stands in front: {_MATCH}",
    "contains": 'it stands in front: `contains(event, "Order")`',
    "includes": 'use `"a" in properties.list`, or `contains(event, "Order")`',
    "exists": "a field is there when `userId != null`",
    "startswith": 'use `match(event, "Order*")`',
    "endswith": 'use `match(event, "*Shipped")`',
}

_COMPARISONS = frozenset({"EQUAL", "UNEQUAL", "LESS", "LESS_EQUAL", "MORE", "MORE_EQUAL", "IN"})
_VALUES = frozenset({"PATH", "STRING", "NUMBER", "TRUE", "FALSE", "NULL"})
_ENDS_A_VALUE = _VALUES | {"RPAR", "RSQB"}
_BEGINS_A_VALUE = _VALUES | {"LPAR", "LSQB", "BANG"}
_TO_ESCAPE = re.compile(r"\.?([^\s\"'()\[\],=<>!&|{}#~.\\])")
_NAME_AS_MEANT = re.compile(r"[^\s\"'()\[\],=<>!&|{}#~]+")


def explain(scene: Scene) -> ConditionError:
    """The friendliest error for the place where reading stopped."""
    for guess in _GUESSES:
        error = guess(scene)
        if error is not None:
            return error
    return _in_general(scene)


def _a_word_of_another_language(scene: Scene) -> ConditionError | None:
    found, last = scene.found, scene.last
    if found and found.kind == "PATH" and found.text.lower() in _WORDS:
        return _not_an_operator(scene, found)
    if found and last and last.kind == "PATH" and found.kind in _BEGINS_A_VALUE:
        return _not_an_operator(scene, last) if last.text.lower() in _WORDS else None
    return None


def _not_an_operator(scene: Scene, word: Word) -> ConditionError:
    hint = _WORDS[word.text.lower()]
    return scene.error(f"`{word.text}` is not an operator", hint, at=word.begin)


def _a_condition_inside_a_call(scene: Scene) -> ConditionError | None:
    """`not (a = b)` looks like a call of a function `not`."""
    called = scene.called()
    if called is None or scene.found is None:
        return None
    if called.text.lower() in _WORDS and called.text not in {"contains", "match"}:
        return _not_an_operator(scene, called)
    if scene.found.kind in _COMPARISONS and not scene.wants_value:
        return scene.error(f"`{called.text}` takes values, and no comparison", "close it first")
    return None


def _a_sign_of_another_language(scene: Scene) -> ConditionError | None:
    """An operator that we read as two, such as `==`, begins before the place where we stopped."""
    begin = scene.offset
    for word in reversed(scene.before):
        if word.end != begin or word.kind not in _COMPARISONS | {"BANG"}:
            break
        begin = word.begin
    places = [begin] if begin < scene.offset else []
    places += [scene.offset] if scene.found is None else []
    for place in places:
        for pattern, message, hint in _SIGN_PATTERNS:
            match = pattern.match(scene.text, place)
            if match and match.end() > scene.offset:
                return _a_sign(scene, match, message, hint)
    return None


def _a_sign(scene: Scene, match: re.Match[str], message: str | None, hint: str) -> ConditionError:
    found = match.group()
    text = (message or "{found} is not an operator").replace("{found}", f"`{found}`")
    return scene.error(text, hint.replace("{found}", found), at=match.start())


def _a_character_to_escape(scene: Scene) -> ConditionError | None:
    """Field names hold letters, digits, `_` and `-`; anything else needs a backslash."""
    last = scene.last
    if scene.found or last is None or last.kind != "PATH" or last.end != scene.offset:
        return None
    match = _TO_ESCAPE.match(scene.text, scene.offset)
    name = _NAME_AS_MEANT.match(scene.text, last.begin)
    if match is None or name is None or not _is_unusual(match[1]):
        return None
    escaped = re.sub(r"(\\.)|([^A-Za-z0-9_.\\-])", lambda m: m[1] or f"\\{m[2]}", name[0])
    message = f"`{match[1]}` needs a backslash in the name of a field"
    return scene.error(message, f"write `{escaped}`", at=match.start(1))


def _is_unusual(character: str) -> bool:
    return not any(pattern.match(character) for pattern, _, _ in _SIGN_PATTERNS)


def _a_bracket(scene: Scene) -> ConditionError | None:
    opened = scene.unclosed()
    match scene.found.kind if scene.found else "":
        case "$END" if opened and not scene.wants_value:
            other = ")" if opened.kind == "LPAR" else "]"
            return scene.error(
                f"this `{opened.text}` is never closed", f"add `{other}`", at=opened.begin
            )
        case "RPAR" | "RSQB" as closing if not opened or opened.kind[1:] != closing[1:]:
            return scene.error(
                f"this `{scene.text[scene.offset]}` closes nothing", "remove it, or open it"
            )
        case "RPAR" if scene.last == opened:
            return scene.error("these parentheses are empty")
        case "COMMA" if opened and opened.kind == "LPAR" and not scene.wants_value:
            return scene.error(
                "parentheses hold one condition", 'a list has square brackets: `["a", "b"]`'
            )
        case "LSQB" if scene.last and scene.last.kind == "PATH":
            hint = 'to look for a value in a list: `"a" in properties.list`'
            return scene.error("conditions cannot pick an item of a list", hint)
    return None


def _a_negation(scene: Scene) -> ConditionError | None:
    if scene.found is None or scene.found.kind != "BANG":
        return None
    hint = 'negate the whole comparison: `!( type in ["track", "page"] )`'
    return scene.error("`!` cannot stand here", hint)


def _a_second_comparison(scene: Scene) -> ConditionError | None:
    if scene.found is None or scene.found.kind not in _COMPARISONS or scene.wants_value:
        return None
    hint = "compare twice, with `and` between: `1 < properties.n and properties.n < 9`"
    return scene.error("one comparison cannot follow another", hint)


def _a_text_without_quotes(scene: Scene) -> ConditionError | None:
    """`event = Order Shipped`, or `properties.first name = "Ada"`."""
    last, found = scene.last, scene.found
    if not (last and found and last.kind == found.kind == "PATH"):
        return None
    compared = len(scene.before) > 1 and scene.before[-2].kind in _COMPARISONS
    words = f"{last.text} {found.text}"
    escaped = words.replace(" ", "\\ ")
    hint = f'a text needs quotes: `"{words}"`' if compared else f"a space in a field: `{escaped}`"
    return scene.error(f"`{found.text}` follows `{last.text}` with nothing between them", hint)


def _in_general(scene: Scene) -> ConditionError:
    if scene.found is None:
        character = scene.text[scene.offset]
        shown = f"`{character}`" if character.isprintable() else f"U+{ord(character):04X}"
        hint = f"in the name of a field it needs a backslash: `\\{character}`"
        return scene.error(f"{shown} does not belong here", hint if character.isprintable() else "")
    if scene.found.kind == "$END":
        after = f"`{scene.last.text}`" if scene.last else "the beginning"
        return scene.error(f"the condition ends where something must follow {after}")
    if scene.wants_value:
        return scene.error(f"a field or a value is missing before `{scene.found.text}`")
    joined = bool(scene.last and scene.last.kind in _ENDS_A_VALUE)
    hint = "join two conditions with `and` or `or`" if joined else ""
    return scene.error(f"`{scene.found.text}` cannot follow here", hint)


_GUESSES: tuple[_Guess, ...] = (
    _a_word_of_another_language,
    _a_condition_inside_a_call,
    _a_character_to_escape,
    _a_sign_of_another_language,
    _a_bracket,
    _a_negation,
    _a_second_comparison,
    _a_text_without_quotes,
)
