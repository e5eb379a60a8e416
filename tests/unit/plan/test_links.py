"""Links and pictures: percent-encoded, and only to where `push.links` allows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.unit.plan.planning import notes, pushed, the_send

LINKS = ["shop://", "https://www.shop.example/"]


def linked(link: Any, /, *, field: str = "app_url", **properties: Any) -> Any:
    """The link that a push carries; None when it was left out, which must be noted."""
    plan = pushed({"contents": "Hi", field: link}, push={"links": LINKS}, properties=properties)
    body = the_send(plan).body
    assert [note.field for note in plan.notes] == ([] if field in body else [field])
    return body.get(field)


def test_what_an_event_adds_to_a_link_is_percent_encoded() -> None:
    assert linked("shop://o/{{ properties.id }}?q={{ properties.q }}", id="a/b c", q="x&y=ü") == (
        "shop://o/a%2Fb%20c?q=x%26y%3D%C3%BC"
    )
    assert linked("shop://o/{{ properties.id }}", id=7) == "shop://o/7"


def test_a_link_that_is_wholly_the_events_is_taken_as_it_is() -> None:
    assert linked("{{ properties.link }}", link="https://www.shop.example/a?b=c&d") == (
        "https://www.shop.example/a?b=c&d"
    )


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/",
        "https://www.shop.example.evil.example/",
        "https://www.shop.example",
        "http://www.shop.example/",
        "HTTPS://WWW.SHOP.EXAMPLE/",
        " https://www.shop.example/",
        "javascript:alert(1)",
        "//www.shop.example/",
        "",
    ],
)
@pytest.mark.parametrize(
    "field", ["url", "app_url", "web_url", "big_picture", "chrome_web_image", "image"]
)
def test_a_link_from_an_event_that_points_elsewhere_is_left_out(field: str, link: str) -> None:
    plan = pushed(
        {"contents": "Hi", field: "{{ properties.link }}"},
        push={"links": LINKS},
        properties={"link": link},
    )

    assert the_send(plan).body == {"contents": {"en": "Hi"}}
    assert plan.notes
    assert {note.reason for note in plan.notes} == {"link_not_allowed"}


@pytest.mark.parametrize("value", [["https://www.shop.example/"], {"a": 1}, 7, True])
def test_a_link_that_is_no_text_is_left_out(value: Any) -> None:
    assert linked("{{ properties.link }}", link=value) is None


def test_an_event_cannot_choose_the_host() -> None:
    assert linked("https://{{ properties.host }}/x", host="evil.example") is None
    assert linked("{{ properties.scheme }}://x", scheme="javascript") is None


def test_a_literal_link_needs_no_permission() -> None:
    plan = pushed(
        {"contents": "Hi", "url": "https://anywhere.example/", "image": "https://cdn.example/a.png"}
    )

    assert the_send(plan).body["url"] == "https://anywhere.example/"
    assert the_send(plan).body["big_picture"] == "https://cdn.example/a.png"
    assert plan.notes == ()


def test_one_attachment_that_is_not_allowed_leaves_them_all_out() -> None:
    attachments = {"good": "https://cdn.example/a.png", "bad": "{{ properties.link }}"}

    assert linked(attachments, field="ios_attachments", link="https://evil.example/") is None
    assert linked(attachments, field="ios_attachments", link="shop://x") == {
        "good": "https://cdn.example/a.png",
        "bad": "shop://x",
    }


def test_liquid_does_not_pass_in_a_link() -> None:
    plan = pushed(
        {"contents": "Hi", "app_url": "shop://{{ properties.id }}"},
        push={"links": LINKS},
        properties={"id": "{{ external_id }}"},
    )

    assert notes(plan) == ["app_url: liquid_in_value (properties.id)"]


@settings(deadline=None)
@given(st.text())
def test_whatever_an_event_says_stays_inside_its_part_of_the_link(text: str) -> None:
    found = linked("shop://o/{{ properties.id }}/end", id=text)

    if found is not None:
        inside = found.removeprefix("shop://o/").removesuffix("/end")
        assert found == f"shop://o/{inside}/end"
        assert not set(inside) & set('/?#&=:@ {}"<>\\\n\r')
