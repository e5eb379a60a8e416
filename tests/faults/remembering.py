"""`segment-bridge sandbox` that forgets no call, so that all of a long test can be checked."""

from __future__ import annotations

from bridge.cli import main
from bridge.sandbox import ledger

if __name__ == "__main__":
    ledger.KEEP_CALLS = ledger.KEEP_COMPLAINTS = 100_000_000  # type: ignore[misc]
    main()
