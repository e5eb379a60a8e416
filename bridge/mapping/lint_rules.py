"""What is legal in one rule and probably not meant. Pure: a rule in, warnings out.

Each function asks one question. A warning that is wrong once in ten is read by nobody: a question
that cannot be answered from the mapping alone is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final

import orjson

from bridge.mapping import document
from bridge.mapping.compiling import Problem
from bridge.mapping.expression import ExpressionError, Vars, compile_expression
from bridge.mapping.fql import Condition
from bridge.mapping.lint_cases import HAVE, Case, cases, possible, types_of
from bridge.mapping.lint_spec import nearest_context, nearest_event
from bridge.onesignal.tags import tag_name
from bridge.segment.events import Event, read_event

Path = tuple[str | int, ...]

ROOTS: Final = frozenset(
    {
        "type", "event", "name", "category", "userId", "anonymousId", "previousId", "groupId",
        "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "context", "properties",
        "traits", "integrations", "channel", "version", "projectId", "writeKey", "_metadata", "source",
        "replay", "device", "audience", "vars",
    }
)  # fmt: skip
"""What a template can read: an event's own fields, the computed ones, and `vars`."""
_TEXTS: Final = frozenset(
    {
        "type", "event", "userId", "anonymousId", "previousId", "groupId", "messageId", "timestamp",
        "originalTimestamp", "sentAt", "receivedAt", "channel", "source",
    }
)  # fmt: skip
_OF_A_TEXT: Final = frozenset({"size", "first", "last"})
SENDS: Final = ("send_notification", "track_custom_event")
_ONLY_OF_UPDATES: Final = ("fold", "unchanged")
_LINKS: Final = frozenset(
    {
        "url", "app_url", "web_url", "image", "big_picture", "huawei_big_picture", "adm_big_picture",
        "chrome_web_image", "ios_attachments", "large_icon", "chrome_web_icon", "firefox_icon",
        "chrome_web_badge",
    }
)  # fmt: skip
_BARE_PATH: Final = re.compile(r"(?:traits|properties|context|audience|vars)(?:\.\w+|\[\d+\])+")
_ONE_BRACE: Final = re.compile(
    rf"(?<![{{%]){{\s*({_BARE_PATH.pattern}|userId|anonymousId)\s*}}(?!}})"
)
_KEY: Final = "an_audience_of_yours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is known of where a mapping runs."""

    #: The platforms of the app.
    serves: frozenset[str] = frozenset()
    #: Tags that the plan has for a user; None: not known, or as many as one likes.
    tag_cap: int | None = None
    vars: Vars = field(default_factory=dict)
    #: The sources whose events it is for; None: not known.
    sources: frozenset[str] | None = None
    #: Those of them whose events anybody can send.
    clients: frozenset[str] = frozenset()
    #: Paths that are removed from events before anything reads them.
    dropped: frozenset[str] = frozenset()
    #: Whether the app has a device registry; None: not known.
    registry: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One rule, as the questions see it."""

    declared: document.Rule
    condition: Condition
    #: What stands in its `do`, as plain values.
    do: dict[str, Any]
    around: Around
    #: Where links of its push may point, if an event has a part in them.
    links: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def pushes(self) -> bool:
        return "send_notification" in self.do

    @property
    def sends(self) -> bool:
        return any(operation in self.do for operation in SENDS)

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        return possible(self.condition.text)

    @cached_property
    def texts(self) -> tuple[tuple[Path, str], ...]:
        """Every value of it that is a text."""
        once = self.declared.once_per
        key = {"once_per": {"key": once.key}} if once else {}
        return tuple(_texts({"do": self.do, **key}, ()))

    @cached_property
    def templates(self) -> tuple[tuple[Path, frozenset[str]], ...]:
        """Every value of it that reads the event, with what it reads."""
        found = ((path, _reads(text, self.around.vars)) for path, text in self.texts)
        return tuple((path, reads) for path, reads in found if reads)

    @property
    def tags(self) -> dict[str, Any]:
        update = self.do.get("update_user")
        found = update.get("tags") if isinstance(update, dict) else None
        return found if isinstance(found, dict) else {}

    def asks_about(self, root: str) -> bool:
        return any(path[0] == root for path in self.condition.paths)


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _texts(child, (*path, key))
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _texts(child, (*path, number))
    elif isinstance(value, str):
        yield path, value


def _reads(text: str, names: Vars) -> frozenset[str]:
    if "{{" not in text and "{%" not in text:
        return frozenset()
    try:
        return compile_expression(text, names=names).paths
    except ExpressionError:
        return frozenset()


def warn(path: Path, code: str, message: str, hint: str) -> Problem:
    return Problem(path, code, message, hint, "warning")


# --- when it acts ------------------------------------------------------------------------------------------


def unreachable(rule: Subject) -> Iterator[Problem]:
    if rule.cases or rule.condition.text.strip() == "false":
        return
    why = next(case.contradiction for case in cases(rule.condition.text))
    message = f"no event can meet the condition of rule {rule.name}: {why}"
    hint = 'join with `or` what may be either; several values: `event in ["A", "B"]`'
    yield warn(("when",), "rule-unreachable", message, hint)


def misspelt_event(rule: Subject) -> Iterator[Problem]:
    for name in sorted(rule.condition.event_names):
        near = nearest_event(name)
        if near is not None:
            message = f'Segment\'s Spec has no event "{name}", and one that is nearly the same'
            hint = f'did you mean "{near}"? Names are compared letter by letter'
            yield warn(("when",), "event-name-near", message, hint)


def unknown_source(rule: Subject) -> Iterator[Problem]:
    if rule.around.sources is None:
        return
    named = {
        name for case in cases(rule.condition.text) for name in case.at("source").texts() or ()
    }
    for name in sorted(named - rule.around.sources):
        known = ", ".join(sorted(rule.around.sources))
        near = get_close_matches(name, rule.around.sources, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"the sources: {known}"
        yield warn(("when",), "unknown-source", f'there is no source "{name}"', hint)


def never_trusted(rule: Subject) -> Iterator[Problem]:
    """Whether every source is a browser or an app, and the rule names none of them."""
    named = rule.condition.named_sources
    sources = rule.around.sources
    if not rule.sends or not sources or sources - rule.around.clients or named & sources:
        return
    names = " and ".join(sorted(sources))
    message = f"rule {rule.name} never sends: anybody can send the events of {names}"
    hint = f'name the source that may: `source = "{min(sources)}" and …`'
    yield warn(("when",), "client-never-sends", message, hint)


# --- audiences -----------------------------------------------------------------------------------------------


def _said(kind: str, *, class_: str = "audience") -> dict[str, Any]:
    """What Engage sends when somebody enters an audience that no mapping names."""
    sent: dict[str, Any] = {
        "type": kind,
        "userId": "u",
        "messageId": "m",
        "context": {"personas": {"computation_class": class_, "computation_key": _KEY}},
    }
    if kind == "track":
        return sent | {
            "event": "Audience Entered",
            "properties": {"audience_key": _KEY, _KEY: True},
        }
    return sent | {"traits": {_KEY: True}}


def _meets(rule: Subject, sent: dict[str, Any]) -> bool:
    sources = {name for case in rule.cases for name in case.at("source").texts() or ()}
    for source in sources or {"default"}:
        event = read_event(sent, raw=orjson.dumps(sent), source=source, received_ms=0)
        if isinstance(event, Event) and rule.condition(event.fields):
            return True
    return False


def pushes_with_every_sync(rule: Subject) -> Iterator[Problem]:
    if not rule.pushes or not _meets(rule, _said("identify")):
        return
    if not rule.asks_about("audience"):
        message = (
            f"rule {rule.name} also pushes for identify calls of Engage: the first sync of any "
            "audience would push everyone in it"
        )
        hint = "add `and audience.class = null`, unless Engage is not connected to this webhook"
        yield warn(("when",), "engage-identify", message, hint)
    else:
        message = f"rule {rule.name} pushes for every audience, whichever it is"
        hint = 'name the one that is meant: `audience.key = "vip"`'
        yield warn(("when",), "audience-unnamed", message, hint)


def ungrouped(rule: Subject) -> Iterator[Problem]:
    """Whether an audience's pushes leave one by one, or a `group` finds no two that are equal."""
    if not rule.pushes or not _of_an_audience(rule):
        return
    own = [path for path, _ in rule.templates if path[1] == "send_notification" and path[2] != "to"]
    personal = (
        "; let OneSignal personalise: {% raw %}{{ first_name | default: 'there' }}{% endraw %}"
        if own
        else ""
    )
    if rule.declared.group == "off":
        message = f"rule {rule.name} pushes an audience one call for each person"
        hint = f"`group: 3s` sends equal messages in one call of up to 2,000 people{personal}"
        yield warn(("do", "send_notification"), "group-suggested", message, hint)
    elif own:
        message = f"rule {rule.name} groups its pushes, and this makes each of them another"
        hint = f"take it out{personal}"
        yield warn(own[0], "group-without-effect", message, hint)


