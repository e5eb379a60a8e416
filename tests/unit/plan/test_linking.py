"""Whose an id is, by what one event says: which events link whom, and who may say so."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.rules import Mapping, Trust
from bridge.onesignal.operations import MergeUsers, Recipient
from bridge.plan import plan, triage
from tests.unit.plan.planning import event_of, mapping_of, planned, rule

TAGS: dict[str, Any] = {"update_user": {"tags": {"a": "1"}}}
U1, A1 = Recipient("external_id", "u1"), Recipient("anonymous_id", "a1")
ALIAS = {"type": "alias", "previousId": "a1"}


def known_by(anonymous: str = "alias", *rules: dict[str, Any], **more: Any) -> Mapping:
    trust: Trust = more.pop("trust", "server")
    return mapping_of(*rules, identity={"anonymous": anonymous, **more}, trust=trust)


def links(mapping: Mapping, **sent: Any) -> tuple[Recipient, ...]:
    return triage(event_of(sent), mapping).links


def test_an_identify_call_with_both_ids_says_who_the_visitor_is() -> None:
    assert links(known_by(), anonymousId="a1") == (A1,)
    assert links(known_by("external_id"), anonymousId="a1") == (Recipient("external_id", "a1"),)
    assert links(known_by(label="visitor"), anonymousId="a1") == (Recipient("visitor", "a1"),)


def test_the_previous_id_of_an_alias_call_may_be_a_visitors_or_a_users() -> None:
    assert links(known_by(), **ALIAS) == (A1, Recipient("external_id", "a1"))
    assert links(known_by("external_id"), **ALIAS) == (Recipient("external_id", "a1"),)


@pytest.mark.parametrize("sent", [{"anonymousId": "a1"}, ALIAS])
def test_nobody_is_made_one_with_anybody_unless_the_mapping_says_so(sent: dict[str, Any]) -> None:
    assert links(mapping_of(rule(**TAGS)), **sent) == ()


@pytest.mark.parametrize("kind", ["track", "page", "screen", "group", ""])
def test_no_other_call_links_anybody(kind: str) -> None:
    sent = {"type": kind, "anonymousId": "a1", "previousId": "a1"}
    assert links(known_by(), **sent) == links(known_by("external_id"), **sent) == ()


@pytest.mark.parametrize("anonymous", ["alias", "external_id"])
def test_a_visitor_alone_is_nobody_else(anonymous: str) -> None:
    for kind in ("identify", "alias"):
        sent = {"type": kind, "userId": None, "anonymousId": "a1", "previousId": "b1"}
        assert links(known_by(anonymous), **sent) == ()


@pytest.mark.parametrize("other", ["null", "1", "x" * 513, "{{ id }}", "", None])
def test_nobody_is_linked_who_cannot_be_named(other: Any) -> None:
    assert links(known_by(), anonymousId=other) == ()
    assert links(known_by("external_id"), type="alias", previousId=other) == ()


def test_nobody_is_linked_with_oneself() -> None:
    assert links(known_by("external_id"), anonymousId="u1") == ()
    assert links(known_by(), type="alias", previousId="u1") == (Recipient("anonymous_id", "u1"),)


def test_the_merge_is_the_first_of_what_is_done_and_all_else_is_the_users() -> None:
    mapping = known_by("alias", rule(**TAGS))
    found = planned(mapping, anonymousId="a1").operations
    assert found[0] == MergeUsers(to=U1, other=A1)
    assert [(one.name, one.to) for one in found] == [("merge_users", U1), ("update_user", U1)]


def test_what_somebody_was_found_to_be_is_who_is_written_to() -> None:
    mapping = known_by("alias", rule(**TAGS))
    event = event_of({"type": "track", "userId": None, "anonymousId": "a1"})
    (alone,) = plan(event, mapping).operations
    (found,) = plan(event, mapping, person={A1: U1}.__getitem__).operations
    assert (alone.to, found.to) == (A1, U1)


def test_what_anybody_can_send_links_nobody_unless_the_mapping_names_the_source() -> None:
    public = known_by("alias", rule(**TAGS), trust="client")
    found = triage(event_of({"anonymousId": "a1"}), public)
    assert (found.links, found.skip) == ((), None)
    assert [str(skip) for skip in planned(public, anonymousId="a1").skips] == [
        "client_source: identity.clients"
    ]
    named = known_by("alias", rule(**TAGS), trust="client", clients=["default"])
    assert links(named, anonymousId="a1") == (A1,)
    another = known_by("alias", rule(**TAGS), trust="client", clients=["app"])
    assert links(another, anonymousId="a1") == ()


def test_an_event_that_could_only_link_and_may_not_is_for_nothing() -> None:
    found = triage(event_of({"anonymousId": "a1"}), known_by(trust="client"))
    assert found.skip is not None
    assert found.skip.reason == "client_source"


@pytest.mark.parametrize("anonymous", ["alias", "external_id"])
def test_nobody_is_erased_by_an_alias(anonymous: str) -> None:
    request = event_of({"type": "delete", "userId": None, "anonymousId": "a1"})
    found = triage(request, known_by(anonymous))
    assert found.erases is (anonymous == "external_id")
    assert triage(event_of({"type": "delete"}), known_by(anonymous)).erases
