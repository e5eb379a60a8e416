"""A mapping as it runs: conditions and values compiled once, then only read.

`compile_rule` turns what an operator wrote into this, or says everything that is wrong with it.
Nothing here knows files or lines: a problem names the place by its path inside the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from bridge.mapping import document
from bridge.mapping.expression import Expression, ExpressionError, compile_expression
from bridge.mapping.fql import Condition, ConditionError, compile_condition
from bridge.onesignal.platforms import Policy, allowed, flags

Kind = Literal["text", "link", "tree"]
Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """Something wrong at a place inside a rule."""

    path: Path
    code: str
    message: str
    hint: str | None = None
    level: str = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a request: what it is called at OneSignal, and how its value comes about.

    A `required` field that is missing skips the operation; another one is left out.
    """

    name: str
    value: Tree
    kind: Kind
    required: bool


Tree = Expression | dict[str, "Tree"] | list["Tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """One entry of `include`: a name, or a pattern over paths; matched against `a_b` names too."""

    text: str
    pattern: re.Pattern[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Fields of the event that become tags."""

    root: str
    include: tuple[Glob, ...]
    rename: dict[str, str]
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    tags: tuple[tuple[Expression, Expression], ...]
    copies: tuple[Copy, ...]
    audience_prefix: str | None
    language: Expression | None
    timezone: Expression | None
    country: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    fields: tuple[Field, ...]
    constant: dict[str, Any]
    policy: Policy
    flags: dict[str, bool]
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    condition: Condition
    update: Update | None
    push: Push | None
    max_age_ms: int
    replays: bool
    echo: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Every rule that is in force, in order; `revision` changes whenever what it says changes."""

    revision: str
    rules: tuple[Rule, ...]
    identity: tuple[tuple[str, ...], ...] = (("userId",),)
    unknown_user: Literal["create", "skip"] = "create"
    tag_cap: int | None = None
    files: tuple[str, ...] = ()
    event_names: frozenset[str] = field(default_factory=frozenset)

    def external_id(self, fields: dict[str, Any]) -> str | None:
        """Whom an event is about: the first identity path that is present."""
        for path in self.identity:
            found: Any = fields
            for key in path:
                found = found.get(key) if isinstance(found, dict) else None
            if isinstance(found, str) and found:
                return found
            if isinstance(found, int | float) and not isinstance(found, bool):
                return str(found)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a rule inherits: the push defaults of its mapping, the platforms of its app."""

    defaults: document.PushDefaults
    serves: Collection[str]


Report = Callable[[Problem], None]


def compile_rule(rule: document.Rule, around: Surroundings) -> tuple[Rule | None, list[Problem]]:
    """The rule as it runs, or None with everything that is wrong with it."""
    problems: list[Problem] = []
    report = problems.append
    condition = _condition(rule.when, report)
    update = _update(rule.do.update_user, report) if rule.do.update_user else None
    push = _push(rule, rule.do.send_notification, around, report)
    if rule.do == document.Do():
        report(
            Problem(("do",), "nothing-to-do", f"rule {rule.name} does nothing", "name an operation")
        )
    if condition is None or any(problem.level == "error" for problem in problems):
        return None, problems
    compiled = Rule(
        name=rule.name,
        condition=condition,
        update=update,
        push=push,
        max_age_ms=rule.max_age,
        replays=rule.replays,
        echo=rule.echo,
    )
    return compiled, problems


def _condition(text: str, report: Report) -> Condition | None:
    try:
        condition = compile_condition(text)
    except ConditionError as error:
        report(
            Problem(("when",), "condition-invalid", f"{error.message}\n{error.caret()}", error.hint)
        )
        return None
    for message in condition.suspicious:
        report(Problem(("when",), "condition-suspicious", message, level="warning"))
    return condition


def _value(value: Any, path: Path, report: Report, *, encode: bool = False) -> Expression | None:
    try:
        return compile_expression(value, encode=encode)
    except ExpressionError as error:
        report(Problem(path, error.code, error.message, error.hint))
        return None


def _update(update: document.UpdateUser, report: Report) -> Update:
    at: Path = ("do", "update_user")
    compiled = [
        (_value(name, (*at, "tags", name), report), _value(value, (*at, "tags", name), report))
        for name, value in update.tags.items()
    ]
    audience = update.tags_from.audience
    return Update(
        tags=tuple((name, value) for name, value in compiled if name and value),
        copies=tuple(_copies(update.tags_from, report)),
        audience_prefix=audience.prefix if audience else None,
        language=_optional(update.language, (*at, "language"), report),
        timezone=_optional(update.timezone, (*at, "timezone"), report),
        country=_optional(update.country, (*at, "country"), report),
    )


def _optional(value: Any, path: Path, report: Report) -> Expression | None:
    return None if value is None else _value(value, path, report)


def _copies(tags_from: document.TagsFrom, report: Report) -> Iterator[Copy]:
    for root in ("traits", "properties", "context"):
        selection: document.Selection | None = getattr(tags_from, root)
        if selection is None:
            continue
        path: Path = ("do", "update_user", "tags_from", root)
        if not selection.include:
            report(
                Problem(
                    path,
                    "nothing-included",
                    f"tags_from.{root} takes nothing",
                    f"list the {root} to copy: include: [homeStore, shoe*]",
                    "warning",
                )
            )
        yield Copy(
            root=root,
            include=tuple(map(_glob, selection.include)),
            rename=dict(selection.rename),
            prefix=selection.prefix,
        )


def _glob(text: str) -> Glob:
    if "*" not in text and "?" not in text:
        return Glob(text=text, pattern=None)
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return Glob(text=text, pattern=re.compile("".join(parts)))


_REQUIRED = frozenset({"template_id", "contents", "headings", "custom_data"})
"""A push that lacks one of these, though its rule wants it, is not sent (mappings/README.md, "Missing")."""

_PICTURES = (
    ("big_picture", {"android"}),
    ("huawei_big_picture", {"huawei"}),
    ("adm_big_picture", {"amazon"}),
    ("chrome_web_image", {"web", "ios_web"}),
    ("ios_attachments", {"ios"}),
)
"""Which field shows a picture on which platform (reference/push-notification, "media")."""


def _push(
    rule: document.Rule,
    send: document.SendNotification | None,
    around: Surroundings,
    report: Report,
) -> Push | None:
    if send is None:
        return None
    at: Path = ("do", "send_notification")
    if send.contents is None and send.template_id is None:
        report(Problem(at, "contents-missing", "a push needs contents, or a template_id"))
    if send.contents is not None and "en" not in send.contents:
        report(
            Problem(
                (*at, "contents"),
                "contents-without-en",
                "OneSignal requires the contents in `en`",
                "add en: the text for every language that you do not list",
            )
        )
    policy = send.platforms or around.defaults.platforms
    if policy is None:
        report(_undecided(rule.name))
        return None
    reach = allowed(policy, around.serves)
    fields = [field for field in _fields(send, reach, report) if field is not None]
    _require_links(fields, around.defaults.links, report)
    try:
        chosen = flags(reach)
    except ValueError:
        report(_nobody_left(rule.name, policy, around.serves))
        return None
    return Push(
        fields=tuple(fields),
        constant=_constant(send),
        policy=policy,
        flags=chosen,
        links=around.defaults.links,
    )


def _undecided(rule: str) -> Problem:
    return Problem(
        ("do", "send_notification"),
        "platforms-undecided",
        f"rule {rule} pushes, and nothing says whether iPhones are included.",
        "push: {platforms: {exclude: [ios]}} if Segment, Engage or another tool already pushes your "
        "iPhones; push: {platforms: all} if OneSignal is the only one.",
    )


def _nobody_left(rule: str, policy: Policy, serves: Collection[str]) -> Problem:
    return Problem(
        ("do", "send_notification"),
        "no-platform-left",
        f"rule {rule} sends to {policy}, and the app is on {', '.join(sorted(serves))}: nobody is left",
        "widen the policy, or add the platform to BRIDGE_ONESIGNAL_PLATFORMS",
    )


def _constant(send: document.SendNotification) -> dict[str, Any]:
    ttl = None if send.ttl is None else send.ttl // 1000
    return {
        name: value
        for name, value in (("ttl", ttl), ("priority", send.priority))
        if value is not None
    }


def _fields(
    send: document.SendNotification, reach: Collection[str], report: Report
) -> Iterator[Field | None]:
    """Every field the rule sets, in the order in which OneSignal's documentation lists them."""
    wanted: list[tuple[str, Any, Kind]] = [
        ("template_id", send.template_id, "text"),
        ("contents", send.contents, "tree"),
        ("headings", send.headings, "tree"),
        ("subtitle", send.subtitle, "tree"),
        ("custom_data", send.custom_data, "tree"),
        ("data", send.data, "tree"),
        ("url", send.url, "link"),
        ("app_url", send.app_url, "link"),
        ("web_url", send.web_url, "link"),
        *_pictures(send, reach),
        ("collapse_id", send.collapse_id, "text"),
    ]
    for name, value, kind in wanted:
        if value is not None:
            yield _field(name, value, kind, report)


def _pictures(
    send: document.SendNotification, reach: Collection[str]
) -> Iterator[tuple[str, Any, Kind]]:
    for name, platforms in _PICTURES:
        written = getattr(send, name)
        shown: Any = send.image if platforms & set(reach) else None
        if name == "ios_attachments" and shown is not None:
            shown = {"image": shown}
        yield name, written if written is not None else shown, "link"


def _field(name: str, value: Any, kind: Kind, report: Report) -> Field | None:
    tree = _tree(value, ("do", "send_notification", name), report, encode=kind == "link")
    if tree is None:
        return None
    return Field(name=name, value=tree, kind=kind, required=name in _REQUIRED)


def _tree(value: Any, path: Path, report: Report, *, encode: bool) -> Tree | None:
    if isinstance(value, dict):
        children = {
            key: _tree(one, (*path, key), report, encode=encode) for key, one in value.items()
        }
        return {key: child for key, child in children.items() if child is not None}
    if isinstance(value, list):
        items = [_tree(one, (*path, i), report, encode=encode) for i, one in enumerate(value)]
        return [item for item in items if item is not None]
    return _value(value, path, report, encode=encode)


def _require_links(fields: list[Field], links: tuple[str, ...], report: Report) -> None:
    for one in fields:
        if (
            one.kind == "link"
            and not links
            and not all(leaf.is_literal for leaf in leaves(one.value))
        ):
            report(
                Problem(
                    ("do", "send_notification", one.name),
                    "links-undecided",
                    f"{one.name} comes from an event, and nothing says where it may point",
                    'push: {links: ["shop://", "https://www.shop.example/"]}',
                )
            )


def leaves(tree: Tree) -> Iterator[Expression]:
    """Every expression in a value."""
    if isinstance(tree, dict):
        for child in tree.values():
            yield from leaves(child)
    elif isinstance(tree, list):
        for child in tree:
            yield from leaves(child)
    else:
        yield tree
