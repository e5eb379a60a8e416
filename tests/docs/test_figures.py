"""The figures that pages give are those of the code: how many, how long, how often."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.alerts import causes, messages
from bridge.config import reload
from bridge.deliver import retry, state, upkeep
from bridge.explain import answer
from bridge.journal import devices
from bridge.mapping import terms
from bridge.mapping.document import Cap, Rule
from bridge.onesignal import operations
from bridge.receive import session
from bridge.segment import deletion

TOP = Path(__file__).parents[2]
MINUTE_MS, DAY_MS = 60_000, 86_400_000
CAP = Cap()
SPELT: dict[float | str, str] = {2: "two", 5: "five"}
MAX_AGE_MS = Rule.model_fields["max_age"].default


@pytest.mark.parametrize(
    ("page", "words", "written", "true"),
    [
        ("README.md", "A push older than `max_age` ({} h unless you say otherwise)", 4, MAX_AGE_MS / 3_600_000),
        ("README.md", "at most {} pushes in 15 minutes", 5, CAP.max),
        ("README.md", "at most 5 pushes in {} minutes", 15, CAP.per / MINUTE_MS),
        ("README.md", "suddenly sends more than {:,} in 10 minutes", 2_000, terms.LIMIT_MAX),
        ("README.md", "sends more than 2,000 in {} minutes is held", 10, terms.LIMIT_PER_MS / MINUTE_MS),
        ("README.md", "OneSignal keeps keys for {} days", 30, operations.KEYS_KEPT_MS / DAY_MS),
        ("README.md", "asked with them ({} s, an answer", 2, session.DEADLINE_SECONDS),
        ("README.md", "an answer counts for {} s", 60, session.CACHED_SECONDS),
        ("README.md", "a user has {} at most", 20, devices.MOST),
        ("README.md", "up to {} minutes", 5, deletion.ERASED_FOR_MS / MINUTE_MS),
        ("README.md", "however late it comes, for {} days", 30, upkeep.ERASED_MS / DAY_MS),
        ("docs/operating.md", "or {} day of trying", "a", "a" if retry.GIVE_UP_AGE_MS == DAY_MS else 0),
        ("README.md", "newest events ({}, or `--limit`)", 20, answer.NEWEST),
        ("README.md", "fails for over {} minute", "a", "a" if causes.CLOSED_SECONDS == 60 else 0),
        ("README.md", "clock is over {} minutes from", 2, causes.CLOCK_SECONDS / 60),
        ("README.md", "pushes are paused for over {} minutes", 10, causes.PAUSED_MS / MINUTE_MS),
        ("README.md", "at most once in {} minutes how many", 15, messages.AGAIN_MS / MINUTE_MS),
        ("README.md", "an event waits for over {} minutes", 15, causes.LONG_SECONDS / 60),
        ("README.md", "wrong ({} requests in a row", 20, causes.UNSURE),
        ("README.md", "requests in a row, {} if the token is right", 3, causes.SURE),
        ("README.md", "less than {} MiB are free", 512, causes.LOW_DISK_BYTES / 1024 / 1024),
        ("README.md", "{} % of a rule's last", 90, causes.UNREACHED_PERCENT),
        ("README.md", "of a rule's last {} pushes", 200, causes.PUSHES),
        ("README.md", "when their files change (within {} seconds", 2, 2 * reload.LOOK_SECONDS),
        ("mappings/README.md", "({}h unless you say otherwise)", 4, MAX_AGE_MS / 3_600_000),
        ("mappings/README.md", "pushes to one person over all rules, {} in 15 minutes", 5, CAP.max),
        ("docs/operating.md", "by itself after {:,} in 10 minutes", 2_000, terms.LIMIT_MAX),
        ("docs/operating.md", "| {} days after its last use |", 400, upkeep.STATE_MS / DAY_MS),
        ("docs/operating.md", "a keyed hash stays for {} days", 30, upkeep.ERASED_MS / DAY_MS),
        ("docs/user-model.md", "had from it for less than {} days", 7, state.ACCEPTED_FOR_MS / DAY_MS),
    ],
)  # fmt: skip
def test_a_figure_on_a_page_is_that_of_the_code(
    page: str, words: str, written: float | str, true: float | str
) -> None:
    text = " ".join((TOP / page).read_text().split())
    shown = words.format(written), words.replace("{}", SPELT.get(written, "{}"))
    assert any(one in text for one in shown)
    assert written == true
