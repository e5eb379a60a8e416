"""What is made of an element before it is written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.journal import hashing
from bridge.journal.records import BULK, LIVE, End, Entry
from bridge.receive.accept import SourceRoute, accept
from bridge.segment.body import Element
from tests.harness import identify, mapping_of, track

MAPPING = """
version: 1
rules: [{name: profile, when: 'type = "identify"', do: {update_user: {tags: {tier: gold}}}}]
"""
SALT = b"salt"


class Hashing:
    dedupe_key = staticmethod(hashing.dedupe_key)

    def user_hash(self, app: str, external_id: str) -> int:
        return hashing.user_hash(SALT, app, external_id)

    def hash_of(self, app: str, label: str, id_: str) -> int:
        return hashing.hash_of(SALT, app, label, id_)


def entry_of(event: dict[str, object], mapping: str = MAPPING, *, bulk: bool = False) -> Entry:
    element = Element(event, orjson.dumps(event))
    source = SourceRoute(name="backend", app="shop", bulk=bulk)
    (entry,) = accept([element], source, mapping_of(mapping), Hashing(), now_ms=1000).entries
    return entry


def test_an_event_with_work_is_an_entry_with_every_field() -> None:
    event = identify("u1", "m1") | {"timestamp": "1970-01-01T00:00:00.900Z"}
    entry = entry_of(event)
    assert type(entry) is Entry
    assert entry == Entry(
        source="backend",
        app="shop",
        message_id="m1",
        type="identify",
        name=None,
        user_hash=hashing.user_hash(SALT, "shop", "u1"),
        received_ms=1000,
        event_ms=900,
        payload=orjson.dumps(event),
        dedupe_key=hashing.dedupe_key("backend", "m1"),
        rank=LIVE,
    )
    assert type(entry.rank) is int


def test_what_a_bulk_source_sends_goes_behind_everything_else() -> None:
    assert entry_of(identify("u1", "m1"), bulk=True).rank == BULK


def test_of_a_request_to_erase_somebody_only_whom_it_is_about_is_kept() -> None:
    request = {"type": "delete", "userId": "u1", "messageId": "m1", "traits": {"tier": "gold"}}
    entry = entry_of({**request, "timestamp": "1970-01-01T00:00:00.900Z"})
    assert entry.user_hash == hashing.user_hash(SALT, "shop", "u1")
    assert (entry.event_ms, entry.erases_ms, entry.rank) == (900, 300_900, LIVE)
    assert entry.dedupe_key == hashing.dedupe_key("backend", "m1")
    assert orjson.loads(entry.payload or b"") == {
        "type": "delete",
        "userId": "u1",
        "messageId": "m1",
        "timestamp": "1970-01-01T00:00:00.900+00:00",
    }
    assert entry_of({**request, "messageId": "segment-test-message-1"}).dedupe_key is None


def test_an_event_that_nothing_wants_is_an_entry_that_has_ended() -> None:
    entry = entry_of(track("Order Shipped", "u1", "m1"))
    assert entry == entry._replace(
        name="Order Shipped", payload=None, rank=None, ended=End("", "", "skipped", "no_rule")
    )
    assert len(entry) == len(Entry._fields)


def test_a_type_and_a_name_are_kept_as_far_as_anybody_reads_them() -> None:
    entry = entry_of(track("n" * 300, "u1", "m1") | {"type": "t" * 300})
    assert (entry.type, entry.name) == ("t" * 200, "n" * 200)


LINKING = """
version: 1
identity: {anonymous: alias}
push: {platforms: all}
push_tokens: [ios]
rules:
  - name: welcome
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: Hello}}
"""
LEFT = {
    "traits": {"vip": False},
    "context": {"personas": {"computation_class": "audience", "computation_key": "vip"}},
}
ENTERED = {**LEFT, "traits": {"vip": True}}
PHONE = {"context": {"device": {"type": "ios", "token": "a" * 64}}}


@pytest.mark.parametrize(
    ("more", "is_wanted"), [({}, False), (LEFT, True), (ENTERED, True), (PHONE, True)]
)
def test_an_event_whose_link_is_no_news_is_kept_for_whatever_else_it_says(
    more: dict[str, Any], *, is_wanted: bool
) -> None:
    entry = entry_of({**identify("u1", "m1"), "anonymousId": "a1", **more}, LINKING)
    assert [(one.label, one.id) for one in entry.links] == [("anonymous_id", "a1")]
    assert entry.rank == LIVE
    if is_wanted:
        assert entry.unlinked is None
    else:
        assert entry.unlinked is not None
        assert entry.unlinked.ended == End("", "", "skipped", "no_rule")


def test_hashes_are_those_that_are_on_disk_already() -> None:
    assert hashing.user_hash(b"salt", "shop", "u1") == 5617673711592589449
    assert hashing.hash_of(b"salt", "shop", "anonymous_id", "a1") == 5122816571025603551
    assert hashing.dedupe_key("backend", "m1").hex() == "529e15b3bbce70e60873cc6e69c1cb16"
