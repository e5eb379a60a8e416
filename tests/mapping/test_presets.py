"""The shipped mappings do what their comments say, on every plan that they say, and their examples pass."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.mapping.document import EVENT
from bridge.mapping.lint import check_mapping
from bridge.mapping.load import load_mapping, preset, presets, starter
from bridge.mapping.rules import Mapping
from bridge.onesignal.api import Spoken
from bridge.onesignal.operations import SendNotification, SetContact, UpdateUser
from bridge.onesignal.platforms import PLATFORMS
from bridge.plan import Plan, plan
from bridge.plan.requests import requests_of
from bridge.rehearsal.examples import play
from bridge.rehearsal.expectations import differences
from tests.unit.plan.planning import event_of

FOLDER = starter().parent
PRESETS = sorted(FOLDER.glob("*.yaml"))
PUSHES_IPHONES = "segment-push-tokens"
"""The one that is for iPhones which nothing else pushes."""
GROWTH = 10
"""Tags that OneSignal's Growth plan has for a user."""


@cache
def loaded(path: Path, *, serves: tuple[str, ...] = ("android", "web", "ios")) -> Mapping:
    mapping, findings = load_mapping(path, serves=serves)
    assert findings == []
    return mapping


def planned(path: Path, **sent: Any) -> Plan:
    return plan(event_of(sent), loaded(path))


def written(found: Plan) -> dict[str, str]:
    return {
        name: text
        for one in found.operations
        if isinstance(one, UpdateUser)
        for name, text in one.tags.items()
    }


def sends(found: Plan) -> list[SendNotification]:
    return [one for one in found.operations if isinstance(one, SendNotification)]


def events(mapping: Mapping) -> list[dict[str, Any]]:
    """Every event of its examples."""
    return [one.event for example in mapping.examples for one in example.declared.sequence]


ALL_EXAMPLES = [
    pytest.param(path, number, id=f"{path.stem}-{example.declared.name}")
    for path in PRESETS
    for number, example in enumerate(load_mapping(path, serves=("android", "web"))[0].examples)
]
every_preset = pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)


def test_they_are_known_by_their_names() -> None:
    assert presets() == (
        "anonymous-visitors",
        "b2b-saas",
        "ecommerce",
        "engage-audiences",
        "legacy-player-model",
        "median-app",
        "mobile-lifecycle",
        "segment-push-tokens",
        "starter",
    )
    assert [preset(name) for name in presets()] == PRESETS


@every_preset
def test_a_preset_says_on_top_when_to_use_it(path: Path) -> None:
    top = path.read_text(encoding="utf-8").partition("version: 1")[0].splitlines()

    assert len(top) >= 3
    assert all(line.startswith("#") for line in top)
    assert path.stem == "starter" or "Use it " in " ".join(top)


def apps(path: Path) -> list[tuple[str, ...]]:
    """The platforms of apps that a preset is for."""
    return [("android", "ios") if path.stem == PUSHES_IPHONES else ("android", "web"), PLATFORMS]


@every_preset
@pytest.mark.parametrize("size", ["small", "large"])
def test_check_finds_nothing_where_a_user_has_ten_tags(path: Path, size: str) -> None:
    serves = apps(path)[size == "large"]
    assert check_mapping(path, serves=serves, tag_cap=GROWTH) == []


def test_check_finds_nothing_in_the_preset_for_the_legacy_api_where_that_is_spoken() -> None:
    legacy = Spoken(api="legacy")

    found = check_mapping(
        preset("legacy-player-model"), serves=PLATFORMS, tag_cap=GROWTH, spoken=legacy
    )

    assert found == []


def test_check_says_that_an_app_without_iphones_is_not_what_push_tokens_are_for() -> None:
    (finding,) = check_mapping(preset(PUSHES_IPHONES), serves=("android", "web"))
    assert (finding.code, finding.level) == ("platform-not-served", "warning")


@pytest.mark.parametrize(
    "path",
    [path for path in PRESETS if path.stem != "engage-audiences"],
    ids=lambda path: path.stem,
)
def test_all_tags_of_a_preset_that_does_not_copy_audiences_are_ten_at_most(path: Path) -> None:
    names = {name for event in events(loaded(path)) for name in written(planned(path, **event))}

    assert 0 < len(names) <= GROWTH


@pytest.mark.parametrize(("path", "number"), ALL_EXAMPLES)
def test_an_example_passes_on_whatever_platforms_the_app_is(path: Path, number: int) -> None:
    for serves in apps(path):
        mapping = loaded(path, serves=serves)
        example = mapping.examples[number].declared

        assert differences(example, play(example, mapping)) == []


@every_preset
def test_an_example_shows_every_rule(path: Path) -> None:
    mapping = loaded(path)

    shown = {rule for example in mapping.examples for rule in example.declared.gives}
    assert shown - {EVENT} == {rule.name for rule in mapping.rules}


