"""Everything `check` says about a mapping file: code, file, line, column, and what to do."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from bridge.errors import ConfigurationError, Finding
from bridge.mapping.load import Source, compile_mapping, load_mapping, preset, presets

SERVES = ("android", "web")
HEAD = "version: 1\n"
PUSHES = 'version: 1\npush: {platforms: {exclude: [ios]}}\nrules:\n  - name: r\n    when: "true"\n    do:\n      send_notification:\n'
"""A mapping whose line 8 is the first field of a push, at column 9."""
UPDATES = 'version: 1\nrules:\n  - name: r\n    when: "true"\n    do:\n      update_user:\n'
"""A mapping whose line 7 is the first field of an update, at column 9."""


def found(*texts: str, serves: tuple[str, ...] = SERVES) -> list[Finding]:
    """What there is to say about files a.yaml, b.yaml, … of these texts."""
    sources = [
        Source(name=f"{name}.yaml", text=text) for name, text in zip("abc", texts, strict=False)
    ]
    try:
        return list(compile_mapping(sources, serves=serves)[1])
    except ConfigurationError as error:
        return list(error.findings)


def summary(finding: Finding) -> str:
    return f"{finding.code} {finding.file}:{finding.line}:{finding.column}"


def the_finding(*texts: str) -> Finding:
    (finding,) = found(*texts)
    return finding


def indented(text: str) -> str:
    return "".join(f"        {line}\n" for line in dedent(text).strip("\n").splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version: 1\nrulez: []\n", "unknown-field a.yaml:2:1"),
        ("version: 1\npush:\n  platform: all\n", "unknown-field a.yaml:3:3"),
        (UPDATES + indented("tag: {a: 1}"), "unknown-field a.yaml:7:9"),
        (UPDATES + indented("tags: {a: 1}\ntags_from: {trait: {}}"), "unknown-field a.yaml:8:21"),
        (PUSHES + indented("contents: Hi\nisIos: true"), "platform-flag a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\nincluded_segments: [All]"), "one-person-per-event a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\nfilters: []"), "one-person-per-event a.yaml:9:9"),
        ("version: 2\n", "field-invalid a.yaml:1:1"),
        ('version: "1"\n', "field-invalid a.yaml:1:1"),
        ("version: true\n", "field-invalid a.yaml:1:1"),
        ("rules: []\n", "field-missing a.yaml:1:1"),
        ("version: 1\nrules:\n  - when: 'true'\n    do: {}\n", "field-missing a.yaml:3:5"),
        ("version: 1\nrules: 5\n", "field-invalid a.yaml:2:1"),
        ("version: 1\npush: {platforms: [ios]}\n", "field-invalid a.yaml:2:8"),
        ("version: 1\npush: {platforms: {exclude: [iphone]}}\n", "field-invalid a.yaml:2:8"),
        ("version: 1\npush: {platforms: {exclude: []}}\n", "field-invalid a.yaml:2:8"),
        (
            "version: 1\npush: {platforms: {exclude: [ios], only: [web]}}\n",
            "field-invalid a.yaml:2:8",
        ),
        ("version: 1\npush: {platforms: {exclude: ios}}\n", "field-invalid a.yaml:2:8"),
        ("version: 1\npush: {links: ['']}\n", "field-invalid a.yaml:2:16"),
        ("version: 1\nidentity: {external_id: []}\n", "field-invalid a.yaml:2:12"),
        ("version: 1\nidentity: {label: external_id}\n", "field-invalid a.yaml:2:12"),
        (UPDATES + indented("tags:\n  a: [1]"), "field-invalid a.yaml:8:11"),
        (UPDATES + indented("tags:\n  a: 2026-01-01"), "text-unquoted a.yaml:8:11"),
        (UPDATES + indented("tags:\n  a:"), "field-invalid a.yaml:8:11"),
        (UPDATES + indented("tags:\n  a: .nan"), "field-invalid a.yaml:8:11"),
        (UPDATES + indented("tags:\n  1: a"), "text-unquoted a.yaml:8:11"),
        (UPDATES + indented("tags:\n  a: {{ traits.a }}"), "unquoted-template a.yaml:8:11"),
        (UPDATES + indented("language: [de]"), "field-invalid a.yaml:7:9"),
        (PUSHES + indented("contents: 5"), "text-unquoted a.yaml:8:9"),
        (PUSHES + indented("contents: {en: 5}"), "text-unquoted a.yaml:8:20"),
        (PUSHES + indented("contents: Hi\nttl: 60"), "field-invalid a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\nttl: 29d"), "field-invalid a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\nttl: 1.5h"), "field-invalid a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\npriority: 7"), "field-invalid a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\ndata: {a: .inf}"), "field-invalid a.yaml:9:16"),
        (PUSHES + indented("contents: Hi\ndata: {a: {1: 2}}"), "field-invalid a.yaml:9:16"),
        (PUSHES + indented("contents: Hi\ndata: {a: 9223372036854775808}"), "field-invalid a.yaml:9:16"),
        (PUSHES + indented("contents: Hi\ndata: {a: 2026-01-01}"), "text-unquoted a.yaml:9:16"),
        (PUSHES + indented("contents: Hi\ndata: {a: !!binary aGk=}"), "field-invalid a.yaml:9:16"),
        ("version: 1\nversion: 1\n", "key-twice a.yaml:2:1"),
        (UPDATES + indented("tags:\n  a: 1\n  a: 2"), "key-twice a.yaml:9:11"),
        ("version: 1\nrules: [\n", "yaml-invalid a.yaml:3:1"),
        ("version: 1\n\trules: []\n", "tab-indent a.yaml:2:1"),
        ("version: 1\n---\nversion: 1\n", "yaml-invalid a.yaml:2:1"),
        ("", "not-a-mapping a.yaml:1:1"),
        ("- version: 1\n", "not-a-mapping a.yaml:1:1"),
        ("just text\n", "not-a-mapping a.yaml:1:1"),
        ("version: 1\nidentity: {external_id: userId}\n", "identity-not-a-path a.yaml:2:12"),
        (
            'version: 1\nidentity:\n  external_id: ["{{ userId }}", "{{ traits.id | upcase }}"]\n',
            "identity-not-a-path a.yaml:3:3",
        ),
        (
            'version: 1\nidentity: {external_id: "{{ traits..id }}"}\n',
            "identity-not-a-path a.yaml:2:12",
        ),
        (PUSHES.replace("exclude: [ios]", "only: [huawei]") + indented("contents: Hi"), "no-platform-left a.yaml:7:7"),
        (PUSHES + indented("contents: Hi\nplatforms: {only: [ios]}"), "no-platform-left a.yaml:7:7"),
        (PUSHES + indented("contents: {de: Hallo}"), "contents-without-en a.yaml:8:9"),
        (PUSHES + indented("headings: Hi"), "contents-missing a.yaml:7:7"),
        (PUSHES + indented('contents: Hi\nurl: "{{ properties.u }}"'), "links-undecided a.yaml:9:9"),
        (PUSHES + indented('contents: Hi\nimage: "https://a.example/{{ properties.u }}"\n'), "links-undecided a.yaml:9:9"),
        (PUSHES + indented("contents: Hi\nimage: 'a {{'"), "template-syntax a.yaml:9:9"),
        (PUSHES + indented("contents: Hi {{ nothing"), "template-syntax a.yaml:8:9"),
        ('version: 1\nrules:\n  - name: r\n    when: "true"\n    do: {}\n', "nothing-to-do a.yaml:5:5"),
        (UPDATES + indented("tags_from: {traits: {}}"), "nothing-included a.yaml:7:21"),
        (UPDATES + indented("tags_from: {}"), "nothing-included a.yaml:7:9"),
        ('version: 1\npush: {links: ["shop://", "https://a.example"]}\n', "link-host-open a.yaml:2:27"),
        (UPDATES.replace("- name: r", '- name: "a b"') + indented("tags: {a: 1}"), "field-invalid a.yaml:3:5"),
        (UPDATES.replace('"true"', '"type ="') + indented("tags: {a: 1}"), "condition-invalid a.yaml:4:5"),
        (UPDATES.replace('"true"', "true") + indented("tags: {a: 1}"), "text-unquoted a.yaml:4:5"),
        (UPDATES.replace("    do:", "    max_age: 3651d\n    do:") + indented("tags: {a: 1}"), "field-invalid a.yaml:5:5"),
        (UPDATES.replace("    do:", "    once_in: {time: 7d}\n    do:") + indented("tags: {a: 1}"), "unknown-field a.yaml:5:5"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(text: str, expected: str) -> None:
    assert summary(the_finding(text)) == expected


@pytest.mark.parametrize(
    ("field", "message", "hint"),
    [
        ("limit: 100", "`rules.0.limit`: has to be an object", "limit: {max: 2000, per: 10m}"),
        ("limit: {max: 5}", "`rules.0.limit.per` is missing", None),
        ("limit: {max: 0, per: 1m}", "`rules.0.limit.max`: has to be greater than or equal to 1", None),
        ("group: 3", "`rules.0.group`: a duration is a number and a unit: 30s, 10m, 6h, 2d", None),
        ("once_per: 7d", "`rules.0.once_per`: has to be an object", None),
        ("consent: []", "`rules.0.consent.need`: at least 1 are needed", None),
        ("contents: Hi", "`rules.0.contents` is not a field", "`contents` stands inside the operation: do: {send_notification: {contents: …}}"),
    ],
)  # fmt: skip
def test_a_wrong_field_of_a_rule_is_one_finding_in_the_words_of_the_file(
    field: str, message: str, hint: str | None
) -> None:
    text = PUSHES.replace("    do:", f"    {field}\n    do:") + indented("contents: Hi")

    finding = the_finding(text)

    assert finding.message == message
    assert hint is None or finding.hint == hint


def test_a_word_of_a_rule_inside_an_operation_is_told_where_it_stands() -> None:
    finding = the_finding(PUSHES + indented("contents: Hi\nmax_age: 6h"))

    assert finding.hint == "`max_age` stands beside `when` and `do`, not inside the operation"


def test_what_tags_from_does_not_take_is_no_word_about_people() -> None:
    finding = the_finding(UPDATES + indented("tags_from: {traits: {exclude: [a]}}"))

    assert finding.code == "unknown-field"


def test_a_finding_without_a_hint_has_no_line_for_one() -> None:
    finding = the_finding(PUSHES + indented('contents: "{{ a"'))

    assert "hint" not in str(finding)


def test_a_finding_reads_as_in_the_manual() -> None:
    finding = the_finding(UPDATES + indented("tag: {a: 1}"))

    assert str(finding) == (
        "error[unknown-field]: `rules.0.do.update_user.tag` is not a field\n"
        "  --> a.yaml:7:9\n"
        "  hint: did you mean `tags`?"
    )


@pytest.mark.parametrize(
    ("written", "meant"),
    [("heading", "headings"), ("content", "contents"), ("platform", "platforms"), ("tll", "ttl")],
)
def test_an_unknown_field_names_its_nearest(written: str, meant: str) -> None:
    finding = the_finding(PUSHES + indented(f"contents: Hi\n{written}: x"))

    assert finding.hint == f"did you mean `{meant}`?"


@pytest.mark.parametrize("value", ["{{ traits.tier }}", "{{ traits.tier }} member"])
def test_a_template_without_quotes_is_shown_with_them(value: str) -> None:
    finding = the_finding(UPDATES + indented(f"tags:\n  tier: {value}"))

    assert (finding.code, finding.hint) == ("unquoted-template", 'write "{{ traits.tier }}"')


def test_a_filter_without_a_colon_is_told_where_its_value_stands() -> None:
    finding = the_finding(
        PUSHES + indented("""contents: "Hi {{ properties.a | default 'you' }}\"""")
    )

    assert finding.code == "template-syntax"
    assert "follows a colon: `| default: 'you'`" in str(finding.hint)


