"""What `push_tokens` of a mapping says: which events' push tokens become devices at OneSignal.

::

    push_tokens: [ios]                     short for {platforms: [ios]}
    push_tokens:
      platforms: [ios]
      withdrawn: event = "Push Permission" and properties.granted = false
      granted: event = "Push Permission" and properties.granted = true

An app that has OneSignal's SDK needs none of it, and so nothing is done that is not written here.
"""

from __future__ import annotations

from dataclasses import dataclass

from bridge.mapping.compiling import Problem
from bridge.mapping.fql import Condition, ConditionError, compile_condition
from bridge.mapping.legacy import check_tokens
from bridge.mapping.written_tokens import PushTokens
from bridge.onesignal.api import Spoken

_CONDITIONS = ("withdrawn", "granted", "logged_out", "development")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """As it runs."""

    platforms: frozenset[str]
    withdrawn: Condition | None = None
    granted: Condition | None = None
    logged_out: Condition | None = None
    #: Of builds whose tokens are of APNs' sandbox.
    development: Condition | None = None
    #: Sources that anybody can send to, and whose word counts all the same.
    clients: frozenset[str] = frozenset()


def compile_tokens(declared: PushTokens, spoken: Spoken) -> tuple[Tokens, list[Problem]]:
    """As it runs, and everything that is wrong with it; paths are inside the section."""
    problems = [one for one in [check_tokens(spoken)] if one is not None]
    conditions: dict[str, Condition] = {}
    for name in _CONDITIONS:
        text: str | None = getattr(declared, name)
        if text is not None and (found := _condition(text, name, problems)) is not None:
            conditions[name] = found
    tokens = Tokens(
        platforms=frozenset(declared.platforms), clients=frozenset(declared.clients), **conditions
    )
    return tokens, problems


def _condition(text: str, name: str, problems: list[Problem]) -> Condition | None:
    try:
        condition = compile_condition(text)
    except ConditionError as error:
        message = f"push_tokens.{name}: {error.message}\n{error.caret()}"
        problems.append(Problem((name,), "condition-invalid", message, error.hint))
        return None
    for said in condition.suspicious:
        message = f"push_tokens.{name}: {said}"
        problems.append(Problem((name,), "condition-suspicious", message, level="warning"))
    return condition
