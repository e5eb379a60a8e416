"""What to do about what waits for a person, by why it does. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple


class Advice(NamedTuple):
    #: What has happened, as a heading.
    what: str
    todo: str
    #: Trying again can help.
    replay: bool = True
    #: With today's mapping rather than as it was.
    replan: bool = False


_OURS: Final = (
    "That is a fault of the bridge, and none of yours. Report it with the log line of the same message id; after an"
    " upgrade, replay it."
)
_DEAD: Final = {
    "http_400": Advice(
        "OneSignal says that the request is wrong (400)",
        "Open one and read OneSignal's answer: it names the field. Mend the mapping, then replay with today's mapping.",
        replan=True,
    ),
    "http_401": Advice(
        "OneSignal refused the key (401)",
        "Put a valid API key in its place; it is taken without a restart. Then replay.",
    ),
    "http_403": Advice(
        "OneSignal refused the key, or the app is disabled (403)",
        "Look at the app in OneSignal's dashboard, and at its API key. Then replay.",
    ),
    "http_404": Advice(
        "OneSignal knows nothing at this address (404)",
        "Most often the app id is wrong, or the user was deleted meanwhile. Correct it, then replay.",
    ),
    "http_409": Advice(
        "OneSignal says that it belongs to somebody else (409)",
        "Open one to see which alias it is about. Decide whose it is, then replay or discard.",
    ),
    "http_413": Advice(
        "OneSignal says that it is too large (413)",
        "Shorten what the mapping writes, then replay with today's mapping.",
        replan=True,
    ),
    "exhausted": Advice(
        "Tried for a day, and never accepted",
        "OneSignal was away, or answered with failures. Is it well again? Then replay.",
    ),
    "unknown_outcome": Advice(
        "Nobody knows whether OneSignal sent it",
        "The connection broke while it was asked, and by now it is too old to be sent unasked. Replaying is safe: it"
        " leaves with its own key, by which OneSignal tells a repeat. Discard it if it does not matter any more.",
    ),
    "source_gone": Advice(
        "Its source is not configured any more",
        "Configure the source again, then replay; or discard it.",
    ),
    "plan_failed": Advice("It broke the planning", _OURS, replan=True),
    "internal_error": Advice("It broke the bridge again and again", _OURS),
    "poison": Advice("The bridge ended abruptly each time it worked on it", _OURS),
    "alias_conflict": Advice(
        "The alias is another user's at OneSignal",
        "Nothing here gave it to that user, so nobody can say which of the two is right. Take it off the other one at"
        " OneSignal, then replay; or discard it.",
    ),
    "alias_contested": Advice(
        "Several users say again and again that the alias is theirs",
        "It is no id of one person. Mend the mapping or the data, so that each user has one of its own; then replay,"
        " or discard it.",
    ),
}  # fmt: skip
_NO_EVENT: Final = Advice(
    "What was sent is no event ({})",
    "Open one to see what came. There is nothing to replay: mend what sends it, then discard it.",
    replay=False,
)
_REFUSED: Final = Advice(
    "OneSignal refused it ({})",
    "Open one and read OneSignal's answer. When the cause is gone, replay.",
    replan=True,
)
ONE_FIRST: Final = "Begin with one: replay the newest of a rule, and see what becomes of it. When it goes well, replay the others."
HELD: Final = {
    "limit": Advice(
        "The rule sent more than its limit allows",
        "Was it meant? Look at a few. Let them go, at once or little by little, or discard them: either way the rule"
        " may push again. If so many are usual, raise limit in the mapping.",
    ),
    "paused": Advice(
        "Pushes were paused",
        "They leave when the pause ends. Before that you can discard some, or say that they leave little by little then.",
    ),
    "ios_reached": Advice(
        "A push that left iPhones out in the same way has reached one",
        "They were written with flags that did not keep iPhones out. Discard them, and let the rule send to registered"
        " devices (by: devices); or let them go, if iPhones may have them.",
    ),
}


def dead(reason: str) -> Advice:
    if (known := _DEAD.get(reason)) is not None:
        return known
    if reason.startswith("http_"):
        return _REFUSED._replace(what=_REFUSED.what.format(reason.removeprefix("http_")))
    return _NO_EVENT._replace(what=_NO_EVENT.what.format(reason.replace("_", " ")))


def held(reason: str) -> Advice:
    return HELD.get(reason, HELD["limit"])
