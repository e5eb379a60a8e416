"""Whatever is written into a mapping file, the answer is a mapping or a list of findings."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings, strategies as st

from bridge.errors import ConfigurationError
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import Send, SendNotification
from bridge.onesignal.user_model import send_body, update_requests
from bridge.plan import plan
from bridge.segment.events import Event, read_event

FIELDS = (
    "version", "identity", "push", "rules", "examples", "external_id", "anonymous", "unknown",
    "platforms", "links", "name", "when", "do", "max_age", "replays", "echo", "update_user",
    "send_notification", "tags", "tags_from", "traits", "properties", "context", "audience",
    "include", "rename", "prefix", "language", "timezone", "country", "contents", "headings",
    "subtitle", "en", "de", "url", "app_url", "web_url", "image", "ios_attachments", "template_id",
    "custom_data", "data", "ttl", "collapse_id", "priority", "exclude", "only", "isIos", "<<", "",
)  # fmt: skip
TEXTS = (
    "all", "ios", "{{ userId }}", "{{ traits.a }}", "Hi {{ traits.a | upcase }}", "{% if a %}",
    "{{", "}}", "{% raw %}{{ x }}{% endraw %}", 'type = "track"', "true", "audience.key = null",
    "type ==", "2d", "30s", "skip", "create", "shop://", "https://a.example", "*", "a.*", "&", "\x00",
)  # fmt: skip

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(TEXTS)
    | st.text(max_size=20)
)
names = st.sampled_from(FIELDS) | st.text(max_size=5)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def nearly_right(draw: st.DrawFn) -> dict[str, Any]:
    """A document whose outline is right, with anything at all in some of its places."""

    def some(fields: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
        chosen = draw(st.lists(st.sampled_from(sorted(fields)), unique=True, max_size=5))
        odd = draw(st.sampled_from([*chosen, None, None, None, None]))
        return {name: draw(trees if name == odd else fields[name]) for name in chosen}

    texts = st.sampled_from(TEXTS[3:6] + TEXTS[8:11]) | st.sampled_from(TEXTS)
    conditions = st.sampled_from(["true", 'type = "track"']) | texts
    durations = st.sampled_from(["30s", "2d"])
    policy = st.sampled_from(["all", {"exclude": ["ios"]}, {"only": ["web"]}])
    update = some(
        {
            "tags": st.dictionaries(
                names, leaves.filter(lambda leaf: leaf is not None), max_size=3
            ),
            "tags_from": st.just({"traits": {"include": ["*", "a"]}, "audience": {}}),
            "language": texts,
            "timezone": texts,
        }
    )
    send = {"contents": draw(texts)} | some(
        {
            "headings": texts,
            "data": st.dictionaries(names, trees),
            "custom_data": st.dictionaries(names, trees),
            "url": texts,
            "image": texts,
            "ttl": durations,
            "collapse_id": texts,
            "platforms": policy,
        }
    )
    rule = {
        "name": "r",
        "when": draw(conditions),
        "do": {"update_user": update, "send_notification": send},
    }
    push = {"platforms": draw(policy), "links": ["shop://"]}
    return {"version": 1, "push": push, "rules": [rule]} | some(
        {"identity": st.just({}), "examples": st.just([])}
    )


def compiled(text: str) -> Mapping | None:
    """The mapping, or None when findings say why there is none."""
    try:
        mapping: Mapping | None
        mapping, findings = compile_mapping(
            [Source(name="a.yaml", text=text)], serves=("android", "web", "ios")
        )
    except ConfigurationError as refusal:
        findings = list(refusal.findings)
        mapping = None
    assert any(finding.is_error for finding in findings) is (mapping is None)
    assert all(finding.message and str(finding).encode() for finding in findings)
    return mapping


EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "track", "userId": "u", "traits": {"a": "x", "b": None, "c": [1]}},
    {"type": "identify", "userId": "u", "traits": {"a": {"b": 2**63 - 1}}, "context": {}},
    {},
)


def use(mapping: Mapping) -> int:
    """Plan some events and write every request as bytes; how many there were."""
    written = 0
    for sent in EVENTS:
        event = read_event(sent, raw=orjson.dumps(sent), source="default", received_ms=0)
        assert isinstance(event, Event)
        for one in plan(event, mapping).operations:
            if isinstance(one, SendNotification):
                assert True in one.flags.values()
            if isinstance(one, Send):
                assert send_body(one, app_id="a", key="k")
            else:
                assert all(orjson.dumps(r.body) for r in update_requests(one, app_id="a"))
            written += 1
    return written


@settings(max_examples=300, deadline=None)
@given(nearly_right())
def test_a_mapping_that_loads_can_also_be_planned_and_written(document: dict[str, Any]) -> None:
    mapping = compiled(as_yaml(document))

    if mapping is not None:
        assert use(mapping) >= 0
        assert mapping.rules


def as_yaml(value: Any) -> str:
    """Flow YAML, with the numbers that JSON lacks."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_yaml(k)}: {as_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if isinstance(value, float):
        return {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}.get(repr(value), repr(value))
    return (
        str(value)
        if isinstance(value, int) and abs(value) >= 2**63
        else orjson.dumps(value).decode()
    )


@settings(deadline=None)
@given(st.dictionaries(names, trees, max_size=5) | trees)
def test_any_structure_of_our_words_is_a_mapping_or_findings(tree: Any) -> None:
    mapping = compiled(as_yaml(tree))

    assert mapping is None or mapping.revision


fragments = st.sampled_from(
    [*FIELDS, *TEXTS, "version: 1\n", ": ", "- ", "\n", "  ", "\n  ", "{", "}", "[", "]", "|", ">",
     "&a ", "*a", "!!int ", "!!set ", "!!binary ", "!!timestamp ", "!x ", "? ", "#", "---\n", "...\n",
     "%YAML 1.1\n", "'", '"', ",", "2026-01-01", "0x1F", "1_000", "08", ".5", "~", "\t", "\ufeff", "\x85"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(fragments, max_size=25).map("".join) | st.text(max_size=60))
def test_any_text_is_a_mapping_or_findings(text: str) -> None:
    mapping = compiled(text)

    assert mapping is None or mapping.revision
