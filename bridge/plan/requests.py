"""What a planned operation asks of OneSignal, to be shown: the request as it would leave. Pure."""

from __future__ import annotations

import orjson

from bridge.onesignal.api import ApiName, api_named
from bridge.onesignal.operations import Operation, Request, Send, UpdateUser, send_key


def requests_of(
    operation: Operation,
    *,
    message_id: str,
    app_id: str,
    app: str = "default",
    key: str = "",
    api: ApiName = "user-model",
) -> tuple[Request, ...]:
    """The requests of one operation when nothing is known of what was written before.

    A send has the key that delivery would give it, unless `key` is another. None, when only our
    record of earlier writes says what there is to ask for.
    """
    spoken = api_named(api)
    if not isinstance(operation, Send):
        return spoken.update_requests(operation, app_id=app_id)
    key = key or _key(operation, message_id, app)
    return (
        Request(
            method="POST",
            path=spoken.send_path(operation, app_id=app_id),
            body=orjson.loads(spoken.send_body(operation, app_id=app_id, key=key)),
            endpoint_class="send",
        ),
    )


def _key(send: Send, message_id: str, app: str) -> str:
    return send_key(
        app=app,
        rule=send.rule,
        operation=send.name,
        message_id=message_id,
        recipient=send.to,
        generation=0,
    )


def rules_of(operation: Operation) -> tuple[str, ...]:
    """The rules that want an operation; several, when updates were folded into one."""
    return operation.rules if isinstance(operation, UpdateUser) else (operation.rule,)
