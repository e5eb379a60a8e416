"""Users and their identity: create, read, update, delete, link aliases.

The user endpoints of OneSignal's API (reference/create-user, update-user, view-user, delete-user,
create-alias, delete-alias).
"""

from __future__ import annotations

from typing import Any, Final

from bridge.sandbox.properties import read_properties, too_many_tags
from bridge.sandbox.subscriptions import named_subscription, subscribe_all, view
from bridge.sandbox.wire import Answer, JsonObject, Request, coded
from bridge.sandbox.world import EXTERNAL_ID, ONESIGNAL_ID, App, Changes, User, World

#: OneSignal refuses these because SDKs and spreadsheets send them by mistake.
BLOCKED_EXTERNAL_IDS: Final = frozenset({"", "NA", "NULL", "null", "undefined", "0", "1", "-1"})
MAX_ALIASES: Final = 20


def create(world: World, request: Request) -> Answer:
    """201 for a new user, 202 for one that the aliases name already (tags merged), 409, 400."""
    app = world.app(request.app_id)
    aliases, subscriptions = request.body.get("identity") or {}, request.body.get("subscriptions")
    refusal = _bad_aliases(aliases) or _nobody(aliases, subscriptions)
    if refusal:
        return refusal
    holders = app.holders(aliases)
    conflict = _create_conflict(holders, aliases)
    if conflict:
        return conflict
    user = holders[0] if holders else None
    changes = accepted(world, request, app, user, request.body.get("properties"))
    if isinstance(changes, Answer):
        return changes
    return _store(world, app, user, changes, aliases, subscriptions or [])


def read(world: World, request: Request) -> Answer:
    user = named_user(world, request)
    if isinstance(user, Answer):
        return user
    return Answer(status=200, body=_full(user, world.app(request.app_id)))


def update(world: World, request: Request) -> Answer:
    """202: accepted, and visible after the delay of the behaviour. 404 for an unknown user."""
    user = named_user(world, request)
    if isinstance(user, Answer):
        return user
    if not request.body.keys() & {"properties", "deltas"}:
        world.ledger.complain(
            request, "empty-update", "An update without properties and deltas changes nothing"
        )
    changes = accepted(
        world, request, world.app(request.app_id), user, request.body.get("properties")
    )
    if isinstance(changes, Answer):
        return changes
    world.update(user, changes)
    _count(user, request.body.get("deltas"))
    return Answer(status=202, body={"properties": request.body.get("properties") or {}})


def delete(world: World, request: Request) -> Answer:
    user = named_user(world, request)
    if isinstance(user, Answer):
        return user
    world.app(request.app_id).remove_user(user)
    return Answer(status=202, body={"identity": {ONESIGNAL_ID: user.onesignal_id}})


def read_identity(world: World, request: Request) -> Answer:
    user = named_user(world, request)
    return (
        user if isinstance(user, Answer) else Answer(status=200, body={"identity": user.identity})
    )


def update_identity(world: World, request: Request) -> Answer:
    """200 with all aliases; 409 when another user has one of them."""
    user = named_user(world, request)
    return user if isinstance(user, Answer) else link(world, request, user)


def read_identity_of_owner(world: World, request: Request) -> Answer:
    subscription = named_subscription(world, request)
    if isinstance(subscription, Answer):
        return subscription
    return Answer(status=200, body={"identity": subscription.owner.identity})


def update_identity_of_owner(world: World, request: Request) -> Answer:
    subscription = named_subscription(world, request)
    if isinstance(subscription, Answer):
        return subscription
    return link(world, request, subscription.owner)


def link(world: World, request: Request, user: User) -> Answer:
    app, aliases = world.app(request.app_id), request.body.get("identity") or {}
    refusal = _bad_aliases(aliases) or (None if aliases else _missing_identity())
    if refusal:
        return refusal
    conflicts = app.conflicts(user, aliases)
    if conflicts:
        title = "One or more Aliases claimed by another User"
        return coded(409, "user-2", title, {"conflicting_aliases": conflicts})
    if len({**user.aliases, **aliases}.keys() - {EXTERNAL_ID, ONESIGNAL_ID}) > MAX_ALIASES:
        return coded(409, "user-3", f"A user has at most {MAX_ALIASES} custom aliases")
    app.link(user, aliases)
    return Answer(status=200, body={"identity": user.identity})


