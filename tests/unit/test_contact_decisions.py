"""What is done about an address: only a change in Segment does anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.deliver.contacts import ADDRESSES_KEPT, Act, Contact, contact_of, decide
from bridge.onesignal.operations import Recipient, SetContact


def wanted(address: str | None, opted_in: Any = None) -> SetContact:
    to = Recipient(label="external_id", id="u1")
    return SetContact(rule="r", to=to, type="Email", address=address, opted_in=opted_in)


def acts(found: list[Act]) -> list[tuple[str, str]]:
    return [(act.do, act.address) for act in found]


NEW = Contact()
ON = Contact("a", None, ("a",))
YES = Contact("a", opted_in=True, added=("a",))
NO = Contact("a", opted_in=False, added=("a",))
NONE = Contact(None, None, ("a",))


@pytest.mark.parametrize(
    ("stored", "address", "opted_in", "done"),
    [
        (NEW, "a", None, [("add", "a")]),
        (NEW, "a", True, [("add", "a")]),
        (NEW, "a", False, [("disable", "a")]),
        (NEW, None, None, []),
        (ON, "a", None, []),
        (ON, "a", True, []),
        (YES, "a", True, []),
        (YES, "a", None, []),
        (ON, "a", False, [("disable", "a")]),
        (NO, "a", False, []),
        (NO, "a", None, []),
        (NO, "a", True, [("enable", "a")]),
        (ON, "b", None, [("add", "b"), ("disable", "a")]),
        (YES, "b", False, [("disable", "b"), ("disable", "a")]),
        (NO, "b", None, [("disable", "b")]),
        (NO, "b", True, [("add", "b")]),
        (ON, None, None, [("disable", "a")]),
        (NO, None, None, []),
        (NONE, "a", None, [("enable", "a")]),
        (NONE, "a", False, [("disable", "a")]),
        (NONE, "b", None, [("add", "b")]),
    ],
)
def test_what_segment_says_now_against_what_it_said_before(
    stored: Contact, address: str | None, opted_in: Any, done: list[tuple[str, str]]
) -> None:
    contact, found = decide(stored, wanted(address, opted_in))
    assert acts(found) == done
    assert contact.address == address
    assert not found or found[-1].after == contact


def test_an_answer_is_passed_on_again_when_it_is_not_known_what_became_of_the_last() -> None:
    assert acts(decide(YES, wanted("a", opted_in=True), certain=False)[1]) == [("enable", "a")]
    assert acts(decide(NO, wanted("a", opted_in=False), certain=False)[1]) == [("disable", "a")]
    assert acts(decide(ON, wanted("a"), certain=False)[1]) == []


said = st.tuples(st.sampled_from([None, "a", "b", "c"]), st.sampled_from([None, True, False]))


@given(st.lists(said, max_size=12))
def test_a_contact_is_on_or_off_as_segment_says_and_saying_it_again_does_nothing(
    many: list[tuple[str | None, bool | None]],
) -> None:
    contact, at_onesignal = Contact(), dict[str, bool]()
    for address, opted_in in many:
        contact, found = decide(contact, wanted(address, opted_in))
        for act in found:
            at_onesignal[act.address] = act.do != "disable"
        assert decide(contact, wanted(address, opted_in)) == (contact, [])
        on = {one for one, is_on in at_onesignal.items() if is_on}
        assert on == ({contact.address} if contact.is_on else set())
        assert contact_of(contact.value) == contact


def test_only_so_many_addresses_are_remembered() -> None:
    contact = Contact()
    for n in range(50):
        contact, _ = decide(contact, wanted(f"a{n}"))
    assert len(contact.added) == ADDRESSES_KEPT