def test_a_field_like_no_other_is_told_which_there_are_or_where_all_are_listed() -> None:
    here = the_finding("version: 1\nidentity: {xyzzy: 1}\n")
    many = the_finding(PUSHES + indented("contents: Hi\nxyzzy: x"))

    assert here.hint == "the fields here: external_id, anonymous, label, clients, unknown"
    assert many.hint == "mappings/README.md lists every field"


def test_a_field_is_compared_with_those_of_its_own_place() -> None:
    rule = PUSHES.replace("    do:\n", "    once_per: {time: 1d, every: 7d}\n    do:\n")
    finding = the_finding(rule + indented("contents: Hi"))

    assert finding.hint == "the fields here: time, key"


def test_a_push_without_a_word_about_iphones_is_refused() -> None:
    text = HEAD + dedent("""\
        rules:
          - name: order-shipped
            when: "true"
            do: {send_notification: {contents: Hi}}
        """)

    finding = the_finding(text)

    assert str(finding) == (
        "error[platforms-undecided]: rule order-shipped pushes, and nothing says whether iPhones "
        "are included.\n"
        "  --> a.yaml:5:10\n"
        "  hint: push: {platforms: {exclude: [ios]}} if Segment, Engage or another tool already "
        "pushes your iPhones; push: {platforms: all} if OneSignal is the only one."
    )


