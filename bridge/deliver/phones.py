"""What to do about the phone that an event came from, given what was said of it before. Pure.

OneSignal knows a phone without its SDK by the push token alone. Whose it is, and whether it takes
pushes, is said by events: of two that say something else the later one counts, whoever it is about.

::

    what the event says                  done
    a token that was never said          the user gets it, from whoever had it
    the same token as before             nothing, ever: what its owner did at OneSignal stays
    another token of the same phone      the old one becomes the new one
    it takes no pushes (any more)        switched off
    it takes pushes again, aloud         switched on; silence never does that
    its user has logged out of it        switched off, and the user's no more
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from pydantic import JsonValue

from bridge.deliver.restore import DEVICE
from bridge.deliver.state import ACCEPTED_FOR_MS, DELETED, Fact, Moment, Row
from bridge.deliver.steps import Decided, Step
from bridge.onesignal.operations import Request, SetPushToken
from bridge.onesignal.user_model import add_device, change_device

REFUSED = frozenset({400, 404, 409})
"""The old token is not there, or the new one is already: then the new one is given, and the old switched off."""


class Phone(NamedTuple):
    """What a user's row knows of one phone."""

    token: str | None = None
    on: bool = True
    test: int | None = None
    #: Tokens that are to be switched off yet.
    off: tuple[str, ...] = ()
    #: The token that OneSignal would not have.
    refused: str | None = None

    @property
    def value(self) -> JsonValue:
        """As a fact; what says nothing is left out."""
        value: dict[str, JsonValue] = {"token": self.token, "on": self.on}
        if self.test is not None:
            value["test"] = self.test
        if self.off:
            value["off"] = list(self.off)
        if self.refused is not None:
            value["refused"] = self.refused
        return value


def phone_of(value: JsonValue) -> Phone:
    """The phone that a fact is; of none, one of which nothing was ever said."""
    if not isinstance(value, dict):
        return Phone()
    token, test, refused = value.get("token"), value.get("test"), value.get("refused")
    off = value.get("off")
    return Phone(
        token=token if isinstance(token, str) else None,
        on=value.get("on") is not False,
        test=test if isinstance(test, int) else None,
        off=tuple(map(str, off)) if isinstance(off, list) else (),
        refused=refused if isinstance(refused, str) else None,
    )


class Elsewhere(NamedTuple):
    """What is known of the same phone as somebody else's."""

    #: When that was said last.
    at: Moment
    #: Whose rows have it, under which name.
    facts: tuple[tuple[int, str], ...] = ()
    #: By which other tokens it goes there.
    tokens: tuple[str, ...] = ()
    #: Who has each of those.
    owners: Mapping[str, int] = MappingProxyType({})


def fact_name(said: SetPushToken) -> str:
    """Of the phone in its user's row; one that has no name is known by its token."""
    return f"{DEVICE}{said.type}.{said.device or said.token}"


def phone_steps(
    row: Row,
    said: SetPushToken,
    at: Moment,
    now_ms: int,
    elsewhere: Elsewhere | None,
    *,
    app_id: str,
) -> Decided:
    """What an event asks for, and in which order."""
    name = fact_name(said)
    before = [fact.at for fact in (row.get(name), row.get(DELETED)) if fact is not None]
    before += [elsewhere.at] if elsewhere is not None else []
    if any(at.before(one) for one in before):
        return Decided((), {}, "overtaken")
    deciding = _Deciding(name, said, row.get(name), elsewhere, app_id)
    return deciding.leaving() if said.leaves else deciding.staying(now_ms)


