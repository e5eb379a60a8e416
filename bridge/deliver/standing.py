"""May a send be written now? What has to be known of it, and what that comes to. Pure.

The journal reads what a `Guard` asks for and calls `ruling` in the transaction that writes the send;
`plan.guards` has the questions and their order, and here are those that need more than a rule's
terms: what a later event already contradicts, and the volume guard.

    wait: volume_guard    rules without a cap send more, together, than twice the people reached
                          lately in 15 minutes; at ten times OneSignal disables the app
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from bridge.journal.records import Waiting
from bridge.journal.sends import Guard, Known, Ruling
from bridge.mapping.rules import Mapping
from bridge.mapping.terms import Stay, Terms
from bridge.onesignal.operations import Send, SendNotification
from bridge.plan import stay_of, triage
from bridge.plan.guards import Go, Hold, Standing, Stop, judge
from bridge.segment.events import Unusable, read_event

VOLUME_PER_PERSON = 2
VOLUME_MS = 900_000


def guard_of(terms: Terms, asked: Terms, *, once: int | None, is_push: bool) -> Guard:
    """What has to be known; `once` is the hash of the key of `once_per`.

    What a person has `asked` for takes the places that its rule's `terms` say, though none is asked for.
    """
    return Guard(
        audience=None if terms.stay is None else terms.stay.audience,
        once=once,
        once_ms=None if terms.once is None else terms.once.time_ms,
        cap_ms=None if asked.cap is None else asked.cap.per_ms,
        limit_ms=None if asked.limit is None else asked.limit.per_ms,
        volume_ms=VOLUME_MS if is_push and terms.cap is None else None,
    )


def checked(send: Send, terms: Terms) -> Terms:
    """Those of a rule's terms that are asked of this send."""
    # Nobody is disturbed by a custom event, and no limit of OneSignal's on volume counts it.
    return terms if isinstance(send, SendNotification) else terms._replace(cap=None, limit=None)


def ruling(
    terms: Terms,
    known: Known,
    *,
    event_ms: int,
    now_ms: int,
    paused: bool,
    starts_ms: int | None = None,
) -> Ruling:
    """What becomes of a send; `starts_ms`: when its rule began to act."""
    if known.passing and terms.stay is not None:
        return Ruling("stop", "membership_over")
    standing = Standing(
        membership=_membership(terms, known),
        fired=_is_no_news(known, starts_ms),
        once_taken_ms=known.once_taken_ms,
        person_sends=known.person_sends,
        rule_sends=known.rule_sends,
        rule_held=known.rule_held,
        paused=paused,
    )
    match judge(terms, standing, event_ms=event_ms, now_ms=now_ms):
        case Stop(reason=reason):
            return Ruling("stop", reason)
        case Hold(reason=reason):
            return Ruling("hold", reason, first=reason == "limit" and not known.rule_held)
        case Go():
            return _within_volume(terms, known)


def _membership(terms: Terms, known: Known) -> Stay | None:
    if terms.stay is None or known.membership is None:
        return None
    return Stay(terms.stay.audience, known.membership.entered, known.membership.since_ms)


def _is_no_news(known: Known, starts_ms: int | None) -> bool:
    """The rule has fired for this stay, or has nothing to say of one that began before it did."""
    stay = known.membership
    if stay is None:
        return known.fired
    is_older = starts_ms is not None and stay.since_ms < starts_ms
    return known.fired or stay.quiet or is_older


def _within_volume(terms: Terms, known: Known) -> Ruling:
    if terms.cap is None and known.volume_sends >= VOLUME_PER_PERSON * max(1, known.people):
        return Ruling("wait", "volume_guard", known.volume_until_ms)
    return Ruling("go")


def contradicts(
    rows: Sequence[Waiting], row: Waiting, stay: Stay, mapping: Callable[[str], Mapping]
) -> bool:
    """Whether a later one of these pending events says the opposite of what `row` says."""
    later = [one for one in rows if (one.event_ms, one.seq) > (row.event_ms, row.seq)]
    return any(_says_otherwise(one, stay, mapping(one.source)) for one in later)


def _says_otherwise(row: Waiting, stay: Stay, mapping: Mapping) -> bool:
    try:
        said = _stay(row, mapping)
    except Exception:  # noqa: BLE001 — an event that breaks us is its own chain's trouble, later
        return False
    return said is not None and said.audience == stay.audience and said.entered != stay.entered


def _stay(row: Waiting, mapping: Mapping) -> Stay | None:
    event = read_event(
        orjson.loads(row.payload),
        raw=row.payload,
        source=row.source,
        received_ms=row.received_ms,
        reverse_etl=mapping.reverse_etl,
    )
    if isinstance(event, Unusable) or triage(event, mapping).skip is not None:
        return None
    return stay_of(event)
