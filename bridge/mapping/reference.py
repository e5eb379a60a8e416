"""The reference of the mapping language: every field, from the declarations that the parser reads.

    python -m bridge.mapping.reference mappings/README.md

writes it anew between the two marks of that file; a test fails while the file says something else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from bridge.mapping.flow import flow
from bridge.mapping.schema import DURATION, json_schema

BEGIN: Final = "<!-- reference: python -m bridge.mapping.reference mappings/README.md -->"
END: Final = "<!-- end of the reference -->"
_MANY: Final = 5
"""More words than this to choose from are said in the description, not in the column."""


def reference() -> str:
    """All of it, as Markdown; a section for each declaration, where it is first used."""
    schema = json_schema()
    known = schema["$defs"]
    parts = _parts(schema, "", known, set[str]())
    return "\n".join(_section(path, part, known) for path, part in parts)


def with_reference(text: str) -> str:
    """`text` with the reference between its marks.

    Raises:
        ValueError: it has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the file has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{reference()}\n{END}{after}"


def _parts(
    part: dict[str, Any], path: str, known: dict[str, Any], seen: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each declaration with the path under which it is written, from the file down."""
    yield path, part
    for name, one in part["properties"].items():
        for below in _refs(one):
            if below not in seen:
                seen.add(below)
                yield from _parts(known[below], f"{path}.{name}".lstrip("."), known, seen)


def _refs(one: Any) -> Iterator[str]:
    """The declarations that a value may be, or be made of."""
    if isinstance(one, list):
        for inner in one:
            yield from _refs(inner)
    elif isinstance(one, dict):
        if "$ref" in one:
            yield one["$ref"].rpartition("/")[2]
        for key in ("anyOf", "items", "additionalProperties"):
            yield from _refs(one.get(key))


def _section(path: str, part: dict[str, Any], known: dict[str, Any]) -> str:
    title = f"`{path}`" if path else "The file"
    rows = [_row(name, one, part, known) for name, one in part["properties"].items()]
    table = "\n".join(["| field | value | what it is |", "|---|---|---|", *rows])
    return f"### {title}\n\n{part['description']}\n\n{table}\n"


def _row(name: str, one: dict[str, Any], part: dict[str, Any], known: dict[str, Any]) -> str:
    default = one.get("default")
    notes = ["needed"] if name in part.get("required", ()) else []
    if default not in {None, "", False} and "$ref" not in one:
        notes.append(f"`{flow(default)}` if left out")
    value = "; ".join([_value(one), *notes])
    # What a field means is left out where it is what its declaration means.
    meaning = one.get("description") or known[next(_refs(one))]["description"]
    examples = [f"`{name}: {flow(example)}`" for example in one.get("examples", [])]
    said = " ".join([meaning, *examples]).strip()
    return f"| `{name}` | {_cell(value)} | {_cell(said)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _value(one: dict[str, Any]) -> str:
    """What may be written, in a few words."""
    if "anyOf" in one:
        ways = [_value(way) for way in one["anyOf"] if way.get("type") != "null"]
        ways = [
            way for way in dict.fromkeys(ways) if way != "`false`"
        ]  # which is how YAML 1.1 reads off
        return " or ".join(_joined(ways))
    if "$ref" in one:
        return "object"
    if "const" in one:
        return f"`{flow(one['const'])}`"
    if "enum" in one:
        words = [f"`{flow(word)}`" for word in one["enum"]]
        return (
            " or ".join(words) if len(words) <= _MANY else f"{', '.join(words[:-1])} or {words[-1]}"
        )
    return _of_type(one)


def _joined(ways: list[str]) -> list[str]:
    """Kinds of values, with the usual ones of a literal under one name."""
    literal = {"text", "true or false", "number"}
    if literal <= set(ways):
        return ["text or literal", *(way for way in ways if way not in literal)]
    return ways


def _of_type(one: dict[str, Any]) -> str:
    if one.get("pattern") == DURATION["pattern"]:
        return "duration"
    if one.get("properties", {}).keys() & {"only", "exclude"}:
        return f"`{{{next(iter(one['properties']))}: […]}}`"
    return _WORDS.get(str(one.get("type")), _anything)(one)


def _text(one: dict[str, Any]) -> str:
    return "time" if one.get("format") == "date-time" else "text"


def _boolean(_: dict[str, Any]) -> str:
    return "true or false"


def _list(one: dict[str, Any]) -> str:
    return f"list of {_plural(_value(one.get('items', {})))}"


def _anything(_: dict[str, Any]) -> str:
    return "anything"


def _number(one: dict[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    return "number" if low is None else f"number from {low}"


def _object(one: dict[str, Any]) -> str:
    inner = one.get("additionalProperties")
    return f"names with {_plural(_value(inner))}" if isinstance(inner, dict) and inner else "object"


_WORDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "string": _text,
    "boolean": _boolean,
    "integer": _number,
    "number": _number,
    "array": _list,
    "object": _object,
}


def _plural(kind: str) -> str:
    words = {
        "text": "texts",
        "object": "objects",
        "text or literal": "texts or literals",
        "anything": "anything",
    }
    return words.get(kind, kind)


def main() -> None:
    """Write the reference into the files that are named."""
    for name in sys.argv[1:]:
        file = Path(name)
        file.write_text(with_reference(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