class _Deciding:
    def __init__(
        self,
        name: str,
        said: SetPushToken,
        fact: Fact | None,
        elsewhere: Elsewhere | None,
        app_id: str,
    ) -> None:
        self.name, self.said, self.app_id = name, said, app_id
        self.known = phone_of(None if fact is None else fact.value)
        self.fact, self.elsewhere = fact, elsewhere
        #: Nothing that was asked for may have been left undone.
        self.certain = fact is None or fact.accepted_ms is not None
        #: The token by which OneSignal has it as this user's.
        self.here = None if elsewhere is not None else self.known.token

    def leaving(self) -> Decided:
        tokens = [] if self.elsewhere is not None else [self.known.token, self.said.token]
        found = tuple(dict.fromkeys(one for one in tokens if one is not None))
        is_gone = self.fact is not None and self.fact.value is None and self.certain
        if is_gone or not found:
            return Decided((), {self.name: None})
        steps = [Step(self._switched_off(one), {}, "done") for one in found]
        steps[-1] = steps[-1]._replace(facts={self.name: None})
        return Decided(tuple(steps), {self.name: None})

    def staying(self, now_ms: int) -> Decided:
        said, known = self.said, self.known
        token = said.token or known.token
        if token is None:
            return Decided((), {})
        if self._is_refused(token, now_ms):
            return Decided((), {self.name: known.value})
        on = said.allowed if said.allowed is not None else self.here is None or known.on
        test = known.test if said.test is None and self.here is not None else said.test
        goal = Phone(token=token, on=on, test=test)
        off = [*known.off, *(self.elsewhere.tokens if self.elsewhere is not None else ())]
        if self.here is None and known.token is not None:
            # The token comes back from somebody else, and the phone had another one here meanwhile.
            off.append(known.token)
        left = tuple(dict.fromkeys(one for one in off if one != token))
        steps = (*self._main(goal, left), *self._off(goal, left))
        return Decided(tuple(steps), {self.name: goal.value})

    def _is_refused(self, token: str, now_ms: int) -> bool:
        """Whether OneSignal would not have this token lately: every event of the phone has it."""
        accepted_ms = self.fact.accepted_ms if self.fact is not None else None
        if self.known.refused != token or accepted_ms is None or self.said.allowed is True:
            return False
        return now_ms - accepted_ms < ACCEPTED_FOR_MS

    def _main(self, goal: Phone, left: tuple[str, ...]) -> Iterator[Step]:
        """The step for the token itself; `left` are others, to be switched off after it."""
        facts = {self.name: goal._replace(off=left).value}
        if self.here is None:
            yield Step(self._given(goal), facts, "create")
        elif self.here != goal.token:
            yield self._replaced(self.here, goal, left)
        elif (change := self._change(goal)) is not None:
            given = Step(self._given(goal), facts, "create")
            if change == "give":
                yield given
            elif change == "off":
                yield Step(self._switched_off(self.here), facts, "done")
            else:
                enabled = True if change == "on" else None
                request = change_device(
                    self.said.type, self.here, app_id=self.app_id, test=goal.test, enabled=enabled
                )
                yield Step(request, facts, "done", instead=(given,))

    def _change(self, goal: Phone) -> Literal["give", "off", "on", "mark"] | None:
        """What is to be done of a phone whose token is known."""
        if not goal.on:
            return None if self.certain and not self.known.on else "off"
        if not self.known.on:
            return "on"
        if not self.certain:
            return "give"
        return "mark" if (goal.test or 0) != (self.known.test or 0) else None

    def _replaced(self, old: str, goal: Phone, left: tuple[str, ...]) -> Step:
        says = self.said.allowed is not None or not goal.on
        request = change_device(
            self.said.type,
            old,
            app_id=self.app_id,
            to_token=goal.token,
            test=goal.test,
            enabled=goal.on if says else None,
        )
        given = Step(
            self._given(goal), {self.name: goal._replace(off=(old, *left)).value}, "create"
        )
        gone = Step(self._switched_off(old), {self.name: goal._replace(off=left).value}, "done")
        facts = {self.name: goal._replace(off=left).value}
        return Step(request, facts, "done", instead=(given, gone), instead_of=REFUSED)

    def _off(self, goal: Phone, left: tuple[str, ...]) -> Iterator[Step]:
        owners = {} if self.elsewhere is None else self.elsewhere.owners
        for number, token in enumerate(left, 1):
            facts = {self.name: goal._replace(off=left[number:]).value}
            yield Step(self._switched_off(token), facts, "done", other=owners.get(token))

    def _given(self, goal: Phone) -> Request:
        enabled = None if goal.on else False
        return add_device(
            self.said.to,
            self.said.type,
            str(goal.token),
            app_id=self.app_id,
            test=goal.test,
            enabled=enabled,
        )

    def _switched_off(self, token: str) -> Request:
        return change_device(self.said.type, token, app_id=self.app_id, enabled=False)


def facts_of(row: Row, said: SetPushToken) -> list[tuple[str, Fact, Phone]]:
    """Of a row, whatever is about the phone of an event: by its name, or by its token."""
    found: list[tuple[str, Fact, Phone]] = []
    for name, fact in row.items():
        if not name.startswith(DEVICE) or fact.value is None:
            continue
        phone = phone_of(fact.value)
        if name == fact_name(said) or (said.token is not None and phone.token == said.token):
            found.append((name, fact, phone))
    return found


def elsewhere_of(
    moments: Collection[Moment], rows: Collection[tuple[int, Row]], said: SetPushToken
) -> Elsewhere | None:
    """What others' rows say of the phone; `moments`: when it was said to be theirs."""
    if not moments:
        return None
    found = [(user, one) for user, row in rows for one in facts_of(row, said)]
    ats = [*moments, *(fact.at for _, (_, fact, _) in found)]
    owners = {phone.token: user for user, (_, _, phone) in found if phone.token is not None}
    owners.pop(said.token or "", None)
    return Elsewhere(
        at=max(ats, key=lambda at: at[:2]),
        facts=tuple((user, name) for user, (name, _, _) in found),
        tokens=tuple(owners),
        owners=owners,
    )
