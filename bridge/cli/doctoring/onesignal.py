"""OneSignal: does it know our key, do our clocks agree, are the templates there, whom does a push reach."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping as Named
from typing import Any
from urllib.parse import quote

import orjson

from bridge.cli.doctoring import Check, Level
from bridge.clock import Clock
from bridge.config import App
from bridge.mapping.push import Push
from bridge.mapping.rules import Mapping
from bridge.onesignal.api import api_named
from bridge.onesignal.client import OneSignal
from bridge.onesignal.platforms import said_of
from bridge.onesignal.verdict import Answer, Closed, NoAnswer, judge, said_at

_NOBODY = "segment-bridge-doctor-nobody"
_NO_NOTIFICATION = "00000000-0000-4000-8000-000000000000"
_AWAY_SECONDS, _FAR_SECONDS = 5.0, 300.0
VIEWS_APART_SECONDS = 1.05
"""OneSignal lets an app look once a second. [onesignal.md, published limits]"""
PLATFORM = {
    "iOSPush": "ios",
    "AndroidPush": "android",
    "HuaweiPush": "huawei",
    "FireOSPush": "amazon",
    "WindowsPush": "windows",
    "ChromePush": "web",
    "FirefoxPush": "web",
    "SafariLegacyPush": "web",
    "SafariPush": "ios_web",
}
"""Of each type of subscription the platform that a policy calls it; a Safari may be an iPhone's."""
_REGISTERED = "is for devices that were registered here alone: People, in the console, shows them"
_FLAGS = {
    "ios": ("isIos",),
    "android": ("isAndroid",),
    "huawei": ("isHuawei",),
    "amazon": ("isAdm",),
    "windows": ("isWP_WNS",),
    "web": ("isAnyWeb", "isChromeWeb", "isFirefox"),
    "ios_web": ("isAnyWeb", "isSafari"),
}


class Looks:
    """Looks at one app, as often as OneSignal lets us."""

    def __init__(self, app: App, client: OneSignal, clock: Clock) -> None:
        self.app = app
        self._client = client
        self._clock = clock
        self._last: float | None = None

    async def at(self, path: str, *, key: int = 0) -> Answer | NoAnswer:
        if self._last is not None:
            wait = self._last + VIEWS_APART_SECONDS - self._clock.monotonic()
            await self._clock.sleep(max(0.0, wait))
        answer = await self._client.perform("GET", path, b"", key=key)
        self._last = self._clock.monotonic()
        return answer

    @property
    def path_of_nothing(self) -> str:
        """What is nobody's, and asked for to see whether the key is let in."""
        api = api_named(self.app.spoken.api)
        if api.HAS_USERS:
            return self.path_of(_NOBODY)
        return api.notification_path(_NO_NOTIFICATION, app_id=self.app.app_id)

    def path_of(self, external_id: str) -> str:
        return f"/apps/{self.app.app_id}/users/by/external_id/{quote(external_id, safe='')}"


async def access(looks: Looks, clock: Clock) -> AsyncIterator[Check]:
    """Every key of the app, and the clock of OneSignal's answer."""
    app = looks.app
    for number in range(len(app.api_keys)):
        answer = await looks.at(looks.path_of_nothing, key=number)
        yield _key(app, number, answer)
        if isinstance(answer, Answer) and number == 0 and (told := _clock(answer, clock)):
            yield told
    plan = app.plan or "not said (BRIDGE_ONESIGNAL_PLAN)"
    cap = "no cap of our own" if app.tag_cap is None else f"{app.tag_cap} tags a user"
    said = f"plan {plan}: {app.sends_per_second} sends and 1,000 writes a second, {cap}"
    yield Check(f"limits of {app.name}", "ok" if app.plan else "warning", said)


def _key(app: App, number: int, answer: Answer | NoAnswer) -> Check:
    name = f"key of {app.name}" + (f" ({number + 1})" if len(app.api_keys) > 1 else "")
    if isinstance(answer, NoAnswer):
        hint = f"is {app.url} reachable from here? a proxy or a firewall may be in the way"
        return Check(name, "error", f"OneSignal does not answer ({answer.reason})", hint)
    if answer.status in {200, 404}:
        return Check(name, "ok", "OneSignal knows the app and the key")
    if isinstance(judge(answer, now_ms=0), Closed):
        hint = (
            "OneSignal > Settings > Keys & IDs: an App API key of this app, not the organization's"
        )
        return Check(name, "error", f"OneSignal refuses the key ({answer.status})", hint)
    hint = (
        "is BRIDGE_ONESIGNAL_APP_ID the app's own id?"
        if answer.status == 400
        else "try again later"
    )
    return Check(name, "error", f"OneSignal answered {answer.status}", hint)


