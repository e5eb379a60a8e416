"""The front page: of every rule what it did, what it would send, and why it does nothing."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from bridge.app.counting import FLUSH_SECONDS
from bridge.mapping.reads import finds, reads
from tests.console.visiting import SHOP, text_of, visiting
from tests.harness import APP_ID, Rig, identify, mapping_of, rig, track

RULES = "/console"


def card(page: str, rule: str) -> str:
    """What is read of one rule."""
    found = re.search(
        rf'<section class="card rule[^"]*" id="rule-{rule}".*?</section>', page, re.DOTALL
    )
    assert found, rule
    return text_of(f"<main>{found[0]}")


def phones(here: Rig, *users: str) -> None:
    for user in users:
        here.sandbox.add_device(user, "android", app_id=APP_ID)


async def test_a_rule_tells_what_it_did_today(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        phones(here, "u1", "u2")
        for number, user in enumerate(("u1", "u2", "u3")):
            await here.post(track("Order Shipped", user, f"m{number}", properties={"id": "A"}))
        await here.post(track("Order Shipped", "u4", "m4", properties={}))
        await here.settle()
        shown = card(await visitor.get(RULES), "shipped")
        assert "Pushes on “Order Shipped”" in shown
        assert "matched 4 pushed 2 reached nobody 1 skipped 1" in shown
        assert "1 the event lacks a value that it needs" in shown


@pytest.mark.parametrize(
    ("when", "on"),
    [
        ('event = "A" or event = "B"', "on “A” or “B”"), ('type = "identify" and audience.class = null', "on identify"),
        ('audience.key = "vip" and audience.entered = true', "on audiences"), ('properties.price > 5', "tags and profile"),
    ],
)  # fmt: skip
async def test_a_rule_says_which_events_it_is_about(tmp_path: Path, when: str, on: str) -> None:
    mapping = tmp_path / "one.yaml"
    mapping.write_text(
        f"version: 1\nrules: [{{name: one, when: '{when}', do: {{update_user: {{tags: {{a: b}}}}}}}}]\n"
    )
    async with visiting(tmp_path, mapping=mapping) as (_, visitor):
        shown = card(await visitor.get(RULES), "one")
        assert "Writes tags and profile " + on.removeprefix("tags and profile") in shown


async def test_what_is_counted_is_the_same_before_and_after_it_is_on_disk(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        phones(here, "u1")
        await here.post(track("Order Shipped", "u1", properties={"id": "A"}))
        await here.settle()
        before = card(await visitor.get(RULES), "shipped")
        assert here.bridge.counting.fresh.rules
        await here.pass_time(FLUSH_SECONDS + 1)
        assert not here.bridge.counting.fresh.rules
        assert card(await visitor.get(RULES), "shipped") == before
        await here.post(track("Order Shipped", "u1", "m2", properties={"id": "B"}))
        await here.settle()
        assert "matched 2" in card(await visitor.get(RULES), "shipped")


async def test_counts_outlast_a_restart(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, _):
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        clock = here.clock
    async with visiting(tmp_path, clock=clock) as (_, visitor):
        shown = card(await visitor.get(RULES), "profile")
        assert "matched 1 written 1 skipped 0" in shown


async def test_a_duplicate_is_not_counted(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        for _ in range(3):
            await here.post(identify("u1", "m-1", tier="gold"))
        await here.settle()
        assert "matched 1 written 1" in card(await visitor.get(RULES), "profile")


async def test_yesterday_is_not_today(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(identify("u1", tier="gold"))
        await here.settle()
        await here.pass_time(11 * 3600)
        assert "matched 1" in card(await visitor.get(RULES), "profile")
        await here.pass_time(6 * 3600)  # past midnight, UTC
        await visitor.sign_in("the-token-of-who-operates")
        assert "matched 0" in card(await visitor.get(RULES), "profile")


async def test_the_push_is_drawn_from_the_last_event_that_met_it(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        for name in ("A1", "A2"):
            await here.post(track("Order Shipped", "u1", name, properties={"id": name}))
        await here.settle()
        shown = card(await visitor.get(RULES), "shipped")
        assert "A2 is on its way" in shown
        assert "From the last event that it met." in shown
        assert "To Android and the web; not iPhones, because Segment pushes there." in shown


async def test_who_only_looks_sees_the_push_as_it_is_written(tmp_path: Path) -> None:
    async with visiting(tmp_path, "view") as (here, visitor):
        await here.post(track("Order Shipped", "u1", properties={"id": "s3cret"}))
        await here.settle()
        page = await visitor.get(RULES)
        assert "s3cret" not in page
        assert "properties.id is on its way" in card(page, "shipped")


async def test_held_and_paused_are_told_on_the_rule(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        for user in ("u1", "u2", "u3"):
            await here.post(track("Signed Up", user))
        await here.settle()
        await visitor.post("/console/pause", on=RULES, what="rule/cheap")
        page = await visitor.get(RULES)
        assert "held 2" in card(page, "welcome")
        assert "Paused. Let it push again…" in card(page, "cheap")
        assert list(here.bridge.brake.pauses) == ["rule/cheap"]


# What is wrong with it


async def test_a_rule_that_never_matched_names_the_event_that_is_called_nearly_the_same(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Order shipped", "u1"))
        await here.settle()
        page = await visitor.get(RULES)
        said = " ".join(card(page, "shipped").split())
        assert "It wants “Order Shipped”; Segment sends “Order shipped” ." in said
        assert "4 rules have never met an event" not in page
        await here.post(identify("u1", tier="gold"))
        assert "3 rules have never met an event: shipped , cheap , welcome ." in text_of(
            await visitor.get(RULES)
        )


async def test_an_event_that_another_rule_wants_is_no_misspelling(tmp_path: Path) -> None:
    other = """
  - name: shopped
    when: event = "Order Shopped"
    do: {send_notification: {contents: "Thank you"}}
