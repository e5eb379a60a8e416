"""What must be true in the end, worked out from what was told alone, without any code of the bridge's.

Of the bridge's own word only this is used: the number that it gave to an event (which decides between
events of the same moment), and how it says that each operation ended. That has to be what the other
side of the wire has seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.faults.orders.schedule import REACHED, SALES, Happening, Schedule

if TYPE_CHECKING:
    from tests.faults.orders.world import World

CAP, CAP_MS = 5, 15 * 60_000
ONCE_MS = 3_600_000
MAX_AGE_MS = {"order": 600_000}
FOUR_HOURS_MS = 4 * 3_600_000
PUSH = "send_notification"
UPDATE = "update_user"

UPDATE_SKIPS = {"unchanged", "overtaken"}
PUSH_SKIPS = {
    "order": {"too_old", "person_cap"},
    "sale": set[str](),
    "flash": {"person_cap"},
    "drop": {"person_cap", "once_per"},
    "welcome": {"person_cap", "same_membership", "membership_over"},
    "wrote": set[str](),
    "bought": set[str](),
}
"""Why a push may be skipped; `already_sent` when its messageId came through another source."""


class Told(NamedTuple):
    """What one source told."""

    source: str
    what: Happening
    at_ms: int


class End(NamedTuple):
    status: str
    reason: str | None
    detail: str | None
    at_ms: int


@dataclass(slots=True)
class Event:
    """One event that was answered 200, with what the bridge says became of it."""

    told: Told
    seq: int
    received_ms: int
    ends: dict[str, End] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int]:
        return self.told.at_ms, self.seq

    @property
    def kind(self) -> str:
        return self.told.what.kind

    @property
    def message_id(self) -> str:
        return self.told.what.message_id

    def end(self, rule: str, operation: str) -> End | None:
        return self.ends.get(f"{rule}/{operation}")


class Saying(NamedTuple):
    """What an event says of one tag of one user."""

    event: Event
    rule: str
    value: str | None

    @property
    def end(self) -> End | None:
        return self.event.end(self.rule, UPDATE)


@dataclass(slots=True)
class Seen:
    """Everything that there is to look at."""

    events: list[Event]
    #: Tags, by user.
    tags: dict[str, dict[str, str]]
    #: Shown pushes, in their order: when, to whom, text.
    pushes: list[tuple[int, str, str]]
    #: Custom events by the id that they carry.
    customs: Counter[str]
    #: Of each call that changed tags: its number, the user, and what it said.
    writes: list[tuple[int, str, dict[str, Any]]]
    #: The first call that carried a text, by text and user.
    first_send: dict[tuple[str, str], int]
    complaints: list[str]
    #: Answers that a limit gave, and no script.
    refused: int
    #: messageIds of which something was ever dead.
    died: set[str]
    #: When the send of a push was written, by messageId.
    written_ms: dict[str, int]
    #: Every call, in words.
    calls: list[str]


def wrongs(seen: Seen, schedule: Schedule) -> list[str]:
    """Everything that is not as promised, in words."""
    checks = (
        _nothing_lost(seen),
        _no_push_twice(seen),
        _last_word_stays(seen),
        _updates_before_pushes(seen),
        _once_for_a_stay(seen),
        _once_in_its_time(seen, schedule),
        _never_too_many(seen, schedule),
        _limits(seen),
    )
    return [wrong for check in checks for wrong in check]


# Nothing lost --------------------------------------------------------------------------------------


_EXPECTED = {
    "identify": {f"profile/{UPDATE}"},
    "viewed": {f"viewed/{UPDATE}"},
    "order": {f"order/{UPDATE}", f"order/{PUSH}"},
    "wrote": {f"wrote/{UPDATE}", f"wrote/{PUSH}"},
    "sale": {f"sale/{PUSH}"},
    "flash": {f"flash/{PUSH}"},
    "drop": {f"drop/{PUSH}"},
    "bought": {"bought/track_custom_event"},
    "audience": {f"audience/{UPDATE}"},
    "nothing": {"/"},
}


def expected(what: Happening) -> set[str]:
    """Everything that an event has to come to, one way or another."""
    entered = {f"welcome/{PUSH}"} if what.says.get("vip") else set[str]()
    return _EXPECTED[what.kind] | entered


def _nothing_lost(seen: Seen) -> Iterator[str]:
    for event in seen.events:
        if event.seq < 0:
            yield f"{event.message_id} was answered 200, and is not there"
            continue
        found, wanted = set(event.ends), expected(event.told.what)
        if found != wanted and not _is_whole_death(event):
            yield f"{event.message_id} ended as {sorted(found)} and not as {sorted(wanted)}"
        for name, end in event.ends.items():
            if not _may_end_so(event, name, end):
                yield f"{event.message_id} {name} ended as {end}"


def _is_whole_death(event: Event) -> bool:
    """It was under way when the process crashed, again and again: a person has to look."""
    return event.ends.get("/", End("", None, None, 0))[:2] == ("dead", "poison")


def _may_end_so(event: Event, name: str, end: End) -> bool:
    rule, _, operation = name.partition("/")
    match end.status:
        case "delivered":
            return bool(rule)
        case "no_recipients":
            return operation != UPDATE and _recipient(event) not in REACHED
        case "dead" | "discarded":
            return end.reason in {"http_400", "unknown_outcome", "poison", "by_person"}
        case _:
            return _may_be_skipped(event, rule, operation, end)


def _may_be_skipped(event: Event, rule: str, operation: str, end: End) -> bool:
    if operation == UPDATE:
        return end.reason in UPDATE_SKIPS
    if end.reason == "too_old":
        age_ms = end.at_ms - event.told.at_ms
        return age_ms > MAX_AGE_MS.get(rule, FOUR_HOURS_MS)
    return end.reason in ({"already_sent"} | PUSH_SKIPS[rule] if rule else {"no_rule"})


def _recipient(event: Event) -> str:
    what = event.told.what
    return str(what.says["to"]) if what.kind == "wrote" else what.user


# No push twice -------------------------------------------------------------------------------------


def _no_push_twice(seen: Seen) -> Iterator[str]:
    texts = Counter(text for _, _, text in seen.pushes)
    delivered = Counter(
        event.message_id
        for event in seen.events
        for name, end in event.ends.items()
        if name.endswith(PUSH) and end.status == "delivered"
    )
    unsure = {
        event.message_id
        for event in seen.events
        for name, end in event.ends.items()
        if not name.endswith(UPDATE) and end.status in {"dead", "discarded"}
    }
    ids = {one.message_id for one in seen.events if one.kind not in {"sale", "bought"}}
    for message_id in sorted(ids):
        count, said = texts[message_id], delivered[message_id]
        if count > 1 or said > 1:
            yield f"{message_id} was pushed {count} times, and said to be delivered {said} times"
        if count != said and message_id not in unsure:
            yield f"{message_id} was pushed {count} times, and ended as delivered {said} times"
    yield from _shared(seen)
    yield from _customs(seen)


def _shared(seen: Seen) -> Iterator[str]:
    """Pushes that look alike: as many for each person and text as have ended as delivered."""
    sales = [one for one in seen.events if one.kind == "sale"]
    shown = Counter((user, text) for _, user, text in seen.pushes if text in SALES)
    for user in REACHED:
        for name in SALES:
            mine = [
                one
                for one in sales
                if (one.told.what.user, one.told.what.says["name"]) == (user, name)
            ]
            ends = Counter(end.status for one in mine for end in one.ends.values())
            most = ends["delivered"] + ends["dead"] + ends["discarded"]
            if not ends["delivered"] <= shown[user, name] <= most:
                yield f"{user} was shown {name} {shown[user, name]} times, which ended as {ends}"


def _customs(seen: Seen) -> Iterator[str]:
    for event in seen.events:
        end = event.end("bought", "track_custom_event")
        if end is None:
            continue
        count = seen.customs[event.message_id]
        if count > 1 or (end.status == "delivered") > count:
            yield f"custom event {event.message_id} arrived {count} times, and ended as {end}"


# Order ---------------------------------------------------------------------------------------------


def sayings(events: Iterable[Event]) -> dict[tuple[str, str], list[Saying]]:
    """By user and tag, in the order of the events."""
    found: dict[tuple[str, str], list[Saying]] = defaultdict(list)
    for event in sorted(events, key=lambda one: one.order):
        what = event.told.what
        match what.kind:
            case "identify":
                for name, value in what.says.items():
                    found[what.user, name].append(Saying(event, "profile", value))
            case "viewed":
                found[what.user, "a"].append(Saying(event, "viewed", what.says["a"]))
            case "order":
                found[what.user, "b"].append(Saying(event, "order", what.says["b"]))
            case "audience":
                value = "true" if what.says["vip"] else None
                found[what.user, "aud_vip"].append(Saying(event, "audience", value))
            case "wrote":
                found[what.says["to"], "d"].append(Saying(event, "wrote", what.message_id))
            case _:
                pass
    return found


def _last_word_stays(seen: Seen) -> Iterator[str]:
    for (user, tag), said in sayings(seen.events).items():
        alive = [one for one in said if not _is_dead(one)]
        there = seen.tags.get(user, {}).get(tag)
        arrived = {
            tags[tag] or None for _, whose, tags in seen.writes if whose == user and tag in tags
        }
        if alive and said[-1] is alive[-1] and _counts(alive[-1], tag) is False:
            yield f"{user}'s {tag}: the last word, {alive[-1].event.message_id}, does not count"
        elif there not in (possible := _possible(said, tag, arrived)):
            yield f"{user}'s {tag} is {there}, and may be {possible}: {_words(said)}"


def _possible(said: list[Saying], tag: str, arrived: set[str | None]) -> list[str | None]:
    """What may be there: the last word, as far as the bridge says which words count.

    An update that was refused may have been performed by an attempt before that nobody heard of again.
    """
    values: list[str | None] = []
    for one in reversed(said):
        counts = False if _is_dead(one) else _counts(one, tag)
        if counts is not False or (_is_dead(one) and one.value in arrived):
            values.append(one.value)
        if counts or (counts is None and one is said[-1]):
            return values
    return [*values, None]


def _counts(one: Saying, tag: str) -> bool | None:
    """It was written, or need not be, because it was there; None: one or the other was so of each of its tags."""
    end = one.end
    if end is None:
        return False
    if end.reason == "overtaken":
        return None if len(one.event.told.what.says) > 1 else False
    overtaken = (end.detail or "").partition("overtaken: ")[2].partition(";")[0].split(", ")
    return f"tags.{tag}" not in overtaken


def _is_dead(one: Saying) -> bool:
    return one.end is None or one.end.status in {"dead", "discarded"}


def _words(said: list[Saying]) -> str:
    return ", ".join(f"{one.event.message_id}={one.value}: {one.end}" for one in said)


def _updates_before_pushes(seen: Seen) -> Iterator[str]:
    """A push leaves after what the same user did before it, as far as that was known."""
    by_tag = sayings(seen.events)
    for event in seen.events:
        left = seen.first_send.get((event.message_id, _recipient(event)))
        if left is None or event.kind == "wrote" or event.message_id in seen.died:
            continue
        if any(end.reason == "already_sent" for end in event.ends.values()):
            continue
        for (user, tag), said in by_tag.items():
            if user == event.told.what.user and tag != "d":
                yield from _late(seen, event, left, tag, said)


def _late(seen: Seen, event: Event, left: int, tag: str, said: list[Saying]) -> Iterator[str]:
    # What is said more than once counts for the last who says it: so nobody is blamed wrongly.
    numbers = {one.value or "": number for number, one in enumerate(said)}
    for number, one in enumerate(said):
        is_before = one.event.order < event.order and one.event.seq < event.seq
        is_new = one.value == one.event.message_id and one.event.message_id not in seen.died
        if not (is_before and is_new and _counts(one, tag)):
            continue
        user = event.told.what.user
        done = (
            at
            for at, whose, tags in seen.writes
            if whose == user and numbers.get(tags.get(tag, "?"), -1) >= number
        )
        if min(done, default=0) > left:
            yield f"{event.message_id} left before {one.event.message_id}, which came first"


# Audiences -----------------------------------------------------------------------------------------


def _once_for_a_stay(seen: Seen) -> Iterator[str]:
    told: dict[str, list[Event]] = defaultdict(list)
    for event in sorted(seen.events, key=lambda one: one.order):
        if event.kind == "audience":
            told[event.told.what.user].append(event)
    for user, events in told.items():
        stays = [
            list(some)
            for _, some in groupby(events, key=lambda one: bool(one.told.what.says["vip"]))
        ]
        fired = [[one for one in stay if _fired(one)] for stay in stays]
        for stay in fired:
            if len({one.message_id for one in stay}) > 1:
                yield f"{user} was welcomed {len(stay)} times for one stay"
        is_in = bool(events[-1].told.what.says["vip"])
        excused = any(_excuses(one) for one in events) or _overlap(stays)
        if is_in and not any(fired) and not excused:
            yield f"{user} is in the audience, and was never welcomed"


def _overlap(stays: list[list[Event]]) -> bool:
    """Somebody left while an entering was known already: nobody was told of it, so it is no news."""
    left = [one for stay in stays for one in stay if not one.told.what.says["vip"]]
    came = min(one.received_ms for one in stays[-1])
    return any(end.at_ms >= came for one in left for end in one.ends.values())


def _fired(event: Event) -> bool:
    end = event.end("welcome", PUSH)
    return end is not None and end.status != "skipped"


def _excuses(event: Event) -> bool:
    """It would have been welcomed, but for another reason than its stay."""
    end = event.end("welcome", PUSH)
    return _is_whole_death(event) or (
        end is not None and end.reason in {"person_cap", "already_sent", "too_old"}
    )


# Limits --------------------------------------------------------------------------------------------


def _once_in_its_time(seen: Seen, schedule: Schedule) -> Iterator[str]:
    if schedule.has_people:
        return
    written: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in seen.events:
        end = event.end("drop", PUSH)
        if end is not None and end.status == "delivered":
            what = event.told.what
            written[what.user, what.says["sku"]].append(seen.written_ms[event.message_id])
    for (user, sku), times in written.items():
        if any(after - before < ONCE_MS for before, after in pairwise(sorted(times))):
            yield f"{user} was told of {sku} twice in an hour"


def _never_too_many(seen: Seen, schedule: Schedule) -> Iterator[str]:
    if schedule.has_people:
        return
    capped = {one.message_id for one in seen.events if one.kind in {"order", "drop", "audience"}}
    by_user: dict[str, list[int]] = defaultdict(list)
    for at_ms, user, text in seen.pushes:
        if text in capped:
            by_user[user].append(at_ms)
    for user, times in by_user.items():
        for first, last in zip(times, times[CAP:], strict=False):
            if last - first < CAP_MS:
                yield f"{user} got {CAP + 1} pushes within a quarter of an hour"


def _limits(seen: Seen) -> Iterator[str]:
    yield from seen.complaints
    if seen.refused:
        yield f"{seen.refused} calls were above a limit of OneSignal's"


# Looking -------------------------------------------------------------------------------------------


async def look(world: World, told: list[Told]) -> Seen:
    ends: dict[int, dict[str, End]] = defaultdict(dict)
    rows = "SELECT seq, rule, operation, status, reason, detail, at_ms FROM outcome"
    for seq, rule, operation, *end in await world.rows(rows):
        ends[seq][f"{rule}/{operation}"] = End(*end)
    heard = {
        (source, message_id): (seq, received_ms)
        for seq, received_ms, source, message_id in await world.rows(
            "SELECT seq, received_ms, source, message_id FROM event"
        )
    }
    events = []
    for one in told:
        seq, received_ms = heard.get((one.source, one.what.message_id), (-1, 0))
        events.append(Event(one, seq, received_ms, ends[seq]))
    sandbox = world.sandbox
    letters = await world.rows("SELECT DISTINCT message_id FROM dead")
    sends = (
        "SELECT message_id, min(created_ms) FROM send JOIN event USING (seq) GROUP BY message_id"
    )
    return Seen(
        events=events,
        tags={user.external_id or "": user.tags for user in sandbox.users},
        pushes=[(one.at_ms, one.external_id or "", one.text) for one in sandbox.pushes],
        customs=Counter(one.payload["id"] for one in sandbox.events),
        writes=list(_writes(sandbox.calls)),
        first_send=_first_sends(sandbox.calls),
        complaints=[f"OneSignal complains: {one}" for one in sandbox.complaints],
        refused=sum(one.status == 429 and one.fault is None for one in sandbox.calls),
        died={message_id for (message_id,) in letters},
        written_ms=dict(await world.rows(sends)),
        calls=[_call(number, one) for number, one in enumerate(sandbox.calls)],
    )


def _call(number: int, call: Any) -> str:
    fault = f" ({call.fault})" if call.fault else ""
    return f"{number} at {call.at_ms} {call.method} {call.path}: {call.status}{fault} {call.body}"


def _writes(calls: Iterable[Any]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for number, call in enumerate(calls):
        if call.endpoint_class == "write" and call.applied and isinstance(call.body, dict):
            tags = call.body.get("properties", {}).get("tags")
            if tags and call.user:
                yield number, call.user, tags


def _first_sends(calls: Iterable[Any]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for number, call in enumerate(calls):
        if call.endpoint_class == "send" and isinstance(call.body, dict):
            text = call.body["contents"]["en"]
            for user in call.body.get("include_aliases", {}).get("external_id", []):
                found.setdefault((text, user), number)
    return found