def _of_an_audience(rule: Subject) -> bool:
    return bool(rule.cases) and all(
        case.at("audience", "entered").is_present
        or (case.at("audience", "key").is_present and case.at("audience", "class").is_present)
        for case in rule.cases
    )


def replays_push(rule: Subject) -> Iterator[Problem]:
    if rule.pushes and rule.declared.replays:
        message = f"rule {rule.name} pushes again whenever somebody replays events in Segment"
        hint = "leave `replays` out, unless its pushes are to be repeated by that"
        yield warn(("replays",), "replays-push", message, hint)


def without_effect(rule: Subject) -> Iterator[Problem]:
    """Of what is about updates alone, or said already; the rest is said when a rule is compiled."""
    if rule.declared.transactional and rule.declared.limit == "off":
        message = f"rule {rule.name} is transactional, and has no limit to switch off"
        yield warn(("limit",), "field-without-effect", message, "take it out")
    if "update_user" in rule.do:
        return
    for name in _ONLY_OF_UPDATES:
        if name in rule.declared.model_fields_set:
            message = f"rule {rule.name} updates no user, so `{name}` does nothing"
            yield warn((name,), "field-without-effect", message, "take it out")


# --- what it writes ------------------------------------------------------------------------------------------


def unknown_paths(rule: Subject) -> Iterator[Problem]:
    for at, reads in rule.templates:
        for written in sorted(reads):
            yield from unknown_path(written, at)


