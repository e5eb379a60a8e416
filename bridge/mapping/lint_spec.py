"""The names that Segment's Spec gives to events and to what is in `context`; for hints alone.

Source: Segment, "Spec" (connections/spec: ecommerce v2, mobile, email, live chat, b2b, video) and
"Common fields".
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

EVENTS: Final = (
    "Products Searched", "Product List Viewed", "Product List Filtered", "Promotion Viewed",
    "Promotion Clicked", "Product Clicked", "Product Viewed", "Product Added", "Product Removed",
    "Cart Viewed", "Checkout Started", "Checkout Step Viewed", "Checkout Step Completed",
    "Payment Info Entered", "Order Completed", "Order Updated", "Order Refunded", "Order Cancelled",
    "Coupon Entered", "Coupon Applied", "Coupon Denied", "Coupon Removed", "Product Added to Wishlist",
    "Product Removed from Wishlist", "Wishlist Product Added to Cart", "Product Shared", "Cart Shared",
    "Product Reviewed", "Application Installed", "Application Opened", "Application Updated",
    "Application Backgrounded", "Application Foregrounded", "Application Crashed",
    "Application Uninstalled", "Install Attributed", "Push Notification Received",
    "Push Notification Tapped", "Push Notification Bounced", "Deep Link Opened", "Deep Link Clicked",
    "Email Delivered", "Email Opened", "Email Link Clicked", "Email Bounced", "Email Marked as Spam",
    "Unsubscribed", "Live Chat Conversation Started", "Live Chat Conversation Ended",
    "Live Chat Message Sent", "Live Chat Message Received", "Account Created", "Account Deleted",
    "Signed Up", "Signed In", "Signed Out", "Invite Sent", "Account Added User",
    "Account Removed User", "Trial Started", "Trial Ended", "Video Playback Started",
    "Video Playback Paused", "Video Playback Resumed", "Video Playback Completed",
    "Audience Entered", "Audience Exited", "Trait Computed", "Journey Step Entered",
)  # fmt: skip
CONTEXT: Final = (
    "active", "app", "campaign", "channel", "consent", "device", "externalIds", "groupId", "ip",
    "library", "locale", "messaging_subscriptions", "network", "os", "page", "personas", "protocols",
    "referrer", "screen", "timezone", "traits", "userAgent", "userAgentData",
)  # fmt: skip

_SPELT: Final = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in EVENTS}


def nearest_event(name: str) -> str | None:
    """The event of the Spec that `name` is a misspelling of, if it seems to be one."""
    if name in EVENTS:
        return None
    same = _SPELT.get(re.sub(r"[^a-z0-9]", "", name.lower()))
    near = get_close_matches(name, EVENTS, n=1, cutoff=0.93)
    return same or (near[0] if near else None)


def nearest_context(name: str) -> str | None:
    """The field of `context` that `name` is a misspelling of, if it seems to be one."""
    if name in CONTEXT:
        return None
    near = get_close_matches(name, CONTEXT, n=1, cutoff=0.8)
    return near[0] if near else None
