"""A disk that is really small, or really read-only: a file system of its own, for whoever may mount one."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

SIZE = 100_000_000


@dataclass(slots=True)
class Small:
    """So much room, of which a ballast takes what it is told to."""

    folder: Path

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self, *, left: int) -> None:
        """Leave so many bytes, or as many as there are."""
        with self._ballast.open("wb") as file, suppress(OSError):
            while (size := min(1_000_000, self._free() - left)) > 0:
                file.write(bytes(size))
                file.flush()

    def _free(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def empty(self) -> None:
        self._ballast.unlink()

    def become(self, mode: str) -> None:
        """`ro` or `rw`."""
        subprocess.run(["mount", "-o", f"remount,{mode}", str(self.folder)], check=True)


def mounted(folder: Path) -> Small:
    """One at this folder; where that cannot be, the test is left out."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    return Small(folder)


def unmounted(small: Small) -> None:
    subprocess.run(["umount", "--lazy", str(small.folder)], check=True)
