"""An example says which devices are registered; what a rule then sends is what delivery would."""

from __future__ import annotations

import pytest

from bridge.rehearsal.examples import play
from bridge.rehearsal.expectations import differences
from tests.harness import mapping_of

MAPPING = """
version: 1
push: {{platforms: {{exclude: [ios], by: devices{more}}}}}
rules:
  - name: hello
    when: event = "Hello"
    do: {{send_notification: {{contents: "Hi"}}}}
examples:
  - name: one
    event: {{type: track, event: Hello, userId: u1}}
    devices: {devices}
    {expects}
"""
SENT = 'gives: {hello: {send_notification: {to: {devices: u1}, contents: "Hi"}}}'
BY_FLAGS = "gives: {hello: {send_notification: {to: {external_id: u1}, isAndroid: true}}}"


@pytest.mark.parametrize(
    ("devices", "more", "expects"),
    [
        ("{u1: [android, ios]}", "", SENT),
        ("{u1: [ios]}", "", "skips: {hello: only_ios}"),
        ("{u1: [ios]}", ", unknown_devices: flags", "skips: {hello: only_ios}"),
        ("{u1: [huawei]}", "", "skips: {hello: no_platform}"),
        ("{u2: [android]}", "", "skips: {hello: no_devices}"),
        ("{}", "", "skips: {hello: no_devices}"),
        ("{}", ", unknown_devices: flags", BY_FLAGS),
    ],
)
def test_what_is_registered_decides(devices: str, more: str, expects: str) -> None:
    mapping = mapping_of(MAPPING.format(devices=devices, more=more, expects=expects))
    (example,) = mapping.examples
    played = play(example.declared, mapping)
    assert differences(example.declared, played) == []


def test_the_devices_are_in_the_request_that_is_shown() -> None:
    mapping = mapping_of(MAPPING.format(devices="{u1: [android, web]}", more="", expects=SENT))
    (request,) = play(mapping.examples[0].declared, mapping).requests
    assert request.body["include_subscription_ids"] == ["android of u1", "web of u1"]
