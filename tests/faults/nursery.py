"""Forks bridges for tests; see `forked`.

A line of JSON asks for one: folder, arguments, output, environment, and the file for its status. Its pid
is answered, and the file appears when it has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import runpy
import select
import signal
import sys
from pathlib import Path
from typing import Any

import bridge.app
import bridge.cli.server  # noqa: F401 — loaded once, for all of them
from bridge import failpoints
from bridge.cli import main as command


def main() -> None:
    noticing, noticed = os.pipe()
    os.set_blocking(noticed, False)
    os.set_blocking(noticing, False)
    signal.set_wakeup_fd(noticed)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    asked, statuses = b"", dict[int, str]()
    while True:
        ready, _, _ = select.select([0, noticing], [], [])
        if noticing in ready:
            os.read(noticing, 4096)
            _tell(statuses)
        if 0 in ready:
            more = os.read(0, 65_536)
            if not more:
                return
            *whole, asked = (asked + more).split(b"\n")
            for line in whole:
                folder, arguments, output, environment, status = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _be(folder, arguments, output, environment)
                statuses[pid] = status
                os.write(1, f"{pid}\n".encode())


def _tell(statuses: dict[int, str]) -> None:
    """Write down how those ended that have."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            draft = Path(f"{statuses[pid]}.draft")
            draft.write_text(str(os.waitstatus_to_exitcode(status)))
            draft.rename(statuses.pop(pid))


def _be(folder: str, arguments: list[str], output: str, environment: dict[str, str]) -> None:
    """Be the bridge that was asked for, to the end."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    opened = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, opened, opened)):
        os.dup2(source, number)
    os.closerange(3, 256)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    if place := environment.get(failpoints.VARIABLE):
        failpoints.reached = failpoints._Place(place).reached
    is_script = arguments[0].endswith(".py")
    sys.argv = arguments if is_script else ["segment-bridge", *arguments]
    code: Any = 0
    try:
        runpy.run_path(arguments[0], run_name="__main__") if is_script else command()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main()
