"""Failures on demand: a script says which requests go wrong, and how.

A script as JSON, the same over HTTP (`POST /sandbox/faults`) and in process (`Faults.script`)::

    {
        "match": {"method": "POST", "path": "/notifications", "class": "send"},
        "answers": [{"status": 503}, {"timeout": 60}, {"reset": true}],
        "times": 1,
    }

Every matching request takes the next of `answers`; the list is used `times` times over, or until
it is cleared (`"times": "until_cleared"`). The first script that matches and is not used up counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from bridge.sandbox.wire import EndpointClass, Request

_STRICT = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Match(BaseModel):
    """What all has to fit; a glob `path` is compared with the path as sent, without `/api/v1`.

    `text` has to be somewhere in the body as it was sent.
    """

    model_config = _STRICT

    method: str | None = None
    path: str | None = None
    endpoint_class: EndpointClass | None = Field(default=None, alias="class")
    text: str | None = None

    def fits(self, request: Request) -> bool:
        return (
            self.method in {None, request.method}
            and self.endpoint_class in {None, request.endpoint_class}
            and (self.path is None or fnmatchcase(request.path, self.path))
            and (self.text is None or self.text.encode() in request.raw_body)
        )


class Fault(BaseModel):
    """One thing that happens instead of the ordinary answer.

    It says exactly one of these:

    `status` (with `headers` and `body`): this answer, and nothing is done.
    `timeout`: nothing for so many seconds, then the connection closes; with `applied`, the request
        is carried out first.
    `reset`: the connection closes at once; with `applied`, the request is carried out first.
    `ordinary`: as if there were no script.

    `delay` (seconds) alone slows the ordinary answer down, or comes before `status`.
    """

    model_config = _STRICT

    status: Annotated[int, Field(ge=200, le=599)] | None = None
    headers: Mapping[str, str] = {}
    body: JsonValue = None
    timeout: Annotated[float, Field(ge=0)] | None = None
    reset: bool = False
    applied: bool = False
    ordinary: bool = False
    delay: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _says_one_thing(self) -> Fault:
        said = [self.status is not None, self.is_silent, self.ordinary]
        if sum(said) > 1 or not (any(said) or self.delay):
            raise ValueError("say one of status, timeout, reset, ordinary or delay")
        if self.applied and not self.is_silent:
            raise ValueError("applied goes with timeout or reset")
        if self.timeout is not None and self.reset:
            raise ValueError("timeout and reset exclude each other")
        return self

    @property
    def is_silent(self) -> bool:
        """Whether the client never gets an answer."""
        return self.timeout is not None or self.reset

    @property
    def is_performed(self) -> bool:
        """Whether the request does what it asks for all the same."""
        return self.applied or self.ordinary or not (self.is_silent or self.status is not None)

    @property
    def name(self) -> str | None:
        """How the ledger calls it; None for no fault at all."""
        if self.ordinary:
            return None
        if self.is_silent:
            kind = "reset" if self.reset else "timeout"
            return f"{kind} after applying" if self.applied else kind
        return "delay" if self.status is None else f"status {self.status}"


class Script(BaseModel):
    model_config = _STRICT

    match: Match = Match()
    answers: Annotated[tuple[Fault, ...], Field(min_length=1)]
    times: Annotated[int, Field(ge=1)] | Literal["until_cleared"] = 1


@dataclass(slots=True, kw_only=True)
class Running:
    """A script and how many requests have met it."""

    script: Script
    used: int = 0

    @property
    def left(self) -> int | None:
        """Requests that it still waits for; None for no end."""
        if self.script.times == "until_cleared":
            return None
        return self.script.times * len(self.script.answers) - self.used

    def take(self) -> Fault:
        fault = self.script.answers[self.used % len(self.script.answers)]
        self.used += 1
        return fault


class Faults:
    def __init__(self) -> None:
        self.running: list[Running] = []

    def script(self, script: Script | Mapping[str, Any]) -> Running:
        """Add a script; `pydantic.ValidationError` says what is wrong with one."""
        running = Running(script=Script.model_validate(script))
        self.running.append(running)
        return running

    def clear(self) -> None:
        self.running.clear()

    def take(self, request: Request) -> Fault | None:
        for running in self.running:
            if running.left != 0 and running.script.match.fits(request):
                return running.take()
        return None
