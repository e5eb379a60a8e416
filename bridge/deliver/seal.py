"""What shares a call, and what that call is. Pure.

Pushes of one rule share a call when their bodies are equal but for recipient and key, platform flags
included; custom events of one app share calls whatever they say. The key of a call of pushes is the
uuid5 of its members' sorted keys, and that of a call of one is that member's own: the same members
make the same call, whenever and by whom they are put together.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from bridge.journal.groups import Member, MemberEnd, Sealed
from bridge.journal.records import GROUP_LANES, Death, SendGroup
from bridge.onesignal.api import Api, api_of
from bridge.onesignal.operations import NAMESPACE, Send, SendNotification, TrackCustomEvent
from bridge.onesignal.user_model import EventKey, custom_event, custom_events_body
from bridge.onesignal.verdict import Accepted

EVENTS_BYTES = 1_000_000
"""Of one call (reference/create-custom-events)."""
EVENTS_PER_CALL = 500
_EVENTS_FRAME = 100
"""Bytes of a call that are not events', at the most."""
OPERATIONS = {"send": SendNotification.name, "event": TrackCustomEvent.name}
"""What a shared call carries, by who listens."""
SAME_AGE_MS = 15 * 60_000
"""A call of unknown outcome is not repeated once its first member is too old, so members are of an age."""


def group_of(send: Send, *, app: str, api: Api, app_id: str, rank: int) -> SendGroup:
    """What a send may share a call with."""
    path = api.send_path(send, app_id=app_id)
    if isinstance(send, TrackCustomEvent):
        endpoint, rule, label, body = "event", "", "", b""
    else:
        endpoint, rule, label = "send", send.rule, send.addressed[0]
        body = api.notification_content(send, app_id=app_id)
    named = "\0".join((endpoint, app, rule, label, path, str(rank))).encode()
    id_ = hashlib.blake2b(named + b"\0" + body, digest_size=16).digest()
    return SendGroup(
        id=id_,
        app=app,
        endpoint="event" if endpoint == "event" else "send",
        lane=GROUP_LANES[id_[0] % len(GROUP_LANES)],
        rank=rank,
        label=label,
        method="POST",
        path=path,
        body=body,
    )


def part_of(send: Send, *, key: str, event_key: EventKey) -> bytes | None:
    """What a send brings to the call that it shares, beside its recipient."""
    if isinstance(send, SendNotification):
        return orjson.dumps(send.subscriptions) if send.subscriptions else None
    return custom_event(send, key=key, event_key=event_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealer:
    """Chooses who shares a call, and writes it."""

    #: Recipients of one push call.
    most: int

    def limit(self, endpoint: str) -> int:
        """Members that are looked at for one call."""
        return EVENTS_PER_CALL if endpoint == "event" else self.most

    def choose(self, group: SendGroup, waiting: Sequence[Member]) -> Sequence[Member]:
        """Those of one age; of a push each person once: somebody named twice would get one for two."""
        first = waiting[0].expires_ms
        alike = [one for one in waiting if _of_an_age(first, one.expires_ms)]
        if group.endpoint == "event":
            return _within_bytes(alike)
        chosen: dict[str, Member] = {}
        for one in alike:
            chosen.setdefault(one.recipient, one)
        return _within_ids(list(chosen.values()), self.most)

    def make(self, group: SendGroup, members: Sequence[Member]) -> tuple[str, bytes]:
        """The key and the exact bytes of the call of these members."""
        by_key = sorted(members)
        key = call_key([one.key for one in by_key])
        if group.endpoint == "event":
            return key, custom_events_body([one.part or b"{}" for one in by_key])
        # Two people may have one device, and it gets one push.
        ids = list(dict.fromkeys(id_ for one in by_key for id_ in ids_of(one)))
        # As it was written, whichever API the app speaks by now.
        api = api_of(group.path)
        return key, api.notification_for(group.body, label=group.label, ids=ids, key=key)


def ids_of(member: Member) -> list[str]:
    """By what a call of pushes names one member: devices, or its own id."""
    if member.part is None:
        return [member.recipient]
    return [str(id_) for id_ in orjson.loads(member.part)]


def call_key(keys: Sequence[str]) -> str:
    """The key of the call of these sends."""
    if len(keys) == 1:
        return keys[0]
    return str(uuid.uuid5(NAMESPACE, "|".join(sorted(keys))))


def _of_an_age(first: int | None, other: int | None) -> bool:
    if first is None or other is None:
        return first is other
    return abs(first - other) <= SAME_AGE_MS


def _within_ids(waiting: Sequence[Member], most: int) -> Sequence[Member]:
    """Of people with several devices fewer share a call."""
    count = 0
    for number, one in enumerate(waiting):
        count += 1 if one.part is None else len(ids_of(one))
        if count > most:
            return waiting[: max(1, number)]
    return waiting


def _within_bytes(waiting: Sequence[Member]) -> Sequence[Member]:
    size = _EVENTS_FRAME
    for number, one in enumerate(waiting):
        size += len(one.part or b"") + 1
        if size > EVENTS_BYTES:
            return waiting[: max(1, number)]
    return waiting


# Ends ---------------------------------------------------------------------------------------------


def accepted(member: Member, verdict: Accepted, *, endpoint: str) -> MemberEnd:
    """How one member of a call ended that OneSignal took."""
    if endpoint == "event":
        if member.key in verdict.failed_events:
            return MemberEnd("no_recipients", "unknown_user", verdict.status)
    elif verdict.unreached.issuperset(ids_of(member)):
        return MemberEnd("no_recipients", "not_subscribed", verdict.status)
    return MemberEnd("delivered", None, verdict.status)


def died(
    member: Member, call: Sealed, request: bytes, *, reason: str, http: int | None, answer: str
) -> MemberEnd:
    """How one member of a call ended that a person has to look at; `request` is its own."""
    death = Death(
        rule=member.rule,
        operation=OPERATIONS[call.endpoint],
        reason=reason,
        request=request,
        answer=answer,
        http=http,
        attempt=call.attempt + 1,
        uncertain=call.uncertain,
        send_key=member.key,
    )
    return MemberEnd("dead", reason, http, death)
