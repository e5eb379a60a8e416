"""What the environment says (`BRIDGE_…`), and of secrets the files that it names (`BRIDGE_…_FILE`).

What is unknown, twice there or not to be read is reported all at once, as findings.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bridge import failpoints
from bridge.errors import ConfigurationError, Finding
from bridge.kinds import lines
from bridge.settings import Settings

PREFIX = "BRIDGE_"
SERVICE_URL = "BRIDGE_URL"
"""Where commands find the running service; not the service's own setting."""
SECRETS = (
    "SEGMENT_SECRETS",
    "SEGMENT_TOKEN",
    "ONESIGNAL_API_KEY",
    "ADMIN_TOKEN",
    "ADMIN_TOKENS",
    "METRICS_TOKEN",
    "ALERT_URL",
    "DEVICES_SECRET",
    "DEVICES_JWT_KEYS",
    "DEVICES_SERVER_KEYS",
)
FILES = (*SECRETS, "ONLY_USERS")
"""What may also stand in a file, which `BRIDGE_…_FILE` names."""
LISTS = (
    "SEGMENT_SECRETS",
    "ONESIGNAL_API_KEY",
    "ONLY_USERS",
    "ADMIN_TOKENS",
    "DEVICES_SERVER_KEYS",
)
VARIABLES = "BRIDGE_VAR_"
"""What follows is a variable of the mapping, in capitals."""


def admin_token(environment: Mapping[str, str] | None = None) -> str | None:
    """BRIDGE_ADMIN_TOKEN, or what its file holds; for commands, which need no other setting.

    Raises:
        ConfigurationError: both are set, or the file cannot be read.
    """
    env = os.environ if environment is None else environment
    names = (f"{PREFIX}ADMIN_TOKEN", f"{PREFIX}ADMIN_TOKEN_FILE")
    values, findings = _read({name: env[name] for name in names if name in env})
    if findings:
        raise ConfigurationError(findings)
    return values.get("admin_token") or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the environment says, and what is wrong with it so far."""

    settings: Settings
    #: Names of the settings that it sets, by value or by file.
    given: frozenset[str]
    #: Files that it names and that may change while the service runs.
    files: tuple[Path, ...]
    #: Variables of mappings, by name in small letters.
    variables: dict[str, str]
    findings: list[Finding]


def read_environment(environment: Mapping[str, str] | None = None) -> Environment:
    """Every setting there is; what is contradictory is for `bridge.config` to say."""
    env = os.environ if environment is None else environment
    values, findings = _read(env)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        findings += map(_finding, error.errors())
        # The rest is looked at as well, so that a second start does not bring a second list.
        invalid = {one["loc"][0] for one in error.errors()}
        settings = Settings(**{name: values[name] for name in values.keys() - invalid})
    named = {name.removeprefix(PREFIX) for name in env if name.startswith(PREFIX)}
    files = [name for name in FILES if f"{name}_FILE" in named]
    return Environment(
        settings=settings,
        given=frozenset(name.lower() for name in {*named, *files}),
        files=tuple(Path(env[f"{PREFIX}{name}_FILE"]) for name in files),
        variables={
            name.removeprefix(VARIABLES).lower(): text
            for name, text in env.items()
            if name.startswith(VARIABLES)
        },
        findings=findings,
    )


def _read(env: Mapping[str, str]) -> tuple[dict[str, Any], list[Finding]]:
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for variable, text in env.items():
        if not variable.startswith(PREFIX) or variable.startswith(VARIABLES):
            continue
        name = variable.removeprefix(PREFIX)
        if name.endswith("_FILE") and name.removesuffix("_FILE") in FILES:
            findings += _read_file(values, name.removesuffix("_FILE"), Path(text), env)
        elif name.lower() in Settings.model_fields:
            values[name.lower()] = text
        elif variable not in {SERVICE_URL, failpoints.VARIABLE}:
            findings.append(_unknown(variable))
    return values, findings


def _read_file(
    values: dict[str, Any], name: str, path: Path, env: Mapping[str, str]
) -> list[Finding]:
    variable = PREFIX + name
    if variable in env:
        return [
            Finding(
                code="setting-twice",
                message=f"{variable} and {variable}_FILE are both set",
                hint="keep one of the two",
            )
        ]
    text = secret_text(path, f"{variable}_FILE")
    if isinstance(text, Finding):
        return [text]
    values[name.lower()] = lines(text) if name in LISTS else text
    return []


def secret_text(path: Path, named_by: str) -> str | Finding:
    """What a file of a secret holds; a finding when it holds nothing or cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror or "an error") if isinstance(error, OSError) else "it is not UTF-8"
        return Finding(
            code="secret-file-unreadable",
            message=f"{named_by} names {path}, which cannot be read: {why}",
            hint="mount the secret, or correct the path",
        )
    if not text:
        return Finding(
            code="secret-file-empty",
            message=f"{named_by} names {path}, which is empty: nothing would be asked for",
            hint="write the secret into it, or unset the variable",
        )
    return text


def _unknown(variable: str) -> Finding:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    known += [f"{PREFIX}{name}_FILE" for name in FILES]
    near = difflib.get_close_matches(variable, known, n=1)
    return Finding(
        code="unknown-setting",
        message=f"{variable} is not a setting of this version",
        hint=f"did you mean {near[0]}?" if near else "README lists every setting",
    )


def _finding(error: Any) -> Finding:
    variable = PREFIX + "_".join(str(part) for part in error["loc"][:1]).upper()
    message = _in_words(error)
    named = f"{variable}: {message}" if error["loc"] else message
    return Finding(code="setting-invalid", message=named, hint="README lists every setting")


def _in_words(error: Any) -> str:
    if error["type"] in {"int_parsing", "float_parsing"}:
        return f"has to be a {'whole ' if error['type'] == 'int_parsing' else ''}number"
    said = str(error["msg"]).removeprefix("Value error, ")
    return said.replace("Input should be", "has to be")
