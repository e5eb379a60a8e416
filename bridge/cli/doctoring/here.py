"""This machine: are the settings right, do the mappings hold, does the disk keep what it is given."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bridge.cli.check import everything
from bridge.cli.doctoring import Check
from bridge.clock import SystemClock
from bridge.environment import read_environment
from bridge.journal.pressure import MIN_FREE_BYTES, free_bytes

_SYNCS = 20
_SLOW_MS = 20.0
_LITTLE_BYTES = 2_000_000_000
_OVER_A_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "afs", "ceph"}


def settings() -> Check:
    """What `check` finds, as one line."""
    findings = everything()
    errors = sorted({one.code for one in findings if one.is_error})
    warnings = sorted({one.code for one in findings if not one.is_error})
    hint = "segment-bridge check says where, and what to do"
    if errors:
        return Check("settings", "error", f"errors: {', '.join(errors)}", hint)
    if warnings:
        return Check("settings", "warning", f"warnings: {', '.join(warnings)}", hint)
    return Check("settings", "ok", "settings and mappings have no errors and no warnings")


def ports() -> Check:
    """Where the bridge is reached, and by whom."""
    found = read_environment().settings
    shared = found.admin_port is None
    inside = "there, too" if shared else f"on {found.host}:{found.admin_port}"
    said = f"webhooks on {found.host}:{found.port}; console, API and metrics {inside}"
    return Check("ports", "ok", said)


def storage() -> Iterator[Check]:
    """Where the database is, or will be."""
    folder = read_environment().settings.database_path.absolute().parent
    try:
        sync_ms = _sync_ms(folder)
    except OSError as error:
        yield Check("storage", "error", f"{folder} cannot be written ({error.strerror})", _MOUNT)
        return
    slow = sync_ms > _SLOW_MS
    hint = "every answer to Segment waits for it: use a local SSD" if slow else None
    said = f"{folder} keeps what it is given: a sync takes {sync_ms:.1f} ms"
    yield Check("storage", "warning" if slow else "ok", said, hint)
    kind = filesystem(folder, Path("/proc/mounts"))
    if kind in _OVER_A_NETWORK:
        yield Check(
            "storage", "error", f"{folder} is on {kind}, whose locks SQLite cannot trust", _MOUNT
        )
    free = free_bytes(folder / "bridge.db")
    yield room(free)


def room(free: int) -> Check:
    size = f"{free / 1e9:.1f} GB" if free >= 1e9 else f"{free // 1_000_000} MB"
    if free < MIN_FREE_BYTES:
        hint = f"make room: below {MIN_FREE_BYTES // 1_000_000} MB no more events are taken"
        return Check("disk", "error", f"{size} are free", hint)
    if free < _LITTLE_BYTES:
        return Check(
            "disk", "warning", f"{size} are free", "a million waiting events take about 1.5 GB"
        )
    return Check("disk", "ok", f"{size} are free")


_MOUNT = "BRIDGE_DATABASE_URL names a file on a local disk that this user may write"


def _sync_ms(folder: Path) -> float:
    """The median of some appends of 4 KB until each is on disk."""
    clock, took = SystemClock(), []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-", buffering=0) as file:
        for _ in range(_SYNCS):
            file.write(bytes(4096))
            began = clock.monotonic()
            os.fsync(file.fileno())
            took.append(clock.monotonic() - began)
    return 1000 * statistics.median(took)


def filesystem(folder: Path, mounts: Path) -> str:
    """The kind of file system that a folder is on; "" where nobody says."""
    if not mounts.exists():
        return ""
    rows = [line.split() for line in mounts.read_text().splitlines()]
    over = [row for row in rows if len(row) > 2 and folder.is_relative_to(row[1])]
    return max(over, key=lambda row: len(row[1]))[2] if over else ""
