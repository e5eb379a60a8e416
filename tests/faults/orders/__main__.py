"""Plays schedules, many or one::

    python -m tests.faults.orders --seed 337          one, told in words
    python -m tests.faults.orders --minutes 12        as many as there is time for, on all cores
    python -m tests.faults.orders --from 5000 --count 1000

Whatever goes wrong is said with its seed, which plays it again.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.orders.many import many
from tests.faults.orders.run import folder, run
from tests.faults.orders.schedule import schedule_of
from tests.faults.orders.story import story


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.orders")
    parser.add_argument("--seed", type=int, help="play this one, and tell it")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--count", type=int, help="so many")
    parser.add_argument("--minutes", type=float, help="or for so long")
    asked = parser.parse_args()
    if asked.seed is not None:
        return _one(asked.seed)
    if (asked.count is None) is (asked.minutes is None):
        parser.error("say --seed, --count or --minutes")
    played = many(asked.first, count=asked.count, minutes=asked.minutes)
    _say(f"{played}")
    return 1 if played.wrong else 0


def _one(seed: int) -> int:
    with folder() as where:
        report = run(seed, where)
    for line in story(schedule_of(seed), report):
        _say(line)
    return 1 if report.wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
