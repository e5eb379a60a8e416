"""`test`: examples are exact about what happens, and tell a person what else did."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from bridge.cli import app
from bridge.mapping.load import starter

PRESETS = sorted(starter().parent.glob("*.yaml"))

RULES = """\
version: 1
push: {platforms: {exclude: [ios]}, cap: {max: 2, per: 10m}, links: ["https://shop.example/"]}
rules:
  - name: profile
    when: type = "identify" and audience.class = null
    do: {update_user: {tags: {plan: "{{ traits.plan }}", orders: "{{ traits.orders }}"}, language: "{{ context.locale }}", timezone: "{{ context.timezone }}"}}
  - name: shipped
    when: event = "Order Shipped"
    do:
      send_notification:
        headings: "Good news"
        contents: {en: "{{ properties.product }} is on its way"}
        web_url: "https://shop.example/{{ properties.order }}"
        ttl: 2d
  - name: welcome
    when: audience.key = "vip" and audience.entered = true
    do: {send_notification: {contents: Welcome}}
  - name: sale
    when: event = "Sale" and source = "shop"
    cap: off
    once_per: {time: 1d, key: "{{ properties.sku }}"}
    limit: {max: 2, per: 1h}
    do: {send_notification: {contents: Sale}}
examples:
"""
FIRST = RULES.count("\n") + 1
IDENTIFY = "{type: identify, userId: u1, traits: {plan: pro, orders: 3}, context: {locale: de-AT, timezone: Europe/Vienna}}"
SHIPPED = (
    "{type: track, event: Order Shipped, userId: u1, properties: {product: Boots, order: a/b}}"
)
ENTERED = (
    "{type: track, event: Audience Entered, userId: u1, properties: {audience_key: vip, vip: true}}"
)
EXITED = (
    "{type: track, event: Audience Exited, userId: u1, properties: {audience_key: vip, vip: false}}"
)
SALE = "{type: track, event: Sale, userId: u1, properties: {sku: s1}}"


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BRIDGE_MAPPINGS", "BRIDGE_ONESIGNAL_PLATFORMS", "BRIDGE_ONESIGNAL_PLAN"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["test", *map(str, arguments)])


def played(tmp_path: Path, example: str) -> dict[str, Any]:
    """The one example of a mapping, as --json prints it."""
    file = tmp_path / "shop.yaml"
    file.write_text(f"{RULES}  - name: it\n    {example.strip()}\n")
    result = run(file, "--json")
    (line,) = result.output.splitlines()
    found: dict[str, Any] = orjson.loads(line)
    assert result.exit_code == (0 if found["passed"] else 1)
    return found


def passes(tmp_path: Path, example: str) -> bool:
    return bool(played(tmp_path, example)["passed"])


def differences(tmp_path: Path, example: str) -> list[tuple[str, str, str]]:
    found = played(tmp_path, example)["differences"]
    return [(one["where"], one["expected"], one["actual"]) for one in found]


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_example_of_a_shipped_mapping_passes(path: Path) -> None:
    result = run(path)

    assert result.exit_code == 0, result.output
    assert " 0 failed. Nothing was sent." in result.output


def test_without_a_path_the_mapping_that_serves_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "starter.yaml" in run().output
    assert run().output.endswith("note: BRIDGE_MAPPINGS is not set, so this was the starter\n")

    monkeypatch.setenv("BRIDGE_MAPPINGS", str(starter().with_name("engage-audiences.yaml")))

    assert "engage-audiences.yaml" in run().output
    assert "note: " not in run().output


def test_a_shipped_mapping_is_named_by_its_name() -> None:
    assert "engage-audiences.yaml" in run("engage-audiences").output


# --- gives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gives",
    [
        "{profile: {update_user: {tags: {plan: pro, orders: '3'}, language: de, timezone: Europe/Vienna}}}",
        "{profile: {update_user: {tags: {plan: pro, orders: 3}}}}",
        "{profile: {update_user: {language: de}}}",
        "{profile: {update_user: {}}}",
    ],
)
def test_fields_are_a_subset(tmp_path: Path, gives: str) -> None:
    assert passes(tmp_path, f"event: {IDENTIFY}\n    gives: {gives}")


def test_tags_are_compared_as_a_whole(tmp_path: Path) -> None:
    example = f"event: {IDENTIFY}\n    gives: {{profile: {{update_user: {{tags: {{plan: free, city: Graz}}}}}}}}"

    assert differences(tmp_path, example) == [
        ("profile.update_user.tags.plan", '"free"', '"pro"'),
        ("profile.update_user.tags.city", '"Graz"', "nothing"),
        ("profile.update_user.tags.orders", "nothing", '"3"'),
    ]


def test_a_deleted_tag_is_an_empty_text(tmp_path: Path) -> None:
    event = "{type: identify, userId: u1, traits: {plan: null}}"

    assert passes(
        tmp_path, f"event: {event}\n    gives: {{profile: {{update_user: {{tags: {{plan: ''}}}}}}}}"
    )
    assert differences(
        tmp_path, f"event: {event}\n    gives: {{profile: {{update_user: {{tags: {{}}}}}}}}"
    ) == [("profile.update_user.tags.plan", "nothing", '"" (deleted)')]


@pytest.mark.parametrize(
    "push",
    [
        "contents: Boots is on its way",
        "contents: {en: Boots is on its way}",
        "headings: Good news, ttl: 2d",
        "ttl: 172800, web_url: 'https://shop.example/a%2Fb'",
        "isIos: false, isAndroid: true, to: {external_id: u1}",
        "",
    ],
)
def test_a_push_is_written_as_in_the_mapping_or_as_at_onesignal(tmp_path: Path, push: str) -> None:
    assert passes(
        tmp_path, f"event: {SHIPPED}\n    gives: {{shipped: {{send_notification: {{{push}}}}}}}"
    )


def test_a_text_that_differs_is_shown_with_its_place(tmp_path: Path) -> None:
    example = f"event: {SHIPPED}\n    gives: {{shipped: {{send_notification: {{contents: Shoes, app_url: x}}}}}}"

    assert differences(tmp_path, example) == [
        ("shipped.send_notification.contents.en", '"Shoes"', '"Boots is on its way"'),
        ("shipped.send_notification.app_url", '"x"', "nothing"),
    ]


def test_a_rule_that_fires_and_is_not_listed_fails(tmp_path: Path) -> None:
    ((where, expected, actual),) = differences(tmp_path, f"event: {IDENTIFY}\n    gives: {{}}")

    assert (where, expected) == ("profile.update_user", "nothing")
    assert '"plan":"pro"' in actual


def test_a_rule_that_is_listed_and_does_not_fire_fails_with_the_reason(tmp_path: Path) -> None:
    event = "{type: track, event: Order Shipped, userId: u1, properties: {}}"
    example = f"event: {event}\n    gives: {{shipped: {{send_notification: {{contents: x}}}}}}"

    assert differences(tmp_path, example) == [
        ("shipped.send_notification", '{"contents":"x"}', "nothing (missing: properties.product)")
    ]


def test_true_is_not_one(tmp_path: Path) -> None:
    example = f"event: {SHIPPED}\n    gives: {{shipped: {{send_notification: {{isAndroid: 1}}}}}}"

    assert not passes(tmp_path, example)


# --- sequences -------------------------------------------------------------------------------------


def sequence(*events: tuple[str, str], more: str) -> str:
    lines = "".join(f"\n      - {{at: {at}, event: {event}}}" for at, event in events)
    return f"events:{lines}\n    {more}"


WELCOMED = "gives: {welcome: {send_notification: {}}}"


def test_a_rule_fires_once_for_each_stay(tmp_path: Path) -> None:
    twice = (("0s", ENTERED), ("1s", ENTERED))
    expected = "gives: {welcome: {send_notification: {times: 2}}}"

    assert passes(
        tmp_path, sequence(*twice, more=f"{WELCOMED}\n    skips: {{welcome: same_membership}}")
    )
    assert differences(tmp_path, sequence(*twice, more=expected)) == [
        ("welcome.send_notification", "2 times", "once (same_membership)")
    ]


def test_a_second_stay_fires_again(tmp_path: Path) -> None:
    events = (("0s", ENTERED), ("1h", EXITED), ("2h", ENTERED))

    assert passes(
        tmp_path, sequence(*events, more="gives: {welcome: {send_notification: {times: 2}}}")
    )


def test_an_entry_that_arrives_after_the_exit_says_nothing(tmp_path: Path) -> None:
    late = ENTERED.replace("{type: track,", "{type: track, timestamp: '2027-01-01T00:00:00Z',", 1)
    example = sequence(
        ("0s", EXITED), ("1m", late), more="gives: {}\n    skips: {welcome: membership_over}"
    )

    assert passes(tmp_path, example.replace("events:", "now: '2027-01-01T00:01:00Z'\n    events:"))


def test_once_per_counts_by_key_and_time(tmp_path: Path) -> None:
    other = SALE.replace("s1", "s2")
    events = (("0s", SALE), ("23h", SALE), ("24h", SALE), ("24h", other))

    assert passes(
        tmp_path,
        sequence(*events, more="source: shop\n    gives: {sale: {send_notification: {times: 3}}}\n    skips: {sale: once_per}"),
    )  # fmt: skip


def test_the_push_above_the_cap_of_a_person_is_skipped(tmp_path: Path) -> None:
    events = (("0s", SHIPPED), ("1m", SHIPPED), ("2m", SHIPPED), ("12m", SHIPPED))

    assert passes(
        tmp_path,
        sequence(*events, more="gives: {shipped: {send_notification: {times: 3}}}\n    skips: {shipped: person_cap}"),
    )  # fmt: skip


def test_the_push_above_the_limit_of_a_rule_is_held_and_so_are_all_after_it(tmp_path: Path) -> None:
    sales = [SALE.replace("s1", f"s{n}").replace("u1", f"u{n}") for n in range(4)]
    events = zip(("0s", "1m", "2m", "9h"), sales, strict=True)
    example = sequence(
        *events,
        more="source: shop\n    gives: {sale: {send_notification: {times: 2}}}\n    skips: {sale: held}",
    )

    found = played(tmp_path, example)

    assert found["passed"]
    assert [skip["detail"] for skip in found["skips"]] == ["limit", "limit"]


def test_each_time_may_be_told_apart(tmp_path: Path) -> None:
    other = SHIPPED.replace("Boots", "Shoes")
    both = (
        "gives: {shipped: {send_notification: [{contents: Boots is on its way}, {contents: %s}]}}"
    )

    assert passes(
        tmp_path, sequence(("0s", SHIPPED), ("1s", other), more=both % "Shoes is on its way")
    )
    assert differences(tmp_path, sequence(("0s", SHIPPED), ("1s", other), more=both % "Hats")) == [
        ("shipped.send_notification (2).contents.en", '"Hats"', '"Shoes is on its way"')
    ]


def test_the_later_event_decides_what_a_tag_becomes(tmp_path: Path) -> None:
    old = "{type: identify, userId: u1, timestamp: '2027-01-01T00:00:00Z', traits: {plan: old, orders: 1}}"
    new = "{type: identify, userId: u1, timestamp: '2027-01-02T00:00:00Z', traits: {plan: new}}"
    gives = "gives: {profile: {update_user: {tags: {plan: new, orders: '1'}}}}"

    for events in ((old, new), (new, old)):
        assert passes(
            tmp_path,
            sequence(*zip(("0s", "1m"), events, strict=True), more=f"now: '2027-01-03T00:00:00Z'\n    {gives}"),
        )  # fmt: skip


def test_a_repeated_message_id_is_a_duplicate_and_alike_events_without_one_are_not(
    tmp_path: Path,
) -> None:
    named = SHIPPED.replace("{type", "{messageId: m1, type", 1)

    assert passes(
        tmp_path,
        sequence(("0s", named), ("1s", named), more="gives: {shipped: {send_notification: {}}}\n    skips: {shipped: duplicate}"),
    )  # fmt: skip
    assert passes(
        tmp_path, sequence(("0s", SHIPPED), ("1s", SHIPPED), more="gives: {shipped: {send_notification: {times: 2}}}")
    )  # fmt: skip


# --- now, source, skips, never ---------------------------------------------------------------------


def test_now_is_the_time_of_the_event_unless_it_is_said(tmp_path: Path) -> None:
    event = SHIPPED.replace("{type", "{timestamp: '2020-01-01T00:00:00Z', type", 1)

    assert passes(tmp_path, f"event: {event}\n    gives: {{shipped: {{send_notification: {{}}}}}}")
    assert passes(
        tmp_path,
        f"event: {event}\n    now: '2020-01-01T05:00:00Z'\n    gives: {{}}\n    skips: {{shipped: too_old}}",
    )


def test_without_at_each_event_comes_at_its_own_time(tmp_path: Path) -> None:
    events = "".join(
        f"\n      - event: {SALE.replace('{type', f'{{timestamp: {day!r}, type', 1)}"
        for day in ("2027-01-01T00:00:00Z", "2027-01-03T00:00:00Z")
    )

    assert passes(
        tmp_path, f"source: shop\n    events:{events}\n    gives: {{sale: {{send_notification: {{times: 2}}}}}}"
    )  # fmt: skip


def test_the_source_is_what_conditions_see(tmp_path: Path) -> None:
    assert passes(tmp_path, f"event: {SALE}\n    gives: {{}}")
    assert passes(
        tmp_path,
        f"source: shop\n    event: {SALE}\n    gives: {{sale: {{send_notification: {{}}}}}}",
    )


def test_a_reason_may_be_told_with_its_detail(tmp_path: Path) -> None:
    event = "{type: track, event: Order Shipped, userId: u1, properties: {}}"

    for reason in ("missing", "'missing: properties.product'", "[missing]"):
        assert passes(tmp_path, f"event: {event}\n    skips: {{shipped: {reason}}}")


def test_a_skip_that_does_not_happen_fails(tmp_path: Path) -> None:
    assert differences(tmp_path, "event: {type: page}\n    skips: {shipped: too_old}") == [
        ("shipped: skipped", "too_old", "nothing")
    ]


def test_what_stops_the_whole_event_stops_each_rule_that_wants_it(tmp_path: Path) -> None:
    nobody = SHIPPED.replace("userId: u1, ", "")

    assert passes(tmp_path, f"event: {nobody}\n    skips: {{shipped: no_external_id}}")


@pytest.mark.parametrize(
    ("never", "product", "appears"),
    [
        ("ada@shop.example", "for ADA@shop.example!", True),
        ("ada@shop.example", "for ada", False),
        ("42", "'a420'", False),  # a number is a number of its own
        ("42", "'42'", True),
        ("'42'", "a420", True),
        ("4.5", "'4.55 or 14.5'", False),
        ("u1", "Boots", True),
        ("is on its way", "Boots", True),
    ],
)
def test_never_is_about_every_text_of_every_request(
    tmp_path: Path, never: str, product: str, *, appears: bool
) -> None:
    event = SHIPPED.replace("Boots", product)
    example = (
        f"event: {event}\n    gives: {{shipped: {{send_notification: {{}}}}}}\n    never: [{never}]"
    )

    assert passes(tmp_path, example) is not appears


def test_never_sees_through_what_a_link_encodes(tmp_path: Path) -> None:
    event = SHIPPED.replace("a/b", "ada@shop.example")
    example = f"event: {event}\n    gives: {{shipped: {{send_notification: {{}}}}}}\n    never: [ada@shop.example]"

    ((where, expected, actual),) = differences(tmp_path, example)

    assert where == "POST /notifications: web_url"
    assert expected == 'never "ada@shop.example"'
    assert "ada%40shop.example" in actual


# --- what is printed -------------------------------------------------------------------------------


def test_a_failure_in_words(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(
        f"{RULES}  - {{name: good, event: {{type: page}}}}\n"
        f"  - {{name: bad, event: {SHIPPED}, gives: {{shipped: {{send_notification: {{ttl: 1d}}}}}}}}\n"
    )

    result = run(file)

    assert result.exit_code == 1
    assert result.output == (
        f"ok    {file}:{FIRST}  good\n"
        f"FAIL  {file}:{FIRST + 1}  bad\n"
        "        shipped.send_notification.ttl\n"
        "            expected  86400\n"
        "            actual    172800\n"
        "\n"
        "2 examples, 1 failed. Nothing was sent.\n"
    )


def test_a_mapping_without_examples_says_so(tmp_path: Path) -> None:
    file = tmp_path / "bare.yaml"
    file.write_text("version: 1\n")

    result = run(file)

    assert result.exit_code == 0
    assert result.output == f"{file} has no examples.\n\n0 examples, 0 failed. Nothing was sent.\n"


def test_a_mapping_that_cannot_be_read_does_not_keep_the_others_from_being_tested(
    tmp_path: Path,
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("version: 2\n")

    result = run(file, starter())

    assert result.exit_code == 1
    assert "error[field-invalid]" in result.output
    assert "2 examples, 0 failed. Nothing was sent." in result.output


def test_an_example_is_about_the_mapping_and_not_about_the_plan_at_onesignal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BRIDGE_ONESIGNAL_PLAN", "free")  # two tags for a user

    assert run(starter()).exit_code == 0


def test_a_mapping_is_tested_as_its_source_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web.yaml").write_text(
        "version: 1\npush: {platforms: all}\n"
        'rules: [{name: sale, when: event = "Sale", do: {send_notification: {contents: Sale}}}]\n'
        "examples: [{name: anybody could send it, event: {type: track, event: Sale, userId: u1}, skips: {sale: client_source}}]\n"
    )
    (tmp_path / "bridge.yaml").write_text(
        "apps: {one: {app_id: 8a1b3c4d-0000-4000-8000-000000000001, api_key: k}}\n"
        "sources:\n"
        "  backend: {secrets: s}\n"
        "  website: {secrets: s, mappings: web.yaml, trust: client}\n"
    )
    assert run(tmp_path / "web.yaml").exit_code == 1

    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "bridge.yaml"))

    assert run(tmp_path / "web.yaml").exit_code == 0


def test_without_a_path_the_mapping_of_every_source_is_tested_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("shop", "club"):
        (tmp_path / f"{name}.yaml").write_text(
            f"version: 1\nexamples: [{{name: of {name}, event: {{type: page}}}}]\n"
        )
    (tmp_path / "bridge.yaml").write_text(
        "apps: {one: {app_id: 8a1b3c4d-0000-4000-8000-000000000001, api_key: k}}\n"
        "sources:\n"
        "  backend: {secrets: s, mappings: shop.yaml}\n"
        "  website: {secrets: s, mappings: shop.yaml}\n"
        "  members: {secrets: s, mappings: club.yaml}\n"
    )
    monkeypatch.setenv("BRIDGE_CONFIG", str(tmp_path / "bridge.yaml"))

    result = run()

    assert result.exit_code == 0
    assert result.output.count("of shop") == result.output.count("of club") == 1


# --- every operation -------------------------------------------------------------------------------

OTHERS = """\
version: 1
push: {platforms: {exclude: [ios]}}
rules:
  - name: contact
    when: type = "identify"
    do:
      update_user: {email: {address: "{{ traits.email }}", opted_in: "{{ traits.opted_in }}"}, raw: {new_field: 7}}
      create_alias: {label: crm, id: "{{ traits.crm }}"}
  - name: device
    when: event = "Device Added"
    do: {add_subscription: {type: AndroidPush, token: "{{ properties.token }}"}}
  - name: gone
    when: event = "Device Gone"
    do: {remove_subscription: {type: AndroidPush, token: "{{ properties.token }}"}}
  - name: left
    when: event = "Account Closed"
    do: {delete_user: {}}
  - name: cart
    when: event = "Cart Abandoned"
    once_per: {time: 1d}
    do:
      track_custom_event: {name: cart_abandoned, properties: {email: "{{ properties.email }}", tags: {a: 1}}}
      send_notification: {contents: "Still there?", to: {external_id: "{{ properties.friend }}"}}
