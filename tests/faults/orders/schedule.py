"""What happens in one run: a list of steps, which a seed decides. Pure.

Few users, so that their events meet; few names of tags, so that they contradict each other; and
everything that can go wrong in between.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

MAPPING = """
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: profile
    when: type = "identify" and audience.class = null
    do: {update_user: {tags: {a: "{{ traits.a }}", b: "{{ traits.b }}", c: "{{ traits.c }}"}}}
  - name: viewed
    when: event = "Viewed"
    fold: 5s
    do: {update_user: {tags: {a: "{{ properties.a }}"}}}
  - name: order
    when: event = "Order"
    max_age: 10m
    do:
      update_user: {tags: {b: "{{ properties.b }}"}}
      send_notification: {contents: "{{ messageId }}"}
  - name: sale
    when: event = "Sale"
    limit: off
    cap: off
    group: 3s
    do: {send_notification: {contents: "{{ properties.name }}"}}
  - name: flash
    when: event = "Flash"
    limit: {max: 2, per: 10m}
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: drop
    when: event = "Drop"
    once_per: {time: 1h, key: "{{ properties.sku }}"}
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: bought
    when: event = "Bought"
    do: {track_custom_event: {name: bought, properties: {id: "{{ messageId }}"}}}
  - name: audience
    when: audience.class = "audience"
    do: {update_user: {tags_from: {audience: {prefix: aud_}}}}
  - name: welcome
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: "{{ messageId }}"}}
  - name: wrote
    when: event = "Wrote"
    cap: off
    do:
      update_user: {to: {external_id: "{{ properties.to }}"}, tags: {d: "{{ messageId }}"}}
      send_notification: {to: {external_id: "{{ properties.to }}"}, contents: "{{ messageId }}"}
"""
USERS = ("ann", "bob", "cy", "dee")
REACHED = ("ann", "bob", "cy")
"""Of `dee` OneSignal knows nothing."""
PUSHING = ("order", "sale", "flash", "drop", "welcome", "wrote")
SALES = ("shoes", "hats")
Kind = Literal[
    "identify", "viewed", "order", "sale", "flash", "drop", "bought", "audience", "wrote", "nothing"
]
_KINDS: dict[Kind, int] = {
    "identify": 5, "viewed": 4, "order": 4, "sale": 3, "flash": 2, "drop": 2, "bought": 2,
    "audience": 4, "wrote": 2, "nothing": 1,
}  # fmt: skip
_AGES = (0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 3.0, 30.0, 200.0)
_PAUSES = (0.0, 0.0, 0.0, 0.2, 1.0, 1.1, 4.0, 30.0, 300.0)
_ANSWERS: tuple[dict[str, Any], ...] = (
    {"status": 400},
    {"status": 400},
    {"status": 429, "headers": {"Retry-After": "2"}},
    {"status": 429, "headers": {"Retry-After": "90"}},
    {"status": 503},
    {"status": 500, "headers": {"Retry-After": "700"}},
    {"status": 401},
    {"reset": True},
    {"reset": True, "applied": True},
    {"timeout": 200, "applied": True},
    {"timeout": 200},
    {"delay": 3},
    {"ordinary": True},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that a user does; its message may come more than once, and through both sources."""

    message_id: str
    kind: Kind
    user: str
    #: Seconds before it is posted.
    ago: float
    says: dict[str, Any]
    bulk: bool


@dataclass(frozen=True, slots=True)
class Post:
    source: str
    happenings: tuple[Happening, ...]


