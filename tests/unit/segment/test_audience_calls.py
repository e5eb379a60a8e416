"""The calls of Webhook Audiences that are no events."""

from __future__ import annotations

import pytest

from bridge.segment.audience_calls import AudienceCall, read_audience_call


def create(name: str) -> AudienceCall:
    found = read_audience_call({"region": "eu", "audienceName": name})
    assert found is not None
    return found


def test_a_created_audience_gets_the_same_id_for_the_same_name() -> None:
    assert create("VIP").kind == "create"
    assert create("VIP").answer == create("VIP").answer
    assert create("VIP").external_id != create("vip").external_id
    # Segment keeps it: another version of ours has to know it again.
    assert create("VIP").external_id == "aud-986e2890737d7abe583e75e3"
    assert create("\ud800 odd").answer["externalId"].isascii()


def test_getting_an_audience_gives_its_id_back() -> None:
    made = create("VIP").external_id
    assert read_audience_call({"region": "eu", "externalId": made}) == AudienceCall(
        kind="get", external_id=made
    )
    assert read_audience_call({"externalId": 7, "audienceName": "VIP"}) == AudienceCall(
        kind="get", external_id="7"
    )


@pytest.mark.parametrize(
    "element",
    [
        {"type": "track", "audienceName": "VIP"},
        {"messageId": "m", "externalId": "a"},
        {"event": "A", "externalId": "a"},
        {"userId": "u", "audienceName": "VIP"},
        {"anonymousId": "a", "audienceName": "VIP"},
        {"audienceName": ""}, {"audienceName": None}, {"externalId": ""}, {"externalId": [1]}, {}, [], "x", None,
        [{"audienceName": "VIP"}],
    ],
)  # fmt: skip
def test_events_and_other_things_are_no_such_call(element: object) -> None:
    assert read_audience_call(element) is None
