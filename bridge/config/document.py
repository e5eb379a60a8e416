"""`bridge.yaml` as operators write it: every field is declared here, once."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from bridge.kinds import droppable, known_platforms
from bridge.segment.audience import SyncMode
from bridge.settings import Plan

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def is_app_id(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def _app_id(text: str) -> str:
    if not is_app_id(text):
        raise ValueError("an app id is 8-4-4-4-12 hexadecimal digits")
    return text


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("a name is letters, digits, `_`, `-` and `.`: it is part of an address")
    return text


def _list(value: object) -> object:
    """One is a list of one."""
    return [value] if isinstance(value, str) else value


def _web(text: str) -> str:
    if not text.startswith(("https://", "http://")):
        raise ValueError("an address begins with https://")
    return text


def _value(value: Any) -> str:
    """A variable's value as the text that replaces it."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("the value of a variable is a text or a number")  # noqa: TRY004 — pydantic's
    return str(value)


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, AfterValidator(_name)]
Texts = Annotated[list[Text], BeforeValidator(_list), Field(min_length=1)]
Variables = dict[str, Annotated[str, BeforeValidator(_value)]]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AppEntry(_Declared):
    """One app at OneSignal; what is left out is as the environment says."""

    app_id: Annotated[str, AfterValidator(_app_id)]
    api_key: Texts | None = None
    api_key_file: Text | None = None
    api: Literal["user-model", "legacy"] | None = None
    legacy_flags: Literal["refuse", "trust"] | None = None
    url: Annotated[str, AfterValidator(_web)] | None = None
    plan: Plan | None = None
    platforms: Annotated[list[str], AfterValidator(known_platforms)] | None = None
    upsert: Literal["patch-first", "post-first"] | None = None
    alias_chunk: Annotated[int, Field(ge=1, le=20_000)] | None = None
    event_key: Literal["properties", "payload"] | None = None
    vars: Variables = {}


class ReverseEtlEntry(_Declared):
    """How the rows of a reverse ETL source are read."""

    mode: SyncMode
    key: Text


class SourceEntry(_Declared):
    """One source of Segment's."""

    app: str | None = None
    mappings: Text | None = None
    secrets: Texts | None = None
    secrets_file: Text | None = None
    token: Text | None = None
    token_file: Text | None = None
    unsigned: Literal["allow", "refuse"] | None = None
    batches: Literal["accept", "refuse"] | None = None
    trust: Literal["server", "client"] = "server"
    bulk: bool = False
    reverse_etl: ReverseEtlEntry | None = None
    drop: Annotated[list[Text], AfterValidator(droppable), BeforeValidator(_list)] | None = None


class BridgeFile(_Declared):
    apps: dict[Name, AppEntry] = {}
    sources: dict[Name, SourceEntry] = {}
    vars: Variables = {}


def fields_at(path: tuple[Any, ...]) -> list[str]:
    """The names of the fields that there are at a place of the file."""
    match path:
        case ():
            model: type[BaseModel] = BridgeFile
        case ("apps", _):
            model = AppEntry
        case ("sources", _):
            model = SourceEntry
        case ("sources", _, "reverse_etl"):
            model = ReverseEtlEntry
        case _:
            return []
    return sorted(model.model_fields)
