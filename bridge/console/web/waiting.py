"""Dead and held: what waits for a person, why, and what to do about each; counted before anything acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from starlette.responses import Response
from starlette.routing import Route

from bridge.console.api import number
from bridge.console.dead import Replays
from bridge.console.held import FASTEST
from bridge.console.naming import Naming
from bridge.console.views import advice
from bridge.console.views.advice import Advice
from bridge.console.views.waiting import Counted, Preview, Waiting
from bridge.console.web.brake import back
from bridge.console.web.door import Door
from bridge.console.web.shell import ROOT, Shell
from bridge.console.web.visit import Visit
from bridge.journal import Journal
from bridge.journal.piles import TOO_OLD, Choice, DeadCount, Releasing, SkippedCount

SAMPLE: Final = 5
NEWEST: Final = 25
_NEVER_MS: Final = 2**62


class Acts(Protocol):
    """What a person does with what waits; each is told who asks."""

    async def replay_all(self, choice: Choice, replan: bool, who: str) -> Replays: ...  # noqa: FBT001 — as the API has it
    async def discard_all(self, choice: Choice, who: str) -> int: ...
    async def stopped(self, choice: Choice) -> int: ...
    async def release(self, choice: Choice, who: str) -> int: ...
    async def release_slowly(self, choice: Choice, rate: int, who: str) -> Sequence[Counted]: ...
    async def hold(self, choice: Choice, who: str) -> int: ...
    async def discard_held(self, choice: Choice, who: str) -> int: ...
    async def replay_skipped(self, choice: Choice, who: str) -> int: ...


class Dead(NamedTuple):
    """What died of one cause."""

    reason: str
    advice: Advice
    many: int
    #: By rule, most first.
    rules: list[DeadCount]


class Held(NamedTuple):
    app: str
    rule: str
    reason: str
    advice: Advice
    many: int
    #: They leave little by little.
    releasing: Releasing | None


class Act(NamedTuple):
    """Something that can be done with a pile, as the page before it says it."""

    title: str
    button: str
    words: str
    grave: bool = False


ACTS: Final = {
    ("dead", "replay"): Act(
        "Replay what is dead", "Replay", "Updates are planned anew. A push is what was written, with its own key if OneSignal may have sent it already.",
    ),
    ("dead", "discard"): Act(
        "Discard what is dead", "Discard for good", "They end for good, and are not tried again.", grave=True
    ),
    ("held", "release"): Act(
        "Let held pushes go", "Let them go", "They leave oldest first. Nobody asks again how old they are."
    ),
    ("held", "discard"): Act(
        "Discard held pushes", "Discard, unsent", "They end, unsent. What they took of once_per is given back.", grave=True
    ),
    ("skipped", "replay"): Act(
        "Do what was too old", "Plan them again", "They are planned again, with today's mapping, and nobody asks how old they are."
    ),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class WaitingPage:
    door: Door
    shell: Shell
    journal: Journal
    waiting: Waiting
    naming: Naming
    acts: Acts

    def routes(self) -> list[Route]:
        return [
            self.door.page(f"{ROOT}/waiting", "view", self._show),
            self.door.page(f"{ROOT}/waiting/act", "operate", self._look),
            self.door.act(f"{ROOT}/waiting/act", "operate", self._act),
            self.door.act(f"{ROOT}/waiting/hold", "operate", self._hold),
        ]

    # What there is --------------------------------------------------------------------------------

    async def _show(self, visit: Visit) -> Response:
        query = visit.query
        choice = Choice(rule=query.get("rule"), reason=query.get("reason"), app=query.get("app"))
        letters = await self.journal.dead_letters(choice, limit=NEWEST)
        return self.shell.page(
            visit,
            "waiting",
            active="waiting",
            choice=choice,
            # "" are the dead of no rule: whole events.
            misspelt=await self.naming.misspelt(choice._replace(rule=choice.rule or None)),
            dead=_dead(await self.journal.dead_counts(choice)),
            one_first=advice.ONE_FIRST,
            letters=letters,
            held=await self._held(choice),
            skipped=await self._skipped(choice),
        )

    async def _held(self, choice: Choice) -> list[Held]:
        if choice.reason not in {None, *advice.HELD}:
            return []
        releases = {
            (one.app, one.rule, one.hold): one
            for one in await self.journal.piles.releases(counted=True)
        }
        return [
            Held(
                one.app,
                one.rule,
                one.why,
                advice.held(one.why),
                one.count,
                releases.get((one.app, one.rule, one.why)),
            )
            for one in await self.waiting.counts(choice)
        ]

    async def _skipped(self, choice: Choice) -> list[SkippedCount]:
        if choice.reason not in {None, TOO_OLD}:
            return []
        return await self.journal.piles.skipped_counts(choice)

    # Before anything acts -------------------------------------------------------------------------

    async def _look(self, visit: Visit) -> Response:
        """How many it is about, and some of them."""
        query = visit.query
        named = query.get("pile", ""), query.get("act", "")
        act = ACTS.get(named)
        if act is None:
            return self._unknown(visit)
        choice = _choice(query)
        looks: dict[str, Callable[..., Awaitable[Preview[Any]]]] = {
            "dead": self.waiting.dead,
            "held": self.waiting.held,
            "skipped": self.waiting.skipped,
        }
        preview = await looks[named[0]](choice, sample=SAMPLE)
        misspelt = None if preview.count else await self.naming.misspelt(choice)
        return self.shell.page(
            visit,
            "act",
            active="waiting",
            act=act,
            pile=named[0],
            doing=named[1],
            choice=choice,
            preview=preview,
            misspelt=misspelt,
            advice=advice.dead(choice.reason or "") if named == ("dead", "replay") else None,
            back=_back(act, choice, preview),
            fastest=FASTEST,
            still_paused=await self.acts.stopped(choice) if named == ("held", "release") else 0,
        )

    # Acting ---------------------------------------------------------------------------------------

    async def _act(self, visit: Visit) -> Response:
        form, who = visit.form, visit.person.name
        choice = _choice(form)._replace(until_ms=_time(form.get("until_ms", "")))
        acts = self.acts
        match form.get("pile"), form.get("act"):
            case "dead", "replay":
                done = await acts.replay_all(choice, form.get("replan") == "yes", who)
                said = "replayed-one" if choice.ids and done.replayed else "replayed"
                nots = {"no_events": done.no_events, "forgotten": done.forgotten}
                left = {name: count for name, count in nots.items() if count}
                return back(visit, said=said, count=done.replayed, **left)
            case "dead", "discard":
                count = await acts.discard_all(choice, who)
                return back(visit, said="dead-discarded", count=count)
            case "held", "release":
                return await self._release(visit, choice)
            case "held", "discard":
                count = await acts.discard_held(choice, who)
                return back(visit, said="held-discarded", count=count)
            case "skipped", "replay" if choice.rule is not None:
                count = await acts.replay_skipped(choice, who)
                return back(visit, said="skipped-replayed", count=count)
            case _:
                return self._unknown(visit)

    async def _release(self, visit: Visit, choice: Choice) -> Response:
        who, rate = visit.person.name, number(visit.form.get("per_minute", ""))
        if visit.form.get("pace") != "slowly":
            stopped = await self.acts.stopped(choice)
            if stopped and stopped == (await self.waiting.held(choice, sample=0)).count:
                words = "They are paused, and would be held again at once. They leave when the pause ends. Nothing was done."
                return self.shell.page(
                    visit,
                    "problem",
                    status=409,
                    active="waiting",
                    title="They are paused",
                    text=words,
                )
            return back(visit, said="released", count=await self.acts.release(choice, who))
        if rate is None or not 0 < rate <= FASTEST:
            words = f"Little by little is 1 to {FASTEST:,} a minute. Nothing was done."
            return self.shell.page(
                visit,
                "problem",
                status=400,
                active="waiting",
                title="How many a minute?",
                text=words,
            )
        chosen = await self.acts.release_slowly(choice, rate, who)
        return back(visit, said="releasing", count=sum(one.count for one in chosen))

    async def _hold(self, visit: Visit) -> Response:
        count = await self.acts.hold(_choice(visit.form), visit.person.name)
        return back(visit, said="kept", count=count)

    def _unknown(self, visit: Visit) -> Response:
        words = "There is no such thing to do. Nothing was done."
        return self.shell.page(
            visit, "problem", status=400, active="waiting", title="Nothing to do", text=words
        )


def _dead(counts: Sequence[DeadCount]) -> list[Dead]:
    """By reason, most first."""
    by_reason: dict[str, list[DeadCount]] = {}
    for one in counts:
        by_reason.setdefault(one.reason, []).append(one)
    found = [
        Dead(reason, advice.dead(reason), sum(one.many for one in rules), rules)
        for reason, rules in by_reason.items()
    ]
    return sorted(found, key=lambda one: -one.many)


def _back(act: Act, choice: Choice, preview: Preview[Any]) -> str:
    """Where it leads when it is done: of one that is tried again to what becomes of it."""
    is_tried = act is ACTS["dead", "replay"] and choice.ids and preview.some
    return f"{ROOT}/events/{preview.some[0].seq}" if is_tried else f"{ROOT}/waiting"


def _choice(asked: dict[str, str]) -> Choice:
    """Which of a pile; what is empty is not asked."""
    letter = number(asked.get("id", ""))
    return Choice(
        app=asked.get("app") or None,
        rule=asked.get("rule") or None,
        reason=asked.get("reason") or None,
        ids=None if letter is None else (letter,),
    )


def _time(text: str) -> int | None:
    found = number(text)
    return found if found is not None and found < _NEVER_MS else None
