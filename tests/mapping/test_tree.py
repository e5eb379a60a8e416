"""A file that is read in pieces says the same, at the same places, as one that is read whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings, strategies as st
from ruamel.yaml.error import MarkedYAMLError

from bridge.mapping.load import starter
from bridge.mapping.tree import Path, Tree, _as_one, _in_pieces, read_tree

TWO_RULES = """\
# what this file is for
version: 1
push: {platforms: all}

# the rules
rules:   # two of them
  # the first
  - name: a
    when: type = "track"  # a comment

  - name: b
    do:
      update_user:
        tags: {x: 1, y: "2"}
examples:
- name: one
  gives: {}
- name: two
"""


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from paths(child, (*path, key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from paths(child, (*path, number))


def places(tree: Tree) -> dict[Path, tuple[int, int]]:
    return {path: tree.place(path) for path in paths(tree.value)}


def in_pieces(text: str) -> Tree:
    tree = _in_pieces(text)
    assert tree is not None
    return tree


def test_a_list_is_read_entry_by_entry() -> None:
    tree = in_pieces(TWO_RULES)

    assert {("rules", 0), ("rules", 1), ("examples", 0), ("examples", 1)} < set(tree.pieces)
    assert tree.value == _as_one(TWO_RULES).value
    assert places(tree) == places(_as_one(TWO_RULES))
    assert tree.place(("rules", 1, "do", "update_user", "tags", "y")) == (14, 22)


def test_a_place_that_is_not_there_is_that_of_what_is_around_it() -> None:
    for tree in (in_pieces(TWO_RULES), _as_one(TWO_RULES)):
        assert tree.place(("rules", 1, "do", "nothing")) == (12, 5)
        assert tree.place(("rules", 7)) == tree.place(("rules",)) == (6, 1)
        assert tree.place(("nothing", "at", "all")) == tree.place(()) == (1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "---\nversion: 1\n",
        "version: 1\r\nrules: []\r\n",
        "\ufeffversion: 1\n",
        "rules:\n  - &a {name: r}\nexamples:\n  - *a\n",
        'version: "a\nrules:\n  - b"\n',
        '"version": 1\nrules: []\n',
        'version: 1\n"rules":\n  - a\n',
        "- just: text\n",
        "",
        "# nothing\n",
    ],
)
def test_what_reaches_over_pieces_is_read_as_one(text: str) -> None:
    tree = outcome(read_tree, text)

    assert isinstance(tree, Tree)
    assert list(tree.pieces) == [()]
    assert places(tree) == places(_as_one(text))


def test_what_was_read_before_is_not_read_again() -> None:
    before = in_pieces(TWO_RULES)
    after = in_pieces(TWO_RULES.replace("name: a", "name: c"))

    assert after.pieces["rules", 1][1] is before.pieces["rules", 1][1]
    assert after.pieces["rules", 0][1] is not before.pieces["rules", 0][1]
    assert after.value["rules"][0]["name"] == "c"


def test_a_template_without_quotes_is_found_wherever_it_is() -> None:
    text = TWO_RULES.replace('y: "2"', "y: {{ a.b }}")

    for tree in (in_pieces(text), _as_one(text)):
        assert tree.unquoted == ("rules", 1, "do", "update_user", "tags", "y")
        assert tree.place(tree.unquoted) == (14, 22)
    assert in_pieces(TWO_RULES).unquoted is None


def test_what_is_left_out_moves_no_other_place() -> None:
    for tree in (in_pieces(TWO_RULES), _as_one(TWO_RULES)):
        once = tree.without({("rules", 0), ("push",)})
        twice = once.without({("rules", 0), ("examples", 0)})

        assert once.value["rules"] == tree.value["rules"][1:]
        assert once.place(("rules", 0, "do")) == tree.place(("rules", 1, "do")) == (12, 5)
        assert "push" not in once.value
        assert (twice.value["rules"], twice.value["examples"]) == ([], [{"name": "two"}])
        assert twice.place(("examples", 0, "name")) == tree.place(("examples", 1, "name"))


def test_entries_left_out_one_after_another_keep_the_others_places() -> None:
    text = "rules:\n" + "".join(f"  - name: r{n}\n" for n in range(5))
    tree = read_tree(text).without({("rules", 1)}).without({("rules", 0), ("rules", 2)})

    assert [rule["name"] for rule in tree.value["rules"]] == ["r2", "r4"]
    assert [tree.place(("rules", n)) for n in (0, 1)] == [(4, 5), (6, 5)]


def outcome(read: Any, text: str) -> Any:
    try:
        return read(text)
    except Exception as error:  # noqa: BLE001 — whatever it is, both readings must agree on it
        return type(error)


lines = st.sampled_from(
    ["version: 1", "rules:", "rules: []", "examples:", "push: {a: 1}", "  - name: a", "  - b", "- c",
     "    when: x", "    - d", "      y: |", "        text", "  - e", "  f: 1", " - g", "# x", "  # y",
     "", "  - >-", "    folded", '  - "a', '    b"', '  - "c', 'z"', "  - {a: [", "  ]}", "x: &a 1",
     "  - *a", "---", "...", "rules:  # z", "\t", "  -\tz", "  -", "    - - h", "k: 'q", "q'", "  ? a",
     "<<: {version: 2}", "  - <<: {a: 1}", "  - !!set {a}", "  - 08", "  - \x85", "rules: # \u2028"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(lines, max_size=12).map(lambda some: "\n".join(some) + "\n"))
@example("rules:\n  - name: a\n  f: 1\n")
@example("rules:\n  - a\n - g\n")
@example("rules:\n  - y: |\n        text\n  - b\nexamples:\n- c\n")
def test_in_pieces_or_as_one_it_is_the_same(text: str) -> None:
    pieces, whole = outcome(read_tree, text), outcome(_as_one, text)

    if not isinstance(whole, Tree):
        assert pieces is whole
        return
    assert isinstance(pieces, Tree)
    assert repr(pieces.value) == repr(whole.value)
    assert places(pieces) == places(whole)


def test_the_starter_is_read_in_pieces() -> None:
    text = starter().read_text(encoding="utf-8")

    assert places(in_pieces(text)) == places(_as_one(text))


def repeated(times: int) -> str:
    """A few lines that stand for nine to the power of `times` values."""
    lines = ["vars:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"  a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]"
        for number in range(1, times)
    ]
    return "\n".join([*lines, "rules: []", ""])


def test_what_is_repeated_is_repeated() -> None:
    assert read_tree(repeated(2)).value["vars"]["a1"] == [["x"] * 9] * 9


def test_a_few_lines_that_stand_for_billions_of_values_are_refused() -> None:
    with pytest.raises(ValueError, match="holds more than 200,000 values"):
        read_tree(repeated(40))


def test_brackets_within_brackets_have_an_end() -> None:
    assert read_tree(f"vars: {'[' * 50}{']' * 50}\n").value
    with pytest.raises(MarkedYAMLError, match="more than 50 brackets are open"):
        read_tree(f"vars: {'[' * 2000}{']' * 2000}\n")
