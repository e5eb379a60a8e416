"""What was checked, said at once and counted at the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(slots=True)
class Report:
    passed: int = 0
    failed: int = 0

    def check(self, name: str, holds: bool, detail: str = "") -> None:  # noqa: FBT001 - reads as a sentence
        self.passed += holds
        self.failed += not holds
        self._say("ok  " if holds else "FAIL", name, detail)

    def note(self, name: str, detail: str) -> None:
        self._say("    ", name, detail)

    def close(self) -> bool:
        """Say the sum; whether all is well."""
        sys.stdout.write(f"{self.passed} passed, {self.failed} failed\n")
        return not self.failed

    @staticmethod
    def _say(mark: str, name: str, detail: str) -> None:
        sys.stdout.write(f"{mark} {name}{': ' if detail else ''}{detail}\n")
        sys.stdout.flush()
