"""What is said beside a plan: the requests as they would leave, and what may still stop them."""

from __future__ import annotations

from typing import Any

from bridge.mapping.terms import Terms
from bridge.onesignal.operations import Recipient, TrackCustomEvent, UpdateUser, send_key
from bridge.plan.provisos import provisos
from bridge.plan.requests import requests_of
from tests.unit.plan.planning import pushed, the_send

U1 = Recipient("external_id", "u1")


def test_a_send_is_shown_with_the_key_that_delivery_gives_it_first() -> None:
    send = the_send(pushed({"contents": "Hi"}))
    named: dict[str, Any] = {"message_id": "m1", "app": "shop"}
    (request,) = requests_of(send, app_id="A", **named)
    delivered = send_key(
        rule="r", operation="send_notification", recipient=U1, generation=0, **named
    )
    assert request.body["idempotency_key"] == delivered
    (other,) = requests_of(send, app_id="A", key="another", **named)
    assert other.body["idempotency_key"] == "another"


def test_what_was_written_before_is_left_out_unless_all_of_it_is_written_always() -> None:
    def names(**more: Any) -> list[str]:
        write = UpdateUser(rules=("r",), to=U1, tags={"a": "1"}, properties={"language": "de"})
        for name, value in more.items():
            setattr(write, name, value)
        return [one.name for one in provisos(write, None)]

    assert names() == ["unchanged", "overtaken"]
    assert names(always=frozenset({"tags.a"})) == ["unchanged", "overtaken"]
    assert names(always=frozenset({"tags.a", "language"})) == ["overtaken"]


def test_the_cap_is_of_pushes_and_not_of_custom_events() -> None:
    tracked = TrackCustomEvent(rule="r", to=U1, event="e", properties={}, at_ms=0, max_age_ms=None)
    assert [one.name for one in provisos(tracked, Terms())] == ["paused"]
    assert [one.name for one in provisos(the_send(pushed({"contents": "Hi"})), Terms())] == [
        "volume_guard",
        "paused",
    ]
