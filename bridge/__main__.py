"""`python -m bridge` is the `segment-bridge` command."""

from __future__ import annotations

from bridge.cli import main

main()