def delete_alias(world: World, request: Request) -> Answer:
    user, label = named_user(world, request), request.params["alias_label"]
    if isinstance(user, Answer):
        return user
    if label == ONESIGNAL_ID:
        return coded(400, "request-2", "onesignal_id cannot be deleted")
    if label not in user.aliases:
        return coded(404, "user-4", f"The user has no alias {label}")
    world.app(request.app_id).unlink(user, label)
    return Answer(status=200, body={"identity": user.identity})


def named_user(world: World, request: Request) -> User | Answer:
    """The user that the path names, as it shows now; 404 when there is none."""
    label, alias_id = request.params["label"], request.params["id"]
    user = world.find(request.app_id, label, alias_id)
    return unknown_user(label, alias_id) if user is None else user


def unknown_user(label: str, alias_id: str) -> Answer:
    return coded(404, "user-1", f"No user has the alias {label}: {alias_id}")


def accepted(
    world: World, request: Request, app: App, user: User | None, properties: Any
) -> Changes | Answer:
    """What properties change, after the checks of their shape and of the tag cap."""
    reading = read_properties(properties)
    if isinstance(reading, Answer):
        return reading
    for code, text in reading.remarks:
        world.ledger.complain(request, code, text)
    before = user.expected_tags() if user else {}
    after = {**before, **reading.changes.tags}
    if app.tag_cap is not None and sum(text != "" for text in after.values()) > app.tag_cap:
        return too_many_tags(app.tag_cap)
    return reading.changes


def _store(
    world: World,
    app: App,
    user: User | None,
    changes: Changes,
    aliases: dict[str, str],
    subscriptions: list[Any],
) -> Answer:
    target = user or app.add_user(world.clock.now_ms())
    stored = subscribe_all(app, target, subscriptions)
    if isinstance(stored, Answer):
        if user is None:
            app.remove_user(target)
        return stored
    app.link(target, aliases)
    if user is None:
        target.apply(changes)
    else:
        world.update(target, changes)
    return Answer(
        status=202 if user else 201,
        body={
            "identity": target.identity,
            "subscriptions": [view(app.id, each) for each in stored],
            "properties": {"tags": dict(changes.tags), **changes.fields},
        },
    )


def _full(user: User, app: App) -> JsonObject:
    return {
        "properties": user.properties,
        "identity": user.identity,
        "subscriptions": [view(app.id, each) for each in user.subscriptions.values()],
    }


def _bad_aliases(aliases: Any) -> Answer | None:
    if not isinstance(aliases, dict):
        return coded(400, "request-2", "identity must be an object")
    for label, alias_id in aliases.items():
        if not label or not isinstance(alias_id, str):
            return coded(400, "request-2", f"identity.{label} must be a string")
    if aliases.get(EXTERNAL_ID, "fine") in BLOCKED_EXTERNAL_IDS:
        return coded(
            400,
            "user-5",
            f"External ID is blocked: {aliases[EXTERNAL_ID]!r}",
            {"identity": aliases},
        )
    return None


def _nobody(aliases: dict[str, str], subscriptions: Any) -> Answer | None:
    if subscriptions is not None and not isinstance(subscriptions, list):
        return coded(400, "request-2", "subscriptions must be a list")
    return None if aliases or subscriptions else _missing_identity()


def _missing_identity() -> Answer:
    return coded(400, "request-2", "identity needs at least one alias")


def _create_conflict(holders: list[User], aliases: dict[str, str]) -> Answer | None:
    """Aliases of two users at once, or of a user who is known by another external id."""
    disputed = {
        label: alias_id
        for user in holders
        for label, alias_id in aliases.items()
        if user.identity.get(label) == alias_id and _is_disputed(user, holders, aliases)
    }
    if not disputed:
        return None
    title = "Aliases belong to another user"
    return coded(409, "Conflict", title, {"conflicting_aliases": disputed})


def _is_disputed(user: User, holders: list[User], aliases: dict[str, str]) -> bool:
    wanted, held = aliases.get(EXTERNAL_ID), user.external_id
    return len(holders) > 1 or (None not in {wanted, held} and wanted != held)


def _count(user: User, deltas: Any) -> None:
    """Sessions and purchases only ever grow."""
    if not isinstance(deltas, dict):
        return
    for key in ("session_count", "session_time"):
        if isinstance(deltas.get(key), int):
            user.fields[key] = user.fields.get(key, 0) + deltas[key]
    purchases = deltas.get("purchases")
    if isinstance(purchases, list):
        user.fields["purchases"] = [*user.fields.get("purchases", []), *purchases]
