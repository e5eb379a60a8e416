"""What an event does not say is never made up: not by any filter, not in any place of a mapping."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from bridge.mapping.liquid import environment
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Send
from tests.unit.plan.planning import mapping_of, planned, rule

FILTERS = sorted(set(environment().filters) - {"default"})
ABSENT: list[dict[str, Any]] = [{}, {"traits": {}}, {"traits": {"x": None}}, {"traits": {"y": 1}}]


def called(name: str) -> str:
    """A filter with as many arguments as it cannot do without."""
    parameters = list(inspect.signature(environment().filters[name]).parameters.values())[1:]
    plain = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    arguments = ", ".join("1" for one in plain if one.default is one.empty)
    return f"{name}: {arguments}" if arguments else name


def everywhere(value: str) -> Mapping:
    """A mapping that has this value in every place where a value can stand."""
    return mapping_of(
        rule("tag", update_user={"tags": {"t": value}}),
        rule("tag-name", update_user={"tags": {value: "1"}}),
        rule("language", update_user={"language": value, "timezone": value, "country": value}),
        rule("email", update_user={"email": value, "phone": {"address": value}}),
        rule("raw-property", update_user={"raw": {"test_user_name": value}}),
        rule("contents", send_notification={"contents": value}),
        rule("headings", send_notification={"contents": "Hi", "headings": value}),
        rule("template", send_notification={"template_id": value}),
        rule("custom-data", send_notification={"template_id": "t", "custom_data": {"a": value}}),
        rule("to", send_notification={"contents": "Hi", "to": {"external_id": value}}),
        rule("send-after", send_notification={"contents": "Hi", "send_after": value}),
        rule("event-name", track_custom_event={"name": value}),
        rule("alias", create_alias={"label": "crm", "id": value}),
        rule("add", add_subscription={"type": "AndroidPush", "token": value}),
        rule("remove", remove_subscription={"type": "AndroidPush", "token": value}),
        rule("delete", delete_user={"to": {"external_id": value}}),
        rule("once", send_notification={"contents": "Hi"}, once_per={"time": "1d", "key": value}),
        rule(
            "left-out",
            send_notification={
                "contents": "Hi", "data": {"a": value}, "collapse_id": value, "app_url": f"shop://{value}",
                "image": value, "ios_badgeCount": value, "ios_badgeType": "SetTo", "raw": {"new": value},
                "buttons": [{"id": "a", "text": value}],
            },
        ),
        rule("property", track_custom_event={"name": "e", "properties": {"a": value}}),
        push={"platforms": "all", "links": ["shop://"]},
    )  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_no_filter_makes_a_missing_value_into_anything_in_any_place(name: str) -> None:
    mapping = everywhere(f"{{{{ traits.x | {called(name)} }}}}")

    for sent in ABSENT:
        found = planned(mapping, **sent)

        # What is optional is left out, and nothing else is left to do.
        sends = {one.rule: one for one in found.operations if isinstance(one, Send)}
        assert len(found.operations) == len(sends) == 2
        assert sends["left-out"].body == {"contents": {"en": "Hi"}, "ios_badgeType": "SetTo"}  # type: ignore[union-attr]  # a push
        assert sends["property"].properties == {}  # type: ignore[union-attr]  # a custom event
        reasons = {skip.rule: str(skip) for skip in found.skips}
        assert set(reasons.values()) == {"missing: traits.x", "nothing_to_write"}
        assert {name for name, reason in reasons.items() if reason == "nothing_to_write"} == {
            "tag", "tag-name", "language", "email", "raw-property",
        }  # fmt: skip


def test_a_path_that_is_absent_deletes_nothing() -> None:
    found = planned(everywhere("{{ traits.x }}"), traits={})

    assert {type(one).__name__ for one in found.operations} == {
        "SendNotification",
        "TrackCustomEvent",
    }


def test_a_path_that_is_null_deletes_a_tag_and_is_text_nowhere() -> None:
    found = planned(everywhere("{{ traits.x }}"), traits={"x": None})

    kinds = [type(one).__name__ for one in found.operations]
    # null is what is written in full: of a tag, of an address, in data, and of what once_per is per.
    assert kinds == ["UpdateUser", "SetContact", "SetContact", *kinds[3:]]
    assert found.operations[0].tags == {"t": ""}  # type: ignore[union-attr]  # it is an UpdateUser
    sends = {one.rule: one for one in found.operations if isinstance(one, Send)}
    assert set(sends) == {"left-out", "property", "once"}
    assert sends["left-out"].body == {  # type: ignore[union-attr]  # a push
        "contents": {"en": "Hi"}, "data": {"a": None}, "new": None, "ios_badgeType": "SetTo",
    }  # fmt: skip
    assert sends["property"].properties == {"a": None}  # type: ignore[union-attr]  # a custom event
    assert found.terms["once"].once == (86_400_000, "")
