"""From the elements of a request to journal entries: what each is, and whether anything needs it.

Pure. An event that nothing can use ends here, without becoming work; one that is not an event at
all is kept as dead, so that a person can see what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from bridge.journal.records import LIVE, End, Entry, Link, made
from bridge.mapping.nearest import nearest, nearest_name
from bridge.mapping.rules import Mapping, Rule
from bridge.onesignal.operations import EXTERNAL_ID, Recipient
from bridge.plan import Skip, Triage, triage
from bridge.segment.audience import ReverseEtl
from bridge.segment.body import Element
from bridge.segment.deletion import ERASED_FOR_MS, deletion
from bridge.segment.dropping import Paths, without
from bridge.segment.events import Event, Unusable, rank_of, read_event
from bridge.segment.ids import message_id_of

_NAME_LENGTH = 200


class Hashing(Protocol):
    """The two hashes of the journal that an entry needs."""

    def user_hash(self, app: str, external_id: str) -> int: ...

    def hash_of(self, app: str, label: str, id_: str) -> int: ...

    def dedupe_key(self, source: str, message_id: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRoute:
    """What is known of a source: its name, the app it goes to, how it is treated."""

    name: str
    app: str
    bulk: bool = False
    keep_unmatched: bool = False
    #: What is removed from an event before anything of it is stored.
    drop: Paths = ()


@dataclass(slots=True)
class Accepted:
    """The entries of one request, and what its answer will say beside their number."""

    entries: list[Entry] = field(default_factory=list)
    #: Of each entry the text that it came as, and the rules that it met.
    texts: list[bytes] = field(default_factory=list)
    met: list[tuple[Rule, ...]] = field(default_factory=list)
    #: How the source is read.
    reverse_etl: ReverseEtl | None = None
    rejected: list[dict[str, Any]] = field(default_factory=list)
    note: str | None = None


def accept(
    elements: Iterable[Element],
    source: SourceRoute,
    mapping: Mapping,
    hashing: Hashing,
    *,
    now_ms: int,
) -> Accepted:
    """Everything to be written for one request; of an element nothing is held but its text."""
    accepted = Accepted(reverse_etl=mapping.reverse_etl)
    if source.drop:
        elements = map(partial(without, paths=source.drop), elements)
    first: tuple[Event, Triage] | None = None
    for index, element in enumerate(elements):
        accepted.texts.append(element.raw)
        event = read_event(
            element.value,
            raw=element.raw,
            source=source.name,
            received_ms=now_ms,
            reverse_etl=mapping.reverse_etl,
        )
        if isinstance(event, Unusable):
            accepted.entries.append(_unusable(event, element, source, hashing, now_ms))
            accepted.met.append(())
            accepted.rejected.append({"index": index, "code": event.code, "message": event.message})
            continue
        triaged = _triage(event, mapping)
        accepted.entries.append(_entry(event, triaged, element.raw, source, hashing))
        accepted.met.append(triaged.rules)
        if index == 0:
            first = event, triaged
    if first is not None and len(accepted.entries) == 1:
        accepted.note = _note(*first, mapping)
    return accepted


def _triage(event: Event, mapping: Mapping) -> Triage:
    try:
        return triage(event, mapping)
    except Exception:  # noqa: BLE001 — whatever one event does to us, its neighbours are answered
        # Planning it fails in the same way, and leaves a dead letter and a log line.
        return Triage(None)


def _entry(
    event: Event, triaged: Triage, raw: bytes, source: SourceRoute, hashing: Hashing
) -> Entry:
    if triaged.erases or triaged.links:
        return _of_itself(event, triaged, raw, source, hashing)
    user, skip, name = triaged.user, triaged.skip, event.name
    rank = None
    if skip is None:
        # A plain number: what only behaves like one costs SQLite's module ten times as much.
        rank = int(rank_of(event, now_ms=event.received_ms, source_is_bulk=source.bulk))
    return made(
        Entry,
        (
            source.name,
            source.app,
            event.message_id,
            event.type[:_NAME_LENGTH],
            name[:_NAME_LENGTH] if name else None,
            _hash_of(user, source.app, hashing) if user else 0,
            event.received_ms,
            event.event_ms,
            raw if skip is None or source.keep_unmatched else None,
            None if event.is_test else hashing.dedupe_key(source.name, event.message_id),
            rank,
            None if skip is None else End("", "", "skipped", skip.reason, skip.detail),
            None,
            (),
            None,
        ),
    )


def _hash_of(user: Recipient, app: str, hashing: Hashing) -> int:
    if user.label == EXTERNAL_ID:
        return hashing.user_hash(app, user.id)
    return hashing.hash_of(app, user.label, user.id)


def _of_itself(
    event: Event, triaged: Triage, raw: bytes, source: SourceRoute, hashing: Hashing
) -> Entry:
    """An event that says something whatever the rules are."""
    if triaged.erases and triaged.user is not None:
        return _erasure(event, triaged.user.id, source, hashing)
    return _linking(event, triaged, raw, source, hashing)


def _linking(
    event: Event, triaged: Triage, raw: bytes, source: SourceRoute, hashing: Hashing
) -> Entry:
    """An event that says whose an id is; when that is no news, only its rules want it."""
    external_id = triaged.user.id if triaged.user else ""
    links = [
        Link(hashing.hash_of(source.app, *one), one.label, one.id, external_id)
        for one in triaged.links
    ]
    plain = triaged._replace(links=())
    unlinked = None
    if not plain.wants:
        nothing = plain._replace(skip=Skip(reason="no_rule"))
        unlinked = _entry(event, nothing, raw, source, hashing)
    entry = _entry(event, plain, raw, source, hashing)
    return entry._replace(links=links, unlinked=unlinked)


def _erasure(event: Event, external_id: str, source: SourceRoute, hashing: Hashing) -> Entry:
    """Of a request to erase somebody nothing is kept but whom it is about."""
    return Entry(
        source=source.name,
        app=source.app,
        message_id=event.message_id,
        dedupe_key=None if event.is_test else hashing.dedupe_key(source.name, event.message_id),
        type=event.type,
        name=None,
        user_hash=hashing.user_hash(source.app, external_id),
        received_ms=event.received_ms,
        event_ms=event.event_ms,
        payload=deletion(external_id, message_id=event.message_id, at_ms=event.event_ms),
        rank=LIVE,
        erases_ms=event.event_ms + ERASED_FOR_MS,
    )


def _unusable(
    unusable: Unusable, element: Element, source: SourceRoute, hashing: Hashing, now_ms: int
) -> Entry:
    # Named by its bytes, so that a batch that is sent again does not leave a second dead letter.
    message_id = message_id_of({}, element.raw)
    return Entry(
        source=source.name,
        app=source.app,
        message_id=message_id,
        dedupe_key=hashing.dedupe_key(source.name, message_id),
        type="",
        name=None,
        user_hash=0,
        received_ms=now_ms,
        event_ms=now_ms,
        # In what is no event there is no telling where that stands which is not to be stored.
        payload=None if source.drop else element.raw,
        rank=None,
        ended=End("", "", "dead", unusable.code.replace("-", "_"), unusable.message),
    )


_ERASED_HERE = (
    "the user is erased here; at OneSignal, whose legacy API deletes nobody, the tags that were written"
    " are emptied, and the devices are yours to delete"
)


def _note(event: Event, triaged: Triage, mapping: Mapping) -> str:
    """What a person who tries one event wants to know; names rules, never a value of the event."""
    if triaged.erases:
        is_legacy = mapping.api == "legacy"
        return _ERASED_HERE if is_legacy else "the user is erased, at OneSignal and here"
    if triaged.skip is None:
        return _what_may_come(triaged)
    if triaged.skip.reason != "no_rule":
        return f"skipped: {triaged.skip.reason}"
    return f"no rule wants this event{_what_is_near(event, mapping)}"


def _what_may_come(triaged: Triage) -> str:
    acting = f"rules that may act: {', '.join([rule.name for rule in triaged.rules])}"
    if triaged.links:
        linking = "two ids are one person's from now on, if that is news"
        return f"{linking}; {acting}" if triaged.rules else linking
    if triaged.rules:
        return acting
    what = "its phone" if triaged.token else "an audience"
    return f"no rule acts on this event; what it says of {what} is remembered"


def _what_is_near(event: Event, mapping: Mapping) -> str:
    if not event.type:
        return ": it has no `type`. Does the webhook's mapping send the whole event ($.)?"
    near = nearest_name((event.name or "")[:_NAME_LENGTH], mapping.event_names)
    if near is not None:
        return f"; the nearest event name in the mapping is {near}"
    # What a condition lacks takes a while to find: for who tries one event, not for every event.
    rule = nearest(mapping.rules, event.fields) if event.is_test else None
    return f"; {rule}" if rule else ""
