"""What the console shows of one person: from the journal, from the registry, and from OneSignal itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from bridge.console.views.person import KINDS, There, Written
from bridge.deliver.attempts import look
from bridge.deliver.gate import StoppingError
from bridge.deliver.state import decode, is_note
from bridge.journal.devices import Device
from bridge.onesignal.operations import Recipient
from bridge.onesignal.user_model import view_user
from bridge.onesignal.verdict import Accepted, Answer

if TYPE_CHECKING:
    from bridge.app.bridge import Bridge

T = TypeVar("T")

PATIENCE_SECONDS = 8.0


async def written(bridge: Bridge, app: str, user: str) -> list[Written]:
    """Every fact of somebody's row that has a value, or was deleted."""
    row = decode(await bridge.journal.state(bridge.journal.user_hash(app, user)))
    return [
        Written(name, fact.value, fact.at.event_ms, fact.at.message_id, fact.accepted_ms)
        for name, fact in row.items()
        if name and not is_note(name)
    ]


async def devices(bridge: Bridge, app: str, user: str) -> list[Device]:
    """Those that were registered, and seen not too long ago."""
    since_ms = bridge.clock.now_ms() - bridge.means[app].devices_expire_ms()
    return await bridge.journal.devices.of(
        app, bridge.journal.user_hash(app, user), since_ms=since_ms
    )


async def ask(bridge: Bridge, app: str, user: str) -> list[There] | str:
    """What OneSignal says, asked once and in its turn; words when it does not say it."""
    means = bridge.means[app]
    if not means.destination.api.HAS_USERS:
        return "The legacy API cannot be asked for a person's devices."
    to = Recipient(label="external_id", id=user)
    request = view_user(to, app_id=means.destination.app_id)
    try:
        seen = await _soon(bridge, look(means, request.path))
    except StoppingError:
        return "The bridge is stopping."
    if seen is None:
        return "OneSignal cannot be asked now: the way to it is shut, or others look something up."
    verdict, answer = seen
    if isinstance(answer, Answer) and answer.status == 404:
        return "OneSignal does not know this user. Do your apps call OneSignal.login with Segment's userId?"
    if not isinstance(verdict, Accepted) or not isinstance(answer, Answer):
        return "OneSignal did not answer; try again in a minute."
    return list(_there(answer.body))


async def _soon(bridge: Bridge, looking: Coroutine[Any, Any, T]) -> T | None:
    """What comes of it within the time that a person waits for a page; None: nothing."""
    asking = asyncio.create_task(looking)
    patience = asyncio.create_task(bridge.clock.sleep(PATIENCE_SECONDS))
    await asyncio.wait({asking, patience}, return_when=asyncio.FIRST_COMPLETED)
    patience.cancel()
    if asking.done():
        return asking.result()
    asking.cancel()
    return None


def _there(body: bytes) -> list[There]:
    try:
        shown = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    found = shown.get("subscriptions") if isinstance(shown, dict) else None
    return [_subscription(one) for one in found or () if isinstance(one, dict)]


def _subscription(one: dict[str, Any]) -> There:
    kind = str(one.get("type", ""))
    off = one.get("enabled") is False or one.get("notification_types", 1) in {0, -2, -31}
    model = one.get("device_model")
    return There(KINDS.get(kind, kind), not off, model if isinstance(model, str) else None)
