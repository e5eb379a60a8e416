"""mappings/README.md: its example of an example passes."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.rehearsal.examples import play
from bridge.rehearsal.expectations import differences
from tests.harness import mapping_of

TEXT = (Path(__file__).parents[2] / "mappings" / "README.md").read_text()
SECTION = TEXT[TEXT.index("## Examples") : TEXT.index("## Reference")]
RULES = """\
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - {name: audience-tags, when: audience.class = "audience", do: {update_user: {tags_from: {audience: {prefix: aud_}}}}}
  - {name: vip-welcome, when: audience.key = "vip", do: {send_notification: {contents: Good to have you.}}}
"""


def test_the_example_passes() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    mapping = mapping_of(RULES + shown)

    (example,) = mapping.examples
    assert differences(example.declared, play(example.declared, mapping)) == []
