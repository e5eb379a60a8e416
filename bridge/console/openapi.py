"""`GET /api/v1/openapi.json`: the JSON API, described for programs and for those who write them.

The whole of it stands here in one place, in the order of the tables below; a test asks the running
service everything that it allows, and holds every answer against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge import __version__
from bridge.console.api import Accessible, answer, guarded
from bridge.console.held import FASTEST
from bridge.console.openapi_schemas import (
    COUNT,
    COUNTED,
    MOMENT,
    SCHEMAS,
    TEXT,
    TIME,
    YES,
    Schema,
    list_of,
    maybe,
    object_of,
    ref,
)
from bridge.console.views.trying import MOST_NEWEST
from bridge.console.views.words import STATES


def _query(**names: Schema) -> list[Schema]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in names.items()]


def _path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _said(schema: Schema, text: str) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_ERRORS = {
    "400": "What was asked is not clear; nothing was done.",
    "401": "The token is missing or wrong.",
    "403": "Who asks may not, or no token is configured.",
    "404": "There is no such thing.",
    "409": "It is not in a state for this.",
    "413": "The request is too large.",
    "429": "Too many wait; the same request may come again.",
    "503": "It could not be put on disk; nothing was kept.",
}


def _operation(
    summary: str,
    role: str,
    result: Schema,
    *errors: str,
    parameters: list[Schema] | None = None,
    body: Schema | None = None,
    needs_body: bool = False,
    status: str = "200",
) -> Schema:
    said = {status: _said(result, "Done.")}
    for error in ("401", "403", *errors):
        said[error] = _said(ref("Error"), _ERRORS[error])
    found: Schema = {
        "summary": summary,
        "description": f"For the role `{role}` and above.",
        "responses": dict(sorted(said.items())),
    }
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        content = {"application/json": {"schema": body}}
        found["requestBody"] = {"required": needs_body, "content": content}
    return found


_CHOSEN = _query(
    app=TEXT, rule=TEXT, reason=TEXT, user=TEXT, since_ms=TIME, until_ms=TIME
)  # fmt: skip
_NUMBER: Schema = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_NAME: Schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
_ADVICE: Schema = {"type": "object", "additionalProperties": ref("Advice")}
_TOO_OLD: Schema = {"const": "too_old"}
_HOLD: Schema = {"enum": ["limit", "paused", "ios_reached"]}


def _chosen(reason: Schema) -> list[Schema]:
    return [one | {"schema": reason} if one["name"] == "reason" else one for one in _CHOSEN]


def _choice(without: tuple[str, ...] = (), **more: Schema) -> Schema:
    """A choice, with further names or other values of its names."""
    names = SCHEMAS["Choice"]["properties"] | more
    return object_of(optional={name: one for name, one in names.items() if name not in without})


_PATHS: dict[str, dict[str, Schema]] = {
    "/api/v1/status": {
        "get": _operation("Is all well, and what is not", "view", object_of(**MOMENT, mappings=ref("Mappings"), dry_run=YES, only_users=maybe(COUNT))),
    },
    "/api/v1/overview": {
        "get": _operation("The same with what went in and out in the last hour and day", "view", object_of(**MOMENT, hour=ref("Figures"), day=ref("Figures"))),
    },
    "/api/v1/rules": {
        "get": _operation("What each rule did, and the push that it would send", "view", object_of(since_ms=TIME, rules=list_of(ref("Rule"))), "400", parameters=_query(since_ms=TIME)),
    },
    "/api/v1/events": {
        "get": _operation(
            "What was heard, newest first", "view",
            object_of(events=list_of(ref("Event")), next=maybe(COUNT), among=COUNT, since_ms=maybe(TIME)), "400", "404",
            parameters=_query(user=TEXT, event=TEXT, type=TEXT, source=TEXT, state={"enum": [*STATES]}, rule=TEXT, reason=TEXT, since_ms=TIME, until_ms=TIME, before=_NUMBER),
        ),
    },
    "/api/v1/events/{seq}": {
        "get": _operation("The whole story of one", "view", ref("StoryWhole"), "404", parameters=[_path("seq", _NUMBER)]),
    },
    "/api/v1/try": {
        "post": _operation(
            "What events would ask of OneSignal; nothing is sent", "view", ref("Outcome"), "400", "404", "413",
            body=object_of(
                event={"anyOf": [{"type": "object"}, list_of({"type": "object"})]},
                optional={"source": TEXT, "draft": object_of(file=TEXT, text=TEXT), "newest": {"type": "integer", "minimum": 0, "maximum": MOST_NEWEST}},
            ),
            needs_body=True,
        ),
    },
    "/api/v1/audit": {
        "get": _operation(
            "Who did what, newest first", "view",
            object_of(lines=list_of(object_of(id=COUNT, at_ms=TIME, who=TEXT, what=TEXT, many=maybe(COUNT), detail=TEXT)), next=maybe(COUNT)),
            "400", parameters=_query(before=_NUMBER),
        ),
    },
    "/api/v1/mappings": {"get": _operation("What is in force, and the edit that was refused", "view", ref("MappingsAll"))},
    "/api/v1/mappings/{source}": {
        "get": _operation("The files that can be tried, edited", "view", object_of(source=TEXT, files=list_of(object_of(name=TEXT, text=TEXT))), "404", parameters=[_path("source", _NAME)]),
    },
    "/api/v1/explain": {
        "get": _operation(
            "What became of a user's newest events, or of a message", "view",
            object_of(user=maybe(TEXT), message_id=maybe(TEXT), now_ms=TIME, events=list_of(ref("Story")), more=YES, erased=list_of(ref("Erased"))),
            "400",
            parameters=_query(user=TEXT, message_id=TEXT, limit={"type": "integer", "minimum": 1, "maximum": 500}),
        ),
    },
    "/api/v1/pause": {
        "get": _operation("What is paused", "view", object_of(paused=ref("Paused"))),
        "post": _operation("Hold pushes back, all or a rule's", "operate", object_of(paused=ref("Paused")), "400", "404", body=ref("Target"), needs_body=True),
    },
    "/api/v1/resume": {
        "post": _operation("Let them go again", "operate", object_of(paused=ref("Paused"), released=COUNT), "400", "404", "409", body=ref("Target"), needs_body=True),
    },
    "/api/v1/dead": {
        "get": _operation(
            "What could not be done", "view",
            object_of(dead=list_of(ref("Dead")), next=maybe(COUNT), counts=list_of(object_of(reason=TEXT, rule=TEXT, count=COUNT, newest=COUNT)), advice=_ADVICE),
            "400", "404", parameters=[*_CHOSEN, *_query(after=_NUMBER)],
        ),
    },
    "/api/v1/dead/replay": {
        "post": _operation("Try all of a choice again", "operate", {"oneOf": [object_of(replayed=COUNT, no_events=COUNT, forgotten=COUNT), ref("DeadSample")]}, "400", "404", body=_choice(replan=YES)),
    },
    "/api/v1/dead/discard": {
        "post": _operation("End all of a choice for good", "operate", {"oneOf": [object_of(discarded=COUNT), ref("DeadSample")]}, "400", "404", body=ref("Choice")),
    },
    "/api/v1/dead/{id}": {
        "get": _operation("One, with its event, the request and the answer", "operate", ref("DeadWhole"), "404", parameters=[_path("id", COUNT)]),
    },
    "/api/v1/dead/{id}/replay": {
        "post": _operation("Try it again", "operate", object_of(replayed=COUNT), "400", "404", "409", parameters=[_path("id", COUNT)], body=object_of(optional={"replan": YES})),
    },
    "/api/v1/held": {
        "get": _operation(
            "Pushes that wait for a person", "view",
            object_of(
                counts=list_of(object_of(**COUNTED)), held=list_of(ref("Held")),
                releases=list_of(object_of(app=TEXT, rule=TEXT, reason=TEXT, per_minute=COUNT, left=COUNT, paused=YES)),
                advice=_ADVICE,
            ),
            "400", "404", parameters=[*_chosen(_HOLD), *_query(limit=_NUMBER)],
        ),
    },
    "/api/v1/held/{key}": {
        "get": _operation("One, with its event and what would be sent", "operate", ref("HeldWhole"), "404", parameters=[_path("key", _NAME)]),
    },
    "/api/v1/held/release": {
        "post": _operation(
            "Let pushes go, oldest first", "operate",
            {"oneOf": [object_of(released=COUNT), object_of(releasing=COUNT, per_minute=COUNT, paused=COUNT), ref("HeldSample")]}, "400", "404", "409",
            body={
                "anyOf": [
                    _choice(reason=_HOLD),
                    _choice(
                        ("user", "ids"),
                        reason=_HOLD,
                        per_minute={"type": "integer", "minimum": 1, "maximum": FASTEST},
                    ),
                ]
            },
        ),
    },
    "/api/v1/held/hold": {
        "post": _operation("Stop what goes little by little", "operate", object_of(stopped=COUNT), "400", "404", body=_choice(reason=_HOLD)),
    },
    "/api/v1/held/discard": {
        "post": _operation("End pushes, unsent", "operate", {"oneOf": [object_of(discarded=COUNT), ref("HeldSample")]}, "400", "404", body=_choice(reason=_HOLD)),
    },
    "/api/v1/skipped": {
        "get": _operation("What was too old, and may still matter", "view", object_of(counts=list_of(object_of(**COUNTED, gone=COUNT))), "400", "404", parameters=_chosen(_TOO_OLD)),
    },
    "/api/v1/skipped/replay": {
        "post": _operation("Do it whatever its age", "operate", {"oneOf": [object_of(replayed=COUNT), ref("SkippedSample")]}, "400", "404", body=_choice(("ids",), reason=_TOO_OLD) | {"required": ["rule"]}, needs_body=True),
    },
    "/api/v1/users/{external_id}": {
        "get": _operation(
            "What was written for a user, their devices, pushes and skips", "view", ref("Somebody"), "400", "404",
            parameters=[_path("external_id", {"type": "string", "minLength": 1, "maxLength": 512}), *_query(app=TEXT, ask={"const": "yes"})],
        ),
        "delete": _operation(
            "Erase a user, at OneSignal and here", "admin", object_of(erasing=list_of(TEXT)), "400", "404", "503",
            parameters=[_path("external_id", {"type": "string", "minLength": 1, "maxLength": 512}), *_query(app=TEXT)], status="202",
        ),
    },
    "/api/v1/import": {
        "post": _operation(
            "Take rows of an import", "admin",
            object_of(accepted=COUNT, duplicates=COUNT, pending=COUNT, rejected=list_of(object_of(index=COUNT, code=TEXT, message=TEXT)), optional={"note": TEXT}),
            "400", "409", "413", "429", "503",
            body={"type": "array", "items": {"type": "object"}, "maxItems": 500}, needs_body=True,
        ),
    },
    "/api/v1/openapi.json": {"get": _operation("This", "view", {"type": "object"})},
}  # fmt: skip


def document() -> dict[str, Any]:
    """The whole of it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Segment to OneSignal bridge",
            "version": __version__,
            "description": "Every error has one shape: a code for programs, a message for people.",
        },
        "security": [{"token": []}],
        "paths": _PATHS,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


@dataclass(slots=True, kw_only=True)
class OpenApi:
    access: Accessible

    def routes(self) -> list[Route]:
        handler = guarded(self.access, "view", self._document)
        return [Route("/api/v1/openapi.json", handler, methods=["GET"])]

    async def _document(self, _: Request) -> Response:
        return answer(document())
