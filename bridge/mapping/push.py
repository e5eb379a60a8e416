"""A push as it runs: which phones it may reach, and how each of its fields is filled in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from bridge.mapping.compiling import Compiling, Path, Tree, leaves
from bridge.mapping.expression import Missing, Refused
from bridge.mapping.filling import Fill, fill_of, raw_fill
from bridge.mapping.legacy import check_flags
from bridge.mapping.targets import Target, compile_target
from bridge.mapping.written import Sent
from bridge.mapping.written_push import SendNotification
from bridge.onesignal.operations import SUBSCRIPTION_ID, ByDevices
from bridge.onesignal.platforms import Policy, allowed, flags

AT: Path = ("do", "send_notification")

_HOW: dict[str, Sent] = {
    name: how
    for name, declared in SendNotification.model_fields.items()
    for how in declared.metadata
    if isinstance(how, Sent)
}
_PICTURES = (
    ("big_picture", {"android"}),
    ("huawei_big_picture", {"huawei"}),
    ("adm_big_picture", {"amazon"}),
    ("chrome_web_image", {"web", "ios_web"}),
    ("ios_attachments", {"ios"}),
)
"""Which field shows a picture on which platform (reference/push-notification, "media")."""
_LINKS_INSIDE = {"web_buttons": frozenset({"url", "icon"})}
_APART = frozenset({"to", "platforms", "image", "raw"})
_TOGETHER = (
    ("delivery_time_of_day", "delayed_option", "the time of day is for `delayed_option: timezone`"),
    ("ios_badgeType", "ios_badgeCount", "a badge needs both, what to do and the number"),
    ("ios_badgeCount", "ios_badgeType", "a badge needs both, what to do and the number"),
    ("custom_data", "template_id", "only a template reads `custom_data`"),
)
"""A field, what it does nothing without, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a request: what it is called at OneSignal, and how its value comes about.

    A `required` field that is missing skips the operation; another one is left out.
    """

    name: str
    #: What the mapping calls it: `image` stands for several fields.
    written: str
    value: Tree
    required: bool
    fill: Fill = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    #: What depends on the event.
    fields: tuple[Field, ...]
    #: What does not, already in OneSignal's words.
    constant: dict[str, Any]
    policy: Policy
    flags: dict[str, bool]
    links: tuple[str, ...]
    to: Target | None = None
    #: None: everybody is addressed by an id of their own.
    devices: ByDevices | None = None


def compile_push(send: SendNotification, compiling: Compiling) -> Push | None:
    """The push; None when it is not one, for reasons that are reported."""
    _check(send, compiling)
    around = compiling.around
    policy = send.platforms or around.defaults.platforms
    if policy is None:
        _report_undecided(compiling)
        return None
    reach = allowed(policy, around.serves)
    constant: dict[str, Any] = {}
    fields = list(_fields(send, reach, constant, compiling))
    to = compile_target(send.to, AT, compiling, subscriptions=True)
    devices = _devices(policy, to, reach, compiling)
    if devices is None and to is not None and to.label == SUBSCRIPTION_ID:
        _check_device(policy, compiling)
    chosen = _flags(reach)
    is_strict = devices is not None and devices.unknown == "skip"
    if not chosen and not (is_strict and reach):
        _report_nobody(policy, compiling)
        return None
    if not is_strict and (to is None or to.label != SUBSCRIPTION_ID):
        check_flags(reach, AT, compiling)
    return Push(
        fields=tuple(fields),
        constant=constant,
        policy=policy,
        flags=chosen,
        links=around.defaults.links,
        to=to,
        devices=devices,
    )


def _flags(reach: Collection[str]) -> dict[str, bool]:
    """Empty when there are none for it, which must not be sent: they would be everybody's."""
    try:
        return flags(reach)
    except ValueError:
        return {}


def _devices(
    policy: Policy, to: Target | None, reach: frozenset[str], compiling: Compiling
) -> ByDevices | None:
    """Whether, and by which of them, a person's registered devices are named."""
    if to is not None and to.devices:
        return ByDevices(reach, "skip")
    if policy.by != "devices":
        return None
    if to is not None and to.label != "external_id":
        message = (
            f"the policy is {policy}, and a person's devices are registered by the external id"
        )
        hint = "write `to: {external_id: …}`, or `platforms` without `by` for this rule"
        compiling.report((*AT, "to"), "devices-of-a-person", message, hint)
        return None
    return ByDevices(reach, policy.unknown)