@pytest.mark.parametrize(
    "path", [path for path in PRESETS if path.stem != PUSHES_IPHONES], ids=lambda path: path.stem
)
def test_no_push_of_a_preset_reaches_an_iphone(path: Path) -> None:
    mapping = loaded(path, serves=PLATFORMS)
    flags = [
        send.flags for event in events(mapping) for send in sends(plan(event_of(event), mapping))
    ]

    assert path.stem == "starter" or flags
    for one in flags:
        assert one["isIos"] is False
        assert one["isAndroid"] is True
        assert not {"isAnyWeb", "isSafari"} & one.keys()


@every_preset
def test_every_text_of_a_push_is_in_two_languages(path: Path) -> None:
    mapping = loaded(path)
    for send in (one for event in events(mapping) for one in sends(plan(event_of(event), mapping))):
        for texts in (send.body[name] for name in ("contents", "headings") if name in send.body):
            assert isinstance(texts, dict)
            assert texts.keys() == {"en", "de"}


PERSON = {
    "email": "ada@shop.example", "phone": "+431234567", "lastName": "Lovelace",
    "birthday": "1990-01-01", "address": {"street": "Ring 1", "city": "Wien"}, "username": "ada_l",
    "avatar": "https://x.example/a.png",
}  # fmt: skip
SECRETS = (
    "ada@",
    "+431234567",
    "Lovelace",
    "1990-01-01",
    "Ring 1",
    "Wien",
    "ada_l",
    "a.png",
    "9.8.7.6",
)


@every_preset
def test_no_personal_data_leaves_that_a_preset_does_not_name(path: Path) -> None:
    mapping = loaded(path)
    for event in events(mapping):
        personal: dict[str, Any] = {
            name: PERSON | event.get(name, {}) for name in ("traits", "properties")
        }
        context = event.get("context", {})
        context = {"ip": "9.8.7.6", **context, "traits": PERSON | context.get("traits", {})}
        found = plan(event_of({**event, **personal, "context": context}), mapping)

        assert not any(isinstance(one, SetContact) for one in found.operations)
        sent = [
            request.body
            for one in found.operations
            for request in requests_of(one, message_id="m", app_id="a")
        ]
        assert not [secret for secret in SECRETS if secret in repr(sent)]


@every_preset
def test_links_of_a_preset_lead_nowhere_but_to_its_own(path: Path) -> None:
    mapping = loaded(path)
    evil = "https://evil.example/x"
    for event in events(mapping):
        properties = event.get("properties", {}) | {"url": evil, "image_url": evil}
        properties |= {"products": [{"name": "x", "image_url": evil, "url": evil}]}
        for send in sends(plan(event_of({**event, "properties": properties}), mapping)):
            assert evil not in repr(send.body)


# --- starter ---------------------------------------------------------------------------------------


def test_the_starter_sends_nothing_to_anybody() -> None:
    assert all(rule.push is None for rule in loaded(starter()).rules)


def test_the_starter_writes_no_personal_data() -> None:
    person = {
        "email": "ada@shop.example", "phone": "+431234567", "name": "Ada L", "firstName": "Ada",
        "lastName": "L", "birthday": "1990-01-01", "address": {"street": "Ring 1", "city": "Wien"},
        "username": "ada", "avatar": "https://x.example/a.png", "gender": "f", "title": "Dr",
    }  # fmt: skip

    found = planned(
        starter(), traits=person | {"plan": "pro"}, context={"ip": "1.2.3.4", "traits": person}
    )

    assert written(found) == {"plan": "pro"}


def test_the_starter_keeps_what_an_event_does_not_say_and_deletes_what_is_null() -> None:
    found = planned(starter(), traits={"tier": None})

    assert written(found) == {"tier": ""}
    assert {note.reason for note in found.notes} == {"missing"}


@pytest.mark.parametrize("when", ["yesterday", "2026-01-01T00:00:00", 0, True])
def test_a_date_that_is_none_is_not_written(when: Any) -> None:
    assert "created_at" not in written(planned(starter(), traits={"plan": "x", "createdAt": when}))


def test_the_priority_of_the_starters_tags_is_their_order() -> None:
    mapping, _ = load_mapping(starter(), serves=("android",), tag_cap=2)
    traits = {"industry": "toys", "orders": 3, "tier": "gold", "plan": "pro"}

    found = plan(event_of({"traits": traits}), mapping)

    assert written(found) == {"plan": "pro", "tier": "gold"}
    assert [note.field for note in found.notes if note.reason == "tag_cap"] == [
        "tags.orders",
        "tags.industry",
    ]


@pytest.mark.parametrize("kind", ["track", "page", "group"])
def test_the_starter_is_about_identify_only(kind: str) -> None:
    found = planned(starter(), type=kind, traits={"plan": "pro"})

    assert [skip.reason for skip in found.skips] == ["no_rule"]


# --- engage-audiences ------------------------------------------------------------------------------

ENGAGE = preset("engage-audiences")


def membership(kind: str, *, entered: bool, key: str = "vip") -> dict[str, Any]:
    """What Engage sends when somebody enters or leaves an audience."""
    event = "Audience Entered" if entered else "Audience Exited"
    holder = {"properties": {"audience_key": key, key: entered}, "event": event}
    personas = {"computation_class": "audience", "computation_key": key}
    said: dict[str, Any] = holder if kind == "track" else {"traits": {key: entered}}
    return {"type": kind, "context": {"personas": personas}, **said}


