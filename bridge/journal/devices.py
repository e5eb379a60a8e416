"""What the journal knows of devices: whose they are, and how OneSignal calls them.

::

    posted by a page or an app ──┐
                                 ├──> device ──> subscription ids of a person, when a send is written
    a push token in an event ────┘       │
                                         └──> not seen for long, said to be gone, or its user erased: removed

Nobody is named in it: users, installations and push tokens are keyed hashes. A device is known by any
of three names (its subscription id, its installation, its token): what shares one with another row of
the same user is the same device. Whether a device may be several users' is the asker's to say.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

MOST = 20
"""Devices of one user: OneSignal has no more of them (docs/users)."""

NOBODY = 0
"""Whose a device is that its user has logged out of: it counts for nobody, and is known."""

OfAnother = Literal["move", "refuse", "share"]
"""What becomes of a device that is somebody else's: it is theirs no more, it stays theirs, or both have it."""


class Device(NamedTuple):
    app: str
    user_hash: int
    #: android, ios, …: one of `bridge.onesignal.platforms`, or another of Apple's.
    platform: str
    #: The id at OneSignal; None: it is not known, or there is none because consent was declined.
    subscription_id: str | None = None
    #: Keyed hashes, by `Devices.name`.
    installation: int | None = None
    token: int | None = None
    #: False: it takes no pushes, as far as the app knows.
    subscribed: bool = True
    #: A JSON object: what was said of it besides.
    details: str = "{}"
    #: When it was said, and by which event; 0: by none.
    at_ms: int = 0
    seq: int = 0
    #: Filled in when it is read.
    seen_ms: int = 0

    @property
    def is_reachable(self) -> bool:
        return self.subscribed and self.subscription_id is not None

    def says(self, other: Device) -> bool:
        """Whether the other, of the same user, says nothing that this does not."""
        same = (self.platform, self.subscription_id, self.subscribed, self.details)
        return (
            same == (other.platform, other.subscription_id, other.subscribed, other.details)
            and other.installation in {None, self.installation}
            and other.token in {None, self.token}
        )


Kept = Literal["written", "of-another", "erased"]


class Devices(Protocol):
    """The part of a journal that is about devices."""

    def name(self, app: str, kind: Literal["installation", "token"], text: str) -> int:
        """The keyed hash by which an installation or a push token is known."""

    async def of(self, app: str, user_hash: int, *, since_ms: int) -> list[Device]:
        """A user's devices that were seen since, the last one first."""

    async def holders(
        self, app: str, *, token: int | None, installation: int | None
    ) -> list[Device]:
        """The device of this push token or installation, and whose it was said to be; the last first."""

    async def called(self, app: str, subscription_id: str) -> list[Device]:
        """The device of this id at OneSignal, once for everybody whose it is said to be."""

    async def keep(self, device: Device, *, of_another: OfAnother, now_ms: int) -> Kept:
        """It is this user's from now on.

        A user keeps `MOST`; whichever was not seen for longest goes. `erased`: the user was erased a
        moment ago, and nothing is kept.
        """

    async def forget(
        self, app: str, *, subscription_id: str, installation: int, user_hash: int | None
    ) -> int:
        """It is this user's no more (None: nobody's); known by either of the names. How many went."""

    async def platforms(self, app: str, subscription_ids: list[str]) -> dict[str, str]:
        """Of these, those that are known, with their platforms."""

    async def count(self) -> int: ...
