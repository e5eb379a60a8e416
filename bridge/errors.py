"""Every error that the bridge raises on purpose, split by who must act.

::

    BridgeError
    ├── ConfigurationError     the operator: settings, mappings, files; lists everything wrong at once
    ├── JournalError           the operator: the database cannot be used as it is
    │   ├── JournalBusyError           another process holds it
    │   └── JournalDamagedError        it is not what SQLite wrote
    └── JournalUnavailableError     nobody yet: it could not be made durable now; the sender tries again

Outcomes that are expected (a refused signature, a 400 from OneSignal, a missing trait) are values,
not exceptions. A `Finding` is such a value: one thing wrong with what an operator wrote.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or could be, with a setting or a mapping.

    `code` is kebab-case and is also what logs and metrics say. `line` and `column` count from 1.
    """

    code: str
    message: str
    level: str = "error"
    file: str | None = None
    line: int | None = None
    column: int | None = None
    hint: str | None = None

    @property
    def is_error(self) -> bool:
        return self.level == "error"

    def __str__(self) -> str:
        lines = [f"{self.level}[{self.code}]: {self.message}"]
        if self.file is not None:
            place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
            lines.append(f"  --> {place}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


class BridgeError(Exception):
    """Something the bridge says in its own words; `code` names the kind."""

    code = "bridge-error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def finding(self) -> Finding:
        return Finding(code=self.code, message=self.message, hint=self.hint)


class ConfigurationError(BridgeError):
    """What the operator wrote cannot be used; `findings` says all of it."""

    code = "configuration"

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


class JournalError(BridgeError):
    """The database cannot be used as it is."""

    code = "journal"


class JournalBusyError(JournalError):
    """Another process holds the database."""

    code = "journal-busy"


class JournalDamagedError(JournalError):
    """The file is not a database that the bridge can trust."""

    code = "journal-damaged"


class JournalUnavailableError(BridgeError):
    """It could not be made durable now: disk full, or the journal is closing."""

    code = "journal-unavailable"
