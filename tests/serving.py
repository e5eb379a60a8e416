"""An ASGI app on a loopback port of its own, served by a thread, for commands that open connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from bridge.cli.server import QuietServer, configuration, listen


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address at which `app` answers, until the end of the block."""
    listening = listen("127.0.0.1", 0)
    server = QuietServer(configuration(app))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listening])))
    thread.start()
    try:
        yield "http://{}:{}".format(*listening.getsockname()[:2])
    finally:
        server.should_exit = True
        thread.join()
