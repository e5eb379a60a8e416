"""The mapping of a shop, three files of it, against the sandbox: everything that arrives, and on which devices."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from bridge.clock import ManualClock
from bridge.mapping.lint import check_mapping
from bridge.mapping.load import load_mapping
from bridge.rehearsal.examples import play
from bridge.rehearsal.expectations import differences
from bridge.sandbox import create_sandbox
from bridge.sandbox.world import Subscription
from tests.harness import APP_ID, Rig, identify, iso, rig, track

SHOP = Path(__file__).parents[1] / "mapping" / "shop"
SERVES = ("android", "ios", "web")
GROWTH = 10
DEVICES = ("android", "ios", "web-chrome", "ios-web")
TRAITS: dict[str, Any] = {
    "loyaltyTier": "gold", "ordersCount": 4, "lastOrderAt": "2026-02-01T10:00:00+01:00",
    "lifetimeValue": 310.5, "marketingOptIn": True, "birthdayMonth": 7,
    "homeStore": {"city": "Graz"}, "email": "kettle.fan@mail.example", "firstName": "Eva",
    "favouriteColour": "blue", "shoeSize": 38, "teaOrCoffee": "tea", "petName": "Rex", "commute": "bike",
}  # fmt: skip
AGREED = {"consent": {"categoryPreferences": {"Marketing": True}}}


class Shop:
    """A customer c1 with every kind of device, and what became of what was told."""

    def __init__(self, here: Rig) -> None:
        self.here = here
        self.count = 0
        here.sandbox.app(APP_ID).tag_cap = GROWTH
        for platform in DEVICES:
            here.sandbox.add_device("c1", platform, app_id=APP_ID)

    async def tell(self, *events: dict[str, Any]) -> None:
        """Post events that have just happened, and work through them."""
        for event in events:
            self.count += 1
            at = iso(self.here.clock.now_ms())
            await self.here.post({"timestamp": at, **event, "messageId": f"m{self.count}"})
            await self.here.settle(step=0.01)
            await self.here.pass_time(2)

    async def days(self, number: float) -> None:
        self.here.clock.advance(number * 86_400)
        await self.here.settle(within=3600)

    @property
    def tags(self) -> dict[str, str]:
        found = self.here.sandbox.user("c1", app_id=APP_ID)
        assert found is not None
        return found.tags

    @property
    def email(self) -> Subscription:
        """The one e-mail subscription that there is."""
        found = self.here.sandbox.user("c1", app_id=APP_ID)
        assert found is not None
        (one,) = (each for each in found.subscriptions.values() if each.type == "Email")
        return one

    @property
    def shown(self) -> list[tuple[str, str, str | None]]:
        """Platform, text and link of everything that a device has shown."""
        pushes = self.here.sandbox.pushes
        return [(one.platform.value, one.text, one.url) for one in pushes]

    @property
    def pictures(self) -> dict[str, str | None]:
        """What the newest push shows on each platform."""
        pushes = self.here.sandbox.pushes
        newest = pushes[-1].notification_id
        return {one.platform.value: one.image for one in pushes if one.notification_id == newest}

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The bodies of the pushes that OneSignal was asked for."""
        calls = self.here.sandbox.calls
        return [call.body for call in calls if call.path.endswith("/notifications")]

    def subscription_calls(self) -> list[str]:
        calls = self.here.sandbox.calls
        return [f"{one.method} {one.status}" for one in calls if "/subscriptions" in one.path]


def shop(tmp_path: Path, **more: Any) -> Any:
    more.setdefault("onesignal", create_sandbox(clock=more.setdefault("clock", ManualClock())))
    return rig(tmp_path, SHOP, onesignal_platforms=SERVES, onesignal_plan="growth", **more)


def told(kind: str, key: str, *, entered: bool, klass: str = "audience") -> dict[str, Any]:
    """What Engage says of a membership."""
    personas = {"computation_class": klass, "computation_key": key}
    said: dict[str, Any] = {"type": kind, "userId": "c1", "context": {"personas": personas}}
    if kind == "identify":
        return said | {"traits": {key: entered}}
    name = "Audience Entered" if entered else "Audience Exited"
    return said | {"event": name, "properties": {"audience_key": key, key: entered}}


