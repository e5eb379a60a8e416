"""`push_tokens` as operators write it: whether push tokens that events carry become devices at OneSignal."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bridge.mapping.written import Beginning, Declared, default, needed, optional


class PushTokens(Declared):
    """Push tokens in `context.device.token`, for an app without OneSignal's SDK."""

    platforms: Annotated[
        tuple[Literal["ios", "android"], ...], Field(strict=False, min_length=1)
    ] = needed("Of which devices: `ios`, `android`.", example=["ios"])
    withdrawn: str | None = optional(
        "Events that say that the device takes no pushes any more, in FQL.",
        example='event = "Push Permission" and properties.granted = false',
    )
    granted: str | None = optional(
        "Events that say that it takes them again, in FQL.",
        example='event = "Push Permission" and properties.granted = true',
    )
    logged_out: str | None = optional(
        "Events by which their user leaves the device, in FQL.", example='event = "Logged Out"'
    )
    development: str | None = optional(
        "Events of builds whose iOS tokens are of APNs' sandbox, in FQL.",
        example='context.app.namespace = "com.example.shop.dev"',
    )
    clients: Annotated[tuple[Beginning, ...], Field(strict=False)] = default(
        (),
        "Sources marked `trust: client` whose events may say whose a device is.",
        example=["app"],
    )


def tokens_of(value: object) -> object:
    """A list is short for `{platforms: [...]}`."""
    return {"platforms": value} if isinstance(value, list) else value
