"""The far side of the wire: apps, users, their aliases and subscriptions. State and moves alone.

::

    App ──< User ──< Subscription      a subscription has exactly one owner, and can change it
             │
             └──< alias                (label, id) names at most one user of an app

Nothing here knows of HTTP. Moves assume that the caller has asked the matching question first
(`conflicts`, `has_room`): questions return values, moves do not fail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from bridge.sandbox.ledger import Ledger
from bridge.sandbox.platforms import Platform, platform_of

if TYPE_CHECKING:
    from bridge.clock import Clock
    from bridge.sandbox.notifications import Notification, Replay

EXTERNAL_ID: Final = "external_id"
ONESIGNAL_ID: Final = "onesignal_id"
#: The app of a device that is added without naming one, while no other app is known.
DEFAULT_APP_ID: Final = "5ad80000-0000-4000-8000-000000000001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """How this OneSignal behaves where the documentation leaves room, or where a test wants more.

    update_delay_seconds: an accepted PATCH of a user shows after so long (OneSignal: "allow 60+").
    max_recipients: aliases or ids in one notification; 20,000 in the API reference, 2,000 in the
        server SDKs' documentation.
    disable_over_volume: enforce "more than 10x the subscribed subscriptions in 15 minutes disables
        the app".
    external_user_ids_ignore_flags: platform flags do nothing with the legacy
        `include_external_user_ids`, as the documentation said until 2022; it was seen otherwise in 2023.
    ignore_flags: platform flags do nothing at all: what is sent with iOS excluded reaches iPhones.
    """

    update_delay_seconds: float = 0.0
    max_recipients: int = 20_000
    disable_over_volume: bool = False
    external_user_ids_ignore_flags: bool = True
    ignore_flags: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an update does to a user: a tag of "" goes away, everything else is set."""

    tags: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


