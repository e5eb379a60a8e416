"""`tags_from`: what is copied by name and by glob, and what never is (mappings/README.md, "Values")."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bridge.onesignal.operations import UpdateUser
from bridge.plan import Plan
from bridge.plan.personal import is_personal, looks_personal
from tests.unit.plan.planning import notes, the_skip, the_update, updated


def copied(traits: dict[str, Any], *include: str, **more: Any) -> Plan:
    return updated({"tags_from": {"traits": {"include": include, **more}}}, traits=traits)


def tags_of(plan: Plan) -> dict[str, str]:
    return next((one.tags for one in plan.operations if isinstance(one, UpdateUser)), {})


def test_names_are_copied_in_the_order_of_the_include() -> None:
    plan = copied(
        {"tier": "gold", "orders": 3, "other": 1, "active": True}, "orders", "tier", "active"
    )

    assert list(tags_of(plan).items()) == [("orders", "3"), ("tier", "gold"), ("active", "true")]
    assert plan.notes == ()


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("shoe*", {"shoe", "shoeSize", "shoe_style"}),
        ("*_style", {"shoe_style"}),
        ("shoe?ize", {"shoeSize"}),
        ("sho?", {"shoe"}),
        ("?hoe", {"shoe", "Shoe"}),
        ("*", {"shoe", "shoeSize", "shoe_style", "Shoe", "a_b", "a_c_d"}),
        ("a.*", {"a_b", "a_c_d"}),
        ("a_*", {"a_b", "a_c_d"}),
        ("a.c.d", {"a_c_d"}),
        ("a_b", {"a_b"}),
        ("a.c", set()),
        ("hat*", set()),
        ("", set()),
    ],
)
def test_globs_are_over_paths(glob: str, names: set[str]) -> None:
    traits = {"shoe": 1, "shoeSize": 1, "shoe_style": 1, "Shoe": 1, "a": {"b": 1, "c": {"d": 1}}}

    assert set(tags_of(copied(traits, glob))) == names


def test_a_trait_that_is_absent_is_left_alone_and_one_that_is_null_is_deleted() -> None:
    plan = copied({"gone": None, "blank": ""}, "gone", "blank", "absent")

    assert tags_of(plan) == {"gone": "", "blank": ""}


def test_an_include_that_meets_nothing_writes_nothing() -> None:
    assert the_skip(copied({"tier": "gold"}, "absent", "no*")).reason == "nothing_to_write"


@pytest.mark.parametrize("include", [{}, {"include": []}])
def test_without_an_include_nothing_is_taken(include: dict[str, Any]) -> None:
    plan = updated({"tags_from": {"traits": include}}, traits={"tier": "gold"})

    assert the_skip(plan).reason == "nothing_to_write"


def test_rename_and_prefix() -> None:
    plan = copied(
        {"homeStore": "Graz", "plan": {"kind": "pro"}, "tier": 1},
        "homeStore",
        "plan.*",
        "tier",
        rename={"homeStore": "store", "plan.kind": "plan"},
        prefix="seg_",
    )

    assert tags_of(plan) == {"seg_store": "Graz", "seg_plan": "pro", "seg_tier": "1"}


def test_a_copied_tag_never_has_an_empty_name() -> None:
    plan = copied({"": 1, "tier": 2, "ok": 3}, "*", rename={"tier": ""})

    assert tags_of(plan) == {"ok": "3"}
    assert [note.reason for note in plan.notes] == ["empty_name", "empty_name"]


def test_copied_names_become_legal() -> None:
    assert tags_of(copied({"user": 1, "loyalty tier": 2, "a.b": 3}, "*")) == {
        "user_": "1",
        "loyalty_tier": "2",
        "a_b": "3",
    }


@pytest.mark.parametrize(
    ("items", "text"),
    [
        (["a", "b"], "a,b"),
        ([1, True, 2.5], "1,true,2.5"),
        (["a", None, "", "b"], "a,b"),
        (["x" * 255], "x" * 255),
        ([], ""),
    ],
)
def test_a_list_becomes_comma_separated(items: list[Any], text: str) -> None:
    assert tags_of(copied({"liked": items}, "liked")) == {"liked": text}


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (["x" * 256], "too_long"),
        (["x" * 200, "y" * 55], "too_long"),
        ([["nested"]], "not_text"),
        (["a", {"b": 1}], "not_text"),
        (["{", "{x}}"], None),
        (["ok", "{{ app_key }}"], "liquid_in_value"),
        (["{% raw %}"], "liquid_in_value"),
    ],
)
def test_a_list_that_is_no_tag_is_left_out_with_a_note(
    items: list[Any], reason: str | None
) -> None:
    plan = copied({"liked": items}, "liked")

    assert [note.reason for note in plan.notes] == [reason] * (reason is not None)
    assert ("liked" in tags_of(plan)) is (reason is None)
    if reason:
        assert notes(plan) == [f"tags.liked: {reason} (traits.liked)"]


def test_liquid_is_not_copied() -> None:
    plan = copied({"a": "{{ x }}", "b": "{%x", "c": "{ok}"}, "*")

    assert tags_of(plan) == {"c": "{ok}"}
    assert [note.reason for note in plan.notes] == ["liquid_in_value"] * 2


@pytest.mark.parametrize("root", ["properties", "context"])
def test_properties_and_context_are_copied_too(root: str) -> None:
    update = {"tags_from": {root: {"include": ["app.version"]}}}
    sent: dict[str, Any] = {root: {"app": {"version": 2}}}

    assert the_update(updated(update, **sent)).tags == {"app_version": "2"}


# --- personal data ---------------------------------------------------------------------------------

PERSONAL = (
    "email", "emails", "eMail", "e-mail", "e_mail", "Email Address", "emailaddress", "billingEmail",
    "user.email", "workEMAIL", "useremail", "phone", "Phone", "userPhoneNumber", "phone_number",
    "mobile", "mobileNumber", "tel", "cell_phone", "name", "Name", "firstName", "first_name",
    "firstname", "FIRST NAME", "lastName", "full-name", "fullname", "middleName", "customerName",
    "surname", "nickName", "username", "userName", "birthday", "birth_date", "dateOfBirth", "dob",
    "DOB", "userDob", "birthdate", "bday", "street", "homeAddress", "home_address", "address",
    "address1", "addressLine2", "shippingaddress", "streetName", "postalCode", "postcode", "zip",
    "zipCode", "ip", "IP", "lastIp", "lastIP", "ipAddress", "ip_address", "IPAddress", "ipv4",
    "clientIPv6", "latitude", "lat", "lng", "geoLon", "ssn", "passportNumber", "iban", "gender",
    "avatar", "idfa", "advertisingId", "deviceToken", "password", "credit_card", "creditCard",
)  # fmt: skip
HARMLESS = (
    "plan", "tier", "orders", "ordersCount", "shoeSize", "homeStore", "last_order_at", "shipments",
    "ships", "script", "tips", "zipper", "title", "company", "city", "country", "latest", "platform",
    "description", "hotel", "telemetry_on", "sexy", "lifetime_value", "createdAt", "language",
)  # fmt: skip


@pytest.mark.parametrize("key", PERSONAL)
def test_personal_data_never_passes_by_a_glob(key: str) -> None:
    plan = copied({key: "Ada", "plan": "pro"}, "*")

    assert tags_of(plan) == {"plan": "pro"}
    assert [note.reason for note in plan.notes] == ["personal_data"]


@pytest.mark.parametrize("key", PERSONAL)
def test_personal_data_passes_when_it_is_written_out(key: str) -> None:
    plan = copied({key: "Ada"}, "no*", key)

    assert list(tags_of(plan).values()) == ["Ada"]
    assert plan.notes == ()


@pytest.mark.parametrize("key", HARMLESS)
def test_harmless_traits_pass_by_a_glob(key: str) -> None:
    assert tags_of(copied({key: "x"}, "*")) == {key: "x"}


@pytest.mark.parametrize(
    "glob", ["*", "e*", "*mail", "?mail", "email*", "address.*", "*street", "a*.s*"]
)
def test_no_glob_however_narrow_passes_it(glob: str) -> None:
    plan = copied({"email": "a@b.example", "address": {"street": "Ring 1", "city": "Wien"}}, glob)

    assert tags_of(plan) == {}


@pytest.mark.parametrize("text", ["ada@shop.example", " ada@shop.example ", "+43 664 1234567"])
def test_an_address_or_a_number_does_not_pass_whatever_its_trait_is_called(text: str) -> None:
    plan = copied({"contact": text}, "*")

    assert tags_of(plan) == {}
    assert notes(plan) == ["tags.contact: personal_data (traits.contact)"]
    assert looks_personal(text)


@pytest.mark.parametrize(
    "text", ["@ada", "3 @ 5.00", "+1", "+5 points", "a.b", "4.5", "2026-01-01"]
)
def test_other_texts_do_not_look_personal(text: str) -> None:
    assert not looks_personal(text)


words = st.sampled_from(["email", "phone number", "first name", "last name", "birthday", "date of birth",
                         "street", "street address", "ip", "ip address", "home address", "full name"])  # fmt: skip
around = st.sampled_from(["", "user", "billing", "home", "my", "customer", "x1"])


def spelled(words: list[str], style: str) -> str:
    capital = [word.capitalize() for word in words]
    return {
        "snake": "_".join(words),
        "SNAKE": "_".join(words).upper(),
        "kebab": "-".join(words),
        "dotted": ".".join(words),
        "spaced": " ".join(capital),
        "camel": words[0] + "".join(capital[1:]),
        "Pascal": "".join(capital),
    }[style]


@st.composite
def personal_traits(draw: st.DrawFn) -> dict[str, Any]:
    """Traits full of personal data, spelled and nested in some way, among harmless ones."""
    traits: dict[str, Any] = {"plan": "pro", "orders": 3}
    for number in range(draw(st.integers(1, 6))):
        before, after = draw(around), draw(st.sampled_from(["", "2", "value"]))
        parts = [*before.split(), *draw(words).split(), *after.split()]
        style = draw(
            st.sampled_from(["snake", "SNAKE", "kebab", "dotted", "spaced", "camel", "Pascal"])
        )
        name, value = spelled(parts, style), f"secret-{number}"
        nest = draw(st.sampled_from(["flat", "under", "over"]))
        if nest == "flat":
            traits[name] = value
        else:
            outer, inner = ("profile", name) if nest == "under" else (name, "value")
            inside = traits.get(outer)
            traits[outer] = {**(inside if isinstance(inside, dict) else {}), inner: value}
    return traits


@settings(max_examples=200, deadline=None)
@given(personal_traits(), st.sampled_from(["*", "?*", "*e*", "p*", "*a*"]))
def test_no_personal_trait_in_any_spelling_reaches_a_tag_by_a_glob(
    traits: dict[str, Any], glob: str
) -> None:
    plan = updated(
        {"tags_from": {"traits": {"include": [glob]}, "context": {"include": [glob]}}},
        traits=traits,
        context={"traits": traits, "ip": "secret-ip", "device": {"token": "secret-token"}},
    )

    written = tags_of(plan)
    assert not [name for name, text in written.items() if "secret" in text]
    if glob in {"*", "?*", "p*"}:
        assert written["plan"] == "pro"


def test_a_name_of_many_thousand_words_is_judged_quickly() -> None:
    assert not is_personal("_".join(["ab"] * 50_000))
