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

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {
    "type": "integer",
    "minimum": 0,
    "maximum": 10**15,
    "description": "Milliseconds since 1970, UTC.",
}
_YES: Schema = {"type": "boolean"}
_ANY: Schema = {}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def _object(*, optional: dict[str, Schema] | None = None, **names: Schema) -> Schema:
    """An object of exactly these names; all are there but the optional ones."""
    return {
        "type": "object",
        "properties": names | (optional or {}),
        "required": list(names),
        "additionalProperties": False,
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_DEAD = {
    "id": _COUNT, "reason": _TEXT, "rule": _TEXT, "operation": _TEXT, "app": _TEXT, "source": _TEXT,
    "message_id": _TEXT, "event": _maybe(_TEXT), "http": _maybe(_COUNT), "attempts": _COUNT,
    "died_ms": _TIME,
}  # fmt: skip
_HELD = {
    "key": _TEXT, "app": _TEXT, "rule": _TEXT, "operation": _TEXT, "reason": _TEXT,
    "message_id": _TEXT, "event": _maybe(_TEXT), "written_ms": _TIME,
}  # fmt: skip
_FINDING = {
    "code": _TEXT, "message": _TEXT, "level": {"enum": ["error", "warning"]}, "file": _maybe(_TEXT),
    "line": _maybe(_COUNT), "column": _maybe(_COUNT), "hint": _maybe(_TEXT),
}  # fmt: skip
_SKIPPED = {
    "app": _TEXT, "rule": _TEXT, "operation": _TEXT, "reason": _TEXT, "source": _TEXT,
    "message_id": _TEXT, "event": _maybe(_TEXT), "event_ms": _TIME, "skipped_ms": _TIME,
}  # fmt: skip
_COUNTED = {"app": _TEXT, "rule": _TEXT, "reason": _TEXT, "count": _COUNT}
_SAMPLE = {"count": _COUNT, "until_ms": _maybe(_TIME)}
_TOLD = {
    "rule": _TEXT, "operation": _TEXT, "status": _TEXT, "reason": _maybe(_TEXT),
    "detail": _maybe(_TEXT), "words": _TEXT, "at_ms": _maybe(_TIME), "http": _maybe(_COUNT),
    "attempts": _COUNT, "key": _maybe(_TEXT), "planned": _ANY, "todo": _maybe(_TEXT),
}  # fmt: skip

_SCHEMAS: dict[str, Schema] = {
    "Error": _object(code=_TEXT, message=_TEXT),
    "Choice": _object(
        optional={
            "app": _TEXT, "rule": _TEXT, "reason": _TEXT, "user": _TEXT, "since_ms": _TIME,
            "until_ms": _TIME, "ids": _list({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10**15}, _TEXT]}),
            "dry_run": {"type": "boolean", "description": "Count and show some, and do nothing."},
        }
    ),
    "Target": {
        "oneOf": [
            _object(what={"const": "pushes"}),
            _object(what={"const": "rule"}, rule={"type": "string", "minLength": 1}),
        ]
    },
    "Paused": _list(_object(what=_TEXT, reason=_TEXT, since_ms=_TIME)),
    "Dead": _object(**_DEAD),
    "DeadWhole": _object(**_DEAD, payload=_ANY, request=_ANY, answer=_maybe(_TEXT), uncertain=_YES),
    "DeadSample": _object(**_SAMPLE, sample=_list(_object(**_DEAD))),
    "Held": _object(**_HELD),
    "HeldWhole": _object(
        **_HELD,
        payload=_ANY,
        request=_object(method=_TEXT, path=_TEXT, body=_ANY, part=_ANY, recipient=_TEXT),
    ),
    "HeldSample": _object(**_SAMPLE, sample=_list(_object(**_HELD))),
    "SkippedSample": _object(**_SAMPLE, gone=_COUNT, sample=_list(_object(**_SKIPPED))),
    "Finding": _object(**_FINDING),
    "Mappings": _object(
        version=_COUNT,
        loaded_ms=_TIME,
        sources={
            "type": "object",
            "additionalProperties": _object(revision=_TEXT, files=_list(_TEXT), rules=_list(_TEXT)),
        },
        warnings=_list(_ref("Finding")),
        last_refused=_maybe(_object(at_ms=_TIME, findings=_list(_ref("Finding")))),
        restart=_list(_TEXT),
    ),
    "Story": {
        "type": "object",
        "properties": {
            "seq": _COUNT, "state": _TEXT, "source": _TEXT, "app": _TEXT, "message_id": _TEXT,
            "type": _TEXT, "event": _maybe(_TEXT), "received_ms": _TIME, "event_ms": _TIME,
            "told": _list(_object(**_TOLD)),
        },
        "required": ["seq", "state", "source", "app", "message_id", "type", "received_ms", "told"],
    },
}  # fmt: skip


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
        said[error] = _said(_ref("Error"), _ERRORS[error])
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
    app=_TEXT, rule=_TEXT, reason=_TEXT, user=_TEXT, since_ms=_TIME, until_ms=_TIME
)  # fmt: skip
_TOO_OLD: Schema = {"const": "too_old"}
_HOLD: Schema = {"enum": ["limit", "paused"]}


def _chosen(reason: Schema) -> list[Schema]:
    return [one | {"schema": reason} if one["name"] == "reason" else one for one in _CHOSEN]


def _choice(without: tuple[str, ...] = (), **more: Schema) -> Schema:
    """A choice, with further names or other values of its names."""
    names = _SCHEMAS["Choice"]["properties"] | more
    return _object(optional={name: one for name, one in names.items() if name not in without})