def unknown_path(written: str, at: Path) -> Iterator[Problem]:
    """What is wrong with a path that no event has."""
    first, *rest = re.split(r"[.\[]", written)
    if first not in ROOTS:
        near = get_close_matches(first, sorted(ROOTS), n=1, cutoff=0.75)
        own = f"did you mean `properties.{written}` or `traits.{written}`?"
        hint = f"did you mean `{near[0]}{written[len(first) :]}`?" if near else own
        yield warn(at, "unknown-path", f"no event has a field `{first}`", hint)
    elif first in _TEXTS and rest and rest[0] not in _OF_A_TEXT:
        own = ".".join(rest) if rest[0] in ROOTS else first
        message = f"`{first}` is a text, and nothing stands below it"
        yield warn(at, "unknown-path", message, f"did you mean `{own}`?")
    elif first == "context" and rest and (known := nearest_context(rest[0])):
        message = f"Segment sends no `context.{rest[0]}`"
        yield warn(at, "unknown-path", message, f"did you mean `context.{known}`?")


def never_present(rule: Subject) -> Iterator[Problem]:
    types = types_of(rule.condition.text)
    if not types:
        return
    for at, reads in rule.templates:
        for written in sorted(reads):
            first = re.split(r"[.\[]", written)[0]
            if first in HAVE and not types & HAVE[first]:
                calls = ", ".join(sorted(types))
                hint = (
                    f"{calls} calls may have `context.{written}`"
                    if first == "traits"
                    else f"only {', '.join(sorted(HAVE[first]))} calls have it"
                )
                message = f"`{written}` is always missing: {calls} calls have no `{first}`"
                yield warn(at, "path-never-present", message, hint)


def reads_dropped(rule: Subject) -> Iterator[Problem]:
    if not rule.around.dropped:
        return
    condition = frozenset(".".join(map(str, path)) for path in rule.condition.paths)
    for at, reads in ((("when",), condition), *rule.templates):
        yield from read_and_dropped(reads, rule.around.dropped, at)


def read_and_dropped(reads: Iterable[str], dropped: frozenset[str], at: Path) -> Iterator[Problem]:
    """What is read, and not there any more by then."""
    for written in sorted(reads):
        parts = [part for part in re.split(r"[.\[\]]+", written) if part and not part.isdigit()]
        for path in sorted(dropped):
            names = path.split(".")
            if parts[: len(names)] == names:
                message = f"`{written}` is always missing: BRIDGE_DROP, or `drop`, removes `{path}`"
                hint = f"do without it, or let `{path}` be stored"
                yield warn(at, "drops-what-a-rule-reads", message, hint)