def test_a_rule_may_say_itself_whether_iphones_are_included() -> None:
    text = PUSHES.replace("push: {platforms: {exclude: [ios]}}\n", "")

    assert found(text + indented("contents: Hi\nplatforms: all")) == []


def test_a_condition_is_shown_with_a_caret_under_the_mistake() -> None:
    finding = the_finding(
        UPDATES.replace('"true"', "'type == \"track\"'") + indented("tags: {a: 1}")
    )

    assert finding.code == "condition-invalid"
    shown, caret = finding.message.splitlines()[-2:]
    assert shown == 'type == "track"'
    assert caret.strip() == "^"
    assert shown[caret.index("^")] == "="
    assert finding.hint


def test_a_suspicious_condition_is_a_warning_and_the_rule_runs() -> None:
    text = UPDATES.replace('"true"', "type = track") + indented("tags: {a: 1}")

    mapping, (finding,) = compile_mapping([Source(name="a.yaml", text=text)], serves=SERVES)

    assert (finding.level, summary(finding)) == ("warning", "condition-suspicious a.yaml:4:5")
    assert len(mapping.rules) == 1


@pytest.mark.parametrize("code", ["nothing-included", "link-host-open"])
def test_warnings_do_not_stop_a_mapping(code: str) -> None:
    text = (
        UPDATES + indented("tags_from: {traits: {}}") + 'push: {links: ["http://a.example:80"]}\n'
    )

    levels = {finding.code: finding.level for finding in found(text)}

    assert levels[code] == "warning"
    assert compile_mapping([Source(name="a.yaml", text=text)], serves=SERVES)[0].rules


