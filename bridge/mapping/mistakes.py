"""What a field that is not as declared is told: the words of `check` for the parser's own errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel

from bridge.mapping import document
from bridge.mapping.flow import flow
from bridge.mapping.rules import Path, Problem
from bridge.mapping.written_push import SendNotification
from bridge.mapping.written_user import why_reserved

_PYTHON_KIND: Final = re.compile(r"a valid (dictionary|tuple)(?: or instance of \w+)?")
_SIZE: Final = re.compile(r"(?:Tuple|List) should have at (least|most) (\d+) items?.*")
_OR_OFF: Final = frozenset({"limit", "group"})
_WAY: Final = re.compile(r"Rate$|literal\[|function-")
_YES_NO: Final = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "no": "false",
    "off": "false",
    "n": "false",
}
_KINDS: Final = frozenset({"dict_type", "tuple_type", "list_type", "model_type"})
"""Errors of who wrote a value of another kind, and is helped by seeing one."""
_FEW: Final = 8
"""Fields of one place, up to which a message names them all."""
_OTHER_WORDS: Final = {
    "title": "headings",
    "body": "contents",
    "message": "contents",
    "text": "contents",
    "push": "send_notification",
    "send_push": "send_notification",
    "notify": "send_notification",
}


def problems_of(errors: Iterable[Any]) -> Iterator[Problem]:
    """What pydantic's errors mean to the operator; where `off` may stand, the other way counts."""
    for error in errors:
        if not (_is_or_off(error["loc"]) and str(error["loc"][-1]).startswith("literal[")):
            yield problem_of(error)


def _is_or_off(path: Path) -> bool:
    return len(path) > 1 and path[-2] in _OR_OFF


def _without_ways(path: Path) -> Path:
    """The path in the file: `limit` and `group` are told apart from `off` by a part of no file."""
    ways = {at for at, part in enumerate(path) if at and path[at - 1] in _OR_OFF}
    return tuple(
        part
        for at, part in enumerate(path)
        if part != "[key]" and not (at in ways and _WAY.match(str(part)))
    )


def problem_of(error: Any) -> Problem:
    """What one of pydantic's errors means to the operator."""
    path = _without_ways(error["loc"])
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
    of_tags = "tags_from" in path
    ours = why_reserved(str(path[-1])) if "do" in path and not of_tags else None
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
    message = f"`{where}`: {_in_words(str(error['msg']))}"
    return Problem(path, "field-invalid", message, _example(path) if kind in _KINDS else None)


def _takes_a_text(path: Path) -> bool:
    """Whether a text may stand where the parser waits for texts by language."""
    return "send_notification" in path and path[-1] in {"contents", "headings", "subtitle"}


def _not_a_text(where: str, written: object) -> tuple[str, str]:
    kind = "true or false" if isinstance(written, bool) else "a number"
    text = str(written).lower() if isinstance(written, bool) else str(written)
    return f"`{where}`: {text} without quotes is {kind}, and a text is meant", f'write "{text}"'


def _in_words(message: str) -> str:
    if (size := _SIZE.fullmatch(message)) is not None:
        return f"at {size[1]} {size[2]} are needed" if size[1] == "least" else f"at most {size[2]}"
    said = message.removeprefix("Value error, ").replace("Input should be", "has to be")
    return _PYTHON_KIND.sub(_kind, said)


def _kind(found: re.Match[str]) -> str:
    """What the reference calls what Python calls so."""
    return "a list" if found[1] == "tuple" else "an object"


def _example(path: Path) -> str | None:
    """How the field is written, by its declaration."""
    model: type[BaseModel] | None = document.Document
    found = None
    for part in path:
        if isinstance(part, str):
            found = model.model_fields.get(part) if model is not None else None
            model = next(_models(found.annotation), None) if found is not None else None
    examples = found.examples if found is not None else None
    return f"{path[-1]}: {flow(examples[0])}" if examples else None


def _nearest(path: tuple[Any, ...]) -> str:
    names = {name for model in declared() for name in model.model_fields}
    written = str(path[-1])
    if written in SendNotification.model_fields and "do" not in path and "rules" in path:
        return (
            f"`{written}` stands inside the operation: do: {{send_notification: {{{written}: …}}}}"
        )
    if written in document.Rule.model_fields and "do" in path:
        return f"`{written}` stands beside `when` and `do`, not inside the operation"
    if written in names:
        return f"`{written}` is a field, and not of this place; mappings/README.md says of which"
    if written in _OTHER_WORDS:
        return f"OneSignal calls it `{_OTHER_WORDS[written]}`"
    here = _beside(path)
    for known in (here, [] if here and len(here) <= _FEW else sorted(names)):
        if near := difflib.get_close_matches(written, known, n=1):
            return f"did you mean `{near[0]}`?"
    few = 0 < len(here) <= _FEW
    return f"the fields here: {', '.join(here)}" if few else "mappings/README.md lists every field"


def _beside(path: Path) -> list[str]:
    """The fields of the place where a field stands, in their order; none when it is not known."""
    models: list[type[BaseModel]] = [document.Document]
    for part in path[:-1]:
        if isinstance(part, str):
            found = [one.model_fields[part] for one in models if part in one.model_fields]
            models = [model for one in found for model in _models(one.annotation)]
    return list(dict.fromkeys(name for one in models for name in one.model_fields))


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
