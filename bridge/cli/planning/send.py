"""`plan --send`: one push of a plan to one phone, yours, with a key of its own.

It goes past the journal on purpose: it is a look at a message, counts against no limit of a rule,
and can never be what keeps a real push from leaving.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import httpx
import orjson
import typer

from bridge.clock import SystemClock
from bridge.config import App
from bridge.errors import BridgeError
from bridge.mapping.rules import Mapping
from bridge.onesignal.client import OneSignal, address
from bridge.onesignal.operations import Recipient, Request, SendNotification
from bridge.onesignal.verdict import (
    Accepted,
    Closed,
    Failed,
    NoRecipients,
    Postponed,
    Refused,
    Unknown,
    Verdict,
    judge,
)
from bridge.plan import plan
from bridge.plan.requests import requests_of
from bridge.plan.restraint import Restraint
from bridge.segment.events import Event, Unusable


class NotOnePushError(BridgeError):
    """What is to be sent has to be one push, and it is none or several."""

    code = "not-one-push"


class RestrainedError(BridgeError):
    """The settings say that nothing, or nothing to this user, is sent."""

    code = "restrained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The one push, as it will leave."""

    push: SendNotification
    request: Request


def the_push(
    events: Sequence[Event | Unusable], mapping: Mapping, *, app: App, user: str, rule: str | None
) -> Trial:
    """The only push of the events, addressed to `user` and to nobody else.

    Raises:
        NotOnePushError: there is none, or more than one.
    """
    found = [
        operation
        for event in events
        if isinstance(event, Event)
        for operation in plan(event, mapping).operations
        if isinstance(operation, SendNotification) and rule in {None, operation.rule}
    ]
    if len(found) != 1:
        raise _not_one(found, rule)
    # The registry is the service's; to one's own phone the flags of the policy will do.
    push = replace(found[0], to=Recipient(label="external_id", id=user), devices=None)
    if not push.flags and found[0].devices is not None:
        raise NotOnePushError(
            "this push goes to registered devices on a platform that no flag names",
            hint="let the running service send it",
        )
    if found[0].devices is not None and not app.spoken.keeps_flags and not push.flags.get("isIos"):
        raise NotOnePushError(
            "this push goes to registered devices, and by flags, which are all that this command has,"
            " OneSignal's legacy API may send it to your iPhone, too",
            hint="let the running service send it",
        )
    # A key of its own: OneSignal would otherwise take it for a push that it has sent already.
    key = str(uuid.uuid4())
    (request,) = requests_of(push, message_id="", app_id=app.app_id, key=key, api=app.spoken.api)
    return Trial(push=push, request=request)


def _not_one(found: list[SendNotification], rule: str | None) -> NotOnePushError:
    if not found:
        of = f" of rule {rule}" if rule else ""
        return NotOnePushError(
            f"these events make no push{of}", hint="without --send, `plan` says why"
        )
    rules = sorted({push.rule for push in found})
    hint = f"--rule {rules[0]}" if len(rules) > 1 else "give it a file with one event"
    return NotOnePushError(
        f"these events make {len(found)} pushes ({', '.join(rules)}), and one is sent at a time",
        hint=hint,
    )


def send(
    trial: Trial,
    app: App,
    restraint: Restraint,
    *,
    confirm: Callable[[str], bool],
    transport: httpx.AsyncBaseTransport | None = None,
) -> bool:
    """Show it, ask, send it, and say what OneSignal answered; whether it was accepted for a device.

    Raises:
        RestrainedError: a dry run, or a user that BRIDGE_ONLY_USERS does not list.
    """
    if (reason := restraint.reason(trial.push)) is not None:
        raise RestrainedError(f"nothing is sent: {reason}", hint=_RESTRAINTS[reason])
    user = trial.push.to.id
    body = orjson.dumps(trial.request.body, option=orjson.OPT_INDENT_2).decode()
    typer.echo(f"POST {address(app.url, trial.request.path)}\n{body}\n")
    typer.echo(f"One push, by rule {trial.push.rule}, to the user {user} of app {app.app_id}.")
    if not confirm("Send it?"):
        typer.echo("Nothing was sent.")
        return False
    verdict = asyncio.run(_perform(trial.request, app, transport))
    well, words = told(verdict, user)
    typer.echo(words)
    return well


_RESTRAINTS = {
    "dry_run": "BRIDGE_DRY_RUN is yes",
    "not_listed": "BRIDGE_ONLY_USERS lists whom a push may reach; add the user, or name another",
}


async def _perform(
    request: Request, app: App, transport: httpx.AsyncBaseTransport | None
) -> Verdict:
    """With the first key that OneSignal takes; during a rotation there are several."""
    keys = [key.get_secret_value() for key in app.api_keys]
    body = orjson.dumps(request.body)
    verdict: Verdict = Closed(status=401, detail="there is no key")
    async with OneSignal(url=app.url, api_keys=keys, transport=transport) as client:
        for number in range(len(keys)):
            answer = await client.perform(request.method, request.path, body, key=number)
            verdict = judge(answer, now_ms=SystemClock().now_ms(), is_send=True)
            if not isinstance(verdict, Closed):
                break
    return verdict


def told(verdict: Verdict, user: str) -> tuple[bool, str]:
    """Whether a phone can have got it, and what OneSignal's answer means, in plain words."""
    match verdict:
        case Accepted(unreached=unreached, id=id_) if user not in unreached:
            return True, f"Accepted by OneSignal (message {id_}): look at the phone."
        case Accepted() | NoRecipients():
            return False, _no_device(user)
        case Failed(reason=reason, certain=False):
            return False, f"No clear answer ({reason}): it may have been sent, or not."
        case _:
            return False, f"{_refusal(verdict)} Nothing was sent."


def _refusal(verdict: Closed | Postponed | Refused | Failed | Unknown) -> str:
    match verdict:
        case Closed(status=status, detail=detail):
            return f"OneSignal refuses the key ({status}): {detail}"
        case Postponed(after_seconds=after):
            return f"OneSignal takes no more calls now{f', for {after:.0f} s' if after else ''}."
        case Refused(status=status, detail=detail):
            return f"OneSignal refuses it ({status}): {detail}"
        case Failed() | Unknown():
            return f"OneSignal was not reached: {verdict.detail}"


def _no_device(user: str) -> str:
    return (
        f"Nobody was reached: {user} has no subscribed device on the platforms of this push."
        " Is that the External ID that the app logs in with, and are notifications allowed?"
    )
