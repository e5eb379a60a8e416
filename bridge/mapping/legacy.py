"""What a mapping asks of OneSignal's legacy API in vain (`ONESIGNAL_API=legacy`).

What it cannot do is a warning here and a skip, `legacy_api`, of every event. What it may not keep to is
an error: its pages said that platform flags are ignored beside external ids, so that a push which leaves
iPhones out by flags alone could reach every one of them. Then the devices have to be chosen one by one,
or somebody has to have seen that flags work in their app, and say so (`ONESIGNAL_LEGACY_FLAGS`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from bridge.mapping import document
from bridge.mapping.compiling import Compiling, Path, Problem
from bridge.onesignal.api import Spoken
from bridge.onesignal.platforms import Policy, allowed

_IN_VAIN = (
    "track_custom_event",
    "create_alias",
    "add_subscription",
    "remove_subscription",
    "delete_user",
)
_FIELDS_IN_VAIN = ("language", "timezone", "country", "email", "phone", "raw")
_EVERYBODY = Policy(kind="all")
_MOVE = "take it out, or move the app to the user model (docs/user-model.md)"


def check_legacy(do: document.Do, compiling: Compiling) -> None:
    """Warn of what a rule of an app on the legacy API will never do."""
    if compiling.around.spoken.api != "legacy":
        return
    for path in _in_vain(do):
        what = ".".join(map(str, path[1:]))
        message = f"OneSignal's legacy API has no `{what}`: it is skipped, legacy_api"
        compiling.report(path, "legacy-cannot", message, _MOVE, "warning")


def _in_vain(do: document.Do) -> Iterator[Path]:
    for name in _IN_VAIN:
        if getattr(do, name) is not None:
            yield "do", name
    update, push = do.update_user, do.send_notification
    for name in _FIELDS_IN_VAIN if update is not None else ():
        if getattr(update, name) is not None:
            yield "do", "update_user", name
    if update is not None and update.to is not None and update.to.alias is not None:
        yield "do", "update_user", "to", "alias"
    if push is not None and push.to is not None and push.to.alias is not None:
        yield "do", "send_notification", "to", "alias"


def check_identity(identity: document.Identity) -> Iterator[Problem]:
    """Warn of users that are to be created, known by an alias or made one, which is not to be had there."""
    said = {
        ("unknown", "create"): "creates nobody: who has no device there is skipped, unknown_user",
        (
            "anonymous",
            "alias",
        ): "has no aliases: whatever is about an anonymous id is skipped, legacy_api",
        ("anonymous", "external_id"): (
            "makes nobody one: what an anonymous id had stays with it, legacy_api"
        ),
    }
    for (name, value), why in said.items():
        if name in identity.model_fields_set and getattr(identity, name) == value:
            message = f"OneSignal's legacy API {why}"
            yield Problem(("identity", name), "legacy-cannot", message, _MOVE, "warning")


def check_tokens(spoken: Spoken) -> Problem | None:
    """A warning when push tokens are to become devices, of which a person has none there to give."""
    if spoken.api != "legacy":
        return None
    message = "OneSignal's legacy API has no `push_tokens`: they are skipped, legacy_api"
    return Problem((), "legacy-cannot", message, _MOVE, "warning")


def check_flags(reach: Collection[str], path: Path, compiling: Compiling) -> None:
    """Refuse a push to a person that leaves iPhones out by flags which nobody has seen to work."""
    around = compiling.around
    left_out = allowed(_EVERYBODY, around.serves).difference(reach)
    if around.spoken.keeps_flags or ("ios" in reach and not left_out):
        return
    rule = compiling.rule.name
    if "ios" in reach:
        names = ", ".join(sorted(left_out))
        message = (
            f"rule {rule} leaves out {names} by flags, which OneSignal's legacy API may ignore"
        )
        hint = "choose the devices: `by: devices`; or see docs/user-model.md"
        compiling.report(path, "legacy-flags-unproven", message, hint, "warning")
        return
    compiling.report(
        path,
        "legacy-flags-refused",
        f"rule {rule} leaves iPhones out by flags, which OneSignal's legacy API may ignore: every iPhone"
        " of the person could get it",
        "choose the devices: `by: devices`; or, once you have seen that flags work in your app,"
        " BRIDGE_ONESIGNAL_LEGACY_FLAGS=trust (docs/user-model.md)",
    )
