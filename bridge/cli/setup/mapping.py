"""The first mapping of a source, and who may push iPhones decided.

Of its kind alone it is a shipped one without its pushes: the first push is one that somebody wrote.
One that was asked for by its name is what it is, pushes too; `files` has it rehearse until told otherwise.
"""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML

from bridge.cli.setup.answers import Answers, Kind, Source
from bridge.mapping.load import preset

_PRESETS: dict[Kind, str] = {
    "server": "starter",
    "client": "starter",
    "engage": "engage-audiences",
}
_HEADER = """\
# What Segment's events mean at OneSignal. It keeps tags; it pushes nobody until you write a rule
# that does. After every edit:
#
#   segment-bridge check {name}
#   segment-bridge test {name}
"""
_AFTER_EDITS = """\
#
# After every edit:
#
#   segment-bridge check {name}
#   segment-bridge test {name}
"""
_PLATFORMS = {
    "segment": "platforms: {exclude: [ios]}   # Segment, Engage or another tool pushes the iPhones already",
    "onesignal": "platforms: all   # OneSignal is the only one that pushes, iPhones too",
    "nobody": "platforms: {exclude: [ios]}   # nobody pushes iPhones",
}
_PUSH = """\
  # Your first push: take away the `# ` of these lines, and put your own words in.
  #
"""
_ORDER = """\
  # - name: order-shipped
  #   when: type = "track" and event = "Order Shipped"
  #   transactional: true
  #   do:
  #     send_notification:
  #       contents: "{{ properties.product | default: 'Your order' }} is on its way."
"""
_WELCOME = """\
  # - name: vip-welcome
  #   when: audience.key = "vip" and audience.entered = true
  #   max_age: 6h
  #   group: 3s
  #   do:
  #     send_notification:
  #       headings: "Welcome to VIP"
  #       contents: "Good to have you."
"""


def mapping_text(source: Source, answers: Answers, *, name: str) -> str:
    """The whole file; `name` is what it will be called."""
    if source.preset is not None:
        return _as_shipped(source.preset, answers, name=name)
    return _without_pushes(source.kind, answers, name=name)


def _as_shipped(chosen: str, answers: Answers, *, name: str) -> str:
    text = preset(chosen).read_text(encoding="utf-8")
    head, version, body = text.partition("version: 1\n")
    decided = f"  {_PLATFORMS[answers.iphones]}\n"
    # What names registered devices was written for iPhones that something else pushes.
    written = r"^  platforms: (?!.*by: devices).*\n"
    body = re.sub(written, lambda _: decided, body, count=1, flags=re.MULTILINE)
    return f"{head}{_AFTER_EDITS.format(name=name)}{version}{body}"


def _without_pushes(kind: Kind, answers: Answers, *, name: str) -> str:
    yaml = YAML(typ="rt", pure=True)
    yaml.width, yaml.preserve_quotes = 4096, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(_without_header(preset(_PRESETS[kind]).read_text(encoding="utf-8")))
    _take_pushes_out(tree)
    tree.pop("push", None)
    text = io.StringIO()
    yaml.dump(tree, text)
    before, examples, after = text.getvalue().partition("\nexamples:\n")
    head, rules, body = before.partition("\nrules:\n")
    push = f"\npush:\n  {_PLATFORMS[answers.iphones]}"
    first = _PUSH + (_WELCOME if kind == "engage" else _ORDER)
    header = _HEADER.format(name=name)
    return f"{header}{head}{push}{rules}{body}\n{first.rstrip()}{examples}{after}"


def _without_header(text: str) -> str:
    return text[text.index("version: 1") :]


def _take_pushes_out(tree: Any) -> None:
    """Rules that send, and what examples say of them."""
    gone = {rule["name"] for rule in tree["rules"] if set(rule["do"]) != {"update_user"}}
    for number in reversed(range(len(tree["rules"]))):
        if tree["rules"][number]["name"] in gone:
            del tree["rules"][number]
    for example in tree["examples"]:
        said = [example.get("gives", {}), example.get("skips", {})]
        if not any(gone & set(names) for names in said):
            continue
        for names in said:
            for rule in gone & set(names):
                del names[rule]
        # Its name told of the push.
        example["name"] = f"{_first_event(example)} gives {' and '.join(said[0]) or 'nothing'}"


def _first_event(example: Any) -> str:
    event = example["event"] if "event" in example else example["events"][0]["event"]
    return str(event.get("event", event.get("type")))