def _clock(answer: Answer, clock: Clock) -> Check | None:
    if (theirs := said_at(answer.headers)) is None:
        return None
    away = abs(clock.now_ms() / 1000 - theirs)
    said = f"this clock and OneSignal's are {away:.0f} s apart"
    if away <= _AWAY_SECONDS:
        return Check("clock", "ok", said)
    level: Level = "error" if away > _FAR_SECONDS else "warning"
    return Check("clock", level, said, "run an NTP client: ages, order and limits go by this clock")


async def templates(looks: Looks, mappings: Iterable[Mapping]) -> AsyncIterator[Check]:
    """Each template that a rule names in plain text."""
    by_id: dict[str, list[str]] = {}
    for mapping in mappings:
        for rule in mapping.rules:
            found = None if rule.push is None else rule.push.constant.get("template_id")
            if isinstance(found, str):
                by_id.setdefault(found, []).append(rule.name)
    for template, rules in by_id.items():
        path = f"/templates/{quote(template, safe='')}?app_id={looks.app.app_id}"
        answer = await looks.at(path)
        yield _template(template, rules, answer)


def _template(template: str, rules: list[str], answer: Answer | NoAnswer) -> Check:
    name = f"template of {', '.join(rules)}"
    if isinstance(answer, Answer) and answer.status == 200:
        return Check(name, "ok", f"{template} is there")
    if isinstance(answer, Answer) and answer.status in {400, 404}:
        hint = "OneSignal > Messages > Templates shows the id of each"
        return Check(name, "error", f"OneSignal has no template {template}", hint)
    status = answer.status if isinstance(answer, Answer) else answer.reason
    return Check(name, "warning", f"whether {template} is there could not be seen ({status})")


async def user(looks: Looks, external_id: str, mappings: Iterable[Mapping]) -> AsyncIterator[Check]:
    """The devices that OneSignal knows of a user, and which of them the push of each rule would reach."""
    if not api_named(looks.app.spoken.api).HAS_USERS:
        where = "OneSignal's dashboard does: Audience > Subscriptions, by External User ID"
        yield Check("user", "warning", "the legacy API shows nobody's devices", where)
        return
    answer = await looks.at(looks.path_of(external_id))
    if not isinstance(answer, Answer) or answer.status != 200:
        status = answer.status if isinstance(answer, Answer) else answer.reason
        hint = "do your apps call OneSignal.login with Segment's userId?" if status == 404 else None
        yield Check("user", "error", f"OneSignal does not know this user ({status})", hint)
        return
    devices = devices_of(orjson.loads(answer.body))
    for device in devices:
        yield device.check()
    if not devices:
        hint = "the app asks for permission to push, and calls OneSignal.login"
        yield Check("devices", "warning", "OneSignal has no push device of this user", hint)
        return
    for rule in (rule for mapping in mappings for rule in mapping.rules):
        if rule.push is not None:
            yield _reached(rule.name, rule.push, devices)


class Device:
    """A push subscription, as OneSignal tells of it."""

    def __init__(self, told: Named[str, Any]) -> None:
        self.type = str(told.get("type", ""))
        self.platform = PLATFORM.get(self.type, "another")
        self.on = bool(told.get("enabled")) and int(told.get("notification_types") or 1) > 0
        self.model = str(told.get("device_model") or "")

    def __str__(self) -> str:
        return f"{self.type} {self.model}".strip()

    def check(self) -> Check:
        if self.on:
            return Check("device", "ok", f"{self}: subscribed")
        return Check(
            "device", "warning", f"{self}: does not take pushes", "its owner can allow them"
        )


def devices_of(told: Named[str, Any]) -> list[Device]:
    """The push devices among a user's subscriptions."""
    subscriptions = told.get("subscriptions") or ()
    return [Device(one) for one in subscriptions if str(one.get("type", "")).endswith("Push")]


def reaches(flags: Named[str, bool], device: Device) -> bool:
    """Whether a push with these flags goes to a device; without any it goes to all."""
    allowed = {flag for flag, value in flags.items() if value}
    return device.on and (not allowed or bool(allowed & {*_FLAGS.get(device.platform, ())}))


def _reached(rule: str, push: Push, devices: list[Device]) -> Check:
    if push.devices is not None:
        return Check(f"push {rule}", "ok", _REGISTERED)
    flags = push.flags
    reached = [str(device) for device in devices if reaches(flags, device)]
    if reached:
        return Check(f"push {rule}", "ok", f"would reach {', '.join(reached)}")
    hint = f"it is for {', '.join(said_of(flags))}: `push.platforms`, or `platforms` of the rule"
    said = "would reach none of these devices"
    return Check(f"push {rule}", "warning", said, hint if flags else None)