@pytest.mark.parametrize("kind", ["track", "identify"])
@pytest.mark.parametrize("key", ["vip", "other"])
def test_every_audience_is_a_tag_whichever_call_says_it(kind: str, key: str) -> None:
    entered = planned(ENGAGE, **membership(kind, entered=True, key=key))
    left = planned(ENGAGE, **membership(kind, entered=False, key=key))

    assert written(entered) == {f"aud_{key}": "true"}
    assert written(left) == {f"aud_{key}": ""}


def test_only_entering_vip_pushes_whichever_call_says_it() -> None:
    pushing = [
        (kind, entered, key)
        for kind in ("track", "identify")
        for entered in (True, False)
        for key in ("vip", "other")
        if sends(planned(ENGAGE, **membership(kind, entered=entered, key=key)))
    ]

    assert pushing == [("track", True, "vip"), ("identify", True, "vip")]


@pytest.mark.parametrize(
    "serves", [("android", "web"), ("android", "web", "ios", "ios_web")], ids=len
)
def test_the_welcome_leaves_iphones_out(serves: tuple[str, ...]) -> None:
    found = plan(event_of(membership("track", entered=True)), loaded(ENGAGE, serves=serves))

    (send,) = sends(found)
    assert send.flags == {"isIos": False, "isAndroid": True, "isChromeWeb": True, "isFirefox": True}
    assert send.max_age_ms == 6 * 3_600_000
    assert found.notes == ()


def test_a_journey_step_of_the_same_name_welcomes_nobody() -> None:
    step = membership("track", entered=True)
    step["context"]["personas"]["computation_class"] = "journey_step"

    assert planned(ENGAGE, **step).operations == ()


@pytest.mark.parametrize(
    ("value", "text"), [(312.5, "312.5"), (["a", "b"], "a,b"), (None, ""), (False, "false")]
)
def test_a_computed_trait_is_a_tag_of_its_value(value: Any, text: str) -> None:
    personas = {"computation_class": "computed_trait", "computation_key": "ltv"}

    found = planned(ENGAGE, traits={"ltv": value}, context={"personas": personas})

    assert written(found) == {"trait_ltv": text}
    assert sends(found) == []


def test_the_starter_and_engage_in_one_folder_are_one_mapping(tmp_path: Path) -> None:
    for path in (starter(), ENGAGE):
        (tmp_path / path.name).write_bytes(path.read_bytes())

    both = {rule.name for path in (starter(), ENGAGE) for rule in loaded(path).rules}
    assert {rule.name for rule in loaded(tmp_path).rules} == both
    assert check_mapping(tmp_path, serves=("android", "web")) == []


def test_no_two_presets_but_the_starter_have_rules_of_one_name() -> None:
    names = [rule.name for path in PRESETS if path != starter() for rule in loaded(path).rules]

    assert len(set(names)) == len(names)


# --- ecommerce -------------------------------------------------------------------------------------

ECOMMERCE = preset("ecommerce")
TRANSACTIONAL = {"order-confirmed", "order-shipped", "order-cancelled", "order-refunded"}


def test_only_news_of_an_order_is_not_subject_to_limits_meant_for_campaigns() -> None:
    pushing = {rule.name: rule for rule in loaded(ECOMMERCE).rules if rule.push is not None}

    assert {name for name, rule in pushing.items() if rule.terms.limit is None} == TRANSACTIONAL
    assert pushing.keys() == TRANSACTIONAL | {"price-drop"}


@pytest.mark.parametrize("event", ["Order Completed", "Order Cancelled", "Order Refunded"])
def test_an_order_without_a_number_pushes_nobody(event: str) -> None:
    found = planned(ECOMMERCE, type="track", event=event, properties={"total": 7})

    assert sends(found) == []
    assert {skip.detail for skip in found.skips} == {"properties.order_id"}


def test_a_product_without_a_picture_does_not_leave_the_earlier_ones() -> None:
    found = planned(ECOMMERCE, type="track", event="Product Added", properties={"sku": "KT-1"})

    assert written(found)["cart_product"] == "Your choice"
    assert written(found)["cart_image"] == "https://www.shop.example/cart.png"


# --- mobile-lifecycle ------------------------------------------------------------------------------


def test_what_listens_to_onesignal_itself_never_sends() -> None:
    for path in PRESETS:
        assert not [rule for rule in loaded(path).rules if rule.echo and rule.sends]


@pytest.mark.parametrize(
    ("days", "pushes"), [(None, 0), ("14", 0), (13, 0), (14, 1), (90, 1), (91, 0), (14.5, 1)]
)
def test_only_a_pause_of_weeks_is_called_back_from(days: Any, pushes: int) -> None:
    personas = {"computation_class": "computed_trait", "computation_key": "days_inactive"}

    found = planned(
        preset("mobile-lifecycle"), traits={"days_inactive": days}, context={"personas": personas}
    )

    assert len(sends(found)) == pushes