_PATHS: dict[str, dict[str, Schema]] = {
    "/api/v1/status": {
        "get": _operation("Is all well, and what is not", "view", {"type": "object", "required": ["well", "problems", "pending", "held", "dead"], "properties": {"well": _YES, "problems": _list(_TEXT), "pending": _COUNT, "held": _COUNT, "dead": _COUNT, "mappings": _ref("Mappings")}}),
    },
    "/api/v1/mappings": {"get": _operation("What is in force, and the edit that was refused", "view", _ref("Mappings"))},
    "/api/v1/explain": {
        "get": _operation(
            "What became of a user's newest events, or of a message", "view",
            _object(user=_maybe(_TEXT), message_id=_maybe(_TEXT), now_ms=_TIME, events=_list(_ref("Story")), more=_YES),
            "400",
            parameters=_query(user=_TEXT, message_id=_TEXT, limit={"type": "integer", "minimum": 1, "maximum": 500}),
        ),
    },
    "/api/v1/pause": {
        "get": _operation("What is paused", "view", _object(paused=_ref("Paused"))),
        "post": _operation("Hold pushes back, all or a rule's", "operate", _object(paused=_ref("Paused")), "400", "404", body=_ref("Target"), needs_body=True),
    },
    "/api/v1/resume": {
        "post": _operation("Let them go again", "operate", _object(paused=_ref("Paused"), released=_COUNT), "400", "409", body=_ref("Target"), needs_body=True),
    },
    "/api/v1/dead": {
        "get": _operation(
            "What could not be done", "view",
            _object(dead=_list(_ref("Dead")), next=_maybe(_COUNT), counts=_list(_object(reason=_TEXT, rule=_TEXT, count=_COUNT))),
            "400", parameters=[*_CHOSEN, *_query(after={"type": "integer", "minimum": 0, "maximum": 10**18 - 1})],
        ),
    },
    "/api/v1/dead/replay": {
        "post": _operation("Try all of a choice again", "operate", {"oneOf": [_object(replayed=_COUNT, no_events=_COUNT), _ref("DeadSample")]}, "400", body=_choice(replan=_YES)),
    },
    "/api/v1/dead/discard": {
        "post": _operation("End all of a choice for good", "operate", {"oneOf": [_object(discarded=_COUNT), _ref("DeadSample")]}, "400", body=_ref("Choice")),
    },
    "/api/v1/dead/{id}": {
        "get": _operation("One, with its event, the request and the answer", "operate", _ref("DeadWhole"), "404", parameters=[_path("id", _COUNT)]),
    },
    "/api/v1/dead/{id}/replay": {
        "post": _operation("Try it again", "operate", _object(replayed=_COUNT), "400", "404", "409", parameters=[_path("id", _COUNT)], body=_object(optional={"replan": _YES})),
    },
    "/api/v1/held": {
        "get": _operation(
            "Pushes that wait for a person", "view",
            _object(
                counts=_list(_object(**_COUNTED)), held=_list(_ref("Held")),
                releases=_list(_object(app=_TEXT, rule=_TEXT, reason=_TEXT, per_minute=_COUNT, left=_COUNT)),
            ),
            "400", parameters=[*_chosen(_HOLD), *_query(limit={"type": "integer", "minimum": 0, "maximum": 10**18 - 1})],
        ),
    },
    "/api/v1/held/{key}": {
        "get": _operation("One, with its event and what would be sent", "operate", _ref("HeldWhole"), "404", parameters=[_path("key", {"type": "string", "minLength": 1, "pattern": "^[^/]+$"})]),
    },
    "/api/v1/held/release": {
        "post": _operation(
            "Let pushes go, oldest first", "operate",
            {"oneOf": [_object(released=_COUNT), _object(releasing=_COUNT, per_minute=_COUNT), _ref("HeldSample")]}, "400",
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
        "post": _operation("Stop what goes little by little", "operate", _object(stopped=_COUNT), "400", body=_choice(reason=_HOLD)),
    },
    "/api/v1/held/discard": {
        "post": _operation("End pushes, unsent", "operate", {"oneOf": [_object(discarded=_COUNT), _ref("HeldSample")]}, "400", body=_choice(reason=_HOLD)),
    },
    "/api/v1/skipped": {
        "get": _operation("What was too old, and may still matter", "view", _object(counts=_list(_object(**_COUNTED, gone=_COUNT))), "400", parameters=_chosen(_TOO_OLD)),
    },
    "/api/v1/skipped/replay": {
        "post": _operation("Do it whatever its age", "operate", {"oneOf": [_object(replayed=_COUNT), _ref("SkippedSample")]}, "400", body=_choice(("ids",), reason=_TOO_OLD) | {"required": ["rule"]}, needs_body=True),
    },
    "/api/v1/users/{external_id}": {
        "delete": _operation(
            "Erase a user, at OneSignal and here", "admin", _object(erasing=_list(_TEXT)), "400", "404", "503",
            parameters=[_path("external_id", {"type": "string", "minLength": 1, "maxLength": 512}), *_query(app=_TEXT)], status="202",
        ),
    },
    "/api/v1/import": {
        "post": _operation(
            "Take rows of an import", "admin",
            _object(accepted=_COUNT, duplicates=_COUNT, pending=_COUNT, rejected=_list(_object(index=_COUNT, code=_TEXT, message=_TEXT)), optional={"note": _TEXT}),
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
            "schemas": _SCHEMAS,
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
