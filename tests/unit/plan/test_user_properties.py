"""Language, time zone and country of a user, from what Segment sends."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.onesignal.operations import UpdateUser
from tests.unit.plan.planning import notes, the_update, updated


def property_of(field: str, value: Any) -> Any:
    """What `field: "{{ traits.x }}"` writes for this value; None when it is left out."""
    plan = updated({field: "{{ traits.x }}"}, traits={"x": value})
    written = [one.properties for one in plan.operations if isinstance(one, UpdateUser)]
    if not written:
        assert [note.field for note in plan.notes] == [WIRE[field]]
    return written[0][WIRE[field]] if written else None


WIRE = {"language": "language", "timezone": "timezone_id", "country": "country"}


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("de", "de"),
        ("de-AT", "de"),
        ("en_US", "en"),
        ("EN-us", "en"),
        ("pt-BR", "pt"),
        ("en_US.UTF-8", "en"),
        ("de@euro", "de"),
        (" de ", "de"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh_TW", "zh-Hant"),
        ("zh-Hant-HK", "zh-Hant"),
        ("english", None),
        ("C", None),
        ("", None),
        ("fil-PH", None),
        ("ﬁ", None),
        (7, None),
        (None, None),
        (["de"], None),
        ("{{ x }}", None),
    ],
)
def test_a_locale_is_a_language(locale: Any, language: str | None) -> None:
    assert property_of("language", locale) == language


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("Europe/Vienna", True),
        ("America/Argentina/Buenos_Aires", True),
        ("America/Port-au-Prince", True),
        ("Etc/GMT+5", True),
        ("US/Pacific", True),
        ("UTC", True),
        ("CET", False),
        ("GMT+2", False),
        ("N/A", False),
        ("https://shop.example/", False),
        ("Europe/Vienna\n", False),
        ("Europe/ Vienna", False),
        ("", False),
        (None, False),
        (60, False),
    ],
)
def test_a_time_zone_is_an_iana_name(zone: Any, written: bool) -> None:  # noqa: FBT001 — pytest passes it
    assert property_of("timezone", zone) == (zone if written else None)


@pytest.mark.parametrize(
    ("text", "country"),
    [
        ("AT", "AT"),
        ("at", "AT"),
        (" de ", "DE"),
        ("Austria", None),
        ("AUT", None),
        ("ß", None),
        ("4", None),
        ("", None),
        (43, None),
        (None, None),
    ],
)
def test_a_country_is_two_letters(text: Any, country: str | None) -> None:
    assert property_of("country", text) == country


def test_a_missing_property_is_left_out_and_the_rest_is_written() -> None:
    plan = updated(
        {
            "language": "{{ context.locale }}",
            "timezone": "{{ context.timezone }}",
            "country": "at",
            "tags": {"a": "1"},
        },
        context={"locale": "de-AT"},
    )

    update = the_update(plan)
    assert update.properties == {"language": "de", "country": "AT"}
    assert update.tags == {"a": "1"}
    assert notes(plan) == ["timezone_id: missing (context.timezone)"]
