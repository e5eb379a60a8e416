"""Mappings and events in as few words as possible, for the tests of planning.

A mapping is given as Python values and written as JSON, which is YAML.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.errors import ConfigurationError
from bridge.mapping.document import Do
from bridge.mapping.expression import Vars
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.rules import Mapping, Trust
from bridge.onesignal.api import USER_MODEL, Spoken
from bridge.onesignal.operations import SendNotification, UpdateUser
from bridge.plan import Plan, Skip, plan
from bridge.segment.body import NotJson, read_body
from bridge.segment.events import Event, read_event

RECEIVED_MS = 1_760_000_000_000
NO_IPHONES = {"platforms": {"exclude": ["ios"]}}


def rule(name: str = "r", when: str = "true", **more: Any) -> dict[str, Any]:
    """A rule; what names an operation goes into its `do`."""
    operations = {key: more.pop(key) for key in Do.model_fields if key in more}
    return {"name": name, "when": when, "do": operations, **more}


def mapping_of(
    *rules: dict[str, Any],
    serves: tuple[str, ...] = ("android", "web"),
    tag_cap: int | None = None,
    names: Vars | None = None,
    trust: Trust = "server",
    spoken: Spoken = USER_MODEL,
    **more: Any,
) -> Mapping:
    text = orjson.dumps({"version": 1, "rules": rules, **more}).decode()
    mapping, _ = compile_mapping(
        [Source(name="test.yaml", text=text)],
        serves=serves,
        tag_cap=tag_cap,
        names=names,
        trust=trust,
        spoken=spoken,
    )
    return mapping


def errors_of(*rules: dict[str, Any], **more: Any) -> list[str]:
    """Everything that is wrong with a mapping, each as its code and message."""
    with pytest.raises(ConfigurationError) as refusal:
        mapping_of(*rules, **more)
    return [f"{one.code}: {one.message}" for one in refusal.value.findings if one.is_error]


def event_of(sent: dict[str, Any]) -> Event:
    """The event as it comes out of a webhook's body."""
    body = read_body(orjson.dumps({"type": "identify", "userId": "u1", "messageId": "m1"} | sent))
    assert not isinstance(body, NotJson)
    event = read_event(body[0].value, raw=body[0].raw, source="default", received_ms=RECEIVED_MS)
    assert isinstance(event, Event)
    return event


def planned(mapping: Mapping, **sent: Any) -> Plan:
    return plan(event_of(sent), mapping)


def updated(update: dict[str, Any], *, tag_cap: int | None = None, **sent: Any) -> Plan:
    """The plan of a mapping whose only rule updates the user so."""
    return planned(mapping_of(rule(update_user=update), tag_cap=tag_cap), **sent)


def pushed(
    send: dict[str, Any],
    *,
    push: dict[str, Any] | None = None,
    serves: tuple[str, ...] = ("android", "web"),
    **sent: Any,
) -> Plan:
    """The plan of a mapping whose only rule sends this push."""
    mapping = mapping_of(
        rule(send_notification=send), push=NO_IPHONES | (push or {}), serves=serves
    )
    return planned(mapping, **sent)


def the_update(plan: Plan) -> UpdateUser:
    (update,) = (one for one in plan.operations if isinstance(one, UpdateUser))
    return update


def the_send(plan: Plan) -> SendNotification:
    (send,) = (one for one in plan.operations if isinstance(one, SendNotification))
    return send


def the_skip(plan: Plan) -> Skip:
    assert plan.operations == ()
    (skip,) = plan.skips
    return skip


def notes(plan: Plan) -> list[str]:
    return [str(note) for note in plan.notes]
