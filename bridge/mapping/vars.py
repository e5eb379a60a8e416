"""The vars of a mapping that are in force: what the files say, and what an app or the environment does."""

from __future__ import annotations

import orjson

from bridge.mapping.expression import ExpressionError, Var, Vars, compile_expression


def overridden(declared: Vars, names: Vars) -> Vars:
    """What the files declare, with `names` over it."""
    return {**declared, **{name: _as(declared.get(name), value) for name, value in names.items()}}


def _as(declared: object, value: Var) -> Var:
    """`value` as the kind that it replaces, if it spells one: the environment knows only texts."""
    if not isinstance(value, str) or declared is None or isinstance(declared, str):
        return value
    try:
        spelled = orjson.loads(value)
    except orjson.JSONDecodeError:
        return value
    return spelled if isinstance(spelled, bool | int | float) else value


def link_of(text: str, names: Vars) -> str:
    """An entry of `push.links` with the vars in it written out.

    Raises:
        ExpressionError: it depends on an event, and so would allow whatever the event says.
    """
    compiled = compile_expression(text, names=names)
    found = compiled.resolve({}) if compiled.is_literal else None
    if not isinstance(found, str) or not found:
        raise ExpressionError(
            "links-from-event",
            f"{text} is no address by itself, and would allow what an event says",
            'write the beginning of an address, or a var: "https://www.shop.example/"',
        )
    return found
