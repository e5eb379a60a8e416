"""Devices of a user whom nobody here knows come over to the user who has the alias from now on."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.deliver.alone import NOTHING_THERE
from bridge.deliver.attempts import Ended, Wait
from bridge.deliver.means import Means
from bridge.deliver.phone_turns import is_anothers, its_turn
from bridge.deliver.user_call import UserCall
from bridge.onesignal.user_model import move_subscription


async def bring_over(
    means: Means, call: UserCall, stranger: int, subscriptions: Iterable[str]
) -> Ended | Wait | None:
    """One by one; None when all have, that nobody else has logged in on meanwhile."""
    for subscription in subscriptions:
        ended = await _one(means, call, stranger, subscription)
        if ended is not None:
            return ended
    return None


async def _one(
    means: Means, call: UserCall, stranger: int, subscription: str
) -> Ended | Wait | None:
    spacing = means.spacing
    if (seconds := spacing.wait(stranger)) > 0:
        await means.clock.sleep(seconds)
    request = move_subscription(subscription, call.to, app_id=means.destination.app_id)
    async with its_turn(means, subscription):
        if await is_anothers(means, subscription, call.user_hash):
            return None
        ended = await call.plain(request, NOTHING_THERE)
    # It is a write to the one as much as to the other.
    spacing.mark(stranger)
    is_done = not isinstance(ended, Wait) and ended.status == "delivered"
    return None if is_done else ended
