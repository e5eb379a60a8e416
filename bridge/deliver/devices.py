"""Which registered devices a push names, looked up when it is about to be written.

From the moment that it is written only that counts: a device that is registered, changed or forgotten
later changes nothing of it. Every choice is by what was registered, so a push to somebody of whom only
iPhones are known makes no call at all.

::

    registered                                 what becomes of the push
    nothing                                    no_devices, or by its flags where the rule says so
    only iPhones, which the rule leaves out    only_ios
    nothing on a platform that it reaches      no_platform
    on one, but it takes none                  devices_off
    anything else                              to those devices
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from bridge.deliver.means import Means
from bridge.deliver.progress import Progress
from bridge.journal.devices import Device
from bridge.journal.records import End
from bridge.onesignal.operations import ByDevices, Send, SendNotification
from bridge.onesignal.platforms import IOS


def choose(registered: Sequence[Device], by: ByDevices) -> tuple[str, ...] | str:
    """The ids to send to, or the reason why there are none. Pure."""
    if not registered:
        return "no_devices"
    meant = [one for one in registered if one.platform in by.platforms]
    if not meant:
        return "only_ios" if {one.platform for one in registered} <= IOS else "no_platform"
    reachable = [one.subscription_id for one in meant if one.subscribed and one.subscription_id]
    return tuple(dict.fromkeys(reachable)) or "devices_off"


async def addressed(means: Means, sends: Sequence[Send], progress: Progress) -> list[Send]:
    """The sends with their devices; those without any end here."""
    found: list[Send] = []
    for send in sends:
        if not isinstance(send, SendNotification) or send.devices is None:
            found.append(send)
            continue
        registered = await _registered(means, send)
        chosen = choose(registered, send.devices)
        if isinstance(chosen, tuple):
            found.append(replace(send, subscriptions=chosen))
        elif chosen == "no_devices" and send.devices.unknown == "flags":
            found.append(replace(send, devices=None))
        else:
            detail = ", ".join(sorted(_platforms(registered))) or None
            progress.add(End(send.rule, send.name, "skipped", chosen, detail))
    return found


def _platforms(registered: Sequence[Device]) -> Iterator[str]:
    return (one.platform if one.is_reachable else f"{one.platform} (off)" for one in registered)


async def _registered(means: Means, send: SendNotification) -> list[Device]:
    app, journal = means.destination.name, means.journal
    since_ms = means.clock.now_ms() - means.devices_expire_ms()
    return await journal.devices.of(app, journal.user_hash(app, send.to.id), since_ms=since_ms)
