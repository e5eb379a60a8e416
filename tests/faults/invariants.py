"""The promises, checked: what every test of faults must leave true once nothing is pending.

I1 nothing lost, I2 no double push, I3 order, I4 limits, I5 bounded, I6 told, I7 iOS. Each is a
generator of what is wrong, in words; `violations` is all of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from bridge.onesignal.pool import CONNECTIONS
from tests.faults.canary import WORD
from tests.faults.reference import Ledger, Value, ledger_of, tags_written, was_done
from tests.faults.sender import Key, Sent
from tests.faults.sight import OutcomeRow, Sight
from tests.faults.story import Story
from tests.faults.told import Told

TERMINAL = {"delivered", "skipped", "no_recipients", "dead", "discarded"}
IOS = {"ios", "ios-web"}
_TEST_MESSAGE = "segment-test-message-"
MOST_RSS = 300_000_000
MOST_NEW_DESCRIPTORS = CONNECTIONS + 64
"""As many connections as it keeps to one app, and some to those who send."""


class Violation(NamedTuple):
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What OneSignal publishes; `tolerance` is for clocks that are not the same."""

    writes: int = 1000
    sends: int = 150
    properties: int = 100
    tolerance: float = 0.0
    #: Between two writes to a user.
    spacing_ms: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that the check is about."""

    story: Story
    sent: Sent
    sight: Sight
    told: Told
    limits: Limits
    #: Complaints of the sandbox that the fault itself brings about.
    excused: frozenset[str] = frozenset()
    #: MessageIds that were posted again after they were forgotten.
    forgotten: frozenset[str] = frozenset()


def violations(scene: Scene) -> list[Violation]:
    checks = {
        "I1": nothing_lost,
        "I2": no_double_push,
        "I3": order,
        "I4": limits,
        "I5": bounded,
        "I6": told,
        "I7": ios,
    }
    return [Violation(code, text) for code, check in checks.items() for text in check(scene)]


# I1 --------------------------------------------------------------------------------------------


def nothing_lost(scene: Scene) -> Iterator[str]:
    sight, sent = scene.sight, scene.sent
    if not sent.acknowledged and not sent.rejected and not sent.unnamed:
        yield "nothing was accepted, so nothing was shown"
    if sight.pending:
        yield f"{sight.pending} are still pending"
    kept = Counter((row.source, row.message_id) for row in sight.events)
    outcomes = _by_seq(sight.outcomes)
    yield from _not_kept(sent, kept, scene.forgotten)
    for row in sight.events:
        yield from _bad_ends(scene, (row.source, row.message_id), outcomes.get(row.seq, []))
    for send in sight.sends:
        if send.state in {"pending", "held"}:
            yield f"the send {send.key} has not ended"
    yield from _untrue(scene, outcomes)


def _by_seq(outcomes: Iterable[OutcomeRow]) -> dict[int, list[OutcomeRow]]:
    found: dict[int, list[OutcomeRow]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.seq].append(outcome)
    return found


def _not_kept(sent: Sent, kept: Counter[Key], forgotten: frozenset[str]) -> Iterator[str]:
    for key, times in sent.acknowledged.items():
        may_be_again = key[1].startswith(_TEST_MESSAGE) or key[1] in forgotten
        if not kept[key] and sent.posted[key].get("userId") in sent.erased:
            continue
        if not kept[key]:
            yield f"{key} was answered 200 and is not there"
        elif kept[key] > 1 and not may_be_again:
            yield f"{key} is there {kept[key]} times"
        elif kept[key] > times and may_be_again:
            yield f"{key} is there {kept[key]} times, and was answered 200 {times} times"
    made_up = sum(count for (_, name), count in kept.items() if name.startswith("sha-"))
    if sent.unnamed and not made_up:
        yield "events without a messageId were answered 200 and are not there"


def _bad_ends(scene: Scene, key: Key, ends: list[OutcomeRow]) -> Iterator[str]:
    if not ends:
        yield f"{key} has no outcome"
    for end in ends:
        if end.status not in TERMINAL:
            yield f"{key} ends as {end.status}"
        elif end.status in {"skipped", "dead", "discarded"} and not end.reason:
            yield f"{key} is {end.status} for no reason"
    event = scene.sent.posted.get(key)
    if scene.story.owes is None or event is None or any(not end.rule for end in ends):
        return
    owed, done = scene.story.owes(event), {(end.rule, end.operation) for end in ends}
    if owed != done:
        yield f"{key} owes {sorted(owed)}, and {sorted(done)} have ended"


def _untrue(scene: Scene, outcomes: dict[int, list[OutcomeRow]]) -> Iterator[str]:
    """What is called delivered, and OneSignal never got."""
    got = {event["idempotency_key"] for event in scene.sight.custom_events}
    got |= {
        call["idempotency_key"]
        for call in scene.sight.calls
        if call["endpoint_class"] == "send" and was_done(call)
    }
    for send in scene.sight.sends:
        said = [end for end in outcomes.get(send.seq, []) if end.rule == send.rule]
        if send.state == "delivered" and not {send.key, send.call_key} & got:
            yield f"the send {send.key} is called delivered, and OneSignal never got it"
        if send.state in TERMINAL and not said:
            yield f"the send {send.key} ended, and its event does not say so"


# I2 --------------------------------------------------------------------------------------------


def no_double_push(scene: Scene) -> Iterator[str]:
    sight = scene.sight
    notifications: dict[str, set[str]] = defaultdict(set)
    for push in sight.pushes:
        notifications[str(push["idempotency_key"])].add(push["notification_id"])
    for key, made in notifications.items():
        if len(made) > 1 or key == "None":
            yield f"the key {key} made {len(made)} notifications"
    shown = Counter((p["notification_id"], p["subscription_id"]) for p in sight.pushes)
    yield from (f"{one} was shown {times} times" for one, times in shown.items() if times > 1)
    yield from _keys(scene)
    if scene.story.says_message_id:
        yield from _texts(scene)


def _keys(scene: Scene) -> Iterator[str]:
    message_of = {row.seq: row.message_id for row in scene.sight.events}
    keys: dict[tuple[str, str, str, int], set[str]] = defaultdict(set)
    for send in scene.sight.sends:
        message_id = message_of.get(send.seq, f"seq {send.seq}")
        if message_id.startswith(_TEST_MESSAGE):
            message_id += f"#{send.seq}"
        keys[message_id, send.rule, send.recipient, send.generation].add(send.key)
    for (message_id, rule, _, generation), found in keys.items():
        if len(found) > 1:
            yield f"{message_id} has {len(found)} keys for {rule}, generation {generation}"


def _texts(scene: Scene) -> Iterator[str]:
    """From the phones' side: nobody saw the same message twice but for a person's replay."""
    message_of = {row.seq: row.message_id for row in scene.sight.events}
    replayed = {message_of.get(send.seq) for send in scene.sight.sends if send.generation}
    seen = Counter((push["text"], push["subscription_id"]) for push in scene.sight.pushes)
    for (text, device), times in seen.items():
        if times > 1 and text not in replayed and not text.startswith(_TEST_MESSAGE):
            yield f"the device {device} showed {text} {times} times"


# I3 --------------------------------------------------------------------------------------------


def order(scene: Scene) -> Iterator[str]:
    if scene.story.tags is None:
        return
    ledger = ledger_of(scene.story, scene.sent.posted, scene.sight)
    yield from _final(scene, ledger)
    yield from _early_pushes(scene, ledger)


def _final(scene: Scene, ledger: Ledger) -> Iterator[str]:
    has = {user["identity"].get("external_id"): user["tags"] for user in scene.sight.users}
    for user, tags in ledger.words.items():
        for tag in tags:
            value, allowed = has.get(user, {}).get(tag), ledger.final(user, tag)
            if value not in allowed:
                yield f"{user} has {tag}={value!r}, and should have {_or(allowed)}"


def _or(values: set[Value]) -> str:
    return " or ".join(sorted(map(repr, values)))


def _early_pushes(scene: Scene, ledger: Ledger) -> Iterator[str]:
    """Calls in their order: when a push is made, its user has what was said before it."""
    members: dict[str | None, list[int]] = defaultdict(list)
    for send in scene.sight.sends:
        members[send.call_key].append(send.seq)
    now: dict[str, dict[str, Value]] = defaultdict(dict)
    made: set[str] = set()
    for call in filter(was_done, scene.sight.calls):
        if written := tags_written(call):
            now[written[0]].update(written[1])
        key = call["idempotency_key"]
        if call["endpoint_class"] != "send" or key in made:
            continue
        made.add(key)
        for seq in members.get(key, ()):
            yield from _early(ledger, seq, now)


def _early(ledger: Ledger, seq: int, now: dict[str, dict[str, Value]]) -> Iterator[str]:
    if seq not in ledger.of_seq:
        return
    user, at_ms = ledger.of_seq[seq]
    for tag in ledger.words.get(user, ()):
        allowed, value = ledger.since(user, tag, seq, at_ms), now[user].get(tag)
        if allowed is not None and value not in allowed:
            yield f"the push of event {seq} left while {user} had {tag}={value!r}, before {_or(allowed)}"


# I4 --------------------------------------------------------------------------------------------


def limits(scene: Scene) -> Iterator[str]:
    yield from _too_fast(scene)
    yield from _too_soon(scene)
    for call in scene.sight.calls:
        if (count := _properties(call)) > scene.limits.properties:
            yield f"a request has {count} properties"
    for one in scene.sight.complaints:
        if one["code"] not in scene.excused:
            yield f"OneSignal complains: {one['code']}, {one['text']}"
    yield from _too_many_pushes(scene)


def _too_fast(scene: Scene) -> Iterator[str]:
    allowed = scene.limits
    for name, most in (("write", allowed.writes), ("send", allowed.sends)):
        moments = [one["at_ms"] for one in scene.sight.calls if one["endpoint_class"] == name]
        if (peak := most_within(moments, 1000)) > most * (1 + allowed.tolerance):
            yield f"{peak} requests of the class {name} came within a second, and {most} may"


def _too_soon(scene: Scene) -> Iterator[str]:
    writes: dict[str, list[int]] = defaultdict(list)
    for call in scene.sight.calls:
        if call["endpoint_class"] == "write" and call["user"] is not None:
            writes[call["user"]].append(call["at_ms"])
    shortest = scene.limits.spacing_ms * (1 - scene.limits.tolerance)
    for user, moments in writes.items():
        gap = min((after - before for before, after in pairwise(sorted(moments))), default=shortest)
        if gap < shortest:
            yield f"{user} was written to twice within {gap} ms"


def _properties(call: dict[str, Any]) -> int:
    body = call["body"] if isinstance(call["body"], dict) else {}
    said: Any = body.get("properties") or {}
    if call["endpoint_class"] != "write" or not isinstance(said, dict):
        return 0
    return len([*(said.get("tags") or ()), *(name for name in said if name != "tags")])


def most_within(moments: list[int], milliseconds: int) -> int:
    """The most moments that any stretch of so long holds."""
    moments = sorted(moments)
    ends = (bisect_left(moments, at + milliseconds) for at in moments)
    return max((end - start for start, end in enumerate(ends)), default=0)


def _too_many_pushes(scene: Scene) -> Iterator[str]:
    if scene.story.cap is None:
        return
    most, per_ms = scene.story.cap
    got: dict[str, dict[str, int]] = defaultdict(dict)
    for push in scene.sight.pushes:
        got[str(push["external_id"])][push["notification_id"]] = push["at_ms"]
    for user, moments in got.items():
        if (count := most_within(list(moments.values()), per_ms)) > most:
            yield f"{user} got {count} pushes within {per_ms} ms"


# I5 and I6 -------------------------------------------------------------------------------------


def bounded(scene: Scene) -> Iterator[str]:
    for used in scene.sight.resources:
        if (peak := max(used.rss_bytes, default=0)) >= MOST_RSS:
            yield f"the process used {peak // 1_000_000} MB"
        grown = max(used.descriptors, default=0) - min(used.descriptors, default=0)
        if grown > MOST_NEW_DESCRIPTORS:
            yield f"the process opened {grown} more files and sockets than it began with"


def told(scene: Scene) -> Iterator[str]:
    said = scene.told
    if said.quiet is None and not said.expected_lines:
        yield "the test does not say which log line tells of its fault"
    if said.quiet is None and not said.expected_metrics:
        yield "the test does not say which metric tells of its fault"
    for event, fields in said.expected_lines:
        if not said.has_line(event, fields):
            yield f"no log line {event} {fields}"
    for name, labels in said.expected_metrics:
        if not said.has_metric(name, labels):
            yield f"no metric {name} {labels} above 0"
    answers = [("an answer", text) for text in scene.sent.answers]
    yield from _given_away([*said.everything(), *answers])


def _given_away(everything: Iterable[tuple[str, str]]) -> Iterator[str]:
    for where, text in everything:
        for line in text.splitlines():
            if WORD in line:
                yield f"personal data or a secret in {where}: {line[:300]}"
                break


# I7 --------------------------------------------------------------------------------------------


def ios(scene: Scene) -> Iterator[str]:
    if not scene.story.without_ios:
        return
    for push in scene.sight.pushes:
        if push["platform"] in IOS:
            yield f"an iOS device was reached by {push['idempotency_key']}"
    not_ios = _subscriptions_but_ios(scene.sight.users)
    for call in scene.sight.calls:
        if call["endpoint_class"] == "send" and not _leaves_ios_out(call["body"], not_ios):
            yield f"a notification without the allow-list: {call['idempotency_key']}"


def _subscriptions_but_ios(users: Iterable[dict[str, Any]]) -> set[str]:
    devices = [device for user in users for device in user["devices"]]
    return {one["subscription_id"] for one in devices if one["platform"] not in IOS}


def _leaves_ios_out(body: dict[str, Any], not_ios: set[str]) -> bool:
    if named := body.get("include_subscription_ids"):
        return set(named) <= not_ios
    flags = {name: value for name, value in body.items() if name.startswith("is") and value is True}
    safe = {"isAndroid", "isChromeWeb", "isFirefox", "isHuawei", "isAdm", "isWP_WNS"}
    return body.get("isIos") is False and bool(flags) and flags.keys() <= safe