examples:
"""


CASES = """\
event: {type: identify, userId: u1, traits: {email: a@b.example, opted_in: false, crm: c-1}}
gives: {contact: {update_user: {email: {address: a@b.example, opted_in: false}, raw: {new_field: 7}}, create_alias: {label: crm, id: c-1}}}
---
event: {type: identify, userId: u1, traits: {email: a@b.example, crm: c-1}}
gives: {contact: {update_user: {email: a@b.example}, create_alias: {}}}
---
event: {type: identify, userId: u1, traits: {email: null, crm: c-1}}
gives: {contact: {update_user: {email: null}, create_alias: {to: {external_id: u1}}}}
---
event: {type: track, event: Device Added, userId: u1, properties: {token: t1}}
gives: {device: {add_subscription: {type: AndroidPush, token: t1}}}
---
event: {type: track, event: Device Gone, userId: u1, properties: {token: t1}}
gives: {gone: {remove_subscription: {token: t1}}}
---
event: {type: track, event: Account Closed, userId: u1}
gives: {left: {delete_user: {}}}
---
event: {type: track, event: Cart Abandoned, userId: u1, properties: {email: a@b.example, friend: u2}}
gives:
  cart:
    track_custom_event: {name: cart_abandoned, properties: {email: a@b.example, tags: {a: 1}}}
    send_notification: {to: {external_id: u2}}
