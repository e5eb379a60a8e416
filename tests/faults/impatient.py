"""`segment-bridge` with less patience for slow senders: seconds that a test can wait for."""

from __future__ import annotations

from bridge.cli import connections, main
from bridge.receive import body

SECONDS = 0.5

if __name__ == "__main__":
    connections.HEAD_SECONDS = SECONDS
    body.BODY_SECONDS = SECONDS
    main()
