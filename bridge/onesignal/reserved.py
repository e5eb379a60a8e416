"""Names in OneSignal's API that no mapping may write: whom a message reaches is not a field.

A targeting field beside ours would widen a message from one person to a crowd, a platform flag
would undo the platform policy, and a key or an app of its own would send twice or elsewhere.
Spelling does not matter, because somebody's API client may forgive what we do not.

Source: documentation.onesignal.com/reference/create-message, and the fields of older SDKs.
"""

from __future__ import annotations

import re
from typing import Literal

from bridge.onesignal.platforms import FLAGS

Reserved = Literal["targeting", "platform", "key", "app"]

_TARGETING = frozenset(
    {
        "filters", "targetchannel", "channelforexternaluserids", "emailto", "emailsto", "phonenumbers",
        "segments", "playerids", "externaluserids", "subscriptionids", "aliases", "audience",
    }
)  # fmt: skip
_KEYS = frozenset({"idempotencykey", "externalid"})
_APPS = frozenset({"appid", "appids", "apiid"})
_FLAGS = frozenset(flag.lower().replace("_", "") for flag in FLAGS)
_FLAG = re.compile(r"is_?[A-Z]|is_")


def reserved(name: str) -> Reserved | None:
    """What makes a name ours alone; None for any other."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if plain in _TARGETING or plain.startswith(("include", "exclude")):
        return "targeting"
    if plain in _FLAGS or _FLAG.match(name.strip()):
        return "platform"
    if plain in _KEYS:
        return "key"
    return "app" if plain in _APPS else None
