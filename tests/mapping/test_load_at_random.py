"""Whatever is written into a mapping file, the answer is a mapping or a list of findings."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given, settings, strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it has no types

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.codes import codes
from bridge.mapping.lint import check_texts
from bridge.mapping.load import Source, compile_mapping
from bridge.mapping.rules import Mapping
from bridge.mapping.schema import json_schema
from bridge.mapping.tree import read_tree
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
    check(text, findings)
    if mapping is not None:
        SCHEMA.validate(read_tree(text).value)
    return mapping


def check(text: str, findings: list[Finding]) -> None:
    """`check` says what loading says, in its words, and warnings besides."""
    said = check_texts(
        [Source(name="a.yaml", text=text)],
        serves=("android", "web", "ios"),
        tag_cap=2,
        sources=["default"],
    )
    assert set(findings) <= set(said)
    assert all(one.level == "warning" for one in said if one not in findings)
    assert all(one.code in codes() for one in said)
    lines = len(text.splitlines()) + 1
    assert all(one.line is None or 1 <= one.line <= lines for one in said)


SCHEMA = Draft202012Validator(json_schema())


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


CONDITIONS = st.recursive(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(
            ["type", "event", "audience.entered", "audience.class", "properties.n", "source"]
        ),
        st.sampled_from(["=", "!=", "<", ">=", "in"]),
        st.sampled_from(
            [
                '"track"',
                '"identify"',
                '"Order completed"',
                "null",
                "true",
                "1",
                '["a", 1]',
                "traits.a",
            ]
        ),
    )
    | st.sampled_from(
        ["true", "replay", "!replay", 'contains(event, "x")', 'match(event, "[")', "length(event)"]
    ),
    lambda inner: (
        st.builds("( {} ) {} ( {} )".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("!( {} )".format, inner)
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3))
def test_whatever_conditions_say_of_each_other_check_has_an_answer(conditions: list[str]) -> None:
    do = {"update_user": {"tags": {"a": "{{ traits.a }}"}}, "send_notification": {"contents": "Hi"}}
    rules = [{"name": f"r{n}", "when": when, "do": do} for n, when in enumerate(conditions)]

    mapping = compiled(as_blocks({"version": 1, "push": {"platforms": "all"}, "rules": rules}))

    assert mapping is None or use(mapping) >= 0


@settings(max_examples=100, deadline=None)
@given(nearly_right())
def test_in_blocks_a_mapping_is_what_it_is_on_one_line(document: dict[str, Any]) -> None:
    line, blocks = compiled(as_yaml(document)), compiled(as_blocks(document))

    assert (line is None) is (blocks is None)
    assert line is None or blocks is None or line.rules == blocks.rules


def as_blocks(document: dict[str, Any]) -> str:
    """A line for each section and entry, as people write them."""
    lines = []
    for name, value in document.items():
        if isinstance(value, list) and value:
            lines += [f"{name}:", *(f"  - {as_yaml(one)}" for one in value)]
        else:
            lines.append(f"{name}: {as_yaml(value)}")
    return "\n".join(lines) + "\n"


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
