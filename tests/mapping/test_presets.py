"""The shipped mappings do what their comments say, and their examples are events they plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from bridge.mapping.load import load_mapping, preset, starter
from bridge.mapping.rules import Mapping
from bridge.onesignal.operations import SendNotification, UpdateUser
from bridge.plan import Plan, plan
from tests.unit.plan.planning import event_of

FOLDER = starter().parent
PRESETS = sorted(FOLDER.glob("*.yaml"))


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


def examples(path: Path) -> list[dict[str, Any]]:
    document = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = document["examples"]
    return found


ALL_EXAMPLES = [
    pytest.param(path, example, id=f"{path.stem}-{example['name']}")
    for path in PRESETS
    for example in examples(path)
]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_says_on_top_when_to_use_it_and_has_examples(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert len(text.partition("version: 1")[0].splitlines()) >= 3
    assert all(line.startswith("#") for line in text.partition("version: 1")[0].splitlines())
    assert examples(path)


@pytest.mark.parametrize(("path", "example"), ALL_EXAMPLES)
def test_the_tags_and_pushes_of_an_example_are_what_its_rules_plan(
    path: Path, example: dict[str, Any]
) -> None:
    tags: dict[str, dict[str, str]] = {}
    links: dict[str, Any] = {}
    skips = []
    mapping = loaded(path)
    for one in example["events"]:
        found = plan(event_of(one["event"]), mapping)
        skips += [skip for skip in found.skips if skip.rule]
        for operation in found.operations:
            if isinstance(operation, UpdateUser):
                (rule,) = operation.rules
                tags.setdefault(rule, {}).update(operation.tags)
            else:
                assert isinstance(operation, SendNotification)
                links[operation.rule] = operation.body["app_url"]

    gives = example["gives"]
    assert tags == {r: g["update_user"]["tags"] for r, g in gives.items() if "update_user" in g}
    assert links == {
        r: g["send_notification"]["app_url"] for r, g in gives.items() if "send_notification" in g
    }
    assert skips == []


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


def test_only_entering_vip_by_track_pushes() -> None:
    pushing = [
        (kind, entered, key)
        for kind in ("track", "identify")
        for entered in (True, False)
        for key in ("vip", "other")
        if sends(planned(ENGAGE, **membership(kind, entered=entered, key=key)))
    ]

    assert pushing == [("track", True, "vip")]


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


def test_both_presets_in_one_folder_are_one_mapping() -> None:
    both = {rule.name for path in PRESETS for rule in loaded(path).rules}

    assert {rule.name for rule in loaded(FOLDER).rules} == both
    assert sum(len(loaded(path).rules) for path in PRESETS) == len(both)
