"""`reload`: how long it takes to read a mapping of 500 rules again, of which one was edited."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

from bridge.mapping.load import load_mapping

RULES = 500
_HEAD = """\
# A shop's mapping.
version: 1
identity: {external_id: "{{ userId }}", anonymous: skip}
push:
  platforms: {exclude: [ios]}
  links: ["shop://", "https://www.shop.example/"]
rules:
"""
_KINDS = (
    """\
  - name: shipped-N
    # Somebody waits for it, so no limit of a campaign's holds it.
    when: source = "backend" and type = "track" and event = "Order Shipped N"
    transactional: true
    do:
      send_notification:
        headings: "Your order from store N"
        contents:
          en: "{{ properties.products[0].name | truncate: 40 }} is on its way with {{ properties.carrier | default: 'our courier' }}."
          de: "{{ properties.products[0].name | truncate: 40 }} ist unterwegs."
        app_url: "shop://orders/{{ properties.order_id }}"
        collapse_id: "order-{{ properties.order_id }}"
        ttl: 2d
""",
    """\
  - name: profile-N
    when: type = "identify" and audience.key = null and traits.region = "region N"
    do:
      update_user:
        tags:
          tier_N: "{{ traits.loyaltyTier }}"
          orders_N: "{{ traits.ordersCount }}"
          last_order_N: "{{ traits.lastOrderAt | unix }}"   # seconds since 1970
        tags_from: {traits: {include: [homeStore, shoe*], rename: {homeStore: store}}}
        language: "{{ context.locale }}"
""",
    """\
  - name: welcome-N
    when: audience.class = "audience" and audience.key = "audience_N" and audience.entered = true
    max_age: 6h
    do:
      send_notification:
        headings: "Welcome to club N"
        contents: {en: "{% raw %}{{ first_name | default: 'Hello' }}{% endraw %}, good to have you.", de: "Hallo."}
        app_url: "shop://clubs/N"
        web_url: "https://www.shop.example/clubs/N"
        image: "https://www.shop.example/clubs/N.png"
""",
    """\
  - name: cart-N
    when: type = "track" and event in ["Cart Viewed N", "Product Added N"] and properties.value > N
    do:
      update_user:
        tags: {cart_N: "{{ properties.cart_id }}", cart_at_N: "{{ timestamp | unix }}"}
      send_notification:
        contents: "Still thinking about {{ properties.products[0].name }}?"
        app_url: "shop://carts/{{ properties.cart_id }}"
""",
)
_EXAMPLE = """\
  - name: example N
    events:
      - {at: 0s, event: {type: track, event: Order Shipped N, userId: u1, properties: {order_id: A-N, carrier: Post}}}
    gives: {shipped-N: {send_notification: {app_url: "shop://orders/A-N"}}}
"""


def mapping_text(edit: int | None = None) -> str:
    """500 rules and an example for each fourth; rule number `edit` folds for another time than before."""
    rules = [_KINDS[number % len(_KINDS)].replace("N", str(number)) for number in range(RULES)]
    if edit is not None:
        rules[edit % RULES] += f"    fold: {edit % 240 + 1}m\n"
    examples = [_EXAMPLE.replace("N", str(number)) for number in range(0, RULES, 4)]
    return _HEAD + "".join(rules) + "examples:\n" + "".join(examples)


def reload(seconds: float, rounds: int, connections: int | None) -> dict[str, Any]:
    """Milliseconds of this process's processor time: the machine may have other things to do."""
    del connections
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "shop.yaml"
        first = _load_ms(file, mapping_text())
        times: list[float] = []
        while sum(times) < 1000 * seconds * rounds:
            times.append(_load_ms(file, mapping_text(len(times) * 7)))
        # What every rule inherits is edited: every rule is compiled again.
        inherited = _load_ms(file, mapping_text().replace("[ios]", "[ios, ios_web]"))
    times.sort()
    return {
        "rules": RULES,
        "kilobytes": len(mapping_text()) // 1000,
        "reloads": len(times),
        "p50_ms": round(times[len(times) // 2], 1),
        "p99_ms": round(times[len(times) * 99 // 100], 1),
        "slowest_ms": round(times[-1], 1),
        "first_ms": round(first, 1),
        "inherited_ms": round(inherited, 1),
        "load_average": os.getloadavg()[0],
    }


def _load_ms(file: Path, text: str) -> float:
    file.write_text(text, encoding="utf-8")
    began = time.process_time()
    mapping, _ = load_mapping(file, serves=("android", "web"))
    spent = 1000 * (time.process_time() - began)
    assert len(mapping.rules) == RULES
    return spent
