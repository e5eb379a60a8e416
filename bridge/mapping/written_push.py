"""A push as operators write it: every field of OneSignal's create-notification API that is not ours.

Names, limits and what the fields mean: documentation.onesignal.com/reference/push-notification.
What an annotation says of a field (`Sent`) is how `push` compiles it and `plan.sends` fills it in.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from bridge.mapping.written import (
    Declared,
    Link,
    Number,
    Platforms,
    Sent,
    Text,
    Texts,
    Trees,
    needed,
    optional,
    ttl_ms,
    whole,
)
from bridge.mapping.written_user import RawFields, To

DATA_BYTES = 2048
"""Of `data` and of `custom_data` (docs/osnotification-payload, reference/push-notification)."""
COLLAPSE_ID_LENGTH = 64
NAME_LENGTH = 128

_TIME_OF_DAY = re.compile(
    r"(?:1[0-2]|0?[1-9]):[0-5][0-9][AP]M|(?:[01]?[0-9]|2[0-3])(?::[0-5][0-9]){1,2}"
)


def _time_of_day(value: str | None) -> str | None:
    if value is not None and "{{" not in value and _TIME_OF_DAY.fullmatch(value) is None:
        raise ValueError('a time of day is "9:00AM", "21:45" or "09:45:30", in quotes')
    return value


class Button(Declared):
    """A button of a push on a phone."""

    id: str = needed("What your app hears when it is pressed.", example="track")
    text: str = needed("What it says.", example="Track it")
    icon: str | None = optional("The name of an icon inside your app.")


class WebButton(Declared):
    """A button of a push in a browser."""

    id: str = needed("What your site hears when it is pressed.", example="track")
    text: str = needed("What it says.", example="Track it")
    url: str | None = optional("Where it leads.", example="https://www.shop.example/orders")
    icon: str | None = optional("The address of an icon.")


_Text128 = Annotated[str | None, Sent(kind="text", longest=NAME_LENGTH)]
_NeededText = Annotated[str | None, Sent(kind="text", needed=True)]
_NeededTexts = Annotated[Texts | None, Sent(kind="texts", needed=True)]
_Constant = Sent(kind="constant")


class SendNotification(Declared):
    """Send one push to one person."""

    to: To | None = optional("Whom to send to; the event's user unless it says otherwise.")
    platforms: Platforms | None = optional(
        "Which phones and browsers it may reach, instead of `push.platforms`.",
        example={"exclude": ["ios"]},
    )
    template_id: _NeededText = optional("A template made at OneSignal; its UUID.")
    contents: _NeededTexts = optional(
        "The text, or one by language; `en` is required.",
        example="{{ properties.product }} is on its way.",
    )
    headings: _NeededTexts = optional("The title, or one by language.", example="Good news")
    subtitle: Annotated[Texts | None, Sent(kind="texts")] = optional(
        "The second line on iPhones, or one by language."
    )
    name: _Text128 = optional("What the message is called at OneSignal; nobody else sees it.")
    custom_data: Annotated[Trees | None, Sent(kind="tree", longest=DATA_BYTES, needed=True)] = (
        optional("Values for the template, which reads them as `message.custom_data`.")
    )

    data: Annotated[Trees | None, Sent(kind="tree", longest=DATA_BYTES, keep_null=True)] = optional(
        "What your app gets along with the push, up to 2,048 bytes.", example={"screen": "orders"}
    )
    url: Link = optional("Where a tap leads, on all platforms; an https address.")
    app_url: Link = optional(
        "Where a tap leads in apps.", example="shop://orders/{{ properties.order_id }}"
    )
    web_url: Link = optional(
        "Where a click leads in browsers.", example="https://www.shop.example/orders"
    )
    target_content_identifier: Text = optional("The window or App Clip that an iPhone opens.")
    buttons: Annotated[
        list[Button] | None, Field(max_length=3, min_length=1), Sent(kind="tree")
    ] = optional("Up to three buttons on phones.", example=[{"id": "track", "text": "Track it"}])
    web_buttons: Annotated[
        list[WebButton] | None, Field(max_length=2, min_length=1), Sent(kind="tree")
    ] = optional("Up to two buttons in browsers.")

    image: Link = optional(
        "A picture: every picture field of the platforms that the policy allows.",
        example="https://www.shop.example/vip.png",
    )
    ios_attachments: Annotated[dict[str, str] | None, Sent(kind="link")] = optional(
        "Pictures and other media on iPhones, by an id of yours."
    )
    big_picture: Link = optional("The picture on Android phones.")
    huawei_big_picture: Link = optional("The picture on Huawei phones.")
    adm_big_picture: Link = optional("The picture on Amazon devices.")
    chrome_web_image: Link = optional("The picture in Chrome.")
    global_image: Link = optional("The picture on every platform, as OneSignal sets it.")
    small_icon: Text = optional("The small icon on Android phones, a name inside your app.")
    huawei_small_icon: Text = optional("The small icon on Huawei phones, a name inside your app.")
    adm_small_icon: Text = optional("The small icon on Amazon devices, a name inside your app.")
    large_icon: Link = optional("The large icon on Android phones, a name or an address.")
    huawei_large_icon: Link = optional("The large icon on Huawei phones, a name or an address.")
    adm_large_icon: Link = optional("The large icon on Amazon devices, a name or an address.")
    chrome_web_icon: Link = optional("The icon in Chrome, an address.")
    chrome_web_badge: Link = optional(
        "Chrome's icon in the notification tray of Android, an address."
    )
    firefox_icon: Link = optional("The icon in Firefox, an address.")

    android_channel_id: Text = optional("An Android channel made at OneSignal; its UUID.")
    existing_android_channel_id: Text = optional("An Android channel made in your app.")
    huawei_channel_id: Text = optional("A Huawei channel made at OneSignal; its UUID.")
    huawei_existing_channel_id: Text = optional("A Huawei channel made in your app.")
    huawei_category: Annotated[
        Literal[
            "MARKETING", "IM", "VOIP", "SUBSCRIPTION", "TRAVEL", "HEALTH", "WORK", "ACCOUNT",
            "EXPRESS", "FINANCE", "DEVICE_REMINDER", "MAIL",
        ]
        | None,
        _Constant,
    ] = optional("What Huawei has approved your app's messages as.")  # fmt: skip
    huawei_msg_type: Annotated[Literal["message", "data"] | None, _Constant] = optional(
        "Whether Huawei's system shows it (`message`: text only) or your app does (`data`)."
    )
    huawei_bi_tag: Text = optional("A tag in Huawei's delivery receipts.")
    huawei_badge_class: Text = optional("The activity whose icon gets Huawei's badge.")
    huawei_badge_set_num: Annotated[Number, whole(0, 99)] = optional(
        "What Huawei's badge shows, 0 to 99; 0 takes it away."
    )
    huawei_badge_add_num: Annotated[Number, whole(1, 99)] = optional(
        "What is added to Huawei's badge, 1 to 99."
    )
    android_accent_color: Text = optional("The colour behind Android's small icon, ARGB in hex.")
    huawei_accent_color: Text = optional("The colour behind Huawei's small icon, ARGB in hex.")
    ios_sound: Text = optional("The sound on iPhones, a file inside your app.", example="bell.wav")
    ios_badgeType: Annotated[Literal["None", "SetTo", "Increase"] | None, _Constant] = optional(  # noqa: N815 — OneSignal's name
        "What `ios_badgeCount` does to the badge on iPhones."
    )
    ios_badgeCount: Annotated[Number, whole()] = optional(  # noqa: N815 — OneSignal's name
        "The number for the badge on iPhones."
    )
    ios_category: Text = optional("The category whose actions an iPhone shows.")
    ios_interruption_level: Annotated[
        Literal["active", "passive", "time_sensitive", "critical"] | None, _Constant
    ] = optional("How much it may interrupt on iPhones.")
    ios_relevance_score: Annotated[Number, Sent(kind="number", least=0, most=1)] = optional(
        "0 to 1: which push an iPhone's summary shows first."
    )
    apns_push_type_override: Annotated[Literal["voip"] | None, _Constant] = optional(
        "`voip` for calls on iPhones; nothing else needs it."
    )
    content_available: Annotated[bool | None, _Constant] = optional(
        "Wakes your app without showing anything; needs no contents then."
    )

    thread_id: Text = optional("Groups pushes on iPhones.")
    android_group: Text = optional("Groups pushes on Android phones.")
    adm_group: Text = optional("Groups pushes on Amazon devices.")
    collapse_id: Annotated[str | None, Sent(kind="text", longest=COLLAPSE_ID_LENGTH)] = optional(
        "A later push with the same id replaces the earlier one on phones; up to 64 characters.",
        example="order-{{ properties.order_id }}",
    )
    web_push_topic: Text = optional(
        "In browsers, pushes of different topics do not replace each other."
    )
    ttl: Annotated[Annotated[int, BeforeValidator(ttl_ms)] | None, Sent(kind="seconds")] = optional(
        "How long it waits for a phone that is off, up to 28d.", example="2d"
    )
    priority: Annotated[Literal[5, 10] | None, _Constant] = optional("10 is urgent, 5 is not.")

    send_after: Annotated[str | None, Sent(kind="moment", needed=True)] = optional(
        "When OneSignal sends it: ISO 8601 with its zone.", example="{{ properties.remind_at }}"
    )
    delayed_option: Annotated[Literal["timezone", "last-active"] | None, _Constant] = optional(
        "At each person's own time of day, or when they are usually active."
    )
    delivery_time_of_day: Annotated[
        str | None, AfterValidator(_time_of_day), Sent(kind="text", needed=True)
    ] = optional("The time of day for `delayed_option: timezone`.", example="9:00AM")
    throttle_rate_per_minute: Annotated[Number, whole(0)] = optional(
        "So many a minute instead of the dashboard's throttling; 0 for none."
    )
    enable_frequency_cap: Annotated[bool | None, _Constant] = optional(
        "false sends above the dashboard's frequency cap."
    )
    raw: RawFields | None = optional(
        "Fields of OneSignal's that this bridge does not know yet.",
        example={"mutable_content": True},
    )
