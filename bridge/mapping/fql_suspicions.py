"""What is legal in a condition and probably not meant; `check` shows it as a warning.

Each question answers with a sentence, or None when nothing is strange. `kind` is what `typeof`
would say, where that is known before any event; None where it is not.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

#: What Segment sends at the top of an event (Spec: Common Fields), and what we compute.
_COMPUTED: Final = {
    "source": frozenset[str](),
    "replay": frozenset[str](),
    "device": frozenset({"platform"}),
    "audience": frozenset({"class", "key", "entered", "value"}),
}
ALWAYS_BOOL: Final = frozenset({("audience", "entered"), ("replay",)})
"""What is true, false or null in every event."""
_KNOWN: Final = frozenset(_COMPUTED) | {
    "type", "event", "name", "category", "userId", "anonymousId", "previousId", "groupId",
    "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "context",
    "properties", "traits", "integrations", "channel", "version", "projectId", "writeKey",
    "_metadata",
}  # fmt: skip
_TYPES: Final = frozenset({"track", "identify", "page", "screen", "group", "alias", "delete"})
_LITERALS: Final = {"true": "true", "false": "false", "null": "null", "none": "null", "nil": "null"}


def about_path(path: tuple[str, ...], written: str) -> str | None:
    first = path[0]
    if first in _COMPUTED:
        return _about_computed(path, written)
    if first in _KNOWN:
        return None
    if len(path) == 1 and first.lower() in _LITERALS | {"undefined": "null"}:
        literal = _LITERALS.get(first.lower(), "null")
        return f"`{written}` is read as a field; write `{literal}` if you mean the value"
    remedy = "fields of your own are in properties or traits"
    if near := get_close_matches(first, sorted(_KNOWN), n=1, cutoff=0.75):
        remedy = f"did you mean `{near[0]}`?"
    elif len(path) == 1:
        remedy = f'a text needs quotes: "{first}"'
    return f"no Segment event has a field `{first}`; {remedy}"


def _about_computed(path: tuple[str, ...], written: str) -> str | None:
    first, *rest = path
    below = _COMPUTED[first]
    if len(rest) == bool(below) and below.issuperset(rest):
        return None
    if not below:
        return f"`{written}` is always null: `{first}` is a single value"
    names = ", ".join(f"{first}.{name}" for name in sorted(below))
    return f"`{written}` is not a condition's field; there is {names}"


def about_type(text: str) -> str | None:
    if text in _TYPES:
        return None
    near = get_close_matches(text.lower(), sorted(_TYPES), n=1)
    remedy = f'did you mean "{near[0]}"?' if near else f"the types are {', '.join(sorted(_TYPES))}"
    return f'no Segment event has the type "{text}"; {remedy}'


def about_condition(kind: str | None, source: str) -> str | None:
    """Of a part of `and`, `or`, `!`, or of the whole."""
    if kind in {None, "bool"}:
        return None
    several = '; for several values: `event in ["A", "B"]`' if kind == "string" else ""
    return f"`{source}` by itself is a {kind}, which is never true{several}"


def about_comparison(left: str | None, sign: str, right: str | None, source: str) -> str | None:
    if sign in {"=", "!="} and left and right and "null" not in {left, right} and left != right:
        return (
            f"`{source}` is always {str(sign == '!=').lower()}: it compares a {left} with a {right}"
        )
    if sign.startswith(("<", ">")) and not {left, right} <= {None, "number"}:
        return f"`{source}` is always false: `{sign}` compares numbers; number(…) converts a text"
    if sign == "in" and left == "list":
        return f"`{source}` is always false: a list cannot be in a list"
    return None


def about_argument(kind: str | None, takes: frozenset[str], source: str, usage: str) -> str | None:
    if kind is None or kind == "null" or kind in takes:
        return None
    return f"`{source}` is a {kind}, and the function is used like this: {usage}"


def about_pattern(pattern: str) -> str | None:
    if "[!" not in pattern and "[^" not in pattern:
        return None
    return "a list in a pattern has no negation: `[!a]` is `!` or `a`"
