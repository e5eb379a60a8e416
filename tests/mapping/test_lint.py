"""What is legal and probably not meant: said where it is so, and not where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.errors import Finding
from bridge.mapping.codes import Code, codes
from bridge.mapping.lint import check_mapping, check_texts
from bridge.mapping.load import Source, starter
from bridge.onesignal.api import USER_MODEL, Spoken

SERVES = ("android", "web")
PUSH = {"send_notification": {"contents": "Hi"}}
SHIPPED = 'type = "track" and event = "Order Shipped"'
ENTERED = 'audience.key = "vip" and audience.entered = true'


def tags(**names: Any) -> dict[str, Any]:
    return {"update_user": {"tags": names}}


def rule(when: str, do: dict[str, Any] = PUSH, name: str = "r", **more: Any) -> dict[str, Any]:
    return {"name": name, "when": when, "do": do, **more}


def found(*rules: dict[str, Any], examples: bool = False, **how: Any) -> list[Finding]:
    """What `check` says of these rules, without what it says of missing examples."""
    mapping = {
        "version": 1,
        "push": {"platforms": {"exclude": ["ios"]}, "links": ["shop://"]},
        "rules": rules,
    }
    text = orjson.dumps(mapping).decode()
    said = check_texts([Source(name="a.yaml", text=text)], serves=SERVES, **how)
    return [one for one in said if examples or one.code != "no-examples"]


def the_codes(*rules: dict[str, Any], **how: Any) -> list[str]:
    said = found(*rules, **how)
    assert all(one.level == "warning" and one.hint for one in said)
    return [one.code for one in said]


# --- when a rule acts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ('type = "track" and type = "identify"', "`type` is never all of this at once"),
        ('event = "A" and event = "B"', "`event` is never all of this at once"),
        ('event in ["A", "B"] and !( event in ["A", "B"] )', "`event`"),
        ('type = "identify" and event = "X"', "identify calls have no `event`"),
        ('type = "track" and traits.plan = "pro"', "track calls have no `traits`"),
        ('type = "page" and traits.plan != null', "page calls have no `traits`"),
        ('type in ["identify", "group"] and properties.a = 1', "group, identify calls"),
        ("audience.entered = true and audience.class = null", "never entered or left"),
        ('audience.class = "trait" and audience.entered = false', "a computed trait"),
        ('audience.class = null and audience.key = "vip"', "no `audience.key`"),
        ("audience.key = null and audience.entered", "never entered or left"),
        ("properties.total > 100 and properties.total < 50", "`properties.total`"),
        ("100 < properties.total and properties.total <= 50", "`properties.total`"),
        ('properties.n = "1" and properties.n = 1', "`properties.n`"),
        ("properties.n = 1 and properties.n = true", "`properties.n`"),
        ('(event = "A" or event = "B") and !( event = "A" or event = "B" )', "`event`"),
        ("replay and !replay", "`replay`"),
    ],
)
def test_a_condition_that_no_event_meets(when: str, why: str) -> None:
    (finding,) = (one for one in found(rule(when, tags(a=1))) if one.code == "rule-unreachable")

    assert why in finding.message
    assert finding.hint


@pytest.mark.parametrize(
    "when",
    [
        SHIPPED,
        'type = "identify" and audience.class = null',
        'type in ["track", "page"] and !( type = "track" ) and properties.x = 1',
        'type = "track" and traits.plan = null',
        'event = "A" or event = "B"',
        'event != "A" and event != "B"',
        "properties.total > 50 and properties.total < 100",
        "properties.total >= 50 and properties.total <= 50",
        'audience.class in ["audience", "journey_step"] and audience.entered = true',
        "audience.entered != true and audience.class = null",
        "!audience.entered and audience.class = null",
        'match(event, "Order*") and contains(event, "Shipped")',
        '"dark" in properties.features and properties.features != null',
        "properties.a = properties.b and properties.a != properties.b",
        "!( properties.total > 5 ) and !( properties.total < 9 )",
        "properties.list = [1] and properties.list != [2]",
        "false",
        " and ".join(f'(properties.a{n} = "x" or properties.b{n} = "y")' for n in range(12)),
    ],
)
def test_a_condition_that_some_event_may_meet(when: str) -> None:
    assert "rule-unreachable" not in the_codes(rule(when, tags(a=1)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Order completed", "Order Completed"),
        ("order_completed", "Order Completed"),
        ("Order Canceled", "Order Cancelled"),
        ("Products Added", "Product Added"),
    ],
)
def test_an_event_that_is_nearly_one_of_segments(written: str, meant: str) -> None:
    (finding,) = found(rule(f'event = "{written}"'))

    assert finding.code == "event-name-near"
    assert f'did you mean "{meant}"?' in str(finding.hint)


@pytest.mark.parametrize(
    "name", ["Order Completed", "Order Shipped", "Product Viewed V2", "Signup"]
)
def test_an_event_of_segments_or_of_your_own(name: str) -> None:
    assert the_codes(rule(f'event = "{name}"')) == []


def test_a_source_that_there_is_not_when_the_sources_are_known() -> None:
    one = rule(f'source in ["backend", "back-end"] and {SHIPPED}')

    (finding,) = found(one, sources=["backend", "app"])
    assert finding.message == 'there is no source "back-end"'
    assert finding.hint == 'did you mean "backend"?'
    assert the_codes(one, sources=["backend", "back-end"]) == the_codes(one) == []


def test_a_push_that_only_sources_could_set_off_that_nobody_trusts() -> None:
    one, named = rule('event = "X"'), rule('source = "web" and event = "X"')

    (finding,) = found(one, sources=["web", "app"], clients=["web", "app"])
    assert finding.code == "client-never-sends"
    assert finding.hint == 'name the source that may: `source = "app" and …`'
    assert the_codes(named, sources=["web", "app"], clients=["web", "app"]) == []
    assert the_codes(one, sources=["web", "app"], clients=["web"]) == the_codes(one) == []
    assert the_codes(rule('event = "X"', tags(a=1)), sources=["web"], clients=["web"]) == []


# --- audiences ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ['type = "identify"', "true", 'type != "track"', "userId != null"])
def test_a_push_that_the_first_sync_of_an_audience_would_repeat_for_everyone(when: str) -> None:
    (finding,) = found(rule(when))

    assert finding.code == "engage-identify"
    assert "audience.class = null" in str(finding.hint)


@pytest.mark.parametrize(
    "when",
    [
        'type = "identify" and audience.class = null',
        'type = "identify" and traits.plan = "pro"',
        'type = "identify" and audience.key = null',
        SHIPPED,
    ],
)
def test_a_push_that_no_audience_sets_off(when: str) -> None:
    assert the_codes(rule(when)) == []


def test_tags_may_be_written_for_any_identify() -> None:
    assert the_codes(rule('type = "identify"', tags(a=1))) == []


def test_a_push_for_whichever_audience() -> None:
    said = the_codes(rule("audience.entered = true", group="3s"))

    assert said == ["audience-unnamed"]
    assert the_codes(rule(ENTERED, group="3s")) == []


def test_an_audience_is_better_pushed_in_groups() -> None:
    (plain,) = found(rule(ENTERED))
    personal = {"send_notification": {"contents": "Hi {{ traits.firstName }}"}}
    (own,) = found(rule(f'{ENTERED} and type = "identify"', personal))

    assert plain.code == own.code == "group-suggested"
    assert "personalise" not in str(plain.hint)
    assert "{% raw %}{{ first_name | default: 'there' }}{% endraw %}" in str(own.hint)


def test_a_group_of_messages_that_differ_is_none() -> None:
    personal = {"send_notification": {"contents": "Hi {{ properties.name }}"}}

    (finding,) = found(rule(f'{ENTERED} and type = "track"', personal, group="3s"))

    assert finding.code == "group-without-effect"
    raw = {"send_notification": {"contents": "{% raw %}Hi {{ first_name }}{% endraw %}"}}
    assert the_codes(rule(ENTERED, raw, group="3s")) == []


# --- settings of a rule ------------------------------------------------------------------------------------


def test_replays_that_push() -> None:
    assert the_codes(rule(SHIPPED, replays=True)) == ["replays-push"]
    assert the_codes(rule(SHIPPED, replays=False)) == []


def test_a_limit_that_there_is_not_need_not_be_lifted() -> None:
    assert the_codes(rule(SHIPPED, transactional=True, limit="off")) == ["field-without-effect"]
    assert the_codes(rule(SHIPPED, limit="off")) == []
    assert the_codes(rule(SHIPPED, transactional=True, limit={"max": 5, "per": "10m"})) == []


def test_what_is_about_updates_means_nothing_to_a_rule_without() -> None:
    assert the_codes(rule(SHIPPED, fold="30s")) == ["field-without-effect"]
    assert the_codes(rule(SHIPPED, tags(a=1), fold="30s", unchanged="send")) == []


# --- what a rule writes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{{ trait.plan }}", "`traits.plan`"),
        ("{{ propertys.a }}", "`properties.a`"),
        ("{{ userID }}", "`userId`"),
        ("{{ context.local }}", "`context.locale`"),
        ("{{ context.timeZone | upcase }}", "`context.timezone`"),
        ("x {{ plan | default: 'a' }}", "`properties.plan` or `traits.plan`"),
    ],
)
def test_a_template_that_reads_what_no_event_has(written: str, meant: str) -> None:
    (finding,) = found(rule("userId != null", tags(a=written)))

    assert finding.code == "unknown-path"
    assert meant in str(finding.hint)


@pytest.mark.parametrize(
    "written",
    [
        "{{ traits.plan }}", "{{ context.myOwn.thing }}", "{{ audience.value }}",
        "{% assign x = traits.a %}{{ x }}", "{% for one in properties.products %}{{ one.name }}{% endfor %}",
        "{% raw %}{{ first_name }}{% endraw %}",
    ],
)  # fmt: skip
def test_a_template_that_reads_what_events_have(written: str) -> None:
    assert "unknown-path" not in the_codes(rule("userId != null", tags(a=written)))


def test_the_key_of_once_per_and_the_identity_are_read_too() -> None:
    assert the_codes(rule(SHIPPED, once_per={"time": "7d", "key": "{{ property.sku }}"})) == [
        "unknown-path"
    ]
    text = 'version: 1\nidentity:\n  external_id: ["{{ userID }}", "{{ traits.id }}"]\n'
    (finding,) = check_texts([Source(name="a.yaml", text=text)], serves=SERVES)
    assert (finding.code, finding.line, finding.column) == ("unknown-path", 3, 3)
    assert finding.hint == "did you mean `userId`?"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{{ event.properties.sku }}", "did you mean `properties.sku`?"),
        ("{{ userId.id }}", "did you mean `userId`?"),
    ],
)
def test_a_template_that_reads_below_a_text(written: str, meant: str) -> None:
    (finding,) = found(rule("userId != null", tags(a=written)))

    assert finding.code == "unknown-path"
    assert finding.hint == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("traits.plan", 'write "{{ traits.plan }}"'),
        ("properties.products[0].name", 'write "{{ properties.products[0].name }}"'),
        ("Hello {traits.name}", 'write "{{ traits.name }}"'),
        ("{ userId }", 'write "{{ userId }}"'),
    ],
)
def test_a_path_without_braces(written: str, meant: str) -> None:
    (finding,) = found(rule("userId != null", tags(a=written)))

    assert (finding.code, finding.hint) == ("braces-missing", meant)


@pytest.mark.parametrize(
    "written",
    [
        "traits", "context", "our traits.", "{{ traits.plan }}", "{%- if traits.a %}b{% endif %}", "{ }",
        "{% raw %}{{ properties.name }}{% endraw %}", "{{traits.a}}", "www.shop.example",
    ],
)  # fmt: skip
def test_a_text_that_is_meant_as_one(written: str) -> None:
    assert "braces-missing" not in the_codes(rule("userId != null", tags(a=written)))


def test_the_key_of_once_per_needs_braces_too() -> None:
    one = rule(SHIPPED, once_per={"time": "7d", "key": "properties.sku"})

    assert the_codes(one) == ["braces-missing"]


@pytest.mark.parametrize(
    ("link", "codes"),
    [
        ("cart://{{ properties.id }}", ["link-elsewhere"]),
        ("https://www.shop.example/{{ properties.id }}", ["link-elsewhere"]),
        ("shop://cart/{{ properties.id }}", []),
        ("shop:{{ properties.rest }}", []),
        ("{{ properties.url }}", []),
        ("cart://all", []),
    ],
)
def test_a_link_that_begins_as_none_that_is_allowed(link: str, codes: list[str]) -> None:
    push = {"send_notification": {"contents": "Hi", "app_url": link}}

    assert the_codes(rule(SHIPPED, push)) == codes


# --- whom a push may reach -------------------------------------------------------------------------------


def policies(whole: str, own: str | None = None, serves: tuple[str, ...] = SERVES) -> list[str]:
    send = "contents: Hi" + ("" if own is None else f", platforms: {own}")
    text = (
        f"version: 1\npush: {{platforms: {whole}}}\nrules:\n"
        f"  - {{name: r, when: 'type = \"track\"', do: {{send_notification: {{{send}}}}}}}\n"
    )
    said = check_texts([Source(name="a.yaml", text=text)], serves=serves)
    return [f"{one.code} {one.line}" for one in said if one.code != "no-examples"]


def test_all_platforms_of_an_app_that_is_not_said_to_be_on_iphones_is_told() -> None:
    assert policies("all") == ["platform-not-served 2"]
    assert policies("{exclude: [ios]}", "all") == ["platform-not-served 4"]
    assert policies("{exclude: [ios]}", "{only: [android, huawei]}") == ["platform-not-served 4"]


def test_a_policy_within_what_the_app_is_on_is_not_told() -> None:
    assert policies("all", serves=("android", "ios", "web")) == []
    assert policies("{only: [android]}") == []
    assert policies("{exclude: [huawei]}") == []
    assert policies("{only: [android, ios_web]}", serves=("android", "ios", "web")) == []


def test_a_policy_that_leaves_nobody_is_one_finding() -> None:
    assert policies("{exclude: [ios]}", "{only: [ios]}") == ["no-platform-left 4"]


def test_a_var_is_a_value_and_no_path() -> None:
    one = rule("userId != null", tags(a="{{ vars.a }} {{ trait.b }}"))

    assert the_codes(one, names={"a": "x"}) == ["unknown-path"]


def test_a_template_that_reads_what_its_calls_lack() -> None:
    greeting = {"send_notification": {"contents": "Hi {{ traits.firstName }}"}}

    (finding,) = found(rule(SHIPPED, greeting))

    assert finding.code == "path-never-present"
    assert finding.hint == "track calls may have `context.traits.firstName`"
    assert the_codes(rule('event = "X" or traits.a = 1', greeting)) == []
    assert (
        the_codes(rule('type in ["track", "identify"] and audience.class = null', greeting)) == []
    )


def test_names_that_onesignal_changes() -> None:
    (renamed,) = found(rule(SHIPPED, tags(**{"loyalty-tier": 1})))
    (reserved,) = found(rule(SHIPPED, tags(user=1)))
    (twice,) = found(rule(SHIPPED, tags(**{"home_store": 1, "home-store": 2})))

    assert (renamed.code, reserved.code, twice.code) == (
        "tag-renamed",
        "tag-renamed",
        "tags-collide",
    )
    assert renamed.message == "the tag loyalty-tier is called loyalty_tier at OneSignal"
    assert the_codes(rule(SHIPPED, tags(**{"{{ properties.sku }}": 1}))) == []


def test_more_tags_than_the_plan_has() -> None:
    three = rule(SHIPPED, tags(a=1, b=2, c=3))
    globs = rule(SHIPPED, {"update_user": {"tags_from": {"properties": {"include": ["a*"]}}}})

    (finding,) = found(three, tag_cap=2)
    assert finding.code == "tags-above-cap"
    assert finding.message.endswith("left out is c")
    assert the_codes(globs, tag_cap=100) == ["tags-above-cap"]
    assert the_codes(three, tag_cap=3) == the_codes(three) == the_codes(globs) == []
    assert the_codes(rule(SHIPPED, tags(a=1, b=2, c="")), tag_cap=2) == []


def test_more_tags_of_all_rules_together_than_the_plan_has() -> None:
    first, second = rule(SHIPPED, tags(a=1, b=2)), rule('type = "group"', tags(b=3, c=4), "s")
    emptied = rule('type = "group"', tags(b=3, c=""), "s")

    (finding,) = found(first, second, tag_cap=2)
    assert finding.code == "tags-above-cap"
    assert "c is one more than that of the rules so far" in finding.message
    assert the_codes(first, second, tag_cap=3) == the_codes(first, emptied, tag_cap=2) == []


def test_links_without_tls() -> None:
    def push(**fields: str) -> dict[str, Any]:
        return {"send_notification": {"contents": "http://a.example is our shop", **fields}}

    assert the_codes(rule(SHIPPED, push(image="http://a.example/a.png"))) == ["link-insecure"]
    assert the_codes(rule(SHIPPED, push(web_url="HTTP://a.example/"))) == ["link-insecure"]
    assert the_codes(rule(SHIPPED, push(image="https://a.example/a.png"))) == []


# --- between rules -------------------------------------------------------------------------------------------


def test_a_tag_that_two_rules_write_for_one_event() -> None:
    (finding,) = found(
        rule('type = "track"', tags(seen="yes"), name="all"),
        rule(SHIPPED, tags(seen="order"), name="orders"),
    )

    assert finding.code == "tag-written-twice"
    assert "orders wins, because it is later" in finding.message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SHIPPED, 'type = "track" and event = "Order Delivered"'),
        (SHIPPED, 'type = "identify"'),
        ('audience.class = "audience"', "audience.key = null and audience.class = null"),
        ("properties.total < 100", "properties.total > 200"),
        (SHIPPED, f"!( {SHIPPED} )"),
        ('source = "a"', 'source = "b"'),
    ],
)
def test_rules_that_never_meet_may_write_one_tag(one: str, other: str) -> None:
    assert the_codes(rule(one, tags(a=1)), rule(other, tags(a=2), name="s")) == []


def test_two_pushes_for_the_same_events() -> None:
    again = 'event   = "Order Shipped" and ( type in ["track"] )'

    assert the_codes(rule(SHIPPED), rule(again, name="s")) == ["pushes-twice"]
    assert the_codes(rule(SHIPPED), rule(f"{SHIPPED} and properties.x = 1", name="s")) == []
    noon = "2026-12-01T12:00:00Z"
    assert the_codes(rule(SHIPPED, ends=noon), rule(again, name="s", starts=noon)) == []


def test_a_rule_that_sends_and_has_no_example() -> None:
    said = found(rule(SHIPPED), rule('event = "X"', tags(a=1), name="s"), examples=True)

    assert [(one.code, one.line) for one in said] == [("no-examples", 1)]


def test_rules_without_an_example_are_named_in_one_warning() -> None:
    rules = [rule(f'event = "E{n}"', name=f"r{n}") for n in range(7)]

    (finding,) = found(*rules, examples=True)

    assert finding.message == (
        "no example shows what these rules send: r0, r1, r2, r3, r4 and 2 more"
    )


def test_an_example_shows_what_its_gives_names() -> None:
    mapping = {
        "version": 1,
        "push": {"platforms": {"exclude": ["ios"]}},
        "rules": [rule(SHIPPED)],
        "examples": [
            {"name": "e", "event": {"type": "track"}, "gives": {"r": {"send_notification": {}}}}
        ],
    }
    text = orjson.dumps(mapping).decode()

    assert check_texts([Source(name="a.yaml", text=text)], serves=SERVES) == []


# --- the whole of it -----------------------------------------------------------------------------------------


def test_findings_come_in_the_order_of_the_file_and_errors_first_in_a_place() -> None:
    text = (
        "version: 1\nrules:\n  - name: r\n    when: type = track\n    replays: true\n    do:\n"
        "      update_user:\n        tags: {a-b: 01}\n  - name: s\n    when: type =\n    do: {}\n"
    )

    said = check_texts([Source(name="a.yaml", text=text)], serves=SERVES)

    assert [(one.code, one.line) for one in said] == [
        ("condition-suspicious", 4),
        ("field-without-effect", 5),
        ("tag-renamed", 8),
        ("leading-zeros", 8),
        ("condition-invalid", 10),
        ("nothing-to-do", 11),
    ]


@pytest.mark.parametrize(
    "path", sorted(starter().parent.glob("*.yaml")), ids=lambda path: path.stem
)
def test_a_shipped_mapping_has_no_findings(path: Path) -> None:
    assert check_mapping(path, serves=("android", "web", "ios"), sources=["default"]) == []


OUTER = 'version: 1\npush: {platforms: {exclude: [ios]}, links: ["shop://"]}\nrules:\n  - name: r\n'
OPERATIONS = ("update_user:", "send_notification:", "track_custom_event:")
OF_A_PUSH = (
    "contents:",
    "image:",
    "app_url:",
    "collapse_id:",
    "raw:",
    "ttl:",
    "to:",
    "template_id:",
    "platforms:",
)
OF_A_RULE = ("when:", "do:", "group:", "replays:", "max_age:", "starts:", "ends:", "once_per:")
OF_A_FILE = ("version:", "rules:", "push:", "identity:", "examples:")


def wrapped(snippet: str) -> str | None:
    """A snippet of an explanation as a mapping; None when it is of something else."""
    snippet = snippet.replace("→ ", "\t")
    lines = snippet.strip().splitlines()
    first = lines[0]
    if first.startswith(OF_A_FILE):
        return snippet if first.startswith("version:") else f"version: 1\n{snippet}"
    if first.startswith(OF_A_RULE):
        when = [] if any(line.startswith("when:") for line in lines) else ['when: event = "X"']
        do = (
            []
            if any(line.startswith("do:") for line in lines)
            else ["do: {send_notification: {contents: Hi}}"]
        )
        return OUTER + "".join(f"    {line}\n" for line in [*when, *lines, *do])
    if first.startswith(OPERATIONS):
        return f'{OUTER}    when: event = "X"\n    do:\n' + "".join(
            f"      {line}\n" for line in lines
        )
    if first.startswith(OF_A_PUSH):
        more = [] if first.startswith("contents:") else ["contents: Hi"]
        inner = "".join(f"        {line}\n" for line in [*more, *lines])
        return f'{OUTER}    when: event = "X"\n    do:\n      send_notification:\n{inner}'
    if first.startswith(("tags:", "tags_from:")):
        inner = "".join(f"        {line}\n" for line in lines)
        return f"{OUTER}    when: userId != null\n    do:\n      update_user:\n{inner}"
    return None


UNSEEN = {
    "legacy-flags-unproven",
    "client-never-sends",
    "client-never-merges",
    "aliases-above-limit",
    "value-not-scalar",
    "unknown-app",
    "app-unused",
    "app-twice",
    "app-undecided",
    "rule-renamed",
}
"""Said of what no single mapping holds: another file, the platforms of an app, or a declaration that is looser
than its compiler."""
SHOWN = [
    pytest.param(code, id=code.code)
    for code in codes().values()
    if wrapped(code.before) and wrapped(code.after) and code.code not in UNSEEN
]


@pytest.mark.parametrize("code", SHOWN)
def test_an_explanations_example_is_true(code: Code) -> None:
    def said(snippet: str) -> set[str]:
        text = wrapped(snippet)
        assert text is not None
        source = [Source(name="a.yaml", text=text)]
        found = check_texts(
            source,
            serves=SERVES,
            tag_cap=10,
            sources=["backend"],
            names={"vip_template": "x"},
            spoken=Spoken(api="legacy") if code.code.startswith("legacy-") else USER_MODEL,
        )
        return {one.code for one in found}

    assert code.code in said(code.before)
    assert code.code not in said(code.after)


def test_many_explanations_have_an_example_that_can_be_tried() -> None:
    assert len(SHOWN) >= 60


# --- what is dropped ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dropped", "said"),
    [
        ("traits.email", 1),
        ("traits", 3),
        ("traits.plan", 2),
        ("traits.e", 0),
        ("context.ip", 0),
    ],
)
def test_what_is_dropped_and_read_is_said(dropped: str, said: int) -> None:
    reads = tags(mail="{{ traits.email }}", plan="{{ traits.plan }}")
    codes = the_codes(rule('type = "identify" and traits.plan = "pro"', reads), dropped=[dropped])
    assert codes == ["drops-what-a-rule-reads"] * said


def test_an_id_that_is_dropped_is_said() -> None:
    text = "version: 1\nidentity: {external_id: traits.account}\nrules: []\n"
    said = check_texts(
        [Source(name="a.yaml", text=text)], serves=SERVES, dropped=["traits.account"]
    )
    assert "drops-what-a-rule-reads" in [one.code for one in said]


# --- identity ------------------------------------------------------------------------------------------------


def codes_of(text: str, **more: Any) -> set[str]:
    source = [Source(name="a.yaml", text=text)]
    return {one.code for one in check_texts(source, serves=SERVES, **more)}


def test_a_client_whose_visitors_stay_visitors_is_told_of() -> None:
    known = {"sources": ["web", "backend"], "clients": ["web"]}
    assert "client-never-merges" in codes_of("version: 1\nidentity: {anonymous: alias}\n", **known)
    named = "version: 1\nidentity: {anonymous: alias, clients: [web]}\n"
    assert codes_of(named, **known) == set()
    assert codes_of("version: 1\nidentity: {anonymous: skip}\n", **known) == set()


@pytest.mark.parametrize(
    "identity",
    [
        "{anonymous: external_id, label: visitor}",
        "{anonymous: skip, clients: [web]}",
        "{anonymous: alias, clients: [backend]}",
    ],
)
def test_a_field_of_identity_that_does_nothing_is_told_of(identity: str) -> None:
    found = codes_of(f"version: 1\nidentity: {identity}\n", sources=["web", "backend"], clients=[])
    assert found == {"field-without-effect"}


def test_more_aliases_than_a_user_has_are_told_of() -> None:
    def mapping(count: int) -> str:
        rules = "".join(
            f"  - {{name: r{n}, when: event = 'X{n}', do: {{create_alias: {{label: l{n}, id: x}}}}}}\n"
            for n in range(count)
        )
        return f"version: 1\nidentity: {{anonymous: alias}}\nrules:\n{rules}"

    assert codes_of(mapping(19)) == set()
    assert codes_of(mapping(20)) == {"aliases-above-limit"}
