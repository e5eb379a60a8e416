"""The platform an event came from."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.segment.device import platform_of


@pytest.mark.parametrize(
    ("context", "platform"),
    [
        ({"device": {"type": "ios"}}, "ios"),
        ({"device": {"type": "Android"}, "library": {"name": "analytics-ios"}}, "android"),
        ({"device": {"type": "mobile"}, "os": {"name": "iPadOS"}}, "ios"),
        ({"library": {"name": "analytics.js"}, "os": {"name": "iOS"}}, "web"),
        ({"library": {"name": "analytics-kotlin"}}, "android"),
        ({"os": {"name": "iOS"}, "page": {"url": "https://shop.example"}}, "ios"),
        ({"page": {"url": "https://shop.example"}}, "web"),
        ({"library": {"name": "analytics-node"}}, None),
        ({"device": "ios", "library": None, "os": {"name": 7}, "page": []}, None),
        ({}, None),
    ],
)
def test_the_most_trusted_sign_says_the_platform(
    context: dict[str, Any], platform: str | None
) -> None:
    assert platform_of(context) == platform
