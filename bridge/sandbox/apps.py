"""What OneSignal tells about an app (reference/view-an-app)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from bridge.sandbox.wire import Answer, Request, is_uuid
from bridge.sandbox.world import World

PUSH_PLATFORMS: Final = (
    "ios", "android", "huawei", "amazon", "windows", "macos",
    "chrome_web_push", "firefox_web_push", "safari_web_push",
)  # fmt: skip


def read(world: World, request: Request) -> Answer:
    """200; an app exists as soon as somebody names it."""
    app = world.app(request.app_id)
    created_at = datetime.fromtimestamp(app.created_ms / 1000, tz=UTC).isoformat()
    return Answer(
        status=200,
        body={
            "id": app.id,
            "name": "Sandbox",
            "players": len(app.subscriptions),
            "messageable_players": app.subscribed(),
            "created_at": created_at,
            "updated_at": created_at,
            "channels": {"push": {"enabled": not app.disabled, "platforms": PUSH_PLATFORMS}},
        },
    )


def read_template(_: World, request: Request) -> Answer:
    """200 for every UUID: a notification may use any here, too (reference/view-template)."""
    template = request.params["template_id"]
    if not is_uuid(template):
        return Answer(status=400, body={"errors": ["template_id must be a UUID"]})
    return Answer(status=200, body={"id": template, "name": "A template", "channel": "push"})
