"""Codes in plain words, with their numbers. Pure."""

from __future__ import annotations

from bridge.plan.provisos import duration
from bridge.plan.values import Note

LOGIN_HINT = "do your apps call OneSignal.login with Segment's userId?"

SKIPS = {
    "no_rule": "no rule wants this event",
    "no_external_id": "it does not say whom it is about (mapping: identity)",
    "blocked_external_id": "OneSignal takes no such id for a user",
    "external_id_too_long": "its user id is longer than OneSignal takes",
    "integration_disabled": "Segment says that it is not meant for OneSignal (integrations)",
    "onesignal_echo": "it came from OneSignal itself, and the rule does not say echo: true",
    "not_started": "the rule acts on later events only (starts)",
    "ended": "the rule acts on earlier events only (ends)",
    "no_consent": "its person has not agreed to {detail}",
    "ad_tracking_off": "{detail} is not used, because the device does not allow ad tracking",
    "client_source": "anybody can send events as this source, and {detail} does not name it",
    "bad_token": "its context.device.token is no push token",
    "replay": "Segment has replayed it, and the rule does not say replays: true",
    "missing": "the event has no value for {detail}",
    "not_text": "{detail} is no text",
    "not_a_date": "{detail} is no date with a zone",
    "empty_text": "{detail} is empty, and a push needs a text",
    "too_long": "{detail} is longer than OneSignal takes",
    "liquid_in_value": "{detail} holds a template, which OneSignal would run",
    "many_recipients": "{detail} names more than one person",
    "nothing_to_write": "nothing of what the rule writes is in the event",
    "unchanged": "OneSignal has had these values from us for less than 7 days",
    "overtaken": "a later event had said something else already",
    "tag_cap": "the user has as many tags already as the plan allows",
    "alias_cap": "the user has 20 aliases from us already, as many as OneSignal allows",
    "nobody_to_merge": "OneSignal knows nobody by the other id, so there was nobody to make one with the user",
    "unknown_user": "OneSignal does not know this user, and none is created (identity.unknown, or the legacy API)",
    "legacy_api": "OneSignal's legacy API, which this app speaks, has no {detail}",
    "not_listed": "BRIDGE_ONLY_USERS does not list this person",
    "dry_run": "the bridge was on a dry run (BRIDGE_DRY_RUN)",
    "rule_gone": "the rule that was to be done is not in the mapping any more",
    "already_sent": "this very push was sent before: the same messageId came another way",
    "membership_over": "the person had left (or entered) the audience again by then",
    "same_membership": "the rule had fired for this stay in the audience already",
    "once_per": "the rule had fired for this person and key already (once_per)",
    "person_cap": "the person had got as many pushes as push.cap allows",
    "too_old": "it was too old (max_age)",
    "only_ios": "all devices that are registered as this person's are iPhones, which the rule leaves out ({detail})",
    "no_devices": "no device is registered as this person's, and the rule sends to registered ones alone",
    "no_platform": "none of this person's registered devices is on a platform that the rule reaches ({detail})",
    "devices_off": "this person's registered devices take no pushes: notifications are off, or there is no consent ({detail})",
    "erased": "its person was erased at their request",
}
_NO_DETAIL = {"client_source": "`when` of the rule"}
NOTES = {
    "ad_tracking_off": "left out: the device does not allow ad tracking ({detail})",
    "unsubscribed": "switched off: the person has unsubscribed ({detail})",
    "did_not_subscribe": "switched off: the person never subscribed ({detail})",
}
DEATHS = {
    "unknown_outcome": "it grew too old after an attempt of which nobody knows whether OneSignal performed it",
    "exhausted": "it was tried for a day, and never accepted",
    "source_gone": "its source is not configured any more",
    "plan_failed": "it broke the planning; that is a fault of the bridge",
    "internal_error": "it broke the bridge again and again; that is a fault of the bridge",
    "poison": "the bridge ended abruptly each time it worked on it",
    "alias_conflict": "the alias is another user's at OneSignal, and nothing here says which of the two has it now",
    "alias_contested": "the alias has gone from user to user lately, so it is no id of one person",
    "subscription_limit": "the user has as many devices already as OneSignal allows (20)",
}
WAITS = {
    "user_limit": "OneSignal asked to write to this user more slowly",
    "not_yet_created": "OneSignal is still creating this user",
    "volume_guard": "rules with `cap: off` have sent more than is safe (volume_guard)",
    "timeout": "OneSignal did not answer in time",
    "connect_failed": "OneSignal could not be reached",
    "connection_lost": "the connection to OneSignal was lost",
    "bad_answer": "what answered did not speak HTTP",
    "not_json": "what answered was not OneSignal",
    "no_id": "OneSignal said neither yes nor no",
    "internal_error": "it broke the bridge, which is a fault of the bridge",
    "already_written": "its push is being written",
}
HOLDS = {
    "limit": "the rule has sent more than its limit allows",
    "paused": "pushes are paused",
    "ios_reached": "it leaves iPhones out by flags, and such a push has reached one",
}


