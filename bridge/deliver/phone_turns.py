"""A device that is given to somebody by its id at OneSignal, while others may log in on it.

Whoever logs in on a phone without the SDK is heard of by its token, in a chain of their own: see
`attaching`. Both take turns, so that whose it is known to be does not change between the look at that and
the answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from bridge.deliver.means import Means
from bridge.deliver.spacing import SPACING_SECONDS
from bridge.journal.devices import Device


async def is_anothers(means: Means, subscription: str, person: int) -> bool:
    """Whether somebody else, and not the person, was the last to log in on it."""
    owners = {one.user_hash for one in await _known(means, subscription)}
    return bool(owners) and person not in owners


@asynccontextmanager
async def its_turn(means: Means, subscription: str) -> AsyncIterator[None]:
    """Within the block nobody else is given the phone by its token."""
    spacing, held = means.spacing, ExitStack()
    names = _names(await _known(means, subscription))
    while any(spacing.busy(name) for name in names):
        await means.clock.sleep(SPACING_SECONDS)
        names = _names(await _known(means, subscription))
    with held:
        for name in names:
            held.enter_context(spacing.writing(name))
        yield


async def _known(means: Means, subscription: str) -> list[Device]:
    return await means.journal.devices.called(means.destination.name, subscription)


def _names(devices: list[Device]) -> set[int]:
    return {name for one in devices for name in (one.token, one.installation) if name is not None}
