"""A mapping as it runs: conditions and values compiled once, then only read.

`compile_rule` turns what an operator wrote into this, or says everything that is wrong with it; the
parts are compiled by `push`, `update`, `targets` and `operations`. Nothing here knows files or lines:
a problem names the place by its path inside the rule.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from bridge.mapping import document
from bridge.mapping.compiling import Compiling, Link, Path, Problem, Surroundings, Tree, leaves
from bridge.mapping.examples import Example
from bridge.mapping.expression import Expression
from bridge.mapping.fql import Condition, ConditionError, compile_condition
from bridge.mapping.fql_operators import Reader, read
from bridge.mapping.legacy import check_legacy
from bridge.mapping.operations import (
    Alias,
    Deletion,
    Subscription,
    Track,
    compile_addition,
    compile_alias,
    compile_deletion,
    compile_removal,
    compile_track,
)
from bridge.mapping.push import Field, Push, compile_push
from bridge.mapping.terms import LIMIT_MAX, LIMIT_PER_MS, Rate, Terms, Unchanged
from bridge.mapping.tokens import Tokens
from bridge.mapping.update import Copy, Glob, Update, compile_update
from bridge.onesignal.api import ApiName
from bridge.onesignal.operations import EXTERNAL_ID, Recipient
from bridge.segment.audience import ReverseEtl
from bridge.segment.ids import id_text

__all__ = [
    "Copy", "Field", "Glob", "Link", "Mapping", "Path", "Problem", "Push", "Rule", "Surroundings", "Tree",
    "Update", "compile_rule", "leaves",
]  # fmt: skip

Trust = Literal["server", "client"]
"""Who can send events in a source's name: our servers, or anybody who reads its public write key."""
Anonymous = Literal["skip", "external_id", "alias"]


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person must have agreed to."""

    need: tuple[str, ...]
    unknown_allows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    condition: Condition
    update: Update | None
    push: Push | None
    max_age_ms: int
    track: Track | None = None
    alias: Alias | None = None
    addition: Subscription | None = None
    removal: Subscription | None = None
    deletion: Deletion | None = None
    replays: bool = False
    echo: bool = False
    consent: Consent | None = None
    #: What is the same for every event; `once` and `stay` depend on the event.
    terms: Terms = field(default_factory=Terms)
    once_ms: int | None = None
    once_key: Expression | None = None
    #: Milliseconds since 1970; outside of them the rule does not act.
    starts_ms: int | None = None
    ends_ms: int | None = None
    fold_ms: int = 0
    unchanged: Unchanged = "skip"

    #: Whether it does anything that cannot be taken back.
    sends: bool = field(init=False)
    #: Whether it has a part in aliases, subscriptions and deletions.
    identifies: bool = field(init=False)

    def __post_init__(self) -> None:
        parts = (self.alias, self.addition, self.removal, self.deletion)
        object.__setattr__(self, "sends", self.push is not None or self.track is not None)
        object.__setattr__(self, "identifies", any(part is not None for part in parts))

    def acts_at(self, event_ms: int) -> Literal["not_started", "ended"] | None:
        """Why it does not act on an event of this time; None when it does."""
        if self.starts_ms is not None and event_ms < self.starts_ms:
            return "not_started"
        return "ended" if self.ends_ms is not None and event_ms >= self.ends_ms else None


class RuleIndex:
    """Which rules an event may meet, by its type and name: most are about one event alone.

    What a condition pins (`Condition.pins`) is compared here once for each kind of event, and what
    it says besides for every event.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        pins = [rule.condition.pins for rule in rules]
        self._types = frozenset().union(*(one.get(("type",), ()) for one in pins))
        self._names = frozenset().union(*(one.get(("event",), ()) for one in pins))
        self._found: dict[tuple[str | None, str | None], tuple[Rule, ...]] = {}

    def likely(self, fields: dict[str, Any]) -> tuple[Rule, ...]:
        """Rules that this event may meet, in order; those left out it cannot."""
        kind, name = fields.get("type"), fields.get("event")
        try:
            found = self._found.get((kind, name))
        except TypeError:  # a list or an object, which no rule names
            found = None
        return self._find(kind, name) if found is None else found

    def _find(self, kind: object, name: object) -> tuple[Rule, ...]:
        # What no rule names is one kind: so the number of kinds is bounded by the rules.
        key = (
            kind if type(kind) is str and kind in self._types else None,
            name if type(name) is str and name in self._names else None,
        )
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(rule for rule in self._rules if _may_meet(rule, *key))
        return found


