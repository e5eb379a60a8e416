"""What `check` says of a mapping for OneSignal's legacy API, and what it does not let through (I7)."""

from __future__ import annotations

from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.lint import check_texts
from bridge.mapping.load import Source, compile_mapping
from bridge.onesignal.api import Spoken
from bridge.onesignal.platforms import PLATFORMS

LEGACY, TRUSTED = Spoken(api="legacy"), Spoken(api="legacy", trusts_flags=True)
EVERYWHERE = ("android", "web", "ios")


def text_of(do: dict[str, Any], **more: Any) -> str:
    rule = {"name": "r", "when": "true", "do": do}
    return orjson.dumps({"version": 1, "rules": [rule], **more}).decode()


def found(
    do: dict[str, Any],
    *,
    spoken: Spoken = LEGACY,
    serves: tuple[str, ...] = EVERYWHERE,
    **more: Any,
) -> list[Finding]:
    try:
        source = Source(name="a.yaml", text=text_of(do, **more))
        return list(compile_mapping([source], serves=serves, spoken=spoken)[1])
    except ConfigurationError as error:
        return list(error.findings)


def said(*args: Any, **more: Any) -> list[tuple[str, str]]:
    return [(one.level, one.code) for one in found(*args, **more)]


def a_push(platforms: Any, **more: Any) -> dict[str, Any]:
    return {"send_notification": {"contents": "Hi", "platforms": platforms, **more}}


@pytest.mark.parametrize(
    ("do", "named"),
    [
        ({"track_custom_event": {"name": "x"}}, "track_custom_event"),
        ({"create_alias": {"label": "crm", "id": "1"}}, "create_alias"),
        ({"add_subscription": {"type": "SMS", "token": "+431"}}, "add_subscription"),
        ({"remove_subscription": {"type": "SMS", "token": "+431"}}, "remove_subscription"),
        ({"delete_user": {}}, "delete_user"),
        ({"update_user": {"tags": {"a": "1"}, "language": "de"}}, "update_user.language"),
        ({"update_user": {"tags": {"a": "1"}, "timezone": "UTC"}}, "update_user.timezone"),
        ({"update_user": {"tags": {"a": "1"}, "country": "AT"}}, "update_user.country"),
        ({"update_user": {"tags": {"a": "1"}, "email": "a@b.c"}}, "update_user.email"),
        ({"update_user": {"tags": {"a": "1"}, "phone": "+431"}}, "update_user.phone"),
        ({"update_user": {"tags": {"a": "1"}, "raw": {"lat": 1}}}, "update_user.raw"),
        (
            {"update_user": {"tags": {"a": "1"}, "to": {"alias": {"crm": "1"}}}},
            "update_user.to.alias",
        ),
        (a_push("all", to={"alias": {"crm": "1"}}), "send_notification.to.alias"),
    ],
)
def test_what_it_cannot_do_is_warned_of_at_its_place(do: dict[str, Any], named: str) -> None:
    (finding,) = found(do)

    assert (finding.level, finding.code) == ("warning", "legacy-cannot")
    assert f"`{named}`" in finding.message
    assert finding.line is not None
    assert said(do, spoken=Spoken()) == []


def test_identities_that_it_does_not_know_are_warned_of_when_somebody_wrote_it() -> None:
    tags = {"update_user": {"tags": {"a": "1"}}}

    assert said(tags, identity={"unknown": "create"}) == [("warning", "legacy-cannot")]
    assert said(tags, identity={"unknown": "skip"}) == []
    assert said(tags, identity={"anonymous": "alias"}) == [("warning", "legacy-cannot")]
    assert said(tags, identity={"anonymous": "external_id"}) == [("warning", "legacy-cannot")]
    assert said(tags, identity={"anonymous": "skip"}) == []
    assert said(tags) == []


@pytest.mark.parametrize(
    ("platforms", "serves", "expected"),
    [
        ({"exclude": ["ios"]}, EVERYWHERE, ("error", "legacy-flags-refused")),
        ({"only": ["android"]}, EVERYWHERE, ("error", "legacy-flags-refused")),
        ({"only": ["web", "ios_web"]}, EVERYWHERE, ("error", "legacy-flags-refused")),
        # The bridge is told of no iPhones: there may be some, and the flags would leave them out.
        ("all", ("android", "web"), ("error", "legacy-flags-refused")),
        ({"exclude": ["web"]}, EVERYWHERE, ("warning", "legacy-flags-unproven")),
        ({"only": ["ios"]}, EVERYWHERE, ("warning", "legacy-flags-unproven")),
        ({"exclude": ["ios_web"]}, EVERYWHERE, ("warning", "legacy-flags-unproven")),
        # Registered devices need no flags, unless they are asked for where none is registered.
        ({"exclude": ["ios"], "by": "devices"}, EVERYWHERE, None),
        (
            {"exclude": ["ios"], "by": "devices", "unknown_devices": "flags"},
            EVERYWHERE,
            ("error", "legacy-flags-refused"),
        ),
        ("all", EVERYWHERE, None),
    ],
)
def test_a_push_that_leaves_iphones_out_by_flags_is_refused(
    platforms: Any, serves: tuple[str, ...], expected: tuple[str, str] | None
) -> None:
    do = a_push(platforms)

    assert said(do, serves=serves) == ([expected] if expected else [])
    assert said(do, serves=serves, spoken=TRUSTED) == []
    assert said(do, serves=serves, spoken=Spoken()) == []


def test_check_says_the_same() -> None:
    text = text_of(a_push({"exclude": ["ios"]}))
    checked = check_texts([Source(name="a.yaml", text=text)], serves=EVERYWHERE, spoken=LEGACY)

    assert "legacy-flags-refused" in {one.code for one in checked}


names = st.lists(st.sampled_from(PLATFORMS), min_size=1, unique=True)


@settings(max_examples=300)
@given(
    st.one_of(
        st.just("all"),
        st.builds(
            lambda kind, some, how: {kind: some} | how,
            st.sampled_from(["only", "exclude"]),
            names,
            st.sampled_from([{}, {"by": "devices"}, {"by": "devices", "unknown_devices": "flags"}]),
        ),
    ),
    names.map(tuple),
    st.sampled_from([{}, {"to": {"devices": "{{ userId }}"}}]),
)
def test_no_push_to_a_person_that_is_let_through_leaves_iphones_out_by_flags(
    platforms: Any, serves: tuple[str, ...], to: dict[str, Any]
) -> None:
    """Whatever flags do there: what is let through is for iPhones, too, or names devices alone."""
    source = Source(name="a.yaml", text=text_of(a_push(platforms, **to)))
    try:
        mapping, _ = compile_mapping([source], serves=serves, spoken=LEGACY)
    except ConfigurationError:
        return
    for push in (rule.push for rule in mapping.rules if rule.push is not None):
        is_strict = push.devices is not None and push.devices.unknown == "skip"
        assert is_strict or push.flags.get("isIos") is True


def test_the_same_rule_is_compiled_for_each_api_apart() -> None:
    """What is kept of a file that was read before is not taken for another API's."""
    do = a_push({"exclude": ["ios"]})
    order = [spoken for spoken, _ in product((Spoken(), LEGACY, TRUSTED), range(2))]

    codes = [[one.code for one in found(do, spoken=spoken)] for spoken in order]

    assert codes == [[], [], ["legacy-flags-refused"], ["legacy-flags-refused"], [], []]
