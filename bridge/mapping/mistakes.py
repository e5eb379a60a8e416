"""What a field that is not as declared is told: the words of `check` for the parser's own errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel

from bridge.mapping import document
from bridge.mapping.rules import Path, Problem
from bridge.mapping.written_user import why_reserved

_PYTHON_KIND: Final = re.compile(r"a valid (dictionary|tuple)(?: or instance of \w+)?")
_YES_NO: Final = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "no": "false",
    "off": "false",
    "n": "false",
}
_OTHER_WORDS: Final = {
    "title": "headings",
    "body": "contents",
    "message": "contents",
    "text": "contents",
    "push": "send_notification",
    "send_push": "send_notification",
    "notify": "send_notification",
}


def problem_of(error: Any) -> Problem:
    """What one of pydantic's errors means to the operator."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    where = ".".join(str(part) for part in path) or "the file"
    match error["type"]:
        case "refused":  # by a validator that has a code and a hint of its own
            said = error["ctx"]
            return Problem(path, said["code"], f"`{where}`: {said['message']}", said["hint"])
        case "extra_forbidden":
            return _unknown(path, where)
        case "missing":
            return Problem(path[:-1], "field-missing", f"`{where}` is missing")
        case kind:
            return _wrong_kind(path, where, kind, error)


def _unknown(path: Path, where: str) -> Problem:
    ours = why_reserved(str(path[-1])) if "do" in path else None
    if ours is not None:
        return Problem(path, *ours)
    return Problem(path, "unknown-field", f"`{where}` is not a field", _nearest(path))


def _wrong_kind(path: Path, where: str, kind: str, error: Any) -> Problem:
    written = error["input"]
    if isinstance(written, date):
        message = f"`{where}`: {written} without quotes is a date, and a text is meant"
        return Problem(path, "text-unquoted", message, f'write "{written}"')
    one_text = kind == "string_type" or (kind == "dict_type" and _takes_a_text(path))
    if one_text and isinstance(written, bool | int | float):
        return Problem(path, "text-unquoted", *_not_a_text(where, written))
    if kind == "bool_type" and str(written).lower() in _YES_NO:
        message = f"`{where}`: {written} is a text in YAML 1.2, neither true nor false"
        return Problem(path, "yes-or-no", message, f"write {_YES_NO[str(written).lower()]}")
    return Problem(path, "field-invalid", f"`{where}`: {_in_words(str(error['msg']))}")


def _takes_a_text(path: Path) -> bool:
    """Whether a text may stand where the parser waits for texts by language."""
    return "send_notification" in path and path[-1] in {"contents", "headings", "subtitle"}


def _not_a_text(where: str, written: object) -> tuple[str, str]:
    kind = "true or false" if isinstance(written, bool) else "a number"
    text = str(written).lower() if isinstance(written, bool) else str(written)
    return f"`{where}`: {text} without quotes is {kind}, and a text is meant", f'write "{text}"'


def _in_words(message: str) -> str:
    return _PYTHON_KIND.sub(_kind, message.removeprefix("Value error, "))


def _kind(found: re.Match[str]) -> str:
    """What YAML calls what Python calls so."""
    return "a list" if found[1] == "tuple" else "a mapping"


def _nearest(path: tuple[Any, ...]) -> str:
    names = {name for model in declared() for name in model.model_fields}
    written = str(path[-1])
    if written in names:
        return f"`{written}` is a field, and not of this place; mappings/README.md says of which"
    if written in _OTHER_WORDS:
        return f"OneSignal calls it `{_OTHER_WORDS[written]}`"
    near = difflib.get_close_matches(written, sorted(names), n=1)
    return f"did you mean `{near[0]}`?" if near else "mappings/README.md lists every field"


@cache
def declared() -> tuple[type[BaseModel], ...]:
    """Every declaration that a mapping file is made of, from the file down."""
    found: dict[type[BaseModel], None] = {}
    waiting: list[type[BaseModel]] = [document.Document]
    while waiting:
        model = waiting.pop(0)
        if model not in found:
            found[model] = None
            for one in model.model_fields.values():
                waiting += _models(one.annotation)
    return tuple(found)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