def _may_meet(rule: Rule, kind: str | None, name: str | None) -> bool:
    pins = rule.condition.pins
    types, names = pins.get(("type",)), pins.get(("event",))
    return (types is None or kind in types) and (names is None or name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Every rule that is in force, in order; `revision` changes whenever what it says changes."""

    revision: str
    rules: tuple[Rule, ...]
    identity: tuple[tuple[str, ...], ...] = (("userId",),)
    #: Whom an event without one of those ids is about.
    anonymous: Anonymous = "skip"
    #: By which its anonymousId is known when that is an alias.
    anonymous_label: str = "anonymous_id"
    #: Sources that anybody can send to, and whose events may make two users one all the same.
    merging_clients: frozenset[str] = frozenset()
    #: Which push tokens become devices; None: none does.
    tokens: Tokens | None = None
    #: Of the source that the mapping is for: what anybody can send must not push by accident.
    trust: Trust = "server"
    #: Which of OneSignal's APIs the app speaks: what it cannot do is left out of every plan.
    api: ApiName = "user-model"
    unknown_user: Literal["create", "skip"] = "create"
    tag_cap: int | None = None
    #: How the rows of the source are read, when it is a reverse ETL one.
    reverse_etl: ReverseEtl | None = None
    files: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    event_names: frozenset[str] = field(default_factory=frozenset)
    #: Whether a rule that sends asks about audiences: then leaving one matters, too.
    learns_memberships: bool = False
    _index: RuleIndex = field(init=False, repr=False, compare=False)
    _known: tuple[Reader, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", tuple(read(path) for path in self.identity))
        object.__setattr__(self, "_index", RuleIndex(self.rules))

    def met_by(self, fields: dict[str, Any]) -> tuple[Rule, ...]:
        """The rules whose condition an event meets, in order."""
        return tuple([rule for rule in self._index.likely(fields) if rule.condition.test(fields)])

    def user(self, fields: dict[str, Any]) -> Recipient | None:
        """Whom an event is about: the first identity path that is present, or its anonymousId."""
        known = self.known(fields)
        return self.nobody_yet(fields.get("anonymousId")) if known is None else known

    def known(self, fields: dict[str, Any]) -> Recipient | None:
        """The person that an event names."""
        for reader in self._known:
            if (text := id_text(reader(fields))) is not None:
                return Recipient(EXTERNAL_ID, text)
        return None

    def nobody_yet(self, anonymous_id: object) -> Recipient | None:
        """Who goes by an anonymous id; None when such events are nobody's."""
        if self.anonymous == "skip" or (text := id_text(anonymous_id)) is None:
            return None
        label = EXTERNAL_ID if self.anonymous == "external_id" else self.anonymous_label
        return Recipient(label, text)


def compile_rule(rule: document.Rule, around: Surroundings) -> tuple[Rule | None, list[Problem]]:
    """The rule as it runs, or None with everything that is wrong with it."""
    compiling = Compiling(rule, around)
    condition = _condition(rule.when, compiling)
    parts = _parts(rule.do, compiling)
    once_key = None
    if rule.once_per is not None and rule.once_per.key is not None:
        once_key = compiling.value(rule.once_per.key, ("once_per", "key"))
    _check(rule, compiling)
    check_legacy(rule.do, compiling)
    if condition is None or any(problem.level == "error" for problem in compiling.problems):
        return None, compiling.problems
    consent = rule.consent
    compiled = Rule(
        name=rule.name,
        condition=condition,
        **parts,
        max_age_ms=rule.max_age,
        replays=rule.replays,
        echo=rule.echo,
        consent=Consent(consent.need, consent.unknown == "allow") if consent else None,
        terms=_terms(rule, around.defaults.cap),
        once_ms=rule.once_per.time if rule.once_per else None,
        once_key=once_key,
        starts_ms=rule.starts,
        ends_ms=rule.ends,
        fold_ms=rule.fold,
        unchanged=rule.unchanged,
    )
    return compiled, compiling.problems


def _parts(do: document.Do, compiling: Compiling) -> dict[str, Any]:
    """Each operation that the rule has, compiled."""
    return {
        "update": compile_update(do.update_user, compiling) if do.update_user else None,
        "push": compile_push(do.send_notification, compiling) if do.send_notification else None,
        "track": compile_track(do.track_custom_event, compiling) if do.track_custom_event else None,
        "alias": compile_alias(do.create_alias, compiling) if do.create_alias else None,
        "addition": compile_addition(do.add_subscription, compiling)
        if do.add_subscription
        else None,
        "removal": (
            compile_removal(do.remove_subscription, compiling) if do.remove_subscription else None
        ),
        "deletion": compile_deletion(do.delete_user, compiling) if do.delete_user else None,
    }


_OF_SENDS = ("max_age", "once_per", "limit", "cap", "group", "transactional", "replays")
"""What a rule says of its sends alone."""


def _check(rule: document.Rule, compiling: Compiling) -> None:
    """What is wrong with rule-level fields beside each other."""
    if rule.do == document.Do():
        compiling.report(
            ("do",), "nothing-to-do", f"rule {rule.name} does nothing", "name an operation"
        )
    if rule.starts is not None and rule.ends is not None and rule.ends <= rule.starts:
        message = f"rule {rule.name} ends before it starts"
        compiling.report(("ends",), "never-acts", message, "write `starts` before `ends`")
    if isinstance(rule.group, int) and rule.group >= rule.max_age:
        message = "what waits for a group that long is too old (`max_age`) when it leaves"
        compiling.report(
            ("group",), "group-too-long", message, "a few seconds are enough: group: 3s"
        )
    if isinstance(rule.group, int) and rule.group > document.GROUP_MAX_MS:
        message = "a group waits ten minutes at most"
        compiling.report(
            ("group",), "group-too-long", message, "a few seconds are enough: group: 3s"
        )
    if rule.do.send_notification is None and rule.do.track_custom_event is None:
        for name in sorted(rule.model_fields_set.intersection(_OF_SENDS)):
            message = f"rule {rule.name} sends nothing, so `{name}` does nothing"
            hint = "take it out; updates are repeated without harm, and none is too old"
            compiling.report((name,), "field-without-effect", message, hint, "warning")


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


def _condition(text: str, compiling: Compiling) -> Condition | None:
    try:
        condition = compile_condition(text)
    except ConditionError as error:
        message = f"{error.message}\n{error.caret()}"
        compiling.report(("when",), "condition-invalid", message, error.hint)
        return None
    for message in condition.suspicious:
        compiling.report(("when",), "condition-suspicious", message, level="warning")
    return condition
