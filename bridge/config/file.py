"""Reading `bridge.yaml`: its entries, and the place of everything that is wrong with them.

No finding shows a value of the file: it may hold secrets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError
from ruamel.yaml.error import MarkedYAMLError

from bridge.config.document import BridgeFile, fields_at
from bridge.environment import secret_text
from bridge.errors import Finding
from bridge.kinds import lines
from bridge.mapping.tree import Tree, read_tree


@dataclass(slots=True, kw_only=True)
class Reading:
    """The file, or none, and what is wrong so far."""

    path: Path | None = None
    tree: Tree | None = None
    entries: BridgeFile = field(default_factory=BridgeFile)
    #: False when the file cannot be read as what it should be: nothing more can be said about it.
    usable: bool = True
    #: Files of secrets that it names.
    files: list[Path] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def report(
        self,
        code: str,
        message: str,
        at: tuple[Any, ...] = (),
        hint: str | None = None,
        level: str = "error",
    ) -> None:
        line, column = (None, None) if self.tree is None else self.tree.place(at)
        file = None if self.path is None else str(self.path)
        self.findings.append(
            Finding(
                code=code,
                message=message,
                level=level,
                file=file,
                line=line,
                column=column,
                hint=hint,
            )
        )

    def beside(self, name: str) -> Path:
        """A path of the file: relative ones are relative to it."""
        folder = Path() if self.path is None else self.path.parent
        return folder / name

    def secrets(self, at: tuple[Any, ...], entry: Any, name: str) -> tuple[SecretStr, ...]:
        """The secrets of `name` or `name_file`, one a line."""
        said, file = getattr(entry, name), getattr(entry, f"{name}_file")
        if said is not None and file is not None:
            message = f"{name} and {name}_file are both set"
            self.report("setting-twice", message, (*at, f"{name}_file"), "keep one of the two")
        if file is not None:
            said = self._from_file((*at, f"{name}_file"), file)
        texts = [said] if isinstance(said, str) else said or ()
        return tuple(map(SecretStr, texts))

    def _from_file(self, at: tuple[Any, ...], name: str) -> tuple[str, ...]:
        path = self.beside(name)
        self.files.append(path)
        text = secret_text(path, ".".join(map(str, at)))
        if isinstance(text, Finding):
            self.report(text.code, text.message, at, text.hint)
            return ()
        return lines(text)


def read_file(path: Path) -> Reading:
    """What the file says, with findings for what cannot be understood."""
    reading = Reading(path=path, usable=False)
    try:
        tree = reading.tree = read_tree(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        message = f"BRIDGE_CONFIG names {path}, which cannot be read: {why}"
        hint = (
            None if path.is_absolute() else f"a path counts from where you are: {path.absolute()}"
        )
        reading.findings.append(Finding(code="config-unreadable", message=message, hint=hint))
    except MarkedYAMLError as error:
        reading.findings.append(_yaml_finding(path, error))
    except Exception as error:  # noqa: BLE001 — ruamel raises whatever an odd tag or number runs into
        message = f"{path} is not YAML: {type(error).__name__}"
        reading.findings.append(Finding(code="yaml-invalid", message=message, file=str(path)))
    else:
        _validate(reading, tree.value)
    return reading


_QUOTED = re.compile("'[^']{2,}'")


def _yaml_finding(path: Path, error: MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    twice = type(error).__name__ == "DuplicateKeyError"
    # The parser quotes what it stumbled over, which may be a secret; a single character is none.
    problem = str(error.problem or error.context or "this is not YAML").partition('"')[0].strip()
    said = _QUOTED.sub("…", problem)
    return Finding(
        code="key-twice" if twice else "yaml-invalid",
        message="this key is there already" if twice else said,
        hint='put a text that begins with `*` or `!` in "quotes"' if said != problem else None,
        file=str(path),
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
    )


def _validate(reading: Reading, said: Any) -> None:
    if not isinstance(said, dict):
        reading.report("not-a-config", "this file holds `apps`, `sources` and `vars`")
        return
    try:
        reading.entries = BridgeFile.model_validate(said)
        reading.usable = True
    except ValidationError as error:
        for one in error.errors(include_context=False, include_input=False, include_url=False):
            _report(reading, one)


def _report(reading: Reading, error: Mapping[str, Any]) -> None:
    path = tuple(part for part in error["loc"] if part != "[key]")
    name = ".".join(map(str, path)) or "the file"
    kind = error["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(path[-1]), fields_at(path[:-1]), n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {_listed(path[:-1])}"
        reading.report("unknown-field", f"`{name}` is not a field", path, hint)
    elif kind == "missing":
        reading.report("field-missing", f"`{name}` is missing", path[:-1])
    else:
        message = str(error["msg"]).removeprefix("Value error, ").replace("dictionary", "mapping")
        quotes = 'put it in "quotes"' if kind == "string_type" else None
        reading.report("field-invalid", f"`{name}`: {message}", path, quotes)


def _listed(path: tuple[Any, ...]) -> str:
    return ", ".join(fields_at(path)) or "none here"
