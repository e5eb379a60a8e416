"""Whom an operation is about: the event's user, or one other person."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bridge.mapping.compiling import Compiling, Path
from bridge.mapping.expression import Expression
from bridge.mapping.written_user import ONE_PERSON_HINT, Target as Written
from bridge.onesignal.operations import SUBSCRIPTION_ID

EVERY_LABEL = None
"""For `labels`: any alias will do."""


@dataclass(frozen=True, slots=True)
class Target:
    """One person by an alias, or one device by its subscription id."""

    label: str
    id: Expression
    #: The person's registered devices alone.
    devices: bool = False


def compile_target(
    written: Written | None,
    path: Path,
    compiling: Compiling,
    *,
    subscriptions: bool = False,
    labels: Collection[str] | None = EVERY_LABEL,
) -> Target | None:
    """The person that `to` names; None for the event's user, and for what is wrong (and reported)."""
    if written is None:
        return None
    at = (*path, "to")
    if written.devices is not None:
        return _devices(written.devices, at, compiling, pushes=subscriptions)
    ((label, value),) = _pairs(written)
    if label == SUBSCRIPTION_ID and not subscriptions:
        compiling.report(
            at,
            "target-not-a-user",
            f"{path[-1]} is about a user, and a subscription is one device",
            "write `to: {external_id: …}` or `to: {alias: {label: …}}`",
        )
        return None
    if labels is not None and label not in labels:
        compiling.report(
            at,
            "target-label",
            f"{path[-1]} finds its user by {' or '.join(labels)}, not by {label}",
            f"write `to: {{{next(iter(labels))}: …}}`",
        )
        return None
    id_ = compiling.value(value, at)
    return None if id_ is None else Target(label, id_)


def _devices(value: str, at: Path, compiling: Compiling, *, pushes: bool) -> Target | None:
    if not (pushes and at[-2] == "send_notification"):
        message = f"{at[-2]} is about a user, and `devices` says where a push goes"
        hint = "write `to: {external_id: …}`"
        compiling.report(at, "target-not-a-user", message, hint)
        return None
    id_ = compiling.value(value, at)
    return None if id_ is None else Target("external_id", id_, devices=True)


def _pairs(written: Written) -> list[tuple[str, str]]:
    if written.alias is not None:
        return list(written.alias.items())
    named = {"external_id": written.external_id, SUBSCRIPTION_ID: written.subscription_id}
    return [(label, value) for label, value in named.items() if value is not None]


__all__ = ["ONE_PERSON_HINT", "Target", "compile_target"]