@pytest.mark.parametrize("link", ["https://a.example/", "https://a.example/x", "shop://", "https://a.example?x"])  # fmt: skip
def test_a_beginning_that_names_a_whole_host_is_fine(link: str) -> None:
    assert found(f'version: 1\npush: {{links: ["{link}"]}}\n') == []


def test_everything_wrong_is_reported_at_once() -> None:
    first = PUSHES + indented("contents: {de: Hallo}\nurl: '{{ properties.u }}'")
    second = "version: 1\nrulez: []\npush: {platforms: alle}\n"

    assert sorted(map(summary, found(first, second))) == [
        "contents-without-en a.yaml:8:9",
        "field-invalid b.yaml:3:8",
        "links-undecided a.yaml:9:9",
        "unknown-field b.yaml:2:1",
    ]


# --- several files ---------------------------------------------------------------------------------


def test_a_rule_name_is_used_once_over_all_files() -> None:
    text = UPDATES + indented("tags: {a: 1}")

    finding = the_finding(text, text)

    assert summary(finding) == "rule-twice b.yaml:3:5"
    assert finding.message == "there is another rule r, in a.yaml"
    assert summary(the_finding(text + text.partition("rules:\n")[2])) == "rule-twice a.yaml:8:5"


@pytest.mark.parametrize("section", ["push: {platforms: all}", "identity: {anonymous: skip}"])
def test_a_section_stands_in_one_file(section: str) -> None:
    finding = the_finding(HEAD + section, HEAD + section)

    assert summary(finding) == "section-twice b.yaml:2:1"
    assert finding.message == f"`{section.partition(':')[0]}` is also in a.yaml"


def test_sections_of_one_file_hold_for_rules_of_another() -> None:
    rules = PUSHES.replace("push: {platforms: {exclude: [ios]}}\n", "")
    mapping, findings = compile_mapping(
        [
            Source(name="a.yaml", text=rules + indented("contents: Hi")),
            Source(
                name="b.yaml",
                text='version: 1\npush: {platforms: all}\nidentity: {external_id: "{{ traits.id }}"}\n',
            ),
        ],
        serves=SERVES,
    )

    assert findings == []
    assert mapping.identity == (("traits", "id"),)
    assert mapping.rules[0].push is not None
    assert mapping.rules[0].push.policy.kind == "all"


def test_a_folder_is_its_files_in_name_order(tmp_path: Path) -> None:
    for name in ("20-b.yaml", "10-a.yml", "30-c.yaml"):
        text = UPDATES.replace("name: r", f"name: {name[3]}") + indented("tags: {a: 1}")
        (tmp_path / name).write_text(text)
    (tmp_path / "notes.txt").write_text("not a mapping")

    mapping, findings = load_mapping(tmp_path, serves=SERVES)

    assert findings == []
    assert [rule.name for rule in mapping.rules] == ["a", "b", "c"]
    assert [Path(name).name for name in mapping.files] == ["10-a.yml", "20-b.yaml", "30-c.yaml"]


