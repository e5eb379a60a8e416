"""What the bridge is compared with, and what shows that the load is not the limit.

`endpoint`: a bare Starlette endpoint below the bridge's own uvicorn settings; it reads the body and
answers with so many bytes. `echo`: a protocol that answers as soon as a request's bytes are there,
without HTTP; what the load reaches against it is the load's own ceiling.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bridge.cli.server import QuietServer, configuration, listen
from tests.bench.events import PATH

ANSWER_OF_ONE = (
    '{"accepted":1,"duplicates":0,"rejected":[],"note":"rules that may act: order-shipped"}'
)
ANSWER_OF_BATCH = '{{"accepted":{},"duplicates":0,"rejected":[]}}'
"""What the bridge answers; the control answers the same."""


def endpoint(answer: bytes) -> Starlette:
    async def take(request: Request) -> Response:
        await request.body()
        return Response(answer, media_type="application/json")

    return Starlette(routes=[Route(PATH, take, methods=["POST"])])


class Echo(asyncio.Protocol):
    def __init__(self, answer: bytes, request_size: int) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer
        self._size = request_size
        self._seen = 0
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._seen += len(data)
        if self._seen >= self._size:
            self._seen -= self._size
            self._transport.write(self._answer)


async def _serve(kind: str, answer: bytes, request_size: int) -> None:
    listening = listen("127.0.0.1", 0)
    sys.stdout.write(f"127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    if kind == "endpoint":
        await QuietServer(configuration(endpoint(answer))).serve(sockets=[listening])
        return
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Echo(answer, request_size), sock=listening)
    await server.serve_forever()


def main() -> None:
    """Serve until killed: KIND ANSWER REQUEST-SIZE."""
    kind, answer, size = sys.argv[1:4]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(kind, answer.encode(), int(size)))


if __name__ == "__main__":
    main()