@dataclass(frozen=True, slots=True)
class Fail:
    """OneSignal answers so, instead."""

    endpoint_class: str
    answers: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """A person asks for something."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Crash:
    """The process ends after so many more pieces of work."""

    after: int


@dataclass(frozen=True, slots=True)
class Restart:
    pass


Step = Post | Fail | Ask | Crash | Restart


@dataclass(slots=True)
class Schedule:
    seed: int
    #: Each after so many seconds.
    steps: list[tuple[float, Step]] = field(default_factory=list)
    #: What is dead in the end is replayed, by a person who has all the time.
    mends: bool = False

    @property
    def has_people(self) -> bool:
        """Somebody asks for something that limits are not asked about."""
        return self.mends or any(
            isinstance(step, Ask) and step.path not in {"pause", "resume"} for _, step in self.steps
        )


def schedule_of(seed: int) -> Schedule:
    """The schedule of a seed; the same every time."""
    draw = random.Random(seed)
    schedule = Schedule(seed, mends=draw.random() < 0.5)
    drawn = list(_drawn(draw, draw.randint(6, 22)))
    schedule.steps = [(draw.choice(_PAUSES), step) for step in drawn]
    return schedule


def _drawn(draw: random.Random, count: int) -> Iterator[Step]:
    said: list[Post] = []
    calm = draw.random() < 0.15
    for number in range(count):
        sort = draw.random()
        if calm or sort < 0.56:
            post = _post(draw, number, said)
            said.append(post)
            yield post
        elif sort < 0.74:
            yield _fail(draw)
        elif sort < 0.87:
            yield _ask(draw)
        elif sort < 0.97:
            yield Crash(draw.choice((1, 2, 3, 5, 8, 13, 21, 34, 55)))
        else:
            yield Restart()


def _post(draw: random.Random, number: int, said: list[Post]) -> Post:
    if said and draw.random() < 0.12:
        # Segment repeats itself, or two sources tell of the same.
        again = draw.choice(said)
        return Post(draw.choice(("default", "other")), again.happenings)
    some = tuple(
        _happening(draw, f"m{number}-{place}") for place in range(draw.choice((1, 1, 1, 2, 3, 6)))
    )
    return Post("default" if draw.random() < 0.85 else "other", some)


def _happening(draw: random.Random, message_id: str) -> Happening:
    (kind,) = draw.choices(list(_KINDS), list(_KINDS.values()))
    return Happening(
        message_id=message_id,
        kind=kind,
        user=draw.choice(USERS),
        ago=draw.choice(_AGES) + draw.choice((0.0, 0.0, 0.001, 0.4)),
        says=_said(draw, kind, message_id),
        bulk=draw.random() < 0.15,
    )


def _said(draw: random.Random, kind: Kind, message_id: str) -> dict[str, Any]:
    said: dict[str, Any] = {}
    match kind:
        case "identify":
            names = draw.sample("abc", draw.randint(1, 3))
            said = {name: _value(draw, message_id) for name in sorted(names)}
        case "viewed":
            said = {"a": _value(draw, message_id)}
        case "order":
            said = {"b": _value(draw, message_id)}
        case "sale":
            said = {"name": draw.choice(SALES)}
        case "drop":
            said = {"sku": draw.choice(("x", "y"))}
        case "audience":
            said = {"vip": draw.random() < 0.6}
        case "wrote":
            said = {"to": draw.choice(USERS)}
        case _:
            pass
    return said


def _value(draw: random.Random, message_id: str) -> str | None:
    """Mostly one that nothing else says."""
    return draw.choice((message_id, message_id, message_id, "same", None))


def _fail(draw: random.Random) -> Fail:
    answers = tuple(draw.choice(_ANSWERS) for _ in range(draw.choice((1, 1, 2, 3, 8))))
    return Fail(draw.choice(("write", "write", "send", "send", "event")), answers)


def _ask(draw: random.Random) -> Ask:
    rule = draw.choice(PUSHING)
    what = draw.choice(({"what": "pushes"}, {"what": "rule", "rule": rule}))
    path, body = draw.choice(
        (
            ("pause", what),
            ("resume", what),
            ("held/release", {}),
            ("held/release", {"rule": "flash", "reason": "limit"}),
            ("held/release", {"rule": "flash", "per_minute": draw.choice((1, 60))}),
            ("held/discard", {"rule": rule}),
            ("held/discard", {}),
            ("dead/replay", {}),
            ("dead/replay", {"replan": True}),
            ("dead/replay", {"rule": rule, "replan": draw.random() < 0.5}),
            ("dead/discard", {"rule": rule}),
            ("dead/discard", {}),
            ("skipped/replay", {"rule": "order"}),
        )
    )
    return Ask(path, body)