"""
    async with visiting(tmp_path, mapping=f"{SHOP.rstrip()}{other}") as (here, visitor):
        await here.post(track("Order Shopped", "u1"))
        await here.settle()
        shown = card(await visitor.get(RULES), "shipped")
        assert "It waits for “Order Shipped”, and nothing of that name is among" in shown


async def test_a_rule_whose_event_comes_and_never_meets_it_says_so(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (here, visitor):
        await here.post(track("Price Dropped", "u1", properties={"price": 99}))
        await here.settle()
        shown = card(await visitor.get(RULES), "cheap")
        assert "Its event comes in, and something else that it asks is not met" in shown


async def test_a_rule_that_did_meet_some_leads_to_those_that_it_nearly_met(tmp_path: Path) -> None:
    async with visiting(tmp_path, keep_unmatched="1d") as (here, visitor):
        for price in (9, 99):
            await here.post(
                track("Price Dropped", f"u{price}", properties={"sku": "K", "price": price})
            )
        await here.settle()
        (way,) = re.findall(r'href="(/console/events\?name=Price[^"]+)"', await visitor.get(RULES))
        rows = re.findall(r'<td><a href="(/console/events/\d+)"', await visitor.get(unescape(way)))
        assert len(rows) == 1
        story = text_of(await visitor.get(rows[0]))
        assert "Its condition is not met: properties.price < 20 (properties.price is 99)" in story


async def test_a_path_that_is_never_there_is_told_when_enough_events_were_looked_at(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (here, visitor):
        for number in range(3):
            assert "It reads" not in card(await visitor.get(RULES), "profile")
            await here.post(identify("u1", f"m{number}", level="gold"))
            await here.pass_time(FLUSH_SECONDS + 1)
        shown = card(await visitor.get(RULES), "profile")
        assert "It reads traits.tier , which was in none of 3 events that were looked at." in shown
        await here.post(identify("u1", "m9", tier="gold"))
        await here.pass_time(FLUSH_SECONDS + 1)
        assert "It reads" not in card(await visitor.get(RULES), "profile")


async def test_nothing_is_written_while_nothing_happens(tmp_path: Path) -> None:
    async with rig(tmp_path, SHOP) as here:
        await here.still()
        assert (here.clock.next_wake or 0) > FLUSH_SECONDS
        await here.post(identify("u1", tier="gold"))
        await here.still()
        assert here.clock.next_wake is not None
        assert here.clock.next_wake <= FLUSH_SECONDS


# What a rule reads

READS = """
version: 1
push: {platforms: all, links: ["shop://"]}
rules:
  - name: all
    when: event = "X" and properties.asked = 1
    once_per: {time: 1d, key: "{{ properties.sku }}"}
    do:
      update_user:
        tags: {a: "{{ traits.one | default: 'x' }}", b: literal}
        tags_from: {traits: {include: [store, shoe*]}}
        email: "{{ traits.email }}"
      send_notification:
        to: {external_id: "{{ properties.friend }}"}
        contents: "{{ properties.products[0].name }} and {{ properties.more }}"
        app_url: "shop://{{ properties.path }}"
"""


def test_what_a_rule_reads_is_every_path_of_its_values_that_has_no_default() -> None:
    (rule,) = mapping_of(READS, ("android", "web", "ios")).rules
    assert reads(rule) == {
        "properties.sku", "traits.store", "traits.email", "properties.friend",
        "properties.products[0].name", "properties.more", "properties.path",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("properties.products[0].name", True), ("properties.products[1].name", False), ("properties.none", True),
        ("properties.other", False), ("traits.one", False), ("userId", True),
    ],
)  # fmt: skip
def test_a_path_is_found_where_the_event_says_something_be_it_null(path: str, found: bool) -> None:  # noqa: FBT001 — a column of the table
    fields = {"userId": "u", "properties": {"products": [{"name": "a"}], "none": None}}
    assert finds(path, fields) is found