---
events:
  - event: {type: identify, userId: u1, traits: {email: a@b.example, crm: c-1}}
  - event: {type: identify, userId: u2, traits: {email: c@d.example, crm: c-2}}
gives: {contact: {update_user: [{email: a@b.example}, {email: c@d.example}], create_alias: {times: 2}}}
"""


@pytest.mark.parametrize("example", CASES.split("---\n"), ids=range(8))
def test_every_operation_is_written_as_in_the_mapping(tmp_path: Path, example: str) -> None:
    file = tmp_path / "others.yaml"
    file.write_text(f"{OTHERS}  - name: it\n{indent(example, '    ')}")

    result = run(file)

    assert result.exit_code == 0, result.output


def test_a_tag_that_says_nothing_is_not_nothing(tmp_path: Path) -> None:
    event = "{type: identify, userId: u1, traits: {plan: pro}}"
    example = f"event: {event}\n    gives: {{profile: {{update_user: {{tags: {{plan: pro, orders: nothing}}}}}}}}"

    assert differences(tmp_path, example) == [
        ("profile.update_user.tags.orders", '"nothing"', "nothing")
    ]


@pytest.mark.parametrize("never", ["u2", "cart_abandoned", "a@b.example", "tags"])
def test_never_looks_into_custom_events_too(tmp_path: Path, never: str) -> None:
    file = tmp_path / "others.yaml"
    file.write_text(
        f"{OTHERS}  - name: it\n"
        "    event: {type: track, event: Cart Abandoned, userId: u1, properties: {email: a@b.example, friend: u2}}\n"
        "    gives: {cart: {track_custom_event: {}, send_notification: {}}}\n"
        f"    never: ['{never}']\n"
    )

    assert run(file).exit_code == 1


def test_starts_ends_consent_and_trust_count(tmp_path: Path) -> None:
    file = tmp_path / "terms.yaml"
    file.write_text(
        "version: 1\n"
        "push: {platforms: {exclude: [ios]}}\n"
        "rules:\n"
        "  - {name: sale, when: event = \"Sale\", starts: '2026-11-27T00:00:00Z', ends: '2026-11-28T00:00:00Z', consent: [Marketing], do: {send_notification: {contents: Sale}}}\n"
        "examples:\n"
        "  - {name: early, now: '2026-11-26T23:59:59Z', event: {type: track, event: Sale, userId: u1}, skips: {sale: not_started}}\n"
        "  - {name: late, now: '2026-11-28T00:00:01Z', event: {type: track, event: Sale, userId: u1}, skips: {sale: ended}}\n"
        "  - {name: no, now: '2026-11-27T08:00:00Z', event: {type: track, event: Sale, userId: u1}, skips: {sale: no_consent}}\n"
        "  - name: in time, with consent\n"
        "    now: '2026-11-27T08:00:00Z'\n"
        "    event: {type: track, event: Sale, userId: u1, context: {consent: {categoryPreferences: {Marketing: true}}}}\n"
        "    gives: {sale: {send_notification: {}}}\n"
    )

    result = run(file)

    assert result.exit_code == 0, result.output
