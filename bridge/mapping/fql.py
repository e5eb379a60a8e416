r"""Conditions: what stands in a rule's `when`, in FQL, the filter language that Segment's users know.

::

    type = "track" and event in ["Order Shipped", "Order Delivered"]
    audience.key = "vip" and audience.entered = true
    !( source = "backend" ) and ( length(userId) > 0 or match(traits.email, "*@shop.example") )

================  ==================================================================================
`and` `or`        `and` binds tighter; true counts as true, null and all else as false
`!`               of true false, of false and null true, of all else false; in front of a
                  comparison it needs parentheses
`=` `!=`          strict: 1 is 1.0, and neither is "1" or true; lists and objects by their items
`<` `<=` `>` `>=` between numbers; with anything else false
`in`              a text, number, boolean or null in a list, which may be a field; otherwise false
paths             `properties.product\ 1.price`; a missing field is null; no way into lists
keywords          `and or in true false null`, in lower case; a field of such a name is `\in`
functions         `fql_functions`; patterns of `match`: `fql_glob`
================  ==================================================================================

A condition is compiled once, into closures, and then answers every event without ever raising.
Segment drops an event whose filter it cannot read; here such a mapping does not load.

Source: Segment, "Destination Filter Query Language" (api/public-api/fql). It is silent on the
precedence of `and` over `or`, and on values that an operator does not take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from bridge.mapping.fql_errors import ConditionError
from bridge.mapping.fql_operators import Fields, Test

__all__ = ["LONGEST", "Condition", "ConditionError", "Fields", "compile_condition"]

#: Bytes of UTF-8; Segment's own limit for a filter.
LONGEST: Final = 5 * 1024


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. Call it with an event's JSON object and the computed fields."""

    text: str
    #: The truth for one event; never raises. Objects inside the fields must be dicts, as from JSON.
    test: Test = field(repr=False, compare=False)
    #: Every path that it reads, step by step.
    paths: frozenset[tuple[str, ...]] = field(repr=False, compare=False)
    #: Texts that `event` is compared with by `=` or `in`, anywhere in the condition, even under
    #: `!`: good for hints ("did you mean …"), not for deciding what may match.
    event_names: frozenset[str] = field(repr=False, compare=False)
    #: Texts that `type` is compared with, likewise.
    types: frozenset[str] = field(repr=False, compare=False)
    #: Which values of `type`, `event` and `source` alone can meet it, where it says so: then no event
    #: with another value does. `event != "A"` pins nothing, `type = "a" or type = "b"` two values.
    pins: Mapping[tuple[str, ...], frozenset[str]] = field(repr=False, compare=False)
    #: What is legal and probably not meant, such as a text without quotes; sentences.
    suspicious: tuple[str, ...] = field(repr=False, compare=False, default=())

    @property
    def named_sources(self) -> frozenset[str]:
        """The sources that alone can meet it; none when it does not say."""
        return self.pins.get(("source",), frozenset())

    def __call__(self, fields: Fields) -> bool:
        return self.test(fields)


@lru_cache(maxsize=2048)
def compile_condition(text: str) -> Condition:
    """Compile a condition; raises `ConditionError` with the place and, if known, the remedy.

    Kept by text: a mapping that is read again has mostly the conditions that it had.
    """
    if not text.strip():
        hint = "`true` lets every event pass"
        raise ConditionError("the condition is empty", text=text, offset=0, hint=hint)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > LONGEST:
        message = f"the condition has {size} bytes, and at most {LONGEST} are allowed"
        raise ConditionError(message, text=text, offset=0, hint="split the rule in several")
    # The compiler brings lark with it, which commands that read no mapping need not wait for.
    from bridge.mapping.fql_compiler import Compiler
    from bridge.mapping.fql_grammar import parse

    compiler = Compiler(text)
    test = compiler.compile(parse(text))
    return Condition(
        text=text,
        test=test,
        paths=frozenset(compiler.paths),
        event_names=frozenset(compiler.event_names),
        types=frozenset(compiler.types),
        pins=compiler.pins,
        suspicious=tuple(dict.fromkeys(compiler.suspicions())),
    )
