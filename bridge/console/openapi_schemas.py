"""The shapes of the JSON API's bodies and answers, for its description; see `bridge.console.openapi`."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TIME: Schema = {
    "type": "integer",
    "minimum": 0,
    "maximum": 10**15,
    "description": "Milliseconds since 1970, UTC.",
}
YES: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
ANY: Schema = {}


def maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def object_of(*, optional: dict[str, Schema] | None = None, **names: Schema) -> Schema:
    """An object of exactly these names; all are there but the optional ones."""
    return {
        "type": "object",
        "properties": names | (optional or {}),
        "required": list(names),
        "additionalProperties": False,
    }


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


DEAD = {
    "id": COUNT, "reason": TEXT, "rule": TEXT, "operation": TEXT, "app": TEXT, "source": TEXT,
    "message_id": TEXT, "event": maybe(TEXT), "http": maybe(COUNT), "attempts": COUNT,
    "died_ms": TIME,
}  # fmt: skip
HELD = {
    "key": TEXT, "app": TEXT, "rule": TEXT, "operation": TEXT, "reason": TEXT,
    "message_id": TEXT, "event": maybe(TEXT), "written_ms": TIME,
}  # fmt: skip
FINDING = {
    "code": TEXT, "message": TEXT, "level": {"enum": ["error", "warning"]}, "file": maybe(TEXT),
    "line": maybe(COUNT), "column": maybe(COUNT), "hint": maybe(TEXT),
}  # fmt: skip
SKIPPED = {
    "app": TEXT, "rule": TEXT, "operation": TEXT, "reason": TEXT, "source": TEXT,
    "message_id": TEXT, "event": maybe(TEXT), "event_ms": TIME, "skipped_ms": TIME,
}  # fmt: skip
COUNTED = {"app": TEXT, "rule": TEXT, "reason": TEXT, "count": COUNT}
SAMPLE = {"count": COUNT, "until_ms": maybe(TIME), "push": maybe(ref("Push")), "gone": COUNT}
TOLD = {
    "rule": TEXT, "operation": TEXT, "status": TEXT, "reason": maybe(TEXT), "detail": maybe(TEXT), "words": TEXT,
    "at_ms": maybe(TIME), "http": maybe(COUNT), "attempts": COUNT, "key": maybe(TEXT), "planned": ANY, "todo": maybe(TEXT),
}  # fmt: skip
CALL = {
    "at_ms": TIME, "operation": TEXT, "method": TEXT, "path": TEXT, "body": ANY, "status": maybe(COUNT),
    "failure": maybe(TEXT), "answer": ANY, "took_ms": COUNT, "events": COUNT, "key": maybe(TEXT),
}  # fmt: skip
STORY = {
    "seq": COUNT, "state": TEXT, "source": TEXT, "app": TEXT, "message_id": TEXT, "type": TEXT, "event": maybe(TEXT),
    "received_ms": TIME, "event_ms": TIME, "rank": maybe(TEXT), "payload": ANY, "planned_with": maybe(TEXT),
    "mapping_today": maybe(TEXT), "operations": list_of(object_of(**TOLD)), "left_out": list_of(TEXT),
    "rules_not_met": list_of(object_of(rule=TEXT, words=TEXT, other_event=YES)), "calls": list_of(object_of(**CALL)),
    "remarks": list_of(TEXT),
}  # fmt: skip
PUSH = {
    "title": maybe(TEXT), "subtitle": maybe(TEXT), "text": maybe(TEXT),
    "languages": list_of({"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}), "picture": maybe(TEXT),
    "link": maybe(TEXT), "buttons": list_of(TEXT), "template": maybe(TEXT), "platforms": maybe(TEXT),
}  # fmt: skip
RULE = {
    "rule": TEXT, "sources": list_of(TEXT), "does": TEXT, "on": TEXT, "condition": TEXT, "pushes": YES, "paused": YES,
    "matched": COUNT, "pushed": COUNT, "written": COUNT, "custom_events": COUNT, "no_recipients": COUNT, "dead": COUNT,
    "held": COUNT, "skipped": list_of(object_of(reason=TEXT, count=COUNT, words=TEXT)),
    "hours": list_of(COUNT) | {"minItems": 24, "maxItems": 24},
    "never_matched": maybe(object_of(wants=list_of(TEXT), is_heard=YES, nearest=maybe(object_of(wanted=TEXT, heard=TEXT)))),
    "never_found": list_of(object_of(path=TEXT, events=COUNT)), "push": maybe(ref("Push")), "push_from": maybe(COUNT),
}  # fmt: skip
MOMENT = {
    "well": YES, "problems": list_of(TEXT), "causes": list_of(object_of(key=TEXT, words=TEXT, todo=TEXT)), "now_ms": TIME,
    "unready": maybe(TEXT), "events_per_minute": COUNT, "pending": COUNT, "oldest_waiting_seconds": {"type": "number"},
    "waiting_for_nobody": {"type": "object", "additionalProperties": COUNT}, "held": COUNT, "leaving": COUNT, "dead": COUNT,
    "gates": list_of(object_of(app=TEXT, name=TEXT, closed=maybe(TEXT), closed_seconds=NUMBER, held_seconds=NUMBER)),
    "calls_out": list_of(object_of(app=TEXT, count=COUNT, oldest_seconds=NUMBER)),
    "paused": list_of(TEXT), "sources": list_of(object_of(source=TEXT, app=TEXT, per_minute=COUNT, last_ms=maybe(TIME))),
}  # fmt: skip
FIGURES = {
    "events": COUNT, "calls": COUNT, "failed_calls": COUNT, "asked_to_wait": COUNT, "half_within_seconds": maybe(NUMBER),
    "most_within_seconds": maybe(NUMBER), "pushes_audited": COUNT, "ios_reached": COUNT,
    "steps": object_of(
        start_ms=TIME, every_ms=COUNT, events=list_of(COUNT), calls=list_of(COUNT), failed_calls=list_of(COUNT),
        most_within_seconds=list_of(maybe(NUMBER)),
    ),
}  # fmt: skip
WRITTEN = {
    "name": TEXT, "value": ANY, "event_ms": TIME, "message_id": TEXT, "accepted_ms": maybe(TIME),
}  # fmt: skip
SOMEBODY = {
    "user": TEXT, "app": TEXT, "is_known": YES, "is_now": maybe(TEXT),
    "erased": list_of(ref("Erased")), "ids": list_of(object_of(label=TEXT, id=TEXT)),
    "tags": list_of(object_of(**WRITTEN)), "properties": list_of(object_of(**WRITTEN)),
    "aliases": list_of(object_of(**WRITTEN)), "contacts": list_of(object_of(**WRITTEN, kind=TEXT)),
    "devices": list_of(object_of(platform=TEXT, is_reachable=YES, seen_ms=TIME)),
    "pushes": list_of(object_of(seq=COUNT, rule=TEXT, status=TEXT, words=TEXT, at_ms=maybe(TIME), push=maybe(ref("Push")))),
    "skips": list_of(object_of(seq=COUNT, event=TEXT, rule=TEXT, operation=TEXT, words=TEXT, at_ms=maybe(TIME))),
    "at_onesignal": maybe(object_of(devices=list_of(object_of(kind=TEXT, is_on=YES, model=maybe(TEXT))), problem=maybe(TEXT))),
}  # fmt: skip
EVENT = {
    "seq": COUNT, "source": TEXT, "app": TEXT, "message_id": TEXT, "type": TEXT, "event": maybe(TEXT), "who": maybe(TEXT),
    "received_ms": TIME, "state": TEXT,
    "ends": list_of(object_of(rule=TEXT, operation=TEXT, status=TEXT, reason=maybe(TEXT))),
}  # fmt: skip
LINE = {
    "message_id": TEXT, "rule": TEXT, "operation": TEXT, "push": maybe(ref("Push")),
}  # fmt: skip
TALLY = {
    "events": COUNT, "pushes": COUNT, "custom_events": COUNT, "updates": COUNT,
    "skips": {"type": "object", "additionalProperties": COUNT},
}  # fmt: skip
CHANGE = {
    "pushes_more": COUNT, "pushes_fewer": COUNT, "pushes_other": COUNT, "tags": COUNT, "updates": COUNT,
    "custom_events": COUNT, "samples": list_of(TEXT),
}  # fmt: skip


def by_name(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


MAPPINGS = {
    "version": COUNT, "loaded_ms": TIME,
    "sources": by_name(object_of(revision=TEXT, files=list_of(TEXT), rules=list_of(TEXT))),
    "warnings": list_of(ref("Finding")),
    "last_refused": maybe(object_of(at_ms=TIME, findings=list_of(ref("Finding")))), "restart": list_of(TEXT),
}  # fmt: skip

SCHEMAS: dict[str, Schema] = {
    "Error": object_of(code=TEXT, message=TEXT),
    "Choice": object_of(
        optional={
            "app": TEXT,
            "rule": TEXT,
            "reason": TEXT,
            "user": TEXT,
            "since_ms": TIME,
            "until_ms": TIME,
            "ids": list_of({"anyOf": [{"type": "integer", "minimum": 0, "maximum": 10**15}, TEXT]}),
            "dry_run": {"type": "boolean", "description": "Count and show some, and do nothing."},
        }
    ),
    "Target": {
        "oneOf": [
            object_of(what={"const": "pushes"}),
            object_of(what={"const": "rule"}, rule={"type": "string", "minLength": 1}),
        ]
    },
    "Paused": list_of(object_of(what=TEXT, reason=TEXT, since_ms=TIME)),
    "Dead": object_of(**DEAD),
    "DeadWhole": object_of(**DEAD, payload=ANY, request=ANY, answer=maybe(TEXT), uncertain=YES),
    "DeadSample": object_of(**SAMPLE, sample=list_of(object_of(**DEAD))),
    "Held": object_of(**HELD),
    "HeldWhole": object_of(
        **HELD,
        payload=ANY,
        request=object_of(method=TEXT, path=TEXT, body=ANY, part=ANY, recipient=TEXT),
    ),
    "HeldSample": object_of(**SAMPLE, sample=list_of(object_of(**HELD))),
    "SkippedSample": object_of(**SAMPLE, sample=list_of(object_of(**SKIPPED))),
    "Finding": object_of(**FINDING),
    "Mappings": object_of(**MAPPINGS),
    "MappingsAll": object_of(
        **MAPPINGS, earlier=list_of(object_of(source=TEXT, since_ms=TIME, revision=TEXT))
    ),
    "Story": object_of(**STORY),
    "StoryWhole": object_of(**STORY, push=maybe(ref("Push"))),
    "Push": object_of(**PUSH),
    "Advice": object_of(what=TEXT, todo=TEXT, replay=YES, replan=YES),
    "Rule": object_of(**RULE),
    "Figures": object_of(**FIGURES),
    "Somebody": object_of(**SOMEBODY),
    "Erased": object_of(app=TEXT, at_ms=TIME, under_way=YES),
    "Event": object_of(**EVENT),
    "Tried": object_of(
        title=TEXT,
        lines=list_of(
            {
                "oneOf": [
                    object_of(
                        **LINE,
                        skip=object_of(reason=TEXT, detail=maybe(TEXT)),
                        words=TEXT,
                    ),
                    object_of(
                        **LINE,
                        request=maybe(object_of(method=TEXT, path=TEXT, body=ANY)),
                        guards=list_of(TEXT),
                        notes=list_of(TEXT),
                    ),
                ]
            }
        ),
    ),
    "Outcome": object_of(
        running=list_of(ref("Tried")),
        draft=maybe(
            object_of(
                is_usable=YES,
                findings=list_of(ref("Finding")),
                tried=maybe(list_of(ref("Tried"))),
            )
        ),
        change=maybe(
            object_of(
                events=COUNT,
                without_payload=COUNT,
                rules=by_name(object_of(**TALLY)),
                rules_after=by_name(object_of(**TALLY)),
                changes=by_name(object_of(**CHANGE)),
            )
        ),
    ),
}
