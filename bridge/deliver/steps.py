"""What the updates other than tags and properties ask of OneSignal, given what was written. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple, assert_never

from pydantic import JsonValue

from bridge.deliver.contacts import Act, contact_of, decide
from bridge.deliver.restore import ALIAS, CONTACT, SUBSCRIPTION
from bridge.deliver.state import DELETED, LeftOut, Moment, Row, Values, compare, is_note
from bridge.onesignal.operations import (
    ALIASES_PER_USER,
    AddSubscription,
    CreateAlias,
    DeleteUser,
    RemoveSubscription,
    Request,
    SetContact,
)
from bridge.onesignal.user_model import (
    add_subscription,
    create_alias,
    delete_user,
    set_enabled,
)

Single = CreateAlias | AddSubscription | RemoveSubscription | SetContact | DeleteUser
"""An update that shares its call with no other."""


class Step(NamedTuple):
    """One request, and what is true once it is accepted."""

    request: Request
    facts: dict[str, JsonValue]
    #: What a 404 means: the user is to be created with it, or there is nothing to do.
    absent: Literal["create", "done"]
    #: What is asked in its place when that is the answer.
    instead: tuple[Step, ...] = ()
    instead_of: frozenset[int] = frozenset({404})
    #: To whom it is a write, too, as far as is known.
    other: int | None = None


class Decided(NamedTuple):
    """What is asked in its order; nothing, for that reason, when there are no steps."""

    steps: tuple[Step, ...]
    #: What the row learns when all of it is done, or when there is nothing to do.
    facts: dict[str, JsonValue]
    reason: LeftOut = "unchanged"


def steps_of(row: Row, update: Single, at: Moment, now_ms: int, *, app_id: str) -> Decided:
    """What an update asks for, and in which order."""
    match update:
        case CreateAlias():
            request = create_alias(update, app_id=app_id)
            values: Values = {f"{ALIAS}{update.label}": update.id}
            if _has_all_aliases(row, update.label):
                return Decided((), {}, "alias_cap")
            return _one(row, values, at, now_ms, request, "create")
        case AddSubscription():
            return _addition(row, update, at, app_id)
        case RemoveSubscription():
            request = set_enabled(update.type, update.token, app_id=app_id, enabled=False)
            values = {_subscription(update): None}
            return _one(row, values, at, now_ms, request, "done")
        case SetContact():
            return _contact(row, update, at, app_id)
        case DeleteUser():
            return _deletion(row, update, at, app_id)
        case _:
            assert_never(update)


def _has_all_aliases(row: Row, label: str) -> bool:
    """Whether one more alias, as far as we have given them, would be refused."""
    has = {name for name, fact in row.items() if name.startswith(ALIAS) and fact.value is not None}
    return f"{ALIAS}{label}" not in has and len(has) >= ALIASES_PER_USER


def _one(
    row: Row,
    values: Values,
    at: Moment,
    now_ms: int,
    request: Request,
    absent: Literal["create", "done"],
) -> Decided:
    compared = compare(row, values, at, now_ms)
    if not compared.write:
        return Decided((), dict(values), compared.reason)
    return Decided((Step(request, dict(values), absent),), dict(values))


def _subscription(update: AddSubscription | RemoveSubscription) -> str:
    return f"{SUBSCRIPTION}{update.type}.{update.token}"


def _addition(row: Row, update: AddSubscription, at: Moment, app_id: str) -> Decided:
    """Once it is there it is never refreshed; one that we switched off is switched on again."""
    name = _subscription(update)
    fact = row.get(name)
    accepted_ms = fact.accepted_ms if fact is not None and fact.accepted_ms is not None else 0
    again = fact is not None and fact.value is None and fact.accepted_ms is not None
    request = add_subscription(update, app_id=app_id, enabled=True if again else None)
    return _one(row, {name: True}, at, accepted_ms, request, "create")


def _deletion(row: Row, update: DeleteUser, at: Moment, app_id: str) -> Decided:
    """A deletion is done however late it comes, unless it was done and nothing was written since."""
    done = row.get(DELETED)
    others = [name for name in row if name != DELETED and not is_note(name)]
    if done is not None and done.accepted_ms is not None and not others:
        return Decided((), {}, "overtaken" if at.before(done.at) else "unchanged")
    step = Step(delete_user(update.to, app_id=app_id), {DELETED: None}, "done")
    return Decided((step,), {DELETED: None})


def _contact(row: Row, update: SetContact, at: Moment, app_id: str) -> Decided:
    name = f"{CONTACT}{update.type}"
    fact, deleted = row.get(name), row.get(DELETED)
    if any(one is not None and at.before(one.at) for one in (fact, deleted)):
        return Decided((), {}, "overtaken")
    stored = contact_of(None if fact is None else fact.value)
    certain = fact is None or fact.accepted_ms is not None
    contact, acts = decide(stored, update, certain=certain)
    steps = tuple(step for act in acts for step in _act(name, update, act, app_id))
    return Decided(steps, {name: contact.value})


def _act(name: str, update: SetContact, act: Act, app_id: str) -> list[Step]:
    facts = {name: act.after.value}
    added = SetContact(
        rule=update.rule, to=update.to, type=update.type, address=act.address, opted_in=None
    )
    match act.do:
        case "disable":
            request = set_enabled(update.type, act.address, app_id=app_id, enabled=False)
            return [Step(request, facts, "done")]
        case "add":
            return [Step(add_subscription(added, app_id=app_id), facts, "create")]
        case "enable":
            switched = set_enabled(update.type, act.address, app_id=app_id, enabled=True)
            anew = add_subscription(added, app_id=app_id, enabled=True)
            return [Step(switched, facts, "done", instead=(Step(anew, facts, "create"),))]