def order_shipped(**more: Any) -> dict[str, Any]:
    products = [
        {"name": "The blue kettle", "image_url": "https://img.kettles.example/blue.jpg"},
        {"name": "Towel"},
    ]
    properties = {"order_id": "7/1", "carrier": "Parcel Post", "products": products} | more
    return track("Order Shipped", "c1", properties=properties)


def price_dropped(**more: Any) -> dict[str, Any]:
    properties = {
        "sku": "KT-1", "name": "The blue kettle", "percent": 20,
        "url": "https://www.kettles.example/p/kt-1",
        "image_url": "https://img.kettles.example/blue.jpg",
    }  # fmt: skip
    return track("Price Dropped", "c1", properties=properties | more, context=AGREED)


# --- as its author sees it ---------------------------------------------------------------------------


def test_check_says_nothing_but_that_the_plan_has_fewer_tags() -> None:
    assert check_mapping(SHOP, serves=SERVES) == []
    assert [one.code for one in check_mapping(SHOP, serves=SERVES, tag_cap=GROWTH)] == [
        "tags-above-cap"
    ]


def test_its_examples_pass() -> None:
    mapping, _ = load_mapping(SHOP, serves=("android", "web"))

    assert len(mapping.examples) == 10
    for example in mapping.examples:
        assert differences(example.declared, play(example.declared, mapping)) == []


# --- the profile ---------------------------------------------------------------------------------------