@pytest.mark.parametrize("text", ["\ufeffversion: 1\n", "version: 1\r\nrules: []\r\n", "---\nversion: 1\n...\n"])  # fmt: skip
def test_files_from_other_editors_are_read(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(text.encode())

    assert load_mapping(file, serves=SERVES)[1] == []


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "latin.yaml").write_bytes("name: Zoë".encode("latin-1"))

    for name, why in (
        ("absent.yaml", "No such file or directory"),
        ("empty", "it holds no .yaml file"),
        ("latin.yaml", "it is not UTF-8 text"),
    ):
        with pytest.raises(ConfigurationError) as error:
            load_mapping(tmp_path / name, serves=SERVES)
        (finding,) = error.value.findings
        assert finding.code == "mapping-unreadable"
        assert finding.message == f"the mapping {tmp_path / name} cannot be read: {why}"


# --- what a mapping is when it is right --------------------------------------------------------------


def test_the_revision_changes_with_the_text_alone() -> None:
    def revision(text: str) -> str:
        return compile_mapping([Source(name="a.yaml", text=text)], serves=SERVES)[0].revision

    assert revision(HEAD) == revision(HEAD)
    assert revision(HEAD) != revision(HEAD + "# a comment\n")


def test_the_starter_and_every_preset_load_without_findings() -> None:
    assert {"starter", "engage-audiences"} <= set(presets())
    for name in presets():
        mapping, findings = load_mapping(preset(name), serves=SERVES)
        assert findings == []
        assert mapping.rules


def test_an_emoji_that_is_written_as_json_does_is_one_character() -> None:
    text = UPDATES + indented(r'tags: {"\ud83d\ude00": "\ud83d\ude00"}')

    mapping, findings = compile_mapping([Source(name="a.yaml", text=text)], serves=SERVES)

    assert findings == []
    assert mapping.rules[0].update is not None
    assert [(n.text, v.text) for n, v in mapping.rules[0].update.tags] == [("😀", "😀")]


def test_half_an_emoji_is_a_finding() -> None:
    finding = the_finding(UPDATES + indented(r'tags: {a: "\ud83d"}'))

    assert finding.code == "yaml-invalid"
    assert "half of a character" in finding.message


def test_a_boolean_with_an_anchor_stays_one() -> None:
    text = UPDATES.replace("    do:", "    replays: &yes true\n    echo: *yes\n    do:")

    mapping, _ = compile_mapping(
        [Source(name="a.yaml", text=text + indented("tags: {a: *yes}"))], serves=SERVES
    )

    rule = mapping.rules[0]
    assert rule.update is not None
    assert (rule.replays, rule.echo) == (True, True)
    assert rule.update.tags[0][1].resolve({}) is True


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("version: 1\nrules:\n\t- name: a\n", "tab-indent", "indent with spaces"),
        ("version: 1\nrules:\n  - name: a\n    when: x\n   do: {}\n", "yaml-invalid", "column"),
        (
            "version: 1\nrules:\n  - name: a\n    when: event\n    do: {update_user: {tags: {t: {{ a.b }}}}}\n",
            "unquoted-template",
            "write",
        ),
    ],
    ids=["tab", "indentation", "unquoted template"],
)
def test_a_slip_of_yaml_is_told_with_what_to_do_about_it(text: str, code: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_mapping([Source(name="shop.yaml", text=text)], serves=("android",))

    (finding,) = caught.value.findings
    assert finding.code == code
    assert hint in (finding.hint or "")


# --- read again ------------------------------------------------------------------------------------


def test_what_was_not_edited_is_the_very_same_as_before() -> None:
    def read(text: str, links: str = "shop://") -> tuple[object, ...]:
        source = Source(name="a.yaml", text=text.replace("shop://", links))
        return compile_mapping([source], serves=SERVES)[0].rules

    text = 'version: 1\npush: {platforms: all, links: ["shop://"]}\nrules:\n' + "".join(
        f'  - name: r{n}\n    when: event = "E{n}"\n    do: {{send_notification: {{contents: Hi}}}}\n'
        for n in range(3)
    )
    first, second, third = read(text)
    edited = read(text.replace("E1", "X"))
    elsewhere = read(text, links="other://")

    assert edited[0] is first
    assert edited[1] is not second
    assert edited[2] is third
    assert all(new is not old for new, old in zip(elsewhere, (first, second, third), strict=True))


def test_what_is_wrong_with_an_entry_is_said_each_time() -> None:
    text = UPDATES + indented("tags: {a: [1]}")

    assert summary(the_finding(text)) == summary(the_finding(text))
    assert the_finding(text + "# more\n").line == the_finding(text).line
