"""An event that meets no rule is told which one it nearly meets, and what it lacks."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.mapping.nearest import nearest
from tests.unit.plan.planning import event_of, mapping_of, rule

SHIPPED = 'type = "track" and event = "Order Shipped"'
RULES = (
    rule("profile", 'type = "identify" and audience.class = null', update_user={"tags": {"a": "1"}}),
    rule("shipped", SHIPPED, update_user={"tags": {"b": "1"}}),
    rule("drop", 'event = "Price Dropped" and properties.percent >= 10', update_user={"tags": {"c": "1"}}),
    rule("either", 'type = "page" or (type = "group" and traits.plan = "pro")', update_user={"tags": {"d": "1"}}),
)  # fmt: skip


def said(**sent: Any) -> str | None:
    found = nearest(mapping_of(*RULES).rules, event_of(sent).fields)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("sent", "nearly"),
    [
        (
            {"type": "track", "event": "order shipped"},
            'shipped, which wants event = "Order Shipped"',
        ),
        (
            {"type": "track", "event": "Order Shiped"},
            'shipped, which wants event = "Order Shipped"',
        ),
        ({"event": "Order Shipped", "type": ""}, 'shipped, which wants type = "track"'),
        (
            {"type": "track", "event": "Price Dropped", "properties": {"percent": 5}},
            "drop, which wants properties.percent >= 10",
        ),
        ({"type": "group", "traits": {"plan": "free"}}, 'either, which wants traits.plan = "pro"'),
    ],
    ids=str,
)
def test_what_is_nearest_is_named_with_what_it_wants(sent: dict[str, Any], nearly: str) -> None:
    assert said(**sent) == f"nearest is {nearly}"


def test_a_name_that_is_nearly_right_is_near_though_nothing_else_is_asked() -> None:
    mapping = mapping_of(rule("shipped", 'event = "Order Shipped"', delete_user={}))
    near = nearest(mapping.rules, event_of({"type": "track", "event": "OrderShipped"}).fields)

    assert str(near) == 'nearest is shipped, which wants event = "Order Shipped"'
    assert nearest(mapping.rules, event_of({"type": "track", "event": "Paid"}).fields) is None


def test_what_has_nothing_that_a_rule_asks_is_near_to_none() -> None:
    mapping = mapping_of(*RULES[:3])

    assert nearest(mapping.rules, event_of({"type": "page"}).fields) is None