async def test_tags_are_those_of_the_highest_priority_that_the_plan_has_room_for(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(identify("c1", **TRAITS))
        assert store.tags == {
            "tier": "gold", "orders": "4", "last_order_at": "1769936400", "total": "310.50",
            "newsletter": "true", "birthday_month": "7", "store": "Graz", "colour": "blue",
            "shoeSize": "38", "teaOrCoffee": "tea",
        }  # fmt: skip
        await store.tell(identify("c1", loyaltyTier=None, ordersCount=5))
        assert store.tags.keys() == {
            "orders", "last_order_at", "total", "newsletter", "birthday_month", "store", "colour",
            "shoeSize", "teaOrCoffee",
        }  # fmt: skip
        assert store.tags["orders"] == "5"
        sent = repr([call.body for call in here.sandbox.calls])
        assert not [secret for secret in ("Eva", "Rex", "bike") if secret in sent]
        assert {status for *_, status, _ in await here.outcomes()} == {"delivered"}


async def test_an_address_is_added_once_and_who_unsubscribed_stays_so(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(identify("c1", **TRAITS))
        assert (store.email.token, store.email.enabled) == ("kettle.fan@mail.example", True)
        store.email.enabled = False  # the link at the foot of a newsletter
        for orders in (5, 6, 7):
            await store.tell(identify("c1", **TRAITS | {"ordersCount": orders}))
        assert store.tags["orders"] == "7"
        assert store.email.enabled is False
        assert store.subscription_calls() == ["POST 201"]


async def test_no_in_segment_disables_and_only_a_new_yes_enables(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(identify("c1", **TRAITS))
        await store.tell(identify("c1", **TRAITS | {"marketingOptIn": False}))
        assert store.email.enabled is False
        await store.tell(identify("c1", **TRAITS | {"marketingOptIn": False, "ordersCount": 9}))
        assert store.email.enabled is False
        await store.tell(identify("c1", **TRAITS | {"marketingOptIn": True}))
        assert store.email.enabled is True


# --- orders, carts, prices -----------------------------------------------------------------------------


async def test_an_order_that_ships_is_on_every_device_but_the_iphones_with_its_link(
    tmp_path: Path,
) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(order_shipped(), order_shipped())
        text = "The blue kettle comes with Parcel Post."
        assert Counter(store.shown) == {
            ("android", text, "kettles://orders/7%2F1"): 2,
            ("web-chrome", text, "https://www.kettles.example/orders/7%2F1"): 2,
        }
        blue = "https://img.kettles.example/blue.jpg"
        assert store.pictures == {"android": blue, "web-chrome": blue}
        body = store.messages[0]
        assert "ios_attachments" not in body
        assert body["contents"]["de"] == "The blue kettle kommt mit Parcel Post."
        assert body["data"] == {"order": "7/1", "items": 2}
        assert body["ttl"] == 172_800
        assert body["isIos"] is False


async def test_a_picture_or_a_page_from_elsewhere_never_leaves(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        elsewhere = "https://elsewhere.example/x.jpg"
        await store.tell(order_shipped(products=[{"name": "Cup", "image_url": elsewhere}]))
        await store.tell(price_dropped(url=elsewhere, image_url=elsewhere))
        assert len(store.messages) == 2
        assert "elsewhere" not in repr(store.messages)


async def test_a_cart_is_tags_and_an_event_that_a_journey_waits_for(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        at = here.clock.now_ms()
        properties = {"name": "The blue kettle", "price": 49.5}
        await store.tell(track("Product Added", "c1", properties=properties))
        assert store.tags == {"cart_at": str(at // 1000), "cart_item": "The blue kettle"}
        (event,) = here.sandbox.events
        assert (event.name, event.external_id) == ("cart_updated", "c1")
        assert event.payload == {"item": "The blue kettle", "price": 49.5}
        await store.tell(track("Order Completed", "c1", properties={"order_id": "9"}))
        assert store.tags == {}


async def test_a_price_drop_is_told_once_a_week_for_each_product(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(price_dropped(), price_dropped(percent=25), price_dropped(percent=9))
        await store.tell(
            price_dropped(sku="BT-1", name="Boots", url="https://www.kettles.example/b")
        )
        await store.tell(price_dropped() | {"context": {}})
        await store.days(8)
        await store.tell(price_dropped(percent=30))
        said = [(text, url) for platform, text, url in store.shown if platform == "web-chrome"]
        assert said == [
            ("The blue kettle is 20 % off.", "https://www.kettles.example/p/kt-1"),
            ("Boots is 20 % off.", "https://www.kettles.example/b"),
            ("The blue kettle is 30 % off.", "https://www.kettles.example/p/kt-1"),
        ]
        assert store.pictures == {
            "android": "https://img.kettles.example/blue.jpg",
            "web-chrome": "https://img.kettles.example/wide/KT-1.jpg",
        }
        assert {reason for *_, reason in await here.outcomes()} == {
            None, "once_per", "no_rule", "no_consent",
        }  # fmt: skip


# --- audiences -------------------------------------------------------------------------------------------


async def test_vip_is_welcomed_once_a_stay_and_the_tag_goes_when_it_ends(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(
            told("track", "vip", entered=True),
            told("identify", "vip", entered=True),
            told("track", "vip", entered=True),
        )
        text = "{{ first_name | default: 'Hello' }}, good to have you."
        assert store.shown == [
            ("android", text, "kettles://vip"),
            ("web-chrome", text, "https://www.kettles.example/vip"),
        ]
        assert store.tags == {"aud_vip": "true"}
        await store.tell(
            told("track", "vip", entered=False), told("identify", "vip", entered=False)
        )
        assert store.tags == {}
        assert [event.name for event in here.sandbox.events] == ["vip_left"]
        await store.tell(told("identify", "vip", entered=True))
        assert len(store.messages) == 2
        club = "https://img.kettles.example/vip.png"
        assert store.pictures == {"android": club, "web-chrome": club}


async def test_who_goes_quiet_is_called_back_once_a_month(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        for days in (0, 5, 5, 10, 15):
            await store.days(days)
            await store.tell(told("identify", "gone_quiet", entered=True))
            await store.days(1)
            await store.tell(told("identify", "gone_quiet", entered=False))
        assert [text for platform, text, _ in store.shown if platform == "android"] == [
            "We kept your favourites warm."
        ] * 2
        assert store.messages[0]["delayed_option"] == "last-active"


async def test_every_step_of_a_journey_is_a_push(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        step = "welcome__second_cup_8943l"
        for _ in range(2):
            await store.tell(told("track", step, entered=True, klass="journey_step"))
        assert [one for one in store.shown if one[0] == "android"] == [
            ("android", "Time for a second cup?", "kettles://recipes")
        ] * 2


async def test_of_everything_that_the_shop_says_nothing_is_on_an_iphone(tmp_path: Path) -> None:
    async with shop(tmp_path) as here:
        store = Shop(here)
        await store.tell(
            order_shipped(),
            price_dropped(),
            told("track", "vip", entered=True),
            told("identify", "gone_quiet", entered=True),
        )
        assert Counter(platform for platform, _, _ in store.shown) == {
            "android": 4,
            "web-chrome": 4,
        }
        assert not here.sandbox.complaints
