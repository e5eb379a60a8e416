"""The legacy API of before the user model, at `/api/v1`: the same people and devices under older names.

A player is a subscription, and an external user id the `external_id` of the user who has it. Tags are
edited by external user id; nobody is created, and nobody is deleted. Everything is refused in one shape,
`{"errors": ["text"]}`, a wrong key with 400. (reference/edit-tags-with-external-user-id and view-device,
as they were in 2022.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bridge.sandbox.users import accepted
from bridge.sandbox.wire import Answer, JsonObject, Request, refused
from bridge.sandbox.world import EXTERNAL_ID, Subscription, World

KEY_REFUSED: Final = (
    "Please include a case-sensitive header of Authorization: Basic <YOUR-REST-API-KEY-HERE> or "
    'Bearer token="<YOUR-REST-API-KEY-HERE>" with a valid REST API key.'
)
_DEVICE_TYPES: Final[Mapping[str, int]] = {
    "iOSPush": 0, "AndroidPush": 1, "FireOSPush": 2, "ChromeExtensionPush": 4, "ChromePush": 5,
    "WindowsPush": 6, "SafariPush": 7, "SafariLegacyPush": 7, "FirefoxPush": 8, "macOSPush": 9,
    "Email": 11, "HuaweiPush": 13, "SMS": 14,
}  # fmt: skip


def edit_tags(world: World, request: Request) -> Answer:
    """`PUT /apps/{app_id}/users/{external_user_id}`: `{"tags": {…}}`, 200 or 404."""
    app, external_id = world.app(request.app_id), request.params["external_user_id"]
    user = world.find(app.id, EXTERNAL_ID, external_id)
    if user is None or not user.subscriptions:
        return Answer(status=404, body={"success": False})
    unknown = sorted(request.body.keys() - {"tags"})
    if unknown:
        text = f"Only tags can be edited here, not {', '.join(unknown)}"
        world.ledger.complain(request, "unknown-field", text)
    changes = accepted(world, request, app, user, {"tags": request.body.get("tags")})
    if isinstance(changes, Answer):
        return changes
    world.update(user, changes)
    return Answer(status=200, body={"success": True})


def read_player(world: World, request: Request) -> Answer:
    found = world.app(request.app_id).subscriptions.get(request.params["player_id"])
    if found is None:
        return refused("No user with this id found", status=404)
    return Answer(status=200, body=_player(found))


def list_players(world: World, request: Request) -> Answer:
    """All of them: the sandbox has no second page."""
    players = [_player(each) for each in world.app(request.app_id).subscriptions.values()]
    counts = {"total_count": len(players), "offset": 0, "limit": 300}
    return Answer(status=200, body={**counts, "players": players})


def in_its_words(answer: Answer) -> Answer:
    """An answer of the handlers that both APIs share, in the one error shape that this one has."""
    errors = answer.body.get("errors") if isinstance(answer.body, dict) else None
    if not isinstance(errors, list):
        return answer
    body: Any = {**answer.body, "errors": [_text(each) for each in errors]}
    return replace(answer, body=body)


def _text(error: Any) -> Any:
    return error.get("title") if isinstance(error, dict) else error


def _player(subscription: Subscription) -> JsonObject:
    owner = subscription.owner
    return {
        "id": subscription.id,
        "identifier": subscription.token,
        "device_type": _DEVICE_TYPES[subscription.type],
        "device_os": subscription.details.get("device_os", ""),
        "device_model": subscription.details.get("device_model", ""),
        "tags": dict(owner.tags),
        "language": owner.fields.get("language", "en"),
        "external_user_id": owner.external_id,
        "invalid_identifier": not subscription.is_reachable,
        "notification_types": subscription.notification_types,
    }