def changed_tag_names(rule: Subject) -> Iterator[Problem]:
    legal: dict[str, str] = {}
    for name in rule.tags:
        if "{{" in name or "{%" in name:
            continue
        at = ("do", "update_user", "tags", name)
        becomes = tag_name(name)
        if becomes in legal:
            message = f"`{name}` and `{legal[becomes]}` are the same tag at OneSignal: {becomes}"
            yield warn(
                at, "tags-collide", message, "give them names that differ in more than signs"
            )
        elif becomes != name:
            message = f"the tag {name} is called {becomes} at OneSignal"
            hint = "names have letters, digits and `_`, and some are OneSignal's own"
            yield warn(at, "tag-renamed", message, hint)
        legal.setdefault(becomes, name)


def above_the_cap(rule: Subject) -> Iterator[Problem]:
    if rule.around.tag_cap is None:
        return
    written = [name for name, value in rule.tags.items() if value != ""]
    plan = f"the plan has {rule.around.tag_cap} tags for a user"
    if len(written) > rule.around.tag_cap:
        at = ("do", "update_user", "tags", written[rule.around.tag_cap])
        left = ", ".join(map(str, written[rule.around.tag_cap :]))
        message = f"{plan}, and rule {rule.name} writes {len(written)}: left out is {left}"
        yield warn(at, "tags-above-cap", message, "put first what matters most, or write fewer")
        return
    for root, include in _includes(rule):
        globs = [name for name in include if isinstance(name, str) and re.search(r"[*?]", name)]
        if globs or len(written) + len(include) > rule.around.tag_cap:
            at = ("do", "update_user", "tags_from", root)
            why = f"`{globs[0]}` may be any number" if globs else "its names are more"
            message = f"{plan}, and {why}: what does not fit is left out"
            yield warn(at, "tags-above-cap", message, "write out the names that matter")


def _includes(rule: Subject) -> Iterator[tuple[str, list[Any]]]:
    update = rule.do.get("update_user")
    sections = update.get("tags_from") if isinstance(update, dict) else None
    for root, section in sections.items() if isinstance(sections, dict) else ():
        include = section.get("include") if isinstance(section, dict) else None
        if isinstance(include, list):
            yield root, include


def without_braces(rule: Subject) -> Iterator[Problem]:
    """A path that is written as a text: everybody would get its name."""
    for at, text in rule.texts:
        bare = _BARE_PATH.fullmatch(text.strip())
        found = bare or _ONE_BRACE.search(text)
        if found is None or "include" in at:
            continue
        message = f"`{found[0]}` is a text as it stands, and reads nothing of the event"
        written = found[0] if bare else found[1]
        yield warn(at, "braces-missing", message, f'write "{{{{ {written} }}}}"')


def links_elsewhere(rule: Subject) -> Iterator[Problem]:
    """A link that an event has a part in, and that begins as none that is allowed."""
    for at, text in rule.texts:
        begin, braces, _ = text.partition("{{")
        if not (rule.links and braces and begin.strip() and _LINKS & set(at)) or "{%" in begin:
            continue
        if not any(begin.startswith(one) or one.startswith(begin) for one in rule.links):
            message = f"{begin}… begins as none of push.links does, so it is always left out"
            hint = f"add it, or begin with {' or '.join(rule.links)}"
            yield warn(at, "link-elsewhere", message, hint)


def insecure_links(rule: Subject) -> Iterator[Problem]:
    for at, text in _texts(rule.do.get("send_notification"), ("do", "send_notification")):
        if text.lower().startswith("http://") and _LINKS & set(at):
            message = "phones do not load http:// pictures, and browsers warn of http:// pages"
            yield warn(at, "link-insecure", message, f"https://{text[7:]}")


QUESTIONS: Final = (
    unreachable, misspelt_event, unknown_source, never_trusted, pushes_with_every_sync, ungrouped,
    replays_push, without_effect, unknown_paths, never_present, changed_tag_names, above_the_cap,
    insecure_links, reads_dropped, without_braces, links_elsewhere,
)  # fmt: skip
