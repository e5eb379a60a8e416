"""An example written from what a plan says passes; leave one thing out of it, or add one, and it fails."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings, strategies as st

from bridge.mapping.document import Example
from bridge.plan import plan
from bridge.plan.requests import rules_of
from bridge.rehearsal.examples import START_MS, play
from bridge.rehearsal.expectations import differences
from bridge.rehearsal.views import view
from bridge.segment.events import Event, read_event
from tests.harness import mapping_of

MAPPING = mapping_of("""\
version: 1
push: {platforms: {exclude: [ios]}, links: ["https://shop.example/"]}
rules:
  - name: profile
    when: type = "identify"
    do: {update_user: {tags: {plan: "{{ traits.plan }}", city: "{{ traits.city }}"}, language: "{{ context.locale }}"}}
  - name: everything
    when: type = "identify"
    do: {update_user: {tags_from: {traits: {include: ["*"], prefix: t_}}}}
  - name: shipped
    when: type = "track"
    do: {send_notification: {contents: "{{ traits.plan }}", web_url: "https://shop.example/{{ traits.city }}", ttl: 1d}}
  - name: both
    when: traits.plan = "pro"
    do: {update_user: {tags: {pro: "true"}}, send_notification: {contents: "Thanks, {{ traits.city | default: 'friend' }}", image: "https://shop.example/x.png"}}
  - name: entered
    when: audience.key = "vip" and audience.entered = true
    do: {update_user: {tags_from: {audience: {prefix: aud_}}}, send_notification: {contents: Welcome, data: {n: [1, 2.5, true]}}}
""")

texts = st.one_of(st.sampled_from(["pro", "Wien", ""]), st.text(max_size=8))
values = st.one_of(texts, st.none(), st.booleans(), st.integers(-10, 10), st.floats(-9, 9))
events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["identify", "track"]),
        "userId": st.just("u7"),
        "traits": st.dictionaries(st.sampled_from(["plan", "city", "vip", "tier"]), values),
        "context": st.fixed_dictionaries(
            {},
            optional={
                "locale": st.sampled_from(["de-AT", "nonsense", 3]),
                "personas": st.just({"computation_class": "audience", "computation_key": "vip"}),
            },
        ),
    }
)


def said(sent: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a plan says, in the form of `gives`."""
    event = read_event(sent, raw=orjson.dumps(sent), source="default", received_ms=START_MS)
    assert isinstance(event, Event)
    gives: dict[str, dict[str, Any]] = {}
    for operation in plan(event, MAPPING, apart=True).operations:
        for rule in rules_of(operation):
            gives.setdefault(rule, {})[operation.name] = view(operation)
    return gives


def wrong(sent: dict[str, Any], gives: dict[str, Any]) -> list[str]:
    example = Example.model_validate({"name": "it", "event": sent, "gives": gives})
    return [one.where for one in differences(example, play(example, MAPPING))]


@settings(max_examples=300)
@given(events)
def test_an_example_written_from_a_plan_passes(sent: dict[str, Any]) -> None:
    assert wrong(sent, said(sent)) == []


@settings(max_examples=200)
@given(events, st.randoms(use_true_random=False))
def test_and_fails_when_a_rule_is_left_out_or_added(sent: dict[str, Any], random: Any) -> None:
    gives = said(sent)
    for rule in gives:
        assert wrong(sent, {name: one for name, one in gives.items() if name != rule})
    idle = [rule.name for rule in MAPPING.rules if rule.name not in gives]
    if idle:
        assert wrong(sent, gives | {random.choice(idle): {"update_user": {}}})


@settings(max_examples=200)
@given(events, texts)
def test_and_fails_when_a_tag_is_another(sent: dict[str, Any], other: str) -> None:
    for rule, operations in (gives := said(sent)).items():
        tags = operations.get("update_user", {}).get("tags", {})
        for name, text in tags.items():
            changed = {**tags, name: other}
            edited = gives | {rule: operations | {"update_user": {"tags": changed}}}
            assert bool(wrong(sent, edited)) is (text != other)
