"""`segment-bridge` without OneSignal's limit of writes: how fast could it deliver?"""

from __future__ import annotations

import bridge.deliver.gates
from bridge.cli import main

bridge.deliver.gates.WRITES_PER_SECOND = 1_000_000

if __name__ == "__main__":
    main()
