"""The page of the sandbox: every user's phones, and what they show."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from bridge.sandbox.ledger import Push
from bridge.sandbox.platforms import Platform
from bridge.sandbox.simulator import Sandbox
from bridge.sandbox.world import DEFAULT_APP_ID, App, Subscription, User

USERS_SHOWN: Final = 60
CARDS_PER_PHONE: Final = 4
#: How far back the page looks for cards: a page is for people, and people look at little.
_PUSHES_READ: Final = 5_000
_COMPLAINTS_SHOWN: Final = 5

#: Name and shape of a device; every shape is drawn by the style sheet.
LOOKS: Final[Mapping[Platform, tuple[str, str]]] = {
    Platform.IOS: ("iPhone", "iphone"),
    Platform.ANDROID: ("Android", "android"),
    Platform.HUAWEI: ("Huawei", "android"),
    Platform.AMAZON: ("Fire tablet", "android"),
    Platform.WEB_CHROME: ("Chrome", "browser"),
    Platform.WEB_FIREFOX: ("Firefox", "browser"),
    Platform.WEB_SAFARI: ("Safari", "browser"),
    Platform.IOS_WEB: ("iPhone web app", "iphone"),
    Platform.WINDOWS: ("Windows", "browser"),
    Platform.MACOS: ("Mac app", "browser"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    name: str
    shape: str
    is_reachable: bool
    count: int
    cards: tuple[Push, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user with phones; `name` is the external id, or the OneSignal id of an anonymous one.

    `app_id` is "" while there is only one app, because then nobody has to ask.
    """

    name: str
    app_id: str
    is_anonymous: bool
    tags: Mapping[str, str]
    phones: tuple[Phone, ...]


_templates = Environment(
    loader=PackageLoader("bridge.sandbox", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _clock_time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, tz=UTC).strftime("%H:%M:%S")


_templates.filters["clock_time"] = _clock_time


def page(sandbox: Sandbox) -> tuple[str, str]:
    """The page, and the content security policy that lets its own style and script run.

    The page reads its successor to refresh itself, and a nonce for the style would not match there.
    """
    nonce, ledger = secrets.token_urlsafe(16), sandbox.ledger
    world = sandbox.world
    users = [(app, user) for app in world.apps.values() for user in world.users([app.id])]
    html = _templates.get_template("phones.html.j2").render(
        nonce=nonce,
        default_app_id=DEFAULT_APP_ID,
        people=_people(sandbox, users),
        hidden=max(0, len(users) - USERS_SHOWN),
        users=len(users),
        devices=len(sandbox.subscriptions),
        pushes=ledger.pushed,
        calls=sum(ledger.statuses.values()),
        complained=ledger.complained.total(),
        complaints=list(islice(reversed(ledger.complaints), _COMPLAINTS_SHOWN)),
        faults=[each for each in sandbox.faults.running if each.left != 0],
        disabled=[app.id for app in sandbox.world.apps.values() if app.disabled],
    )
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return html, policy


def _people(sandbox: Sandbox, users: Iterable[tuple[App, User]]) -> list[Person]:
    """Users with phones first, those who heard something latest before the others."""
    cards, heard = _cards(sandbox)

    def rank(entry: tuple[App, User]) -> tuple[bool, int]:
        phones = entry[1].subscriptions
        return bool(phones), max((heard.get(each, 0) for each in phones), default=0)

    ranked = islice(sorted(users, key=rank, reverse=True), USERS_SHOWN)
    is_one_app = len(sandbox.world.apps) == 1
    return [
        _person(sandbox, user, cards, app_id="" if is_one_app else app.id) for app, user in ranked
    ]


def _cards(sandbox: Sandbox) -> tuple[dict[str, list[Push]], dict[str, int]]:
    """By subscription: the newest pushes, newest first, and the time of the newest."""
    cards: defaultdict[str, list[Push]] = defaultdict(list)
    heard: dict[str, int] = {}
    for push in islice(reversed(sandbox.pushes), _PUSHES_READ):
        heard.setdefault(push.subscription_id, push.at_ms)
        if len(cards[push.subscription_id]) < CARDS_PER_PHONE:
            cards[push.subscription_id].append(push)
    return cards, heard


def _person(
    sandbox: Sandbox, user: User, cards: Mapping[str, list[Push]], *, app_id: str
) -> Person:
    phones = (_phone(sandbox, each, cards.get(each.id, [])) for each in user.subscriptions.values())
    return Person(
        name=user.external_id or user.onesignal_id,
        app_id=app_id,
        is_anonymous=user.external_id is None,
        tags=user.tags,
        phones=tuple(phone for phone in phones if phone is not None),
    )


def _phone(sandbox: Sandbox, subscription: Subscription, cards: list[Push]) -> Phone | None:
    if subscription.platform is None:
        return None
    name, shape = LOOKS[subscription.platform]
    return Phone(
        name=name,
        shape=shape,
        is_reachable=subscription.is_reachable,
        count=sandbox.world.ledger.pushed_to[subscription.id],
        cards=tuple(cards),
    )
