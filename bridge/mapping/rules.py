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
from bridge.mapping.examples import Example
from bridge.mapping.expression import Expression, ExpressionError, compile_expression
from bridge.mapping.fql import Condition, ConditionError, compile_condition
from bridge.mapping.terms import LIMIT_MAX, LIMIT_PER_MS, Rate, Terms, Unchanged
from bridge.onesignal.platforms import Policy, allowed, flags
from bridge.segment.ids import id_text

Kind = Literal["text", "texts", "link", "tree"]
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
    #: What the mapping calls it: `image` stands for several fields.
    written: str
    value: Tree
    kind: Kind
    required: bool


Tree = Expression | dict[str, "Tree"] | list["Tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """One entry of `include`: a name, or a pattern; of a nested path, with `_` for its dots."""

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
    #: What is the same for every event; `once` and `stay` depend on the event.
    terms: Terms = field(default_factory=Terms)
    once_ms: int | None = None
    once_key: Expression | None = None
    #: Milliseconds since 1970; outside of them the rule does not act.
    starts_ms: int | None = None
    ends_ms: int | None = None
    fold_ms: int = 0
    unchanged: Unchanged = "skip"

    @property
    def sends(self) -> bool:
        """Whether it does anything that cannot be taken back."""
        return self.push is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Every rule that is in force, in order; `revision` changes whenever what it says changes."""

    revision: str
    rules: tuple[Rule, ...]
    identity: tuple[tuple[str, ...], ...] = (("userId",),)
    unknown_user: Literal["create", "skip"] = "create"
    tag_cap: int | None = None
    files: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    event_names: frozenset[str] = field(default_factory=frozenset)
    #: Whether a rule that sends asks about audiences: then leaving one matters, too.
    learns_memberships: bool = False

    def external_id(self, fields: dict[str, Any]) -> str | None:
        """Whom an event is about: the first identity path that is present."""
        for path in self.identity:
            found: Any = fields
            for key in path:
                found = found.get(key) if isinstance(found, dict) else None
            if (text := id_text(found)) is not None:
                return text
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

    def report(problem: Problem) -> None:
        if problem not in problems:  # an image is read once for each field it becomes
            problems.append(problem)

    condition = _condition(rule.when, report)
    update = _update(rule.do.update_user, report) if rule.do.update_user else None
    push = _push(rule, rule.do.send_notification, around, report)
    once_key = None
    if rule.once_per is not None and rule.once_per.key is not None:
        once_key = _value(rule.once_per.key, ("once_per", "key"), report)
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
        terms=_terms(rule, around.defaults.cap),
        once_ms=rule.once_per.time if rule.once_per else None,
        once_key=once_key,
        starts_ms=rule.starts,
        ends_ms=rule.ends,
        fold_ms=rule.fold,
        unchanged=rule.unchanged,
    )
    return compiled, problems


def _terms(rule: document.Rule, cap: document.Cap) -> Terms:
    limit: Rate | None = None
    if isinstance(rule.limit, document.Rate):
        limit = Rate(rule.limit.max, rule.limit.per)
    elif rule.limit is None and not rule.transactional:
        limit = Rate(LIMIT_MAX, LIMIT_PER_MS)
    return Terms(
        max_age_ms=rule.max_age,
        limit=limit,
        cap=None if rule.cap == "off" else Rate(cap.max, cap.per),
        group_ms=None if rule.group == "off" else rule.group,
    )


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
        copies=tuple(_copies(update, report)),
        audience_prefix=audience.prefix if audience else None,
        language=_optional(update.language, (*at, "language"), report),
        timezone=_optional(update.timezone, (*at, "timezone"), report),
        country=_optional(update.country, (*at, "country"), report),
    )


def _optional(value: Any, path: Path, report: Report) -> Expression | None:
    return None if value is None else _value(value, path, report)


def _copies(update: document.UpdateUser, report: Report) -> Iterator[Copy]:
    at: Path = ("do", "update_user", "tags_from")
    if "tags_from" in update.model_fields_set and update.tags_from == document.TagsFrom():
        report(_nothing_included(at, "traits"))
    for root in ("traits", "properties", "context"):
        selection: document.Selection | None = getattr(update.tags_from, root)
        if selection is None:
            continue
        if not selection.include:
            report(_nothing_included((*at, root), root))
        yield Copy(
            root=root,
            include=tuple(map(_glob, selection.include)),
            rename={_flat(path): name for path, name in selection.rename.items()},
            prefix=selection.prefix,
        )


def _nothing_included(path: Path, root: str) -> Problem:
    return Problem(
        path,
        "nothing-included",
        f"{'.'.join(map(str, path[2:]))} takes nothing",
        f"list the {root} to copy: include: [homeStore, shoe*]",
        "warning",
    )


def _glob(text: str) -> Glob:
    text = _flat(text)
    if "*" not in text and "?" not in text:
        return Glob(text=text, pattern=None)
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return Glob(text=text, pattern=re.compile("".join(parts), re.DOTALL))


def _flat(path: str) -> str:
    """`address.city` as the tag that it becomes: `address_city`."""
    return path.replace(".", "_")


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
        ("contents", send.contents, "texts"),
        ("headings", send.headings, "texts"),
        ("subtitle", send.subtitle, "texts"),
        ("custom_data", send.custom_data, "tree"),
        ("data", send.data, "tree"),
        ("url", send.url, "link"),
        ("app_url", send.app_url, "link"),
        ("web_url", send.web_url, "link"),
        *((name, getattr(send, name), "link") for name, _ in _PICTURES),
        ("collapse_id", send.collapse_id, "text"),
    ]
    for name, value, kind in wanted:
        if value is not None:
            yield _field(name, name, value, kind, report)
    for name, value in _pictures(send, reach):
        yield _field(name, "image", value, "link", report)


def _pictures(send: document.SendNotification, reach: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The fields that `image` stands for: those of the platforms reached that have none of their own."""
    for name, platforms in _PICTURES:
        if send.image is not None and getattr(send, name) is None and platforms & set(reach):
            yield name, {"image": send.image} if name == "ios_attachments" else send.image


def _field(name: str, written: str, value: Any, kind: Kind, report: Report) -> Field | None:
    tree = _tree(value, ("do", "send_notification", written), report, encode=kind == "link")
    if tree is None:
        return None
    return Field(name=name, written=written, value=tree, kind=kind, required=name in _REQUIRED)


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
                    ("do", "send_notification", one.written),
                    "links-undecided",
                    f"{one.written} comes from an event, and nothing says where it may point",
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