def discarded(reason: str | None) -> str:
    """Why something was given up."""
    if reason == "erased":
        return "discarded, because its person was erased"
    return "discarded by a person, unsent"


def note(one: Note) -> str:
    """What was left out of something that was done."""
    words = NOTES.get(one.reason)
    return str(one) if words is None else f"{one.field}: {words.format(detail=one.detail)}"


def skip(reason: str, detail: str | None) -> str:
    """Why something was not done."""
    if reason == "no_recipients":
        return no_recipients(None)
    words = SKIPS.get(reason, reason)
    return words.format(detail=detail or _NO_DETAIL.get(reason, "a value"))


def merging(state: str, subscriptions: list[str] | None, waits: str | None) -> str:
    """How far two users have become one."""
    if state == "moving" and subscriptions is None:
        return (
            "OneSignal knows both users: which devices the other has is looked up in its turn, one look"
            " a second for all of the app"
        )
    if state == "moving":
        return f"OneSignal knows both users: {len(subscriptions or ())} devices are to be moved yet"
    what = "OneSignal is to be asked" if state == "asked" else "what the user lacks is written next"
    return f"the id is the user's from now on; {what}: {waits}"


def merged(detail: str | None) -> str:
    said = f"; {detail}" if detail else ""
    return f"the two are one user at OneSignal now{said}"


def no_recipients(reason: str | None, *, without_ios: bool = False) -> str:
    if reason == "unknown_user":
        return f"accepted by OneSignal, which knows no such user: {LOGIN_HINT}"
    if without_ios:
        return (
            "accepted by OneSignal, and reached nobody: no subscribed device, iPhones aside, which this"
            f" push leaves out. If the person has another: {LOGIN_HINT}"
        )
    return f"accepted by OneSignal, and reached nobody: no subscribed device; {LOGIN_HINT}"


def death(reason: str, detail: str | None) -> str:
    if reason.startswith("http_"):
        return f"OneSignal refused it ({reason.removeprefix('http_')})"
    words = DEATHS.get(reason, f"it could not be used ({reason})")
    return f"{words}: {detail}" if detail else words


def wait(error: str) -> str:
    if error.startswith("http_"):
        return f"OneSignal answered {error.removeprefix('http_')}"
    return WAITS.get(error, error)


def ago(ms: int) -> str:
    """`3 days`, `5 h`, `12 min`, `4 s`: a stretch of time as one says it."""
    seconds = max(0, ms) / 1000
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            number = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{number} {'day' if unit == 'days' and number == '1' else unit}"
    return f"{seconds:.0f} s"


__all__ = [
    "DEATHS",
    "HOLDS",
    "LOGIN_HINT",
    "SKIPS",
    "ago",
    "death",
    "duration",
    "no_recipients",
    "skip",
    "wait",
]
