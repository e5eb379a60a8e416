"""OneSignal's open questions, asked of the customer's own app.

Its pages and its SDKs contradict each other on a few points, and each of those is a setting. A user
without any device is created, asked with, and deleted; notifications are addressed to ids that nobody
has, so that they can reach nobody. [onesignal.md, "Open points to settle"]
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from bridge.cli.doctoring import Check
from bridge.clock import Clock
from bridge.config import App
from bridge.onesignal.client import OneSignal
from bridge.onesignal.verdict import Answer

_APART_SECONDS = 1.1
_CREATED_WITHIN = 10


async def probed(app: App, client: OneSignal, clock: Clock) -> AsyncIterator[Check]:
    """Each question, with the setting that answers it."""
    if app.spoken.api != "user-model":
        yield Check("probe", "warning", "the legacy API has no open questions that are settings")
        return
    probe = _Probe(app, client, clock)
    try:
        yield await probe.upsert()
        yield await probe.event_key()
        yield await probe.alias_chunk()
    finally:
        deleted = await probe.delete()
    if not deleted:
        said = f"the throwaway user {probe.user} could not be deleted"
        yield Check("probe", "warning", said, "delete it in OneSignal > Audience > Users")


class _Probe:
    def __init__(self, app: App, client: OneSignal, clock: Clock) -> None:
        self.user = f"segment-bridge-probe-{uuid.uuid4()}"
        self._app, self._client, self._clock = app, client, clock
        self._path = f"/apps/{app.app_id}/users/by/external_id/{self.user}"

    async def _ask(self, method: str, path: str, body: Any = None) -> Answer | None:
        """In its turn: a user is written to at most once a second."""
        await self._clock.sleep(_APART_SECONDS)
        encoded = b"" if body is None else orjson.dumps(body)
        answer = await self._client.perform(method, path, encoded)
        return answer if isinstance(answer, Answer) else None

    async def upsert(self) -> Check:
        """Does a write to a user that nobody knows create it, or answer 404?"""
        answer = await self._ask("PATCH", self._path, {"properties": {"tags": {"probe": "1"}}})
        if answer is not None and answer.status == 404:
            identity = {"identity": {"external_id": self.user}}
            await self._ask("POST", f"/apps/{self._app.app_id}/users", identity)
            return _settled(
                "ONESIGNAL_UPSERT", "patch-first", "a write to an unknown user is answered 404"
            )
        if answer is not None and answer.status in {200, 202}:
            return await self._created()
        return _open("ONESIGNAL_UPSERT", answer)

    async def _created(self) -> Check:
        for _ in range(_CREATED_WITHIN):
            found = await self._ask("GET", self._path)
            if found is not None and found.status == 200:
                said = "a write to an unknown user creates it"
                return _settled("ONESIGNAL_UPSERT", "patch-first", said)
        said = "a write to an unknown user is accepted, and creates nobody"
        return _settled("ONESIGNAL_UPSERT", "post-first", said)

    async def event_key(self) -> Check:
        """Under which name do custom events carry their properties?"""
        answer: Answer | None = None
        for key in ("properties", "payload"):
            event = {"name": "bridge_probe", "external_id": self.user, key: {"probe": True}}
            event["idempotency_key"] = str(uuid.uuid4())
            path = f"/apps/{self._app.app_id}/custom_events"
            answer = await self._ask("POST", path, {"events": [event]})
            if answer is not None and answer.status == 403:
                said = "the plan has no custom events"
                return Check("BRIDGE_ONESIGNAL_EVENT_KEY", "ok", said)
            if (
                answer is not None
                and answer.status in {200, 202}
                and b'"errors"' not in answer.body
            ):
                return _settled("ONESIGNAL_EVENT_KEY", key, f"custom events are taken with {key}")
        return _open("ONESIGNAL_EVENT_KEY", answer)

    async def alias_chunk(self) -> Check:
        """Does a notification take more than 2,000 people? Of ids that nobody has."""
        nobody = [f"{self.user}-{number}" for number in range(2001)]
        body = {
            "app_id": self._app.app_id,
            "target_channel": "push",
            "include_aliases": {"external_id": nobody},
            "contents": {"en": "probe"},
            "isAndroid": True,
            "isIos": False,
            "idempotency_key": str(uuid.uuid4()),
        }
        answer = await self._ask("POST", "/notifications", body)
        if answer is not None and answer.status == 200:
            said = "a notification to more than 2,000 people is taken (the pages say up to 20,000)"
            return _settled("ONESIGNAL_ALIAS_CHUNK", "20000", said)
        if answer is not None and answer.status == 400:
            return _settled(
                "ONESIGNAL_ALIAS_CHUNK", "2000", "2,000 people a notification are the most"
            )
        return _open("ONESIGNAL_ALIAS_CHUNK", answer)

    async def delete(self) -> bool:
        answer = await self._ask("DELETE", self._path)
        return answer is not None and answer.status in {200, 202, 404}


def _settled(setting: str, value: str, said: str) -> Check:
    line = f"BRIDGE_{setting}={value}"
    return Check("probe", "ok", f"{said}: {line}", setting=line)


def _open(setting: str, answer: Answer | None) -> Check:
    status = "no answer" if answer is None else str(answer.status)
    return Check("probe", "warning", f"BRIDGE_{setting} could not be settled ({status})")


def written(text: str, settled: Sequence[str]) -> str:
    """A file of settings with these lines instead of what it said of them."""
    names = tuple(f"{line.partition('=')[0]}=" for line in settled)
    kept = [line for line in text.splitlines() if not line.startswith(names)]
    return "".join(f"{line}\n" for line in (*kept, *settled))