def _check(send: SendNotification, compiling: Compiling) -> None:
    """What is wrong with fields beside each other."""
    wakes = send.content_available is True
    if send.contents is None and send.template_id is None and not wakes:
        hint = "or content_available: true, which wakes your app and shows nothing"
        compiling.report(AT, "contents-missing", "a push needs contents, or a template_id", hint)
    if send.contents is not None and "en" not in send.contents:
        compiling.report(
            (*AT, "contents"),
            "contents-without-en",
            "OneSignal requires the contents in `en`",
            "add en: the text for every language that you do not list",
        )
    if send.url is not None and (send.app_url is not None or send.web_url is not None):
        compiling.report(
            (*AT, "url"),
            "links-contradict",
            "`url` is for all platforms, and `app_url` or `web_url` says otherwise",
            "write `url`, or `app_url` and `web_url`",
        )
    for name, beside, why in _TOGETHER:
        if getattr(send, name) is not None and getattr(send, beside) is None:
            message = f"`{name}` does nothing without `{beside}`: {why}"
            compiling.report((*AT, name), "field-alone", message, f"add `{beside}`, or take it out")
    if send.delivery_time_of_day is not None and send.delayed_option == "last-active":
        message = "`delayed_option: last-active` takes no time of day"
        hint = "write `delayed_option: timezone`"
        compiling.report((*AT, "delivery_time_of_day"), "field-alone", message, hint)


def _report_undecided(compiling: Compiling) -> None:
    compiling.report(
        AT,
        "platforms-undecided",
        f"rule {compiling.rule.name} pushes, and nothing says whether iPhones are included.",
        "push: {platforms: {exclude: [ios]}} if Segment, Engage or another tool already pushes your "
        "iPhones; push: {platforms: all} if OneSignal is the only one.",
    )


def _report_nobody(policy: Policy, compiling: Compiling) -> None:
    served = ", ".join(sorted(compiling.around.serves))
    compiling.report(
        AT,
        "no-platform-left",
        f"rule {compiling.rule.name} sends to {policy}, and the app is on {served}: nobody is left",
        "widen the policy, or add the platform to BRIDGE_ONESIGNAL_PLATFORMS",
    )


def _check_device(policy: Policy, compiling: Compiling) -> None:
    """OneSignal ignores platform flags beside a subscription id, so no policy can be kept."""
    if policy.kind != "all":
        compiling.report(
            (*AT, "to"),
            "platforms-of-a-device",
            f"the policy is {policy}, and which platform a subscription id is of nobody here knows",
            "write `platforms: all` beside it if any device may get this, or send to a person",
        )


def _fields(
    send: SendNotification, reach: Collection[str], constant: dict[str, Any], compiling: Compiling
) -> Iterator[Field]:
    """Every field that depends on the event; the others go into `constant` at once."""
    for name, written, value, how in _wanted(send, reach):
        if how.kind in {"constant", "seconds"}:
            constant[name] = value // 1000 if how.kind == "seconds" else value
            continue
        found = _compiled(name, written, value, how, compiling)
        if found is not None and not _settled(found, constant, compiling):
            yield found
    for name, value in (send.raw or {}).items():
        found = _raw(name, value, compiling)
        if found is not None and not _settled(found, constant, compiling):
            yield found


def _wanted(send: SendNotification, reach: Collection[str]) -> Iterator[tuple[str, str, Any, Sent]]:
    for name in SendNotification.model_fields:
        value = getattr(send, name)
        if value is not None and name not in _APART:
            yield name, name, value, _HOW[name]
    for name, platforms in _PICTURES:
        # `image` stands for the pictures of the platforms reached that have none of their own.
        if send.image is not None and getattr(send, name) is None and platforms & set(reach):
            value = {"image": send.image} if name == "ios_attachments" else send.image
            yield name, "image", value, _HOW[name]


def _compiled(name: str, written: str, value: Any, how: Sent, compiling: Compiling) -> Field | None:
    path = (*AT, written)
    if how.kind == "link":
        inside = value if isinstance(value, dict) else ()
        tree = compiling.tree(value, path, links=inside) if inside else compiling.link(value, path)
    else:
        plain = [_plain(one) for one in value] if name in {"buttons", "web_buttons"} else value
        tree = compiling.tree(plain, path, links=_LINKS_INSIDE.get(name, ()))
    if tree is None:
        return None
    fill = fill_of(name, tree, how, compiling.around.defaults.links)
    return Field(name=name, written=written, value=tree, required=how.needed, fill=fill)


def _plain(button: Any) -> dict[str, Any]:
    found: dict[str, Any] = button.model_dump(exclude_none=True)
    return found


def _raw(name: str, value: Any, compiling: Compiling) -> Field | None:
    path = (*AT, "raw", name)
    if name in SendNotification.model_fields:
        compiling.report(path, "raw-declared", f"`{name}` is a field", "write it without `raw`")
        return None
    tree = compiling.tree(value, path)
    if tree is None:
        return None
    fill = raw_fill(tree, compiling.around.defaults.links)
    return Field(name=name, written="raw", value=tree, required=False, fill=fill)


def _settled(found: Field, constant: dict[str, Any], compiling: Compiling) -> bool:
    """Whether a field is the same for every event: then it is filled in, or wrong, once for all."""
    if not all(leaf.is_literal for leaf in leaves(found.value)):
        return False
    value = found.fill({})
    if isinstance(value, Missing | Refused):
        reason = "missing" if isinstance(value, Missing) else value.reason
        message = f"`{found.name}` can never be sent: {reason}"
        compiling.report((*AT, found.written), "field-unusable", message)
    constant[found.name] = value
    return True