def merged_tags(tags: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """Tags after a change: keys that are not named stay, "" deletes."""
    return {key: value for key, value in {**tags, **changes}.items() if value != ""}


@dataclass(slots=True, kw_only=True, eq=False)
class Subscription:
    id: str
    type: str
    token: str
    owner: User
    enabled: bool = True
    notification_types: int = 1
    #: The descriptive fields of OneSignal's subscription object: device_os, sdk, app_version, …
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def platform(self) -> Platform | None:
        device_os, model = self.details.get("device_os"), self.details.get("device_model")
        return platform_of(self.type, str(device_os or ""), str(model or ""))

    @property
    def is_reachable(self) -> bool:
        return self.enabled and self.notification_types > 0


@dataclass(slots=True, kw_only=True, eq=False)
class User:
    onesignal_id: str
    created_ms: int
    aliases: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    #: Accepted updates that do not show yet, with the time from which they do.
    late: deque[tuple[int, Changes]] = field(default_factory=deque)

    @property
    def external_id(self) -> str | None:
        return self.aliases.get(EXTERNAL_ID)

    @property
    def identity(self) -> dict[str, str]:
        return {ONESIGNAL_ID: self.onesignal_id, **self.aliases}

    @property
    def properties(self) -> dict[str, Any]:
        return {"tags": dict(self.tags), **self.fields}

    def apply(self, changes: Changes) -> None:
        self.tags = merged_tags(self.tags, changes.tags)
        self.fields.update(changes.fields)

    def expected_tags(self) -> dict[str, str]:
        """The tags once every accepted update shows."""
        tags = self.tags
        for _, changes in self.late:
            tags = merged_tags(tags, changes.tags)
        return tags

    def catch_up(self, now_ms: int) -> None:
        while self.late and self.late[0][0] <= now_ms:
            self.apply(self.late.popleft()[1])


@dataclass(slots=True, kw_only=True, eq=False)
class App:
    id: str
    created_ms: int
    #: How many tags a user may have (a matter of the customer's plan); None for no cap.
    tag_cap: int | None = None
    disabled: bool = False
    users: dict[str, User] = field(default_factory=dict)
    by_alias: dict[tuple[str, str], User] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    by_token: dict[tuple[str, str], Subscription] = field(default_factory=dict)
    notifications: dict[str, Notification] = field(default_factory=dict)
    replays: dict[str, Replay] = field(default_factory=dict)
    #: Keys of custom events, with the time (ms) of the event that used them.
    event_keys: dict[str, int] = field(default_factory=dict)
    #: (monotonic seconds, pushes) of the last 15 minutes.
    volume: deque[tuple[float, int]] = field(default_factory=deque)

    def find(self, label: str, alias_id: str) -> User | None:
        if label == ONESIGNAL_ID:
            return self.users.get(alias_id)
        return self.by_alias.get((label, alias_id))

    def holders(self, aliases: Mapping[str, str]) -> list[User]:
        """The users that these aliases name, each once, in the order of the aliases."""
        found = (self.find(label, alias_id) for label, alias_id in aliases.items())
        return list({user.onesignal_id: user for user in found if user is not None}.values())

    def conflicts(self, user: User, aliases: Mapping[str, str]) -> dict[str, str]:
        """Those of `aliases` that belong to another user."""
        held = (
            (label, alias_id, self.find(label, alias_id)) for label, alias_id in aliases.items()
        )
        return {label: alias_id for label, alias_id, holder in held if holder not in {None, user}}

    def add_user(self, now_ms: int) -> User:
        user = User(onesignal_id=str(uuid4()), created_ms=now_ms)
        user.fields["first_active"] = user.fields["last_active"] = now_ms // 1000
        self.users[user.onesignal_id] = user
        return user

    def remove_user(self, user: User) -> None:
        for subscription in list(user.subscriptions.values()):
            self.unsubscribe(subscription)
        for label in list(user.aliases):
            self.unlink(user, label)
        del self.users[user.onesignal_id]

    def link(self, user: User, aliases: Mapping[str, str]) -> None:
        for label, alias_id in aliases.items():
            if label != ONESIGNAL_ID:
                self.unlink(user, label)
                user.aliases[label] = alias_id
                self.by_alias[label, alias_id] = user

    def unlink(self, user: User, label: str) -> None:
        alias_id = user.aliases.pop(label, None)
        if alias_id is not None:
            self.by_alias.pop((label, alias_id), None)

    def subscribe(self, user: User, kind: str, token: str) -> Subscription:
        subscription = Subscription(id=str(uuid4()), type=kind, token=token, owner=user)
        self.subscriptions[subscription.id] = subscription
        self.by_token[kind, token] = subscription
        user.subscriptions[subscription.id] = subscription
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription.id]
        self.by_token.pop((subscription.type, subscription.token), None)
        subscription.owner.subscriptions.pop(subscription.id, None)

    def move(self, subscription: Subscription, user: User) -> None:
        subscription.owner.subscriptions.pop(subscription.id, None)
        subscription.owner = user
        user.subscriptions[subscription.id] = subscription

    def retoken(self, subscription: Subscription, token: str) -> None:
        self.by_token.pop((subscription.type, subscription.token), None)
        subscription.token = token
        self.by_token[subscription.type, token] = subscription

    def subscribed(self) -> int:
        """Subscriptions that a message can reach."""
        return sum(each.is_reachable for each in self.subscriptions.values())


class World:
    """Every app, the time, and the ledger of what was done."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.behaviour = Behaviour()
        self.ledger = Ledger()
        self.apps: dict[str, App] = {}
        #: Notifications whose `send_after` has not come yet.
        self.scheduled: list[Notification] = []

    def __repr__(self) -> str:
        users = sum(len(app.users) for app in self.apps.values())
        return f"<World {len(self.apps)} apps, {users} users, {self.ledger.pushed} pushes>"

    def app(self, app_id: str) -> App:
        """An app exists as soon as somebody names it."""
        if app_id not in self.apps:
            self.apps[app_id] = App(id=app_id, created_ms=self.clock.now_ms())
        return self.apps[app_id]

    def find(self, app_id: str, label: str, alias_id: str) -> User | None:
        """A user as OneSignal shows it now."""
        user = self.app(app_id).find(label, alias_id)
        if user is not None and user.late:
            user.catch_up(self.clock.now_ms())
        return user

    def update(self, user: User, changes: Changes) -> None:
        """Accept an update; it shows after the delay of `behaviour`."""
        delay_ms = round(self.behaviour.update_delay_seconds * 1000)
        user.late.append((self.clock.now_ms() + delay_ms, changes))
        user.catch_up(self.clock.now_ms())

    def users(self, app_ids: Iterable[str] | None = None) -> Iterator[User]:
        """Users as they show now, of all apps unless some are named."""
        now_ms = self.clock.now_ms()
        for app in [self.app(each) for each in app_ids] if app_ids else list(self.apps.values()):
            for user in app.users.values():
                user.catch_up(now_ms)
                yield user
