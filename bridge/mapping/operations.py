"""Custom events, aliases, subscriptions and deletions, as they run."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.mapping.compiling import Compiling, Path, Tree
from bridge.mapping.expression import Expression
from bridge.mapping.targets import Target, compile_target
from bridge.mapping.written_user import (
    EVENT_NAME_LENGTH,
    AddSubscription,
    CreateAlias,
    DeleteUser,
    RemoveSubscription,
    TrackCustomEvent,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A custom event; a property that the event does not say is left out."""

    name: Expression
    properties: tuple[tuple[str, Tree], ...]
    to: Target | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    label: str
    id: Expression
    to: Target | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """To be added to a user, or taken from whoever has it."""

    type: str
    token: Expression
    to: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    to: Target | None


def compile_track(track: TrackCustomEvent, compiling: Compiling) -> Track | None:
    at: Path = ("do", "track_custom_event")
    name = compiling.value(track.name, (*at, "name"))
    if name is not None and name.is_literal and len(track.name) > EVENT_NAME_LENGTH:
        message = f"a custom event's name has up to {EVENT_NAME_LENGTH} characters"
        compiling.report((*at, "name"), "field-unusable", message)
    trees = {
        key: compiling.tree(value, (*at, "properties", key))
        for key, value in track.properties.items()
    }
    to = compile_target(track.to, at, compiling, labels=("external_id", "onesignal_id"))
    if name is None:
        return None
    properties = tuple((key, tree) for key, tree in trees.items() if tree is not None)
    return Track(name=name, properties=properties, to=to)


def compile_alias(alias: CreateAlias, compiling: Compiling) -> Alias | None:
    at: Path = ("do", "create_alias")
    id_ = compiling.value(alias.id, (*at, "id"))
    to = compile_target(alias.to, at, compiling, subscriptions=True)
    return None if id_ is None else Alias(label=alias.label, id=id_, to=to)


def compile_addition(added: AddSubscription, compiling: Compiling) -> Subscription | None:
    at: Path = ("do", "add_subscription")
    token = compiling.value(added.token, (*at, "token"))
    to = compile_target(added.to, at, compiling)
    return None if token is None else Subscription(type=added.type, token=token, to=to)


def compile_removal(removed: RemoveSubscription, compiling: Compiling) -> Subscription | None:
    token = compiling.value(removed.token, ("do", "remove_subscription", "token"))
    return None if token is None else Subscription(type=removed.type, token=token)


def compile_deletion(deleted: DeleteUser, compiling: Compiling) -> Deletion:
    return Deletion(to=compile_target(deleted.to, ("do", "delete_user"), compiling))
