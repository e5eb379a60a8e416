"""Ids that a user has, or may have, until another one of that label is asked for. Pure.

Who is given another id gives up the one before, and that is on disk before the other is asked for::

    in the row of the id      when it was last said to be somebody's: by nothing older it is anybody's again
    in the user's own row     that there is such a row, which goes with the user when the user is erased

An answer that was lost leaves more than one id that the user may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bridge.deliver.restore import ALIAS
from bridge.deliver.state import ASKED, GAVE, Fact, Moment, Row, accepted, asked, decode, is_note


class GivenUp(NamedTuple):
    #: Of the user.
    own: dict[str, Fact]
    #: Of the ids.
    ids: dict[int, Row]


def may_have(row: Row, name: str) -> dict[str, Moment]:
    """Which ids of a label OneSignal may have given to the user of this row, and when each was said last.

    What was asked for counts before there is an answer, which can be lost. A refusal leaves the id of before
    with the time of what was refused; when that one was said is known by what was asked.
    """
    prefix, has = asked(name, ""), row.get(name)
    found = {
        one.removeprefix(prefix): fact.at
        for one, fact in row.items()
        if one.startswith(prefix) and fact.value is not None
    }
    if has is not None and has.value is not None:
        id_ = str(has.value)
        said = found.get(id_)
        if said is None or (has.accepted_ms is not None and said.before(has.at)):
            found[id_] = has.at
    return found


def given_up(row: Row, ids: Mapping[int, Moment], now_ms: int) -> GivenUp:
    """What is to be written of ids, by hash, that the user of this row is to have no more."""
    left, known = GivenUp({}, {}), noted(row)
    for name, at in ids.items():
        said = Moment(*at[:2])
        if name in known and not known[name].before(said):
            continue
        left.own.update(accepted({f"{GAVE}{name}": True}, said, now_ms))
        left.ids[name] = accepted({ASKED: True}, said, now_ms)
    return left


def labels(rows: Iterable[Row]) -> list[str]:
    """The names of the facts of aliases, also of those that were only asked for."""
    asked_for = asked(ALIAS, "").removesuffix("/")
    names = [
        name.removeprefix(ASKED).partition("/")[0] if name.startswith(asked_for) else name
        for row in rows
        for name in row
        if name.startswith((ALIAS, asked_for))
    ]
    return list(dict.fromkeys(names))


def noted(row: Row) -> dict[int, Moment]:
    """Of which ids, by hash, the user of this row has left a row behind."""
    return {
        int(name.removeprefix(GAVE)): one.at for name, one in row.items() if name.startswith(GAVE)
    }


def is_nobodys(blob: bytes | None, at: Moment) -> bool:
    """Whether the row of an id says only that it was given up, by who gave it up then or before."""
    row = decode(blob)
    last = row.get(ASKED)
    return last is not None and not at.before(last.at) and all(is_note(name) for name in row)
